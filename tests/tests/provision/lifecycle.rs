//! An app's whole life: made, left alone, taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use ecspipe_deploy::rollouts::{Rollouts as _, Target};
use ecspipe_provision::Kind;

use super::place::{PRIVATE, Place, SHORTEST, TUTORIAL, sandbox, spec};

/// Up, nothing to do, down with the source kept, up again, down without anything kept.
async fn live(text: &str) {
    let place = Place::new(text).await;
    let before = place.things();
    place.up().await;
    place.assert_settled().await;

    place.sandbox.reset_counts();
    let again = place.up().await;
    assert_eq!(again.steps.len(), 0);
    assert_eq!(place.writes(), BTreeMap::new());

    place.down(false).await;
    let left: Vec<String> = place.things().difference(&before).cloned().collect();
    assert_eq!(left.len(), 1, "{left:#?}");
    assert!(left[0].contains("codecommit/repositories/"), "{left:#?}");

    place.up().await;
    place.assert_settled().await;
    place.down(true).await;
    let left: Vec<String> = place.things().difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_tutorial_lives() {
    live(TUTORIAL).await;
}

#[tokio::test(start_paused = true)]
async fn the_shortest_spec_lives() {
    live(SHORTEST).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_without_a_way_out_lives() {
    live(PRIVATE).await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_made_and_listed() {
    let place = Place::new(PRIVATE).await;
    place.up().await;
    let mut kinds: Vec<Kind> = place
        .inventory()
        .await
        .owned
        .keys()
        .map(|key| key.kind)
        .collect();
    let other = Place::new(TUTORIAL).await;
    other.up().await;
    kinds.extend(other.inventory().await.owned.keys().map(|key| key.kind));
    for kind in Kind::ALL {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_region_and_partition_will_do() {
    for region in ["us-east-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1"] {
        let sandbox = sandbox();
        let place = Place::in_region(&sandbox, spec(SHORTEST), region).await;
        let before = place.things();
        place.up().await;
        place.assert_settled().await;
        place.down(true).await;
        let left: Vec<String> = place.things().difference(&before).cloned().collect();
        assert_eq!(left, Vec::<String>::new(), "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_app_can_live_in_two_regions() {
    let sandbox = sandbox();
    let here = Place::in_region(&sandbox, spec(SHORTEST), "eu-central-1").await;
    let there = Place::in_region(&sandbox, spec(SHORTEST), "us-east-1").await;
    tokio::join!(here.up(), there.up());
    here.assert_settled().await;
    there.assert_settled().await;
    here.down(true).await;
    there.assert_settled().await;
}

/// Bundle and artifacts lie in one bucket: only a new bundle starts the pipeline.
#[tokio::test(start_paused = true)]
async fn only_the_bundle_starts_the_pipeline() {
    let place = Place::new(TUTORIAL).await;
    place.up().await;
    let executions = |target: Target| {
        let place = &place;
        async move { place.account.executions(&target, 50).await.unwrap().len() }
    };
    let bundle = Target::new(&place.spec, &place.facts);
    let before = executions(bundle.clone()).await;
    for key in [
        "ecs-deployment-pipel/SourceOutp/AbCdEfG",
        "ecs-deployment-pipel/BundleOutp/bundle.zip",
        "bundle.zip.old",
        "ecspipe/lease.json",
    ] {
        let other = Target {
            bundle_key: key.to_owned(),
            ..bundle.clone()
        };
        place.account.put_bundle(&other, b"x", "0").await.unwrap();
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(executions(bundle.clone()).await, before, "{key}");
    }
    place.account.put_bundle(&bundle, b"x", "0").await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(executions(bundle).await, before + 1);
}
