//! Every strategy with every fate: what the command says and exits with, which version production and test serve step by step,
//! and what is left behind. The cases are generated; what came of each is one row of `matrix.md` beside this file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Behaviour, Course, Rule, Strike, TaskFault, Trouble, throttled};
use snapbox::{assert_data_eq, file};

use super::stage::{Ran, Stage};

const STRATEGIES: [(&str, &str); 3] = [
    ("all_at_once", "all_at_once"),
    ("canary", "{ canary: { percent: 20, wait: 2m } }"),
    ("linear", "{ linear: { percent: 50, every: 1m } }"),
];

/// An app with everything that can stop a rollout.
fn spec(strategy: &str) -> String {
    format!(
        "version: 1
app: web
region: eu-central-1
service: {{ image: 'httpd:2.4.58', port: 80, desired_count: 2 }}
deploy:
  strategy: {strategy}
  approve: {{ within: 10m }}
  keep_old: 2m
  alarms: [web-orders]
  hooks: {{ after_allow_test_traffic: web-smoke, after_allow_traffic: web-accept }}
  rollback_on: [failure, stop, alarm]
"
    )
}

/// What happens to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    TestHookFails,
    LastHookFails,
    AlarmBefore,
    AlarmDuring,
    AlarmAfter,
    TasksCrash,
    NeverHealthy,
    ImageMissing,
    StoppedAt(Moment),
    LeftAt(Moment),
    ApprovalTimesOut,
    ConnectionLost,
    Throttled,
}

/// Where a rollout is, as production and test show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Installing,
    Ready,
    Shifting,
    OldTasks,
}

const FATES: [Fate; 20] = [
    Fate::Succeeds,
    Fate::TestHookFails,
    Fate::LastHookFails,
    Fate::AlarmBefore,
    Fate::AlarmDuring,
    Fate::AlarmAfter,
    Fate::TasksCrash,
    Fate::NeverHealthy,
    Fate::ImageMissing,
    Fate::StoppedAt(Moment::Installing),
    Fate::StoppedAt(Moment::Ready),
    Fate::StoppedAt(Moment::Shifting),
    Fate::StoppedAt(Moment::OldTasks),
    Fate::LeftAt(Moment::Installing),
    Fate::LeftAt(Moment::Ready),
    Fate::LeftAt(Moment::Shifting),
    Fate::LeftAt(Moment::OldTasks),
    Fate::ApprovalTimesOut,
    Fate::ConnectionLost,
    Fate::Throttled,
];

impl Fate {
    /// The moment at which somebody or something does something.
    fn moment(self) -> Option<Moment> {
        match self {
            Self::StoppedAt(moment) | Self::LeftAt(moment) => Some(moment),
            Self::AlarmBefore => Some(Moment::Ready),
            Self::AlarmDuring => Some(Moment::Shifting),
            Self::AlarmAfter => Some(Moment::OldTasks),
            _ => None,
        }
    }

    /// All at once has no moment between none and all.
    fn can_be(self, strategy: &str) -> bool {
        strategy != "all_at_once" || self.moment() != Some(Moment::Shifting)
    }

    fn reroutes(self) -> bool {
        self != Self::ApprovalTimesOut && self.moment() != Some(Moment::Ready)
    }

    /// What goes wrong from the beginning on.
    fn prepare(self, sandbox: &Sandbox) {
        let mut faults = sandbox.faults();
        let failing = || Behaviour(Course::Fail { after: 3, log: Vec::new() });
        let tasks = |trouble| TaskFault::new(trouble);
        match self {
            Self::TestHookFails => {
                faults.dials.functions.insert("web-smoke".to_owned(), failing());
            }
            Self::LastHookFails => {
                faults.dials.functions.insert("web-accept".to_owned(), failing());
            }
            Self::TasksCrash => {
                let log = vec!["panic: no database".to_owned()];
                let crash = Trouble::Crash { exit_code: 3, after: 5, log };
                faults.dials.tasks.insert("shop:2".to_owned(), tasks(crash));
            }
            Self::NeverHealthy => {
                let sick = Trouble::Unhealthy { status: 503, log: Vec::new() };
                faults.dials.tasks.insert("shop:2".to_owned(), tasks(sick));
            }
            Self::ImageMissing => {
                let gone = Trouble::CannotPull { why: Default::default() };
                faults.dials.tasks.insert("shop:2".to_owned(), tasks(gone));
            }
            Self::Throttled => {
                for (service, operation) in [("codedeploy", "GetDeployment"), ("ecs", "ListTasks")] {
                    faults.add(Rule {
                        service: Some(service.to_owned()),
                        operation: Some(operation.to_owned()),
                        skip: 3,
                        times: 20,
                        strike: Strike::Refuse(throttled(service)),
                    });
                }
            }
            _ => {}
        }
    }
}

