//! What each type of action does: CodeCommit and S3 sources, CodeBuild, CodeDeployToECS, manual approval. Failures carry the
//! words of AWS (AWS.md §1.2). Must not move executions: that is the executor's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::role::Role;
use super::{Failure, Place};
use crate::build::archive;
use crate::clock::{self, Millis};
use crate::runtime::Content;
use crate::services::codebuild::{self, BuildRequest};
use crate::services::codepipeline::declaration::{Action, Declaration};
use crate::services::codepipeline::{ActionExecution, Execution, Location, Revision};
use crate::services::{codecommit, codedeploy, ecs, s3};
use crate::wire::Input as _;
use crate::world::World;

/// How long a source action takes: about what a small repository takes in AWS.
const SOURCE_SPAN: Millis = 5_000;

/// A manual approval runs out after seven days, unless the action says otherwise.
const APPROVAL_SPAN: Millis = 7 * 24 * 3_600_000;

/// The limit on each input artifact of a CodeDeployToECS action (AWS.md §1.2).
const DEPLOY_LIMIT: usize = 3 * 1024 * 1024;

/// Begins an action. Its run is `InProgress` already.
pub(super) fn begin(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &Execution,
    action: &Action,
    run: &mut ActionExecution,
) -> Result<(), Failure> {
    match action.action_type_id.provider.as_str() {
        "CodeCommit" => {
            let repository = setting(run, "RepositoryName");
            Role::assume(world, place, declared)?.read_repository(world, &repository)?;
            run.due = Some(world.now + SOURCE_SPAN);
            Ok(())
        }
        "S3" => {
            run.due = Some(world.now + SOURCE_SPAN);
            Ok(())
        }
        "CodeBuild" => begin_build(world, place, declared, execution, action, run),
        "CodeDeployToECS" => begin_deployment(world, place, declared, execution, run),
        "Manual" => {
            let span = action
                .timeout_in_minutes
                .map_or(APPROVAL_SPAN, |minutes| minutes * 60_000);
            run.token = Some(world.uuid());
            run.due = Some(world.now + span);
            run.external_url = run.configuration.get("ExternalEntityLink").cloned();
            Ok(())
        }
        other => Err(configuration(format!(
            "the ecspipe sandbox has no action of the provider {other}"
        ))),
    }
}

/// Looks at a running action: whether it succeeded by now.
pub(super) fn poll(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    action: &Action,
    run: &mut ActionExecution,
) -> Result<bool, Failure> {
    let due = run.due.is_some_and(|due| world.now >= due);
    match action.action_type_id.provider.as_str() {
        "CodeCommit" if due => {
            end_codecommit(world, place, declared, execution, action, run).map(|()| true)
        }
        "S3" if due => end_s3(world, place, declared, execution, action, run).map(|()| true),
        "CodeBuild" => poll_build(world, place, declared, run),
        "CodeDeployToECS" => poll_deployment(world, place, declared, run),
        "Manual" if due => Err(job(
            "The manual approval action was not answered in time".to_owned()
        )),
        _ => Ok(false),
    }
}

/// How long CodePipeline waits for an action (its quotas); an approval's limit is its own.
pub(super) fn limit(action: &Action) -> Option<Millis> {
    const HOUR: Millis = 3_600_000;
    match action.action_type_id.provider.as_str() {
        "Manual" => None,
        "CodeBuild" => Some(36 * HOUR),
        "CodeDeployToECS" => Some(5 * 24 * HOUR),
        _ => Some(HOUR),
    }
}

/// The limit is over.
pub(super) fn timed_out(action: &Action) -> Failure {
    job(format!(
        "The action {} timed out: it did not complete within the time limit of its type.",
        action.name
    ))
}

