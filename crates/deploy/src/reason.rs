//! Why a rollout ended badly: of everything that a snapshot shows, the one root cause, with what is known of it and the next
//! step. Pure. Must not decide whether a rollout has ended: that is [`crate::rollout`].

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rollout;
use crate::snapshot::{
    Action, AlarmState, Build, Deployment, DeploymentStatus, Execution, FailingTarget, Fault,
    Intervention, Label, LifecycleEvent, LifecycleStatus, Snapshot, Stage, StepStatus, StopCode,
    StoppedTask,
};

/// How many lines of a log a reason shows.
const LINES: usize = 10;

/// How many failing targets a reason names.
const TARGETS: usize = 3;

/// Why a rollout ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What kind of cause it is.
    pub cause: Cause,
    /// What happened, in one line.
    pub what: String,
    /// What else is known of it, line by line: AWS's own words, who was refused what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The last lines of the log of what failed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The next step, where there is one to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What kind of cause it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The new tasks' containers ended.
    TaskExited,
    /// The new tasks used more memory than they may.
    OutOfMemory,
    /// The image could not be pulled.
    ImageNotPulled,
    /// The image is for another processor.
    WrongArchitecture,
    /// The new tasks could not be started for another reason.
    TaskNotStarted,
    /// The new tasks don't answer their health checks.
    HealthChecks,
    /// A hook failed.
    Hook,
    /// An alarm fired.
    Alarm,
    /// A check against the test listener failed.
    Check,
    /// The build failed.
    Build,
    /// Another action of the pipeline failed.
    PipelineAction,
    /// IAM refused an action.
    Permission,
    /// Somebody stopped it.
    Stopped,
    /// Nobody continued it in time.
    NobodyContinued,
    /// What AWS says, and no more is known.
    Aws,
}

impl Reason {
    /// A reason of which no more is known than AWS's words.
    pub fn aws(what: impl Into<String>) -> Self {
        Self::new(Cause::Aws, what)
    }

    fn new(cause: Cause, what: impl Into<String>) -> Self {
        Self {
            cause,
            what: what.into(),
            details: Vec::new(),
            log: Vec::new(),
            next: None,
        }
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The same with a detail before all others.
    pub(crate) fn first(mut self, detail: String) -> Self {
        self.details.insert(0, detail);
        self
    }

    /// The same with `text` behind what happened.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.what.push_str(text);
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// An action that IAM refused, as AWS's messages of all services say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose action it was: an ARN, where the message names one.
    pub who: Option<String>,
    /// The action, such as `ecr:BatchGetImage`.
    pub action: String,
    /// On what: an ARN.
    pub resource: Option<String>,
    /// Why, such as `no identity-based policy allows the ecr:BatchGetImage action`.
    pub because: Option<String>,
}

impl Refusal {
    /// Finds it in a message: `User: <arn> is not authorized to perform: <action> on resource: <arn> because <why>`.
    pub fn find(message: &str) -> Option<Self> {
        let (before, after) = message.split_once("is not authorized to perform")?;
        let after = after.trim_start_matches(':').trim_start();
        let word = |text: &str| {
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            let word = text[..end].trim_end_matches(['.', ',', ';', ')', '"']);
            (!word.is_empty()).then(|| word.to_owned())
        };
        let action = word(after)?;
        let resource = after
            .split_once(" on resource: ")
            .or_else(|| after.split_once(" on role "))
            .and_then(|(_, rest)| word(rest));
        let who = before.trim_end().rsplit(char::is_whitespace).next();
        let because = after
            .split_once(" because ")
            .or_else(|| after.split_once(" with "))
            .map(|(_, why)| why.lines().next().unwrap_or(why));
        let because = because.map(|why| why.split(" (").next().unwrap_or(why));
        Some(Self {
            who: who.filter(|who| who.starts_with("arn:")).map(str::to_owned),
            action,
            resource,
            because: because.map(|why| why.trim_end_matches(['.', ' ']).to_owned()),
        })
    }

