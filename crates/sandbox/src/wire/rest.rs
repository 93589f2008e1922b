//! The REST side of the wire: path, query, `aws-chunked` bodies, and S3's operations by method and sub-resource.
//! Must not know any state.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request};
use percent_encoding::percent_decode_str;

use super::{Fault, Http};

/// The request taken apart. The fault is a body whose `aws-chunked` framing is broken.
pub fn http(request: &Request<Bytes>) -> Result<Http, Fault> {
    let mut headers = super::headers(request.headers());
    let chunked = headers
        .get("content-encoding")
        .is_some_and(|v| v.contains("aws-chunked"))
        || headers
            .get("x-amz-content-sha256")
            .is_some_and(|v| v.starts_with("STREAMING-"));
    let body = match chunked {
        true => {
            let (body, trailers) = dechunk(request.body()).ok_or_else(|| {
                Fault::new("IncompleteBody", "The request body terminated unexpectedly")
            })?;
            headers.extend(trailers);
            body
        }
        false => request.body().clone(),
    };
    Ok(Http {
        method: request.method().clone(),
        path: percent_decode_str(request.uri().path())
            .decode_utf8_lossy()
            .into_owned(),
        query: query(request),
        headers,
        body,
    })
}

/// The decoded query of a request.
pub fn query(request: &Request<Bytes>) -> BTreeMap<String, String> {
    parse_query(request.uri().query().unwrap_or_default())
}

/// `a=b&c` decoded; a name without a value has an empty one.
pub fn parse_query(text: &str) -> BTreeMap<String, String> {
    let decode = |part: &str| {
        percent_decode_str(&part.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) => (decode(name), decode(value)),
        None => (decode(part), String::new()),
    };
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(pair)
        .collect()
}

/// Takes the chunk framing off: `size[;extensions]\r\n data \r\n … 0\r\n`, then trailers, which are answered as headers.
/// `None` where a size is no number, a chunk is short, or the last chunk is missing.
fn dechunk(body: &[u8]) -> Option<(Bytes, BTreeMap<String, String>)> {
    let mut rest = body;
    let mut out = Vec::with_capacity(rest.len());
    loop {
        let (line, after) = line(rest)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some((out.into(), trailers(after)));
        }
        out.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn trailers(mut rest: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    while let Some((line, after)) = line(rest) {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
        rest = after;
    }
    headers
}

/// The text up to the next line end, and what comes after it.
fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((
        String::from_utf8_lossy(&bytes[..end]).into_owned(),
        &bytes[end + 2..],
    ))
}

/// S3's sub-resources: the query name and the operation's middle part.
const BUCKET_RESOURCES: [(&str, &str); 23] = [
    ("location", "BucketLocation"),
    ("versioning", "BucketVersioning"),
    ("encryption", "BucketEncryption"),
    ("publicAccessBlock", "PublicAccessBlock"),
    ("lifecycle", "BucketLifecycleConfiguration"),
    ("policy", "BucketPolicy"),
    ("policyStatus", "BucketPolicyStatus"),
    ("ownershipControls", "BucketOwnershipControls"),
    ("notification", "BucketNotificationConfiguration"),
    ("tagging", "BucketTagging"),
    ("acl", "BucketAcl"),
    ("cors", "BucketCors"),
    ("logging", "BucketLogging"),
    ("accelerate", "BucketAccelerateConfiguration"),
    ("requestPayment", "BucketRequestPayment"),
    ("website", "BucketWebsite"),
    ("replication", "BucketReplication"),
    ("object-lock", "ObjectLockConfiguration"),
    (
        "intelligent-tiering",
        "BucketIntelligentTieringConfiguration",
    ),
    ("analytics", "BucketAnalyticsConfiguration"),
    ("metrics", "BucketMetricsConfiguration"),
    ("inventory", "BucketInventoryConfiguration"),
    ("abac", "BucketAbac"),
];

