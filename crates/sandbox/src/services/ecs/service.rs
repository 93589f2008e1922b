//! Services and their task sets: what can be asked of them, and what AWS refuses. Under the controller CODE_DEPLOY a
//! service's task sets are CodeDeploy's; under ECS a deployment is a task set, too, and rolls. Must not start or stop tasks:
//! [`crate::tasks`] does, when it is woken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MEMORY, active_cluster, ask, find_definition, invalid, is_name, keyed, last, listing,
    no_service, page, refuse, tag_list, tags_of,
};
use crate::clock::{Millis, seconds};
use crate::services::ec2;
use crate::tasks::{self, Status};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The name of its cluster.
    pub cluster: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// When it got `INACTIVE`.
    pub ended: Option<Millis>,
    /// How many tasks are wanted.
    pub desired: i64,
    /// Who moves it from one task definition to the next.
    pub controller: Controller,
    /// The ARN of the task definition of its primary task set.
    pub definition: String,
    /// `LATEST` or a number.
    pub platform: String,
    /// Subnets, security groups, public address, as given.
    pub network: Value,
    /// Where its tasks are registered.
    pub balancers: Vec<Balancer>,
    /// The deployment configuration with AWS's defaults.
    pub deployment_configuration: Value,
    /// How long a task's bad health is overlooked after its start, in seconds.
    pub grace: i64,
    /// When it was created.
    pub created: Millis,
    /// Its tags.
    pub tags: Tags,
    /// Whether ECS adds its own tags to tasks.
    pub managed_tags: bool,
    /// `NONE`, `SERVICE` or `TASK_DEFINITION`.
    pub propagate: String,
    /// Whether ECS Exec is on.
    pub execute_command: bool,
    /// The input that created it, for a repetition with the same token.
    pub origin: Value,
    /// Newest first.
    pub events: Vec<ServiceEvent>,
    /// Task sets, or deployments under the controller ECS; the primary one is first.
    pub sets: Vec<TaskSet>,
    /// Whether it was steady when it was last looked at.
    pub steady: bool,
}

/// Who moves a service from one task definition to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// ECS itself: rolling.
    Ecs,
    /// CodeDeploy, by task sets.
    CodeDeploy,
    /// The owner, by task sets.
    External,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ECS",
            Self::CodeDeploy => "CODE_DEPLOY",
            Self::External => "EXTERNAL",
        }
    }
}

/// A target group and the container port that is registered in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    /// The target group's ARN.
    pub target_group: String,
    /// The container's name.
    pub container: String,
    /// The container's port.
    pub port: u16,
}

/// Something that happened to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Millis,
    /// What, as AWS words it.
    pub message: String,
}

/// A set of like tasks of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    /// `ecs-svc/` and nineteen digits.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The deployment that it belongs to.
    pub external: Option<String>,
    /// Who made it, such as `CODE_DEPLOY`.
    pub started_by: Option<String>,
    /// `PRIMARY`, `ACTIVE` or `DRAINING`.
    pub status: String,
    /// The ARN of its task definition.
    pub definition: String,
    /// Percent of the service's desired count.
    pub scale: f64,
    /// When it was created.
    pub created: Millis,
    /// When it last changed.
    pub updated: Millis,
    /// `LATEST` or a number.
    pub platform: String,
    /// Subnets, security groups, public address.
    pub network: Value,
    /// Where its tasks are registered.
    pub balancers: Vec<Balancer>,
    /// Its tags.
    pub tags: Tags,
    /// Whether every wanted task runs and is healthy.
    pub steady: bool,
    /// Since when that is so, or is not.
    pub steady_since: Millis,
    /// How many tasks in a row could not be started or did not stay.
    pub failures: u32,
    /// Not before then is another task started.
    pub retry_at: Millis,
}

impl Service {
    /// The primary task set.
    pub(crate) fn primary(&self) -> Option<&TaskSet> {
        self.sets.iter().find(|set| set.status == "PRIMARY")
    }

    /// A task set by id or ARN.
    pub(crate) fn set(&self, name: &str) -> Option<&TaskSet> {
        self.sets
            .iter()
            .find(|set| set.id == name || set.arn == name)
    }

    /// How many tasks the set is to have.
    pub(crate) fn wanted(&self, set: &TaskSet) -> i64 {
        if set.status == "DRAINING" || self.status != "ACTIVE" {
            return 0;
        }
        // While a deployment of ECS rolls, the old tasks stay until the new ones are steady (100 % to 200 %).
        if self.controller == Controller::Ecs
            && set.status == "ACTIVE"
            && self.primary().is_some_and(|p| p.steady)
        {
            return 0;
        }
        (self.desired as f64 * set.scale / 100.0).ceil() as i64
    }

