//! What an app has run and runs: its deployments with what they rolled out, from which commit, by whom, and how they ended; and the
//! way back to one of them. Must not follow a rollout.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::act::live;
use crate::error::{CloudFailure, DeployError};
use crate::event::Event;
use crate::follow::{OnEvent, Poll, or_none};
use crate::operations::{Definition, DeployAction, Operations, revision_of};
use crate::rollouts::{DeploymentSummary, ExecutionSummary, Rollouts, Target, Which};
use crate::snapshot::{DeploymentStatus, ROLLBACK_CREATOR, Revision};
use crate::start::{create, new_deployment, refuse_in_flight};

/// How many executions are looked through for the commit of a deployment: what AWS gives in one answer.
const EXECUTIONS: usize = 100;

/// How many deployments are looked through for a revision.
const HISTORY: usize = 100;

/// Something that was rolled out, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The revision of the task definition; `None` where the deployment names none.
    pub revision: Option<u32>,
    /// The task definition's ARN.
    pub task_definition: Option<String>,
    /// Whether production runs it now.
    pub live: bool,
    /// Whether it can be rolled out again: its task definition has not been retired.
    pub active: bool,
    /// The image, with its digest where the task definition names one.
    pub image: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// What the commit says.
    pub message: Option<String>,
    /// The deployment; `None` for what the service was made with.
    pub deployment: Option<String>,
    /// The execution of the pipeline that created it.
    pub execution: Option<String>,
    /// What it was for.
    pub purpose: Purpose,
    /// When it began.
    pub begun: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Who or what began it.
    pub by: Option<String>,
    /// How it ended, or stands.
    pub status: Option<DeploymentStatus>,
}

/// What a deployment was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Something new.
    Release,
    /// The way back, by a person.
    Rollback,
    /// The way back, by CodeDeploy.
    AutomaticRollback,
    /// It came with the service.
    First,
}

/// The newest `limit` releases, newest first; what is live is among them, however old.
pub async fn releases(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    limit: usize,
) -> Result<Vec<Release>, DeployError> {
    let (service, history, executions, actions) = futures::join!(
        rollouts.service(target),
        rollouts.deployments(target, Which::All, HISTORY),
        rollouts.executions(target, EXECUTIONS),
        operations.deploy_actions(target),
    );
    let service = service?;
    let history = or_none(history)?.unwrap_or_default();
    let executions = or_none(executions)?.unwrap_or_default();
    let actions = or_none(actions)?.unwrap_or_default();
    let running = live(&service.task_sets)
        .and_then(|set| set.task_definition.clone())
        .or(service.task_definition);
    let shown = shown(&history, running.as_deref(), limit);
    let definitions = definitions(operations, &shown, running.as_deref()).await?;
    let told = Told {
        executions: &executions,
        actions: &actions,
        definitions: &definitions,
    };
    Ok(list(
        &shown,
        running.as_deref(),
        &target.bundle_action,
        &told,
    ))
}

/// Rolls out again what a revision's last good deployment rolled out. Refused for a revision that never succeeded, that is live, or
/// whose task definition is retired, and while a deployment is in flight. `app_spec` makes an AppSpec of a task definition's ARN.
/// Gives the deployment, whose end is to be followed, and the task definition.
pub async fn rollback_to(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    revision: u32,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    poll: Poll,
    on_event: &mut OnEvent<'_>,
) -> Result<(String, String), DeployError> {
    refuse_in_flight(rollouts, target).await?;
    let service = rollouts.service(target).await?;
    let running = live(&service.task_sets)
        .and_then(|set| set.task_definition.clone())
        .or(service.task_definition);
    let history = rollouts.deployments(target, Which::All, HISTORY).await?;
    let good = good(&history, running.as_deref(), revision)?;
    let task_definition = good.task_definition.clone().unwrap_or_default();
    let definition = operations.definition(&task_definition).await?;
    if !definition.is_some_and(|definition| definition.active) {
        let why = "its task definition is retired: no task can be started from it";
        return Err(unfit(revision, why));
    }
    let current = history
        .iter()
        .filter(|deployment| deployment.status == DeploymentStatus::Succeeded)
        .find(|deployment| deployment.task_definition == running);
    let current = current.map_or("the first version", |current| current.id.as_str());
    let description = format!(
        "{}{current} to {}",
        crate::act::ROLLBACK_DESCRIPTION,
        good.id
    );
    let new = new_deployment(app_spec(&task_definition), &description);
    let deployment = create(rollouts, target, &new, &task_definition, poll).await?;
    on_event(Event::DeploymentCreated {
        deployment: deployment.clone(),
        task_definition: task_definition.clone(),
    });
    Ok((deployment, task_definition))
}

/// The newest deployment that succeeded with the revision; refused where there is none, with what there is instead.
fn good<'a>(
    history: &'a [DeploymentSummary],
    running: Option<&str>,
    revision: u32,
) -> Result<&'a DeploymentSummary, DeployError> {
    if running.and_then(revision_of) == Some(revision) {
        return Err(unfit(revision, "it is what runs now"));
    }
    let of_revision: Vec<&DeploymentSummary> = history
        .iter()
        .filter(|deployment| revision_in(deployment) == Some(revision))
        .collect();
    let good = of_revision
        .iter()
        .find(|deployment| deployment.status == DeploymentStatus::Succeeded);
    match (good, of_revision.first()) {
        (Some(good), _) => Ok(good),
        (None, Some(bad)) => {
            let why = format!(
                "it never succeeded: deployment {} is {}",
                bad.id, bad.status
            );
            Err(unfit(revision, &why))
        }
        (None, None) => Err(unfit(
            revision,
            "no deployment that is still known rolled it out",
        )),
    }
}

