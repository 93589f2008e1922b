//! Plans, and their being carried out. Must not plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ecspipe_provision::{
    Action, ActionKind, Area, Because, Change, CloudError, DeferredTo, Event, Key, Origin, Outcome,
    Outputs, Plan, Step, Summary,
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::args::{Format, Global};
use crate::exit::Failure;
use crate::report::style::{Style, span};
use crate::world::World;

/// Prints a plan: by area, with the fields that change, and the count.
pub(crate) fn plan(world: &World, global: &Global, plan: &Plan, place: &str) {
    if global.format == Format::Json {
        return super::json(
            world,
            &serde_json::json!({"summary": plan.summary(), "plan": plan}),
        );
    }
    let style = Style::of(world, global);
    world.out(format!("{} {place}", style.strong(plan.app.as_str())));
    let mut areas: BTreeMap<Area, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        areas.entry(step.key.kind.area()).or_default().push(step);
    }
    for (area, steps) in areas {
        world.out("");
        world.out(style.strong(area_name(area)));
        for step in steps {
            self::step(world, &style, step);
        }
    }
    for deferred in &plan.deferred {
        world.out("");
        let when = match (deferred.by, deferred.action) {
            (DeferredTo::Deployment, _) => "with the next deployment:",
            (DeferredTo::NextUp, ActionKind::Delete) => {
                "goes with the `up` after the next deployment; running tasks need it"
            }
            (DeferredTo::NextUp, _) => {
                "with the `up` after the next deployment; running tasks need it as it is:"
            }
        };
        world.out(format!(
            "{} {} ({}), {when}",
            style.note(">"),
            deferred.key,
            deferred.key.kind.label()
        ));
        changes(world, &style, &deferred.changes);
    }
    for refusal in &plan.refusals {
        world.out("");
        world.out(format!("{} {}", style.bad("refused:"), refusal));
        world.out(format!("  {} {}", style.note("next:"), refusal.hint));
    }
    for note in &plan.notes {
        world.out("");
        world.out(format!("{} {note}", style.note("note:")));
    }
    world.out("");
    world.out(count(&style, plan));
}

/// The plan of one spec of many, or why there is none.
pub(crate) struct Planned {
    /// The spec's file.
    pub(crate) file: PathBuf,
    /// Where: as a plan is headed.
    pub(crate) title: String,
    /// The plan.
    pub(crate) plan: Result<Plan, Failure>,
}

/// Prints many plans: each that has something to say, one after the other, and one line about all.
pub(crate) fn plans(world: &World, global: &Global, planned: &[Planned]) {
    if global.format == Format::Json {
        return super::json(world, &plans_json(planned));
    }
    let style = Style::of(world, global);
    let mut total = Total::default();
    for Planned { file, title, plan } in planned {
        let plan = match plan {
            Ok(plan) => plan,
            Err(failure) => {
                total.failed += 1;
                world.err(style.strong(&file.display().to_string()));
                super::failure(world, global, failure);
                continue;
            }
        };
        total.add(plan);
        if plan.refusals.is_empty() && plan.steps.is_empty() && plan.notes.is_empty() {
            continue;
        }
        world.out(style.dim(&file.display().to_string()));
        self::plan(world, global, plan, title);
        world.out("");
    }
    world.out(total.line(planned.len()));
}

fn plans_json(planned: &[Planned]) -> Value {
    let mut total = Total::default();
    let plans: Vec<Value> = planned
        .iter()
        .map(|planned| match &planned.plan {
            Ok(plan) => {
                total.add(plan);
                serde_json::json!({ "file": planned.file, "summary": plan.summary(), "plan": plan })
            }
            Err(failure) => {
                total.failed += 1;
                let error = serde_json::json!({
                    "message": failure.message, "details": failure.details, "hint": failure.hint,
                    "exit": failure.exit.code(),
                });
                serde_json::json!({ "file": planned.file, "error": error })
            }
        })
        .collect();
    serde_json::json!({ "plans": plans, "summary": total.summary, "failed": total.failed })
}

/// What many plans come to.
#[derive(Default)]
struct Total {
    summary: Summary,
    changed: usize,
    refused: usize,
    failed: usize,
}

