//! A scripted [`Rollouts`] in memory, for tests: a world that a test lays out, changes by the clock or in answer to a call, and
//! breaks at will. Time is tokio's, so a paused clock drives it. Must not imitate AWS further than one call's own effect: the
//! sandbox does that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::error::{CloudFailure, FailureKind};
use crate::event::Listener;
use crate::rollout::{self, Phase};
use crate::rollouts::{
    AfterStop, Answer, DeploymentSummary, DeploymentWait, ExecutionSummary, ImageState, LogEvent,
    LogPage, LogQuery, NewDeployment, Rollouts, ServiceState, StoredBundle, Target, Which,
    task_definition_in,
};
use crate::snapshot::{
    Alarm, Build, Deployment, DeploymentStatus, Execution, ExecutionStatus, Fault, GroupSettings,
    Health, Listeners, LogStream, ROLLBACK_CREATOR, RollbackInfo, Route, Snapshot, StoppedTask,
    Trigger,
};

/// What a test changes in the world.
pub type Change = Box<dyn FnOnce(&mut World) + Send>;

/// Everything that the fake knows; a test may set any of it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The bundle in S3.
    pub bundle: Option<StoredBundle>,
    /// The pipeline's executions, oldest first.
    pub executions: Vec<Execution>,
    /// The group's deployments, oldest first.
    pub deployments: Vec<Deployment>,
    /// The group's settings; `None`: there is no group.
    pub settings: Option<GroupSettings>,
    /// The service; `None`: there is none.
    pub service: Option<ServiceState>,
    /// Where the listeners send requests.
    pub listeners: Listeners,
    /// The health of the target groups.
    pub health: BTreeMap<String, Health>,
    /// The image of each task definition.
    pub images: BTreeMap<String, String>,
    /// What was registered.
    pub registered: Vec<serde_json::Value>,
    /// The service's tasks that have stopped.
    pub stopped_tasks: Vec<StoppedTask>,
    /// The images of repositories that can be asked.
    pub image_states: BTreeMap<String, ImageState>,
    /// The roles that don't exist.
    pub missing_roles: BTreeSet<String>,
    /// The alarms.
    pub alarms: Vec<Alarm>,
    /// The builds.
    pub builds: Vec<Build>,
    /// What each log stream says last, by its name.
    pub tails: BTreeMap<String, Vec<String>>,
    /// The log, oldest first.
    pub log: Vec<LogEvent>,
    /// How many log events a page has.
    pub log_page: usize,
    /// The execution that each request token has started.
    pub tokens: BTreeMap<String, String>,
    /// How many things were made, by which they are numbered.
    pub made: u32,
}

impl World {
    /// Sets what a snapshot shows: its execution and deployments are replaced or added.
    pub fn show(&mut self, snapshot: &Snapshot) {
        if let Some(execution) = &snapshot.execution {
            replace(&mut self.executions, execution, |a, b| a.id == b.id);
        }
        for deployment in [&snapshot.deployment, &snapshot.rollback]
            .into_iter()
            .flatten()
        {
            replace(&mut self.deployments, deployment, |a, b| a.id == b.id);
        }
        self.settings = snapshot.settings.clone().or(self.settings.take());
        if let Some(listeners) = &snapshot.listeners {
            self.listeners = listeners.clone();
        }
        if let Some(health) = &snapshot.health {
            self.health = health.clone();
        }
        for task in &snapshot.stopped_tasks {
            replace(&mut self.stopped_tasks, task, |a, b| a.id == b.id);
        }
    }

    /// A deployment by its id.
    pub fn deployment(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments
            .iter_mut()
            .find(|deployment| deployment.id == id)
    }

    fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }
}

/// What a broken call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the request never arrived.
    None,
    /// All of it: only the answer is lost.
    Done,
    /// Nothing, and no answer ever comes.
    Hang,
}

/// The scripted fake. Calls are written down by the operation's name, with its most telling argument.
pub struct Memory {
    inner: Mutex<Inner>,
    start: Instant,
}

struct Inner {
    world: World,
    script: Vec<(Duration, Change)>,
    reactions: Vec<(&'static str, Vec<(Duration, Change)>)>,
    faults: Vec<Broken>,
    calls: Vec<String>,
}

struct Broken {
    operation: Option<&'static str>,
    from: Duration,
    until: Duration,
    times: u32,
    effect: Effect,
    failure: CloudFailure,
}

impl Memory {
    /// A fake of `world`, whose time starts now.
    pub fn new(world: World) -> Self {
        let inner = Inner {
            world,
            script: Vec::new(),
            reactions: Vec::new(),
            faults: Vec::new(),
            calls: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            start: Instant::now(),
        }
    }

