//! Waiting: for a state, for eventual consistency, for an answer that was lost. The only place in this crate that sleeps.
//! Must not know any service.

use std::future::Future;
use std::time::Duration;

use ecspipe_provision::{CloudError, CloudErrorKind, Progress};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::classify::{Refine as _, is_ambiguous, local, settles_within};

/// How fast time passes on the other side. On AWS 1; on a sandbox its speed, so that a wait of fifteen seconds there is
/// short here.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    speed: f64,
    /// What the other side's clock showed at a moment of ours; `None` where it is the system's.
    origin: Option<(Timestamp, Instant)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            speed: 1.0,
            origin: None,
        }
    }
}

/// A pace as the SDK asks for the time.
#[derive(Debug)]
struct Clock(Pace);

impl aws_smithy_async::time::TimeSource for Clock {
    fn now(&self) -> std::time::SystemTime {
        self.0.now().into()
    }
}

impl Pace {
    /// A pace `speed` times as fast as AWS's, on a side whose clock shows `now`.
    pub fn new(speed: f64, now: Timestamp) -> Self {
        Self {
            speed: speed.clamp(0.001, 1_000_000.0),
            origin: Some((now, Instant::now())),
        }
    }

    /// Whether the other side's clock is the system's, as far as anybody knows.
    pub(crate) fn is_the_systems(&self) -> bool {
        self.origin.is_none()
    }

    /// The time on the other side's clock.
    pub fn now(&self) -> Timestamp {
        match self.origin {
            None => Timestamp::now(),
            Some((then, at)) => {
                let passed = at.elapsed().mul_f64(self.speed);
                then.checked_add(passed).unwrap_or(then)
            }
        }
    }

    /// The time on the other side's clock, for the SDK: it takes a refusal for a wrong clock of its own where its time and that of
    /// the answer are far apart, and asks again.
    pub(crate) fn clock(self) -> impl aws_smithy_async::time::TimeSource + 'static {
        Clock(self)
    }

    /// How much of the other side's time passes in `span` of ours.
    pub(crate) fn passed(&self, span: Duration) -> Duration {
        span.mul_f64(self.speed)
    }

    /// Sleeps for `span` of the other side's time.
    pub async fn sleep(&self, span: Duration) {
        // A tenth of a millisecond at least, so that a fast sandbox is still let breathe between two polls.
        tokio::time::sleep(span.div_f64(self.speed).max(Duration::from_micros(100))).await;
    }

    /// Asks `poll` until it gives something, at the times of `wait`. Says what it waits for from the second time on, and why, where
    /// `poll` says so. What `poll` fails with ends the wait.
    pub(crate) async fn until<T, L, F>(
        &self,
        progress: &Progress,
        what: &str,
        wait: Wait,
        mut poll: impl FnMut() -> F,
    ) -> Result<T, CloudError>
    where
        L: Into<Look<T>>,
        F: Future<Output = Result<L, CloudError>>,
    {
        let mut waited = Duration::ZERO;
        let mut asked = wait.asked;
        let mut told = String::new();
        loop {
            let mut reason = what.to_owned();
            if !std::mem::take(&mut asked) {
                match poll().await?.into() {
                    Look::There(found) => return Ok(found),
                    Look::NotYet => {}
                    Look::Held(error) => reason = because(what, &error),
                }
            }
            if waited >= wait.within {
                let message = format!("waited {} s for {reason}", wait.within.as_secs());
                return Err(local("Timeout", message)
                    .of_kind(CloudErrorKind::Timeout)
                    .with_hint("run the command again: it goes on where it stopped"));
            }
            let pause = if waited.is_zero() {
                wait.first
            } else {
                wait.every
            };
            if told != reason {
                progress.waiting_for(&reason);
                told = reason;
            }
            self.sleep(pause).await;
            waited += pause;
        }
    }

    /// Repeats `call` while it fails with an error that AWS.md §3.3 lists as eventual consistency, within that error's budget.
    pub async fn settled<T, F>(
        &self,
        progress: &Progress,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let mut waited = Duration::ZERO;
        let every = Duration::from_secs(3);
        loop {
            match call().await {
                Err(error) => match settles_within(&error) {
                    Some((budget, what)) if waited < budget => {
                        if waited.is_zero() {
                            progress.waiting_for(because(what, &error));
                        }
                        self.sleep(every).await;
                        waited += every;
                    }
                    _ => return Err(error),
                },
                made => return made,
            }
        }
    }

    /// Makes something that AWS offers no client token for. `create` must not be repeated by the SDK; where its answer is
    /// lost, `look` says whether the thing is there, before a second try.
    pub async fn once<T, C, L>(
        &self,
        mut create: impl FnMut() -> C,
        mut look: impl FnMut() -> L,
    ) -> Result<T, CloudError>
    where
        C: Future<Output = Result<T, CloudError>>,
        L: Future<Output = Result<Option<T>, CloudError>>,
    {
        let mut backoff = Duration::from_millis(400);
        for _ in 1..ATTEMPTS {
            match create().await {
                Err(error) if error.kind == CloudErrorKind::Throttled => self.sleep(backoff).await,
                Err(error) if is_ambiguous(&error) => {
                    for pause in [backoff, SHOWN, SHOWN] {
                        self.sleep(pause).await;
                        if let Some(found) = look().await? {
                            return Ok(found);
                        }
                    }
                }
                done => return done,
            }
            backoff *= 2;
        }
        create().await
    }
}

