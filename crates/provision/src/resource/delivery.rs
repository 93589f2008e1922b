//! Properties of everything from source to deployment. Must not say which of them an app has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Document, Id, Policy};

/// An S3 bucket. Deleting empties it first: every version, delete marker and unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Whether versioning is enabled.
    pub versioning: bool,
    /// The ARN of the KMS key that encrypts by default; `None` where the default is another encryption.
    pub encryption_key: Option<Id>,
    /// Whether S3 bucket keys save calls to KMS.
    pub bucket_key: bool,
    /// Whether all four switches of the public access block are on.
    pub public_access_blocked: bool,
    /// Whether object ownership is `BucketOwnerEnforced`.
    pub owner_enforced: bool,
    /// The lifecycle rules.
    pub lifecycle: BTreeSet<LifecycleRule>,
    /// The bucket policy.
    pub policy: Policy,
    /// Whether its events go to EventBridge.
    pub event_notifications: bool,
}

/// A lifecycle rule of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Its id.
    pub id: String,
    /// How the keys begin that it is for; empty for all.
    pub prefix: String,
    /// Days until the current version expires.
    pub expire_days: Option<u32>,
    /// Days until a version that is no longer current expires.
    pub expire_noncurrent_days: Option<u32>,
    /// Days until an unfinished upload is given up.
    pub abort_upload_days: Option<u32>,
}

/// An ECR repository. Deleting takes its images with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRepository {
    /// Its name.
    pub name: String,
    /// `MUTABLE`, `IMMUTABLE`, `IMMUTABLE_WITH_EXCLUSION` or `MUTABLE_WITH_EXCLUSION`.
    pub tag_mutability: String,
    /// The wildcard filters of the exclusion.
    pub mutability_exclusions: BTreeSet<String>,
    /// Whether images are scanned when they are pushed.
    pub scan_on_push: bool,
    /// The lifecycle policy.
    pub lifecycle: Document,
}

/// A CodeDeploy application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentApplication {
    /// Its name.
    pub name: String,
    /// `ECS`.
    pub compute_platform: String,
}

/// A CodeDeploy deployment configuration. It can't be changed and carries no tags, so its name says its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfig {
    /// Its name: the app's name, `-` and the parameters.
    pub name: String,
    /// How traffic moves.
    pub traffic: Traffic,
}

/// How a rollout moves production traffic in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// `TimeBasedCanary`: a part, a wait, the rest.
    Canary {
        /// The first part in percent.
        percent: u8,
        /// The wait.
        minutes: u32,
    },
    /// `TimeBasedLinear`: equal parts.
    Linear {
        /// Each part in percent.
        percent: u8,
        /// The time between two.
        minutes: u32,
    },
}

impl Traffic {
    /// The parameters as they are in the name, such as `canary-20p-10m`; also the name in the resource's key.
    pub fn parameters(self) -> String {
        match self {
            Self::Canary { percent, minutes } => format!("canary-{percent}p-{minutes}m"),
            Self::Linear { percent, minutes } => format!("linear-{percent}p-{minutes}m"),
        }
    }

    /// Reads `name`, if it is that of a configuration of `app`. As tags are missing, this is how ownership is told:
    /// an app `web` owns `web-canary-20p-10m`, but not `web-shop-canary-20p-10m`.
    pub fn of_name(app: &str, name: &str) -> Option<Self> {
        let parameters = name.strip_prefix(app)?.strip_prefix('-')?;
        let mut parts = parameters.split('-');
        let (shape, percent, minutes) = (parts.next()?, parts.next()?, parts.next()?);
        let percent = percent.strip_suffix('p')?.parse().ok()?;
        let minutes = minutes.strip_suffix('m')?.parse().ok()?;
        let traffic = match shape {
            "canary" => Self::Canary { percent, minutes },
            "linear" => Self::Linear { percent, minutes },
            _ => return None,
        };
        (traffic.parameters() == parameters).then_some(traffic)
    }
}

/// A CodeDeploy deployment group for one ECS service: blue/green with traffic control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentGroup {
    /// Its name.
    pub name: String,
    /// The application's name.
    pub application: Id,
    /// The deployment configuration's name.
    pub config: Id,
    /// The ARN of the role that CodeDeploy uses.
    pub role: Id,
    /// The cluster's name.
    pub cluster: Id,
    /// The service's name.
    pub service: Id,
    /// The names (not ARNs) of the two target groups.
    pub target_groups: BTreeSet<String>,
    /// The ARN of the production listener.
    pub production_listener: Id,
    /// The ARN of the test listener.
    pub test_listener: Option<Id>,
    /// What happens when the new tasks are ready.
    pub ready: Ready,
    /// How long the old tasks are kept after the traffic has moved.
    pub keep_old_minutes: u32,
    /// The events that roll back by themselves; none means that automatic rollback is off.
    pub rollback_events: BTreeSet<String>,
    /// The names of the alarms that stop a deployment; none means that no alarm does.
    pub alarms: BTreeSet<Id>,
}

