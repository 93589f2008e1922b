//! Rollouts as they go: one line an event, a JSON line, or a tree that is drawn anew as it grows. Must not judge how a rollout
//! stands.

mod course;
mod page;
mod picture;
mod summary;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecspipe_deploy::{
    DeployError, Event, Followed, Health, Intervention, Label, LifecycleStatus, Listener,
    LogSource, Part, Point, Reason, Route, StartedBy, StepStatus, StopCode, StoppedContainer,
    Timestamp, Trigger, Verdict, Wait, WaitUntil,
};

use crate::args::{Format, Global};
use crate::exit::Failure;
use crate::files;
use crate::place::Place;
use crate::report::ci::{Ci, Grade};
use crate::report::console_links::{Consoles, Link};
use crate::report::style::Style;
use crate::world::World;
use course::Told;
use picture::Picture;

/// How often a tree is drawn anew when nothing happens: its clocks tick.
const TICK: Duration = Duration::from_millis(250);

/// Shows events.
pub(crate) struct Follow<'a> {
    world: &'a World,
    style: Style,
    view: View,
    /// An emulator has no consoles.
    is_aws: bool,
    seen: Mutex<Seen>,
    record: Option<Record>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync + 'a>,
}

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    picture: Picture,
    /// Every event, where a record is kept.
    told: Vec<Told>,
    /// The group of lines that is open.
    group: Option<String>,
    /// How it ended, in words.
    words: Option<Words>,
    /// What was said last, by what it was about.
    said: BTreeMap<String, String>,
}

/// What is kept of a rollout beyond what is shown as it goes.
struct Record {
    app: String,
    place: String,
    consoles: Option<Consoles>,
    page: Option<PathBuf>,
}

/// How a rollout stands, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// Whether that is good.
    tone: Tone,
    /// In a line.
    line: String,
    /// What else is known.
    details: Vec<String>,
    /// The next step.
    next: Option<String>,
}

/// Whether something is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Waiting,
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// A JSON line each, to stdout.
    Json,
    /// A line each, to stderr.
    Lines,
    /// A tree on a terminal, with lines above it for what has no place in it.
    Tree,
}

