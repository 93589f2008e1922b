//! The crate's tests, by subject. Time is paused, AWS is [`crate::memory::Memory`], rollouts come from [`story`].

#![allow(clippy::unwrap_used)]

mod act;
mod follow;
mod guard;
mod preflight;
mod reason;
mod rollout;
mod start;
mod story;

use std::time::Duration;

use crate::rollouts::Target;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The names of an app `web`.
fn target() -> Target {
    let text = |text: &str| text.to_owned();
    Target {
        app: text("web"),
        pipeline: text("web"),
        bundle_action: text("Bundle"),
        bundle_rule: text("web-bundle"),
        application: text("web"),
        group: text("web"),
        cluster: text("web"),
        service: text("web"),
        load_balancer: text("web"),
        production_listener: None,
        production_port: 80,
        test_listener: None,
        test_port: 8080,
        target_groups: vec![text("web-blue"), text("web-green")],
        bundle_bucket: text("web-artifacts"),
        bundle_key: text("bundle.zip"),
        log_group: text("/ecs/web"),
        log_prefix: text("web"),
    }
}
