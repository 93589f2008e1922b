//! What others say of ecspipe and its sandbox: botocore's models, parliament, moto, boto3 and AWS's own command line. The programs
//! that ask them are in `tests/oracles`; `cargo xtask test` installs what they need. Must not hold ecspipe against itself.

#![allow(clippy::unwrap_used)]

mod account;
mod calls;
mod command_line;
mod documents;
mod drift;
mod moto;
mod needs;
mod oracle;
#[allow(dead_code)]
#[path = "../provision/place.rs"]
mod place;
#[allow(dead_code)]
#[path = "../provision/platform.rs"]
mod platform;
#[allow(dead_code)]
#[path = "../scenarios/stage.rs"]
mod stage;
