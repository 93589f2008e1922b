//! An alarm: its definition, read and checked, and how its state follows from the metrics. Must not keep metrics or tell others.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::expression;
use super::metrics::{MINUTE, Metric, Metrics, is_statistic};
use crate::clock::Millis;
use crate::wire::{Fault, Input as _};
use crate::world::Tags;

/// How far back the periods of one alarm may reach together (API reference, `PutMetricAlarm`).
const LONGEST: i64 = 86_400;

/// A metric alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What was put, member by member.
    pub definition: Value,
    /// Tags.
    pub tags: Tags,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Millis,
    /// When it was put for the last time.
    pub configured: Millis,
}

/// A state and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: &'static str,
    pub(super) reason: String,
}

/// What an alarm looks at in each period.
struct Watch {
    period: Millis,
    evaluated: usize,
    needed: usize,
    threshold: f64,
    comparison: Comparison,
    missing: Gap,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// How a period without data is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Unknown,
    Ignored,
    Breaching,
    Fine,
}

impl Comparison {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "GreaterThanThreshold" => Self::Above,
            "GreaterThanOrEqualToThreshold" => Self::AtLeast,
            "LessThanThreshold" => Self::Below,
            "LessThanOrEqualToThreshold" => Self::AtMost,
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Above => "greater than",
            Self::AtLeast => "greater than or equal to",
            Self::Below => "less than",
            Self::AtMost => "less than or equal to",
        }
    }

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

/// The members of `PutMetricAlarm` that the sandbox heeds; [`super::call`] refuses all others.
pub(super) const MEMBERS: &[&str] = &[
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "Metrics",
    "Tags",
];

/// Refuses a definition that AWS would refuse, or that the sandbox couldn't evaluate.
pub(super) fn check(definition: &Value) -> Result<(), Fault> {
    for actions in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
        if !definition.list(actions).is_empty() {
            let message =
                format!("the ecspipe sandbox does not implement alarm actions ({actions})");
            return Err(Fault::new("NotImplemented", message).status(501));
        }
    }
    let watch = Watch::of(definition)?;
    if watch.needed > watch.evaluated || watch.needed == 0 {
        return Err(invalid(
            "DatapointsToAlarm must be from 1 to EvaluationPeriods",
        ));
    }
    if watch.period * watch.evaluated as Millis > LONGEST * 1_000 {
        return Err(invalid(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).",
        ));
    }
    match definition.list("Metrics") {
        [] => plain(definition).map(|_| ()),
        queries => check_queries(queries),
    }
}

/// The alarm's state at `now`, by the last complete periods.
pub(super) fn evaluate(alarm: &Alarm, metrics: &Metrics, now: Millis) -> Verdict {
    let Ok(watch) = Watch::of(&alarm.definition) else {
        return insufficient();
    };
    let end = now - now.rem_euclid(MINUTE);
    let windows = (0..watch.evaluated).map(|back| end - watch.period * back as Millis);
    let points: Vec<Option<f64>> = windows
        .map(|end| value(&alarm.definition, metrics, end - watch.period, end))
        .collect();
    watch.judge(alarm, &points)
}

impl Watch {
    fn of(definition: &Value) -> Result<Self, Fault> {
        let need = |name: &str| {
            definition
                .int(name)
                .filter(|number| *number > 0)
                .ok_or_else(|| invalid(format!("{name} must be a whole number above 0")))
        };
        let evaluated = need("EvaluationPeriods")?;
        let comparison = definition.text("ComparisonOperator").unwrap_or_default();
        let comparison = Comparison::read(comparison).ok_or_else(|| {
            invalid(format!(
                "the ecspipe sandbox does not know the ComparisonOperator {comparison}"
            ))
        })?;
        let missing = match definition.text("TreatMissingData").unwrap_or("missing") {
            "missing" => Gap::Unknown,
            "ignore" => Gap::Ignored,
            "breaching" => Gap::Breaching,
            "notBreaching" => Gap::Fine,
            other => return Err(invalid(format!("TreatMissingData must not be {other}"))),
        };
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let threshold = definition.get("Threshold").and_then(number);
        Ok(Self {
            period: period(definition)? * 1_000,
            evaluated: evaluated as usize,
            needed: definition
                .int("DatapointsToAlarm")
                .unwrap_or(evaluated)
                .max(0) as usize,
            threshold: threshold.ok_or_else(|| invalid("The parameter Threshold is required."))?,
            comparison,
            missing,
        })
    }

