//! Pieces of an app's life, each with the account that it begins with, the policy that it is done with, and what is done. Must
//! not know what is taken from a policy.

use ecspipe_provision::plan::diff;
use ecspipe_provision::resource::{
    Address, Alarm, DeploymentConfig, NatGateway, Policy, Route, RouteTable, Rule as GroupRule,
    Subnet, Traffic,
};
use ecspipe_provision::{Cloud as _, Key, Kind, Progress, Resource, Tags};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Rule, Strike, TaskFault, Trouble};
use ecspipe_sandbox::services::kms;
use ecspipe_sandbox::wire::Fault;
use futures::future::{FutureExt as _, LocalBoxFuture};
use serde_json::{Value, json};

use super::super::drift;
use super::super::operate::{add_approval, register_again};
use super::super::place::{Place, spec};
use super::super::stage::{REGION, Stage, built};
use super::super::wire::json_call;
use super::stage;

/// The tutorial's app with a rollout in steps, which has a configuration of its own, and alarms.
pub(super) const CANARY: &str = "version: 1
app: web
region: eu-central-1
network:
  cidr: 10.0.0.0/16
  zones:
    - { name: eu-central-1a, public: 10.0.0.0/24, private: 10.0.10.0/24 }
    - { name: eu-central-1b, public: 10.0.1.0/24, private: 10.0.11.0/24 }
    - { name: eu-central-1c, public: 10.0.2.0/24, private: 10.0.12.0/24 }
  nat: per_zone
service: { image: 'httpd:2.4.58', port: 80 }
deploy: { strategy: { canary: { percent: 20, wait: 2m } }, approve: { within: 60m }, keep_old: 5m, alarms: [{ http_5xx: { above: 1%, for: 2m } }] }
tags: { team: web }
";

/// The same without a way to the internet, in zones that AWS is asked for.
const PRIVATE: &str = "version: 1
app: inner
region: eu-central-1
network: { zones: 2, nat: none }
service: { image: '111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1.2', port: 8080 }
";

const REPOSITORY: &str = "web";

/// A piece of an app's life.
pub(super) struct Phase {
    /// What people call it.
    pub(super) name: &'static str,
    /// The spec.
    pub(super) spec: String,
    /// The arguments of `policy`.
    pub(super) duties: &'static str,
    /// The account that it begins with.
    pub(super) account: Sandbox,
    story: fn(Actor) -> LocalBoxFuture<'static, Told>,
}

type Told = Result<(), String>;

impl Phase {
    /// Lives it, with commands that may do what `policy` says and nothing else.
    pub(super) async fn tell(&self, account: &Sandbox, policy: Vec<Value>) -> Told {
        let actor = Actor {
            stage: stage(&self.spec, account),
            policy,
        };
        (self.story)(actor).await
    }
}

/// Whoever runs commands.
struct Actor {
    stage: Stage,
    policy: Vec<Value>,
}

impl Actor {
    /// Runs a command under the policy; it must end with `code`, and say nothing of a missing permission.
    async fn run(&self, args: &str, code: u8) -> Told {
        self.says(args, code, "").await
    }

    /// The same, and it must print `text`.
    async fn says(&self, args: &str, code: u8, text: &str) -> Told {
        let sandbox = &self.stage.sandbox;
        sandbox.caller_policy(Some(self.policy.clone())).unwrap();
        let ran = self.stage.run(args).await;
        sandbox.caller_policy(None).unwrap();
        let printed = format!("{}{}", ran.err, ran.out);
        // What a step waits for is a service's role that is too new, not the operator's permission.
        let told = printed
            .lines()
            .filter(|line| line.contains("not authorized") && !line.contains(": waiting for "));
        let told: Vec<&str> = told.collect();
        if ran.code != code || !told.is_empty() || !printed.contains(text) {
            let told = if told.is_empty() {
                printed.clone()
            } else {
                told.join("\n")
            };
            return Err(format!("`{args}` exits {}\n{told}", ran.code));
        }
        Ok(())
    }

