//! Task definitions: what `RegisterTaskDefinition` accepts (AWS.md §1.5 and §1.6), what AWS fills in, and how revisions
//! are found, listed, retired and deleted. Must not know services or tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{client, invalid, page, tag_list, tags_of};
use crate::clock::{Millis, seconds};
use crate::services::iam;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// All revisions of one family.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// The number of the newest revision ever; a deleted number isn't used again.
    pub newest: u64,
    /// The revisions that are kept, by number.
    pub revisions: BTreeMap<u64, TaskDefinition>,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// The ARN with family and revision.
    pub arn: String,
    /// `ACTIVE`, `INACTIVE` or `DELETE_IN_PROGRESS`.
    pub status: String,
    /// The input with AWS's defaults filled in.
    pub content: Value,
    /// When it was registered.
    pub registered: Millis,
    /// When it was deregistered.
    pub deregistered: Option<Millis>,
    /// When its deletion was asked for.
    pub deleted: Option<Millis>,
    /// Its tags.
    pub tags: Tags,
}

impl TaskDefinition {
    /// The container definitions.
    pub(crate) fn containers(&self) -> &[Value] {
        self.content.list("containerDefinitions")
    }

    /// A container by name.
    pub(crate) fn container(&self, name: &str) -> Option<&Value> {
        self.containers()
            .iter()
            .find(|container| container.text("name") == Some(name))
    }

    /// Whether the container maps the port.
    pub(crate) fn exposes(&self, container: &str, port: u16) -> bool {
        let ports = self
            .container(container)
            .map(|c| c.list("portMappings"))
            .unwrap_or_default();
        ports
            .iter()
            .any(|mapping| mapping.int("containerPort") == Some(i64::from(port)))
    }
}

/// How long a deleted revision is still shown: AWS needs "a short while" after nothing uses it any more.
const DELETION: Millis = 60_000;

pub(super) fn register_call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = register(world, &call.region, &call.input)?;
    let definition = find(world, &call.region, &arn).ok_or_else(missing)?;
    Ok(Reply::Value(
        json!({"taskDefinition": shape(world, definition), "tags": tag_list(&definition.tags)}),
    ))
}

/// Registers a new revision; answers its ARN.
pub(crate) fn register(world: &mut World, region: &str, input: &Value) -> Result<String, Fault> {
    let tags = tags_of(input)?;
    let content = checked(world, input)?;
    let family = content.text("family").unwrap_or_default().to_owned();
    let now = world.now;
    let revision = world
        .at(region)
        .ecs
        .families
        .get(&family)
        .map_or(0, |family| family.newest)
        + 1;
    let arn = world.arn(
        "ecs",
        region,
        &format!("task-definition/{family}:{revision}"),
    );
    let definition = TaskDefinition {
        arn: arn.clone(),
        status: "ACTIVE".to_owned(),
        content,
        registered: now,
        deregistered: None,
        deleted: None,
        tags,
    };
    let family = world.at(region).ecs.families.entry(family).or_default();
    family.newest = revision;
    family.revisions.insert(revision, definition);
    Ok(arn)
}

pub(super) fn describe(world: &World, call: &Call) -> Result<Reply, Fault> {
    let name = call
        .input
        .text("taskDefinition")
        .filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| client("TaskDefinition can not be blank."))?;
    let definition = find(world, &call.region, name).ok_or_else(missing)?;
    let tags = call
        .input
        .texts("include")
        .iter()
        .any(|include| include == "TAGS");
    let mut answer = json!({"taskDefinition": shape(world, definition)});
    if tags {
        answer["tags"] = tag_list(&definition.tags);
    }
    Ok(Reply::Value(answer))
}

pub(super) fn list(world: &World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let status = one_of(
        input,
        "status",
        &["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"],
    )?
    .unwrap_or("ACTIVE");
    let descending = one_of(input, "sort", &["ASC", "DESC"])? == Some("DESC");
    let families = families_of(world, &call.region).into_iter().flatten();
    // The prefix is a whole family name here, unlike in ListTaskDefinitionFamilies.
    let wanted = families.filter(|(name, _)| {
        input
            .text("familyPrefix")
            .is_none_or(|prefix| prefix == *name)
    });
    let mut arns: Vec<(String, String)> = Vec::new();
    for (name, family) in wanted {
        let shown = family
            .revisions
            .iter()
            .filter(|(_, d)| shown_status(world, d) == Some(status));
        arns.extend(shown.map(|(revision, definition)| {
            (
                listing_key(name, *revision, descending),
                definition.arn.clone(),
            )
        }));
    }
    arns.sort();
    let (items, next) = page(input, arns, 100)?;
    Ok(Reply::Value(with_next(
        json!({"taskDefinitionArns": items}),
        next,
    )))
}

