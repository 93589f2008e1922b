//! What this crate asks of AWS: one object-safe trait, one method a question. An implementation translates, and
//! decides nothing: it doesn't wait, doesn't poll, and repeats a write only where AWS takes a token for it.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::CloudFailure;
use crate::event::Listener;
use crate::snapshot::ExecutionStatus;
use crate::snapshot::{
    Alarm, Build, Deployment, DeploymentStatus, Execution, GroupSettings, Health, Listeners,
    LogStream, Revision, StoppedTask, TaskSet, Trigger,
};

/// What a method of [`Rollouts`] gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, CloudFailure>>;

/// The names of the app's things, as `up` has made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The app.
    pub app: String,
    /// The pipeline.
    pub pipeline: String,
    /// The name of the pipeline's source action that reads the bundle.
    pub bundle_action: String,
    /// The name of the EventBridge rule that starts the pipeline when the bundle changes.
    pub bundle_rule: String,
    /// The CodeDeploy application.
    pub application: String,
    /// The CodeDeploy deployment group.
    pub group: String,
    /// The ECS cluster.
    pub cluster: String,
    /// The ECS service.
    pub service: String,
    /// The load balancer, by which the adapter finds the listeners when their ARNs are not given.
    pub load_balancer: String,
    /// The production listener's ARN, where it is known.
    pub production_listener: Option<String>,
    /// The production listener's port.
    pub production_port: u16,
    /// The test listener's ARN, where it is known.
    pub test_listener: Option<String>,
    /// The test listener's port.
    pub test_port: u16,
    /// The names of both target groups.
    pub target_groups: Vec<String>,
    /// The versioned bucket of the bundle and of the pipeline's artifacts.
    pub bundle_bucket: String,
    /// The bundle's key in it.
    pub bundle_key: String,
    /// The log group of the tasks.
    pub log_group: String,
    /// What the tasks' log streams begin with: prefix, container, task id, with slashes between.
    pub log_prefix: String,
}

impl Target {
    /// The target of an app, by the names that [`ecspipe_spec::Names`] derives; the listeners are found by their ports.
    pub fn new(spec: &ecspipe_spec::Spec, facts: &ecspipe_spec::Facts) -> Self {
        let names = ecspipe_spec::Names::new(&spec.app, facts);
        let app = names.app().to_owned();
        Self {
            pipeline: app.clone(),
            bundle_action: "Bundle".to_owned(),
            bundle_rule: names.rule("bundle"),
            application: app.clone(),
            group: app.clone(),
            cluster: spec.cluster_name(facts),
            service: app.clone(),
            load_balancer: spec.load_balancer_name(facts),
            production_listener: None,
            production_port: spec.load_balancer.production.port,
            test_listener: None,
            test_port: spec.load_balancer.test.port,
            target_groups: vec![names.target_group("blue"), names.target_group("green")],
            bundle_bucket: names.bucket("artifacts"),
            bundle_key: names.bundle_key().to_owned(),
            log_group: names.service_log_group(),
            log_prefix: app.clone(),
            app,
        }
    }
}

/// AWS, as far as a rollout needs it.
///
/// Every method may fail with a [`CloudFailure`]; what doesn't exist is a failure of kind `NotFound` unless the method
/// says otherwise. Lists are newest first.
pub trait Rollouts: Send + Sync {
    /// The time by the clock of the account: what AWS's own timestamps are compared with.
    fn now(&self) -> Timestamp;

    /// S3 `HeadObject` of the bundle; `None` when there is none yet.
    fn bundle<'a>(&'a self, target: &'a Target) -> Answer<'a, Option<StoredBundle>>;

