//! An app that uses what others made: its graph holds their ids and none of them as a node.

use std::collections::BTreeSet;

use ecspipe_provision::existing::{
    Cluster, EncryptionKey, LoadBalancer, Network, Role, SecurityGroup, Subnet, WayOut,
};
use ecspipe_provision::resource::Policy;
use ecspipe_provision::{
    Error, Existing, Graph, Inputs, Kind, Resource, desired, named, outputs, scope,
};
use ecspipe_spec::Spec;
use ecspipe_spec::names::RoleName;
use serde_json::{Value, json};

use crate::account::BUILDSPEC;
use crate::specs::facts;

const SHARED: &str = "
version: 1
app: web
service: { port: 80 }
network: { existing: { vpc: { name: shared }, private: { tags: { tier: private } } } }
cluster: { existing: { name: shared } }
load_balancer: { existing: { name: shared }, production: { port: 8081 }, test: { port: 9081 } }
kms_key: { existing: { name: alias/shared } }
roles:
  execution: { existing: { name: puller } }
  task: { existing: { id: 'arn:aws:iam::111122223333:role/teams/web' } }
  codedeploy: { existing: { name: shifter } }
  codebuild: { existing: { name: builder } }
  codepipeline: { existing: { name: shipper } }
  events: { existing: { name: starter } }
permissions_boundary: { name: boundary }
role_path: /platform/apps/
";
const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/shared/50dc6c495c0c9188";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";
const BOUNDARY: &str = "arn:aws:iam::111122223333:policy/boundary";

fn spec(text: &str) -> Spec {
    ecspipe_spec::parse(text).unwrap()
}

fn subnet(name: &str, zone: &str) -> Subnet {
    Subnet {
        id: format!("subnet-{name}"),
        vpc: "vpc-shared".to_owned(),
        zone: format!("eu-central-1{zone}"),
        range: "10.7.2.0/24".to_owned(),
        route_table: "rtb-1".to_owned(),
        way_out: WayOut::Nat,
    }
}

fn existing() -> Existing {
    let names = ["puller", "web", "shifter", "builder", "shipper", "starter"];
    let roles = RoleName::ALL.into_iter().zip(names).map(|(role, name)| {
        let arn = format!("arn:aws:iam::111122223333:role/teams/{name}");
        let trust = Policy::none();
        (role, Role { arn, trust })
    });
    Existing {
        network: Some(Network {
            vpc: "vpc-shared".to_owned(),
            ranges: vec!["10.7.0.0/16".parse().unwrap()],
            private: vec![subnet("a", "a"), subnet("b", "b")],
            ..Network::default()
        }),
        cluster: Some(Cluster {
            name: "shared".to_owned(),
            status: "ACTIVE".to_owned(),
        }),
        load_balancer: Some(LoadBalancer {
            arn: BALANCER.to_owned(),
            name: "shared".to_owned(),
            dns_name: "shared.example.com".to_owned(),
            vpc: "vpc-shared".to_owned(),
            security_groups: ["sg-1", "sg-2"]
                .map(|id| SecurityGroup {
                    id: id.to_owned(),
                    ..SecurityGroup::default()
                })
                .into(),
            ..LoadBalancer::default()
        }),
        key: Some(EncryptionKey {
            arn: KEY.to_owned(),
            ..EncryptionKey::default()
        }),
        roles: roles.collect(),
        boundary: Some(BOUNDARY.to_owned()),
        ..Existing::default()
    }
}

fn graph(text: &str, existing: &Existing) -> Graph {
    let spec = spec(text);
    let facts = facts();
    let inputs = Inputs {
        spec: &spec,
        facts: &facts,
        buildspec: BUILDSPEC,
        existing,
    };
    desired(&inputs).unwrap()
}

fn kinds(graph: &Graph) -> BTreeSet<Kind> {
    graph.nodes().iter().map(|node| node.key.kind).collect()
}

fn properties(graph: &Graph, key: &str) -> Value {
    let node = graph.get(&key.parse().unwrap());
    node.unwrap_or_else(|| panic!("no {key}"))
        .resource
        .properties()
}

