//! Two snapshots of a rollout become events and a verdict. Pure: no clock (a snapshot brings its time), no I/O, no async.
//!
//! [`carry`] completes what was fetched by what was known, [`events`] says what is new, [`verdict`] how it stands.
//! Polls miss things, so both are about differences of state, never about an order of polls.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Listener, LogSource, Point, Verdict, Wait};
use crate::reason;
use crate::snapshot::{
    Action, AlarmState, Build, Deployment, DeploymentStatus, Execution, ExecutionStatus,
    FailingTarget, GroupSettings, Health, Label, LifecycleEvent, LifecycleStatus, Listeners, Route,
    Routing, Snapshot, Stage, StepStatus, StoppedTask, TaskSet, TaskSetStatus,
};

/// How long after a failure CodeDeploy may take to name the deployment that rolls it back. AWS gives no number: this is
/// several polls, and short enough that a failure without a rollback is still said soon.
const ROLLBACK_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// The lifecycle events of an ECS deployment in the order in which they run (AWS.md §1.1).
const LIFECYCLE: [&str; 8] = [
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AllowTestTraffic",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    ALLOW_TRAFFIC,
    AFTER_ALLOW_TRAFFIC,
];
const ALLOW_TRAFFIC: &str = "AllowTraffic";
const AFTER_ALLOW_TRAFFIC: &str = "AfterAllowTraffic";
/// How many failed tasks are a row: one may be bad luck.
const A_ROW: usize = 2;
/// How many of [`LIFECYCLE`] lie before the wait at Ready.
const BEFORE_READY: usize = 5;

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Made, or queued.
    Starting,
    /// A lifecycle event runs or comes next; `None` when none is open.
    Working(Option<String>),
    /// It waits for `READY_WAIT` to be ended.
    Ready,
    /// Production traffic moves.
    Shifting,
    /// Production traffic has moved, the old tasks are kept: it waits for `TERMINATION_WAIT` to be ended.
    OldTasks,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped.
    Stopped,
    /// A status that this version doesn't know, and nothing else to go by.
    Unknown(String),
}

impl Phase {
    /// In words, for "the deployment … instead".
    pub fn describe(&self) -> String {
        match self {
            Self::Starting => "it has not started yet".to_owned(),
            Self::Working(Some(name)) => format!("it is at {name}"),
            Self::Working(None) => "it is finishing".to_owned(),
            Self::Ready => "it waits for production traffic to be moved".to_owned(),
            Self::Shifting => "production traffic is moving".to_owned(),
            Self::OldTasks => {
                "production traffic has moved, the old tasks are kept for a while".to_owned()
            }
            Self::Succeeded => "it has succeeded".to_owned(),
            Self::Failed => "it has failed".to_owned(),
            Self::Stopped => "it was stopped".to_owned(),
            Self::Unknown(status) => format!("its status is {status}"),
        }
    }

    /// Whether the deployment does nothing more (a rollback is another deployment).
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped)
    }
}

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

/// What is new in `current`, in the order in which it can have happened. `current` comes from [`carry`].
pub fn events(previous: &Snapshot, current: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(execution) = &current.execution {
        let before = previous
            .execution
            .as_ref()
            .filter(|have| have.id == execution.id);
        execution_events(before, execution, &mut events);
    }
    if let Some(deployment) = &current.deployment {
        let before = previous
            .deployment
            .as_ref()
            .filter(|have| have.id == deployment.id);
        deployment_events(before, deployment, &mut events);
        let fired = alarm_events(previous, current, deployment);
        before_the_end(&deployment.id, fired, &mut events);
        if let Some(rollback) = deployment.rolled_back_by()
            && before.and_then(Deployment::rolled_back_by) != Some(rollback)
        {
            events.push(Event::RollbackStarted {
                deployment: deployment.id.clone(),
                rollback: rollback.to_owned(),
                message: deployment
                    .rollback
                    .as_ref()
                    .and_then(|info| info.message.clone()),
            });
        }
    }
    if let Some(rollback) = &current.rollback {
        let before = previous
            .rollback
            .as_ref()
            .filter(|have| have.id == rollback.id);
        deployment_events(before, rollback, &mut events);
    }
    build_events(previous, current, &mut events);
    task_events(previous, current, &mut events);
    health_events(previous, current, &mut events);
    unknown_events(previous, current, &mut events);
    traffic_events(previous, current, &mut events);
    wait_event(previous, current, &mut events);
    // An execution's end is the last word on it: its deployment's end comes before.
    events.sort_by_key(
        |event| matches!(event, Event::ExecutionChanged { status, .. } if execution_over(status)),
    );
    events
}

