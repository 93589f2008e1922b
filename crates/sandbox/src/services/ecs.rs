//! Amazon ECS: clusters, task definitions, services with their task sets, and what is known of tasks. What moves by
//! itself (tasks that start and stop, services that get steady) is in [`crate::tasks`]. Must not route traffic.

mod definition;
mod run;
mod service;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use definition::{Family, TaskDefinition};
pub use service::{Balancer, Controller, Service, ServiceEvent, TaskSet};

use crate::clock::{Millis, seconds};
use crate::faults::Trouble;
use crate::runtime::{Files, Image, Page, Request, Runtime as _};
use crate::services::ec2::{self, Place};
use crate::tasks::{self, Status, Task};
use crate::wire::{Call, Fault, Input as _, Protocol, Reply};
use crate::world::{Tags, World};

pub(crate) use definition::{find as find_definition, roles_ready};
pub(crate) use service::{
    counts, create_task_set, delete_task_set, find as find_service, find_mut as find_service_mut,
    set_primary,
};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "CreateCluster",
    "CreateService",
    "CreateTaskSet",
    "DeleteCluster",
    "DeleteService",
    "DeleteTaskDefinitions",
    "DeleteTaskSet",
    "DeregisterTaskDefinition",
    "DescribeClusters",
    "DescribeServices",
    "DescribeTaskDefinition",
    "DescribeTaskSets",
    "DescribeTasks",
    "ExecuteCommand",
    "ListClusters",
    "ListServices",
    "ListTagsForResource",
    "ListTaskDefinitionFamilies",
    "ListTaskDefinitions",
    "ListTasks",
    "RegisterTaskDefinition",
    "RunTask",
    "StopTask",
    "TagResource",
    "UntagResource",
    "UpdateCluster",
    "UpdateClusterSettings",
    "UpdateService",
    "UpdateServicePrimaryTaskSet",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Clusters by name, the inactive ones too.
    pub clusters: BTreeMap<String, Cluster>,
    /// Task definitions by family.
    pub families: BTreeMap<String, Family>,
    /// Services by `cluster/name`, the inactive ones too.
    pub services: BTreeMap<String, Service>,
    /// Tasks by id, the ones that stopped within the last hour too.
    pub tasks: BTreeMap<String, Task>,
    /// Tasks that a client token has started, with the input that did.
    #[serde(default)]
    pub runs: BTreeMap<String, (Value, Vec<String>)>,
    /// What the tasks' images held when they were pulled, by digest of the content.
    pub images: BTreeMap<String, Image>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// When it was deleted; it is shown as `INACTIVE` for a while.
    pub deleted: Option<Millis>,
    /// Settings, such as `containerInsights` → `enabled`.
    pub settings: BTreeMap<String, String>,
    /// The configuration as given.
    pub configuration: Option<Value>,
    /// Its tags.
    pub tags: Tags,
}

/// How long what was deleted or stopped is still shown; AWS says about an hour for tasks, and nothing exact for the rest.
pub(crate) const MEMORY: Millis = 3_600_000;

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "CreateCluster" => create_cluster(world, call),
        "DescribeClusters" => describe_clusters(world, call),
        "UpdateCluster" | "UpdateClusterSettings" => update_cluster(world, call),
        "DeleteCluster" => delete_cluster(world, call),
        "ListClusters" => list_clusters(world, call),
        "RegisterTaskDefinition" => definition::register_call(world, call),
        "DescribeTaskDefinition" => definition::describe(world, call),
        "ListTaskDefinitions" => definition::list(world, call),
        "ListTaskDefinitionFamilies" => definition::list_families(world, call),
        "DeregisterTaskDefinition" => definition::deregister(world, call),
        "DeleteTaskDefinitions" => definition::delete(world, call),
        "CreateService" => service::create(world, call),
        "DescribeServices" => service::describe(world, call),
        "ListServices" => service::list(world, call),
        "UpdateService" => service::update(world, call),
        "DeleteService" => service::delete(world, call),
        "CreateTaskSet" => service::create_task_set_call(world, call),
        "DescribeTaskSets" => service::describe_task_sets(world, call),
        "UpdateServicePrimaryTaskSet" => service::update_primary(world, call),
        "DeleteTaskSet" => service::delete_task_set_call(world, call),
        "ListTasks" => list_tasks(world, call),
        "DescribeTasks" => describe_tasks(world, call),
        "RunTask" => run::run_task(world, call),
        "ExecuteCommand" => run::execute_command(world, call),
        "StopTask" => stop_task(world, call),
        "TagResource" => tag(world, call),
        "UntagResource" => untag(world, call),
        "ListTagsForResource" => list_tags(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Why an HTTP client gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Nothing listens there: the connection is refused.
    Refused,
    /// Nobody has the address.
    Nobody,
    /// Whoever has the address is silent.
    Silent,
}

