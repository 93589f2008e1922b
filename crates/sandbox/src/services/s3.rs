//! S3: buckets with their settings, and objects with their versions. Bucket names are global, buckets have a Region.
//! Bucket policies are checked for form, kept and given back, but not evaluated: the sandbox authorises nobody.
//! Must not keep anything outside the account's state: objects are small here.

mod listing;
mod multipart;
mod objects;
mod settings;
#[cfg(test)]
mod tests;

pub use multipart::{Part, Upload};

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::runtime::Content;
use crate::services::{ecr, events, kms};
use crate::wire::{Call, Fault, Input as _, Reply, rest, xml};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteBucketEncryption",
    "DeleteBucketLifecycle",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketTagging",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "GetBucketAbac",
    "GetBucketAccelerateConfiguration",
    "GetBucketAcl",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketReplication",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetObject",
    "GetObjectAcl",
    "GetObjectLockConfiguration",
    "GetObjectTagging",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PutBucketAcl",
    "PutBucketEncryption",
    "PutBucketLifecycleConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutObject",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "UploadPart",
];

/// Every bucket of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub buckets: BTreeMap<String, Bucket>,
    /// Multipart uploads that are neither completed nor aborted, by id.
    pub uploads: BTreeMap<String, Upload>,
}

/// A bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bucket {
    /// The name.
    pub name: String,
    /// Its Region.
    pub region: String,
    /// When it was made.
    pub created: Millis,
    /// `None` where it was never switched on.
    pub versioning: Option<Versioning>,
    /// The bucket policy, as it was sent.
    pub policy: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// Other sub-resources, parsed, by the name of their root element.
    pub settings: BTreeMap<String, Value>,
    /// Objects by key; versions with the newest last.
    pub objects: BTreeMap<String, Vec<Version>>,
}

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// Every write makes a version.
    Enabled,
    /// Writes go to the version `null`; older versions are kept.
    Suspended,
}

/// One version of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    /// `null` where the bucket kept no versions when it was written.
    pub id: String,
    /// When it was written.
    pub at: Millis,
    /// The bytes; `None` is a delete marker.
    pub content: Option<Content>,
    /// Without quotes. The MD5 of the bytes, but not where a KMS key encrypts them (as on AWS).
    pub etag: String,
    /// User metadata, names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// Headers that are given back as they came: `content-type`, `cache-control`, ….
    pub headers: BTreeMap<String, String>,
    /// `x-amz-checksum-…` headers.
    pub checksums: BTreeMap<String, String>,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// Tags.
    pub tags: Tags,
}

/// How an object is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The ARN of the KMS key, if it is one of the account.
    pub key: Option<String>,
    /// Whether a bucket key is used.
    pub bucket_key: bool,
}

impl Version {
    fn bytes(&self) -> &[u8] {
        self.content
            .as_ref()
            .map(|content| content.0.as_slice())
            .unwrap_or_default()
    }

    fn is_marker(&self) -> bool {
        self.content.is_none()
    }
}

impl Bucket {
    /// The newest version of an object, if that isn't a delete marker.
    fn current(&self, key: &str) -> Option<&Version> {
        self.objects
            .get(key)?
            .last()
            .filter(|version| !version.is_marker())
    }

    fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.objects
            .get(key)?
            .iter()
            .find(|version| version.id == id)
    }

    /// Adds a version, in place of the version `null` if it is that.
    fn add(&mut self, key: &str, version: Version) {
        let versions = self.objects.entry(key.to_owned()).or_default();
        if version.id == "null" {
            versions.retain(|other| other.id != "null");
        }
        versions.push(version);
    }

    /// Takes one version away.
    fn remove(&mut self, key: &str, id: &str) -> Option<Version> {
        let versions = self.objects.get_mut(key)?;
        let index = versions.iter().position(|version| version.id == id)?;
        let removed = versions.remove(index);
        if versions.is_empty() {
            self.objects.remove(key);
        }
        Some(removed)
    }

    fn sends_events(&self) -> bool {
        let setting = self.settings.get("NotificationConfiguration");
        setting.is_some_and(|setting| setting.get("EventBridgeConfiguration").is_some())
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    if !OPERATIONS.contains(&call.operation.as_str()) {
        return Err(Fault::not_implemented(call));
    }
    if ecr::is_download(call) {
        return ecr::download(world, call);
    }
    check_owner(world, call)?;
    match call.operation.as_str() {
        "ListBuckets" => return list_buckets(world, call),
        "CreateBucket" => return create_bucket(world, call),
        _ => {}
    }
    if let Some(redirect) = redirect(world, call)? {
        return Ok(redirect);
    }
    match call.operation.as_str() {
        "HeadBucket" => head_bucket(world, call),
        "DeleteBucket" => delete_bucket(world, call),
        "ListObjects" => listing::list_objects(world, call),
        "ListObjectsV2" => listing::list_objects_v2(world, call),
        "ListObjectVersions" => listing::list_object_versions(world, call),
        "GetObject" | "HeadObject" => objects::get(world, call),
        "PutObject" => objects::put(world, call),
        "CopyObject" => objects::copy(world, call),
        "DeleteObject" => objects::delete(world, call),
        "DeleteObjects" => objects::delete_many(world, call),
        "GetObjectTagging" => objects::get_tagging(world, call),
        "PutObjectTagging" => objects::put_tagging(world, call),
        "DeleteObjectTagging" => objects::delete_tagging(world, call),
        "GetObjectAcl" => objects::get_acl(world, call),
        "CreateMultipartUpload" => multipart::create(world, call),
        "UploadPart" => multipart::upload_part(world, call),
        "CompleteMultipartUpload" => multipart::complete(world, call),
        "AbortMultipartUpload" => multipart::abort(world, call),
        "ListParts" => multipart::list_parts(world, call),
        "ListMultipartUploads" => multipart::list_uploads(world, call),
        _ => settings::call(world, call),
    }
}

/// The newest version of an object: (bytes, version id, user metadata).
pub(crate) fn get(
    world: &World,
    bucket: &str,
    key: &str,
) -> Option<(Vec<u8>, String, BTreeMap<String, String>)> {
    let version = world.s3.buckets.get(bucket)?.current(key)?;
    Some((
        version.bytes().to_vec(),
        version.id.clone(),
        version.metadata.clone(),
    ))
}

/// A given version of an object.
pub(crate) fn get_version(
    world: &World,
    bucket: &str,
    key: &str,
    version: &str,
) -> Option<Vec<u8>> {
    let version = world.s3.buckets.get(bucket)?.version(key, version)?;
    (!version.is_marker()).then(|| version.bytes().to_vec())
}

