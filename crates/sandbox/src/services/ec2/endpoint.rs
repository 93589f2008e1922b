//! VPC endpoints: interface endpoints with their interfaces, gateway endpoints with their routes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{
    Answer, Fault, State, View, catalogue, done, group, interface, invalid, missing, need, state,
    tag,
};
use crate::clock::{Millis, iso};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// AWS takes one to three minutes for an interface endpoint.
const PENDING: Millis = 60_000;
/// And about as long to take its interfaces away.
const DELETING: Millis = 60_000;

/// An endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) vpc: String,
    pub(crate) service: String,
    pub(crate) gateway: bool,
    pub(crate) policy: String,
    pub(crate) tables: BTreeSet<String>,
    /// Its interface in each subnet.
    pub(crate) subnets: BTreeMap<String, String>,
    pub(crate) groups: Vec<String>,
    pub(crate) private_dns: bool,
    pub(crate) created: Millis,
    pub(crate) deleted: Option<Millis>,
    pub(crate) token: Option<String>,
}

impl Endpoint {
    /// As EC2 writes it: lower case, whatever the model's enum says.
    fn state(&self, now: Millis) -> &'static str {
        match self.deleted {
            Some(_) => "deleting",
            None if self.gateway || now >= self.created + PENDING => "available",
            None => "pending",
        }
    }

    /// Whether it is listed.
    pub(crate) fn visible(&self, now: Millis) -> bool {
        self.deleted
            .is_none_or(|at| !self.gateway && now < at + DELETING)
    }
}

/// Full access: what AWS sets where no policy is given. Only that of gateway endpoints has a version.
fn full_access(gateway: bool) -> &'static str {
    if gateway {
        r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#
    } else {
        r#"{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}"#
    }
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "VpcEndpointType",
            "VpcId",
            "ServiceName",
            "PolicyDocument",
            "RouteTableId",
            "SubnetId",
            "SecurityGroupId",
            "ClientToken",
            "PrivateDnsEnabled",
            "TagSpecification",
            "IpAddressType",
        ],
    )?;
    let vpc = need(call, "VpcId")?;
    let service = need(call, "ServiceName")?;
    if call
        .input
        .text("IpAddressType")
        .is_some_and(|kind| kind != "ipv4")
    {
        return Err(invalid(
            "the ecspipe sandbox only has endpoints of the address type 'ipv4'",
        ));
    }
    let gateway = match call.input.text("VpcEndpointType").unwrap_or("Gateway") {
        "Gateway" => true,
        "Interface" => false,
        other => {
            return Err(invalid(format!(
                "the ecspipe sandbox has no VPC endpoints of type '{other}'"
            )));
        }
    };
    if let Some(answer) = repeated(world, call, vpc, service) {
        return answer;
    }
    let tags = tag::given(call, "vpc-endpoint")?;
    if !gateway {
        let have = interfaces_in(state(world, call), vpc);
        quotas::room(
            world,
            &call.region,
            &quotas::ENDPOINTS,
            have,
            "VpcEndpointLimitExceeded",
            "The maximum number of VPC endpoints has been reached.",
        )?;
    }
    let endpoint = if gateway {
        gateway_endpoint(world, call, vpc, service)?
    } else {
        interface_endpoint(world, call, vpc, service)?
    };
    let id = world.id("vpce");
    let state_now = state(world, call);
    let (subnets, groups) = (call.input.texts("SubnetId"), endpoint.groups.clone());
    state_now.endpoints.insert(id.clone(), endpoint);
    state_now.tags.insert(id.clone(), tags);
    if !gateway {
        for subnet in subnets {
            add_subnet(world, call, &id, &subnet, &groups)?;
        }
    }
    answer_created(world, call, &id)
}

