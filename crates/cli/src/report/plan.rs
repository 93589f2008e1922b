//! What a plan says: dangers first, then what is done by area, what is held back, what waits for a deployment, what was changed by hand.
//! Must not plan.

mod difference;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ecspipe_provision::document::{Answer, Document, Entry, Many, One, Trouble, VERSION};
use ecspipe_provision::{
    Action, ActionKind, Area, Change, Deferred, DeferredTo, Delegated, Drift, HeldBack, Key,
    LeftOut, Mode, Origin, Part, Plan, Step, Summary,
};

use crate::args::{self, Format, Global};
use crate::exit::Failure;
use crate::report::plan::difference::{Difference, Line, brief, difference};
use crate::report::style::{Style, paragraph};
use crate::world::World;

/// What of a plan is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View {
    /// What was changed by hand, and nothing that the spec changes.
    pub(crate) refresh_only: bool,
    /// What rollouts have moved, too.
    pub(crate) all: bool,
    /// One area.
    pub(crate) area: Option<Area>,
}

impl View {
    /// As the flags say.
    pub(crate) fn of(args: &args::Plan) -> Self {
        let area = args.area.map(|area| match area {
            args::Area::Network => Area::Network,
            args::Area::Balancer => Area::Balancer,
            args::Area::Service => Area::Service,
            args::Area::Delivery => Area::Delivery,
            args::Area::Security => Area::Security,
        });
        Self {
            refresh_only: args.refresh_only,
            all: args.all,
            area,
        }
    }
}

/// A plan, or the part of it that is shown.
pub(crate) struct Shown {
    /// What is shown.
    pub(crate) plan: Plan,
    /// Where: as a plan is headed.
    pub(crate) title: String,
    view: View,
    left_out: LeftOut,
}

impl Shown {
    /// What `view` shows of `plan`.
    pub(crate) fn new(plan: Plan, title: String, view: View) -> Self {
        let (plan, left_out) = match view.area {
            None => (plan, LeftOut::default()),
            Some(area) => {
                let Part { plan, left_out, .. } = plan.within(area);
                (plan, left_out)
            }
        };
        Self {
            plan,
            title,
            view,
            left_out,
        }
    }

    fn answer(&self) -> Answer<'_> {
        let answer = match self.view.area {
            None => Answer::plan(&self.plan),
            Some(area) => Answer::Plan {
                summary: self.plan.summary(),
                plan: &self.plan,
                area: Some(area),
                left_out: Some(self.left_out),
            },
        };
        if self.view.refresh_only {
            answer.refresh_only()
        } else {
            answer
        }
    }

    /// Whether there is nothing to say but that.
    fn is_silent(&self) -> bool {
        let plan = &self.plan;
        let quiet = plan.dangers.is_empty() && plan.notes.is_empty();
        let moved = self.view.all && !plan.delegated.is_empty();
        let changes = if self.view.refresh_only {
            !plan.drift.is_empty()
        } else {
            !plan.is_empty()
        };
        quiet && !changes && !moved
    }
}

/// Prints a plan, for people or as JSON.
pub(crate) fn plan(world: &World, global: &Global, shown: &Shown) {
    if global.format == Format::Json {
        let one = One {
            version: VERSION,
            answer: shown.answer(),
        };
        return super::json(world, &Document::One(one));
    }
    let page = Page {
        world,
        style: Style::of(world, global),
    };
    page.plan(shown);
}

/// The plan of one spec of many, or why there is none.
pub(crate) struct Planned {
    /// The spec's file.
    pub(crate) file: PathBuf,
    /// What is shown of the plan.
    pub(crate) plan: Result<Shown, Failure>,
}

/// Prints many plans: each that has something to say, one after the other, and one line about all.
pub(crate) fn plans(world: &World, global: &Global, planned: &[Planned]) {
    let total = Total::of(planned);
    if global.format == Format::Json {
        return super::json(world, &Document::Many(many(planned, &total)));
    }
    let page = Page {
        world,
        style: Style::of(world, global),
    };
    for Planned { file, plan } in planned {
        match plan {
            Err(failure) => {
                world.err(page.style.strong(&file.display().to_string()));
                super::failure(world, global, failure);
            }
            Ok(shown) if shown.is_silent() => {}
            Ok(shown) => {
                world.out(page.style.dim(&file.display().to_string()));
                page.plan(shown);
                world.out("");
            }
        }
    }
    let refresh_only = planned.iter().any(|planned| {
        let shown = planned.plan.as_ref();
        shown.is_ok_and(|shown| shown.view.refresh_only)
    });
    world.out(total.line(planned.len(), refresh_only));
}

