//! The CodePipeline executor: moves executions through stages and actions. It holds nothing between wake-ups but what
//! `crate::services::codepipeline` keeps. Must not know wire formats, nor decide which declarations are legal.
//!
//! Whatever it does it does with the pipeline's role, and what the role's policies don't allow fails the action.

mod actions;
mod role;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::faults::{self, ActionEnd};
use crate::services::codepipeline::declaration::{Action, Declaration};
use crate::services::codepipeline::{
    ActionExecution, ActionStatus, Execution, Pipeline, StageRun, Status,
};
use crate::world::{Wake, World};

/// What started an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// `StartPipelineExecution`, `CreatePipeline`, `CloudWatchEvent`, …
    pub kind: String,
    /// The ARN of the caller or rule.
    pub detail: String,
}

/// How an action went wrong: AWS's code and words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    code: String,
    message: String,
}

/// Where an execution runs.
struct Place<'a> {
    region: &'a str,
    pipeline: &'a str,
}

/// How often a deployment is looked at. CodePipeline's own interval is not documented; ten seconds were seen.
const POLL: Millis = 5_000;

/// Starts an execution of the pipeline; `None` where there is no such pipeline.
pub(crate) fn start(
    world: &mut World,
    region: &str,
    name: &str,
    trigger: &Trigger,
) -> Option<String> {
    let version = find(world, region, name)?.version();
    let (id, now) = (world.uuid(), world.now);
    let pipeline = find(world, region, name)?;
    let declared = pipeline.declaration(version)?;
    let defaults = declared
        .variables
        .iter()
        .filter_map(|variable| Some((variable.name.clone(), variable.default_value.clone()?)));
    let execution = Execution {
        id: id.clone(),
        version,
        trigger: trigger.clone(),
        started: now,
        updated: now,
        status: Status::InProgress,
        summary: None,
        stop_reason: None,
        stage: 0,
        inside: false,
        stages: BTreeMap::new(),
        actions: Vec::new(),
        artifacts: BTreeMap::new(),
        revisions: BTreeMap::new(),
        variables: BTreeMap::from([("variables".to_owned(), defaults.collect())]),
        asked: BTreeMap::new(),
    };
    pipeline.executions.push(execution);
    nudge(world, region, name);
    Some(id)
}

/// Has the pipeline looked at as soon as time moves on.
pub(crate) fn nudge(world: &mut World, region: &str, name: &str) {
    world.wake_in(0, region, Wake::Pipeline(name.to_owned()));
}

/// Follows up a stop request, for which the execution is `Stopping` already: abandoned actions go on by themselves
/// (a build, a deployment), but nobody waits for them.
pub(crate) fn stop(world: &mut World, region: &str, name: &str, id: &str, abandon: bool) {
    let now = world.now;
    let Some(execution) =
        find(world, region, name).and_then(|p| p.executions.iter_mut().find(|e| e.id == id))
    else {
        return;
    };
    if abandon {
        for run in execution
            .actions
            .iter_mut()
            .filter(|run| run.status == ActionStatus::InProgress)
        {
            run.status = ActionStatus::Abandoned;
            run.updated = now;
        }
    }
    nudge(world, region, name);
}

/// Takes a failed stage up again: its failed actions, or all of them.
pub(crate) fn retry(world: &mut World, region: &str, name: &str, id: &str, stage: &str, all: bool) {
    let now = world.now;
    let Some(execution) =
        find(world, region, name).and_then(|p| p.executions.iter_mut().find(|e| e.id == id))
    else {
        return;
    };
    for run in execution
        .actions
        .iter_mut()
        .filter(|run| run.stage == stage)
    {
        run.retried |= all || run.status != ActionStatus::Succeeded;
    }
    if let Some(run) = execution.stages.get_mut(stage) {
        run.status = Status::InProgress;
        run.retries += 1;
    }
    execution.status = Status::InProgress;
    execution.inside = true;
    execution.updated = now;
    execution.stop_reason = None;
    nudge(world, region, name);
}

/// Moves every execution as far as it goes, and sees to it that somebody looks again.
pub(crate) fn wake(world: &mut World, region: &str, name: &str) {
    let place = Place {
        region,
        pipeline: name,
    };
    while step_all(world, &place) {}
    schedule(world, &place);
}

/// One round over the executions, oldest first; whether anything moved.
fn step_all(world: &mut World, place: &Place<'_>) -> bool {
    let Some(pipeline) = find(world, place.region, place.pipeline) else {
        return false;
    };
    let active = pipeline
        .executions
        .iter()
        .filter(|execution| execution.status.active());
    let ids: Vec<String> = active.map(|execution| execution.id.clone()).collect();
    let mut moved = false;
    for id in ids {
        moved |= step(world, place, &id);
    }
    moved
}

