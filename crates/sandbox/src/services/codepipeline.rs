//! CodePipeline: pipelines, and executions as the API shows them. What an execution does is `crate::pipeline`; which
//! declarations are legal is `declaration`. Must not run an action.

pub(crate) mod declaration;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::declaration::Declaration;
use crate::clock::{self, Millis};
use crate::pipeline::{self, Trigger};
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Region, Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "CreatePipeline",
    "DeletePipeline",
    "DisableStageTransition",
    "EnableStageTransition",
    "GetPipeline",
    "GetPipelineExecution",
    "GetPipelineState",
    "ListActionExecutions",
    "ListPipelineExecutions",
    "ListPipelines",
    "ListTagsForResource",
    "PutApprovalResult",
    "RetryStageExecution",
    "StartPipelineExecution",
    "StopPipelineExecution",
    "TagResource",
    "UntagResource",
    "UpdatePipeline",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) pipelines: BTreeMap<String, Pipeline>,
}

/// One pipeline with its executions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pipeline {
    /// Every declaration so far; version 1 is the first.
    pub(crate) versions: Vec<Value>,
    created: Millis,
    updated: Millis,
    pub(crate) tags: Tags,
    /// The stages whose way in is closed.
    pub(crate) closed: BTreeMap<String, Closed>,
    /// Oldest first.
    pub(crate) executions: Vec<Execution>,
    /// Which execution a `clientRequestToken` started.
    tokens: BTreeMap<String, String>,
}

/// A disabled transition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Closed {
    reason: String,
    by: String,
    at: Millis,
}

/// One execution.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) version: usize,
    pub(crate) trigger: Trigger,
    pub(crate) started: Millis,
    pub(crate) updated: Millis,
    pub(crate) status: Status,
    pub(crate) summary: Option<String>,
    pub(crate) stop_reason: Option<String>,
    /// The stage that it is in, or waits to enter.
    pub(crate) stage: usize,
    /// Whether it is in that stage, by which it keeps others out.
    pub(crate) inside: bool,
    /// The stages that it entered.
    pub(crate) stages: BTreeMap<String, StageRun>,
    pub(crate) actions: Vec<ActionExecution>,
    pub(crate) artifacts: BTreeMap<String, Location>,
    pub(crate) revisions: BTreeMap<String, Revision>,
    /// Output variables by namespace.
    pub(crate) variables: BTreeMap<String, BTreeMap<String, String>>,
    /// Revisions that the caller asked for, by source action: (type, value).
    pub(crate) asked: BTreeMap<String, (String, String)>,
}

/// How an execution stands. The names are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    InProgress,
    Stopping,
    Stopped,
    Succeeded,
    Superseded,
    Cancelled,
    Failed,
}

/// An execution's time in a stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StageRun {
    pub(crate) entered: Millis,
    pub(crate) status: Status,
    /// How often it was retried by hand.
    pub(crate) retries: u32,
}

/// Where an artifact lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// What a source action found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) artifact: String,
    pub(crate) id: String,
    pub(crate) summary: String,
    pub(crate) url: String,
    pub(crate) at: Millis,
}

/// One run of an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ActionExecution {
    pub(crate) id: String,
    pub(crate) stage: String,
    pub(crate) action: String,
    pub(crate) started: Millis,
    pub(crate) updated: Millis,
    pub(crate) status: ActionStatus,
    pub(crate) summary: Option<String>,
    /// Build id, deployment id, revision id.
    pub(crate) external_id: Option<String>,
    pub(crate) external_url: Option<String>,
    /// Code and message.
    pub(crate) error: Option<(String, String)>,
    /// What an approval is answered with.
    pub(crate) token: Option<String>,
    /// When a source is done, or an approval runs out.
    pub(crate) due: Option<Millis>,
    /// The configuration with its variables replaced.
    pub(crate) configuration: BTreeMap<String, String>,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<(String, Location)>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) updated_by: String,
    /// A retry began another run of this action.
    pub(crate) retried: bool,
}

/// How an action stands. The names are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ActionStatus {
    InProgress,
    Abandoned,
    Succeeded,
    Failed,
}

impl Status {
    /// Whether the execution goes on.
    pub(crate) fn active(self) -> bool {
        matches!(self, Self::InProgress | Self::Stopping)
    }
}

impl Pipeline {
    /// The declaration of a version; the newest where there is no such version.
    pub(crate) fn declaration(&self, version: usize) -> Option<Declaration> {
        let value = self
            .versions
            .get(version.wrapping_sub(1))
            .or(self.versions.last())?;
        serde_json::from_value(value.clone()).ok()
    }

