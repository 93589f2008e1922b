//! The rollout's trait on an account: one method a question, translated and nothing else. Must not wait or decide.

mod before;
mod image;
mod reasons;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};

use aws_sdk_codedeploy::types as cd;
use aws_sdk_codepipeline::types as cp;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealthDescription, TargetHealthStateEnum};
use aws_smithy_types::DateTime;
use aws_smithy_types::byte_stream::ByteStream;
use ecspipe_deploy as deploy;
use ecspipe_deploy::{
    Action, AfterStop, Alarm, Answer, Build, CloudFailure, Deployment, DeploymentSummary,
    DeploymentWait, Execution, ExecutionSummary, FailingTarget, FailureKind, Fault, GroupSettings,
    Health, ImageState, LifecycleEvent, Listener, Listeners, LogEvent, LogPage, LogQuery,
    LogStream, NewDeployment, Revision, RollbackInfo, Rollouts, Routing, SHA256_METADATA,
    ServiceState, Stage, StepStatus, StoppedTask, StoredBundle, Target, TaskSet, Timestamp,
    Trigger, Which,
};
use ecspipe_provision::CloudError;
use ecspipe_provision::cloud::{APP_TAG, RESOURCE_TAG};
use ecspipe_spec::taskdef;
use futures::FutureExt as _;

use crate::classify::{OrMissing as _, Said as _, failure, local};
use crate::kinds::{service, target_group, task_definition, unrepeated, unsaid};
use crate::{Account, all};

impl Rollouts for Account {
    fn now(&self) -> Timestamp {
        self.pace.now()
    }

    fn bundle<'a>(&'a self, target: &'a Target) -> Answer<'a, Option<StoredBundle>> {
        bundle(self, target).map(failed).boxed()
    }

    fn put_bundle<'a>(
        &'a self,
        target: &'a Target,
        bytes: &'a [u8],
        sha256: &'a str,
    ) -> Answer<'a, String> {
        put_bundle(self, target, bytes, sha256).map(failed).boxed()
    }

    fn executions<'a>(
        &'a self,
        target: &'a Target,
        limit: usize,
    ) -> Answer<'a, Vec<ExecutionSummary>> {
        executions(self, target, limit).map(failed).boxed()
    }

    fn execution<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, Option<Execution>> {
        execution(self, target, id).map(failed).boxed()
    }

    fn start_execution<'a>(&'a self, target: &'a Target, token: &'a str) -> Answer<'a, String> {
        start_execution(self, target, token).map(failed).boxed()
    }

    fn stop_execution<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
        reason: &'a str,
    ) -> Answer<'a, ()> {
        stop_execution(self, target, id, reason).map(failed).boxed()
    }

    fn deployments<'a>(
        &'a self,
        target: &'a Target,
        which: Which,
        limit: usize,
    ) -> Answer<'a, Vec<DeploymentSummary>> {
        deployments(self, target, which, limit).map(failed).boxed()
    }

    fn deployment<'a>(
        &'a self,
        _target: &'a Target,
        id: &'a str,
    ) -> Answer<'a, Option<Deployment>> {
        deployment(self, id).map(failed).boxed()
    }

    fn create_deployment<'a>(
        &'a self,
        target: &'a Target,
        new: &'a NewDeployment,
    ) -> Answer<'a, String> {
        create_deployment(self, target, new).map(failed).boxed()
    }

    fn continue_deployment<'a>(
        &'a self,
        _target: &'a Target,
        id: &'a str,
        wait: DeploymentWait,
    ) -> Answer<'a, ()> {
        continue_deployment(self, id, wait).map(failed).boxed()
    }

    fn stop_deployment<'a>(
        &'a self,
        _target: &'a Target,
        id: &'a str,
        then: AfterStop,
    ) -> Answer<'a, ()> {
        stop_deployment(self, id, then).map(failed).boxed()
    }

    fn settings<'a>(&'a self, target: &'a Target) -> Answer<'a, GroupSettings> {
        settings(self, target).map(failed).boxed()
    }

    fn service<'a>(&'a self, target: &'a Target) -> Answer<'a, ServiceState> {
        service_state(self, target).boxed()
    }

    fn image<'a>(&'a self, task_definition: &'a str) -> Answer<'a, String> {
        image(self, task_definition).map(failed).boxed()
    }

    fn image_state<'a>(&'a self, image: &'a str) -> Answer<'a, Option<ImageState>> {
        before::image_state(self, image).map(failed).boxed()
    }

    fn role_exists<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        before::role_exists(self, name).map(failed).boxed()
    }

    fn register_task_definition<'a>(
        &'a self,
        target: &'a Target,
        definition: &'a serde_json::Value,
    ) -> Answer<'a, String> {
        register(self, target, definition).map(failed).boxed()
    }

    fn listeners<'a>(&'a self, target: &'a Target) -> Answer<'a, Listeners> {
        traffic::listeners(self, target).map(failed).boxed()
    }

    fn forward<'a>(
        &'a self,
        target: &'a Target,
        listener: Listener,
        target_group: &'a str,
    ) -> Answer<'a, ()> {
        traffic::forward(self, target, listener, target_group)
            .map(failed)
            .boxed()
    }

    fn delete_task_set<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, ()> {
        traffic::delete_task_set(self, target, id)
            .map(failed)
            .boxed()
    }

    fn health<'a>(&'a self, target: &'a Target) -> Answer<'a, BTreeMap<String, Health>> {
        health(self, target).map(failed).boxed()
    }

    fn stopped_tasks<'a>(
        &'a self,
        target: &'a Target,
        known: &'a BTreeSet<String>,
    ) -> Answer<'a, Vec<StoppedTask>> {
        reasons::stopped_tasks(self, target, known)
            .map(failed)
            .boxed()
    }

    fn alarms<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<Alarm>> {
        reasons::alarms(self, names).map(failed).boxed()
    }

    fn build<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Build>> {
        reasons::build(self, id).map(failed).boxed()
    }

    fn log_tail<'a>(&'a self, stream: &'a LogStream, lines: u32) -> Answer<'a, Vec<String>> {
        reasons::log_tail(self, stream, lines).map(failed).boxed()
    }

    fn log_events<'a>(&'a self, target: &'a Target, query: &'a LogQuery) -> Answer<'a, LogPage> {
        log_events(self, target, query).map(failed).boxed()
    }
}

