//! Rollouts of an app: put the deployment files to S3, start, follow, continue, stop, roll back.
//! Must not make or change the app's resources (that is `provision`), print, or name an AWS SDK type: AWS is behind [`Rollouts`].
//!
//! The way of a rollout, one function an arrow:
//!
//! ```text
//! files ──Bundle::new──▶ Bundle ──start──▶ Started { execution }        by the pipeline
//! task definition ──────────────start_image──▶ StartedImage { deployment }   without it
//!
//! Id ──follow──▶ Event, Event, … Verdict      a loop of snapshots; rollout.rs says what they mean
//! Id ──reroute──▶ Rerouted                    end the wait at Ready, and the one with the old tasks
//! Id ──stop──▶ Stopped                        with or without taking the traffic back
//!    ──rollback──▶ Rollback                   to the last good task definition
//!    ──rollback_to──▶ deployment              to a revision that is named
//!    ──approve──▶ Waiting                     an answer to whatever waits for a person
//!    ──status──▶ Status                       everything at one moment
//!    ──releases──▶ Release, …                 what ran, from which commit, by whom
//!    ──begin_run, attend_run──▶ RunEnded      a task of what is live, once
//!    ──scale, retire                          how many tasks; which task definitions stay
//!    ──logs, follow_logs──▶ LogEvent, …       what the tasks write
//! ```
//!
//! Every function takes `&dyn Rollouts` (AWS, or a fake) and a [`Target`] (the names). Those that change AWS look first where
//! the rollout stands, and are safe against a lost answer.

#![allow(
    clippy::result_large_err,
    reason = "an error comes once an operation, and carries what its reader needs"
)]

pub mod act;
pub mod approve;
pub mod bundle;
pub mod error;
pub mod event;
pub mod follow;
pub mod guard;
pub mod half_way;
#[cfg(feature = "fake")]
pub mod memory;
pub mod operations;
pub mod preflight;
pub mod reason;
pub mod releases;
pub mod rollout;
pub mod rollouts;
pub mod run;
pub mod snapshot;
pub mod start;
pub mod status;
pub mod tasks;

pub use act::{Rerouted, Rollback, Stopped, reroute, rollback, stop};
pub use approve::{Waiting, approve};
pub use bundle::Bundle;
pub use error::{CloudFailure, DeployError, FailureKind};
pub use event::{Event, Listener, LogSource, Part, Point, StartedBy, Verdict, Wait};
pub use follow::{
    FollowOptions, Followed, Id, OnEvent, Poll, WaitUntil, follow, follow_guarded, follow_logs,
    logs, resolve,
};
pub use guard::{Checks, Guard, Page, Prober};
pub use half_way::HalfWay;
pub use jiff::Timestamp;
pub use operations::*;
pub use preflight::{Intent, Obstacle, preflight, queue};
pub use reason::{Cause, Reason, Refusal};
pub use releases::{Purpose, Release, releases, rollback_to};
pub use rollouts::*;
pub use run::{Begun, RunEnded, RunEvent, attend_run, begin_run};
pub use snapshot::*;
pub use start::{
    BundlePut, Start, StartOptions, Started, StartedImage, put_bundle, put_first_bundle, start,
    start_image,
};
pub use status::{InFlight, Live, Status, status};
pub use tasks::{KEPT_RELEASES, KEPT_REVISIONS, Scaled, retire, scale};

#[cfg(test)]
mod tests;
