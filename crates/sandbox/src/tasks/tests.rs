//! Tasks that don't do, as a follower sees them: by the API, in the log, and at the balancer.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::faults::TaskFault;
use crate::rollout::tests::{Account, Stage, definition};
use crate::runtime::Image;
use crate::services::ecr;
use crate::testing::{REGION, pass};

fn dial(account: &Account, image: &str, fault: Value) {
    let fault = TaskFault::try_from(fault).unwrap();
    let mut faults = account.sandbox.faults();
    faults.dials.tasks.insert(image.to_owned(), fault);
}

async fn tasks(account: &Account, desired: &str) -> Vec<Value> {
    let input = json!({"cluster": "web", "desiredStatus": desired});
    let arns = account.ok("ecs", "ListTasks", input).await["taskArns"].take();
    if arns.as_array().unwrap().is_empty() {
        return Vec::new();
    }
    let input = json!({"cluster": "web", "tasks": arns});
    let mut found = account.ok("ecs", "DescribeTasks", input).await["tasks"].take();
    let found = found.as_array_mut().unwrap();
    found.sort_by_key(|task| task["createdAt"].to_string());
    std::mem::take(found)
}

/// What a stopped task says of itself, in a line.
fn words(task: &Value) -> String {
    let container = &task["containers"][0];
    format!(
        "{} | {} | {} | {}",
        task["stopCode"].as_str().unwrap_or("-"),
        task["stoppedReason"].as_str().unwrap_or("-"),
        container["exitCode"],
        container["reason"].as_str().unwrap_or("-"),
    )
}

