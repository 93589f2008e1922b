//! Newtypes that are valid by construction: whoever holds one need not check it again.
//! Must not know the spec's layout.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Facts;
use crate::rules::Arn;
use crate::tree::shorten;

/// An app's name: 2 to 32 characters, lower-case letters, digits and single hyphens, starting with a letter.
/// Every other name is derived from it ([`crate::Names`]), so the rule is the narrowest of what AWS allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

impl AppName {
    /// The most characters an app's name may have.
    pub const MAX: usize = 32;

    /// Checks `name` against the rule; the error says what is allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let words = name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        let fits = (2..=Self::MAX).contains(&name.len());
        if words
            && fits
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.starts_with("sthree-")
        {
            Ok(Self(name))
        } else {
            Err(format!(
                "`{name}` is not an app name: 2 to {} characters, lower-case letters, digits and single hyphens, starting with a letter (and not with `sthree-`)",
                Self::MAX
            ))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AppName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::new(name)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

/// A span of time written as in `90s`, `60m`, `2h`, `1d`; held in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

impl Span {
    /// A span of `seconds`.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// A span of `minutes`.
    pub const fn from_minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    /// The span in seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The span in whole minutes, if it is one: CodeDeploy counts in minutes.
    pub const fn minutes(self) -> Option<u64> {
        if self.0.is_multiple_of(60) {
            Some(self.0 / 60)
        } else {
            None
        }
    }

    /// Reads `90s`, `60m`, `2h`, `1d`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a time span: write a whole number and a unit, such as 90s, 60m, 2h or 1d"
            )
        };
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or_else(wrong)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        let number: u64 = if digits {
            number.parse().map_err(|_| wrong())?
        } else {
            return Err(wrong());
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    /// The shortest form that reads back: `5m`, not `300s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// A part of a whole, written as in `1%` or `0.25%`; held in hundredths of a percent, from none to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

impl Percent {
    /// The whole, in hundredths of a percent.
    const WHOLE: u32 = 10_000;

    /// So many hundredths of a percent; `None` for more than the whole.
    pub const fn from_hundredths(hundredths: u32) -> Option<Self> {
        if hundredths <= Self::WHOLE {
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// The part in hundredths of a percent.
    pub const fn hundredths(self) -> u32 {
        self.0
    }

    /// Reads `1%`, `0.5%`, `0.25%`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let part = text.strip_suffix('%').and_then(|number| decimal(number, 2));
        part.and_then(|part| u32::try_from(part).ok())
            .and_then(Self::from_hundredths)
            .ok_or_else(|| {
                format!(
                    "`{text}` is not a part in percent: write a number from 0 to 100, with two decimals at the most, and `%`, such as 1% or 0.5%"
                )
            })
    }
}

impl fmt::Display for Percent {
    /// The shortest form that reads back: `0.5%`, not `0.50%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", shortest(u64::from(self.0), 2))
    }
}

impl TryFrom<String> for Percent {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Percent> for String {
    fn from(part: Percent) -> Self {
        part.to_string()
    }
}

/// A short span of time written as in `800ms` or `2s`; held in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Millis(u64);

impl Millis {
    /// So many milliseconds.
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The span in milliseconds.
    pub const fn milliseconds(self) -> u64 {
        self.0
    }

    /// Reads `800ms` or `2s`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let milliseconds = match text.strip_suffix("ms") {
            Some(number) => decimal(number, 0),
            None => text
                .strip_suffix('s')
                .and_then(|number| decimal(number, 0))
                .and_then(|seconds| seconds.checked_mul(1000)),
        };
        milliseconds.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a short time: write a whole number and a unit, such as 800ms or 2s"
            )
        })
    }
}

impl fmt::Display for Millis {
    /// The shortest form that reads back: `2s`, not `2000ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}s", self.0 / 1000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}

impl TryFrom<String> for Millis {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Millis> for String {
    fn from(span: Millis) -> Self {
        span.to_string()
    }
}

/// A percentile from 1 to 99.9, with one decimal at the most: `p99` is what 99 percent don't exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u16);

impl Percentile {
    /// The percentile of so many tenths; `None` outside of 1 to 99.9.
    pub fn from_tenths(tenths: u16) -> Option<Self> {
        (10..=999).contains(&tenths).then_some(Self(tenths))
    }

    /// The percentile of a number as a file has it; `None` where it has more than one decimal or is out of range.
    pub fn from_number(number: f64) -> Option<Self> {
        let tenths = number * 10.0;
        let whole = tenths.round();
        // 99.9 has no exact form: what is meant is the nearest tenth.
        let near = (tenths - whole).abs() < 1e-6 && (10.0..=999.0).contains(&whole);
        near.then_some(Self(whole as u16))
    }
}

impl fmt::Display for Percentile {
    /// As CloudWatch writes it: `p99`, `p99.9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", shortest(u64::from(self.0), 1))
    }
}

impl Serialize for Percentile {
    /// As the file has it: a number.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(10) {
            serializer.serialize_u16(self.0 / 10)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 10.0)
        }
    }
}

/// `12.5` with two decimals as 1250; `None` for anything but digits with at most so many decimals.
fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = match text.split_once('.') {
        Some((whole, part)) if !part.is_empty() => (whole, part),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || part.len() > decimals || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<decimals$}").parse().ok()
}

