//! The loop: what it asks, when, for how long, and what it gives.

use std::time::Duration;

use tokio::time::Instant;

use super::story::{Ending, Plot, at, definition, deployment, story, succeeded, task_set};
use super::{secs, target};
use crate::error::{DeployError, FailureKind};
use crate::event::{Event, Part, Verdict, Wait};
use crate::follow::{FollowOptions, Id, WaitUntil, follow, follow_logs, logs, resolve};
use crate::memory::{Effect, Memory, World};
use crate::reason::{Cause, Reason};
use crate::rollouts::{AfterStop, LogEvent, LogQuery, Rollouts, ServiceState};
use crate::snapshot::*;

const EVERY: Duration = Duration::from_secs(10);

pub(super) fn world() -> World {
    let service = ServiceState {
        status: "ACTIVE".to_owned(),
        created: None,
        desired: 2,
        running: 2,
        pending: 0,
        task_definition: Some(definition(1)),
        task_sets: vec![task_set(Label::Blue, TaskSetStatus::Primary, 2, 1)],
    };
    World {
        service: Some(service),
        ..World::default()
    }
}

/// An account in which a story happens, from now on.
fn playing(plot: Plot) -> Memory {
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &story(plot));
    memory
}

fn execution() -> Id {
    Id::Execution("execution".to_owned())
}

async fn run(
    memory: &Memory,
    id: &Id,
    options: &FollowOptions,
) -> (Result<Verdict, DeployError>, Vec<Event>) {
    let mut events = Vec::new();
    let verdict = follow(memory, &target(), id, options, &mut |event| {
        events.push(event)
    })
    .await;
    (verdict, events)
}

async fn to_the_end(memory: &Memory, id: &Id) -> Verdict {
    let (verdict, events) = run(memory, id, &FollowOptions::default()).await;
    let verdict = verdict.unwrap();
    assert_eq!(
        events.last(),
        Some(&Event::Ended {
            reached: None,
            verdict: verdict.clone()
        })
    );
    verdict
}

/// The step of a story at which its deployment stands so.
fn step(told: &[Snapshot], is: impl Fn(&Verdict) -> bool) -> usize {
    told.iter()
        .position(|snapshot| is(&crate::rollout::verdict(snapshot)))
        .unwrap()
}

fn waits_for_old_tasks(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::StillRunning {
            waiting_for: Wait::OldTasks { .. },
            ..
        }
    )
}

fn waits_for_reroute(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::WaitingForHuman { .. })
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_followed_to_its_end() {
    let table = [
        (Ending::Succeeds, "Succeeded"),
        (Ending::FailsAndRollsBack, "RolledBack"),
        (Ending::FailsWithoutRollback, "Failed"),
        (Ending::FailsAndRollbackFails, "Failed"),
        (Ending::NobodyContinues, "Stopped"),
        (Ending::BuildFails, "Failed"),
        (Ending::Superseded, "Superseded"),
        (Ending::Cancelled, "Cancelled"),
    ];
    for (ending, want) in table {
        let verdict = to_the_end(&playing(Plot::new(ending)), &execution()).await;
        assert!(
            format!("{verdict:?}").starts_with(want),
            "{ending:?}: {verdict:?}"
        );
        if ending.in_deployment() {
            let plot = Plot {
                pipeline: false,
                ..Plot::new(ending)
            };
            let alone = to_the_end(&playing(plot), &Id::Deployment("d-1".to_owned())).await;
            assert_eq!(alone, verdict, "{ending:?} without a pipeline");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ready_ends_the_following_only_when_asked_for() {
    let memory = playing(Plot::new(Ending::Succeeds));
    let options = FollowOptions {
        until: WaitUntil::Ready,
        ..FollowOptions::default()
    };
    let (verdict, events) = run(&memory, &execution(), &options).await;
    let want = Wait::Reroute {
        deployment: "d-1".to_owned(),
    };
    match verdict.unwrap() {
        Verdict::WaitingForHuman {
            waiting_for,
            deployment,
            until,
        } => {
            assert_eq!(waiting_for, want);
            assert_eq!(deployment.as_deref(), Some("d-1"));
            assert!(until.is_some());
        }
        other => panic!("{other:?}"),
    }
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::WaitEntered { wait, .. } if *wait == want))
    );
    assert_eq!(to_the_end(&memory, &execution()).await, succeeded());
}

