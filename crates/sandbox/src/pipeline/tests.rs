//! Executions from the push to the end, on virtual time.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::services::codepipeline::Execution;
use crate::testing::{REGION, call, pass, rest, sandbox};
use crate::{Options, Sandbox};

const ROLE: &str = "arn:aws:iam::111122223333:role/pipeline";

/// Roles, buckets and the repository.
async fn account() -> Sandbox {
    let sandbox = sandbox();
    furnish(&sandbox).await;
    sandbox
}

async fn furnish(sandbox: &Sandbox) {
    for (role, service) in [("pipeline", "codepipeline"), ("build", "codebuild")] {
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": format!("{service}.amazonaws.com") }
        }] });
        let input = json!({ "RoleName": role, "AssumeRolePolicyDocument": trust.to_string() });
        call(sandbox, "iam", "CreateRole", input).await.unwrap();
        crate::testing::allow_all(sandbox, role).await;
    }
    let place = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    for bucket in ["artifacts-1", "bundle-1"] {
        put(sandbox, &format!("/{bucket}"), place.as_bytes()).await;
    }
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    put(sandbox, "/bundle-1?versioning", versioning.as_bytes()).await;
    call(
        sandbox,
        "codecommit",
        "CreateRepository",
        json!({ "repositoryName": "web" }),
    )
    .await
    .unwrap();
    pass(60).await;
}

async fn put(sandbox: &Sandbox, uri: &str, body: &[u8]) {
    let response = sandbox
        .handle(rest(Method::PUT, REGION, uri, &[], body.to_vec()))
        .await;
    assert_eq!(response.status(), 200, "{uri}: {response:?}");
}

fn push(sandbox: &Sandbox, files: &[(&str, &str)], message: &str) -> String {
    let files: BTreeMap<String, Vec<u8>> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    sandbox
        .push(REGION, "web", "main", &files, message)
        .unwrap()
}

fn action(
    name: &str,
    kind: &str,
    configuration: Value,
    inputs: &[&str],
    outputs: &[&str],
) -> Value {
    let parts: Vec<&str> = kind.split('/').collect();
    let named = |names: &[&str]| {
        names
            .iter()
            .map(|name| json!({ "name": name }))
            .collect::<Vec<_>>()
    };
    json!({
        "name": name,
        "actionTypeId": { "category": parts[0], "owner": "AWS", "provider": parts[1], "version": "1" },
        "configuration": configuration,
        "inputArtifacts": named(inputs),
        "outputArtifacts": named(outputs),
        "namespace": name,
    })
}

fn commit_source() -> Value {
    let configuration =
        json!({ "RepositoryName": "web", "BranchName": "main", "PollForSourceChanges": "false" });
    action(
        "Source",
        "Source/CodeCommit",
        configuration,
        &[],
        &["SourceOutput"],
    )
}

fn bundle_source() -> Value {
    let configuration = json!({ "S3Bucket": "bundle-1", "S3ObjectKey": "bundle.zip", "PollForSourceChanges": "false" });
    action("Bundle", "Source/S3", configuration, &[], &["BundleOutput"])
}

fn approval() -> Value {
    action("Approve", "Approval/Manual", json!({}), &[], &[])
}

fn deploy() -> Value {
    let configuration = json!({
        "ApplicationName": "web",
        "DeploymentGroupName": "web",
        "TaskDefinitionTemplateArtifact": "BundleOutput",
        "AppSpecTemplateArtifact": "BundleOutput",
        "Image1ArtifactName": "SourceOutput",
        "Image1ContainerName": "IMAGE1_NAME",
    });
    action(
        "Deploy",
        "Deploy/CodeDeployToECS",
        configuration,
        &["SourceOutput", "BundleOutput"],
        &[],
    )
}

fn pipeline(mode: &str, stages: &[(&str, Vec<Value>)]) -> Value {
    let stage = |(name, actions): &(&str, Vec<Value>)| json!({ "name": name, "actions": actions });
    json!({ "pipeline": {
        "name": "web",
        "roleArn": ROLE,
        "artifactStore": { "type": "S3", "location": "artifacts-1" },
        "stages": stages.iter().map(stage).collect::<Vec<_>>(),
        "executionMode": mode,
        "pipelineType": "V2",
    } })
}

