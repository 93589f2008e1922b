//! Taking a lease: at once, over one that has run out or is to be broken, or after a wait. Must not renew or give back.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Found, LOOK, Lease, LeaseStore, Process, RENEWAL, SETTLES, Seen, Standing, TRIES, Why, Written,
    after, between, standing,
};
use crate::cloud::CloudError;

/// On which terms a lease is wanted.
pub struct Terms<'a> {
    /// How long to wait for somebody else's to end, in the store's time; zero to be told at once.
    pub wait: Duration,
    /// Whether to break the one that somebody else holds.
    pub breaks: bool,
    /// Whether the place was surely made just now, so that nothing can lie there.
    pub is_new: bool,
    /// Whether a process is known to have ended.
    pub has_ended: &'a (dyn Fn(&Process) -> bool + Sync),
}

/// What came of the wish for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is held.
    Held {
        /// As it was written.
        lease: Box<Lease>,
        /// Which writing that is.
        revision: String,
    },
    /// There is no place for leases yet, and so nobody else who holds one.
    NoPlace,
}

/// What is told while a lease is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Somebody holds it, and is waited for.
    Waits {
        /// Their lease.
        held: Found,
        /// When waiting ends in vain.
        until: Timestamp,
    },
    /// There is a place and no lease: somebody is about to make or to remove it.
    Unsettled,
    /// A lease was written over.
    Over {
        /// The one that lay there.
        held: Found,
        /// Why it could be.
        why: Why,
    },
}

/// Why a lease wasn't taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotTaken {
    /// Somebody else holds it: wait, or break it.
    #[error("{} is at work", .held.owner())]
    Held {
        /// Their lease.
        held: Box<Found>,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The user didn't want to wait any longer.
    #[error("waiting for {} was stopped", .held.owner())]
    Stopped {
        /// For whom it was.
        held: Box<Found>,
    },
    /// The store can't be asked.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// Takes the lease `ours`, on `terms`. Tells `told` for whom it waits, and over whose lease it has written.
pub async fn take(
    store: &dyn LeaseStore,
    ours: &Lease,
    terms: &Terms<'_>,
    cancel: &CancellationToken,
    told: &mut (dyn FnMut(Told) + Send),
) -> Result<Taken, NotTaken> {
    let began = store.now();
    let mut waits_for = None;
    let mut unsettled = None;
    let mut breaks: Option<String> = None;
    let mut is_new = terms.is_new;
    let mut tries = 0;
    loop {
        let seen = match std::mem::take(&mut is_new) {
            true => None,
            false => Some(store.read().await?),
        };
        let over = match seen {
            Some(Seen::NoPlace) => return Ok(Taken::NoPlace),
            Some(Seen::Nothing) => {
                let since = *unsettled.get_or_insert_with(|| {
                    told(Told::Unsettled);
                    store.now()
                });
                if between(since, store.now()) < SETTLES && !cancel.is_cancelled() {
                    store.sleep(LOOK).await;
                    continue;
                }
                None
            }
            Some(Seen::Lease(found)) => {
                let why = match standing(&found, ours, terms.has_ended) {
                    Standing::Ours => return Ok(adopted(*found, ours)),
                    Standing::Over(why) => why,
                    // Whoever breaks a lease breaks the one that was there, not another that comes in its place meanwhile.
                    Standing::Held
                        if terms.breaks && *breaks.get_or_insert(who(&found)) == who(&found) =>
                    {
                        Why::Broken
                    }
                    Standing::Held => {
                        let waited = between(began, store.now());
                        if waited >= terms.wait {
                            return Err(NotTaken::Held {
                                held: found,
                                waited,
                            });
                        }
                        if waits_for != Some(who(&found)) {
                            waits_for = Some(who(&found));
                            told(Told::Waits {
                                held: (*found).clone(),
                                until: after(began, terms.wait),
                            });
                        }
                        tokio::select! {
                            biased;
                            () = cancel.cancelled() => return Err(NotTaken::Stopped { held: found }),
                            () = store.sleep(LOOK) => continue,
                        }
                    }
                };
                Some((found, why))
            }
            None => None,
        };
        let lease = Lease {
            since: store.now(),
            ..ours.clone()
        };
        let revision = over.as_ref().map(|(found, _)| found.revision.as_str());
        match store.write(&lease, revision).await? {
            Written::Done(revision) => {
                if let Some((found, why)) = over {
                    told_over(store, *found, why, cancel, told).await;
                }
                return Ok(Taken::Held {
                    lease: Box::new(lease),
                    revision,
                });
            }
            Written::NoPlace => return Ok(Taken::NoPlace),
            // Somebody was faster, or the answer was lost: the next look says which.
            Written::Differs => {}
            Written::Unsaid(error) => {
                tries += 1;
                if tries == TRIES {
                    return Err(NotTaken::Cloud(*error));
                }
                store.sleep(LOOK).await;
            }
        }
    }
}

/// Our own lease, of whose writing the answer was lost.
fn adopted(found: Found, ours: &Lease) -> Taken {
    Taken::Held {
        lease: Box::new(found.lease.unwrap_or_else(|| ours.clone())),
        revision: found.revision,
    }
}

async fn told_over(
    store: &dyn LeaseStore,
    held: Found,
    why: Why,
    cancel: &CancellationToken,
    told: &mut (dyn FnMut(Told) + Send),
) {
    if why == Why::GivenBack {
        return;
    }
    let noticed = between(held.now, after(held.written, RENEWAL + LOOK));
    told(Told::Over { held, why });
    if why == Why::Broken {
        until_noticed(store, noticed, cancel).await;
    }
}

/// Waits until whoever held the lease must have found out that it is broken: at the next renewal, unless they are cut off.
async fn until_noticed(store: &dyn LeaseStore, span: Duration, cancel: &CancellationToken) {
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = store.sleep(span) => {}
    }
}

/// Which lease it is, whatever was renewed of it.
fn who(found: &Found) -> String {
    match &found.lease {
        Some(lease) => lease.token.clone(),
        None => found.revision.clone(),
    }
}