    pub(crate) fn version(&self) -> usize {
        self.versions.len()
    }
}

/// The tags of a pipeline.
pub(crate) fn tags(region: &Region, name: &str) -> Option<Tags> {
    Some(region.codepipeline.pipelines.get(name)?.tags.clone())
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "CreatePipeline" => create_pipeline(world, call),
        "DeletePipeline" => delete_pipeline(world, call),
        "DisableStageTransition" => disable_stage_transition(world, call),
        "EnableStageTransition" => enable_stage_transition(world, call),
        "GetPipeline" => get_pipeline(world, call),
        "GetPipelineExecution" => get_pipeline_execution(world, call),
        "GetPipelineState" => get_pipeline_state(world, call),
        "ListActionExecutions" => list_action_executions(world, call),
        "ListPipelineExecutions" => list_pipeline_executions(world, call),
        "ListPipelines" => list_pipelines(world, call),
        "ListTagsForResource" => list_tags_for_resource(world, call),
        "PutApprovalResult" => put_approval_result(world, call),
        "RetryStageExecution" => retry_stage_execution(world, call),
        "StartPipelineExecution" => start_pipeline_execution(world, call),
        "StopPipelineExecution" => stop_pipeline_execution(world, call),
        "TagResource" => tag_resource(world, call),
        "UntagResource" => untag_resource(world, call),
        "UpdatePipeline" => update_pipeline(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Creates the pipeline and, as CodePipeline does, starts it at once: without a commit in the source that execution fails.
fn create_pipeline(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let declared = call.input.get("pipeline").cloned().unwrap_or_default();
    let name = declared.text("name").unwrap_or_default().to_owned();
    let tags = tags_given(call)?;
    let mut value = declaration::check(world, call, &declared)?;
    if world
        .at(&call.region)
        .codepipeline
        .pipelines
        .contains_key(&name)
    {
        let message = format!(
            "A pipeline with the name '{name}' already exists in account '{}'",
            world.account
        );
        return Err(Fault::new("PipelineNameInUseException", message));
    }
    value["version"] = json!(1);
    let now = world.now;
    let pipeline = Pipeline {
        versions: vec![value.clone()],
        created: now,
        updated: now,
        tags: tags.clone(),
        closed: BTreeMap::new(),
        executions: Vec::new(),
        tokens: BTreeMap::new(),
    };
    world
        .at(&call.region)
        .codepipeline
        .pipelines
        .insert(name.clone(), pipeline);
    let trigger = Trigger {
        kind: "CreatePipeline".to_owned(),
        detail: caller(world, call),
    };
    pipeline::start(world, &call.region, &name, &trigger);
    Ok(Reply::Value(
        json!({ "pipeline": value, "tags": tag_list(&tags) }),
    ))
}

fn update_pipeline(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let declared = call.input.get("pipeline").cloned().unwrap_or_default();
    let name = declared.text("name").unwrap_or_default().to_owned();
    // AWS knows no PipelineNotFoundException here.
    if !world
        .at(&call.region)
        .codepipeline
        .pipelines
        .contains_key(&name)
    {
        return Err(Fault::new(
            "InvalidStructureException",
            not_found(world, &name).message,
        ));
    }
    let mut value = declaration::check(world, call, &declared)?;
    let now = world.now;
    let pipeline = find(world, &call.region, &name)?;
    value["version"] = json!(pipeline.version() + 1);
    pipeline.versions.push(value.clone());
    pipeline.updated = now;
    Ok(Reply::Value(json!({ "pipeline": value })))
}

/// Deleting what isn't there is no error.
fn delete_pipeline(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "name")?;
    world.at(&call.region).codepipeline.pipelines.remove(name);
    Ok(Reply::Value(Value::Null))
}

fn get_pipeline(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "name")?;
    let arn = world.arn("codepipeline", &call.region, name);
    let pipeline = find(world, &call.region, name)?;
    let version = call
        .input
        .int("version")
        .and_then(|version| usize::try_from(version).ok())
        .unwrap_or(pipeline.version());
    let value = pipeline
        .versions
        .get(version.wrapping_sub(1))
        .ok_or_else(|| {
            Fault::new(
                "PipelineVersionNotFoundException",
                format!("The pipeline {name} has no version {version}"),
            )
        })?;
    let metadata = json!({
        "pipelineArn": arn,
        "created": clock::seconds(pipeline.created),
        "updated": clock::seconds(pipeline.updated),
    });
    Ok(Reply::Value(
        json!({ "pipeline": value, "metadata": metadata }),
    ))
}

