//! KMS: keys with their aliases, policies, rotation and slow deletion. Must not encrypt anything: nobody reads the
//! account's data but the account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{self, Millis};
use crate::iam::document::{self, Statement, Use};
use crate::iam::evaluate::{Context, Policies, Principal, Request, ResourcePolicy, evaluate};
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "CancelKeyDeletion",
    "CreateAlias",
    "CreateKey",
    "DeleteAlias",
    "DescribeKey",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListKeyPolicies",
    "ListKeys",
    "ListResourceTags",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
];

const DAY: Millis = 24 * 60 * 60 * 1000;

/// AWS's default rotation period.
const ROTATION_DAYS: i64 = 365;

/// The largest policy that KMS takes, in bytes.
const POLICY_LIMIT: usize = 32_768;

/// KMS in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By key id.
    pub keys: BTreeMap<String, Key>,
    /// By name, with `alias/`.
    pub aliases: BTreeMap<String, Alias>,
}

/// A symmetric key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    /// The id, a UUID.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// When it was made.
    pub created: Millis,
    /// For people.
    pub description: String,
    /// The key policy, as it was sent.
    pub policy: String,
    /// Tags.
    pub tags: Tags,
    /// What can be done with it.
    pub state: KeyState,
    /// Days between rotations and when they began; `None` is no rotation.
    pub rotation: Option<(i64, Millis)>,
}

/// What can be done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// It is kept, but doesn't encrypt.
    Disabled,
    /// It is deleted at that time, after so many days of waiting.
    PendingDeletion(Millis, i64),
}

