//! The only poll loop: fetches snapshots, lets [`crate::rollout`] say what they mean, and passes the events on. Time is
//! tokio's, so that a test can pause it. Must not decide how a rollout stands, and changes nothing in AWS but what a
//! [`Guard`] tells it to: dropping the future at any time loses nothing, which is how a caller detaches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::error::{CloudFailure, DeployError, FailureKind};
use crate::event::{Event, Part, Point, Verdict, Wait};
use crate::guard::{Guard, Watchman};
use crate::rollout::{self, Phase};
use crate::rollouts::{DeploymentSummary, LogEvent, LogQuery, Rollouts, Target, Which};
use crate::snapshot::{
    Build, Deployment, Execution, ExecutionStatus, LogStream, ROLLBACK_CREATOR, Snapshot,
    StepStatus, StoppedTask, TaskSet,
};

/// Takes the events of an operation, one by one as they happen.
pub type OnEvent<'a> = dyn FnMut(Event) + Send + 'a;

/// How many executions or deployments are looked through for one that is in flight or the newest: CodeDeploy runs one at a
/// time, and a pipeline's queue is short.
const RECENT: usize = 20;

/// As short as git abbreviates a commit.
const SHORTEST_COMMIT: usize = 7;

/// How many executions are looked through for one of a commit: as many as one call gives.
const HISTORY: usize = 100;

/// How far a log's next query looks back: CloudWatch Logs may show a line late.
const LOG_OVERLAP: SignedDuration = SignedDuration::from_secs(10);

/// How many of a deployment's failed tasks are asked for what they logged last: the next ones say the same.
const LOGGED_TASKS: usize = 3;

/// How often a log is asked for its last lines while it shows none: they may come some seconds after the end.
const LOG_TRIES: u32 = 3;

/// How many last lines are read.
const LAST_LINES: u32 = 20;

/// While a deployment goes on, only each so manyth poll asks for its execution too: it can be stopped meanwhile, or time out.
const EXECUTION_EVERY: u32 = 4;

/// Which rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A pipeline execution, and the deployment that it creates.
    Execution(String),
    /// A CodeDeploy deployment.
    Deployment(String),
    /// The newest pipeline execution of a commit: its id, or the beginning of it.
    Commit(String),
    /// The one that is in flight; an error if none is.
    InFlight,
    /// The one that is in flight, else the newest.
    Latest,
}

impl Id {
    /// Reads an id as a user types it: `d-…` is a deployment, 7 to 40 hexadecimal digits are a commit, anything else is an
    /// execution.
    pub fn parse(text: &str) -> Self {
        let is_commit = (SHORTEST_COMMIT..=40).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_hexdigit());
        if text.starts_with("d-") {
            Self::Deployment(text.to_owned())
        } else if is_commit {
            Self::Commit(text.to_ascii_lowercase())
        } else {
            Self::Execution(text.to_owned())
        }
    }
}

/// How often AWS is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// The time between two polls while something happens.
    pub every: Duration,
    /// The time between two polls when nothing has happened for long.
    pub at_most: Duration,
}

impl Default for Poll {
    /// 5 s, backing off to 15 s, as AWS.md §3.3 says.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            at_most: Duration::from_secs(15),
        }
    }
}

/// How a rollout is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowOptions {
    /// How often AWS is asked.
    pub poll: Poll,
    /// Where the following ends.
    pub until: WaitUntil,
    /// After this time the following ends with the verdict as it is then; `None`: never.
    pub timeout: Option<Duration>,
    /// How long AWS may fail to answer, or throttle, before that is an error.
    pub tolerate: Duration,
    /// How long a given id may be unknown to AWS before that is an error: what was just made shows up late.
    pub appear: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            poll: Poll::default(),
            until: WaitUntil::Done,
            timeout: None,
            tolerate: Duration::from_secs(300),
            appear: Duration::from_secs(20),
        }
    }
}

