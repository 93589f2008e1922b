//! S3 over its wire: path-style requests by hand.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use crate::Sandbox;
use crate::testing::{self, REGION, code, rest, sandbox, text};
use crate::wire::xml;

const EU: &str = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";

async fn send(sandbox: &Sandbox, method: Method, uri: &str, body: &str) -> Response<Bytes> {
    sandbox
        .handle(rest(method, REGION, uri, &[], body.to_owned()))
        .await
}

async fn get(sandbox: &Sandbox, uri: &str) -> Response<Bytes> {
    send(sandbox, Method::GET, uri, "").await
}

async fn put(sandbox: &Sandbox, uri: &str, body: &str) -> Response<Bytes> {
    send(sandbox, Method::PUT, uri, body).await
}

fn tree(response: &Response<Bytes>) -> Value {
    assert_eq!(response.status(), 200, "{}", text(response));
    xml::parse(&text(response)).unwrap()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

fn check(response: &Response<Bytes>, status: u16, want: &str) {
    assert_eq!(
        (response.status().as_u16(), code(response).as_str()),
        (status, want),
        "{}",
        text(response)
    );
}

async fn with_bucket() -> Sandbox {
    let sandbox = sandbox();
    check(&put(&sandbox, "/web", EU).await, 200, "");
    sandbox
}

async fn versioned() -> Sandbox {
    let sandbox = with_bucket().await;
    let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    check(&put(&sandbox, "/web?versioning", body).await, 200, "");
    sandbox
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_in_its_region() {
    let sandbox = sandbox();
    check(
        &put(&sandbox, "/web", "").await,
        400,
        "IllegalLocationConstraintException",
    );
    check(&put(&sandbox, "/Web", EU).await, 400, "InvalidBucketName");
    check(&put(&sandbox, "/web", "<Create").await, 400, "MalformedXML");
    check(&put(&sandbox, "/web", EU).await, 200, "");
    check(
        &put(&sandbox, "/web", EU).await,
        409,
        "BucketAlreadyOwnedByYou",
    );
    assert_eq!(
        tree(&get(&sandbox, "/web?location").await),
        json!({"LocationConstraint": "eu-central-1"})
    );
    let us = |method: Method, uri: &str| sandbox.handle(rest(method, "us-east-1", uri, &[], ""));
    check(&us(Method::PUT, "/usa").await, 200, "");
    check(&us(Method::PUT, "/usa").await, 200, "");
    let elsewhere = us(Method::HEAD, "/web").await;
    assert_eq!(
        (
            elsewhere.status().as_u16(),
            header(&elsewhere, "x-amz-bucket-region")
        ),
        (301, "eu-central-1")
    );
    check(&us(Method::GET, "/web/k").await, 301, "PermanentRedirect");
}

#[tokio::test(start_paused = true)]
async fn head_bucket_has_no_body() {
    let sandbox = with_bucket().await;
    let found = send(&sandbox, Method::HEAD, "/web", "").await;
    assert_eq!(
        (
            found.status().as_u16(),
            header(&found, "x-amz-bucket-region")
        ),
        (200, REGION)
    );
    let missing = send(&sandbox, Method::HEAD, "/other", "").await;
    assert_eq!((missing.status().as_u16(), missing.body().len()), (404, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_goes_only_when_it_is_empty() {
    let sandbox = versioned().await;
    put(&sandbox, "/web/k", "1").await;
    send(&sandbox, Method::DELETE, "/web/k", "").await;
    check(
        &send(&sandbox, Method::DELETE, "/web", "").await,
        409,
        "BucketNotEmpty",
    );
    let listed = tree(&get(&sandbox, "/web?versions").await);
    for kind in ["Version", "DeleteMarker"] {
        let id = listed["ListVersionsResult"][kind]["VersionId"]
            .as_str()
            .unwrap();
        let gone = send(
            &sandbox,
            Method::DELETE,
            &format!("/web/k?versionId={id}"),
            "",
        )
        .await;
        assert_eq!(gone.status(), 204);
    }
    assert_eq!(
        send(&sandbox, Method::DELETE, "/web", "").await.status(),
        204
    );
    check(
        &send(&sandbox, Method::DELETE, "/web", "").await,
        404,
        "NoSuchBucket",
    );
}

#[tokio::test(start_paused = true)]
async fn unset_settings_answer_as_aws_does() {
    let sandbox = with_bucket().await;
    for (name, want) in [
        ("policy", "NoSuchBucketPolicy"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("tagging", "NoSuchTagSet"),
        ("cors", "NoSuchCORSConfiguration"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ] {
        check(&get(&sandbox, &format!("/web?{name}")).await, 404, want);
    }
    for (name, want) in [
        ("versioning", json!({"VersioningConfiguration": ""})),
        ("notification", json!({"NotificationConfiguration": ""})),
        ("logging", json!({"BucketLoggingStatus": ""})),
        (
            "requestPayment",
            json!({"RequestPaymentConfiguration": {"Payer": "BucketOwner"}}),
        ),
        (
            "ownershipControls",
            json!({"OwnershipControls": {"Rule": {"ObjectOwnership": "BucketOwnerEnforced"}}}),
        ),
    ] {
        assert_eq!(tree(&get(&sandbox, &format!("/web?{name}")).await), want);
    }
    let encryption = tree(&get(&sandbox, "/web?encryption").await);
    let rule = &encryption["ServerSideEncryptionConfiguration"]["Rule"];
    assert_eq!(
        rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
        "AES256"
    );
    check(
        &put(&sandbox, "/web?cors", "<CORSConfiguration/>").await,
        501,
        "NotImplemented",
    );
}

#[tokio::test(start_paused = true)]
async fn settings_come_back_as_they_were_set() {
    let sandbox = with_bucket().await;
    let rule = "<Rule><ID>old</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>";
    let block = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    let bodies = [
        (
            "lifecycle",
            format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>"),
        ),
        ("publicAccessBlock", block.to_owned()),
        (
            "notification",
            "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"
                .to_owned(),
        ),
        (
            "tagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b &amp; c</Value></Tag></TagSet></Tagging>"
                .to_owned(),
        ),
    ];
    for (name, body) in &bodies {
        assert!(
            put(&sandbox, &format!("/web?{name}"), body)
                .await
                .status()
                .is_success(),
            "{name}"
        );
    }
    let lifecycle = tree(&get(&sandbox, "/web?lifecycle").await);
    assert_eq!(
        lifecycle["LifecycleConfiguration"]["Rule"]["Expiration"]["Days"],
        "30"
    );
    let block = tree(&get(&sandbox, "/web?publicAccessBlock").await);
    assert_eq!(
        block["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"],
        "false"
    );
    let notification = tree(&get(&sandbox, "/web?notification").await);
    assert_eq!(
        notification["NotificationConfiguration"],
        json!({"EventBridgeConfiguration": ""})
    );
    let tags = tree(&get(&sandbox, "/web?tagging").await);
    assert_eq!(
        tags["Tagging"]["TagSet"]["Tag"],
        json!({"Key": "a", "Value": "b & c"})
    );
    assert_eq!(
        send(&sandbox, Method::DELETE, "/web?lifecycle", "")
            .await
            .status(),
        204
    );
    check(
        &get(&sandbox, "/web?lifecycle").await,
        404,
        "NoSuchLifecycleConfiguration",
    );
}

#[tokio::test(start_paused = true)]
async fn broken_settings_are_refused() {
    let sandbox = with_bucket().await;
    for (name, body, want) in [
        (
            "versioning",
            "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
            "MalformedXML",
        ),
        ("versioning", "<Versioning/>", "MalformedXML"),
        ("lifecycle", "<LifecycleConfiguration/>", "MalformedXML"),
        (
            "lifecycle",
            "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/></Rule></LifecycleConfiguration>",
            "InvalidRequest",
        ),
        (
            "notification",
            "<NotificationConfiguration><QueueConfiguration/></NotificationConfiguration>",
            "InvalidArgument",
        ),
        (
            "tagging",
            "<Tagging><TagSet><Tag><Key>aws:x</Key><Value/></Tag></TagSet></Tagging>",
            "InvalidTag",
        ),
        ("policy", "{}", "MalformedPolicy"),
    ] {
        check(
            &put(&sandbox, &format!("/web?{name}"), body).await,
            400,
            want,
        );
    }
}

#[tokio::test(start_paused = true)]
async fn policies_are_of_the_bucket_and_not_public() {
    let sandbox = with_bucket().await;
    let policy = |effect: &str, principal: Value, resource: &str| {
        json!({"Statement": [{"Effect": effect, "Principal": principal, "Action": "s3:*", "Resource": resource}]}).to_string()
    };
    let good = policy("Deny", json!("*"), "arn:aws:s3:::web/*");
    assert_eq!(put(&sandbox, "/web?policy", &good).await.status(), 204);
    assert_eq!(text(&get(&sandbox, "/web?policy").await), good);
    let other = policy("Deny", json!("*"), "arn:aws:s3:::other/*");
    check(
        &put(&sandbox, "/web?policy", &other).await,
        400,
        "MalformedPolicy",
    );
    let public = policy("Allow", json!("*"), "arn:aws:s3:::web/*");
    check(
        &put(&sandbox, "/web?policy", &public).await,
        403,
        "AccessDenied",
    );
    let ghost = policy(
        "Allow",
        json!({"AWS": "arn:aws:iam::111122223333:role/ghost"}),
        "arn:aws:s3:::web/*",
    );
    check(
        &put(&sandbox, "/web?policy", &ghost).await,
        400,
        "MalformedPolicy",
    );
}

#[tokio::test(start_paused = true)]
async fn versions_are_kept() {
    let sandbox = versioned().await;
    let first = put(&sandbox, "/web/a%20b", "one").await;
    let first = header(&first, "x-amz-version-id").to_owned();
    put(&sandbox, "/web/a%20b", "two").await;
    assert_eq!(text(&get(&sandbox, "/web/a%20b").await), "two");
    assert_eq!(
        text(&get(&sandbox, &format!("/web/a%20b?versionId={first}")).await),
        "one"
    );
    let gone = send(&sandbox, Method::DELETE, "/web/a%20b", "").await;
    assert_eq!(header(&gone, "x-amz-delete-marker"), "true");
    let marker = header(&gone, "x-amz-version-id").to_owned();
    let missing = get(&sandbox, "/web/a%20b").await;
    check(&missing, 404, "NoSuchKey");
    assert_eq!(header(&missing, "x-amz-delete-marker"), "true");
    check(
        &get(&sandbox, &format!("/web/a%20b?versionId={marker}")).await,
        405,
        "MethodNotAllowed",
    );
    check(
        &get(&sandbox, "/web/a%20b?versionId=none").await,
        404,
        "NoSuchVersion",
    );
    send(
        &sandbox,
        Method::DELETE,
        &format!("/web/a%20b?versionId={marker}"),
        "",
    )
    .await;
    assert_eq!(text(&get(&sandbox, "/web/a%20b").await), "two");
}

#[tokio::test(start_paused = true)]
async fn a_write_without_versions_replaces_the_one_before() {
    let sandbox = with_bucket().await;
    put(&sandbox, "/web/k", "1").await;
    put(&sandbox, "/web/k", "2").await;
    let listed = tree(&get(&sandbox, "/web?versions").await);
    assert_eq!(listed["ListVersionsResult"]["Version"]["VersionId"], "null");
    for status in ["Enabled", "Suspended"] {
        let body =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        put(&sandbox, "/web?versioning", &body).await;
        put(&sandbox, "/web/k", status).await;
    }
    let listed = tree(&get(&sandbox, "/web?versions").await);
    assert_eq!(xml::many(&listed["ListVersionsResult"], "Version").len(), 2);
    send(&sandbox, Method::DELETE, "/web/k?versionId=null", "").await;
    assert_eq!(text(&get(&sandbox, "/web/k").await), "Enabled");
}

#[tokio::test(start_paused = true)]
async fn an_object_keeps_its_description() {
    let sandbox = with_bucket().await;
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-commit", "abc"),
        ("x-amz-tagging", "a=b"),
    ];
    let put = sandbox
        .handle(rest(Method::PUT, REGION, "/web/k", &headers, "hello"))
        .await;
    assert_eq!(header(&put, "etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    let head = send(&sandbox, Method::HEAD, "/web/k", "").await;
    let shown = [
        "content-type",
        "content-length",
        "x-amz-meta-commit",
        "last-modified",
        "x-amz-tagging-count",
    ];
    let shown = shown.map(|name| header(&head, name));
    assert_eq!(
        shown,
        [
            "text/plain",
            "5",
            "abc",
            "Thu, 01 Jan 2026 00:00:00 GMT",
            "1"
        ]
    );
    assert!(head.body().is_empty());
    let part = sandbox
        .handle(rest(
            Method::GET,
            REGION,
            "/web/k",
            &[("range", "bytes=1-2")],
            "",
        ))
        .await;
    assert_eq!((part.status().as_u16(), text(&part).as_str()), (206, "el"));
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_loses_to_an_earlier_one() {
    let sandbox = with_bucket().await;
    let only_new = [("if-none-match", "*")];
    let write = || sandbox.handle(rest(Method::PUT, REGION, "/web/lease", &only_new, "me"));
    assert_eq!(write().await.status(), 200);
    check(&write().await, 412, "PreconditionFailed");
    send(&sandbox, Method::DELETE, "/web/lease", "").await;
    let etag = write().await;
    let etag = header(&etag, "etag").to_owned();
    let swap = |etag: &str| {
        let request = rest(
            Method::PUT,
            REGION,
            "/web/lease",
            &[("if-match", etag)],
            "you",
        );
        sandbox.handle(request)
    };
    check(&swap("\"0\"").await, 412, "PreconditionFailed");
    assert_eq!(swap(&etag).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_body_is_refused() {
    let sandbox = with_bucket().await;
    for (name, good) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        (
            "x-amz-checksum-sha256",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        ),
    ] {
        let write = |body: &'static str| {
            sandbox.handle(rest(Method::PUT, REGION, "/web/k", &[(name, good)], body))
        };
        assert_eq!(write("hello").await.status(), 200, "{name}");
        check(&write("hellp").await, 400, "BadDigest");
    }
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let read = sandbox
        .handle(rest(Method::GET, REGION, "/web/k", &mode, ""))
        .await;
    assert_eq!(
        header(&read, "x-amz-checksum-sha256"),
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    );
}

#[tokio::test(start_paused = true)]
async fn listings_roll_up_and_page() {
    let sandbox = with_bucket().await;
    for key in ["a", "b/1", "b/2", "c/1", "d"] {
        put(&sandbox, &format!("/web/{key}"), "x").await;
    }
    let mut seen = Vec::new();
    let mut uri = "/web?list-type=2&delimiter=%2F&max-keys=2".to_owned();
    loop {
        let result = tree(&get(&sandbox, &uri).await)["ListBucketResult"].take();
        seen.push(result["KeyCount"].as_str().unwrap().to_owned());
        seen.extend(
            xml::many(&result, "Contents")
                .iter()
                .map(|object| object["Key"].as_str().unwrap().to_owned()),
        );
        seen.extend(
            xml::many(&result, "CommonPrefixes")
                .iter()
                .map(|p| p["Prefix"].as_str().unwrap().to_owned()),
        );
        match result["NextContinuationToken"].as_str() {
            Some(token) => {
                uri =
                    format!("/web?list-type=2&delimiter=%2F&max-keys=2&continuation-token={token}")
            }
            None => break,
        }
    }
    assert_eq!(seen, ["2", "a", "b/", "2", "d", "c/"]);
    let result = tree(&get(&sandbox, "/web?prefix=b/").await);
    assert_eq!(xml::many(&result["ListBucketResult"], "Contents").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn versions_page_within_a_key() {
    let sandbox = versioned().await;
    for (key, body) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")] {
        put(&sandbox, &format!("/web/{key}"), body).await;
    }
    let mut seen = Vec::new();
    let mut uri = "/web?versions&max-keys=2".to_owned();
    loop {
        let result = tree(&get(&sandbox, &uri).await)["ListVersionsResult"].take();
        for version in xml::many(&result, "Version") {
            let (key, id) = (
                version["Key"].as_str().unwrap(),
                version["VersionId"].as_str().unwrap(),
            );
            let body = text(&get(&sandbox, &format!("/web/{key}?versionId={id}")).await);
            seen.push(format!(
                "{key}{body}{}",
                version["IsLatest"].as_str().unwrap()
            ));
        }
        match (
            result["NextKeyMarker"].as_str(),
            result["NextVersionIdMarker"].as_str(),
        ) {
            (Some(key), Some(id)) => {
                uri = format!("/web?versions&max-keys=2&key-marker={key}&version-id-marker={id}")
            }
            _ => break,
        }
    }
    assert_eq!(seen, ["a3true", "a2false", "a1false", "b1true"]);
}

#[tokio::test(start_paused = true)]
async fn many_are_deleted_at_once() {
    let sandbox = with_bucket().await;
    put(&sandbox, "/web/a", "1").await;
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>";
    check(
        &send(&sandbox, Method::POST, "/web?delete", body).await,
        400,
        "InvalidRequest",
    );
    let digest = {
        use base64::Engine as _;
        use md5::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body))
    };
    let request = rest(
        Method::POST,
        REGION,
        "/web?delete",
        &[("content-md5", &digest)],
        body,
    );
    let result = tree(&sandbox.handle(request).await);
    assert_eq!(
        result["DeleteResult"]["Deleted"],
        json!([{"Key": "a"}, {"Key": "none"}])
    );
    check(&get(&sandbox, "/web/a").await, 404, "NoSuchKey");
}

#[tokio::test(start_paused = true)]
async fn copies_and_parts_become_objects() {
    let sandbox = with_bucket().await;
    let headers = [("x-amz-meta-m", "1")];
    sandbox
        .handle(rest(Method::PUT, REGION, "/web/a%20b", &headers, "hello"))
        .await;
    let copy = sandbox
        .handle(rest(
            Method::PUT,
            REGION,
            "/web/c",
            &[("x-amz-copy-source", "/web/a%20b")],
            "",
        ))
        .await;
    assert!(
        tree(&copy)["CopyObjectResult"]["ETag"]
            .as_str()
            .unwrap()
            .contains("5d41402a")
    );
    let read = get(&sandbox, "/web/c").await;
    assert_eq!(
        (text(&read).as_str(), header(&read, "x-amz-meta-m")),
        ("hello", "1")
    );
    let started = tree(&send(&sandbox, Method::POST, "/web/big?uploads", "").await);
    let id = started["InitiateMultipartUploadResult"]["UploadId"]
        .as_str()
        .unwrap()
        .to_owned();
    let part = put(
        &sandbox,
        &format!("/web/big?partNumber=1&uploadId={id}"),
        "part",
    )
    .await;
    let etag = header(&part, "etag").to_owned();
    let complete = |etag: &str| {
        format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        )
    };
    let uri = format!("/web/big?uploadId={id}");
    check(
        &send(&sandbox, Method::POST, &uri, &complete("0")).await,
        400,
        "InvalidPart",
    );
    let done = tree(&send(&sandbox, Method::POST, &uri, &complete(&etag)).await);
    assert!(
        done["CompleteMultipartUploadResult"]["ETag"]
            .as_str()
            .unwrap()
            .ends_with("-1\"")
    );
    assert_eq!(text(&get(&sandbox, "/web/big").await), "part");
    check(
        &send(&sandbox, Method::POST, &uri, &complete(&etag)).await,
        404,
        "NoSuchUpload",
    );
}

#[tokio::test(start_paused = true)]
async fn objects_take_the_buckets_key_and_it_must_be_usable() {
    let sandbox = with_bucket().await;
    let key = testing::call(&sandbox, "kms", "CreateKey", json!({}))
        .await
        .unwrap();
    let id = key["KeyMetadata"]["KeyId"].as_str().unwrap();
    let body = format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{id}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
    );
    check(&put(&sandbox, "/web?encryption", &body).await, 200, "");
    let written = put(&sandbox, "/web/k", "hello").await;
    assert_eq!(header(&written, "x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(
        header(&written, "x-amz-server-side-encryption-aws-kms-key-id"),
        key["KeyMetadata"]["Arn"]
    );
    assert_ne!(
        header(&written, "etag"),
        "\"5d41402abc4b2a76b9719d911017c592\""
    );
    testing::call(&sandbox, "kms", "DisableKey", json!({"KeyId": id}))
        .await
        .unwrap();
    check(
        &put(&sandbox, "/web/k", "hello").await,
        400,
        "KMS.DisabledException",
    );
}
