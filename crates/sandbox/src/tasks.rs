//! What an ECS service does by itself: starts and stops tasks until each task set has as many as it wants, registers them
//! with the target group, follows their health, and says so in the service's events. Must not answer API calls, and must not
//! decide about traffic.

pub(crate) mod lone;
mod role;
mod trouble;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use self::lone::Run;
use self::role::Role;
pub(crate) use self::trouble::{container_health, of_container};
use crate::clock::Millis;
use crate::services::ecs::{self, MEMORY, Service, ServiceEvent, TaskDefinition, TaskSet};
use crate::services::elbv2::{self, Health};
use crate::services::{ec2, ecr, logs, quotas};
use crate::wire::Input as _;
use crate::world::{Tags, Wake, World};

/// A task of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// 32 hex digits.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The name of its cluster.
    pub cluster: String,
    /// The name of its service.
    pub service: String,
    /// The id of its task set.
    pub set: String,
    /// The ARN of its task definition.
    pub definition: String,
    /// When it was created.
    pub created: Millis,
    /// Where it is in its life.
    pub status: Status,
    /// Since when.
    pub since: Millis,
    /// When its images were asked for.
    pub pulled: Option<Millis>,
    /// When its containers started.
    pub started: Option<Millis>,
    /// Its network interface.
    pub interface: String,
    /// The id of the interface's attachment.
    pub attachment: String,
    /// Its private address.
    pub address: String,
    /// Its subnet.
    pub subnet: String,
    /// Its availability zone.
    pub zone: String,
    /// The target groups that it is registered in, with the port.
    pub targets: Vec<(String, u16)>,
    /// What its images held when they were pulled: container name → key in the state's images.
    pub images: BTreeMap<String, String>,
    /// The faults that only some tasks are to have, and this one has, by their patterns.
    #[serde(default)]
    pub struck: Vec<String>,
    /// Since when a balancer finds it unhealthy.
    #[serde(default)]
    pub ailing: Option<Millis>,
    /// Why it stops.
    pub stop: Option<Stop>,
    /// Its tags.
    pub tags: Tags,
    /// Whether ECS Exec is on.
    pub execute_command: bool,
    /// What it was asked for with, where no service did.
    #[serde(default)]
    pub run: Option<Run>,
    /// Counts its changes.
    pub version: i64,
}

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// When that was decided.
    pub at: Millis,
    /// AWS's code, such as `EssentialContainerExited`.
    pub code: String,
    /// The reason in words.
    pub reason: String,
    /// The containers' exit code; `None` where they never ran.
    pub exit: Option<i64>,
    /// The container that the task stops for.
    #[serde(default)]
    pub culprit: Option<Culprit>,
}

/// A container that its task stops for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its name.
    pub container: String,
    /// Its exit code; `None` where it never ran.
    pub exit: Option<i64>,
    /// What is said about it besides.
    pub reason: Option<String>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Gets its network interface.
    Provisioning,
    /// Pulls its images.
    Pending,
    /// Serves.
    Running,
    /// Finishes the requests that it has; the target group sends no more.
    Deactivating,
    /// Was told to end.
    Stopping,
    /// Loses its network interface.
    Deprovisioning,
    /// Is over.
    Stopped,
}

impl Status {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }

    /// What a container of such a task shows.
    pub(crate) fn container(self) -> &'static str {
        match self {
            Self::Provisioning | Self::Pending => "PENDING",
            Self::Running | Self::Deactivating | Self::Stopping => "RUNNING",
            Self::Deprovisioning | Self::Stopped => "STOPPED",
        }
    }

    /// Whether the task counts in `runningCount`.
    pub(crate) fn counts_as_running(self) -> bool {
        self == Self::Running
    }

    /// Whether the task counts in `pendingCount`.
    pub(crate) fn counts_as_pending(self) -> bool {
        self < Self::Running
    }
}

