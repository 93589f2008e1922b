//! What is dangerous about what is there, whatever the plan does: production that isn't served by what is deployed, deployments that
//! would move something else, things that can be lost or opened to others. Must not decide what is done: it reads that from the plan.
//!
//! What `up` does about each, and why:
//! - *Put right*, like any other drift: the wanted state is known, and each call that leads there can be made again. Production
//!   is led back to the service's primary task set, which is what the last rollout has proved.
//! - *Held back* where putting it right would be worse than leaving it: production is never led to a target group that is known to
//!   have no healthy target (whatever serves now may be somebody's way out), and a rollout in flight owns what it moves.
//! - *Refused*, with everything else, where nothing that `up` makes could work afterwards and it can't be put right without an
//!   interruption: another controller than CodeDeploy.
//! - *Left* where only a person can say what is right: which of two groups of the pair is live when the listener and the service
//!   disagree (that is a rollout's to move, so neither is drift), and why tasks aren't healthy.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Drift, Mode, Options, Plan, diff};
use crate::cloud::{Have, Targets};
use crate::graph::Graph;
use crate::inventory::Inventory;
use crate::resource::{
    Bucket, DeploymentGroup, Forward, Id, Key, Kind, Listener, Resource, Service, TargetGroup,
};

/// Something that somebody should look at before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Danger {
    /// The resource.
    pub key: Key,
    /// What it is.
    pub kind: DangerKind,
    /// What it means, in a sentence.
    pub message: String,
    /// What `up` does about it.
    pub remedy: Remedy,
    /// The way out.
    pub hint: String,
}

/// What is dangerous, the gravest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DangerKind {
    /// The production listener is gone, though the app is up.
    ListenerGone,
    /// The service is gone, though the app is up.
    ServiceGone,
    /// The production listener answers by itself: a redirect, a fixed answer.
    NoForward,
    /// Production goes to a target group outside of the app's pair.
    OutsidePair,
    /// Production is split between two versions, and no rollout is in flight.
    WeightsSplit,
    /// Production goes to the one group of the pair, the service's production tasks are registered with the other.
    NotLive,
    /// No target behind production is healthy.
    NoHealthyTarget,
    /// The service's deployments belong to somebody else than CodeDeploy.
    ControllerChanged,
    /// A deployment would move another service, or other traffic.
    GroupElsewhere,
    /// The target groups of the pair judge health differently.
    ChecksDiffer,
    /// The key that everything is encrypted with is gone, or waits for its deletion.
    KeyGone,
    /// The bucket keeps no versions of what it holds.
    VersioningOff,
    /// The bucket could be opened to anybody.
    BucketOpen,
    /// Somebody else than its service may act as one of the app's roles.
    TrustChanged,
}

/// What `up` does about a danger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It puts it right.
    Up,
    /// It would put it right, but not now: see [`Plan::held_back`].
    HeldBack,
    /// It refuses to do anything: see [`Plan::refusals`].
    Refused,
    /// Nothing: a person has to.
    Hand,
}

/// The target group that production traffic goes to or, where that is none of the pair, or both, that `up` leads it to: the one with
/// whose targets production stands or falls. None of an app that isn't up, or wants no tasks.
pub fn production_target(graph: &Graph, inventory: &Inventory) -> Option<Id> {
    let sight = Sight { graph, inventory };
    let wants_tasks = match &graph.get(&Key::new(Kind::Service, "main"))?.resource {
        Resource::Service(service) => service.desired_count > 0,
        _ => false,
    };
    let production = sight.production().filter(|_| wants_tasks)?;
    let pair = sight.pair();
    match only(&production.forward).filter(|id| pair.contains(id)) {
        Some(id) => Some(id.clone()),
        None => sight.live().cloned(),
    }
}

/// The dangers of what `inventory` shows, for a plan that is otherwise complete.
pub(super) fn find(
    graph: &Graph,
    inventory: &Inventory,
    options: Options,
    plan: &Plan,
) -> Vec<Danger> {
    if options.mode == Mode::Down {
        return Vec::new();
    }
    let sight = Sight { graph, inventory };
    let mut found = Found {
        plan,
        dangers: Vec::new(),
    };
    sight.gone(&mut found);
    sight.traffic(options.rollout_in_flight, &mut found);
    sight.health(&mut found);
    sight.service(&mut found);
    sight.group(&mut found);
    sight.checks(&mut found);
    sight.bucket(&mut found);
    by_hand(&plan.drift, sight.deployment_group().is_some(), &mut found);
    found
        .dangers
        .sort_by(|left, right| (left.kind, &left.key).cmp(&(right.kind, &right.key)));
    found.dangers
}

