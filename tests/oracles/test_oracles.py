"""The oracles against samples that agree with AWS and samples that do not: a checker that never fails checks nothing.

Run by `python -m unittest discover --start-directory tests/oracles`. Must not talk to anything.
"""

import copy
import datetime
import json
import unittest

import botocore.session
from validate_calls import Models, check

import compare
import describe
import known
from shapes import Problems, check_json

MODELS = Models()


def exchange(service, operation, request, response, *, status=200, method="POST", uri="/", headers=None, answered=None):
    """A call in the form that the sandbox records."""
    return {
        "service": service,
        "operation": operation,
        "method": method,
        "uri": uri,
        "request_headers": {"host": "127.0.0.1:4599", **(headers or {})},
        "request_body": request,
        "status": status,
        "response_headers": {"x-amz-request-id": "1", **(answered or {})},
        "response_body": response,
    }


def create_cluster(request=None, response=None, status=200):
    return exchange(
        "ecs",
        "CreateCluster",
        json.dumps(request or {"clusterName": "web", "tags": [{"key": "a", "value": "b"}]}),
        json.dumps(response or {"cluster": {"clusterName": "web", "status": "ACTIVE", "runningTasksCount": 0}}),
        status=status,
        headers={
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "AmazonEC2ContainerServiceV20141113.CreateCluster",
        },
    )


def create_project(request):
    return exchange(
        "codebuild",
        "BatchGetProjects",
        json.dumps(request),
        json.dumps({"projects": [{"name": "web", "created": 1700000000.5}]}),
        headers={
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "CodeBuild_20161006.BatchGetProjects",
        },
    )


CREATE_SUBNET = (
    "Action=CreateSubnet&Version=2016-11-15&VpcId=vpc-1&CidrBlock=10.0.0.0%2F24"
    "&TagSpecification.1.ResourceType=subnet&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
)
SUBNET = (
    '<CreateSubnetResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><subnet>'
    "<subnetId>subnet-1</subnetId><state>pending</state><mapPublicIpOnLaunch>false</mapPublicIpOnLaunch>"
    "<availableIpAddressCount>251</availableIpAddressCount>"
    "<tagSet><item><key>a</key><value>b</value></item></tagSet></subnet></CreateSubnetResponse>"
)
DESCRIBE_TARGET_GROUPS = "Action=DescribeTargetGroups&Version=2015-12-01&Names.member.1=web-blue&PageSize=10"
TARGET_GROUPS = (
    '<DescribeTargetGroupsResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">'
    "<DescribeTargetGroupsResult><TargetGroups><member><TargetGroupName>web-blue</TargetGroupName>"
    "<Protocol>HTTP</Protocol><Port>80</Port><HealthCheckIntervalSeconds>30</HealthCheckIntervalSeconds>"
    "<LoadBalancerArns><member>arn:aws:a</member></LoadBalancerArns>"
    "<Matcher><HttpCode>200</HttpCode></Matcher></member></TargetGroups></DescribeTargetGroupsResult>"
    "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeTargetGroupsResponse>"
)
VERSIONING = (
    '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status>'
    "</VersioningConfiguration>"
)


def create_subnet(request=CREATE_SUBNET, response=SUBNET):
    return exchange("ec2", "CreateSubnet", request, response)


def describe_target_groups(request=DESCRIBE_TARGET_GROUPS, response=TARGET_GROUPS, status=200):
    return exchange("elasticloadbalancing", "DescribeTargetGroups", request, response, status=status)


def put_versioning(**changes):
    call = exchange("s3", "PutBucketVersioning", VERSIONING, "", method="PUT", uri="/bucket?versioning")
    return {**call, **changes}


def query_error(code):
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )


class Calls(unittest.TestCase):
    """validate_calls.py"""

    def agrees(self, call):
        self.assertEqual(list(check(MODELS, call)), [])

    def differs(self, call, side, *words):
        have = list(check(MODELS, call))
        self.assertTrue(
            any(found == side and all(word in text for word in words) for found, text in have),
            f"want {side} with {words}, have {have}",
        )

    def test_samples_agree(self):
        for call in (
            create_cluster(),
            create_subnet(),
            describe_target_groups(),
            put_versioning(),
            create_project({"names": ["web"]}),
        ):
            self.agrees(call)

    def test_an_unknown_operation(self):
        self.differs({**create_cluster(), "operation": "MakeCluster"}, "request", "no operation")

    def test_json_requests(self):
        self.differs(create_cluster({"ClusterName": "web"}), "request", ".ClusterName", "no member")
        self.differs(create_cluster({"clusterName": 1}), "request", ".clusterName", "string")
        self.differs(create_cluster({"tags": [{"key": "a" * 129, "value": "b"}]}), "request", "at most 128")
        self.differs(create_cluster({"tags": {"key": "a"}}), "request", ".tags", "list")
        self.differs(create_cluster({"tags": [{"key": "a\u0000"}]}), "request", "match")
        self.differs(create_project({}), "request", "names")
        self.differs(create_project({"names": []}), "request", "at least 1")
        wrong = create_cluster()
        wrong["request_headers"]["x-amz-target"] = "AmazonECS.CreateCluster"
        self.differs(wrong, "request", "x-amz-target")
        self.differs({**create_cluster(), "request_body": "{"}, "request", "not JSON")

    def test_json_responses(self):
        def answer(value):
            return create_cluster(response=value)

        self.differs(answer({"cluster": {"name": "web"}}), "response", ".cluster.name", "no member")
        self.differs(answer({"cluster": {"runningTasksCount": "0"}}), "response", "whole number")
        self.differs(answer({"cluster": {"clusterName": None}}), "response", "null")
        self.differs(answer({"cluster": []}), "response", "structure")
        late = create_project({"names": ["web"]})
        late["response_body"] = json.dumps({"projects": [{"created": "2024-01-01T00:00:00Z"}]})
        self.differs(late, "response", ".created", "seconds")
        late["response_body"] = json.dumps({"projects": [{"projectVisibility": "SECRET"}]})
        self.differs(late, "response", ".projectVisibility", "does not have")

    def test_json_errors(self):
        def error(code):
            return create_cluster(response={"__type": code, "message": "m"}, status=400)

        self.agrees(error("InvalidParameterException"))
        self.agrees(error("ThrottlingException"))
        self.differs(error("ClusterMissing"), "response", "ClusterMissing")

    def test_form_requests(self):
        self.differs(create_subnet(CREATE_SUBNET + "&Colour=red"), "request", "Colour", "no parameter")
        self.differs(create_subnet(CREATE_SUBNET.replace("&VpcId=vpc-1", "")), "request", "VpcId")
        self.differs(create_subnet(CREATE_SUBNET.replace("=subnet&", "=net&")), "request", "`net`")
        self.differs(create_subnet(CREATE_SUBNET.replace("Tag.1.", "Tag.2.")), "request", "numbered")
        self.differs(create_subnet(CREATE_SUBNET.replace("2016-11-15", "2016-11-16")), "request", "Version")
        self.differs(create_subnet(CREATE_SUBNET + "&DryRun=yes"), "request", "DryRun", "true or false")
        self.differs(
            describe_target_groups(DESCRIBE_TARGET_GROUPS.replace(".member", "")), "request", "Names.1", "no parameter"
        )
        self.differs(describe_target_groups(DESCRIBE_TARGET_GROUPS + "0000"), "request", "PageSize", "at most 400")

    def test_ec2_responses(self):
        def answer(old, new):
            self.assertIn(old, SUBNET)
            return create_subnet(response=SUBNET.replace(old, new))

        self.differs(answer("subnetId>", "SubnetId>"), "response", "SubnetId", "no member")
        self.differs(answer("pending", "waiting"), "response", "`waiting`")
        self.differs(answer(">false<", ">False<"), "response", "true or false")
        self.differs(answer("item>", "member>"), "response", "`member`")
        self.differs(answer(">251<", ">many<"), "response", "whole number")
        self.differs(answer("<requestId>1</requestId>", ""), "response", "requestId")
        self.differs(answer("CreateSubnetResponse", "CreateSubnetResult"), "response", "CreateSubnetResult")
        self.differs(answer("</subnet>", ""), "response", "not XML")

    def test_query_responses(self):
        def answer(old, new):
            self.assertIn(old, TARGET_GROUPS)
            return describe_target_groups(response=TARGET_GROUPS.replace(old, new))

        self.differs(answer("<Protocol>HTTP<", "<Protocol>http<"), "response", "`http`")
        self.differs(answer(">80<", ">80000<"), "response", "at most 65535")
        self.differs(answer("HttpCode", "Code"), "response", "Code", "no member")
        self.differs(answer("DescribeTargetGroupsResult", "Result"), "response", "stands 0 times")
        self.differs(answer("<RequestId>1</RequestId>", ""), "response", "RequestId")

    def test_query_errors(self):
        def error(code):
            return describe_target_groups(response=query_error(code), status=400)

        self.agrees(error("TargetGroupNotFound"))
        self.differs(error("NoSuchTargetGroup"), "response", "NoSuchTargetGroup")
        self.differs(describe_target_groups(response="<html>oops</html>", status=500), "response", "")

    def test_rest_requests(self):
        self.differs(put_versioning(method="POST"), "request", "must be PUT")
        self.differs(put_versioning(uri="/bucket"), "request", "versioning")
        self.differs(put_versioning(uri="/bucket/key?versioning"), "request", "must be like")
        self.differs(put_versioning(uri="/bucket?versioning&colour=red"), "request", "colour")
        self.differs(put_versioning(request_body=VERSIONING.replace("Enabled", "On")), "request", "`On`")
        self.differs(put_versioning(request_body=VERSIONING.replace("Status", "State")), "request", "State")
        self.differs(
            put_versioning(request_headers={"host": "h", "x-amz-colour": "red"}), "request", "x-amz-colour"
        )
        virtual = put_versioning(uri="/?versioning", request_headers={"host": "bucket.s3.eu-central-1.amazonaws.com"})
        self.agrees(virtual)

    def test_a_signature_in_the_query(self):
        def got(headers, *names):
            query = "&".join(f"X-Amz-{name}=1" for name in names)
            return exchange("s3", "GetObject", "", "", method="GET", uri=f"/bucket/key?{query}", headers=headers)

        signed = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
        self.agrees(got({}, *signed))
        self.differs(got({}, *signed[1:]), "request", "X-Amz-Signature")
        self.differs(got({"authorization": "AWS4-HMAC-SHA256"}, *signed), "request", "too many")

    def test_rest_responses(self):
        listing = (
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
        )
        call = exchange("s3", "ListObjectsV2", "", listing, method="GET", uri="/bucket?list-type=2")
        self.agrees(call)
        self.differs({**call, "response_body": listing.replace(">1<", ">one<")}, "response", "whole number")
        self.differs({**call, "response_body": listing.replace("Key>", "Name>")}, "response", "Name")
        self.differs({**call, "response_body": listing.replace("2024-01-01T", "yesterday")}, "response", "timestamp")
        self.differs(put_versioning(response_body="<A/>"), "response", "not empty")


