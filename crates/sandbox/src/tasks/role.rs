//! What ECS does for a task in the name of its execution role: log in to the registry, pull, read secrets, open and write the
//! log. The words are those in which a Fargate task's `stoppedReason` says what it lacked. Must not do the work itself.

use serde_json::{Value, json};

use super::Task;
use crate::iam::Denial;
use crate::iam::acting::Actor;
use crate::services::ecr;
use crate::services::ecs::TaskDefinition;
use crate::wire::Input as _;
use crate::world::World;

/// The execution role of a task; a task can be without one, and then has nothing of the account.
pub(super) struct Role {
    actor: Option<Actor>,
}

impl Role {
    /// Assumes the execution role of a task, in a session that is called like the task.
    pub(super) fn assume(
        world: &World,
        region: &str,
        task: &Task,
        definition: &TaskDefinition,
    ) -> Result<Self, String> {
        let Some(role) = definition.content.text("executionRoleArn") else {
            return Ok(Self { actor: None });
        };
        let service = "ecs-tasks.amazonaws.com";
        Actor::assume(world, region, role, service, &task.arn, &task.id)
            .map(|actor| Self { actor: Some(actor) })
            .map_err(|_| {
                format!(
                    "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
                )
            })
    }

    /// Everything before the containers start. The error is the task's `stoppedReason`.
    pub(super) fn prepare(
        &self,
        world: &World,
        task: &Task,
        definition: &TaskDefinition,
    ) -> Result<(), String> {
        let Some(actor) = &self.actor else {
            return Ok(());
        };
        for container in definition.containers() {
            pull(world, actor, container.text("image").unwrap_or_default())?;
            for secret in container.list("secrets") {
                read_secret(world, actor, secret.text("valueFrom").unwrap_or_default())?;
            }
            if let Some(input) = stream(container, task) {
                open_log(world, actor, input)?;
            }
        }
        Ok(())
    }

    /// Whether the container's lines may be written. ECS runs a task whose lines are lost.
    pub(super) fn may_log(&self, world: &World, task: &Task, container: &Value) -> bool {
        match (&self.actor, stream(container, task)) {
            (Some(actor), Some(input)) => actor.may(world, "logs", "PutLogEvents", input).is_ok(),
            _ => true,
        }
    }
}

/// Images of other registries are public here.
fn pull(world: &World, actor: &Actor, uri: &str) -> Result<(), String> {
    if !ecr::is_own(world, uri) {
        return Ok(());
    }
    actor
        .may(world, "ecr", "GetAuthorizationToken", json!({}))
        .map_err(|denial| {
            format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): {}",
                refused(&denial)
            )
        })?;
    let repository = ecr::repository_of(uri);
    for (operation, step) in [
        ("BatchGetImage", "pull image manifest"),
        ("GetDownloadUrlForLayer", "ref pull"),
    ] {
        let input = json!({ "repositoryName": repository });
        actor.may(world, "ecr", operation, input).map_err(|denial| {
            format!(
                "CannotPullContainerError: {step} has been retried 1 time(s): failed to resolve ref {uri}: 403 Forbidden: {}",
                refused(&denial)
            )
        })?;
    }
    Ok(())
}

/// A secret by ARN, perhaps with a JSON key behind it, or a parameter by ARN or name.
fn read_secret(world: &World, actor: &Actor, from: &str) -> Result<(), String> {
    let secret = from.contains(":secretsmanager:");
    let (action, arn) = match secret {
        // `arn:aws:secretsmanager:region:account:secret:name`, then `:key:stage:version`.
        true => {
            let parts: Vec<&str> = from.split(':').take(7).collect();
            ("secretsmanager:GetSecretValue", parts.join(":"))
        }
        false if from.starts_with("arn:") => ("ssm:GetParameters", from.to_owned()),
        false => {
            let path = format!("parameter/{}", from.trim_start_matches('/'));
            ("ssm:GetParameters", world.arn("ssm", actor.region(), &path))
        }
    };
    actor.needs(world, action, &arn).map_err(|denial| {
        let what = match secret {
            true => "unable to retrieve secret from asm",
            false => "unable to retrieve secrets from ssm",
        };
        format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: {what}: service call has been retried 1 time(s): {}",
            refused(&denial)
        )
    })
}

fn open_log(world: &World, actor: &Actor, input: Value) -> Result<(), String> {
    actor
        .may(world, "logs", "CreateLogStream", input)
        .map_err(|denial| {
            format!(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: {} : exit status 1",
                refused(&denial)
            )
        })
}

/// The log stream of a container; `None` where it has none.
pub(super) fn stream(container: &Value, task: &Task) -> Option<Value> {
    let log = container
        .get("logConfiguration")
        .filter(|log| log.text("logDriver") == Some("awslogs"))?;
    let options = log.get("options").cloned().unwrap_or_default();
    let prefix = options.text("awslogs-stream-prefix").unwrap_or_default();
    let name = container.text("name").unwrap_or_default();
    Some(json!({
        "logGroupName": options.text("awslogs-group").unwrap_or_default(),
        "logStreamName": format!("{prefix}/{name}/{}", task.id),
    }))
}

fn refused(denial: &Denial) -> String {
    format!("AccessDeniedException: {denial} status code: 400")
}
