//! The app's network: public subnets for the balancer and NAT gateways, private ones for the tasks (AWS.md §3.1); or one that
//! exists, in which only security groups are made. Must not decide who listens on which port beyond the two rules between balancer and tasks.

use ecspipe_spec::{Facts, Nat, Spec, Zone};
use ipnet::Ipv4Net;

use super::Place;
use super::present::{PRIVATE, PUBLIC};
use crate::existing;
use crate::graph::Graph;
use crate::resource::{
    Address, Endpoint, EndpointType, Id, InternetGateway, Link, NatGateway, Route, RouteTable,
    Rule, SecurityGroup, Subnet, Vpc,
};

/// Everything, in the notation of routes and rules.
const ANYWHERE: &str = "0.0.0.0/0";
/// What tasks without a way to the internet reach by addresses in their subnets: where the image is, and the log.
const INTERFACE_ENDPOINTS: [&str; 3] = ["ecr.api", "ecr.dkr", "logs"];
/// What they reach by a route: S3, which holds the image's layers.
pub(crate) const GATEWAY_ENDPOINT: &str = "s3";

/// What the other parts refer to.
pub(super) struct Network {
    pub(super) vpc: Id,
    /// The internet gateway of a network of the app's own.
    pub(super) gateway: Option<Id>,
    pub(super) public: Vec<Id>,
    /// Where tasks are to stand.
    pub(super) private: Vec<Id>,
    /// The security group of a load balancer of the app's own.
    pub(super) balancer_group: Option<Id>,
    pub(super) service_group: Id,
    /// How tasks reach the image and the log: route tables, and endpoints where there is no NAT gateway. What exists is
    /// there before anything is made.
    pub(super) ways_out: Vec<Id>,
}

pub(super) fn network(graph: &mut Graph, place: &Place<'_>) -> Network {
    match &place.existing.network {
        Some(existing) => within(graph, place, existing),
        None if place.spec.network.is_own() => own(graph, place),
        None => within(graph, place, &existing::Network::default()),
    }
}

/// In a network that exists: only who may reach whom.
fn within(graph: &mut Graph, place: &Place<'_>, existing: &existing::Network) -> Network {
    let ids =
        |subnets: &[existing::Subnet]| subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let (balancer_group, service_group) = groups(graph, place, &existing.vpc, &existing.ranges);
    Network {
        vpc: existing.vpc.clone(),
        gateway: None,
        public: ids(&existing.public),
        private: ids(&existing.private),
        balancer_group,
        service_group,
        ways_out: Vec::new(),
    }
}

fn own(graph: &mut Graph, place: &Place<'_>) -> Network {
    // Interface endpoints answer under the services' own names only with both DNS flags on.
    let cidr = place.spec.network.cidr.to_string();
    let vpc = graph.add(
        "main",
        Vpc {
            cidr,
            dns_support: true,
            dns_hostnames: true,
        },
    );
    let gateway = graph.add(
        "main",
        InternetGateway {
            vpc: Some(vpc.id()),
        },
    );
    let mut subnet = |side: &str, zone: &Zone, cidr: ipnet::Ipv4Net| {
        let name = format!("{side}{}", zone.name);
        // Nothing in a public subnet is launched by us: the balancer and the NAT gateways bring their own addresses.
        let subnet = Subnet {
            vpc: vpc.id(),
            zone: zone.name.clone(),
            cidr: cidr.to_string(),
            public_addresses: false,
        };
        graph.add(name, subnet)
    };
    let public: Vec<Link> = place
        .served()
        .map(|zone| subnet(PUBLIC, zone, zone.public))
        .collect();
    let mut private: Vec<Link> = place
        .served()
        .map(|zone| subnet(PRIVATE, zone, zone.private))
        .collect();
    let nats = nat_gateways(graph, place, &gateway, &public);
    let tables = route_tables(graph, place, &vpc, &gateway, &public, &private, &nats);
    let range = place.spec.network.cidr;
    let (balancer_group, service_group) = groups(graph, place, &vpc.id(), &[range]);
    let mut ways_out = tables;
    if place.spec.network.nat == Nat::None {
        let endpoints = endpoints(graph, place, &vpc, &private, &ways_out, &service_group);
        ways_out.extend(endpoints);
    }
    private.truncate(place.zones.len());
    let ids = |links: &[Link]| links.iter().map(Link::id).collect();
    Network {
        vpc: vpc.id(),
        gateway: Some(gateway.id()),
        public: ids(&public),
        private: ids(&private),
        balancer_group,
        service_group,
        ways_out: ids(&ways_out),
    }
}

/// The security groups of the app's own balancer, if it has one, and of its tasks, in a VPC with these ranges.
fn groups(graph: &mut Graph, place: &Place<'_>, vpc: &str, ranges: &[Ipv4Net]) -> (Option<Id>, Id) {
    let own = place
        .spec
        .load_balancer
        .is_own()
        .then(|| balancer_group(graph, place, vpc, ranges).id());
    let existing = place
        .existing
        .load_balancer
        .iter()
        .flat_map(|balancer| &balancer.security_groups)
        .map(|group| group.id.clone());
    let balancers: Vec<Id> = own.iter().cloned().chain(existing).collect();
    let service = service_group(graph, place, vpc, &balancers);
    (own, service.id())
}

