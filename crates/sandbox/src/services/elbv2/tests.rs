//! Load balancing over its wire, on virtual time.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{Health, deregister, forward, health, register, set_forward};
use crate::Sandbox;
use crate::testing::{REGION, call, pass, sandbox};
use crate::wire::xml::many;

async fn elb(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, String> {
    call(sandbox, "elasticloadbalancing", operation, input)
        .await
        .map_err(|(_, code)| code)
}

async fn refused(sandbox: &Sandbox, operation: &str, input: Value, code: &str) {
    assert_eq!(
        elb(sandbox, operation, input).await.unwrap_err(),
        code,
        "{operation}"
    );
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A VPC with a subnet in each of two zones.
struct Network {
    vpc: String,
    subnets: Vec<String>,
}

async fn network(sandbox: &Sandbox) -> Network {
    let ec2 =
        async |operation: &str, input: Value| call(sandbox, "ec2", operation, input).await.unwrap();
    let vpc = text(&ec2("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["vpc"]["vpcId"]);
    let gateway = ec2("CreateInternetGateway", json!({})).await;
    let gateway = &gateway["internetGateway"]["internetGatewayId"];
    ec2(
        "AttachInternetGateway",
        json!({"InternetGatewayId": gateway, "VpcId": vpc}),
    )
    .await;
    let mut subnets = Vec::new();
    for (number, zone) in ["a", "b"].iter().enumerate() {
        let zone = format!("{REGION}{zone}");
        let input = json!({"VpcId": vpc, "CidrBlock": format!("10.0.{number}.0/24"), "AvailabilityZone": zone});
        subnets.push(text(
            &ec2("CreateSubnet", input).await["subnet"]["subnetId"],
        ));
    }
    subnets.sort();
    Network { vpc, subnets }
}

async fn balancer(sandbox: &Sandbox, network: &Network, name: &str) -> String {
    let made = elb(
        sandbox,
        "CreateLoadBalancer",
        json!({"Name": name, "Subnets": network.subnets}),
    )
    .await
    .unwrap();
    text(&made["LoadBalancers"]["member"]["LoadBalancerArn"])
}

async fn group(sandbox: &Sandbox, network: &Network, name: &str) -> String {
    let input = json!({
        "Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": network.vpc, "TargetType": "ip",
        "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 3, "UnhealthyThresholdCount": 2,
    });
    let made = elb(sandbox, "CreateTargetGroup", input).await.unwrap();
    text(&made["TargetGroups"]["member"]["TargetGroupArn"])
}

fn listening(balancer: &str, port: u16, group: &str) -> Value {
    json!({
        "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    })
}

async fn listener(sandbox: &Sandbox, balancer: &str, port: u16, group: &str) -> String {
    let made = elb(sandbox, "CreateListener", listening(balancer, port, group))
        .await
        .unwrap();
    text(&made["Listeners"]["member"]["ListenerArn"])
}

#[tokio::test]
async fn every_listed_operation_is_there() {
    let sandbox = sandbox();
    for operation in super::OPERATIONS {
        let answer = call(&sandbox, "elasticloadbalancing", operation, json!({})).await;
        assert_ne!(
            answer.err().map(|(status, _)| status),
            Some(501),
            "{operation}"
        );
    }
    let answer = call(
        &sandbox,
        "elasticloadbalancing",
        "CreateTrustStore",
        json!({}),
    )
    .await;
    assert_eq!(answer.unwrap_err().0, 501);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_is_provisioned_used_and_goes_slowly() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let arn = balancer(&sandbox, &network, "web").await;
    assert_eq!(balancer(&sandbox, &network, "web").await, arn);
    let other = json!({"Name": "web", "Subnets": network.subnets, "Scheme": "internal"});
    refused(
        &sandbox,
        "CreateLoadBalancer",
        other,
        "DuplicateLoadBalancerName",
    )
    .await;
    let state = async || {
        let found = elb(&sandbox, "DescribeLoadBalancers", json!({"Names": ["web"]}))
            .await
            .unwrap();
        text(&found["LoadBalancers"]["member"]["State"]["Code"])
    };
    assert_eq!(state().await, "provisioning");
    pass(120).await;
    assert_eq!(state().await, "active");
    elb(
        &sandbox,
        "DeleteLoadBalancer",
        json!({"LoadBalancerArn": arn}),
    )
    .await
    .unwrap();
    elb(
        &sandbox,
        "DeleteLoadBalancer",
        json!({"LoadBalancerArn": arn}),
    )
    .await
    .unwrap();
    refused(
        &sandbox,
        "DescribeLoadBalancers",
        json!({"Names": ["web"]}),
        "LoadBalancerNotFound",
    )
    .await;
    let subnet = json!({"SubnetId": network.subnets[0]});
    assert_eq!(
        call(&sandbox, "ec2", "DeleteSubnet", subnet.clone())
            .await
            .unwrap_err()
            .1,
        "DependencyViolation"
    );
    pass(90).await;
    call(&sandbox, "ec2", "DeleteSubnet", subnet).await.unwrap();
    assert!(sandbox.world().at(REGION).elbv2.alive().is_empty());
}

#[tokio::test]
async fn balancers_are_checked() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let named = |name: &str| json!({"Name": name, "Subnets": network.subnets});
    for name in [
        "internal-web",
        "-web",
        "web-",
        "w_b",
        "a23456789012345678901234567890123",
    ] {
        refused(
            &sandbox,
            "CreateLoadBalancer",
            named(name),
            "ValidationError",
        )
        .await;
    }
    let one = json!({"Name": "web", "Subnets": [network.subnets[0]]});
    refused(&sandbox, "CreateLoadBalancer", one, "ValidationError").await;
    let unknown = json!({"Name": "web", "Subnets": [network.subnets[0], "subnet-1"]});
    refused(&sandbox, "CreateLoadBalancer", unknown, "SubnetNotFound").await;
    let network_kind = json!({"Name": "web", "Subnets": network.subnets, "Type": "network"});
    refused(
        &sandbox,
        "CreateLoadBalancer",
        network_kind,
        "ValidationError",
    )
    .await;
    let arn = balancer(&sandbox, &network, "web").await;
    let attribute = |key: &str, value: &str| json!({"LoadBalancerArn": arn, "Attributes": [{"Key": key, "Value": value}]});
    refused(
        &sandbox,
        "ModifyLoadBalancerAttributes",
        attribute("nope", "1"),
        "InvalidConfigurationRequest",
    )
    .await;
    let idle = attribute("idle_timeout.timeout_seconds", "0");
    refused(
        &sandbox,
        "ModifyLoadBalancerAttributes",
        idle,
        "ValidationError",
    )
    .await;
    elb(
        &sandbox,
        "ModifyLoadBalancerAttributes",
        attribute("deletion_protection.enabled", "true"),
    )
    .await
    .unwrap();
    refused(
        &sandbox,
        "DeleteLoadBalancer",
        json!({"LoadBalancerArn": arn}),
        "OperationNotPermitted",
    )
    .await;
}

#[tokio::test]
async fn listeners_show_their_forwards_as_aws_does() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let web = balancer(&sandbox, &network, "web").await;
    let (blue, green) = (
        group(&sandbox, &network, "blue").await,
        group(&sandbox, &network, "green").await,
    );
    let made = elb(&sandbox, "CreateListener", listening(&web, 80, &blue))
        .await
        .unwrap();
    let action = &made["Listeners"]["member"]["DefaultActions"]["member"];
    assert_eq!(action["TargetGroupArn"], blue.as_str());
    assert_eq!(
        action["ForwardConfig"]["TargetGroups"]["member"],
        json!({"TargetGroupArn": blue, "Weight": "1"})
    );
    let arn = text(&made["Listeners"]["member"]["ListenerArn"]);
    refused(
        &sandbox,
        "CreateListener",
        listening(&web, 80, &green),
        "DuplicateListener",
    )
    .await;
    assert_eq!(listener(&sandbox, &web, 80, &blue).await, arn);

    let weights = [(blue.clone(), 90), (green.clone(), 10)];
    set_forward(&mut sandbox.world(), REGION, &arn, &weights).unwrap();
    assert_eq!(forward(&sandbox.world(), REGION, &arn).unwrap(), weights);
    let shown = elb(
        &sandbox,
        "DescribeListeners",
        json!({"LoadBalancerArn": web}),
    )
    .await
    .unwrap();
    let action = &shown["Listeners"]["member"]["DefaultActions"]["member"];
    assert_eq!(action.get("TargetGroupArn"), None);
    assert_eq!(
        many(&action["ForwardConfig"]["TargetGroups"], "member").len(),
        2
    );
    let rules = elb(&sandbox, "DescribeRules", json!({"ListenerArn": arn}))
        .await
        .unwrap();
    assert_eq!(rules["Rules"]["member"]["Priority"], "default");
    assert_eq!(rules["Rules"]["member"]["IsDefault"], "true");
    assert!(
        set_forward(
            &mut sandbox.world(),
            REGION,
            "arn:x:listener/app/none",
            &weights
        )
        .is_err()
    );

    let other = balancer(&sandbox, &network, "other").await;
    refused(
        &sandbox,
        "CreateListener",
        listening(&other, 80, &green),
        "TargetGroupAssociationLimit",
    )
    .await;
    refused(
        &sandbox,
        "DeleteTargetGroup",
        json!({"TargetGroupArn": green}),
        "ResourceInUse",
    )
    .await;
    elb(&sandbox, "DeleteListener", json!({"ListenerArn": arn}))
        .await
        .unwrap();
    refused(
        &sandbox,
        "DeleteListener",
        json!({"ListenerArn": arn}),
        "ListenerNotFound",
    )
    .await;
    elb(
        &sandbox,
        "DeleteTargetGroup",
        json!({"TargetGroupArn": green}),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn target_groups_are_checked_and_idempotent() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let arn = group(&sandbox, &network, "blue").await;
    assert_eq!(group(&sandbox, &network, "blue").await, arn);
    assert_eq!(
        super::target_group_arn(&sandbox.world(), REGION, "blue"),
        Some(arn.clone())
    );
    let with = |key: &str, value: Value| {
        let mut input = json!({"Name": "x", "Protocol": "HTTP", "Port": 80, "VpcId": network.vpc, "TargetType": "ip"});
        input[key] = value;
        input
    };
    let cases = [
        ("Port", json!(0)),
        ("VpcId", json!("vpc-1")),
        ("HealthCheckIntervalSeconds", json!(4)),
        ("HealthCheckTimeoutSeconds", json!(30)),
        ("HealthCheckPath", json!("health")),
        ("Matcher", json!({"HttpCode": "600"})),
        ("Protocol", json!("TCP")),
    ];
    for (key, value) in cases {
        refused(
            &sandbox,
            "CreateTargetGroup",
            with(key, value),
            "ValidationError",
        )
        .await;
    }
    refused(
        &sandbox,
        "CreateTargetGroup",
        with("Name", json!("blue")),
        "DuplicateTargetGroupName",
    )
    .await;
    let outside = json!({"TargetGroupArn": arn, "Targets": [{"Id": "192.168.0.1"}]});
    refused(&sandbox, "RegisterTargets", outside, "ValidationError").await;
    refused(
        &sandbox,
        "DescribeTargetGroups",
        json!({"Names": ["none"]}),
        "TargetGroupNotFound",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn health_follows_time_and_use() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let web = balancer(&sandbox, &network, "web").await;
    let blue = group(&sandbox, &network, "blue").await;
    let is = |want: Health| {
        assert_eq!(
            health(&sandbox.world(), REGION, &blue, "10.0.0.9", 80),
            want
        )
    };
    is(Health::Unused);
    register(&mut sandbox.world(), REGION, &blue, "10.0.0.9", 80).unwrap();
    is(Health::Unused);
    listener(&sandbox, &web, 80, &blue).await;
    is(Health::Initial);
    pass(19).await;
    is(Health::Initial);
    pass(1).await;
    // Nothing answers at the address.
    is(Health::Unhealthy);
    let shown = elb(
        &sandbox,
        "DescribeTargetHealth",
        json!({"TargetGroupArn": blue}),
    )
    .await
    .unwrap();
    let shown = &shown["TargetHealthDescriptions"]["member"];
    assert_eq!(shown["TargetHealth"]["Reason"], "Target.Timeout");
    assert_eq!(shown["Target"]["AvailabilityZone"], "eu-central-1a");
    deregister(&mut sandbox.world(), REGION, &blue, "10.0.0.9", 80);
    is(Health::Draining);
    pass(299).await;
    is(Health::Draining);
    pass(1).await;
    is(Health::Unused);
}

#[tokio::test(start_paused = true)]
async fn rules_come_before_the_default() {
    let sandbox = sandbox();
    let network = network(&sandbox).await;
    let web = balancer(&sandbox, &network, "web").await;
    let blue = group(&sandbox, &network, "blue").await;
    let arn = listener(&sandbox, &web, 80, &blue).await;
    let rule = |priority: u32, path: &str, body: &str| {
        json!({
            "ListenerArn": arn, "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "Values": [path]}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": body}}],
        })
    };
    elb(&sandbox, "CreateRule", rule(20, "/a*", "late"))
        .await
        .unwrap();
    elb(&sandbox, "CreateRule", rule(10, "/ab*", "early"))
        .await
        .unwrap();
    refused(
        &sandbox,
        "CreateRule",
        rule(10, "/c", "twice"),
        "PriorityInUse",
    )
    .await;
    assert_eq!(sandbox.fetch(&arn, "/abc").status, 503);
    pass(120).await;
    assert_eq!(sandbox.fetch(&arn, "/abc?x=1").body, "early");
    assert_eq!(sandbox.fetch(&arn, "/axe").body, "late");
    assert_eq!(sandbox.fetch(&arn, "/").status, 503);
    assert_eq!(sandbox.traffic(REGION).listeners[&arn], 4);
    assert_eq!(sandbox.traffic(REGION).groups[&blue], 1);
    let dns = sandbox.listeners()[0].dns_name.clone();
    assert_eq!(sandbox.fetch_host(&dns, 80, "/axe").body, "late");
    assert_eq!(sandbox.fetch_host(&dns, 81, "/axe").status, 502);
}

#[tokio::test(start_paused = true)]
async fn only_healthy_targets_are_asked_while_there_are_any() {
    use crate::rollout::tests::{Account, Stage};
    let account = Account::new(&Stage::default()).await;
    let sandbox = &account.sandbox;
    let blue = &account.groups["web-a"];
    register(&mut sandbox.world(), REGION, blue, "10.0.0.200", 80).unwrap();
    pass(60).await;
    let asked = || super::in_service(&sandbox.world(), REGION, blue);
    assert_eq!(asked().len(), 2);
    assert!(asked().iter().all(|(address, _)| address != "10.0.0.200"));
    for _ in 0..6 {
        assert_eq!(sandbox.fetch(&account.production, "/").status, 200);
    }
    for (address, port) in asked() {
        deregister(&mut sandbox.world(), REGION, blue, &address, port);
    }
    // Nobody is healthy: the one that is left is asked all the same.
    assert_eq!(asked(), [("10.0.0.200".to_owned(), 80)]);
    assert_eq!(sandbox.fetch(&account.production, "/").status, 502);
}
