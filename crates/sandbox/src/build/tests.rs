//! Builds from the start to the artifact, on virtual time.
#![allow(clippy::unwrap_used)]

use http::Method;
use serde_json::{Value, json};

use super::archive::{self, Files};
use crate::Sandbox;
use crate::runtime::Content;
use crate::services::codebuild::{self, BuildRequest};
use crate::testing::{REGION, call, pass, rest, sandbox};

const URI: &str = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const BUILDSPEC: &str = "version: 0.2\nenv:\n  exported-variables: [IMAGE_URI, IMAGE_DIGEST]\nphases:\n  build:\n    on-failure: ABORT\n    commands:\n      - 'docker buildx build .'\nartifacts:\n  files: [imageDetail.json]\n";

fn project() -> Value {
    json!({
        "name": "web",
        "source": { "type": "CODEPIPELINE", "buildspec": BUILDSPEC },
        "artifacts": { "type": "CODEPIPELINE" },
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL", "privilegedMode": true,
            "environmentVariables": [{ "name": "REPOSITORY_URI", "value": URI }],
        },
        "serviceRole": "arn:aws:iam::111122223333:role/build",
        "logsConfig": { "cloudWatchLogs": { "status": "ENABLED", "groupName": "/aws/codebuild/web" } },
        "tags": [{ "key": "a", "value": "1" }],
    })
}

async fn account() -> Sandbox {
    let sandbox = sandbox();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "codebuild.amazonaws.com" }
    }] });
    let input = json!({ "RoleName": "build", "AssumeRolePolicyDocument": trust.to_string() });
    call(&sandbox, "iam", "CreateRole", input).await.unwrap();
    crate::testing::allow_all(&sandbox, "build").await;
    let place = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    let response = sandbox
        .handle(rest(Method::PUT, REGION, "/artifacts-1", &[], place))
        .await;
    assert_eq!(response.status(), 200);
    call(
        &sandbox,
        "ecr",
        "CreateRepository",
        json!({ "repositoryName": "web", "imageTagMutability": "IMMUTABLE" }),
    )
    .await
    .unwrap();
    call(
        &sandbox,
        "logs",
        "CreateLogGroup",
        json!({ "logGroupName": "/aws/codebuild/web" }),
    )
    .await
    .unwrap();
    pass(60).await;
    sandbox
}

fn source(pairs: &[(&str, &str)]) -> Content {
    let files: Files = pairs
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    Content(archive::write(&files).unwrap())
}

fn request(files: &[(&str, &str)]) -> BuildRequest {
    BuildRequest {
        source: source(files),
        source_place: ("artifacts-1".to_owned(), "in".to_owned()),
        source_version: COMMIT.to_owned(),
        variables: [
            ("CONTEXT".to_owned(), "app".to_owned()),
            ("DOCKERFILE".to_owned(), "app/Dockerfile".to_owned()),
        ]
        .into(),
        output: Some(("artifacts-1".to_owned(), "out".to_owned())),
        pipeline: "none".to_owned(),
    }
}

/// Runs a build to its end.
async fn build(sandbox: &Sandbox, request: &BuildRequest) -> Value {
    let id = codebuild::start(&mut sandbox.world(), REGION, "web", request).unwrap();
    for _ in 0..70 {
        pass(1).await;
        drop(sandbox.world());
    }
    let have = call(
        sandbox,
        "codebuild",
        "BatchGetBuilds",
        json!({ "ids": [id] }),
    )
    .await
    .unwrap();
    have["builds"][0].clone()
}

const APP: [(&str, &str); 2] = [
    (
        "app/Dockerfile",
        "FROM httpd\nCOPY src /usr/local/apache2/htdocs\n",
    ),
    ("app/src/index.html", "hello"),
];

