//! What build services understand beyond text: groups of lines that fold, annotations, a summary. Must not know what is told.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use ecspipe_deploy::Timestamp;

use crate::world::World;

/// The build service in which the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ci {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI/CD.
    GitLab,
    /// CodeBuild, which has text alone, or none at all.
    Plain,
}

/// How bad an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grade {
    /// The run fails for it.
    Error,
    /// Somebody has to do something.
    Warning,
}

/// Where in a file something is wrong; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot<'a> {
    /// The file.
    pub(crate) file: &'a Path,
    /// The line; `None`: the file as a whole.
    pub(crate) line: Option<usize>,
    /// The column.
    pub(crate) column: Option<usize>,
}

impl Ci {
    /// The build service, by the variables that it sets.
    pub(crate) fn of(world: &World) -> Self {
        let is_set = |name| world.var(name).is_some_and(|value| value != "false");
        if is_set("GITHUB_ACTIONS") {
            Self::GitHub
        } else if is_set("GITLAB_CI") {
            Self::GitLab
        } else {
            Self::Plain
        }
    }

    /// Begins a group: what comes next can be folded under its name.
    pub(crate) fn open(self, world: &World, name: &str, at: Timestamp) {
        match self {
            Self::GitHub => world.err(format!("::group::{}", data(name))),
            Self::GitLab => world.err(format!(
                "\x1b[0Ksection_start:{}:{}[collapsed=false]\r\x1b[0K{name}",
                at.as_second(),
                section(name)
            )),
            Self::Plain => {}
        }
    }

    /// Ends the group.
    pub(crate) fn close(self, world: &World, name: &str, at: Timestamp) {
        match self {
            Self::GitHub => world.err("::endgroup::"),
            Self::GitLab => world.err(format!(
                "\x1b[0Ksection_end:{}:{}\r\x1b[0K",
                at.as_second(),
                section(name)
            )),
            Self::Plain => {}
        }
    }

    /// Puts a message where people look first: beside the code, and on the run's own page.
    pub(crate) fn annotate(
        self,
        world: &World,
        grade: Grade,
        spot: Option<Spot<'_>>,
        title: &str,
        message: &str,
    ) {
        if self != Self::GitHub {
            return;
        }
        let mut properties = Vec::new();
        if let Some(spot) = spot {
            properties.push(format!(
                "file={}",
                property(&in_workspace(world, spot.file))
            ));
            properties.extend(spot.line.map(|line| format!("line={line}")));
            properties.extend(spot.column.map(|column| format!("col={column}")));
        }
        properties.push(format!("title={}", property(title)));
        let grade = match grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
        };
        world.err(format!(
            "::{grade} {}::{}",
            properties.join(","),
            data(message)
        ));
    }

    /// Adds to the page that sums up the run. A run is not to fail because its summary can't be written: that is said.
    pub(crate) fn sum_up(self, world: &World, markdown: &str) {
        let Some(file) = world
            .var("GITHUB_STEP_SUMMARY")
            .filter(|_| self == Self::GitHub)
        else {
            return;
        };
        let path = world.path(file);
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = opened.and_then(|mut file| file.write_all(markdown.as_bytes())) {
            world.err(format!(
                "the summary can't be written to {}: {error}",
                path.display()
            ));
        }
    }
}

/// GitHub finds a file by its path in the repository.
fn in_workspace(world: &World, file: &Path) -> String {
    let full = world.path(file);
    let short = world
        .var("GITHUB_WORKSPACE")
        .and_then(|root| full.strip_prefix(root).ok());
    short.unwrap_or(file).display().to_string()
}

/// The message of a workflow command: a line's end would end it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command, which a colon or a comma would end too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// GitLab takes letters, digits, and few marks.
fn section(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.chars()
        .map(|c| {
            if is_plain(c) {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn github(
        change: impl FnOnce(&mut World),
    ) -> (World, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
        let err = std::sync::Arc::default();
        let folder = std::path::PathBuf::from("/repo/apps/web");
        let mut world = World::for_test(
            folder,
            std::sync::Arc::default(),
            std::sync::Arc::clone(&err),
        );
        world
            .env
            .insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
        change(&mut world);
        (world, err)
    }

    /// Whatever a message or a name holds, it stays within its command.
    #[test]
    fn what_would_end_a_command_is_escaped() {
        let (world, err) = github(|world| {
            world
                .env
                .insert("GITHUB_WORKSPACE".to_owned(), "/repo".to_owned());
        });
        let spot = Spot {
            file: Path::new("a,b:c.yaml"),
            line: Some(3),
            column: Some(7),
        };
        let ci = Ci::of(&world);
        ci.annotate(
            &world,
            Grade::Error,
            Some(spot),
            "a, b: c",
            "100 % of\r\nit::end",
        );
        ci.open(&world, "Deploy\n::error::no", Timestamp::UNIX_EPOCH);
        let text = String::from_utf8(err.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "::error file=apps/web/a%2Cb%3Ac.yaml,line=3,col=7,title=a%2C b%3A c::100 %25 of%0D%0Ait::end\n\
             ::group::Deploy%0A::error::no\n"
        );
    }
}