fn many<'a>(planned: &'a [Planned], total: &Total) -> Many<'a> {
    let entry = |planned: &'a Planned| Entry {
        file: &planned.file,
        answer: match &planned.plan {
            Ok(shown) => shown.answer(),
            Err(failure) => Answer::Error {
                error: Trouble {
                    message: &failure.message,
                    details: &failure.details,
                    hint: failure.hint.as_deref(),
                    exit: failure.exit.code(),
                },
            },
        },
    };
    Many {
        version: VERSION,
        plans: planned.iter().map(entry).collect(),
        summary: total.summary,
        failed: total.failed,
    }
}

/// What many plans come to.
#[derive(Default)]
struct Total {
    summary: Summary,
    changed: usize,
    refused: usize,
    drifted: usize,
    dangers: usize,
    failed: usize,
}

impl Total {
    fn of(planned: &[Planned]) -> Self {
        let mut total = Self::default();
        for planned in planned {
            match &planned.plan {
                Ok(shown) => total.add(&shown.plan),
                Err(_) => total.failed += 1,
            }
        }
        total
    }

    fn add(&mut self, plan: &Plan) {
        let summary = plan.summary();
        self.summary.create += summary.create;
        self.summary.update += summary.update;
        self.summary.replace += summary.replace;
        self.summary.delete += summary.delete;
        self.summary.unchanged += summary.unchanged;
        self.summary.held_back += summary.held_back;
        self.changed += usize::from(!plan.steps.is_empty());
        self.refused += usize::from(!plan.refusals.is_empty());
        self.drifted += usize::from(!plan.drift.is_empty());
        self.dangers += usize::from(!plan.dangers.is_empty());
    }

    fn line(&self, specs: usize, refresh_only: bool) -> String {
        let Summary {
            create,
            update,
            replace,
            delete,
            unchanged,
            held_back,
        } = self.summary;
        let mut line = if refresh_only {
            format!("{specs} specs, {} with changes by hand.", self.drifted)
        } else {
            format!(
                "{specs} specs, {} with changes: {create} to create, {update} to change, {replace} to replace, {delete} to delete; {unchanged} unchanged.",
                self.changed
            )
        };
        let (held_back, refused) = if refresh_only {
            (0, 0)
        } else {
            (held_back, self.refused)
        };
        let others = [
            (held_back, "steps held back"),
            (refused, "refused"),
            (self.dangers, "in danger"),
            (self.failed, "without a plan"),
        ];
        for (count, what) in others {
            if count > 0 {
                line.push_str(&format!(" {count} {what}."));
            }
        }
        line
    }
}

/// Where plans are printed for people.
struct Page<'a> {
    world: &'a World,
    style: Style,
}

