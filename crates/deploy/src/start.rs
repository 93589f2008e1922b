//! Starts a rollout: by the pipeline ([`start`]) or straight through CodeDeploy ([`start_image`]). Must not follow it: it ends when the
//! rollout has an id. Nothing here may start a second rollout for the same change, not even when an answer is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::bundle::{Bundle, sha256};
use crate::error::{CloudFailure, DeployError, FailureKind};
use crate::event::{Event, StartedBy};
use crate::follow::{OnEvent, Poll};
use crate::rollouts::{
    DeploymentSummary, ExecutionSummary, NewDeployment, Rollouts, Target, Which,
};
use crate::snapshot::ExecutionStatus;

/// How many executions or deployments are looked at for one that is new.
const RECENT: usize = 20;

/// How often a write is tried whose outcome stays unknown, looking each time whether it was done.
const ATTEMPTS: u32 = 3;

/// How a rollout is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOptions {
    /// Makes StartPipelineExecution safe to repeat: unique to this intention of the user; 1 to 128 letters, digits, hyphens.
    pub token: String,
    /// How long a changed bundle may take to start the pipeline by itself before it is started by request.
    pub push_wait: Duration,
    /// Who starts the pipeline.
    pub start: Start,
    /// How often AWS is asked while waiting.
    pub poll: Poll,
}

impl StartOptions {
    /// The defaults, with the caller's token: 30 s for the push, the request if there is none.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            push_wait: Duration::from_secs(30),
            start: Start::Request,
            poll: Poll {
                every: Duration::from_secs(2),
                at_most: Duration::from_secs(5),
            },
        }
    }
}

/// Who starts the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The changed bundle; if that doesn't, or nothing has changed, this crate.
    Request,
    /// A push alone: the execution that starts next, or that is running already with the same bundle.
    Push {
        /// How long to wait for it.
        within: Duration,
    },
}

/// A pipeline execution that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its id, for [`crate::follow()`].
    pub execution: String,
    /// Who started it.
    pub by: StartedBy,
    /// What became of the bundle.
    pub bundle: BundlePut,
}

/// What became of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundlePut {
    /// It was put.
    Put {
        /// The object's version.
        version: String,
    },
    /// S3 has the same content.
    Unchanged {
        /// The object's version.
        version: String,
    },
}

/// A deployment that was created without the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedImage {
    /// Its id, for [`crate::follow()`].
    pub deployment: String,
    /// The task definition that was registered.
    pub task_definition: String,
}

/// Puts the bundle if its content is new, and gives the execution of the pipeline that takes it.
///
/// The change of the bundle starts the pipeline by itself (EventBridge); a push may do so at the same moment. So the
/// pipeline is only started by request when no execution with the new bundle appears within `options.push_wait`. Where
/// nothing has changed and an execution with this bundle runs already, that one is given: whatever else changes, such as the
/// branch, starts an execution of its own.
pub async fn start(
    rollouts: &dyn Rollouts,
    target: &Target,
    bundle: &Bundle,
    options: &StartOptions,
    on_event: &mut OnEvent<'_>,
) -> Result<Started, DeployError> {
    let before: BTreeSet<_> = rollouts
        .executions(target, RECENT)
        .await?
        .into_iter()
        .map(|known| known.id)
        .collect();
    let put = put_bundle(rollouts, target, bundle, on_event).await?;
    let earlier = match &put {
        BundlePut::Unchanged { version } => running_with(rollouts, target, version).await?,
        BundlePut::Put { .. } => None,
    };
    let pushed = match (&earlier, &options.start, &put) {
        (Some(_), ..) | (None, Start::Request, BundlePut::Unchanged { .. }) => None,
        (None, Start::Push { within }, _) => {
            on_event(Event::PushAwaited {
                version: None,
                seconds: within.as_secs(),
            });
            let found = await_execution(rollouts, options, *within, target, &before, None).await?;
            let missing = DeployError::NoPush {
                pipeline: target.pipeline.clone(),
                seconds: within.as_secs(),
            };
            Some(found.ok_or(missing)?)
        }
        (None, Start::Request, BundlePut::Put { version }) => {
            let seconds = options.push_wait.as_secs();
            on_event(Event::PushAwaited {
                version: Some(version.clone()),
                seconds,
            });
            await_execution(
                rollouts,
                options,
                options.push_wait,
                target,
                &before,
                Some(version),
            )
            .await?
        }
    };
    let (execution, by) = match (earlier, pushed) {
        (Some(execution), _) => (execution, StartedBy::Earlier),
        (None, Some(execution)) => (execution, StartedBy::Push),
        (None, None) => (
            request(rollouts, target, options).await?,
            StartedBy::Request,
        ),
    };
    on_event(Event::ExecutionStarted {
        execution: execution.clone(),
        by,
    });
    Ok(Started {
        execution,
        by,
        bundle: put,
    })
}

