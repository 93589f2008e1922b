//! Acts on a rollout: continue it, stop it, roll back. Every function looks first where the rollout stands, and says that when it refuses.
//! Must not follow to the end: its caller does.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::{DeployError, FailureKind};
use crate::event::{Event, Verdict, Wait};
use crate::follow::{self, FollowOptions, Id, OnEvent, Poll, WaitUntil};
use crate::half_way::HalfWay;
use crate::rollout::{self, Phase, rollback_expected_until};
use crate::rollouts::{AfterStop, DeploymentSummary, DeploymentWait, Rollouts, Target, Which};
use crate::snapshot::{DeploymentStatus, TaskSet, TaskSetStatus};
use crate::start::{create, new_deployment};

/// How many deployments are looked through for a good one.
const HISTORY: usize = 100;

/// How often ContinueDeployment is tried when its outcome is unknown.
const ATTEMPTS: u32 = 3;

/// How long CodeDeploy gets before it is asked what became of a call that failed.
const SETTLE: Duration = Duration::from_secs(1);

/// How a description of a deployment begins with which [`rollback`] goes back; the id of what it replaces follows.
pub(crate) const ROLLBACK_DESCRIPTION: &str = "ecspipe rollback of ";

/// A deployment that was continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerouted {
    /// Its id.
    pub deployment: String,
    /// The waits that were ended, in this order.
    pub ended: Vec<DeploymentWait>,
}

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// A deployment.
    Deployment {
        /// Its id.
        deployment: String,
        /// What happens to the traffic.
        then: AfterStop,
        /// What it leaves half way, as far as that can be seen.
        left: Option<HalfWay>,
    },
    /// A pipeline execution that had not reached its deployment.
    Execution {
        /// Its id.
        execution: String,
    },
}

/// How going back was begun, or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// A deployment was in flight: it was stopped, and CodeDeploy takes the traffic back.
    Stopped {
        /// The deployment, whose end is to be followed.
        deployment: String,
    },
    /// A deployment had been stopped half way: the primary tasks serve again, alone. There is nothing to follow.
    PutBack(HalfWay),
    /// A new deployment of an older task definition was created.
    Created {
        /// The deployment, whose end is to be followed.
        deployment: String,
        /// The older task definition.
        task_definition: String,
        /// The deployment that had rolled that out, and succeeded.
        good: String,
    },
}

/// Ends the deployment's wait at Ready, so that production traffic moves. With `finish`, follows on (by these options)
/// until the old tasks are kept, and ends that wait too. `id` may be [`Id::InFlight`].
pub async fn reroute(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
    finish: Option<&FollowOptions>,
    on_event: &mut OnEvent<'_>,
) -> Result<Rerouted, DeployError> {
    let found = follow::deployment(rollouts, target, id).await?;
    let (deployment, phase) = found.ok_or(DeployError::NothingInFlight)?;
    let mut done = Rerouted {
        deployment: deployment.id.clone(),
        ended: Vec::new(),
    };
    let id = deployment.id.as_str();
    let shifting = phase == Phase::Shifting
        || matches!(&phase, Phase::Working(Some(name)) if name == "AfterAllowTraffic");
    match (&phase, finish) {
        (Phase::Ready, _) => {
            end_wait(rollouts, target, id, DeploymentWait::Ready).await?;
            done.ended.push(DeploymentWait::Ready);
        }
        (Phase::OldTasks, Some(_)) => {}
        (_, Some(_)) if shifting => {}
        _ => return Err(not_ready(id, &phase)),
    }
    let Some(options) = finish else {
        return Ok(done);
    };
    let options = FollowOptions {
        until: WaitUntil::OldTasks,
        ..*options
    };
    let verdict = follow::follow(
        rollouts,
        target,
        &Id::Deployment(id.to_owned()),
        &options,
        on_event,
    )
    .await?;
    if let Verdict::StillRunning {
        waiting_for: Wait::OldTasks { .. },
        ..
    } = verdict
    {
        end_wait(rollouts, target, id, DeploymentWait::Termination).await?;
        done.ended.push(DeploymentWait::Termination);
    }
    Ok(done)
}

