//! What following costs and how soon it tells, in numbers on the virtual clock. A number that changes is seen here.

use std::time::Duration;

use ecspipe_sandbox::faults::{Behaviour, Course, TaskFault, Trouble};
use ecspipe_sandbox::services::codedeploy::Deployment;
use snapbox::{assert_data_eq, str};

use super::stage::{REGION, Stage, TUTORIAL};

/// Long waits, so that nothing happens meanwhile.
const SLOW: &str = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80, desired_count: 2 }
deploy:
  strategy: { canary: { percent: 20, wait: 2h } }
  approve: { within: 4h }
  keep_old: 2h
";

/// How many calls a minute of following takes where nothing happens: what nine minutes take more than three do.
async fn calls_a_minute(stage: &Stage) -> u64 {
    let calls = async |minutes: u64| {
        stage.sandbox.reset_counts();
        let ran = stage.run(&format!("watch --timeout {minutes}m")).await;
        assert!([8, 9].contains(&ran.code), "{}", ran.err);
        stage.sandbox.counts().values().sum::<u64>()
    };
    let (short, long) = (calls(3).await, calls(9).await);
    (long - short).div_ceil(6)
}

/// ARCHITECTURE.md says "some 30 calls a minute".
#[tokio::test(start_paused = true)]
async fn following_costs_some_thirty_calls_a_minute() {
    let stage = Stage::new(SLOW);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    let ready = calls_a_minute(&stage).await;
    stage.run("reroute").await.exits(0);
    let shifting = calls_a_minute(&stage).await;
    stage.minutes(120).await;
    stage.run("watch --until old-tasks").await.exits(9);
    let old_tasks = calls_a_minute(&stage).await;

    // With a pipeline in front of it, which is asked too, but seldom.
    let tutorial = Stage::new(&TUTORIAL.replace("within: 60m", "within: 4h"));
    tutorial.run("up --yes").await.exits(0);
    // Its first execution finds nothing to build.
    tutorial.run("watch").await.exits(6);
    tutorial.push("ecs-deployment-pipeline", "<h1>first</h1>\n");
    tutorial.run("watch --until ready").await.exits(8);
    let pipeline = calls_a_minute(&tutorial).await;
    assert_data_eq!(
        format!(
            "ready {ready}, shifting {shifting}, old tasks {old_tasks}, ready behind a pipeline {pipeline}\n"
        ),
        str![[r#"
ready 24, shifting 24, old tasks 24, ready behind a pipeline 26

"#]]
    );
    for calls in [ready, shifting, old_tasks, pipeline] {
        assert!(calls <= 32, "{calls} calls a minute");
    }
}

/// What is rolled out where it doesn't matter how.
const IMAGE: &str = "deploy --image shop:2";

/// An app whose next tasks crash five seconds after they start.
async fn crashing(fail_fast: u32) -> Stage {
    let stage = Stage::new(&format!(
        "version: 1
app: web
region: eu-central-1
service: {{ image: 'httpd:2.4.58', port: 80 }}
deploy: {{ keep_old: 5m, fail_fast: {fail_fast} }}
"
    ));
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let crash = Trouble::Crash {
        exit_code: 3,
        after: 5,
        log: vec!["panic: no database".to_owned()],
    };
    let crash = ("shop:bad".to_owned(), TaskFault::new(crash));
    stage.sandbox.faults().dials.tasks.extend([crash]);
    stage
}

/// When tasks have crashed, oldest first, in milliseconds on the account's clock.
fn crashed(stage: &Stage) -> Vec<i64> {
    let mut world = stage.sandbox.world();
    let tasks = world.at(REGION).ecs.tasks.values();
    let stops = tasks.filter_map(|task| task.stop.as_ref());
    let mut crashed: Vec<i64> = stops
        .filter(|stop| stop.code == "EssentialContainerExited")
        .map(|stop| stop.at)
        .collect();
    crashed.sort_unstable();
    crashed
}

/// How many seconds after something has happened in the account a command says so, and how many until it ends. `happened` looks every
/// second, and gives the time by the account's clock.
async fn told(
    stage: &Stage,
    args: &str,
    mut happened: impl FnMut(&Stage) -> Option<i64>,
    words: &str,
) -> (i64, i64) {
    let surroundings = stage.surroundings();
    let rollout = surroundings.run(args);
    tokio::pin!(rollout);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut at, mut said) = (None, None);
    let ran = loop {
        tokio::select! {
            ran = &mut rollout => break ran,
            _ = second.tick() => {
                at = at.or_else(|| happened(stage));
                if said.is_none() && surroundings.talk().contains(words) {
                    said = Some(stage.sandbox.clock().now());
                }
            }
        }
    };
    ran.exits(6).says(&[words]);
    let end = stage.sandbox.clock().now();
    let since = |time: i64| (time - at.unwrap_or(0)) / 1000;
    // Where it is the end, both are said at once.
    (since(said.unwrap_or(end)), since(end))
}

/// The same of the second crash of a row.
async fn followed(fail_fast: u32) -> (i64, i64) {
    let stage = crashing(fail_fast).await;
    let second = |stage: &Stage| crashed(stage).get(1).copied();
    told(
        &stage,
        "deploy --image shop:bad",
        second,
        "the new tasks keep failing",
    )
    .await
}

/// How many seconds after the second crash CodeDeploy gives up by itself.
async fn alone() -> i64 {
    let stage = crashing(3).await;
    stage.run("deploy --image shop:bad --detach").await.exits(0);
    let (mut crashes, mut over) = (Vec::new(), None);
    while over.is_none() {
        tokio::time::advance(Duration::from_secs(1)).await;
        if crashes.len() < 2 {
            crashes = crashed(&stage);
        }
        let mut world = stage.sandbox.world();
        let mut deployments = world.at(REGION).codedeploy.deployments.values();
        over = deployments.find_map(|deployment| deployment.completed);
    }
    over.map_or(0, |over| (over - crashes[1]) / 1000)
}

/// A row of crashes is said within seconds and ends the rollout with the third crash; CodeDeploy by itself takes an hour.
#[tokio::test(start_paused = true)]
async fn crashes_are_told_within_seconds_and_not_after_an_hour() {
    let mut figures = String::new();
    for fail_fast in [2, 3] {
        let (row, end) = followed(fail_fast).await;
        assert!((0..=15).contains(&row), "{row} s");
        figures += &format!("fail_fast {fail_fast}: said after {row} s, over after {end} s\n");
    }
    figures += &format!("CodeDeploy alone: over after {} s\n", alone().await);
    assert_data_eq!(
        figures,
        str![[r#"
fail_fast 2: said after 3 s, over after 3 s
fail_fast 3: said after 4 s, over after 27 s
CodeDeploy alone: over after 3549 s

"#]]
    );
}

/// The first deployment that the account has, as it is now.
fn deployment<T>(stage: &Stage, look: impl Fn(&Deployment) -> Option<T>) -> Option<T> {
    let mut world = stage.sandbox.world();
    let mut deployments = world.at(REGION).codedeploy.deployments.values();
    deployments.next().and_then(look)
}

/// What is to blame is said soon after the account knows it.
#[tokio::test(start_paused = true)]
async fn every_cause_is_told_within_seconds() {
    let spec = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80 }
deploy:
  strategy: { canary: { percent: 20, wait: 30m } }
  keep_old: 5m
  alarms: [{ http_5xx: { above: 1%, for: 2m } }]
  hooks: { after_allow_test_traffic: web-smoke }
  rollback_on: [failure, stop, alarm]
";
    let made = async || {
        let stage = Stage::new(spec);
        stage.add_function("web-smoke");
        stage.run("up --yes").await.exits(0);
        stage.minutes(5).await;
        stage
    };
    let mut figures = Vec::new();

    let stage = made().await;
    let fails = Behaviour(Course::Fail {
        after: 3,
        log: vec!["1 of 3 orders was not found".to_owned()],
    });
    let fails = ("web-smoke".to_owned(), fails);
    stage.sandbox.faults().dials.functions.extend([fails]);
    let failed = |stage: &Stage| {
        deployment(stage, |deployment| {
            let mut events = deployment.events.iter();
            events.find(|event| event.status == "Failed")?.end
        })
    };
    let words = "✗ AfterAllowTestTraffic";
    figures.push(("hook", told(&stage, IMAGE, failed, words).await));

    let stage = made().await;
    // It begins to fire while production is split, and stops the deployment at once.
    let fires = |stage: &Stage| {
        let shifts = deployment(stage, |deployment| (deployment.shifted == 20).then_some(()));
        shifts?;
        let mut faults = stage.sandbox.faults();
        faults.dials.alarms.push("web-http-5xx-green".to_owned());
        Some(stage.sandbox.clock().now())
    };
    figures.push(("alarm", told(&stage, IMAGE, fires, "alarm web-http").await));

    let stage = made().await;
    let unpullable = TaskFault::new(Trouble::CannotPull {
        why: Default::default(),
    });
    let unpullable = ("shop:2".to_owned(), unpullable);
    stage.sandbox.faults().dials.tasks.extend([unpullable]);
    let stopped = |stage: &Stage| {
        let mut world = stage.sandbox.world();
        let tasks = world.at(REGION).ecs.tasks.values();
        let stops = tasks.filter_map(|task| task.stop.as_ref());
        stops.map(|stop| stop.at).min()
    };
    figures.push(("pull", told(&stage, IMAGE, stopped, "CannotPull").await));

    let stage = made().await;
    stage.run("watch").await.exits(6);
    stage.push_files(
        "web",
        &[("Dockerfile", "FROM httpd:2.4.58\nCOPY ./missing/ /x/\n")],
    );
    let built = |stage: &Stage| {
        let mut world = stage.sandbox.world();
        let state = serde_json::to_value(&world.at(REGION).codebuild).unwrap();
        let builds = state["builds"].as_object()?;
        builds.values().find_map(|build| build["ended"].as_i64())
    };
    figures.push((
        "build",
        told(&stage, "watch", built, "the build said last").await,
    ));

    let lines: String = figures
        .iter()
        .map(|(cause, (said, _))| format!("{cause}: said after {said} s\n"))
        .collect();
    assert_data_eq!(
        lines,
        str![[r#"
hook: said after 1 s
alarm: said after 7 s
pull: said after 6 s
build: said after 0 s

"#]]
    );
    for (cause, (said, _)) in figures {
        assert!((0..=15).contains(&said), "{cause}: {said} s");
    }
}
