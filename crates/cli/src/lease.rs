//! The lease under which `up` and `down` work: taken, kept in the background, given back. Must not decide whose a lease is, and must
//! not change anything else in the account.

use std::sync::Arc;
use std::time::Duration;

use ecspipe_aws::{Account, Leases};
use ecspipe_provision::lease::{
    self, Held, Holder, LeaseStore as _, Lost, NotTaken, Taken, Terms, UnderLease,
};
use ecspipe_provision::{CancellationToken, CloudError, CloudErrorKind, Graph, Key, Kind};
use tokio::task::JoinHandle;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

/// The lease of one run, or what stands in its way.
pub(crate) struct Lease<'a> {
    world: &'a World,
    options: &'a args::Lease,
    store: Leases,
    ours: lease::Lease,
    state: State,
    /// Cancelled when the user stops the run, and when the lease is lost.
    cancel: CancellationToken,
}

/// A place for a lease that wasn't made just now.
const IN_OLD: bool = false;

enum State {
    Held {
        held: Held,
        keeper: Keeper,
    },
    /// There is no bucket, so that nobody else holds one either.
    NoPlace,
    /// The bucket is there, and isn't open to the caller: maybe it is somebody else's.
    Closed(Failure),
}

/// What renews a lease; with it the renewals end.
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Lease<'a> {
    /// Takes the lease of the app, if there is a place for it, for a run of `command`.
    pub(crate) async fn take(
        place: &Place,
        world: &'a World,
        options: &'a args::Lease,
        command: &str,
    ) -> Result<Self, Failure> {
        let store = place.leases();
        let holder = Holder {
            owner: place.account.caller().await?.arn,
            host: world.machine.host.clone(),
            command: command.to_owned(),
            job: job(world),
            app: place.spec.app.to_string(),
            process: world.machine.process.clone(),
        };
        let mut lease = Self {
            world,
            options,
            ours: lease::Lease::new(holder, world.machine.next_run(), store.now()),
            store,
            state: State::NoPlace,
            cancel: world.cancel().child_token(),
        };
        lease.ask(IN_OLD).await?;
        Ok(lease)
    }

    /// Whether the lease is held, so that nobody else changes what is looked at.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Asks once more where there was no place for a lease.
    pub(crate) async fn ask_again(&mut self) -> Result<(), Failure> {
        self.ask(IN_OLD).await
    }

    /// Takes the lease, if there is a place for it.
    async fn ask(&mut self, is_new: bool) -> Result<(), Failure> {
        let has_ended = Arc::clone(&self.world.machine.has_ended);
        let terms = Terms {
            wait: self.options.wait_lease.unwrap_or(Duration::ZERO),
            breaks: self.options.break_lease,
            is_new,
            has_ended: &*has_ended,
        };
        let world = self.world;
        let mut told = |told: lease::Told| world.err(report::lease::told(&told));
        let taken = lease::take(&self.store, &self.ours, &terms, world.cancel(), &mut told).await;
        self.state = match taken {
            Ok(taken) => self.keep(taken),
            Err(NotTaken::Cloud(error)) if error.kind == CloudErrorKind::Access => {
                State::Closed(error.into())
            }
            Err(why) => return Err(report::lease::not_taken(&why, &self.ours)),
        };
        Ok(())
    }

    fn keep(&self, taken: Taken) -> State {
        let Some(held) = Held::of(Arc::new(self.store.clone()), taken) else {
            return State::NoPlace;
        };
        let (kept, cancel) = (held.clone(), self.cancel.clone());
        let keeper = Keeper(tokio::spawn(async move {
            kept.keep().await;
            cancel.cancel();
        }));
        State::Held { held, keeper }
    }

    /// Makes the place for the lease and takes it there. Whether what was looked at before still holds: nobody can have worked in the
    /// account meanwhile, since nobody does without a lease and the first thing that its holder does in a new place is to mark it.
    pub(crate) async fn found(&mut self, wanted: &Graph) -> Result<bool, Failure> {
        if let State::Closed(failure) = &self.state {
            return Err(failure.clone());
        }
        if self.cancel.is_cancelled() {
            // Nothing will be begun.
            return Ok(true);
        }
        let is_new = self.store.make_place().await.map_err(not_made)?;
        self.ask(is_new).await?;
        for pause in [1, 4] {
            if self.is_held() {
                break;
            }
            // A bucket may be unknown for a moment after it was made.
            self.store.sleep(Duration::from_secs(pause)).await;
            self.ask(is_new).await?;
        }
        // Somebody may have deleted the place again meanwhile, or worked in the account.
        if !self.is_held() || (!is_new && !self.store.is_unmarked().await?) {
            return Ok(false);
        }
        let bucket = wanted.get(&Key::new(Kind::Bucket, "artifacts"));
        if let Some(node) = bucket {
            self.store.mark(&node.tags).await?;
        }
        Ok(true)
    }

    /// The error of a bucket that isn't open to the caller, for whoever has to change something all the same.
    pub(crate) fn open(&self) -> Result<(), Failure> {
        match &self.state {
            State::Closed(failure) => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// The account, in which nothing is begun once the lease is lost.
    pub(crate) fn over<'b>(&'b self, account: &'b Account) -> UnderLease<'b> {
        let held = match &self.state {
            State::Held { held, .. } => Some(held),
            _ => None,
        };
        UnderLease::new(account, held)
    }

    /// Cancelled when nothing new may be begun.
    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// An error once the lease is lost: whoever asked the user comes back to it here.
    pub(crate) async fn assured(&self) -> Result<(), Failure> {
        match &self.state {
            State::Held { held, .. } => {
                let assured = held.assured().await;
                assured.map_err(|lost| report::lease::lost(&lost, Exit::Refused))
            }
            _ => Ok(()),
        }
    }

    /// How the lease was lost, if it was.
    pub(crate) fn lost(&self) -> Option<Lost> {
        match &self.state {
            State::Held { held, .. } => held.lost(),
            _ => None,
        }
    }

    /// Ends a run that has `ended`: gives the lease back, in whatever way it did. That it can't be given back fails nothing: it runs
    /// out.
    pub(crate) async fn end(self, ended: Result<Exit, Failure>) -> Result<Exit, Failure> {
        let State::Held { held, keeper } = self.state else {
            return ended;
        };
        if let Err(error) = held.release().await {
            self.world.err(report::lease::not_given_back(&error));
        }
        drop(keeper);
        ended
    }
}

/// That the place has somebody else's name is refused, like every name that is taken.
fn not_made(error: CloudError) -> Failure {
    if error.kind != CloudErrorKind::Conflict {
        return error.into();
    }
    let failure = Failure::from(error);
    Failure {
        exit: Exit::Refused,
        message: format!("{}; nothing was done", failure.message),
        ..failure
    }
}

/// Where to look at the job that runs the command, in CI.
fn job(world: &World) -> Option<String> {
    let github = || {
        let [server, repository, run] =
            ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"].map(|name| world.var(name));
        Some(format!("{}/{}/actions/runs/{}", server?, repository?, run?))
    };
    let url = |name| world.var(name).map(ToOwned::to_owned);
    github()
        .or_else(|| url("CI_JOB_URL"))
        .or_else(|| url("CODEBUILD_BUILD_URL"))
}