/// What an HTTP client gets from the running task at `place`, on `port`. Read only.
pub(crate) fn answer(
    world: &World,
    region: &str,
    place: Place<'_>,
    port: u16,
    path: &str,
) -> Result<Page, Unanswered> {
    let state = world.regions.get(region).map(|region| &region.ecs);
    let subnet = ec2::subnet_at(world, region, place);
    let is_there =
        |task: &&Task| task.listens_at(place.address) && Some(task.subnet.as_str()) == subnet;
    let task = state
        .and_then(|state| state.tasks.values().find(is_there))
        .ok_or(Unanswered::Nobody)?;
    let maps = |container: &&Value| {
        container
            .list("portMappings")
            .iter()
            .any(|mapping| mapping.int("containerPort") == Some(i64::from(port)))
    };
    let definition = find_definition(world, region, &task.definition);
    let container = definition
        .and_then(|definition| definition.containers().iter().find(maps))
        .ok_or(Unanswered::Refused)?;
    match tasks::of_container(world, region, task, container) {
        Some(Trouble::Hang { .. }) => return Err(Unanswered::Silent),
        Some(Trouble::NotListening { .. }) => return Err(Unanswered::Refused),
        Some(Trouble::Unhealthy { status, .. }) => {
            let text = "the sandbox's fault dial keeps this image unhealthy\n";
            return Ok(Page::text(status, text));
        }
        _ => {}
    }
    let image = container
        .text("name")
        .and_then(|name| task.images.get(name))
        .and_then(|key| state?.images.get(key));
    if image.is_some_and(|image| !image.listens(port)) {
        return Err(Unanswered::Refused);
    }
    Ok(Files.answer(&Request {
        image,
        uri: container.text("image").unwrap_or_default(),
        task: &task.id,
        path,
    }))
}

/// Registers a task definition from the JSON input of `RegisterTaskDefinition`; answers its ARN with revision.
pub(crate) fn register_task_definition(
    world: &mut World,
    region: &str,
    input: &Value,
) -> Result<String, Fault> {
    definition::register(world, region, input)
}

/// Asks another service as a client would: what it answers, by the wire's names.
pub(crate) fn ask(
    world: &mut World,
    region: &str,
    service: &str,
    operation: &str,
    input: Value,
) -> Result<Value, Fault> {
    let protocol = if service == "elasticloadbalancing" {
        Protocol::Query
    } else {
        Protocol::Json
    };
    let call = Call {
        protocol,
        service: service.to_owned(),
        operation: operation.to_owned(),
        region: region.to_owned(),
        access_key: String::new(),
        input,
        http: crate::wire::Http::default(),
    };
    match crate::services::call(world, &call)? {
        Reply::Value(value) => Ok(value),
        Reply::Raw(..) => Ok(Value::Null),
    }
}

// Clusters.

