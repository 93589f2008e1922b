//! Starting: never twice for one change, whatever answer is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::story::{at, definition, deployment};
use super::{secs, target};
use crate::bundle::Bundle;
use crate::error::{DeployError, FailureKind};
use crate::event::{Event, StartedBy};
use crate::memory::{Effect, Memory, World};
use crate::rollouts::StoredBundle;
use crate::snapshot::*;
use crate::start::{BundlePut, Start, StartOptions, Started, StartedImage, start, start_image};

fn bundle() -> Bundle {
    Bundle::new(&BTreeMap::from([(
        "taskdef.json".to_owned(),
        b"{}".to_vec(),
    )]))
    .unwrap()
}

/// An execution with the version of the bundle that it has read, if it has.
fn execution(id: &str, version: Option<&str>) -> Execution {
    let revision = |version: &str| Revision {
        action: "Bundle".to_owned(),
        id: version.to_owned(),
        summary: None,
        url: None,
    };
    Execution {
        id: id.to_owned(),
        status: ExecutionStatus::InProgress,
        status_summary: None,
        trigger: None,
        started: Some(at(0)),
        revisions: version.map(revision).into_iter().collect(),
        stages: Vec::new(),
    }
}

/// An account whose bundle has this content already, or another.
fn account(same: bool) -> World {
    let sha256 = if same {
        bundle().sha256
    } else {
        "other".to_owned()
    };
    World {
        bundle: Some(StoredBundle {
            version: "v0".to_owned(),
            sha256: Some(sha256),
        }),
        ..World::default()
    }
}

async fn begin(
    memory: &Memory,
    options: &StartOptions,
) -> (Result<Started, DeployError>, Vec<Event>) {
    let mut events = Vec::new();
    let started = start(memory, &target(), &bundle(), options, &mut |event| {
        events.push(event)
    })
    .await;
    (started, events)
}