/// The S3 operation that method, path and query mean.
pub fn operation(http: &Http) -> String {
    let has = |name: &str| http.query.contains_key(name);
    let (bucket, key) = bucket_and_key(http);
    let verb = match http.method {
        Method::GET => "Get",
        Method::PUT => "Put",
        Method::DELETE => "Delete",
        Method::HEAD => "Head",
        _ => "Post",
    };
    if bucket.is_empty() {
        return if http.method == Method::GET {
            "ListBuckets"
        } else {
            "Unknown"
        }
        .to_owned();
    }
    if !key.is_empty() {
        return object_operation(http, verb, &has);
    }
    if http.method == Method::POST && has("delete") {
        return "DeleteObjects".to_owned();
    }
    if let Some((_, name)) = BUCKET_RESOURCES.iter().find(|(query, _)| has(query)) {
        let name = if verb == "Delete" && *name == "BucketLifecycleConfiguration" {
            "BucketLifecycle"
        } else {
            name
        };
        return format!("{verb}{name}");
    }
    match http.method {
        Method::GET if has("versions") => "ListObjectVersions",
        Method::GET if has("uploads") => "ListMultipartUploads",
        Method::GET if has("list-type") => "ListObjectsV2",
        Method::GET => "ListObjects",
        Method::PUT => "CreateBucket",
        Method::DELETE => "DeleteBucket",
        Method::HEAD => "HeadBucket",
        _ => "Unknown",
    }
    .to_owned()
}

/// Sub-resources of objects that are operations of their own; the sandbox must not take them for the object.
const OBJECT_RESOURCES: [(&str, &str); 7] = [
    ("tagging", "ObjectTagging"),
    ("acl", "ObjectAcl"),
    ("attributes", "ObjectAttributes"),
    ("legal-hold", "ObjectLegalHold"),
    ("retention", "ObjectRetention"),
    ("torrent", "ObjectTorrent"),
    ("restore", "ObjectRestore"),
];

fn object_operation(http: &Http, verb: &str, has: &dyn Fn(&str) -> bool) -> String {
    if let Some((_, name)) = OBJECT_RESOURCES.iter().find(|(query, _)| has(query)) {
        return format!("{verb}{name}");
    }
    match (verb, has("uploadId"), has("uploads")) {
        ("Put", true, _) if http.headers.contains_key("x-amz-copy-source") => "UploadPartCopy",
        ("Put", true, _) => "UploadPart",
        ("Get", true, _) => "ListParts",
        ("Post", _, true) => "CreateMultipartUpload",
        ("Post", true, _) => "CompleteMultipartUpload",
        ("Delete", true, _) => "AbortMultipartUpload",
        ("Get", ..) => "GetObject",
        ("Head", ..) => "HeadObject",
        ("Put", ..) if http.headers.contains_key("x-amz-copy-source") => "CopyObject",
        ("Put", ..) => "PutObject",
        ("Delete", ..) => "DeleteObject",
        _ => "Unknown",
    }
    .to_owned()
}

/// Names before `.localhost` that are this sandbox itself, not a virtual-hosted bucket: the second is what the in-process
/// connector calls it.
const OWN_HOSTS: [&str; 2] = ["s3", "sandbox"];

