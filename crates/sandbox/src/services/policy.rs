//! Policy documents: read, checked and matched, for the services that store them. Must not know any service's state
//! but IAM's roles, which principals name.
//!
//! The sandbox does not authorise calls: identity policies are checked for form and kept. What it does evaluate is who
//! may assume a role, and whether a key lets a service use it, because both go wrong in practice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::services::iam;
use crate::world::World;

/// What a document is attached to; it decides which members a statement must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// An identity: resources, no principal.
    Identity,
    /// A role's trust: principal, no resource, STS actions only.
    Trust,
    /// A resource such as a bucket or a key: principal and resource.
    Resource,
}

/// One statement of a checked document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    /// `Allow`, not `Deny`.
    pub(crate) allow: bool,
    /// By type (`AWS`, `Service`, `Federated`, `CanonicalUser`); `"*"` is `AWS: *`.
    pub(crate) principals: BTreeMap<String, Vec<String>>,
    /// `Action`; empty where the statement has a `NotAction`.
    pub(crate) actions: Vec<String>,
    /// `Resource`; empty where the statement has none or a `NotResource`.
    pub(crate) resources: Vec<String>,
    /// Operator, then key, then values.
    pub(crate) conditions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Statement {
    /// Whether one of the actions covers `action`; action names know no case.
    pub(crate) fn covers(&self, action: &str) -> bool {
        let action = action.to_lowercase();
        self.actions
            .iter()
            .any(|pattern| matches(&pattern.to_lowercase(), &action))
    }

    /// Whether a service principal is among the principals.
    pub(crate) fn names_service(&self, service: &str) -> bool {
        let listed = |kind: &str| {
            self.principals
                .get(kind)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        listed("Service")
            .iter()
            .any(|name| name == service || name == "*")
            || listed("AWS").iter().any(|name| name == "*")
    }
}

const STATEMENT_MEMBERS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Reads and checks a document. The error is AWS's message for a malformed one.
pub(crate) fn check(text: &str, purpose: Use) -> Result<Vec<Statement>, String> {
    let syntax = || "Syntax errors in policy.".to_owned();
    let document: Value =
        serde_json::from_str(text).map_err(|_| "This policy contains invalid Json".to_owned())?;
    let document = document.as_object().ok_or_else(syntax)?;
    if document
        .keys()
        .any(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(syntax());
    }
    if let Some(version) = document.get("Version") {
        match version.as_str() {
            Some("2012-10-17" | "2008-10-17") => {}
            _ => return Err(syntax()),
        }
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(items)) if !items.is_empty() => items.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(syntax()),
    };
    let mut ids = BTreeSet::new();
    for id in statements
        .iter()
        .filter_map(|statement| statement.get("Sid").and_then(Value::as_str))
    {
        if !id.is_empty() && !ids.insert(id) {
            return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
        }
    }
    statements
        .into_iter()
        .map(|statement| read(statement, purpose))
        .collect()
}

/// A principal that is a role of this account and isn't there, or not there for long enough.
pub(crate) fn unknown_principal(world: &World, statements: &[Statement]) -> Option<String> {
    let named = statements
        .iter()
        .flat_map(|statement| statement.principals.get("AWS"))
        .flatten();
    let role = format!(":iam::{}:role/", world.account);
    named
        .filter(|arn| arn.contains(&role))
        .find(|arn| !iam::has_spread(world, arn))
        .cloned()
}