    /// AWS looks at a few more datapoints than the periods where some are missing (user guide, "How alarm state is evaluated when
    /// data is missing"); here the periods themselves decide.
    fn judge(&self, alarm: &Alarm, points: &[Option<f64>]) -> Verdict {
        let present: Vec<f64> = points.iter().copied().flatten().collect();
        if present.is_empty() && self.missing == Gap::Unknown {
            return insufficient();
        }
        if present.is_empty() && self.missing == Gap::Ignored {
            return Verdict {
                state: known(&alarm.state),
                reason: alarm.reason.clone(),
            };
        }
        let breaching: Vec<f64> = present
            .iter()
            .copied()
            .filter(|value| self.comparison.holds(*value, self.threshold))
            .collect();
        let missing = points.len() - present.len();
        let counted = match self.missing {
            Gap::Breaching => breaching.len() + missing,
            _ => breaching.len(),
        };
        let alarmed = counted >= self.needed;
        let shown = if alarmed { &breaching } else { &present };
        let values: Vec<String> = shown.iter().map(|value| format!("{value:?}")).collect();
        let verb = if alarmed { "" } else { "not " };
        let reason = format!(
            "Threshold Crossed: {counted} out of the last {} datapoints [{}] was {verb}{} the threshold ({:?}) (minimum {} datapoint{} for {} transition).",
            points.len(),
            values.join(", "),
            self.comparison.words(),
            self.threshold,
            self.needed,
            if self.needed == 1 { "" } else { "s" },
            if alarmed {
                "OK -> ALARM"
            } else {
                "ALARM -> OK"
            },
        );
        Verdict {
            state: if alarmed { "ALARM" } else { "OK" },
            reason,
        }
    }
}

fn insufficient() -> Verdict {
    Verdict {
        state: "INSUFFICIENT_DATA",
        reason: "Insufficient Data: no datapoints were received.".to_owned(),
    }
}

/// One of the three states.
pub(super) fn known(state: &str) -> &'static str {
    match state {
        "OK" => "OK",
        "ALARM" => "ALARM",
        _ => "INSUFFICIENT_DATA",
    }
}

/// The period in seconds; of metric math that of its metrics.
fn period(definition: &Value) -> Result<i64, Fault> {
    let of_queries = || {
        let mut periods = definition
            .list("Metrics")
            .iter()
            .filter_map(|query| query.get("MetricStat")?.int("Period"));
        periods.next()
    };
    let period = definition.int("Period").or_else(of_queries);
    match period {
        Some(period) if period > 0 && period % 60 == 0 => Ok(period),
        Some(10 | 20 | 30) => Err(Fault::new(
            "NotImplemented",
            "the ecspipe sandbox keeps metrics by the minute: periods of 10, 20 and 30 seconds are not implemented",
        )
        .status(501)),
        _ => Err(invalid("Period must be 10, 20, 30 or a multiple of 60")),
    }
}

/// Metric and statistic of an alarm without metric math.
fn plain(definition: &Value) -> Result<(Metric, String), Fault> {
    let statistic = definition
        .text("ExtendedStatistic")
        .or(definition.text("Statistic"))
        .unwrap_or_default();
    if !is_statistic(statistic) {
        return Err(invalid(format!(
            "Statistic or ExtendedStatistic must be given; {statistic:?} is not one"
        )));
    }
    Ok((metric(definition)?, statistic.to_owned()))
}

pub(super) fn metric(of: &Value) -> Result<Metric, Fault> {
    let need = |name: &str| {
        of.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(format!("The parameter {name} is required.")))
    };
    let dimensions = of.pairs("Dimensions", "Name", "Value");
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(Metric::new(
        need("Namespace")?,
        need("MetricName")?,
        dimensions,
    ))
}

