//! A plan being carried out, and what came of it. Must not plan, or show a plan.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ecspipe_provision::{
    Act, ActionKind, Because, Cause, CloudError, Conclusion, Event, Key, Outputs,
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{Format, Global};
use crate::report::style::{Style, span};
use crate::world::World;

/// Shows a plan being carried out: spinners on a terminal, a line a step elsewhere, JSON lines on wish.
pub(crate) struct Run<'a> {
    world: &'a World,
    style: Style,
    json: bool,
    total: usize,
    done: usize,
    started: Instant,
    steps: BTreeMap<usize, InFlight>,
    bars: Option<(MultiProgress, ProgressBar)>,
}

struct InFlight {
    since: Instant,
    bar: Option<ProgressBar>,
    said: Option<String>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(world: &'a World, global: &Global) -> Self {
        let json = global.format == Format::Json;
        Self {
            world,
            style: Style::of(world, global),
            json,
            total: 0,
            done: 0,
            started: Instant::now(),
            steps: BTreeMap::new(),
            bars: (world.live && !json).then(bars),
        }
    }

    /// One event of the engine.
    pub(crate) fn event(&mut self, event: &Event) {
        if self.json {
            super::json(self.world, event);
        }
        match event {
            Event::PlanMade { summary } => {
                self.total = summary.create + summary.update + summary.replace + summary.delete;
                if let Some((_, total)) = &self.bars {
                    total.set_length(self.total as u64);
                }
            }
            Event::StepStarted { step, key, action } => self.start(*step, key, *action),
            Event::StepProgressed {
                step,
                key,
                waiting_for,
            } => self.progress(*step, key, waiting_for),
            Event::StepFinished {
                step, key, action, ..
            } => self.finish(*step, key, *action),
            Event::StepFailed {
                step,
                key,
                action,
                error,
            } => self.fail(*step, key, *action, error),
            Event::StepSkipped { key, because, .. } => self.skip(key, because),
            // Told when the command ends, with the way on.
            Event::Concluded { .. } => {}
            Event::Cancelled { in_flight } => {
                let again = match self.world.cancel().is_cancelled() {
                    true => " (Ctrl-C again stops at once)",
                    // It was the lease that was lost.
                    false => ": somebody has taken the lease away",
                };
                self.say(format!("stopping: {in_flight} steps in flight are finished, nothing new is begun{again}"));
            }
        }
    }

