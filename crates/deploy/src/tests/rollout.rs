//! The pure part: verdicts by table, events of whole stories, and what holds for every way of looking at them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::story::{
    Ending, OLD_TASKS_MINUTES, Plot, READY_MINUTES, at, definition, deployment, story, task_set,
};
use crate::event::{Event, Listener, Point, Verdict, Wait};
use crate::reason::Reason;
use crate::rollout::{Phase, carry, events, has_reached, percent_to_new, phase, verdict};
use crate::snapshot::*;

const ENDINGS: [Ending; 13] = [
    Ending::Succeeds,
    Ending::FailsWithoutRollback,
    Ending::FailsAndRollsBack,
    Ending::FailsAndRollbackFails,
    Ending::StoppedAndRolledBack,
    Ending::StoppedAndLeft,
    Ending::NobodyContinues,
    Ending::BuildFails,
    Ending::Superseded,
    Ending::Cancelled,
    Ending::StoppedInBuild,
    Ending::AlarmStopsTheShift,
    Ending::AlarmAfterTheShift,
];

/// Looks at snapshots one after the other, and a last time a minute later; gives all events and the last verdict. A verdict that
/// is final is the last one: whoever follows leaves at it.
fn look(snapshots: &[Snapshot]) -> (Vec<Event>, Verdict) {
    let mut later = snapshots.to_vec();
    let mut last = snapshots.last().unwrap().clone();
    last.at = last.at.checked_add(SignedDuration::from_secs(60)).unwrap();
    later.push(last);
    let mut known = Snapshot::default();
    let mut seen = Vec::new();
    let mut verdicts = Vec::new();
    for snapshot in later {
        let current = carry(&known, snapshot);
        seen.extend(events(&known, &current));
        known = current;
        verdicts.push(verdict(&known));
    }
    let last = verdict(&known);
    for early in verdicts.iter().filter(|verdict| verdict.is_final()) {
        assert_eq!(name(early), name(&last), "{early:?}, and then {last:?}");
    }
    (seen, last)
}

/// What is known after a look at each.
fn look_at(snapshots: &[Snapshot]) -> Snapshot {
    let looks = snapshots.iter().cloned();
    looks.fold(Snapshot::default(), |known, snapshot| {
        carry(&known, snapshot)
    })
}

fn want(ending: Ending) -> &'static str {
    match ending {
        Ending::Succeeds => "succeeded",
        Ending::FailsAndRollsBack
        | Ending::StoppedAndRolledBack
        | Ending::AlarmStopsTheShift
        | Ending::AlarmAfterTheShift => "rolled_back",
        Ending::FailsWithoutRollback | Ending::FailsAndRollbackFails | Ending::BuildFails => {
            "failed"
        }
        Ending::StoppedAndLeft | Ending::NobodyContinues | Ending::StoppedInBuild => "stopped",
        Ending::Superseded => "superseded",
        Ending::Cancelled => "cancelled",
    }
}