/// The dangers that were found, with what the plan does about each.
struct Found<'a> {
    plan: &'a Plan,
    dangers: Vec<Danger>,
}

impl Found<'_> {
    /// A danger that the plan may put right. The hint is for a person where it doesn't.
    fn add(&mut self, kind: DangerKind, key: Key, message: String, by_hand: &str) {
        let held = self.plan.held_back.iter().find(|held| held.key == key);
        let (remedy, hint) = if !self.plan.refusals.is_empty() {
            let hint = "see what is refused, and the way round it".to_owned();
            (Remedy::Refused, hint)
        } else if let Some(held) = held {
            (Remedy::HeldBack, held.hint.clone())
        } else if self.plan.steps.iter().any(|step| step.key == key) {
            (Remedy::Up, "`ecspipe up` puts it right".to_owned())
        } else {
            (Remedy::Hand, by_hand.to_owned())
        };
        self.dangers.push(Danger {
            key,
            kind,
            message,
            remedy,
            hint,
        });
    }

    /// A danger that a person has to do something about, whatever the plan does with the resource.
    fn leave(&mut self, kind: DangerKind, key: Key, message: String, hint: String) {
        self.dangers.push(Danger {
            key,
            kind,
            message,
            remedy: Remedy::Hand,
            hint,
        });
    }
}

/// What is there and what is wanted, by their parts in a rollout.
struct Sight<'a> {
    graph: &'a Graph,
    inventory: &'a Inventory,
}

const PUT_BACK: &str = "put it back by hand";

