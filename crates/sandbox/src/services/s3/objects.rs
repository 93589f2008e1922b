//! S3's operations on objects. Must not list.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::json;
use sha2::Digest as _;

use super::{
    Bucket, Version, Versioning, Write, body, bucket, bucket_mut, encryption, invalid, malformed,
    no_content, owned, refusal, settings, tell, write_object,
};
use crate::clock::{self, Millis};
use crate::wire::{Call, Fault, Input as _, Reply, rest, xml};
use crate::world::{Tags, World};

/// Headers that S3 keeps with an object and gives back.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// Request headers that ask for something the sandbox doesn't do.
const REFUSED: [&str; 5] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

pub(super) fn get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    if call.http.query.contains_key("partNumber") {
        return Err(Fault::not_implemented(call));
    }
    let bucket = bucket(world, call)?;
    let version = match find(bucket, call)? {
        Found::Version(version) => version,
        Found::Marker(version) => return Ok(marker(call, version)),
    };
    let quoted = format!("\"{}\"", version.etag);
    let condition = |name: &str| {
        call.http
            .headers
            .get(name)
            .map(|text| text == &quoted || text == "*" || *text == version.etag)
    };
    if condition("if-match") == Some(false) {
        return Err(precondition_failed());
    }
    if condition("if-none-match") == Some(true) {
        return Ok(Reply::Raw(304, owned([("etag", quoted)]), Bytes::new()));
    }
    let mut headers = described(version);
    let bytes = version.bytes();
    let range = match call.http.headers.get("range") {
        Some(text) => range(text, bytes.len())?,
        None => None,
    };
    let (status, part) = match range {
        Some((start, end)) => {
            headers.push((
                "content-range".to_owned(),
                format!("bytes {start}-{end}/{}", bytes.len()),
            ));
            (206, &bytes[start..=end])
        }
        None => {
            // Checksums are of the whole object.
            if call
                .http
                .headers
                .get("x-amz-checksum-mode")
                .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
            {
                headers.extend(version.checksums.clone());
            }
            (200, bytes)
        }
    };
    if call.http.method == http::Method::HEAD {
        headers.push(("content-length".to_owned(), part.len().to_string()));
        return Ok(Reply::Raw(status, headers, Bytes::new()));
    }
    for (parameter, header) in OVERRIDES {
        if let Some(value) = call.http.query.get(parameter) {
            headers.retain(|(name, _)| name != header);
            headers.push((header.to_owned(), value.clone()));
        }
    }
    Ok(Reply::Raw(status, headers, Bytes::copy_from_slice(part)))
}

/// What a GET can change about its answer.
const OVERRIDES: [(&str, &str); 5] = [
    ("response-content-type", "content-type"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-cache-control", "cache-control"),
];

pub(super) fn put(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket_name, key) = rest::bucket_and_key(&call.http);
    let write = write_of(world, call)?;
    check_condition(bucket(world, call)?, &key, call)?;
    let version = write_object(world, &bucket_name, &key, write, "PutObject")?;
    Ok(Reply::Raw(200, written(&version), Bytes::new()))
}

/// What a request writes, its integrity checked.
pub(super) fn write_of(world: &World, call: &Call) -> Result<Write, Fault> {
    let headers = &call.http.headers;
    let (bucket_name, key) = rest::bucket_and_key(&call.http);
    if key.len() > 1024 {
        return Err(Fault::new("KeyTooLongError", "Your key is too long"));
    }
    if let Some(name) = REFUSED.iter().find(|name| headers.contains_key(**name)) {
        let message = format!("the ecspipe sandbox does not implement the header {name}");
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    if let Some(acl) = headers
        .get("x-amz-acl")
        .filter(|acl| !["private", "bucket-owner-full-control"].contains(&acl.as_str()))
    {
        let message = format!("The bucket does not allow ACLs (asked for {acl})");
        return Err(Fault::new("AccessControlListNotSupported", message));
    }
    check_integrity(call)?;
    let metadata: BTreeMap<String, String> = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.clone()))
        })
        .collect();
    if metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        > 2048
    {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Fault::new("MetadataTooLarge", message));
    }
    let kept = KEPT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), without_framing(headers.get(*name)?)?)));
    let checksum = |(name, _): &(&String, &String)| {
        name.starts_with("x-amz-checksum-") && name.as_str() != "x-amz-checksum-mode"
    };
    Ok(Write {
        content: call.http.body.to_vec(),
        etag: None,
        metadata,
        headers: kept.collect(),
        checksums: headers
            .iter()
            .filter(checksum)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        encryption: encryption(world, &bucket_name, headers)?,
        tags: tags_of_header(headers)?,
    })
}

