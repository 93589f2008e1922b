//! What is wrong with a spec, shown at its place in the file. Must not find problems: the parser does.

use std::fmt;
use std::path::Path;

use ecspipe_spec::Problem;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::ci::{Ci, Grade, Spot};
use super::style::Style;
use crate::args::{Format, Global};
use crate::exit::{Exit, Failure};
use crate::world::World;

/// Who has more to correct starts at the top anyway, and the first must not scroll away.
const MOST: usize = 20;

/// A longer line is no help on a screen.
const LONGEST_LINE: usize = 1000;

/// Every problem of the spec `file` with the content `text`, as the end of a command.
pub(crate) fn failure(
    file: &Path,
    text: &str,
    problems: &[Problem],
    world: &World,
    global: &Global,
) -> Failure {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let message = format!("{} has {count}", file.display());
    annotate(file, problems, world);
    let details = match global.format {
        Format::Human => drawings(file, text, problems, world, global),
        Format::Json => problems
            .iter()
            .filter_map(|problem| serde_json::to_string(problem).ok())
            .collect(),
    };
    Failure {
        exit: Exit::Spec,
        message,
        details,
        hint: None,
    }
}

/// GitHub shows ten annotations of a step: the last one says how many problems there are.
const ANNOTATED: usize = 9;

fn annotate(file: &Path, problems: &[Problem], world: &World) {
    for problem in problems.iter().take(ANNOTATED) {
        let spot = Spot {
            file,
            line: Some(problem.line),
            column: Some(problem.column),
        };
        let title = match problem.path.as_str() {
            "" => "ecspipe",
            path => path,
        };
        let hint = problem.hint.as_ref().map(|hint| format!("\nhelp: {hint}"));
        let message = format!("{}{}", problem.message, hint.unwrap_or_default());
        Ci::of(world).annotate(world, Grade::Error, Some(spot), title, &message);
    }
}

fn drawings(
    file: &Path,
    text: &str,
    problems: &[Problem],
    world: &World,
    global: &Global,
) -> Vec<String> {
    let theme = match Style::of(world, global).is_on() {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(world.width)
        .with_links(false);
    let name = file.display().to_string();
    let text = harmless(text);
    let mut drawn = Vec::new();
    for problem in problems.iter().take(MOST) {
        let shown = Shown {
            problem,
            name: &name,
            text: &text,
        };
        // An empty line before each: they are read one by one.
        drawn.extend([String::new(), draw(&handler, &shown)]);
    }
    if problems.len() > MOST {
        let more = problems.len() - MOST;
        let line = format!("  … and {more} more; `--format json` lists them all");
        drawn.extend([String::new(), line]);
    }
    drawn
}

fn draw(handler: &GraphicalReportHandler, shown: &Shown<'_>) -> String {
    let mut drawn = String::new();
    match handler.render_report(&mut drawn, shown) {
        Ok(()) => drawn,
        // The drawing is only the better form of the same sentence.
        Err(fmt::Error) => format!("  {}:{}", shown.name, shown.problem),
    }
}

/// The text with nothing in it that a terminal obeys, each character as long as before, so that every place stays right.
fn harmless(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        '\u{80}'..='\u{9f}' => '·',
        // Marks that turn the direction of writing can make a line read as something else.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(replace).collect()
}

/// A problem as miette draws it.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    name: &'a str,
    text: &'a str,
}