fn step(world: &mut World, place: &Place<'_>, id: &str) -> bool {
    let now = world.now;
    let Some(pipeline) = find(world, place.region, place.pipeline) else {
        return false;
    };
    let Some(mut execution) = pipeline
        .executions
        .iter()
        .find(|execution| execution.id == id)
        .cloned()
    else {
        return false;
    };
    let Some(declared) = pipeline.declaration(execution.version) else {
        return false;
    };
    let moved = if execution.inside {
        run_stage(world, place, &declared, &mut execution)
    } else {
        enter_stage(pipeline, &declared, &mut execution, now)
    };
    let slot = find(world, place.region, place.pipeline)
        .and_then(|p| p.executions.iter_mut().find(|e| e.id == id));
    if let Some(slot) = slot.filter(|_| moved) {
        execution.updated = now;
        *slot = execution;
    }
    moved
}

/// Lets a waiting execution into its stage, if the way is open and the mode allows it.
fn enter_stage(
    pipeline: &Pipeline,
    declared: &Declaration,
    execution: &mut Execution,
    now: Millis,
) -> bool {
    if execution.status == Status::Stopping {
        execution.status = Status::Stopped;
        return true;
    }
    let Some(stage) = declared.stages.get(execution.stage) else {
        return false;
    };
    let others = || {
        pipeline.executions.iter().filter(|other| {
            other.id != execution.id && other.stage == execution.stage && other.status.active()
        })
    };
    if declared.execution_mode == "SUPERSEDED" {
        let newer = |other: &&Execution| {
            !other.inside && position(pipeline, &other.id) > position(pipeline, &execution.id)
        };
        if let Some(newer) = others().find(newer) {
            execution.summary = Some(format!("Superseded by the pipeline execution {}", newer.id));
            execution.status = Status::Superseded;
            return true;
        }
    }
    let busy = declared.execution_mode != "PARALLEL" && others().any(|other| other.inside);
    if busy || pipeline.closed.contains_key(&stage.name) {
        return false;
    }
    execution.inside = true;
    execution.stages.insert(
        stage.name.clone(),
        StageRun {
            entered: now,
            status: Status::InProgress,
            retries: 0,
        },
    );
    true
}

fn position(pipeline: &Pipeline, id: &str) -> Option<usize> {
    pipeline
        .executions
        .iter()
        .position(|execution| execution.id == id)
}

/// Looks at the running actions; when none runs any more, begins the next ones or leaves the stage.
fn run_stage(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
) -> bool {
    let Some(stage) = declared.stages.get(execution.stage) else {
        return false;
    };
    let mut moved = false;
    for index in 0..execution.actions.len() {
        let run = &execution.actions[index];
        if run.stage == stage.name && run.status == ActionStatus::InProgress {
            let action = stage
                .actions
                .iter()
                .find(|action| action.name == run.action);
            moved |=
                action.is_some_and(|action| poll(world, place, declared, execution, action, index));
        }
    }
    let current: Vec<&ActionExecution> = execution
        .actions
        .iter()
        .filter(|run| run.stage == stage.name && !run.retried)
        .collect();
    if current
        .iter()
        .any(|run| run.status == ActionStatus::InProgress)
    {
        return moved;
    }
    if execution.status == Status::Stopping {
        leave_stage(execution, &stage.name, Status::Stopped);
        return true;
    }
    if current
        .iter()
        .any(|run| run.status != ActionStatus::Succeeded)
    {
        leave_stage(execution, &stage.name, Status::Failed);
        return true;
    }
    let open = || {
        stage
            .actions
            .iter()
            .filter(|action| !current.iter().any(|run| run.action == action.name))
    };
    let Some(order) = open().map(|action| action.run_order).min() else {
        leave_stage(execution, &stage.name, Status::Succeeded);
        advance_stage(execution, declared);
        return true;
    };
    let next: Vec<Action> = open()
        .filter(|action| action.run_order == order)
        .cloned()
        .collect();
    for action in next {
        begin(world, place, declared, execution, &stage.name, &action);
        if execution.status == Status::Cancelled {
            break;
        }
    }
    true
}

fn leave_stage(execution: &mut Execution, stage: &str, status: Status) {
    execution.inside = false;
    if let Some(run) = execution.stages.get_mut(stage) {
        run.status = status;
    }
    if status != Status::Succeeded {
        execution.status = status;
    }
}

fn advance_stage(execution: &mut Execution, declared: &Declaration) {
    if execution.stage + 1 == declared.stages.len() {
        execution.status = Status::Succeeded;
    } else {
        execution.stage += 1;
    }
}

