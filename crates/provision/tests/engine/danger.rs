//! What is dangerous, whatever the plan does, and what it does about it.

use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::{Forward, Policy, Resource};
use ecspipe_provision::{Danger, DangerKind, Options, Remedy, Targets};

use crate::account::{DOWN, IN_FLIGHT, assert_settled, edit, id, plan_for, up};
use crate::specs::{tutorial, tutorial_with};

fn account() -> Memory {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud
}

fn dangers(cloud: &Memory, options: Options) -> Vec<Danger> {
    plan_for(cloud, &tutorial(), options).dangers
}

/// The one danger in the account after `change`.
#[track_caller]
fn one(change: impl FnOnce(&Memory)) -> (Danger, Memory) {
    let cloud = account();
    change(&cloud);
    let mut dangers = dangers(&cloud, Options::default());
    assert_eq!(dangers.len(), 1, "{dangers:#?}");
    (dangers.remove(0), cloud)
}

/// A danger that `up` puts right, and its message.
#[track_caller]
fn repaired(change: impl FnOnce(&Memory), kind: DangerKind, key: &str, message: &str) {
    let (danger, cloud) = one(change);
    assert_eq!((danger.kind, danger.remedy), (kind, Remedy::Up));
    assert_eq!(danger.key.to_string(), key);
    assert_eq!(danger.hint, "`ecspipe up` puts it right");
    assert!(danger.message.contains(message), "{}", danger.message);
    assert_eq!(plan_for(&cloud, &tutorial(), DOWN).dangers, []);
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
}

fn forward(cloud: &Memory, to: &[(&str, u32)]) {
    edit(cloud, "listener/production", |resource| {
        let Resource::Listener(listener) = resource else {
            panic!()
        };
        let to = to.iter().map(|(group, weight)| Forward {
            target_group: (*group).to_owned(),
            weight: *weight,
        });
        listener.forward = to.collect();
    });
}

fn remove(cloud: &Memory, key: &str) {
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|have| have.to_string() == key)
    });
}

#[test]
fn nothing_is_dangerous_about_what_was_applied() {
    let cloud = Memory::new();
    assert_eq!(dangers(&cloud, Options::default()), []);
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
    // Nor about a change of the spec.
    let spec = tutorial_with(|spec| {
        spec.service.health_check.path = "/up".to_owned();
        spec.load_balancer.test.port = 9090;
        spec.service.desired_count = 5;
    });
    assert_eq!(plan_for(&cloud, &spec, Options::default()).dangers, []);
}

#[test]
fn production_that_is_not_served_by_what_is_deployed() {
    repaired(
        |cloud| {
            forward(
                cloud,
                &[(
                    "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/other/0",
                    1,
                )],
            );
        },
        DangerKind::OutsidePair,
        "listener/production",
        "goes to other, outside of the app's pair",
    );
    repaired(
        |cloud| forward(cloud, &[]),
        DangerKind::NoForward,
        "listener/production",
        "answered by the listener itself",
    );
    repaired(
        |cloud| remove(cloud, "listener/production"),
        DangerKind::ListenerGone,
        "listener/production",
        "nobody is served",
    );
    repaired(
        |cloud| remove(cloud, "service/main"),
        DangerKind::ServiceGone,
        "service/main",
        "nothing runs",
    );
}

#[test]
fn a_split_is_dangerous_unless_a_rollout_makes_it() {
    let split = |cloud: &Memory| {
        let (blue, green) = (
            id(cloud, "target-group/blue"),
            id(cloud, "target-group/green"),
        );
        forward(cloud, &[(&blue, 90), (&green, 10)]);
    };
    repaired(
        split,
        DangerKind::WeightsSplit,
        "listener/production",
        "split (90 to ",
    );
    let cloud = account();
    split(&cloud);
    assert_eq!(dangers(&cloud, IN_FLIGHT), []);
}

