//! What following costs and how soon it tells, in numbers on the virtual clock. A number that changes is seen here.

use std::time::Duration;

use ecspipe_sandbox::faults::{TaskFault, Trouble};
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

/// How many seconds after the second crash it is said that the tasks keep failing, and how many until everything is back in order.
async fn followed(fail_fast: u32) -> (i64, i64) {
    let stage = crashing(fail_fast).await;
    let surroundings = stage.surroundings();
    let rollout = surroundings.run("deploy --image shop:bad");
    tokio::pin!(rollout);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut crashes, mut row) = (Vec::new(), None);
    let ran = loop {
        tokio::select! {
            ran = &mut rollout => break ran,
            _ = second.tick() => {
                if crashes.len() < 2 {
                    crashes = crashed(&stage);
                }
                if row.is_none() && surroundings.talk().contains("the new tasks keep failing") {
                    row = Some(stage.sandbox.clock().now());
                }
            }
        }
    };
    ran.exits(6).says(&["the new tasks keep failing"]);
    let end = stage.sandbox.clock().now();
    let since = |at: i64| (at - crashes[1]) / 1000;
    // Where the second crash is the end, both are said at once.
    (since(row.unwrap_or(end)), since(end))
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
