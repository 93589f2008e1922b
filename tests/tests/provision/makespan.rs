//! A plan takes no longer than its longest chain of steps, at AWS's times: nothing waits for what it doesn't need.

use ecspipe_provision::{Mode, Options};

use super::place::{PRIVATE, Place, TUTORIAL};
use super::timeline::{Timeline, carry_out};

/// How much longer than the longest chain it may take.
const AT_MOST: f64 = 1.05;

#[track_caller]
fn assert_tight(timeline: &Timeline<'_>, at_least: u64) {
    let path = timeline.critical_path();
    // A run in which AWS takes no time would show nothing.
    assert!(path.length.as_secs() >= at_least, "{:?}", path.length);
    let ratio = timeline.ratio();
    assert!(
        (1.0..=AT_MOST).contains(&ratio),
        "{:?} instead of {:?}: {:#?}",
        timeline.makespan,
        path.length,
        path.steps
    );
}

async fn made_and_taken_away(text: &str) {
    let place = Place::new(text).await;
    let plan = place.plan(Options::default()).await;
    assert_tight(&carry_out(&place, &plan).await, 100);
    let down = Options {
        mode: Mode::Down,
        delete_source: true,
        ..Options::default()
    };
    let plan = place.plan(down).await;
    assert_tight(&carry_out(&place, &plan).await, 60);
}

#[tokio::test(start_paused = true)]
async fn the_tutorials_app() {
    made_and_taken_away(TUTORIAL).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_without_gateways() {
    made_and_taken_away(PRIVATE).await;
}
