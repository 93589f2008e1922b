//! How a rollout stands, and until when. Must not tell what is new.

use jiff::{SignedDuration, Timestamp};

use super::{
    AFTER_ALLOW_TRAFFIC, ALLOW_TRAFFIC, BEFORE_READY, Phase, lifecycle_place, phase, step_over,
};
use crate::event::{Verdict, Wait};
use crate::reason;
use crate::snapshot::{
    Action, Deployment, DeploymentStatus, Execution, ExecutionStatus, GroupSettings, Routing,
    Snapshot,
};

/// How long after a failure CodeDeploy may take to name the deployment that rolls it back. AWS gives no number: this is
/// several polls, and short enough that a failure without a rollback is still said soon.
const ROLLBACK_GRACE: SignedDuration = SignedDuration::from_secs(30);

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
            // Back it goes at once, whatever the strategy.
            shift_until(deployment, settings).filter(|_| !deployment.is_automatic_rollback()),
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
    match rollback_expected_until(deployment, snapshot.settings.as_ref()) {
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
pub(crate) fn rollback_expected_until(
    deployment: &Deployment,
    settings: Option<&GroupSettings>,
) -> Option<Timestamp> {
    let switched_off = settings.is_some_and(|settings| settings.rollback_events.is_empty());
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

// ---- until when ----

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
