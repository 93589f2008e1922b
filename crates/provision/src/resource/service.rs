//! Properties of logs, cluster, task definition and service. Must not say which of them an app has.

use std::collections::BTreeSet;

use ecspipe_spec::taskdef;
use serde::{Deserialize, Serialize};

use super::Id;

/// A CloudWatch log group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// How long events are kept; `None` is for ever.
    pub retention_days: Option<u32>,
}

/// An ECS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The setting `containerInsights`: `enabled`, `disabled` or `enhanced`.
    pub container_insights: String,
}

/// A task definition family, seen through its newest active revision. Revisions that a pipeline registered carry no tags
/// of ours: the family is ours when its oldest active or its newest revision carries them. Deleting means every revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// The definition, without what the server adds.
    pub definition: taskdef::TaskDefinition,
}

/// An ECS service on Fargate whose deployments belong to CodeDeploy. What a rollout keeps in the primary task set
/// (task definition, target group, network) is reported from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The cluster's name.
    pub cluster: Id,
    /// `CODE_DEPLOY`.
    pub controller: String,
    /// `FARGATE`.
    pub launch_type: String,
    /// `LATEST`, or a version.
    pub platform_version: String,
    /// The ARN of the task definition's revision.
    pub task_definition: Id,
    /// How many tasks run.
    pub desired_count: u32,
    /// How long bad health checks are ignored after a task has started.
    pub health_check_grace_seconds: u32,
    /// Its tasks' subnets.
    pub subnets: BTreeSet<Id>,
    /// Its tasks' security groups.
    pub security_groups: BTreeSet<Id>,
    /// Whether its tasks get public addresses.
    pub public_address: bool,
    /// The ARN of the target group that the production tasks are registered with.
    pub target_group: Id,
    /// The container that gets the traffic.
    pub container_name: String,
    /// Its port.
    pub container_port: u16,
    /// Where its tasks get their tags from: `SERVICE`, `TASK_DEFINITION` or `NONE`.
    pub propagate_tags: String,
    /// Whether the tasks that it starts from now on have ECS Exec.
    pub execute_command: bool,
    /// What a rollout's other task sets hold on to until they are gone; a wanted service has none.
    #[serde(default, skip_serializing_if = "OtherSets::is_empty")]
    pub others: OtherSets,
    /// The target groups between which a rollout may move it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pair: BTreeSet<Id>,
    /// What must exist first: the listeners (ECS refuses a target group without a balancer) and the way to the image.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<Id>,
}

/// Where the task sets of a service stand and listen beside the primary one: while a rollout is in flight, after one that was
/// stopped half-way, and until the last old task has drained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSets {
    /// Their tasks' subnets.
    pub subnets: BTreeSet<Id>,
    /// The container ports that their tasks are reached on.
    pub ports: BTreeSet<u16>,
}

impl OtherSets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.subnets.is_empty() && self.ports.is_empty()
    }
}
