//! EventBridge: rules on the default bus, and the delivery of events to pipelines and log groups. A target that can't be
//! reached fails without a word to the sender, as on AWS. Must not keep events.

mod pattern;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::iam::acting::Actor;
use crate::pipeline::{self, Trigger};
use crate::services::logs;
use crate::wire::page::{Page, page};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "DeleteRule",
    "DescribeRule",
    "DisableRule",
    "EnableRule",
    "ListRuleNamesByTarget",
    "ListRules",
    "ListTagsForResource",
    "ListTargetsByRule",
    "PutEvents",
    "PutRule",
    "PutTargets",
    "RemoveTargets",
    "TagResource",
    "TestEventPattern",
    "UntagResource",
];

/// Targets per rule, AWS's quota.
const TARGET_LIMIT: usize = 5;

/// Entries of one `PutEvents`.
const ENTRY_LIMIT: usize = 10;

/// The principal that assumes a target's role.
const SERVICE: &str = "events.amazonaws.com";

/// EventBridge in one region: the rules of its default bus.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub rules: BTreeMap<String, Rule>,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rule {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The event pattern, as it was sent.
    pub pattern: String,
    /// Whether it looks at events.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
    /// A role for targets that bring none.
    pub role: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// By id, as they were sent.
    pub targets: BTreeMap<String, Value>,
    /// Deliveries that failed, with the reason; the sandbox's stand-in for the metric `FailedInvocations`.
    pub failed: Vec<Failed>,
}

/// A delivery that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// When.
    pub at: Millis,
    /// The target's ARN.
    pub target: String,
    /// Why.
    pub reason: String,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    check_bus(call)?;
    match call.operation.as_str() {
        "DeleteRule" => delete_rule(world, call),
        "DescribeRule" => describe_rule(world, call),
        "DisableRule" => switch(world, call, false),
        "EnableRule" => switch(world, call, true),
        "ListRuleNamesByTarget" => list_rule_names_by_target(world, call),
        "ListRules" => list_rules(world, call),
        "ListTagsForResource" => list_tags(world, call),
        "ListTargetsByRule" => list_targets(world, call),
        "PutEvents" => put_events(world, call),
        "PutRule" => put_rule(world, call),
        "PutTargets" => put_targets(world, call),
        "RemoveTargets" => remove_targets(world, call),
        "TagResource" => tag_resource(world, call),
        "TestEventPattern" => test_event_pattern(call),
        "UntagResource" => untag_resource(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// An event of an AWS service: hands it to every rule that matches, and starts the pipelines that are their targets.
pub(crate) fn emit(
    world: &mut World,
    region: &str,
    source: &str,
    detail_type: &str,
    resources: &[String],
    detail: &Value,
) {
    let event = json!({
        "version": "0",
        "id": world.uuid(),
        "detail-type": detail_type,
        "source": source,
        "account": world.account,
        "time": seconds_iso(world.now),
        "region": region,
        "resources": resources,
        "detail": detail,
    });
    deliver(world, region, &event);
}

fn deliver(world: &mut World, region: &str, event: &Value) {
    let rules = world.at(region).events.rules.values();
    let hit = |rule: &&Rule| {
        rule.enabled && pattern::Pattern::read(&rule.pattern).is_ok_and(|p| p.matches(event))
    };
    let hits: Vec<Rule> = rules.filter(hit).cloned().collect();
    for rule in hits {
        for target in rule.targets.values() {
            if let Err(reason) = invoke(world, region, &rule, target, event) {
                let failed = Failed {
                    at: world.now,
                    target: target.text("Arn").unwrap_or_default().to_owned(),
                    reason,
                };
                tracing::debug!(
                    rule = rule.name,
                    target = failed.target,
                    reason = failed.reason,
                    "delivery failed"
                );
                if let Some(rule) = world.at(region).events.rules.get_mut(&rule.name) {
                    rule.failed.push(failed);
                }
            }
        }
    }
}

fn invoke(
    world: &mut World,
    region: &str,
    rule: &Rule,
    target: &Value,
    event: &Value,
) -> Result<(), String> {
    let arn = target.text("Arn").unwrap_or_default();
    match Destination::of(arn) {
        Some(Destination::Pipeline(name)) => {
            let role = target
                .text("RoleArn")
                .or(rule.role.as_deref())
                .ok_or("the target has no role")?;
            let session = world.id("session");
            let actor = Actor::assume(world, region, role, SERVICE, &rule.arn, &session)?;
            let input = json!({ "name": name });
            actor
                .may(world, "codepipeline", "StartPipelineExecution", input)
                .map_err(|denial| denial.to_string())?;
            let trigger = Trigger {
                kind: "CloudWatchEvent".to_owned(),
                detail: rule.arn.clone(),
            };
            let started = pipeline::start(world, region, name, &trigger);
            started
                .map(|_| ())
                .ok_or_else(|| format!("there is no pipeline {name}"))
        }
        Some(Destination::LogGroup(name)) => {
            if !world.at(region).logs.groups.contains_key(name) {
                return Err(format!("there is no log group {name}"));
            }
            let stream = world.uuid();
            logs::append(world, region, name, &stream, &event.to_string());
            Ok(())
        }
        None => Err("the sandbox cannot deliver to this target".to_owned()),
    }
}

/// What the sandbox can deliver to.
enum Destination<'a> {
    Pipeline(&'a str),
    LogGroup(&'a str),
}

impl<'a> Destination<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "codepipeline", _, _, name] => Some(Self::Pipeline(name)),
            ["arn", _, "logs", _, _, group] => {
                let name = group.strip_prefix("log-group:")?;
                Some(Self::LogGroup(name.strip_suffix(":*").unwrap_or(name)))
            }
            _ => None,
        }
    }
}

