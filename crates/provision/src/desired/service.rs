//! Logs, cluster, the definition that the service starts with, and the service itself. Must not know how a new version arrives.

use ecspipe_spec::taskdef::{self, Image};

use super::Place;
use super::balancer::{Balancer, seconds};
use super::network::Network;
use super::policies::Roles;
use crate::graph::Graph;
use crate::resource::{Cluster, Id, Link, LogGroup, OtherSets, Service, TaskDefinition};

/// Long enough to look into what went wrong last week, short enough not to be paid for unnoticed.
const RETENTION_DAYS: u32 = 30;

/// The log groups. AWS encrypts them with keys of its own; the app's key guards what is shipped, not what it says.
pub(super) struct Logs {
    pub(super) service: Link,
    pub(super) build: Link,
}

/// What the other parts link to.
pub(super) struct Running {
    /// The cluster's name.
    pub(super) cluster: Id,
    pub(super) service: Link,
}

pub(super) fn logs(graph: &mut Graph, place: &Place<'_>) -> Logs {
    let group = |name| LogGroup {
        name,
        retention_days: Some(RETENTION_DAYS),
    };
    let service = graph.add("service", group(place.names.service_log_group()));
    let build = graph.add("build", group(place.names.build_log_group()));
    Logs { service, build }
}

pub(super) fn service(
    graph: &mut Graph,
    place: &Place<'_>,
    network: &Network,
    balancer: &Balancer,
    logs: &Logs,
    roles: &Roles,
) -> Running {
    let name = place.names.app().to_owned();
    let cluster = cluster(graph, place);
    let definition = graph.add(
        "main",
        TaskDefinition {
            definition: bootstrap(place, logs, roles),
        },
    );
    let listeners = [&balancer.production, &balancer.test];
    let service = Service {
        name: name.clone(),
        cluster: cluster.clone(),
        controller: "CODE_DEPLOY".to_owned(),
        launch_type: "FARGATE".to_owned(),
        platform_version: "LATEST".to_owned(),
        task_definition: definition.id(),
        desired_count: place.spec.service.desired_count,
        health_check_grace_seconds: seconds(place.spec.service.health_check.grace),
        subnets: network.private.iter().cloned().collect(),
        security_groups: [network.service_group.clone()].into(),
        public_address: false,
        target_group: balancer.blue.id(),
        container_name: name,
        container_port: place.spec.service.port,
        propagate_tags: "SERVICE".to_owned(),
        execute_command: place.spec.service.exec,
        others: OtherSets::default(),
        pair: balancer.pair(),
        after: listeners
            .into_iter()
            .map(Link::id)
            .chain(network.ways_out.iter().cloned())
            .collect(),
    };
    let service = graph.add("main", service);
    Running { cluster, service }
}

/// The name of the cluster: of the app's own, or of one that exists.
fn cluster(graph: &mut Graph, place: &Place<'_>) -> Id {
    let name = place.spec.cluster_name(place.facts);
    if place.spec.cluster.is_some() {
        return name;
    }
    // Container Insights are billed by the metric: whoever wants them turns them on knowingly.
    let cluster = Cluster {
        name,
        container_insights: "disabled".to_owned(),
    };
    graph.add("main", cluster).id()
}

/// The definition of the spec, with links in the place of what it refers to: its ARNs are right without them, but the
/// roles and the log group must be there first.
fn bootstrap(place: &Place<'_>, logs: &Logs, roles: &Roles) -> taskdef::TaskDefinition {
    let mut definition = taskdef::TaskDefinition::new(place.spec, place.facts, &Image::Bootstrap);
    definition.execution_role_arn.clone_from(&roles.execution);
    definition.task_role_arn.clone_from(&roles.task);
    for container in &mut definition.container_definitions {
        container
            .log_configuration
            .options
            .insert("awslogs-group".to_owned(), logs.service.id());
    }
    definition
}