#[test]
fn what_exists_is_never_a_node() {
    let graph = graph(SHARED, &existing());
    let others = [
        Kind::Vpc,
        Kind::InternetGateway,
        Kind::Subnet,
        Kind::Address,
        Kind::NatGateway,
        Kind::RouteTable,
        Kind::Endpoint,
        Kind::LoadBalancer,
        Kind::Cluster,
        Kind::EncryptionKey,
        Kind::Role,
    ];
    let made = kinds(&graph);
    for kind in others {
        assert!(!made.contains(&kind), "{kind}");
    }
    // The groups of the tasks alone: the balancer has its own.
    let groups = graph
        .nodes()
        .iter()
        .filter(|node| node.key.kind == Kind::SecurityGroup);
    assert_eq!(groups.count(), 1);
}

#[test]
fn the_apps_own_things_hang_on_what_exists() {
    let graph = graph(SHARED, &existing());
    let group = properties(&graph, "security-group/service");
    assert_eq!(group["vpc"], "vpc-shared");
    let peers: Vec<&str> = group["ingress"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["peer"].as_str().unwrap())
        .collect();
    assert_eq!(peers, ["sg-1", "sg-2"]);
    assert_eq!(properties(&graph, "target-group/blue")["vpc"], "vpc-shared");
    let listener = properties(&graph, "listener/test");
    assert_eq!(listener["load_balancer"], BALANCER);
    assert_eq!(listener["port"], 9081);
    let service = properties(&graph, "service/main");
    assert_eq!(service["cluster"], "shared");
    assert_eq!(service["subnets"], json!(["subnet-a", "subnet-b"]));
    assert_eq!(
        properties(&graph, "deployment-group/main")["cluster"],
        "shared"
    );
    let bucket = properties(&graph, "bucket/artifacts");
    assert_eq!(bucket["encryption_key"], KEY);
    assert!(bucket["policy"].to_string().contains(KEY));
    for (key, field, role) in [
        ("deployment-group/main", "role", "shifter"),
        ("build-project/main", "role", "builder"),
        ("pipeline/main", "role", "shipper"),
    ] {
        let want = format!("arn:aws:iam::111122223333:role/teams/{role}");
        assert_eq!(properties(&graph, key)[field], want, "{key}");
    }
    let definition = properties(&graph, "task-definition/main").to_string();
    for role in ["puller", "web"] {
        assert!(
            definition.contains(&format!(":role/teams/{role}\"")),
            "{definition}"
        );
    }
    assert!(
        !serde_json::to_string(&properties(&graph, "event-rule/source"))
            .unwrap()
            .contains("${role")
    );
}

/// The app's own roles have the path and the boundary, hand over the roles that exist, and reach no further than the cluster
/// and the balancer that exist.
#[test]
fn own_roles_beside_what_exists() {
    let mut text = SHARED.to_owned();
    for role in ["codedeploy", "codebuild", "codepipeline", "events"] {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{role}:")))
            .unwrap()
            .to_owned();
        text = text.replace(&format!("{line}\n"), "");
    }
    let mut existing = existing();
    existing
        .roles
        .retain(|role, _| matches!(role, RoleName::Execution | RoleName::Task));
    let graph = graph(&text, &existing);
    let roles: Vec<&ecspipe_provision::resource::Role> = graph
        .nodes()
        .iter()
        .filter_map(|node| match &node.resource {
            Resource::Role(role) => Some(role),
            _ => None,
        })
        .collect();
    assert_eq!(roles.len(), 4);
    for role in &roles {
        assert_eq!(role.path, "/platform/apps/");
        assert_eq!(role.boundary.as_deref(), Some(BOUNDARY));
    }
    let shifter = properties(&graph, "role/codedeploy").to_string();
    for part in [
        "service/shared/web\"",
        "task-set/shared/web/*",
        "listener/app/shared/50dc6c495c0c9188/*",
        "role/teams/puller",
        "role/teams/web",
    ] {
        assert!(shifter.contains(part), "{part} is missing in {shifter}");
    }
    assert!(!shifter.contains("service/web/web"), "{shifter}");
    // CodeDeploy gets its AppSpec with the deployment, and needs no key; who reads and writes artifacts does.
    for name in ["role/codebuild", "role/codepipeline"] {
        let role = properties(&graph, name).to_string();
        assert!(role.contains(KEY), "{name}: {role}");
    }
}