/// One NAT gateway with its address for each zone, or the first one, or none.
fn nat_gateways(
    graph: &mut Graph,
    place: &Place<'_>,
    gateway: &Link,
    public: &[Link],
) -> Vec<Link> {
    let count = match place.spec.network.nat {
        Nat::PerZone => public.len(),
        Nat::Single => 1,
        Nat::None => 0,
    };
    let zones = place.served().zip(public).take(count);
    let mut nat = |(zone, subnet): (&Zone, &Link)| {
        let after = [gateway.id()].into();
        let address = graph.add(
            &zone.name,
            Address {
                domain: "vpc".to_owned(),
                after,
            },
        );
        let after = [gateway.id()].into();
        graph.add(
            &zone.name,
            NatGateway {
                subnet: subnet.id(),
                address: address.id(),
                after,
            },
        )
    };
    zones.map(&mut nat).collect()
}

/// One route table for all public subnets and one for each private one; the private ones are returned.
fn route_tables(
    graph: &mut Graph,
    place: &Place<'_>,
    vpc: &Link,
    gateway: &Link,
    public: &[Link],
    private: &[Link],
    nats: &[Link],
) -> Vec<Link> {
    let to = |target: &Link| Route {
        destination: ANYWHERE.to_owned(),
        target: target.id(),
    };
    let subnets = public.iter().map(Link::id).collect();
    graph.add(
        "public",
        RouteTable {
            vpc: vpc.id(),
            routes: [to(gateway)].into(),
            subnets,
        },
    );
    let mut tables = Vec::new();
    for (index, (zone, subnet)) in place.served().zip(private).enumerate() {
        // With a single gateway every zone goes through the first one.
        let routes = nats
            .get(index)
            .or(nats.first())
            .map(to)
            .into_iter()
            .collect();
        let table = RouteTable {
            vpc: vpc.id(),
            routes,
            subnets: [subnet.id()].into(),
        };
        tables.push(graph.add(format!("private-{}", zone.name), table));
    }
    tables
}

/// The world reaches the balancer on its two ports; the balancer reaches nothing but the tasks' port.
fn balancer_group(graph: &mut Graph, place: &Place<'_>, vpc: &str, ranges: &[Ipv4Net]) -> Link {
    let balancer = &place.spec.load_balancer;
    let listeners = [&balancer.production, &balancer.test];
    let ingress = listeners
        .into_iter()
        .flat_map(|listener| {
            // What the spec leaves open is the network's own range, which only the account knew.
            let allow = listener.allow.as_deref().unwrap_or(ranges);
            allow
                .iter()
                .map(|range| Rule::tcp(listener.port, range.to_string()))
        })
        .collect();
    let group = SecurityGroup {
        name: place.names.security_group("balancer"),
        description: format!("load balancer of {}", place.names.app()),
        vpc: vpc.to_owned(),
        ingress,
        // An address range and not the tasks' group: two groups that name each other could only be made and deleted in pieces.
        egress: ranges
            .iter()
            .flat_map(|range| {
                let ports = place.ports.iter();
                ports.map(|port| Rule::tcp(*port, range.to_string()))
            })
            .collect(),
    };
    graph.add("balancer", group)
}

/// Only the balancer reaches the tasks; the tasks may go anywhere, as nobody knows what the app talks to.
fn service_group(graph: &mut Graph, place: &Place<'_>, vpc: &str, balancers: &[Id]) -> Link {
    let group = SecurityGroup {
        name: place.names.security_group("service"),
        description: format!("tasks of {}", place.names.app()),
        vpc: vpc.to_owned(),
        ingress: balancers
            .iter()
            .flat_map(|group| place.ports.iter().map(move |port| Rule::tcp(*port, group)))
            .collect(),
        egress: [Rule::everything(ANYWHERE)].into(),
    };
    graph.add("service", group)
}

/// What a task needs without a way to the internet: the image (ECR, whose layers are in S3) and the log.
fn endpoints(
    graph: &mut Graph,
    place: &Place<'_>,
    vpc: &Link,
    private: &[Link],
    tables: &[Link],
    service_group: &str,
) -> Vec<Link> {
    let group = SecurityGroup {
        name: place.names.security_group("endpoints"),
        description: format!("VPC endpoints of {}", place.names.app()),
        vpc: vpc.id(),
        ingress: [Rule::tcp(443, service_group)].into(),
        egress: [].into(),
    };
    let group = graph.add("endpoints", group);
    let s3 = Endpoint {
        vpc: vpc.id(),
        service: endpoint_service(place.facts, GATEWAY_ENDPOINT),
        endpoint_type: EndpointType::Gateway,
        subnets: [].into(),
        security_groups: [].into(),
        route_tables: tables.iter().map(Link::id).collect(),
        private_dns: false,
    };
    let mut endpoints = vec![graph.add(GATEWAY_ENDPOINT, s3)];
    for service in interface_endpoints(place.spec) {
        let endpoint = Endpoint {
            vpc: vpc.id(),
            service: endpoint_service(place.facts, service),
            endpoint_type: EndpointType::Interface,
            subnets: private.iter().map(Link::id).collect(),
            security_groups: [group.id()].into(),
            route_tables: [].into(),
            private_dns: true,
        };
        endpoints.push(graph.add(service.replace('.', "-"), endpoint));
    }
    endpoints
}

/// What tasks reach through endpoints of their own: image and log, and the other end of a session.
pub(crate) fn interface_endpoints(spec: &Spec) -> impl Iterator<Item = &'static str> + use<> {
    let sessions = spec.service.exec.then_some("ssmmessages");
    INTERFACE_ENDPOINTS.into_iter().chain(sessions)
}

/// The name under which AWS offers an endpoint; in China the container services have a prefix of their own.
pub(crate) fn endpoint_service(facts: &Facts, service: &str) -> String {
    let china = facts.partition == "aws-cn" && service.starts_with("ecr.");
    let prefix = if china {
        "cn.com.amazonaws"
    } else {
        "com.amazonaws"
    };
    format!("{prefix}.{}.{service}", facts.region)
}