/// The code of a task whose container exited by itself.
const EXITED: &str = "EssentialContainerExited";
/// How long a target is unhealthy before its service does something about it.
const NOTICE: Millis = 10_000;
/// How soon a service acts on a change.
pub(crate) const REACTION: Millis = 500;
/// A Fargate task has its network interface after some seconds …
const PROVISIONING: Millis = 6_000;
/// … and runs after some twenty: the pull of a small image.
const PENDING: Millis = 14_000;
/// A process that is told to end needs a moment.
const STOPPING: Millis = 3_000;
/// Giving the network interface back.
const DEPROVISIONING: Millis = 4_000;
/// How long a network interface is still seen after its task: minutes on AWS, too.
const INTERFACE_LINGERS: Millis = 30_000;
/// How often a service that has something to wait for looks at its tasks …
const TICK: Millis = 2_000;
/// … and one that has nothing.
const IDLE: Millis = 30_000;
/// Between two tries to start a task that does not get to run: doubled from here …
const RETRY: Millis = 5_000;
/// … up to here. ECS throttles no service whose tasks ran, however soon they ended.
const LONGEST_RETRY: Millis = 27 * 60_000;
/// After so many tasks in a row that did not get to run, the service says so.
const INCONSISTENT: u32 = 3;
/// What a virtual processor counts in a task definition.
const UNITS: usize = 1024;
/// AWS shows the latest hundred events of a service.
const EVENTS: usize = 100;

impl Task {
    /// The key of its service in the state.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.service)
    }

    /// The family of its task definition.
    pub(crate) fn family(&self) -> &str {
        let name = self.definition.rsplit('/').next().unwrap_or_default();
        name.split(':').next().unwrap_or_default()
    }

    /// `service:…` or `family:…`, or what the caller said.
    pub(crate) fn group(&self) -> String {
        match &self.run {
            Some(run) => run.group.clone(),
            None => format!("service:{}", self.service),
        }
    }

    /// The task set, or who the caller said starts it.
    pub(crate) fn started_by(&self) -> Option<&str> {
        match &self.run {
            Some(run) => run.started_by.as_deref(),
            None => Some(&self.set),
        }
    }

    /// What it is meant to be: `RUNNING` or `STOPPED`.
    pub(crate) fn desired(&self) -> &'static str {
        if self.stop.is_some() {
            "STOPPED"
        } else {
            "RUNNING"
        }
    }

    /// Whether the API still shows it.
    pub(crate) fn is_shown(&self, now: Millis) -> bool {
        self.status != Status::Stopped || now < self.since + MEMORY
    }

    /// Whether its containers run and have the address.
    pub(crate) fn listens_at(&self, address: &str) -> bool {
        self.address == address && matches!(self.status, Status::Running | Status::Deactivating)
    }

    /// The id of a container: derived from its task's, so that it needs no place in the state.
    pub(crate) fn container_id(&self, name: &str) -> String {
        let digest = hex::encode(Sha256::digest(format!("{}/{name}", self.id)));
        format!(
            "{}-{}-4{}-8{}-{}",
            &digest[..8],
            &digest[8..12],
            &digest[13..16],
            &digest[17..20],
            &digest[20..32]
        )
    }

    fn go(&mut self, status: Status, now: Millis) {
        self.status = status;
        self.since = now;
        self.version += 1;
    }
}

/// Wakes a service up soon; no name means the tasks outside services.
pub(crate) fn rouse(world: &mut World, region: &str, cluster: &str, service: &str) {
    let at = world.now + REACTION;
    let wake = match service {
        "" => Wake::Lone(cluster.to_owned()),
        service => Wake::Service(cluster.to_owned(), service.to_owned()),
    };
    schedule(world, at, region, wake);
}

/// Wakes everything up that has tasks: what goes wrong with them has changed.
pub(crate) fn rouse_all(world: &mut World, region: &str) {
    let tasks = world.regions.get(region).map(|region| &region.ecs.tasks);
    let places: std::collections::BTreeSet<(String, String)> = tasks
        .into_iter()
        .flat_map(|tasks| tasks.values())
        .map(|task| (task.cluster.clone(), task.service.clone()))
        .collect();
    for (cluster, service) in places {
        rouse(world, region, &cluster, &service);
    }
}

/// Sets the one next wake-up of something: an earlier one stays, later ones go.
pub(crate) fn schedule(world: &mut World, at: Millis, region: &str, wake: Wake) {
    let same = |timer: &crate::world::Timer| timer.wake == wake && timer.region == region;
    if world
        .timers
        .iter()
        .any(|timer| same(timer) && timer.at <= at)
    {
        return;
    }
    world.timers.retain(|timer| !same(timer));
    world.wake_at(at, region, wake);
}