fn name(verdict: &Verdict) -> String {
    serde_json::to_value(verdict).unwrap()["verdict"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn every_story_ends_as_it_should() {
    for ending in ENDINGS {
        for pipeline in [true, false] {
            if !pipeline && !ending.in_deployment() {
                continue;
            }
            let (_, verdict) = look(&story(Plot {
                pipeline,
                ..Plot::new(ending)
            }));
            assert_eq!(
                name(&verdict),
                want(ending),
                "{ending:?}, pipeline: {pipeline}: {verdict:?}"
            );
        }
    }
}

/// What is left to do of a deployment that ended badly is skipped, and was never reached.
#[test]
fn no_point_is_reached_by_what_ends_badly() {
    let points = [
        Point::Installed,
        Point::TestTraffic,
        Point::Ready,
        Point::Shifted,
        Point::Done,
    ];
    for ending in ENDINGS {
        let told = story(Plot {
            pipeline: false,
            ..Plot::new(ending)
        });
        for mut snapshot in told {
            let Some(deployment) = &mut snapshot.deployment else {
                continue;
            };
            for event in &mut deployment.lifecycle_events {
                if deployment.status == DeploymentStatus::Failed && event.started.is_none() {
                    event.status = LifecycleStatus::Skipped;
                }
            }
            let is_bad = matches!(
                deployment.status,
                DeploymentStatus::Failed | DeploymentStatus::Stopped
            );
            for point in points {
                let reached = has_reached(&snapshot, point);
                assert!(!(is_bad && reached), "{ending:?} {point:?}: {snapshot:?}");
            }
            // However far what takes it back has come.
            let done = snapshot.deployment.take().map(|over| over.lifecycle_events);
            let back = Snapshot {
                deployment: snapshot.rollback.take().map(|rollback| Deployment {
                    status: DeploymentStatus::InProgress,
                    lifecycle_events: done.unwrap_or_default(),
                    ..rollback
                }),
                ..snapshot
            };
            for point in points {
                assert!(!has_reached(&back, point), "{ending:?} {point:?}: {back:?}");
            }
        }
    }
    let told = story(Plot::new(Ending::Succeeds));
    for point in points {
        assert!(
            told.iter().any(|snapshot| has_reached(snapshot, point)),
            "{point:?}"
        );
    }
}

#[test]
fn reasons_name_what_failed() {
    let why = |ending, pipeline| match look(&story(Plot {
        pipeline,
        ..Plot::new(ending)
    }))
    .1
    {
        Verdict::Failed { why } | Verdict::Stopped { why } | Verdict::RolledBack { why, .. } => {
            why.what
        }
        other => panic!("{other:?}"),
    };
    let install = "The task set did not get healthy. (TIMEOUT); Install failed";
    assert_eq!(why(Ending::FailsWithoutRollback, true), install);
    assert_eq!(why(Ending::FailsAndRollsBack, false), install);
    assert_eq!(
        why(Ending::FailsAndRollbackFails, true),
        format!("{install}; its rollback d-2 failed too: deployment d-2 ended as Failed")
    );
    assert_eq!(
        why(Ending::StoppedAndLeft, true),
        "Deployment stopped by user. (MANUAL_STOP)"
    );
    assert_eq!(
        why(Ending::BuildFails, true),
        "action Build of stage Build failed: docker build failed (BuildFailed)"
    );
}

/// The whole transcript of the tutorial's rollout, so that a change of order or wording of events is seen.
#[test]
fn the_tutorials_rollout_reads_well() {
    let (events, _) = look(&story(Plot {
        canary: true,
        ..Plot::new(Ending::Succeeds)
    }));
    let lines: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn waits_are_derived_from_the_groups_settings() {
    let told = story(Plot {
        canary: true,
        ..Plot::new(Ending::Succeeds)
    });
    let (events, _) = look(&told);
    let until = |wanted: &dyn Fn(&Wait) -> bool| {
        let found = events.iter().find_map(|event| match event {
            Event::WaitEntered { wait, until } if wanted(wait) => Some(*until),
            _ => None,
        });
        found.unwrap().unwrap()
    };
    let lifecycle_event = |name: &str| {
        let deployment = told.last().unwrap().deployment.clone().unwrap();
        deployment.lifecycle_event(name).unwrap().clone()
    };
    let after = |from: Option<crate::Timestamp>, minutes| {
        from.unwrap()
            .checked_add(SignedDuration::from_mins(minutes))
            .unwrap()
    };
    assert_eq!(
        until(&|wait| matches!(wait, Wait::Reroute { .. })),
        after(
            lifecycle_event("AfterAllowTestTraffic").ended,
            READY_MINUTES
        )
    );
    assert_eq!(
        until(&|wait| matches!(wait, Wait::Traffic { .. })),
        after(lifecycle_event("AllowTraffic").started, 5)
    );
    assert_eq!(
        until(&|wait| matches!(wait, Wait::OldTasks { .. })),
        after(
            lifecycle_event("AfterAllowTraffic").ended,
            OLD_TASKS_MINUTES
        )
    );
}

#[test]
fn linear_steps_end_after_all_intervals() {
    let mut told = story(Plot::new(Ending::Succeeds));
    let shifting = told.iter().position(|snapshot| {
        snapshot
            .deployment
            .as_ref()
            .is_some_and(|deployment| phase(deployment) == Phase::Shifting)
    });
    let snapshot = &mut told[shifting.unwrap()];
    snapshot.settings.as_mut().unwrap().routing = Some(Routing::Linear {
        percent: 30,
        minutes: 2,
    });
    let started = snapshot
        .deployment
        .as_ref()
        .unwrap()
        .lifecycle_event("AllowTraffic")
        .unwrap()
        .started
        .unwrap();
    match verdict(snapshot) {
        // 30, 60, 90, 100: four shifts, three intervals.
        Verdict::StillRunning {
            waiting_for: Wait::Traffic { .. },
            until,
        } => {
            assert_eq!(
                until,
                Some(started.checked_add(SignedDuration::from_mins(6)).unwrap())
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn traffic_is_shown_in_percent() {
    let (events, _) = look(&story(Plot {
        canary: true,
        ..Plot::new(Ending::Succeeds)
    }));
    let percents: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::TrafficRouted {
                listener: Listener::Production,
                percent,
                ..
            } => Some(*percent),
            _ => None,
        })
        .collect();
    assert_eq!(percents, [None, Some(10), Some(100)]);
}

#[test]
fn percent_rounds_and_never_divides_by_nothing() {
    let mut new = deployment("d-1", 0);
    new.task_sets = vec![task_set(Label::Green, TaskSetStatus::Active, 2, 2)];
    let route = |group: &str, weight| Route {
        target_group: group.to_owned(),
        weight,
    };
    let table = [
        (vec![route("web-blue", 1)], Some(0)),
        (vec![route("web-green", 1)], Some(100)),
        (vec![route("web-blue", 2), route("web-green", 1)], Some(33)),
        (vec![route("web-blue", 0), route("web-green", 0)], None),
        (vec![], None),
    ];
    for (routes, want) in table {
        assert_eq!(percent_to_new(&routes, &new), want, "{routes:?}");
    }
}

/// AWS.md §9 item 2: the two ways in which AWS may show the wait with the old tasks, and what must not be taken for it.
#[test]
fn the_wait_with_old_tasks_is_known_by_its_flag() {
    let blue = |status| task_set(Label::Blue, status, 2, 1);
    let green = || task_set(Label::Green, TaskSetStatus::Primary, 2, 2);
    let both = || vec![blue(TaskSetStatus::Active), green()];
    let draining = || vec![blue(TaskSetStatus::Draining), green()];
    let other = || DeploymentStatus::Other("Baking".to_owned());
    let table = [
        (
            DeploymentStatus::InProgress,
            true,
            both(),
            false,
            Phase::OldTasks,
        ),
        (
            DeploymentStatus::InProgress,
            true,
            vec![],
            false,
            Phase::OldTasks,
        ),
        (
            DeploymentStatus::InProgress,
            true,
            draining(),
            false,
            Phase::Working(None),
        ),
        (
            DeploymentStatus::InProgress,
            true,
            vec![green()],
            false,
            Phase::Working(None),
        ),
        (
            DeploymentStatus::InProgress,
            false,
            both(),
            false,
            Phase::Working(None),
        ),
        (
            DeploymentStatus::Ready,
            true,
            both(),
            false,
            Phase::OldTasks,
        ),
        (DeploymentStatus::Ready, false, both(), false, Phase::Ready),
        (
            DeploymentStatus::Succeeded,
            true,
            both(),
            false,
            Phase::OldTasks,
        ),
        (
            DeploymentStatus::Succeeded,
            true,
            both(),
            true,
            Phase::Succeeded,
        ),
        (
            DeploymentStatus::Succeeded,
            true,
            draining(),
            false,
            Phase::Succeeded,
        ),
        (
            DeploymentStatus::Succeeded,
            true,
            vec![],
            false,
            Phase::Succeeded,
        ),
        (
            DeploymentStatus::Succeeded,
            false,
            both(),
            false,
            Phase::Succeeded,
        ),
        (other(), true, both(), false, Phase::OldTasks),
        (
            other(),
            false,
            both(),
            false,
            Phase::Unknown("Baking".to_owned()),
        ),
    ];
    for (status, started, task_sets, completed, want) in table {
        let mut have = deployment("d-1", 0);
        have.status = status;
        have.termination_wait_started = started;
        have.task_sets = task_sets;
        have.completed = completed.then(|| at(1));
        assert_eq!(phase(&have), want, "{have:?}");
    }
}

#[test]
fn ready_without_a_wait_for_a_person_goes_on_by_itself() {
    let told = story(Plot::new(Ending::Succeeds));
    let is_ready = |snapshot: &&Snapshot| {
        snapshot
            .deployment
            .as_ref()
            .is_some_and(|deployment| deployment.status == DeploymentStatus::Ready)
    };
    let mut ready = told.iter().find(is_ready).unwrap().clone();
    assert_eq!(name(&verdict(&ready)), "waiting_for_human");
    ready.settings.as_mut().unwrap().ready_wait_minutes = None;
    assert_eq!(name(&verdict(&ready)), "still_running");
}

#[test]
fn an_approval_in_the_pipeline_waits_for_a_person() {
    let mut snapshot = story(Plot::new(Ending::BuildFails))[3].clone();
    let action = &mut snapshot.execution.as_mut().unwrap().stages[1].actions[0];
    action.category = Some("Approval".to_owned());
    let wait = Wait::PipelineApproval {
        stage: "Build".to_owned(),
        action: "Build".to_owned(),
    };
    let want = Verdict::WaitingForHuman {
        waiting_for: wait,
        deployment: None,
        until: None,
    };
    assert_eq!(verdict(&snapshot), want);
}

#[test]
fn a_rollback_that_is_late_is_waited_for_but_not_for_ever() {
    let mut failed = deployment("d-1", 0);
    failed.status = DeploymentStatus::Failed;
    failed.completed = Some(at(100));
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::FailsAndRollsBack)
    });
    let settings = told[0].settings.clone();
    let mut snapshot = Snapshot {
        at: at(105),
        deployment: Some(failed),
        settings,
        ..Snapshot::default()
    };
    assert_eq!(name(&verdict(&snapshot)), "still_running");
    snapshot.at = at(131);
    assert_eq!(name(&verdict(&snapshot)), "failed");
    snapshot.at = at(105);
    snapshot.settings.as_mut().unwrap().rollback_events.clear();
    assert_eq!(
        name(&verdict(&snapshot)),
        "failed",
        "nothing to wait for where rolling back is switched off"
    );
}

/// AWS may show a failure before it shows its end: then the time of the first sight counts.
#[test]
fn a_failure_without_an_end_has_ended_when_it_was_seen() {
    let mut failed = deployment("d-1", 0);
    failed.status = DeploymentStatus::Failed;
    let seen = |at| Snapshot {
        at,
        deployment: Some(failed.clone()),
        ..Snapshot::default()
    };
    let first = carry(&Snapshot::default(), seen(at(100)));
    assert_eq!(name(&verdict(&first)), "still_running");
    let later = carry(&first, seen(at(131)));
    assert_eq!(name(&verdict(&later)), "failed");
}

/// Who attaches to CodeDeploy's own deployment sees that it ends by having rolled back.
#[test]
fn following_a_rollback_itself_ends_as_rolled_back() {
    let told = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::FailsAndRollsBack)
    });
    let last = told.last().unwrap();
    let snapshot = Snapshot {
        at: last.at,
        deployment: last.rollback.clone(),
        ..Snapshot::default()
    };
    let want = Verdict::RolledBack {
        why: Reason::aws("d-1 was rolled back"),
        rollback: "d-2".to_owned(),
    };
    assert_eq!(verdict(&snapshot), want);
}

