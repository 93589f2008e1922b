//! CodeDeploy, CodeCommit, CodeBuild, CodePipeline and the event rules. Must not cover what they do with their own roles.

use super::{Duty, Sheet};
use crate::resource::{Kind, Resource};

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    alarms(sheet);
    deployment(sheet);
    source(sheet);
    build(sheet);
    pipeline(sheet);
    rules(sheet);
}

/// The ARNs of the wanted deployment groups.
pub(super) fn groups(sheet: &Sheet<'_>) -> Vec<String> {
    sheet
        .resources(Kind::DeploymentGroup)
        .filter_map(|resource| match resource {
            Resource::DeploymentGroup(group) => {
                let application = sheet.known(&group.application)?;
                let group = format!("deploymentgroup:{application}/{}", group.name);
                Some(sheet.arn("codedeploy", &group))
            }
            _ => None,
        })
        .collect()
}

/// The ARNs of the wanted CodeDeploy applications.
pub(super) fn applications(sheet: &Sheet<'_>) -> Vec<String> {
    sheet
        .names_of(Kind::DeploymentApplication)
        .iter()
        .map(|name| sheet.arn("codedeploy", &format!("application:{name}")))
        .collect()
}

/// Those of a former spec too: an alarm that is no longer wanted is looked for and deleted.
fn alarms(sheet: &mut Sheet<'_>) {
    let alarms = [sheet.arn("cloudwatch", &format!("alarm:{}-*", sheet.names.app()))];
    if sheet.looks() {
        sheet.list(&["cloudwatch:DescribeAlarms"]);
        sheet.allow(
            "AlarmsRead",
            "sees whose the alarms are that have the app's name",
            &["cloudwatch:ListTagsForResource"],
            alarms.clone(),
        );
    }
    if sheet.makes() {
        let mut actions = vec!["cloudwatch:DeleteAlarms"];
        if sheet.resources(Kind::Alarm).next().is_some() {
            actions.extend([
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ]);
        }
        sheet.allow(
            "AlarmsChange",
            "makes and changes the alarms that stop a deployment, and removes those of a former spec",
            &actions,
            alarms.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "AlarmsDelete",
            "deletes the alarms that stop a deployment",
            &["cloudwatch:DeleteAlarms"],
            alarms,
        );
    }
}

fn deployment(sheet: &mut Sheet<'_>) {
    let (applications, groups) = (applications(sheet), groups(sheet));
    let both = || applications.iter().chain(&groups).cloned();
    // Configurations carry no tags: the app's are told by their names, those of former strategies among them.
    let configs = sheet.arn(
        "codedeploy",
        &format!("deploymentconfig:{}", sheet.names.deployment_config("*")),
    );
    if sheet.looks() {
        sheet.list(&["codedeploy:ListDeploymentConfigs"]);
        sheet.allow(
            "DeploymentRead",
            "compares application, group and configuration with what is wanted",
            &[
                "codedeploy:GetApplication",
                "codedeploy:GetDeploymentGroup",
                "codedeploy:ListTagsForResource",
            ],
            both(),
        );
        sheet.allow(
            "DeploymentConfigRead",
            "compares the configuration of the rollout's steps with what is wanted",
            &["codedeploy:GetDeploymentConfig"],
            [configs.clone()],
        );
    }
    if sheet.compares() {
        in_flight(sheet);
    }
    if sheet.makes() {
        sheet.allow(
            "DeploymentChange",
            "makes and changes CodeDeploy's application and group",
            &[
                "codedeploy:CreateApplication",
                "codedeploy:CreateDeploymentGroup",
                "codedeploy:TagResource",
                "codedeploy:UntagResource",
                "codedeploy:UpdateDeploymentGroup",
            ],
            both(),
        );
        let mut actions = vec!["codedeploy:DeleteDeploymentConfig"];
        if sheet.resources(Kind::DeploymentConfig).next().is_some() {
            actions.push("codedeploy:CreateDeploymentConfig");
        }
        sheet.allow(
            "DeploymentConfigChange",
            "makes the configuration of the rollout's steps, and removes that of a former strategy",
            &actions,
            [configs.clone()],
        );
        let roles: Vec<_> = sheet
            .resources(Kind::DeploymentGroup)
            .filter_map(|resource| match resource {
                Resource::DeploymentGroup(group) => Some(group.role.clone()),
                _ => None,
            })
            .collect();
        sheet.pass("PassToCodeDeploy", "codedeploy", roles);
    }
    if sheet.removes() {
        sheet.allow(
            "DeploymentStop",
            "stops the deployment in flight; AWS takes no narrower resource for it",
            &["codedeploy:StopDeployment"],
            ["*".to_owned()],
        );
        sheet.allow(
            "DeploymentDelete",
            "deletes CodeDeploy's application and group once no deployment is in flight",
            &[
                "codedeploy:DeleteApplication",
                "codedeploy:DeleteDeploymentGroup",
                "codedeploy:ListDeployments",
            ],
            both(),
        );
        sheet.allow(
            "DeploymentConfigDelete",
            "deletes the configuration of the rollout's steps",
            &["codedeploy:DeleteDeploymentConfig"],
            [configs],
        );
    }
}

