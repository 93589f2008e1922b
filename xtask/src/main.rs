//! The project's own commands: `cargo xtask test`, `ci`, `codegen`, `tidy`, `bench`.
//!
//! Must not link any crate of the workspace: whoever runs the checks must not compile the AWS SDK to get at them. What
//! needs the product calls its built binary.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A program for the terminal.

mod bench;
mod ci;
mod codegen;
mod oracles;
mod process;
mod space;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pass every test, the oracle tests included.
    Test(test::Options),
    /// What continuous integration runs: room on the disk, format, tidy, clippy, doc, codegen --check, test.
    Ci,
    /// Write the generated files: JSON Schema, CLI reference, goldens of the examples.
    Codegen(codegen::Options),
    /// Check the rules of ARCHITECTURE.md that a program can check.
    Tidy,
    /// Measure what things cost, beside the targets: calls, time, memory.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well; `false` means that the reason has been printed and nothing may follow it.
fn run(command: Command) -> Result<bool, String> {
    let workspace = Workspace::load()?;
    match command {
        Command::Test(options) => Ok(test::close(test::run(&workspace, &options))),
        Command::Ci => Ok(ci::run(&workspace)),
        Command::Codegen(options) => codegen::run(&workspace, options).map(|()| true),
        Command::Tidy => tidy::run(&workspace).map(|()| true),
        Command::Bench(options) => bench::run(&workspace, &options).map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
