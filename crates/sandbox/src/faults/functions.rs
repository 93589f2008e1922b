//! How a Lambda function behaves when it is called: the sandbox runs no code, so a dial says. Must not call one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::word;

/// How a function behaves; one that nothing is said about succeeds. In JSON an object with one key, or a word alone:
/// `{"fail": {"after": 30, "log": ["two of three checks failed"]}}`, `"silent"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Behaviour(pub Course);

/// What a function does. `after` are seconds until it is done, `log` is what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Course {
    /// It returns; a hook of a deployment is told that it succeeded.
    Succeed {
        /// Seconds.
        #[serde(default = "soon")]
        after: u64,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It returns; a hook of a deployment is told that it failed.
    Fail {
        /// Seconds.
        #[serde(default = "soon")]
        after: u64,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It returns; a hook of a deployment is never told anything.
    Silent {
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It throws before it has told anybody anything.
    Throw {
        /// The error's message.
        #[serde(default = "thrown")]
        message: String,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
}

/// By the function's name, or `*` for every function.
pub type ByFunction = BTreeMap<String, Behaviour>;

/// The names, for whoever wrote another one.
const NAMES: &str = "succeed, fail, silent, throw";

fn soon() -> u64 {
    1
}

fn thrown() -> String {
    "the sandbox's fault dial makes this function throw".to_owned()
}

impl Default for Course {
    fn default() -> Self {
        Self::Succeed {
            after: soon(),
            log: Vec::new(),
        }
    }
}

impl Course {
    /// What it says.
    pub(crate) fn log(&self) -> &[String] {
        match self {
            Self::Succeed { log, .. }
            | Self::Fail { log, .. }
            | Self::Silent { log }
            | Self::Throw { log, .. } => log,
        }
    }
}

impl TryFrom<Value> for Behaviour {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        word::read(value, "behaviour of a function", NAMES).map(Self)
    }
}

impl From<Behaviour> for Value {
    fn from(behaviour: Behaviour) -> Self {
        serde_json::to_value(behaviour.0).unwrap_or_default()
    }
}

/// How the function of a name behaves.
pub(crate) fn of_function(behaviours: &ByFunction, name: &str) -> Course {
    let found = behaviours.get(name).or_else(|| behaviours.get("*"));
    found
        .map(|behaviour| behaviour.0.clone())
        .unwrap_or_default()
}