/// Whether a rollout is in flight, which keeps `up` from what the rollout moves.
pub(super) fn in_flight(sheet: &mut Sheet<'_>) {
    let groups = groups(sheet);
    sheet.allow(
        "DeploymentsRead",
        "sees whether a deployment is in flight, and how it goes",
        &[
            "codedeploy:BatchGetDeployments",
            "codedeploy:ListDeployments",
        ],
        groups,
    );
}

fn source(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::SourceRepository)
        .iter()
        .map(|name| sheet.arn("codecommit", name))
        .collect();
    if sheet.looks() {
        sheet.allow(
            "SourceRead",
            "compares the source repository with what is wanted; its contents aren't read",
            &["codecommit:GetRepository", "codecommit:ListTagsForResource"],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "SourceChange",
            "makes the source repository",
            &[
                "codecommit:CreateRepository",
                "codecommit:TagResource",
                "codecommit:UntagResource",
                "codecommit:UpdateRepositoryDescription",
            ],
            arns.clone(),
        );
    }
    if sheet.does(Duty::DownWithSource) {
        sheet.allow(
            "SourceDelete",
            "deletes the source repository with its history",
            &["codecommit:DeleteRepository"],
            arns,
        );
    }
}

fn build(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::BuildProject)
        .iter()
        .map(|name| sheet.arn("codebuild", &format!("project/{name}")))
        .collect();
    if sheet.looks() {
        sheet.allow(
            "BuildRead",
            "compares the build project with what is wanted",
            &["codebuild:BatchGetProjects"],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "BuildChange",
            "makes and changes the build project",
            &["codebuild:CreateProject", "codebuild:UpdateProject"],
            arns.clone(),
        );
        let roles: Vec<_> = sheet
            .resources(Kind::BuildProject)
            .filter_map(|resource| match resource {
                Resource::BuildProject(project) => Some(project.role.clone()),
                _ => None,
            })
            .collect();
        sheet.pass("PassToCodeBuild", "codebuild", roles);
    }
    if sheet.removes() {
        sheet.allow(
            "BuildDelete",
            "deletes the build project",
            &["codebuild:DeleteProject"],
            arns,
        );
    }
}

/// The ARNs of the wanted pipelines.
pub(super) fn pipelines(sheet: &Sheet<'_>) -> Vec<String> {
    sheet
        .names_of(Kind::Pipeline)
        .iter()
        .map(|name| sheet.arn("codepipeline", name))
        .collect()
}

fn pipeline(sheet: &mut Sheet<'_>) {
    let arns = pipelines(sheet);
    if sheet.looks() {
        sheet.allow(
            "PipelineRead",
            "compares the pipeline with what is wanted",
            &[
                "codepipeline:GetPipeline",
                "codepipeline:ListTagsForResource",
            ],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "PipelineChange",
            "makes and changes the pipeline",
            &[
                "codepipeline:CreatePipeline",
                "codepipeline:TagResource",
                "codepipeline:UntagResource",
                "codepipeline:UpdatePipeline",
            ],
            arns.clone(),
        );
        let roles: Vec<_> = sheet
            .resources(Kind::Pipeline)
            .filter_map(|resource| match resource {
                Resource::Pipeline(pipeline) => Some(pipeline.role.clone()),
                _ => None,
            })
            .collect();
        sheet.pass("PassToCodePipeline", "codepipeline", roles);
    }
    if sheet.removes() {
        sheet.allow(
            "PipelineDelete",
            "stops what the pipeline does, and deletes it",
            &[
                "codepipeline:DeletePipeline",
                "codepipeline:ListPipelineExecutions",
                "codepipeline:StopPipelineExecution",
            ],
            arns,
        );
    }
}

fn rules(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::EventRule)
        .iter()
        .map(|name| sheet.arn("events", &format!("rule/{name}")))
        .collect();
    if sheet.looks() {
        sheet.allow(
            "RulesRead",
            "compares the rules that start the pipeline with what is wanted",
            &["events:ListTagsForResource", "events:ListTargetsByRule"],
            arns.clone(),
        );
        sheet.list(&["events:ListRules"]);
    }
    if sheet.makes() {
        sheet.allow(
            "RulesChange",
            "makes and changes the rules that start the pipeline",
            &[
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ],
            arns.clone(),
        );
        let roles: Vec<_> = sheet
            .resources(Kind::EventRule)
            .filter_map(|resource| match resource {
                Resource::EventRule(rule) => {
                    Some(rule.targets.iter().filter_map(|t| t.role.clone()))
                }
                _ => None,
            })
            .flatten()
            .collect();
        sheet.pass("PassToEvents", "events", roles);
    }
    if sheet.removes() {
        sheet.allow(
            "RulesDelete",
            "deletes the rules that start the pipeline",
            &["events:DeleteRule", "events:RemoveTargets"],
            arns,
        );
    }
}
