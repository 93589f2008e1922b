//! What the CodeDeploy API accepts, refuses, lists and shows; how a deployment moves is tested beside [`crate::rollout`].

#![allow(clippy::unwrap_used)]

use super::*;
use crate::rollout::tests::{Account, Stage, app_spec_of};
use crate::testing::{REGION, call, pass, sandbox};

async fn refusal(account: &crate::Sandbox, operation: &str, input: Value) -> String {
    let answer = call(account, "codedeploy", operation, input.clone()).await;
    answer
        .map_err(|(_, code)| code)
        .expect_err(&format!("{operation} was accepted: {input}"))
}

#[tokio::test(start_paused = true)]
async fn a_group_is_shown_as_it_was_made() {
    let stage = Stage::default();
    let account = Account::new(&stage).await;
    let input = account.group_input(&stage);
    let name = json!({"applicationName": "web", "deploymentGroupName": "web"});
    let shown =
        account.ok("codedeploy", "GetDeploymentGroup", name).await["deploymentGroupInfo"].take();
    for (member, value) in input.as_object().unwrap() {
        assert_eq!(&shown[member], value, "{member}");
    }
    let names = json!({"applicationName": "web", "deploymentGroupNames": ["web", "none"]});
    let batch = account
        .ok("codedeploy", "BatchGetDeploymentGroups", names)
        .await;
    assert_eq!(batch["deploymentGroupsInfo"].as_array().unwrap().len(), 1);
    assert!(batch["errorMessage"].as_str().unwrap().contains("none"));
    let list = account
        .ok(
            "codedeploy",
            "ListDeploymentGroups",
            json!({"applicationName": "web"}),
        )
        .await;
    assert_eq!(
        list,
        json!({"deploymentGroups": ["web"], "applicationName": "web"})
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_groups_are_refused() {
    let stage = Stage::default();
    let account = Account::new(&stage).await;
    account
        .ok(
            "codedeploy",
            "CreateApplication",
            json!({"applicationName": "other", "computePlatform": "ECS"}),
        )
        .await;
    let taken = {
        let mut input = account.group_input(&stage);
        input["applicationName"] = json!("other");
        input
    };
    assert_eq!(
        refusal(&account.sandbox, "CreateDeploymentGroup", taken).await,
        "ECSServiceMappingLimitExceededException"
    );
    account
        .ok(
            "codedeploy",
            "DeleteDeploymentGroup",
            json!({"applicationName": "web", "deploymentGroupName": "web"}),
        )
        .await;
    let pair = "/loadBalancerInfo/targetGroupPairInfoList/0";
    let ready = "/blueGreenDeploymentConfiguration/deploymentReadyOption";
    let cases = [
        (
            "/applicationName".to_owned(),
            json!("none"),
            "ApplicationDoesNotExistException",
        ),
        (
            "/deploymentGroupName".to_owned(),
            json!("a b"),
            "InvalidDeploymentGroupNameException",
        ),
        (
            "/deploymentConfigName".to_owned(),
            json!("none"),
            "DeploymentConfigDoesNotExistException",
        ),
        (
            "/serviceRoleArn".to_owned(),
            json!("arn:aws:iam::111122223333:role/none"),
            "InvalidRoleException",
        ),
        (
            "/serviceRoleArn".to_owned(),
            json!("arn:aws:iam::111122223333:role/execution"),
            "InvalidRoleException",
        ),
        (
            "/deploymentStyle/deploymentType".to_owned(),
            json!("IN_PLACE"),
            "InvalidDeploymentStyleException",
        ),
        (
            "/ecsServices".to_owned(),
            json!([]),
            "InvalidECSServiceException",
        ),
        (
            "/ecsServices/0/serviceName".to_owned(),
            json!("none"),
            "InvalidECSServiceException",
        ),
        (
            format!("{pair}/targetGroups"),
            json!([{"name": "web-a"}]),
            "InvalidTargetGroupPairException",
        ),
        (
            format!("{pair}/targetGroups"),
            json!([{"name": "web-a"}, {"name": "none"}]),
            "InvalidTargetGroupPairException",
        ),
        (
            format!("{pair}/prodTrafficRoute"),
            json!({"listenerArns": ["arn:none"]}),
            "InvalidTargetGroupPairException",
        ),
        (
            format!("{pair}/testTrafficRoute"),
            json!({"listenerArns": [account.production]}),
            "InvalidTargetGroupPairException",
        ),
        (
            ready.to_owned(),
            json!({"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 5}),
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            ready.to_owned(),
            json!({"actionOnTimeout": "STOP_DEPLOYMENT"}),
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            "/blueGreenDeploymentConfiguration".to_owned(),
            Value::Null,
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            "/autoRollbackConfiguration".to_owned(),
            json!({"enabled": true, "events": ["NONE"]}),
            "InvalidAutoRollbackConfigException",
        ),
        (
            "/alarmConfiguration".to_owned(),
            json!({"enabled": true}),
            "InvalidAlarmConfigException",
        ),
        (
            "/ec2TagFilters".to_owned(),
            json!([{"Key": "a"}]),
            "InvalidInputException",
        ),
        (
            "/triggerConfigurations".to_owned(),
            json!([{"triggerName": "a"}]),
            "NotImplemented",
        ),
    ];
    for (at, value, code) in cases {
        let mut input = account.group_input(&stage);
        let (parent, member) = at.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() {
            &mut input
        } else {
            input.pointer_mut(parent).unwrap()
        };
        parent[member] = value;
        assert_eq!(
            refusal(&account.sandbox, "CreateDeploymentGroup", input).await,
            code,
            "{at}"
        );
    }
    account
        .ok(
            "codedeploy",
            "CreateDeploymentGroup",
            account.group_input(&stage),
        )
        .await;
    assert_eq!(
        refusal(
            &account.sandbox,
            "CreateDeploymentGroup",
            account.group_input(&stage)
        )
        .await,
        "DeploymentGroupAlreadyExistsException"
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_what_it_gives_and_nothing_else() {
    let account = Account::new(&Stage::default()).await;
    let name = json!({"applicationName": "web", "deploymentGroupName": "web"});
    let before = account
        .ok("codedeploy", "GetDeploymentGroup", name.clone())
        .await["deploymentGroupInfo"]
        .take();
    let update = json!({
        "applicationName": "web", "currentDeploymentGroupName": "web",
        "autoRollbackConfiguration": {"enabled": false, "events": []},
        "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
    });
    account
        .ok("codedeploy", "UpdateDeploymentGroup", update)
        .await;
    let mut after =
        account.ok("codedeploy", "GetDeploymentGroup", name).await["deploymentGroupInfo"].take();
    assert_eq!(
        after["autoRollbackConfiguration"],
        json!({"enabled": false, "events": []})
    );
    assert_eq!(
        after["deploymentConfigName"],
        "CodeDeployDefault.ECSLinear10PercentEvery1Minutes"
    );
    for member in ["autoRollbackConfiguration", "deploymentConfigName"] {
        after[member] = before[member].clone();
    }
    assert_eq!(after, before);
    let rename = json!({"applicationName": "web", "currentDeploymentGroupName": "web", "newDeploymentGroupName": "blue"});
    account
        .ok("codedeploy", "UpdateDeploymentGroup", rename)
        .await;
    let list = account
        .ok(
            "codedeploy",
            "ListDeploymentGroups",
            json!({"applicationName": "web"}),
        )
        .await;
    assert_eq!(list["deploymentGroups"], json!(["blue"]));
}

#[tokio::test(start_paused = true)]
async fn applications_have_tags_and_go_with_their_groups() {
    let account = Account::new(&Stage::default()).await;
    let create = json!({"applicationName": "web", "computePlatform": "ECS"});
    assert_eq!(
        refusal(&account.sandbox, "CreateApplication", create).await,
        "ApplicationAlreadyExistsException"
    );
    let lambda = json!({"applicationName": "f", "computePlatform": "Lambda"});
    assert_eq!(
        refusal(&account.sandbox, "CreateApplication", lambda).await,
        "NotImplemented"
    );
    for arn in ["application:web", "deploymentgroup:web/web"] {
        let arn = format!("arn:aws:codedeploy:eu-central-1:111122223333:{arn}");
        account.ok("codedeploy", "TagResource", json!({"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]})).await;
        account
            .ok(
                "codedeploy",
                "UntagResource",
                json!({"ResourceArn": arn, "TagKeys": ["a"]}),
            )
            .await;
        let tags = account
            .ok(
                "codedeploy",
                "ListTagsForResource",
                json!({"ResourceArn": arn}),
            )
            .await;
        assert_eq!(tags, json!({"Tags": [{"Key": "c", "Value": "d"}]}));
    }
    for _ in 0..2 {
        account
            .ok(
                "codedeploy",
                "DeleteApplication",
                json!({"applicationName": "web"}),
            )
            .await;
    }
    assert_eq!(
        refusal(
            &account.sandbox,
            "GetApplication",
            json!({"applicationName": "web"})
        )
        .await,
        "ApplicationDoesNotExistException"
    );
    let gone =
        json!({"ResourceArn": "arn:aws:codedeploy:eu-central-1:111122223333:application:web"});
    assert_eq!(
        refusal(&account.sandbox, "ListTagsForResource", gone).await,
        "ApplicationDoesNotExistException"
    );
}

#[tokio::test(start_paused = true)]
async fn configurations_are_checked_and_kept_while_in_use() {
    let sandbox = sandbox();
    let config = |name: &str, kind: &str, percent: i64, minutes: i64| {
        json!({"deploymentConfigName": name, "computePlatform": "ECS", "trafficRoutingConfig": {
            "type": kind,
            "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": minutes},
            "timeBasedLinear": {"linearPercentage": percent, "linearInterval": minutes},
        }})
    };
    call(
        &sandbox,
        "codedeploy",
        "CreateDeploymentConfig",
        config("twenty", "TimeBasedCanary", 20, 10),
    )
    .await
    .unwrap();
    let shown = call(
        &sandbox,
        "codedeploy",
        "GetDeploymentConfig",
        json!({"deploymentConfigName": "twenty"}),
    )
    .await
    .unwrap();
    let routing = json!({"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 20, "canaryInterval": 10}});
    assert_eq!(
        shown["deploymentConfigInfo"]["trafficRoutingConfig"],
        routing
    );
    let wrong = "InvalidTrafficRoutingConfigurationException";
    for (input, code) in [
        (
            config("twenty", "AllAtOnce", 1, 1),
            "DeploymentConfigAlreadyExistsException",
        ),
        (config("a", "TimeBasedCanary", 100, 10), wrong),
        (config("a", "TimeBasedCanary", 10, 0), wrong),
        (config("a", "TimeBasedLinear", 1, 30), wrong),
        (config("a", "Sudden", 1, 1), wrong),
        (
            config("CodeDeployDefault.Mine", "AllAtOnce", 1, 1),
            "InvalidDeploymentConfigNameException",
        ),
    ] {
        assert_eq!(
            refusal(&sandbox, "CreateDeploymentConfig", input).await,
            code
        );
    }
    let list = call(&sandbox, "codedeploy", "ListDeploymentConfigs", json!({}))
        .await
        .unwrap();
    assert_eq!(list["deploymentConfigsList"].as_array().unwrap().len(), 6);
    let predefined = json!({"deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce"});
    assert_eq!(
        refusal(&sandbox, "DeleteDeploymentConfig", predefined).await,
        "InvalidOperationException"
    );

    let account = Account::new(&Stage::default()).await;
    account
        .ok(
            "codedeploy",
            "CreateDeploymentConfig",
            config("twenty", "TimeBasedCanary", 20, 10),
        )
        .await;
    let update = json!({"applicationName": "web", "currentDeploymentGroupName": "web", "deploymentConfigName": "twenty"});
    account
        .ok("codedeploy", "UpdateDeploymentGroup", update)
        .await;
    let name = json!({"deploymentConfigName": "twenty"});
    assert_eq!(
        refusal(&account.sandbox, "DeleteDeploymentConfig", name.clone()).await,
        "DeploymentConfigInUseException"
    );
    account
        .ok(
            "codedeploy",
            "DeleteApplication",
            json!({"applicationName": "web"}),
        )
        .await;
    account
        .ok("codedeploy", "DeleteDeploymentConfig", name.clone())
        .await;
    assert_eq!(
        refusal(&account.sandbox, "GetDeploymentConfig", name).await,
        "DeploymentConfigDoesNotExistException"
    );
}

#[tokio::test(start_paused = true)]
async fn deployments_are_listed_newest_first_and_filtered() {
    let account = Account::new(&Stage {
        rollback: &[],
        ..Stage::default()
    })
    .await;
    let mut ids = Vec::new();
    for tag in ["2", "3"] {
        let id = account.deploy(tag).await;
        pass(5).await;
        account
            .ok(
                "codedeploy",
                "StopDeployment",
                json!({"deploymentId": id, "autoRollbackEnabled": false}),
            )
            .await;
        ids.insert(0, id);
    }
    let running = account.deploy("4").await;
    let group = json!({"applicationName": "web", "deploymentGroupName": "web"});
    let list = account
        .ok("codedeploy", "ListDeployments", group.clone())
        .await;
    assert_eq!(list["deployments"], json!([running, ids[0], ids[1]]));
    let mut only = group.clone();
    only["includeOnlyStatuses"] = json!(["Created", "Queued", "InProgress", "Ready"]);
    assert_eq!(
        account
            .ok("codedeploy", "ListDeployments", only.clone())
            .await["deployments"],
        json!([running])
    );
    only["includeOnlyStatuses"] = json!(["Done"]);
    assert_eq!(
        refusal(&account.sandbox, "ListDeployments", only).await,
        "InvalidDeploymentStatusException"
    );
    let later = account.deployment(&ids[0]).await["createTime"]
        .as_f64()
        .unwrap();
    let mut range = group;
    range["createTimeRange"] = json!({"start": later});
    assert_eq!(
        account.ok("codedeploy", "ListDeployments", range).await["deployments"],
        json!([running, ids[0]])
    );
    let batch = account
        .ok(
            "codedeploy",
            "BatchGetDeployments",
            json!({"deploymentIds": ids}),
        )
        .await;
    assert_eq!(batch["deploymentsInfo"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn revisions_are_registered_by_deployments_and_by_hand() {
    let account = Account::new(&Stage::default()).await;
    let id = account.deploy("2").await;
    let used = account.deployment(&id).await["revision"].clone();
    let s3 = json!({"revisionType": "S3", "s3Location": {"bucket": "b", "key": "spec.yaml", "bundleType": "YAML"}});
    let input = json!({"applicationName": "web", "revision": s3, "description": "by hand"});
    account
        .ok("codedeploy", "RegisterApplicationRevision", input)
        .await;
    let list = account
        .ok(
            "codedeploy",
            "ListApplicationRevisions",
            json!({"applicationName": "web"}),
        )
        .await;
    assert_eq!(list["revisions"], json!([used, s3]));
    let list = account
        .ok(
            "codedeploy",
            "ListApplicationRevisions",
            json!({"applicationName": "web", "deployed": "exclude"}),
        )
        .await;
    assert_eq!(list["revisions"], json!([s3]));
    let get = account
        .ok(
            "codedeploy",
            "GetApplicationRevision",
            json!({"applicationName": "web", "revision": used}),
        )
        .await;
    assert_eq!(get["revisionInfo"]["deploymentGroups"], json!(["web"]));
    let other =
        json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": app_spec_of("x")}});
    let input = json!({"applicationName": "web", "revision": other});
    assert_eq!(
        refusal(&account.sandbox, "GetApplicationRevision", input).await,
        "RevisionDoesNotExistException"
    );
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_creates_and_asks() {
    let account = Account::new(&Stage {
        ready_wait: 1,
        ..Stage::default()
    })
    .await;
    let spec = app_spec_of("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:1");
    let id = create(
        &mut account.sandbox.world(),
        REGION,
        "web",
        "web",
        &spec,
        "pipeline",
    )
    .unwrap();
    assert_eq!(
        status(&account.sandbox.world(), REGION, &id),
        Some(("Created".to_owned(), None))
    );
    pass(600).await;
    let (status, error) = status(&account.sandbox.world(), REGION, &id).unwrap();
    assert_eq!(
        (status.as_str(), error.unwrap().0.as_str()),
        ("Stopped", "TIMEOUT")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_by_name() {
    let sandbox = sandbox();
    assert_eq!(
        refusal(&sandbox, "ListGitHubAccountTokenNames", json!({})).await,
        "NotImplemented"
    );
    for operation in OPERATIONS {
        let answer = call(
            &sandbox,
            "codedeploy",
            operation,
            json!({"applicationName": "a", "computePlatform": "ECS"}),
        )
        .await;
        assert!(
            answer.is_ok() || answer.clone().is_err_and(|(status, _)| status != 501),
            "{operation}: {answer:?}"
        );
    }
}
