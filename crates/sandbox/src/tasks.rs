//! What an ECS service does by itself: starts and stops tasks until each task set has as many as it wants, registers them
//! with the target group, follows their health, and says so in the service's events. Must not answer API calls, and must not
//! decide about traffic.

mod role;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::role::Role;
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
    /// Why it stops.
    pub stop: Option<Stop>,
    /// Its tags.
    pub tags: Tags,
    /// Whether ECS Exec is on.
    pub execute_command: bool,
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
/// How long a crashing container runs.
const CRASH: Millis = 5_000;
/// How often a service that has something to wait for looks at its tasks …
const TICK: Millis = 2_000;
/// … and one that has nothing.
const IDLE: Millis = 30_000;
/// Between two tries to start a task that does not stay: doubled from here …
const RETRY: Millis = 5_000;
/// … up to here.
const LONGEST_RETRY: Millis = 300_000;
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

    /// The health as the containers' own checks tell it: the sandbox runs no commands, so a running container passes.
    pub(crate) fn container_health(&self, containers: &[Value]) -> &'static str {
        let checked = containers
            .iter()
            .any(|container| container.get("healthCheck").is_some_and(|c| !c.is_null()));
        match self.status {
            Status::Running if checked => "HEALTHY",
            _ => "UNKNOWN",
        }
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