fn end_codecommit(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    action: &Action,
    run: &mut ActionExecution,
) -> Result<(), Failure> {
    let (repository, branch) = (setting(run, "RepositoryName"), setting(run, "BranchName"));
    Role::assume(world, place, declared)?.await_archive(world, &repository)?;
    let commit = match execution.asked.get(&action.name) {
        Some((_, id)) => codecommit::pushed(world, place.region, &repository, id)
            .ok_or_else(|| revision_unavailable(format!("The commit {id} is not one that the sandbox keeps of the repository {repository}."))),
        None => codecommit::head(world, place.region, &repository, &branch)
            .ok_or_else(|| no_commit(world, place.region, &repository, &branch)),
    }?;
    let url = format!(
        "https://{0}.console.aws.amazon.com/codesuite/codecommit/repositories/{repository}/commit/{1}?region={0}",
        place.region, commit.id
    );
    let date = |date: &str| {
        date.split(' ')
            .next()
            .and_then(|seconds| seconds.parse::<i64>().ok())
            .map(|s| clock::iso(s * 1000))
    };
    run.variables = BTreeMap::from([
        (
            "AuthorDate".to_owned(),
            date(&commit.author.date).unwrap_or_default(),
        ),
        ("BranchName".to_owned(), branch),
        ("CommitId".to_owned(), commit.id.clone()),
        ("CommitMessage".to_owned(), commit.message.clone()),
        ("RepositoryName".to_owned(), repository),
    ]);
    let found = Found {
        id: commit.id,
        summary: commit.message,
        url,
        bytes: commit.zip.0,
    };
    keep_source(world, place, declared, execution, action, run, found)
}

fn end_s3(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    action: &Action,
    run: &mut ActionExecution,
) -> Result<(), Failure> {
    let (bucket, key) = (setting(run, "S3Bucket"), setting(run, "S3ObjectKey"));
    let (bytes, version) = match execution.asked.get(&action.name) {
        Some((_, version)) => {
            let bytes = s3::get_version(world, &bucket, &key, version);
            let missing = || {
                revision_unavailable(format!(
                    "The object with key '{key}' has no version '{version}'."
                ))
            };
            (bytes.ok_or_else(missing)?, version.clone())
        }
        None => {
            let object = s3::get(world, &bucket, &key);
            let (bytes, version, _) = object.ok_or_else(|| {
                configuration(format!("The object with key '{key}' does not exist."))
            })?;
            (bytes, version)
        }
    };
    Role::assume(world, place, declared)?.read_source(world, &bucket, &key, &version)?;
    if version.is_empty() || version == "null" {
        return Err(configuration(format!(
            "Versioning is not enabled on the S3 bucket '{bucket}'."
        )));
    }
    run.variables = BTreeMap::from([
        ("BucketName".to_owned(), bucket.clone()),
        ("ObjectKey".to_owned(), key.clone()),
        ("VersionId".to_owned(), version.clone()),
    ]);
    let url = format!(
        "https://console.aws.amazon.com/s3/object/{bucket}?region={}&prefix={key}",
        place.region
    );
    let found = Found {
        summary: format!("Amazon S3 version id: {version}"),
        id: version,
        url,
        bytes,
    };
    keep_source(world, place, declared, execution, action, run, found)
}

/// What a source action found.
struct Found {
    id: String,
    summary: String,
    url: String,
    bytes: Vec<u8>,
}

/// Puts a source into the artifact bucket and remembers its revision.
fn keep_source(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    action: &Action,
    run: &mut ActionExecution,
    found: Found,
) -> Result<(), Failure> {
    let artifact = action
        .output_artifacts
        .first()
        .map(|artifact| artifact.name.clone())
        .unwrap_or_default();
    let location = new_location(world, place, declared, &artifact);
    Role::assume(world, place, declared)?.write_artifact(world, &location)?;
    put(world, &location, found.bytes)?;
    run.external_id = Some(found.id.clone());
    run.external_url = Some(found.url.clone());
    // The API gives no empty summary.
    let summary = if found.summary.is_empty() {
        found.id.clone()
    } else {
        found.summary
    };
    run.summary = Some(summary.clone());
    run.outputs.push((artifact.clone(), location));
    let revision = Revision {
        artifact,
        id: found.id,
        summary,
        url: found.url,
        at: world.now,
    };
    execution.revisions.insert(action.name.clone(), revision);
    Ok(())
}