/// A pipeline may give up (its action times out) while the deployment goes on.
#[test]
fn a_deployment_outlives_its_pipeline() {
    let told = story(Plot::new(Ending::Succeeds));
    let mut ready = told
        .iter()
        .find(|snapshot| name(&verdict(snapshot)) == "waiting_for_human")
        .unwrap()
        .clone();
    ready.execution.as_mut().unwrap().status = ExecutionStatus::Failed;
    assert_eq!(name(&verdict(&ready)), "waiting_for_human");
}

#[test]
fn a_retried_stage_starts_again() {
    let told = story(Plot::new(Ending::BuildFails));
    let failed = told.last().unwrap().clone();
    let mut retried = failed.clone();
    let execution = retried.execution.as_mut().unwrap();
    execution.status = ExecutionStatus::InProgress;
    execution.stages[1].status = Some(StepStatus::InProgress);
    let action = &mut execution.stages[1].actions[0];
    (action.run, action.status, action.error) =
        (Some("again".to_owned()), Some(StepStatus::InProgress), None);
    let current = carry(&failed, retried);
    assert_eq!(name(&verdict(&current)), "still_running");
    let names: Vec<_> = events(&failed, &current)
        .iter()
        .map(|event| {
            serde_json::to_value(event).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "execution_changed",
            "stage_started",
            "action_started",
            "wait_entered"
        ]
    );
}

