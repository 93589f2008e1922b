//! What exists in an account is found in every way that the spec can name it, checked, used, and left as it was.

use std::collections::BTreeMap;

use ecspipe_provision::existing::{Depth, Existing, Lookup as _, check};
use ecspipe_provision::resource::Rule;
use ecspipe_provision::{Options, Plan};

use super::place::{PRIVATE, Place, SHORTEST, sandbox, spec};
use super::platform::{BOUNDARY, PLATFORM, Platform, guest, look_up};

/// Problems and refusals, one a line.
async fn wrong(place: &Place) -> Vec<String> {
    let found = look_up(place).await;
    let verdict = check(&place.spec, &place.facts, &found.existing);
    let problems = found.problems.iter().chain(&verdict.problems);
    problems
        .map(|problem| format!("{problem} ({})", problem.hint))
        .collect()
}

fn refusals(plan: &Plan) -> Vec<String> {
    plan.refusals.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn an_app_lives_on_what_others_made_and_leaves_it_as_it_was() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    platform.add_boundary();
    let before = (platform.place.things(), platform.place.inventory().await);
    let text = format!(
        "{}kms_key: {{ existing: {{ name: platform }} }}
roles: {{ task: {{ existing: {{ name: platform-eu-central-1-task }} }} }}
permissions_boundary: {{ id: '{BOUNDARY}' }}
role_path: /teams/shop/
",
        platform.guest("shop", 8081)
    );
    let shop = guest(&sandbox, &text).await;
    assert_eq!(wrong(&shop).await, Vec::<String>::new());
    shop.up().await;
    shop.assert_settled().await;
    sandbox.reset_counts();
    shop.up().await;
    assert_eq!(shop.writes(), BTreeMap::new());
    // It has none of its own of what it uses.
    let made: Vec<String> = shop
        .things()
        .difference(&before.0)
        .map(|thing| thing.rsplit_once('/').unwrap().0.to_owned())
        .collect();
    for kind in [
        "ec2/vpcs",
        "ec2/subnets",
        "ec2/nats",
        "elbv2/balancers",
        "ecs/clusters",
        "kms/keys",
    ] {
        assert!(
            !made.iter().any(|thing| thing.ends_with(kind)),
            "{kind} in {made:#?}"
        );
    }
    assert_eq!(platform.place.inventory().await, before.1);
    {
        let world = sandbox.world();
        let role = &world.iam.roles["shop-eu-central-1-codebuild"];
        assert_eq!(role.path, "/teams/shop/");
        assert_eq!(role.boundary.as_deref(), Some(BOUNDARY));
    }
    shop.down(true).await;
    assert_eq!(platform.place.things(), before.0);
    assert_eq!(platform.place.inventory().await, before.1);
}

