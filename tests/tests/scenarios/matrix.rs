//! Every strategy with every fate: what the command says and exits with, which version production and test serve step by step,
//! and what is left behind. The cells are generated. Invariants hold whatever is printed; what came of each cell is a row of
//! `matrix/rows.md`, what was said stands in `matrix/transcripts`, a file a fate.

mod fates;
mod play;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecspipe_sandbox::Sandbox;
use snapbox::{Data, assert_data_eq};

use self::fates::{End, Fate, Moment, fates};
use self::play::{Row, play};
use super::stage::Stage;

/// The strategies, in the spec's words, and how production goes over.
const STRATEGIES: [Strategy; 3] = [
    Strategy {
        name: "all_at_once",
        spec: "all_at_once",
        steps: &["old", "new"],
    },
    Strategy {
        name: "canary",
        spec: "{ canary: { percent: 20, wait: 1m } }",
        steps: &["old", "80 old + 20 new", "new"],
    },
    Strategy {
        name: "linear",
        spec: "{ linear: { percent: 40, every: 1m } }",
        steps: &["old", "60 old + 40 new", "20 old + 80 new", "new"],
    },
];

struct Strategy {
    name: &'static str,
    spec: &'static str,
    steps: &'static [&'static str],
}

/// An app with everything that can end a rollout badly.
fn spec(strategy: &Strategy) -> String {
    format!(
        "version: 1
app: web
region: eu-central-1
service: {{ image: 'shop:0', port: 80, desired_count: 2 }}
deploy:
  strategy: {}
  approve: {{ within: 6m }}
  keep_old: 1m
  alarms: [{{ http_5xx: {{ above: 1%, for: 2m }} }}]
  hooks: {{ after_allow_test_traffic: web-smoke, after_allow_traffic: web-accept }}
  rollback_on: [failure, stop, alarm]
",
        strategy.spec
    )
}

