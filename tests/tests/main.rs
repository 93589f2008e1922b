//! Everything that needs the adapter and the sandbox together. One binary: each one links the whole SDK.

#![allow(clippy::unwrap_used)]

mod provision;