/// An answer from an older copy doesn't bring back to life what has ended.
#[test]
fn what_has_ended_stays_ended() {
    for ending in [Ending::Succeeds, Ending::BuildFails] {
        let told = story(Plot::new(ending));
        let (known, older) = (told.last().unwrap(), &told[told.len() / 2]);
        let current = carry(known, older.clone());
        // Counts of tasks and routes go up and down by nature: they are shown as they are read.
        let up_and_down = |event: &Event| {
            matches!(
                event,
                Event::TaskSetChanged { .. } | Event::TrafficRouted { .. }
            )
        };
        let told: Vec<_> = events(known, &current)
            .into_iter()
            .filter(|event| !up_and_down(event))
            .collect();
        assert_eq!(told, [], "{ending:?}");
        assert_eq!(verdict(&current), verdict(known), "{ending:?}");
    }
}

/// However much happened between two polls, the pipeline's end is told after all that led to it.
#[test]
fn the_end_of_the_execution_comes_last() {
    for ending in [Ending::Succeeds, Ending::FailsAndRollsBack] {
        let told = story(Plot::new(ending));
        let (events, _) = look(&[told[0].clone(), told.last().unwrap().clone()]);
        let last = events.last().unwrap();
        assert!(
            matches!(last, Event::ExecutionChanged { .. }),
            "{ending:?}: {last:?}"
        );
    }
}

