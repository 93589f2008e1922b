//! `cargo xtask bench`: what things cost, beside the targets, as a table and in `bench.json` under the target directory.
//!
//! Must not be part of the tests, and must not fail where a target is missed: how fast a machine is, is no bug. What can be told
//! without a clock (calls, the longest chain) the tests hold.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{process, workspace::Workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out what takes the release binary, whose SDK compiles for many minutes.
    #[arg(long)]
    no_release: bool,
}

/// The parts of the table, in order.
const SECTIONS: [(&str, &str); 6] = [
    ("a", "The tutorial's app"),
    (
        "b",
        "Time beside the longest chain of steps, at AWS's times",
    ),
    ("c", "One app among many"),
    ("d", "Many specs in one command"),
    ("e", "From a spec to its files, on one core"),
    ("f", "The release binary"),
];

/// Measures, prints the table and writes it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), String> {
    let mut figures = program(workspace, &["-p", "ecspipe-render", "--bench", "specs"])?;
    // At the profile that the tests have compiled the SDK for: what is counted here is the same at any.
    let account = [
        "--profile",
        "dev",
        "-p",
        "ecspipe-tests",
        "--bench",
        "account",
    ];
    figures.extend(program(workspace, &account)?);
    if !options.no_release {
        figures.extend(release(workspace)?);
    }
    for (section, title) in SECTIONS {
        let of_section = figures.iter().filter(|one| one["section"] == section);
        print(title, &of_section.collect::<Vec<_>>());
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let path = workspace.target().join("bench.json");
    let all = json!({ "cores": cores, "processor": processor(), "figures": figures });
    fs::write(&path, format!("{all:#}\n")).map_err(|error| failed(&path, &error))?;
    println!(
        "\n{cores} cores, {}; written to {}",
        processor(),
        path.display()
    );
    Ok(())
}

/// The figures that a program of `cargo bench` prints, one a line.
fn program(workspace: &Workspace, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let printed = process::read(workspace.cargo().arg("bench").args(arguments))?;
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{error} in {line}")))
        .collect()
}

/// What only the release binary tells.
fn release(workspace: &Workspace) -> Result<Vec<Value>, String> {
    process::run(
        workspace
            .cargo()
            .args(["build", "--release", "-p", "ecspipe"]),
    )?;
    let binary = workspace.target().join("release/ecspipe");
    let size = fs::metadata(&binary).map_err(|error| failed(&binary, &error))?;
    let mut figures = vec![figure("f", "size", size.len() as f64 / MIB, "MiB", None)];
    let starts = start_up(&binary)?;
    let median = starts[starts.len() / 2].as_secs_f64() * 1000.0;
    figures.push(figure("f", "start-up, median", median, "ms", Some(15.0)));
    let least = starts[0].as_secs_f64() * 1000.0;
    figures.push(figure("f", "start-up, fastest", least, "ms", None));
    figures.extend(memory(workspace, &binary)?);
    Ok(figures)
}

const MIB: f64 = 1024.0 * 1024.0;

fn figure(section: &str, what: &str, value: f64, unit: &str, at_most: Option<f64>) -> Value {
    json!({ "section": section, "what": what, "value": value, "unit": unit, "at_most": at_most })
}

/// How long it takes to start and end, from the fastest to the slowest.
fn start_up(binary: &Path) -> Result<Vec<Duration>, String> {
    let mut spans = Vec::new();
    for _ in 0..41 {
        let begun = Instant::now();
        process::read(Command::new(binary).arg("--version"))?;
        spans.push(begun.elapsed());
    }
    spans.sort();
    Ok(spans)
}

/// The peaks of resident memory against a sandbox in a process of its own.
fn memory(workspace: &Workspace, binary: &Path) -> Result<Vec<Value>, String> {
    let folder = workspace.target().join("bench");
    let spec = workspace.root().join("examples/httpd/ecspipe.yaml");
    let text = fs::read_to_string(&spec).map_err(|error| failed(&spec, &error))?;
    for number in 0..100 {
        let name = format!("app-{number:03}");
        let app = folder.join("apps").join(&name);
        fs::create_dir_all(&app).map_err(|error| failed(&app, &error))?;
        let text = text.replace("ecs-deployment-pipeline", &name);
        fs::write(app.join("ecspipe.yaml"), text).map_err(|error| failed(&app, &error))?;
    }
    let account = Account::open(binary)?;
    let one = "apps/app-000/ecspipe.yaml";
    let mut figures = Vec::new();
    for (what, command, at_most) in [
        (
            "peak memory of `up`",
            &["up", "--yes", "-f", one][..],
            Some(60.0),
        ),
        ("peak memory of `plan`", &["plan", "-f", one], None),
        (
            "peak memory of `plan` of 100 specs in one command, one of them made",
            &["plan", "-f", "apps/*/ecspipe.yaml"],
            None,
        ),
    ] {
        let mut run = Command::new(binary);
        run.current_dir(&folder)
            .arg(format!("--sandbox={}", account.port))
            .args(command);
        let peak = peak_memory(&mut run)? as f64 / 1024.0;
        figures.push(figure("f", what, peak, "MiB", at_most));
    }
    Ok(figures)
}