/// Source, then a person.
async fn with_gate(mode: &str) -> Sandbox {
    let sandbox = account().await;
    push(&sandbox, &[("a", "1")], "one");
    let declared = pipeline(
        mode,
        &[
            ("Source", vec![commit_source()]),
            ("Gate", vec![approval()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    sandbox
}

async fn start(sandbox: &Sandbox) -> String {
    let have = call(
        sandbox,
        "codepipeline",
        "StartPipelineExecution",
        json!({ "name": "web" }),
    )
    .await
    .unwrap();
    have["pipelineExecutionId"].as_str().unwrap().to_owned()
}

/// Statuses, oldest execution first.
async fn statuses(sandbox: &Sandbox) -> Vec<String> {
    let have = call(
        sandbox,
        "codepipeline",
        "ListPipelineExecutions",
        json!({ "pipelineName": "web" }),
    )
    .await
    .unwrap();
    let all = have["pipelineExecutionSummaries"].as_array().unwrap();
    all.iter()
        .rev()
        .map(|execution| execution["status"].as_str().unwrap().to_owned())
        .collect()
}

async fn state(sandbox: &Sandbox) -> Value {
    call(
        sandbox,
        "codepipeline",
        "GetPipelineState",
        json!({ "name": "web" }),
    )
    .await
    .unwrap()
}

async fn answer_gate(sandbox: &Sandbox, status: &str) {
    let state = state(sandbox).await;
    let token = state["stageStates"][1]["actionStates"][0]["latestExecution"]["token"].clone();
    let input = json!({
        "pipelineName": "web", "stageName": "Gate", "actionName": "Approve", "token": token,
        "result": { "summary": "looked at", "status": status },
    });
    call(sandbox, "codepipeline", "PutApprovalResult", input)
        .await
        .unwrap();
}

/// The words of the newest failed action.
async fn failure(sandbox: &Sandbox) -> String {
    let have = call(
        sandbox,
        "codepipeline",
        "ListActionExecutions",
        json!({ "pipelineName": "web" }),
    )
    .await
    .unwrap();
    let all = have["actionExecutionDetails"].as_array().unwrap();
    let failed = all
        .iter()
        .find(|run| run["status"] == "Failed")
        .unwrap_or_else(|| panic!("no failure in {have}"));
    failed["output"]["executionResult"]["errorDetails"]["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn newest(sandbox: &Sandbox) -> Execution {
    sandbox.world().at(REGION).codepipeline.pipelines["web"]
        .executions
        .last()
        .unwrap()
        .clone()
}

#[tokio::test(start_paused = true)]
async fn a_new_pipeline_runs_at_once_and_fails_without_a_branch() {
    let sandbox = account().await;
    let declared = pipeline(
        "QUEUED",
        &[
            ("Source", vec![commit_source()]),
            ("Gate", vec![approval()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    assert_eq!(statuses(&sandbox).await, ["InProgress"]);
    pass(10).await;
    assert_eq!(statuses(&sandbox).await, ["Failed"]);
    let words = failure(&sandbox).await;
    assert!(
        words.contains(
            "no branch named main was found in the selected AWS CodeCommit repository web"
        ),
        "{words}"
    );
    let have = call(
        &sandbox,
        "codepipeline",
        "ListPipelineExecutions",
        json!({ "pipelineName": "web" }),
    )
    .await
    .unwrap();
    assert_eq!(
        have["pipelineExecutionSummaries"][0]["trigger"]["triggerType"],
        "CreatePipeline"
    );
}

#[tokio::test(start_paused = true)]
async fn an_approval_lets_the_execution_through() {
    let sandbox = with_gate("QUEUED").await;
    pass(4).await;
    assert_eq!(
        state(&sandbox).await["stageStates"][0]["latestExecution"]["status"],
        "InProgress"
    );
    pass(2).await;
    let have = state(&sandbox).await;
    assert_eq!(
        have["stageStates"][0]["latestExecution"]["status"],
        "Succeeded"
    );
    assert_eq!(
        have["stageStates"][1]["latestExecution"]["status"],
        "InProgress"
    );
    answer_gate(&sandbox, "Approved").await;
    assert_eq!(statuses(&sandbox).await, ["Succeeded"]);
    let execution = newest(&sandbox);
    let location = &execution.artifacts["SourceOutput"];
    let (zip, ..) =
        crate::services::s3::get(&sandbox.world(), &location.bucket, &location.key).unwrap();
    assert_eq!(crate::build::archive::read(&zip).unwrap()["a"], b"1");
    assert_eq!(execution.variables["Source"]["BranchName"], "main");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_stage_can_be_retried() {
    let sandbox = with_gate("QUEUED").await;
    pass(10).await;
    answer_gate(&sandbox, "Rejected").await;
    assert_eq!(statuses(&sandbox).await, ["Failed"]);
    let input = json!({ "pipelineName": "web", "stageName": "Gate", "pipelineExecutionId": newest(&sandbox).id, "retryMode": "FAILED_ACTIONS" });
    call(
        &sandbox,
        "codepipeline",
        "RetryStageExecution",
        input.clone(),
    )
    .await
    .unwrap();
    assert_eq!(statuses(&sandbox).await, ["InProgress"]);
    let again = call(&sandbox, "codepipeline", "RetryStageExecution", input).await;
    assert_eq!(again.unwrap_err().1, "StageNotRetryableException");
    answer_gate(&sandbox, "Approved").await;
    assert_eq!(statuses(&sandbox).await, ["Succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn an_approval_runs_out_after_seven_days() {
    let sandbox = with_gate("QUEUED").await;
    pass(7 * 24 * 3600).await;
    assert_eq!(statuses(&sandbox).await, ["InProgress"]);
    pass(10).await;
    assert_eq!(statuses(&sandbox).await, ["Failed"]);
}

#[tokio::test(start_paused = true)]
async fn queued_executions_wait_their_turn() {
    let sandbox = with_gate("QUEUED").await;
    pass(10).await;
    start(&sandbox).await;
    start(&sandbox).await;
    pass(30).await;
    assert_eq!(statuses(&sandbox).await, ["InProgress"; 3]);
    let have = state(&sandbox).await;
    assert_eq!(
        have["stageStates"][1]["inboundExecutions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for want in [
        ["Succeeded", "InProgress", "InProgress"],
        ["Succeeded", "Succeeded", "InProgress"],
        ["Succeeded"; 3],
    ] {
        answer_gate(&sandbox, "Approved").await;
        assert_eq!(statuses(&sandbox).await, want);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_execution_is_superseded_by_a_newer_one() {
    let sandbox = with_gate("SUPERSEDED").await;
    pass(10).await;
    start(&sandbox).await;
    pass(10).await;
    start(&sandbox).await;
    pass(10).await;
    assert_eq!(
        statuses(&sandbox).await,
        ["InProgress", "Superseded", "InProgress"]
    );
    answer_gate(&sandbox, "Approved").await;
    assert_eq!(
        statuses(&sandbox).await,
        ["Succeeded", "Superseded", "InProgress"]
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_the_action_and_abandoning_does_not() {
    let sandbox = with_gate("QUEUED").await;
    drop(sandbox.world());
    let stop = |abandon: bool| json!({ "pipelineName": "web", "pipelineExecutionId": newest(&sandbox).id, "abandon": abandon, "reason": "enough" });
    call(
        &sandbox,
        "codepipeline",
        "StopPipelineExecution",
        stop(false),
    )
    .await
    .unwrap();
    assert_eq!(
        newest(&sandbox).status,
        crate::services::codepipeline::Status::Stopping
    );
    let again = call(
        &sandbox,
        "codepipeline",
        "StopPipelineExecution",
        stop(false),
    )
    .await;
    assert_eq!(again.unwrap_err().1, "DuplicatedStopRequestException");
    pass(10).await;
    assert_eq!(statuses(&sandbox).await, ["Stopped"]);
    start(&sandbox).await;
    pass(10).await;
    call(
        &sandbox,
        "codepipeline",
        "StopPipelineExecution",
        stop(true),
    )
    .await
    .unwrap();
    assert_eq!(statuses(&sandbox).await, ["Stopped", "Stopped"]);
    let have = call(
        &sandbox,
        "codepipeline",
        "ListActionExecutions",
        json!({ "pipelineName": "web" }),
    )
    .await
    .unwrap();
    assert_eq!(have["actionExecutionDetails"][0]["status"], "Abandoned");
    let over = call(
        &sandbox,
        "codepipeline",
        "StopPipelineExecution",
        stop(false),
    )
    .await;
    assert_eq!(
        over.unwrap_err().1,
        "PipelineExecutionNotStoppableException"
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_transition_holds_executions_back() {
    let sandbox = with_gate("QUEUED").await;
    let input = json!({ "pipelineName": "web", "stageName": "Gate", "transitionType": "Inbound", "reason": "holiday" });
    call(
        &sandbox,
        "codepipeline",
        "DisableStageTransition",
        input.clone(),
    )
    .await
    .unwrap();
    pass(60).await;
    let have = state(&sandbox).await;
    assert_eq!(
        have["stageStates"][1]["inboundTransitionState"]["enabled"],
        false
    );
    assert_eq!(
        have["stageStates"][1]["inboundExecution"]["status"],
        "InProgress"
    );
    assert_eq!(have["stageStates"][1]["latestExecution"], Value::Null);
    call(&sandbox, "codepipeline", "EnableStageTransition", input)
        .await
        .unwrap();
    assert_eq!(
        state(&sandbox).await["stageStates"][1]["latestExecution"]["status"],
        "InProgress"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_starts_one_execution_and_a_revision_is_honoured() {
    let sandbox = with_gate("QUEUED").await;
    pass(10).await;
    answer_gate(&sandbox, "Approved").await;
    let first = newest(&sandbox).revisions["Source"].id.clone();
    let second = push(&sandbox, &[("a", "2")], "two");
    let input = json!({
        "name": "web", "clientRequestToken": "t1",
        "sourceRevisions": [{ "actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": first }],
    });
    let have = call(
        &sandbox,
        "codepipeline",
        "StartPipelineExecution",
        input.clone(),
    )
    .await
    .unwrap();
    assert_eq!(
        call(&sandbox, "codepipeline", "StartPipelineExecution", input)
            .await
            .unwrap(),
        have
    );
    pass(10).await;
    assert_eq!(newest(&sandbox).revisions["Source"].id, first);
    start(&sandbox).await;
    pass(10).await;
    assert_eq!(newest(&sandbox).revisions["Source"].id, second);
    assert_eq!(statuses(&sandbox).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_missing_bundle_fails_with_its_key() {
    let sandbox = account().await;
    let declared = pipeline(
        "QUEUED",
        &[
            ("Source", vec![bundle_source()]),
            ("Gate", vec![approval()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    pass(10).await;
    let words = failure(&sandbox).await;
    assert!(
        words.contains("The object with key 'bundle.zip' does not exist"),
        "{words}"
    );
    put(&sandbox, "/bundle-1/bundle.zip", b"PK").await;
    start(&sandbox).await;
    pass(10).await;
    assert_eq!(statuses(&sandbox).await, ["Failed", "InProgress"]);
    assert!(!newest(&sandbox).revisions["Bundle"].id.is_empty());
}

/// The deploy action's words for what is wrong with its inputs.
async fn deploy_failure(image: Option<&str>, bundle: &[(&str, &str)]) -> String {
    let sandbox = account().await;
    let files: Vec<(&str, &str)> = image
        .map(|text| ("imageDetail.json", text))
        .into_iter()
        .chain([("x", "")])
        .collect();
    push(&sandbox, &files, "one");
    let bundle = bundle
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    put(
        &sandbox,
        "/bundle-1/bundle.zip",
        &crate::build::archive::write(&bundle).unwrap(),
    )
    .await;
    let declared = pipeline(
        "QUEUED",
        &[
            ("Source", vec![commit_source(), bundle_source()]),
            ("Deploy", vec![deploy()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    pass(30).await;
    failure(&sandbox).await
}

#[tokio::test(start_paused = true)]
async fn the_deploy_action_fails_in_aws_s_words() {
    let image = Some(r#"{"ImageURI":"web@sha256:1"}"#);
    // Random enough to stay above the limit when zipped.
    let mut seed = 1u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + ((seed >> 33) % 90) as u8)
    };
    let noise: String = (0..4_400_000).map(|_| next()).collect();
    let task = r#"{"family":"web","containerDefinitions":[]}"#;
    type Bundle<'a> = Vec<(&'a str, &'a str)>;
    let table: [(Option<&str>, Bundle<'_>, &str); 6] = [
        (
            image,
            vec![("appspec.yaml", "x")],
            "Exception while trying to read the task definition artifact file from: BundleOutput",
        ),
        (
            image,
            vec![("taskdef.json", task)],
            "Exception while trying to read the appspec artifact file from: BundleOutput",
        ),
        (
            image,
            vec![
                ("taskdef.json", task),
                ("appspec.yaml", "x"),
                ("big", &noise),
            ],
            "Exception while trying to read the task definition artifact file from: BundleOutput",
        ),
        (
            None,
            vec![("taskdef.json", task), ("appspec.yaml", "x")],
            "Exception while trying to read the image artifact file from the artifact: SourceOutput",
        ),
        (
            image,
            vec![("taskdef.json", "{"), ("appspec.yaml", "x")],
            "is not valid JSON",
        ),
        (
            image,
            vec![("taskdef.json", task), ("appspec.yaml", "x")],
            "(Service: AmazonECS; Status Code: 400; Error Code: ",
        ),
    ];
    for (image, bundle, want) in table {
        let have = deploy_failure(image, &bundle).await;
        assert!(have.contains(want), "{want}: {have}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_variable_is_named() {
    let sandbox = account().await;
    push(&sandbox, &[("a", "1")], "one");
    let mut gate = approval();
    gate["configuration"] = json!({ "CustomData": "#{Source.CommitId} #{Sauce.CommitId}" });
    let declared = pipeline(
        "QUEUED",
        &[("Source", vec![commit_source()]), ("Gate", vec![gate])],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    pass(10).await;
    let words = failure(&sandbox).await;
    assert!(
        words.ends_with("VariableReferences = [#{Sauce.CommitId}]"),
        "{words}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_execution_goes_on_after_a_restart() {
    let folder = tempfile::TempDir::new().unwrap();
    let options = Options {
        speed: 1.0,
        data: Some(folder.path().to_owned()),
    };
    let mut sandbox = Sandbox::new(&options).unwrap();
    furnish(&sandbox).await;
    push(&sandbox, &[("a", "1")], "one");
    let declared = pipeline(
        "QUEUED",
        &[
            ("Source", vec![commit_source()]),
            ("Gate", vec![approval()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    // A restart after each two seconds: before the first step, within the source action, in the gate.
    for _ in 0..5 {
        sandbox.save().unwrap();
        sandbox = Sandbox::new(&options).unwrap();
        pass(2).await;
        drop(sandbox.world());
    }
    answer_gate(&sandbox, "Approved").await;
    sandbox.save().unwrap();
    let sandbox = Sandbox::new(&options).unwrap();
    assert_eq!(statuses(&sandbox).await, ["Succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn declarations_that_aws_refuses_are_refused() {
    let sandbox = account().await;
    let good = || {
        pipeline(
            "QUEUED",
            &[
                ("Source", vec![commit_source(), bundle_source()]),
                ("Deploy", vec![deploy()]),
            ],
        )
    };
    let change = |path: &str, value: Value| {
        let mut declared = good();
        *declared.pointer_mut(&format!("/pipeline/{path}")).unwrap() = value;
        declared
    };
    let deploy_with = |key: &str, value: Value| {
        let mut declared = good();
        declared["pipeline"]["stages"][1]["actions"][0][key] = value;
        declared
    };
    let table = [
        (change("name", json!("a b")), "ValidationException"),
        (
            change("roleArn", json!("arn:aws:iam::111122223333:role/none")),
            "InvalidStructureException",
        ),
        (
            change("stages", json!([good()["pipeline"]["stages"][0]])),
            "InvalidStructureException",
        ),
        (
            change("stages/1/name", json!("Source")),
            "InvalidStructureException",
        ),
        (
            change("stages/0/actions/1", approval()),
            "InvalidStructureException",
        ),
        (
            change("stages/1/actions/0", bundle_source()),
            "InvalidStructureException",
        ),
        (
            change(
                "stages/0/actions/1/outputArtifacts/0/name",
                json!("SourceOutput"),
            ),
            "InvalidStructureException",
        ),
        (
            change("stages/1/actions/0/inputArtifacts/0/name", json!("Nothing")),
            "InvalidStructureException",
        ),
        (
            change("pipelineType", json!("V1")),
            "InvalidStructureException",
        ),
        (
            change("executionMode", json!("FAST")),
            "ValidationException",
        ),
        (
            change(
                "stages/0/actions/0/configuration/PollForSourceChanges",
                json!("true"),
            ),
            "InvalidActionDeclarationException",
        ),
        (
            change("stages/0/actions/0/actionTypeId/provider", json!("GitHub")),
            "InvalidActionDeclarationException",
        ),
        (
            change(
                "stages/1/actions/0/configuration/ApplicationName",
                json!(""),
            ),
            "ValidationException",
        ),
        (
            change(
                "stages/1/actions/0/configuration/Image1ArtifactName",
                json!("BundleOutput"),
            ),
            "InvalidActionDeclarationException",
        ),
        (
            deploy_with("configuration", json!({ "Bogus": "1" })),
            "InvalidActionDeclarationException",
        ),
        (
            deploy_with("inputArtifacts", json!([])),
            "InvalidActionDeclarationException",
        ),
        (
            deploy_with("timeoutInMinutes", json!(10)),
            "InvalidActionDeclarationException",
        ),
    ];
    for (declared, want) in table {
        let have = call(&sandbox, "codepipeline", "CreatePipeline", declared.clone()).await;
        assert_eq!(have.expect_err(&declared.to_string()).1, want, "{declared}");
    }
    call(&sandbox, "codepipeline", "CreatePipeline", good())
        .await
        .unwrap();
    assert_eq!(
        call(&sandbox, "codepipeline", "CreatePipeline", good())
            .await
            .unwrap_err()
            .1,
        "PipelineNameInUseException"
    );
    let have = call(&sandbox, "codepipeline", "UpdatePipeline", good())
        .await
        .unwrap();
    assert_eq!(have["pipeline"]["version"], 2);
}

const REPOSITORY: &str = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web";

/// The pipeline of an app: commit and bundle, build, deploy.
async fn with_app(sandbox: &Sandbox) {
    furnish(sandbox).await;
    call(
        sandbox,
        "ecr",
        "CreateRepository",
        json!({ "repositoryName": "web" }),
    )
    .await
    .unwrap();
    let project = json!({
        "name": "web",
        "source": { "type": "CODEPIPELINE", "buildspec": "version: 0.2\nenv: {exported-variables: [IMAGE_URI]}\nphases: {}\nartifacts: {files: [imageDetail.json]}\n" },
        "artifacts": { "type": "CODEPIPELINE" },
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{ "name": "REPOSITORY_URI", "value": REPOSITORY }],
        },
        "serviceRole": "arn:aws:iam::111122223333:role/build",
    });
    call(sandbox, "codebuild", "CreateProject", project)
        .await
        .unwrap();
    let mut task = crate::rollout::tests::definition("1");
    task["containerDefinitions"][0]["image"] = json!("<IMAGE1_NAME>");
    let spec = "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: <TASK_DEFINITION>\n        LoadBalancerInfo:\n          ContainerName: web\n          ContainerPort: 80\n";
    let bundle = [
        ("taskdef.json", task.to_string()),
        ("appspec.yaml", spec.to_owned()),
    ];
    let bundle = bundle
        .map(|(path, text)| (path.to_owned(), text.into_bytes()))
        .into();
    put(
        sandbox,
        "/bundle-1/bundle.zip",
        &crate::build::archive::write(&bundle).unwrap(),
    )
    .await;
    let build = action(
        "Build",
        "Build/CodeBuild",
        json!({ "ProjectName": "web" }),
        &["SourceOutput"],
        &["BuildOutput"],
    );
    let mut deploy = deploy();
    deploy["inputArtifacts"] = json!([{ "name": "BuildOutput" }, { "name": "BundleOutput" }]);
    deploy["configuration"]["Image1ArtifactName"] = json!("BuildOutput");
    let stages = [
        ("Source", vec![commit_source(), bundle_source()]),
        ("Build", vec![build]),
        ("Deploy", vec![deploy]),
    ];
    call(
        sandbox,
        "codepipeline",
        "CreatePipeline",
        pipeline("QUEUED", &stages),
    )
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_goes_all_the_way_to_a_deployment() {
    let account = crate::rollout::tests::Account::new(&crate::rollout::tests::Stage {
        ready_wait: 0,
        ..Default::default()
    })
    .await;
    let sandbox = &account.sandbox;
    with_app(sandbox).await;
    pass(30).await;
    assert_eq!(
        statuses(sandbox).await,
        ["Failed"],
        "there is nothing to build yet"
    );
    let files = [
        (
            "Dockerfile",
            "FROM httpd\nCOPY index.html /usr/local/apache2/htdocs/\n",
        ),
        ("index.html", "new"),
    ];
    push(sandbox, &files, "one");
    start(sandbox).await;
    for _ in 0..70 {
        pass(1).await;
        reload(sandbox);
    }
    let deployment = deployment(sandbox).await;
    account.until(&deployment, "Succeeded", 1800).await;
    pass(10).await;
    assert_eq!(statuses(sandbox).await, ["Failed", "Succeeded"]);
    let execution = newest(sandbox);
    let image = execution.variables["Build"]["IMAGE_URI"].clone();
    assert!(
        image.starts_with(&format!("{REPOSITORY}@sha256:")),
        "{image}"
    );
    let have = account
        .ok(
            "ecs",
            "DescribeTaskDefinition",
            json!({ "taskDefinition": "web" }),
        )
        .await;
    assert_eq!(
        have["taskDefinition"]["containerDefinitions"][0]["image"],
        json!(image)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stopped_deployment_fails_the_action() {
    let account = crate::rollout::tests::Account::new(&Default::default()).await;
    let sandbox = &account.sandbox;
    with_app(sandbox).await;
    pass(30).await;
    push(sandbox, &[("Dockerfile", "FROM httpd\n")], "one");
    start(sandbox).await;
    for _ in 0..70 {
        pass(1).await;
        drop(sandbox.world());
    }
    let deployment = deployment(sandbox).await;
    account
        .ok(
            "codedeploy",
            "StopDeployment",
            json!({ "deploymentId": deployment }),
        )
        .await;
    pass(120).await;
    assert_eq!(statuses(sandbox).await, ["Failed", "Failed"]);
    let words = failure(sandbox).await;
    assert!(words.contains(&deployment), "{words}");
}

/// What a restart does to the state.
fn reload(sandbox: &Sandbox) {
    let mut world = sandbox.world();
    let saved = serde_json::to_string(&*world).unwrap();
    *world = serde_json::from_str(&saved).unwrap();
}

/// The id of the deployment that the deploy action waits for.
async fn deployment(sandbox: &Sandbox) -> String {
    let have = state(sandbox).await;
    let run = &have["stageStates"][2]["actionStates"][0]["latestExecution"];
    assert_eq!(run["status"], "InProgress", "{have:#}");
    run["externalExecutionId"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_push_and_a_new_bundle_start_the_pipeline_by_rules() {
    let sandbox = account().await;
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "events.amazonaws.com" }
    }] });
    let role = json!({ "RoleName": "events", "AssumeRolePolicyDocument": trust.to_string() });
    call(&sandbox, "iam", "CreateRole", role).await.unwrap();
    crate::testing::allow_all(&sandbox, "events").await;
    pass(60).await;
    put(
        &sandbox,
        "/bundle-1?notification",
        b"<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
    )
    .await;
    let declared = pipeline(
        "QUEUED",
        &[
            ("Source", vec![commit_source(), bundle_source()]),
            ("Gate", vec![approval()]),
        ],
    );
    call(&sandbox, "codepipeline", "CreatePipeline", declared)
        .await
        .unwrap();
    let patterns = [
        (
            "source",
            json!({
                "source": ["aws.codecommit"], "detail-type": ["CodeCommit Repository State Change"],
                "resources": ["arn:aws:codecommit:eu-central-1:111122223333:web"],
                "detail": { "event": ["referenceCreated", "referenceUpdated"], "referenceType": ["branch"], "referenceName": ["main"] },
            }),
        ),
        (
            "bundle",
            json!({
                "source": ["aws.s3"], "detail-type": ["Object Created"],
                "detail": { "bucket": { "name": ["bundle-1"] }, "object": { "key": ["bundle.zip"] } },
            }),
        ),
    ];
    for (name, pattern) in patterns {
        call(
            &sandbox,
            "events",
            "PutRule",
            json!({ "Name": name, "EventPattern": pattern.to_string() }),
        )
        .await
        .unwrap();
        let target = json!({ "Id": "1", "Arn": "arn:aws:codepipeline:eu-central-1:111122223333:web", "RoleArn": "arn:aws:iam::111122223333:role/events" });
        let have = call(
            &sandbox,
            "events",
            "PutTargets",
            json!({ "Rule": name, "Targets": [target] }),
        )
        .await
        .unwrap();
        assert_eq!(have["FailedEntryCount"], 0, "{have}");
    }
    pass(10).await;
    assert_eq!(statuses(&sandbox).await, ["Failed"]);
    put(&sandbox, "/bundle-1/bundle.zip", b"PK").await;
    let id = push(&sandbox, &[("a", "1")], "one");
    sandbox
        .push(
            REGION,
            "web",
            "side",
            &[("a".to_owned(), Vec::new())].into(),
            "elsewhere",
        )
        .unwrap();
    pass(10).await;
    assert_eq!(
        statuses(&sandbox).await,
        ["Failed", "InProgress", "InProgress"],
        "one by the bundle, one by the push, none by the other branch"
    );
    let execution = newest(&sandbox);
    assert_eq!(execution.trigger.kind, "CloudWatchEvent");
    assert_eq!(
        execution.trigger.detail,
        "arn:aws:events:eu-central-1:111122223333:rule/source"
    );
    assert_eq!(
        execution
            .revisions
            .get("Source")
            .map(|revision| revision.id.clone())
            .unwrap_or(id.clone()),
        id
    );
}

#[tokio::test(start_paused = true)]
async fn an_action_ends_as_it_is_dialled() {
    let end = |fault: Value| crate::faults::ActionFault::try_from(fault).unwrap();
    for (name, fault, after, execution, action, words) in [
        (
            "web/Gate/Approve",
            json!({"fail": {"code": "InternalError", "message": "by chance"}}),
            20,
            "Failed",
            "Failed",
            "by chance",
        ),
        ("Approve", json!("cancel"), 20, "Cancelled", "Abandoned", ""),
        (
            "Source",
            json!("hang"),
            3700,
            "Failed",
            "Failed",
            "timed out",
        ),
    ] {
        let sandbox = with_gate("QUEUED").await;
        let dialled = [(name.to_owned(), end(fault))];
        sandbox.faults().dials.actions.extend(dialled);
        pass(after).await;
        assert_eq!(statuses(&sandbox).await, [execution], "{name}");
        let have = newest(&sandbox);
        let run = have.actions.last().unwrap();
        assert_eq!(format!("{:?}", run.status), action);
        let said = run.error.as_ref().map_or("", |(_, message)| message);
        assert!(said.contains(words), "{said}");
    }
}