/// Stops a rollout: its deployment, or, before there is one, the pipeline execution.
pub async fn stop(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
    then: AfterStop,
) -> Result<Stopped, DeployError> {
    let id = follow::find(rollouts, target, id, false)
        .await?
        .ok_or_else(|| follow::missing(id))?;
    if let Some((deployment, phase)) = follow::deployment(rollouts, target, &id).await? {
        if !phase.is_over() {
            stop_deployment(rollouts, target, &deployment.id, then).await?;
            // It is stopped, whether this can be seen or not.
            let left = match then {
                AfterStop::Leave => HalfWay::look(rollouts, target).await.ok(),
                AfterStop::RollBack => None,
            };
            return Ok(Stopped::Deployment {
                deployment: deployment.id,
                then,
                left: left.and_then(|(_, left)| left),
            });
        }
        if matches!(id, Id::Deployment(_)) {
            return Err(already_ended(&deployment.id, &deployment.status));
        }
    }
    let Id::Execution(execution) = id else {
        return Err(DeployError::NothingInFlight);
    };
    let found = rollouts.execution(target, &execution).await?;
    let found =
        found.ok_or_else(|| DeployError::not_found(format!("pipeline execution {execution}")))?;
    if !follow::is_running(&found.status) {
        let rollout = format!("pipeline execution {execution}");
        return Err(DeployError::AlreadyEnded {
            rollout,
            status: found.status.to_string(),
        });
    }
    rollouts
        .stop_execution(target, &execution, "stopped with ecspipe")
        .await?;
    Ok(Stopped::Execution { execution })
}

/// Goes back to the last good task definition: that of the newest deployment that succeeded before the live one, with
/// another definition, and that was not itself rolled back since. A deployment in flight is stopped instead, and its
/// traffic taken back; so is the traffic that one has left [`HalfWay`], once CodeDeploy can't be about to do so itself. `app_spec`
/// makes an AppSpec of a task definition's ARN.
pub async fn rollback(
    rollouts: &dyn Rollouts,
    target: &Target,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    poll: Poll,
    on_event: &mut OnEvent<'_>,
) -> Result<Rollback, DeployError> {
    if let Some((deployment, phase)) = follow::deployment(rollouts, target, &Id::InFlight).await?
        && !phase.is_over()
    {
        let goes_back = deployment.is_automatic_rollback()
            || replaces(deployment.description.as_deref()).is_some();
        if goes_back {
            return Err(DeployError::in_flight(&deployment.id, &deployment.status));
        }
        stop_deployment(rollouts, target, &deployment.id, AfterStop::RollBack).await?;
        return Ok(Rollback::Stopped {
            deployment: deployment.id,
        });
    }
    let (mut service, mut left) = HalfWay::look(rollouts, target).await?;
    if left.is_some() {
        leave_to_codedeploy(rollouts, target, poll, on_event).await?;
        (service, left) = HalfWay::look(rollouts, target).await?;
    }
    if let Some(half_way) = left {
        half_way.put_back(rollouts, target, on_event).await?;
        return Ok(Rollback::PutBack(half_way));
    }
    let live = live(&service.task_sets)
        .and_then(|set| set.task_definition.clone())
        .or(service.task_definition);
    let live = live.ok_or_else(|| DeployError::NothingToRollBackTo {
        why: format!("service {} runs no task definition", target.service),
    })?;
    let history = rollouts.deployments(target, Which::All, HISTORY).await?;
    let (current, good) = last_good(&history, &live)?;
    let task_definition = good.task_definition.clone().unwrap_or_default();
    let new = new_deployment(
        app_spec(&task_definition),
        &format!("{ROLLBACK_DESCRIPTION}{current} to {}", good.id),
    );
    let deployment = create(rollouts, target, &new, &task_definition, poll).await?;
    on_event(Event::DeploymentCreated {
        deployment: deployment.clone(),
        task_definition: task_definition.clone(),
    });
    Ok(Rollback::Created {
        deployment,
        task_definition,
        good: good.id.clone(),
    })
}

/// Waits until CodeDeploy can't name a deployment any more that rolls the newest one back. Two hands on the same task sets are
/// one too many: an error where one is at work.
async fn leave_to_codedeploy(
    rollouts: &dyn Rollouts,
    target: &Target,
    poll: Poll,
    on_event: &mut OnEvent<'_>,
) -> Result<(), DeployError> {
    let mut is_told = false;
    loop {
        let newest = follow::deployment(rollouts, target, &Id::Latest).await?;
        let Some((newest, phase)) = newest else {
            return Ok(());
        };
        let rollback = match newest.rolled_back_by() {
            Some(id) => {
                follow::deployment(rollouts, target, &Id::Deployment(id.to_owned())).await?
            }
            None if newest.is_automatic_rollback() => Some((newest.clone(), phase)),
            None => None,
        };
        if let Some((rollback, phase)) = rollback {
            return match phase.is_over() {
                true => Ok(()),
                false => Err(DeployError::in_flight(&rollback.id, &rollback.status)),
            };
        }
        let now = rollouts.now();
        let Some(until) = rollback_expected_until(&newest, None).filter(|until| now < *until)
        else {
            return Ok(());
        };
        if !std::mem::replace(&mut is_told, true) {
            on_event(Event::WaitEntered {
                wait: Wait::RollbackStart {
                    deployment: newest.id,
                },
                until: Some(until),
            });
        }
        sleep(poll.every.min(now.duration_until(until).unsigned_abs())).await;
    }
}