impl Shown<'_> {
    /// What to underline: within one line, since a block that reaches over half the file marks nothing.
    fn place(&self) -> Option<SourceSpan> {
        let span = &self.problem.span;
        let start = (0..=span.start.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))?;
        if span.is_empty() && start == 0 {
            return None;
        }
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        if line.len() > LONGEST_LINE {
            return None;
        }
        let line_end = line_start + line.trim_end().len();
        let end = span.end.min(line_end).max(start);
        Some((start, end - start).into())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            path,
            line,
            column,
            message,
            ..
        } = self.problem;
        // Where the file isn't shown, the place must be said.
        if self.place().is_none() && !self.text.trim().is_empty() {
            write!(f, "{}:{line}:{column}: ", self.name)?;
        }
        if !path.is_empty() {
            write!(f, "{}: ", harmless(path))?;
        }
        f.write_str(&harmless(message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem
            .hint
            .as_ref()
            .map(|hint| Box::new(harmless(hint)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(None, self.place()?);
        Some(Box::new(std::iter::once(label)))
    }
}

impl SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text.read_span(span, before, after)?;
        // miette counts columns in bytes; an editor, and the problem, count characters.
        let (line, column) = match (before, after) {
            (0, 0) => (
                self.problem.line.saturating_sub(1),
                self.problem.column.saturating_sub(1),
            ),
            _ => (contents.line(), contents.column()),
        };
        let name = self.name.to_owned();
        let found = MietteSpanContents::new_named(
            name,
            contents.data(),
            *contents.span(),
            line,
            column,
            contents.line_count(),
        );
        Ok(Box::new(found))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use snapbox::{assert_data_eq, str};

    use crate::testing::{Transcript, run};

    async fn check(spec: &[u8], args: &[&str]) -> Transcript {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ecspipe.yaml"), spec).unwrap();
        let args: Vec<&str> = ["render", "--resolved"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let have = run(folder.path(), &args, |_| {}).await;
        assert_eq!((have.code, have.out.as_str()), (3, ""));
        have
    }

    #[tokio::test]
    async fn three_problems() {
        let spec = "version: 1\napp: web\nservice:\n  prot: 8080\n  # größer\n  environment: { Ä: ü, B: [1] }\n";
        assert_data_eq!(
            check(spec.as_bytes(), &[]).await.err,
            str![[r#"
error: ecspipe.yaml has 4 problems

  × service.port: `port` is missing
   ╭─[ecspipe.yaml:3:1]
 2 │ app: web
 3 │ service:
   · ───────
 4 │   prot: 8080
   ╰────

  × service.prot: `prot` is not a key here
   ╭─[ecspipe.yaml:4:3]
 3 │ service:
 4 │   prot: 8080
   ·   ────
 5 │   # größer
   ╰────
  help: did you mean `port`?

  × service.environment.Ä: `Ä` is not a name for an environment variable
   ╭─[ecspipe.yaml:6:18]
 5 │   # größer
 6 │   environment: { Ä: ü, B: [1] }
   ·                  ─
   ╰────
  help: letters, digits, `_`, `-` and `.`, not starting with a digit, at most 255

  × service.environment.B: want text, a number or a truth value, have a list
   ╭─[ecspipe.yaml:6:24]
 5 │   # größer
 6 │   environment: { Ä: ü, B: [1] }
   ·                        ─
   ╰────

"#]]
        );
    }

    #[tokio::test]
    async fn for_programs() {
        let spec = "version: 1\napp: web\nservice: { port: 0 }\n";
        let have = check(spec.as_bytes(), &["--format", "json"]).await.err;
        let mut lines = have.lines();
        assert_eq!(lines.next(), Some("error: ecspipe.yaml has 1 problem"));
        let problem: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(problem["path"], "service.port");
        assert_eq!(lines.next(), None);
    }

    #[tokio::test]
    async fn files_that_are_no_spec() {
        let mut all = String::new();
        for spec in [
            b"".as_slice(),
            b"version: 1\nnetwork: [\n",
            b"# only\r\n# words\r\n",
            b"version: 1\napp: \xff\n",
            b"version: 1\r\napp: web\r\nservice: {\r\n  port: 0 }\r\n",
        ] {
            all.push_str(&check(spec, &[]).await.err);
        }
        assert_data_eq!(
            all,
            str![[r#"
error: ecspipe.yaml has 1 problem

  × the file is empty
  help: the shortest spec is `version: 1`, `app: NAME` and `service: { port: PORT }`
error: ecspipe.yaml has 1 problem

  × not valid YAML: unclosed bracket '['
   ╭─[ecspipe.yaml:2:10]
 1 │ version: 1
 2 │ network: [
   ·          ─
   ╰────
error: ecspipe.yaml has 1 problem

  × ecspipe.yaml:1:1: the file is empty
  help: the shortest spec is `version: 1`, `app: NAME` and `service: { port: PORT }`
error: ecspipe.yaml is not UTF-8 text (byte 16)
hint: save it as UTF-8
error: ecspipe.yaml has 1 problem

  × service.port: 0 is not a port
   ╭─[ecspipe.yaml:4:9]
 3 │ service: { 
 4 │   port: 0 } 
   ·         ─
   ╰────
  help: from 1 to 65535

"#]]
        );
    }

    #[tokio::test]
    async fn colour_only_where_it_is_wanted() {
        let spec = b"version: 1\napp: web\nservice: { port: 0 }\n";
        assert!(!check(spec, &[]).await.err.contains('\u{1b}'));
        assert!(
            check(spec, &["--color", "always"])
                .await
                .err
                .contains('\u{1b}')
        );
    }

    /// What the file holds must not reach the terminal as a command to it.
    #[tokio::test]
    async fn a_hostile_file() {
        let spec = "version: 1\napp: web\n\"\\e[2J\\u009b\": 1\nservice: { port: 0 }\n";
        assert!(
            !check(spec.as_bytes(), &[])
                .await
                .err
                .contains(['\u{1b}', '\u{9b}'])
        );
        let long = format!(
            "version: 1\napp: web\nservice: {{ port: 0 }} # {}\n",
            "x".repeat(5000)
        );
        let have = check(long.as_bytes(), &[]).await.err;
        assert!(
            have.len() < 500 && have.contains("ecspipe.yaml:3:18: service.port: 0 is not a port"),
            "{have}"
        );
        let many: String = (0..100).map(|n| format!("key{n}: 1\n")).collect();
        let have = check(
            format!("version: 1\napp: web\nservice: {{ port: 1 }}\n{many}").as_bytes(),
            &[],
        )
        .await
        .err;
        assert!(
            have.ends_with("  … and 80 more; `--format json` lists them all\n"),
            "{have}"
        );
    }

    #[tokio::test]
    async fn no_file() {
        let folder = tempfile::tempdir().unwrap();
        let have = run(folder.path(), &["render", "--file", "web.yaml"], |_| {}).await;
        let err = "error: there is no web.yaml here\nhint: write one with `ecspipe init`, or name it with `--file`\n".to_owned();
        assert_eq!(
            have,
            Transcript {
                code: 2,
                out: String::new(),
                err
            }
        );
    }
}
