//! Tree → raw for what watches over a deployment: alarms, hooks, checks, and when to give up. Must not check a value beyond its type.

use super::{Keys, Place, Reader, whole};
use crate::raw::{Alarm, Check, Condition, FailFast, Hooks, Http5xx, Latency, UnhealthyTargets};
use crate::tree::{Node, Value};

impl Reader<'_, '_> {
    pub(super) fn alarm(&mut self, place: &Place, node: &Node) -> Option<Alarm> {
        match &node.value {
            Value::Text(name) => Some(Alarm::Existing(name.clone())),
            Value::Mapping(_) => self
                .condition(place, node)
                .map(|condition| Alarm::Declared(Box::new(condition))),
            _ => self.wrong(
                place,
                node,
                "the name of an alarm, or a mapping with `http_5xx`, `latency` or `unhealthy_targets`",
            ),
        }
    }

    fn condition(&mut self, place: &Place, node: &Node) -> Option<Condition> {
        let mut keys = self.keys(place, node)?;
        let found = [
            self.optional(&mut keys, "http_5xx", Self::http_5xx)
                .map(Condition::Http5xx),
            self.optional(&mut keys, "latency", Self::latency)
                .map(Condition::Latency),
            self.optional(&mut keys, "unhealthy_targets", Self::unhealthy_targets)
                .map(Condition::UnhealthyTargets),
        ];
        self.unknown(&keys);
        self.only_one(&keys, found)
    }

    fn http_5xx(&mut self, place: &Place, node: &Node) -> Option<Http5xx> {
        let mut keys = self.keys(place, node)?;
        let condition = Http5xx {
            above: self.required(&mut keys, "above", Self::percent),
            r#for: self.required(&mut keys, "for", Self::duration),
        };
        self.unknown(&keys);
        Some(condition)
    }

    fn latency(&mut self, place: &Place, node: &Node) -> Option<Latency> {
        let mut keys = self.keys(place, node)?;
        let condition = Latency {
            p: self.required(&mut keys, "p", Self::number),
            above: self.required(&mut keys, "above", Self::short_time),
            r#for: self.required(&mut keys, "for", Self::duration),
        };
        self.unknown(&keys);
        Some(condition)
    }

    fn unhealthy_targets(&mut self, place: &Place, node: &Node) -> Option<UnhealthyTargets> {
        let mut keys = self.keys(place, node)?;
        let condition = UnhealthyTargets {
            above: self.optional(&mut keys, "above", Self::integer),
            r#for: self.required(&mut keys, "for", Self::duration),
        };
        self.unknown(&keys);
        Some(condition)
    }

    /// The only condition of an item: each gets an item of its own, so that one kind may be there more than once.
    fn only_one<const N: usize>(
        &mut self,
        keys: &Keys<'_>,
        found: [Option<Condition>; N],
    ) -> Option<Condition> {
        let written = keys
            .entries
            .iter()
            .filter(|(name, ..)| keys.asked.contains(name))
            .count();
        if written == 1 {
            return found.into_iter().flatten().next();
        }
        let (message, hint) = if written == 0 {
            (
                "nothing says what is watched",
                "write one of `http_5xx`, `latency`, `unhealthy_targets`",
            )
        } else {
            (
                "several conditions in one item of the list",
                "give each an item of its own",
            )
        };
        let place = &keys.place;
        self.problems
            .structure(&place.path, place.key, message, Some(hint.to_owned()));
        None
    }

    pub(super) fn hooks(&mut self, place: &Place, node: &Node) -> Option<Hooks> {
        let mut keys = self.keys(place, node)?;
        let hooks = Hooks {
            before_install: self.optional(&mut keys, "before_install", Self::text),
            after_install: self.optional(&mut keys, "after_install", Self::text),
            after_allow_test_traffic: self.optional(
                &mut keys,
                "after_allow_test_traffic",
                Self::text,
            ),
            before_allow_traffic: self.optional(&mut keys, "before_allow_traffic", Self::text),
            after_allow_traffic: self.optional(&mut keys, "after_allow_traffic", Self::text),
        };
        self.unknown(&keys);
        Some(hooks)
    }

    pub(super) fn check(&mut self, place: &Place, node: &Node) -> Option<Check> {
        let mut keys = self.keys(place, node)?;
        let check = Check {
            path: self.required(&mut keys, "path", Self::text),
            status: self.optional(&mut keys, "status", Self::digits),
            contains: self.optional(&mut keys, "contains", Self::text),
            times: self.optional(&mut keys, "times", Self::integer),
            within: self.optional(&mut keys, "within", Self::duration),
        };
        self.unknown(&keys);
        Some(check)
    }

    pub(super) fn fail_fast(&mut self, place: &Place, node: &Node) -> Option<FailFast> {
        match &node.value {
            Value::Text(text) if text == "off" => Some(FailFast::Off),
            value => match whole(value) {
                Some(count) => Some(FailFast::After(count)),
                None => self.wrong(place, node, "a number of tasks, or `off`"),
            },
        }
    }

    fn percent(&mut self, place: &Place, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => self.wrong(place, node, "a part in percent, such as 1% or 0.5%"),
        }
    }

    fn short_time(&mut self, place: &Place, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => self.wrong(place, node, "a short time, such as 800ms or 2s"),
        }
    }

    fn number(&mut self, place: &Place, node: &Node) -> Option<f64> {
        match node.value {
            Value::Integer(number) => Some(number as f64),
            Value::Number(number) => Some(number),
            _ => self.wrong(place, node, "a number"),
        }
    }
}
