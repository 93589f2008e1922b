//! Properties of the load balancer, its target groups and listeners. Must not say which of them an app has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Id;

/// An application load balancer. Other attributes than these aren't compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its name.
    pub name: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// `ipv4` or `dualstack`.
    pub address_type: String,
    /// Its subnets, one a zone.
    pub subnets: BTreeSet<Id>,
    /// Its security groups.
    pub security_groups: BTreeSet<Id>,
    /// `routing.http.drop_invalid_header_fields.enabled`.
    pub drop_invalid_headers: bool,
    /// `deletion_protection.enabled`.
    pub deletion_protection: bool,
    /// `idle_timeout.timeout_seconds`.
    pub idle_timeout_seconds: u32,
    /// What must exist first: the internet gateway.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<Id>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: Id,
    /// Always `ip`: Fargate's tasks have addresses, no instances.
    pub target_type: String,
    /// `HTTP`.
    pub protocol: String,
    /// `HTTP1`.
    pub protocol_version: String,
    /// The port that targets are reached on unless they say otherwise.
    pub port: u16,
    /// When a target is healthy.
    pub health_check: HealthCheck,
    /// `deregistration_delay.timeout_seconds`.
    pub deregistration_delay_seconds: u32,
}

/// The health check of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `HTTP`.
    pub protocol: String,
    /// `traffic-port`, or a number.
    pub port: String,
    /// The path that is asked for.
    pub path: String,
    /// The HTTP codes that are good answers: the matcher.
    pub status: String,
    /// Time between two checks.
    pub interval_seconds: u32,
    /// Time for an answer.
    pub timeout_seconds: u32,
    /// Good answers in a row until healthy.
    pub healthy: u32,
    /// Bad answers in a row until unhealthy.
    pub unhealthy: u32,
}

/// A listener, known by its port. Its default action is a forward; any other action shows as no forward at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its load balancer.
    pub load_balancer: Id,
    /// Its port.
    pub port: u16,
    /// `HTTP`.
    pub protocol: String,
    /// Where its default action forwards to. A single target group without a weight counts as weight 1; targets
    /// of weight 0 are left out.
    pub forward: BTreeSet<Forward>,
    /// The two target groups between which a rollout may move it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pair: BTreeSet<Id>,
}

/// A target group with its share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Forward {
    /// The target group's ARN.
    pub target_group: Id,
    /// Its weight; 1 where it is the only one.
    pub weight: u32,
}
