//! The file as a tree of values, each with its place. YAML is read here and nowhere else, within a budget; anchors,
//! aliases and tags are refused. Must not know a single key of the spec.
//!
//! The tree is built from the parser's events: serde's data model has no places, and a deserializer that carries them through it
//! takes more than twice as long (`cargo xtask bench`).

use std::borrow::Cow;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

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
    match Reader::new(text).document() {
        Ok(root) => Some(root),
        Err(Refusal { at, message, hint }) => {
            problems.structure("", at, message, hint);
            None
        }
    }
}

/// Why the file can't be read on.
struct Refusal {
    at: At,
    message: String,
    hint: Option<String>,
}

/// The parser over the file, and how many values it has seen.
struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        // The parser reads ahead of what is built here, so it has the limit too.
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            nodes: 0,
        }
    }

    /// The one document of the file; nothing where there is none.
    fn document(&mut self) -> Result<Node, Refusal> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => {
                    return Ok(root.unwrap_or(Node {
                        at: at(&span),
                        value: Value::Null,
                    }));
                }
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(second_document(at(&span)));
                }
                Event::DocumentStart(..) => {
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                event => return Err(out_of_place(&event, at(&span))),
            }
        }
    }

    /// The value that `event` begins, `depth` levels deep.
    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, Refusal> {
        let at = at(&span);
        if event.is_alias() || event.anchor_id().is_some() {
            return Err(no_anchors(at));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Refusal {
                at,
                message: format!("the file holds more than {MAX_NODES} values"),
                hint: None,
            });
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => scalar(text, style, tag.as_deref(), at)?,
            Event::SequenceStart(.., Some(tag)) | Event::MappingStart(.., Some(tag)) => {
                return Err(no_tags(&tag, at));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if depth == MAX_DEPTH => {
                return Err(too_deep(at));
            }
            Event::SequenceStart(..) => Value::Sequence(self.items(depth + 1)?),
            Event::MappingStart(..) => Value::Mapping(self.entries(depth + 1)?),
            event => return Err(out_of_place(&event, at)),
        };
        Ok(Node { at, value })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Refusal> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                item => items.push(self.node(item, depth)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, Refusal> {
        let mut entries = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                key => {
                    let key = self.node(key, depth)?;
                    let value = self.next()?;
                    entries.push((key, self.node(value, depth)?));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Refusal> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.explain(&error)),
            None => Err(Refusal {
                at: place(self.text.lines().count(), 1, self.text),
                message: "not valid YAML: the file ends too early".to_owned(),
                hint: None,
            }),
        }
    }

    /// The message and hint for what the parser refused.
    fn explain(&self, error: &ScanError) -> Refusal {
        let marker = error.marker();
        let at = place(marker.line(), marker.col() + 1, self.text);
        match error.kind() {
            ErrorKind::UnknownAnchor => no_anchors(at),
            ErrorKind::RecursionLimitExceeded => too_deep(at),
            kind => {
                let text = kind.to_string();
                let hint = yaml_hint(&text);
                Refusal {
                    at,
                    message: format!("not valid YAML: {text}"),
                    hint,
                }
            }
        }
    }
}

/// A scalar by YAML 1.2's core schema, but for numbers with leading zeros: account ids and the like are text.
fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: At,
) -> Result<Value, Refusal> {
    match tag {
        None => {}
        // Says no more than quotes do.
        Some(tag) if tag.core_suffix() == Some("str") => return Ok(Value::Text(text.into_owned())),
        Some(tag) => return Err(no_tags(tag, at)),
    }
    if style != ScalarStyle::Plain {
        return Ok(Value::Text(text.into_owned()));
    }
    Ok(match &*text {
        // An empty one comes as `~`.
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        plain => number(plain).unwrap_or_else(|| Value::Text(text.into_owned())),
    })
}

fn number(text: &str) -> Option<Value> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        b'.' | b'0'..=b'9' => (false, text),
        _ => return None,
    };
    let whole = |digits: &str, radix| i64::from_str_radix(digits, radix).unwrap_or(i64::MAX);
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |digit| digit.is_ascii_hexdigit())
            .then(|| Value::Integer(whole(digits, 16)));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |digit| matches!(digit, b'0'..=b'7'))
            .then(|| Value::Integer(whole(digits, 8)));
    }
    if all(unsigned, |digit| digit.is_ascii_digit()) {
        let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0');
        let size = whole(unsigned, 10);
        return (!leading_zero).then_some(Value::Integer(if negative { -size } else { size }));
    }
    match unsigned {
        ".inf" | ".Inf" | ".INF" if negative => return Some(Value::Number(f64::NEG_INFINITY)),
        ".inf" | ".Inf" | ".INF" => return Some(Value::Number(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Number(f64::NAN)),
        _ => {}
    }
    // Rust reads `inf` and `infinity` too, and a second sign never.
    unsigned
        .starts_with(|first: char| first == '.' || first.is_ascii_digit())
        .then(|| text.parse().ok().map(Value::Number))
        .flatten()
}

