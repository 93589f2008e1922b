//! The fault dial: what goes wrong, at which call. Must not know what a service does.

mod chaos;
mod forms;
mod functions;
mod lag;
mod pipelines;
mod rates;
mod runs;
mod tasks;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::chaos::Chaos;
pub use self::forms::{failed, throttled};
use self::forms::{over_quota, taken};
pub(crate) use self::functions::of_function;
pub use self::functions::{Behaviour, ByFunction, Course};
pub(crate) use self::lag::named;
pub use self::pipelines::{ActionEnd, ActionFault, BuildEnd, BuildFault, ByAction, ByProject};
pub(crate) use self::pipelines::{of_action, of_project};
pub use self::runs::{ByCommand, RunEnd};
pub use self::tasks::{ByImage, TaskFault, Trouble, Unpulled};
use crate::clock::Millis;
use crate::wire::{Call, Fault};
use crate::world::World;

/// What strikes a call. In JSON: `"reset"`, `"lose_answer"`, `"kill_caller"`, `"no_answer"`, `"throttle"`, `"taken"`, `"over_quota"`,
/// `{"fail": 503}`, `{"delay": 2.5}`, `{"refuse": {"status": 400, "code": "Throttling", "message": "Rate exceeded"}}`,
/// `{"end_failed": {"code": "Gateway.NotAttached", "message": "Network vpc-1 has no Internet gateway attached"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strike {
    /// The call has no effect and is answered so.
    Refuse(#[serde(with = "Refusal")] Fault),
    /// The call has no effect: there were too many, says the service in its own words.
    Throttle,
    /// The call has no effect: the service failed by itself, with this status (500 or 503), in its own words.
    Fail(u16),
    /// The call has no effect: somebody else has the name, says the service in its own words. Strikes creations of what has a name.
    Taken,
    /// The call has no effect: there are as many already as there may be, says the service. Strikes creations that a quota counts.
    OverQuota,
    /// The call is answered as if all were well, but what it makes ends `failed` for this reason. Strikes creations of NAT gateways and
    /// load balancers, which alone can end so.
    EndFailed(#[serde(with = "Refusal")] Fault),
    /// The call has no effect: the connection ends before it arrives.
    Reset,
    /// The call has no effect and no answer, though the connection stays: a caller without patience waits for ever.
    NoAnswer,
    /// The call has its effect, but the connection ends before the answer.
    LoseAnswer,
    /// The call has its effect and is answered; no later call of its caller gets through. In this process a caller is a
    /// [`crate::client::Caller`]; over a socket it is known by its access key, until the faults are cleared.
    KillCaller,
    /// The call is answered late, in sandbox time.
    Delay(#[serde(with = "seconds")] Duration),
}

/// Which calls a rule strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The signing name of the service; `None` is any.
    #[serde(default)]
    pub service: Option<String>,
    /// The operation; `None` is any.
    #[serde(default)]
    pub operation: Option<String>,
    /// How many matching calls pass before it strikes.
    #[serde(default)]
    pub skip: u64,
    /// How many matching calls it strikes then.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens to them.
    pub strike: Strike,
}

/// A fault in JSON; its status may be left out.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Fault", deny_unknown_fields)]
struct Refusal {
    #[serde(default = "bad_request")]
    status: u16,
    code: String,
    message: String,
}

fn bad_request() -> u16 {
    400
}

fn once() -> u64 {
    1
}

/// A duration as a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(span.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What is in force.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    chaos: Option<chaos::Running>,
    rates: Option<rates::Rates>,
    lag: Option<lag::Lag>,
    /// The access keys of callers that were killed.
    dead: BTreeSet<String>,
    /// Tasks of these images never get healthy.
    pub unhealthy_images: Vec<String>,
    /// How long a new role or a changed trust policy takes until services see it, where it isn't as long as usual.
    pub roles_spread: Option<Duration>,
    /// What goes wrong inside the account.
    pub dials: Dials,
}

/// What goes wrong inside the account, whoever calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dials {
    /// What goes wrong with tasks, by their image: a part of its URI, or `*`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: ByImage,
    /// How Lambda functions behave, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: ByFunction,
    /// How the commands of one-off tasks end, by the command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: ByCommand,
    /// How builds end badly, by project.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: ByProject,
    /// How actions of pipelines end badly, by action.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: ByAction,
    /// CloudWatch alarms that are in alarm, whatever was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// What is dialled for a text, with the pattern that means it: the longest part of it, or `*`.
fn of_part<'a, T>(dialled: &'a BTreeMap<String, T>, text: &str) -> Option<(&'a str, &'a T)> {
    let means = |pattern: &str| pattern == "*" || (!pattern.is_empty() && text.contains(pattern));
    dialled
        .iter()
        .filter(|(pattern, _)| means(pattern))
        .max_by_key(|(pattern, _)| if *pattern == "*" { 0 } else { pattern.len() })
        .map(|(pattern, found)| (pattern.as_str(), found))
}

/// What is dialled for an image, with the pattern that means it.
pub(crate) fn of_image<'a>(faults: &'a ByImage, uri: &str) -> Option<(&'a str, &'a TaskFault)> {
    of_part(faults, uri)
}

/// How a command ends, where that is dialled.
pub(crate) fn of_command<'a>(ends: &'a ByCommand, command: &str) -> Option<&'a RunEnd> {
    of_part(ends, command).map(|(_, end)| end)
}

impl Dials {
    /// Adds others; what is said anew takes the place of what was said before.
    pub fn extend(&mut self, others: Self) {
        self.tasks.extend(others.tasks);
        self.functions.extend(others.functions);
        self.commands.extend(others.commands);
        self.builds.extend(others.builds);
        self.actions.extend(others.actions);
        self.alarms.extend(others.alarms);
    }
}

