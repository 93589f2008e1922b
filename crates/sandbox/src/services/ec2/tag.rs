//! Tags on EC2's resources. Must not know what is tagged beyond its id.

use serde_json::{Value, json};

use super::listing::Listing;
use super::{Fault, KINDS, View, done, invalid, missing, need, state};
use crate::services::query::{Answer, only};
use crate::wire::{Call, Input as _};
use crate::world::{Tags, World};

/// AWS's limit of tags on one resource.
const MOST: usize = 50;

/// The tags that a create call gives to the resource type that it creates.
pub(super) fn given(call: &Call, resource_type: &str) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for specification in call.input.list("TagSpecification") {
        let named = specification.text("ResourceType").unwrap_or_default();
        if named != resource_type {
            return Err(invalid(format!(
                "'{named}' is not a valid taggable resource type for this operation."
            )));
        }
        for (key, value) in specification.pairs("Tag", "Key", "Value") {
            check(&key, &value)?;
            tags.insert(key, value);
        }
    }
    if tags.len() > MOST {
        return Err(too_many());
    }
    Ok(tags)
}

/// A resource's tags as EC2 writes them.
pub(super) fn set(view: &View<'_>, id: &str) -> Value {
    let tags = view.state.tags.get(id).into_iter().flatten();
    tags.map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(call, &["ResourceId", "Tag"])?;
    let ids = known_ids(world, call)?;
    let given = call.input.pairs("Tag", "Key", "Value");
    if given.is_empty() {
        need(call, "Tag")?;
    }
    for (key, value) in &given {
        check(key, value)?;
    }
    let state = state(world, call);
    for id in &ids {
        let mut tags = state.tags.get(id).cloned().unwrap_or_default();
        tags.extend(given.clone());
        if tags.len() > MOST {
            return Err(too_many());
        }
        state.tags.insert(id.clone(), tags);
    }
    done()
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["ResourceId", "Tag"])?;
    let ids = known_ids(world, call)?;
    let state = state(world, call);
    for id in &ids {
        let Some(tags) = state.tags.get_mut(id) else {
            continue;
        };
        if call.input.list("Tag").is_empty() {
            tags.clear();
        }
        for tag in call.input.list("Tag") {
            let key = tag.text("Key").unwrap_or_default();
            // A value, where one is given, must agree; an empty one only matches an empty one.
            if tag
                .text("Value")
                .is_none_or(|value| tags.get(key).is_some_and(|have| have == value))
            {
                tags.remove(key);
            }
        }
    }
    done()
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "tagSet",
        ids: None,
        missing: |id| missing("", id),
        filters: &[
            ("key", "key"),
            ("resource-id", "resourceId"),
            ("resource-type", "resourceType"),
            ("value", "value"),
        ],
    };
    let view = View::new(world, &call.region);
    let rows = view
        .state
        .tags
        .iter()
        .filter(|(id, _)| view.state.has(id, view.now));
    let rows = rows.flat_map(|(id, tags)| {
        let kind = resource_type(id);
        tags.iter().map(move |(key, value)| json!({"key": key, "resourceId": id, "resourceType": kind, "value": value}))
    });
    LISTING.answer(call, rows.collect())
}

fn known_ids(world: &mut World, call: &Call) -> Result<Vec<String>, Fault> {
    let view = View::new(world, &call.region);
    let ids = call.input.texts("ResourceId");
    if ids.is_empty() {
        need(call, "ResourceId")?;
    }
    match ids.iter().find(|id| !view.state.has(id, view.now)) {
        Some(id) => Err(missing(prefix(id), id)),
        None => Ok(ids),
    }
}

fn prefix(id: &str) -> &'static str {
    KINDS
        .iter()
        .map(|kind| kind.0)
        .find(|prefix| id.starts_with(prefix))
        .unwrap_or_default()
}

pub(super) fn resource_type(id: &str) -> &'static str {
    KINDS
        .iter()
        .find(|kind| id.starts_with(kind.0))
        .map(|kind| kind.1)
        .unwrap_or_default()
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(invalid(
            "Tag key exceeds the maximum length of 128 characters or is empty",
        ));
    }
    if value.chars().count() > 256 {
        return Err(invalid(
            "Tag value exceeds the maximum length of 256 characters",
        ));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(invalid(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    Ok(())
}

fn too_many() -> Fault {
    Fault::new(
        "TagLimitExceeded",
        "The maximum number of Tags for a resource has been reached.",
    )
}