/// Where the following of a rollout ends, if it hasn't ended before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitUntil {
    /// At its end, that of an automatic rollback included.
    Done,
    /// Where it waits for a person: at Ready, or at an approval of the pipeline.
    Ready,
    /// Where production traffic has moved and the old tasks are kept.
    OldTasks,
    /// Where it has come to a point of its way, or where a pause before that point blocks it.
    Point(Point),
}

/// How the following of a rollout has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// How the rollout stands.
    pub verdict: Verdict,
    /// The point that was waited for, where it has been reached.
    pub reached: Option<Point>,
}

/// Follows a rollout, and gives how it stands when the following ends: see [`FollowOptions`]. The last event is
/// [`Event::Ended`]. The rollout itself doesn't depend on being followed.
pub async fn follow(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
    options: &FollowOptions,
    on_event: &mut OnEvent<'_>,
) -> Result<Verdict, DeployError> {
    let guard = Guard::default();
    let followed = follow_guarded(rollouts, target, id, options, guard, on_event).await?;
    Ok(followed.verdict)
}

/// The same, and does by itself what `guard` says.
pub async fn follow_guarded(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
    options: &FollowOptions,
    guard: Guard<'_>,
    on_event: &mut OnEvent<'_>,
) -> Result<Followed, DeployError> {
    let mut follower = Follower::new(rollouts, target, id, options, guard);
    let verdict = follower.run(on_event).await?;
    let reached = match options.until {
        WaitUntil::Point(point) => Some(point),
        _ => None,
    };
    let reached = reached.filter(|point| rollout::has_reached(&follower.known, *point));
    on_event(Event::Ended {
        verdict: verdict.clone(),
        reached,
    });
    Ok(Followed { verdict, reached })
}

/// The rollout that `id` means, as [`Id::Execution`] or [`Id::Deployment`]; `None` when there is none. Where CodeDeploy rolls a
/// deployment back by itself, or has done so last, the rollout is the one that is rolled back: only it tells why.
pub async fn resolve(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
) -> Result<Option<Id>, CloudFailure> {
    find(rollouts, target, id, true).await
}

/// The same; the other way, a deployment that rolls another one back is meant itself where it is in flight or the newest.
pub(crate) async fn find(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
    behind_rollbacks: bool,
) -> Result<Option<Id>, CloudFailure> {
    if matches!(id, Id::Execution(_) | Id::Deployment(_)) {
        return Ok(Some(id.clone()));
    }
    if let Id::Commit(commit) = id {
        return of_commit(rollouts, target, commit).await;
    }
    let executions = or_none(rollouts.executions(target, RECENT).await)?.unwrap_or_default();
    let deployments = rollouts
        .deployments(target, Which::InFlight, RECENT)
        .await?;
    // The oldest first: a queued execution has no deployment yet.
    let running = executions
        .iter()
        .rev()
        .filter(|execution| is_running(&execution.status));
    if let Some(deployment) = deployments.first() {
        let id = meant(rollouts, target, deployment, behind_rollbacks).await?;
        let ended = executions
            .first()
            .filter(|newest| !is_running(&newest.status));
        for execution in running.chain(ended.filter(|_| id != deployment.id)) {
            let execution = rollouts.execution(target, &execution.id).await?;
            if let Some(execution) =
                execution.filter(|execution| execution.deployment_id() == Some(&id))
            {
                return Ok(Some(Id::Execution(execution.id)));
            }
        }
        return Ok(Some(Id::Deployment(id)));
    }
    let running = executions
        .iter()
        .find(|execution| is_running(&execution.status));
    if running.is_some() || *id == Id::InFlight {
        return Ok(running.map(|execution| Id::Execution(execution.id.clone())));
    }
    let newest_deployment = rollouts
        .deployments(target, Which::All, 1)
        .await?
        .into_iter()
        .next();
    Ok(match (executions.first(), newest_deployment) {
        // A deployment that ended after the newest execution is its own, or was made without the pipeline. What ended counts,
        // not what began: an execution that a change started beside a deployment may fail long before that ends.
        (Some(execution), Some(deployment))
            if deployment.completed.or(deployment.created)
                > execution.updated.or(execution.started) =>
        {
            let known = rollouts.execution(target, &execution.id).await?;
            let id = meant(rollouts, target, &deployment, behind_rollbacks).await?;
            let own = known.is_some_and(|execution| execution.deployment_id() == Some(&id));
            Some(if own {
                Id::Execution(execution.id.clone())
            } else {
                Id::Deployment(id)
            })
        }
        (Some(execution), _) => Some(Id::Execution(execution.id.clone())),
        (None, Some(deployment)) => Some(Id::Deployment(
            meant(rollouts, target, &deployment, behind_rollbacks).await?,
        )),
        (None, None) => None,
    })
}