/// Another name of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alias {
    /// The key's id.
    pub target: String,
    /// When it was made.
    pub created: Millis,
    /// When its target changed.
    pub updated: Millis,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    bury(world, &call.region);
    match call.operation.as_str() {
        "CancelKeyDeletion" => cancel_key_deletion(world, call),
        "CreateAlias" => create_alias(world, call),
        "CreateKey" => create_key(world, call),
        "DeleteAlias" => delete_alias(world, call),
        "DescribeKey" => describe_key(world, call),
        "DisableKey" => set_enabled(world, call, KeyState::Disabled),
        "DisableKeyRotation" => disable_key_rotation(world, call),
        "EnableKey" => set_enabled(world, call, KeyState::Enabled),
        "EnableKeyRotation" => enable_key_rotation(world, call),
        "GetKeyPolicy" => get_key_policy(world, call),
        "GetKeyRotationStatus" => get_key_rotation_status(world, call),
        "ListAliases" => list_aliases(world, call),
        "ListKeyPolicies" => list_key_policies(world, call),
        "ListKeys" => list_keys(world, call),
        "ListResourceTags" => list_resource_tags(world, call),
        "PutKeyPolicy" => put_key_policy(world, call),
        "ScheduleKeyDeletion" => schedule_key_deletion(world, call),
        "TagResource" => tag_resource(world, call),
        "UntagResource" => untag_resource(world, call),
        "UpdateAlias" => update_alias(world, call),
        "UpdateKeyDescription" => update_key_description(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Whether data can be encrypted with a key (id, ARN, alias or alias ARN) now. The error is KMS's.
pub(crate) fn usable(world: &World, region: &str, key: &str) -> Result<(), Fault> {
    let found = world
        .regions
        .get(region)
        .and_then(|at| find(&at.kms, key, region))
        .filter(|key| !is_gone(key, world.now));
    let key = found.ok_or_else(|| not_found(format!("Key '{key}' does not exist")))?;
    match key.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(Fault::new(
            "DisabledException",
            format!("{} is disabled.", key.arn),
        )),
        KeyState::PendingDeletion(..) => Err(pending(key)),
    }
}

/// The ARN of the key that an id, ARN, alias or alias ARN names.
pub(crate) fn arn(world: &World, region: &str, key: &str) -> Option<String> {
    find(&world.regions.get(region)?.kms, key, region).map(|key| key.arn.clone())
}

/// Whether a key's policy lets a service principal (such as `logs.eu-central-1.amazonaws.com`) encrypt with it, for what the
/// context says.
pub(crate) fn lets(
    world: &World,
    region: &str,
    key: &str,
    service: &str,
    context: &Context,
) -> bool {
    let at = world.regions.get(region);
    let Some(key) = at.and_then(|at| find(&at.kms, key, region)) else {
        return false;
    };
    let statements = document::check(&key.policy, Use::Resource).unwrap_or_default();
    let policies = Policies {
        resource: ResourcePolicy::Decides(statements.iter().collect()),
        ..Policies::default()
    };
    let request = Request {
        principal: &Principal::Service(service.to_owned()),
        account: &world.account,
        action: "kms:GenerateDataKey",
        resource: &key.arn,
        context,
    };
    evaluate(&request, &policies).is_ok()
}

/// The names of a key's aliases, with `alias/`.
pub(crate) fn aliases_of(world: &World, region: &str, id: &str) -> Vec<String> {
    let aliases = world.regions.get(region).map(|at| &at.kms.aliases);
    let of_key = aliases
        .into_iter()
        .flatten()
        .filter(|(_, alias)| alias.target == id);
    of_key.map(|(name, _)| name.clone()).collect()
}

/// Takes away the keys whose waiting time is over, with their aliases.
fn bury(world: &mut World, region: &str) {
    let now = world.now;
    let state = &mut world.at(region).kms;
    state.keys.retain(|_, key| !is_gone(key, now));
    let keys = &state.keys;
    state
        .aliases
        .retain(|_, alias| keys.contains_key(&alias.target));
}

fn is_gone(key: &Key, now: Millis) -> bool {
    matches!(key.state, KeyState::PendingDeletion(at, _) if at <= now)
}

fn create_key(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let spec = input
        .text("KeySpec")
        .or(input.text("CustomerMasterKeySpec"))
        .unwrap_or("SYMMETRIC_DEFAULT");
    let usual = input.text("KeyUsage").unwrap_or("ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT"
        && input.text("Origin").unwrap_or("AWS_KMS") == "AWS_KMS"
        && !input.flag("MultiRegion").unwrap_or(false)
        && ["CustomKeyStoreId", "XksKeyId"]
            .iter()
            .all(|name| input.get(*name).is_none());
    if spec != "SYMMETRIC_DEFAULT" || !usual {
        let message = "the ecspipe sandbox has symmetric single-Region keys of origin AWS_KMS only";
        return Err(Fault::new("UnsupportedOperationException", message));
    }
    let policy = match input.text("Policy") {
        Some(text) => {
            check_policy(world, call, text)?;
            text.to_owned()
        }
        None => default_policy(world, &call.region),
    };
    let tags = new_tags(call)?;
    let id = world.uuid();
    let key = Key {
        arn: world.arn("kms", &call.region, &format!("key/{id}")),
        created: world.now,
        description: description(call)?.unwrap_or_default(),
        policy,
        tags,
        state: KeyState::Enabled,
        rotation: None,
        id: id.clone(),
    };
    let answer = json!({"KeyMetadata": metadata(world, &key)});
    world.at(&call.region).kms.keys.insert(id, key);
    Ok(Reply::Value(answer))
}

fn describe_key(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "KeyId")?;
    let state = &world.at(&call.region).kms;
    let key = find(state, name, &call.region).ok_or_else(|| match name.contains("alias/") {
        true => not_found(format!("Alias {name} is not found.")),
        false => not_found(format!("Key '{name}' does not exist")),
    })?;
    let key = key.clone();
    Ok(Reply::Value(json!({"KeyMetadata": metadata(world, &key)})))
}

fn list_keys(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = &world.at(&call.region).kms.keys;
    let entries = keys
        .values()
        .map(|key| (key.id.clone(), json!({"KeyId": key.id, "KeyArn": key.arn})));
    listing(call, "Keys", entries, 100, 1000)
}

fn update_key_description(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = description(call)?.unwrap_or_default();
    let key = own_key(world, call)?;
    not_pending(key)?;
    key.description = text;
    Ok(Reply::Value(Value::Null))
}

fn set_enabled(world: &mut World, call: &Call, state: KeyState) -> Result<Reply, Fault> {
    let key = own_key(world, call)?;
    not_pending(key)?;
    key.state = state;
    Ok(Reply::Value(Value::Null))
}

fn schedule_key_deletion(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let days = call.input.int("PendingWindowInDays").unwrap_or(30);
    if !(7..=30).contains(&days) {
        let message =
            format!("PendingWindowInDays must be between 7 and 30 (inclusive), not {days}");
        return Err(Fault::new("ValidationException", message));
    }
    let at = world.now + days * DAY;
    let key = own_key(world, call)?;
    not_pending(key)?;
    key.state = KeyState::PendingDeletion(at, days);
    Ok(Reply::Value(json!({
        "KeyId": key.arn,
        "DeletionDate": clock::seconds(at),
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    })))
}

fn cancel_key_deletion(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let key = own_key(world, call)?;
    if !matches!(key.state, KeyState::PendingDeletion(..)) {
        return Err(Fault::new(
            "KMSInvalidStateException",
            format!("{} is not pending deletion.", key.arn),
        ));
    }
    key.state = KeyState::Disabled;
    Ok(Reply::Value(json!({"KeyId": key.arn})))
}

fn enable_key_rotation(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let days = call.input.int("RotationPeriodInDays");
    if let Some(days) = days.filter(|days| !(90..=2560).contains(days)) {
        let message = format!("RotationPeriodInDays must be between 90 and 2560, not {days}");
        return Err(Fault::new("ValidationException", message));
    }
    let now = world.now;
    let key = own_key(world, call)?;
    enabled(key)?;
    key.rotation = Some(match key.rotation {
        Some((had, since)) if days.is_none_or(|days| days == had) => (had, since),
        _ => (days.unwrap_or(ROTATION_DAYS), now),
    });
    Ok(Reply::Value(Value::Null))
}

fn disable_key_rotation(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let key = own_key(world, call)?;
    enabled(key)?;
    key.rotation = None;
    Ok(Reply::Value(Value::Null))
}

fn get_key_rotation_status(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let now = world.now;
    let key = own_key(world, call)?;
    let mut answer = json!({"KeyId": key.arn, "KeyRotationEnabled": false});
    // A key that waits for its deletion doesn't rotate, but remembers that it did.
    if let (Some((days, since)), KeyState::Enabled | KeyState::Disabled) = (key.rotation, key.state)
    {
        let rounds = (now - since) / (days * DAY) + 1;
        answer["KeyRotationEnabled"] = json!(true);
        answer["RotationPeriodInDays"] = json!(days);
        answer["NextRotationDate"] = clock::seconds(since + rounds * days * DAY);
    }
    Ok(Reply::Value(answer))
}

fn get_key_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    policy_name(call)?;
    let key = own_key(world, call)?;
    Ok(Reply::Value(
        json!({"Policy": key.policy, "PolicyName": "default"}),
    ))
}

