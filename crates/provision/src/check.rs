//! What must hold for every plan, whatever it was made of. [`crate::apply()`] does nothing with a plan that breaks a rule.
//! Must not know how a plan is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::tokens;
use crate::plan::{Action, ActionKind, Mode, Plan, Step, goes_before, needs};
use crate::resource::{Key, Kind};

/// The rules that `plan` breaks, each with the step; empty for a good plan.
pub fn check(plan: &Plan) -> Vec<String> {
    let mut broken = Vec::new();
    if !plan.refusals.is_empty() && !plan.steps.is_empty() {
        broken.push("a refused plan has steps".to_owned());
    }
    let waiting: BTreeSet<&Key> = plan
        .held_back
        .iter()
        .filter(|held| held.action != ActionKind::Delete)
        .map(|held| &held.key)
        .collect();
    let before = everything_before(plan);
    let mut seen: BTreeMap<&Key, &Step> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let mut rule = |holds: bool, text: &str| {
            if !holds {
                broken.push(format!("{} ({}): {text}", step.key, step.id));
            }
        };
        let deleting = step.action.kind() == ActionKind::Delete;
        rule(step.id == index, "its id isn't its place");
        rule(
            step.after.iter().all(|&after| after < index),
            "it waits for a later step",
        );
        let goes_on = |first: &Step| {
            comes_in_two(first) && comes_in_two(step) && before[index].contains(&first.id)
        };
        rule(
            deleting || seen.insert(&step.key, step).is_none_or(goes_on),
            "another step makes or changes it too",
        );
        rule(
            fits(step),
            "its resource is of another kind, or it changes nothing",
        );
        rule(
            deleting || plan.options.mode == Mode::Up,
            "a teardown makes or changes something",
        );
        rule(
            deleting || !unresolved(plan, &before[index], step),
            "it refers to something that won't be there",
        );
        rule(
            !deleting || users_go_first(plan, &before[index], step),
            "something that may need it, or the lease that lies in it, isn't done before",
        );
        let source = deleting && step.key.kind == Kind::SourceRepository;
        rule(
            !source || plan.options.delete_source,
            "the source repository goes without being asked for",
        );
        rule(
            !waiting.contains(&step.key) || comes_in_two(step),
            "it is done, and held back as well",
        );
        rule(
            !deleting || users_are_done(plan, step),
            "something that is held back may still need it",
        );
        rule(
            !(plan.options.rollout_in_flight && moved_by_rollouts(step.key.kind)),
            "a rollout in flight owns it",
        );
    }
    broken
}

/// Whether a change may come in two steps, one after the other: a security group opens before a listener moves, and closes
/// afterwards, if it moves.
fn comes_in_two(step: &Step) -> bool {
    step.key.kind == Kind::SecurityGroup && step.action.kind() == ActionKind::Update
}

/// The steps that are done before each step, near and far.
fn everything_before(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut before: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let mut all = step.after.clone();
        for after in &step.after {
            all.extend(before.get(*after).into_iter().flatten());
        }
        before.push(all);
    }
    before
}

fn fits(step: &Step) -> bool {
    let kind = step.key.kind;
    let kinds = step
        .action
        .have()
        .is_none_or(|have| have.resource.kind() == kind)
        && step.action.want().is_none_or(|want| want.kind() == kind);
    kinds
        && match &step.action {
            Action::Update { changes, .. } | Action::Replace { changes, .. } => !changes.is_empty(),
            Action::Create { .. } | Action::Delete { .. } => true,
        }
}

fn unresolved(plan: &Plan, before: &BTreeSet<usize>, step: &Step) -> bool {
    let Some(want) = step.action.want() else {
        return false;
    };
    let made: BTreeMap<&Key, usize> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action.kind(), ActionKind::Create | ActionKind::Replace))
        .map(|step| (&step.key, step.id))
        .collect();
    let there = |key: &Key| match made.get(key) {
        Some(id) => before.contains(id),
        None => plan.known.contains_key(key),
    };
    !tokens(&want.properties()).iter().all(there)
}

fn users_go_first(plan: &Plan, before: &BTreeSet<usize>, step: &Step) -> bool {
    plan.steps
        .iter()
        .filter(|other| goes_before(plan.options.mode, other.key.kind, step.key.kind))
        .all(|other| before.contains(&other.id))
}

/// Nothing goes whose user can't be changed, or can't go, before.
fn users_are_done(plan: &Plan, step: &Step) -> bool {
    plan.held_back
        .iter()
        .all(|held| !needs(held.key.kind, step.key.kind))
}

/// Whether a resource belongs to a deployment while one is in flight.
pub(crate) fn moved_by_rollouts(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Listener | Kind::TargetGroup | Kind::Service | Kind::DeploymentGroup
    )
}