/// The interface endpoints of a VPC.
fn interfaces_in(state: &super::State, vpc: &str) -> usize {
    let live = |endpoint: &&Endpoint| endpoint.vpc == vpc && endpoint.deleted.is_none();
    state
        .endpoints
        .values()
        .filter(live)
        .filter(|endpoint| !endpoint.gateway)
        .count()
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "vpcEndpointSet",
        ids: Some(("VpcEndpointId", "vpcEndpointId")),
        missing: |id| missing("vpce-", id),
        filters: &[
            ("ip-address-type", "ipAddressType"),
            ("service-name", "serviceName"),
            ("vpc-endpoint-id", "vpcEndpointId"),
            ("vpc-endpoint-state", "state"),
            ("vpc-endpoint-type", "vpcEndpointType"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    let shown = view
        .state
        .endpoints
        .iter()
        .filter(|(_, endpoint)| endpoint.visible(view.now));
    LISTING.answer(call, shown.map(|(id, _)| render(&view, id)).collect())
}

pub(super) fn modify(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "VpcEndpointId",
            "ResetPolicy",
            "PolicyDocument",
            "AddRouteTableId",
            "RemoveRouteTableId",
            "AddSubnetId",
            "RemoveSubnetId",
            "AddSecurityGroupId",
            "RemoveSecurityGroupId",
            "PrivateDnsEnabled",
        ],
    )?;
    let id = need(call, "VpcEndpointId")?;
    let now = world.now;
    let state_now = state(world, call);
    let live = |endpoint: &&Endpoint| endpoint.deleted.is_none();
    let mut endpoint = state_now
        .endpoints
        .get(id)
        .filter(live)
        .ok_or_else(|| missing("vpce-", id))?
        .clone();
    check_kind(call, &endpoint)?;
    if let Some(policy) = call.input.text("PolicyDocument") {
        endpoint.policy = checked_policy(policy)?;
    }
    if call.input.flag("ResetPolicy") == Some(true) {
        endpoint.policy = full_access(endpoint.gateway).to_owned();
    }
    for table in call.input.texts("RemoveRouteTableId") {
        endpoint.tables.remove(&table);
    }
    let added = call.input.texts("AddRouteTableId");
    check_tables(state_now, &endpoint.vpc, &endpoint.service, &added)?;
    endpoint.tables.extend(added);
    for group in call.input.texts("AddSecurityGroupId") {
        state_now.group(&group)?;
        if !endpoint.groups.contains(&group) {
            endpoint.groups.push(group);
        }
    }
    let removed = call.input.texts("RemoveSecurityGroupId");
    endpoint.groups.retain(|group| !removed.contains(group));
    if !endpoint.gateway && endpoint.groups.is_empty() {
        return Err(invalid("a VPC endpoint needs at least one security group"));
    }
    if let Some(private_dns) = call.input.flag("PrivateDnsEnabled") {
        if private_dns && !endpoint.private_dns {
            check_private_dns(state_now, &endpoint.vpc, &endpoint.service)?;
        }
        endpoint.private_dns = private_dns;
    }
    let gone: Vec<String> = call.input.texts("RemoveSubnetId");
    let released: Vec<String> = gone
        .iter()
        .filter_map(|subnet| endpoint.subnets.remove(subnet))
        .collect();
    let groups = endpoint.groups.clone();
    for interface in endpoint.subnets.values() {
        if let Some(interface) = state_now.interfaces.get_mut(interface) {
            interface.groups.clone_from(&groups);
        }
    }
    state_now.endpoints.insert(id.to_owned(), endpoint);
    for interface in released {
        interface::release_interface(world, &call.region, &interface, now + DELETING);
    }
    for subnet in call.input.texts("AddSubnetId") {
        add_subnet(world, call, id, &subnet, &groups)?;
    }
    done()
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["VpcEndpointId"])?;
    let now = world.now;
    let mut unsuccessful = Vec::new();
    let ids = call.input.texts("VpcEndpointId");
    if ids.is_empty() {
        need(call, "VpcEndpointId")?;
    }
    for id in ids {
        let endpoint = state(world, call)
            .endpoints
            .get_mut(&id)
            .filter(|endpoint| endpoint.visible(now));
        let Some(endpoint) = endpoint else {
            let message = format!("The Vpc Endpoint Id '{id}' does not exist");
            unsuccessful.push(json!({"error": {"code": "InvalidVpcEndpoint.NotFound", "message": message}, "resourceId": id}));
            continue;
        };
        endpoint.deleted.get_or_insert(now);
        let interfaces: Vec<String> = endpoint.subnets.values().cloned().collect();
        for interface in interfaces {
            interface::release_interface(world, &call.region, &interface, now + DELETING);
        }
    }
    state(world, call).tidy(now);
    Ok(Reply::Value(json!({"unsuccessful": unsuccessful})))
}

/// The answer to a client token that was used before.
fn repeated(world: &mut World, call: &Call, vpc: &str, service: &str) -> Option<Answer> {
    let token = call.input.text("ClientToken")?;
    let endpoints = &state(world, call).endpoints;
    let (id, endpoint) = endpoints
        .iter()
        .find(|(_, endpoint)| endpoint.token.as_deref() == Some(token))?;
    if endpoint.vpc != vpc || endpoint.service != service {
        let message = "The client token was used before with other parameters.";
        return Some(Err(Fault::new("IdempotentParameterMismatch", message)));
    }
    let id = id.clone();
    Some(answer_created(world, call, &id))
}

fn answer_created(world: &mut World, call: &Call, id: &str) -> Answer {
    let endpoint = render(&View::new(world, &call.region), id);
    Ok(Reply::Value(
        json!({"vpcEndpoint": endpoint, "clientToken": call.input.text("ClientToken")}),
    ))
}

