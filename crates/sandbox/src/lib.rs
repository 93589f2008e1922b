//! An AWS account in a process: wire protocols, state, rollouts, traffic and faults, for rehearsals, tests and a first try.
//!
//! One request comes in through [`Sandbox::handle`], whoever sent it: the in-process connector ([`client`]), the loopback
//! server ([`server`]). It is decoded ([`wire`]), answered by a service ([`services`]) from the state ([`world`]),
//! and encoded in the form of its protocol. Must not talk to AWS, nor listen on anything but the loopback address.

pub mod balancer;
pub mod build;
pub mod client;
pub mod clock;
pub mod control;
pub mod faults;
pub mod git;
pub mod iam;
pub mod local;
pub mod pipeline;
pub mod rollout;
pub mod runtime;
pub mod server;
pub mod services;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;
pub mod wire;
pub mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Serialize};

use crate::client::Life;
use crate::clock::Clock;
use crate::faults::{Before, Dials, Faults};
use crate::world::World;

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many sandbox seconds pass in one second of the process's clock; 1 is real time.
    pub speed: f64,
    /// Where the state is kept between runs. `None`: it is gone with the process.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            speed: 1.0,
            data: None,
        }
    }
}

/// What keeps a sandbox from starting or saving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder can't be read or written.
    #[error("cannot use the sandbox's data folder {path}: {source}")]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The saved state is not one that this version reads.
    #[error("the saved state {path} cannot be read: {message}")]
    State {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        message: String,
    },
    /// git is missing, or a repository behind CodeCommit can't be used.
    #[error("git repository {repository}: {message}")]
    Git {
        /// The repository's name.
        repository: String,
        /// What is wrong.
        message: String,
    },
    /// A port is taken, or may not be used.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Port {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}

/// One request and its answer, as they went over the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// The signing name of the service, such as `elasticloadbalancing`.
    pub service: String,
    /// The operation, such as `CreateListener`.
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Request headers, lower-case names.
    pub request_headers: BTreeMap<String, String>,
    /// The request's body: lossy text; CBOR as the JSON that it stands for.
    pub request_body: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Answer headers.
    pub response_headers: BTreeMap<String, String>,
    /// The answer's body, likewise.
    pub response_body: String,
    /// What had to be allowed for it, before it was answered: nothing for an operation that nobody has mapped.
    #[serde(skip)]
    pub needs: Vec<iam::Need>,
}

/// An AWS account in a process. Clones share the account.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    record: Mutex<Record>,
    repositories: git::Repositories,
    data: Option<PathBuf>,
    /// Counts what may have changed the state, so that the server knows when to save it.
    changes: AtomicU64,
    /// The listeners' sockets, while a server runs.
    sockets: Mutex<Option<server::Sockets>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

#[derive(Default)]
struct Record {
    full: bool,
    exchanges: Vec<Exchange>,
    counts: BTreeMap<(String, String), u64>,
}

