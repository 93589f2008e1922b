//! Faults by chance, the same again for the same seed. What strikes a call follows from the seed and from what the call
//! says, not from when it comes: two runs whose calls come in another order are struck alike. Must not know a service.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Strike;
use crate::clock::Millis;
use crate::wire::Call;

/// How likely each fault is, of a thousand calls. In JSON all but the seed may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// Another seed, another run.
    pub seed: u64,
    /// Of a thousand spans of five seconds of one service, in how many it takes no call at all.
    #[serde(default = "Chaos::usual_bursts")]
    pub throttle_bursts: u16,
    /// Answered with 500 or 503, without effect.
    #[serde(default = "Chaos::usual")]
    pub fail: u16,
    /// The connection ends before the call arrives.
    #[serde(default = "Chaos::usual")]
    pub reset: u16,
    /// The connection ends before the answer.
    #[serde(default = "Chaos::usual")]
    pub lose_answer: u16,
    /// Answered late, by up to ten seconds.
    #[serde(default = "Chaos::usual")]
    pub slow: u16,
    /// How often one and the same call is struck at the most; the next is let through.
    #[serde(default = "Chaos::patience")]
    pub at_most: u32,
}

/// How long a service that throttles does so.
const BURST: Millis = 5_000;
const SLOWEST: u64 = 10_000;

impl Chaos {
    /// A bad day: of a hundred calls some ten are struck, one way or another.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            throttle_bursts: Self::usual_bursts(),
            fail: Self::usual(),
            reset: Self::usual(),
            lose_answer: Self::usual(),
            slow: Self::usual(),
            at_most: Self::patience(),
        }
    }

    /// Nothing happens yet: for whoever turns up one dial alone.
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            throttle_bursts: 0,
            fail: 0,
            reset: 0,
            lose_answer: 0,
            slow: 0,
            at_most: Self::patience(),
        }
    }

    fn usual() -> u16 {
        25
    }

    fn usual_bursts() -> u16 {
        50
    }

    fn patience() -> u32 {
        4
    }
}

/// Chaos with what it has done.
#[derive(Debug)]
pub(super) struct Running {
    chaos: Chaos,
    /// How often each call was seen, by what it says.
    seen: BTreeMap<u64, u32>,
}

impl Running {
    pub(super) fn new(chaos: Chaos) -> Self {
        Self {
            chaos,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn chaos(&self) -> &Chaos {
        &self.chaos
    }

    /// What strikes `call`.
    pub(super) fn strike(&mut self, call: &Call, now: Millis) -> Vec<Strike> {
        let said = said(call);
        let seen = self.seen.entry(said).or_default();
        let time = *seen;
        *seen += 1;
        if time >= self.chaos.at_most {
            return Vec::new();
        }
        let dice = Dice {
            seed: self.chaos.seed,
            throw: said ^ u64::from(time).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        let mut strikes = Vec::new();
        if dice.hits("slow", self.chaos.slow) {
            let millis = dice.roll("how slow") % SLOWEST;
            strikes.push(Strike::Delay(Duration::from_millis(millis)));
        }
        let burst = Dice {
            seed: self.chaos.seed,
            throw: text(&call.service) ^ (now / BURST).unsigned_abs(),
        };
        if burst.hits("throttle", self.chaos.throttle_bursts) {
            strikes.push(Strike::Throttle);
        } else if dice.hits("reset", self.chaos.reset) {
            strikes.push(Strike::Reset);
        } else if dice.hits("fail", self.chaos.fail) {
            let status = [500, 503][usize::from(dice.roll("status").is_multiple_of(2))];
            strikes.push(Strike::Fail(status));
        } else if dice.hits("lose", self.chaos.lose_answer) {
            strikes.push(Strike::LoseAnswer);
        }
        strikes
    }
}

/// What a call says, as a number: everything but its signature and time.
fn said(call: &Call) -> u64 {
    let mut sum = text(&call.service) ^ text(&call.region).rotate_left(17);
    let query = call.http.query.iter().flat_map(|(key, value)| [key, value]);
    for part in [&call.operation, &call.http.path].into_iter().chain(query) {
        sum = mix(sum ^ text(part));
    }
    mix(sum ^ bytes(&call.http.body))
}

/// Chance that is none: numbers that follow from a seed and a name.
struct Dice {
    seed: u64,
    throw: u64,
}

impl Dice {
    fn roll(&self, what: &str) -> u64 {
        mix(mix(self.seed ^ text(what)) ^ self.throw)
    }

    fn hits(&self, what: &str, of_a_thousand: u16) -> bool {
        self.roll(what) % 1000 < u64::from(of_a_thousand)
    }
}

fn text(text: &str) -> u64 {
    bytes(text.as_bytes())
}

/// FNV-1a: short, and the same on every machine and in every version.
fn bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of splitmix64: neighbouring numbers come out far apart.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
