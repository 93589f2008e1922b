//! Repositories and images, over the wire.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Sandbox;
use crate::runtime::Content;
use crate::testing::{self, REGION, sandbox};

const HOST: &str = "111122223333.dkr.ecr.eu-central-1.amazonaws.com";

async fn ecr(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
    testing::call(sandbox, "ecr", operation, input).await
}

async fn with_repository() -> Sandbox {
    let sandbox = sandbox();
    let input = json!({
        "repositoryName": "web",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "buildcache*"}],
        "tags": [{"Key": "a", "Value": "b"}],
    });
    ecr(&sandbox, "CreateRepository", input).await.unwrap();
    sandbox
}

fn image(text: &str) -> Image {
    let files = BTreeMap::from([("/index.html".to_owned(), Content(text.as_bytes().to_vec()))]);
    Image {
        base: "httpd".to_owned(),
        files,
        ports: vec![80],
        ..Image::default()
    }
}

fn refused(code: &str) -> Result<Value, (u16, String)> {
    Err((400, code.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_repository_comes_back_as_it_was_made() {
    let sandbox = with_repository().await;
    let answer = ecr(
        &sandbox,
        "DescribeRepositories",
        json!({"repositoryNames": ["web"]}),
    )
    .await
    .unwrap();
    let repository = &answer["repositories"][0];
    assert_eq!(repository["repositoryUri"], format!("{HOST}/web"));
    assert_eq!(
        repository["imageTagMutabilityExclusionFilters"][0]["filter"],
        "buildcache*"
    );
    let tags = ecr(
        &sandbox,
        "ListTagsForResource",
        json!({"resourceArn": repository["repositoryArn"]}),
    )
    .await
    .unwrap();
    assert_eq!(tags, json!({"tags": [{"Key": "a", "Value": "b"}]}));
    let missing = ecr(
        &sandbox,
        "DescribeRepositories",
        json!({"repositoryNames": ["other"]}),
    )
    .await;
    assert_eq!(missing, refused("RepositoryNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_refused() {
    let sandbox = with_repository().await;
    for input in [
        json!({"repositoryName": "Web"}),
        json!({"repositoryName": "a__-b"}),
        json!({"repositoryName": "w/-"}),
        json!({"repositoryName": "ok", "imageTagMutability": "SOMETIMES"}),
        json!({"repositoryName": "ok", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}),
        json!({"repositoryName": "ok", "encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": "x"}}),
    ] {
        assert_eq!(
            ecr(&sandbox, "CreateRepository", input.clone()).await,
            refused("InvalidParameterException"),
            "{input}"
        );
    }
    let again = ecr(
        &sandbox,
        "CreateRepository",
        json!({"repositoryName": "web"}),
    )
    .await;
    assert_eq!(again, refused("RepositoryAlreadyExistsException"));
    let ghost = json!({"repositoryName": "ok", "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/x"}});
    assert_eq!(
        ecr(&sandbox, "CreateRepository", ghost).await,
        refused("KmsException")
    );
}

#[tokio::test(start_paused = true)]
async fn tags_do_not_move_but_for_the_excluded() {
    let sandbox = with_repository().await;
    let push = |tag: &str, text: &str| push(&mut sandbox.world(), REGION, "web", tag, image(text));
    let first = push("abc", "1").unwrap();
    assert_eq!(push("abc", "1").unwrap(), first);
    assert_eq!(
        push("abc", "2").unwrap_err().code,
        "ImageTagAlreadyExistsException"
    );
    assert_ne!(
        push("buildcache", "1").unwrap(),
        push("buildcache", "2").unwrap()
    );
    assert_eq!(
        push("b ad", "1").unwrap_err().code,
        "InvalidParameterException"
    );
}

#[tokio::test(start_paused = true)]
async fn images_are_pulled_by_tag_and_digest() {
    let sandbox = with_repository().await;
    let digest = push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
    let pull = |uri: String| pull(&sandbox.world(), &uri);
    for uri in [
        format!("{HOST}/web:abc"),
        format!("{HOST}/web@{digest}"),
        format!("{HOST}/web:abc@{digest}"),
    ] {
        assert_eq!(pull(uri.clone()), Some(Ok(image("1"))), "{uri}");
    }
    for uri in [
        format!("{HOST}/web"),
        format!("{HOST}/web@sha256:00"),
        format!("{HOST}/other:abc"),
    ] {
        assert!(matches!(pull(uri.clone()), Some(Err(_))), "{uri}");
    }
    for uri in [
        "httpd:2.4",
        "docker.io/library/httpd",
        "999999999999.dkr.ecr.eu-central-1.amazonaws.com/web:abc",
    ] {
        assert_eq!(pull(uri.to_owned()), None, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn images_are_listed_fetched_and_deleted() {
    let sandbox = with_repository().await;
    let digest = push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
    push(&mut sandbox.world(), REGION, "web", "def", image("2")).unwrap();
    let by_tag = json!({"repositoryName": "web", "imageIds": [{"imageTag": "abc"}]});
    let details = ecr(&sandbox, "DescribeImages", by_tag.clone())
        .await
        .unwrap();
    assert_eq!(details["imageDetails"][0]["imageDigest"], digest);
    let fetched = ecr(&sandbox, "BatchGetImage", by_tag.clone())
        .await
        .unwrap();
    let manifest = fetched["images"][0]["imageManifest"].as_str().unwrap();
    assert_eq!(super::digest(manifest.as_bytes()), digest);
    let retag = json!({"repositoryName": "web", "imageManifest": manifest, "imageTag": "release"});
    ecr(&sandbox, "PutImage", retag.clone()).await.unwrap();
    assert_eq!(
        ecr(&sandbox, "PutImage", retag).await,
        refused("ImageAlreadyExistsException")
    );
    let first = ecr(
        &sandbox,
        "ListImages",
        json!({"repositoryName": "web", "maxResults": 2}),
    )
    .await
    .unwrap();
    let input = json!({"repositoryName": "web", "maxResults": 2, "nextToken": first["nextToken"]});
    let second = ecr(&sandbox, "ListImages", input).await.unwrap();
    assert_eq!(
        (
            first["imageIds"].as_array().unwrap().len(),
            second["imageIds"].as_array().unwrap().len()
        ),
        (2, 1)
    );
    let missing = json!({"repositoryName": "web", "imageIds": [{"imageTag": "none"}]});
    assert_eq!(
        ecr(&sandbox, "DescribeImages", missing.clone()).await,
        refused("ImageNotFoundException")
    );
    let gone = ecr(&sandbox, "BatchDeleteImage", missing).await.unwrap();
    assert_eq!(gone["failures"][0]["failureCode"], "ImageNotFound");
    ecr(&sandbox, "BatchDeleteImage", by_tag).await.unwrap();
    assert!(
        pull(&sandbox.world(), &format!("{HOST}/web:release"))
            .unwrap()
            .is_ok()
    );
}

/// What a URL of ECR's gives: the status, and the body.
async fn got(sandbox: &Sandbox, url: &str, signs: bool) -> (u16, String) {
    let (host, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let mut request = http::Request::get(format!("/{path}")).header("host", host);
    if signs {
        request = request.header("authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0");
    }
    let answer = sandbox
        .handle(request.body(bytes::Bytes::new()).unwrap())
        .await;
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    (answer.status().as_u16(), body)
}

#[tokio::test(start_paused = true)]
async fn what_an_image_consists_of_is_had_by_its_digest() {
    let sandbox = with_repository().await;
    let arm = Image {
        architectures: vec!["arm64".to_owned()],
        ..image("1")
    };
    push(&mut sandbox.world(), REGION, "web", "abc", arm).unwrap();
    let by_tag = json!({"repositoryName": "web", "imageIds": [{"imageTag": "abc"}]});
    let fetched = ecr(&sandbox, "BatchGetImage", by_tag.clone())
        .await
        .unwrap();
    let manifest = fetched["images"][0]["imageManifest"].as_str().unwrap();
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    let ask = |digest: &str| {
        let input = json!({"repositoryName": "web", "layerDigest": digest});
        ecr(&sandbox, "GetDownloadUrlForLayer", input)
    };
    let config = manifest["config"]["digest"].as_str().unwrap();
    let answer = ask(config).await.unwrap();
    assert_eq!(answer["layerDigest"], config);
    let url = answer["downloadUrl"].as_str().unwrap();
    // Whoever has the URL may have the content; nobody else, and nothing else.
    let nothing = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    sandbox.caller_policy(Some(vec![nothing])).unwrap();
    let (status, text) = got(&sandbox, url, false).await;
    assert_eq!((status, digest(text.as_bytes()).as_str()), (200, config));
    assert_eq!(manifest["config"]["size"], text.len());
    let text: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text["architecture"], "arm64");
    for (url, signs, status, code) in [
        (url.to_owned(), true, 400, "InvalidArgument"),
        (
            url.replace("/web/", "/other/"),
            false,
            403,
            "SignatureDoesNotMatch",
        ),
        (
            url.split_once("&X-Amz-Signature").unwrap().0.to_owned(),
            false,
            403,
            "AccessDenied",
        ),
    ] {
        let (have, text) = got(&sandbox, &url, signs).await;
        assert_eq!(have, status, "{text}");
        assert!(text.contains(code), "{text}");
    }
    tokio::time::advance(std::time::Duration::from_secs(3601)).await;
    let (status, text) = got(&sandbox, url, false).await;
    assert!(
        status == 403 && text.contains("Request has expired"),
        "{text}"
    );
    sandbox.caller_policy(None).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let answer = ask(layer).await.unwrap();
    let url = answer["downloadUrl"].as_str().unwrap();
    assert_eq!(got(&sandbox, url, false).await, (200, "1".to_owned()));
    ecr(&sandbox, "BatchDeleteImage", by_tag).await.unwrap();
    assert_eq!(got(&sandbox, url, false).await.0, 404);
    let never = format!("sha256:{}", "0".repeat(64));
    for (digest, code) in [
        (layer, "LayerInaccessibleException"),
        (config, "LayerInaccessibleException"),
        (never.as_str(), "LayersNotFoundException"),
        ("abc", "InvalidParameterException"),
    ] {
        assert_eq!(ask(digest).await, refused(code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_with_images_goes_by_force_only() {
    let sandbox = with_repository().await;
    push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
    let name = json!({"repositoryName": "web"});
    assert_eq!(
        ecr(&sandbox, "DeleteRepository", name.clone()).await,
        refused("RepositoryNotEmptyException")
    );
    ecr(
        &sandbox,
        "DeleteRepository",
        json!({"repositoryName": "web", "force": true}),
    )
    .await
    .unwrap();
    assert_eq!(
        ecr(&sandbox, "DeleteRepository", name).await,
        refused("RepositoryNotFoundException")
    );
}

#[tokio::test(start_paused = true)]
async fn lifecycle_policies_are_checked() {
    let sandbox = with_repository().await;
    let name = json!({"repositoryName": "web"});
    assert_eq!(
        ecr(&sandbox, "GetLifecyclePolicy", name.clone()).await,
        refused("LifecyclePolicyNotFoundException")
    );
    let rule = |selection: Value| {
        json!({"rules": [{"rulePriority": 1, "description": "d", "selection": selection, "action": {"type": "expire"}}]}).to_string()
    };
    let good =
        rule(json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30}));
    let put = |text: String| {
        ecr(
            &sandbox,
            "PutLifecyclePolicy",
            json!({"repositoryName": "web", "lifecyclePolicyText": text}),
        )
    };
    put(good.clone()).await.unwrap();
    assert_eq!(
        ecr(&sandbox, "GetLifecyclePolicy", name).await.unwrap()["lifecyclePolicyText"],
        good
    );
    for bad in [
        "{}".to_owned(),
        rule(json!({"tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 30})),
        rule(json!({"tagStatus": "any", "countType": "sinceImagePushed", "countNumber": 30})),
        rule(json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0})),
    ] {
        assert_eq!(
            put(bad.clone()).await,
            refused("InvalidParameterException"),
            "{bad}"
        );
    }
}
