//! How a CodeDeploy deployment moves (AWS.md §4.3): lifecycle events one after the other, a green task set behind the other
//! target group, test traffic, the wait for a human, production traffic by steps, the wait before the old tasks go; and back,
//! where something is wrong. All of it is state and timers, so that a saved account goes on where it was. Must not answer
//! API calls; changes ECS and listeners only through their services.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::services::codedeploy::{
    self, Deployment, ErrorInformation, Event, Hook, Phase, Rollback, Routing, Side,
};
use crate::services::{cloudwatch, ecs, elbv2, events, lambda, s3};
use crate::tasks::schedule;
use crate::wire::{Fault, Input as _};
use crate::world::{Wake, World};

mod role;

use self::role::Role;

/// From `Created` to `Queued`, and from there to `InProgress`.
const QUEUE: Millis = 1_000;
/// The lifecycle events that functions can be called at (AWS.md §1.1).
const HOOKS: [&str; 5] = [
    "BeforeInstall",
    "AfterInstall",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];
/// A function has an hour to tell.
const TELL: Millis = 3_600_000;
/// A lifecycle event without a function to call takes about a second …
const HOOK: Millis = 1_000;
/// … and one that changes a listener a bit more.
const LISTENER: Millis = 2_000;
/// How often a waiting deployment looks at the green task set, or at its alarms.
const POLL: Millis = 3_000;
/// Green must be steady within an hour (AWS.md §4.3).
const INSTALL: Millis = 3_600_000;
const MINUTE: Millis = 60_000;

/// What comes after a look at a deployment.
enum Next {
    /// Another look at once.
    Again,
    /// Another look then.
    At(Millis),
    /// It is over.
    Over,
}

/// What an AppSpec says.
#[derive(Debug, PartialEq)]
struct AppSpec {
    definition: String,
    container: String,
    port: u16,
    platform: Option<String>,
    network: Option<Value>,
    /// Functions by the lifecycle event that they are called at.
    hooks: BTreeMap<String, String>,
}

/// Keeps a new deployment and sets it going; answers its id.
pub(crate) fn launch(world: &mut World, region: &str, deployment: Deployment) -> String {
    let id = deployment.id.clone();
    let state = &mut world.at(region).codedeploy;
    let group = state
        .applications
        .get_mut(&deployment.application)
        .and_then(|a| a.groups.get_mut(&deployment.group));
    if let Some(group) = group {
        group.last_attempt = Some(id.clone());
    }
    state.deployments.insert(id.clone(), deployment);
    world.wake_in(QUEUE, region, Wake::Deployment(id.clone()));
    id
}

pub(crate) fn wake(world: &mut World, region: &str, id: &str) {
    loop {
        let Some(mut deployment) = take(world, region, id) else {
            return;
        };
        if deployment.is_over() {
            return;
        }
        let next = advance(world, region, &mut deployment);
        keep(world, region, deployment);
        match next {
            Next::Again => {}
            Next::At(at) => return schedule(world, at, region, Wake::Deployment(id.to_owned())),
            Next::Over => return,
        }
    }
}

/// Goes on from the wait that the deployment is in.
pub(crate) fn resume(world: &mut World, region: &str, id: &str) {
    let Some(mut deployment) = take(world, region, id) else {
        return;
    };
    match deployment.phase {
        Phase::Ready { next, .. } => deployment.phase = Phase::Running(next),
        Phase::Terminating { .. } => deployment.phase = Phase::Terminating { until: world.now },
        _ => return,
    }
    keep(world, region, deployment);
    world
        .timers
        .retain(|timer| timer.wake != Wake::Deployment(id.to_owned()));
    wake(world, region, id);
}

/// Has a deployment looked at at once: something that it waits for is there.
pub(crate) fn wake_now(world: &mut World, region: &str, id: &str) {
    let at = world.now;
    schedule(world, at, region, Wake::Deployment(id.to_owned()));
}

/// Stops a deployment where it is; with `rollback`, traffic and tasks go back to where they were.
pub(crate) fn stop(world: &mut World, region: &str, id: &str, rollback: bool) {
    let Some(mut deployment) = take(world, region, id) else {
        return;
    };
    let error = error("MANUAL_STOP", "The deployment was stopped on request.");
    end_badly(
        world,
        region,
        &mut deployment,
        Phase::Stopped,
        error,
        rollback,
    );
    keep(world, region, deployment);
}

fn take(world: &mut World, region: &str, id: &str) -> Option<Deployment> {
    world.at(region).codedeploy.deployments.get(id).cloned()
}

fn keep(world: &mut World, region: &str, deployment: Deployment) {
    world
        .at(region)
        .codedeploy
        .deployments
        .insert(deployment.id.clone(), deployment);
}

