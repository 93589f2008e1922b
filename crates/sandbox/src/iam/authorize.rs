//! Whether a principal of the account may do what a call does: the needs of the call, the policies that have a say, the
//! decision, and how each protocol writes a refusal. Must not change the account.

use std::fmt;

use serde_json::{Value, json};

use super::document::{self, Statement, Use};
use super::evaluate::{
    Context, Policies, Principal, Refusal, Request, ResourcePolicy, Side, evaluate,
};
use super::facts::{self, Owned};
use super::managed;
use super::needs::{Need, needs};
use crate::clock;
use crate::services::{iam, sts};
use crate::wire::{Call, Fault, Input as _, Protocol, Reply, xml};
use crate::world::World;

/// The policies of the sandbox's user. Without any, the user may do everything that resources' own policies let it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallerPolicy {
    documents: Vec<Value>,
    statements: Vec<Statement>,
}

impl CallerPolicy {
    /// Reads identity policies. The error is IAM's message, or says what the sandbox can't evaluate.
    pub fn read(documents: Vec<Value>) -> Result<Self, String> {
        let mut statements = Vec::new();
        for document in &documents {
            statements.extend(document::read_document(document, Use::Identity)?);
        }
        Ok(Self {
            documents,
            statements,
        })
    }

    /// The documents as they were given.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }
}

/// Why somebody may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// The ARN of who asked.
    pub(crate) principal: String,
    /// The action that was refused.
    pub(crate) action: String,
    /// On what.
    pub(crate) resource: String,
    refusal: Refusal,
    /// A policy that the sandbox can't read, and that therefore granted nothing.
    unread: Option<String>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &self.resource)
    }
}

impl Denial {
    /// AWS's message, with the resource written as the service writes it.
    fn write(&self, f: &mut impl fmt::Write, resource: &str) -> fmt::Result {
        write!(
            f,
            "User: {} is not authorized to perform: {} on resource: {resource} {}",
            self.principal,
            self.action,
            self.refusal.words(&self.action)
        )?;
        match &self.unread {
            Some(arn) => write!(
                f,
                " (the ecspipe sandbox does not know what the managed policy {arn} says, and lets it grant nothing)"
            ),
            None => Ok(()),
        }
    }

    fn in_quotes(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut text, &format!("\"{}\"", self.resource));
        text
    }
}

/// Whoever signed a call.
pub(crate) fn principal_of(world: &World, call: &Call) -> Principal {
    match world.iam.sessions.get(&call.access_key) {
        Some(session) => Principal::Session {
            role: session.role.clone(),
            session: session.arn.clone(),
        },
        None => Principal::User(sts::caller(world, call)),
    }
}

/// Whether a principal may make a call.
pub(crate) fn authorize(world: &World, principal: &Principal, call: &Call) -> Result<(), Denial> {
    let held = Held::of(world, principal);
    let Some(needs) = needs(world, call) else {
        // Nobody knows what such a call needs; the services answer that they don't have it, whoever may do everything.
        let need = Need {
            action: format!("{}:{}", call.service, call.operation),
            resource: "*".to_owned(),
            context: Context::default(),
        };
        return held.check(world, principal, &need, &call.region);
    };
    needs
        .iter()
        .try_for_each(|need| held.check(world, principal, need, &call.region))
}

/// Whether whoever signed the call may assume the role: its trust policy decides.
pub(crate) fn may_assume(world: &World, call: &Call, role: &str) -> Result<(), String> {
    let principal = principal_of(world, call);
    let trust = iam::trust_in_force(world, role)?;
    let held = Held::of(world, &principal);
    let context = held.context(world, &principal, role, &call.region);
    let request = Request {
        principal: &principal,
        account: &world.account,
        action: "sts:AssumeRole",
        resource: role,
        context: &context,
    };
    let policies = held.policies(ResourcePolicy::Decides(trust.iter().collect()));
    evaluate(&request, &policies).map_err(|refusal| refusal.words("sts:AssumeRole"))
}

/// How a refused call is answered.
pub(crate) fn refusal(call: &Call, denial: &Denial) -> Result<Reply, Fault> {
    if call.operation == "DeleteObjects" {
        return Ok(refused_deletions(call, denial));
    }
    let fault = match call.protocol {
        Protocol::Json => Fault::new("AccessDeniedException", denial.to_string()),
        Protocol::RestJson => Fault::new("AccessDeniedException", denial.to_string()).status(403),
        Protocol::Query | Protocol::Cbor => {
            Fault::new("AccessDenied", denial.to_string()).status(403)
        }
        Protocol::Ec2 => Fault::new(
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {denial}"),
        )
        .status(403),
        Protocol::RestXml => Fault::new("AccessDenied", denial.in_quotes()).status(403),
    };
    Err(fault)
}

/// S3 answers a deletion of many objects with what became of each. The sandbox deletes all or none.
fn refused_deletions(call: &Call, denial: &Denial) -> Reply {
    let body = String::from_utf8_lossy(&call.http.body).into_owned();
    let tree = xml::parse(&body).unwrap_or_default();
    let request = tree.get("Delete").cloned().unwrap_or_default();
    let errors: Vec<Value> = xml::many(&request, "Object")
        .into_iter()
        .map(|object| {
            json!({
                "Key": object.text("Key"),
                "VersionId": object.text("VersionId"),
                "Code": "AccessDenied",
                "Message": denial.in_quotes(),
            })
        })
        .collect();
    Reply::Value(json!({"DeleteResult": {"Error": errors}}))
}

