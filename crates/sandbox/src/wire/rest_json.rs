//! REST with JSON bodies, as Lambda speaks it: which operation a method and a path mean, and how an error is written. Must not know
//! any state.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Fault, Http};

/// Lambda's operations: method, the path after the version with `{}` for the function's name.
const LAMBDA: [(&Method, &str, &str); 6] = [
    (&Method::POST, "functions", "CreateFunction"),
    (&Method::GET, "functions", "ListFunctions"),
    (&Method::GET, "functions/{}", "GetFunction"),
    (&Method::DELETE, "functions/{}", "DeleteFunction"),
    (
        &Method::GET,
        "functions/{}/configuration",
        "GetFunctionConfiguration",
    ),
    (&Method::POST, "functions/{}/invocations", "Invoke"),
];

/// The version in the paths of these operations.
const VERSION: &str = "/2015-03-31/";

/// The operation and its input: the path's name, the query, and the body where it is an object. An operation that isn't known goes
/// by its method and path.
pub(super) fn operation(http: &Http) -> (String, Value) {
    let path = http.path.strip_prefix(VERSION).unwrap_or(&http.path);
    let path = path.trim_end_matches('/');
    let mut input: Map<String, Value> = match serde_json::from_slice(&http.body) {
        Ok(Value::Object(body)) if !path.ends_with("/invocations") => body,
        _ => Map::new(),
    };
    for (name, value) in &http.query {
        input.insert(name.clone(), json!(value));
    }
    let found = LAMBDA.iter().find_map(|(method, pattern, operation)| {
        let name = matches(pattern, path).filter(|_| **method == http.method)?;
        Some((*operation, name))
    });
    match found {
        Some((operation, name)) => {
            if let Some(name) = name {
                input.insert("FunctionName".to_owned(), json!(name));
            }
            (operation.to_owned(), Value::Object(input))
        }
        None => (
            format!("{} {}", http.method, http.path),
            Value::Object(input),
        ),
    }
}

/// Whether a path is of a pattern, and what stands for the name.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    match pattern.split_once("{}") {
        None => (pattern == path).then_some(None),
        Some((before, after)) => {
            let name = path.strip_prefix(before)?.strip_suffix(after)?;
            (!name.is_empty() && !name.contains('/')).then_some(Some(name))
        }
    }
}

/// The body of an error. Lambda's shapes don't agree on how a message is called.
pub(super) fn fault(fault: &Fault) -> Value {
    match fault.code.as_str() {
        "ResourceNotFoundException" | "AccessDeniedException" => {
            json!({"Type": "User", "Message": fault.message})
        }
        _ => json!({"Type": "User", "message": fault.message}),
    }
}

/// A path of an operation, for whoever makes a request by hand.
#[cfg(test)]
pub(crate) fn path(operation: &str, function: &str) -> (Method, String) {
    let found = LAMBDA.iter().find(|(_, _, known)| *known == operation);
    let (method, pattern, _) = found.expect("an operation of Lambda");
    let path = format!("{VERSION}{}", pattern.replace("{}", function));
    ((*method).clone(), path)
}
