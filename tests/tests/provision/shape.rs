//! What an account holds, told so that two runs can be compared: without ids, times and addresses, which differ whenever
//! calls come in another order or once more. Must not judge what ought to be there.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::cloud::RESOURCE_TAG;
use ecspipe_sandbox::Sandbox;
use serde_json::Value;

use super::place::is_history;

/// Everything in the account, a line a property. A thing that is there twice has its lines twice.
pub(crate) fn shape(sandbox: &Sandbox) -> Vec<String> {
    let world = serde_json::to_value(&*sandbox.world()).unwrap();
    let mut services = vec![
        ("iam".to_owned(), world["iam"].clone()),
        ("s3".to_owned(), world["s3"].clone()),
    ];
    for (region, states) in world["regions"].as_object().unwrap() {
        for (service, state) in states.as_object().unwrap() {
            services.push((format!("{region}/{service}"), state.clone()));
        }
    }
    let names = Names::of(&world);
    let mut lines = Vec::new();
    for (path, state) in &services {
        for (collection, entries) in state.as_object().unwrap() {
            // What is no collection is a dial or a counter.
            let Some(entries) = entries.as_object() else {
                continue;
            };
            let live = entries
                .iter()
                .filter(|(_, entry)| !is_history(path, collection, entry));
            for (name, entry) in live {
                let path = format!("{path}/{collection}/{}", names.mask(name));
                lines.push(path.clone());
                flatten(&names, &path, entry, &mut lines);
            }
        }
    }
    lines.sort();
    lines
}

/// What one account has and the other hasn't, a line each.
pub(crate) fn differences(have: &[String], want: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    for line in have {
        *counts.entry(line).or_default() += 1;
    }
    for line in want {
        *counts.entry(line).or_default() -= 1;
    }
    let differing = counts.into_iter().filter(|(_, count)| *count != 0);
    let lines = differing.map(|(line, count)| {
        let sign = if count > 0 { '+' } else { '-' };
        format!("{sign} {line}")
    });
    lines.collect()
}

/// That two accounts are the same; the error shows the first of what differs.
pub(crate) fn same(have: &[String], want: &[String]) -> Result<(), String> {
    const MOST: usize = 12;
    let mut differing = differences(have, want);
    differing.truncate(MOST);
    match differing.as_slice() {
        [] => Ok(()),
        some => Err(format!("\n    {}", some.join("\n    "))),
    }
}

fn flatten(names: &Names, path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            // Which zone a task gets into, and so its interface, is chance; its tags are those of the service when it was started.
            let chance = path.contains("/tasks/") || path.contains("/interfaces/");
            for (name, value) in fields {
                // A token is spent once; how often a task could not be started yet is a matter of time.
                if ["token", "events"].contains(&name.as_str())
                    || chance && ["subnet", "tags", "zone"].contains(&name.as_str())
                {
                    continue;
                }
                // An update that is made twice leaves a version more.
                let value = match value.as_array().and_then(|versions| versions.last()) {
                    Some(last) if name == "versions" => &numberless(last),
                    _ => value,
                };
                flatten(names, &format!("{path}.{}", names.mask(name)), value, lines);
            }
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| names.masked(item).to_string());
            lines.extend(items.map(|item| format!("{path}[] = {item}")));
        }
        value => lines.push(format!("{path} = {}", names.masked(value))),
    }
}

fn numberless(version: &Value) -> Value {
    let mut version = version.clone();
    if let Some(fields) = version.as_object_mut() {
        fields.remove("version");
    }
    version
}

/// The names by which ecspipe knows things that only have ids.
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(world: &Value) -> Self {
        let mut names = BTreeMap::new();
        for services in world["regions"].as_object().unwrap().values() {
            for service in ["ec2", "elbv2"] {
                let tagged = services[service]["tags"].as_object();
                for (id, tags) in tagged.into_iter().flatten() {
                    if let Some(name) = tags[RESOURCE_TAG].as_str() {
                        names.insert(id.clone(), format!("<{name}>"));
                    }
                }
            }
        }
        Self(names)
    }

    fn masked(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.mask(text).into(),
            Value::Number(number) if number.as_f64().is_some_and(is_time) => "(time)".into(),
            Value::Array(items) => {
                let items: BTreeSet<String> = items
                    .iter()
                    .map(|item| self.masked(item).to_string())
                    .collect();
                items.into_iter().collect::<Vec<_>>().into()
            }
            // Sorted: some SDKs send maps in any order, and the account keeps documents as they came.
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(name, _)| *name != "retry_at");
                let fields: BTreeMap<String, Value> = fields
                    .map(|(name, value)| (self.mask(name), self.masked(value)))
                    .collect();
                fields.into_iter().collect::<serde_json::Map<_, _>>().into()
            }
            value => value.clone(),
        }
    }

    fn mask(&self, text: &str) -> String {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return "(address)".to_owned();
        }
        if is_written_time(text) {
            return "(time)".to_owned();
        }
        let mut masked = String::with_capacity(text.len());
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        for part in text.split_inclusive(ends) {
            let word = part.trim_end_matches(ends);
            match self.0.get(word) {
                Some(name) => masked.push_str(name),
                None => without_ids(word, &mut masked),
            }
            masked.push_str(&part[word.len()..]);
        }
        masked
    }
}

/// Milliseconds or seconds of this century.
fn is_time(number: f64) -> bool {
    (1.7e9..2.5e9).contains(&number) || (1.7e12..2.5e12).contains(&number)
}

fn is_written_time(text: &str) -> bool {
    text.len() >= 20 && text.starts_with("20") && text.as_bytes()[10] == b'T'
}

/// Appends `text` with `#` for a UUID, and for every run of eight or more hexadecimal digits or sixteen or more capitals and digits.
fn without_ids(text: &str, masked: &mut String) {
    if is_uuid(text) {
        masked.push('#');
        return;
    }
    let parts = text
        .split('-')
        .map(|part| if is_id(part) { "#" } else { part });
    masked.push_str(&parts.collect::<Vec<_>>().join("-"));
}

fn is_uuid(text: &str) -> bool {
    let mut lengths = text.split('-').map(str::len);
    lengths.by_ref().eq([8, 4, 4, 4, 12]) && text.split('-').all(is_hex)
}

fn is_hex(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_id(word: &str) -> bool {
    let capital = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    (word.len() >= 8 && is_hex(word)) || (word.len() >= 16 && word.bytes().all(capital))
}