pub(crate) fn wake(world: &mut World, region: &str, cluster: &str, name: &str) {
    let Some(service) = ecs::find_service(world, region, cluster, name).cloned() else {
        return;
    };
    if service.status == "INACTIVE" {
        return;
    }
    forget(world, region);
    let goes_on = |task: &Task| task.status != Status::Stopped;
    for id in task_ids(world, region, &service, goes_on) {
        step(world, region, Some(&service), &id);
    }
    let mut look = Look {
        world,
        region,
        service,
    };
    look.resize();
    look.settle();
    let (next, service) = (look.next(), look.service);
    // Events were written to the state while the copy was at work.
    if let Some(kept) = ecs::find_service_mut(world, region, cluster, name) {
        let events = std::mem::take(&mut kept.events);
        *kept = Service { events, ..service };
    }
    if let Some(at) = next {
        schedule(
            world,
            at,
            region,
            Wake::Service(cluster.to_owned(), name.to_owned()),
        );
    }
}

/// Stops a task: first the target groups let it go, then it is told to end.
pub(crate) fn stop(world: &mut World, region: &str, id: &str, code: &str, reason: &str) {
    let now = world.now;
    let Some(task) = world
        .at(region)
        .ecs
        .tasks
        .get_mut(id)
        .filter(|task| task.stop.is_none())
    else {
        return;
    };
    let exit = (task.status == Status::Running).then_some(0);
    task.stop = Some(Stop {
        at: now,
        code: code.to_owned(),
        reason: reason.to_owned(),
        exit,
        culprit: None,
    });
    let targets = std::mem::take(&mut task.targets);
    let next = match code {
        // Nothing runs that requests could still be finished by.
        EXITED => Status::Deprovisioning,
        _ if targets.is_empty() => Status::Stopping,
        _ => Status::Deactivating,
    };
    task.go(next, now);
    task.targets = targets.clone();
    let (address, cluster, service) = (
        task.address.clone(),
        task.cluster.clone(),
        task.service.clone(),
    );
    for (group, port) in &targets {
        elbv2::deregister(world, region, group, &address, *port);
        event(
            world,
            region,
            &cluster,
            &service,
            &format!("(service {service}) deregistered 1 targets in (target-group {group})"),
        );
    }
    rouse(world, region, &cluster, &service);
}

/// One step in the life of a task, where its time has come.
fn step(world: &mut World, region: &str, service: Option<&Service>, id: &str) {
    let now = world.now;
    let Some(task) = world.at(region).ecs.tasks.get(id).cloned() else {
        return;
    };
    let spent = now - task.since;
    match task.status {
        Status::Provisioning if spent >= PROVISIONING => change(world, region, id, |task| {
            task.go(Status::Pending, now);
            task.pulled = Some(now);
        }),
        Status::Pending if spent >= PENDING => start(world, region, service, &task),
        Status::Running => watch(world, region, service, &task),
        Status::Deactivating => {
            let drains = |(group, port): &(String, u16)| {
                elbv2::health(world, region, group, &task.address, *port) == Health::Draining
            };
            if !task.targets.iter().any(drains) {
                change(world, region, id, |task| task.go(Status::Stopping, now));
            }
        }
        Status::Stopping if spent >= STOPPING => {
            if task.started.is_some() {
                say_of_all(world, region, &task, "the sandbox stopped this container");
            }
            change(world, region, id, |task| {
                task.go(Status::Deprovisioning, now)
            });
        }
        Status::Deprovisioning if spent >= DEPROVISIONING => {
            ec2::release_interface(world, region, &task.interface, now + INTERFACE_LINGERS);
            change(world, region, id, |task| task.go(Status::Stopped, now));
        }
        _ => {}
    }
}

fn change(world: &mut World, region: &str, id: &str, with: impl FnOnce(&mut Task)) {
    if let Some(task) = world.at(region).ecs.tasks.get_mut(id) {
        with(task);
    }
}

