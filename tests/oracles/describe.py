"""Everything of one app, as boto3 describes it at an endpoint, in a form in which two accounts can be compared.

Arguments: ENDPOINT APP REGION. Standard output: {"vpc/main": {…}, …} sorted, by the tag `ecspipe:resource`. Physical ids are
replaced by `${key}` of what they name, and what no two accounts share (times, addresses, request ids) is left out.
Must only read.
"""

import datetime
import json
import re
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

OWNER, RESOURCE = "ecspipe:app", "ecspipe:resource"

# Members that the cloud chooses, and that follow from nothing in the spec.
CHOSEN = {
    "ResponseMetadata",
    "AvailabilityZoneId",
    "AvailableIpAddressCount",
    "CanonicalHostedZoneId",
    "DNSName",
    "DestinationPrefixListId",
    "DnsName",
    "HostedZoneId",
    "NetworkInterfaceId",
    "NetworkInterfaceIds",
    "PrivateIp",
    "PrivateIpAddress",
    "PublicIp",
    "RoleId",
    "RoleLastUsed",
    "applicationId",
    "creationTime",
    "deploymentGroupId",
    "repositoryId",
}

# Prefixes of ids that EC2 gives to things without tags of their own.
ANONYMOUS = re.compile(r"\b(rtbassoc|eipassoc|eni|acl|dopt|sgr|vpc-cidr-assoc|tsk|ecs-svc)[-/][0-9a-zA-Z]+")


def main(endpoint, app, region):
    account = Account(endpoint, app, region)
    account.describe()
    json.dump(account.normalised(), sys.stdout, indent=2, sort_keys=True)
    print()