    /// S3 `PutObject` of the bundle with `sha256` in its metadata under [`SHA256_METADATA`]; gives the new version's id.
    /// The SDK may not repeat it: a second version would start the pipeline twice.
    fn put_bundle<'a>(
        &'a self,
        target: &'a Target,
        bytes: &'a [u8],
        sha256: &'a str,
    ) -> Answer<'a, String>;

    /// CodePipeline `ListPipelineExecutions`: the newest `limit` executions, sorted by their start, newest first.
    fn executions<'a>(
        &'a self,
        target: &'a Target,
        limit: usize,
    ) -> Answer<'a, Vec<ExecutionSummary>>;

    /// CodePipeline `GetPipelineExecution` and `ListActionExecutions` of one execution (or `GetPipelineState`):
    /// `None` when it doesn't exist (yet). An action in progress should carry its external id as soon as AWS gives it.
    fn execution<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, Option<Execution>>;

    /// CodePipeline `StartPipelineExecution` with a `clientRequestToken` (1 to 128 characters, `[a-zA-Z0-9-]`); gives the execution's id.
    fn start_execution<'a>(&'a self, target: &'a Target, token: &'a str) -> Answer<'a, String>;

    /// CodePipeline `StopPipelineExecution`, not abandoning actions that run.
    fn stop_execution<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
        reason: &'a str,
    ) -> Answer<'a, ()>;

    /// CodeDeploy `ListDeployments` (and `BatchGetDeployments`) of the group: the newest `limit`, sorted by creation,
    /// newest first, because AWS promises no order.
    fn deployments<'a>(
        &'a self,
        target: &'a Target,
        which: Which,
        limit: usize,
    ) -> Answer<'a, Vec<DeploymentSummary>>;

    /// CodeDeploy `GetDeployment`, `ListDeploymentTargets`, `BatchGetDeploymentTargets`; `None` when it doesn't exist (yet). A
    /// `DeploymentNotStartedException` of the targets is no failure: lifecycle events and task sets are then empty.
    fn deployment<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, Option<Deployment>>;

    /// CodeDeploy `CreateDeployment` with an AppSpecContent; gives the deployment's id. The SDK may not repeat it: there is no
    /// token. `DeploymentLimitExceededException` is a failure of kind `Conflict`.
    fn create_deployment<'a>(
        &'a self,
        target: &'a Target,
        new: &'a NewDeployment,
    ) -> Answer<'a, String>;

    /// CodeDeploy `ContinueDeployment`. `DeploymentIsNotInReadyStateException` is a failure of kind `Conflict`.
    fn continue_deployment<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
        wait: DeploymentWait,
    ) -> Answer<'a, ()>;

    /// CodeDeploy `StopDeployment`. `DeploymentAlreadyCompletedException` is a failure of kind `Conflict`.
    fn stop_deployment<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
        then: AfterStop,
    ) -> Answer<'a, ()>;

    /// ELB `ModifyListener`: the listener's default action forwards to one target group alone, given by its name.
    fn forward<'a>(
        &'a self,
        target: &'a Target,
        listener: Listener,
        target_group: &'a str,
    ) -> Answer<'a, ()>;

    /// ECS `DeleteTaskSet` by its id, with its tasks; one that is gone already is no failure.
    fn delete_task_set<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, ()>;

    /// CodeDeploy `GetDeploymentGroup` and `GetDeploymentConfig`.
    fn settings<'a>(&'a self, target: &'a Target) -> Answer<'a, GroupSettings>;

    /// ECS `DescribeServices`, with its task sets.
    fn service<'a>(&'a self, target: &'a Target) -> Answer<'a, ServiceState>;

    /// ECS `DescribeTaskDefinition`: the image of the first container.
    fn image<'a>(&'a self, task_definition: &'a str) -> Answer<'a, String>;

    /// ECR `BatchGetImage`: whether an image is in its repository, and for which processors. `None` for one of another registry, or
    /// of another account or region, which is not asked.
    fn image_state<'a>(&'a self, image: &'a str) -> Answer<'a, Option<ImageState>>;

    /// IAM `GetRole`: whether there is a role of this name.
    fn role_exists<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;

    /// ECS `RegisterTaskDefinition` of its camelCase JSON input, with the app's tags; gives the ARN with revision.
    fn register_task_definition<'a>(
        &'a self,
        target: &'a Target,
        definition: &'a serde_json::Value,
    ) -> Answer<'a, String>;

    /// ELB `DescribeListeners`: where the default actions of both listeners forward to, target groups by their names.
    fn listeners<'a>(&'a self, target: &'a Target) -> Answer<'a, Listeners>;

    /// ELB `DescribeTargetHealth` of both target groups, by their names. Target groups that don't exist are left out.
    fn health<'a>(
        &'a self,
        target: &'a Target,
    ) -> Answer<'a, std::collections::BTreeMap<String, Health>>;

    /// ECS `ListTasks` (stopped, of the service) and `DescribeTasks` of those that are not in `known`. A task that is still on its
    /// way, and says nothing of how its containers ended, is left out until it does.
    fn stopped_tasks<'a>(
        &'a self,
        target: &'a Target,
        known: &'a BTreeSet<String>,
    ) -> Answer<'a, Vec<StoppedTask>>;

    /// CloudWatch `DescribeAlarms`. Those that don't exist are left out.
    fn alarms<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<Alarm>>;

    /// CodeBuild `BatchGetBuilds` of one build; `None` when it doesn't exist.
    fn build<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Build>>;

    /// CloudWatch Logs `GetLogEvents`: the last `lines` of a stream, oldest first; nothing where there is no such stream (yet).
    fn log_tail<'a>(&'a self, stream: &'a LogStream, lines: u32) -> Answer<'a, Vec<String>>;

    /// CloudWatch Logs `FilterLogEvents` of the app's log group: one page, oldest first.
    fn log_events<'a>(&'a self, target: &'a Target, query: &'a LogQuery) -> Answer<'a, LogPage>;
}