fn list_pipelines(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let summary = |(name, pipeline): (&String, &Pipeline)| {
        let declared = pipeline.versions.last().cloned().unwrap_or_default();
        json!({
            "name": name,
            "version": pipeline.version(),
            "pipelineType": declared.text("pipelineType"),
            "executionMode": declared.text("executionMode"),
            "created": clock::seconds(pipeline.created),
            "updated": clock::seconds(pipeline.updated),
        })
    };
    let all: Vec<Value> = world
        .at(&call.region)
        .codepipeline
        .pipelines
        .iter()
        .map(summary)
        .collect();
    listing(call, "pipelines", &all, 1000)
}

fn start_pipeline_execution(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "name")?.to_owned();
    let pipeline = find(world, &call.region, &name)?;
    let token = call.input.text("clientRequestToken").map(ToOwned::to_owned);
    if let Some(id) = token.as_ref().and_then(|token| pipeline.tokens.get(token)) {
        return Ok(Reply::Value(json!({ "pipelineExecutionId": id })));
    }
    let declared = pipeline.declaration(pipeline.version()).unwrap_or_default();
    let asked = asked_revisions(call, &declared)?;
    let variables = pipeline_variables(call, &declared)?;
    let trigger = Trigger {
        kind: "StartPipelineExecution".to_owned(),
        detail: caller(world, call),
    };
    let id = pipeline::start(world, &call.region, &name, &trigger)
        .ok_or_else(|| not_found(world, &name))?;
    let pipeline = find(world, &call.region, &name)?;
    if let Some(execution) = pipeline.executions.last_mut() {
        execution.asked = asked;
        execution
            .variables
            .entry("variables".to_owned())
            .or_default()
            .extend(variables);
    }
    if let Some(token) = token {
        pipeline.tokens.insert(token, id.clone());
    }
    Ok(Reply::Value(json!({ "pipelineExecutionId": id })))
}

/// The source revisions that the caller wants instead of the newest.
fn asked_revisions(
    call: &Call,
    declared: &Declaration,
) -> Result<BTreeMap<String, (String, String)>, Fault> {
    let mut asked = BTreeMap::new();
    for revision in call.input.list("sourceRevisions") {
        let (action, kind, value) = (
            revision.need("actionName")?,
            revision.need("revisionType")?,
            revision.need("revisionValue")?,
        );
        if !matches!(kind, "COMMIT_ID" | "S3_OBJECT_VERSION_ID") {
            return Err(invalid(format!(
                "the ecspipe sandbox has no source revision of type {kind}"
            )));
        }
        if !declared
            .stages
            .iter()
            .flat_map(|stage| &stage.actions)
            .any(|a| a.name == action && a.action_type_id.category == "Source")
        {
            return Err(invalid(format!(
                "The pipeline has no source action with the name {action}"
            )));
        }
        asked.insert(action.to_owned(), (kind.to_owned(), value.to_owned()));
    }
    Ok(asked)
}

/// The values of the pipeline's own variables that the caller gives.
fn pipeline_variables(
    call: &Call,
    declared: &Declaration,
) -> Result<BTreeMap<String, String>, Fault> {
    let given = call.input.pairs("variables", "name", "value");
    match given.keys().find(|name| {
        !declared
            .variables
            .iter()
            .any(|variable| variable.name == **name)
    }) {
        Some(unknown) => Err(invalid(format!(
            "The pipeline has no variable with the name {unknown}"
        ))),
        None => Ok(given),
    }
}

fn stop_pipeline_execution(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, id) = (
        needed(call, "pipelineName")?.to_owned(),
        needed(call, "pipelineExecutionId")?.to_owned(),
    );
    let abandon = call.input.flag("abandon").unwrap_or(false);
    let pipeline = find(world, &call.region, &name)?;
    let execution = pipeline
        .executions
        .iter_mut()
        .find(|execution| execution.id == id);
    let stoppable = |why: String| Fault::new("PipelineExecutionNotStoppableException", why);
    let execution = execution.ok_or_else(|| {
        stoppable(format!(
            "There is no pipeline execution {id} of the pipeline {name}"
        ))
    })?;
    match execution.status {
        Status::InProgress => {}
        Status::Stopping if abandon => {}
        Status::Stopping => {
            let message =
                format!("The pipeline execution {id} has already been requested to be stopped.");
            return Err(Fault::new("DuplicatedStopRequestException", message));
        }
        _ => {
            return Err(stoppable(format!(
                "The pipeline execution {id} is not in progress and cannot be stopped"
            )));
        }
    }
    execution.status = Status::Stopping;
    execution.stop_reason = Some(call.input.text("reason").unwrap_or_default().to_owned());
    pipeline::stop(world, &call.region, &name, &id, abandon);
    Ok(Reply::Value(json!({ "pipelineExecutionId": id })))
}