fn gateway_endpoint(
    world: &mut World,
    call: &Call,
    vpc: &str,
    service: &str,
) -> Result<Endpoint, Fault> {
    if catalogue::service(&call.region, service, true).is_none() {
        return Err(catalogue::no_service(service));
    }
    for name in ["SubnetId", "SecurityGroupId"] {
        if !call.input.list(name).is_empty() {
            return Err(Fault::new(
                "InvalidParameter",
                format!("{name} cannot be used with a gateway endpoint"),
            ));
        }
    }
    if call.input.flag("PrivateDnsEnabled") == Some(true) {
        return Err(Fault::new(
            "InvalidParameter",
            "Private DNS can only be enabled for an interface endpoint",
        ));
    }
    let tables = call.input.texts("RouteTableId");
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    state.vpc(vpc)?;
    check_tables(state, vpc, service, &tables)?;
    let mut endpoint = new(call, vpc, service, true, now)?;
    endpoint.tables = tables.into_iter().collect();
    Ok(endpoint)
}

fn interface_endpoint(
    world: &mut World,
    call: &Call,
    vpc: &str,
    service: &str,
) -> Result<Endpoint, Fault> {
    if catalogue::service(&call.region, service, false).is_none() {
        return Err(catalogue::no_service(service));
    }
    if !call.input.list("RouteTableId").is_empty() {
        return Err(Fault::new(
            "InvalidParameter",
            "RouteTableId cannot be used with an interface endpoint",
        ));
    }
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    state.vpc(vpc)?;
    let private_dns = call.input.flag("PrivateDnsEnabled").unwrap_or(true);
    if private_dns {
        check_private_dns(state, vpc, service)?;
    }
    let subnets = call.input.texts("SubnetId");
    let zones = subnets
        .iter()
        .map(|subnet| state.subnet(subnet).map(|have| have.zone.clone()));
    let zones = zones.collect::<Result<Vec<String>, Fault>>()?;
    if let Some(index) = (1..zones.len()).find(|index| zones[..*index].contains(&zones[*index])) {
        return Err(same_zone(&subnets[index]));
    }
    for subnet in &subnets {
        if state.vpc_of(subnet)? != vpc {
            return Err(Fault::new(
                "InvalidParameter",
                format!("The subnet {subnet} is not in the VPC {vpc}"),
            ));
        }
    }
    let mut groups = call.input.texts("SecurityGroupId");
    for id in &groups {
        if state.group(id)?.vpc != vpc {
            return Err(Fault::new(
                "InvalidParameter",
                format!("Security group {id} and VPC {vpc} belong to different networks"),
            ));
        }
    }
    if groups.is_empty() {
        let default = state
            .groups
            .iter()
            .find(|(_, have)| have.vpc == vpc && have.name == group::DEFAULT);
        groups.extend(default.map(|(id, _)| id.clone()));
    }
    let mut endpoint = new(call, vpc, service, false, now)?;
    endpoint.groups = groups;
    endpoint.private_dns = private_dns;
    Ok(endpoint)
}

fn new(
    call: &Call,
    vpc: &str,
    service: &str,
    gateway: bool,
    now: Millis,
) -> Result<Endpoint, Fault> {
    let policy = call.input.text("PolicyDocument");
    Ok(Endpoint {
        vpc: vpc.to_owned(),
        service: service.to_owned(),
        gateway,
        policy: checked_policy(policy.unwrap_or_else(|| full_access(gateway)))?,
        tables: BTreeSet::new(),
        subnets: BTreeMap::new(),
        groups: Vec::new(),
        private_dns: false,
        created: now,
        deleted: None,
        token: call.input.text("ClientToken").map(ToOwned::to_owned),
    })
}

fn add_subnet(
    world: &mut World,
    call: &Call,
    id: &str,
    subnet: &str,
    groups: &[String],
) -> Result<(), Fault> {
    let state_now = state(world, call);
    let zone = state_now.subnet(subnet)?.zone.clone();
    let endpoint = state_now
        .endpoints
        .get(id)
        .ok_or_else(|| missing("vpce-", id))?;
    if endpoint.subnets.contains_key(subnet) {
        return Ok(());
    }
    let in_zone = |have: &String| {
        state_now
            .subnets
            .get(have)
            .is_some_and(|have| have.zone == zone)
    };
    if endpoint.subnets.keys().any(in_zone) {
        return Err(same_zone(subnet));
    }
    let description = format!("VPC Endpoint Interface {id}");
    let wanted = interface::Wanted {
        kind: "vpc_endpoint",
        public: None,
        description: &description,
    };
    let (interface, _) = interface::attach(world, &call.region, subnet, groups, wanted)?;
    if let Some(endpoint) = state(world, call).endpoints.get_mut(id) {
        endpoint.subnets.insert(subnet.to_owned(), interface);
    }
    Ok(())
}

