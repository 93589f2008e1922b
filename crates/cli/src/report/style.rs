//! Colour, where there is any. Must not print.

use console::Style as Ink;

use crate::args::{Colour, Global};
use crate::world::World;

/// How words are marked.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    /// Colour as the user wants it: `--color`, NO_COLOR, a terminal.
    pub(crate) fn of(world: &World, global: &Global) -> Self {
        let on = match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => world.live && world.var("NO_COLOR").is_none(),
        };
        Self { on }
    }

    /// Whether there is any colour.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn good(&self, text: &str) -> String {
        self.paint(text, Ink::new().green())
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        self.paint(text, Ink::new().red().bold())
    }

    pub(crate) fn change(&self, text: &str) -> String {
        self.paint(text, Ink::new().yellow())
    }

    pub(crate) fn note(&self, text: &str) -> String {
        self.paint(text, Ink::new().cyan())
    }

    pub(crate) fn strong(&self, text: &str) -> String {
        self.paint(text, Ink::new().bold())
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.paint(text, Ink::new().dim())
    }

    fn paint(&self, text: &str, ink: Ink) -> String {
        if self.on {
            ink.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }
}

/// `0.4 s`, `12 s`, `2 min 05 s`: as exact as it is worth.
pub(crate) fn span(span: std::time::Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// How wide prose is, so that it reads well in any terminal.
const WIDTH: usize = 80;

/// `text` in lines of at most 80 characters; the first begins with `start`, the others are indented as far.
pub(crate) fn paragraph(text: &str, start: &str) -> Vec<String> {
    let indent = " ".repeat(start.chars().count());
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(start)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}
