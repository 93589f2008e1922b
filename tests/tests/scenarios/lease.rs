//! One operator at a time: runs that begin together, in every order that a seed gives, and what becomes of a lease whose holder is
//! killed, cut off, or told to go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecspipe_aws::Pace;
use ecspipe_provision::lease::Lease;
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Chaos, Rule, Strike};
use ecspipe_sandbox::wire::Fault;
use snapbox::{assert_data_eq, str};

use super::failure::until;
use super::place::{Place, spec, without_latency};
use super::stage::{AUTOMATIC, Ran, Stage, Surroundings};

/// Longer than an attempt is waited for: it is lost after 20 s, and made again.
const SILENT: Duration = Duration::from_secs(50);

/// Somebody at a machine of their own, in the process `id` there.
fn operator(stage: &Stage, id: u32) -> Surroundings {
    let mut surroundings = stage.surroundings();
    surroundings.world.machine.host = format!("machine-{id}");
    surroundings.world.machine.process.id = id;
    surroundings.world.machine.process.table = format!("machine-{id}");
    surroundings
}

fn strike(operation: &str, skip: u64, times: u64, strike: Strike) -> Rule {
    Rule {
        service: Some("s3".to_owned()),
        operation: Some(operation.to_owned()),
        skip,
        times,
        strike,
    }
}

/// How many things of each sort the account holds, but for tasks and their interfaces, which come after a while.
fn shape(stage: &Stage) -> BTreeMap<String, usize> {
    let mut shape = BTreeMap::new();
    for thing in stage.things() {
        let sort: Vec<&str> = thing.split('/').take(3).collect();
        if !["tasks", "interfaces"].contains(&sort[2]) {
            *shape.entry(sort.join("/")).or_default() += 1;
        }
    }
    shape
}

/// What was made of things that have no name of their own to be made only once by, by operation.
fn made(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let makes = ["Create", "Allocate", "Register"];
    let nameless = ["ec2", "ecs", "kms"];
    let mut made = BTreeMap::new();
    for ((service, operation), calls) in sandbox.counts() {
        let makes = makes.iter().any(|verb| operation.starts_with(verb));
        if makes && nameless.contains(&service.as_str()) {
            made.insert(format!("{service} {operation}"), calls);
        }
    }
    made
}

/// What one run makes of an account, to compare with.
struct Alone {
    nothing: BTreeMap<String, usize>,
    app: BTreeMap<String, usize>,
    left: BTreeMap<String, usize>,
    made: BTreeMap<String, u64>,
    account: Sandbox,
}

impl Alone {
    async fn new() -> Self {
        let stage = Stage::new(AUTOMATIC);
        let nothing = shape(&stage);
        stage.run("up --yes").await.exits(0);
        let account = stage.sandbox.fork().unwrap();
        let alone = Self {
            nothing,
            app: shape(&stage),
            made: made(&stage.sandbox),
            left: BTreeMap::new(),
            account,
        };
        stage.run("down --yes").await.exits(0);
        Self {
            left: shape(&stage),
            ..alone
        }
    }
}

