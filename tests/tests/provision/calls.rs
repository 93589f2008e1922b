//! How many calls a run takes. Every call is time and quota; Terraform needs 291, 145 and 280 for the same app.

use std::collections::BTreeMap;

use ecspipe_provision::Kind;
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::wire::Fault;

use super::place::{PRIVATE, Place, REGION, SHORTEST, TUTORIAL, sandbox, spec, without_latency};

/// The calls since the last count, shown by operation for whoever looks why they are too many.
#[allow(
    clippy::print_stdout,
    reason = "the harness shows it with a failure, or with --nocapture"
)]
fn count(place: &Place, what: &str) -> u64 {
    let counts: BTreeMap<(String, String), u64> = place.sandbox.counts();
    place.sandbox.reset_counts();
    let total = counts.values().sum();
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|((service, operation), calls)| {
        (
            std::cmp::Reverse(*calls),
            service.clone(),
            operation.clone(),
        )
    });
    println!("{what}: {total} calls");
    for ((service, operation), calls) in rows {
        println!("  {calls:4} {service} {operation}");
    }
    total
}

/// The calls of `up`, of a plan without changes, and of `down` with the source.
async fn count_all(sandbox: &Sandbox) -> [u64; 3] {
    let place = Place::within(sandbox, spec(TUTORIAL)).await;
    place.sandbox.reset_counts();
    place.up().await;
    let up = count(&place, "up");
    place.assert_settled().await;
    let plan = count(&place, "plan");
    place.down(true).await;
    [up, plan, count(&place, "down")]
}

#[tokio::test(start_paused = true)]
async fn calls_are_few() {
    let [up, plan, down] = count_all(&without_latency()).await;
    assert!(up < 111, "{up} calls to make the app");
    assert!(plan < 42, "{plan} calls to see that nothing is to do");
    assert!(down < 107, "{down} calls to take it away");
}

/// With AWS's times waiting costs calls too, though not many.
#[tokio::test(start_paused = true)]
async fn waiting_takes_few_calls() {
    let quick = count_all(&without_latency()).await;
    let slow = count_all(&sandbox()).await;
    for (quick, slow) in quick.iter().zip(slow) {
        assert!(slow <= quick + 7, "{slow} calls instead of {quick}");
    }
}

/// What others have in the account costs an app no call.
#[tokio::test(start_paused = true)]
async fn neighbours_cost_nothing() {
    let sandbox = sandbox();
    let app = |name: &str| {
        let network = "network: { zones: 2, nat: single }\n";
        spec(&format!("{}{network}", SHORTEST.replace("web", name)))
    };
    let place = Place::within(&sandbox, app("web")).await;
    place.up().await;
    let alone = counted(&place).await;
    for neighbour in ["shop", "blog"] {
        Place::within(&sandbox, app(neighbour)).await.up().await;
    }
    assert_eq!(counted(&place).await, alone);
}

/// The account's tag index is only a shortcut: what it doesn't list as wanted is asked of the services.
#[tokio::test(start_paused = true)]
async fn an_index_that_lags_behind_hides_nothing() {
    let place = Place::new(TUTORIAL).await;
    place.up().await;
    place.assert_settled().await;
    let quick = counted(&place).await;

    let tagging = |change: &dyn Fn(&mut ecspipe_sandbox::services::tagging::State)| {
        change(&mut place.sandbox.world().at(REGION).tagging);
    };
    tagging(&|tagging| tagging.unlisted = vec!["*".to_owned()]);
    let unlisted = counted(&place).await;
    assert!(unlisted > quick + 8, "{unlisted} calls instead of {quick}");
    tagging(&|tagging| tagging.unlisted = vec![]);

    let arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/ecs/ecs-deployment-pipeline";
    tagging(&|tagging| {
        let old = BTreeMap::from([(
            "ecspipe:app".to_owned(),
            "ecs-deployment-pipeline".to_owned(),
        )]);
        tagging.stale.insert(arn.to_owned(), old);
    });
    assert_eq!(counted(&place).await, quick + 1);
    tagging(&|tagging| tagging.stale.clear());

    let closed = Fault::new("AccessDeniedException", "not authorized");
    place.sandbox.faults().add(Rule {
        service: Some("tagging".to_owned()),
        operation: None,
        skip: 0,
        times: 100,
        strike: Strike::Refuse(closed),
    });
    assert!(counted(&place).await >= unlisted);
}

/// An app that wants no endpoints isn't asked for any, but where it has some of an earlier spec.
#[tokio::test(start_paused = true)]
async fn endpoints_that_are_left_are_seen() {
    let shut = Place::new(PRIVATE).await;
    shut.up().await;
    let open = spec(&PRIVATE.replace("nat: none", "nat: single"));
    let plan = Place::within(&shut.sandbox, open).await.review().await;
    let mut steps = plan.steps.iter();
    assert!(
        steps.any(|step| step.key.kind == Kind::Endpoint),
        "{plan:#?}"
    );
}

/// A tag that somebody changed is seen, though the index may list the rest.
#[tokio::test(start_paused = true)]
async fn a_changed_tag_is_seen() {
    let place = Place::new(TUTORIAL).await;
    place.up().await;
    {
        let mut world = place.sandbox.world();
        let logs = &mut world.at(REGION).logs;
        logs.groups.values_mut().next().unwrap().tags.remove("team");
        let bucket = world.s3.buckets.values_mut().next().unwrap();
        bucket.tags.insert("team".to_owned(), "other".to_owned());
    }
    let seen: Vec<String> = place
        .review()
        .await
        .steps
        .iter()
        .map(|step| step.key.to_string())
        .collect();
    assert_eq!(seen, ["bucket/artifacts", "log-group/build"]);
}

/// The calls of a plan that finds nothing to do.
async fn counted(place: &Place) -> u64 {
    place.sandbox.reset_counts();
    place.assert_settled().await;
    place.sandbox.counts().values().sum()
}