/// Pulls the images and starts the containers, or stops the task where an image is not to be had.
fn start(world: &mut World, region: &str, service: Option<&Service>, task: &Task) {
    let definition = ecs::find_definition(world, region, &task.definition).cloned();
    if let Some(definition) = &definition {
        let ready = Role::assume(world, region, task, definition)
            .and_then(|role| role.prepare(world, task, definition));
        if let Err(reason) = ready {
            return fail(world, region, task, Failure::to_start(reason));
        }
    }
    let struck = trouble::count(world, region, task);
    let task = &Task {
        struck: struck.clone(),
        ..task.clone()
    };
    let mut images = BTreeMap::new();
    for container in containers(world, region, task) {
        let name = container.text("name").unwrap_or_default();
        let uri = container.text("image").unwrap_or_default();
        if let Some(reason) = trouble::cannot_pull(world, region, task, &container) {
            return fail(world, region, task, Failure::to_pull(name, reason));
        }
        match ecr::pull(world, uri) {
            None => {}
            Some(Ok(image)) => {
                if let Some(reason) = trouble::not_for(world, region, task, &image) {
                    return fail(world, region, task, Failure::to_pull(name, reason));
                }
                let key = hex::encode(Sha256::digest(
                    serde_json::to_vec(&image).unwrap_or_default(),
                ));
                world
                    .at(region)
                    .ecs
                    .images
                    .entry(key.clone())
                    .or_insert(image);
                images.insert(name.to_owned(), key);
            }
            Some(Err(_)) => {
                let why = trouble::not_found(uri);
                let reason = format!("CannotPullContainerError: {why}");
                return fail(world, region, task, Failure::to_pull(name, reason));
            }
        }
    }
    let now = world.now;
    let targets = match service {
        Some(service) => register(world, region, service, task),
        None => Vec::new(),
    };
    change(world, region, &task.id, |task| {
        task.go(Status::Running, now);
        task.started = Some(now);
        task.targets = targets;
        task.images = images;
        task.struck = struck;
    });
    say_of_all(world, region, task, "the sandbox started this container");
    let Some(task) = world.at(region).ecs.tasks.get(&task.id).cloned() else {
        return;
    };
    for container in containers(world, region, &task) {
        let lines = trouble::first_words(world, region, &task, &container);
        say(world, region, &task, &container, &lines);
    }
}

/// Registers a task in the target groups of its set; answers those that took it.
fn register(world: &mut World, region: &str, service: &Service, task: &Task) -> Vec<(String, u16)> {
    let set = service.set(&task.set);
    let mut targets = Vec::new();
    for balancer in set.map(|set| set.balancers.as_slice()).unwrap_or_default() {
        let group = &balancer.target_group;
        let words = match elbv2::register(world, region, group, &task.address, balancer.port) {
            Ok(()) => {
                targets.push((group.clone(), balancer.port));
                format!("registered 1 targets in (target-group {group})")
            }
            Err(fault) => format!(
                "failed to register targets in (target-group {group}) with (error {})",
                fault.message
            ),
        };
        let words = format!("{} {words}", subject(service, &task.set));
        event(world, region, &service.cluster, &service.name, &words);
    }
    targets
}

/// Why a task did not do.
struct Failure {
    code: &'static str,
    reason: String,
    culprit: Option<Culprit>,
}

impl Failure {
    fn to_start(reason: String) -> Self {
        Self {
            code: "TaskFailedToStart",
            reason,
            culprit: None,
        }
    }

    fn to_pull(container: &str, reason: String) -> Self {
        Self {
            culprit: Some(Culprit {
                container: container.to_owned(),
                exit: None,
                reason: Some(reason.clone()),
            }),
            ..Self::to_start(reason)
        }
    }

    fn of_exit(culprit: Culprit) -> Self {
        Self {
            code: EXITED,
            reason: "Essential container in task exited".to_owned(),
            culprit: Some(culprit),
        }
    }

    fn of_health(reason: String) -> Self {
        Self {
            code: "ServiceSchedulerInitiated",
            reason,
            culprit: None,
        }
    }
}