fn retry_stage_execution(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, stage) = (
        needed(call, "pipelineName")?.to_owned(),
        needed(call, "stageName")?.to_owned(),
    );
    let id = needed(call, "pipelineExecutionId")?.to_owned();
    let all = match needed(call, "retryMode")? {
        "ALL_ACTIONS" => true,
        "FAILED_ACTIONS" => false,
        other => return Err(invalid(format!("{other} is not a retry mode"))),
    };
    let pipeline = find(world, &call.region, &name)?;
    check_stage(pipeline, &stage)?;
    let latest = latest_in_stage(pipeline, &stage).map(|execution| execution.id.clone());
    let version = pipeline.version();
    let execution = pipeline
        .executions
        .iter()
        .find(|execution| execution.id == id);
    let refuse = |why: &str| Err(Fault::new("StageNotRetryableException", why));
    let Some(execution) = execution else {
        return refuse("The stage has no such pipeline execution");
    };
    if execution.version != version {
        return refuse("The pipeline structure changed since the pipeline execution");
    }
    if !execution
        .stages
        .get(&stage)
        .is_some_and(|run| matches!(run.status, Status::Failed | Status::Stopped))
    {
        return refuse("The stage has not failed in this pipeline execution");
    }
    if latest.as_deref() != Some(&id) {
        let message = "The stage has a later pipeline execution, so this one cannot be retried";
        return Err(Fault::new("NotLatestPipelineExecutionException", message));
    }
    pipeline::retry(world, &call.region, &name, &id, &stage, all);
    Ok(Reply::Value(json!({ "pipelineExecutionId": id })))
}

fn disable_stage_transition(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, stage) = transition(call)?;
    let reason = needed(call, "reason")?.to_owned();
    let closed = Closed {
        reason,
        by: caller(world, call),
        at: world.now,
    };
    let pipeline = find(world, &call.region, &name)?;
    check_stage(pipeline, &stage)?;
    pipeline.closed.insert(stage, closed);
    Ok(Reply::Value(Value::Null))
}

fn enable_stage_transition(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, stage) = transition(call)?;
    let pipeline = find(world, &call.region, &name)?;
    check_stage(pipeline, &stage)?;
    pipeline.closed.remove(&stage);
    pipeline::nudge(world, &call.region, &name);
    Ok(Reply::Value(Value::Null))
}

fn transition(call: &Call) -> Result<(String, String), Fault> {
    let (name, stage) = (
        needed(call, "pipelineName")?.to_owned(),
        needed(call, "stageName")?.to_owned(),
    );
    match needed(call, "transitionType")? {
        "Inbound" => Ok((name, stage)),
        "Outbound" => Err(invalid(
            "the ecspipe sandbox has transitions of type Inbound only; close the next stage's way in",
        )),
        other => Err(invalid(format!("{other} is not a transition type"))),
    }
}

