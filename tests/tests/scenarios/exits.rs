//! Every exit code that README.md promises, reached in the life of one app.

use ecspipe_sandbox::faults::{Rule, Strike};

use super::stage::{Stage, TUTORIAL};

const README: &str = include_str!("../../../README.md");

/// The codes of README's table.
fn promised() -> Vec<u8> {
    let (_, table) = README.split_once("### Exit codes").unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|line| line.split('|').nth(1)?.trim().parse().ok())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_exit_code_is_reached() {
    let stage = Stage::new(TUTORIAL);
    let mut reached = std::collections::BTreeSet::new();
    let mut run = async |args: &str, code: u8| {
        stage.run(args).await.exits(code);
        reached.insert(code);
    };
    run("deploy --image", 2).await;
    stage.write("ecspipe.yaml", "version: 1\napp: web\n");
    run("deploy --image nginx:1.27", 3).await;
    stage.write(
        "ecspipe.yaml",
        &format!("{TUTORIAL}account: '444455556666'\n"),
    );
    run("deploy --image nginx:1.27", 7).await;
    stage.write("ecspipe.yaml", TUTORIAL);
    run("deploy --image nginx:1.27", 5).await;
    run("plan --exit-code", 10).await;
    run("up --yes", 0).await;
    stage.minutes(5).await;
    run("deploy --image nginx:1.27 --until ready", 8).await;
    run("deploy --image nginx:1.28", 4).await;
    run("reroute", 0).await;
    run("watch --timeout 30s", 9).await;
    stage.sandbox.faults().add(Rule {
        service: Some("codedeploy".to_owned()),
        operation: None,
        skip: 0,
        times: u64::MAX,
        strike: Strike::Reset,
    });
    run("watch", 1).await;
    stage.sandbox.faults().clear();
    run("watch", 0).await;
    run("deploy --image nginx:1.28 --until ready", 8).await;
    run("stop", 0).await;
    run("watch", 6).await;
    let reached: Vec<u8> = reached.into_iter().collect();
    assert_eq!(reached, promised());
}