fn put_key_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    policy_name(call)?;
    let text = required(call, "Policy")?.to_owned();
    check_policy(world, call, &text)?;
    own_key(world, call)?.policy = text;
    Ok(Reply::Value(Value::Null))
}

fn list_key_policies(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    own_key(world, call)?;
    Ok(Reply::Value(
        json!({"PolicyNames": ["default"], "Truncated": false}),
    ))
}

fn create_alias(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = alias_name(call)?.to_owned();
    let target = target_id(world, call)?;
    if world.at(&call.region).kms.aliases.contains_key(&name) {
        let arn = world.arn("kms", &call.region, &name);
        return Err(Fault::new(
            "AlreadyExistsException",
            format!("An alias with the name {arn} already exists"),
        ));
    }
    let now = world.now;
    let alias = Alias {
        target,
        created: now,
        updated: now,
    };
    world.at(&call.region).kms.aliases.insert(name, alias);
    Ok(Reply::Value(Value::Null))
}

fn update_alias(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = alias_name(call)?.to_owned();
    let target = target_id(world, call)?;
    let now = world.now;
    let arn = world.arn("kms", &call.region, &name);
    let alias = world.at(&call.region).kms.aliases.get_mut(&name);
    let alias = alias.ok_or_else(|| not_found(format!("Alias {arn} is not found.")))?;
    alias.target = target;
    alias.updated = now;
    Ok(Reply::Value(Value::Null))
}

fn delete_alias(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = alias_name(call)?;
    let arn = world.arn("kms", &call.region, name);
    let removed = world.at(&call.region).kms.aliases.remove(name);
    removed
        .map(|_| Reply::Value(Value::Null))
        .ok_or_else(|| not_found(format!("Alias {arn} is not found.")))
}