fn put_approval_result(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, stage) = (
        needed(call, "pipelineName")?.to_owned(),
        needed(call, "stageName")?.to_owned(),
    );
    let (action, token) = (
        needed(call, "actionName")?.to_owned(),
        needed(call, "token")?.to_owned(),
    );
    let result = call.input.get("result").cloned().unwrap_or_default();
    let summary = result.text("summary").unwrap_or_default().to_owned();
    let approved = match result.text("status") {
        Some("Approved") => true,
        Some("Rejected") => false,
        other => {
            return Err(invalid(format!(
                "{} is not an approval status",
                other.unwrap_or_default()
            )));
        }
    };
    if summary.chars().count() > 512 {
        return Err(invalid("The summary must be at most 512 characters long"));
    }
    let (by, now) = (caller(world, call), world.now);
    let pipeline = find(world, &call.region, &name)?;
    check_stage(pipeline, &stage)?;
    let declared = pipeline.declaration(pipeline.version()).unwrap_or_default();
    let known = declared
        .stages
        .iter()
        .filter(|s| s.name == stage)
        .flat_map(|s| &s.actions)
        .any(|a| a.name == action);
    if !known {
        return Err(Fault::new(
            "ActionNotFoundException",
            format!("The stage {stage} has no action {action}"),
        ));
    }
    let all = pipeline
        .executions
        .iter_mut()
        .flat_map(|execution| &mut execution.actions);
    let run = all.into_iter().find(|run| {
        run.stage == stage && run.action == action && run.token.as_deref() == Some(&token)
    });
    let run = run.ok_or_else(|| {
        Fault::new(
            "InvalidApprovalTokenException",
            "The approval token is not valid",
        )
    })?;
    if run.status != ActionStatus::InProgress {
        return Err(Fault::new(
            "ApprovalAlreadyCompletedException",
            "The approval action has already been approved or rejected.",
        ));
    }
    run.status = if approved {
        ActionStatus::Succeeded
    } else {
        ActionStatus::Failed
    };
    run.summary = Some(summary.clone()).filter(|summary| !summary.is_empty());
    run.updated = now;
    run.updated_by = by;
    if !approved {
        run.error = Some(("JobFailed".to_owned(), format!("Rejected: {summary}")));
    }
    pipeline::nudge(world, &call.region, &name);
    Ok(Reply::Value(json!({ "approvedAt": clock::seconds(now) })))
}

fn get_pipeline_execution(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (name, id) = (
        needed(call, "pipelineName")?.to_owned(),
        needed(call, "pipelineExecutionId")?.to_owned(),
    );
    let pipeline = find(world, &call.region, &name)?;
    let execution = pipeline
        .executions
        .iter()
        .find(|execution| execution.id == id)
        .ok_or_else(|| execution_not_found(&id))?;
    let revision = |revision: &Revision| {
        json!({
            "name": revision.artifact,
            "revisionId": revision.id,
            "revisionSummary": revision.summary,
            "revisionUrl": revision.url,
            "created": clock::seconds(revision.at),
        })
    };
    let variables = execution.variables.get("variables").into_iter().flatten();
    let mut answer = json!({
        "pipelineName": name,
        "pipelineVersion": execution.version,
        "pipelineExecutionId": execution.id,
        "status": execution.status,
        "artifactRevisions": execution.revisions.values().map(revision).collect::<Vec<_>>(),
        "variables": variables.map(|(name, value)| json!({ "name": name, "resolvedValue": value })).collect::<Vec<_>>(),
        "trigger": trigger_value(&execution.trigger),
        "executionMode": mode(pipeline, execution.version),
        "executionType": "STANDARD",
    });
    if let Some(summary) = &execution.summary {
        answer["statusSummary"] = json!(summary);
    }
    Ok(Reply::Value(json!({ "pipelineExecution": answer })))
}

/// Newest first.
fn list_pipeline_executions(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "pipelineName")?.to_owned();
    let stage = call
        .input
        .get("filter")
        .and_then(|filter| filter.get("succeededInStage"))
        .and_then(|stage| stage.text("stageName"));
    let pipeline = find(world, &call.region, &name)?;
    let passed = |execution: &&Execution| {
        stage.is_none_or(|stage| {
            execution
                .stages
                .get(stage)
                .is_some_and(|run| run.status == Status::Succeeded)
        })
    };
    let all: Vec<Value> = pipeline
        .executions
        .iter()
        .rev()
        .filter(passed)
        .map(|execution| execution_summary(pipeline, execution))
        .collect();
    listing(call, "pipelineExecutionSummaries", &all, 100)
}

fn execution_summary(pipeline: &Pipeline, execution: &Execution) -> Value {
    let revision = |(action, revision): (&String, &Revision)| {
        json!({
            "actionName": action,
            "revisionId": revision.id,
            "revisionSummary": revision.summary,
            "revisionUrl": revision.url,
        })
    };
    let mut answer = json!({
        "pipelineExecutionId": execution.id,
        "status": execution.status,
        "startTime": clock::seconds(execution.started),
        "lastUpdateTime": clock::seconds(execution.updated),
        "sourceRevisions": execution.revisions.iter().map(revision).collect::<Vec<_>>(),
        "trigger": trigger_value(&execution.trigger),
        "executionMode": mode(pipeline, execution.version),
        "executionType": "STANDARD",
    });
    if let Some(summary) = &execution.summary {
        answer["statusSummary"] = json!(summary);
    }
    if let Some(reason) = &execution.stop_reason {
        answer["stopTrigger"] = json!({ "reason": reason });
    }
    answer
}