impl Sandbox {
    /// A new sandbox, or the one that `options.data` holds.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let world = match &options.data {
            Some(folder) => world::load(folder)?,
            None => World::default(),
        };
        let clock = Clock::new(options.speed, world.now);
        let repositories = git::Repositories::new(options.data.as_deref())?;
        Ok(Self {
            inner: Arc::new(Inner {
                clock,
                world: Mutex::new(world),
                faults: Mutex::new(Faults::default()),
                record: Mutex::new(Record::default()),
                repositories,
                data: options.data.clone(),
                changes: AtomicU64::new(0),
                sockets: Mutex::new(None),
            }),
        })
    }

    /// Another account that begins as this one was left, at that time, on a clock of its own: what happens to one doesn't to
    /// the other. Faults, counts and what was pushed with git stay behind, and nothing of the copy is saved.
    pub fn fork(&self) -> Result<Self, Error> {
        let mut world = lock(&self.inner.world).clone();
        world.dial(Dials::default());
        Ok(Self {
            inner: Arc::new(Inner {
                clock: Clock::new(self.inner.clock.speed(), world.now),
                world: Mutex::new(world),
                faults: Mutex::new(Faults::default()),
                record: Mutex::new(Record::default()),
                repositories: git::Repositories::new(None)?,
                data: None,
                changes: AtomicU64::new(0),
                sockets: Mutex::new(None),
            }),
        })
    }

    /// Answers one request of any AWS protocol, of git, or of the sandbox's own control API (`/_sandbox/…`).
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path.starts_with("/_sandbox/") {
            return control::handle(self, &request);
        }
        if control::is_page(&request) {
            return control::page(self, &request);
        }
        if path.starts_with("/v1/repos/") {
            let response = git::handle(self, &request).await;
            self.inner.changes.fetch_add(1, Ordering::Relaxed);
            return response;
        }
        let call = match wire::decode(&request) {
            Ok(call) => call,
            Err(refusal) => return refusal,
        };
        let life = request.extensions().get::<Life>().cloned();
        let verdict = {
            let mut faults = lock(&self.inner.faults);
            if life.is_none() && faults.is_dead(&call.access_key) {
                return wire::lost();
            }
            faults.strike(&call, self.inner.clock.now())
        };
        if let Some(delay) = verdict.delay {
            tokio::time::sleep(self.inner.clock.real(delay)).await;
        }
        let needs = self.needs_of(&call);
        let mut response = match verdict.before {
            Some(Before::Reset) => return wire::lost(),
            Some(Before::NoAnswer) => return std::future::pending().await,
            Some(Before::Refused(fault)) => wire::encode_fault(&call, &fault),
            None => {
                let answer = answer(&mut self.world(), &call, &verdict);
                if verdict.unseen.is_some() {
                    self.notice();
                }
                wire::encode(&call, answer)
            }
        };
        // Elsewhere a date of the sandbox's own time would make an SDK believe that its clock is wrong, and sign refused calls anew.
        if call.service == "sts" {
            self.date(&mut response);
        }
        if !reads(&call.operation) {
            self.inner.changes.fetch_add(1, Ordering::Relaxed);
        }
        if call.service == "elasticloadbalancing" && !reads(&call.operation) {
            self.reconcile();
        }
        self.keep(&call, &request, &response, needs);
        if verdict.lose_answer {
            return wire::lost();
        }
        if verdict.kill_caller {
            return self.kill(&call, life, response);
        }
        response
    }

    /// From now on EC2 doesn't know everywhere for `span` what it has just made; `None`: it does again at once.
    pub fn lag(&self, span: Option<std::time::Duration>) {
        let there = network(&self.world());
        self.faults().set_lag(span, there);
    }

    /// Tells the lag what there is by now.
    fn notice(&self) {
        let (there, now) = {
            let world = self.world();
            (network(&world), world.now)
        };
        self.faults().notice(there, now);
    }

    /// Says when an answer was given.
    fn date(&self, response: &mut Response<Bytes>) {
        if let Ok(date) = http::HeaderValue::try_from(clock::http(self.inner.clock.now())) {
            response.headers_mut().insert(http::header::DATE, date);
        }
    }

    /// Ends a caller's life with `response`, the last that it gets.
    fn kill(
        &self,
        call: &wire::Call,
        life: Option<Life>,
        mut response: Response<Bytes>,
    ) -> Response<Bytes> {
        match life {
            Some(life) => {
                life.end();
                let mark = http::HeaderValue::from_static("true");
                response.headers_mut().insert(wire::LAST_HEADER, mark);
            }
            None => lock(&self.inner.faults).kill(&call.access_key),
        }
        response
    }

    /// The account's state, brought up to the present. Don't hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.inner.world);
        let now = self.inner.clock.now();
        if world.timers.iter().any(|timer| timer.at <= now) {
            self.inner.changes.fetch_add(1, Ordering::Relaxed);
        }
        // What was dialled since the last look holds for what happened since. Whoever holds the faults now changes them; the next
        // call dials.
        if let Ok(faults) = self.inner.faults.try_lock() {
            faults.dial(&mut world);
        }
        world.advance(now);
        world
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The git repositories behind CodeCommit.
    pub fn repositories(&self) -> &git::Repositories {
        &self.inner.repositories
    }

    /// The faults that strike from now on. Don't ask for them while holding [`Self::world`].
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        // What happened until now happened without what is changed now.
        drop(self.world());
        lock(&self.inner.faults)
    }

    /// Lets the account's user do from now on what the identity policies (JSON documents) allow and nothing else; `None`: everything
    /// that resources' own policies let it. Every call over the wire is held against them, and git's too. The error is IAM's
    /// message about a malformed document, or says what in it the sandbox can't evaluate.
    pub fn caller_policy(&self, documents: Option<Vec<serde_json::Value>>) -> Result<(), String> {
        let policy = documents.map(iam::CallerPolicy::read).transpose()?;
        self.world().caller = policy;
        Ok(())
    }

    /// What a request needs to be allowed to do: every action with its resource and what is known about it. `None` where it is no
    /// request of an AWS protocol, or of an operation that the sandbox lacks. Who asks makes no difference.
    pub fn needs(&self, request: &Request<Bytes>) -> Option<Vec<iam::Need>> {
        let call = wire::decode(request).ok()?;
        iam::needs::needs(&self.world(), &call)
    }

    /// Keeps every exchange from now on (`true`), or only counts calls (`false`, as at the start).
    pub fn record(&self, full: bool) {
        lock(&self.inner.record).full = full;
    }

    /// The exchanges kept so far; they are taken out.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut lock(&self.inner.record).exchanges)
    }

    /// How often each operation was called since the start or the last reset: (service, operation) → calls.
    pub fn counts(&self) -> BTreeMap<(String, String), u64> {
        lock(&self.inner.record).counts.clone()
    }

    /// Starts counting again.
    pub fn reset_counts(&self) {
        lock(&self.inner.record).counts.clear();
    }

    /// Writes the state to the data folder, if there is one: first beside it, then in its place.
    pub fn save(&self) -> Result<(), Error> {
        match &self.inner.data {
            Some(folder) => world::save(&self.world(), folder),
            None => Ok(()),
        }
    }

    /// The data folder.
    pub fn data(&self) -> Option<&Path> {
        self.inner.data.as_deref()
    }

    /// What a call needs, where exchanges are kept.
    fn needs_of(&self, call: &wire::Call) -> Vec<iam::Need> {
        let full = lock(&self.inner.record).full;
        let needs = full.then(|| iam::needs::needs(&self.world(), call));
        needs.flatten().unwrap_or_default()
    }

    fn keep(
        &self,
        call: &wire::Call,
        request: &Request<Bytes>,
        response: &Response<Bytes>,
        needs: Vec<iam::Need>,
    ) {
        let mut record = lock(&self.inner.record);
        *record
            .counts
            .entry((call.service.clone(), call.operation.clone()))
            .or_default() += 1;
        if record.full {
            record.exchanges.push(Exchange {
                service: call.service.clone(),
                operation: call.operation.clone(),
                method: request.method().to_string(),
                uri: request
                    .uri()
                    .path_and_query()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                request_headers: wire::headers(request.headers()),
                request_body: wire::shown(call.protocol, request.body()),
                status: response.status().as_u16(),
                response_headers: wire::headers(response.headers()),
                response_body: wire::shown(call.protocol, response.body()),
                needs,
            });
        }
    }
}