fn error(code: &str, message: impl Into<String>) -> ErrorInformation {
    ErrorInformation {
        code: code.to_owned(),
        message: message.into(),
    }
}

/// One look at a deployment that isn't over.
fn advance(world: &mut World, region: &str, deployment: &mut Deployment) -> Next {
    let now = world.now;
    if let Some(alarm) = alarm(world, region, deployment) {
        let message = format!(
            "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected deployments have been stopped. Activated alarms: <{alarm}>"
        );
        let rollback = deployment
            .settings
            .rollback
            .covers("DEPLOYMENT_STOP_ON_ALARM");
        return end_badly(
            world,
            region,
            deployment,
            Phase::Stopped,
            error("ALARM_ACTIVE", message),
            rollback,
        );
    }
    match deployment.phase.clone() {
        Phase::Created => {
            go(deployment, Phase::Queued, now);
            Next::At(now + QUEUE)
        }
        Phase::Queued => match begin(world, region, deployment) {
            Ok(()) => Next::Again,
            Err(error) => fail(world, region, deployment, error),
        },
        Phase::Running(index) => match run(world, region, deployment, index) {
            Ok(next) => next,
            Err(error) => fail(world, region, deployment, error),
        },
        Phase::Ready { until, .. } if now >= until => {
            let minutes = deployment.settings.ready_wait.unwrap_or_default();
            let message = format!(
                "The deployment was stopped because traffic was not rerouted within the wait of {minutes} minutes."
            );
            let rollback = deployment
                .settings
                .rollback
                .covers("DEPLOYMENT_STOP_ON_REQUEST");
            end_badly(
                world,
                region,
                deployment,
                Phase::Stopped,
                error("TIMEOUT", message),
                rollback,
            )
        }
        Phase::Terminating { until } if now >= until => match finish(world, region, deployment) {
            Ok(next) => next,
            Err(error) => fail(world, region, deployment, error),
        },
        Phase::Ready { until, .. } | Phase::Terminating { until } => wait(deployment, now, until),
        Phase::Succeeded | Phase::Failed | Phase::Stopped => Next::Over,
    }
}

/// Waits until a time, looking at the alarms meanwhile, where there are any.
fn wait(deployment: &Deployment, now: Millis, until: Millis) -> Next {
    match deployment.settings.alarms.enabled {
        true => Next::At(until.min(now + POLL)),
        false => Next::At(until),
    }
}

fn go(deployment: &mut Deployment, phase: Phase, now: Millis) {
    deployment.phase = phase;
    deployment.updated = now;
}

/// The first of the deployment's alarms that is in alarm. A rollback looks at none.
fn alarm(world: &World, region: &str, deployment: &Deployment) -> Option<String> {
    let alarms = &deployment.settings.alarms;
    if !alarms.enabled || deployment.rollback.of.is_some() {
        return None;
    }
    let active = |name: &&String| cloudwatch::is_in_alarm(world, region, name);
    alarms.names.iter().find(active).cloned()
}

// Forward.

/// Begins: what can be wrong before anything is made is found here.
fn begin(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
) -> Result<(), ErrorInformation> {
    let now = world.now;
    deployment.started = Some(now);
    deployment.events = lifecycle(deployment);
    let first = match deployment.rollback.of {
        // Green exists already: a rollback only moves traffic.
        Some(_) => deployment
            .events
            .iter()
            .position(|event| event.status == "Pending")
            .unwrap_or_default(),
        None => 0,
    };
    go(deployment, Phase::Running(first), now);
    announce(world, region, deployment, "START");
    let state = &world.at(region).codedeploy;
    let group = state
        .applications
        .get(&deployment.application)
        .and_then(|a| a.groups.get(&deployment.group));
    if group.is_none() {
        return Err(error(
            "DEPLOYMENT_GROUP_MISSING",
            format!("The deployment group {} is gone.", deployment.group),
        ));
    }
    let role = Role::assume(world, region, deployment)?;
    role.look_at_service(world)?;
    role.look_at_balancer(world)?;
    let alarms = &deployment.settings.alarms;
    if alarms.enabled && !alarms.ignore_poll_failure {
        role.look_at_alarms(world)?;
    }
    if deployment.rollback.of.is_some() {
        return Ok(());
    }
    role.read_revision(world)?;
    let spec = app_spec(world, deployment)?;
    for event in &mut deployment.events {
        event.hook = spec.hooks.get(&event.name).map(|function| Hook {
            function: function.clone(),
            execution: None,
            planned: None,
            told: None,
        });
    }
    deployment.blue = Some(primary(world, region, deployment)?);
    Ok(())
}