/// Listener and service disagree on which group of the pair is live: nobody but a person can say who is right.
#[test]
fn production_that_is_not_live_is_left_to_a_person() {
    let to_green = |cloud: &Memory| {
        let green = id(cloud, "target-group/green");
        forward(cloud, &[(&green, 1)]);
    };
    let (danger, cloud) = one(to_green);
    assert_eq!(
        (danger.kind, danger.remedy),
        (DangerKind::NotLive, Remedy::Hand)
    );
    let blue = id(&cloud, "target-group/blue");
    let way = format!("`ecspipe rollback` leads production to {blue}, without a deployment");
    assert!(danger.hint.contains(&way), "{}", danger.hint);
    assert!(plan_for(&cloud, &tutorial(), Options::default()).is_empty());
    assert_eq!(dangers(&cloud, IN_FLIGHT), []);
}

#[test]
fn production_without_a_healthy_target() {
    let dead = |targets: Targets| {
        move |cloud: &Memory| cloud.set_targets(&id(cloud, "target-group/blue"), targets)
    };
    let unhealthy = |unhealthy| Targets {
        unhealthy,
        ..Targets::default()
    };
    for (targets, message) in [
        (
            unhealthy(0),
            "no task is registered behind production: requests are answered with 503",
        ),
        (
            unhealthy(1),
            "the one task behind production fails its health check",
        ),
        (
            unhealthy(3),
            "all 3 tasks behind production fail their health check",
        ),
    ] {
        let (danger, cloud) = one(dead(targets));
        assert_eq!(danger.message, message);
        assert_eq!(danger.key.to_string(), "target-group/blue");
        assert_eq!(
            (danger.kind, danger.remedy),
            (DangerKind::NoHealthyTarget, Remedy::Hand)
        );
        assert_eq!(dangers(&cloud, IN_FLIGHT).len(), 1);
    }
    // Nobody asks how those are that no listener leads to.
    let cloud = account();
    let unused = Targets {
        unused: 1,
        ..Targets::default()
    };
    cloud.set_targets(&id(&cloud, "target-group/blue"), unused);
    forward(&cloud, &[]);
    let dangers = dangers(&cloud, Options::default());
    assert_eq!((dangers.len(), dangers[0].remedy), (1, Remedy::Up));
    // The idle group has no targets, as it should.
    let cloud = account();
    cloud.set_targets(&id(&cloud, "target-group/green"), Targets::default());
    assert_settled(&cloud, &tutorial());
}

/// Whoever looks right after `up` sees no danger.
#[test]
fn tasks_that_start_are_no_danger() {
    let cloud = account();
    let blue = id(&cloud, "target-group/blue");
    let starting = Targets {
        starting: 1,
        unhealthy: 1,
        ..Targets::default()
    };
    cloud.set_targets(&blue, starting);
    assert_eq!(dangers(&cloud, Options::default()), []);
    cloud.set_targets(&blue, Targets::default());
    let pending = |count: &str| {
        cloud.edit(|have| {
            if let Resource::Service(_) = have.resource {
                have.attributes
                    .insert("pending".to_owned(), count.to_owned());
            }
        });
        dangers(&cloud, Options::default()).len()
    };
    assert_eq!((pending("2"), pending("0")), (0, 1));
}

#[test]
fn another_controller_is_refused() {
    let (danger, cloud) = one(|cloud| {
        edit(cloud, "service/main", |resource| {
            let Resource::Service(service) = resource else {
                panic!()
            };
            service.controller = "ECS".to_owned();
        });
        edit(cloud, "cluster/main", |resource| {
            let Resource::Cluster(cluster) = resource else {
                panic!()
            };
            cluster.container_insights = "enhanced".to_owned();
        });
    });
    assert_eq!(
        (danger.kind, danger.remedy),
        (DangerKind::ControllerChanged, Remedy::Refused)
    );
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!((plan.refusals.len(), plan.steps.len()), (1, 0));
    // What was changed by hand is told all the same.
    let drifted: Vec<String> = plan
        .drift
        .iter()
        .map(|drift| drift.key.to_string())
        .collect();
    assert_eq!(drifted, ["cluster/main", "service/main"]);
}

