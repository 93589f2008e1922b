//! The binary running, and an account of the sandbox on a port. Must not hold expectations.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

pub(crate) const SPEC: &str = include_str!("../../../../examples/httpd/ecspipe.yaml");

/// The binary, running in a folder of its own.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
    /// What it has said so far.
    pub(crate) said: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ecspipe.yaml"), SPEC).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ecspipe"))
            .args(args)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            lines,
            said: Vec::new(),
            _folder: folder,
        }
    }

    /// Waits for a line that holds `text`, unless it has come already: what happens side by side is said in any order.
    pub(crate) fn says(&mut self, text: &str) -> String {
        if let Some(line) = self.said.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("it never said `{text}`:\n{}", self.said.join("\n"));
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended; `None` where a signal has ended it.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        for line in self.lines.by_ref() {
            self.said.push(line.unwrap());
        }
        self.child.wait().unwrap().code()
    }

    pub(crate) fn told(&self) -> String {
        self.said.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An account on a port.
pub(crate) struct Account {
    pub(crate) port: String,
    _sandbox: Running,
}

impl Account {
    pub(crate) fn new(speed: &str) -> Self {
        let mut sandbox = Running::start(&["sandbox", "--port", "0", "--speed", speed]);
        let line = sandbox.says("an AWS account listens at http://127.0.0.1:");
        sandbox.says("Ctrl-C ends it");
        let rest = line.split("127.0.0.1:").nth(1).unwrap();
        let port = rest.split(' ').next().unwrap().to_owned();
        Self {
            port,
            _sandbox: sandbox,
        }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Running {
        let sandbox = format!("--sandbox={}", self.port);
        let mut all = args.to_vec();
        all.push(&sandbox);
        Running::start(&all)
    }

    /// Sets faults, as the sandbox's own API takes them.
    pub(crate) fn faults(&self, body: &str) {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /_sandbox/faults HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