/// The lifecycle events of a deployment; without a test listener there is no test traffic.
fn lifecycle(deployment: &Deployment) -> Vec<Event> {
    let test: &[&str] = match deployment.settings.test {
        Some(_) => &["AllowTestTraffic", "AfterAllowTestTraffic"],
        None => &[],
    };
    let names = ["BeforeInstall", "Install", "AfterInstall"]
        .iter()
        .chain(test);
    let before = names.map(|name| (*name, deployment.rollback.of.is_some()));
    let after =
        ["BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"].map(|name| (name, false));
    let event = |(name, skipped): (&str, bool)| Event {
        name: name.to_owned(),
        status: if skipped { "Skipped" } else { "Pending" }.to_owned(),
        start: None,
        end: None,
        message: None,
        hook: None,
    };
    before.chain(after).map(event).collect()
}

/// Works on the lifecycle event with the index.
fn run(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    index: usize,
) -> Result<Next, ErrorInformation> {
    let now = world.now;
    let Some(event) = deployment.events.get_mut(index) else {
        return after_events(world, region, deployment);
    };
    let name = event.name.clone();
    let start = match event.start {
        Some(start) => start,
        None => {
            event.start = Some(now);
            event.status = "InProgress".to_owned();
            deployment.updated = now;
            enter(world, region, deployment, &name)?;
            now
        }
    };
    if let Some(at) = unfinished(world, region, deployment, &name, start)? {
        return Ok(Next::At(at));
    }
    let event = &mut deployment.events[index];
    event.end = Some(now);
    event.status = "Succeeded".to_owned();
    let gate = if deployment.settings.test.is_some() {
        "AfterAllowTestTraffic"
    } else {
        "AfterInstall"
    };
    match deployment.settings.ready_wait.filter(|_| name == gate) {
        Some(minutes) => {
            go(
                deployment,
                Phase::Ready {
                    until: now + minutes * MINUTE,
                    next: index + 1,
                },
                now,
            );
            announce(world, region, deployment, "READY");
        }
        None => go(deployment, Phase::Running(index + 1), now),
    }
    Ok(Next::Again)
}

/// What a lifecycle event does when it begins.
fn enter(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    name: &str,
) -> Result<(), ErrorInformation> {
    match name {
        "Install" => install(world, region, deployment),
        "AllowTestTraffic" => {
            let (_, green) = sides(deployment)?;
            let test = deployment.settings.test.clone().unwrap_or_default();
            let weights = [(green.target_group_arn, 100)];
            forward(world, region, deployment, &test, &weights)
        }
        "AllowTraffic" if deployment.rollback.of.is_some() => {
            restore(world, region, deployment)?;
            deployment.shifted = 0;
            Ok(())
        }
        "AllowTraffic" => {
            let routing = codedeploy::routing(world, region, &deployment.config);
            deployment.shifts = shifts(routing.unwrap_or(Routing::AllAtOnce), world.now);
            shift(world, region, deployment)
        }
        _ => call_hook(world, region, deployment, name),
    }
}

/// When to look at a begun lifecycle event again; `None` where it is done.
fn unfinished(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    name: &str,
    start: Millis,
) -> Result<Option<Millis>, ErrorInformation> {
    let now = world.now;
    let until = |at: Millis| (now < at).then_some(at);
    match name {
        "Install" => {
            if is_steady(world, region, deployment)? {
                return Ok(None);
            }
            match now >= start + INSTALL {
                true => Err(error(
                    "TIMEOUT",
                    "The deployment timed out while waiting for the replacement task set to become healthy. This time out period is 60 minutes.",
                )),
                false => Ok(Some(now + POLL)),
            }
        }
        "AllowTestTraffic" => Ok(until(start + LISTENER)),
        "AllowTraffic" => {
            shift(world, region, deployment)?;
            match deployment.shifts.first() {
                Some((at, _)) if deployment.settings.alarms.enabled => {
                    Ok(Some((*at).min(now + POLL)))
                }
                Some((at, _)) => Ok(Some(*at)),
                None => Ok(until(start + LISTENER)),
            }
        }
        _ => match await_hook(deployment, name, start, now)? {
            Some(at) if deployment.settings.alarms.enabled => Ok(Some(at.min(now + POLL))),
            Some(at) => Ok(Some(at)),
            None => Ok(until(start + HOOK)),
        },
    }
}

/// Calls the function of a lifecycle event, where it has one.
fn call_hook(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    name: &str,
) -> Result<(), ErrorInformation> {
    let id = deployment.id.clone();
    let hook = deployment
        .events
        .iter()
        .find(|event| event.name == name)
        .and_then(|event| event.hook.clone());
    let Some(hook) = hook else {
        return Ok(());
    };
    let arn = lambda::arn(world, region, &hook.function);
    Role::assume(world, region, deployment)?.call_function(world, &arn)?;
    let execution = world.uuid();
    let input = json!({"DeploymentId": id, "LifecycleEventHookExecutionId": execution});
    let outcome = lambda::run(world, region, &hook.function, &input).ok_or_else(|| {
        let message = format!(
            "The Lambda function {} of the lifecycle event hook {name} does not exist.",
            hook.function
        );
        error("INVALID_LAMBDA_FUNCTION", message)
    })?;
    let events = &mut deployment.events;
    if let Some(event) = events.iter_mut().find(|event| event.name == name) {
        event.hook = Some(Hook {
            execution: Some(execution),
            planned: outcome.tells.map(|(at, status)| (at, status.to_owned())),
            ..hook
        });
    }
    Ok(())
}