/// The key that encrypts an object or a version of it, by ARN, and whether through a bucket key.
pub(crate) fn encryption_of(
    world: &World,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Option<(String, bool)> {
    let bucket = world.s3.buckets.get(bucket)?;
    let version = match version {
        Some(id) => bucket.version(key, id)?,
        None => bucket.current(key)?,
    };
    let encryption = &version.encryption;
    Some((encryption.key.clone()?, encryption.bucket_key))
}

/// The key that would encrypt what is written with the headers, likewise.
pub(crate) fn key_for(
    world: &World,
    bucket: &str,
    headers: &BTreeMap<String, String>,
) -> Option<(String, bool)> {
    let encryption = encryption(world, bucket, headers).ok()?;
    Some((encryption.key?, encryption.bucket_key))
}

/// The region of a bucket; empty where there is none.
pub(crate) fn region_of(world: &World, bucket: &str) -> String {
    let found = world.s3.buckets.get(bucket);
    found
        .map(|bucket| bucket.region.clone())
        .unwrap_or_default()
}

/// Writes an object as a service would; answers its version id.
pub(crate) fn put(
    world: &mut World,
    bucket: &str,
    key: &str,
    bytes: Vec<u8>,
) -> Result<String, Fault> {
    let encryption = encryption(world, bucket, &BTreeMap::new())?;
    let write = Write {
        content: bytes,
        encryption,
        ..Write::default()
    };
    write_object(world, bucket, key, write, "PutObject").map(|version| version.id)
}

/// What is to be written.
#[derive(Debug, Clone, Default)]
struct Write {
    content: Vec<u8>,
    /// Where it isn't the MD5 of the content.
    etag: Option<String>,
    metadata: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    checksums: BTreeMap<String, String>,
    encryption: Encryption,
    tags: Tags,
}

/// Writes a version and tells EventBridge, if the bucket does.
fn write_object(
    world: &mut World,
    bucket: &str,
    key: &str,
    write: Write,
    reason: &str,
) -> Result<Version, Fault> {
    let versioned = bucket_named(world, bucket)?.versioning == Some(Versioning::Enabled);
    let id = if versioned {
        world.hex(32)
    } else {
        "null".to_owned()
    };
    let etag = match write.etag {
        Some(etag) => etag,
        None if write.encryption.algorithm == "AES256" => md5_hex(&write.content),
        None => world.hex(32),
    };
    let version = Version {
        id,
        at: world.now,
        etag,
        content: Some(Content(write.content)),
        metadata: write.metadata,
        headers: write.headers,
        checksums: write.checksums,
        encryption: write.encryption,
        tags: write.tags,
    };
    if let Some(bucket) = world.s3.buckets.get_mut(bucket) {
        bucket.add(key, version.clone());
    }
    tell(world, bucket, key, &version, "Object Created", reason);
    Ok(version)
}

/// Sends an event of a bucket that has EventBridge switched on.
fn tell(world: &mut World, bucket: &str, key: &str, version: &Version, kind: &str, reason: &str) {
    let Some(owner) = world
        .s3
        .buckets
        .get(bucket)
        .filter(|bucket| bucket.sends_events())
    else {
        return;
    };
    let region = owner.region.clone();
    let mut object =
        json!({"key": key, "etag": version.etag, "sequencer": format!("{:016X}", world.counter)});
    if version.content.is_some() {
        object["size"] = json!(version.bytes().len());
    }
    if version.id != "null" {
        object["version-id"] = json!(version.id);
    }
    let mut detail = json!({
        "version": "0",
        "bucket": {"name": bucket},
        "object": object,
        "request-id": crate::wire::REQUEST_ID,
        "requester": world.account,
        "reason": reason,
    });
    if kind == "Object Deleted" {
        let deletion = if version.is_marker() {
            "Delete Marker Created"
        } else {
            "Permanently Deleted"
        };
        detail["deletion-type"] = json!(deletion);
    }
    let arn = world.arn("s3", &region, bucket);
    events::emit(world, &region, "aws.s3", kind, &[arn], &detail);
}

/// The encryption that request headers and the bucket's default give; refused where the key can't be used.
fn encryption(
    world: &World,
    bucket: &str,
    headers: &BTreeMap<String, String>,
) -> Result<Encryption, Fault> {
    let bucket = bucket_named(world, bucket)?;
    let rule = settings::default_encryption(bucket);
    let header = |name: &str| {
        headers
            .get(&format!("x-amz-server-side-encryption{name}"))
            .cloned()
    };
    let asked = header("");
    let key = match asked {
        Some(_) => header("-aws-kms-key-id"),
        None => rule.key.clone(),
    };
    let mut encryption = Encryption {
        algorithm: asked.unwrap_or(rule.algorithm),
        key: None,
        bucket_key: header("-bucket-key-enabled").map_or(rule.bucket_key, |text| text == "true"),
    };
    match encryption.algorithm.as_str() {
        "AES256" => encryption.bucket_key = false,
        "aws:kms" | "aws:kms:dsse" => {
            // Without a key it is the AWS managed one, which is always there.
            if let Some(key) = key {
                let refused = |fault: Fault| Fault {
                    code: format!("KMS.{}", fault.code),
                    ..fault
                };
                kms::usable(world, &bucket.region, &key).map_err(refused)?;
                encryption.key = Some(kms::arn(world, &bucket.region, &key).unwrap_or(key));
            }
        }
        other => {
            let message = format!("The encryption method specified is not supported: {other}");
            return Err(Fault::new("InvalidEncryptionAlgorithmError", message));
        }
    }
    Ok(encryption)
}

fn list_buckets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let query = |name: &str| call.http.query.get(name).map(String::as_str);
    let prefix = query("prefix").unwrap_or_default();
    let limit = query("max-buckets")
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let wanted = world.s3.buckets.values().filter(|bucket| {
        bucket.name.starts_with(prefix)
            && query("bucket-region").is_none_or(|region| region == bucket.region)
    });
    let entries = wanted.map(|bucket| {
        let entry = json!({
            "Name": bucket.name,
            "CreationDate": crate::clock::iso(bucket.created),
            "BucketRegion": bucket.region,
            "BucketArn": world.arn("s3", &bucket.region, &bucket.name),
        });
        (bucket.name.clone(), entry)
    });
    let cut =
        crate::wire::page::page(entries, query("continuation-token"), limit).ok_or_else(|| {
            Fault::new(
                "InvalidArgument",
                "The continuation token provided is incorrect",
            )
        })?;
    Ok(Reply::Value(json!({"ListAllMyBucketsResult": {
        "Owner": owner(),
        "Buckets": {"Bucket": cut.items},
        "ContinuationToken": cut.next,
        "Prefix": query("prefix"),
    }})))
}