fn create_cluster(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    for member in [
        "capacityProviders",
        "defaultCapacityProviderStrategy",
        "serviceConnectDefaults",
    ] {
        refuse(input, member)?;
    }
    let name = input.text("clusterName").unwrap_or("default").to_owned();
    if !is_name(&name) {
        return Err(invalid("Invalid cluster name."));
    }
    let settings = settings_of(input)?;
    let cluster = Cluster {
        arn: world.arn("ecs", &call.region, &format!("cluster/{name}")),
        name: name.clone(),
        deleted: None,
        settings: settings.unwrap_or_else(|| {
            BTreeMap::from([("containerInsights".to_owned(), "disabled".to_owned())])
        }),
        configuration: input.get("configuration").filter(|c| !c.is_null()).cloned(),
        tags: tags_of(input)?,
    };
    let clusters = &mut world.at(&call.region).ecs.clusters;
    // Creating an active cluster again changes nothing and answers it.
    let kept = match clusters.get(&name) {
        Some(existing) if existing.deleted.is_none() => existing.clone(),
        _ => {
            clusters.insert(name, cluster.clone());
            cluster
        }
    };
    Ok(Reply::Value(
        json!({"cluster": cluster_shape(world, &call.region, &kept, Details::ALL)}),
    ))
}

fn describe_clusters(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let mut names = call.input.texts("clusters");
    if names.len() > 100 {
        return Err(invalid("Clusters cannot have more than 100 elements."));
    }
    if names.is_empty() {
        names.push("default".to_owned());
    }
    let details = Details::of(&call.input);
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match shown_cluster(world, &call.region, &name) {
            Some(cluster) => clusters.push(cluster_shape(
                world,
                &call.region,
                &cluster.clone(),
                details,
            )),
            None => {
                let arn = world.arn("ecs", &call.region, &format!("cluster/{}", last(&name)));
                failures.push(json!({"arn": arn, "reason": "MISSING"}));
            }
        }
    }
    Ok(Reply::Value(
        json!({"clusters": clusters, "failures": failures}),
    ))
}

fn update_cluster(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    refuse(input, "serviceConnectDefaults")?;
    let name = active_cluster(world, &call.region, input)?;
    let settings = settings_of(input)?;
    if settings.is_none() && call.operation == "UpdateClusterSettings" {
        return Err(invalid("Settings cannot be empty."));
    }
    let configuration = input.get("configuration").filter(|c| !c.is_null()).cloned();
    let cluster = world
        .at(&call.region)
        .ecs
        .clusters
        .get_mut(&name)
        .ok_or_else(no_cluster)?;
    cluster.settings.extend(settings.into_iter().flatten());
    if configuration.is_some() {
        cluster.configuration = configuration;
    }
    let cluster = cluster.clone();
    Ok(Reply::Value(
        json!({"cluster": cluster_shape(world, &call.region, &cluster, Details::ALL)}),
    ))
}

