//! What the check says of things that would do, and of each that would not.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::existing::{Cluster, EncryptionKey, LambdaFunction, Listener, SecurityGroup};
use crate::resource::Policy;
use ecspipe_spec::HookEvent;

const SHARED: &str = "
version: 1
app: web
service: { port: 80, image: '111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1' }
network: { existing: { vpc: { name: shared }, private: { tags: { tier: private } } } }
cluster: { existing: { name: shared } }
load_balancer: { existing: { name: shared }, production: { port: 8081 }, test: { port: 9081 } }
kms_key: { existing: { name: shared } }
roles: { task: { existing: { name: mine } }, codebuild: { existing: { name: builder } } }
";
const OWN_BALANCER: &str = "
version: 1
app: web
service: { port: 80 }
network: { existing: { vpc: { name: shared }, public: { tags: { tier: public } }, private: { tags: { tier: private } } } }
";

fn subnet(name: &str, zone: &str, range: &str, way_out: WayOut) -> Subnet {
    Subnet {
        id: format!("subnet-{name}"),
        vpc: "vpc-1".to_owned(),
        zone: format!("eu-central-1{zone}"),
        range: range.to_owned(),
        route_table: format!("rtb-{name}"),
        way_out,
    }
}

fn endpoint(service: &str, endpoint_type: EndpointType) -> Endpoint {
    Endpoint {
        id: format!("vpce-{service}"),
        service: format!("com.amazonaws.eu-central-1.{service}"),
        endpoint_type,
        available: true,
        route_tables: ["rtb-private-a".to_owned(), "rtb-private-b".to_owned()].into(),
        private_dns: true,
        ingress: [Rule::tcp(443, "10.0.0.0/16")].into(),
    }
}

fn role(service: &str) -> Role {
    Role {
        arn: "arn:aws:iam::111122223333:role/a/mine".to_owned(),
        trust: Policy::new(serde_json::json!({
            "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }]
        })),
    }
}

#[test]
fn what_watches_over_a_deployment() {
    let function = |state: &str| LambdaFunction {
        name: "smoke".to_owned(),
        state: state.to_owned(),
        reason: if state == "Failed" { "no network" } else { "" }.to_owned(),
    };
    let existing = Existing {
        functions: [
            (HookEvent::BeforeInstall, function("Active")),
            (HookEvent::AfterInstall, function("Inactive")),
            (HookEvent::AfterAllowTestTraffic, function("Pending")),
            (HookEvent::AfterAllowTraffic, function("Failed")),
        ]
        .into(),
        alarms: [("a", "OK"), ("b", "ALARM"), ("c", "INSUFFICIENT_DATA")]
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .into(),
        ..Existing::default()
    };
    let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
    let verdict = check(
        &spec,
        &Facts::new("111122223333", "eu-central-1"),
        &existing,
    );
    let problems: Vec<String> = verdict.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "deploy.hooks.after_allow_test_traffic: function smoke is Pending, not Active",
            "deploy.hooks.after_allow_traffic: function smoke is Failed, not Active: no network",
        ]
    );
    assert_eq!(
        verdict.notes,
        ["the alarm b is in ALARM: as long as it is, every deployment is stopped"]
    );
}