/// Creates a rule or replaces one; what isn't sent is gone then, but its tags and targets stay.
fn put_rule(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "Name")?.to_owned();
    check_name(&name, 64)?;
    if call.input.text("ScheduleExpression").is_some() {
        let message = "the ecspipe sandbox has rules with event patterns only, no schedules";
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    let text = call
        .input
        .text("EventPattern")
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        })?;
    pattern::Pattern::read(text).map_err(invalid_pattern)?;
    let enabled = match call.input.text("State") {
        None | Some("ENABLED" | "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS") => true,
        Some("DISABLED") => false,
        Some(other) => return Err(invalid(format!("'{other}' is not a valid state of a rule"))),
    };
    let description = call.input.text("Description").map(ToOwned::to_owned);
    if description
        .as_ref()
        .is_some_and(|text| text.chars().count() > 512)
    {
        return Err(invalid(
            "the description of a rule has at most 512 characters",
        ));
    }
    let tags = new_tags(call)?;
    let arn = world.arn("events", &call.region, &format!("rule/{name}"));
    let rules = &mut world.at(&call.region).events.rules;
    let former = rules.remove(&name);
    let (tags, targets, failed) = match former {
        Some(former) => (former.tags, former.targets, former.failed),
        None => (tags, BTreeMap::new(), Vec::new()),
    };
    let rule = Rule {
        name: name.clone(),
        arn: arn.clone(),
        pattern: text.to_owned(),
        enabled,
        description,
        role: call.input.text("RoleArn").map(ToOwned::to_owned),
        tags,
        targets,
        failed,
    };
    rules.insert(name, rule);
    Ok(Reply::Value(json!({"RuleArn": arn})))
}

fn describe_rule(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let account = world.account.clone();
    let mut value = shown(rule(world, call, "Name")?);
    value["CreatedBy"] = json!(account);
    Ok(Reply::Value(value))
}

fn shown(rule: &Rule) -> Value {
    let mut value = json!({
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern,
        "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
        "EventBusName": "default",
    });
    if let Some(text) = &rule.description {
        value["Description"] = json!(text);
    }
    if let Some(role) = &rule.role {
        value["RoleArn"] = json!(role);
    }
    value
}

