//! S3's sub-resources of buckets: what is set, and what an unset one answers (a default, or an error of its own).
//! What the sandbox can't do is refused when it is set. Must not touch objects.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Bucket, Encryption, OWNER, Versioning, body, bucket, bucket_mut, invalid, malformed,
    no_content, owned,
};
use crate::iam::document::{self, Names, Statement, Use};
use crate::wire::{Call, Fault, Input as _, Reply, xml};
use crate::world::{Tags, World};

const ACCESS_BLOCK: &str = "PublicAccessBlockConfiguration";
const ENCRYPTION: &str = "ServerSideEncryptionConfiguration";
const LIFECYCLE: &str = "LifecycleConfiguration";
const NOTIFICATION: &str = "NotificationConfiguration";
const OWNERSHIP: &str = "OwnershipControls";

/// The switches of a public access block.
const SWITCHES: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

/// The largest bucket policy, in bytes.
const POLICY_LIMIT: usize = 20 * 1024;

/// The settings of a new bucket, since April 2023: nothing public, no ACLs.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    let block: serde_json::Map<String, Value> = SWITCHES
        .iter()
        .map(|name| ((*name).to_owned(), json!("true")))
        .collect();
    BTreeMap::from([
        (ACCESS_BLOCK.to_owned(), Value::Object(block)),
        (
            OWNERSHIP.to_owned(),
            json!({"Rule": {"ObjectOwnership": "BucketOwnerEnforced"}}),
        ),
    ])
}

/// The default encryption of a bucket's objects.
pub(super) fn default_encryption(bucket: &Bucket) -> Encryption {
    let rule = bucket
        .settings
        .get(ENCRYPTION)
        .and_then(|setting| setting.get("Rule"));
    let by_default = rule.and_then(|rule| rule.get("ApplyServerSideEncryptionByDefault"));
    let text = |name: &str| {
        by_default
            .and_then(|value| value.text(name))
            .map(ToOwned::to_owned)
    };
    Encryption {
        algorithm: text("SSEAlgorithm").unwrap_or_else(|| "AES256".to_owned()),
        key: text("KMSMasterKeyID"),
        bucket_key: rule
            .and_then(|rule| rule.flag("BucketKeyEnabled"))
            .unwrap_or(false),
    }
}

pub(super) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "GetBucketLocation" => get_location(world, call),
        "GetBucketVersioning" => get_versioning(world, call),
        "PutBucketVersioning" => put_versioning(world, call),
        "GetBucketEncryption" => get_encryption(world, call),
        "PutBucketEncryption" => put_encryption(world, call),
        "DeleteBucketEncryption" => unset(world, call, ENCRYPTION),
        "GetPublicAccessBlock" => {
            let missing = "The public access block configuration was not found";
            get(
                world,
                call,
                ACCESS_BLOCK,
                "NoSuchPublicAccessBlockConfiguration",
                missing,
            )
        }
        "PutPublicAccessBlock" => put_access_block(world, call),
        "DeletePublicAccessBlock" => unset(world, call, ACCESS_BLOCK),
        "GetBucketLifecycleConfiguration" => get_lifecycle(world, call),
        "PutBucketLifecycleConfiguration" => put_lifecycle(world, call),
        "DeleteBucketLifecycle" => unset(world, call, LIFECYCLE),
        "GetBucketPolicy" => get_policy(world, call),
        "PutBucketPolicy" => put_policy(world, call),
        "DeleteBucketPolicy" => delete_policy(world, call),
        "GetBucketPolicyStatus" => get_policy_status(world, call),
        "GetBucketOwnershipControls" => {
            let missing = "The bucket ownership controls were not found";
            get(
                world,
                call,
                OWNERSHIP,
                "OwnershipControlsNotFoundError",
                missing,
            )
        }
        "PutBucketOwnershipControls" => put_ownership(world, call),
        "DeleteBucketOwnershipControls" => unset(world, call, OWNERSHIP),
        "GetBucketNotificationConfiguration" => get_notification(world, call),
        "PutBucketNotificationConfiguration" => put_notification(world, call),
        "GetBucketTagging" => get_tagging(world, call),
        "PutBucketTagging" => put_tagging(world, call),
        "DeleteBucketTagging" => delete_tagging(world, call),
        "GetBucketAcl" => {
            bucket(world, call)?;
            Ok(acl())
        }
        "PutBucketAcl" => put_acl(world, call),
        _ => never_set(world, call),
    }
}

