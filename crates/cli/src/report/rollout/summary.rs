//! A rollout as a piece of Markdown for the page that sums up a run. Pure. Must not judge.

use std::fmt::Write as _;

use ecspipe_deploy::Timestamp;

use super::course::{self, Course, Span, Told};
use super::picture::{Picture, State};
use super::{Tone, Words, log_title};
use crate::report::console_links::Link;
use crate::report::style;

/// The summary of a rollout of `app`.
pub(crate) fn summary(
    app: &str,
    words: &Words,
    picture: &Picture,
    told: &[Told],
    links: &[Link],
    now: Timestamp,
) -> String {
    let mark = match words.tone {
        Tone::Good => "✅",
        Tone::Bad => "❌",
        Tone::Waiting => "⏳",
    };
    let mut text = format!("### {mark} {}: {}\n\n", cell(app), cell(&words.line));
    if !words.details.is_empty() {
        for detail in &words.details {
            let _ = writeln!(text, "- {}", cell(detail));
        }
        text.push('\n');
    }
    if let Some(next) = &words.next {
        let _ = writeln!(text, "{}\n", prose(next));
    }
    let spans = course::spans(picture, told);
    if !spans.is_empty() {
        text.push_str("| | Step | Began | Took |\n|---|---|---|---|\n");
        for span in &spans {
            row(&mut text, span, now);
        }
        text.push('\n');
    }
    if let Some(said) = &picture.said {
        let lines: Vec<&str> = said.lines.iter().map(|line| line.trim_end()).collect();
        let fence = fence(&lines);
        let _ = writeln!(
            text,
            "{}\n\n{fence}text\n{}\n{fence}\n",
            cell(&log_title(&said.source)),
            lines.join("\n")
        );
    }
    if !links.is_empty() {
        let each = links
            .iter()
            .map(|link| format!("[{}]({})", cell(&link.name), link.url));
        let _ = writeln!(text, "Consoles: {}\n", each.collect::<Vec<_>>().join(" · "));
    }
    text
}

fn row(text: &mut String, span: &Span, now: Timestamp) {
    let mark = match &span.course {
        Course::Step(State::Done) => "✅",
        Course::Step(State::Failed) => "❌",
        Course::Step(State::Open) | Course::Wait if span.to.is_none() => "⏳",
        Course::Wait => "⏸",
        Course::Step(_) => "▪",
    };
    let name = match span.of.as_str() {
        "" => format!("**{}**", cell(&span.name)),
        of => format!("{} <sub>{}</sub>", cell(&span.name), cell(of)),
    };
    let took = span.to.unwrap_or(now).duration_since(span.from);
    let took = std::time::Duration::try_from(took)
        .map(style::span)
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "| {mark} | {name} | {} | {took} |",
        span.from.strftime("%H:%M:%S")
    );
}

/// Text in a cell or a heading: on one line, with nothing that Markdown or HTML obeys.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut cell = String::new();
    for c in words.join(" ").chars() {
        match c {
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            '|' | '*' | '_' | '[' | ']' | '`' | '\\' | '#' => cell.extend(['\\', c]),
            c if c.is_control() => cell.push('·'),
            c => cell.push(c),
        }
    }
    cell
}

/// Our own words, in which commands stand between backticks.
fn prose(text: &str) -> String {
    text.split('`')
        .enumerate()
        .map(|(at, part)| match at % 2 {
            0 => cell_with_spaces(part),
            _ => format!("`{part}`"),
        })
        .collect()
}

fn cell_with_spaces(part: &str) -> String {
    let space = |is: bool| if is { " " } else { "" };
    let (before, after) = (part.starts_with(' '), part.ends_with(' ') && part.len() > 1);
    format!("{}{}{}", space(before), cell(part), space(after))
}

/// A fence that is longer than any within the lines.
fn fence(lines: &[&str]) -> String {
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|c| c != '`'))
        .map(str::len)
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}