    /// The key in the state.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }
}

/// What a service is created with and refuses in this sandbox, being neither honoured nor harmless.
const NOT_HONOURED: &[&str] = &[
    "capacityProviderStrategy",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// What UpdateService refuses under CODE_DEPLOY, with AWS's words for it (AWS.md §4.5).
const CODE_DEPLOYS: &[(&str, &str)] = &[
    ("taskDefinition", "task definition"),
    ("networkConfiguration", "network parameters"),
    ("platformVersion", "platform version"),
    ("loadBalancers", "load balancers"),
    ("serviceRegistries", "service registries"),
    ("capacityProviderStrategy", "capacity provider strategy"),
    ("forceNewDeployment", "force new deployment"),
    ("serviceConnectConfiguration", "Service Connect"),
    ("volumeConfigurations", "volume configurations"),
];

pub(super) fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    let name = input.text("serviceName").unwrap_or_default();
    if !is_name(name) {
        return Err(invalid(
            "Service name must be 1 to 255 letters, digits, hyphens and underscores.",
        ));
    }
    if let Some(existing) =
        find(world, region, &cluster, name).filter(|service| service.status != "INACTIVE")
    {
        if existing.status == "DRAINING" {
            return Err(invalid("Unable to Start a service that is still Draining."));
        }
        let same = input.text("clientToken").is_some() && existing.origin == *input;
        return match same {
            true => Ok(Reply::Value(
                json!({"service": shape(world, region, existing, true)}),
            )),
            false => Err(invalid("Creation of service was not idempotent.")),
        };
    }
    let service = new_service(world, region, &cluster, input)?;
    let (key, name) = (service.key(), service.name.clone());
    let answer = shape(world, region, &service, true);
    // Stopped tasks of an earlier service of this name aren't this one's.
    let state = &mut world.at(region).ecs;
    state.tasks.retain(|_, task| task.key() != key);
    state.services.insert(key, service);
    tasks::rouse(world, region, &cluster, &name);
    Ok(Reply::Value(json!({"service": answer})))
}

fn new_service(
    world: &mut World,
    region: &str,
    cluster: &str,
    input: &Value,
) -> Result<Service, Fault> {
    NOT_HONOURED
        .iter()
        .try_for_each(|member| refuse(input, member))?;
    refuse(input, "placementConstraints")?;
    refuse(input, "placementStrategy")?;
    refuse(input, "role")?;
    if input
        .text("clientToken")
        .is_some_and(|token| token.len() > 36 || !token.chars().all(|c| c.is_ascii_graphic()))
    {
        return Err(invalid(
            "clientToken must have at most 36 ASCII characters.",
        ));
    }
    let controller = controller(input)?.unwrap_or(Controller::Ecs);
    let launch = input.text("launchType").unwrap_or("EC2");
    if launch != "FARGATE" && controller != Controller::External {
        return Err(refused(&format!(
            "launch type {launch}; give launchType FARGATE"
        )));
    }
    if input.text("schedulingStrategy").unwrap_or("REPLICA") != "REPLICA" {
        return Err(refused("scheduling strategy DAEMON, which Fargate has not"));
    }
    let desired = input
        .int("desiredCount")
        .unwrap_or(if controller == Controller::External {
            0
        } else {
            1
        });
    if desired < 0 {
        return Err(invalid("Desired count can not be less than 0."));
    }
    let definition = match input.text("taskDefinition") {
        Some(name) => Some(active_definition(world, region, name)?),
        None if controller == Controller::External => None,
        None => return Err(invalid("TaskDefinition can not be blank.")),
    };
    let network = input
        .get("networkConfiguration")
        .cloned()
        .unwrap_or_default();
    if definition.is_some() {
        check_network(world, region, &network)?;
    }
    let balancers = check_balancers(world, region, input, definition.as_deref())?;
    let grace = input.int("healthCheckGracePeriodSeconds").unwrap_or(0);
    if input.get("healthCheckGracePeriodSeconds").is_some()
        && balancers.is_empty()
        && controller != Controller::External
    {
        return Err(invalid(
            "Health check grace period is only valid for services configured to use load balancers",
        ));
    }
    if controller == Controller::CodeDeploy && balancers.len() != 1 {
        return Err(invalid(
            "A service with the CODE_DEPLOY deployment controller must have exactly one target group.",
        ));
    }
    let name = input.text("serviceName").unwrap_or_default().to_owned();
    let mut service = Service {
        arn: world.arn("ecs", region, &format!("service/{cluster}/{name}")),
        name,
        cluster: cluster.to_owned(),
        status: "ACTIVE".to_owned(),
        ended: None,
        desired,
        controller,
        definition: definition.clone().unwrap_or_default(),
        platform: platform(input)?,
        network,
        balancers,
        deployment_configuration: deployment_configuration(input, controller)?,
        grace,
        created: world.now,
        tags: tags_of(input)?,
        managed_tags: input.flag("enableECSManagedTags").unwrap_or(false),
        propagate: propagate(input)?.unwrap_or_else(|| "NONE".to_owned()),
        execute_command: input.flag("enableExecuteCommand").unwrap_or(false),
        origin: input.clone(),
        events: Vec::new(),
        sets: Vec::new(),
        steady: false,
    };
    if let Some(definition) = definition {
        let set = new_set(world, region, &service, &definition, "PRIMARY");
        service.sets.push(set);
    }
    Ok(service)
}