    /// The name of the role or user that lacks the permission, and what is to be done.
    pub fn next(&self) -> String {
        let who = match &self.who {
            // arn:aws:sts::111122223333:assumed-role/NAME/SESSION
            Some(arn) if arn.contains(":assumed-role/") => {
                let name = arn.split('/').nth(1).unwrap_or(arn);
                format!("role {name}")
            }
            Some(arn) => arn.clone(),
            None => "whoever called".to_owned(),
        };
        let action = &self.action;
        format!(
            "allow {who} {action}: `ecspipe up` mends the roles that it made; a boundary or a policy of the organisation may deny it too"
        )
    }
}

/// Why a deployment ended badly.
pub(crate) fn of_deployment(deployment: &Deployment, snapshot: &Snapshot) -> Reason {
    let code = deployment.error.as_ref().map(|error| error.code.as_str());
    let failures = rollout::standing_failures(deployment, snapshot);
    let intervention = snapshot
        .intervention
        .as_ref()
        .filter(|intervention| intervention.deployment() == deployment.id);
    if let Some(Intervention::ChecksFailed { check, found, .. }) = intervention {
        return Reason::new(Cause::Check, format!("check {check} failed: {found}"))
            .next("look at what the test listener serves, mend it, and deploy again");
    }
    if code == Some("ALARM_ACTIVE") {
        return alarm(deployment, snapshot);
    }
    if let Some(hook) = failed_hook(deployment) {
        return of_hook(deployment, hook);
    }
    if let Some(refusal) = refusal_of(deployment) {
        return of_refusal(&aws_words(deployment), &refusal);
    }
    let stopped = code == Some("MANUAL_STOP");
    // A person may stop for reasons of their own while one task fails; a second one is a row.
    let told = failures.len() > usize::from(stopped);
    if let (true, Some(first)) = (told, failures.first()) {
        let task = most_telling(&failures).unwrap_or(first);
        let mut reason = of_task(task, failures.len());
        let seen = last_failing(deployment, snapshot).first();
        if let (true, Some(target)) = (task.fails_health_checks(), seen) {
            reason = reason.detail(format!("the balancer saw at {}", target_said(target)));
        }
        return match intervention {
            Some(Intervention::FailedFast { .. }) => Reason {
                what: format!("{}; stopped by `deploy.fail_fast`", reason.what),
                ..reason
            },
            _ => reason.detail(format!("CodeDeploy: {}", aws_words(deployment))),
        };
    }
    if stopped {
        return Reason::new(Cause::Stopped, aws_words(deployment));
    }
    if nobody_continued(deployment) {
        return Reason::new(Cause::NobodyContinued, aws_words(deployment)).next(
            "deploy again, and let it go on with `ecspipe reroute` within the wait (`deploy.approve.within`)",
        );
    }
    if let Some(failing) = failing_targets(deployment, snapshot) {
        return of_targets(deployment, failing);
    }
    Reason::aws(aws_words(deployment))
}

/// Why a deployment was rolled back, as the deployment says that does it.
pub(crate) fn of_rollback(rollback: &Deployment) -> Reason {
    let of = rollback.rolls_back().unwrap_or("an earlier deployment");
    let message = rollback
        .rollback
        .as_ref()
        .and_then(|info| info.message.as_deref());
    Reason::aws(match message {
        Some(message) => format!("{of} was rolled back: {message}"),
        None => format!("{of} was rolled back"),
    })
}

/// Why an execution of the pipeline ended badly, where it isn't for its deployment.
pub(crate) fn of_execution(execution: &Execution, snapshot: &Snapshot) -> Reason {
    if let Some((stage, action)) = failed_action(execution) {
        return of_action(stage, action, snapshot);
    }
    Reason::aws(execution.status_summary.clone().unwrap_or_else(|| {
        format!(
            "pipeline execution {} ended as {}",
            execution.id, execution.status
        )
    }))
}

// ---- tasks ----

/// The failure that tells the most: one whose log was read, else the first.
fn most_telling<'a>(failures: &[&'a StoppedTask]) -> Option<&'a StoppedTask> {
    let with_log = failures.iter().find(|task| !task.log.is_empty());
    with_log.or(failures.first()).copied()
}

