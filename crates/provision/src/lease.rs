//! One operator at a time: the lease that whoever changes an app's account holds meanwhile, and what becomes of one that is found.
//! It is renewed while its holder works and runs out by itself, so that a holder who was killed blocks nobody for long. Must not
//! know where leases lie, nor what time it is: the store says both.

mod guard;
mod keep;
#[cfg(any(test, feature = "fake"))]
pub mod memory;
mod take;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::guard::UnderLease;
pub use self::keep::{Held, Lost};
pub use self::take::{NotTaken, Taken, Terms, Told, take};
use crate::cloud::CloudError;

/// How long a lease holds after it was written. Short, since it is how long a holder who was killed blocks others; long enough that
/// a renewal which AWS throttles or a network that is away for a minute costs nobody the lease.
pub const LIFE: Duration = Duration::from_secs(180);
/// How often it is renewed: two renewals may be lost before it runs out.
pub const RENEWAL: Duration = Duration::from_secs(60);
/// How long somebody waits where there is a place and no lease was ever written: it may be just being made, or just being removed by
/// the holder of the last one, which takes two calls.
pub(crate) const SETTLES: Duration = Duration::from_secs(30);
/// How often somebody who waits looks, and how soon a renewal that failed is tried again.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// Who holds a lease, as the next one is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The caller's ARN.
    pub owner: String,
    /// The machine.
    pub host: String,
    /// What runs there, such as `ecspipe up`.
    pub command: String,
    /// Where to look at it, if it runs in CI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The app that it runs on.
    pub app: String,
    /// The process.
    pub process: Process,
}

/// A process, named so that on the same machine one that has ended can be told from one that works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number, which another process may get after it.
    pub id: u32,
    /// In which table of processes it has that number, as its user sees it: this boot of this machine, this container. Empty where
    /// that isn't known.
    #[serde(default)]
    pub table: String,
    /// When it began, in that table's own words. Empty where that isn't known.
    #[serde(default)]
    pub started: String,
}

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which lease this is: by it its holder knows it again, whatever answers were lost.
    pub token: String,
    /// Who holds it.
    #[serde(flatten)]
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// For how many seconds it holds after it was written; none for one that was given back.
    pub holds_for: u64,
    /// How often it was renewed: no two writings are alike.
    pub renewals: u64,
}

impl Lease {
    /// A lease of `holder` from `now` on. `run` tells several of one process apart.
    pub fn new(holder: Holder, run: u64, now: Timestamp) -> Self {
        let Process { id, table, started } = &holder.process;
        let host = &holder.host;
        // Derived, not drawn: a process has one place and one beginning, and a run within it one number.
        let name = format!("{host}\n{table}\n{id}\n{started}\n{run}\n{now}");
        Self {
            token: hex::encode(&Sha256::digest(name.as_bytes())[..16]),
            holder,
            since: now,
            holds_for: LIFE.as_secs(),
            renewals: 0,
        }
    }

    /// For how long it holds after it was written.
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.holds_for)
    }
}

/// A lease that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says; `None` where that can't be read, as when a later version of ecspipe has written it.
    pub lease: Option<Lease>,
    /// Which writing of it this is.
    pub revision: String,
    /// When it was written, on the store's clock.
    pub written: Timestamp,
    /// What the store's clock shows.
    pub now: Timestamp,
}

impl Found {
    /// When it runs out unless it is renewed, on the store's clock.
    pub fn ends(&self) -> Timestamp {
        let life = self.lease.as_ref().map_or(LIFE, Lease::life);
        after(self.written, life)
    }

    /// Who holds it, in a few words.
    pub fn owner(&self) -> &str {
        match &self.lease {
            Some(lease) => &lease.holder.owner,
            None => "somebody with another version of ecspipe",
        }
    }
}

/// What lies where a lease would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A lease, held or not.
    Lease(Box<Found>),
    /// Nothing was ever written here.
    Nothing,
    /// There is no place for leases.
    NoPlace,
}

/// What a lease that was found is to whoever wants one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the one that was asked for: only the answer was lost.
    Ours,
    /// It may be written over.
    Over(Why),
    /// Somebody works under it.
    Held,
}

/// Why a lease may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was given back.
    GivenBack,
    /// It was not renewed in time.
    RunOut,
    /// Its holder is a process of this machine that has ended.
    Ended,
    /// The user wants it broken.
    Broken,
}

/// What `found` is to whoever wants the lease `ours`. `has_ended` says of a process whether it is known to have ended.
pub fn standing(found: &Found, ours: &Lease, has_ended: &dyn Fn(&Process) -> bool) -> Standing {
    match &found.lease {
        Some(lease) if lease.token == ours.token => Standing::Ours,
        Some(lease) if lease.holds_for == 0 => Standing::Over(Why::GivenBack),
        _ if found.ends() <= found.now => Standing::Over(Why::RunOut),
        Some(lease) if has_ended(&lease.holder.process) => Standing::Over(Why::Ended),
        _ => Standing::Held,
    }
}

/// Where an app's lease lies. At most one lies there, and of several that write at once one succeeds. It is never taken away: whoever
/// gives it back writes that.
///
/// Contract of an implementation: a write whose answer is lost may be tried again by the store itself. It then finds that the lease
/// isn't as it was asked for and says [`Written::Differs`]: whoever asked looks and knows its own lease by the token.
pub trait LeaseStore: Send + Sync {
    /// What lies there.
    fn read(&self) -> BoxFuture<'_, Result<Seen, CloudError>>;

    /// Writes `lease` where none lies, or over the writing `over` and no other.
    fn write<'a>(
        &'a self,
        lease: &'a Lease,
        over: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Written, CloudError>>;

    /// What the store's clock shows, as far as is known here.
    fn now(&self) -> Timestamp;

    /// Waits for a span of the store's time.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is done: this is the writing's revision.
    Done(String),
    /// Nothing was written: what lies there isn't what was expected.
    Differs,
    /// There is no place for leases yet.
    NoPlace,
    /// Nobody said whether it is done.
    Unsaid(Box<CloudError>),
}

/// How often a writing that nobody answers is tried.
pub(crate) const TRIES: u32 = 4;

/// A moment `span` later.
pub(crate) fn after(moment: Timestamp, span: Duration) -> Timestamp {
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// How long it is from one moment to a later one; zero where it isn't later.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    let span: SignedDuration = to.duration_since(from);
    Duration::try_from(span).unwrap_or_default()
}
