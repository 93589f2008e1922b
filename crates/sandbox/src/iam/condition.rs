//! Conditions of statements: which operators and keys there are, and whether a condition holds for a request. Must not guess:
//! an operator or a key that isn't known here is a problem of the document.
//!
//! The rules are those of the IAM user guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".

use std::net::IpAddr;
use std::str::FromStr as _;

use ipnet::IpNet;
use serde_json::Value;

use super::document::strings;
use super::evaluate::Context;
use super::pattern::{arn_matches, literal, matches_with};

/// One operator with one key: several of them must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// `ForAllValues` or `ForAnyValue`.
    pub quantifier: Option<Quantifier>,
    /// How a value is compared.
    pub test: Test,
    /// The operator is a `…Not…`.
    pub negated: bool,
    /// A missing key lets it hold.
    pub if_exists: bool,
    /// The context key, as it was written; keys know no case.
    pub key: String,
    /// One of them is enough; in a negated operator none may match.
    pub values: Vec<String>,
}

/// How the several values of a key are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// Each must match; none at all is fine.
    All,
    /// One must match.
    Any,
}

/// How one value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Character by character.
    Text,
    /// Without regard to case.
    TextNoCase,
    /// With wildcards.
    Like,
    /// ARNs, part by part, with wildcards.
    Arn,
    /// `true` or `false`.
    Bool,
    /// Whether the key is missing.
    Null,
    /// An address in a range.
    Address,
    /// Numbers.
    Number(Order),
    /// Times.
    Date(Order),
}

/// How two numbers or times must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The same.
    Equal,
    /// Less.
    Less,
    /// Less or the same.
    LessOrEqual,
    /// More.
    Greater,
    /// More or the same.
    GreaterOrEqual,
}

/// What is wrong with a document's condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It has the wrong shape.
    Syntax,
    /// An operator, a key or a value that can't be evaluated; the words say which.
    Unknown(String),
}

