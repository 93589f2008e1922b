//! `cargo xtask tidy`: the rules of ARCHITECTURE.md and CONTRIBUTING.md that a program can check and the compiler does
//! not.
//!
//! Must not change a file. Each rule is a pure function over text or over what cargo says, so that each has a test
//! with a sample that breaks it.

mod imports;
mod licences;
mod manifest;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::Workspace;

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 4] = ["target", ".git", "__pycache__", "node_modules"];

/// Files that every checkout has.
const EXPECTED: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "deny.toml",
];

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path below the root, or the name of a package.
    place: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    text: String,
}

/// A file of the repository, read as text.
struct Document {
    path: String,
    text: String,
}

/// Checks everything and prints every finding.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    let documents = documents(workspace.root())?;
    let text_of = |path: &str| {
        documents
            .iter()
            .find(|document| document.path == path)
            .map_or("", |document| document.text.as_str())
    };
    let mut findings = expected(&documents);
    for document in &documents {
        findings.extend(source::check(&document.path, &document.text));
        if document.path.ends_with("/Cargo.toml") {
            findings.extend(manifest::check_member(&document.path, &document.text));
        }
    }
    findings.extend(changelog(text_of("CHANGELOG.md")));
    findings.extend(manifest::check_root(text_of("Cargo.toml")));
    findings.extend(imports::check(&imports::packages(&workspace.metadata)));
    findings.extend(licences::check(
        text_of("deny.toml"),
        &licences::packages(&workspace.metadata),
    ));
    for warning in documents
        .iter()
        .filter_map(|document| source::length(&document.path, &document.text))
    {
        eprintln!("warning: {warning}");
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(format!("{} untidy places", findings.len()))
    }
}

impl Finding {
    fn new(place: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(formatter, "{}: {}", self.place, self.text)
        } else {
            write!(formatter, "{}:{}: {}", self.place, self.line, self.text)
        }
    }
}

fn expected(documents: &[Document]) -> Vec<Finding> {
    EXPECTED
        .iter()
        .filter(|name| !documents.iter().any(|document| document.path == **name))
        .map(|name| Finding::new(name, 0, "is missing"))
        .collect()
}

fn changelog(text: &str) -> Vec<Finding> {
    if text.lines().any(|line| line.starts_with("## [Unreleased]")) {
        Vec::new()
    } else {
        vec![Finding::new(
            "CHANGELOG.md",
            0,
            "has no section `## [Unreleased]` for what comes next",
        )]
    }
}

/// Every file of ours that is text, by path below the root, sorted.
fn documents(root: &Path) -> Result<Vec<Document>, String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inside) = open.pop() {
        let folder = root.join(&inside);
        let entries = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&folder, &error))?;
            let name = entry.file_name();
            let path = inside.join(&name);
            let kind = entry
                .file_type()
                .map_err(|error| failed(&entry.path(), &error))?;
            if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
                open.push(path);
            } else if kind.is_file() {
                let bytes =
                    fs::read(entry.path()).map_err(|error| failed(&entry.path(), &error))?;
                // What is not UTF-8 is a picture or the like, and no rule is about it.
                if let Ok(text) = String::from_utf8(bytes) {
                    let path = path.to_string_lossy().replace('\\', "/");
                    found.push(Document { path, text });
                }
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
