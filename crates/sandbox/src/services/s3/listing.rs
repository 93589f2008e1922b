//! S3's listings of objects and versions: prefix, delimiter, pages. Must not change anything.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{Bucket, Version, bucket, invalid, owner};
use crate::clock;
use crate::wire::{Call, Fault, Reply};
use crate::world::World;

/// What one page of any listing is asked for.
struct Query<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    limit: usize,
    url: bool,
}

/// One page.
struct Cut<'a> {
    keys: Vec<&'a str>,
    prefixes: Vec<String>,
    /// The last key or common prefix of a page that isn't the last.
    last: Option<String>,
}

pub(super) fn list_objects_v2(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket, query) = (bucket(world, call)?, query(call)?);
    let token = parameter(call, "continuation-token");
    let after = match token {
        Some(token) => {
            let bytes = hex::decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(bytes.ok_or_else(|| invalid("The continuation token provided is incorrect"))?)
        }
        None => parameter(call, "start-after").map(ToOwned::to_owned),
    };
    let cut = cut(bucket, &query, after.as_deref().unwrap_or_default());
    let with_owner = parameter(call, "fetch-owner") == Some("true");
    let mut result = head(call, bucket, &query, &cut);
    result.insert(
        "KeyCount".to_owned(),
        json!(cut.keys.len() + cut.prefixes.len()),
    );
    result.insert("ContinuationToken".to_owned(), json!(token));
    result.insert(
        "NextContinuationToken".to_owned(),
        json!(cut.last.as_ref().map(hex::encode)),
    );
    result.insert(
        "StartAfter".to_owned(),
        json!(parameter(call, "start-after").map(|text| query.shown(text))),
    );
    result.insert(
        "Contents".to_owned(),
        contents(bucket, &query, &cut, with_owner),
    );
    Ok(Reply::Value(json!({"ListBucketResult": result})))
}

pub(super) fn list_objects(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket, query) = (bucket(world, call)?, query(call)?);
    let marker = parameter(call, "marker").unwrap_or_default();
    let cut = cut(bucket, &query, marker);
    let mut result = head(call, bucket, &query, &cut);
    result.insert("Marker".to_owned(), json!(query.shown(marker)));
    // Without a delimiter the last key is the marker, and S3 doesn't say it again.
    let next = cut.last.as_ref().filter(|_| query.delimiter.is_some());
    result.insert(
        "NextMarker".to_owned(),
        json!(next.map(|last| query.shown(last))),
    );
    result.insert("Contents".to_owned(), contents(bucket, &query, &cut, true));
    Ok(Reply::Value(json!({"ListBucketResult": result})))
}