fn delete_cluster(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = active_cluster(world, &call.region, &call.input)?;
    let now = world.now;
    let state = &mut world.at(&call.region).ecs;
    if state
        .services
        .values()
        .any(|service| service.cluster == name && service.status != "INACTIVE")
    {
        return Err(Fault::new(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        ));
    }
    if state
        .tasks
        .values()
        .any(|task| task.cluster == name && task.status != Status::Stopped)
    {
        return Err(Fault::new(
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    let cluster = state.clusters.get_mut(&name).ok_or_else(no_cluster)?;
    cluster.deleted = Some(now);
    let cluster = cluster.clone();
    Ok(Reply::Value(
        json!({"cluster": cluster_shape(world, &call.region, &cluster, Details::ALL)}),
    ))
}

fn list_clusters(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let clusters = world.at(&call.region).ecs.clusters.values();
    let arns = clusters
        .filter(|cluster| cluster.deleted.is_none())
        .map(|cluster| cluster.arn.clone());
    let (items, next) = page(&call.input, keyed(arns), 100)?;
    Ok(Reply::Value(listing("clusterArns", json!(items), next)))
}

/// Which optional parts of a cluster an answer has.
#[derive(Clone, Copy)]
struct Details {
    settings: bool,
    configuration: bool,
    tags: bool,
}

impl Details {
    const ALL: Self = Self {
        settings: true,
        configuration: true,
        tags: true,
    };

    fn of(input: &Value) -> Self {
        let include = input.texts("include");
        let has = |name: &str| include.iter().any(|include| include == name);
        Self {
            settings: has("SETTINGS"),
            configuration: has("CONFIGURATIONS"),
            tags: has("TAGS"),
        }
    }
}

fn cluster_shape(world: &World, region: &str, cluster: &Cluster, details: Details) -> Value {
    let Some(state) = world.regions.get(region).map(|region| &region.ecs) else {
        return Value::Null;
    };
    let tasks = |wanted: fn(Status) -> bool| {
        state
            .tasks
            .values()
            .filter(|task| task.cluster == cluster.name && wanted(task.status))
            .count()
    };
    let active = state
        .services
        .values()
        .filter(|s| s.cluster == cluster.name && s.status == "ACTIVE")
        .count();
    let mut shape = json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": if cluster.deleted.is_none() { "ACTIVE" } else { "INACTIVE" },
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": tasks(Status::counts_as_running),
        "pendingTasksCount": tasks(Status::counts_as_pending),
        "activeServicesCount": active,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    });
    if details.tags {
        shape["tags"] = tag_list(&cluster.tags);
    }
    if details.settings {
        let settings = cluster
            .settings
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        shape["settings"] = settings.collect();
    }
    if let Some(configuration) = cluster
        .configuration
        .as_ref()
        .filter(|_| details.configuration)
    {
        shape["configuration"] = configuration.clone();
    }
    shape
}

fn settings_of(input: &Value) -> Result<Option<BTreeMap<String, String>>, Fault> {
    let settings = input.pairs("settings", "name", "value");
    for (name, value) in &settings {
        if name != "containerInsights" {
            return Err(invalid(&format!("Invalid setting name '{name}'.")));
        }
        if !["enabled", "disabled", "enhanced"].contains(&value.as_str()) {
            return Err(invalid(&format!(
                "Invalid setting value '{value}' for {name}."
            )));
        }
    }
    Ok((!settings.is_empty()).then_some(settings))
}

fn shown_cluster<'a>(world: &'a World, region: &str, name: &str) -> Option<&'a Cluster> {
    let cluster = world.regions.get(region)?.ecs.clusters.get(last(name))?;
    cluster
        .deleted
        .is_none_or(|at| world.now < at + MEMORY)
        .then_some(cluster)
}

/// The name of the active cluster that the input means.
pub(crate) fn active_cluster(world: &World, region: &str, input: &Value) -> Result<String, Fault> {
    let name = input
        .text("cluster")
        .filter(|name| !name.is_empty())
        .unwrap_or("default");
    let cluster = shown_cluster(world, region, name).ok_or_else(no_cluster)?;
    match cluster.deleted {
        None => Ok(cluster.name.clone()),
        Some(_) => Err(Fault::new(
            "ClusterNotFoundException",
            "The referenced cluster was inactive.",
        )),
    }
}

// Tasks, as the API shows them.

fn list_tasks(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let cluster = active_cluster(world, &call.region, input)?;
    let desired = input.text("desiredStatus").unwrap_or("RUNNING");
    if !["RUNNING", "PENDING", "STOPPED"].contains(&desired) {
        return Err(invalid(&format!(
            "desiredStatus must be RUNNING, PENDING or STOPPED, not {desired}."
        )));
    }
    if let Some(name) = input.text("serviceName") {
        find_service(world, &call.region, &cluster, name).ok_or_else(no_service)?;
    }
    let now = world.now;
    let tasks = world.at(&call.region).ecs.tasks.values().filter(|task| {
        task.cluster == cluster
            && task.is_shown(now)
            && task.desired() == desired
            && input
                .text("serviceName")
                .is_none_or(|name| last(name) == task.service)
            && input
                .text("family")
                .is_none_or(|family| task.family() == family)
            && input
                .text("startedBy")
                .is_none_or(|by| task.started_by() == Some(by))
            && input
                .text("launchType")
                .is_none_or(|kind| kind == "FARGATE")
            && input.text("containerInstance").is_none()
    });
    let arns = tasks.map(|task| task.arn.clone());
    let (items, next) = page(input, keyed(arns), 100)?;
    Ok(Reply::Value(listing("taskArns", json!(items), next)))
}

