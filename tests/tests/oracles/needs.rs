//! What the sandbox asks IAM for, against the service authorization reference.

use std::collections::BTreeSet;

use bytes::Bytes;
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::iam::Need;
use hyper::Request;

use super::oracle::{Oracles, lines};
use super::stage::{REGION, Stage, TUTORIAL};

#[tokio::test(start_paused = true)]
async fn every_action_and_every_resource_is_one_of_the_reference() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let stage = Stage::new(TUTORIAL);
    stage.sandbox.record(true);
    stage.run("plan").await.exits(0);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    stage.push("ecs-deployment-pipeline", "<h1>first</h1>\n");
    stage.run("deploy --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("status").await.exits(0);
    stage.run("logs").await.exits(0);
    stage.run("down --yes").await.exits(0);
    let mut needs = BTreeSet::new();
    for exchange in stage.sandbox.take_exchanges() {
        needs.extend(exchange.needs.into_iter().map(action_and_resource));
    }
    // What nothing of the above called, as far as an input without a word makes it ask: such an input names nothing, so that
    // only the action, and whether it is about no resource, can be looked up.
    for (service, operations) in ecspipe_sandbox::services::operations() {
        for operation in operations.iter().filter(|_| service != "s3") {
            let asked = needs_of(&stage.sandbox, bare(service, operation));
            needs.extend(asked.into_iter().map(|(action, resource)| {
                let resource = if resource == "*" {
                    resource
                } else {
                    String::new()
                };
                (action, resource)
            }));
        }
    }
    let input: String = needs
        .iter()
        .map(|need| serde_json::to_string(need).unwrap() + "\n")
        .collect();
    let answer = oracles.ask("check_needs.py", &[""; 0], &input);
    assert_eq!(lines(&answer, "problems"), "");
    assert_eq!(answer["checked"], needs.len());
    assert!(needs.len() > 250, "{}", needs.len());
}

fn needs_of(sandbox: &Sandbox, request: Request<Bytes>) -> Vec<(String, String)> {
    let needs = sandbox.needs(&request).unwrap_or_default();
    needs.into_iter().map(action_and_resource).collect()
}

fn action_and_resource(need: Need) -> (String, String) {
    (need.action, need.resource)
}

fn bare(service: &str, operation: &str) -> Request<Bytes> {
    let (method, path) = match service {
        "lambda" => lambda(operation),
        _ => ("POST", "/"),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("{service}.{REGION}.amazonaws.com"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=AKID/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"),
        );
    match service {
        "ec2" | "elasticloadbalancing" | "iam" | "sts" => request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(format!(
                "Action={operation}&Version=2000-01-01"
            ))),
        "lambda" => request.body(Bytes::new()),
        _ => request
            .header("x-amz-target", format!("Target.{operation}"))
            .body(Bytes::from_static(b"{}")),
    }
    .unwrap()
}

/// Lambda knows operations by method and path.
pub(crate) fn lambda(operation: &str) -> (&'static str, &'static str) {
    match operation {
        "CreateFunction" => ("POST", "/2015-03-31/functions"),
        "DeleteFunction" => ("DELETE", "/2015-03-31/functions/check"),
        "GetFunction" => ("GET", "/2015-03-31/functions/check"),
        "GetFunctionConfiguration" => ("GET", "/2015-03-31/functions/check/configuration"),
        "Invoke" => ("POST", "/2015-03-31/functions/check/invocations"),
        "ListFunctions" => ("GET", "/2015-03-31/functions"),
        other => panic!("say by which path {other} is called"),
    }
}