#[test]
fn what_was_not_read_keeps_its_value() {
    let told = story(Plot::new(Ending::Succeeds));
    let known = told[told.len() / 2].clone();
    let blind = Snapshot {
        at: known.at,
        ..Snapshot::default()
    };
    let current = carry(&known, blind);
    assert_eq!(current, known);
    assert_eq!(events(&known, &current), []);
}

#[test]
fn the_fields_of_json_are_stable() {
    let event = Event::Ended {
        verdict: Verdict::Failed {
            why: Reason::aws("x"),
        },
        reached: None,
    };
    let json =
        r#"{"event":"ended","verdict":{"verdict":"failed","why":{"cause":"aws","what":"x"}}}"#;
    assert_eq!(serde_json::to_string(&event).unwrap(), json);
    assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
    let status: DeploymentStatus = serde_json::from_str("\"Baking\"").unwrap();
    assert_eq!(status, DeploymentStatus::Other("Baking".to_owned()));
    assert_eq!(serde_json::to_string(&status).unwrap(), "\"Baking\"");
}

#[test]
fn a_definition_is_found_in_either_form_of_app_spec() {
    let arn = definition(7);
    for text in [
        format!(
            "version: 0.0\nResources:\n  - TargetService:\n      Properties:\n        TaskDefinition: {arn}\n"
        ),
        format!("        TaskDefinition: '{arn}'\r\n"),
        format!(
            r#"{{"Resources":[{{"TargetService":{{"Properties":{{"TaskDefinition":"{arn}"}}}}}}]}}"#
        ),
    ] {
        assert_eq!(
            crate::task_definition_in(&text),
            Some(arn.as_str()),
            "{text}"
        );
    }
    assert_eq!(
        crate::task_definition_in("TaskDefinition: <TASK_DEFINITION>"),
        None
    );
}