/// The tutorial: follow to Ready, reroute, follow to the end.
#[tokio::test(start_paused = true)]
async fn a_person_reroutes_and_it_goes_on() {
    let told = story(Plot::new(Ending::Succeeds));
    let ready = step(&told, waits_for_reroute);
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    memory.play_on("ContinueDeployment", EVERY, &told[ready + 1..]);
    let options = FollowOptions {
        until: WaitUntil::Ready,
        ..FollowOptions::default()
    };
    assert!(waits_for_reroute(
        &run(&memory, &execution(), &options).await.0.unwrap()
    ));
    let rerouted = crate::reroute(&memory, &target(), &Id::InFlight, None, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(rerouted.deployment, "d-1");
    assert_eq!(to_the_end(&memory, &execution()).await, succeeded());
    assert_eq!(memory.count("ContinueDeployment"), 1);
}

#[tokio::test(start_paused = true)]
async fn finishing_ends_both_waits() {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    let (ready, old_tasks) = (
        step(&told, waits_for_reroute),
        step(&told, waits_for_old_tasks),
    );
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    memory.play_on("ContinueDeployment", EVERY, &told[ready + 1..=old_tasks]);
    memory.play_on("ContinueDeployment", EVERY, &told[old_tasks + 1..]);
    tokio::time::advance(EVERY * u32::try_from(ready + 1).unwrap()).await;
    let options = FollowOptions::default();
    crate::reroute(
        &memory,
        &target(),
        &Id::InFlight,
        Some(&options),
        &mut |_| {},
    )
    .await
    .unwrap();
    let continued: Vec<_> = memory
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("Continue"))
        .collect();
    assert_eq!(
        continued,
        [
            "ContinueDeployment d-1 Ready",
            "ContinueDeployment d-1 Termination"
        ]
    );
    assert_eq!(
        to_the_end(&memory, &Id::Deployment("d-1".to_owned())).await,
        succeeded()
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_over_it_says_how_it_stands() {
    let told = story(Plot::new(Ending::Succeeds));
    let ready = step(&told, waits_for_reroute);
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    let options = |seconds| FollowOptions {
        timeout: Some(secs(seconds)),
        ..FollowOptions::default()
    };
    let start = Instant::now();
    let (verdict, _) = run(&memory, &execution(), &options(47)).await;
    assert!(matches!(verdict.unwrap(), Verdict::StillRunning { .. }));
    assert_eq!(start.elapsed(), secs(47));
    let (verdict, _) = run(&memory, &execution(), &options(3600)).await;
    assert!(waits_for_reroute(&verdict.unwrap()));
    assert_eq!(start.elapsed(), secs(47 + 3600));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_hangs_does_not_outlive_the_time() {
    let memory = playing(Plot::new(Ending::Succeeds));
    memory.fail("GetPipelineExecution", 1, FailureKind::Lost, Effect::Hang);
    let start = Instant::now();
    let options = FollowOptions {
        timeout: Some(secs(20)),
        ..FollowOptions::default()
    };
    let (verdict, _) = run(&memory, &execution(), &options).await;
    assert!(matches!(verdict.unwrap(), Verdict::StillRunning { .. }));
    assert_eq!(start.elapsed(), secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_rollback_is_followed_through_the_rollback() {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    let ready = step(&told, waits_for_reroute);
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    tokio::time::advance(EVERY * u32::try_from(ready + 1).unwrap()).await;
    crate::stop(&memory, &target(), &Id::InFlight, AfterStop::RollBack)
        .await
        .unwrap();
    memory.at(EVERY * u32::try_from(ready + 8).unwrap(), |world| {
        world.deployments.last_mut().unwrap().status = DeploymentStatus::Succeeded;
    });
    match to_the_end(&memory, &Id::Deployment("d-1".to_owned())).await {
        Verdict::RolledBack { why, .. } => {
            assert_eq!(why.what, "Deployment stopped by user. (MANUAL_STOP)")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_rollback_ends_as_stopped() {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    let ready = step(&told, waits_for_reroute);
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    tokio::time::advance(EVERY * u32::try_from(ready + 1).unwrap()).await;
    crate::stop(&memory, &target(), &Id::InFlight, AfterStop::Leave)
        .await
        .unwrap();
    let verdict = to_the_end(&memory, &Id::Deployment("d-1".to_owned())).await;
    assert_eq!(
        verdict,
        Verdict::Stopped {
            why: Reason {
                cause: Cause::Stopped,
                what: "Deployment stopped by user. (MANUAL_STOP)".to_owned(),
                details: Vec::new(),
                log: Vec::new(),
                next: None,
            }
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_tolerated_and_said_once() {
    // Two minutes are 24 polls without backing off.
    let memory = playing(Plot::new(Ending::Succeeds));
    memory.fail_between(secs(30), secs(150), FailureKind::Lost);
    let (verdict, events) = run(&memory, &execution(), &FollowOptions::default()).await;
    assert_eq!(verdict.unwrap(), succeeded());
    let failed: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, Event::PollFailed { .. }))
        .collect();
    assert!(
        matches!(
            failed[..],
            [Event::PollFailed {
                tolerated_seconds: 300,
                ..
            }]
        ),
        "{failed:?}"
    );
    let recovered = events
        .iter()
        .filter(|event| matches!(event, Event::PollRecovered { failures: 5..=12 }))
        .count();
    assert_eq!(recovered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_for_too_long_is_an_error() {
    let memory = playing(Plot::new(Ending::Succeeds));
    memory.fail_between(secs(30), secs(3600), FailureKind::Throttled);
    let start = Instant::now();
    let options = FollowOptions {
        tolerate: secs(60),
        ..FollowOptions::default()
    };
    let error = run(&memory, &execution(), &options).await.0.unwrap_err();
    assert!(
        matches!(&error, DeployError::Cloud(failure) if failure.kind == FailureKind::Throttled),
        "{error:?}"
    );
    assert!(
        (secs(90)..secs(120)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_expired_login_is_an_error_at_once() {
    let memory = playing(Plot::new(Ending::Succeeds));
    memory.fail_between(secs(30), secs(3600), FailureKind::Access);
    let start = Instant::now();
    let error = run(&memory, &execution(), &FollowOptions::default())
        .await
        .0
        .unwrap_err();
    assert!(error.is_access());
    assert!(start.elapsed() <= secs(45), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_is_said_once_and_done_without() {
    let memory = playing(Plot::new(Ending::Succeeds));
    for operation in ["DescribeListeners", "GetDeploymentGroup"] {
        memory.fail(operation, u32::MAX, FailureKind::Access, Effect::None);
    }
    let (verdict, events) = run(&memory, &execution(), &FollowOptions::default()).await;
    assert_eq!(verdict.unwrap(), succeeded());
    let mut limited: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::ViewLimited { part, .. } => Some(*part),
            _ => None,
        })
        .collect();
    limited.sort();
    assert_eq!(limited, [Part::Settings, Part::Listeners]);
}

#[tokio::test(start_paused = true)]
async fn what_was_just_made_may_appear_late() {
    let memory = Memory::new(world());
    memory.play(secs(12), EVERY, &story(Plot::new(Ending::BuildFails)));
    assert!(matches!(
        to_the_end(&memory, &execution()).await,
        Verdict::Failed { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_said_to() {
    let memory = Memory::new(world());
    let table = [
        (execution(), "pipeline execution execution not found"),
        (Id::Deployment("d-9".to_owned()), "deployment d-9 not found"),
        (Id::InFlight, "no rollout is in flight"),
        (Id::Latest, "rollout not found"),
    ];
    for (id, want) in table {
        let start = Instant::now();
        let error = run(&memory, &id, &FollowOptions::default())
            .await
            .0
            .unwrap_err();
        assert_eq!(error.to_string(), want);
        let patient = matches!(id, Id::Execution(_) | Id::Deployment(_));
        assert_eq!(start.elapsed() >= secs(20), patient, "{id:?}");
    }
}

/// Detaching is dropping the future: nothing is stopped, and attaching again goes on.
#[tokio::test(start_paused = true)]
async fn dropping_it_detaches() {
    let memory = playing(Plot::new(Ending::Succeeds));
    let detached = tokio::time::timeout(
        secs(65),
        run(&memory, &execution(), &FollowOptions::default()),
    )
    .await;
    assert!(detached.is_err());
    assert_eq!(
        memory.count("StopDeployment") + memory.count("StopPipelineExecution"),
        0
    );
    assert_eq!(to_the_end(&memory, &Id::InFlight).await, succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_hour_is_asked_for_rarely() {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    let ready = step(&told, waits_for_reroute);
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[ready..=ready]);
    let options = FollowOptions {
        timeout: Some(secs(3600)),
        ..FollowOptions::default()
    };
    run(&memory, &Id::Deployment("d-1".to_owned()), &options)
        .await
        .0
        .unwrap();
    let polls = memory.count("GetDeployment d-1");
    assert!((200..=260).contains(&polls), "{polls}");
    assert_eq!(memory.count("GetDeploymentGroup"), 1);
}

/// As long as the action doesn't name its deployment, the one in flight that is younger than the action is it.
#[tokio::test(start_paused = true)]
async fn a_deployment_without_a_link_is_found() {
    let mut told = story(Plot::new(Ending::Succeeds));
    for snapshot in &mut told {
        for stage in &mut snapshot.execution.as_mut().unwrap().stages {
            stage
                .actions
                .iter_mut()
                .for_each(|action| action.external_id = None);
        }
    }
    let memory = Memory::new(world());
    memory.world(|world| {
        let mut other = deployment("d-0", 10);
        other.status = DeploymentStatus::InProgress;
        world.deployments.push(other);
    });
    memory.play(Duration::ZERO, EVERY, &told);
    let (verdict, events) = run(&memory, &execution(), &FollowOptions::default()).await;
    assert_eq!(verdict.unwrap(), succeeded());
    let found: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::DeploymentFound { deployment, .. } => Some(deployment.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(found, ["d-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_task_sets_get_their_definitions_from_the_service() {
    let mut told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    for snapshot in &mut told {
        let sets = &mut snapshot.deployment.as_mut().unwrap().task_sets;
        sets.iter_mut().for_each(|set| set.task_definition = None);
    }
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told);
    let (_, events) = run(
        &memory,
        &Id::Deployment("d-1".to_owned()),
        &FollowOptions::default(),
    )
    .await;
    let blue = events.iter().find_map(|event| match event {
        Event::TaskSetChanged {
            label: Some(Label::Blue),
            task_definition,
            ..
        } => task_definition.clone(),
        _ => None,
    });
    assert_eq!(blue, Some(definition(1)));
}

#[tokio::test(start_paused = true)]
async fn ids_are_resolved_to_what_is_running() {
    let told = story(Plot::new(Ending::Succeeds));
    let ready = told[step(&told, waits_for_reroute)].clone();
    let last = told.last().unwrap().clone();
    let alone = Snapshot {
        execution: None,
        ..ready.clone()
    };
    let queued = |snapshot: &Snapshot| {
        let mut queued = snapshot.execution.clone().unwrap();
        (queued.id, queued.status, queued.started) = (
            "queued".to_owned(),
            ExecutionStatus::InProgress,
            Some(at(9_000)),
        );
        queued.stages.clear();
        queued
    };
    let newer = |status: DeploymentStatus| {
        let mut newer = deployment("d-9", 9_500);
        newer.status = status;
        newer
    };
    let made =
        |snapshots: &[&Snapshot], executions: Vec<Execution>, deployments: Vec<Deployment>| {
            let mut made = world();
            snapshots.iter().for_each(|snapshot| made.show(snapshot));
            made.executions.extend(executions);
            made.deployments.extend(deployments);
            made
        };
    let rollback = |of: &str, status| Deployment {
        creator: Some(ROLLBACK_CREATOR.to_owned()),
        rollback: Some(RollbackInfo {
            triggering_deployment: Some(of.to_owned()),
            ..RollbackInfo::default()
        }),
        ..newer(status)
    };
    let failed = Deployment {
        status: DeploymentStatus::Failed,
        ..deployment("d-8", 9_400)
    };
    let execution = |id: &str| Some(Id::Execution(id.to_owned()));
    let deployment = |id: &str| Some(Id::Deployment(id.to_owned()));
    let table = [
        ("nothing", made(&[], vec![], vec![]), None, None),
        (
            "a pipeline's",
            made(&[&ready], vec![], vec![]),
            execution("execution"),
            execution("execution"),
        ),
        (
            "a pipeline's, and one in the queue",
            made(&[&ready], vec![queued(&ready)], vec![]),
            execution("execution"),
            execution("execution"),
        ),
        (
            "one without a pipeline",
            made(&[&alone], vec![], vec![]),
            deployment("d-1"),
            deployment("d-1"),
        ),
        (
            "an ended one",
            made(&[&last], vec![], vec![]),
            None,
            execution("execution"),
        ),
        (
            "an ended one, and a newer one without a pipeline",
            made(&[&last], vec![], vec![newer(DeploymentStatus::Succeeded)]),
            None,
            deployment("d-9"),
        ),
        (
            "an ended one, and a newer one in flight",
            made(&[&last], vec![], vec![newer(DeploymentStatus::InProgress)]),
            deployment("d-9"),
            deployment("d-9"),
        ),
        (
            "an ended one without a pipeline, and an execution that failed beside it",
            made(
                &[&last],
                vec![Execution {
                    status: ExecutionStatus::Failed,
                    started: Some(at(9_600)),
                    ..queued(&last)
                }],
                vec![Deployment {
                    completed: Some(at(9_900)),
                    ..newer(DeploymentStatus::Succeeded)
                }],
            ),
            None,
            deployment("d-9"),
        ),
        (
            "CodeDeploy's own that takes one back",
            made(
                &[],
                vec![],
                vec![
                    failed.clone(),
                    rollback("d-8", DeploymentStatus::InProgress),
                ],
            ),
            deployment("d-8"),
            deployment("d-8"),
        ),
        (
            "CodeDeploy's own that has taken one back",
            made(
                &[],
                vec![],
                vec![failed, rollback("d-8", DeploymentStatus::Succeeded)],
            ),
            None,
            deployment("d-8"),
        ),
        (
            "CodeDeploy's own that takes a pipeline's back",
            made(
                &[&last],
                vec![],
                vec![rollback("d-1", DeploymentStatus::InProgress)],
            ),
            execution("execution"),
            execution("execution"),
        ),
        (
            "CodeDeploy's own that has taken a pipeline's back",
            made(
                &[&last],
                vec![],
                vec![rollback("d-1", DeploymentStatus::Succeeded)],
            ),
            None,
            execution("execution"),
        ),
        (
            "only the queue",
            made(&[&last], vec![queued(&last)], vec![]),
            execution("queued"),
            execution("queued"),
        ),
    ];
    for (what, world, in_flight, latest) in table {
        let memory = Memory::new(world);
        assert_eq!(
            resolve(&memory, &target(), &Id::InFlight).await.unwrap(),
            in_flight,
            "{what}, in flight"
        );
        assert_eq!(
            resolve(&memory, &target(), &Id::Latest).await.unwrap(),
            latest,
            "{what}, latest"
        );
    }
}

#[test]
fn typed_ids_are_told_apart() {
    assert_eq!(Id::parse("d-ABC123"), Id::Deployment("d-ABC123".to_owned()));
    let execution = "0b2c1f6e-5a0e-4f9e-9a53-0d6c5b7f1a11";
    assert_eq!(Id::parse(execution), Id::Execution(execution.to_owned()));
}

fn line(number: u64, second: i64) -> LogEvent {
    LogEvent {
        id: format!("{number:03}"),
        at: at(second),
        stream: "web/web/task".to_owned(),
        message: format!("line {number}"),
    }
}

#[tokio::test(start_paused = true)]
async fn logs_are_read_page_by_page() {
    let memory = Memory::new(World {
        log: (0..7)
            .map(|number| line(number, i64::try_from(number).unwrap()))
            .collect(),
        log_page: 3,
        ..world()
    });
    let ids = |events: Vec<LogEvent>| events.into_iter().map(|event| event.id).collect::<Vec<_>>();
    let all = logs(&memory, &target(), &LogQuery::default())
        .await
        .unwrap();
    assert_eq!(ids(all), ["000", "001", "002", "003", "004", "005", "006"]);
    let query = LogQuery {
        since: Some(at(2)),
        limit: Some(2),
        ..LogQuery::default()
    };
    assert_eq!(
        ids(logs(&memory, &target(), &query).await.unwrap()),
        ["002", "003"]
    );
}

/// Also when a line shows up late, and when the connection is lost for a while.
#[tokio::test(start_paused = true)]
async fn followed_logs_give_every_line_once() {
    let memory = Memory::new(World {
        log: vec![line(1, 100), line(2, 104)],
        ..world()
    });
    memory.at(secs(20), |world| {
        world.log = vec![line(1, 100), line(3, 99), line(2, 104), line(4, 110)]
    });
    memory.at(secs(200), |world| world.log.push(line(5, 250)));
    memory.fail_between(secs(60), secs(120), FailureKind::Lost);
    let mut seen = Vec::new();
    let options = FollowOptions::default();
    let (target, query) = (target(), LogQuery::default());
    let mut on_line = |event: LogEvent| seen.push(event.message);
    let following = follow_logs(&memory, &target, &query, &options, &mut on_line);
    assert!(tokio::time::timeout(secs(400), following).await.is_err());
    assert_eq!(seen, ["line 1", "line 2", "line 3", "line 4", "line 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_shows_what_serves_and_what_is_in_flight() {
    let told = story(Plot {
        canary: true,
        ..Plot::new(Ending::Succeeds)
    });
    let split = told
        .iter()
        .position(|snapshot| snapshot.listeners.as_ref().unwrap().production.len() == 2);
    let mut made = world();
    made.show(&told[split.unwrap()]);
    made.images.insert(definition(1), "httpd:2.4.58".to_owned());
    let memory = Memory::new(made);
    let status = crate::status(&memory, &target()).await.unwrap();
    assert_eq!(status.live.image.as_deref(), Some("httpd:2.4.58"));
    assert_eq!(status.live.target_group.as_deref(), Some("web-blue"));
    assert_eq!(status.listeners.unwrap().test[0].target_group, "web-green");
    let in_flight = status.in_flight.unwrap();
    assert_eq!(in_flight.execution.unwrap().id, "execution");
    assert_eq!(in_flight.percent, Some(10));
    assert!(matches!(
        in_flight.verdict,
        Verdict::StillRunning {
            waiting_for: Wait::Traffic { .. },
            until: Some(_)
        }
    ));
    assert_eq!(status.deployments[0].id, "d-1");
    assert!(Rollouts::now(&memory) <= at(1));
}

#[tokio::test(start_paused = true)]
async fn a_status_without_any_rollout_is_one_too() {
    let mut made = world();
    made.service.as_mut().unwrap().task_sets.clear();
    let status = crate::status(&Memory::new(made), &target()).await.unwrap();
    assert_eq!(status.live.task_definition, Some(definition(1)));
    assert_eq!(status.in_flight, None);
}

/// Statuses that AWS may add one day are shown as they are, and whoever follows goes on to the end that it knows.
#[tokio::test(start_paused = true)]
async fn unknown_statuses_are_shown_and_followed_through() {
    for ending in [Ending::Succeeds, Ending::FailsAndRollsBack] {
        let mut told = story(Plot::new(ending));
        let last = told.len() - 1;
        for snapshot in &mut told[..last] {
            if let Some(execution) = &mut snapshot.execution {
                execution.status = ExecutionStatus::Other("Pondering".to_owned());
            }
            if let Some(deployment) = &mut snapshot.deployment {
                deployment.status = DeploymentStatus::Other("Baking".to_owned());
            }
        }
        let end = to_the_end(&playing(Plot::new(ending)), &execution()).await;
        let memory = Memory::new(world());
        memory.play(Duration::ZERO, EVERY, &told);
        let (verdict, events) = run(&memory, &execution(), &FollowOptions::default()).await;
        assert_eq!(verdict.unwrap(), end);
        let count =
            |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
        let pondering = count(
            &|event| matches!(event, Event::ExecutionChanged { status, .. } if status.as_str() == "Pondering"),
        );
        let baking = count(
            &|event| matches!(event, Event::DeploymentChanged { status, .. } if status.as_str() == "Baking"),
        );
        assert_eq!((pondering, baking), (1, 1), "{ending:?}");
    }
}