/// When a function that was called is to be looked at again; `None` where there is none, or it told that it succeeded.
fn await_hook(
    deployment: &mut Deployment,
    name: &str,
    start: Millis,
    now: Millis,
) -> Result<Option<Millis>, ErrorInformation> {
    let event = deployment
        .events
        .iter_mut()
        .find(|event| event.name == name);
    let Some(hook) = event.and_then(|event| event.hook.as_mut()) else {
        return Ok(None);
    };
    if let Some((_, status)) = hook.planned.take_if(|(at, _)| *at <= now) {
        hook.told.get_or_insert(status);
    }
    let failed = |what: &str| {
        let message = format!(
            "The lifecycle event hook {name} failed: the Lambda function {} {what}.",
            hook.function
        );
        error("HOOK_EXECUTION_FAILURE", message)
    };
    match hook.told.as_deref() {
        Some("Succeeded") => Ok(None),
        Some(status) => Err(failed(&format!("returned the status {status}"))),
        None if now >= start + TELL => Err(failed("did not return a status within 3600 seconds")),
        None => {
            let planned = hook.planned.as_ref().map_or(start + TELL, |(at, _)| *at);
            Ok(Some(planned.min(start + TELL)))
        }
    }
}

/// Makes the green task set behind the target group that the primary one doesn't use.
fn install(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
) -> Result<(), ErrorInformation> {
    let role = Role::assume(world, region, deployment)?;
    role.look_at_service(world)?;
    role.read_revision(world)?;
    let spec = app_spec(world, deployment)?;
    role.create_task_set(world, &spec.definition)?;
    let blue = primary(world, region, deployment)?;
    let settings = deployment.settings.clone();
    let other = settings
        .target_groups
        .iter()
        .find(|name| **name != blue.target_group)
        .cloned()
        .unwrap_or_default();
    let other_arn = elbv2::target_group_arn(world, region, &other);
    let other_arn = other_arn.ok_or_else(|| {
        error(
            "ELASTIC_LOAD_BALANCING_INVALID",
            format!("The target group {other} is gone."),
        )
    })?;
    clear_leftovers(world, region, deployment, &blue)?;
    attach(
        world,
        region,
        deployment,
        &blue.target_group_arn,
        &other_arn,
    )?;
    let mut input = json!({
        "taskDefinition": spec.definition,
        "externalId": deployment.id,
        "startedBy": "CODE_DEPLOY",
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "loadBalancers": [{"targetGroupArn": other_arn, "containerName": spec.container, "containerPort": spec.port}],
    });
    if let Some(network) = spec.network {
        input["networkConfiguration"] = network;
    }
    if let Some(platform) = spec.platform {
        input["platformVersion"] = json!(platform);
    }
    let arn = ecs::create_task_set(world, region, &settings.cluster, &settings.service, &input)
        .map_err(|fault| refused(&fault))?;
    let id = arn.rsplitn(3, '/').take(2).collect::<Vec<_>>();
    let id = id.into_iter().rev().collect::<Vec<_>>().join("/");
    deployment.green = Some(Side {
        id,
        arn,
        target_group: other,
        target_group_arn: other_arn,
    });
    deployment.blue = Some(blue);
    Ok(())
}

/// A deployment that was stopped without a rollback leaves its green task set, perhaps with some of the traffic. The next one
/// takes that traffic back and the set away, since it needs the target group.
fn clear_leftovers(
    world: &mut World,
    region: &str,
    deployment: &Deployment,
    blue: &Side,
) -> Result<(), ErrorInformation> {
    let settings = &deployment.settings;
    let service = ecs::find_service(world, region, &settings.cluster, &settings.service);
    let sets = service
        .map(|service| service.sets.as_slice())
        .unwrap_or_default();
    let leftovers: Vec<String> = sets
        .iter()
        .filter(|set| set.status == "ACTIVE")
        .map(|set| set.arn.clone())
        .collect();
    if leftovers.is_empty() {
        return Ok(());
    }
    let weights = [(blue.target_group_arn.clone(), 100)];
    forward(world, region, deployment, &settings.production, &weights)?;
    for arn in leftovers {
        Role::assume(world, region, deployment)?.delete_task_set(world, &arn)?;
        ecs::delete_task_set(world, region, &settings.cluster, &settings.service, &arn);
    }
    Ok(())
}

