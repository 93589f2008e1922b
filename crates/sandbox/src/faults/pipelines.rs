//! How builds and actions of pipelines end badly. Must not know how they end well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::word;

/// How a build ends. In JSON an object with one key, or a word alone:
/// `{"fail": {"phase": "BUILD", "log": ["npm ERR! code 1"]}}`, `"hang"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct BuildFault(pub BuildEnd);

/// How a build ends badly. `phase` is where, by CodeBuild's name for it; `log` is what it says before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BuildEnd {
    /// A command fails: `FAILED`.
    Fail {
        /// The phase.
        #[serde(default = "build")]
        phase: String,
        /// What the phase's context says.
        #[serde(default = "failed")]
        message: String,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// CodeBuild fails by itself: `FAULT`.
    Fault {
        /// The phase.
        #[serde(default = "provisioning")]
        phase: String,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// A phase doesn't end, until the project's time limit: `TIMED_OUT`.
    Hang {
        /// The phase.
        #[serde(default = "build")]
        phase: String,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
}

/// How an action of a pipeline ends, whatever it would have done: `{"fail": {"message": "…"}}`, `"hang"`, `"cancel"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct ActionFault(pub ActionEnd);

/// How an action ends badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionEnd {
    /// It fails as soon as it begins.
    Fail {
        /// The code of its error.
        #[serde(default = "job_failed")]
        code: String,
        /// What is said about it.
        #[serde(default = "told")]
        message: String,
    },
    /// It is never seen to end, until CodePipeline's time limit for it.
    Hang {},
    /// The whole execution is cancelled when the action would begin.
    Cancel {},
}

/// By the project's name, or `*` for every project.
pub type ByProject = BTreeMap<String, BuildFault>;
/// By `pipeline/stage/action`, the action's name alone, or `*` for every action.
pub type ByAction = BTreeMap<String, ActionFault>;

const BUILD_NAMES: &str = "fail, fault, hang";
const ACTION_NAMES: &str = "fail, hang, cancel";
/// The phases that something can go wrong in.
const PHASES: [&str; 9] = [
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
];

fn build() -> String {
    "BUILD".to_owned()
}

fn provisioning() -> String {
    "PROVISIONING".to_owned()
}

fn failed() -> String {
    "Error while executing command: docker buildx build. Reason: exit status 1".to_owned()
}

fn job_failed() -> String {
    "JobFailed".to_owned()
}

fn told() -> String {
    "the sandbox's fault dial makes this action fail".to_owned()
}

impl BuildEnd {
    /// The phase that it happens in.
    pub(crate) fn phase(&self) -> &str {
        match self {
            Self::Fail { phase, .. } | Self::Fault { phase, .. } | Self::Hang { phase, .. } => {
                phase
            }
        }
    }

    /// What the build says before.
    pub(crate) fn log(&self) -> &[String] {
        match self {
            Self::Fail { log, .. } | Self::Fault { log, .. } | Self::Hang { log, .. } => log,
        }
    }
}

impl TryFrom<Value> for BuildFault {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let end: BuildEnd = word::read(value, "fault of builds", BUILD_NAMES)?;
        match PHASES.contains(&end.phase()) {
            true => Ok(Self(end)),
            false => Err(format!(
                "{} is no phase of a build; there are {}",
                end.phase(),
                PHASES.join(", ")
            )),
        }
    }
}

impl From<BuildFault> for Value {
    fn from(fault: BuildFault) -> Self {
        serde_json::to_value(fault.0).unwrap_or_default()
    }
}

impl TryFrom<Value> for ActionFault {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        word::read(value, "fault of actions", ACTION_NAMES).map(Self)
    }
}

impl From<ActionFault> for Value {
    fn from(fault: ActionFault) -> Self {
        serde_json::to_value(fault.0).unwrap_or_default()
    }
}

/// How builds of a project end, where that is dialled.
pub(crate) fn of_project(faults: &ByProject, project: &str) -> Option<BuildEnd> {
    let found = faults.get(project).or_else(|| faults.get("*"));
    found.map(|fault| fault.0.clone())
}

/// How an action ends, where that is dialled.
pub(crate) fn of_action(
    faults: &ByAction,
    pipeline: &str,
    stage: &str,
    action: &str,
) -> Option<ActionEnd> {
    let full = format!("{pipeline}/{stage}/{action}");
    let found = [full.as_str(), action, "*"]
        .into_iter()
        .find_map(|name| faults.get(name));
    found.map(|fault| fault.0.clone())
}
