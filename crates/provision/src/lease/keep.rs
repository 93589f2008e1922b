//! A lease that is held: renewed again and again, found lost, given back. Must not take one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::take::Taken;
use super::{
    Found, LOOK, Lease, LeaseStore, RENEWAL, Seen, Standing, TRIES, Written, after, between,
    standing,
};
use crate::cloud::CloudError;

/// A lease while it is held. Clones are the same lease.
#[derive(Clone)]
pub struct Held {
    store: Arc<dyn LeaseStore>,
    /// Held for a moment only: whether the lease holds must be known while a renewal waits for its answer.
    state: Arc<Mutex<State>>,
    /// One renewal at a time: each needs the revision of the one before.
    turn: Arc<tokio::sync::Mutex<()>>,
    ends_with_its_place: Arc<AtomicBool>,
    lost: CancellationToken,
}

struct State {
    lease: Lease,
    revision: String,
    /// When the writing that holds was begun.
    written: Timestamp,
    lost: Option<Lost>,
    given_back: bool,
}

impl State {
    fn ends(&self) -> Timestamp {
        after(self.written, self.lease.life())
    }
}

/// How a lease came to an end before its holder's work did.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Lost {
    /// Somebody has written over it.
    #[error("{} has taken the lease over", .0.owner())]
    Taken(Box<Found>),
    /// Somebody has taken it away.
    #[error("somebody has deleted the lease")]
    Gone,
    /// It could not be renewed before it ran out: why, where there was any answer.
    #[error("the lease has run out, and could not be renewed")]
    RunOut(Option<Box<CloudError>>),
}

impl Held {
    /// The lease that [`super::take`] took in `store`; `None` where there was no place for one.
    pub fn of(store: Arc<dyn LeaseStore>, taken: Taken) -> Option<Self> {
        let Taken::Held { lease, revision } = taken else {
            return None;
        };
        let state = State {
            written: lease.since,
            lease: *lease,
            revision,
            lost: None,
            given_back: false,
        };
        Some(Self {
            store,
            state: Arc::new(Mutex::new(state)),
            turn: Arc::default(),
            ends_with_its_place: Arc::default(),
            lost: CancellationToken::new(),
        })
    }

    /// Renews the lease again and again; comes back when it is lost.
    pub async fn keep(&self) -> Lost {
        let mut pause = RENEWAL;
        loop {
            tokio::select! {
                () = self.lost.cancelled() => {}
                () = self.store.sleep(pause) => {}
            }
            pause = match self.renew().await {
                Ok(Renewed::Yes) => RENEWAL,
                Ok(Renewed::NotYet) => LOOK,
                // There is nothing left to renew, nor to lose.
                Ok(Renewed::Over) => return std::future::pending().await,
                Err(lost) => return lost,
            };
        }
    }

    /// Comes back at once while the lease surely holds. A holder who was asleep for longer than it does finds out here whether
    /// it is still theirs, before they do anything.
    pub async fn assured(&self) -> Result<(), Lost> {
        if self.holds()? {
            return Ok(());
        }
        self.renew().await.map(|_| ())
    }

    /// From now on the place that the lease lies in is being removed, by its holder: that it is gone is no loss.
    pub fn ends_with_its_place(&self) {
        self.ends_with_its_place.store(true, Ordering::Relaxed);
    }

    /// How the lease was lost, if it was.
    pub fn lost(&self) -> Option<Lost> {
        self.state().lost.clone()
    }

