//! Elastic Load Balancing v2: application load balancers, target groups, listeners and rules. What a listener does
//! with a request is in [`crate::balancer`]. Must not know tasks beyond what they answer.
//!
//! A balancer's state and a target's health follow from times and answers; they are derived when they are read.

mod action;
mod balancers;
mod groups;
mod health;
mod listeners;
mod measured;
mod rules;
mod tags;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use self::action::Action;
use self::balancers::Balancer;
pub(crate) use self::balancers::end_failed;
use self::groups::Group;
pub(crate) use self::health::{
    Health, description as health_description, health, in_service, is_reached, page_of,
};
use self::listeners::Listener;
use self::rules::Rule;
use super::query::{Answer, page};
use super::quotas;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

pub(crate) use self::groups::{deregister, register, target_group_arn};
pub(crate) use self::listeners::{forward, set_forward};
pub(crate) use self::measured::{Answered, host_counts, measure};
pub(crate) use self::rules::{Seen, action_for};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "AddTags",
    "CreateListener",
    "CreateLoadBalancer",
    "CreateRule",
    "CreateTargetGroup",
    "DeleteListener",
    "DeleteLoadBalancer",
    "DeleteRule",
    "DeleteTargetGroup",
    "DeregisterTargets",
    "DescribeAccountLimits",
    "DescribeCapacityReservation",
    "DescribeListenerAttributes",
    "DescribeListeners",
    "DescribeLoadBalancerAttributes",
    "DescribeLoadBalancers",
    "DescribeRules",
    "DescribeTags",
    "DescribeTargetGroupAttributes",
    "DescribeTargetGroups",
    "DescribeTargetHealth",
    "ModifyListener",
    "ModifyListenerAttributes",
    "ModifyLoadBalancerAttributes",
    "ModifyRule",
    "ModifyTargetGroup",
    "ModifyTargetGroupAttributes",
    "RegisterTargets",
    "RemoveTags",
    "SetIpAddressType",
    "SetRulePriorities",
    "SetSecurityGroups",
    "SetSubnets",
];

/// The service's state in one region; everything by ARN.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) balancers: BTreeMap<String, Balancer>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) tags: BTreeMap<String, Tags>,
    /// What listeners have served.
    pub(crate) traffic: crate::balancer::Traffic,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "AddTags" => tags::add(world, call),
        "CreateListener" => listeners::create(world, call),
        "CreateLoadBalancer" => balancers::create(world, call),
        "CreateRule" => rules::create(world, call),
        "CreateTargetGroup" => groups::create(world, call),
        "DeleteListener" => listeners::delete(world, call),
        "DeleteLoadBalancer" => balancers::delete(world, call),
        "DeleteRule" => rules::delete(world, call),
        "DeleteTargetGroup" => groups::delete(world, call),
        "DeregisterTargets" => groups::deregister_targets(world, call),
        "DescribeAccountLimits" => account_limits(world, call),
        "DescribeCapacityReservation" => balancers::describe_capacity(world, call),
        "DescribeListenerAttributes" => listeners::describe_attributes(world, call),
        "DescribeListeners" => listeners::describe(world, call),
        "DescribeLoadBalancerAttributes" => balancers::describe_attributes(world, call),
        "DescribeLoadBalancers" => balancers::describe(world, call),
        "DescribeRules" => rules::describe(world, call),
        "DescribeTags" => tags::describe(world, call),
        "DescribeTargetGroupAttributes" => groups::describe_attributes(world, call),
        "DescribeTargetGroups" => groups::describe(world, call),
        "DescribeTargetHealth" => groups::describe_health(world, call),
        "ModifyListener" => listeners::modify(world, call),
        "ModifyListenerAttributes" => listeners::modify_attributes(world, call),
        "ModifyLoadBalancerAttributes" => balancers::modify_attributes(world, call),
        "ModifyRule" => rules::modify(world, call),
        "ModifyTargetGroup" => groups::modify(world, call),
        "ModifyTargetGroupAttributes" => groups::modify_attributes(world, call),
        "RegisterTargets" => groups::register_targets(world, call),
        "RemoveTags" => tags::remove(world, call),
        "SetIpAddressType" => balancers::set_address_type(world, call),
        "SetRulePriorities" => rules::set_priorities(world, call),
        "SetSecurityGroups" => balancers::set_groups(world, call),
        "SetSubnets" => balancers::set_subnets(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

fn state<'a>(world: &'a mut World, call: &Call) -> &'a mut State {
    &mut world.at(&call.region).elbv2
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationError", message)
}

/// The member, or the fault that says it is missing.
fn need<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input.text(name).filter(|text| !text.is_empty()).ok_or_else(|| {
        let member = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
        invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn empty() -> Answer {
    Ok(Reply::Value(json!({})))
}

/// One page of a listing.
fn listed(call: &Call, member: &str, rows: Vec<Value>) -> Answer {
    let size = call.input.int("PageSize").unwrap_or(400);
    if !(1..=400).contains(&size) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{size}' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and 400"
        )));
    }
    let marker = call
        .input
        .text("Marker")
        .filter(|marker| !marker.is_empty());
    let (rows, next) =
        page(rows, marker, size as usize).ok_or_else(|| invalid("The marker is not valid"))?;
    Ok(Reply::Value(json!({member: rows, "NextMarker": next})))
}

/// The limits of balancer and target group names.
fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    if name.len() > 32 {
        return Err(invalid(format!(
            "The {what} name '{name}' cannot be longer than '32' characters"
        )));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(invalid(format!(
            "The {what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(invalid(format!(
            "The {what} name '{name}' cannot begin or end with a hyphen(-)"
        )));
    }
    Ok(())
}

