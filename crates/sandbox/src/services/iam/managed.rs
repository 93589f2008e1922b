//! Managed policies: the account's own, with one version each, and a few of AWS's by name. Must not evaluate any.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    TAG_LIMIT, description, encoded, limit, listing, malformed, managed_name, managed_path,
    new_tags, policy_name, required, tag_list, visible,
};
use crate::clock::{self, Millis};
use crate::iam::document::{self, Use};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The quota of a managed policy's document, in characters that aren't white space.
const DOCUMENT_LIMIT: usize = 6_144;

/// Those of AWS's own policies that are listed. Any other is taken for granted where its ARN is given: their documents are
/// AWS's, and the sandbox has none of them.
const OF_AWS: [&str; 8] = [
    "AWSCodeDeployRoleForECS",
    "AdministratorAccess",
    "IAMFullAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "ViewOnlyAccess",
    "service-role/AWSCodeBuildDeveloperAccess",
    "service-role/AmazonECSTaskExecutionRolePolicy",
];

/// A managed policy of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// `ANPA…`.
    pub id: String,
    /// For people.
    pub description: Option<String>,
    /// The document of its only version, as it was sent.
    pub document: String,
    /// When it was made.
    pub created: Millis,
    /// Tags.
    pub tags: Tags,
}

pub(super) fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = policy_name(call)?.to_owned();
    let path = call.input.text("Path").unwrap_or("/");
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > 512 {
        let message = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.";
        return Err(Fault::new("ValidationError", message));
    }
    let document = required(call, "PolicyDocument")?.to_owned();
    document::check(&document, Use::Identity).map_err(malformed)?;
    if visible(&document) > DOCUMENT_LIMIT {
        return Err(limit(format!(
            "Cannot exceed quota for PolicySize: {DOCUMENT_LIMIT}"
        )));
    }
    let arn = world.arn("iam", &call.region, &format!("policy{path}{name}"));
    let taken = |arn: &String| managed_name(arn).eq_ignore_ascii_case(&name);
    if world.iam.policies.keys().any(taken) {
        let message =
            format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(Fault::new("EntityAlreadyExists", message).status(409));
    }
    let policy = ManagedPolicy {
        id: format!("ANPA{}", world.hex(17).to_uppercase()),
        description: description(call)?,
        document,
        created: world.now,
        tags: new_tags(call)?,
    };
    world.iam.policies.insert(arn.clone(), policy);
    Ok(Reply::Value(json!({"Policy": shown(world, &arn, true)})))
}

pub(super) fn get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?;
    check(world, arn)?;
    Ok(Reply::Value(json!({"Policy": shown(world, arn, true)})))
}

pub(super) fn get_version(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?;
    let version = required(call, "VersionId")?;
    let policy = own(world, arn)?;
    if version != "v1" {
        let message =
            format!("Policy {arn} version {version} does not exist or is not attachable.");
        return Err(Fault::new("NoSuchEntity", message).status(404));
    }
    Ok(Reply::Value(json!({"PolicyVersion": {
        "Document": encoded(&policy.document),
        "VersionId": "v1",
        "IsDefaultVersion": true,
        "CreateDate": clock::iso(policy.created),
    }})))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?.to_owned();
    own(world, &arn)?;
    let (attached, bounding) = uses(world, &arn);
    if attached + bounding > 0 {
        let message = "Cannot delete a policy attached to entities.";
        return Err(Fault::new("DeleteConflict", message).status(409));
    }
    world.iam.policies.remove(&arn);
    Ok(Reply::Value(Value::Null))
}

pub(super) fn list(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let scope = call.input.text("Scope").unwrap_or("All");
    let prefix = call.input.text("PathPrefix").unwrap_or("/");
    let only_attached = call.input.flag("OnlyAttached").unwrap_or_default();
    let partition = world.arn("iam", &call.region, "");
    let partition = partition.split(':').nth(1).unwrap_or("aws").to_owned();
    let mut arns: BTreeSet<String> = BTreeSet::new();
    if scope != "AWS" {
        arns.extend(world.iam.policies.keys().cloned());
    }
    if scope != "Local" {
        arns.extend(OF_AWS.map(|name| format!("arn:{partition}:iam::aws:policy/{name}")));
    }
    let found: Vec<(String, Value)> = arns
        .into_iter()
        .filter(|arn| managed_path(arn).starts_with(prefix))
        .filter(|arn| !only_attached || uses(world, arn).0 > 0)
        .map(|arn| {
            let value = shown(world, &arn, false);
            (arn, value)
        })
        .collect();
    listing(call, "Policies", found.into_iter())
}

pub(super) fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let policy = own(world, required(call, "PolicyArn")?)?;
    let tags = policy
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})));
    listing(call, "Tags", tags)
}

pub(super) fn tag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let arn = required(call, "PolicyArn")?;
    let mut all = own(world, arn)?.tags.clone();
    all.extend(tags);
    if all.len() > TAG_LIMIT {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    if let Some(policy) = world.iam.policies.get_mut(arn) {
        policy.tags = all;
    }
    Ok(Reply::Value(Value::Null))
}