/// `aws-chunked` is of the transfer, not of the object.
fn without_framing(value: &str) -> Option<String> {
    let parts: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|part| *part != "aws-chunked")
        .collect();
    let text = parts.join(",");
    match value.contains("aws-chunked") {
        true => (!text.is_empty()).then_some(text),
        false => Some(value.to_owned()),
    }
}

/// Holds the body against the digests that came with it: MD5, CRC-32 and SHA-256; others are kept unchecked.
fn check_integrity(call: &Call) -> Result<(), Fault> {
    let (headers, body) = (&call.http.headers, &call.http.body);
    let differs = |name: &str, have: String| headers.get(name).is_some_and(|want| *want != have);
    let mut crc = flate2::Crc::new();
    crc.update(body);
    if differs("content-md5", STANDARD.encode(md5::Md5::digest(body))) {
        return Err(Fault::new(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
        ));
    }
    if differs(
        "x-amz-checksum-crc32",
        STANDARD.encode(crc.sum().to_be_bytes()),
    ) {
        return Err(Fault::new(
            "BadDigest",
            "The CRC32 you specified did not match the calculated checksum.",
        ));
    }
    if differs(
        "x-amz-checksum-sha256",
        STANDARD.encode(sha2::Sha256::digest(body)),
    ) {
        return Err(Fault::new(
            "BadDigest",
            "The SHA256 you specified did not match the calculated checksum.",
        ));
    }
    let signed = headers
        .get("x-amz-content-sha256")
        .filter(|text| text.len() == 64);
    match signed {
        Some(want) if *want != hex::encode(sha2::Sha256::digest(body)) => {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            Err(Fault::new("XAmzContentSHA256Mismatch", message))
        }
        _ => Ok(()),
    }
}

/// `If-None-Match: *` and `If-Match` of a write.
pub(super) fn check_condition(bucket: &Bucket, key: &str, call: &Call) -> Result<(), Fault> {
    let current = bucket.current(key);
    match call.http.headers.get("if-none-match").map(String::as_str) {
        Some("*") if current.is_some() => return Err(precondition_failed()),
        Some("*") | None => {}
        Some(_) => {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(Fault::new("NotImplemented", message).status(501));
        }
    }
    match (call.http.headers.get("if-match"), current) {
        (Some(_), None) => Err(no_key()),
        (Some(want), Some(have)) if *want != "*" && want.trim_matches('"') != have.etag => {
            Err(precondition_failed())
        }
        _ => Ok(()),
    }
}

