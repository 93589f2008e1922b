//! Everything about an app's running version and its rollouts at one moment. Must not follow, and must not decide
//! anything that `rollout.rs` doesn't.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::act::live;
use crate::error::{CloudFailure, DeployError};
use crate::event::Verdict;
use crate::follow::{Id, deployment, or_none, resolve};
use crate::rollout;
use crate::rollouts::{DeploymentSummary, ExecutionSummary, Rollouts, ServiceState, Target, Which};
use crate::snapshot::{Deployment, Execution, GroupSettings, Health, Listeners, Snapshot};

/// How many past executions and deployments a status shows.
const SHOWN: usize = 5;

/// An app's running version and its rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When it was read.
    pub at: Timestamp,
    /// The service and its task sets.
    pub service: ServiceState,
    /// What serves production.
    pub live: Live,
    /// Where both listeners send requests; `None` when there are none.
    pub listeners: Option<Listeners>,
    /// The targets of each target group.
    pub health: BTreeMap<String, Health>,
    /// The rollout in flight.
    pub in_flight: Option<InFlight>,
    /// The newest executions of the pipeline, newest first; empty without a pipeline.
    pub executions: Vec<ExecutionSummary>,
    /// The newest deployments, newest first.
    pub deployments: Vec<DeploymentSummary>,
    /// What the deployment group says about waits and steps.
    pub settings: Option<GroupSettings>,
}

/// What serves production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// The ARN of the task definition.
    pub task_definition: Option<String>,
    /// The image that it names.
    pub image: Option<String>,
    /// The target group that its tasks are in.
    pub target_group: Option<String>,
}

/// The rollout in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InFlight {
    /// The pipeline execution, if the pipeline does it.
    pub execution: Option<Execution>,
    /// The deployment, if it has come so far.
    pub deployment: Option<Deployment>,
    /// The percentage of production requests that the new tasks get.
    pub percent: Option<u8>,
    /// How it stands: what it waits for, and until when.
    pub verdict: Verdict,
}

/// Reads the status.
pub async fn status(rollouts: &dyn Rollouts, target: &Target) -> Result<Status, DeployError> {
    let at = rollouts.now();
    let (service, listeners, health, settings, executions, deployments) = futures::join!(
        rollouts.service(target),
        rollouts.listeners(target),
        rollouts.health(target),
        rollouts.settings(target),
        rollouts.executions(target, SHOWN),
        rollouts.deployments(target, Which::All, SHOWN),
    );
    let service = service?;
    let listeners = or_none(listeners)?;
    let settings = or_none(settings)?;
    let executions = or_none(executions)?.unwrap_or_default();
    let deployments = or_none(deployments)?.unwrap_or_default();
    let in_flight = match settings {
        Some(_) => in_flight(rollouts, target, at, settings.clone(), listeners.as_ref()).await?,
        None => None,
    };
    Ok(Status {
        at,
        live: what_is_live(rollouts, &service).await?,
        service,
        listeners,
        health: or_none(health)?.unwrap_or_default(),
        in_flight,
        executions,
        deployments,
        settings,
    })
}

async fn what_is_live(
    rollouts: &dyn Rollouts,
    service: &ServiceState,
) -> Result<Live, CloudFailure> {
    let set = live(&service.task_sets);
    let task_definition = set
        .and_then(|set| set.task_definition.clone())
        .or_else(|| service.task_definition.clone());
    let image = match &task_definition {
        Some(definition) => or_none(rollouts.image(definition).await)?,
        None => None,
    };
    Ok(Live {
        task_definition,
        image,
        target_group: set.and_then(|set| set.target_group.clone()),
    })
}

async fn in_flight(
    rollouts: &dyn Rollouts,
    target: &Target,
    at: Timestamp,
    settings: Option<GroupSettings>,
    listeners: Option<&Listeners>,
) -> Result<Option<InFlight>, DeployError> {
    let Some(id) = resolve(rollouts, target, &Id::InFlight).await? else {
        return Ok(None);
    };
    let execution = match &id {
        Id::Execution(id) => rollouts.execution(target, id).await?,
        _ => None,
    };
    let deployment = deployment(rollouts, target, &id)
        .await?
        .map(|(deployment, _)| deployment);
    let rollback = match deployment.as_ref().and_then(Deployment::rolled_back_by) {
        Some(rollback) => rollouts.deployment(target, rollback).await?,
        None => None,
    };
    let routes = listeners.map(|listeners| &listeners.production);
    let percent = routes
        .zip(deployment.as_ref())
        .and_then(|(routes, to)| rollout::percent_to_new(routes, to));
    let snapshot = Snapshot {
        at,
        execution,
        deployment,
        rollback,
        settings,
        ..Snapshot::default()
    };
    let verdict = rollout::verdict(&snapshot);
    Ok(Some(InFlight {
        execution: snapshot.execution,
        deployment: snapshot.deployment,
        percent,
        verdict,
    }))
}