fn failed<T>(result: Result<T, CloudError>) -> Result<T, CloudFailure> {
    result.map_err(failure)
}

pub(crate) fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok())
}

pub(crate) fn text(value: Option<&str>) -> Option<String> {
    value.map(ToOwned::to_owned)
}

async fn bundle(account: &Account, target: &Target) -> Result<Option<StoredBundle>, CloudError> {
    let call = account
        .s3
        .head_object()
        .bucket(&target.bundle_bucket)
        .key(&target.bundle_key)
        .send()
        .await;
    let answer = call.said("s3", "HeadObject").or_missing()?;
    Ok(answer.map(|answer| StoredBundle {
        version: answer.version_id().unwrap_or_default().to_owned(),
        sha256: answer
            .metadata()
            .and_then(|metadata| metadata.get(SHA256_METADATA).cloned()),
    }))
}

async fn put_bundle(
    account: &Account,
    target: &Target,
    bytes: &[u8],
    sha256: &str,
) -> Result<String, CloudError> {
    let call = account
        .s3
        .put_object()
        .bucket(&target.bundle_bucket)
        .key(&target.bundle_key)
        .content_type("application/zip")
        .metadata(SHA256_METADATA, sha256)
        .body(ByteStream::from(bytes.to_vec()));
    let answer = unrepeated!(aws_sdk_s3, call)
        .await
        .said("s3", "PutObject")?;
    answer
        .version_id()
        .map(ToOwned::to_owned)
        .ok_or_else(|| unsaid("s3", "PutObject", "version: is versioning switched on?"))
}

async fn executions(
    account: &Account,
    target: &Target,
    limit: usize,
) -> Result<Vec<ExecutionSummary>, CloudError> {
    let limit = i32::try_from(limit).unwrap_or(100).clamp(1, 100);
    let call = account
        .codepipeline
        .list_pipeline_executions()
        .pipeline_name(&target.pipeline)
        .max_results(limit)
        .send()
        .await;
    let answer = call.said("codepipeline", "ListPipelineExecutions")?;
    let mut found: Vec<ExecutionSummary> = answer
        .pipeline_execution_summaries()
        .iter()
        .map(summary)
        .collect();
    found.sort_by_key(|execution| std::cmp::Reverse(execution.started));
    Ok(found)
}