pub(super) fn copy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let header = |name: &str| call.http.headers.get(name).map(String::as_str);
    let source = header("x-amz-copy-source").unwrap_or_default();
    let (path, id) = match source.split_once("?versionId=") {
        Some((path, id)) => (path, Some(id)),
        None => (source, None),
    };
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (from_bucket, from_key) = path
        .split_once('/')
        .ok_or_else(|| invalid("Invalid copy source object key"))?;
    if [
        "-if-match",
        "-if-none-match",
        "-if-modified-since",
        "-if-unmodified-since",
    ]
    .iter()
    .any(|suffix| header(&format!("x-amz-copy-source{suffix}")).is_some())
    {
        return Err(Fault::not_implemented(call));
    }
    let from = super::bucket_named(world, from_bucket)?;
    let found = match id {
        Some(id) => from
            .version(from_key, id)
            .filter(|version| !version.is_marker())
            .ok_or_else(no_version)?,
        None => from.current(from_key).ok_or_else(no_key)?,
    };
    let (source, source_versioned) = (found.clone(), from.versioning.is_some());
    let (bucket_name, key) = rest::bucket_and_key(&call.http);
    let replace = header("x-amz-metadata-directive") == Some("REPLACE");
    let encrypts = header("x-amz-server-side-encryption").is_some();
    if from_bucket == bucket_name && from_key == key && id.is_none() && !replace && !encrypts {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Fault::new("InvalidRequest", message));
    }
    let mut write = write_of(world, call)?;
    write.content = source.bytes().to_vec();
    write.checksums = source.checksums.clone();
    if !replace {
        write.metadata = source.metadata.clone();
        write.headers = source.headers.clone();
    }
    if header("x-amz-tagging-directive") != Some("REPLACE") {
        write.tags = source.tags.clone();
    }
    check_condition(bucket(world, call)?, &key, call)?;
    let version = write_object(world, &bucket_name, &key, write, "CopyObject")?;
    let mut headers = written(&version);
    headers.retain(|(name, _)| name != "etag" && !name.starts_with("x-amz-checksum"));
    if source_versioned {
        headers.push(("x-amz-copy-source-version-id".to_owned(), source.id));
    }
    headers.push(("content-type".to_owned(), "application/xml".to_owned()));
    let result = json!({"CopyObjectResult": {
        "ETag": format!("\"{}\"", version.etag),
        "LastModified": clock::iso(version.at),
    }});
    Ok(Reply::Raw(
        200,
        headers,
        xml::document(call, &result).into(),
    ))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket_name, key) = rest::bucket_and_key(&call.http);
    if call.http.headers.contains_key("if-match") {
        check_condition(bucket(world, call)?, &key, call)?;
    }
    let gone = remove(
        world,
        &bucket_name,
        &key,
        call.http.query.get("versionId").map(String::as_str),
    )?;
    let mut headers = Vec::new();
    if let Some(id) = gone.marker_id.or(gone.version_id) {
        headers.push(("x-amz-version-id".to_owned(), id));
    }
    if gone.marker {
        headers.push(("x-amz-delete-marker".to_owned(), "true".to_owned()));
    }
    Ok(Reply::Raw(204, headers, Bytes::new()))
}

pub(super) fn delete_many(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket_name, _) = rest::bucket_and_key(&call.http);
    let has_digest = |name: &String| name == "content-md5" || name.starts_with("x-amz-checksum-");
    if !call.http.headers.keys().any(has_digest) {
        return Err(Fault::new(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5",
        ));
    }
    check_integrity(call)?;
    let request = body(call, "Delete")?;
    let objects = xml::many(&request, "Object");
    if objects.is_empty() || objects.len() > 1000 {
        return Err(malformed());
    }
    let mut deleted = Vec::new();
    for object in objects {
        let key = object.text("Key").ok_or_else(malformed)?;
        let gone = remove(world, &bucket_name, key, object.text("VersionId"))?;
        deleted.push(json!({
            "Key": key,
            "VersionId": gone.version_id,
            "DeleteMarker": gone.marker.then_some(true),
            "DeleteMarkerVersionId": gone.marker_id.or_else(|| gone.marker.then(|| object.text("VersionId").map(ToOwned::to_owned)).flatten()),
        }));
    }
    let quiet = request.flag("Quiet").unwrap_or(false);
    let result = if quiet {
        json!({})
    } else {
        json!({"Deleted": deleted})
    };
    Ok(Reply::Value(json!({"DeleteResult": result})))
}

/// What a deletion did.
#[derive(Default)]
struct Gone {
    /// The version that was asked for.
    version_id: Option<String>,
    /// A delete marker was made, or was what went.
    marker: bool,
    /// The id of the marker that was made.
    marker_id: Option<String>,
}