async fn log(account: &Account, task: &Value) -> Vec<String> {
    let id = task["taskArn"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    let input = json!({"logGroupName": "/ecs/web", "logStreamName": format!("web/web/{id}"), "startFromHead": true});
    let found = account.ok("logs", "GetLogEvents", input).await;
    let text = |event: &Value| event["message"].as_str().unwrap().to_owned();
    found["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

/// Reason and description of the targets in green's target group.
async fn health(account: &Account) -> String {
    let input = json!({"TargetGroupArn": account.groups["web-b"]});
    let found = account
        .ok("elasticloadbalancing", "DescribeTargetHealth", input)
        .await;
    let targets = &found["TargetHealthDescriptions"]["member"];
    let first = match targets {
        Value::Array(targets) => &targets[0],
        one => one,
    };
    let health = &first["TargetHealth"];
    format!(
        "{}: {}",
        health["Reason"].as_str().unwrap_or("-"),
        health["Description"].as_str().unwrap_or("-")
    )
}

async fn events(account: &Account) -> String {
    let input = json!({"cluster": "web", "services": ["web"]});
    account.ok("ecs", "DescribeServices", input).await["services"][0]["events"].to_string()
}

#[tokio::test(start_paused = true)]
async fn every_way_to_stop_is_told_apart() {
    let pulled = "CannotPullContainerError: pull image manifest has been retried";
    for (fault, want, said) in [
        (
            json!({"crash": {"exit_code": 3, "after": 7, "log": ["no database", "giving up"]}}),
            "EssentialContainerExited | Essential container in task exited | 3 | -".to_owned(),
            vec!["no database", "giving up"],
        ),
        (
            json!({"out_of_memory": {"log": ["loading"]}}),
            "EssentialContainerExited | Essential container in task exited | 137 | OutOfMemoryError: Container killed due to memory usage".to_owned(),
            vec!["loading"],
        ),
        (
            json!("cannot_pull"),
            format!("TaskFailedToStart | {pulled} 1 time(s): failed to resolve ref docker.io/library/httpd:bad: docker.io/library/httpd:bad: not found"),
            vec![],
        ),
        (
            json!({"cannot_pull": {"why": "platform"}}),
            format!("TaskFailedToStart | {pulled} 1 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'"),
            vec![],
        ),
    ] {
        let account = Account::new(&Stage::default()).await;
        dial(&account, "httpd:bad", fault);
        account.deploy("bad").await;
        pass(40).await;
        let stopped = tasks(&account, "STOPPED").await;
        let first = stopped.first().unwrap();
        assert!(words(first).starts_with(&want), "{}", words(first));
        let lines = match said.is_empty() {
            true => Vec::new(),
            false => log(&account, first).await,
        };
        let found = lines.iter().filter(|line| said.contains(&line.as_str()));
        assert_eq!(found.count(), said.len(), "{lines:?}");
        // What pages production gives has nothing to do with it.
        assert_eq!(account.pages(&account.production), ["httpd:1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_balancer_says_what_it_saw() {
    for (fault, want) in [
        (
            json!("unhealthy"),
            "Target.ResponseCodeMismatch: Health checks failed with these codes: [503]",
        ),
        (
            json!({"unhealthy": {"status": 404}}),
            "Target.ResponseCodeMismatch: Health checks failed with these codes: [404]",
        ),
        (json!("hang"), "Target.Timeout: Request timed out"),
        (
            json!("not_listening"),
            "Target.FailedHealthChecks: Health checks failed",
        ),
    ] {
        let account = Account::new(&Stage::default()).await;
        dial(&account, "httpd:bad", fault);
        account.deploy("bad").await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..60 {
            pass(1).await;
            seen.insert(health(&account).await);
        }
        assert!(seen.contains(want), "{seen:?}");
        let reason = want.split_once(": ").unwrap().1;
        let events = events(&account).await;
        assert!(
            events.contains(&format!("due to (reason {reason})")),
            "{events}"
        );
        let stopped = tasks(&account, "STOPPED").await;
        let words = words(stopped.first().unwrap());
        assert!(
            words.contains("Task failed ELB health checks in (target-group "),
            "{words}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ran_is_replaced_at_once_and_one_that_did_not_ever_later() {
    let account = Account::new(&Stage::default()).await;
    dial(&account, "httpd:bad", json!("crash"));
    account.deploy("bad").await;
    pass(1800).await;
    // Two tasks that run for five seconds and take twenty to start.
    let crashed = tasks(&account, "STOPPED").await.len();
    assert!(crashed > 80, "{crashed}");
    assert!(
        !events(&account)
            .await
            .contains("unable to consistently start")
    );

    let account = Account::new(&Stage::default()).await;
    dial(&account, "httpd:bad", json!("cannot_pull"));
    account.deploy("bad").await;
    pass(1800).await;
    let failed = tasks(&account, "STOPPED").await.len();
    assert!((8..30).contains(&failed), "{failed}");
    assert!(
        events(&account)
            .await
            .contains("unable to consistently start tasks successfully")
    );
    // An hour later the first ones are forgotten.
    let before = tasks(&account, "STOPPED").await;
    pass(1900).await;
    let after = tasks(&account, "STOPPED").await;
    assert!(
        !after
            .iter()
            .any(|task| task["taskArn"] == before[0]["taskArn"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_strike_some_tasks_only() {
    let account = Account::new(&Stage::default()).await;
    dial(
        &account,
        "httpd:bad",
        json!({"crash": {"after": 1}, "times": 3}),
    );
    let id = account.deploy("bad").await;
    account.until(&id, "Ready", 300).await;
    assert_eq!(tasks(&account, "STOPPED").await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn running_tasks_suffer_what_is_dialled_now() {
    let account = Account::new(&Stage::default()).await;
    dial(&account, "httpd:1", json!("crash"));
    pass(15).await;
    let stopped = tasks(&account, "STOPPED").await;
    assert_eq!(stopped.len(), 2);
    account.sandbox.faults().clear();
    pass(120).await;
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_own_check_fails_ends_its_task() {
    let account = Account::new(&Stage::default()).await;
    dial(&account, "httpd:bad", json!("fail_check"));
    let mut input = definition("bad");
    input["containerDefinitions"][0]["healthCheck"] =
        json!({"command": ["CMD", "true"], "interval": 5, "retries": 2, "startPeriod": 4});
    account.deploy_definition(input).await;
    pass(60).await;
    let stopped = tasks(&account, "STOPPED").await;
    let words = words(stopped.first().unwrap());
    assert!(
        words.contains("Task failed container health checks"),
        "{words}"
    );
}

/// Puts an image into the account's repository `web`, and deploys it.
async fn deploy_pushed(account: &Account, image: Image) {
    let input = json!({"repositoryName": "web"});
    account.ok("ecr", "CreateRepository", input).await;
    let digest = ecr::push(&mut account.sandbox.world(), REGION, "web", "one", image).unwrap();
    let uri = format!("111122223333.dkr.ecr.{REGION}.amazonaws.com/web@{digest}");
    let mut input = definition("1");
    input["containerDefinitions"][0]["image"] = json!(uri);
    account.deploy_definition(input).await;
    pass(60).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_for_another_processor_does_not_run() {
    let exec = "EssentialContainerExited | Essential container in task exited | 1 | -";
    let pull = "TaskFailedToStart | CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'";
    for (built, want) in [(vec!["arm64"], exec), (vec!["arm64", "s390x"], pull)] {
        let account = Account::new(&Stage::default()).await;
        let image = Image {
            base: "httpd".to_owned(),
            architectures: built.iter().map(ToString::to_string).collect(),
            ..Image::default()
        };
        deploy_pushed(&account, image).await;
        let stopped = tasks(&account, "STOPPED").await;
        let first = stopped.first().unwrap();
        assert!(words(first).starts_with(want), "{}", words(first));
        if built.len() == 1 {
            let log = log(&account, first).await;
            assert!(log.contains(&"exec format error".to_owned()), "{log:?}");
        }
        let input = json!({"repositoryName": "web", "imageIds": [{"imageTag": "one"}]});
        let got = account.ok("ecr", "BatchGetImage", input).await;
        let manifest = got["images"][0]["imageManifest"].as_str().unwrap();
        assert_eq!(
            manifest.contains("\"architecture\":\"s390x\""),
            built.len() > 1
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_brings_its_fault_along() {
    let account = Account::new(&Stage::default()).await;
    let image = Image {
        base: "httpd".to_owned(),
        fault: Some(TaskFault::of_label(r#"{"crash": {"exit_code": 9}}"#).unwrap()),
        ..Image::default()
    };
    deploy_pushed(&account, image).await;
    let stopped = tasks(&account, "STOPPED").await;
    assert_eq!(stopped.first().unwrap()["containers"][0]["exitCode"], 9);
}
