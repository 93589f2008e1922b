//! The engine through the adapter on the in-process sandbox: what was made lists as it was wanted, changes arrive, and
//! what goes leaves nothing. Time is tokio's paused clock, so that a NAT gateway's minutes pass at once.

mod calls;
mod change_table;
mod changes;
mod chaos;
mod existing;
mod faults;
mod lifecycle;
mod limits;
mod makespan;
mod matrix;
mod place;
mod platform;
mod random;
mod shape;
mod timeline;
mod watch;