fn list_aliases(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let of_key = match call.input.text("KeyId") {
        Some(_) => Some(own_key(world, call)?.id.clone()),
        None => None,
    };
    let aliases = world.at(&call.region).kms.aliases.clone();
    let wanted = aliases
        .iter()
        .filter(|(_, alias)| of_key.as_ref().is_none_or(|key| *key == alias.target));
    let entries = wanted.map(|(name, alias)| {
        let entry = json!({
            "AliasName": name,
            "AliasArn": world.arn("kms", &call.region, name),
            "TargetKeyId": alias.target,
            "CreationDate": clock::seconds(alias.created),
            "LastUpdatedDate": clock::seconds(alias.updated),
        });
        (name.clone(), entry)
    });
    listing(call, "Aliases", entries, 50, 100)
}

fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let key = own_key(world, call)?;
    not_pending(key)?;
    let mut all = key.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "LimitExceededException",
            "The request was rejected because a limit was exceeded.",
        ));
    }
    key.tags = all;
    Ok(Reply::Value(Value::Null))
}

fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("TagKeys");
    let key = own_key(world, call)?;
    not_pending(key)?;
    key.tags.retain(|name, _| !names.contains(name));
    Ok(Reply::Value(Value::Null))
}

fn list_resource_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = own_key(world, call)?.tags.clone();
    let entries = tags
        .iter()
        .map(|(name, value)| (name.clone(), json!({"TagKey": name, "TagValue": value})));
    listing(call, "Tags", entries, 50, 50)
}

/// The key that an id, ARN, alias or alias ARN of this region names.
fn find<'a>(state: &'a State, name: &str, region: &str) -> Option<&'a Key> {
    let local = match name.strip_prefix("arn:") {
        Some(arn) => {
            let mut parts = arn.splitn(5, ':').skip(1);
            let here = parts.next() == Some("kms") && parts.next() == Some(region);
            parts.nth(1).filter(|_| here)?
        }
        None => name,
    };
    if local.starts_with("alias/") {
        return state
            .aliases
            .get(local)
            .and_then(|alias| state.keys.get(&alias.target));
    }
    state.keys.get(local.strip_prefix("key/").unwrap_or(local))
}

/// The key that `KeyId` names by id or ARN; these operations take no alias.
fn own_key<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Key, Fault> {
    let name = required(call, "KeyId")?;
    if name.contains("alias/") {
        return Err(not_found(format!("Invalid keyId {name}")));
    }
    let state = &mut world.at(&call.region).kms;
    let id = find(state, name, &call.region).map(|key| key.id.clone());
    let key = id.and_then(|id| state.keys.get_mut(&id));
    key.ok_or_else(|| not_found(format!("Key '{name}' does not exist")))
}

fn target_id(world: &mut World, call: &Call) -> Result<String, Fault> {
    let name = required(call, "TargetKeyId")?;
    if name.contains("alias/") {
        return Err(Fault::new(
            "ValidationException",
            "Aliases must refer to keys. Not aliases",
        ));
    }
    let state = &world.at(&call.region).kms;
    let key = find(state, name, &call.region)
        .ok_or_else(|| not_found(format!("Key '{name}' does not exist")))?;
    not_pending(key)?;
    Ok(key.id.clone())
}

fn alias_name(call: &Call) -> Result<&str, Fault> {
    let name = required(call, "AliasName")?;
    let rest = name
        .strip_prefix("alias/")
        .ok_or_else(|| Fault::new("ValidationException", "Invalid identifier"))?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    if rest.is_empty() || name.len() > 256 || !rest.chars().all(legal) {
        let message = format!(
            "1 validation error detected: Value '{name}' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^alias/[a-zA-Z0-9/_-]+$"
        );
        return Err(Fault::new("ValidationException", message));
    }
    match rest.starts_with("aws/") {
        true => Err(Fault::new(
            "NotAuthorizedException",
            "the prefix alias/aws/ is reserved for AWS managed keys",
        )),
        false => Ok(name),
    }
}

fn policy_name(call: &Call) -> Result<(), Fault> {
    match call.input.text("PolicyName") {
        None | Some("default") => Ok(()),
        Some(_) => Err(not_found("No such policy exists")),
    }
}

