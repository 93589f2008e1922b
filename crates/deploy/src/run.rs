//! One task of what is live, run once with a command of its own: started, its log told as it is written, its end. Must not change
//! the service.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::sleep;

use crate::error::{CloudFailure, DeployError};
use crate::follow::{Poll, logs, or_none};
use crate::operations::{NewTask, Operations, Task};
use crate::rollouts::{LogEvent, LogQuery, Rollouts, Target};

/// How long after a task's end its last lines may take to show (CloudWatch Logs gives no number: this is several times what it
/// usually takes).
const LOG_LAG: Duration = Duration::from_secs(10);

/// How long a task that was just started may be unknown to AWS.
const APPEAR: Duration = Duration::from_secs(30);

/// How long AWS may fail to answer before that is an error.
const TOLERATED: Duration = Duration::from_secs(300);

/// What happens to the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// It was started.
    TaskStarted {
        /// Its id.
        task: String,
        /// What it runs.
        task_definition: String,
    },
    /// It took another status.
    TaskChanged {
        /// Its id.
        task: String,
        /// The status, as AWS says it.
        status: String,
    },
    /// It wrote a line.
    TaskLogged {
        /// The line.
        #[serde(flatten)]
        line: LogEvent,
    },
    /// It ended.
    TaskEnded {
        /// Its id.
        task: String,
        /// How its container's process ended; `None` if it never began.
        exit_code: Option<i32>,
        /// Why, in AWS's words.
        reason: Option<String>,
    },
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnded {
    /// Its id.
    pub task: String,
    /// How its container's process ended; `None` if it never began.
    pub exit_code: Option<i32>,
    /// Why, in AWS's words.
    pub reason: Option<String>,
}

/// A task that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub task: String,
    container: String,
    stream: Option<String>,
    since: Timestamp,
}

/// Starts a task of what is live, where that stands, with `command`, or the image's own where that is empty. `token` names this
/// intention of the user: with the same one no second task is started.
pub async fn begin_run(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    command: &[String],
    token: &str,
    on_event: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Begun, DeployError> {
    let since = rollouts.now();
    let footing = operations.footing(target).await?;
    let nothing = || DeployError::not_found(format!("what service {} runs", target.service));
    let task_definition = footing.task_definition.clone().ok_or_else(nothing)?;
    let definition = operations
        .definition(&task_definition)
        .await?
        .ok_or_else(nothing)?;
    let container = definition.container.ok_or_else(nothing)?;
    let new = NewTask {
        task_definition: task_definition.clone(),
        container: container.clone(),
        command: command.to_vec(),
        footing,
        token: token.chars().take(36).collect(),
    };
    let task = operations.run_task(target, &new).await?;
    on_event(RunEvent::TaskStarted {
        task: task.clone(),
        task_definition,
    });
    let stream = definition
        .log_prefix
        .map(|prefix| format!("{prefix}/{task}"));
    Ok(Begun {
        task,
        container,
        stream,
        since,
    })
}

/// Tells a task's log and status until it has ended. Dropping the future leaves the task as it is.
pub async fn attend_run(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    begun: &Begun,
    poll: Poll,
    on_event: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<RunEnded, DeployError> {
    let mut status = String::new();
    let mut seen = BTreeSet::new();
    let mut missing = Duration::ZERO;
    let mut failing = Duration::ZERO;
    let ended = loop {
        match operations.task(target, &begun.task).await {
            Ok(Some(task)) => {
                failing = Duration::ZERO;
                if task.status != status {
                    status.clone_from(&task.status);
                    on_event(RunEvent::TaskChanged {
                        task: task.id.clone(),
                        status: status.clone(),
                    });
                }
                if task.status == "STOPPED" {
                    break task;
                }
            }
            Ok(None) if missing < APPEAR => missing += poll.every,
            Ok(None) => return Err(DeployError::not_found(format!("task {}", begun.task))),
            Err(failure) if failure.is_transient() && failing < TOLERATED => failing += poll.every,
            Err(failure) => return Err(failure.into()),
        }
        tell(rollouts, target, begun, &mut seen, on_event).await?;
        sleep(poll.every).await;
    };
    tell(rollouts, target, begun, &mut seen, on_event).await?;
    sleep(LOG_LAG.min(poll.every * 2)).await;
    tell(rollouts, target, begun, &mut seen, on_event).await?;
    let ended = end(begun, ended);
    on_event(RunEvent::TaskEnded {
        task: ended.task.clone(),
        exit_code: ended.exit_code,
        reason: ended.reason.clone(),
    });
    Ok(ended)
}

/// The lines that are new. A log that can't be asked for a moment is asked again.
async fn tell(
    rollouts: &dyn Rollouts,
    target: &Target,
    begun: &Begun,
    seen: &mut BTreeSet<String>,
    on_event: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<(), DeployError> {
    let Some(stream) = &begun.stream else {
        return Ok(());
    };
    let query = LogQuery {
        since: Some(begun.since),
        stream: Some(stream.clone()),
        ..LogQuery::default()
    };
    let lines = match logs(rollouts, target, &query).await {
        Ok(lines) => lines,
        // Before the container has begun there is no stream.
        Err(DeployError::Cloud(failure)) => {
            let transient = failure.is_transient();
            or_none::<()>(Err(failure)).or_else(|failure: CloudFailure| match transient {
                true => Ok(None),
                false => Err(failure),
            })?;
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    for line in lines {
        if seen.insert(line.id.clone()) {
            on_event(RunEvent::TaskLogged { line });
        }
    }
    Ok(())
}

fn end(begun: &Begun, task: Task) -> RunEnded {
    let container = task
        .containers
        .into_iter()
        .find(|container| container.name == begun.container);
    let said = container
        .as_ref()
        .and_then(|container| container.reason.clone());
    RunEnded {
        task: task.id,
        exit_code: container.and_then(|container| container.exit_code),
        reason: said.or(task.stopped_reason),
    }
}
