//! What has to wait, and what waits with it: the rest of a plan is done without. Must not know why something waits by itself.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::planner::loses_a_route;
use super::{Action, ActionKind, Change, Plan, Step};
use crate::cloud::Made;
use crate::resource::{Id, Key, Resource};

/// A step that can't be taken now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HeldBack {
    /// The resource.
    pub key: Key,
    /// What would be done with it.
    pub action: ActionKind,
    /// The fields that differ.
    pub changes: Vec<Change>,
    /// What it waits for.
    pub reason: Hold,
    /// What it waits for, in a sentence.
    pub message: String,
    /// The next step.
    pub hint: String,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hold {
    /// A deployment is in flight, and the resource belongs to it until its end.
    RolloutInFlight,
    /// Production would move to a target group without a healthy target.
    NoHealthyTarget {
        /// Its ARN.
        target_group: Id,
    },
    /// Another step that is held back comes first.
    Follows {
        /// On what.
        of: Key,
    },
}

impl Hold {
    fn message(&self, key: &Key) -> String {
        let label = key.kind.label();
        match self {
            Self::RolloutInFlight => {
                format!("a deployment is in flight, and this {label} belongs to it until its end")
            }
            Self::NoHealthyTarget { .. } => {
                "production would move to a target group without a healthy target".to_owned()
            }
            Self::Follows { of } => format!("{of} comes first, and is held back"),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::RolloutInFlight => {
                "wait for the deployment to end (`ecspipe watch`), or end it (`ecspipe stop`); then run `ecspipe up` again".to_owned()
            }
            Self::NoHealthyTarget { .. } => {
                "see why its tasks don't get healthy (`ecspipe status`, `ecspipe logs`), then run `ecspipe up` again".to_owned()
            }
            Self::Follows { of } => {
                format!("run `ecspipe up` again when {of} is no longer held back")
            }
        }
    }
}

/// Takes the steps out of `plan` for which `waits` has a reason, and those that need them: whatever refers to something that is then
/// not made, and whatever is taken away while something that is then not changed may still use it. What is there already can be referred
/// to as it is, so that a step that only comes after a change goes on without it.
pub(super) fn hold_back(plan: &mut Plan, waits: impl Fn(&Step) -> Option<Hold>) {
    let mut held: BTreeMap<usize, Held> = BTreeMap::new();
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for mut step in std::mem::take(&mut plan.steps) {
        let before: Vec<&Held> = step.after.iter().filter_map(|id| held.get(id)).collect();
        let takes = takes_away(&step.action);
        let needed = before.iter().find(|held| held.makes || takes);
        let follows = needed.map(|held| Hold::Follows {
            of: held.root.clone(),
        });
        let kept = step.after.iter().filter_map(|id| places.get(id).copied());
        let after: BTreeSet<usize> = kept
            .chain(before.iter().flat_map(|held| held.after.iter().copied()))
            .collect();
        if let Some(hold) = waits(&step).or(follows) {
            let root = match &hold {
                Hold::Follows { of } => of.clone(),
                _ => step.key.clone(),
            };
            let makes = matches!(step.action.kind(), ActionKind::Create | ActionKind::Replace);
            held.insert(step.id, Held { root, makes, after });
            plan.hold(step, hold);
            continue;
        }
        let place = plan.steps.len();
        places.insert(step.id, place);
        step.id = place;
        step.after = after;
        plan.steps.push(step);
    }
}

/// Whether something that was there is gone afterwards.
fn takes_away(action: &Action) -> bool {
    let Action::Update { have, want, .. } = action else {
        return action.kind() == ActionKind::Delete;
    };
    match (&have.resource, want) {
        (Resource::SecurityGroup(have), Resource::SecurityGroup(want)) => {
            !have.ingress.is_subset(&want.ingress)
        }
        _ => loses_a_route(action),
    }
}

/// A step that was taken out.
struct Held {
    /// What it waits for in the end: its own resource, or that of one before it.
    root: Key,
    /// Whether its resource is not there without it.
    makes: bool,
    /// The steps that come before it and are taken.
    after: BTreeSet<usize>,
}

impl Plan {
    /// What is there of the resource stays as it is, and can be referred to.
    fn hold(&mut self, step: Step, reason: Hold) {
        if let Some(have) = step.action.have() {
            let made = Made {
                id: have.id.clone(),
                attributes: have.attributes.clone(),
            };
            self.known.entry(step.key.clone()).or_insert(made);
        }
        self.held_back.push(HeldBack {
            message: reason.message(&step.key),
            hint: reason.hint(),
            action: step.action.kind(),
            changes: step.action.changes().to_vec(),
            key: step.key,
            reason,
        });
    }
}
