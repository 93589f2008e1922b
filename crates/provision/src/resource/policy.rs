//! Policy documents and other JSON texts in one canonical form, so that two spellings of one meaning compare equal.
//! Must not know what a policy says.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A JSON text that AWS keeps, always in canonical form, however it is made.
macro_rules! document {
    ($(#[doc = $doc:literal])+ $name:ident, $canonical:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Value);

        impl $name {
            /// The canonical form of `document`.
            pub fn new(document: Value) -> Self {
                Self($canonical(document))
            }

            /// Reads the JSON text that AWS keeps; an empty text stands for none.
            pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
                if text.trim().is_empty() {
                    Ok(Self::none())
                } else {
                    serde_json::from_str(text).map(Self::new)
                }
            }

            /// What stands for one that isn't there.
            pub fn none() -> Self {
                Self(Value::Null)
            }

            /// Whether there is none.
            pub fn is_none(&self) -> bool {
                self.0.is_null()
            }

            /// The document.
            pub fn document(&self) -> &Value {
                &self.0
            }
        }

        impl fmt::Display for $name {
            /// The JSON text, as AWS is given it.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Value::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

document! {
    /// An IAM, KMS or S3 policy: a list of one is a single value, lists of texts are sorted without repeats, condition
    /// values are texts, keys are sorted. Statements keep their order.
    Policy, canonical_policy
}

document! {
    /// Any other JSON text (an event pattern, a lifecycle policy): keys sorted, lists in their order.
    Document, sorted
}

fn canonical_policy(document: Value) -> Value {
    let Value::Object(mut document) = document else {
        return document;
    };
    let statements = match document.remove("Statement") {
        Some(Value::Array(statements)) => statements,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    document.insert(
        "Statement".to_owned(),
        statements.into_iter().map(canonical_statement).collect(),
    );
    sorted(Value::Object(document))
}

fn canonical_statement(statement: Value) -> Value {
    let Value::Object(statement) = statement else {
        return statement;
    };
    let fields = statement.into_iter().map(|(field, value)| {
        let value = match field.as_str() {
            "Action" | "NotAction" | "Resource" | "NotResource" => canonical_values(value),
            "Principal" | "NotPrincipal" => each(value, canonical_values),
            "Condition" => each(value, |operator| each(operator, canonical_values)),
            _ => value,
        };
        (field, value)
    });
    Value::Object(fields.collect())
}

/// One text, or a sorted list of at least two.
fn canonical_values(value: Value) -> Value {
    let values = match value {
        Value::Array(values) => values,
        one => return as_text(one),
    };
    let mut values: Vec<Value> = values.into_iter().map(as_text).collect();
    values.sort_by_key(Value::to_string);
    values.dedup();
    if values.len() == 1 {
        values.remove(0)
    } else {
        Value::Array(values)
    }
}

/// IAM reads `true` and `"true"`, `1` and `"1"` alike.
fn as_text(value: Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other,
    }
}

fn each(value: Value, change: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, change(value)))
                .collect(),
        ),
        other => change(other),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(Map::from_iter(fields))
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(left: Value, right: Value, same: bool) {
        assert_eq!(
            Policy::new(left.clone()).to_string() == Policy::new(right.clone()).to_string(),
            same,
            "{left} {right}"
        );
    }

    #[test]
    fn spellings_of_one_meaning_are_equal() {
        check(
            json!({"Statement": {"Action": ["a:B"]}}),
            json!({"Statement": [{"Action": "a:B"}]}),
            true,
        );
        check(
            json!({"Statement": [{"Action": ["a:C", "a:B", "a:B"]}]}),
            json!({"Statement": [{"Action": ["a:B", "a:C"]}]}),
            true,
        );
        check(
            json!({"Statement": [{"Condition": {"Bool": {"aws:SecureTransport": false}}}]}),
            json!({"Statement": [{"Condition": {"Bool": {"aws:SecureTransport": ["false"]}}}]}),
            true,
        );
        check(
            json!({"Statement": [{"Principal": {"Service": ["x", "w"]}, "Effect": "Allow"}], "Version": "1"}),
            json!({"Version": "1", "Statement": [{"Effect": "Allow", "Principal": {"Service": ["w", "x"]}}]}),
            true,
        );
        check(
            json!({"Statement": [{"Action": "a:B"}]}),
            json!({"Statement": [{"Action": "a:C"}]}),
            false,
        );
        check(
            json!({"Statement": [{"Sid": "a"}, {"Sid": "b"}]}),
            json!({"Statement": [{"Sid": "b"}, {"Sid": "a"}]}),
            false,
        );
    }

    #[test]
    fn what_is_read_is_canonical() {
        let read: Policy =
            serde_json::from_str(r#"{"Statement":[{"Resource":["b","a"]}]}"#).unwrap();
        assert_eq!(
            read.to_string(),
            r#"{"Statement":[{"Resource":["a","b"]}]}"#
        );
        assert!(Policy::parse(" ").unwrap().is_none());
        assert!(Policy::parse("{").is_err());
    }
}
