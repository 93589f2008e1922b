//! One area of a plan, for whoever looks after no more than that. It is to be looked at: its steps may need others that it
//! leaves out, so that [`crate::apply()`] refuses it wherever something is missing.

use schemars::JsonSchema;
use serde::Serialize;

use super::Plan;
use crate::resource::{Area, Key};

/// What a plan says about one area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The area.
    pub area: Area,
    /// What of the plan is about it. Steps keep their numbers, and so refer to steps of other areas.
    pub plan: Plan,
    /// How much is about others.
    pub left_out: LeftOut,
}

/// How much a part leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct LeftOut {
    /// Dangers.
    pub dangers: usize,
    /// Steps.
    pub steps: usize,
    /// Steps that are held back.
    pub held_back: usize,
    /// Refusals: while there is one, nothing of the plan is done, in no area.
    pub refusals: usize,
    /// Resources that were changed by hand.
    pub drift: usize,
}

impl Plan {
    /// What it says about `area`. Notes are about no area in particular, and stay.
    pub fn within(mut self, area: Area) -> Part {
        let left_out = LeftOut {
            dangers: keep(&mut self.dangers, area, |danger| &danger.key),
            steps: keep(&mut self.steps, area, |step| &step.key),
            held_back: keep(&mut self.held_back, area, |held| &held.key),
            refusals: keep(&mut self.refusals, area, |refusal| &refusal.key),
            drift: keep(&mut self.drift, area, |drift| &drift.key),
        };
        keep(&mut self.deferred, area, |deferred| &deferred.key);
        keep(&mut self.delegated, area, |delegated| &delegated.key);
        keep(&mut self.unchanged, area, |key| key);
        Part {
            area,
            plan: self,
            left_out,
        }
    }
}

/// Keeps the items of `area`; answers how many others there were.
fn keep<T>(items: &mut Vec<T>, area: Area, key: impl Fn(&T) -> &Key) -> usize {
    let all = items.len();
    items.retain(|item| key(item).kind.area() == area);
    all - items.len()
}
