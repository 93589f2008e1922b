//! The policy of whoever runs ecspipe: the documents are data, their reasons are talk. Must not derive anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ecspipe_provision::permissions::MANAGED_POLICY_LIMIT;
use ecspipe_provision::{Duty, Statement};
use ecspipe_spec::{AppName, Facts};
use serde_json::{Value, json};

use crate::args::{Format, Global};
use crate::report::style::{Style, paragraph};
use crate::world::World;

/// What somebody needs on an app.
pub(crate) struct Policy<'a> {
    /// The app.
    pub(crate) app: &'a AppName,
    /// Where it is.
    pub(crate) facts: &'a Facts,
    /// For what.
    pub(crate) duties: &'a BTreeSet<Duty>,
    /// Every statement with its reason.
    pub(crate) statements: Vec<Statement>,
    /// The same as documents that IAM takes.
    pub(crate) documents: Vec<Value>,
}

impl Policy<'_> {
    /// The documents as files, by name.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let duties: Vec<&str> = self.duties.iter().map(|duty| duty.as_str()).collect();
        let base = format!("{}-{}", self.app, duties.join("-"));
        let name = |index: usize| match self.documents.len() {
            1 => format!("{base}.json"),
            _ => format!("{base}-{}.json", index + 1),
        };
        self.documents
            .iter()
            .enumerate()
            .map(|(index, document)| (name(index), pretty(document)))
            .collect()
    }
}

/// Prints the documents, and their reasons beside.
pub(crate) fn policy(world: &World, global: &Global, policy: &Policy<'_>) {
    if global.format == Format::Json {
        return super::json(
            world,
            &json!({
                "app": policy.app,
                "account": policy.facts.account,
                "region": policy.facts.region,
                "commands": policy.duties,
                "documents": policy.documents,
                "statements": policy.statements,
            }),
        );
    }
    reasons(world, global, policy);
    for document in &policy.documents {
        world.out_raw(pretty(document).as_bytes());
    }
}

/// Says where the documents are.
pub(crate) fn written(world: &World, global: &Global, policy: &Policy<'_>, paths: Vec<PathBuf>) {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if global.format == Format::Json {
        return super::json(world, &json!({ "written": paths }));
    }
    reasons(world, global, policy);
    world.err(format!("wrote {}", paths.join(", ")));
}

/// A document as it is printed and written.
fn pretty(document: &Value) -> String {
    // A JSON value always serialises.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    format!("{text}\n")
}

fn reasons(world: &World, global: &Global, policy: &Policy<'_>) {
    let style = Style::of(world, global);
    let duties: Vec<&str> = policy.duties.iter().map(|duty| duty.as_str()).collect();
    let title = format!(
        "{} for {}, in {} (account {})",
        policy.app,
        duties.join(", "),
        policy.facts.region,
        policy.facts.account
    );
    world.err(style.strong(&title));
    for statement in &policy.statements {
        world.err("");
        world.err(style.strong(&statement.sid));
        for line in paragraph(&statement.reason, "  ") {
            world.err(line);
        }
        let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>();
        for line in paragraph(&list(&statement.actions).join(", "), "  may ") {
            world.err(style.dim(&line));
        }
        for resource in &statement.resources {
            world.err(style.dim(&format!("  on  {resource}")));
        }
        for (operator, keys) in &statement.condition {
            for (key, values) in keys.as_object().into_iter().flatten() {
                world.err(style.dim(&format!("  if  {}", condition(operator, key, values))));
            }
        }
    }
    world.err("");
    let documents = match policy.documents.len() {
        1 => "one document".to_owned(),
        several => format!(
            "{several} documents, because IAM takes at most {MANAGED_POLICY_LIMIT} characters in one: attach all of them"
        ),
    };
    let summary = format!("{} statements in {documents}", policy.statements.len());
    for line in paragraph(&summary, "") {
        world.err(line);
    }
}

fn condition(operator: &str, key: &str, values: &Value) -> String {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    let values = match values {
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" or "),
        value => text(value),
    };
    let is = match operator {
        "StringEquals" => "is".to_owned(),
        other => other.to_owned(),
    };
    format!("{key} {is} {values}")
}