/// How the rollout stands.
pub fn verdict(current: &Snapshot) -> Verdict {
    let deployment = current
        .deployment
        .as_ref()
        .map(|deployment| deployment_verdict(deployment, current));
    match (&current.execution, deployment) {
        (Some(execution), deployment) => execution_verdict(execution, deployment, current),
        (None, Some(verdict)) => verdict,
        (None, None) => Verdict::StillRunning {
            waiting_for: Wait::Pipeline,
            until: None,
        },
    }
}

/// Where a deployment stands. The only reader of a deployment's status: what AWS says during the wait with the old
/// tasks is not certain (AWS.md §9 item 2), and both possibilities, InProgress and an early Succeeded, are answered here.
pub fn phase(deployment: &Deployment) -> Phase {
    let waits_with_old_tasks = deployment.termination_wait_started && old_tasks_kept(deployment);
    match &deployment.status {
        DeploymentStatus::Failed => Phase::Failed,
        DeploymentStatus::Stopped => Phase::Stopped,
        DeploymentStatus::Succeeded => {
            // An early Succeeded must show the old tasks: no wait is assumed that might never end.
            let seen = deployment.task_set(&Label::Blue).is_some();
            if waits_with_old_tasks && seen && deployment.completed.is_none() {
                Phase::OldTasks
            } else {
                Phase::Succeeded
            }
        }
        DeploymentStatus::Created | DeploymentStatus::Queued => Phase::Starting,
        DeploymentStatus::Ready if deployment.termination_wait_started => Phase::OldTasks,
        DeploymentStatus::Ready => Phase::Ready,
        DeploymentStatus::InProgress if waits_with_old_tasks => Phase::OldTasks,
        DeploymentStatus::InProgress => working(deployment),
        DeploymentStatus::Other(_) if waits_with_old_tasks => Phase::OldTasks,
        DeploymentStatus::Other(raw) => match working(deployment) {
            Phase::Working(None) => Phase::Unknown(raw.clone()),
            phase => phase,
        },
    }
}

/// Whether a rollout has come to a point of its way, or past it. One that was taken back hasn't, however far it had come.
pub fn has_reached(snapshot: &Snapshot, point: Point) -> bool {
    let end = verdict(snapshot);
    if end.is_final() {
        return matches!(end, Verdict::Succeeded { .. });
    }
    let Some(deployment) = &snapshot.deployment else {
        return false;
    };
    let phase = phase(deployment);
    let done = |name: &str| {
        deployment.lifecycle_events.iter().any(|event| {
            let over = matches!(
                event.status,
                LifecycleStatus::Succeeded | LifecycleStatus::Skipped
            );
            // What comes later has begun only after it.
            (event.name == name && over)
                || (lifecycle_place(&event.name) > lifecycle_place(name) && event.started.is_some())
        })
    };
    let waits = matches!(phase, Phase::Ready | Phase::Shifting | Phase::OldTasks);
    match point {
        Point::Installed => waits || done("Install"),
        Point::TestTraffic => waits || done("AllowTestTraffic"),
        Point::Ready => waits || done("BeforeAllowTraffic"),
        Point::Shifted => phase == Phase::OldTasks || done(ALLOW_TRAFFIC),
        Point::Done => false,
    }
}

/// The percentage of a listener's requests that go to the new tasks of `deployment`; `None` when their target group or the
/// routes aren't known.
pub fn percent_to_new(routes: &[Route], deployment: &Deployment) -> Option<u8> {
    let green = deployment
        .task_set(&Label::Green)?
        .target_group
        .as_deref()?;
    let total: i64 = routes.iter().map(|route| route.weight.max(0)).sum();
    if total == 0 {
        return None;
    }
    let new = routes.iter().filter(|route| route.target_group == green);
    let new: i64 = new.map(|route| route.weight.max(0)).sum();
    u8::try_from((new * 100 + total / 2) / total).ok()
}

/// The production and test routes' share for the new tasks, in this order.
pub fn shares(listeners: &Listeners, deployment: &Deployment) -> [Option<u8>; 2] {
    [
        percent_to_new(&listeners.production, deployment),
        percent_to_new(&listeners.test, deployment),
    ]
}