/// The id of a deployment, or, behind one that CodeDeploy made to roll another one back, of that one.
async fn meant(
    rollouts: &dyn Rollouts,
    target: &Target,
    deployment: &DeploymentSummary,
    behind_rollbacks: bool,
) -> Result<String, CloudFailure> {
    let by_codedeploy = deployment.creator.as_deref() == Some(ROLLBACK_CREATOR);
    let found = match behind_rollbacks && by_codedeploy {
        true => rollouts.deployment(target, &deployment.id).await?,
        false => None,
    };
    let rolled_back = found.as_ref().and_then(Deployment::rolls_back);
    Ok(rolled_back.unwrap_or(&deployment.id).to_owned())
}

/// The newest execution whose sources have found a commit.
async fn of_commit(
    rollouts: &dyn Rollouts,
    target: &Target,
    commit: &str,
) -> Result<Option<Id>, CloudFailure> {
    let executions = or_none(rollouts.executions(target, HISTORY).await)?.unwrap_or_default();
    let found = executions.into_iter().find(|execution| {
        let mut revisions = execution.revisions.iter();
        revisions.any(|revision| revision.id.starts_with(commit))
    });
    Ok(found.map(|execution| Id::Execution(execution.id)))
}

/// The log's events that `query` means, oldest first, page by page; at most `query.limit` where given.
pub async fn logs(
    rollouts: &dyn Rollouts,
    target: &Target,
    query: &LogQuery,
) -> Result<Vec<LogEvent>, DeployError> {
    let mut query = query.clone();
    let mut events = Vec::new();
    loop {
        let page = rollouts.log_events(target, &query).await?;
        events.extend(page.events);
        let enough = query
            .limit
            .is_some_and(|limit| events.len() >= limit as usize);
        match page.token {
            Some(token) if !enough => query.token = Some(token),
            _ => break,
        }
    }
    if let Some(limit) = query.limit {
        events.truncate(limit as usize);
    }
    Ok(events)
}

/// Gives the log's events from `query` on, and then each new one, until the future is dropped or AWS fails for longer
/// than `options.tolerate`. A line is given once, even if CloudWatch shows it late.
pub async fn follow_logs(
    rollouts: &dyn Rollouts,
    target: &Target,
    query: &LogQuery,
    options: &FollowOptions,
    on_line: &mut (dyn FnMut(LogEvent) + Send),
) -> Result<(), DeployError> {
    let mut query = LogQuery {
        limit: None,
        token: None,
        ..query.clone()
    };
    let mut seen: BTreeSet<(Timestamp, String)> = BTreeSet::new();
    let mut pace = Pace::new(options.poll);
    let mut trouble = Trouble::default();
    loop {
        match logs(rollouts, target, &query).await {
            Ok(events) => {
                trouble = Trouble::default();
                let new: Vec<_> = events
                    .into_iter()
                    .filter(|event| seen.insert((event.at, event.id.clone())))
                    .collect();
                pace.after(!new.is_empty());
                new.into_iter().for_each(&mut *on_line);
                if let Some(since) = seen
                    .last()
                    .and_then(|(at, _)| at.checked_sub(LOG_OVERLAP).ok())
                {
                    query.since = query.since.max(Some(since));
                    seen.retain(|(at, _)| *at >= since);
                }
            }
            Err(DeployError::Cloud(failure)) => {
                trouble.bear(&failure, options.tolerate)?;
                pace.after_failure();
            }
            Err(error) => return Err(error),
        }
        sleep(pace.next()).await;
    }
}

