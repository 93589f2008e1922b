//! Bad days: throttling, failures, lost connections and answers, slow answers, listings that lag, roles that spread slowly, and what
//! ends `failed`, alone and together. The seed that a failure prints plays the same day again. `ECSPIPE_LONG=1` plays many more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ecspipe_provision::{ApplyOptions, CancellationToken, Event, Mode, Options, Outcome, apply};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Chaos, Rule, Strike};
use ecspipe_sandbox::wire::Fault;

use super::matrix::{block_on, settled};
use super::place::{Place, TUTORIAL, sandbox, spec};
use super::shape::same;

/// How many days a normal run plays: each is a whole life of an app.
const DAYS: u64 = 12;
const DAYS_OF_A_LONG_RUN: u64 = 500;

/// What can be retried must not end a run: after so many with what can't, everything is there.
const MOST_RUNS: usize = 5;

/// What goes wrong on a day, by its seed.
struct Day {
    seed: u64,
}

impl Day {
    /// Each dial on its own on the first days, then all of them in every combination.
    fn has(&self, dial: u64) -> bool {
        if self.seed < DIALS {
            self.seed == dial
        } else {
            (self.seed / DIALS) >> dial & 1 == 1 || self.seed % DIALS == dial
        }
    }

    fn chaos(&self) -> Chaos {
        let calm = Chaos::calm(self.seed);
        let odds = |dial, odds| if self.has(dial) { odds } else { 0 };
        Chaos {
            throttle_bursts: odds(0, 200),
            fail: odds(1, 100),
            reset: odds(2, 100),
            lose_answer: odds(3, 100),
            slow: odds(4, 100),
            ..calm
        }
    }

    /// Whether something of it ends a step, whoever tries again.
    fn ends_steps(&self) -> bool {
        self.has(7)
    }

    fn begin(&self, sandbox: &Sandbox) {
        sandbox.lag(self.has(5).then(|| Duration::from_secs(5)));
        let mut faults = sandbox.faults();
        faults.set_chaos(Some(self.chaos()));
        faults.roles_spread = self.has(6).then(|| Duration::from_secs(40));
        if self.ends_steps() {
            let failed = || Strike::EndFailed(Fault::new("InternalError", "could not be made"));
            for (operation, strike) in [
                ("CreateNatGateway", failed()),
                ("CreateLoadBalancer", failed()),
                ("CreateInternetGateway", Strike::OverQuota),
                ("CreateBucket", Strike::Taken),
            ] {
                faults.add(Rule {
                    service: None,
                    operation: Some(operation.to_owned()),
                    skip: 0,
                    times: 1,
                    strike,
                });
            }
        }
    }

    /// Runs a command until it is done; the steps' reasons for waiting.
    async fn run(&self, place: &Place, mode: Mode) -> Result<Vec<String>, String> {
        let mut reasons = Vec::new();
        let mut told = Vec::new();
        for number in 1..=MOST_RUNS {
            let options = Options {
                mode,
                delete_source: true,
                ..Options::default()
            };
            let plan = place.plan(options).await;
            if !plan.refusals.is_empty() {
                return Err(format!("refused: {:?}", plan.refusals));
            }
            let outcome = apply(
                &place.account,
                &plan,
                &ApplyOptions::default(),
                |event| {
                    if let Event::StepProgressed { waiting_for, .. } = event {
                        reasons.push(waiting_for);
                    }
                },
                &CancellationToken::new(),
            )
            .await
            .unwrap();
            if outcome.is_complete() {
                return Ok(reasons);
            }
            told = failures(&outcome);
            if !self.ends_steps() {
                return Err(format!("run {number} is incomplete: {told:?}"));
            }
        }
        Err(format!("not done after {MOST_RUNS} runs: {told:?}"))
    }

    /// An app's life on such a day. It ends as on any other.
    async fn live(&self, wanted: &[String]) -> Result<(), String> {
        let sandbox = sandbox();
        let before = settled(&sandbox).await;
        let place = Place::within(&sandbox, spec(TUTORIAL)).await;
        self.begin(&sandbox);
        let reasons = self.run(&place, Mode::Up).await?;
        let told = reasons.iter().any(|reason| reason.contains(", because "));
        if !told {
            return Err(format!("no reason is told: {reasons:?}"));
        }
        sandbox.faults().clear();
        same(&settled(&sandbox).await, wanted)?;
        place.assert_settled().await;
        let place = Place::within(&sandbox, spec(TUTORIAL)).await;
        self.begin(&sandbox);
        self.run(&place, Mode::Down).await?;
        sandbox.faults().clear();
        same(&settled(&sandbox).await, &before)
    }
}

/// How many dials there are.
const DIALS: u64 = 8;

fn failures(outcome: &Outcome) -> Vec<String> {
    let failed = outcome.failed.iter();
    failed
        .map(|failure| format!("{}: {}", failure.key, failure.error))
        .collect()
}

#[test]
fn an_app_lives_through_bad_days() {
    let days = if std::env::var("ECSPIPE_LONG").is_ok() {
        DAYS_OF_A_LONG_RUN
    } else {
        DAYS
    };
    let wanted = block_on(async {
        let place = Place::within(&sandbox(), spec(TUTORIAL)).await;
        place.up().await;
        settled(&place.sandbox).await
    });
    let next = AtomicU64::new(0);
    let wrong = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= days {
                return;
            }
            if let Err(why) = block_on(Day { seed }.live(&wanted)) {
                wrong.lock().unwrap().push(format!("seed {seed}: {why}"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