    fn start(&mut self, step: usize, key: &Key, action: ActionKind) {
        let bar = self.bars.as_ref().map(|(bars, total)| {
            let bar = bars.insert_before(total, ProgressBar::new_spinner());
            bar.set_style(spinner());
            bar.set_message(format!("{} {key}", doing(action)));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        self.steps.insert(
            step,
            InFlight {
                since: Instant::now(),
                bar,
                said: None,
            },
        );
    }

    fn progress(&mut self, step: usize, key: &Key, waiting_for: &str) {
        let Some(in_flight) = self.steps.get_mut(&step) else {
            return;
        };
        if in_flight.said.as_deref() == Some(waiting_for) {
            return;
        }
        in_flight.said = Some(waiting_for.to_owned());
        match &in_flight.bar {
            Some(bar) => bar.set_message(format!("{key}: waiting for {waiting_for}")),
            None => self.say(format!("  … {key}: waiting for {waiting_for}")),
        }
    }

    fn finish(&mut self, step: usize, key: &Key, action: ActionKind) {
        let took = self.end(step);
        self.done += 1;
        if let Some((_, total)) = &self.bars {
            total.set_position(self.done as u64);
        }
        let line = format!(
            "  {} {:<34} {} {}",
            self.style.good("✓"),
            key.to_string(),
            done(action),
            self.style.dim(&format!("({})", span(took)))
        );
        self.say(line);
    }

    fn fail(&mut self, step: usize, key: &Key, action: ActionKind, error: &CloudError) {
        self.end(step);
        self.say(format!(
            "  {} {key}: not {}: {error}",
            self.style.bad("✗"),
            done(action)
        ));
    }

    fn skip(&mut self, key: &Key, because: &Because) {
        let because = match because {
            Because::Failed { key } => format!("{key} failed"),
            Because::Cancelled => "the run was stopped".to_owned(),
        };
        self.say(format!(
            "  {} {key}: skipped, {because}",
            self.style.dim("·")
        ));
    }

    fn end(&mut self, step: usize) -> Duration {
        let Some(in_flight) = self.steps.remove(&step) else {
            return Duration::ZERO;
        };
        if let Some(bar) = in_flight.bar {
            bar.finish_and_clear();
        }
        in_flight.since.elapsed()
    }

    fn say(&self, line: String) {
        if self.json {
            return;
        }
        match &self.bars {
            Some((bars, _)) => {
                let _ = bars.println(line);
            }
            None => self.world.err(line),
        }
    }

    /// The end of the run.
    pub(crate) fn close(&mut self, conclusion: &Conclusion) {
        if let Some((_, total)) = self.bars.take() {
            total.finish_and_clear();
        }
        if self.json {
            return;
        }
        let took = span(self.started.elapsed());
        let done = conclusion.done.len();
        if conclusion.is_complete() {
            let steps = if done == 1 { "step" } else { "steps" };
            let text = format!("done: {done} {steps} in {took}");
            self.world.err(self.style.good(&text));
        } else {
            let text = format!(
                "incomplete after {took}: {done} done, {} failed, {} not begun",
                conclusion.failed(),
                conclusion.not_begun()
            );
            self.world.err(self.style.bad(&text));
        }
    }
}

/// One cause of an incomplete run: what failed of it, its next step, what it holds up.
pub(crate) fn cause(cause: &Cause) -> Vec<String> {
    let error = &cause.error;
    let mut lines = vec![match cause.failed.as_slice() {
        [alone] => format!("{}: {error}", alone.key),
        several => format!("{} steps ({}): {error}", several.len(), named(several)),
    }];
    lines.extend(
        error
            .request_id
            .iter()
            .map(|id| format!("  request id: {id}")),
    );
    lines.extend(error.hint.iter().map(|hint| format!("  next: {hint}")));
    if !cause.not_begun.is_empty() {
        let (count, names) = (cause.not_begun.len(), named(&cause.not_begun));
        lines.push(format!("  not begun because of it: {count} ({names})"));
    }
    lines
}

/// The first few of many.
fn named(acts: &[Act]) -> String {
    const MOST: usize = 4;
    let mut names: Vec<String> = acts
        .iter()
        .take(MOST)
        .map(|act| act.key.to_string())
        .collect();
    if acts.len() > MOST {
        names.push(format!("and {} more", acts.len() - MOST));
    }
    names.join(", ")
}

fn bars() -> (MultiProgress, ProgressBar) {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let total = bars.add(ProgressBar::new(0));
    if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} steps, {elapsed}") {
        total.set_style(style);
    }
    (bars, total)
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn doing(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Create => "creating",
        ActionKind::Update => "changing",
        ActionKind::Replace => "replacing",
        ActionKind::Delete => "deleting",
    }
}

fn done(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Create => "created",
        ActionKind::Update => "changed",
        ActionKind::Replace => "replaced",
        ActionKind::Delete => "deleted",
    }
}

/// Prints where the app is.
pub(crate) fn outputs(world: &World, global: &Global, outputs: &Outputs) {
    if global.format == Format::Json {
        return super::json(world, outputs);
    }
    let lines = [
        ("production", &outputs.production_url),
        ("test", &outputs.test_url),
        ("git push to", &outputs.clone_url_http),
        ("git (ssh)", &outputs.clone_url_ssh),
        ("images", &outputs.repository),
        ("cluster", &outputs.cluster),
        ("service", &outputs.service),
        ("pipeline", &outputs.pipeline),
        ("bundle", &outputs.bundle_bucket),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            world.out(format!("{name:<12} {value}"));
        }
    }
}