fn summary(execution: &cp::PipelineExecutionSummary) -> ExecutionSummary {
    let revision = |revision: &cp::SourceRevision| Revision {
        action: revision.action_name().to_owned(),
        id: revision.revision_id().unwrap_or_default().to_owned(),
        summary: text(revision.revision_summary()),
        url: text(revision.revision_url()),
    };
    ExecutionSummary {
        id: execution
            .pipeline_execution_id()
            .unwrap_or_default()
            .to_owned(),
        status: execution
            .status()
            .map(|status| status.as_str())
            .unwrap_or_default()
            .into(),
        started: time(execution.start_time()),
        updated: time(execution.last_update_time()),
        trigger: execution.trigger().map(trigger),
        revisions: execution.source_revisions().iter().map(revision).collect(),
    }
}

fn trigger(trigger: &cp::ExecutionTrigger) -> Trigger {
    Trigger {
        kind: trigger
            .trigger_type()
            .map(|kind| kind.as_str())
            .unwrap_or_default()
            .to_owned(),
        detail: text(trigger.trigger_detail()),
    }
}

async fn execution(
    account: &Account,
    target: &Target,
    id: &str,
) -> Result<Option<Execution>, CloudError> {
    let pipeline = &target.pipeline;
    let call = account
        .codepipeline
        .get_pipeline_execution()
        .pipeline_name(pipeline)
        .pipeline_execution_id(id)
        .send()
        .await;
    let Some(answer) = call
        .said("codepipeline", "GetPipelineExecution")
        .or_missing()?
    else {
        return Ok(None);
    };
    let Some(found) = answer.pipeline_execution() else {
        return Ok(None);
    };
    let filter = cp::ActionExecutionFilter::builder()
        .pipeline_execution_id(id)
        .build();
    let items = account
        .codepipeline
        .list_action_executions()
        .pipeline_name(pipeline)
        .filter(filter)
        .into_paginator()
        .items()
        .send();
    let mut actions = all(items)
        .await
        .said("codepipeline", "ListActionExecutions")?;
    actions.sort_by_key(|action| time(action.start_time()));
    let revisions = found.artifact_revisions().iter().map(|revision| Revision {
        action: producer(&actions, revision.name().unwrap_or_default()),
        id: revision.revision_id().unwrap_or_default().to_owned(),
        summary: text(revision.revision_summary()),
        url: text(revision.revision_url()),
    });
    Ok(Some(Execution {
        id: id.to_owned(),
        status: found
            .status()
            .map(|status| status.as_str())
            .unwrap_or_default()
            .into(),
        status_summary: text(found.status_summary()),
        trigger: found.trigger().map(trigger),
        started: actions.first().and_then(|action| time(action.start_time())),
        revisions: revisions.collect(),
        stages: stages(&actions),
    }))
}

/// The source action that wrote an artifact; the artifact's own name where that isn't said.
fn producer(actions: &[cp::ActionExecutionDetail], artifact: &str) -> String {
    let wrote = |action: &&cp::ActionExecutionDetail| {
        let outputs = action
            .output()
            .map(|output| output.output_artifacts())
            .unwrap_or_default();
        outputs.iter().any(|output| output.name() == Some(artifact))
    };
    actions
        .iter()
        .find(wrote)
        .and_then(|action| action.action_name())
        .unwrap_or(artifact)
        .to_owned()
}

/// Actions by stage, in the order in which they started; of an action that was tried again only the last run.
fn stages(details: &[cp::ActionExecutionDetail]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for detail in details {
        let name = detail.stage_name().unwrap_or_default();
        let action = action(detail);
        let index = stages
            .iter()
            .position(|stage| stage.name == name)
            .unwrap_or_else(|| {
                stages.push(Stage {
                    name: name.to_owned(),
                    status: None,
                    actions: Vec::new(),
                });
                stages.len() - 1
            });
        let actions = &mut stages[index].actions;
        match actions.iter().position(|other| other.name == action.name) {
            Some(earlier) => actions[earlier] = action,
            None => actions.push(action),
        }
    }
    for stage in &mut stages {
        stage.status = stage_status(&stage.actions);
    }
    stages
}

