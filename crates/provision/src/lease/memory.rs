//! A place for leases in memory, for tests: its clock is tokio's, and it can lose answers. Must not decide anything.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Found, Lease, LeaseStore, Seen, Written, after};
use crate::cloud::{CloudError, CloudErrorKind};

/// What the next writes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The store says that it is done.
    Done,
    /// It is done, but the store's own second try finds it changed.
    Repeated,
    /// It isn't done, and nobody says why.
    Lost,
}

/// A place for one lease.
#[derive(Debug)]
pub struct Place {
    began: tokio::time::Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    missing: bool,
    lies: Option<(Option<Lease>, u64, Timestamp)>,
    writings: u64,
    fates: Vec<Fate>,
}

impl Place {
    /// An empty one.
    #[allow(
        clippy::new_without_default,
        clippy::disallowed_methods,
        reason = "its clock begins now, on the runtime's clock, which tests set"
    )]
    pub fn new() -> Self {
        Self {
            began: tokio::time::Instant::now(),
            state: Mutex::default(),
        }
    }

    /// The place itself is gone, or there again.
    pub fn is_missing(&self, missing: bool) {
        self.state().missing = missing;
    }

    /// What the next writes come to, the first of them last.
    pub fn fates(&self, fates: &[Fate]) {
        self.state().fates = fates.to_vec();
    }

    /// Puts something there that is no lease.
    pub fn scribble(&self) {
        let now = self.now();
        self.put(None, now);
    }

    /// Takes away whatever lies there.
    pub fn clear(&self) {
        self.state().lies = None;
    }

    /// The token of the lease that lies there and was not given back.
    pub fn token(&self) -> Option<String> {
        let state = self.state();
        let (lease, ..) = state.lies.as_ref()?;
        let held = lease.as_ref().filter(|lease| lease.holds_for > 0);
        held.map(|lease| lease.token.clone())
    }

    /// How often something was written.
    pub fn writings(&self) -> u64 {
        self.state().writings
    }

    fn put(&self, lease: Option<Lease>, now: Timestamp) -> String {
        let mut state = self.state();
        state.writings += 1;
        let revision = state.writings;
        state.lies = Some((lease, revision, now));
        revision.to_string()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_write(&self, lease: &Lease, over: Option<&str>) -> Result<Written, CloudError> {
        let fate = self.state().fates.pop().unwrap_or(Fate::Done);
        if fate == Fate::Lost {
            return Err(CloudError {
                service: "s3".to_owned(),
                operation: "PutObject".to_owned(),
                code: "Connection".to_owned(),
                message: "the connection ended".to_owned(),
                request_id: None,
                kind: CloudErrorKind::Other,
                hint: None,
            });
        }
        {
            let state = self.state();
            if state.missing {
                return Ok(Written::NoPlace);
            }
            let lies = state
                .lies
                .as_ref()
                .map(|(_, revision, _)| revision.to_string());
            if lies.as_deref() != over {
                return Ok(Written::Differs);
            }
        }
        let revision = self.put(Some(lease.clone()), self.now());
        match fate {
            Fate::Repeated => Ok(Written::Differs),
            _ => Ok(Written::Done(revision)),
        }
    }
}

impl LeaseStore for Place {
    fn read(&self) -> BoxFuture<'_, Result<Seen, CloudError>> {
        let now = self.now();
        let state = self.state();
        let seen = match state.lies.clone() {
            _ if state.missing => Seen::NoPlace,
            None => Seen::Nothing,
            Some((lease, revision, written)) => Seen::Lease(Box::new(Found {
                lease,
                revision: revision.to_string(),
                written,
                now,
            })),
        };
        async move { Ok(seen) }.boxed()
    }

    fn write<'a>(
        &'a self,
        lease: &'a Lease,
        over: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Written, CloudError>> {
        async move { self.try_write(lease, over) }.boxed()
    }

    fn now(&self) -> Timestamp {
        after(Timestamp::UNIX_EPOCH, self.began.elapsed())
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the clock of this store is the runtime's"
    )]
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        tokio::time::sleep(span).boxed()
    }
}
