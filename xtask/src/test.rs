//! `cargo xtask test`: all tests, with the oracles prepared before, and one closing line that counts them.
//!
//! Must not hide what cargo prints, and must not count a test that skipped itself as passed.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::{oracles, process, workspace::Workspace};

/// What a test writes, past libtest's capture, when it cannot run here: `skipped: why`.
const SKIPPED: &str = "skipped: ";

/// How many random cases each property is tried with under `--long`; proptest's own default is 256.
const LONG_CASES: &str = "2048";

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Try properties with many more random cases, and run what is marked as long (ECSPIPE_LONG=1).
    #[arg(long)]
    long: bool,
    /// Leave the oracles out: their tests skip themselves. Not under CI=true.
    #[arg(long)]
    no_oracles: bool,
    /// Passed on to `cargo test`, for example `-p ecspipe-spec` or a test's name.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What the whole run came to. Signed, because a test says that it is skipped before its binary says how many passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    passed: i64,
    failed: i64,
    skipped: i64,
}

/// Passes all tests and returns the count, and what went wrong if something did.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> (Count, Result<(), String>) {
    let environment = match oracles::prepare(workspace, options.no_oracles) {
        Ok(environment) => environment,
        Err(failure) => return (Count::default(), Err(failure)),
    };
    let mut command = workspace.cargo();
    command.args(["test", "--no-fail-fast"]);
    if !chooses_packages(&options.arguments) {
        command.arg("--workspace");
    }
    command.args(&options.arguments);
    command.env_remove(oracles::VARIABLE);
    if let Some(environment) = environment {
        command.env(oracles::VARIABLE, environment);
    }
    if options.long {
        command
            .env("ECSPIPE_LONG", "1")
            .env("PROPTEST_CASES", LONG_CASES);
    }
    let mut count = Count::default();
    let result = follow(&mut command, &mut count);
    (count, result)
}

/// Prints what went wrong and then the closing line, the last of the run; says whether all tests passed.
pub(crate) fn close((count, result): (Count, Result<(), String>)) -> bool {
    if let Err(failure) = &result {
        eprintln!("error: {failure}");
    }
    println!(
        "tests: {} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    result.is_ok()
}

impl Count {
    /// Reads one line of `cargo test`: a `test result:` adds up, a `skipped:` moves one test from passed to skipped.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.trim_start().strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.skipped += number_before(result, " ignored");
        } else if line.starts_with(SKIPPED) || line.contains(&format!("... {SKIPPED}")) {
            self.skipped += 1;
            self.passed -= 1;
        }
    }
}

fn chooses_packages(arguments: &[String]) -> bool {
    let choices = ["-p", "--package", "--workspace"];
    arguments
        .iter()
        .any(|argument| choices.iter().any(|choice| argument.starts_with(choice)))
}

fn follow(command: &mut std::process::Command, count: &mut Count) -> Result<(), String> {
    let name = process::name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| format!("{name}: {error}"))?;
            let line = String::from_utf8_lossy(&line);
            count.read(&line);
            println!("{line}");
        }
    }
    // A closed pipe is the reader's choice, not a failure of the tests.
    std::io::stdout().flush().ok();
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}"))
    }
}

/// The number that stands right before `word`, or 0.
fn number_before(text: &str, word: &str) -> i64 {
    let Some(end) = text.find(word) else { return 0 };
    let head = &text[..end];
    let start = head
        .rfind(|letter: char| !letter.is_ascii_digit())
        .map_or(0, |at| at + 1);
    head[start..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str]) -> Count {
        let mut count = Count::default();
        for line in lines {
            count.read(line);
        }
        count
    }

    #[test]
    fn results_of_all_binaries_add_up() {
        let have = count(&[
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ]);
        assert_eq!(
            have,
            Count {
                passed: 15,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_test_that_skipped_itself_is_not_passed() {
        let have = count(&[
            "skipped: no oracles",
            "test oracle ... skipped: no oracles",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ]);
        assert_eq!(
            have,
            Count {
                passed: 1,
                failed: 0,
                skipped: 2
            }
        );
    }

    #[test]
    fn packages_of_the_caller_replace_the_workspace() {
        assert!(chooses_packages(&["-p".to_owned(), "x".to_owned()]));
        assert!(chooses_packages(&["--workspace".to_owned()]));
        assert!(!chooses_packages(&["name_of_a_test".to_owned()]));
    }
}
