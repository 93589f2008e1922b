//! The Resource Groups Tagging API: one listing of what carries tags, over all services of a region. It only reads what the
//! services keep. Must not tag anything, and lists no IAM roles: AWS's doesn't either.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::services::ec2;
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &["GetResources"];

/// Resources on a page, at most and unless the caller says otherwise.
const PAGE: usize = 100;

/// Keys in one request, and values for a key.
const MOST_KEYS: usize = 50;
const MOST_VALUES: usize = 20;

/// The listing in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// A dial, as the listing lags behind the services: resources whose ARN contains one of these are not listed yet. `*` is
    /// every resource.
    #[serde(default)]
    pub unlisted: Vec<String>,
    /// A dial, the same for changes: what these ARNs are listed with, whatever tags they have by now.
    #[serde(default)]
    pub stale: BTreeMap<String, Tags>,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "GetResources" => get_resources(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

fn get_resources(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    for member in [
        "ResourceARNList",
        "IncludeComplianceDetails",
        "ExcludeCompliantResources",
        "TagsPerPage",
    ] {
        if call.input.get(member).is_some() {
            let message =
                format!("the ecspipe sandbox does not implement {member} of GetResources");
            return Err(Fault::new("InvalidParameterException", message));
        }
    }
    let filters = filters(call)?;
    let types = call.input.texts("ResourceTypeFilters");
    let limit = call.input.int("ResourcesPerPage").unwrap_or(100);
    let limit = usize::try_from(limit)
        .ok()
        .filter(|n| (1..=PAGE).contains(n));
    let limit = limit.ok_or_else(|| invalid("ResourcesPerPage must be between 1 and 100"))?;
    let mut found = tagged(world, &call.region);
    let state = &world.at(&call.region).tagging;
    let unlisted = |arn: &String| {
        let hides = |part: &String| part == "*" || arn.contains(part.as_str());
        state.unlisted.iter().any(hides)
    };
    found.retain(|arn, _| !unlisted(arn));
    found.extend(state.stale.clone());
    let wanted = found.into_iter().filter(|(arn, tags)| {
        let typed = types.is_empty() || types.iter().any(|of| is_of_type(arn, of));
        typed && filters.iter().all(|filter| filter.lets_through(tags))
    });
    let entries = wanted.map(|(arn, tags)| {
        let shown = mapping(&arn, &tags);
        (arn, shown)
    });
    let token = call.input.text("PaginationToken");
    let page = page(entries, token, limit).ok_or_else(|| {
        Fault::new(
            "PaginationTokenExpiredException",
            "The specified PaginationToken has expired",
        )
    })?;
    Ok(Reply::Value(json!({
        "ResourceTagMappingList": page.items,
        // The last page says so with an empty text.
        "PaginationToken": page.next.unwrap_or_default(),
    })))
}

struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    fn lets_through(&self, tags: &Tags) -> bool {
        let value = tags.get(&self.key);
        value.is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

fn filters(call: &Call) -> Result<Vec<Filter>, Fault> {
    let list = call.input.list("TagFilters");
    if list.len() > MOST_KEYS {
        return Err(invalid("A request can include up to 50 tag filters"));
    }
    let read = list.iter().map(|filter| {
        let key = filter.text("Key").filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| invalid("Each TagFilter must contain a key"))?;
        let values = filter.texts("Values");
        if values.len() > MOST_VALUES {
            return Err(invalid("Each key can include up to 20 values"));
        }
        Ok(Filter {
            key: key.to_owned(),
            values,
        })
    });
    read.collect()
}

/// `service` or `service:type`, as in the ARN.
fn is_of_type(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    let kind = resource.split(['/', ':']).next().unwrap_or_default();
    match wanted.split_once(':') {
        None => wanted == service,
        Some((of, resource_type)) => of == service && resource_type == kind,
    }
}

fn mapping(arn: &str, tags: &Tags) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    json!({ "ResourceARN": arn, "Tags": tags })
}

