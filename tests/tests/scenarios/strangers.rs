//! What others have in an account: a name that is taken, data under a name like ours, things that hold ours back. Nothing of theirs is
//! taken over or deleted, and what is said helps. Time is virtual.

use std::time::Duration;

use bytes::Bytes;
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::services::s3::Versioning;
use http::{Method, Request};

use serde_json::json;

use super::place::{Place, spec};
use super::stage::{AUTOMATIC, REGION, Ran, Stage, Surroundings};
use super::wire::{answer, elb_call, json_call, signed};

const BUCKET: &str = "web-artifacts-111122223333-eu-central-1";

async fn s3_call(sandbox: &Sandbox, method: Method, path: &str, body: &'static str) {
    let request = signed(Request::builder().method(method).uri(path), "s3");
    answer(sandbox, request.body(Bytes::from(body)).unwrap()).await;
}

/// An account in which somebody has a bucket of the app's name, without any tags.
async fn with_bucket(versioning: Option<Versioning>) -> Stage {
    let stage = Stage::new(AUTOMATIC);
    let place = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    s3_call(&stage.sandbox, Method::PUT, &format!("/{BUCKET}"), place).await;
    let mut world = stage.sandbox.world();
    world.s3.buckets.get_mut(BUCKET).unwrap().versioning = versioning;
    drop(world);
    stage
}

/// What the bucket holds, but for leases: each key with the number of its versions and markers.
fn held(stage: &Stage) -> Vec<(String, usize)> {
    let world = stage.sandbox.world();
    let objects = &world.s3.buckets[BUCKET].objects;
    let objects = objects.iter().filter(|(key, _)| *key != ".ecspipe/lease");
    objects
        .map(|(key, versions)| (key.clone(), versions.len()))
        .collect()
}

