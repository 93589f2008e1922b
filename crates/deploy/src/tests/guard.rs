//! What whoever follows does by itself: stops what keeps failing, checks at Ready, and never fights with another.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use ecspipe_spec::{Check, Span};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::follow::world;
use super::reason::stopped;
use super::story::{Ending, Plot, story, succeeded};
use super::target;
use crate::error::FailureKind;
use crate::event::{Event, LogSource, Point, Verdict, Wait};
use crate::follow::{FollowOptions, Followed, Id, WaitUntil, follow_guarded};
use crate::guard::{Checks, Guard, Page, Prober};
use crate::memory::{Effect, Memory, World};
use crate::reason::Cause;
use crate::snapshot::*;

const EVERY: Duration = Duration::from_secs(10);
/// When the rollout of [`at_ready`] comes to Ready.
const READY_AT: Duration = Duration::from_secs(110);

/// Answers from a script; the last one for ever.
struct Script(Mutex<VecDeque<Result<Page, String>>>);

impl Script {
    fn new(answers: &[Result<(u16, &str), &str>]) -> Self {
        let page = |(status, body): (u16, &str)| Page {
            status,
            body: body.to_owned(),
        };
        let answers = answers
            .iter()
            .map(|answer| answer.map(page).map_err(str::to_owned));
        Self(Mutex::new(answers.collect()))
    }
}

impl Prober for Script {
    fn url(&self) -> &str {
        "http://web.test:8080"
    }

    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Page, String>> {
        let mut answers = self.0.lock().unwrap();
        let answer = match answers.len() {
            1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        async move { answer.unwrap() }.boxed()
    }
}

fn check(times: u32) -> Check {
    Check {
        path: "/health".to_owned(),
        status: "200".to_owned(),
        contains: Some("ok".to_owned()),
        times,
        within: Span::parse("1m").unwrap(),
    }
}

/// A rollout that waits at Ready, and goes on to its end once it is continued.
fn at_ready() -> Memory {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    });
    let is_ready = |snapshot: &Snapshot| {
        snapshot.deployment.as_ref().unwrap().status == DeploymentStatus::Ready
    };
    let ready = told.iter().position(is_ready).unwrap();
    let memory = Memory::new(world());
    assert_eq!(EVERY * u32::try_from(ready).unwrap(), READY_AT);
    memory.play(Duration::ZERO, EVERY, &told[..=ready]);
    memory.play_on("ContinueDeployment", EVERY, &told[ready + 1..]);
    memory.on("StopDeployment", EVERY, rolled_back);
    memory
}

/// A rollout whose tasks fail while they are installed, one each ten seconds, `count` of them.
fn failing(count: u32) -> Memory {
    let plot = Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    };
    let told = story(plot);
    let installs = |snapshot: &Snapshot| {
        let deployment = snapshot.deployment.as_ref().unwrap();
        deployment.task_set(&Label::Green).is_some()
    };
    let install = told.iter().position(installs).unwrap();
    let memory = Memory::new(world());
    memory.play(Duration::ZERO, EVERY, &told[..=install]);
    memory.on("StopDeployment", EVERY, rolled_back);
    for number in 1..=count {
        let after = EVERY * (u32::try_from(install).unwrap() + number);
        memory.at(after, move |world| {
            let id = format!("task-{number}");
            let reason = "Essential container in task exited";
            let task = stopped(&id, "EssentialContainerExited", reason);
            world.stopped_tasks.push(task);
            let lines = vec!["panic: no database".to_owned()];
            world.tails.insert(format!("web/web/{id}"), lines);
        });
    }
    memory
}

/// The deployment that takes the stopped one back has done so.
fn rolled_back(world: &mut World) {
    world.deployments.last_mut().unwrap().status = DeploymentStatus::Succeeded;
}

async fn guarded(
    memory: &Memory,
    options: &FollowOptions,
    guard: Guard<'_>,
) -> (Followed, Vec<Event>) {
    let mut events = Vec::new();
    let id = Id::Deployment("d-1".to_owned());
    let followed = follow_guarded(memory, &target(), &id, options, guard, &mut |event| {
        events.push(event)
    })
    .await
    .unwrap();
    (followed, events)
}

fn checking<'a>(checks: &'a [Check], prober: &'a Script) -> Guard<'a> {
    Guard {
        fail_fast: None,
        checks: Some(Checks {
            checks,
            prober,
            every: Duration::from_secs(2),
        }),
    }
}

/// The names of events of one subject.
fn named(events: &[Event], part: &str) -> Vec<String> {
    let names = events.iter().map(|event| {
        let value = serde_json::to_value(event).unwrap();
        value["event"].as_str().unwrap().to_owned()
    });
    names.filter(|name| name.contains(part)).collect()
}