fn check_queries(queries: &[Value]) -> Result<(), Fault> {
    let ids: Vec<&str> = queries
        .iter()
        .filter_map(|query| query.text("Id"))
        .collect();
    let returned = |query: &&Value| query.flag("ReturnData").unwrap_or(true);
    if queries.iter().filter(returned).count() != 1 {
        return Err(invalid(
            "Exactly one element of the metrics list should return data.",
        ));
    }
    for (at, query) in queries.iter().enumerate() {
        let id = query.text("Id").unwrap_or_default();
        if id.is_empty() || ids[..at].contains(&id) {
            return Err(invalid("Every metric query needs an Id of its own"));
        }
        match (query.text("Expression"), query.get("MetricStat")) {
            (Some(text), None) => {
                let expression = expression::read(text)
                    .map_err(|reason| invalid(format!("Error in expression '{id}': {reason}")))?;
                if let Some(unknown) = expression
                    .ids()
                    .into_iter()
                    .find(|of| !ids.contains(of) || *of == id)
                {
                    return Err(invalid(format!(
                        "Error in expression '{id}': there is no metric {unknown}"
                    )));
                }
            }
            (None, Some(stat)) => {
                let statistic = stat.text("Stat").unwrap_or_default();
                if !is_statistic(statistic) {
                    return Err(invalid(format!("{statistic:?} is not a statistic")));
                }
                metric(stat.get("Metric").unwrap_or(&Value::Null))?;
            }
            _ => {
                return Err(invalid(
                    "A metric query has either an Expression or a MetricStat",
                ));
            }
        }
    }
    Ok(())
}

/// The datapoint of one period.
fn value(definition: &Value, metrics: &Metrics, start: Millis, end: Millis) -> Option<f64> {
    let queries = definition.list("Metrics");
    if queries.is_empty() {
        let (metric, statistic) = plain(definition).ok()?;
        return metrics.statistic(&metric, start, end, &statistic);
    }
    let returned = queries
        .iter()
        .find(|query| query.flag("ReturnData").unwrap_or(true))?;
    query_value(
        queries,
        returned.text("Id")?,
        metrics,
        start,
        end,
        queries.len(),
    )
}

/// The datapoint of the query `id`. Expressions may refer to each other, `depth` steps deep.
pub(super) fn query_value(
    queries: &[Value],
    id: &str,
    metrics: &Metrics,
    start: Millis,
    end: Millis,
    depth: usize,
) -> Option<f64> {
    let query = queries.iter().find(|query| query.text("Id") == Some(id))?;
    match query.text("Expression") {
        Some(text) if depth > 0 => expression::read(text)
            .ok()?
            .evaluate(&|id| query_value(queries, id, metrics, start, end, depth - 1)),
        Some(_) => None,
        None => {
            let stat = query.get("MetricStat")?;
            let metric = metric(stat.get("Metric")?).ok()?;
            metrics.statistic(&metric, start, end, stat.text("Stat")?)
        }
    }
}

/// An alarm as `DescribeAlarms` shows it.
pub(super) fn shown(alarm: &Alarm) -> Value {
    let mut shown = json!({
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": seconds(alarm.configured),
        "ActionsEnabled": true,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": seconds(alarm.since),
        "StateTransitionedTimestamp": seconds(alarm.since),
        "Dimensions": [],
    });
    let given = alarm.definition.as_object().into_iter().flatten();
    for (name, value) in given.filter(|(name, _)| *name != "Tags") {
        shown[name] = value.clone();
    }
    // A number that is whole comes over the wire as one; the API's shape is a double.
    if let Some(threshold) = alarm.definition.get("Threshold").and_then(Value::as_f64) {
        shown["Threshold"] = json!(threshold);
    }
    shown
}

pub(super) fn seconds(at: Millis) -> f64 {
    at as f64 / 1_000.0
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationError", message)
}