/// CodePipeline tells an execution's actions, not its stages: the worst of them is the stage's.
fn stage_status(actions: &[Action]) -> Option<StepStatus> {
    let any = |status: StepStatus| {
        actions
            .iter()
            .any(|action| action.status.as_ref() == Some(&status))
            .then_some(status)
    };
    any(StepStatus::Failed)
        .or_else(|| any(StepStatus::InProgress))
        .or_else(|| any(StepStatus::Abandoned))
        .or_else(|| actions.last().and_then(|action| action.status.clone()))
}

fn action(detail: &cp::ActionExecutionDetail) -> Action {
    let kind = detail.input().and_then(|input| input.action_type_id());
    let result = detail.output().and_then(|output| output.execution_result());
    let error = result.and_then(|result| result.error_details());
    Action {
        name: detail.action_name().unwrap_or_default().to_owned(),
        category: kind.map(|kind| kind.category().as_str().to_owned()),
        provider: kind.map(|kind| kind.provider().to_owned()),
        run: text(detail.action_execution_id()),
        status: detail.status().map(|status| status.as_str().into()),
        started: time(detail.start_time()),
        summary: text(result.and_then(|result| result.external_execution_summary())),
        error: error.map(|error| Fault {
            code: error.code().unwrap_or_default().to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        }),
        external_id: text(result.and_then(|result| result.external_execution_id())),
        external_url: text(result.and_then(|result| result.external_execution_url())),
    }
}

async fn start_execution(
    account: &Account,
    target: &Target,
    token: &str,
) -> Result<String, CloudError> {
    let call = account
        .codepipeline
        .start_pipeline_execution()
        .name(&target.pipeline)
        .client_request_token(token)
        .send()
        .await;
    let answer = call.said("codepipeline", "StartPipelineExecution")?;
    answer
        .pipeline_execution_id()
        .map(ToOwned::to_owned)
        .ok_or_else(|| unsaid("codepipeline", "StartPipelineExecution", "id"))
}

async fn stop_execution(
    account: &Account,
    target: &Target,
    id: &str,
    reason: &str,
) -> Result<(), CloudError> {
    let call = account
        .codepipeline
        .stop_pipeline_execution()
        .pipeline_name(&target.pipeline)
        .pipeline_execution_id(id)
        .abandon(false)
        .reason(reason.chars().take(200).collect::<String>())
        .send()
        .await;
    match call.said("codepipeline", "StopPipelineExecution") {
        Err(error) if error.code == "DuplicatedStopRequestException" => Ok(()),
        done => done.map(|_| ()),
    }
}

async fn deployments(
    account: &Account,
    target: &Target,
    which: Which,
    limit: usize,
) -> Result<Vec<DeploymentSummary>, CloudError> {
    let call = account
        .codedeploy
        .list_deployments()
        .application_name(&target.application)
        .deployment_group_name(&target.group);
    let call = match which {
        Which::All => call,
        Which::InFlight => call
            .include_only_statuses(cd::DeploymentStatus::Created)
            .include_only_statuses(cd::DeploymentStatus::Queued)
            .include_only_statuses(cd::DeploymentStatus::InProgress)
            .include_only_statuses(cd::DeploymentStatus::Ready),
    };
    // AWS promises no order, so the newest can only be told once all pages are read.
    let ids = all(call.into_paginator().items().send())
        .await
        .said("codedeploy", "ListDeployments")?;
    let mut found = Vec::new();
    for some in ids.chunks(25) {
        let call = account
            .codedeploy
            .batch_get_deployments()
            .set_deployment_ids(Some(some.to_vec()))
            .send()
            .await;
        let answer = call.said("codedeploy", "BatchGetDeployments")?;
        found.extend(answer.deployments_info().iter().map(deployment_summary));
    }
    found.sort_by_key(|deployment| std::cmp::Reverse(deployment.created));
    found.truncate(limit);
    Ok(found)
}

fn deployment_summary(info: &cd::DeploymentInfo) -> DeploymentSummary {
    DeploymentSummary {
        id: info.deployment_id().unwrap_or_default().to_owned(),
        status: info
            .status()
            .map(|status| status.as_str())
            .unwrap_or_default()
            .into(),
        creator: info.creator().map(|creator| creator.as_str().to_owned()),
        description: text(info.description()),
        task_definition: text(app_spec(info).and_then(deploy::task_definition_in)),
        created: time(info.create_time()),
        completed: time(info.complete_time()),
    }
}

