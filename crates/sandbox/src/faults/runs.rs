//! How the command of a one-off task ends: the sandbox runs no commands, so a dial says. Must not run a task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a command ends. In JSON all may be left out: `{"exit_code": 2, "after": 30, "log": ["cannot reach the database"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunEnd {
    /// The exit code, 0 to 255.
    pub exit_code: u8,
    /// Seconds after the start.
    pub after: u32,
    /// Lines of its log.
    pub log: Vec<String>,
}

/// By a part of the command, its words joined by spaces, or `*` for every command.
pub type ByCommand = BTreeMap<String, RunEnd>;

/// A command that nothing is said about ends well, after as long as a small one takes.
impl Default for RunEnd {
    fn default() -> Self {
        Self {
            exit_code: 0,
            after: 10,
            log: Vec::new(),
        }
    }
}