/// Every operator but for its prefix and suffix: name, test, whether it is negated.
const OPERATORS: [(&str, Test, bool); 26] = [
    ("StringEquals", Test::Text, false),
    ("StringNotEquals", Test::Text, true),
    ("StringEqualsIgnoreCase", Test::TextNoCase, false),
    ("StringNotEqualsIgnoreCase", Test::TextNoCase, true),
    ("StringLike", Test::Like, false),
    ("StringNotLike", Test::Like, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Bool", Test::Bool, false),
    ("Null", Test::Null, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("NumericEquals", Test::Number(Order::Equal), false),
    ("NumericNotEquals", Test::Number(Order::Equal), true),
    ("NumericLessThan", Test::Number(Order::Less), false),
    (
        "NumericLessThanEquals",
        Test::Number(Order::LessOrEqual),
        false,
    ),
    ("NumericGreaterThan", Test::Number(Order::Greater), false),
    (
        "NumericGreaterThanEquals",
        Test::Number(Order::GreaterOrEqual),
        false,
    ),
    ("DateEquals", Test::Date(Order::Equal), false),
    ("DateNotEquals", Test::Date(Order::Equal), true),
    ("DateLessThan", Test::Date(Order::Less), false),
    ("DateLessThanEquals", Test::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Test::Date(Order::Greater), false),
    (
        "DateGreaterThanEquals",
        Test::Date(Order::GreaterOrEqual),
        false,
    ),
];

/// The keys that requests to the sandbox have where AWS's have them; one that ends in `/` or `:` stands for all that begin so.
const KEYS: [&str; 44] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalTag/",
    "aws:PrincipalType",
    "aws:RequestTag/",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:TagKeys",
    "ec2:CreateAction",
    "ec2:Region",
    "ec2:ResourceTag/",
    "ec2:Vpc",
    "ecr:ResourceTag/",
    "ecs:CreateAction",
    "ecs:ResourceTag/",
    "ecs:cluster",
    "ecs:service",
    "ecs:task-definition",
    "elasticloadbalancing:CreateAction",
    "elasticloadbalancing:ResourceTag/",
    "iam:AWSServiceName",
    "iam:PassedToService",
    "iam:PermissionsBoundary",
    "iam:PolicyARN",
    "iam:ResourceTag/",
    "kms:CallerAccount",
    "kms:EncryptionContext:",
    "kms:EncryptionContextKeys",
    "kms:GrantIsForAWSResource",
    "kms:ResourceAliases",
    "kms:ViaService",
    "s3:ResourceAccount",
    "s3:delimiter",
    "s3:prefix",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Reads a statement's `Condition`.
pub(super) fn read(value: Option<&Value>) -> Result<Vec<Condition>, Problem> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object().ok_or(Problem::Syntax)? {
        for (key, values) in keys.as_object().ok_or(Problem::Syntax)? {
            conditions.push(one(operator, key, values)?);
        }
    }
    Ok(conditions)
}

/// Whether a key can be evaluated.
pub fn is_known(key: &str) -> bool {
    let begins = |known: &str| {
        key.get(..known.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(known))
    };
    KEYS.iter().any(|known| match known.ends_with(['/', ':']) {
        true => key.len() > known.len() && begins(known),
        false => key.eq_ignore_ascii_case(known),
    })
}

fn one(operator: &str, key: &str, values: &Value) -> Result<Condition, Problem> {
    let (quantifier, rest) = match operator.split_once(':') {
        Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
        Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
        _ => (None, operator),
    };
    let (name, if_exists) = match rest.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (rest, false),
    };
    let found = OPERATORS
        .iter()
        .find(|(known, ..)| *known == name)
        .filter(|(_, test, _)| *test != Test::Null || (!if_exists && quantifier.is_none()));
    let (_, test, negated) =
        found.ok_or_else(|| Problem::Unknown(format!("Invalid Condition type : {operator}.")))?;
    if !is_known(key) {
        return Err(Problem::Unknown(format!(
            "the ecspipe sandbox does not evaluate the condition key {key}, and would have to guess"
        )));
    }
    let values = match values {
        Value::Bool(flag) => vec![flag.to_string()],
        Value::Number(number) => vec![number.to_string()],
        other => strings(other).ok_or(Problem::Syntax)?,
    };
    // A value with a variable in it is only known with the request.
    if let Some(odd) = values
        .iter()
        .find(|value| !value.contains("${") && !test.takes(value))
    {
        return Err(Problem::Unknown(format!(
            "Invalid value {odd} of the condition type {operator}."
        )));
    }
    Ok(Condition {
        quantifier,
        test: *test,
        negated: *negated,
        if_exists,
        key: key.to_owned(),
        values,
    })
}

impl Condition {
    /// Whether it holds. `variables`: whether the statement's version knows `${…}`.
    pub(super) fn holds(&self, context: &Context, variables: bool) -> bool {
        let have = context.get(&self.key).filter(|values| !values.is_empty());
        if self.test == Test::Null {
            return self
                .values
                .iter()
                .any(|value| (value == "true") == have.is_none());
        }
        let variables = variables.then_some(context);
        let matches = |value: &String| {
            let hit = self
                .values
                .iter()
                .any(|want| self.test.matches(want, value, variables));
            hit != self.negated
        };
        match (have, self.quantifier) {
            (None, Some(Quantifier::All)) => true,
            (None, Some(Quantifier::Any)) => self.if_exists,
            (None, None) => self.if_exists || self.negated,
            (Some(have), Some(Quantifier::All)) => have.iter().all(matches),
            (Some(have), Some(Quantifier::Any)) => have.iter().any(matches),
            // Of a key with several values a plain operator compares each; a negated one wants none to match.
            (Some(have), None) if self.negated => have.iter().all(matches),
            (Some(have), None) => have.iter().any(matches),
        }
    }
}

