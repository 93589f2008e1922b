//! Rollouts from end to end, with the clock at hand. The account is made by the same calls that a client would make.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::Sandbox;
use crate::faults::TaskFault;
use crate::services::codedeploy::AutoRollback;
use crate::testing::{REGION, call, pass, sandbox};

/// How the stage's deployment group differs.
pub(crate) struct Stage {
    pub(crate) ready_wait: i64,
    pub(crate) config: &'static str,
    pub(crate) test_listener: bool,
    pub(crate) rollback: &'static [&'static str],
    pub(crate) desired: i64,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            ready_wait: 60,
            config: "CodeDeployDefault.ECSAllAtOnce",
            test_listener: true,
            rollback: &[
                "DEPLOYMENT_FAILURE",
                "DEPLOYMENT_STOP_ON_REQUEST",
                "DEPLOYMENT_STOP_ON_ALARM",
            ],
            desired: 2,
        }
    }
}

/// An account with a service behind a balancer, and the deployment group of it.
pub(crate) struct Account {
    pub(crate) sandbox: Sandbox,
    pub(crate) production: String,
    pub(crate) test: String,
    pub(crate) groups: BTreeMap<String, String>,
}

pub(crate) fn definition(tag: &str) -> Value {
    json!({
        "family": "web",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{
            "name": "web",
            "image": format!("httpd:{tag}"),
            "portMappings": [{"containerPort": 80}],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/web", "awslogs-region": REGION, "awslogs-stream-prefix": "web",
            }},
        }],
    })
}

pub(crate) async fn role(sandbox: &Sandbox, name: &str, service: &str) {
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
    ]});
    let input = json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()});
    call(sandbox, "iam", "CreateRole", input).await.unwrap();
    crate::testing::allow_all(sandbox, name).await;
}

impl Account {
    pub(crate) async fn new(stage: &Stage) -> Self {
        let sandbox = sandbox();
        let mut account = Self {
            sandbox,
            production: String::new(),
            test: String::new(),
            groups: BTreeMap::new(),
        };
        account.network().await;
        account.service(stage).await;
        account.group(stage).await;
        account
    }

