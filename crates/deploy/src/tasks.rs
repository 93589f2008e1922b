//! How many tasks an app has, and from which task definitions new ones can be started. Must not roll out.

use std::collections::BTreeSet;

use crate::error::DeployError;
use crate::operations::{Operations, revision_of};
use crate::rollouts::{DeploymentSummary, Rollouts, ServiceState, Target, Which};
use crate::snapshot::DeploymentStatus;
use crate::start::refuse_in_flight;

/// How many revisions stay active whatever they are: who looks for what ran last week finds it.
pub const KEPT_REVISIONS: usize = 20;

/// How many different task definitions that were rolled out with success stay active: as far back as `rollback` may want to go.
pub const KEPT_RELEASES: usize = 10;

/// How many revisions are retired at once. AWS lets one go a second (AWS.md §3), and nobody is to wait longer than for some.
const AT_ONCE: usize = 10;

/// How many deployments are looked through for those that succeeded.
const HISTORY: usize = 100;

/// A service whose number of tasks was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// How many it should have had.
    pub before: i64,
    /// How many it should have now.
    pub now: u32,
}

/// Changes how many tasks the service should have. Refused while a deployment is in flight: CodeDeploy counts the tasks of both
/// versions then, and gives up when they aren't steady (AWS.md §4.5).
pub async fn scale(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    tasks: u32,
) -> Result<Scaled, DeployError> {
    refuse_in_flight(rollouts, target).await?;
    let service = rollouts.service(target).await?;
    if service.desired != i64::from(tasks) {
        operations.scale(target, tasks).await?;
    }
    Ok(Scaled {
        before: service.desired,
        now: tasks,
    })
}

/// Retires old task definitions: all but the newest [`KEPT_REVISIONS`], those that a task set or the service names, the newest
/// [`KEPT_RELEASES`] that succeeded, and the oldest that is active: its tags say whose the family is, as a pipeline gives none. Some at once; the next call goes on. Gives those that were retired, oldest first. Does nothing
/// while a deployment is in flight.
pub async fn retire(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
) -> Result<Vec<String>, DeployError> {
    let active = operations.active_definitions(target).await?;
    if active.len() <= KEPT_REVISIONS {
        return Ok(Vec::new());
    }
    let service = rollouts.service(target).await?;
    let history = rollouts.deployments(target, Which::All, HISTORY).await?;
    let old = old(&active, &service, &history);
    for arn in &old {
        operations.retire(arn).await?;
    }
    Ok(old)
}

/// The revisions to retire, oldest first. What is in flight may need any of them.
fn old(active: &[String], service: &ServiceState, history: &[DeploymentSummary]) -> Vec<String> {
    let is_over = |deployment: &DeploymentSummary| {
        matches!(
            deployment.status,
            DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped
        )
    };
    if !history.iter().all(is_over) {
        return Vec::new();
    }
    let mut kept: BTreeSet<&str> = service.task_definition.as_deref().into_iter().collect();
    kept.extend(
        service
            .task_sets
            .iter()
            .filter_map(|set| set.task_definition.as_deref()),
    );
    kept.extend(good(history));
    let mut newest: Vec<&String> = active.iter().collect();
    newest.sort_by_key(|arn| std::cmp::Reverse(revision_of(arn)));
    kept.extend(newest.last().map(|arn| arn.as_str()));
    let mut old: Vec<String> = newest
        .into_iter()
        .skip(KEPT_REVISIONS)
        .filter(|arn| !kept.contains(arn.as_str()))
        .cloned()
        .collect();
    old.reverse();
    old.truncate(AT_ONCE);
    old
}

/// The newest different task definitions that succeeded.
fn good(history: &[DeploymentSummary]) -> Vec<&str> {
    let mut good: Vec<&str> = Vec::new();
    for deployment in history {
        if let (DeploymentStatus::Succeeded, Some(arn)) =
            (&deployment.status, deployment.task_definition.as_deref())
            && !good.contains(&arn)
        {
            good.push(arn);
        }
    }
    good.truncate(KEPT_RELEASES);
    good
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::{TaskSet, TaskSetStatus};

    fn arn(revision: usize) -> String {
        format!("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:{revision}")
    }

    fn deployment(revision: usize, status: DeploymentStatus) -> DeploymentSummary {
        DeploymentSummary {
            id: format!("d-{revision}"),
            status,
            creator: None,
            description: None,
            task_definition: Some(arn(revision)),
            created: None,
            completed: None,
        }
    }

    /// A service whose first task definition is `own`, and whose task sets run `sets`.
    fn service(own: usize, sets: &[usize]) -> ServiceState {
        let set = |revision: &usize| TaskSet {
            id: format!("ecs-svc/{revision}"),
            label: None,
            status: Some(TaskSetStatus::Primary),
            desired: 1,
            running: 1,
            pending: 0,
            traffic_weight: None,
            target_group: None,
            task_definition: Some(arn(*revision)),
            created: None,
        };
        ServiceState {
            status: "ACTIVE".to_owned(),
            created: None,
            desired: 1,
            running: 1,
            pending: 0,
            task_definition: Some(arn(own)),
            task_sets: sets.iter().map(set).collect(),
        }
    }

    #[track_caller]
    fn check(history: &[DeploymentSummary], service: &ServiceState, want: &[usize]) {
        let active: Vec<String> = (1..=32).rev().map(arn).collect();
        let want: Vec<String> = want.iter().map(|revision| arn(*revision)).collect();
        assert_eq!(old(&active, service, history), want);
    }

    #[test]
    fn what_is_in_use_or_may_be_wanted_again_stays() {
        use DeploymentStatus::{Failed, InProgress, Succeeded};
        // 13 to 32 are the newest; 1 is the oldest, 5 the service's own, 3 runs, and 12 to 14 succeeded.
        let mut history: Vec<_> = [14, 13, 12].map(|at| deployment(at, Succeeded)).to_vec();
        history.push(deployment(2, Failed));
        check(&history, &service(5, &[3]), &[2, 4, 6, 7, 8, 9, 10, 11]);
        // At most ten at once, the oldest first.
        check(&[], &service(32, &[32]), &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        // Ten that succeeded stay, not more; one twice counts once.
        let mut history: Vec<_> = (1..=12).rev().map(|at| deployment(at, Succeeded)).collect();
        history.insert(0, deployment(12, Succeeded));
        check(&history, &service(32, &[32]), &[2]);
        history.insert(0, deployment(32, InProgress));
        check(&history, &service(32, &[32]), &[]);
    }
}
