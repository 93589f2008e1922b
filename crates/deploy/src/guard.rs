//! What whoever follows a rollout does by itself to keep a bad version away: stop it when its tasks keep failing, check it at
//! Ready, and reroute or stop by what the checks say. Everything that is done is done on condition of the deployment's state,
//! so that two who follow the same rollout don't get into each other's way. Must not poll: [`mod@crate::follow`] does.

use std::time::Duration;

use ecspipe_spec::Check;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::act;
use crate::error::{CloudFailure, DeployError};
use crate::event::{Event, Verdict, Wait};
use crate::follow::{self, Id, OnEvent};
use crate::rollout::{self, Phase};
use crate::rollouts::{AfterStop, DeploymentWait, Rollouts, Target};
use crate::snapshot::{Intervention, Snapshot};

/// What whoever follows does by itself. By default nothing.
#[derive(Clone, Copy, Default)]
pub struct Guard<'a> {
    /// Stop a deployment, with rollback, once so many of its new tasks have failed; `None`: only tell.
    pub fail_fast: Option<u32>,
    /// Check the new version at Ready, then reroute, or stop with rollback; `None`: a person does.
    pub checks: Option<Checks<'a>>,
}

/// Checks against the test listener.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// The checks, done one after the other; at least one.
    pub checks: &'a [Check],
    /// Who asks.
    pub prober: &'a dyn Prober,
    /// The time between two requests.
    pub every: Duration,
}

/// Asks the test listener.
pub trait Prober: Send + Sync {
    /// Its URL, to be shown.
    fn url(&self) -> &str;

    /// `GET` of a path, which follows no redirect and ends within some seconds; the error says why there is no answer.
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Page, String>>;
}

/// An answer of the test listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its status.
    pub status: u16,
    /// Its body, or the beginning of a long one.
    pub body: String,
}

/// A guard at work on one rollout.
pub(crate) struct Watchman<'a> {
    guard: Guard<'a>,
    /// The deployment that is being checked, and how far that is.
    round: Option<Round>,
    /// The deployment that was checked, or could not be acted on: it is left alone from there on.
    done_with: Option<String>,
    /// Whether that is because it may not act: then a person has to.
    gave_up: bool,
}

/// Checks under way.
struct Round {
    deployment: String,
    /// Which check.
    index: usize,
    /// How many right answers in a row it has had.
    right: u32,
    /// When its first request was, by the account's clock.
    since: Timestamp,
    /// What came last instead of what was wanted.
    found: Option<String>,
    /// When the next request is due.
    next: Instant,
}

impl<'a> Watchman<'a> {
    pub(crate) fn new(guard: Guard<'a>) -> Self {
        Self {
            guard,
            round: None,
            done_with: None,
            gave_up: false,
        }
    }