pub(super) fn describe(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    let names = input.texts("services");
    if names.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if names.len() > 10 {
        return Err(invalid("Services cannot have more than 10 elements."));
    }
    let tags = input
        .texts("include")
        .iter()
        .any(|include| include == "TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match find(world, region, &cluster, &name) {
            Some(service) => services.push(shape(world, region, service, tags)),
            None => {
                let arn = world.arn("ecs", region, &format!("service/{cluster}/{}", last(&name)));
                failures.push(json!({"arn": arn, "reason": "MISSING"}));
            }
        }
    }
    Ok(Reply::Value(
        json!({"services": services, "failures": failures}),
    ))
}

pub(super) fn list(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    let wanted = |service: &&Service| {
        service.cluster == cluster
            // One that drains is no longer listed (Amazon ECS API, DeleteService).
            && service.status == "ACTIVE"
            && input
                .text("launchType")
                .is_none_or(|kind| kind == "FARGATE")
            && input
                .text("schedulingStrategy")
                .is_none_or(|strategy| strategy == "REPLICA")
    };
    let arns = world
        .at(region)
        .ecs
        .services
        .values()
        .filter(wanted)
        .map(|service| service.arn.clone());
    let (items, next) = page(input, keyed(arns), 10)?;
    Ok(Reply::Value(listing("serviceArns", json!(items), next)))
}

pub(super) fn update(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let mut service = active_service(world, region, input)?;
    if service.controller == Controller::CodeDeploy {
        refuse_what_code_deploy_moves(input)?;
    }
    NOT_HONOURED
        .iter()
        .try_for_each(|member| refuse(input, member))?;
    for member in ["placementConstraints", "placementStrategy"] {
        refuse(input, member)?;
    }
    if controller(input)?.is_some_and(|controller| controller != service.controller) {
        return Err(refused(
            "a change of the deployment controller; create the service anew",
        ));
    }
    if let Some(desired) = input.int("desiredCount") {
        if desired < 0 {
            return Err(invalid("Desired count can not be less than 0."));
        }
        service.desired = desired;
    }
    if let Some(grace) = input.int("healthCheckGracePeriodSeconds") {
        service.grace = grace;
    }
    if input
        .get("deploymentConfiguration")
        .is_some_and(|value| !value.is_null())
    {
        service.deployment_configuration = deployment_configuration(input, service.controller)?;
    }
    service.managed_tags = input
        .flag("enableECSManagedTags")
        .unwrap_or(service.managed_tags);
    service.execute_command = input
        .flag("enableExecuteCommand")
        .unwrap_or(service.execute_command);
    service.propagate = propagate(input)?.unwrap_or(service.propagate);
    if service.controller == Controller::Ecs {
        roll(world, region, &mut service, input)?;
    }
    service.steady = false;
    store(world, region, service.clone());
    tasks::rouse(world, region, &service.cluster, &service.name);
    Ok(Reply::Value(
        json!({"service": shape(world, region, &service, true)}),
    ))
}

/// Starts a rolling deployment where a member asks for one.
fn roll(
    world: &mut World,
    region: &str,
    service: &mut Service,
    input: &Value,
) -> Result<(), Fault> {
    let before = (
        service.definition.clone(),
        service.network.clone(),
        service.platform.clone(),
        service.balancers.clone(),
    );
    if let Some(name) = input.text("taskDefinition") {
        service.definition = active_definition(world, region, name)?;
    }
    if let Some(network) = input
        .get("networkConfiguration")
        .filter(|network| !network.is_null())
    {
        check_network(world, region, network)?;
        service.network = network.clone();
    }
    if input.text("platformVersion").is_some() {
        service.platform = platform(input)?;
    }
    if input
        .get("loadBalancers")
        .is_some_and(|value| !value.is_null())
    {
        service.balancers = check_balancers(world, region, input, Some(&service.definition))?;
    }
    let after = (
        service.definition.clone(),
        service.network.clone(),
        service.platform.clone(),
        service.balancers.clone(),
    );
    if before == after && input.flag("forceNewDeployment") != Some(true) {
        return Ok(());
    }
    for set in &mut service.sets {
        set.status = "ACTIVE".to_owned();
    }
    let set = new_set(world, region, service, &service.definition, "PRIMARY");
    service.sets.insert(0, set);
    Ok(())
}