class Shapes(unittest.TestCase):
    """What validate_taskdef.py relies on."""

    TASK_DEFINITION = {
        "family": "web",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "<IMAGE1_NAME>", "portMappings": [{"containerPort": 80, "protocol": "tcp"}]}
        ],
    }

    def problems(self, change):
        shape = (
            botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
        )
        value = copy.deepcopy(self.TASK_DEFINITION)
        change(value)
        problems = Problems()
        check_json(value, shape, "", problems, is_input=True)
        return " ".join(problems.found)

    def test_task_definitions(self):
        self.assertEqual(self.problems(lambda value: None), "")
        self.assertIn("bogus", self.problems(lambda value: value.update(networkMode="bogus")))
        self.assertIn("Family", self.problems(lambda value: value.update(Family="web")))
        self.assertIn("lacks family", self.problems(lambda value: value.pop("family")))
        port = {"containerPort": "80"}
        self.assertIn(
            "whole number", self.problems(lambda value: value["containerDefinitions"][0].update(portMappings=[port]))
        )


class Descriptions(unittest.TestCase):
    """describe.py and compare.py"""

    def test_ids_become_names_and_times_go(self):
        account = describe.Account.__new__(describe.Account)
        account.app, account.found, account.ids = "web", {}, {}
        tags = [{"Key": "ecspipe:app", "Value": "web"}, {"Key": "ecspipe:resource", "Value": "vpc/main"}]
        account.keep(tags, {"VpcId": "vpc-1", "At": datetime.datetime.min, "Empty": [], "Acl": "acl-12ab"}, "vpc-1")
        self.assertIsNone(account.keep([{"Key": "ecspipe:app", "Value": "api"}], {"VpcId": "vpc-2"}, "vpc-2"))
        have = account.normalised()
        self.assertEqual(list(have), ["vpc/main"])
        have["vpc/main"].pop("tags")
        self.assertEqual(have["vpc/main"], {"VpcId": "${vpc/main}", "Acl": "acl-…"})

    def test_a_difference_is_found_by_its_path(self):
        one = compare.flat({"vpc/main": {"Cidr": "10.0.0.0/16", "tags": [{"a": 1}]}})
        other = compare.flat({"vpc/main": {"Cidr": "10.1.0.0/16", "tags": [{"a": 1}]}, "subnet/a": {}})
        differing = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
        self.assertEqual(differing, {"vpc/main:Cidr", "subnet/a"})


class KnownFindings(unittest.TestCase):
    """known.py"""

    def test_only_the_star_is_special(self):
        self.assertTrue(known.matches('["ecs:a", "ecs:b"]', '["ecs:*"]'))
        self.assertTrue(known.matches("a.b", "a.b"))
        self.assertFalse(known.matches("axb", "a.b"))
        self.assertFalse(known.matches("ab", "a"))

    def test_an_entry_covers_what_it_says_and_counts_as_used(self):
        entries = known.Known("policies")
        self.assertEqual(len(entries.unused()), len(entries.entries))
        self.assertFalse(entries.covers(policy="codedeploy", issue="UNKNOWN_ACTION", detail="ecs:Typo"))
        detail = '[{"action": "elasticloadbalancing:ModifyListener", "required_format": "arn:*:elasticloadbalancing:*:*:listener/net/*"}]'
        self.assertTrue(entries.covers(policy="web-codedeploy", issue="RESOURCE_MISMATCH", detail=detail))
        self.assertEqual(len(entries.unused()), len(entries.entries) - 1)


if __name__ == "__main__":
    unittest.main()
