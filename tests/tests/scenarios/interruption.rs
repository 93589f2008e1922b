//! Ctrl-C, in the middle. What was begun is finished or can be: the next run goes on.

use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::wire::Fault;

use super::failure::until;
use super::stage::{AUTOMATIC, Stage, TUTORIAL};

#[tokio::test(start_paused = true)]
async fn up_stops_in_good_order_and_goes_on_when_run_again() {
    let stage = Stage::new(TUTORIAL);
    let surroundings = stage.surroundings();
    // The clock stands while the other side waits, so this is in the middle of the network's making.
    let (ran, ()) = tokio::join!(surroundings.run("up --yes"), async {
        until(&surroundings, "✓ vpc/main").await;
        surroundings.world.cancel().cancel();
    });
    let ran = ran.exits(5).says(&[
        "stopping: ",
        "Ctrl-C again stops at once",
        "skipped, the run was stopped",
        "hint: run the command again",
    ]);
    assert_eq!(ran.out, "");
    assert!(!ran.err.contains("✗"), "{}", ran.err);
    let begun = ran
        .err
        .lines()
        .filter(|line| line.starts_with("  ✓"))
        .count();
    assert!((1..41).contains(&begun), "{begun}");

    // The bucket was there before anything else, for the lease to lie in.
    let (bucket, left) = match ran.err.contains("✓ bucket/artifacts") {
        true => (0, 41 - begun),
        false => (1, 40 - begun),
    };
    let ran = stage.run("up --yes").await.exits(0);
    let wanted = format!("\n{left} to create, {bucket} to change, ");
    assert!(ran.err.contains(&wanted), "{begun} were done; {}", ran.err);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn down_stops_in_good_order_and_goes_on_when_run_again() {
    let stage = Stage::new(TUTORIAL);
    let before = stage.things();
    stage.run("up --yes").await.exits(0);
    let surroundings = stage.surroundings();
    let (ran, ()) = tokio::join!(surroundings.run("down --yes --delete-source"), async {
        until(&surroundings, "deleted (").await;
        surroundings.world.cancel().cancel();
    });
    ran.exits(5).says(&["hint: run the command again"]);
    assert_ne!(stage.things(), before);
    stage.run("down --yes --delete-source").await.exits(0);
    assert_eq!(stage.things(), before);
}

/// Nobody answers `operation`, so that without the signal nothing would end for minutes.
fn never_answered(operation: &str) -> Rule {
    Rule {
        strike: Strike::NoAnswer,
        ..silent(operation, 100_000)
    }
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_leaves_at_once() {
    let stage = Stage::new(TUTORIAL);
    stage.run("up --yes").await.exits(0);
    let before = stage.things();
    stage
        .sandbox
        .faults()
        .add(never_answered("GetCallerIdentity"));
    let codes = [
        (1, "plan, outputs, status, releases, doctor, logs"),
        (5, "up --yes, down --yes"),
        (9, "watch, deploy"),
    ];
    let commands = codes
        .into_iter()
        .flat_map(|(exit, commands)| commands.split(", ").map(move |command| (command, exit)));
    for (command, exit) in commands {
        let surroundings = stage.surroundings();
        let begun = tokio::time::Instant::now();
        let (ran, ()) = tokio::join!(surroundings.run(command), async {
            tokio::task::yield_now().await;
            surroundings.world.cancel().cancel();
        });
        ran.exits(exit)
            .says(&["error: stopped before the end; nothing was changed\n"]);
        assert!(
            begun.elapsed().as_secs() < 1,
            "{command}: {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(stage.things(), before);
}

/// The lease is given back: whoever comes next needn't wait until it has run out.
#[tokio::test(start_paused = true)]
async fn who_only_looks_under_a_lease_leaves_at_once() {
    let stage = Stage::new(TUTORIAL);
    stage.run("up --yes").await.exits(0);
    for command in ["up --yes", "down --yes"] {
        stage.sandbox.faults().add(Rule {
            service: Some("ec2".to_owned()),
            operation: None,
            ..never_answered("")
        });
        let put = ("s3".to_owned(), "PutObject".to_owned());
        let puts = || stage.sandbox.counts().get(&put).copied();
        let before = puts();
        let surroundings = stage.surroundings();
        let (ran, ()) = tokio::join!(surroundings.run(command), async {
            while puts() == before {
                tokio::task::yield_now().await;
            }
            surroundings.world.cancel().cancel();
        });
        ran.exits(5)
            .says(&["error: stopped before the end; nothing was changed\n"]);
        stage.sandbox.faults().clear();
        stage.run("up --yes").await.exits(0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_rollout_can_come_back() {
    let stage = Stage::new(TUTORIAL);
    stage.run("up --yes").await.exits(0);
    let surroundings = stage.surroundings();
    let (ran, ()) = tokio::join!(surroundings.run("deploy --image nginx:1.27"), async {
        until(&surroundings, "deployment d-").await;
        surroundings.world.cancel().cancel();
    });
    ran.exits(9)
        .says(&["left; the rollout goes on. Follow it again with `ecspipe watch`"]);
    stage.run("watch --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.27"),
        "{}",
        stage.page(80)
    );
}

#[tokio::test(start_paused = true)]
async fn logs_are_followed_until_ctrl_c() {
    let stage = Stage::new(TUTORIAL);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let surroundings = stage.surroundings();
    let (ran, ()) = tokio::join!(surroundings.run("logs --follow"), async {
        while surroundings.data().is_empty() {
            tokio::task::yield_now().await;
        }
        surroundings.world.cancel().cancel();
    });
    assert!(ran.exits(0).out.contains("httpd:2.4.58"));
}

fn silent(operation: &str, times: u64) -> Rule {
    let fault = Fault::new("ServiceUnavailable", "try again").status(503);
    Rule {
        service: None,
        operation: Some(operation.to_owned()),
        skip: 0,
        times,
        strike: Strike::Refuse(fault),
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_does_not_answer_for_a_while() {
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let id = stage
        .run("deploy --image nginx:1.27 --detach")
        .await
        .exits(0)
        .out;
    stage.sandbox.faults().add(silent("GetDeployment", 20));
    stage.run(&format!("watch {id}")).await.exits(0).says(&[
        "AWS could not be asked",
        "AWS answers again",
        "succeeded",
    ]);

    let id = stage
        .run("deploy --image nginx:1.28 --detach")
        .await
        .exits(0)
        .out;
    stage.sandbox.faults().add(silent("GetDeployment", 100_000));
    stage.run(&format!("watch {id}")).await.exits(1).says(&[
        "error: codedeploy GetDeployment failed",
        "hint: the rollout goes on in AWS: follow it again with `ecspipe watch`",
    ]);
    stage.sandbox.faults().clear();
    stage.run(&format!("watch {id}")).await.exits(0);
}