/// Orders a listing by family, then by number. Descending, every character counts the other way round.
fn listing_key(family: &str, revision: u64, descending: bool) -> String {
    let key = format!("{family} {revision:020}");
    if !descending {
        return key;
    }
    let turned: String = key
        .bytes()
        .map(|byte| format!("{:02x}", 255 - byte))
        .collect();
    format!("{turned}~")
}

pub(super) fn list_families(world: &World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let status = one_of(input, "status", &["ACTIVE", "INACTIVE", "ALL"])?.unwrap_or("ACTIVE");
    let prefix = input.text("familyPrefix").unwrap_or_default();
    let families = families_of(world, &call.region).into_iter().flatten();
    let wanted = families.filter(|(name, family)| {
        let active = family.revisions.values().any(|d| d.status == "ACTIVE");
        let any = family
            .revisions
            .values()
            .any(|d| shown_status(world, d).is_some());
        let fits = match status {
            "ACTIVE" => active,
            "INACTIVE" => any && !active,
            _ => any,
        };
        fits && name.starts_with(prefix)
    });
    let names = wanted.map(|(name, _)| name.clone());
    let (items, next) = page(input, super::keyed(names), 100)?;
    Ok(Reply::Value(with_next(json!({"families": items}), next)))
}

pub(super) fn deregister(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = call
        .input
        .text("taskDefinition")
        .unwrap_or_default()
        .to_owned();
    if parse(&name).is_none_or(|(_, revision)| revision.is_none()) {
        return Err(invalid(
            "Invalid revision number. Task definition must include the revision.",
        ));
    }
    let now = world.now;
    let definition = find_mut(world, &call.region, &name)
        .ok_or_else(|| client("The specified task definition does not exist."))?;
    if definition.status == "ACTIVE" {
        definition.status = "INACTIVE".to_owned();
        definition.deregistered = Some(now);
    }
    let definition = definition.clone();
    Ok(Reply::Value(
        json!({"taskDefinition": shape(world, &definition)}),
    ))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("taskDefinitions");
    if names.is_empty() || names.len() > 10 {
        return Err(invalid(
            "The number of task definitions must be between 1 and 10.",
        ));
    }
    let now = world.now;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let Some(definition) = find_mut(world, &call.region, &name) else {
            failures.push(json!({"arn": name, "reason": "The specified task definition does not exist. Specify a valid account, family, revision and try again."}));
            continue;
        };
        if definition.status == "ACTIVE" {
            let reason = "The specified task definition is still in ACTIVE status. Please deregister the target and try again.";
            failures.push(json!({"arn": definition.arn, "reason": reason}));
            continue;
        }
        definition.status = "DELETE_IN_PROGRESS".to_owned();
        definition.deleted.get_or_insert(now);
        let definition = definition.clone();
        deleted.push(shape(world, &definition));
    }
    Ok(Reply::Value(
        json!({"taskDefinitions": deleted, "failures": failures}),
    ))
}

/// A revision by ARN, `family:revision`, or the newest active one of a `family`.
pub(crate) fn find<'a>(world: &'a World, region: &str, name: &str) -> Option<&'a TaskDefinition> {
    let (family, revision) = parse(name)?;
    let family = world.regions.get(region)?.ecs.families.get(&family)?;
    let definition = match revision {
        Some(revision) => family.revisions.get(&revision)?,
        None => family
            .revisions
            .values()
            .rev()
            .find(|definition| definition.status == "ACTIVE")?,
    };
    shown_status(world, definition).map(|_| definition)
}

fn find_mut<'a>(world: &'a mut World, region: &str, name: &str) -> Option<&'a mut TaskDefinition> {
    find(world, region, name)?;
    let (family, revision) = parse(name)?;
    let family = world.at(region).ecs.families.get_mut(&family)?;
    match revision {
        Some(revision) => family.revisions.get_mut(&revision),
        None => family
            .revisions
            .values_mut()
            .rev()
            .find(|definition| definition.status == "ACTIVE"),
    }
}

/// Tags of a revision, to read or to change.
pub(super) fn tags<'a>(world: &'a mut World, region: &str, arn: &str) -> Option<&'a mut Tags> {
    find_mut(world, region, arn).map(|definition| &mut definition.tags)
}

fn families_of<'a>(
    world: &'a World,
    region: &str,
) -> Option<impl Iterator<Item = (&'a String, &'a Family)>> {
    world
        .regions
        .get(region)
        .map(|region| region.ecs.families.iter())
}

/// The status at the present; `None` where the deletion is over. It isn't while a task or task set still uses the revision.
fn shown_status<'a>(world: &World, definition: &'a TaskDefinition) -> Option<&'a str> {
    let over = definition
        .deleted
        .is_some_and(|at| world.now >= at + DELETION);
    (!over || is_used(world, &definition.arn)).then_some(definition.status.as_str())
}

