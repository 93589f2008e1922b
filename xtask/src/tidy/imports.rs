//! Rules on who may depend on whom: the one-way flow of ARCHITECTURE.md, as a table.
//!
//! Must not read a file: what cargo resolved is the truth.

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;

/// Which of our crates each of ours may use in its product code. What is not listed may use none.
const FLOW: [(&str, &[&str]); 9] = [
    ("ecspipe-spec", &[]),
    ("ecspipe-render", &["ecspipe-spec"]),
    ("ecspipe-provision", &["ecspipe-spec"]),
    ("ecspipe-deploy", &["ecspipe-spec"]),
    (
        "ecspipe-aws",
        &["ecspipe-spec", "ecspipe-provision", "ecspipe-deploy"],
    ),
    // The sandbox is the witness against the adapter and the engine, so it shares nothing with them.
    ("ecspipe-sandbox", &[]),
    (
        "ecspipe",
        &[
            "ecspipe-spec",
            "ecspipe-render",
            "ecspipe-provision",
            "ecspipe-deploy",
            "ecspipe-aws",
            "ecspipe-sandbox",
        ],
    ),
    (
        "ecspipe-tests",
        &[
            "ecspipe",
            "ecspipe-spec",
            "ecspipe-render",
            "ecspipe-provision",
            "ecspipe-deploy",
            "ecspipe-aws",
            "ecspipe-sandbox",
        ],
    ),
    ("xtask", &[]),
];

/// Outside crates that only some of ours may use, by the start of their name.
const RESERVED: [(&str, &[&str], &str); 12] = [
    (
        "aws-sdk-",
        &["ecspipe-aws"],
        "only crates/aws names an AWS SDK type",
    ),
    (
        "aws-config",
        &["ecspipe-aws"],
        "only crates/aws loads an AWS configuration",
    ),
    (
        "clap",
        &["ecspipe", "xtask"],
        "only the CLI reads arguments",
    ),
    ("miette", &["ecspipe"], "only the CLI prints"),
    ("indicatif", &["ecspipe"], "only the CLI prints"),
    ("inquire", &["ecspipe"], "only the CLI asks"),
    ("tracing-subscriber", &["ecspipe"], "only the CLI prints"),
    (
        "hyper",
        &["ecspipe-sandbox", "ecspipe"],
        "only the sandbox serves, and only the CLI asks an app's test listener",
    ),
    ("reqwest", &[], "requests go through the SDK"),
    ("rand", &[], "no randomness: names and tokens are derived"),
    (
        "anyhow",
        &[],
        "errors are enums that say what the caller can do",
    ),
    (
        "eyre",
        &[],
        "errors are enums that say what the caller can do",
    ),
];

/// Crates that are pure from end to end: no executor either.
const WITHOUT_EXECUTOR: [&str; 2] = ["ecspipe-spec", "ecspipe-render"];

/// A member of the workspace and what it declares.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One declared dependency.
pub(super) struct Dependency {
    pub(super) name: String,
    /// Development dependencies bind tests, not the product.
    pub(super) development: bool,
}

/// The members, as far as these rules look at them.
pub(super) fn packages(metadata: &Metadata) -> Vec<Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| Package {
            name: package.name.to_string(),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| Dependency {
                    name: dependency.name.clone(),
                    development: dependency.kind == DependencyKind::Development,
                })
                .collect(),
        })
        .collect()
}

/// All rules for all members.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, may_use)) = FLOW.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(
                &package.name,
                0,
                "is not in the table of xtask/src/tidy/imports.rs; say there what it may use",
            ));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|found| !found.development)
        {
            findings.extend(check_dependency(&package.name, may_use, &dependency.name));
        }
    }
    findings
}

fn check_dependency(package: &str, may_use: &[&str], dependency: &str) -> Option<Finding> {
    let is_ours = FLOW.iter().any(|(name, _)| *name == dependency);
    if is_ours {
        return (!may_use.contains(&dependency)).then(|| {
            Finding::new(
                package,
                0,
                format!("may not depend on {dependency} (ARCHITECTURE.md)"),
            )
        });
    }
    // The tests stand outside: they may hold a server or a client of their own.
    if package == "ecspipe-tests" {
        return None;
    }
    if WITHOUT_EXECUTOR.contains(&package) && ["tokio", "futures"].contains(&dependency) {
        return Some(Finding::new(
            package,
            0,
            format!("may not depend on {dependency}: no async in a pure crate"),
        ));
    }
    RESERVED
        .iter()
        .find(|(start, users, _)| dependency.starts_with(start) && !users.contains(&package))
        .map(|(_, _, why)| {
            Finding::new(package, 0, format!("may not depend on {dependency}: {why}"))
        })
}
