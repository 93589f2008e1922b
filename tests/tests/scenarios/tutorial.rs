//! The tutorial command by command: what a user types, reads and finds served. Time is virtual.

use snapbox::{assert_data_eq, file};

use super::redact::redact;
use super::stage::{Stage, TUTORIAL};

const REPOSITORY: &str = "ecs-deployment-pipeline";
const OLD: &str = "200 This is httpd:2.4.58";

#[tokio::test(start_paused = true)]
async fn from_nothing_to_a_new_version_and_back_to_nothing() {
    let stage = Stage::new(TUTORIAL);
    stage.run("outputs").await.exits(4);
    stage.run("plan --exit-code").await.exits(10);
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    let outputs = stage.run("outputs --format json").await.exits(0).json();
    assert_eq!(outputs["pipeline"], REPOSITORY);
    assert_eq!(outputs["cluster"], REPOSITORY);

    stage.minutes(10).await;
    stage.push(REPOSITORY, "<h1>first</h1>\n");
    let ran = stage.run("deploy --until ready").await.exits(8);
    assert!(
        ran.err.contains("deployment files in S3 are up to date"),
        "{}",
        ran.err
    );
    stage.run("status").await.exits(0);
    let status = stage.run("status --format json").await.exits(0).json();
    assert!(
        status["status"]["in_flight"]["deployment"]["id"].is_string(),
        "{status:#}"
    );
    assert_eq!(status["status"]["in_flight"]["percent"], 0);
    assert!(stage.page(80).starts_with(OLD), "{}", stage.page(80));
    assert_eq!(stage.page(8080), "200 <h1>first</h1>");

    stage.run("reroute").await.exits(0);
    stage.run("watch").await.exits(0);
    assert_eq!(stage.page(80), "200 <h1>first</h1>");
    stage.run("plan --exit-code").await.exits(0);
    stage.run("logs").await.exits(0);
    stage.run("status").await.exits(0);
    stage.run("down --yes").await.exits(0);

    let mut transcript = stage.transcript.lock().unwrap().clone();
    // The JSON forms are documented; the screens are what is read here.
    transcript = transcript
        .lines()
        .filter(|line| !line.starts_with('{'))
        .collect::<Vec<_>>()
        .join("\n");
    assert_data_eq!(redact(&transcript), file!["transcripts/tutorial.txt"].raw());
}

#[tokio::test(start_paused = true)]
async fn going_back_goes_to_the_last_good_version() {
    let stage = Stage::new(TUTORIAL);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    stage.push(REPOSITORY, "<h1>first</h1>\n");
    stage.run("watch --until ready").await.exits(8);
    stage
        .run("reroute --finish")
        .await
        .exits(0)
        .says(&["production traffic moves", "the old tasks go now"]);
    stage.run("watch").await.exits(0);

    // The same files and the same source again.
    stage
        .run("deploy --until ready")
        .await
        .exits(8)
        .says(&["deployment files in S3 are up to date"]);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    assert_eq!(stage.page(80), "200 <h1>first</h1>");

    let ran = stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    assert!(
        ran.err.contains("registered ecs-deployment-pipeline:"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("pipeline execution"), "{}", ran.err);
    assert!(
        stage.page(8080).starts_with("200 This is nginx:1.27"),
        "{}",
        stage.page(8080)
    );
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.27"),
        "{}",
        stage.page(80)
    );
    stage.run("plan --exit-code").await.exits(0);

    let ran = stage.answer("rollback", &["n"]).await.exits(4);
    assert!(ran.err.contains("nothing was done"), "{}", ran.err);
    stage
        .run("rollback")
        .await
        .exits(2)
        .says(&["there is nobody to ask", "pass --yes"]);
    stage
        .run("rollback --yes --until ready")
        .await
        .exits(8)
        .says(&["goes back to ecs-deployment-pipeline:"]);
    assert_eq!(stage.page(8080), "200 <h1>first</h1>");
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    assert_eq!(stage.page(80), "200 <h1>first</h1>");
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn taking_an_app_down_asks_for_its_name() {
    let stage = Stage::new(TUTORIAL);
    let before = stage.things();
    stage
        .answer("up", &["n"])
        .await
        .exits(4)
        .says(&["? make these changes? n", "nothing was done"]);
    assert_eq!(stage.things(), before);
    stage
        .answer("up", &["y"])
        .await
        .exits(0)
        .says(&["? make these changes? y"]);
    let made = stage.things();

    stage
        .run("down")
        .await
        .exits(2)
        .says(&["there is nobody to ask", "pass --yes"]);
    stage
        .answer("down", &["web"])
        .await
        .exits(4)
        .says(&["that isn't the app's name; nothing was done"]);
    assert_eq!(stage.things(), made);
    stage.run("plan --exit-code").await.exits(0);

    stage.answer("down", &[REPOSITORY]).await.exits(0);
    let left: Vec<String> = stage.things().difference(&before).cloned().collect();
    assert_eq!(
        left,
        ["eu-central-1/codecommit/repositories/ecs-deployment-pipeline"]
    );
    stage.run("down --yes --delete-source").await.exits(0);
    assert_eq!(stage.things(), before);
    stage
        .run("down --yes")
        .await
        .exits(0)
        .says(&["there is nothing of ecs-deployment-pipeline in eu-central-1"]);
}

/// All calls of a command, at AWS's times: the lease, the look for a rollout and the waiting included.
#[tokio::test(start_paused = true)]
async fn commands_take_few_calls() {
    let stage = Stage::new(TUTORIAL);
    for (command, most) in [
        ("up --yes", 119),
        ("plan", 44),
        ("down --yes --delete-source", 130),
    ] {
        stage.sandbox.reset_counts();
        stage.run(command).await.exits(0);
        let counts = stage.sandbox.counts();
        let calls: u64 = counts.values().sum();
        assert!(calls <= most, "{command}: {calls} calls: {counts:#?}");
    }
}
