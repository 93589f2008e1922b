//! What goes wrong on the way: answers that are lost, calls that are refused. Nothing is made twice, and a second run ends
//! what the first began.

use std::collections::BTreeSet;

use ecspipe_provision::{CloudErrorKind, Kind, Options};
use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::wire::Fault;
use serde_json::Value;

use super::matrix::settled;
use super::place::{PRIVATE, Place, TUTORIAL, spec};
use super::shape::differences;

fn rule(operation: &str, skip: u64, times: u64, strike: Strike) -> Rule {
    Rule {
        service: None,
        operation: Some(operation.to_owned()),
        skip,
        times,
        strike,
    }
}

/// Runs until nothing is left to do; each run may fail, but must get on.
async fn converge(place: &Place) {
    for _ in 0..4 {
        let plan = place.plan(Options::default()).await;
        assert_eq!(plan.refusals, []);
        if place.try_apply(&plan).await.is_complete() {
            break;
        }
    }
    place.assert_settled().await;
    let inventory = place.inventory().await;
    assert_eq!(inventory.duplicates, []);
}

/// What the account holds, without the random parts of ids. Which tasks run is a matter of time.
fn shape(place: &Place) -> Vec<String> {
    let things = place.things();
    let shape = things.iter().map(|thing| collection(thing));
    let mut shape: Vec<String> = shape
        .filter(|collection| {
            !collection.ends_with("/tasks") && !collection.ends_with("/interfaces")
        })
        .collect();
    shape.sort();
    shape
}

