//! What has been seen of a rollout so far, folded from its events. Must not know how it is shown, ask AWS, or judge.

use std::collections::BTreeMap;

use ecspipe_deploy::{
    DeploymentStatus, Event, ExecutionStatus, Health, Label, LifecycleStatus, Listener, LogSource,
    Revision, Route, StepStatus, TaskSetStatus, Timestamp, Trigger, Verdict, Wait,
};

/// A rollout as far as it has been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    /// When it began: when the first event came, or what it tells of began.
    pub(crate) begun: Option<Timestamp>,
    /// What happens before there is anything to follow.
    pub(crate) before: Option<Before>,
    /// The pipeline's part.
    pub(crate) execution: Option<Execution>,
    /// The deployment, and the one that rolls it back.
    pub(crate) deployments: Vec<Deployment>,
    /// Where the listeners send requests.
    pub(crate) production: Traffic,
    /// The same for the test listener.
    pub(crate) test: Traffic,
    /// The targets of each target group.
    pub(crate) health: BTreeMap<String, Health>,
    /// What is waited for.
    pub(crate) wait: Option<Waiting>,
    /// The last lines of the log of what failed last.
    pub(crate) said: Option<Said>,
    /// How it ended.
    pub(crate) verdict: Option<Verdict>,
    /// When the last event came.
    pub(crate) last: Option<Timestamp>,
}

/// What happens before there is anything to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// The deployment files were put, or are there.
    Files,
    /// The pipeline should start by itself until then.
    Push(Timestamp),
    /// A task definition was registered.
    Definition,
}

/// An execution of the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    /// Its id.
    pub(crate) id: String,
    /// Its status, once it has been told.
    pub(crate) status: Option<ExecutionStatus>,
    /// What started it.
    pub(crate) trigger: Option<Trigger>,
    /// What it deploys.
    pub(crate) revisions: Vec<Revision>,
    /// Its stages, as they were reached.
    pub(crate) stages: Vec<Stage>,
}

/// A stage.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Its own course.
    pub(crate) step: Step,
    /// Those of its actions.
    pub(crate) actions: Vec<Step>,
}

/// A deployment.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// Its id.
    pub(crate) id: String,
    /// Its status.
    pub(crate) status: DeploymentStatus,
    /// What it rolls out.
    pub(crate) task_definition: Option<String>,
    /// The deployment that it rolls back.
    pub(crate) rolls_back: Option<String>,
    /// Why it failed or was stopped.
    pub(crate) why: Option<String>,
    /// Its lifecycle events, as they were reached.
    pub(crate) events: Vec<Step>,
    /// How many of its new tasks have failed.
    pub(crate) failures: u32,
    /// Its task sets, as they were first seen.
    pub(crate) task_sets: Vec<TaskSet>,
    /// When it was first seen.
    pub(crate) begun: Timestamp,
    /// When it was seen to have ended.
    pub(crate) ended: Option<Timestamp>,
}

/// Something that begins and ends: a stage, an action, a lifecycle event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) state: State,
    /// When it was seen to begin; not all are.
    pub(crate) begun: Option<Timestamp>,
    /// When it was seen to end.
    pub(crate) ended: Option<Timestamp>,
    /// What went wrong.
    pub(crate) why: Option<String>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It goes on.
    Open,
    /// It ended well.
    Done,
    /// It failed.
    Failed,
    /// It ended otherwise, in AWS's word: `Skipped`, `Stopped`.
    Other(String),
}

/// Tasks of one side.
#[derive(Debug, Clone)]
pub(crate) struct TaskSet {
    /// Its id.
    pub(crate) id: String,
    /// Its side.
    pub(crate) label: Option<Label>,
    /// Its status.
    pub(crate) status: Option<TaskSetStatus>,
    /// How many tasks it should have.
    pub(crate) desired: i64,
    /// How many run.
    pub(crate) running: i64,
    /// The target group that they are in.
    pub(crate) target_group: Option<String>,
    /// What they run.
    pub(crate) task_definition: Option<String>,
    /// It is deleted.
    pub(crate) gone: bool,
}

