//! The wanted resources of a spec: the whole architecture, part by part. Must not know what exists, or ask anybody.

mod alarms;
mod balancer;
mod delivery;
pub(crate) mod network;
pub(crate) mod policies;
mod present;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::{Facts, Names, Spec, Zone};

use crate::Error;
use crate::cloud::{Detail, Scope, TagSource};
use crate::existing::{Existing, Problem};
use crate::graph::{Graph, tokens};
use crate::inventory::Inventory;
use crate::resource::{Key, Kind};

use present::Present;

/// What the wanted resources follow from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The app.
    pub spec: &'a Spec,
    /// Where.
    pub facts: &'a Facts,
    /// The rendered buildspec, which the CodeBuild project holds.
    pub buildspec: &'a str,
    /// What the app uses and ecspipe didn't make, looked up.
    pub existing: &'a Existing,
}

/// The wanted resources of an app. The error says that the spec can't be had in this place.
pub fn desired(inputs: &Inputs<'_>) -> Result<Graph, Error> {
    build_checked(inputs, &Present::default())
}

/// The wanted resources of an app that may be up already: the same, and beside them what its running tasks need until the
/// next deployment has moved them, such as the zone that they stand in. [`Graph::later`] says what becomes of that then.
pub fn desired_beside(inputs: &Inputs<'_>, inventory: &Inventory) -> Result<Graph, Error> {
    let present = Present::of(inventory);
    let graph = build_checked(inputs, &present)?;
    Ok(graph.until(&build(inputs, &Present::default())?))
}

/// The same graph for whoever reads no more than keys and names in it, to take the app down for instance: what exists need
/// not have been looked up, and is left empty then.
pub fn named(inputs: &Inputs<'_>) -> Result<Graph, Error> {
    build(inputs, &Present::default())
}

fn build_checked(inputs: &Inputs<'_>, present: &Present) -> Result<Graph, Error> {
    let missing = inputs.existing.missing(inputs.spec);
    if !missing.is_empty() {
        let problem = |path| Problem::new(path, "it has not been looked up", "look it up first");
        return Err(Error::Unfit(missing.into_iter().map(problem).collect()));
    }
    build(inputs, present)
}

fn build(inputs: &Inputs<'_>, present: &Present) -> Result<Graph, Error> {
    refuse_tokens(inputs)?;
    let Inputs { spec, existing, .. } = *inputs;
    let zones = if spec.network.is_own() {
        spec.network
            .subnets(&inputs.facts.zones)
            .map_err(|problem| Error::Impossible {
                problem,
                hint: "ask for fewer zones, or choose another region".to_owned(),
            })?
    } else {
        Vec::new()
    };
    let facts = inputs.facts();
    let place = Place {
        spec,
        facts: &facts,
        existing,
        names: Names::new(&spec.app, &facts),
        leaving: present.leaving(&zones),
        ports: present.ports(spec.service.port),
        zones,
    };
    let mut graph = Graph::new(spec.app.clone(), spec.tags.clone());

    let stores = delivery::stores(&mut graph, &place);
    let logs = service::logs(&mut graph, &place);
    let images = delivery::images(&mut graph, &place);
    let roles = policies::roles(&mut graph, &place, &stores.key);
    let network = network::network(&mut graph, &place);
    let balancer = balancer::balancer(&mut graph, &place, &network);
    let service = service::service(&mut graph, &place, &network, &balancer, &logs, &roles);
    let alarms = alarms::alarms(&mut graph, &place, &balancer);
    let group = delivery::deployment(&mut graph, &place, &balancer, alarms, &service, &roles);
    let pipeline = delivery::pipeline(
        &mut graph,
        &place,
        inputs.buildspec,
        &stores,
        &images,
        &logs,
        &roles,
        &group,
    );
    delivery::rules(&mut graph, &place, &stores, &roles, &pipeline);
    Ok(graph)
}