    /// The answer, which must be good.
    pub(crate) async fn ok(&self, service: &str, operation: &str, input: Value) -> Value {
        call(&self.sandbox, service, operation, input)
            .await
            .unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    async fn network(&mut self) {
        let vpc = self
            .ok("ec2", "CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}))
            .await;
        let vpc = vpc["vpc"]["vpcId"].as_str().unwrap().to_owned();
        let gateway = self.ok("ec2", "CreateInternetGateway", json!({})).await;
        let gateway = gateway["internetGateway"]["internetGatewayId"]
            .as_str()
            .unwrap()
            .to_owned();
        self.ok(
            "ec2",
            "AttachInternetGateway",
            json!({"VpcId": vpc, "InternetGatewayId": gateway}),
        )
        .await;
        let mut subnets = Vec::new();
        for (index, zone) in ["a", "b"].iter().enumerate() {
            let input = json!({"VpcId": vpc, "CidrBlock": format!("10.0.{index}.0/24"), "AvailabilityZone": format!("{REGION}{zone}")});
            let subnet = self.ok("ec2", "CreateSubnet", input).await;
            subnets.push(subnet["subnet"]["subnetId"].as_str().unwrap().to_owned());
        }
        let balancer = self
            .ok(
                "elasticloadbalancing",
                "CreateLoadBalancer",
                json!({"Name": "web", "Subnets": subnets}),
            )
            .await;
        let balancer = balancer["LoadBalancers"]["member"]["LoadBalancerArn"]
            .as_str()
            .unwrap()
            .to_owned();
        for name in ["web-a", "web-b"] {
            let input = json!({
                "Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip",
                "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
            });
            let group = self
                .ok("elasticloadbalancing", "CreateTargetGroup", input)
                .await;
            let arn = group["TargetGroups"]["member"]["TargetGroupArn"]
                .as_str()
                .unwrap()
                .to_owned();
            self.groups.insert(name.to_owned(), arn);
        }
        let listener = |port: u16, group: &str| {
            json!({
                "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port,
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": self.groups[group]}],
            })
        };
        let production = self
            .ok(
                "elasticloadbalancing",
                "CreateListener",
                listener(80, "web-a"),
            )
            .await;
        let test = self
            .ok(
                "elasticloadbalancing",
                "CreateListener",
                listener(8080, "web-b"),
            )
            .await;
        self.production = production["Listeners"]["member"]["ListenerArn"]
            .as_str()
            .unwrap()
            .to_owned();
        self.test = test["Listeners"]["member"]["ListenerArn"]
            .as_str()
            .unwrap()
            .to_owned();
        role(&self.sandbox, "execution", "ecs-tasks.amazonaws.com").await;
        role(&self.sandbox, "codedeploy", "codedeploy.amazonaws.com").await;
        self.ok(
            "logs",
            "CreateLogGroup",
            json!({"logGroupName": "/ecs/web"}),
        )
        .await;
        let subnet_input: Vec<Value> = subnets.into_iter().map(Value::from).collect();
        self.groups
            .insert("subnets".to_owned(), json!(subnet_input).to_string());
        pass(300).await;
    }

    fn subnets(&self) -> Value {
        serde_json::from_str(&self.groups["subnets"]).unwrap()
    }

    pub(crate) fn service_input(&self, stage: &Stage) -> Value {
        json!({
            "cluster": "web",
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": stage.desired,
            "launchType": "FARGATE",
            "deploymentController": {"type": "CODE_DEPLOY"},
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": self.subnets()}},
            "loadBalancers": [{"targetGroupArn": self.groups["web-a"], "containerName": "web", "containerPort": 80}],
            "clientToken": "one",
        })
    }

    async fn service(&self, stage: &Stage) {
        self.ok("ecs", "CreateCluster", json!({"clusterName": "web"}))
            .await;
        self.ok("ecs", "RegisterTaskDefinition", definition("1"))
            .await;
        self.ok("ecs", "CreateService", self.service_input(stage))
            .await;
    }

    pub(crate) fn group_input(&self, stage: &Stage) -> Value {
        let mut pair = json!({
            "targetGroups": [{"name": "web-a"}, {"name": "web-b"}],
            "prodTrafficRoute": {"listenerArns": [self.production]},
        });
        if stage.test_listener {
            pair["testTrafficRoute"] = json!({"listenerArns": [self.test]});
        }
        let ready = match stage.ready_wait {
            0 => json!({"actionOnTimeout": "CONTINUE_DEPLOYMENT"}),
            minutes => json!({"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": minutes}),
        };
        json!({
            "applicationName": "web",
            "deploymentGroupName": "web",
            "deploymentConfigName": stage.config,
            "serviceRoleArn": "arn:aws:iam::111122223333:role/codedeploy",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "ecsServices": [{"clusterName": "web", "serviceName": "web"}],
            "loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": ready,
                "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
            },
            "autoRollbackConfiguration": {"enabled": !stage.rollback.is_empty(), "events": stage.rollback},
        })
    }

    async fn group(&self, stage: &Stage) {
        self.ok(
            "codedeploy",
            "CreateApplication",
            json!({"applicationName": "web", "computePlatform": "ECS"}),
        )
        .await;
        self.ok(
            "codedeploy",
            "CreateDeploymentGroup",
            self.group_input(stage),
        )
        .await;
        pass(120).await;
    }

    /// Registers a definition with the image's tag and deploys it; answers the deployment's id.
    pub(crate) async fn deploy(&self, tag: &str) -> String {
        self.deploy_definition(definition(tag)).await
    }

    /// Registers a definition and deploys it; answers the deployment's id.
    pub(crate) async fn deploy_definition(&self, definition: Value) -> String {
        let registered = self.ok("ecs", "RegisterTaskDefinition", definition).await;
        let arn = &registered["taskDefinition"]["taskDefinitionArn"];
        let spec = app_spec_of(arn.as_str().unwrap());
        self.deploy_spec(&spec).await.unwrap()
    }

    pub(crate) async fn deploy_spec(&self, spec: &str) -> Result<String, (u16, String)> {
        let revision =
            json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": spec}});
        let input =
            json!({"applicationName": "web", "deploymentGroupName": "web", "revision": revision});
        let answer = call(&self.sandbox, "codedeploy", "CreateDeployment", input).await?;
        Ok(answer["deploymentId"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn deployment(&self, id: &str) -> Value {
        self.ok("codedeploy", "GetDeployment", json!({"deploymentId": id}))
            .await["deploymentInfo"]
            .take()
    }

    pub(crate) async fn target(&self, id: &str) -> Value {
        let input = json!({"deploymentId": id, "targetId": "web:web"});
        self.ok("codedeploy", "GetDeploymentTarget", input).await["deploymentTarget"]["ecsTarget"]
            .take()
    }

    pub(crate) async fn status(&self, id: &str) -> String {
        self.deployment(id).await["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Lets time pass until the deployment has the status; at most `seconds`.
    pub(crate) async fn until(&self, id: &str, status: &str, seconds: u64) {
        for _ in 0..seconds {
            if self.status(id).await == status {
                return;
            }
            pass(1).await;
        }
        panic!(
            "{id} did not get {status}: {:#}\n{:#}",
            self.deployment(id).await,
            self.target(id).await
        );
    }

    /// What a listener forwards to: `a 100`, or `a 90, b 10`.
    pub(crate) fn serves(&self, listener: &str) -> String {
        let world = self.sandbox.world();
        let weights = elbv2::forward(&world, REGION, listener).unwrap();
        let name = |arn: &String| {
            self.groups
                .iter()
                .find(|(_, known)| *known == arn)
                .map(|(name, _)| name.trim_start_matches("web-"))
                .unwrap()
        };
        weights
            .iter()
            .map(|(arn, weight)| format!("{} {weight}", name(arn)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Where a listener's traffic goes, without regard to the numbers.
    pub(crate) fn live(&self, listener: &str) -> String {
        let serves = self.serves(listener);
        let parts: Vec<&str> = serves
            .split(", ")
            .filter(|part| !part.ends_with(" 0"))
            .collect();
        parts
            .iter()
            .map(|part| part.split(' ').next().unwrap())
            .collect::<Vec<_>>()
            .join("+")
    }

    /// The pages that the healthy tasks of a listener's target groups give.
    pub(crate) fn pages(&self, listener: &str) -> Vec<String> {
        let world = self.sandbox.world();
        let mut pages = std::collections::BTreeSet::new();
        for (group, weight) in elbv2::forward(&world, REGION, listener).unwrap() {
            let targets = if weight > 0 {
                elbv2::in_service(&world, REGION, &group)
            } else {
                Vec::new()
            };
            for (address, port) in targets {
                let page = elbv2::page_of(&world, REGION, &group, (&address, port), "/").unwrap();
                pages.insert(
                    String::from_utf8_lossy(&page.body)
                        .split([',', ' '])
                        .nth(2)
                        .unwrap()
                        .to_owned(),
                );
            }
        }
        pages.into_iter().collect()
    }

    async fn sets(&self) -> Vec<(String, String, i64)> {
        let answer = self
            .ok(
                "ecs",
                "DescribeServices",
                json!({"cluster": "web", "services": ["web"]}),
            )
            .await;
        let sets = answer["services"][0]["taskSets"].as_array().unwrap();
        let text = |set: &Value, member: &str| {
            set[member]
                .as_str()
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .to_owned()
        };
        sets.iter()
            .map(|set| {
                (
                    text(set, "status"),
                    text(set, "taskDefinition"),
                    set["runningCount"].as_i64().unwrap(),
                )
            })
            .collect()
    }

    /// Saves the account and loads it again, as a restart does.
    fn restart(&self) {
        let mut world = self.sandbox.world();
        let saved = serde_json::to_string(&*world).unwrap();
        *world = serde_json::from_str(&saved).unwrap();
    }
}

pub(crate) fn app_spec_of(definition: &str) -> String {
    format!(
        "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: {definition}\n        LoadBalancerInfo:\n          ContainerName: web\n          ContainerPort: 80\n"
    )
}

fn events(target: &Value) -> Vec<String> {
    let events = target["lifecycleEvents"].as_array().unwrap();
    events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["lifecycleEventName"].as_str().unwrap(),
                event["status"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_moves_test_then_production_then_ends() {
    let account = Account::new(&Stage::default()).await;
    assert_eq!(
        (
            account.live(&account.production),
            account.live(&account.test)
        ),
        ("a".into(), "b".into())
    );
    assert_eq!(account.sets().await, [("PRIMARY".into(), "1".into(), 2)]);

    let id = account.deploy("2").await;
    assert_eq!(account.status(&id).await, "Created");
    let targets = call(
        &account.sandbox,
        "codedeploy",
        "ListDeploymentTargets",
        json!({"deploymentId": id}),
    )
    .await;
    assert_eq!(targets.unwrap_err().1, "DeploymentNotStartedException");

    account.until(&id, "InProgress", 10).await;
    pass(10).await;
    assert_eq!(
        account.sets().await,
        [
            ("PRIMARY".into(), "1".into(), 2),
            ("ACTIVE".into(), "2".into(), 0)
        ]
    );
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    assert!(events(&account.target(&id).await).contains(&"Install InProgress".to_owned()));

    account.until(&id, "Ready", 120).await;
    assert_eq!(
        (
            account.live(&account.production),
            account.live(&account.test)
        ),
        ("a".into(), "b".into())
    );
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    assert_eq!(account.pages(&account.test), ["httpd:2"]);
    let target = account.target(&id).await;
    assert_eq!(target["status"], "Ready");
    assert_eq!(target["taskSetsInfo"][0]["trafficWeight"], 100.0);
    assert_eq!(target["taskSetsInfo"][1]["taskSetLabel"], "Green");
    assert_eq!(target["taskSetsInfo"][1]["targetGroup"]["name"], "web-b");
    assert_eq!(target["taskSetsInfo"][1]["runningCount"], 2);

    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": id}),
        )
        .await;
    pass(10).await;
    let info = account.deployment(&id).await;
    assert_eq!(
        (
            info["status"].as_str(),
            info["instanceTerminationWaitTimeStarted"].as_bool()
        ),
        (Some("InProgress"), Some(true))
    );
    assert_eq!(
        (
            account.live(&account.production),
            account.live(&account.test)
        ),
        ("b".into(), "b".into())
    );
    assert_eq!(account.pages(&account.production), ["httpd:2"]);
    assert_eq!(
        account.sets().await,
        [
            ("PRIMARY".into(), "2".into(), 2),
            ("ACTIVE".into(), "1".into(), 2)
        ]
    );

    pass(4 * 60).await;
    assert_eq!(account.status(&id).await, "InProgress");
    account.until(&id, "Succeeded", 120).await;
    let services = json!({"cluster": "web", "services": ["web"]});
    let service = account.ok("ecs", "DescribeServices", services).await["services"][0].take();
    assert!(
        service["taskDefinition"]
            .as_str()
            .unwrap()
            .ends_with("web:2")
    );
    assert_eq!(
        service["loadBalancers"][0]["targetGroupArn"],
        json!(account.groups["web-b"])
    );
    let target = account.target(&id).await;
    assert_eq!(
        events(&target),
        [
            "BeforeInstall Succeeded",
            "Install Succeeded",
            "AfterInstall Succeeded",
            "AllowTestTraffic Succeeded",
            "AfterAllowTestTraffic Succeeded",
            "BeforeAllowTraffic Succeeded",
            "AllowTraffic Succeeded",
            "AfterAllowTraffic Succeeded",
        ]
    );
    for event in target["lifecycleEvents"].as_array().unwrap() {
        assert!(
            event["endTime"].as_f64() >= event["startTime"].as_f64(),
            "{event}"
        );
    }
    pass(600).await;
    assert_eq!(account.sets().await, [("PRIMARY".into(), "2".into(), 2)]);
    let timers = account.sandbox.world().timers.clone();
    assert_eq!(
        timers
            .iter()
            .filter(|timer| matches!(timer.wake, Wake::Service(..)))
            .count(),
        1,
        "wake-ups don't pile up"
    );
    assert!(
        !timers
            .iter()
            .any(|timer| matches!(timer.wake, Wake::Deployment(_)))
    );
}

#[tokio::test(start_paused = true)]
async fn the_second_rollout_goes_back_to_the_other_target_group() {
    let account = Account::new(&Stage {
        ready_wait: 0,
        ..Stage::default()
    })
    .await;
    let first = account.deploy("2").await;
    account.until(&first, "Succeeded", 900).await;
    let second = account.deploy("3").await;
    account.until(&second, "InProgress", 10).await;
    pass(30).await;
    assert_eq!(
        (
            account.pages(&account.production),
            account.live(&account.production)
        ),
        (vec!["httpd:2".to_owned()], "b".into())
    );
    account.until(&second, "Succeeded", 900).await;
    assert_eq!(
        (
            account.live(&account.production),
            account.live(&account.test)
        ),
        ("a".into(), "a".into())
    );
    assert_eq!(account.pages(&account.production), ["httpd:3"]);
    let info = account.deployment(&second).await;
    assert!(
        info["previousRevision"]["appSpecContent"]["content"]
            .as_str()
            .unwrap()
            .contains("web:2")
    );
    let group = account
        .ok(
            "codedeploy",
            "GetDeploymentGroup",
            json!({"applicationName": "web", "deploymentGroupName": "web"}),
        )
        .await;
    assert_eq!(
        group["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"],
        json!(second)
    );
}

#[tokio::test(start_paused = true)]
async fn one_deployment_at_a_time() {
    let account = Account::new(&Stage::default()).await;
    let id = account.deploy("2").await;
    let spec = app_spec_of("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:2");
    assert_eq!(
        account.deploy_spec(&spec).await.unwrap_err().1,
        "DeploymentLimitExceededException"
    );
    account.until(&id, "Ready", 120).await;
    assert_eq!(
        account.deploy_spec(&spec).await.unwrap_err().1,
        "DeploymentLimitExceededException"
    );
    account
        .ok(
            "codedeploy",
            "StopDeployment",
            json!({"deploymentId": id, "autoRollbackEnabled": false}),
        )
        .await;
    account.deploy_spec(&spec).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_continues() {
    let account = Account::new(&Stage {
        rollback: &[],
        ready_wait: 2,
        ..Stage::default()
    })
    .await;
    let id = account.deploy("2").await;
    account.until(&id, "Ready", 120).await;
    pass(115).await;
    assert_eq!(account.status(&id).await, "Ready");
    account.until(&id, "Stopped", 10).await;
    let info = account.deployment(&id).await;
    assert_eq!(info["errorInformation"]["code"], "TIMEOUT");
    assert!(info.get("rollbackInfo").is_none());
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    assert_eq!(account.live(&account.test), "b");

    // What it left is cleared away by the next one.
    let next = account.deploy("3").await;
    account.until(&next, "Ready", 600).await;
    assert_eq!(account.pages(&account.test), ["httpd:3"]);
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
}

/// Stops the first deployment of an account in a state, and says what production and test serve, and which sets are left.
async fn stopped_at(state: &str, rollback: bool) -> (String, String, usize, String) {
    let account = Account::new(&Stage {
        rollback: &[],
        ..Stage::default()
    })
    .await;
    let id = account.deploy("2").await;
    match state {
        "Created" => {}
        "Install" => pass(15).await,
        "Ready" => account.until(&id, "Ready", 120).await,
        _ => {
            account.until(&id, "Ready", 120).await;
            account
                .ok(
                    "codedeploy",
                    "ContinueDeployment",
                    json!({"deploymentId": id}),
                )
                .await;
            pass(20).await;
        }
    }
    account
        .ok(
            "codedeploy",
            "StopDeployment",
            json!({"deploymentId": id, "autoRollbackEnabled": rollback}),
        )
        .await;
    assert_eq!(account.status(&id).await, "Stopped");
    assert_eq!(
        account.deployment(&id).await["errorInformation"]["code"],
        "MANUAL_STOP"
    );
    pass(700).await;
    let sets = account.sets().await;
    let primary = sets
        .iter()
        .find(|set| set.0 == "PRIMARY")
        .unwrap()
        .1
        .clone();
    (
        account.live(&account.production),
        account.live(&account.test),
        sets.len(),
        primary,
    )
}

#[tokio::test(start_paused = true)]
async fn stopped_with_rollback_the_old_state_is_back() {
    let back = |test: &str| ("a".to_owned(), test.to_owned(), 1, "1".to_owned());
    assert_eq!(stopped_at("Created", true).await, back("b"));
    assert_eq!(stopped_at("Install", true).await, back("a"));
    assert_eq!(stopped_at("Ready", true).await, back("a"));
    assert_eq!(stopped_at("Terminating", true).await, back("a"));
}

#[tokio::test(start_paused = true)]
async fn stopped_without_rollback_everything_stays() {
    let left = |production: &str, primary: &str| {
        (production.to_owned(), "b".to_owned(), 2, primary.to_owned())
    };
    assert_eq!(stopped_at("Install", false).await, left("a", "1"));
    assert_eq!(stopped_at("Ready", false).await, left("a", "1"));
    assert_eq!(stopped_at("Terminating", false).await, left("b", "2"));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_a_deployment_of_its_own() {
    let account = Account::new(&Stage::default()).await;
    let first = account.deploy("2").await;
    account.until(&first, "Ready", 120).await;
    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": first}),
        )
        .await;
    account.until(&first, "InProgress", 1).await;
    pass(10).await;
    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": first, "deploymentWaitType": "TERMINATION_WAIT"}),
        )
        .await;
    account.until(&first, "Succeeded", 1).await;

    let second = account.deploy("3").await;
    account.until(&second, "Ready", 600).await;
    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": second}),
        )
        .await;
    pass(20).await;
    assert_eq!(account.pages(&account.production), ["httpd:3"]);
    account
        .ok(
            "codedeploy",
            "StopDeployment",
            json!({"deploymentId": second}),
        )
        .await;
    let info = account.deployment(&second).await;
    assert_eq!(info["status"], "Stopped");
    let third = info["rollbackInfo"]["rollbackDeploymentId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(account.deployment(&third).await["status"], "Created");
    account.until(&third, "Succeeded", 30).await;
    let info = account.deployment(&third).await;
    assert_eq!(info["creator"], "codeDeployRollback");
    assert_eq!(
        info["rollbackInfo"]["rollbackTriggeringDeploymentId"],
        json!(second)
    );
    assert!(
        info["revision"]["appSpecContent"]["content"]
            .as_str()
            .unwrap()
            .contains("web:2")
    );
    assert_eq!(account.pages(&account.production), ["httpd:2"]);
    assert_eq!(
        (
            account.live(&account.production),
            account.live(&account.test)
        ),
        ("b".into(), "b".into())
    );
    assert!(events(&account.target(&third).await).contains(&"Install Skipped".to_owned()));
    pass(700).await;
    assert_eq!(account.sets().await, [("PRIMARY".into(), "2".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_never_gets_healthy_fails_after_an_hour_and_is_rolled_back() {
    let account = Account::new(&Stage::default()).await;
    account
        .sandbox
        .faults()
        .unhealthy_images
        .push("httpd:bad".to_owned());
    let id = account.deploy("bad").await;
    pass(3500).await;
    assert_eq!(account.status(&id).await, "InProgress");
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
    let stopped = account
        .ok(
            "ecs",
            "ListTasks",
            json!({"cluster": "web", "desiredStatus": "STOPPED"}),
        )
        .await;
    let tasks = account
        .ok(
            "ecs",
            "DescribeTasks",
            json!({"cluster": "web", "tasks": [stopped["taskArns"][0]]}),
        )
        .await;
    assert!(
        tasks["tasks"][0]["stoppedReason"]
            .as_str()
            .unwrap()
            .starts_with("Task failed ELB health checks in (target-group ")
    );
    account.until(&id, "Failed", 200).await;
    let info = account.deployment(&id).await;
    assert_eq!(info["errorInformation"]["code"], "TIMEOUT");
    assert!(events(&account.target(&id).await).contains(&"Install Failed".to_owned()));
    assert!(
        info["rollbackInfo"]["rollbackMessage"]
            .as_str()
            .unwrap()
            .contains("no previous successful deployment")
    );
    pass(700).await;
    assert_eq!(account.sets().await, [("PRIMARY".into(), "1".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn crashing_and_missing_images_fail_as_well() {
    for (tag, reason) in [
        ("crash", "Essential container in task exited"),
        ("gone", "CannotPullContainerError"),
    ] {
        let account = Account::new(&Stage::default()).await;
        let crash = TaskFault::try_from(json!("crash")).unwrap();
        account
            .sandbox
            .faults()
            .dials
            .tasks
            .insert("httpd:crash".to_owned(), crash);
        let mut input = definition(tag);
        if tag == "gone" {
            input["containerDefinitions"][0]["image"] =
                json!("111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:gone");
        }
        let id = account.deploy_definition(input).await;
        pass(120).await;
        let stopped = account
            .ok(
                "ecs",
                "ListTasks",
                json!({"cluster": "web", "desiredStatus": "STOPPED"}),
            )
            .await;
        let tasks = account
            .ok(
                "ecs",
                "DescribeTasks",
                json!({"cluster": "web", "tasks": stopped["taskArns"]}),
            )
            .await;
        let tasks = tasks["tasks"].as_array().unwrap().clone();
        assert!(
            tasks
                .iter()
                .all(|task| task["stoppedReason"].as_str().unwrap().starts_with(reason)),
            "{tasks:#?}"
        );
        account.until(&id, "Failed", 3700).await;
        assert_eq!(account.pages(&account.production), ["httpd:1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_revisions_fail_at_once_with_a_code() {
    let account = Account::new(&Stage::default()).await;
    let good = app_spec_of("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:1");
    let cases = [
        ("nonsense: [".to_owned(), "INVALID_REVISION", "parsed"),
        (
            good.replace("web:1", "web:99"),
            "ECS_UPDATE_ERROR",
            "TaskDefinition not found",
        ),
        (
            good.replace("ContainerName: web", "ContainerName: other"),
            "ECS_UPDATE_ERROR",
            "container other",
        ),
        (
            good.replace("ContainerPort: 80", "ContainerPort: \"80\""),
            "INVALID_REVISION",
            "ContainerPort",
        ),
        (
            format!("{good}Hooks:\n  - BeforeInstall: check\n"),
            "INVALID_LAMBDA_FUNCTION",
            "Lambda",
        ),
        (
            format!("{good}Hooks:\n  - AllowTraffic: check\n"),
            "INVALID_REVISION",
            "unknown lifecycle event, AllowTraffic",
        ),
        (
            format!("{good}Hooks:\n  - AfterInstall: a\n  - AfterInstall: b\n"),
            "INVALID_REVISION",
            "AfterInstall twice",
        ),
        (
            format!("{good}Hooks:\n  - AfterInstall: [a]\n"),
            "INVALID_REVISION",
            "name or ARN of a Lambda function",
        ),
        (
            format!("{good}Hooks:\n  AfterInstall: a\n"),
            "INVALID_REVISION",
            "must be a list",
        ),
    ];
    for (spec, code, words) in cases {
        let id = account.deploy_spec(&spec).await.unwrap();
        account.until(&id, "Failed", 10).await;
        let info = account.deployment(&id).await;
        assert_eq!(info["errorInformation"]["code"], code, "{spec}");
        assert!(
            info["errorInformation"]["message"]
                .as_str()
                .unwrap()
                .contains(words),
            "{info:#}"
        );
        assert_eq!(account.sets().await.len(), 1);
    }
    let revision = json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": good, "sha256": "00"}});
    let input =
        json!({"applicationName": "web", "deploymentGroupName": "web", "revision": revision});
    let refused = call(&account.sandbox, "codedeploy", "CreateDeployment", input)
        .await
        .unwrap_err();
    assert_eq!(refused.1, "InvalidRevisionException");
}

#[tokio::test(start_paused = true)]
async fn a_canary_splits_production() {
    let account = Account::new(&Stage {
        config: "CodeDeployDefault.ECSCanary10Percent5Minutes",
        ready_wait: 0,
        ..Stage::default()
    })
    .await;
    let id = account.deploy("2").await;
    for _ in 0..120 {
        if account.serves(&account.production) != "a 100"
            && account.serves(&account.production) != "a 1"
        {
            break;
        }
        pass(1).await;
    }
    assert_eq!(account.serves(&account.production), "a 90, b 10");
    assert_eq!(
        account.target(&id).await["taskSetsInfo"][1]["trafficWeight"],
        10.0
    );
    pass(290).await;
    assert_eq!(account.serves(&account.production), "a 90, b 10");
    pass(20).await;
    assert_eq!(account.serves(&account.production), "b 100");
    account.until(&id, "Succeeded", 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_linear_shift_takes_its_steps() {
    let steps = shifts(Routing::Linear(30, 2), 0);
    assert_eq!(
        steps,
        [(0, 30), (120_000, 60), (240_000, 90), (360_000, 100)]
    );
    assert_eq!(
        shifts(Routing::Canary(20, 10), 5),
        [(5, 20), (600_005, 100)]
    );
    assert_eq!(shifts(Routing::AllAtOnce, 5), [(5, 100)]);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_stops_a_deployment() {
    let account = Account::new(&Stage {
        rollback: &["DEPLOYMENT_STOP_ON_ALARM"],
        ..Stage::default()
    })
    .await;
    let update = json!({
        "applicationName": "web", "currentDeploymentGroupName": "web",
        "alarmConfiguration": {"enabled": true, "alarms": [{"name": "errors"}]},
    });
    account
        .ok("codedeploy", "UpdateDeploymentGroup", update)
        .await;
    let id = account.deploy("2").await;
    account.until(&id, "Ready", 120).await;
    account
        .sandbox
        .faults()
        .dials
        .alarms
        .push("errors".to_owned());
    account.until(&id, "Stopped", 10).await;
    assert_eq!(
        account.deployment(&id).await["errorInformation"]["code"],
        "ALARM_ACTIVE"
    );
    pass(700).await;
    assert_eq!(account.sets().await, [("PRIMARY".into(), "1".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_test_listener_there_is_no_test_traffic() {
    let account = Account::new(&Stage {
        test_listener: false,
        ready_wait: 0,
        ..Stage::default()
    })
    .await;
    // The test listener goes, so that the second target group hangs on nothing.
    account
        .ok(
            "elasticloadbalancing",
            "DeleteListener",
            json!({"ListenerArn": account.test}),
        )
        .await;
    let id = account.deploy("2").await;
    pass(20).await;
    assert_eq!(account.serves(&account.production), "a 100, b 0");
    account.until(&id, "Succeeded", 900).await;
    assert_eq!(account.serves(&account.production), "b 100");
    assert_eq!(events(&account.target(&id).await).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_restart_at_any_moment_changes_nothing() {
    let account = Account::new(&Stage {
        config: "CodeDeployDefault.ECSCanary10Percent5Minutes",
        ..Stage::default()
    })
    .await;
    let id = account.deploy("2").await;
    for _ in 0..120 {
        account.restart();
        if account.status(&id).await == "Ready" {
            break;
        }
        pass(1).await;
    }
    account.restart();
    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": id}),
        )
        .await;
    for _ in 0..80 {
        account.restart();
        pass(10).await;
    }
    assert_eq!(account.status(&id).await, "Succeeded");
    assert_eq!(account.pages(&account.production), ["httpd:2"]);
    pass(600).await;
    assert_eq!(account.sets().await, [("PRIMARY".into(), "2".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_gone_fails_the_deployment() {
    let account = Account::new(&Stage::default()).await;
    let id = account.deploy("2").await;
    account.until(&id, "Ready", 120).await;
    let policy = json!({"RoleName": "codedeploy", "PolicyName": "all"});
    account.ok("iam", "DeleteRolePolicy", policy).await;
    account
        .ok("iam", "DeleteRole", json!({"RoleName": "codedeploy"}))
        .await;
    account
        .ok(
            "codedeploy",
            "ContinueDeployment",
            json!({"deploymentId": id}),
        )
        .await;
    pass(10).await;
    let info = account.deployment(&id).await;
    assert_eq!(
        (
            info["status"].as_str(),
            info["errorInformation"]["code"].as_str()
        ),
        (Some("Failed"), Some("IAM_ROLE_PERMISSIONS"))
    );
    assert_eq!(account.pages(&account.production), ["httpd:1"]);
}

#[tokio::test(start_paused = true)]
async fn continue_and_stop_say_when_they_cannot() {
    let account = Account::new(&Stage::default()).await;
    let id = account.deploy("2").await;
    let try_to = async |operation: &str, input: Value| {
        call(&account.sandbox, "codedeploy", operation, input)
            .await
            .unwrap_err()
            .1
    };
    assert_eq!(
        try_to("ContinueDeployment", json!({"deploymentId": id})).await,
        "DeploymentIsNotInReadyStateException"
    );
    account.until(&id, "Ready", 120).await;
    let termination = json!({"deploymentId": id, "deploymentWaitType": "TERMINATION_WAIT"});
    assert_eq!(
        try_to("ContinueDeployment", termination).await,
        "DeploymentIsNotInReadyStateException"
    );
    account
        .ok("codedeploy", "StopDeployment", json!({"deploymentId": id}))
        .await;
    assert_eq!(
        try_to("ContinueDeployment", json!({"deploymentId": id})).await,
        "DeploymentAlreadyCompletedException"
    );
    assert_eq!(
        try_to("StopDeployment", json!({"deploymentId": id})).await,
        "DeploymentAlreadyCompletedException"
    );
    assert_eq!(
        try_to("StopDeployment", json!({"deploymentId": "d-NONE"})).await,
        "DeploymentDoesNotExistException"
    );
}

#[test]
fn automatic_rollback_covers_only_what_is_listed() {
    let rollback = AutoRollback {
        enabled: true,
        events: vec!["DEPLOYMENT_FAILURE".to_owned()],
    };
    assert!(
        rollback.covers("DEPLOYMENT_FAILURE") && !rollback.covers("DEPLOYMENT_STOP_ON_REQUEST")
    );
    assert!(
        !AutoRollback {
            enabled: false,
            ..rollback
        }
        .covers("DEPLOYMENT_FAILURE")
    );
}

mod hooks;
mod table;
