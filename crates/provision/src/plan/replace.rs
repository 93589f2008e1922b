//! Which fields can't be changed in place, and what is done about it: replacement where that is safe and cheap, else a refusal with
//! its reason. One table, by kind and property (AWS.md §3.2). Must not look at values.

use super::Change;
use crate::resource::Kind;

/// What the changes of one resource come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OnChange {
    /// There are none.
    Nothing,
    /// They are made in place.
    Update,
    /// The resource is deleted and made again: nothing is lost, and what refers to it can follow.
    Replace,
    /// Neither is possible.
    Refuse {
        /// The changes that stand in the way.
        fields: Vec<Change>,
        /// Why.
        why: &'static str,
        /// The next step.
        hint: &'static str,
    },
}

/// What `changes` of a resource of `kind` come to.
pub(super) fn on_change(kind: Kind, changes: &[Change]) -> OnChange {
    let refused: Vec<(&Change, (&'static str, &'static str))> = changes
        .iter()
        .filter_map(|change| Some((change, refusal(kind, change.property())?)))
        .collect();
    if let Some((_, (why, hint))) = refused.first() {
        let fields = refused
            .iter()
            .map(|(change, _)| (*change).clone())
            .collect();
        return OnChange::Refuse { fields, why, hint };
    }
    if changes
        .iter()
        .any(|change| replaced(kind, change.property()))
    {
        return OnChange::Replace;
    }
    if changes.is_empty() {
        OnChange::Nothing
    } else {
        OnChange::Update
    }
}

/// Create-only properties of resources that hold nothing and are rebuilt in minutes.
fn replaced(kind: Kind, property: &str) -> bool {
    match kind {
        Kind::NatGateway => matches!(property, "subnet" | "address"),
        Kind::Endpoint => matches!(property, "service" | "endpoint_type"),
        _ => false,
    }
}

/// Where a zone's range has to change: a second zone takes the tasks in.
const ANOTHER_ZONE: &str = "give another zone a range of its own, run `up` and `deploy`, then take this zone out of the spec";
const START_OVER: &str = "take the change back, or make a new app beside this one and move over";
const PUT_BACK: &str = "put the field back as it was, by hand; or `down` and `up` again";

/// Why a create-only property of everything else isn't changed, with the next step.
pub(crate) fn refusal(kind: Kind, property: &str) -> Option<(&'static str, &'static str)> {
    let refusal = match (kind, property) {
        (Kind::Vpc, "cidr") => ("everything in the network would have to move", START_OVER),
        (Kind::Subnet, "cidr" | "zone") => {
            ("running tasks and the balancer stand in it", ANOTHER_ZONE)
        }
        (
            Kind::Subnet
            | Kind::RouteTable
            | Kind::SecurityGroup
            | Kind::Endpoint
            | Kind::TargetGroup,
            "vpc",
        ) => ("it can't move to another network", PUT_BACK),
        (Kind::Address, "domain") => ("AWS gives such an address only to a VPC", PUT_BACK),
        (Kind::SecurityGroup, "name" | "description") => (
            "AWS fixes it when the group is made, and the group is in use",
            PUT_BACK,
        ),
        (Kind::LoadBalancer, "scheme") => (
            "its address would change and production traffic would be lost",
            START_OVER,
        ),
        (Kind::Listener, "load_balancer") => {
            ("a listener can't move to another load balancer", PUT_BACK)
        }
        (Kind::TargetGroup, "protocol" | "protocol_version" | "target_type") => (
            "running tasks are registered with it, and it would have to be made again",
            PUT_BACK,
        ),
        (Kind::Service, "cluster" | "launch_type") => {
            ("a service can't move while it runs", START_OVER)
        }
        (Kind::Service, "controller") => (
            "its deployments belong to somebody else than CodeDeploy",
            PUT_BACK,
        ),
        (Kind::Service, "target_group") => (
            "its production tasks are registered with a target group outside of the app's pair",
            PUT_BACK,
        ),
        (Kind::DeploymentApplication, "compute_platform") => {
            ("an application is made for one platform", PUT_BACK)
        }
        (Kind::DeploymentConfig, "traffic") => {
            ("a configuration can't be changed once it is made", PUT_BACK)
        }
        (Kind::DeploymentGroup, "application") => {
            ("a group can't move to another application", PUT_BACK)
        }
        (Kind::TaskDefinition, _) => (
            "a revision can't be changed once it is registered",
            PUT_BACK,
        ),
        (Kind::Role, "path") => (
            "AWS fixes it when the role is made, and others name it by its ARN",
            START_OVER,
        ),
        (
            Kind::Bucket
            | Kind::LogGroup
            | Kind::ImageRepository
            | Kind::Role
            | Kind::LoadBalancer
            | Kind::TargetGroup
            | Kind::Alarm
            | Kind::Cluster
            | Kind::Service
            | Kind::DeploymentApplication
            | Kind::DeploymentConfig
            | Kind::DeploymentGroup
            | Kind::SourceRepository
            | Kind::BuildProject
            | Kind::Pipeline
            | Kind::EventRule,
            "name",
        ) => ("AWS knows it by its name", PUT_BACK),
        _ => return None,
    };
    Some(refusal)
}