/// By id, by name and by tags the same things are found.
#[tokio::test(start_paused = true)]
async fn every_way_to_name_something() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    platform.add_boundary();
    let tags =
        |key: &str| format!("tags: {{ 'ecspipe:app': platform, 'ecspipe:resource': {key} }}");
    let id = |key: &str| format!("id: '{}'", platform.id(key));
    let cluster = "id: 'arn:aws:ecs:eu-central-1:111122223333:cluster/platform'".to_owned();
    // VPC, cluster, balancer, key, role, boundary.
    let ways: [[String; 6]; 3] = [
        [
            id("vpc/main"),
            cluster,
            id("load-balancer/main"),
            id("encryption-key/main"),
            id("role/execution"),
            format!("id: '{BOUNDARY}'"),
        ],
        [
            "name: platform-main",
            "name: platform",
            "name: platform",
            "name: alias/platform",
            "name: platform-eu-central-1-execution",
            "name: boundary",
        ]
        .map(ToOwned::to_owned),
        [
            tags("vpc/main"),
            tags("cluster/main"),
            tags("load-balancer/main"),
            tags("encryption-key/main"),
            tags("role/execution"),
            "tags: { team: platform }".to_owned(),
        ],
    ];
    let mut all: Vec<Existing> = Vec::new();
    for [vpc, cluster, balancer, key, role, boundary] in &ways {
        let text = format!(
            "version: 1
app: shop
service: {{ port: 80 }}
network: {{ existing: {{ vpc: {{ {vpc} }}, private: {{ tags: {{ Name: platform-private-eu-central-1b }} }} }} }}
cluster: {{ existing: {{ {cluster} }} }}
load_balancer: {{ existing: {{ {balancer} }}, production: {{ port: 8081 }}, test: {{ port: 9081 }} }}
kms_key: {{ existing: {{ {key} }} }}
roles: {{ execution: {{ existing: {{ {role} }} }} }}
permissions_boundary: {{ {boundary} }}
"
        );
        let place = guest(&sandbox, &text).await;
        assert_eq!(wrong(&place).await, Vec::<String>::new());
        // The names alone are enough to follow a rollout, and are the same.
        let names = place
            .account
            .look_up(&place.spec, &place.facts, Depth::Names);
        let names = names.await.unwrap().existing.names();
        let whole = place.existing.names();
        assert_eq!(
            (&names.cluster, &names.load_balancer),
            (&whole.cluster, &whole.load_balancer)
        );
        let role = ecspipe_spec::names::RoleName::Execution;
        assert_eq!(
            place.spec.role_arn(&place.facts, role),
            platform.id("role/execution")
        );
        all.push(place.existing);
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    let found = &all[0];
    let network = found.network.as_ref().unwrap();
    assert_eq!(network.vpc, platform.id("vpc/main"));
    let private: Vec<&str> = network
        .private
        .iter()
        .map(|subnet| subnet.id.as_str())
        .collect();
    assert_eq!(private, [platform.id("subnet/private-eu-central-1b")]);
    assert_eq!(
        found.load_balancer.as_ref().unwrap().arn,
        platform.id("load-balancer/main")
    );
    assert_eq!(
        found.key.as_ref().unwrap().arn,
        platform.id("encryption-key/main")
    );
    assert_eq!(found.boundary.as_deref(), Some(BOUNDARY));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_ambiguous_is_said_with_what_there_is() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    let text = "version: 1
app: shop
service: { port: 80 }
network: { existing: { vpc: { name: shared }, private: { tags: { tier: private } } } }
cluster: { existing: { name: shared } }
load_balancer: { existing: { name: shared } }
kms_key: { existing: { name: shared } }
roles:
  execution: { existing: { tags: { 'ecspipe:app': platform } } }
  task: { existing: { name: nobodys } }
permissions_boundary: { name: nobodys }
";
    let place = Place::within(&sandbox, spec(text)).await;
    let have = wrong(&place).await;
    let vpc = platform.id("vpc/main");
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/platform-eu-central-1-{name}");
    let roles = [
        "codebuild",
        "codedeploy",
        "codepipeline",
        "events",
        "execution",
    ]
    .map(role);
    let want = [
        format!("network.existing.vpc: no VPC is called `shared` (there is {vpc} (platform-main))"),
        "cluster.existing: no ECS cluster is called `shared` (there is platform)".to_owned(),
        "load_balancer.existing: no load balancer is called `shared` (there is platform)".to_owned(),
        "kms_key.existing: no KMS key is called `shared` (check the region and the account, or leave `kms_key.existing` out)".to_owned(),
        format!("roles.execution.existing: more than one IAM role carries ecspipe:app=platform: {} and 1 more (name one of them by its id)", roles.join(", ")),
        "roles.task.existing: no IAM role is called `nobodys` (check the region and the account, or leave `roles.task.existing` out)".to_owned(),
        "permissions_boundary: no managed policy is called `nobodys` (check the region and the account, or leave `permissions_boundary` out)".to_owned(),
    ];
    assert_eq!(have, want);

    let subnets = platform.guest("shop", 8081).replace(
        platform.id("subnet/private-eu-central-1a"),
        "subnet-0123456789abcdef0",
    );
    let place = Place::within(&sandbox, spec(&subnets)).await;
    let have = wrong(&place).await;
    assert_eq!(have.len(), 1, "{have:#?}");
    assert!(
        have[0].starts_with("network.existing.private: no subnet is subnet-0123456789abcdef0 ("),
        "{have:#?}"
    );
    assert!(
        have[0].contains("(platform-private-eu-central-1b)"),
        "{have:#?}"
    );
}

/// A closed balancer, a taken port, roles of another app: all of it is said at once.
#[tokio::test(start_paused = true)]
async fn what_will_not_do_is_said_all_at_once() {
    let sandbox = sandbox();
    let platform = Platform::closed(&sandbox, PLATFORM).await;
    let mut text = platform
        .guest("shop", 8081)
        .replace("port: 8081", "port: 80");
    text.push_str(
        "roles: { codebuild: { existing: { name: platform-eu-central-1-codebuild } } }\n",
    );
    let place = Place::within(&sandbox, spec(&text)).await;
    let group = platform.id("security-group/balancer");
    assert_eq!(
        wrong(&place).await,
        [
            "load_balancer.production.port: port 80 of load balancer platform is a listener of app platform (take a port that is free, such as 81)".to_owned(),
            format!("load_balancer.test.port: the security groups {group} of load balancer platform let nobody in on port 9081 (add a rule for port 9081 to one of them, or take a port that they let in)"),
            "roles.codebuild.existing: arn:aws:iam::111122223333:role/platform-eu-central-1-codebuild does not let codebuild.amazonaws.com assume it for this app (its trust policy must allow sts:AssumeRole to codebuild.amazonaws.com for account 111122223333 and arn:aws:codebuild:eu-central-1:111122223333:project/shop)".to_owned(),
        ]
    );
}

