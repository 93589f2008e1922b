//! The tags of repositories.

use serde_json::{Value, json};

use super::{Repository, invalid, no_repository, required};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

pub(super) fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let repository = by_arn(world, call)?;
    let mut all = repository.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "A repository has at most 50 tags.",
        ));
    }
    repository.tags = all;
    Ok(Reply::Value(json!({})))
}

pub(super) fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("tagKeys");
    by_arn(world, call)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

pub(super) fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = by_arn(world, call)?
        .tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(Reply::Value(json!({"tags": Value::Array(tags)})))
}

pub(super) fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let problem = |message: &str| Err(Fault::new("InvalidTagParameterException", message));
    let mut tags = Tags::new();
    for item in call.input.list("tags") {
        let (key, value) = (
            item.text("Key").unwrap_or_default(),
            item.text("Value").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return problem("tag keys have 1 to 128 characters and values at most 256");
        }
        if key.to_lowercase().starts_with("aws:") {
            return problem("tag keys beginning with aws: are reserved");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return problem("duplicate tag keys");
        }
    }
    match tags.len() > 50 {
        true => Err(Fault::new(
            "TooManyTagsException",
            "A repository has at most 50 tags.",
        )),
        false => Ok(tags),
    }
}

fn by_arn<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Repository, Fault> {
    let arn = required(call, "resourceArn")?;
    let (_, name) = arn.split_once(":repository/").ok_or_else(|| {
        invalid(format!(
            "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN': {arn}"
        ))
    })?;
    let account = world.account.clone();
    let found = world
        .at(&call.region)
        .ecr
        .repositories
        .get_mut(name)
        .filter(|repository| repository.arn == arn);
    found.ok_or_else(|| no_repository(name, &account))
}