/// What is waited for, and what AWS says about why.
fn because(what: &str, error: &CloudError) -> String {
    format!(
        "{what}, because {} says: {}",
        error.operation, error.message
    )
}

/// Listings may show a new thing only after some seconds (AWS.md §3.3): looked at twice more after as long, it is there or was not
/// made.
const SHOWN: Duration = Duration::from_secs(4);

/// What a look at a state gives.
pub(crate) enum Look<T> {
    /// What was waited for.
    There(T),
    /// It isn't so yet.
    NotYet,
    /// It isn't so yet, because of this.
    Held(CloudError),
}

impl<T> From<Option<T>> for Look<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Self::NotYet, Self::There)
    }
}

/// As many as the SDK makes for what may be repeated.
const ATTEMPTS: u32 = 8;

/// When a state is looked at: at once, after `first`, then every `every`, at most for `within`. Every look is a call
/// of the account's quota, so none is made while AWS is never done yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    first: Duration,
    every: Duration,
    within: Duration,
    /// Whether the look at once is left out.
    asked: bool,
}

/// What changes within seconds.
pub(crate) const SOON: Wait = Wait::new(2, 2, 120);
/// What takes tens of seconds, such as a service's tasks that drain, or a deployment that is stopped.
pub(crate) const LATER: Wait = Wait::new(5, 5, 20 * 60);
/// What takes a minute at the least and some three usually: endpoints, and gateways that go (AWS.md §3.2).
pub(crate) const MINUTES: Wait = Wait::new(60, 15, 15 * 60);
/// A NAT gateway comes within one to three minutes, while others wait longer for the balancer: nobody waits for a look that is made
/// later.
pub(crate) const GATEWAY: Wait = Wait::new(100, 20, 15 * 60);
/// A load balancer takes two to four minutes, and everything else waits for it: looked at often, though not from the start.
pub(crate) const BALANCER: Wait = Wait::new(120, 10, 15 * 60);
/// What AWS releases by itself after its owner is gone: network interfaces take up to 15 minutes (AWS.md §3.2).
pub(crate) const RELEASE: Wait = Wait::new(20, 10, 15 * 60);

impl Wait {
    const fn new(first: u64, every: u64, within: u64) -> Self {
        Self {
            first: Duration::from_secs(first),
            every: Duration::from_secs(every),
            within: Duration::from_secs(within),
            asked: false,
        }
    }

    /// The same after an answer that has told the state already.
    pub(crate) const fn asked(self) -> Self {
        Self {
            asked: true,
            ..self
        }
    }
}
