//! What `doctor` found. Must not judge.

use ecspipe_provision::doctor::{Check, State};
use ecspipe_spec::AppName;
use serde_json::json;

use crate::args::{Format, Global};
use crate::report::style::{Style, paragraph};
use crate::world::World;

/// Prints every check with its reason and next step, and the count.
pub(crate) fn checks(
    world: &World,
    global: &Global,
    app: &AppName,
    region: &str,
    checks: &[Check],
) {
    if global.format == Format::Json {
        return super::json(
            world,
            &json!({ "app": app, "region": region, "checks": checks }),
        );
    }
    let style = Style::of(world, global);
    world.out(format!("{} in {region}", style.strong(app.as_str())));
    world.out("");
    let width = checks
        .iter()
        .map(|check| check.check.chars().count())
        .max()
        .unwrap_or_default();
    for check in checks {
        let start = format!("{:<8} {:<width$}  ", word(check.state), check.check);
        let indent = " ".repeat(start.chars().count());
        for (index, line) in paragraph(&check.what, &start).into_iter().enumerate() {
            match (index, line.split_at_checked(8)) {
                (0, Some((word, rest))) => {
                    world.out(format!("{}{rest}", paint(&style, check.state, word)));
                }
                _ => world.out(line),
            }
        }
        for line in check
            .details
            .iter()
            .flat_map(|detail| paragraph(detail, &indent))
        {
            world.out(line);
        }
        if let Some(next) = &check.next {
            for line in paragraph(next, &format!("{indent}next: ")) {
                world.out(line);
            }
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    world.out("");
    world.out(format!(
        "{} OK, {} NOT OK, {} SKIPPED",
        count(State::Ok),
        count(State::NotOk),
        count(State::Skipped)
    ));
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::NotOk => "NOT OK",
        State::Skipped => "SKIPPED",
    }
}

fn paint(style: &Style, state: State, text: &str) -> String {
    match state {
        State::Ok => style.good(text),
        State::NotOk => style.bad(text),
        State::Skipped => style.dim(text),
    }
}
