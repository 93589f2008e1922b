//! What somebody needs to be allowed to do to run ecspipe's commands on one app: IAM statements, each with its reason, as narrow
//! as AWS allows, derived from the wanted graph (AWS.md §6.5; resource types and condition keys are those of AWS's service
//! authorization reference). Must not ask AWS, and must not grant what no call needs.

mod delivery;
mod existing;
mod network;
mod rollouts;
mod service;
mod stores;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ecspipe_spec::{Names, Zones};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::cloud::APP_TAG;
use crate::desired::{Inputs, named};
use crate::graph::Graph;
use crate::resource::{Id, Key, Kind, Resource};

/// The longest managed policy that IAM takes, in characters without white space (AWS.md §2).
pub const MANAGED_POLICY_LIMIT: usize = 6_144;

/// A group of commands that one person or one pipeline runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// `plan` and `outputs`: looks, and changes nothing.
    Plan,
    /// `up`: makes and changes everything, and removes what the spec no longer asks for in the network.
    Up,
    /// `deploy`: puts the bundle, starts the pipeline or a deployment, and follows it.
    Deploy,
    /// `status`, `watch`, `reroute`, `stop`, `rollback`, `approve`, `releases`, `run`, `exec`, `scale`, `logs`: attends to a rollout and to what runs.
    Operate,
    /// `down`: removes everything but the source repository.
    Down,
    /// `down --delete-source`: removes the source repository too.
    DownWithSource,
    /// `doctor`: looks at what the account allows.
    Doctor,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Plan,
        Self::Up,
        Self::Deploy,
        Self::Operate,
        Self::Down,
        Self::DownWithSource,
        Self::Doctor,
    ];

    /// The word for it, such as `up`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Up => "up",
            Self::Deploy => "deploy",
            Self::Operate => "operate",
            Self::Down => "down",
            Self::DownWithSource => "down-with-source",
            Self::Doctor => "doctor",
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Duty {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|duty| duty.as_str() == text)
            .ok_or_else(|| format!("`{text}` is none of the groups of commands"))
    }
}

/// One statement of an identity policy, always an `Allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Its name within the policy: letters and digits.
    pub sid: String,
    /// Why it is needed, and why it isn't narrower, in one sentence.
    pub reason: String,
    /// The actions, such as `ec2:CreateVpc`.
    pub actions: BTreeSet<String>,
    /// The ARNs, with wildcards, or `*`.
    pub resources: BTreeSet<String>,
    /// The condition: operator → key → values. Empty where there is none.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub condition: Map<String, Value>,
}

impl Statement {
    /// As it stands in a policy document.
    pub fn document(&self) -> Value {
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": one_or_many(&self.actions),
            "Resource": one_or_many(&self.resources),
        });
        if !self.condition.is_empty() {
            statement["Condition"] = Value::Object(self.condition.clone());
        }
        statement
    }
}

/// What `duties` need on the app of a spec, in the order in which the work is done. No permission names a zone, so zones that
/// nobody asked for are as good as others.
pub fn permissions(inputs: &Inputs<'_>, duties: &BTreeSet<Duty>) -> Result<Vec<Statement>, Error> {
    let mut facts = inputs.facts.clone();
    if facts.zones.is_empty() {
        facts.zones = ('a'..='f')
            .map(|letter| format!("{}{letter}", facts.region))
            .collect();
    }
    let inputs = Inputs {
        facts: &facts,
        ..*inputs
    };
    let graph = named(&inputs)?;
    let mut sheet = Sheet::new(&inputs, &graph, duties);
    if !duties.is_empty() && matches!(inputs.spec.network.zones, Zones::Count(_)) {
        sheet.list(&["ec2:DescribeAvailabilityZones"]);
    }
    stores::allow(&mut sheet);
    network::allow(&mut sheet);
    service::allow(&mut sheet);
    existing::allow(&mut sheet);
    delivery::allow(&mut sheet);
    rollouts::allow(&mut sheet);
    Ok(sheet.statements)
}

/// The statements as policy documents, as few as IAM's limit allows: each has at most [`MANAGED_POLICY_LIMIT`] characters.
pub fn documents(statements: &[Statement]) -> Vec<Value> {
    let mut documents: Vec<Vec<Value>> = Vec::new();
    for statement in statements {
        let statement = statement.document();
        let fits = |document: &&mut Vec<Value>| {
            let mut longer = (*document).clone();
            longer.push(statement.clone());
            size(&policy(longer)) <= MANAGED_POLICY_LIMIT
        };
        match documents.iter_mut().find(fits) {
            Some(document) => document.push(statement),
            None => documents.push(vec![statement]),
        }
    }
    documents.into_iter().map(policy).collect()
}

/// A document's characters as IAM counts them.
pub fn size(document: &Value) -> usize {
    document
        .to_string()
        .chars()
        .filter(|character| !character.is_whitespace())
        .count()
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn one_or_many(values: &BTreeSet<String>) -> Value {
    match values.first() {
        Some(value) if values.len() == 1 => json!(value),
        _ => json!(values),
    }
}

/// The statements in the making.
struct Sheet<'a> {
    inputs: &'a Inputs<'a>,
    graph: &'a Graph,
    duties: &'a BTreeSet<Duty>,
    names: Names,
    statements: Vec<Statement>,
}