/// The tasks of a deployment's new task set that have failed so far, oldest first.
pub fn failures<'a>(deployment: &Deployment, snapshot: &'a Snapshot) -> Vec<&'a StoppedTask> {
    let green = deployment
        .task_set(&Label::Green)
        .map(|set| set.id.as_str());
    let is_new = |task: &&StoppedTask| match (green, task.task_set.as_deref()) {
        (Some(green), Some(set)) => green == set,
        // Who looks when the task set is gone has its task definition to go by, and the time.
        _ => {
            task.task_definition.is_some()
                && task.task_definition == deployment.task_definition
                && task.stopped >= deployment.created
                && deployment
                    .completed
                    .is_none_or(|completed| task.stopped <= Some(completed))
        }
    };
    let tasks = snapshot.stopped_tasks.iter();
    tasks
        .filter(|task| task.is_failure())
        .filter(is_new)
        .collect()
}

/// Whether a deployment is to be stopped because its tasks keep failing: how many have, where that is `limit` or more, and the
/// deployment can still be stopped. One that takes another one back is left alone.
pub fn fails_fast(snapshot: &Snapshot, limit: u32) -> Option<u32> {
    let deployment = snapshot.deployment.as_ref()?;
    if phase(deployment).is_over() || deployment.is_automatic_rollback() {
        return None;
    }
    let failed = count(failures(deployment, snapshot).len());
    (failed >= limit.max(1)).then_some(failed)
}

/// Whether a lifecycle event lies before the wait at Ready.
pub(crate) fn is_before_ready(name: &str) -> bool {
    lifecycle_place(name) < BEFORE_READY
}

// ---- carrying ----

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

fn has_new_run(have: &Stage, new: &Stage) -> bool {
    new.actions.iter().any(|action| {
        let before = have
            .actions
            .iter()
            .find(|before| before.name == action.name);
        before.is_some_and(|before| !same_run(before, action))
    })
}

fn same_run(have: &Action, new: &Action) -> bool {
    match (&have.run, &new.run) {
        (Some(have), Some(new)) => have == new,
        _ => true,
    }
}

// ---- what an order of statuses is ----

fn execution_over(status: &ExecutionStatus) -> bool {
    !matches!(
        status,
        ExecutionStatus::InProgress | ExecutionStatus::Stopping | ExecutionStatus::Other(_)
    )
}

fn step_over(status: &StepStatus) -> bool {
    !matches!(
        status,
        StepStatus::InProgress | StepStatus::Stopping | StepStatus::Other(_)
    )
}

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

