//! What is wanted for a spec: the whole graph of the tutorial's app, the policies, and what the links are.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::{Area, Error, Existing, Inputs, Kind, Resource, desired};
use ecspipe_spec::{
    Alarm, Architecture, Condition, Function, HookEvent, Millis, Nat, Percent, Percentile,
    RollbackOn, Span, Spec, Strategy, Zones,
};
use serde_json::{Value, json};

use crate::account::graph_of;
use crate::specs::{facts, tutorial, tutorial_with};

#[test]
fn the_tutorials_app() {
    let graph = graph_of(&tutorial());
    let nodes: Vec<Value> = graph
        .nodes()
        .iter()
        .map(|node| json!({ "key": node.key, "links": node.links, "properties": node.resource.properties() }))
        .collect();
    insta::assert_json_snapshot!("tutorial", nodes);
}

#[test]
fn without_nat_gateways() {
    let graph = graph_of(&tutorial_with(|spec| spec.network.nat = Nat::None));
    let network = graph
        .nodes()
        .iter()
        .filter(|node| node.key.kind.area() == Area::Network);
    let nodes: Vec<Value> = network
        .map(|node| json!({ "key": node.key, "properties": node.resource.properties() }))
        .collect();
    insta::assert_json_snapshot!("network-without-nat", nodes);
}