impl Test {
    /// Whether a policy may have the value.
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Bool | Self::Null => matches!(value, "true" | "false"),
            Self::Address => range(value).is_some(),
            Self::Number(_) => value.parse::<f64>().is_ok(),
            Self::Date(_) => moment(value).is_some(),
            Self::Text | Self::TextNoCase | Self::Like | Self::Arn => true,
        }
    }

    fn matches(self, want: &str, have: &str, variables: Option<&Context>) -> bool {
        if self == Self::Like {
            return matches_with(want, have, variables);
        }
        if self == Self::Arn {
            return arn_matches(want, have, variables);
        }
        let Some(want) = literal(want, variables) else {
            return false;
        };
        match self {
            Self::Text => want == have,
            Self::TextNoCase => want.to_lowercase() == have.to_lowercase(),
            Self::Bool => want.eq_ignore_ascii_case(have),
            Self::Address => match (range(&want), IpAddr::from_str(have)) {
                (Some(range), Ok(address)) => range.contains(&address),
                _ => false,
            },
            Self::Number(order) => match (want.parse::<f64>(), have.parse::<f64>()) {
                (Ok(want), Ok(have)) => order.stands(have, want),
                _ => false,
            },
            Self::Date(order) => match (moment(&want), moment(have)) {
                (Some(want), Some(have)) => order.stands(have, want),
                _ => false,
            },
            Self::Like | Self::Arn | Self::Null => false,
        }
    }
}

impl Order {
    fn stands(self, have: f64, want: f64) -> bool {
        match self {
            Self::Equal => have == want,
            Self::Less => have < want,
            Self::LessOrEqual => have <= want,
            Self::Greater => have > want,
            Self::GreaterOrEqual => have >= want,
        }
    }
}

/// A CIDR range, or one address.
fn range(text: &str) -> Option<IpNet> {
    IpNet::from_str(text)
        .ok()
        .or_else(|| IpAddr::from_str(text).ok().map(IpNet::from))
}

