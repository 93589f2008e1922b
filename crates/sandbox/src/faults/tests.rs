//! Every strike, over the wire and alone; chaos, and that it can be had again.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::Sandbox;
use crate::client::Life;
use crate::testing::{REGION, call, code, pass, protocol, request, sandbox};
use crate::wire::LOST_HEADER;

fn rule(strike: Strike) -> Rule {
    Rule {
        service: None,
        operation: Some("CreateVpc".to_owned()),
        skip: 0,
        times: 1,
        strike,
    }
}

/// Makes a VPC: the status, the code of an error.
async fn create(sandbox: &Sandbox) -> (u16, String) {
    let input = json!({"CidrBlock": "10.0.0.0/16"});
    let request = request("ec2", REGION, "CreateVpc", protocol("ec2"), &input);
    let response = sandbox.handle(request).await;
    (response.status().as_u16(), code(&response))
}

fn vpcs(sandbox: &Sandbox) -> usize {
    sandbox.world().at(REGION).ec2.vpcs.len()
}

#[tokio::test(start_paused = true)]
async fn each_strike_has_its_effect_or_none() {
    let refused = Fault::new("Nope", "no");
    let table = [
        (Strike::Refuse(refused), (400, "Nope"), 0),
        (Strike::Throttle, (503, "RequestLimitExceeded"), 0),
        (Strike::OverQuota, (400, "VpcLimitExceeded"), 0),
        (Strike::Fail(500), (500, "InternalError"), 0),
        (Strike::Fail(503), (503, "Unavailable"), 0),
        (Strike::Reset, (599, ""), 0),
        (Strike::LoseAnswer, (599, ""), 1),
        (Strike::KillCaller, (200, ""), 1),
        (Strike::Delay(Duration::from_secs(3)), (200, ""), 1),
    ];
    for (strike, (status, code), there) in table {
        let sandbox = sandbox();
        sandbox.faults().add(rule(strike.clone()));
        let answer = create(&sandbox).await;
        assert_eq!(answer, (status, code.to_owned()), "{strike:?}");
        assert_eq!(vpcs(&sandbox), there, "{strike:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_none_for_however_long() {
    let sandbox = sandbox();
    sandbox.faults().add(rule(Strike::NoAnswer));
    let waited = tokio::time::timeout(Duration::from_secs(3600), create(&sandbox)).await;
    assert!(waited.is_err());
    assert_eq!(vpcs(&sandbox), 0);
    assert_eq!(create(&sandbox).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn call_number_n_of_all_calls_is_struck() {
    let sandbox = sandbox();
    sandbox.faults().add(Rule {
        operation: None,
        skip: 2,
        ..rule(Strike::Reset)
    });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(create(&sandbox).await.0);
    }
    assert_eq!(statuses, [200, 200, 599, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_key_gets_through_with_nothing_until_the_faults_are_cleared() {
    let sandbox = sandbox();
    sandbox.faults().add(rule(Strike::KillCaller));
    assert_eq!(create(&sandbox).await.0, 200);
    assert_eq!(create(&sandbox).await.0, 599);
    assert_eq!(vpcs(&sandbox), 1);
    sandbox.faults().clear();
    assert_eq!(create(&sandbox).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_the_process_dies_alone() {
    let sandbox = sandbox();
    let (one, other) = (Life::default(), Life::default());
    let ask = async |life: &Life| {
        let mut request = request("ec2", REGION, "DescribeVpcs", protocol("ec2"), &json!({}));
        request.extensions_mut().insert(life.clone());
        sandbox.handle(request).await
    };
    sandbox.faults().add(Rule {
        operation: None,
        ..rule(Strike::KillCaller)
    });
    assert_eq!(ask(&one).await.status(), 200);
    assert!(one.has_ended());
    assert_eq!(ask(&other).await.status(), 200);
    assert!(!other.has_ended());
    assert_eq!(create(&sandbox).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn every_protocol_can_say_too_many_calls() {
    let table = [
        ("ec2", "DescribeVpcs", 503, "RequestLimitExceeded"),
        ("iam", "ListRoles", 400, "Throttling"),
        (
            "elasticloadbalancing",
            "DescribeLoadBalancers",
            400,
            "Throttling",
        ),
        ("ecs", "ListClusters", 400, "ThrottlingException"),
        ("kms", "ListKeys", 400, "ThrottlingException"),
    ];
    for (service, operation, status, code) in table {
        let sandbox = sandbox();
        sandbox.faults().add(Rule {
            operation: None,
            ..rule(Strike::Throttle)
        });
        let answer = call(&sandbox, service, operation, json!({})).await;
        assert_eq!(answer.unwrap_err(), (status, code.to_owned()), "{service}");
    }
}

/// What happens to thirty calls, one after the other.
async fn struck(chaos: Chaos, order: impl Iterator<Item = usize>) -> Vec<(usize, u16, String)> {
    let sandbox = sandbox();
    sandbox.faults().set_chaos(Some(chaos));
    let mut outcomes = Vec::new();
    for number in order {
        let input = json!({"CidrBlock": format!("10.{number}.0.0/16")});
        let request = request("ec2", REGION, "CreateVpc", protocol("ec2"), &input);
        sandbox
            .world()
            .at(REGION)
            .quotas
            .set(&crate::services::quotas::VPCS, 100);
        let response = sandbox.handle(request).await;
        let lost = response.headers().contains_key(LOST_HEADER);
        let status = if lost { 0 } else { response.status().as_u16() };
        outcomes.push((number, status, code(&response)));
    }
    outcomes.sort();
    outcomes
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_strikes_the_same_calls_in_whatever_order() {
    let chaos = |seed| Chaos {
        fail: 300,
        reset: 200,
        lose_answer: 100,
        ..Chaos::calm(seed)
    };
    let there = struck(chaos(7), 0..30).await;
    assert_eq!(there, struck(chaos(7), (0..30).rev()).await);
    assert_ne!(there, struck(chaos(8), 0..30).await);
    assert!(there.iter().any(|(_, status, _)| *status == 200));
    assert!(there.iter().any(|(_, status, _)| *status == 0));
    assert!(there.iter().any(|(_, status, _)| *status >= 500));
}

#[tokio::test(start_paused = true)]
async fn chaos_lets_a_call_through_in_the_end() {
    let sandbox = sandbox();
    let chaos = Chaos {
        throttle_bursts: 1000,
        at_most: 3,
        ..Chaos::calm(1)
    };
    sandbox.faults().set_chaos(Some(chaos));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(create(&sandbox).await.0);
    }
    assert_eq!(statuses, [503, 503, 503, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_taken_only_where_one_is_given() {
    let sandbox = sandbox();
    sandbox.faults().add(Rule {
        operation: None,
        ..rule(Strike::Taken)
    });
    assert_eq!(create(&sandbox).await.0, 200);
    let input = json!({"repositoryName": "web"});
    let refused = call(&sandbox, "ecr", "CreateRepository", input.clone()).await;
    let code = "RepositoryAlreadyExistsException".to_owned();
    assert_eq!(refused.unwrap_err(), (400, code));
    assert!(
        call(&sandbox, "ecr", "CreateRepository", input)
            .await
            .is_ok()
    );
}

/// Two subnets of a network that the internet reaches, and an address.
async fn network(sandbox: &Sandbox) -> ([String; 2], String) {
    let ec2 = async |operation: &str, input: Value, path: [&str; 2]| {
        let answer = call(sandbox, "ec2", operation, input).await.unwrap();
        let mut found = &answer;
        for name in path.iter().filter(|name| !name.is_empty()) {
            found = &found[*name];
        }
        found.as_str().unwrap_or_default().to_owned()
    };
    let vpc = ec2(
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16"}),
        ["vpc", "vpcId"],
    )
    .await;
    let path = ["internetGateway", "internetGatewayId"];
    let gateway = ec2("CreateInternetGateway", json!({}), path).await;
    let attach = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    ec2("AttachInternetGateway", attach, ["return", ""]).await;
    let subnet = async |number: u8, zone: &str| {
        let input = json!({"VpcId": vpc, "CidrBlock": format!("10.0.{number}.0/24"), "AvailabilityZone": format!("{REGION}{zone}")});
        ec2("CreateSubnet", input, ["subnet", "subnetId"]).await
    };
    let subnets = [subnet(0, "a").await, subnet(1, "b").await];
    let address = ec2("AllocateAddress", json!({}), ["allocationId", ""]).await;
    (subnets, address)
}

#[tokio::test(start_paused = true)]
async fn what_is_made_ends_failed_and_can_be_made_again() {
    let sandbox = sandbox();
    let (subnets, address) = network(&sandbox).await;
    let why = Fault::new("InternalError", "A NAT gateway could not be made");
    sandbox.faults().add(Rule {
        operation: None,
        times: 2,
        ..rule(Strike::EndFailed(why))
    });
    let wanted = json!({"SubnetId": subnets[0], "AllocationId": address});
    let gateway = async || {
        let made = call(&sandbox, "ec2", "CreateNatGateway", wanted.clone()).await;
        let made = made.unwrap()["natGateway"].clone();
        assert_eq!(made["state"], "pending");
        made["natGatewayId"].as_str().unwrap().to_owned()
    };
    let state = async |id: &str| {
        let asked = call(
            &sandbox,
            "ec2",
            "DescribeNatGateways",
            json!({"NatGatewayId": [id]}),
        );
        let shown = asked.await.unwrap();
        let shown = crate::wire::xml::many(&shown["natGatewaySet"], "item")[0];
        let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("failureCode"))
    };
    let failing = gateway().await;
    pass(120).await;
    let failed = ("failed".to_owned(), "InternalError".to_owned());
    assert_eq!(state(&failing).await, failed);

    let input = json!({"Name": "web", "Subnets": subnets});
    let balancer = async || {
        let service = "elasticloadbalancing";
        let made = call(&sandbox, service, "CreateLoadBalancer", input.clone()).await;
        let made = crate::wire::xml::many(&made.unwrap()["LoadBalancers"], "member")[0].clone();
        (
            made["LoadBalancerArn"].as_str().unwrap().to_owned(),
            made["State"].clone(),
        )
    };
    let (arn, state_then) = balancer().await;
    assert_eq!(state_then["Code"], "provisioning");
    pass(120).await;
    // The same name and settings give the same balancer back.
    let (same, state_now) = balancer().await;
    assert_eq!(same, arn);
    assert_eq!(state_now["Code"], "failed");
    assert_eq!(
        state_now["Reason"],
        "InternalError: A NAT gateway could not be made"
    );

    let working = gateway().await;
    pass(120).await;
    assert_eq!(state(&working).await.0, "available");
}

#[tokio::test(start_paused = true)]
async fn a_new_thing_is_unknown_for_a_while() {
    let sandbox = sandbox();
    create(&sandbox).await;
    let listed = async || {
        let listed = call(&sandbox, "ec2", "DescribeVpcs", json!({}))
            .await
            .unwrap();
        crate::wire::xml::many(&listed["vpcSet"], "item").len()
    };
    sandbox.lag(Some(Duration::from_secs(5)));
    assert_eq!(listed().await, 1);
    let made = call(
        &sandbox,
        "ec2",
        "CreateVpc",
        json!({"CidrBlock": "10.1.0.0/16"}),
    );
    let made = made.await.unwrap();
    let vpc = made["vpc"]["vpcId"].as_str().unwrap();
    assert_eq!(listed().await, 1);
    let named = json!({"VpcId": [vpc]});
    let subnet = json!({"VpcId": vpc, "CidrBlock": "10.1.0.0/24"});
    for (operation, input) in [("DescribeVpcs", &named), ("CreateSubnet", &subnet)] {
        let refused = call(&sandbox, "ec2", operation, input.clone()).await;
        let code = "InvalidVpcID.NotFound".to_owned();
        assert_eq!(refused.unwrap_err(), (400, code), "{operation}");
    }
    // To filter by it is no mistake.
    let filter = json!({"Filter": [{"Name": "vpc-id", "Value": [vpc]}]});
    assert!(
        call(&sandbox, "ec2", "DescribeSubnets", filter)
            .await
            .is_ok()
    );
    pass(5).await;
    assert_eq!(listed().await, 2);
    assert!(call(&sandbox, "ec2", "CreateSubnet", subnet).await.is_ok());
    sandbox.faults().clear();
    create(&sandbox).await;
    assert_eq!(listed().await, 3);
}

#[tokio::test(start_paused = true)]
async fn roles_spread_as_slowly_as_the_dial_says() {
    let sandbox = sandbox();
    sandbox.faults().roles_spread = Some(Duration::from_secs(60));
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let input = json!({"RoleName": "web", "AssumeRolePolicyDocument": trust.to_string()});
    call(&sandbox, "iam", "CreateRole", input).await.unwrap();
    let arn = "arn:aws:iam::111122223333:role/web";
    let can = || {
        let world = sandbox.world();
        crate::services::iam::can_assume(&world, arn, "ecs.amazonaws.com", "arn:x").is_ok()
    };
    pass(59).await;
    assert!(!can());
    pass(1).await;
    assert!(can());
}

#[test]
fn strikes_read_as_they_are_written() {
    let table = [
        ("\"reset\"", Strike::Reset),
        ("\"no_answer\"", Strike::NoAnswer),
        ("\"lose_answer\"", Strike::LoseAnswer),
        ("\"kill_caller\"", Strike::KillCaller),
        ("\"throttle\"", Strike::Throttle),
        ("\"taken\"", Strike::Taken),
        ("\"over_quota\"", Strike::OverQuota),
        ("{\"fail\":503}", Strike::Fail(503)),
    ];
    for (text, strike) in table {
        assert_eq!(serde_json::to_string(&strike).unwrap(), text);
        assert_eq!(serde_json::from_str::<Strike>(text).unwrap(), strike);
    }
    let chaos: Chaos = serde_json::from_value(json!({"seed": 7})).unwrap();
    assert_eq!(chaos, Chaos::new(7));
    assert!(serde_json::from_value::<Chaos>(Value::Null).is_err());
}