/// Where a listener sends requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    /// The target groups with their weights; empty until it is known.
    pub(crate) routes: Vec<Route>,
    /// The percentage that the new tasks get, where that is known.
    pub(crate) percent: Option<u8>,
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Of what.
    pub(crate) source: LogSource,
    /// The lines, oldest first.
    pub(crate) lines: Vec<String>,
}

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// What.
    pub(crate) wait: Wait,
    /// Until when, where that is known.
    pub(crate) until: Option<Timestamp>,
    /// Since when.
    pub(crate) since: Timestamp,
}

impl Picture {
    /// The picture after one more event, which came `at` this time. Says whether the event is in the picture now: what isn't
    /// has to be told in words.
    pub(crate) fn take(&mut self, at: Timestamp, event: &Event) -> bool {
        self.begun.get_or_insert(at);
        self.last = Some(at);
        match event {
            Event::BundlePut { .. } | Event::BundleUnchanged { .. } => {
                self.before = Some(Before::Files);
            }
            Event::PushAwaited { seconds, .. } => {
                let within = std::time::Duration::from_secs(*seconds);
                self.before = Some(Before::Push(at.saturating_add(within).unwrap_or(at)));
            }
            Event::TaskDefinitionRegistered { .. } => self.before = Some(Before::Definition),
            Event::ExecutionStarted { execution, .. } => {
                self.execution(execution);
            }
            Event::DeploymentCreated {
                deployment,
                task_definition,
            } => {
                let found = self.deployment(at, deployment);
                found.task_definition = Some(task_definition.clone());
            }
            Event::ExecutionFound { execution, trigger } => {
                let found = self.execution(execution);
                found.trigger = trigger.clone().or(found.trigger.take());
            }
            Event::RevisionsFound {
                execution,
                revisions,
            } => self.execution(execution).revisions = revisions.clone(),
            Event::ExecutionChanged {
                execution, status, ..
            } => self.execution(execution).status = Some(status.clone()),
            Event::StageStarted { stage } => begin(&mut self.stage(stage).step, at),
            Event::StageEnded { stage, status } => {
                end(&mut self.stage(stage).step, at, state_of(status), None);
            }
            Event::ActionStarted { stage, action, .. } => begin(self.action(stage, action), at),
            Event::ActionEnded {
                stage,
                action,
                status,
                error,
                ..
            } => {
                let why = error
                    .as_ref()
                    .map(|error| format!("{} ({})", error.message, error.code));
                end(self.action(stage, action), at, state_of(status), why);
            }
            Event::DeploymentFound {
                deployment,
                status,
                task_definition,
                created,
                completed,
                ..
            } => {
                let created = not_after(at, *created);
                self.begun = self.begun.map(|begun| begun.min(created));
                let found = self.deployment(created, deployment);
                found.status = status.clone();
                found.task_definition = task_definition.clone().or(found.task_definition.take());
                found.close(not_after(at, *completed));
            }
            Event::DeploymentChanged {
                deployment,
                status,
                error,
            } => {
                let found = self.deployment(at, deployment);
                found.status = status.clone();
                found.why = error
                    .as_ref()
                    .map(|error| format!("{} ({})", error.message, error.code));
                found.close(at);
            }
            Event::RollbackStarted {
                deployment,
                rollback,
                ..
            } => self.deployment(at, rollback).rolls_back = Some(deployment.clone()),
            Event::LifecycleEventStarted {
                deployment,
                name,
                started,
            } => {
                let events = &mut self.deployment(at, deployment).events;
                begin(step(events, name), not_after(at, *started));
            }
            Event::LifecycleEventEnded {
                deployment,
                name,
                status,
                ended,
                diagnostics,
            } => {
                let events = &mut self.deployment(at, deployment).events;
                let state = match status {
                    LifecycleStatus::Succeeded => State::Done,
                    LifecycleStatus::Failed => State::Failed,
                    other => State::Other(other.to_string()),
                };
                let ended = not_after(at, *ended);
                end(step(events, name), ended, state, diagnostics.clone());
            }
            Event::TaskSetChanged {
                deployment,
                task_set,
                label,
                status,
                desired,
                running,
                target_group,
                task_definition,
                ..
            } => {
                let sets = &mut self.deployment(at, deployment).task_sets;
                sets.retain(|set| set.id != *task_set);
                sets.push(TaskSet {
                    id: task_set.clone(),
                    label: label.clone(),
                    status: status.clone(),
                    desired: *desired,
                    running: *running,
                    target_group: target_group.clone(),
                    task_definition: task_definition.clone(),
                    gone: false,
                });
                sets.sort_by_key(|set| set.label != Some(Label::Blue));
            }
            Event::TaskSetDeleted {
                deployment,
                task_set,
                ..
            } => {
                let sets = &mut self.deployment(at, deployment).task_sets;
                for set in sets.iter_mut().filter(|set| set.id == *task_set) {
                    set.gone = true;
                    set.running = 0;
                }
            }
            Event::HealthChanged {
                target_group,
                health,
            } => {
                self.health.insert(target_group.clone(), health.clone());
            }
            Event::TrafficRouted {
                listener,
                routes,
                percent,
            } => {
                let traffic = match listener {
                    Listener::Production => &mut self.production,
                    Listener::Test => &mut self.test,
                };
                *traffic = Traffic {
                    routes: routes.clone(),
                    percent: *percent,
                };
            }
            Event::WaitEntered { wait, until } => {
                let same = self.wait.as_ref().filter(|have| have.wait == *wait);
                self.wait = Some(Waiting {
                    wait: wait.clone(),
                    until: *until,
                    since: same.map_or(at, |have| have.since),
                });
            }
            Event::LogTail { source, lines } => {
                self.said = Some(Said {
                    source: source.clone(),
                    lines: lines.clone(),
                });
            }
            // How each one failed is told in words.
            Event::TaskFailed {
                deployment,
                failures,
                ..
            } => {
                self.deployment(at, deployment).failures = *failures;
                return false;
            }
            Event::Ended { verdict, .. } => self.verdict = Some(verdict.clone()),
            _ => return false,
        }
        true
    }