    /// Gives the lease back, once a renewal that is on its way has its answer; whether it was still there to be given back.
    pub async fn release(&self) -> Result<bool, CloudError> {
        let _turn = self.turn.lock().await;
        let (lease, mut revision) = {
            let mut state = self.state();
            if let Some(Lost::Taken(_) | Lost::Gone) = state.lost {
                return Ok(false);
            }
            state.given_back = true;
            (state.lease.clone(), state.revision.clone())
        };
        let given_back = Lease {
            holds_for: 0,
            renewals: lease.renewals + 1,
            ..lease
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.store.write(&given_back, Some(&revision)).await? {
                Written::Done(_) => return Ok(true),
                Written::NoPlace => return Ok(false),
                Written::Unsaid(error) if tries == TRIES => return Err(*error),
                Written::Unsaid(_) | Written::Differs => {}
            }
            // Of a renewal, or of this, the answer may have been lost.
            match self.store.read().await? {
                Seen::Lease(found) if is_ours(&found, &given_back) => {
                    if found.lease.as_ref() == Some(&given_back) {
                        return Ok(true);
                    }
                    revision = found.revision;
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether the lease holds by the clock.
    fn holds(&self) -> Result<bool, Lost> {
        let state = self.state();
        match &state.lost {
            Some(lost) => Err(lost.clone()),
            None => Ok(self.store.now() < state.ends()),
        }
    }

    /// Writes the lease again, once it is its turn. What is slept through isn't lost by that alone: only S3 knows whether anybody came.
    async fn renew(&self) -> Result<Renewed, Lost> {
        let _turn = self.turn.lock().await;
        self.holds()?;
        let (lease, revision, ends) = {
            let state = self.state();
            if state.given_back {
                return Ok(Renewed::Over);
            }
            let lease = Lease {
                renewals: state.lease.renewals + 1,
                ..state.lease.clone()
            };
            (lease, state.revision.clone(), state.ends())
        };
        let now = self.store.now();
        let patience = between(now, ends).max(LOOK);
        let written = tokio::select! {
            written = self.write(&lease, &revision) => written,
            () = self.store.sleep(patience) => Err(None),
        };
        match written {
            Ok(Ok(revision)) => {
                let mut state = self.state();
                state.lease = lease;
                state.revision = revision;
                state.written = now;
                Ok(Renewed::Yes)
            }
            Ok(Err(Lost::Gone)) if self.ends_with_its_place.load(Ordering::Relaxed) => {
                Ok(Renewed::Over)
            }
            Ok(Err(lost)) => Err(self.lose(lost)),
            // Nothing is lost before the lease has run out.
            Err(_) if self.store.now() < ends => Ok(Renewed::NotYet),
            Err(why) => Err(self.lose(Lost::RunOut(why))),
        }
    }

    /// The revision of a renewal, or who came in between; the error is that the store didn't say.
    async fn write(
        &self,
        lease: &Lease,
        revision: &str,
    ) -> Result<Result<String, Lost>, Option<Box<CloudError>>> {
        let unsaid = |error| Some(Box::new(error));
        let written = self.store.write(lease, Some(revision)).await;
        Ok(match written.map_err(unsaid)? {
            Written::Unsaid(error) => return Err(Some(error)),
            Written::Done(revision) => Ok(revision),
            Written::NoPlace => Err(Lost::Gone),
            Written::Differs => whose(self.store.read().await.map_err(unsaid)?, lease),
        })
    }

    fn lose(&self, lost: Lost) -> Lost {
        self.state().lost = Some(lost.clone());
        self.lost.cancel();
        lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a renewal.
enum Renewed {
    /// The lease holds anew.
    Yes,
    /// Nobody answered; it still holds, and has to be written again soon.
    NotYet,
    /// It was given back, or its place is gone, as its holder wanted.
    Over,
}

/// Whose the lease is that lies where ours did: ours again, if only an answer was lost.
fn whose(seen: Seen, ours: &Lease) -> Result<String, Lost> {
    match seen {
        Seen::Lease(found) if is_ours(&found, ours) => Ok(found.revision),
        Seen::Lease(found) => Err(Lost::Taken(found)),
        Seen::Nothing | Seen::NoPlace => Err(Lost::Gone),
    }
}

fn is_ours(found: &Found, ours: &Lease) -> bool {
    standing(found, ours, &|_| false) == Standing::Ours
}