#[test]
fn every_strategy_meets_every_fate() {
    let begun = parallel(&STRATEGIES, |strategy| {
        let text = spec(strategy);
        let stage = block_on(begun(&text));
        (text, stage.sandbox)
    });
    let fates = fates();
    let cells: Vec<(&Strategy, &(String, Sandbox), Fate)> = fates
        .iter()
        .flat_map(|fate| {
            let each = STRATEGIES.iter().zip(&begun);
            each.map(|(strategy, begun)| (strategy, begun, *fate))
        })
        .collect();
    let rows = parallel(&cells, |(strategy, (text, account), fate)| {
        block_on(async {
            let stage = Stage::of(text, account.fork().unwrap());
            play(stage, strategy.name, *fate).await
        })
    });
    let wrong: Vec<String> = rows.iter().flat_map(wrong).collect();
    for (fate, rows) in fates.iter().zip(rows.chunks(STRATEGIES.len())) {
        if !fate.is_told_alike() {
            continue;
        }
        let file = format!(
            "transcripts/{}.txt",
            fate.name().replace(' ', "_").replace(['\'', ','], "")
        );
        assert_data_eq!(transcripts(rows), kept(&file));
    }
    assert_data_eq!(table(&rows), kept("rows.md"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A file beside the test.
fn kept(name: &str) -> Data {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/matrix/");
    Data::read_from(&std::path::Path::new(folder).join(name), None)
}

/// Does `work` for each on every core, and gives the results in their order.
fn parallel<T: Sync, R: Send>(each: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, one)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    each.get(number).map(|one| (number, one))
                } {
                    let result = work(one);
                    results.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn block_on<F: Future>(work: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// The app with its first good release, `shop:1`: without one there is nothing to roll back to.
async fn begun(text: &str) -> Stage {
    let stage = Stage::new(text);
    for name in ["web-smoke", "web-accept"] {
        stage.add_function(name);
    }
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    stage
        .run("deploy --image shop:1 --until ready")
        .await
        .exits(8);
    stage.run("reroute").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    stage
}

/// What is wrong about a cell, whatever the snapshots say.
fn wrong(row: &Row) -> Vec<String> {
    let fate = row.fate;
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{}, {}: {what}", row.strategy, fate.name()));
        }
    };
    let strategy = STRATEGIES
        .iter()
        .find(|strategy| strategy.name == row.strategy);
    let steps = strategy.map_or(&[][..], |strategy| strategy.steps);
    must(
        row.codes == fate.codes(),
        format!("exit codes {:?}", row.codes),
    );
    must(
        row.verdict.contains(fate.cause()),
        format!("the last word lacks `{}`: {}", fate.cause(), row.verdict),
    );

    // Production goes by the strategy's steps, as far as it comes, and then back at once.
    let shares: Vec<&str> = row.production.iter().map(String::as_str).collect();
    let forward = match (fate.end(), shares.split_last()) {
        (End::Old, Some((last, before))) if !before.is_empty() => {
            must(*last == "old", format!("production ends as {last}"));
            before
        }
        _ => &shares[..],
    };
    must(
        steps.starts_with(forward),
        format!("production: {}", shares.join(" → ")),
    );
    if fate.end() == End::New {
        must(
            forward == steps,
            format!("production: {}", shares.join(" → ")),
        );
    }
    let test: Vec<&str> = row.test.iter().map(String::as_str).collect();
    let wanted: &[&[&str]] = match fate.end() {
        End::New => &[&["old", "new"]],
        End::Old => &[&["old"], &["old", "new", "old"]],
        End::Left(_) => &[&["old"], &["old", "new"]],
    };
    must(
        wanted.contains(&test.as_slice()),
        format!("test: {}", test.join(" → ")),
    );

    // Nothing is left but what somebody wanted to be left.
    must(!row.left.in_flight, "a rollout is in flight".to_owned());
    match fate.end() {
        End::New | End::Old => {
            must(
                row.left.sets == "PRIMARY",
                format!("left: {}", row.left.sets),
            );
            must(
                row.left.plan == 0,
                format!("plan exits with {}", row.left.plan),
            );
        }
        End::Left(moment) => {
            must(
                row.left.sets == "ACTIVE + PRIMARY",
                format!("left: {}", row.left.sets),
            );
            // A split with no rollout in flight is drift.
            let split = shares.last().is_some_and(|share| share.contains('+'));
            let plan = if split { 10 } else { 0 };
            must(
                row.left.plan == plan,
                format!("plan exits with {}", row.left.plan),
            );
            let moved = moment == Moment::Shifting;
            must(
                split == (moved && steps.len() > 2),
                format!("split: {split}"),
            );
        }
    }
    if let Some((codes, left)) = &row.next {
        // Production that isn't at the primary task set has to be put back first: CodeDeploy would refuse to begin.
        let refused = fate.end() == End::Left(Moment::Shifting);
        let wanted: &[u8] = if refused { &[4, 0, 0] } else { &[0] };
        must(
            codes == wanted,
            format!("the next rollout exits with {codes:?}"),
        );
        let whole = left.sets == "PRIMARY" && left.plan == 0;
        must(whole, format!("after the next: {left}"));
        let way = row
            .transcript
            .contains("next: `ecspipe rollback` leads production to web-green alone again");
        must(way == refused, "the way out isn't said".to_owned());
    }
    if fate.codes().last() != Some(&0) {
        let told = row.transcript.contains("\nnext: ") || row.transcript.contains("  next: ");
        must(told, "no next step is named".to_owned());
    }
    wrong
}

fn joined(codes: &[u8]) -> String {
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    codes.join(", ")
}

fn transcripts(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = write!(
            text,
            "==== {}\n\n{}\n",
            row.strategy,
            row.transcript.trim_end()
        );
        text.push('\n');
    }
    text
}

/// How long it took, where that is always the same.
fn within(row: &Row) -> String {
    match row.fate.is_told_alike() {
        true => format!("{} min", row.minutes),
        false => "varies".to_owned(),
    }
}

/// The rows as a page.
fn table(rows: &[Row]) -> String {
    let mut page = "<!-- What a test saw: tests/tests/scenarios/matrix.rs. Exit codes are those of `deploy` and of each `watch` after it; what is left behind are task sets, and the exit code of `plan --exit-code`. -->\n".to_owned();
    for rows in rows.chunks(STRATEGIES.len()) {
        let name = rows.first().map(|row| row.fate.name()).unwrap_or_default();
        let _ = write!(
            page,
            "\n### {name}\n\n| strategy | exit | within | production | test | left behind | last word |\n|---|---|---|---|---|---|---|\n"
        );
        for row in rows {
            let next = row
                .next
                .as_ref()
                .map(|(codes, left)| match codes.as_slice() {
                    [4, _, code] => {
                        format!("; the next rollout exits 4, and after `rollback` {code}: {left}")
                    }
                    codes => format!("; the next rollout exits {}: {left}", joined(codes)),
                });
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {}{} | {} |",
                row.strategy,
                joined(&row.codes),
                within(row),
                row.production.join(" → "),
                row.test.join(" → "),
                row.left,
                next.unwrap_or_default(),
                row.verdict.replace('|', "\\|"),
            );
        }
    }
    page
}
