//! `completions`: what a shell must know to complete a command line. Must not install anything.

use clap::CommandFactory as _;

use crate::args::{Args, Completions};
use crate::exit::{Exit, Failure};
use crate::world::World;

pub(crate) fn exec(args: &Completions, world: &World) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "ecspipe", &mut script);
    world.out_raw(&script);
    Ok(Exit::Done)
}