/// Everything in order: two zones, NAT gateways, a balancer that lets everybody in.
fn sound() -> Existing {
    Existing {
        network: Some(Network {
            vpc: "vpc-1".to_owned(),
            ranges: vec!["10.0.0.0/16".parse().unwrap()],
            dns: Some(true),
            public: vec![
                subnet("public-a", "a", "10.0.0.0/24", WayOut::Internet),
                subnet("public-b", "b", "10.0.1.0/24", WayOut::Internet),
            ],
            private: vec![
                subnet("private-a", "a", "10.0.2.0/24", WayOut::Nat),
                subnet("private-b", "b", "10.0.3.0/24", WayOut::Nat),
            ],
            endpoints: vec![
                endpoint("s3", EndpointType::Gateway),
                endpoint("ecr.api", EndpointType::Interface),
                endpoint("ecr.dkr", EndpointType::Interface),
                endpoint("logs", EndpointType::Interface),
            ],
        }),
        cluster: Some(Cluster {
            name: "shared".to_owned(),
            status: "ACTIVE".to_owned(),
        }),
        load_balancer: Some(LoadBalancer {
            arn: "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/shared/50dc6c495c0c9188".to_owned(),
            name: "shared".to_owned(),
            dns_name: "shared.example.com".to_owned(),
            vpc: "vpc-1".to_owned(),
            kind: "application".to_owned(),
            state: "active".to_owned(),
            zones: ["eu-central-1a".to_owned(), "eu-central-1b".to_owned()].into(),
            security_groups: vec![SecurityGroup {
                id: "sg-1".to_owned(),
                ingress: [Rule::everything("0.0.0.0/0")].into(),
                egress: [Rule::everything("0.0.0.0/0")].into(),
            }],
            listeners: vec![Listener {
                port: 80,
                app: None,
            }],
        }),
        key: Some(EncryptionKey {
            arn: "arn:aws:kms:eu-central-1:111122223333:key/1".to_owned(),
            state: "Enabled".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
        }),
        roles: [
            (RoleName::Task, role("ecs-tasks.amazonaws.com")),
            (RoleName::CodeBuild, role("codebuild.amazonaws.com")),
        ]
        .into(),
        ..Existing::default()
    }
}

fn judge(text: &str, existing: &Existing) -> Verdict {
    let spec = ecspipe_spec::parse(text).unwrap();
    check(&spec, &Facts::new("111122223333", "eu-central-1"), existing)
}

/// Breaks what is sound, and compares every problem, one a line with its hint.
#[track_caller]
fn broken(text: &str, change: impl FnOnce(&mut Existing), want: &[&str]) {
    let mut existing = sound();
    if text == OWN_BALANCER {
        existing = Existing {
            network: existing.network,
            ..Existing::default()
        };
    }
    change(&mut existing);
    let have: Vec<String> = judge(text, &existing)
        .problems
        .iter()
        .map(|problem| format!("{problem} ({})", problem.hint))
        .collect();
    assert_eq!(have, want);
}

fn network(existing: &mut Existing) -> &mut Network {
    existing.network.as_mut().unwrap()
}

fn balancer(existing: &mut Existing) -> &mut LoadBalancer {
    existing.load_balancer.as_mut().unwrap()
}

#[test]
fn what_will_do_is_no_problem_and_what_can_not_be_proved_is_said() {
    broken(OWN_BALANCER, |_| (), &[]);
    broken(SHARED, |_| (), &[]);
    assert_eq!(
        judge(SHARED, &sound()).notes,
        [
            "whether this app's roles may use arn:aws:kms:eu-central-1:111122223333:key/1 is for its key policy to say, and is not checked",
            "what arn:aws:iam::111122223333:role/a/mine may do is not checked: it needs what the app's own role web-eu-central-1-task would have",
            "what arn:aws:iam::111122223333:role/a/mine may do is not checked: it needs what the app's own role web-eu-central-1-codebuild would have",
        ]
    );
}