async fn begun(memory: &Memory) -> Started {
    begin(memory, &StartOptions::new("token")).await.0.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_bundle_is_not_put_and_the_pipeline_started() {
    let memory = Memory::new(account(true));
    let started = begun(&memory).await;
    assert_eq!(started.by, StartedBy::Request);
    assert_eq!(
        started.bundle,
        BundlePut::Unchanged {
            version: "v0".to_owned()
        }
    );
    assert_eq!(memory.count("PutObject"), 0);
    assert_eq!(memory.count("StartPipelineExecution token"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_somebody_else_put_is_replaced() {
    let bundle = Some(StoredBundle {
        version: "v0".to_owned(),
        sha256: None,
    });
    for bundle in [bundle, None] {
        let memory = Memory::new(World {
            bundle,
            ..World::default()
        });
        assert_eq!(
            begun(&memory).await.bundle,
            BundlePut::Put {
                version: "v1".to_owned()
            }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_bundle_starts_the_pipeline_by_itself() {
    let memory = Memory::new(account(false));
    memory.at(secs(5), |world| {
        world.executions.push(execution("pushed", Some("v1")))
    });
    let (started, events) = begin(&memory, &StartOptions::new("token")).await;
    let started = started.unwrap();
    assert_eq!(
        (started.execution.as_str(), started.by),
        ("pushed", StartedBy::Push)
    );
    assert_eq!(memory.count("StartPipelineExecution"), 0);
    assert!(matches!(
        events[..],
        [
            Event::BundlePut { .. },
            Event::PushAwaited { seconds: 30, .. },
            Event::ExecutionStarted {
                by: StartedBy::Push,
                ..
            }
        ]
    ));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_nothing_starts_is_started() {
    let memory = Memory::new(account(false));
    let start = Instant::now();
    let started = begun(&memory).await;
    assert_eq!(started.by, StartedBy::Request);
    assert_eq!(start.elapsed(), secs(30));
    assert_eq!(memory.world(|world| world.executions.len()), 1);
}

/// Which of the executions that may be there is the one, and which is not.
#[tokio::test(start_paused = true)]
async fn the_execution_with_the_new_bundle_is_found() {
    let by_rule = |rule: &str| Execution {
        trigger: Some(Trigger {
            kind: "CloudWatchEvent".to_owned(),
            detail: Some(format!(
                "arn:aws:events:eu-central-1:111122223333:rule/{rule}"
            )),
        }),
        ..execution("pushed", None)
    };
    // What runs before, what starts after five seconds, and whether that is taken.
    let table = [
        (
            "another version",
            None,
            Some(execution("pushed", Some("v0"))),
            false,
        ),
        (
            "by the bundle's rule",
            None,
            Some(by_rule("web-bundle")),
            true,
        ),
        (
            "by the source's rule, reading nothing ever",
            None,
            Some(by_rule("web-source")),
            false,
        ),
        (
            "an older one that had not read it",
            Some(execution("pushed", Some("v1"))),
            None,
            true,
        ),
        (
            "an older one that had read the older",
            Some(execution("pushed", Some("v0"))),
            None,
            false,
        ),
        (
            "an older one that has read nothing",
            Some(execution("pushed", None)),
            None,
            false,
        ),
    ];
    for (what, before, after, taken) in table {
        let memory = Memory::new(World {
            executions: before.into_iter().collect(),
            ..account(false)
        });
        if let Some(after) = after {
            memory.at(secs(5), move |world| world.executions.push(after));
        }
        let started = begun(&memory).await;
        assert_eq!(started.by == StartedBy::Push, taken, "{what}: {started:?}");
        assert_eq!(
            memory.count("StartPipelineExecution"),
            usize::from(!taken),
            "{what}"
        );
    }
}

/// A push at the same time reads the new bundle, but takes its time: no second rollout is started beside it.
#[tokio::test(start_paused = true)]
async fn an_execution_that_reads_late_is_waited_for() {
    let memory = Memory::new(account(false));
    memory.at(secs(25), |world| {
        world.executions.push(execution("pushed", None))
    });
    memory.at(secs(50), |world| {
        world.executions[0] = execution("pushed", Some("v1"))
    });
    let started = begun(&memory).await;
    assert_eq!(
        (started.execution.as_str(), started.by),
        ("pushed", StartedBy::Push)
    );
    assert_eq!(memory.count("StartPipelineExecution"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_deploy_joins_the_execution_that_runs() {
    let table = [
        (execution("earlier", Some("v0")), StartedBy::Earlier),
        (execution("earlier", None), StartedBy::Earlier),
        (execution("earlier", Some("v-1")), StartedBy::Request),
        (
            Execution {
                status: ExecutionStatus::Succeeded,
                ..execution("earlier", Some("v0"))
            },
            StartedBy::Request,
        ),
    ];
    for (earlier, want) in table {
        let memory = Memory::new(World {
            executions: vec![earlier.clone()],
            ..account(true)
        });
        assert_eq!(begun(&memory).await.by, want, "{earlier:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_put_makes_no_second_version() {
    for (effect, puts) in [(Effect::Done, 1), (Effect::None, 2)] {
        let memory = Memory::new(account(false));
        memory.fail("PutObject", 1, FailureKind::Lost, effect);
        let started = begun(&memory).await;
        assert_eq!(
            started.bundle,
            BundlePut::Put {
                version: "v1".to_owned()
            },
            "{effect:?}"
        );
        assert_eq!(memory.count("PutObject"), puts, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_start_makes_no_second_execution() {
    for effect in [Effect::Done, Effect::None] {
        let memory = Memory::new(account(true));
        memory.fail("StartPipelineExecution", 1, FailureKind::Fault, effect);
        let started = begun(&memory).await;
        let ids = memory.world(|world| {
            world
                .executions
                .iter()
                .map(|known| known.id.clone())
                .collect::<Vec<_>>()
        });
        assert_eq!(ids, [started.execution], "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_put_is_an_error_and_starts_nothing() {
    let memory = Memory::new(account(false));
    memory.fail("PutObject", 1, FailureKind::Access, Effect::None);
    assert!(
        begin(&memory, &StartOptions::new("token"))
            .await
            .0
            .unwrap_err()
            .is_access()
    );
    assert_eq!(memory.count("StartPipelineExecution"), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_push_starts_nothing() {
    let options = StartOptions {
        start: Start::Push { within: secs(600) },
        ..StartOptions::new("token")
    };
    let memory = Memory::new(account(true));
    memory.at(secs(400), |world| {
        world.executions.push(execution("pushed", None))
    });
    let started = begin(&memory, &options).await.0.unwrap();
    assert_eq!(
        (started.execution.as_str(), started.by),
        ("pushed", StartedBy::Push)
    );
    let ended = Execution {
        status: ExecutionStatus::Failed,
        ..execution("old", Some("v0"))
    };
    let memory = Memory::new(World {
        executions: vec![ended],
        ..account(true)
    });
    let error = begin(&memory, &options).await.0.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no execution of pipeline web started within 600 s"
    );
    assert_eq!(memory.count("StartPipelineExecution"), 0);
}

// ---- without the pipeline ----

async fn begin_image(memory: &Memory) -> Result<StartedImage, DeployError> {
    let definition = serde_json::json!({ "family": "web" });
    let app_spec = |arn: &str| format!("TaskDefinition: {arn}");
    let options = StartOptions::new("token");
    start_image(
        memory,
        &target(),
        &definition,
        &app_spec,
        "ecspipe deploy --image x",
        &options,
        &mut |_| {},
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn an_image_is_registered_and_deployed() {
    let memory = Memory::new(World::default());
    let started = begin_image(&memory).await.unwrap();
    assert_eq!(started.task_definition, definition(1));
    memory.world(|world| {
        assert_eq!(world.registered, [serde_json::json!({ "family": "web" })]);
        let made = world.deployment(&started.deployment).unwrap();
        assert_eq!(made.task_definition, Some(definition(1)));
        assert_eq!(
            made.description.as_deref(),
            Some("ecspipe deploy --image x")
        );
    });
}

#[tokio::test(start_paused = true)]
async fn a_deployment_in_flight_is_refused_before_anything_is_made() {
    let memory = Memory::new(World {
        deployments: vec![deployment("d-0", 0)],
        ..World::default()
    });
    let error = begin_image(&memory).await.unwrap_err();
    assert_eq!(error.to_string(), "deployment d-0 is in flight (Created)");
    assert!(error.hint().unwrap().contains("ecspipe watch d-0"));
    assert_eq!(memory.count("RegisterTaskDefinition"), 0);
}

/// Somebody else's deployment may come between the look and the creation.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_comes_between_is_named() {
    let memory = Memory::new(World::default());
    memory.fail("CreateDeployment", 1, FailureKind::Conflict, Effect::None);
    memory.at(Duration::from_millis(1), |world| {
        world.deployments.push(deployment("d-other", 0))
    });
    let error = begin_image(&memory).await.unwrap_err();
    assert!(
        matches!(&error, DeployError::InFlight { deployment, .. } if deployment == "d-other"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_creation_makes_no_second_deployment() {
    for kind in [
        FailureKind::Lost,
        FailureKind::Fault,
        FailureKind::Throttled,
    ] {
        for effect in [Effect::Done, Effect::None] {
            // A throttled request never has an effect.
            if kind == FailureKind::Throttled && effect == Effect::Done {
                continue;
            }
            let memory = Memory::new(World::default());
            memory.fail("CreateDeployment", 1, kind, effect);
            let started = begin_image(&memory).await.unwrap();
            let ids = memory.world(|world| {
                world
                    .deployments
                    .iter()
                    .map(|d| d.id.clone())
                    .collect::<Vec<_>>()
            });
            assert_eq!(ids, [started.deployment], "{kind:?}, {effect:?}");
            let calls = if effect == Effect::Done { 1 } else { 2 };
            assert_eq!(
                memory.count("CreateDeployment"),
                calls,
                "{kind:?}, {effect:?}"
            );
        }
    }
}

/// It may even have ended before it is looked for.
#[tokio::test(start_paused = true)]
async fn a_creation_whose_deployment_has_failed_already_is_found() {
    let memory = Memory::new(World::default());
    memory.fail("CreateDeployment", 1, FailureKind::Lost, Effect::Done);
    memory.at(secs(1), |world| {
        world.deployments[0].status = DeploymentStatus::Failed
    });
    let started = begin_image(&memory).await.unwrap();
    assert_eq!(memory.world(|world| world.deployments.len()), 1);
    assert_eq!(
        memory.world(|world| world.deployments[0].id.clone()),
        started.deployment
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_creation_is_an_error_at_once() {
    let memory = Memory::new(World::default());
    memory.fail("CreateDeployment", 1, FailureKind::Rejected, Effect::None);
    let error = begin_image(&memory).await.unwrap_err();
    assert!(matches!(error, DeployError::Cloud(_)));
    assert_eq!(memory.count("CreateDeployment"), 1);
}