fn is_used(world: &World, arn: &str) -> bool {
    let state = arn
        .split(':')
        .nth(3)
        .and_then(|region| world.regions.get(region));
    let Some(state) = state.map(|region| &region.ecs) else {
        return false;
    };
    let mut sets = state.services.values().flat_map(|service| &service.sets);
    let mut tasks = state.tasks.values();
    sets.any(|set| set.definition == arn)
        || tasks.any(|task| task.definition == arn && task.is_shown(world.now))
}

/// Family and revision of an ARN, `family:revision` or `family`.
fn parse(name: &str) -> Option<(String, Option<u64>)> {
    let rest = match name.strip_prefix("arn:") {
        Some(_) => name.split_once(":task-definition/")?.1,
        None => name,
    };
    match rest.split_once(':') {
        Some((family, revision)) => Some((family.to_owned(), Some(revision.parse().ok()?))),
        None => Some((rest.to_owned(), None)),
    }
}

fn missing() -> Fault {
    client("Unable to describe task definition.")
}

fn shape(world: &World, definition: &TaskDefinition) -> Value {
    let mut shape = definition.content.clone();
    let revision = parse(&definition.arn).and_then(|(_, revision)| revision);
    shape["taskDefinitionArn"] = json!(definition.arn);
    shape["revision"] = json!(revision);
    shape["status"] = json!(definition.status);
    shape["registeredAt"] = seconds(definition.registered);
    shape["registeredBy"] = json!(world.arn("iam", "", "root"));
    if let Some(at) = definition.deregistered {
        shape["deregisteredAt"] = seconds(at);
    }
    if let Some(at) = definition.deleted {
        shape["deleteRequestedAt"] = seconds(at);
    }
    shape
}

fn with_next(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    answer
}

fn one_of<'a>(input: &'a Value, name: &str, allowed: &[&str]) -> Result<Option<&'a str>, Fault> {
    match input.text(name) {
        Some(text) if !allowed.contains(&text) => Err(invalid(&format!(
            "{name} must be one of {}, not {text}.",
            allowed.join(", ")
        ))),
        other => Ok(other),
    }
}

// What is registered: checked, and with AWS's defaults filled in.

/// The JSON type of a member.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    Flag,
    List,
    Object,
}

use Type::{Flag, List, Number, Object, Text};

/// Members of `RegisterTaskDefinition`.
const DEFINITION: &[(&str, Type)] = &[
    ("family", Text),
    ("taskRoleArn", Text),
    ("executionRoleArn", Text),
    ("networkMode", Text),
    ("containerDefinitions", List),
    ("volumes", List),
    ("placementConstraints", List),
    ("requiresCompatibilities", List),
    ("cpu", Text),
    ("memory", Text),
    ("tags", List),
    ("pidMode", Text),
    ("ipcMode", Text),
    ("proxyConfiguration", Object),
    ("inferenceAccelerators", List),
    ("ephemeralStorage", Object),
    ("runtimePlatform", Object),
    ("enableFaultInjection", Flag),
];

/// Members of a container definition.
const CONTAINER: &[(&str, Type)] = &[
    ("name", Text),
    ("image", Text),
    ("repositoryCredentials", Object),
    ("cpu", Number),
    ("memory", Number),
    ("memoryReservation", Number),
    ("links", List),
    ("portMappings", List),
    ("essential", Flag),
    ("restartPolicy", Object),
    ("entryPoint", List),
    ("command", List),
    ("environment", List),
    ("environmentFiles", List),
    ("mountPoints", List),
    ("volumesFrom", List),
    ("linuxParameters", Object),
    ("secrets", List),
    ("dependsOn", List),
    ("startTimeout", Number),
    ("stopTimeout", Number),
    ("versionConsistency", Text),
    ("hostname", Text),
    ("user", Text),
    ("workingDirectory", Text),
    ("disableNetworking", Flag),
    ("privileged", Flag),
    ("readonlyRootFilesystem", Flag),
    ("dnsServers", List),
    ("dnsSearchDomains", List),
    ("extraHosts", List),
    ("dockerSecurityOptions", List),
    ("interactive", Flag),
    ("pseudoTerminal", Flag),
    ("dockerLabels", Object),
    ("ulimits", List),
    ("logConfiguration", Object),
    ("healthCheck", Object),
    ("systemControls", List),
    ("resourceRequirements", List),
    ("firelensConfiguration", Object),
    ("credentialSpecs", List),
];