    /// Runs a command as somebody who may do everything.
    async fn admin(&self, args: &str) {
        self.stage.run(args).await.exits(0);
    }
}

/// Every phase, with its account made.
pub(super) async fn prepare() -> Vec<Phase> {
    let empty = Stage::new(CANARY);
    let up = made(CANARY).await;
    let mut phases = vec![
        phase("up from nothing", CANARY, "up", &empty, |actor| {
            async move {
                // An answer that is lost, so that the role has to be looked for.
                actor.stage.sandbox.faults().add(Rule {
                    service: Some("iam".to_owned()),
                    operation: Some("CreateRole".to_owned()),
                    skip: 0,
                    times: 1,
                    strike: Strike::LoseAnswer,
                });
                actor.run("up --yes", 0).await
            }
            .boxed_local()
        }),
        phase(
            "up after somebody",
            CANARY,
            "up",
            &meddled(CANARY).await,
            only_up,
        ),
        phase("up with fewer zones", CANARY, "up", &wider().await, only_up),
        phase("up without endpoints", CANARY, "up", &shut().await, only_up),
        phase("up after down", CANARY, "up", &taken_down().await, only_up),
        phase("up in a rollout", CANARY, "up", &in_flight().await, only_up),
        phase("up with other tags", CANARY, "up", &tagged().await, only_up),
        phase("up after a push", CANARY, "up", &pushed().await, only_up),
        phase("up after half an up", CANARY, "up", &bare().await, only_up),
        phase(
            "plan after half an up",
            CANARY,
            "plan",
            &bare().await,
            |actor| async move { actor.run("plan", 0).await }.boxed_local(),
        ),
        phase("plan for nothing", CANARY, "plan", &empty, |actor| {
            async move { actor.run("plan", 0).await }.boxed_local()
        }),
        phase(
            "plan after a push",
            CANARY,
            "plan",
            &pushed().await,
            |actor| async move { actor.run("plan", 0).await }.boxed_local(),
        ),
        phase("plan", CANARY, "plan", &in_flight().await, |actor| {
            async move {
                actor.run("plan", 0).await?;
                actor.run("outputs", 0).await
            }
            .boxed_local()
        }),
    ];
    finished(&up).await;
    phases.extend(rollouts(&up, &made(&automatic()).await, &in_flight().await));
    phases.push(for_another_processor().await);
    phases.extend(ends().await);
    phases.extend(private().await);
    phases
}

fn phase(
    name: &'static str,
    spec: &str,
    duties: &'static str,
    begin: &Stage,
    story: fn(Actor) -> LocalBoxFuture<'static, Told>,
) -> Phase {
    Phase {
        name,
        spec: spec.to_owned(),
        duties,
        account: begin.sandbox.clone(),
        story,
    }
}

fn only_up(actor: Actor) -> LocalBoxFuture<'static, Told> {
    async move { actor.run("up --yes", 0).await }.boxed_local()
}

fn only_down(actor: Actor) -> LocalBoxFuture<'static, Told> {
    async move { actor.run("down --yes", 0).await }.boxed_local()
}

/// An account in which the app was made some minutes ago.
async fn made(spec: &str) -> Stage {
    let stage = Stage::new(spec);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    drop(stage.sandbox.world());
    stage
}

async fn meddled(text: &str) -> Stage {
    let stage = made(text).await;
    let place = Place::within(&stage.sandbox, spec(text)).await;
    drift::meddle(&place).await;
    add(&place).await;
    stage
}

