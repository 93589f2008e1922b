//! Rules on the text of single files: headers, what must not stand in code, what must not stand in tests.
//!
//! Must not parse Rust: strings and comments are blanked, the rest is searched as text, and that is enough here.

use super::Finding;

/// Above this a file should be cut; only a warning, because the right cut is a matter of sense, not of count.
const LONG_FILE: usize = 1200;

/// Folders of the machine that somebody worked on; no file of the repository may depend on one.
const MACHINE_FOLDERS: [&str; 4] = ["root", "home", "work", "tmp"];

/// Crates that may print and end the process.
const PROGRAMS: [&str; 2] = ["crates/cli/", "xtask/"];

/// Lints that a crate outside [`PROGRAMS`] may not waive.
const PROGRAM_LINTS: [&str; 3] = [
    "clippy::print_stdout",
    "clippy::print_stderr",
    "clippy::exit",
];

/// All rules for one file; `path` is below the root.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = machine_paths(path, text);
    if path.ends_with(".rs") {
        let code = code_only(text);
        findings.extend(header(path, text));
        findings.extend(unfinished(path, &code));
        findings.extend(waiting(path, &code));
        findings.extend(waivers(path, &code));
    }
    findings
}

/// A warning for a file that has grown too long.
pub(super) fn length(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (path.ends_with(".rs") && lines > LONG_FILE)
        .then(|| Finding::new(path, 0, format!("has {lines} lines; look for a cut")))
}

/// The text with comments, string and character literals blanked, line by line in the same places.
pub(super) fn code_only(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let end = literal_end(&letters, at);
        if end > at {
            for letter in &letters[at..end] {
                code.push(if *letter == '\n' { '\n' } else { ' ' });
            }
            at = end;
        } else {
            code.push(letters[at]);
            at += 1;
        }
    }
    code
}

fn header(path: &str, text: &str) -> Option<Finding> {
    (!text.starts_with("//! ")).then(|| {
        Finding::new(
            path,
            1,
            "does not open with `//!`: what it is for, what it must not do",
        )
    })
}

fn unfinished(path: &str, code: &str) -> Vec<Finding> {
    [
        ("todo!", "unfinished code"),
        ("unimplemented!", "unfinished code"),
        (
            "#[ignore",
            "a test that does not run; make it run or remove it",
        ),
    ]
    .iter()
    .flat_map(|(pattern, why)| {
        lines_with(code, pattern)
            .map(move |line| Finding::new(path, line, format!("`{pattern}`: {why}")))
    })
    .collect()
}

/// Sleeping in a test hides a missing event, and makes it slow on one machine and flaky on another.
fn waiting(path: &str, code: &str) -> Vec<Finding> {
    let first_test_line = first_test_line(path, code);
    let blocking = lines_with(code, "thread::sleep").map(|line| {
        Finding::new(
            path,
            line,
            "`thread::sleep` blocks an executor; wait for the event",
        )
    });
    let in_tests = lines_with(code, "time::sleep")
        .filter(|line| first_test_line.is_some_and(|first| *line >= first))
        .map(|line| Finding::new(path, line, "a test must not sleep; wait for the event"));
    blocking.chain(in_tests).collect()
}

/// A waived lint of the architecture needs a reason, and printing cannot be waived in a library.
fn waivers(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_program = PROGRAMS.iter().any(|program| path.starts_with(program));
    for attribute in ["allow(", "expect("] {
        for (start, _) in code.match_indices(attribute) {
            // Only `#[allow(…)]` and `#![allow(…)]`, not a method of that name.
            if !code[..start].ends_with('[') {
                continue;
            }
            let end = code[start..].find(']').map_or(code.len(), |at| start + at);
            let waived = &code[start..end];
            let line = code[..start].matches('\n').count() + 1;
            if waived.contains("clippy::disallowed_") && !waived.contains("reason") {
                findings.push(Finding::new(
                    path,
                    line,
                    "a waiver of a `disallowed` lint needs `reason = \"…\"`",
                ));
            }
            let in_tests = first_test_line(path, code).is_some_and(|first| line >= first);
            if !is_program && !in_tests && PROGRAM_LINTS.iter().any(|lint| waived.contains(lint)) {
                findings.push(Finding::new(
                    path,
                    line,
                    "only the CLI and xtask print and exit",
                ));
            }
        }
    }
    findings
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    // Prose may tell of a path, and these two files name the paths that they look for.
    if path.ends_with(".md")
        || path == "xtask/src/tidy/source.rs"
        || path == "xtask/src/tidy/tests.rs"
    {
        return Vec::new();
    }
    MACHINE_FOLDERS
        .iter()
        .flat_map(|name| {
            let folder = format!("/{name}/");
            let lines: Vec<usize> = text
                .lines()
                .enumerate()
                .filter(|(_, line)| names_folder(line, &folder))
                .map(|(index, _)| index)
                .collect();
            lines.into_iter().map(move |index| {
                Finding::new(
                    path,
                    index + 1,
                    format!("names `{folder}`, a folder of one machine"),
                )
            })
        })
        .collect()
}