    /// A failure as an adapter would give it.
    pub fn failure(operation: &str, kind: FailureKind) -> CloudFailure {
        CloudFailure {
            service: "memory".to_owned(),
            operation: operation.to_owned(),
            code: format!("{kind:?}"),
            message: "scripted".to_owned(),
            request_id: None,
            kind,
            hint: None,
        }
    }

    /// Changes the world at a time after the start.
    pub fn at(&self, after: Duration, change: impl FnOnce(&mut World) + Send + 'static) {
        self.lock().script.push((after, Box::new(change)));
    }

    /// Shows one snapshot after the other, from a time on, at equal intervals.
    pub fn play(&self, from: Duration, every: Duration, story: &[Snapshot]) {
        for (step, snapshot) in (0..).zip(story) {
            let snapshot = snapshot.clone();
            self.at(from + every * step, move |world| world.show(&snapshot));
        }
    }

    /// Shows one snapshot after the other once an operation has been called. The second script for an operation waits for its
    /// second call.
    pub fn play_on(&self, operation: &'static str, every: Duration, story: &[Snapshot]) {
        let change = |snapshot: &Snapshot| -> Change {
            let snapshot = snapshot.clone();
            Box::new(move |world| world.show(&snapshot))
        };
        let changes = (0..)
            .zip(story)
            .map(|(step, snapshot)| (every * step, change(snapshot)))
            .collect();
        self.lock().reactions.push((operation, changes));
    }

    /// Changes the world at a time after an operation has been called. The second change for an operation waits for its second call.
    pub fn on(
        &self,
        operation: &'static str,
        after: Duration,
        change: impl FnOnce(&mut World) + Send + 'static,
    ) {
        let change: Change = Box::new(change);
        self.lock()
            .reactions
            .push((operation, vec![(after, change)]));
    }

    /// Breaks the next `times` calls of an operation.
    pub fn fail(&self, operation: &'static str, times: u32, kind: FailureKind, effect: Effect) {
        let failure = Self::failure(operation, kind);
        let (from, until) = (Duration::ZERO, Duration::MAX);
        self.lock().faults.push(Broken {
            operation: Some(operation),
            from,
            until,
            times,
            effect,
            failure,
        });
    }

    /// Breaks every call between two times after the start.
    pub fn fail_between(&self, from: Duration, until: Duration, kind: FailureKind) {
        let failure = Self::failure("any", kind);
        let (times, effect) = (u32::MAX, Effect::None);
        self.lock().faults.push(Broken {
            operation: None,
            from,
            until,
            times,
            effect,
            failure,
        });
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// How many calls began with `operation`.
    pub fn count(&self, operation: &str) -> usize {
        self.lock()
            .calls
            .iter()
            .filter(|call| call.starts_with(operation))
            .count()
    }

    /// Looks at the world, or changes it, as it is now.
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let elapsed = self.start.elapsed();
        let mut inner = self.lock();
        inner.advance(elapsed);
        look(&mut inner.world)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        argument: &str,
        effect: impl FnOnce(&mut World) -> Result<T, CloudFailure> + Send + 'a,
    ) -> Answer<'a, T> {
        let argument = argument.to_owned();
        // The effect comes with the poll of the future, as a request does.
        async move {
            let broken = self.note(operation, &argument);
            match broken {
                Some((Effect::None, failure)) => Err(failure),
                Some((Effect::Hang, _)) => std::future::pending().await,
                Some((Effect::Done, failure)) => {
                    let _ = self.apply(operation, effect);
                    Err(failure)
                }
                None => self.apply(operation, effect),
            }
        }
        .boxed()
    }

    /// Writes a call down, and gives how it is broken, if it is.
    fn note(&self, operation: &'static str, argument: &str) -> Option<(Effect, CloudFailure)> {
        let elapsed = self.start.elapsed();
        let mut inner = self.lock();
        inner.advance(elapsed);
        inner
            .calls
            .push(format!("{operation} {argument}").trim_end().to_owned());
        inner.broken(operation, elapsed)
    }

    fn apply<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut World) -> Result<T, CloudFailure>,
    ) -> Result<T, CloudFailure> {
        let elapsed = self.start.elapsed();
        let mut inner = self.lock();
        let answer = effect(&mut inner.world);
        inner.react(operation, elapsed);
        answer
    }
}