fn refuse_what_code_deploy_moves(input: &Value) -> Result<(), Fault> {
    for (member, words) in CODE_DEPLOYS {
        let given = input
            .get(*member)
            .is_some_and(|value| !value.is_null() && *value != json!(false));
        if given {
            return Err(invalid(&format!(
                "Unable to update {words} on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."
            )));
        }
    }
    Ok(())
}

pub(super) fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    let name = input.text("service").unwrap_or_default();
    let service = find(world, region, &cluster, name).ok_or_else(no_service)?;
    let mut service = match service.status.as_str() {
        "INACTIVE" => return Err(no_service()),
        _ => service.clone(),
    };
    let force = input.flag("force").unwrap_or(false);
    if service.desired > 0 && !force {
        return Err(invalid(
            "The service cannot be stopped while the primary deployment is scaled above 0.",
        ));
    }
    service.status = "DRAINING".to_owned();
    service.desired = 0;
    for set in &mut service.sets {
        set.updated = world.now;
    }
    store(world, region, service.clone());
    tasks::rouse(world, region, &service.cluster, &service.name);
    Ok(Reply::Value(
        json!({"service": shape(world, region, &service, true)}),
    ))
}

// Task sets.

pub(super) fn create_task_set_call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    for member in ["serviceRegistries", "capacityProviderStrategy"] {
        refuse(input, member)?;
    }
    let service = active_service(world, region, input)?;
    let arn = create_task_set(world, region, &service.cluster, &service.name, input)?;
    let service = find(world, region, &service.cluster, &service.name).ok_or_else(no_service)?;
    let set = service.set(&arn).ok_or_else(no_set)?;
    Ok(Reply::Value(
        json!({"taskSet": set_shape(world, region, service, set, true)}),
    ))
}

/// Makes a task set from the input of `CreateTaskSet`; answers its ARN.
pub(crate) fn create_task_set(
    world: &mut World,
    region: &str,
    cluster: &str,
    name: &str,
    input: &Value,
) -> Result<String, Fault> {
    let mut service = find(world, region, cluster, name)
        .ok_or_else(no_service)?
        .clone();
    if service.controller == Controller::Ecs {
        return Err(by_task_sets());
    }
    let definition = active_definition(
        world,
        region,
        input.text("taskDefinition").unwrap_or_default(),
    )?;
    let network = input
        .get("networkConfiguration")
        .filter(|network| !network.is_null())
        .cloned();
    let network = network.unwrap_or_else(|| service.network.clone());
    check_network(world, region, &network)?;
    let balancers = match input.list("loadBalancers") {
        [] => service.balancers.clone(),
        _ => check_balancers(world, region, input, Some(&definition))?,
    };
    let scale = input
        .get("scale")
        .and_then(|scale| scale.get("value"))
        .and_then(Value::as_f64)
        .unwrap_or(100.0);
    if !(0.0..=100.0).contains(&scale) {
        return Err(invalid("The scale must be between 0 and 100 percent."));
    }
    let status = if service.sets.is_empty() {
        "PRIMARY"
    } else {
        "ACTIVE"
    };
    let mut set = new_set(world, region, &service, &definition, status);
    set.network = network;
    set.balancers = balancers;
    set.scale = scale;
    set.tags = tags_of(input)?;
    set.external = input.text("externalId").map(ToOwned::to_owned);
    set.started_by = input.text("startedBy").map(ToOwned::to_owned);
    if input.text("platformVersion").is_some() {
        set.platform = platform(input)?;
    }
    let arn = set.arn.clone();
    service.sets.push(set);
    service.steady = false;
    store(world, region, service);
    tasks::rouse(world, region, cluster, name);
    Ok(arn)
}

pub(super) fn describe_task_sets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let service = active_service(world, region, input)?;
    if service.controller == Controller::Ecs {
        return Err(by_task_sets());
    }
    let tags = input
        .texts("include")
        .iter()
        .any(|include| include == "TAGS");
    let names = input.texts("taskSets");
    let mut failures = Vec::new();
    let mut sets: Vec<&TaskSet> = service.sets.iter().filter(|_| names.is_empty()).collect();
    for name in &names {
        match service.set(name) {
            Some(set) => sets.push(set),
            None => failures.push(json!({"arn": name, "reason": "MISSING"})),
        }
    }
    let shapes: Vec<Value> = sets
        .into_iter()
        .map(|set| set_shape(world, region, &service, set, tags))
        .collect();
    Ok(Reply::Value(
        json!({"taskSets": shapes, "failures": failures}),
    ))
}