#[test]
fn target_groups_go_by_name() {
    let arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web-blue/0123456789abcdef";
    assert_eq!(crate::target_group_name(arn), "web-blue");
    assert_eq!(crate::target_group_name("web-blue"), "web-blue");
}

/// What has no event of its own for a change of status says an unknown one all the same, once, and goes on.
#[test]
fn unknown_statuses_of_parts_are_told() {
    let told = story(Plot::new(Ending::Succeeds));
    let installing = told.iter().position(|snapshot| {
        let deployment = snapshot.deployment.as_ref();
        deployment.is_some_and(|deployment| {
            phase(deployment) == Phase::Working(Some("Install".to_owned()))
        })
    });
    let moment = installing.unwrap() + 1;
    let known = look_at(&told[..=moment]);
    let now = carry(&known, strange(told[moment].clone()));
    let unknown = |events: &[Event]| -> Vec<String> {
        let found = events.iter().filter_map(|event| match event {
            Event::StatusUnknown { of, status } => Some(format!("{of}: {status}")),
            _ => None,
        });
        found.collect()
    };
    assert_eq!(
        unknown(&events(&known, &now)),
        [
            "Install of d-1: NeverHeardOf",
            "action Deploy: NeverHeardOf",
            "stage Deploy: NeverHeardOf",
            "task set ecs-svc/blue: NeverHeardOf",
            "task set ecs-svc/green: NeverHeardOf",
        ]
    );
    let again = carry(&now, strange(told[moment].clone()));
    assert_eq!(events(&now, &again), []);
}

/// Whoever comes late is told that it is ready, once, as one is who has seen it become so.
#[test]
fn a_deployment_first_seen_at_ready_is_said_to_be() {
    let mut first = Snapshot::default();
    let mut deployment = super::story::deployment("d-1", 1);
    deployment.status = DeploymentStatus::Ready;
    first.deployment = Some(deployment);
    let ready = |events: &[Event]| {
        let is_ready = |event: &&Event| matches!(event, Event::DeploymentChanged { status, .. } if *status == DeploymentStatus::Ready);
        events.iter().filter(is_ready).count()
    };
    assert_eq!(ready(&events(&Snapshot::default(), &first)), 1);
    assert_eq!(ready(&events(&first, &first)), 0);
}

// ---- properties ----

/// What is done to one snapshot of a story before it is looked at.
#[derive(Debug, Clone, Copy)]
enum Glance {
    Missed,
    Seen,
    Repeated,
    /// Statuses that this version doesn't know are shown instead.
    Strange,
    /// Lifecycle events and stages come from an older copy.
    Stale,
    /// Only the execution and deployment could be read.
    Narrow,
}

fn plots() -> impl Strategy<Value = Plot> {
    let endings = prop::sample::select(ENDINGS.to_vec());
    (endings, any::<[bool; 4]>(), 0..4_u32).prop_map(
        |(ending, [pipeline, ready, canary, early_success], crashes)| Plot {
            ending,
            pipeline: pipeline || !ending.in_deployment(),
            ready,
            canary,
            // AWS would have to take back that it has succeeded.
            early_success: early_success && ending != Ending::AlarmAfterTheShift,
            crashes,
        },
    )
}

fn glances() -> impl Strategy<Value = Vec<Glance>> {
    let glance = prop_oneof![
        4 => Just(Glance::Missed),
        4 => Just(Glance::Seen),
        2 => Just(Glance::Repeated),
        1 => Just(Glance::Strange),
        1 => Just(Glance::Stale),
        1 => Just(Glance::Narrow),
    ];
    prop::collection::vec(glance, 80)
}

fn strange(mut snapshot: Snapshot) -> Snapshot {
    let strange = || "NeverHeardOf".to_owned();
    if let Some(execution) = &mut snapshot.execution {
        execution.status = ExecutionStatus::Other(strange());
        execution.stages.iter_mut().for_each(|stage| {
            stage.status = Some(StepStatus::Other(strange()));
            for action in &mut stage.actions {
                action.status = Some(StepStatus::Other(strange()));
            }
        });
    }
    for deployment in snapshot.deployment.iter_mut().chain(&mut snapshot.rollback) {
        deployment.status = DeploymentStatus::Other(strange());
        for event in &mut deployment.lifecycle_events {
            if event.status == LifecycleStatus::InProgress {
                event.status = LifecycleStatus::Other(strange());
            }
        }
        for set in &mut deployment.task_sets {
            set.status = Some(TaskSetStatus::Other(strange()));
        }
    }
    snapshot
}