/// On stdout `plan` says it, on stderr `up`.
fn says_taken(ran: &Ran) {
    let said = format!("{}{}", ran.out, ran.err);
    // However the lines are broken.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let taken = format!("the name of this S3 bucket is taken: {BUCKET} exists");
    assert!(said.contains(&taken), "{said}");
    assert!(said.contains("next: choose another app name"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn data_in_a_bucket_of_our_name_is_somebodys() {
    for deleted in [false, true] {
        let stage = with_bucket(deleted.then_some(Versioning::Enabled)).await;
        let object = format!("/{BUCKET}/accounts.csv");
        s3_call(&stage.sandbox, Method::PUT, &object, "all that there is").await;
        if deleted {
            s3_call(&stage.sandbox, Method::PUT, &object, "").await;
        }
        let before = held(&stage);
        assert_eq!(
            before,
            [("accounts.csv".to_owned(), 1 + usize::from(deleted))]
        );
        says_taken(&stage.run("plan").await.exits(4));
        says_taken(&stage.run("up --yes").await.exits(4));
        stage.run("down --yes").await.exits(0);
        assert_eq!(held(&stage), before);
        assert!(stage.sandbox.world().s3.buckets[BUCKET].tags.is_empty());
    }
}

/// A run that was killed between making the bucket and marking it leaves one like this.
#[tokio::test(start_paused = true)]
async fn an_empty_bucket_without_tags_is_ours() {
    let stage = with_bucket(None).await;
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    stage.run("down --yes").await.exits(0);
    assert!(stage.sandbox.world().s3.buckets.is_empty());
}

/// Somebody makes the bucket and fills it while the place for a lease is looked for.
#[tokio::test(start_paused = true)]
async fn a_lease_finds_no_place_among_data() {
    let stage = with_bucket(None).await;
    let place = Place::within(&stage.sandbox, spec(AUTOMATIC)).await;
    let names = ecspipe_spec::Names::new(&place.spec.app, &place.facts);
    let leases = place.account.leases(&place.facts, &names);
    assert!(leases.is_unmarked().await.unwrap());
    let object = format!("/{BUCKET}/accounts.csv");
    s3_call(&stage.sandbox, Method::PUT, &object, "all that there is").await;
    assert!(!leases.is_unmarked().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn another_accounts_bucket_has_the_name() {
    let stage = Stage::new(AUTOMATIC);
    let before = stage.things();
    stage.sandbox.faults().add(Rule {
        service: Some("s3".to_owned()),
        operation: Some("CreateBucket".to_owned()),
        skip: 0,
        times: 1,
        strike: Strike::Taken,
    });
    stage.run("up --yes").await.exits(4).says(&[
        "(BucketAlreadyExists); nothing was done",
        "hint: somebody else has the name: choose another app name",
    ]);
    assert_eq!(stage.things(), before);
}

/// What EC2 and Elastic Load Balancing hold of a kind, by its name in their state.
fn ids(stage: &Stage, service: &str, kind: &str) -> Vec<String> {
    let regions = serde_json::to_value(&*stage.sandbox.world()).unwrap();
    let found = regions["regions"][REGION][service][kind].as_object();
    found.unwrap().keys().cloned().collect()
}

async fn ec2_call(sandbox: &Sandbox, operation: &str, form: &str) -> Bytes {
    let form = format!("Action={operation}&Version=2016-11-15&{form}");
    let request = signed(Request::post("/"), "ec2")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form));
    answer(sandbox, request.unwrap()).await
}

/// Lets time pass until the other side of a join has said something.
async fn told(surroundings: &Surroundings, text: &str) {
    for _ in 0..600 {
        if surroundings.talk().contains(text) {
            return;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    panic!("`{text}` is missing in:\n{}", surroundings.talk());
}

/// What is deleted while `up` waits for it ends the wait, and not a quarter of an hour later.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_it_comes_is_not_waited_for() {
    for (what, text) in [
        (
            "gateways",
            "waiting for the NAT gateway to become available",
        ),
        (
            "balancers",
            "waiting for the load balancer to become active",
        ),
    ] {
        let stage = Stage::new(AUTOMATIC);
        let began = tokio::time::Instant::now();
        let surroundings = stage.surroundings();
        let (ran, ()) = tokio::join!(surroundings.run("up --yes"), async {
            told(&surroundings, text).await;
            match what {
                "gateways" => {
                    for id in ids(&stage, "ec2", "nats") {
                        let form = format!("NatGatewayId={id}");
                        ec2_call(&stage.sandbox, "DeleteNatGateway", &form).await;
                    }
                }
                _ => {
                    for arn in ids(&stage, "elbv2", "balancers") {
                        let form = format!("LoadBalancerArn={arn}");
                        elb_call(&stage.sandbox, "DeleteLoadBalancer", &form).await;
                    }
                }
            }
        });
        let took = began.elapsed().as_secs();
        assert!(took < 600, "{what}: {took} s");
        let ran = ran.exits(5).says(&[
            "was deleted while it was waited for",
            "next: run the command again: it makes another",
        ]);
        assert!(!ran.err.contains("ecspipe Connect"), "{}", ran.err);
        stage.run("up --yes").await.exits(0);
        stage.run("plan --exit-code").await.exits(0);
    }
}

/// To a service that drains nothing can be done any more: it is made again when the old one is gone.
#[tokio::test(start_paused = true)]
async fn a_service_that_drains_is_made_again() {
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let service = json!({"cluster": "web", "service": "web", "force": true});
    json_call(&stage.sandbox, "ecs", "DeleteService", &service).await;
    let plan = stage.run("plan --exit-code").await.exits(10);
    assert!(!plan.out.contains("desired_count"), "{}", plan.out);
    assert!(plan.out.contains("service"), "{}", plan.out);
    stage.run("up --yes").await.exits(0).says(&[
        "waiting for the old service of that name to drain, because CreateService says: Unable to Start",
    ]);
    stage.run("plan --exit-code").await.exits(0);
    stage.minutes(5).await;
    json_call(&stage.sandbox, "ecs", "DeleteService", &service).await;
    stage.run("down --yes").await.exits(0);
}

/// An app that is up, and the id of its VPC.
async fn made() -> (Stage, String) {
    let stage = Stage::new(AUTOMATIC);
    stage.run("up --yes").await.exits(0);
    let place = Place::within(&stage.sandbox, spec(AUTOMATIC)).await;
    let owned = place.inventory().await.owned;
    let vpc = owned[&"vpc/main".parse().unwrap()].id.clone();
    (stage, vpc)
}

/// `down` is held back by `who`: it says so and what helps, and doesn't wait for what won't come.
async fn is_held_back(stage: &Stage, who: &str) {
    let ran = stage.run("down --yes").await.exits(5);
    let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let step = format!("next: not made by ecspipe for this app: {who}: delete or take elsewhere");
    assert!(said.contains(&format!("in it: {who}")), "{}", ran.err);
    assert!(said.contains(&step), "{}", ran.err);
    assert!(!said.contains("waited 900 s"), "{}", ran.err);
}

#[tokio::test(start_paused = true)]
async fn somebodys_service_in_the_cluster_is_named() {
    let (stage, _) = made().await;
    let subnets = ids(&stage, "ec2", "subnets");
    let service = json!({
        "cluster": "web", "serviceName": "legacy", "taskDefinition": "web", "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnets[0]]}},
    });
    json_call(&stage.sandbox, "ecs", "CreateService", &service).await;
    is_held_back(&stage, "service legacy").await;
    let service = json!({"cluster": "web", "service": "legacy", "force": true});
    json_call(&stage.sandbox, "ecs", "DeleteService", &service).await;
    stage.run("down --yes").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn somebodys_group_in_the_network_is_named() {
    let (stage, vpc) = made().await;
    let before = ids(&stage, "ec2", "groups");
    let form = format!("GroupName=legacy&GroupDescription=old&VpcId={vpc}");
    ec2_call(&stage.sandbox, "CreateSecurityGroup", &form).await;
    let groups = ids(&stage, "ec2", "groups");
    let theirs = groups.iter().find(|id| !before.contains(id)).unwrap();
    is_held_back(&stage, &format!("security group {theirs}")).await;
    let form = format!("GroupId={theirs}");
    ec2_call(&stage.sandbox, "DeleteSecurityGroup", &form).await;
    stage.run("down --yes").await.exits(0);
}

/// Between plan and apply somebody makes the bucket and puts something into it.
#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_filled_meanwhile_is_refused() {
    let empty = Stage::new(AUTOMATIC);
    let plan = Place::within(&empty.sandbox, spec(AUTOMATIC)).await;
    let plan = plan.plan(ecspipe_provision::Options::default()).await;
    let stage = with_bucket(None).await;
    let object = format!("/{BUCKET}/accounts.csv");
    s3_call(&stage.sandbox, Method::PUT, &object, "all that there is").await;
    let place = Place::within(&stage.sandbox, spec(AUTOMATIC)).await;
    let outcome = place.try_apply(&plan).await;
    let failed = outcome.failed.iter().map(|failure| failure.key.to_string());
    assert_eq!(failed.collect::<Vec<_>>(), ["bucket/artifacts"]);
    assert!(stage.sandbox.world().s3.buckets[BUCKET].tags.is_empty());
}
