//! The operator's trait on an account: one method a question, translated and nothing else. Must not wait or decide.

use aws_sdk_codepipeline::types as cp;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerDefinition, ContainerOverride, DesiredStatus,
    LaunchType, ManagedAgentName, NetworkConfiguration, SortOrder, Task as FoundTask,
    TaskDefinition, TaskDefinitionStatus, TaskOverride,
};
use ecspipe_deploy::{
    Answer, Approval, CloudFailure, Container, Definition, DeployAction, Footing, NewTask,
    Operations, Reply, Target, Task,
};
use ecspipe_provision::CloudError;
use futures::FutureExt as _;

use crate::classify::{OrMissing as _, Said as _, failure, local};
use crate::kinds::{service, task_definition, unsaid};
use crate::rollouts::{text, time};
use crate::{Account, all};

impl Operations for Account {
    fn definition<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Definition>> {
        definition(self, arn).map(failed).boxed()
    }

    fn active_definitions<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<String>> {
        active_definitions(self, target).map(failed).boxed()
    }

    fn retire<'a>(&'a self, arn: &'a str) -> Answer<'a, ()> {
        task_definition::deregister(self, arn).map(failed).boxed()
    }

    fn deploy_actions<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<DeployAction>> {
        deploy_actions(self, target).map(failed).boxed()
    }

    fn approvals<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<Approval>> {
        approvals(self, target).map(failed).boxed()
    }

    fn answer_approval<'a>(
        &'a self,
        target: &'a Target,
        approval: &'a Approval,
        reply: &'a Reply,
    ) -> Answer<'a, ()> {
        answer_approval(self, target, approval, reply)
            .map(failed)
            .boxed()
    }

    fn scale<'a>(&'a self, target: &'a Target, tasks: u32) -> Answer<'a, ()> {
        scale(self, target, tasks).map(failed).boxed()
    }

    fn footing<'a>(&'a self, target: &'a Target) -> Answer<'a, Footing> {
        footing(self, target).map(failed).boxed()
    }

    fn running_tasks<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<Task>> {
        running_tasks(self, target).map(failed).boxed()
    }

    fn task<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, Option<Task>> {
        task(self, target, id).map(failed).boxed()
    }

    fn run_task<'a>(&'a self, target: &'a Target, new: &'a NewTask) -> Answer<'a, String> {
        run_task(self, target, new).map(failed).boxed()
    }
}

fn failed<T>(result: Result<T, CloudError>) -> Result<T, CloudFailure> {
    result.map_err(failure)
}

async fn definition(account: &Account, arn: &str) -> Result<Option<Definition>, CloudError> {
    let found = task_definition::describe(account, arn).await?;
    Ok(found.map(|(found, _)| translated(arn, &found)))
}

fn translated(arn: &str, found: &TaskDefinition) -> Definition {
    let container = found.container_definitions().first();
    Definition {
        arn: found.task_definition_arn().unwrap_or(arn).to_owned(),
        image: container.and_then(|container| text(container.image())),
        container: container.and_then(|container| text(container.name())),
        log_prefix: container.and_then(log_prefix),
        active: found.status() == Some(&TaskDefinitionStatus::Active),
        registered: time(found.registered_at()),
        registered_by: text(found.registered_by()),
    }
}

/// What the driver `awslogs` makes of its options.
fn log_prefix(container: &ContainerDefinition) -> Option<String> {
    let options = container.log_configuration()?.options()?;
    let prefix = options.get("awslogs-stream-prefix")?;
    Some(format!("{prefix}/{}", container.name()?))
}

async fn active_definitions(account: &Account, target: &Target) -> Result<Vec<String>, CloudError> {
    // The family bears the app's name.
    let status = TaskDefinitionStatus::Active;
    let order = SortOrder::Desc;
    task_definition::revisions(account, &target.app, status, order).await
}

