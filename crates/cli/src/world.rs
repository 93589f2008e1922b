//! Everything outside the process that a command uses: environment, folder, terminal, signals, and, for tests and the demo,
//! an account in the process. Must not know any command.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecspipe_provision::CancellationToken;
use ecspipe_sandbox::Sandbox;

use crate::exit::{Exit, Failure};
use crate::machine::Machine;
use crate::screen::Screen;

/// Where questions are answered.
#[derive(Debug, Clone)]
pub enum Answers {
    /// A person at the terminal.
    Terminal,
    /// Nobody: a question is an error that names the flag which answers it.
    Nobody,
    /// A script's answers, one a question.
    Script(Arc<Mutex<VecDeque<String>>>),
}

type Sink = Arc<Mutex<dyn Write + Send>>;

/// The process's surroundings. Clones share the outputs and the signals.
#[derive(Clone)]
pub struct World {
    /// The environment's variables.
    pub env: BTreeMap<String, String>,
    /// The folder in which the command runs.
    pub folder: PathBuf,
    /// An account in this process, which takes the place of AWS.
    pub sandbox: Option<Sandbox>,
    /// Where that account listens, if it does: `http://127.0.0.1:4570`.
    pub sandbox_url: Option<String>,
    /// Where questions are answered.
    pub answers: Answers,
    /// Whether stderr is a terminal: spinners and colour.
    pub live: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// The machine and the process.
    pub machine: Machine,
    out: Sink,
    err: Sink,
    screen: Arc<Mutex<Screen>>,
    size: fn(&Self) -> (usize, usize),
    cancel: CancellationToken,
    interrupted: Arc<Mutex<Exit>>,
}

impl World {
    /// The real one.
    pub fn of_process() -> Self {
        let input = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let live =
            std::io::stderr().is_terminal() && env.get("TERM").is_none_or(|term| term != "dumb");
        Self {
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            sandbox: None,
            sandbox_url: None,
            answers: if input {
                Answers::Terminal
            } else {
                Answers::Nobody
            },
            live,
            width: terminal_width(),
            machine: Machine::of_process(&env),
            out: Arc::new(Mutex::new(std::io::stdout())),
            err: Arc::new(Mutex::new(std::io::stderr())),
            screen: Arc::default(),
            size: |_| {
                let (rows, columns) = console::Term::stderr().size();
                (usize::from(rows), usize::from(columns))
            },
            cancel: CancellationToken::new(),
            interrupted: Arc::new(Mutex::new(Exit::Failed)),
            env,
        }
    }

    /// One for tests: nothing of the process is seen, outputs are kept, nobody answers.
    pub fn for_test(folder: PathBuf, out: Arc<Mutex<Vec<u8>>>, err: Arc<Mutex<Vec<u8>>>) -> Self {
        Self {
            env: BTreeMap::new(),
            folder,
            sandbox: None,
            sandbox_url: None,
            answers: Answers::Nobody,
            live: false,
            width: 100,
            machine: Machine::made_up(),
            out,
            err,
            screen: Arc::default(),
            size: |world| (50, world.width),
            cancel: CancellationToken::new(),
            interrupted: Arc::new(Mutex::new(Exit::Failed)),
        }
    }