/// Sub-resources that the sandbox doesn't let anybody set: the answer of a bucket that never had them.
fn never_set(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    bucket(world, call)?;
    let missing = |code: &str, message: &str| Err(Fault::new(code, message).status(404));
    let value = match call.operation.as_str() {
        "GetBucketAbac" => json!({"AbacStatus": {"Status": "Disabled"}}),
        "GetBucketAccelerateConfiguration" => json!({"AccelerateConfiguration": {}}),
        "GetBucketLogging" => json!({"BucketLoggingStatus": {}}),
        "GetBucketRequestPayment" => {
            json!({"RequestPaymentConfiguration": {"Payer": "BucketOwner"}})
        }
        "GetBucketCors" => {
            return missing(
                "NoSuchCORSConfiguration",
                "The CORS configuration does not exist",
            );
        }
        "GetBucketWebsite" => {
            let message = "The specified bucket does not have a website configuration";
            return missing("NoSuchWebsiteConfiguration", message);
        }
        "GetBucketReplication" => {
            let message = "The replication configuration was not found";
            return missing("ReplicationConfigurationNotFoundError", message);
        }
        "GetObjectLockConfiguration" => {
            let message = "Object Lock configuration does not exist for this bucket";
            return missing("ObjectLockConfigurationNotFoundError", message);
        }
        _ => return Err(Fault::not_implemented(call)),
    };
    Ok(Reply::Value(value))
}

fn get(world: &World, call: &Call, root: &str, code: &str, message: &str) -> Result<Reply, Fault> {
    match bucket(world, call)?.settings.get(root) {
        Some(value) => Ok(Reply::Value(json!({root: value}))),
        None => Err(Fault::new(code, message).status(404)),
    }
}

fn set(world: &mut World, call: &Call, root: &str, value: Value) -> Result<Reply, Fault> {
    bucket_mut(world, call)?
        .settings
        .insert(root.to_owned(), value);
    Ok(Reply::Raw(200, Vec::new(), Bytes::new()))
}

fn unset(world: &mut World, call: &Call, root: &str) -> Result<Reply, Fault> {
    bucket_mut(world, call)?.settings.remove(root);
    Ok(no_content())
}

fn get_location(world: &World, call: &Call) -> Result<Reply, Fault> {
    let region = bucket(world, call)?.region.as_str();
    // us-east-1 is the one without a constraint.
    let constraint = if region == "us-east-1" { "" } else { region };
    Ok(Reply::Value(json!({"LocationConstraint": constraint})))
}

fn get_versioning(world: &World, call: &Call) -> Result<Reply, Fault> {
    let status = bucket(world, call)?
        .versioning
        .map(|versioning| match versioning {
            Versioning::Enabled => "Enabled",
            Versioning::Suspended => "Suspended",
        });
    Ok(Reply::Value(
        json!({"VersioningConfiguration": {"Status": status}}),
    ))
}

fn put_versioning(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = body(call, "VersioningConfiguration")?;
    if configuration.text("MfaDelete") == Some("Enabled") {
        return Err(Fault::new(
            "NotImplemented",
            "the ecspipe sandbox does not implement MFA delete",
        )
        .status(501));
    }
    let versioning = match configuration.text("Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        Some(_) => return Err(malformed()),
        None => {
            let message = "The Versioning element must be specified";
            return Err(Fault::new(
                "IllegalVersioningConfigurationException",
                message,
            ));
        }
    };
    bucket_mut(world, call)?.versioning = Some(versioning);
    Ok(Reply::Raw(200, Vec::new(), Bytes::new()))
}