/// Members of the structures within, as far as their types matter here.
const PORT: &[(&str, Type)] = &[
    ("containerPort", Number),
    ("hostPort", Number),
    ("protocol", Text),
    ("name", Text),
    ("appProtocol", Text),
    ("containerPortRange", Text),
];
const PAIR: &[(&str, Type)] = &[("name", Text), ("value", Text)];
const SECRET: &[(&str, Type)] = &[("name", Text), ("valueFrom", Text)];
const LOG: &[(&str, Type)] = &[
    ("logDriver", Text),
    ("options", Object),
    ("secretOptions", List),
];
const CHECK: &[(&str, Type)] = &[
    ("command", List),
    ("interval", Number),
    ("timeout", Number),
    ("retries", Number),
    ("startPeriod", Number),
];
const PLATFORM: &[(&str, Type)] = &[("cpuArchitecture", Text), ("operatingSystemFamily", Text)];
const DEPENDENCY: &[(&str, Type)] = &[("containerName", Text), ("condition", Text)];

/// What Fargate refuses on a container (AWS.md §1.6).
const NOT_ON_FARGATE: &[&str] = &[
    "links",
    "hostname",
    "extraHosts",
    "dnsServers",
    "dnsSearchDomains",
    "dockerSecurityOptions",
];

/// Serialised, a task definition has at most 64 KiB.
const SIZE: usize = 64 * 1024;

fn checked(world: &World, input: &Value) -> Result<Value, Fault> {
    types(input, DEFINITION, "")?;
    let family = input
        .text("family")
        .filter(|f| !f.is_empty())
        .ok_or_else(|| client("Family should not be null or empty."))?;
    if !super::is_name(family) {
        return Err(client("Family contains invalid characters."));
    }
    if input.list("containerDefinitions").is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    if input.list("containerDefinitions").len() > 10 {
        return Err(client(
            "Too many containers: a task definition can have 10.",
        ));
    }
    if input.to_string().len() > SIZE {
        return Err(client("The task definition is larger than 64 KiB."));
    }
    one_of(input, "networkMode", &["bridge", "host", "awsvpc", "none"])?;
    one_of(input, "pidMode", &["host", "task"])?;
    one_of(input, "ipcMode", &["host", "task", "none"])?;
    let fargate = input
        .texts("requiresCompatibilities")
        .iter()
        .any(|c| c == "FARGATE");
    roles(world, input)?;
    let mut content = input.clone();
    if let Some(members) = content.as_object_mut() {
        members.remove("tags");
    }
    sizes(&mut content, fargate)?;
    containers(&mut content, fargate)?;
    if fargate {
        for_fargate(&content)?;
    }
    fill(&mut content, fargate);
    Ok(content)
}

fn types(value: &Value, members: &[(&str, Type)], at: &str) -> Result<(), Fault> {
    let wrong = |message: String| Err(Fault::new("SerializationException", message));
    let Some(object) = value.as_object() else {
        return wrong(format!("{at} must be an object"));
    };
    for (name, value) in object {
        let Some((_, kind)) = members.iter().find(|(known, _)| known == name) else {
            return Err(client(&format!(
                "Unknown parameter {at}{name} in the task definition."
            )));
        };
        let fits = match kind {
            Text => value.is_string(),
            Number => value.is_i64() || value.is_u64(),
            Flag => value.is_boolean(),
            List => value.is_array(),
            Object => value.is_object(),
        };
        if !fits && !value.is_null() {
            return wrong(format!("{at}{name} has the wrong type"));
        }
    }
    Ok(())
}

fn roles(world: &World, input: &Value) -> Result<(), Fault> {
    for member in ["executionRoleArn", "taskRoleArn"] {
        let Some(role) = input.text(member) else {
            continue;
        };
        let by_name = member == "taskRoleArn" && !role.starts_with("arn:");
        let in_account =
            role.contains(&format!(":iam::{}:role/", world.account)) && role.starts_with("arn:");
        if !by_name && !in_account {
            return Err(client("Role is not valid"));
        }
    }
    Ok(())
}

/// The task's cpu and memory as numbers of units and MiB; in the definition they become strings of digits.
fn sizes(content: &mut Value, fargate: bool) -> Result<(), Fault> {
    let cpu = content
        .text("cpu")
        .map(|text| quantity(text, "vcpu"))
        .transpose()?;
    let memory = content
        .text("memory")
        .map(|text| quantity(text, "gb"))
        .transpose()?;
    if let Some(cpu) = cpu {
        content["cpu"] = json!(cpu.to_string());
    }
    if let Some(memory) = memory {
        content["memory"] = json!(memory.to_string());
    }
    if !fargate {
        return Ok(());
    }
    let (Some(cpu), Some(memory)) = (cpu, memory) else {
        return Err(client(
            "Fargate requires that 'cpu' and 'memory' be defined at the task level.",
        ));
    };
    if is_fargate_size(cpu, memory) {
        return Ok(());
    }
    Err(client(&format!(
        "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
    )))
}

