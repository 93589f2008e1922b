//! The tree of a rollout on a real terminal: tmux holds the pseudo-terminal, and tells what it shows. Left out where there is no tmux.

use std::io::{BufRead as _, BufReader, Split, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::account::{Account, SPEC};

/// A terminal with a command in it.
struct Terminal {
    tmux: Child,
    ask: ChildStdin,
    lines: Split<BufReader<ChildStdout>>,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// `None`, said, where there is no tmux.
    fn start(columns: usize, rows: usize, args: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ecspipe.yaml"), SPEC).unwrap();
        let binary = env!("CARGO_BIN_EXE_ecspipe");
        // Ctrl-C is for the command alone; what comes after it shows that it has ended, how, and that lines go where they belong.
        let command = format!(
            "trap : INT; echo before; '{binary}' {}; echo \"ended with $?\"; exec cat",
            args.join(" ")
        );
        let started = Command::new("tmux")
            .arg("-S")
            .arg(folder.path().join("tmux"))
            .args(["-f", "/dev/null", "-u", "-C", "new-session"])
            .args(["-x", &columns.to_string(), "-y", &rows.to_string()])
            .arg(command)
            .current_dir(folder.path())
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut tmux = match started {
            Ok(tmux) => tmux,
            Err(error) => {
                let _ = writeln!(
                    std::io::stdout(),
                    "skipped: the tree on a terminal: tmux: {error}"
                );
                return None;
            }
        };
        let ask = tmux.stdin.take().unwrap();
        let lines = BufReader::new(tmux.stdout.take().unwrap()).split(b'\n');
        let mut terminal = Self {
            tmux,
            ask,
            lines,
            folder,
        };
        // The answer to the command that began the session.
        terminal.answer();
        Some(terminal)
    }

    /// What the screen shows, as soon as that is `right`. Looked at whenever something is written.
    fn shows(&mut self, what: &str, right: impl Fn(&str) -> bool) -> String {
        loop {
            let screen = self.screen();
            if right(&screen) {
                return screen;
            }
            // Nothing more will be written.
            assert!(
                !screen.contains("ended with "),
                "it never showed {what}:\n{screen}"
            );
            let written = self.lines.by_ref().map(line);
            let mut written = written.take_while(|line| !line.starts_with("%exit"));
            if !written.any(|line| line.starts_with("%output")) {
                panic!("it never showed {what}:\n{screen}");
            }
        }
    }

    fn screen(&mut self) -> String {
        self.tell("capture-pane -p").join("\n")
    }

    /// Gives tmux a command, and its answer.
    fn tell(&mut self, command: &str) -> Vec<String> {
        writeln!(self.ask, "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Vec<String> {
        let mut lines = self.lines.by_ref().map(line);
        lines.by_ref().find(|line| line.starts_with("%begin "));
        let is_end = |line: &String| line.starts_with("%end ") || line.starts_with("%error ");
        lines.take_while(|line| !is_end(line)).collect()
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        let answer = self.tell(&format!("resize-window -x {columns} -y {rows}"));
        assert!(answer.is_empty(), "{answer:?}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let ended = Command::new("tmux")
            .arg("-S")
            .arg(self.folder.path().join("tmux"))
            .arg("kill-server")
            .stderr(Stdio::null())
            .status();
        let _ = ended.and_then(|_| self.tmux.wait());
    }
}

/// What a process writes may come in pieces that end within a character; what the screen shows is whole.
fn line(bytes: std::io::Result<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.unwrap()).into_owned()
}

fn widest(screen: &str) -> usize {
    let widths = screen.lines().map(|line| line.trim_end().chars().count());
    widths.max().unwrap_or(0)
}

/// What is there of a rollout that waits, from above.
const TREE: [&str; 6] = [
    "deployment d-",
    "waiting for `ecspipe reroute`",
    "old tasks",
    "new tasks",
    "production ",
    "test ",
];

/// Everything is there once, in its order, within the columns: nothing of an earlier drawing is left.
fn is_whole(screen: &str, columns: usize) -> bool {
    let places = TREE.map(|mark| {
        let mut lines = screen
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(mark));
        match (lines.next(), lines.next()) {
            (Some((at, _)), None) => Some(at),
            _ => None,
        }
    });
    places[0].is_some() && places.is_sorted() && widest(screen) < columns
}

/// Drawn in sixty columns, in eighty, in a hundred and sixty, in eighty again, and left with Ctrl-C: the terminal is as it was, with what
/// was drawn last.
#[test]
fn a_tree_that_is_resized_and_left() {
    let account = Account::new("60");
    let mut up = account.run(&["up", "--yes"]);
    assert_eq!(up.ends(), Some(0), "{}", up.told());
    let sandbox = format!("--sandbox={}", account.port);
    let args = ["deploy", "--image", "nginx:1.27", &sandbox];
    let Some(mut terminal) = Terminal::start(60, 30, &args) else {
        return;
    };
    let mut before = 0;
    for columns in [60, 80, 160] {
        terminal.resize(columns, 30);
        let screen = terminal.shows(&format!("the wait in {columns} columns"), |screen| {
            screen.starts_with("before\n") && is_whole(screen, columns) && widest(screen) > before
        });
        before = widest(&screen);
    }
    // What becomes narrower is wrapped by the terminal first, and what was above may be pushed out of sight.
    terminal.resize(80, 30);
    terminal.shows("the wait in 80 columns again", |screen| {
        is_whole(screen, 80)
    });
    terminal.tell("send-keys C-c");
    let left = terminal.shows("the end", |screen| screen.contains("ended with 9"));
    assert!(is_whole(&left, 80), "{left}");
    let lines = left.lines().map(str::trim_end);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let [.., said, ended] = lines.as_slice() else {
        panic!("{left}");
    };
    assert!(said.starts_with("left; the rollout goes on"), "{left}");
    assert_eq!(*ended, "ended with 9", "{left}");
    let cursor = terminal.tell("display-message -p '#{cursor_flag} #{alternate_on}'");
    assert_eq!(
        cursor,
        ["1 0"],
        "the cursor is seen, on the screen where it was"
    );
}