fn app_spec(info: &cd::DeploymentInfo) -> Option<&str> {
    let revision = info.revision()?;
    revision
        .app_spec_content()
        .and_then(|content| content.content())
}

async fn deployment(account: &Account, id: &str) -> Result<Option<Deployment>, CloudError> {
    let call = account
        .codedeploy
        .get_deployment()
        .deployment_id(id)
        .send()
        .await;
    let Some(answer) = call.said("codedeploy", "GetDeployment").or_missing()? else {
        return Ok(None);
    };
    let Some(info) = answer.deployment_info() else {
        return Ok(None);
    };
    let (lifecycle_events, task_sets) = targets(account, id).await?;
    let summary = deployment_summary(info);
    Ok(Some(Deployment {
        id: summary.id,
        status: summary.status,
        creator: summary.creator,
        description: summary.description,
        task_definition: summary.task_definition,
        created: summary.created,
        completed: summary.completed,
        error: info.error_information().map(|error| Fault {
            code: error
                .code()
                .map(|code| code.as_str())
                .unwrap_or_default()
                .to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        }),
        rollback: info.rollback_info().map(|rollback| RollbackInfo {
            rollback_deployment: text(rollback.rollback_deployment_id()),
            triggering_deployment: text(rollback.rollback_triggering_deployment_id()),
            message: text(rollback.rollback_message()),
        }),
        termination_wait_started: info.instance_termination_wait_time_started(),
        lifecycle_events,
        task_sets,
    }))
}

/// The lifecycle events and task sets of the deployment's one target; nothing before it has started.
async fn targets(
    account: &Account,
    id: &str,
) -> Result<(Vec<LifecycleEvent>, Vec<TaskSet>), CloudError> {
    let ids = target_ids(account, id).await?;
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let call = account
        .codedeploy
        .batch_get_deployment_targets()
        .deployment_id(id)
        .set_target_ids(Some(ids))
        .send()
        .await;
    let answer = call.said("codedeploy", "BatchGetDeploymentTargets")?;
    let target = answer
        .deployment_targets()
        .iter()
        .find_map(|target| target.ecs_target());
    let events = target
        .map(|target| target.lifecycle_events())
        .unwrap_or_default()
        .iter()
        .map(lifecycle_event)
        .collect();
    let sets = target
        .map(|target| target.task_sets_info())
        .unwrap_or_default()
        .iter()
        .map(task_set)
        .collect();
    Ok((events, sets))
}

/// The ids of a deployment's targets; none before it has started.
async fn target_ids(account: &Account, id: &str) -> Result<Vec<String>, CloudError> {
    if let Some(ids) = known(account).targets.get(id) {
        return Ok(ids.clone());
    }
    let call = account
        .codedeploy
        .list_deployment_targets()
        .deployment_id(id)
        .send()
        .await;
    let ids = match call.said("codedeploy", "ListDeploymentTargets") {
        Ok(answer) => answer.target_ids().to_vec(),
        Err(error) if error.code == "DeploymentNotStartedException" => Vec::new(),
        Err(error) => return Err(error),
    };
    if !ids.is_empty() {
        known(account).targets.insert(id.to_owned(), ids.clone());
    }
    Ok(ids)
}

fn lifecycle_event(event: &cd::LifecycleEvent) -> LifecycleEvent {
    let diagnostics = event
        .diagnostics()
        .filter(|diagnostics| diagnostics.error_code() != Some(&cd::LifecycleErrorCode::Success));
    LifecycleEvent {
        name: event.lifecycle_event_name().unwrap_or_default().to_owned(),
        status: event
            .status()
            .map(|status| status.as_str())
            .unwrap_or_default()
            .into(),
        started: time(event.start_time()),
        ended: time(event.end_time()),
        diagnostics: diagnostics
            .and_then(|diagnostics| text(diagnostics.message()))
            .filter(|message| !message.is_empty()),
    }
}

