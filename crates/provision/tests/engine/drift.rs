//! What is drift and what isn't: a rollout may move what it moves, and nothing else.

use ecspipe_provision::Options;
use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::{Forward, Resource};

use crate::account::{IN_FLIGHT, assert_settled, edit, held_back, id, plan_for, steps, up};
use crate::specs::{tutorial, tutorial_with};

fn account() -> Memory {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud
}

fn forward(cloud: &Memory, listener: &str, to: &[(&str, u32)]) {
    edit(cloud, listener, |resource| {
        let Resource::Listener(listener) = resource else {
            panic!()
        };
        listener.forward = to
            .iter()
            .map(|(group, weight)| Forward {
                target_group: (*group).to_owned(),
                weight: *weight,
            })
            .collect();
    });
}

/// Both listeners and the service on green, and a newer revision: a rollout has gone through.
fn roll_out(cloud: &Memory) {
    let green = id(cloud, "target-group/green");
    forward(cloud, "listener/production", &[(&green, 1)]);
    forward(cloud, "listener/test", &[(&green, 1)]);
    edit(cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.target_group.clone_from(&green);
        service.task_definition =
            "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:2".to_owned();
    });
    edit(cloud, "task-definition/main", |resource| {
        let Resource::TaskDefinition(definition) = resource else {
            panic!()
        };
        let container = &mut definition.definition.container_definitions[0];
        container.image = "registry.example.com/web@sha256:0".to_owned();
    });
    let key = "task-definition/main".parse().unwrap();
    cloud.edit(|have| {
        if have.key == Some(ecspipe_provision::Key::clone(&key)) {
            have.id = "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:2".to_owned();
            have.tags.clear();
            have.tags.insert("ecspipe:app".to_owned(), "web".to_owned());
            have.tags
                .insert("ecspipe:resource".to_owned(), key.to_string());
        }
    });
}

#[test]
fn a_rollout_is_no_drift() {
    let cloud = account();
    roll_out(&cloud);
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        (steps(&plan), plan.refusals, plan.deferred),
        (vec![], vec![], vec![])
    );
}

/// A rollback leaves the service on an older revision than the newest one.
#[test]
fn an_older_revision_is_no_drift() {
    let cloud = account();
    roll_out(&cloud);
    edit(&cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.task_definition =
            "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:1".to_owned();
        service.platform_version = "1.4.0".to_owned();
    });
    assert_settled(&cloud, &tutorial());
}

#[test]
fn a_target_group_outside_of_the_pair_is_drift() {
    let cloud = account();
    forward(&cloud, "listener/production", &[("arn:elsewhere", 1)]);
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        steps(&plan),
        ["update listener/production: forward[0].target_group"]
    );
}

/// It is put right towards the group that is live, not towards the one that it was made with.
#[test]
fn a_listener_goes_back_to_what_is_live() {
    let cloud = account();
    roll_out(&cloud);
    let green = id(&cloud, "target-group/green");
    forward(&cloud, "listener/production", &[("arn:elsewhere", 1)]);
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|key| key.to_string() == "listener/test")
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    // Who refers to a listener that has to be made again can only follow.
    assert_eq!(
        steps(&plan),
        [
            "update listener/production: forward[0].target_group",
            "create listener/test",
            "update deployment-group/main: test_listener"
        ]
    );
    up(&cloud, &tutorial());
    let forwards: Vec<Resource> = cloud
        .things()
        .into_iter()
        .map(|have| have.resource)
        .filter(|it| matches!(it, Resource::Listener(_)))
        .collect();
    for listener in forwards {
        let Resource::Listener(listener) = listener else {
            panic!()
        };
        assert_eq!(
            listener.forward,
            [Forward {
                target_group: green.clone(),
                weight: 1
            }]
            .into()
        );
    }
    assert_settled(&cloud, &tutorial());
}

#[test]
fn split_weights_are_drift_unless_a_rollout_shifts() {
    let cloud = account();
    let (blue, green) = (
        id(&cloud, "target-group/blue"),
        id(&cloud, "target-group/green"),
    );
    forward(&cloud, "listener/production", &[(&blue, 90), (&green, 10)]);
    assert_eq!(
        steps(&plan_for(&cloud, &tutorial(), Options::default())),
        ["update listener/production: forward"]
    );
    assert!(plan_for(&cloud, &tutorial(), IN_FLIGHT).is_empty());
    forward(
        &cloud,
        "listener/production",
        &[(&blue, 90), ("arn:elsewhere", 10)],
    );
    let plan = plan_for(&cloud, &tutorial(), IN_FLIGHT);
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert_eq!(held_back(&plan), ["listener/production: in flight"]);
}

#[test]
fn a_listener_without_a_forward_is_drift() {
    let cloud = account();
    forward(&cloud, "listener/test", &[]);
    assert_eq!(
        steps(&plan_for(&cloud, &tutorial(), Options::default())),
        ["update listener/test: forward"]
    );
}