/// Something that happened in a rollout, and when.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[schemars(title = "Event of a rollout")]
struct Line<'a> {
    /// When, on the account's clock.
    at: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> Follow<'a> {
    /// `now` is the account's clock: on a sandbox it isn't the wall's.
    pub(crate) fn new(
        world: &'a World,
        global: &Global,
        now: impl Fn() -> Timestamp + Send + Sync + 'a,
    ) -> Self {
        let view = match global.format {
            Format::Json => View::Json,
            Format::Human if world.live => View::Tree,
            Format::Human => View::Lines,
        };
        Self {
            world,
            style: Style::of(world, global),
            view,
            is_aws: global.endpoint_url.is_none(),
            seen: Mutex::default(),
            record: None,
            now: Box::new(now),
        }
    }

    /// Also keeps a record of the rollout, for the summary of a build service and, where it is asked for, as a page in a file.
    /// That one is written at once, so that nothing is begun whose report can't be kept.
    pub(crate) fn recording(mut self, place: &Place, page: Option<&Path>) -> Result<Self, Failure> {
        let target = place.target();
        let consoles = match self.is_aws && place.sandbox.is_none() {
            true => Consoles::new(&place.facts, &target),
            false => None,
        };
        self.record = Some(Record {
            app: target.app,
            place: format!("{}, account {}", place.facts.region, place.facts.account),
            consoles,
            page: page.map(|page| self.world.path(page)),
        });
        if let Some(page) = page {
            let written = self.write_page();
            written.map_err(|error| Failure::file("write", page, &error))?;
        }
        Ok(self)
    }

    /// One event.
    pub(crate) fn event(&self, event: &Event) {
        let at = (self.now)();
        let is_pictured = self.take(at, event);
        match self.view {
            View::Json => super::json(self.world, &Line { at, event }),
            View::Lines => self.tell_in_groups(at, event),
            View::Tree => {
                if !is_pictured {
                    self.tell(at, event);
                }
                self.draw();
            }
        }
    }

    /// Does `work` while the tree's clocks tick.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        if self.view != View::Tree {
            return work.await;
        }
        let mut ticks = tokio::time::interval(TICK);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.draw(),
            }
        }
    }

    fn take(&self, at: Timestamp, event: &Event) -> bool {
        let mut seen = self.seen();
        let is_pictured = seen.picture.take(at, event);
        if self.record.is_none() {
            return is_pictured;
        }
        seen.told.push(Told {
            at,
            event: event.clone(),
            text: self.line(event),
        });
        drop(seen);
        // There is one whenever the rollout comes to another step: the page is never much older.
        if matches!(event, Event::WaitEntered { .. }) {
            self.keep_page();
        }
        is_pictured
    }

    /// The lines of a stage, or of a deployment without a pipeline, can be folded where the build service folds.
    fn tell_in_groups(&self, at: Timestamp, event: &Event) {
        let group = match event {
            Event::StageStarted { stage } => Some(stage.clone()),
            Event::DeploymentFound { deployment, .. } if self.seen().group.is_none() => {
                Some(format!("deployment {deployment}"))
            }
            Event::RollbackStarted { rollback, .. } => Some(format!("rollback {rollback}")),
            _ => None,
        };
        if let Some(group) = group {
            self.close_group(at);
            Ci::of(self.world).open(self.world, &group, at);
            self.seen().group = Some(group);
        }
        // What closes a group is seen when it is folded.
        if matches!(event, Event::StageEnded { .. } | Event::Ended { .. }) {
            self.close_group(at);
        }
        self.tell(at, event);
    }

    fn close_group(&self, at: Timestamp) {
        let group = self.seen().group.take();
        if let Some(group) = group {
            Ci::of(self.world).close(self.world, &group, at);
        }
    }

    fn tell(&self, at: Timestamp, event: &Event) {
        if let Some(text) = self.line(event).filter(|text| self.is_news(event, text)) {
            let time = at.strftime("%H:%M:%S").to_string();
            self.world.err(format!("{} {text}", self.style.dim(&time)));
        }
    }

    fn draw(&self) {
        let (rows, columns) = self.world.size();
        let size = tree::Size {
            width: columns.saturating_sub(1),
            // The cursor stands below.
            height: rows.saturating_sub(1).max(1),
        };
        let lines = tree::tree(&self.seen().picture, size, (self.now)(), &self.style);
        self.world.draw(&lines);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line says more than the last one about the same thing did: more changes of task sets than is shown of them, and a
    /// deployment that this command has made is found again.
    fn is_news(&self, event: &Event, text: &str) -> bool {
        let (of, said) = match event {
            Event::TaskSetChanged { label, .. } => {
                (format!("{} tasks", side(label.as_ref())), text.to_owned())
            }
            Event::DeploymentCreated { deployment, .. }
            | Event::DeploymentFound { deployment, .. } => {
                ("deployment".to_owned(), deployment.clone())
            }
            _ => return true,
        };
        self.seen().said.insert(of, said.clone()) != Some(said)
    }

    fn line(&self, event: &Event) -> Option<String> {
        let style = &self.style;
        Some(match event {
            Event::BundlePut { version, .. } => {
                format!("deployment files put to S3 (version {version})")
            }
            Event::BundleUnchanged { .. } => "deployment files in S3 are up to date".to_owned(),
            Event::PushAwaited { seconds, .. } => {
                format!("waiting for the pipeline to start by itself (at most {seconds} s)")
            }
            Event::ExecutionStarted { execution, by } => {
                format!("pipeline execution {execution} {}", started(*by))
            }
            Event::TaskDefinitionRegistered { task_definition } => {
                format!("registered {}", short_arn(task_definition))
            }
            Event::DeploymentCreated { deployment, .. } => {
                format!("created deployment {}", style.strong(deployment))
            }
            Event::QueueEntered { deployment, status } => {
                format!("waiting for deployment {deployment} to end ({status})")
            }
            Event::ExecutionFound { execution, trigger } => {
                let by = trigger
                    .as_ref()
                    .map(|trigger| format!(", {}", started_by(trigger)))
                    .unwrap_or_default();
                format!(
                    "following pipeline execution {}{by}",
                    style.strong(execution)
                )
            }
            Event::RevisionsFound { revisions, .. } => {
                let each = revisions.iter().map(|revision| {
                    let summary = revision
                        .summary
                        .as_deref()
                        .filter(|text| !text.contains(&revision.id))
                        .map(|text| format!(" {:?}", text.trim()))
                        .unwrap_or_default();
                    format!("{} {}{summary}", revision.action, short_id(&revision.id))
                });
                format!("sources: {}", each.collect::<Vec<_>>().join(", "))
            }
            Event::ExecutionChanged {
                status, summary, ..
            } => {
                format!("pipeline {}{}", status.as_str(), why(summary.as_deref()))
            }
            Event::StageStarted { stage } => format!("{} {stage}", style.note("▸")),
            Event::StageEnded { stage, status } => {
                format!("{} {stage} {status}", self.mark(status))
            }
            Event::ActionStarted {
                stage,
                action,
                provider,
                ..
            } => {
                let provider = provider
                    .as_deref()
                    .map(|provider| format!(" ({provider})"))
                    .unwrap_or_default();
                if told_by_stage(stage, action) {
                    return None;
                }
                format!("    {action} started{provider}")
            }
            Event::ActionEnded {
                stage,
                action,
                status,
                error,
                url,
                ..
            } => {
                if told_by_stage(stage, action) && error.is_none() {
                    return None;
                }
                let error = error
                    .as_ref()
                    .map(|error| format!(": {} ({})", error.message, error.code))
                    .unwrap_or_default();
                let url = url
                    .as_deref()
                    .filter(|_| *status == StepStatus::Failed)
                    .map(|url| format!("\n             see {url}"))
                    .unwrap_or_default();
                format!("    {action} {status}{error}{url}")
            }
            Event::DeploymentFound {
                deployment,
                task_definition,
                ..
            } => {
                let definition = task_definition
                    .as_deref()
                    .map(|arn| format!(" of {}", short_arn(arn)))
                    .unwrap_or_default();
                format!("deployment {}{definition}", style.strong(deployment))
            }
            Event::DeploymentChanged { status, error, .. } => {
                let error = error
                    .as_ref()
                    .map(|error| format!(": {} ({})", error.message, error.code))
                    .unwrap_or_default();
                format!("deployment {status}{error}")
            }
            // AWS's message says the same, and both ids again.
            Event::RollbackStarted { rollback, .. } => {
                format!(
                    "{} CodeDeploy rolls back with deployment {rollback}",
                    style.bad("↩")
                )
            }
            Event::LifecycleEventStarted { .. } => return None,
            // Whatever would have come after the end.
            Event::LifecycleEventEnded {
                status: LifecycleStatus::Skipped,
                diagnostics: None,
                ..
            } => return None,
            Event::LifecycleEventEnded {
                name,
                status,
                diagnostics,
                ..
            } => {
                let mark = match status {
                    LifecycleStatus::Succeeded => style.good("✓"),
                    LifecycleStatus::Failed => style.bad("✗"),
                    _ => style.dim("·"),
                };
                format!(
                    "  {mark} {name}{}",
                    if *status == LifecycleStatus::Succeeded {
                        String::new()
                    } else {
                        // What is skipped is so by the deployment's end, which says why.
                        let said = diagnostics
                            .as_deref()
                            .filter(|_| *status != LifecycleStatus::Skipped);
                        format!(" {status}{}", why(said))
                    }
                )
            }
            Event::TaskSetChanged {
                label,
                running,
                desired,
                target_group,
                ..
            } => {
                let group = target_group
                    .as_deref()
                    .map(|group| format!(" in {group}"))
                    .unwrap_or_default();
                format!(
                    "    {} tasks: {running} of {desired} running{group}",
                    side(label.as_ref())
                )
            }
            Event::TaskSetDeleted { label, .. } => {
                format!("    {} tasks: gone", side(label.as_ref()))
            }
            Event::HealthChanged {
                target_group,
                health,
            } => format!("    {target_group}: {}", targets_health(health)),
            Event::TargetUnhealthy {
                target_group,
                target,
                reason,
                description,
            } => format!(
                "    {target_group}: {target} fails its health check{} ({reason})",
                why(description.as_deref())
            ),
            Event::TaskFailed {
                task,
                code,
                reason,
                container,
                failures,
                ..
            } => format!(
                "    {} new task {} failed{}{}",
                style.bad("✗"),
                short_task(task),
                failed(
                    // How a container ends that ECS has stopped is no reason.
                    container
                        .as_ref()
                        .filter(|_| *code != Some(StopCode::ServiceSchedulerInitiated)),
                    reason.as_deref()
                ),
                if *failures > 1 {
                    format!(" (failure {failures})")
                } else {
                    String::new()
                }
            ),
            Event::TasksKeepFailing { failures, .. } => {
                style.bad(&format!("  the new tasks keep failing: {failures} so far"))
            }
            Event::LogTail { source, lines } => {
                let title = log_title(source);
                let lines = lines
                    .iter()
                    .map(|line| format!("\n           {} {line}", style.dim("|")));
                format!("    {title}{}", lines.collect::<String>())
            }
            Event::BuildFailed { status, phase, .. } => {
                let phase = phase
                    .as_ref()
                    .map(|phase| format!(" in {}{}", phase.name, why(phase.message.as_deref())))
                    .unwrap_or_default();
                format!("    {} build {status}{phase}", style.bad("✗"))
            }
            Event::AlarmFired { alarm, reason, .. } => format!(
                "  {} alarm {alarm} fired{}",
                style.bad("✗"),
                why(reason.as_deref())
            ),
            Event::ChecksStarted { url, checks, .. } => {
                format!("  {} {checks} checks against {url}", style.change("…"))
            }
            Event::CheckAttempted { check, found, .. } => {
                format!("    · {check}: {found}; trying again")
            }
            Event::CheckPassed { check, times, .. } => {
                let times = if *times > 1 {
                    format!(" ({times} times)")
                } else {
                    String::new()
                };
                format!("    {} {check}{times}", style.good("✓"))
            }
            Event::CheckFailed { check, found, .. } => {
                format!("    {} {check}: {found}", style.bad("✗"))
            }
            Event::Rerouted { .. } => {
                "  all checks passed: production traffic moves to the new version".to_owned()
            }
            Event::Intervened { intervention } => {
                let because = match intervention {
                    Intervention::FailedFast { failures, .. } => {
                        format!("{failures} new tasks failed (`deploy.fail_fast`)")
                    }
                    Intervention::ChecksFailed { check, .. } => format!("check {check} failed"),
                };
                style.bad(&format!("  stopping it, with rollback: {because}"))
            }
            Event::InterventionFailed { failure, .. } => {
                format!("  it could not be stopped or continued from here: {failure}")
            }
            Event::TrafficRouted {
                listener,
                routes,
                percent,
            } => {
                let percent = percent
                    .filter(|_| *listener == Listener::Production)
                    .map(|percent| format!(" ({percent} % new)"))
                    .unwrap_or_default();
                let name = match listener {
                    Listener::Production => "production",
                    Listener::Test => "test",
                };
                format!("    {} → {}{percent}", style.strong(name), targets(routes))
            }
            Event::PutBack {
                target_group,
                task_sets,
            } => {
                let tasks = match task_sets.len() {
                    0 => "",
                    _ => "; the tasks that were to replace it go",
                };
                format!("production goes to {target_group} alone again{tasks}")
            }
            Event::WaitEntered { wait, until } => {
                let text = waiting(wait)?;
                let until = until
                    .map(|until| format!(" (until {})", until.strftime("%H:%M:%S")))
                    .unwrap_or_default();
                format!("  {} {text}{until}", style.change("…"))
            }
            Event::StatusUnknown { of, status } => {
                format!("    {of}: AWS says {status}, which this version of ecspipe doesn't know")
            }
            Event::PollFailed {
                failure,
                tolerated_seconds,
            } => {
                format!("AWS could not be asked ({failure}); trying on for {tolerated_seconds} s")
            }
            Event::PollRecovered { failures } => {
                let plural = if *failures == 1 { "" } else { "s" };
                format!("AWS answers again after {failures} failure{plural}")
            }
            Event::ViewLimited { part, failure } => {
                format!("{} can't be shown: {failure}", part_name(*part))
            }
            // The command says the verdict itself.
            Event::Ended { .. } => return None,
        })
    }

    fn mark(&self, status: &StepStatus) -> String {
        match status {
            StepStatus::Succeeded => self.style.good("✓"),
            StepStatus::Failed => self.style.bad("✗"),
            _ => self.style.dim("·"),
        }
    }

    /// The end of the following, and whether what was waited for has come.
    pub(crate) fn end(&self, followed: &Followed, until: WaitUntil) {
        let (WaitUntil::Point(point), verdict) = (until, &followed.verdict) else {
            return self.verdict(&followed.verdict);
        };
        match (&followed.reached, verdict) {
            (Some(_), Verdict::Succeeded { .. }) => self.verdict(verdict),
            (Some(_), _) => self.close(Words::new(
                Tone::Good,
                format!("reached: {}", point_name(point)),
                Some("go on following with `ecspipe watch`"),
            )),
            (None, Verdict::WaitingForHuman { .. }) => {
                self.world.leave_drawn();
                if self.view != View::Json {
                    let line = format!("not before you act: {}", point_name(point));
                    self.world.err(self.style.change(&line));
                }
                self.verdict(verdict);
            }
            (None, _) => self.verdict(verdict),
        }
    }

    /// The end of the following: one line that says how it stands, and the next step.
    fn verdict(&self, verdict: &Verdict) {
        self.close(words(verdict));
    }

    fn close(&self, words: Words) {
        self.seen().words = Some(words.clone());
        self.world.leave_drawn();
        if self.view == View::Json {
            return;
        }
        let style = &self.style;
        self.world.err(match words.tone {
            Tone::Good => style.good(&words.line),
            Tone::Bad => style.bad(&words.line),
            Tone::Waiting => style.change(&words.line),
        });
        for detail in &words.details {
            self.world.err(format!("  {detail}"));
        }
        if let Some(next) = &words.next {
            self.world.err(format!("{} {next}", style.note("next:")));
        }
        let grade = match words.tone {
            Tone::Good => return,
            Tone::Bad => Grade::Error,
            Tone::Waiting => Grade::Warning,
        };
        let details = words.details.iter().map(|detail| format!("\n{detail}"));
        let next = words.next.iter().map(|next| format!("\nnext: {next}"));
        let said: String = std::iter::once(words.line.clone())
            .chain(details)
            .chain(next)
            .collect();
        Ci::of(self.world).annotate(self.world, grade, None, "rollout", &said);
    }

    /// The page as it stands. Following goes on without it: that it can't be written is said.
    fn keep_page(&self) {
        if let Err(error) = self.write_page() {
            self.world
                .err(format!("the report can't be written: {error}"));
        }
    }

    fn write_page(&self) -> std::io::Result<()> {
        let Some((record, path)) = self
            .record
            .as_ref()
            .and_then(|record| Some((record, record.page.as_ref()?)))
        else {
            return Ok(());
        };
        let seen = self.seen();
        let words = seen.words.clone().unwrap_or_else(Words::unended);
        let page = page::page(&page::Page {
            app: &record.app,
            place: &record.place,
            words: &words,
            picture: &seen.picture,
            told: &seen.told,
            links: &record.links(&seen.picture),
            now: (self.now)(),
        });
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy());
        let name = name.ok_or(std::io::ErrorKind::InvalidFilename)?;
        files::write(folder, &[(&name, &page)])
    }

    fn sum_up(&self) {
        let Some(record) = &self.record else {
            return;
        };
        let seen = self.seen();
        if seen.told.is_empty() {
            return;
        }
        let words = seen.words.clone().unwrap_or_else(Words::unended);
        let links = record.links(&seen.picture);
        let text = summary::summary(
            &record.app,
            &words,
            &seen.picture,
            &seen.told,
            &links,
            (self.now)(),
        );
        Ci::of(self.world).sum_up(self.world, &text);
    }
}

