//! Tags of balancers, target groups, listeners and rules. Must not know what is tagged beyond its ARN.

use serde_json::{Value, json};

use super::{Answer, Fault, State, empty, invalid, no_group, no_listener, state};
use crate::services::query::only;
use crate::wire::{Call, Input as _, Reply};
use crate::world::{Tags, World};

/// AWS's limit of tags on one resource.
const MOST: usize = 50;

/// The tags that a create call gives.
pub(super) fn given(call: &Call) -> Result<Tags, Fault> {
    let list = call.input.list("Tags");
    let tags = call.input.pairs("Tags", "Key", "Value");
    if tags.len() < list.len() {
        return Err(Fault::new(
            "DuplicateTagKeys",
            "A tag key was specified more than once",
        ));
    }
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "Tag keys have 1 to 128 characters, tag values at most 256",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(
                "Tag keys starting with 'aws:' are reserved for system use",
            ));
        }
    }
    if tags.len() > MOST {
        Err(too_many())
    } else {
        Ok(tags)
    }
}

pub(super) fn add(world: &mut World, call: &Call) -> Answer {
    only(call, &["ResourceArns", "Tags"])?;
    let given = given(call)?;
    let state = state(world, call);
    let arns = known(state, call)?;
    for arn in &arns {
        let mut tags = state.tags.get(arn).cloned().unwrap_or_default();
        tags.extend(given.clone());
        if tags.len() > MOST {
            return Err(too_many());
        }
        state.tags.insert(arn.clone(), tags);
    }
    empty()
}

pub(super) fn remove(world: &mut World, call: &Call) -> Answer {
    only(call, &["ResourceArns", "TagKeys"])?;
    let state = state(world, call);
    let keys = call.input.texts("TagKeys");
    for arn in known(state, call)? {
        if let Some(tags) = state.tags.get_mut(&arn) {
            tags.retain(|key, _| !keys.contains(key));
        }
    }
    empty()
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    only(call, &["ResourceArns"])?;
    let state = state(world, call);
    let arns = known(state, call)?;
    if arns.len() > 20 {
        return Err(invalid("Cannot have more than 20 resources described"));
    }
    let rows = arns.iter().map(|arn| {
        let tags = state.tags.get(arn).into_iter().flatten();
        let tags: Vec<Value> = tags
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        json!({"ResourceArn": arn, "Tags": tags})
    });
    Ok(Reply::Value(
        json!({"TagDescriptions": rows.collect::<Vec<_>>()}),
    ))
}

/// The call's ARNs, if all of them exist.
fn known(state: &State, call: &Call) -> Result<Vec<String>, Fault> {
    let arns = call.input.texts("ResourceArns");
    if arns.is_empty() {
        return Err(invalid("At least one resource ARN must be specified"));
    }
    for arn in &arns {
        let kind = arn
            .split(':')
            .nth(5)
            .and_then(|resource| resource.split('/').next())
            .unwrap_or_default();
        let (exists, fault) = match kind {
            "loadbalancer" => {
                let fault = Fault::new(
                    "LoadBalancerNotFound",
                    format!("Load balancer '{arn}' not found"),
                );
                (state.balancers.contains_key(arn), fault)
            }
            "targetgroup" => (state.groups.contains_key(arn), no_group(arn)),
            "listener" => (state.listeners.contains_key(arn), no_listener(arn)),
            "listener-rule" => (
                state.rules.contains_key(arn) || super::rules::is_default(state, arn),
                Fault::new("RuleNotFound", format!("Rules '{arn}' not found")),
            ),
            _ => (false, invalid(format!("'{arn}' is not a valid ARN"))),
        };
        if !exists {
            return Err(fault);
        }
    }
    Ok(arns)
}

fn too_many() -> Fault {
    Fault::new(
        "TooManyTags",
        "The quota for the number of tags that can be assigned to a load balancer resource has been reached",
    )
}