fn task_set(set: &cd::EcsTaskSet) -> TaskSet {
    TaskSet {
        id: set.identifer().unwrap_or_default().to_owned(),
        label: set.task_set_label().map(|label| label.as_str().into()),
        status: set.status().map(Into::into),
        desired: set.desired_count(),
        running: set.running_count(),
        pending: set.pending_count(),
        traffic_weight: Some(set.traffic_weight()),
        target_group: text(set.target_group().and_then(|group| group.name())),
        task_definition: None,
        created: None,
    }
}

async fn create_deployment(
    account: &Account,
    target: &Target,
    new: &NewDeployment,
) -> Result<String, CloudError> {
    let content = cd::AppSpecContent::builder()
        .content(&new.app_spec)
        .sha256(&new.sha256)
        .build();
    let revision = cd::RevisionLocation::builder()
        .revision_type(cd::RevisionLocationType::AppSpecContent)
        .app_spec_content(content)
        .build();
    let call = account
        .codedeploy
        .create_deployment()
        .application_name(&target.application)
        .deployment_group_name(&target.group)
        .revision(revision)
        .description(&new.description);
    let answer = unrepeated!(aws_sdk_codedeploy, call)
        .await
        .said("codedeploy", "CreateDeployment")?;
    answer
        .deployment_id()
        .map(ToOwned::to_owned)
        .ok_or_else(|| unsaid("codedeploy", "CreateDeployment", "id"))
}

async fn continue_deployment(
    account: &Account,
    id: &str,
    wait: DeploymentWait,
) -> Result<(), CloudError> {
    let wait = match wait {
        DeploymentWait::Ready => cd::DeploymentWaitType::ReadyWait,
        DeploymentWait::Termination => cd::DeploymentWaitType::TerminationWait,
    };
    let call = account
        .codedeploy
        .continue_deployment()
        .deployment_id(id)
        .deployment_wait_type(wait);
    // Repeated after a lost answer it would be refused: the caller looks what became of it instead.
    unrepeated!(aws_sdk_codedeploy, call)
        .await
        .said("codedeploy", "ContinueDeployment")
        .map(|_| ())
}

async fn stop_deployment(account: &Account, id: &str, then: AfterStop) -> Result<(), CloudError> {
    let roll_back = then == AfterStop::RollBack;
    let call = account
        .codedeploy
        .stop_deployment()
        .deployment_id(id)
        .auto_rollback_enabled(roll_back);
    unrepeated!(aws_sdk_codedeploy, call)
        .await
        .said("codedeploy", "StopDeployment")
        .map(|_| ())
}

async fn settings(account: &Account, target: &Target) -> Result<GroupSettings, CloudError> {
    let call = account
        .codedeploy
        .get_deployment_group()
        .application_name(&target.application)
        .deployment_group_name(&target.group);
    let answer = call.send().await.said("codedeploy", "GetDeploymentGroup")?;
    let group = answer
        .deployment_group_info()
        .ok_or_else(|| unsaid("codedeploy", "GetDeploymentGroup", "group"))?;
    let blue_green = group.blue_green_deployment_configuration();
    let ready = blue_green.and_then(|configuration| configuration.deployment_ready_option());
    let waits = ready.filter(|ready| {
        ready.action_on_timeout() == Some(&cd::DeploymentReadyAction::StopDeployment)
    });
    let terminate = blue_green
        .and_then(|configuration| configuration.terminate_blue_instances_on_deployment_success());
    let rollback = group
        .auto_rollback_configuration()
        .filter(|rollback| rollback.enabled());
    let alarms = group
        .alarm_configuration()
        .filter(|alarms| alarms.enabled())
        .map(|alarms| alarms.alarms())
        .unwrap_or_default();
    Ok(GroupSettings {
        ready_wait_minutes: waits.map(|ready| i64::from(ready.wait_time_in_minutes())),
        termination_wait_minutes: terminate
            .map(|terminate| i64::from(terminate.termination_wait_time_in_minutes()))
            .unwrap_or_default(),
        routing: routing(account, group.deployment_config_name().unwrap_or_default()).await?,
        alarms: alarms
            .iter()
            .filter_map(|alarm| text(alarm.name()))
            .collect(),
        rollback_events: rollback
            .map(|rollback| {
                rollback
                    .events()
                    .iter()
                    .map(|event| event.as_str().to_owned())
                    .collect()
            })
            .unwrap_or_default(),
    })
}

