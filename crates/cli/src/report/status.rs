//! One screen that says what runs, what serves and what is in flight. Must not ask AWS.

use ecspipe_deploy::{Status, Timestamp, Verdict};
use ecspipe_provision::Outputs;

use crate::args::{Format, Global};
use crate::report::rollout::{short_arn, targets, targets_health, waiting};
use crate::report::style::Style;
use crate::world::World;

/// Prints a status.
pub(crate) fn status(world: &World, global: &Global, status: &Status, outputs: &Outputs) {
    if global.format == Format::Json {
        return super::json(
            world,
            &serde_json::json!({"status": status, "outputs": outputs}),
        );
    }
    let style = Style::of(world, global);
    let row = |name: &str, value: String| {
        world.out(format!(
            "{:<14} {value}",
            style.strong(&format!("{name:<14}")).trim_end()
        ))
    };
    let row = |name: &str, value: String| {
        if style.is_on() {
            world.out(format!("{} {value}", style.strong(&format!("{name:<14}"))))
        } else {
            row(name, value)
        }
    };
    let service = &status.service;
    row(
        "service",
        format!(
            "{}, tasks: {} running, {} wanted",
            service.status, service.running, service.desired
        ),
    );
    let image = status.live.image.as_deref().unwrap_or("unknown");
    let definition = status
        .live
        .task_definition
        .as_deref()
        .map(short_arn)
        .unwrap_or("none");
    row("live", format!("{definition} ({image})"));
    if let Some(listeners) = &status.listeners {
        let url = |url: &Option<String>| {
            url.as_deref()
                .map(|url| format!("  {url}"))
                .unwrap_or_default()
        };
        row(
            "production",
            format!(
                "{}{}",
                targets(&listeners.production),
                url(&outputs.production_url)
            ),
        );
        row(
            "test",
            format!("{}{}", targets(&listeners.test), url(&outputs.test_url)),
        );
    }
    for (group, health) in &status.health {
        row("targets", format!("{group}: {}", targets_health(health)));
    }
    match &status.in_flight {
        None => row("rollout", "none in flight".to_owned()),
        Some(in_flight) => {
            let id = in_flight
                .deployment
                .as_ref()
                .map(|deployment| deployment.id.clone());
            let id = id
                .or(in_flight
                    .execution
                    .as_ref()
                    .map(|execution| execution.id.clone()))
                .unwrap_or_default();
            let percent = in_flight
                .percent
                .map(|percent| format!(", {percent} % of production on the new version"))
                .unwrap_or_default();
            row("rollout", format!("{id}{percent}"));
            if let Some(text) = stands(&in_flight.verdict) {
                row("", text);
            }
        }
    }
    for deployment in &status.deployments {
        let when = deployment.created.map(time).unwrap_or_default();
        let definition = deployment
            .task_definition
            .as_deref()
            .map(short_arn)
            .unwrap_or_default();
        row(
            "deployment",
            format!(
                "{when}  {}  {:<10}  {definition}",
                deployment.id,
                deployment.status.as_str()
            ),
        );
    }
}

fn stands(verdict: &Verdict) -> Option<String> {
    let (wait, until) = match verdict {
        Verdict::StillRunning { waiting_for, until }
        | Verdict::WaitingForHuman {
            waiting_for, until, ..
        } => (waiting_for, until),
        _ => return None,
    };
    let until = until
        .map(|until| format!(" (until {})", time(until)))
        .unwrap_or_default();
    waiting(wait).map(|text| format!("{text}{until}"))
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
