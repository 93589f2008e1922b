//! What is new in a snapshot. Must not judge how the rollout stands.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    A_ROW, count, deployment_over, execution_over, failures, has_new_run, in_order, lifecycle_rank,
    percent_to_new, same_run, step_over, verdict,
};
use crate::event::{Event, Listener, LogSource, Verdict, Wait};
use crate::snapshot::{
    Action, AlarmState, Deployment, DeploymentStatus, Execution, ExecutionStatus, Health,
    LifecycleEvent, LifecycleStatus, Snapshot, Stage, StepStatus, TaskSet, TaskSetStatus,
};

/// What is new in `current`, in the order in which it can have happened. `current` comes from [`super::carry()`].
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
            created: now.created,
            completed: now.completed,
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
            started: now.started,
        });
    }
    if rank == 2 && rank_before < 2 {
        events.push(Event::LifecycleEventEnded {
            deployment: deployment.to_owned(),
            name: now.name.clone(),
            status: now.status.clone(),
            ended: now.ended,
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
