//! Alarms that exist and functions that CodeDeploy is to call: one call for all alarms, one for each function. Must not judge.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::types::AlarmType;
use ecspipe_provision::CloudError;
use ecspipe_provision::existing::{LambdaFunction, Problem};
use ecspipe_spec::{Alarm, Function, HookEvent, Spec};

use super::Sought;
use crate::classify::{OrMissing as _, Said as _};
use crate::{Account, all};

/// The states of the alarms that the spec names, by name.
pub(super) async fn alarms(
    account: &Account,
    spec: &Spec,
) -> Result<Vec<(String, Sought<String>)>, CloudError> {
    let named: Vec<(usize, &String)> = spec
        .deploy
        .alarms
        .iter()
        .enumerate()
        .filter_map(|(index, alarm)| match alarm {
            Alarm::Existing(name) => Some((index, name)),
            Alarm::Declared(_) => None,
        })
        .collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let names = named.iter().map(|(_, name)| (*name).clone()).collect();
    let pages = account
        .cloudwatch
        .describe_alarms()
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .set_alarm_names(Some(names))
        .into_paginator()
        .send();
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    for page in all(pages).await.said("cloudwatch", "DescribeAlarms")? {
        let state = |value: Option<&aws_sdk_cloudwatch::types::StateValue>| {
            value
                .map(|state| state.as_str().to_owned())
                .unwrap_or_default()
        };
        for alarm in page.metric_alarms() {
            let name = alarm.alarm_name().unwrap_or_default().to_owned();
            states.insert(name, state(alarm.state_value()));
        }
        for alarm in page.composite_alarms() {
            let name = alarm.alarm_name().unwrap_or_default().to_owned();
            states.insert(name, state(alarm.state_value()));
        }
    }
    let missing = |index: usize, name: &str| {
        Problem::new(
            format!("deploy.alarms[{index}]"),
            format!("there is no alarm `{name}` in CloudWatch"),
            "make it, correct the name, or declare it here: `http_5xx: { above: 1%, for: 2m }`",
        )
    };
    let found = named.into_iter().map(|(index, name)| {
        let state = states.remove(name);
        (
            name.clone(),
            state.ok_or_else(|| vec![missing(index, name)]),
        )
    });
    Ok(found.collect())
}

/// The functions of the spec's hooks; one that several events call is asked for once.
pub(super) async fn functions(
    account: &Account,
    spec: &Spec,
) -> Result<Vec<(HookEvent, Sought<LambdaFunction>)>, CloudError> {
    let hooks = &spec.deploy.hooks;
    let functions: BTreeSet<&Function> = hooks.values().collect();
    let asked = functions.into_iter().map(|function| async move {
        Ok::<_, CloudError>((function, find(account, function).await?))
    });
    let found: BTreeMap<_, _> = futures::future::try_join_all(asked)
        .await?
        .into_iter()
        .collect();
    let missing = |event: HookEvent, function: &Function| {
        Problem::new(
            format!("deploy.hooks.{}", event.key()),
            format!("there is no Lambda function `{function}` here"),
            "make it, or correct the name",
        )
    };
    let each = hooks.iter().map(|(event, function)| {
        let sought = found.get(function).cloned().flatten();
        (
            *event,
            sought.ok_or_else(|| vec![missing(*event, function)]),
        )
    });
    Ok(each.collect())
}

async fn find(
    account: &Account,
    function: &Function,
) -> Result<Option<LambdaFunction>, CloudError> {
    let call = account
        .lambda
        .get_function_configuration()
        .function_name(function.as_str())
        .send()
        .await;
    let answer = call
        .said("lambda", "GetFunctionConfiguration")
        .or_missing()?;
    Ok(answer.map(|answer| LambdaFunction {
        name: function.name().to_owned(),
        state: answer
            .state()
            .map(|state| state.as_str().to_owned())
            .unwrap_or_default(),
        reason: answer.state_reason().unwrap_or_default().to_owned(),
    }))
}
