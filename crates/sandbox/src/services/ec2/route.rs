//! Route tables, their routes and associations. The local route and the routes to gateway endpoints are derived.

use std::str::FromStr as _;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, State, View, done, invalid, missing, need, state, tag};
use crate::clock::Millis;
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// A route table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) vpc: String,
    pub(crate) token: Option<String>,
    pub(crate) routes: Vec<Route>,
    pub(crate) associations: Vec<Association>,
}

/// A route that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) destination: Ipv4Net,
    pub(crate) target: Target,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// An internet gateway.
    Gateway(String),
    /// A NAT gateway.
    Nat(String),
}

/// What a table applies to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Association {
    pub(crate) id: String,
    /// `None`: the VPC's main association, for the subnets that have no own.
    pub(crate) subnet: Option<String>,
}

impl Table {
    pub(crate) fn is_main(&self) -> bool {
        self.associations
            .iter()
            .any(|association| association.subnet.is_none())
    }
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(call, &["VpcId", "TagSpecification", "ClientToken"])?;
    let vpc = need(call, "VpcId")?;
    let token = call.input.text("ClientToken").map(ToOwned::to_owned);
    let tags = tag::given(call, "route-table")?;
    let state_now = state(world, call);
    state_now.vpc(vpc)?;
    let same = state_now
        .tables
        .iter()
        .find(|(_, table)| token.is_some() && table.token == token);
    let id = match same.map(|(id, table)| (id.clone(), table.vpc.clone())) {
        Some((id, have)) if have == vpc => id,
        Some(_) => {
            let message = "The client token was used before with other parameters.";
            return Err(Fault::new("IdempotentParameterMismatch", message));
        }
        None => {
            let have = state_now
                .tables
                .values()
                .filter(|table| table.vpc == vpc)
                .count();
            quotas::room(
                world,
                &call.region,
                &quotas::ROUTE_TABLES,
                have,
                "RouteTableLimitExceeded",
                "The maximum number of route tables has been reached.",
            )?;
            let id = world.id("rtb");
            let table = Table {
                vpc: vpc.to_owned(),
                token,
                routes: Vec::new(),
                associations: Vec::new(),
            };
            let state_now = state(world, call);
            state_now.tables.insert(id.clone(), table);
            state_now.tags.insert(id.clone(), tags);
            id
        }
    };
    let table = render(&View::new(world, &call.region), &id);
    Ok(Reply::Value(
        json!({"routeTable": table, "clientToken": call.input.text("ClientToken")}),
    ))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "routeTableSet",
        ids: Some(("RouteTableId", "routeTableId")),
        missing: |id| missing("rtb-", id),
        filters: &[
            ("association.gateway-id", "associationSet.gatewayId"),
            ("association.main", "associationSet.main"),
            (
                "association.route-table-association-id",
                "associationSet.routeTableAssociationId",
            ),
            ("association.route-table-id", "associationSet.routeTableId"),
            ("association.subnet-id", "associationSet.subnetId"),
            ("owner-id", "ownerId"),
            ("route-table-id", "routeTableId"),
            (
                "route.destination-cidr-block",
                "routeSet.destinationCidrBlock",
            ),
            (
                "route.destination-prefix-list-id",
                "routeSet.destinationPrefixListId",
            ),
            ("route.gateway-id", "routeSet.gatewayId"),
            ("route.nat-gateway-id", "routeSet.natGatewayId"),
            ("route.origin", "routeSet.origin"),
            ("route.state", "routeSet.state"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .tables
            .keys()
            .map(|id| render(&view, id))
            .collect(),
    )
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["RouteTableId"])?;
    let id = need(call, "RouteTableId")?;
    let state = state(world, call);
    if !state.table(id)?.associations.is_empty() {
        let message = format!("The routeTable '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::new("DependencyViolation", message));
    }
    state.tables.remove(id);
    state.tags.remove(id);
    for endpoint in state.endpoints.values_mut() {
        endpoint.tables.remove(id);
    }
    done()
}

pub(super) fn create_route(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "RouteTableId",
            "DestinationCidrBlock",
            "GatewayId",
            "NatGatewayId",
        ],
    )?;
    let id = need(call, "RouteTableId")?;
    let route = wanted(world, call, id)?;
    let state = state(world, call);
    let vpc = state.table(id)?.vpc.clone();
    let local = state.vpc(&vpc)?.cidr;
    let table = state.table(id)?;
    match table
        .routes
        .iter()
        .find(|have| have.destination == route.destination)
    {
        // The same route again is no mistake to EC2.
        Some(have) if *have == route => done(),
        None if route.destination != local => {
            table.routes.push(route);
            done()
        }
        _ => {
            let message = format!(
                "The route identified by {} already exists.",
                route.destination
            );
            Err(Fault::new("RouteAlreadyExists", message))
        }
    }
}