#[test]
fn endpoints_do_in_the_place_of_a_way_out() {
    let closed = |existing: &mut Existing| {
        for subnet in &mut network(existing).private {
            subnet.way_out = WayOut::None;
        }
    };
    broken(SHARED, closed, &[]);
    broken(
        SHARED,
        |existing| {
            closed(existing);
            let network = network(existing);
            network.private.truncate(1);
            network.endpoints[0].route_tables.clear();
            network.endpoints[1].ingress =
                [Rule::tcp(443, "sg-9"), Rule::tcp(80, "10.0.0.0/8")].into();
            network.endpoints[2].private_dns = false;
            network.endpoints[3].available = false;
        },
        &[
            "network.existing.private: subnet-private-a has no default route, and tasks in it do not reach com.amazonaws.eu-central-1.s3 (vpce-s3: not in route table rtb-private-a), com.amazonaws.eu-central-1.ecr.api (vpce-ecr.api: its security groups do not let 10.0.2.0/24 in on port 443), com.amazonaws.eu-central-1.ecr.dkr (vpce-ecr.dkr: private DNS is off), com.amazonaws.eu-central-1.logs (add a route 0.0.0.0/0 to a NAT gateway, or these VPC endpoints)",
        ],
    );
    broken(
        SHARED,
        |existing| {
            closed(existing);
            network(existing).private.truncate(1);
            network(existing).dns = Some(false);
            network(existing).endpoints.truncate(2);
        },
        &[
            "network.existing.private: subnet-private-a has no default route, and tasks in it do not reach com.amazonaws.eu-central-1.ecr.api (vpce-ecr.api: DNS support and DNS host names of the VPC are not both on), com.amazonaws.eu-central-1.ecr.dkr, com.amazonaws.eu-central-1.logs (add a route 0.0.0.0/0 to a NAT gateway, or these VPC endpoints)",
        ],
    );
    broken(
        OWN_BALANCER,
        closed,
        &[
            "service.image: the placeholder image can't be pulled: private subnets have no way to the internet (name an image in ECR: `ACCOUNT.dkr.ecr.eu-central-1.amazonaws.com/REPOSITORY:TAG`)",
        ],
    );
    broken(
        &SHARED.replace("eu-central-1.amazonaws", "eu-west-1.amazonaws"),
        closed,
        &[
            "service.image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/base:1 can't be pulled: private subnets have no way to the internet (name an image in ECR: `ACCOUNT.dkr.ecr.eu-central-1.amazonaws.com/REPOSITORY:TAG`)",
        ],
    );
}

#[test]
fn subnets_that_lead_elsewhere() {
    broken(
        OWN_BALANCER,
        |existing| {
            let network = network(existing);
            network.public[0].way_out = WayOut::None;
            network.public[1].way_out = WayOut::Nat;
            network.private[0].way_out = WayOut::Internet;
            network.private[1].way_out = WayOut::Nowhere("nat-9".to_owned());
        },
        &[
            "network.existing.public: the load balancer would not be reached: subnet-public-a has no default route (name subnets whose route 0.0.0.0/0 goes to an internet gateway (igw-…))",
            "network.existing.public: the load balancer would not be reached: subnet-public-b leads to a NAT gateway, through which nobody comes in (name subnets whose route 0.0.0.0/0 goes to an internet gateway (igw-…))",
            "network.existing.private: subnet-private-a leads to an internet gateway, which serves public addresses only, and tasks have none (name subnets that lead to a NAT gateway, or to endpoints)",
            "network.existing.private: subnet-private-b leads to nat-9, which is gone (mend the route 0.0.0.0/0 of its route table)",
        ],
    );
    let mut elsewhere = sound();
    network(&mut elsewhere).private[0].way_out = WayOut::Other("tgw-1".to_owned());
    let verdict = judge(SHARED, &elsewhere);
    assert_eq!(verdict.problems, []);
    assert_eq!(
        verdict.notes[0],
        "tasks in subnet-private-a reach the world through tgw-1; whether that leads to ECR, S3 and CloudWatch Logs can't be seen from here"
    );
}

#[test]
fn zones() {
    broken(
        OWN_BALANCER,
        |existing| {
            let network = network(existing);
            network.public[1].zone = "eu-central-1a".to_owned();
            network.private[0].zone = "eu-central-1c".to_owned();
        },
        &[
            "network.existing.public: subnet-public-b is another subnet in zone eu-central-1a (a load balancer takes one subnet a zone)",
            "network.existing.public: a load balancer needs 2 zones, these subnets are in eu-central-1a (name subnets in further zones)",
            "network.existing.private: subnet-private-a is in zone eu-central-1c, and the load balancer reaches eu-central-1a only (leave the subnet out, or give the load balancer a subnet in its zone)",
            "network.existing.private: subnet-private-b is in zone eu-central-1b, and the load balancer reaches eu-central-1a only (leave the subnet out, or give the load balancer a subnet in its zone)",
        ],
    );
    broken(
        SHARED,
        |existing| {
            balancer(existing).zones.remove("eu-central-1b");
        },
        &[
            "network.existing.private: subnet-private-b is in zone eu-central-1b, and the load balancer reaches eu-central-1a only (leave the subnet out, or give the load balancer a subnet in its zone)",
        ],
    );
}

