//! How a plan is made: each wanted resource in topological order, then what nobody wants, users before what they use.
//! Must not know which fields belong to a rollout or can't be changed: see `settle.rs` and `replace.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ipnet::Ipv4Net;

use super::diff::{self, diff};
use super::hold::{self, Hold};
use super::replace::{OnChange, on_change};
use super::settle::settle;
use super::{
    Action, ActionKind, Change, Deferred, DeferredTo, Delegated, Drift, Mode, Options, Origin,
    Plan, Refusal, RefusalReason, Step,
};
use super::{danger, origin};
use crate::check::moved_by_rollouts;
use crate::cloud::{Have, Made};
use crate::graph::{Graph, Node, each_text, resolve};
use crate::inventory::Inventory;
use crate::resource::{Forward, Key, Kind, Resource, SecurityGroup};

/// A plan in the making.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    inventory: &'a Inventory,
    options: Options,
    plan: Plan,
    /// The steps that a dependent of the resource has to wait for.
    barriers: BTreeMap<Key, BTreeSet<usize>>,
    /// What stays, as it will be.
    staying: BTreeMap<Key, Resource>,
    /// What is closed at the end: route tables that lose a route, not before there is another way, and security groups that lose the
    /// port of a listener, not before that has moved.
    closing: Vec<(Key, Action, BTreeSet<usize>)>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(graph: &'a Graph, inventory: &'a Inventory, options: Options) -> Self {
        let plan = Plan {
            app: graph.app().clone(),
            dangers: Vec::new(),
            steps: Vec::new(),
            held_back: Vec::new(),
            refusals: Vec::new(),
            drift: Vec::new(),
            deferred: Vec::new(),
            delegated: Vec::new(),
            unchanged: Vec::new(),
            notes: Vec::new(),
            known: BTreeMap::new(),
            options,
        };
        Self {
            graph,
            inventory,
            options,
            plan,
            barriers: BTreeMap::new(),
            staying: BTreeMap::new(),
            closing: Vec::new(),
        }
    }

    /// Plans one wanted resource; everything that it links to has been planned.
    pub(super) fn want(&mut self, node: &Node) {
        let want = self.towards_live(resolve(&node.resource, |key| self.id_of(key)));
        let waits: BTreeSet<usize> = node
            .links
            .iter()
            .filter_map(|key| self.barriers.get(key))
            .flatten()
            .copied()
            .collect();
        let action = match self.inventory.owned.get(&node.key) {
            None => self.create(node, want),
            Some(have) => self.adjust(node, want, have),
        };
        if let Some(action) = action.clone().filter(loses_a_route) {
            // The table is there and has its id: nobody has to wait for what it loses.
            self.closing.push((node.key.clone(), action, waits));
            return;
        }
        if let Some((open, close)) = action.as_ref().and_then(|action| self.opens_first(action)) {
            let barrier = match open {
                Some(open) => [self.step(node.key.clone(), open, waits)].into(),
                None => waits,
            };
            self.closing
                .push((node.key.clone(), close, barrier.clone()));
            self.barriers.insert(node.key.clone(), barrier);
            return;
        }
        let barrier = match action {
            Some(action) => [self.step(node.key.clone(), action, waits)].into(),
            None => waits,
        };
        self.barriers.insert(node.key.clone(), barrier);
    }

    /// Takes routes away where endpoints come in their place, not before those can be used; and rules for ports that listeners
    /// leave, not before they have left.
    pub(super) fn close(&mut self) {
        let endpoints: BTreeSet<usize> = self.steps_of(Kind::Endpoint).collect();
        let listeners: BTreeSet<usize> = self.steps_of(Kind::Listener).collect();
        for (key, action, mut waits) in std::mem::take(&mut self.closing) {
            waits.extend(match key.kind {
                Kind::SecurityGroup => &listeners,
                _ => &endpoints,
            });
            self.step(key, action, waits);
        }
    }

    /// A security group that loses a rule while a listener moves is changed in two steps: what it gains, if anything, and what it
    /// loses. Between them the listener has moved, or, where that is held back or fails, is still reached.
    fn opens_first(&self, action: &Action) -> Option<(Option<Action>, Action)> {
        let Action::Update {
            have,
            want,
            tags,
            changes,
        } = action
        else {
            return None;
        };
        let (Resource::SecurityGroup(had), Resource::SecurityGroup(wanted)) =
            (&have.resource, want)
        else {
            return None;
        };
        if had.ingress.is_subset(&wanted.ingress) || !self.moves_a_listener() {
            return None;
        }
        let both: Resource = SecurityGroup {
            ingress: had.ingress.union(&wanted.ingress).cloned().collect(),
            ..had.clone()
        }
        .into();
        let between = |from: &Resource, to: &Resource| {
            let mut ways = diff(&from.properties(), &to.properties());
            for way in &mut ways {
                let known = changes
                    .iter()
                    .find(|known| known.property() == way.property());
                way.origin = known.map_or(way.origin, |known| known.origin);
            }
            ways
        };
        let open = (both != have.resource).then(|| Action::Update {
            have: have.clone(),
            want: both.clone(),
            tags: tags.clone(),
            changes: between(&have.resource, &both),
        });
        let mut rest = between(&both, want);
        let tags_too = changes.iter().filter(|change| change.property() == "tags");
        rest.extend(tags_too.cloned());
        let close = Action::Update {
            have: Have {
                resource: both,
                ..have.clone()
            },
            want: want.clone(),
            tags: tags.clone(),
            changes: rest,
        };
        Some((open, close))
    }

    /// Whether a listener that is there gets another port.
    fn moves_a_listener(&self) -> bool {
        self.graph.nodes().iter().any(|node| {
            let have = self.inventory.owned.get(&node.key);
            match (have.map(|have| &have.resource), &node.resource) {
                (Some(Resource::Listener(have)), Resource::Listener(want)) => {
                    have.port != want.port
                }
                _ => false,
            }
        })
    }

    fn steps_of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let of_kind = move |step: &&Step| step.key.kind == kind;
        self.plan.steps.iter().filter(of_kind).map(|step| step.id)
    }

    fn create(&mut self, node: &Node, want: Resource) -> Option<Action> {
        if let Some(have) = self.inventory.foreign.get(&node.key) {
            self.refuse(
                &node.key,
                RefusalReason::NameTaken { id: have.id.clone() },
                format!("the name of this {} is taken: {} exists and doesn't carry the tags of this app", node.key.kind.label(), have.name),
                free_name(node.key.kind).to_owned(),
            );
            return None;
        }
        let left = self.left_sources(&want);
        self.note_left_sources(&left, &want);
        self.refuse_overlap(node, &want);
        self.staying.insert(node.key.clone(), want.clone());
        // Another one than before is wanted: nobody has deleted it.
        let origin = match left.is_empty() {
            true => origin::of_lack(&node.key, self.graph, self.inventory),
            false => Origin::Spec,
        };
        if origin == Origin::Drift {
            self.plan.drift.push(Drift {
                key: node.key.clone(),
                gone: true,
                changes: Vec::new(),
            });
        }
        Some(Action::Create {
            want,
            tags: node.tags.clone(),
            origin,
        })
    }

    fn adjust(&mut self, node: &Node, want: Resource, have: &Have) -> Option<Action> {
        let settled = settle(&want, &have.resource, self.options.rollout_in_flight);
        let mut changes = diff(&have.resource.properties(), &settled.properties());
        changes.extend(diff::tags(node.key.kind, &have.tags, &node.tags));
        origin::mark(&mut changes, node, have, self.inventory);
        self.note_drift(&node.key, &changes);
        self.defer(node, &want, &settled);
        self.defer_until_moved(node, &want);
        self.note_delegated(node, have, &changes);
        let decision = on_change(node.key.kind, &changes);
        let made = Made {
            id: have.id.clone(),
            attributes: have.attributes.clone(),
        };
        self.staying.insert(node.key.clone(), settled.clone());
        match decision {
            OnChange::Refuse { fields, why, hint } => {
                let message = format!(
                    "{} of this {} can't be changed: {why}",
                    names(&fields),
                    node.key.kind.label()
                );
                self.plan.known.insert(node.key.clone(), made);
                self.refuse(
                    &node.key,
                    RefusalReason::Unchangeable { changes: fields },
                    message,
                    hint.to_owned(),
                );
                None
            }
            OnChange::Replace => Some(Action::Replace {
                have: have.clone(),
                want: settled,
                tags: node.tags.clone(),
                changes,
            }),
            OnChange::Update => {
                self.plan.known.insert(node.key.clone(), made);
                Some(Action::Update {
                    have: have.clone(),
                    want: settled,
                    tags: node.tags.clone(),
                    changes,
                })
            }
            OnChange::Nothing => {
                self.plan.known.insert(node.key.clone(), made);
                self.plan.unchanged.push(node.key.clone());
                None
            }
        }
    }

    /// Notes what somebody changed by hand, whatever is done about it.
    fn note_drift(&mut self, key: &Key, changes: &[Change]) {
        let by_hand = changes
            .iter()
            .filter(|change| change.origin == Origin::Drift);
        let changes: Vec<Change> = by_hand.cloned().collect();
        if !changes.is_empty() {
            self.plan.drift.push(Drift {
                key: key.clone(),
                gone: false,
                changes,
            });
        }
    }

    /// Notes what rollouts have moved: the fields that are there otherwise than the graph has them, and that are neither changed back
    /// nor wait for a deployment.
    fn note_delegated(&mut self, node: &Node, have: &Have, changes: &[Change]) {
        let want = resolve(&node.resource, |key| self.id_of(key));
        let mut moved = diff(&have.resource.properties(), &want.properties());
        let is_changed = |field: &Change| {
            changes
                .iter()
                .any(|change| change.property() == field.property())
        };
        moved.retain(|field| !is_changed(field) && is_moved(node.key.kind, field));
        self.plan
            .delegated
            .extend(moved.into_iter().map(|field| Delegated {
                key: node.key.clone(),
                field: field.field,
                have: field.have,
            }));
    }

    /// Notes what settling has left to the next deployment. The image, its command and the revision are the rollouts' own.
    fn defer(&mut self, node: &Node, want: &Resource, settled: &Resource) {
        if !matches!(node.key.kind, Kind::TaskDefinition | Kind::Service) {
            return;
        }
        let mut changes = diff(&settled.properties(), &want.properties());
        changes.retain(|change| !is_moved(node.key.kind, change));
        if !changes.is_empty() {
            self.plan.deferred.push(Deferred {
                key: node.key.clone(),
                action: ActionKind::Update,
                by: DeferredTo::Deployment,
                changes,
            });
        }
    }

    /// Notes what becomes of a resource once running tasks have moved.
    fn defer_until_moved(&mut self, node: &Node, want: &Resource) {
        let Some(later) = self.graph.later(&node.key) else {
            return;
        };
        let later = later.map(|later| resolve(later, |key| self.id_of(key)));
        let changes = later
            .as_ref()
            .map(|later| diff(&want.properties(), &later.properties()));
        let action = if later.is_some() {
            ActionKind::Update
        } else {
            ActionKind::Delete
        };
        // A link that only orders the work may be all that changes.
        if changes.as_ref().is_none_or(|changes| !changes.is_empty()) {
            self.plan.deferred.push(Deferred {
                key: node.key.clone(),
                action,
                by: DeferredTo::NextUp,
                changes: changes.unwrap_or_default(),
            });
        }
    }

    /// A listener that has to be made or put right goes to the target group that is live, whatever its colour: that of the
    /// service's primary task set (AWS.md §4.6). Only before there is a service it goes where the graph says.
    fn towards_live(&self, mut want: Resource) -> Resource {
        if let Resource::Listener(listener) = &mut want {
            let live = self
                .inventory
                .owned
                .values()
                .find_map(|have| match &have.resource {
                    Resource::Service(service) => Some(&service.target_group),
                    _ => None,
                });
            if let Some(live) = live.filter(|live| listener.pair.contains(*live)) {
                listener.forward = [Forward {
                    target_group: live.clone(),
                    weight: 1,
                }]
                .into();
            }
        }
        want
    }

    /// A repository of another name is made beside the one that the pipeline has had, which stays: it has the history.
    fn note_left_sources(&mut self, left: &BTreeSet<String>, want: &Resource) {
        let Resource::SourceRepository(want) = want else {
            return;
        };
        let notes = left.iter().map(|name| {
            format!("the source repository {name} stays, with its history; push that to {} and delete it by hand", want.name)
        });
        self.plan.notes.extend(notes);
    }

    /// The repositories that the pipeline has had, where one of another name is wanted.
    fn left_sources(&self, want: &Resource) -> BTreeSet<String> {
        let Resource::SourceRepository(want) = want else {
            return BTreeSet::new();
        };
        let haves = self.inventory.owned.values();
        let sources = haves
            .filter_map(|have| match &have.resource {
                Resource::Pipeline(pipeline) => Some(&pipeline.stages),
                _ => None,
            })
            .flatten()
            .flat_map(|stage| &stage.actions)
            .filter_map(|action| action.configuration.get("RepositoryName"));
        sources
            .filter(|name| **name != want.name)
            .cloned()
            .collect()
    }

    /// Deletes what nobody wants, users before what they use.
    pub(super) fn delete_the_rest(&mut self) {
        let wanted = |key: &Key| self.options.mode == Mode::Up && self.graph.get(key).is_some();
        let unwanted = self
            .inventory
            .owned
            .values()
            .filter(|have| have.key.as_ref().is_some_and(|key| !wanted(key)));
        let mut unwanted: Vec<&Have> = unwanted.chain(&self.inventory.duplicates).collect();
        unwanted.sort_by_key(|have| std::cmp::Reverse(have.resource.kind()));
        let mut unwanted = users_first(unwanted);
        // The lease lies in the bucket, and has to be held until there is nothing else.
        unwanted.sort_by_key(|have| goes_last(self.options.mode, have.resource.kind()));
        for have in unwanted {
            self.delete(have);
        }
    }

    fn delete(&mut self, have: &Have) {
        let Some(key) = have.key.clone() else { return };
        if key.kind == Kind::SourceRepository && !self.options.delete_source {
            self.plan.notes.push(format!(
                "the source repository {} stays, with its history",
                have.name
            ));
            return;
        }
        self.refuse_key(&key, have);
        let user = self.staying.iter().find(|(user, resource)| {
            user.kind.needs().contains(&key.kind) && mentions(resource, &have.id)
        });
        if let Some((user, _)) = user {
            let by = user.clone();
            self.refuse(
                &key,
                RefusalReason::StillUsed { by: by.clone() },
                format!("this {} is to go, but {by} still uses it", key.kind.label()),
                how_to_keep(&key),
            );
        }
        let users = |step: &&Step| {
            goes_before(self.options.mode, step.key.kind, key.kind)
                || opens_a_way_out(step, &key)
                || (step.key.kind == key.kind
                    && key.kind.needs().contains(&key.kind)
                    && refers(step, &have.id))
        };
        let waits = self
            .plan
            .steps
            .iter()
            .filter(users)
            .map(|step| step.id)
            .collect();
        self.step(key, Action::Delete { have: have.clone() }, waits);
    }

    fn step(&mut self, key: Key, action: Action, after: BTreeSet<usize>) -> usize {
        let id = self.plan.steps.len();
        self.plan.steps.push(Step {
            id,
            key,
            action,
            after,
        });
        id
    }

    /// The id of a wanted resource, if it exists and stays, or if it follows from the name.
    fn id_of(&self, key: &Key) -> Option<String> {
        if let Some(made) = self.plan.known.get(key) {
            return Some(made.id.clone());
        }
        self.graph
            .get(key)?
            .resource
            .predicted_id()
            .map(str::to_owned)
    }

    /// A key can't go while the app stays: what it has encrypted, the bundle first of all, could not be read any more.
    fn refuse_key(&mut self, key: &Key, have: &Have) {
        let stays = self.options.mode == Mode::Up && self.graph.get(key).is_none();
        if key.kind != Kind::EncryptionKey || !stays {
            return;
        }
        self.refuse(
            key,
            RefusalReason::StillUsed {
                by: Key::new(Kind::Bucket, "artifacts"),
            },
            format!(
                "{} is to go, and what is encrypted with it could not be read any more",
                have.name
            ),
            "leave `kms_key` out, or `down` and `up` again".to_owned(),
        );
    }

    /// A subnet can't be made in a range of one that is still there, and that one can't go while the balancer stands in it.
    fn refuse_overlap(&mut self, node: &Node, want: &Resource) {
        let Resource::Subnet(want) = want else { return };
        let overlapping = self
            .inventory
            .owned
            .iter()
            .find(|(key, have)| match &have.resource {
                Resource::Subnet(have) => **key != node.key && overlap(&have.cidr, &want.cidr),
                _ => false,
            });
        if let Some((of, _)) = overlapping {
            let of = of.clone();
            self.refuse(
                &node.key,
                RefusalReason::InTheWay { of: of.clone() },
                format!("its range {} overlaps that of {of}, which has to be there until everything has moved out of it", want.cidr),
                "give the zone a range of its own that no subnet has yet".to_owned(),
            );
        }
    }

    /// A listener can't take a port that another one of ours gives up in the same plan: AWS refuses two on one port.
    pub(super) fn refuse_ports(&mut self) {
        let mut refused = Vec::new();
        for (key, want) in &self.staying {
            let Resource::Listener(want) = want else {
                continue;
            };
            let holder = self
                .inventory
                .owned
                .iter()
                .find(|(other, have)| match &have.resource {
                    Resource::Listener(have) => *other != key && have.port == want.port,
                    _ => false,
                });
            if let Some((of, _)) = holder {
                refused.push((key.clone(), of.clone(), want.port));
            }
        }
        for (key, of, port) in refused {
            self.refuse(
                &key,
                RefusalReason::InTheWay { of: of.clone() },
                format!("port {port} is still that of {of}"),
                "move the other listener to a free port first, run `up`, then change this one"
                    .to_owned(),
            );
        }
    }

    /// While a deployment is in flight, CodeDeploy owns what it moves: nothing of an app goes that is being deployed.
    pub(super) fn refuse_rollout(&mut self) {
        if !self.options.rollout_in_flight {
            return;
        }
        let moved = self.plan.steps.iter().map(|step| &step.key);
        let moved: BTreeSet<Key> = moved
            .filter(|key| moved_by_rollouts(key.kind))
            .cloned()
            .collect();
        for key in moved {
            let message = format!(
                "a deployment is in flight, and this {} belongs to it until its end",
                key.kind.label()
            );
            let hint = "wait for the deployment to end (`watch`), or end it (`stop`)".to_owned();
            self.refuse(&key, RefusalReason::RolloutInFlight, message, hint);
        }
    }

    /// Holds back what a deployment in flight owns, and what would lead production to nothing.
    fn hold_back(&mut self) {
        let (options, inventory) = (self.options, self.inventory);
        hold::hold_back(&mut self.plan, |step| {
            if options.rollout_in_flight && moved_by_rollouts(step.key.kind) {
                return Some(Hold::RolloutInFlight);
            }
            leads_to_nothing(step, inventory)
        });
    }

    fn refuse(&mut self, key: &Key, reason: RefusalReason, message: String, hint: String) {
        self.plan.refusals.push(Refusal {
            key: key.clone(),
            reason,
            message,
            hint,
        });
    }

    pub(super) fn finish(mut self) -> Plan {
        if !self.plan.refusals.is_empty() {
            self.plan.steps.clear();
        } else if self.options.mode == Mode::Up {
            self.hold_back();
        }
        let dangers = danger::find(self.graph, self.inventory, self.options, &self.plan);
        self.plan.dangers = dangers;
        self.plan
    }
}

