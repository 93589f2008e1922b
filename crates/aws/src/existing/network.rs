//! A VPC, its subnets and where their packets go; endpoints only where a subnet needs them. Must not judge.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    RouteState, RouteTable, Subnet as FoundSubnet, Vpc, VpcAttributeName, VpcEndpointType,
};
use ecspipe_provision::CloudError;
use ecspipe_provision::existing::{Candidate, Endpoint, Network, Problem, Subnet, WayOut, only};
use ecspipe_provision::resource::EndpointType;
use ecspipe_spec::{ExistingNetwork, Reference, Subnets};

use super::{Sought, carries, plain, security_groups, with_tags};
use crate::classify::Said as _;
use crate::kinds::{filter, vpc};
use crate::{Account, all};

/// The default route.
const ANYWHERE: &str = "0.0.0.0/0";

pub(super) async fn find(
    account: &Account,
    wanted: &ExistingNetwork,
) -> Result<Sought<Network>, CloudError> {
    let vpc = match find_vpc(account, &wanted.vpc).await? {
        Ok(vpc) => vpc,
        Err(problems) => return Ok(Err(problems)),
    };
    let id = vpc.vpc_id().unwrap_or_default().to_owned();
    let (subnets, tables) = futures::try_join!(subnets(account, &id), tables(account, &id))?;
    let mut problems = Vec::new();
    let mut choose = async |path: &str, choice: &Subnets| {
        let chosen = choose(account, path, choice, &subnets, &id).await?;
        Ok::<_, CloudError>(chosen.unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        }))
    };
    let public = match &wanted.public {
        Some(choice) => choose("network.existing.public", choice).await?,
        None => Vec::new(),
    };
    let private = choose("network.existing.private", &wanted.private).await?;
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let mut network = Network {
        vpc: id,
        ranges: ranges(&vpc),
        dns: None,
        public: public.iter().map(|found| subnet(found, &tables)).collect(),
        private: private.iter().map(|found| subnet(found, &tables)).collect(),
        endpoints: Vec::new(),
    };
    // Endpoints matter to those alone who have no other way.
    if network
        .private
        .iter()
        .any(|subnet| subnet.way_out == WayOut::None)
    {
        let (endpoints, support, hostnames) = futures::try_join!(
            endpoints(account, &network.vpc),
            vpc::attribute(account, &network.vpc, VpcAttributeName::EnableDnsSupport),
            vpc::attribute(account, &network.vpc, VpcAttributeName::EnableDnsHostnames),
        )?;
        network.endpoints = endpoints;
        network.dns = Some(support && hostnames);
    }
    Ok(Ok(network))
}

async fn find_vpc(account: &Account, reference: &Reference) -> Result<Sought<Vpc>, CloudError> {
    let filters = match reference {
        Reference::Id(id) => vec![filter("vpc-id", id)],
        Reference::Name(name) => vec![filter("tag:Name", name)],
        Reference::Tags(tags) => with_tags(tags),
    };
    let found = vpcs(account, filters).await?;
    let others = if found.is_empty() {
        let all = vpcs(account, Vec::new()).await?;
        all.into_iter().map(|vpc| vpc.name).collect()
    } else {
        Vec::new()
    };
    const PATH: &str = "network.existing.vpc";
    Ok(only(PATH, "VPC", reference, found, &others).map_err(|problem| vec![problem]))
}

async fn vpcs(
    account: &Account,
    filters: Vec<aws_sdk_ec2::types::Filter>,
) -> Result<Vec<Candidate<Vpc>>, CloudError> {
    let items = account
        .ec2
        .describe_vpcs()
        .set_filters((!filters.is_empty()).then_some(filters))
        .into_paginator()
        .items()
        .send();
    let found = all(items).await.said("ec2", "DescribeVpcs")?;
    Ok(found
        .into_iter()
        .map(|vpc| {
            let id = vpc.vpc_id().unwrap_or_default();
            let name = vpc.tags().iter().find(|tag| tag.key() == Some("Name"));
            let known = match name.and_then(|tag| tag.value()) {
                Some(name) => format!("{id} ({name})"),
                None => id.to_owned(),
            };
            Candidate::new(known, vpc)
        })
        .collect())
}

