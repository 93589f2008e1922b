//! IAM: roles with their policies, and managed policies. Global; knows which service can assume which role by now. Must not
//! decide about calls: that is `crate::iam`.

mod managed;

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::managed::ManagedPolicy;
use crate::clock::{self, Millis};
use crate::iam::document::{self, Use};
use crate::iam::evaluate::{Context, Policies, Principal, Request, ResourcePolicy, evaluate};
use crate::iam::simulate;
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "AttachRolePolicy",
    "CreatePolicy",
    "CreateRole",
    "CreateServiceLinkedRole",
    "DeletePolicy",
    "DeleteRole",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DetachRolePolicy",
    "GetAccountAuthorizationDetails",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListInstanceProfilesForRole",
    "ListPolicies",
    "ListPolicyTags",
    "ListRolePolicies",
    "ListRoleTags",
    "ListRoles",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "SimulatePrincipalPolicy",
    "TagPolicy",
    "TagRole",
    "UntagPolicy",
    "UntagRole",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
    "UpdateRoleDescription",
];

/// How long a new role or a changed trust policy takes until every service sees it. On AWS mostly some seconds; long
/// enough here that a caller who doesn't try again fails.
const SPREAD: Millis = 8_000;

/// The quota of a trust policy, in characters that aren't white space.
const TRUST_LIMIT: usize = 2_048;

/// The quota of a role's inline policies together, counted likewise.
const INLINE_LIMIT: usize = 10_240;

/// Managed policies per role, AWS's default quota.
const ATTACHED_LIMIT: usize = 10;

/// Tags per role.
const TAG_LIMIT: usize = 50;

/// The service-linked roles that the services of a deployment pipeline use: principal and role name.
const LINKED: [(&str, &str); 5] = [
    ("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
    (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
    ),
    (
        "codestar-notifications.amazonaws.com",
        "AWSServiceRoleForCodeStarNotifications",
    ),
    (
        "replication.ecr.amazonaws.com",
        "AWSServiceRoleForECRReplication",
    ),
];

/// The roles of the account and the sessions of assumed ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name; names are unique without regard to case.
    pub roles: BTreeMap<String, Role>,
    /// The account's managed policies, by ARN.
    #[serde(default)]
    pub policies: BTreeMap<String, ManagedPolicy>,
    /// By access key id.
    pub sessions: BTreeMap<String, Session>,
    /// How long a new role or a changed trust policy takes until every service sees it, where it isn't as usual. A dial.
    #[serde(skip)]
    pub spread: Option<Millis>,
}

impl State {
    fn spread(&self) -> Millis {
        self.spread.unwrap_or(SPREAD)
    }
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Role {
    /// The name.
    pub name: String,
    /// `/` or `/…/`.
    pub path: String,
    /// `AROA…`.
    pub id: String,
    /// With path and name.
    pub arn: String,
    /// When it was made.
    pub created: Millis,
    /// For people.
    pub description: Option<String>,
    /// In seconds.
    pub max_session: i64,
    /// The trust policy, as it was sent.
    pub trust: String,
    /// When the trust policy changed.
    pub trust_since: Millis,
    /// The trust policy in force until the present one has spread; none for a new role.
    pub former_trust: Option<String>,
    /// A managed policy's ARN.
    pub boundary: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// Inline policies by name, as they were sent.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

/// An assumed role's credentials.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Role id and session name.
    pub id: String,
    /// `arn:aws:sts::…:assumed-role/…`.
    pub arn: String,
    /// The role's ARN.
    #[serde(default)]
    pub role: String,
    /// When they end.
    pub expires: Millis,
}

impl Role {
    /// The trust policy that services see at `now`.
    fn trust_at(&self, now: Millis, spread: Millis) -> Option<&str> {
        match now >= self.trust_since + spread {
            true => Some(&self.trust),
            false => self.former_trust.as_deref(),
        }
    }

