//! The thin CLI: reads arguments, environment and the terminal, wires the libraries, prints and gives the exit code.
//! The only crate that prints. Must not decide what a library should: what is wanted, what is done, how a rollout stands.

#![allow(
    clippy::result_large_err,
    reason = "an error here carries all that a user is shown, once a run"
)]

pub mod args;
mod cmd;
mod exit;
mod files;
mod lease;
mod machine;
mod place;
mod probe;
mod report;
mod screen;
#[cfg(test)]
mod testing;
mod world;

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::ErrorKind;

pub use crate::exit::{Exit, Failure};
pub use crate::machine::{HasEnded, Machine};
pub use crate::world::{Answers, World};

/// Runs one command; the exit code is as [`Exit`] says. Everything that it prints goes through `world`.
pub async fn run(args: impl IntoIterator<Item = OsString>, world: &World) -> u8 {
    let mut args = match args::Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return usage(&error, world),
    };
    if let Err(error) = args.choose_file() {
        return usage(&error, world);
    }
    world.start_log(args.global.verbose);
    // A command's future is large: on the heap it spares the stack of whoever runs several.
    let work = Box::pin(cmd::exec(&args, world));
    let ended = if args.command.only_reads() {
        world.reading(work).await
    } else {
        work.await
    };
    match ended {
        Ok(code) => code,
        Err(failure) => {
            report::failure(world, &args.global, &failure);
            failure.exit.code()
        }
    }
}

fn usage(error: &clap::Error, world: &World) -> u8 {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            world.out(text.to_string().trim_end());
            Exit::Done.code()
        }
        _ => {
            world.err(text.to_string().trim_end());
            Exit::Usage.code()
        }
    }
}