fn describe_tasks(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let cluster = active_cluster(world, &call.region, &call.input)?;
    let names = call.input.texts("tasks");
    if names.is_empty() || names.len() > 100 {
        return Err(invalid("Tasks must have between 1 and 100 elements."));
    }
    let tags = call
        .input
        .texts("include")
        .iter()
        .any(|include| include == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let task = world
            .regions
            .get(&call.region)
            .and_then(|region| region.ecs.tasks.get(last(&name)));
        match task.filter(|task| task.cluster == cluster && task.is_shown(world.now)) {
            Some(task) => tasks.push(task_shape(world, &call.region, task, tags)),
            None => {
                let arn = world.arn(
                    "ecs",
                    &call.region,
                    &format!("task/{cluster}/{}", last(&name)),
                );
                failures.push(json!({"arn": arn, "reason": "MISSING"}));
            }
        }
    }
    Ok(Reply::Value(json!({"tasks": tasks, "failures": failures})))
}

fn stop_task(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let cluster = active_cluster(world, &call.region, &call.input)?;
    let id = last(call.input.text("task").unwrap_or_default()).to_owned();
    let now = world.now;
    let task = world
        .at(&call.region)
        .ecs
        .tasks
        .get(&id)
        .filter(|task| task.cluster == cluster && task.is_shown(now));
    let task = task.ok_or_else(|| invalid("The referenced task was not found."))?;
    if task.stop.is_none() {
        let reason = call.input.text("reason").unwrap_or("Task stopped by user");
        crate::tasks::stop(world, &call.region, &id, "UserInitiated", reason);
    }
    let shape = world
        .regions
        .get(&call.region)
        .and_then(|region| region.ecs.tasks.get(&id));
    let shape = shape
        .map(|task| task_shape(world, &call.region, task, true))
        .unwrap_or_default();
    Ok(Reply::Value(json!({"task": shape})))
}

fn task_shape(world: &World, region: &str, task: &Task, tags: bool) -> Value {
    let definition = find_definition(world, region, &task.definition);
    let containers = definition
        .map(TaskDefinition::containers)
        .unwrap_or_default();
    let cluster_arn = world.arn("ecs", region, &format!("cluster/{}", task.cluster));
    let mut shape = json!({
        "taskArn": task.arn,
        "clusterArn": cluster_arn,
        "taskDefinitionArn": task.definition,
        "availabilityZone": task.zone,
        "connectivity": "CONNECTED",
        "desiredStatus": task.desired(),
        "lastStatus": task.status.name(),
        "healthStatus": tasks::container_health(world, region, task, containers),
        "group": task.group(),
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "createdAt": seconds(task.created),
        "enableExecuteCommand": task.execute_command,
        "cpu": definition.and_then(|d| d.content.text("cpu")),
        "memory": definition.and_then(|d| d.content.text("memory")),
        "overrides": overrides_shape(task, containers),
        "ephemeralStorage": {"sizeInGiB": 20},
        "attributes": [],
        "tags": if tags { tag_list(&task.tags) } else { json!([]) },
        "version": task.version,
        "attachments": [{
            "id": task.attachment,
            "type": "ElasticNetworkInterface",
            "status": if task.status == Status::Stopped { "DELETED" } else { "ATTACHED" },
            "details": [
                {"name": "subnetId", "value": task.subnet},
                {"name": "networkInterfaceId", "value": task.interface},
                {"name": "privateIPv4Address", "value": task.address},
            ],
        }],
        "containers": containers.iter().map(|container| container_shape(world, region, task, container)).collect::<Vec<_>>(),
    });
    if let Some(by) = task.started_by() {
        shape["startedBy"] = json!(by);
    }
    shape["connectivityAt"] = seconds(task.created);
    for (member, at) in [
        ("pullStartedAt", task.pulled),
        ("pullStoppedAt", task.started),
        ("startedAt", task.started),
    ] {
        if let Some(at) = at {
            shape[member] = seconds(at);
        }
    }
    if let Some(stop) = &task.stop {
        shape["stopCode"] = json!(stop.code);
        shape["stoppedReason"] = json!(stop.reason);
        shape["stoppingAt"] = seconds(stop.at);
        if task.status == Status::Stopped {
            shape["executionStoppedAt"] = seconds(task.since);
            shape["stoppedAt"] = seconds(task.since);
        }
    }
    shape
}

