//! How a change of each key of the spec arrives: at once, with the next deployment, or not at all, and who notices. The rows say what
//! a plan does ([`effects_of`]); tests hold every row against real plans, and every key of the JSON Schema against the rows.
//! Must not decide anything: the planner does, by `plan/replace.rs` and `plan/settle.rs`.

mod rows;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::plan::{ActionKind, DeferredTo, Plan, refusal};
use crate::resource::Kind;

pub use self::rows::{BASE, rows};

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key's path: `[]` is each element of a list, `*` any key, and at the end of a reference every way to refer.
    pub field: &'static str,
    /// The value that it changes to, where only some words are legal.
    pub value: Option<&'static str>,
    /// Which change it is, where there are several.
    pub change: &'static str,
    /// An example: what is laid over [`BASE`] (as a JSON merge patch) before …
    pub from: &'static str,
    /// … and after.
    pub to: &'static str,
    /// What a plan does about it.
    pub effects: &'static [Effect],
    /// Who notices.
    pub interruption: Interruption,
    /// What else there is to know; for a refusal the way round it, unless the kind's own hint says it.
    pub remark: &'static str,
}

/// What a plan does about a kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Something is made.
    Creates(Kind),
    /// It is changed in place.
    Updates(Kind),
    /// It is deleted and made again.
    Replaces(Kind),
    /// Something goes.
    Deletes(Kind),
    /// The next deployment carries it.
    Carries(Kind),
    /// The `up` after the next deployment changes or deletes it: running tasks need it until then.
    Releases(Kind),
    /// It is refused.
    Refuses(Kind),
}

/// Who notices a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Nobody: every request to the production listener is answered, before, during and after.
    None,
    /// These requests or tasks: what the change is for.
    For(&'static str),
    /// Nothing is done, or nothing of this app is touched.
    Untouched,
}

/// What `plan` does, kind by kind.
pub fn effects_of(plan: &Plan) -> BTreeSet<Effect> {
    let steps = plan.steps.iter().map(|step| {
        let kind = step.key.kind;
        match step.action.kind() {
            ActionKind::Create => Effect::Creates(kind),
            ActionKind::Update => Effect::Updates(kind),
            ActionKind::Replace => Effect::Replaces(kind),
            ActionKind::Delete => Effect::Deletes(kind),
        }
    });
    let deferred = plan.deferred.iter().map(|deferred| match deferred.by {
        DeferredTo::Deployment => Effect::Carries(deferred.key.kind),
        DeferredTo::NextUp => Effect::Releases(deferred.key.kind),
    });
    let refused = plan
        .refusals
        .iter()
        .map(|refusal| Effect::Refuses(refusal.key.kind));
    // What would have to wait is of no interest where nothing is done.
    if plan.refusals.is_empty() {
        steps.chain(deferred).collect()
    } else {
        refused.collect()
    }
}

impl Row {
    /// How it arrives, in a few words.
    pub fn how(&self) -> String {
        let any = |of: fn(&Effect) -> bool| self.effects.iter().any(of);
        if any(|effect| matches!(effect, Effect::Refuses(_))) {
            return "refused".to_owned();
        }
        let creates = any(|effect| matches!(effect, Effect::Creates(_)));
        let removes = any(|effect| matches!(effect, Effect::Deletes(_) | Effect::Replaces(_)));
        let updates = any(|effect| matches!(effect, Effect::Updates(_)));
        let mut parts = Vec::new();
        match (creates, removes, updates) {
            (true, true, _) => parts.push("replaced, the new one first"),
            (true, false, _) => parts.push("added"),
            (false, true, _) => parts.push("taken away, what uses it first"),
            (false, false, true) => parts.push("in place"),
            (false, false, false) => {}
        }
        if any(|effect| matches!(effect, Effect::Carries(_))) {
            parts.push("carried by the next deployment");
        }
        if any(|effect| matches!(effect, Effect::Releases(_))) {
            parts.push("the old goes with the `up` after it");
        }
        if parts.is_empty() {
            parts.push(match self.interruption {
                Interruption::Untouched => "another place",
                Interruption::None | Interruption::For(_) => "nothing changes",
            });
        }
        parts.join(", ")
    }

    /// What it touches at once, by the names that people use.
    fn touches(&self) -> String {
        let labels = self.effects.iter().map(|effect| match effect {
            Effect::Creates(kind)
            | Effect::Updates(kind)
            | Effect::Replaces(kind)
            | Effect::Deletes(kind)
            | Effect::Carries(kind)
            | Effect::Releases(kind)
            | Effect::Refuses(kind) => *kind,
        });
        let kinds: BTreeSet<Kind> = labels.collect();
        // A tag is on everything.
        if kinds.len() > 20 {
            return "everything".to_owned();
        }
        let labels: Vec<&str> = kinds.into_iter().map(Kind::label).collect();
        labels.join(", ")
    }

    /// Why it is refused and the way round, where a single property's rule says so.
    fn refusal(&self) -> Option<(&'static str, &'static str)> {
        let Some(Effect::Refuses(kind)) = self.effects.first() else {
            return None;
        };
        let property = match kind {
            Kind::Vpc | Kind::Subnet => "cidr",
            Kind::Role => "path",
            _ => return None,
        };
        refusal(*kind, property)
    }

    fn remark(&self) -> String {
        match self.refusal() {
            Some((why, hint)) => format!("{why}; {hint}. {}", self.remark),
            None => self.remark.to_owned(),
        }
    }

    fn interruption(&self) -> String {
        match self.interruption {
            Interruption::None => "none".to_owned(),
            Interruption::For(whom) => whom.to_owned(),
            Interruption::Untouched => "–".to_owned(),
        }
    }
}

/// The table as Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# What a change of the spec does\n\n\
         Written by `ecspipe docs changes` from the table that the tests hold against real plans; don't edit it by hand.\n\n\
         `ecspipe plan` shows for each change what is written here. *In place* and *added* are done by `ecspipe up` at once. *Carried by \
         the next deployment* means that `up` shows it and leaves it: under CodeDeploy the task definition, the tasks' subnets, security \
         groups and port travel in the deployment's files, so that the next `ecspipe deploy` brings them with new tasks beside the old \
         ones. What the old tasks still need (their zone, the rule for their port) stays until then, and *goes with the `up` after it*. \
         *Interruption* is about requests to the production listener: *none* means that not one of them fails, which the tests see with \
         requests between all calls that a change makes.\n\n\
         | Key | Change | How it arrives | What it touches | Interruption | Remarks |\n|---|---|---|---|---|---|\n",
    );
    for row in rows() {
        let field = match row.value {
            Some(value) => format!("`{}: {value}`", row.field),
            None => format!("`{}`", row.field),
        };
        let cells = [
            field,
            row.change.to_owned(),
            row.how(),
            row.touches(),
            row.interruption(),
            row.remark(),
        ];
        let _ = writeln!(
            text,
            "| {} |",
            cells
                .map(|cell| cell.trim().replace('|', "\\|"))
                .join(" | ")
        );
    }
    text
}
