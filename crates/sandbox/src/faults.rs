//! The fault dial: what goes wrong, at which call. Must not know what a service does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wire::{Call, Fault};
use crate::world::World;

/// What strikes a call. In JSON: `"lose_answer"`, `{"delay": 2.5}`, `{"refuse": {"status": 400, "code": "Throttling", "message": "Rate exceeded"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strike {
    /// The call has no effect and is answered so.
    Refuse(#[serde(with = "Refusal")] Fault),
    /// The call has its effect, but the connection ends before the answer.
    LoseAnswer,
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

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// Whether the regions' services were told of unhealthy images, and have to be told when there are none any more.
    dialled: bool,
    /// Tasks of these images never get healthy.
    pub unhealthy_images: Vec<String>,
}

/// What is to be done with one call.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) delay: Option<Duration>,
    pub(crate) before: Option<Fault>,
    pub(crate) lose_answer: bool,
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

    /// Tells the regions' services which images never get healthy.
    pub(crate) fn dial(&mut self, world: &mut World) {
        if self.unhealthy_images.is_empty() && !self.dialled {
            return;
        }
        for region in world
            .regions
            .values_mut()
            .filter(|region| region.ecs.unhealthy != self.unhealthy_images)
        {
            region.ecs.unhealthy.clone_from(&self.unhealthy_images);
        }
        self.dialled = !self.unhealthy_images.is_empty();
    }

    /// Takes all rules away.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.unhealthy_images.clear();
    }

    pub(crate) fn strike(&mut self, call: &Call) -> Outcome {
        let mut outcome = Outcome::default();
        for rule in self.rules.iter_mut().filter(|rule| rule.times > 0) {
            let matches =
                |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
            if !matches(&rule.service, &call.service) || !matches(&rule.operation, &call.operation)
            {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            match &rule.strike {
                Strike::Refuse(fault) => outcome.before = Some(fault.clone()),
                Strike::LoseAnswer => outcome.lose_answer = true,
                Strike::Delay(span) => outcome.delay = Some(*span),
            }
        }
        outcome
    }
}