pub(super) fn untag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?;
    own(world, arn)?;
    let keys = call.input.texts("TagKeys");
    if let Some(policy) = world.iam.policies.get_mut(arn) {
        policy.tags.retain(|key, _| !keys.contains(key));
    }
    Ok(Reply::Value(Value::Null))
}

/// Whether there is such a policy: one of the account's, or one that by its ARN is AWS's.
pub(super) fn check(world: &World, arn: &str) -> Result<(), Fault> {
    let of_aws = arn
        .split_once(":iam::aws:policy/")
        .is_some_and(|(start, name)| start.starts_with("arn:aws") && !name.is_empty());
    if of_aws || world.iam.policies.contains_key(arn) {
        return Ok(());
    }
    Err(missing(arn))
}

fn own<'a>(world: &'a World, arn: &str) -> Result<&'a ManagedPolicy, Fault> {
    world.iam.policies.get(arn).ok_or_else(|| missing(arn))
}

fn missing(arn: &str) -> Fault {
    let message = format!("Policy {arn} does not exist or is not attachable.");
    Fault::new("NoSuchEntity", message).status(404)
}

/// How many roles have it attached, and how many it bounds.
fn uses(world: &World, arn: &str) -> (usize, usize) {
    let roles = || world.iam.roles.values();
    (
        roles().filter(|role| role.attached.contains(arn)).count(),
        roles()
            .filter(|role| role.boundary.as_deref() == Some(arn))
            .count(),
    )
}

fn shown(world: &World, arn: &str, whole: bool) -> Value {
    let (attached, bounding) = uses(world, arn);
    let mut value = json!({
        "PolicyName": managed_name(arn),
        "Arn": arn,
        "Path": managed_path(arn),
        "DefaultVersionId": "v1",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounding,
        "IsAttachable": true,
    });
    // Of AWS's own nothing more is known here than the name.
    if let Some(policy) = world.iam.policies.get(arn) {
        value["PolicyId"] = json!(policy.id);
        value["CreateDate"] = json!(clock::iso(policy.created));
        value["UpdateDate"] = json!(clock::iso(policy.created));
        // A listing leaves both out, as on AWS.
        if whole {
            value["Description"] = json!(policy.description);
            if !policy.tags.is_empty() {
                value["Tags"] = tag_list(&policy.tags);
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use crate::Sandbox;
    use crate::testing::{call, sandbox};

    const ARN: &str = "arn:aws:iam::111122223333:policy/teams/boundary";

    async fn iam(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
        call(sandbox, "iam", operation, input).await
    }

    async fn with_boundary() -> Sandbox {
        let sandbox = sandbox();
        let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
        let input = json!({
            "PolicyName": "boundary", "Path": "/teams/", "PolicyDocument": document.to_string(),
            "Tags": [{"Key": "team", "Value": "platform"}],
        });
        let made = iam(&sandbox, "CreatePolicy", input).await.unwrap();
        assert_eq!(made["Policy"]["Arn"], ARN);
        sandbox
    }

    fn role(boundary: &str) -> Value {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]});
        json!({"RoleName": "bound", "AssumeRolePolicyDocument": trust.to_string(), "PermissionsBoundary": boundary})
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_is_listed_and_shown_with_its_tags() {
        let sandbox = with_boundary().await;
        let named = json!({"PolicyArn": ARN});
        let shown = iam(&sandbox, "GetPolicy", named.clone()).await.unwrap();
        assert_eq!(shown["Policy"]["PolicyName"], "boundary");
        let tags = iam(&sandbox, "ListPolicyTags", named).await.unwrap();
        assert!(tags.to_string().contains("platform"), "{tags}");
        let local = iam(&sandbox, "ListPolicies", json!({"Scope": "Local"})).await;
        let local = local.unwrap();
        let listed = crate::wire::xml::many(&local["Policies"], "member");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["Arn"], ARN);
        let all = iam(&sandbox, "ListPolicies", json!({})).await.unwrap();
        assert!(all.to_string().contains("policy/PowerUserAccess"), "{all}");
        let missing = json!({"PolicyArn": "arn:aws:iam::111122223333:policy/nobodys"});
        let (status, _) = iam(&sandbox, "GetPolicy", missing).await.unwrap_err();
        assert_eq!(status, 404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_bounds_a_role_stays() {
        let sandbox = with_boundary().await;
        let other = "arn:aws:iam::111122223333:policy/nobodys";
        let (status, said) = iam(&sandbox, "CreateRole", role(other)).await.unwrap_err();
        assert_eq!(
            (status, said.contains("NoSuchEntity")),
            (404, true),
            "{said}"
        );
        iam(&sandbox, "CreateRole", role(ARN)).await.unwrap();
        let named = json!({"PolicyArn": ARN});
        let (status, said) = iam(&sandbox, "DeletePolicy", named.clone())
            .await
            .unwrap_err();
        assert_eq!(
            (status, said.contains("DeleteConflict")),
            (409, true),
            "{said}"
        );
        let unbound = json!({"RoleName": "bound"});
        iam(&sandbox, "DeleteRolePermissionsBoundary", unbound)
            .await
            .unwrap();
        iam(&sandbox, "DeletePolicy", named).await.unwrap();
    }
}
