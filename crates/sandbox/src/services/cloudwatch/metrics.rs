//! Metrics: what was measured, minute by minute, and the statistics of a window. Must not know what a metric means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// One minute, the resolution that is kept.
pub(crate) const MINUTE: Millis = 60_000;
/// How long datapoints are kept: the sandbox's alarms look back a day at most.
const KEPT: Millis = 24 * 60 * MINUTE;
/// Values are kept as whole millionths, so that equal ones are counted together.
const MILLIONTHS: f64 = 1_000_000.0;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) dimensions: BTreeMap<String, String>,
}

impl Metric {
    /// A metric by its namespace, name and dimensions.
    pub(crate) fn new<'a>(
        namespace: &str,
        name: &str,
        dimensions: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let dimensions = dimensions.into_iter();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// One text for all of it, by which it is kept.
    fn key(&self) -> String {
        let mut key = format!("{} {}", self.namespace, self.name);
        for (name, value) in &self.dimensions {
            key.push_str(&format!(" {name}={value}"));
        }
        key
    }
}

/// What was measured in one minute: how often each value, in millionths.
type Samples = BTreeMap<i64, u64>;

/// All metrics of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics(BTreeMap<String, BTreeMap<Millis, Samples>>);

impl Metrics {
    /// Adds `count` measurements of `value` at `at`.
    pub(crate) fn record(&mut self, metric: &Metric, at: Millis, value: f64, count: u64) {
        let minutes = self.0.entry(metric.key()).or_default();
        let samples = minutes.entry(at - at.rem_euclid(MINUTE)).or_default();
        *samples
            .entry((value * MILLIONTHS).round() as i64)
            .or_default() += count;
        minutes.retain(|minute, _| *minute > at - KEPT);
    }

    /// The statistic of what was measured from `start` up to `end`; `None` where nothing was, or for a statistic that doesn't exist.
    pub(crate) fn statistic(
        &self,
        metric: &Metric,
        start: Millis,
        end: Millis,
        statistic: &str,
    ) -> Option<f64> {
        let mut all = Samples::new();
        for (_, samples) in self.0.get(&metric.key())?.range(start..end) {
            for (value, count) in samples {
                *all.entry(*value).or_default() += count;
            }
        }
        let count: u64 = all.values().sum();
        if count == 0 {
            return None;
        }
        let sum = || {
            let millionths = all
                .iter()
                .map(|(value, count)| *value as f64 * *count as f64);
            millionths.sum::<f64>() / MILLIONTHS
        };
        let value = |millionths: &i64| *millionths as f64 / MILLIONTHS;
        Some(match statistic {
            "SampleCount" => count as f64,
            "Sum" => sum(),
            "Average" => sum() / count as f64,
            "Minimum" => value(all.keys().next()?),
            "Maximum" => value(all.keys().next_back()?),
            other => value(percentile(&all, count, percent(other)?)?),
        })
    }
}

/// The percent of a statistic such as `p99` or `p99.9`.
pub(super) fn percent(statistic: &str) -> Option<f64> {
    let percent: f64 = statistic.strip_prefix('p')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

/// Whether it is a statistic at all.
pub(super) fn is_statistic(text: &str) -> bool {
    let plain = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"];
    plain.contains(&text) || percent(text).is_some()
}

/// The least value that `percent` of the samples don't exceed.
fn percentile(samples: &Samples, count: u64, percent: f64) -> Option<&i64> {
    let wanted = (count as f64 * percent / 100.0).ceil().max(1.0) as u64;
    let mut seen = 0;
    samples.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= wanted).then_some(value)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_its_statistics() {
        let metric = Metric::new(
            "AWS/ApplicationELB",
            "TargetResponseTime",
            [("TargetGroup", "a")],
        );
        let mut metrics = Metrics::default();
        for value in 1..=100 {
            metrics.record(&metric, 61_000, f64::from(value), 1);
        }
        metrics.record(&metric, 120_000, 7.0, 3);
        let check = |statistic: &str, expected: f64| {
            let have = metrics.statistic(&metric, 60_000, 120_000, statistic);
            assert_eq!(have, Some(expected), "{statistic}");
        };
        check("SampleCount", 100.0);
        check("Sum", 5050.0);
        check("Average", 50.5);
        check("Minimum", 1.0);
        check("Maximum", 100.0);
        check("p99", 99.0);
        check("p0", 1.0);
        check("p100", 100.0);
        assert_eq!(
            metrics.statistic(&metric, 60_000, 180_000, "SampleCount"),
            Some(103.0)
        );
        assert_eq!(metrics.statistic(&metric, 0, 60_000, "Sum"), None);
        assert_eq!(metrics.statistic(&metric, 60_000, 120_000, "Median"), None);
        let other = Metric::new(
            "AWS/ApplicationELB",
            "TargetResponseTime",
            [("TargetGroup", "b")],
        );
        assert_eq!(metrics.statistic(&other, 60_000, 120_000, "Sum"), None);
    }

    #[test]
    fn what_is_older_than_a_day_is_forgotten() {
        let metric = Metric::new("a", "b", []);
        let mut metrics = Metrics::default();
        metrics.record(&metric, 0, 1.0, 1);
        metrics.record(&metric, KEPT, 1.0, 1);
        assert_eq!(metrics.statistic(&metric, 0, KEPT, "Sum"), None);
    }
}