impl Record {
    fn links(&self, picture: &Picture) -> Vec<Link> {
        let Some(consoles) = &self.consoles else {
            return Vec::new();
        };
        let execution = picture.execution.iter();
        let mut links: Vec<Link> = execution
            .map(|found| consoles.execution(&found.id))
            .collect();
        links.extend(
            picture
                .deployments
                .iter()
                .map(|found| consoles.deployment(&found.id)),
        );
        links.extend([consoles.service(), consoles.log()]);
        links
    }
}

impl Words {
    fn new(tone: Tone, line: String, next: Option<&str>) -> Self {
        Self {
            tone,
            line,
            details: Vec::new(),
            next: next.map(ToOwned::to_owned),
        }
    }

    /// A bad end: the reason knows the next step best.
    fn bad(how: &str, why: &Reason, next: &str) -> Self {
        Self {
            details: why.details.clone(),
            ..Self::new(
                Tone::Bad,
                format!("{how}: {why}"),
                Some(why.next.as_deref().unwrap_or(next)),
            )
        }
    }

    /// Of a rollout whose end nobody saw.
    fn unended() -> Self {
        Self::new(
            Tone::Waiting,
            "not followed to its end; the rollout goes on by itself".to_owned(),
            Some("follow it again with `ecspipe watch`"),
        )
    }
}