fn remove(
    world: &mut World,
    bucket_name: &str,
    key: &str,
    id: Option<&str>,
) -> Result<Gone, Fault> {
    let versioning = super::bucket_named(world, bucket_name)?.versioning;
    if let Some(id) = id {
        let removed = world
            .s3
            .buckets
            .get_mut(bucket_name)
            .and_then(|bucket| bucket.remove(key, id));
        let marker = removed.as_ref().is_some_and(Version::is_marker);
        if let Some(version) = removed.filter(|version| !version.is_marker()) {
            tell(
                world,
                bucket_name,
                key,
                &version,
                "Object Deleted",
                "DeleteObject",
            );
        }
        return Ok(Gone {
            version_id: Some(id.to_owned()),
            marker,
            marker_id: None,
        });
    }
    if versioning.is_none() {
        let removed = world
            .s3
            .buckets
            .get_mut(bucket_name)
            .and_then(|bucket| bucket.remove(key, "null"));
        if let Some(version) = removed {
            tell(
                world,
                bucket_name,
                key,
                &version,
                "Object Deleted",
                "DeleteObject",
            );
        }
        return Ok(Gone::default());
    }
    let id = if versioning == Some(Versioning::Enabled) {
        world.hex(32)
    } else {
        "null".to_owned()
    };
    let marker = Version {
        id: id.clone(),
        at: world.now,
        content: None,
        etag: String::new(),
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        checksums: BTreeMap::new(),
        encryption: super::Encryption::default(),
        tags: Tags::new(),
    };
    if let Some(bucket) = world.s3.buckets.get_mut(bucket_name) {
        bucket.add(key, marker.clone());
    }
    tell(
        world,
        bucket_name,
        key,
        &marker,
        "Object Deleted",
        "DeleteObject",
    );
    Ok(Gone {
        version_id: None,
        marker: true,
        marker_id: Some(id),
    })
}

pub(super) fn get_tagging(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let version = required(bucket(world, call)?, call)?;
    Ok(Reply::Value(
        json!({"Tagging": {"TagSet": settings::tag_elements(&version.tags)}}),
    ))
}

pub(super) fn put_tagging(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = settings::tag_set(body(call, "Tagging")?.get("TagSet"))?;
    if tags.len() > 10 {
        return Err(Fault::new(
            "BadRequest",
            "Object tags cannot be greater than 10",
        ));
    }
    retag(world, call, tags)?;
    Ok(Reply::Raw(200, Vec::new(), Bytes::new()))
}

pub(super) fn delete_tagging(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    retag(world, call, Tags::new())?;
    Ok(no_content())
}

fn retag(world: &mut World, call: &Call, tags: Tags) -> Result<(), Fault> {
    let (_, key) = rest::bucket_and_key(&call.http);
    let id = required(bucket(world, call)?, call)?.id.clone();
    let versions = bucket_mut(world, call)?.objects.get_mut(&key);
    if let Some(version) =
        versions.and_then(|versions| versions.iter_mut().find(|version| version.id == id))
    {
        version.tags = tags;
    }
    Ok(())
}

pub(super) fn get_acl(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    required(bucket(world, call)?, call)?;
    Ok(settings::acl())
}

/// What a request means: a version, or a delete marker that hides the object.
enum Found<'a> {
    Version(&'a Version),
    Marker(&'a Version),
}

fn find<'a>(bucket: &'a Bucket, call: &Call) -> Result<Found<'a>, Fault> {
    let (_, key) = rest::bucket_and_key(&call.http);
    let version = match call.http.query.get("versionId") {
        Some(id) => bucket.version(&key, id).ok_or_else(no_version)?,
        None => bucket
            .objects
            .get(&key)
            .and_then(|versions| versions.last())
            .ok_or_else(no_key)?,
    };
    Ok(if version.is_marker() {
        Found::Marker(version)
    } else {
        Found::Version(version)
    })
}

fn required<'a>(bucket: &'a Bucket, call: &Call) -> Result<&'a Version, Fault> {
    match find(bucket, call)? {
        Found::Version(version) => Ok(version),
        Found::Marker(_) => Err(no_key()),
    }
}

/// A delete marker is no object; asked for by its version, it allows no GET at all.
fn marker(call: &Call, version: &Version) -> Reply {
    let fault = match call.http.query.contains_key("versionId") {
        true => {
            let message = "The specified method is not allowed against this resource.";
            Fault::new("MethodNotAllowed", message).status(405)
        }
        false => no_key(),
    };
    let headers = [
        ("x-amz-delete-marker", "true".to_owned()),
        ("x-amz-version-id", version.id.clone()),
        ("last-modified", http_date(version.at)),
    ];
    refusal(call, &fault, headers)
}

