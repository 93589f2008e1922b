//! From a spec to resources in an account, in four steps that each yield a value to look at:
//!
//! 1. [`desired()`]: the spec becomes a [`Graph`] of resources that refer to each other by links.
//! 2. [`observe`]: what the account holds of the app becomes an [`Inventory`], about one call a kind.
//!    [`desired_beside`]: the graph again, with what running tasks need until they have moved.
//! 3. [`plan()`]: both become a [`Plan`] of steps with their reasons, or a list of refusals.
//! 4. [`apply()`]: the steps are taken, each as soon as its own dependencies are done; [`Event`]s tell of it.
//!
//! `down` is the same with an empty graph. Everything up to the plan is pure; only [`observe`] and [`apply()`] wait, and
//! only for the [`Cloud`]. Must not name an SDK type, print, or keep state anywhere but in the account's tags.

#![allow(
    clippy::result_large_err,
    reason = "a cloud's error carries all that a user is shown, and it is never on a hot path"
)]

pub mod applied;
pub mod apply;
pub mod change_table;
pub mod check;
pub mod cloud;
pub mod conclusion;
pub mod desired;
pub mod doctor;
pub mod document;
pub mod event;
pub mod existing;
pub mod graph;
pub mod inventory;
pub mod lease;
#[cfg(feature = "fake")]
pub mod memory;
mod outputs;
pub mod permissions;
pub mod plan;
pub mod resource;
mod task_network;

pub use applied::{APPLIED_TAG, Applied};
pub use apply::{ApplyOptions, Failure, Outcome, Skip, apply};
pub use check::check;
pub use cloud::{
    Cloud, CloudError, CloudErrorKind, Detail, Have, Listing, Made, Progress, Scope, TagSource,
    Tags, Targets,
};
pub use conclusion::{Act, Cause, Conclusion, conclusion};
pub use desired::{Inputs, desired, desired_beside, named, scope};
pub use event::{Because, Event};
pub use existing::{Depth, Existing, Found, Lookup};
pub use graph::{Graph, Node};
pub use inventory::{Inventory, observe, observe_all, observe_kinds, observe_production};
pub use outputs::{Outputs, outputs};
pub use permissions::{Duty, Statement, permissions};
pub use plan::{
    Action, ActionKind, Change, Danger, DangerKind, Deferred, DeferredTo, Delegated, Drift,
    HeldBack, Hold, LeftOut, Mode, Options, Origin, Part, Plan, Refusal, RefusalReason, Remedy,
    Step, Summary, plan,
};
pub use resource::{Area, Id, Key, Kind, Link, Resource};
pub use task_network::{TASK_NETWORK_KINDS, TaskNetwork, applied_task_network, task_network};
pub use tokio_util::sync::CancellationToken;

/// Why the work can't go on. What a single step of a run fails with is in the [`Outcome`] instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec can't be had in this account and region: change the spec.
    #[error("{problem}")]
    Impossible {
        /// What is wrong.
        problem: String,
        /// The next step.
        hint: String,
    },
    /// What the spec refers to isn't there, or can't be used so: every problem. Change the spec, or the account.
    #[error("the spec refers to what can't be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit(Vec<existing::Problem>),
    /// The account couldn't be read: see each error.
    #[error("the account could not be read: {}", first_of(.0))]
    Unreadable(Vec<CloudError>),
    /// What a deployment needs isn't there: run `up` first.
    #[error("the account is not as the spec says: {}", .0.join("; "))]
    NotUp(Vec<String>),
    /// The plan holds refusals, so none of it is done: show them.
    #[error("the plan is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// The plan breaks a rule that holds for every plan: a bug in ecspipe; nothing was done.
    #[error("the plan breaks its own rules, which is a bug in ecspipe: {}", .0.join("; "))]
    Broken(Vec<String>),
}

fn first_of(errors: &[CloudError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}