fn get_encryption(world: &World, call: &Call) -> Result<Reply, Fault> {
    let amazon = json!({"Rule": {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BucketKeyEnabled": "false",
    }});
    let value = bucket(world, call)?
        .settings
        .get(ENCRYPTION)
        .unwrap_or(&amazon);
    Ok(Reply::Value(json!({ENCRYPTION: value})))
}

fn put_encryption(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let mut configuration = body(call, ENCRYPTION)?;
    let rules = xml::many(&configuration, "Rule");
    let [rule] = rules.as_slice() else {
        return Err(malformed());
    };
    let by_default = rule
        .get("ApplyServerSideEncryptionByDefault")
        .ok_or_else(malformed)?;
    match (
        by_default.text("SSEAlgorithm"),
        by_default.text("KMSMasterKeyID"),
    ) {
        (Some("aws:kms" | "aws:kms:dsse"), _) | (Some("AES256"), None) => {}
        (Some("AES256"), Some(_)) => {
            return Err(invalid(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ));
        }
        _ => return Err(malformed()),
    }
    if rule.get("BucketKeyEnabled").is_none() {
        configuration["Rule"]["BucketKeyEnabled"] = json!("false");
    }
    set(world, call, ENCRYPTION, configuration)
}

fn put_access_block(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = body(call, ACCESS_BLOCK)?;
    if SWITCHES
        .iter()
        .any(|name| configuration.get(*name).is_some() && configuration.flag(name).is_none())
    {
        return Err(malformed());
    }
    // A switch that isn't named is off.
    let switch = |name: &&str| {
        (
            (*name).to_owned(),
            json!(configuration.text(name).unwrap_or("false")),
        )
    };
    let value = SWITCHES.iter().map(switch).collect();
    set(world, call, ACCESS_BLOCK, Value::Object(value))
}

fn get_lifecycle(world: &World, call: &Call) -> Result<Reply, Fault> {
    let missing = || {
        let message = "The lifecycle configuration does not exist";
        Fault::new("NoSuchLifecycleConfiguration", message).status(404)
    };
    let value = bucket(world, call)?
        .settings
        .get(LIFECYCLE)
        .ok_or_else(missing)?;
    let text = xml::document(call, &json!({LIFECYCLE: value}));
    Ok(Reply::Raw(200, lifecycle_headers(), text.into()))
}

fn lifecycle_headers() -> Vec<(String, String)> {
    owned([
        ("content-type", "application/xml".to_owned()),
        (
            "x-amz-transition-default-minimum-object-size",
            "all_storage_classes_128K".to_owned(),
        ),
    ])
}