    fn is_linked(&self) -> bool {
        self.path.starts_with("/aws-service-role/")
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "AttachRolePolicy" => attach_role_policy(world, call),
        "CreatePolicy" => managed::create(world, call),
        "CreateRole" => create_role(world, call),
        "CreateServiceLinkedRole" => create_service_linked_role(world, call),
        "DeletePolicy" => managed::delete(world, call),
        "DeleteRole" => delete_role(world, call),
        "DeleteRolePermissionsBoundary" => delete_boundary(world, call),
        "DeleteRolePolicy" => delete_role_policy(world, call),
        "DetachRolePolicy" => detach_role_policy(world, call),
        "GetAccountAuthorizationDetails" => get_account_authorization_details(world, call),
        "GetPolicy" => managed::get(world, call),
        "GetPolicyVersion" => managed::get_version(world, call),
        "GetRole" => get_role(world, call),
        "GetRolePolicy" => get_role_policy(world, call),
        "ListAttachedRolePolicies" => list_attached_role_policies(world, call),
        "ListInstanceProfilesForRole" => list_instance_profiles(world, call),
        "ListPolicies" => managed::list(world, call),
        "ListPolicyTags" => managed::list_tags(world, call),
        "ListRolePolicies" => list_role_policies(world, call),
        "ListRoleTags" => list_role_tags(world, call),
        "ListRoles" => list_roles(world, call),
        "PutRolePermissionsBoundary" => put_boundary(world, call),
        "PutRolePolicy" => put_role_policy(world, call),
        "SimulatePrincipalPolicy" => {
            let results = simulate::results(world, call)?;
            listing(call, "EvaluationResults", results.into_iter())
        }
        "TagPolicy" => managed::tag(world, call),
        "TagRole" => tag_role(world, call),
        "UntagPolicy" => managed::untag(world, call),
        "UntagRole" => untag_role(world, call),
        "UpdateAssumeRolePolicy" => update_assume_role_policy(world, call),
        "UpdateRole" => update_role(world, call),
        "UpdateRoleDescription" => update_role_description(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Whether a service (such as `codebuild.amazonaws.com`) can assume the role by now: it exists, its trust policy lets the
/// service in that acts for `source` (an ARN), and it has had its time to spread. The error says why not, in words.
pub(crate) fn can_assume(
    world: &World,
    role_arn: &str,
    service: &str,
    source: &str,
) -> Result<(), String> {
    let context = Context::from([
        ("aws:SourceAccount", world.account.as_str()),
        ("aws:SourceArn", source),
    ]);
    let principal = Principal::Service(service.to_owned());
    let trust = trust_in_force(world, role_arn)?;
    let policies = Policies {
        resource: ResourcePolicy::Decides(trust.iter().collect()),
        ..Policies::default()
    };
    let request = Request {
        principal: &principal,
        account: &world.account,
        action: "sts:AssumeRole",
        resource: role_arn,
        context: &context,
    };
    evaluate(&request, &policies).map_err(|_| {
        format!("the trust policy of {role_arn} does not let {service} assume it for {source}")
    })
}

/// The trust policy that is in force by now; the error says why there is none.
pub(crate) fn trust_in_force(
    world: &World,
    role_arn: &str,
) -> Result<Vec<document::Statement>, String> {
    let role =
        role_by_arn(world, role_arn).ok_or_else(|| format!("there is no role {role_arn}"))?;
    let text = role
        .trust_at(world.now, world.iam.spread())
        .ok_or_else(|| format!("the role {role_arn} is too new to be assumed yet"))?;
    document::check(text, Use::Trust)
}

/// The role of a name.
pub(crate) fn role_named<'a>(world: &'a World, name: &str) -> Option<&'a Role> {
    world.iam.roles.get(name)
}

/// The name of a service's linked role.
pub(crate) fn linked_role_name(service: &str) -> Option<&'static str> {
    let found = LINKED.iter().find(|(principal, _)| *principal == service);
    found.map(|(_, name)| *name)
}

/// The role of an ARN.
pub(crate) fn role_by_arn<'a>(world: &'a World, arn: &str) -> Option<&'a Role> {
    let name = arn.rsplit('/').next()?;
    world.iam.roles.get(name).filter(|role| role.arn == arn)
}

