//! The engine from spec to account, on the in-memory cloud. Must not know what is private to the crate.

#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod account;
mod apply;
mod change_table;
mod converge;
mod danger;
mod desired;
mod document;
mod drift;
mod existing;
mod hold;
mod moving;
mod origin;
mod permissions;
mod refuse;
mod specs;
