//! Makes two transcripts of the same story equal. Must not hide what a user would notice: only what differs by nature.
//!
//! - `[SPAN]`: a measured or remaining time, such as `0.3 s` or `4 min 27 s`, with the spaces that align it;
//! - `[TIME]`, `[DATE]`: a moment on the account's clock;
//! - `[PORT]`: a port of this machine;
//! - `[UUID]`, `[HEX]`, `[ID]`: an execution, a commit or a version or a task, an AWS id;
//! - `[DEPLOYMENT]`: a deployment of CodeDeploy;
//! - `[FOLDER]`: a temporary folder.
//!
//! Steps that run in parallel end in any order: their lines are sorted.

/// A transcript without what differs from run to run.
pub(crate) fn redact(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    let mut sorted = sort_blocks(lines, is_step).join("\n");
    sorted.push('\n');
    sorted
}

/// The same for real time, where two polls may fall before, between or behind two changes: of the lines of one `watch` only
/// the milestones stay, in any order, which `crates/deploy` holds in its own tests; and what a step of `up` was seen to wait
/// for goes, since on a slow machine it may have come by then.
pub(crate) fn redact_polls(text: &str) -> String {
    let redacted = redact(text);
    let waits = |line: &str| line.starts_with("  …") && is_step(line);
    let keep = |line: &&str| !waits(line) && (!line.starts_with("[TIME]") || is_milestone(line));
    let lines = redacted
        .lines()
        .filter(keep)
        .map(ToOwned::to_owned)
        .collect();
    let mut lines = sort_blocks(lines, |line| line.starts_with("[TIME]"));
    lines.push(String::new());
    lines.join("\n")
}

/// A stage, a lifecycle event, a deployment's or a pipeline's own state.
fn is_milestone(line: &str) -> bool {
    let rest = line.trim_start_matches("[TIME]");
    ["✓", "✗", "▸"]
        .iter()
        .any(|mark| rest.trim_start().starts_with(mark))
        || [" deployment ", " pipeline ", " following ", " sources:"]
            .iter()
            .any(|start| rest.starts_with(start))
}

/// `  ✓ subnet/public-a  created (…)` and the like.
fn is_step(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let mark = words
        .next()
        .is_some_and(|mark| ["✓", "✗", "…", "·"].contains(&mark));
    mark && line.starts_with("  ") && words.next().is_some_and(|key| key.contains('/'))
}

fn sort_blocks(lines: Vec<String>, within: impl Fn(&str) -> bool) -> Vec<String> {
    let mut sorted: Vec<String> = Vec::new();
    let mut block: Vec<String> = Vec::new();
    for line in lines {
        if within(&line) {
            block.push(line);
            continue;
        }
        block.sort();
        sorted.append(&mut block);
        sorted.push(line);
    }
    block.sort();
    sorted.append(&mut block);
    sorted
}

fn line(line: &str) -> String {
    let mut redacted = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
        let end = if in_word(first) {
            rest.find(|c| !in_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(end);
        redacted += &word(token);
        rest = after;
    }
    folders(&spans(&redacted))
}

fn word(token: &str) -> String {
    let bare = token.trim_end_matches(['.', ':', ',']);
    let tail = &token[bare.len()..];
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let hex = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
    };
    let parts: Vec<&str> = bare.split(':').collect();
    let name = match parts.as_slice() {
        [hour, minute, second]
            if [hour, minute, second]
                .iter()
                .all(|part| part.len() == 2 && digits(part)) =>
        {
            "[TIME]"
        }
        ["127.0.0.1", port] if digits(port) => "127.0.0.1:[PORT]",
        ["sha256", digest] if hex(digest) => "sha256:[HEX]",
        [whole] => {
            let groups: Vec<&str> = whole.split('-').collect();
            match groups.as_slice() {
                [a, b, c, d, e]
                    if [a, b, c, d, e].map(|group| group.len()) == [8, 4, 4, 4, 12]
                        && groups.iter().all(|g| hex(g)) =>
                {
                    "[UUID]"
                }
                [year, month, day]
                    if [year, month, day].map(|part| part.len()) == [4, 2, 2]
                        && groups.iter().all(|g| digits(g)) =>
                {
                    "[DATE]"
                }
                ["d", id] if id.len() == 9 && !id.chars().any(|c| c.is_ascii_lowercase()) => {
                    "[DEPLOYMENT]"
                }
                [.., id] if groups.len() > 1 && id.len() == 17 && hex(id) => "[ID]",
                [id] if id.len() >= 8 && hex(id) && !(id.len() == 12 && digits(id)) => "[HEX]",
                _ => bare,
            }
        }
        _ => bare,
    };
    format!("{name}{tail}")
}

/// `4 min 27 s` is `[SPAN]`, and so is `  71 s`.
fn spans(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let mut redacted: Vec<String> = Vec::new();
    let number = |text: &str| text.trim_start_matches('(').parse::<f64>().is_ok();
    while !words.is_empty() {
        let unit = words
            .get(1)
            .map(|unit| unit.trim_end_matches([')', ',', '.']));
        let is_span =
            number(words[0]) && unit.is_some_and(|unit| ["s", "min", "h", "ms"].contains(&unit));
        if !is_span {
            redacted.push(words.remove(0).to_owned());
            continue;
        }
        let (open, tail) = (
            words[0].starts_with('('),
            words[1].trim_start_matches(char::is_alphabetic).to_owned(),
        );
        words.drain(..2);
        let before = redacted
            .iter()
            .rposition(|word| !word.is_empty())
            .filter(|at| redacted[*at].ends_with("[SPAN]"));
        match before {
            Some(at) => redacted[at] += &tail,
            None => {
                while redacted.last().is_some_and(String::is_empty) {
                    redacted.pop();
                }
                redacted.push(format!("{}[SPAN]{tail}", if open { "(" } else { "" }));
            }
        }
    }
    redacted.join(" ")
}

fn folders(line: &str) -> String {
    let temporary = std::env::temp_dir();
    let mut line = line.to_owned();
    while let Some(start) = line.find(&*temporary.to_string_lossy()) {
        let length = line[start..]
            .find([' ', '`', ':', ','])
            .unwrap_or(line.len() - start);
        line.replace_range(start..start + length, "[FOLDER]");
    }
    line
}

#[test]
fn what_differs_by_nature_is_redacted() {
    for (text, want) in [
        (
            "  ✓ vpc/main   created (0.1 s)",
            "  ✓ vpc/main   created ([SPAN])",
        ),
        (
            "  up      1.3 s here,    4 min 27 s in the account",
            "  up [SPAN] here, [SPAN] in the account",
        ),
        (
            "00:05:54 deployment d-19A90F21F of hello:2",
            "[TIME] deployment [DEPLOYMENT] of hello:2",
        ),
        (
            "http://127.0.0.1:36097/v1/repos/hello",
            "http://127.0.0.1:[PORT]/v1/repos/hello",
        ),
        (
            "execution 5cab0aac-99fa-4007-8e9f-aeaa5a062190, 111122223333",
            "execution [UUID], 111122223333",
        ),
        (
            "Source e8c9612f \"Hello\", nat-0123456789abcdef0.",
            "Source [HEX] \"Hello\", [ID].",
        ),
        (
            "hello-blue: 0 of 1 healthy (until 01:07:33)",
            "hello-blue: 0 of 1 healthy (until [TIME])",
        ),
    ] {
        assert_eq!(redact(text), format!("{want}\n"));
    }
    assert_eq!(redact("  ✓ b/x\n  ✓ a/x\nend"), "  ✓ a/x\n  ✓ b/x\nend\n");
}
