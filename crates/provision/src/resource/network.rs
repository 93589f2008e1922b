//! Properties of the things in a VPC. Must not say which of them an app has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Id;

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its address range.
    pub cidr: String,
    /// `enableDnsSupport`.
    pub dns_support: bool,
    /// `enableDnsHostnames`.
    pub dns_hostnames: bool,
}

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// The VPC that it is attached to.
    pub vpc: Option<Id>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its VPC.
    pub vpc: Id,
    /// The availability zone's name.
    pub zone: String,
    /// Its address range.
    pub cidr: String,
    /// `mapPublicIpOnLaunch`.
    pub public_addresses: bool,
}

/// An elastic IP address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Always `vpc`.
    pub domain: String,
    /// What must exist first: the internet gateway.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<Id>,
}

/// A public NAT gateway. One that is deleted, deleting or failed doesn't exist for a listing; creating one removes a failed one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatGateway {
    /// The public subnet that it stands in.
    pub subnet: Id,
    /// The allocation id of its address.
    pub address: Id,
    /// What must exist first: the internet gateway.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<Id>,
}

/// A route table. The route within the VPC (`local`) and those of gateway endpoints are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its VPC.
    pub vpc: Id,
    /// Its routes.
    pub routes: BTreeSet<Route>,
    /// The subnets that are explicitly associated with it.
    pub subnets: BTreeSet<Id>,
}

/// A route of a route table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// The address range, such as `0.0.0.0/0`.
    pub destination: String,
    /// The internet gateway or NAT gateway; for a route that isn't ours, whatever AWS names.
    pub target: Id,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its name, unique in the VPC.
    pub name: String,
    /// The description.
    pub description: String,
    /// Its VPC.
    pub vpc: Id,
    /// Who may come in.
    pub ingress: BTreeSet<Rule>,
    /// Where to it may go. AWS gives a new group a rule that allows everything: an adapter takes it away unless it is wanted.
    pub egress: BTreeSet<Rule>,
}

/// A rule of a security group: one peer each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// `tcp`, or `-1` for everything.
    pub protocol: String,
    /// The first port; absent where the protocol is `-1`.
    pub from_port: Option<u16>,
    /// The last port; absent where the protocol is `-1`.
    pub to_port: Option<u16>,
    /// An address range, the id of a security group, or of a prefix list.
    pub peer: Id,
}

impl Rule {
    /// TCP on one port.
    pub fn tcp(port: u16, peer: impl Into<Id>) -> Self {
        Self {
            protocol: "tcp".to_owned(),
            from_port: Some(port),
            to_port: Some(port),
            peer: peer.into(),
        }
    }

    /// Every protocol and port.
    pub fn everything(peer: impl Into<Id>) -> Self {
        Self {
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            peer: peer.into(),
        }
    }
}

/// A VPC endpoint: how private subnets reach one AWS service without a NAT gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its VPC.
    pub vpc: Id,
    /// The service's name, such as `com.amazonaws.eu-central-1.s3`.
    pub service: String,
    /// Gateway or interface.
    pub endpoint_type: EndpointType,
    /// Interface: the subnets with an address of it.
    pub subnets: BTreeSet<Id>,
    /// Interface: its security groups.
    pub security_groups: BTreeSet<Id>,
    /// Gateway: the route tables that lead to it.
    pub route_tables: BTreeSet<Id>,
    /// Interface: whether the service's own DNS name leads to it.
    pub private_dns: bool,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointType {
    /// By routes.
    Gateway,
    /// By addresses in subnets.
    Interface,
}
