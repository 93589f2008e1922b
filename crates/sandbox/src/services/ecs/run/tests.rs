//! Tasks outside services, from the call to the exit code.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::rollout::tests::{Account, Stage, definition, role};
use crate::testing::{call, pass};

fn input(account: &Account, more: Value) -> Value {
    let stage = Stage::default();
    let network = account.service_input(&stage)["networkConfiguration"].clone();
    let mut input = json!({
        "cluster": "web", "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network,
        "startedBy": "migration",
        "overrides": {"containerOverrides": [{"name": "web", "command": ["rake", "db:migrate"]}]},
    });
    let members = input.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    input
}

/// Runs a task; answers its ARN.
async fn run(account: &Account, more: Value) -> String {
    let started = account.ok("ecs", "RunTask", input(account, more)).await;
    started["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
}

async fn task(account: &Account, arn: &str) -> Value {
    let input = json!({"cluster": "web", "tasks": [arn]});
    account.ok("ecs", "DescribeTasks", input).await["tasks"][0].take()
}

async fn listed(account: &Account, more: Value) -> usize {
    let mut input = json!({"cluster": "web"});
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    account.ok("ecs", "ListTasks", input).await["taskArns"]
        .as_array()
        .unwrap()
        .len()
}

async fn refused(account: &Account, operation: &str, input: Value) -> String {
    call(&account.sandbox, "ecs", operation, input)
        .await
        .unwrap_err()
        .1
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_by_itself_and_leaves_code_and_log() {
    let account = Account::new(&Stage::default()).await;
    let arn = run(&account, json!({})).await;
    let new = task(&account, &arn).await;
    assert_eq!(
        (&new["group"], &new["startedBy"]),
        (&json!("family:web"), &json!("migration"))
    );
    assert_eq!(
        new["overrides"]["containerOverrides"][0]["command"][1],
        "db:migrate"
    );
    pass(25).await;
    assert_eq!(task(&account, &arn).await["lastStatus"], "RUNNING");
    assert_eq!(listed(&account, json!({"startedBy": "migration"})).await, 1);
    assert_eq!(listed(&account, json!({"family": "web"})).await, 3);
    assert_eq!(listed(&account, json!({"serviceName": "web"})).await, 2);
    pass(30).await;
    let over = task(&account, &arn).await;
    assert_eq!(over["lastStatus"], "STOPPED");
    assert_eq!(over["stopCode"], "EssentialContainerExited");
    assert_eq!(over["containers"][0]["exitCode"], 0);
    assert_eq!(listed(&account, json!({"startedBy": "migration"})).await, 0);
    let stopped = json!({"startedBy": "migration", "desiredStatus": "STOPPED"});
    assert_eq!(listed(&account, stopped).await, 1);
    let id = arn.rsplit('/').next().unwrap();
    let stream = json!({"logGroupName": "/ecs/web", "logStreamNames": [format!("web/web/{id}")]});
    let log = account
        .ok("logs", "FilterLogEvents", stream)
        .await
        .to_string();
    assert!(
        log.contains("the sandbox runs no commands: rake db:migrate"),
        "{log}"
    );
    // The service goes on as if nothing had been.
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    let interfaces = account
        .ok("ec2", "DescribeNetworkInterfaces", json!({}))
        .await;
    pass(60).await;
    let after = account
        .ok("ec2", "DescribeNetworkInterfaces", json!({}))
        .await;
    assert_ne!(interfaces, after);
}

#[tokio::test(start_paused = true)]
async fn how_a_command_ends_is_dialled() {
    let account = Account::new(&Stage::default()).await;
    let end = json!({"exit_code": 2, "after": 60, "log": ["cannot reach the database"]});
    account.sandbox.faults().dials.commands.insert(
        "db:migrate".to_owned(),
        serde_json::from_value(end).unwrap(),
    );
    let arn = run(&account, json!({})).await;
    pass(75).await;
    assert_eq!(task(&account, &arn).await["lastStatus"], "RUNNING");
    pass(30).await;
    assert_eq!(task(&account, &arn).await["containers"][0]["exitCode"], 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_command_it_runs_until_it_is_stopped() {
    let account = Account::new(&Stage::default()).await;
    let arn = run(&account, json!({"overrides": {}})).await;
    pass(3600).await;
    assert_eq!(task(&account, &arn).await["lastStatus"], "RUNNING");
    let stop = json!({"cluster": "web", "task": arn, "reason": "enough"});
    account.ok("ecs", "StopTask", stop).await;
    pass(20).await;
    let over = task(&account, &arn).await;
    assert_eq!(over["lastStatus"], "STOPPED");
    assert_eq!(
        (&over["stopCode"], &over["stoppedReason"]),
        (&json!("UserInitiated"), &json!("enough"))
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_calls_are_refused_and_a_token_runs_once() {
    let account = Account::new(&Stage::default()).await;
    for (more, code) in [
        (json!({"cluster": "none"}), "ClusterNotFoundException"),
        (json!({"taskDefinition": "none"}), "ClientException"),
        (json!({"count": 11}), "InvalidParameterException"),
        (
            json!({"networkConfiguration": {}}),
            "InvalidParameterException",
        ),
        (json!({"launchType": "EC2"}), "NotImplemented"),
        (json!({"platformVersion": "9"}), "PlatformUnknownException"),
        (
            json!({"overrides": {"containerOverrides": [{"name": "x"}]}}),
            "InvalidParameterException",
        ),
        (json!({"overrides": {"taskRoleArn": "x"}}), "NotImplemented"),
        (
            json!({"startedBy": "x".repeat(129)}),
            "InvalidParameterException",
        ),
        (
            json!({"propagateTags": "SERVICE"}),
            "InvalidParameterException",
        ),
    ] {
        assert_eq!(
            refused(&account, "RunTask", input(&account, more.clone())).await,
            code,
            "{more}"
        );
    }
    let first = run(&account, json!({"clientToken": "one", "count": 2})).await;
    assert_eq!(
        run(&account, json!({"clientToken": "one", "count": 2})).await,
        first
    );
    let other = input(&account, json!({"clientToken": "one", "count": 1}));
    assert_eq!(
        refused(&account, "RunTask", other).await,
        "ConflictException"
    );
    assert_eq!(listed(&account, json!({"startedBy": "migration"})).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_needs_the_agent() {
    let account = Account::new(&Stage::default()).await;
    role(&account.sandbox, "task", "ecs-tasks.amazonaws.com").await;
    pass(60).await;
    let exec =
        |task: &str| json!({"cluster": "web", "task": task, "command": "sh", "interactive": true});
    let bare = run(&account, json!({"overrides": {}})).await;
    let with = run(
        &account,
        json!({"overrides": {}, "enableExecuteCommand": true}),
    )
    .await;
    let mut own = definition("1");
    own["taskRoleArn"] = json!("arn:aws:iam::111122223333:role/task");
    account.ok("ecs", "RegisterTaskDefinition", own).await;
    let good = run(
        &account,
        json!({"overrides": {}, "enableExecuteCommand": true}),
    )
    .await;
    assert_eq!(
        refused(&account, "ExecuteCommand", exec(&good)).await,
        "InvalidParameterException"
    );
    pass(60).await;
    // Not enabled; enabled, but the task has no role to open its channels with.
    assert_eq!(
        refused(&account, "ExecuteCommand", exec(&bare)).await,
        "InvalidParameterException"
    );
    assert_eq!(
        refused(&account, "ExecuteCommand", exec(&with)).await,
        "TargetNotConnectedException"
    );
    let session = account.ok("ecs", "ExecuteCommand", exec(&good)).await;
    assert_eq!(session["containerName"], "web");
    assert!(
        session["session"]["streamUrl"]
            .as_str()
            .unwrap()
            .starts_with("wss://")
    );
    for (task, want) in [
        (&bare, Value::Null),
        (&with, json!("STOPPED")),
        (&good, json!("RUNNING")),
    ] {
        let shown = self::task(&account, task).await;
        assert_eq!(
            shown["containers"][0]["managedAgents"][0]["lastStatus"],
            want
        );
    }
    for wrong in [
        json!({"interactive": false}),
        json!({"command": ""}),
        json!({"container": "x"}),
        json!({"task": "x"}),
    ] {
        let mut input = exec(&good);
        input
            .as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        assert_eq!(
            refused(&account, "ExecuteCommand", input).await,
            "InvalidParameterException"
        );
    }
}