/// Health is checked only in a target group that hangs on a listener: where green's doesn't, it is hung up with weight 0.
fn attach(
    world: &mut World,
    region: &str,
    deployment: &Deployment,
    blue: &str,
    green: &str,
) -> Result<(), ErrorInformation> {
    let settings = &deployment.settings;
    let production = listener(world, region, &settings.production)?;
    if !production.iter().any(|(group, _)| group == blue) {
        let message = format!(
            "The ELB could not be updated due to the following error: Primary taskset target group must be behind listener {}",
            settings.production
        );
        return Err(error("ELASTIC_LOAD_BALANCING_INVALID", message));
    }
    let (listener_arn, current) = match &settings.test {
        Some(test) => (test.clone(), listener(world, region, test)?),
        None => (settings.production.clone(), production.clone()),
    };
    if production
        .iter()
        .chain(&current)
        .any(|(group, _)| group == green)
    {
        return Ok(());
    }
    let weights = [(blue.to_owned(), 100), (green.to_owned(), 0)];
    forward(world, region, deployment, &listener_arn, &weights)
}

fn is_steady(
    world: &World,
    region: &str,
    deployment: &Deployment,
) -> Result<bool, ErrorInformation> {
    let settings = &deployment.settings;
    Role::assume(world, region, deployment)?.look_at_service(world)?;
    let (_, green) = sides(deployment)?;
    let service = ecs::find_service(world, region, &settings.cluster, &settings.service);
    let service = service
        .filter(|service| service.status == "ACTIVE")
        .ok_or_else(|| no_service(deployment))?;
    let gone = || {
        error(
            "ECS_UPDATE_ERROR",
            format!("The task set {} is gone.", green.id),
        )
    };
    service
        .set(&green.arn)
        .filter(|set| set.status != "DRAINING")
        .map(|set| set.steady)
        .ok_or_else(gone)
}

/// When how many percent go to green.
fn shifts(routing: Routing, now: Millis) -> Vec<(Millis, u32)> {
    let percent = |value: i64| u32::try_from(value.clamp(0, 100)).unwrap_or(100);
    match routing {
        Routing::AllAtOnce => vec![(now, 100)],
        Routing::Canary(first, minutes) => {
            vec![(now, percent(first)), (now + minutes * MINUTE, 100)]
        }
        Routing::Linear(step, minutes) => {
            let count = (100 + step - 1) / step;
            (0..count)
                .map(|index| (now + index * minutes * MINUTE, percent(step * (index + 1))))
                .collect()
        }
    }
}

/// Makes the shifts that are due.
fn shift(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
) -> Result<(), ErrorInformation> {
    let now = world.now;
    while let Some((at, percent)) = deployment.shifts.first().copied() {
        if at > now {
            break;
        }
        let (blue, green) = sides(deployment)?;
        let weights = match percent {
            100 => vec![(green.target_group_arn, 100)],
            _ => vec![
                (blue.target_group_arn, 100 - percent),
                (green.target_group_arn, percent),
            ],
        };
        let production = deployment.settings.production.clone();
        forward(world, region, deployment, &production, &weights)?;
        deployment.shifts.remove(0);
        deployment.shifted = percent;
        deployment.updated = now;
    }
    Ok(())
}

/// After the last lifecycle event: green becomes the primary task set, and blue stays for its time.
fn after_events(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
) -> Result<Next, ErrorInformation> {
    let now = world.now;
    if deployment.rollback.of.is_some() {
        go(deployment, Phase::Succeeded, now);
        return Ok(finished(world, region, deployment));
    }
    Role::assume(world, region, deployment)?.set_primary(world)?;
    let settings = deployment.settings.clone();
    let (_, green) = sides(deployment)?;
    ecs::set_primary(
        world,
        region,
        &settings.cluster,
        &settings.service,
        &green.arn,
    )
    .map_err(|fault| refused(&fault))?;
    if settings.termination_wait == 0 {
        return finish(world, region, deployment);
    }
    deployment.terminating = true;
    go(
        deployment,
        Phase::Terminating {
            until: now + settings.termination_wait * MINUTE,
        },
        now,
    );
    Ok(Next::Again)
}

/// Blue goes, and it is done.
fn finish(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
) -> Result<Next, ErrorInformation> {
    let settings = deployment.settings.clone();
    if let Some(blue) = &deployment.blue {
        Role::assume(world, region, deployment)?.delete_task_set(world, &blue.arn)?;
        ecs::delete_task_set(
            world,
            region,
            &settings.cluster,
            &settings.service,
            &blue.arn,
        );
    }
    go(deployment, Phase::Succeeded, world.now);
    Ok(finished(world, region, deployment))
}