/// What somebody put beside what is wanted: a rule, routes, a policy of a role, a target.
async fn add(place: &Place) {
    let owned = place.inventory().await.owned;
    let nat = owned.keys().find(|key| key.kind == Kind::NatGateway);
    for (key, have) in &owned {
        let mut want = have.resource.clone();
        match &mut want {
            Resource::SecurityGroup(group) => {
                group.ingress.insert(GroupRule::tcp(22, "192.0.2.0/24"));
            }
            Resource::RouteTable(table) if key.name.starts_with("private") && nat.is_some() => {
                let target = owned[nat.unwrap()].id.clone();
                for destination in ["0.0.0.0/0", "192.0.2.0/24"] {
                    table
                        .routes
                        .retain(|route| route.destination != destination);
                    table.routes.insert(Route {
                        destination: destination.to_owned(),
                        target: target.clone(),
                    });
                }
            }
            Resource::Role(role) => {
                let policy = Policy::new(
                    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}),
                );
                role.policies.insert("somebody".to_owned(), policy);
            }
            Resource::EventRule(rule) => {
                let mut target = rule.targets.first().unwrap().clone();
                target.id = "somebody".to_owned();
                rule.targets.insert(target);
            }
            _ => continue,
        }
        let changes = diff(&have.resource.properties(), &want.properties());
        let tags = Tags::new(&place.spec.app, key, &place.spec.tags);
        let silent = Progress::silent();
        let done = place.account.update(have, &want, &changes, &tags, &silent);
        done.await.unwrap();
    }
}

/// An `up` that could not make the deployment group, and what needs it.
async fn halved() -> Stage {
    let stage = Stage::new(CANARY);
    let refused = Fault::new("InvalidRoleException", "not now");
    stage.sandbox.faults().add(Rule {
        service: None,
        operation: Some("CreateDeploymentGroup".to_owned()),
        skip: 0,
        times: u64::MAX,
        strike: Strike::Refuse(refused),
    });
    stage.run("up --yes").await.exits(5);
    stage.sandbox.faults().clear();
    stage
}

/// The same, with a bucket that never got its tags.
async fn bare() -> Stage {
    let stage = halved().await;
    for bucket in stage.sandbox.world().s3.buckets.values_mut() {
        bucket.tags.clear();
    }
    stage
}

/// The app was made with another owner's tags.
async fn tagged() -> Stage {
    let text = CANARY.replace("{ team: web }", "{ team: shop, stage: live }");
    assert!(text.contains("stage: live"));
    made(&text).await
}

