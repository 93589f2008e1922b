//! What belongs to a rollout is never drift: the one place that says which fields those are (AWS.md §4.6).
//! Must not look at anything but the two resources.

use crate::resource::{Kind, Listener, Resource, Service, TargetGroup, TaskDefinition};

/// `want` with the fields of `have` that a rollout may have moved. Whatever lies outside of what a rollout does stays as wanted and so
/// shows as a difference: a target group outside the pair, and, with no rollout in flight, weights left split.
pub fn settle(want: &Resource, have: &Resource, rollout_in_flight: bool) -> Resource {
    match (want, have) {
        (Resource::Listener(want), Resource::Listener(have)) => {
            listener(want, have, rollout_in_flight).into()
        }
        (Resource::TargetGroup(want), Resource::TargetGroup(have)) => {
            target_group(want, have).into()
        }
        (Resource::Service(want), Resource::Service(have)) => service(want, have).into(),
        (Resource::TaskDefinition(want), Resource::TaskDefinition(have)) => {
            task_definition(want, have).into()
        }
        _ => want.clone(),
    }
}

/// Whether a property comes with deployments alone, so that it is never compared, nor recorded as applied.
pub(crate) fn delegated(kind: Kind, property: &str) -> bool {
    match kind {
        Kind::Service => matches!(
            property,
            "task_definition"
                | "platform_version"
                | "subnets"
                | "security_groups"
                | "public_address"
                | "container_name"
                | "container_port"
                | "others"
        ),
        Kind::TargetGroup => property == "port",
        Kind::TaskDefinition => true,
        _ => false,
    }
}

/// A listener goes to either group of the pair; to both of them only while a rollout shifts.
fn listener(want: &Listener, have: &Listener, rollout_in_flight: bool) -> Listener {
    let within = have
        .forward
        .iter()
        .all(|forward| want.pair.contains(&forward.target_group));
    let settled = have.forward.len() == 1 || (rollout_in_flight && have.forward.len() == 2);
    let mut listener = want.clone();
    if within && settled {
        listener.forward.clone_from(&have.forward);
    }
    listener
}

/// The port of a target group is only what a target gets that names none. ECS registers each task with the port of its container,
/// and the health check asks on that, so a group that was made for another port serves as well.
fn target_group(want: &TargetGroup, have: &TargetGroup) -> TargetGroup {
    TargetGroup {
        port: have.port,
        ..want.clone()
    }
}

/// The primary task set's definition, network, target group and container port come with a deployment, whose AppSpec names them; so
/// does its platform. What other task sets hold on to is nobody's wish.
fn service(want: &Service, have: &Service) -> Service {
    let target_group = if want.pair.contains(&have.target_group) {
        &have.target_group
    } else {
        &want.target_group
    };
    Service {
        task_definition: have.task_definition.clone(),
        target_group: target_group.clone(),
        platform_version: have.platform_version.clone(),
        subnets: have.subnets.clone(),
        security_groups: have.security_groups.clone(),
        public_address: have.public_address,
        container_name: have.container_name.clone(),
        container_port: have.container_port,
        others: have.others.clone(),
        ..want.clone()
    }
}

/// Everything in a definition comes with a deployment; the family is what it is found by.
fn task_definition(want: &TaskDefinition, have: &TaskDefinition) -> TaskDefinition {
    let mut definition = have.definition.clone();
    definition.family.clone_from(&want.definition.family);
    TaskDefinition { definition }
}
