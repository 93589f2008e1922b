//! Rollouts as they go: one line an event, or a JSON line. Must not judge how a rollout stands.

use ecspipe_deploy::{
    DeployError, Event, Followed, Health, Intervention, Label, LifecycleStatus, Listener,
    LogSource, Part, Point, Route, StartedBy, StepStatus, StoppedContainer, Timestamp, Trigger,
    Verdict, Wait, WaitUntil,
};

use crate::args::{Format, Global};
use crate::report::style::Style;
use crate::world::World;

/// Shows events.
pub(crate) struct Follow<'a> {
    world: &'a World,
    style: Style,
    json: bool,
    now: Box<dyn Fn() -> Timestamp + Send + Sync + 'a>,
}

impl<'a> Follow<'a> {
    /// `now` is the account's clock: on a sandbox it isn't the wall's.
    pub(crate) fn new(
        world: &'a World,
        global: &Global,
        now: impl Fn() -> Timestamp + Send + Sync + 'a,
    ) -> Self {
        Self {
            world,
            style: Style::of(world, global),
            json: global.format == Format::Json,
            now: Box::new(now),
        }
    }

    /// One event.
    pub(crate) fn event(&self, event: &Event) {
        if self.json {
            return super::json(self.world, event);
        }
        if let Some(text) = self.line(event) {
            let time = (self.now)().strftime("%H:%M:%S").to_string();
            self.world.err(format!("{} {text}", self.style.dim(&time)));
        }
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
            Event::RollbackStarted {
                rollback, message, ..
            } => {
                format!(
                    "{} CodeDeploy rolls back with deployment {rollback}{}",
                    style.bad("↩"),
                    why(message.as_deref())
                )
            }
            Event::LifecycleEventStarted { .. } => return None,
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
                        format!(" {status}{}", why(diagnostics.as_deref()))
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
                reason,
                container,
                failures,
                ..
            } => format!(
                "    {} new task {} failed{}{}",
                style.bad("✗"),
                short_task(task),
                failed(container.as_ref(), reason.as_deref()),
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
                let title = match source {
                    LogSource::Build { .. } => "the build said last:".to_owned(),
                    LogSource::Task { task, container } => {
                        format!("{container} in task {} said last:", short_task(task))
                    }
                };
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
            Event::WaitEntered { wait, until } => {
                let text = waiting(wait)?;
                let until = until
                    .map(|until| format!(" (until {})", until.strftime("%H:%M:%S")))
                    .unwrap_or_default();
                format!("  {} {text}{until}", style.change("…"))
            }
            Event::PollFailed {
                failure,
                tolerated_seconds,
            } => {
                format!("AWS could not be asked ({failure}); trying on for {tolerated_seconds} s")
            }
            Event::PollRecovered { failures } => {
                format!("AWS answers again after {failures} failures")
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
        if self.json {
            return;
        }
        let (WaitUntil::Point(point), verdict) = (until, &followed.verdict) else {
            return self.verdict(&followed.verdict);
        };
        match (&followed.reached, verdict) {
            (Some(_), Verdict::Succeeded) => self.verdict(verdict),
            (Some(_), _) => {
                let line = format!("reached: {}", point_name(point));
                self.world.err(self.style.good(&line));
                let next = "go on following with `ecspipe watch`";
                self.world
                    .err(format!("{} {next}", self.style.note("next:")));
            }
            (None, Verdict::WaitingForHuman { .. }) => {
                let line = format!("not before you act: {}", point_name(point));
                self.world.err(self.style.change(&line));
                self.verdict(verdict);
            }
            (None, _) => self.verdict(verdict),
        }
    }

    /// The end of the following: one line that says how it stands, and the next step.
    pub(crate) fn verdict(&self, verdict: &Verdict) {
        if self.json {
            return;
        }
        let style = &self.style;
        let (line, next) = match verdict {
            Verdict::Succeeded => (style.good("succeeded: production serves the new version"), None),
            Verdict::RolledBack { why, rollback } => (
                style.bad(&format!("rolled back: {why}")),
                Some(why.next.clone().unwrap_or_else(|| {
                    format!("production serves the old version again (deployment {rollback}); `ecspipe logs` shows what the tasks said")
                })),
            ),
            Verdict::Failed { why } => (
                style.bad(&format!("failed: {why}")),
                Some(why.next.clone().unwrap_or_else(|| {
                    "`ecspipe status` shows what serves production; mend the cause and deploy again".to_owned()
                })),
            ),
            Verdict::Stopped { why } => (
                style.bad(&format!("stopped: {why}")),
                Some(why.next.clone().unwrap_or_else(|| "`ecspipe status` shows what serves production".to_owned())),
            ),
            Verdict::Superseded => (style.bad("superseded: a newer execution of the pipeline overtook this one"), Some("follow it with `ecspipe watch`".to_owned())),
            Verdict::Cancelled => (style.bad("cancelled: the pipeline changed under it"), Some("start again with `ecspipe deploy`".to_owned())),
            Verdict::WaitingForHuman { waiting_for, until, .. } => {
                let until = until.map(|until| format!(", until {}", until.strftime("%H:%M:%S"))).unwrap_or_default();
                let line = format!("waiting for you{until}");
                let next = match waiting_for {
                    Wait::PipelineApproval { .. } => "approve it in the pipeline's console",
                    _ => "look at the test URL, then `ecspipe reroute`, or `ecspipe stop`",
                };
                (style.change(&line), Some(next.to_owned()))
            }
            Verdict::StillRunning { waiting_for, .. } => {
                let what = waiting(waiting_for).unwrap_or_else(|| "AWS".to_owned());
                (style.change(&format!("still running: {what}")), Some("go on following with `ecspipe watch`".to_owned()))
            }
        };
        self.world.err(line);
        for detail in details(verdict) {
            self.world.err(format!("  {detail}"));
        }
        if let Some(next) = next {
            self.world.err(format!("{} {next}", style.note("next:")));
        }
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

/// What else is known of a bad end.
fn details(verdict: &Verdict) -> &[String] {
    match verdict {
        Verdict::RolledBack { why, .. } | Verdict::Failed { why } | Verdict::Stopped { why } => {
            &why.details
        }
        _ => &[],
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
        Wait::Traffic { .. } => "shifting production traffic in steps".to_owned(),
        Wait::OldTasks { .. } => "keeping the old tasks warm".to_owned(),
        Wait::RollbackStart { .. } => "waiting for CodeDeploy to roll back".to_owned(),
        Wait::Rollback { .. } => "rolling back".to_owned(),
        Wait::Status { status } => format!("waiting: AWS says {status}"),
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
fn short_id(id: &str) -> &str {
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
