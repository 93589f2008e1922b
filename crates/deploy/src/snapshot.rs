//! What a rollout looks like at one moment: plain values, as the adapter has read them. AWS's own nouns for AWS's
//! things. Every status keeps a string that it doesn't know. Must not decide anything: that is [`crate::rollout::carry`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An enum of the strings that AWS uses, which keeps those that it doesn't know.
macro_rules! status {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$inner])* $variant,)+
            /// A string that this version doesn't know: shown raw, taken for "still going on".
            Other(String),
        }

        impl $name {
            /// The string, as AWS writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(status: $name) -> Self {
                status.as_str().to_owned()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": "A word of AWS: one of those that are known today, or one that AWS adds later.",
                    "anyOf": [{ "enum": [$($text),+] }, { "type": "string" }],
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

status! {
    /// The status of a pipeline execution (AWS.md §7).
    ExecutionStatus {
        /// It runs, or waits in the queue.
        InProgress = "InProgress",
        /// It is being stopped.
        Stopping = "Stopping",
        /// It was stopped.
        Stopped = "Stopped",
        /// Every stage is done.
        Succeeded = "Succeeded",
        /// A newer execution overtook it.
        Superseded = "Superseded",
        /// An action failed.
        Failed = "Failed",
        /// The pipeline changed under it, or its queue was emptied.
        Cancelled = "Cancelled",
    }
}

status! {
    /// The status of a stage or of an action.
    StepStatus {
        /// It runs.
        InProgress = "InProgress",
        /// It is being stopped.
        Stopping = "Stopping",
        /// It was stopped.
        Stopped = "Stopped",
        /// It is done.
        Succeeded = "Succeeded",
        /// It failed.
        Failed = "Failed",
        /// It was cancelled.
        Cancelled = "Cancelled",
        /// A condition left it out.
        Skipped = "Skipped",
        /// The execution was stopped without waiting for it.
        Abandoned = "Abandoned",
    }
}

status! {
    /// The status of a CodeDeploy deployment (AWS.md §4.3).
    DeploymentStatus {
        /// Made, nothing done.
        Created = "Created",
        /// Waits for its turn.
        Queued = "Queued",
        /// It runs.
        InProgress = "InProgress",
        /// It waits for ContinueDeployment.
        Ready = "Ready",
        /// It is done.
        Succeeded = "Succeeded",
        /// It failed.
        Failed = "Failed",
        /// Somebody stopped it, or nobody continued it in time.
        Stopped = "Stopped",
    }
}

status! {
    /// The status of a lifecycle event of a deployment.
    LifecycleStatus {
        /// Its turn has not come.
        Pending = "Pending",
        /// It runs.
        InProgress = "InProgress",
        /// It is done.
        Succeeded = "Succeeded",
        /// It failed.
        Failed = "Failed",
        /// It was left out.
        Skipped = "Skipped",
        /// CodeDeploy itself doesn't know.
        Unknown = "Unknown",
    }
}

status! {
    /// The status of a task set.
    TaskSetStatus {
        /// It serves production.
        Primary = "PRIMARY",
        /// It runs beside the primary one.
        Active = "ACTIVE",
        /// It is being deleted.
        Draining = "DRAINING",
    }
}

status! {
    /// Which side of a deployment a task set is on. "Live" is not read from this label but from the status.
    Label {
        /// The tasks that ran before.
        Blue = "Blue",
        /// The tasks that the deployment starts.
        Green = "Green",
    }
}

status! {
    /// Why a task stopped, in one word of ECS.
    StopCode {
        /// Its containers never started: no image, no secret, no log.
        TaskFailedToStart = "TaskFailedToStart",
        /// An essential container ended.
        EssentialContainerExited = "EssentialContainerExited",
        /// Somebody stopped it.
        UserInitiated = "UserInitiated",
        /// The service stopped it: it is one too many, or it doesn't answer its health checks.
        ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
        /// Its spare capacity was taken back.
        SpotInterruption = "SpotInterruption",
        /// The host that it ran on went away.
        TerminationNotice = "TerminationNotice",
    }
}

status! {
    /// The status of a build of CodeBuild, or of one of its phases.
    BuildStatus {
        /// It runs.
        InProgress = "IN_PROGRESS",
        /// It is done.
        Succeeded = "SUCCEEDED",
        /// A command failed, or a permission lacked.
        Failed = "FAILED",
        /// CodeBuild itself failed.
        Fault = "FAULT",
        /// It took longer than the project allows.
        TimedOut = "TIMED_OUT",
        /// Somebody stopped it.
        Stopped = "STOPPED",
    }
}

status! {
    /// The state of an alarm of CloudWatch.
    AlarmState {
        /// What it watches is as it should be.
        Ok = "OK",
        /// It fires.
        Alarm = "ALARM",
        /// There is too little to tell.
        InsufficientData = "INSUFFICIENT_DATA",
    }
}

/// A rollout at one moment. What could not be read is `None`, and keeps its earlier value: see [`crate::rollout::carry`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken, by the clock of [`crate::Rollouts::now`].
    pub at: Timestamp,
    /// The pipeline execution, where one is followed.
    pub execution: Option<Execution>,
    /// The deployment, as soon as there is one.
    pub deployment: Option<Deployment>,
    /// The second deployment, with which CodeDeploy rolls the first one back.
    pub rollback: Option<Deployment>,
    /// What the deployment group says about waits and steps.
    pub settings: Option<GroupSettings>,
    /// Where the listeners send requests.
    pub listeners: Option<Listeners>,
    /// The healthy and all targets of each target group, by its name.
    pub health: Option<BTreeMap<String, Health>>,
    /// The targets that failed their health check when any did last, by target group: a group that is being emptied shows none.
    #[serde(default)]
    pub last_failing: BTreeMap<String, Vec<FailingTarget>>,
    /// The service's tasks that have stopped, those of other versions too, oldest first. AWS forgets them after an hour,
    /// [`crate::rollout::carry`] doesn't.
    #[serde(default)]
    pub stopped_tasks: Vec<StoppedTask>,
    /// The deployment group's alarms, once a deployment has ended badly.
    pub alarms: Option<Vec<Alarm>>,
    /// The build, once it has ended badly.
    pub build: Option<Build>,
    /// What whoever follows has done to the deployment by itself.
    pub intervention: Option<Intervention>,
    /// Whether whoever follows ends the wait at Ready by its checks, so that no person is waited for.
    #[serde(default)]
    pub checked: bool,
}