#[test]
fn a_group_that_would_move_something_else() {
    let edited = |change: fn(&mut ecspipe_provision::resource::DeploymentGroup)| {
        move |cloud: &Memory| {
            edit(cloud, "deployment-group/main", |resource| {
                let Resource::DeploymentGroup(group) = resource else {
                    panic!()
                };
                change(group);
            });
        }
    };
    let check = |change, message: &str| {
        repaired(
            edited(change),
            DangerKind::GroupElsewhere,
            "deployment-group/main",
            message,
        );
    };
    check(
        |group| group.service = "other".to_owned(),
        "names another service:",
    );
    check(
        |group| group.cluster = "other".to_owned(),
        "names another service:",
    );
    check(
        |group| group.target_groups = ["a".to_owned(), "b".to_owned()].into(),
        "names another target groups:",
    );
    check(
        |group| {
            group.production_listener = "arn:other".to_owned();
            group.test_listener = Some("arn:another".to_owned());
        },
        "names another production listener and another test listener:",
    );
    // While a rollout is in flight it has to wait, and says so.
    let cloud = account();
    edited(|group| group.service = "other".to_owned())(&cloud);
    let dangers = dangers(&cloud, IN_FLIGHT);
    assert_eq!(dangers[0].remedy, Remedy::HeldBack);
    assert!(
        dangers[0].hint.contains("`ecspipe watch`"),
        "{}",
        dangers[0].hint
    );
}

#[test]
fn checks_that_differ() {
    for key in ["target-group/blue", "target-group/green"] {
        repaired(
            |cloud| {
                edit(cloud, key, |resource| {
                    let Resource::TargetGroup(group) = resource else {
                        panic!()
                    };
                    group.health_check.path = "/elsewhere".to_owned();
                    group.health_check.healthy = 9;
                });
            },
            DangerKind::ChecksDiffer,
            key,
            "(path, healthy)",
        );
    }
    // The same change of both is drift, and no more.
    let cloud = account();
    for key in ["target-group/blue", "target-group/green"] {
        edit(&cloud, key, |resource| {
            let Resource::TargetGroup(group) = resource else {
                panic!()
            };
            group.health_check.path = "/elsewhere".to_owned();
        });
    }
    assert_eq!(dangers(&cloud, Options::default()), []);
}

#[test]
fn what_can_be_lost_or_opened() {
    let bucket = |change: fn(&mut ecspipe_provision::resource::Bucket)| {
        move |cloud: &Memory| {
            edit(cloud, "bucket/artifacts", |resource| {
                let Resource::Bucket(bucket) = resource else {
                    panic!()
                };
                change(bucket);
            });
        }
    };
    repaired(
        bucket(|bucket| bucket.versioning = false),
        DangerKind::VersioningOff,
        "bucket/artifacts",
        "keeps no versions",
    );
    repaired(
        bucket(|bucket| bucket.public_access_blocked = false),
        DangerKind::BucketOpen,
        "bucket/artifacts",
        "isn't blocked",
    );
    repaired(
        |cloud| {
            edit(cloud, "role/codebuild", |resource| {
                let Resource::Role(role) = resource else {
                    panic!()
                };
                role.trust = Policy::none();
            });
        },
        DangerKind::TrustChanged,
        "role/codebuild",
        "trust was changed by hand",
    );
    // A key that is made again has another ARN, which everything follows that names it.
    let (danger, _) = one(|cloud| remove(cloud, "encryption-key/main"));
    assert_eq!(
        (danger.kind, danger.remedy),
        (DangerKind::KeyGone, Remedy::Up)
    );
}

/// What a teardown that was interrupted has taken away endangers nobody: its first steps end the app.
#[test]
fn the_rest_of_a_teardown_is_no_danger() {
    let cloud = account();
    for key in ["deployment-group/main", "encryption-key/main"] {
        remove(&cloud, key);
    }
    assert_eq!(dangers(&cloud, Options::default()), []);
}

/// The gravest first.
#[test]
fn several_are_told_by_their_gravity() {
    let cloud = account();
    edit(&cloud, "bucket/artifacts", |resource| {
        let Resource::Bucket(bucket) = resource else {
            panic!()
        };
        bucket.versioning = false;
    });
    forward(&cloud, &[]);
    cloud.set_targets(&id(&cloud, "target-group/blue"), Targets::default());
    let dangers = dangers(&cloud, Options::default());
    let kinds: Vec<(DangerKind, Remedy)> = dangers
        .iter()
        .map(|danger| (danger.kind, danger.remedy))
        .collect();
    assert_eq!(
        kinds,
        [
            (DangerKind::NoForward, Remedy::HeldBack),
            (DangerKind::NoHealthyTarget, Remedy::Hand),
            (DangerKind::VersioningOff, Remedy::Up),
        ]
    );
}
