//! Carries out a plan: each step as soon as its own dependencies are done, a bounded number at a time. What depends on a failure is
//! skipped, the rest goes on, and a second run does what is left. Must not decide what to do: that is the plan's.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::check::check;
use crate::cloud::{Cloud, CloudError, Made, Progress};
use crate::conclusion::conclusion;
use crate::event::{Because, Event};
use crate::graph::resolve;
use crate::plan::{Action, ActionKind, Plan, Step};
use crate::resource::{Key, Resource};

/// How to carry out a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyOptions {
    /// How many steps may be in flight at the same time; at least one is.
    pub concurrency: usize,
}

impl Default for ApplyOptions {
    /// Sixteen steps: the widest layer of the tutorial's app, and well below AWS's limits, most of which are per service.
    fn default() -> Self {
        Self { concurrency: 16 }
    }
}

/// What came of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What was done, in the order in which it was finished.
    pub done: Vec<(Key, ActionKind)>,
    /// What failed.
    pub failed: Vec<Failure>,
    /// What was not begun.
    pub skipped: Vec<Skip>,
    /// Ids and attributes of everything that is there now: what [`crate::outputs()`] reads.
    pub known: BTreeMap<Key, Made>,
}

impl Outcome {
    /// Whether the whole plan was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// On what.
    pub key: Key,
    /// What was being done.
    pub action: ActionKind,
    /// Why.
    pub error: CloudError,
}

/// A step that was not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// On what.
    pub key: Key,
    /// What would have been done.
    pub action: ActionKind,
    /// Why.
    pub because: Because,
}

/// Carries out `plan` on `cloud` and tells `events` of it. Once `cancel` is cancelled nothing new is begun, and what is in flight is
/// finished. The error means that nothing was done at all.
pub async fn apply(
    cloud: &dyn Cloud,
    plan: &Plan,
    options: &ApplyOptions,
    mut events: impl FnMut(Event),
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    if !plan.refusals.is_empty() {
        return Err(Error::Refused(plan.refusals.clone()));
    }
    let broken = check(plan);
    if !broken.is_empty() {
        return Err(Error::Broken(broken));
    }
    events(Event::PlanMade {
        summary: plan.summary(),
    });
    let mut run = Run::new(cloud, plan);
    let mut in_flight: FuturesUnordered<Flight<'_>> = FuturesUnordered::new();
    let mut told = false;
    loop {
        run.skip_after_failures(&mut events);
        while !cancel.is_cancelled() && in_flight.len() < options.concurrency.max(1) {
            let Some(step) = run.next() else { break };
            in_flight.push(run.start(step, &mut events));
        }
        if in_flight.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !told => {
                told = true;
                events(Event::Cancelled { in_flight: in_flight.len() });
            }
            Some(progress) = run.progress.recv() => events(run.progressed(progress)),
            Some((step, result)) = in_flight.next() => {
                while let Ok(progress) = run.progress.try_recv() {
                    events(run.progressed(progress));
                }
                run.finish(step, result, &mut events);
            }
        }
    }
    drop(in_flight);
    run.skip_the_rest(&mut events);
    events(Event::Concluded {
        conclusion: conclusion(&run.outcome),
    });
    Ok(run.outcome)
}

/// A step in flight; it ends with what it made, or `None` for a deletion.
type Flight<'a> = BoxFuture<'a, (usize, Result<Option<Made>, CloudError>)>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Done,
    /// Not done, nor will be: because of what.
    Lost(Because),
}

/// A plan while it is carried out.
struct Run<'a> {
    cloud: &'a dyn Cloud,
    plan: &'a Plan,
    states: Vec<State>,
    /// How many steps follow one another behind each step.
    behind: Vec<usize>,
    outcome: Outcome,
    speaker: mpsc::UnboundedSender<(usize, String)>,
    progress: mpsc::UnboundedReceiver<(usize, String)>,
}

impl<'a> Run<'a> {
    fn new(cloud: &'a dyn Cloud, plan: &'a Plan) -> Self {
        let (speaker, progress) = mpsc::unbounded_channel();
        let mut behind = vec![0; plan.steps.len()];
        for step in plan.steps.iter().rev() {
            for &after in &step.after {
                behind[after] = behind[after].max(behind[step.id] + 1);
            }
        }
        let outcome = Outcome {
            known: plan.known.clone(),
            ..Outcome::default()
        };
        let states = vec![State::Waiting; plan.steps.len()];
        Self {
            cloud,
            plan,
            states,
            behind,
            outcome,
            speaker,
            progress,
        }
    }

