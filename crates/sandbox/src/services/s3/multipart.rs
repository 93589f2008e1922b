//! S3's uploads in parts. Must not write an object before its upload is complete.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::objects::{check_condition, write_of, written};
use super::{
    Encryption, Write, body, bucket, invalid, malformed, md5_hex, no_content, owned, owner,
    write_object,
};
use crate::clock::{self, Millis};
use crate::runtime::Content;
use crate::wire::{Call, Fault, Input as _, Reply, rest, xml};
use crate::world::{Tags, World};

/// The smallest part that isn't the last.
const SMALLEST: usize = 5 * 1024 * 1024;

/// An upload under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upload {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// When it began.
    pub began: Millis,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Kept headers.
    pub headers: BTreeMap<String, String>,
    /// How the object will be encrypted.
    pub encryption: Encryption,
    /// Tags.
    pub tags: Tags,
    /// Parts by number.
    pub parts: BTreeMap<u32, Part>,
}

/// One part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// The bytes.
    pub content: Content,
    /// Their MD5.
    pub etag: String,
    /// When it came.
    pub at: Millis,
}

pub(super) fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket, key) = rest::bucket_and_key(&call.http);
    let write = write_of(world, call)?;
    let id = world.hex(48);
    let upload = Upload {
        bucket: bucket.clone(),
        key: key.clone(),
        began: world.now,
        metadata: write.metadata,
        headers: write.headers,
        encryption: write.encryption,
        tags: write.tags,
        parts: BTreeMap::new(),
    };
    world.s3.uploads.insert(id.clone(), upload);
    Ok(Reply::Value(
        json!({"InitiateMultipartUploadResult": {"Bucket": bucket, "Key": key, "UploadId": id}}),
    ))
}

pub(super) fn upload_part(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let number = call
        .http
        .query
        .get("partNumber")
        .and_then(|text| text.parse::<u32>().ok());
    let number = number
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| invalid("Part number must be an integer between 1 and 10000, inclusive"))?;
    let write = write_of(world, call)?;
    let now = world.now;
    let part = Part {
        etag: md5_hex(&write.content),
        content: Content(write.content),
        at: now,
    };
    let mut headers = owned([("etag", format!("\"{}\"", part.etag))]);
    headers.extend(write.checksums);
    upload_mut(world, call)?.parts.insert(number, part);
    Ok(Reply::Raw(200, headers, Bytes::new()))
}

pub(super) fn complete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let request = body(call, "CompleteMultipartUpload")?;
    let upload = upload_mut(world, call)?.clone();
    let listed = xml::many(&request, "Part");
    if listed.is_empty() {
        return Err(malformed());
    }
    let (mut content, mut digests, mut before) = (Vec::new(), Vec::new(), 0);
    for (index, entry) in listed.iter().enumerate() {
        let number = entry
            .text("PartNumber")
            .and_then(|text| text.parse::<u32>().ok())
            .ok_or_else(malformed)?;
        if number <= before {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Fault::new("InvalidPartOrder", message));
        }
        before = number;
        let etag = entry.text("ETag").unwrap_or_default().trim_matches('"');
        let part = upload.parts.get(&number).filter(|part| part.etag == etag).ok_or_else(|| {
            let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
            Fault::new("InvalidPart", message)
        })?;
        if index + 1 < listed.len() && part.content.0.len() < SMALLEST {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(Fault::new("EntityTooSmall", message));
        }
        content.extend_from_slice(&part.content.0);
        digests.extend(hex::decode(&part.etag).unwrap_or_default());
    }
    check_condition(bucket(world, call)?, &upload.key, call)?;
    let write = Write {
        content,
        etag: Some(format!("{}-{}", md5_hex(&digests), listed.len())),
        metadata: upload.metadata,
        headers: upload.headers,
        checksums: BTreeMap::new(),
        encryption: upload.encryption,
        tags: upload.tags,
    };
    let version = write_object(
        world,
        &upload.bucket,
        &upload.key,
        write,
        "CompleteMultipartUpload",
    )?;
    world.s3.uploads.remove(upload_id(call));
    let result = json!({"CompleteMultipartUploadResult": {
        "Location": format!("https://{}.s3.{}.amazonaws.com/{}", upload.bucket, call.region, upload.key),
        "Bucket": upload.bucket,
        "Key": upload.key,
        "ETag": format!("\"{}\"", version.etag),
    }});
    let mut headers = written(&version);
    headers.retain(|(name, _)| name != "etag");
    headers.push(("content-type".to_owned(), "application/xml".to_owned()));
    Ok(Reply::Raw(
        200,
        headers,
        xml::document(call, &result).into(),
    ))
}