fn check_policy(world: &World, call: &Call, text: &str) -> Result<(), Fault> {
    let malformed = |message: String| Fault::new("MalformedPolicyDocumentException", message);
    if text.len() > POLICY_LIMIT {
        return Err(Fault::new(
            "LimitExceededException",
            "The key policy is larger than 32768 bytes.",
        ));
    }
    let statements = document::check(text, Use::Resource).map_err(malformed)?;
    if document::unknown_principal(world, &statements).is_some() {
        return Err(malformed(
            "Policy contains a statement with one or more invalid principals.".to_owned(),
        ));
    }
    let caller = crate::services::sts::caller(world, call);
    let root = format!(":iam::{}:root", world.account);
    let ours = |name: &String| {
        name == "*" || *name == world.account || *name == caller || name.ends_with(&root)
    };
    let keeps_control = |statement: &Statement| {
        let listed = statement.named("AWS").iter().any(ours);
        statement.allow && listed && statement.covers("kms:PutKeyPolicy")
    };
    if call.input.flag("BypassPolicyLockoutSafetyCheck") != Some(true)
        && !statements.iter().any(keeps_control)
    {
        let message =
            "The new key policy will not allow you to update the key policy in the future.";
        return Err(malformed(message.to_owned()));
    }
    Ok(())
}

fn default_policy(world: &World, region: &str) -> String {
    let statement = json!({
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": world.arn("iam", region, "root")},
        "Action": "kms:*",
        "Resource": "*",
    });
    json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}).to_string()
}

