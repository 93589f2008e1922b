//! The real binary as a process, with real signals, a real terminal, and a sandbox on a port. Nothing here waits for a time: every
//! step waits for something that is written.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod account;
mod signals;
mod terminal;
