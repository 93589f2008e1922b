//! Event patterns: read, checked and matched as EventBridge does (its user guide, "comparison operators").
//! Must not know rules or targets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::iam::pattern;

/// A checked event pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    fields: BTreeMap<String, Node>,
    /// `$or`: groups of alternatives; of each group one must match.
    alternatives: Vec<Vec<Pattern>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Nested(Pattern),
    /// One of these must match.
    Leaf(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    IgnoreCase(String),
    Prefix(String, bool),
    Suffix(String, bool),
    Wildcard(String),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
    Address(ipnet::IpNet),
    /// None of these may match.
    Not(Vec<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longest pattern, in characters.
const LIMIT: usize = 4096;

impl Pattern {
    /// Reads a pattern. The error is EventBridge's reason.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.chars().count() > LIMIT {
            return Err(format!("Event pattern is longer than {LIMIT} characters"));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = value.as_object().ok_or("Filter is not an object")?;
        Self::of(object)
    }

    /// Whether the event has everything that the pattern asks for.
    pub(super) fn matches(&self, event: &Value) -> bool {
        let fields = self
            .fields
            .iter()
            .all(|(name, node)| node.matches(event.get(name)));
        fields
            && self
                .alternatives
                .iter()
                .all(|group| group.iter().any(|pattern| pattern.matches(event)))
    }

    fn of(object: &Map<String, Value>) -> Result<Self, String> {
        if object.is_empty() {
            return Err("Empty objects are not allowed".to_owned());
        }
        let mut pattern = Self {
            fields: BTreeMap::new(),
            alternatives: Vec::new(),
        };
        for (name, value) in object {
            match (name.as_str(), value) {
                ("$or", Value::Array(items)) if items.len() >= 2 => {
                    let read = |item: &Value| {
                        Self::of(item.as_object().ok_or("$or must be a list of objects")?)
                    };
                    pattern
                        .alternatives
                        .push(items.iter().map(read).collect::<Result<_, String>>()?);
                }
                (_, Value::Object(nested)) => {
                    pattern
                        .fields
                        .insert(name.clone(), Node::Nested(Self::of(nested)?));
                }
                (_, Value::Array(items)) => {
                    if items.is_empty() {
                        return Err("Empty arrays are not allowed".to_owned());
                    }
                    let tests = items.iter().map(test).collect::<Result<_, String>>()?;
                    pattern.fields.insert(name.clone(), Node::Leaf(tests));
                }
                _ => return Err(format!("\"{name}\" must be an object or an array")),
            }
        }
        Ok(pattern)
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Nested(pattern), Some(Value::Array(items))) => {
                items.iter().any(|item| pattern.matches(item))
            }
            // A pattern may ask for what isn't there.
            (Self::Nested(pattern), value) => pattern.matches(value.unwrap_or(&Value::Null)),
            (Self::Leaf(tests), None) => tests.contains(&Test::Exists(false)),
            (Self::Leaf(tests), Some(Value::Array(items))) if items.is_empty() => {
                tests.contains(&Test::Exists(false))
            }
            (Self::Leaf(tests), Some(Value::Array(items))) => items
                .iter()
                .any(|item| tests.iter().any(|test| test.matches(item))),
            (Self::Leaf(_), Some(Value::Object(_))) => false,
            (Self::Leaf(tests), Some(value)) => tests.iter().any(|test| test.matches(value)),
        }
    }
}

impl Test {
    fn matches(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Equals(want) => match (want.as_f64(), value.as_f64()) {
                (Some(want), Some(have)) => want == have,
                _ => want == value,
            },
            Self::IgnoreCase(want) => {
                text.is_some_and(|text| text.to_lowercase() == want.to_lowercase())
            }
            Self::Prefix(want, exact) => {
                text.is_some_and(|text| fold(text, *exact).starts_with(&fold(want, *exact)))
            }
            Self::Suffix(want, exact) => {
                text.is_some_and(|text| fold(text, *exact).ends_with(&fold(want, *exact)))
            }
            Self::Wildcard(want) => text.is_some_and(|text| pattern::matches(want, text)),
            Self::Exists(want) => *want,
            Self::Numeric(bounds) => value
                .as_f64()
                .is_some_and(|have| bounds.iter().all(|(how, bound)| how.holds(have, *bound))),
            Self::Address(network) => text
                .and_then(|text| text.parse().ok())
                .is_some_and(|address: std::net::IpAddr| network.contains(&address)),
            Self::Not(tests) => !tests.iter().any(|test| test.matches(value)),
        }
    }
}

impl Comparison {
    fn holds(self, have: f64, bound: f64) -> bool {
        match self {
            Self::Equal => have == bound,
            Self::Less => have < bound,
            Self::LessOrEqual => have <= bound,
            Self::Greater => have > bound,
            Self::GreaterOrEqual => have >= bound,
        }
    }
}

