//! What can exist in an account for one app: the closed set of kinds, the logical identity of a resource, and the
//! properties by which wanted and existing resources are compared. Must not talk to AWS or decide anything.
//!
//! # Adding a kind
//! 1. A struct in `resource/*.rs` that holds only what AWS reports back, normalised (sets as `BTreeSet`, documents as
//!    [`Policy`] or [`Document`]); a reference to another resource is an [`Id`].
//! 2. A variant in the `resources!` table below, behind every kind that its links point at.
//! 3. Its row in [`Kind::needs`], and its create-only fields in `plan.rs`.
//! 4. Who adds it, in `desired/*.rs`; how AWS makes, lists, changes and deletes it, in `crates/aws/src/kinds`.

mod alarm;
mod balancer;
mod delivery;
mod network;
mod policy;
mod security;
mod service;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use alarm::*;
pub use balancer::*;
pub use delivery::*;
pub use network::*;
pub use policy::*;
pub use security::*;
pub use service::*;

/// The physical id of another resource, or, in a wanted resource, the token of a [`Link`] that stands for it.
/// What the id is depends on the kind: see [`Kind`]. A token may stand within a longer text, such as an ARN.
pub type Id = String;

/// Fields that only order the work: AWS keeps no such reference, so an adapter reports them empty and they are
/// never compared.
pub const ORDER_ONLY: [&str; 2] = ["after", "pair"];

macro_rules! resources {
    ($($(#[doc = $doc:literal])+ $kind:ident = $text:literal, $label:literal, $area:ident;)+) => {
        /// The kinds of resource, in the order of dependency: links point at an earlier kind, or at an earlier
        /// resource of the same kind. Each says what its physical id is, which is what a link to it resolves to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// Every kind, in the order of dependency.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$kind),+];

            /// The kind as in a key and in the tag `ecspipe:resource`, such as `nat-gateway`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }

            /// What people call it, such as `NAT gateway`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)+
                }
            }

            /// The part of the architecture that it belongs to.
            pub fn area(self) -> Area {
                match self {
                    $(Self::$kind => Area::$area,)+
                }
            }
        }

        /// The properties of a resource, wanted or existing.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "properties", rename_all = "kebab-case")]
        pub enum Resource {
            $($(#[doc = $doc])+ $kind($kind),)+
        }

        impl Resource {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)+
                }
            }
        }

        $(impl From<$kind> for Resource {
            fn from(properties: $kind) -> Self {
                Self::$kind(properties)
            }
        })+
    };
}

resources! {
    /// A KMS key with its alias, rotation and policy. Id: the key's ARN.
    EncryptionKey = "encryption-key", "KMS key", Security;
    /// An S3 bucket with everything that is set on it. Id: its name.
    Bucket = "bucket", "S3 bucket", Delivery;
    /// A CloudWatch log group. Id: its name.
    LogGroup = "log-group", "log group", Service;
    /// An ECR repository with its lifecycle policy. Id: its name.
    ImageRepository = "image-repository", "ECR repository", Delivery;
    /// An IAM role with its trust policy and inline policies. Id: its ARN.
    Role = "role", "IAM role", Security;
    /// A VPC. Id: `vpc-…`.
    Vpc = "vpc", "VPC", Network;
    /// An internet gateway with its attachment. Id: `igw-…`.
    InternetGateway = "internet-gateway", "internet gateway", Network;
    /// A subnet. Id: `subnet-…`.
    Subnet = "subnet", "subnet", Network;
    /// An elastic IP address. Id: the allocation id `eipalloc-…`.
    Address = "address", "elastic IP", Network;
    /// A public NAT gateway. Id: `nat-…`.
    NatGateway = "nat-gateway", "NAT gateway", Network;
    /// A route table with its routes and subnets. Id: `rtb-…`.
    RouteTable = "route-table", "route table", Network;
    /// A security group with its rules. Id: `sg-…`.
    SecurityGroup = "security-group", "security group", Network;
    /// A VPC endpoint. Id: `vpce-…`.
    Endpoint = "endpoint", "VPC endpoint", Network;
    /// An application load balancer with its attributes. Id: its ARN.
    LoadBalancer = "load-balancer", "load balancer", Balancer;
    /// A target group with its health check and attributes. Id: its ARN.
    TargetGroup = "target-group", "target group", Balancer;
    /// A listener of the load balancer with its default action. Id: its ARN.
    Listener = "listener", "listener", Balancer;
    /// A CloudWatch alarm on a target group. Id: its name.
    Alarm = "alarm", "alarm", Delivery;
    /// An ECS cluster. Id: its name.
    Cluster = "cluster", "ECS cluster", Service;
    /// A task definition family, seen through its newest active revision. Id: that revision's ARN.
    TaskDefinition = "task-definition", "task definition", Service;
    /// An ECS service. Id: its name.
    Service = "service", "ECS service", Service;
    /// A CodeDeploy application. Id: its name.
    DeploymentApplication = "deployment-application", "CodeDeploy application", Delivery;
    /// A CodeDeploy deployment configuration of our own. Id: its name. It can carry no tags.
    DeploymentConfig = "deployment-config", "CodeDeploy configuration", Delivery;
    /// A CodeDeploy deployment group. Id: its name.
    DeploymentGroup = "deployment-group", "CodeDeploy deployment group", Delivery;
    /// A CodeCommit repository. Id: its name.
    SourceRepository = "source-repository", "CodeCommit repository", Delivery;
    /// A CodeBuild project. Id: its name.
    BuildProject = "build-project", "CodeBuild project", Delivery;
    /// A CodePipeline pipeline. Id: its name.
    Pipeline = "pipeline", "pipeline", Delivery;
    /// An EventBridge rule with its targets. Id: its name.
    EventRule = "event-rule", "event rule", Delivery;
}

