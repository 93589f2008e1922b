//! What a person sees: errors, plans, progress, rollouts. Must not decide exit codes or talk to AWS.

pub(crate) mod ci;
pub(crate) mod console_links;
pub(crate) mod doctor;
pub(crate) mod lease;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod provision;
pub(crate) mod releases;
pub(crate) mod rollout;
pub(crate) mod spec;
pub(crate) mod status;
pub(crate) mod style;

use crate::args::Global;
use crate::exit::Failure;
use crate::world::World;

/// Prints why a command ended otherwise than done.
pub(crate) fn failure(world: &World, global: &Global, failure: &Failure) {
    let style = style::Style::of(world, global);
    world.err(format!("{} {}", style.bad("error:"), failure.message));
    for line in &failure.details {
        world.err(line.trim_end());
    }
    if let Some(hint) = &failure.hint {
        world.err(format!("{} {hint}", style.note("hint:")));
    }
    let hint = failure.hint.iter().map(|hint| format!("\nhint: {hint}"));
    let said: String = std::iter::once(failure.message.clone())
        .chain(hint)
        .collect();
    ci::Ci::of(world).annotate(world, ci::Grade::Error, None, "ecspipe", &said);
}

/// One JSON value or line of data, to stdout.
pub(crate) fn json(world: &World, value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => world.out(text),
        // Everything that is printed serialises; a value that doesn't is a bug, and said as one.
        Err(error) => world.err(format!("error: cannot be written as JSON: {error}")),
    }
}
