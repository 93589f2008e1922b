//! Newtypes that are valid by construction: whoever holds one need not check it again.
//! Must not know the spec's layout.

use std::fmt;

use serde::{Deserialize, Serialize};

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
}
