//! The difference of two JSON values, field by field. Must not know what a field means, but for those that only order work.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Change, Origin};
use crate::cloud::Tags;
use crate::resource::{Kind, ORDER_ONLY};

/// The fields in which `want` differs from `have`, in the order of the fields. Lists of the same length are compared element by
/// element if they hold objects, else as one value. Where a difference comes from isn't known here: the spec, until something else shows.
pub fn diff(have: &Value, want: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", have, want, &mut changes);
    changes.retain(|change| !ORDER_ONLY.contains(&change.property()));
    changes
}

/// The tags that differ. Revisions of a task definition come from rollouts, which don't tag them.
pub(super) fn tags(kind: Kind, have: &BTreeMap<String, String>, want: &Tags) -> Vec<Change> {
    if !kind.taggable() || kind == Kind::TaskDefinition {
        return Vec::new();
    }
    let want = want.all();
    let keys: BTreeSet<&String> = have.keys().chain(want.keys()).collect();
    let differing = keys
        .into_iter()
        .filter(|key| have.get(*key) != want.get(*key));
    let text = |tags: &BTreeMap<String, String>, key: &String| {
        tags.get(key).map(|value| Value::String(value.clone()))
    };
    differing
        .map(|key| Change {
            field: format!("tags.{key}"),
            have: text(have, key),
            want: text(want, key),
            origin: Origin::Spec,
        })
        .collect()
}

fn compare(path: &str, have: &Value, want: &Value, changes: &mut Vec<Change>) {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            let added = want.keys().filter(|key| !have.contains_key(*key));
            for key in have.keys().chain(added) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match (have.get(key), want.get(key)) {
                    (Some(have), Some(want)) => compare(&path, have, want, changes),
                    (have, want) => changes.push(Change {
                        field: path,
                        have: have.cloned(),
                        want: want.cloned(),
                        origin: Origin::Spec,
                    }),
                }
            }
        }
        (Value::Array(have), Value::Array(want))
            if have.len() == want.len() && objects(have) && objects(want) =>
        {
            for (index, (have, want)) in have.iter().zip(want).enumerate() {
                compare(&format!("{path}[{index}]"), have, want, changes);
            }
        }
        (have, want) if have != want => {
            changes.push(Change {
                field: path.to_owned(),
                have: Some(have.clone()),
                want: Some(want.clone()),
                origin: Origin::Spec,
            });
        }
        _ => {}
    }
}

fn objects(values: &[Value]) -> bool {
    values.iter().all(Value::is_object)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(have: Value, want: Value, expected: &[&str]) {
        let show =
            |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let found: Vec<String> = diff(&have, &want)
            .into_iter()
            .map(|change| {
                format!(
                    "{}: {} -> {}",
                    change.field,
                    show(change.have),
                    show(change.want)
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_are_compared_one_by_one() {
        check(
            json!({"a": 1, "b": {"c": 2}}),
            json!({"b": {"c": 2}, "a": 1}),
            &[],
        );
        check(
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
            json!({"a": 1, "b": {"c": 4, "e": 5}}),
            &["b.c: 2 -> 4", "b.d: 3 -> -", "b.e: - -> 5"],
        );
        check(json!({"a": null}), json!({"a": "x"}), &["a: null -> \"x\""]);
        check(
            json!({"a": [1, 2]}),
            json!({"a": [1, 3]}),
            &["a: [1,2] -> [1,3]"],
        );
        check(
            json!({"a": [{"b": 1}]}),
            json!({"a": [{"b": 2}]}),
            &["a[0].b: 1 -> 2"],
        );
        check(
            json!({"a": [{"b": 1}]}),
            json!({"a": []}),
            &["a: [{\"b\":1}] -> []"],
        );
    }

    #[test]
    fn what_only_orders_work_is_no_difference() {
        check(
            json!({"a": 1}),
            json!({"a": 1, "after": ["x"], "pair": ["y"]}),
            &[],
        );
        check(
            json!({"a": {"after": 1}}),
            json!({"a": {"after": 2}}),
            &["a.after: 1 -> 2"],
        );
    }

    #[test]
    fn tags_differ_in_both_directions() {
        let app = ecspipe_spec::AppName::new("web").unwrap();
        let owner = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let key = crate::Key::new(Kind::Cluster, "main");
        let want = Tags::new(&app, &key, &owner);
        let mut have = want.all().clone();
        assert_eq!(tags(Kind::Cluster, &have, &want), []);
        have.remove("team");
        have.insert("old".to_owned(), "x".to_owned());
        let fields: Vec<String> = tags(Kind::Cluster, &have, &want)
            .into_iter()
            .map(|change| change.field)
            .collect();
        assert_eq!(fields, ["tags.old", "tags.team"]);
        assert_eq!(tags(Kind::TaskDefinition, &have, &want), []);
    }
}
