//! What a changed spec, or a changed account, comes to: an update that arrives, and an empty plan behind it.

use std::collections::BTreeSet;

use ecspipe_provision::{ActionKind, Options};
use ecspipe_spec::Spec;

use super::place::{PRIVATE, Place, REGION, SHORTEST, TUTORIAL, differences, sandbox, spec};

/// Nearly everything about the tutorial's app that may change while it runs.
pub(crate) fn changed() -> Spec {
    let text = TUTORIAL
        .replace("    - { name: eu-central-1b, public: 192.168.1.0/24, private: 192.168.3.0/24 }\n", "    - { name: eu-central-1b, public: 192.168.1.0/24, private: 192.168.3.0/24 }\n    - { name: eu-central-1c, public: 192.168.4.0/24, private: 192.168.5.0/24 }\n")
        .replace("nat: per_zone ", "nat: single ")
        .replace("desired_count: 1", "desired_count: 2")
        .replace("{ path: / }", "{ path: /health, interval: 20s, timeout: 7s, healthy: 3, unhealthy: 4, status: \"200\", grace: 90s }")
        .replace("production: { port: 80 }", "production: { port: 8081, allow: [10.0.0.0/8, 203.0.113.7/32] }")
        .replace("test: { port: 8080, allow: [0.0.0.0/0] }", "test: { port: 9090, allow: [10.0.0.0/8] }")
        .replace("branch: main", "branch: release")
        .replace("dockerfile: Dockerfile", "dockerfile: build/Dockerfile")
        .replace("strategy: all_at_once", "strategy: { canary: { percent: 25, wait: 10m } }")
        .replace("approve: { within: 60m }", "approve: { within: 30m }")
        .replace("keep_old: 5m", "keep_old: 15m")
        .replace("rollback_on: [failure, stop]", "rollback_on: [failure]")
        .replace("tags: { team: web }", "tags: { crew: shop, stage: live }");
    for needle in [
        "eu-central-1c",
        "nat: single",
        "desired_count: 2",
        "/health",
        "8081",
        "9090",
        "release",
        "build/Dockerfile",
        "canary: { percent: 25",
        "30m",
        "15m",
        "[failure]",
        "crew",
    ] {
        assert!(text.contains(needle), "the tutorial has changed: {needle}");
    }
    spec(&text)
}

/// From one spec to another; gives the changed fields as `update listener/test: port`.
async fn change(from: Spec, to: Spec) -> Vec<String> {
    let mut place = Place::within(&sandbox(), from).await;
    place.up().await;
    place.spec = to;
    let plan = place.up().await;
    assert!(!plan.is_empty());
    place.assert_settled().await;
    differences(&plan)
}

#[tokio::test(start_paused = true)]
async fn many_changes_arrive_at_once() {
    let changes = change(spec(TUTORIAL), changed()).await.join("\n");
    for expected in [
        "Create subnet/public-eu-central-1c",
        "health_check",
        "tags.crew",
        "tags.team",
        "desired_count",
        "port",
    ] {
        assert!(changes.contains(expected), "no {expected} in\n{changes}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_can_be_taken_back() {
    let back = Spec {
        network: changed().network,
        ..spec(TUTORIAL)
    };
    let changes = change(changed(), back).await;
    assert!(!changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_way_out_can_be_added_and_taken() {
    let text = SHORTEST.replace("service: {", "network: { nat: none }\nservice: { image: 111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1,");
    let none = spec(&text);
    let single = spec(&text.replace("nat: none", "nat: single"));
    let there = change(none.clone(), single.clone()).await.join("\n");
    assert!(there.contains("Create nat"), "{there}");
    let back = change(single, none).await.join("\n");
    assert!(back.contains("Delete nat"), "{back}");
}

#[tokio::test(start_paused = true)]
async fn the_service_can_be_given_more_memory_only_by_a_deployment() {
    let place = Place::new(PRIVATE).await;
    place.up().await;
    let more = spec(&PRIVATE.replace("port: 8080", "port: 8080\n  cpu: 512\n  memory: 2048"));
    let place = Place {
        spec: more,
        ..place
    };
    let plan = place.plan(Options::default()).await;
    let kinds: BTreeSet<ActionKind> = plan.steps.iter().map(|step| step.action.kind()).collect();
    assert!(
        !kinds.contains(&ActionKind::Replace),
        "{:#?}",
        differences(&plan)
    );
    assert!(!plan.deferred.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_by_hand_is_seen_and_put_right() {
    let place = Place::new(TUTORIAL).await;
    place.up().await;
    {
        let mut world = place.sandbox.world();
        let logs = &mut world.at(REGION).logs;
        for group in logs.groups.values_mut() {
            group.retention = Some(3);
            group.tags.insert("team".to_owned(), "other".to_owned());
        }
        let bucket = world.s3.buckets.values_mut().next().unwrap();
        bucket.policy = None;
        bucket.tags.remove("team");
    }
    let plan = place.plan(Options::default()).await;
    let seen = differences(&plan).join("\n");
    for expected in ["retention", "tags.team", "policy"] {
        assert!(seen.contains(expected), "no {expected} in\n{seen}");
    }
    place.apply(&plan).await;
    place.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn two_apps_do_not_touch_each_other() {
    let sandbox = sandbox();
    let one = Place::within(&sandbox, spec(TUTORIAL)).await;
    // The name of the second begins like the first's.
    let text = SHORTEST.replace(
        "app: web",
        "app: ecs-deployment-pipeline-2\nnetwork: { nat: single }",
    );
    let two = Place::within(&sandbox, spec(&text)).await;
    let before = one.things();
    tokio::join!(one.up(), two.up());
    one.assert_settled().await;
    two.assert_settled().await;
    let both = one.things();
    one.down(true).await;
    two.assert_settled().await;
    assert!(one.things().len() < both.len());
    two.down(true).await;
    let left: Vec<String> = one.things().difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
}