/// A sandbox in a process of its own, which ends with this.
struct Account {
    process: Child,
    port: String,
}

impl Account {
    fn open(binary: &Path) -> Result<Self, String> {
        let mut command = Command::new(binary);
        // Fast enough that minutes of AWS's take seconds, slow enough that a call is short beside them.
        command.args(["sandbox", "--port", "0", "--speed", "60"]);
        let name = process::name(&command);
        let mut process = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let mut line = String::new();
        if let Some(talk) = process.stderr.take() {
            let mut talk = BufReader::new(talk);
            talk.read_line(&mut line).ok();
            // Nobody reads the rest, which must not keep the sandbox waiting.
            std::thread::spawn(move || std::io::copy(&mut talk, &mut std::io::sink()));
        }
        let port = line.split("127.0.0.1:").nth(1).map(|rest| {
            let digits = rest.chars().take_while(char::is_ascii_digit);
            digits.collect::<String>()
        });
        let account = Self {
            port: port.unwrap_or_default(),
            process,
        };
        if account.port.is_empty() {
            return Err(format!("{name}: it doesn't say where it listens: {line}"));
        }
        Ok(account)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Runs a command that must work; answers its peak of resident memory in KiB.
fn peak_memory(command: &mut Command) -> Result<u64, String> {
    let name = process::name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (done, ended) = channel();
    std::thread::spawn(move || done.send(child.wait()));
    let mut peak = 0;
    // The peak only grows, so that the last look before the end tells it.
    let ended = loop {
        match ended.recv_timeout(Duration::from_millis(1)) {
            Ok(ended) => break ended,
            Err(RecvTimeoutError::Timeout) => peak = peak.max(peak_so_far(&status)),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{name}: lost")),
        }
    };
    let code = ended.map_err(|error| format!("{name}: {error}"))?;
    if !code.success() {
        return Err(format!("{name}: {code}"));
    }
    if peak == 0 {
        return Err(format!(
            "{name}: this system doesn't tell its peak of memory"
        ));
    }
    Ok(peak)
}

fn peak_so_far(status: &Path) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What the processor is called; empty where the system doesn't tell.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split(": ").nth(1));
    name.unwrap_or_default().to_owned()
}

fn print(title: &str, figures: &[&Value]) {
    if figures.is_empty() {
        return;
    }
    println!("\n{title}");
    for figure in figures {
        let what = figure["what"].as_str().unwrap_or_default();
        println!("  {what:<70} {:>18}  {}", shown(figure), target(figure));
    }
}

/// The value with its unit; counts without fractions.
fn shown(figure: &Value) -> String {
    let value = figure["value"].as_f64().unwrap_or_default();
    let unit = figure["unit"].as_str().unwrap_or_default();
    let value = match unit {
        "calls" | "specs/s" => format!("{value:.0}"),
        "MiB" | "ms" => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    format!("{value} {unit}").trim_end().to_owned()
}

/// What it should be, and whether it is; empty where there is no target.
fn target(figure: &Value) -> String {
    let value = figure["value"].as_f64().unwrap_or_default();
    let (sign, target, reached) = match (figure["at_most"].as_f64(), figure["at_least"].as_f64()) {
        (Some(target), _) => ("≤", target, value <= target),
        (None, Some(target)) => ("≥", target, value >= target),
        (None, None) => return String::new(),
    };
    let verdict = if reached { "" } else { "  missed" };
    format!("{sign} {target}{verdict}")
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_beside_their_targets() {
        let calls = figure("a", "`plan`", 42.0, "calls", Some(30.0));
        assert_eq!(shown(&calls), "42 calls");
        assert_eq!(target(&calls), "≤ 30  missed");
        let fast = json!({ "value": 7000.4, "unit": "specs/s", "at_least": 5000.0 });
        assert_eq!(shown(&fast), "7000 specs/s");
        assert_eq!(target(&fast), "≥ 5000");
        let ratio = figure("b", "ratio", 1.0123, "", None);
        assert_eq!(
            (shown(&ratio).as_str(), target(&ratio).as_str()),
            ("1.012", "")
        );
    }
}