/// Looks at a running task: containers that exit, and health that is bad, end it.
fn watch(world: &mut World, region: &str, service: Option<&Service>, task: &Task) {
    let now = world.now;
    if let Some(exit) = trouble::exit(world, region, task).filter(|exit| now >= exit.at) {
        let of_culprit =
            |container: &&Value| container.text("name") == Some(exit.culprit.container.as_str());
        let all = containers(world, region, task);
        if let Some(container) = all.iter().find(of_culprit) {
            say(world, region, task, container, &exit.log);
        }
        return fail(world, region, task, Failure::of_exit(exit.culprit));
    }
    if trouble::unhealthy_at(world, region, task).is_some_and(|at| now >= at) {
        let reason = "Task failed container health checks".to_owned();
        return fail(world, region, task, Failure::of_health(reason));
    }
    let Some(service) = service.filter(|service| now - task.since >= service.grace * 1000) else {
        return;
    };
    let unhealthy = |(group, port): &&(String, u16)| {
        elbv2::health(world, region, group, &task.address, *port) == Health::Unhealthy
    };
    let Some((group, port)) = task.targets.iter().find(unhealthy) else {
        return change(world, region, &task.id, |task| task.ailing = None);
    };
    let since = task.ailing.unwrap_or(now);
    if now < since + NOTICE {
        return change(world, region, &task.id, |task| task.ailing = Some(since));
    }
    let why = elbv2::health_description(world, region, group, &task.address, *port);
    let words = format!(
        "{} (port {port}) is unhealthy in (target-group {group}) due to (reason {})",
        subject(service, &task.set),
        why.unwrap_or_default()
    );
    event(world, region, &service.cluster, &service.name, &words);
    let reason = format!("Task failed ELB health checks in (target-group {group})");
    fail(world, region, task, Failure::of_health(reason));
}

/// Stops a task that did not do. One that never ran makes the next one wait, the longer, the more did not.
fn fail(world: &mut World, region: &str, task: &Task, failure: Failure) {
    let now = world.now;
    stop(world, region, &task.id, failure.code, &failure.reason);
    change(world, region, &task.id, |task| {
        if let Some(stop) = task.stop.as_mut() {
            stop.culprit = failure.culprit;
        }
    });
    if task.started.is_some() {
        return;
    }
    let Some(service) = ecs::find_service_mut(world, region, &task.cluster, &task.service) else {
        return;
    };
    let Some(set) = service.sets.iter_mut().find(|set| set.id == task.set) else {
        return;
    };
    put_off(set, now);
    if set.failures >= INCONSISTENT {
        let words = format!(
            "{} is unable to consistently start tasks successfully.",
            subject(service, &task.set)
        );
        event(world, region, &task.cluster, &task.service, &words);
    }
}

fn put_off(set: &mut TaskSet, now: Millis) {
    let wait = RETRY
        .saturating_mul(1 << set.failures.min(10))
        .min(LONGEST_RETRY);
    set.failures += 1;
    set.retry_at = now + wait;
}

/// One look at a service, with a copy of it that is written back at the end.
struct Look<'a> {
    world: &'a mut World,
    region: &'a str,
    service: Service,
}

