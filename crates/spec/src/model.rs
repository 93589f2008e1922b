//! The spec after validation: every default filled in, every rule of a single app checked.
//! Serialises to the same YAML shape that the user writes (`ecspipe render --resolved`). Must not hold raw, unchecked text.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::existing::{ExistingNetwork, Given, Reference};
use crate::names::RoleName;
use crate::types::{AppName, Span};

mod deploy;

pub use deploy::*;

/// One app, as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// The version of the spec's format; always 1.
    pub version: u32,
    /// The app's name, from which every other name is derived.
    pub app: AppName,
    /// The account that the app must be in; any other is refused before anything is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region; a flag or the environment may give it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Where the app runs.
    pub network: Network,
    /// The ECS cluster; `None` is one of the app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Given>,
    /// What runs.
    pub service: Service,
    /// How the world reaches it.
    pub load_balancer: LoadBalancer,
    /// Where its code comes from.
    pub source: Source,
    /// How its image is built.
    pub build: Build,
    /// How a new version replaces the old one.
    pub deploy: Deploy,
    /// The KMS key that encrypts what is shipped; `None` is one of the app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<Given>,
    /// The roles that exist; the others are the app's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<RoleName, Given>,
    /// The managed policy that bounds every role of the app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<Reference>,
    /// The path of every role of the app's own: `/`, or names between slashes such as `/platform/apps/`.
    pub role_path: String,
    /// The owner's tags, put on everything beside ecspipe's own.
    pub tags: BTreeMap<String, String>,
}

/// The app's VPC: one that exists, or one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The network that exists. The other fields are those of a network of the app's own: beside this one they hold their
    /// defaults and mean nothing.
    pub existing: Option<ExistingNetwork>,
    /// The VPC's address range.
    pub cidr: Ipv4Net,
    /// The availability zones and their subnets.
    pub zones: Zones,
    /// How private subnets reach the world.
    pub nat: Nat,
}

impl Serialize for Network {
    /// As the file has it: what exists, or what is made.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Form<'a> {
            Existing {
                existing: &'a ExistingNetwork,
            },
            Own {
                cidr: Ipv4Net,
                zones: &'a Zones,
                nat: Nat,
            },
        }
        let form = match &self.existing {
            Some(existing) => Form::Existing { existing },
            None => Form::Own {
                cidr: self.cidr,
                zones: &self.zones,
                nat: self.nat,
            },
        };
        form.serialize(serializer)
    }
}

/// Zones by name, or how many to take in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Zones {
    /// A number of zones (2 to 6); subnets are carved from the VPC's range: see [`Network::subnets`].
    Count(u8),
    /// Named zones with their subnets.
    Named(Vec<Zone>),
}

/// One availability zone with its public and its private subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// The zone's name, such as `eu-central-1a`.
    pub name: String,
    /// The public subnet: load balancer and NAT gateway.
    pub public: Ipv4Net,
    /// The private subnet: the tasks.
    pub private: Ipv4Net,
}

impl Network {
    /// The zones with their subnets. A count takes the first `available` zones by name and cuts the VPC's range into
    /// equal blocks (a power of two that holds twice the count): public subnets first, private ones from the middle on. In a
    /// range of /20 or larger a zone's blocks don't depend on the count.
    /// The error says that the region has too few zones.
    pub fn subnets(&self, available: &[String]) -> Result<Vec<Zone>, String> {
        let count = match &self.zones {
            Zones::Named(zones) => return Ok(zones.clone()),
            Zones::Count(count) => usize::from(*count),
        };
        if available.len() < count {
            return Err(format!(
                "network.zones asks for {count} availability zones, the region offers {}: {}",
                available.len(),
                available.join(", ")
            ));
        }
        let blocks = carve(self.cidr, count);
        let half = blocks.len() / 2;
        Ok(available[..count]
            .iter()
            .enumerate()
            .map(|(i, name)| Zone {
                name: name.clone(),
                public: blocks[i],
                private: blocks[half + i],
            })
            .collect())
    }
}