fn of_task(task: &StoppedTask, failures: usize) -> Reason {
    let container = task.failed_container();
    let words = [
        container.and_then(|container| container.reason.as_deref()),
        task.reason.as_deref(),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let says = |text: &str| words.iter().any(|word| word.contains(text));
    let word = words.first().copied().unwrap_or("ECS gives no reason");
    let name = container.map_or("?", |container| container.name.as_str());
    let tasks = match failures {
        1 => "a new task".to_owned(),
        some => format!("{some} new tasks"),
    };
    if let Some(refusal) = words.iter().find_map(|word| Refusal::find(word)) {
        return of_refusal(&format!("{tasks} could not start: {word}"), &refusal);
    }
    let architecture = says("descriptor matching platform")
        || task
            .log
            .iter()
            .any(|line| line.contains("exec format error"));
    let reason = if architecture {
        Reason::new(
            Cause::WrongArchitecture,
            format!("{tasks} can't run: the image of container {name} is for another processor"),
        )
        .detail(word)
        .next("build the image for the processor that `service.architecture` names, or change that")
    } else if says("OutOfMemory") || says("OOM") {
        Reason::new(
            Cause::OutOfMemory,
            format!("{tasks} ran out of memory: container {name} was killed ({word})"),
        )
        .next("raise `service.memory`, or let the app use less")
    } else if says("CannotPull") {
        Reason::new(
            Cause::ImageNotPulled,
            format!("{tasks} could not start: {word}"),
        )
        .next(match limits_pulls(word) {
            true => "wait until the registry lets you pull again, or keep the image in ECR",
            false => {
                "see that the image is in its repository, and that the tasks' subnets reach it"
            }
        })
    } else if task.code == Some(StopCode::TaskFailedToStart) {
        Reason::new(
            Cause::TaskNotStarted,
            format!("{tasks} could not start: {word}"),
        )
        .next("mend what is missing, and deploy again")
    } else if task.fails_health_checks() {
        Reason::new(
            Cause::HealthChecks,
            format!("{tasks} failed the health checks: {word}"),
        )
        .next(HEALTH_NEXT)
    } else {
        let code = container
            .and_then(|container| container.exit_code)
            .map_or_else(String::new, |code| format!(" with exit code {code}"));
        Reason::new(
            Cause::TaskExited,
            format!("{tasks} failed: container {name} ended{code} ({word})"),
        )
        .next("mend what the log says, and deploy again; `ecspipe logs` shows more of it")
    };
    with_log(reason, &task.log)
}

/// Whether a registry refuses to serve more, as Docker Hub does by the address that asks (429).
fn limits_pulls(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["toomanyrequests", "too many requests", "rate limit"]
        .iter()
        .any(|sign| word.contains(sign))
}

const HEALTH_NEXT: &str = "see that the app answers `service.health_check.path` on `service.port` with the wanted status, and soon enough";

fn with_log(reason: Reason, lines: &[String]) -> Reason {
    Reason {
        log: lines[lines.len().saturating_sub(LINES)..].to_vec(),
        ..reason
    }
}

// ---- health ----

/// What the new tasks' target group saw last, where the deployment ended while it waited for them.
fn failing_targets<'a>(
    deployment: &Deployment,
    snapshot: &'a Snapshot,
) -> Option<&'a [FailingTarget]> {
    let failed = failed_event(deployment)?;
    if failed.name != "Install" {
        return None;
    }
    let failing = last_failing(deployment, snapshot);
    (!failing.is_empty()).then_some(failing)
}

/// What the balancer saw last of the new tasks that fail their health checks.
fn last_failing<'a>(deployment: &Deployment, snapshot: &'a Snapshot) -> &'a [FailingTarget] {
    let green = deployment.task_set(&Label::Green);
    let group = green.and_then(|green| green.target_group.as_deref());
    group
        .and_then(|group| snapshot.last_failing.get(group))
        .map_or(&[], Vec::as_slice)
}

fn target_said(target: &FailingTarget) -> String {
    let words = target.description.as_deref().unwrap_or(&target.reason);
    format!("{}: {words} ({})", target.target, target.reason)
}