    /// A line of data, to stdout. A reader that went away (`| head`) is no error.
    pub fn out(&self, line: impl AsRef<str>) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{}", line.as_ref());
    }

    /// Bytes of data as they are, to stdout.
    pub fn out_raw(&self, bytes: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(bytes);
        let _ = out.flush();
    }

    /// A line of talk, to stderr: above what is drawn there.
    pub fn err(&self, line: impl AsRef<str>) {
        let columns = (self.size)(self).1;
        let text = self.screen().above(line.as_ref(), columns);
        self.err_raw(&text);
    }

    /// Draws `lines` at the end of stderr, a terminal, in place of those drawn before.
    pub(crate) fn draw(&self, lines: &[String]) {
        let columns = (self.size)(self).1;
        let text = self.screen().draw(lines, columns);
        self.err_raw(&text);
    }

    /// Leaves on the terminal what is drawn there: whatever comes goes below it.
    pub(crate) fn leave_drawn(&self) {
        let text = self.screen().leave();
        self.err_raw(&text);
    }

    /// Lines and columns that can be drawn in now: a terminal may be resized at any time.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.size)(self)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One write, so that nothing is seen half.
    fn err_raw(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = err.write_all(text.as_bytes());
        let _ = err.flush();
    }

    /// A variable of the environment that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A path as the user means it: from the folder in which the command runs.
    pub fn path(&self, path: impl Into<PathBuf>) -> PathBuf {
        self.folder.join(path.into())
    }

    /// The same surroundings, but what is data there is talk: it goes to stderr.
    pub(crate) fn talking(&self) -> Self {
        Self {
            out: self.err.clone(),
            ..self.clone()
        }
    }

    /// The same surroundings in another folder.
    pub(crate) fn in_folder(&self, folder: PathBuf) -> Self {
        Self {
            folder,
            ..self.clone()
        }
    }

    /// Asks a yes-or-no question; no is the answer of an empty line. `flag` answers it where nobody does.
    pub(crate) fn confirm(&self, question: &str, flag: &str) -> Result<bool, Failure> {
        if let Answers::Terminal = self.answers {
            return asked(inquire::Confirm::new(question).with_default(false).prompt());
        }
        let answer = self.ask(question, flag)?;
        Ok(matches!(answer.trim(), "y" | "yes"))
    }

    /// Asks for a line of text. `flag` answers it where nobody does.
    pub(crate) fn ask(&self, question: &str, flag: &str) -> Result<String, Failure> {
        let nobody = || {
            let failure = Failure::new(Exit::Usage, format!("there is nobody to ask: {question}"));
            failure.hint(format!("pass {flag}, or run the command in a terminal"))
        };
        match &self.answers {
            Answers::Nobody => Err(nobody()),
            Answers::Script(answers) => {
                let answer = answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
                    .ok_or_else(nobody)?;
                self.err(format!("? {question} {answer}"));
                Ok(answer)
            }
            Answers::Terminal => asked(inquire::Text::new(question).prompt()),
        }
    }

    /// Cancelled by the first Ctrl-C or SIGTERM.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// The exit code with which a Ctrl-C ends what has nothing to finish, and a second one everything.
    pub fn at_second_interrupt(&self, exit: Exit) {
        *self.exit_of_interrupted() = exit;
    }

    fn exit_of_interrupted(&self) -> MutexGuard<'_, Exit> {
        let exit = self.interrupted.lock();
        exit.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work`, which changes nothing in the account: the first Ctrl-C or SIGTERM ends it at once, as there is nothing to finish.
    /// A look at an account is a large future, so it comes on the heap: the stack of whoever runs several is spared.
    pub(crate) async fn reading<T>(
        &self,
        work: Pin<Box<impl Future<Output = Result<T, Failure>>>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                let exit = *self.exit_of_interrupted();
                Err(Failure::new(exit, "stopped before the end; nothing was changed"))
            }
            ended = work => ended,
        }
    }

    /// Watches Ctrl-C and SIGTERM: the first asks the command to end in good order, the second ends it at once.
    pub fn watch_signals(&self) {
        let world = self.clone();
        // Made once, and before anything runs: a signal between two waits is kept for the second.
        let mut signals = Signals::new();
        tokio::spawn(async move {
            signals.next().await;
            world.cancel.cancel();
            signals.next().await;
            world.err("\nstopped at once; what AWS was doing goes on there. Run the command again to see where it stands.");
            world.end();
        });
    }

    #[allow(
        clippy::exit,
        reason = "the user asked twice; nothing here is half-written: files are put in place whole"
    )]
    fn end(&self) -> ! {
        std::process::exit(i32::from(self.exit_of_interrupted().code()))
    }

    /// Lets library log lines through to stderr with `--verbose`.
    pub(crate) fn start_log(&self, verbose: u8) {
        let level = match verbose {
            0 => return,
            1 => "ecspipe=debug,aws_smithy_runtime=info",
            _ => "debug",
        };
        let filter = tracing_subscriber::EnvFilter::new(self.var("ECSPIPE_LOG").unwrap_or(level));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .finish();
        // A second command in one process keeps the first one's log.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// Ctrl-C and SIGTERM; what can't be watched never comes.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = Self::of(&mut self.interrupt) => {}
            () = Self::of(&mut self.terminate) => {}
        }
    }

    async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
        let came = match signal {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if came.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

fn terminal_width() -> usize {
    let (_, columns) = console::Term::stderr().size();
    usize::from(columns).clamp(40, 160)
}

fn asked<T>(answer: Result<T, inquire::InquireError>) -> Result<T, Failure> {
    use inquire::InquireError;
    answer.map_err(|error| match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Failure::new(
            Exit::Refused,
            "nothing was done: the question was not answered",
        ),
        error => Failure::new(Exit::Usage, format!("cannot ask: {error}")),
    })
}
