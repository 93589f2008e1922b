//! Where the next deployment's tasks stand: under CODE_DEPLOY a service's subnets and security groups travel in the AppSpec alone
//! (AWS.md §1.1, §4.5), with real ids. Must not ask the account: it reads what was observed.

use std::collections::BTreeSet;

use crate::Error;
use crate::graph::{Graph, resolve, tokens};
use crate::inventory::Inventory;
use crate::resource::{Key, Kind, Resource, Rule, SecurityGroup};

/// The kinds that [`task_network`] has to find in an inventory.
pub const TASK_NETWORK_KINDS: [Kind; 2] = [Kind::Subnet, Kind::SecurityGroup];

/// The network of a service's tasks: all that an AppSpec has to name, if it names any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNetwork {
    /// The ids of the subnets.
    pub subnets: BTreeSet<String>,
    /// The ids of the security groups.
    pub security_groups: BTreeSet<String>,
    /// Whether the tasks get public addresses.
    pub public_addresses: bool,
}

/// The network that `graph` wants for its service's tasks. The error says that it isn't there yet, or doesn't let the
/// load balancer through to the tasks' port: a deployment into it would wait for healthy tasks in vain.
pub fn task_network(graph: &Graph, inventory: &Inventory) -> Result<TaskNetwork, Error> {
    let service = graph.nodes().iter().find_map(|node| match &node.resource {
        Resource::Service(service) => Some(service),
        _ => None,
    });
    let Some(service) = service else {
        return Err(Error::NotUp(vec!["a service is not wanted".to_owned()]));
    };
    let known = inventory.known();
    let id_of = |key: &Key| known.get(key).map(|made| made.id.clone());
    let wanted = resolve(&service.clone().into(), id_of);
    let Resource::Service(wanted) = wanted else {
        return Err(Error::NotUp(Vec::new()));
    };
    let ids = serde_json::json!([wanted.subnets, wanted.security_groups]);
    let mut missing: Vec<String> = tokens(&ids)
        .iter()
        .map(|key| format!("{key} doesn't exist"))
        .collect();
    for node in graph.nodes() {
        if let Resource::SecurityGroup(want) = resolve(&node.resource, id_of)
            && let Some(have) = inventory.owned.get(&node.key)
            && let Resource::SecurityGroup(have) = &have.resource
            && closed(&want, have, service.container_port)
        {
            missing.push(format!(
                "{} doesn't let port {} through",
                node.key, service.container_port
            ));
        }
    }
    if !missing.is_empty() {
        return Err(Error::NotUp(missing));
    }
    Ok(TaskNetwork {
        subnets: wanted.subnets,
        security_groups: wanted.security_groups,
        public_addresses: wanted.public_address,
    })
}

/// Whether a rule for the tasks' port is wanted and isn't there.
fn closed(want: &SecurityGroup, have: &SecurityGroup, port: u16) -> bool {
    let lacks = |want: &BTreeSet<Rule>, have: &BTreeSet<Rule>| {
        want.difference(have)
            .any(|rule| rule.from_port == Some(port) && !rule.peer.ends_with("/0"))
    };
    lacks(&want.ingress, &have.ingress) || lacks(&want.egress, &have.egress)
}
