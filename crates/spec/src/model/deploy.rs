//! The part of the spec that says how a new version replaces the old one. Must not hold raw, unchecked text.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::types::{Function, Millis, Percent, Percentile, Span};

/// How a new version replaces the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deploy {
    /// Who moves the traffic.
    pub engine: Engine,
    /// In which steps production traffic moves.
    pub strategy: Strategy,
    /// Wait for `reroute` before production traffic moves; `None` goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// How long the old tasks are kept after the traffic has moved.
    pub keep_old: Span,
    /// What rolls a deployment back by itself.
    pub rollback_on: Vec<RollbackOn>,
    /// What stops a deployment while it runs: at most [`Deploy::MOST_ALARMS`] alarms in CloudWatch, see [`Deploy::alarm_count`].
    pub alarms: Vec<Alarm>,
    /// The Lambda functions that CodeDeploy calls on its way, one an event; each must say within an hour that it succeeded.
    pub hooks: BTreeMap<HookEvent, Function>,
    /// What is asked of the test listener while a deployment waits at `Ready`, in this order. Not empty only beside `approve`:
    /// who follows a rollout asks, reroutes when all of it is as it should be, and else stops with a rollback.
    pub checks: Vec<Check>,
    /// After how many tasks of the new version that stopped by themselves a rollout is given up.
    pub fail_fast: FailFast,
}

impl Deploy {
    /// The alarms that a deployment group may have (AWS.md §4.1).
    pub const MOST_ALARMS: usize = 10;

    /// Whether it names alarms or functions, which must exist.
    pub fn names_existing(&self) -> bool {
        let exists = |alarm: &Alarm| matches!(alarm, Alarm::Existing(_));
        !self.hooks.is_empty() || self.alarms.iter().any(exists)
    }

    /// How many alarms the deployment group gets: one that exists is one, a declared one is made for each of the two target
    /// groups.
    pub fn alarm_count(&self) -> usize {
        self.alarms.iter().map(Alarm::count).sum()
    }
}

/// Who moves the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// AWS CodeDeploy, blue/green.
    Codedeploy,
}

/// In which steps production traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All of it in one step.
    AllAtOnce,
    /// A first part, a wait, then the rest.
    Canary {
        /// The first part: 1 to 99 percent.
        percent: u8,
        /// The wait in whole minutes.
        wait: Span,
    },
    /// Equal parts at equal intervals.
    Linear {
        /// Each part: 1 to 99 percent.
        percent: u8,
        /// The interval in whole minutes.
        every: Span,
    },
}

/// The wait for a person at CodeDeploy's `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Approve {
    /// After this time without `reroute` the deployment is stopped. Whole minutes, 1 to 7200.
    pub within: Span,
}

/// What rolls a deployment back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackOn {
    /// The deployment failed: `DEPLOYMENT_FAILURE`.
    Failure,
    /// Somebody stopped it: `DEPLOYMENT_STOP_ON_REQUEST`.
    Stop,
    /// One of `alarms` fired: `DEPLOYMENT_STOP_ON_ALARM`.
    Alarm,
}

/// What stops a deployment while it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Alarm {
    /// An alarm that exists, by its name.
    Existing(String),
    /// What is watched by alarms of the app's own, one for each target group.
    Declared(Condition),
}

impl Alarm {
    /// How many alarms it is in the deployment group.
    pub fn count(&self) -> usize {
        match self {
            Self::Existing(_) => 1,
            Self::Declared(_) => 2,
        }
    }
}

/// What must not be for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Answers of the tasks with a status from 500 to 599.
    #[serde(rename = "http_5xx")]
    Http5xx {
        /// The part of all answers that is too much when it is exceeded.
        above: Percent,
        /// For how long: whole minutes, each of them too bad.
        #[serde(rename = "for")]
        during: Span,
    },
    /// How long tasks take to answer.
    Latency {
        /// The part of the requests that must be answered in time, in percent.
        p: Percentile,
        /// The time that is too long when it is exceeded.
        above: Millis,
        /// For how long: whole minutes, each of them too bad.
        #[serde(rename = "for")]
        during: Span,
    },
    /// Tasks that the load balancer holds for unhealthy.
    UnhealthyTargets {
        /// The number of them that is too many when it is exceeded.
        above: u32,
        /// For how long: whole minutes, each of them too bad.
        #[serde(rename = "for")]
        during: Span,
    },
}