/// `1024`, `1 vCPU`, `2 GB`: units of a 1024th.
fn quantity(text: &str, unit: &str) -> Result<u64, Fault> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim().strip_suffix(unit);
    let parsed = match number {
        Some(number) => number
            .trim()
            .parse::<f64>()
            .ok()
            .map(|number| (number * 1024.0).round() as u64),
        None => lower.trim().parse().ok(),
    };
    parsed.ok_or_else(|| {
        client(&format!(
            "Invalid setting for container. The value '{text}' is not a size."
        ))
    })
}

/// AWS.md §1.5.
pub(super) fn is_fargate_size(cpu: u64, memory: u64) -> bool {
    let stepped = |from: u64, to: u64, step: u64| {
        (from..=to).contains(&memory) && (memory - from).is_multiple_of(step)
    };
    match cpu {
        256 => matches!(memory, 512 | 1024 | 2048),
        512 => stepped(1024, 4096, 1024),
        1024 => stepped(2048, 8192, 1024),
        2048 => stepped(4096, 16_384, 1024),
        4096 => stepped(8192, 30_720, 1024),
        8192 => stepped(16_384, 61_440, 4096),
        16_384 => stepped(32_768, 122_880, 8192),
        32_768 => matches!(memory, 61_440 | 122_880 | 249_856),
        _ => false,
    }
}

fn containers(content: &mut Value, fargate: bool) -> Result<(), Fault> {
    let awsvpc = content.text("networkMode") == Some("awsvpc");
    let (task_cpu, task_memory) = (content.int("cpu"), content.int("memory"));
    let empty = Vec::new();
    let definitions = content
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for container in definitions {
        one_container(container, awsvpc, fargate)?;
        if !names.insert(container.text("name").unwrap_or_default()) {
            return Err(client("Container names must be unique."));
        }
        for mapping in container.list("portMappings") {
            let port = mapping.int("containerPort").unwrap_or_default();
            let protocol = mapping.text("protocol").unwrap_or("tcp");
            if awsvpc && !ports.insert((port, protocol)) {
                return Err(client(
                    "When networkMode=awsvpc, container ports must be unique within the task definition.",
                ));
            }
        }
    }
    if !definitions
        .iter()
        .any(|container| container.flag("essential").unwrap_or(true))
    {
        return Err(client(
            "At least one container in the task definition must be essential.",
        ));
    }
    let sum = |member: &str| {
        definitions
            .iter()
            .filter_map(|c| c.int(member))
            .sum::<i64>()
    };
    if task_cpu.is_some_and(|cpu| sum("cpu") > cpu) {
        return Err(client(
            "The sum of the containers' cpu exceeds the task's cpu.",
        ));
    }
    if task_memory.is_some_and(|memory| sum("memory") > memory) {
        return Err(client(
            "The sum of the containers' memory exceeds the task's memory.",
        ));
    }
    dependencies(definitions)?;
    let volumes: Vec<&str> = content
        .list("volumes")
        .iter()
        .filter_map(|volume| volume.text("name"))
        .collect();
    let mounts = definitions
        .iter()
        .flat_map(|container| container.list("mountPoints"));
    for mount in mounts {
        let source = mount.text("sourceVolume").unwrap_or_default();
        if !volumes.contains(&source) {
            return Err(client(&format!("Unknown volume '{source}'.")));
        }
    }
    Ok(())
}

