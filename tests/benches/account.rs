//! What `up`, `plan` and `down` cost in an account: calls, time beside the longest chain of steps, one app among many, many specs in
//! one command. Each figure is a line of JSON on stdout, which `cargo xtask bench` gathers. Time of the account is virtual, so
//! that minutes of AWS's pass at once; what is measured in real seconds says so. Must not judge what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for `cargo xtask bench`, which fails loudly"
)]

#[allow(dead_code)]
#[path = "../tests/provision/place.rs"]
mod place;
#[allow(dead_code)]
#[path = "../tests/scenarios/stage.rs"]
mod stage;
#[path = "../tests/provision/timeline.rs"]
mod timeline;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ecspipe_provision::{Mode, Options};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::services::quotas;
use serde_json::json;

use crate::place::{Place, sandbox, without_latency};
use crate::stage::{REGION, Stage, TUTORIAL};
use crate::timeline::{Timeline, carry_out};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        without_waiting().await;
        the_tutorial().await;
        the_longest_chain().await;
        many_apps().await;
    });
}

/// One figure; `at_most` is the target, where there is one.
fn row(section: &str, what: &str, value: f64, unit: &str, at_most: Option<f64>) {
    let line = json!({
        "section": section, "what": what, "value": value, "unit": unit, "at_most": at_most,
    });
    println!("{line}");
}

/// What one command took.
struct Cost {
    calls: BTreeMap<(String, String), u64>,
    /// On this machine's clock.
    real: Duration,
    /// On the account's clock.
    passed: Duration,
}

impl Cost {
    fn calls(&self) -> f64 {
        self.calls.values().sum::<u64>() as f64
    }
}

async fn run(stage: &Stage, command: &str) -> Cost {
    stage.sandbox.reset_counts();
    let (begun, then) = (Instant::now(), tokio::time::Instant::now());
    stage.run(command).await.exits(0);
    Cost {
        real: begun.elapsed(),
        passed: then.elapsed(),
        calls: stage.sandbox.counts(),
    }
}

/// The calls without those that only wait.
async fn without_waiting() {
    let place = Place::within(&without_latency(), place::spec(TUTORIAL)).await;
    let (sandbox, count) = (&place.sandbox, |name: &str, most: f64| {
        let calls = place.sandbox.counts().values().sum::<u64>() as f64;
        let what = format!("`{name}`, where AWS takes no time");
        row("a", &what, calls, "calls", Some(most));
        place.sandbox.reset_counts();
    });
    sandbox.reset_counts();
    place.up().await;
    count("up", 120.0);
    place.assert_settled().await;
    count("plan", 30.0);
    place.down(true).await;
    count("down", 130.0);
}

/// The commands of an app's life, with the targets for their calls.
const LIFE: [(&str, f64); 3] = [
    ("up --yes", 120.0),
    ("plan", 30.0),
    ("down --yes --delete-source", 130.0),
];

async fn the_tutorial() {
    let stage = Stage::new(TUTORIAL);
    for (command, most) in LIFE {
        let name = name(command);
        let cost = run(&stage, command).await;
        let what = format!("`{name}`, AWS's times");
        row("a", &what, cost.calls(), "calls", Some(most));
        let real = cost.real.as_secs_f64();
        let what = format!("`{name}`, no latency, on this machine");
        row("a", &what, real, "s", Some(2.0));
        let what = format!("`{name}`, AWS's times, no latency, on AWS's clock");
        row("a", &what, cost.passed.as_secs_f64(), "s", None);
    }
    let stage = Stage::new(TUTORIAL);
    stage.sandbox.faults().add(Rule {
        service: None,
        operation: None,
        skip: 0,
        times: u64::MAX,
        strike: Strike::Delay(Duration::from_millis(50)),
    });
    for (command, _) in LIFE {
        let cost = run(&stage, command).await;
        let name = name(command);
        let what = format!("`{name}`, AWS's times, 50 ms a call, on AWS's clock");
        row("a", &what, cost.passed.as_secs_f64(), "s", None);
    }
}

fn name(command: &str) -> &str {
    command.split(' ').next().unwrap_or(command)
}