/// As many as AWS gives in one answer, which is newest first.
async fn deploy_actions(
    account: &Account,
    target: &Target,
) -> Result<Vec<DeployAction>, CloudError> {
    let call = account
        .codepipeline
        .list_action_executions()
        .pipeline_name(&target.pipeline)
        .max_results(100)
        .send()
        .await;
    let answer = call.said("codepipeline", "ListActionExecutions")?;
    let deploys = answer
        .action_execution_details()
        .iter()
        .filter_map(|detail| {
            let kind = detail.input()?.action_type_id()?;
            let result = detail.output()?.execution_result()?;
            Some(DeployAction {
                execution: detail.pipeline_execution_id()?.to_owned(),
                deployment: result
                    .external_execution_id()
                    .filter(|_| kind.provider() == "CodeDeployToECS")?
                    .to_owned(),
            })
        });
    Ok(deploys.collect())
}

async fn approvals(account: &Account, target: &Target) -> Result<Vec<Approval>, CloudError> {
    let call = account
        .codepipeline
        .get_pipeline_state()
        .name(&target.pipeline)
        .send()
        .await;
    let answer = call.said("codepipeline", "GetPipelineState").or_missing()?;
    let stages = answer.iter().flat_map(|answer| answer.stage_states());
    let open = stages.flat_map(|stage| {
        stage
            .action_states()
            .iter()
            .filter_map(|action| approval(stage, action))
    });
    Ok(open.collect())
}

/// Only an approval that waits has a token.
fn approval(stage: &cp::StageState, action: &cp::ActionState) -> Option<Approval> {
    let latest = action.latest_execution()?;
    let waits = latest.status() == Some(&cp::ActionExecutionStatus::InProgress);
    Some(Approval {
        stage: stage.stage_name()?.to_owned(),
        action: action.action_name()?.to_owned(),
        token: latest.token().filter(|_| waits)?.to_owned(),
        execution: stage
            .latest_execution()
            .map(|execution| execution.pipeline_execution_id().to_owned()),
        summary: text(latest.summary()).filter(|summary| !summary.is_empty()),
        since: time(latest.last_status_change()),
    })
}

async fn answer_approval(
    account: &Account,
    target: &Target,
    approval: &Approval,
    reply: &Reply,
) -> Result<(), CloudError> {
    let status = match reply.approved {
        true => cp::ApprovalStatus::Approved,
        false => cp::ApprovalStatus::Rejected,
    };
    let result = cp::ApprovalResult::builder()
        .status(status)
        .summary(reply.why.chars().take(512).collect::<String>())
        .build()
        .map_err(|error| local("InvalidRequest", error.to_string()))?;
    let call = account
        .codepipeline
        .put_approval_result()
        .pipeline_name(&target.pipeline)
        .stage_name(&approval.stage)
        .action_name(&approval.action)
        .token(&approval.token)
        .result(result)
        .send()
        .await;
    call.said("codepipeline", "PutApprovalResult").map(|_| ())
}

async fn scale(account: &Account, target: &Target, tasks: u32) -> Result<(), CloudError> {
    let call = account
        .ecs
        .update_service()
        .cluster(&target.cluster)
        .service(&target.service)
        .desired_count(i32::try_from(tasks).unwrap_or(i32::MAX))
        .send()
        .await;
    call.said("ecs", "UpdateService").map(|_| ())
}

async fn footing(account: &Account, target: &Target) -> Result<Footing, CloudError> {
    let found = service::describe(account, &target.cluster, &target.service).await?;
    let found = found.ok_or_else(|| unsaid("ecs", "DescribeServices", "service"))?;
    let primary = found
        .task_sets()
        .iter()
        .find(|set| set.status() == Some("PRIMARY"));
    let network = primary
        .and_then(|set| set.network_configuration())
        .or(found.network_configuration())
        .and_then(|network| network.awsvpc_configuration());
    let network = network.ok_or_else(|| unsaid("ecs", "DescribeServices", "network"))?;
    Ok(Footing {
        subnets: network.subnets().to_vec(),
        security_groups: network.security_groups().to_vec(),
        public_address: network.assign_public_ip() == Some(&AssignPublicIp::Enabled),
        platform_version: text(found.platform_version()),
        task_definition: text(
            primary
                .and_then(|set| set.task_definition())
                .or(found.task_definition()),
        ),
    })
}

