//! EC2's networking: VPCs, subnets, gateways, addresses, route tables, security groups, endpoints, interfaces, tags.
//! Instances are not here. Must not know what a balancer or a task does with its interface.
//!
//! States that only depend on time (a NAT gateway's, an endpoint's) are derived when they are read.

mod address;
mod catalogue;
mod endpoint;
mod gateway;
mod group;
mod interface;
mod listing;
mod nat;
mod reach;
mod route;
mod tag;
mod vpc;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::address::Address;
use self::endpoint::Endpoint;
use self::gateway::Gateway;
use self::group::{Group, Rule};
use self::interface::Interface;
use self::nat::Nat;
use self::route::Table;
use self::vpc::{Subnet, Vpc};
use super::query::Answer;
use crate::clock::Millis;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

pub(crate) use self::address::public_ip;
pub(crate) use self::interface::{Wanted, attach, attach_interface, release_interface};
pub(crate) use self::nat::end_failed;
pub(crate) use self::reach::{Place, lets_through, subnet_at};
pub(crate) use self::vpc::{free_addresses, subnet};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "AllocateAddress",
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateInternetGateway",
    "CreateNatGateway",
    "CreateRoute",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateTags",
    "CreateVpc",
    "CreateVpcEndpoint",
    "DeleteInternetGateway",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteTags",
    "DeleteVpc",
    "DeleteVpcEndpoints",
    "DescribeAccountAttributes",
    "DescribeAddresses",
    "DescribeAddressesAttribute",
    "DescribeAvailabilityZones",
    "DescribeInternetGateways",
    "DescribeManagedPrefixLists",
    "DescribeNatGateways",
    "DescribeNetworkAcls",
    "DescribeNetworkInterfaces",
    "DescribePrefixLists",
    "DescribeRegions",
    "DescribeRouteTables",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeTags",
    "DescribeVpcAttribute",
    "DescribeVpcEndpointServices",
    "DescribeVpcEndpoints",
    "DescribeVpcs",
    "DetachInternetGateway",
    "DisassociateRouteTable",
    "ModifySecurityGroupRules",
    "ModifySubnetAttribute",
    "ModifyVpcAttribute",
    "ModifyVpcEndpoint",
    "ReleaseAddress",
    "ReplaceRoute",
    "ReplaceRouteTableAssociation",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "UpdateSecurityGroupRuleDescriptionsEgress",
    "UpdateSecurityGroupRuleDescriptionsIngress",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) vpcs: BTreeMap<String, Vpc>,
    pub(crate) subnets: BTreeMap<String, Subnet>,
    pub(crate) gateways: BTreeMap<String, Gateway>,
    pub(crate) addresses: BTreeMap<String, Address>,
    pub(crate) nats: BTreeMap<String, Nat>,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    /// Tags of everything above, by id.
    pub(crate) tags: BTreeMap<String, Tags>,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    if call.input.flag("DryRun") == Some(true) {
        return rehearse(world, call);
    }
    match call.operation.as_str() {
        "AllocateAddress" => address::allocate(world, call),
        "AssociateRouteTable" => route::associate(world, call),
        "AttachInternetGateway" => gateway::attach(world, call),
        "AuthorizeSecurityGroupEgress" => group::authorize(world, call, true),
        "AuthorizeSecurityGroupIngress" => group::authorize(world, call, false),
        "CreateInternetGateway" => gateway::create(world, call),
        "CreateNatGateway" => nat::create(world, call),
        "CreateRoute" => route::create_route(world, call),
        "CreateRouteTable" => route::create(world, call),
        "CreateSecurityGroup" => group::create(world, call),
        "CreateSubnet" => vpc::create_subnet(world, call),
        "CreateTags" => tag::create(world, call),
        "CreateVpc" => vpc::create(world, call),
        "CreateVpcEndpoint" => endpoint::create(world, call),
        "DeleteInternetGateway" => gateway::delete(world, call),
        "DeleteNatGateway" => nat::delete(world, call),
        "DeleteRoute" => route::delete_route(world, call),
        "DeleteRouteTable" => route::delete(world, call),
        "DeleteSecurityGroup" => group::delete(world, call),
        "DeleteSubnet" => vpc::delete_subnet(world, call),
        "DeleteTags" => tag::delete(world, call),
        "DeleteVpc" => vpc::delete(world, call),
        "DeleteVpcEndpoints" => endpoint::delete(world, call),
        "DescribeAccountAttributes" => catalogue::account_attributes(world, call),
        "DescribeAddresses" => address::describe(world, call),
        "DescribeAddressesAttribute" => address::describe_attribute(world, call),
        "DescribeAvailabilityZones" => catalogue::availability_zones(call),
        "DescribeInternetGateways" => gateway::describe(world, call),
        "DescribeManagedPrefixLists" => catalogue::managed_prefix_lists(call),
        "DescribeNatGateways" => nat::describe(world, call),
        "DescribeNetworkAcls" => vpc::describe_acls(world, call),
        "DescribeNetworkInterfaces" => interface::describe(world, call),
        "DescribePrefixLists" => catalogue::prefix_lists(call),
        "DescribeRegions" => catalogue::regions(call),
        "DescribeRouteTables" => route::describe(world, call),
        "DescribeSecurityGroupRules" => group::describe_rules(world, call),
        "DescribeSecurityGroups" => group::describe(world, call),
        "DescribeSubnets" => vpc::describe_subnets(world, call),
        "DescribeTags" => tag::describe(world, call),
        "DescribeVpcAttribute" => vpc::describe_attribute(world, call),
        "DescribeVpcEndpointServices" => catalogue::endpoint_services(call),
        "DescribeVpcEndpoints" => endpoint::describe(world, call),
        "DescribeVpcs" => vpc::describe(world, call),
        "DetachInternetGateway" => gateway::detach(world, call),
        "DisassociateRouteTable" => route::disassociate(world, call),
        "ModifySecurityGroupRules" => group::modify_rules(world, call),
        "ModifySubnetAttribute" => vpc::modify_subnet(world, call),
        "ModifyVpcAttribute" => vpc::modify_attribute(world, call),
        "ModifyVpcEndpoint" => endpoint::modify(world, call),
        "ReleaseAddress" => address::release(world, call),
        "ReplaceRoute" => route::replace_route(world, call),
        "ReplaceRouteTableAssociation" => route::replace_association(world, call),
        "RevokeSecurityGroupEgress" => group::revoke(world, call, true),
        "RevokeSecurityGroupIngress" => group::revoke(world, call, false),
        "UpdateSecurityGroupRuleDescriptionsEgress" => group::describe_anew(world, call, true),
        "UpdateSecurityGroupRuleDescriptionsIngress" => group::describe_anew(world, call, false),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// `DryRun`: the call is played on a copy; what would go wrong is said, else that it would have succeeded.
fn rehearse(world: &World, call: &Call) -> Answer {
    let mut copy = world.clone();
    let mut real = call.clone();
    if let Some(input) = real.input.as_object_mut() {
        input.remove("DryRun");
    }
    self::call(&mut copy, &real)?;
    Err(Fault::new(
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
    .status(412))
}

/// What rendering needs: the state, the time, and where we are.
#[derive(Clone, Copy)]
struct View<'a> {
    state: &'a State,
    now: Millis,
    account: &'a str,
    region: &'a str,
}

impl<'a> View<'a> {
    fn new(world: &'a mut World, region: &'a str) -> Self {
        world.at(region);
        let world: &World = world;
        Self {
            state: &world.regions[region].ec2,
            now: world.now,
            account: &world.account,
            region,
        }
    }

    fn arn(&self, resource: &str) -> String {
        let partition = crate::world::partition(self.region);
        format!(
            "arn:{partition}:ec2:{}:{}:{resource}",
            self.region, self.account
        )
    }
}

fn state<'a>(world: &'a mut World, call: &Call) -> &'a mut State {
    &mut world.at(&call.region).ec2
}