/// What differs from the definition; each container has an entry.
fn overrides_shape(task: &Task, containers: &[Value]) -> Value {
    let mut shape = task
        .run
        .as_ref()
        .map_or_else(|| json!({}), |run| run.overrides.clone());
    let one = |container: &Value| {
        let name = container.text("name").unwrap_or_default();
        let given = task.run.as_ref().and_then(|run| run.of_container(name));
        given.cloned().unwrap_or_else(|| json!({"name": name}))
    };
    shape["containerOverrides"] = containers.iter().map(one).collect();
    shape["inferenceAcceleratorOverrides"] = json!([]);
    shape
}

fn container_shape(world: &World, region: &str, task: &Task, container: &Value) -> Value {
    let name = container.text("name").unwrap_or_default();
    let image = container.text("image").unwrap_or_default();
    let id = task.container_id(name);
    let arn = world.arn(
        "ecs",
        region,
        &format!("container/{}/{}/{id}", task.cluster, task.id),
    );
    let mut shape = json!({
        "containerArn": arn,
        "taskArn": task.arn,
        "name": name,
        "image": image,
        "runtimeId": format!("{}-{id}", task.id),
        "lastStatus": task.status.container(),
        "networkBindings": [],
        "networkInterfaces": [{"attachmentId": task.attachment, "privateIpv4Address": task.address}],
        "healthStatus": tasks::container_health(world, region, task, std::slice::from_ref(container)),
        "cpu": container.int("cpu").unwrap_or_default().to_string(),
    });
    if let Some(memory) = container.int("memory") {
        shape["memory"] = json!(memory.to_string());
    }
    if let Some((_, digest)) = image.split_once('@') {
        shape["imageDigest"] = json!(digest);
    }
    if task.execute_command && task.status == Status::Running {
        let status = match run::agent(world, region, task) {
            run::Agent::Running => "RUNNING",
            run::Agent::Absent | run::Agent::Disconnected => "STOPPED",
        };
        let started = task.started.map(seconds);
        shape["managedAgents"] = json!([{"name": "ExecuteCommandAgent", "lastStatus": status, "lastStartedAt": started}]);
    }
    if let Some(stop) = task
        .stop
        .as_ref()
        .filter(|_| task.status.container() == "STOPPED")
    {
        let culprit = stop.culprit.as_ref();
        let own = culprit.filter(|culprit| culprit.container == name);
        if let Some(code) = own.map_or(stop.exit, |culprit| culprit.exit) {
            shape["exitCode"] = json!(code);
        }
        let said = match culprit {
            Some(_) => own.and_then(|culprit| culprit.reason.as_ref()),
            None => (stop.code == "TaskFailedToStart").then_some(&stop.reason),
        };
        if let Some(reason) = said {
            shape["reason"] = json!(reason);
        }
    }
    shape
}

// Tags.

fn tag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let new = tags_of(&call.input)?;
    let tags = tags_at(world, call)?;
    tags.extend(new);
    match tags.len() > 50 {
        true => Err(invalid("A resource can have at most 50 tags.")),
        false => Ok(Reply::Value(json!({}))),
    }
}

