//! How things went over time, for a page or a summary: what began when and how long it took, and how numbers changed. Must not know
//! how it is shown.

use std::collections::BTreeMap;

use ecspipe_deploy::{Event, Label, Listener, Timestamp, Wait};

use super::picture::{Picture, State, Step};

/// An event with its time, and in words where there are any.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// When it came.
    pub(crate) at: Timestamp,
    /// What.
    pub(crate) event: Event,
    /// In words.
    pub(crate) text: Option<String>,
}

/// Something that took a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its name.
    pub(crate) name: String,
    /// What it is part of; empty for stages.
    pub(crate) of: String,
    /// How it went.
    pub(crate) course: Course,
    /// When it began, as far as it was seen.
    pub(crate) from: Timestamp,
    /// When it ended; `None`: it goes on.
    pub(crate) to: Option<Timestamp>,
}

/// How a span went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Course {
    /// A step, with its state.
    Step(State),
    /// Nothing happened: somebody or some time was waited for.
    Wait,
}

/// A number that changes at moments and stays between them.
pub(crate) type Series = Vec<(Timestamp, i64)>;

/// Stages, lifecycle events and waits, in the order in which they began.
pub(crate) fn spans(picture: &Picture, told: &[Told]) -> Vec<Span> {
    let stages = picture
        .execution
        .iter()
        .flat_map(|execution| &execution.stages);
    let mut spans: Vec<Span> = stages.filter_map(|stage| span(&stage.step, "")).collect();
    for deployment in &picture.deployments {
        spans.extend(
            deployment
                .events
                .iter()
                .filter_map(|event| span(event, &deployment.id)),
        );
    }
    spans.extend(waits(told));
    // Stages first where two began together: what is in them comes below.
    spans.sort_by_key(|span| (span.from, !span.of.is_empty()));
    spans
}

/// A step that was left out took no time, and one of which only the end was seen took none that is known.
fn span(step: &Step, of: &str) -> Option<Span> {
    let from = step.begun.or(step.ended)?;
    if step.begun.is_none() && matches!(step.state, State::Other(_)) {
        return None;
    }
    Some(Span {
        name: step.name.clone(),
        of: of.to_owned(),
        course: Course::Step(step.state.clone()),
        from,
        to: step.ended,
    })
}

fn waits(told: &[Told]) -> Vec<Span> {
    let mut waits: Vec<Span> = Vec::new();
    let mut open: Option<Span> = None;
    for one in told {
        let is_end = matches!(&one.event, Event::Ended { verdict, .. } if verdict.is_final());
        let next = match &one.event {
            Event::WaitEntered { wait, .. } => named(wait).map(|(name, of)| Span {
                name: name.to_owned(),
                of: of.to_owned(),
                course: Course::Wait,
                from: one.at,
                to: None,
            }),
            _ if is_end => None,
            _ => continue,
        };
        if let Some(last) = open.take() {
            match &next {
                // Its end has become known.
                Some(next) if next.name == last.name && next.of == last.of => {
                    open = Some(last);
                    continue;
                }
                _ => waits.push(Span {
                    to: Some(one.at),
                    ..last
                }),
            }
        }
        open = next;
    }
    waits.extend(open);
    waits
}

/// The waits that are worth a bar: the others are the time of a step.
fn named(wait: &Wait) -> Option<(&str, &str)> {
    Some(match wait {
        Wait::Reroute { deployment } => ("waits for a person", deployment),
        Wait::Checks { deployment } => ("waits for the checks", deployment),
        Wait::PipelineApproval { action, .. } => ("waits for a person", action),
        Wait::OldTasks { deployment } => ("keeps the old tasks", deployment),
        Wait::RollbackStart { deployment } => ("waits for the rollback", deployment),
        _ => return None,
    })
}

/// The percentage of a listener's requests that the new tasks get. Before there are any it is nothing.
pub(crate) fn share(told: &[Told], listener: Listener) -> Series {
    let mut picture = Picture::default();
    let mut series = Series::new();
    for one in told {
        picture.take(one.at, &one.event);
        let traffic = match listener {
            Listener::Production => &picture.production,
            Listener::Test => &picture.test,
        };
        if traffic.routes.is_empty() {
            continue;
        }
        let percent = i64::from(picture.share(traffic).unwrap_or(0));
        if series.last().is_none_or(|(_, last)| *last != percent) {
            series.push((one.at, percent));
        }
    }
    series
}

/// How many tasks run on each side, old and new, of all deployments: a rollback's new tasks are on the side of the new.
pub(crate) fn running(told: &[Told]) -> [Series; 2] {
    [Label::Blue, Label::Green].map(|side| {
        let mut sets: BTreeMap<&str, i64> = BTreeMap::new();
        let mut series = Series::new();
        for one in told {
            match &one.event {
                Event::TaskSetChanged {
                    task_set,
                    label: Some(label),
                    running,
                    ..
                } if *label == side => {
                    sets.insert(task_set, *running);
                }
                Event::TaskSetDeleted {
                    task_set,
                    label: Some(label),
                    ..
                } if *label == side => {
                    sets.remove(task_set.as_str());
                }
                _ => continue,
            }
            series.push((one.at, sets.values().sum()));
        }
        series
    })
}
