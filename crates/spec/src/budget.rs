//! How long a rollout may take: every wait that the spec asks for, with every limit that AWS sets itself, added up (AWS.md §1.1,
//! §1.2, §4.1 to §4.3). Must not know how long anything takes in truth: these are the most that it may.

use std::fmt;

use serde::Serialize;

use crate::{Deploy, HookEvent, Span, Strategy};

/// From the start of a deployment to the first shift of production traffic: CodeDeploy gives up after 120 hours (AWS.md §4.1).
pub const BEFORE_SHIFT: Span = Span::from_minutes(120 * 60);

/// For the pipeline's deploy action, from the start to the end of the old tasks (AWS.md §1.2): 5 days.
pub const ACTION: Span = Span::from_minutes(5 * 24 * 60);

/// How long CodeDeploy waits for the new tasks to be healthy (AWS.md §4.3), and for a hook's word (AWS.md §1.1).
const HOUR: Span = Span::from_minutes(60);

/// Minutes for a build, AWS's default written down so that it is compared and added up.
pub const BUILD_MINUTES: u32 = 60;

/// Minutes that a build may wait for its turn, AWS's default too.
pub const QUEUED_MINUTES: u32 = 480;

/// What a rollout may take, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// In the order in which they come.
    pub parts: Vec<Part>,
}

/// A part of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What is waited for: the key of the spec that says how long, or a few words.
    pub what: String,
    /// Where it belongs.
    pub phase: Phase,
    /// The most that it takes.
    pub most: Span,
}

/// Where in a rollout a part belongs, which is what limits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before there is a deployment; a build has limits of its own.
    Build,
    /// From the start of the deployment on: at most [`BEFORE_SHIFT`].
    BeforeShift,
    /// From the first shift of production traffic to the end: together with the phase before it at most [`ACTION`].
    FromShift,
}

/// A limit that a spec breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// What doesn't fit, with the sum.
    pub message: String,
    /// What can be shortened.
    pub hint: String,
}

impl Budget {
    /// What a rollout by `deploy` may take.
    pub fn new(deploy: &Deploy) -> Self {
        let hook = |event: HookEvent, phase| {
            let what = format!("hooks.{}", event.key());
            let wanted = deploy.hooks.contains_key(&event);
            wanted.then(|| Part::new(&what, phase, HOUR))
        };
        let minutes = |minutes: u32| Span::from_minutes(u64::from(minutes));
        let before = Phase::BeforeShift;
        let parts = [
            Some(Part::new(
                "a build's turn",
                Phase::Build,
                minutes(QUEUED_MINUTES),
            )),
            Some(Part::new("the build", Phase::Build, minutes(BUILD_MINUTES))),
            hook(HookEvent::BeforeInstall, before),
            Some(Part::new("new tasks", before, HOUR)),
            hook(HookEvent::AfterInstall, before),
            hook(HookEvent::AfterAllowTestTraffic, before),
            deploy
                .approve
                .map(|approve| Part::new("approve.within", before, approve.within)),
            hook(HookEvent::BeforeAllowTraffic, before),
            Some(Part::new(
                "strategy",
                Phase::FromShift,
                deploy.strategy.takes(),
            )),
            hook(HookEvent::AfterAllowTraffic, Phase::FromShift),
            Some(Part::new("keep_old", Phase::FromShift, deploy.keep_old)),
        ];
        let parts = parts.into_iter().flatten();
        Self {
            parts: parts.filter(|part| part.most.seconds() > 0).collect(),
        }
    }

    /// From the start of the deployment to its end: everything but the build.
    pub fn deployment(&self) -> Span {
        self.sum(|phase| phase != Phase::Build)
    }

    /// From the start of the deployment to the first shift of production traffic.
    pub fn before_shift(&self) -> Span {
        self.sum(|phase| phase == Phase::BeforeShift)
    }

    /// Everything, from the push to the end of the old tasks.
    pub fn total(&self) -> Span {
        self.sum(|_| true)
    }

    /// The first limit that it breaks.
    pub fn overrun(&self) -> Option<Overrun> {
        let over = |sum: Span, limit: Span, what: &str, within: fn(Phase) -> bool| {
            (sum > limit).then(|| Overrun {
                message: format!(
                    "{what} may take {}, at most {} are allowed: {}",
                    in_words(sum),
                    in_words(limit),
                    self.written(within)
                ),
                hint: self.hint(sum, limit, within),
            })
        };
        let before: fn(Phase) -> bool = |phase| phase == Phase::BeforeShift;
        let all: fn(Phase) -> bool = |phase| phase != Phase::Build;
        let shift =
            "the way from the start of a deployment to the first shift of production traffic";
        over(self.before_shift(), BEFORE_SHIFT, shift, before).or_else(|| {
            over(
                self.deployment(),
                ACTION,
                "a deployment in the pipeline",
                all,
            )
        })
    }