fn create_bucket(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, _) = rest::bucket_and_key(&call.http);
    check_name(&name)?;
    let configuration = match call.http.body.is_empty() {
        true => Value::Null,
        false => body(call, "CreateBucketConfiguration")?,
    };
    let region = location(&call.region, configuration.text("LocationConstraint"))?;
    let header = |name: &str| call.http.headers.get(name).map(String::as_str);
    if header("x-amz-bucket-object-lock-enabled") == Some("true")
        || configuration.get("Location").is_some()
    {
        let message = "the ecspipe sandbox has general purpose buckets without object lock only";
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    if header("x-amz-acl").is_some_and(|acl| acl != "private") {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(Fault::new("InvalidBucketAclWithObjectOwnership", message));
    }
    if let Some(existing) = world.s3.buckets.get(&name) {
        if existing.region != "us-east-1" || region != "us-east-1" {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Fault::new("BucketAlreadyOwnedByYou", message).status(409));
        }
        // In us-east-1 creating it again succeeds, for reasons of history.
        return Ok(created(&name));
    }
    let tags = settings::tag_set(configuration.get("Tags"))?;
    let mut bucket = Bucket {
        name: name.clone(),
        region,
        created: world.now,
        versioning: None,
        policy: None,
        tags,
        settings: settings::defaults(),
        objects: BTreeMap::new(),
    };
    if let Some(ownership) = header("x-amz-object-ownership") {
        settings::own(&mut bucket, ownership)?;
    }
    world.s3.buckets.insert(name.clone(), bucket);
    Ok(created(&name))
}

fn created(name: &str) -> Reply {
    Reply::Raw(
        200,
        vec![("location".to_owned(), format!("/{name}"))],
        Bytes::new(),
    )
}

