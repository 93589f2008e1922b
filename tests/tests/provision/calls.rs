//! How many calls a run takes. Every call is time and quota; Terraform needs 291, 145 and 280 for the same app.

use std::collections::BTreeMap;

use super::place::{Place, TUTORIAL};

/// The calls since the last count.
fn count(place: &Place, what: &str) -> u64 {
    let counts: BTreeMap<(String, String), u64> = place.sandbox.counts();
    place.sandbox.reset_counts();
    let total = counts.values().sum();
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|((service, operation), calls)| (std::cmp::Reverse(*calls), service.clone(), operation.clone()));
    println!("{what}: {total} calls");
    for ((service, operation), calls) in rows {
        println!("  {calls:4} {service} {operation}");
    }
    total
}

#[tokio::test(start_paused = true)]
async fn calls_are_few() {
    let place = Place::new(TUTORIAL).await;
    place.sandbox.reset_counts();
    place.up().await;
    let up = count(&place, "up");
    place.assert_settled().await;
    let plan = count(&place, "plan");
    place.down(true).await;
    let down = count(&place, "down");
    assert!(up < 145, "{up} calls to make the app");
    assert!(plan < 72, "{plan} calls to see that nothing is to do");
    assert!(down < 140, "{down} calls to take it away");
}
