//! Eventual consistency: for some seconds EC2 doesn't know everywhere what it has just made. Listings don't show it, and a call that
//! names it is refused as if it didn't exist (AWS.md §3.3). Must not know how things are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::clock::Millis;
use crate::wire::Call;

/// How long new things stay unknown, with those that were made since.
#[derive(Debug)]
pub(super) struct Lag {
    span: Duration,
    /// When each was first seen; what was there when the lag began is not new.
    born: BTreeMap<String, Option<Millis>>,
}

impl Lag {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            born: BTreeMap::new(),
        }
    }

    pub(super) fn span(&self) -> Duration {
        self.span
    }

    /// The things that `call`, which comes at `now`, doesn't see.
    pub(super) fn unseen(&self, call: &Call, now: Millis) -> BTreeSet<String> {
        if call.service != "ec2" {
            return BTreeSet::new();
        }
        let span = i64::try_from(self.span.as_millis()).unwrap_or(Millis::MAX);
        let young =
            |born: &Option<Millis>| born.is_some_and(|born| now < born.saturating_add(span));
        let unseen = self.born.iter().filter(|(_, born)| young(born));
        unseen.map(|(id, _)| id.clone()).collect()
    }

    /// What is there by now, at `now`; `first` is before anything was called.
    pub(super) fn notice(&mut self, ids: impl IntoIterator<Item = String>, now: Option<Millis>) {
        for id in ids {
            self.born.entry(id).or_insert(now);
        }
    }
}

/// The first of `ids` that a request names, other than to filter by it.
pub(crate) fn named<'a>(input: &'a Value, ids: &BTreeSet<String>) -> Option<&'a str> {
    match input {
        Value::String(text) => ids.contains(text).then_some(text.as_str()),
        Value::Array(items) => items.iter().find_map(|item| named(item, ids)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "Filter" | "Filters"))
            .find_map(|(_, value)| named(value, ids)),
        _ => None,
    }
}