/// Begins an action: writes its run down, then has `actions` do the work.
fn begin(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    stage: &str,
    action: &Action,
) {
    let now = world.now;
    let mut run = ActionExecution {
        id: world.uuid(),
        stage: stage.to_owned(),
        action: action.name.clone(),
        started: now,
        updated: now,
        status: ActionStatus::InProgress,
        summary: None,
        external_id: None,
        external_url: None,
        error: None,
        token: None,
        due: None,
        configuration: BTreeMap::new(),
        inputs: action
            .input_artifacts
            .iter()
            .map(|artifact| artifact.name.clone())
            .collect(),
        outputs: Vec::new(),
        variables: BTreeMap::new(),
        updated_by: declared.role_arn.clone(),
        retried: false,
    };
    let dialled = faults::of_action(&world.dials.actions, place.pipeline, stage, &action.name);
    let begun = resolve(execution, action).and_then(|configuration| {
        run.configuration = configuration;
        match dialled {
            Some(ActionEnd::Fail { code, message }) => Err(Failure { code, message }),
            Some(ActionEnd::Cancel {}) => {
                cancel(execution, stage, &mut run);
                Ok(())
            }
            Some(ActionEnd::Hang {}) | None => {
                actions::begin(world, place, declared, execution, action, &mut run)
            }
        }
    });
    if let Err(failure) = begun {
        fail(&mut run, failure, now);
    }
    execution.actions.push(run);
}

/// Cancels an execution in the middle of a stage.
fn cancel(execution: &mut Execution, stage: &str, run: &mut ActionExecution) {
    run.status = ActionStatus::Abandoned;
    let open = |run: &&mut ActionExecution| run.status == ActionStatus::InProgress;
    for other in execution.actions.iter_mut().filter(open) {
        other.status = ActionStatus::Abandoned;
    }
    leave_stage(execution, stage, Status::Cancelled);
}

/// Looks at a running action; whether it ended.
fn poll(
    world: &mut World,
    place: &Place<'_>,
    declared: &Declaration,
    execution: &mut Execution,
    action: &Action,
    index: usize,
) -> bool {
    let now = world.now;
    let mut run = execution.actions[index].clone();
    let dialled = faults::of_action(
        &world.dials.actions,
        place.pipeline,
        &run.stage,
        &action.name,
    );
    let looked = match actions::limit(action).filter(|limit| now >= run.started + limit) {
        Some(_) => Err(actions::timed_out(action)),
        None if dialled == Some(ActionEnd::Hang {}) => Ok(false),
        None => actions::poll(world, place, declared, execution, action, &mut run),
    };
    match looked {
        Ok(false) => return false,
        Ok(true) => {
            run.status = ActionStatus::Succeeded;
            run.updated = now;
            execution.artifacts.extend(run.outputs.iter().cloned());
            if let Some(namespace) = &action.namespace {
                execution
                    .variables
                    .insert(namespace.clone(), run.variables.clone());
            }
        }
        Err(failure) => fail(&mut run, failure, now),
    }
    execution.actions[index] = run;
    true
}

fn fail(run: &mut ActionExecution, failure: Failure, now: Millis) {
    run.status = ActionStatus::Failed;
    run.updated = now;
    run.error = Some((failure.code, failure.message));
}

/// The configuration with every `#{namespace.key}` replaced.
fn resolve(execution: &Execution, action: &Action) -> Result<BTreeMap<String, String>, Failure> {
    let replaced =
        |(key, text): (&String, &String)| Ok((key.clone(), substitute(execution, text)?));
    action.configuration.iter().map(replaced).collect()
}

fn substitute(execution: &Execution, text: &str) -> Result<String, Failure> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("#{") {
        let Some((reference, tail)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        out.push_str(&variable(execution, reference).ok_or_else(|| unknown_variable(reference))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(execution: &Execution, reference: &str) -> Option<String> {
    match reference.split_once('.')? {
        ("codepipeline", "PipelineExecutionId") => Some(execution.id.clone()),
        (namespace, key) => execution.variables.get(namespace)?.get(key).cloned(),
    }
}

fn unknown_variable(reference: &str) -> Failure {
    let message = format!(
        "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The following \
         pipeline execution variables are referencing a variable that does not exist. VariableReferences = [#{{{reference}}}]"
    );
    Failure {
        code: "ActionConfigurationError".to_owned(),
        message,
    }
}

/// Sets the timers: a source or an approval knows its moment, a build wakes the pipeline itself, a deployment is polled.
fn schedule(world: &mut World, place: &Place<'_>) {
    let now = world.now;
    let Some(pipeline) = find(world, place.region, place.pipeline) else {
        return;
    };
    let active = pipeline
        .executions
        .iter()
        .filter(|execution| execution.status.active() && execution.inside);
    let open = active
        .flat_map(|execution| &execution.actions)
        .filter(|run| run.status == ActionStatus::InProgress);
    // One that is due and goes on all the same is held by a dial.
    let moments: Vec<Millis> = open
        .map(|run| run.due.filter(|due| *due > now).unwrap_or(now + POLL))
        .collect();
    let Some(next) = moments.into_iter().min() else {
        return;
    };
    let wake = Wake::Pipeline(place.pipeline.to_owned());
    // One timer is enough: every wake-up sets the next.
    let set = world.timers.iter().any(|timer| {
        timer.region == place.region && timer.wake == wake && timer.at > now && timer.at <= next
    });
    if !set {
        world.wake_at(next, place.region, wake);
    }
}

fn find<'a>(world: &'a mut World, region: &str, name: &str) -> Option<&'a mut Pipeline> {
    world.at(region).codepipeline.pipelines.get_mut(name)
}