fn of_targets(deployment: &Deployment, failing: &[FailingTarget]) -> Reason {
    let mut reason = Reason::new(
        Cause::HealthChecks,
        format!(
            "the new tasks don't answer their health checks: {}",
            failing.first().map(target_said).unwrap_or_default()
        ),
    )
    .next(HEALTH_NEXT);
    reason
        .details
        .extend(failing.iter().skip(1).take(TARGETS - 1).map(target_said));
    reason.detail(format!("CodeDeploy: {}", aws_words(deployment)))
}

// ---- hooks, alarms, permissions ----

fn failed_event(deployment: &Deployment) -> Option<&LifecycleEvent> {
    rollout::in_order(deployment)
        .into_iter()
        .find(|event| event.status == LifecycleStatus::Failed)
}

/// Every lifecycle event but those that are CodeDeploy's own work is a hook.
fn failed_hook(deployment: &Deployment) -> Option<&LifecycleEvent> {
    failed_event(deployment)
        .filter(|event| event.name.starts_with("Before") || event.name.starts_with("After"))
}

fn of_hook(deployment: &Deployment, hook: &LifecycleEvent) -> Reason {
    let words = hook
        .diagnostics
        .clone()
        .or_else(|| deployment.error.as_ref().map(|error| error.message.clone()))
        .unwrap_or_else(|| "it says no more".to_owned());
    let what = match words.contains(&format!("hook {} failed", hook.name)) {
        true => words.clone(),
        false => format!("hook {} failed: {words}", hook.name),
    };
    let mut reason = Reason::new(Cause::Hook, what);
    if deployment
        .error
        .as_ref()
        .is_some_and(|error| error.message != words)
    {
        reason = reason.detail(format!("CodeDeploy: {}", aws_words(deployment)));
    }
    match Refusal::find(&words) {
        Some(refusal) => Reason {
            cause: Cause::Permission,
            ..reason.next(refusal.next())
        },
        None if words.contains("does not exist") => {
            reason.next("make the function again, or take it out of `deploy.hooks`")
        }
        None => reason.next("the function's own log says what it found"),
    }
}

fn alarm(deployment: &Deployment, snapshot: &Snapshot) -> Reason {
    let firing = snapshot
        .alarms
        .iter()
        .flatten()
        .filter(|alarm| alarm.state == AlarmState::Alarm);
    let told: Vec<String> = firing
        .map(|alarm| match &alarm.reason {
            Some(reason) => format!("alarm {} fired: {reason}", alarm.name),
            None => format!("alarm {} fired", alarm.name),
        })
        .collect();
    let next = "see what the alarm watches, mend it, and deploy again";
    match told.split_first() {
        Some((first, others)) => {
            let mut reason = Reason::new(Cause::Alarm, first.clone()).next(next);
            reason.details.extend(others.iter().cloned());
            reason.detail(format!("CodeDeploy: {}", aws_words(deployment)))
        }
        None => Reason::new(Cause::Alarm, aws_words(deployment)).next(next),
    }
}

fn refusal_of(deployment: &Deployment) -> Option<Refusal> {
    let event = failed_event(deployment).and_then(|event| event.diagnostics.as_deref());
    let error = deployment
        .error
        .as_ref()
        .map(|error| error.message.as_str());
    [error, event].into_iter().flatten().find_map(Refusal::find)
}

fn of_refusal(what: &str, refusal: &Refusal) -> Reason {
    let mut reason = Reason::new(Cause::Permission, what)
        .detail(format!("refused: {}", refusal.action))
        .next(refusal.next());
    reason.details.extend(
        refusal
            .resource
            .iter()
            .map(|resource| format!("on: {resource}")),
    );
    reason
        .details
        .extend(refusal.who.iter().map(|who| format!("to: {who}")));
    reason.details.extend(
        refusal
            .because
            .iter()
            .map(|because| format!("because: {because}")),
    );
    reason
}