pub(super) fn update_primary(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let service = active_service(world, region, input)?;
    let name = input.text("primaryTaskSet").unwrap_or_default();
    let arn = service.set(name).ok_or_else(no_set)?.arn.clone();
    set_primary(world, region, &service.cluster, &service.name, &arn)?;
    let service = active_service(world, region, input)?;
    let set = service.set(&arn).ok_or_else(no_set)?;
    Ok(Reply::Value(
        json!({"taskSet": set_shape(world, region, &service, set, false)}),
    ))
}

/// Makes a task set the primary one; the service takes over its task definition, network and target group.
pub(crate) fn set_primary(
    world: &mut World,
    region: &str,
    cluster: &str,
    name: &str,
    arn: &str,
) -> Result<(), Fault> {
    let now = world.now;
    let service = find_mut(world, region, cluster, name).ok_or_else(no_service)?;
    if service.controller == Controller::Ecs {
        return Err(by_task_sets());
    }
    if service.set(arn).is_none_or(|set| set.status == "DRAINING") {
        return Err(no_set());
    }
    for set in &mut service.sets {
        let status = match set.status.as_str() {
            _ if set.arn == arn => "PRIMARY",
            "PRIMARY" => "ACTIVE",
            other => other,
        };
        if set.status != status {
            set.status = status.to_owned();
            set.updated = now;
        }
    }
    service.sets.sort_by_key(|set| set.status != "PRIMARY");
    if let Some(primary) = service.primary().cloned() {
        service.definition = primary.definition;
        service.network = primary.network;
        service.platform = primary.platform;
        service.balancers = primary.balancers;
    }
    Ok(())
}

pub(super) fn delete_task_set_call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let service = active_service(world, region, input)?;
    if service.controller == Controller::Ecs {
        return Err(by_task_sets());
    }
    let name = input.text("taskSet").unwrap_or_default();
    let set = service.set(name).ok_or_else(no_set)?;
    let force = input.flag("force").unwrap_or(false);
    if !force && set.scale > 0.0 && service.wanted(set) > 0 {
        return Err(invalid(
            "The task set can't be deleted while it is scaled above 0; use force.",
        ));
    }
    if set.status == "PRIMARY" && service.sets.iter().any(|set| set.status == "ACTIVE") {
        return Err(invalid(
            "The primary task set can't be deleted while there are other task sets.",
        ));
    }
    let arn = set.arn.clone();
    delete_task_set(world, region, &service.cluster, &service.name, &arn);
    let service = active_service(world, region, input)?;
    let set = service.set(&arn).ok_or_else(no_set)?;
    Ok(Reply::Value(
        json!({"taskSet": set_shape(world, region, &service, set, false)}),
    ))
}

/// Lets a task set drain; it is gone when its tasks are.
pub(crate) fn delete_task_set(
    world: &mut World,
    region: &str,
    cluster: &str,
    name: &str,
    arn: &str,
) {
    let now = world.now;
    let Some(service) = find_mut(world, region, cluster, name) else {
        return;
    };
    if let Some(set) = service.sets.iter_mut().find(|set| set.arn == arn) {
        set.status = "DRAINING".to_owned();
        set.updated = now;
    }
    tasks::rouse(world, region, cluster, name);
}

fn new_set(
    world: &mut World,
    region: &str,
    service: &Service,
    definition: &str,
    status: &str,
) -> TaskSet {
    let id = format!("ecs-svc/{}", digits(world));
    TaskSet {
        arn: world.arn(
            "ecs",
            region,
            &format!("task-set/{}/{}/{id}", service.cluster, service.name),
        ),
        id,
        external: None,
        started_by: None,
        status: status.to_owned(),
        definition: definition.to_owned(),
        scale: 100.0,
        created: world.now,
        updated: world.now,
        platform: service.platform.clone(),
        network: service.network.clone(),
        balancers: service.balancers.clone(),
        tags: BTreeMap::new(),
        steady: false,
        steady_since: world.now,
        failures: 0,
        retry_at: 0,
    }
}

/// Nineteen digits, as in the id of a task set.
fn digits(world: &mut World) -> String {
    let hex = world.hex(15);
    let number = u64::from_str_radix(&hex, 16).unwrap_or_default();
    format!(
        "{:019}",
        1_000_000_000_000_000_000 + number % 8_000_000_000_000_000_000
    )
}

// Finding and checking.

/// A service by name or ARN, unless it has been inactive for too long to be shown.
pub(crate) fn find<'a>(
    world: &'a World,
    region: &str,
    cluster: &str,
    name: &str,
) -> Option<&'a Service> {
    let service = world.regions.get(region)?.ecs.services.get(&format!(
        "{}/{}",
        last(cluster),
        last(name)
    ))?;
    service
        .ended
        .is_none_or(|at| world.now < at + MEMORY)
        .then_some(service)
}