pub(super) fn replace_route(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "RouteTableId",
            "DestinationCidrBlock",
            "GatewayId",
            "NatGatewayId",
        ],
    )?;
    let id = need(call, "RouteTableId")?;
    let route = wanted(world, call, id)?;
    let table = state(world, call).table(id)?;
    let have = table
        .routes
        .iter_mut()
        .find(|have| have.destination == route.destination);
    let have = have.ok_or_else(|| {
        let destination = route.destination;
        invalid(format!("There is no route defined for '{destination}' in the route table. Use CreateRoute instead."))
    })?;
    have.target = route.target;
    done()
}

pub(super) fn delete_route(world: &mut World, call: &Call) -> Answer {
    only(call, &["RouteTableId", "DestinationCidrBlock"])?;
    let id = need(call, "RouteTableId")?;
    let destination = destination(call)?;
    let state = state(world, call);
    let vpc = state.table(id)?.vpc.clone();
    if state.vpc(&vpc)?.cidr == destination {
        return Err(invalid(format!(
            "cannot remove local route {destination} in route table {id}"
        )));
    }
    let table = state.table(id)?;
    let before = table.routes.len();
    table
        .routes
        .retain(|route| route.destination != destination);
    if table.routes.len() == before {
        let message =
            format!("no route with destination-cidr-block {destination} in route table {id}");
        return Err(Fault::new("InvalidRoute.NotFound", message));
    }
    done()
}

pub(super) fn associate(world: &mut World, call: &Call) -> Answer {
    only(call, &["RouteTableId", "SubnetId"])?;
    let (id, subnet) = (need(call, "RouteTableId")?, need(call, "SubnetId")?);
    let state_now = state(world, call);
    let vpc = state_now.vpc_of(subnet)?;
    same_network(state_now, id, subnet, &vpc)?;
    let taken = |table: &Table| {
        table
            .associations
            .iter()
            .any(|have| have.subnet.as_deref() == Some(subnet))
    };
    if state_now.tables.values().any(taken) {
        let message = format!(
            "the specified association for route table {id} conflicts with an existing association"
        );
        return Err(Fault::new("Resource.AlreadyAssociated", message));
    }
    let association = world.id("rtbassoc");
    let made = Association {
        id: association.clone(),
        subnet: Some(subnet.to_owned()),
    };
    state(world, call).table(id)?.associations.push(made);
    Ok(Reply::Value(
        json!({"associationId": association, "associationState": {"state": "associated"}}),
    ))
}

pub(super) fn disassociate(world: &mut World, call: &Call) -> Answer {
    only(call, &["AssociationId"])?;
    let id = need(call, "AssociationId")?;
    let state = state(world, call);
    if association(state, id)?.1.subnet.is_none() {
        return Err(invalid(format!(
            "cannot disassociate the main route table association {id}"
        )));
    }
    for table in state.tables.values_mut() {
        table
            .associations
            .retain(|association| association.id != id);
    }
    done()
}

pub(super) fn replace_association(world: &mut World, call: &Call) -> Answer {
    only(call, &["AssociationId", "RouteTableId"])?;
    let (id, table) = (need(call, "AssociationId")?, need(call, "RouteTableId")?);
    let state_now = state(world, call);
    let (vpc, have) = association(state_now, id)?;
    same_network(
        state_now,
        table,
        have.subnet.as_deref().unwrap_or("main"),
        &vpc,
    )?;
    let new = world.id("rtbassoc");
    let state = state(world, call);
    for table in state.tables.values_mut() {
        table
            .associations
            .retain(|association| association.id != id);
    }
    state.table(table)?.associations.push(Association {
        id: new.clone(),
        subnet: have.subnet,
    });
    Ok(Reply::Value(
        json!({"newAssociationId": new, "associationState": {"state": "associated"}}),
    ))
}

impl State {
    /// The VPC that a subnet, a security group or a route table is in.
    pub(crate) fn around(&self, id: &str) -> Option<&str> {
        let subnet = || self.subnets.get(id).map(|found| &found.vpc);
        let group = || self.groups.get(id).map(|found| &found.vpc);
        let table = || self.tables.get(id).map(|found| &found.vpc);
        subnet().or_else(group).or_else(table).map(String::as_str)
    }

    /// The ids of the route table and the subnet that an association joins; empty where there is no such association.
    pub(crate) fn associated(&self, id: &str) -> Vec<String> {
        let all = self.tables.iter().flat_map(|(table, facts)| {
            let joined = move |association| (table, association);
            facts.associations.iter().map(joined)
        });
        let found = all.filter(|(_, association)| association.id == id);
        found
            .flat_map(|(table, association)| [Some(table), association.subnet.as_ref()])
            .flatten()
            .cloned()
            .collect()
    }
}

/// An association by id, and the VPC it is in.
fn association(state: &State, id: &str) -> Result<(String, Association), Fault> {
    let mut all = state
        .tables
        .values()
        .flat_map(|table| table.associations.iter().map(|one| (&table.vpc, one)));
    let found = all.find(|(_, association)| association.id == id);
    found
        .map(|(vpc, association)| (vpc.clone(), association.clone()))
        .ok_or_else(|| missing("rtbassoc-", id))
}

