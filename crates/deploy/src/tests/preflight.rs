//! Everything that stands in the way of a rollout, at once.

use std::time::Duration;

use super::follow::world;
use super::story::{all_to, at, deployment, task_set};
use super::target;
use crate::error::DeployError;
use crate::follow::Poll;
use crate::memory::{Memory, World};
use crate::preflight::{Intent, preflight, queue};
use crate::rollouts::{ImageState, StoredBundle};
use crate::snapshot::*;

/// An app whose production is in order.
fn sound() -> World {
    let healthy = Health {
        healthy: 2,
        total: 2,
        failing: Vec::new(),
    };
    let settings = GroupSettings {
        ready_wait_minutes: None,
        termination_wait_minutes: 5,
        routing: None,
        rollback_events: Vec::new(),
        alarms: vec!["slow".to_owned()],
    };
    World {
        listeners: Listeners {
            production: all_to("web-blue"),
            test: all_to("web-blue"),
        },
        health: [("web-blue".to_owned(), healthy)].into(),
        settings: Some(settings),
        ..world()
    }
}

fn intent() -> Intent<'static> {
    Intent {
        architecture: "amd64",
        ..Intent::default()
    }
}

/// What is in the way after `change`: one line each; nothing without a way out.
async fn in_the_way(change: impl FnOnce(&mut World), intent: Intent<'_>) -> Vec<String> {
    let mut world = sound();
    change(&mut world);
    let memory = Memory::new(world);
    match preflight(&memory, &target(), &intent).await {
        Ok(_) => Vec::new(),
        Err(DeployError::Obstructed(obstacles)) => obstacles
            .into_iter()
            .map(|obstacle| {
                assert!(!obstacle.next.is_empty(), "{obstacle:?}");
                obstacle.what
            })
            .collect(),
        Err(other) => vec![other.to_string()],
    }
}

fn running() -> Deployment {
    Deployment {
        status: DeploymentStatus::InProgress,
        ..deployment("d-9", 1)
    }
}

fn sick(failing: bool) -> impl FnOnce(&mut World) {
    move |world| {
        let target = FailingTarget {
            target: "10.0.0.7:80".to_owned(),
            reason: "Target.Timeout".to_owned(),
            description: Some("Request timed out".to_owned()),
        };
        let health = Health {
            healthy: 0,
            total: 1,
            failing: if failing { vec![target] } else { Vec::new() },
        };
        world.health.insert("web-blue".to_owned(), health);
    }
}

fn alarming(world: &mut World) {
    world.alarms.push(Alarm {
        name: "slow".to_owned(),
        state: AlarmState::Alarm,
        reason: Some("Threshold Crossed: 1.2".to_owned()),
        since: None,
    });
}

