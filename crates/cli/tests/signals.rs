//! Ctrl-C and SIGTERM, with the real binary, real signals, and a sandbox on a port: the first ends a command in good order, the second
//! at once. Nothing here waits for a time: every step waits for a line of output.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

const SPEC: &str = include_str!("../../../examples/httpd/ecspipe.yaml");

/// The binary, running in a folder of its own.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
    /// What it has said so far.
    said: Vec<String>,
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

    /// Waits for a line that holds `text`.
    fn says(&mut self, text: &str) -> String {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("it never said `{text}`:\n{}", self.said.join("\n"));
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended; `None` where a signal has ended it.
    fn ends(&mut self) -> Option<i32> {
        for line in self.lines.by_ref() {
            self.said.push(line.unwrap());
        }
        self.child.wait().unwrap().code()
    }

    fn told(&self) -> String {
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
struct Account {
    port: String,
    _sandbox: Running,
}

impl Account {
    fn new(speed: &str) -> Self {
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

    fn run(&self, args: &[&str]) -> Running {
        let sandbox = format!("--sandbox={}", self.port);
        let mut all = args.to_vec();
        all.push(&sandbox);
        Running::start(&all)
    }

    /// Sets faults, as the sandbox's own API takes them.
    fn faults(&self, body: &str) {
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

/// A load balancer takes two minutes, which is a second or two here: more than a signal needs.
const SPEED: &str = "60";

/// `up` gets one signal when the network has begun: what is in flight is finished, nothing new is begun, and `up` goes on.
fn stops_in_good_order(signal: &str) {
    let account = Account::new(SPEED);
    let mut up = account.run(&["up", "--yes"]);
    up.says("✓ vpc/main");
    up.signal(signal);
    let stopping = up.says("stopping: ");
    let told = up.said.len();
    assert_eq!(up.ends(), Some(5), "{}", up.told());
    let in_flight = stopping.split_whitespace().nth(1).unwrap();
    let in_flight: usize = in_flight.parse().unwrap();
    let finished = up.said[told..].iter().filter(|line| line.contains('✓'));
    assert_eq!(finished.count(), in_flight, "{}", up.told());
    assert!(!up.told().contains('✗'), "{}", up.told());
    for text in [
        "skipped, the run was stopped",
        "error: stopped before the end: ",
        &format!(
            "hint: run the command again, `ecspipe up --sandbox={}`",
            account.port
        ),
    ] {
        assert!(up.told().contains(text), "{text}: {}", up.told());
    }

    let mut again = account.run(&["up", "--yes"]);
    assert_eq!(again.ends(), Some(0), "{}", again.told());
    let mut plan = account.run(&["plan", "--exit-code"]);
    assert_eq!(plan.ends(), Some(0), "{}", plan.told());
}

#[test]
fn ctrl_c_once_ends_in_good_order() {
    stops_in_good_order("INT");
}

#[test]
fn sigterm_is_ctrl_c_once() {
    stops_in_good_order("TERM");
}

/// The balancer is never answered for, so that without a second signal nothing would end for minutes.
fn stops_at_once(first: &str, second: &str) {
    let account = Account::new(SPEED);
    account.faults(
        r#"{"rules": [{"operation": "CreateLoadBalancer", "times": 1000, "strike": "no_answer"}]}"#,
    );
    let mut up = account.run(&["up", "--yes"]);
    up.says("✓ subnet/public-eu-central-1a");
    up.says("✓ security-group/balancer");
    up.signal(first);
    up.says("stopping: ");
    up.signal(second);
    assert_eq!(up.ends(), Some(5), "{}", up.told());
    let told = up.told();
    assert!(told.contains("stopped at once; "), "{told}");
    assert!(!told.contains("error: "), "{told}");
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    stops_at_once("INT", "INT");
}

#[test]
fn sigterm_after_ctrl_c_ends_at_once() {
    stops_at_once("INT", "TERM");
}
