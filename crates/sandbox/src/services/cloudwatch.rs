//! CloudWatch: metrics of the balancers' real traffic, and alarms on them, judged once a minute. Must not measure anything
//! itself: balancers and callers do.

mod alarm;
mod expression;
mod metrics;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::alarm::Alarm;
use self::alarm::{invalid, seconds};
pub use self::metrics::Metrics;
pub(crate) use self::metrics::{MINUTE, Metric};
use crate::clock::Millis;
use crate::services::query::{only, wildcard};
use crate::services::{elbv2, events};
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, Wake, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "DeleteAlarms",
    "DescribeAlarms",
    "GetMetricData",
    "ListTagsForResource",
    "PutMetricAlarm",
    "PutMetricData",
    "SetAlarmState",
    "TagResource",
    "UntagResource",
];

/// Why an alarm is in alarm that is dialled so.
const HELD: &str = "the sandbox's fault dial holds this alarm in alarm";

/// Alarms on one page at most.
const PER_PAGE: i64 = 100;

/// CloudWatch in one region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub alarms: BTreeMap<String, Alarm>,
    /// What was measured.
    pub metrics: Metrics,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "DeleteAlarms" => delete_alarms(world, call),
        "DescribeAlarms" => describe_alarms(world, call),
        "GetMetricData" => get_metric_data(world, call),
        "ListTagsForResource" => list_tags(world, call),
        "PutMetricAlarm" => put_alarm(world, call),
        "PutMetricData" => put_metric_data(world, call),
        "SetAlarmState" => set_state(world, call),
        "TagResource" => tag(world, call),
        "UntagResource" => untag(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Whether the alarm is in alarm; one that neither exists nor is dialled isn't.
pub(crate) fn is_in_alarm(world: &World, region: &str, name: &str) -> bool {
    if is_dialled(world, name) {
        return true;
    }
    let region = world.regions.get(region);
    let alarm = region.and_then(|region| region.cloudwatch.alarms.get(name));
    alarm.is_some_and(|alarm| alarm.state == "ALARM")
}

fn is_dialled(world: &World, name: &str) -> bool {
    world.dials.alarms.iter().any(|dialled| dialled == name)
}

/// Puts the alarms that are dialled into alarm. They stay there until they are judged without the dial.
pub(crate) fn hold(world: &mut World, region: &str) {
    for name in world.dials.alarms.clone() {
        become_(world, region, &name, "ALARM", HELD.to_owned());
    }
}

/// Judges every alarm of the region at the end of a minute, and sets out for the next one as long as there are alarms.
pub(crate) fn wake(world: &mut World, region: &str) {
    let now = world.now;
    for (metric, value) in elbv2::host_counts(world, region) {
        // The minute that has just ended is the one that is counted for.
        world
            .at(region)
            .cloudwatch
            .metrics
            .record(&metric, now - 1, value, 1);
    }
    let state = &world.at(region).cloudwatch;
    let judged = state.alarms.values().map(|have| {
        (
            have.name.clone(),
            alarm::evaluate(have, &state.metrics, now),
        )
    });
    for (name, verdict) in judged.collect::<Vec<_>>() {
        match is_dialled(world, &name) {
            true => become_(world, region, &name, "ALARM", HELD.to_owned()),
            false => become_(world, region, &name, verdict.state, verdict.reason),
        }
    }
    set_out(world, region);
}

/// Puts an alarm into a state; a change is told to EventBridge.
fn become_(world: &mut World, region: &str, name: &str, state: &'static str, reason: String) {
    let now = world.now;
    let Some(alarm) = world.at(region).cloudwatch.alarms.get_mut(name) else {
        return;
    };
    alarm.reason = reason;
    if alarm.state == state {
        return;
    }
    let previous = std::mem::replace(&mut alarm.state, state.to_owned());
    alarm.since = now;
    let arn = alarm.arn.clone();
    let detail = json!({
        "alarmName": name,
        "state": {"value": state, "reason": alarm.reason},
        "previousState": {"value": previous},
    });
    events::emit(
        world,
        region,
        "aws.cloudwatch",
        "CloudWatch Alarm State Change",
        &[arn],
        &detail,
    );
}

fn set_out(world: &mut World, region: &str) {
    if !world.at(region).cloudwatch.alarms.is_empty() {
        let next = world.now - world.now.rem_euclid(MINUTE) + MINUTE;
        world.wake_at(next, region, Wake::Alarms);
    }
}

fn put_alarm(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    only(call, alarm::MEMBERS)?;
    let name = required(call, "AlarmName")?.to_owned();
    if name.chars().count() > 255 || !name.chars().all(|letter| (' '..='~').contains(&letter)) {
        return Err(invalid(
            "AlarmName must have 1 to 255 printable ASCII characters",
        ));
    }
    alarm::check(&call.input)?;
    let arn = world.arn("cloudwatch", &call.region, &format!("alarm:{name}"));
    let now = world.now;
    let mut definition = call.input.clone();
    if let Some(members) = definition.as_object_mut() {
        members.shift_remove("Tags");
    }
    let tags = new_tags(call)?;
    let alarms = &mut world.at(&call.region).cloudwatch.alarms;
    match alarms.get_mut(&name) {
        // Tags of an alarm that exists are not touched (API reference); its state stays until it is judged again.
        Some(alarm) => {
            alarm.definition = definition;
            alarm.configured = now;
        }
        None => {
            let alarm = Alarm {
                name: name.clone(),
                arn,
                definition,
                tags,
                state: "INSUFFICIENT_DATA".to_owned(),
                reason: "Unchecked: Initial alarm creation".to_owned(),
                since: now,
                configured: now,
            };
            alarms.insert(name, alarm);
        }
    }
    set_out(world, &call.region);
    Ok(Reply::Value(Value::Null))
}

fn describe_alarms(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    only(
        call,
        &[
            "AlarmNames",
            "AlarmNamePrefix",
            "AlarmTypes",
            "StateValue",
            "MaxRecords",
            "NextToken",
        ],
    )?;
    let names = call.input.texts("AlarmNames");
    let prefix = call.input.text("AlarmNamePrefix").unwrap_or_default();
    if !names.is_empty() && !prefix.is_empty() {
        return Err(invalid(
            "AlarmNames and AlarmNamePrefix must not be given together",
        ));
    }
    let types = call.input.texts("AlarmTypes");
    let state = call.input.text("StateValue");
    let wanted = |alarm: &&Alarm| {
        (names.is_empty() || names.contains(&alarm.name))
            && alarm.name.starts_with(prefix)
            && (types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm"))
            && state.is_none_or(|state| alarm.state == state)
    };
    let alarms = world.at(&call.region).cloudwatch.alarms.values();
    let shown: Vec<(String, Value)> = alarms
        .filter(wanted)
        .map(|have| (have.name.clone(), alarm::shown(have)))
        .collect();
    let limit = call
        .input
        .int("MaxRecords")
        .unwrap_or(PER_PAGE)
        .clamp(1, PER_PAGE);
    let page = page(shown, call.input.text("NextToken"), limit as usize)
        .ok_or_else(|| Fault::new("InvalidNextToken", "The next token specified is invalid."))?;
    let mut answer = json!({"CompositeAlarms": [], "MetricAlarms": page.items});
    if let Some(next) = page.next {
        answer["NextToken"] = next.into();
    }
    Ok(Reply::Value(answer))
}

fn delete_alarms(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    // Names of alarms that don't exist are passed over, as on AWS.
    let names = call.input.texts("AlarmNames");
    let alarms = &mut world.at(&call.region).cloudwatch.alarms;
    alarms.retain(|name, _| !names.contains(name));
    Ok(Reply::Value(Value::Null))
}

fn set_state(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "AlarmName")?;
    let state = required(call, "StateValue")?;
    let reason = required(call, "StateReason")?.to_owned();
    let known = alarm::known(state);
    if known != state {
        return Err(invalid(format!(
            "{state} is not OK, ALARM or INSUFFICIENT_DATA"
        )));
    }
    if !world.at(&call.region).cloudwatch.alarms.contains_key(name) {
        return Err(
            Fault::new("ResourceNotFound", format!("Alarm {name} does not exist")).status(404),
        );
    }
    become_(world, &call.region, name, known, reason);
    Ok(Reply::Value(Value::Null))
}

fn put_metric_data(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    only(call, &["Namespace", "MetricData"])?;
    let namespace = required(call, "Namespace")?;
    if namespace.starts_with("AWS/") {
        return Err(invalid(
            "The value AWS/ for parameter Namespace is invalid.",
        ));
    }
    let now = world.now;
    let metrics = &mut world.at(&call.region).cloudwatch.metrics;
    for datum in call.input.list("MetricData") {
        let dimensions = datum.pairs("Dimensions", "Name", "Value");
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let metric = Metric::new(namespace, datum.need("MetricName")?, dimensions);
        let value = datum.get("Value").and_then(Value::as_f64);
        let value = value.ok_or_else(|| {
            Fault::new(
                "NotImplemented",
                "the ecspipe sandbox takes metric data with one Value only",
            )
            .status(501)
        })?;
        let at = datum.get("Timestamp").and_then(Value::as_f64);
        let at = at.map_or(now, |seconds| (seconds * 1_000.0) as Millis);
        metrics.record(&metric, at, value, 1);
    }
    Ok(Reply::Value(Value::Null))
}

/// Metrics and metric math over a span of time, one value a period.
fn get_metric_data(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    only(
        call,
        &["MetricDataQueries", "StartTime", "EndTime", "ScanBy"],
    )?;
    let at = |name: &str| {
        let seconds = call.input.get(name).and_then(Value::as_f64);
        seconds
            .map(|seconds| (seconds * 1_000.0) as Millis)
            .ok_or_else(|| invalid(format!("The parameter {name} is required.")))
    };
    let (start, end) = (at("StartTime")?, at("EndTime")?);
    let queries = call.input.list("MetricDataQueries");
    let period = |query: &Value| {
        query
            .int("Period")
            .or_else(|| query.get("MetricStat")?.int("Period"))
    };
    let common = queries.iter().find_map(period).unwrap_or(60).max(60) * 1_000;
    let metrics = &world.at(&call.region).cloudwatch.metrics;
    let shown = queries
        .iter()
        .filter(|query| query.flag("ReturnData").unwrap_or(true));
    let mut results = Vec::new();
    for query in shown {
        let id = query.need("Id")?;
        let first = start - start.rem_euclid(common);
        let windows = (0..)
            .map(|step| first + step * common)
            .take_while(|at| *at < end);
        let mut points: Vec<(Millis, f64)> = windows
            .filter_map(|at| {
                let value =
                    alarm::query_value(queries, id, metrics, at, at + common, queries.len())?;
                Some((at, value))
            })
            .collect();
        if call.input.text("ScanBy") != Some("TimestampAscending") {
            points.reverse();
        }
        results.push(json!({
            "Id": id,
            "Label": query.text("Label").unwrap_or(id),
            "Timestamps": points.iter().map(|(at, _)| seconds(*at)).collect::<Vec<_>>(),
            "Values": points.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": "Complete",
        }));
    }
    Ok(Reply::Value(json!({"MetricDataResults": results})))
}

fn tag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    by_arn(world, call)?.tags.extend(tags);
    Ok(Reply::Value(Value::Null))
}

fn untag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("TagKeys");
    by_arn(world, call)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(Value::Null))
}

fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = by_arn(world, call)?.tags.iter();
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(Reply::Value(json!({"Tags": tags})))
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let tags = call.input.pairs("Tags", "Key", "Value");
    match tags
        .keys()
        .find(|key| wildcard("aws:*", &key.to_lowercase()))
    {
        Some(key) => Err(invalid(format!(
            "tag keys beginning with aws: are reserved: {key}"
        ))),
        None => Ok(tags),
    }
}

fn by_arn<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Alarm, Fault> {
    let arn = required(call, "ResourceARN")?;
    let mut alarms = world.at(&call.region).cloudwatch.alarms.values_mut();
    alarms.find(|alarm| alarm.arn == arn).ok_or_else(|| {
        Fault::new(
            "ResourceNotFoundException",
            format!("there is no alarm {arn}"),
        )
        .status(404)
    })
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input
        .text(name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| invalid(format!("The parameter {name} is required.")))
}

#[cfg(test)]
mod tests;