/// The pipeline has deployed what was pushed, with a definition that it registered itself.
async fn pushed() -> Stage {
    let stage = made(CANARY).await;
    stage.push(REPOSITORY, "<h1>first</h1>\n");
    stage.run("deploy --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage
}

/// What an earlier spec left: a zone that is no longer wanted, another strategy's configuration, another condition's alarm.
async fn wider() -> Stage {
    let stage = made(CANARY).await;
    let place = Place::within(&stage.sandbox, spec(CANARY)).await;
    let owned = place.inventory().await.owned;
    let id = |kind, name: &str| owned[&Key::new(kind, name)].id.clone();
    let vpc = id(Kind::Vpc, "main");
    let subnet = Subnet {
        vpc: vpc.clone(),
        zone: "eu-central-1c".to_owned(),
        cidr: "10.0.20.0/24".to_owned(),
        public_addresses: false,
    };
    let subnet = left(&place, "private-eu-central-1d", subnet).await;
    let address = Address {
        domain: "vpc".to_owned(),
        after: Default::default(),
    };
    let address = left(&place, "eu-central-1d", address).await;
    let nat = NatGateway {
        subnet: id(Kind::Subnet, "public-eu-central-1a"),
        address,
        after: Default::default(),
    };
    left(&place, "eu-central-1d", nat).await;
    let table = RouteTable {
        vpc,
        routes: Default::default(),
        // One of these still stands in the zone's old table.
        subnets: [subnet, id(Kind::Subnet, "private-eu-central-1a")].into(),
    };
    left(&place, "private-eu-central-1d", table).await;
    let traffic = Traffic::Linear {
        percent: 30,
        minutes: 9,
    };
    let config = DeploymentConfig {
        name: format!("web-{}", traffic.parameters()),
        traffic,
    };
    left(&place, &traffic.parameters(), config).await;
    let Resource::Alarm(alarm) = &owned[&Key::new(Kind::Alarm, "http-5xx-blue")].resource else {
        panic!()
    };
    let alarm = Alarm {
        name: "web-latency-p99-blue".to_owned(),
        ..alarm.clone()
    };
    left(&place, "latency-p99-blue", alarm).await;
    stage
}

/// Makes something of the app's that its spec doesn't want.
async fn left(place: &Place, name: &str, resource: impl Into<Resource>) -> String {
    let resource = resource.into();
    let key = Key::new(resource.kind(), name);
    let tags = Tags::new(&place.spec.app, &key, &Default::default());
    let made = place
        .account
        .create(&key, &resource, &tags, &Progress::silent())
        .await;
    made.unwrap().id
}

/// A rollout of an image, to its end.
async fn finished(stage: &Stage) {
    stage
        .run("deploy --image nginx:1.26 --until ready")
        .await
        .exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
}

/// The app was made without a way to the internet.
async fn shut() -> Stage {
    let text = CANARY.replace("nat: per_zone", "nat: none").replace(
        "httpd:2.4.58",
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1",
    );
    assert!(text.contains("nat: none"));
    made(&text).await
}

async fn taken_down() -> Stage {
    let stage = made(CANARY).await;
    stage.run("down --yes").await.exits(0);
    stage
}

/// A rollout waits for somebody.
async fn in_flight() -> Stage {
    let stage = made(CANARY).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage
}

/// An app whose rollouts go on by themselves.
fn automatic() -> String {
    let text = CANARY.replace("approve: { within: 60m }, ", "");
    assert!(!text.contains("approve"));
    text
}

/// An image that was built for the processor that the app ran on before.
async fn for_another_processor() -> Phase {
    let arm = CANARY.replace("port: 80", "port: 80, architecture: arm64");
    assert!(arm.contains("arm64"));
    let name = "deploy an image for another processor";
    phase(name, &arm, "deploy", &pushed().await, |actor| {
        async move {
            let image = built(&actor.stage.sandbox, REPOSITORY);
            let said = format!("image {image} is for amd64, the tasks ask for arm64");
            actor
                .says(&format!("deploy --image {image}"), 4, &said)
                .await
        }
        .boxed_local()
    })
}

fn rollouts(up: &Stage, flowing: &Stage, waiting: &Stage) -> Vec<Phase> {
    let changed = automatic().replace("port: 80", "port: 80, cpu: 512");
    assert!(changed.contains("512"));
    vec![
        phase("deploy a push", &changed, "deploy", flowing, |actor| {
            async move {
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                actor.run("deploy", 0).await
            }
            .boxed_local()
        }),
        phase("deploy an image", &changed, "deploy", flowing, |actor| {
            async move { actor.run("deploy --image nginx:1.27", 0).await }.boxed_local()
        }),
        phase(
            "deploy what keeps crashing",
            &changed,
            "deploy",
            flowing,
            |actor| {
                async move {
                    let crash = Trouble::Crash {
                        exit_code: 3,
                        after: 5,
                        log: vec!["no database".to_owned()],
                    };
                    let fault = TaskFault::new(crash);
                    let sandbox = &actor.stage.sandbox;
                    sandbox
                        .faults()
                        .dials
                        .tasks
                        .insert("shop:bad".to_owned(), fault);
                    actor
                        .says(
                            "deploy --image shop:bad",
                            6,
                            "3 new tasks failed: container",
                        )
                        .await
                }
                .boxed_local()
            },
        ),
        phase(
            "deploy an image that isn't there",
            &changed,
            "deploy",
            flowing,
            |actor| {
                async move {
                    let image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/nothing:1";
                    let said = format!("there is no image {image}");
                    actor
                        .says(&format!("deploy --image {image}"), 4, &said)
                        .await
                }
                .boxed_local()
            },
        ),
        phase("deploy again", &changed, "deploy", flowing, |actor| {
            async move {
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                actor.admin("deploy").await;
                actor.run("deploy", 0).await
            }
            .boxed_local()
        }),
        phase(
            "deploy what can't be built",
            &changed,
            "deploy",
            flowing,
            |actor| {
                async move {
                    let files = [("Dockerfile", "FROM httpd:2.4.58\nCOPY ./nothing/ /there/\n")];
                    actor.stage.push_files(REPOSITORY, &files);
                    actor.says("deploy", 6, "nothing").await
                }
                .boxed_local()
            },
        ),
        phase(
            "deploy into a rollout",
            CANARY,
            "deploy",
            waiting,
            |actor| async move { actor.run("deploy --image nginx:1.28", 4).await }.boxed_local(),
        ),
        phase("attend to a rollout", CANARY, "operate", up, |actor| {
            async move {
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                actor.run("watch --until ready", 8).await?;
                actor.run("status", 0).await?;
                actor.run("reroute", 0).await?;
                actor.run("watch", 0).await?;
                actor.run("logs", 0).await?;
                actor.run("rollback --yes --until ready", 8).await?;
                actor.run("stop", 0).await?;
                actor.run("watch", 6).await
            }
            .boxed_local()
        }),
        phase(
            "go back from half way",
            CANARY,
            "operate",
            waiting,
            |actor| {
                async move {
                    actor.run("reroute", 0).await?;
                    actor.run("stop --no-rollback", 0).await?;
                    actor.says("rollback --yes", 0, "alone again").await
                }
                .boxed_local()
            },
        ),
        phase("operate what runs", CANARY, "operate", up, |actor| {
            async move {
                actor.says("releases", 0, "nginx:1.26").await?;
                actor.run("scale 2", 0).await?;
                actor.run("run -- true", 0).await?;
                actor.says("exec", 4, "is not switched on").await
            }
            .boxed_local()
        }),
        phase("approve in the pipeline", CANARY, "operate", up, |actor| {
            async move {
                add_approval(&actor.stage).await;
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                actor.run("watch --until ready", 8).await?;
                actor
                    .says("approve", 0, "Check/Legal of the pipeline is approved")
                    .await
            }
            .boxed_local()
        }),
        phase("deploy and tidy up", &changed, "deploy", flowing, |actor| {
            async move {
                register_again(&actor.stage, 20).await;
                actor
                    .says("deploy --image nginx:1.27", 0, "retired web:")
                    .await
            }
            .boxed_local()
        }),
        phase("stop a run", CANARY, "operate", up, |actor| {
            async move {
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                actor.run("stop", 0).await
            }
            .boxed_local()
        }),
        phase(
            "watch what can't be built",
            CANARY,
            "operate",
            up,
            |actor| {
                async move {
                    let files = [("Dockerfile", "FROM httpd:2.4.58\nCOPY ./nothing/ /there/\n")];
                    actor.stage.push_files(REPOSITORY, &files);
                    actor.says("watch", 6, "nothing").await
                }
                .boxed_local()
            },
        ),
        phase("doctor", &neighbour(), "doctor plan", up, |actor| {
            async move { doctor(&actor).await }.boxed_local()
        }),
    ]
}

/// Another app beside the one that runs, whose image is one of the account's own.
fn neighbour() -> String {
    CANARY.replace("app: web", "app: shop").replace(
        "httpd:2.4.58",
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:1",
    )
}

/// What whoever may do everything can find out is found out.
async fn doctor(actor: &Actor) -> Told {
    let sandbox = &actor.stage.sandbox;
    let before = actor.stage.run("doctor --format json").await.json();
    sandbox.caller_policy(Some(actor.policy.clone())).unwrap();
    let after = actor.stage.run("doctor --format json").await.json();
    sandbox.caller_policy(None).unwrap();
    let skipped = |value: &Value| -> Vec<Value> {
        let checks = value["checks"].as_array().unwrap().iter();
        let skipped = checks.filter(|check| check["state"] == "skipped");
        skipped.map(|check| check["check"].clone()).collect()
    };
    match skipped(&before) == skipped(&after) {
        true => Ok(()),
        false => Err(format!("{after:#}")),
    }
}

/// Everything that hangs on an app when it goes: a rollout, a run of the pipeline, objects, a policy that somebody attached.
async fn ends() -> Vec<Phase> {
    let stage = in_flight().await;
    for role in stage.sandbox.world().iam.roles.values_mut() {
        role.attached
            .insert("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    }
    upload(&stage).await;
    let bare = bare().await;
    // A key without an alias can only be found by its tags.
    bare.sandbox.world().at(REGION).kms.aliases.clear();
    vec![
        phase("down after half an up", CANARY, "down", &bare, |actor| {
            async move {
                let sandbox = actor.stage.sandbox.clone();
                only_down(actor).await?;
                let mut world = sandbox.world();
                let used = |key: &kms::Key| matches!(key.state, kms::KeyState::Enabled);
                match (
                    world.s3.buckets.is_empty(),
                    world.at(REGION).kms.keys.values().any(used),
                ) {
                    (true, false) => Ok(()),
                    (false, _) => Err("a bucket is left".to_owned()),
                    (true, true) => Err("a key is left".to_owned()),
                }
            }
            .boxed_local()
        }),
        phase(
            "down beside a stranger",
            CANARY,
            "down",
            &beside().await,
            |actor| {
                let named = "service legacy";
                async move { actor.says("down --yes", 5, named).await }.boxed_local()
            },
        ),
        phase("down", CANARY, "down", &stage, |actor| {
            async move {
                actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                only_down(actor).await
            }
            .boxed_local()
        }),
        phase(
            "down with the source",
            CANARY,
            "down --delete-source",
            &stage,
            |actor| {
                async move {
                    actor.stage.push(REPOSITORY, "<h1>first</h1>\n");
                    actor.run("down --yes --delete-source", 0).await
                }
                .boxed_local()
            },
        ),
    ]
}

/// Somebody has a service in the app's cluster.
async fn beside() -> Stage {
    let stage = made(CANARY).await;
    let place = Place::within(&stage.sandbox, spec(CANARY)).await;
    let owned = place.inventory().await.owned;
    let subnet = &owned[&Key::new(Kind::Subnet, "private-eu-central-1a")].id;
    let service = json!({
        "cluster": "web", "serviceName": "legacy", "taskDefinition": "web", "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}},
    });
    json_call(&stage.sandbox, "ecs", "CreateService", &service).await;
    stage
}

/// Somebody's upload that was never finished.
async fn upload(stage: &Stage) {
    let bucket = stage
        .sandbox
        .world()
        .s3
        .buckets
        .keys()
        .next()
        .unwrap()
        .clone();
    let request = http::Request::post(format!("/{bucket}/left?uploads"))
        .header("host", "sandbox.localhost")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=sandbox/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0")
        .body(bytes::Bytes::new())
        .unwrap();
    let answer = stage.sandbox.handle(request).await;
    assert_eq!(answer.status(), 200);
}

/// What only an app without a way out has.
async fn private() -> Vec<Phase> {
    let empty = Stage::new(PRIVATE);
    let made = made(PRIVATE).await;
    vec![
        phase("a shut app from nothing", PRIVATE, "up", &empty, only_up),
        phase(
            "a shut app after somebody",
            PRIVATE,
            "up",
            &meddled(PRIVATE).await,
            only_up,
        ),
        phase("plan a shut app", PRIVATE, "plan", &made, |actor| {
            async move { actor.run("plan --exit-code", 0).await }.boxed_local()
        }),
        phase("a shut app goes", PRIVATE, "down", &made, only_down),
    ]
}
