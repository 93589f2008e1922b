//! What calls to S3 need: S3's actions, and KMS's for objects that a key encrypts. Must not read objects.

use super::{Desk, Need};
use crate::services::s3;
use crate::wire::{Input as _, rest, xml};

/// What is about a bucket: operation and action.
const BUCKETS: [(&str, &str); 41] = [
    ("CreateBucket", "s3:CreateBucket"),
    ("DeleteBucket", "s3:DeleteBucket"),
    ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
    ("DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
    (
        "DeleteBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
    ),
    ("DeleteBucketPolicy", "s3:DeleteBucketPolicy"),
    ("DeleteBucketTagging", "s3:PutBucketTagging"),
    ("DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("GetBucketAbac", "s3:GetBucketAbac"),
    (
        "GetBucketAccelerateConfiguration",
        "s3:GetAccelerateConfiguration",
    ),
    ("GetBucketAcl", "s3:GetBucketAcl"),
    ("GetBucketCors", "s3:GetBucketCORS"),
    ("GetBucketEncryption", "s3:GetEncryptionConfiguration"),
    (
        "GetBucketLifecycleConfiguration",
        "s3:GetLifecycleConfiguration",
    ),
    ("GetBucketLocation", "s3:GetBucketLocation"),
    ("GetBucketLogging", "s3:GetBucketLogging"),
    (
        "GetBucketNotificationConfiguration",
        "s3:GetBucketNotification",
    ),
    (
        "GetBucketOwnershipControls",
        "s3:GetBucketOwnershipControls",
    ),
    ("GetBucketPolicy", "s3:GetBucketPolicy"),
    ("GetBucketPolicyStatus", "s3:GetBucketPolicyStatus"),
    ("GetBucketReplication", "s3:GetReplicationConfiguration"),
    ("GetBucketRequestPayment", "s3:GetBucketRequestPayment"),
    ("GetBucketTagging", "s3:GetBucketTagging"),
    ("GetBucketVersioning", "s3:GetBucketVersioning"),
    ("GetBucketWebsite", "s3:GetBucketWebsite"),
    (
        "GetObjectLockConfiguration",
        "s3:GetBucketObjectLockConfiguration",
    ),
    ("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ("HeadBucket", "s3:ListBucket"),
    ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    ("ListObjectVersions", "s3:ListBucketVersions"),
    ("ListObjects", "s3:ListBucket"),
    ("ListObjectsV2", "s3:ListBucket"),
    ("PutBucketAcl", "s3:PutBucketAcl"),
    ("PutBucketEncryption", "s3:PutEncryptionConfiguration"),
    (
        "PutBucketLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    (
        "PutBucketNotificationConfiguration",
        "s3:PutBucketNotification",
    ),
    (
        "PutBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
    ),
    ("PutBucketPolicy", "s3:PutBucketPolicy"),
    ("PutBucketTagging", "s3:PutBucketTagging"),
    ("PutBucketVersioning", "s3:PutBucketVersioning"),
    ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
];

pub(super) fn read(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    if operation == "ListBuckets" {
        desk.need("s3:ListAllMyBuckets", "*");
        return Some(());
    }
    let (bucket, key) = rest::bucket_and_key(&desk.call.http);
    let bucket_arn = desk.arn("s3", &bucket);
    if let Some((_, action)) = BUCKETS.iter().find(|(name, _)| *name == operation) {
        of_bucket(desk, action, &bucket_arn);
        return Some(());
    }
    let object = Object {
        version: desk.call.http.query.get("versionId").cloned(),
        bucket,
        key,
    };
    match operation {
        "GetObject" | "HeadObject" => {
            object.need(desk, "s3:GetObject", "s3:GetObjectVersion");
            object.decrypt(desk);
        }
        "GetObjectTagging" => {
            object.need(desk, "s3:GetObjectTagging", "s3:GetObjectVersionTagging");
        }
        "PutObjectTagging" => {
            object.need(desk, "s3:PutObjectTagging", "s3:PutObjectVersionTagging");
        }
        "DeleteObjectTagging" => {
            object.need(
                desk,
                "s3:DeleteObjectTagging",
                "s3:DeleteObjectVersionTagging",
            );
        }
        "GetObjectAcl" => {
            object.need(desk, "s3:GetObjectAcl", "s3:GetObjectVersionAcl");
        }
        "DeleteObject" => {
            object.need(desk, "s3:DeleteObject", "s3:DeleteObjectVersion");
            object.compare(desk);
        }
        "DeleteObjects" => delete_many(desk, &object.bucket),
        "PutObject" => {
            put(desk, &object);
            object.compare(desk);
            object.encrypt(desk, "kms:GenerateDataKey");
        }
        "CopyObject" => copy(desk, &object),
        "CreateMultipartUpload" => {
            put(desk, &object);
            object.encrypt(desk, "kms:GenerateDataKey");
        }
        // The parts are put together again, for which S3 needs to decrypt (S3 user guide, "Multipart upload and permissions").
        "UploadPart" | "CompleteMultipartUpload" => {
            object.put_need(desk);
            object.encrypt(desk, "kms:Decrypt");
        }
        "AbortMultipartUpload" => {
            let arn = object.arn(desk);
            desk.need("s3:AbortMultipartUpload", arn);
        }
        "ListParts" => {
            let arn = object.arn(desk);
            desk.need("s3:ListMultipartUploadParts", arn);
        }
        _ => return None,
    }
    Some(())
}

fn of_bucket(desk: &mut Desk<'_>, action: &str, arn: &str) {
    let http = &desk.call.http;
    let query = |name: &str| http.query.get(name).filter(|text| !text.is_empty());
    let (prefix, delimiter) = (query("prefix"), query("delimiter"));
    let need = desk.need(action, arn);
    if action.starts_with("s3:ListBucket") {
        need.context
            .set("s3:prefix", prefix.cloned().unwrap_or_default());
        if let Some(delimiter) = delimiter {
            need.context.set("s3:delimiter", delimiter.clone());
        }
    }
    if action == "s3:CreateBucket" && http.headers.contains_key("x-amz-object-ownership") {
        desk.need("s3:PutBucketOwnershipControls", arn);
    }
    if action == "s3:CreateBucket" && http.body.windows(5).any(|part| part == b"<Tags") {
        desk.need("s3:TagResource", arn);
    }
}

fn delete_many(desk: &mut Desk<'_>, bucket: &str) {
    let body = String::from_utf8_lossy(&desk.call.http.body).into_owned();
    let tree = xml::parse(&body).unwrap_or_default();
    let request = tree.get("Delete").cloned().unwrap_or_default();
    for item in xml::many(&request, "Object") {
        let object = Object {
            bucket: bucket.to_owned(),
            key: item.text("Key").unwrap_or_default().to_owned(),
            version: item.text("VersionId").map(ToOwned::to_owned),
        };
        object.need(desk, "s3:DeleteObject", "s3:DeleteObjectVersion");
    }
}

fn copy(desk: &mut Desk<'_>, object: &Object) {
    let source = desk.call.http.headers.get("x-amz-copy-source");
    if let Some(source) = source.and_then(|text| Object::of_source(text)) {
        source.need(desk, "s3:GetObject", "s3:GetObjectVersion");
        source.decrypt(desk);
    }
    put(desk, object);
    object.encrypt(desk, "kms:GenerateDataKey");
}

/// Writing an object, with the tags and the ACL that come with it.
fn put(desk: &mut Desk<'_>, object: &Object) {
    object.put_need(desk);
    let headers = &desk.call.http.headers;
    let arn = object.arn(desk);
    if headers.contains_key("x-amz-tagging") {
        desk.need("s3:PutObjectTagging", arn.clone());
    }
    if headers.contains_key("x-amz-acl") {
        desk.need("s3:PutObjectAcl", arn);
    }
}

/// An object, or one of its versions.
struct Object {
    bucket: String,
    key: String,
    version: Option<String>,
}

impl Object {
    fn of_source(text: &str) -> Option<Self> {
        let (path, version) = match text.split_once("?versionId=") {
            Some((path, id)) => (path, Some(id.to_owned())),
            None => (text, None),
        };
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let (bucket, key) = path.trim_start_matches('/').split_once('/')?;
        Some(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
        })
    }

    fn arn(&self, desk: &Desk<'_>) -> String {
        desk.arn("s3", &format!("{}/{}", self.bucket, self.key))
    }

    /// The action on the object, or the one on a version that is asked for by its id.
    fn need<'d>(&self, desk: &'d mut Desk<'_>, plain: &str, of_version: &str) -> &'d mut Need {
        let arn = self.arn(desk);
        match &self.version {
            Some(version) => {
                let need = desk.need(of_version, arn);
                need.context.set("s3:versionid", version.clone());
                need
            }
            None => desk.need(plain, arn),
        }
    }

    fn put_need(&self, desk: &mut Desk<'_>) {
        let headers = &desk.call.http.headers;
        let arn = self.arn(desk);
        let need = desk.need("s3:PutObject", arn);
        for name in [
            "x-amz-acl",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
        ] {
            if let Some(value) = headers.get(name) {
                need.context.set(&format!("s3:{name}"), value.clone());
            }
        }
    }

    /// Whoever makes an ETag the condition learns whether the object has it, and needs to be allowed to read it (S3's user guide,
    /// "How to prevent object overwrites with conditional writes" and "How to perform conditional deletes").
    fn compare(&self, desk: &mut Desk<'_>) {
        let tag = desk.call.http.headers.get("if-match");
        if tag.is_some_and(|tag| tag != "*") {
            let arn = self.arn(desk);
            desk.need("s3:GetObject", arn);
        }
    }

    /// What S3 asks KMS for in the name of who reads: nothing where no key encrypts.
    fn decrypt(&self, desk: &mut Desk<'_>) {
        let found = s3::encryption_of(desk.world, &self.bucket, &self.key, self.version.as_deref());
        if let Some((key, bucket_key)) = found {
            self.use_key(desk, "kms:Decrypt", &key, bucket_key);
        }
    }

    /// The same for who writes: the key of the request's headers, or else the bucket's.
    fn encrypt(&self, desk: &mut Desk<'_>, action: &str) {
        let found = s3::key_for(desk.world, &self.bucket, &desk.call.http.headers);
        if let Some((key, bucket_key)) = found {
            self.use_key(desk, action, &key, bucket_key);
        }
    }

    fn use_key(&self, desk: &mut Desk<'_>, action: &str, key: &str, bucket_key: bool) {
        let bucket = desk.arn("s3", &self.bucket);
        let object = self.arn(desk);
        let region = s3::region_of(desk.world, &self.bucket);
        let need = desk.need(action, key);
        need.context
            .set("kms:ViaService", format!("s3.{region}.amazonaws.com"));
        // A bucket key is derived once for the whole bucket, so only the bucket is known to KMS.
        let sealed = if bucket_key { bucket } else { object };
        need.context.set("kms:EncryptionContext:aws:s3:arn", sealed);
        need.context.set("kms:EncryptionContextKeys", "aws:s3:arn");
    }
}