    /// What the user can make shorter, the longest of it: the others are AWS's own.
    fn hint(&self, sum: Span, limit: Span, within: fn(Phase) -> bool) -> String {
        let own = self
            .parts
            .iter()
            .filter(|part| within(part.phase) && OWN.contains(&part.what.as_str()));
        let over = in_words(Span::from_secs(sum.seconds() - limit.seconds()));
        match own.max_by_key(|part| part.most) {
            Some(part) => format!("take {over} off, for instance of `{}`", part.what),
            None => format!("take {over} off"),
        }
    }

    fn sum(&self, within: impl Fn(Phase) -> bool) -> Span {
        let parts = self.parts.iter().filter(|part| within(part.phase));
        Span::from_secs(parts.map(|part| part.most.seconds()).sum())
    }

    fn written(&self, within: impl Fn(Phase) -> bool) -> String {
        let parts = self.parts.iter().filter(|part| within(part.phase));
        parts
            .map(|part| format!("{} {}", part.what, in_words(part.most)))
            .collect::<Vec<_>>()
            .join(" + ")
    }
}

impl fmt::Display for Budget {
    /// In one line: `10h 5m at the most: a build's turn 8h + the build 1h + new tasks 1h + keep_old 5m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at the most: {}",
            in_words(self.total()),
            self.written(|_| true)
        )
    }
}

impl Part {
    fn new(what: &str, phase: Phase, most: Span) -> Self {
        Self {
            what: what.to_owned(),
            phase,
            most,
        }
    }
}

impl Strategy {
    /// From the first shift of production traffic to the last.
    pub fn takes(self) -> Span {
        match self {
            Self::AllAtOnce => Span::from_secs(0),
            Self::Canary { wait, .. } => wait,
            Self::Linear { percent, every } => {
                let shifts = 100_u64.div_ceil(u64::from(percent.max(1)));
                Span::from_secs(every.seconds().saturating_mul(shifts - 1))
            }
        }
    }
}

/// The parts that a key of the spec's section `deploy` sets.
const OWN: [&str; 3] = ["approve.within", "strategy", "keep_old"];

/// `5d 2h`, `1h 30m`, `45s`: what people add up in their heads.
fn in_words(span: Span) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = span.seconds();
    let mut words = Vec::new();
    for (unit, seconds) in units {
        if rest >= seconds {
            words.push(format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    if words.is_empty() {
        return "0s".to_owned();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn budget(deploy: &str) -> Budget {
        let text = format!("version: 1\napp: web\nservice: {{ port: 80 }}\ndeploy: {deploy}\n");
        Budget::new(&crate::parse(&text).unwrap().deploy)
    }

    #[test]
    fn every_wait_is_added_up() {
        for (deploy, want) in [
            (
                "{}",
                "10h 5m at the most: a build's turn 8h + the build 1h + new tasks 1h + keep_old 5m",
            ),
            (
                "{ keep_old: 0m, strategy: { canary: { percent: 10, wait: 90m } } }",
                "11h 30m at the most: a build's turn 8h + the build 1h + new tasks 1h + strategy 1h 30m",
            ),
            (
                "{ keep_old: 1d, approve: { within: 2h }, strategy: { linear: { percent: 30, every: 10m } }, hooks: { before_install: a, after_install: b, after_allow_test_traffic: c, before_allow_traffic: d, after_allow_traffic: e } }",
                "1d 17h 30m at the most: a build's turn 8h + the build 1h + hooks.before_install 1h + new tasks 1h + hooks.after_install 1h + hooks.after_allow_test_traffic 1h + approve.within 2h + hooks.before_allow_traffic 1h + strategy 30m + hooks.after_allow_traffic 1h + keep_old 1d",
            ),
        ] {
            assert_eq!(budget(deploy).to_string(), want);
        }
        let with_hooks = budget(
            "{ approve: { within: 2h }, hooks: { after_install: b, after_allow_traffic: e } }",
        );
        assert_eq!(with_hooks.before_shift(), Span::from_minutes(4 * 60));
        assert_eq!(with_hooks.deployment(), Span::from_minutes(5 * 60 + 5));
    }

    #[test]
    fn a_strategy_takes_the_time_between_its_first_and_its_last_shift() {
        let every = Span::from_minutes(3);
        for (percent, minutes) in [(10, 27), (30, 9), (50, 3), (51, 3), (99, 3)] {
            let takes = Strategy::Linear { percent, every }.takes();
            assert_eq!(takes.minutes(), Some(minutes), "{percent}");
        }
        assert_eq!(
            Strategy::Canary {
                percent: 1,
                wait: every
            }
            .takes(),
            every
        );
        assert_eq!(Strategy::AllAtOnce.takes().seconds(), 0);
    }
}