#[test]
fn things_of_several_networks() {
    broken(
        SHARED,
        |existing| {
            network(existing).private[0].vpc = "vpc-2".to_owned();
            balancer(existing).vpc = "vpc-3".to_owned();
        },
        &[
            "network.existing.private: subnet-private-a is in vpc-2, not in vpc-1 (name subnets of one VPC)",
            "load_balancer.existing: shared is in vpc-3, the app in vpc-1 (name a load balancer and subnets of one VPC)",
        ],
    );
}

#[test]
fn ports_of_a_balancer() {
    broken(
        SHARED,
        |existing| {
            let balancer = balancer(existing);
            let listener = |port, app: Option<&str>| Listener {
                port,
                app: app.map(ToOwned::to_owned),
            };
            balancer.listeners.push(listener(8081, Some("shop")));
            balancer.listeners.push(listener(8082, Some("web")));
            balancer.listeners.push(listener(9081, None));
        },
        &[
            "load_balancer.production.port: port 8081 of load balancer shared is a listener of app shop (take a port that is free, such as 8083)",
            "load_balancer.test.port: port 9081 of load balancer shared is a listener that isn't this app's (take a port that is free, such as 9082)",
        ],
    );
    // Its own listeners are no hindrance, or nothing could be changed any more.
    broken(
        SHARED,
        |existing| {
            for port in [8081, 9081] {
                let app = Some("web".to_owned());
                balancer(existing).listeners.push(Listener { port, app });
            }
        },
        &[],
    );
}

#[test]
fn security_groups_of_a_balancer() {
    broken(
        SHARED,
        |existing| {
            let group = &mut balancer(existing).security_groups[0];
            group.ingress = [Rule::tcp(80, "0.0.0.0/0"), Rule::tcp(9081, "10.0.0.0/8")].into();
            group.egress = [Rule::tcp(80, "10.0.2.0/24"), Rule::everything("sg-9")].into();
        },
        &[
            "load_balancer.production.port: the security groups sg-1 of load balancer shared let nobody in on port 8081 (add a rule for port 8081 to one of them, or take a port that they let in)",
            "load_balancer.existing: the security groups sg-1 of load balancer shared let nothing out to port 80 in 10.0.3.0/24 (add an outbound rule for port 80 and these ranges to one of them)",
        ],
    );
}

#[test]
fn a_balancer_cluster_or_key_that_will_not_do() {
    broken(
        SHARED,
        |existing| {
            balancer(existing).kind = "network".to_owned();
            balancer(existing).vpc = "vpc-9".to_owned();
            existing.cluster.as_mut().unwrap().status = "INACTIVE".to_owned();
            let key = existing.key.as_mut().unwrap();
            key.arn = "arn:aws:kms:eu-west-1:111122223333:key/1".to_owned();
            key.state = "PendingDeletion".to_owned();
            key.usage = "SIGN_VERIFY".to_owned();
            key.spec = "RSA_2048".to_owned();
        },
        &[
            "load_balancer.existing: shared is a network load balancer (only an application load balancer will do)",
            "cluster.existing: cluster shared is INACTIVE, not ACTIVE (name a cluster that is in use)",
            "kms_key.existing: arn:aws:kms:eu-west-1:111122223333:key/1 is PendingDeletion, not Enabled (enable it, or name another key)",
            "kms_key.existing: arn:aws:kms:eu-west-1:111122223333:key/1 is a key for SIGN_VERIFY of the kind RSA_2048 (S3 and CodePipeline need a symmetric key that encrypts and decrypts)",
            "kms_key.existing: arn:aws:kms:eu-west-1:111122223333:key/1 is not in region eu-central-1 (a bucket takes keys of its own region only)",
        ],
    );
    broken(
        SHARED,
        |existing| balancer(existing).state = "provisioning".to_owned(),
        &[
            "load_balancer.existing: shared is provisioning, not active (wait until it is active, or name another one)",
        ],
    );
}

