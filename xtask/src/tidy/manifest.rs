//! Rules on manifests: every member inherits what the workspace fixes, and versions stand in the root only.
//!
//! Must not look at what the dependencies are; that is `imports.rs`.

use toml_edit::{Document, Item, TableLike};

use super::Finding;

/// What every member takes from the root.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Lints that the root must set for all.
const LINTS: [(&str, &str); 10] = [
    ("rust", "unsafe_code"),
    ("rust", "missing_docs"),
    ("rust", "unreachable_pub"),
    ("clippy", "all"),
    ("clippy", "unwrap_used"),
    ("clippy", "print_stdout"),
    ("clippy", "print_stderr"),
    ("clippy", "dbg_macro"),
    ("clippy", "todo"),
    ("clippy", "exit"),
];

/// All rules for the manifest of a member.
pub(super) fn check_member(path: &str, text: &str) -> Vec<Finding> {
    let manifest = match Document::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 0, error.to_string())],
    };
    let mut findings = Vec::new();
    for key in INHERITED {
        if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
            findings.push(Finding::new(
                path,
                0,
                format!("`{key}` is not `{key}.workspace = true`"),
            ));
        }
    }
    if !inherits(manifest.get("lints")) {
        findings.push(Finding::new(
            path,
            0,
            "the workspace's lints are not inherited",
        ));
    }
    for section in DEPENDENCIES {
        let Some(entries) = manifest.get(section).and_then(Item::as_table_like) else {
            continue;
        };
        findings.extend(versions(path, section, entries));
    }
    findings
}

/// All rules for the manifest of the workspace.
pub(super) fn check_root(text: &str) -> Vec<Finding> {
    let path = "Cargo.toml";
    let manifest = match Document::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 0, error.to_string())],
    };
    let workspace = manifest.get("workspace");
    LINTS
        .iter()
        .filter(|(tool, lint)| {
            workspace
                .and_then(|workspace| workspace.get("lints")?.get(tool)?.get(lint))
                .is_none()
        })
        .map(|(tool, lint)| Finding::new(path, 0, format!("does not set the lint {tool}::{lint}")))
        .collect()
}

fn inherits(item: Option<&Item>) -> bool {
    item.and_then(|item| item.get("workspace")?.as_bool()) == Some(true)
}

fn versions(path: &str, section: &str, entries: &dyn TableLike) -> Vec<Finding> {
    entries
        .iter()
        // A crate that depends on itself by path does so to switch on a feature for its tests.
        .filter(|(_, item)| {
            !inherits(Some(item)) && item.get("path").and_then(Item::as_str) != Some(".")
        })
        .map(|(name, _)| {
            Finding::new(
                path,
                0,
                format!("{section}.{name} is not `workspace = true`; versions stand in the root"),
            )
        })
        .collect()
}