    /// When it wants to act again, whatever the polls say.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.round.as_ref().map(|round| round.next)
    }

    /// Whether it ends waits at Ready, one way or the other: no person is waited for.
    pub(crate) fn decides(&self) -> bool {
        self.guard.checks.is_some() && !self.gave_up
    }

    /// Does what is to be done as the rollout stands; gives what it has done to it, where that is to be remembered.
    pub(crate) async fn attend(
        &mut self,
        rollouts: &dyn Rollouts,
        target: &Target,
        known: &Snapshot,
        on_event: &mut OnEvent<'_>,
    ) -> Option<Intervention> {
        let deployment = known.deployment.as_ref()?;
        if self.done_with.as_deref() == Some(deployment.id.as_str()) || known.intervention.is_some()
        {
            return None;
        }
        let failures = self
            .guard
            .fail_fast
            .and_then(|limit| rollout::fails_fast(known, limit));
        if let Some(failures) = failures {
            let intervention = Intervention::FailedFast {
                deployment: deployment.id.clone(),
                failures,
            };
            return self.stop(rollouts, target, intervention, on_event).await;
        }
        let waits = matches!(
            rollout::verdict(known),
            Verdict::StillRunning {
                waiting_for: Wait::Checks { .. },
                ..
            }
        );
        let checks = self
            .guard
            .checks
            .filter(|checks| waits && !checks.checks.is_empty());
        let Some(checks) = checks else {
            self.round = None;
            return None;
        };
        if self.round.is_none() {
            on_event(Event::ChecksStarted {
                deployment: deployment.id.clone(),
                url: checks.prober.url().to_owned(),
                checks: u32::try_from(checks.checks.len()).unwrap_or(u32::MAX),
            });
            self.round = Some(Round::new(&deployment.id, 0, rollouts.now()));
        }
        match self.check(&checks, rollouts, on_event).await? {
            Outcome::Passed => {
                self.reroute(rollouts, target, &deployment.id, on_event)
                    .await
            }
            Outcome::Failed { check, found } => {
                let intervention = Intervention::ChecksFailed {
                    deployment: deployment.id.clone(),
                    check,
                    found,
                };
                self.stop_at_ready(rollouts, target, intervention, on_event)
                    .await
            }
        }
    }

    /// One request, if it is due; `None` while there are more to come.
    async fn check(
        &mut self,
        checks: &Checks<'_>,
        rollouts: &dyn Rollouts,
        on_event: &mut OnEvent<'_>,
    ) -> Option<Outcome> {
        let round = self.round.as_mut()?;
        if Instant::now() < round.next {
            return None;
        }
        let check = checks.checks.get(round.index)?;
        let (name, deployment) = (name(check), round.deployment.clone());
        let answer = checks.prober.get(&check.path).await;
        round.next = Instant::now() + checks.every;
        match wrong(check, &answer) {
            None => {
                round.right += 1;
                if round.right < check.times {
                    return None;
                }
                on_event(Event::CheckPassed {
                    deployment: deployment.clone(),
                    check: name,
                    times: check.times,
                });
                if round.index + 1 == checks.checks.len() {
                    return Some(Outcome::Passed);
                }
                *round = Round::new(&deployment, round.index + 1, rollouts.now());
                None
            }
            Some(found) => {
                round.right = 0;
                let waited = rollouts.now().duration_since(round.since);
                let limit = i64::try_from(check.within.seconds()).unwrap_or(i64::MAX);
                if waited.as_secs() >= limit {
                    on_event(Event::CheckFailed {
                        deployment,
                        check: name.clone(),
                        found: found.clone(),
                    });
                    return Some(Outcome::Failed { check: name, found });
                }
                if round.found.as_ref() != Some(&found) {
                    on_event(Event::CheckAttempted {
                        deployment,
                        check: name,
                        found: found.clone(),
                    });
                    round.found = Some(found);
                }
                None
            }
        }
    }

    /// Ends the wait at Ready. That somebody else has done so is as good.
    async fn reroute(
        &mut self,
        rollouts: &dyn Rollouts,
        target: &Target,
        deployment: &str,
        on_event: &mut OnEvent<'_>,
    ) -> Option<Intervention> {
        self.leave(deployment);
        match act::end_wait(rollouts, target, deployment, DeploymentWait::Ready).await {
            Ok(()) => on_event(Event::Rerouted {
                deployment: deployment.to_owned(),
            }),
            Err(DeployError::Cloud(failure)) => self.give_up(deployment, failure, on_event),
            Err(other) => tracing::debug!(%other, "somebody else has ended the wait at Ready"),
        }
        None
    }

    /// Stops it only if it still waits: somebody who has looked for himself may have let it go on meanwhile.
    async fn stop_at_ready(
        &mut self,
        rollouts: &dyn Rollouts,
        target: &Target,
        intervention: Intervention,
        on_event: &mut OnEvent<'_>,
    ) -> Option<Intervention> {
        let id = Id::Deployment(intervention.deployment().to_owned());
        match follow::deployment(rollouts, target, &id).await {
            Ok(Some((_, Phase::Ready))) => {
                self.stop(rollouts, target, intervention, on_event).await
            }
            Ok(_) => {
                self.leave(intervention.deployment());
                None
            }
            // The next request finds the check as wrong as this one, and comes here again.
            Err(_) => None,
        }
    }

    async fn stop(
        &mut self,
        rollouts: &dyn Rollouts,
        target: &Target,
        intervention: Intervention,
        on_event: &mut OnEvent<'_>,
    ) -> Option<Intervention> {
        let deployment = intervention.deployment();
        match act::stop_deployment(rollouts, target, deployment, AfterStop::RollBack).await {
            Ok(()) => {
                on_event(Event::Intervened {
                    intervention: intervention.clone(),
                });
                self.leave(deployment);
                Some(intervention)
            }
            // AWS could not be asked: the next poll tries again.
            Err(DeployError::Cloud(failure)) if failure.is_transient() => None,
            Err(DeployError::Cloud(failure)) => {
                self.give_up(deployment, failure, on_event);
                None
            }
            Err(other) => {
                tracing::debug!(%other, "it has ended meanwhile");
                self.leave(deployment);
                None
            }
        }
    }

    fn give_up(&mut self, deployment: &str, failure: CloudFailure, on_event: &mut OnEvent<'_>) {
        on_event(Event::InterventionFailed {
            deployment: deployment.to_owned(),
            failure,
        });
        self.leave(deployment);
        self.gave_up = true;
    }

    fn leave(&mut self, deployment: &str) {
        self.round = None;
        self.done_with = Some(deployment.to_owned());
    }
}

impl Round {
    fn new(deployment: &str, index: usize, since: Timestamp) -> Self {
        Self {
            deployment: deployment.to_owned(),
            index,
            right: 0,
            since,
            found: None,
            next: Instant::now(),
        }
    }
}

/// How the checks have ended.
enum Outcome {
    Passed,
    Failed { check: String, found: String },
}

/// A check in one word and its path.
fn name(check: &Check) -> String {
    format!("GET {}", check.path)
}

/// What is wrong about an answer; `None` where it is as wanted.
fn wrong(check: &Check, answer: &Result<Page, String>) -> Option<String> {
    let page = match answer {
        Ok(page) => page,
        Err(why) => return Some(format!("no answer: {why}")),
    };
    if !check.expects(page.status) {
        return Some(format!("status {}, wanted {}", page.status, check.status));
    }
    match &check.contains {
        Some(text) if !page.body.contains(text.as_str()) => Some(format!(
            "status {}, but the body lacks {text:?}",
            page.status
        )),
        _ => None,
    }
}