/// Wakes a service up soon.
pub(crate) fn rouse(world: &mut World, region: &str, cluster: &str, service: &str) {
    let at = world.now + REACTION;
    schedule(
        world,
        at,
        region,
        Wake::Service(cluster.to_owned(), service.to_owned()),
    );
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
    for id in task_ids(world, region, &service, |_| true) {
        step(world, region, &service, &id);
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
    });
    let targets = std::mem::take(&mut task.targets);
    let next = if targets.is_empty() {
        Status::Stopping
    } else {
        Status::Deactivating
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
fn step(world: &mut World, region: &str, service: &Service, id: &str) {
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
                log(world, region, &task, "the sandbox stopped this container");
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
fn start(world: &mut World, region: &str, service: &Service, task: &Task) {
    let definition = ecs::find_definition(world, region, &task.definition).cloned();
    if let Some(definition) = &definition {
        let ready = Role::assume(world, region, task, definition)
            .and_then(|role| role.prepare(world, task, definition));
        if let Err(reason) = ready {
            return fail(world, region, service, task, "TaskFailedToStart", &reason);
        }
    }
    let containers = containers(world, region, task);
    let mut images = BTreeMap::new();
    for (name, uri, _) in &containers {
        match ecr::pull(world, uri) {
            None => {}
            Some(Ok(image)) => {
                let key = hex::encode(Sha256::digest(
                    serde_json::to_vec(&image).unwrap_or_default(),
                ));
                world
                    .at(region)
                    .ecs
                    .images
                    .entry(key.clone())
                    .or_insert(image);
                images.insert(name.clone(), key);
            }
            Some(Err(reason)) => {
                let reason = format!(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {reason}"
                );
                return fail(world, region, service, task, "TaskFailedToStart", &reason);
            }
        }
    }
    let now = world.now;
    let set = service.set(&task.set);
    let mut targets = Vec::new();
    for balancer in set.map(|set| set.balancers.as_slice()).unwrap_or_default() {
        let group = &balancer.target_group;
        match elbv2::register(world, region, group, &task.address, balancer.port) {
            Ok(()) => {
                targets.push((group.clone(), balancer.port));
                event(
                    world,
                    region,
                    &service.cluster,
                    &service.name,
                    &format!(
                        "{} registered 1 targets in (target-group {group})",
                        subject(service, &task.set)
                    ),
                );
            }
            Err(fault) => {
                let words = format!(
                    "{} failed to register targets in (target-group {group}) with (error {})",
                    subject(service, &task.set),
                    fault.message
                );
                event(world, region, &service.cluster, &service.name, &words);
            }
        }
    }
    change(world, region, &task.id, |task| {
        task.go(Status::Running, now);
        task.started = Some(now);
        task.targets = targets;
        task.images = images;
    });
    log(world, region, task, "the sandbox started this container");
}

/// Looks at a running task: containers that exit and targets that are unhealthy end it.
fn watch(world: &mut World, region: &str, service: &Service, task: &Task) {
    let dial = world.at(region).ecs.crashing.clone();
    let crashes = containers(world, region, task)
        .iter()
        .any(|(_, uri, essential)| *essential && ecs::is_dialled(&dial, uri));
    let ran = world.now - task.since;
    if crashes && ran >= CRASH {
        log(
            world,
            region,
            task,
            "the sandbox's fault dial made this container exit with 1",
        );
        fail(
            world,
            region,
            service,
            task,
            "EssentialContainerExited",
            "Essential container in task exited",
        );
        return;
    }
    if ran < service.grace * 1000 {
        return;
    }
    let unhealthy = |(group, port): &&(String, u16)| {
        elbv2::health(world, region, group, &task.address, *port) == Health::Unhealthy
    };
    let Some((group, port)) = task.targets.iter().find(unhealthy) else {
        return;
    };
    let words = format!(
        "{} (port {port}) is unhealthy in (target-group {group}) due to (reason Health checks failed)",
        subject(service, &task.set)
    );
    event(world, region, &service.cluster, &service.name, &words);
    let reason = format!("Task failed ELB health checks in (target-group {group})");
    fail(
        world,
        region,
        service,
        task,
        "ServiceSchedulerInitiated",
        &reason,
    );
}

/// Stops a task that did not do; the next one waits the longer, the more did not.
fn fail(world: &mut World, region: &str, service: &Service, task: &Task, code: &str, reason: &str) {
    stop(world, region, &task.id, code, reason);
    let exit = (code == "EssentialContainerExited").then_some(1);
    change(world, region, &task.id, |task| {
        if let Some(stop) = task.stop.as_mut().filter(|_| exit.is_some()) {
            stop.exit = exit;
        }
    });
    let now = world.now;
    let Some(service) = ecs::find_service_mut(world, region, &service.cluster, &service.name)
    else {
        return;
    };
    if let Some(set) = service.sets.iter_mut().find(|set| set.id == task.set) {
        put_off(set, now);
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
            self.find_room(definition, count)?;
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

    /// Fargate has room for `count` more tasks. Else none is started, and the service tries again later.
    fn find_room(&self, definition: &TaskDefinition, count: usize) -> Result<(), String> {
        let region = self.world.regions.get(self.region);
        let most = region.map_or(usize::MAX, |region| region.quotas.most(&quotas::FARGATE));
        let units = |definition: &TaskDefinition| -> usize {
            let cpu = definition
                .content
                .text("cpu")
                .and_then(|cpu| cpu.parse().ok());
            cpu.unwrap_or_default()
        };
        let taken: usize = region
            .into_iter()
            .flat_map(|region| region.ecs.tasks.values())
            .filter(|task| task.status != Status::Stopped)
            .filter_map(|task| ecs::find_definition(self.world, self.region, &task.definition))
            .map(units)
            .sum();
        if taken + count * units(definition) <= most.saturating_mul(UNITS) {
            return Ok(());
        }
        Err("You've reached the limit on the number of vCPUs you can run concurrently".to_owned())
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
        let id = self.world.hex(32);
        let attachment = self.world.uuid();
        let description = self
            .world
            .arn("ecs", self.region, &format!("attachment/{attachment}"));
        let groups = network.texts("securityGroups");
        let (interface, address) =
            ec2::attach_interface(self.world, self.region, &subnet, &groups, &description)
                .map_err(|fault| fault.message)?;
        let zone = ec2::subnet(self.world, self.region, &subnet)
            .map(|facts| facts.zone)
            .unwrap_or_default();
        let task = Task {
            arn: self.world.arn(
                "ecs",
                self.region,
                &format!("task/{}/{id}", self.service.cluster),
            ),
            id: id.clone(),
            cluster: self.service.cluster.clone(),
            service: self.service.name.clone(),
            set: set.id.clone(),
            definition: set.definition.clone(),
            created: self.world.now,
            status: Status::Provisioning,
            since: self.world.now,
            pulled: None,
            started: None,
            interface,
            attachment,
            address,
            subnet,
            zone,
            targets: Vec::new(),
            images: BTreeMap::new(),
            stop: None,
            tags: self.tags(definition),
            execute_command: self.service.execute_command,
            version: 1,
        };
        self.world
            .at(self.region)
            .ecs
            .tasks
            .insert(id.clone(), task);
        Ok(id)
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
        match self.service.status.as_str() {
            "INACTIVE" => None,
            _ if moving || !self.service.steady => Some(self.world.now + TICK),
            _ => Some(self.world.now + IDLE),
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

/// Name, image and essentiality of a task's containers.
fn containers(world: &World, region: &str, task: &Task) -> Vec<(String, String, bool)> {
    let definition = ecs::find_definition(world, region, &task.definition);
    let containers = definition
        .map(TaskDefinition::containers)
        .unwrap_or_default();
    let facts = |container: &Value| {
        let text = |member: &str| container.text(member).unwrap_or_default().to_owned();
        (
            text("name"),
            text("image"),
            container.flag("essential").unwrap_or(true),
        )
    };
    containers.iter().map(facts).collect()
}

/// Writes a line to the log of each container that has one.
fn log(world: &mut World, region: &str, task: &Task, message: &str) {
    let Some(definition) = ecs::find_definition(world, region, &task.definition).cloned() else {
        return;
    };
    let Ok(role) = Role::assume(world, region, task, &definition) else {
        return;
    };
    for container in definition.containers() {
        let Some(place) = role::stream(container, task) else {
            continue;
        };
        if !role.may_log(world, task, container) {
            continue;
        }
        let options = container["logConfiguration"]["options"].clone();
        let group = place.text("logGroupName").unwrap_or_default();
        let stream = place.text("logStreamName").unwrap_or_default();
        let line = format!("{message}: {}", container.text("image").unwrap_or_default());
        logs::append(
            world,
            options.text("awslogs-region").unwrap_or(region),
            group,
            stream,
            &line,
        );
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