/// Registers `definition` (the camelCase JSON input of RegisterTaskDefinition), and creates a CodeDeploy deployment with
/// the AppSpec that `app_spec` makes of its ARN. Refused while a deployment is in flight, before anything is made.
pub async fn start_image(
    rollouts: &dyn Rollouts,
    target: &Target,
    definition: &serde_json::Value,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    description: &str,
    options: &StartOptions,
    on_event: &mut OnEvent<'_>,
) -> Result<StartedImage, DeployError> {
    refuse_in_flight(rollouts, target).await?;
    let task_definition = rollouts
        .register_task_definition(target, definition)
        .await?;
    on_event(Event::TaskDefinitionRegistered {
        task_definition: task_definition.clone(),
    });
    let new = new_deployment(app_spec(&task_definition), description);
    let deployment = create(rollouts, target, &new, &task_definition, options.poll).await?;
    on_event(Event::DeploymentCreated {
        deployment: deployment.clone(),
        task_definition: task_definition.clone(),
    });
    Ok(StartedImage {
        deployment,
        task_definition,
    })
}

/// A deployment of an AppSpec; CodeDeploy takes at most 256 characters of description.
pub(crate) fn new_deployment(app_spec: String, description: &str) -> NewDeployment {
    let sha256 = sha256(app_spec.as_bytes());
    NewDeployment {
        app_spec,
        sha256,
        description: description.chars().take(256).collect(),
    }
}

/// CreateDeployment, which has no token: when its answer is lost, the deployment is looked for among those that are new
/// and have the same task definition and description, before it is tried again.
pub(crate) async fn create(
    rollouts: &dyn Rollouts,
    target: &Target,
    new: &NewDeployment,
    task_definition: &str,
    poll: Poll,
) -> Result<String, DeployError> {
    let before: BTreeSet<_> = rollouts
        .deployments(target, Which::All, RECENT)
        .await?
        .into_iter()
        .map(|known| known.id)
        .collect();
    let is_ours = |deployment: &&DeploymentSummary| {
        !before.contains(&deployment.id)
            && deployment.description.as_deref() == Some(&new.description)
            && deployment
                .task_definition
                .as_deref()
                .is_none_or(|known| known == task_definition)
    };
    let mut attempt = 1;
    loop {
        let failure = match rollouts.create_deployment(target, new).await {
            Ok(id) => return Ok(id),
            Err(failure) => failure,
        };
        if failure.kind == FailureKind::Conflict || failure.is_ambiguous() {
            // CodeDeploy's lists lag a little behind its writes.
            sleep(poll.every).await;
            let deployments = rollouts.deployments(target, Which::All, RECENT).await?;
            if let Some(ours) = deployments.iter().find(is_ours) {
                return Ok(ours.id.clone());
            }
        }
        if failure.kind == FailureKind::Conflict {
            refuse_in_flight(rollouts, target).await?;
        }
        if attempt == ATTEMPTS || !failure.is_transient() {
            return Err(failure.into());
        }
        attempt += 1;
        sleep(poll.every).await;
    }
}

/// An error if a deployment is in flight.
pub(crate) async fn refuse_in_flight(
    rollouts: &dyn Rollouts,
    target: &Target,
) -> Result<(), DeployError> {
    match rollouts
        .deployments(target, Which::InFlight, RECENT)
        .await?
        .into_iter()
        .next()
    {
        Some(deployment) => Err(DeployError::in_flight(&deployment.id, &deployment.status)),
        None => Ok(()),
    }
}

/// Puts the bundle if its content is new. Safe against a lost answer: a second version is never put for the same content.
pub async fn put_bundle(
    rollouts: &dyn Rollouts,
    target: &Target,
    bundle: &Bundle,
    on_event: &mut OnEvent<'_>,
) -> Result<BundlePut, DeployError> {
    if let Some(version) = stored(rollouts, target, bundle).await? {
        on_event(Event::BundleUnchanged {
            version: version.clone(),
            sha256: bundle.sha256.clone(),
        });
        return Ok(BundlePut::Unchanged { version });
    }
    let version = put_first_bundle(rollouts, target, bundle).await?;
    on_event(Event::BundlePut {
        version: version.clone(),
        sha256: bundle.sha256.clone(),
    });
    Ok(BundlePut::Put { version })
}

/// Puts the bundle where its caller knows that there is none, or another; gives its version. As safe against a lost answer.
pub async fn put_first_bundle(
    rollouts: &dyn Rollouts,
    target: &Target,
    bundle: &Bundle,
) -> Result<String, DeployError> {
    let mut attempt = 1;
    loop {
        let failure = match rollouts
            .put_bundle(target, &bundle.bytes, &bundle.sha256)
            .await
        {
            Ok(version) => return Ok(version),
            Err(failure) => failure,
        };
        // A second version would start the pipeline a second time, so a lost answer is looked after first.
        if failure.is_ambiguous()
            && let Some(version) = stored(rollouts, target, bundle).await?
        {
            return Ok(version);
        }
        if attempt == ATTEMPTS || !failure.is_transient() {
            return Err(failure.into());
        }
        attempt += 1;
        sleep(Duration::from_secs(1)).await;
    }
}

