//! Why something failed: tasks that stopped, the build, the alarms, and what was logged last. Must not judge it.

use std::collections::BTreeSet;

use aws_sdk_codebuild::types as cb;
use aws_sdk_ecs::types as ecs;
use ecspipe_deploy::{
    Alarm, Build, BuildPhase, BuildStatus, LogStream, StoppedContainer, StoppedTask, Target,
};
use ecspipe_provision::CloudError;

use super::{text, time};
use crate::classify::{OrMissing as _, Said as _};
use crate::{Account, all};

pub(super) async fn stopped_tasks(
    account: &Account,
    target: &Target,
    known: &BTreeSet<String>,
) -> Result<Vec<StoppedTask>, CloudError> {
    let items = account
        .ecs
        .list_tasks()
        .cluster(&target.cluster)
        .service_name(&target.service)
        .desired_status(ecs::DesiredStatus::Stopped)
        .into_paginator()
        .items()
        .send();
    let mut arns = all(items)
        .await
        .said("ecs", "ListTasks")
        .or_missing()?
        .unwrap_or_default();
    arns.retain(|arn| !known.contains(last(arn)));
    let mut found = Vec::new();
    // DescribeTasks takes a hundred.
    for some in arns.chunks(100) {
        let call = account
            .ecs
            .describe_tasks()
            .cluster(&target.cluster)
            .set_tasks(Some(some.to_vec()))
            .send()
            .await;
        let answer = call.said("ecs", "DescribeTasks")?;
        found.extend(answer.tasks().iter().filter_map(stopped_task));
    }
    Ok(found)
}

/// `None` for one whose containers are not known to have ended.
fn stopped_task(task: &ecs::Task) -> Option<StoppedTask> {
    let ended = |container: &ecs::Container| {
        container.exit_code().is_some() || container.reason().is_some()
    };
    if task.last_status() != Some("STOPPED") && !task.containers().iter().any(ended) {
        return None;
    }
    let container = |container: &ecs::Container| StoppedContainer {
        name: container.name().unwrap_or_default().to_owned(),
        image: text(container.image()),
        exit_code: container.exit_code(),
        reason: text(container.reason()).filter(|reason| !reason.is_empty()),
    };
    Some(StoppedTask {
        id: last(task.task_arn().unwrap_or_default()).to_owned(),
        task_set: text(task.started_by()),
        task_definition: text(task.task_definition_arn()),
        stopped: time(task.stopped_at().or(task.stopping_at())),
        code: task.stop_code().map(|code| code.as_str().into()),
        reason: text(task.stopped_reason()).filter(|reason| !reason.is_empty()),
        containers: task.containers().iter().map(container).collect(),
        log: Vec::new(),
    })
}

/// The last part of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

pub(super) async fn alarms(account: &Account, names: &[String]) -> Result<Vec<Alarm>, CloudError> {
    let call = account
        .cloudwatch
        .describe_alarms()
        .set_alarm_names(Some(names.to_vec()))
        .send()
        .await;
    let answer = call.said("cloudwatch", "DescribeAlarms")?;
    let metric = answer.metric_alarms().iter().map(|alarm| Alarm {
        name: alarm.alarm_name().unwrap_or_default().to_owned(),
        state: alarm
            .state_value()
            .map(|state| state.as_str())
            .unwrap_or_default()
            .into(),
        reason: text(alarm.state_reason()),
        since: time(
            alarm
                .state_transitioned_timestamp()
                .or(alarm.state_updated_timestamp()),
        ),
    });
    let composite = answer.composite_alarms().iter().map(|alarm| Alarm {
        name: alarm.alarm_name().unwrap_or_default().to_owned(),
        state: alarm
            .state_value()
            .map(|state| state.as_str())
            .unwrap_or_default()
            .into(),
        reason: text(alarm.state_reason()),
        since: time(
            alarm
                .state_transitioned_timestamp()
                .or(alarm.state_updated_timestamp()),
        ),
    });
    Ok(metric.chain(composite).collect())
}

pub(super) async fn build(account: &Account, id: &str) -> Result<Option<Build>, CloudError> {
    let call = account.codebuild.batch_get_builds().ids(id).send().await;
    let answer = call.said("codebuild", "BatchGetBuilds")?;
    Ok(answer.builds().first().map(|build| {
        let log = build.logs();
        let group = log.and_then(|log| text(log.group_name()));
        let stream = log.and_then(|log| text(log.stream_name()));
        Build {
            id: id.to_owned(),
            status: build
                .build_status()
                .map(|status| status.as_str())
                .unwrap_or_default()
                .into(),
            failed_phase: build.phases().iter().find_map(failed_phase),
            log: group
                .zip(stream)
                .map(|(group, stream)| LogStream { group, stream }),
            lines: Vec::new(),
        }
    }))
}

/// A phase that ended badly. The closing ones may, after another has.
fn failed_phase(phase: &cb::BuildPhase) -> Option<BuildPhase> {
    let status = BuildStatus::from(phase.phase_status()?.as_str());
    if matches!(status, BuildStatus::Succeeded | BuildStatus::InProgress) {
        return None;
    }
    let context = phase.contexts().first();
    let known = |value: Option<&str>| text(value).filter(|value| !value.is_empty());
    Some(BuildPhase {
        name: phase
            .phase_type()
            .map(|kind| kind.as_str())
            .unwrap_or_default()
            .to_owned(),
        status,
        code: context.and_then(|context| known(context.status_code())),
        message: context.and_then(|context| known(context.message())),
    })
}

pub(super) async fn log_tail(
    account: &Account,
    stream: &LogStream,
    lines: u32,
) -> Result<Vec<String>, CloudError> {
    let call = account
        .logs
        .get_log_events()
        .log_group_name(&stream.group)
        .log_stream_name(&stream.stream)
        .start_from_head(false)
        .limit(i32::try_from(lines).unwrap_or(i32::MAX))
        .send()
        .await;
    let answer = call.said("logs", "GetLogEvents").or_missing()?;
    let events = answer.iter().flat_map(|answer| answer.events());
    Ok(events
        .map(|event| event.message().unwrap_or_default().trim_end().to_owned())
        .collect())
}
