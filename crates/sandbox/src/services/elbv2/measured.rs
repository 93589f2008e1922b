//! What balancers tell CloudWatch: requests, answers, answer times, and how many targets are healthy (ELB user guide,
//! "CloudWatch metrics for your Application Load Balancer"). Must not answer requests.

use std::collections::BTreeMap;

use super::health::{Health, health};
use crate::services::cloudwatch::Metric;
use crate::world::World;

/// The namespace of an application load balancer's metrics.
const NAMESPACE: &str = "AWS/ApplicationELB";
/// Seconds in which the built-in runtime answers.
const ANSWER_TIME: f64 = 0.002;

/// One answered request.
pub(crate) struct Answered<'a> {
    /// The listener that took it.
    pub(crate) listener: &'a str,
    /// The target group that it went to.
    pub(crate) group: Option<&'a str>,
    /// Whether a target answered; else it was the balancer itself.
    pub(crate) by_target: bool,
    pub(crate) status: u16,
}

/// Measures one request.
pub(crate) fn measure(world: &mut World, region: &str, answered: &Answered<'_>) {
    let now = world.now;
    let state = &world.at(region).elbv2;
    let Some(listener) = state.listeners.get(answered.listener) else {
        return;
    };
    let balancer = dimension(&listener.balancer).to_owned();
    let class = format!("{}XX_Count", answered.status / 100);
    let metrics = &mut world.at(region).cloudwatch.metrics;
    let mut record = |name: &str, dimensions: &[(&str, &str)], value: f64| {
        let metric = Metric::new(NAMESPACE, name, dimensions.iter().copied());
        metrics.record(&metric, now, value, 1);
    };
    let whole = [("LoadBalancer", balancer.as_str())];
    record("RequestCount", &whole, 1.0);
    let Some(group) = answered.group.filter(|_| answered.by_target).map(dimension) else {
        record(&format!("HTTPCode_ELB_{class}"), &whole, 1.0);
        return;
    };
    let of_group = [("LoadBalancer", balancer.as_str()), ("TargetGroup", group)];
    record("RequestCount", &of_group, 1.0);
    for dimensions in [whole.as_slice(), of_group.as_slice()] {
        record(&format!("HTTPCode_Target_{class}"), dimensions, 1.0);
        record("TargetResponseTime", dimensions, ANSWER_TIME);
    }
}

/// How many targets of each target group are healthy and unhealthy at present.
pub(crate) fn host_counts(world: &World, region: &str) -> Vec<(Metric, f64)> {
    let Some(state) = world.regions.get(region).map(|region| &region.elbv2) else {
        return Vec::new();
    };
    let mut counts = Vec::new();
    for (arn, group) in &state.groups {
        let healths = group
            .present(world.now)
            .map(|target| health(world, region, arn, &target.address, target.port));
        let mut by_health: BTreeMap<&str, f64> = BTreeMap::new();
        for health in healths {
            *by_health.entry(health.name()).or_default() += 1.0;
        }
        for balancer in state.balancers_of(arn) {
            for (name, health) in [
                ("HealthyHostCount", Health::Healthy),
                ("UnHealthyHostCount", Health::Unhealthy),
            ] {
                let dimensions = [
                    ("LoadBalancer", dimension(&balancer)),
                    ("TargetGroup", dimension(arn)),
                ];
                let count = by_health.get(health.name()).copied().unwrap_or_default();
                counts.push((Metric::new(NAMESPACE, name, dimensions), count));
            }
        }
    }
    counts
}

/// The part of an ARN by which CloudWatch names a thing: `app/web/50dc6c495c0c9188`, `targetgroup/web-blue/73e2d6bc24d8a067`.
fn dimension(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    resource.strip_prefix("loadbalancer/").unwrap_or(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_the_end_of_an_arn() {
        let check = |resource: &str, expected: &str| {
            let arn = format!("arn:aws:elasticloadbalancing:eu-central-1:111122223333:{resource}");
            assert_eq!(dimension(&arn), expected);
        };
        check(
            "loadbalancer/app/web/50dc6c495c0c9188",
            "app/web/50dc6c495c0c9188",
        );
        check(
            "targetgroup/web-blue/73e2d6bc24d8a067",
            "targetgroup/web-blue/73e2d6bc24d8a067",
        );
    }
}