/// Whose resources [`crate::observe`] looks for. Made of the wanted graph also when everything is to go: the names of
/// what is wanted are the names of what may be there. Things of EC2 are found by their tags alone, since their
/// names belong to nobody.
pub fn scope(inputs: &Inputs<'_>, graph: &Graph) -> Scope {
    let named = graph
        .nodes()
        .iter()
        .filter(|node| !node.key.kind.named_by_tag());
    let mut wanted: BTreeMap<_, _> = named
        .filter_map(|node| Some((node.key.clone(), node.resource.name()?.to_owned())))
        .collect();
    let facts = inputs.facts();
    let names = Names::new(&inputs.spec.app, &facts);
    wanted.extend(replaced(inputs.spec, &names));
    Scope {
        app: inputs.spec.app.clone(),
        cluster: inputs.spec.cluster_name(&facts),
        load_balancer: inputs
            .existing
            .load_balancer
            .as_ref()
            .map(|balancer| balancer.arn.clone()),
        facts,
        names,
        wanted,
        wanted_tags: graph
            .nodes()
            .iter()
            .map(|node| (node.key.clone(), node.tags.clone()))
            .collect(),
        detail: Detail::default(),
        tag_source: TagSource::default(),
    }
}

/// The app's own things in whose place others are used, by the names that they had before: whoever moves to something that
/// exists must not leave his own behind unseen.
fn replaced(spec: &Spec, names: &Names) -> Vec<(Key, String)> {
    let mut replaced = Vec::new();
    let mut add = |kind, name: &str, given: bool, own: String| {
        if given {
            replaced.push((Key::new(kind, name), own));
        }
    };
    add(
        Kind::Cluster,
        "main",
        spec.cluster.is_some(),
        names.app().to_owned(),
    );
    add(
        Kind::LoadBalancer,
        "main",
        !spec.load_balancer.is_own(),
        names.load_balancer(),
    );
    add(
        Kind::EncryptionKey,
        "main",
        spec.kms_key.is_some(),
        names.key_alias(),
    );
    for role in spec.roles.keys() {
        add(Kind::Role, role.suffix(), true, names.role(*role));
    }
    replaced
}

impl Inputs<'_> {
    /// The facts, with the names of what was looked up.
    fn facts(&self) -> Facts {
        Facts {
            existing: self.existing.names(),
            ..self.facts.clone()
        }
    }
}

/// Where an app goes, with what its parts are named after.
struct Place<'a> {
    spec: &'a Spec,
    facts: &'a Facts,
    existing: &'a Existing,
    names: Names,
    /// Where tasks are to stand.
    zones: Vec<Zone>,
    /// Where tasks stand that the next deployment moves into the others.
    leaving: Vec<Zone>,
    /// The ports that tasks are reached on: the wanted one, and those of tasks that run.
    ports: BTreeSet<u16>,
}

impl Place<'_> {
    /// The zones that need a network: where tasks are to stand, then where they still do.
    fn served(&self) -> impl Iterator<Item = &Zone> {
        self.zones.iter().chain(&self.leaving)
    }

    /// The ARN of something in the account and region.
    fn arn(&self, service: &str, resource: &str) -> String {
        self.facts.arn(service, resource)
    }

    /// The ARN of a bucket, or of what is in it.
    fn s3_arn(&self, path: &str) -> String {
        format!("arn:{}:s3:::{path}", self.facts.partition)
    }

    /// The ARN of something of IAM, which has no region.
    fn iam_arn(&self, resource: &str) -> String {
        format!(
            "arn:{}:iam::{}:{resource}",
            self.facts.partition, self.facts.account
        )
    }
}

/// A text of the user's that looks like a link would be replaced by an id.
fn refuse_tokens(inputs: &Inputs<'_>) -> Result<(), Error> {
    let spec = serde_json::to_value(inputs.spec).unwrap_or_default();
    let found = tokens(&serde_json::json!([spec, inputs.buildspec]));
    match found.first() {
        None => Ok(()),
        Some(key) => Err(Error::Impossible {
            problem: format!(
                "the text `${{{key}}}` stands for a resource within ecspipe and can't be used as a value"
            ),
            hint: "write it another way, for example without the braces".to_owned(),
        }),
    }
}
