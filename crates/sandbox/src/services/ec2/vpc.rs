//! VPCs, their subnets and their network ACL. Must not know balancers or tasks.

use std::str::FromStr as _;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::route::{Association, Table};
use super::{Answer, Fault, State, View, done, group, invalid, missing, need, state, tag};
use crate::clock::Millis;
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// A network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vpc {
    pub(crate) cidr: Ipv4Net,
    pub(crate) cidr_association: String,
    pub(crate) dns_support: bool,
    pub(crate) dns_hostnames: bool,
    pub(crate) usage_metrics: bool,
    /// The network ACL that comes with the VPC, and which all its subnets have.
    pub(crate) acl: String,
}

/// A part of a network, in one zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) cidr: Ipv4Net,
    pub(crate) public_ip_on_launch: bool,
    pub(crate) dns_a_record: bool,
}

/// What another service needs to know of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubnetFacts {
    pub(crate) vpc: String,
    pub(crate) zone: String,
}

/// A subnet by id.
pub(crate) fn subnet(world: &World, region: &str, id: &str) -> Option<SubnetFacts> {
    let subnet = world.regions.get(region)?.ec2.subnets.get(id)?;
    Some(SubnetFacts {
        vpc: subnet.vpc.clone(),
        zone: subnet.zone.clone(),
    })
}

/// How many addresses of a subnet are free. AWS keeps the first four and the last one.
pub(crate) fn free_addresses(world: &World, region: &str, id: &str) -> i64 {
    world
        .regions
        .get(region)
        .map_or(0, |region| free(&region.ec2, id, world.now))
}

