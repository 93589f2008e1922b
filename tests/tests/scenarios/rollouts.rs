//! Rollouts that don't end as hoped, and those that are left or waited for. Time is virtual.

use ecspipe_sandbox::faults::{Rule, Strike, TaskFault, Trouble};
use ecspipe_sandbox::wire::Fault;
use ecspipe_sandbox::world::World;

use super::stage::{AUTOMATIC, REGION, Stage, TUTORIAL, built};

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

/// Who goes back while a rollout is in flight gets what was asked for, and a script sees it.
#[tokio::test(start_paused = true)]
async fn a_rollout_in_flight_is_taken_back() {
    let stage = made(TUTORIAL).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("rollback --yes").await.exits(0).says(&[
        "was in flight: it is stopped",
        "The deployment was stopped on request",
    ]);
    still_old(&stage);
    // Once one has succeeded, CodeDeploy goes back by a deployment of its own.
    stage.run("deploy --image nginx:1.28 --until ready").await;
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("deploy --image nginx:1.29 --until ready").await;
    stage
        .run("rollback --yes")
        .await
        .exits(0)
        .says(&["rolled back: The deployment was stopped on request"]);
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.28"),
        "{}",
        stage.page(80)
    );
    // Whoever comes later sees the rollout that was taken back, not that deployment.
    stage
        .run("watch")
        .await
        .exits(6)
        .says(&["rolled back: The deployment was stopped on request"]);
}

async fn assert_reached(stage: &Stage) {
    let status = stage.run("status").await.exits(0).out;
    assert!(!status.contains("nowhere"), "{status}");
}

/// While a rollout keeps a listener where it is, its port stays open.
#[tokio::test(start_paused = true)]
async fn a_listener_that_may_not_move_yet_is_still_reached() {
    let stage = made(TUTORIAL).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    let moved = TUTORIAL.replace("production: { port: 80 }", "production: { port: 81 }");
    stage.write("ecspipe.yaml", &moved);
    stage.run("up --yes").await.exits(4).says(&["held back"]);
    still_old(&stage);
    assert_reached(&stage).await;
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("up --yes").await.exits(0);
    assert_reached(&stage).await;
    assert!(stage.page(81).starts_with("200 This is nginx:1.27"));
    stage.run("plan --exit-code").await.exits(0);

    // Nor is it closed where the listener fails to move.
    stage.write("ecspipe.yaml", TUTORIAL);
    stage.sandbox.faults().add(Rule {
        service: None,
        operation: Some("ModifyListener".to_owned()),
        skip: 0,
        times: 100,
        strike: Strike::Refuse(Fault::new("AccessDenied", "no")),
    });
    stage.run("up --yes").await.exits(7);
    assert_reached(&stage).await;
    assert!(stage.page(81).starts_with("200 This is nginx:1.27"));
}

/// A point that a failed rollout never came to isn't said to be reached.
#[tokio::test(start_paused = true)]
async fn a_rollout_that_fails_reaches_no_point() {
    let crash = Trouble::Crash {
        exit_code: 3,
        after: 5,
        log: vec!["no database".to_owned()],
    };
    for point in ["installed", "test-traffic", "ready", "shifted", "done"] {
        let stage = made(AUTOMATIC).await;
        let crash = ("nginx:1.27".to_owned(), TaskFault::new(crash.clone()));
        stage.sandbox.faults().dials.tasks.extend([crash]);
        stage
            .run(&format!("deploy --image nginx:1.27 --wait-until {point}"))
            .await
            .exits(6)
            .says(&["exit code 3", "no database"]);
        // Nor is its cause lost to whoever comes later, though CodeDeploy's own deployment is the newest.
        stage.run("watch").await.exits(6).says(&["exit code 3"]);
    }
}

/// New tasks that were stopped before any production came to them go, and what serves stays what it is: going back doesn't mean
/// the version before that.
#[tokio::test(start_paused = true)]
async fn new_tasks_that_a_stop_has_left_can_be_sent_away() {
    let stage = made(TUTORIAL).await;
    for image in ["nginx:1.26", "nginx:1.27"] {
        stage
            .run(&format!("deploy --image {image} --until ready"))
            .await
            .exits(8);
        if image == "nginx:1.26" {
            stage.run("reroute --finish").await.exits(0);
            stage.run("watch").await.exits(0);
        }
    }
    stage.run("stop --no-rollback").await.exits(0);
    stage
        .run("rollback")
        .await
        .exits(2)
        .says(&["go back to the last good version?", "--yes"]);
    let served = "200 This is nginx:1.26";
    let back = stage.run("rollback --yes --format json").await.exits(0);
    let last = back.out.lines().last().unwrap_or_default();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["event"], "put_back", "{}", back.out);
    assert_eq!(last["task_sets"].as_array().map(Vec::len), Some(1));
    for port in [80, 8080] {
        assert!(stage.page(port).starts_with(served), "{}", stage.page(port));
    }
    stage.minutes(10).await;
    let sets = |world: &mut World| -> usize {
        let services = world.at(REGION).ecs.services.values();
        services.map(|service| service.sets.len()).sum()
    };
    assert_eq!(sets(&mut stage.sandbox.world()), 1);
    // Once more it means the version before.
    stage
        .run("rollback --yes")
        .await
        .exits(4)
        .says(&["no earlier deployment succeeded"]);
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