impl<'a> Sheet<'a> {
    fn new(inputs: &'a Inputs<'a>, graph: &'a Graph, duties: &'a BTreeSet<Duty>) -> Self {
        Self {
            inputs,
            graph,
            duties,
            names: Names::new(&inputs.spec.app, inputs.facts),
            statements: Vec::new(),
        }
    }

    fn does(&self, duty: Duty) -> bool {
        self.duties.contains(&duty)
    }

    /// Whether existing resources are compared with the wanted ones.
    fn compares(&self) -> bool {
        // `outputs` only asks whose things are, but goes with `plan`.
        self.does(Duty::Plan) || self.does(Duty::Up)
    }

    /// Whether existing resources are looked for.
    fn looks(&self) -> bool {
        self.compares() || self.removes()
    }

    fn makes(&self) -> bool {
        self.does(Duty::Up)
    }

    fn removes(&self) -> bool {
        self.does(Duty::Down) || self.does(Duty::DownWithSource)
    }

    /// The names of the wanted resources of `kind`.
    fn names_of(&self, kind: Kind) -> Vec<String> {
        self.resources(kind)
            .filter_map(|resource| resource.name())
            .map(ToOwned::to_owned)
            .collect()
    }

    fn resources(&self, kind: Kind) -> impl Iterator<Item = &'a Resource> + use<'a> {
        let nodes = self.graph.nodes().iter();
        nodes
            .filter(move |node| node.key.kind == kind)
            .map(|node| &node.resource)
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        self.inputs.facts.arn(service, resource)
    }

    fn iam_arn(&self, resource: &str) -> String {
        let facts = self.inputs.facts;
        format!("arn:{}:iam::{}:{resource}", facts.partition, facts.account)
    }

    fn s3_arn(&self, path: &str) -> String {
        format!("arn:{}:s3:::{path}", self.inputs.facts.partition)
    }

    /// What an id in a wanted resource stands for, where that is known before anything exists: a literal id is itself, a link
    /// to something that is known by its name is that name, a link to a role is the role's ARN.
    fn known(&self, id: &Id) -> Option<String> {
        let token = id
            .strip_prefix("${")
            .and_then(|text| text.strip_suffix('}'));
        let Some(key) = token.and_then(|text| text.parse::<Key>().ok()) else {
            // What exists and nobody has looked up has no id yet.
            return Some(if id.is_empty() {
                "*".to_owned()
            } else {
                id.clone()
            });
        };
        let resource = &self.graph.get(&key)?.resource;
        match resource {
            Resource::Role(role) => Some(self.iam_arn(&format!("role{}{}", role.path, role.name))),
            resource => resource.predicted_id().map(ToOwned::to_owned),
        }
    }

    /// The condition that a request puts the app's tag on what it makes.
    fn tagging(&self) -> Value {
        json!({ "StringEquals": { format!("aws:RequestTag/{APP_TAG}"): self.inputs.spec.app.as_str() } })
    }

    /// The condition that something carries the app's tag.
    fn tagged(&self) -> Value {
        json!({ "StringEquals": { format!("aws:ResourceTag/{APP_TAG}"): self.inputs.spec.app.as_str() } })
    }

    /// Listings and other reads for which AWS takes no resource. They are one statement.
    fn list(&mut self, actions: &[&str]) {
        self.allow(
            "List",
            "AWS takes no narrower resource for these reads; they show names and settings, no contents",
            actions,
            ["*".to_owned()],
        );
    }

    fn allow(
        &mut self,
        sid: &str,
        reason: &str,
        actions: &[&str],
        resources: impl IntoIterator<Item = String>,
    ) {
        self.allow_if(sid, reason, actions, resources, Value::Null);
    }

    /// Adds a statement, or adds to the one of the same name and condition. Nothing is added for no resource.
    fn allow_if(
        &mut self,
        sid: &str,
        reason: &str,
        actions: &[&str],
        resources: impl IntoIterator<Item = String>,
        condition: Value,
    ) {
        let resources: BTreeSet<String> = resources.into_iter().collect();
        if resources.is_empty() || actions.is_empty() {
            return;
        }
        let condition = match condition {
            Value::Object(condition) => condition,
            _ => Map::new(),
        };
        let actions = actions.iter().map(|action| (*action).to_owned());
        match self
            .statements
            .iter_mut()
            .find(|statement| statement.sid == sid && statement.condition == condition)
        {
            Some(statement) => {
                statement.actions.extend(actions);
                statement.resources.extend(resources);
            }
            None => self.statements.push(Statement {
                sid: sid.to_owned(),
                reason: reason.to_owned(),
                actions: actions.collect(),
                resources,
                condition,
            }),
        }
    }

    /// Handing roles to the one service that acts with them.
    fn pass(&mut self, sid: &str, service: &str, roles: impl IntoIterator<Item = Id>) {
        let arns: Vec<String> = roles
            .into_iter()
            .filter_map(|role| self.known(&role))
            .collect();
        self.allow_if(
            sid,
            &format!("hands the role to {service}, and to nobody else"),
            &["iam:PassRole"],
            arns,
            json!({ "StringEquals": { "iam:PassedToService": format!("{service}.amazonaws.com") } }),
        );
    }
}
