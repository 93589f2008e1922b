//! Policy documents: read and checked. Must not know any service's state but IAM's roles, which principals name.
//!
//! What can't be evaluated is refused when a document is put: an operator or a condition key that
//! [`crate::iam::condition`] doesn't know would make every decision about it a guess.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::condition::{self, Condition};
use super::pattern::matches;
use crate::services::iam;
use crate::world::World;

/// What a document is attached to; it decides which members a statement must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// An identity, or a boundary of one: resources, no principal.
    Identity,
    /// A role's trust: principal, no resource, STS actions only.
    Trust,
    /// A resource such as a bucket or a key: principal and resource.
    Resource,
}

/// One statement of a checked document.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name, if it has one.
    pub sid: Option<String>,
    /// `Allow`, not `Deny`.
    pub allow: bool,
    /// Whom it is about; `None` in an identity's policy.
    pub principals: Option<Principals>,
    /// `Action` or `NotAction`.
    pub actions: Names,
    /// `Resource` or `NotResource`; `None` in a trust policy.
    pub resources: Option<Names>,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// Whether `${…}` stands for a value of the request: not in documents of the first version.
    pub variables: bool,
}

/// A list of patterns, or everything but a list of patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// What one of the patterns matches.
    Only(Vec<String>),
    /// What none of the patterns matches.
    AllBut(Vec<String>),
}

/// `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principals {
    /// `NotPrincipal`.
    pub negated: bool,
    /// By type (`AWS`, `Service`, `Federated`, `CanonicalUser`); `"*"` is `AWS: *`.
    pub by_type: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// Whether something is covered, given how one pattern is held against it.
    pub fn covers(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| matches(pattern)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| matches(pattern)),
        }
    }

    /// The patterns, whichever way they count.
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::Only(patterns) | Self::AllBut(patterns) => patterns,
        }
    }
}

impl Statement {
    /// Whether the actions cover `action`; action names know no case.
    pub fn covers(&self, action: &str) -> bool {
        let action = action.to_lowercase();
        self.actions
            .covers(|pattern| matches(&pattern.to_lowercase(), &action))
    }

    /// The principals of a type that the statement names; none where it has a `NotPrincipal`.
    pub(crate) fn named(&self, kind: &str) -> &[String] {
        let listed = self
            .principals
            .as_ref()
            .filter(|principals| !principals.negated)
            .and_then(|principals| principals.by_type.get(kind));
        listed.map(Vec::as_slice).unwrap_or_default()
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
pub fn check(text: &str, purpose: Use) -> Result<Vec<Statement>, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|_| "This policy contains invalid Json".to_owned())?;
    read_document(&document, purpose)
}

/// The same for a document that is JSON already.
pub fn read_document(document: &Value, purpose: Use) -> Result<Vec<Statement>, String> {
    let syntax = || "Syntax errors in policy.".to_owned();
    let document = document.as_object().ok_or_else(syntax)?;
    if document
        .keys()
        .any(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(syntax());
    }
    // Without a version a document is of the first one.
    let variables = match document.get("Version").map(Value::as_str) {
        Some(Some("2012-10-17")) => true,
        None | Some(Some("2008-10-17")) => false,
        _ => return Err(syntax()),
    };
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
        .map(|statement| read(statement, purpose, variables))
        .collect()
}

/// A principal that is a role of this account and isn't there, or not there for long enough.
pub(crate) fn unknown_principal(world: &World, statements: &[Statement]) -> Option<String> {
    let named = statements
        .iter()
        .filter_map(|statement| statement.principals.as_ref()?.by_type.get("AWS"))
        .flatten();
    let role = format!(":iam::{}:role/", world.account);
    named
        .filter(|arn| arn.contains(&role))
        .find(|arn| !iam::has_spread(world, arn))
        .cloned()
}

fn read(value: &Value, purpose: Use, variables: bool) -> Result<Statement, String> {
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
    let actions = one_of(list("Action")?, list("NotAction")?)
        .ok_or("Policy statement must contain actions.")?;
    if actions
        .patterns()
        .iter()
        .any(|action| action != "*" && !action.contains(':'))
    {
        return Err(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned(),
        );
    }
    let has = |name: &str| object.contains_key(name);
    let resources = one_of(list("Resource")?, list("NotResource")?);
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
                .patterns()
                .iter()
                .any(|action| !action.to_lowercase().starts_with("sts:"))
            {
                return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
            }
        }
        Use::Resource => {}
    }
    let principals = match (has("Principal"), has("NotPrincipal")) {
        (true, true) => return Err(syntax()),
        (false, false) => None,
        (_, negated) => {
            let value = object.get("Principal").or(object.get("NotPrincipal"));
            let by_type = principals(value).ok_or("Invalid principal in policy")?;
            Some(Principals { negated, by_type })
        }
    };
    if purpose != Use::Identity && principals.is_none() {
        return Err("Missing required field Principal".to_owned());
    }
    if purpose != Use::Trust && resources.is_none() {
        return Err("Policy statement must contain resources.".to_owned());
    }
    if let Some(odd) = resources
        .iter()
        .flat_map(Names::patterns)
        .find(|resource| *resource != "*" && !resource.starts_with("arn:"))
    {
        return Err(format!("Resource {odd} must be in ARN format or \"*\"."));
    }
    let conditions = condition::read(object.get("Condition")).map_err(|problem| match problem {
        condition::Problem::Syntax => syntax(),
        condition::Problem::Unknown(message) => message,
    })?;
    let sid = object.get("Sid").and_then(Value::as_str);
    Ok(Statement {
        sid: sid.map(ToOwned::to_owned),
        allow,
        principals,
        actions,
        resources,
        conditions,
        variables,
    })
}

/// A list or its opposite; `None` where there is neither, both, or an empty one.
fn one_of(only: Option<Vec<String>>, all_but: Option<Vec<String>>) -> Option<Names> {
    match (only, all_but) {
        (Some(patterns), None) if !patterns.is_empty() => Some(Names::Only(patterns)),
        (None, Some(patterns)) if !patterns.is_empty() => Some(Names::AllBut(patterns)),
        _ => None,
    }
}

/// A string or a list of strings.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn good_documents_are_read() {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["a.amazonaws.com"]},
            "Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}]}"#;
        let statements = check(trust, Use::Trust).unwrap();
        assert!(
            statements[0].allow
                && statements[0].covers("sts:assumerole")
                && statements[0].named("Service") == ["a.amazonaws.com"]
        );
        assert_eq!(statements[0].conditions[0].key, "aws:SourceAccount");
        assert_eq!(statements[0].conditions[0].values, ["1"]);
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
        for condition in [
            r#"{"StringAlmostEquals":{"aws:SourceAccount":"1"}}"#,
            r#"{"StringEquals":{"aws:MadeUp":"1"}}"#,
            r#"{"StringEquals":{"aws:SourceAccount":{}}}"#,
            r#"{"StringEquals":"aws:SourceAccount"}"#,
            r#"{"IpAddress":{"aws:SourceIp":"nowhere"}}"#,
        ] {
            check(
                &format!(
                    r#"{{"Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{condition}}}]}}"#
                ),
                Use::Identity,
            );
        }
        check(
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","NotAction":"s3:Get*","Resource":"*"}]}"#,
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