fn fold(text: &str, exact: bool) -> String {
    if exact {
        text.to_owned()
    } else {
        text.to_lowercase()
    }
}

fn test(value: &Value) -> Result<Test, String> {
    match value {
        Value::Object(object) => match object.iter().next() {
            Some((name, argument)) if object.len() == 1 => operator(name, argument),
            _ => Err("Only one key allowed in match expression".to_owned()),
        },
        Value::Array(_) => {
            Err("Match value must be String, number, true, false, or null".to_owned())
        }
        other => Ok(Test::Equals(other.clone())),
    }
}

fn operator(name: &str, argument: &Value) -> Result<Test, String> {
    let text = || {
        argument
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("{name} match pattern must be a string"))
    };
    match name {
        "prefix" | "suffix" => {
            let (text, exact) = match argument.get("equals-ignore-case").and_then(Value::as_str) {
                Some(folded) => (folded.to_owned(), false),
                None => (text()?, true),
            };
            Ok(if name == "prefix" {
                Test::Prefix(text, exact)
            } else {
                Test::Suffix(text, exact)
            })
        }
        "equals-ignore-case" => Ok(Test::IgnoreCase(text()?)),
        "wildcard" => wildcard(&text()?),
        "exists" => argument
            .as_bool()
            .map(Test::Exists)
            .ok_or_else(|| "exists match pattern must be either true or false.".to_owned()),
        "numeric" => numeric(argument),
        "cidr" => text()?
            .parse()
            .map(Test::Address)
            .map_err(|_| "Malformed CIDR".to_owned()),
        "anything-but" => anything_but(argument),
        _ => Err(format!("Unrecognized match type {name}")),
    }
}

/// In an event pattern `?` is an ordinary character, and `\*` a star.
fn wildcard(text: &str) -> Result<Test, String> {
    match (text.contains("**"), text.contains(['?', '\\'])) {
        (true, _) => Err("Consecutive wildcard characters at pos".to_owned()),
        (_, true) => Err("the ecspipe sandbox has wildcards without ? and \\ only".to_owned()),
        _ => Ok(Test::Wildcard(text.to_owned())),
    }
}

fn anything_but(argument: &Value) -> Result<Test, String> {
    let problem = "Inside anything but list, either all values are number or string, or one of prefix, suffix, equals-ignore-case, wildcard";
    match argument {
        Value::String(_) | Value::Number(_) => Ok(Test::Not(vec![Test::Equals(argument.clone())])),
        Value::Array(items)
            if !items.is_empty()
                && (items.iter().all(Value::is_string) || items.iter().all(Value::is_number)) =>
        {
            Ok(Test::Not(items.iter().cloned().map(Test::Equals).collect()))
        }
        Value::Object(object) if object.len() == 1 => {
            let mut tests = Vec::new();
            for (name, argument) in object {
                if !["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&name.as_str())
                {
                    return Err(format!("Unsupported anything-but pattern: {name}"));
                }
                let arguments = argument
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![argument.clone()]);
                for argument in &arguments {
                    tests.push(operator(name, argument)?);
                }
            }
            match tests.is_empty() {
                true => Err(problem.to_owned()),
                false => Ok(Test::Not(tests)),
            }
        }
        _ => Err(problem.to_owned()),
    }
}