/// Everything in a region that carries a tag, by ARN.
fn tagged(world: &World, region: &str) -> BTreeMap<String, Tags> {
    let arn = |service: &str, resource: String| world.arn(service, region, &resource);
    let mut found = BTreeMap::new();
    for bucket in world.s3.buckets.values() {
        if bucket.region == region {
            let arn = format!(
                "arn:{}:s3:::{}",
                crate::world::partition(region),
                bucket.name
            );
            found.insert(arn, bucket.tags.clone());
        }
    }
    let Some(at) = world.regions.get(region) else {
        found.retain(|_, tags: &mut Tags| !tags.is_empty());
        return found;
    };
    for (id, tags) in &at.ec2.tags {
        if let Some(kind) = ec2::resource_type(id) {
            found.insert(arn("ec2", format!("{kind}/{id}")), tags.clone());
        }
    }
    found.extend(at.elbv2.tags.clone());
    for alarm in at.cloudwatch.alarms.values() {
        found.insert(alarm.arn.clone(), alarm.tags.clone());
    }
    for (name, project) in &at.codebuild.projects {
        found.insert(arn("codebuild", format!("project/{name}")), project.tags());
    }
    for (name, repository) in &at.codecommit.repositories {
        found.insert(arn("codecommit", name.clone()), repository.tags.clone());
    }
    for (name, application) in &at.codedeploy.applications {
        let tags = application.tags.clone();
        found.insert(arn("codedeploy", format!("application:{name}")), tags);
        for (group, state) in &application.groups {
            let resource = format!("deploymentgroup:{name}/{group}");
            found.insert(arn("codedeploy", resource), state.tags.clone());
        }
    }
    for (name, pipeline) in &at.codepipeline.pipelines {
        found.insert(arn("codepipeline", name.clone()), pipeline.tags.clone());
    }
    for repository in at.ecr.repositories.values() {
        found.insert(repository.arn.clone(), repository.tags.clone());
    }
    for cluster in at.ecs.clusters.values() {
        if cluster.deleted.is_none() {
            found.insert(cluster.arn.clone(), cluster.tags.clone());
        }
    }
    for rule in at.events.rules.values() {
        found.insert(rule.arn.clone(), rule.tags.clone());
    }
    for (id, key) in &at.kms.keys {
        found.insert(arn("kms", format!("key/{id}")), key.tags.clone());
    }
    for (name, group) in &at.logs.groups {
        let resource = format!("log-group:{name}");
        found.insert(arn("logs", resource), group.tags.clone());
    }
    found.retain(|_, tags| !tags.is_empty());
    found
}

fn invalid(message: &str) -> Fault {
    Fault::new("InvalidParameterException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{call, sandbox};

    fn arns(answer: &Value) -> Vec<&str> {
        let list = answer["ResourceTagMappingList"].as_array().unwrap();
        list.iter()
            .map(|mapping| mapping["ResourceARN"].as_str().unwrap())
            .collect()
    }

    async fn resources(sandbox: &crate::Sandbox, input: Value) -> Result<Value, (u16, String)> {
        call(sandbox, "tagging", "GetResources", input).await
    }

    async fn with_log_groups() -> crate::Sandbox {
        let sandbox = sandbox();
        for (name, app) in [("/a", "one"), ("/b", "two"), ("/c", "one")] {
            let input = json!({"logGroupName": name, "tags": {"app": app}});
            call(&sandbox, "logs", "CreateLogGroup", input)
                .await
                .unwrap();
        }
        let input = json!({"logGroupName": "/d"});
        call(&sandbox, "logs", "CreateLogGroup", input)
            .await
            .unwrap();
        sandbox
    }

    #[tokio::test(start_paused = true)]
    async fn resources_are_found_by_their_tags_page_by_page() {
        let sandbox = with_log_groups().await;
        let all = resources(&sandbox, json!({})).await.unwrap();
        assert_eq!(arns(&all).len(), 3, "{all}");
        let of_one =
            json!({"TagFilters": [{"Key": "app", "Values": ["one"]}], "ResourcesPerPage": 1});
        let first = resources(&sandbox, of_one.clone()).await.unwrap();
        assert_eq!(
            arns(&first),
            ["arn:aws:logs:eu-central-1:111122223333:log-group:/a"]
        );
        let mut rest = of_one;
        rest["PaginationToken"] = first["PaginationToken"].clone();
        let last = resources(&sandbox, rest).await.unwrap();
        assert_eq!(
            arns(&last),
            ["arn:aws:logs:eu-central-1:111122223333:log-group:/c"]
        );
        assert_eq!(last["PaginationToken"], "");
        for (types, found) in [
            (json!(["logs"]), 3),
            (json!(["logs:log-group"]), 3),
            (json!(["ec2"]), 0),
        ] {
            let typed = resources(&sandbox, json!({"ResourceTypeFilters": types})).await;
            assert_eq!(arns(&typed.unwrap()).len(), found);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_listing_may_lag_behind() {
        let sandbox = with_log_groups().await;
        sandbox.world().at("eu-central-1").tagging.unlisted = vec!["/a".to_owned()];
        let all = resources(&sandbox, json!({})).await.unwrap();
        assert_eq!(arns(&all).len(), 2, "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_refused() {
        let sandbox = sandbox();
        for input in [
            json!({"ResourceARNList": ["a"]}),
            json!({"ResourcesPerPage": 101}),
            json!({"TagFilters": [{"Values": ["a"]}]}),
        ] {
            let refused = resources(&sandbox, input.clone()).await.unwrap_err();
            assert_eq!(refused.1, "InvalidParameterException", "{input}");
        }
        let expired = resources(&sandbox, json!({"PaginationToken": "?"})).await;
        assert_eq!(expired.unwrap_err().1, "PaginationTokenExpiredException");
    }
}