/// How a rollout stands, and the next step.
fn words(verdict: &Verdict) -> Words {
    match verdict {
        Verdict::Succeeded { task_definition } => {
            let serves = task_definition
                .as_deref()
                .map_or("the new version", short_arn);
            let line = format!("succeeded: production serves {serves}");
            Words::new(Tone::Good, line, None)
        }
        Verdict::RolledBack { why, .. } => Words::bad(
            "rolled back",
            why,
            "deploy again when the cause is mended; `ecspipe logs` shows what the tasks said",
        ),
        Verdict::Failed { why } => Words::bad(
            "failed",
            why,
            "`ecspipe status` shows what serves production; mend the cause and deploy again",
        ),
        Verdict::Stopped { why } => Words::bad(
            "stopped",
            why,
            "`ecspipe status` shows what serves production",
        ),
        Verdict::Superseded => Words::new(
            Tone::Bad,
            "superseded: a newer execution of the pipeline overtook this one".to_owned(),
            Some("follow it with `ecspipe watch`"),
        ),
        Verdict::Cancelled => Words::new(
            Tone::Bad,
            "cancelled: the pipeline changed under it".to_owned(),
            Some("start again with `ecspipe deploy`"),
        ),
        Verdict::WaitingForHuman {
            waiting_for, until, ..
        } => {
            let until = until
                .map(|until| format!(", until {}", until.strftime("%H:%M:%S")))
                .unwrap_or_default();
            let next = match waiting_for {
                Wait::PipelineApproval { .. } => {
                    "`ecspipe approve`, or look at it in the pipeline's console"
                }
                _ => "look at the test URL, then `ecspipe reroute`, or `ecspipe stop`",
            };
            Words::new(Tone::Waiting, format!("waiting for you{until}"), Some(next))
        }
        Verdict::StillRunning { waiting_for, .. } => {
            let what = waiting(waiting_for).or_else(|| working(waiting_for));
            let what = what.unwrap_or_else(|| "AWS works".to_owned());
            Words::new(
                Tone::Waiting,
                format!("still running: {what}"),
                Some("go on following with `ecspipe watch`"),
            )
        }
    }
}

