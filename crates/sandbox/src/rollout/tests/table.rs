//! What can be done with a deployment wherever it is, and what comes of it: a table of states and actions.

use super::hooks::{account_with, deploy, dial};
use super::*;
use crate::faults::TaskFault;

/// Where a deployment is held: by a function that says nothing, a task that doesn't answer, a wait.
const STATES: [&str; 12] = [
    "Created",
    "Queued",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AfterAllowTestTraffic",
    "Ready",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
    "Terminating",
    "Succeeded",
];

/// For each state what comes of: stopping with a rollback, stopping without, continuing the one and the other wait, another
/// deployment, an alarm. Either the refusal, or the deployment's status, production's target group, test's, and the task sets, a
/// while later.
const TABLE: &str = "\
Created: Stopped a b 1* | Stopped a b 1* | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a b 1*
Queued: Stopped a b 1* | Stopped a b 1* | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a b 1*
BeforeInstall: Stopped a b 1* | Stopped a b 1* | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a b 1*
Install: Stopped a a 1* | Stopped a b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
AfterInstall: Stopped a a 1* | Stopped a b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
AfterAllowTestTraffic: Stopped a a 1* | Stopped a b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
Ready: Stopped a a 1* | Stopped a b 1* 2 | Succeeded b b 2* | NotInReadyState | LimitExceeded | Stopped a a 1*
BeforeAllowTraffic: Stopped a a 1* | Stopped a b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
AllowTraffic: Stopped a a 1* | Stopped a+b b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
AfterAllowTraffic: Stopped a a 1* | Stopped b b 1* 2 | NotInReadyState | NotInReadyState | LimitExceeded | Stopped a a 1*
Terminating: Stopped a a 1* | Stopped b b 2* 1 | NotInReadyState | Succeeded b b 2* | LimitExceeded | Stopped a a 1*
Succeeded: AlreadyCompleted | AlreadyCompleted | AlreadyCompleted | AlreadyCompleted | Succeeded a a 1* | Succeeded b b 2*
";

#[tokio::test(start_paused = true)]
async fn every_action_in_every_state() {
    let mut table = String::new();
    for state in STATES {
        let (account, id) = held(state, false).await;
        table.push_str(&row(&account, state, &id).await);
    }
    assert_eq!(table, TABLE);
}

/// What comes of a rollback where another deployment succeeded before: a deployment of its own.
#[tokio::test(start_paused = true)]
async fn a_rollback_is_a_deployment_and_may_fail() {
    for allowed in [true, false] {
        let (account, id) = held("AllowTraffic", true).await;
        if !allowed {
            let policy = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "elasticloadbalancing:ModifyListener", "Resource": "*"},
            ]});
            let input = json!({"RoleName": "codedeploy", "PolicyName": "all", "PolicyDocument": policy.to_string()});
            account.ok("iam", "PutRolePolicy", input).await;
        }
        let stop = json!({"deploymentId": id, "autoRollbackEnabled": true});
        account.ok("codedeploy", "StopDeployment", stop).await;
        let info = account.deployment(&id).await;
        assert_eq!(info["status"], "Stopped");
        let back = info["rollbackInfo"]["rollbackDeploymentId"]
            .as_str()
            .unwrap();
        // One deployment per group, this one too.
        let refused = call(
            &account.sandbox,
            "codedeploy",
            "CreateDeployment",
            another(),
        )
        .await;
        assert_eq!(refused.unwrap_err().1, "DeploymentLimitExceededException");
        let (end, weights, sets) = match allowed {
            true => ("Succeeded", "b 100", vec!["2*"]),
            false => ("Failed", "b 90, a 10", vec!["2*", "3"]),
        };
        account.until(back, end, 60).await;
        pass(300).await;
        assert_eq!(account.serves(&account.production), weights);
        let summary = account.summary(back).await;
        assert!(summary.ends_with(&sets.join(" ")), "{summary}");
        let info = account.deployment(back).await;
        assert_eq!(info["creator"], "codeDeployRollback");
        assert_eq!(
            info["rollbackInfo"]["rollbackTriggeringDeploymentId"],
            json!(id)
        );
        if !allowed {
            assert_eq!(info["errorInformation"]["code"], "IAM_ROLE_PERMISSIONS");
            // A rollback isn't rolled back.
            assert!(info["rollbackInfo"]["rollbackDeploymentId"].is_null());
        }
    }
}