fn get_pipeline_state(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "name")?.to_owned();
    let pipeline = find(world, &call.region, &name)?;
    let declared = pipeline.declaration(pipeline.version()).unwrap_or_default();
    let stages: Vec<Value> = declared
        .stages
        .iter()
        .map(|stage| stage_state(pipeline, &declared, stage))
        .collect();
    Ok(Reply::Value(json!({
        "pipelineName": name,
        "pipelineVersion": pipeline.version(),
        "stageStates": stages,
        "created": clock::seconds(pipeline.created),
        "updated": clock::seconds(pipeline.updated),
    })))
}

fn stage_state(pipeline: &Pipeline, declared: &Declaration, stage: &declaration::Stage) -> Value {
    let actions: Vec<Value> = stage
        .actions
        .iter()
        .map(|action| action_state(pipeline, &stage.name, action))
        .collect();
    let mut answer = json!({
        "stageName": stage.name,
        "inboundTransitionState": transition_state(pipeline, &stage.name),
        "actionStates": actions,
    });
    if let Some(execution) = latest_in_stage(pipeline, &stage.name) {
        let run = execution.stages.get(&stage.name);
        let status = run.map_or(Status::InProgress, |run| run.status);
        answer["latestExecution"] =
            json!({ "pipelineExecutionId": execution.id, "status": status, "type": "STANDARD" });
        if let Some(retries) = run.map(|run| run.retries).filter(|retries| *retries > 0) {
            answer["retryStageMetadata"] = json!({ "manualStageRetryAttempt": retries, "latestRetryTrigger": "ManualStageRetry" });
        }
    }
    let waits = |execution: &&Execution| {
        execution.status == Status::InProgress
            && !execution.inside
            && declared
                .stages
                .get(execution.stage)
                .is_some_and(|next| next.name == stage.name)
    };
    let waiting: Vec<Value> = pipeline
        .executions
        .iter()
        .filter(waits)
        .map(inbound)
        .collect();
    if let Some(first) = waiting.first().cloned() {
        answer["inboundExecution"] = first;
        answer["inboundExecutions"] = json!(waiting);
    }
    answer
}

fn inbound(execution: &Execution) -> Value {
    json!({ "pipelineExecutionId": execution.id, "status": execution.status, "type": "STANDARD" })
}

fn transition_state(pipeline: &Pipeline, stage: &str) -> Value {
    match pipeline.closed.get(stage) {
        None => json!({ "enabled": true }),
        Some(closed) => json!({
            "enabled": false,
            "lastChangedBy": closed.by,
            "lastChangedAt": clock::seconds(closed.at),
            "disabledReason": closed.reason,
        }),
    }
}

/// An action as its newest run in any execution shows it.
fn action_state(pipeline: &Pipeline, stage: &str, action: &declaration::Action) -> Value {
    let mut answer = json!({ "actionName": action.name });
    let runs = pipeline
        .executions
        .iter()
        .flat_map(|execution| execution.actions.iter().map(move |run| (execution, run)));
    let latest = runs
        .filter(|(_, run)| run.stage == stage && run.action == action.name)
        .max_by_key(|(_, run)| run.started);
    let Some((execution, run)) = latest else {
        return answer;
    };
    answer["latestExecution"] = run_value(run);
    if let Some(revision) = execution.revisions.get(&action.name) {
        answer["revisionUrl"] = json!(revision.url);
        answer["currentRevision"] = json!({
            "revisionId": revision.id,
            "revisionChangeId": revision.id.chars().take(100).collect::<String>(),
            "created": clock::seconds(revision.at),
        });
    }
    answer
}

fn run_value(run: &ActionExecution) -> Value {
    let mut answer = json!({
        "actionExecutionId": run.id,
        "status": run.status,
        "lastStatusChange": clock::seconds(run.updated),
        "lastUpdatedBy": run.updated_by,
    });
    let token = run
        .token
        .as_ref()
        .filter(|_| run.status == ActionStatus::InProgress);
    let optional = [
        ("summary", run.summary.as_ref()),
        ("token", token),
        ("externalExecutionId", run.external_id.as_ref()),
        ("externalExecutionUrl", run.external_url.as_ref()),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            answer[member] = json!(value);
        }
    }
    if let Some((code, message)) = &run.error {
        answer["errorDetails"] = json!({ "code": code, "message": message });
    }
    answer
}

