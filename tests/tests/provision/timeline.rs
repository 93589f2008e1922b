//! How long carrying out a plan takes, beside the longest chain of steps in it. Must not judge.

use std::time::Duration;

use ecspipe_provision::{ApplyOptions, CancellationToken, Event, Key, Plan, apply};
use tokio::time::Instant;

use super::place::Place;

/// When each step of a plan ran, on tokio's clock.
pub(crate) struct Timeline<'a> {
    plan: &'a Plan,
    /// From the first step's beginning to the last one's end.
    pub(crate) makespan: Duration,
    /// How long each step ran by itself.
    spans: Vec<Duration>,
}

/// The chain of steps, each of which waits for the one before, that takes longest.
pub(crate) struct CriticalPath {
    /// How long these steps run, one right after the other.
    pub(crate) length: Duration,
    /// Which they are, in the order in which they run.
    pub(crate) steps: Vec<(Key, Duration)>,
}

/// Carries out a plan that must work, and keeps the time.
pub(crate) async fn carry_out<'a>(place: &Place, plan: &'a Plan) -> Timeline<'a> {
    let begun = Instant::now();
    let mut starts = vec![begun; plan.steps.len()];
    let mut spans = vec![Duration::ZERO; plan.steps.len()];
    let outcome = apply(
        &place.account,
        plan,
        &ApplyOptions::default(),
        |event| match event {
            Event::StepStarted { step, .. } => starts[step] = Instant::now(),
            Event::StepFinished { step, .. } => spans[step] = starts[step].elapsed(),
            _ => {}
        },
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert!(outcome.is_complete(), "{outcome:#?}");
    Timeline {
        plan,
        makespan: begun.elapsed(),
        spans,
    }
}

impl Timeline<'_> {
    /// The longest chain. No order of the steps takes less than that.
    pub(crate) fn critical_path(&self) -> CriticalPath {
        let steps = &self.plan.steps;
        let mut ends = vec![Duration::ZERO; steps.len()];
        let mut before: Vec<Option<usize>> = vec![None; steps.len()];
        // A step depends on earlier ones only.
        for step in steps {
            let last = step.after.iter().copied().max_by_key(|&after| ends[after]);
            before[step.id] = last;
            ends[step.id] = self.spans[step.id] + last.map_or(Duration::ZERO, |last| ends[last]);
        }
        let mut at = (0..steps.len()).max_by_key(|&step| ends[step]);
        let length = at.map_or(Duration::ZERO, |last| ends[last]);
        let mut chain = Vec::new();
        while let Some(step) = at {
            chain.push((steps[step].key.clone(), self.spans[step]));
            at = before[step];
        }
        chain.reverse();
        CriticalPath {
            length,
            steps: chain,
        }
    }

    /// How many times as long as its longest chain the whole took: 1 is as fast as it can be.
    pub(crate) fn ratio(&self) -> f64 {
        self.makespan.as_secs_f64() / self.critical_path().length.as_secs_f64()
    }
}