/// Subnets without a way out do where their endpoints let them in.
#[tokio::test(start_paused = true)]
async fn endpoints_of_others() {
    let sandbox = sandbox();
    let text = PRIVATE.replace("app: inner", "app: platform");
    let platform = Platform::closed(&sandbox, &text).await;
    let text = "version: 1
app: shop
service: { image: '111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1.2', port: 80 }
network:
  existing:
    vpc: { name: platform-main }
    public: { tags: { 'ecspipe:resource': subnet/public-eu-central-1a } }
    private: { tags: { 'ecspipe:resource': subnet/private-eu-central-1a } }
";
    let place = Place::within(&sandbox, spec(text)).await;
    let have = wrong(&place).await;
    assert_eq!(have.len(), 2, "{have:#?}");
    assert!(
        have[0].contains("its security groups do not let 10.0.128.0/19 in on port 443")
            || have[0].contains("its security groups do not let 10.0."),
        "{have:#?}"
    );
    assert!(!have[0].contains(".s3"), "{have:#?}");
    assert!(
        have[1].contains("a load balancer needs 2 zones"),
        "{have:#?}"
    );
    platform
        .change_group("endpoints", |group| {
            group.ingress.insert(Rule::tcp(443, "10.0.0.0/16"));
        })
        .await;
    let have = wrong(&place).await;
    assert_eq!(have.len(), 1, "{have:#?}");
    assert!(
        have[0].contains("a load balancer needs 2 zones"),
        "{have:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_nothing_and_little_for_much() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    let calls = |place: &Place| place.sandbox.counts().values().sum::<u64>();
    let alone = Place::within(&sandbox, spec(SHORTEST)).await;
    sandbox.reset_counts();
    assert_eq!(look_up(&alone).await, Default::default());
    assert_eq!(calls(&alone), 0);

    let shop = Place::within(&sandbox, spec(&platform.guest("shop", 8081))).await;
    sandbox.reset_counts();
    look_up(&shop).await;
    // VPC, subnets, route tables; cluster; balancer, its listeners, whose they are, its security groups.
    assert_eq!(calls(&shop), 8, "{:#?}", sandbox.counts());
    sandbox.reset_counts();
    let names = shop.account.look_up(&shop.spec, &shop.facts, Depth::Names);
    names.await.unwrap();
    assert_eq!(calls(&shop), 1, "{:#?}", sandbox.counts());
}

/// A running app can't change over between its own things and others': it is refused, and nothing is left behind unseen.
#[tokio::test(start_paused = true)]
async fn a_running_app_does_not_move() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    let own = Place::within(
        &sandbox,
        spec(&SHORTEST.replace("app: web", "app: own\nnetwork: { nat: single }")),
    )
    .await;
    own.up().await;
    let text = SHORTEST.replace(
        "app: web",
        "app: own\nnetwork: { nat: single }\ncluster: { existing: { name: platform } }\nkms_key: { existing: { name: platform } }",
    );
    let moved = guest(&sandbox, &text).await;
    let plan = moved.plan(Options::default()).await;
    let have = refusals(&plan).join("\n");
    assert!(plan.steps.is_empty());
    for want in [
        "service/main: cluster of this ECS service can't be changed",
        "encryption-key/main: alias/own is to go, and what is encrypted with it could not be read any more",
    ] {
        assert!(have.contains(want), "{want} is missing in\n{have}");
    }
    own.assert_settled().await;

    let shop = guest(&sandbox, &platform.guest("shop", 8081)).await;
    shop.up().await;
    // Its own cluster and balancer on the same network: both would leave something on the platform.
    let text = platform
        .guest("shop", 8081)
        .replace("cluster: { existing: { name: platform } }\n", "")
        .replace("  existing: { name: platform }\n", "")
        .replace(
            "    private:",
            "    public: { tags: { 'ecspipe:app': platform, Name: platform-public-eu-central-1a } }\n    private:",
        );
    let moved = guest(&sandbox, &text).await;
    let plan = moved.plan(Options::default()).await;
    let have = refusals(&plan).join("\n");
    for want in [
        "service/main: cluster of this ECS service can't be changed",
        "listener/production: load_balancer of this listener can't be changed",
        "listener/test: load_balancer of this listener can't be changed",
    ] {
        assert!(have.contains(want), "{want} is missing in\n{have}");
    }
    shop.assert_settled().await;
}
