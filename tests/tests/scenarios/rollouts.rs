//! Rollouts that don't end as hoped, and those that are left or waited for. Time is virtual.

use super::stage::{AUTOMATIC, Stage, TUTORIAL};

const REPOSITORY: &str = "ecs-deployment-pipeline";
const OLD: &str = "200 This is httpd:2.4.58";

/// An app that is made, and whose pipeline has seen that there is nothing to build yet.
async fn made(spec: &str) -> Stage {
    let stage = Stage::new(spec);
    stage.run("up --yes").await.exits(0);
    stage
        .run("watch")
        .await
        .exits(6)
        .says(&["no branch named main was found"]);
    stage
}

#[track_caller]
fn still_old(stage: &Stage) {
    let page = stage.page(80);
    assert!(page.starts_with(OLD), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_rollout_is_rolled_back() {
    let stage = made(TUTORIAL).await;
    stage
        .run("stop")
        .await
        .exits(4)
        .says(&["error: no rollout is in flight", "hint: `ecspipe status`"]);
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage
        .run("deploy --image nginx:1.28")
        .await
        .exits(4)
        .says(&["is in flight", "`ecspipe watch d-", "`ecspipe stop d-"]);
    stage
        .run("stop")
        .await
        .exits(0)
        .says(&["is stopped", "`ecspipe watch`"]);
    stage
        .run("watch")
        .await
        .exits(6)
        .says(&["stopped: The deployment was stopped on request", "next: "]);
    still_old(&stage);
    assert!(stage.page(8080).starts_with(OLD), "{}", stage.page(8080));
    stage
        .run("reroute")
        .await
        .exits(4)
        .says(&["error: no rollout is in flight"]);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_can_be_stopped_where_it_is() {
    let stage = made(TUTORIAL).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage
        .run("stop --no-rollback")
        .await
        .exits(0)
        .says(&["stay as they are", "`ecspipe status`"]);
    stage.run("watch").await.exits(6).says(&["stopped"]);
    still_old(&stage);
    // What was left behind doesn't stand in the way of the next one.
    stage
        .run("deploy --image nginx:1.28 --until ready")
        .await
        .exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.28"),
        "{}",
        stage.page(80)
    );
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_can_be_stopped_before_it_deploys() {
    let stage = made(TUTORIAL).await;
    stage.push(REPOSITORY, "<h1>first</h1>\n");
    stage
        .run("stop")
        .await
        .exits(0)
        .says(&["is stopped before its deployment"]);
    stage.run("watch").await.exits(6).says(&["stopped"]);
    assert!(!stage.page(80).contains("first"), "{}", stage.page(80));
}

#[tokio::test(start_paused = true)]
async fn nobody_reroutes() {
    let stage = made(TUTORIAL).await;
    let ran = stage.run("deploy --image nginx:1.27").await.exits(6);
    assert!(
        ran.err.contains("waiting for `ecspipe reroute`"),
        "{}",
        ran.err
    );
    still_old(&stage);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_says_why() {
    let stage = made(TUTORIAL).await;
    stage.push_files(
        REPOSITORY,
        &[(
            "Dockerfile",
            "FROM httpd:2.4.58\nCOPY ./missing/ /usr/local/apache2/htdocs/\n",
        )],
    );
    stage.run("watch").await.exits(6).says(&[
        "✗ Build",
        "the build said last:",
        "missing",
        "failed: action Build",
    ]);
    still_old(&stage);

    stage.push(REPOSITORY, "<h1>mended</h1>\n");
    stage.run("watch --until ready").await.exits(8);
    assert_eq!(stage.page(8080), "200 <h1>mended</h1>");
}

#[tokio::test(start_paused = true)]
async fn tasks_that_never_get_healthy_are_taken_back() {
    let stage = made(TUTORIAL).await;
    stage
        .sandbox
        .faults()
        .unhealthy_images
        .push("shop:bad".to_owned());
    let ran = stage.run("deploy --image shop:bad").await.exits(6);
    assert!(
        ran.err.contains("rolled back") || ran.err.contains("failed:"),
        "{}",
        ran.err
    );
    still_old(&stage);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn following_ends_in_time_and_the_rollout_goes_on() {
    let stage = made(AUTOMATIC).await;
    let id = stage
        .run("deploy --image nginx:1.27 --detach")
        .await
        .exits(0)
        .out;
    assert!(id.starts_with("d-"), "{id}");
    stage
        .run("watch --timeout 1m")
        .await
        .exits(9)
        .says(&["still running", "`ecspipe watch`"]);
    stage.run("watch --timeout soon").await.exits(2);
    stage
        .run(&format!("watch {id} --until old-tasks"))
        .await
        .exits(9)
        .says(&["keeping the old tasks warm"]);
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.27"),
        "{}",
        stage.page(80)
    );
    stage.run("watch").await.exits(0).says(&["succeeded"]);
    stage
        .run("watch d-AAAAAAAAA")
        .await
        .exits(4)
        .says(&["d-AAAAAAAAA not found", "hint:"]);
}

#[tokio::test(start_paused = true)]
async fn every_line_of_json_is_json() {
    let stage = made(AUTOMATIC).await;
    stage.push("web", "<h1>first</h1>\n");
    let ran = stage.run("watch --format json").await.exits(0);
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 10, "{}", ran.out);
    assert_eq!(lines.last().unwrap()["event"], "ended", "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_spec_travels_with_a_deployment() {
    let stage = made(AUTOMATIC).await;
    stage.push("web", "<h1>first</h1>\n");
    stage.run("watch").await.exits(0);
    stage.write(
        "ecspipe.yaml",
        &AUTOMATIC.replace("port: 80", "port: 80, environment: { GREETING: hello }"),
    );
    // What a task runs with is a deployment's matter, not `up`'s.
    let plan = stage.run("plan --exit-code").await.exits(0);
    assert!(
        plan.out.contains("with the next deployment") && plan.out.contains("GREETING"),
        "{}",
        plan.out
    );
    stage.run("deploy").await.exits(0).says(&[
        "deployment files put to S3",
        "started by the change",
        "succeeded",
    ]);
    let plan = stage.run("plan --exit-code").await.exits(0);
    assert!(
        !plan.out.contains("with the next deployment"),
        "{}",
        plan.out
    );
    stage
        .run("deploy")
        .await
        .exits(0)
        .says(&["deployment files in S3 are up to date"]);
}

/// A spec's checks are never left out in silence: as they aren't made yet, nobody seems to follow a rollout that counts on them.
#[tokio::test(start_paused = true)]
async fn checks_that_nobody_makes_are_not_followed() {
    let stage = Stage::new(&TUTORIAL.replace("keep_old:", "checks: [{ path: / }]\n  keep_old:"));
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let refusal = ["`deploy.checks`", "hint: `ecspipe deploy --detach` starts"];
    stage
        .run("deploy --image nginx:1.27")
        .await
        .exits(4)
        .says(&refusal);
    stage.run("watch").await.exits(4).says(&refusal);
    stage
        .run("deploy --image nginx:1.27 --detach")
        .await
        .exits(0);
}
