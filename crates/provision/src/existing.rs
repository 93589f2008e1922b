//! What an app uses and ecspipe didn't make: looked up before anything is planned, checked, and then only referred to by its
//! ids. It is never a node of the graph, so that no plan can change or delete it. Must not know how a cloud finds it.

mod check;
mod find;

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::names::RoleName;
use ecspipe_spec::{ExistingNames, Facts, HookEvent, Spec};
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use serde::Serialize;

pub use self::check::{Verdict, check};
pub use self::find::{Candidate, only};
use crate::cloud::CloudError;
use crate::resource::{EndpointType, Id, Policy, Rule};

/// What exists and is used; empty for an app that has everything for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Existing {
    /// The network.
    pub network: Option<Network>,
    /// The cluster.
    pub cluster: Option<Cluster>,
    /// The load balancer.
    pub load_balancer: Option<LoadBalancer>,
    /// The KMS key.
    pub key: Option<EncryptionKey>,
    /// The roles, by what they are used for.
    pub roles: BTreeMap<RoleName, Role>,
    /// The ARN of the managed policy that bounds the app's own roles.
    pub boundary: Option<String>,
    /// The states of the alarms that may stop a deployment, by name: `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub alarms: BTreeMap<String, String>,
    /// The functions that CodeDeploy calls, by the event at which it does.
    pub functions: BTreeMap<HookEvent, LambdaFunction>,
}

/// A VPC with the subnets that the app uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// `vpc-…`.
    pub vpc: Id,
    /// Its address ranges, IPv4.
    pub ranges: Vec<Ipv4Net>,
    /// Whether names of AWS's services lead to its interface endpoints: both DNS flags are on. `None` where nobody asked,
    /// since nothing depends on it.
    pub dns: Option<bool>,
    /// The load balancer's subnets.
    pub public: Vec<Subnet>,
    /// The tasks' subnets.
    pub private: Vec<Subnet>,
    /// The VPC's endpoints, where a private subnet needs them.
    pub endpoints: Vec<Endpoint>,
}

/// A subnet and where its packets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: Id,
    /// Its VPC.
    pub vpc: Id,
    /// Its availability zone.
    pub zone: String,
    /// Its address range.
    pub range: String,
    /// Its route table: its own, or the VPC's main one.
    pub route_table: Id,
    /// Where its default route leads.
    pub way_out: WayOut,
}

/// Where the default route of a subnet leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOut {
    /// There is none.
    None,
    /// To an internet gateway.
    Internet,
    /// To a NAT gateway.
    Nat,
    /// To something else, such as a transit gateway: whether that leads to the internet can't be seen from here.
    Other(Id),
    /// To something that is gone.
    Nowhere(Id),
}

/// A VPC endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `vpce-…`.
    pub id: Id,
    /// The service's name, such as `com.amazonaws.eu-central-1.s3`.
    pub service: String,
    /// Gateway or interface.
    pub endpoint_type: EndpointType,
    /// Whether it is available.
    pub available: bool,
    /// Gateway: the route tables that lead to it.
    pub route_tables: BTreeSet<Id>,
    /// Interface: whether the service's own DNS name leads to it.
    pub private_dns: bool,
    /// Interface: who its security groups let in.
    pub ingress: BTreeSet<Rule>,
}

/// An ECS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// `ACTIVE`, or why it can't be used.
    pub status: String,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: Id,
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub dns_name: String,
    /// Its VPC.
    pub vpc: Id,
    /// `application`, `network` or `gateway`.
    pub kind: String,
    /// `active`, or why it can't be used.
    pub state: String,
    /// The zones in which it reaches targets.
    pub zones: BTreeSet<String>,
    /// Its security groups.
    pub security_groups: Vec<SecurityGroup>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
}

/// A security group that isn't the app's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: Id,
    /// Who may come in.
    pub ingress: BTreeSet<Rule>,
    /// Where to it may go.
    pub egress: BTreeSet<Rule>,
}

/// A listener of the load balancer, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The app that it belongs to, by its tags.
    pub app: Option<String>,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionKey {
    /// Its ARN.
    pub arn: Id,
    /// `Enabled`, or why it can't be used.
    pub state: String,
    /// `ENCRYPT_DECRYPT`, or another use.
    pub usage: String,
    /// `SYMMETRIC_DEFAULT`, or another kind of material.
    pub spec: String,
}

/// An IAM role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN, with its path.
    pub arn: Id,
    /// Who may assume it.
    pub trust: Policy,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaFunction {
    /// Its name.
    pub name: String,
    /// `Active`, `Inactive` (asleep, and woken by a call), or why it can't be called.
    pub state: String,
    /// Why it is in that state; empty where Lambda says nothing.
    pub reason: String,
}

/// Something that the spec asks for and that the account doesn't hold so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The key of the spec, such as `network.existing.private`.
    pub path: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    /// A problem with what the spec says at `path`.
    pub fn new(
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// How much is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Everything that the app uses, with what has to be known to check it.
    #[default]
    Everything,
    /// Only under which names the app's own things hang on it: cluster, load balancer, and the roles that the deployment's
    /// files name. Enough to follow a rollout, or to take the app down.
    Names,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What exists.
    pub existing: Existing,
    /// What the spec refers to and what isn't there, or is there more than once.
    pub problems: Vec<Problem>,
}

/// A place in which what exists can be looked up.
pub trait Lookup: Send + Sync {
    /// Finds what `spec` refers to; asks nothing where it refers to nothing. What can't be found is a problem, not an error.
    fn look_up<'a>(
        &'a self,
        spec: &'a Spec,
        facts: &'a Facts,
        depth: Depth,
    ) -> BoxFuture<'a, Result<Found, CloudError>>;
}

impl Existing {
    /// The names under which the app knows it: for [`Facts::existing`].
    pub fn names(&self) -> ExistingNames {
        ExistingNames {
            cluster: self.cluster.as_ref().map(|cluster| cluster.name.clone()),
            load_balancer: self
                .load_balancer
                .as_ref()
                .map(|balancer| balancer.name.clone()),
            roles: self
                .roles
                .iter()
                .map(|(role, found)| (*role, found.arn.clone()))
                .collect(),
        }
    }

    /// The keys of the spec whose thing hasn't been looked up.
    pub fn missing(&self, spec: &Spec) -> Vec<String> {
        let mut missing = Vec::new();
        let mut need = |wanted: bool, found: bool, key: &str| {
            if wanted && !found {
                missing.push(key.to_owned());
            }
        };
        need(
            !spec.network.is_own(),
            self.network.is_some(),
            "network.existing",
        );
        need(
            spec.cluster.is_some(),
            self.cluster.is_some(),
            "cluster.existing",
        );
        need(
            !spec.load_balancer.is_own(),
            self.load_balancer.is_some(),
            "load_balancer.existing",
        );
        need(
            spec.kms_key.is_some(),
            self.key.is_some(),
            "kms_key.existing",
        );
        need(
            spec.permissions_boundary.is_some(),
            self.boundary.is_some(),
            "permissions_boundary",
        );
        for role in spec.roles.keys() {
            let key = format!("roles.{}.existing", role.suffix());
            need(true, self.roles.contains_key(role), &key);
        }
        missing
    }
}
