//! What was fetched, completed by what was known. Must not tell what is new.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{LIFECYCLE_RUNS, execution_over, has_new_run, lifecycle_rank, same_run, step_over};
use crate::snapshot::{
    Action, Build, Deployment, DeploymentStatus, Execution, FailingTarget, Health, LifecycleEvent,
    Snapshot, Stage, StepStatus, StoppedTask, TaskSet,
};

/// `fetched`, completed by what was known before: parts that were not read keep their value, and what has ended
/// stays ended although an answer of AWS came from an older copy.
pub fn carry(previous: &Snapshot, fetched: Snapshot) -> Snapshot {
    let at = fetched.at.max(previous.at);
    let same = match (&previous.deployment, &fetched.deployment) {
        (Some(have), Some(new)) => have.id == new.id,
        _ => true,
    };
    let rollback = if same {
        previous.rollback.as_ref()
    } else {
        None
    };
    let health = fetched.health.or_else(|| previous.health.clone());
    Snapshot {
        at,
        last_failing: carry_failing(previous, health.as_ref()),
        stopped_tasks: carry_stopped(&previous.stopped_tasks, fetched.stopped_tasks),
        alarms: fetched.alarms.or_else(|| previous.alarms.clone()),
        build: carry_build(previous.build.as_ref(), fetched.build),
        intervention: fetched
            .intervention
            .or_else(|| previous.intervention.clone()),
        checked: fetched.checked,
        execution: carry_part(
            previous.execution.as_ref(),
            fetched.execution,
            carry_execution,
        ),
        deployment: carry_part(
            previous.deployment.as_ref(),
            fetched.deployment,
            carry_deployment,
        )
        .map(|deployment| with_end(deployment, at)),
        rollback: carry_part(rollback, fetched.rollback, carry_deployment),
        settings: fetched.settings.or_else(|| previous.settings.clone()),
        listeners: fetched.listeners.or_else(|| previous.listeners.clone()),
        health,
    }
}

fn carry_failing(
    previous: &Snapshot,
    health: Option<&BTreeMap<String, Health>>,
) -> BTreeMap<String, Vec<FailingTarget>> {
    let mut failing = previous.last_failing.clone();
    for (group, health) in health.into_iter().flatten() {
        if !health.failing.is_empty() {
            failing.insert(group.clone(), health.failing.clone());
        }
    }
    failing
}

/// A task that has stopped stays so; what was learned of it later is added.
fn carry_stopped(have: &[StoppedTask], new: Vec<StoppedTask>) -> Vec<StoppedTask> {
    let mut stopped = merge(
        have,
        new,
        |a, b| a.id == b.id,
        |have, mut new| {
            if new.log.is_empty() {
                new.log.clone_from(&have.log);
            }
            new
        },
    );
    stopped.sort_by(|a, b| (a.stopped, &a.id).cmp(&(b.stopped, &b.id)));
    stopped
}

fn carry_build(have: Option<&Build>, new: Option<Build>) -> Option<Build> {
    match (have, new) {
        (Some(have), Some(mut new)) => {
            if have.id == new.id && new.lines.is_empty() {
                new.lines.clone_from(&have.lines);
            }
            Some(new)
        }
        (have, None) => have.cloned(),
        (None, new) => new,
    }
}

fn carry_part<T: Clone>(have: Option<&T>, new: Option<T>, carry: fn(&T, T) -> T) -> Option<T> {
    match (have, new) {
        (Some(have), Some(new)) => Some(carry(have, new)),
        (have, None) => have.cloned(),
        (None, new) => new,
    }
}

fn carry_execution(have: &Execution, mut new: Execution) -> Execution {
    if have.id != new.id {
        return new;
    }
    let retried = new.stages.iter().any(|stage| {
        let before = have.stages.iter().find(|before| before.name == stage.name);
        before.is_some_and(|before| has_new_run(before, stage))
    });
    if execution_over(&have.status) && !execution_over(&new.status) && !retried {
        new.status = have.status.clone();
    }
    new.status_summary = new.status_summary.or_else(|| have.status_summary.clone());
    new.trigger = new.trigger.or_else(|| have.trigger.clone());
    new.started = new.started.or(have.started);
    new.revisions = merge(
        &have.revisions,
        new.revisions,
        |a, b| a.action == b.action,
        |_, new| new,
    );
    new.stages = merge(
        &have.stages,
        new.stages,
        |a, b| a.name == b.name,
        carry_stage,
    );
    new
}

fn carry_stage(have: &Stage, mut new: Stage) -> Stage {
    if !has_new_run(have, &new) && step_stays(have.status.as_ref(), new.status.as_ref()) {
        new.status = have.status.clone();
    }
    new.actions = merge(
        &have.actions,
        new.actions,
        |a, b| a.name == b.name,
        carry_action,
    );
    new
}