/// Whether a role is there and has been for long enough to be named in a policy.
pub(crate) fn has_spread(world: &World, arn: &str) -> bool {
    role_by_arn(world, arn).is_some_and(|role| world.now >= role.created + world.iam.spread())
}

fn create_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = role_name(call)?.to_owned();
    let path = call.input.text("Path").unwrap_or("/").to_owned();
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > 512 {
        let message = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.";
        return Err(Fault::new("ValidationError", message));
    }
    if world
        .iam
        .roles
        .keys()
        .any(|existing| existing.eq_ignore_ascii_case(&name))
    {
        return Err(Fault::new(
            "EntityAlreadyExists",
            format!("Role with name {name} already exists."),
        )
        .status(409));
    }
    let trust = required(call, "AssumeRolePolicyDocument")?.to_owned();
    check_trust(world, &trust)?;
    let tags = new_tags(call)?;
    let boundary = call
        .input
        .text("PermissionsBoundary")
        .map(ToOwned::to_owned);
    if let Some(boundary) = &boundary {
        managed::check(world, boundary)?;
    }
    let role = Role {
        id: format!("AROA{}", world.hex(17).to_uppercase()),
        arn: world.arn("iam", &call.region, &format!("role{path}{name}")),
        created: world.now,
        description: description(call)?,
        max_session: max_session(call)?.unwrap_or(3600),
        trust,
        trust_since: world.now,
        former_trust: None,
        boundary,
        tags,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        name,
        path,
    };
    let answer = json!({"Role": shown(&role, true)});
    world.iam.roles.insert(role.name.clone(), role);
    Ok(Reply::Value(answer))
}

fn create_service_linked_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let service = required(call, "AWSServiceName")?.to_owned();
    if call.input.text("CustomSuffix").is_some() {
        return Err(invalid(
            "Custom suffix is not allowed for ".to_owned() + &service,
        ));
    }
    let Some(name) = linked_role_name(&service) else {
        return Err(invalid(format!(
            "the sandbox knows no service-linked role of {service}"
        )));
    };
    if world.iam.roles.contains_key(name) {
        let message = format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        );
        return Err(invalid(message));
    }
    let path = format!("/aws-service-role/{service}/");
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    ]});
    let role = Role {
        name: name.to_owned(),
        id: format!("AROA{}", world.hex(17).to_uppercase()),
        arn: world.arn("iam", &call.region, &format!("role{path}{name}")),
        path,
        created: world.now,
        description: description(call)?,
        max_session: 3600,
        trust: trust.to_string(),
        trust_since: world.now,
        former_trust: None,
        boundary: None,
        tags: Tags::new(),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
    };
    let answer = json!({"Role": shown(&role, true)});
    world.iam.roles.insert(role.name.clone(), role);
    Ok(Reply::Value(answer))
}

fn get_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let role = role(world, call)?;
    let mut value = shown(role, true);
    value["RoleLastUsed"] = json!({});
    Ok(Reply::Value(json!({"Role": value})))
}

fn list_roles(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let prefix = call.input.text("PathPrefix").unwrap_or("/");
    let roles = world
        .iam
        .roles
        .iter()
        .filter(|(_, role)| role.path.starts_with(prefix));
    // As on AWS, a listing leaves tags out.
    listing(
        call,
        "Roles",
        roles.map(|(name, role)| (name.clone(), shown(role, false))),
    )
}

fn update_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (description, max_session) = (description(call)?, max_session(call)?);
    let role = own_role(world, call)?;
    if call.input.text("Description").is_some() {
        role.description = description;
    }
    // "If you do not specify a value for this setting, the default value of one hour is applied" (API reference).
    role.max_session = max_session.unwrap_or(3600);
    Ok(Reply::Value(json!({})))
}

fn update_role_description(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let description = description(call)?;
    let role = own_role(world, call)?;
    role.description = description;
    Ok(Reply::Value(json!({"Role": shown(role, true)})))
}

fn update_assume_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let trust = required(call, "PolicyDocument")?.to_owned();
    check_trust(world, &trust)?;
    let (now, spread) = (world.now, world.iam.spread());
    let role = own_role(world, call)?;
    if role.trust != trust {
        role.former_trust = role.trust_at(now, spread).map(ToOwned::to_owned);
        role.trust = trust;
        role.trust_since = now;
    }
    Ok(Reply::Value(Value::Null))
}