/// 1250 with two decimals as `12.5`.
fn shortest(number: u64, decimals: u32) -> String {
    let unit = 10_u64.pow(decimals);
    let (whole, part) = (number / unit, number % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = decimals as usize;
    format!("{whole}.{part:0width$}")
        .trim_end_matches('0')
        .to_owned()
}

/// A Lambda function of the app's own account and region, by its name or its ARN, without version or alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Function(String);

impl Function {
    /// Checks the name or ARN; the error says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let name = match text.strip_prefix("arn:") {
            None => Some(text.as_str()),
            Some(_) => Arn::parse(&text)
                .filter(|arn| arn.service == "lambda" && !arn.region.is_empty())
                .and_then(|arn| arn.resource.strip_prefix("function:")),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_some_and(|name| (1..=64).contains(&name.len()) && name.chars().all(legal)) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not the name or the ARN of a Lambda function",
            shorten(&text)
        ))
    }

    /// The name or ARN as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }

    /// Where it is, if it was given by its ARN: account and region.
    pub(crate) fn place(&self) -> Option<(&str, &str)> {
        Arn::parse(&self.0).map(|arn| (arn.account, arn.region))
    }

    /// Its ARN; a name is one in the place of `facts`.
    pub fn arn(&self, facts: &Facts) -> String {
        if self.place().is_some() {
            return self.0.clone();
        }
        facts.arn("lambda", &format!("function:{}", self.0))
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn app_names() {
        for (name, legal) in [
            ("web", true),
            ("a1", true),
            ("ecs-deployment-pipeline", true),
            ("a", false),
            ("", false),
            ("1a", false),
            ("-a", false),
            ("a-", false),
            ("a--b", false),
            ("Web", false),
            ("a_b", false),
            ("sthree-a", false),
            ("ä-b", false),
            ("abcdefghijklmnopqrstuvwxyz012345", true),
            ("abcdefghijklmnopqrstuvwxyz0123456", false),
        ] {
            assert_eq!(AppName::new(name).is_ok(), legal, "{name}");
        }
    }

    #[test]
    fn spans_read_back_in_their_shortest_form() {
        for (text, seconds, shown) in [
            ("90s", 90, "90s"),
            ("60m", 3600, "1h"),
            ("24h", 86_400, "1d"),
            ("2d", 172_800, "2d"),
            ("0s", 0, "0s"),
            ("0m", 0, "0s"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!(
                (span.seconds(), span.to_string().as_str()),
                (seconds, shown)
            );
            assert_eq!(Span::parse(shown), Ok(span));
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "+5m",
            "5 m",
            "1.5h",
            "5M",
            "5µ",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_minutes() {
        assert_eq!(Span::from_secs(120).minutes(), Some(2));
        assert_eq!(Span::from_secs(90).minutes(), None);
    }

    #[test]
    fn parts_in_percent_read_back_in_their_shortest_form() {
        for (text, hundredths, shown) in [
            ("1%", 100, "1%"),
            ("0.5%", 50, "0.5%"),
            ("0.05%", 5, "0.05%"),
            ("12.50%", 1250, "12.5%"),
            ("0%", 0, "0%"),
            ("100%", 10_000, "100%"),
        ] {
            let part = Percent::parse(text).unwrap();
            assert_eq!(
                (part.hundredths(), part.to_string().as_str()),
                (hundredths, shown)
            );
            assert_eq!(Percent::parse(shown), Ok(part));
        }
        for text in [
            "",
            "%",
            "1",
            "1.%",
            ".5%",
            "0.001%",
            "100.01%",
            "-1%",
            "+1%",
            "1 %",
            "1e1%",
            "99999999999999999999%",
        ] {
            assert!(Percent::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn short_times_read_back_in_their_shortest_form() {
        for (text, milliseconds, shown) in [
            ("800ms", 800, "800ms"),
            ("2s", 2000, "2s"),
            ("3000ms", 3000, "3s"),
        ] {
            let span = Millis::parse(text).unwrap();
            assert_eq!(
                (span.milliseconds(), span.to_string().as_str()),
                (milliseconds, shown)
            );
            assert_eq!(Millis::parse(shown), Ok(span));
        }
        for text in [
            "",
            "s",
            "ms",
            "800",
            "0.8s",
            "1m",
            "-1s",
            "99999999999999999999ms",
            "18446744073709551615s",
        ] {
            assert!(Millis::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percentiles_have_one_decimal_at_the_most() {
        for (number, shown) in [(99.0, "p99"), (99.9, "p99.9"), (50.0, "p50"), (1.0, "p1")] {
            let p = Percentile::from_number(number).unwrap();
            assert_eq!(p.to_string(), shown);
            let written = serde_json::to_value(p).unwrap().as_f64().unwrap();
            assert_eq!(Percentile::from_number(written), Some(p));
        }
        for number in [0.0, 0.9, 99.95, 100.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Percentile::from_number(number), None, "{number}");
        }
    }

    #[test]
    fn functions_by_name_and_by_arn() {
        let facts = Facts::new("111122223333", "eu-central-1");
        let arn = "arn:aws:lambda:eu-central-1:111122223333:function:smoke_Test-1";
        for text in ["smoke_Test-1", arn] {
            let function = Function::new(text).unwrap();
            assert_eq!(
                (function.name(), function.arn(&facts).as_str()),
                ("smoke_Test-1", arn)
            );
        }
        let long = "a".repeat(65);
        for text in [
            "",
            "smoke test",
            "smoke:live",
            long.as_str(),
            "arn:aws:lambda:eu-central-1:111122223333:function:a:1",
            "arn:aws:lambda:eu-central-1:111122223333:layer:a",
            "arn:aws:iam::111122223333:role/a",
        ] {
            assert!(Function::new(text).is_err(), "{text}");
        }
    }
}
