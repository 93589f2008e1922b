//! What the ECS API accepts, refuses, lists and shows.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::rollout::tests::{Account, Stage, definition, role};
use crate::testing::{REGION, call, pass, sandbox};

/// The code and message of a refusal.
async fn refusal(sandbox: &crate::Sandbox, operation: &str, input: Value) -> (String, String) {
    let request = crate::testing::request("ecs", REGION, operation, Protocol::Json, &input);
    let response = sandbox.handle(request).await;
    assert_ne!(response.status(), 200, "{operation} was accepted: {input}");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    (
        body["__type"].as_str().unwrap().to_owned(),
        body["message"].as_str().unwrap().to_owned(),
    )
}

/// A definition with one change, and words of the refusal.
fn wrong_definitions() -> Vec<(&'static str, Value, &'static str)> {
    let port = |container: u32, host: u32| json!([{"containerPort": container, "hostPort": host}]);
    vec![
        ("/family", json!("a b"), "Family"),
        ("/networkMode", json!("bridge"), "awsvpc"),
        (
            "/cpu",
            json!("300"),
            "No Fargate configuration exists for given values: 300 CPU, 512 memory",
        ),
        ("/memory", json!("4096"), "256 CPU, 4096 memory"),
        (
            "/executionRoleArn",
            Value::Null,
            "execution role ARN to support log driver awslogs",
        ),
        (
            "/executionRoleArn",
            json!("arn:aws:iam::999999999999:role/other"),
            "Role is not valid",
        ),
        ("/Family", json!("web"), "Unknown parameter Family"),
        (
            "/containerDefinitions",
            json!([]),
            "Container list cannot be empty",
        ),
        (
            "/containerDefinitions/0/image",
            json!("httpd@sha256:12"),
            "digest",
        ),
        (
            "/containerDefinitions/0/image",
            json!("<IMAGE1_NAME>"),
            "invalid characters",
        ),
        (
            "/containerDefinitions/0/essential",
            json!(false),
            "essential",
        ),
        (
            "/containerDefinitions/0/portMappings",
            port(80, 8080),
            "host ports and container ports",
        ),
        (
            "/containerDefinitions/0/portMappings",
            port(70_000, 70_000),
            "65535",
        ),
        (
            "/containerDefinitions/0/portMappings",
            json!([{"containerPort": 80}, {"containerPort": 80}]),
            "unique",
        ),
        (
            "/containerDefinitions/0/portMappings",
            json!([{"containerPort": "80"}]),
            "wrong type",
        ),
        (
            "/containerDefinitions/0/privileged",
            json!(true),
            "privileged",
        ),
        ("/containerDefinitions/0/links", json!(["other"]), "links"),
        (
            "/containerDefinitions/0/logConfiguration/logDriver",
            json!("json-file"),
            "log driver json-file",
        ),
        (
            "/containerDefinitions/0/logConfiguration/options",
            json!({"awslogs-group": "/ecs/web", "awslogs-region": "eu-central-1"}),
            "awslogs-stream-prefix",
        ),
        (
            "/containerDefinitions/0/healthCheck",
            json!({"command": ["curl"]}),
            "CMD",
        ),
        (
            "/containerDefinitions/0/healthCheck",
            json!({"command": ["CMD", "x"], "interval": 1}),
            "interval",
        ),
        (
            "/containerDefinitions/0/cpu",
            json!(512),
            "sum of the containers' cpu",
        ),
        (
            "/containerDefinitions/0/mountPoints",
            json!([{"sourceVolume": "data"}]),
            "Unknown volume",
        ),
        (
            "/containerDefinitions/0/dependsOn",
            json!([{"containerName": "web", "condition": "START"}]),
            "cycle",
        ),
        (
            "/containerDefinitions/0/environment",
            json!([{"name": "A", "valueFrom": "b"}]),
            "Unknown parameter",
        ),
        ("/ephemeralStorage", json!({"sizeInGiB": 20}), "21"),
        ("/tags", json!([{"key": "aws:x", "value": "y"}]), "aws:"),
    ]
}

