//! The block of lines at the end of a terminal that is drawn anew again and again: what to write for it. Nothing that is written
//! changes the terminal for longer than the write itself lasts, so there is nothing to restore however the process ends. Must not
//! write by itself, or know what is drawn.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use console::{measure_text_width, truncate_str};

/// What a terminal shows whole or not at all, where it knows the mark; the cursor is not seen to jump.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?2026l";
const CLEAR_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Set by a panic: from then on nothing is drawn over what it says.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// What is drawn at the end of a terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    drawn: Vec<String>,
    /// [`PANICKED`].
    panicked: &'static AtomicBool,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            drawn: Vec::new(),
            panicked: &PANICKED,
        }
    }
}

impl Screen {
    /// What puts `lines` in the place of what is drawn; nothing where they are that.
    pub(crate) fn draw(&mut self, lines: &[String], columns: usize) -> String {
        heed_panics();
        // A line in the last column leaves the cursor where terminals don't agree.
        let room = columns.saturating_sub(1).max(1);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| truncate_str(line, room, "…").into_owned())
            .collect();
        if lines == self.drawn || self.panicked.load(Ordering::Relaxed) {
            return String::new();
        }
        let text = self.instead(&lines, columns);
        self.drawn = lines;
        text
    }

    /// What puts a line above what is drawn.
    pub(crate) fn above(&mut self, line: &str, columns: usize) -> String {
        if self.panicked.load(Ordering::Relaxed) {
            self.drawn.clear();
        }
        if self.drawn.is_empty() {
            return format!("{line}\n");
        }
        let drawn = self.drawn.clone();
        let lines: Vec<String> = line
            .split('\n')
            .map(ToOwned::to_owned)
            .chain(drawn)
            .collect();
        self.instead(&lines, columns)
    }

    /// What is drawn stays; what puts the next line below it. The terminal has written `^C` there, if it was that.
    pub(crate) fn leave(&mut self) -> String {
        match std::mem::take(&mut self.drawn).is_empty() {
            true => String::new(),
            false => format!("\r{CLEAR_BELOW}"),
        }
    }

    fn instead(&self, lines: &[String], columns: usize) -> String {
        let mut text = String::from(BEGIN);
        match self.rows(columns) {
            0 => {}
            rows => text.push_str(&format!("\x1b[{rows}A\r")),
        }
        for line in lines {
            text.push_str(line);
            text.push_str(CLEAR_LINE_END);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        text.push_str(END);
        text
    }

    /// How many rows of the terminal are taken: one that became narrower wraps what was drawn before.
    fn rows(&self, columns: usize) -> usize {
        let rows = |line: &String| measure_text_width(line).div_ceil(columns.max(1)).max(1);
        self.drawn.iter().map(rows).sum()
    }
}

/// A panic says its words below what is drawn, and they stay.
fn heed_panics() {
    static HEED: Once = Once::new();
    HEED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::Relaxed);
            before(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of a terminal as is written for: what it shows, line by line, and where the cursor is.
    #[derive(Default)]
    struct Terminal {
        lines: Vec<String>,
        row: usize,
        hidden: bool,
    }

    impl Terminal {
        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some(first) = rest.chars().next() {
                if let Some(code) = rest.strip_prefix("\x1b[") {
                    let end = code.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
                    self.obey(&code[..end], &code[end..=end]);
                    rest = &code[end + 1..];
                } else if first == '\n' || first == '\r' {
                    self.row += usize::from(first == '\n');
                    self.line();
                    rest = &rest[1..];
                } else {
                    let end = rest.find(['\x1b', '\n', '\r']).unwrap_or(rest.len());
                    *self.line() = rest[..end].to_owned();
                    rest = &rest[end..];
                }
            }
        }

        fn line(&mut self) -> &mut String {
            if self.lines.len() <= self.row {
                self.lines.resize(self.row + 1, String::new());
            }
            &mut self.lines[self.row]
        }

        fn obey(&mut self, number: &str, letter: &str) {
            match (number, letter) {
                ("?25", "l") => self.hidden = true,
                ("?25", "h") => self.hidden = false,
                ("?2026", _) | ("", "K") => {}
                ("", "J") => self.lines.truncate(self.row),
                (rows, "A") => self.row -= rows.parse().unwrap_or(0),
                other => unreachable!("{other:?}"),
            }
        }
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn what_is_drawn_is_replaced_and_what_is_said_stays() {
        let mut screen = Screen::default();
        let mut terminal = Terminal::default();
        terminal.write(&screen.above("before", 80));
        terminal.write(&screen.draw(&lines("one\ntwo\nthree"), 80));
        assert_eq!(terminal.lines.join("|"), "before|one|two|three");
        assert_eq!(terminal.row, 4, "the cursor stands below");
        terminal.write(&screen.draw(&lines("1\n2"), 80));
        terminal.write(&screen.above("said\nmore", 80));
        terminal.write(&screen.draw(&lines("1\n2\n3"), 80));
        assert_eq!(terminal.lines.join("|"), "before|said|more|1|2|3");
        assert_eq!(screen.draw(&lines("1\n2\n3"), 80), "", "nothing is new");
        terminal.write("^C");
        terminal.write(&screen.leave());
        terminal.write(&screen.above("after", 80));
        assert_eq!(terminal.lines.join("|"), "before|said|more|1|2|3|after|");
        assert_eq!(screen.leave(), "", "nothing is drawn");
        assert!(!terminal.hidden);
    }

    /// Whatever was written last when the process ends: the cursor is seen, and stands below.
    #[test]
    fn every_write_leaves_the_terminal_as_it_was() {
        let mut screen = Screen::default();
        let mut terminal = Terminal::default();
        let writes = [
            screen.draw(&lines("1\n2"), 80),
            screen.above("said", 80),
            screen.draw(&lines("1"), 80),
            screen.leave(),
        ];
        for write in writes {
            assert!(!write.is_empty());
            terminal.write(&write);
            assert!(!terminal.hidden, "{write:?}");
            assert!(terminal.row + 1 >= terminal.lines.len(), "{write:?}");
        }
    }

    /// A panic has said why: nothing is drawn over that, and what is still said comes below.
    #[test]
    fn nothing_is_drawn_after_a_panic() {
        static PANICKED: AtomicBool = AtomicBool::new(false);
        let mut screen = Screen {
            panicked: &PANICKED,
            ..Screen::default()
        };
        assert_ne!(screen.draw(&lines("1\n2"), 80), "");
        PANICKED.store(true, Ordering::Relaxed);
        assert_eq!(screen.draw(&lines("1\n2\n3"), 80), "");
        assert_eq!(screen.above("left", 80), "left\n");
        assert_eq!(screen.leave(), "");
    }

    /// A line that was as wide as the terminal takes two rows once that is narrower.
    #[test]
    fn a_terminal_that_becomes_narrower() {
        let mut screen = Screen::default();
        screen.draw(&["x".repeat(79), "short".to_owned()], 80);
        let text = screen.draw(&lines("1"), 40);
        assert!(text.contains("\x1b[3A"), "{text:?}");
        let text = screen.draw(&["x".repeat(79)], 40);
        assert!(text.contains(&format!("{}…", "x".repeat(38))), "{text:?}");
    }
}
