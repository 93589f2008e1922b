//! The decision: policies and a request in, allowed or why not out. Must not know the account, nor where policies are kept.
//!
//! The rules are those of the IAM user guide, "Policy evaluation logic", for requests within one account: an explicit deny
//! ends it; else a resource's policy or the principal's own policies must allow it; and a boundary must allow what
//! the principal's own policies, or a resource's policy that names the role, allow.

use std::collections::BTreeMap;

use super::document::{Names, Principals, Statement};
use super::pattern::arn_matches;

#[cfg(test)]
mod tests;

/// What is known about a request: values by key. Keys know no case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user, by ARN.
    User(String),
    /// A session of a role: the role's ARN and the session's (`arn:aws:sts::…:assumed-role/…`).
    Session {
        /// The role.
        role: String,
        /// The session.
        session: String,
    },
    /// A service itself, such as `logs.eu-central-1.amazonaws.com`.
    Service(String),
}

/// One question: may the principal do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The account of principal and resource, twelve digits.
    pub account: &'a str,
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// An ARN, or `*` where the action is about no resource in particular.
    pub resource: &'a str,
    /// What else is known.
    pub context: &'a Context,
}

/// The policies that have a say.
#[derive(Debug, Clone, Default)]
pub struct Policies<'a> {
    /// The principal's own.
    pub identity: Vec<&'a Statement>,
    /// The principal's permissions boundary, if it has one.
    pub boundary: Option<Vec<&'a Statement>>,
    /// The resource's.
    pub resource: ResourcePolicy<'a>,
}

/// What a resource's policy can do.
#[derive(Debug, Clone, Default)]
pub enum ResourcePolicy<'a> {
    /// There is none.
    #[default]
    Silent,
    /// It grants beside the principal's own policies: a bucket's, a repository's.
    Adds(Vec<&'a Statement>),
    /// Without it nothing goes: a key's policy, a role's trust. It must name the principal, or the account, which then leaves it
    /// to the principal's own policies.
    Decides(Vec<&'a Statement>),
}

/// Which policies refused, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A statement denies it.
    Explicit(Side),
    /// No statement allows it.
    Implicit(Side),
}

/// A kind of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The principal's own.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// The resource's.
    Resource,
}

impl Context {
    /// The values of a key.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_lowercase()).map(Vec::as_slice)
    }

    /// Gives a key its one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, [value.into()]);
    }

    /// Gives a key its values.
    pub fn set_all(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        self.0
            .insert(key.to_lowercase(), values.into_iter().collect());
    }

    /// Takes over what another context knows.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Context {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let mut context = Self::default();
        for (key, value) in pairs {
            context.set(key, value);
        }
        context
    }
}

impl Principal {
    /// The ARN, or the name of a service, as messages have it.
    pub fn name(&self) -> &str {
        match self {
            Self::User(arn) | Self::Session { session: arn, .. } | Self::Service(arn) => arn,
        }
    }
}

impl Refusal {
    /// The end of AWS's message about an action.
    pub fn words(self, action: &str) -> String {
        let name = |side: Side| match side {
            Side::Identity => "an identity-based policy",
            Side::Boundary => "a permissions boundary",
            Side::Resource => "a resource-based policy",
        };
        match self {
            Self::Explicit(side) => format!("with an explicit deny in {}", name(side)),
            Self::Implicit(side) => {
                let (_, name) = name(side).split_once(' ').unwrap_or_default();
                format!("because no {name} allows the {action} action")
            }
        }
    }
}

/// Decides.
pub fn evaluate(request: &Request<'_>, policies: &Policies<'_>) -> Result<(), Refusal> {
    deny(request, policies)?;
    let grant = match &policies.resource {
        ResourcePolicy::Silent => Grant::None,
        ResourcePolicy::Adds(statements) | ResourcePolicy::Decides(statements) => {
            granted(request, statements)
        }
    };
    let decides = matches!(policies.resource, ResourcePolicy::Decides(_));
    // A service has no policies of its own.
    if let Principal::Service(_) = request.principal {
        return match grant {
            Grant::Session | Grant::Named => Ok(()),
            Grant::Account | Grant::None => Err(Refusal::Implicit(Side::Resource)),
        };
    }
    if decides && grant == Grant::None {
        return Err(Refusal::Implicit(Side::Resource));
    }
    // What is granted to a user or to the session itself, the boundary doesn't touch.
    if grant == Grant::Session {
        return Ok(());
    }
    let bounded = |statements: &Vec<&Statement>| !allowed(request, statements);
    if grant != Grant::Named && !allowed(request, &policies.identity) {
        return Err(Refusal::Implicit(Side::Identity));
    }
    match policies.boundary.as_ref().is_some_and(bounded) {
        true => Err(Refusal::Implicit(Side::Boundary)),
        false => Ok(()),
    }
}

