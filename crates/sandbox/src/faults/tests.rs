//! Every strike, over the wire and alone; chaos, and that it can be had again.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::Sandbox;
use crate::client::Life;
use crate::testing::{REGION, call, code, protocol, request, sandbox};
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

#[test]
fn strikes_read_as_they_are_written() {
    let table = [
        ("\"reset\"", Strike::Reset),
        ("\"no_answer\"", Strike::NoAnswer),
        ("\"lose_answer\"", Strike::LoseAnswer),
        ("\"kill_caller\"", Strike::KillCaller),
        ("\"throttle\"", Strike::Throttle),
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
