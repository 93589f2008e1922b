//! What goes wrong with the tasks of an image: the dial by which a rehearsal says so, in JSON and in a Dockerfile's label. Must not
//! know what a service makes of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::word;

/// What goes wrong with an image's tasks. In JSON the trouble is the one key besides `times`, or a word alone where its
/// defaults do: `{"crash": {"exit_code": 3, "after": 5, "log": ["boom"]}, "times": 2}`, `"hang"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct TaskFault {
    /// What it is.
    pub trouble: Trouble,
    /// Only so many tasks have it, those that start next; `None`: every task, those that run already too.
    pub times: Option<u32>,
}

/// What goes wrong with a container. `log` is what it says before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trouble {
    /// It exits by itself.
    Crash {
        /// The exit code, 0 to 255.
        #[serde(default = "one")]
        exit_code: i64,
        /// Seconds after the start.
        #[serde(default = "soon")]
        after: u64,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It is killed because it takes too much memory.
    OutOfMemory {
        /// Seconds after the start.
        #[serde(default = "soon")]
        after: u64,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It takes connections and never answers.
    Hang {
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It runs, and nothing listens on its port.
    NotListening {
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// It answers every request with a bad status.
    Unhealthy {
        /// The status, 100 to 599.
        #[serde(default = "unavailable")]
        status: u16,
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// The health check of its task definition fails, though it answers the balancer.
    FailCheck {
        /// Lines of its log.
        #[serde(default)]
        log: Vec<String>,
    },
    /// Its image can't be pulled.
    CannotPull {
        /// Why not.
        #[serde(default)]
        why: Unpulled,
    },
}

/// Why an image can't be pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpulled {
    /// There is no such image.
    #[default]
    Missing,
    /// None of the image's manifests is for the task's platform.
    Platform,
    /// The registry doesn't answer.
    Unreachable,
    /// The registry has had too many pulls.
    RateLimit,
}

/// By a part of the image's URI, or `*` for every image.
pub type ByImage = BTreeMap<String, TaskFault>;

/// When a container goes that is to exit and wasn't told when.
const SOON: u64 = 5;
/// A fault that comes later than a day wouldn't be seen.
const LATEST: u64 = 86_400;

/// The names, for whoever wrote another one.
const NAMES: &str = "crash, out_of_memory, hang, not_listening, unhealthy, fail_check, cannot_pull";

fn one() -> i64 {
    1
}

fn soon() -> u64 {
    SOON
}

fn unavailable() -> u16 {
    503
}

impl TaskFault {
    /// A trouble of every task.
    pub fn new(trouble: Trouble) -> Self {
        Self {
            trouble,
            times: None,
        }
    }

    /// Every request is answered with 503.
    pub fn unhealthy() -> Self {
        Self::new(Trouble::Unhealthy {
            status: unavailable(),
            log: Vec::new(),
        })
    }

    /// What a label of a Dockerfile says: the same JSON, or a word alone. The error says what is possible.
    ///
    /// Whoever can't pull an image can't read its label, and every task of an image has what its label says.
    pub fn of_label(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let value = match text.starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?,
            false => Value::String(text.to_owned()),
        };
        let fault = Self::try_from(value)?;
        match fault {
            Self { times: Some(_), .. } => {
                Err("times can't be given in a label; dial it at /_sandbox/faults".to_owned())
            }
            Self {
                trouble: Trouble::CannotPull { .. },
                ..
            } => {
                Err("cannot_pull can't be given in a label; dial it at /_sandbox/faults".to_owned())
            }
            fault => Ok(fault),
        }
    }
}

impl TryFrom<Value> for TaskFault {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let mut given = word::object(value).unwrap_or_default();
        let times = match given.remove("times") {
            None | Some(Value::Null) => None,
            Some(times) => {
                Some(serde_json::from_value(times).map_err(|error| format!("times: {error}"))?)
            }
        };
        let trouble: Trouble = word::read(Value::Object(given), "fault of tasks", NAMES)?;
        trouble.check()?;
        Ok(Self { trouble, times })
    }
}

impl From<TaskFault> for Value {
    fn from(fault: TaskFault) -> Self {
        let mut value = serde_json::to_value(fault.trouble).unwrap_or_default();
        if let Some(times) = fault.times {
            value["times"] = times.into();
        }
        value
    }
}

impl Trouble {
    /// Numbers that no container could have.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Crash { exit_code, .. } if !(0..=255).contains(exit_code) => {
                Err(format!("exit_code must be 0 to 255, not {exit_code}"))
            }
            Self::Unhealthy { status, .. } if !(100..=599).contains(status) => {
                Err(format!("status must be 100 to 599, not {status}"))
            }
            Self::Crash { after, .. } | Self::OutOfMemory { after, .. } if *after > LATEST => Err(
                format!("after must be at most {LATEST} seconds, not {after}"),
            ),
            _ => Ok(()),
        }
    }

    /// What the container says.
    pub(crate) fn log(&self) -> &[String] {
        match self {
            Self::Crash { log, .. }
            | Self::OutOfMemory { log, .. }
            | Self::Hang { log }
            | Self::NotListening { log }
            | Self::Unhealthy { log, .. }
            | Self::FailCheck { log } => log,
            Self::CannotPull { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::of_part;
    use super::*;

    #[test]
    fn a_fault_is_a_word_or_an_object() {
        for (text, want) in [
            ("hang", r#"{"hang":{"log":[]}}"#),
            ("crash", r#"{"crash":{"exit_code":1,"after":5,"log":[]}}"#),
            (
                r#"{"crash": {"exit_code": 3, "log": ["boom"]}, "times": 2}"#,
                r#"{"crash":{"exit_code":3,"after":5,"log":["boom"]},"times":2}"#,
            ),
            (
                r#"{"cannot_pull": {"why": "platform"}}"#,
                r#"{"cannot_pull":{"why":"platform"}}"#,
            ),
        ] {
            let value = match text.starts_with('{') {
                true => serde_json::from_str(text).unwrap(),
                false => Value::String(text.to_owned()),
            };
            let fault = TaskFault::try_from(value).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), want);
        }
    }

    #[test]
    fn a_wrong_fault_says_what_is_possible() {
        for (text, words) in [
            ("explode", "not_listening"),
            (r#"{"crash": {"exit_code": 256}}"#, "0 to 255"),
            (r#"{"crash": {"exit": 1}}"#, "unknown field `exit`"),
            (r#"{"crash": {}, "hang": {}}"#, "one name"),
            (r#"{"times": 2}"#, "one name"),
            (r#"{"crash": {}, "times": "x"}"#, "times"),
            (r#"{"unhealthy": {"status": 99}}"#, "100 to 599"),
            (r#"{"out_of_memory": {"after": 100000}}"#, "86400"),
            ("{", "JSON"),
            ("cannot_pull", "dial it"),
            (r#"{"hang": {}, "times": 1}"#, "dial it"),
        ] {
            let error = TaskFault::of_label(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_longest_pattern_wins() {
        let faults = ByImage::from(
            ["*", "shop", "shop:bad"].map(|pattern| (pattern.to_owned(), TaskFault::unhealthy())),
        );
        for (uri, want) in [("shop:bad", "shop:bad"), ("my/shop:1", "shop"), ("x", "*")] {
            assert_eq!(of_part(&faults, uri).unwrap().0, want);
        }
        assert!(of_part(&ByImage::new(), "x").is_none());
    }
}