#[tokio::test(start_paused = true)]
async fn wrong_task_definitions_are_refused() {
    let sandbox = sandbox();
    for (at, value, words) in wrong_definitions() {
        let mut input = definition("1");
        let (parent, member) = at.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() {
            &mut input
        } else {
            input.pointer_mut(parent).unwrap()
        };
        match value.is_null() {
            true => {
                parent.as_object_mut().unwrap().remove(member);
            }
            false => parent[member] = value,
        }
        let (_, message) = refusal(&sandbox, "RegisterTaskDefinition", input).await;
        assert!(message.contains(words), "{at}: {message}");
    }
    assert!(sandbox.world().at(REGION).ecs.families.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_fargate_size_of_the_table_is_legal_and_its_neighbours_are_not() {
    for (cpu, least, most, step) in [
        (512, 1024, 4096, 1024),
        (4096, 8192, 30_720, 1024),
        (8192, 16_384, 61_440, 4096),
    ] {
        for memory in (least..=most).step_by(step) {
            assert!(definition::is_fargate_size(cpu, memory), "{cpu} {memory}");
            assert!(
                !definition::is_fargate_size(cpu, memory + 512),
                "{cpu} {}",
                memory + 512
            );
        }
        assert!(!definition::is_fargate_size(cpu, least - step as u64));
        assert!(!definition::is_fargate_size(cpu, most + step as u64));
    }
    assert!(!definition::is_fargate_size(300, 512));
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_registered_with_aws_defaults_and_found_by_three_names() {
    let sandbox = sandbox();
    let mut input = definition("1");
    input["cpu"] = json!("1 vCPU");
    input["memory"] = json!("2GB");
    input["tags"] = json!([{"key": "team", "value": "web"}]);
    let registered = call(&sandbox, "ecs", "RegisterTaskDefinition", input.clone())
        .await
        .unwrap();
    call(&sandbox, "ecs", "RegisterTaskDefinition", input)
        .await
        .unwrap();
    let shape = &registered["taskDefinition"];
    assert_eq!(
        (shape["cpu"].as_str(), shape["memory"].as_str()),
        (Some("1024"), Some("2048"))
    );
    assert_eq!(
        (shape["revision"].as_u64(), shape["status"].as_str()),
        (Some(1), Some("ACTIVE"))
    );
    let container = &shape["containerDefinitions"][0];
    assert_eq!(
        container["portMappings"],
        json!([{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}])
    );
    assert_eq!(
        (container["essential"].as_bool(), container["cpu"].as_i64()),
        (Some(true), Some(0))
    );
    assert_eq!(container["environment"], json!([]));
    assert_eq!(registered["tags"], json!([{"key": "team", "value": "web"}]));
    for (name, revision) in [
        ("web", 2),
        ("web:1", 1),
        (
            "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:1",
            1,
        ),
    ] {
        let input = json!({"taskDefinition": name, "include": ["TAGS"]});
        let found = call(&sandbox, "ecs", "DescribeTaskDefinition", input)
            .await
            .unwrap();
        assert_eq!(
            (
                found["taskDefinition"]["revision"].as_u64(),
                found["tags"][0]["key"].as_str()
            ),
            (Some(revision), Some("team"))
        );
    }
    let (code, message) = refusal(
        &sandbox,
        "DescribeTaskDefinition",
        json!({"taskDefinition": "other"}),
    )
    .await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("ClientException", "Unable to describe task definition.")
    );
}

#[tokio::test(start_paused = true)]
async fn revisions_are_listed_by_page_retired_and_deleted() {
    let sandbox = sandbox();
    for _ in 0..12 {
        call(&sandbox, "ecs", "RegisterTaskDefinition", definition("1"))
            .await
            .unwrap();
    }
    let list = async |mut input: Value| {
        let mut numbers = Vec::new();
        loop {
            let answer = call(&sandbox, "ecs", "ListTaskDefinitions", input.clone())
                .await
                .unwrap();
            let arns = answer["taskDefinitionArns"].as_array().unwrap().clone();
            numbers.extend(arns.iter().map(|arn| {
                arn.as_str()
                    .unwrap()
                    .rsplit(':')
                    .next()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            }));
            match answer.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => return numbers,
            }
        }
    };
    assert_eq!(
        list(json!({"familyPrefix": "web", "maxResults": 5})).await,
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(
        list(json!({"sort": "DESC", "maxResults": 5})).await,
        (1..=12).rev().collect::<Vec<_>>()
    );
    assert!(list(json!({"familyPrefix": "we"})).await.is_empty());

    let (code, _) = refusal(
        &sandbox,
        "DeregisterTaskDefinition",
        json!({"taskDefinition": "web"}),
    )
    .await;
    assert_eq!(code, "InvalidParameterException");
    let active = call(
        &sandbox,
        "ecs",
        "DeleteTaskDefinitions",
        json!({"taskDefinitions": ["web:1"]}),
    )
    .await
    .unwrap();
    assert_eq!(
        (
            active["taskDefinitions"].as_array().unwrap().len(),
            active["failures"].as_array().unwrap().len()
        ),
        (0, 1)
    );
    for number in 1..=12 {
        call(
            &sandbox,
            "ecs",
            "DeregisterTaskDefinition",
            json!({"taskDefinition": format!("web:{number}")}),
        )
        .await
        .unwrap();
    }
    assert!(list(json!({})).await.is_empty());
    assert_eq!(list(json!({"status": "INACTIVE"})).await.len(), 12);
    let families = call(
        &sandbox,
        "ecs",
        "ListTaskDefinitionFamilies",
        json!({"status": "INACTIVE"}),
    )
    .await
    .unwrap();
    assert_eq!(families["families"], json!(["web"]));
    let eleven: Vec<String> = (1..=11).map(|number| format!("web:{number}")).collect();
    refusal(
        &sandbox,
        "DeleteTaskDefinitions",
        json!({"taskDefinitions": eleven}),
    )
    .await;
    let deleted = call(
        &sandbox,
        "ecs",
        "DeleteTaskDefinitions",
        json!({"taskDefinitions": ["web:1", "web:99"]}),
    )
    .await
    .unwrap();
    assert_eq!(
        deleted["taskDefinitions"][0]["status"],
        "DELETE_IN_PROGRESS"
    );
    assert_eq!(deleted["failures"].as_array().unwrap().len(), 1);
    pass(61).await;
    refusal(
        &sandbox,
        "DescribeTaskDefinition",
        json!({"taskDefinition": "web:1"}),
    )
    .await;
    let again = call(&sandbox, "ecs", "RegisterTaskDefinition", definition("1"))
        .await
        .unwrap();
    assert_eq!(again["taskDefinition"]["revision"], 13);
}

#[tokio::test(start_paused = true)]
async fn clusters_are_made_once_changed_and_deleted() {
    let sandbox = sandbox();
    let input = json!({"clusterName": "web", "tags": [{"key": "a", "value": "b"}], "settings": [{"name": "containerInsights", "value": "enabled"}]});
    for _ in 0..2 {
        call(&sandbox, "ecs", "CreateCluster", input.clone())
            .await
            .unwrap();
    }
    let plain = call(
        &sandbox,
        "ecs",
        "DescribeClusters",
        json!({"clusters": ["web", "other"]}),
    )
    .await
    .unwrap();
    assert_eq!(
        (
            &plain["clusters"][0]["tags"],
            &plain["clusters"][0]["settings"]
        ),
        (&json!([]), &json!([]))
    );
    assert_eq!(plain["failures"][0]["reason"], "MISSING");
    let update =
        json!({"cluster": "web", "settings": [{"name": "containerInsights", "value": "disabled"}]});
    call(&sandbox, "ecs", "UpdateClusterSettings", update)
        .await
        .unwrap();
    let whole = call(
        &sandbox,
        "ecs",
        "DescribeClusters",
        json!({"clusters": ["web"], "include": ["TAGS", "SETTINGS"]}),
    )
    .await
    .unwrap();
    assert_eq!(
        whole["clusters"][0]["tags"],
        json!([{"key": "a", "value": "b"}])
    );
    assert_eq!(
        whole["clusters"][0]["settings"],
        json!([{"name": "containerInsights", "value": "disabled"}])
    );
    let arn = whole["clusters"][0]["clusterArn"].clone();
    call(
        &sandbox,
        "ecs",
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]}),
    )
    .await
    .unwrap();
    call(
        &sandbox,
        "ecs",
        "UntagResource",
        json!({"resourceArn": arn, "tagKeys": ["a"]}),
    )
    .await
    .unwrap();
    let tags = call(
        &sandbox,
        "ecs",
        "ListTagsForResource",
        json!({"resourceArn": arn}),
    )
    .await
    .unwrap();
    assert_eq!(tags["tags"], json!([{"key": "c", "value": "d"}]));
    call(&sandbox, "ecs", "DeleteCluster", json!({"cluster": arn}))
        .await
        .unwrap();
    assert_eq!(
        refusal(&sandbox, "ListServices", json!({"cluster": "web"}))
            .await
            .0,
        "ClusterNotFoundException"
    );
    let gone = call(
        &sandbox,
        "ecs",
        "DescribeClusters",
        json!({"clusters": ["web"]}),
    )
    .await
    .unwrap();
    assert_eq!(gone["clusters"][0]["status"], "INACTIVE");
    call(&sandbox, "ecs", "CreateCluster", input).await.unwrap();
    let again = call(&sandbox, "ecs", "ListClusters", json!({}))
        .await
        .unwrap();
    assert_eq!(again["clusterArns"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_its_tasks_and_then_is_steady() {
    let stage = Stage::default();
    let account = Account::new(&stage).await;
    let input = json!({"cluster": "web", "services": ["web", "none"], "include": ["TAGS"]});
    let answer = account.ok("ecs", "DescribeServices", input).await;
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let service = &answer["services"][0];
    assert_eq!(
        (
            service["runningCount"].as_i64(),
            service["pendingCount"].as_i64()
        ),
        (Some(2), Some(0))
    );
    assert_eq!(service["taskSets"][0]["stabilityStatus"], "STEADY_STATE");
    assert_eq!(service["deployments"], json!([]));
    let messages: Vec<&str> = service["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages[0], "(service web) has reached a steady state.");
    assert!(
        messages
            .iter()
            .any(|message| message.contains("has started 2 tasks: (task ")),
        "{messages:?}"
    );
    let tasks = account
        .ok(
            "ecs",
            "ListTasks",
            json!({"cluster": "web", "serviceName": "web"}),
        )
        .await;
    let tasks = account
        .ok(
            "ecs",
            "DescribeTasks",
            json!({"cluster": "web", "tasks": tasks["taskArns"]}),
        )
        .await;
    let mut addresses: Vec<&str> = Vec::new();
    for task in tasks["tasks"].as_array().unwrap() {
        assert_eq!(
            (task["lastStatus"].as_str(), task["group"].as_str()),
            (Some("RUNNING"), Some("service:web"))
        );
        assert_eq!(
            task["attachments"][0]["details"][2]["name"],
            "privateIPv4Address"
        );
        addresses.push(
            task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
                .as_str()
                .unwrap(),
        );
        assert!(task["startedAt"].as_f64().unwrap() - task["createdAt"].as_f64().unwrap() >= 20.0);
    }
    addresses.dedup();
    assert_eq!(addresses.len(), 2);
    let id = last(tasks["tasks"][0]["taskArn"].as_str().unwrap());
    let stream = json!({"logGroupName": "/ecs/web", "logStreamName": format!("web/web/{id}")});
    let log = account.ok("logs", "GetLogEvents", stream).await;
    assert_eq!(
        log["events"][0]["message"],
        "the sandbox started this container: httpd:1"
    );
}

#[tokio::test(start_paused = true)]
async fn what_create_service_refuses() {
    let stage = Stage::default();
    let account = Account::new(&stage).await;
    let good = account.service_input(&stage);
    let again = account.ok("ecs", "CreateService", good.clone()).await;
    assert_eq!(again["service"]["serviceName"], "web");
    let changed = |at: &str, value: Value| {
        let mut input = good.clone();
        input["serviceName"] = json!("other");
        match at.rsplit_once('/') {
            Some((parent, member)) if !parent.is_empty() => {
                input.pointer_mut(parent).unwrap()[member] = value
            }
            _ => input[at.trim_start_matches('/')] = value,
        }
        input
    };
    let mut same_name = good.clone();
    same_name["desiredCount"] = json!(5);
    let lonely = account
        .ok(
            "elasticloadbalancing",
            "DescribeTargetGroups",
            json!({"Names": ["web-a"]}),
        )
        .await;
    let vpc = lonely["TargetGroups"]["member"]["VpcId"].clone();
    let lonely =
        json!({"Name": "lonely", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
    let lonely = account
        .ok("elasticloadbalancing", "CreateTargetGroup", lonely)
        .await;
    let lonely = lonely["TargetGroups"]["member"]["TargetGroupArn"].clone();
    let cases = [
        (
            same_name,
            "InvalidParameterException",
            "Creation of service was not idempotent.",
        ),
        (
            changed("/cluster", json!("none")),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            changed("/taskDefinition", json!("none")),
            "ClientException",
            "TaskDefinition not found.",
        ),
        (
            changed("/desiredCount", json!(-1)),
            "InvalidParameterException",
            "Desired count",
        ),
        (
            changed(
                "/networkConfiguration/awsvpcConfiguration/subnets",
                json!(["subnet-0"]),
            ),
            "InvalidParameterException",
            "subnet-0",
        ),
        (
            changed("/loadBalancers/0/containerName", json!("none")),
            "InvalidParameterException",
            "The container none does not exist",
        ),
        (
            changed("/loadBalancers/0/containerPort", json!(81)),
            "InvalidParameterException",
            "did not have a container port 81 defined",
        ),
        (
            changed("/loadBalancers/0/targetGroupArn", lonely),
            "InvalidParameterException",
            "does not have an associated load balancer.",
        ),
        (
            changed("/launchType", json!("EC2")),
            "NotImplemented",
            "FARGATE",
        ),
        (
            changed(
                "/capacityProviderStrategy",
                json!([{"capacityProvider": "FARGATE_SPOT"}]),
            ),
            "NotImplemented",
            "capacityProviderStrategy",
        ),
    ];
    for (input, code, words) in cases {
        let (have, message) = refusal(&account.sandbox, "CreateService", input).await;
        assert!(
            have == code && message.contains(words),
            "{code} {words}: {have} {message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn code_deploy_owns_what_it_moves() {
    let account = Account::new(&Stage::default()).await;
    for (member, value) in [
        ("taskDefinition", json!("web:1")),
        ("forceNewDeployment", json!(true)),
        ("networkConfiguration", json!({})),
    ] {
        let mut input = json!({"cluster": "web", "service": "web"});
        input[member] = value;
        let (code, message) = refusal(&account.sandbox, "UpdateService", input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.ends_with("on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."));
    }
    let update = json!({"cluster": "web", "service": "web", "desiredCount": 3, "healthCheckGracePeriodSeconds": 60});
    account.ok("ecs", "UpdateService", update).await;
    pass(60).await;
    let answer = account
        .ok(
            "ecs",
            "DescribeServices",
            json!({"cluster": "web", "services": ["web"]}),
        )
        .await;
    assert_eq!(
        (
            answer["services"][0]["runningCount"].as_i64(),
            answer["services"][0]["healthCheckGracePeriodSeconds"].as_i64()
        ),
        (Some(3), Some(60))
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_drains_before_it_is_gone() {
    let account = Account::new(&Stage::default()).await;
    assert_eq!(
        refusal(
            &account.sandbox,
            "DeleteService",
            json!({"cluster": "web", "service": "web"})
        )
        .await
        .0,
        "InvalidParameterException"
    );
    assert_eq!(
        refusal(&account.sandbox, "DeleteCluster", json!({"cluster": "web"}))
            .await
            .0,
        "ClusterContainsServicesException"
    );
    let deleted = account
        .ok(
            "ecs",
            "DeleteService",
            json!({"cluster": "web", "service": "web", "force": true}),
        )
        .await;
    assert_eq!(deleted["service"]["status"], "DRAINING");
    assert_eq!(
        refusal(
            &account.sandbox,
            "UpdateService",
            json!({"cluster": "web", "service": "web", "desiredCount": 1})
        )
        .await
        .0,
        "ServiceNotActiveException"
    );
    pass(400).await;
    let answer = account
        .ok(
            "ecs",
            "DescribeServices",
            json!({"cluster": "web", "services": ["web"]}),
        )
        .await;
    assert_eq!(answer["services"][0]["status"], "INACTIVE");
    account
        .ok("ecs", "DeleteCluster", json!({"cluster": "web"}))
        .await;
    pass(120).await;
    let interfaces = account
        .ok("ec2", "DescribeNetworkInterfaces", json!({}))
        .await;
    let text = interfaces.to_string();
    assert!(!text.contains("attachment/"), "{text}");
    assert!(
        account
            .sandbox
            .world()
            .timers
            .iter()
            .all(|timer| !matches!(timer.wake, crate::world::Wake::Service(..)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stopped_task_is_replaced() {
    let account = Account::new(&Stage {
        desired: 1,
        ..Stage::default()
    })
    .await;
    let first = account
        .ok("ecs", "ListTasks", json!({"cluster": "web"}))
        .await["taskArns"][0]
        .clone();
    let stopped = account
        .ok(
            "ecs",
            "StopTask",
            json!({"cluster": "web", "task": first, "reason": "test"}),
        )
        .await;
    assert_eq!(
        (
            stopped["task"]["desiredStatus"].as_str(),
            stopped["task"]["stopCode"].as_str()
        ),
        (Some("STOPPED"), Some("UserInitiated"))
    );
    pass(60).await;
    let second = account
        .ok("ecs", "ListTasks", json!({"cluster": "web"}))
        .await["taskArns"]
        .clone();
    assert_eq!(second.as_array().unwrap().len(), 1);
    assert_ne!(second[0], first);
    pass(3600 * 2).await;
    let missing = account
        .ok(
            "ecs",
            "DescribeTasks",
            json!({"cluster": "web", "tasks": [first]}),
        )
        .await;
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_service_keeps_the_old_tasks_until_the_new_ones_are_healthy() {
    let stage = Stage::default();
    let account = Account::new(&stage).await;
    let mut input = account.service_input(&stage);
    input["serviceName"] = json!("rolling");
    input["deploymentController"] = json!({"type": "ECS"});
    input["loadBalancers"][0]["targetGroupArn"] = json!(account.groups["web-b"]);
    input["clientToken"] = json!("two");
    account.ok("ecs", "CreateService", input).await;
    pass(90).await;
    account
        .ok("ecs", "RegisterTaskDefinition", definition("2"))
        .await;
    account
        .ok(
            "ecs",
            "UpdateService",
            json!({"cluster": "web", "service": "rolling", "taskDefinition": "web:2"}),
        )
        .await;
    let deployments = async || {
        let answer = account
            .ok(
                "ecs",
                "DescribeServices",
                json!({"cluster": "web", "services": ["rolling"]}),
            )
            .await;
        let deployments = answer["services"][0]["deployments"]
            .as_array()
            .unwrap()
            .clone();
        deployments
            .iter()
            .map(|d| {
                (
                    d["status"].as_str().unwrap().to_owned(),
                    d["runningCount"].as_i64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    pass(10).await;
    assert_eq!(
        deployments().await,
        [("PRIMARY".into(), 0), ("ACTIVE".into(), 2)]
    );
    pass(600).await;
    assert_eq!(deployments().await, [("PRIMARY".into(), 2)]);
    assert_eq!(account.pages(&account.test), ["httpd:2"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_revision_stays_while_it_is_used() {
    let account = Account::new(&Stage::default()).await;
    account
        .ok(
            "ecs",
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "web:1"}),
        )
        .await;
    account
        .ok(
            "ecs",
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": ["web:1"]}),
        )
        .await;
    pass(600).await;
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    let shown = account
        .ok(
            "ecs",
            "DescribeTaskDefinition",
            json!({"taskDefinition": "web:1"}),
        )
        .await;
    assert_eq!(shown["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_for_its_role() {
    let account = Account::new(&Stage {
        desired: 0,
        ..Stage::default()
    })
    .await;
    let policy = json!({"RoleName": "execution", "PolicyName": "all"});
    account.ok("iam", "DeleteRolePolicy", policy).await;
    account
        .ok("iam", "DeleteRole", json!({"RoleName": "execution"}))
        .await;
    account
        .ok(
            "ecs",
            "UpdateService",
            json!({"cluster": "web", "service": "web", "desiredCount": 1}),
        )
        .await;
    pass(30).await;
    let events = account
        .ok(
            "ecs",
            "DescribeServices",
            json!({"cluster": "web", "services": ["web"]}),
        )
        .await;
    assert!(
        events["services"][0]["events"][0]["message"]
            .as_str()
            .unwrap()
            .contains("ECS was unable to assume the role")
    );
    role(&account.sandbox, "execution", "ecs-tasks.amazonaws.com").await;
    pass(180).await;
    let answer = account
        .ok(
            "ecs",
            "DescribeServices",
            json!({"cluster": "web", "services": ["web"]}),
        )
        .await;
    assert_eq!(answer["services"][0]["runningCount"], 1);
}

#[tokio::test(start_paused = true)]
async fn task_sets_can_be_handled_by_hand() {
    let account = Account::new(&Stage::default()).await;
    let input = json!({
        "cluster": "web", "service": "web", "taskDefinition": "web:1", "externalId": "mine", "scale": {"value": 50, "unit": "PERCENT"},
        "loadBalancers": [{"targetGroupArn": account.groups["web-b"], "containerName": "web", "containerPort": 80}],
    });
    let made = account.ok("ecs", "CreateTaskSet", input).await;
    assert_eq!(
        (
            made["taskSet"]["status"].as_str(),
            made["taskSet"]["computedDesiredCount"].as_i64()
        ),
        (Some("ACTIVE"), Some(1))
    );
    let id = made["taskSet"]["id"].clone();
    pass(60).await;
    let primary = json!({"cluster": "web", "service": "web", "primaryTaskSet": id});
    account
        .ok("ecs", "UpdateServicePrimaryTaskSet", primary)
        .await;
    let sets = account
        .ok(
            "ecs",
            "DescribeTaskSets",
            json!({"cluster": "web", "service": "web"}),
        )
        .await;
    assert_eq!(
        (&sets["taskSets"][0]["id"], &sets["taskSets"][0]["status"]),
        (&id, &json!("PRIMARY"))
    );
    let old = sets["taskSets"][1]["id"].clone();
    let delete =
        |force: bool| json!({"cluster": "web", "service": "web", "taskSet": old, "force": force});
    assert_eq!(
        refusal(&account.sandbox, "DeleteTaskSet", delete(false))
            .await
            .0,
        "InvalidParameterException"
    );
    let gone = account.ok("ecs", "DeleteTaskSet", delete(true)).await;
    assert_eq!(gone["taskSet"]["status"], "DRAINING");
    pass(400).await;
    let sets = account
        .ok(
            "ecs",
            "DescribeTaskSets",
            json!({"cluster": "web", "service": "web"}),
        )
        .await;
    assert_eq!(sets["taskSets"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_by_name() {
    let sandbox = sandbox();
    let (code, message) = refusal(&sandbox, "StartTask", json!({})).await;
    assert!(code == "NotImplemented" && message.contains("StartTask"));
    for operation in OPERATIONS {
        let answer = call(&sandbox, "ecs", operation, json!({})).await;
        assert!(
            answer.is_ok() || answer.clone().is_err_and(|(status, _)| status != 501),
            "{operation}: {answer:?}"
        );
    }
}