/// What a principal has: its policies and its boundary.
pub(super) struct Held {
    identity: Vec<Statement>,
    boundary: Option<Vec<Statement>>,
    tags: crate::world::Tags,
    unread: Option<String>,
}

impl Held {
    pub(super) fn of(world: &World, principal: &Principal) -> Self {
        match principal {
            Principal::User(_) => Self {
                identity: match &world.caller {
                    Some(policy) => policy.statements.clone(),
                    None => everything(),
                },
                boundary: None,
                tags: crate::world::Tags::new(),
                unread: None,
            },
            Principal::Session { role, .. } => Self::of_role(world, role),
            Principal::Service(_) => Self {
                identity: Vec::new(),
                boundary: None,
                tags: crate::world::Tags::new(),
                unread: None,
            },
        }
    }

    /// A role that is gone holds nothing.
    fn of_role(world: &World, arn: &str) -> Self {
        let mut held = Self {
            identity: Vec::new(),
            boundary: None,
            tags: crate::world::Tags::new(),
            unread: None,
        };
        let Some(role) = iam::role_by_arn(world, arn) else {
            return held;
        };
        let read = |text: &str| document::check(text, Use::Identity).unwrap_or_default();
        for text in role.inline.values() {
            held.identity.extend(read(text));
        }
        for arn in &role.attached {
            match managed::document(world, arn) {
                Some(text) => held.identity.extend(read(text)),
                None => held.unread = Some(arn.clone()),
            }
        }
        if let Some(arn) = &role.boundary {
            let text = managed::document(world, arn);
            if text.is_none() {
                held.unread = Some(arn.clone());
            }
            held.boundary = Some(text.map(read).unwrap_or_default());
        }
        held.tags = role.tags.clone();
        held
    }

    /// Whether one need is met.
    pub(super) fn check(
        &self,
        world: &World,
        principal: &Principal,
        need: &Need,
        region: &str,
    ) -> Result<(), Denial> {
        let mut context = self.context(world, principal, &need.resource, region);
        context.extend(need.context.clone());
        let request = Request {
            principal,
            account: &world.account,
            action: &need.action,
            resource: &need.resource,
            context: &context,
        };
        let owned = facts::policy(world, &need.resource);
        let resource = match &owned {
            Owned::None => ResourcePolicy::Silent,
            Owned::Adds(statements) => ResourcePolicy::Adds(statements.iter().collect()),
            Owned::Decides(statements) => ResourcePolicy::Decides(statements.iter().collect()),
        };
        evaluate(&request, &self.policies(resource)).map_err(|refusal| Denial {
            principal: principal.name().to_owned(),
            action: need.action.clone(),
            resource: need.resource.clone(),
            refusal,
            unread: self
                .unread
                .clone()
                .filter(|_| matches!(refusal, Refusal::Implicit(Side::Identity | Side::Boundary))),
        })
    }

    /// The decision on a request that nobody makes: what is known is given, and no resource's policy has a say.
    pub(super) fn simulate(
        &self,
        world: &World,
        principal: &Principal,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), Refusal> {
        let request = Request {
            principal,
            account: &world.account,
            action,
            resource,
            context,
        };
        evaluate(&request, &self.policies(ResourcePolicy::Silent))
    }

    fn policies<'a>(&'a self, resource: ResourcePolicy<'a>) -> Policies<'a> {
        Policies {
            identity: self.identity.iter().collect(),
            boundary: self
                .boundary
                .as_ref()
                .map(|statements| statements.iter().collect()),
            resource,
        }
    }

    /// What every request of the principal about the resource has.
    fn context(
        &self,
        world: &World,
        principal: &Principal,
        resource: &str,
        region: &str,
    ) -> Context {
        let mut context = facts::about(world, resource);
        let (arn, kind) = match principal {
            Principal::User(arn) => (arn, "User"),
            // The key speaks of the role, whatever the session is called.
            Principal::Session { role, .. } => (role, "AssumedRole"),
            Principal::Service(name) => (name, "Service"),
        };
        context.set("aws:PrincipalArn", arn.clone());
        context.set("aws:PrincipalType", kind);
        context.set("aws:PrincipalAccount", world.account.clone());
        for (key, value) in &self.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        context.set("aws:RequestedRegion", region);
        context.set("aws:CurrentTime", clock::iso(world.now));
        context.set("aws:EpochTime", (world.now / 1000).to_string());
        // The sandbox stands for AWS's own endpoints, and speaks plain HTTP to itself only.
        context.set("aws:SecureTransport", "true");
        context
    }
}

/// The policy of an administrator.
fn everything() -> Vec<Statement> {
    vec![Statement {
        sid: None,
        allow: true,
        principals: None,
        actions: document::Names::Only(vec!["*".to_owned()]),
        resources: Some(document::Names::Only(vec!["*".to_owned()])),
        conditions: Vec::new(),
        variables: false,
    }]
}