fn no_commit(world: &World, region: &str, repository: &str, branch: &str) -> Failure {
    if !codecommit::exists(world, region, repository) {
        return configuration(format!(
            "The action failed because the CodeCommit repository named {repository} was not found. Make sure you are using the correct \
             repository name, and then try again. Error: {repository} does not exist"
        ));
    }
    configuration(format!(
        "The action failed because no branch named {branch} was found in the selected AWS CodeCommit repository {repository}. Make \
         sure you are using the correct branch name, and then try again. Error: null"
    ))
}

fn begin_build(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &Execution,
    action: &Action,
    run: &mut ActionExecution,
) -> Result<(), Failure> {
    let first = action
        .input_artifacts
        .first()
        .map(|artifact| artifact.name.clone())
        .unwrap_or_default();
    let primary = run
        .configuration
        .get("PrimarySource")
        .cloned()
        .unwrap_or(first);
    let (location, source) = input(world, execution, &primary)?;
    let version = execution
        .revisions
        .values()
        .find(|revision| revision.artifact == primary)
        .map(|revision| revision.id.clone());
    let output = action
        .output_artifacts
        .first()
        .map(|artifact| artifact.name.clone());
    let output = output.map(|name| (name.clone(), new_location(world, place, declared, &name)));
    let request = BuildRequest {
        source: Content(source),
        source_place: (location.bucket, location.key),
        source_version: version.unwrap_or_default(),
        variables: action_variables(run)?,
        output: output
            .as_ref()
            .map(|(_, location)| (location.bucket.clone(), location.key.clone())),
        pipeline: place.pipeline.to_owned(),
    };
    let project = setting(run, "ProjectName");
    Role::assume(world, place, declared)?.call(
        world,
        "codebuild",
        "StartBuild",
        json!({ "projectName": project }),
    )?;
    let build = codebuild::start(world, place.region, &project, &request).map_err(|fault| {
        job(format!(
            "Error calling startBuild: {} (Service: AWSCodeBuild; Status Code: {}; Error Code: {})",
            fault.message, fault.status, fault.code
        ))
    })?;
    run.external_url = Some(format!(
        "https://console.aws.amazon.com/codebuild/home?region={}#/builds/{build}/view/new",
        place.region
    ));
    run.external_id = Some(build);
    run.outputs.extend(output);
    Ok(())
}

/// The action's `EnvironmentVariables`: one JSON text.
fn action_variables(run: &ActionExecution) -> Result<BTreeMap<String, String>, Failure> {
    let Some(text) = run.configuration.get("EnvironmentVariables") else {
        return Ok(BTreeMap::new());
    };
    let list: Value = serde_json::from_str(text).map_err(|error| {
        configuration(format!(
            "The action's EnvironmentVariables are not a JSON list: {error}"
        ))
    })?;
    let mut variables = BTreeMap::new();
    for variable in list.as_array().into_iter().flatten() {
        let name = variable.text("name").unwrap_or_default();
        if variable
            .text("type")
            .is_some_and(|kind| kind != "PLAINTEXT")
        {
            return Err(configuration(format!(
                "the ecspipe sandbox has only PLAINTEXT environment variables ({name})"
            )));
        }
        variables.insert(
            name.to_owned(),
            variable.text("value").unwrap_or_default().to_owned(),
        );
    }
    Ok(variables)
}

fn poll_build(
    world: &World,
    place: &Place<'_>,
    declared: &Declaration,
    run: &mut ActionExecution,
) -> Result<bool, Failure> {
    let build = run.external_id.clone().unwrap_or_default();
    Role::assume(world, place, declared)?.call(
        world,
        "codebuild",
        "BatchGetBuilds",
        json!({ "ids": [build] }),
    )?;
    match codebuild::status(world, place.region, &build) {
        None => Err(job(format!("The build {build} cannot be found"))),
        Some((status, _)) if status == "IN_PROGRESS" => Ok(false),
        Some((status, _)) if status == "SUCCEEDED" => {
            run.variables = codebuild::exported(world, place.region, &build);
            Ok(true)
        }
        Some((status, _)) => Err(job(format!("Build terminated with state: {status}"))),
    }
}