    /// The step to begin next: of those whose dependencies are done, the one with the longest way behind it.
    fn next(&self) -> Option<&'a Step> {
        let done = |&after: &usize| self.states[after] == State::Done;
        let ready =
            self.plan.steps.iter().filter(|step| {
                self.states[step.id] == State::Waiting && step.after.iter().all(done)
            });
        ready.max_by_key(|step| (self.behind[step.id], std::cmp::Reverse(step.id)))
    }

    fn start(&mut self, step: &'a Step, events: &mut impl FnMut(Event)) -> Flight<'a> {
        self.states[step.id] = State::InFlight;
        events(Event::StepStarted {
            step: step.id,
            key: step.key.clone(),
            action: step.action.kind(),
        });
        let (speaker, id) = (self.speaker.clone(), step.id);
        // Nobody listens any more only after the run, when there is nobody left to tell.
        let progress = Progress::new(move |what| drop(speaker.send((id, what))));
        let (cloud, key) = (self.cloud, &step.key);
        match &step.action {
            Action::Create { want, tags, .. } => {
                let want = self.resolved(want);
                Box::pin(async move {
                    (
                        id,
                        cloud.create(key, &want, tags, &progress).await.map(Some),
                    )
                })
            }
            Action::Update {
                have,
                want,
                tags,
                changes,
            } => {
                let want = self.resolved(want);
                Box::pin(async move {
                    (
                        id,
                        cloud
                            .update(have, &want, changes, tags, &progress)
                            .await
                            .map(Some),
                    )
                })
            }
            Action::Replace {
                have, want, tags, ..
            } => {
                let want = self.resolved(want);
                Box::pin(async move {
                    if let Err(error) = cloud.delete(have, &progress).await {
                        return (id, Err(error));
                    }
                    (
                        id,
                        cloud.create(key, &want, tags, &progress).await.map(Some),
                    )
                })
            }
            Action::Delete { have } => {
                Box::pin(async move { (id, cloud.delete(have, &progress).await.map(|()| None)) })
            }
        }
    }

    /// The wanted properties with the ids of what earlier steps have made.
    fn resolved(&self, want: &Resource) -> Resource {
        resolve(want, |key| {
            self.outcome.known.get(key).map(|made| made.id.clone())
        })
    }

    fn progressed(&self, (id, waiting_for): (usize, String)) -> Event {
        Event::StepProgressed {
            step: id,
            key: self.plan.steps[id].key.clone(),
            waiting_for,
        }
    }

    fn finish(
        &mut self,
        id: usize,
        result: Result<Option<Made>, CloudError>,
        events: &mut impl FnMut(Event),
    ) {
        let step = &self.plan.steps[id];
        let (key, action) = (step.key.clone(), step.action.kind());
        match result {
            Ok(made) => {
                self.states[id] = State::Done;
                self.outcome.done.push((key.clone(), action));
                let there = made.as_ref().map(|made| made.id.clone());
                let id_of = there
                    .or_else(|| step.action.have().map(|have| have.id.clone()))
                    .unwrap_or_default();
                if let Some(made) = made {
                    self.outcome.known.insert(key.clone(), made);
                }
                events(Event::StepFinished {
                    step: id,
                    key,
                    action,
                    id: id_of,
                });
            }
            Err(error) => {
                self.states[id] = State::Lost(Because::Failed { key: key.clone() });
                events(Event::StepFailed {
                    step: id,
                    key: key.clone(),
                    action,
                    error: error.clone(),
                });
                self.outcome.failed.push(Failure { key, action, error });
            }
        }
    }

    /// Gives up what depends on a failure. Dependencies come first in a plan, so one pass is enough.
    fn skip_after_failures(&mut self, events: &mut impl FnMut(Event)) {
        for step in &self.plan.steps {
            if self.states[step.id] != State::Waiting {
                continue;
            }
            let lost = step
                .after
                .iter()
                .find_map(|&after| match &self.states[after] {
                    State::Lost(because) => Some(because.clone()),
                    _ => None,
                });
            if let Some(because) = lost {
                self.skip(step, because, events);
            }
        }
    }

    /// Gives up what a cancelled run has not begun.
    fn skip_the_rest(&mut self, events: &mut impl FnMut(Event)) {
        for step in &self.plan.steps {
            if self.states[step.id] == State::Waiting {
                self.skip(step, Because::Cancelled, events);
            }
        }
    }

    fn skip(&mut self, step: &Step, because: Because, events: &mut impl FnMut(Event)) {
        self.states[step.id] = State::Lost(because.clone());
        let (key, action) = (step.key.clone(), step.action.kind());
        events(Event::StepSkipped {
            step: step.id,
            key: key.clone(),
            action,
            because: because.clone(),
        });
        self.outcome.skipped.push(Skip {
            key,
            action,
            because,
        });
    }
}
