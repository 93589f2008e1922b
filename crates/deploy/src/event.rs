//! What happened, and how it ended: the one vocabulary between a rollout and whoever shows it. Stable JSON: an event is an object with
//! a field `event`. Must not know how it is shown.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::CloudFailure;
use crate::reason::Reason;
use crate::snapshot::{
    BuildPhase, BuildStatus, DeploymentStatus, ExecutionStatus, Fault, Health, Intervention, Label,
    LifecycleStatus, Revision, Route, StepStatus, StopCode, StoppedContainer, TaskSetStatus,
    Trigger,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A new bundle was put to S3.
    BundlePut {
        /// The version of the object.
        version: String,
        /// The content's SHA-256 in hex.
        sha256: String,
    },
    /// The bundle in S3 has the same content already.
    BundleUnchanged {
        /// The version of the object.
        version: String,
        /// The content's SHA-256 in hex.
        sha256: String,
    },
    /// The pipeline is expected to start by itself.
    PushAwaited {
        /// The bundle's version that it should take; `None`: any.
        version: Option<String>,
        /// How long, in seconds.
        seconds: u64,
    },
    /// The pipeline was started.
    ExecutionStarted {
        /// The execution.
        execution: String,
        /// By whom.
        by: StartedBy,
    },
    /// A task definition was registered.
    TaskDefinitionRegistered {
        /// Its ARN.
        task_definition: String,
    },
    /// A deployment was created without the pipeline.
    DeploymentCreated {
        /// The deployment.
        deployment: String,
        /// The ARN of the task definition that it rolls out.
        task_definition: String,
    },
    /// A deployment in flight has to end before the new rollout can begin; its end is waited for.
    QueueEntered {
        /// The deployment in flight.
        deployment: String,
        /// Its status.
        status: DeploymentStatus,
    },
    /// An execution is followed from here on.
    ExecutionFound {
        /// The execution.
        execution: String,
        /// What started it.
        trigger: Option<Trigger>,
    },
    /// The source actions have found what they deploy.
    RevisionsFound {
        /// The execution.
        execution: String,
        /// What was found.
        revisions: Vec<Revision>,
    },
    /// An execution took another status.
    ExecutionChanged {
        /// The execution.
        execution: String,
        /// The status now.
        status: ExecutionStatus,
        /// AWS's words on it.
        summary: Option<String>,
    },
    /// A stage began.
    StageStarted {
        /// The stage.
        stage: String,
    },
    /// A stage ended.
    StageEnded {
        /// The stage.
        stage: String,
        /// How.
        status: StepStatus,
    },
    /// An action began.
    ActionStarted {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
        /// AWS's provider of it.
        provider: Option<String>,
        /// Where to look at what it started.
        url: Option<String>,
    },
    /// An action ended.
    ActionEnded {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
        /// How.
        status: StepStatus,
        /// AWS's words on it.
        summary: Option<String>,
        /// Why it failed.
        error: Option<Fault>,
        /// Where to look at what it started.
        url: Option<String>,
    },
    /// A deployment is followed from here on.
    DeploymentFound {
        /// The deployment.
        deployment: String,
        /// Its status.
        status: DeploymentStatus,
        /// Who made it.
        creator: Option<String>,
        /// The task definition that it rolls out.
        task_definition: Option<String>,
        /// When it was made, on AWS's clock: whoever follows may come late.
        created: Option<Timestamp>,
        /// When it ended, if it has.
        completed: Option<Timestamp>,
    },
    /// A deployment took another status.
    DeploymentChanged {
        /// The deployment.
        deployment: String,
        /// The status now.
        status: DeploymentStatus,
        /// Why it failed or was stopped.
        error: Option<Fault>,
    },
    /// CodeDeploy rolls a deployment back with another one.
    RollbackStarted {
        /// The deployment that is rolled back.
        deployment: String,
        /// The deployment that does it.
        rollback: String,
        /// AWS's words on it.
        message: Option<String>,
    },
    /// A lifecycle event of a deployment began.
    LifecycleEventStarted {
        /// The deployment.
        deployment: String,
        /// The lifecycle event, such as `Install`.
        name: String,
        /// When, on AWS's clock.
        started: Option<Timestamp>,
    },
    /// A lifecycle event of a deployment ended.
    LifecycleEventEnded {
        /// The deployment.
        deployment: String,
        /// The lifecycle event, such as `Install`.
        name: String,
        /// How.
        status: LifecycleStatus,
        /// When, on AWS's clock.
        ended: Option<Timestamp>,
        /// What went wrong.
        diagnostics: Option<String>,
    },
    /// A task set was seen for the first time, or its tasks or status changed.
    TaskSetChanged {
        /// The deployment.
        deployment: String,
        /// The task set.
        task_set: String,
        /// Its side.
        label: Option<Label>,
        /// Its status.
        status: Option<TaskSetStatus>,
        /// How many tasks it should have.
        desired: i64,
        /// How many run.
        running: i64,
        /// How many are starting.
        pending: i64,
        /// The target group that they are in.
        target_group: Option<String>,
        /// What they run.
        task_definition: Option<String>,
    },
    /// A task set is gone.
    TaskSetDeleted {
        /// The deployment.
        deployment: String,
        /// The task set.
        task_set: String,
        /// Its side.
        label: Option<Label>,
    },
    /// The health of a target group's tasks: said at first sight, and whenever it changes.
    HealthChanged {
        /// The target group.
        target_group: String,
        /// The health now.
        health: Health,
    },
    /// A target fails the load balancer's health check, or does so for another reason than before.
    TargetUnhealthy {
        /// The target group.
        target_group: String,
        /// The target's address and port.
        target: String,
        /// AWS's code, such as `Target.ResponseCodeMismatch`.
        reason: String,
        /// AWS's words, such as `Health checks failed with these codes: [503]`.
        description: Option<String>,
    },
    /// A new task stopped, and what it runs is to blame.
    TaskFailed {
        /// The deployment.
        deployment: String,
        /// The task's id.
        task: String,
        /// Why, in one word of ECS.
        code: Option<StopCode>,
        /// Why, in ECS's words.
        reason: Option<String>,
        /// The container that is to blame.
        container: Option<StoppedContainer>,
        /// How many tasks of the deployment have failed, this one included.
        failures: u32,
    },
    /// The new tasks fail again and again: said once, at the second failure.
    TasksKeepFailing {
        /// The deployment.
        deployment: String,
        /// How many have failed.
        failures: u32,
    },
    /// The last lines of something that failed; said once for each.
    LogTail {
        /// Of what.
        source: LogSource,
        /// The lines, oldest first.
        lines: Vec<String>,
    },
    /// A build ended badly.
    BuildFailed {
        /// Its id: `project:uuid`.
        build: String,
        /// How it ended.
        status: BuildStatus,
        /// The phase that failed.
        phase: Option<BuildPhase>,
    },
    /// An alarm of the deployment group fires.
    AlarmFired {
        /// The deployment.
        deployment: String,
        /// The alarm.
        alarm: String,
        /// Why, with the value, in CloudWatch's words.
        reason: Option<String>,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// The checks against the test listener begin.
    ChecksStarted {
        /// The deployment.
        deployment: String,
        /// Where they go.
        url: String,
        /// How many there are.
        checks: u32,
    },
    /// A check was answered otherwise than wanted, and will be tried again; said whenever the answer changes.
    CheckAttempted {
        /// The deployment.
        deployment: String,
        /// The check, such as `GET /health`.
        check: String,
        /// What came.
        found: String,
    },
    /// A check was answered as wanted, as many times as wanted.
    CheckPassed {
        /// The deployment.
        deployment: String,
        /// The check.
        check: String,
        /// How many times.
        times: u32,
    },
    /// A check was not answered as wanted in its time.
    CheckFailed {
        /// The deployment.
        deployment: String,
        /// The check.
        check: String,
        /// What came instead.
        found: String,
    },
    /// Whoever follows has ended the deployment's wait at Ready: all checks have passed.
    Rerouted {
        /// The deployment.
        deployment: String,
    },
    /// Whoever follows has stopped the deployment, with rollback.
    Intervened {
        /// Why.
        intervention: Intervention,
    },
    /// Whoever follows would have stopped or continued the deployment, and could not.
    InterventionFailed {
        /// The deployment.
        deployment: String,
        /// The failure.
        failure: CloudFailure,
    },
    /// AWS says something that this version doesn't know, so that it is taken for "still going on".
    StatusUnknown {
        /// Of what: `stage Build`, `lifecycle event Install`.
        of: String,
        /// The status, as AWS says it.
        status: String,
    },
    /// Where a listener sends requests: said at first sight, and whenever it changes.
    TrafficRouted {
        /// Which listener.
        listener: Listener,
        /// Where it sends them now.
        routes: Vec<Route>,
        /// The percentage that the new tasks get, where that is known.
        percent: Option<u8>,
    },
    /// What a stopped deployment had left half way is put back: both listeners lead to the primary tasks alone.
    PutBack {
        /// The target group of the primary tasks.
        target_group: String,
        /// The ids of the newer task sets, which go.
        task_sets: Vec<String>,
    },
    /// The rollout waits for something now.
    WaitEntered {
        /// For what.
        wait: Wait,
        /// Until when, where that is known.
        until: Option<Timestamp>,
    },
    /// AWS could not be asked; the rollout goes on by itself, and asking will be tried again.
    PollFailed {
        /// The failure.
        failure: CloudFailure,
        /// How long it will be tolerated from now on, in seconds.
        tolerated_seconds: u64,
    },
    /// AWS answers again.
    PollRecovered {
        /// How many times it had not.
        failures: u32,
    },
    /// A part of the picture can't be shown; said once a part.
    ViewLimited {
        /// Which part.
        part: Part,
        /// Why.
        failure: CloudFailure,
    },
    /// The following ended.
    Ended {
        /// How.
        verdict: Verdict,
        /// The point that was waited for, where it has been reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reached: Option<Point>,
    },
}

/// A point on the way of a rollout that can be waited for, in their order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The new tasks run and are healthy.
    Installed,
    /// The test listener leads to them.
    TestTraffic,
    /// It waits for a person, or has gone on from there.
    Ready,
    /// All of production goes to the new tasks.
    Shifted,
    /// It has succeeded: the old tasks are gone.
    Done,
}