/// Whether `text` matches a pattern with `*` (any run) and `?` (any one character).
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                // The last `*` takes one character more.
                Some((star, start)) => {
                    retry = Some((star, start + 1));
                    p = star + 1;
                    t = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn read(value: &Value, purpose: Use) -> Result<Statement, String> {
    let syntax = || "Syntax errors in policy.".to_owned();
    let object = value.as_object().ok_or_else(syntax)?;
    if object
        .keys()
        .any(|key| !STATEMENT_MEMBERS.contains(&key.as_str()))
    {
        return Err(syntax());
    }
    let allow = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(syntax()),
    };
    let list = |name: &str| {
        object
            .get(name)
            .map(|value| strings(value).ok_or_else(syntax))
            .transpose()
    };
    let actions = match (list("Action")?, list("NotAction")?) {
        (Some(actions), None) | (None, Some(actions)) if !actions.is_empty() => actions,
        _ => return Err("Policy statement must contain actions.".to_owned()),
    };
    if actions
        .iter()
        .any(|action| action != "*" && !action.contains(':'))
    {
        return Err(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned(),
        );
    }
    let has = |name: &str| object.contains_key(name);
    let resources = list("Resource")?
        .or(list("NotResource")?)
        .unwrap_or_default();
    match purpose {
        Use::Identity => {
            if has("Principal") || has("NotPrincipal") {
                return Err("Policy document should not specify a principal.".to_owned());
            }
        }
        Use::Trust => {
            if has("Resource") || has("NotResource") {
                return Err("Has prohibited field Resource".to_owned());
            }
            if actions
                .iter()
                .any(|action| !action.to_lowercase().starts_with("sts:"))
            {
                return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
            }
        }
        Use::Resource => {}
    }
    if purpose != Use::Identity && !has("Principal") && !has("NotPrincipal") {
        return Err("Missing required field Principal".to_owned());
    }
    if purpose != Use::Trust && resources.is_empty() {
        return Err("Policy statement must contain resources.".to_owned());
    }
    if let Some(odd) = resources
        .iter()
        .find(|resource| *resource != "*" && !resource.starts_with("arn:"))
    {
        return Err(format!("Resource {odd} must be in ARN format or \"*\"."));
    }
    Ok(Statement {
        allow,
        principals: principals(object.get("Principal"))
            .ok_or_else(|| "Invalid principal in policy".to_owned())?,
        actions: if has("Action") { actions } else { Vec::new() },
        resources: if has("Resource") {
            resources
        } else {
            Vec::new()
        },
        conditions: conditions(object.get("Condition")).ok_or_else(syntax)?,
    })
}

/// A string or a list of strings.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(ToOwned::to_owned))
            .collect(),
        _ => None,
    }
}

fn principals(value: Option<&Value>) -> Option<BTreeMap<String, Vec<String>>> {
    match value {
        None => Some(BTreeMap::new()),
        Some(Value::String(any)) if any == "*" => {
            Some(BTreeMap::from([("AWS".to_owned(), vec![any.clone()])]))
        }
        Some(Value::Object(object)) if !object.is_empty() => {
            let legal = ["AWS", "Service", "Federated", "CanonicalUser"];
            let pair = |(kind, value): (&String, &Value)| {
                let names = strings(value).filter(|names| !names.is_empty())?;
                legal
                    .contains(&kind.as_str())
                    .then(|| (kind.clone(), names))
            };
            object.iter().map(pair).collect()
        }
        Some(_) => None,
    }
}

fn conditions(value: Option<&Value>) -> Option<BTreeMap<String, BTreeMap<String, Vec<String>>>> {
    let Some(value) = value else {
        return Some(BTreeMap::new());
    };
    let values = |value: &Value| match value {
        Value::Bool(flag) => Some(vec![flag.to_string()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        other => strings(other),
    };
    let keys = |value: &Value| -> Option<BTreeMap<String, Vec<String>>> {
        value
            .as_object()?
            .iter()
            .map(|(key, value)| Some((key.clone(), values(value)?)))
            .collect()
    };
    value
        .as_object()?
        .iter()
        .map(|(operator, value)| Some((operator.clone(), keys(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-b-*", "a-b-c-b-", true),
            ("build*", "buildcache-1", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn good_documents_are_read() {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["a.amazonaws.com"]},
            "Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}]}"#;
        let statements = check(trust, Use::Trust).unwrap();
        assert!(
            statements[0].allow
                && statements[0].covers("sts:assumerole")
                && statements[0].names_service("a.amazonaws.com")
        );
        assert_eq!(
            statements[0].conditions["StringEquals"]["aws:SourceAccount"],
            ["1"]
        );
        let identity = r#"{"Statement":{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}}"#;
        assert!(!check(identity, Use::Identity).unwrap()[0].covers("s3:GetObject"));
    }

    #[test]
    fn broken_documents_are_refused() {
        let check = |text: &str, purpose| assert!(check(text, purpose).is_err(), "{text}");
        check("", Use::Identity);
        check("[]", Use::Identity);
        check(
            r#"{"Version":"2012-10-18","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            Use::Identity,
        );
        check(r#"{"Statement":[]}"#, Use::Identity);
        check(
            r#"{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"GetObject","Resource":"*"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Actions":"x"}]}"#,
            Use::Identity,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Principal":"*"}]}"#,
            Use::Trust,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}"#,
            Use::Trust,
        );
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Servic":"x"}}]}"#,
            Use::Trust,
        );
        check(
            r#"{"Statement":[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            Use::Identity,
        );
    }
}