class Account:
    """Collects descriptions by key, and the ids that have to be replaced."""

    def __init__(self, endpoint, app, region):
        session = boto3.Session("test", "test", region_name=region)
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        self.client = lambda service: session.client(service, endpoint_url=endpoint, config=config)
        self.app = app
        self.found = {}
        self.ids = {}

    def describe(self):
        self.ec2()
        self.elbv2()
        self.kms()
        self.s3()
        self.logs()
        self.ecr()
        self.iam()
        self.ecs()
        self.code()
        self.events()

    def normalised(self):
        order = sorted(self.ids, key=len, reverse=True)
        return {key: clean(value, lambda text: self.named(text, order)) for key, value in self.found.items()}

    def named(self, text, order):
        for physical in order:
            if physical in text:
                text = text.replace(physical, "${" + self.ids[physical] + "}")
        return ANONYMOUS.sub(r"\1-…", text)

    def keep(self, tags, description, *physical):
        """Files a description under the resource that its tags name; what belongs to another app is left out."""
        if isinstance(tags, list):
            tags = {first(tag, "Key", "key", "TagKey"): first(tag, "Value", "value", "TagValue") for tag in tags}
        if tags.get(OWNER) != self.app:
            return None
        key = tags.get(RESOURCE, f"untagged/{len(self.found)}")
        if key in self.found:
            raise SystemExit(f"two resources have the tag {RESOURCE}={key}")
        self.found[key] = {**description, "tags": tags}
        for one in physical:
            self.ids[one] = key
        return key

    def ec2(self):
        ec2 = self.client("ec2")
        mine = [{"Name": f"tag:{OWNER}", "Values": [self.app]}]
        for operation, list_name, id_name in (
            ("describe_vpcs", "Vpcs", "VpcId"),
            ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
            ("describe_subnets", "Subnets", "SubnetId"),
            ("describe_addresses", "Addresses", "AllocationId"),
            ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
            ("describe_route_tables", "RouteTables", "RouteTableId"),
            ("describe_security_groups", "SecurityGroups", "GroupId"),
            ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        ):
            for item in getattr(ec2, operation)(Filters=mine)[list_name]:
                if "PolicyDocument" in item:
                    item["PolicyDocument"] = json.loads(item["PolicyDocument"])
                key = self.keep(item.pop("Tags", []), item, item[id_name])
                if key and operation == "describe_vpcs":
                    self.found[key]["attributes"] = {
                        name: ec2.describe_vpc_attribute(VpcId=item["VpcId"], Attribute=name)[name[0].upper() + name[1:]]
                        for name in ("enableDnsSupport", "enableDnsHostnames")
                    }

    def elbv2(self):
        elb = self.client("elbv2")

        def tags(arn):
            return elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]

        for balancer in elb.describe_load_balancers()["LoadBalancers"]:
            arn = balancer["LoadBalancerArn"]
            attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
            if not self.keep(tags(arn), {**balancer, "attributes": pairs(attributes)}, arn):
                continue
            for listener in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
                self.keep(tags(listener["ListenerArn"]), listener, listener["ListenerArn"])
        for group in elb.describe_target_groups()["TargetGroups"]:
            arn = group["TargetGroupArn"]
            attributes = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
            self.keep(tags(arn), {**group, "attributes": pairs(attributes)}, arn, arn.split(":", 5)[5])

    def kms(self):
        kms = self.client("kms")
        for alias in kms.list_aliases()["Aliases"]:
            if alias["AliasName"] != f"alias/{self.app}":
                continue
            key = alias["TargetKeyId"]
            metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
            description = {
                "alias": alias["AliasName"],
                "metadata": metadata,
                "policy": json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
                "rotation": kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"],
            }
            self.keep(kms.list_resource_tags(KeyId=key)["Tags"], description, metadata["Arn"], key)

    def s3(self):
        s3 = self.client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            name = bucket["Name"]
            tags = optional(lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"]) or []
            description = {
                "name": name,
                "versioning": s3.get_bucket_versioning(Bucket=name),
                "encryption": optional(lambda: s3.get_bucket_encryption(Bucket=name)),
                "access": optional(lambda: s3.get_public_access_block(Bucket=name)),
                "policy": optional(lambda: json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])),
                "lifecycle": optional(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]),
                "notification": s3.get_bucket_notification_configuration(Bucket=name),
                "ownership": optional(lambda: s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]),
            }
            self.keep(tags, description)

    def logs(self):
        logs = self.client("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            arn = group["arn"].removesuffix(":*")
            group.pop("storedBytes", None)
            self.keep(logs.list_tags_for_resource(resourceArn=arn)["tags"], group)

    def ecr(self):
        ecr = self.client("ecr")
        for repository in ecr.describe_repositories()["repositories"]:
            name = repository["repositoryName"]
            policy = optional(lambda: json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]))
            tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
            repository.pop("repositoryUri", None)
            self.keep(tags, {**repository, "lifecycle": policy})

    def iam(self):
        iam = self.client("iam")
        for role in iam.list_roles()["Roles"]:
            name = role["RoleName"]
            tags = iam.list_role_tags(RoleName=name)["Tags"]
            role = iam.get_role(RoleName=name)["Role"]
            role.pop("Tags", None)
            policies = {
                policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
            }
            attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            self.keep(tags, {**role, "policies": policies, "attached": attached})

    def ecs(self):
        ecs = self.client("ecs")
        for cluster in ecs.describe_clusters(clusters=[self.app], include=["TAGS", "SETTINGS", "CONFIGURATIONS"])["clusters"]:
            for counted in ("runningTasksCount", "pendingTasksCount", "activeServicesCount", "statistics"):
                cluster.pop(counted, None)
            self.keep(cluster.pop("tags", []), cluster)
        for service in ecs.describe_services(cluster=self.app, services=[self.app], include=["TAGS"])["services"]:
            # What runs is no matter of `up`.
            for moving in ("events", "deployments", "taskSets", "runningCount", "pendingCount", "taskDefinition"):
                service.pop(moving, None)
            self.keep(service.pop("tags", []), service)
        answer = ecs.describe_task_definition(taskDefinition=self.app, include=["TAGS"])
        self.keep(answer.get("tags", []), answer["taskDefinition"])

    def code(self):
        codecommit = self.client("codecommit")
        repository = codecommit.get_repository(repositoryName=self.app)["repositoryMetadata"]
        for url in ("cloneUrlHttp", "cloneUrlSsh"):
            repository.pop(url, None)
        self.keep(codecommit.list_tags_for_resource(resourceArn=repository["Arn"])["tags"], repository)

        for project in self.client("codebuild").batch_get_projects(names=[self.app])["projects"]:
            self.keep(project.pop("tags", []), project)

        codedeploy = self.client("codedeploy")
        application = codedeploy.get_application(applicationName=self.app)["application"]
        group = codedeploy.get_deployment_group(applicationName=self.app, deploymentGroupName=self.app)
        for name, value in (
            (f"application:{self.app}", application),
            (f"deploymentgroup:{self.app}/{self.app}", group["deploymentGroupInfo"]),
        ):
            arn = re.sub(r":ecs:.*", f":codedeploy:{self.region()}:{self.number()}:{name}", self.cluster_arn())
            self.keep(codedeploy.list_tags_for_resource(ResourceArn=arn)["Tags"], value)

        codepipeline = self.client("codepipeline")
        pipeline = codepipeline.get_pipeline(name=self.app)
        arn = pipeline["metadata"]["pipelineArn"]
        self.keep(codepipeline.list_tags_for_resource(resourceArn=arn)["tags"], pipeline["pipeline"])

    def events(self):
        events = self.client("events")
        for rule in events.list_rules(NamePrefix=f"{self.app}-")["Rules"]:
            rule["EventPattern"] = json.loads(rule["EventPattern"])
            targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            self.keep(events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"], {**rule, "targets": targets})

    def cluster_arn(self):
        return next(value["clusterArn"] for value in self.found.values() if "clusterArn" in value and "serviceArn" not in value)

    def region(self):
        return self.cluster_arn().split(":")[3]

    def number(self):
        return self.cluster_arn().split(":")[4]


def first(tag, *spellings):
    """Each service has its own spelling of a tag's two members."""
    return next(tag[name] for name in spellings if name in tag)


def optional(read):
    """What `read` gives, or None where the cloud says that there is no such configuration."""
    try:
        return read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code.startswith("NoSuch") or code.endswith(("NotFound", "NotFoundError", "NotFoundException")):
            return None
        raise


def pairs(attributes):
    return {attribute["Key"]: attribute["Value"] for attribute in attributes}


def clean(value, named):
    """Without what the cloud chooses and without times; lists of things without an order are sorted."""
    if isinstance(value, dict):
        return {
            key: clean(item, named)
            for key, item in value.items()
            if key not in CHOSEN and not isinstance(item, datetime.datetime) and item not in (None, [], {}, "")
        }
    if isinstance(value, list):
        items = [clean(item, named) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str))
    if isinstance(value, str):
        return named(value)
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