/// A row of crashes is told with its reason at the second, and ends the rollout at the third: not after CodeDeploy's hour.
#[tokio::test(start_paused = true)]
async fn tasks_that_keep_crashing_end_the_rollout() {
    let stage = made(AUTOMATIC).await;
    let crash = Trouble::Crash {
        exit_code: 3,
        after: 5,
        log: vec!["panic: no database".to_owned()],
    };
    let fault = TaskFault::new(crash);
    stage
        .sandbox
        .faults()
        .dials
        .tasks
        .insert("shop:bad".to_owned(), fault);
    let before = tokio::time::Instant::now();
    stage.run("deploy --image shop:bad").await.exits(6).says(&[
        "container web ended with exit code 3",
        "| panic: no database",
        "the new tasks keep failing: 2 so far",
        "stopping it, with rollback: 3 new tasks failed",
        "stopped: 3 new tasks failed: container web ended with exit code 3",
        "stopped by `deploy.fail_fast`",
        "next: mend what the log says",
    ]);
    let minutes = before.elapsed().as_secs() / 60;
    assert!(minutes < 15, "{minutes} minutes");
    still_old(&stage);
    stage.run("plan --exit-code").await.exits(0);
}

/// What is waited for is reached, or is said to be out of reach at once.
#[tokio::test(start_paused = true)]
async fn a_script_waits_for_a_point() {
    let stage = made(TUTORIAL).await;
    stage
        .run("deploy --image nginx:1.27 --wait-until test-traffic")
        .await
        .exits(0)
        .says(&["reached: the test listener serves the new version"]);
    assert!(stage.page(8080).starts_with("200 This is nginx:1.27"));
    stage
        .run("watch --wait-until shifted")
        .await
        .exits(8)
        .says(&["not before you act: production serves the new version"]);
    stage.run("reroute").await.exits(0);
    stage.run("watch --wait-until shifted").await.exits(0);
    assert!(stage.page(80).starts_with("200 This is nginx:1.27"));
    stage.run("watch --wait-until done").await.exits(0);
}

/// At Ready the checks decide: what answers well goes on by itself, anything else is taken back.
#[tokio::test(start_paused = true)]
async fn checks_decide_at_ready() {
    let spec = TUTORIAL.replace(
        "keep_old: 5m",
        "keep_old: 5m
  checks: [{ path: /, contains: 'nginx', times: 2, within: 1m }]",
    );
    let stage = made(&spec).await;
    stage.run("deploy --image shop:2").await.exits(6).says(&[
        "GET /: status 200, but the body lacks",
        "check GET / failed",
    ]);
    still_old(&stage);
    stage
        .run("deploy --image nginx:1.27")
        .await
        .exits(0)
        .says(&["all checks passed", "succeeded"]);
    assert!(stage.page(80).starts_with("200 This is nginx:1.27"));
}

/// A single image, as builds make it, has its processor in its configuration alone, which is in a bucket of ECR's.
#[tokio::test(start_paused = true)]
async fn an_image_for_another_processor_is_refused() {
    let stage = made(AUTOMATIC).await;
    stage.push("web", "<h1>first</h1>\n");
    stage.run("deploy").await.exits(0);
    let image = built(&stage.sandbox, "web");
    let deploy = format!("deploy --image {image} --detach");
    let asked = |service: &str, operation: &str| {
        let call = (service.to_owned(), operation.to_owned());
        stage.sandbox.counts().get(&call).copied()
    };

    let arm = AUTOMATIC.replace("port: 80", "port: 80, architecture: arm64");
    stage.write("ecspipe.yaml", &arm);
    let before = stage.things();
    stage.sandbox.reset_counts();
    stage.run(&deploy).await.exits(4).says(&[
        &format!("image {image} is for amd64, the tasks ask for arm64"),
        "next: build it for arm64 (`docker build --platform linux/arm64`), or change `service.architecture`",
    ]);
    assert_eq!(stage.things(), before);
    assert_eq!(asked("ecr", "GetDownloadUrlForLayer"), Some(1));
    assert_eq!(asked("s3", "GetObject"), Some(1));

    stage.write("ecspipe.yaml", AUTOMATIC);
    let ran = stage.run(&deploy).await.exits(0);
    assert!(!ran.err.contains("note: "), "{}", ran.err);
    stage.run("watch").await.exits(0);

    // A network that lets nobody read from ECR's bucket.
    let refused = Fault::new("AccessDenied", "Access Denied").status(403);
    stage.sandbox.faults().add(Rule {
        service: Some("s3".to_owned()),
        operation: Some("GetObject".to_owned()),
        skip: 0,
        times: u64::MAX,
        strike: Strike::Refuse(refused),
    });
    stage.run(&deploy).await.exits(0).says(&[&format!(
        "note: whether image {image} is for amd64 is not checked: its configuration can't be fetched from S3 (the service answered with status 403"
    )]);
}

/// What would fail is refused before anything is made.
#[tokio::test(start_paused = true)]
async fn what_would_fail_is_refused() {
    let stage = made(TUTORIAL).await;
    let missing = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/nothing:1";
    let before = stage.things();
    stage
        .run(&format!("deploy --image {missing}"))
        .await
        .exits(4)
        .says(&[
            "the rollout can't begin; nothing was done",
            "there is no image",
            "next: name a tag",
        ]);
    assert_eq!(stage.things(), before);
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    // The one in flight is stopped meanwhile by nobody: its wait runs out.
    stage
        .run("deploy --image nginx:1.28 --queue --until ready")
        .await
        .exits(8)
        .says(&["waiting for deployment d-"]);
}
