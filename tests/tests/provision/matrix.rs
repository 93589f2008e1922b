//! Every call can fail. Whatever call of a run is struck, and in whatever way: the command, run again, ends in the account in which an
//! undisturbed run ends. Nothing is there twice, nothing is left over. Exhaustive: every call of every run, not samples. With
//! `ECSPIPE_LONG=1` every read is cut off alone, too.
//!
//! What every cell would do alike is done once. A plan is a value: whatever strikes one of the calls that carry it out, the calls
//! before it that led to the plan were not struck. And whoever is killed leaves the account as an undisturbed run has it after the same
//! call; that this is so is shown beside the cells.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use ecspipe_provision::{ActionKind, Detail, Inventory, Mode, Options, Plan, observe};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Chaos, Rule, Strike};
use ecspipe_sandbox::wire::Fault;
use ecspipe_spec::Spec;
use serde_json::{Value, json};

use super::changes::changed;
use super::place::{Place, REGION, TUTORIAL, sandbox, spec};
use super::shape::{same, shape};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It has no effect, and no trying again helps.
    Refused,
    /// It has no effect: the connection ends before it arrives.
    Before,
    /// It has its effect, but the connection ends before the answer.
    After,
    /// It has its effect and is answered, and that is the last that the caller does.
    Killed,
    /// As [`Way::Before`], and so is every other call of the run, once.
    Each,
}

const WAYS: [Way; 4] = [Way::Refused, Way::Before, Way::After, Way::Killed];

impl Way {
    fn strike(self) -> Strike {
        match self {
            Self::Refused => Strike::Refuse(
                Fault::new("AccessDenied", "User is not authorized to perform this").status(403),
            ),
            Self::Before | Self::Each => Strike::Reset,
            Self::After => Strike::LoseAnswer,
            Self::Killed => Strike::KillCaller,
        }
    }

    /// Whether it is tried on `call`. A call that changes nothing makes no difference to some ways: its lost answer is a reset, and whoever
    /// dies after it dies in the account that the call before it has left. Cut off, it is only asked again: see [`Way::Each`].
    fn is_tried_on(self, call: &str) -> bool {
        let writes = is_write(call);
        match self {
            Self::Refused => true,
            Self::Before => writes || is_long(),
            Self::After | Self::Killed => writes,
            Self::Each => false,
        }
    }
}

fn is_write(call: &str) -> bool {
    let reads = ["Get", "List", "Describe", "BatchGet", "Head"];
    !reads.iter().any(|verb| call.starts_with(verb))
}

fn is_long() -> bool {
    std::env::var("ECSPIPE_LONG").is_ok()
}

/// A command on an account.
struct Command {
    name: &'static str,
    /// The account before it.
    account: Sandbox,
    spec: Spec,
    options: Options,
}

impl Command {
    fn new(name: &'static str, account: Sandbox, spec: Spec, mode: Mode) -> Self {
        let options = Options {
            mode,
            delete_source: true,
            ..Options::default()
        };
        Self {
            name,
            account,
            spec,
            options,
        }
    }

    /// Runs it once: what failed, or why nothing was begun.
    async fn run(&self, place: &Place) -> Vec<String> {
        match self.plan(place).await {
            None => vec!["the account can't be read".to_owned()],
            Some((plan, _)) if plan.refusals.is_empty() => carry_out(&plan, place).await,
            Some((plan, _)) => vec![format!("refused: {:?}", plan.refusals)],
        }
    }

    /// `None` where the account could not be read.
    async fn plan(&self, place: &Place) -> Option<(Plan, Inventory)> {
        let (_, mut scope) = place.graph();
        // As the CLI does: what is deleted needn't be compared.
        if self.options.mode == Mode::Down {
            scope.detail = Detail::Identity;
        }
        let inventory = observe(&place.account, &scope).await.ok()?;
        let graph = place.graph_beside(&inventory);
        let plan = ecspipe_provision::plan(&graph, &inventory, &self.options);
        Some((plan, inventory))
    }

