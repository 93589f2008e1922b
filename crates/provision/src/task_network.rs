//! Where the next deployment's tasks stand: under CODE_DEPLOY a service's subnets and security groups travel in the AppSpec alone
//! (AWS.md §1.1, §4.5), with real ids. Must not ask the account: it reads what was observed.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::cloud::Made;
use crate::graph::{Graph, resolve, tokens};
use crate::inventory::Inventory;
use crate::resource::{Key, Kind, Resource, Rule, SecurityGroup, Service};

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
    let service = service(graph)?;
    let known = inventory.known();
    let closed = graph.nodes().iter().filter_map(|node| {
        let have = inventory.owned.get(&node.key)?;
        let (Resource::SecurityGroup(want), Resource::SecurityGroup(have)) =
            (resolve(&node.resource, id_in(&known)), &have.resource)
        else {
            return None;
        };
        let port = service.container_port;
        closed(&want, have, port).then(|| format!("{} doesn't let port {port} through", node.key))
    });
    found(service, &known, closed.collect())
}

/// The same once the graph has been applied, from what is known of its resources then ([`crate::Outcome::known`]): they are as they are
/// wanted, so nobody has to look.
pub fn applied_task_network(
    graph: &Graph,
    known: &BTreeMap<Key, Made>,
) -> Result<TaskNetwork, Error> {
    found(service(graph)?, known, Vec::new())
}

fn service(graph: &Graph) -> Result<&Service, Error> {
    let mut resources = graph.nodes().iter().map(|node| &node.resource);
    let service = resources.find_map(|resource| match resource {
        Resource::Service(service) => Some(service),
        _ => None,
    });
    service.ok_or_else(|| Error::NotUp(vec!["a service is not wanted".to_owned()]))
}

/// The network with its ids, unless some of it is missing or `closed`.
fn found(
    service: &Service,
    known: &BTreeMap<Key, Made>,
    closed: Vec<String>,
) -> Result<TaskNetwork, Error> {
    let Resource::Service(wanted) = resolve(&service.clone().into(), id_in(known)) else {
        return Err(Error::NotUp(Vec::new()));
    };
    let ids = serde_json::json!([wanted.subnets, wanted.security_groups]);
    let ids = tokens(&ids);
    let missing = ids.iter().map(|key| format!("{key} doesn't exist"));
    let missing: Vec<String> = missing.chain(closed).collect();
    if !missing.is_empty() {
        return Err(Error::NotUp(missing));
    }
    Ok(TaskNetwork {
        subnets: wanted.subnets,
        security_groups: wanted.security_groups,
        public_addresses: wanted.public_address,
    })
}

fn id_in(known: &BTreeMap<Key, Made>) -> impl Fn(&Key) -> Option<String> {
    |key| known.get(key).map(|made| made.id.clone())
}

/// Whether a rule for the tasks' port is wanted and isn't there.
fn closed(want: &SecurityGroup, have: &SecurityGroup, port: u16) -> bool {
    let lacks = |want: &BTreeSet<Rule>, have: &BTreeSet<Rule>| {
        want.difference(have)
            .any(|rule| rule.from_port == Some(port) && !rule.peer.ends_with("/0"))
    };
    lacks(&want.ingress, &have.ingress) || lacks(&want.egress, &have.egress)
}
