//! A choice in JSON: an object with one key, or a word alone where its defaults do. Must not know what is chosen.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a choice of `what`; the error names `names`, which are possible.
pub(super) fn read<T: DeserializeOwned>(
    value: Value,
    what: &str,
    names: &str,
) -> Result<T, String> {
    let given = object(value).filter(|given| given.len() == 1);
    let given = given.ok_or_else(|| format!("a {what} has one name; there are {names}"))?;
    serde_json::from_value(Value::Object(given)).map_err(|error| format!("no {what}: {error}"))
}

/// The object that is meant; `None` where neither it nor a word is given.
pub(super) fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::String(name) => Some(Map::from_iter([(name, Value::Object(Map::new()))])),
        Value::Object(given) => Some(given),
        _ => None,
    }
}