/// What came of a case.
struct Row {
    strategy: &'static str,
    fate: Fate,
    codes: Vec<u8>,
    verdict: String,
    production: Vec<String>,
    test: Vec<String>,
    left: String,
    transcript: String,
}

#[test]
fn every_strategy_meets_every_fate() {
    let accounts: Vec<(&str, String, Sandbox)> = STRATEGIES
        .iter()
        .map(|(name, strategy)| {
            let text = spec(strategy);
            let stage = runtime().block_on(made(&text));
            (*name, text, stage.sandbox)
        })
        .collect();
    let cases: Vec<(usize, Fate)> = (0..accounts.len())
        .flat_map(|strategy| FATES.map(|fate| (strategy, fate)))
        .filter(|(strategy, fate)| fate.can_be(accounts[*strategy].0))
        .collect();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((strategy, fate)) = cases.get(number) else {
                        return;
                    };
                    let (name, text, account) = &accounts[*strategy];
                    let stage = Stage::of(text, account.fork().unwrap());
                    let row = runtime().block_on(play(stage, name, *fate));
                    rows.lock().unwrap().push((number, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(number, _)| *number);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    for row in &rows {
        check(row);
    }
    assert_data_eq!(table(&rows), file!["matrix.md"]);
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// The app, made and healthy, with the functions and the alarm that it refers to.
async fn made(text: &str) -> Stage {
    let stage = Stage::new(text);
    for name in ["web-smoke", "web-accept"] {
        stage.add_function(name).await;
    }
    stage.add_alarm("web-orders").await;
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    drop(stage.sandbox.world());
    stage
}

/// Plays a rollout to its end, with a look at both listeners every second.
async fn play(stage: Stage, strategy: &'static str, fate: Fate) -> Row {
    fate.prepare(&stage.sandbox);
    let mut codes = Vec::new();
    let mut eyes = Eyes::new(fate);
    let first = match fate {
        Fate::ConnectionLost => "deploy --image shop:2 --timeout 20s",
        _ => "deploy --image shop:2",
    };
    let mut ran = watched(&stage, first, &mut eyes).await;
    codes.push(ran.code);
    while ran.code == 9 {
        ran = watched(&stage, "watch", &mut eyes).await;
        codes.push(ran.code);
    }
    stage.sandbox.faults().clear();
    eyes.look(&stage);
    let verdict = verdict(&ran);
    Row {
        strategy,
        fate,
        codes,
        verdict,
        left: left(&stage).await,
        production: eyes.production,
        test: eyes.test,
        transcript: stage.transcript.lock().unwrap().clone(),
    }
}

/// Runs a command, and beside it does what the fate has in store.
async fn watched(stage: &Stage, args: &str, eyes: &mut Eyes) -> Ran {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let command = stage.run(args);
    tokio::pin!(command);
    loop {
        tokio::select! {
            ran = &mut command => return ran,
            _ = second.tick() => {
                eyes.look(stage);
                eyes.act(stage).await;
            }
        }
    }
}

/// What both listeners have served so far, and what is to be done when.
struct Eyes {
    fate: Fate,
    production: Vec<String>,
    test: Vec<String>,
    rerouted: bool,
    done: bool,
    seconds: u32,
}

impl Eyes {
    fn new(fate: Fate) -> Self {
        Self {
            fate,
            production: Vec::new(),
            test: Vec::new(),
            rerouted: false,
            done: false,
            seconds: 0,
        }
    }

    fn look(&mut self, stage: &Stage) {
        self.seconds += 1;
        for (port, seen) in [(80, &mut self.production), (8080, &mut self.test)] {
            let now = served(stage, port);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    }

    fn is_at(&self, moment: Moment) -> bool {
        let production = self.production.last().map(String::as_str);
        let test = self.test.last().map(String::as_str);
        match moment {
            Moment::Installing => self.seconds >= 12,
            Moment::Ready => test == Some("new") && production == Some("old"),
            Moment::Shifting => production == Some("old+new"),
            Moment::OldTasks => production == Some("new"),
        }
    }

    async fn act(&mut self, stage: &Stage) {
        if self.fate.reroutes() && !self.rerouted && self.is_at(Moment::Ready) {
            // The hook behind the test traffic takes its time.
            self.rerouted = stage.surroundings().run("reroute").await.code == 0;
        }
        let Some(moment) = self.fate.moment().filter(|moment| !self.done && self.is_at(*moment)) else {
            return;
        };
        self.done = true;
        match self.fate {
            Fate::StoppedAt(_) => drop(stage.surroundings().run("stop").await.exits(0)),
            Fate::LeftAt(_) => drop(stage.surroundings().run("stop --no-rollback").await.exits(0)),
            _ => stage.sandbox.faults().dials.alarms.push("web-orders".to_owned()),
        }
        let _ = moment;
    }
}

/// Which versions a listener serves: several where it is split.
fn served(stage: &Stage, port: u16) -> String {
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let page = stage.page(port);
        seen.insert(match page {
            page if page.contains("httpd:2.4.58") => "old".to_owned(),
            page if page.contains("shop:2") => "new".to_owned(),
            page => page.chars().take(3).collect(),
        });
    }
    // "old" sorts behind "new".
    seen.into_iter().rev().collect::<Vec<_>>().join("+")
}

/// The line in which the command says how it ended.
fn verdict(ran: &Ran) -> String {
    let ends = ["succeeded", "rolled back", "failed:", "stopped:"];
    let mut lines = ran.err.lines().rev();
    let line = lines.find(|line| ends.iter().any(|end| line.starts_with(end)));
    super::redact::redact(line.unwrap_or("none")).trim().to_owned()
}

/// What is left behind: task sets, where both listeners lead, whether `plan` wants anything.
async fn left(stage: &Stage) -> String {
    let quiet = stage.surroundings();
    let status = quiet.run("status --format json").await.exits(0).json();
    let status = &status["status"];
    let sets = status["service"]["task_sets"].as_array().unwrap();
    let mut sets: Vec<&str> = sets.iter().map(|set| set["status"].as_str().unwrap()).collect();
    sets.sort_unstable();
    let flight = if status["in_flight"].is_null() { "" } else { ", in flight" };
    let plan = stage.surroundings().run("plan --exit-code").await.code;
    format!("{}{flight}, plan {plan}", sets.join("+"))
}

fn check(row: &Row) {
    let fate = row.fate;
    let told = || format!("{} {fate:?}\n{}", row.strategy, row.transcript);
    let production: Vec<&str> = row.production.iter().map(String::as_str).collect();
    for seen in production.iter().chain(row.test.iter().map(String::as_str).collect::<Vec<_>>().iter()) {
        assert!(["old", "new", "old+new"].contains(seen), "{seen} was served: {}", told());
    }
    let succeeds = matches!(fate, Fate::Succeeds | Fate::ConnectionLost | Fate::Throttled);
    let code = if succeeds { 0 } else { 6 };
    assert_eq!(row.codes.last(), Some(&code), "{}", told());
    let left = matches!(fate, Fate::LeftAt(Moment::Shifting | Moment::OldTasks));
    let last = match (succeeds, left) {
        (true, _) => "new",
        (false, true) => production.last().copied().unwrap_or_default(),
        (false, false) => "old",
    };
    assert_eq!(production.last(), Some(&last), "{}", told());
    if !matches!(fate, Fate::LeftAt(_)) {
        assert_eq!(row.left, "PRIMARY, plan 0", "{}", told());
    }
    let cause = match fate {
        Fate::TestHookFails => "hook AfterAllowTestTraffic failed",
        Fate::LastHookFails => "hook AfterAllowTraffic failed",
        Fate::AlarmBefore | Fate::AlarmDuring | Fate::AlarmAfter => "alarm web-orders fired",
        Fate::TasksCrash => "container web ended with exit code 3",
        Fate::NeverHealthy => "health checks",
        Fate::ImageMissing => "CannotPull",
        _ => "",
    };
    assert!(row.verdict.contains(cause), "{cause}: {}", told());
    assert!(row.strategy != "all_at_once" || !production.contains(&"old+new"), "{}", told());
}

/// The rows as a page.
fn table(rows: &[Row]) -> String {
    let mut page = "<!-- What a test saw: tests/tests/scenarios/matrix.rs. -->\n\n| strategy | what happens | exit | production | test | left behind | verdict |\n|---|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let codes: Vec<String> = row.codes.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            page,
            "| {} | {:?} | {} | {} | {} | {} | {} |",
            row.strategy,
            row.fate,
            codes.join(", "),
            row.production.join(" → "),
            row.test.join(" → "),
            row.left,
            row.verdict.replace('|', "\\|"),
        );
    }
    page
}