impl Condition {
    /// What is watched, as it is in the alarm's name: `http-5xx`, `latency-p99`, `unhealthy-targets`. No two conditions of a spec
    /// have the same.
    pub fn subject(&self) -> String {
        match self {
            Self::Http5xx { .. } => "http-5xx".to_owned(),
            Self::Latency { p, .. } => format!("latency-{p}"),
            Self::UnhealthyTargets { .. } => "unhealthy-targets".to_owned(),
        }
    }

    /// For how long it has to be.
    pub fn during(&self) -> Span {
        match self {
            Self::Http5xx { during, .. }
            | Self::Latency { during, .. }
            | Self::UnhealthyTargets { during, .. } => *during,
        }
    }
}

impl fmt::Display for Condition {
    /// In words, such as `more than 1% of the answers are 5xx for 2m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http5xx { above, during } => {
                write!(f, "more than {above} of the answers are 5xx for {during}")
            }
            Self::Latency { p, above, during } => {
                write!(
                    f,
                    "the {p} of the answers takes longer than {above} for {during}"
                )
            }
            Self::UnhealthyTargets { above, during } => {
                write!(f, "more than {above} targets are unhealthy for {during}")
            }
        }
    }
}

/// Where in a deployment a function is called (AWS.md §1.1), in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    /// Before the new tasks are made. A failure here has nothing to roll back.
    BeforeInstall,
    /// When the new tasks are healthy.
    AfterInstall,
    /// When the test listener leads to them.
    AfterAllowTestTraffic,
    /// Before production traffic moves.
    BeforeAllowTraffic,
    /// When all of it has moved.
    AfterAllowTraffic,
}

impl HookEvent {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 5] = [
        Self::BeforeInstall,
        Self::AfterInstall,
        Self::AfterAllowTestTraffic,
        Self::BeforeAllowTraffic,
        Self::AfterAllowTraffic,
    ];

    /// CodeDeploy's name of the lifecycle event, such as `BeforeInstall`.
    pub fn lifecycle_event(self) -> &'static str {
        match self {
            Self::BeforeInstall => "BeforeInstall",
            Self::AfterInstall => "AfterInstall",
            Self::AfterAllowTestTraffic => "AfterAllowTestTraffic",
            Self::BeforeAllowTraffic => "BeforeAllowTraffic",
            Self::AfterAllowTraffic => "AfterAllowTraffic",
        }
    }

    /// The key in the spec, such as `before_install`.
    pub fn key(self) -> &'static str {
        match self {
            Self::BeforeInstall => "before_install",
            Self::AfterInstall => "after_install",
            Self::AfterAllowTestTraffic => "after_allow_test_traffic",
            Self::BeforeAllowTraffic => "before_allow_traffic",
            Self::AfterAllowTraffic => "after_allow_traffic",
        }
    }

    /// Whether it comes before production traffic moves, and so counts into the time that CodeDeploy gives until then.
    pub fn is_before_shift(self) -> bool {
        self < Self::AfterAllowTraffic
    }
}

/// A request to the test listener and the answer that it must get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The path that is asked for, with `GET`; redirects are not followed.
    pub path: String,
    /// The status codes that are right, such as `200` or `200-399`.
    pub status: String,
    /// Text that the body must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// How many right answers in a row are enough.
    pub times: u32,
    /// The time for it, from the first request on: a wrong answer begins the row anew until then.
    pub within: Span,
}

impl Check {
    /// Whether a status code is right.
    pub fn expects(&self, code: u16) -> bool {
        let number = |text: &str| text.parse::<u16>().ok();
        self.status
            .split(',')
            .any(|part| match part.split_once('-') {
                Some((from, to)) => {
                    number(from).is_some_and(|from| from <= code)
                        && number(to).is_some_and(|to| code <= to)
                }
                None => number(part) == Some(code),
            })
    }
}

/// After how many tasks of the new version that stopped by themselves a rollout is given up, with a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailFast {
    /// After so many: 1 to 10.
    After(u32),
    /// Never: CodeDeploy gives up by itself after an hour.
    Off,
}

impl Serialize for FailFast {
    /// As the file has it: a number, or `off`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(count) => serializer.serialize_u32(*count),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}
