//! The form of the query protocols, unfolded: `Filter.1.Name=x&Filter.1.Value.1=y` becomes
//! `{"Filter": [{"Name": "x", "Value": ["y"]}]}`; `member` levels are dropped. Must not know any operation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Http, rest};

/// The operation (`Action`) and the rest of the form (or, for GET, of the query).
pub fn input(http: &Http) -> (String, Value) {
    let mut fields = http.query.clone();
    fields.extend(rest::parse_query(&String::from_utf8_lossy(&http.body)));
    let operation = fields.remove("Action").unwrap_or_default();
    fields.remove("Version");
    // The signature of a presigned GET is no input.
    fields.retain(|name, _| !name.starts_with("X-Amz-"));
    (operation, unfold(fields))
}

fn unfold(fields: BTreeMap<String, String>) -> Value {
    let mut root = Node::default();
    for (name, text) in fields {
        let path: Vec<&str> = name.split('.').filter(|part| *part != "member").collect();
        root.put(&path, text);
    }
    root.into_value()
}

#[derive(Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, path: &[&str], text: String) {
        match path.split_first() {
            None => self.text = Some(text),
            Some((first, rest)) => self
                .children
                .entry((*first).to_owned())
                .or_default()
                .put(rest, text),
        }
    }

    fn into_value(self) -> Value {
        if self.children.is_empty() {
            // An empty list is sent as `Name=`: SDKs do so for a list that is given and empty.
            return self.text.map_or(Value::Object(Map::new()), Value::String);
        }
        let numbers: Option<Vec<u32>> = self.children.keys().map(|key| key.parse().ok()).collect();
        match numbers {
            Some(numbers) => {
                let mut items: Vec<(u32, Value)> = numbers
                    .into_iter()
                    .zip(self.children.into_values().map(Self::into_value))
                    .collect();
                items.sort_by_key(|(number, _)| *number);
                Value::Array(items.into_iter().map(|(_, value)| value).collect())
            }
            None => Value::Object(
                self.children
                    .into_iter()
                    .map(|(key, node)| (key, node.into_value()))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn check(form: &str, operation: &str, want: Value) {
        let http = Http {
            body: Bytes::from(form.to_owned()),
            ..Http::default()
        };
        assert_eq!(input(&http), (operation.to_owned(), want), "{form}");
    }

    #[test]
    fn forms_unfold() {
        check(
            "Action=ListRoles&Version=2010-05-08",
            "ListRoles",
            json!({}),
        );
        check(
            "Action=A&Tags.member.1.Key=k&Tags.member.1.Value=a%26b+c",
            "A",
            json!({"Tags": [{"Key": "k", "Value": "a&b c"}]}),
        );
        check(
            "Action=A&F.1.Name=x&F.1.Value.1=y&F.1.Value.2=z",
            "A",
            json!({"F": [{"Name": "x", "Value": ["y", "z"]}]}),
        );
        check(
            "Action=A&I.10=j&I.2=b&I.1=a",
            "A",
            json!({"I": ["a", "b", "j"]}),
        );
        check(
            "Action=A&D.Nested.Flag=true",
            "A",
            json!({"D": {"Nested": {"Flag": "true"}}}),
        );
    }

    #[test]
    fn an_empty_list_is_an_empty_text() {
        use crate::wire::Input as _;
        let http = Http {
            body: Bytes::from_static(b"Action=A&Subnets="),
            ..Http::default()
        };
        let (_, input) = input(&http);
        assert_eq!(input, json!({"Subnets": ""}));
        assert!(input.list("Subnets").is_empty());
    }

    #[test]
    fn broken_forms_do_no_harm() {
        check("", "", json!({}));
        check("&&=&Action", "", json!({"": ""}));
        check("Action=A&X=1&X.1=2", "A", json!({"X": ["2"]}));
        check("Action=A&.=x", "A", json!({"": {"": "x"}}));
    }

    #[test]
    fn a_get_brings_its_form_in_the_query() {
        let query = [
            ("Action", "GetCallerIdentity"),
            ("X-Amz-Signature", "0"),
            ("Name", "x"),
        ];
        let query = query
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let http = Http {
            query,
            ..Http::default()
        };
        assert_eq!(
            input(&http),
            ("GetCallerIdentity".to_owned(), json!({"Name": "x"}))
        );
    }
}