/// What has written a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum LogSource {
    /// A container of a task.
    Task {
        /// The task's id.
        task: String,
        /// The container.
        container: String,
    },
    /// A build.
    Build {
        /// Its id.
        build: String,
    },
}

/// Who started the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartedBy {
    /// The change of the bundle, or a push, by EventBridge.
    Push,
    /// This crate, by StartPipelineExecution.
    Request,
    /// Whoever it was, before: it was running already, with the same bundle.
    Earlier,
}

/// A listener of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Listener {
    /// The one for everyone.
    Production,
    /// The one on which a new version is looked at first.
    Test,
}

/// A part of the picture that a rollout can be followed without.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The deployment group's settings.
    Settings,
    /// Where the listeners send requests.
    Listeners,
    /// The health of the targets.
    Health,
    /// The service's task sets.
    Service,
    /// The tasks that have stopped.
    Tasks,
    /// What a task or a build logged last.
    Logs,
    /// The build.
    Build,
    /// The deployment group's alarms.
    Alarms,
}

/// What a rollout waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// The execution's next stage, or its turn in the queue.
    Pipeline,
    /// An action of the pipeline.
    Action {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
    },
    /// A person who approves in the pipeline.
    PipelineApproval {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
    },
    /// The deployment's start.
    DeploymentStart {
        /// The deployment.
        deployment: String,
    },
    /// A step of the deployment.
    LifecycleEvent {
        /// The deployment.
        deployment: String,
        /// The lifecycle event.
        name: String,
    },
    /// The deployment's last bits of work: it shows no step that is open.
    DeploymentEnd {
        /// The deployment.
        deployment: String,
    },
    /// A person who continues the deployment (`reroute`).
    Reroute {
        /// The deployment.
        deployment: String,
    },
    /// The checks against the test listener, which continue or stop the deployment.
    Checks {
        /// The deployment.
        deployment: String,
    },
    /// Production traffic, which moves in steps.
    Traffic {
        /// The deployment.
        deployment: String,
    },
    /// The time for which the old tasks are kept.
    OldTasks {
        /// The deployment.
        deployment: String,
    },
    /// CodeDeploy, to roll back the deployment.
    RollbackStart {
        /// The deployment that is to be rolled back.
        deployment: String,
    },
    /// The rollback.
    Rollback {
        /// The deployment that rolls back.
        deployment: String,
    },
    /// Something that this version doesn't know.
    Status {
        /// The status, as AWS says it.
        status: String,
    },
}