/// The member, or EC2's fault for a missing one.
fn need<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input
        .text(name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            Fault::new(
                "MissingParameter",
                format!("The request must contain the parameter {name}"),
            )
        })
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterValue", message)
}

fn done() -> Answer {
    Ok(Reply::Value(serde_json::json!({"return": true})))
}

/// Id prefix, resource type in tags, code of the fault for an unknown id, and what the fault calls it.
const KINDS: [(&str, &str, &str, &str); 12] = [
    ("vpc-", "vpc", "InvalidVpcID.NotFound", "vpc ID"),
    ("subnet-", "subnet", "InvalidSubnetID.NotFound", "subnet ID"),
    (
        "igw-",
        "internet-gateway",
        "InvalidInternetGatewayID.NotFound",
        "internetGateway ID",
    ),
    (
        "eipalloc-",
        "elastic-ip",
        "InvalidAllocationID.NotFound",
        "allocation ID",
    ),
    ("nat-", "natgateway", "NatGatewayNotFound", "natGateway ID"),
    (
        "rtb-",
        "route-table",
        "InvalidRouteTableID.NotFound",
        "routeTable ID",
    ),
    (
        "sg-",
        "security-group",
        "InvalidGroup.NotFound",
        "security group",
    ),
    (
        "sgr-",
        "security-group-rule",
        "InvalidSecurityGroupRuleId.NotFound",
        "security group rule ID",
    ),
    (
        "vpce-",
        "vpc-endpoint",
        "InvalidVpcEndpointId.NotFound",
        "Vpc Endpoint Id",
    ),
    (
        "eni-",
        "network-interface",
        "InvalidNetworkInterfaceID.NotFound",
        "networkInterface ID",
    ),
    (
        "acl-",
        "network-acl",
        "InvalidNetworkAclID.NotFound",
        "networkAcl ID",
    ),
    (
        "rtbassoc-",
        "",
        "InvalidAssociationID.NotFound",
        "association ID",
    ),
];

/// How ARNs and tags call the kind of an id; `None` for what has no ARN of its own.
pub(crate) fn resource_type(id: &str) -> Option<&'static str> {
    Some(tag::resource_type(id)).filter(|kind| !kind.is_empty())
}