impl<'a> Sight<'a> {
    /// What is there of something that is wanted.
    fn have(&self, kind: Kind, name: &str) -> Option<&'a Have> {
        let key = Key::new(kind, name);
        self.graph.get(&key)?;
        self.inventory.owned.get(&key)
    }

    fn listener(&self, name: &str) -> Option<(&'a Have, &'a Listener)> {
        let have = self.have(Kind::Listener, name)?;
        match &have.resource {
            Resource::Listener(listener) => Some((have, listener)),
            _ => None,
        }
    }

    fn production(&self) -> Option<&'a Listener> {
        self.listener("production").map(|(_, listener)| listener)
    }

    fn main_service(&self) -> Option<&'a Service> {
        match &self.have(Kind::Service, "main")?.resource {
            Resource::Service(service) => Some(service),
            _ => None,
        }
    }

    fn deployment_group(&self) -> Option<&'a DeploymentGroup> {
        match &self.have(Kind::DeploymentGroup, "main")?.resource {
            Resource::DeploymentGroup(group) => Some(group),
            _ => None,
        }
    }

    fn target_groups(&self) -> Vec<(&'a Have, &'a TargetGroup)> {
        let named = |name| match &self.have(Kind::TargetGroup, name) {
            Some(have) => match &have.resource {
                Resource::TargetGroup(group) => Some((*have, group)),
                _ => None,
            },
            None => None,
        };
        ["blue", "green"].into_iter().filter_map(named).collect()
    }

    /// The ids of the two groups between which a rollout moves.
    fn pair(&self) -> BTreeSet<&'a Id> {
        let groups = self.target_groups().into_iter();
        groups.map(|(have, _)| &have.id).collect()
    }

    /// The group of the pair that the primary task set is registered with (AWS.md §4.6).
    fn live(&self) -> Option<&'a Id> {
        let pair = self.pair();
        let service = self.main_service()?;
        Some(&service.target_group).filter(|id| pair.contains(id))
    }

    /// The app is up, and something that production needs isn't there. The deployment group is made last and deleted first.
    fn gone(&self, found: &mut Found<'_>) {
        if self.deployment_group().is_none() {
            return;
        }
        let missing = |kind, name| {
            let key = Key::new(kind, name);
            let wanted = self.graph.get(&key).is_some();
            (wanted && !self.inventory.owned.contains_key(&key)).then_some(key)
        };
        if let Some(key) = missing(Kind::Listener, "production") {
            let message = "the production listener is gone: nobody is served".to_owned();
            found.add(DangerKind::ListenerGone, key, message, PUT_BACK);
        }
        if let Some(key) = missing(Kind::Service, "main") {
            let message = "the service is gone and nothing runs; made again, it starts the newest revision of its task definition, \
                           which need not be the one that was live";
            found.add(DangerKind::ServiceGone, key, message.to_owned(), PUT_BACK);
        }
    }

    /// Where production traffic goes.
    fn traffic(&self, rollout_in_flight: bool, found: &mut Found<'_>) {
        let Some((_, production)) = self.listener("production") else {
            return;
        };
        let key = Key::new(Kind::Listener, "production");
        let pair = self.pair();
        let forward = &production.forward;
        let outside: Vec<&str> = forward
            .iter()
            .map(|forward| &forward.target_group)
            .filter(|id| !pair.contains(id))
            .map(|id| name_of(id))
            .collect();
        if forward.is_empty() {
            let message = "production traffic is answered by the listener itself, with a redirect or a fixed answer: nothing that is deployed is served";
            found.add(DangerKind::NoForward, key, message.to_owned(), PUT_BACK);
        } else if !outside.is_empty() {
            let message = format!(
                "production traffic goes to {}, outside of the app's pair: what is deployed is not what is served, and no rollout reaches it",
                outside.join(" and ")
            );
            found.add(DangerKind::OutsidePair, key, message, PUT_BACK);
        } else if forward.len() > 1 && !rollout_in_flight {
            let mut shares: Vec<&Forward> = forward.iter().collect();
            shares.sort_by_key(|forward| std::cmp::Reverse(forward.weight));
            let shares: Vec<String> = shares.into_iter().map(share).collect();
            let message = format!(
                "production traffic is split ({}) and no rollout is in flight: two versions are served",
                shares.join(", ")
            );
            found.add(DangerKind::WeightsSplit, key, message, PUT_BACK);
        } else if let (Some(to), Some(live)) = (only(forward), self.live())
            && to != live
            && !rollout_in_flight
        {
            self.disagree(to, live, key, found);
        }
    }

    /// Listener and service disagree: each may be what a rollout that was stopped has left, so a person has to say.
    fn disagree(&self, to: &Id, live: &Id, key: Key, found: &mut Found<'_>) {
        let message = format!(
            "production traffic goes to {}, but the service's production tasks are registered with {}",
            name_of(to),
            name_of(live)
        );
        let hint = format!(
            "look at both (`ecspipe status`); `ecspipe rollback` leads production to {}, without a deployment",
            name_of(live)
        );
        found.leave(DangerKind::NotLive, key, message, hint);
    }

    /// How the targets stand that production stands or falls with, where that was asked for.
    fn targets(&self) -> Option<(Id, Targets)> {
        let id = production_target(self.graph, self.inventory)?;
        let targets = *self.inventory.targets.get(&id)?;
        Some((id, targets))
    }

    fn is_starting(&self, targets: Targets) -> bool {
        let pending = self
            .have(Kind::Service, "main")
            .and_then(|have| have.attributes.get("pending"));
        targets.starting > 0 || pending.is_some_and(|pending| pending != "0")
    }

    fn health(&self, found: &mut Found<'_>) {
        let Some((id, targets)) = self.targets() else {
            return;
        };
        // Those that nobody asks are those of a group that production has been led away from: that is told already.
        if targets.healthy + targets.unused > 0 || self.is_starting(targets) {
            return;
        }
        let group = self.target_groups();
        let key = group.iter().find(|(have, _)| have.id == id);
        let Some(key) = key.and_then(|(have, _)| have.key.clone()) else {
            return;
        };
        let message = match targets.unhealthy {
            0 => {
                "no task is registered behind production: requests are answered with 503".to_owned()
            }
            1 => "the one task behind production fails its health check".to_owned(),
            count => format!("all {count} tasks behind production fail their health check"),
        };
        let hint = "see why (`ecspipe status`, `ecspipe logs`); go back to the last good version (`ecspipe rollback`), or deploy a better one (`ecspipe deploy`)";
        found.leave(DangerKind::NoHealthyTarget, key, message, hint.to_owned());
    }

    fn service(&self, found: &mut Found<'_>) {
        let Some(service) = self.main_service() else {
            return;
        };
        if service.controller == "CODE_DEPLOY" {
            return;
        }
        let message = format!(
            "the service's deployments belong to {}, not to CodeDeploy: no rollout can move it",
            service.controller
        );
        let key = Key::new(Kind::Service, "main");
        found.add(DangerKind::ControllerChanged, key, message, PUT_BACK);
    }

    /// What a deployment would move, against what is there rather than what is wanted: the spec may be about to change both.
    fn group(&self, found: &mut Found<'_>) {
        let Some(group) = self.deployment_group() else {
            return;
        };
        let service = self.main_service().is_some_and(|service| {
            (&service.name, &service.cluster) != (&group.service, &group.cluster)
        });
        let groups = self.target_groups();
        let names: BTreeSet<&String> = groups.iter().map(|(_, group)| &group.name).collect();
        let pair = names.len() == 2 && names != group.target_groups.iter().collect();
        let is_other =
            |name: &str, id: &Id| self.listener(name).is_some_and(|(have, _)| have.id != *id);
        let production = is_other("production", &group.production_listener);
        let test = group
            .test_listener
            .as_ref()
            .is_some_and(|id| is_other("test", id));
        let parts = [
            (service, "service"),
            (pair, "target groups"),
            (production, "production listener"),
            (test, "test listener"),
        ];
        let wrong: Vec<&str> = parts
            .into_iter()
            .filter_map(|(wrong, what)| wrong.then_some(what))
            .collect();
        if wrong.is_empty() {
            return;
        }
        let message = format!(
            "the deployment group names another {}: a deployment would move what isn't this app's",
            wrong.join(" and another ")
        );
        let key = Key::new(Kind::DeploymentGroup, "main");
        found.add(DangerKind::GroupElsewhere, key, message, PUT_BACK);
    }

    fn checks(&self, found: &mut Found<'_>) {
        let [(_, blue), (have, green)] = self.target_groups()[..] else {
            return;
        };
        let of =
            |group: &TargetGroup| serde_json::to_value(&group.health_check).unwrap_or_default();
        let changes = diff(&of(blue), &of(green));
        if changes.is_empty() {
            return;
        }
        let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
        let message = format!(
            "the target groups of the pair differ in how they judge health ({}): what is healthy behind one need not be behind the other",
            fields.join(", ")
        );
        // The one that was changed, where that is known: it is the one that is put right.
        let by_hand = found
            .plan
            .drift
            .iter()
            .any(|drift| Some(&drift.key) == have.key.as_ref());
        let name = if by_hand { "green" } else { "blue" };
        let key = Key::new(Kind::TargetGroup, name);
        found.add(DangerKind::ChecksDiffer, key, message, PUT_BACK);
    }

    fn bucket(&self, found: &mut Found<'_>) {
        let Some(Resource::Bucket(bucket)) = self
            .have(Kind::Bucket, "artifacts")
            .map(|have| &have.resource)
        else {
            return;
        };
        let Bucket {
            versioning,
            public_access_blocked,
            ..
        } = bucket;
        let key = || Key::new(Kind::Bucket, "artifacts");
        if !versioning {
            let message = "the bucket keeps no versions: the pipeline can't start from the bundle in it, and an older one is lost when it is put anew";
            found.add(
                DangerKind::VersioningOff,
                key(),
                message.to_owned(),
                PUT_BACK,
            );
        }
        if !public_access_blocked {
            let message = "public access to the bucket isn't blocked: one policy would open to anybody what is built and deployed";
            found.add(DangerKind::BucketOpen, key(), message.to_owned(), PUT_BACK);
        }
    }
}