fn deployment_over(status: &DeploymentStatus) -> bool {
    matches!(
        status,
        DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped
    )
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

/// The rank of a lifecycle event that goes on.
const LIFECYCLE_RUNS: u8 = 1;

fn lifecycle_rank(status: &LifecycleStatus) -> u8 {
    match status {
        LifecycleStatus::Pending | LifecycleStatus::Unknown => 0,
        LifecycleStatus::InProgress | LifecycleStatus::Other(_) => LIFECYCLE_RUNS,
        LifecycleStatus::Succeeded | LifecycleStatus::Failed | LifecycleStatus::Skipped => 2,
    }
}

/// The position of a lifecycle event in its run; unknown ones come last.
fn lifecycle_place(name: &str) -> usize {
    LIFECYCLE
        .iter()
        .position(|known| *known == name)
        .unwrap_or(LIFECYCLE.len())
}

pub(crate) fn in_order(deployment: &Deployment) -> Vec<&LifecycleEvent> {
    let mut events: Vec<_> = deployment.lifecycle_events.iter().collect();
    events.sort_by_key(|event| lifecycle_place(&event.name));
    events
}

// ---- events ----

fn execution_events(before: Option<&Execution>, now: &Execution, events: &mut Vec<Event>) {
    if before.is_none() {
        events.push(Event::ExecutionFound {
            execution: now.id.clone(),
            trigger: now.trigger.clone(),
        });
    }
    let changed = match before {
        Some(before) => before.status != now.status,
        None => now.status != ExecutionStatus::InProgress,
    };
    if changed {
        events.push(Event::ExecutionChanged {
            execution: now.id.clone(),
            status: now.status.clone(),
            summary: now.status_summary.clone(),
        });
    }
    let known = before
        .map(|before| before.revisions.as_slice())
        .unwrap_or_default();
    let revisions: Vec<_> = now
        .revisions
        .iter()
        .filter(|revision| !known.contains(revision))
        .cloned()
        .collect();
    if !revisions.is_empty() {
        events.push(Event::RevisionsFound {
            execution: now.id.clone(),
            revisions,
        });
    }
    for stage in &now.stages {
        let before = before.and_then(|before| {
            before
                .stages
                .iter()
                .find(|before| before.name == stage.name)
        });
        stage_events(before, stage, events);
    }
}

fn stage_events(before: Option<&Stage>, now: &Stage, events: &mut Vec<Event>) {
    let entered = |stage: &Stage| {
        stage.status.is_some() || stage.actions.iter().any(|action| action.status.is_some())
    };
    let over = |stage: &Stage| stage.status.as_ref().is_some_and(step_over);
    let again = before.is_some_and(|before| over(before) && has_new_run(before, now));
    if (entered(now) && !before.is_some_and(entered)) || again {
        events.push(Event::StageStarted {
            stage: now.name.clone(),
        });
    }
    for action in &now.actions {
        let before = before.and_then(|before| {
            before
                .actions
                .iter()
                .find(|before| before.name == action.name)
        });
        action_events(
            &now.name,
            before.filter(|before| same_run(before, action)),
            action,
            events,
        );
    }
    if let Some(status) = now.status.as_ref().filter(|status| step_over(status))
        && (again || !before.is_some_and(over))
    {
        events.push(Event::StageEnded {
            stage: now.name.clone(),
            status: status.clone(),
        });
    }
}

fn action_events(stage: &str, before: Option<&Action>, now: &Action, events: &mut Vec<Event>) {
    let Some(status) = &now.status else { return };
    let status_before = before.and_then(|before| before.status.as_ref());
    if status_before.is_none() {
        events.push(Event::ActionStarted {
            stage: stage.to_owned(),
            action: now.name.clone(),
            provider: now.provider.clone(),
            url: now.external_url.clone(),
        });
    }
    if step_over(status) && !status_before.is_some_and(step_over) {
        events.push(Event::ActionEnded {
            stage: stage.to_owned(),
            action: now.name.clone(),
            status: status.clone(),
            summary: now.summary.clone(),
            error: now.error.clone(),
            url: now.external_url.clone(),
        });
    }
}

fn deployment_events(before: Option<&Deployment>, now: &Deployment, events: &mut Vec<Event>) {
    if before.is_none() {
        events.push(Event::DeploymentFound {
            deployment: now.id.clone(),
            status: now.status.clone(),
            creator: now.creator.clone(),
            task_definition: now.task_definition.clone(),
        });
    }
    let changed = match before {
        Some(before) => before.status != now.status,
        // Whoever comes late is told what it waits for, or how it ended.
        None => {
            deployment_over(&now.status)
                || matches!(
                    now.status,
                    DeploymentStatus::Ready | DeploymentStatus::Other(_)
                )
        }
    };
    let change = Event::DeploymentChanged {
        deployment: now.id.clone(),
        status: now.status.clone(),
        error: now.error.clone(),
    };
    // Work begins after the status says so; waits and ends come after the work.
    let first = changed && now.status == DeploymentStatus::InProgress;
    if first {
        events.push(change.clone());
    }
    for event in in_order(now) {
        let before = before.and_then(|before| before.lifecycle_event(&event.name));
        lifecycle_events(&now.id, before, event, events);
    }
    task_set_events(before, now, events);
    if changed && !first {
        events.push(change);
    }
}

fn lifecycle_events(
    deployment: &str,
    before: Option<&LifecycleEvent>,
    now: &LifecycleEvent,
    events: &mut Vec<Event>,
) {
    let rank_before = before.map_or(0, |before| lifecycle_rank(&before.status));
    let rank = lifecycle_rank(&now.status);
    if rank >= 1 && rank_before == 0 && now.status != LifecycleStatus::Skipped {
        events.push(Event::LifecycleEventStarted {
            deployment: deployment.to_owned(),
            name: now.name.clone(),
        });
    }
    if rank == 2 && rank_before < 2 {
        events.push(Event::LifecycleEventEnded {
            deployment: deployment.to_owned(),
            name: now.name.clone(),
            status: now.status.clone(),
            diagnostics: now.diagnostics.clone(),
        });
    }
}

fn task_set_events(before: Option<&Deployment>, now: &Deployment, events: &mut Vec<Event>) {
    let known = before
        .map(|before| before.task_sets.as_slice())
        .unwrap_or_default();
    let shown = |set: &TaskSet| {
        (
            set.status.clone(),
            set.desired,
            set.running,
            set.pending,
            set.target_group.clone(),
        )
    };
    for set in &now.task_sets {
        let before = known.iter().find(|before| before.id == set.id);
        if before.map(shown) != Some(shown(set)) {
            events.push(Event::TaskSetChanged {
                deployment: now.id.clone(),
                task_set: set.id.clone(),
                label: set.label.clone(),
                status: set.status.clone(),
                desired: set.desired,
                running: set.running,
                pending: set.pending,
                target_group: set.target_group.clone(),
                task_definition: set.task_definition.clone(),
            });
        }
    }
    for gone in known
        .iter()
        .filter(|before| !now.task_sets.iter().any(|set| set.id == before.id))
    {
        events.push(Event::TaskSetDeleted {
            deployment: now.id.clone(),
            task_set: gone.id.clone(),
            label: gone.label.clone(),
        });
    }
}

/// A build that ended badly, and what it said last.
fn build_events(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    let Some(build) = &current.build else {
        return;
    };
    let before = previous.build.as_ref().filter(|have| have.id == build.id);
    if before.is_none() {
        events.push(Event::BuildFailed {
            build: build.id.clone(),
            status: build.status.clone(),
            phase: build.failed_phase.clone(),
        });
    }
    if !build.lines.is_empty() && before.is_none_or(|have| have.lines.is_empty()) {
        events.push(Event::LogTail {
            source: LogSource::Build {
                build: build.id.clone(),
            },
            lines: build.lines.clone(),
        });
    }
}

/// Tasks that failed, what they said last, and that it is a row.
fn task_events(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    let Some(deployment) = &current.deployment else {
        return;
    };
    let before: BTreeMap<&str, bool> = previous
        .deployment
        .as_ref()
        .filter(|have| have.id == deployment.id)
        .map(|have| failures(have, previous))
        .unwrap_or_default()
        .into_iter()
        .map(|task| (task.id.as_str(), !task.log.is_empty()))
        .collect();
    let failed = failures(deployment, current);
    let mut so_far = before.len();
    for task in &failed {
        let known = before.get(task.id.as_str());
        let container = task.failed_container();
        if known.is_none() {
            so_far += 1;
            events.push(Event::TaskFailed {
                deployment: deployment.id.clone(),
                task: task.id.clone(),
                code: task.code.clone(),
                reason: task.reason.clone(),
                container: container.cloned(),
                failures: count(so_far),
            });
        }
        if !task.log.is_empty() && known != Some(&true) {
            events.push(Event::LogTail {
                source: LogSource::Task {
                    task: task.id.clone(),
                    container: container.map_or_else(String::new, |known| known.name.clone()),
                },
                lines: task.log.clone(),
            });
        }
    }
    if failed.len() >= A_ROW && before.len() < A_ROW {
        events.push(Event::TasksKeepFailing {
            deployment: deployment.id.clone(),
            failures: count(failed.len()),
        });
    }
}

/// Puts a cause before the end that it led to, where both are told at once.
fn before_the_end(id: &str, causes: Vec<Event>, events: &mut Vec<Event>) {
    let is_end = |event: &Event| matches!(event, Event::DeploymentChanged { deployment, status, .. } if deployment == id && deployment_over(status));
    let end = events.iter().position(is_end).unwrap_or(events.len());
    events.splice(end..end, causes);
}

fn alarm_events(previous: &Snapshot, current: &Snapshot, deployment: &Deployment) -> Vec<Event> {
    let fired = |snapshot: &Snapshot, name: &str| {
        let mut alarms = snapshot.alarms.iter().flatten();
        alarms.any(|alarm| alarm.name == name && alarm.state == AlarmState::Alarm)
    };
    let alarms = current.alarms.iter().flatten();
    alarms
        .filter(|alarm| fired(current, &alarm.name) && !fired(previous, &alarm.name))
        .map(|alarm| Event::AlarmFired {
            deployment: deployment.id.clone(),
            alarm: alarm.name.clone(),
            reason: alarm.reason.clone(),
            since: alarm.since,
        })
        .collect()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn health_events(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    for (group, health) in current.health.iter().flatten() {
        let before = previous
            .health
            .as_ref()
            .and_then(|before| before.get(group));
        let counts = |health: &Health| (health.healthy, health.total);
        if before.map(counts) != Some(counts(health)) {
            events.push(Event::HealthChanged {
                target_group: group.clone(),
                health: health.clone(),
            });
        }
        let known = before.map_or(&[][..], |before| &before.failing);
        for failing in health
            .failing
            .iter()
            .filter(|failing| !known.contains(failing))
        {
            events.push(Event::TargetUnhealthy {
                target_group: group.clone(),
                target: failing.target.clone(),
                reason: failing.reason.clone(),
                description: failing.description.clone(),
            });
        }
    }
}

/// What AWS says in words that this version doesn't know, where no other event shows them.
fn unknown_events(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    let before = unknown_statuses(previous);
    for (of, status) in unknown_statuses(current) {
        if before.get(&of) != Some(&status) {
            events.push(Event::StatusUnknown { of, status });
        }
    }
}

/// The unknown statuses of stages, actions, lifecycle events and task sets, by what has them.
fn unknown_statuses(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut unknown = BTreeMap::new();
    let execution = snapshot.execution.iter();
    for stage in execution.flat_map(|execution| &execution.stages) {
        if let Some(StepStatus::Other(status)) = &stage.status {
            unknown.insert(format!("stage {}", stage.name), status.clone());
        }
        for action in &stage.actions {
            if let Some(StepStatus::Other(status)) = &action.status {
                unknown.insert(format!("action {}", action.name), status.clone());
            }
        }
    }
    for deployment in snapshot.deployment.iter().chain(&snapshot.rollback) {
        for event in &deployment.lifecycle_events {
            if let LifecycleStatus::Other(status) = &event.status {
                let of = format!("{} of {}", event.name, deployment.id);
                unknown.insert(of, status.clone());
            }
        }
        for set in &deployment.task_sets {
            if let Some(TaskSetStatus::Other(status)) = &set.status {
                unknown.insert(format!("task set {}", set.id), status.clone());
            }
        }
    }
    unknown
}

fn traffic_events(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    let Some(now) = &current.listeners else {
        return;
    };
    let before = previous.listeners.as_ref();
    let sides = [
        (
            Listener::Production,
            &now.production,
            before.map(|before| &before.production),
        ),
        (Listener::Test, &now.test, before.map(|before| &before.test)),
    ];
    for (listener, routes, before) in sides {
        if before != Some(routes) && !(routes.is_empty() && before.is_none()) {
            let percent = current
                .deployment
                .as_ref()
                .and_then(|deployment| percent_to_new(routes, deployment));
            events.push(Event::TrafficRouted {
                listener,
                routes: routes.clone(),
                percent,
            });
        }
    }
}

fn wait_event(previous: &Snapshot, current: &Snapshot, events: &mut Vec<Event>) {
    let known = previous.execution.is_some() || previous.deployment.is_some();
    let before = if known { wait(previous) } else { None };
    let Some((wait, until)) = wait(current) else {
        return;
    };
    let same = before.is_some_and(|(before, until_before)| {
        before == wait && (until_before.is_some() || until.is_none())
    });
    if !same {
        events.push(Event::WaitEntered { wait, until });
    }
}

fn wait(snapshot: &Snapshot) -> Option<(Wait, Option<Timestamp>)> {
    match verdict(snapshot) {
        Verdict::StillRunning { waiting_for, until }
        | Verdict::WaitingForHuman {
            waiting_for, until, ..
        } => Some((waiting_for, until)),
        _ => None,
    }
}

// ---- verdicts ----

fn execution_verdict(
    execution: &Execution,
    deployment: Option<Verdict>,
    snapshot: &Snapshot,
) -> Verdict {
    match &execution.status {
        ExecutionStatus::Succeeded => succeeded(snapshot),
        ExecutionStatus::Superseded => Verdict::Superseded,
        ExecutionStatus::Failed | ExecutionStatus::Stopped | ExecutionStatus::Cancelled => {
            match deployment {
                // The pipeline may give up on a deployment that goes on, and that serves production in the end.
                Some(verdict) if !matches!(verdict, Verdict::Succeeded { .. }) => verdict,
                _ => execution_end(execution, snapshot),
            }
        }
        ExecutionStatus::InProgress | ExecutionStatus::Stopping | ExecutionStatus::Other(_) => {
            match deployment {
                Some(verdict) if !verdict.is_final() => verdict,
                _ => execution_wait(execution),
            }
        }
    }
}

fn execution_end(execution: &Execution, snapshot: &Snapshot) -> Verdict {
    let why = reason::of_execution(execution, snapshot);
    match execution.status {
        ExecutionStatus::Cancelled => Verdict::Cancelled,
        ExecutionStatus::Stopped => Verdict::Stopped { why },
        _ => Verdict::Failed { why },
    }
}

fn execution_wait(execution: &Execution) -> Verdict {
    let open = execution.stages.iter().find_map(|stage| {
        let running = |action: &&Action| {
            action
                .status
                .as_ref()
                .is_some_and(|status| !step_over(status))
        };
        stage
            .actions
            .iter()
            .find(running)
            .map(|action| (stage, action))
    });
    let Some((stage, action)) = open else {
        let waiting_for = match &execution.status {
            ExecutionStatus::Other(status) => Wait::Status {
                status: status.clone(),
            },
            _ => Wait::Pipeline,
        };
        return Verdict::StillRunning {
            waiting_for,
            until: None,
        };
    };
    let (stage, name) = (stage.name.clone(), action.name.clone());
    if action.category.as_deref() == Some("Approval") {
        let waiting_for = Wait::PipelineApproval {
            stage,
            action: name,
        };
        return Verdict::WaitingForHuman {
            waiting_for,
            deployment: None,
            until: None,
        };
    }
    Verdict::StillRunning {
        waiting_for: Wait::Action {
            stage,
            action: name,
        },
        until: None,
    }
}

fn succeeded(snapshot: &Snapshot) -> Verdict {
    let deployment = snapshot.deployment.as_ref();
    Verdict::Succeeded {
        task_definition: deployment.and_then(|deployment| deployment.task_definition.clone()),
    }
}

fn deployment_verdict(deployment: &Deployment, snapshot: &Snapshot) -> Verdict {
    let id = || deployment.id.clone();
    let settings = snapshot.settings.as_ref();
    let running = |waiting_for, until| Verdict::StillRunning { waiting_for, until };
    match phase(deployment) {
        Phase::Succeeded if deployment.is_automatic_rollback() => Verdict::RolledBack {
            why: reason::of_rollback(deployment),
            rollback: id(),
        },
        Phase::Succeeded => succeeded(snapshot),
        Phase::Failed => after_failure(
            deployment,
            snapshot,
            Verdict::Failed {
                why: end_reason(deployment, snapshot),
            },
        ),
        Phase::Stopped => after_failure(
            deployment,
            snapshot,
            Verdict::Stopped {
                why: end_reason(deployment, snapshot),
            },
        ),
        Phase::Ready => match settings {
            Some(GroupSettings {
                ready_wait_minutes: None,
                ..
            }) => running(Wait::Traffic { deployment: id() }, None),
            _ if snapshot.checked => running(
                Wait::Checks { deployment: id() },
                ready_until(deployment, settings),
            ),
            _ => Verdict::WaitingForHuman {
                waiting_for: Wait::Reroute { deployment: id() },
                deployment: Some(id()),
                until: ready_until(deployment, settings),
            },
        },
        Phase::Starting => running(Wait::DeploymentStart { deployment: id() }, None),
        Phase::Shifting => running(
            Wait::Traffic { deployment: id() },
            shift_until(deployment, settings),
        ),
        Phase::OldTasks => running(
            Wait::OldTasks { deployment: id() },
            old_tasks_until(deployment, settings),
        ),
        Phase::Working(Some(name)) => running(
            Wait::LifecycleEvent {
                deployment: id(),
                name,
            },
            None,
        ),
        Phase::Working(None) => running(Wait::DeploymentEnd { deployment: id() }, None),
        Phase::Unknown(status) => running(Wait::Status { status }, None),
    }
}

/// Why it ended, and what CodeDeploy has done about it without another deployment: there may be none to go back to.
fn end_reason(deployment: &Deployment, snapshot: &Snapshot) -> reason::Reason {
    let mut why = reason::of_deployment(deployment, snapshot);
    let undone = deployment
        .rollback
        .as_ref()
        .and_then(|info| info.message.as_ref());
    why.details
        .extend(undone.map(|message| format!("CodeDeploy: {message}")));
    why
}

/// What comes of a deployment that ended badly: its rollback's end decides, where there is one.
fn after_failure(deployment: &Deployment, snapshot: &Snapshot, end: Verdict) -> Verdict {
    let why = reason::of_deployment(deployment, snapshot);
    if let Some(rollback) = &snapshot.rollback {
        return match phase(rollback) {
            Phase::Succeeded => Verdict::RolledBack {
                why: why.first(format!(
                    "production serves the old version again (deployment {})",
                    rollback.id
                )),
                rollback: rollback.id.clone(),
            },
            Phase::Failed | Phase::Stopped => Verdict::Failed {
                why: why.and(&format!(
                    "; its rollback {} failed too: {}",
                    rollback.id,
                    reason::of_deployment(rollback, snapshot)
                )),
            },
            _ => rolling_back(&rollback.id),
        };
    }
    if let Some(rollback) = deployment.rolled_back_by() {
        return rolling_back(rollback);
    }
    match rollback_expected_until(deployment, snapshot) {
        Some(until) if snapshot.at < until => Verdict::StillRunning {
            waiting_for: Wait::RollbackStart {
                deployment: deployment.id.clone(),
            },
            until: Some(until),
        },
        _ => end,
    }
}

fn rolling_back(rollback: &str) -> Verdict {
    Verdict::StillRunning {
        waiting_for: Wait::Rollback {
            deployment: rollback.to_owned(),
        },
        until: None,
    }
}

/// Until when a rollback may still appear; `None` when none is to be expected. A stop brings its own order to roll back,
/// so the group's settings speak only for failures. AWS's message on a rollback that it did not start ends the wait.
fn rollback_expected_until(deployment: &Deployment, snapshot: &Snapshot) -> Option<Timestamp> {
    let switched_off = snapshot
        .settings
        .as_ref()
        .is_some_and(|settings| settings.rollback_events.is_empty());
    let failed = deployment.status == DeploymentStatus::Failed;
    let answered = deployment
        .rollback
        .as_ref()
        .is_some_and(|info| info.message.is_some());
    if deployment.is_automatic_rollback() || answered || (failed && switched_off) {
        return None;
    }
    deployment.completed?.checked_add(ROLLBACK_GRACE).ok()
}

// ---- phases and times ----

fn working(deployment: &Deployment) -> Phase {
    let events = in_order(deployment);
    let running = events
        .iter()
        .find(|event| lifecycle_rank(&event.status) == 1);
    match running.or_else(|| {
        events
            .iter()
            .find(|event| event.status == LifecycleStatus::Pending)
    }) {
        Some(event) if event.name == ALLOW_TRAFFIC && lifecycle_rank(&event.status) == 1 => {
            Phase::Shifting
        }
        Some(event) => Phase::Working(Some(event.name.clone())),
        None => Phase::Working(None),
    }
}

/// Whether the old tasks are there, as far as is known.
fn old_tasks_kept(deployment: &Deployment) -> bool {
    match deployment.task_set(&Label::Blue) {
        Some(blue) => blue.status != Some(TaskSetStatus::Draining),
        None => deployment.task_sets.is_empty(),
    }
}

/// When CodeDeploy stops waiting at Ready: the wait begins where the last step before it ended.
fn ready_until(deployment: &Deployment, settings: Option<&GroupSettings>) -> Option<Timestamp> {
    let before = deployment
        .lifecycle_events
        .iter()
        .filter(|event| lifecycle_place(&event.name) < BEFORE_READY);
    after_minutes(
        before.filter_map(|event| event.ended).max(),
        settings?.ready_wait_minutes?,
    )
}

/// When the last part of the traffic moves.
fn shift_until(deployment: &Deployment, settings: Option<&GroupSettings>) -> Option<Timestamp> {
    let minutes = match settings?.routing? {
        Routing::AllAtOnce => return None,
        Routing::Canary { minutes, .. } => i64::from(minutes),
        // n = ceil(100 / percent) shifts have n - 1 intervals between them (AWS.md §4.2).
        Routing::Linear { percent, minutes } => {
            let shifts = (100 + i64::from(percent.max(1)) - 1) / i64::from(percent.max(1));
            (shifts - 1) * i64::from(minutes)
        }
    };
    after_minutes(deployment.lifecycle_event(ALLOW_TRAFFIC)?.started, minutes)
}

/// When the old tasks go.
fn old_tasks_until(deployment: &Deployment, settings: Option<&GroupSettings>) -> Option<Timestamp> {
    let ended = |name| {
        deployment
            .lifecycle_event(name)
            .and_then(|event| event.ended)
    };
    after_minutes(
        ended(AFTER_ALLOW_TRAFFIC).or_else(|| ended(ALLOW_TRAFFIC)),
        settings?.termination_wait_minutes,
    )
}

fn after_minutes(start: Option<Timestamp>, minutes: i64) -> Option<Timestamp> {
    start?.checked_add(SignedDuration::from_mins(minutes)).ok()
}
