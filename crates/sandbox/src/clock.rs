//! The sandbox's time. It runs `speed` times as fast as tokio's clock, so that a paused tokio clock makes it virtual.
//! The only place that reads a clock; everything else is told the time.

use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since 1970-01-01 UTC, in sandbox time.
pub type Millis = i64;

/// A clock that starts at a moment and runs at a speed.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    start: Millis,
    speed: f64,
}

/// Where a new sandbox's time begins: fixed, so that two runs look alike. 2026-01-01T00:00:00Z.
pub const EPOCH: Millis = 1_767_225_600_000;

impl Clock {
    /// A clock that shows `start` now (or [`EPOCH`], if that is later) and runs `speed` times as fast as tokio's.
    pub fn new(speed: f64, start: Millis) -> Self {
        Self {
            origin: Instant::now(),
            start: start.max(EPOCH),
            speed: speed.max(0.001),
        }
    }

    /// The present in sandbox time.
    pub fn now(&self) -> Millis {
        let elapsed = self.origin.elapsed().as_secs_f64() * self.speed * 1000.0;
        self.start + elapsed as Millis
    }

    /// How long `span` of sandbox time lasts on tokio's clock.
    pub fn real(&self, span: Duration) -> Duration {
        span.div_f64(self.speed)
    }

    /// How many times as fast as tokio's clock it runs.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

/// `2026-01-01T00:00:00.000Z`.
pub fn iso(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map(|t| format!("{t:.3}"))
        .unwrap_or_default()
}

/// `20260101T000000Z`, as signatures have it.
pub(crate) fn compact(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map(|t| t.strftime(COMPACT).to_string())
        .unwrap_or_default()
}

/// The time of [`compact`].
pub(crate) fn of_compact(text: &str) -> Option<Millis> {
    let civil = jiff::civil::DateTime::strptime(COMPACT, text).ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

const COMPACT: &str = "%Y%m%dT%H%M%SZ";

/// `Thu, 01 Jan 2026 00:00:00 GMT`, as HTTP's header `date` has it.
pub fn http(at: Millis) -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    jiff::Timestamp::from_millisecond(at)
        .ok()
        .and_then(|at| printer.timestamp_to_rfc9110_string(&at).ok())
        .unwrap_or_default()
}

/// Seconds since 1970 with fractions, as the JSON protocols write a time.
pub fn seconds(at: Millis) -> serde_json::Value {
    serde_json::json!(at as f64 / 1000.0)
}