/// What comes of each action; each has an account of its own.
async fn row(account: &Account, state: &str, id: &str) -> String {
    let stop = |rollback: bool| json!({"deploymentId": id, "autoRollbackEnabled": rollback});
    let resume = |wait: &str| json!({"deploymentId": id, "deploymentWaitType": wait});
    let actions = [
        ("StopDeployment", stop(true)),
        ("StopDeployment", stop(false)),
        ("ContinueDeployment", resume("READY_WAIT")),
        ("ContinueDeployment", resume("TERMINATION_WAIT")),
        ("CreateDeployment", another()),
    ];
    let mut cells = Vec::new();
    for (operation, input) in actions {
        let account = account.fork();
        cells.push(
            match call(&account.sandbox, "codedeploy", operation, input).await {
                Err((_, code)) => short(&code),
                Ok(_) => {
                    pass(700).await;
                    account.summary(id).await
                }
            },
        );
    }
    let account = account.fork();
    account
        .sandbox
        .faults()
        .dials
        .alarms
        .push("errors".to_owned());
    pass(700).await;
    cells.push(account.summary(id).await);
    format!("{state}: {}\n", cells.join(" | "))
}

/// `DeploymentIsNotInReadyStateException` without what all such codes have.
fn short(code: &str) -> String {
    code.replace("DeploymentIs", "")
        .replace("Deployment", "")
        .replace("Exception", "")
}

fn another() -> Value {
    let spec = app_spec_of("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:1");
    json!({
        "applicationName": "web", "deploymentGroupName": "web",
        "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": spec}},
    })
}

/// An account with a deployment that is held in a state; after one that succeeded, or as the first.
async fn held(state: &str, after_another: bool) -> (Account, String) {
    let stage = Stage {
        config: "CodeDeployDefault.ECSCanary10Percent5Minutes",
        ready_wait: if state == "Ready" { 60 } else { 0 },
        ..Stage::default()
    };
    let account = account_with(&stage).await;
    let update = json!({
        "applicationName": "web", "currentDeploymentGroupName": "web",
        "alarmConfiguration": {"enabled": true, "alarms": [{"name": "errors"}]},
    });
    account
        .ok("codedeploy", "UpdateDeploymentGroup", update)
        .await;
    if after_another {
        let id = account.deploy("2").await;
        account.until(&id, "Succeeded", 1200).await;
    }
    if HOOKS.contains(&state) {
        dial(&account, json!("silent"));
        let id = deploy(&account, "3", &[state]).await;
        pass(400).await;
        assert_eq!(account.status(&id).await, "InProgress");
        return (account, id);
    }
    if state == "Install" {
        let hang = TaskFault::try_from(json!("hang")).unwrap();
        let mut faults = account.sandbox.faults();
        faults.dials.tasks.insert("httpd:3".to_owned(), hang);
    }
    let id = account.deploy("3").await;
    match state {
        "Created" => {}
        "Queued" => pass(1).await,
        "Install" => pass(100).await,
        "Ready" => account.until(&id, "Ready", 120).await,
        "AllowTraffic" => account.until_shifted(&id, 10.0).await,
        "Terminating" => {
            account.until_shifted(&id, 100.0).await;
            pass(10).await;
        }
        _ => account.until(&id, "Succeeded", 1200).await,
    }
    // A fork begins where somebody last looked.
    account.status(&id).await;
    (account, id)
}

impl Account {
    fn fork(&self) -> Self {
        Self {
            sandbox: self.sandbox.fork().unwrap(),
            production: self.production.clone(),
            test: self.test.clone(),
            groups: self.groups.clone(),
        }
    }

    /// Status, where both listeners lead, and the task sets: the definition's number, with a star for the primary one.
    async fn summary(&self, id: &str) -> String {
        let sets = self.sets().await;
        let set = |(status, definition, _): &(String, String, i64)| match status.as_str() {
            "PRIMARY" => format!("{definition}*"),
            _ => definition.clone(),
        };
        format!(
            "{} {} {} {}",
            self.status(id).await,
            self.live(&self.production),
            self.live(&self.test),
            sets.iter().map(set).collect::<Vec<_>>().join(" ")
        )
    }

    async fn until_shifted(&self, id: &str, weight: f64) {
        for _ in 0..1200 {
            pass(1).await;
            let input = json!({"deploymentId": id, "targetId": "web:web"});
            let Ok(target) = call(&self.sandbox, "codedeploy", "GetDeploymentTarget", input).await
            else {
                continue;
            };
            let sets = target["deploymentTarget"]["ecsTarget"]["taskSetsInfo"].clone();
            let green = sets
                .as_array()
                .unwrap()
                .iter()
                .find(|set| set["taskSetLabel"] == "Green");
            if green.is_some_and(|green| green["trafficWeight"] == json!(weight)) {
                return;
            }
        }
        panic!("{id} never shifted {weight} %");
    }
}