#[tokio::test(start_paused = true)]
async fn tasks_that_keep_failing_are_told_and_stop_the_rollout() {
    let memory = failing(3);
    let guard = Guard {
        fail_fast: Some(3),
        checks: None,
    };
    let (followed, events) = guarded(&memory, &FollowOptions::default(), guard).await;
    let why = match followed.verdict {
        Verdict::RolledBack { why, .. } | Verdict::Stopped { why } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why.cause, Cause::TaskExited);
    assert!(
        why.what.starts_with("3 new tasks failed: container"),
        "{why:?}"
    );
    assert_eq!(why.log, ["panic: no database"]);
    assert_eq!(memory.count("StopDeployment d-1 RollBack"), 1);
    assert_eq!(named(&events, "task_failed").len(), 3);
    assert_eq!(named(&events, "tasks_keep_failing").len(), 1);
    assert_eq!(named(&events, "intervened").len(), 1);
    let tails = events.iter().filter_map(|event| match event {
        Event::LogTail {
            source: LogSource::Task { task, container },
            lines,
        } => Some(format!("{container} in {task}: {lines:?}")),
        _ => None,
    });
    assert_eq!(
        tails.collect::<Vec<_>>(),
        [1, 2, 3].map(|task| format!("web in task-{task}: [\"panic: no database\"]"))
    );
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_only_tells() {
    let memory = failing(5);
    let options = FollowOptions {
        timeout: Some(Duration::from_secs(600)),
        ..FollowOptions::default()
    };
    let (followed, events) = guarded(&memory, &options, Guard::default()).await;
    assert!(!followed.verdict.is_final(), "{followed:?}");
    assert_eq!(named(&events, "task_failed").len(), 5);
    assert_eq!(named(&events, "tasks_keep_failing").len(), 1);
    assert_eq!(memory.count("StopDeployment"), 0);
    // The first three say it all.
    assert_eq!(memory.count("GetLogEvents"), 3);
}

/// Who may not stop it says so once, and follows on.
#[tokio::test(start_paused = true)]
async fn who_may_not_stop_it_says_so() {
    let memory = failing(5);
    memory.fail("StopDeployment", 9, FailureKind::Access, Effect::None);
    let options = FollowOptions {
        timeout: Some(Duration::from_secs(600)),
        ..FollowOptions::default()
    };
    let guard = Guard {
        fail_fast: Some(3),
        checks: None,
    };
    let (followed, events) = guarded(&memory, &options, guard).await;
    assert!(!followed.verdict.is_final(), "{followed:?}");
    assert_eq!(named(&events, "intervention_failed").len(), 1);
    assert_eq!(memory.count("StopDeployment"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_stop_is_tried_again() {
    let memory = failing(5);
    memory.fail("StopDeployment", 4, FailureKind::Throttled, Effect::None);
    let guard = Guard {
        fail_fast: Some(3),
        checks: None,
    };
    let (followed, events) = guarded(&memory, &FollowOptions::default(), guard).await;
    assert!(followed.verdict.is_final(), "{followed:?}");
    assert_eq!(named(&events, "interven"), ["intervened"]);
}

#[tokio::test(start_paused = true)]
async fn checks_that_pass_reroute() {
    let memory = at_ready();
    let prober = Script::new(&[
        Err("Connection refused"),
        Err("Connection refused"),
        Ok((200, "ok")),
        Ok((503, "busy")),
        Ok((200, "ok")),
        Ok((200, "ok")),
        Ok((200, "sorry")),
        Ok((200, "ok")),
    ]);
    let checks = [check(2), check(1)];
    let (followed, events) = guarded(
        &memory,
        &FollowOptions::default(),
        checking(&checks, &prober),
    )
    .await;
    assert_eq!(followed.verdict, succeeded());
    assert_eq!(
        named(&events, "check"),
        [
            "checks_started",
            // The same answer twice is told once; a right one between begins the row anew.
            "check_attempted",
            "check_attempted",
            "check_passed",
            "check_attempted",
            "check_passed",
        ]
    );
    assert_eq!(named(&events, "rerouted").len(), 1);
    assert_eq!(memory.count("ContinueDeployment d-1 Ready"), 1);
    assert_eq!(at_ready_for(&events), ["checks"]);
}

/// Whose turn it is at Ready.
fn at_ready_for(events: &[Event]) -> Vec<&'static str> {
    let turn = |event: &Event| match event {
        Event::WaitEntered { wait, .. } => match wait {
            Wait::Checks { .. } => Some("checks"),
            Wait::Reroute { .. } => Some("a person"),
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(turn).collect()
}

/// Who may not continue it after all its checks says that a person has to; who leaves at Ready anyway checks nothing.
#[tokio::test(start_paused = true)]
async fn without_access_a_person_is_waited_for() {
    let memory = at_ready();
    memory.fail("ContinueDeployment", 1, FailureKind::Access, Effect::None);
    let good = Script::new(&[Ok((200, "ok"))]);
    let checks = [check(1)];
    let options = FollowOptions {
        until: WaitUntil::Point(Point::Shifted),
        ..FollowOptions::default()
    };
    let (followed, events) = guarded(&memory, &options, checking(&checks, &good)).await;
    assert!(
        matches!(followed.verdict, Verdict::WaitingForHuman { .. }),
        "{followed:?}"
    );
    assert_eq!(at_ready_for(&events), ["checks", "a person"]);

    let memory = at_ready();
    let options = FollowOptions {
        until: WaitUntil::Ready,
        ..FollowOptions::default()
    };
    let (followed, events) = guarded(&memory, &options, checking(&checks, &good)).await;
    assert!(
        matches!(followed.verdict, Verdict::WaitingForHuman { .. }),
        "{followed:?}"
    );
    assert_eq!(at_ready_for(&events), ["a person"]);
    assert_eq!(named(&events, "checks_started").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_stops_the_rollout() {
    let memory = at_ready();
    let prober = Script::new(&[Ok((500, "no"))]);
    let checks = [check(1)];
    let (followed, events) = guarded(
        &memory,
        &FollowOptions::default(),
        checking(&checks, &prober),
    )
    .await;
    let why = match followed.verdict {
        Verdict::RolledBack { why, .. } | Verdict::Stopped { why } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why.cause, Cause::Check);
    assert_eq!(why.what, "check GET /health failed: status 500, wanted 200");
    assert_eq!(
        named(&events, "check"),
        ["checks_started", "check_attempted", "check_failed"]
    );
    assert_eq!(memory.count("StopDeployment d-1 RollBack"), 1);
    assert_eq!(memory.count("ContinueDeployment"), 0);
}

/// Two follow the same rollout: one of them reroutes, and neither stops it.
#[tokio::test(start_paused = true)]
async fn two_watchers_do_not_fight() {
    let memory = at_ready();
    let good = Script::new(&[Ok((200, "ok"))]);
    let bad = Script::new(&[Ok((500, "no"))]);
    let checks = [check(5)];
    let options = FollowOptions::default();
    let (first, second) = tokio::join!(
        guarded(&memory, &options, checking(&checks, &good)),
        guarded(&memory, &options, checking(&checks, &bad)),
    );
    assert_eq!(first.0.verdict, succeeded());
    assert_eq!(second.0.verdict, succeeded());
    assert_eq!(memory.count("ContinueDeployment"), 1);
    assert_eq!(memory.count("StopDeployment"), 0);

    // Both pass at the same moment: the second is told that it isn't waiting any more, and goes on.
    let memory = at_ready();
    let (first, second) = tokio::join!(
        guarded(&memory, &options, checking(&checks, &good)),
        guarded(&memory, &options, checking(&checks, &good)),
    );
    assert_eq!(first.0.verdict, succeeded());
    assert_eq!(second.0.verdict, succeeded());
    let rerouted = named(&first.1, "rerouted").len() + named(&second.1, "rerouted").len();
    assert_eq!(rerouted, 1);
}

/// Somebody stops it while it is being checked.
#[tokio::test(start_paused = true)]
async fn checks_end_with_the_wait() {
    let memory = at_ready();
    let bad = Script::new(&[Ok((500, "no"))]);
    let checks = [check(1)];
    let options = FollowOptions::default();
    memory.at(READY_AT + Duration::from_secs(20), |world| {
        let deployment = world.deployment("d-1").unwrap();
        deployment.status = DeploymentStatus::Stopped;
    });
    let (followed, events) = guarded(&memory, &options, checking(&checks, &bad)).await;
    assert_eq!(named(&events, "checks_started").len(), 1);
    assert!(followed.verdict.is_final());
    assert_eq!(memory.count("StopDeployment"), 0);
    assert_eq!(named(&events, "intervened").len(), 0);
}

/// A wait for a point ends where it is reached, or at once where a person has to act before it.
#[tokio::test(start_paused = true)]
async fn a_point_is_waited_for() {
    let to = |point| FollowOptions {
        until: WaitUntil::Point(point),
        ..FollowOptions::default()
    };
    for (point, reached) in [
        (Point::Installed, true),
        (Point::TestTraffic, true),
        (Point::Ready, true),
        (Point::Shifted, false),
        (Point::Done, false),
    ] {
        let memory = at_ready();
        let (followed, events) = guarded(&memory, &to(point), Guard::default()).await;
        assert_eq!(followed.reached, reached.then_some(point), "{point:?}");
        assert!(!followed.verdict.is_final(), "{point:?}");
        if !reached {
            assert!(matches!(followed.verdict, Verdict::WaitingForHuman { .. }));
        }
        let end = Event::Ended {
            verdict: followed.verdict,
            reached: followed.reached,
        };
        assert_eq!(events.last(), Some(&end));
    }
    // Checks are nobody to wait for.
    for point in [Point::Shifted, Point::Done] {
        let (memory, good) = (at_ready(), Script::new(&[Ok((200, "ok"))]));
        let checks = [check(1)];
        let (followed, _) = guarded(&memory, &to(point), checking(&checks, &good)).await;
        assert_eq!(followed.reached, Some(point));
    }
    // What ends badly has reached nothing.
    let memory = failing(5);
    let guard = Guard {
        fail_fast: Some(1),
        checks: None,
    };
    let (followed, _) = guarded(&memory, &to(Point::Installed), guard).await;
    assert_eq!(followed.reached, None);
    assert!(followed.verdict.is_final());
}
