//! The alarms that stop a deployment. Each condition of the spec is watched on both target groups, since they change places at every
//! rollout and a deployment group's alarms don't: see ARCHITECTURE.md. Must not say what happens when one fires.

use std::collections::BTreeSet;

use ecspipe_spec::{Condition, Names};

use super::Place;
use super::balancer::Balancer;
use super::delivery::minutes;
use crate::graph::Graph;
use crate::resource::{Alarm, AlarmMetric, Id};

/// A load balancer's metrics come by the minute.
const PERIOD_SECONDS: u32 = 60;

/// The names of all alarms of the deployment group: those that are made, and those that exist.
pub(super) fn alarms(graph: &mut Graph, place: &Place<'_>, balancer: &Balancer) -> BTreeSet<Id> {
    let mut names = BTreeSet::new();
    for alarm in &place.spec.deploy.alarms {
        match alarm {
            ecspipe_spec::Alarm::Existing(name) => {
                names.insert(name.clone());
            }
            ecspipe_spec::Alarm::Declared(condition) => {
                for (colour, group) in [("blue", &balancer.blue), ("green", &balancer.green)] {
                    let alarm = watch(&place.names, condition, colour, &balancer.arn, &group.id());
                    let key = format!("{}-{colour}", condition.subject());
                    names.insert(graph.add(key, alarm).id());
                }
            }
        }
    }
    names
}

fn watch(names: &Names, condition: &Condition, colour: &str, balancer: &Id, group: &Id) -> Alarm {
    let metric = |id: &str, metric: &str, statistic: &str| AlarmMetric {
        id: id.to_owned(),
        metric: metric.to_owned(),
        statistic: statistic.to_owned(),
        load_balancer: balancer.clone(),
        target_group: group.clone(),
    };
    let (metrics, formula, threshold) = match condition {
        // CloudWatch has no value for a minute without errors, and none for a minute without requests: that is missing, and fine.
        Condition::Http5xx { above, .. } => (
            BTreeSet::from([
                metric("errors", "HTTPCode_Target_5XX_Count", "Sum"),
                metric("requests", "RequestCount", "Sum"),
            ]),
            Some("100 * FILL(errors, 0) / requests".to_owned()),
            decimal(u64::from(above.hundredths()), 2),
        ),
        Condition::Latency { p, above, .. } => (
            BTreeSet::from([metric("", "TargetResponseTime", &p.to_string())]),
            None,
            decimal(above.milliseconds(), 3),
        ),
        Condition::UnhealthyTargets { above, .. } => (
            BTreeSet::from([metric("", "UnHealthyHostCount", "Maximum")]),
            None,
            above.to_string(),
        ),
    };
    let periods = minutes(condition.during());
    Alarm {
        name: names.alarm(&condition.subject(), colour),
        description: format!("{}, {colour}: {condition}; stops a deployment", names.app()),
        metrics,
        formula,
        comparison: "GreaterThanThreshold".to_owned(),
        threshold,
        period_seconds: PERIOD_SECONDS,
        periods,
        breaching_periods: periods,
        // The target group that nothing is sent to has no values, and nothing against it.
        missing_data: "notBreaching".to_owned(),
    }
}

/// A number of units of so many decimals in its shortest form: 1250 with two as `12.5`.
fn decimal(number: u64, decimals: u32) -> String {
    (number as f64 / 10_f64.powi(decimals as i32)).to_string()
}