pub(super) fn list_object_versions(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (bucket, query) = (bucket(world, call)?, query(call)?);
    if query.delimiter.is_some() {
        let message = "the ecspipe sandbox lists versions without a delimiter only";
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    let key_marker = parameter(call, "key-marker");
    let id_marker = parameter(call, "version-id-marker").filter(|id| !id.is_empty());
    if id_marker.is_some() && key_marker.is_none() {
        return Err(invalid(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let mut rest = versions_after(bucket, &query, key_marker, id_marker).peekable();
    let (mut versions, mut markers, mut last) = (Vec::new(), Vec::new(), None);
    while versions.len() + markers.len() < query.limit {
        let Some((key, version, latest)) = rest.next() else {
            break;
        };
        last = Some((key, version.id.as_str()));
        match version.is_marker() {
            true => markers.push(version_entry(&query, key, version, latest)),
            false => versions.push(version_entry(&query, key, version, latest)),
        }
    }
    let last = last.filter(|_| rest.peek().is_some());
    Ok(Reply::Value(json!({"ListVersionsResult": {
        "Name": bucket.name,
        "Prefix": query.shown(query.prefix),
        "KeyMarker": query.shown(key_marker.unwrap_or_default()),
        "VersionIdMarker": id_marker.unwrap_or_default(),
        "NextKeyMarker": last.map(|(key, _)| query.shown(key)),
        "NextVersionIdMarker": last.map(|(_, id)| id),
        "MaxKeys": query.limit,
        "EncodingType": query.url.then_some("url"),
        "IsTruncated": last.is_some(),
        "Version": versions,
        "DeleteMarker": markers,
    }})))
}

/// Versions in S3's order: by key, the newest first; those after the markers.
fn versions_after<'a>(
    bucket: &'a Bucket,
    query: &'a Query<'_>,
    key_marker: Option<&'a str>,
    id_marker: Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a Version, bool)> {
    let marker = key_marker.unwrap_or_default();
    let keys = bucket.objects.iter().filter(move |(key, _)| {
        key.starts_with(query.prefix)
            && (key.as_str() > marker || (id_marker.is_some() && key.as_str() == marker))
    });
    keys.flat_map(move |(key, versions)| {
        // Within the marker's key, those that come after the marked one; all, if that is gone by now.
        let marked = id_marker.filter(|_| key == marker);
        let index =
            marked.and_then(|id| versions.iter().rev().position(|version| version.id == id));
        let skip = index.map_or(0, |index| index + 1);
        let newest = versions.len() - 1;
        let numbered = versions.iter().enumerate().rev().skip(skip);
        numbered.map(move |(index, version)| (key.as_str(), version, index == newest))
    })
}

fn version_entry(query: &Query<'_>, key: &str, version: &Version, latest: bool) -> Value {
    let mut entry = json!({
        "Key": query.shown(key),
        "VersionId": version.id,
        "IsLatest": latest,
        "LastModified": clock::iso(version.at),
        "Owner": owner(),
    });
    if !version.is_marker() {
        entry["ETag"] = json!(format!("\"{}\"", version.etag));
        entry["Size"] = json!(version.bytes().len());
        entry["StorageClass"] = json!("STANDARD");
    }
    entry
}

/// The keys after `after`, rolled up at the delimiter.
fn cut<'a>(bucket: &'a Bucket, query: &Query<'_>, after: &str) -> Cut<'a> {
    let mut cut = Cut {
        keys: Vec::new(),
        prefixes: Vec::new(),
        last: None,
    };
    let keys = bucket
        .objects
        .keys()
        .filter(|key| key.starts_with(query.prefix) && key.as_str() > after);
    let mut last: Option<String> = None;
    for key in keys.filter(|key| bucket.current(key).is_some()) {
        let common = query.common_prefix(key);
        // All keys of a common prefix are one entry, also when it was on the page before.
        if common.as_deref().is_some_and(|common| {
            common == after || cut.prefixes.last().is_some_and(|last| last == common)
        }) {
            continue;
        }
        if cut.keys.len() + cut.prefixes.len() >= query.limit {
            cut.last = last;
            return cut;
        }
        match common {
            Some(common) => {
                last = Some(common.clone());
                cut.prefixes.push(common);
            }
            None => {
                last = Some(key.clone());
                cut.keys.push(key);
            }
        }
    }
    cut
}

impl Query<'_> {
    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let rest = key.strip_prefix(self.prefix)?;
        let end = rest.find(delimiter)? + delimiter.len();
        Some(format!("{}{}", self.prefix, &rest[..end]))
    }

    /// A key as the answer writes it.
    fn shown(&self, key: &str) -> String {
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~')
            .remove(b'/');
        match self.url {
            true => utf8_percent_encode(key, KEPT).to_string(),
            false => key.to_owned(),
        }
    }
}

fn parameter<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.http.query.get(name).map(String::as_str)
}

fn query(call: &Call) -> Result<Query<'_>, Fault> {
    let limit = match parameter(call, "max-keys") {
        None => 1000,
        Some(text) => match text.parse::<usize>() {
            Ok(number) => number.min(1000),
            Err(_) => {
                return Err(invalid(
                    "Provided max-keys not an integer or within integer range",
                ));
            }
        },
    };
    let url = match parameter(call, "encoding-type") {
        None => false,
        Some("url") => true,
        Some(_) => return Err(invalid("Invalid Encoding Method specified in Request")),
    };
    Ok(Query {
        prefix: parameter(call, "prefix").unwrap_or_default(),
        delimiter: parameter(call, "delimiter"),
        limit,
        url,
    })
}

/// What both object listings begin with.
fn head(call: &Call, bucket: &Bucket, query: &Query<'_>, cut: &Cut<'_>) -> Map<String, Value> {
    let prefixes: Vec<Value> = cut
        .prefixes
        .iter()
        .map(|prefix| json!({"Prefix": query.shown(prefix)}))
        .collect();
    let fields = [
        ("Name", json!(bucket.name)),
        ("Prefix", json!(query.shown(query.prefix))),
        (
            "Delimiter",
            json!(query.delimiter.map(|delimiter| query.shown(delimiter))),
        ),
        ("MaxKeys", json!(query.limit)),
        ("EncodingType", json!(parameter(call, "encoding-type"))),
        ("IsTruncated", json!(cut.last.is_some())),
        ("CommonPrefixes", json!(prefixes)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn contents(bucket: &Bucket, query: &Query<'_>, cut: &Cut<'_>, with_owner: bool) -> Value {
    let entry = |key: &&str| {
        let version = bucket.current(key)?;
        let mut entry = json!({
            "Key": query.shown(key),
            "LastModified": clock::iso(version.at),
            "ETag": format!("\"{}\"", version.etag),
            "Size": version.bytes().len(),
            "StorageClass": "STANDARD",
        });
        if with_owner {
            entry["Owner"] = owner();
        }
        Some(entry)
    };
    cut.keys.iter().filter_map(entry).collect()
}
