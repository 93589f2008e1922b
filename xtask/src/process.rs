//! Running other programs, with errors that name the whole command.
//!
//! Must not swallow output: a command is either visible or its output is returned.

use std::process::{Command, Output, Stdio};

/// Runs to the end with output visible; a non-zero exit is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", name(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", name(command)))
    }
}

/// Runs to the end and returns stdout; stderr stays visible, a non-zero exit is an error.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", name(command)))?;
    text_of(command, output)
}

/// The command as one would type it.
pub(crate) fn name(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn text_of(command: &Command, output: Output) -> Result<String, String> {
    if !output.status.success() {
        return Err(format!("{}: {}", name(command), output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|error| format!("{}: output is not UTF-8: {error}", name(command)))
}