/// The Region of a new bucket: its constraint must be the Region that the request went to, but us-east-1 takes all.
fn location(endpoint: &str, constraint: Option<&str>) -> Result<String, Fault> {
    let constraint = constraint.filter(|text| !text.is_empty());
    let illegal = |what: &str| {
        let message = format!(
            "The {what} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        Err(Fault::new("IllegalLocationConstraintException", message))
    };
    match (endpoint, constraint) {
        ("us-east-1", None) => Ok("us-east-1".to_owned()),
        (_, Some("us-east-1")) => Err(Fault::new(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
        )),
        ("us-east-1", Some("EU")) => Ok("eu-west-1".to_owned()),
        ("us-east-1", Some(constraint)) => Ok(constraint.to_owned()),
        (_, None) => illegal("unspecified"),
        (endpoint, Some(constraint)) if endpoint == constraint => Ok(constraint.to_owned()),
        (_, Some(constraint)) => illegal(constraint),
    }
}

fn head_bucket(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let bucket = bucket(world, call)?;
    let headers = [
        ("x-amz-bucket-region", bucket.region.clone()),
        (
            "x-amz-bucket-arn",
            world.arn("s3", &bucket.region, &bucket.name),
        ),
        ("x-amz-access-point-alias", "false".to_owned()),
        ("content-type", "application/xml".to_owned()),
    ];
    Ok(Reply::Raw(200, owned(headers), Bytes::new()))
}

fn delete_bucket(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let bucket = bucket(world, call)?;
    if !bucket.objects.is_empty() {
        let versioned = bucket.versioning.is_some();
        let message = match versioned {
            true => {
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            }
            false => "The bucket you tried to delete is not empty",
        };
        return Err(Fault::new("BucketNotEmpty", message).status(409));
    }
    let name = bucket.name.clone();
    world.s3.buckets.remove(&name);
    world.s3.uploads.retain(|_, upload| upload.bucket != name);
    Ok(no_content())
}

/// A bucket of another Region answers with where it is. Its location can be asked from everywhere.
fn redirect(world: &World, call: &Call) -> Result<Option<Reply>, Fault> {
    let bucket = bucket(world, call)?;
    if bucket.region == call.region || call.operation == "GetBucketLocation" {
        return Ok(None);
    }
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.";
    let fault = Fault::new("PermanentRedirect", message).status(301);
    Ok(Some(refusal(
        call,
        &fault,
        [("x-amz-bucket-region", bucket.region.clone())],
    )))
}

/// An error with headers of its own.
fn refusal<const N: usize>(call: &Call, fault: &Fault, headers: [(&str, String); N]) -> Reply {
    let body = match call.http.method {
        http::Method::HEAD => Bytes::new(),
        _ => xml::fault(call, fault).into(),
    };
    let mut headers = owned(headers);
    headers.push(("content-type".to_owned(), "application/xml".to_owned()));
    Reply::Raw(fault.status, headers, body)
}

fn check_owner(world: &World, call: &Call) -> Result<(), Fault> {
    match call.http.headers.get("x-amz-expected-bucket-owner") {
        Some(owner) if *owner != world.account => {
            Err(Fault::new("AccessDenied", "Access Denied").status(403))
        }
        _ => Ok(()),
    }
}

fn bucket<'a>(world: &'a World, call: &Call) -> Result<&'a Bucket, Fault> {
    bucket_named(world, &rest::bucket_and_key(&call.http).0)
}

fn bucket_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Bucket, Fault> {
    world
        .s3
        .buckets
        .get_mut(&rest::bucket_and_key(&call.http).0)
        .ok_or_else(no_bucket)
}

fn bucket_named<'a>(world: &'a World, name: &str) -> Result<&'a Bucket, Fault> {
    world.s3.buckets.get(name).ok_or_else(no_bucket)
}

fn no_bucket() -> Fault {
    Fault::new("NoSuchBucket", "The specified bucket does not exist").status(404)
}

/// The body, parsed, within the root element that it must have.
fn body(call: &Call, root: &str) -> Result<Value, Fault> {
    let text = std::str::from_utf8(&call.http.body).map_err(|_| malformed())?;
    let mut tree = xml::parse(text).map_err(|_| malformed())?;
    tree.get_mut(root).map(Value::take).ok_or_else(malformed)
}

fn malformed() -> Fault {
    let message =
        "The XML you provided was not well-formed or did not validate against our published schema";
    Fault::new("MalformedXML", message)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidArgument", message)
}

fn no_content() -> Reply {
    Reply::Raw(204, Vec::new(), Bytes::new())
}

fn owned<const N: usize>(headers: [(&str, String); N]) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The one owner of everything, as a canonical user.
fn owner() -> Value {
    json!({"ID": OWNER})
}

const OWNER: &str = "5a6d0b0cfb7b6e5e3b6f2d4a8c1e9f70112233445566778899aabbccddeeff00";

fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(bytes))
}

/// The rules for names of general purpose buckets.
fn check_name(name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ends = end(name.chars().next()) && end(name.chars().last());
    let address = name.parse::<std::net::Ipv4Addr>().is_ok();
    let reserved = ["xn--", "sthree-", "amzn-s3-demo-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
    let fits = (3..=63).contains(&name.len()) && name.chars().all(legal) && !name.contains("..");
    match fits && ends && !address && !reserved {
        true => Ok(()),
        false => Err(Fault::new(
            "InvalidBucketName",
            "The specified bucket is not valid.",
        )),
    }
}