    /// An undisturbed run.
    async fn undisturbed(&self) -> Course {
        let sandbox = self.account.fork().unwrap();
        let place = Place::within(&sandbox, self.spec.clone()).await;
        sandbox.record(true);
        let (plan, _) = self.plan(&place).await.unwrap();
        assert_eq!(plan.refusals, [], "{}", self.name);
        let looking = calls(&sandbox);
        let changes: Vec<&String> = looking.iter().filter(|call| is_write(call)).collect();
        assert!(changes.is_empty(), "a look changes nothing: {changes:?}");

        let sandbox = self.account.fork().unwrap();
        let kept = Arc::default();
        let client = keeping(&sandbox, &kept);
        let place = Place::through(&sandbox, self.spec.clone(), REGION, client).await;
        kept.lock().unwrap().clear();
        sandbox.record(true);
        let failed = carry_out(&plan, &place).await;
        assert_eq!(failed, Vec::<String>::new(), "{}", self.name);
        let doing = calls(&sandbox);
        let accounts = std::mem::take(&mut *kept.lock().unwrap());
        assert_eq!(accounts.len(), doing.len());

        sandbox.record(false);
        let wanted = settled(&sandbox).await;
        let (left, inventory) = self.plan(&place).await.unwrap();
        assert!(left.is_empty(), "{:?}", super::place::differences(&left));
        assert_eq!(inventory.duplicates, []);
        Course {
            plan,
            looking,
            doing,
            accounts,
            wanted,
        }
    }

    /// One cell of the matrix: what is wrong in the end.
    async fn disturbed(&self, cell: &Cell, course: &Course, seen: &Seen) -> Result<(), String> {
        let sandbox = if cell.way == Way::Killed {
            course.accounts[cell.number].fork().unwrap()
        } else {
            let sandbox = self.struck(cell, course).await?;
            if seen.knows(settled(&sandbox).await, course) {
                return Ok(());
            }
            sandbox
        };
        // Whoever comes after knows nothing of the run before. In the wanted account there is nothing to plan, and nothing twice.
        let place = Place::within(&sandbox, self.spec.clone()).await;
        let failed = self.run(&place).await;
        same(&settled(&sandbox).await, &course.wanted).map_err(|left| format!("{failed:?}{left}"))
    }

    /// The account after a run in which one call was struck.
    async fn struck(&self, cell: &Cell, course: &Course) -> Result<Sandbox, String> {
        let sandbox = self.account.fork().unwrap();
        let caller = sandbox.caller();
        let place = Place::through(&sandbox, self.spec.clone(), REGION, caller.http_client()).await;
        if cell.way == Way::Each {
            let once = Chaos {
                reset: 1000,
                at_most: 1,
                ..Chaos::calm(0)
            };
            sandbox.faults().set_chaos(Some(once));
        }
        sandbox.faults().add(Rule {
            service: None,
            operation: None,
            skip: cell.number as u64,
            times: 1,
            strike: cell.way.strike(),
        });
        let run = async {
            match cell.part {
                Part::Looking => self.run(&place).await,
                Part::Doing => carry_out(&course.plan, &place).await,
            }
        };
        tokio::select! {
            _ = run => {}
            () = caller.killed() => {}
        }
        sandbox.faults().set_chaos(None);
        let struck = sandbox.faults().rules().iter().all(|rule| rule.times == 0);
        match struck == cell.strikes {
            true => Ok(sandbox),
            false => Err(format!("struck: {struck}")),
        }
    }

    /// Kills the caller for once, and compares what it leaves with what the undisturbed run had after the same call.
    async fn killed(&self, cell: &Cell, course: &Course) -> Result<(), String> {
        let left = shape(&self.struck(cell, course).await?);
        let kept = course.accounts[cell.number].fork().unwrap();
        same(&left, &shape(&kept)).map_err(|differs| format!("the killed caller left{differs}"))
    }
}

