//! What the wanted resources owe to an app that is up: tasks stand in zones and listen on ports until a deployment moves them,
//! and must be reached and have a way out until then. Must not decide what a deployment changes.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::Zone;

use crate::inventory::Inventory;
use crate::resource::{Key, Kind, Resource, Service, Subnet};

/// The keys of a zone's subnets are these and the zone's name.
pub(super) const PUBLIC: &str = "public-";
pub(super) const PRIVATE: &str = "private-";

/// Where the tasks of an app stand, and where they listen.
#[derive(Debug, Default)]
pub(super) struct Present {
    standing: Vec<Zone>,
    listening: BTreeSet<u16>,
}

impl Present {
    /// What `inventory` shows of the service's tasks.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let service = inventory
            .owned
            .values()
            .find_map(|have| match &have.resource {
                Resource::Service(service) => Some(service),
                _ => None,
            });
        let Some(service) = service else {
            return Self::default();
        };
        Self {
            standing: standing(inventory, service),
            listening: std::iter::once(service.container_port)
                .chain(service.others.ports.iter().copied())
                .filter(|port| *port > 0)
                .collect(),
        }
    }

    /// The zones in which tasks stand and that aren't among `zones`.
    pub(super) fn leaving(&self, zones: &[Zone]) -> Vec<Zone> {
        let left = |zone: &&Zone| zones.iter().all(|other| other.name != zone.name);
        self.standing.iter().filter(left).cloned().collect()
    }

    /// The ports on which tasks listen, and `port`.
    pub(super) fn ports(&self, port: u16) -> BTreeSet<u16> {
        self.listening.iter().copied().chain([port]).collect()
    }
}

/// The zones whose private subnet holds tasks. One without both subnets isn't a zone of ours any more.
fn standing(inventory: &Inventory, service: &Service) -> Vec<Zone> {
    let subnets: BTreeMap<&str, (&str, &Subnet)> = inventory
        .owned
        .iter()
        .filter_map(|(key, have)| match &have.resource {
            Resource::Subnet(subnet) => Some((have.id.as_str(), (key.name.as_str(), subnet))),
            _ => None,
        })
        .collect();
    let zone = |id: &String| {
        let (key, private) = subnets.get(id.as_str())?;
        let name = key.strip_prefix(PRIVATE)?;
        let public = inventory
            .owned
            .get(&Key::new(Kind::Subnet, format!("{PUBLIC}{name}")))?;
        let Resource::Subnet(public) = &public.resource else {
            return None;
        };
        Some(Zone {
            name: name.to_owned(),
            public: public.cidr.parse().ok()?,
            private: private.cidr.parse().ok()?,
        })
    };
    let mut zones: Vec<Zone> = service
        .subnets
        .iter()
        .chain(&service.others.subnets)
        .filter_map(zone)
        .collect();
    zones.sort_by(|left, right| left.name.cmp(&right.name));
    zones.dedup();
    zones
}