async fn running_tasks(account: &Account, target: &Target) -> Result<Vec<Task>, CloudError> {
    let items = account
        .ecs
        .list_tasks()
        .cluster(&target.cluster)
        .service_name(&target.service)
        .desired_status(DesiredStatus::Running)
        .into_paginator()
        .items()
        .send();
    let ids = all(items).await.said("ecs", "ListTasks")?;
    let mut tasks = Vec::new();
    // At most a hundred are told at once.
    for some in ids.chunks(100) {
        tasks.extend(described(account, target, some).await?);
    }
    tasks.sort_by_key(|task| std::cmp::Reverse(task.created));
    Ok(tasks)
}

async fn task(account: &Account, target: &Target, id: &str) -> Result<Option<Task>, CloudError> {
    let found = described(account, target, &[id.to_owned()]).await?;
    Ok(found.into_iter().next())
}

/// What is unknown is left out.
async fn described(
    account: &Account,
    target: &Target,
    ids: &[String],
) -> Result<Vec<Task>, CloudError> {
    let call = account
        .ecs
        .describe_tasks()
        .cluster(&target.cluster)
        .set_tasks(Some(ids.to_vec()))
        .send()
        .await;
    let answer = call.said("ecs", "DescribeTasks")?;
    Ok(answer.tasks().iter().map(translated_task).collect())
}

fn translated_task(found: &FoundTask) -> Task {
    let containers = found.containers().iter().map(|container| {
        let mut agents = container.managed_agents().iter();
        let agent =
            agents.find(|agent| agent.name() == Some(&ManagedAgentName::ExecuteCommandAgent));
        Container {
            name: container.name().unwrap_or_default().to_owned(),
            exit_code: container.exit_code(),
            reason: text(container.reason()),
            agent: agent.and_then(|agent| text(agent.last_status())),
        }
    });
    Task {
        id: id_in(found.task_arn().unwrap_or_default()).to_owned(),
        status: found.last_status().unwrap_or_default().to_owned(),
        task_definition: text(found.task_definition_arn()),
        containers: containers.collect(),
        exec: found.enable_execute_command(),
        platform_version: text(found.platform_version()),
        created: time(found.created_at()),
        stopped_reason: text(found.stopped_reason()),
    }
}

fn id_in(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

async fn run_task(account: &Account, target: &Target, new: &NewTask) -> Result<String, CloudError> {
    let footing = &new.footing;
    let public = match footing.public_address {
        true => AssignPublicIp::Enabled,
        false => AssignPublicIp::Disabled,
    };
    let network = AwsVpcConfiguration::builder()
        .set_subnets(Some(footing.subnets.clone()))
        .set_security_groups(Some(footing.security_groups.clone()))
        .assign_public_ip(public)
        .build()
        .map_err(|error| local("InvalidRequest", error.to_string()))?;
    let command = ContainerOverride::builder()
        .name(&new.container)
        .set_command((!new.command.is_empty()).then(|| new.command.clone()));
    let overrides = TaskOverride::builder().container_overrides(command.build());
    let call = account
        .ecs
        .run_task()
        .cluster(&target.cluster)
        .task_definition(&new.task_definition)
        .launch_type(LaunchType::Fargate)
        .set_platform_version(footing.platform_version.clone())
        .network_configuration(
            NetworkConfiguration::builder()
                .awsvpc_configuration(network)
                .build(),
        )
        .overrides(overrides.build())
        .started_by("ecspipe-run")
        .client_token(&new.token)
        .count(1)
        .send()
        .await;
    let answer = call.said("ecs", "RunTask")?;
    if let Some(task) = answer.tasks().first() {
        return Ok(id_in(task.task_arn().unwrap_or_default()).to_owned());
    }
    // An answer without a task says why there is none.
    let why = answer.failures().first().map(|failure| {
        let (reason, detail) = (failure.reason().unwrap_or_default(), failure.detail());
        let detail = detail
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default();
        local("RunTask", format!("no task was started: {reason}{detail}"))
    });
    Err(why.unwrap_or_else(|| unsaid("ecs", "RunTask", "task")))
}