/// Carries out a plan: what failed.
async fn carry_out(plan: &Plan, place: &Place) -> Vec<String> {
    let outcome = place.try_apply(plan).await;
    let failed = outcome.failed.iter();
    failed
        .map(|failure| format!("{}: {}", failure.key, failure.error))
        .collect()
}

/// What was called since the account began to record.
fn calls(sandbox: &Sandbox) -> Vec<String> {
    let exchanges = sandbox.take_exchanges().into_iter();
    exchanges.map(|exchange| exchange.operation).collect()
}

/// A client of an account that keeps what the account is after each call.
fn keeping(sandbox: &Sandbox, kept: &Arc<Mutex<Vec<Sandbox>>>) -> SharedHttpClient {
    let (sandbox, kept) = (sandbox.clone(), Arc::clone(kept));
    let client = sandbox.http_client();
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Keeping {
            inner: client.http_connector(settings, components),
            sandbox: sandbox.clone(),
            kept: Arc::clone(&kept),
        })
    })
}

#[derive(Debug)]
struct Keeping {
    inner: SharedHttpConnector,
    sandbox: Sandbox,
    kept: Arc<Mutex<Vec<Sandbox>>>,
}

impl HttpConnector for Keeping {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let (sandbox, kept) = (self.sandbox.clone(), Arc::clone(&self.kept));
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            kept.lock().unwrap().push(sandbox.fork().unwrap());
            answer
        })
    }
}

/// An undisturbed run.
struct Course {
    plan: Plan,
    /// The calls that led to the plan.
    looking: Vec<String>,
    /// The calls that carried it out.
    doing: Vec<String>,
    /// The account after each of those.
    accounts: Vec<Sandbox>,
    /// The account in the end.
    wanted: Vec<String>,
}

/// Accounts from which running again is known to lead to the wanted one.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<Vec<String>>>);

impl Seen {
    /// Whether it was seen before; the wanted one was.
    fn knows(&self, account: Vec<String>, course: &Course) -> bool {
        account == course.wanted || !self.0.lock().unwrap().insert(account)
    }
}

/// The account once nothing goes on in it any more.
pub(crate) async fn settled(sandbox: &Sandbox) -> Vec<String> {
    for _ in 0..4 {
        let span = sandbox.clock().real(Duration::from_secs(600));
        tokio::time::advance(span).await;
        drop(sandbox.world());
    }
    shape(sandbox)
}

struct Cell {
    part: Part,
    /// Which call of that part is struck.
    number: usize,
    operation: String,
    way: Way,
    /// Whether there is such a call at all.
    strikes: bool,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What leads to a plan.
    Looking,
    /// What carries it out.
    Doing,
}

fn cells(course: &Course) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (part, calls) in [
        (Part::Looking, &course.looking),
        (Part::Doing, &course.doing),
    ] {
        for way in WAYS {
            for (number, operation) in calls.iter().enumerate() {
                if way.is_tried_on(operation) {
                    cells.push(Cell {
                        part,
                        number,
                        operation: operation.clone(),
                        way,
                        strikes: true,
                    });
                }
            }
        }
    }
    let (both, done) = (
        course.looking.len() + course.doing.len(),
        course.doing.len(),
    );
    for (part, number, way) in [
        (Part::Looking, 0, Way::Each),
        (Part::Looking, both, Way::Before),
        (Part::Doing, done, Way::Before),
    ] {
        cells.push(Cell {
            part,
            number,
            operation: "(none)".to_owned(),
            way,
            strikes: way == Way::Each,
        });
    }
    cells
}

pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Plays every cell, on every core.
fn play(command: &Command) {
    let course = block_on(command.undisturbed());
    let cells = cells(&course);
    let seen = Seen::default();
    let killings = killings(&cells);
    let kill = |cell: &&Cell| block_on(command.killed(cell, &course));
    let play = |cell: &&Cell| block_on(command.disturbed(cell, &course, &seen));
    let mut wrong = on_every_core(&killings, kill);
    wrong.extend(on_every_core(&cells.iter().collect::<Vec<_>>(), play));
    assert!(
        wrong.is_empty(),
        "{}: {} of {} cells end elsewhere:\n{}",
        command.name,
        wrong.len(),
        cells.len(),
        wrong.join("\n")
    );
}

