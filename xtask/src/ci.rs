//! `cargo xtask ci`: every check that a change must pass, the cheap ones first.
//!
//! Must not stop at the first failure: who waited for the run wants all of it. The tests come last, so that their
//! closing line is the last line of the run.

use crate::{codegen, process, space, test, tidy, workspace::Workspace};

/// Runs every check and then the tests; says whether all passed, after naming those that did not.
pub(crate) fn run(workspace: &Workspace) -> bool {
    let checks: [(&str, Check); 6] = [
        ("space", space::make),
        ("fmt", fmt),
        ("tidy", tidy::run),
        ("clippy", clippy),
        ("doc", doc),
        ("codegen --check", |workspace| {
            codegen::run(workspace, codegen::Options { check: true })
        }),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        eprintln!("ci: {name}");
        if let Err(failure) = check(workspace) {
            eprintln!("ci: {name} failed: {failure}");
            failed.push(name);
        }
    }
    eprintln!("ci: test");
    let outcome = test::run(workspace, &test::Options::default());
    if !failed.is_empty() {
        eprintln!("error: failed besides the tests: {}", failed.join(", "));
    }
    test::close(outcome) && failed.is_empty()
}

type Check = fn(&Workspace) -> Result<(), String>;

fn fmt(workspace: &Workspace) -> Result<(), String> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<(), String> {
    process::run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn doc(workspace: &Workspace) -> Result<(), String> {
    process::run(
        workspace
            .cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
