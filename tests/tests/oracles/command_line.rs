//! AWS's own command line and boto3 on a served sandbox.

use super::oracle::{Oracles, lines};
use super::stage::{REGION, Stage, TUTORIAL};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_describes_everything_without_an_error() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let stage = Stage::served(TUTORIAL, 1000.0);
    stage.run("up --yes").await.exits(0);
    stage.sandbox.record(true);
    let arguments = [&stage.url(), "ecs-deployment-pipeline", REGION];
    let answer = oracles.run("aws_cli.py", &arguments, "");
    assert!(answer.succeeded, "{}{}", answer.out, answer.err);
    let succeeded = answer
        .out
        .lines()
        .filter(|line| line.starts_with("ok: aws "))
        .count();
    assert!(succeeded >= 70, "{}", answer.out);

    // These clients ask for much that ecspipe doesn't: those answers agree with the models, too.
    assert!(oracles.run("describe.py", &arguments, "").succeeded);
    let calls = stage.sandbox.take_exchanges();
    let input: String = calls
        .iter()
        .map(|call| serde_json::to_string(call).unwrap() + "\n")
        .collect();
    let checked = oracles.ask("validate_calls.py", &[""; 0], &input);
    println!(
        "{succeeded} commands succeeded; {} calls of clients checked",
        checked["checked"]
    );
    assert_eq!(lines(&checked, "problems"), "");
    assert!(calls.len() > succeeded, "{}", calls.len());
}
