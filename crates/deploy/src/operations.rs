//! What operating an app asks of AWS beyond following a rollout: one object-safe trait, one method a question. As with
//! [`crate::Rollouts`], an implementation translates and decides nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rollouts::{Answer, Target};

/// AWS, as far as whoever operates an app needs it.
pub trait Operations: Send + Sync {
    /// ECS `DescribeTaskDefinition`; `None` where it doesn't exist.
    fn definition<'a>(&'a self, task_definition: &'a str) -> Answer<'a, Option<Definition>>;

    /// ECS `ListTaskDefinitions`: the ARNs of the app's revisions that are active, newest first.
    fn active_definitions<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<String>>;

    /// ECS `DeregisterTaskDefinition`: no new task can be started from the revision; running ones go on.
    fn retire<'a>(&'a self, task_definition: &'a str) -> Answer<'a, ()>;

    /// CodePipeline `ListActionExecutions`: which executions of the pipeline created which deployments, the newest of them.
    fn deploy_actions<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<DeployAction>>;

    /// CodePipeline `GetPipelineState`: the manual approvals that somebody has to answer; none where there is no pipeline.
    fn approvals<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<Approval>>;

    /// CodePipeline `PutApprovalResult`. One that was answered meanwhile is a failure of kind `Conflict`.
    fn answer_approval<'a>(
        &'a self,
        target: &'a Target,
        approval: &'a Approval,
        reply: &'a Reply,
    ) -> Answer<'a, ()>;

    /// ECS `UpdateService` of the number of tasks and nothing else.
    fn scale<'a>(&'a self, target: &'a Target, tasks: u32) -> Answer<'a, ()>;

    /// ECS `DescribeServices`: where the tasks of the primary task set stand.
    fn footing<'a>(&'a self, target: &'a Target) -> Answer<'a, Footing>;

    /// ECS `ListTasks` and `DescribeTasks`: the service's tasks that run, newest first.
    fn running_tasks<'a>(&'a self, target: &'a Target) -> Answer<'a, Vec<Task>>;

    /// ECS `DescribeTasks` of one task; `None` where it is unknown, or forgotten.
    fn task<'a>(&'a self, target: &'a Target, id: &'a str) -> Answer<'a, Option<Task>>;

    /// ECS `RunTask` of one task with its token, so that it may be repeated; gives the task's id. That there is no room for it is a
    /// failure.
    fn run_task<'a>(&'a self, target: &'a Target, new: &'a NewTask) -> Answer<'a, String>;
}

/// A revision of a task definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its ARN.
    pub arn: String,
    /// The image of its first container.
    pub image: Option<String>,
    /// That container's name.
    pub container: Option<String>,
    /// What that container's log streams begin with: prefix, container, task id, with slashes between.
    pub log_prefix: Option<String>,
    /// Whether tasks can be started from it.
    pub active: bool,
    /// When it was registered.
    pub registered: Option<Timestamp>,
    /// The ARN of who registered it.
    pub registered_by: Option<String>,
}

/// That an execution created a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployAction {
    /// The execution's id.
    pub execution: String,
    /// The deployment's id.
    pub deployment: String,
}

/// A manual approval that waits in the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its stage.
    pub stage: String,
    /// Its action.
    pub action: String,
    /// What names this wait, and no later one of the same action.
    #[serde(skip)]
    pub token: String,
    /// The execution that waits.
    pub execution: Option<String>,
    /// What the one who approves is asked to look at.
    pub summary: Option<String>,
    /// Since when it waits.
    pub since: Option<Timestamp>,
}

/// An answer to an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether it may go on.
    pub approved: bool,
    /// Why; at most 512 characters are kept.
    pub why: String,
}

/// The number of a revision: 12 of `…:task-definition/web:12`.
pub fn revision_of(task_definition: &str) -> Option<u32> {
    task_definition.rsplit(':').next()?.parse().ok()
}

/// Where tasks stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// The subnets.
    pub subnets: Vec<String>,
    /// The security groups.
    pub security_groups: Vec<String>,
    /// Whether they get public addresses.
    pub public_address: bool,
    /// Fargate's platform version.
    pub platform_version: Option<String>,
    /// What they run.
    pub task_definition: Option<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id: the last part of its ARN.
    pub id: String,
    /// Its status, as AWS says it: `PROVISIONING`, `PENDING`, `RUNNING`, …, `STOPPED`.
    pub status: String,
    /// The ARN of its task definition.
    pub task_definition: Option<String>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Whether ECS Exec was switched on when it was started.
    pub exec: bool,
    /// Fargate's platform version, as a number.
    pub platform_version: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Why it stopped, in AWS's words.
    pub stopped_reason: Option<String>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// How its process ended; `None` while it runs, and if it never began.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub reason: Option<String>,
    /// The status of the agent for ECS Exec in it; `None` where there is none.
    pub agent: Option<String>,
}

/// A task to be run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// The ARN of its task definition.
    pub task_definition: String,
    /// The container whose command is another one.
    pub container: String,
    /// That command; empty: the task definition's.
    pub command: Vec<String>,
    /// Where it stands.
    pub footing: Footing,
    /// Makes the call safe to repeat: at most 36 characters.
    pub token: String,
}