fn begin_deployment(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &Execution,
    run: &mut ActionExecution,
) -> Result<(), Failure> {
    let path = |key: &str, default: &str| {
        run.configuration
            .get(key)
            .cloned()
            .unwrap_or_else(|| default.to_owned())
    };
    let (task_artifact, task_path) = (
        setting(run, "TaskDefinitionTemplateArtifact"),
        path("TaskDefinitionTemplatePath", "taskdef.json"),
    );
    let (spec_artifact, spec_path) = (
        setting(run, "AppSpecTemplateArtifact"),
        path("AppSpecTemplatePath", "appspec.yaml"),
    );
    let role = Role::assume(world, place, declared)?;
    read_inputs(world, &role, execution, run)?;
    let unread = |what: &str, artifact: &str| {
        configuration(format!(
            "Exception while trying to read the {what} artifact file from: {artifact}"
        ))
    };
    let mut task = template(world, execution, &task_artifact, &task_path)
        .ok_or_else(|| unread("task definition", &task_artifact))?;
    let spec = template(world, execution, &spec_artifact, &spec_path)
        .ok_or_else(|| unread("appspec", &spec_artifact))?;
    for number in 1..=4 {
        let names = (
            run.configuration.get(&format!("Image{number}ArtifactName")),
            run.configuration
                .get(&format!("Image{number}ContainerName")),
        );
        if let (Some(artifact), Some(placeholder)) = names {
            let image = image_uri(world, execution, artifact).ok_or_else(|| {
                configuration(format!("Exception while trying to read the image artifact file from the artifact: {artifact}"))
            })?;
            task = task.replace(&format!("<{placeholder}>"), &image);
        }
    }
    let task: Value = serde_json::from_str(&task).map_err(|error| {
        configuration(format!(
            "The ECS task definition file {task_path} is not valid JSON: {error}"
        ))
    })?;
    role.call(world, "ecs", "RegisterTaskDefinition", task.clone())?;
    let arn = ecs::register_task_definition(world, place.region, &task).map_err(|fault| {
        job(format!(
            "{} (Service: AmazonECS; Status Code: {}; Error Code: {})",
            fault.message, fault.status, fault.code
        ))
    })?;
    let spec = spec.replace("<TASK_DEFINITION>", &arn);
    let (application, group) = (
        setting(run, "ApplicationName"),
        setting(run, "DeploymentGroupName"),
    );
    let description = format!("pipeline {}, execution {}", place.pipeline, execution.id);
    for operation in [
        "GetApplication",
        "RegisterApplicationRevision",
        "GetApplicationRevision",
        "CreateDeployment",
    ] {
        let input = json!({
            "applicationName": application,
            "deploymentGroupName": group,
            "revision": { "revisionType": "AppSpecContent" },
        });
        role.call(world, "codedeploy", operation, input)?;
    }
    let deployment = codedeploy::create(
        world,
        place.region,
        &application,
        &group,
        &spec,
        &description,
    )
    .map_err(|fault| {
        job(format!(
            "{} (Service: AmazonCodeDeploy; Status Code: {}; Error Code: {})",
            fault.message, fault.status, fault.code
        ))
    })?;
    run.external_url = Some(format!(
        "https://console.aws.amazon.com/codedeploy/home?region={0}#/deployments/{deployment}",
        place.region
    ));
    run.variables = BTreeMap::from([("DeploymentId".to_owned(), deployment.clone())]);
    run.external_id = Some(deployment);
    Ok(())
}