/// The JSON Schema of a line of events.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(Line<'_>).into()
}

/// Whoever leaves early, or is thrown out by an error, leaves the tree as it is then, and a record of it.
impl Drop for Follow<'_> {
    fn drop(&mut self) {
        self.world.leave_drawn();
        self.close_group((self.now)());
        self.keep_page();
        self.sum_up();
    }
}

/// What is so at a point, in words.
fn point_name(point: Point) -> &'static str {
    match point {
        Point::Installed => "the new tasks run and are healthy",
        Point::TestTraffic => "the test listener serves the new version",
        Point::Ready => "the new version waits for you",
        Point::Shifted => "production serves the new version",
        Point::Done => "the rollout is done",
    }
}

/// How a task failed: the container's end where it has one, else what ECS says.
fn failed(container: Option<&StoppedContainer>, reason: Option<&str>) -> String {
    let said = why(container
        .and_then(|container| container.reason.as_deref())
        .or(reason));
    match container.and_then(|container| Some((&container.name, container.exit_code?))) {
        Some((name, code)) => format!(": container {name} ended with exit code {code}{said}"),
        None => said,
    }
}

/// What stands above the last lines of a log.
fn log_title(source: &LogSource) -> String {
    match source {
        LogSource::Build { .. } => "the build said last:".to_owned(),
        LogSource::Task { task, container } => {
            format!("{container} in task {} said last:", short_task(task))
        }
    }
}

