//! What CodePipeline does in the name of the pipeline's role. Each action asks for every permission that AWS's reference of the
//! action lists (CodePipeline user guide, "Action structure reference"; AWS.md §6.2), and a refusal fails the action in the
//! words of AWS. Must not do the work itself.

use serde_json::{Value, json};

use super::{Failure, Place};
use crate::iam::Denial;
use crate::iam::acting::Actor;
use crate::services::codepipeline::Location;
use crate::services::codepipeline::declaration::Declaration;
use crate::world::World;

/// The pipeline's role, assumed.
pub(super) struct Role {
    actor: Actor,
}

impl Role {
    /// Assumes the pipeline's role. Its sessions are named by the time.
    pub(super) fn assume(
        world: &World,
        place: &Place<'_>,
        declared: &Declaration,
    ) -> Result<Self, Failure> {
        let role = &declared.role_arn;
        let source = world.arn("codepipeline", place.region, place.pipeline);
        let session = world.now.to_string();
        let service = "codepipeline.amazonaws.com";
        Actor::assume(world, place.region, role, service, &source, &session)
            .map(|actor| Self { actor })
            .map_err(|reason| {
                denied(format!(
                    "CodePipeline is not authorized to perform AssumeRole on role {role}: {reason}"
                ))
            })
    }

    /// Finds the commit and has CodeCommit pack it.
    pub(super) fn read_repository(&self, world: &World, repository: &str) -> Result<(), Failure> {
        self.commit(
            world,
            repository,
            &["GetBranch", "GetCommit", "UploadArchive"],
        )
    }

    /// Asks whether the archive is there.
    pub(super) fn await_archive(&self, world: &World, repository: &str) -> Result<(), Failure> {
        self.commit(world, repository, &["GetUploadArchiveStatus"])
    }

    fn commit(&self, world: &World, repository: &str, steps: &[&str]) -> Result<(), Failure> {
        steps.iter().try_for_each(|step| {
            let input = json!({ "repositoryName": repository });
            self.actor
                .may(world, "codecommit", step, input)
                .map_err(|denial| {
                    denied(format!(
                        "The service role or action role doesn’t have the permissions required to access the AWS CodeCommit repository \
                         named {repository}. Update the IAM role permissions, and then try again. Error: {denial} (Service: AWSCodeCommit; \
                         Status Code: 400; Error Code: AccessDeniedException)"
                    ))
                })
        })
    }

    /// Reads an S3 source: the bucket's facts, the object, the version that it found, and their tags.
    pub(super) fn read_source(
        &self,
        world: &World,
        bucket: &str,
        key: &str,
        version: &str,
    ) -> Result<(), Failure> {
        let steps = [
            ("GetBucketVersioning", "", None),
            ("GetBucketLocation", "", None),
            ("GetBucketAcl", "", None),
            // Whether a missing object is one, or only not to be seen.
            ("ListObjectsV2", "", None),
            ("GetObject", key, None),
            ("GetObjectTagging", key, None),
            ("GetObject", key, Some(version)),
            ("GetObjectTagging", key, Some(version)),
        ];
        steps.iter().try_for_each(|(operation, key, version)| {
            self.actor
                .may_s3(world, operation, bucket, key, *version)
                .map_err(|denial| {
                    denied(format!(
                        "The service role or action role doesn’t have the permissions required to access the Amazon S3 bucket named {bucket}. \
                         Update the IAM role permissions, and then try again. Error: Amazon S3:AccessDenied:{denial} (Service: Amazon S3; \
                         Status Code: 403; Error Code: AccessDenied)"
                    ))
                })
        })
    }

    /// Reads an artifact that another action wrote.
    pub(super) fn read_artifact(&self, world: &World, location: &Location) -> Result<(), Failure> {
        let (bucket, key) = (&location.bucket, &location.key);
        self.actor
            .may_s3(world, "GetObject", bucket, key, None)
            .map_err(|denial| {
                denied(format!(
                    "Unable to access the artifact with Amazon S3 object key '{key}' located in the Amazon S3 artifact bucket '{bucket}'. \
                     The provided role does not have sufficient permissions. {denial}"
                ))
            })
    }

    /// Writes an artifact.
    pub(super) fn write_artifact(&self, world: &World, location: &Location) -> Result<(), Failure> {
        let (bucket, key) = (&location.bucket, &location.key);
        self.actor
            .may_s3(world, "PutObject", bucket, key, None)
            .map_err(|denial| {
                denied(format!(
                    "Upload to S3 failed with the following error: {denial} (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"
                ))
            })
    }

    /// Calls an operation of CodeBuild, CodeDeploy or ECS.
    pub(super) fn call(
        &self,
        world: &World,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<(), Failure> {
        self.actor
            .may(world, service, operation, input)
            .map_err(|denial| denied(words(service, operation, &denial)))
    }
}

fn words(service: &str, operation: &str, denial: &Denial) -> String {
    let (name, before) = match service {
        "codebuild" => {
            let first = operation.chars().next().map(|c| c.to_ascii_lowercase());
            let call: String = first.into_iter().chain(operation.chars().skip(1)).collect();
            ("AWSCodeBuild", format!("Error calling {call}: "))
        }
        "ecs" => ("AmazonECS", String::new()),
        _ => ("AmazonCodeDeploy", String::new()),
    };
    format!(
        "{before}{denial} (Service: {name}; Status Code: 400; Error Code: AccessDeniedException)"
    )
}

fn denied(message: String) -> Failure {
    Failure {
        code: "PermissionError".to_owned(),
        message,
    }
}
