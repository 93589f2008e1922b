//! Tasks outside services, and commands in running ones: RunTask and ExecuteCommand. Must not move a task: [`crate::tasks`] does.

use serde_json::{Value, json};

use super::service::{active_definition, check_network, platform, propagate};
use super::{
    active_cluster, client, find_definition, invalid, last, refuse, roles_ready, tags_of,
    task_shape,
};
use crate::iam::acting::Actor;
use crate::services::ecs::TaskDefinition;
use crate::tasks::{self, New, Run, Status, Task, lone};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// What RunTask takes on AWS and the sandbox does not honour.
const NOT_HONOURED: [&str; 4] = [
    "capacityProviderStrategy",
    "placementConstraints",
    "placementStrategy",
    "volumeConfigurations",
];
/// How many tasks one call starts at the most.
const MOST: i64 = 10;
/// What the agent of ECS Exec in a task needs of its role.
const CHANNELS: [&str; 4] = [
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

pub(super) fn run_task(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    NOT_HONOURED
        .iter()
        .try_for_each(|member| refuse(input, member))?;
    if let Some(known) = repeated(world, region, input)? {
        return Ok(answer(world, region, &known));
    }
    let launch = input.text("launchType").unwrap_or("EC2");
    if launch != "FARGATE" {
        return Err(super::service::refused(&format!(
            "launch type {launch}; give launchType FARGATE"
        )));
    }
    let count = input.int("count").unwrap_or(1);
    if !(1..=MOST).contains(&count) {
        return Err(invalid("count must be between 1 and 10."));
    }
    platform(input)?;
    let name = input.text("taskDefinition").unwrap_or_default();
    let arn = active_definition(world, region, name)?;
    let definition = find_definition(world, region, &arn)
        .cloned()
        .ok_or_else(|| client("TaskDefinition not found."))?;
    let network = input
        .get("networkConfiguration")
        .cloned()
        .unwrap_or_default();
    check_network(world, region, &network)?;
    let run = run_of(input, &definition)?;
    let tags = tags(input, &cluster, &definition)?;
    let source = world.arn("ecs", region, &format!("task/{cluster}/*"));
    let count = usize::try_from(count).unwrap_or(1);
    roles_ready(world, &definition, &source).map_err(|why| client(&why))?;
    tasks::find_room(world, region, &definition, count).map_err(|why| client(&why))?;
    let network = network
        .get("awsvpcConfiguration")
        .cloned()
        .unwrap_or_default();
    let subnets = network.texts("subnets");
    let mut ids = Vec::new();
    for number in 0..count {
        let new = New {
            cluster: cluster.clone(),
            service: String::new(),
            set: String::new(),
            definition: arn.clone(),
            subnet: subnets[number % subnets.len()].clone(),
            groups: network.texts("securityGroups"),
            tags: tags.clone(),
            execute_command: input.flag("enableExecuteCommand").unwrap_or(false),
            run: Some(run.clone()),
        };
        ids.push(tasks::create(world, region, new).map_err(|why| client(&why))?);
    }
    if let Some(token) = input.text("clientToken") {
        let runs = &mut world.at(region).ecs.runs;
        runs.insert(token.to_owned(), (input.clone(), ids.clone()));
    }
    lone::set_out(world, region, &cluster);
    Ok(answer(world, region, &ids))
}

/// The tasks that a call with the same token has started already.
fn repeated(world: &World, region: &str, input: &Value) -> Result<Option<Vec<String>>, Fault> {
    let Some(token) = input.text("clientToken") else {
        return Ok(None);
    };
    let known = world
        .regions
        .get(region)
        .and_then(|region| region.ecs.runs.get(token));
    match known {
        None => Ok(None),
        Some((before, ids)) if before == input => Ok(Some(ids.clone())),
        Some(_) => Err(Fault::new(
            "ConflictException",
            "The client token was used with other parameters.",
        )),
    }
}

fn answer(world: &World, region: &str, ids: &[String]) -> Reply {
    let found = world.regions.get(region).map(|region| &region.ecs.tasks);
    let tasks = ids.iter().filter_map(|id| found?.get(id));
    let shapes: Vec<Value> = tasks
        .map(|task| task_shape(world, region, task, true))
        .collect();
    Reply::Value(json!({"tasks": shapes, "failures": []}))
}

fn run_of(input: &Value, definition: &TaskDefinition) -> Result<Run, Fault> {
    let started_by = input.text("startedBy").map(ToOwned::to_owned);
    if started_by
        .as_ref()
        .is_some_and(|by| by.chars().count() > 128)
    {
        return Err(invalid("startedBy must have at most 128 characters."));
    }
    let overrides = input.get("overrides").cloned().unwrap_or_else(|| json!({}));
    for member in ["executionRoleArn", "taskRoleArn"] {
        refuse(&overrides, member)?;
    }
    for one in overrides.list("containerOverrides") {
        let name = one.text("name").unwrap_or_default();
        if definition.container(name).is_none() {
            return Err(invalid(&format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    let family = definition.content.text("family").unwrap_or_default();
    Ok(Run {
        group: input
            .text("group")
            .map_or_else(|| format!("family:{family}"), ToOwned::to_owned),
        started_by,
        overrides,
    })
}

fn tags(input: &Value, cluster: &str, definition: &TaskDefinition) -> Result<Tags, Fault> {
    let mut tags = match propagate(input)?.as_deref() {
        Some("TASK_DEFINITION") => definition.tags.clone(),
        Some("SERVICE") => return Err(invalid("A task outside a service has no service's tags.")),
        _ => Tags::new(),
    };
    tags.extend(tags_of(input)?);
    if input.flag("enableECSManagedTags") == Some(true) {
        tags.insert("aws:ecs:clusterName".to_owned(), cluster.to_owned());
    }
    Ok(tags)
}

/// Opens a session in a container. Nobody is at its other end: the sandbox runs no containers.
pub(super) fn execute_command(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let cluster = active_cluster(world, region, input)?;
    if input.text("command").unwrap_or_default().is_empty() {
        return Err(invalid("Command cannot be empty."));
    }
    if input.flag("interactive") != Some(true) {
        return Err(invalid("Interactive is the only mode supported currently."));
    }
    let id = last(input.text("task").unwrap_or_default());
    let now = world.now;
    let task = world
        .regions
        .get(region)
        .and_then(|region| region.ecs.tasks.get(id))
        .filter(|task| task.cluster == cluster && task.is_shown(now))
        .ok_or_else(|| invalid("The referenced task was not found."))?
        .clone();
    let definition = find_definition(world, region, &task.definition);
    let containers = definition
        .map(TaskDefinition::containers)
        .unwrap_or_default();
    let name = match (input.text("container"), containers) {
        (Some(name), _) => name,
        (None, [only]) => only.text("name").unwrap_or_default(),
        (None, _) => {
            return Err(invalid(
                "A container name is required, since the task has more than one container.",
            ));
        }
    };
    if !containers
        .iter()
        .any(|known| known.text("name") == Some(name))
    {
        return Err(invalid(&format!(
            "The container {name} is not in the task."
        )));
    }
    match agent(world, region, &task) {
        Agent::Running => {}
        Agent::Absent => {
            return Err(invalid(
                "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn’t running. Wait and try again or run a new task with execute command enabled and try again.",
            ));
        }
        Agent::Disconnected => {
            return Err(Fault::new(
                "TargetNotConnectedException",
                "The execute command failed due to an internal error. Try again later.",
            ));
        }
    }
    let container = format!(
        "container/{cluster}/{}/{}",
        task.id,
        task.container_id(name)
    );
    let (name, container) = (name.to_owned(), world.arn("ecs", region, &container));
    let session = format!("ecs-execute-command-{}", &world.hex(17));
    let address = format!(
        "wss://ssmmessages.{region}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe"
    );
    Ok(Reply::Value(json!({
        "clusterArn": world.arn("ecs", region, &format!("cluster/{cluster}")),
        "containerArn": container,
        "containerName": name,
        "interactive": true,
        "session": {"sessionId": session, "streamUrl": address, "tokenValue": world.hex(64)},
        "taskArn": task.arn,
    })))
}

/// The agent of ECS Exec in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    /// Commands can be executed.
    Running,
    /// The task has none, or its containers don't run.
    Absent,
    /// The task's role doesn't let it open its channels.
    Disconnected,
}

/// How the agent of a task stands.
pub(super) fn agent(world: &World, region: &str, task: &Task) -> Agent {
    if !task.execute_command || task.status != Status::Running {
        return Agent::Absent;
    }
    let definition = find_definition(world, region, &task.definition);
    let role = definition.and_then(|definition| definition.content.text("taskRoleArn"));
    let service = "ecs-tasks.amazonaws.com";
    let actor =
        role.and_then(|role| Actor::assume(world, region, role, service, &task.arn, &task.id).ok());
    let opens = |actor: &Actor| {
        let mut channels = CHANNELS.iter();
        channels.all(|action| actor.needs(world, action, "*").is_ok())
    };
    match actor.is_some_and(|actor| opens(&actor)) {
        true => Agent::Running,
        false => Agent::Disconnected,
    }
}

#[cfg(test)]
mod tests;