/// The version of what is stored, if it is this bundle.
async fn stored(
    rollouts: &dyn Rollouts,
    target: &Target,
    bundle: &Bundle,
) -> Result<Option<String>, DeployError> {
    let stored = rollouts.bundle(target).await?;
    let same = stored.filter(|stored| stored.sha256.as_deref() == Some(&bundle.sha256));
    Ok(same.map(|stored| stored.version))
}

/// The execution that has started since `before` and takes `version` of the bundle (or any); `None` if there is none
/// within the time. One that hasn't read its sources yet may be it: it gets the same time again to do so.
async fn await_execution(
    rollouts: &dyn Rollouts,
    options: &StartOptions,
    within: Duration,
    target: &Target,
    before: &BTreeSet<String>,
    version: Option<&str>,
) -> Result<Option<String>, DeployError> {
    let start = Instant::now();
    loop {
        let mut undecided = None;
        // The oldest first: what started first is what the user's change started.
        for execution in rollouts.executions(target, RECENT).await?.into_iter().rev() {
            let is_old = before.contains(&execution.id);
            // One that was there before may have read its sources after the bundle changed: then its revision says so.
            if is_old && (version.is_none() || bundle_of(&execution, target) != version) {
                continue;
            }
            match takes(&execution, target, version) {
                Some(true) => return Ok(Some(execution.id)),
                Some(false) => {}
                None => undecided = undecided.or(Some(execution.id)),
            }
        }
        let limit = if undecided.is_some() {
            within * 2
        } else {
            within
        };
        if start.elapsed() >= limit {
            return Ok(None);
        }
        sleep(
            options
                .poll
                .every
                .min(limit.saturating_sub(start.elapsed())),
        )
        .await;
    }
}

/// Whether an execution takes this version of the bundle; `None` when that isn't known yet.
fn takes(execution: &ExecutionSummary, target: &Target, version: Option<&str>) -> Option<bool> {
    let Some(version) = version else {
        return Some(true);
    };
    if let Some(bundle) = bundle_of(execution, target) {
        return Some(bundle == version);
    }
    let detail = execution
        .trigger
        .as_ref()
        .and_then(|trigger| trigger.detail.as_deref())
        .unwrap_or_default();
    // EventBridge names the rule's ARN as the trigger; the rule fires for nothing but a new version of the bundle.
    if detail.rsplit('/').next() == Some(target.bundle_rule.as_str()) {
        return Some(true);
    }
    if crate::follow::is_running(&execution.status) {
        None
    } else {
        Some(false)
    }
}

/// The version of the bundle that an execution has read.
fn bundle_of<'a>(execution: &'a ExecutionSummary, target: &Target) -> Option<&'a str> {
    let bundle = execution
        .revisions
        .iter()
        .find(|revision| revision.action == target.bundle_action);
    bundle.map(|revision| revision.id.as_str())
}

/// The newest execution that runs and has taken this version of the bundle, or hasn't read its sources yet and so will.
async fn running_with(
    rollouts: &dyn Rollouts,
    target: &Target,
    version: &str,
) -> Result<Option<String>, CloudFailure> {
    let executions = rollouts.executions(target, RECENT).await?;
    let found = executions.into_iter().find(|execution| {
        execution.status == ExecutionStatus::InProgress
            && takes(execution, target, Some(version)) != Some(false)
    });
    Ok(found.map(|execution| execution.id))
}

/// Whether an execution runs that takes the bundle of this SHA-256.
pub(crate) async fn running_same(
    rollouts: &dyn Rollouts,
    target: &Target,
    sha256: &str,
) -> Result<bool, CloudFailure> {
    let stored = rollouts.bundle(target).await?;
    match stored.filter(|stored| stored.sha256.as_deref() == Some(sha256)) {
        Some(stored) => Ok(running_with(rollouts, target, &stored.version)
            .await?
            .is_some()),
        None => Ok(false),
    }
}

/// StartPipelineExecution; its token makes it safe to repeat.
async fn request(
    rollouts: &dyn Rollouts,
    target: &Target,
    options: &StartOptions,
) -> Result<String, CloudFailure> {
    let mut attempt = 1;
    loop {
        match rollouts.start_execution(target, &options.token).await {
            Err(failure) if failure.is_transient() && attempt < ATTEMPTS => {
                attempt += 1;
                sleep(options.poll.every).await;
            }
            answer => return answer,
        }
    }
}