fn list_rules(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let prefix = call.input.text("NamePrefix").unwrap_or_default();
    let rules = world
        .at(&call.region)
        .events
        .rules
        .values()
        .filter(|rule| rule.name.starts_with(prefix));
    let entries = rules.map(|rule| (rule.name.clone(), shown(rule)));
    Ok(Reply::Value(listed("Rules", cut(call, entries)?)))
}

fn list_rule_names_by_target(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let arn = required(call, "TargetArn")?;
    let has = |rule: &&Rule| {
        rule.targets
            .values()
            .any(|target| target.text("Arn") == Some(arn))
    };
    let rules = world.at(&call.region).events.rules.values().filter(has);
    let entries = rules.map(|rule| (rule.name.clone(), json!(rule.name)));
    Ok(Reply::Value(listed("RuleNames", cut(call, entries)?)))
}

fn switch(world: &mut World, call: &Call, enabled: bool) -> Result<Reply, Fault> {
    rule_mut(world, call, "Name")?.enabled = enabled;
    Ok(Reply::Value(Value::Null))
}

/// Deleting a rule that isn't there succeeds.
fn delete_rule(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "Name")?;
    let rules = &mut world.at(&call.region).events.rules;
    if rules.get(name).is_some_and(|rule| !rule.targets.is_empty()) {
        return Err(invalid("Rule can't be deleted since it has targets."));
    }
    rules.remove(name);
    Ok(Reply::Value(Value::Null))
}

