//! Rules of `deny.toml` that need no network: licences, banned crates and sources of everything we link.
//!
//! Must not replace cargo-deny: advisories and duplicates are its work.

use cargo_metadata::Metadata;
use toml_edit::{Document, Item};

use super::Finding;

/// The index as cargo names it in a lock file.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A resolved crate, ours or not.
pub(super) struct Package {
    pub(super) name: String,
    /// An SPDX expression, in the older form with `/` too.
    pub(super) licence: Option<String>,
    /// `None` for a member of the workspace.
    pub(super) source: Option<String>,
}

/// Everything that cargo resolved.
pub(super) fn packages(metadata: &Metadata) -> Vec<Package> {
    metadata
        .packages
        .iter()
        .map(|package| Package {
            name: package.name.to_string(),
            licence: package.license.clone(),
            source: package.source.as_ref().map(|source| source.repr.clone()),
        })
        .collect()
}

/// All rules for all packages.
pub(super) fn check(deny: &str, packages: &[Package]) -> Vec<Finding> {
    let deny = match Document::parse(deny) {
        Ok(deny) => deny,
        Err(error) => return vec![Finding::new("deny.toml", 0, error.to_string())],
    };
    let allowed = texts(
        deny.get("licenses").and_then(|table| table.get("allow")),
        None,
    );
    let banned = texts(
        deny.get("bans").and_then(|table| table.get("deny")),
        Some("crate"),
    );
    let mut findings = Vec::new();
    for package in packages {
        match &package.licence {
            None => findings.push(Finding::new(&package.name, 0, "names no licence")),
            Some(licence) if !permits(licence, &allowed) => findings.push(Finding::new(
                &package.name,
                0,
                format!("licence `{licence}` is not allowed by deny.toml"),
            )),
            Some(_) => {}
        }
        if banned.contains(&package.name) {
            findings.push(Finding::new(&package.name, 0, "is banned by deny.toml"));
        }
        if package
            .source
            .as_deref()
            .is_some_and(|source| source != CRATES_IO)
        {
            findings.push(Finding::new(
                &package.name,
                0,
                "does not come from crates.io",
            ));
        }
    }
    findings
}

/// Strings of a list, or the string under `key` of each of its tables.
fn texts(list: Option<&Item>, key: Option<&str>) -> Vec<String> {
    list.and_then(Item::as_array)
        .into_iter()
        .flatten()
        .filter_map(|value| match key {
            None => value.as_str(),
            Some(key) => value.as_inline_table()?.get(key)?.as_str(),
        })
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with allowed licences only. `OR` binds less than `AND`, both less than
/// parentheses; `WITH` belongs to the licence before it.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at, allowed) && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut permitted = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all(words, at, allowed);
    }
    permitted
}

fn all(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut permitted = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(words, at, allowed);
    }
    permitted
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let permitted = any(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return permitted && closed;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        if let Some(exception) = words.get(*at + 1) {
            licence = format!("{licence} WITH {exception}");
        }
        *at += 2;
    }
    allowed.contains(&licence)
}