fn metadata(world: &World, key: &Key) -> Value {
    let mut value = json!({
        "AWSAccountId": world.account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": clock::seconds(key.created),
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": match key.state {
            KeyState::Enabled => "Enabled",
            KeyState::Disabled => "Disabled",
            KeyState::PendingDeletion(..) => "PendingDeletion",
        },
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let KeyState::PendingDeletion(at, _) = key.state {
        value["DeletionDate"] = clock::seconds(at);
    }
    value
}

/// Cuts a listing in KMS's way: `Marker`, `Limit`, `Truncated`.
fn listing(
    call: &Call,
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
    default: usize,
    most: usize,
) -> Result<Reply, Fault> {
    let limit = match call.input.int("Limit") {
        None => default,
        Some(number) if number >= 1 && number as usize <= most => number as usize,
        Some(number) => {
            return Err(Fault::new(
                "ValidationException",
                format!("Limit must be 1 to {most}, not {number}"),
            ));
        }
    };
    let cut = page(items, call.input.text("Marker"), limit)
        .ok_or_else(|| Fault::new("InvalidMarkerException", "Could not deserialize marker"))?;
    let mut answer = Map::new();
    answer.insert(list.to_owned(), Value::Array(cut.items));
    answer.insert("Truncated".to_owned(), json!(cut.next.is_some()));
    if let Some(next) = cut.next {
        answer.insert("NextMarker".to_owned(), json!(next));
    }
    Ok(Reply::Value(Value::Object(answer)))
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let problem = |message: &str| Err(Fault::new("TagException", message));
    let mut tags = Tags::new();
    for item in call.input.list("Tags") {
        let (key, value) = (
            item.text("TagKey").unwrap_or_default(),
            item.text("TagValue").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return problem("tag keys have 1 to 128 characters and values at most 256");
        }
        if key.to_lowercase().starts_with("aws:") {
            return problem("Tags beginning with aws: are reserved");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return problem("Duplicate tag keys");
        }
    }
    match tags.len() > 50 {
        true => problem("Too many tags"),
        false => Ok(tags),
    }
}

fn description(call: &Call) -> Result<Option<String>, Fault> {
    match call.input.text("Description") {
        Some(text) if text.chars().count() > 8192 => Err(Fault::new(
            "ValidationException",
            "Description has at most 8192 characters",
        )),
        other => Ok(other.map(ToOwned::to_owned)),
    }
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input.need(name)
}

fn enabled(key: &Key) -> Result<(), Fault> {
    not_pending(key)?;
    match key.state {
        KeyState::Disabled => Err(Fault::new(
            "DisabledException",
            format!("{} is disabled.", key.arn),
        )),
        _ => Ok(()),
    }
}

fn not_pending(key: &Key) -> Result<(), Fault> {
    match key.state {
        KeyState::PendingDeletion(..) => Err(pending(key)),
        _ => Ok(()),
    }
}

fn pending(key: &Key) -> Fault {
    Fault::new(
        "KMSInvalidStateException",
        format!("{} is pending deletion.", key.arn),
    )
}

fn not_found(message: impl Into<String>) -> Fault {
    Fault::new("NotFoundException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sandbox;
    use crate::testing::{self, pass, sandbox};

    async fn kms(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
        testing::call(sandbox, "kms", operation, input).await
    }

    async fn with_key() -> (Sandbox, String) {
        let sandbox = sandbox();
        let answer = kms(
            &sandbox,
            "CreateKey",
            json!({"Tags": [{"TagKey": "k", "TagValue": "v"}]}),
        )
        .await
        .unwrap();
        let id = answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        kms(
            &sandbox,
            "CreateAlias",
            json!({"AliasName": "alias/web", "TargetKeyId": id}),
        )
        .await
        .unwrap();
        (sandbox, id)
    }

    fn refused(code: &str) -> Result<Value, (u16, String)> {
        Err((400, code.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_found_by_each_of_its_names() {
        let (sandbox, id) = with_key().await;
        let arn = format!("arn:aws:kms:eu-central-1:111122223333:key/{id}");
        for name in [
            &id,
            &arn,
            "alias/web",
            "arn:aws:kms:eu-central-1:111122223333:alias/web",
        ] {
            let answer = kms(&sandbox, "DescribeKey", json!({"KeyId": name}))
                .await
                .unwrap();
            assert_eq!(answer["KeyMetadata"]["Arn"], arn, "{name}");
        }
        for name in [
            "alias/other",
            "1",
            "arn:aws:kms:us-east-1:111122223333:alias/web",
        ] {
            assert_eq!(
                kms(&sandbox, "DescribeKey", json!({"KeyId": name})).await,
                refused("NotFoundException"),
                "{name}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_deleted_slowly_and_can_be_kept() {
        let (sandbox, id) = with_key().await;
        let key = json!({"KeyId": id});
        kms(
            &sandbox,
            "ScheduleKeyDeletion",
            json!({"KeyId": id, "PendingWindowInDays": 7}),
        )
        .await
        .unwrap();
        let answer = kms(&sandbox, "DescribeKey", json!({"KeyId": "alias/web"}))
            .await
            .unwrap();
        assert_eq!(answer["KeyMetadata"]["KeyState"], "PendingDeletion");
        let tag = json!({"KeyId": id, "Tags": [{"TagKey": "a", "TagValue": "b"}]});
        assert_eq!(
            kms(&sandbox, "TagResource", tag).await,
            refused("KMSInvalidStateException")
        );
        kms(&sandbox, "CancelKeyDeletion", key.clone())
            .await
            .unwrap();
        let answer = kms(&sandbox, "DescribeKey", key.clone()).await.unwrap();
        assert_eq!(answer["KeyMetadata"]["KeyState"], "Disabled");
        assert_eq!(
            kms(&sandbox, "CancelKeyDeletion", key.clone()).await,
            refused("KMSInvalidStateException")
        );
        kms(
            &sandbox,
            "ScheduleKeyDeletion",
            json!({"KeyId": id, "PendingWindowInDays": 7}),
        )
        .await
        .unwrap();
        pass(7 * 24 * 3600 + 1).await;
        assert_eq!(
            kms(&sandbox, "DescribeKey", key).await,
            refused("NotFoundException")
        );
        let answer = kms(&sandbox, "ListAliases", json!({})).await.unwrap();
        assert_eq!(answer["Aliases"], json!([]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_alias_is_unique_and_listed_by_key() {
        let (sandbox, id) = with_key().await;
        let again = json!({"AliasName": "alias/web", "TargetKeyId": id});
        assert_eq!(
            kms(&sandbox, "CreateAlias", again).await,
            refused("AlreadyExistsException")
        );
        let odd = json!({"AliasName": "web", "TargetKeyId": id});
        assert_eq!(
            kms(&sandbox, "CreateAlias", odd).await,
            refused("ValidationException")
        );
        let other = kms(&sandbox, "CreateKey", json!({})).await.unwrap();
        let other = other["KeyMetadata"]["KeyId"].clone();
        let answer = kms(&sandbox, "ListAliases", json!({"KeyId": other}))
            .await
            .unwrap();
        assert_eq!(answer["Aliases"], json!([]));
        kms(
            &sandbox,
            "UpdateAlias",
            json!({"AliasName": "alias/web", "TargetKeyId": other}),
        )
        .await
        .unwrap();
        let answer = kms(&sandbox, "ListAliases", json!({"KeyId": other}))
            .await
            .unwrap();
        assert_eq!(answer["Aliases"][0]["AliasName"], "alias/web");
    }

    #[tokio::test(start_paused = true)]
    async fn rotation_is_switched() {
        let (sandbox, id) = with_key().await;
        let key = json!({"KeyId": id});
        let status = kms(&sandbox, "GetKeyRotationStatus", key.clone())
            .await
            .unwrap();
        assert_eq!(status["KeyRotationEnabled"], false);
        kms(&sandbox, "EnableKeyRotation", key.clone())
            .await
            .unwrap();
        let status = kms(&sandbox, "GetKeyRotationStatus", key.clone())
            .await
            .unwrap();
        assert_eq!(
            (
                &status["KeyRotationEnabled"],
                &status["RotationPeriodInDays"]
            ),
            (&json!(true), &json!(365))
        );
        kms(&sandbox, "DisableKey", key.clone()).await.unwrap();
        assert_eq!(
            kms(&sandbox, "DisableKeyRotation", key).await,
            refused("DisabledException")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_must_be_sound_and_keep_control() {
        let (sandbox, id) = with_key().await;
        let put = |policy: Value| json!({"KeyId": id, "Policy": policy.to_string()});
        let statement = |principal: &str| json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"});
        let root = "arn:aws:iam::111122223333:root";
        let good = json!({"Statement": [statement(root)]});
        kms(&sandbox, "PutKeyPolicy", put(good.clone()))
            .await
            .unwrap();
        let answer = kms(&sandbox, "GetKeyPolicy", json!({"KeyId": id}))
            .await
            .unwrap();
        assert_eq!(answer["Policy"], good.to_string());
        for bad in [
            json!({}),
            json!({"Statement": [statement("arn:aws:iam::999999999999:root")]}),
            json!({"Statement": [statement(root), statement("arn:aws:iam::111122223333:role/ghost")]}),
        ] {
            let answer = kms(&sandbox, "PutKeyPolicy", put(bad.clone())).await;
            assert_eq!(answer, refused("MalformedPolicyDocumentException"), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_lets_services_in() {
        let (sandbox, id) = with_key().await;
        let logs = "logs.eu-central-1.amazonaws.com";
        assert!(!lets(
            &sandbox.world(),
            "eu-central-1",
            &id,
            logs,
            &Context::default()
        ));
        let statements = json!([
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Allow", "Principal": {"Service": logs}, "Action": ["kms:GenerateDataKey*"], "Resource": "*"},
        ]);
        let input = json!({"KeyId": id, "Policy": json!({"Statement": statements}).to_string()});
        kms(&sandbox, "PutKeyPolicy", input).await.unwrap();
        assert!(lets(
            &sandbox.world(),
            "eu-central-1",
            &id,
            logs,
            &Context::default()
        ));
        assert!(!lets(
            &sandbox.world(),
            "eu-central-1",
            &id,
            "logs.us-east-1.amazonaws.com",
            &Context::default(),
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn tags_and_listings() {
        let (sandbox, id) = with_key().await;
        kms(
            &sandbox,
            "TagResource",
            json!({"KeyId": id, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        )
        .await
        .unwrap();
        kms(
            &sandbox,
            "UntagResource",
            json!({"KeyId": id, "TagKeys": ["k"]}),
        )
        .await
        .unwrap();
        let answer = kms(&sandbox, "ListResourceTags", json!({"KeyId": id}))
            .await
            .unwrap();
        assert_eq!(answer["Tags"], json!([{"TagKey": "a", "TagValue": "b"}]));
        kms(&sandbox, "CreateKey", json!({})).await.unwrap();
        let first = kms(&sandbox, "ListKeys", json!({"Limit": 1}))
            .await
            .unwrap();
        assert_eq!(first["Truncated"], true);
        let second = kms(
            &sandbox,
            "ListKeys",
            json!({"Limit": 1, "Marker": first["NextMarker"]}),
        )
        .await
        .unwrap();
        assert_eq!(second["Truncated"], false);
        assert_ne!(first["Keys"], second["Keys"]);
    }
}
