//! What calls to CloudWatch and its logs, ECR, EventBridge, IAM, KMS, Lambda, Service Quotas and STS need. Must not know what they do.

use serde_json::Value;

use super::Desk;
use super::code::texts;
use crate::services::{iam as roles, kms as keys, lambda as functions};
use crate::wire::Input as _;

pub(super) fn cloudwatch(desk: &mut Desk<'_>) -> Option<()> {
    let tagged = desk.tags(desk.call.input.pairs("Tags", "Key", "Value"));
    desk.tag_keys_of("TagKeys");
    let alarm = |desk: &Desk<'_>, name: &str| desk.arn("cloudwatch", &format!("alarm:{name}"));
    match desk.operation() {
        "DeleteAlarms" | "DescribeAlarms" => {
            let mut names = desk.call.input.texts("AlarmNames");
            if names.is_empty() {
                names.push("*".to_owned());
            }
            for name in names {
                let arn = alarm(desk, &name);
                desk.own(arn);
            }
        }
        "PutMetricAlarm" | "SetAlarmState" => {
            let arn = alarm(desk, desk.text("AlarmName"));
            desk.own(arn.clone());
            if tagged {
                desk.need("cloudwatch:TagResource", arn);
            }
        }
        "GetMetricData" | "PutMetricData" => {
            desk.own("*");
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("ResourceARN"));
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn lambda(desk: &mut Desk<'_>) -> Option<()> {
    let given = desk.call.input.get("Tags").and_then(Value::as_object);
    let tagged = desk.tags(texts(given));
    let arn = functions::arn(desk.world, &desk.call.region, desk.text("FunctionName"));
    match desk.operation() {
        "CreateFunction" => {
            desk.own(arn.clone());
            if tagged {
                desk.need("lambda:TagResource", arn);
            }
            desk.pass_role(desk.text("Role"), "lambda");
        }
        "Invoke" => {
            desk.need("lambda:InvokeFunction", arn);
        }
        "DeleteFunction" | "GetFunction" | "GetFunctionConfiguration" => {
            desk.own(arn);
        }
        "ListFunctions" => {
            desk.own("*");
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn quotas(desk: &mut Desk<'_>) -> Option<()> {
    crate::services::quotas::OPERATIONS
        .contains(&desk.operation())
        .then(|| {
            desk.own("*");
        })
}

pub(super) fn tagging(desk: &mut Desk<'_>) -> Option<()> {
    (desk.operation() == "GetResources").then(|| {
        desk.own("*");
    })
}

pub(super) fn ecr(desk: &mut Desk<'_>) -> Option<()> {
    let tagged = desk.tags(desk.call.input.pairs("tags", "Key", "Value"));
    desk.tag_keys_of("tagKeys");
    match desk.operation() {
        "GetAuthorizationToken" => {
            desk.own("*");
        }
        "DescribeRepositories" => {
            let mut names = desk.call.input.texts("repositoryNames");
            if names.is_empty() {
                names.push("*".to_owned());
            }
            for name in names {
                let arn = desk.arn("ecr", &format!("repository/{name}"));
                desk.own(arn);
            }
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("resourceArn"));
        }
        "CreateRepository" => {
            let arn = desk.arn("ecr", &format!("repository/{}", desk.text("repositoryName")));
            desk.own(arn.clone());
            if tagged {
                desk.need("ecr:TagResource", arn);
            }
            let encryption = desk.call.input.get("encryptionConfiguration");
            let key = encryption.and_then(|settings| settings.text("kmsKey"));
            if let Some(key) = key {
                // ECR uses the key through a grant (ECR user guide, "Encryption at rest").
                for action in ["kms:CreateGrant", "kms:DescribeKey"] {
                    via(desk, action, key, "ecr");
                }
            }
        }
        "BatchDeleteImage"
        | "BatchGetImage"
        | "DeleteLifecyclePolicy"
        | "DeleteRepository"
        | "DescribeImages"
        | "GetDownloadUrlForLayer"
        | "GetLifecyclePolicy"
        | "GetRepositoryPolicy"
        | "ListImages"
        | "PutImage"
        | "PutImageScanningConfiguration"
        | "PutImageTagMutability"
        | "PutLifecyclePolicy"
        // What a container engine asks for through the registry's own protocol.
        | "BatchCheckLayerAvailability"
        | "CompleteLayerUpload"
        | "InitiateLayerUpload"
        | "UploadLayerPart" => {
            let arn = desk.arn("ecr", &format!("repository/{}", desk.text("repositoryName")));
            desk.own(arn);
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn events(desk: &mut Desk<'_>) -> Option<()> {
    let tagged = desk.tags(desk.call.input.pairs("Tags", "Key", "Value"));
    desk.tag_keys_of("TagKeys");
    let rule =
        |desk: &Desk<'_>, member: &str| desk.arn("events", &format!("rule/{}", desk.text(member)));
    match desk.operation() {
        "PutRule" => {
            let arn = rule(desk, "Name");
            desk.own(arn.clone());
            if tagged {
                desk.need("events:TagResource", arn);
            }
            desk.pass_role(desk.text("RoleArn"), "events");
        }
        "DeleteRule" | "DescribeRule" | "DisableRule" | "EnableRule" => {
            let arn = rule(desk, "Name");
            desk.own(arn);
        }
        "ListTargetsByRule" | "RemoveTargets" => {
            let arn = rule(desk, "Rule");
            desk.own(arn);
        }
        "PutTargets" => {
            let arn = rule(desk, "Rule");
            desk.own(arn);
            for target in desk.call.input.list("Targets") {
                desk.pass_role(target.text("RoleArn").unwrap_or_default(), "events");
            }
        }
        "PutEvents" => {
            let arn = desk.arn("events", "event-bus/default");
            desk.own(arn);
        }
        "ListRuleNamesByTarget" | "ListRules" | "TestEventPattern" => {
            desk.own("*");
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("ResourceARN"));
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn iam(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    let tagged = desk.tags(desk.call.input.pairs("Tags", "Key", "Value"));
    desk.tag_keys_of("TagKeys");
    if [
        "GetAccountAuthorizationDetails",
        "ListPolicies",
        "ListRoles",
    ]
    .contains(&operation)
    {
        desk.own("*");
        return Some(());
    }
    if operation == "SimulatePrincipalPolicy" {
        desk.own(desk.text("PolicySourceArn"));
        return Some(());
    }
    if operation.ends_with("Policy") && !operation.contains("Role")
        || ["GetPolicyVersion", "ListPolicyTags"].contains(&operation)
    {
        return managed_policy(desk, tagged);
    }
    // What is left is about a role.
    if !roles::OPERATIONS.contains(&operation) || !operation.contains("Role") {
        return None;
    }
    if operation == "CreateServiceLinkedRole" {
        let service = desk.text("AWSServiceName");
        let name = roles::linked_role_name(service).unwrap_or("*");
        let arn = desk.arn("iam", &format!("role/aws-service-role/{service}/{name}"));
        desk.own(arn).context.set("iam:AWSServiceName", service);
        return Some(());
    }
    let name = desk.text("RoleName");
    let found = roles::role_named(desk.world, name);
    let arn = match (operation, found) {
        (_, Some(role)) => role.arn.clone(),
        ("CreateRole", None) => {
            let path = desk.call.input.text("Path").unwrap_or("/");
            desk.arn("iam", &format!("role{path}{name}"))
        }
        (_, None) => desk.arn("iam", &format!("role/{name}")),
    };
    let attached = found.and_then(|role| role.boundary.clone());
    let boundary = match operation {
        "CreateRole" | "PutRolePermissionsBoundary" => desk
            .call
            .input
            .text("PermissionsBoundary")
            .map(ToOwned::to_owned),
        "AttachRolePolicy"
        | "DeleteRolePermissionsBoundary"
        | "DeleteRolePolicy"
        | "DetachRolePolicy"
        | "PutRolePolicy" => attached,
        _ => None,
    };
    let policy = desk.call.input.text("PolicyArn");
    let need = desk.own(arn.clone());
    if let Some(boundary) = boundary {
        need.context.set("iam:PermissionsBoundary", boundary);
    }
    if let Some(policy) = policy {
        need.context.set("iam:PolicyARN", policy);
    }
    if operation == "CreateRole" && tagged {
        desk.need("iam:TagRole", arn);
    }
    Some(())
}

/// What is about a managed policy itself.
fn managed_policy(desk: &mut Desk<'_>, tagged: bool) -> Option<()> {
    let operation = desk.operation();
    if !roles::OPERATIONS.contains(&operation) {
        return None;
    }
    if operation != "CreatePolicy" {
        desk.own(desk.text("PolicyArn"));
        return Some(());
    }
    let path = desk.call.input.text("Path").unwrap_or("/");
    let name = desk.text("PolicyName");
    let arn = desk.arn("iam", &format!("policy{path}{name}"));
    desk.own(arn.clone());
    if tagged {
        desk.need("iam:TagPolicy", arn);
    }
    Some(())
}

pub(super) fn kms(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    let tagged = desk.tags(desk.call.input.pairs("Tags", "TagKey", "TagValue"));
    desk.tag_keys_of("TagKeys");
    match operation {
        "ListAliases" | "ListKeys" => {
            desk.own("*");
        }
        "CreateKey" => {
            desk.own("*");
            let new = desk.arn("kms", "key/*");
            if tagged {
                desk.need("kms:TagResource", new.clone());
            }
            if !desk.text("Policy").is_empty() {
                desk.need("kms:PutKeyPolicy", new);
            }
        }
        "CreateAlias" | "DeleteAlias" | "UpdateAlias" => {
            let alias = desk.text("AliasName");
            let arn = desk.arn("kms", alias);
            desk.own(arn);
            // The key that has the alias, and the one that gets it.
            let mut named = vec![desk.text("TargetKeyId")];
            if operation != "CreateAlias" {
                named.push(alias);
            }
            for name in named {
                if let Some(arn) = keys::arn(desk.world, &desk.call.region, name) {
                    desk.own(arn);
                }
            }
        }
        "CancelKeyDeletion"
        | "Decrypt"
        | "DescribeKey"
        | "DisableKey"
        | "DisableKeyRotation"
        | "EnableKey"
        | "EnableKeyRotation"
        | "GenerateDataKey"
        | "GetKeyPolicy"
        | "GetKeyRotationStatus"
        | "ListKeyPolicies"
        | "ListResourceTags"
        | "PutKeyPolicy"
        | "ScheduleKeyDeletion"
        | "TagResource"
        | "UntagResource"
        | "UpdateKeyDescription" => {
            // Of a key that isn't there nothing can be told.
            if let Some(arn) = keys::arn(desk.world, &desk.call.region, desk.text("KeyId")) {
                desk.own(arn);
            }
        }
        _ => return None,
    }
    Some(())
}

/// A group is meant with all that is in it, but where its tags are the subject (CloudWatch Logs user guide, "Overview of managing
/// access permissions").
pub(super) fn logs(desk: &mut Desk<'_>) -> Option<()> {
    let given = desk.call.input.get("tags").and_then(Value::as_object);
    let tagged = desk.tags(texts(given));
    desk.tag_keys_of("tagKeys");
    let group = match (desk.text("logGroupName"), desk.text("logGroupIdentifier")) {
        ("", identifier) => identifier.rsplit(":log-group:").next().unwrap_or_default(),
        (name, _) => name,
    };
    let bare = desk.arn("logs", &format!("log-group:{group}"));
    let whole = format!("{bare}:log-stream:");
    match desk.operation() {
        "CreateLogGroup" => {
            desk.own(whole);
            if tagged {
                desk.need("logs:TagResource", bare);
            }
        }
        "AssociateKmsKey"
        | "DeleteLogGroup"
        | "DeleteRetentionPolicy"
        | "DescribeLogStreams"
        | "DisassociateKmsKey"
        | "FilterLogEvents"
        | "PutRetentionPolicy" => {
            desk.own(whole);
        }
        "ListTagsLogGroup" | "TagLogGroup" | "UntagLogGroup" => {
            desk.own(whole);
        }
        "CreateLogStream" | "DeleteLogStream" | "GetLogEvents" | "PutLogEvents" => {
            desk.own(format!("{whole}{}", desk.text("logStreamName")));
        }
        "DescribeLogGroups" => {
            desk.own("*");
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("resourceArn"));
        }
        _ => return None,
    }
    Some(())
}

/// `AssumeRole` is decided by STS itself, with the role's trust; who one is everybody may ask.
pub(super) fn sts(desk: &mut Desk<'_>) -> Option<()> {
    ["AssumeRole", "GetCallerIdentity"]
        .contains(&desk.operation())
        .then_some(())
}

/// What a service does with a key on the caller's behalf.
fn via(desk: &mut Desk<'_>, action: &str, key: &str, service: &str) {
    let region = desk.call.region.clone();
    let Some(arn) = keys::arn(desk.world, &region, key) else {
        return;
    };
    let need = desk.need(action, arn);
    need.context.set(
        "kms:ViaService",
        format!("{service}.{region}.amazonaws.com"),
    );
    if action == "kms:CreateGrant" {
        need.context.set("kms:GrantIsForAWSResource", "true");
    }
}
