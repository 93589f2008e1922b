//! CloudWatch alarms on the app's target groups. Must not look at the state of one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::types as cw;
use ecspipe_provision::resource::{Alarm, AlarmMetric};
use ecspipe_provision::{CloudError, Have, Kind, Scope, Tags};
use ecspipe_spec::Facts;

use super::{Seen, Update};
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;
use crate::{Account, all};

/// Where a load balancer's metrics are.
const NAMESPACE: &str = "AWS/ApplicationELB";

/// The dimensions of a metric of one target group.
const LOAD_BALANCER: &str = "LoadBalancer";
const TARGET_GROUP: &str = "TargetGroup";

/// What the formula is called among the metrics.
const FORMULA: &str = "value";

/// The app's alarms, and others of their names. An app without any costs a plan nothing where the account's tag index says that it
/// has none.
pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::Alarm);
    if names.is_empty() && view.has_none_of(scope, "cloudwatch").await {
        return Ok(Vec::new());
    }
    let pages = view
        .cloudwatch
        .describe_alarms()
        .alarm_types(cw::AlarmType::MetricAlarm)
        .alarm_name_prefix(format!("{}-", scope.app))
        .into_paginator()
        .send();
    let pages = all(pages).await.said("cloudwatch", "DescribeAlarms")?;
    let alarms = pages.iter().flat_map(|page| page.metric_alarms());
    let ours = alarms.filter(|alarm| {
        let name = alarm.alarm_name().unwrap_or_default();
        names.contains(name) || scope.names.is_alarm(name)
    });
    let found = ours.map(|alarm| fetch(view, scope, alarm));
    let found = futures::future::try_join_all(found).await?;
    Ok(found
        .into_iter()
        .flatten()
        .map(|seen| seen.into_have(scope, Kind::Alarm))
        .collect())
}

async fn fetch(
    view: &View,
    scope: &Scope,
    alarm: &cw::MetricAlarm,
) -> Result<Option<Seen>, CloudError> {
    let name = alarm.alarm_name().unwrap_or_default();
    let arn = alarm.alarm_arn().unwrap_or_default();
    let tags = match view.indexed(scope, arn).await {
        Some(tags) => Some(tags),
        None => tags_of(view, arn).await?,
    };
    Ok(tags.map(|tags| Seen::named(name, tags, resource(alarm, &scope.facts))))
}

async fn tags_of(
    account: &Account,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let call = account
        .cloudwatch
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call
        .said("cloudwatch", "ListTagsForResource")
        .or_missing()?;
    Ok(answer.map(|answer| {
        let tags = answer.tags().iter();
        crate::tags::map(tags.map(|tag| (tag.key(), tag.value())))
    }))
}

fn resource(alarm: &cw::MetricAlarm, facts: &Facts) -> Alarm {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let number = |value: Option<i32>| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or_default()
    };
    let queries = alarm.metrics();
    let formula = queries.iter().find_map(|query| query.expression());
    let metrics: BTreeSet<AlarmMetric> = if queries.is_empty() {
        [plain(alarm, facts)].into()
    } else {
        let queries = queries.iter();
        queries.filter_map(|query| of_query(query, facts)).collect()
    };
    let in_queries = || {
        let periods = queries.iter().filter_map(|query| query.metric_stat());
        periods.filter_map(|stat| stat.period()).max()
    };
    let periods = number(alarm.evaluation_periods());
    Alarm {
        name: text(alarm.alarm_name()),
        description: text(alarm.alarm_description()),
        metrics,
        formula: formula.map(ToOwned::to_owned),
        comparison: text(
            alarm
                .comparison_operator()
                .map(|operator| operator.as_str()),
        ),
        threshold: alarm
            .threshold()
            .map(|threshold| threshold.to_string())
            .unwrap_or_default(),
        period_seconds: number(alarm.period().or_else(in_queries)),
        periods,
        breaching_periods: alarm
            .datapoints_to_alarm()
            .map_or(periods, |count| number(Some(count))),
        missing_data: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
    }
}

/// The metric of an alarm without a formula.
fn plain(alarm: &cw::MetricAlarm, facts: &Facts) -> AlarmMetric {
    let statistic = alarm
        .extended_statistic()
        .or(alarm.statistic().map(|statistic| statistic.as_str()));
    read(
        Read {
            id: "",
            namespace: alarm.namespace(),
            metric: alarm.metric_name(),
            statistic,
            dimensions: alarm.dimensions(),
        },
        facts,
    )
}

fn of_query(query: &cw::MetricDataQuery, facts: &Facts) -> Option<AlarmMetric> {
    let stat = query.metric_stat()?;
    let metric = stat.metric()?;
    Some(read(
        Read {
            id: query.id().unwrap_or_default(),
            namespace: metric.namespace(),
            metric: metric.metric_name(),
            statistic: stat.stat(),
            dimensions: metric.dimensions(),
        },
        facts,
    ))
}

