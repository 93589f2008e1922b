//! The change table on the sandbox: each row's change is planned as the row says, arrives, and leaves nothing to do; production
//! answers between all the calls that it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use ecspipe_provision::change_table::{BASE, Interruption, Row, effects_of, rows};
use ecspipe_provision::{Options, Plan};
use ecspipe_spec::Spec;
use serde_json::{Map, Value};

use super::place::{Place, REGION, differences, sandbox};
use super::watch::Watch;

const IMAGE: &str = "222233334444.dkr.ecr.eu-central-1.amazonaws.com/app:1";

/// The sections of the spec, each a test of its own so that they run side by side.
const SECTIONS: [&str; 8] = [
    "network.zones",
    "network.nat",
    "service.health_check",
    "service.",
    "load_balancer.",
    "source.",
    "deploy.",
    "",
];

fn of_section(section: &str) -> Vec<&'static Row> {
    let at = SECTIONS.iter().position(|one| *one == section).unwrap();
    let mine = |row: &&Row| {
        let first = SECTIONS.iter().position(|one| row.field.starts_with(one));
        first == Some(at)
    };
    // What others made is looked up, which is tested where it is; its rows are held against plans in the engine's tests.
    let of_others = |row: &&Row| {
        row.field.contains("existing")
            || ["permissions_boundary.*", "role_path"].contains(&row.field)
    };
    rows()
        .iter()
        .filter(mine)
        .filter(|row| !of_others(row))
        .collect()
}

fn spec(patch: &str) -> Spec {
    let mut spec = serde_json::from_str(BASE).unwrap();
    merge(&mut spec, &serde_json::from_str(patch).unwrap());
    ecspipe_spec::parse(&spec.to_string()).unwrap()
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
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

/// Time passes, with a look now and then.
async fn minutes(minutes: u64, watch: Option<&Watch>) {
    for _ in 0..minutes * 6 {
        tokio::time::advance(Duration::from_secs(10)).await;
        watch.inspect(|watch| watch.look());
    }
}

/// An app that is up, with its production listener answering.
async fn running(spec: Spec) -> (Place, String) {
    let place = Place::within(&sandbox(), spec).await;
    place.up().await;
    minutes(5, None).await;
    let port = place.spec.load_balancer.production.port;
    let listeners = place.sandbox.listeners();
    let listener = listeners.into_iter().find(|one| one.port == port).unwrap();
    assert_eq!(place.sandbox.fetch(&listener.arn, "/").status, 200);
    (place, listener.arn)
}

async fn plan(place: &Place) -> Plan {
    place.plan(Options::default()).await
}

/// One row: the plan is as it says, the change arrives, and who isn't to notice doesn't.
async fn exercise(row: &Row) {
    let name = format!("{} {:?} {}", row.field, row.value, row.change);
    let (place, listener) = running(spec(row.from)).await;
    let watch = Watch::new(&place.sandbox, &listener, row.field.starts_with("network"));
    let changed = Place::through(&place.sandbox, spec(row.to), REGION, watch.client()).await;
    let planned = plan(&changed).await;
    let effects = row.effects.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(
        effects_of(&planned),
        effects,
        "{name}: {:#?}",
        differences(&planned)
    );
    if planned.refusals.is_empty() {
        changed.apply(&planned).await;
        changed.assert_settled().await;
        minutes(2, Some(&watch)).await;
    }
    if !planned.deferred.is_empty() && planned.refusals.is_empty() {
        changed.roll_out(IMAGE).await;
        minutes(3, Some(&watch)).await;
        changed.up().await;
        changed.assert_settled().await;
        minutes(2, Some(&watch)).await;
        assert_eq!(plan(&changed).await.deferred, [], "{name}");
    }
    if row.interruption == Interruption::Untouched || row.how() == "refused" {
        place.assert_settled().await;
    }
    let (looks, failures) = watch.seen();
    assert!(looks > 60, "{name}: {looks}");
    match row.interruption {
        Interruption::None | Interruption::Untouched => {
            assert_eq!(failures, BTreeSet::new(), "{name}");
        }
        Interruption::For(_) => {}
    }
}

async fn exercise_all(section: &str) {
    let rows = of_section(section);
    assert!(!rows.is_empty());
    for row in rows {
        exercise(row).await;
    }
}

macro_rules! sections {
    ($($name:ident: $section:literal;)+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            exercise_all($section).await;
        })+

        #[test]
        fn every_section_is_exercised() {
            assert_eq!(SECTIONS, [$($section),+]);
        }
    };
}

sections! {
    zones_change: "network.zones";
    ways_out_change: "network.nat";
    health_checks_change: "service.health_check";
    the_service_changes: "service.";
    the_balancer_changes: "load_balancer.";
    the_source_changes: "source.";
    deployments_change: "deploy.";
    everything_else_changes: "";
}
