//! What can go wrong, named for what the caller can do about it. Must not read AWS error codes: the adapter has done
//! that, and says the result as a [`FailureKind`].

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preflight::Obstacle;
use crate::snapshot::DeploymentStatus;

/// An operation of AWS that failed, as the adapter has classified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{service} {operation} failed: {code}: {message}")]
pub struct CloudFailure {
    /// The service, such as `codedeploy`.
    pub service: String,
    /// The operation, such as `CreateDeployment`.
    pub operation: String,
    /// AWS's own code, such as `ThrottlingException`; `Connection` where no answer came.
    pub code: String,
    /// AWS's own message.
    pub message: String,
    /// The request's id, which AWS support asks for.
    pub request_id: Option<String>,
    /// What it means for the caller.
    pub kind: FailureKind,
    /// The next step, where the adapter knows one: which permission is missing, which login has expired.
    pub hint: Option<String>,
}

/// What a failure means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The thing does not exist (or not yet: AWS is eventually consistent).
    NotFound,
    /// Credentials or permissions are missing or have expired.
    Access,
    /// AWS refused because of too many calls; nothing was done.
    Throttled,
    /// The answer was lost, or never came: for a write, it is unknown whether it was done.
    Lost,
    /// AWS answered with a fault of its own (5xx): for a write, it is unknown whether it was done.
    Fault,
    /// The state forbids it: a deployment is in flight, or is not in the state that the call needs.
    Conflict,
    /// Anything else: the request is wrong, and repeating it won't help.
    Rejected,
}

impl CloudFailure {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Throttled | FailureKind::Lost | FailureKind::Fault
        )
    }

    /// Whether a write may have been done although it failed.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.kind, FailureKind::Lost | FailureKind::Fault)
    }
}

/// Why an operation of this crate failed. The message names the thing; the next step is [`DeployError::hint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The rollout that was asked for doesn't exist.
    #[error("{what} not found")]
    NotFound {
        /// What was looked for, such as `deployment d-ABC`.
        what: String,
    },
    /// Nothing is being rolled out.
    #[error("no rollout is in flight")]
    NothingInFlight,
    /// A deployment is in flight; CodeDeploy runs one at a time in a group.
    #[error("deployment {deployment} is in flight ({status})")]
    InFlight {
        /// Its id.
        deployment: String,
        /// Its status, as AWS says it.
        status: String,
    },
    /// The account is in no state in which the rollout could succeed.
    #[error("the rollout can't begin; nothing was done")]
    Obstructed(Vec<Obstacle>),
    /// The deployment isn't waiting for what was to be ended.
    #[error("deployment {deployment} is not waiting to be continued: {state}")]
    NotReady {
        /// Its id.
        deployment: String,
        /// What it does instead.
        state: String,
    },
    /// It has ended: there is nothing to stop.
    #[error("{rollout} has ended already ({status})")]
    AlreadyEnded {
        /// The rollout, such as `deployment d-ABC`.
        rollout: String,
        /// Its status, as AWS says it.
        status: String,
    },
    /// No earlier successful deployment ran another task definition than the live one.
    #[error("there is no earlier task definition to roll back to: {why}")]
    NothingToRollBackTo {
        /// What was found instead.
        why: String,
    },
    /// The revision that was asked for can't be rolled out again.
    #[error("there is no way back to revision {revision}: {why}")]
    UnfitRelease {
        /// The revision.
        revision: u32,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to answer.
    #[error("nothing waits for a person: {instead}")]
    NobodyWaits {
        /// What there is instead.
        instead: String,
    },
    /// It isn't said which of several is meant.
    #[error("several things wait for a person: {}", names.join(", "))]
    SeveralWait {
        /// Their names.
        names: Vec<String>,
    },
    /// A wait of [`crate::start()`] ran out: nothing started the pipeline.
    #[error("no execution of pipeline {pipeline} started within {seconds} s")]
    NoPush {
        /// The pipeline.
        pipeline: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The bundle can't be made: an artifact's name or size is not what a pipeline can read.
    #[error("the bundle can't be made: {0}")]
    Bundle(String),
    /// AWS failed.
    #[error(transparent)]
    Cloud(#[from] CloudFailure),
}

impl DeployError {
    /// The next step, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } | Self::NothingInFlight => Some("`ecspipe status` shows what is there".to_owned()),
            Self::InFlight { deployment, .. } => Some(format!(
                "follow it with `ecspipe watch {deployment}`, or end it with `ecspipe stop {deployment}`"
            )),
            Self::NotReady { deployment, .. } => Some(format!("follow it with `ecspipe watch {deployment}`")),
            Self::AlreadyEnded { .. } => Some("to go back to what ran before, use `ecspipe rollback`".to_owned()),
            Self::NothingToRollBackTo { .. } => {
                Some("deploy a known good image with `ecspipe deploy --image URI`".to_owned())
            }
            Self::UnfitRelease { .. } => Some("`ecspipe releases` lists what there is".to_owned()),
            Self::NobodyWaits { .. } => Some("`ecspipe status` shows what is in flight".to_owned()),
            Self::SeveralWait { names } => Some(format!("name one: `ecspipe approve {}`", names.first().map_or("", String::as_str))),
            Self::NoPush { .. } => {
                Some("push to the pipeline's branch, or let ecspipe start the pipeline: leave the waiting out".to_owned())
            }
            Self::Bundle(_) | Self::Obstructed(_) => None,
            Self::Cloud(failure) => failure.hint.clone(),
        }
    }

    /// Whether credentials or permissions are what is missing.
    pub fn is_access(&self) -> bool {
        matches!(self, Self::Cloud(failure) if failure.kind == FailureKind::Access)
    }

    /// A [`DeployError::InFlight`] for a deployment with its status.
    pub(crate) fn in_flight(deployment: &str, status: &DeploymentStatus) -> Self {
        Self::InFlight {
            deployment: deployment.to_owned(),
            status: status.to_string(),
        }
    }

    /// A [`DeployError::NotFound`] for `what`.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::NotFound {
            what: what.to_string(),
        }
    }
}
