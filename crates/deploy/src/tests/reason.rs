//! One root cause of everything that a snapshot shows, by table; and refusals of IAM in the words of each service.

use super::story::{Ending, Plot, definition, story, task_set};
use crate::event::{Event, Verdict};
use crate::reason::{Cause, Reason, Refusal};
use crate::rollout::{carry, events, fails_fast, failures, verdict};
use crate::snapshot::*;

/// A task of the new version that stopped.
pub(super) fn stopped(id: &str, code: &str, reason: &str) -> StoppedTask {
    StoppedTask {
        id: id.to_owned(),
        task_set: Some("ecs-svc/green".to_owned()),
        task_definition: Some(definition(2)),
        stopped: Some(super::story::at(1_100)),
        code: Some(code.into()),
        reason: Some(reason.to_owned()),
        containers: vec![StoppedContainer {
            name: "web".to_owned(),
            image: Some("web:2".to_owned()),
            exit_code: Some(1),
            reason: None,
        }],
        log: Vec::new(),
    }
}

fn exited(id: &str) -> StoppedTask {
    stopped(
        id,
        "EssentialContainerExited",
        "Essential container in task exited",
    )
}

/// The end of a rollout without the pipeline that fails at Install, after what `change` does to it.
fn end(change: impl FnOnce(&mut Snapshot)) -> Reason {
    let plot = Plot {
        pipeline: false,
        ..Plot::new(Ending::FailsWithoutRollback)
    };
    let mut last = story(plot).pop().unwrap();
    let deployment = last.deployment.as_mut().unwrap();
    deployment.task_sets = vec![
        task_set(Label::Blue, TaskSetStatus::Primary, 2, 1),
        task_set(Label::Green, TaskSetStatus::Active, 0, 2),
    ];
    change(&mut last);
    match verdict(&last) {
        Verdict::Failed { why } | Verdict::Stopped { why } | Verdict::RolledBack { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn fault(code: &str, message: &str) -> Option<Fault> {
    Some(Fault {
        code: code.to_owned(),
        message: message.to_owned(),
    })
}

#[test]
fn a_task_that_failed_is_the_cause() {
    let with = |container: StoppedContainer, code: &str, reason: &str| {
        let mut task = stopped("0123456789", code, reason);
        task.containers = vec![container];
        task
    };
    let container = |exit_code, reason: Option<&str>| StoppedContainer {
        name: "web".to_owned(),
        image: None,
        exit_code,
        reason: reason.map(str::to_owned),
    };
    let mut wrong = exited("1");
    wrong.log = vec!["exec /app/server: exec format error".to_owned()];
    let denied = "ResourceInitializationError: unable to pull secrets or registry auth: User: arn:aws:sts::111122223333:assumed-role/web-eu-central-1-execution/0123 is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action";
    let table = [
        (
            exited("1"),
            Cause::TaskExited,
            "a new task failed: container web ended with exit code 1 (Essential container in task exited)",
        ),
        (
            with(
                container(
                    Some(137),
                    Some("OutOfMemoryError: Container killed due to memory usage"),
                ),
                "EssentialContainerExited",
                "Essential container in task exited",
            ),
            Cause::OutOfMemory,
            "a new task ran out of memory: container web was killed (OutOfMemoryError: Container killed due to memory usage)",
        ),
        (
            with(
                container(None, Some("CannotPullContainerError: web:2: not found")),
                "TaskFailedToStart",
                "CannotPullContainerError: web:2: not found",
            ),
            Cause::ImageNotPulled,
            "a new task could not start: CannotPullContainerError: web:2: not found",
        ),
        (
            with(
                container(
                    None,
                    Some(
                        "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
                    ),
                ),
                "TaskFailedToStart",
                "CannotPullContainerError",
            ),
            Cause::WrongArchitecture,
            "a new task can't run: the image of container web is for another processor",
        ),
        (
            wrong,
            Cause::WrongArchitecture,
            "a new task can't run: the image of container web is for another processor",
        ),
        (
            stopped(
                "1",
                "ServiceSchedulerInitiated",
                "Task failed ELB health checks in (target-group web-green)",
            ),
            Cause::HealthChecks,
            "a new task failed the health checks: Task failed ELB health checks in (target-group web-green)",
        ),
        (
            with(
                container(None, None),
                "TaskFailedToStart",
                "ResourceInitializationError: no secret",
            ),
            Cause::TaskNotStarted,
            "a new task could not start: ResourceInitializationError: no secret",
        ),
        (
            with(container(None, None), "TaskFailedToStart", denied),
            Cause::Permission,
            &format!("a new task could not start: {denied}"),
        ),
    ];
    for (task, cause, what) in table {
        let why = end(|snapshot| snapshot.stopped_tasks = vec![task.clone()]);
        assert_eq!((why.cause, why.what.as_str()), (cause, what), "{task:?}");
        assert!(why.next.is_some(), "{why:?}");
    }
}

#[test]
fn a_registry_that_limits_pulls_is_told_apart() {
    let next = |reason: &str| {
        let mut task = stopped("1", "TaskFailedToStart", reason);
        task.containers.clear();
        end(|snapshot| snapshot.stopped_tasks = vec![task])
            .next
            .unwrap()
    };
    let limited = next(
        "CannotPullContainerError: httpd:2.4: 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
    );
    assert!(limited.contains("keep the image in ECR"), "{limited}");
    let missing = next("CannotPullContainerError: httpd:2.4: not found");
    assert!(missing.contains("is in its repository"), "{missing}");
}

#[test]
fn many_tasks_are_one_cause_and_the_one_with_a_log_tells_it() {
    let mut second = exited("2");
    second.log = (1..=12).map(|line| format!("line {line}")).collect();
    let why = end(|snapshot| snapshot.stopped_tasks = vec![exited("1"), second]);
    assert!(why.what.starts_with("2 new tasks failed"), "{why:?}");
    assert_eq!(why.log.len(), 10);
    assert_eq!(why.log.last().unwrap(), "line 12");
    assert_eq!(
        why.details,
        ["CodeDeploy: The task set did not get healthy. (TIMEOUT); Install failed"]
    );
}

/// What stops for another reason, or belongs to another version, is nobody's failure.
#[test]
fn only_failures_of_the_new_tasks_count() {
    let mut old = exited("1");
    old.task_set = Some("ecs-svc/blue".to_owned());
    let table = [
        old,
        stopped("2", "UserInitiated", "Task stopped by user"),
        stopped(
            "3",
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by deployment",
        ),
        stopped("4", "SpotInterruption", "Your Spot Task was interrupted."),
        stopped("5", "NeverHeardOf", "who knows"),
    ];
    for task in table {
        let why = end(|snapshot| snapshot.stopped_tasks = vec![task.clone()]);
        assert_eq!(why.cause, Cause::Aws, "{task:?}");
    }
}

/// Who looks when the task set is gone finds the deployment's tasks by their definition and their time.
#[test]
fn failures_are_known_without_their_task_set() {
    let after = |snapshot: &mut Snapshot, stopped_at| {
        snapshot.deployment.as_mut().unwrap().task_sets.clear();
        let mut task = exited("1");
        task.stopped = Some(super::story::at(stopped_at));
        snapshot.stopped_tasks = vec![task];
    };
    let during = end(|snapshot| {
        let completed = snapshot.deployment.as_ref().unwrap().completed.unwrap();
        after(snapshot, completed.as_second() - 1);
    });
    assert_eq!(during.cause, Cause::TaskExited);
    let before = end(|snapshot| after(snapshot, 1));
    assert_eq!(before.cause, Cause::Aws);
}

#[test]
fn one_cause_is_named_of_several() {
    let tasks = || vec![exited("1"), exited("2")];
    let alarm = Alarm {
        name: "web-http-5xx-green".to_owned(),
        state: AlarmState::Alarm,
        reason: Some(
            "Threshold Crossed: 1 datapoint [12.5] was greater than the threshold (1.0)."
                .to_owned(),
        ),
        since: None,
    };
    let fired = end(|snapshot| {
        snapshot.deployment.as_mut().unwrap().error = fault("ALARM_ACTIVE", "alarms are active");
        snapshot.stopped_tasks = tasks();
        snapshot.alarms = Some(vec![alarm]);
    });
    assert_eq!(fired.cause, Cause::Alarm);
    assert_eq!(
        fired.what,
        "alarm web-http-5xx-green fired: Threshold Crossed: 1 datapoint [12.5] was greater than the threshold (1.0)."
    );
    let unknown = end(|snapshot| {
        snapshot.deployment.as_mut().unwrap().error = fault("ALARM_ACTIVE", "alarms are active");
    });
    assert_eq!(
        (unknown.cause, unknown.what.as_str()),
        (
            Cause::Alarm,
            "alarms are active (ALARM_ACTIVE); Install failed"
        )
    );

    let hook = end(|snapshot| {
        let deployment = snapshot.deployment.as_mut().unwrap();
        deployment.error = fault("HOOK_EXECUTION_FAILURE", "a hook failed");
        for event in &mut deployment.lifecycle_events {
            event.status = match event.name.as_str() {
                "AfterInstall" => LifecycleStatus::Failed,
                _ => LifecycleStatus::Skipped,
            };
            event.diagnostics =
                (event.name == "AfterInstall").then(|| "smoke test: 502".to_owned());
        }
    });
    assert_eq!(
        (hook.cause, hook.what.as_str()),
        (Cause::Hook, "hook AfterInstall failed: smoke test: 502")
    );

    let role = end(|snapshot| {
        snapshot.deployment.as_mut().unwrap().error = fault(
            "IAM_ROLE_PERMISSIONS",
            "User: arn:aws:sts::111122223333:assumed-role/web-codedeploy/x is not authorized to perform: ecs:CreateTaskSet on resource: arn:aws:ecs:eu-central-1:111122223333:task-set/web/web/* because no identity-based policy allows the ecs:CreateTaskSet action",
        );
    });
    assert_eq!(role.cause, Cause::Permission);
    assert!(
        role.details
            .contains(&"refused: ecs:CreateTaskSet".to_owned()),
        "{role:?}"
    );

    let person = end(|snapshot| {
        snapshot.deployment.as_mut().unwrap().error = fault("MANUAL_STOP", "stopped on request");
        snapshot.stopped_tasks = vec![exited("1")];
    });
    assert_eq!(person.cause, Cause::Stopped, "one failure is no row");
    let row = end(|snapshot| {
        snapshot.deployment.as_mut().unwrap().error = fault("MANUAL_STOP", "stopped on request");
        snapshot.stopped_tasks = tasks();
    });
    assert_eq!(row.cause, Cause::TaskExited);
    let ours = end(|snapshot| {
        let deployment = snapshot.deployment.as_mut().unwrap();
        deployment.error = fault("MANUAL_STOP", "stopped on request");
        let deployment = deployment.id.clone();
        snapshot.stopped_tasks = tasks();
        snapshot.intervention = Some(Intervention::FailedFast {
            deployment,
            failures: 2,
        });
    });
    assert!(
        ours.what.starts_with("2 new tasks failed")
            && ours.what.ends_with("stopped by `deploy.fail_fast`"),
        "{ours:?}"
    );
    let check = end(|snapshot| {
        let deployment = snapshot.deployment.as_mut().unwrap();
        deployment.error = fault("MANUAL_STOP", "stopped on request");
        snapshot.intervention = Some(Intervention::ChecksFailed {
            deployment: deployment.id.clone(),
            check: "GET /health".to_owned(),
            found: "status 503".to_owned(),
        });
    });
    assert_eq!(
        (check.cause, check.what.as_str()),
        (Cause::Check, "check GET /health failed: status 503")
    );
}

/// A group that is emptied by the rollback shows no failing target any more; what it showed last is the reason.
#[test]
fn what_the_balancer_saw_is_the_cause_where_no_task_stopped() {
    let health = |failing| Snapshot {
        health: Some(
            [(
                "web-green".to_owned(),
                Health {
                    healthy: 0,
                    total: 2,
                    failing,
                },
            )]
            .into(),
        ),
        ..Snapshot::default()
    };
    let failing = FailingTarget {
        target: "10.0.10.7:80".to_owned(),
        reason: "Target.ResponseCodeMismatch".to_owned(),
        description: Some("Health checks failed with these codes: [503]".to_owned()),
    };
    let sick = carry(&Snapshot::default(), health(vec![failing.clone()]));
    let told = events(&Snapshot::default(), &sick);
    assert!(
        told.iter().any(|event| matches!(event, Event::TargetUnhealthy { description: Some(text), .. } if text.contains("503"))),
        "{told:?}"
    );
    let again = events(&sick, &carry(&sick, health(vec![failing])));
    let is_told = |event: &Event| matches!(event, Event::TargetUnhealthy { .. });
    assert!(!again.iter().any(is_told), "{again:?}");
    let emptied = carry(&sick, health(Vec::new()));
    let why = end(|snapshot| snapshot.last_failing = emptied.last_failing);
    assert_eq!(why.cause, Cause::HealthChecks);
    assert_eq!(
        why.what,
        "the new tasks don't answer their health checks: 10.0.10.7:80: Health checks failed with these codes: [503] (Target.ResponseCodeMismatch)"
    );
}

#[test]
fn nobody_who_continues_is_a_cause_of_its_own() {
    let mut last = story(Plot::new(Ending::NobodyContinues)).pop().unwrap();
    // No rollback has come by then.
    last.at = super::story::at(last.at.as_second() + 60);
    match verdict(&last) {
        Verdict::Stopped { why } => assert_eq!(why.cause, Cause::NobodyContinued, "{why:?}"),
        other => panic!("{other:?}"),
    }
}

/// What the deployment has got over before all its tasks were healthy explains nothing that came later.
#[test]
fn tasks_that_failed_before_the_new_ones_were_healthy_are_no_cause() {
    let mut last = story(Plot {
        pipeline: false,
        ..Plot::new(Ending::NobodyContinues)
    })
    .pop()
    .unwrap();
    last.at = super::story::at(last.at.as_second() + 60);
    let deployment = last.deployment.as_ref().unwrap();
    let healthy = deployment.lifecycle_event("Install").unwrap().ended;
    let healthy = healthy.unwrap().as_second();
    let failed = |after: i64| {
        ["1", "2", "3"].map(|id| StoppedTask {
            stopped: Some(super::story::at(healthy + after)),
            ..exited(id)
        })
    };
    for (stopped, cause) in [(false, Cause::NobodyContinued), (true, Cause::Stopped)] {
        let mut over = last.clone();
        if stopped {
            over.deployment.as_mut().unwrap().error = fault("MANUAL_STOP", "stopped by a person");
        }
        for (after, want) in [(-1, cause), (1, Cause::TaskExited)] {
            over.stopped_tasks = failed(after).to_vec();
            match verdict(&over) {
                Verdict::Stopped { why } => assert_eq!(why.cause, want, "{after}: {why:?}"),
                other => panic!("{other:?}"),
            }
        }
        // Nor do they count when it is asked whether tasks keep failing.
        let mut running = over;
        running.deployment.as_mut().unwrap().status = DeploymentStatus::Ready;
        assert_eq!(fails_fast(&running, 3), Some(3));
        running.stopped_tasks = failed(-1).to_vec();
        assert_eq!(fails_fast(&running, 3), None);
    }
}

#[test]
fn every_end_of_a_build_is_told_apart() {
    let mut last = story(Plot::new(Ending::BuildFails)).pop().unwrap();
    let action = &mut last.execution.as_mut().unwrap().stages[1].actions[0];
    action.external_id = Some("web:1".to_owned());
    let build = |status: &str, phase: Option<(&str, &str)>| Build {
        id: "web:1".to_owned(),
        status: status.into(),
        failed_phase: phase.map(|(name, message)| BuildPhase {
            name: name.to_owned(),
            status: "FAILED".into(),
            code: Some("COMMAND_EXECUTION_ERROR".to_owned()),
            message: Some(message.to_owned()),
        }),
        log: None,
        lines: vec!["no such file".to_owned()],
    };
    let begins = "action Build of stage Build failed";
    let table = [
        (
            build("FAILED", Some(("BUILD", "exit status 1"))),
            Cause::Build,
            format!("{begins} in phase BUILD: exit status 1 (COMMAND_EXECUTION_ERROR)"),
        ),
        (
            build("FAULT", None),
            Cause::Build,
            format!("{begins}: CodeBuild itself failed: docker build failed (BuildFailed)"),
        ),
        (
            build("TIMED_OUT", None),
            Cause::Build,
            format!(
                "{begins}: it took longer than the project allows: docker build failed (BuildFailed)"
            ),
        ),
        (
            build("STOPPED", None),
            Cause::Build,
            format!("{begins}: somebody stopped it: docker build failed (BuildFailed)"),
        ),
        (
            build("NEVER_HEARD_OF", None),
            Cause::Build,
            format!("{begins}: CodeBuild says NEVER_HEARD_OF: docker build failed (BuildFailed)"),
        ),
        (
            build(
                "FAILED",
                Some((
                    "PRE_BUILD",
                    "User: arn:aws:sts::1:assumed-role/web-build/x is not authorized to perform: ecr:PutImage on resource: arn:r",
                )),
            ),
            Cause::Permission,
            format!(
                "{begins} in phase PRE_BUILD: User: arn:aws:sts::1:assumed-role/web-build/x is not authorized to perform: ecr:PutImage on resource: arn:r (COMMAND_EXECUTION_ERROR)"
            ),
        ),
    ];
    for (build, cause, what) in table {
        last.build = Some(build);
        match verdict(&last) {
            Verdict::Failed { why } => assert_eq!((why.cause, why.what), (cause, what)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn refusals_are_found_in_the_words_of_each_service() {
    let table = [
        (
            "User: arn:aws:sts::111122223333:assumed-role/web-build/s is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-central-1:111122223333:repository/web because no identity-based policy allows the ecr:BatchGetImage action",
            Some((
                Some("arn:aws:sts::111122223333:assumed-role/web-build/s"),
                "ecr:BatchGetImage",
                Some("arn:aws:ecr:eu-central-1:111122223333:repository/web"),
                Some("no identity-based policy allows the ecr:BatchGetImage action"),
            )),
        ),
        (
            "User: arn:aws:iam::111122223333:user/me is not authorized to perform: ecs:UpdateService on resource: arn:x with an explicit deny in a service control policy (Service: AmazonECS; Status Code: 400)",
            Some((
                Some("arn:aws:iam::111122223333:user/me"),
                "ecs:UpdateService",
                Some("arn:x"),
                Some("an explicit deny in a service control policy"),
            )),
        ),
        (
            "CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::111122223333:role/web.",
            Some((
                None,
                "AssumeRole",
                Some("arn:aws:iam::111122223333:role/web"),
                None,
            )),
        ),
        ("Access Denied", None),
    ];
    for (message, want) in table {
        let have = Refusal::find(message);
        let have = have.as_ref().map(|have| {
            (
                have.who.as_deref(),
                have.action.as_str(),
                have.resource.as_deref(),
                have.because.as_deref(),
            )
        });
        assert_eq!(have, want, "{message}");
    }
}

#[test]
fn a_row_of_failures_is_told_once_and_stops_at_the_limit() {
    let plot = Plot {
        pipeline: false,
        ..Plot::new(Ending::Succeeds)
    };
    let told = story(plot);
    let in_install = told.iter().find(|snapshot| {
        let deployment = snapshot.deployment.as_ref().unwrap();
        deployment.task_set(&Label::Green).is_some()
    });
    let mut known = carry(&Snapshot::default(), in_install.unwrap().clone());
    let mut seen = Vec::new();
    for count in 1..=4 {
        let mut next = known.clone();
        next.stopped_tasks.push(exited(&count.to_string()));
        let current = carry(&known, next);
        seen.push(
            events(&known, &current)
                .iter()
                .map(|event| match event {
                    Event::TaskFailed { failures, .. } => format!("failed {failures}"),
                    Event::TasksKeepFailing { failures, .. } => format!("row {failures}"),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join(", "),
        );
        assert_eq!(
            fails_fast(&current, 3),
            (count >= 3).then_some(count),
            "{count}"
        );
        known = current;
    }
    assert_eq!(
        seen,
        ["failed 1", "failed 2, row 2", "failed 3", "failed 4"]
    );
    assert_eq!(
        failures(known.deployment.as_ref().unwrap(), &known).len(),
        4
    );
    // What AWS has forgotten isn't.
    let mut forgotten = known.clone();
    forgotten.stopped_tasks.clear();
    assert_eq!(carry(&known, forgotten), known);
    let mut over = known.clone();
    over.deployment.as_mut().unwrap().status = DeploymentStatus::Failed;
    assert_eq!(fails_fast(&over, 3), None, "there is nothing left to stop");
    let mut back = known;
    back.deployment.as_mut().unwrap().creator = Some(ROLLBACK_CREATOR.to_owned());
    assert_eq!(fails_fast(&back, 3), None, "a rollback is left alone");
}