/// The VPC's IPv4 ranges: the first one, and those that were added.
fn ranges(vpc: &Vpc) -> Vec<ipnet::Ipv4Net> {
    let added = vpc
        .cidr_block_association_set()
        .iter()
        .filter(|association| {
            let state = association
                .cidr_block_state()
                .and_then(|state| state.state());
            state.is_none_or(|state| state.as_str() == "associated")
        })
        .filter_map(|association| association.cidr_block());
    let all: BTreeSet<&str> = vpc.cidr_block().into_iter().chain(added).collect();
    all.into_iter()
        .filter_map(|range| range.parse().ok())
        .collect()
}

async fn subnets(account: &Account, vpc: &str) -> Result<Vec<FoundSubnet>, CloudError> {
    let items = account
        .ec2
        .describe_subnets()
        .filters(filter("vpc-id", vpc))
        .into_paginator()
        .items()
        .send();
    all(items).await.said("ec2", "DescribeSubnets")
}

async fn tables(account: &Account, vpc: &str) -> Result<Vec<RouteTable>, CloudError> {
    let items = account
        .ec2
        .describe_route_tables()
        .filters(filter("vpc-id", vpc))
        .into_paginator()
        .items()
        .send();
    all(items).await.said("ec2", "DescribeRouteTables")
}

/// The chosen ones of the VPC's subnets, by zone. Those that are named and in another VPC are found too, so that it can be said.
async fn choose(
    account: &Account,
    path: &str,
    choice: &Subnets,
    subnets: &[FoundSubnet],
    vpc: &str,
) -> Result<Result<Vec<FoundSubnet>, Problem>, CloudError> {
    let id_of = |subnet: &FoundSubnet| subnet.subnet_id().unwrap_or_default().to_owned();
    let mut chosen: Vec<FoundSubnet> = match choice {
        Subnets::Tags(tags) => {
            let carrying = subnets.iter().filter(|subnet| {
                let have = subnet.tags().iter().map(|tag| (tag.key(), tag.value()));
                carries(&plain(have), tags)
            });
            carrying.cloned().collect()
        }
        Subnets::Ids(ids) => {
            let (here, elsewhere): (Vec<&String>, Vec<&String>) = ids
                .iter()
                .partition(|id| subnets.iter().any(|subnet| id_of(subnet) == **id));
            let mut chosen: Vec<FoundSubnet> = subnets
                .iter()
                .filter(|subnet| here.contains(&&id_of(subnet)))
                .cloned()
                .collect();
            if !elsewhere.is_empty() {
                let found = by_ids(account, &elsewhere).await?;
                let missing: Vec<&str> = elsewhere
                    .iter()
                    .filter(|id| !found.iter().any(|subnet| id_of(subnet) == ***id))
                    .map(|id| id.as_str())
                    .collect();
                if !missing.is_empty() {
                    let message = format!("no subnet is {}", missing.join(", "));
                    return Ok(Err(Problem::new(path, message, there_is(subnets, vpc))));
                }
                chosen.extend(found);
            }
            chosen
        }
    };
    if let (Subnets::Tags(tags), true) = (choice, chosen.is_empty()) {
        let pairs: Vec<String> = tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let message = format!("no subnet of {vpc} carries {}", pairs.join(", "));
        return Ok(Err(Problem::new(path, message, there_is(subnets, vpc))));
    }
    chosen.sort_by_key(|subnet| {
        let zone = subnet.availability_zone().unwrap_or_default().to_owned();
        (zone, id_of(subnet))
    });
    Ok(Ok(chosen))
}

async fn by_ids(account: &Account, ids: &[&String]) -> Result<Vec<FoundSubnet>, CloudError> {
    let which = aws_sdk_ec2::types::Filter::builder()
        .name("subnet-id")
        .set_values(Some(ids.iter().map(|id| (*id).clone()).collect()))
        .build();
    let call = account.ec2.describe_subnets().filters(which).send().await;
    let answer = call.said("ec2", "DescribeSubnets")?;
    Ok(answer.subnets().to_vec())
}