/// What is followed, and what is known of it.
struct Follower<'a> {
    rollouts: &'a dyn Rollouts,
    target: &'a Target,
    id: Id,
    options: &'a FollowOptions,
    known: Snapshot,
    /// Parts that AWS refuses to show, said once each.
    limited: BTreeSet<Part>,
    /// How often the log of a failed task was asked for, by the task's id.
    log_tries: BTreeMap<String, u32>,
    /// How many polls in a row its deployment has been going on.
    rested: u32,
    watchman: Watchman<'a>,
}

impl<'a> Follower<'a> {
    fn new(
        rollouts: &'a dyn Rollouts,
        target: &'a Target,
        id: &Id,
        options: &'a FollowOptions,
        guard: Guard<'a>,
    ) -> Self {
        Self {
            rollouts,
            target,
            id: id.clone(),
            options,
            known: Snapshot::default(),
            limited: BTreeSet::new(),
            log_tries: BTreeMap::new(),
            rested: 0,
            watchman: Watchman::new(guard),
        }
    }

    async fn run(&mut self, on_event: &mut OnEvent<'_>) -> Result<Verdict, DeployError> {
        let deadline = self.options.timeout.map(|timeout| Instant::now() + timeout);
        let Some(deadline) = deadline else {
            return self.follow(on_event).await;
        };
        // A poll that hangs must not outlive the time to follow.
        match timeout_at(deadline, self.follow(on_event)).await {
            Ok(followed) => followed,
            Err(_) => Ok(rollout::verdict(&self.known)),
        }
    }

    async fn follow(&mut self, on_event: &mut OnEvent<'_>) -> Result<Verdict, DeployError> {
        let start = Instant::now();
        let mut pace = Pace::new(self.options.poll);
        let mut trouble = Trouble::default();
        loop {
            match self.poll(on_event).await {
                Ok(Polled { found, news }) => {
                    if let Some(failures) = trouble.end() {
                        on_event(Event::PollRecovered { failures });
                    }
                    if found && self.is_reached() {
                        return Ok(rollout::verdict(&self.known));
                    }
                    if !found && (start.elapsed() >= self.options.appear || !is_named(&self.id)) {
                        return Err(missing(&self.id));
                    }
                    pace.after(news);
                }
                Err(failure) => {
                    let left = trouble.bear(&failure, self.options.tolerate)?;
                    if trouble.failures == 1 {
                        on_event(Event::PollFailed {
                            failure,
                            tolerated_seconds: left.as_secs(),
                        });
                    }
                    pace.after_failure();
                }
            }
            let acted = self
                .guard_until(Instant::now() + pace.next(), on_event)
                .await;
            if acted {
                pace.after(true);
            }
        }
    }

    /// Lets the guard do what it has to until the next poll is due; whether it has done anything to the rollout.
    async fn guard_until(&mut self, poll: Instant, on_event: &mut OnEvent<'_>) -> bool {
        loop {
            let (rollouts, target) = (self.rollouts, self.target);
            let mut said = false;
            let attended = self
                .watchman
                .attend(rollouts, target, &self.known, &mut |event| {
                    said |= matches!(event, Event::Rerouted { .. } | Event::Intervened { .. });
                    on_event(event);
                })
                .await;
            if attended.is_some() {
                self.known.intervention = attended;
            }
            if said {
                return true;
            }
            match self.watchman.due() {
                Some(due) if due < poll => sleep_until(due).await,
                _ => {
                    sleep_until(poll).await;
                    return false;
                }
            }
        }
    }

    fn is_reached(&self) -> bool {
        let verdict = rollout::verdict(&self.known);
        verdict.is_final()
            || match self.options.until {
                WaitUntil::Done => false,
                WaitUntil::Ready => matches!(verdict, Verdict::WaitingForHuman { .. }),
                WaitUntil::OldTasks => {
                    matches!(
                        verdict,
                        Verdict::StillRunning {
                            waiting_for: Wait::OldTasks { .. },
                            ..
                        }
                    )
                }
                WaitUntil::Point(point) => {
                    rollout::has_reached(&self.known, point)
                        || matches!(verdict, Verdict::WaitingForHuman { .. })
                }
            }
    }