#[tokio::test(start_paused = true)]
async fn a_sound_app_has_nothing_in_the_way() {
    assert_eq!(in_the_way(|_| {}, intent()).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_obstacle_is_named() {
    let split = |world: &mut World| {
        world.listeners.production = vec![
            Route {
                target_group: "web-blue".to_owned(),
                weight: 90,
            },
            Route {
                target_group: "web-green".to_owned(),
                weight: 10,
            },
        ];
    };
    let table: Vec<(Vec<String>, &str)> = vec![
        (
            in_the_way(|world| world.deployments.push(running()), intent()).await,
            "deployment d-9 is in flight (InProgress)",
        ),
        (
            in_the_way(
                |world| world.listeners.production = all_to("web-green"),
                intent(),
            )
            .await,
            "production goes to web-green, but the service's primary tasks are in web-blue",
        ),
        (
            in_the_way(split, intent()).await,
            "production is split although nothing is in flight: web-blue 90 %, web-green 10 %",
        ),
        (
            in_the_way(sick(true), intent()).await,
            "production has no healthy target: 10.0.0.7:80: Request timed out",
        ),
        (
            in_the_way(alarming, intent()).await,
            "alarm slow fires already: Threshold Crossed: 1.2",
        ),
        (
            in_the_way(
                |world| world.service.as_mut().unwrap().status = "DRAINING".to_owned(),
                intent(),
            )
            .await,
            "service web is DRAINING",
        ),
    ];
    for (have, want) in table {
        assert_eq!(have, [want]);
    }
}

#[tokio::test(start_paused = true)]
async fn images_and_roles_are_looked_for() {
    let state = |state: ImageState| {
        move |world: &mut World| {
            world.image_states.insert("web:2".to_owned(), state);
        }
    };
    let found = |names: &[&str]| ImageState::Found {
        architectures: names.iter().map(ToString::to_string).collect(),
    };
    let with_image = Intent {
        image: Some("web:2"),
        ..intent()
    };
    for (have, want) in [
        (state(ImageState::Missing), "there is no image web:2"),
        (
            state(found(&["arm64"])),
            "image web:2 is for arm64, the tasks ask for amd64",
        ),
    ] {
        assert_eq!(in_the_way(have, with_image).await, [want]);
    }
    for fine in [found(&[]), found(&["amd64", "arm64"])] {
        assert_eq!(in_the_way(state(fine), with_image).await, [""; 0]);
    }
    let mut world = sound();
    let unread = ImageState::Unread("nobody answers".to_owned());
    world.image_states.insert("web:2".to_owned(), unread);
    let said = preflight(&Memory::new(world), &target(), &with_image).await;
    let want = "whether image web:2 is for amd64 is not checked: nobody answers";
    assert_eq!(said.unwrap(), [want]);
    let mut world = sound();
    world.service.as_mut().unwrap().desired = 0;
    let said = preflight(&Memory::new(world), &target(), &intent())
        .await
        .unwrap();
    assert!(said[0].contains("the service wants no task"), "{said:?}");
    let roles = ["web-task".to_owned(), "web-execution".to_owned()];
    let with_roles = Intent {
        roles: &roles,
        ..intent()
    };
    let have = in_the_way(
        |world| {
            world.missing_roles.insert("web-task".to_owned());
        },
        with_roles,
    )
    .await;
    assert_eq!(have, ["there is no role web-task"]);
}

#[tokio::test(start_paused = true)]
async fn everything_is_said_at_once() {
    let roles = ["web-task".to_owned()];
    let intent = Intent {
        roles: &roles,
        image: Some("web:2"),
        ..intent()
    };
    let have = in_the_way(
        |world| {
            sick(true)(world);
            alarming(world);
            world
                .image_states
                .insert("web:2".to_owned(), ImageState::Missing);
            world.missing_roles.insert("web-task".to_owned());
            world.listeners.production = all_to("web-green");
        },
        intent,
    )
    .await;
    assert_eq!(have.len(), 4, "{have:?}");
    let forced = Intent {
        force: true,
        ..intent
    };
    let have = in_the_way(
        |world| {
            sick(true)(world);
            alarming(world);
        },
        Intent {
            image: None,
            roles: &[],
            ..forced
        },
    )
    .await;
    assert_eq!(have, [""; 0], "what may be tried all the same");
}

/// Targets that have only begun, a service of no tasks, a rollout that is joined or replaced: none is in the way.
#[tokio::test(start_paused = true)]
async fn what_is_only_on_its_way_is_no_obstacle() {
    assert_eq!(in_the_way(sick(false), intent()).await, [""; 0]);
    let unregistered = |running: i64| {
        move |world: &mut World| {
            world
                .health
                .insert("web-blue".to_owned(), Health::default());
            let service = world.service.as_mut().unwrap();
            (service.running, service.pending) = (running, 0);
        }
    };
    assert_eq!(in_the_way(unregistered(2), intent()).await, [""; 0]);
    let young = |world: &mut World| {
        unregistered(0)(world);
        world.service.as_mut().unwrap().created = Some(at(0));
    };
    assert_eq!(in_the_way(young, intent()).await, [""; 0]);
    let nothing = in_the_way(unregistered(0), intent()).await;
    assert_eq!(
        nothing,
        ["production has no healthy target: no task is registered"]
    );
    let none = |world: &mut World| {
        sick(true)(world);
        world.service.as_mut().unwrap().desired = 0;
    };
    assert_eq!(in_the_way(none, intent()).await, [""; 0]);
    let back = Intent {
        goes_back: true,
        ..intent()
    };
    let in_flight = |world: &mut World| {
        world.deployments.push(running());
        world.listeners.production = all_to("web-green");
        let service = world.service.as_mut().unwrap();
        service
            .task_sets
            .push(task_set(Label::Green, TaskSetStatus::Active, 2, 2));
    };
    assert_eq!(in_the_way(in_flight, back).await, [""; 0]);
    let same = |world: &mut World| {
        world.deployments.push(running());
        world.bundle = Some(StoredBundle {
            version: "v1".to_owned(),
            sha256: Some("abc".to_owned()),
        });
        world.executions.push(Execution {
            id: "execution".to_owned(),
            status: ExecutionStatus::InProgress,
            status_summary: None,
            trigger: None,
            started: None,
            revisions: vec![Revision {
                action: "Bundle".to_owned(),
                id: "v1".to_owned(),
                summary: None,
                url: None,
            }],
            stages: Vec::new(),
        });
    };
    let joins = |sha256| Intent {
        bundle: Some(sha256),
        ..intent()
    };
    assert_eq!(in_the_way(same, joins("abc")).await, [""; 0]);
    assert_eq!(in_the_way(same, joins("def")).await.len(), 1);
}

/// Whoever goes back puts it in order, and needs healthy tasks where production is led back to, not where it goes.
#[tokio::test(start_paused = true)]
async fn what_is_left_half_way_is_no_obstacle_for_going_back() {
    let back = Intent {
        goes_back: true,
        ..intent()
    };
    let astray = |world: &mut World| world.listeners.production = all_to("web-green");
    assert_eq!(in_the_way(astray, back).await, [""; 0]);
    let to_the_sick = |world: &mut World| {
        sick(true)(world);
        astray(world);
        let healthy = world.health["web-blue"].clone();
        let healthy = Health {
            healthy: 2,
            failing: Vec::new(),
            ..healthy
        };
        world.health.insert("web-green".to_owned(), healthy);
    };
    assert_eq!(
        in_the_way(to_the_sick, back).await,
        ["production has no healthy target: 10.0.0.7:80: Request timed out"]
    );
    let forced = Intent {
        force: true,
        ..back
    };
    assert_eq!(in_the_way(to_the_sick, forced).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_ends_with_the_deployment_in_flight() {
    let mut world = sound();
    world.deployments.push(running());
    let memory = Memory::new(world);
    memory.at(Duration::from_secs(100), |world| {
        world.deployment("d-9").unwrap().status = DeploymentStatus::Succeeded;
    });
    let start = tokio::time::Instant::now();
    let mut told = 0;
    queue(&memory, &target(), Poll::default(), &mut |_| told += 1)
        .await
        .unwrap();
    assert_eq!(told, 1);
    assert!(start.elapsed() >= Duration::from_secs(100));
    assert!(start.elapsed() <= Duration::from_secs(120));
}