/// How a rollout stands, or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It goes on by itself.
    StillRunning {
        /// What it waits for.
        waiting_for: Wait,
        /// Until when, where that is known.
        until: Option<Timestamp>,
    },
    /// It goes on when a person says so.
    WaitingForHuman {
        /// [`Wait::Reroute`] or [`Wait::PipelineApproval`].
        waiting_for: Wait,
        /// The deployment to continue.
        deployment: Option<String>,
        /// When AWS gives up waiting.
        until: Option<Timestamp>,
    },
    /// What was rolled out serves production.
    Succeeded {
        /// The ARN of its task definition, where a deployment was seen.
        task_definition: Option<String>,
    },
    /// The new version was refused, and the old one serves production.
    RolledBack {
        /// Why.
        why: Reason,
        /// The deployment that rolled back.
        rollback: String,
    },
    /// It failed; nothing rolled it back.
    Failed {
        /// Why.
        why: Reason,
    },
    /// It was stopped; nothing rolled it back.
    Stopped {
        /// Why.
        why: Reason,
    },
    /// A newer execution overtook this one.
    Superseded,
    /// The execution was cancelled.
    Cancelled,
}

impl Verdict {
    /// Whether nothing more will happen.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::StillRunning { .. } | Self::WaitingForHuman { .. }
        )
    }
}