#[test]
fn what_a_deployment_brings_is_deferred() {
    let cloud = account();
    roll_out(&cloud);
    let spec = tutorial_with(|spec| {
        spec.service.cpu = 512;
        spec.service.image = Some("httpd:3".to_owned());
        spec.service
            .environment
            .insert("A".to_owned(), "b".to_owned());
    });
    let plan = plan_for(&cloud, &spec, Options::default());
    assert_eq!(steps(&plan), Vec::<String>::new());
    let deferred: Vec<String> = plan
        .deferred
        .iter()
        .flat_map(|deferred| {
            deferred
                .changes
                .iter()
                .map(|change| format!("{} {}", deferred.key, change.field))
        })
        .collect();
    assert_eq!(
        deferred,
        [
            "task-definition/main definition.cpu",
            "task-definition/main definition.containerDefinitions[0].environment"
        ]
    );
}

/// Drift by hand on anything that isn't a rollout's is put right, and only that.
#[test]
fn drift_is_put_right() {
    let check = |key: &str, change: fn(&mut Resource), expected: &[&str]| {
        let cloud = account();
        edit(&cloud, key, change);
        let plan = plan_for(&cloud, &tutorial(), Options::default());
        assert_eq!(steps(&plan), expected);
        up(&cloud, &tutorial());
        assert_settled(&cloud, &tutorial());
    };
    check(
        "bucket/artifacts",
        |resource| {
            let Resource::Bucket(bucket) = resource else {
                panic!()
            };
            bucket.versioning = false;
            bucket.policy = ecspipe_provision::resource::Policy::none();
        },
        &["update bucket/artifacts: versioning, policy"],
    );
    check(
        "role/codebuild",
        |resource| {
            let Resource::Role(role) = resource else {
                panic!()
            };
            role.policies.insert(
                "by-hand".to_owned(),
                ecspipe_provision::resource::Policy::none(),
            );
        },
        &["update role/codebuild: policies.by-hand"],
    );
    check(
        "security-group/balancer",
        |resource| {
            let Resource::SecurityGroup(group) = resource else {
                panic!()
            };
            group
                .ingress
                .insert(ecspipe_provision::resource::Rule::tcp(22, "0.0.0.0/0"));
        },
        &["update security-group/balancer: ingress"],
    );
    check(
        "target-group/green",
        |resource| {
            let Resource::TargetGroup(group) = resource else {
                panic!()
            };
            group.health_check.path = "/elsewhere".to_owned();
        },
        &["update target-group/green: health_check.path"],
    );
    check(
        "service/main",
        |resource| {
            let Resource::Service(service) = resource else {
                panic!()
            };
            service.desired_count = 7;
        },
        &["update service/main: desired_count"],
    );
    check(
        "pipeline/main",
        |resource| {
            let Resource::Pipeline(pipeline) = resource else {
                panic!()
            };
            pipeline.stages[0].actions[1]
                .configuration
                .insert("PollForSourceChanges".to_owned(), "true".to_owned());
        },
        &["update pipeline/main: stages[0].actions[1].configuration.PollForSourceChanges"],
    );
}

#[test]
fn tags_by_hand_are_put_right() {
    let cloud = account();
    cloud.edit(|have| {
        if have.resource.kind() == ecspipe_provision::Kind::Cluster {
            have.tags.insert("by-hand".to_owned(), "x".to_owned());
            have.tags.remove("team");
        }
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        steps(&plan),
        ["update cluster/main: tags.by-hand, tags.team"]
    );
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
}

/// A NAT gateway whose address was lost is the one thing that is worth making again.
#[test]
fn a_gateway_is_replaced() {
    let cloud = account();
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|key| key.to_string() == "address/eu-central-1a")
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        steps(&plan),
        [
            "create address/eu-central-1a",
            "replace nat-gateway/eu-central-1a: address",
            "update route-table/private-eu-central-1a: routes[0].target"
        ]
    );
    // The table of the in-memory cloud still routes to the gateway, as AWS's would: a black hole until it follows.
    edit(&cloud, "route-table/private-eu-central-1a", |resource| {
        let Resource::RouteTable(table) = resource else {
            panic!()
        };
        table.routes.clear();
    });
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
}

/// What `plan --format json` shows.
#[test]
fn a_plan_as_json() {
    let cloud = account();
    let spec = tutorial_with(|spec| {
        spec.network.nat = ecspipe_spec::Nat::None;
        spec.service.cpu = 512;
        spec.service.health_check.path = "/up".to_owned();
    });
    insta::assert_json_snapshot!("plan", plan_for(&cloud, &spec, Options::default()));
    let refused = tutorial_with(|spec| spec.network.cidr = "192.168.0.0/17".parse().unwrap());
    insta::assert_json_snapshot!(
        "refusals",
        plan_for(&cloud, &refused, Options::default()).refusals
    );
}
