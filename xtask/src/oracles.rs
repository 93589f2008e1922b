//! The oracles: Python programs that hold ecspipe against AWS's own models, installed under the target directory.
//!
//! Must not touch anything outside the target directory, and must not install what `requirements.txt` does not name
//! by version and hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{process, workspace::Workspace};

/// How the tests learn where the virtual environment is; unset means that they skip themselves.
pub(crate) const VARIABLE: &str = "ECSPIPE_ORACLES";

/// The oldest Python that the pinned requirements support.
const OLDEST_PYTHON: (u32, u32) = (3, 10);

/// Makes the environment unless it is there, and returns its path; `None` where the oracle tests must be skipped.
/// Under `CI=true` nothing may be skipped, so what would be `None` is an error there.
pub(crate) fn prepare(workspace: &Workspace, leave_out: bool) -> Result<Option<PathBuf>, String> {
    let why_not = if leave_out {
        "left out by --no-oracles".to_owned()
    } else {
        match python() {
            Ok(version) => {
                return install(
                    &workspace.root().join("tests/oracles/requirements.txt"),
                    &workspace.target().join("oracles"),
                    &version,
                )
                .map(Some);
            }
            Err(why_not) => why_not,
        }
    };
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        return Err(format!(
            "the oracle tests must run under CI=true: {why_not}"
        ));
    }
    eprintln!("oracle tests are skipped: {why_not}");
    Ok(None)
}

/// The version line of `python3`, or why it cannot be used.
fn python() -> Result<String, String> {
    let output = Command::new("python3")
        .arg("--version")
        .output()
        .map_err(|error| {
            format!("python3 is missing ({error}); install python3 with its venv module")
        })?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && new_enough(&version) {
        Ok(version)
    } else {
        Err(format!(
            "python3 is `{version}`, needed is {}.{} or newer",
            OLDEST_PYTHON.0, OLDEST_PYTHON.1
        ))
    }
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches("Python ")
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST_PYTHON,
        _ => false,
    }
}

/// Installs once per content of the requirements and version of Python; the stamp is written last, so an interrupted
/// installation is made anew.
fn install(requirements: &Path, directory: &Path, version: &str) -> Result<PathBuf, String> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let lock_path = directory.join("lock");
    let lock = fs::File::create(&lock_path).map_err(|error| failed(&lock_path, &error))?;
    // Two runs at once must not build one environment together; the lock goes with the file handle.
    lock.lock().map_err(|error| failed(&lock_path, &error))?;

    let environment = directory.join("venv");
    let stamp_path = directory.join("stamp");
    let pinned = fs::read_to_string(requirements).map_err(|error| failed(requirements, &error))?;
    let stamp = format!("{version}\n{pinned}");
    let is_there = environment.join("bin/python").exists();
    if is_there && fs::read_to_string(&stamp_path).is_ok_and(|have| have == stamp) {
        return Ok(environment);
    }

    eprintln!("installing the oracles into {}", environment.display());
    process::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )
    .map_err(|error| {
        format!("{error}; python3 needs its venv module (Debian: apt install python3-venv)")
    })?;
    process::run(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--require-hashes"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(requirements),
    )
    .map_err(|error| {
        format!("{error}; the first run needs a package index, --no-oracles goes without")
    })?;
    fs::write(&stamp_path, stamp).map_err(|error| failed(&stamp_path, &error))?;
    Ok(environment)
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(new_enough("Python 3.10.0"));
        assert!(new_enough("Python 3.14.0rc1"));
        assert!(new_enough("Python 4.0.0"));
        assert!(!new_enough("Python 3.9.18"));
        assert!(!new_enough("Python 2.7"));
        assert!(!new_enough("command not found"));
    }
}
