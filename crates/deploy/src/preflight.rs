//! What stands in the way of a rollout, found before anything is made: everything at once, each with its way out. [`preflight`]
//! asks, [`obstacles`] judges and is pure. Must not change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use crate::error::{CloudFailure, DeployError};
use crate::event::Event;
use crate::follow::{OnEvent, Poll, or_none};
use crate::half_way::HalfWay;
use crate::rollouts::{DeploymentSummary, ImageState, Rollouts, ServiceState, Target, Which};
use crate::snapshot::{Alarm, AlarmState, Health, Listeners, Route};
use crate::start::running_same;

/// How many deployments are asked for: a group runs one at a time.
const RECENT: usize = 20;

/// How long a new service may take until its first tasks are in the balancer.
const BEGINS: SignedDuration = SignedDuration::from_mins(10);

/// What is about to be rolled out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Intent<'a> {
    /// The image, where it is named: by the pipeline, the build makes it.
    pub image: Option<&'a str>,
    /// The processor that the tasks ask for, as an image names it: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// The names of the roles that the tasks and CodeDeploy take on.
    pub roles: &'a [String],
    /// The bundle's SHA-256: a rollout of the same one that is under way already is joined, and no obstacle.
    pub bundle: Option<&'a str>,
    /// Go on although production has no healthy target, or an alarm fires.
    pub force: bool,
    /// Whether this goes back to the last good version: that ends a deployment in flight, and what one has left half way, so that
    /// neither is an obstacle.
    pub goes_back: bool,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// When it was found, by the account's clock.
    pub now: Timestamp,
    /// The deployment in flight, if it isn't one to join.
    pub in_flight: Option<DeploymentSummary>,
    /// The service.
    pub service: Option<ServiceState>,
    /// Where the listeners send requests.
    pub listeners: Listeners,
    /// The targets of both target groups.
    pub health: BTreeMap<String, Health>,
    /// The group's alarms.
    pub alarms: Vec<Alarm>,
    /// The image, where it is in a repository that can be asked.
    pub image: Option<ImageState>,
    /// Those of the roles that don't exist.
    pub missing_roles: Vec<String>,
}

/// What stands in the way, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// An error that names everything that stands in the way. If the rollout can begin: in words, what could not be looked at.
pub async fn preflight(
    rollouts: &dyn Rollouts,
    target: &Target,
    intent: &Intent<'_>,
) -> Result<Vec<String>, DeployError> {
    let found = look(rollouts, target, intent).await?;
    let mut obstacles = obstacles(&found, target, intent);
    match (&found.in_flight, obstacles.len()) {
        // Alone it is an error of its own, which a caller can wait for.
        (Some(deployment), 1) => Err(DeployError::in_flight(&deployment.id, &deployment.status)),
        (_, 0) => Ok(notes(&found, intent)),
        _ => {
            obstacles.dedup();
            Err(DeployError::Obstructed(obstacles))
        }
    }
}

/// Waits until no deployment is in flight.
pub async fn queue(
    rollouts: &dyn Rollouts,
    target: &Target,
    poll: Poll,
    on_event: &mut OnEvent<'_>,
) -> Result<(), DeployError> {
    let mut told = None;
    loop {
        let in_flight = rollouts.deployments(target, Which::InFlight, RECENT).await;
        match in_flight.map(|found| found.into_iter().next()) {
            Ok(None) => return Ok(()),
            Ok(Some(deployment)) => {
                if told.as_ref() != Some(&deployment.id) {
                    on_event(Event::QueueEntered {
                        deployment: deployment.id.clone(),
                        status: deployment.status,
                    });
                    told = Some(deployment.id);
                }
            }
            Err(failure) if failure.is_transient() => {}
            Err(failure) => return Err(failure.into()),
        }
        sleep(poll.at_most).await;
    }
}

