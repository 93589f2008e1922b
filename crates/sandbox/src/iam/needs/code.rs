//! What calls to CodeBuild, CodeCommit, CodeDeploy and CodePipeline need. Must not know what they do.

use serde_json::Value;

use super::Desk;
use crate::wire::Input as _;

pub(super) fn build(desk: &mut Desk<'_>) -> Option<()> {
    desk.tags(desk.call.input.pairs("tags", "key", "value"));
    let project = |desk: &Desk<'_>, name: &str| desk.arn("codebuild", &format!("project/{name}"));
    match desk.operation() {
        "CreateProject" | "UpdateProject" => {
            let arn = project(desk, desk.text("name"));
            desk.own(arn);
            desk.pass_role(desk.text("serviceRole"), "codebuild");
        }
        "DeleteProject" => {
            let arn = project(desk, desk.text("name"));
            desk.own(arn);
        }
        "BatchGetProjects" => {
            for name in desk.call.input.texts("names") {
                let name = name.rsplit('/').next().unwrap_or_default();
                let arn = project(desk, name);
                desk.own(arn);
            }
        }
        "ListBuildsForProject" | "StartBuild" => {
            let arn = project(desk, desk.text("projectName"));
            desk.own(arn);
        }
        "BatchGetBuilds" | "StopBuild" => {
            let mut ids = desk.call.input.texts("ids");
            ids.extend(desk.call.input.text("id").map(ToOwned::to_owned));
            for id in ids {
                // A build's id begins with its project.
                let id = id.rsplit('/').next().unwrap_or_default();
                let name = id.split(':').next().unwrap_or_default();
                let arn = project(desk, name);
                desk.own(arn);
            }
        }
        "ListBuilds" | "ListProjects" => {
            desk.own("*");
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn commit(desk: &mut Desk<'_>) -> Option<()> {
    let given = desk.call.input.get("tags").and_then(Value::as_object);
    let tagged = desk.tags(texts(given));
    desk.tag_keys_of("tagKeys");
    match desk.operation() {
        "ListRepositories" => {
            desk.own("*");
        }
        "BatchGetRepositories" => {
            for name in desk.call.input.texts("repositoryNames") {
                let arn = desk.arn("codecommit", &name);
                desk.own(arn);
            }
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("resourceArn"));
        }
        "CreateRepository" => {
            let arn = desk.arn("codecommit", desk.text("repositoryName"));
            desk.own(arn.clone());
            if tagged {
                desk.need("codecommit:TagResource", arn);
            }
        }
        "DeleteRepository"
        | "GetBranch"
        | "GetCommit"
        | "GetRepository"
        | "ListBranches"
        | "UpdateDefaultBranch"
        | "UpdateRepositoryDescription"
        | "UpdateRepositoryEncryptionKey"
        // What git asks for, and CodePipeline: they have no operation of the API.
        | "CancelUploadArchive"
        | "GetUploadArchiveStatus"
        | "GitPull"
        | "GitPush"
        | "UploadArchive" => {
            let arn = desk.arn("codecommit", desk.text("repositoryName"));
            desk.own(arn);
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn deploy(desk: &mut Desk<'_>) -> Option<()> {
    let tagged = desk.tags(
        desk.call
            .input
            .pairs("tags", "Key", "Value")
            .into_iter()
            .chain(desk.call.input.pairs("Tags", "Key", "Value")),
    );
    desk.tag_keys_of("TagKeys");
    let named = |desk: &Desk<'_>, member: &str| match desk.text(member) {
        "" => "*".to_owned(),
        name => name.to_owned(),
    };
    let application =
        |desk: &Desk<'_>, name: &str| desk.arn("codedeploy", &format!("application:{name}"));
    let group = |desk: &Desk<'_>, application: &str, name: &str| {
        desk.arn(
            "codedeploy",
            &format!("deploymentgroup:{application}/{name}"),
        )
    };
    let config =
        |desk: &Desk<'_>, name: &str| desk.arn("codedeploy", &format!("deploymentconfig:{name}"));
    match desk.operation() {
        "BatchGetApplications" => {
            for name in desk.call.input.texts("applicationNames") {
                let arn = application(desk, &name);
                desk.own(arn);
            }
        }
        "CreateApplication" => {
            let arn = application(desk, desk.text("applicationName"));
            desk.own(arn.clone());
            if tagged {
                desk.need("codedeploy:TagResource", arn);
            }
        }
        "DeleteApplication"
        | "GetApplication"
        | "GetApplicationRevision"
        | "ListApplicationRevisions"
        | "ListDeploymentGroups"
        | "RegisterApplicationRevision"
        | "UpdateApplication" => {
            let arn = application(desk, &named(desk, "applicationName"));
            desk.own(arn);
        }
        "BatchGetDeploymentGroups" => {
            for name in desk.call.input.texts("deploymentGroupNames") {
                let arn = group(desk, desk.text("applicationName"), &name);
                desk.own(arn);
            }
        }
        "CreateDeploymentGroup" => {
            let arn = group(
                desk,
                desk.text("applicationName"),
                desk.text("deploymentGroupName"),
            );
            desk.own(arn.clone());
            if tagged {
                desk.need("codedeploy:TagResource", arn);
            }
            desk.pass_role(desk.text("serviceRoleArn"), "codedeploy");
        }
        "UpdateDeploymentGroup" => {
            let arn = group(
                desk,
                desk.text("applicationName"),
                desk.text("currentDeploymentGroupName"),
            );
            desk.own(arn);
            desk.pass_role(desk.text("serviceRoleArn"), "codedeploy");
        }
        "DeleteDeploymentGroup" | "GetDeploymentGroup" | "ListDeployments" => {
            let arn = group(
                desk,
                &named(desk, "applicationName"),
                &named(desk, "deploymentGroupName"),
            );
            desk.own(arn);
        }
        "CreateDeployment" => {
            let (app, name) = (
                desk.text("applicationName"),
                desk.text("deploymentGroupName"),
            );
            let arn = group(desk, app, name);
            desk.own(arn);
            // The action is answered only to who may read its parts: AWS's own examples list all three.
            let found = desk.world.regions.get(&desk.call.region);
            let default = found
                .and_then(|region| region.codedeploy.applications.get(app)?.groups.get(name))
                .map(|group| group.config.as_str());
            let chosen = match desk.text("deploymentConfigName") {
                "" => default.unwrap_or("*"),
                name => name,
            };
            let arn = config(desk, chosen);
            desk.need("codedeploy:GetDeploymentConfig", arn);
            if desk.call.input.get("revision").is_some() {
                let arn = application(desk, app);
                desk.need("codedeploy:RegisterApplicationRevision", arn);
            }
        }
        "BatchGetDeployments" | "GetDeployment" => {
            let mut ids = desk.call.input.texts("deploymentIds");
            ids.extend(desk.call.input.text("deploymentId").map(ToOwned::to_owned));
            let region = desk.world.regions.get(&desk.call.region);
            for id in ids {
                // Of a deployment that isn't there nothing can be told.
                let found = region.and_then(|region| region.codedeploy.deployments.get(&id));
                if let Some(found) = found {
                    let arn = group(desk, &found.application, &found.group);
                    desk.own(arn);
                }
            }
        }
        "CreateDeploymentConfig" | "DeleteDeploymentConfig" | "GetDeploymentConfig" => {
            let arn = config(desk, desk.text("deploymentConfigName"));
            desk.own(arn);
        }
        "BatchGetDeploymentTargets"
        | "ContinueDeployment"
        | "GetDeploymentTarget"
        | "ListApplications"
        | "ListDeploymentConfigs"
        | "ListDeploymentTargets"
        | "PutLifecycleEventHookExecutionStatus"
        | "StopDeployment" => {
            desk.own("*");
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("ResourceArn"));
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn pipeline(desk: &mut Desk<'_>) -> Option<()> {
    let tagged = desk.tags(desk.call.input.pairs("tags", "key", "value"));
    desk.tag_keys_of("tagKeys");
    match desk.operation() {
        "CreatePipeline" | "UpdatePipeline" => {
            let declared = desk.call.input.get("pipeline").unwrap_or(&Value::Null);
            let arn = desk.arn("codepipeline", declared.text("name").unwrap_or_default());
            desk.own(arn.clone());
            if tagged {
                desk.need("codepipeline:TagResource", arn);
            }
            desk.pass_role(declared.text("roleArn").unwrap_or_default(), "codepipeline");
        }
        "DeletePipeline" | "GetPipeline" | "GetPipelineState" | "StartPipelineExecution" => {
            let arn = desk.arn("codepipeline", desk.text("name"));
            desk.own(arn);
        }
        "GetPipelineExecution"
        | "ListActionExecutions"
        | "ListPipelineExecutions"
        | "StopPipelineExecution" => {
            let arn = desk.arn("codepipeline", desk.text("pipelineName"));
            desk.own(arn);
        }
        "DisableStageTransition" | "EnableStageTransition" | "RetryStageExecution" => {
            let stage = format!("{}/{}", desk.text("pipelineName"), desk.text("stageName"));
            let arn = desk.arn("codepipeline", &stage);
            desk.own(arn);
        }
        "PutApprovalResult" => {
            let action = format!(
                "{}/{}/{}",
                desk.text("pipelineName"),
                desk.text("stageName"),
                desk.text("actionName")
            );
            let arn = desk.arn("codepipeline", &action);
            desk.own(arn);
        }
        "ListPipelines" => {
            desk.own("*");
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("resourceArn"));
        }
        _ => return None,
    }
    Some(())
}

/// The texts of an object's members.
pub(super) fn texts(object: Option<&serde_json::Map<String, Value>>) -> Vec<(String, String)> {
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    object.into_iter().flatten().filter_map(pair).collect()
}