pub(super) fn abort(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    upload_mut(world, call)?;
    world.s3.uploads.remove(upload_id(call));
    Ok(no_content())
}

pub(super) fn list_parts(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let number = |name: &str| {
        call.http
            .query
            .get(name)
            .and_then(|text| text.parse::<u32>().ok())
    };
    let (after, limit) = (
        number("part-number-marker").unwrap_or(0),
        number("max-parts").unwrap_or(1000).clamp(1, 1000),
    );
    let upload = upload_mut(world, call)?;
    let mut rest = upload.parts.iter().filter(|(number, _)| **number > after);
    let page: Vec<(&u32, &Part)> = rest.by_ref().take(limit as usize).collect();
    let truncated = rest.next().is_some();
    let entry = |(number, part): &(&u32, &Part)| {
        json!({
            "PartNumber": number,
            "LastModified": clock::iso(part.at),
            "ETag": format!("\"{}\"", part.etag),
            "Size": part.content.0.len(),
        })
    };
    Ok(Reply::Value(json!({"ListPartsResult": {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload_id(call),
        "PartNumberMarker": after,
        "NextPartNumberMarker": page.last().map(|(number, _)| **number).filter(|_| truncated),
        "MaxParts": limit,
        "IsTruncated": truncated,
        "Owner": owner(),
        "Initiator": owner(),
        "StorageClass": "STANDARD",
        "Part": page.iter().map(entry).collect::<Vec<_>>(),
    }})))
}

/// All uploads at once: nobody has thousands of them here. A page's marker is therefore refused.
pub(super) fn list_uploads(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let bucket = bucket(world, call)?;
    let query = |name: &str| {
        call.http
            .query
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    if ["key-marker", "upload-id-marker", "delimiter", "max-uploads"]
        .iter()
        .any(|name| query(name).is_some())
    {
        let message = "the ecspipe sandbox lists all multipart uploads in one page, by prefix only";
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    let prefix = query("prefix").unwrap_or_default();
    let ours = world
        .s3
        .uploads
        .iter()
        .filter(|(_, u)| u.bucket == bucket.name && u.key.starts_with(prefix));
    let mut uploads: Vec<(&String, &Upload)> = ours.collect();
    uploads.sort_by_key(|(id, upload)| (&upload.key, upload.began, *id));
    let entry = |(id, upload): (&String, &Upload)| {
        json!({
            "Key": upload.key,
            "UploadId": id,
            "Initiated": clock::iso(upload.began),
            "StorageClass": "STANDARD",
            "Owner": owner(),
            "Initiator": owner(),
        })
    };
    Ok(Reply::Value(json!({"ListMultipartUploadsResult": {
        "Bucket": bucket.name,
        "Prefix": prefix,
        "MaxUploads": 1000,
        "IsTruncated": false,
        "Upload": uploads.into_iter().map(entry).collect::<Vec<_>>(),
    }})))
}

fn upload_id(call: &Call) -> &str {
    call.http
        .query
        .get("uploadId")
        .map(String::as_str)
        .unwrap_or_default()
}

fn upload_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Upload, Fault> {
    let (bucket, key) = rest::bucket_and_key(&call.http);
    let upload = world.s3.uploads.get_mut(upload_id(call));
    upload.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(|| {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
        Fault::new("NoSuchUpload", message).status(404)
    })
}