fn one_container(container: &Value, awsvpc: bool, fargate: bool) -> Result<(), Fault> {
    types(container, CONTAINER, "containerDefinitions.")?;
    let name = container.text("name").unwrap_or_default();
    if !super::is_name(name) {
        return Err(client(
            "Container name is invalid: it has 1 to 255 letters, digits, hyphens and underscores.",
        ));
    }
    image(container.text("image").unwrap_or_default())?;
    if !fargate
        && container
            .int("memory")
            .or_else(|| container.int("memoryReservation"))
            .is_none()
    {
        return Err(client(&format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if let (Some(reservation), Some(memory)) =
        (container.int("memoryReservation"), container.int("memory"))
        && reservation > memory
    {
        return Err(client(&format!(
            "Invalid setting for container '{name}'. 'memoryReservation' must be less than 'memory'."
        )));
    }
    for mapping in container.list("portMappings") {
        port_mapping(mapping, awsvpc)?;
    }
    variables(container, name)?;
    if let Some(check) = container
        .get("healthCheck")
        .filter(|check| !check.is_null())
    {
        health_check(check)?;
    }
    if let Some(log) = container
        .get("logConfiguration")
        .filter(|log| !log.is_null())
    {
        log_configuration(log, fargate)?;
    }
    Ok(())
}

fn image(image: &str) -> Result<(), Fault> {
    if image.is_empty() {
        return Err(client("Container.image should not be null or empty."));
    }
    let (repository, digest) = match image.split_once('@') {
        Some((repository, digest)) => (repository, Some(digest)),
        None => (image, None),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_:./#".contains(c);
    if repository.len() > 255 || !repository.chars().all(legal) {
        return Err(client("Container.image contains invalid characters."));
    }
    let is_digest = |digest: &str| {
        digest
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(client("Container.image contains an invalid digest."));
    }
    Ok(())
}

fn port_mapping(mapping: &Value, awsvpc: bool) -> Result<(), Fault> {
    types(mapping, PORT, "containerDefinitions.portMappings.")?;
    one_of(mapping, "protocol", &["tcp", "udp"])?;
    one_of(mapping, "appProtocol", &["http", "http2", "grpc"])?;
    let port = mapping.int("containerPort");
    if port.is_none() && mapping.text("containerPortRange").is_none() {
        return Err(client(
            "Container port must be specified in a port mapping.",
        ));
    }
    if port.is_some_and(|port| !(1..=65_535).contains(&port)) {
        return Err(client("Container port must be between 1 and 65535."));
    }
    let host = mapping.int("hostPort").filter(|host| *host != 0);
    if awsvpc && host.is_some() && host != port {
        return Err(client(
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ));
    }
    Ok(())
}

fn variables(container: &Value, name: &str) -> Result<(), Fault> {
    let mut plain = BTreeSet::new();
    for pair in container.list("environment") {
        types(pair, PAIR, "containerDefinitions.environment.")?;
        plain.insert(pair.text("name").unwrap_or_default());
    }
    for secret in container.list("secrets") {
        types(secret, SECRET, "containerDefinitions.secrets.")?;
        if secret.text("valueFrom").is_none_or(str::is_empty) {
            return Err(client(&format!(
                "Invalid setting for container '{name}'. A secret needs 'valueFrom'."
            )));
        }
        if plain.contains(secret.text("name").unwrap_or_default()) {
            return Err(client(
                "The secret name must be unique and not shared with any new or existing environment variables set on the container.",
            ));
        }
    }
    Ok(())
}

fn health_check(check: &Value) -> Result<(), Fault> {
    types(check, CHECK, "containerDefinitions.healthCheck.")?;
    let command = check.texts("command");
    if !command
        .first()
        .is_some_and(|first| ["CMD", "CMD-SHELL", "NONE"].contains(&first.as_str()))
    {
        return Err(client(
            "The health check's command must start with CMD, CMD-SHELL or NONE.",
        ));
    }
    for (member, range) in [
        ("interval", 5..=300),
        ("timeout", 2..=60),
        ("retries", 1..=10),
        ("startPeriod", 0..=300),
    ] {
        if check
            .int(member)
            .is_some_and(|value| !range.contains(&value))
        {
            return Err(client(&format!(
                "The health check's {member} must be between {} and {}.",
                range.start(),
                range.end()
            )));
        }
    }
    Ok(())
}

fn log_configuration(log: &Value, fargate: bool) -> Result<(), Fault> {
    types(log, LOG, "containerDefinitions.logConfiguration.")?;
    let driver = log.text("logDriver").unwrap_or_default();
    if fargate && !["awslogs", "splunk", "awsfirelens"].contains(&driver) {
        return Err(client(&format!(
            "Fargate task definition does not support log driver {driver}."
        )));
    }
    one_of(
        log,
        "logDriver",
        &[
            "json-file",
            "syslog",
            "journald",
            "gelf",
            "fluentd",
            "awslogs",
            "splunk",
            "awsfirelens",
        ],
    )?;
    if driver != "awslogs" {
        return Ok(());
    }
    let options = log.get("options").cloned().unwrap_or_default();
    let mut needed = vec!["awslogs-group", "awslogs-region"];
    if fargate {
        needed.push("awslogs-stream-prefix");
    }
    for option in needed {
        if options.text(option).is_none_or(str::is_empty) {
            return Err(client(&format!(
                "Log driver awslogs requires options: {option}."
            )));
        }
    }
    Ok(())
}

fn dependencies(containers: &[Value]) -> Result<(), Fault> {
    let name = |container: &Value| container.text("name").unwrap_or_default().to_owned();
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in containers {
        for dependency in container.list("dependsOn") {
            types(dependency, DEPENDENCY, "containerDefinitions.dependsOn.")?;
            one_of(
                dependency,
                "condition",
                &["START", "COMPLETE", "SUCCESS", "HEALTHY"],
            )?;
            let on = dependency.text("containerName").unwrap_or_default();
            let target = containers
                .iter()
                .find(|container| container.text("name") == Some(on));
            let target = target.ok_or_else(|| {
                client(&format!(
                    "Container '{}' depends on unknown container '{on}'.",
                    name(container)
                ))
            })?;
            let condition = dependency.text("condition").unwrap_or_default();
            let essential = target.flag("essential").unwrap_or(true);
            if matches!(condition, "COMPLETE" | "SUCCESS") && essential {
                return Err(client(&format!(
                    "A container can't wait for the end of the essential container '{on}'."
                )));
            }
            if condition == "HEALTHY" && target.get("healthCheck").is_none_or(Value::is_null) {
                return Err(client(&format!(
                    "Container '{on}' has no health check to wait for."
                )));
            }
            edges
                .entry(name(container))
                .or_default()
                .push(on.to_owned());
        }
    }
    // What depends only on what is settled is settled; where nothing more settles, there is a cycle.
    let mut settled: BTreeSet<String> = BTreeSet::new();
    loop {
        let ready = |c: &&Value| {
            edges
                .get(&name(c))
                .is_none_or(|on| on.iter().all(|on| settled.contains(on)))
        };
        let next: BTreeSet<String> = containers.iter().filter(ready).map(name).collect();
        if next.len() == settled.len() {
            break;
        }
        settled = next;
    }
    match settled.len() == containers.len() {
        true => Ok(()),
        false => Err(client("There is a cycle in the containers' dependencies.")),
    }
}

fn for_fargate(content: &Value) -> Result<(), Fault> {
    if content.text("networkMode") != Some("awsvpc") {
        return Err(client("Fargate only supports network mode 'awsvpc'."));
    }
    if content.text("pidMode") == Some("host") || content.text("ipcMode").is_some() {
        return Err(client(
            "Tasks using the Fargate launch type do not support pidMode 'host' nor ipcMode.",
        ));
    }
    if !content.list("placementConstraints").is_empty()
        || !content.list("inferenceAccelerators").is_empty()
    {
        return Err(client(
            "Tasks using the Fargate launch type do not support placement constraints nor accelerators.",
        ));
    }
    if let Some(storage) = content
        .get("ephemeralStorage")
        .filter(|storage| !storage.is_null())
        && storage
            .int("sizeInGiB")
            .is_none_or(|size| !(21..=200).contains(&size))
    {
        return Err(client(
            "ephemeralStorage.sizeInGiB must be between 21 and 200.",
        ));
    }
    if let Some(platform) = content
        .get("runtimePlatform")
        .filter(|platform| !platform.is_null())
    {
        types(platform, PLATFORM, "runtimePlatform.")?;
        one_of(platform, "cpuArchitecture", &["X86_64", "ARM64"])?;
        let family = platform.text("operatingSystemFamily").unwrap_or("LINUX");
        if family != "LINUX" && !family.starts_with("WINDOWS_SERVER_") {
            return Err(client(&format!(
                "Unknown operating system family {family}."
            )));
        }
    }
    for volume in content.list("volumes") {
        let host = volume
            .get("host")
            .and_then(|host| host.get("sourcePath"))
            .is_some();
        if host
            || volume
                .get("dockerVolumeConfiguration")
                .is_some_and(|docker| !docker.is_null())
        {
            return Err(client(
                "Fargate compatible task definitions do not support host paths nor Docker volumes.",
            ));
        }
    }
    content
        .list("containerDefinitions")
        .iter()
        .try_for_each(|container| container_on_fargate(content, container))
}

fn container_on_fargate(content: &Value, container: &Value) -> Result<(), Fault> {
    let name = container.text("name").unwrap_or_default();
    if container.flag("privileged") == Some(true) {
        return Err(client(
            "Fargate compatible task definitions do not support privileged containers.",
        ));
    }
    for member in NOT_ON_FARGATE {
        let given = container
            .get(*member)
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|list| !list.is_empty()));
        if given {
            return Err(client(&format!(
                "Fargate compatible task definitions do not support {member} (container '{name}')."
            )));
        }
    }
    if container
        .list("resourceRequirements")
        .iter()
        .any(|requirement| requirement.text("type") == Some("GPU"))
    {
        return Err(client(
            "Fargate compatible task definitions do not support GPU resources.",
        ));
    }
    if let Some(linux) = container
        .get("linuxParameters")
        .filter(|linux| !linux.is_null())
    {
        linux_parameters(linux)?;
    }
    for limit in container.list("ulimits") {
        if limit.text("name") != Some("nofile") {
            return Err(client(
                "Fargate compatible task definitions support only the nofile ulimit.",
            ));
        }
    }
    for (member, range) in [("startTimeout", 2..=120), ("stopTimeout", 0..=120)] {
        if container
            .int(member)
            .is_some_and(|value| !range.contains(&value))
        {
            return Err(client(&format!(
                "{member} must be between {} and {} on Fargate.",
                range.start(),
                range.end()
            )));
        }
    }
    if content.text("executionRoleArn").is_some() {
        return Ok(());
    }
    let driver = container
        .get("logConfiguration")
        .and_then(|log| log.text("logDriver"));
    let need = match driver {
        Some(driver @ ("awslogs" | "splunk")) => Some(format!("log driver {driver}")),
        _ if container.text("image").is_some_and(is_private) => Some("ECR images".to_owned()),
        _ if !container.list("secrets").is_empty() => Some("secrets".to_owned()),
        _ => None,
    };
    match need {
        Some(what) => Err(client(&format!(
            "Fargate requires task definition to have execution role ARN to support {what}."
        ))),
        None => Ok(()),
    }
}

fn linux_parameters(linux: &Value) -> Result<(), Fault> {
    for member in [
        "devices",
        "tmpfs",
        "sharedMemorySize",
        "maxSwap",
        "swappiness",
    ] {
        let given = linux
            .get(member)
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|list| !list.is_empty()));
        if given {
            return Err(client(&format!(
                "Fargate compatible task definitions do not support {member}."
            )));
        }
    }
    let added = linux
        .get("capabilities")
        .map(|c| c.texts("add"))
        .unwrap_or_default();
    match added.iter().find(|capability| *capability != "SYS_PTRACE") {
        Some(capability) => Err(client(&format!(
            "Fargate compatible task definitions can't add the capability {capability}."
        ))),
        None => Ok(()),
    }
}