async fn routing(account: &Account, config: &str) -> Result<Option<Routing>, CloudError> {
    let call = account
        .codedeploy
        .get_deployment_config()
        .deployment_config_name(config)
        .send()
        .await;
    let answer = call
        .said("codedeploy", "GetDeploymentConfig")
        .or_missing()?;
    let routing = answer
        .as_ref()
        .and_then(|answer| answer.deployment_config_info())
        .and_then(|info| info.traffic_routing_config());
    Ok(routing.and_then(|routing| match routing.r#type() {
        Some(cd::TrafficRoutingType::AllAtOnce) => Some(Routing::AllAtOnce),
        Some(cd::TrafficRoutingType::TimeBasedCanary) => {
            routing.time_based_canary().map(|canary| Routing::Canary {
                percent: canary.canary_percentage(),
                minutes: canary.canary_interval(),
            })
        }
        Some(cd::TrafficRoutingType::TimeBasedLinear) => {
            routing.time_based_linear().map(|linear| Routing::Linear {
                percent: linear.linear_percentage(),
                minutes: linear.linear_interval(),
            })
        }
        _ => None,
    }))
}

async fn service_state(account: &Account, target: &Target) -> Result<ServiceState, CloudFailure> {
    let found = service::describe(account, &target.cluster, &target.service)
        .await
        .map_err(failure)?;
    let Some(found) = found else {
        return Err(CloudFailure {
            service: "ecs".to_owned(),
            operation: "DescribeServices".to_owned(),
            code: "MISSING".to_owned(),
            message: format!(
                "there is no service {} in cluster {}",
                target.service, target.cluster
            ),
            request_id: None,
            kind: FailureKind::NotFound,
            hint: Some("make it with `ecspipe up`".to_owned()),
        });
    };
    let arns: Vec<String> = found
        .task_sets()
        .iter()
        .flat_map(|set| set.load_balancers())
        .filter_map(|balancer| text(balancer.target_group_arn()))
        .collect();
    let names = arns
        .iter()
        .map(|arn| (arn.as_str(), name_in(arn)))
        .collect::<HashMap<_, _>>();
    let sets = found.task_sets().iter().map(|set| TaskSet {
        id: set.id().unwrap_or_default().to_owned(),
        label: None,
        status: set.status().map(Into::into),
        desired: i64::from(set.computed_desired_count()),
        running: i64::from(set.running_count()),
        pending: i64::from(set.pending_count()),
        traffic_weight: None,
        target_group: set.load_balancers().first().and_then(|balancer| {
            names
                .get(balancer.target_group_arn()?)
                .map(|name| (*name).to_owned())
        }),
        task_definition: text(set.task_definition()),
        created: time(set.created_at()),
    });
    Ok(ServiceState {
        status: found.status().unwrap_or_default().to_owned(),
        created: time(found.created_at()),
        desired: i64::from(found.desired_count()),
        running: i64::from(found.running_count()),
        pending: i64::from(found.pending_count()),
        task_definition: text(found.task_definition()),
        task_sets: sets.collect(),
    })
}

/// The name in a target group's ARN: `…:targetgroup/<name>/<id>`.
fn name_in(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

async fn image(account: &Account, task_definition: &str) -> Result<String, CloudError> {
    let call = account
        .ecs
        .describe_task_definition()
        .task_definition(task_definition)
        .send()
        .await;
    let answer = call.said("ecs", "DescribeTaskDefinition")?;
    let container = answer
        .task_definition()
        .and_then(|definition| definition.container_definitions().first());
    container
        .and_then(|container| text(container.image()))
        .ok_or_else(|| unsaid("ecs", "DescribeTaskDefinition", "image"))
}

async fn register(
    account: &Account,
    target: &Target,
    definition: &serde_json::Value,
) -> Result<String, CloudError> {
    let definition: taskdef::TaskDefinition =
        serde_json::from_value(definition.clone()).map_err(|error| {
            local(
                "InvalidRequest",
                format!("the task definition is not one that ecspipe renders: {error}"),
            )
        })?;
    let tags = [
        (APP_TAG.to_owned(), target.app.clone()),
        (RESOURCE_TAG.to_owned(), "task-definition/main".to_owned()),
    ];
    let tags = crate::tags::list!(aws_sdk_ecs::types::Tag, tags);
    task_definition::register(account, &definition, tags).await
}

/// What doesn't change while a rollout is followed, asked for once: a poll every few seconds need not ask for it again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The ARN of a load balancer, by its name.
    balancers: BTreeMap<String, String>,
    /// The ARN of a target group, by its name.
    groups: BTreeMap<String, String>,
    /// The ids of a deployment's targets, by its id.
    targets: BTreeMap<String, Vec<String>>,
}