/// Where nothing else is said, the test listener is for the network's own addresses, which only the account knew.
#[test]
fn an_own_balancer_in_a_network_that_exists() {
    let text = "
version: 1
app: web
service: { port: 80 }
network: { existing: { vpc: { name: shared }, public: { tags: { tier: public } }, private: { tags: { tier: private } } } }
";
    let mut shared = Existing {
        network: existing().network,
        ..Existing::default()
    };
    let network = shared.network.as_mut().unwrap();
    network.public = vec![subnet("c", "a"), subnet("d", "b")];
    network.ranges.push("10.8.0.0/16".parse().unwrap());
    let graph = graph(text, &shared);
    let balancer = properties(&graph, "load-balancer/main");
    assert_eq!(balancer["subnets"], json!(["subnet-c", "subnet-d"]));
    assert_eq!(balancer["after"], Value::Null);
    let group = properties(&graph, "security-group/balancer");
    let rules = |way: &str| -> Vec<String> {
        let rules = group[way].as_array().unwrap().iter();
        rules
            .map(|rule| format!("{} {}", rule["from_port"], rule["peer"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(
        rules("ingress"),
        ["80 0.0.0.0/0", "8080 10.7.0.0/16", "8080 10.8.0.0/16"]
    );
    assert_eq!(rules("egress"), ["80 10.7.0.0/16", "80 10.8.0.0/16"]);
    assert!(!kinds(&graph).contains(&Kind::Vpc));
    assert!(kinds(&graph).contains(&Kind::Cluster));
}

#[test]
fn nothing_is_wanted_of_what_was_not_looked_up() {
    let spec = spec(SHARED);
    let facts = facts();
    let nothing = Existing::default();
    let inputs = Inputs {
        spec: &spec,
        facts: &facts,
        buildspec: BUILDSPEC,
        existing: &nothing,
    };
    let Err(Error::Unfit(problems)) = desired(&inputs) else {
        panic!("wanted")
    };
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "network.existing",
            "cluster.existing",
            "load_balancer.existing",
            "kms_key.existing",
            "permissions_boundary",
            "roles.execution.existing",
            "roles.task.existing",
            "roles.codedeploy.existing",
            "roles.codebuild.existing",
            "roles.codepipeline.existing",
            "roles.events.existing",
        ]
    );
    // Whoever takes the app down needs its names only, and those that it had before it used others' things.
    let graph = named(&inputs).unwrap();
    let keys: BTreeSet<String> = graph
        .nodes()
        .iter()
        .map(|node| node.key.to_string())
        .collect();
    assert!(keys.contains("service/main") && keys.contains("listener/production"));
    let scope = scope(&inputs, &graph);
    assert_eq!(scope.cluster, "shared");
    let wanted: Vec<(String, &str)> = [Kind::Cluster, Kind::LoadBalancer, Kind::EncryptionKey]
        .into_iter()
        .flat_map(|kind| scope.wanted_of(kind))
        .map(|(key, name)| (key.to_string(), name))
        .collect();
    let want = [
        ("cluster/main".to_owned(), "web"),
        ("load-balancer/main".to_owned(), "web"),
        ("encryption-key/main".to_owned(), "alias/web"),
    ];
    assert_eq!(wanted, want);
}

#[test]
fn outputs_name_what_exists() {
    let spec = spec(SHARED);
    let listener = ecspipe_provision::Key::new(Kind::Listener, "production");
    let known = [(listener, Default::default())].into();
    let outputs = outputs(&known, &spec, &existing());
    assert_eq!(outputs.cluster.as_deref(), Some("shared"));
    assert_eq!(
        outputs.production_url.as_deref(),
        Some("http://shared.example.com:8081")
    );
    assert_eq!(outputs.test_url, None);
}
