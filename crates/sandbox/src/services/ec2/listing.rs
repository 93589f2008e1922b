//! How EC2 lists things: ids, filters, pages. Filters read the rendered answer, so that they can't disagree with it.
//! Must not know any resource.

use serde_json::{Map, Value};

use super::super::query::{Answer, only, page, wildcard};
use super::{Fault, invalid};
use crate::wire::{Call, Input as _, Reply};

/// One describe operation.
pub(super) struct Listing {
    /// The member of the answer that holds the items.
    pub(super) set: &'static str,
    /// The parameter that names ids, and the items' member that it is compared with.
    pub(super) ids: Option<(&'static str, &'static str)>,
    /// The fault for an id that no item has.
    pub(super) missing: fn(&str) -> Fault,
    /// Filter names, and where in an item the filtered values stand. Lists on the way are looked through.
    pub(super) filters: &'static [(&'static str, &'static str)],
}

impl Listing {
    /// The items that the call asks for, in pages.
    pub(super) fn answer(&self, call: &Call, items: Vec<Value>) -> Answer {
        self.answer_with(call, items, &[])
    }

    /// The same for an operation that honours more parameters.
    pub(super) fn answer_with(&self, call: &Call, items: Vec<Value>, more: &[&str]) -> Answer {
        let id_parameter = self.ids.map(|(parameter, _)| parameter).unwrap_or("Filter");
        only(
            call,
            &[&[id_parameter, "Filter", "MaxResults", "NextToken"], more].concat(),
        )?;
        let items = self.filter(call, self.pick(call, items)?)?;
        let size = size(call, id_parameter)?;
        let (items, next) = page(
            items,
            call.input
                .text("NextToken")
                .filter(|token| !token.is_empty()),
            size,
        )
        .ok_or_else(|| Fault::new("InvalidNextToken", "The token is invalid"))?;
        let mut answer = Map::new();
        answer.insert(self.set.to_owned(), Value::Array(items));
        if let Some(next) = next {
            answer.insert("nextToken".to_owned(), next.into());
        }
        Ok(Reply::Value(Value::Object(answer)))
    }

    fn pick(&self, call: &Call, items: Vec<Value>) -> Result<Vec<Value>, Fault> {
        let Some((parameter, member)) = self.ids else {
            return Ok(items);
        };
        let wanted = call.input.texts(parameter);
        if wanted.is_empty() {
            return Ok(items);
        }
        if let Some(id) = wanted
            .iter()
            .find(|id| !items.iter().any(|item| item.text(member) == Some(id)))
        {
            return Err((self.missing)(id));
        }
        let asked = |item: &Value| {
            item.text(member)
                .is_some_and(|id| wanted.iter().any(|want| want == id))
        };
        Ok(items.into_iter().filter(asked).collect())
    }

    fn filter(&self, call: &Call, mut items: Vec<Value>) -> Result<Vec<Value>, Fault> {
        for filter in call.input.list("Filter") {
            let name = filter.text("Name").unwrap_or_default();
            let wanted = filter.texts("Value");
            let matches = |have: &String| wanted.iter().any(|want| wildcard(want, have));
            if let Some(key) = name.strip_prefix("tag:") {
                items.retain(|item| tags(item).any(|(have, value)| have == key && matches(&value)));
            } else if name == "tag-key" {
                items.retain(|item| tags(item).any(|(have, _)| matches(&have)));
            } else {
                let known = self.filters.iter().find(|(known, _)| *known == name);
                let (_, path) =
                    known.ok_or_else(|| invalid(format!("The filter '{name}' is invalid")))?;
                items.retain(|item| values(item, path).iter().any(matches));
            }
        }
        Ok(items)
    }
}

fn size(call: &Call, id_parameter: &str) -> Result<usize, Fault> {
    let Some(size) = call.input.int("MaxResults") else {
        return Ok(1000);
    };
    if !call.input.list(id_parameter).is_empty() && id_parameter != "Filter" {
        let message =
            format!("The parameter {id_parameter} cannot be used with the parameter MaxResults");
        return Err(Fault::new("InvalidParameterCombination", message));
    }
    match size {
        5.. => Ok(size.min(1000) as usize),
        _ => Err(invalid(format!(
            "Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than 5."
        ))),
    }
}

fn tags(item: &Value) -> impl Iterator<Item = (String, String)> {
    let pair = |tag: &Value| {
        (
            tag.text("key").unwrap_or_default().to_owned(),
            tag.text("value").unwrap_or_default().to_owned(),
        )
    };
    item.list("tagSet")
        .iter()
        .map(pair)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The scalars at `path`, as text.
fn values(item: &Value, path: &str) -> Vec<String> {
    match item {
        Value::Array(items) => items.iter().flat_map(|item| values(item, path)).collect(),
        Value::Object(object) => {
            let (head, rest) = path.split_once('.').unwrap_or((path, ""));
            object
                .get(head)
                .map(|value| values(value, rest))
                .unwrap_or_default()
        }
        Value::String(text) => vec![text.clone()],
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}