/// Whether an image is of a private ECR registry.
fn is_private(image: &str) -> bool {
    image.contains(".dkr.ecr.")
}

/// What AWS adds to the input: the members that look like drift when a revision is compared with a file.
fn fill(content: &mut Value, fargate: bool) {
    let containers = content
        .get_mut("containerDefinitions")
        .and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(members) = container.as_object_mut() {
            fill_container(members);
        }
    }
    let mode = content.text("networkMode").map(ToOwned::to_owned);
    let Some(members) = content.as_object_mut() else {
        return;
    };
    members.entry("volumes").or_insert_with(|| json!([]));
    members
        .entry("placementConstraints")
        .or_insert_with(|| json!([]));
    let compatibilities = if fargate || mode.as_deref() == Some("awsvpc") {
        json!(["EC2", "FARGATE"])
    } else {
        json!(["EC2"])
    };
    members.insert("compatibilities".to_owned(), compatibilities);
    members.insert("requiresAttributes".to_owned(), json!(attributes(members)));
}

fn fill_container(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    members.entry("cpu").or_insert_with(|| json!(0));
    members.entry("essential").or_insert_with(|| json!(true));
    for list in [
        "portMappings",
        "environment",
        "mountPoints",
        "volumesFrom",
        "systemControls",
    ] {
        members.entry(list).or_insert_with(|| json!([]));
    }
    let mappings = members
        .get_mut("portMappings")
        .and_then(Value::as_array_mut);
    for mapping in mappings.into_iter().flatten() {
        let port = mapping.get("containerPort").cloned();
        if let (Some(mapping), Some(port)) = (mapping.as_object_mut(), port) {
            mapping.entry("hostPort").or_insert(port);
            mapping.entry("protocol").or_insert_with(|| json!("tcp"));
        }
    }
    if let Some(check) = members
        .get_mut("healthCheck")
        .and_then(Value::as_object_mut)
    {
        for (member, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            check.entry(member).or_insert_with(|| json!(default));
        }
    }
}