fn check_kind(call: &Call, endpoint: &Endpoint) -> Result<(), Fault> {
    let foreign: &[&str] = if endpoint.gateway {
        &[
            "AddSubnetId",
            "RemoveSubnetId",
            "AddSecurityGroupId",
            "RemoveSecurityGroupId",
            "PrivateDnsEnabled",
        ]
    } else {
        &["AddRouteTableId", "RemoveRouteTableId"]
    };
    match foreign.iter().find(|name| call.input.get(**name).is_some()) {
        Some(name) => {
            let kind = if endpoint.gateway {
                "a gateway"
            } else {
                "an interface"
            };
            Err(Fault::new(
                "InvalidParameter",
                format!("{name} cannot be used with {kind} endpoint"),
            ))
        }
        None => Ok(()),
    }
}

fn check_tables(state: &State, vpc: &str, service: &str, tables: &[String]) -> Result<(), Fault> {
    for id in tables {
        let table = state.tables.get(id).ok_or_else(|| missing("rtb-", id))?;
        if table.vpc != vpc {
            return Err(Fault::new(
                "InvalidParameter",
                format!("Route table {id} is not in the VPC {vpc}"),
            ));
        }
        let routed = |have: &Endpoint| {
            have.deleted.is_none() && have.service == service && have.tables.contains(id)
        };
        if state.endpoints.values().any(routed) {
            let list = catalogue::prefix_list(service);
            let message = format!(
                "route table {id} already has a route with destination-prefix-list-id {list}"
            );
            return Err(Fault::new("RouteAlreadyExists", message));
        }
    }
    Ok(())
}

fn check_private_dns(state: &State, vpc: &str, service: &str) -> Result<(), Fault> {
    let have = state.vpc(vpc)?;
    if !have.dns_support || !have.dns_hostnames {
        let message = format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for {vpc}"
        );
        return Err(Fault::new("InvalidParameter", message));
    }
    let conflicts = |endpoint: &Endpoint| {
        endpoint.vpc == vpc && endpoint.service == service && endpoint.private_dns
    };
    if state.endpoints.values().any(conflicts) {
        let message = format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {service} in the VPC {vpc}"
        );
        return Err(Fault::new("InvalidParameter", message));
    }
    Ok(())
}

fn checked_policy(policy: &str) -> Result<String, Fault> {
    match serde_json::from_str::<Value>(policy) {
        Ok(Value::Object(_)) => Ok(policy.to_owned()),
        _ => Err(Fault::new(
            "InvalidPolicyDocument",
            "This policy contains invalid Json",
        )),
    }
}

fn same_zone(subnet: &str) -> Fault {
    let message = format!("Found another VPC endpoint subnet in the availability zone of {subnet}");
    Fault::new("DuplicateSubnetsInSameZone", message)
}

fn render(view: &View<'_>, id: &str) -> Value {
    let endpoint = &view.state.endpoints[id];
    let name = |group: &str| view.state.groups.get(group).map(|group| group.name.clone());
    let groups = endpoint
        .groups
        .iter()
        .map(|group| json!({"groupId": group, "groupName": name(group)}));
    let short = endpoint
        .service
        .rsplit(&format!(".{}.", view.region))
        .next()
        .unwrap_or_default();
    let dns = format!(
        "{id}-{}.{short}.{}.vpce.amazonaws.com",
        &id[id.len() - 8..],
        view.region
    );
    let entries = if endpoint.gateway {
        json!([])
    } else {
        json!([{"dnsName": dns, "hostedZoneId": "Z1HUB23UULQXV"}])
    };
    json!({
        "vpcEndpointId": id,
        "vpcEndpointType": if endpoint.gateway { "Gateway" } else { "Interface" },
        "vpcId": endpoint.vpc,
        "serviceName": endpoint.service,
        "state": endpoint.state(view.now),
        "policyDocument": endpoint.policy,
        "routeTableIdSet": endpoint.tables,
        "subnetIdSet": endpoint.subnets.keys().collect::<Vec<_>>(),
        "groupSet": groups.collect::<Vec<_>>(),
        "ipAddressType": "ipv4",
        "privateDnsEnabled": endpoint.private_dns,
        "requesterManaged": false,
        "networkInterfaceIdSet": endpoint.subnets.values().collect::<Vec<_>>(),
        "dnsEntrySet": entries,
        "creationTimestamp": iso(endpoint.created),
        "tagSet": tag::set(view, id),
        "ownerId": view.account,
    })
}