    /// The percentage of `traffic` that the new tasks get, where they are known: they may have come after it was told.
    pub(crate) fn share(&self, traffic: &Traffic) -> Option<u8> {
        let mut own = self
            .deployments
            .iter()
            .filter(|deployment| deployment.rolls_back.is_none());
        let new = own.next_back().and_then(|deployment| {
            let mut sets = deployment.task_sets.iter();
            sets.find(|set| set.label == Some(Label::Green))
        });
        let group = new.and_then(|set| set.target_group.as_deref());
        traffic.percent.or_else(|| share(&traffic.routes, group?))
    }

    fn execution(&mut self, id: &str) -> &mut Execution {
        self.before = None;
        if self.execution.as_ref().is_some_and(|have| have.id != id) {
            self.execution = None;
        }
        self.execution.get_or_insert_with(|| Execution {
            id: id.to_owned(),
            status: None,
            trigger: None,
            revisions: Vec::new(),
            stages: Vec::new(),
        })
    }

    fn stage(&mut self, name: &str) -> &mut Stage {
        let id = self.execution.as_ref().map(|have| have.id.clone());
        let stages = &mut self.execution(&id.unwrap_or_default()).stages;
        let at = stages
            .iter()
            .position(|stage| stage.step.name == name)
            .unwrap_or_else(|| {
                stages.push(Stage {
                    step: Step::new(name),
                    actions: Vec::new(),
                });
                stages.len() - 1
            });
        &mut stages[at]
    }

    fn action(&mut self, stage: &str, action: &str) -> &mut Step {
        step(&mut self.stage(stage).actions, action)
    }