/// What is dangerous only because nobody applied it. The key of an app that is not up any more went with its teardown.
fn by_hand(drift: &[Drift], is_up: bool, found: &mut Found<'_>) {
    for drift in drift {
        let trust = drift
            .changes
            .iter()
            .any(|change| change.property() == "trust");
        if drift.key.kind == Kind::Role && trust {
            let message = "the role's trust was changed by hand: others than its service may act as it, or the service no longer may";
            found.add(
                DangerKind::TrustChanged,
                drift.key.clone(),
                message.to_owned(),
                PUT_BACK,
            );
        }
        if drift.key.kind == Kind::EncryptionKey && drift.gone && is_up {
            let message = "the KMS key is gone or waits for its deletion: what is encrypted with it can't be read, the deployment files first of all";
            found.add(
                DangerKind::KeyGone,
                drift.key.clone(),
                message.to_owned(),
                PUT_BACK,
            );
        }
    }
}

/// The target group that gets all of the traffic.
fn only(forward: &BTreeSet<Forward>) -> Option<&Id> {
    let first = forward.first()?;
    (forward.len() == 1).then_some(&first.target_group)
}

/// A target group's name, which its ARN holds (`…:targetgroup/NAME/ID`); whatever isn't such an ARN as it is.
fn name_of(id: &str) -> &str {
    let parts: Vec<&str> = id.split('/').collect();
    match parts[..] {
        [start, name, _] if start.ends_with(":targetgroup") => name,
        _ => id,
    }
}

fn share(forward: &Forward) -> String {
    format!("{} to {}", forward.weight, name_of(&forward.target_group))
}
