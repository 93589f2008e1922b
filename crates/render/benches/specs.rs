//! How many specs a second are parsed, validated and rendered on one core. Each figure is a line of JSON on stdout, which
//! `cargo xtask bench` gathers. Must not judge what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for `cargo xtask bench`, which measures and fails loudly"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ecspipe_spec::Facts;

/// The tutorial's app in full.
const SPEC: &str = include_str!("../../../examples/httpd/ecspipe.yaml");

/// Long enough that what the machine does meanwhile evens out.
const FOR: Duration = Duration::from_secs(2);

fn main() {
    let facts = Facts::new("111122223333", "eu-central-1");
    let parse = || ecspipe_spec::parse(SPEC).unwrap();
    let spec = parse();
    measure("parse and validate a spec", None, || {
        black_box(parse());
    });
    measure("render a validated spec", None, || {
        black_box(ecspipe_render::render(&spec, &facts).unwrap());
    });
    measure("parse, validate and render a spec", Some(5000.0), || {
        black_box(ecspipe_render::render(&parse(), &facts).unwrap());
    });
}

/// Repeats `work`, and says how often a second of this thread's own time it is done.
fn measure(what: &str, at_least: Option<f64>, work: impl Fn()) {
    work();
    let (begun, spent) = (Instant::now(), own_time());
    let mut times = 0_u32;
    while begun.elapsed() < FOR {
        work();
        times += 1;
    }
    let took = match (spent, own_time()) {
        (Some(before), Some(after)) => after - before,
        _ => begun.elapsed(),
    };
    let value = f64::from(times) / took.as_secs_f64();
    let target = at_least.map_or("null".to_owned(), |target| target.to_string());
    println!(
        r#"{{"section":"e","what":"{what}","value":{value:.0},"unit":"specs/s","at_least":{target}}}"#
    );
}

/// How long this process was on a processor: others on the machine don't count. `None` where the system doesn't tell.
fn own_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