fn carry_action(have: &Action, mut new: Action) -> Action {
    if !same_run(have, &new) {
        return new;
    }
    if step_stays(have.status.as_ref(), new.status.as_ref()) {
        new.status = have.status.clone();
    }
    new.category = new.category.or_else(|| have.category.clone());
    new.provider = new.provider.or_else(|| have.provider.clone());
    new.run = new.run.or_else(|| have.run.clone());
    new.started = new.started.or(have.started);
    new.summary = new.summary.or_else(|| have.summary.clone());
    new.error = new.error.or_else(|| have.error.clone());
    new.external_id = new.external_id.or_else(|| have.external_id.clone());
    new.external_url = new.external_url.or_else(|| have.external_url.clone());
    new
}

fn carry_deployment(have: &Deployment, mut new: Deployment) -> Deployment {
    if have.id != new.id {
        return new;
    }
    if deployment_rank(&have.status) > deployment_rank(&new.status) {
        new.status = have.status.clone();
    }
    new.creator = new.creator.or_else(|| have.creator.clone());
    new.description = new.description.or_else(|| have.description.clone());
    new.task_definition = new.task_definition.or_else(|| have.task_definition.clone());
    new.created = new.created.or(have.created);
    new.completed = new.completed.or(have.completed);
    new.error = new.error.or_else(|| have.error.clone());
    new.rollback = new.rollback.or_else(|| have.rollback.clone());
    new.termination_wait_started |= have.termination_wait_started;
    new.lifecycle_events = merge(
        &have.lifecycle_events,
        new.lifecycle_events,
        |a, b| a.name == b.name,
        carry_lifecycle_event,
    );
    // Task sets do go away, but never all of them: an empty list is an answer that lacks them.
    new.task_sets = if new.task_sets.is_empty() {
        have.task_sets.clone()
    } else {
        new.task_sets
            .into_iter()
            .map(|set| carry_task_set(&have.task_sets, set))
            .collect()
    };
    new
}

fn carry_lifecycle_event(have: &LifecycleEvent, mut new: LifecycleEvent) -> LifecycleEvent {
    let (before, now) = (lifecycle_rank(&have.status), lifecycle_rank(&new.status));
    if before > now || (before == now && before != LIFECYCLE_RUNS) {
        new.status = have.status.clone();
    }
    new.started = new.started.or(have.started);
    new.ended = new.ended.or(have.ended);
    new.diagnostics = new.diagnostics.or_else(|| have.diagnostics.clone());
    new
}

fn carry_task_set(have: &[TaskSet], mut new: TaskSet) -> TaskSet {
    if let Some(have) = have.iter().find(|have| have.id == new.id) {
        new.label = new.label.or_else(|| have.label.clone());
        new.status = new.status.or_else(|| have.status.clone());
        new.target_group = new.target_group.or_else(|| have.target_group.clone());
        new.task_definition = new.task_definition.or_else(|| have.task_definition.clone());
    }
    new
}

/// A failed or stopped deployment without an end gets the time at which that was seen, so that the wait for its rollback ends.
/// A succeeded one doesn't: there, a missing end is a hint that the old tasks are still kept.
fn with_end(mut deployment: Deployment, at: Timestamp) -> Deployment {
    if matches!(
        deployment.status,
        DeploymentStatus::Failed | DeploymentStatus::Stopped
    ) {
        deployment.completed = deployment.completed.or(Some(at));
    }
    deployment
}

/// `new` merged into `have` by `same`: the order of `have`, then what is only in `new`; nothing gets lost.
fn merge<T: Clone>(
    have: &[T],
    new: Vec<T>,
    same: fn(&T, &T) -> bool,
    carry: fn(&T, T) -> T,
) -> Vec<T> {
    let mut merged = have.to_vec();
    for item in new {
        match merged.iter_mut().find(|before| same(before, &item)) {
            Some(before) => *before = carry(before, item),
            None => merged.push(item),
        }
    }
    merged
}

// ---- what an order of statuses is ----

/// Whether what was known of a stage or an action stays: it was further, or has ended. Among those that go on, the newer holds,
/// so that a status that this version doesn't know is shown.
fn step_stays(have: Option<&StepStatus>, new: Option<&StepStatus>) -> bool {
    let (before, now) = (step_rank(have), step_rank(new));
    before > now || (before == now && have.is_none_or(step_over))
}

fn step_rank(status: Option<&StepStatus>) -> u8 {
    match status {
        None => 0,
        Some(StepStatus::InProgress | StepStatus::Other(_)) => 1,
        Some(StepStatus::Stopping) => 2,
        Some(_) => 3,
    }
}

fn deployment_rank(status: &DeploymentStatus) -> u8 {
    match status {
        DeploymentStatus::Created => 0,
        DeploymentStatus::Queued => 1,
        // A deployment goes from InProgress to Ready and back.
        DeploymentStatus::InProgress | DeploymentStatus::Ready | DeploymentStatus::Other(_) => 2,
        DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped => 3,
    }
}
