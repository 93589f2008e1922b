//! Acting: it refuses with a reason, does what was asked once, and goes back only to what was good.

use super::story::{Ending, Plot, all_to, at as when, definition, deployment, story, task_set};
use super::{secs, target};
use crate::act::{Rollback, Stopped, reroute, rollback, stop};
use crate::error::{DeployError, FailureKind};
use crate::event::Event;
use crate::follow::{FollowOptions, Id, Poll};
use crate::memory::{Effect, Memory, World};
use crate::rollout::{Phase, phase};
use crate::rollouts::{AfterStop, Rollouts as _, ServiceState};
use crate::snapshot::*;

/// The account at the first moment of a story at which its deployment is in this phase.
fn account(plot: Plot, at: &Phase) -> World {
    let told = story(plot);
    let is_there = |snapshot: &&Snapshot| {
        snapshot
            .deployment
            .as_ref()
            .is_some_and(|deployment| phase(deployment) == *at)
    };
    let mut world = World::default();
    world.show(told.iter().find(is_there).unwrap());
    world
}

fn at(phase: &Phase) -> Memory {
    Memory::new(account(Plot::new(Ending::Succeeds), phase))
}

fn working(name: &str) -> Phase {
    Phase::Working(Some(name.to_owned()))
}

async fn rerouted(memory: &Memory, finish: bool) -> Result<usize, String> {
    let options = FollowOptions {
        timeout: Some(secs(60)),
        ..FollowOptions::default()
    };
    let finish = finish.then_some(&options);
    let done = reroute(memory, &target(), &Id::InFlight, finish, &mut |_| {}).await;
    done.map(|done| done.ended.len())
        .map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn only_what_waits_is_continued() {
    let not = |state: &str| {
        Err(format!(
            "deployment d-1 is not waiting to be continued: {state}"
        ))
    };
    let moved = "production traffic has moved, the old tasks are kept for a while";
    let table = [
        (Phase::Starting, false, not("it has not started yet")),
        (working("Install"), false, not("it is at Install")),
        (working("Install"), true, not("it is at Install")),
        (Phase::Ready, false, Ok(1)),
        // The story stands still here: the second wait never begins within the time.
        (Phase::Ready, true, Ok(1)),
        (Phase::Shifting, false, not("production traffic is moving")),
        (Phase::Shifting, true, Ok(0)),
        (Phase::OldTasks, false, not(moved)),
        (Phase::OldTasks, true, Ok(1)),
    ];
    for (phase, finish, want) in table {
        assert_eq!(
            rerouted(&at(&phase), finish).await,
            want,
            "{phase:?}, finish: {finish}"
        );
    }
    let ended = at(&Phase::Succeeded);
    assert_eq!(
        rerouted(&ended, false).await,
        Err("no rollout is in flight".to_owned())
    );
    let id = Id::Deployment("d-1".to_owned());
    let error = reroute(&ended, &target(), &id, None, &mut |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "deployment d-1 is not waiting to be continued: it has succeeded"
    );
}

/// AWS.md §9 item 2: a deployment that AWS calls Succeeded while the old tasks are kept can still be finished.
#[tokio::test(start_paused = true)]
async fn an_early_success_can_be_finished() {
    let plot = Plot {
        early_success: true,
        ..Plot::new(Ending::Succeeds)
    };
    let memory = Memory::new(account(plot, &Phase::OldTasks));
    assert_eq!(rerouted(&memory, true).await, Ok(1));
    assert_eq!(memory.count("ContinueDeployment d-1 Termination"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_continuing_is_looked_after() {
    for (effect, calls) in [(Effect::Done, 1), (Effect::None, 2)] {
        let memory = at(&Phase::Ready);
        memory.fail("ContinueDeployment", 1, FailureKind::Lost, effect);
        assert_eq!(rerouted(&memory, false).await, Ok(1), "{effect:?}");
        assert_eq!(memory.count("ContinueDeployment"), calls, "{effect:?}");
    }
}

/// Two people reroute at once: the second is told that it goes on already.
#[tokio::test(start_paused = true)]
async fn the_second_to_continue_is_told() {
    let memory = at(&Phase::Ready);
    memory.fail("ContinueDeployment", 1, FailureKind::Conflict, Effect::None);
    memory.at(std::time::Duration::from_millis(500), |world| {
        world.deployment("d-1").unwrap().status = DeploymentStatus::InProgress;
    });
    let error = rerouted(&memory, false).await.unwrap_err();
    assert!(
        error.starts_with("deployment d-1 is not waiting to be continued: it is at"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_stopped_with_or_without_going_back() {
    for then in [AfterStop::RollBack, AfterStop::Leave] {
        let memory = at(&Phase::Ready);
        let stopped = stop(&memory, &target(), &Id::InFlight, then).await.unwrap();
        assert_eq!(
            stopped,
            Stopped::Deployment {
                deployment: "d-1".to_owned(),
                then,
                left: None
            }
        );
        assert_eq!(memory.count(&format!("StopDeployment d-1 {then:?}")), 1);
        assert_eq!(memory.count("StopPipelineExecution"), 0);
        let deployments = memory.world(|world| world.deployments.len());
        assert_eq!(deployments, if then == AfterStop::RollBack { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn before_there_is_a_deployment_the_pipeline_is_stopped() {
    let mut world = World::default();
    world.show(&story(Plot::new(Ending::Succeeds))[3]);
    let memory = Memory::new(world);
    let stopped = stop(&memory, &target(), &Id::InFlight, AfterStop::RollBack)
        .await
        .unwrap();
    assert_eq!(
        stopped,
        Stopped::Execution {
            execution: "execution".to_owned()
        }
    );
    let id = Id::Execution("execution".to_owned());
    let error = stop(&memory, &target(), &id, AfterStop::RollBack)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "pipeline execution execution has ended already (Stopped)"
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_stopped() {
    let memory = at(&Phase::Succeeded);
    memory.world(|world| world.executions[0].status = ExecutionStatus::Succeeded);
    let error = stop(&memory, &target(), &Id::InFlight, AfterStop::RollBack)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no rollout is in flight");
    let id = Id::Deployment("d-1".to_owned());
    let error = stop(&memory, &target(), &id, AfterStop::RollBack)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "deployment d-1 has ended already (Succeeded)"
    );
    assert_eq!(memory.count("StopDeployment"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_stopping_is_looked_after() {
    for effect in [Effect::Done, Effect::None] {
        let memory = at(&Phase::Ready);
        memory.fail("StopDeployment", 1, FailureKind::Lost, effect);
        stop(&memory, &target(), &Id::InFlight, AfterStop::Leave)
            .await
            .unwrap();
        let status = memory.world(|world| world.deployment("d-1").unwrap().status.clone());
        assert_eq!(status, DeploymentStatus::Stopped, "{effect:?}");
    }
}

// ---- rolling back ----

/// A deployment in the past: its id's number, what it rolled out, how it ended, its description.
fn past(id: &str, revision: u32, status: DeploymentStatus, description: &str) -> Deployment {
    Deployment {
        status,
        task_definition: Some(definition(revision)),
        description: Some(description.to_owned()),
        ..deployment(id, 0)
    }
}

fn history(live: u32, deployments: Vec<Deployment>) -> Memory {
    let service = ServiceState {
        status: "ACTIVE".to_owned(),
        created: None,
        desired: 2,
        running: 2,
        pending: 0,
        task_definition: Some(definition(1)),
        task_sets: vec![task_set(Label::Green, TaskSetStatus::Primary, 2, live)],
    };
    Memory::new(World {
        service: Some(service),
        deployments,
        ..World::default()
    })
}

async fn roll_back(memory: &Memory) -> Result<Rollback, DeployError> {
    let app_spec = |arn: &str| format!("TaskDefinition: {arn}");
    rollback(memory, &target(), &app_spec, Poll::default(), &mut |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn going_back_means_the_last_good_definition() {
    use DeploymentStatus::{Failed, Stopped as WasStopped, Succeeded};
    let ok = |id, revision| past(id, revision, Succeeded, "");
    let back = |id, revision, of: &str| {
        past(
            id,
            revision,
            Succeeded,
            &format!("ecspipe rollback of {of} to d-x"),
        )
    };
    let automatic = |id, revision| Deployment {
        creator: Some(ROLLBACK_CREATOR.to_owned()),
        ..past(id, revision, Succeeded, "")
    };
    // Oldest first; then the live revision, and the revision that is gone back to.
    let table = [
        (
            "the one before",
            vec![ok("d-a", 2), ok("d-b", 3)],
            3,
            Some(2),
        ),
        (
            "not the same one",
            vec![ok("d-a", 2), ok("d-b", 3), ok("d-c", 3)],
            3,
            Some(2),
        ),
        (
            "not a failed or stopped one",
            vec![
                ok("d-a", 2),
                past("d-b", 3, Failed, ""),
                past("d-c", 4, WasStopped, ""),
                ok("d-d", 5),
            ],
            5,
            Some(2),
        ),
        (
            "not the failed one that CodeDeploy rolled back by itself",
            vec![
                ok("d-a", 2),
                ok("d-b", 3),
                past("d-c", 4, Failed, ""),
                automatic("d-d", 3),
            ],
            3,
            Some(2),
        ),
        (
            "not what was rolled back from",
            vec![
                ok("d-a", 2),
                ok("d-b", 3),
                ok("d-c", 4),
                back("d-d", 3, "d-c"),
            ],
            3,
            Some(2),
        ),
        (
            "not what was rolled back from twice",
            vec![
                ok("d-a", 2),
                ok("d-b", 3),
                ok("d-c", 4),
                back("d-d", 3, "d-c"),
                back("d-e", 2, "d-d"),
            ],
            2,
            None,
        ),
        (
            "but what was deployed again since",
            vec![
                ok("d-a", 2),
                ok("d-b", 3),
                back("d-c", 2, "d-b"),
                ok("d-d", 3),
                ok("d-e", 4),
            ],
            4,
            Some(3),
        ),
        ("nothing at all", vec![], 1, None),
        ("nothing before the first", vec![ok("d-a", 2)], 2, None),
        (
            "the last one that succeeded, when something else is live",
            vec![ok("d-a", 2), ok("d-b", 3)],
            9,
            Some(3),
        ),
    ];
    for (what, deployments, live, want) in table {
        let memory = history(live, deployments);
        let done = roll_back(&memory).await;
        match (done, want) {
            (
                Ok(Rollback::Created {
                    deployment,
                    task_definition,
                    ..
                }),
                Some(want),
            ) => {
                assert_eq!(task_definition, definition(want), "{what}");
                let made = memory
                    .world(|world| world.deployment(&deployment).cloned())
                    .unwrap();
                assert_eq!(made.task_definition, Some(definition(want)), "{what}");
            }
            (Err(DeployError::NothingToRollBackTo { .. }), None) => {
                assert_eq!(memory.count("CreateDeployment"), 0, "{what}");
            }
            (done, want) => panic!("{what}: {done:?}, not {want:?}"),
        }
    }
}

/// The description that a rollback leaves is what the next one reads.
#[tokio::test(start_paused = true)]
async fn two_rollbacks_go_back_twice() {
    let ok = |id, revision| past(id, revision, DeploymentStatus::Succeeded, "");
    let memory = history(4, vec![ok("d-a", 2), ok("d-b", 3), ok("d-c", 4)]);
    for want in [3, 2] {
        let Ok(Rollback::Created {
            deployment,
            task_definition,
            ..
        }) = roll_back(&memory).await
        else {
            panic!("nothing created");
        };
        assert_eq!(task_definition, definition(want));
        memory.world(|world| {
            world.deployment(&deployment).unwrap().status = DeploymentStatus::Succeeded;
            world.service.as_mut().unwrap().task_sets =
                vec![task_set(Label::Green, TaskSetStatus::Primary, 2, want)];
        });
    }
    let error = roll_back(&memory).await.unwrap_err();
    assert!(
        matches!(error, DeployError::NothingToRollBackTo { .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_in_flight_is_stopped_and_taken_back() {
    for phase in [working("Install"), Phase::Ready, Phase::OldTasks] {
        let memory = at(&phase);
        let done = roll_back(&memory).await.unwrap();
        assert_eq!(
            done,
            Rollback::Stopped {
                deployment: "d-1".to_owned()
            },
            "{phase:?}"
        );
        assert_eq!(memory.count("StopDeployment d-1 RollBack"), 1, "{phase:?}");
        assert_eq!(memory.count("CreateDeployment"), 0, "{phase:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_in_flight_is_left_alone() {
    let automatic = Deployment {
        creator: Some(ROLLBACK_CREATOR.to_owned()),
        ..deployment("d-2", 0)
    };
    let ours = Deployment {
        description: Some("ecspipe rollback of d-1 to d-0".to_owned()),
        ..deployment("d-2", 0)
    };
    for rollback in [automatic, ours] {
        let memory = history(3, vec![rollback]);
        let error = roll_back(&memory).await.unwrap_err();
        assert!(
            matches!(&error, DeployError::InFlight { deployment, .. } if deployment == "d-2"),
            "{error:?}"
        );
        assert_eq!(memory.count("StopDeployment"), 0);
    }
}

/// What a deployment has left that was stopped in the middle of its shift.
fn half_way(memory: &Memory) {
    memory.world(|world| {
        let route = |group: &str, weight| Route {
            target_group: format!("web-{group}"),
            weight,
        };
        world.listeners = Listeners {
            production: vec![route("green", 90), route("blue", 10)],
            test: vec![route("blue", 1), route("green", 0)],
        };
        let service = world.service.as_mut().unwrap();
        service.task_sets[0].created = Some(when(0));
        let blue = task_set(Label::Blue, TaskSetStatus::Active, 2, 9);
        service.task_sets.push(TaskSet {
            created: Some(when(60)),
            ..blue
        });
    });
}

#[tokio::test(start_paused = true)]
async fn what_was_left_half_way_is_put_back_and_nothing_is_deployed() {
    let ok = |id, revision| past(id, revision, DeploymentStatus::Succeeded, "");
    let memory = history(3, vec![ok("d-a", 2), ok("d-b", 3)]);
    half_way(&memory);
    let Rollback::PutBack(left) = roll_back(&memory).await.unwrap() else {
        panic!("{:?}", memory.calls());
    };
    assert_eq!(left.target_group, "web-green");
    assert_eq!(left.production().map(<[Route]>::len), Some(2));
    let changed: Vec<String> = memory
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("Modify") || call.starts_with("Delete"))
        .collect();
    assert_eq!(
        changed,
        [
            "ModifyListener Production web-green",
            "ModifyListener Test web-green",
            "DeleteTaskSet ecs-svc/blue"
        ]
    );
    // Now it is in order, and going back means the version before.
    let again = roll_back(&memory).await.unwrap();
    assert!(
        matches!(&again, Rollback::Created { good, .. } if good == "d-a"),
        "{again:?}"
    );
}

/// What was stopped ten seconds ago and is left half way; `answer` is what CodeDeploy says of rolling it back.
async fn just_stopped(answer: Option<RollbackInfo>) -> Memory {
    let rollback = past("d-2", 2, DeploymentStatus::Failed, "");
    let stopped = Deployment {
        completed: Some(when(0)),
        rollback: answer,
        ..past("d-1", 3, DeploymentStatus::Stopped, "")
    };
    let memory = history(2, vec![rollback, stopped]);
    half_way(&memory);
    tokio::time::advance(secs(10)).await;
    memory
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_codedeploy_is_about_to_make_is_left_to_it() {
    let memory = just_stopped(None).await;
    memory.at(secs(22), |world| {
        world.deployments.push(Deployment {
            creator: Some(ROLLBACK_CREATOR.to_owned()),
            ..deployment("d-3", 22)
        });
    });
    let error = roll_back(&memory).await.unwrap_err();
    assert!(
        matches!(&error, DeployError::InFlight { deployment, .. } if deployment == "d-3"),
        "{error:?}"
    );
    assert_eq!(memory.count("ModifyListener"), 0);
}

#[tokio::test(start_paused = true)]
async fn where_codedeploy_rolls_nothing_back_it_is_put_back_after_its_time() {
    let says = |message: &str| RollbackInfo {
        message: Some(message.to_owned()),
        ..RollbackInfo::default()
    };
    let failed = RollbackInfo {
        rollback_deployment: Some("d-2".to_owned()),
        ..RollbackInfo::default()
    };
    let table = [
        (None, 30, 1),
        (Some(says("there is nothing to roll back to")), 10, 0),
        (Some(failed), 10, 0),
    ];
    for (answer, until, told) in table {
        let memory = just_stopped(answer.clone()).await;
        let mut events = Vec::new();
        let app_spec = |arn: &str| arn.to_owned();
        let done = rollback(
            &memory,
            &target(),
            &app_spec,
            Poll::default(),
            &mut |event| {
                events.push(event);
            },
        )
        .await
        .unwrap();
        assert!(matches!(done, Rollback::PutBack(_)), "{done:?}");
        assert_eq!(memory.now(), when(until), "{answer:?}");
        let waits = events
            .iter()
            .filter(|event| matches!(event, Event::WaitEntered { .. }));
        assert_eq!(waits.count(), told, "{answer:?}");
    }
}

/// Only where something is left half way is there anything to put back.
#[tokio::test(start_paused = true)]
async fn a_stop_says_what_it_leaves_half_way() {
    for (is_half_way, then, want) in [
        (true, AfterStop::Leave, true),
        (true, AfterStop::RollBack, false),
        (false, AfterStop::Leave, false),
    ] {
        let memory = history(2, vec![deployment("d-1", 0)]);
        if is_half_way {
            half_way(&memory);
        } else {
            memory.world(|world| world.listeners.production = all_to("web-green"));
        }
        let stopped = stop(&memory, &target(), &Id::InFlight, then).await.unwrap();
        let Stopped::Deployment { left, .. } = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(left.is_some(), want, "{is_half_way} {then:?}");
    }
}

/// A call that fails leaves the rest for the next try.
#[tokio::test(start_paused = true)]
async fn putting_back_goes_on_where_it_failed() {
    let memory = history(3, Vec::new());
    half_way(&memory);
    memory.fail("DeleteTaskSet", 1, FailureKind::Fault, Effect::None);
    assert!(roll_back(&memory).await.is_err());
    let Rollback::PutBack(left) = roll_back(&memory).await.unwrap() else {
        panic!("{:?}", memory.calls());
    };
    assert_eq!((left.astray.len(), left.task_sets.len()), (0, 1));
}

/// The new tasks were primary already: they are live, and the old ones are only kept.
#[tokio::test(start_paused = true)]
async fn old_tasks_that_are_kept_are_not_half_way() {
    let ok = |id, revision| past(id, revision, DeploymentStatus::Succeeded, "");
    let memory = history(3, vec![ok("d-a", 2), ok("d-b", 3)]);
    half_way(&memory);
    memory.world(|world| {
        world.listeners.production = all_to("web-green");
        world.service.as_mut().unwrap().task_sets[0].created = Some(when(120));
    });
    let back = roll_back(&memory).await.unwrap();
    assert!(matches!(back, Rollback::Created { .. }), "{back:?}");
}