fn finished(world: &mut World, region: &str, deployment: &mut Deployment) -> Next {
    deployment.completed = Some(world.now);
    let state = &mut world.at(region).codedeploy;
    let group = state
        .applications
        .get_mut(&deployment.application)
        .and_then(|a| a.groups.get_mut(&deployment.group));
    if let Some(group) = group {
        group.last_success = Some(deployment.id.clone());
    }
    announce(world, region, deployment, "SUCCESS");
    Next::Over
}

// Backward.

fn fail(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    error: ErrorInformation,
) -> Next {
    let rollback = deployment.settings.rollback.covers("DEPLOYMENT_FAILURE");
    end_badly(world, region, deployment, Phase::Failed, error, rollback)
}

fn end_badly(
    world: &mut World,
    region: &str,
    deployment: &mut Deployment,
    phase: Phase,
    error: ErrorInformation,
    rollback: bool,
) -> Next {
    let now = world.now;
    for event in &mut deployment.events {
        match event.status.as_str() {
            "Pending" => event.status = "Skipped".to_owned(),
            "InProgress" => {
                event.status = if phase == Phase::Failed {
                    "Failed"
                } else {
                    "Skipped"
                }
                .to_owned();
                event.end = Some(now);
                event.message = Some(error.message.clone());
            }
            _ => {}
        }
    }
    announce(
        world,
        region,
        deployment,
        if phase == Phase::Failed {
            "FAILURE"
        } else {
            "STOP"
        },
    );
    go(deployment, phase, now);
    deployment.completed = Some(now);
    deployment.shifts.clear();
    deployment.error = Some(error);
    // Without a green task set nothing was changed; and a rollback isn't rolled back.
    if rollback && deployment.green.is_some() && deployment.rollback.of.is_none() {
        roll_back(world, region, deployment);
    }
    Next::Over
}

/// Rolls back: by a new deployment of the last good revision, or, where nothing was ever deployed, by undoing this one.
fn roll_back(world: &mut World, region: &str, deployment: &mut Deployment) {
    let state = &world.at(region).codedeploy;
    let group = state
        .applications
        .get(&deployment.application)
        .and_then(|a| a.groups.get(&deployment.group));
    let last = group
        .and_then(|group| state.deployments.get(group.last_success.as_ref()?))
        .cloned();
    let Some(last) = last else {
        let undone = restore(world, region, deployment);
        deployment.shifted = if undone.is_ok() {
            0
        } else {
            deployment.shifted
        };
        deployment.rollback.message = Some(match undone {
            Ok(()) => "There is no previous successful deployment to redeploy. Traffic was routed back to the original task set, and the replacement task set was deleted.".to_owned(),
            Err(error) => format!("The deployment could not be rolled back: {}", error.message),
        });
        return;
    };
    let id = codedeploy::new_id(world);
    let message = format!(
        "Deployment {id} has been created to roll back deployment {} to the last successful revision.",
        deployment.id
    );
    let new = Deployment {
        id: id.clone(),
        number: world.at(region).codedeploy.deployments.len() as u64 + 1,
        config: "CodeDeployDefault.ECSAllAtOnce".to_owned(),
        revision: last.revision,
        previous: Some(deployment.revision.clone()),
        description: Some(format!("Rollback of deployment {}", deployment.id)),
        creator: "codeDeployRollback".to_owned(),
        created: world.now,
        updated: world.now,
        started: None,
        completed: None,
        phase: Phase::Created,
        events: Vec::new(),
        shifts: Vec::new(),
        terminating: false,
        error: None,
        rollback: Rollback {
            by: None,
            of: Some(deployment.id.clone()),
            message: Some(message.clone()),
        },
        ..deployment.clone()
    };
    deployment.rollback.by = Some(launch(world, region, new));
    deployment.rollback.message = Some(message);
}

/// Traffic goes back to blue, blue is primary again, and green goes.
fn restore(
    world: &mut World,
    region: &str,
    deployment: &Deployment,
) -> Result<(), ErrorInformation> {
    let settings = &deployment.settings;
    let (blue, green) = sides(deployment)?;
    for listener in std::iter::once(&settings.production).chain(&settings.test) {
        let weights = [(blue.target_group_arn.clone(), 100)];
        forward(world, region, deployment, listener, &weights)?;
    }
    let role = Role::assume(world, region, deployment)?;
    role.set_primary(world)?;
    role.delete_task_set(world, &green.arn)?;
    ecs::set_primary(
        world,
        region,
        &settings.cluster,
        &settings.service,
        &blue.arn,
    )
    .map_err(|fault| refused(&fault))?;
    ecs::delete_task_set(
        world,
        region,
        &settings.cluster,
        &settings.service,
        &green.arn,
    );
    Ok(())
}

