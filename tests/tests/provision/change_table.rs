//! The change table on the sandbox: each row's change is planned as the row says, arrives, and leaves nothing to do; production
//! answers between all the calls that it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use ecspipe_provision::change_table::{BASE, Interruption, Row, effects_of, rows};
use ecspipe_provision::resource::Rule;
use ecspipe_provision::{Options, Plan};
use ecspipe_sandbox::Sandbox;
use ecspipe_spec::Spec;
use serde_json::{Map, Value, json};

use super::place::{Place, REGION, differences, sandbox};
use super::platform::{PLATFORM, Platform, looked_up};
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
    let mut rows: Vec<&'static Row> = rows().iter().filter(mine).collect();
    rows.retain(|row| !refers_to_others(row));
    rows
}

/// Whether a row is about what others have made, which must be there then: see [`Others`].
fn refers_to_others(row: &Row) -> bool {
    row.field.contains("existing") || row.field == "permissions_boundary.*"
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
async fn running(sandbox: &Sandbox, spec: Spec) -> (Place, String) {
    let place = looked_up(Place::within(sandbox, spec).await).await;
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

/// One row in an account: the plan is as it says, the change `from` one spec `to` the other arrives, and who isn't to notice
/// doesn't.
async fn exercise(row: &Row, sandbox: &Sandbox, [from, to]: [Spec; 2]) {
    let name = format!("{} {:?} {}", row.field, row.value, row.change);
    let (place, listener) = running(sandbox, from).await;
    let watch = Watch::new(&place.sandbox, &listener, row.field.starts_with("network"));
    let changed = Place::through(&place.sandbox, to, REGION, watch.client()).await;
    let changed = looked_up(changed).await;
    let planned = plan(&changed).await;
    let effects = row.effects.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(
        effects_of(&planned),
        effects,
        "{name}: {:#?}",
        differences(&planned)
    );
    for refusal in &planned.refusals {
        let of_zones = refusal.hint.contains("zone");
        assert!(
            !of_zones || row.field.starts_with("network"),
            "{name}: {refusal:?}"
        );
    }
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
        exercise(row, &account(), [row.from, row.to].map(spec)).await;
    }
}

/// An account with the alarms and the functions that rows name.
fn account() -> Sandbox {
    let sandbox = sandbox();
    let mut world = sandbox.world();
    let (number, now) = (world.account.clone(), world.now);
    let region = world.at(REGION);
    for name in ["orders-backlog", "orders-age"] {
        let alarm = json!({
            "name": name, "arn": format!("arn:aws:cloudwatch:{REGION}:{number}:alarm:{name}"), "tags": {},
            "state": "OK", "reason": "", "since": now, "configured": now,
            "definition": {
                "AlarmName": name, "Namespace": "Orders", "MetricName": name, "Statistic": "Maximum", "Period": 60,
                "EvaluationPeriods": 1, "Threshold": 100, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            },
        });
        let alarm = serde_json::from_value(alarm).unwrap();
        region.cloudwatch.alarms.insert(name.to_owned(), alarm);
    }
    for name in ["one", "two"] {
        let function = json!({
            "name": name, "arn": format!("arn:aws:lambda:{REGION}:{number}:function:{name}"), "tags": {},
            "role": format!("arn:aws:iam::{number}:role/{name}"), "created": now - 3_600_000, "settings": {}, "code": [1, ""],
        });
        let function = serde_json::from_value(function).unwrap();
        region.lambda.functions.insert(name.to_owned(), function);
    }
    drop(world);
    sandbox
}

/// What the rows about others' things refer to: two platforms, called `shared` and `other` as the things of theirs are, and two
/// boundaries.
struct Others {
    sandbox: Sandbox,
    shared: Platform,
    other: Platform,
    /// One more subnet in the first zone of `shared`, public and private.
    more: [String; 2],
}

impl Others {
    async fn make() -> Self {
        let sandbox = sandbox();
        // Its own listeners leave an app's ports free, and its balancer lets everybody in on those.
        let text = |app: &str| {
            let ports = "load_balancer: { production: { port: 81 }, test: { port: 8081 } }\n";
            PLATFORM.replace("app: platform", &format!("app: {app}")) + ports
        };
        let shared = Platform::closed(&sandbox, &text("shared")).await;
        let other = Platform::closed(&sandbox, &text("other")).await;
        for platform in [&shared, &other] {
            let everybody = [80, 8080].map(|port| Rule::tcp(port, "0.0.0.0/0"));
            platform
                .change_group("balancer", |group| group.ingress.extend(everybody))
                .await;
        }
        for name in ["one", "two"] {
            shared.add_policy(&format!("arn:aws:iam::111122223333:policy/{name}"));
        }
        let public = shared.add_subnet("subnet/public-eu-central-1a", "10.9.255.0/25");
        let public = public.await;
        let private = shared.add_subnet("subnet/private-eu-central-1a", "10.9.255.128/25");
        let more = [public, private.await];
        Self {
            sandbox,
            shared,
            other,
            more,
        }
    }

    /// A row's patch with what these things are called and with their ids.
    fn patch(&self, row: &Row, patch: &str) -> String {
        let moves_away = patch.contains(r#""vpc":{"name":"other"}"#);
        let home = if moves_away {
            &self.other
        } else {
            &self.shared
        };
        let [public, private] = &self.more;
        let more = if row.field.starts_with("network.existing.public") {
            public
        } else {
            private
        };
        let mut patch = patch
            .replace(
                r#""vpc":{"name":"shared"}"#,
                r#""vpc":{"name":"shared-main"}"#,
            )
            .replace(
                r#""vpc":{"name":"other"}"#,
                r#""vpc":{"name":"other-main"}"#,
            )
            .replace("subnet-0123456789abcde0e", more);
        for (letter, key) in [
            ("a", "subnet/public-eu-central-1a"),
            ("b", "subnet/public-eu-central-1b"),
            ("c", "subnet/private-eu-central-1a"),
            ("d", "subnet/private-eu-central-1b"),
        ] {
            patch = patch.replace(&format!("subnet-0123456789abcde0{letter}"), home.id(key));
        }
        if row.field.starts_with("roles") {
            patch = patch
                .replace(r#""one""#, r#""shared-eu-central-1-task""#)
                .replace(r#""two""#, r#""other-eu-central-1-task""#);
        }
        patch
    }
}

/// Each in an account of its own, in which nothing of the others' is touched.
#[tokio::test(start_paused = true)]
async fn what_others_made_changes() {
    let others = Others::make().await;
    let of = |platform: &Platform| platform.place.spec.clone();
    let platforms = [&others.shared, &others.other];
    let mut exercised = 0;
    for row in rows().iter().filter(|row| refers_to_others(row)) {
        let sandbox = others.sandbox.fork().unwrap();
        let specs = [row.from, row.to].map(|patch| spec(&others.patch(row, patch)));
        exercise(row, &sandbox, specs).await;
        for platform in platforms {
            let before = platform.place.inventory().await;
            let after = Place::within(&sandbox, of(platform))
                .await
                .inventory()
                .await;
            assert_eq!(after, before, "{}", row.field);
        }
        exercised += 1;
    }
    assert_eq!(exercised, 9);
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