    /// One look at AWS: passes on what is new.
    async fn poll(&mut self, on_event: &mut OnEvent<'_>) -> Result<Polled, CloudFailure> {
        if matches!(self.id, Id::InFlight | Id::Latest | Id::Commit(_)) {
            match resolve(self.rollouts, self.target, &self.id).await? {
                Some(id) => self.id = id,
                None => {
                    return Ok(Polled {
                        found: false,
                        news: false,
                    });
                }
            }
        }
        let Some(fetched) = self.fetch(on_event).await? else {
            return Ok(Polled {
                found: false,
                news: false,
            });
        };
        let mut current = rollout::carry(&self.known, fetched);
        self.look_closer(&mut current, on_event).await;
        // Who leaves at Ready checks nothing.
        current.checked = self.options.until != WaitUntil::Ready && self.watchman.decides();
        let events = rollout::events(&self.known, &current);
        self.known = current;
        let news = !events.is_empty();
        events.into_iter().for_each(&mut *on_event);
        Ok(Polled { found: true, news })
    }

    /// Whether the execution need not be asked for this time: while its deployment goes on, it does nothing but wait for it.
    fn execution_rests(&mut self) -> bool {
        let goes_on = self.known.deployment.as_ref().is_some_and(|deployment| {
            let execution = self.known.execution.as_ref();
            execution.and_then(Execution::deployment_id) == Some(&deployment.id)
                && !rollout::phase(deployment).is_over()
        });
        self.rested = if goes_on { self.rested + 1 } else { 0 };
        !self.rested.is_multiple_of(EXECUTION_EVERY)
    }

