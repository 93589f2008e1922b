//! Legal rollouts, told as AWS would show them to one who looks at every change. What AWS.md §4.3 and §7 say, in code.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::event::Verdict;
use crate::snapshot::*;

/// How a story ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Succeeds,
    FailsWithoutRollback,
    FailsAndRollsBack,
    FailsAndRollbackFails,
    StoppedAndRolledBack,
    StoppedAndLeft,
    NobodyContinues,
    BuildFails,
    Superseded,
    Cancelled,
    StoppedInBuild,
    /// While production is split.
    AlarmStopsTheShift,
    /// While the old tasks are kept.
    AlarmAfterTheShift,
}

impl Ending {
    /// Whether it ends in the deployment.
    pub(super) fn in_deployment(self) -> bool {
        !matches!(
            self,
            Self::BuildFails | Self::Superseded | Self::Cancelled | Self::StoppedInBuild
        )
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plot {
    pub(super) ending: Ending,
    /// Through the pipeline, or without it.
    pub(super) pipeline: bool,
    /// With a wait at Ready.
    pub(super) ready: bool,
    /// With a canary, else all at once.
    pub(super) canary: bool,
    /// AWS.md §9 item 2: Succeeded is shown while the old tasks are still kept.
    pub(super) early_success: bool,
    /// So many new tasks fail while they are installed, and one that runs fails its health check at first.
    pub(super) crashes: u32,
}

impl Plot {
    pub(super) fn new(ending: Ending) -> Self {
        Self {
            ending,
            pipeline: true,
            ready: true,
            canary: false,
            early_success: false,
            crashes: 0,
        }
    }
}

pub(super) const READY_MINUTES: i64 = 60;
pub(super) const OLD_TASKS_MINUTES: i64 = 5;

/// A time in a story, in seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// The story, one snapshot a change, ten seconds apart.
pub(super) fn story(plot: Plot) -> Vec<Snapshot> {
    let mut teller = Teller::new(plot);
    teller.tell();
    teller.told
}

/// A deployment that has just been made.
pub(super) fn deployment(id: &str, created: i64) -> Deployment {
    Deployment {
        id: id.to_owned(),
        status: DeploymentStatus::Created,
        creator: Some("user".to_owned()),
        description: None,
        task_definition: Some(definition(2)),
        created: Some(at(created)),
        completed: None,
        error: None,
        rollback: None,
        termination_wait_started: false,
        lifecycle_events: Vec::new(),
        task_sets: Vec::new(),
    }
}

/// The ARN of a revision.
pub(super) fn definition(revision: u32) -> String {
    format!("arn:aws:ecs:eu-central-1:111122223333:task-definition/web:{revision}")
}

/// The end of a rollout of revision 2 that went well.
pub(super) fn succeeded() -> Verdict {
    Verdict::Succeeded {
        task_definition: Some(definition(2)),
    }
}

/// A task set.
pub(super) fn task_set(
    label: Label,
    status: TaskSetStatus,
    running: i64,
    revision: u32,
) -> TaskSet {
    let colour = label.as_str().to_lowercase();
    TaskSet {
        id: format!("ecs-svc/{colour}"),
        label: Some(label),
        status: Some(status),
        desired: 2,
        running,
        pending: 2 - running,
        traffic_weight: None,
        target_group: Some(format!("web-{colour}")),
        task_definition: Some(definition(revision)),
        created: None,
    }
}

/// A listener that sends everything to one target group.
pub(super) fn all_to(group: &str) -> Vec<Route> {
    vec![Route {
        target_group: group.to_owned(),
        weight: 1,
    }]
}

struct Teller {
    plot: Plot,
    now: Snapshot,
    told: Vec<Snapshot>,
}

impl Teller {
    fn new(plot: Plot) -> Self {
        let routing = if plot.canary {
            Routing::Canary {
                percent: 10,
                minutes: 5,
            }
        } else {
            Routing::AllAtOnce
        };
        let rolls_back = plot.ending != Ending::FailsWithoutRollback;
        let now = Snapshot {
            at: at(1_000),
            settings: Some(GroupSettings {
                ready_wait_minutes: plot.ready.then_some(READY_MINUTES),
                termination_wait_minutes: OLD_TASKS_MINUTES,
                routing: Some(routing),
                rollback_events: if rolls_back {
                    vec!["DEPLOYMENT_FAILURE".to_owned()]
                } else {
                    Vec::new()
                },
                alarms: Vec::new(),
            }),
            listeners: Some(Listeners {
                production: all_to("web-blue"),
                test: all_to("web-blue"),
            }),
            health: Some(BTreeMap::from([(
                "web-blue".to_owned(),
                Health {
                    healthy: 2,
                    total: 2,
                    failing: Vec::new(),
                },
            )])),
            ..Snapshot::default()
        };
        Self {
            plot,
            now,
            told: Vec::new(),
        }
    }

    fn tell(&mut self) {
        if self.plot.pipeline {
            self.pipeline_begins();
            if !self.plot.ending.in_deployment() {
                return self.build_ends_it();
            }
            self.step("Build", "Build", "CodeBuild", StepStatus::Succeeded, None);
            self.tick();
            self.step(
                "Deploy",
                "Deploy",
                "CodeDeployToECS",
                StepStatus::InProgress,
                None,
            );
            self.tick();
        }
        self.deployment_runs();
        if self.plot.pipeline {
            self.pipeline_ends();
        }
    }

    fn tick(&mut self) {
        self.told.push(self.now.clone());
        self.now.at = self
            .now
            .at
            .checked_add(SignedDuration::from_secs(10))
            .unwrap();
    }

    fn pipeline_begins(&mut self) {
        self.now.execution = Some(Execution {
            id: "execution".to_owned(),
            status: ExecutionStatus::InProgress,
            status_summary: None,
            trigger: Some(Trigger {
                kind: "CloudWatchEvent".to_owned(),
                detail: None,
            }),
            started: Some(self.now.at),
            revisions: Vec::new(),
            stages: Vec::new(),
        });
        self.tick();
        self.step(
            "Source",
            "Source",
            "CodeCommit",
            StepStatus::InProgress,
            None,
        );
        self.step("Source", "Bundle", "S3", StepStatus::InProgress, None);
        self.tick();
        self.step(
            "Source",
            "Source",
            "CodeCommit",
            StepStatus::Succeeded,
            None,
        );
        self.step("Source", "Bundle", "S3", StepStatus::Succeeded, None);
        let revision = |action: &str, id: &str| Revision {
            action: action.to_owned(),
            id: id.to_owned(),
            summary: None,
            url: None,
        };
        self.execution().revisions = vec![revision("Source", "c0ffee"), revision("Bundle", "v1")];
        self.tick();
        self.step("Build", "Build", "CodeBuild", StepStatus::InProgress, None);
        self.tick();
    }

    fn build_ends_it(&mut self) {
        let (step, status) = match self.plot.ending {
            Ending::BuildFails => (StepStatus::Failed, ExecutionStatus::Failed),
            Ending::Superseded => (StepStatus::Abandoned, ExecutionStatus::Superseded),
            Ending::Cancelled => (StepStatus::Cancelled, ExecutionStatus::Cancelled),
            _ => (StepStatus::Stopped, ExecutionStatus::Stopped),
        };
        let fault = || Fault {
            code: "BuildFailed".to_owned(),
            message: "docker build failed".to_owned(),
        };
        let error = (step == StepStatus::Failed).then(fault);
        self.step("Build", "Build", "CodeBuild", step, error);
        self.tick();
        self.execution().status = status;
        self.tick();
    }

    fn pipeline_ends(&mut self) {
        let succeeded = self.plot.ending == Ending::Succeeds;
        let (step, status) = if succeeded {
            (StepStatus::Succeeded, ExecutionStatus::Succeeded)
        } else {
            (StepStatus::Failed, ExecutionStatus::Failed)
        };
        let fault = || Fault {
            code: "DeploymentFailed".to_owned(),
            message: "the deployment failed".to_owned(),
        };
        self.step(
            "Deploy",
            "Deploy",
            "CodeDeployToECS",
            step,
            (!succeeded).then(fault),
        );
        self.tick();
        self.execution().status = status;
        self.tick();
    }

    /// Sets an action's status, and its stage's with it.
    fn step(
        &mut self,
        stage: &str,
        action: &str,
        provider: &str,
        status: StepStatus,
        error: Option<Fault>,
    ) {
        let now = self.now.at;
        let stages = &mut self.execution().stages;
        if !stages.iter().any(|known| known.name == stage) {
            stages.push(Stage {
                name: stage.to_owned(),
                status: None,
                actions: Vec::new(),
            });
        }
        let known = stages.iter_mut().find(|known| known.name == stage).unwrap();
        known.actions.retain(|known| known.name != action);
        known.actions.push(Action {
            name: action.to_owned(),
            category: None,
            provider: Some(provider.to_owned()),
            run: Some(format!("run-{action}")),
            status: Some(status.clone()),
            started: Some(now),
            summary: None,
            error,
            external_id: (action == "Deploy").then(|| "d-1".to_owned()),
            external_url: None,
        });
        let running = known
            .actions
            .iter()
            .any(|action| action.status == Some(StepStatus::InProgress));
        known.status = Some(if running {
            StepStatus::InProgress
        } else {
            status
        });
    }

    fn deployment_runs(&mut self) {
        let created = self.now.at.as_second();
        self.now.deployment = Some(deployment("d-1", created));
        self.tick();
        self.deployment().status = DeploymentStatus::InProgress;
        self.deployment().lifecycle_events = [
            "BeforeInstall",
            "Install",
            "AfterInstall",
            "AllowTestTraffic",
            "AfterAllowTestTraffic",
            "BeforeAllowTraffic",
            "AllowTraffic",
            "AfterAllowTraffic",
        ]
        .map(|name| LifecycleEvent {
            name: name.to_owned(),
            status: LifecycleStatus::Pending,
            started: None,
            ended: None,
            diagnostics: None,
        })
        .to_vec();
        self.deployment().task_sets = vec![task_set(Label::Blue, TaskSetStatus::Primary, 2, 1)];
        self.tick();
        self.event("BeforeInstall", LifecycleStatus::Skipped);
        self.install();
        if self.fails() {
            return;
        }
        for name in ["AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic"] {
            self.event(name, LifecycleStatus::InProgress);
            self.tick();
            self.event(name, LifecycleStatus::Succeeded);
            if name == "AllowTestTraffic" {
                self.now.listeners.as_mut().unwrap().test = all_to("web-green");
            }
        }
        self.tick();
        if self.plot.ready {
            self.deployment().status = DeploymentStatus::Ready;
            self.tick();
        }
        if self.is_stopped() {
            return;
        }
        self.deployment().status = DeploymentStatus::InProgress;
        if self.shift() {
            self.finish();
        }
    }

    fn install(&mut self) {
        self.event("Install", LifecycleStatus::InProgress);
        self.tick();
        for number in 1..=self.plot.crashes {
            self.crash(number);
        }
        for running in 0..=2 {
            self.deployment().task_sets = vec![
                task_set(Label::Blue, TaskSetStatus::Primary, 2, 1),
                task_set(Label::Green, TaskSetStatus::Active, running, 2),
            ];
            self.tick();
        }
        let health = Health {
            healthy: 2,
            total: 2,
            failing: Vec::new(),
        };
        self.now
            .health
            .as_mut()
            .unwrap()
            .insert("web-green".to_owned(), health);
    }

    /// A new task fails; what it said last is known a little later.
    fn crash(&mut self, number: u32) {
        self.deployment().task_sets = vec![
            task_set(Label::Blue, TaskSetStatus::Primary, 2, 1),
            task_set(Label::Green, TaskSetStatus::Active, 0, 2),
        ];
        let stopped = Some(self.now.at);
        self.now.stopped_tasks.push(StoppedTask {
            id: format!("task-{number}"),
            task_set: Some("ecs-svc/green".to_owned()),
            task_definition: Some(definition(2)),
            stopped,
            code: Some(StopCode::EssentialContainerExited),
            reason: Some("Essential container in task exited".to_owned()),
            containers: Vec::new(),
            log: Vec::new(),
        });
        let failing = Health {
            healthy: 0,
            total: 1,
            failing: vec![FailingTarget {
                target: format!("10.0.0.{number}:80"),
                reason: "Target.Timeout".to_owned(),
                description: Some("Request timed out".to_owned()),
            }],
        };
        let health = self.now.health.as_mut().unwrap();
        health.insert("web-green".to_owned(), failing);
        self.tick();
        let task = self.now.stopped_tasks.last_mut().unwrap();
        task.log = vec![format!("panic {number}")];
        self.tick();
    }

    fn fails(&mut self) -> bool {
        let rollback = match self.plot.ending {
            Ending::FailsWithoutRollback => None,
            Ending::FailsAndRollsBack => Some(DeploymentStatus::Succeeded),
            Ending::FailsAndRollbackFails => Some(DeploymentStatus::Failed),
            _ => {
                self.event("Install", LifecycleStatus::Succeeded);
                self.tick();
                return false;
            }
        };
        self.event("Install", LifecycleStatus::Failed);
        let message = "The task set did not get healthy.".to_owned();
        self.end(
            DeploymentStatus::Failed,
            Some(Fault {
                code: "TIMEOUT".to_owned(),
                message,
            }),
        );
        if let Some(end) = rollback {
            self.roll_back(end);
        }
        true
    }

    fn is_stopped(&mut self) -> bool {
        let (code, message) = match self.plot.ending {
            Ending::StoppedAndRolledBack | Ending::StoppedAndLeft => {
                ("MANUAL_STOP", "Deployment stopped by user.")
            }
            Ending::NobodyContinues => ("TIMEOUT", "Nobody continued the deployment in time."),
            _ => return false,
        };
        let error = Fault {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.end(DeploymentStatus::Stopped, Some(error));
        if self.plot.ending == Ending::StoppedAndRolledBack {
            self.roll_back(DeploymentStatus::Succeeded);
        }
        true
    }

    /// Whether it comes to its end.
    fn shift(&mut self) -> bool {
        self.event("BeforeAllowTraffic", LifecycleStatus::Skipped);
        self.event("AllowTraffic", LifecycleStatus::InProgress);
        self.tick();
        if self.plot.canary {
            let route = |group: &str, weight| Route {
                target_group: group.to_owned(),
                weight,
            };
            let split = vec![route("web-blue", 90), route("web-green", 10)];
            self.now.listeners.as_mut().unwrap().production = split;
            self.tick();
        }
        if self.plot.ending == Ending::AlarmStopsTheShift {
            self.event("AllowTraffic", LifecycleStatus::Failed);
            self.alarm();
            return false;
        }
        self.now.listeners.as_mut().unwrap().production = all_to("web-green");
        self.tick();
        self.event("AllowTraffic", LifecycleStatus::Succeeded);
        self.event("AfterAllowTraffic", LifecycleStatus::Succeeded);
        self.deployment().task_sets = vec![
            task_set(Label::Blue, TaskSetStatus::Active, 2, 1),
            task_set(Label::Green, TaskSetStatus::Primary, 2, 2),
        ];
        self.tick();
        true
    }

    /// An alarm ends the deployment, and it is rolled back.
    fn alarm(&mut self) {
        let error = Fault {
            code: "ALARM_ACTIVE".to_owned(),
            message: "One or more alarms have been activated.".to_owned(),
        };
        self.end(DeploymentStatus::Stopped, Some(error));
        self.roll_back(DeploymentStatus::Succeeded);
    }

    fn finish(&mut self) {
        self.deployment().termination_wait_started = true;
        if self.plot.early_success {
            self.deployment().status = DeploymentStatus::Succeeded;
        }
        self.tick();
        if self.plot.ending == Ending::AlarmAfterTheShift {
            return self.alarm();
        }
        self.deployment().task_sets[0].status = Some(TaskSetStatus::Draining);
        self.tick();
        self.deployment().task_sets.remove(0);
        self.end(DeploymentStatus::Succeeded, None);
    }

    fn end(&mut self, status: DeploymentStatus, error: Option<Fault>) {
        let now = self.now.at;
        let deployment = self.deployment();
        deployment.status = status;
        deployment.error = error;
        deployment.completed = Some(now);
        self.tick();
    }

    fn roll_back(&mut self, end: DeploymentStatus) {
        let now = self.now.at.as_second();
        self.deployment().rollback = Some(RollbackInfo {
            rollback_deployment: Some("d-2".to_owned()),
            triggering_deployment: None,
            message: Some("Rollback was started.".to_owned()),
        });
        let mut rollback = deployment("d-2", now);
        rollback.creator = Some(ROLLBACK_CREATOR.to_owned());
        rollback.rollback = Some(RollbackInfo {
            triggering_deployment: Some("d-1".to_owned()),
            ..RollbackInfo::default()
        });
        self.now.rollback = Some(rollback);
        self.tick();
        for status in [DeploymentStatus::InProgress, end] {
            let rollback = self.now.rollback.as_mut().unwrap();
            rollback.status = status;
            self.now.listeners = Some(Listeners {
                production: all_to("web-blue"),
                test: all_to("web-blue"),
            });
            self.tick();
        }
    }

    fn event(&mut self, name: &str, status: LifecycleStatus) {
        let now = self.now.at;
        let events = &mut self.deployment().lifecycle_events;
        let event = events.iter_mut().find(|event| event.name == name).unwrap();
        event.status = status;
        if event.status == LifecycleStatus::InProgress {
            event.started = Some(now);
        } else {
            event.ended = Some(now);
        }
    }

    fn execution(&mut self) -> &mut Execution {
        self.now.execution.as_mut().unwrap()
    }

    fn deployment(&mut self) -> &mut Deployment {
        self.now.deployment.as_mut().unwrap()
    }
}