/// The hint that names what could have been meant.
fn there_is(subnets: &[FoundSubnet], vpc: &str) -> String {
    if subnets.is_empty() {
        return format!("{vpc} has no subnets: make some, or name another VPC");
    }
    let known: Vec<String> = subnets
        .iter()
        .map(|subnet| {
            let name = subnet.tags().iter().find(|tag| tag.key() == Some("Name"));
            let id = subnet.subnet_id().unwrap_or_default();
            match name.and_then(|tag| tag.value()) {
                Some(name) => format!("{id} ({name})"),
                None => id.to_owned(),
            }
        })
        .collect();
    format!("{vpc} has {}", known.join(", "))
}

fn subnet(found: &FoundSubnet, tables: &[RouteTable]) -> Subnet {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let id = text(found.subnet_id());
    let own = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        associations.any(|association| association.subnet_id() == Some(&id))
    };
    let main = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        associations.any(|association| association.main() == Some(true))
    };
    let table = tables.iter().find(own).or(tables.iter().find(main));
    Subnet {
        vpc: text(found.vpc_id()),
        zone: text(found.availability_zone()),
        range: text(found.cidr_block()),
        route_table: text(table.and_then(|table| table.route_table_id())),
        way_out: table.map_or(WayOut::None, way_out),
        id,
    }
}

fn way_out(table: &RouteTable) -> WayOut {
    let default = table
        .routes()
        .iter()
        .find(|route| route.destination_cidr_block() == Some(ANYWHERE));
    let Some(route) = default else {
        return WayOut::None;
    };
    let targets = [
        route.nat_gateway_id(),
        route.gateway_id(),
        route.transit_gateway_id(),
        route.network_interface_id(),
        route.instance_id(),
        route.vpc_peering_connection_id(),
        route.core_network_arn(),
    ];
    let target = targets.into_iter().flatten().next().unwrap_or("something");
    if route.state() == Some(&RouteState::Blackhole) {
        return WayOut::Nowhere(target.to_owned());
    }
    match target {
        gateway if gateway.starts_with("igw-") => WayOut::Internet,
        gateway if gateway.starts_with("nat-") => WayOut::Nat,
        other => WayOut::Other(other.to_owned()),
    }
}

async fn endpoints(account: &Account, vpc: &str) -> Result<Vec<Endpoint>, CloudError> {
    let items = account
        .ec2
        .describe_vpc_endpoints()
        .filters(filter("vpc-id", vpc))
        .into_paginator()
        .items()
        .send();
    let found = all(items).await.said("ec2", "DescribeVpcEndpoints")?;
    let groups_of = |endpoint: &aws_sdk_ec2::types::VpcEndpoint| -> Vec<String> {
        let groups = endpoint.groups().iter();
        groups
            .filter_map(|group| group.group_id().map(ToOwned::to_owned))
            .collect()
    };
    let groups: BTreeSet<String> = found.iter().flat_map(&groups_of).collect();
    let groups: BTreeMap<_, _> = security_groups(account, &groups).await?;
    Ok(found
        .iter()
        .map(|endpoint| {
            let interface = endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Interface);
            let own = groups_of(endpoint);
            let ingress = own.iter().filter_map(|id| groups.get(id));
            Endpoint {
                id: endpoint.vpc_endpoint_id().unwrap_or_default().to_owned(),
                service: endpoint.service_name().unwrap_or_default().to_owned(),
                endpoint_type: if interface {
                    EndpointType::Interface
                } else {
                    EndpointType::Gateway
                },
                available: endpoint
                    .state()
                    .is_some_and(|state| state.as_str().eq_ignore_ascii_case("available")),
                route_tables: endpoint.route_table_ids().iter().cloned().collect(),
                private_dns: interface && endpoint.private_dns_enabled().unwrap_or_default(),
                ingress: ingress
                    .flat_map(|rules| rules.ingress.iter().cloned())
                    .collect(),
            }
        })
        .collect())
}