fn delete_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let role = own_role(world, call)?;
    let conflict = |message: &str| Err(Fault::new("DeleteConflict", message).status(409));
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    let name = role.name.clone();
    world.iam.roles.remove(&name);
    Ok(Reply::Value(Value::Null))
}

fn tag_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let role = own_role(world, call)?;
    let mut all = role.tags.clone();
    all.extend(tags);
    if all.len() > TAG_LIMIT {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    role.tags = all;
    Ok(Reply::Value(Value::Null))
}

fn untag_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("TagKeys");
    let role = own_role(world, call)?;
    role.tags.retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(Value::Null))
}

fn list_role_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let role = role(world, call)?;
    let tags = role
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})));
    listing(call, "Tags", tags)
}

fn put_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = policy_name(call)?.to_owned();
    let text = required(call, "PolicyDocument")?.to_owned();
    document::check(&text, Use::Identity).map_err(malformed)?;
    let role = own_role(world, call)?;
    let others = role
        .inline
        .iter()
        .filter(|(other, _)| **other != name)
        .map(|(_, text)| text);
    let size: usize = others.chain([&text]).map(|text| visible(text)).sum();
    if size > INLINE_LIMIT {
        return Err(limit(format!(
            "Maximum policy size of {INLINE_LIMIT} bytes exceeded for role {}",
            role.name
        )));
    }
    role.inline.insert(name, text);
    Ok(Reply::Value(Value::Null))
}

fn get_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let role = role(world, call)?;
    let name = required(call, "PolicyName")?;
    let text = role.inline.get(name).ok_or_else(|| no_policy(name))?;
    Ok(Reply::Value(
        json!({"RoleName": role.name, "PolicyName": name, "PolicyDocument": encoded(text)}),
    ))
}

fn list_role_policies(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let role = role(world, call)?;
    listing(
        call,
        "PolicyNames",
        role.inline.keys().map(|name| (name.clone(), json!(name))),
    )
}

fn delete_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "PolicyName")?;
    own_role(world, call)?
        .inline
        .remove(name)
        .ok_or_else(|| no_policy(name))?;
    Ok(Reply::Value(Value::Null))
}

fn attach_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?.to_owned();
    managed::check(world, &arn)?;
    let role = own_role(world, call)?;
    if !role.attached.contains(&arn) && role.attached.len() >= ATTACHED_LIMIT {
        return Err(limit(format!(
            "Cannot exceed quota for PoliciesPerRole: {ATTACHED_LIMIT}"
        )));
    }
    role.attached.insert(arn);
    Ok(Reply::Value(Value::Null))
}

fn detach_role_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PolicyArn")?;
    if !own_role(world, call)?.attached.remove(arn) {
        return Err(Fault::new("NoSuchEntity", format!("Policy {arn} was not found.")).status(404));
    }
    Ok(Reply::Value(Value::Null))
}

fn list_attached_role_policies(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let prefix = call.input.text("PathPrefix").unwrap_or("/");
    let role = role(world, call)?;
    let attached = role
        .attached
        .iter()
        .filter(|arn| managed_path(arn).starts_with(prefix));
    listing(
        call,
        "AttachedPolicies",
        attached.map(|arn| (arn.clone(), attached_policy(arn))),
    )
}

fn put_boundary(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "PermissionsBoundary")?.to_owned();
    managed::check(world, &arn)?;
    own_role(world, call)?.boundary = Some(arn);
    Ok(Reply::Value(Value::Null))
}

fn delete_boundary(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    own_role(world, call)?.boundary = None;
    Ok(Reply::Value(Value::Null))
}

/// There are no instance profiles: nothing in the sandbox runs on instances.
fn list_instance_profiles(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    role(world, call)?;
    Ok(Reply::Value(
        json!({"InstanceProfiles": [], "IsTruncated": false}),
    ))
}