// What both ways share.

/// The primary task set, with its target group, which must be one of the pair.
fn primary(world: &World, region: &str, deployment: &Deployment) -> Result<Side, ErrorInformation> {
    let settings = &deployment.settings;
    let service = ecs::find_service(world, region, &settings.cluster, &settings.service);
    let service = service
        .filter(|service| service.status == "ACTIVE")
        .ok_or_else(|| no_service(deployment))?;
    let set = service.primary().ok_or_else(|| {
        error(
            "INVALID_ECS_SERVICE",
            "The ECS service has no primary task set.",
        )
    })?;
    let arn = set
        .balancers
        .first()
        .map(|balancer| balancer.target_group.clone())
        .unwrap_or_default();
    let mut names = settings.target_groups.iter();
    let name =
        names.find(|name| elbv2::target_group_arn(world, region, name).as_ref() == Some(&arn));
    let wrong = || {
        let message = "The primary task set of the ECS service is behind none of the deployment group's target groups.";
        error("ELASTIC_LOAD_BALANCING_INVALID", message)
    };
    Ok(Side {
        id: set.id.clone(),
        arn: set.arn.clone(),
        target_group: name.cloned().ok_or_else(wrong)?,
        target_group_arn: arn,
    })
}

fn no_service(deployment: &Deployment) -> ErrorInformation {
    let settings = &deployment.settings;
    let message = format!(
        "The ECS service {}:{} is not active.",
        settings.cluster, settings.service
    );
    error("INVALID_ECS_SERVICE", message)
}

fn sides(deployment: &Deployment) -> Result<(Side, Side), ErrorInformation> {
    let sides = deployment.blue.clone().zip(deployment.green.clone());
    sides.ok_or_else(|| error("INTERNAL_ERROR", "The deployment has no task sets."))
}

fn listener(
    world: &World,
    region: &str,
    arn: &str,
) -> Result<Vec<(String, u32)>, ErrorInformation> {
    elbv2::forward(world, region, arn).ok_or_else(|| {
        let message = format!("The ELB could not be updated due to the following error: the listener {arn} does not exist");
        error("ELASTIC_LOAD_BALANCING_INVALID", message)
    })
}

fn forward(
    world: &mut World,
    region: &str,
    deployment: &Deployment,
    listener: &str,
    weights: &[(String, u32)],
) -> Result<(), ErrorInformation> {
    Role::assume(world, region, deployment)?.modify_listener(world, listener)?;
    elbv2::set_forward(world, region, listener, weights).map_err(|fault| {
        let message = format!(
            "The ELB could not be updated due to the following error: {}",
            fault.message
        );
        error("ELASTIC_LOAD_BALANCING_INVALID", message)
    })
}

/// What ECS refused.
fn refused(fault: &Fault) -> ErrorInformation {
    let message = format!(
        "The ECS service cannot be updated due to an unexpected error: {} (Service: AmazonECS; Status Code: {}; Error Code: {})",
        fault.message, fault.status, fault.code
    );
    error("ECS_UPDATE_ERROR", message)
}

/// Tells EventBridge.
fn announce(world: &mut World, region: &str, deployment: &Deployment, state: &str) {
    let group = format!(
        "deploymentgroup:{}/{}",
        deployment.application, deployment.group
    );
    let resources = [
        world.arn("codedeploy", region, &group),
        world.arn(
            "codedeploy",
            region,
            &format!("application:{}", deployment.application),
        ),
    ];
    let detail = json!({
        "application": deployment.application,
        "deploymentGroup": deployment.group,
        "deploymentId": deployment.id,
        "region": region,
        "state": state,
    });
    events::emit(
        world,
        region,
        "aws.codedeploy",
        "CodeDeploy Deployment State-change Notification",
        &resources,
        &detail,
    );
}

// The AppSpec (AWS.md §1.1).

fn app_spec(world: &World, deployment: &Deployment) -> Result<AppSpec, ErrorInformation> {
    let revision = &deployment.revision;
    let text = match revision.get("s3Location") {
        Some(location) => from_bucket(world, location)?,
        None => {
            let block = revision
                .get("appSpecContent")
                .or_else(|| revision.get("string"));
            block
                .and_then(|block| block.text("content"))
                .unwrap_or_default()
                .to_owned()
        }
    };
    parse(&text).map_err(|message| error("INVALID_REVISION", message))
}

fn from_bucket(world: &World, location: &Value) -> Result<String, ErrorInformation> {
    let (bucket, key) = (
        location.text("bucket").unwrap_or_default(),
        location.text("key").unwrap_or_default(),
    );
    let bytes = match location.text("version") {
        Some(version) => s3::get_version(world, bucket, key, version),
        None => s3::get(world, bucket, key).map(|(bytes, ..)| bytes),
    };
    let bytes = bytes.ok_or_else(|| {
        error(
            "REVISION_MISSING",
            format!("There is no AppSpec at s3://{bucket}/{key}."),
        )
    })?;
    String::from_utf8(bytes)
        .map_err(|_| error("INVALID_REVISION", "The AppSpec is not UTF-8 text."))
}