/// The ARN of the task definition that an AppSpec (YAML or JSON) names, for an adapter that reads one back.
pub fn task_definition_in(app_spec: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_');
    let arn = |part: &&str| part.starts_with("arn:") && part.contains(":task-definition/");
    app_spec.split(|c| !is_part(c)).find(arn)
}

/// The name of a target group, of its ARN or of the name itself.
pub fn target_group_name(arn_or_name: &str) -> &str {
    match arn_or_name.split_once(":targetgroup/") {
        Some((_, name)) => name.split('/').next().unwrap_or(name),
        None => arn_or_name,
    }
}

/// The key of the bundle's metadata that holds its SHA-256 in hex.
pub const SHA256_METADATA: &str = "sha256";

/// The bundle as it lies in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBundle {
    /// Its version.
    pub version: String,
    /// The SHA-256 in its metadata, in hex; `None` if somebody else put it there.
    pub sha256: Option<String>,
}

/// An execution in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionSummary {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: ExecutionStatus,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it was last updated.
    pub updated: Option<Timestamp>,
    /// What started it.
    pub trigger: Option<Trigger>,
    /// What its source actions found; empty until they are done.
    pub revisions: Vec<Revision>,
}

/// An image in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// There is no such tag or digest, or no such repository.
    Missing,
    /// It is there.
    Found {
        /// The processors that it is for, such as `amd64`.
        architectures: Vec<String>,
    },
    /// It is there, but which processors it is for can't be seen, for this reason.
    Unread(String),
}

/// Which deployments of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Created, Queued, InProgress, Ready.
    InFlight,
    /// All of them.
    All,
}

/// A deployment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSummary {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: DeploymentStatus,
    /// Who made it.
    pub creator: Option<String>,
    /// The description that its maker gave.
    pub description: Option<String>,
    /// The task definition that its AppSpec names: see [`crate::task_definition_in`].
    pub task_definition: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}

/// A deployment to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeployment {
    /// The AppSpec, YAML or JSON, with the ARN of the task definition in it.
    pub app_spec: String,
    /// The AppSpec's SHA-256 in hex.
    pub sha256: String,
    /// At most 256 characters.
    pub description: String,
}

/// The wait that `ContinueDeployment` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentWait {
    /// `READY_WAIT`: production traffic moves.
    Ready,
    /// `TERMINATION_WAIT`: the old tasks go.
    Termination,
}

/// What happens once a deployment is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterStop {
    /// Traffic goes back to the old tasks, the new ones go.
    RollBack,
    /// Everything stays as it is, maybe half way: listeners may point anywhere, both task sets stay.
    Leave,
}

/// The ECS service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// How many tasks it should have.
    pub desired: i64,
    /// How many run.
    pub running: i64,
    /// How many are starting.
    pub pending: i64,
    /// The task definition of the service itself: what runs before the first deployment.
    pub task_definition: Option<String>,
    /// Its task sets; the one that is PRIMARY is live.
    pub task_sets: Vec<TaskSet>,
}

/// Which log events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// AWS's filter pattern.
    pub filter: Option<String>,
    /// Of this stream alone.
    pub stream: Option<String>,
    /// The next page of an earlier answer.
    pub token: Option<String>,
    /// At most so many a page.
    pub limit: Option<u32>,
}

/// A page of log events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The events, oldest first.
    pub events: Vec<LogEvent>,
    /// Where to go on; `None` when this was the last page.
    pub token: Option<String>,
}

/// A line of a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// AWS's id of it, by which a line is never shown twice.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// The stream: prefix, container, task.
    pub stream: String,
    /// The line.
    pub message: String,
}