/// How two runs ended, the one that ended last behind.
struct Together {
    ends: Vec<(&'static str, Ran)>,
    stage: Stage,
}

/// Two commands that begin together, or almost, in an account whose answers take as long as the seed says.
async fn together(begin: &Sandbox, seed: u64, commands: [&'static str; 2]) -> Together {
    let stage = Stage::of(AUTOMATIC, begin.fork().unwrap());
    let slow = Chaos {
        slow: 400,
        at_most: 1_000_000,
        ..Chaos::calm(seed)
    };
    stage.sandbox.faults().set_chaos(Some(slow));
    // The same moment for even seeds; else somewhere in the first minute of the other's run.
    let late = Duration::from_millis((seed % 2) * (seed * 7_919 % 60_000));
    let begun = tokio::time::Instant::now();
    let run = async |id: u32, command: &'static str, late: Duration| {
        Pace::default().sleep(late).await;
        let ran = operator(&stage, id).run(command).await;
        (begun.elapsed(), command, ran)
    };
    let (first, second) = tokio::join!(
        run(1, commands[0], Duration::ZERO),
        run(2, commands[1], late)
    );
    let mut ends = [first, second];
    ends.sort_by_key(|(at, ..)| *at);
    stage.sandbox.faults().clear();
    Together {
        ends: ends
            .into_iter()
            .map(|(_, command, ran)| (command, ran))
            .collect(),
        stage,
    }
}

fn seeds() -> std::ops::Range<u64> {
    let long = std::env::var("ECSPIPE_LONG").is_ok();
    0..if long { 200 } else { 4 }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_together_one_works() {
    let alone = Alone::new().await;
    let empty = Stage::new(AUTOMATIC).sandbox;
    for seed in seeds() {
        // The first time, where there is no place for a lease yet.
        let both = together(&empty, seed, ["up --yes", "up --yes"]).await;
        one_worked(&both, seed);
        assert_eq!(made(&both.stage.sandbox), alone.made, "seed {seed}");
        both.settled_as(&alone.app, seed).await;

        // An app that is there: whoever comes first.
        let both = together(&alone.account, seed, ["up --yes", "down --yes"]).await;
        let worked = one_worked(&both, seed);
        let shape = match worked.as_str() {
            "up --yes" => &alone.app,
            _ => &alone.left,
        };
        both.settled_as(shape, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_together_one_waits() {
    let alone = Alone::new().await;
    let empty = Stage::new(AUTOMATIC).sandbox;
    let up = "up --yes --wait-lease 90m";
    for seed in seeds() {
        let both = together(&empty, seed, [up, up]).await;
        both.both_worked(seed);
        assert_eq!(made(&both.stage.sandbox), alone.made, "seed {seed}");
        both.settled_as(&alone.app, seed).await;

        let down = "down --yes --delete-source --wait-lease 90m";
        let both = together(&alone.account, seed, [down, up]).await;
        both.both_worked(seed);
        let shape = match both.ends[1].0 == up {
            true => &alone.app,
            false => &alone.nothing,
        };
        both.settled_as(shape, seed).await;
    }
}

/// One run ended with 0 and the other was refused for it, unless that one had ended before; the command that worked last.
fn one_worked(both: &Together, seed: u64) -> String {
    let worked: Vec<&str> = both
        .ends
        .iter()
        .filter(|(_, ran)| ran.code == 0)
        .map(|(command, _)| *command)
        .collect();
    for (command, ran) in &both.ends {
        assert!(
            [0, 4].contains(&ran.code),
            "seed {seed}: {command}\n{}",
            ran.err
        );
        if ran.code == 4 {
            assert!(
                ran.err.contains(" is at work on web"),
                "seed {seed}\n{}",
                ran.err
            );
            assert!(
                ran.err.contains("nothing was done"),
                "seed {seed}\n{}",
                ran.err
            );
        }
    }
    (*worked
        .last()
        .unwrap_or_else(|| panic!("seed {seed}: neither worked")))
    .to_owned()
}

impl Together {
    fn both_worked(&self, seed: u64) {
        for (command, ran) in &self.ends {
            assert_eq!(ran.code, 0, "seed {seed}: {command}\n{}", ran.err);
        }
    }

    /// The account is as after one run, and nothing is left of a lease.
    async fn settled_as(&self, shape: &BTreeMap<String, usize>, seed: u64) {
        assert_eq!(&super::lease::shape(&self.stage), shape, "seed {seed}");
        if shape.keys().any(|sort| sort.contains("/ec2/vpcs")) {
            self.stage.run("plan --exit-code").await.exits(0);
        }
        assert_eq!(held(&self.stage), None, "seed {seed}");
    }
}

/// The lease that is held.
fn held(stage: &Stage) -> Option<Lease> {
    let world = stage.sandbox.world();
    let bucket = world.s3.buckets.values().next()?;
    let versions = bucket.objects.get(".ecspipe/lease")?;
    let content = versions.last()?.content.as_ref()?;
    let lease: Lease = serde_json::from_slice(&content.0).unwrap();
    (lease.holds_for > 0).then_some(lease)
}

/// Whoever comes second is told who works, where, on what, since when, until when, and the ways out; and nothing was changed.
#[tokio::test(start_paused = true)]
async fn who_is_refused_knows_all_about_it() {
    let stage = Stage::new(AUTOMATIC);
    let mut first = operator(&stage, 4711);
    let job = [
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "shop/web"),
        ("GITHUB_RUN_ID", "1234"),
    ];
    first.world.env = job
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let second = operator(&stage, 2);
    let (ran, ()) = tokio::join!(first.run("up --yes"), async {
        until(&first, "✓ vpc/main").await;
        let before = stage.sandbox.counts();
        let ran = second.run("down --yes").await.exits(4);
        assert_data_eq!(
            ran.err,
            str![[r#"
error: arn:aws:iam::111122223333:user/sandbox (`ecspipe up` on machine-4711, process 4711, since 2026-01-01 00:00:00 UTC) is at work on web; nothing was done
  their lease runs out at 2026-01-01 00:03:00 UTC unless they renew it, which they do every minute while they work
  their job: https://github.com/shop/web/actions/runs/1234
hint: wait for them with `--wait-lease 5m`; or, if that run was killed, run the command again after 2026-01-01 00:03:00 UTC; or take the lease away from them with `--break-lease`

"#]]
        );
        let wrote = stage
            .sandbox
            .counts()
            .get(&("kms".to_owned(), "ScheduleKeyDeletion".to_owned()))
            .copied();
        assert_eq!(wrote, None, "{before:?}");
    });
    ran.exits(0);
    assert_eq!(held(&stage), None);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time_or_with_ctrl_c() {
    let stage = Stage::new(AUTOMATIC);
    let first = operator(&stage, 1);
    let (ran, ()) = tokio::join!(first.run("up --yes"), async {
        until(&first, "✓ vpc/main").await;
        operator(&stage, 2)
            .run("up --yes --wait-lease 20s")
            .await
            .exits(4)
            .says(&[
                "waiting for them, until ",
                "error: waited 20 s in vain: ",
                "nothing was done",
            ]);
        let third = operator(&stage, 3);
        let (ran, ()) = tokio::join!(third.run("up --yes --wait-lease 5m"), async {
            until(&third, "waiting for them").await;
            third.world.cancel().cancel();
        });
        ran.exits(4)
            .says(&["nothing was done: you stopped waiting for arn:aws:"]);
    });
    ran.exits(0);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_blocks_nobody_for_long() {
    let stage = Stage::new(AUTOMATIC);
    let first = operator(&stage, 1);
    tokio::select! {
        ran = first.run("up --yes") => panic!("{ran:?}"),
        () = until(&first, "✓ vpc/main") => {}
    }
    // On another machine nobody knows that it is dead, until its lease runs out.
    operator(&stage, 2).run("up --yes").await.exits(4);
    let began = tokio::time::Instant::now();
    let ran = operator(&stage, 2).run("up --yes --wait-lease 5m").await.exits(0).says(&[
        "waiting for them, until ",
        "the lease of arn:aws:iam::111122223333:user/sandbox (`ecspipe up` on machine-1, process 1, since ",
        ") has run out, without being given back",
    ]);
    assert!(ran.err.contains("to create"), "{}", ran.err);
    assert!(
        began.elapsed() < Duration::from_secs(600),
        "{:?}",
        began.elapsed()
    );
    stage.run("plan --exit-code").await.exits(0);

    // On its own machine it is seen.
    let place = Place::within(&stage.sandbox, spec(AUTOMATIC)).await;
    place.leave_lease(5).await;
    let mut again = operator(&stage, 6);
    again.world.machine.has_ended = Arc::new(|process| process.id == 5);
    again
        .run("down --yes")
        .await
        .exits(0)
        .says(&["was left by a process of this machine that has ended"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_breaks_a_lease_says_whose_and_the_other_stops() {
    let alone = Alone::new().await;
    let stage = Stage::new(AUTOMATIC);
    let (first, second) = (operator(&stage, 1), operator(&stage, 2));
    let (ran, ()) = tokio::join!(first.run("up --yes"), async {
        until(&first, "✓ vpc/main").await;
        let ran = second.run("up --yes --break-lease").await.exits(0);
        assert!(ran.err.contains("the lease of arn:aws:iam::111122223333:user/sandbox (`ecspipe up` on machine-1, process 1, since "), "{}", ran.err);
        assert!(
            ran.err.contains(") is broken; waiting for a minute"),
            "{}",
            ran.err
        );
    });
    let ran = ran.exits(5).says(&[
        "nothing new is begun: somebody has taken the lease away",
        "skipped, the run was stopped",
        "error: the lease was taken away: arn:aws:iam::111122223333:user/sandbox (`ecspipe up` on machine-2, process 2, since ",
        "nothing new was begun after that",
        "hint: ask them; ",
    ]);
    assert!(!ran.err.contains("Ctrl-C"), "{}", ran.err);
    assert_eq!(made(&stage.sandbox), alone.made);
    assert_eq!(shape(&stage), alone.app);
    stage.run("plan --exit-code").await.exits(0);
}

/// A question that is left open holds the lease; once it is broken, the answer comes too late. Here the look takes as long.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_lost_before_anything_is_done() {
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    stage.write(
        "ecspipe.yaml",
        &AUTOMATIC.replace("keep_old: 5m", "keep_old: 6m"),
    );
    for operation in ["GetBucketVersioning", "ListDeployments"] {
        let slow = strike(operation, 0, 2, Strike::Delay(SILENT));
        stage.sandbox.faults().add(Rule {
            service: None,
            ..slow
        });
    }
    let (first, second) = (operator(&stage, 1), operator(&stage, 2));
    let (ran, ()) = tokio::join!(first.run("up --yes"), async {
        until_held(&stage).await;
        second.run("up --yes --break-lease").await.exits(0);
    });
    let ran = ran
        .exits(4)
        .says(&["error: the lease was taken away: ", "; nothing was done"]);
    assert!(!ran.err.contains("✓"), "{}", ran.err);
    stage.run("plan --exit-code").await.exits(0);
}

async fn until_held(stage: &Stage) {
    while held(stage).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_the_run_when_it_runs_out() {
    let stage = Stage::new(AUTOMATIC);
    // Somebody has taken the permission away. (What the SDK tries again would use up its tries for other tests of this process.)
    let silent = Fault::new("AccessDenied", "no more").status(403);
    // Enough of it to do when the lease runs out.
    let slow = |operation: &str| Rule {
        service: None,
        ..strike(operation, 0, 2, Strike::Delay(SILENT))
    };
    for rule in [
        strike("PutObject", 1, 1_000_000, Strike::Refuse(silent)),
        slow("CreateListener"),
        slow("CreateService"),
    ] {
        stage.sandbox.faults().add(rule);
    }
    let ran = stage.run("up --yes").await.exits(5).says(&[
        "error: the lease has run out: for 3 min 00 s it could not be renewed",
        "hint: run the command again: it goes on from there",
    ]);
    assert!(
        ran.err.contains("skipped, the run was stopped"),
        "{}",
        ran.err
    );
    stage.sandbox.faults().clear();
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_cost_nobody_the_lease() {
    let stage = Stage::new(AUTOMATIC);
    for operation in ["CreateBucket", "PutObject"] {
        stage
            .sandbox
            .faults()
            .add(strike(operation, 0, 1, Strike::LoseAnswer));
    }
    // Somebody else wrote at the same moment, and then didn't.
    let conflict = Fault::new("ConditionalRequestConflict", "a conflicting operation").status(409);
    stage
        .sandbox
        .faults()
        .add(strike("PutObject", 1, 1, Strike::Refuse(conflict)));
    // A renewal too.
    stage
        .sandbox
        .faults()
        .add(strike("PutObject", 3, 1, Strike::LoseAnswer));
    stage.run("up --yes").await.exits(0);
    assert_eq!(held(&stage), None);
    stage
        .sandbox
        .faults()
        .add(strike("DeleteBucket", 0, 1, Strike::LoseAnswer));
    stage.run("down --yes --delete-source").await.exits(0);
    assert_eq!(stage.things(), Stage::new(AUTOMATIC).things());
}

/// Between the last object and the bucket somebody else takes the lease: then the bucket is theirs.
#[tokio::test(start_paused = true)]
async fn whoever_takes_the_lease_in_the_last_moment_of_a_teardown_has_it() {
    let alone = Alone::new().await;
    let stage = Stage::of(AUTOMATIC, alone.account.fork().unwrap());
    stage
        .sandbox
        .faults()
        .add(strike("DeleteBucket", 0, 2, Strike::Delay(SILENT)));
    let (first, second) = (operator(&stage, 1), operator(&stage, 2));
    let (down, up) = tokio::join!(first.run("down --yes --delete-source"), async {
        until_held(&stage).await;
        second.run("up --yes --wait-lease 90m").await
    });
    down.exits(5)
        .says(&["has begun to work with bucket web-artifacts-111122223333-eu-central-1"]);
    up.exits(0);
    assert_eq!(shape(&stage), alone.app);
    stage.run("plan --exit-code").await.exits(0);
}

/// The calls of the lease: taken, renewed once a minute, given back.
#[tokio::test(start_paused = true)]
async fn a_lease_costs_few_calls() {
    let stage = Stage::of(super::stage::TUTORIAL, without_latency());
    let total = |stage: &Stage| -> u64 {
        let counts = stage.sandbox.counts();
        println!("{counts:?}");
        stage.sandbox.reset_counts();
        counts.values().sum()
    };
    stage.run("up --yes").await.exits(0);
    let up = total(&stage);
    stage.run("plan").await.exits(0);
    let plan = stage.sandbox.counts();
    stage.run("up --yes").await.exits(0);
    total(&stage);
    stage.run("down --yes").await.exits(0);
    let down = total(&stage);
    println!("up {up}, down {down}");
    assert!(up <= 120, "{up}");
    assert!(down <= 130, "{down}");
    assert!(!plan.contains_key(&("s3".to_owned(), "GetObject".to_owned())));
}

/// Versions and delete markers of leases go by a rule of the bucket, and a lease starts no pipeline.
#[tokio::test(start_paused = true)]
async fn a_lease_leaves_nothing_and_starts_nothing() {
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let pipelines = |stage: &Stage| {
        let mut world = stage.sandbox.world();
        serde_json::to_string(&world.at(super::stage::REGION).codepipeline).unwrap()
    };
    let before = pipelines(&stage);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    assert_eq!(pipelines(&stage), before);
    let world = stage.sandbox.world();
    let bucket = world.s3.buckets.values().next().unwrap();
    let versions = &bucket.objects[".ecspipe/lease"];
    let writings = versions.iter().filter(|version| version.content.is_some());
    assert!(writings.count() > 3);
    let rules = bucket.settings["LifecycleConfiguration"].to_string();
    assert!(rules.contains(".ecspipe/lease"), "{rules}");
}