/// The blocks that a count of zones is served from: the range cut into a power of two of equal parts, see [`parts`].
/// Validation has checked that the parts are legal subnets (/28 or larger).
fn carve(cidr: Ipv4Net, count: usize) -> Vec<Ipv4Net> {
    let bits = u8::try_from(parts(cidr, count).trailing_zeros()).unwrap_or(0);
    cidr.subnets(cidr.prefix_len() + bits)
        .map(Iterator::collect)
        .unwrap_or_default()
}

/// Into how many blocks a range is cut for a count of zones. A large one is always cut for the most zones there can be, so
/// that one more zone moves none of the others; a small one only for as many as there are, as its blocks are scarce.
pub(crate) fn parts(cidr: Ipv4Net, count: usize) -> usize {
    let zones = if cidr.prefix_len() <= LARGE {
        MOST_ZONES
    } else {
        count
    };
    (zones * 2).next_power_of_two()
}

/// The most zones that a spec may ask for.
const MOST_ZONES: usize = 6;

/// A range of this length or shorter gives blocks of /24 and larger to the most zones: room for hundreds of tasks each.
const LARGE: u8 = 20;

/// How private subnets reach the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// A NAT gateway in every zone: a lost zone takes nobody else with it.
    PerZone,
    /// One NAT gateway for all zones: cheaper, one point of failure.
    Single,
    /// No NAT gateway: interface endpoints for ECR, CloudWatch Logs and a gateway endpoint for S3 instead.
    None,
}

/// The ECS service and its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The image that runs until the first deployment. `None`: a small placeholder that answers the health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The port that the container listens on.
    pub port: u16,
    /// CPU units of the task (1024 is one vCPU); a pair that Fargate offers with `memory`.
    pub cpu: u32,
    /// Memory of the task in MiB.
    pub memory: u32,
    /// The processor that the image is built for.
    pub architecture: Architecture,
    /// How many tasks run, at the least 0.
    pub desired_count: u32,
    /// Plain environment variables of the container.
    pub environment: BTreeMap<String, String>,
    /// When the load balancer holds a task for healthy.
    pub health_check: HealthCheck,
    /// Whether sessions can be opened in tasks: ECS Exec.
    pub exec: bool,
}

/// The processor that tasks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Intel and AMD, 64 bit: `X86_64` in ECS.
    X86_64,
    /// AWS Graviton: `ARM64` in ECS.
    Arm64,
}

/// The target groups' health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// The path that is asked for.
    pub path: String,
    /// Time between two checks: 5s to 300s.
    pub interval: Span,
    /// Time for an answer: 2s to 120s, less than the interval.
    pub timeout: Span,
    /// Good answers in a row before a task counts as healthy: 2 to 10.
    pub healthy: u32,
    /// Bad answers in a row before it counts as unhealthy: 2 to 10.
    pub unhealthy: u32,
    /// The HTTP status codes that are good answers, such as `200` or `200-399`.
    pub status: String,
    /// How long ECS ignores bad answers after a task has started.
    pub grace: Span,
}

/// The application load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadBalancer {
    /// The load balancer that exists; `None` is one of the app's own. The listeners are the app's own either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Reference>,
    /// The listener for everyone.
    pub production: Listener,
    /// The listener on which a new version is looked at first.
    pub test: Listener,
}

/// One HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// Who may reach it. `None` where only the account knows: whom an existing load balancer's security groups let in, or,
    /// for the test listener in an existing network, that network's own ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Ipv4Net>>,
}

/// Where the code comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A CodeCommit repository that ecspipe makes.
    Codecommit(CodeCommit),
}

/// A CodeCommit repository and the branch that is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCommit {
    /// The repository's name.
    pub repository: String,
    /// The branch whose pushes start the pipeline.
    pub branch: String,
}

/// How the image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The Dockerfile, relative to the repository's root.
    pub dockerfile: String,
    /// The build context, relative to the repository's root.
    pub context: String,
}