/// Attributes as the API lists them.
fn attribute_list(attributes: &BTreeMap<String, String>) -> Value {
    let rows = attributes
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}));
    json!({"Attributes": rows.collect::<Vec<_>>()})
}

/// Takes the call's attributes over, if each is known and legal.
fn take_attributes(
    call: &Call,
    what: &str,
    have: &mut BTreeMap<String, String>,
) -> Result<(), Fault> {
    /// Whole-number attributes and their limits (API reference).
    const RANGES: [(&str, i64, i64); 6] = [
        ("client_keep_alive.seconds", 60, 604_800),
        ("deregistration_delay.timeout_seconds", 0, 3600),
        ("idle_timeout.timeout_seconds", 1, 4000),
        ("slow_start.duration_seconds", 0, 900),
        ("stickiness.app_cookie.duration_seconds", 1, 604_800),
        ("stickiness.lb_cookie.duration_seconds", 1, 604_800),
    ];
    let mut changed = have.clone();
    for (key, value) in call.input.pairs("Attributes", "Key", "Value") {
        let Some(old) = have.get(&key) else {
            return Err(Fault::new(
                "InvalidConfigurationRequest",
                format!("{what} attribute key '{key}' is not recognized"),
            ));
        };
        let range = RANGES.iter().find(|(name, ..)| *name == key);
        let legal = match range {
            Some((_, least, most)) => value
                .parse::<i64>()
                .is_ok_and(|number| (*least..=*most).contains(&number)),
            None if ["true", "false"].contains(&old.as_str()) => {
                ["true", "false"].contains(&value.as_str())
            }
            None => true,
        };
        if !legal {
            return Err(invalid(format!(
                "'{value}' is not a valid value for the {what} attribute '{key}'"
            )));
        }
        changed.insert(key, value);
    }
    *have = changed;
    Ok(())
}

fn account_limits(world: &mut World, call: &Call) -> Answer {
    /// AWS's default quotas of a new account.
    const LIMITS: [(&str, u32); 11] = [
        ("condition-values-per-alb-rule", 5),
        ("condition-wildcards-per-alb-rule", 6),
        ("listeners-per-application-load-balancer", 50),
        ("rules-per-application-load-balancer", 100),
        ("target-groups-per-action-on-application-load-balancer", 5),
        ("target-groups-per-application-load-balancer", 100),
        (
            "target-id-registrations-per-application-load-balancer",
            1000,
        ),
        ("targets-per-application-load-balancer", 1000),
        (
            "targets-per-availability-zone-per-network-load-balancer",
            500,
        ),
        ("targets-per-network-load-balancer", 3000),
        ("certificates-per-application-load-balancer", 25),
    ];
    super::query::only(call, &["Marker", "PageSize"])?;
    let quotas = &world.at(&call.region).quotas;
    let dialled = [
        ("application-load-balancers", &quotas::BALANCERS),
        ("target-groups", &quotas::TARGET_GROUPS),
    ]
    .map(|(name, quota)| (name, quotas.most(quota).to_string()));
    listed(
        call,
        "Limits",
        LIMITS
            .iter()
            .map(|(name, most)| (*name, most.to_string()))
            .chain(dialled)
            .map(|(name, most)| json!({"Name": name, "Max": most}))
            .collect(),
    )
}

impl State {
    /// The ARNs of everything that is there.
    pub fn alive(&self) -> Vec<String> {
        let arns = self
            .balancers
            .keys()
            .chain(self.groups.keys())
            .chain(self.listeners.keys())
            .chain(self.rules.keys());
        arns.cloned().collect()
    }

    fn balancer(&mut self, arn: &str) -> Result<&mut Balancer, Fault> {
        if !arn.contains(":loadbalancer/") {
            return Err(invalid(format!("'{arn}' is not a valid load balancer ARN")));
        }
        self.balancers.get_mut(arn).ok_or_else(|| {
            Fault::new(
                "LoadBalancerNotFound",
                format!("Load balancer '{arn}' not found"),
            )
        })
    }

    fn group(&mut self, arn: &str) -> Result<&mut Group, Fault> {
        if !arn.contains(":targetgroup/") {
            return Err(invalid(format!("'{arn}' is not a valid target group ARN")));
        }
        self.groups.get_mut(arn).ok_or_else(|| no_group(arn))
    }

    fn listener(&mut self, arn: &str) -> Result<&mut Listener, Fault> {
        if !arn.contains(":listener/") {
            return Err(invalid(format!("'{arn}' is not a valid listener ARN")));
        }
        self.listeners.get_mut(arn).ok_or_else(|| no_listener(arn))
    }

    /// The balancers that send to a target group.
    fn balancers_of(&self, group: &str) -> Vec<String> {
        let listening = self
            .listeners
            .values()
            .filter(|listener| listener.action.groups().any(|have| have == group));
        let ruled = self
            .rules
            .values()
            .filter(|rule| rule.action.groups().any(|have| have == group));
        let ruled = ruled.filter_map(|rule| self.listeners.get(&rule.listener));
        let mut arns: Vec<String> = listening
            .chain(ruled)
            .map(|listener| listener.balancer.clone())
            .collect();
        arns.sort();
        arns.dedup();
        arns
    }
}

fn no_group(arn: &str) -> Fault {
    Fault::new(
        "TargetGroupNotFound",
        format!("Target groups '{arn}' not found"),
    )
}

fn no_listener(arn: &str) -> Fault {
    Fault::new("ListenerNotFound", format!("Listeners '{arn}' not found"))
}

#[cfg(test)]
mod tests;