/// Newest first.
fn list_action_executions(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "pipelineName")?.to_owned();
    let region = call.region.clone();
    let pipeline = find(world, &region, &name)?;
    let filter = call.input.get("filter").cloned().unwrap_or_default();
    let latest = filter
        .get("latestInPipelineExecution")
        .cloned()
        .unwrap_or_default();
    let wanted = filter
        .text("pipelineExecutionId")
        .or(latest.text("pipelineExecutionId"));
    if let Some(wanted) = wanted
        && !pipeline
            .executions
            .iter()
            .any(|execution| execution.id == wanted)
    {
        return Err(execution_not_found(wanted));
    }
    let only_latest = latest.text("startTimeRange") == Some("Latest");
    let mut all = Vec::new();
    for execution in pipeline
        .executions
        .iter()
        .rev()
        .filter(|execution| wanted.is_none_or(|wanted| execution.id == wanted))
    {
        let declared = pipeline.declaration(execution.version).unwrap_or_default();
        let runs = execution
            .actions
            .iter()
            .rev()
            .filter(|run| !(only_latest && run.retried));
        all.extend(runs.map(|run| run_details(&region, execution, &declared, run)));
    }
    listing(call, "actionExecutionDetails", &all, 100)
}

fn run_details(
    region: &str,
    execution: &Execution,
    declared: &Declaration,
    run: &ActionExecution,
) -> Value {
    let place = |name: &str, location: &Location| json!({ "name": name, "s3location": { "bucket": location.bucket, "key": location.key } });
    let inputs = run
        .inputs
        .iter()
        .filter_map(|name| Some(place(name, execution.artifacts.get(name)?)));
    let mut input = json!({
        "resolvedConfiguration": run.configuration,
        "region": region,
        "inputArtifacts": inputs.collect::<Vec<_>>(),
    });
    let action = declared
        .stages
        .iter()
        .filter(|stage| stage.name == run.stage)
        .flat_map(|stage| &stage.actions);
    if let Some(action) = action.into_iter().find(|action| action.name == run.action) {
        input["actionTypeId"] = json!(action.action_type_id);
        input["configuration"] = json!(action.configuration);
        for (member, value) in [
            ("namespace", &action.namespace),
            ("roleArn", &action.role_arn),
        ] {
            if let Some(value) = value {
                input[member] = json!(value);
            }
        }
    }
    let mut result = json!({});
    let optional = [
        ("externalExecutionId", &run.external_id),
        ("externalExecutionSummary", &run.summary),
        ("externalExecutionUrl", &run.external_url),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            result[member] = json!(value);
        }
    }
    if let Some((code, message)) = &run.error {
        result["errorDetails"] = json!({ "code": code, "message": message });
    }
    json!({
        "pipelineExecutionId": execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": execution.version,
        "stageName": run.stage,
        "actionName": run.action,
        "startTime": clock::seconds(run.started),
        "lastUpdateTime": clock::seconds(run.updated),
        "updatedBy": run.updated_by,
        "status": run.status,
        "input": input,
        "output": {
            "outputArtifacts": run.outputs.iter().map(|(name, location)| place(name, location)).collect::<Vec<_>>(),
            "executionResult": result,
            "outputVariables": run.variables,
        },
    })
}

fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = tags_given(call)?;
    let name = resource_name(world, call)?;
    let pipeline = resource(world, call, &name)?;
    let mut all = pipeline.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            format!("The tags limit for {name} has been exceeded"),
        ));
    }
    pipeline.tags = all;
    Ok(Reply::Value(json!({})))
}

fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("tagKeys");
    let name = resource_name(world, call)?;
    resource(world, call, &name)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

fn list_tags_for_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = resource_name(world, call)?;
    let tags = tag_list(&resource(world, call, &name)?.tags);
    listing(call, "tags", &tags, 100)
}

/// The execution that entered the stage last.
pub(crate) fn latest_in_stage<'a>(pipeline: &'a Pipeline, stage: &str) -> Option<&'a Execution> {
    let entered = pipeline
        .executions
        .iter()
        .filter_map(|execution| Some((execution, execution.stages.get(stage)?.entered)));
    entered
        .max_by_key(|(_, entered)| *entered)
        .map(|(execution, _)| execution)
}