impl Page<'_> {
    fn plan(&self, shown: &Shown) {
        let plan = &shown.plan;
        let head = self.style.strong(plan.app.as_str());
        self.world.out(format!("{head} {}", shown.title));
        self.dangers(plan);
        if shown.view.refresh_only {
            self.drift(&plan.drift);
        } else {
            self.steps(&plan.steps);
            self.held_back(&plan.held_back);
            self.deferred(&plan.deferred);
            self.refusals(plan);
        }
        if shown.view.all {
            self.delegated(&plan.delegated);
        }
        for note in &plan.notes {
            self.world.out("");
            self.world
                .out(format!("{} {note}", self.style.note("note:")));
        }
        self.world.out("");
        self.world.out(self.count(shown));
        if let Some(line) = left_out(shown) {
            self.world.out(self.style.dim(&line));
        }
    }

    fn dangers(&self, plan: &Plan) {
        for danger in &plan.dangers {
            self.world.out("");
            let text = format!("{}: {}", danger.key, danger.message);
            self.marked("danger:", &text, |style, text| style.bad(text));
            self.next(&danger.hint);
        }
    }

    fn steps(&self, steps: &[Step]) {
        let mut areas: BTreeMap<Area, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            areas.entry(step.key.kind.area()).or_default().push(step);
        }
        for (area, steps) in areas {
            self.world.out("");
            self.world.out(self.style.strong(area_name(area)));
            for step in steps {
                self.step(step);
            }
        }
    }

    fn step(&self, step: &Step) {
        let name = step
            .action
            .want()
            .or(step.action.have().map(|have| &have.resource))
            .and_then(|resource| resource.name());
        self.line(&step.key, step.action.kind(), name.unwrap_or_default());
        match &step.action {
            Action::Update { changes, .. } | Action::Replace { changes, .. } => {
                self.changes(changes)
            }
            Action::Create {
                origin: Origin::Drift,
                ..
            } => self
                .world
                .out(format!("      {}", self.style.note("deleted by hand"))),
            Action::Create { .. } | Action::Delete { .. } => {}
        }
    }

    fn line(&self, key: &Key, action: ActionKind, name: &str) {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!(" {name}")
        };
        self.world.out(format!(
            "  {} {:<34} {}{}",
            self.sign(action),
            key.to_string(),
            key.kind.label(),
            self.style.dim(&name)
        ));
    }

    fn sign(&self, action: ActionKind) -> String {
        match action {
            ActionKind::Create => self.style.good("+"),
            ActionKind::Update => self.style.change("~"),
            ActionKind::Replace => self.style.change("±"),
            ActionKind::Delete => self.style.bad("-"),
        }
    }

    /// What waits, by what it waits for.
    fn held_back(&self, held_back: &[HeldBack]) {
        let mut hints: Vec<&str> = Vec::new();
        for (at, held) in held_back.iter().enumerate() {
            if at == 0 {
                self.world.out("");
                self.world.out(self.style.strong("held back"));
            }
            self.line(&held.key, held.action, "");
            self.changes(&held.changes);
            self.world
                .out(format!("      {}", self.style.note(&held.message)));
            if !hints.contains(&held.hint.as_str()) {
                hints.push(&held.hint);
            }
        }
        // What only follows is told by what it follows.
        let own =
            |held: &&HeldBack| !matches!(held.reason, ecspipe_provision::Hold::Follows { .. });
        let own: Vec<&str> = held_back
            .iter()
            .filter(own)
            .map(|held| held.hint.as_str())
            .collect();
        hints.retain(|hint| own.contains(hint));
        for hint in hints {
            self.next(hint);
        }
    }

    fn deferred(&self, deferred: &[Deferred]) {
        for deferred in deferred {
            self.world.out("");
            let when = match (deferred.by, deferred.action) {
                (DeferredTo::Deployment, _) => "with the next deployment:",
                (DeferredTo::NextUp, ActionKind::Delete) => {
                    "goes with the `up` after the next deployment; running tasks need it"
                }
                (DeferredTo::NextUp, _) => {
                    "with the `up` after the next deployment; running tasks need it as it is:"
                }
            };
            self.world.out(format!(
                "{} {} ({}), {when}",
                self.style.note(">"),
                deferred.key,
                deferred.key.kind.label()
            ));
            self.changes(&deferred.changes);
        }
    }

    fn refusals(&self, plan: &Plan) {
        for refusal in &plan.refusals {
            self.world.out("");
            self.marked("refused:", &refusal.to_string(), |style, text| {
                style.bad(text)
            });
            self.next(&refusal.hint);
        }
    }

    fn drift(&self, drift: &[Drift]) {
        if drift.is_empty() {
            return;
        }
        self.world.out("");
        self.world.out(self.style.strong("changed by hand"));
        for drift in drift {
            let action = if drift.gone {
                ActionKind::Delete
            } else {
                ActionKind::Update
            };
            let gone = if drift.gone { "(gone)" } else { "" };
            self.line(&drift.key, action, gone);
            for change in &drift.changes {
                self.change(change, "");
            }
        }
    }

    fn delegated(&self, delegated: &[Delegated]) {
        if delegated.is_empty() {
            return;
        }
        self.world.out("");
        self.world.out(self.style.strong("moved by rollouts"));
        for Delegated { key, field, have } in delegated {
            self.world.out(format!(
                "  {} {key} {field}: {}",
                self.style.dim("·"),
                brief(have.as_ref())
            ));
        }
    }

    fn changes(&self, changes: &[Change]) {
        let recorded = |change: &Change| change.origin == Origin::Record;
        if !changes.is_empty() && changes.iter().all(recorded) {
            self.world
                .out(self.style.dim("      records what was applied"));
        }
        for change in changes.iter().filter(|change| !recorded(change)) {
            let by = match change.origin {
                Origin::Drift => "changed by hand",
                _ => "",
            };
            self.change(change, by);
        }
    }

    /// On one line, on three where it would be too long for one, or, where it is longer still, only what differs.
    fn change(&self, change: &Change, by: &str) {
        let by_ink = if by.is_empty() {
            String::new()
        } else {
            format!("  {}", self.style.note(by))
        };
        let Change {
            field, have, want, ..
        } = change;
        match difference(field, have.as_ref(), want.as_ref()) {
            Difference::Short { have, want } => self.short(field, (&have, &want), (by, &by_ink)),
            Difference::Long(lines) => {
                self.world.out(format!("      {field}:{by_ink}"));
                for line in &lines {
                    self.world.out(self.differing(line));
                }
            }
        }
    }

    fn short(&self, field: &str, (have, want): (&str, &str), (by, by_ink): (&str, &str)) {
        let (have_ink, want_ink) = (self.style.bad(have), self.style.good(want));
        let arrow = self.style.dim("→");
        let length: usize = [field, have, want, by]
            .iter()
            .map(|text| text.chars().count())
            .sum();
        const FRAME: usize = 13;
        if length + FRAME <= WIDTH {
            let line = format!("      {field}: {have_ink} {arrow} {want_ink}{by_ink}");
            return self.world.out(line);
        }
        self.world.out(format!("      {field}:{by_ink}"));
        self.world.out(format!("          {have_ink}"));
        self.world.out(format!("        {arrow} {want_ink}"));
    }

    fn differing(&self, line: &Line) -> String {
        match line {
            Line::At(path) => format!("        {path}:"),
            Line::Goes(text) => format!("        {}", self.style.bad(&format!("- {text}"))),
            Line::Comes(text) => format!("        {}", self.style.good(&format!("+ {text}"))),
            Line::Note(text) => format!("        {}", self.style.dim(text)),
            Line::Short { path, have, want } => format!(
                "        {path}: {} {} {}",
                self.style.bad(have),
                self.style.dim("→"),
                self.style.good(want)
            ),
        }
    }

    /// A text behind a mark, in as many lines as it needs.
    fn marked(&self, mark: &str, text: &str, ink: impl Fn(&Style, &str) -> String) {
        let lines = paragraph(text, &format!("{mark} "));
        for (at, line) in lines.iter().enumerate() {
            match line.strip_prefix(mark).filter(|_| at == 0) {
                Some(rest) => self.world.out(format!("{}{rest}", ink(&self.style, mark))),
                None => self.world.out(line),
            }
        }
    }

    fn next(&self, hint: &str) {
        let lines = paragraph(hint, "  next: ");
        for (at, line) in lines.iter().enumerate() {
            match line.strip_prefix("  next:").filter(|_| at == 0) {
                Some(rest) => self
                    .world
                    .out(format!("  {}{rest}", self.style.note("next:"))),
                None => self.world.out(line),
            }
        }
    }

    /// Where nothing was changed by hand. What was never made, or went without a record of it, isn't told as a change.
    fn untouched(&self, plan: &Plan) -> String {
        let missing = match plan.summary().create {
            0 => {
                let text = "Nothing was changed by hand since it was applied.";
                return self.style.good(text);
            }
            1 => "1 resource is missing, which `ecspipe plan` shows".to_owned(),
            count => format!("{count} resources are missing, which `ecspipe plan` shows"),
        };
        format!("What is there wasn't changed by hand since it was applied; {missing}.")
    }

    fn count(&self, shown: &Shown) -> String {
        let plan = &shown.plan;
        if shown.view.refresh_only {
            return match plan.drift.len() {
                0 => self.untouched(plan),
                1 => "1 resource was changed by hand since it was applied.".to_owned(),
                count => format!("{count} resources were changed by hand since they were applied."),
            };
        }
        if !plan.refusals.is_empty() {
            return self.style.bad(&format!(
                "{} refused; nothing will be done.",
                plan.refusals.len()
            ));
        }
        let summary = plan.summary();
        let held = match summary.held_back {
            0 => String::new(),
            count => format!(" {count} held back."),
        };
        if plan.steps.is_empty() && held.is_empty() {
            let text = match (plan.options.mode, summary.unchanged) {
                (Mode::Down, _) => "No changes: there is nothing to delete.".to_owned(),
                (Mode::Up, 1) => "No changes: 1 resource is as the spec says.".to_owned(),
                (Mode::Up, count) => format!("No changes: {count} resources are as the spec says."),
            };
            return self.style.good(&text);
        }
        let Summary {
            create,
            update,
            replace,
            delete,
            unchanged,
            ..
        } = summary;
        let back = match plan.drift.len() {
            0 => String::new(),
            count => format!(" {count} changed by hand."),
        };
        format!(
            "{create} to create, {update} to change, {replace} to replace, {delete} to delete; {unchanged} unchanged.{back}{held}"
        )
    }
}

/// What lies in other areas, where only one is shown.
fn left_out(shown: &Shown) -> Option<String> {
    let area = shown.view.area?;
    let LeftOut {
        dangers,
        steps,
        held_back,
        refusals,
        drift,
    } = shown.left_out;
    let dangers = (dangers, "danger", "dangers");
    let counts = if shown.view.refresh_only {
        vec![dangers, (drift, "changed by hand", "changed by hand")]
    } else {
        let refused = "refused, so nothing at all will be done";
        vec![
            dangers,
            (steps, "step", "steps"),
            (held_back, "held back", "held back"),
            (refusals, refused, refused),
        ]
    };
    let told = |(count, one, many): (usize, &str, &str)| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let counts: Vec<String> = counts.into_iter().filter_map(told).collect();
    let others = if counts.is_empty() {
        "nothing to do there".to_owned()
    } else {
        counts.join(", ")
    };
    Some(format!(
        "This is about the area \"{}\" alone; in the others: {others}.",
        area_name(area)
    ))
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

/// How wide a change may be on one line.
const WIDTH: usize = 80;
