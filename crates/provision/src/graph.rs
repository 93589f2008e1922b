//! The wanted resources, and the links between them. It only grows, and only what was added can be linked to, so the order
//! of insertion is a topological order and a cycle can't be written. Must not know what exists.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::AppName;
use serde_json::Value;

use crate::cloud::Tags;
use crate::resource::{Key, Link, Resource};

/// The wanted resources of one app in topological order. An empty graph wants nothing: the way to `down`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    app: AppName,
    owner_tags: BTreeMap<String, String>,
    nodes: Vec<Node>,
    later: BTreeMap<Key, Option<Resource>>,
}

/// A wanted resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its identity.
    pub key: Key,
    /// Its properties, with tokens where it refers to others.
    pub resource: Resource,
    /// Its tags.
    pub tags: Tags,
    /// What its links point at.
    pub links: BTreeSet<Key>,
}

impl Graph {
    /// A graph without resources. `owner_tags` go on everything that is added.
    pub fn new(app: AppName, owner_tags: BTreeMap<String, String>) -> Self {
        Self {
            app,
            owner_tags,
            nodes: Vec::new(),
            later: BTreeMap::new(),
        }
    }

    /// Adds a resource; the link is the only way to refer to it. `name` is unique among the resources of its kind
    /// ([`crate::check()`] holds that).
    pub fn add(&mut self, name: impl Into<String>, resource: impl Into<Resource>) -> Link {
        let resource = resource.into();
        let key = Key::new(resource.kind(), name);
        // Text that only looks like a link to something that isn't here is text.
        let links = tokens(&resource.properties())
            .into_iter()
            .filter(|token| self.get(token).is_some())
            .collect();
        let tags = Tags::new(&self.app, &key, &self.owner_tags).with_applied(&resource);
        self.nodes.push(Node {
            key: key.clone(),
            resource,
            tags,
            links,
        });
        Link::to(key)
    }

    /// The app that it is for.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// Its resources, each behind everything that it links to.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The same graph, wanted only until running tasks have moved: then it is `moved`.
    #[must_use]
    pub(crate) fn until(mut self, moved: &Self) -> Self {
        for node in &self.nodes {
            let later = moved.get(&node.key).map(|later| &later.resource);
            if later != Some(&node.resource) {
                self.later.insert(node.key.clone(), later.cloned());
            }
        }
        self
    }

    /// What becomes of the resource `key` once running tasks have moved, if that is another than now: other properties, or
    /// `Some(None)` where nobody wants it any more.
    pub fn later(&self, key: &Key) -> Option<Option<&Resource>> {
        self.later.get(key).map(Option::as_ref)
    }

    /// The resource `key`.
    pub fn get(&self, key: &Key) -> Option<&Node> {
        self.nodes.iter().find(|node| node.key == *key)
    }
}

/// The keys whose tokens occur in any text of `value`.
pub(crate) fn tokens(value: &Value) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    each_text(value, &mut |text| {
        for (_, _, key) in tokens_in(text) {
            found.insert(key);
        }
    });
    found
}

/// `resource` with the tokens replaced whose ids `id_of` knows; the others stay.
pub(crate) fn resolve(resource: &Resource, id_of: impl Fn(&Key) -> Option<String>) -> Resource {
    let Ok(mut value) = serde_json::to_value(resource) else {
        return resource.clone();
    };
    resolve_value(&mut value, &id_of);
    // Only texts have changed, so the value still has the resource's shape; reading it sorts sets anew.
    serde_json::from_value(value).unwrap_or_else(|_| resource.clone())
}

/// Calls `visit` with every text in `value`, keys of objects aside.
pub(crate) fn each_text(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(values) => values.iter().for_each(|value| each_text(value, visit)),
        Value::Object(fields) => fields.values().for_each(|value| each_text(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn resolve_value(value: &mut Value, id_of: &impl Fn(&Key) -> Option<String>) {
    match value {
        Value::String(text) => {
            for (start, end, key) in tokens_in(text).into_iter().rev() {
                if let Some(id) = id_of(&key) {
                    text.replace_range(start..end, &id);
                }
            }
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| resolve_value(value, id_of)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| resolve_value(value, id_of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The tokens in `text` with their places, from left to right.
fn tokens_in(text: &str) -> Vec<(usize, usize, Key)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|at| from + at) {
        let inside = start + 2;
        let Some(end) = text[inside..].find('}').map(|at| inside + at) else {
            break;
        };
        if let Ok(key) = text[inside..end].parse() {
            found.push((start, end + 1, key));
        }
        // A token within broken text, such as `${a${vpc/main}`, is still found.
        from = inside;
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{Kind, Subnet, Vpc};

    fn graph() -> Graph {
        Graph::new(AppName::new("web").unwrap(), BTreeMap::new())
    }

    fn subnet(vpc: impl Into<String>) -> Subnet {
        Subnet {
            vpc: vpc.into(),
            zone: "a".to_owned(),
            cidr: "10.0.0.0/24".to_owned(),
            public_addresses: false,
        }
    }

    #[test]
    fn links_are_read_from_the_properties() {
        let mut graph = graph();
        let vpc = graph.add(
            "main",
            Vpc {
                cidr: "10.0.0.0/16".to_owned(),
                dns_support: true,
                dns_hostnames: true,
            },
        );
        graph.add("a", subnet(&vpc));
        graph.add("b", subnet("${vpc/elsewhere}"));
        let links: Vec<Vec<String>> = graph
            .nodes()
            .iter()
            .map(|node| node.links.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(links, [vec![], vec!["vpc/main".to_owned()], vec![]]);
    }

    #[test]
    fn tokens_are_found_in_the_middle_of_text() {
        let found = tokens(
            &json!({ "a": ["x${vpc/main}y${role/task}", "${nothing/b}", "${vpc/", "${A}${bucket/b}"] }),
        );
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["bucket/b", "role/task", "vpc/main"]);
    }

    #[test]
    fn resolving_replaces_what_is_known() {
        let id_of = |key: &Key| (key.name == "main").then(|| "vpc-1".to_owned());
        let resolved = resolve(&subnet("${vpc/main}/${vpc/other}").into(), id_of);
        assert_eq!(resolved, subnet("vpc-1/${vpc/other}").into());
        assert_eq!(resolved.kind(), Kind::Subnet);
    }
}
