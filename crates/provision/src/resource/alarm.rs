//! Properties of an alarm on one of the app's target groups. Must not say which alarms an app has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Id;

/// A CloudWatch alarm. It watches one metric, or a formula of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// What it watches, in words.
    pub description: String,
    /// The metrics; without a formula it is one.
    pub metrics: BTreeSet<AlarmMetric>,
    /// The formula, in which the metrics stand by their ids.
    pub formula: Option<String>,
    /// `GreaterThanThreshold` or another comparison.
    pub comparison: String,
    /// What the value is compared with: the shortest decimal number that reads back as the same.
    pub threshold: String,
    /// Seconds for which a value is taken.
    pub period_seconds: u32,
    /// How many values are looked at.
    pub periods: u32,
    /// How many of them have to be too bad.
    pub breaching_periods: u32,
    /// What a missing value counts for: `missing`, `ignore`, `breaching` or `notBreaching`.
    pub missing_data: String,
}

/// A metric of the load balancer's, of one target group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlarmMetric {
    /// What the formula calls it; empty where there is none.
    pub id: String,
    /// Its name in the namespace `AWS/ApplicationELB`; of another namespace with that before it.
    pub metric: String,
    /// How the values of a period become one: `Sum`, `Maximum`, `p99`.
    pub statistic: String,
    /// The ARN of the load balancer.
    pub load_balancer: Id,
    /// The ARN of the target group.
    pub target_group: Id,
}