fn known(account: &Account) -> MutexGuard<'_, Known> {
    account.known.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn health(
    account: &Account,
    target: &Target,
) -> Result<BTreeMap<String, Health>, CloudError> {
    let groups = groups(account, target).await?;
    let each = groups.into_iter().map(|(name, arn)| async move {
        let found = target_group::health(account, &arn).await?;
        if found.is_none() {
            known(account).groups.remove(&name);
        }
        let found = found.unwrap_or_default();
        let mut failing: Vec<FailingTarget> = found.iter().filter_map(failing_target).collect();
        // AWS gives them in no order.
        failing.sort_by(|one, other| one.target.cmp(&other.target));
        let states: Vec<_> = found
            .iter()
            .filter_map(|target| target.target_health().and_then(|health| health.state()))
            .collect();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let healthy = states
            .iter()
            .filter(|state| ***state == TargetHealthStateEnum::Healthy)
            .count();
        let total = states
            .iter()
            .filter(|state| {
                ![
                    TargetHealthStateEnum::Draining,
                    TargetHealthStateEnum::Unused,
                ]
                .contains(state)
            })
            .count();
        Ok::<_, CloudError>((
            name,
            Health {
                healthy: count(healthy),
                total: count(total),
                failing,
            },
        ))
    });
    Ok(futures::future::try_join_all(each)
        .await?
        .into_iter()
        .collect())
}

/// Those of both target groups that exist, with their ARNs.
async fn groups(
    account: &Account,
    target: &Target,
) -> Result<BTreeMap<String, String>, CloudError> {
    let names = &target.target_groups;
    let mut have = known(account).groups.clone();
    have.retain(|name, _| names.contains(name));
    if have.len() == names.len() {
        return Ok(have);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = target_group::describe(account, &names).await?;
    let arns: BTreeMap<String, String> = found
        .iter()
        .filter_map(|group| Some((group.target_group_name()?, group.target_group_arn()?)))
        .map(|(name, arn)| (name.to_owned(), arn.to_owned()))
        .collect();
    known(account).groups.extend(arns.clone());
    Ok(arns)
}

/// A target that fails its health check; `None` for any other.
fn failing_target(target: &TargetHealthDescription) -> Option<FailingTarget> {
    let health = target.target_health()?;
    if health.state() != Some(&TargetHealthStateEnum::Unhealthy) {
        return None;
    }
    let address = target.target()?;
    let id = address.id().unwrap_or_default();
    Some(FailingTarget {
        target: match address.port() {
            Some(port) => format!("{id}:{port}"),
            None => id.to_owned(),
        },
        reason: health
            .reason()
            .map(|reason| reason.as_str())
            .unwrap_or_default()
            .to_owned(),
        description: text(health.description()),
    })
}

async fn log_events(
    account: &Account,
    target: &Target,
    query: &LogQuery,
) -> Result<LogPage, CloudError> {
    let call = account
        .logs
        .filter_log_events()
        .log_group_name(&target.log_group)
        .set_start_time(query.since.map(Timestamp::as_millisecond))
        .set_filter_pattern(query.filter.clone())
        .set_log_stream_names(query.stream.clone().map(|stream| vec![stream]))
        .set_next_token(query.token.clone())
        .set_limit(query.limit.and_then(|limit| i32::try_from(limit).ok()))
        .send()
        .await;
    let answer = call.said("logs", "FilterLogEvents")?;
    let event = |event: &aws_sdk_cloudwatchlogs::types::FilteredLogEvent| {
        Some(LogEvent {
            id: event.event_id()?.to_owned(),
            at: Timestamp::from_millisecond(event.timestamp()?).ok()?,
            stream: event.log_stream_name().unwrap_or_default().to_owned(),
            message: event.message().unwrap_or_default().trim_end().to_owned(),
        })
    };
    Ok(LogPage {
        events: answer.events().iter().filter_map(event).collect(),
        token: text(answer.next_token()),
    })
}