#[tokio::test(start_paused = true)]
async fn a_build_pushes_an_image_and_its_artifact_names_it() {
    let sandbox = account().await;
    call(&sandbox, "codebuild", "CreateProject", project())
        .await
        .unwrap();
    let have = build(&sandbox, &request(&APP)).await;
    assert_eq!(have["buildStatus"], "SUCCEEDED", "{have}");
    let seconds = have["endTime"].as_f64().unwrap() - have["startTime"].as_f64().unwrap();
    assert_eq!(seconds, 60.0);
    let kinds: Vec<&str> = have["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["phaseType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, super::PHASES.map(|(kind, _)| kind));

    let artifact = crate::services::s3::get(&sandbox.world(), "artifacts-1", "out")
        .unwrap()
        .0;
    let artifact = archive::read(&artifact).unwrap();
    assert_eq!(artifact.keys().collect::<Vec<_>>(), ["imageDetail.json"]);
    let detail: Value = serde_json::from_slice(&artifact["imageDetail.json"]).unwrap();
    let uri = detail["ImageURI"].as_str().unwrap();
    assert!(uri.starts_with(&format!("{URI}@sha256:")), "{uri}");
    let image = crate::services::ecr::pull(&sandbox.world(), uri)
        .unwrap()
        .unwrap();
    assert_eq!(
        image.files["/usr/local/apache2/htdocs/index.html"].0,
        b"hello"
    );
    let exported = json!([{ "name": "IMAGE_DIGEST", "value": uri.rsplit('@').next() }, { "name": "IMAGE_URI", "value": uri }]);
    assert_eq!(have["exportedEnvironmentVariables"], exported);

    // The same commit again: the tag cannot be written twice, so its digest is used.
    let again = build(&sandbox, &request(&APP)).await;
    assert_eq!(again["exportedEnvironmentVariables"], exported, "{again}");
    let stream = again["logs"]["streamName"].clone();
    let input = json!({ "logGroupName": "/aws/codebuild/web", "logStreamName": stream, "startFromHead": true });
    let log = call(&sandbox, "logs", "GetLogEvents", input)
        .await
        .unwrap()
        .to_string();
    for want in [
        "this is the ecspipe sandbox's builder",
        "not run: docker buildx build .",
        "is used again",
    ] {
        assert!(log.contains(want), "{want}: {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_fails_in_the_phase_where_it_would() {
    let sandbox = account().await;
    let with = |key: &str, value: Value| {
        let mut project = project();
        project["source"][key] = value;
        project
    };
    let asks_more = BUILDSPEC.replace("[imageDetail.json]", "[imageDetail.json, taskdef.json]");
    let nowhere = {
        let mut project = project();
        project["environment"]["environmentVariables"] = json!([]);
        project
    };
    let no_copy = [
        ("app/Dockerfile", "FROM httpd\nCOPY none /\n"),
        ("app/x", ""),
    ];
    let table = [
        (
            with("buildspec", json!("other.yml")),
            &APP[..],
            "DOWNLOAD_SOURCE",
            "YAML file does not exist",
        ),
        (
            with("buildspec", json!("version: 0.2\nphases: {x: {}}\n")),
            &APP,
            "DOWNLOAD_SOURCE",
            "Invalid buildspec phase name: x",
        ),
        (
            project(),
            &[("other", "")],
            "BUILD",
            "open app/Dockerfile: no such file or directory",
        ),
        (project(), &no_copy, "BUILD", "\"/none\": not found"),
        (nowhere, &APP, "BUILD", "REPOSITORY_URI"),
        (
            with("buildspec", json!(asks_more)),
            &APP,
            "UPLOAD_ARTIFACTS",
            "taskdef.json",
        ),
    ];
    for (project, files, phase, want) in table {
        call(
            &sandbox,
            "codebuild",
            "DeleteProject",
            json!({ "name": "web" }),
        )
        .await
        .unwrap();
        call(&sandbox, "codebuild", "CreateProject", project)
            .await
            .unwrap();
        let have = build(&sandbox, &request(files)).await;
        assert_eq!(have["buildStatus"], "FAILED", "{want}: {have}");
        let failed = have["phases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|phase| phase["phaseStatus"] == "FAILED")
            .unwrap();
        assert_eq!(failed["phaseType"], phase, "{want}: {have}");
        let message = failed["contexts"][0]["message"].as_str().unwrap();
        assert!(message.contains(want), "{want}: {message}");
    }
}

/// `printf '%s\n' linux/amd64 Dockerfile . | sha256sum` begins with b40f5820; so does the buildspec's tag end.
#[test]
fn the_tag_is_the_buildspec_s() {
    let set = |platform: &str| [("PLATFORM".to_owned(), platform.to_owned())].into();
    assert_eq!(
        super::tag(COMMIT, &set("linux/amd64")),
        format!("{COMMIT}-b40f5820")
    );
    assert_ne!(
        super::tag(COMMIT, &set("linux/arm64")),
        super::tag(COMMIT, &set("linux/amd64"))
    );
    assert!(super::tag("a.b/c", &set("")).starts_with("a_b_c-"));
}

#[tokio::test(start_paused = true)]
async fn a_build_can_be_stopped_and_lists_page_newest_first() {
    let sandbox = account().await;
    call(&sandbox, "codebuild", "CreateProject", project())
        .await
        .unwrap();
    let first = codebuild::start(&mut sandbox.world(), REGION, "web", &request(&APP)).unwrap();
    pass(15).await;
    let have = call(&sandbox, "codebuild", "StopBuild", json!({ "id": first }))
        .await
        .unwrap();
    assert_eq!(have["build"]["buildStatus"], "STOPPED");
    pass(100).await;
    assert_eq!(
        codebuild::status(&sandbox.world(), REGION, &first)
            .unwrap()
            .0,
        "STOPPED"
    );
    for _ in 0..100 {
        pass(1).await;
        codebuild::start(&mut sandbox.world(), REGION, "web", &request(&APP)).unwrap();
    }
    let have = call(
        &sandbox,
        "codebuild",
        "ListBuildsForProject",
        json!({ "projectName": "web" }),
    )
    .await
    .unwrap();
    assert_eq!(have["ids"].as_array().unwrap().len(), 100);
    let input = json!({ "projectName": "web", "nextToken": have["nextToken"] });
    let have = call(&sandbox, "codebuild", "ListBuildsForProject", input)
        .await
        .unwrap();
    assert_eq!(have["ids"], json!([first]));
}

#[tokio::test(start_paused = true)]
async fn a_project_is_described_with_its_defaults() {
    let sandbox = account().await;
    let made = call(&sandbox, "codebuild", "CreateProject", project())
        .await
        .unwrap()["project"]
        .clone();
    assert_eq!(
        made["arn"],
        "arn:aws:codebuild:eu-central-1:111122223333:project/web"
    );
    assert_eq!(
        (&made["timeoutInMinutes"], &made["badge"]["badgeEnabled"]),
        (&json!(60), &json!(false))
    );
    assert_eq!(
        made["environment"]["environmentVariables"][0]["type"],
        "PLAINTEXT"
    );
    let have = call(
        &sandbox,
        "codebuild",
        "BatchGetProjects",
        json!({ "names": ["web", "none"] }),
    )
    .await
    .unwrap();
    assert_eq!(
        have,
        json!({ "projects": [made], "projectsNotFound": ["none"] })
    );
    let update = json!({ "name": "web", "timeoutInMinutes": 10 });
    let have = call(&sandbox, "codebuild", "UpdateProject", update)
        .await
        .unwrap();
    assert_eq!(
        (
            &have["project"]["timeoutInMinutes"],
            &have["project"]["tags"]
        ),
        (&json!(10), &made["tags"])
    );
    let have = call(&sandbox, "codebuild", "ListProjects", json!({}))
        .await
        .unwrap();
    assert_eq!(have, json!({ "projects": ["web"] }));
}

#[tokio::test(start_paused = true)]
async fn errors_are_codebuild_s() {
    let sandbox = account().await;
    let with = |pointer: &str, value: Value| {
        let mut project = project();
        *project.pointer_mut(pointer).unwrap() = value;
        project
    };
    let table = [
        (
            "CreateProject",
            with("/name", json!("w")),
            "InvalidInputException",
        ),
        (
            "CreateProject",
            with("/serviceRole", json!("arn:aws:iam::111122223333:role/none")),
            "InvalidInputException",
        ),
        (
            "CreateProject",
            with("/source/type", json!("SVN")),
            "InvalidInputException",
        ),
        (
            "CreateProject",
            with("/artifacts/type", json!("NO_ARTIFACTS")),
            "InvalidInputException",
        ),
        (
            "CreateProject",
            with(
                "/environment/environmentVariables/0/name",
                json!("CODEBUILD_X"),
            ),
            "InvalidInputException",
        ),
        (
            "CreateProject",
            with("/tags/0/key", json!("")),
            "InvalidInputException",
        ),
        ("CreateProject", project(), "ResourceAlreadyExistsException"),
        (
            "UpdateProject",
            json!({ "name": "none" }),
            "ResourceNotFoundException",
        ),
        (
            "StartBuild",
            json!({ "projectName": "none" }),
            "ResourceNotFoundException",
        ),
        (
            "StartBuild",
            json!({ "projectName": "web" }),
            "InvalidInputException",
        ),
        (
            "StopBuild",
            json!({ "id": "none" }),
            "ResourceNotFoundException",
        ),
        (
            "ListBuildsForProject",
            json!({ "projectName": "none" }),
            "ResourceNotFoundException",
        ),
        ("StartBuildBatch", json!({}), "NotImplemented"),
    ];
    call(&sandbox, "codebuild", "CreateProject", project())
        .await
        .unwrap();
    for (operation, input, want) in table {
        let have = call(&sandbox, "codebuild", operation, input.clone()).await;
        assert_eq!(have.unwrap_err().1, want, "{operation} {input}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_project_of_its_own_source_is_built_once_a_token() {
    let sandbox = account().await;
    call(
        &sandbox,
        "codecommit",
        "CreateRepository",
        json!({ "repositoryName": "src" }),
    )
    .await
    .unwrap();
    let files = [
        ("Dockerfile".to_owned(), b"FROM scratch\n".to_vec()),
        ("buildspec.yml".to_owned(), BUILDSPEC.into()),
    ];
    let commit = sandbox
        .push(REGION, "src", "main", &files.into(), "one")
        .unwrap();
    let mut project = project();
    project["source"] = json!({ "type": "CODECOMMIT", "location": "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/src" });
    project["artifacts"] = json!({ "type": "S3", "location": "artifacts-1", "path": "p", "name": "web.zip", "packaging": "ZIP" });
    call(&sandbox, "codebuild", "CreateProject", project)
        .await
        .unwrap();
    let input = json!({ "projectName": "web", "idempotencyToken": "t" });
    let first = call(&sandbox, "codebuild", "StartBuild", input.clone())
        .await
        .unwrap();
    let again = call(&sandbox, "codebuild", "StartBuild", input)
        .await
        .unwrap();
    assert_eq!(first["build"]["id"], again["build"]["id"]);
    assert_eq!(first["build"]["resolvedSourceVersion"], json!(commit));
    for _ in 0..70 {
        pass(1).await;
        drop(sandbox.world());
    }
    let have = call(
        &sandbox,
        "codebuild",
        "BatchGetBuilds",
        json!({ "ids": [first["build"]["id"]] }),
    )
    .await
    .unwrap();
    assert_eq!(have["builds"][0]["buildStatus"], "SUCCEEDED", "{have}");
    assert!(crate::services::s3::get(&sandbox.world(), "artifacts-1", "p/web.zip").is_some());
    let refused = call(
        &sandbox,
        "codebuild",
        "StartBuild",
        json!({ "projectName": "web", "imageOverride": "x" }),
    )
    .await;
    assert_eq!(refused.unwrap_err().1, "InvalidInputException");
}

#[tokio::test(start_paused = true)]
async fn a_build_ends_as_it_is_dialled() {
    let sandbox = account().await;
    call(&sandbox, "codebuild", "CreateProject", project())
        .await
        .unwrap();
    let said = json!(["1 of 20 tests failed"]);
    for (fault, after, status, phase, code) in [
        (
            json!({"fail": {"phase": "PRE_BUILD", "log": said}}),
            0,
            "FAILED",
            "PRE_BUILD",
            "COMMAND_EXECUTION_ERROR",
        ),
        (
            json!("fault"),
            0,
            "FAULT",
            "PROVISIONING",
            "INTERNAL_SERVICE_ERROR",
        ),
        (
            json!({"hang": {"log": said}}),
            3600,
            "TIMED_OUT",
            "BUILD",
            "BUILD_TIMED_OUT",
        ),
    ] {
        let fault = crate::faults::BuildFault::try_from(fault).unwrap();
        let dialled = [("web".to_owned(), fault)];
        sandbox.faults().dials.builds.extend(dialled);
        let mut have = build(&sandbox, &request(&APP)).await;
        if after > 0 {
            assert_eq!(have["buildStatus"], "IN_PROGRESS");
            pass(after).await;
            let input = json!({ "ids": [have["id"]] });
            let found = call(&sandbox, "codebuild", "BatchGetBuilds", input).await;
            have = found.unwrap()["builds"][0].take();
        }
        assert_eq!(have["buildStatus"], status, "{have}");
        let phases = have["phases"].as_array().unwrap();
        let bad = phases.iter().find(|one| one["phaseStatus"] == status);
        let bad = bad.unwrap();
        assert_eq!(bad["phaseType"], phase);
        assert_eq!(bad["contexts"][0]["statusCode"], code);
        if phase != "PROVISIONING" {
            let stream = have["logs"]["streamName"].clone();
            let input = json!({ "logGroupName": "/aws/codebuild/web", "logStreamNames": [stream], "filterPattern": "tests" });
            let log = call(&sandbox, "logs", "FilterLogEvents", input).await;
            assert_eq!(log.unwrap()["events"].as_array().unwrap().len(), 1);
        }
    }
}