    /// A snapshot; `None` when what is followed doesn't exist (yet).
    async fn fetch(
        &mut self,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Option<Snapshot>, CloudFailure> {
        let (rollouts, target) = (self.rollouts, self.target);
        let mut snapshot = Snapshot {
            at: rollouts.now(),
            ..Snapshot::default()
        };
        let deployment = match self.id.clone() {
            Id::Execution(id) => {
                snapshot.execution = if self.execution_rests() {
                    self.known.execution.clone()
                } else {
                    let execution = rollouts.execution(target, &id).await?;
                    execution.or_else(|| self.known.execution.clone())
                };
                match &snapshot.execution {
                    Some(execution) => {
                        let known = self
                            .known
                            .deployment
                            .as_ref()
                            .map(|deployment| deployment.id.clone());
                        deployment_of(rollouts, target, execution).await?.or(known)
                    }
                    None => return Ok(None),
                }
            }
            Id::Deployment(id) => Some(id),
            Id::InFlight | Id::Latest | Id::Commit(_) => return Ok(None),
        };
        if let Some(id) = deployment {
            self.fetch_deployment(&id, &mut snapshot, on_event).await?;
        }
        let found = snapshot.execution.is_some()
            || snapshot.deployment.is_some()
            || self.known.deployment.is_some();
        Ok(found.then_some(snapshot))
    }

    async fn fetch_deployment(
        &mut self,
        id: &str,
        snapshot: &mut Snapshot,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), CloudFailure> {
        let (rollouts, target) = (self.rollouts, self.target);
        let settings_known =
            self.known.settings.is_some() || self.limited.contains(&Part::Settings);
        let settings = async {
            if settings_known {
                None
            } else {
                Some(rollouts.settings(target).await)
            }
        };
        let tasks_known = self.known.stopped_tasks.iter();
        let tasks_known: BTreeSet<String> = tasks_known.map(|task| task.id.clone()).collect();
        let tasks_hidden = self.limited.contains(&Part::Tasks);
        let tasks = async {
            if tasks_hidden {
                None
            } else {
                Some(rollouts.stopped_tasks(target, &tasks_known).await)
            }
        };
        let (deployment, settings, listeners, health, tasks) = futures::join!(
            rollouts.deployment(target, id),
            settings,
            rollouts.listeners(target),
            rollouts.health(target),
            tasks,
        );
        snapshot.deployment = deployment?;
        if let Some(settings) = settings {
            snapshot.settings = self.part(Part::Settings, settings, on_event);
        }
        snapshot.listeners = self.part(Part::Listeners, listeners, on_event);
        snapshot.health = self.part(Part::Health, health, on_event);
        let tasks = tasks.and_then(|tasks| self.part(Part::Tasks, tasks, on_event));
        snapshot.stopped_tasks = tasks.unwrap_or_default();
        self.name_definitions(snapshot, on_event).await;
        let failed = snapshot
            .deployment
            .as_ref()
            .or(self.known.deployment.as_ref());
        if let Some(rollback) = failed
            .and_then(Deployment::rolled_back_by)
            .map(str::to_owned)
        {
            snapshot.rollback = rollouts.deployment(target, &rollback).await?;
        }
        Ok(())
    }

    /// CodeDeploy doesn't tell what a task set runs: ECS is asked when one is new.
    async fn name_definitions(&mut self, snapshot: &mut Snapshot, on_event: &mut OnEvent<'_>) {
        let known = self.known.deployment.iter();
        let known: BTreeSet<&str> = known
            .flat_map(|deployment| &deployment.task_sets)
            .filter(|set| set.task_definition.is_some())
            .map(|set| set.id.as_str())
            .collect();
        let sets = snapshot.deployment.iter_mut();
        let mut unknown: Vec<&mut TaskSet> = sets
            .flat_map(|deployment| &mut deployment.task_sets)
            .filter(|set| set.task_definition.is_none() && !known.contains(set.id.as_str()))
            .collect();
        if unknown.is_empty() || self.limited.contains(&Part::Service) {
            return;
        }
        let service = self.rollouts.service(self.target).await;
        let Some(service) = self.part(Part::Service, service, on_event) else {
            return;
        };
        for set in &mut unknown {
            let found = service.task_sets.iter().find(|found| found.id == set.id);
            set.task_definition = found.and_then(|found| found.task_definition.clone());
        }
    }

    /// What is only asked for once something has failed: what a task or a build said last, which alarm fires.
    async fn look_closer(&mut self, current: &mut Snapshot, on_event: &mut OnEvent<'_>) {
        for (task, stream) in self.logs_wanted(current) {
            let lines = self.tail(&stream, on_event).await;
            let known = current.stopped_tasks.iter_mut();
            if let Some(known) = known.into_iter().find(|known| known.id == task) {
                known.log = lines;
            }
        }
        if let Some(names) = alarms_wanted(current)
            && !self.limited.contains(&Part::Alarms)
        {
            let alarms = self.rollouts.alarms(&names).await;
            current.alarms = self.part(Part::Alarms, alarms, on_event);
        }
        if let Some(id) = build_wanted(current)
            && !self.limited.contains(&Part::Build)
        {
            let build = self.rollouts.build(&id).await;
            let build = self.part(Part::Build, build, on_event).flatten();
            current.build = match build {
                Some(build) => Some(self.with_lines(build, on_event).await),
                None => None,
            };
        }
    }

    /// The failed tasks whose last lines aren't known, with their streams: the first few of them.
    fn logs_wanted(&mut self, current: &Snapshot) -> Vec<(String, LogStream)> {
        let Some(deployment) = &current.deployment else {
            return Vec::new();
        };
        let failed = rollout::failures(deployment, current);
        let first = failed.into_iter().take(LOGGED_TASKS);
        let mut wanted = Vec::new();
        for task in first.filter(|task| task.log.is_empty()) {
            let tries = self.log_tries.entry(task.id.clone()).or_default();
            if let Some(stream) = log_stream(self.target, task)
                && *tries < LOG_TRIES
            {
                *tries += 1;
                wanted.push((task.id.clone(), stream));
            }
        }
        wanted
    }

    async fn with_lines(&mut self, mut build: Build, on_event: &mut OnEvent<'_>) -> Build {
        if let Some(stream) = build.log.clone() {
            build.lines = self.tail(&stream, on_event).await;
        }
        build
    }

    async fn tail(&mut self, stream: &LogStream, on_event: &mut OnEvent<'_>) -> Vec<String> {
        if self.limited.contains(&Part::Logs) {
            return Vec::new();
        }
        let lines = self.rollouts.log_tail(stream, LAST_LINES).await;
        self.part(Part::Logs, lines, on_event).unwrap_or_default()
    }

    /// A part that the following can do without: a passing failure leaves it as it was known, any other is said once.
    fn part<T>(
        &mut self,
        part: Part,
        answer: Result<T, CloudFailure>,
        on_event: &mut OnEvent<'_>,
    ) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(failure) if failure.is_transient() => {
                tracing::debug!(?part, %failure, "a part of the picture is late");
                None
            }
            Err(failure) => {
                if self.limited.insert(part) {
                    on_event(Event::ViewLimited { part, failure });
                }
                None
            }
        }
    }
}

