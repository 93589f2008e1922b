//! The app's load balancer: two listeners, two target groups between which a rollout moves. Must not know who runs behind.

use std::collections::BTreeSet;

use super::Place;
use super::network::Network;
use crate::graph::Graph;
use crate::resource::{Forward, HealthCheck, Id, Link, Listener, LoadBalancer, TargetGroup};

/// How long a target that leaves may finish its requests. AWS's default of 300 s makes every rollout wait for five
/// minutes after its last step; requests of a web app are done within half a minute.
const DEREGISTRATION_DELAY_SECONDS: u32 = 30;
/// AWS's own default for idle connections, written down so that it is compared.
const IDLE_TIMEOUT_SECONDS: u32 = 60;

/// What the other parts link to.
pub(super) struct Balancer {
    /// The load balancer's ARN.
    pub(super) arn: Id,
    pub(super) blue: Link,
    pub(super) green: Link,
    pub(super) production: Link,
    pub(super) test: Link,
}

impl Balancer {
    /// Both target groups.
    pub(super) fn pair(&self) -> BTreeSet<Id> {
        [self.blue.id(), self.green.id()].into()
    }
}

/// Its own balancer or one that exists: listeners and target groups are the app's own either way.
pub(super) fn balancer(graph: &mut Graph, place: &Place<'_>, network: &Network) -> Balancer {
    let balancer = match &place.existing.load_balancer {
        Some(existing) => existing.arn.clone(),
        None if place.spec.load_balancer.is_own() => own(graph, place, network).id(),
        None => Id::new(),
    };
    let blue = graph.add("blue", target_group(place, network, "blue"));
    let green = graph.add("green", target_group(place, network, "green"));
    let pair: BTreeSet<Id> = [blue.id(), green.id()].into();
    let mut listener = |name: &str, port: u16, to: &Link| {
        let forward = [Forward {
            target_group: to.id(),
            weight: 1,
        }]
        .into();
        let listener = Listener {
            load_balancer: balancer.clone(),
            port,
            protocol: "HTTP".to_owned(),
            forward,
            pair: pair.clone(),
        };
        graph.add(name, listener)
    };
    // The test listener starts on the other target group: ECS wants both attached to a balancer (AWS.md §3.1).
    let production = listener(
        "production",
        place.spec.load_balancer.production.port,
        &blue,
    );
    let test = listener("test", place.spec.load_balancer.test.port, &green);
    Balancer {
        arn: balancer,
        blue,
        green,
        production,
        test,
    }
}

fn own(graph: &mut Graph, place: &Place<'_>, network: &Network) -> Link {
    let balancer = LoadBalancer {
        name: place.names.load_balancer(),
        scheme: "internet-facing".to_owned(),
        address_type: "ipv4".to_owned(),
        subnets: network.public.iter().cloned().collect(),
        security_groups: network.balancer_group.iter().cloned().collect(),
        drop_invalid_headers: true,
        // What guards against a deletion by mistake is the question that `down` asks, not a switch that `down` would turn off.
        deletion_protection: false,
        idle_timeout_seconds: IDLE_TIMEOUT_SECONDS,
        after: network.gateway.iter().cloned().collect(),
    };
    graph.add("main", balancer)
}

/// Blue and green are the same but for the name, since they swap at every rollout.
fn target_group(place: &Place<'_>, network: &Network, colour: &str) -> TargetGroup {
    let check = &place.spec.service.health_check;
    TargetGroup {
        name: place.names.target_group(colour),
        vpc: network.vpc.clone(),
        target_type: "ip".to_owned(),
        protocol: "HTTP".to_owned(),
        protocol_version: "HTTP1".to_owned(),
        port: place.spec.service.port,
        health_check: HealthCheck {
            protocol: "HTTP".to_owned(),
            port: "traffic-port".to_owned(),
            path: check.path.clone(),
            status: check.status.clone(),
            interval_seconds: seconds(check.interval),
            timeout_seconds: seconds(check.timeout),
            healthy: check.healthy,
            unhealthy: check.unhealthy,
        },
        deregistration_delay_seconds: DEREGISTRATION_DELAY_SECONDS,
    }
}

/// A span as AWS counts it. Validation has bounded it far below the type's end.
pub(super) fn seconds(span: ecspipe_spec::Span) -> u32 {
    u32::try_from(span.seconds()).unwrap_or(u32::MAX)
}