/// The fault for an id of the kind with `prefix` that nothing has.
fn missing(prefix: &str, id: &str) -> Fault {
    match KINDS.iter().find(|kind| kind.0 == prefix) {
        Some((_, _, code, noun)) => Fault::new(code, format!("The {noun} '{id}' does not exist")),
        None => Fault::new("InvalidID", format!("The ID '{id}' is not valid")),
    }
}

/// The answer to a call that doesn't see the things with these ids yet: one that names one of them is told that there is no such
/// thing, a listing leaves them out.
pub(crate) fn call_unseeing(world: &mut World, call: &Call, unseen: &BTreeSet<String>) -> Answer {
    if let Some(id) = crate::faults::named(&call.input, unseen) {
        let prefix = id.split_inclusive('-').next().unwrap_or_default();
        // Routes have a code of their own for it (AWS.md §3.2).
        return Err(match (prefix, call.operation.as_str()) {
            ("nat-", "CreateRoute" | "ReplaceRoute") => Fault::new(
                "InvalidNatGatewayID.NotFound",
                format!("The natGateway ID '{id}' does not exist"),
            ),
            _ => missing(prefix, id),
        });
    }
    if !call.operation.starts_with("Describe") {
        return self::call(world, call);
    }
    let whole = world.at(&call.region).ec2.clone();
    world.at(&call.region).ec2.forget(unseen);
    let answer = self::call(world, call);
    world.at(&call.region).ec2 = whole;
    answer
}

impl State {
    fn forget(&mut self, ids: &BTreeSet<String>) {
        self.vpcs.retain(|id, _| !ids.contains(id));
        self.subnets.retain(|id, _| !ids.contains(id));
        self.gateways.retain(|id, _| !ids.contains(id));
        self.addresses.retain(|id, _| !ids.contains(id));
        self.nats.retain(|id, _| !ids.contains(id));
        self.tables.retain(|id, _| !ids.contains(id));
        self.groups.retain(|id, _| !ids.contains(id));
        self.endpoints.retain(|id, _| !ids.contains(id));
    }

    /// The ids of everything that is there at `now`; deleted NAT gateways, which are shown for an hour, are not.
    pub fn alive(&self, now: Millis) -> Vec<String> {
        let nats = self
            .nats
            .iter()
            .filter(|(_, nat)| nat.state(now) != "deleted")
            .map(|(id, _)| id);
        let endpoints = self
            .endpoints
            .iter()
            .filter(|(_, endpoint)| endpoint.visible(now))
            .map(|(id, _)| id);
        let interfaces = self
            .interfaces
            .iter()
            .filter(|(_, interface)| interface.exists(now))
            .map(|(id, _)| id);
        let ids = self
            .vpcs
            .keys()
            .chain(self.subnets.keys())
            .chain(self.gateways.keys())
            .chain(self.addresses.keys());
        let ids = ids
            .chain(self.tables.keys())
            .chain(self.groups.keys())
            .chain(nats)
            .chain(endpoints)
            .chain(interfaces);
        ids.cloned().collect()
    }

    fn vpc(&self, id: &str) -> Result<&Vpc, Fault> {
        self.vpcs.get(id).ok_or_else(|| missing("vpc-", id))
    }

    fn subnet(&self, id: &str) -> Result<&Subnet, Fault> {
        self.subnets.get(id).ok_or_else(|| missing("subnet-", id))
    }

    fn table(&mut self, id: &str) -> Result<&mut Table, Fault> {
        self.tables.get_mut(id).ok_or_else(|| missing("rtb-", id))
    }

    fn group(&self, id: &str) -> Result<&Group, Fault> {
        self.groups.get(id).ok_or_else(|| missing("sg-", id))
    }

    /// Whether an id is known, at `now`.
    fn has(&self, id: &str, now: Millis) -> bool {
        self.vpcs.contains_key(id)
            || self.subnets.contains_key(id)
            || self.gateways.contains_key(id)
            || self.addresses.contains_key(id)
            || self.nats.get(id).is_some_and(|nat| nat.visible(now))
            || self.tables.contains_key(id)
            || self.groups.contains_key(id)
            || self.rules.contains_key(id)
            || self
                .endpoints
                .get(id)
                .is_some_and(|endpoint| endpoint.visible(now))
            || self
                .interfaces
                .get(id)
                .is_some_and(|interface| interface.exists(now))
            || self.vpcs.values().any(|vpc| vpc.acl == id)
    }

    /// Forgets what time has taken away: deleted NAT gateways, endpoints and interfaces.
    fn tidy(&mut self, now: Millis) {
        self.nats.retain(|_, nat| nat.visible(now));
        self.endpoints.retain(|_, endpoint| endpoint.visible(now));
        self.interfaces.retain(|_, interface| interface.exists(now));
        let gone: Vec<String> = self
            .tags
            .keys()
            .filter(|id| !self.has(id, now))
            .cloned()
            .collect();
        for id in gone {
            self.tags.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