/// Where a failed task's container has logged; none that never began has.
fn log_stream(target: &Target, task: &StoppedTask) -> Option<LogStream> {
    let container = task.failed_container()?;
    container.exit_code?;
    Some(LogStream {
        group: target.log_group.clone(),
        stream: format!("{}/{}/{}", target.log_prefix, container.name, task.id),
    })
}

/// The names of the alarms, where one of them has stopped the deployment and it isn't known which.
fn alarms_wanted(current: &Snapshot) -> Option<Vec<String>> {
    let error = current.deployment.as_ref()?.error.as_ref()?;
    let names = &current.settings.as_ref()?.alarms;
    let wanted = error.code == "ALARM_ACTIVE" && current.alarms.is_none() && !names.is_empty();
    wanted.then(|| names.clone())
}

/// The build that has failed, where no more is known of it.
fn build_wanted(current: &Snapshot) -> Option<String> {
    let stages = current
        .execution
        .iter()
        .flat_map(|execution| &execution.stages);
    let mut actions = stages.flat_map(|stage| &stage.actions);
    let failed = actions.find(|action| {
        action.status == Some(StepStatus::Failed) && action.provider.as_deref() == Some("CodeBuild")
    })?;
    let id = failed.external_id.as_ref()?;
    let known = current.build.as_ref().is_some_and(|build| build.id == *id);
    (!known).then(|| id.clone())
}

/// What a poll brought.
struct Polled {
    /// Whether what is followed exists.
    found: bool,
    /// Whether anything was new.
    news: bool,
}

/// The time between polls: short after news, longer and longer without.
struct Pace {
    poll: Poll,
    wait: Duration,
}

impl Pace {
    fn new(poll: Poll) -> Self {
        Self {
            poll,
            wait: poll.every,
        }
    }

    fn after(&mut self, news: bool) {
        self.wait = if news {
            self.poll.every
        } else {
            (self.wait * 5 / 4).min(self.longest())
        };
    }

    fn after_failure(&mut self) {
        self.wait = (self.wait * 2).min(self.longest());
    }

    fn next(&self) -> Duration {
        self.wait
    }

    fn longest(&self) -> Duration {
        self.poll.at_most.max(self.poll.every)
    }
}

/// A row of failed polls.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    failures: u32,
}

impl Trouble {
    /// Counts a failure, and gives how long more of them are tolerated; a failure that asking again can't cure, or one
    /// too many, is given back.
    fn bear(
        &mut self,
        failure: &CloudFailure,
        tolerate: Duration,
    ) -> Result<Duration, CloudFailure> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures += 1;
        match tolerate.checked_sub(since.elapsed()) {
            Some(left) if failure.is_transient() => Ok(left),
            _ => Err(failure.clone()),
        }
    }

    /// Ends the row, and gives its length if there was one.
    fn end(&mut self) -> Option<u32> {
        self.since.take()?;
        Some(std::mem::take(&mut self.failures))
    }
}