/// Asks for everything that [`obstacles`] judges.
async fn look(
    rollouts: &dyn Rollouts,
    target: &Target,
    intent: &Intent<'_>,
) -> Result<Found, CloudFailure> {
    let alarms = async {
        let settings = or_none(rollouts.settings(target).await)?;
        match settings {
            Some(settings) if !settings.alarms.is_empty() => {
                rollouts.alarms(&settings.alarms).await
            }
            _ => Ok(Vec::new()),
        }
    };
    let image = async {
        match intent.image {
            Some(image) => rollouts.image_state(image).await,
            None => Ok(None),
        }
    };
    let roles = try_join_all(intent.roles.iter().map(|role| rollouts.role_exists(role)));
    let (in_flight, service, listeners, health, alarms, image, roles) = futures::join!(
        rollouts.deployments(target, Which::InFlight, RECENT),
        rollouts.service(target),
        rollouts.listeners(target),
        rollouts.health(target),
        alarms,
        image,
        roles,
    );
    let in_flight = or_none(in_flight)?.unwrap_or_default().into_iter().next();
    let joined = match (&in_flight, intent.bundle) {
        (Some(_), Some(sha256)) => running_same(rollouts, target, sha256).await?,
        _ => false,
    };
    let missing = intent.roles.iter().zip(roles?);
    Ok(Found {
        now: rollouts.now(),
        in_flight: in_flight.filter(|_| !joined),
        service: Some(service?),
        listeners: listeners?,
        health: health?,
        alarms: alarms?,
        image: image?,
        missing_roles: missing
            .filter(|(_, exists)| !exists)
            .map(|(role, _)| role.clone())
            .collect(),
    })
}

/// Everything that stands in the way.
pub fn obstacles(found: &Found, target: &Target, intent: &Intent<'_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let mut add = |what: String, next: String| obstacles.push(Obstacle { what, next });
    if let Some(deployment) = found.in_flight.as_ref().filter(|_| !intent.goes_back) {
        let id = &deployment.id;
        add(
            format!("deployment {id} is in flight ({})", deployment.status),
            format!(
                "follow it with `ecspipe watch {id}`, end it with `ecspipe stop {id}`, or wait for its end with `--queue`"
            ),
        );
    }
    // What moves is a rollout's own; what stands still must be in order.
    if found.in_flight.is_none() {
        traffic(found, target, intent, &mut add);
        health(found, intent, &mut add);
    }
    for alarm in found
        .alarms
        .iter()
        .filter(|alarm| alarm.state == AlarmState::Alarm && !intent.force)
    {
        let reason = alarm.reason.as_deref().unwrap_or("it gives no reason");
        add(
            format!("alarm {} fires already: {reason}", alarm.name),
            "CodeDeploy would stop the deployment at once: see what the alarm watches, or try all the same with `--force`".to_owned(),
        );
    }
    if let (Some(state), Some(image)) = (&found.image, intent.image) {
        picture(state, image, intent, &mut add);
    }
    for role in &found.missing_roles {
        add(
            format!("there is no role {role}"),
            "`ecspipe up` makes the roles that are the app's own; one that the spec refers to has to be made by its owner".to_owned(),
        );
    }
    obstacles
}

/// Production must go to where the primary tasks are, and nowhere else: CodeDeploy refuses to begin otherwise.
fn traffic(
    found: &Found,
    target: &Target,
    intent: &Intent<'_>,
    add: &mut impl FnMut(String, String),
) {
    let Some(service) = &found.service else {
        return;
    };
    if service.status != "ACTIVE" {
        add(
            format!("service {} is {}", target.service, service.status),
            "make it anew with `ecspipe up`".to_owned(),
        );
        return;
    }
    let half_way = HalfWay::of(service, &found.listeners).filter(|_| !intent.goes_back);
    let Some((primary, production)) = half_way
        .as_ref()
        .and_then(|left| Some((&left.target_group, left.production()?)))
    else {
        return;
    };
    let served: Vec<&Route> = production.iter().filter(|route| route.weight > 0).collect();
    let what = match served.as_slice() {
        [alone] => format!(
            "production goes to {}, but the service's primary tasks are in {primary}",
            alone.target_group
        ),
        several => {
            let total: i64 = several.iter().map(|route| route.weight).sum();
            let each = several
                .iter()
                .map(|route| format!("{} {} %", route.target_group, route.weight * 100 / total));
            format!(
                "production is split although nothing is in flight: {}",
                each.collect::<Vec<_>>().join(", ")
            )
        }
    };
    add(
        what,
        format!(
            "`ecspipe rollback` leads production to {primary} alone again, without a deployment"
        ),
    );
}

