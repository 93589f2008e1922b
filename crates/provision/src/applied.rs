//! What was wanted of a resource when it was last applied, short enough for a tag: a digest of each property and of each tag. With it a
//! plan tells a field that somebody changed by hand from one that the spec changes, and no state is kept elsewhere.
//! Must not know what exists, or decide what a difference comes to.
//!
//! The value of [`APPLIED_TAG`] is a version, a colon, and four characters a field: first the properties in the order of the
//! struct's fields, then the tags by their keys. A digest covers the field's name, so a field is looked up wherever it
//! stands, and a field that ecspipe learns about later is unknown rather than mistaken. Digests are of what the graph wants,
//! with tokens in the place of ids, so that a thing that was made again under another id is still as it was applied.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::plan::delegated;
use crate::resource::{Kind, ORDER_ONLY, Resource};

/// The tag that holds the digests.
pub const APPLIED_TAG: &str = "ecspipe:applied";

/// What a value begins with. Another beginning is of an ecspipe that digests in another way, and says nothing to this one.
const VERSION: &str = "1:";
/// Three bytes: two different values of one field look the same once in sixteen million times.
const BYTES: usize = 3;
/// Three bytes in base64.
const CHARACTERS: usize = 4;
/// What every service takes (AWS.md §2).
const MAX_VALUE: usize = 256;
/// Tags whose name begins so are ecspipe's own, and never the spec's.
const OWN: &str = "ecspipe:";

/// What was wanted of a resource when it was last applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied(BTreeSet<String>);

impl Applied {
    /// Whether resources of `kind` say what was applied. A configuration of CodeDeploy carries no tags, and its name says what it was made
    /// with; everything in a task definition travels with deployments, so no revision is ever changed back.
    pub fn is_kept(kind: Kind) -> bool {
        kind.taggable() && kind != Kind::TaskDefinition
    }

    /// Reads it from a resource's tags; `None` where the tag is missing or of another version.
    pub fn read(tags: &BTreeMap<String, String>) -> Option<Self> {
        let digests = tags.get(APPLIED_TAG)?.strip_prefix(VERSION)?;
        let digests = digests.as_bytes().chunks(CHARACTERS);
        Some(Self(
            digests
                .map(|digest| String::from_utf8_lossy(digest).into_owned())
                .collect(),
        ))
    }

    /// Whether `value` is what was wanted of the property or tag `name`.
    pub fn holds(&self, name: &str, value: &Value) -> bool {
        self.0.contains(&digest(name, value))
    }

    /// The same for the tag `name`.
    pub fn holds_tag(&self, name: &str, value: &str) -> bool {
        self.holds(&format!("tags.{name}"), &Value::from(value))
    }
}

/// The value of [`APPLIED_TAG`] for `resource`, with tokens in it, and `tags`. What doesn't fit is left out, and so unknown; the
/// forty tags that a spec may set do fit beside the properties of every kind.
pub(crate) fn applied(resource: &Resource, tags: &BTreeMap<String, String>) -> String {
    let properties = resource.properties();
    let compared =
        |name: &String| !ORDER_ONLY.contains(&name.as_str()) && !delegated(resource.kind(), name);
    let properties = properties.as_object().into_iter().flatten();
    let properties = properties
        .filter(|(name, _)| compared(name))
        .map(|(name, value)| digest(name, value));
    let tags = tags
        .iter()
        .filter(|(name, _)| !name.starts_with(OWN))
        .map(|(name, value)| digest(&format!("tags.{name}"), &Value::from(value.as_str())));
    let fitting = (MAX_VALUE - VERSION.len()) / CHARACTERS;
    let digests: String = properties.chain(tags).take(fitting).collect();
    format!("{VERSION}{digests}")
}

fn digest(name: &str, value: &Value) -> String {
    let text = format!("{name}={}", sorted(value));
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..BYTES])
}

/// The same value with its objects sorted: the order in which a struct names its fields is no difference.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            fields
                .into_iter()
                .map(|(name, value)| (name.clone(), value))
                .collect()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{Cluster, LogGroup};

    fn group(days: u32) -> Resource {
        LogGroup {
            name: "/ecs/web".to_owned(),
            retention_days: Some(days),
        }
        .into()
    }

    fn read(value: &str) -> Option<Applied> {
        Applied::read(&BTreeMap::from([(
            APPLIED_TAG.to_owned(),
            value.to_owned(),
        )]))
    }

    #[test]
    fn a_field_is_found_by_its_name_and_its_value() {
        let tags = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let applied = read(&applied(&group(30), &tags)).unwrap();
        assert!(applied.holds("retention_days", &json!(30)));
        assert!(!applied.holds("retention_days", &json!(31)));
        assert!(!applied.holds("name", &json!(30)));
        assert!(applied.holds_tag("team", "web"));
        assert!(!applied.holds_tag("team", "shop"));
    }

    #[test]
    fn four_characters_a_field_that_every_service_takes() {
        let tags = BTreeMap::from([
            ("ecspipe:app".to_owned(), "web".to_owned()),
            ("team".to_owned(), "web".to_owned()),
        ]);
        let value = applied(&group(30), &tags);
        assert_eq!(value, "1:LfgWrPoQzW-r");
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c);
        assert!(value.chars().all(legal), "{value}");
    }

    #[test]
    fn what_was_written_otherwise_says_nothing() {
        assert_eq!(read("2:AAAA"), None);
        assert_eq!(read(""), None);
        assert_eq!(Applied::read(&BTreeMap::new()), None);
        // Somebody's hand in it makes what is left of it unknown.
        assert!(!read("1:é").unwrap().holds("retention_days", &json!(30)));
    }

    #[test]
    fn it_never_grows_beyond_what_a_tag_holds() {
        let cluster = Cluster {
            name: "web".to_owned(),
            container_insights: "disabled".to_owned(),
        };
        let tags: BTreeMap<String, String> = (0..100)
            .map(|at| (format!("tag-{at}"), "x".to_owned()))
            .collect();
        let value = applied(&cluster.into(), &tags);
        assert_eq!(value.len(), 254);
        assert!(read(&value).unwrap().holds("name", &json!("web")));
    }

    #[test]
    fn the_order_of_fields_is_no_difference() {
        let one = digest("a", &json!({"b": 1, "c": [{"d": 2, "e": 3}]}));
        let other = digest("a", &json!({"c": [{"e": 3, "d": 2}], "b": 1}));
        assert_eq!(one, other);
    }
}