/// A service's answer, or the refusal of whoever may not ask for it.
fn answer(
    world: &mut World,
    call: &wire::Call,
    verdict: &faults::Outcome,
) -> Result<wire::Reply, wire::Fault> {
    let principal = iam::principal_of(world, call);
    if let Err(denial) = iam::authorize(world, &principal, call) {
        return iam::refusal(call, &denial);
    }
    let unseen = verdict.unseen.as_ref().filter(|unseen| !unseen.is_empty());
    let answer = match unseen {
        Some(unseen) => services::ec2::call_unseeing(world, call, unseen),
        None => services::call(world, call),
    };
    if let (Some(fault), Ok(wire::Reply::Value(made))) = (&verdict.end_failed, &answer) {
        match call.operation.as_str() {
            "CreateNatGateway" => services::ec2::end_failed(world, &call.region, made, fault),
            _ => services::elbv2::end_failed(world, &call.region, made, fault),
        }
    }
    answer
}

/// Everything of EC2's, in all regions.
fn network(world: &World) -> Vec<String> {
    let regions = world.regions.values();
    regions
        .flat_map(|region| region.ec2.alive(world.now))
        .collect()
}

/// Whether an operation leaves the state as it is.
fn reads(operation: &str) -> bool {
    ["BatchGet", "Describe", "Get", "Head", "List"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

/// A lock that a panic elsewhere doesn't poison: the state stays readable for the report.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