/// The same, to be changed.
pub(crate) fn find_mut<'a>(
    world: &'a mut World,
    region: &str,
    cluster: &str,
    name: &str,
) -> Option<&'a mut Service> {
    find(world, region, cluster, name)?;
    world
        .at(region)
        .ecs
        .services
        .get_mut(&format!("{}/{}", last(cluster), last(name)))
}

fn active_service(world: &World, region: &str, input: &Value) -> Result<Service, Fault> {
    let cluster = active_cluster(world, region, input)?;
    let service = find(
        world,
        region,
        &cluster,
        input.text("service").unwrap_or_default(),
    )
    .ok_or_else(no_service)?;
    match service.status.as_str() {
        "ACTIVE" => Ok(service.clone()),
        _ => Err(Fault::new(
            "ServiceNotActiveException",
            "Service was not ACTIVE.",
        )),
    }
}

fn store(world: &mut World, region: &str, service: Service) {
    world.at(region).ecs.services.insert(service.key(), service);
}

pub(super) fn active_definition(world: &World, region: &str, name: &str) -> Result<String, Fault> {
    let definition = find_definition(world, region, name);
    let definition = definition.ok_or_else(|| super::client("TaskDefinition not found."))?;
    if definition.status != "ACTIVE" {
        return Err(super::client("TaskDefinition is inactive"));
    }
    let fargate = definition
        .content
        .texts("requiresCompatibilities")
        .iter()
        .any(|c| c == "FARGATE");
    match fargate {
        true => Ok(definition.arn.clone()),
        false => Err(invalid(
            "Task definition does not support launch_type FARGATE.",
        )),
    }
}

fn controller(input: &Value) -> Result<Option<Controller>, Fault> {
    match input
        .get("deploymentController")
        .and_then(|controller| controller.text("type"))
    {
        None => Ok(None),
        Some("ECS") => Ok(Some(Controller::Ecs)),
        Some("CODE_DEPLOY") => Ok(Some(Controller::CodeDeploy)),
        Some("EXTERNAL") => Ok(Some(Controller::External)),
        Some(other) => Err(invalid(&format!("Unknown deployment controller {other}."))),
    }
}

pub(super) fn platform(input: &Value) -> Result<String, Fault> {
    match input.text("platformVersion").unwrap_or("LATEST") {
        known @ ("LATEST" | "1.4.0" | "1.3.0") => Ok(known.to_owned()),
        other => Err(Fault::new(
            "PlatformUnknownException",
            format!("The platform version {other} does not exist."),
        )),
    }
}

pub(super) fn propagate(input: &Value) -> Result<Option<String>, Fault> {
    match input.text("propagateTags") {
        None => Ok(None),
        Some(known @ ("NONE" | "SERVICE" | "TASK_DEFINITION")) => Ok(Some(known.to_owned())),
        Some(other) => Err(invalid(&format!(
            "Unknown value {other} for propagateTags."
        ))),
    }
}

/// The deployment configuration with defaults; what the sandbox's rolling deployments don't honour is refused.
fn deployment_configuration(input: &Value, controller: Controller) -> Result<Value, Fault> {
    let given = input
        .get("deploymentConfiguration")
        .cloned()
        .unwrap_or_default();
    let strategy = given.text("strategy").unwrap_or("ROLLING");
    if strategy != "ROLLING" || !given.list("lifecycleHooks").is_empty() {
        return Err(refused(&format!(
            "deployment strategy {strategy} with hooks of its own; use CodeDeploy"
        )));
    }
    let enabled =
        |member: &str| given.get(member).and_then(|value| value.flag("enable")) == Some(true);
    if enabled("deploymentCircuitBreaker") || enabled("alarms") {
        return Err(refused(
            "a deployment circuit breaker or deployment alarms on a service",
        ));
    }
    let percent = |member: &str, default: i64| given.int(member).unwrap_or(default);
    let mut configuration = json!({
        "maximumPercent": percent("maximumPercent", 200),
        "minimumHealthyPercent": percent("minimumHealthyPercent", 100),
    });
    if controller == Controller::Ecs {
        configuration["deploymentCircuitBreaker"] = json!({"enable": false, "rollback": false});
        configuration["strategy"] = json!("ROLLING");
    }
    Ok(configuration)
}