/// `["=", 5]`, or a lower and an upper bound: `[">", 0, "<=", 5]`.
fn numeric(argument: &Value) -> Result<Test, String> {
    let items = argument
        .as_array()
        .ok_or("Value of numeric must be an array.")?;
    if items.is_empty() || items.len() % 2 != 0 || items.len() > 4 {
        return Err("Value of numeric must be operators and numbers in turn.".to_owned());
    }
    let bound = |pair: &[Value]| {
        let how = match pair[0].as_str() {
            Some("=") => Comparison::Equal,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some(">") => Comparison::Greater,
            Some(">=") => Comparison::GreaterOrEqual,
            _ => return Err(format!("Unrecognized numeric range operator: {}", pair[0])),
        };
        let number = pair[1]
            .as_f64()
            .ok_or_else(|| format!("Value of {} must be numeric", pair[0]))?;
        Ok((how, number))
    };
    items
        .chunks(2)
        .map(bound)
        .collect::<Result<_, String>>()
        .map(Test::Numeric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "source": "aws.codecommit",
            "detail-type": "CodeCommit Repository State Change",
            "resources": ["arn:aws:codecommit:eu-central-1:111122223333:web", "arn:other"],
            "detail": {
                "event": "referenceUpdated",
                "referenceName": "main",
                "size": 5,
                "ok": true,
                "nothing": null,
                "empty": [],
                "address": "10.0.0.7",
                "items": [{"name": "a"}, {"name": "b"}],
            },
        })
    }

    fn check(pattern: Value, want: bool) {
        let read = Pattern::read(&pattern.to_string()).unwrap();
        assert_eq!(read.matches(&event()), want, "{pattern}");
    }

    fn detail(name: &str, tests: Value, want: bool) {
        check(json!({"detail": {name: tests}}), want);
    }

    #[test]
    fn values_are_alternatives_and_fields_are_not() {
        check(json!({"source": ["aws.codecommit"]}), true);
        check(json!({"source": ["aws.s3", "aws.codecommit"]}), true);
        check(json!({"source": ["aws.s3"]}), false);
        check(
            json!({"source": ["aws.codecommit"], "detail-type": ["other"]}),
            false,
        );
        check(json!({"missing": ["x"]}), false);
    }

    #[test]
    fn lists_in_the_event_match_by_one_item() {
        check(json!({"resources": ["arn:other"]}), true);
        check(json!({"resources": ["arn:none"]}), false);
        check(json!({"detail": {"items": {"name": ["b"]}}}), true);
        check(json!({"detail": {"items": {"name": ["c"]}}}), false);
    }

    #[test]
    fn scalars_keep_their_type() {
        detail("size", json!([5]), true);
        detail("size", json!([5.0]), true);
        detail("size", json!(["5"]), false);
        detail("ok", json!([true]), true);
        detail("nothing", json!([null]), true);
        detail("referenceName", json!([null]), false);
    }

    #[test]
    fn affixes_and_wildcards() {
        detail("referenceName", json!([{"prefix": "ma"}]), true);
        detail("referenceName", json!([{"prefix": "Ma"}]), false);
        detail(
            "referenceName",
            json!([{"prefix": {"equals-ignore-case": "MA"}}]),
            true,
        );
        detail("referenceName", json!([{"suffix": "in"}]), true);
        detail("referenceName", json!([{"suffix": "ma"}]), false);
        detail(
            "referenceName",
            json!([{"equals-ignore-case": "MAIN"}]),
            true,
        );
        detail("event", json!([{"wildcard": "reference*d"}]), true);
        detail("event", json!([{"wildcard": "ref*x"}]), false);
        detail("size", json!([{"prefix": "5"}]), false);
    }

    #[test]
    fn anything_but() {
        detail("referenceName", json!([{"anything-but": "main"}]), false);
        detail(
            "referenceName",
            json!([{"anything-but": ["dev", "test"]}]),
            true,
        );
        detail(
            "referenceName",
            json!([{"anything-but": {"prefix": "ma"}}]),
            false,
        );
        detail(
            "referenceName",
            json!([{"anything-but": {"suffix": "x"}}]),
            true,
        );
        detail("missing", json!([{"anything-but": "x"}]), false);
    }

    #[test]
    fn presence() {
        detail("size", json!([{"exists": true}]), true);
        detail("size", json!([{"exists": false}]), false);
        detail("missing", json!([{"exists": false}]), true);
        detail("missing", json!([{"exists": true}]), false);
        detail("empty", json!([{"exists": false}]), true);
        check(json!({"none": {"deep": [{"exists": false}]}}), true);
    }

    #[test]
    fn numbers_and_addresses() {
        detail("size", json!([{"numeric": [">", 0, "<=", 5]}]), true);
        detail("size", json!([{"numeric": ["<", 5]}]), false);
        detail("size", json!([{"numeric": ["=", 5]}]), true);
        detail("referenceName", json!([{"numeric": [">", 0]}]), false);
        detail("address", json!([{"cidr": "10.0.0.0/24"}]), true);
        detail("address", json!([{"cidr": "10.0.1.0/24"}]), false);
    }

    #[test]
    fn alternatives() {
        let either = |name: &str| json!({"$or": [{"detail": {"referenceName": [name]}}, {"source": ["aws.s3"]}]});
        check(either("main"), true);
        check(either("dev"), false);
    }

    #[test]
    fn broken_patterns_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"source": "aws.s3"}"#,
            r#"{"source": []}"#,
            r#"{"source": {}}"#,
            r#"{"source": [["a"]]}"#,
            r#"{"source": [{"starts": "a"}]}"#,
            r#"{"source": [{"prefix": 1}]}"#,
            r#"{"source": [{"prefix": "a", "suffix": "b"}]}"#,
            r#"{"source": [{"exists": "yes"}]}"#,
            r#"{"size": [{"numeric": [">"]}]}"#,
            r#"{"size": [{"numeric": ["!", 1]}]}"#,
            r#"{"source": [{"anything-but": []}]}"#,
            r#"{"source": [{"cidr": "10.0.0.0/99"}]}"#,
            r#"{"$or": [{"source": ["a"]}]}"#,
        ] {
            assert!(Pattern::read(text).is_err(), "{text}");
        }
        assert!(Pattern::read(&format!("{{\"a\": [\"{}\"]}}", "x".repeat(LIMIT))).is_err());
    }
}