/// A pipeline execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: ExecutionStatus,
    /// AWS's words on the status, such as who stopped it.
    pub status_summary: Option<String>,
    /// What started it.
    pub trigger: Option<Trigger>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// What the source actions found.
    pub revisions: Vec<Revision>,
    /// Its stages, in their order; those not reached yet may be missing.
    pub stages: Vec<Stage>,
}

impl Execution {
    /// The action that hands over to CodeDeploy, if it was reached.
    pub fn deploy_action(&self) -> Option<&Action> {
        let mut actions = self.stages.iter().flat_map(|stage| &stage.actions);
        actions.find(|action| action.provider.as_deref() == Some("CodeDeployToECS"))
    }

    /// The id of the CodeDeploy deployment that this execution created, once it is known.
    pub fn deployment_id(&self) -> Option<&str> {
        self.deploy_action()?.external_id.as_deref()
    }
}

/// What started an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// AWS's type, such as `StartPipelineExecution` or `CloudWatchEvent`.
    pub kind: String,
    /// Who or what: the caller's or the rule's ARN.
    pub detail: Option<String>,
}

/// What a source action found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// The source action, such as `Source` or `Bundle`.
    pub action: String,
    /// The commit, or the version of the S3 object.
    pub id: String,
    /// The commit's message.
    pub summary: Option<String>,
    /// Where to look at it.
    pub url: Option<String>,
}

/// A stage of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its status; `None` before it is entered.
    pub status: Option<StepStatus>,
    /// Its actions, in their order.
    pub actions: Vec<Action>,
}

/// An action of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// AWS's category: `Source`, `Build`, `Deploy`, `Approval`, …
    pub category: Option<String>,
    /// AWS's provider: `CodeBuild`, `CodeDeployToECS`, `Manual`, …
    pub provider: Option<String>,
    /// The id of this run of the action: a retry has another.
    pub run: Option<String>,
    /// Its status; `None` before it has run.
    pub status: Option<StepStatus>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// AWS's words on it.
    pub summary: Option<String>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// The id of what it started: a build, a deployment.
    pub external_id: Option<String>,
    /// Where to look at that.
    pub external_url: Option<String>,
}

/// A code and a message of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The code, such as `ALARM_ACTIVE`.
    pub code: String,
    /// The message.
    pub message: String,
}