/// The abilities that an agent must have for the definition, as far as these containers ask for any.
fn attributes(members: &Map<String, Value>) -> Vec<Value> {
    let definition = Value::Object(members.clone());
    let containers = definition.list("containerDefinitions");
    let logs = containers.iter().any(|c| {
        c.get("logConfiguration")
            .and_then(|log| log.text("logDriver"))
            == Some("awslogs")
    });
    let private = containers
        .iter()
        .any(|c| c.text("image").is_some_and(is_private));
    let mut names: BTreeSet<&str> =
        BTreeSet::from(["com.amazonaws.ecs.capability.docker-remote-api.1.18"]);
    if logs {
        names.extend([
            "com.amazonaws.ecs.capability.logging-driver.awslogs",
            "ecs.capability.execution-role-awslogs",
        ]);
    }
    if private {
        names.extend([
            "com.amazonaws.ecs.capability.ecr-auth",
            "ecs.capability.execution-role-ecr-pull",
        ]);
    }
    if definition.text("networkMode") == Some("awsvpc") {
        names.insert("ecs.capability.task-eni");
    }
    if definition.text("taskRoleArn").is_some() {
        names.insert("com.amazonaws.ecs.capability.task-iam-role");
    }
    names
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect()
}

/// Whether ECS can start a task of the definition with its roles by now; the error is what a service event says.
/// `source` is the ARN that the task will have.
pub(crate) fn roles_ready(
    world: &World,
    definition: &TaskDefinition,
    source: &str,
) -> Result<(), String> {
    for member in ["executionRoleArn", "taskRoleArn"] {
        let Some(role) = definition
            .content
            .text(member)
            .filter(|role| role.starts_with("arn:"))
        else {
            continue;
        };
        if iam::can_assume(world, role, "ecs-tasks.amazonaws.com", source).is_err() {
            return Err(format!(
                "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
            ));
        }
    }
    Ok(())
}