fn parse(text: &str) -> Result<AppSpec, String> {
    let file: Value = serde_saphyr::from_str(text)
        .map_err(|error| format!("The AppSpec can't be parsed: {error}"))?;
    let version = file.get("version").cloned().unwrap_or_default();
    if version.as_f64() != Some(0.0) && version.as_str() != Some("0.0") {
        return Err("The AppSpec's version must be 0.0.".to_owned());
    }
    let hooks = hooks(&file)?;
    let [resource] = file.list("Resources") else {
        return Err("The AppSpec must have exactly one resource.".to_owned());
    };
    let service = resource
        .as_object()
        .filter(|map| map.len() == 1)
        .and_then(|map| map.values().next());
    let service = service.ok_or("The AppSpec's resource must have one name.")?;
    if service.text("Type") != Some("AWS::ECS::Service") {
        return Err("The AppSpec's resource must have the type AWS::ECS::Service.".to_owned());
    }
    let properties = service.get("Properties").cloned().unwrap_or_default();
    let definition = properties.text("TaskDefinition").unwrap_or_default();
    if !definition.starts_with("arn:") || !definition.contains(":task-definition/") {
        return Err(format!(
            "The AppSpec's TaskDefinition must be the ARN of a task definition, not '{definition}'."
        ));
    }
    if !properties.list("CapacityProviderStrategy").is_empty() {
        return Err("The AppSpec has a CapacityProviderStrategy, which the ecspipe sandbox does not implement; leave it out".to_owned());
    }
    let balancer = properties
        .get("LoadBalancerInfo")
        .cloned()
        .unwrap_or_default();
    let container = balancer
        .text("ContainerName")
        .filter(|name| !name.is_empty());
    let container = container.ok_or("The AppSpec's LoadBalancerInfo must have a ContainerName.")?;
    // A quoted port is refused: here the service wants a number, and everywhere else a string.
    let port = balancer
        .get("ContainerPort")
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok());
    let port = port
        .filter(|port| *port > 0)
        .ok_or("The AppSpec's ContainerPort must be a number from 1 to 65535.")?;
    Ok(AppSpec {
        definition: definition.to_owned(),
        container: container.to_owned(),
        port,
        platform: properties.text("PlatformVersion").map(ToOwned::to_owned),
        network: network(&properties)?,
        hooks,
    })
}

/// Functions by lifecycle event, each named once. They are called in the order of the events, whatever theirs is.
fn hooks(file: &Value) -> Result<BTreeMap<String, String>, String> {
    let given = file.get("Hooks").filter(|given| !given.is_null());
    if given.is_some_and(|given| !given.is_array()) {
        return Err("The AppSpec's Hooks must be a list.".to_owned());
    }
    let mut hooks = BTreeMap::new();
    for item in file.list("Hooks") {
        let pair = item
            .as_object()
            .filter(|map| map.len() == 1)
            .and_then(|map| map.iter().next());
        let (name, function) =
            pair.ok_or("Each of the AppSpec's Hooks must be one lifecycle event with a function.")?;
        if !HOOKS.contains(&name.as_str()) {
            return Err(format!(
                "The AppSpec's Hooks name an unknown lifecycle event, {name}; there are {}.",
                HOOKS.join(", ")
            ));
        }
        let function = function.as_str().filter(|function| !function.is_empty());
        let function = function.ok_or_else(|| {
            format!("The AppSpec's hook {name} must be the name or ARN of a Lambda function.")
        })?;
        if hooks.insert(name.clone(), function.to_owned()).is_some() {
            return Err(format!("The AppSpec's Hooks name {name} twice."));
        }
    }
    Ok(hooks)
}

/// Subnets, security groups and public address: all three or none.
fn network(properties: &Value) -> Result<Option<Value>, String> {
    let Some(given) = properties
        .get("NetworkConfiguration")
        .filter(|given| !given.is_null())
    else {
        return Ok(None);
    };
    let given = given
        .get("AwsvpcConfiguration")
        .cloned()
        .unwrap_or_default();
    let (subnets, groups) = (given.texts("Subnets"), given.texts("SecurityGroups"));
    match given.text("AssignPublicIp") {
        Some(public) if !subnets.is_empty() && !groups.is_empty() => Ok(Some(json!({
            "awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups, "assignPublicIp": public},
        }))),
        _ => Err("The AppSpec's NetworkConfiguration must have Subnets, SecurityGroups and AssignPublicIp.".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