fn stale(mut snapshot: Snapshot, older: &Snapshot) -> Snapshot {
    if let (Some(now), Some(then)) = (&mut snapshot.deployment, &older.deployment) {
        now.lifecycle_events = then.lifecycle_events.clone();
        now.rollback = then.rollback.clone();
    }
    if let (Some(now), Some(then)) = (&mut snapshot.execution, &older.execution) {
        now.stages = then.stages.clone();
        now.revisions = then.revisions.clone();
    }
    snapshot
}

/// The snapshots that somebody sees who glances so at a story; the last one is always seen as it is.
fn seen(told: &[Snapshot], glances: &[Glance]) -> Vec<Snapshot> {
    let mut seen = Vec::new();
    let (last, before) = told.split_last().unwrap();
    for (index, (snapshot, glance)) in before.iter().zip(glances).enumerate() {
        let snapshot = snapshot.clone();
        match glance {
            Glance::Missed => {}
            Glance::Seen => seen.push(snapshot),
            Glance::Repeated => seen.extend([snapshot.clone(), snapshot]),
            Glance::Strange => seen.push(strange(snapshot)),
            Glance::Stale => seen.push(stale(snapshot, &told[index.saturating_sub(4)])),
            Glance::Narrow => {
                seen.push(Snapshot {
                    settings: None,
                    listeners: None,
                    health: None,
                    stopped_tasks: Vec::new(),
                    ..snapshot
                });
            }
        }
    }
    seen.push(last.clone());
    seen
}

/// What must hold of the events of any rollout that isn't retried.
fn check_order(events: &[Event]) -> Result<(), TestCaseError> {
    let mut started = BTreeSet::new();
    let mut ended = BTreeSet::new();
    for event in events {
        let begins = match event {
            Event::StageStarted { stage } => Some(format!("stage {stage}")),
            Event::ActionStarted { stage, action, .. } => Some(format!("action {stage} {action}")),
            Event::LifecycleEventStarted {
                deployment, name, ..
            } => Some(format!("{deployment} {name}")),
            Event::DeploymentFound { deployment, .. } => Some(deployment.clone()),
            Event::ExecutionFound { execution, .. } => Some(execution.clone()),
            _ => None,
        };
        if let Some(what) = begins {
            prop_assert!(started.insert(what.clone()), "{what} started twice");
        }
        let ends = match event {
            Event::StageEnded { stage, .. } => Some(format!("stage {stage}")),
            Event::ActionEnded { stage, action, .. } => Some(format!("action {stage} {action}")),
            Event::LifecycleEventEnded {
                status: LifecycleStatus::Skipped,
                ..
            } => None,
            Event::LifecycleEventEnded {
                deployment, name, ..
            } => Some(format!("{deployment} {name}")),
            _ => None,
        };
        if let Some(what) = ends {
            prop_assert!(started.contains(&what), "{what} ended before it started");
            prop_assert!(ended.insert(what.clone()), "{what} ended twice");
        }
    }
    let mut failures = 0;
    for event in events {
        match event {
            Event::TaskFailed { failures: said, .. } => {
                failures += 1;
                prop_assert_eq!(*said, failures, "every failure is counted once");
            }
            Event::TasksKeepFailing { .. } => {
                prop_assert!(failures >= 2);
                prop_assert!(started.insert("a row of failures".to_owned()), "told twice");
            }
            Event::LogTail { source, .. } => {
                prop_assert!(
                    started.insert(format!("{source:?}")),
                    "{source:?} told twice"
                );
            }
            _ => {}
        }
    }
    for pair in events.windows(2) {
        prop_assert_ne!(&pair[0], &pair[1]);
    }
    Ok(())
}