fn get_account_authorization_details(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let filter = call.input.texts("Filter");
    let legal = [
        "User",
        "Role",
        "Group",
        "LocalManagedPolicy",
        "AWSManagedPolicy",
    ];
    if let Some(odd) = filter.iter().find(|name| !legal.contains(&name.as_str())) {
        return Err(invalid_value(
            "filter",
            odd,
            "Member must satisfy enum value set",
        ));
    }
    let asked = |name: &str| filter.is_empty() || filter.iter().any(|other| other == name);
    let mut entries: Vec<(String, (&str, Value))> = Vec::new();
    // A page is cut across all kinds; AWS-managed policies come after the roles.
    if asked("Role") {
        entries.extend(
            world
                .iam
                .roles
                .iter()
                .map(|(name, role)| (format!("1/{name}"), ("RoleDetailList", detail(role)))),
        );
    }
    if asked("AWSManagedPolicy") {
        let attached: BTreeSet<&String> = world
            .iam
            .roles
            .values()
            .flat_map(|role| &role.attached)
            .collect();
        entries.extend(
            attached
                .into_iter()
                .map(|arn| (format!("2/{arn}"), ("Policies", managed_detail(world, arn)))),
        );
    }
    let cut = page(entries, call.input.text("Marker"), max_items(call)?).ok_or_else(bad_marker)?;
    let mut answer =
        json!({"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []});
    for (list, value) in cut.items {
        if let Some(items) = answer[list].as_array_mut() {
            items.push(value);
        }
    }
    answer["IsTruncated"] = json!(cut.next.is_some());
    answer["Marker"] = json!(cut.next);
    Ok(Reply::Value(answer))
}

fn detail(role: &Role) -> Value {
    let mut value = shown(role, true);
    if let Some(object) = value.as_object_mut() {
        for absent in ["MaxSessionDuration", "Description"] {
            object.shift_remove(absent);
        }
    }
    let inline = role
        .inline
        .iter()
        .map(|(name, text)| json!({"PolicyName": name, "PolicyDocument": encoded(text)}));
    value["InstanceProfileList"] = json!([]);
    value["RolePolicyList"] = inline.collect();
    value["AttachedManagedPolicies"] = role
        .attached
        .iter()
        .map(|arn| attached_policy(arn))
        .collect();
    value["Tags"] = tag_list(&role.tags);
    value["RoleLastUsed"] = json!({});
    value
}

fn managed_detail(world: &World, arn: &str) -> Value {
    let count = world
        .iam
        .roles
        .values()
        .filter(|role| role.attached.contains(arn))
        .count();
    json!({
        "PolicyName": managed_name(arn),
        "Arn": arn,
        "Path": managed_path(arn),
        "AttachmentCount": count,
        "IsAttachable": true,
    })
}

fn shown(role: &Role, tags: bool) -> Value {
    let mut value = json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": clock::iso(role.created),
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "Description": role.description,
        "MaxSessionDuration": role.max_session,
    });
    if let Some(arn) = &role.boundary {
        value["PermissionsBoundary"] = json!({"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn});
    }
    if tags && !role.tags.is_empty() {
        value["Tags"] = tag_list(&role.tags);
    }
    value
}

fn tag_list(tags: &Tags) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// Cuts a listing in IAM's way: `Marker`, `MaxItems`, `IsTruncated`.
fn listing(
    call: &Call,
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
) -> Result<Reply, Fault> {
    let cut = page(items, call.input.text("Marker"), max_items(call)?).ok_or_else(bad_marker)?;
    let mut answer = Map::new();
    answer.insert(list.to_owned(), Value::Array(cut.items));
    answer.insert("IsTruncated".to_owned(), json!(cut.next.is_some()));
    answer.insert("Marker".to_owned(), json!(cut.next));
    Ok(Reply::Value(Value::Object(answer)))
}

fn max_items(call: &Call) -> Result<usize, Fault> {
    match call.input.int("MaxItems") {
        None => Ok(100),
        Some(number @ 1..=1000) => Ok(number as usize),
        Some(other) => Err(invalid_value(
            "maxItems",
            &other.to_string(),
            "Member must have value between 1 and 1000",
        )),
    }
}

fn bad_marker() -> Fault {
    Fault::new("ValidationError", "Invalid Marker.")
}

fn role<'a>(world: &'a World, call: &Call) -> Result<&'a Role, Fault> {
    let name = role_name(call)?;
    world.iam.roles.get(name).ok_or_else(|| no_role(name))
}