pub(super) fn check_network(world: &World, region: &str, network: &Value) -> Result<(), Fault> {
    let Some(network) = network.get("awsvpcConfiguration") else {
        return Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    };
    let subnets = network.texts("subnets");
    if subnets.is_empty() || subnets.len() > 16 {
        return Err(invalid("subnets must have between 1 and 16 elements."));
    }
    if network.list("securityGroups").len() > 5 {
        return Err(invalid("securityGroups can not have more than 5 elements."));
    }
    if !["ENABLED", "DISABLED"].contains(&network.text("assignPublicIp").unwrap_or("DISABLED")) {
        return Err(invalid("assignPublicIp must be ENABLED or DISABLED."));
    }
    let mut vpcs = std::collections::BTreeSet::new();
    for subnet in subnets {
        let Some(facts) = ec2::subnet(world, region, &subnet) else {
            return Err(invalid(&format!(
                "Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist"
            )));
        };
        vpcs.insert(facts.vpc);
    }
    match vpcs.len() > 1 {
        true => Err(invalid("Subnets must all belong to the same VPC.")),
        false => Ok(()),
    }
}

/// The load balancers of an input: each target group exists, takes addresses, and hangs on a listener; each container exists
/// and maps its port.
fn check_balancers(
    world: &mut World,
    region: &str,
    input: &Value,
    definition: Option<&str>,
) -> Result<Vec<Balancer>, Fault> {
    let mut balancers = Vec::new();
    for item in input.list("loadBalancers") {
        for member in ["loadBalancerName", "advancedConfiguration"] {
            refuse(item, member)?;
        }
        let target_group = item.text("targetGroupArn").unwrap_or_default().to_owned();
        let container = item.text("containerName").unwrap_or_default().to_owned();
        let port = item.int("containerPort").unwrap_or_default();
        if target_group.is_empty() || container.is_empty() {
            return Err(invalid(
                "targetGroupArn, containerName and containerPort must be given for a load balancer.",
            ));
        }
        let known = definition.and_then(|arn| find_definition(world, region, arn));
        if let Some(known) = known {
            if known.container(&container).is_none() {
                return Err(invalid(&format!(
                    "The container {container} does not exist in the task definition."
                )));
            }
            if !u16::try_from(port).is_ok_and(|port| known.exposes(&container, port)) {
                return Err(invalid(&format!(
                    "The container {container} did not have a container port {port} defined."
                )));
            }
        }
        check_target_group(world, region, &target_group)?;
        balancers.push(Balancer {
            target_group,
            container,
            port: u16::try_from(port).unwrap_or_default(),
        });
    }
    Ok(balancers)
}

fn check_target_group(world: &mut World, region: &str, arn: &str) -> Result<(), Fault> {
    let found = ask(
        world,
        region,
        "elasticloadbalancing",
        "DescribeTargetGroups",
        json!({"TargetGroupArns": [arn]}),
    );
    let found = found
        .ok()
        .and_then(|answer| answer.list("TargetGroups").first().cloned());
    let Some(group) = found else {
        return Err(invalid(&format!(
            "Unable to describe target group {arn}: the target group does not exist."
        )));
    };
    if group.text("TargetType") != Some("ip") {
        return Err(invalid(&format!(
            "The provided target group {arn} has target type {}, which is incompatible with the awsvpc network mode specified in the task definition.",
            group.text("TargetType").unwrap_or("instance")
        )));
    }
    match group.list("LoadBalancerArns").is_empty() {
        true => Err(invalid(&format!(
            "The target group with targetGroupArn {arn} does not have an associated load balancer."
        ))),
        false => Ok(()),
    }
}

pub(super) fn refused(what: &str) -> Fault {
    Fault::new(
        "NotImplemented",
        format!("the ecspipe sandbox does not implement {what}"),
    )
    .status(501)
}

fn by_task_sets() -> Fault {
    let message = "Amazon ECS only supports task set management on services configured with external deployment controllers.";
    Fault::new("InvalidParameterException", message)
}

fn no_set() -> Fault {
    Fault::new(
        "TaskSetNotFoundException",
        "The specified task set wasn't found.",
    )
}

// Answers.

/// Running and pending tasks of a service, or of one of its sets.
pub(crate) fn counts(
    world: &World,
    region: &str,
    service: &Service,
    set: Option<&str>,
) -> (usize, usize) {
    let Some(state) = world.regions.get(region).map(|region| &region.ecs) else {
        return (0, 0);
    };
    let key = service.key();
    let tasks = || {
        state
            .tasks
            .values()
            .filter(|task| task.key() == key && set.is_none_or(|set| task.set == set))
    };
    let count = |wanted: fn(Status) -> bool| tasks().filter(|task| wanted(task.status)).count();
    (
        count(Status::counts_as_running),
        count(Status::counts_as_pending),
    )
}