impl Inner {
    fn advance(&mut self, elapsed: Duration) {
        let script = std::mem::take(&mut self.script);
        let (mut due, later): (Vec<_>, Vec<_>) =
            script.into_iter().partition(|(at, _)| *at <= elapsed);
        self.script = later;
        due.sort_by_key(|(at, _)| *at);
        for (_, change) in due {
            change(&mut self.world);
        }
    }

    fn react(&mut self, operation: &'static str, elapsed: Duration) {
        let Some(index) = self
            .reactions
            .iter()
            .position(|(known, _)| *known == operation)
        else {
            return;
        };
        let (_, changes) = self.reactions.remove(index);
        self.script.extend(
            changes
                .into_iter()
                .map(|(after, change)| (elapsed + after, change)),
        );
    }

    fn broken(&mut self, operation: &str, elapsed: Duration) -> Option<(Effect, CloudFailure)> {
        let broken = self.faults.iter_mut().find(|fault| {
            fault.operation.is_none_or(|known| known == operation)
                && fault.times > 0
                && (fault.from..fault.until).contains(&elapsed)
        })?;
        broken.times -= 1;
        Some((broken.effect, broken.failure.clone()))
    }
}

impl Rollouts for Memory {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.start.elapsed()).unwrap_or_default();
        Timestamp::UNIX_EPOCH
            .checked_add(elapsed)
            .unwrap_or_default()
    }

    fn bundle<'a>(&'a self, _: &'a Target) -> Answer<'a, Option<StoredBundle>> {
        self.call("HeadObject", "", |world| Ok(world.bundle.clone()))
    }

    fn put_bundle<'a>(&'a self, _: &'a Target, _: &'a [u8], sha256: &'a str) -> Answer<'a, String> {
        self.call("PutObject", "", move |world| {
            let version = format!("v{}", world.next());
            world.bundle = Some(StoredBundle {
                version: version.clone(),
                sha256: Some(sha256.to_owned()),
            });
            Ok(version)
        })
    }

    fn executions<'a>(&'a self, _: &'a Target, limit: usize) -> Answer<'a, Vec<ExecutionSummary>> {
        self.call("ListPipelineExecutions", "", move |world| {
            let newest = world.executions.iter().rev().take(limit);
            Ok(newest
                .map(|execution| ExecutionSummary {
                    id: execution.id.clone(),
                    status: execution.status.clone(),
                    started: execution.started,
                    updated: None,
                    trigger: execution.trigger.clone(),
                    revisions: execution.revisions.clone(),
                })
                .collect())
        })
    }

    fn execution<'a>(&'a self, _: &'a Target, id: &'a str) -> Answer<'a, Option<Execution>> {
        self.call("GetPipelineExecution", id, move |world| {
            Ok(world
                .executions
                .iter()
                .find(|execution| execution.id == id)
                .cloned())
        })
    }

    fn start_execution<'a>(&'a self, _: &'a Target, token: &'a str) -> Answer<'a, String> {
        let now = self.now();
        self.call("StartPipelineExecution", token, move |world| {
            if let Some(id) = world.tokens.get(token) {
                return Ok(id.clone());
            }
            let id = format!("execution-{}", world.next());
            world.tokens.insert(token.to_owned(), id.clone());
            world.executions.push(Execution {
                id: id.clone(),
                status: ExecutionStatus::InProgress,
                status_summary: None,
                trigger: Some(Trigger {
                    kind: "StartPipelineExecution".to_owned(),
                    detail: None,
                }),
                started: Some(now),
                revisions: Vec::new(),
                stages: Vec::new(),
            });
            Ok(id)
        })
    }

    fn stop_execution<'a>(&'a self, _: &'a Target, id: &'a str, reason: &'a str) -> Answer<'a, ()> {
        self.call("StopPipelineExecution", id, move |world| {
            if let Some(execution) = world
                .executions
                .iter_mut()
                .find(|execution| execution.id == id)
            {
                execution.status = ExecutionStatus::Stopped;
                execution.status_summary = Some(reason.to_owned());
            }
            Ok(())
        })
    }

    fn deployments<'a>(
        &'a self,
        _: &'a Target,
        which: Which,
        limit: usize,
    ) -> Answer<'a, Vec<DeploymentSummary>> {
        self.call("ListDeployments", "", move |world| {
            let wanted = |deployment: &&Deployment| which == Which::All || is_in_flight(deployment);
            let newest = world.deployments.iter().rev().filter(wanted).take(limit);
            Ok(newest
                .map(|deployment| DeploymentSummary {
                    id: deployment.id.clone(),
                    status: deployment.status.clone(),
                    creator: deployment.creator.clone(),
                    description: deployment.description.clone(),
                    task_definition: deployment.task_definition.clone(),
                    created: deployment.created,
                    completed: deployment.completed,
                })
                .collect())
        })
    }

    fn deployment<'a>(&'a self, _: &'a Target, id: &'a str) -> Answer<'a, Option<Deployment>> {
        self.call("GetDeployment", id, move |world| {
            Ok(world.deployment(id).cloned())
        })
    }

    fn create_deployment<'a>(
        &'a self,
        _: &'a Target,
        new: &'a NewDeployment,
    ) -> Answer<'a, String> {
        let now = self.now();
        self.call("CreateDeployment", "", move |world| {
            if world.deployments.iter().any(is_in_flight) {
                return Err(Self::failure("CreateDeployment", FailureKind::Conflict));
            }
            let id = format!("d-made-{}", world.next());
            world.deployments.push(Deployment {
                task_definition: task_definition_in(&new.app_spec).map(str::to_owned),
                description: Some(new.description.clone()),
                ..created(id.clone(), "user", now)
            });
            Ok(id)
        })
    }

    fn continue_deployment<'a>(
        &'a self,
        _: &'a Target,
        id: &'a str,
        wait: DeploymentWait,
    ) -> Answer<'a, ()> {
        self.call(
            "ContinueDeployment",
            &format!("{id} {wait:?}"),
            move |world| {
                let phase = world
                    .deployment(id)
                    .map(|deployment| rollout::phase(deployment));
                match (phase, wait) {
                    (Some(Phase::Ready), DeploymentWait::Ready)
                    | (Some(Phase::OldTasks), DeploymentWait::Termination) => {
                        if let (Some(deployment), DeploymentWait::Ready) =
                            (world.deployment(id), wait)
                        {
                            deployment.status = DeploymentStatus::InProgress;
                        }
                        Ok(())
                    }
                    _ => Err(Self::failure("ContinueDeployment", FailureKind::Conflict)),
                }
            },
        )
    }

    fn stop_deployment<'a>(
        &'a self,
        _: &'a Target,
        id: &'a str,
        then: AfterStop,
    ) -> Answer<'a, ()> {
        let now = self.now();
        self.call("StopDeployment", &format!("{id} {then:?}"), move |world| {
            let rollback = format!("d-made-{}", world.next());
            let Some(deployment) = world
                .deployment(id)
                .filter(|deployment| is_in_flight(deployment))
            else {
                return Err(Self::failure("StopDeployment", FailureKind::Conflict));
            };
            deployment.status = DeploymentStatus::Stopped;
            deployment.completed = Some(now);
            let message = "Deployment stopped by user.".to_owned();
            deployment.error = Some(Fault {
                code: "MANUAL_STOP".to_owned(),
                message,
            });
            if then == AfterStop::RollBack {
                let info = RollbackInfo {
                    rollback_deployment: Some(rollback.clone()),
                    ..RollbackInfo::default()
                };
                deployment.rollback = Some(info);
                let back = RollbackInfo {
                    triggering_deployment: Some(id.to_owned()),
                    ..RollbackInfo::default()
                };
                let made = created(rollback, ROLLBACK_CREATOR, now);
                world.deployments.push(Deployment {
                    rollback: Some(back),
                    ..made
                });
            }
            Ok(())
        })
    }

    fn settings<'a>(&'a self, _: &'a Target) -> Answer<'a, GroupSettings> {
        self.call("GetDeploymentGroup", "", |world| {
            world
                .settings
                .clone()
                .ok_or_else(|| Self::failure("GetDeploymentGroup", FailureKind::NotFound))
        })
    }

    fn service<'a>(&'a self, _: &'a Target) -> Answer<'a, ServiceState> {
        self.call("DescribeServices", "", |world| {
            world
                .service
                .clone()
                .ok_or_else(|| Self::failure("DescribeServices", FailureKind::NotFound))
        })
    }

    fn image<'a>(&'a self, task_definition: &'a str) -> Answer<'a, String> {
        self.call("DescribeTaskDefinition", task_definition, move |world| {
            let image = world.images.get(task_definition).cloned();
            image.ok_or_else(|| Self::failure("DescribeTaskDefinition", FailureKind::NotFound))
        })
    }

    fn image_state<'a>(&'a self, image: &'a str) -> Answer<'a, Option<ImageState>> {
        self.call("BatchGetImage", image, move |world| {
            Ok(world.image_states.get(image).cloned())
        })
    }

    fn role_exists<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        self.call("GetRole", name, move |world| {
            Ok(!world.missing_roles.contains(name))
        })
    }

    fn register_task_definition<'a>(
        &'a self,
        _: &'a Target,
        definition: &'a serde_json::Value,
    ) -> Answer<'a, String> {
        self.call("RegisterTaskDefinition", "", move |world| {
            world.registered.push(definition.clone());
            let family = definition["family"].as_str().unwrap_or("family");
            let revision = world.next();
            Ok(format!(
                "arn:aws:ecs:eu-central-1:111122223333:task-definition/{family}:{revision}"
            ))
        })
    }

    fn listeners<'a>(&'a self, _: &'a Target) -> Answer<'a, Listeners> {
        self.call("DescribeListeners", "", |world| Ok(world.listeners.clone()))
    }

    fn forward<'a>(
        &'a self,
        _: &'a Target,
        listener: Listener,
        target_group: &'a str,
    ) -> Answer<'a, ()> {
        let argument = format!("{listener:?} {target_group}");
        self.call("ModifyListener", &argument, move |world| {
            let routes = vec![Route {
                target_group: target_group.to_owned(),
                weight: 1,
            }];
            match listener {
                Listener::Production => world.listeners.production = routes,
                Listener::Test => world.listeners.test = routes,
            }
            Ok(())
        })
    }

    fn delete_task_set<'a>(&'a self, _: &'a Target, id: &'a str) -> Answer<'a, ()> {
        self.call("DeleteTaskSet", id, move |world| {
            if let Some(service) = &mut world.service {
                service.task_sets.retain(|set| set.id != id);
            }
            Ok(())
        })
    }

    fn health<'a>(&'a self, _: &'a Target) -> Answer<'a, BTreeMap<String, Health>> {
        self.call("DescribeTargetHealth", "", |world| Ok(world.health.clone()))
    }

    fn stopped_tasks<'a>(
        &'a self,
        _: &'a Target,
        known: &'a BTreeSet<String>,
    ) -> Answer<'a, Vec<StoppedTask>> {
        self.call("ListTasks", "", |world| {
            let tasks = world.stopped_tasks.iter();
            let new = tasks.filter(|task| !known.contains(&task.id));
            Ok(new.cloned().collect())
        })
    }

    fn alarms<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<Alarm>> {
        self.call("DescribeAlarms", "", |world| {
            let alarms = world.alarms.iter();
            let wanted = alarms.filter(|alarm| names.contains(&alarm.name));
            Ok(wanted.cloned().collect())
        })
    }

    fn build<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Build>> {
        self.call("BatchGetBuilds", id, move |world| {
            Ok(world.builds.iter().find(|build| build.id == id).cloned())
        })
    }

    fn log_tail<'a>(&'a self, stream: &'a LogStream, lines: u32) -> Answer<'a, Vec<String>> {
        self.call("GetLogEvents", &stream.stream, move |world| {
            let tail = world.tails.get(&stream.stream);
            let tail = tail.map(Vec::as_slice).unwrap_or_default();
            let skip = tail.len().saturating_sub(lines as usize);
            Ok(tail[skip..].to_vec())
        })
    }

    fn log_events<'a>(&'a self, _: &'a Target, query: &'a LogQuery) -> Answer<'a, LogPage> {
        self.call("FilterLogEvents", "", move |world| {
            let skip: usize = query
                .token
                .as_deref()
                .and_then(|token| token.parse().ok())
                .unwrap_or(0);
            let wanted = world
                .log
                .iter()
                .filter(|event| query.since.is_none_or(|since| event.at >= since));
            let events: Vec<_> = wanted.skip(skip).cloned().collect();
            let size = if world.log_page == 0 {
                usize::MAX
            } else {
                world.log_page
            };
            let token = (events.len() > size).then(|| (skip + size).to_string());
            Ok(LogPage {
                events: events.into_iter().take(size).collect(),
                token,
            })
        })
    }
}

fn created(id: String, creator: &str, now: Timestamp) -> Deployment {
    Deployment {
        id,
        status: DeploymentStatus::Created,
        creator: Some(creator.to_owned()),
        description: None,
        task_definition: None,
        created: Some(now),
        completed: None,
        error: None,
        rollback: None,
        termination_wait_started: false,
        lifecycle_events: Vec::new(),
        task_sets: Vec::new(),
    }
}

fn is_in_flight(deployment: &Deployment) -> bool {
    !matches!(
        deployment.status,
        DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped
    )
}

fn replace<T: Clone>(list: &mut Vec<T>, item: &T, same: fn(&T, &T) -> bool) {
    match list.iter_mut().find(|known| same(known, item)) {
        Some(known) => *known = item.clone(),
        None => list.push(item.clone()),
    }
}
