//! What a build does in the name of its role: assume it, write the log, read the source, use the registry, write the artifact.
//! Every step is asked for as CodeBuild, the AWS CLI and buildx ask (AWS.md §6.2), and refused in their words. Must not do the
//! work itself.

use serde_json::json;

use super::{Failure, command, docker};
use crate::iam::Denial;
use crate::iam::acting::Actor;
use crate::services::codebuild::Build;
use crate::world::World;

/// The service that acts.
const SERVICE: &str = "codebuild.amazonaws.com";

/// The build's role, assumed for its project.
pub(super) fn assume(world: &World, region: &str, build: &Build) -> Result<Actor, Failure> {
    let role = build.role();
    let source = world.arn("codebuild", region, &format!("project/{}", build.project));
    let session = format!("AWSCodeBuild-{}", build.uuid());
    Actor::assume(world, region, role, SERVICE, &source, &session).map_err(|reason| Failure {
        code: "ACCESS_DENIED",
        message: format!(
            "CodeBuild is not authorized to perform: sts:AssumeRole on service role {role}: {reason}"
        ),
    })
}

/// Opens the log, where it goes to a group that is there.
pub(super) fn open_log(world: &World, region: &str, build: &Build) -> Result<(), Failure> {
    let actor = assume(world, region, build)?;
    let Some(input) = log_input(world, region, build) else {
        return Ok(());
    };
    actor
        .may(world, "logs", "CreateLogStream", input)
        .map_err(|denial| Failure {
            code: "ACCESS_DENIED",
            message: format!(
                "Service role {} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build {}. Error message: {denial}",
                build.role(),
                world.arn("codebuild", region, &format!("build/{}", build.id)),
            ),
        })
}

/// Whether a line may be written to the log. CodeBuild goes on without one.
pub(super) fn may_log(world: &World, region: &str, build: &Build) -> bool {
    let written = || {
        let actor = assume(world, region, build).ok()?;
        let input = log_input(world, region, build)?;
        actor.may(world, "logs", "PutLogEvents", input).ok()
    };
    written().is_some()
}

/// Reads the source, where it comes out of a bucket or a repository of the account.
pub(super) fn download(world: &World, region: &str, build: &Build) -> Result<(), Failure> {
    let actor = assume(world, region, build)?;
    let denied = |denial: Denial, place: String| Failure {
        code: "CLIENT_ERROR",
        message: format!(
            "AccessDenied: {denial} status code: 403 for primary source and source version {place}"
        ),
    };
    if let Some((bucket, key)) = &build.source_place {
        let place = world.arn("s3", region, &format!("{bucket}/{key}"));
        return actor
            .may_s3(world, "GetObject", bucket, key, None)
            .map_err(|denial| denied(denial, place));
    }
    if let Some(repository) = &build.source_repository {
        let input = json!({ "repositoryName": repository });
        let place = world.arn("codecommit", region, repository);
        return actor
            .may(world, "codecommit", "GitPull", input)
            .map_err(|denial| denied(denial, place));
    }
    Ok(())
}

/// `aws ecr get-login-password`, before anything of a registry.
pub(super) fn log_in(world: &World, region: &str, build: &Build) -> Result<(), Failure> {
    let actor = assume(world, region, build)?;
    actor
        .may(world, "ecr", "GetAuthorizationToken", json!({}))
        .map_err(|denial| cli("GetAuthorizationToken", &denial))
}

/// `aws ecr describe-images`.
pub(super) fn look_up(
    world: &World,
    region: &str,
    build: &Build,
    repository: &str,
) -> Result<(), Failure> {
    let input = json!({ "repositoryName": repository });
    assume(world, region, build)?
        .may(world, "ecr", "DescribeImages", input)
        .map_err(|denial| cli("DescribeImages", &denial))
}

/// Reads a manifest and its layers out of a repository: a base image, or the layer cache.
pub(super) fn pull(
    world: &World,
    region: &str,
    build: &Build,
    repository: &str,
) -> Result<(), String> {
    let actor = assume(world, region, build).map_err(|failure| failure.message)?;
    asked(
        world,
        &actor,
        repository,
        &["BatchGetImage", "GetDownloadUrlForLayer"],
    )
}

/// Writes the layers and the manifest of an image: which layers are there, those that aren't, and whether the manifest is.
pub(super) fn push(
    world: &World,
    region: &str,
    build: &Build,
    repository: &str,
    target: &str,
) -> Result<(), Failure> {
    const STEPS: [&str; 6] = [
        "BatchCheckLayerAvailability",
        "InitiateLayerUpload",
        "UploadLayerPart",
        "CompleteLayerUpload",
        "BatchGetImage",
        "PutImage",
    ];
    let actor = assume(world, region, build)?;
    asked(world, &actor, repository, &STEPS)
        .map_err(|why| docker(&format!("failed to solve: failed to push {target}: {why}")))
}

/// Writes the artifact, after a look at whose bucket it is.
pub(super) fn upload(
    world: &World,
    region: &str,
    build: &Build,
    bucket: &str,
    key: &str,
) -> Result<(), Failure> {
    let actor = assume(world, region, build)?;
    let steps = [
        ("GetBucketLocation", ""),
        ("GetBucketAcl", ""),
        ("PutObject", key),
    ];
    steps.iter().try_for_each(|(operation, key)| {
        actor
            .may_s3(world, operation, bucket, key, None)
            .map_err(|denial| Failure {
                code: "CLIENT_ERROR",
                message: format!(
                    "Error in UPLOAD_ARTIFACTS phase: AccessDenied: {denial} status code: 403"
                ),
            })
    })
}

fn asked(world: &World, actor: &Actor, repository: &str, steps: &[&str]) -> Result<(), String> {
    steps.iter().try_for_each(|step| {
        let input = json!({ "repositoryName": repository });
        actor
            .may(world, "ecr", step, input)
            .map_err(|denial| format!("403 Forbidden: {denial}"))
    })
}

/// The build's stream; `None` where it has no log, or the group isn't there.
fn log_input(world: &World, region: &str, build: &Build) -> Option<serde_json::Value> {
    let (group, stream) = build.log.as_ref()?;
    let groups = &world.regions.get(region)?.logs.groups;
    groups
        .contains_key(group)
        .then(|| json!({ "logGroupName": group, "logStreamName": stream }))
}

/// A command of the AWS CLI that was refused.
fn cli(operation: &str, denial: &Denial) -> Failure {
    command(&format!(
        "An error occurred (AccessDeniedException) when calling the {operation} operation: {denial}. Reason: exit status 254"
    ))
}