impl Look<'_> {
    /// Starts or stops tasks until each set has as many as it wants.
    fn resize(&mut self) {
        self.read_failures();
        for index in 0..self.service.sets.len() {
            let set = self.service.sets[index].clone();
            let live = task_ids(self.world, self.region, &self.service, |task| {
                task.set == set.id && task.stop.is_none()
            });
            let wanted = usize::try_from(self.service.wanted(&set)).unwrap_or_default();
            if live.len() > wanted {
                self.end(&set, &live[wanted..]);
            } else if live.len() < wanted && self.world.now >= set.retry_at {
                self.launch(index, wanted - live.len());
            }
        }
    }

    /// Tasks that failed in this round put their sets off in the state, not in the copy.
    fn read_failures(&mut self) {
        let kept = ecs::find_service(
            self.world,
            self.region,
            &self.service.cluster,
            &self.service.name,
        );
        for set in &mut self.service.sets {
            if let Some(kept) = kept.and_then(|kept| kept.set(&set.id)) {
                (set.failures, set.retry_at) = (kept.failures, kept.retry_at);
            }
        }
    }

    fn end(&mut self, set: &TaskSet, ids: &[String]) {
        let draining = format!(
            "{} has begun draining connections on {} tasks.",
            subject(&self.service, &set.id),
            ids.len()
        );
        let reason = format!("Scaling activity initiated by (deployment {})", set.id);
        for id in ids {
            stop(
                self.world,
                self.region,
                id,
                "ServiceSchedulerInitiated",
                &reason,
            );
        }
        self.event(&draining);
        self.event(&format!(
            "{} has stopped {} running tasks: {}.",
            subject(&self.service, &set.id),
            ids.len(),
            names(ids)
        ));
    }

    fn launch(&mut self, index: usize, count: usize) {
        let set = self.service.sets[index].clone();
        let definition = ecs::find_definition(self.world, self.region, &set.definition).cloned();
        let ready = definition
            .as_ref()
            .ok_or_else(|| "TaskDefinition not found.".to_owned());
        let started = ready.and_then(|definition| {
            let task = format!("task/{}/*", self.service.cluster);
            let source = self.world.arn("ecs", self.region, &task);
            ecs::roles_ready(self.world, definition, &source)?;
            find_room(self.world, self.region, definition, count)?;
            (0..count)
                .map(|_| self.one(&set, definition))
                .collect::<Result<Vec<String>, String>>()
        });
        match started {
            Ok(ids) => self.event(&format!(
                "{} has started {} tasks: {}.",
                subject(&self.service, &set.id),
                ids.len(),
                names(&ids)
            )),
            Err(error) => {
                self.event(&format!(
                    "{} failed to launch a task with (error {error}).",
                    subject(&self.service, &set.id)
                ));
                put_off(&mut self.service.sets[index], self.world.now);
            }
        }
    }

    /// Starts one task, in the subnet where the fewest of its set are: ECS spreads them over the zones.
    fn one(&mut self, set: &TaskSet, definition: &TaskDefinition) -> Result<String, String> {
        let network = set
            .network
            .get("awsvpcConfiguration")
            .cloned()
            .unwrap_or_default();
        let subnets = network.texts("subnets");
        let living = |subnet: &str| {
            let there =
                |task: &Task| task.set == set.id && task.subnet == subnet && task.stop.is_none();
            task_ids(self.world, self.region, &self.service, there).len()
        };
        let subnet = subnets.iter().min_by_key(|subnet| living(subnet));
        let subnet = subnet.cloned().unwrap_or_default();
        let new = New {
            cluster: self.service.cluster.clone(),
            service: self.service.name.clone(),
            set: set.id.clone(),
            definition: set.definition.clone(),
            subnet,
            groups: network.texts("securityGroups"),
            tags: self.tags(definition),
            execute_command: self.service.execute_command,
            run: None,
        };
        create(self.world, self.region, new)
    }

    fn tags(&self, definition: &TaskDefinition) -> Tags {
        let mut tags = match self.service.propagate.as_str() {
            "SERVICE" => self.service.tags.clone(),
            "TASK_DEFINITION" => definition.tags.clone(),
            _ => Tags::new(),
        };
        if self.service.managed_tags {
            tags.insert(
                "aws:ecs:clusterName".to_owned(),
                self.service.cluster.clone(),
            );
            tags.insert("aws:ecs:serviceName".to_owned(), self.service.name.clone());
        }
        tags
    }

    /// Sees which sets are steady, which are gone, and whether the service is.
    fn settle(&mut self) {
        let now = self.world.now;
        for index in 0..self.service.sets.len() {
            let steady = self.is_steady(&self.service.sets[index]);
            let set = &mut self.service.sets[index];
            if steady {
                set.failures = 0;
            }
            if steady != set.steady {
                (set.steady, set.steady_since, set.updated) = (steady, now, now);
            }
        }
        let (world, region, service) = (&*self.world, self.region, &self.service);
        let empty = |set: &TaskSet| {
            task_ids(world, region, service, |task| {
                task.set == set.id && task.status != Status::Stopped
            })
            .is_empty()
        };
        // A set goes when it drains and is empty; under ECS an old deployment also, when the new one has taken over.
        let over: Vec<String> = service
            .sets
            .iter()
            .filter(|set| set.status != "PRIMARY" && service.wanted(set) == 0 && empty(set))
            .filter(|set| set.status == "DRAINING" || service.controller == ecs::Controller::Ecs)
            .map(|set| set.id.clone())
            .collect();
        self.service.sets.retain(|set| !over.contains(&set.id));
        if self.service.status == "DRAINING" && self.live() == 0 {
            self.service.status = "INACTIVE".to_owned();
            self.service.ended = Some(now);
            self.service.sets.clear();
        }
        let steady = self.service.status == "ACTIVE"
            && !self.service.sets.is_empty()
            && self.service.sets.iter().all(|set| set.steady);
        if steady && !self.service.steady {
            self.event(&format!(
                "(service {}) has reached a steady state.",
                self.service.name
            ));
        }
        self.service.steady = steady;
    }

    fn is_steady(&self, set: &TaskSet) -> bool {
        let state = match self.world.regions.get(self.region) {
            Some(region) => &region.ecs,
            None => return false,
        };
        let key = self.service.key();
        let tasks: Vec<&Task> = state
            .tasks
            .values()
            .filter(|task| task.key() == key && task.set == set.id && task.stop.is_none())
            .collect();
        let healthy = |task: &&Task| {
            let in_service = |(group, port): &(String, u16)| {
                elbv2::health(self.world, self.region, group, &task.address, *port)
                    == Health::Healthy
            };
            task.status == Status::Running
                && task.targets.len() == set.balancers.len()
                && task.targets.iter().all(in_service)
        };
        tasks.len() as i64 == self.service.wanted(set) && tasks.iter().all(healthy)
    }

    fn live(&self) -> usize {
        task_ids(self.world, self.region, &self.service, |task| {
            task.status != Status::Stopped
        })
        .len()
    }

    /// When to look again; never, where the service is over.
    fn next(&self) -> Option<Millis> {
        let settled = |task: &Task| matches!(task.status, Status::Running | Status::Stopped);
        let moving = !task_ids(self.world, self.region, &self.service, |task| {
            !settled(task)
        })
        .is_empty();
        let now = self.world.now;
        let usual = match moving || !self.service.steady {
            true => now + TICK,
            false => now + IDLE,
        };
        match self.service.status.as_str() {
            "INACTIVE" => None,
            _ => Some(
                next_end(self.world, self.region, &self.service.key())
                    .filter(|at| *at > now)
                    .unwrap_or(usual)
                    .min(usual),
            ),
        }
    }

    fn event(&mut self, message: &str) {
        event(
            self.world,
            self.region,
            &self.service.cluster,
            &self.service.name,
            message,
        );
    }
}