#[test]
fn one_nat_gateway_serves_all_zones() {
    let graph = graph_of(&tutorial_with(|spec| spec.network.nat = Nat::Single));
    let routes: Vec<String> = graph
        .nodes()
        .iter()
        .filter_map(|node| match &node.resource {
            Resource::RouteTable(table) => Some(format!(
                "{} {}",
                node.key.name,
                table.routes.first()?.target
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        routes,
        [
            "public ${internet-gateway/main}",
            "private-eu-central-1a ${nat-gateway/eu-central-1a}",
            "private-eu-central-1b ${nat-gateway/eu-central-1a}"
        ]
    );
}

#[test]
fn everything_carries_the_apps_tags() {
    for node in graph_of(&tutorial()).nodes() {
        let tags = node.tags.all();
        assert_eq!(
            (tags["ecspipe:app"].as_str(), &tags["ecspipe:resource"]),
            ("web", &node.key.to_string())
        );
        assert_eq!(tags["team"], "web");
        assert_eq!(
            tags.contains_key("Name"),
            node.key.kind.named_by_tag(),
            "{}",
            node.key
        );
    }
}

/// AWS's own configurations where they fit, one of ours where not.
#[test]
fn strategies() {
    let check = |strategy: Strategy, expected: &str, ours: bool| {
        let graph = graph_of(&tutorial_with(|spec| spec.deploy.strategy = strategy));
        let config = graph.nodes().iter().find_map(|node| match &node.resource {
            Resource::DeploymentGroup(group) => Some(group.config.clone()),
            _ => None,
        });
        assert_eq!(config.unwrap(), expected);
        assert_eq!(
            graph
                .nodes()
                .iter()
                .any(|node| node.key.kind == Kind::DeploymentConfig),
            ours
        );
    };
    let minutes = Span::from_minutes;
    check(Strategy::AllAtOnce, "CodeDeployDefault.ECSAllAtOnce", false);
    check(
        Strategy::Canary {
            percent: 10,
            wait: minutes(15),
        },
        "CodeDeployDefault.ECSCanary10Percent15Minutes",
        false,
    );
    check(
        Strategy::Linear {
            percent: 10,
            every: minutes(3),
        },
        "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
        false,
    );
    check(
        Strategy::Linear {
            percent: 10,
            every: minutes(5),
        },
        "${deployment-config/linear-10p-5m}",
        true,
    );
    check(
        Strategy::Canary {
            percent: 20,
            wait: minutes(10),
        },
        "${deployment-config/canary-20p-10m}",
        true,
    );
}

#[test]
fn the_rest_of_deploy_and_build_follows_the_spec() {
    let graph = graph_of(&tutorial_with(|spec| {
        spec.deploy.approve = None;
        spec.deploy.keep_old = Span::from_minutes(0);
        spec.deploy.rollback_on = vec![RollbackOn::Stop];
        spec.service.architecture = Architecture::Arm64;
    }));
    let properties: BTreeMap<String, Value> = graph
        .nodes()
        .iter()
        .map(|node| (node.key.to_string(), node.resource.properties()))
        .collect();
    let group = &properties["deployment-group/main"];
    assert_eq!(
        (&group["ready"], &group["keep_old_minutes"]),
        (&json!("continue"), &json!(0))
    );
    assert_eq!(
        group["rollback_events"],
        json!(["DEPLOYMENT_STOP_ON_REQUEST"])
    );
    let project = &properties["build-project/main"];
    assert_eq!(project["environment_type"], "ARM_CONTAINER");
    assert_eq!(
        project["image"],
        "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    );
}

/// An alarm for each condition on each target group; the deployment group names them, and those that exist.
#[test]
fn alarms_watch_both_target_groups() {
    let minutes = Span::from_minutes;
    let graph = graph_of(&tutorial_with(|spec| {
        spec.deploy.rollback_on = vec![RollbackOn::Failure, RollbackOn::Alarm];
        spec.deploy.alarms = vec![
            Alarm::Declared(Condition::Http5xx {
                above: Percent::parse("0.5%").unwrap(),
                during: minutes(2),
            }),
            Alarm::Declared(Condition::Latency {
                p: Percentile::from_number(99.9).unwrap(),
                above: Millis::new(800),
                during: minutes(3),
            }),
            Alarm::Declared(Condition::UnhealthyTargets {
                above: 0,
                during: minutes(1),
            }),
            Alarm::Existing("orders: backlog".to_owned()),
        ];
    }));
    let alarms: BTreeMap<String, Value> = graph
        .nodes()
        .iter()
        .filter(|node| node.key.kind == Kind::Alarm)
        .map(|node| (node.key.name.clone(), node.resource.properties()))
        .collect();
    let names: Vec<&str> = alarms.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "http-5xx-blue",
            "http-5xx-green",
            "latency-p99.9-blue",
            "latency-p99.9-green",
            "unhealthy-targets-blue",
            "unhealthy-targets-green"
        ]
    );
    insta::assert_json_snapshot!("alarms-blue", {
        alarms
            .iter()
            .filter(|(name, _)| name.ends_with("blue"))
            .collect::<Vec<_>>()
    });
    // Green is the same on the other target group.
    for (name, blue) in alarms.iter().filter(|(name, _)| name.ends_with("blue")) {
        let green = &alarms[&name.replace("blue", "green")];
        assert_eq!(blue.to_string().replace("blue", "green"), green.to_string());
    }
    let group = graph
        .nodes()
        .iter()
        .find(|node| node.key.kind == Kind::DeploymentGroup);
    let group = group.unwrap().resource.properties();
    let mut want: Vec<String> = names
        .iter()
        .map(|name| format!("${{alarm/{name}}}"))
        .collect();
    want.push("orders: backlog".to_owned());
    assert_eq!(group["alarms"], json!(want));
    assert_eq!(
        group["rollback_events"],
        json!(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"])
    );
}

/// What CodeDeploy may do for hooks and alarms: these functions and these alarms, and nothing where there are none.
#[test]
fn codedeploys_role_covers_hooks_and_alarms() {
    let statements = |spec: &Spec| {
        let graph = graph_of(spec);
        let role = graph
            .nodes()
            .iter()
            .find(|node| node.key.to_string() == "role/codedeploy");
        let policies = role.unwrap().resource.properties();
        let statements = policies["policies"]["ecspipe"]["Statement"]
            .as_array()
            .unwrap()
            .clone();
        let of = |sid: &str| statements.iter().find(|one| one["Sid"] == sid).cloned();
        (of("Hooks"), of("Alarms"))
    };
    assert_eq!(statements(&tutorial()), (None, None));
    let (hooks, alarms) = statements(&tutorial_with(|spec| {
        let smoke = Function::new("smoke").unwrap();
        let other =
            Function::new("arn:aws:lambda:eu-central-1:111122223333:function:other").unwrap();
        spec.deploy.hooks = BTreeMap::from([
            (HookEvent::AfterInstall, smoke.clone()),
            (HookEvent::BeforeAllowTraffic, smoke),
            (HookEvent::AfterAllowTraffic, other),
        ]);
        spec.deploy.alarms = vec![
            Alarm::Existing("backlog".to_owned()),
            Alarm::Declared(Condition::UnhealthyTargets {
                above: 0,
                during: Span::from_minutes(1),
            }),
        ];
    }));
    let arn = |resource: &str| format!("arn:aws:{resource}");
    let function = |name: &str| arn(&format!("lambda:eu-central-1:111122223333:function:{name}"));
    assert_eq!(
        hooks.unwrap(),
        json!({"Sid": "Hooks", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": [function("other"), function("smoke")]})
    );
    let alarm = |name: &str| {
        arn(&format!(
            "cloudwatch:eu-central-1:111122223333:alarm:{name}"
        ))
    };
    assert_eq!(
        alarms.unwrap(),
        json!({"Sid": "Alarms", "Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": [alarm("backlog"), alarm("web-unhealthy-targets-blue"), alarm("web-unhealthy-targets-green")]})
    );
}

/// Graphs that together hold every kind and every link.
fn graphs() -> Vec<ecspipe_provision::Graph> {
    let custom = Strategy::Canary {
        percent: 20,
        wait: Span::from_minutes(10),
    };
    vec![
        graph_of(&tutorial()),
        graph_of(&tutorial_with(|spec| spec.network.nat = Nat::None)),
        graph_of(&tutorial_with(|spec| spec.deploy.strategy = custom)),
        graph_of(&tutorial_with(|spec| {
            spec.deploy.alarms = vec![Alarm::Declared(Condition::UnhealthyTargets {
                above: 0,
                during: Span::from_minutes(1),
            })];
        })),
    ]
}

#[test]
fn links_point_backwards() {
    for graph in graphs() {
        let mut seen = BTreeSet::new();
        for node in graph.nodes() {
            assert!(
                node.links.iter().all(|link| seen.contains(link)),
                "{}",
                node.key
            );
            assert!(
                node.links.iter().all(|link| link.kind <= node.key.kind),
                "{}: {:?}",
                node.key,
                node.links
            );
            assert!(seen.insert(node.key.clone()), "{} is there twice", node.key);
        }
    }
}

/// The table by which deletions are ordered says exactly what real graphs link.
#[test]
fn needs_are_what_links_point_at() {
    let mut linked: BTreeMap<Kind, BTreeSet<Kind>> = BTreeMap::new();
    for graph in graphs() {
        for node in graph.nodes() {
            linked
                .entry(node.key.kind)
                .or_default()
                .extend(node.links.iter().map(|link| link.kind));
        }
    }
    for kind in Kind::ALL {
        let needs: BTreeSet<Kind> = kind.needs().iter().copied().collect();
        assert_eq!(linked.get(&kind), Some(&needs), "{kind}");
        assert!(needs.iter().all(|&needed| needed <= kind), "{kind}");
    }
}

#[test]
fn keys_and_kinds_read_back() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    for node in graphs().iter().flat_map(ecspipe_provision::Graph::nodes) {
        assert_eq!(node.key.to_string().parse(), Ok(node.key.clone()));
        let text = serde_json::to_string(&node.resource).unwrap();
        assert_eq!(
            serde_json::from_str::<Resource>(&text).unwrap(),
            node.resource
        );
    }
}

fn problem_of(spec: &ecspipe_spec::Spec, buildspec: &str) -> String {
    match desired(&Inputs {
        spec,
        facts: &facts(),
        buildspec,
        existing: &Existing::default(),
    }) {
        Err(Error::Impossible { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_not_be_had_is_said() {
    let zones = tutorial_with(|spec| spec.network.zones = Zones::Count(4));
    assert_eq!(
        problem_of(&zones, ""),
        "network.zones asks for 4 availability zones, the region offers 3: eu-central-1a, eu-central-1b, eu-central-1c"
    );
    let forged = tutorial_with(|spec| {
        spec.service
            .environment
            .insert("A".to_owned(), "x${encryption-key/main}".to_owned());
    });
    let expected = "the text `${encryption-key/main}` stands for a resource within ecspipe and can't be used as a value";
    assert_eq!(problem_of(&forged, ""), expected);
    assert_eq!(
        problem_of(&tutorial(), "echo ${encryption-key/main}"),
        expected
    );
    assert!(
        desired(&Inputs {
            spec: &tutorial(),
            facts: &facts(),
            buildspec: "${REPO} ${A/b}",
            existing: &Existing::default(),
        })
        .is_ok()
    );
}

/// No role may do everything to something, or something to everything but where AWS knows no narrower way.
#[test]
fn roles_are_narrow() {
    let without_resource = [
        "ecr:GetAuthorizationToken",
        "ecs:CreateTaskSet",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetGroups",
    ];
    let mut roles = 0;
    for node in graph_of(&tutorial()).nodes() {
        let Resource::Role(role) = &node.resource else {
            continue;
        };
        roles += 1;
        let trust = &role.trust.document()["Statement"][0]["Condition"];
        assert_eq!(
            trust["StringEquals"]["aws:SourceAccount"], "111122223333",
            "{}",
            node.key
        );
        assert_eq!(trust.as_object().unwrap().len(), 2, "{}", node.key);
        for statement in role
            .policies
            .values()
            .flat_map(|policy| policy.document()["Statement"].as_array().unwrap())
        {
            let actions = match &statement["Action"] {
                Value::Array(actions) => actions.clone(),
                one => vec![one.clone()],
            };
            for action in actions {
                let action = action.as_str().unwrap();
                assert!(!action.contains('*'), "{action}");
                assert_eq!(
                    statement["Resource"] == "*",
                    without_resource.contains(&action),
                    "{action}"
                );
                // What changes something without a resource is held by a condition.
                if action == "ecs:CreateTaskSet" {
                    let service = &statement["Condition"]["ArnEqualsIfExists"]["ecs:service"];
                    assert_eq!(
                        service,
                        "arn:aws:ecs:eu-central-1:111122223333:service/web/web"
                    );
                }
            }
        }
    }
    assert_eq!(roles, 6);
}