fn unfit(revision: u32, why: &str) -> DeployError {
    DeployError::UnfitRelease {
        revision,
        why: why.to_owned(),
    }
}

fn revision_in(deployment: &DeploymentSummary) -> Option<u32> {
    deployment.task_definition.as_deref().and_then(revision_of)
}

/// The newest deployments, and the one that made live what is, if it is older.
fn shown(
    history: &[DeploymentSummary],
    running: Option<&str>,
    limit: usize,
) -> Vec<DeploymentSummary> {
    let is_live = live_one(history, running);
    history
        .iter()
        .enumerate()
        .filter(|(at, deployment)| *at < limit || is_live == Some(deployment.id.as_str()))
        .map(|(_, deployment)| deployment.clone())
        .collect()
}

/// The deployment that made live what is: the newest that succeeded with it.
fn live_one<'a>(history: &'a [DeploymentSummary], running: Option<&str>) -> Option<&'a str> {
    history
        .iter()
        .filter(|deployment| deployment.status == DeploymentStatus::Succeeded)
        .find(|deployment| deployment.task_definition.as_deref() == running)
        .map(|deployment| deployment.id.as_str())
}

async fn definitions(
    operations: &dyn Operations,
    shown: &[DeploymentSummary],
    running: Option<&str>,
) -> Result<BTreeMap<String, Definition>, CloudFailure> {
    let arns: BTreeSet<&str> = shown
        .iter()
        .filter_map(|deployment| deployment.task_definition.as_deref())
        .chain(running)
        .collect();
    let each = arns.into_iter().map(|arn| async move {
        let found = operations.definition(arn).await?;
        Ok::<_, CloudFailure>(found.map(|found| (arn.to_owned(), found)))
    });
    Ok(try_join_all(each).await?.into_iter().flatten().collect())
}

/// What else is known.
struct Told<'a> {
    executions: &'a [ExecutionSummary],
    actions: &'a [DeployAction],
    definitions: &'a BTreeMap<String, Definition>,
}

fn list(
    shown: &[DeploymentSummary],
    running: Option<&str>,
    bundle_action: &str,
    told: &Told<'_>,
) -> Vec<Release> {
    let live = live_one(shown, running);
    let mut releases: Vec<Release> = shown
        .iter()
        .map(|deployment| {
            let is_live = live == Some(deployment.id.as_str());
            release(deployment, is_live, bundle_action, told)
        })
        .collect();
    if let (None, Some(running)) = (live, running) {
        releases.push(first(running, told));
    }
    releases
}

fn release(
    deployment: &DeploymentSummary,
    live: bool,
    bundle_action: &str,
    told: &Told<'_>,
) -> Release {
    let arn = deployment.task_definition.as_deref();
    let definition = arn.and_then(|arn| told.definitions.get(arn));
    let action = told
        .actions
        .iter()
        .find(|action| action.deployment == deployment.id);
    let execution = action.and_then(|action| {
        told.executions
            .iter()
            .find(|execution| execution.id == action.execution)
    });
    let revisions = execution
        .map(|execution| execution.revisions.as_slice())
        .unwrap_or_default();
    let is_source = |revision: &&Revision| revision.action != bundle_action;
    let source = revisions.iter().find(is_source);
    let purpose = purpose(deployment);
    Release {
        revision: arn.and_then(revision_of),
        task_definition: deployment.task_definition.clone(),
        live,
        active: definition.is_some_and(|definition| definition.active),
        image: definition.and_then(|definition| definition.image.clone()),
        commit: source.map(|source| source.id.clone()),
        message: source.and_then(|source| source.summary.clone()),
        deployment: Some(deployment.id.clone()),
        execution: action.map(|action| action.execution.clone()),
        purpose,
        begun: deployment.created,
        ended: deployment.completed,
        by: by(deployment, purpose, execution, definition),
        status: Some(deployment.status.clone()),
    }
}

fn purpose(deployment: &DeploymentSummary) -> Purpose {
    let description = deployment.description.as_deref().unwrap_or_default();
    if deployment.creator.as_deref() == Some(ROLLBACK_CREATOR) {
        Purpose::AutomaticRollback
    } else if description.starts_with(crate::act::ROLLBACK_DESCRIPTION) {
        Purpose::Rollback
    } else {
        Purpose::Release
    }
}

/// CodeDeploy names no person: for the pipeline what started it is told, else who registered the task definition, unless that
/// was for an earlier deployment.
fn by(
    deployment: &DeploymentSummary,
    purpose: Purpose,
    execution: Option<&ExecutionSummary>,
    definition: Option<&Definition>,
) -> Option<String> {
    let trigger = execution.and_then(|execution| execution.trigger.as_ref());
    if let Some(trigger) = trigger {
        let detail = trigger
            .detail
            .as_deref()
            .filter(|detail| !detail.is_empty());
        return Some(detail.unwrap_or(&trigger.kind).to_owned());
    }
    let registered = definition.and_then(|definition| definition.registered_by.clone());
    match purpose {
        Purpose::Release => registered.or_else(|| deployment.creator.clone()),
        _ => deployment.creator.clone(),
    }
}

/// What the service was made with.
fn first(running: &str, told: &Told<'_>) -> Release {
    let definition = told.definitions.get(running);
    Release {
        revision: revision_of(running),
        task_definition: Some(running.to_owned()),
        live: true,
        active: definition.is_some_and(|definition| definition.active),
        image: definition.and_then(|definition| definition.image.clone()),
        commit: None,
        message: None,
        deployment: None,
        execution: None,
        purpose: Purpose::First,
        begun: definition.and_then(|definition| definition.registered),
        ended: None,
        by: definition.and_then(|definition| definition.registered_by.clone()),
        status: None,
    }
}