async fn the_longest_chain() {
    let place = Place::new(TUTORIAL).await;
    let plan = place.plan(Options::default()).await;
    chain("up", &carry_out(&place, &plan).await);
    let down = Options {
        mode: Mode::Down,
        delete_source: true,
        ..Options::default()
    };
    let plan = place.plan(down).await;
    chain("down", &carry_out(&place, &plan).await);
}

fn chain(command: &str, timeline: &Timeline<'_>) {
    let path = timeline.critical_path();
    let makespan = timeline.makespan.as_secs_f64();
    row("b", &format!("`{command}`, makespan"), makespan, "s", None);
    let what = format!("`{command}`, longest chain of steps");
    row("b", &what, path.length.as_secs_f64(), "s", None);
    let what = format!("`{command}`, makespan by longest chain");
    row("b", &what, timeline.ratio(), "", Some(1.05));
    let steps = path.steps.iter();
    let steps: Vec<String> = steps
        .map(|(key, span)| format!("{key} {:.0} s", span.as_secs_f64()))
        .collect();
    eprintln!("longest chain of `{command}`: {}", steps.join(", "));
}

async fn many_apps() {
    let sandbox = sandbox();
    raise_quotas(&sandbox);
    let stage = Stage::of(TUTORIAL, sandbox);
    let mut alone = BTreeMap::new();
    for number in 0..100 {
        let (name, file) = (app(number), file(number));
        std::fs::create_dir_all(stage.folder.path().join("apps").join(&name)).unwrap();
        // Without tasks, which would be most of what the sandbox has to do here.
        let spec = TUTORIAL.replace("ecs-deployment-pipeline", &name);
        stage.write(&file, &spec.replace("desired_count: 1", "desired_count: 0"));
        stage.run(&format!("up --yes -f {file}")).await.exits(0);
        if ![1, 10, 100].contains(&(number + 1)) {
            continue;
        }
        let cost = run(&stage, &format!("plan -f {}", self::file(0))).await;
        let of = format!("`plan` of one of {} apps", number + 1);
        row("c", &of, cost.calls(), "calls", None);
        let what = format!("{of}, no latency, on this machine");
        row("c", &what, cost.real.as_secs_f64(), "s", None);
        if alone.is_empty() {
            alone = cost.calls;
        } else {
            say_growth(&alone, &cost.calls, number + 1);
        }
    }
    let before = peak_memory();
    let cost = run(&stage, "plan -f apps/*/ecspipe.yaml").await;
    let of = "`plan` of 100 apps in one command";
    row("d", of, cost.calls(), "calls", None);
    let what = format!("{of}, no latency, on this machine");
    row("d", &what, cost.real.as_secs_f64(), "s", None);
    let what = format!("{of}, AWS's rate limits, no latency");
    row("d", &what, cost.passed.as_secs_f64(), "s", None);
    if let (Some(before), Some(after)) = (before, peak_memory_now()) {
        let what = format!("{of}, memory above the account's own");
        row("d", &what, after - before, "MiB", None);
    }
}

fn app(number: usize) -> String {
    format!("app-{number:03}")
}

fn file(number: usize) -> String {
    format!("apps/{}/ecspipe.yaml", app(number))
}

/// A hundred apps in one region take more than AWS gives unasked.
fn raise_quotas(sandbox: &Sandbox) {
    let mut world = sandbox.world();
    let state = &mut world.at(REGION).quotas;
    for quota in [
        &quotas::ADDRESSES,
        &quotas::BALANCERS,
        &quotas::GATEWAYS,
        &quotas::NAT_GATEWAYS,
        &quotas::VPCS,
    ] {
        state.set(quota, 1000);
    }
}

/// Which calls are more than for an app that is alone.
fn say_growth(
    alone: &BTreeMap<(String, String), u64>,
    now: &BTreeMap<(String, String), u64>,
    apps: usize,
) {
    for (call, count) in now {
        let before = alone.get(call).copied().unwrap_or_default();
        if *count > before {
            eprintln!(
                "of {apps} apps: {count} {} {} instead of {before}",
                call.0, call.1
            );
        }
    }
}

/// This process's resident memory in MiB, from which its peak counts anew. `None` where the system doesn't tell.
fn peak_memory() -> Option<f64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    peak_memory_now()
}

/// This process's peak of resident memory in MiB.
fn peak_memory_now() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
