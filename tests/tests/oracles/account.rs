//! What the account can do that no command of ecspipe asks for, asked by hand: those answers agree with botocore's models, too.

use std::time::Duration;

use bytes::Bytes;
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Behaviour, TaskFault};
use hyper::Request;
use serde_json::{Value, json};

use super::needs::lambda;
use super::oracle::{Oracles, lines};
use super::stage::{AUTOMATIC, REGION, Stage};

/// A signed request; the answer, whatever it is.
async fn ask(sandbox: &Sandbox, service: &str, operation: &str, input: Value) -> Value {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let target = match service {
        "ecs" => "AmazonEC2ContainerServiceV20141113",
        "codedeploy" => "CodeDeploy_20141006",
        "ecr" => "AmazonEC2ContainerRegistry_V20150921",
        _ => "Logs_20140328",
    };
    let request = match service {
        "lambda" => {
            let (method, path) = lambda(operation);
            Request::builder().method(method).uri(path)
        }
        _ => Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{target}.{operation}")),
    };
    let body = match input {
        Value::Null => Bytes::new(),
        input => Bytes::from(input.to_string()),
    };
    let request = request
        .header("host", format!("{service}.{REGION}.amazonaws.com"))
        .header("authorization", scope)
        .body(body)
        .unwrap();
    let response = sandbox.handle(request).await;
    serde_json::from_slice(response.body()).unwrap_or_default()
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

async fn task(stage: &Stage, desired: &str) -> Value {
    let input = json!({"cluster": "web", "desiredStatus": desired});
    let listed = ask(&stage.sandbox, "ecs", "ListTasks", input).await;
    let input = json!({"cluster": "web", "tasks": listed["taskArns"], "include": ["TAGS"]});
    ask(&stage.sandbox, "ecs", "DescribeTasks", input).await
}

fn trust(stage: &Stage, name: &str, service: &str) -> String {
    // IAM's own dialect is held against the models elsewhere.
    let mut world = stage.sandbox.world();
    let have = world.iam.roles.values().next().unwrap().clone();
    let arn = format!("arn:aws:iam::111122223333:role/{name}");
    let mut role = have;
    role.name = name.to_owned();
    role.arn.clone_from(&arn);
    role.trust_since = 0;
    role.former_trust = None;
    role.trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
    ]})
    .to_string();
    world.iam.roles.insert(name.to_owned(), role);
    arn
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_agrees_with_the_models() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let sandbox = &stage.sandbox;
    sandbox.record(true);

    // Functions, and hooks that wait for them.
    let role = trust(&stage, "function", "lambda.amazonaws.com");
    let function = json!({
        "FunctionName": "check", "Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Code": {"ZipFile": "UEs="},
        "Environment": {"Variables": {"MODE": "strict"}}, "Tags": {"team": "web"},
    });
    ask(sandbox, "lambda", "CreateFunction", function.clone()).await;
    ask(sandbox, "lambda", "CreateFunction", function).await;
    for operation in ["GetFunction", "GetFunctionConfiguration", "ListFunctions"] {
        let answer = ask(sandbox, "lambda", operation, Value::Null).await;
        assert!(answer.to_string().contains("index.handler"), "{answer}");
    }
    ask(sandbox, "lambda", "Invoke", json!({})).await;
    let throws = Behaviour::try_from(json!("throw")).unwrap();
    sandbox
        .faults()
        .dials
        .functions
        .insert("check".to_owned(), throws);
    ask(sandbox, "lambda", "Invoke", json!({})).await;

    // Tasks outside services, and sessions in them.
    let services = json!({"cluster": "web", "services": ["web"]});
    let found = ask(sandbox, "ecs", "DescribeServices", services).await;
    let set = found["services"][0]["taskSets"][0].clone();
    let run = json!({
        "cluster": "web", "taskDefinition": set["taskDefinition"], "launchType": "FARGATE", "networkConfiguration": set["networkConfiguration"],
        "startedBy": "somebody", "enableExecuteCommand": true, "tags": [{"key": "a", "value": "b"}],
        "overrides": {"containerOverrides": [{"name": "web", "command": ["true"]}]},
    });
    let started = ask(sandbox, "ecs", "RunTask", run).await;
    let arn = started["tasks"][0]["taskArn"].clone();
    assert!(arn.is_string(), "{started}");
    pass(25).await;
    let session = json!({"cluster": "web", "task": arn, "command": "sh", "interactive": true});
    ask(sandbox, "ecs", "ExecuteCommand", session).await;
    task(&stage, "RUNNING").await;
    pass(60).await;

    // Every way in which a task ends.
    for fault in ["crash", "out_of_memory", "cannot_pull", "hang"] {
        let fault = TaskFault::try_from(json!(fault)).unwrap();
        sandbox.faults().dials.tasks.insert("*".to_owned(), fault);
        stage.minutes(3).await;
    }
    let stopped = task(&stage, "STOPPED").await;
    assert!(
        stopped.to_string().contains("OutOfMemoryError"),
        "{stopped}"
    );

    // A hook that somebody else answers for.
    let put = json!({"deploymentId": "d-NONE00000", "lifecycleEventHookExecutionId": "x", "status": "Succeeded"});
    ask(
        sandbox,
        "codedeploy",
        "PutLifecycleEventHookExecutionStatus",
        put,
    )
    .await;
    ask(sandbox, "lambda", "DeleteFunction", Value::Null).await;
    ask(sandbox, "lambda", "GetFunction", Value::Null).await;

    let exchanges = sandbox.take_exchanges();
    let input: String = exchanges
        .iter()
        .map(|exchange| serde_json::to_string(exchange).unwrap() + "\n")
        .collect();
    let answer = oracles.ask("validate_calls.py", &[""; 0], &input);
    assert_eq!(lines(&answer, "problems"), "");
    let operations = answer["operations"].as_object().unwrap();
    for name in ["ecs.RunTask", "ecs.ExecuteCommand", "lambda.Invoke"] {
        assert!(operations.contains_key(name), "{operations:?}");
    }
}
