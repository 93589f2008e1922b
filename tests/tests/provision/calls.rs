//! How many calls a run takes. Every call is time and quota; Terraform needs 291, 145 and 280 for the same app.

use std::collections::BTreeMap;

use ecspipe_sandbox::Sandbox;

use super::place::{Place, TUTORIAL, sandbox, spec, without_latency};

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
    assert!(up < 130, "{up} calls to make the app");
    assert!(plan < 72, "{plan} calls to see that nothing is to do");
    assert!(down < 125, "{down} calls to take it away");
}

/// With AWS's times waiting costs calls too, though not many.
#[tokio::test(start_paused = true)]
async fn waiting_takes_few_calls() {
    let quick = count_all(&without_latency()).await;
    let slow = count_all(&sandbox()).await;
    for (quick, slow) in quick.iter().zip(slow) {
        assert!(slow <= quick + 40, "{slow} calls instead of {quick}");
    }
}