/// A CodeDeploy deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id, such as `d-ABC123`.
    pub id: String,
    /// Its status.
    pub status: DeploymentStatus,
    /// Who made it: `user`, `codeDeployRollback`, …
    pub creator: Option<String>,
    /// The description that its maker gave.
    pub description: Option<String>,
    /// The task definition that its AppSpec names: see [`crate::task_definition_in`].
    pub task_definition: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Why it failed or was stopped.
    pub error: Option<Fault>,
    /// Its connection with an automatic rollback.
    pub rollback: Option<RollbackInfo>,
    /// `instanceTerminationWaitTimeStarted`: the traffic has moved, the old tasks are kept for a while.
    pub termination_wait_started: bool,
    /// Its lifecycle events in the order of AWS's answer; empty before it has a target.
    pub lifecycle_events: Vec<LifecycleEvent>,
    /// Both task sets; empty before it has a target.
    pub task_sets: Vec<TaskSet>,
}

/// The creator that CodeDeploy writes into a deployment that rolls another one back.
pub const ROLLBACK_CREATOR: &str = "codeDeployRollback";

impl Deployment {
    /// Whether CodeDeploy made it by itself, to roll another deployment back.
    pub fn is_automatic_rollback(&self) -> bool {
        self.creator.as_deref() == Some(ROLLBACK_CREATOR) || self.rolls_back().is_some()
    }

    /// The deployment that this one rolls back.
    pub fn rolls_back(&self) -> Option<&str> {
        self.rollback.as_ref()?.triggering_deployment.as_deref()
    }

    /// The deployment that rolls this one back.
    pub fn rolled_back_by(&self) -> Option<&str> {
        self.rollback.as_ref()?.rollback_deployment.as_deref()
    }

    /// A lifecycle event by its name.
    pub fn lifecycle_event(&self, name: &str) -> Option<&LifecycleEvent> {
        self.lifecycle_events
            .iter()
            .find(|event| event.name == name)
    }

    /// A task set by its label.
    pub fn task_set(&self, label: &Label) -> Option<&TaskSet> {
        self.task_sets
            .iter()
            .find(|set| set.label.as_ref() == Some(label))
    }
}

/// CodeDeploy's `rollbackInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RollbackInfo {
    /// On the failed deployment: the one that rolls it back.
    pub rollback_deployment: Option<String>,
    /// On the rolling back deployment: the failed one.
    pub triggering_deployment: Option<String>,
    /// AWS's words on it.
    pub message: Option<String>,
}

/// A step of a deployment, such as `Install` or `AllowTraffic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: LifecycleStatus,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What went wrong, as a hook's or CodeDeploy's own diagnostics say.
    pub diagnostics: Option<String>,
}

/// A task set of the service, on one side of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    /// Its id, such as `ecs-svc/123` (CodeDeploy's `identifer`).
    pub id: String,
    /// Its side.
    pub label: Option<Label>,
    /// Its status.
    pub status: Option<TaskSetStatus>,
    /// How many tasks it should have.
    pub desired: i64,
    /// How many run.
    pub running: i64,
    /// How many are starting.
    pub pending: i64,
    /// The percentage of production traffic, as CodeDeploy says it.
    pub traffic_weight: Option<f64>,
    /// The name (not the ARN) of its target group.
    pub target_group: Option<String>,
    /// The ARN of its task definition.
    pub task_definition: Option<String>,
    /// When it was made, as far as ECS was asked; CodeDeploy doesn't say.
    pub created: Option<Timestamp>,
}

/// What the deployment group says about waits and steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// `STOP_DEPLOYMENT` with its wait in minutes: how long a deployment waits at Ready for a person. `None`: it goes on.
    pub ready_wait_minutes: Option<i64>,
    /// How long the old tasks are kept, in minutes.
    pub termination_wait_minutes: i64,
    /// In which steps traffic moves; `None` where the configuration could not be read.
    pub routing: Option<Routing>,
    /// What rolls back by itself: `DEPLOYMENT_FAILURE`, `DEPLOYMENT_STOP_ON_REQUEST`, `DEPLOYMENT_STOP_ON_ALARM`;
    /// empty when switched off.
    pub rollback_events: Vec<String>,
    /// The names of the alarms that stop a deployment; empty when they are switched off.
    #[serde(default)]
    pub alarms: Vec<String>,
}

/// In which steps production traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// All of it in one step.
    AllAtOnce,
    /// A first part, a wait in minutes, then the rest.
    Canary {
        /// The first part.
        percent: i32,
        /// The wait in minutes.
        minutes: i32,
    },
    /// Equal parts at equal intervals in minutes.
    Linear {
        /// Each part.
        percent: i32,
        /// The interval in minutes.
        minutes: i32,
    },
}