/// Bucket and key, from a virtual-hosted or a path-style request.
pub fn bucket_and_key(http: &Http) -> (String, String) {
    let host = http
        .headers
        .get("host")
        .map(String::as_str)
        .unwrap_or_default();
    // One slash only: a key may begin with one.
    let path = http.path.strip_prefix('/').unwrap_or(&http.path);
    let hosted = host
        .split_once(".s3")
        .filter(|(_, rest)| rest.starts_with(['.', '-']))
        .map(|(bucket, _)| bucket);
    let local = host
        .split(':')
        .next()
        .unwrap_or_default()
        .strip_suffix(".localhost")
        .filter(|name| !OWN_HOSTS.contains(name));
    match hosted.or(local) {
        Some(bucket) => (bucket.to_owned(), path.to_owned()),
        None => match path.split_once('/') {
            Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
            None => (path.to_owned(), String::new()),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn get(method: Method, host: &str, uri: &str) -> Http {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", host)
            .body(Bytes::new())
            .unwrap();
        http(&request).unwrap()
    }

    #[test]
    fn chunks_are_joined_and_trailers_become_headers() {
        let body = b"5;chunk-signature=ab\r\nhello\r\n3\r\n\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let request = Request::put("/b/k")
            .header("content-encoding", "aws-chunked")
            .body(Bytes::from_static(body))
            .unwrap();
        let http = http(&request).unwrap();
        assert_eq!(&http.body[..], b"hello\r\n!");
        assert_eq!(http.headers["x-amz-checksum-crc32"], "AAAA");
    }

    #[test]
    fn an_empty_body_may_be_chunked() {
        let (body, trailers) = dechunk(b"0\r\n\r\n").unwrap();
        assert!(body.is_empty() && trailers.is_empty());
    }

    #[test]
    fn broken_chunks_are_refused() {
        let broken: [&[u8]; 6] = [
            b"",
            b"5\r\nhell",
            b"zz\r\nhello\r\n",
            b"5\r\nhello\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"ffffffffffffffff\r\na\r\n",
        ];
        for body in broken {
            assert_eq!(dechunk(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn buckets_are_in_the_host_or_in_the_path() {
        let check = |host: &str, uri: &str, bucket: &str, key: &str| {
            assert_eq!(
                bucket_and_key(&get(Method::GET, host, uri)),
                (bucket.to_owned(), key.to_owned()),
                "{host}{uri}"
            );
        };
        check(
            "my.bucket.s3.eu-central-1.amazonaws.com",
            "/a/b%20c",
            "my.bucket",
            "a/b c",
        );
        check(
            "s3.eu-central-1.amazonaws.com",
            "/bucket/a/b",
            "bucket",
            "a/b",
        );
        check("s3.eu-central-1.amazonaws.com", "/bucket", "bucket", "");
        check(
            "s3.eu-central-1.amazonaws.com",
            "/bucket//a",
            "bucket",
            "/a",
        );
        check("127.0.0.1:4566", "/bucket/k", "bucket", "k");
        check("bucket.localhost:4566", "/k", "bucket", "k");
        check("s3.localhost:4566", "/bucket/k", "bucket", "k");
        check("s3.eu-central-1.amazonaws.com", "/", "", "");
    }

    #[test]
    fn operations_follow_method_and_sub_resource() {
        let check = |method: Method, uri: &str, want: &str| {
            assert_eq!(operation(&get(method, "127.0.0.1", uri)), want, "{uri}")
        };
        check(Method::GET, "/", "ListBuckets");
        check(Method::PUT, "/b", "CreateBucket");
        check(Method::GET, "/b?list-type=2&prefix=a", "ListObjectsV2");
        check(Method::GET, "/b?versions", "ListObjectVersions");
        check(Method::PUT, "/b?versioning", "PutBucketVersioning");
        check(Method::DELETE, "/b?lifecycle", "DeleteBucketLifecycle");
        check(
            Method::GET,
            "/b?lifecycle",
            "GetBucketLifecycleConfiguration",
        );
        check(
            Method::DELETE,
            "/b?publicAccessBlock",
            "DeletePublicAccessBlock",
        );
        check(Method::GET, "/b?object-lock", "GetObjectLockConfiguration");
        check(Method::POST, "/b?delete", "DeleteObjects");
        check(Method::GET, "/b/k?versionId=1&x-id=GetObject", "GetObject");
        check(Method::GET, "/b/k?acl", "GetObjectAcl");
        check(Method::PUT, "/b/k?partNumber=1&uploadId=u", "UploadPart");
        check(Method::POST, "/b/k?uploads", "CreateMultipartUpload");
        check(Method::POST, "/b/k?restore", "PostObjectRestore");
        check(Method::POST, "/", "Unknown");
    }
}