/// The headers that describe an object.
fn described(version: &Version) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = version.headers.clone().into_iter().collect();
    if !version.headers.contains_key("content-type") {
        headers.push(("content-type".to_owned(), "binary/octet-stream".to_owned()));
    }
    headers.extend(owned([
        ("etag", format!("\"{}\"", version.etag)),
        ("last-modified", http_date(version.at)),
        ("accept-ranges", "bytes".to_owned()),
    ]));
    headers.extend(
        version
            .metadata
            .iter()
            .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone())),
    );
    headers.extend(identity(version));
    if !version.tags.is_empty() {
        headers.push((
            "x-amz-tagging-count".to_owned(),
            version.tags.len().to_string(),
        ));
    }
    headers
}

/// The headers of the answer to a write.
pub(super) fn written(version: &Version) -> Vec<(String, String)> {
    let mut headers = owned([("etag", format!("\"{}\"", version.etag))]);
    headers.extend(identity(version));
    headers.extend(version.checksums.clone());
    headers
}

/// Version and encryption.
fn identity(version: &Version) -> Vec<(String, String)> {
    let mut headers = owned([(
        "x-amz-server-side-encryption",
        version.encryption.algorithm.clone(),
    )]);
    if let Some(key) = &version.encryption.key {
        headers.push((
            "x-amz-server-side-encryption-aws-kms-key-id".to_owned(),
            key.clone(),
        ));
    }
    if version.encryption.bucket_key {
        headers.push((
            "x-amz-server-side-encryption-bucket-key-enabled".to_owned(),
            "true".to_owned(),
        ));
    }
    if version.id != "null" {
        headers.push(("x-amz-version-id".to_owned(), version.id.clone()));
    }
    headers
}

fn tags_of_header(headers: &BTreeMap<String, String>) -> Result<Tags, Fault> {
    let text = headers
        .get("x-amz-tagging")
        .map(String::as_str)
        .unwrap_or_default();
    let tags = rest::parse_query(text);
    match tags.len() > 10 {
        true => Err(Fault::new(
            "BadRequest",
            "Object tags cannot be greater than 10",
        )),
        false => Ok(tags),
    }
}

/// `bytes=0-9`, `bytes=5-` or `bytes=-5` as first and last index; several ranges are answered whole, as S3 does.
fn range(text: &str, length: usize) -> Result<Option<(usize, usize)>, Fault> {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|text| text.split_once('-'))
    else {
        return Ok(None);
    };
    let unsatisfiable =
        || Fault::new("InvalidRange", "The requested range is not satisfiable").status(416);
    let end = length.checked_sub(1).ok_or_else(unsatisfiable)?;
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => (first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => (length.saturating_sub(count), end),
        _ => return Ok(None),
    };
    match range.0 > end {
        true => Err(unsatisfiable()),
        false => Ok(Some(range)),
    }
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`.
fn http_date(at: Millis) -> String {
    let date = jiff::Timestamp::from_millisecond(at)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    date.unwrap_or_default()
}

pub(super) fn no_key() -> Fault {
    Fault::new("NoSuchKey", "The specified key does not exist.").status(404)
}

fn no_version() -> Fault {
    Fault::new("NoSuchVersion", "The specified version does not exist.").status(404)
}

fn precondition_failed() -> Fault {
    let message = "At least one of the pre-conditions you specified did not hold";
    Fault::new("PreconditionFailed", message).status(412)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges() {
        for (text, want) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=2-", Some((2, 9))),
            ("bytes=-4", Some((6, 9))),
            ("bytes=5-99", Some((5, 9))),
            ("bytes=3-1", None),
            ("items=0-1", None),
            ("bytes=0-1,3-4", None),
        ] {
            assert_eq!(range(text, 10).unwrap(), want, "{text}");
        }
        assert!(range("bytes=10-", 10).is_err());
        assert!(range("bytes=0-", 0).is_err());
    }

    #[test]
    fn dates() {
        assert_eq!(http_date(clock::EPOCH), "Thu, 01 Jan 2026 00:00:00 GMT");
    }
}