/// Whether a field is what rollouts move, rather than what a deployment brings about for the spec.
fn is_moved(kind: Kind, change: &Change) -> bool {
    match kind {
        Kind::Listener => change.property() == "forward",
        Kind::TargetGroup => change.property() == "port",
        Kind::Service | Kind::TaskDefinition => {
            matches!(
                change.property(),
                "task_definition" | "target_group" | "others"
            ) || change.field.ends_with("].image")
                || change.field.contains("].command")
        }
        _ => false,
    }
}

/// Whether a step leads production to a target group that is known to have no healthy target.
fn leads_to_nothing(step: &Step, inventory: &Inventory) -> Option<Hold> {
    let Action::Update {
        want: Resource::Listener(want),
        changes,
        ..
    } = &step.action
    else {
        return None;
    };
    let moves = changes.iter().any(|change| change.property() == "forward");
    if step.key.name != "production" || !moves {
        return None;
    }
    let to = want.forward.iter().map(|forward| &forward.target_group);
    let dead = |id: &&String| {
        let targets = inventory.targets.get(*id);
        targets.is_some_and(|targets| targets.healthy + targets.unused == 0)
    };
    let target_group = to.into_iter().find(dead)?.clone();
    Some(Hold::NoHealthyTarget { target_group })
}

/// Of things sorted by kind, those first that others of their kind don't refer to.
fn users_first(mut sorted: Vec<&Have>) -> Vec<&Have> {
    let mut ordered = Vec::with_capacity(sorted.len());
    while let Some(kind) = sorted.first().map(|have| have.resource.kind()) {
        let same = sorted
            .iter()
            .take_while(|have| have.resource.kind() == kind)
            .count();
        let unused = |at: &usize| {
            sorted[..same]
                .iter()
                .all(|other| !mentions(&other.resource, &sorted[*at].id))
        };
        let next = if kind.needs().contains(&kind) {
            (0..same).find(unused).unwrap_or(0)
        } else {
            0
        };
        ordered.push(sorted.remove(next));
    }
    ordered
}