/// What must hold of what is told of deployments, waits and traffic.
fn check_sense(events: &[Event], stale: bool, strange: bool) -> Result<(), TestCaseError> {
    let mut over: BTreeSet<&str> = BTreeSet::new();
    let mut rollbacks = 0;
    let mut share = 0;
    let mut wait = None;
    for event in events {
        match event {
            Event::DeploymentChanged {
                deployment, status, ..
            } => {
                // AWS.md §9 item 2: an early Succeeded is told when it is seen, and the rest after it.
                prop_assert!(
                    !over.contains(deployment.as_str()),
                    "{event:?} after its end"
                );
                if matches!(status, DeploymentStatus::Failed | DeploymentStatus::Stopped) {
                    over.insert(deployment);
                }
            }
            // An older copy may tell of work later than of its end.
            Event::LifecycleEventStarted { deployment, .. } => {
                prop_assert!(stale || !over.contains(deployment.as_str()), "{event:?}");
            }
            Event::RollbackStarted { .. } => rollbacks += 1,
            Event::TrafficRouted {
                listener: Listener::Production,
                percent: Some(percent),
                ..
            } => {
                let told = strange || !over.is_empty();
                prop_assert!(told || *percent >= share, "{share} %, then {event:?}");
                share = *percent;
            }
            Event::WaitEntered { .. } => {
                prop_assert_ne!(wait.replace(event), Some(event), "said twice");
            }
            _ => {}
        }
    }
    prop_assert!(rollbacks <= 1, "{rollbacks} rollbacks");
    Ok(())
}

/// Whether any of these statuses that AWS might add is shown as it is.
fn shows(events: &[Event], status: &str) -> bool {
    let mut lines = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap());
    lines.any(|line| line.contains(status))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// However much of a story is missed, seen twice, seen late or strangely: it ends the same, and is told in order.
    #[test]
    fn every_way_of_looking_ends_the_same(plot in plots(), glances in glances()) {
        let told = story(plot);
        let (_, want_verdict) = look(&told);
        prop_assert_eq!(name(&want_verdict), want(plot.ending));
        let (events, have) = look(&seen(&told, &glances));
        prop_assert_eq!(have, want_verdict);
        check_order(&events)?;
        let any = |wanted: fn(&Glance) -> bool| glances[..told.len() - 1].iter().any(wanted);
        let stale = any(|glance| matches!(glance, Glance::Stale));
        let strange = any(|glance| matches!(glance, Glance::Strange));
        check_sense(&events, stale, strange)?;
        let failed = events.iter().filter(|event| matches!(event, Event::TaskFailed { .. }));
        let crashes = if plot.ending.in_deployment() { plot.crashes as usize } else { 0 };
        prop_assert_eq!(failed.count(), crashes, "no failed task is missed");
    }

    /// No verdict is final before the story is at its end, whatever unknown statuses come up.
    #[test]
    fn unknown_statuses_never_end_it(plot in plots(), moment in any::<prop::sample::Index>()) {
        let told = story(plot);
        let snapshot = strange(told[moment.index(told.len())].clone());
        prop_assert!(!verdict(&snapshot).is_final(), "{:?}", verdict(&snapshot));
    }

    /// An unknown status is shown as AWS says it: that of whatever went on until then.
    #[test]
    fn unknown_statuses_are_shown_raw(plot in plots(), moment in any::<prop::sample::Index>()) {
        let told = story(plot);
        let moment = moment.index(told.len());
        let before = look_at(&told[..=moment]);
        let now = carry(&before, strange(told[moment].clone()));
        let events = events(&before, &now);
        if !verdict(&before).is_final() {
            prop_assert!(shows(&events, "NeverHeardOf"), "{:?}", events);
        }
        // Known again, it is shown no more.
        let known = carry(&now, told[moment].clone());
        let again = carry(&known, told[moment].clone());
        prop_assert_eq!(crate::rollout::events(&known, &again), vec![]);
    }

    /// Nothing new is nothing told.
    #[test]
    fn repeats_tell_nothing(plot in plots(), moment in any::<prop::sample::Index>()) {
        let told = story(plot);
        let known = carry(&Snapshot::default(), told[moment.index(told.len())].clone());
        let again = carry(&known, known.clone());
        prop_assert_eq!(events(&known, &again), vec![]);
    }
}