fn put_lifecycle(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = body(call, LIFECYCLE)?;
    let mut rules: Vec<Value> = xml::many(&configuration, "Rule")
        .into_iter()
        .cloned()
        .collect();
    if rules.is_empty() || rules.len() > 1000 {
        return Err(malformed());
    }
    let mut ids = BTreeSet::new();
    for rule in &mut rules {
        check_lifecycle_rule(rule)?;
        // Prefix and ID may be left out; AWS makes up the ID.
        if rule.text("ID").is_none_or(str::is_empty) {
            rule["ID"] = json!(world.hex(32));
        }
        let id = rule.text("ID").unwrap_or_default();
        if id.len() > 255 {
            return Err(invalid("ID length should not exceed allowed limit of 255"));
        }
        if !ids.insert(id.to_owned()) {
            return Err(invalid(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
    }
    set(world, call, LIFECYCLE, json!({"Rule": rules}))?;
    let mut headers = lifecycle_headers();
    headers.retain(|(name, _)| name != "content-type");
    Ok(Reply::Raw(200, headers, Bytes::new()))
}

fn check_lifecycle_rule(rule: &Value) -> Result<(), Fault> {
    if !matches!(rule.text("Status"), Some("Enabled" | "Disabled")) {
        return Err(malformed());
    }
    if rule.get("Filter").is_some() == rule.get("Prefix").is_some() {
        return Err(malformed());
    }
    let actions = [
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
    ];
    if actions.iter().all(|name| rule.get(*name).is_none()) {
        return Err(Fault::new(
            "InvalidRequest",
            "At least one action needs to be specified in a rule",
        ));
    }
    let days = [
        ("Expiration", "Days"),
        ("NoncurrentVersionExpiration", "NoncurrentDays"),
        ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
    ];
    for (action, member) in days {
        if rule
            .get(action)
            .and_then(|value| value.get(member))
            .is_some()
            && rule[action].int(member).is_none_or(|n| n < 1)
        {
            return Err(invalid(format!(
                "'{member}' for {action} action must be a positive integer"
            )));
        }
    }
    Ok(())
}

fn get_policy(world: &World, call: &Call) -> Result<Reply, Fault> {
    let text = bucket(world, call)?.policy.clone().ok_or_else(no_policy)?;
    Ok(Reply::Raw(
        200,
        owned([("content-type", "application/json".to_owned())]),
        text.into(),
    ))
}

fn put_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let malformed = |message: String| Fault::new("MalformedPolicy", message);
    let text = String::from_utf8_lossy(&call.http.body).into_owned();
    let bucket = bucket(world, call)?;
    if text.len() > POLICY_LIMIT {
        return Err(malformed("Policy is larger than 20480 bytes".to_owned()));
    }
    let statements = document::check(&text, Use::Resource).map_err(malformed)?;
    let arn = world.arn("s3", &bucket.region, &bucket.name);
    let ours = |resource: &String| *resource == arn || resource.starts_with(&format!("{arn}/"));
    if !statements
        .iter()
        .filter_map(|statement| statement.resources.as_ref())
        .flat_map(Names::patterns)
        .all(ours)
    {
        return Err(malformed("Policy has invalid resource".to_owned()));
    }
    if document::unknown_principal(world, &statements).is_some() {
        return Err(malformed("Invalid principal in policy".to_owned()));
    }
    let blocked = bucket
        .settings
        .get(ACCESS_BLOCK)
        .and_then(|block| block.flag("BlockPublicPolicy"));
    if blocked == Some(true) && is_public(&statements) {
        let message = "User is not authorized to perform: s3:PutBucketPolicy because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.";
        return Err(Fault::new("AccessDenied", message).status(403));
    }
    bucket_mut(world, call)?.policy = Some(text);
    Ok(no_content())
}

fn delete_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    bucket_mut(world, call)?.policy = None;
    Ok(no_content())
}

fn get_policy_status(world: &World, call: &Call) -> Result<Reply, Fault> {
    let text = bucket(world, call)?
        .policy
        .as_deref()
        .ok_or_else(no_policy)?;
    let statements = document::check(text, Use::Resource).unwrap_or_default();
    let public = if is_public(&statements) {
        "TRUE"
    } else {
        "FALSE"
    };
    Ok(Reply::Value(json!({"PolicyStatus": {"IsPublic": public}})))
}

/// Whether everybody is allowed something without a condition.
fn is_public(statements: &[Statement]) -> bool {
    let everybody = |statement: &Statement| statement.named("AWS").iter().any(|name| name == "*");
    statements
        .iter()
        .any(|statement| statement.allow && statement.conditions.is_empty() && everybody(statement))
}

fn no_policy() -> Fault {
    Fault::new("NoSuchBucketPolicy", "The bucket policy does not exist").status(404)
}

fn put_ownership(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = body(call, OWNERSHIP)?;
    let rules = xml::many(&configuration, "Rule");
    let [rule] = rules.as_slice() else {
        return Err(malformed());
    };
    let ownership = rule.text("ObjectOwnership").ok_or_else(malformed)?;
    own(bucket_mut(world, call)?, ownership)?;
    Ok(Reply::Raw(200, Vec::new(), Bytes::new()))
}

/// Sets who owns the bucket's objects.
pub(super) fn own(bucket: &mut Bucket, ownership: &str) -> Result<(), Fault> {
    if ![
        "BucketOwnerEnforced",
        "BucketOwnerPreferred",
        "ObjectWriter",
    ]
    .contains(&ownership)
    {
        return Err(malformed());
    }
    bucket.settings.insert(
        OWNERSHIP.to_owned(),
        json!({"Rule": {"ObjectOwnership": ownership}}),
    );
    Ok(())
}

fn get_notification(world: &World, call: &Call) -> Result<Reply, Fault> {
    let nothing = json!({});
    let value = bucket(world, call)?
        .settings
        .get(NOTIFICATION)
        .unwrap_or(&nothing);
    Ok(Reply::Value(json!({NOTIFICATION: value})))
}

fn put_notification(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = body(call, NOTIFICATION)?;
    let others = [
        "TopicConfiguration",
        "QueueConfiguration",
        "CloudFunctionConfiguration",
    ];
    if others.iter().any(|name| configuration.get(*name).is_some()) {
        // There are no topics, queues and functions in the sandbox, so no destination can be valid.
        return Err(invalid(
            "Unable to validate the following destination configurations",
        ));
    }
    let value = match configuration.get("EventBridgeConfiguration") {
        Some(_) => json!({"EventBridgeConfiguration": ""}),
        None => json!({}),
    };
    set(world, call, NOTIFICATION, value)
}

fn get_tagging(world: &World, call: &Call) -> Result<Reply, Fault> {
    let tags = &bucket(world, call)?.tags;
    if tags.is_empty() {
        return Err(Fault::new("NoSuchTagSet", "The TagSet does not exist").status(404));
    }
    Ok(Reply::Value(
        json!({"Tagging": {"TagSet": tag_elements(tags)}}),
    ))
}

fn put_tagging(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = tag_set(body(call, "Tagging")?.get("TagSet"))?;
    bucket_mut(world, call)?.tags = tags;
    Ok(no_content())
}

fn delete_tagging(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    bucket_mut(world, call)?.tags.clear();
    Ok(no_content())
}

/// A `TagSet` element as tags.
pub(super) fn tag_set(set: Option<&Value>) -> Result<Tags, Fault> {
    let problem = |message: &str| Err(Fault::new("InvalidTag", message));
    let mut tags = Tags::new();
    for tag in set.map(|set| xml::many(set, "Tag")).unwrap_or_default() {
        let (key, value) = (
            tag.text("Key").unwrap_or_default(),
            tag.text("Value").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 {
            return problem("The TagKey you have provided is invalid");
        }
        if value.chars().count() > 256 {
            return problem("The TagValue you have provided is invalid");
        }
        if key.to_lowercase().starts_with("aws:") {
            return problem("System tags cannot be added/updated by requester");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return problem("Cannot provide multiple Tags with the same key");
        }
    }
    match tags.len() > 50 {
        true => Err(Fault::new(
            "BadRequest",
            "Bucket tag count cannot be greater than 50",
        )),
        false => Ok(tags),
    }
}

/// Tags as the content of a `TagSet` element.
pub(super) fn tag_elements(tags: &Tags) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    json!({"Tag": tags})
}

fn put_acl(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let bucket = bucket(world, call)?;
    let ownership = bucket
        .settings
        .get(OWNERSHIP)
        .and_then(|setting| setting.get("Rule")?.text("ObjectOwnership"));
    let private = call
        .http
        .headers
        .get("x-amz-acl")
        .is_some_and(|acl| acl == "private");
    match (private, ownership) {
        (true, _) => Ok(Reply::Raw(200, Vec::new(), Bytes::new())),
        (false, Some("BucketOwnerEnforced")) => Err(Fault::new(
            "AccessControlListNotSupported",
            "The bucket does not allow ACLs",
        )),
        (false, _) => {
            let message = "the ecspipe sandbox has private ACLs only; use a bucket policy";
            Err(Fault::new("NotImplemented", message).status(501))
        }
    }
}

/// Full control for the owner, nothing for others. Written by hand: the grantee's type is an attribute.
pub(super) fn acl() -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{OWNER}</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{OWNER}</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
    );
    Reply::Raw(
        200,
        owned([("content-type", "application/xml".to_owned())]),
        text.into(),
    )
}
