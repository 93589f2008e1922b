"""AWS's own command line describes everything of one app, at an endpoint, without an error.

Arguments: ENDPOINT APP REGION. The command line runs in this process, since starting it ninety times would cost a minute.
Prints each command, and at the end how many succeeded; exit code 1 names each that failed or found nothing.
Must only read.
"""

import contextlib
import io
import os
import sys

# Nothing of the caller's own configuration may reach the endpoint, nor the other way round.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
    AWS_MAX_ATTEMPTS="1",
)

from awscli.clidriver import create_clidriver  # noqa: E402 - reads the environment when imported


def main(endpoint, app, region):
    aws = CommandLine(endpoint, region)
    describe(aws, app)
    for failure in aws.failures:
        print(f"failed: {failure}")
    print(f"{aws.succeeded} commands succeeded, {len(aws.failures)} failed")
    return 1 if aws.failures or not aws.succeeded else 0


class CommandLine:
    """Runs commands and collects what failed."""

    def __init__(self, endpoint, region):
        self.options = ["--endpoint-url", endpoint, "--region", region, "--output", "text"]
        self.driver = create_clidriver()
        self.succeeded = 0
        self.failures = []

    def run(self, command, *arguments):
        """The words of the answer."""
        arguments = [*command.split(), *arguments]
        shown = "aws " + " ".join(arguments)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = self.driver.main([*self.options, *arguments])
            except SystemExit as stopped:
                code = stopped.code
        if code:
            self.failures.append(f"{shown}: {code}: {err.getvalue().strip()}")
            return []
        self.succeeded += 1
        print(f"ok: {shown}")
        return [word for word in out.getvalue().split() if word != "None"]

    def find(self, command, *arguments):
        """As `run`, but an empty answer is a failure too: the thing must be there."""
        failures = len(self.failures)
        words = self.run(command, *arguments)
        if not words and len(self.failures) == failures:
            self.failures.append(f"aws {command} {' '.join(arguments)}: found nothing")
        return words


def describe(aws, app):
    mine = f"Name=tag:ecspipe:app,Values={app}"
    aws.find("sts get-caller-identity --query Account")

    for vpc in aws.find("ec2 describe-vpcs --query Vpcs[].VpcId --filters", mine):
        aws.find("ec2 describe-subnets --query Subnets[].SubnetId --filters", f"Name=vpc-id,Values={vpc}")
        aws.find(f"ec2 describe-vpc-attribute --vpc-id {vpc} --attribute enableDnsHostnames")
    aws.find("ec2 describe-internet-gateways --filters", mine)
    aws.run("ec2 describe-nat-gateways --filter", mine)
    aws.run("ec2 describe-addresses --filters", mine)
    aws.find("ec2 describe-route-tables --filters", mine)
    aws.find("ec2 describe-security-groups --filters", mine)
    aws.run("ec2 describe-vpc-endpoints --filters", mine)

    for balancer in aws.find("elbv2 describe-load-balancers --query LoadBalancers[].LoadBalancerArn"):
        aws.find(f"elbv2 describe-load-balancer-attributes --load-balancer-arn {balancer}")
        aws.find(f"elbv2 describe-tags --resource-arns {balancer}")
        aws.find(f"elbv2 describe-listeners --load-balancer-arn {balancer}")
    for group in aws.find("elbv2 describe-target-groups --query TargetGroups[].TargetGroupArn"):
        aws.find(f"elbv2 describe-target-group-attributes --target-group-arn {group}")
        aws.run(f"elbv2 describe-target-health --target-group-arn {group}")

    aws.find(f"ecs describe-clusters --clusters {app} --include TAGS --query clusters[].clusterArn")
    aws.find(f"ecs describe-services --cluster {app} --services {app} --include TAGS --query services[].serviceArn")
    aws.find(f"ecs describe-task-definition --task-definition {app} --include TAGS")
    aws.find(f"ecs list-services --cluster {app}")
    aws.find(f"ecs list-task-definitions --family-prefix {app}")

    aws.find(f"ecr describe-repositories --repository-names {app}")
    aws.find(f"ecr get-lifecycle-policy --repository-name {app}")

    for key in aws.find("kms list-aliases --query", f"Aliases[?AliasName=='alias/{app}'].TargetKeyId"):
        aws.find(f"kms describe-key --key-id {key}")
        aws.find(f"kms get-key-policy --key-id {key} --policy-name default")
        aws.find(f"kms get-key-rotation-status --key-id {key}")
        aws.find(f"kms list-resource-tags --key-id {key}")

    for bucket in aws.find("s3api list-buckets --query Buckets[].Name"):
        aws.find(f"s3api get-bucket-versioning --bucket {bucket}")
        aws.find(f"s3api get-bucket-encryption --bucket {bucket}")
        aws.find(f"s3api get-bucket-tagging --bucket {bucket}")
        aws.find(f"s3api get-bucket-policy --bucket {bucket}")
        aws.find(f"s3api get-public-access-block --bucket {bucket}")
        aws.find(f"s3api get-bucket-lifecycle-configuration --bucket {bucket}")
        aws.run(f"s3api get-bucket-notification-configuration --bucket {bucket}")
        aws.run(f"s3api list-objects-v2 --bucket {bucket}")

    for role in aws.find("iam list-roles --query Roles[].RoleName"):
        aws.find(f"iam get-role --role-name {role}")
        for policy in aws.run(f"iam list-role-policies --role-name {role} --query PolicyNames[]"):
            aws.find(f"iam get-role-policy --role-name {role} --policy-name {policy}")

    aws.find("logs describe-log-groups --query logGroups[].logGroupName")

    aws.find(f"codecommit get-repository --repository-name {app}")
    aws.find(f"codebuild batch-get-projects --names {app} --query projects[].name")
    aws.find(f"deploy get-application --application-name {app}")
    aws.find(f"deploy get-deployment-group --application-name {app} --deployment-group-name {app}")
    aws.run(f"deploy list-deployments --application-name {app} --deployment-group-name {app}")
    aws.find(f"codepipeline get-pipeline --name {app}")
    aws.find(f"codepipeline get-pipeline-state --name {app}")
    aws.run(f"codepipeline list-pipeline-executions --pipeline-name {app}")

    for rule in aws.find(f"events list-rules --name-prefix {app}- --query Rules[].Name"):
        aws.find(f"events describe-rule --name {rule}")
        aws.find(f"events list-targets-by-rule --rule {rule}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