/// How far a resource's policy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    /// It says nothing about the principal.
    None,
    /// It leaves it to the account's own policies.
    Account,
    /// It names the role, or everybody.
    Named,
    /// It names the user, the session or the service.
    Session,
}

fn deny(request: &Request<'_>, policies: &Policies<'_>) -> Result<(), Refusal> {
    let denies = |statements: &[&Statement], about: &dyn Fn(&Statement) -> bool| {
        statements
            .iter()
            .any(|statement| !statement.allow && applies(request, statement) && about(statement))
    };
    let anybody = |_: &Statement| true;
    if denies(&policies.identity, &anybody) {
        return Err(Refusal::Explicit(Side::Identity));
    }
    if let ResourcePolicy::Adds(statements) | ResourcePolicy::Decides(statements) =
        &policies.resource
    {
        let about = |statement: &Statement| {
            let Some(principals) = &statement.principals else {
                return false;
            };
            // A denial to the account is one to everybody in it.
            (grant_of(request, principals) > Grant::None) != principals.negated
        };
        if denies(statements, &about) {
            return Err(Refusal::Explicit(Side::Resource));
        }
    }
    match &policies.boundary {
        Some(statements) if denies(statements, &anybody) => Err(Refusal::Explicit(Side::Boundary)),
        _ => Ok(()),
    }
}

fn allowed(request: &Request<'_>, statements: &[&Statement]) -> bool {
    statements
        .iter()
        .any(|statement| statement.allow && applies(request, statement))
}

/// The most that a resource's policy grants.
fn granted(request: &Request<'_>, statements: &[&Statement]) -> Grant {
    let grants = statements
        .iter()
        .filter(|statement| statement.allow && applies(request, statement))
        .filter_map(|statement| statement.principals.as_ref());
    let grant = |principals: &Principals| match principals.negated {
        false => grant_of(request, principals),
        // AWS advises against it; it grants to all others as to everybody.
        true if grant_of(request, principals) == Grant::None => Grant::Named,
        true => Grant::None,
    };
    grants.map(grant).max().unwrap_or(Grant::None)
}

/// How principals name who asks.
fn grant_of(request: &Request<'_>, principals: &Principals) -> Grant {
    let listed = |kind: &str| {
        let names = principals.by_type.get(kind);
        names.map(Vec::as_slice).unwrap_or_default()
    };
    if let Principal::Service(name) = request.principal {
        let named = listed("Service")
            .iter()
            .any(|listed| listed == name || listed == "*");
        let everybody = listed("AWS").iter().any(|listed| listed == "*");
        return match (named, everybody) {
            (true, _) => Grant::Session,
            (_, true) => Grant::Named,
            _ => Grant::None,
        };
    }
    let root = format!(":iam::{}:root", request.account);
    let one = |listed: &String| match request.principal {
        _ if listed == "*" => Grant::Named,
        _ if listed == request.account || listed.ends_with(&root) => Grant::Account,
        Principal::User(arn) | Principal::Session { session: arn, .. } if listed == arn => {
            Grant::Session
        }
        Principal::Session { role, .. } if listed == role => Grant::Named,
        _ => Grant::None,
    };
    listed("AWS").iter().map(one).max().unwrap_or(Grant::None)
}

/// Whether a statement, whoever it is for, is about the request.
fn applies(request: &Request<'_>, statement: &Statement) -> bool {
    let variables = statement.variables.then_some(request.context);
    let resources = statement.resources.as_ref();
    let about =
        |names: &Names| names.covers(|pattern| arn_matches(pattern, request.resource, variables));
    statement.covers(request.action)
        && resources.is_none_or(about)
        && statement
            .conditions
            .iter()
            .all(|condition| condition.holds(request.context, statement.variables))
}