fn untag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("tagKeys");
    tags_at(world, call)?.retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = tags_at(world, call)?;
    Ok(Reply::Value(json!({"tags": tag_list(tags)})))
}

fn tags_at<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Tags, Fault> {
    let arn = call.input.text("resourceArn").unwrap_or_default();
    let Some((kind, rest)) = arn
        .splitn(6, ':')
        .nth(5)
        .and_then(|resource| resource.split_once('/'))
    else {
        return Err(invalid("The specified resource ARN is not valid."));
    };
    let region = call.region.as_str();
    let found = match kind {
        "task-definition" => definition::tags(world, region, arn),
        "cluster" => world
            .at(region)
            .ecs
            .clusters
            .get_mut(rest)
            .filter(|c| c.deleted.is_none())
            .map(|c| &mut c.tags),
        "service" => {
            let service = world
                .at(region)
                .ecs
                .services
                .get_mut(rest)
                .filter(|service| service.status != "INACTIVE");
            service.map(|service| &mut service.tags)
        }
        "task" => world
            .at(region)
            .ecs
            .tasks
            .get_mut(last(rest))
            .map(|task| &mut task.tags),
        "task-set" => {
            let mut sets = world
                .at(region)
                .ecs
                .services
                .values_mut()
                .flat_map(|service| &mut service.sets);
            sets.find(|set| set.arn == arn).map(|set| &mut set.tags)
        }
        _ => None,
    };
    found.ok_or_else(|| invalid("The specified resource is not found."))
}

// What the operations share.

fn invalid(message: &str) -> Fault {
    Fault::new("InvalidParameterException", message)
}

fn client(message: &str) -> Fault {
    Fault::new("ClientException", message)
}

fn no_cluster() -> Fault {
    Fault::new("ClusterNotFoundException", "Cluster not found.")
}

fn no_service() -> Fault {
    Fault::new("ServiceNotFoundException", "Service not found.")
}

/// Refuses a member that AWS honours and the sandbox doesn't, where it is given and not empty.
fn refuse(input: &Value, member: &str) -> Result<(), Fault> {
    let given = input.get(member).is_some_and(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    match given {
        true => Err(Fault::new(
            "NotImplemented",
            format!("the ecspipe sandbox does not implement {member}; leave it out"),
        )
        .status(501)),
        false => Ok(()),
    }
}

/// 1 to 255 letters, digits, hyphens and underscores (AWS.md §2).
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The last part of an ARN, or the name itself.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The tags of an input, checked (AWS.md §2).
fn tags_of(input: &Value) -> Result<Tags, Fault> {
    let tags = input.pairs("tags", "key", "value");
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "A tag key has 1 to 128 characters, a tag value at most 256.",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys can't start with aws:."));
        }
    }
    match tags.len() > 50 {
        true => Err(invalid("A resource can have at most 50 tags.")),
        false => Ok(tags),
    }
}

fn tag_list(tags: &Tags) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

/// One page of a listing and the token of the next. Items are given with the keys that order them, which tokens name, so that a
/// listing stays right when items come and go between two calls.
fn page(
    input: &Value,
    items: impl IntoIterator<Item = (String, String)>,
    most: i64,
) -> Result<(Vec<String>, Option<String>), Fault> {
    let size = input.int("maxResults").unwrap_or(most);
    if !(1..=100).contains(&size) {
        return Err(invalid("maxResults must be between 1 and 100."));
    }
    let page = crate::wire::page::page(items, input.text("nextToken"), size as usize);
    let page = page.ok_or_else(|| invalid("Invalid token."))?;
    Ok((page.items, page.next))
}

/// Items that are their own keys.
fn keyed(items: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let mut items: Vec<String> = items.into_iter().collect();
    items.sort();
    items.into_iter().map(|item| (item.clone(), item)).collect()
}

fn listing(member: &str, items: Value, next: Option<String>) -> Value {
    let mut answer = json!({});
    answer[member] = items;
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    answer
}

#[cfg(test)]
mod tests;