/// The cells that are played with a caller who is really killed: the first, the last and the one in the middle; all of them where there is
/// time.
fn killings(cells: &[Cell]) -> Vec<&Cell> {
    let killings: Vec<&Cell> = cells
        .iter()
        .filter(|cell| cell.way == Way::Killed)
        .collect();
    match killings.as_slice() {
        [first, .., last] if !is_long() => vec![first, killings[killings.len() / 2], last],
        _ => killings,
    }
}

/// What is wrong with each of the cells, played on every core.
fn on_every_core(
    cells: &[&Cell],
    play: impl Fn(&&Cell) -> Result<(), String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let work = || {
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = play(cell) {
                let Cell {
                    part,
                    number,
                    operation,
                    way,
                    ..
                } = cell;
                let line = format!("{part:?}, call {number}, {operation}, {way:?}: {why}");
                wrong.lock().unwrap().push(line);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    wrong.into_inner().unwrap()
}

/// The tutorial's app, made and at rest.
fn made() -> Sandbox {
    block_on(async {
        let place = Place::within(&sandbox(), spec(TUTORIAL)).await;
        place.up().await;
        settled(&place.sandbox).await;
        place.sandbox
    })
}

#[test]
fn up_from_nothing_survives_every_fault() {
    let account = block_on(async { sandbox() });
    play(&Command::new("up", account, spec(TUTORIAL), Mode::Up));
}

#[test]
fn an_up_that_changes_much_survives_every_fault() {
    play(&Command::new("up, changed", made(), changed(), Mode::Up));
}

#[test]
fn down_survives_every_fault() {
    play(&Command::new("down", made(), spec(TUTORIAL), Mode::Down));
}

/// Somebody has put another gateway in the place of one, in the wrong zone: it can only be made again where it belongs. Beside it a
/// configuration of CodeDeploy's, which can't be changed, is replaced by another.
#[test]
fn an_up_that_replaces_survives_every_fault() {
    let account = made();
    block_on(async {
        let mut world = account.world();
        let mut edited = serde_json::to_value(&*world).unwrap();
        let now = world.now;
        move_gateway(&mut edited["regions"][REGION]["ec2"], now);
        *world = serde_json::from_value(edited).unwrap();
    });
    let text = TUTORIAL.replace(
        "strategy: all_at_once",
        "strategy: { canary: { percent: 20, wait: 5m } }",
    );
    let command = Command::new("up, replacing", account, spec(&text), Mode::Up);
    let kinds = block_on(async {
        let place = Place::within(&command.account.fork().unwrap(), command.spec.clone()).await;
        let plan = place.plan(command.options).await;
        let kinds = plan.steps.iter().map(|step| step.action.kind());
        kinds.collect::<BTreeSet<_>>()
    });
    assert!(kinds.contains(&ActionKind::Replace), "{kinds:?}");
    play(&command);
}

fn move_gateway(ec2: &mut Value, now: i64) {
    let named = |ec2: &Value, name: &str| {
        let tags = ec2["tags"].as_object().unwrap();
        let found = tags
            .iter()
            .find(|(_, tags)| tags["ecspipe:resource"] == name);
        found.unwrap().0.clone()
    };
    let gateway = named(ec2, "nat-gateway/eu-central-1b");
    let elsewhere = named(ec2, "subnet/public-eu-central-1a");
    let other = "nat-0123456789abcdef0";
    let mut moved = ec2["nats"][&gateway].clone();
    moved["subnet"] = json!(elsewhere);
    moved["token"] = Value::Null;
    ec2["nats"][other] = moved;
    ec2["tags"][other] = ec2["tags"][&gateway].clone();
    // AWS shows a deleted gateway for about an hour, and its token brings it back for as long.
    ec2["nats"][&gateway]["deleted"] = json!(now - 120_000);
}