/// Whether an absolute path in the line starts with the folder; `usr/root/` and `$HOME/work/` do not.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        line[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && !"_-./}".contains(before))
    })
}

/// From where on a file is tests: all of it in a folder or file of tests or of benches, else from the first `#[cfg(test)]`.
fn first_test_line(path: &str, code: &str) -> Option<usize> {
    let is_tests = path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs");
    if is_tests {
        return Some(1);
    }
    // `#[cfg(test)] mod tests;` in the middle of a file declares tests elsewhere and opens nothing here.
    code.match_indices("#[cfg(test)]").find_map(|(at, _)| {
        let item = code[at..].split_once('\n').map_or("", |(_, rest)| rest);
        let declares = item
            .lines()
            .next()
            .is_some_and(|line| line.trim_end().ends_with(';'));
        (!declares).then(|| code[..at].matches('\n').count() + 1)
    })
}

fn lines_with<'text>(code: &'text str, pattern: &'text str) -> impl Iterator<Item = usize> + 'text {
    code.lines()
        .enumerate()
        .filter(move |(_, line)| line.contains(pattern))
        .map(|(index, _)| index + 1)
}

/// Where the comment or literal that starts at `at` ends, or `at` where none starts.
fn literal_end(letters: &[char], at: usize) -> usize {
    let next = letters.get(at + 1).copied();
    match letters[at] {
        '/' if next == Some('/') => find(letters, at, |letter| letter == '\n'),
        '/' if next == Some('*') => block_comment_end(letters, at),
        '"' => string_end(letters, at + 1),
        'r' if !follows_name(letters, at) => raw_string_end(letters, at),
        '\'' => character_end(letters, at),
        _ => at,
    }
}

fn find(letters: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    letters[from..]
        .iter()
        .position(|letter| stop(*letter))
        .map_or(letters.len(), |offset| from + offset)
}

fn block_comment_end(letters: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut here = at;
    while here < letters.len() {
        match (letters[here], letters.get(here + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                here += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                here += 2;
                if depth == 0 {
                    return here;
                }
            }
            _ => here += 1,
        }
    }
    letters.len()
}

fn string_end(letters: &[char], from: usize) -> usize {
    let mut here = from;
    while here < letters.len() {
        match letters[here] {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    letters.len()
}

/// `r"…"`, `r#"…"#`, and `br"…"` whose `b` stays behind as code, which harms nothing.
fn raw_string_end(letters: &[char], at: usize) -> usize {
    let open = find(letters, at + 1, |letter| letter != '#');
    if letters.get(open) != Some(&'"') {
        return at;
    }
    let hashes = open - at - 1;
    let mut here = open + 1;
    while here < letters.len() {
        let closes = letters[here] == '"'
            && letters.len() - here > hashes
            && letters[here + 1..=here + hashes]
                .iter()
                .all(|letter| *letter == '#');
        if closes {
            return here + 1 + hashes;
        }
        here += 1;
    }
    letters.len()
}

/// `'x'` and `'\n'`, but not the lifetime `'x`.
fn character_end(letters: &[char], at: usize) -> usize {
    match (letters.get(at + 1), letters.get(at + 2)) {
        (Some('\\'), _) => find(letters, at + 3, |letter| letter == '\'').saturating_add(1),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
    .min(letters.len())
}

fn follows_name(letters: &[char], at: usize) -> bool {
    // A `b` before makes it a raw byte string; any other letter makes it the end of a name.
    at > 0
        && (letters[at - 1].is_alphanumeric() || letters[at - 1] == '_')
        && letters[at - 1] != 'b'
}
