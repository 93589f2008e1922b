//! Changes nearly everything that the adapter can change, behind the engine's back, and lets the engine put it right: both
//! directions of every update. Must not check what is sent.

use std::collections::BTreeMap;

use ecspipe_provision::plan::diff;
use ecspipe_provision::{Change, Cloud as _, Have, Key, Kind, Origin, Progress, Resource, Tags};
use serde_json::{Value, json};

use super::place::Place;

/// Makes the account differ from what is wanted, and then `up` twice: the second finds nothing to do.
pub(crate) async fn and_back(place: &Place) {
    meddle(place).await;
    let plan = place.up().await;
    assert!(plan.steps.len() > 25, "{}", plan.steps.len());
    place.assert_settled().await;
}

/// Makes the account differ from what is wanted.
pub(crate) async fn meddle(place: &Place) {
    let owned = place.inventory().await.owned;
    let mut failed = Vec::new();
    for (key, have) in &owned {
        let want = meddled(key, have, &owned);
        let have_properties = have.resource.properties();
        let mut changes = diff(&have_properties, &want.properties());
        let mut owner = BTreeMap::new();
        if key.kind != Kind::TaskDefinition && !have.tags.is_empty() {
            changes.extend(["tags.meddler", "tags.team"].map(|field| Change {
                field: field.to_owned(),
                have: None,
                want: None,
                origin: Origin::Spec,
            }));
            owner.insert("meddler".to_owned(), "somebody".to_owned());
        }
        if changes.is_empty() {
            continue;
        }
        let tags = Tags::new(&place.spec.app, key, &owner);
        let updated = place
            .account
            .update(have, &want, &changes, &tags, &Progress::silent())
            .await;
        failed.extend(updated.err().map(|error| format!("{key}: {error}")));
    }
    assert_eq!(failed, Vec::<String>::new());
}

/// What `have` becomes.
fn meddled(key: &Key, have: &Have, owned: &BTreeMap<Key, Have>) -> Resource {
    let mut value = have.resource.properties();
    let id = |kind, name| owned.get(&Key::new(kind, name)).map(|have| have.id.clone());
    for (field, change) in fields(key.kind) {
        let (parent, name) = field.rsplit_once('/').unwrap();
        value
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{key} has no {parent}"))[name] = change;
    }
    match key.kind {
        Kind::Subnet => toggle(&mut value["public_addresses"]),
        Kind::LoadBalancer => {
            drop_last_above(&mut value["subnets"], 2);
            value["security_groups"] = json!([id(Kind::SecurityGroup, "service")]);
        }
        Kind::Endpoint if value["endpoint_type"] == "Interface" => {
            drop_last_above(&mut value["subnets"], 1);
            value["private_dns"] = false.into();
        }
        Kind::Endpoint => value["route_tables"] = json!([]),
        // One zone's subnets go over to another zone's table.
        Kind::RouteTable if key.name == "private-eu-central-1a" => {
            let other = &owned[&Key::new(Kind::RouteTable, "private-eu-central-1b")];
            value["subnets"] = other.resource.properties()["subnets"].clone();
            value["routes"] = json!([]);
        }
        Kind::Listener => value["port"] = (value["port"].as_u64().unwrap() + 1).into(),
        _ => {}
    }
    serde_json::from_value(json!({"kind": key.kind.as_str(), "properties": value})).unwrap()
}

fn fields(kind: Kind) -> Vec<(&'static str, Value)> {
    match kind {
        Kind::EncryptionKey => vec![
            ("/rotation", false.into()),
            ("/description", "somebody's".into()),
            ("/policy/Statement/0/Sid", "Somebody".into()),
        ],
        Kind::Bucket => vec![
            ("/versioning", false.into()),
            ("/owner_enforced", false.into()),
            ("/public_access_blocked", false.into()),
            ("/lifecycle", json!([])),
            ("/policy", Value::Null),
        ],
        Kind::LogGroup => vec![("/retention_days", Value::Null)],
        Kind::ImageRepository => vec![
            ("/scan_on_push", false.into()),
            ("/tag_mutability", "MUTABLE".into()),
            ("/mutability_exclusions", json!([])),
            ("/lifecycle", Value::Null),
        ],
        Kind::Role => vec![
            ("/trust/Statement/0/Sid", "Somebody".into()),
            ("/policies", json!({})),
        ],
        Kind::Vpc => vec![("/dns_hostnames", false.into())],
        Kind::LoadBalancer => vec![("/idle_timeout_seconds", 61.into())],
        Kind::TargetGroup => vec![
            ("/health_check/path", "/other".into()),
            ("/deregistration_delay_seconds", 61.into()),
        ],
        Kind::Alarm => vec![
            ("/threshold", "7.5".into()),
            ("/breaching_periods", 1.into()),
            ("/description", "somebody's".into()),
        ],
        Kind::Cluster => vec![("/container_insights", "enhanced".into())],
        Kind::Service => vec![
            ("/desired_count", 2.into()),
            ("/health_check_grace_seconds", 61.into()),
        ],
        Kind::DeploymentGroup => vec![("/keep_old_minutes", 61.into())],
        Kind::SourceRepository | Kind::BuildProject => vec![("/description", "somebody's".into())],
        Kind::Pipeline => vec![("/execution_mode", "SUPERSEDED".into())],
        Kind::EventRule => vec![("/enabled", false.into())],
        _ => vec![],
    }
}

fn toggle(value: &mut Value) {
    *value = (!value.as_bool().unwrap()).into();
}

fn drop_last_above(value: &mut Value, least: usize) {
    let items = value.as_array_mut().unwrap();
    if items.len() > least {
        items.pop();
    }
}