/// Where both listeners send requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listeners {
    /// The production listener.
    pub production: Vec<Route>,
    /// The test listener; empty where there is none.
    pub test: Vec<Route>,
}

/// A target group that a listener forwards to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// The name (not the ARN) of the target group.
    pub target_group: String,
    /// Its weight; 1 where the listener forwards to it alone and AWS gives none.
    pub weight: i64,
}

/// The targets of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Those that answer the health check.
    pub healthy: u32,
    /// All of them, aside from those that drain and those of a group that no listener forwards to, which AWS doesn't check.
    pub total: u32,
    /// Those that fail the health check; one that is only beginning is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingTarget>,
}

/// A target that fails the load balancer's health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailingTarget {
    /// Its address and port, such as `10.0.1.7:80`.
    pub target: String,
    /// AWS's code, such as `Target.ResponseCodeMismatch`.
    pub reason: String,
    /// AWS's words, such as `Health checks failed with these codes: [503]`.
    pub description: Option<String>,
}

/// A task that has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedTask {
    /// Its id: the last part of its ARN.
    pub id: String,
    /// The task set that started it (`startedBy`).
    pub task_set: Option<String>,
    /// The ARN of its task definition.
    pub task_definition: Option<String>,
    /// When it stopped.
    pub stopped: Option<Timestamp>,
    /// Why, in one word.
    pub code: Option<StopCode>,
    /// Why, in ECS's words.
    pub reason: Option<String>,
    /// Its containers.
    pub containers: Vec<StoppedContainer>,
    /// The last lines of the container that failed, oldest first; empty where none were read.
    #[serde(default)]
    pub log: Vec<String>,
}

/// A container of a task that has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedContainer {
    /// Its name in the task definition.
    pub name: String,
    /// Its image.
    pub image: Option<String>,
    /// How its process ended; `None` if it never began.
    pub exit_code: Option<i32>,
    /// What went wrong, such as `OutOfMemoryError: Container killed due to memory usage`.
    pub reason: Option<String>,
}

impl StoppedTask {
    /// Whether what it runs is to blame, and not somebody who stopped it or a service that has one too many.
    pub fn is_failure(&self) -> bool {
        match &self.code {
            Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited) => true,
            Some(StopCode::ServiceSchedulerInitiated) => self.fails_health_checks(),
            _ => false,
        }
    }

    /// Whether the service stopped it because it didn't answer its health checks.
    pub fn fails_health_checks(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        reason.contains("failed ELB health checks")
            || reason.contains("failed container health checks")
    }

    /// The container that is to blame: one that was killed or couldn't start, else one that failed, else one that ended.
    pub fn failed_container(&self) -> Option<&StoppedContainer> {
        let find = |is: fn(&&StoppedContainer) -> bool| self.containers.iter().find(is);
        find(|container| container.reason.is_some())
            .or_else(|| find(|container| container.exit_code.is_some_and(|code| code != 0)))
            .or_else(|| find(|container| container.exit_code.is_some()))
            .or_else(|| self.containers.first())
    }
}

/// An alarm of CloudWatch that can stop a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// Why it is in that state, with the value, in CloudWatch's words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A build of CodeBuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its id: `project:uuid`.
    pub id: String,
    /// Its status.
    pub status: BuildStatus,
    /// The phase that failed.
    pub failed_phase: Option<BuildPhase>,
    /// Where it logs.
    pub log: Option<LogStream>,
    /// Its last lines, oldest first; empty where none were read.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// A phase of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildPhase {
    /// Its name, such as `BUILD` or `PRE_BUILD`.
    pub name: String,
    /// Its status.
    pub status: BuildStatus,
    /// AWS's code, such as `COMMAND_EXECUTION_ERROR`.
    pub code: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
}

/// A log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStream {
    /// The log group's name.
    pub group: String,
    /// The stream's name.
    pub stream: String,
}

/// What whoever follows has done to a deployment by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Intervention {
    /// It was stopped, because its tasks kept failing.
    FailedFast {
        /// The deployment.
        deployment: String,
        /// How many tasks had failed.
        failures: u32,
    },
    /// It was stopped, because a check against the test listener failed.
    ChecksFailed {
        /// The deployment.
        deployment: String,
        /// The check, such as `GET /health`.
        check: String,
        /// What came instead of what was wanted.
        found: String,
    },
}

impl Intervention {
    /// The deployment that it was about.
    pub fn deployment(&self) -> &str {
        match self {
            Self::FailedFast { deployment, .. } | Self::ChecksFailed { deployment, .. } => {
                deployment
            }
        }
    }
}
