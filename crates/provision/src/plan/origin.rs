//! Where a difference comes from: the spec, somebody's hand, or another step of the same plan. Must not decide what is done about it.

use serde_json::Value;

use super::{Change, Origin};
use crate::applied::{APPLIED_TAG, Applied};
use crate::cloud::Have;
use crate::graph::{Graph, Node, tokens};
use crate::inventory::Inventory;
use crate::resource::{Key, Kind, ORDER_ONLY};

/// Says of each of the `changes` between `have` and what `node` wants where it comes from.
pub(super) fn mark(changes: &mut [Change], node: &Node, have: &Have, inventory: &Inventory) {
    let wanted = node.resource.properties();
    let applied = Applied::read(&have.tags);
    for change in changes {
        change.origin = match change.property() {
            "tags" => of_tag(change, applied.as_ref()),
            property => {
                let value = wanted.get(property).unwrap_or(&Value::Null);
                let is_made = |value: &Value| {
                    let mut keys = tokens(value).into_iter();
                    keys.any(|key| !inventory.owned.contains_key(&key))
                };
                let made_again = |want: &Value| !tokens(want).is_empty();
                let refers_to_new = is_made(value) || change.want.as_ref().is_some_and(made_again);
                of_property(
                    property,
                    value,
                    node.key.kind,
                    applied.as_ref(),
                    refers_to_new,
                )
            }
        };
    }
}

fn of_property(
    property: &str,
    value: &Value,
    kind: Kind,
    applied: Option<&Applied>,
    refers_to_new: bool,
) -> Origin {
    // Its name is made of what it was made with, so what differs from it was never applied.
    if kind == Kind::DeploymentConfig {
        return Origin::Drift;
    }
    if !applied.is_some_and(|applied| applied.holds(property, value)) {
        return Origin::Spec;
    }
    // What it refers to is made by this plan, whether its id is known by then (from its name) or not.
    if refers_to_new {
        Origin::Follows
    } else {
        Origin::Drift
    }
}

/// A tag that is wanted as it was applied, or that nobody ever applied, was changed by hand.
fn of_tag(change: &Change, applied: Option<&Applied>) -> Origin {
    let name = change.field.strip_prefix("tags.").unwrap_or_default();
    if name == APPLIED_TAG {
        return Origin::Record;
    }
    let Some(applied) = applied else {
        return Origin::Spec;
    };
    let held = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| applied.holds_tag(name, text))
    };
    let by_hand = match (&change.have, &change.want) {
        (_, Some(want)) => held(want),
        (Some(have), None) => !held(have),
        (None, None) => false,
    };
    if by_hand { Origin::Drift } else { Origin::Spec }
}

/// Where the lack of `key` comes from. It was there once if something that exists was applied with a link to it: then somebody has
/// deleted it. Of what nothing refers to that can't be known.
pub(super) fn of_lack(key: &Key, graph: &Graph, inventory: &Inventory) -> Origin {
    let applied_with_it = |node: &Node| {
        let have = inventory.owned.get(&node.key);
        let applied = have.and_then(|have| Applied::read(&have.tags));
        let Some(applied) = applied.filter(|_| node.links.contains(key)) else {
            return false;
        };
        let properties = node.resource.properties();
        let mut properties = properties.as_object().into_iter().flatten();
        properties.any(|(name, value)| {
            !ORDER_ONLY.contains(&name.as_str())
                && tokens(value).contains(key)
                && applied.holds(name, value)
        })
    };
    if graph.nodes().iter().any(applied_with_it) {
        Origin::Drift
    } else {
        Origin::Spec
    }
}