/// The parts of the architecture, by which a plan is shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The VPC and what is in it.
    Network,
    /// The load balancer.
    Balancer,
    /// Cluster, task definition, service and their logs.
    Service,
    /// From source to deployment.
    Delivery,
    /// Keys and roles.
    Security,
}

impl Kind {
    /// The kinds that the links of this kind may point at. A resource is deleted after everything of the kinds that
    /// need it; a test holds this table against the links of real graphs.
    pub fn needs(self) -> &'static [Kind] {
        match self {
            Self::EncryptionKey
            | Self::LogGroup
            | Self::ImageRepository
            | Self::Vpc
            | Self::Cluster
            | Self::DeploymentApplication
            | Self::DeploymentConfig
            | Self::SourceRepository => &[],
            Self::Bucket | Self::Role => &[Self::EncryptionKey],
            Self::InternetGateway | Self::Subnet => &[Self::Vpc],
            // AWS holds an internet gateway for as long as addresses are mapped through it, so they go first.
            Self::Address => &[Self::InternetGateway],
            Self::NatGateway => &[Self::InternetGateway, Self::Subnet, Self::Address],
            Self::RouteTable => &[
                Self::Vpc,
                Self::InternetGateway,
                Self::Subnet,
                Self::NatGateway,
            ],
            Self::SecurityGroup => &[Self::Vpc, Self::SecurityGroup],
            Self::Endpoint => &[
                Self::Vpc,
                Self::Subnet,
                Self::RouteTable,
                Self::SecurityGroup,
            ],
            Self::LoadBalancer => &[Self::InternetGateway, Self::Subnet, Self::SecurityGroup],
            Self::TargetGroup => &[Self::Vpc],
            Self::Listener | Self::Alarm => &[Self::LoadBalancer, Self::TargetGroup],
            Self::TaskDefinition => &[Self::LogGroup, Self::Role],
            Self::Service => &[
                Self::Subnet,
                Self::RouteTable,
                Self::SecurityGroup,
                Self::Endpoint,
                Self::TargetGroup,
                Self::Listener,
                Self::Cluster,
                Self::TaskDefinition,
            ],
            Self::DeploymentGroup => &[
                Self::Role,
                Self::Listener,
                Self::Alarm,
                Self::Cluster,
                Self::Service,
                Self::DeploymentApplication,
                Self::DeploymentConfig,
            ],
            Self::BuildProject => &[
                Self::EncryptionKey,
                Self::LogGroup,
                Self::ImageRepository,
                Self::Role,
            ],
            Self::Pipeline => &[
                Self::EncryptionKey,
                Self::Bucket,
                Self::Role,
                Self::DeploymentApplication,
                Self::DeploymentGroup,
                Self::SourceRepository,
                Self::BuildProject,
            ],
            Self::EventRule => &[
                Self::Bucket,
                Self::Role,
                Self::SourceRepository,
                Self::Pipeline,
            ],
        }
    }

    /// Whether AWS lets it carry tags. What can't is known by its name alone.
    pub fn taggable(self) -> bool {
        self != Self::DeploymentConfig
    }

    /// Whether the tag `Name` is all the name that it has: everything of EC2 (a security group has both).
    pub fn named_by_tag(self) -> bool {
        matches!(
            self,
            Self::Vpc
                | Self::InternetGateway
                | Self::Subnet
                | Self::Address
                | Self::NatGateway
                | Self::RouteTable
                | Self::SecurityGroup
                | Self::Endpoint
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a kind of resource"))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The logical identity of a resource within its app: `vpc/main`, `subnet/public-eu-central-1a`. It is the value of
/// the tag `ecspipe:resource`, by which the resource is found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// Which one of its kind.
    pub name: String,
}

impl Key {
    /// The key of the resource `name` of `kind`.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// The text that stands for the resource's physical id within properties: `${vpc/main}`.
    pub(crate) fn token(&self) -> String {
        format!("${{{self}}}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for Key {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text
            .split_once('/')
            .ok_or_else(|| format!("`{text}` is not a key, such as vpc/main"))?;
        Ok(Self::new(kind.parse()?, name))
    }
}

/// As it is serialised: a kind, a slash, a name.
impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds = Kind::ALL.map(Kind::as_str).join("|");
        json_schema!({
            "description": "The logical identity of a resource within its app, such as `subnet/public-eu-central-1a`: its kind and its name.",
            "type": "string",
            "pattern": format!("^({kinds})/.+$"),
        })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A resource of the graph as another one refers to it. Only [`crate::Graph::add`] makes one, so it always points at
/// something that was added before. Its text is the token that stands for the physical id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(Key);

impl Link {
    pub(crate) fn to(key: Key) -> Self {
        Self(key)
    }

    /// The key of the resource that it points at.
    pub fn key(&self) -> &Key {
        &self.0
    }

    /// The token, for a property of the type [`Id`].
    pub fn id(&self) -> Id {
        self.0.token()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.token())
    }
}

impl From<&Link> for Id {
    fn from(link: &Link) -> Self {
        link.id()
    }
}

impl Resource {
    /// The name that AWS knows it by, where it has one of its own (things of EC2 have only the tag `Name`).
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::EncryptionKey(key) => Some(&key.alias),
            Self::Bucket(bucket) => Some(&bucket.name),
            Self::LogGroup(group) => Some(&group.name),
            Self::ImageRepository(repository) => Some(&repository.name),
            Self::Role(role) => Some(&role.name),
            Self::SecurityGroup(group) => Some(&group.name),
            Self::LoadBalancer(balancer) => Some(&balancer.name),
            Self::TargetGroup(group) => Some(&group.name),
            Self::Alarm(alarm) => Some(&alarm.name),
            Self::Cluster(cluster) => Some(&cluster.name),
            Self::TaskDefinition(definition) => Some(&definition.definition.family),
            Self::Service(service) => Some(&service.name),
            Self::DeploymentApplication(application) => Some(&application.name),
            Self::DeploymentConfig(config) => Some(&config.name),
            Self::DeploymentGroup(group) => Some(&group.name),
            Self::SourceRepository(repository) => Some(&repository.name),
            Self::BuildProject(project) => Some(&project.name),
            Self::Pipeline(pipeline) => Some(&pipeline.name),
            Self::EventRule(rule) => Some(&rule.name),
            Self::Vpc(_)
            | Self::InternetGateway(_)
            | Self::Subnet(_)
            | Self::Address(_)
            | Self::NatGateway(_)
            | Self::RouteTable(_)
            | Self::Endpoint(_)
            | Self::Listener(_) => None,
        }
    }

    /// The physical id where it is known before the resource exists, because it is the name.
    pub fn predicted_id(&self) -> Option<&str> {
        match self.kind() {
            Kind::Bucket
            | Kind::LogGroup
            | Kind::ImageRepository
            | Kind::Alarm
            | Kind::Cluster
            | Kind::Service
            | Kind::DeploymentApplication
            | Kind::DeploymentConfig
            | Kind::DeploymentGroup
            | Kind::SourceRepository
            | Kind::BuildProject
            | Kind::Pipeline
            | Kind::EventRule => self.name(),
            _ => None,
        }
    }

    /// Its properties as JSON, in the order of the struct's fields.
    pub fn properties(&self) -> Value {
        // Property structs hold strings, numbers, lists and maps with text keys: serialising them can't fail.
        match serde_json::to_value(self) {
            Ok(Value::Object(mut tagged)) => tagged.remove("properties").unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }

    /// A token for an AWS client request: 32 hex digits, the same for the same app, key and properties. As the
    /// properties hold physical ids, a resource that is made again after a teardown gets another one.
    pub fn request_token(&self, app: &str, key: &Key) -> String {
        let text = format!("{app}\n{key}\n{}", self.properties());
        hex::encode(&Sha256::digest(text.as_bytes())[..16])
    }
}