fn same_network(state: &mut State, table: &str, subnet: &str, vpc: &str) -> Result<(), Fault> {
    if state.table(table)?.vpc == vpc {
        return Ok(());
    }
    Err(invalid(format!(
        "route table {table} and subnet {subnet} belong to different networks"
    )))
}

fn destination(call: &Call) -> Result<Ipv4Net, Fault> {
    let text = need(call, "DestinationCidrBlock")?;
    Ipv4Net::from_str(text).map(|net| net.trunc()).map_err(|_| {
        invalid(format!("Value ({text}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block."))
    })
}

/// The route that the call asks for, once its target is known to be usable.
fn wanted(world: &mut World, call: &Call, table: &str) -> Result<Route, Fault> {
    let destination = destination(call)?;
    let now = world.now;
    let state = state(world, call);
    let vpc = state.table(table)?.vpc.clone();
    let target = match (
        call.input.text("GatewayId"),
        call.input.text("NatGatewayId"),
    ) {
        (Some(gateway), None) => internet(state, table, &vpc, gateway)?,
        (None, Some(nat)) => translated(state, table, &vpc, nat, now)?,
        (None, None) => {
            let message = "The request must contain exactly one of gatewayId, natGatewayId";
            return Err(Fault::new("MissingParameter", message));
        }
        _ => {
            let message = "The request must contain exactly one of gatewayId, natGatewayId";
            return Err(Fault::new("InvalidParameterCombination", message));
        }
    };
    Ok(Route {
        destination,
        target,
    })
}

fn internet(state: &State, table: &str, vpc: &str, id: &str) -> Result<Target, Fault> {
    let gateway = state.gateways.get(id);
    let gateway = gateway.ok_or_else(|| {
        Fault::new(
            "InvalidGatewayID.NotFound",
            format!("The gateway ID '{id}' does not exist"),
        )
    })?;
    if gateway.vpc.as_deref() != Some(vpc) {
        return Err(invalid(format!(
            "route table {table} and network gateway {id} belong to different networks"
        )));
    }
    Ok(Target::Gateway(id.to_owned()))
}

fn translated(
    state: &State,
    table: &str,
    vpc: &str,
    id: &str,
    now: Millis,
) -> Result<Target, Fault> {
    let nat = state.nats.get(id).filter(|nat| nat.routable(now));
    let nat = nat.ok_or_else(|| {
        Fault::new(
            "InvalidNatGatewayID.NotFound",
            format!("The natGateway ID '{id}' does not exist"),
        )
    })?;
    if nat.vpc != vpc {
        return Err(invalid(format!(
            "route table {table} and NAT gateway {id} belong to different networks"
        )));
    }
    Ok(Target::Nat(id.to_owned()))
}

fn render(view: &View<'_>, id: &str) -> Value {
    let table = &view.state.tables[id];
    let associations = table.associations.iter().map(|association| {
        json!({
            "main": association.subnet.is_none(),
            "routeTableAssociationId": association.id,
            "routeTableId": id,
            "subnetId": association.subnet,
            "associationState": {"state": "associated"},
        })
    });
    json!({
        "associationSet": associations.collect::<Vec<_>>(),
        "propagatingVgwSet": [],
        "routeTableId": id,
        "routeSet": routes(view, id, table),
        "tagSet": tag::set(view, id),
        "vpcId": table.vpc,
        "ownerId": view.account,
    })
}

fn routes(view: &View<'_>, id: &str, table: &Table) -> Vec<Value> {
    let local = view.state.vpcs.get(&table.vpc).map(|vpc| {
        json!({
            "destinationCidrBlock": vpc.cidr.to_string(),
            "gatewayId": "local",
            "origin": "CreateRouteTable",
            "state": "active",
        })
    });
    let made = table.routes.iter().map(|route| {
        let (member, target, works) = match &route.target {
            Target::Gateway(target) => {
                let attached = view
                    .state
                    .gateways
                    .get(target)
                    .is_some_and(|gateway| gateway.vpc.is_some());
                ("gatewayId", target, attached)
            }
            Target::Nat(target) => {
                let nat = view.state.nats.get(target);
                let works =
                    nat.is_some_and(|nat| nat.deleted.is_none() && nat.state(view.now) != "failed");
                ("natGatewayId", target, works)
            }
        };
        json!({
            "destinationCidrBlock": route.destination.to_string(),
            member: target,
            "origin": "CreateRoute",
            "state": if works { "active" } else { "blackhole" },
        })
    });
    let endpoints = view.state.endpoints.iter();
    let endpoints = endpoints
        .filter(|(_, endpoint)| endpoint.deleted.is_none() && endpoint.tables.contains(id));
    let endpoints = endpoints.map(|(endpoint, have)| {
        json!({
            "destinationPrefixListId": super::catalogue::prefix_list(&have.service),
            "gatewayId": endpoint,
            "origin": "CreateRoute",
            "state": "active",
        })
    });
    local.into_iter().chain(made).chain(endpoints).collect()
}