/// What happens when the new tasks are ready: `deploymentReadyOption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// Go on by itself: `CONTINUE_DEPLOYMENT`.
    Continue,
    /// Wait for a person, and stop when nobody came: `STOP_DEPLOYMENT`.
    Wait {
        /// How long.
        minutes: u32,
    },
}

/// A CodeCommit repository. Its default branch isn't a property: it can't be set before the first push, which sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRepository {
    /// Its name.
    pub name: String,
    /// The description.
    pub description: String,
}

/// A CodeBuild project whose source and artifacts are a pipeline's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildProject {
    /// Its name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The ARN of the role that the build has.
    pub role: Id,
    /// `LINUX_CONTAINER` or `ARM_CONTAINER`.
    pub environment_type: String,
    /// The image that the build runs in.
    pub image: String,
    /// The size, such as `BUILD_GENERAL1_SMALL`.
    pub compute_type: String,
    /// Whether Docker can run within.
    pub privileged: bool,
    /// Plain environment variables.
    pub environment: BTreeMap<String, String>,
    /// The buildspec's text.
    pub buildspec: String,
    /// The name of its log group.
    pub log_group: Id,
    /// How long a build may take.
    pub timeout_minutes: u32,
    /// How long it may wait for its turn.
    pub queued_timeout_minutes: u32,
    /// The ARN of the KMS key for its artifacts.
    pub encryption_key: Id,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// `V2`.
    pub pipeline_type: String,
    /// `QUEUED`.
    pub execution_mode: String,
    /// The ARN of the role that it uses.
    pub role: Id,
    /// The name of the bucket for artifacts.
    pub artifact_bucket: Id,
    /// The ARN of the KMS key for artifacts.
    pub artifact_key: Option<Id>,
    /// Its stages in order.
    pub stages: Vec<Stage>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its actions, sorted by run order and name.
    pub actions: Vec<Action>,
}

/// An action of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// `Source`, `Build` or `Deploy`.
    pub category: String,
    /// `AWS`.
    pub owner: String,
    /// The service, such as `CodeBuild`.
    pub provider: String,
    /// `1`.
    pub version: String,
    /// Its turn within the stage.
    pub run_order: u32,
    /// Its settings.
    pub configuration: BTreeMap<String, String>,
    /// The names of the artifacts that it reads, in order.
    pub inputs: Vec<String>,
    /// The names of the artifacts that it writes, in order.
    pub outputs: Vec<String>,
    /// The namespace of its variables.
    pub namespace: Option<String>,
}

/// An EventBridge rule on the default bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRule {
    /// Its name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The pattern of the events that it lets through.
    pub pattern: Document,
    /// Whether it is enabled.
    pub enabled: bool,
    /// What it starts.
    pub targets: BTreeSet<RuleTarget>,
}

/// A target of an EventBridge rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleTarget {
    /// Its id within the rule.
    pub id: String,
    /// Its ARN.
    pub arn: Id,
    /// The ARN of the role with which it is started.
    pub role: Option<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(app: &str, name: &str, expected: Option<Traffic>) {
        assert_eq!(Traffic::of_name(app, name), expected, "{app} {name}");
    }

    #[test]
    fn a_configuration_is_told_by_its_name() {
        let canary = Traffic::Canary {
            percent: 20,
            minutes: 10,
        };
        let linear = Traffic::Linear {
            percent: 5,
            minutes: 1,
        };
        check("web", &format!("web-{}", canary.parameters()), Some(canary));
        check(
            "web-shop",
            &format!("web-shop-{}", linear.parameters()),
            Some(linear),
        );
        check("web", "web-shop-canary-20p-10m", None);
        check("web-canary", "web-canary-20p-10m", None);
        check("web", "web-canary-20p-10m-by-hand", None);
        check("web", "web-canary-020p-10m", None);
        check("web", "web-canary-20-10", None);
        check("web", "webcanary-20p-10m", None);
        check("web", "web", None);
    }
}
