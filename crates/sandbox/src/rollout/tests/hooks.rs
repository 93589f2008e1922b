//! Lambda functions that a deployment waits for.

use super::*;
use crate::faults::Behaviour;

const EVENTS: [&str; 5] = HOOKS;

/// An account with a function `check`, and a deployment with it at the events; answers both.
async fn deployed(stage: &Stage, events: &[&str], behaviour: Value) -> (Account, String) {
    let account = account_with(stage).await;
    dial(&account, behaviour);
    let id = deploy(&account, "2", events).await;
    (account, id)
}

pub(super) async fn account_with(stage: &Stage) -> Account {
    let account = Account::new(stage).await;
    role(&account.sandbox, "function", "lambda.amazonaws.com").await;
    pass(60).await;
    let input = json!({
        "FunctionName": "check", "Runtime": "python3.13", "Handler": "index.handler",
        "Role": "arn:aws:iam::111122223333:role/function", "Code": {"ZipFile": "UEs="},
    });
    account.ok("lambda", "CreateFunction", input).await;
    account
}

pub(super) fn dial(account: &Account, behaviour: Value) {
    let behaviour = Behaviour::try_from(behaviour).unwrap();
    let mut faults = account.sandbox.faults();
    faults.dials.functions.insert("check".to_owned(), behaviour);
}

pub(super) async fn deploy(account: &Account, tag: &str, events: &[&str]) -> String {
    let registered = account
        .ok("ecs", "RegisterTaskDefinition", definition(tag))
        .await;
    let arn = registered["taskDefinition"]["taskDefinitionArn"]
        .as_str()
        .unwrap();
    let mut spec = app_spec_of(arn);
    spec.push_str("Hooks:\n");
    for event in events {
        spec.push_str(&format!("  - {event}: check\n"));
    }
    account.deploy_spec(&spec).await.unwrap()
}

fn quick() -> Stage {
    Stage {
        ready_wait: 0,
        ..Stage::default()
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_are_called_one_after_the_other() {
    // In any order in the file.
    let mut events = EVENTS;
    events.reverse();
    let (account, id) = deployed(&quick(), &events, json!({"succeed": {"after": 40}})).await;
    account.until(&id, "Succeeded", 1200).await;
    let target = account.target(&id).await;
    for event in target["lifecycleEvents"].as_array().unwrap() {
        let took = event["endTime"].as_f64().unwrap() - event["startTime"].as_f64().unwrap();
        let hooked = EVENTS.contains(&event["lifecycleEventName"].as_str().unwrap());
        assert_eq!(hooked, (40.0..42.0).contains(&took), "{event} took {took}");
    }
    let input = json!({"logGroupName": "/aws/lambda/check", "filterPattern": "START"});
    let calls = account.ok("logs", "FilterLogEvents", input).await;
    assert_eq!(calls["events"].as_array().unwrap().len(), EVENTS.len());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_the_deployment_and_all_but_the_first_roll_it_back() {
    for (index, event) in EVENTS.iter().enumerate() {
        let (account, id) = deployed(&quick(), &[event], json!("fail")).await;
        account.until(&id, "Failed", 300).await;
        let info = account.deployment(&id).await;
        assert_eq!(info["errorInformation"]["code"], "HOOK_EXECUTION_FAILURE");
        let target = account.target(&id).await;
        let failed = target["lifecycleEvents"]
            .as_array()
            .unwrap()
            .iter()
            .find(|have| have["status"] == "Failed")
            .unwrap()
            .clone();
        assert_eq!(failed["lifecycleEventName"], *event);
        assert_eq!(failed["diagnostics"]["scriptName"], "check");
        let rolled_back = info["rollbackInfo"]["rollbackMessage"].as_str();
        assert_eq!(rolled_back.is_some(), index > 0, "{info:#}");
        pass(120).await;
        assert_eq!(account.pages(&account.production), ["httpd:1"], "{event}");
        assert_eq!(account.sets().await, [("PRIMARY".into(), "1".into(), 2)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_tells_fails_after_an_hour() {
    for behaviour in [json!("silent"), json!("throw")] {
        let (account, id) = deployed(&quick(), &["AfterInstall"], behaviour).await;
        pass(3600).await;
        assert_eq!(account.status(&id).await, "InProgress");
        account.until(&id, "Failed", 60).await;
        let info = account.deployment(&id).await;
        let message = info["errorInformation"]["message"].as_str().unwrap();
        assert!(message.contains("within 3600 seconds"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn anybody_with_the_execution_s_id_can_tell() {
    for (status, end) in [("Succeeded", "Ready"), ("Failed", "Failed")] {
        let (account, id) = deployed(
            &Stage::default(),
            &["AfterAllowTestTraffic"],
            json!("silent"),
        )
        .await;
        pass(120).await;
        assert_eq!(account.status(&id).await, "InProgress");
        let execution = account.sandbox.world().at(REGION).codedeploy.deployments[&id]
            .events
            .iter()
            .find_map(|event| event.hook.as_ref()?.execution.clone())
            .unwrap();
        let tell = |id: &str, execution: &str, status: &str| json!({"deploymentId": id, "lifecycleEventHookExecutionId": execution, "status": status});
        let operation = "PutLifecycleEventHookExecutionStatus";
        for (input, code) in [
            (
                tell("", &execution, status),
                "DeploymentIdRequiredException",
            ),
            (
                tell("d-NONE00000", &execution, status),
                "DeploymentDoesNotExistException",
            ),
            (
                tell(&id, "other", status),
                "InvalidLifecycleEventHookExecutionIdException",
            ),
            (
                tell(&id, &execution, "Skipped"),
                "InvalidLifecycleEventHookExecutionStatusException",
            ),
        ] {
            let refused = call(&account.sandbox, "codedeploy", operation, input).await;
            assert_eq!(refused.unwrap_err().1, code);
        }
        let told = account
            .ok("codedeploy", operation, tell(&id, &execution, status))
            .await;
        assert_eq!(told["lifecycleEventHookExecutionId"], json!(execution));
        let again = call(
            &account.sandbox,
            "codedeploy",
            operation,
            tell(&id, &execution, status),
        );
        assert_eq!(
            again.await.unwrap_err().1,
            "LifecycleEventAlreadyCompletedException"
        );
        account.until(&id, end, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn both_roles_are_asked() {
    // The group's role may not call the function …
    let account = account_with(&quick()).await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "lambda:InvokeFunction", "Resource": "*"},
    ]});
    let put = |role: &str, policy: &Value| json!({"RoleName": role, "PolicyName": "all", "PolicyDocument": policy.to_string()});
    account
        .ok("iam", "PutRolePolicy", put("codedeploy", &policy))
        .await;
    let id = deploy(&account, "2", &["AfterInstall"]).await;
    account.until(&id, "Failed", 300).await;
    let info = account.deployment(&id).await;
    let message = info["errorInformation"]["message"].as_str().unwrap();
    assert_eq!(info["errorInformation"]["code"], "IAM_ROLE_PERMISSIONS");
    assert!(message.contains("AWS service: AWSLambda"), "{message}");

    // … and the function's may not tell: nobody hears of it but its log.
    let account = account_with(&quick()).await;
    let logs = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
    ]});
    account
        .ok("iam", "PutRolePolicy", put("function", &logs))
        .await;
    let id = deploy(&account, "2", &["AfterInstall"]).await;
    pass(300).await;
    assert_eq!(account.status(&id).await, "InProgress");
    let input =
        json!({"logGroupName": "/aws/lambda/check", "filterPattern": "AccessDeniedException"});
    let found = account.ok("logs", "FilterLogEvents", input).await;
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
}
