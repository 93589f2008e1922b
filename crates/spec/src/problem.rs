//! What is wrong with a spec, and where. Must not render: colour, the piece of the file and line breaks are the CLI's.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file has the wrong shape, or a well-shaped value breaks a rule.
    pub kind: ProblemKind,
    /// The key, such as `network.zones[1].public`; empty for the file as a whole.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the text that the problem is about: for a missing key those of the key above it, empty for the file as
    /// a whole.
    pub span: Range<usize>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The file isn't YAML, a key is unknown or missing, a value is of the wrong type: what the JSON Schema finds too.
    Structure,
    /// A value of the right type that is not legal, by itself or beside another one.
    Rule,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// A place in the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Collects problems, so that no reader stops at the first.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// A problem of shape.
    pub(crate) fn structure(
        &mut self,
        path: &str,
        at: At,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(ProblemKind::Structure, path, at, message.into(), hint);
    }

    /// A broken rule.
    pub(crate) fn rule(
        &mut self,
        path: &str,
        at: At,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(ProblemKind::Rule, path, at, message.into(), hint);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems in the order of the file.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found
            .sort_by(|a, b| (a.span.start, &a.path).cmp(&(b.span.start, &b.path)));
        self.found
    }

    fn add(
        &mut self,
        kind: ProblemKind,
        path: &str,
        at: At,
        message: String,
        hint: Option<String>,
    ) {
        self.found.push(Problem {
            kind,
            path: path.to_owned(),
            line: at.line,
            column: at.column,
            span: at.start..at.end,
            message,
            hint,
        });
    }
}
