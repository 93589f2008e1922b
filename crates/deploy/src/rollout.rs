//! Two snapshots of a rollout become events and a verdict. Pure: no clock (a snapshot brings its time), no I/O, no async.
//!
//! [`carry()`] completes what was fetched by what was known, [`events()`] says what is new, [`verdict()`] how it stands.
//! Polls miss things, so both are about differences of state, never about an order of polls.

mod carry;
mod events;
mod verdict;

use crate::event::{Point, Verdict};
use crate::snapshot::{
    Action, Deployment, DeploymentStatus, ExecutionStatus, Label, LifecycleEvent, LifecycleStatus,
    Listeners, Route, Snapshot, Stage, StepStatus, StoppedTask, TaskSetStatus,
};

pub use carry::carry;
pub use events::events;
pub(crate) use verdict::rollback_expected_until;
pub use verdict::verdict;

/// The lifecycle events of an ECS deployment in the order in which they run (AWS.md §1.1).
const LIFECYCLE: [&str; 8] = [
    "BeforeInstall",
    INSTALL,
    "AfterInstall",
    "AllowTestTraffic",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    ALLOW_TRAFFIC,
    AFTER_ALLOW_TRAFFIC,
];
const INSTALL: &str = "Install";
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
    // What was left to do of one that ended badly is skipped, and one that goes back doesn't get anywhere.
    if matches!(phase, Phase::Failed | Phase::Stopped) || deployment.is_automatic_rollback() {
        return false;
    }
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
        Point::Installed => waits || done(INSTALL),
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

/// Those of the [`failures`] that the deployment has not got over: once all new tasks have been healthy (`Install` is done), what
/// failed before is nobody's reason any more.
pub(crate) fn standing_failures<'a>(
    deployment: &Deployment,
    snapshot: &'a Snapshot,
) -> Vec<&'a StoppedTask> {
    let install = deployment.lifecycle_event(INSTALL);
    let healthy = install
        .filter(|install| install.status == LifecycleStatus::Succeeded)
        .and_then(|install| install.ended);
    let mut failures = failures(deployment, snapshot);
    failures
        .retain(|task| healthy.is_none_or(|healthy| task.stopped.is_none_or(|at| at > healthy)));
    failures
}

/// Whether a deployment is to be stopped because its tasks keep failing: how many have, where that is `limit` or more, and the
/// deployment can still be stopped. One that takes another one back is left alone.
pub fn fails_fast(snapshot: &Snapshot, limit: u32) -> Option<u32> {
    let deployment = snapshot.deployment.as_ref()?;
    if phase(deployment).is_over() || deployment.is_automatic_rollback() {
        return None;
    }
    let failed = count(standing_failures(deployment, snapshot).len());
    (failed >= limit.max(1)).then_some(failed)
}

/// Whether a lifecycle event lies before the wait at Ready.
pub(crate) fn is_before_ready(name: &str) -> bool {
    lifecycle_place(name) < BEFORE_READY
}

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

fn deployment_over(status: &DeploymentStatus) -> bool {
    matches!(
        status,
        DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped
    )
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

/// The rank of a lifecycle event that goes on.
const LIFECYCLE_RUNS: u8 = 1;

fn lifecycle_rank(status: &LifecycleStatus) -> u8 {
    match status {
        LifecycleStatus::Pending | LifecycleStatus::Unknown => 0,
        LifecycleStatus::InProgress | LifecycleStatus::Other(_) => LIFECYCLE_RUNS,
        LifecycleStatus::Succeeded | LifecycleStatus::Failed | LifecycleStatus::Skipped => 2,
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