fn free(state: &State, id: &str, now: Millis) -> i64 {
    let used = state
        .interfaces
        .values()
        .filter(|interface| interface.subnet == id && interface.exists(now))
        .count();
    state.subnets.get(id).map_or(0, |subnet| {
        (1_i64 << (32 - subnet.cidr.prefix_len())) - 5 - used as i64
    })
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "CidrBlock",
            "InstanceTenancy",
            "TagSpecification",
            "AmazonProvidedIpv6CidrBlock",
        ],
    )?;
    let cidr = network(need(call, "CidrBlock")?)?;
    if call
        .input
        .text("InstanceTenancy")
        .is_some_and(|tenancy| tenancy != "default")
    {
        return Err(invalid(
            "the ecspipe sandbox only has VPCs with the instance tenancy 'default'",
        ));
    }
    if call.input.flag("AmazonProvidedIpv6CidrBlock") == Some(true) {
        return Err(invalid(
            "the ecspipe sandbox has no IPv6: AmazonProvidedIpv6CidrBlock cannot be true",
        ));
    }
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(Fault::new(
            "InvalidVpc.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let tags = tag::given(call, "vpc")?;
    let have = state(world, call).vpcs.len();
    quotas::room(
        world,
        &call.region,
        &quotas::VPCS,
        have,
        "VpcLimitExceeded",
        "The maximum number of VPCs has been reached.",
    )?;
    let id = world.id("vpc");
    let vpc = Vpc {
        cidr,
        cidr_association: world.id("vpc-cidr-assoc"),
        dns_support: true,
        dns_hostnames: false,
        usage_metrics: false,
        acl: world.id("acl"),
    };
    let table = world.id("rtb");
    let main = Association {
        id: world.id("rtbassoc"),
        subnet: None,
    };
    let state_now = state(world, call);
    state_now.vpcs.insert(id.clone(), vpc);
    state_now.tables.insert(
        table,
        Table {
            vpc: id.clone(),
            token: None,
            routes: Vec::new(),
            associations: vec![main],
        },
    );
    state_now.tags.insert(id.clone(), tags);
    group::create_default(world, call, &id);
    let mut answer = render(&View::new(world, &call.region), &id);
    answer["state"] = "pending".into();
    Ok(Reply::Value(json!({"vpc": answer})))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "vpcSet",
        ids: Some(("VpcId", "vpcId")),
        missing: |id| missing("vpc-", id),
        filters: &[
            ("cidr", "cidrBlock"),
            ("cidr-block", "cidrBlock"),
            ("cidrBlock", "cidrBlock"),
            (
                "cidr-block-association.cidr-block",
                "cidrBlockAssociationSet.cidrBlock",
            ),
            (
                "cidr-block-association.association-id",
                "cidrBlockAssociationSet.associationId",
            ),
            (
                "cidr-block-association.state",
                "cidrBlockAssociationSet.cidrBlockState.state",
            ),
            ("dhcp-options-id", "dhcpOptionsId"),
            ("is-default", "isDefault"),
            ("isDefault", "isDefault"),
            ("owner-id", "ownerId"),
            ("state", "state"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state.vpcs.keys().map(|id| render(&view, id)).collect(),
    )
}

pub(super) fn describe_attribute(world: &mut World, call: &Call) -> Answer {
    only(call, &["VpcId", "Attribute"])?;
    let id = need(call, "VpcId")?;
    let attribute = need(call, "Attribute")?;
    let vpc = state(world, call).vpc(id)?;
    let value = match attribute {
        "enableDnsSupport" => vpc.dns_support,
        "enableDnsHostnames" => vpc.dns_hostnames,
        "enableNetworkAddressUsageMetrics" => vpc.usage_metrics,
        _ => {
            return Err(invalid(format!(
                "Value ({attribute}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    };
    Ok(Reply::Value(
        json!({"vpcId": id, attribute: {"value": value}}),
    ))
}

pub(super) fn modify_attribute(world: &mut World, call: &Call) -> Answer {
    const ATTRIBUTES: [&str; 3] = [
        "EnableDnsSupport",
        "EnableDnsHostnames",
        "EnableNetworkAddressUsageMetrics",
    ];
    only(call, &[&["VpcId"], &ATTRIBUTES[..]].concat())?;
    let id = need(call, "VpcId")?;
    let given: Vec<&str> = ATTRIBUTES
        .into_iter()
        .filter(|name| call.input.get(name).is_some())
        .collect();
    if given.len() > 1 {
        return Err(Fault::new(
            "InvalidParameterCombination",
            "Fields for multiple attribute types specified",
        ));
    }
    let Some(attribute) = given.first() else {
        return Err(Fault::new(
            "InvalidParameterCombination",
            "No attributes specified.",
        ));
    };
    let value = call
        .input
        .get(attribute)
        .and_then(|attribute| attribute.flag("Value"));
    let value = value.ok_or_else(|| invalid(format!("Invalid value for {attribute}")))?;
    let vpc = state(world, call)
        .vpcs
        .get_mut(id)
        .ok_or_else(|| missing("vpc-", id))?;
    match *attribute {
        "EnableDnsSupport" => vpc.dns_support = value,
        "EnableDnsHostnames" => vpc.dns_hostnames = value,
        _ => vpc.usage_metrics = value,
    }
    done()
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["VpcId"])?;
    let id = need(call, "VpcId")?;
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    state.vpc(id)?;
    let used = state.subnets.values().any(|subnet| subnet.vpc == id)
        || state
            .gateways
            .values()
            .any(|gateway| gateway.vpc.as_deref() == Some(id))
        || state
            .groups
            .values()
            .any(|group| group.vpc == id && group.name != group::DEFAULT)
        || state
            .tables
            .values()
            .any(|table| table.vpc == id && !table.is_main())
        || state.endpoints.values().any(|endpoint| endpoint.vpc == id);
    if used {
        let message = format!("The vpc '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::new("DependencyViolation", message));
    }
    let groups: Vec<String> = state
        .groups
        .iter()
        .filter(|(_, group)| group.vpc == id)
        .map(|(id, _)| id.clone())
        .collect();
    state.rules.retain(|_, rule| !groups.contains(&rule.group));
    state.groups.retain(|_, group| group.vpc != id);
    state.tables.retain(|_, table| table.vpc != id);
    state.vpcs.remove(id);
    state.tidy(now);
    done()
}

pub(super) fn create_subnet(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "VpcId",
            "CidrBlock",
            "AvailabilityZone",
            "AvailabilityZoneId",
            "TagSpecification",
        ],
    )?;
    let vpc = need(call, "VpcId")?;
    let cidr = network(need(call, "CidrBlock")?)?;
    let zone = zone(call)?;
    let tags = tag::given(call, "subnet")?;
    let state_now = state(world, call);
    let whole = state_now.vpc(vpc)?.cidr;
    if !(16..=28).contains(&cidr.prefix_len()) || !whole.contains(&cidr) {
        return Err(Fault::new(
            "InvalidSubnet.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let overlaps = |other: &Subnet| {
        other.vpc == vpc && (other.cidr.contains(&cidr) || cidr.contains(&other.cidr))
    };
    if state_now.subnets.values().any(overlaps) {
        return Err(Fault::new(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{cidr}' conflicts with another subnet"),
        ));
    }
    let have = state_now
        .subnets
        .values()
        .filter(|other| other.vpc == vpc)
        .count();
    quotas::room(
        world,
        &call.region,
        &quotas::SUBNETS,
        have,
        "SubnetLimitExceeded",
        "The maximum number of subnets has been reached.",
    )?;
    let subnet = Subnet {
        vpc: vpc.to_owned(),
        zone,
        cidr,
        public_ip_on_launch: false,
        dns_a_record: false,
    };
    let id = world.id("subnet");
    let state_now = state(world, call);
    state_now.subnets.insert(id.clone(), subnet);
    state_now.tags.insert(id.clone(), tags);
    let mut answer = render_subnet(&View::new(world, &call.region), &id);
    answer["state"] = "pending".into();
    Ok(Reply::Value(json!({"subnet": answer})))
}

pub(super) fn describe_subnets(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "subnetSet",
        ids: Some(("SubnetId", "subnetId")),
        missing: |id| missing("subnet-", id),
        filters: &[
            ("availability-zone", "availabilityZone"),
            ("availabilityZone", "availabilityZone"),
            ("availability-zone-id", "availabilityZoneId"),
            ("available-ip-address-count", "availableIpAddressCount"),
            ("cidr", "cidrBlock"),
            ("cidr-block", "cidrBlock"),
            ("cidrBlock", "cidrBlock"),
            ("default-for-az", "defaultForAz"),
            ("defaultForAz", "defaultForAz"),
            ("map-public-ip-on-launch", "mapPublicIpOnLaunch"),
            ("owner-id", "ownerId"),
            ("state", "state"),
            ("subnet-arn", "subnetArn"),
            ("subnet-id", "subnetId"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .subnets
            .keys()
            .map(|id| render_subnet(&view, id))
            .collect(),
    )
}

pub(super) fn modify_subnet(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "SubnetId",
            "MapPublicIpOnLaunch",
            "EnableResourceNameDnsARecordOnLaunch",
        ],
    )?;
    let id = need(call, "SubnetId")?;
    let given = |name: &str| {
        call.input
            .get(name)
            .and_then(|attribute| attribute.flag("Value"))
    };
    let subnet = state(world, call)
        .subnets
        .get_mut(id)
        .ok_or_else(|| missing("subnet-", id))?;
    match (
        given("MapPublicIpOnLaunch"),
        given("EnableResourceNameDnsARecordOnLaunch"),
    ) {
        (Some(value), None) => subnet.public_ip_on_launch = value,
        (None, Some(value)) => subnet.dns_a_record = value,
        _ => {
            return Err(Fault::new(
                "InvalidParameterCombination",
                "Exactly one attribute must be specified.",
            ));
        }
    }
    done()
}

pub(super) fn delete_subnet(world: &mut World, call: &Call) -> Answer {
    only(call, &["SubnetId"])?;
    let id = need(call, "SubnetId")?;
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    state.subnet(id)?;
    if state
        .interfaces
        .values()
        .any(|interface| interface.subnet == id)
    {
        let message = format!("The subnet '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::new("DependencyViolation", message));
    }
    for table in state.tables.values_mut() {
        table
            .associations
            .retain(|association| association.subnet.as_deref() != Some(id));
    }
    state.subnets.remove(id);
    state.tags.remove(id);
    done()
}

pub(super) fn describe_acls(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "networkAclSet",
        ids: Some(("NetworkAclId", "networkAclId")),
        missing: |id| missing("acl-", id),
        filters: &[
            (
                "association.association-id",
                "associationSet.networkAclAssociationId",
            ),
            ("association.network-acl-id", "associationSet.networkAclId"),
            ("association.subnet-id", "associationSet.subnetId"),
            ("default", "default"),
            ("network-acl-id", "networkAclId"),
            ("owner-id", "ownerId"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .vpcs
            .iter()
            .map(|(id, vpc)| render_acl(&view, id, vpc))
            .collect(),
    )
}

fn render(view: &View<'_>, id: &str) -> Value {
    let vpc = &view.state.vpcs[id];
    json!({
        "ownerId": view.account,
        "instanceTenancy": "default",
        "ipv6CidrBlockAssociationSet": [],
        "cidrBlockAssociationSet": [{
            "associationId": vpc.cidr_association,
            "cidrBlock": vpc.cidr.to_string(),
            "cidrBlockState": {"state": "associated"},
        }],
        "isDefault": false,
        "tagSet": tag::set(view, id),
        "vpcId": id,
        "state": "available",
        "cidrBlock": vpc.cidr.to_string(),
        "dhcpOptionsId": format!("dopt-{}", id.trim_start_matches("vpc-")),
    })
}

fn render_subnet(view: &View<'_>, id: &str) -> Value {
    let subnet = &view.state.subnets[id];
    json!({
        "availabilityZoneId": super::catalogue::zone_id(view.region, &subnet.zone),
        "mapCustomerOwnedIpOnLaunch": false,
        "ownerId": view.account,
        "assignIpv6AddressOnCreation": false,
        "ipv6CidrBlockAssociationSet": [],
        "tagSet": tag::set(view, id),
        "subnetArn": view.arn(&format!("subnet/{id}")),
        "enableDns64": false,
        "ipv6Native": false,
        "privateDnsNameOptionsOnLaunch": {
            "hostnameType": "ip-name",
            "enableResourceNameDnsARecord": subnet.dns_a_record,
            "enableResourceNameDnsAAAARecord": false,
        },
        "subnetId": id,
        "state": "available",
        "vpcId": subnet.vpc,
        "cidrBlock": subnet.cidr.to_string(),
        "availableIpAddressCount": free(view.state, id, view.now),
        "availabilityZone": subnet.zone,
        "defaultForAz": false,
        "mapPublicIpOnLaunch": subnet.public_ip_on_launch,
    })
}

fn render_acl(view: &View<'_>, vpc_id: &str, vpc: &Vpc) -> Value {
    let subnets = view
        .state
        .subnets
        .iter()
        .filter(|(_, subnet)| subnet.vpc == vpc_id);
    let associations = subnets.map(|(id, _)| {
        json!({
            "networkAclAssociationId": format!("aclassoc-{}", id.trim_start_matches("subnet-")),
            "networkAclId": vpc.acl,
            "subnetId": id,
        })
    });
    let entry = |egress: bool, number: u32, action: &str| json!({"cidrBlock": "0.0.0.0/0", "egress": egress, "protocol": "-1", "ruleAction": action, "ruleNumber": number});
    json!({
        "associationSet": associations.collect::<Vec<_>>(),
        "entrySet": [
            entry(true, 100, "allow"), entry(true, 32767, "deny"), entry(false, 100, "allow"), entry(false, 32767, "deny"),
        ],
        "default": true,
        "networkAclId": vpc.acl,
        "tagSet": tag::set(view, &vpc.acl),
        "vpcId": vpc_id,
        "ownerId": view.account,
    })
}

/// A CIDR block as EC2 keeps it: host bits cleared.
fn network(text: &str) -> Result<Ipv4Net, Fault> {
    Ipv4Net::from_str(text).map(|net| net.trunc()).map_err(|_| {
        invalid(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })
}

fn zone(call: &Call) -> Result<String, Fault> {
    let zones = super::catalogue::zones(&call.region);
    let wanted = call.input.text("AvailabilityZone");
    let by_id = call.input.text("AvailabilityZoneId");
    let found = zones.iter().find(|zone| match (wanted, by_id) {
        (Some(name), _) => *zone == name,
        (None, Some(id)) => super::catalogue::zone_id(&call.region, zone) == id,
        // AWS picks one; which, it doesn't say.
        (None, None) => true,
    });
    found.cloned().ok_or_else(|| {
        let text = wanted.or(by_id).unwrap_or_default();
        invalid(format!(
            "Value ({text}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
            zones.join(", ")
        ))
    })
}

impl State {
    /// The VPC of a subnet.
    pub(super) fn vpc_of(&self, subnet: &str) -> Result<String, Fault> {
        Ok(self.subnet(subnet)?.vpc.clone())
    }
}
