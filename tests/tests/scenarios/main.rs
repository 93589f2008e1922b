//! The command line as a user meets it, on a sandbox account: whole runs through `ecspipe::run`, with what they print and the
//! code they exit with. Time is tokio's paused clock with the in-process connector, or, where sockets are the point, a
//! served sandbox at high speed. Nothing here sleeps.

#![allow(clippy::unwrap_used)]

mod alarms;
mod by_hand;
mod demo;
mod doctor;
#[allow(dead_code)]
#[path = "../oracles/drift.rs"]
mod drift;
mod exits;
mod failure;
mod figures;
mod interruption;
mod lease;
mod load;
mod matrix;
mod operate;
mod operators;
mod permissions;
#[allow(dead_code)]
#[path = "../provision/place.rs"]
mod place;
mod plans;
#[allow(dead_code)]
#[path = "../provision/platform.rs"]
mod platform;
mod policy;
mod redact;
mod reports;
mod restart;
mod rollouts;
mod shared;
mod stage;
mod strangers;
mod tutorial;
mod visitor;
mod wire;
mod zones;
