//! Random legal specs through the real adapter. `ECSPIPE_LONG=1` tries many more.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::place::{Place, sandbox, spec};

/// How many specs a normal run tries: each is a whole life of an app, over a thousand calls.
const SPECS: u32 = 12;
const SPECS_OF_A_LONG_RUN: u32 = 400;

/// The text of any legal spec, with each part left out now and then.
fn text() -> impl Strategy<Value = String> {
    let head = (
        prop_oneof![
            Just("web".to_owned()),
            Just("internal-web".to_owned()),
            "[a-z][a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,4}"
        ],
        2..=3_u8,
        any::<bool>(),
        prop_oneof![Just("per_zone"), Just("single"), Just("none")],
        prop_oneof![Just(80_u16), Just(3000), Just(8080)],
    );
    let service = (
        0..=3_u32,
        prop_oneof![
            Just("{ cpu: 256, memory: 512 }"),
            Just("{ cpu: 1024, memory: 4096 }"),
            Just("{ architecture: arm64 }")
        ],
        "/[a-z]{0,8}",
        proptest::collection::btree_map("[A-Z]{1,6}", "[a-zA-Z0-9 /_.:-]{1,12}", 0..3),
    );
    let balancer = (
        prop_oneof![Just(80_u16), Just(8000)],
        8081..8084_u16,
        proptest::collection::btree_set(
            prop_oneof![
                Just("10.0.0.0/8"),
                Just("0.0.0.0/0"),
                Just("203.0.113.7/32")
            ],
            1..3,
        ),
    );
    let deploy = (
        prop_oneof![
            Just("all_at_once".to_owned()),
            (1..=99_u8, 1..=30_u8).prop_map(|(percent, wait)| format!(
                "{{ canary: {{ percent: {percent}, wait: {wait}m }} }}"
            )),
            (1..=99_u8, 1..=30_u8).prop_map(|(percent, every)| format!(
                "{{ linear: {{ percent: {percent}, every: {every}m }} }}"
            )),
        ],
        proptest::option::of(1..100_u8),
        0..60_u8,
        proptest::sample::subsequence(vec!["failure", "stop"], 0..=2),
    );
    let rest = (
        "[a-z]{1,6}(/[a-z]{1,6})?",
        proptest::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9 +=._:/@-]{0,12}", 0..3),
    );
    (head, service, balancer, deploy, rest).prop_map(|(head, service, balancer, deploy, rest)| {
        let (app, zones, named, nat, port) = head;
        let zones = if named { named_zones(zones) } else { zones.to_string() };
        // Without a way out, tasks can pull from ECR only.
        let image = if nat == "none" { "111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1" } else { "httpd:2.4.58" };
        let (count, size, path, environment) = service;
        let size = size.trim_matches(['{', '}', ' ']);
        let (production, test, allow) = balancer;
        let allow = allow.into_iter().collect::<Vec<_>>().join(", ");
        let (strategy, approve, keep_old, rollback_on) = deploy;
        let approve = approve.map_or(String::new(), |within| format!("approve: {{ within: {within}m }}, "));
        let (branch, tags) = rest;
        format!(
            "version: 1\napp: {app}\nnetwork: {{ zones: {zones}, nat: {nat} }}\n\
             service: {{ image: \"{image}\", port: {port}, {size}, desired_count: {count}, health_check: {{ path: {path} }}, environment: {environment} }}\n\
             load_balancer: {{ production: {{ port: {production}, allow: [{allow}] }}, test: {{ port: {test}, allow: [{allow}] }} }}\n\
             source: {{ codecommit: {{ repository: {app}, branch: {branch} }} }}\n\
             deploy: {{ strategy: {strategy}, {approve}keep_old: {keep_old}m, rollback_on: [{rollback_on}] }}\n\
             tags: {tags}\n",
            environment = serde_json::to_string(&environment).unwrap(),
            tags = serde_json::to_string(&tags).unwrap(),
            rollback_on = rollback_on.join(", "),
        )
    })
}

fn named_zones(count: u8) -> String {
    let zones = ["a", "b", "c"].iter().enumerate().take(usize::from(count));
    let zones = zones.map(|(index, letter)| {
        format!(
            "{{ name: eu-central-1{letter}, public: 10.0.{index}.0/24, private: 10.0.{}.0/24 }}",
            index + 10
        )
    });
    format!("[{}]", zones.collect::<Vec<_>>().join(", "))
}

#[test]
fn any_app_can_be_made_and_taken_away() {
    let cases = if std::env::var("ECSPIPE_LONG").is_ok() {
        SPECS_OF_A_LONG_RUN
    } else {
        SPECS
    };
    let config = Config {
        cases,
        // A run over a whole account is slow: a dozen simpler specs tell enough.
        max_shrink_iters: 12,
        failure_persistence: None,
        ..Config::default()
    };
    let life = |text: String| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(live(&text));
        Ok(())
    };
    TestRunner::new(config)
        .run(
            &text().prop_filter("a legal spec", |text| ecspipe_spec::parse(text).is_ok()),
            life,
        )
        .unwrap();
}

async fn live(text: &str) {
    let place = Place::within(&sandbox(), spec(text)).await;
    let before = place.things();
    place.up().await;
    place.assert_settled().await;
    place.down(true).await;
    let left: Vec<String> = place.things().difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
}
