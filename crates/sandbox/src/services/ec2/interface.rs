//! Network interfaces: what occupies an address in a subnet. Others make and release them; nobody deletes one by hand.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, State, View, invalid, missing, tag};
use crate::clock::{Millis, iso};
use crate::wire::Call;
use crate::world::World;

/// A network interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) subnet: String,
    pub(crate) address: String,
    pub(crate) groups: Vec<String>,
    pub(crate) description: String,
    pub(crate) kind: String,
    /// The public address that is mapped to it.
    pub(crate) public: Option<String>,
    pub(crate) created: Millis,
    /// When it goes away.
    pub(crate) until: Option<Millis>,
}

impl Interface {
    pub(crate) fn exists(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What kind of interface is wanted.
pub(crate) struct Wanted<'a> {
    /// EC2's interface type: `interface`, `nat_gateway`, `vpc_endpoint`.
    pub(crate) kind: &'a str,
    /// The public address that is mapped to it.
    pub(crate) public: Option<String>,
    /// What people see.
    pub(crate) description: &'a str,
}

/// Makes a network interface in a subnet, as a load balancer or a task gets one; answers (interface id, private address). One
/// without groups of its own is a member of the VPC's.
pub(crate) fn attach_interface(
    world: &mut World,
    region: &str,
    subnet: &str,
    groups: &[String],
    description: &str,
) -> Result<(String, String), Fault> {
    let state = &world.at(region).ec2;
    let own = match groups {
        [] => state.default_group(&state.vpc_of(subnet)?),
        _ => None,
    };
    attach(
        world,
        region,
        subnet,
        own.as_ref().map_or(groups, std::slice::from_ref),
        Wanted {
            kind: "interface",
            public: None,
            description,
        },
    )
}

/// Makes a network interface of any kind; answers (interface id, private address).
pub(crate) fn attach(
    world: &mut World,
    region: &str,
    subnet: &str,
    groups: &[String],
    wanted: Wanted<'_>,
) -> Result<(String, String), Fault> {
    let now = world.now;
    let state = &mut world.at(region).ec2;
    state.tidy(now);
    let vpc = state.vpc_of(subnet)?;
    for id in groups {
        if state.group(id)?.vpc != vpc {
            return Err(invalid(format!(
                "You have specified two resources that belong to different networks: {id}, {subnet}"
            )));
        }
    }
    let address = free_address(state, subnet)?;
    let id = world.id("eni");
    let interface = Interface {
        subnet: subnet.to_owned(),
        address: address.clone(),
        groups: groups.to_vec(),
        description: wanted.description.to_owned(),
        kind: wanted.kind.to_owned(),
        public: wanted.public,
        created: now,
        until: None,
    };
    world
        .at(region)
        .ec2
        .interfaces
        .insert(id.clone(), interface);
    Ok((id, address))
}

/// Lets an interface go; it lingers until `at` (sandbox milliseconds) and blocks deletes of its subnet and groups till then.
pub(crate) fn release_interface(world: &mut World, region: &str, interface: &str, at: Millis) {
    if let Some(interface) = world.at(region).ec2.interfaces.get_mut(interface) {
        interface.until = Some(interface.until.map_or(at, |until| until.min(at)));
    }
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "networkInterfaceSet",
        ids: Some(("NetworkInterfaceId", "networkInterfaceId")),
        missing: |id| missing("eni-", id),
        filters: &[
            (
                "addresses.private-ip-address",
                "privateIpAddressesSet.privateIpAddress",
            ),
            ("association.public-ip", "association.publicIp"),
            ("attachment.attachment-id", "attachment.attachmentId"),
            ("attachment.instance-id", "attachment.instanceId"),
            ("attachment.instance-owner-id", "attachment.instanceOwnerId"),
            ("attachment.status", "attachment.status"),
            ("availability-zone", "availabilityZone"),
            ("description", "description"),
            ("group-id", "groupSet.groupId"),
            ("group-name", "groupSet.groupName"),
            ("interface-type", "interfaceType"),
            ("network-interface-id", "networkInterfaceId"),
            ("owner-id", "ownerId"),
            ("private-ip-address", "privateIpAddress"),
            ("requester-id", "requesterId"),
            ("requester-managed", "requesterManaged"),
            ("status", "status"),
            ("subnet-id", "subnetId"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    let existing = view
        .state
        .interfaces
        .iter()
        .filter(|(_, interface)| interface.exists(view.now));
    LISTING.answer(
        call,
        existing
            .map(|(id, interface)| render(&view, id, interface))
            .collect(),
    )
}

/// The lowest address that nobody has; the first four and the last are AWS's own.
fn free_address(state: &State, subnet: &str) -> Result<String, Fault> {
    let cidr = state.subnet(subnet)?.cidr;
    let taken = state
        .interfaces
        .values()
        .filter(|interface| interface.subnet == subnet);
    let taken: BTreeSet<&str> = taken.map(|interface| interface.address.as_str()).collect();
    let (first, last) = (u32::from(cidr.network()) + 4, u32::from(cidr.broadcast()));
    let mut addresses = (first..last).map(|address| Ipv4Addr::from(address).to_string());
    addresses
        .find(|address| !taken.contains(address.as_str()))
        .ok_or_else(|| {
            let message = format!("Insufficient free addresses in subnet '{subnet}'.");
            Fault::new("InsufficientFreeAddressesInSubnet", message)
        })
}

fn render(view: &View<'_>, id: &str, interface: &Interface) -> Value {
    let subnet = view.state.subnets.get(&interface.subnet);
    let zone = subnet
        .map(|subnet| subnet.zone.as_str())
        .unwrap_or_default();
    let name = |group: &str| view.state.groups.get(group).map(|group| group.name.clone());
    let groups = interface
        .groups
        .iter()
        .map(|group| json!({"groupId": group, "groupName": name(group)}));
    let association = interface
        .public
        .as_ref()
        .map(|public| json!({"ipOwnerId": "amazon-elb", "publicIp": public}));
    let bytes: Vec<u8> = id.bytes().rev().take(5).collect();
    json!({
        "association": association,
        "attachment": {
            "attachTime": iso(interface.created),
            "attachmentId": format!("ela-attach-{}", id.trim_start_matches("eni-")),
            "deleteOnTermination": false,
            "deviceIndex": 1,
            "instanceOwnerId": "amazon-aws",
            "status": "attached",
        },
        "availabilityZone": zone,
        "description": interface.description,
        "groupSet": groups.collect::<Vec<_>>(),
        "interfaceType": interface.kind,
        "ipv6AddressesSet": [],
        "macAddress": format!("02:{}", hex::encode(bytes).as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":")),
        "networkInterfaceId": id,
        "ownerId": view.account,
        "privateIpAddress": interface.address,
        "privateIpAddressesSet": [{"association": association, "primary": true, "privateIpAddress": interface.address}],
        "requesterId": "amazon-aws",
        "requesterManaged": true,
        "sourceDestCheck": interface.kind != "nat_gateway",
        "status": "in-use",
        "subnetId": interface.subnet,
        "tagSet": tag::set(view, id),
        "vpcId": subnet.map(|subnet| subnet.vpc.as_str()),
    })
}