/// The target groups that production goes to, or is about to be led back to.
fn serving(found: &Found, service: &ServiceState, intent: &Intent<'_>) -> BTreeSet<String> {
    let half_way = HalfWay::of(service, &found.listeners).filter(|_| intent.goes_back);
    if let Some(half_way) = half_way {
        return BTreeSet::from([half_way.target_group]);
    }
    let routes = found.listeners.production.iter();
    routes
        .filter(|route| route.weight > 0)
        .map(|route| route.target_group.clone())
        .collect()
}

/// A rollout needs something to go back to. Targets that are only beginning, and tasks that no balancer
/// knows yet, may still come.
fn health(found: &Found, intent: &Intent<'_>, add: &mut impl FnMut(String, String)) {
    let Some(service) = found.service.as_ref().filter(|found| found.desired > 0) else {
        return;
    };
    let groups: Vec<&Health> = serving(found, service, intent)
        .into_iter()
        .filter_map(|group| found.health.get(&group))
        .collect();
    let healthy: u32 = groups.iter().map(|health| health.healthy).sum();
    let young = service
        .created
        .is_some_and(|created| found.now.duration_since(created) < BEGINS);
    let begins = if groups.iter().all(|health| health.total == 0) {
        young || service.running + service.pending > 0
    } else {
        groups
            .iter()
            .any(|health| usize::try_from(health.total).unwrap_or(0) > health.failing.len())
    };
    if intent.force || groups.is_empty() || healthy > 0 || begins {
        return;
    }
    let seen = groups.iter().flat_map(|health| &health.failing).next();
    let seen = seen.map_or_else(
        || "no task is registered".to_owned(),
        |failing| {
            let words = failing.description.as_deref().unwrap_or(&failing.reason);
            format!("{}: {words}", failing.target)
        },
    );
    add(
        format!("production has no healthy target: {seen}"),
        "there would be nothing to go back to: mend what runs, or deploy all the same with `--force`".to_owned(),
    );
}

/// What stops nothing, but is worth knowing: what can't be seen may be in order.
fn notes(found: &Found, intent: &Intent<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(ImageState::Unread(why)), Some(image)) = (&found.image, intent.image) {
        notes.push(format!(
            "whether image {image} is for {} is not checked: {why}",
            intent.architecture
        ));
    }
    if found
        .service
        .as_ref()
        .is_some_and(|service| service.desired == 0)
    {
        notes.push(
            "the service wants no task: the rollout will succeed, and nothing will serve (`ecspipe scale N`)"
                .to_owned(),
        );
    }
    notes
}

fn picture(
    state: &ImageState,
    image: &str,
    intent: &Intent<'_>,
    add: &mut impl FnMut(String, String),
) {
    match state {
        ImageState::Missing => add(
            format!("there is no image {image}"),
            "name a tag or digest that is in the repository: `aws ecr list-images --repository-name NAME` lists them".to_owned(),
        ),
        ImageState::Unread(_) => {}
        ImageState::Found { architectures } => {
            let wanted = intent.architecture;
            if !architectures.is_empty() && !architectures.iter().any(|have| have == wanted) {
                add(
                    format!(
                        "image {image} is for {}, the tasks ask for {wanted}",
                        architectures.join(", ")
                    ),
                    format!("build it for {wanted} (`docker build --platform linux/{wanted}`), or change `service.architecture`"),
                );
            }
        }
    }
}