/// Whether a resource of the kind `user` may need one of another kind `used`, directly or through others.
pub(crate) fn needs(user: Kind, used: Kind) -> bool {
    static CLOSURE: LazyLock<BTreeSet<(Kind, Kind)>> = LazyLock::new(|| {
        let mut closure = BTreeSet::new();
        for user in Kind::ALL {
            for &used in user.needs().iter().filter(|&&used| used != user) {
                let through: Vec<Kind> = Kind::ALL
                    .into_iter()
                    .filter(|&kind| closure.contains(&(used, kind)))
                    .collect();
                closure.extend(through.into_iter().map(|kind| (user, kind)));
                closure.insert((user, used));
            }
        }
        closure
    });
    CLOSURE.contains(&(user, used))
}

/// Whether things of the kind are the last to go in a teardown. The lease lies in the bucket, and is held until all else is gone, even
/// the key that encrypts what lies beside it.
fn goes_last(mode: Mode, kind: Kind) -> bool {
    mode == Mode::Down && kind == Kind::Bucket
}

/// Whether what is done to a thing of the kind `first` is done before one of the kind `then` is deleted.
pub(crate) fn goes_before(mode: Mode, first: Kind, then: Kind) -> bool {
    match (goes_last(mode, first), goes_last(mode, then)) {
        (false, true) => true,
        (true, false) => false,
        _ => needs(first, then),
    }
}