/// The task set that serves production.
pub(crate) fn live(task_sets: &[TaskSet]) -> Option<&TaskSet> {
    task_sets
        .iter()
        .find(|set| set.status == Some(TaskSetStatus::Primary))
}

/// The id of the live deployment, and the newest one before it that is good: it succeeded, with another task definition than
/// `live`, and no rollback between it and the live one went away from that definition. `history` is newest first.
fn last_good<'a>(
    history: &'a [DeploymentSummary],
    live: &str,
) -> Result<(String, &'a DeploymentSummary), DeployError> {
    let mut succeeded = history
        .iter()
        .filter(|deployment| deployment.status == DeploymentStatus::Succeeded);
    let runs_live =
        |deployment: &&DeploymentSummary| deployment.task_definition.as_deref() == Some(live);
    let current = succeeded.clone().find(runs_live);
    let current_id = current.map_or_else(
        || "the first version".to_owned(),
        |current| current.id.clone(),
    );
    let mut left_behind = BTreeSet::new();
    if let Some(current) = current {
        let at = succeeded
            .by_ref()
            .find(|deployment| deployment.id == current.id);
        left_behind.extend(at.and_then(|at| left(at, history)));
    }
    for deployment in succeeded {
        let definition = deployment.task_definition.as_deref();
        let is_other = definition
            .is_some_and(|definition| definition != live && !left_behind.contains(definition));
        if is_other {
            return Ok((current_id, deployment));
        }
        left_behind.extend(left(deployment, history));
    }
    let why = match left_behind.len() {
        0 => format!("no earlier deployment succeeded with another one than {live}"),
        _ => format!("every other one than {live} was rolled back before"),
    };
    Err(DeployError::NothingToRollBackTo { why })
}

/// The task definition that a rollback went away from.
fn left<'a>(rollback: &DeploymentSummary, history: &'a [DeploymentSummary]) -> Option<&'a str> {
    let replaced = replaces(rollback.description.as_deref())?;
    history
        .iter()
        .find(|deployment| deployment.id == replaced)?
        .task_definition
        .as_deref()
}

/// The deployment that a rollback of ours replaces, by its description.
fn replaces(description: Option<&str>) -> Option<&str> {
    description?
        .strip_prefix(ROLLBACK_DESCRIPTION)?
        .split(' ')
        .next()
}

/// ContinueDeployment. When its outcome is unknown, the deployment tells whether it was done.
pub(crate) async fn end_wait(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &str,
    wait: DeploymentWait,
) -> Result<(), DeployError> {
    let mut attempt = 1;
    loop {
        let Err(failure) = rollouts.continue_deployment(target, id, wait).await else {
            return Ok(());
        };
        if failure.kind != FailureKind::Conflict && !failure.is_transient() {
            return Err(failure.into());
        }
        sleep(SETTLE).await;
        let found = follow::deployment(rollouts, target, &Id::Deployment(id.to_owned())).await?;
        let phase = found.map_or(Phase::Starting, |(deployment, _)| {
            rollout::phase(&deployment)
        });
        let waits = match wait {
            DeploymentWait::Ready => phase == Phase::Ready,
            DeploymentWait::Termination => phase == Phase::OldTasks,
        };
        match (waits, failure.is_ambiguous()) {
            (false, true) => return Ok(()),
            (false, false) => return Err(not_ready(id, &phase)),
            (true, _) if attempt == ATTEMPTS => return Err(failure.into()),
            (true, _) => attempt += 1,
        }
    }
}

pub(crate) async fn stop_deployment(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &str,
    then: AfterStop,
) -> Result<(), DeployError> {
    let mut attempt = 1;
    loop {
        let Err(failure) = rollouts.stop_deployment(target, id, then).await else {
            return Ok(());
        };
        if failure.kind != FailureKind::Conflict && (!failure.is_transient() || attempt == ATTEMPTS)
        {
            return Err(failure.into());
        }
        sleep(SETTLE).await;
        if let Some((deployment, phase)) =
            follow::deployment(rollouts, target, &Id::Deployment(id.to_owned())).await?
            && phase.is_over()
        {
            // After a lost answer, being stopped is what was wanted.
            let done = failure.is_ambiguous() && phase == Phase::Stopped;
            return if done {
                Ok(())
            } else {
                Err(already_ended(&deployment.id, &deployment.status))
            };
        }
        if failure.kind == FailureKind::Conflict {
            return Err(failure.into());
        }
        attempt += 1;
    }
}

fn not_ready(id: &str, phase: &Phase) -> DeployError {
    DeployError::NotReady {
        deployment: id.to_owned(),
        state: phase.describe(),
    }
}

fn already_ended(id: &str, status: &DeploymentStatus) -> DeployError {
    DeployError::AlreadyEnded {
        rollout: format!("deployment {id}"),
        status: status.to_string(),
    }
}