    fn deployment(&mut self, at: Timestamp, id: &str) -> &mut Deployment {
        self.before = None;
        let place = self.deployments.iter().position(|have| have.id == id);
        let place = place.unwrap_or_else(|| {
            self.deployments.push(Deployment {
                id: id.to_owned(),
                status: DeploymentStatus::Created,
                task_definition: None,
                rolls_back: None,
                why: None,
                events: Vec::new(),
                failures: 0,
                task_sets: Vec::new(),
                begun: at,
                ended: None,
            });
            self.deployments.len() - 1
        });
        &mut self.deployments[place]
    }
}

impl Deployment {
    /// How far it is.
    pub(crate) fn state(&self) -> State {
        match &self.status {
            DeploymentStatus::Succeeded => State::Done,
            DeploymentStatus::Failed => State::Failed,
            DeploymentStatus::Stopped => State::Other(self.status.to_string()),
            _ => State::Open,
        }
    }

    fn close(&mut self, at: Timestamp) {
        self.ended = match self.state() {
            State::Open => None,
            _ => self.ended.or(Some(at)),
        };
    }
}

impl Step {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Open,
            begun: None,
            ended: None,
            why: None,
        }
    }
}

/// The percentage that one of the routes gets.
pub(crate) fn share(routes: &[Route], group: &str) -> Option<u8> {
    let weight = |route: &Route| route.weight.max(0);
    let total: i64 = routes.iter().map(weight).sum();
    let of_group = routes.iter().filter(|route| route.target_group == group);
    let part: i64 = of_group.map(weight).sum();
    u8::try_from((part * 100 + total / 2).checked_div(total)?).ok()
}

fn step<'a>(steps: &'a mut Vec<Step>, name: &str) -> &'a mut Step {
    let place = steps.iter().position(|step| step.name == name);
    let place = place.unwrap_or_else(|| {
        steps.push(Step::new(name));
        steps.len() - 1
    });
    &mut steps[place]
}

/// A step that begins again was tried again.
fn begin(step: &mut Step, at: Timestamp) {
    *step = Step {
        begun: Some(at),
        ..Step::new(&step.name)
    };
}

/// AWS's own time, where it gives one: whoever follows sees things later than they happen, and may come when all is over.
fn not_after(at: Timestamp, told: Option<Timestamp>) -> Timestamp {
    told.map_or(at, |told| told.min(at))
}

fn end(step: &mut Step, at: Timestamp, state: State, why: Option<String>) {
    step.state = state;
    step.ended = Some(at);
    step.why = why.filter(|why| !why.is_empty());
}

fn state_of(status: &StepStatus) -> State {
    match status {
        StepStatus::Succeeded => State::Done,
        StepStatus::Failed => State::Failed,
        StepStatus::InProgress | StepStatus::Stopping => State::Open,
        other => State::Other(other.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Whoever comes when all is over sees everything at once, and yet how long it took.
    #[test]
    fn times_are_awss_own() {
        let deployment = || "d-1".to_owned();
        let name = || "Install".to_owned();
        let events = [
            Event::DeploymentFound {
                deployment: deployment(),
                status: DeploymentStatus::Succeeded,
                creator: None,
                task_definition: None,
                created: Some(at(100)),
                completed: Some(at(190)),
            },
            Event::LifecycleEventStarted {
                deployment: deployment(),
                name: name(),
                started: Some(at(110)),
            },
            Event::LifecycleEventEnded {
                deployment: deployment(),
                name: name(),
                status: LifecycleStatus::Succeeded,
                ended: Some(at(150)),
                diagnostics: None,
            },
            // A clock that is ahead of ours tells nothing of the future.
            Event::LifecycleEventStarted {
                deployment: deployment(),
                name: "AfterInstall".to_owned(),
                started: Some(at(5_000)),
            },
        ];
        let mut picture = Picture::default();
        for event in &events {
            picture.take(at(4_000), event);
        }
        assert_eq!(picture.begun, Some(at(100)));
        let found = &picture.deployments[0];
        assert_eq!((found.begun, found.ended), (at(100), Some(at(190))));
        let times = |step: &Step| (step.begun, step.ended);
        assert_eq!(times(&found.events[0]), (Some(at(110)), Some(at(150))));
        assert_eq!(times(&found.events[1]), (Some(at(4_000)), None));
    }
}
