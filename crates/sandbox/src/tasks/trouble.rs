//! What is wrong with a task: what its images are dialled or labelled to suffer, and an image that is for another processor. Must not
//! stop a task.

use serde_json::Value;

use super::{Culprit, Status, Task};
use crate::clock::Millis;
use crate::faults::{self, RunEnd, TaskFault, Trouble, Unpulled};
use crate::runtime::Image;
use crate::services::ecs::{self, TaskDefinition};
use crate::wire::Input as _;
use crate::world::World;

/// A container that ends its task by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    /// When.
    pub(super) at: Millis,
    pub(super) culprit: Culprit,
    /// What its log says last.
    pub(super) log: Vec<String>,
}

/// Why an image can't be pulled, in the words of a Fargate task's `stoppedReason`.
pub(super) fn cannot_pull(
    world: &World,
    region: &str,
    task: &Task,
    container: &Value,
) -> Option<String> {
    let Some(Trouble::CannotPull { why }) = of_container(world, region, task, container) else {
        return None;
    };
    let uri = reference(container.text("image").unwrap_or_default());
    let host = uri.split('/').next().unwrap_or_default();
    let why = match why {
        Unpulled::Missing => not_found(&uri),
        Unpulled::Platform => no_descriptor(processor(world, region, task)),
        Unpulled::Unreachable => format!(
            "pull image manifest has been retried 5 time(s): failed to resolve ref {uri}: failed to do request: Head \"https://{host}/v2/\": dial tcp: i/o timeout"
        ),
        Unpulled::RateLimit => format!(
            "pull image manifest has been retried 5 time(s): httpReadSeeker: failed open: unexpected status code https://{host}/v2/: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
        ),
    };
    Some(format!("CannotPullContainerError: {why}"))
}

/// An image that isn't there.
pub(super) fn not_found(uri: &str) -> String {
    format!(
        "pull image manifest has been retried 1 time(s): failed to resolve ref {uri}: {uri}: not found"
    )
}

/// Why an image that was found can't be pulled: it has manifests for several processors, and none for the task's.
pub(super) fn not_for(world: &World, region: &str, task: &Task, image: &Image) -> Option<String> {
    let processor = processor(world, region, task);
    let lacks = image.architectures.len() > 1 && !image.runs_on(processor);
    lacks.then(|| format!("CannotPullContainerError: {}", no_descriptor(processor)))
}

fn no_descriptor(processor: &str) -> String {
    format!(
        "pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform 'linux/{processor}'"
    )
}

/// The essential container that exits first by itself, if one does.
pub(super) fn exit(world: &World, region: &str, task: &Task) -> Option<Exit> {
    let exits = containers(world, region, task)
        .into_iter()
        .filter(|container| container.flag("essential").unwrap_or(true))
        .filter_map(|container| exit_of(world, region, task, container));
    exits.min_by_key(|exit| exit.at)
}

fn exit_of(world: &World, region: &str, task: &Task, container: &Value) -> Option<Exit> {
    let culprit = |exit, reason: Option<&str>| Culprit {
        container: container.text("name").unwrap_or_default().to_owned(),
        exit: Some(exit),
        reason: reason.map(ToOwned::to_owned),
    };
    let after = |seconds: u64| {
        let since = task.started.unwrap_or(task.since);
        since + Millis::try_from(seconds).unwrap_or_default() * 1000
    };
    let image = image(world, region, task, container);
    if image.is_some_and(|image| !image.runs_on(processor(world, region, task))) {
        return Some(Exit {
            at: after(0),
            culprit: culprit(1, None),
            log: vec!["exec format error".to_owned()],
        });
    }
    let command = command(task, container);
    if let Some(end) = command
        .as_ref()
        .and_then(|c| faults::of_command(&world.dials.commands, c))
    {
        return Some(ended(task, container, end));
    }
    let Some(trouble) = of_container(world, region, task, container) else {
        // Nothing is run, so nothing can go wrong.
        let command = command?;
        let end = RunEnd {
            log: vec![format!("the sandbox runs no commands: {command}")],
            ..RunEnd::default()
        };
        return Some(ended(task, container, &end));
    };
    match trouble {
        Trouble::Crash {
            exit_code,
            after: seconds,
            log,
        } => Some(Exit {
            at: after(seconds),
            culprit: culprit(exit_code, None),
            log: or_else(
                log,
                &format!("the sandbox's fault dial made this container exit with {exit_code}"),
            ),
        }),
        Trouble::OutOfMemory {
            after: seconds,
            log,
        } => Some(Exit {
            at: after(seconds),
            culprit: culprit(
                137,
                Some("OutOfMemoryError: Container killed due to memory usage"),
            ),
            log,
        }),
        _ => None,
    }
}

/// The command of a container of a task outside a service, in one line. One without is a server, and runs until it is stopped.
fn command(task: &Task, container: &Value) -> Option<String> {
    let run = task.run.as_ref()?;
    let given = run.of_container(container.text("name").unwrap_or_default());
    let of = |value: &Value| value.texts("command");
    let words = given.map(of).filter(|words| !words.is_empty());
    let words = words.unwrap_or_else(|| of(container));
    (!words.is_empty()).then(|| words.join(" "))
}