fn collection(thing: &str) -> String {
    thing.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// Every operation that makes something, with a spec that uses it.
const CREATIONS: &[(&str, &str)] = &[
    (TUTORIAL, "CreateKey"),
    (TUTORIAL, "CreateBucket"),
    (TUTORIAL, "CreateLogGroup"),
    (TUTORIAL, "CreateRepository"),
    (TUTORIAL, "CreateRole"),
    (TUTORIAL, "CreateVpc"),
    (TUTORIAL, "CreateInternetGateway"),
    (TUTORIAL, "CreateSubnet"),
    (TUTORIAL, "AllocateAddress"),
    (TUTORIAL, "CreateNatGateway"),
    (TUTORIAL, "CreateRouteTable"),
    (TUTORIAL, "CreateSecurityGroup"),
    (PRIVATE, "CreateVpcEndpoint"),
    (TUTORIAL, "CreateLoadBalancer"),
    (TUTORIAL, "CreateTargetGroup"),
    (TUTORIAL, "CreateListener"),
    (TUTORIAL, "CreateCluster"),
    (TUTORIAL, "RegisterTaskDefinition"),
    (TUTORIAL, "CreateService"),
    (TUTORIAL, "CreateApplication"),
    (PRIVATE, "CreateDeploymentConfig"),
    (TUTORIAL, "CreateDeploymentGroup"),
    (TUTORIAL, "CreateProject"),
    (TUTORIAL, "CreatePipeline"),
    (TUTORIAL, "PutRule"),
];

#[tokio::test(start_paused = true)]
async fn nothing_is_made_twice_when_an_answer_is_lost() {
    for text in [TUTORIAL, PRIVATE] {
        let whole = Place::new(text).await;
        whole.up().await;
        for (_, operation) in CREATIONS.iter().filter(|(of, _)| *of == text) {
            let place = Place::new(text).await;
            place
                .sandbox
                .faults()
                .add(rule(operation, 0, 1, Strike::LoseAnswer));
            place.up().await;
            place.assert_settled().await;
            let struck = place
                .sandbox
                .faults()
                .rules()
                .iter()
                .all(|rule| rule.times == 0);
            assert!(struck, "{operation} was never called");
            assert_eq!(shape(&place), shape(&whole), "{operation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_run_ends_what_a_refused_one_began() {
    let refused = || {
        Strike::Refuse(
            Fault::new(
                "AccessDeniedException",
                "User is not authorized to perform this",
            )
            .status(403),
        )
    };
    for operation in [
        "CreateSecurityGroup",
        "CreateRole",
        "PutBucketPolicy",
        "CreateService",
        "CreatePipeline",
    ] {
        let place = Place::new(TUTORIAL).await;
        place.sandbox.faults().add(rule(operation, 1, 1, refused()));
        place.sandbox.faults().add(rule(operation, 0, 1, refused()));
        let plan = place.plan(Options::default()).await;
        let outcome = place.try_apply(&plan).await;
        assert!(!outcome.is_complete(), "{operation}");
        converge(&place).await;
        place.down(true).await;
    }
}

/// Everything in an account loses the tags that say whose it is.
fn disown(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.starts_with("ecspipe:"));
            fields.values_mut().for_each(disown);
        }
        Value::Array(items) => items.iter_mut().for_each(disown),
        _ => {}
    }
}

/// Between plan and apply somebody takes the names: nothing of theirs is taken over or changed.
#[tokio::test(start_paused = true)]
async fn what_somebody_made_meanwhile_is_not_taken_over() {
    let place = Place::new(TUTORIAL).await;
    let plan = place.plan(Options::default()).await;
    let other = Place::within(&place.sandbox, spec(TUTORIAL)).await;
    other.up().await;
    {
        let mut world = place.sandbox.world();
        let mut edited = serde_json::to_value(&*world).unwrap();
        disown(&mut edited);
        *world = serde_json::from_value(edited).unwrap();
    }
    let theirs = settled(&place.sandbox).await;
    let outcome = place.try_apply(&plan).await;
    let mut refused = BTreeSet::new();
    for failure in &outcome.failed {
        assert_eq!(
            failure.error.kind,
            CloudErrorKind::Conflict,
            "{}",
            failure.error
        );
        refused.insert(failure.key.kind);
    }
    for kind in [
        Kind::EncryptionKey,
        Kind::LogGroup,
        Kind::ImageRepository,
        Kind::Cluster,
        Kind::DeploymentApplication,
        Kind::SourceRepository,
        Kind::TargetGroup,
    ] {
        assert!(
            refused.contains(&kind),
            "{kind:?} is not refused: {refused:?}"
        );
    }
    let now = settled(&place.sandbox).await;
    let lost = differences(&now, &theirs)
        .into_iter()
        .filter(|line| line.starts_with('-'));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn throttling_and_failures_of_the_service_are_waited_out() {
    let place = Place::new(TUTORIAL).await;
    let faults = [
        (
            "CreateSubnet",
            Fault::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        ),
        (
            "CreateRole",
            Fault::new("Throttling", "Rate exceeded").status(400),
        ),
        (
            "CreateLoadBalancer",
            Fault::new("InternalFailure", "try again").status(500),
        ),
        (
            "CreateNatGateway",
            Fault::new("InternalError", "try again").status(500),
        ),
        (
            "DescribeVpcs",
            Fault::new("Unavailable", "try again").status(503),
        ),
    ];
    for (operation, fault) in faults {
        place
            .sandbox
            .faults()
            .add(rule(operation, 0, 2, Strike::Refuse(fault)));
    }
    place.up().await;
    place.assert_settled().await;
    let collections: BTreeSet<String> = shape(&place).into_iter().collect();
    assert!(
        collections.contains("eu-central-1/ec2/nats"),
        "{collections:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_down_with_lost_answers_still_leaves_nothing() {
    let place = Place::new(TUTORIAL).await;
    let before = place.things();
    place.up().await;
    for operation in [
        "DeleteVpc",
        "DeleteSubnet",
        "DeleteLoadBalancer",
        "DeleteBucket",
        "DeleteRole",
        "DeleteService",
        "DeletePipeline",
    ] {
        place
            .sandbox
            .faults()
            .add(rule(operation, 0, 1, Strike::LoseAnswer));
    }
    place.down(true).await;
    let left: Vec<String> = place.things().difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
}