/// Reads every artifact that the action names.
fn read_inputs(
    world: &World,
    role: &Role,
    execution: &Execution,
    run: &ActionExecution,
) -> Result<(), Failure> {
    let locations = run
        .inputs
        .iter()
        .filter_map(|artifact| execution.artifacts.get(artifact));
    locations
        .into_iter()
        .try_for_each(|location| role.read_artifact(world, location))
}

/// A template out of an input artifact. AWS gives the same error for an artifact that is missing, isn't a zip, lacks the file
/// or is larger than it may be.
fn template(world: &World, execution: &Execution, artifact: &str, path: &str) -> Option<String> {
    let (_, bytes) = input(world, execution, artifact).ok()?;
    let bytes = Some(bytes).filter(|bytes| bytes.len() <= DEPLOY_LIMIT)?;
    let file = archive::read(&bytes).ok()?.remove(path)?;
    String::from_utf8(file).ok()
}

fn image_uri(world: &World, execution: &Execution, artifact: &str) -> Option<String> {
    let text = template(world, execution, artifact, "imageDetail.json")?;
    let detail: Value = serde_json::from_str(&text).ok()?;
    detail.text("ImageURI").map(ToOwned::to_owned)
}

fn poll_deployment(
    world: &World,
    place: &Place<'_>,
    declared: &Declaration,
    run: &mut ActionExecution,
) -> Result<bool, Failure> {
    let deployment = run.external_id.clone().unwrap_or_default();
    Role::assume(world, place, declared)?.call(
        world,
        "codedeploy",
        "GetDeployment",
        json!({ "deploymentId": deployment }),
    )?;
    let Some((status, ended)) = codedeploy::status(world, place.region, &deployment) else {
        return Err(job(format!("The deployment {deployment} cannot be found")));
    };
    match status.as_str() {
        "Succeeded" => Ok(true),
        "Failed" | "Stopped" => {
            let why = ended
                .map(|(code, message)| format!(" {code}: {message}"))
                .unwrap_or_default();
            Err(job(format!(
                "Deployment {deployment} {}.{why}",
                if status == "Failed" {
                    "failed"
                } else {
                    "was stopped"
                }
            )))
        }
        _ => Ok(false),
    }
}

/// An input artifact: where it is, and its zip.
fn input(
    world: &World,
    execution: &Execution,
    artifact: &str,
) -> Result<(Location, Vec<u8>), Failure> {
    let location = execution.artifacts.get(artifact);
    let object = location.and_then(|location| {
        let (bytes, ..) = s3::get(world, &location.bucket, &location.key)?;
        Some((location.clone(), bytes))
    });
    object.ok_or_else(|| configuration(format!("The input artifact {artifact} cannot be read")))
}

/// Where an artifact goes: `<pipeline>/<artifact>/<seven characters>`, cut as CodePipeline cuts.
fn new_location(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    artifact: &str,
) -> Location {
    let bucket = declared
        .artifact_store
        .as_ref()
        .map(|store| store.location.clone())
        .unwrap_or_default();
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let key = format!(
        "{}/{}/{}",
        cut(place.pipeline, 20),
        cut(artifact, 10),
        world.hex(7)
    );
    Location { bucket, key }
}

fn put(world: &mut World, location: &Location, bytes: Vec<u8>) -> Result<(), Failure> {
    let put = s3::put(world, &location.bucket, &location.key, bytes);
    put.map(|_| ()).map_err(|fault| {
        configuration(format!(
            "Upload to S3 failed with the following error: {} (Service: Amazon S3; Status Code: {}; Error Code: {})",
            fault.message, fault.status, fault.code
        ))
    })
}

fn setting(run: &ActionExecution, key: &str) -> String {
    run.configuration.get(key).cloned().unwrap_or_default()
}

fn configuration(message: String) -> Failure {
    Failure {
        code: "ConfigurationError".to_owned(),
        message,
    }
}

fn job(message: String) -> Failure {
    Failure {
        code: "JobFailed".to_owned(),
        message,
    }
}

fn revision_unavailable(message: String) -> Failure {
    Failure {
        code: "RevisionUnavailable".to_owned(),
        message,
    }
}