impl Total {
    fn add(&mut self, plan: &Plan) {
        let summary = plan.summary();
        self.summary.create += summary.create;
        self.summary.update += summary.update;
        self.summary.replace += summary.replace;
        self.summary.delete += summary.delete;
        self.summary.unchanged += summary.unchanged;
        self.changed += usize::from(!plan.steps.is_empty());
        self.refused += usize::from(!plan.refusals.is_empty());
    }

    fn line(&self, specs: usize) -> String {
        let Summary {
            create,
            update,
            replace,
            delete,
            unchanged,
        } = self.summary;
        let mut line = format!(
            "{specs} specs, {} with changes: {create} to create, {update} to change, {replace} to replace, {delete} to delete; {unchanged} unchanged.",
            self.changed
        );
        for (count, what) in [(self.refused, "refused"), (self.failed, "without a plan")] {
            if count > 0 {
                line.push_str(&format!(" {count} {what}."));
            }
        }
        line
    }
}

fn count(style: &Style, plan: &Plan) -> String {
    let summary = plan.summary();
    if !plan.refusals.is_empty() {
        return style.bad(&format!(
            "{} refused; nothing will be done.",
            plan.refusals.len()
        ));
    }
    if plan.steps.is_empty() {
        return style.good(&format!(
            "No changes: {} resources are as the spec says.",
            summary.unchanged
        ));
    }
    let Summary {
        create,
        update,
        replace,
        delete,
        unchanged,
    } = summary;
    format!(
        "{create} to create, {update} to change, {replace} to replace, {delete} to delete; {unchanged} unchanged."
    )
}

fn area_name(area: Area) -> &'static str {
    match area {
        Area::Network => "network",
        Area::Balancer => "load balancer",
        Area::Service => "service",
        Area::Delivery => "delivery",
        Area::Security => "security",
    }
}

fn step(world: &World, style: &Style, step: &Step) {
    let name = step
        .action
        .want()
        .or(step.action.have().map(|have| &have.resource))
        .and_then(|resource| resource.name());
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    world.out(format!(
        "  {} {:<34} {}{}",
        sign(style, step.action.kind()),
        step.key.to_string(),
        step.key.kind.label(),
        style.dim(&name)
    ));
    match &step.action {
        Action::Update { changes, .. } | Action::Replace { changes, .. } => {
            self::changes(world, style, changes)
        }
        Action::Create { .. } | Action::Delete { .. } => {}
    }
}

fn sign(style: &Style, kind: ActionKind) -> String {
    match kind {
        ActionKind::Create => style.good("+"),
        ActionKind::Update => style.change("~"),
        ActionKind::Replace => style.change("±"),
        ActionKind::Delete => style.bad("-"),
    }
}

fn changes(world: &World, style: &Style, changes: &[Change]) {
    if changes.iter().all(|change| change.origin == Origin::Record) {
        world.out(style.dim("      records what was applied"));
    }
    for change in changes
        .iter()
        .filter(|change| change.origin != Origin::Record)
    {
        let have = change
            .have
            .as_ref()
            .map_or_else(|| style.dim("(none)"), short);
        let want = change
            .want
            .as_ref()
            .map_or_else(|| style.dim("(none)"), short);
        world.out(format!(
            "      {}: {} {} {}",
            change.field,
            style.bad(&have),
            style.dim("→"),
            style.good(&want)
        ));
    }
}

/// A value on one line; a long one is cut, since the whole of it is in `--format json`.
fn short(value: &Value) -> String {
    const MOST: usize = 100;
    let text = match value {
        Value::String(text) => text.replace('\n', "⏎"),
        other => other.to_string(),
    };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

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
            Event::Cancelled { in_flight } => {
                self.say(format!("stopping: {in_flight} steps in flight are finished, nothing new is begun (Ctrl-C again stops at once)"));
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
    pub(crate) fn close(&mut self, outcome: &Outcome) {
        if let Some((_, total)) = self.bars.take() {
            total.finish_and_clear();
        }
        if self.json {
            return;
        }
        let took = span(self.started.elapsed());
        if outcome.is_complete() {
            let text = format!("done: {} steps in {took}", outcome.done.len());
            self.world.err(self.style.good(&text));
        } else {
            let text = format!(
                "incomplete after {took}: {} done, {} failed, {} not begun",
                outcome.done.len(),
                outcome.failed.len(),
                outcome.skipped.len()
            );
            self.world.err(self.style.bad(&text));
        }
    }
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