/// What is to be done with one call.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) delay: Option<Duration>,
    pub(crate) before: Option<Before>,
    pub(crate) lose_answer: bool,
    pub(crate) kill_caller: bool,
    /// Why what the call makes ends `failed`.
    pub(crate) end_failed: Option<Fault>,
    /// What the call doesn't see yet; `None` where nothing is ever unseen.
    pub(crate) unseen: Option<BTreeSet<String>>,
}

/// What keeps a call from having its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    Refused(Fault),
    Reset,
    NoAnswer,
}

impl Outcome {
    fn add(&mut self, strike: &Strike, call: &Call) {
        match strike {
            Strike::Refuse(fault) => self.before = Some(Before::Refused(fault.clone())),
            Strike::Throttle => self.before = Some(Before::Refused(throttled(&call.service))),
            Strike::Fail(status) => {
                self.before = Some(Before::Refused(failed(&call.service, *status)));
            }
            // `strikes` has left out what has no such words.
            Strike::Taken => self.before = taken(call).map(Before::Refused),
            Strike::OverQuota => self.before = over_quota(call).map(Before::Refused),
            Strike::EndFailed(fault) => self.end_failed = Some(fault.clone()),
            Strike::Reset => self.before = Some(Before::Reset),
            Strike::NoAnswer => self.before = Some(Before::NoAnswer),
            Strike::LoseAnswer => self.lose_answer = true,
            Strike::KillCaller => self.kill_caller = true,
            Strike::Delay(span) => self.delay = Some(self.delay.unwrap_or_default().max(*span)),
        }
    }
}

impl Strike {
    /// Whether it can strike `call` at all.
    fn strikes(&self, call: &Call) -> bool {
        match self {
            Self::Taken => taken(call).is_some(),
            Self::OverQuota => over_quota(call).is_some(),
            Self::EndFailed(_) => {
                matches!(
                    call.operation.as_str(),
                    "CreateNatGateway" | "CreateLoadBalancer"
                )
            }
            _ => true,
        }
    }
}

impl Faults {
    /// Adds a rule.
    pub fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// The rules, those that have struck for the last time too.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Strikes by chance from now on, besides the rules; `None` ends it.
    pub fn set_chaos(&mut self, chaos: Option<Chaos>) {
        self.chaos = chaos.map(chaos::Running::new);
    }

    /// Refuses calls that come faster than AWS takes them, from now on or no longer.
    pub fn set_rates(&mut self, on: bool) {
        self.rates = on.then(rates::Rates::default);
    }

    /// Whether calls that come too fast are refused, and if so how many were.
    pub fn refused_by_rate(&self) -> Option<u64> {
        self.rates.as_ref().map(rates::Rates::refused)
    }

    /// From now on EC2 doesn't know for `span` what it has just made, or again at once.
    pub(crate) fn set_lag(
        &mut self,
        span: Option<Duration>,
        there: impl IntoIterator<Item = String>,
    ) {
        self.lag = span.map(lag::Lag::new);
        if let Some(lag) = &mut self.lag {
            lag.notice(there, None);
        }
    }

    /// For how long EC2 doesn't know what it has just made.
    pub fn lag(&self) -> Option<Duration> {
        self.lag.as_ref().map(lag::Lag::span)
    }

    /// Tells what is there after a call, for the lag.
    pub(crate) fn notice(&mut self, ids: Vec<String>, now: Millis) {
        if let Some(lag) = &mut self.lag {
            lag.notice(ids, Some(now));
        }
    }

    /// By what chance calls are struck.
    pub fn chaos(&self) -> Option<&Chaos> {
        self.chaos.as_ref().map(chaos::Running::chaos)
    }

    /// Tells the account what goes wrong in it, and how long roles take to be known.
    pub(crate) fn dial(&self, world: &mut World) {
        let spread = self
            .roles_spread
            .map(|span| i64::try_from(span.as_millis()));
        world.iam.spread = spread.and_then(Result::ok);
        let mut want = self.dials.clone();
        for image in &self.unhealthy_images {
            want.tasks
                .entry(image.clone())
                .or_insert_with(TaskFault::unhealthy);
        }
        world.dial(want);
    }

    /// Takes everything away; the dead live again.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.chaos = None;
        self.rates = None;
        self.lag = None;
        self.dead.clear();
        self.unhealthy_images.clear();
        self.dials = Dials::default();
        self.roles_spread = None;
    }

    /// What is to be done with a call that comes at `now`.
    pub(crate) fn strike(&mut self, call: &Call, now: Millis) -> Outcome {
        let mut outcome = Outcome {
            unseen: self.lag.as_ref().map(|lag| lag.unseen(call, now)),
            ..Outcome::default()
        };
        if let Some(rates) = &mut self.rates
            && rates.refuses(&call.region, &call.service, &call.operation, now)
        {
            outcome.add(&Strike::Throttle, call);
        }
        for rule in self.rules.iter_mut().filter(|rule| rule.times > 0) {
            let matches =
                |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
            if !matches(&rule.service, &call.service)
                || !matches(&rule.operation, &call.operation)
                || !rule.strike.strikes(call)
            {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            outcome.add(&rule.strike, call);
        }
        if let Some(chaos) = &mut self.chaos {
            for strike in chaos.strike(call, now) {
                outcome.add(&strike, call);
            }
        }
        outcome
    }

    /// Whether the caller with this access key was killed.
    pub(crate) fn is_dead(&self, access_key: &str) -> bool {
        self.dead.contains(access_key)
    }

    pub(crate) fn kill(&mut self, access_key: &str) {
        self.dead.insert(access_key.to_owned());
    }
}

#[cfg(test)]
mod tests;