fn ended(task: &Task, container: &Value, end: &RunEnd) -> Exit {
    Exit {
        at: task.started.unwrap_or(task.since) + Millis::from(end.after) * 1000,
        culprit: Culprit {
            container: container.text("name").unwrap_or_default().to_owned(),
            exit: Some(end.exit_code.into()),
            reason: None,
        },
        log: end.log.clone(),
    }
}

/// What a container that doesn't exit says when it starts.
pub(super) fn first_words(
    world: &World,
    region: &str,
    task: &Task,
    container: &Value,
) -> Vec<String> {
    match of_container(world, region, task, container) {
        None | Some(Trouble::Crash { .. } | Trouble::OutOfMemory { .. }) => Vec::new(),
        Some(trouble) => trouble.log().to_vec(),
    }
}

/// The health as the containers' own checks tell it. The sandbox runs no commands, so a running container passes, unless it is to
/// fail.
pub(crate) fn container_health(
    world: &World,
    region: &str,
    task: &Task,
    containers: &[Value],
) -> &'static str {
    let checked = || {
        containers
            .iter()
            .filter(|container| check(container).is_some())
    };
    if task.status != Status::Running || checked().next().is_none() {
        return "UNKNOWN";
    }
    let known = |container: &Value| failing_since(world, region, task, container);
    match checked().find_map(known) {
        Some(at) if world.now >= at => "UNHEALTHY",
        Some(_) => "UNKNOWN",
        None => "HEALTHY",
    }
}

/// When the first essential container that fails its own check is unhealthy.
pub(super) fn unhealthy_at(world: &World, region: &str, task: &Task) -> Option<Millis> {
    containers(world, region, task)
        .iter()
        .filter(|container| container.flag("essential").unwrap_or(true))
        .filter_map(|container| failing_since(world, region, task, container))
        .min()
}

/// When a container whose check fails is seen to be unhealthy.
fn failing_since(world: &World, region: &str, task: &Task, container: &Value) -> Option<Millis> {
    let check = check(container)?;
    let fails = matches!(
        of_container(world, region, task, container),
        Some(Trouble::FailCheck { .. })
    );
    let number = |member: &str, default: i64| check.int(member).unwrap_or(default);
    let wait = number("startPeriod", 0) + number("retries", 3) * number("interval", 30);
    fails.then(|| task.started.unwrap_or(task.since) + wait * 1000)
}

fn check(container: &Value) -> Option<&Value> {
    container
        .get("healthCheck")
        .filter(|check| !check.is_null())
}

/// Counts a task that starts among those that a fault means which only some are to have.
pub(super) fn count(world: &mut World, region: &str, task: &Task) -> Vec<String> {
    let limited = |container: &Value| {
        let uri = container.text("image").unwrap_or_default();
        let (pattern, fault) = faults::of_image(&world.dials.tasks, uri)?;
        Some((pattern.to_owned(), fault.times?))
    };
    let found: Vec<(String, u32)> = containers(world, region, task)
        .into_iter()
        .filter_map(limited)
        .collect();
    let mut patterns = Vec::new();
    for (pattern, most) in found {
        let had = world.struck.entry(pattern.clone()).or_default();
        if *had < most && !patterns.contains(&pattern) {
            *had += 1;
            patterns.push(pattern);
        }
    }
    patterns
}

/// What a container suffers, if anything: a dial counts before a label.
pub(crate) fn of_container(
    world: &World,
    region: &str,
    task: &Task,
    container: &Value,
) -> Option<Trouble> {
    let uri = container.text("image").unwrap_or_default();
    let means = |(pattern, fault): &(&str, &TaskFault)| {
        fault.times.is_none() || task.struck.iter().any(|struck| struck == pattern)
    };
    let dialled = faults::of_image(&world.dials.tasks, uri).filter(means);
    let labelled = || image(world, region, task, container)?.fault.as_ref();
    let fault = dialled.map(|(_, fault)| fault).or_else(labelled);
    fault.map(|fault| fault.trouble.clone())
}

/// What a container's image holds, where the sandbox built it.
fn image<'a>(world: &'a World, region: &str, task: &Task, container: &Value) -> Option<&'a Image> {
    let key = task.images.get(container.text("name")?)?;
    world.regions.get(region)?.ecs.images.get(key)
}

/// The processor that the task runs on, as Docker calls it.
fn processor(world: &World, region: &str, task: &Task) -> &'static str {
    let definition = ecs::find_definition(world, region, &task.definition);
    let platform = definition.and_then(|definition| definition.content.get("runtimePlatform"));
    match platform.and_then(|platform| platform.text("cpuArchitecture")) {
        Some("ARM64") => "arm64",
        _ => "amd64",
    }
}

fn containers<'a>(world: &'a World, region: &str, task: &Task) -> Vec<&'a Value> {
    let definition = ecs::find_definition(world, region, &task.definition);
    definition
        .map(TaskDefinition::containers)
        .unwrap_or_default()
        .iter()
        .collect()
}

/// An image's whole name: Docker Hub's images have a host, too.
fn reference(uri: &str) -> String {
    let host = uri.split_once('/').map(|(host, _)| host);
    match host {
        Some(host) if host.contains(['.', ':']) => uri.to_owned(),
        Some(_) => format!("docker.io/{uri}"),
        None => format!("docker.io/library/{uri}"),
    }
}

fn or_else(log: Vec<String>, line: &str) -> Vec<String> {
    match log.is_empty() {
        true => vec![line.to_owned()],
        false => log,
    }
}