struct Read<'a> {
    id: &'a str,
    namespace: Option<&'a str>,
    metric: Option<&'a str>,
    statistic: Option<&'a str>,
    dimensions: &'a [cw::Dimension],
}

/// What is not as ecspipe makes it, another namespace or a further dimension, stands beside the metric's name, so that it differs.
fn read(metric: Read<'_>, facts: &Facts) -> AlarmMetric {
    let mut name = match metric.namespace {
        None | Some(NAMESPACE) => String::new(),
        Some(other) => format!("{other} "),
    };
    name.push_str(metric.metric.unwrap_or_default());
    let (mut load_balancer, mut target_group) = (String::new(), String::new());
    let arn = |resource: &str| facts.arn("elasticloadbalancing", resource);
    for dimension in metric.dimensions {
        let value = dimension.value().unwrap_or_default();
        match dimension.name().unwrap_or_default() {
            LOAD_BALANCER => load_balancer = arn(&format!("loadbalancer/{value}")),
            TARGET_GROUP => target_group = arn(value),
            other => name.push_str(&format!(" {other}={value}")),
        }
    }
    AlarmMetric {
        id: metric.id.to_owned(),
        metric: name,
        statistic: metric.statistic.unwrap_or_default().to_owned(),
        load_balancer,
        target_group,
    }
}

/// Makes the alarm. The same call would change another's of that name: the plan has seen that there is none.
pub(crate) async fn create(account: &Account, want: &Alarm, tags: &Tags) -> Result<(), CloudError> {
    put(account, want, Some(tags)).await
}

/// CloudWatch takes tags only with an alarm that is new.
async fn put(account: &Account, want: &Alarm, tags: Option<&Tags>) -> Result<(), CloudError> {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let call = account
        .cloudwatch
        .put_metric_alarm()
        .alarm_name(&want.name)
        .alarm_description(&want.description)
        .comparison_operator(want.comparison.as_str().into())
        .threshold(want.threshold.parse().unwrap_or_default())
        .evaluation_periods(int(want.periods))
        .datapoints_to_alarm(int(want.breaching_periods))
        .treat_missing_data(&want.missing_data)
        .set_tags(tags.map(|tags| crate::tags::list!(cw::Tag, tags.all())));
    let call = match (&want.formula, want.metrics.first()) {
        (None, Some(metric)) => {
            let call = call
                .namespace(NAMESPACE)
                .metric_name(&metric.metric)
                .set_dimensions(Some(dimensions(metric)))
                .period(int(want.period_seconds));
            // Percentiles have a member of their own.
            if metric.statistic.starts_with('p') {
                call.extended_statistic(&metric.statistic)
            } else {
                call.statistic(metric.statistic.as_str().into())
            }
        }
        (formula, _) => {
            let value = cw::MetricDataQuery::builder()
                .id(FORMULA)
                .set_expression(formula.clone())
                .return_data(true);
            let metrics = want
                .metrics
                .iter()
                .map(|metric| query(metric, int(want.period_seconds)));
            call.set_metrics(Some(metrics.chain([value.build()]).collect()))
        }
    };
    call.send()
        .await
        .said("cloudwatch", "PutMetricAlarm")
        .map(|_| ())
}

fn query(metric: &AlarmMetric, period: i32) -> cw::MetricDataQuery {
    let of = cw::Metric::builder()
        .namespace(NAMESPACE)
        .metric_name(&metric.metric)
        .set_dimensions(Some(dimensions(metric)))
        .build();
    let stat = cw::MetricStat::builder()
        .metric(of)
        .period(period)
        .stat(&metric.statistic)
        .build();
    cw::MetricDataQuery::builder()
        .id(&metric.id)
        .metric_stat(stat)
        .return_data(false)
        .build()
}

/// A load balancer's metrics name it and its target groups by the ends of their ARNs.
fn dimensions(metric: &AlarmMetric) -> Vec<cw::Dimension> {
    let resource = |arn: &str| arn.splitn(6, ':').nth(5).unwrap_or_default().to_owned();
    let balancer = resource(&metric.load_balancer);
    let balancer = balancer
        .strip_prefix("loadbalancer/")
        .unwrap_or(&balancer)
        .to_owned();
    let dimension =
        |name: &str, value: String| cw::Dimension::builder().name(name).value(value).build();
    vec![
        dimension(LOAD_BALANCER, balancer),
        dimension(TARGET_GROUP, resource(&metric.target_group)),
    ]
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &Alarm,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let differs = |change: &ecspipe_provision::Change| change.property() != "tags";
    if update.changes.iter().any(differs) {
        put(account, want, None).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let call = account
            .cloudwatch
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(crate::tags::list!(cw::Tag, retag.add)))
            .send()
            .await;
        call.said("cloudwatch", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .cloudwatch
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("cloudwatch", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .cloudwatch
        .delete_alarms()
        .alarm_names(&have.name)
        .send()
        .await;
    call.said("cloudwatch", "DeleteAlarms")
        .or_missing()
        .map(|_| ())
}
