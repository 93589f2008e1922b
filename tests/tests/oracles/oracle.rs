//! Runs the Python programs of `tests/oracles`. Must not know what they check.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracles");

/// Where `cargo xtask test` says that the virtual environment is.
const VARIABLE: &str = "ECSPIPE_ORACLES";

/// The virtual environment that the programs run in.
pub(crate) struct Oracles {
    python: PathBuf,
}

/// How a program ended.
pub(crate) struct Answer {
    pub(crate) succeeded: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Oracles {
    /// The environment. Without one the test is skipped, and says so, except under `CI=true`, where that is a failure.
    pub(crate) fn find() -> Option<Self> {
        if let Some(environment) = std::env::var_os(VARIABLE) {
            let python = Path::new(&environment).join("bin/python");
            assert!(
                python.exists(),
                "{VARIABLE} names no virtual environment: {} is missing",
                python.display()
            );
            return Some(Self { python });
        }
        let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(
            !strict,
            "{VARIABLE} is not set: run the tests with `cargo xtask test`, which installs the oracles"
        );
        // Past libtest's capture, so that whoever counts tests sees it.
        let mut out = std::io::stdout();
        writeln!(
            out,
            "skipped: {VARIABLE} is not set; `cargo xtask test` sets it"
        )
        .unwrap();
        None
    }

    /// A program, ready to be started.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(Path::new(SCRIPTS).join(script))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        script: &str,
        arguments: &[A],
        input: &str,
    ) -> Answer {
        let mut command = self.command(script);
        command.args(arguments);
        finish(command, input)
    }

    /// Runs a program that prints JSON.
    #[track_caller]
    pub(crate) fn ask<A: AsRef<OsStr>>(&self, script: &str, arguments: &[A], input: &str) -> Value {
        let answer = self.run(script, arguments, input);
        serde_json::from_str(&answer.out)
            .unwrap_or_else(|error| panic!("{script}: {error}\n{}{}", answer.out, answer.err))
    }
}

fn finish(mut command: Command, input: &str) -> Answer {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program may print before it has read everything: neither side may wait for the other.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    let answer = Answer {
        succeeded: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(
        written.is_ok(),
        "the program left before it had read its input:\n{}{}",
        answer.out,
        answer.err
    );
    answer
}

/// The items of a list in a program's answer, one a line.
pub(crate) fn lines(answer: &Value, list: &str) -> String {
    let items = answer[list]
        .as_array()
        .unwrap_or_else(|| panic!("`{list}` is no list in {answer:#}"));
    items.iter().map(|item| format!("{item}\n")).collect()
}

#[test]
fn the_programs_pass_their_own_tests() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let mut command = Command::new(&oracles.python);
    command
        .args(["-m", "unittest", "discover", "-s", SCRIPTS])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let answer = finish(command, "");
    assert!(answer.succeeded, "{}{}", answer.out, answer.err);
    assert!(!answer.err.contains("Ran 0 tests"), "{}", answer.err);
}
