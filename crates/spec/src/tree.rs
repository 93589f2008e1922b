//! The file as a tree of values, each with its place. YAML is read here and nowhere else, within a budget; anchors,
//! aliases and unknown tags are refused. Must not know a single key of the spec.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Options, Spanned};

use crate::problem::{At, Problems};

/// The largest file that is read. A full spec has about 2 KiB; the rest is room for environment variables and comments.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// The deepest nesting. The spec itself needs five levels.
const MAX_DEPTH: usize = 16;

/// The most values in a file.
const MAX_NODES: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// A whole number; one that is out of range is the nearest in range, so that range checks still find it.
    Integer(i64),
    Number(f64),
    Text(String),
    Sequence(Vec<Node>),
    /// In the order of the file, duplicate keys included.
    Mapping(Vec<(Node, Node)>),
}

impl Value {
    /// What the value is, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Boolean(value) => format!("the truth value `{value}`"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Number(value) => format!("the number {value}"),
            Self::Text(text) => format!("the text `{}`", shorten(text)),
            Self::Sequence(items) if items.is_empty() => "an empty list".to_owned(),
            Self::Sequence(_) => "a list".to_owned(),
            Self::Mapping(entries) if entries.is_empty() => "an empty mapping".to_owned(),
            Self::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// The tree of `text`, or a problem: a file that isn't YAML can't be read on, so there is one only.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes, at most {MAX_BYTES} are read",
            text.len()
        );
        problems.structure(
            "",
            At {
                line: 1,
                column: 1,
                ..At::default()
            },
            message,
            None,
        );
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options()) {
        Ok(root) => Some(node(root)),
        Err(error) => {
            let (message, hint) = explain(&error);
            problems.structure("", place(error.location(), text), message, hint);
            None
        }
    }
}

fn options() -> Options {
    // Anchors are refused whole: a spec has nothing to share, and without them a small file can't grow into a large tree.
    let budget = serde_saphyr::budget! {
        max_anchors: 0,
        max_aliases: 0,
        max_depth: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
        max_documents: 1,
        max_nodes: MAX_NODES,
        max_total_scalar_bytes: MAX_BYTES,
    };
    serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The message and hint for what the YAML reader refused.
fn explain(error: &Error) -> (String, Option<String>) {
    match error.without_snippet() {
        Error::Budget {
            breach: BudgetBreach::Anchors { .. },
            ..
        } => no_anchors(),
        Error::Budget {
            breach: BudgetBreach::Aliases { .. },
            ..
        }
        | Error::UnknownAnchor { .. } => no_anchors(),
        Error::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        }
        | Error::MultipleDocuments { .. } => (
            "the file holds more than one YAML document".to_owned(),
            Some(
                "one file describes one app: put the second document, after `---`, in its own file"
                    .to_owned(),
            ),
        ),
        Error::Budget {
            breach: BudgetBreach::Nodes { .. },
            ..
        } => (format!("the file holds more than {MAX_NODES} values"), None),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => too_deep(),
        other => {
            let text = other.to_string();
            // The place is said by line and column already.
            let text = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(head, _)| head);
            if text == "recursion limit exceeded" {
                return too_deep();
            }
            if text.starts_with("unsupported tag") {
                return (
                    text.to_owned(),
                    Some("leave the tag out: a spec needs none".to_owned()),
                );
            }
            (format!("not valid YAML: {text}"), yaml_hint(text))
        }
    }
}

fn no_anchors() -> (String, Option<String>) {
    (
        "YAML anchors (`&name`) and aliases (`*name`) are not supported".to_owned(),
        Some("write the value out; put text that starts with `&` or `*` in quotes".to_owned()),
    )
}

fn too_deep() -> (String, Option<String>) {
    (
        format!("the file is nested deeper than {MAX_DEPTH} levels"),
        None,
    )
}

fn yaml_hint(text: &str) -> Option<String> {
    if text.starts_with("tabs disallowed") {
        return Some("indent with spaces".to_owned());
    }
    if text.starts_with("mapping values are not allowed") {
        return Some("check the indentation, and put text that holds `: ` in quotes".to_owned());
    }
    None
}

fn node(spanned: Spanned<Value>) -> Node {
    Node {
        at: at(&spanned.referenced),
        value: spanned.value,
    }
}

fn at(location: &Location) -> At {
    let span = location.span();
    let start = to_usize(span.byte_offset().unwrap_or(0));
    let length = to_usize(span.byte_len().unwrap_or(0));
    At {
        line: to_usize(location.line()).max(1),
        column: to_usize(location.column()).max(1),
        start,
        end: start + length,
    }
}

/// The place of an error: the scanner knows line and column only, the bytes are counted here.
fn place(location: Option<Location>, text: &str) -> At {
    let Some(location) = location else {
        return At {
            line: 1,
            column: 1,
            ..At::default()
        };
    };
    if location.span().byte_offset().is_some() {
        return at(&location);
    }
    let (line, column) = (
        to_usize(location.line()).max(1),
        to_usize(location.column()).max(1),
    );
    let before: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = &text[before..];
    let start = before
        + rest
            .char_indices()
            .nth(column - 1)
            .map_or(rest.len(), |(index, _)| index);
    let length = text[start..].chars().next().map_or(0, char::len_utf8);
    At {
        line,
        column,
        start,
        end: start + length,
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Text in a message is cut, so that a block of text doesn't bury it.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    let cut: String = line.chars().take(SHOWN).collect();
    format!("{cut}…")
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            nodes.push(node(item));
        }
        Ok(Value::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<Value>, Spanned<Value>>()? {
            nodes.push((node(key), node(value)));
        }
        Ok(Value::Mapping(nodes))
    }
}
