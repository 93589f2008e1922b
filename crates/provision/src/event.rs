//! What happens while a plan is carried out, told to whoever shows it. Must not format, print, or know the time: whoever
//! listens has a clock.

use serde::{Deserialize, Serialize};

use crate::cloud::CloudError;
use crate::conclusion::Conclusion;
use crate::plan::{ActionKind, Summary};
use crate::resource::Key;

/// Something that happened. `step` is [`crate::Step::id`]: two steps can have one key when a creation had left a duplicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan is about to be carried out.
    PlanMade {
        /// How much there is to do.
        summary: Summary,
    },
    /// A step has begun.
    StepStarted {
        /// Which.
        step: usize,
        /// On what.
        key: Key,
        /// What is done.
        action: ActionKind,
    },
    /// A step waits for something.
    StepProgressed {
        /// Which.
        step: usize,
        /// On what.
        key: Key,
        /// What is waited for, as in `waiting for …`.
        waiting_for: String,
    },
    /// A step is done; the resource can be used, or is gone.
    StepFinished {
        /// Which.
        step: usize,
        /// On what.
        key: Key,
        /// What was done.
        action: ActionKind,
        /// The resource's physical id.
        id: String,
    },
    /// A step has failed; running again tries it again.
    StepFailed {
        /// Which.
        step: usize,
        /// On what.
        key: Key,
        /// What was being done.
        action: ActionKind,
        /// Why.
        error: CloudError,
    },
    /// A step was not begun.
    StepSkipped {
        /// Which.
        step: usize,
        /// On what.
        key: Key,
        /// What would have been done.
        action: ActionKind,
        /// Why.
        because: Because,
    },
    /// The user wants to stop: nothing new is begun, what is in flight is finished.
    Cancelled {
        /// How many steps are in flight.
        in_flight: usize,
    },
    /// The run has ended: what came of it, by its causes.
    Concluded {
        /// What it came to.
        conclusion: Conclusion,
    },
}

/// Why a step was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Because {
    /// Something that it depends on has failed.
    Failed {
        /// What failed.
        key: Key,
    },
    /// The user stopped the run.
    Cancelled,
}
