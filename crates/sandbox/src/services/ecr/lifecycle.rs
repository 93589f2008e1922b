//! Lifecycle policies: checked as ECR checks them, kept and given back. Must not let anything expire.

use serde_json::{Value, json};

use super::{about, invalid, repository, repository_mut, required};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::World;

pub(super) fn put_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = required(call, "lifecyclePolicyText")?.to_owned();
    check_lifecycle(&text).map_err(|reason| {
        invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{reason}'"
        ))
    })?;
    repository_mut(world, call)?.lifecycle = Some(text.clone());
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

/// The rules of ECR's lifecycle policies. The error names the one that is broken.
fn check_lifecycle(text: &str) -> Result<(), String> {
    if !(100..=30_720).contains(&text.len()) {
        return Err("the text has 100 to 30720 characters".to_owned());
    }
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let rules = document.list("rules");
    if rules.is_empty() || rules.len() > 50 {
        return Err("there are one to fifty rules".to_owned());
    }
    let mut priorities = std::collections::BTreeSet::new();
    for rule in rules {
        let priority = rule.int("rulePriority").filter(|priority| *priority >= 1);
        if !priority.is_some_and(|priority| priorities.insert(priority)) {
            return Err("each rule has a rulePriority of its own, from 1".to_owned());
        }
        if rule.get("action").and_then(|action| action.text("type")) != Some("expire") {
            return Err("the action's type is expire".to_owned());
        }
        let selection = rule.get("selection").ok_or("each rule has a selection")?;
        let listed = !selection.list("tagPrefixList").is_empty()
            || !selection.list("tagPatternList").is_empty();
        match (selection.text("tagStatus"), listed) {
            (Some("tagged"), true) | (Some("untagged" | "any"), false) => {}
            (Some("tagged"), false) => {
                return Err("tagged needs a tagPrefixList or a tagPatternList".to_owned());
            }
            _ => {
                return Err(
                    "tagStatus is tagged, untagged or any; only tagged has lists".to_owned(),
                );
            }
        }
        match (selection.text("countType"), selection.text("countUnit")) {
            (Some("imageCountMoreThan"), None)
            | (Some("sinceImagePushed" | "sinceImagePulled"), Some("days")) => {}
            _ => {
                return Err(
                    "countType is imageCountMoreThan, or sinceImagePushed with countUnit days"
                        .to_owned(),
                );
            }
        }
        if selection.int("countNumber").is_none_or(|number| number < 1) {
            return Err("countNumber is at least 1".to_owned());
        }
    }
    Ok(())
}

pub(super) fn get_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = lifecycle(world, call)?;
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

pub(super) fn delete_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = lifecycle(world, call)?;
    repository_mut(world, call)?.lifecycle = None;
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

fn lifecycle(world: &mut World, call: &Call) -> Result<String, Fault> {
    let account = world.account.clone();
    let repository = repository(world, call)?;
    repository.lifecycle.clone().ok_or_else(|| {
        let message = format!(
            "Lifecycle policy does not exist for the repository with name '{}' in the registry with id '{account}'",
            repository.name
        );
        Fault::new("LifecyclePolicyNotFoundException", message)
    })
}