/// Adds or replaces targets. Targets that can't be are told one by one, in an answer of status 200.
fn put_targets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let targets = call.input.list("Targets");
    if targets.is_empty() {
        return Err(invalid(
            "Value at 'targets' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    for target in targets {
        check_name(target.need("Id")?, 64)?;
        if !target.need("Arn")?.starts_with("arn:") {
            return Err(invalid(format!(
                "Parameter {} is not valid. Reason: Provided Arn is not in correct format.",
                target["Arn"]
            )));
        }
    }
    let rule = rule_mut(world, call, "Rule")?;
    let mut failures = Vec::new();
    for target in targets {
        let id = target.text("Id").unwrap_or_default();
        if !rule.targets.contains_key(id) && rule.targets.len() >= TARGET_LIMIT {
            return Err(Fault::new(
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            ));
        }
        match check_target(rule, target) {
            Ok(()) => {
                rule.targets.insert(id.to_owned(), target.clone());
            }
            Err(message) => {
                failures.push(json!({"TargetId": id, "ErrorCode": "ValidationException", "ErrorMessage": message}));
            }
        }
    }
    Ok(Reply::Value(
        json!({"FailedEntryCount": failures.len(), "FailedEntries": failures}),
    ))
}

fn check_target(rule: &Rule, target: &Value) -> Result<(), String> {
    let arn = target.text("Arn").unwrap_or_default();
    match Destination::of(arn) {
        Some(Destination::Pipeline(_))
            if target.text("RoleArn").or(rule.role.as_deref()).is_none() =>
        {
            return Err(format!("RoleArn is required for target {arn}."));
        }
        Some(_) => {}
        None => {
            return Err(format!(
                "the ecspipe sandbox delivers to pipelines and log groups only, not to {arn}"
            ));
        }
    }
    let kept = ["Id", "Arn", "RoleArn", "RetryPolicy", "DeadLetterConfig"];
    let members = target
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    match members
        .into_iter()
        .find(|name| !kept.contains(&name.as_str()))
    {
        Some(name) => Err(format!(
            "the ecspipe sandbox does not implement {name} of a target"
        )),
        None => Ok(()),
    }
}

fn remove_targets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let ids = call.input.texts("Ids");
    if ids.is_empty() {
        return Err(invalid(
            "Value at 'ids' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    rule_mut(world, call, "Rule")?
        .targets
        .retain(|id, _| !ids.contains(id));
    Ok(Reply::Value(
        json!({"FailedEntryCount": 0, "FailedEntries": []}),
    ))
}

fn list_targets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let targets = rule(world, call, "Rule")?.targets.clone();
    Ok(Reply::Value(listed("Targets", cut(call, targets)?)))
}

fn put_events(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let entries = call.input.list("Entries");
    if entries.is_empty() || entries.len() > ENTRY_LIMIT {
        return Err(invalid(format!(
            "Entries must have 1 to {ENTRY_LIMIT} members"
        )));
    }
    let mut answers = Vec::new();
    for entry in entries {
        match read_entry(entry) {
            Ok(detail) => {
                let id = world.uuid();
                let at = entry
                    .get("Time")
                    .and_then(Value::as_f64)
                    .map_or(world.now, |seconds| (seconds * 1000.0) as Millis);
                let event = json!({
                    "version": "0",
                    "id": id,
                    "detail-type": entry.text("DetailType"),
                    "source": entry.text("Source"),
                    "account": world.account,
                    "time": seconds_iso(at),
                    "region": call.region,
                    "resources": entry.texts("Resources"),
                    "detail": detail,
                });
                deliver(world, &call.region, &event);
                answers.push(json!({"EventId": id}));
            }
            Err((code, message)) => {
                answers.push(json!({"ErrorCode": code, "ErrorMessage": message}))
            }
        }
    }
    let failed = answers
        .iter()
        .filter(|answer| answer.get("ErrorCode").is_some())
        .count();
    Ok(Reply::Value(
        json!({"FailedEntryCount": failed, "Entries": answers}),
    ))
}

/// An entry's detail, if the entry is whole.
fn read_entry(entry: &Value) -> Result<Value, (&'static str, String)> {
    for name in ["Source", "DetailType", "Detail"] {
        if entry.text(name).is_none_or(str::is_empty) {
            return Err((
                "InvalidArgument",
                format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
            ));
        }
    }
    if entry
        .text("EventBusName")
        .is_some_and(|bus| !is_default(bus))
    {
        return Err((
            "InvalidArgument",
            "the ecspipe sandbox has the default event bus only".to_owned(),
        ));
    }
    if entry
        .text("Source")
        .is_some_and(|source| source.starts_with("aws."))
    {
        return Err((
            "NotAuthorizedForSourceException",
            "Not authorized for the source.".to_owned(),
        ));
    }
    let detail = entry
        .text("Detail")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    detail
        .filter(Value::is_object)
        .ok_or(("MalformedDetail", "Detail is malformed.".to_owned()))
}

fn test_event_pattern(call: &Call) -> Result<Reply, Fault> {
    let pattern =
        pattern::Pattern::read(required(call, "EventPattern")?).map_err(invalid_pattern)?;
    let event: Value = serde_json::from_str(required(call, "Event")?)
        .map_err(|error| invalid(format!("Parameter Event is not valid. Reason: {error}")))?;
    let members = [
        "id",
        "account",
        "source",
        "time",
        "region",
        "resources",
        "detail-type",
    ];
    if let Some(missing) = members.iter().find(|name| event.get(**name).is_none()) {
        return Err(invalid(format!(
            "Parameter Event is not valid. Reason: '{missing}' is missing"
        )));
    }
    Ok(Reply::Value(json!({"Result": pattern.matches(&event)})))
}

fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let rule = by_arn(world, call)?;
    let mut all = rule.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(invalid("a rule has at most 50 tags"));
    }
    rule.tags = all;
    Ok(Reply::Value(json!({})))
}

fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("TagKeys");
    by_arn(world, call)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = by_arn(world, call)?
        .tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(Reply::Value(json!({"Tags": Value::Array(tags)})))
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for item in call.input.list("Tags") {
        let (key, value) = (
            item.text("Key").unwrap_or_default(),
            item.text("Value").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "tag keys have 1 to 128 characters and values at most 256",
            ));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("tag keys beginning with aws: are reserved"));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    match tags.len() > 50 {
        true => Err(invalid("a rule has at most 50 tags")),
        false => Ok(tags),
    }
}

fn by_arn<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Rule, Fault> {
    let arn = required(call, "ResourceARN")?;
    let rule = world
        .at(&call.region)
        .events
        .rules
        .values_mut()
        .find(|rule| rule.arn == arn);
    rule.ok_or_else(|| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        no_rule(name)
    })
}

fn rule<'a>(world: &'a mut World, call: &Call, member: &str) -> Result<&'a Rule, Fault> {
    rule_mut(world, call, member).map(|rule| &*rule)
}

fn rule_mut<'a>(world: &'a mut World, call: &Call, member: &str) -> Result<&'a mut Rule, Fault> {
    let name = required(call, member)?;
    world
        .at(&call.region)
        .events
        .rules
        .get_mut(name)
        .ok_or_else(|| no_rule(name))
}

fn no_rule(name: &str) -> Fault {
    Fault::new(
        "ResourceNotFoundException",
        format!("Rule {name} does not exist on EventBus default."),
    )
}

fn check_bus(call: &Call) -> Result<(), Fault> {
    match call.input.text("EventBusName") {
        Some(bus) if !is_default(bus) => Err(Fault::new(
            "ResourceNotFoundException",
            format!("Event bus {bus} does not exist."),
        )),
        _ => Ok(()),
    }
}

fn is_default(bus: &str) -> bool {
    bus == "default" || bus.ends_with(":event-bus/default")
}

fn check_name(name: &str, longest: usize) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match (1..=longest).contains(&name.len()) && name.chars().all(legal) {
        true => Ok(()),
        false => {
            let message = format!(
                "1 validation error detected: Value '{name}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+ and have 1 to {longest} characters"
            );
            Err(invalid(message))
        }
    }
}

fn cut(
    call: &Call,
    entries: impl IntoIterator<Item = (String, Value)>,
) -> Result<Page<Value>, Fault> {
    let limit = call.input.int("Limit").unwrap_or(100);
    if !(1..=100).contains(&limit) {
        return Err(invalid("Limit must be 1 to 100"));
    }
    page(entries, call.input.text("NextToken"), limit as usize)
        .ok_or_else(|| invalid("The token is not valid."))
}

fn listed(list: &str, cut: Page<Value>) -> Value {
    let mut answer = json!({list: cut.items});
    if let Some(next) = cut.next {
        answer["NextToken"] = json!(next);
    }
    answer
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    call.input.need(name)
}

/// `2026-01-01T00:00:00Z`: events tell the time in whole seconds.
fn seconds_iso(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map(|time| format!("{time:.0}"))
        .unwrap_or_default()
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationException", message)
}