/// The beginning of a task's id.
fn short_task(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// What a rollout waits for; `None` where an event before said it.
pub(crate) fn waiting(wait: &Wait) -> Option<String> {
    Some(match wait {
        Wait::Pipeline => {
            "waiting for the pipeline's next stage, which an earlier run may hold".to_owned()
        }
        Wait::Action { .. }
        | Wait::LifecycleEvent { .. }
        | Wait::DeploymentStart { .. }
        | Wait::DeploymentEnd { .. } => return None,
        Wait::PipelineApproval { action, .. } => {
            format!("waiting for somebody to approve {action} in the pipeline")
        }
        Wait::Reroute { .. } => "ready: waiting for `ecspipe reroute`".to_owned(),
        Wait::Checks { .. } => "ready: waiting for the checks".to_owned(),
        Wait::Traffic { .. } => "shifting production traffic".to_owned(),
        Wait::OldTasks { .. } => "keeping the old tasks warm".to_owned(),
        Wait::RollbackStart { .. } => "seeing whether CodeDeploy rolls back".to_owned(),
        Wait::Rollback { .. } => "rolling back".to_owned(),
        Wait::Status { status } => format!("waiting: AWS says {status}"),
    })
}

/// What goes on meanwhile; `None` where [`waiting`] says it.
fn working(wait: &Wait) -> Option<String> {
    Some(match wait {
        Wait::Action { stage, action } => format!("action {action} of stage {stage}"),
        Wait::LifecycleEvent { deployment, name } => format!("{name} of deployment {deployment}"),
        Wait::DeploymentStart { deployment } => format!("deployment {deployment} begins"),
        Wait::DeploymentEnd { deployment } => format!("deployment {deployment} ends"),
        _ => return None,
    })
}

/// How many targets answer. A group that no listener forwards to has none: AWS doesn't check them.
pub(crate) fn targets_health(health: &Health) -> String {
    match health.total {
        0 => "not in use".to_owned(),
        total => format!("{} of {total} healthy", health.healthy),
    }
}

/// `web-green 100 %`, or both with their shares.
pub(crate) fn targets(routes: &[Route]) -> String {
    let sum: i64 = routes.iter().map(|route| route.weight).sum();
    let each = routes.iter().map(|route| match routes.len() {
        1 => route.target_group.clone(),
        _ => format!(
            "{} {} %",
            route.target_group,
            route.weight * 100 / sum.max(1)
        ),
    });
    let text = each.collect::<Vec<_>>().join(" + ");
    if text.is_empty() {
        "nowhere".to_owned()
    } else {
        text
    }
}

fn started(by: StartedBy) -> &'static str {
    match by {
        StartedBy::Push => "started by the change",
        StartedBy::Request => "started",
        StartedBy::Earlier => "is running already with the same files",
    }
}