/// Whether it ended in the wait at Ready: all before it is done, nothing after it has begun.
fn nobody_continued(deployment: &Deployment) -> bool {
    deployment.status == DeploymentStatus::Stopped
        && !deployment.lifecycle_events.is_empty()
        && deployment.lifecycle_events.iter().all(|event| {
            let begun = event.started.is_some();
            begun == rollout::is_before_ready(&event.name)
                || (!begun && event.status == LifecycleStatus::Skipped)
        })
}

// ---- the pipeline ----

fn failed_action(execution: &Execution) -> Option<(&Stage, &Action)> {
    execution.stages.iter().find_map(|stage| {
        let failed = stage
            .actions
            .iter()
            .find(|action| action.status == Some(StepStatus::Failed));
        failed.map(|action| (stage, action))
    })
}

fn of_action(stage: &Stage, action: &Action, snapshot: &Snapshot) -> Reason {
    let what = format!("action {} of stage {} failed", action.name, stage.name);
    let build = snapshot
        .build
        .as_ref()
        .filter(|build| action.external_id.as_deref() == Some(build.id.as_str()));
    if let Some(build) = build {
        return of_build(&what, build, action);
    }
    let words = match (&action.error, &action.summary) {
        (Some(error), _) => format!("{what}: {}", with_code(error)),
        (None, Some(summary)) => format!("{what}: {summary}"),
        (None, None) => what,
    };
    match Refusal::find(&words) {
        Some(refusal) => of_refusal(&words, &refusal),
        None if action.provider.as_deref() == Some("CodeBuild") => {
            Reason::new(Cause::Build, words).next("mend the build, and push again")
        }
        None => Reason::new(Cause::PipelineAction, words),
    }
}

fn of_build(what: &str, build: &Build, action: &Action) -> Reason {
    let how = match build.status.as_str() {
        "FAILED" => String::new(),
        "FAULT" => ": CodeBuild itself failed".to_owned(),
        "TIMED_OUT" => ": it took longer than the project allows".to_owned(),
        "STOPPED" => ": somebody stopped it".to_owned(),
        other => format!(": CodeBuild says {other}"),
    };
    let phase = build.failed_phase.as_ref().map(|phase| {
        let code = phase
            .code
            .as_ref()
            .map(|code| format!(" ({code})"))
            .unwrap_or_default();
        let message = phase.message.as_deref().unwrap_or(phase.status.as_str());
        format!(" in phase {}: {message}{code}", phase.name)
    });
    let words = match (phase, &action.error) {
        (Some(phase), _) => format!("{what}{how}{phase}"),
        (None, Some(error)) => format!("{what}{how}: {}", with_code(error)),
        (None, None) => format!("{what}{how}"),
    };
    let reason = match Refusal::find(&words) {
        Some(refusal) => of_refusal(&words, &refusal),
        None => {
            let next = match build.status.as_str() {
                "FAULT" | "STOPPED" => "start it again with `ecspipe deploy`",
                "TIMED_OUT" => "let the build do less in its time",
                _ => "mend what the log says, and push again",
            };
            Reason::new(Cause::Build, words).next(next)
        }
    };
    with_log(reason, &build.lines)
}

// ---- AWS's own words ----

fn with_code(fault: &Fault) -> String {
    format!("{} ({})", fault.message, fault.code)
}

/// What CodeDeploy says itself: its error, and the step that failed.
fn aws_words(deployment: &Deployment) -> String {
    let step = failed_event(deployment).map(|event| match &event.diagnostics {
        Some(diagnostics) => format!("{} failed: {diagnostics}", event.name),
        None => format!("{} failed", event.name),
    });
    let error = deployment.error.as_ref().map(with_code);
    // The step that failed may say no more than the deployment.
    let same = |error: &Fault| {
        let diagnostics = failed_event(deployment).and_then(|event| event.diagnostics.as_ref());
        diagnostics == Some(&error.message)
    };
    let step = step.filter(|_| !deployment.error.as_ref().is_some_and(same));
    match (error, step) {
        (Some(error), Some(step)) => format!("{error}; {step}"),
        (Some(reason), None) | (None, Some(reason)) => reason,
        (None, None) => format!(
            "deployment {} ended as {}",
            deployment.id, deployment.status
        ),
    }
}