/// The role, to be changed; a service-linked one belongs to its service.
fn own_role<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Role, Fault> {
    let name = role_name(call)?;
    let role = world.iam.roles.get_mut(name).ok_or_else(|| no_role(name))?;
    if role.is_linked() {
        let message = format!(
            "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        );
        return Err(Fault::new("UnmodifiableEntity", message));
    }
    Ok(role)
}

fn no_role(name: &str) -> Fault {
    Fault::new(
        "NoSuchEntity",
        format!("The role with name {name} cannot be found."),
    )
    .status(404)
}

fn no_policy(name: &str) -> Fault {
    Fault::new(
        "NoSuchEntity",
        format!("The role policy with name {name} cannot be found."),
    )
    .status(404)
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input
        .text(name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            Fault::new(
                "ValidationError",
                format!("The request must contain the parameter {name}."),
            )
        })
}

fn role_name(call: &Call) -> Result<&str, Fault> {
    let name = required(call, "RoleName")?;
    check_name("roleName", name, 64)?;
    Ok(name)
}

fn policy_name(call: &Call) -> Result<&str, Fault> {
    let name = required(call, "PolicyName")?;
    check_name("policyName", name, 128)?;
    Ok(name)
}

fn check_name(member: &str, name: &str, longest: usize) -> Result<(), Fault> {
    if name.len() > longest {
        let rule = format!("Member must have length less than or equal to {longest}");
        return Err(invalid_value(member, name, &rule));
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        let message = format!(
            "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
        );
        return Err(Fault::new("ValidationError", message));
    }
    Ok(())
}

fn description(call: &Call) -> Result<Option<String>, Fault> {
    match call.input.text("Description") {
        Some(text) if text.chars().count() > 1000 => Err(invalid_value(
            "description",
            text,
            "Member must have length less than or equal to 1000",
        )),
        other => Ok(other.filter(|text| !text.is_empty()).map(ToOwned::to_owned)),
    }
}