fn find<'a>(world: &'a mut World, region: &str, name: &str) -> Result<&'a mut Pipeline, Fault> {
    let missing = not_found(world, name);
    world
        .at(region)
        .codepipeline
        .pipelines
        .get_mut(name)
        .ok_or(missing)
}

fn not_found(world: &World, name: &str) -> Fault {
    let message = format!(
        "Account '{}' does not have a pipeline with name '{name}'",
        world.account
    );
    Fault::new("PipelineNotFoundException", message)
}

fn execution_not_found(id: &str) -> Fault {
    Fault::new(
        "PipelineExecutionNotFoundException",
        format!("The pipeline execution {id} does not exist"),
    )
}

fn check_stage(pipeline: &Pipeline, stage: &str) -> Result<(), Fault> {
    let declared = pipeline.declaration(pipeline.version()).unwrap_or_default();
    if declared
        .stages
        .iter()
        .any(|declared| declared.name == stage)
    {
        return Ok(());
    }
    Err(Fault::new(
        "StageNotFoundException",
        format!("The pipeline {} has no stage {stage}", declared.name),
    ))
}

fn mode(pipeline: &Pipeline, version: usize) -> String {
    pipeline
        .declaration(version)
        .unwrap_or_default()
        .execution_mode
}

fn trigger_value(trigger: &Trigger) -> Value {
    json!({ "triggerType": trigger.kind, "triggerDetail": trigger.detail })
}

/// Who a request is from, as far as the sandbox tells callers apart: it has one user.
fn caller(world: &World, call: &Call) -> String {
    let partition = crate::world::partition(&call.region);
    format!("arn:{partition}:iam::{}:user/sandbox", world.account)
}

fn tags_given(call: &Call) -> Result<Tags, Fault> {
    let tags = call.input.pairs("tags", "key", "value");
    if tags.keys().any(|key| key.starts_with("aws:")) {
        let message = "Not allowed to modify system tags. System tags start with 'aws:'.";
        return Err(Fault::new("InvalidTagsException", message));
    }
    let legal = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
    };
    if !tags.iter().all(legal) {
        return Err(Fault::new(
            "InvalidTagsException",
            "Tag keys have 1 to 128 characters, values at most 256.",
        ));
    }
    if tags.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "A pipeline can have at most 50 tags",
        ));
    }
    Ok(tags)
}

fn tag_list(tags: &Tags) -> Vec<Value> {
    tags.iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}

fn resource_name(world: &World, call: &Call) -> Result<String, Fault> {
    let arn = needed(call, "resourceArn")?;
    let prefix = world.arn("codepipeline", &call.region, "");
    let name = arn.strip_prefix(&prefix).map(ToOwned::to_owned);
    name.ok_or_else(|| {
        Fault::new(
            "InvalidArnException",
            format!("{arn} is not the ARN of a pipeline of this account and Region"),
        )
    })
}

fn resource<'a>(world: &'a mut World, call: &Call, name: &str) -> Result<&'a mut Pipeline, Fault> {
    let message = format!(
        "The account with id '{}' does not include a pipeline with the name '{name}'",
        world.account
    );
    let missing = Fault::new("ResourceNotFoundException", message);
    world
        .at(&call.region)
        .codepipeline
        .pipelines
        .get_mut(name)
        .ok_or(missing)
}

fn needed<'a>(call: &'a Call, member: &str) -> Result<&'a str, Fault> {
    let missing = || {
        invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    };
    call.input
        .text(member)
        .filter(|text| !text.is_empty())
        .ok_or_else(missing)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationException", message)
}

fn listing(call: &Call, member: &str, items: &[Value], most: usize) -> Result<Reply, Fault> {
    let asked = call
        .input
        .int("maxResults")
        .and_then(|size| usize::try_from(size).ok());
    if asked.is_some_and(|size| size == 0 || size > most) {
        return Err(invalid(format!("maxResults must be between 1 and {most}")));
    }
    // The order is the caller's, so the key is the position.
    let keyed = items
        .iter()
        .cloned()
        .enumerate()
        .map(|(index, item)| (format!("{index:08}"), item));
    let cut =
        page(keyed, call.input.text("nextToken"), asked.unwrap_or(most)).ok_or_else(|| {
            Fault::new(
                "InvalidNextTokenException",
                "The next token was specified in an invalid format",
            )
        })?;
    let mut answer = json!({ member: cut.items });
    if let Some(next) = cut.next {
        answer["nextToken"] = json!(next);
    }
    Ok(Reply::Value(answer))
}