fn all(digits: &str, is: impl Fn(u8) -> bool) -> bool {
    !digits.is_empty() && digits.bytes().all(is)
}

fn second_document(at: At) -> Refusal {
    Refusal {
        at,
        message: "the file holds more than one YAML document".to_owned(),
        hint: Some(
            "one file describes one app: put the second document, after `---`, in its own file"
                .to_owned(),
        ),
    }
}

fn no_anchors(at: At) -> Refusal {
    Refusal {
        at,
        message: "YAML anchors (`&name`) and aliases (`*name`) are not supported".to_owned(),
        hint: Some(
            "write the value out; put text that starts with `&` or `*` in quotes".to_owned(),
        ),
    }
}

fn no_tags(tag: &Tag, at: At) -> Refusal {
    Refusal {
        at,
        message: format!("unsupported tag `{}`", tag.original()),
        hint: Some("leave the tag out: a spec needs none".to_owned()),
    }
}

fn too_deep(at: At) -> Refusal {
    Refusal {
        at,
        message: format!("the file is nested deeper than {MAX_DEPTH} levels"),
        hint: None,
    }
}

fn out_of_place(event: &Event<'_>, at: At) -> Refusal {
    Refusal {
        at,
        message: format!("not valid YAML: {event:?} is out of place"),
        hint: None,
    }
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

fn at(span: &Span) -> At {
    let byte = |marker: &Marker| marker.byte_offset().unwrap_or(0);
    At {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
        start: byte(&span.start),
        end: byte(&span.end),
    }
}

/// The place of an error: the parser knows line and column only, the bytes are counted here.
fn place(line: usize, column: usize, text: &str) -> At {
    let (line, column) = (line.max(1), column.max(1));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn tree(text: &str) -> Option<Json> {
        parse(text, &mut Problems::default()).map(|root| json_of(&root))
    }

    fn json_of(node: &Node) -> Json {
        match &node.value {
            Value::Null => Json::Null,
            Value::Boolean(value) => json!(value),
            Value::Integer(value) => json!(value),
            // JSON has no infinity; two zeros are one.
            Value::Number(value) if value.is_finite() => json!(value + 0.0),
            Value::Number(value) => json!(value.to_string()),
            Value::Text(text) => json!(text),
            Value::Sequence(items) => items.iter().map(json_of).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| {
                    (
                        json_of(key).as_str().unwrap_or("?").to_owned(),
                        json_of(value),
                    )
                })
                .collect(),
        }
    }

    /// What another reader makes of it, told to read numbers as we do.
    fn oracle(text: &str) -> Option<Json> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
        };
        serde_saphyr::from_str_with_options(text, options).ok()
    }

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for (text, expected) in [
            ("~", Json::Null),
            ("True", json!(true)),
            ("yes", json!("yes")),
            ("80", json!(80)),
            ("+80", json!(80)),
            ("-80", json!(-80)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0x", json!("0x")),
            ("0b1", json!("0b1")),
            ("017", json!("017")),
            ("1_000", json!("1_000")),
            ("99999999999999999999", json!(i64::MAX)),
            ("-99999999999999999999", json!(-i64::MAX)),
            ("1.10", json!(1.1)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1e999", json!("inf")),
            ("-.inf", json!("-inf")),
            (".nan", json!("NaN")),
            ("inf", json!("inf")),
            ("-infinity", json!("-infinity")),
            ("+-1", json!("+-1")),
            ("1.2.3", json!("1.2.3")),
            ("'80'", json!("80")),
            ("!!str 80", json!("80")),
            ("|\n  80\n", json!("80\n")),
        ] {
            assert_eq!(tree(text), Some(expected), "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(|number| json!(number + 0.0)),
            ".{0,12}".prop_map(Json::from),
            "[-+.0-9a-fxoEeinN_~:# ]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::btree_map("[-a-z0-9 ]{0,5}", inner, 0..5)
                    .prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_another_program_wrote_is_read_as_it_was_meant(value in value()) {
            let text = serde_saphyr::to_string(&value).unwrap();
            prop_assert_eq!(tree(&text), Some(value), "{}", text);
        }

        /// Left out: binary numbers, capital `0X` and signs before a radix, which are text by the core schema, and what is
        /// larger than the other reader's numbers.
        #[test]
        fn another_reader_reads_the_same(text in "[-+.0-9a-fxoEeinNtruIlLU~]{0,6}") {
            let unsigned = text.trim_start_matches(['-', '+']);
            prop_assume!(!unsigned.starts_with("0b") && (unsigned == text || !unsigned.starts_with("0x") && !unsigned.starts_with("0o")));
            prop_assume!(oracle(&text).is_some());
            prop_assert_eq!(tree(&text), oracle(&text));
        }

        #[test]
        fn any_text_is_read_or_refused_in_one_problem(text in "(?s).{0,40}|[-\\[\\]{}:,#&*!|>'\"%@`?a\\n\\t ]{0,40}") {
            let mut problems = Problems::default();
            let read = parse(&text, &mut problems);
            prop_assert_eq!(read.is_none(), problems.into_sorted().len() == 1);
        }
    }
}