/// Seconds since 1970 of a time in ISO 8601, or in seconds already.
fn moment(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds);
    }
    let time = jiff::Timestamp::from_str(text).ok();
    let day = || {
        jiff::civil::Date::from_str(text)
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
    };
    time.or_else(|| day().map(|zoned| zoned.timestamp()))
        .map(|time| time.as_millisecond() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// Whether `{operator: {key: values}}` holds for the values that the request has of that key.
    fn holds(operator: &str, values: Value, have: Option<&[&str]>) -> bool {
        let condition = read(Some(&json!({operator: {"aws:SourceArn": values}}))).unwrap();
        let mut context = Context::default();
        if let Some(have) = have {
            context.set_all("AWS:sourcearn", have.iter().map(|text| (*text).to_owned()));
        }
        condition[0].holds(&context, true)
    }

    #[test]
    fn one_value_is_compared_as_the_operator_says() {
        let arn = "arn:aws:iam::1:role/web";
        for (operator, want, have, holding) in [
            ("StringEquals", json!("a"), "a", true),
            ("StringEquals", json!("a"), "A", false),
            ("StringEquals", json!("a*"), "ab", false),
            ("StringEquals", json!(["x", "a"]), "a", true),
            ("StringNotEquals", json!(["x", "a"]), "a", false),
            ("StringNotEquals", json!("x"), "a", true),
            ("StringEqualsIgnoreCase", json!("A"), "a", true),
            ("StringNotEqualsIgnoreCase", json!("A"), "a", false),
            ("StringLike", json!("a*"), "ab", true),
            ("StringNotLike", json!("a*"), "ab", false),
            ("ArnEquals", json!("arn:aws:iam::*:role/w*"), arn, true),
            ("ArnLike", json!("arn:aws:iam::*:role/w*"), arn, true),
            ("ArnLike", json!("arn:aws:*:role/web"), arn, false),
            ("ArnNotLike", json!("arn:aws:iam::1:role/*"), arn, false),
            ("ArnNotEquals", json!("arn:aws:iam::2:role/*"), arn, true),
            ("Bool", json!(true), "true", true),
            ("Bool", json!("false"), "true", false),
            ("NumericEquals", json!(10), "10.0", true),
            ("NumericNotEquals", json!(10), "10", false),
            ("NumericLessThan", json!(10), "9", true),
            ("NumericLessThan", json!(10), "10", false),
            ("NumericLessThanEquals", json!("10"), "10", true),
            ("NumericGreaterThan", json!(10), "10", false),
            ("NumericGreaterThanEquals", json!(10), "10", true),
            ("NumericEquals", json!(10), "ten", false),
            (
                "DateLessThan",
                json!("2026-01-02"),
                "2026-01-01T12:00:00Z",
                true,
            ),
            (
                "DateGreaterThan",
                json!("2026-01-02"),
                "2026-01-01T12:00:00Z",
                false,
            ),
            (
                "DateEquals",
                json!("2026-01-01T00:00:00Z"),
                "1767225600",
                true,
            ),
            ("IpAddress", json!("10.0.0.0/8"), "10.1.2.3", true),
            ("IpAddress", json!("10.0.0.1"), "10.0.0.2", false),
            ("NotIpAddress", json!("10.0.0.0/8"), "10.1.2.3", false),
            ("Null", json!("true"), "a", false),
            ("Null", json!("false"), "a", true),
        ] {
            let got = holds(operator, want.clone(), Some(&[have]));
            assert_eq!(got, holding, "{operator} {want} {have}");
        }
    }

    #[test]
    fn a_missing_key_counts_as_the_operator_says() {
        for (operator, want, holding) in [
            ("StringEquals", json!("a"), false),
            ("StringEqualsIfExists", json!("a"), true),
            ("StringNotEquals", json!("a"), true),
            ("StringNotEqualsIfExists", json!("a"), true),
            ("ArnLike", json!("*"), false),
            ("ArnNotLike", json!("*"), true),
            ("Bool", json!("true"), false),
            ("BoolIfExists", json!("true"), true),
            ("NotIpAddress", json!("10.0.0.0/8"), true),
            ("Null", json!("true"), true),
            ("Null", json!("false"), false),
            ("ForAllValues:StringEquals", json!("a"), true),
            ("ForAnyValue:StringEquals", json!("a"), false),
            ("ForAnyValue:StringEqualsIfExists", json!("a"), true),
        ] {
            assert_eq!(
                holds(operator, want.clone(), None),
                holding,
                "{operator} {want}"
            );
        }
    }

    #[test]
    fn several_values_are_looked_at_as_the_quantifier_says() {
        for (operator, want, have, holding) in [
            (
                "ForAllValues:StringEquals",
                json!(["a", "b"]),
                ["a", "b"],
                true,
            ),
            ("ForAllValues:StringEquals", json!(["a"]), ["a", "b"], false),
            (
                "ForAllValues:StringNotEquals",
                json!(["a"]),
                ["a", "b"],
                false,
            ),
            (
                "ForAllValues:StringNotEquals",
                json!(["c"]),
                ["a", "b"],
                true,
            ),
            (
                "ForAnyValue:StringEquals",
                json!(["b", "c"]),
                ["a", "b"],
                true,
            ),
            ("ForAnyValue:StringEquals", json!(["c"]), ["a", "b"], false),
            (
                "ForAnyValue:StringNotEquals",
                json!(["a"]),
                ["a", "b"],
                true,
            ),
            ("ForAnyValue:StringLike", json!("b*"), ["a", "bc"], true),
        ] {
            assert_eq!(
                holds(operator, want.clone(), Some(&have)),
                holding,
                "{operator} {want} {have:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        for (condition, word) in [
            (json!({"StringIs": {"aws:SourceArn": "a"}}), "StringIs"),
            (
                json!({"BinaryEquals": {"aws:SourceArn": "a"}}),
                "BinaryEquals",
            ),
            (
                json!({"ForAnyValue:Null": {"aws:SourceArn": "true"}}),
                "ForAnyValue:Null",
            ),
            (
                json!({"NullIfExists": {"aws:SourceArn": "true"}}),
                "NullIfExists",
            ),
            (
                json!({"StringEquals": {"aws:PrincipalOrgID": "o"}}),
                "aws:PrincipalOrgID",
            ),
            (
                json!({"StringEquals": {"aws:RequestTag/": "o"}}),
                "aws:RequestTag/",
            ),
            (json!({"Bool": {"aws:SecureTransport": "yes"}}), "yes"),
            (json!({"NumericEquals": {"aws:EpochTime": "soon"}}), "soon"),
        ] {
            match read(Some(&condition)) {
                Err(Problem::Unknown(message)) => assert!(message.contains(word), "{message}"),
                other => panic!("{condition}: {other:?}"),
            }
        }
    }
}