fn max_session(call: &Call) -> Result<Option<i64>, Fault> {
    match call.input.int("MaxSessionDuration") {
        Some(seconds) if !(3600..=43200).contains(&seconds) => {
            let rule = "Member must have value between 3600 and 43200";
            Err(invalid_value(
                "maxSessionDuration",
                &seconds.to_string(),
                rule,
            ))
        }
        other => Ok(other),
    }
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for item in call.input.list("Tags") {
        let (key, value) = (
            item.text("Key").unwrap_or_default(),
            item.text("Value").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid_value(
                "tags",
                key,
                "Tag keys have 1 to 128 characters and values at most 256",
            ));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated/removed."));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    if tags.len() > TAG_LIMIT {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    Ok(tags)
}

fn check_trust(world: &World, text: &str) -> Result<(), Fault> {
    if visible(text) > TRUST_LIMIT {
        return Err(limit(format!(
            "Cannot exceed quota for ACLSizePerRole: {TRUST_LIMIT}"
        )));
    }
    let statements = document::check(text, Use::Trust).map_err(malformed)?;
    match document::unknown_principal(world, &statements) {
        Some(arn) => Err(malformed(format!(
            "Invalid principal in policy: \"AWS\":\"{arn}\""
        ))),
        None => Ok(()),
    }
}

fn attached_policy(arn: &str) -> Value {
    json!({"PolicyName": managed_name(arn), "PolicyArn": arn})
}

fn managed_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// `/service-role/` of `arn:aws:iam::aws:policy/service-role/Name`.
fn managed_path(arn: &str) -> &str {
    let resource = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    &resource[..=resource.rfind('/').unwrap_or(0)]
}

/// The characters that count for a policy's quota.
fn visible(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// All but RFC 3986's unreserved characters, as IAM encodes documents in its answers.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

fn malformed(message: impl Into<String>) -> Fault {
    Fault::new("MalformedPolicyDocument", message)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidInput", message)
}

fn limit(message: impl Into<String>) -> Fault {
    Fault::new("LimitExceeded", message).status(409)
}

fn invalid_value(member: &str, value: &str, rule: &str) -> Fault {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    );
    Fault::new("ValidationError", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sandbox;
    use crate::testing::{self, pass, sandbox};

    const ARN: &str = "arn:aws:iam::111122223333:role/web";
    const SOURCE: &str = "arn:aws:codebuild:eu-central-1:111122223333:project/web";

    fn trust(service: &str) -> String {
        let statement = json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    }

    fn policy() -> String {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}).to_string()
    }

    async fn iam(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
        testing::call(sandbox, "iam", operation, input).await
    }

    async fn with_role(name: &str) -> Sandbox {
        let sandbox = sandbox();
        let tags = json!([{"Key": "ecspipe:app", "Value": "web & co"}]);
        let input = json!({"RoleName": name, "AssumeRolePolicyDocument": trust("codebuild.amazonaws.com"), "Tags": tags});
        iam(&sandbox, "CreateRole", input).await.unwrap();
        sandbox
    }

    fn refused(status: u16, code: &str) -> Result<Value, (u16, String)> {
        Err((status, code.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_comes_back_as_it_was_made() {
        let sandbox = with_role("web").await;
        let role = iam(&sandbox, "GetRole", json!({"RoleName": "web"}))
            .await
            .unwrap();
        assert_eq!(role["Role"]["Arn"], ARN);
        assert_eq!(role["Role"]["Tags"]["member"]["Value"], "web & co");
        let document = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap();
        assert!(
            document.starts_with("%7B%22Version%22%3A%222012-10-17%22"),
            "{document}"
        );
        let decoded = percent_encoding::percent_decode_str(document)
            .decode_utf8()
            .unwrap();
        assert_eq!(decoded, trust("codebuild.amazonaws.com"));
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_taken_without_regard_to_case() {
        let sandbox = with_role("web").await;
        let input =
            json!({"RoleName": "WEB", "AssumeRolePolicyDocument": trust("x.amazonaws.com")});
        assert_eq!(
            iam(&sandbox, "CreateRole", input).await,
            refused(409, "EntityAlreadyExists")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_can_be_assumed_only_when_it_has_spread() {
        let sandbox = with_role("web").await;
        let can = |service: &str| can_assume(&sandbox.world(), ARN, service, SOURCE).is_ok();
        assert!(!can("codebuild.amazonaws.com"));
        pass(9).await;
        assert!(can("codebuild.amazonaws.com"));
        assert!(!can("ecs.amazonaws.com"));
        let input = json!({"RoleName": "web", "PolicyDocument": trust("ecs.amazonaws.com")});
        iam(&sandbox, "UpdateAssumeRolePolicy", input)
            .await
            .unwrap();
        assert!(can("codebuild.amazonaws.com") && !can("ecs.amazonaws.com"));
        pass(9).await;
        assert!(!can("codebuild.amazonaws.com") && can("ecs.amazonaws.com"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trust_policy_of_another_account_does_not_count() {
        let sandbox = sandbox();
        for (name, account, want) in [
            ("own", "111122223333", true),
            ("other", "999999999999", false),
        ] {
            let statement = json!({"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}}});
            let document = json!({"Statement": [statement]}).to_string();
            iam(
                &sandbox,
                "CreateRole",
                json!({"RoleName": name, "AssumeRolePolicyDocument": document}),
            )
            .await
            .unwrap();
            pass(9).await;
            let arn = format!("arn:aws:iam::111122223333:role/{name}");
            assert_eq!(
                can_assume(&sandbox.world(), &arn, "events.amazonaws.com", SOURCE).is_ok(),
                want,
                "{name}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn broken_documents_are_malformed() {
        let sandbox = with_role("web").await;
        let input = json!({"RoleName": "b", "AssumeRolePolicyDocument": "{"});
        assert_eq!(
            iam(&sandbox, "CreateRole", input).await,
            refused(400, "MalformedPolicyDocument")
        );
        let input = json!({"RoleName": "web", "PolicyName": "p", "PolicyDocument": trust("x.amazonaws.com")});
        assert_eq!(
            iam(&sandbox, "PutRolePolicy", input).await,
            refused(400, "MalformedPolicyDocument")
        );
        let ghost = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:role/ghost"}}]});
        let input = json!({"RoleName": "web", "PolicyDocument": ghost.to_string()});
        assert_eq!(
            iam(&sandbox, "UpdateAssumeRolePolicy", input).await,
            refused(400, "MalformedPolicyDocument")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_goes_only_when_its_policies_are_gone() {
        let sandbox = with_role("web").await;
        let managed = json!({"RoleName": "web", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"});
        let inline = json!({"RoleName": "web", "PolicyName": "p", "PolicyDocument": policy()});
        let name = json!({"RoleName": "web"});
        iam(&sandbox, "AttachRolePolicy", managed.clone())
            .await
            .unwrap();
        iam(&sandbox, "PutRolePolicy", inline).await.unwrap();
        assert_eq!(
            iam(&sandbox, "DeleteRole", name.clone()).await,
            refused(409, "DeleteConflict")
        );
        iam(&sandbox, "DetachRolePolicy", managed).await.unwrap();
        assert_eq!(
            iam(&sandbox, "DeleteRole", name.clone()).await,
            refused(409, "DeleteConflict")
        );
        iam(
            &sandbox,
            "DeleteRolePolicy",
            json!({"RoleName": "web", "PolicyName": "p"}),
        )
        .await
        .unwrap();
        iam(&sandbox, "DeleteRole", name.clone()).await.unwrap();
        assert_eq!(
            iam(&sandbox, "GetRole", name).await,
            refused(404, "NoSuchEntity")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn listings_page() {
        let sandbox = sandbox();
        for index in 0..5 {
            let input = json!({"RoleName": format!("r{index}"), "AssumeRolePolicyDocument": trust("x.amazonaws.com")});
            iam(&sandbox, "CreateRole", input).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut input = json!({"MaxItems": 2});
        loop {
            let answer = iam(&sandbox, "ListRoles", input.clone()).await.unwrap();
            let roles = crate::wire::xml::many(&answer["Roles"], "member");
            seen.extend(
                roles
                    .iter()
                    .map(|role| role["RoleName"].as_str().unwrap().to_owned()),
            );
            match answer["Marker"].as_str() {
                Some(marker) => input["Marker"] = json!(marker),
                None => break,
            }
        }
        assert_eq!(seen, ["r0", "r1", "r2", "r3", "r4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_authorization_details_show_a_role_whole() {
        let sandbox = with_role("web").await;
        let inline = json!({"RoleName": "web", "PolicyName": "p", "PolicyDocument": policy()});
        iam(&sandbox, "PutRolePolicy", inline).await.unwrap();
        let answer = iam(
            &sandbox,
            "GetAccountAuthorizationDetails",
            json!({"Filter": ["Role"]}),
        )
        .await
        .unwrap();
        let role = &answer["RoleDetailList"]["member"];
        assert_eq!(
            role["RolePolicyList"]["member"]["PolicyDocument"],
            encoded(&policy())
        );
        assert_eq!(role["Tags"]["member"]["Key"], "ecspipe:app");
        let answer = iam(
            &sandbox,
            "GetAccountAuthorizationDetails",
            json!({"Filter": ["User"]}),
        )
        .await
        .unwrap();
        assert_eq!(answer["RoleDetailList"], "");
    }

    #[tokio::test(start_paused = true)]
    async fn service_linked_roles_are_made_once_and_protected() {
        let sandbox = sandbox();
        let input = json!({"AWSServiceName": "ecs.amazonaws.com"});
        iam(&sandbox, "CreateServiceLinkedRole", input.clone())
            .await
            .unwrap();
        assert_eq!(
            iam(&sandbox, "CreateServiceLinkedRole", input).await,
            refused(400, "InvalidInput")
        );
        let name = json!({"RoleName": "AWSServiceRoleForECS"});
        assert_eq!(
            iam(&sandbox, "DeleteRole", name).await,
            refused(400, "UnmodifiableEntity")
        );
    }
}