/// The deployment in flight of `id`, or the given one, with where it stands.
pub(crate) async fn deployment(
    rollouts: &dyn Rollouts,
    target: &Target,
    id: &Id,
) -> Result<Option<(Deployment, Phase)>, DeployError> {
    let id = match id {
        Id::Commit(commit) => match of_commit(rollouts, target, commit).await? {
            Some(execution) => execution,
            None => return Err(missing(id)),
        },
        id => id.clone(),
    };
    let id = match &id {
        Id::Deployment(id) => Some(id.clone()),
        Id::Execution(id) => {
            let execution = rollouts.execution(target, id).await?;
            let execution = execution.ok_or_else(|| missing(&Id::Execution(id.clone())))?;
            deployment_of(rollouts, target, &execution).await?
        }
        Id::InFlight => in_flight(rollouts, target).await?,
        Id::Commit(_) => None,
        Id::Latest => rollouts
            .deployments(target, Which::All, 1)
            .await?
            .into_iter()
            .next()
            .map(|newest| newest.id),
    };
    let Some(id) = id else { return Ok(None) };
    let found = rollouts.deployment(target, &id).await?;
    let found = found.ok_or_else(|| missing(&Id::Deployment(id)))?;
    let phase = rollout::phase(&found);
    Ok(Some((found, phase)))
}

/// The deployment that an execution has created: by its id, or, as long as AWS doesn't tell that, the one in flight that is
/// younger than the deploy action. A group runs one deployment at a time, so there is no second candidate.
async fn deployment_of(
    rollouts: &dyn Rollouts,
    target: &Target,
    execution: &Execution,
) -> Result<Option<String>, CloudFailure> {
    if let Some(id) = execution.deployment_id() {
        return Ok(Some(id.to_owned()));
    }
    let running = execution
        .deploy_action()
        .filter(|action| action.status == Some(StepStatus::InProgress));
    let Some(started) = running.and_then(|action| action.started) else {
        return Ok(None);
    };
    let in_flight = rollouts
        .deployments(target, Which::InFlight, RECENT)
        .await?;
    let own = in_flight
        .into_iter()
        .find(|deployment| deployment.created.is_some_and(|created| created >= started));
    Ok(own.map(|deployment| deployment.id))
}

/// The deployment in flight. One that AWS calls Succeeded too early (AWS.md §9 item 2) is found as the newest of all.
async fn in_flight(
    rollouts: &dyn Rollouts,
    target: &Target,
) -> Result<Option<String>, CloudFailure> {
    if let Some(deployment) = rollouts
        .deployments(target, Which::InFlight, RECENT)
        .await?
        .into_iter()
        .next()
    {
        return Ok(Some(deployment.id));
    }
    let Some(newest) = rollouts
        .deployments(target, Which::All, 1)
        .await?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let deployment = rollouts.deployment(target, &newest.id).await?;
    Ok(deployment
        .filter(|deployment| !rollout::phase(deployment).is_over())
        .map(|deployment| deployment.id))
}

pub(crate) fn is_running(status: &ExecutionStatus) -> bool {
    matches!(
        status,
        ExecutionStatus::InProgress | ExecutionStatus::Stopping | ExecutionStatus::Other(_)
    )
}

/// A thing that doesn't exist is no failure here: an app without a pipeline can still be deployed to.
pub(crate) fn or_none<T>(answer: Result<T, CloudFailure>) -> Result<Option<T>, CloudFailure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether somebody gave the id, so that it may be only late to appear.
fn is_named(id: &Id) -> bool {
    matches!(id, Id::Execution(_) | Id::Deployment(_) | Id::Commit(_))
}

pub(crate) fn missing(id: &Id) -> DeployError {
    match id {
        Id::Execution(id) => DeployError::not_found(format!("pipeline execution {id}")),
        Id::Deployment(id) => DeployError::not_found(format!("deployment {id}")),
        Id::Commit(commit) => {
            DeployError::not_found(format!("pipeline execution of commit {commit}"))
        }
        Id::InFlight => DeployError::NothingInFlight,
        Id::Latest => DeployError::not_found("rollout"),
    }
}