/// Who or what started an execution, in words; one that AWS adds later is named as AWS does.
fn started_by(trigger: &Trigger) -> String {
    let detail = trigger.detail.as_deref().unwrap_or_default();
    match trigger.kind.as_str() {
        // The detail is the ARN of the event rule: the one for the source, or the one for the bundle.
        "CloudWatchEvent" => format!("started by event rule {}", short_arn(detail)),
        "StartPipelineExecution" => "started by request".to_owned(),
        "CreatePipeline" => "started by the pipeline's creation".to_owned(),
        other => format!("started by {other}"),
    }
}

fn side(label: Option<&Label>) -> &str {
    match label {
        Some(Label::Blue) => "old",
        Some(Label::Green) => "new",
        Some(Label::Other(text)) => text,
        None => "the",
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Settings => "the deployment group's settings",
        Part::Listeners => "where the listeners point",
        Part::Health => "the health of the tasks",
        Part::Service => "the service's task sets",
        Part::Tasks => "why tasks stopped",
        Part::Logs => "what the log said last",
        Part::Build => "how the build ended",
        Part::Alarms => "which alarm fired",
    }
}

fn why(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

/// Whether an action needs no line of its own: its stage bears the same name, or it is a source, whose revision is told.
fn told_by_stage(stage: &str, action: &str) -> bool {
    stage == action || stage == "Source"
}

/// The last part of an ARN: `web:12`.
pub(crate) fn short_arn(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The beginning of a commit's id; anything else as it is.
pub(crate) fn short_id(id: &str) -> &str {
    if id.len() == 40 && id.chars().all(|c| c.is_ascii_hexdigit()) {
        &id[..8]
    } else {
        id
    }
}

/// What a failure of following means for the rollout: it goes on.
pub(crate) fn lost(error: DeployError) -> crate::exit::Failure {
    let mut failure = crate::exit::Failure::from(error);
    let goes_on = "the rollout goes on in AWS: follow it again with `ecspipe watch`";
    match failure.exit {
        // A hint to run the command again would, for `deploy`, be one to start a second rollout.
        crate::exit::Exit::Failed => failure.hint = Some(goes_on.to_owned()),
        _ => {
            failure.hint.get_or_insert_with(|| goes_on.to_owned());
        }
    }
    failure
}