/// Whether a text of the resource's properties is `id`.
fn mentions(resource: &Resource, id: &str) -> bool {
    let mut found = false;
    each_text(&resource.properties(), &mut |text| found |= text == id);
    found
}

/// Whether what a step finds or makes refers to `id`.
fn refers(step: &Step, id: &str) -> bool {
    step.action
        .have()
        .is_some_and(|have| mentions(&have.resource, id))
}

/// Whether a route table gives up a destination.
pub(super) fn loses_a_route(action: &Action) -> bool {
    let Action::Update { have, want, .. } = action else {
        return false;
    };
    match (&have.resource, want) {
        (Resource::RouteTable(have), Resource::RouteTable(want)) => have.routes.iter().any(|old| {
            want.routes
                .iter()
                .all(|new| new.destination != old.destination)
        }),
        _ => false,
    }
}

/// Whether `step` makes the way that takes the place of the endpoint `gone`.
fn opens_a_way_out(step: &Step, gone: &Key) -> bool {
    gone.kind == Kind::Endpoint
        && matches!(step.key.kind, Kind::RouteTable | Kind::Endpoint)
        && step.action.kind() != ActionKind::Delete
}

fn overlap(left: &str, right: &str) -> bool {
    match (left.parse::<Ipv4Net>(), right.parse::<Ipv4Net>()) {
        (Ok(left), Ok(right)) => left.contains(&right) || right.contains(&left),
        _ => false,
    }
}

/// The step that helps where something is to go and is still used: a zone has its own things, the others make way for existing ones.
fn how_to_keep(key: &Key) -> String {
    match key.kind {
        Kind::Subnet | Kind::RouteTable | Kind::NatGateway | Kind::Address => {
            "put its zone back into the spec, or take it out of what uses it".to_owned()
        }
        kind => format!(
            "an app that runs keeps its own {0}: take the existing one out of the spec; or `down`, and `up` with it",
            kind.label()
        ),
    }
}

fn names(changes: &[Change]) -> String {
    changes
        .iter()
        .map(|change| change.field.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The next step where a name is taken.
fn free_name(kind: Kind) -> &'static str {
    match kind {
        Kind::SourceRepository => {
            "name another repository in `source.codecommit.repository`, or delete or rename the other one if nobody needs it"
        }
        _ => "choose another app name, or delete or rename the other resource if nobody needs it",
    }
}
