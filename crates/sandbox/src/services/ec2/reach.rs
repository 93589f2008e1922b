//! Whether security groups let a connection through: what the sender's let out, and the receiver's let in. Groups are stateful, so
//! only the way there counts. Must not know who connects, or why.

use std::net::Ipv4Addr;

use super::group::{Peer, Rule, Traffic};
use super::{Interface, State};
use crate::world::World;

/// One end of a connection.
struct End<'a> {
    address: Option<Ipv4Addr>,
    groups: &'a [String],
}

/// A private address. Networks of the same range have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The id of the VPC.
    pub(crate) vpc: &'a str,
    /// The address in it.
    pub(crate) address: &'a str,
}

/// The subnet of whatever has a private address.
pub(crate) fn subnet_at<'a>(world: &'a World, region: &str, place: Place<'_>) -> Option<&'a str> {
    let state = &world.regions.get(region)?.ec2;
    interface_at(state, world, place).map(|interface| interface.subnet.as_str())
}

/// Whether a sender with `groups` at the interface `from` reaches TCP `port` at `to`. An address that nobody has is nobody's to
/// guard.
pub(crate) fn lets_through(
    world: &World,
    region: &str,
    (from, groups): (&str, &[String]),
    to: Place<'_>,
    port: u16,
) -> bool {
    let Some(state) = world.regions.get(region).map(|region| &region.ec2) else {
        return true;
    };
    let Some(receiver) = interface_at(state, world, to) else {
        return true;
    };
    let sender = End {
        address: state
            .interfaces
            .get(from)
            .and_then(|interface| interface.address.parse().ok()),
        groups,
    };
    let receiver = End {
        address: receiver.address.parse().ok(),
        groups: &receiver.groups,
    };
    allows(state, &sender, true, &receiver, port) && allows(state, &receiver, false, &sender, port)
}

fn interface_at<'a>(state: &'a State, world: &World, place: Place<'_>) -> Option<&'a Interface> {
    let is_in = |subnet: &str| {
        let subnet = state.subnets.get(subnet);
        subnet.is_some_and(|subnet| subnet.vpc == place.vpc)
    };
    state.interfaces.values().find(|interface| {
        interface.address == place.address
            && is_in(&interface.subnet)
            && interface.exists(world.now)
    })
}

/// Whether a rule of one of `own`'s groups allows the way out to (or in from) `other`.
fn allows(state: &State, own: &End<'_>, egress: bool, other: &End<'_>, port: u16) -> bool {
    let fits = |rule: &&Rule| {
        rule.egress == egress
            && own.groups.contains(&rule.group)
            && covers(&rule.traffic, port)
            && is_peer(&rule.peer, other)
    };
    state.rules.values().any(|rule| fits(&rule))
}

fn covers(traffic: &Traffic, port: u16) -> bool {
    let port = i64::from(port);
    match traffic.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => {
            traffic.from.is_none_or(|from| from <= port) && traffic.to.is_none_or(|to| port <= to)
        }
        _ => false,
    }
}

fn is_peer(peer: &Peer, end: &End<'_>) -> bool {
    match peer {
        Peer::Cidr(block) => end.address.is_some_and(|address| block.contains(&address)),
        Peer::Group(group) => end.groups.contains(group),
        Peer::Cidr6(_) | Peer::PrefixList(_) => false,
    }
}