/// What a task is made of.
pub(crate) struct New {
    pub(crate) cluster: String,
    /// Its service's name; empty where it has none.
    pub(crate) service: String,
    pub(crate) set: String,
    pub(crate) definition: String,
    pub(crate) subnet: String,
    pub(crate) groups: Vec<String>,
    pub(crate) tags: Tags,
    pub(crate) execute_command: bool,
    pub(crate) run: Option<Run>,
}

/// Makes a task with its network interface; answers its id.
pub(crate) fn create(world: &mut World, region: &str, new: New) -> Result<String, String> {
    let id = world.hex(32);
    let attachment = world.uuid();
    let description = world.arn("ecs", region, &format!("attachment/{attachment}"));
    let attached = ec2::attach_interface(world, region, &new.subnet, &new.groups, &description);
    let (interface, address) = attached.map_err(|fault| fault.message)?;
    let zone = ec2::subnet(world, region, &new.subnet)
        .map(|facts| facts.zone)
        .unwrap_or_default();
    let task = Task {
        arn: world.arn("ecs", region, &format!("task/{}/{id}", new.cluster)),
        id: id.clone(),
        cluster: new.cluster,
        service: new.service,
        set: new.set,
        definition: new.definition,
        created: world.now,
        status: Status::Provisioning,
        since: world.now,
        pulled: None,
        started: None,
        interface,
        attachment,
        address,
        subnet: new.subnet,
        zone,
        targets: Vec::new(),
        images: BTreeMap::new(),
        struck: Vec::new(),
        ailing: None,
        stop: None,
        tags: new.tags,
        execute_command: new.execute_command,
        run: new.run,
        version: 1,
    };
    world.at(region).ecs.tasks.insert(id.clone(), task);
    Ok(id)
}

/// Fargate has room for `count` more tasks, or says why not.
pub(crate) fn find_room(
    world: &World,
    region: &str,
    definition: &TaskDefinition,
    count: usize,
) -> Result<(), String> {
    let found = world.regions.get(region);
    let most = found.map_or(usize::MAX, |region| region.quotas.most(&quotas::FARGATE));
    let units = |definition: &TaskDefinition| -> usize {
        let cpu = definition.content.text("cpu");
        cpu.and_then(|cpu| cpu.parse().ok()).unwrap_or_default()
    };
    let taken: usize = found
        .into_iter()
        .flat_map(|region| region.ecs.tasks.values())
        .filter(|task| task.status != Status::Stopped)
        .filter_map(|task| ecs::find_definition(world, region, &task.definition))
        .map(units)
        .sum();
    if taken + count * units(definition) <= most.saturating_mul(UNITS) {
        return Ok(());
    }
    Err("You've reached the limit on the number of vCPUs you can run concurrently".to_owned())
}

