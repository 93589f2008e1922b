//! A target's health: from when it was registered, the group's check, and what the task answers at present.

use super::Balancer;
use crate::clock::Millis;
use crate::runtime::Page;
use crate::services::ec2::{self, Place};
use crate::services::ecs::{self, Unanswered};
use crate::world::World;

/// A target's health as a balancer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// Not enough checks yet.
    Initial,
    /// In service.
    Healthy,
    /// Bad answers.
    Unhealthy,
    /// The target group hangs on no listener.
    Unused,
    /// Deregistered, finishing what it has.
    Draining,
}

impl Health {
    /// The API's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unused => "unused",
            Self::Draining => "draining",
        }
    }
}

/// A target's health and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) health: Health,
    /// The API's reason code; none for a healthy target.
    pub(super) reason: Option<&'static str>,
    pub(super) description: Option<String>,
}

/// A target's health at the present. Derived from when it was registered, the group's check settings and what the
/// task answers on the check's path.
pub(crate) fn health(
    world: &World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) -> Health {
    verdict(world, region, target_group, address, port).health
}

/// Why a target isn't healthy, in the API's words.
pub(crate) fn description(
    world: &World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) -> Option<String> {
    verdict(world, region, target_group, address, port).description
}

/// The targets that get traffic: the healthy ones, or, where there is none, all that are registered (AWS calls it failing open).
pub(crate) fn in_service(world: &World, region: &str, target_group: &str) -> Vec<(String, u16)> {
    let group = world
        .regions
        .get(region)
        .and_then(|region| region.elbv2.groups.get(target_group));
    let registered = group
        .into_iter()
        .flat_map(|group| group.targets.iter())
        .filter(|target| target.gone.is_none())
        .filter(|target| is_served(world, region, target_group, &target.address));
    let registered: Vec<(String, u16)> = registered
        .map(|target| (target.address.clone(), target.port))
        .collect();
    let healthy = |target: &&(String, u16)| {
        health(world, region, target_group, &target.0, target.1) == Health::Healthy
    };
    let healthy: Vec<(String, u16)> = registered.iter().filter(healthy).cloned().collect();
    if healthy.is_empty() {
        registered
    } else {
        healthy
    }
}

/// Whether a balancer of the group stands in the zone of a target: one that doesn't sends nothing there.
fn is_served(world: &World, region: &str, target_group: &str, address: &str) -> bool {
    let zone = |subnet: &str| ec2::subnet(world, region, subnet).map(|facts| facts.zone);
    let place = place(world, region, target_group, address);
    let Some(of_target) = ec2::subnet_at(world, region, place).and_then(zone) else {
        return true;
    };
    let served = |balancer: &Balancer| {
        let mut zones = balancer.subnets.keys().filter_map(|subnet| zone(subnet));
        zones.any(|zone| zone == of_target)
    };
    balancers(world, region, target_group).any(served)
}

/// Whether security groups let a balancer of the group through to a target.
pub(crate) fn is_reached(
    world: &World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) -> bool {
    let reaches = |balancer: &Balancer| {
        let from = |interface: &String| {
            let sender = (interface.as_str(), balancer.groups.as_slice());
            let to = place(world, region, target_group, address);
            ec2::lets_through(world, region, sender, to, port)
        };
        balancer.subnets.values().any(from)
    };
    balancers(world, region, target_group).any(reaches)
}

/// What a balancer gets from a target of the group.
pub(crate) fn page_of(
    world: &World,
    region: &str,
    target_group: &str,
    (address, port): (&str, u16),
    path: &str,
) -> Result<Page, Unanswered> {
    let place = place(world, region, target_group, address);
    ecs::answer(world, region, place, port, path)
}

/// The place of a target: its address in its group's VPC.
fn place<'a>(world: &'a World, region: &str, target_group: &str, address: &'a str) -> Place<'a> {
    let state = world.regions.get(region).map(|region| &region.elbv2);
    let group = state.and_then(|state| state.groups.get(target_group));
    Place {
        vpc: group.map_or("", |group| group.vpc.as_str()),
        address,
    }
}

/// The balancers whose listeners forward to a group.
fn balancers<'a>(
    world: &'a World,
    region: &str,
    target_group: &str,
) -> impl Iterator<Item = &'a Balancer> {
    let state = world.regions.get(region).map(|region| &region.elbv2);
    let arns = state.map(|state| state.balancers_of(target_group));
    let found = move |arn: String| state.and_then(|state| state.balancers.get(&arn));
    arns.into_iter().flatten().filter_map(found)
}

/// Health, reason and description, as DescribeTargetHealth gives them.
pub(super) fn verdict(
    world: &World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) -> Verdict {
    let say = |health, reason, description: &str| Verdict {
        health,
        reason: Some(reason),
        description: Some(description.to_owned()),
    };
    let not_registered = || {
        say(
            Health::Unused,
            "Target.NotRegistered",
            "Target is not registered to the target group",
        )
    };
    let Some(state) = world.regions.get(region).map(|region| &region.elbv2) else {
        return not_registered();
    };
    let group = state.groups.get(target_group);
    let is = |address: &str, port: u16| {
        group.and_then(|group| {
            group
                .present(world.now)
                .find(|target| target.address == address && target.port == port)
        })
    };
    let (Some(group), Some(target)) = (group, is(address, port)) else {
        return not_registered();
    };
    if target.gone.is_some() {
        return say(
            Health::Draining,
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        );
    }
    if state.balancers_of(target_group).is_empty() {
        let description =
            "Target group is not configured to receive traffic from the load balancer";
        return say(Health::Unused, "Target.NotInUse", description);
    }
    if !is_served(world, region, target_group, address) {
        let description =
            "Target is in an Availability Zone that is not enabled for the load balancer";
        return say(Health::Unused, "Target.NotInUse", description);
    }
    let check = &group.check;
    let check_port = check.port.parse().unwrap_or(port);
    let status = match is_reached(world, region, target_group, address, check_port) {
        true => page_of(
            world,
            region,
            target_group,
            (address, check_port),
            &check.path,
        )
        .map(|page| page.status),
        false => Err(Unanswered::Silent),
    };
    let good = status.is_ok_and(|status| matches(&check.matcher, status));
    let checks = if good { check.healthy } else { check.unhealthy };
    if world.now < target.registered + checks * check.interval * 1000 as Millis {
        return say(
            Health::Initial,
            "Elb.RegistrationInProgress",
            "Target registration is in progress",
        );
    }
    match status {
        Ok(_) if good => Verdict {
            health: Health::Healthy,
            reason: None,
            description: None,
        },
        Ok(status) => {
            let description = format!("Health checks failed with these codes: [{status}]");
            say(
                Health::Unhealthy,
                "Target.ResponseCodeMismatch",
                &description,
            )
        }
        Err(Unanswered::Refused) => say(
            Health::Unhealthy,
            "Target.FailedHealthChecks",
            "Health checks failed",
        ),
        Err(Unanswered::Nobody | Unanswered::Silent) => {
            say(Health::Unhealthy, "Target.Timeout", "Request timed out")
        }
    }
}

/// The ranges of a matcher such as `200,204-206`. `None`: not a legal matcher.
pub(super) fn codes(matcher: &str) -> Option<Vec<(u16, u16)>> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (200 <= from && from <= to && to <= 499).then_some((from, to))
    };
    matcher.split(',').map(range).collect()
}

fn matches(matcher: &str, status: u16) -> bool {
    codes(matcher)
        .unwrap_or_default()
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&status))
}