pub(super) fn shape(world: &World, region: &str, service: &Service, tags: bool) -> Value {
    let (running, pending) = counts(world, region, service, None);
    let sets = || service.sets.iter();
    let mut shape = json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": world.arn("ecs", region, &format!("cluster/{}", service.cluster)),
        "loadBalancers": balancer_shapes(&service.balancers),
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": running,
        "pendingCount": pending,
        "launchType": "FARGATE",
        "platformVersion": service.platform,
        "platformFamily": "Linux",
        "taskDefinition": service.definition,
        "deploymentConfiguration": service.deployment_configuration,
        "deployments": [],
        "roleArn": world.arn("iam", region, "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"),
        "events": service.events.iter().map(event_shape).collect::<Vec<_>>(),
        "createdAt": seconds(service.created),
        "placementConstraints": [],
        "placementStrategy": [],
        "networkConfiguration": network_shape(&service.network),
        "healthCheckGracePeriodSeconds": service.grace,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": service.controller.name()},
        "createdBy": world.arn("iam", region, "root"),
        "enableECSManagedTags": service.managed_tags,
        "propagateTags": service.propagate,
        "enableExecuteCommand": service.execute_command,
    });
    if service.controller == Controller::Ecs {
        shape["deployments"] = sets()
            .map(|set| deployment_shape(world, region, service, set))
            .collect();
    } else {
        shape["taskSets"] = sets()
            .map(|set| set_shape(world, region, service, set, tags))
            .collect();
    }
    if tags {
        shape["tags"] = tag_list(&service.tags);
    }
    shape
}

fn balancer_shapes(balancers: &[Balancer]) -> Value {
    let shape = |balancer: &Balancer| json!({"targetGroupArn": balancer.target_group, "containerName": balancer.container, "containerPort": balancer.port});
    balancers.iter().map(shape).collect()
}

/// The network as given, with the default of the public address; an object even where there is none.
fn network_shape(network: &Value) -> Value {
    let mut shape = network.clone();
    match shape
        .get_mut("awsvpcConfiguration")
        .and_then(Value::as_object_mut)
    {
        Some(members) => {
            members.entry("securityGroups").or_insert_with(|| json!([]));
            members
                .entry("assignPublicIp")
                .or_insert_with(|| json!("DISABLED"));
            shape
        }
        None => json!({}),
    }
}

fn event_shape(event: &ServiceEvent) -> Value {
    json!({"id": event.id, "createdAt": seconds(event.at), "message": event.message})
}

pub(super) fn set_shape(
    world: &World,
    region: &str,
    service: &Service,
    set: &TaskSet,
    tags: bool,
) -> Value {
    let (running, pending) = counts(world, region, service, Some(&set.id));
    let mut shape = json!({
        "id": set.id,
        "taskSetArn": set.arn,
        "serviceArn": service.arn,
        "clusterArn": world.arn("ecs", region, &format!("cluster/{}", service.cluster)),
        "status": set.status,
        "taskDefinition": set.definition,
        "computedDesiredCount": service.wanted(set),
        "pendingCount": pending,
        "runningCount": running,
        "createdAt": seconds(set.created),
        "updatedAt": seconds(set.updated),
        "launchType": "FARGATE",
        "platformVersion": if set.platform == "LATEST" { "1.4.0" } else { &set.platform },
        "platformFamily": "Linux",
        "networkConfiguration": network_shape(&set.network),
        "loadBalancers": balancer_shapes(&set.balancers),
        "serviceRegistries": [],
        "scale": {"value": set.scale, "unit": "PERCENT"},
        "stabilityStatus": if set.steady { "STEADY_STATE" } else { "STABILIZING" },
        "stabilityStatusAt": seconds(set.steady_since),
        "tags": if tags { tag_list(&set.tags) } else { json!([]) },
    });
    for (member, value) in [
        ("externalId", &set.external),
        ("startedBy", &set.started_by),
    ] {
        if let Some(value) = value {
            shape[member] = json!(value);
        }
    }
    shape
}

fn deployment_shape(world: &World, region: &str, service: &Service, set: &TaskSet) -> Value {
    let (running, pending) = counts(world, region, service, Some(&set.id));
    let (state, words) = if set.steady {
        ("COMPLETED", "completed")
    } else {
        ("IN_PROGRESS", "in progress")
    };
    json!({
        "id": set.id,
        "status": set.status,
        "taskDefinition": set.definition,
        "desiredCount": service.wanted(set),
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": set.failures,
        "createdAt": seconds(set.created),
        "updatedAt": seconds(set.updated),
        "launchType": "FARGATE",
        "platformVersion": if set.platform == "LATEST" { "1.4.0" } else { &set.platform },
        "platformFamily": "Linux",
        "networkConfiguration": network_shape(&set.network),
        "rolloutState": state,
        "rolloutStateReason": format!("ECS deployment {} {words}.", set.id),
    })
}