/// When the next container of the tasks with a key exits by itself, or is seen to be unhealthy.
fn next_end(world: &World, region: &str, key: &str) -> Option<Millis> {
    let tasks = &world.regions.get(region)?.ecs.tasks;
    let running = |task: &&Task| task.key() == key && task.status == Status::Running;
    let end = |task: &Task| {
        let exit = trouble::exit(world, region, task).map(|exit| exit.at);
        let unhealthy = trouble::unhealthy_at(world, region, task);
        exit.into_iter().chain(unhealthy).min()
    };
    tasks.values().filter(running).filter_map(end).min()
}

/// `(service web)`, or `(service web, taskSet ecs-svc/1)` where task sets are in play.
fn subject(service: &Service, set: &str) -> String {
    match service.controller {
        ecs::Controller::Ecs => format!("(service {})", service.name),
        _ => format!("(service {}, taskSet {set})", service.name),
    }
}

fn names(ids: &[String]) -> String {
    ids.iter()
        .map(|id| format!("(task {id})"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn event(world: &mut World, region: &str, cluster: &str, service: &str, message: &str) {
    let (id, at) = (world.uuid(), world.now);
    let Some(service) = ecs::find_service_mut(world, region, cluster, service) else {
        return;
    };
    service.events.insert(
        0,
        ServiceEvent {
            id,
            at,
            message: message.to_owned(),
        },
    );
    service.events.truncate(EVENTS);
}

fn task_ids(
    world: &World,
    region: &str,
    service: &Service,
    wanted: impl Fn(&Task) -> bool,
) -> Vec<String> {
    let Some(state) = world.regions.get(region).map(|region| &region.ecs) else {
        return Vec::new();
    };
    let key = service.key();
    let mut tasks: Vec<&Task> = state
        .tasks
        .values()
        .filter(|task| task.key() == key && wanted(task))
        .collect();
    tasks.sort_by_key(|task| task.created);
    tasks.into_iter().map(|task| task.id.clone()).collect()
}

/// The containers of a task, as its definition has them.
fn containers(world: &World, region: &str, task: &Task) -> Vec<Value> {
    let definition = ecs::find_definition(world, region, &task.definition);
    definition
        .map(|definition| definition.containers().to_vec())
        .unwrap_or_default()
}

/// Writes a line to the log of each container that has one.
fn say_of_all(world: &mut World, region: &str, task: &Task, message: &str) {
    for container in containers(world, region, task) {
        let image = container.text("image").unwrap_or_default();
        let line = format!("{message}: {image}");
        say(world, region, task, &container, &[line]);
    }
}

/// Writes lines to a container's log, where it has one and the execution role lets it.
fn say(world: &mut World, region: &str, task: &Task, container: &Value, lines: &[String]) {
    let Some(place) = role::stream(container, task).filter(|_| !lines.is_empty()) else {
        return;
    };
    let Some(definition) = ecs::find_definition(world, region, &task.definition).cloned() else {
        return;
    };
    let role = Role::assume(world, region, task, &definition);
    if !role.is_ok_and(|role| role.may_log(world, task, container)) {
        return;
    }
    let options = container["logConfiguration"]["options"].clone();
    let region = options.text("awslogs-region").unwrap_or(region);
    let group = place.text("logGroupName").unwrap_or_default();
    let stream = place.text("logStreamName").unwrap_or_default();
    for line in lines {
        logs::append(world, region, group, stream, line);
    }
}

/// Forgets tasks that stopped long ago, and the images that no task needs any more.
fn forget(world: &mut World, region: &str) {
    let now = world.now;
    let state = &mut world.at(region).ecs;
    state.tasks.retain(|_, task| task.is_shown(now));
    let used: std::collections::BTreeSet<&String> = state
        .tasks
        .values()
        .flat_map(|task| task.images.values())
        .collect();
    let unused: Vec<String> = state
        .images
        .keys()
        .filter(|key| !used.contains(key))
        .cloned()
        .collect();
    state.images.retain(|key, _| !unused.contains(key));
}

#[cfg(test)]
mod tests;
