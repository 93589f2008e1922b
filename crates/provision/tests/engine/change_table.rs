//! Every key of the spec has its rows in the change table, every row is true of a real plan, and the account follows it.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::change_table::{BASE, Effect, Interruption, Row, effects_of, rows};
use ecspipe_provision::existing::{
    Cluster, EncryptionKey, LoadBalancer, Network, Role, Subnet, WayOut,
};
use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::Policy;
use ecspipe_provision::{Existing, Graph, Have, Inputs, Inventory, Node, Options, desired, plan};
use ecspipe_spec::Spec;
use ecspipe_spec::names::RoleName;
use serde_json::Value;

use crate::account::{BUILDSPEC, assert_settled, bring, keys, plan_for, up};
use crate::specs::facts;

/// The base with a row's patch.
fn example(patch: &str) -> Value {
    let mut spec = serde_json::from_str(BASE).unwrap();
    merge(&mut spec, &serde_json::from_str(patch).unwrap());
    spec
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Default::default());
    }
    for (key, value) in patch {
        let fields = target.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn spec(patch: &str) -> Spec {
    ecspipe_spec::parse(&example(patch).to_string()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// The leaves of the JSON Schema: paths, with the value where only some words are legal.
fn leaves() -> BTreeSet<(String, Option<String>)> {
    let schema = ecspipe_spec::schema();
    let mut found = BTreeSet::new();
    walk(&schema, &schema, "", &mut found);
    found
}

fn walk(schema: &Value, node: &Value, path: &str, found: &mut BTreeSet<(String, Option<String>)>) {
    if let Some(name) = node["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").unwrap();
        return walk(schema, &schema["$defs"][name], path, found);
    }
    let alternatives = node["anyOf"].as_array().or(node["oneOf"].as_array());
    if let Some(alternatives) = alternatives {
        for alternative in alternatives {
            walk(schema, alternative, path, found);
        }
        return;
    }
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match node["type"].as_str() {
        Some("object") => {
            for (key, value) in node["properties"].as_object().into_iter().flatten() {
                walk(schema, value, &below(key), found);
            }
            if node["additionalProperties"].is_object() {
                walk(schema, &node["additionalProperties"], &below("*"), found);
            }
        }
        Some("array") => walk(schema, &node["items"], &format!("{path}[]"), found),
        _ => {
            let value = node["const"].as_str().map(str::to_owned);
            found.insert((path.to_owned(), value));
        }
    }
}

/// Whether a row is about a leaf: `*` is any key, and at the end of a reference all the ways to refer.
fn covers(row: &(String, Option<String>), leaf: &(String, Option<String>)) -> bool {
    let (mut row_keys, mut leaf_keys) = (row.0.split('.'), leaf.0.split('.'));
    loop {
        match (row_keys.next(), leaf_keys.next()) {
            (None, None) => return row.1 == leaf.1,
            (Some("*"), Some(_)) if row_keys.clone().next().is_none() => return row.1 == leaf.1,
            (Some(row), Some(leaf)) if row == "*" || row == leaf => {}
            _ => return false,
        }
    }
}

#[test]
fn every_key_has_a_row_and_every_row_a_key() {
    let of_row = |row: &Row| (row.field.to_owned(), row.value.map(str::to_owned));
    let have: BTreeSet<_> = rows().iter().map(of_row).collect();
    let want = leaves();
    let missing: Vec<_> = want
        .iter()
        .filter(|leaf| !have.iter().any(|row| covers(row, leaf)))
        .collect();
    assert!(
        missing.is_empty(),
        "without a row in crates/provision/src/change_table/rows.rs: {missing:#?}"
    );
    let extra: Vec<_> = have
        .iter()
        .filter(|row| !want.iter().any(|leaf| covers(row, leaf)))
        .collect();
    assert!(
        extra.is_empty(),
        "rows without a key of the spec: {extra:#?}"
    );
    assert!(want.len() > 40, "{}", want.len());
}

/// The paths at which two values differ, with `[]` for elements.
fn differing(path: &str, from: &Value, to: &Value, found: &mut BTreeSet<String>) {
    let null = Value::Null;
    match (from, to) {
        (Value::Object(_), Value::Object(_))
        | (Value::Null, Value::Object(_))
        | (Value::Object(_), Value::Null) => {
            let keys = |value: &Value| -> Vec<String> {
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key.clone())
                    .collect()
            };
            for key in keys(from).into_iter().chain(keys(to)) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                differing(
                    &path,
                    from.get(&key).unwrap_or(&null),
                    to.get(&key).unwrap_or(&null),
                    found,
                );
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            for index in 0..from.len().max(to.len()) {
                let path = format!("{path}[]");
                differing(
                    &path,
                    from.get(index).unwrap_or(&null),
                    to.get(index).unwrap_or(&null),
                    found,
                );
            }
        }
        _ if from != to => {
            found.insert(path.to_owned());
        }
        _ => {}
    }
}

/// An example that changed something else besides would prove nothing about its key.
#[test]
fn an_example_changes_its_own_key() {
    for row in rows() {
        let mut changed = BTreeSet::new();
        differing("", &example(row.from), &example(row.to), &mut changed);
        let field = row.field.trim_end_matches(".*").trim_end_matches("[]");
        let field = field.split(".*").next().unwrap();
        let section = field.rsplit_once('.').map_or(field, |(section, _)| section);
        for path in &changed {
            // A zone comes or goes as a whole, and the other listener makes way.
            let own_network = ["network.cidr", "network.zones"].contains(&path.as_str());
            let near = own_network
                || path.starts_with(section)
                || path.starts_with("load_balancer.") && row.field.starts_with("load_balancer.");
            assert!(
                near || row.field.starts_with("deploy.strategy"),
                "{}: {path}",
                row.field
            );
        }
        let itself = changed
            .iter()
            .any(|path| path.starts_with(field) || field.starts_with(path.as_str()));
        let only_one = ["version", "deploy.engine"].contains(&row.field);
        assert!(
            itself || only_one || row.value == Some("all_at_once"),
            "{}: {changed:?}",
            row.field
        );
    }
}

/// Rows about what others made: its ids stand in the graph, and the in-memory account doesn't hold it.
fn of_others(row: &Row) -> bool {
    row.field.contains("existing") || ["permissions_boundary.*", "role_path"].contains(&row.field)
}

/// What a lookup would find: every name or id is there, under an id made of it.
fn looked_up(spec: &Value) -> Existing {
    let name = |reference: &Value| reference["name"].as_str().map(str::to_owned);
    let subnet = |id: &Value| Subnet {
        id: id.as_str().unwrap().to_owned(),
        vpc: "vpc-1".to_owned(),
        zone: "eu-central-1a".to_owned(),
        range: "10.7.0.0/24".to_owned(),
        route_table: "rtb-1".to_owned(),
        way_out: WayOut::Nat,
    };
    let subnets = |side: &Value| -> Vec<Subnet> {
        side["ids"]
            .as_array()
            .into_iter()
            .flatten()
            .map(subnet)
            .collect()
    };
    let network = spec["network"].get("existing").map(|network| Network {
        vpc: format!("vpc-{}", name(&network["vpc"]).unwrap()),
        public: subnets(&network["public"]),
        private: subnets(&network["private"]),
        ..Network::default()
    });
    let arn = |service: &str, thing: String| {
        format!("arn:aws:{service}:eu-central-1:111122223333:{thing}")
    };
    let role = |name: String| Role {
        arn: format!("arn:aws:iam::111122223333:role/{name}"),
        trust: Policy::none(),
    };
    Existing {
        network,
        cluster: name(&spec["cluster"]["existing"]).map(|name| Cluster {
            name,
            ..Cluster::default()
        }),
        load_balancer: name(&spec["load_balancer"]["existing"]).map(|name| LoadBalancer {
            arn: arn("elasticloadbalancing", format!("loadbalancer/app/{name}/1")),
            name,
            ..LoadBalancer::default()
        }),
        key: name(&spec["kms_key"]["existing"]).map(|name| EncryptionKey {
            arn: arn("kms", format!("key/{name}")),
            ..EncryptionKey::default()
        }),
        roles: name(&spec["roles"]["task"]["existing"])
            .map(|name| (RoleName::Task, role(name)))
            .into_iter()
            .collect(),
        boundary: name(&spec["permissions_boundary"])
            .map(|name| format!("arn:aws:iam::111122223333:policy/{name}")),
        ..Existing::default()
    }
}

/// The graph of an example, and what an account holds in which it has been applied.
fn applied(patch: &str) -> (Graph, Inventory) {
    let (spec, existing) = (spec(patch), looked_up(&example(patch)));
    let inputs = Inputs {
        spec: &spec,
        facts: &facts(),
        buildspec: BUILDSPEC,
        existing: &existing,
    };
    let graph = desired(&inputs).unwrap();
    let id = |node: &Node| {
        node.resource
            .predicted_id()
            .map_or(format!("id-of-{}", node.key), str::to_owned)
    };
    let mut inventory = Inventory::default();
    for node in graph.nodes() {
        let mut text = serde_json::to_string(&node.resource).unwrap();
        for other in graph.nodes() {
            text = text.replace(&format!("${{{}}}", other.key), &id(other));
        }
        let have = Have {
            key: Some(node.key.clone()),
            id: id(node),
            name: id(node),
            attributes: BTreeMap::new(),
            tags: node.tags.all().clone(),
            resource: serde_json::from_str(&text).unwrap(),
        };
        inventory.owned.insert(node.key.clone(), have);
    }
    (graph, inventory)
}

/// What the plan from one example to the other does.
fn have(row: &Row) -> BTreeSet<Effect> {
    if of_others(row) {
        let (from, inventory) = applied(row.from);
        let settled = plan(&from, &inventory, &Options::default());
        assert!(
            settled.is_empty() && settled.deferred.is_empty(),
            "{}",
            row.field
        );
        return effects_of(&plan(&applied(row.to).0, &inventory, &Options::default()));
    }
    let cloud = Memory::new();
    up(&cloud, &spec(row.from));
    effects_of(&plan_for(&cloud, &spec(row.to), Options::default()))
}

#[test]
fn every_row_is_what_the_plan_does() {
    let mut wrong = Vec::new();
    for row in rows() {
        let have = have(row);
        let want: BTreeSet<Effect> = row.effects.iter().copied().collect();
        if have != want {
            let lacks: Vec<_> = have.difference(&want).collect();
            let claims: Vec<_> = want.difference(&have).collect();
            wrong.push(format!(
                "{} {:?} {}: the plan also {lacks:?}, and not {claims:?}",
                row.field, row.value, row.change
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// There and back again, with the deployments that it takes; what is refused leaves the app as it is.
#[test]
fn every_row_arrives() {
    let own = || rows().iter().filter(|row| !of_others(row));
    for row in own().filter(|row| row.interruption != Interruption::Untouched) {
        let cloud = Memory::new();
        let (from, to) = (spec(row.from), spec(row.to));
        bring(&cloud, &from);
        let before = keys(&cloud);
        bring(&cloud, &to);
        bring(&cloud, &from);
        if row.field != "source.codecommit.repository" {
            assert_eq!(keys(&cloud), before, "{}", row.field);
        }
    }
    for row in own().filter(|row| row.how() == "refused") {
        let cloud = Memory::new();
        up(&cloud, &spec(row.from));
        let plan = plan_for(&cloud, &spec(row.to), Options::default());
        assert_eq!(plan.steps, [], "{}", row.field);
        for refusal in &plan.refusals {
            assert!(!refusal.message.is_empty() && !refusal.hint.is_empty());
        }
        assert_settled(&cloud, &spec(row.from));
    }
}
