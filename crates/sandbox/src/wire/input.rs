//! Reading a call's input without ceremony. Must not decide what is legal beyond presence and type.

use serde_json::Value;

use super::Fault;

/// Access to members of an input. Query inputs carry numbers and booleans as strings; these read both forms.
pub trait Input {
    /// The member as text.
    fn text(&self, name: &str) -> Option<&str>;
    /// The member as text, or the fault that says it is missing.
    fn need(&self, name: &str) -> Result<&str, Fault>;
    /// The member as a whole number.
    fn int(&self, name: &str) -> Option<i64>;
    /// The member as yes or no.
    fn flag(&self, name: &str) -> Option<bool>;
    /// The member as a list; empty where it is missing.
    fn list(&self, name: &str) -> &[Value];
    /// The member as a list of texts.
    fn texts(&self, name: &str) -> Vec<String>;
    /// A list of key-value objects as a map; `key` and `value` are the wire's names (`Key`/`Value`, `key`/`value`, …).
    fn pairs(
        &self,
        name: &str,
        key: &str,
        value: &str,
    ) -> std::collections::BTreeMap<String, String>;
}

impl Input for Value {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn need(&self, name: &str) -> Result<&str, Fault> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                Fault::new(
                    "ValidationException",
                    format!("The request must contain the parameter {name}"),
                )
            })
    }

    fn int(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|f| f as i64))
            .or_else(|| value.as_str()?.parse().ok())
    }

    fn flag(&self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        value.as_bool().or_else(|| match value.as_str()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.list(name)
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect()
    }

    fn pairs(
        &self,
        name: &str,
        key: &str,
        value: &str,
    ) -> std::collections::BTreeMap<String, String> {
        let pair = |item: &Value| {
            Some((
                item.text(key)?.to_owned(),
                item.text(value).unwrap_or_default().to_owned(),
            ))
        };
        self.list(name).iter().filter_map(pair).collect()
    }
}