fn invalid_pattern(reason: String) -> Fault {
    Fault::new(
        "InvalidEventPatternException",
        format!("Event pattern is not valid. Reason: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sandbox;
    use crate::testing::{self, REGION, pass, sandbox};

    const PIPELINE: &str = "arn:aws:codepipeline:eu-central-1:111122223333:web";
    const ROLE: &str = "arn:aws:iam::111122223333:role/events";

    async fn events(
        sandbox: &Sandbox,
        operation: &str,
        input: Value,
    ) -> Result<Value, (u16, String)> {
        testing::call(sandbox, "events", operation, input).await
    }

    async fn with_rule() -> Sandbox {
        let sandbox = sandbox();
        let pattern =
            json!({"source": ["aws.s3"], "detail": {"bucket": {"name": ["web"]}}}).to_string();
        let input =
            json!({"Name": "web", "EventPattern": pattern, "Tags": [{"Key": "a", "Value": "b"}]});
        events(&sandbox, "PutRule", input).await.unwrap();
        sandbox
    }

    fn refused(code: &str) -> Result<Value, (u16, String)> {
        Err((400, code.to_owned()))
    }

    fn failures(sandbox: &Sandbox) -> Vec<String> {
        let world = sandbox.world();
        world.regions[REGION].events.rules["web"]
            .failed
            .iter()
            .map(|failed| failed.reason.clone())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_is_put_again_and_keeps_its_tags() {
        let sandbox = with_rule().await;
        let input = json!({"Name": "web", "EventPattern": "{\"source\":[\"x\"]}", "State": "DISABLED", "Tags": []});
        events(&sandbox, "PutRule", input).await.unwrap();
        let rule = events(&sandbox, "DescribeRule", json!({"Name": "web"}))
            .await
            .unwrap();
        assert_eq!(
            (&rule["State"], &rule["EventPattern"]),
            (&json!("DISABLED"), &json!("{\"source\":[\"x\"]}"))
        );
        let tags = events(
            &sandbox,
            "ListTagsForResource",
            json!({"ResourceARN": rule["Arn"]}),
        )
        .await
        .unwrap();
        assert_eq!(tags, json!({"Tags": [{"Key": "a", "Value": "b"}]}));
        events(&sandbox, "EnableRule", json!({"Name": "web"}))
            .await
            .unwrap();
        let rules = events(&sandbox, "ListRules", json!({"NamePrefix": "w"}))
            .await
            .unwrap();
        assert_eq!(rules["Rules"][0]["State"], "ENABLED");
    }

    #[tokio::test(start_paused = true)]
    async fn bad_rules_are_refused() {
        let sandbox = sandbox();
        for (input, want) in [
            (
                json!({"Name": "a b", "EventPattern": "{\"source\":[\"x\"]}"}),
                "ValidationException",
            ),
            (json!({"Name": "a"}), "ValidationException"),
            (
                json!({"Name": "a", "EventPattern": "{\"source\":\"x\"}"}),
                "InvalidEventPatternException",
            ),
            (
                json!({"Name": "a", "EventBusName": "other", "EventPattern": "{\"source\":[\"x\"]}"}),
                "ResourceNotFoundException",
            ),
        ] {
            assert_eq!(
                events(&sandbox, "PutRule", input.clone()).await,
                refused(want),
                "{input}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn targets_fail_one_by_one_and_hold_their_rule() {
        let sandbox = with_rule().await;
        let targets = json!([
            {"Id": "good", "Arn": PIPELINE, "RoleArn": ROLE},
            {"Id": "no-role", "Arn": PIPELINE},
            {"Id": "queue", "Arn": "arn:aws:sqs:eu-central-1:111122223333:q"},
        ]);
        let answer = events(
            &sandbox,
            "PutTargets",
            json!({"Rule": "web", "Targets": targets}),
        )
        .await
        .unwrap();
        assert_eq!(answer["FailedEntryCount"], 2);
        let listed = events(&sandbox, "ListTargetsByRule", json!({"Rule": "web"}))
            .await
            .unwrap();
        assert_eq!(
            listed["Targets"],
            json!([{"Id": "good", "Arn": PIPELINE, "RoleArn": ROLE}])
        );
        let names = events(
            &sandbox,
            "ListRuleNamesByTarget",
            json!({"TargetArn": PIPELINE}),
        )
        .await
        .unwrap();
        assert_eq!(names["RuleNames"], json!(["web"]));
        assert_eq!(
            events(&sandbox, "DeleteRule", json!({"Name": "web"})).await,
            refused("ValidationException")
        );
        events(
            &sandbox,
            "RemoveTargets",
            json!({"Rule": "web", "Ids": ["good"]}),
        )
        .await
        .unwrap();
        events(&sandbox, "DeleteRule", json!({"Name": "web"}))
            .await
            .unwrap();
        assert_eq!(
            events(&sandbox, "DescribeRule", json!({"Name": "web"})).await,
            refused("ResourceNotFoundException")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_needs_a_role_that_can_be_assumed() {
        let sandbox = with_rule().await;
        let targets = json!([{"Id": "p", "Arn": PIPELINE, "RoleArn": ROLE}]);
        events(
            &sandbox,
            "PutTargets",
            json!({"Rule": "web", "Targets": targets}),
        )
        .await
        .unwrap();
        let send = |bucket: &str| {
            emit(
                &mut sandbox.world(),
                REGION,
                "aws.s3",
                "Object Created",
                &[],
                &json!({"bucket": {"name": bucket}}),
            )
        };
        send("other");
        assert_eq!(failures(&sandbox), Vec::<String>::new());
        send("web");
        assert!(failures(&sandbox)[0].contains("there is no role"));
        let trust = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": SERVICE}}]});
        let input = json!({"RoleName": "events", "AssumeRolePolicyDocument": trust.to_string()});
        testing::call(&sandbox, "iam", "CreateRole", input)
            .await
            .unwrap();
        testing::allow_all(&sandbox, "events").await;
        send("web");
        assert!(failures(&sandbox)[1].contains("too new"));
        pass(10).await;
        send("web");
        assert!(
            failures(&sandbox)[2].contains("no pipeline"),
            "{:?}",
            failures(&sandbox)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_tells_of_its_objects() {
        use http::Method;
        let sandbox = with_rule().await;
        testing::call(
            &sandbox,
            "logs",
            "CreateLogGroup",
            json!({"logGroupName": "/events"}),
        )
        .await
        .unwrap();
        let group = "arn:aws:logs:eu-central-1:111122223333:log-group:/events";
        events(
            &sandbox,
            "PutTargets",
            json!({"Rule": "web", "Targets": [{"Id": "l", "Arn": group}]}),
        )
        .await
        .unwrap();
        let put = |uri: &str, body: &str| {
            sandbox.handle(testing::rest(
                Method::PUT,
                REGION,
                uri,
                &[],
                body.to_owned(),
            ))
        };
        let region = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
        put("/web", region).await;
        put("/web/quiet", "1").await;
        put(
            "/web?notification",
            "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
        )
        .await;
        put("/web/bundle.zip", "12345").await;
        let found = testing::call(
            &sandbox,
            "logs",
            "FilterLogEvents",
            json!({"logGroupName": "/events"}),
        )
        .await
        .unwrap();
        let lines = found["events"].as_array().unwrap();
        assert_eq!(lines.len(), 1);
        let event: Value = serde_json::from_str(lines[0]["message"].as_str().unwrap()).unwrap();
        assert_eq!(event["detail-type"], "Object Created");
        assert_eq!(event["resources"], json!(["arn:aws:s3:::web"]));
        assert_eq!(
            (
                &event["detail"]["object"]["key"],
                &event["detail"]["object"]["size"]
            ),
            (&json!("bundle.zip"), &json!(5))
        );
        assert_eq!(
            (&event["detail"]["reason"], &event["time"]),
            (&json!("PutObject"), &json!("2026-01-01T00:00:00Z"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_ones_own_are_put() {
        let sandbox = sandbox();
        let entries = json!([
            {"Source": "me", "DetailType": "t", "Detail": "{}"},
            {"Source": "aws.s3", "DetailType": "t", "Detail": "{}"},
            {"Source": "me", "DetailType": "t", "Detail": "["},
            {"Source": "me", "DetailType": "t"},
        ]);
        let answer = events(&sandbox, "PutEvents", json!({"Entries": entries}))
            .await
            .unwrap();
        assert_eq!(answer["FailedEntryCount"], 3);
        let codes: Vec<&Value> = answer["Entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["ErrorCode"])
            .collect();
        assert_eq!(
            codes,
            [
                &Value::Null,
                &json!("NotAuthorizedForSourceException"),
                &json!("MalformedDetail"),
                &json!("InvalidArgument")
            ]
        );
    }
}