/// Whether a role with this trust policy would do for CodeBuild.
#[track_caller]
fn builds(trust: serde_json::Value, want: bool) {
    let mut existing = sound();
    existing.roles.get_mut(&RoleName::CodeBuild).unwrap().trust =
        Policy::new(serde_json::json!({ "Statement": [trust] }));
    let problems = judge(SHARED, &existing).problems;
    assert_eq!(problems.is_empty(), want, "{trust} {problems:#?}");
}

#[test]
fn roles_that_trust_somebody_else() {
    broken(
        SHARED,
        |existing| {
            let role = existing.roles.get_mut(&RoleName::Task).unwrap();
            role.trust = Policy::none();
            role.arn = "arn:aws:iam::999999999999:role/mine".to_owned();
        },
        &[
            "roles.task.existing: arn:aws:iam::999999999999:role/mine does not let ecs-tasks.amazonaws.com assume it for this app (its trust policy must allow sts:AssumeRole to ecs-tasks.amazonaws.com for account 111122223333 and arn:aws:ecs:eu-central-1:111122223333:*)",
            "roles.task.existing: arn:aws:iam::999999999999:role/mine is another account's role (name a role of account 111122223333)",
        ],
    );
    let statement = |service: &str, action: &str, condition: serde_json::Value| {
        serde_json::json!({
            "Effect": "Allow", "Principal": { "Service": service }, "Action": action, "Condition": condition,
        })
    };
    let builder = "codebuild.amazonaws.com";
    let none = || serde_json::json!({});
    let source = |arn: &str| serde_json::json!({ "ArnLike": { "aws:SourceArn": arn } });
    builds(statement(builder, "sts:AssumeRole", none()), true);
    builds(statement(builder, "sts:*", none()), true);
    builds(statement(builder, "sts:TagSession", none()), false);
    builds(
        statement("ec2.amazonaws.com", "sts:AssumeRole", none()),
        false,
    );
    let ours = "arn:aws:codebuild:eu-central-1:111122223333:project/web";
    builds(statement(builder, "sts:AssumeRole", source(ours)), true);
    builds(
        statement(
            builder,
            "sts:AssumeRole",
            source("arn:aws:codebuild:*:*:project/w?b"),
        ),
        true,
    );
    builds(
        statement(
            builder,
            "sts:AssumeRole",
            source("arn:aws:codebuild:*:*:project/shop"),
        ),
        false,
    );
    let account =
        |account: &str| serde_json::json!({ "StringEquals": { "aws:SourceAccount": account } });
    builds(
        statement(builder, "sts:AssumeRole", account("111122223333")),
        true,
    );
    builds(
        statement(builder, "sts:AssumeRole", account("999999999999")),
        false,
    );
    // What can't be told from here is no reason to refuse.
    let other = serde_json::json!({ "Bool": { "aws:ViaAWSService": "true" } });
    builds(statement(builder, "sts:AssumeRole", other), true);
    let mut denied = statement(builder, "sts:AssumeRole", none());
    denied["Effect"] = "Deny".into();
    builds(denied, false);
}

#[test]
fn patterns() {
    for (pattern, text, want) in [
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abb", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*b*", "abc", true),
        ("", "a", false),
        ("a:*:b", "a:1:2:b", true),
    ] {
        assert_eq!(globs(pattern, text), want, "{pattern} {text}");
    }
}
