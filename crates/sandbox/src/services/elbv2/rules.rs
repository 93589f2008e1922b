//! Rules of listeners: which requests are treated otherwise than by default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::action::{self, Action};
use super::{Answer, Fault, State, empty, invalid, listed, need, state, tags};
use crate::services::query::{only, wildcard};
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// A rule other than the default one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) listener: String,
    pub(crate) priority: i64,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

/// What must hold for a rule to apply; one of the values suffices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Condition {
    /// The path looks like one of these.
    Path(Vec<String>),
    /// The host looks like one of these.
    Host(Vec<String>),
    /// The method is one of these.
    Method(Vec<String>),
    /// The named header looks like one of these.
    Header(String, Vec<String>),
    /// A query parameter looks like one of these (no key: any parameter).
    Query(Vec<(Option<String>, String)>),
}

/// What rules look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// `GET`.
    pub(crate) method: String,
    /// Without its query.
    pub(crate) path: String,
    /// After the `?`.
    pub(crate) query: String,
    /// Lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What a listener does with a request: the first rule that applies, by priority, or the default.
pub(crate) fn action_for<'a>(state: &'a State, listener: &str, seen: &Seen) -> Option<&'a Action> {
    let default = &state.listeners.get(listener)?.action;
    let rules = state
        .rules
        .values()
        .filter(|rule| rule.listener == listener);
    let applying = rules.filter(|rule| {
        rule.conditions
            .iter()
            .all(|condition| condition.holds(seen))
    });
    Some(
        applying
            .min_by_key(|rule| rule.priority)
            .map_or(default, |rule| &rule.action),
    )
}

pub(super) fn is_default(state: &State, arn: &str) -> bool {
    state
        .listeners
        .values()
        .any(|listener| listener.default_rule == arn)
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &["ListenerArn", "Conditions", "Priority", "Actions", "Tags"],
    )?;
    let listener = need(call, "ListenerArn")?;
    let priority = priority(call.input.int("Priority"))?;
    let conditions = conditions(call.input.list("Conditions"))?;
    let given_tags = tags::given(call)?;
    let state_now = state(world, call);
    let balancer = state_now.listener(listener)?.balancer.clone();
    let action = action::read(state_now, &balancer, call.input.list("Actions"))?;
    if state_now
        .rules
        .values()
        .any(|rule| rule.listener == listener && rule.priority == priority)
    {
        return Err(in_use(priority));
    }
    let path = listener.split(":listener/").nth(1).unwrap_or_default();
    let resource = format!("listener-rule/{path}/{}", world.hex(16));
    let arn = world.arn("elasticloadbalancing", &call.region, &resource);
    let rule = Rule {
        listener: listener.to_owned(),
        priority,
        conditions,
        action,
    };
    let rendered = render(&arn, &rule);
    let state = state(world, call);
    state.rules.insert(arn.clone(), rule);
    state.tags.insert(arn, given_tags);
    Ok(Reply::Value(json!({"Rules": [rendered]})))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    only(call, &["ListenerArn", "RuleArns", "Marker", "PageSize"])?;
    let arns = call.input.texts("RuleArns");
    let listener = call.input.text("ListenerArn");
    let state = state(world, call);
    match (listener, arns.as_slice()) {
        (Some(listener), []) => {
            state.listener(listener)?;
        }
        (None, [_, ..]) => {}
        _ => {
            return Err(invalid(
                "You must specify either rule ARNs or a listener ARN",
            ));
        }
    }
    if let Some(arn) = arns
        .iter()
        .find(|arn| !state.rules.contains_key(*arn) && !is_default(state, arn))
    {
        return Err(not_found(arn));
    }
    let asked = |arn: &String, of: &str| arns.contains(arn) || Some(of) == listener;
    let mut own: Vec<(&String, &Rule)> = state
        .rules
        .iter()
        .filter(|(arn, rule)| asked(arn, &rule.listener))
        .collect();
    own.sort_by_key(|(_, rule)| rule.priority);
    let own = own.into_iter().map(|(arn, rule)| render(arn, rule));
    let defaults = state
        .listeners
        .iter()
        .filter(|(arn, have)| asked(&have.default_rule, arn));
    let defaults = defaults.map(|(_, listener)| {
        json!({
            "RuleArn": listener.default_rule,
            "Priority": "default",
            "Conditions": [],
            "Actions": [listener.action.render()],
            "IsDefault": true,
        })
    });
    listed(call, "Rules", own.chain(defaults).collect())
}

pub(super) fn modify(world: &mut World, call: &Call) -> Answer {
    only(call, &["RuleArn", "Conditions", "Actions"])?;
    let arn = need(call, "RuleArn")?;
    let state = state(world, call);
    if is_default(state, arn) {
        return Err(Fault::new(
            "OperationNotPermitted",
            format!("Default rule '{arn}' cannot be modified"),
        ));
    }
    let mut rule = state.rules.get(arn).ok_or_else(|| not_found(arn))?.clone();
    let (wanted, actions) = (call.input.list("Conditions"), call.input.list("Actions"));
    if wanted.is_empty() && actions.is_empty() {
        return Err(invalid("Either conditions or actions must be specified"));
    }
    if !wanted.is_empty() {
        rule.conditions = conditions(wanted)?;
    }
    if !actions.is_empty() {
        let balancer = state.listener(&rule.listener)?.balancer.clone();
        rule.action = action::read(state, &balancer, actions)?;
    }
    let rendered = render(arn, &rule);
    state.rules.insert(arn.to_owned(), rule);
    Ok(Reply::Value(json!({"Rules": [rendered]})))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["RuleArn"])?;
    let arn = need(call, "RuleArn")?;
    let state = state(world, call);
    if is_default(state, arn) {
        return Err(Fault::new(
            "OperationNotPermitted",
            format!("Default rule '{arn}' cannot be deleted"),
        ));
    }
    state.rules.remove(arn).ok_or_else(|| not_found(arn))?;
    state.tags.remove(arn);
    empty()
}

pub(super) fn set_priorities(world: &mut World, call: &Call) -> Answer {
    only(call, &["RulePriorities"])?;
    let state = state(world, call);
    let mut changed = state.rules.clone();
    let mut arns = Vec::new();
    for wanted in call.input.list("RulePriorities") {
        let arn = wanted.text("RuleArn").unwrap_or_default();
        let rule = changed.get_mut(arn).ok_or_else(|| not_found(arn))?;
        rule.priority = priority(wanted.int("Priority"))?;
        arns.push(arn.to_owned());
    }
    for arn in &arns {
        let rule = &changed[arn];
        let clash = |(other, have): (&String, &Rule)| {
            other != arn && have.listener == rule.listener && have.priority == rule.priority
        };
        if changed.iter().any(clash) {
            return Err(in_use(rule.priority));
        }
    }
    state.rules = changed;
    let rows: Vec<Value> = arns
        .iter()
        .map(|arn| render(arn, &state.rules[arn]))
        .collect();
    Ok(Reply::Value(json!({"Rules": rows})))
}

impl Condition {
    fn holds(&self, seen: &Seen) -> bool {
        let like = |patterns: &[String], text: &str| {
            patterns.iter().any(|pattern| wildcard(pattern, text))
        };
        match self {
            Self::Path(patterns) => like(patterns, &seen.path),
            Self::Host(patterns) => {
                let host = seen
                    .headers
                    .get("host")
                    .map(String::as_str)
                    .unwrap_or_default();
                let host = host.split(':').next().unwrap_or_default().to_lowercase();
                patterns
                    .iter()
                    .any(|pattern| wildcard(&pattern.to_lowercase(), &host))
            }
            Self::Method(methods) => methods.contains(&seen.method),
            Self::Header(name, patterns) => seen
                .headers
                .get(&name.to_lowercase())
                .is_some_and(|value| like(patterns, value)),
            Self::Query(pairs) => {
                let given = crate::wire::rest::parse_query(&seen.query);
                pairs.iter().any(|(key, pattern)| {
                    let mut candidates = given
                        .iter()
                        .filter(|(have, _)| key.as_ref().is_none_or(|key| wildcard(key, have)));
                    candidates.any(|(_, value)| wildcard(pattern, value))
                })
            }
        }
    }

    fn render(&self) -> Value {
        match self {
            Self::Path(values) => {
                json!({"Field": "path-pattern", "Values": values, "PathPatternConfig": {"Values": values}})
            }
            Self::Host(values) => {
                json!({"Field": "host-header", "Values": values, "HostHeaderConfig": {"Values": values}})
            }
            Self::Method(values) => {
                json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": values}})
            }
            Self::Header(name, values) => {
                json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": values}})
            }
            Self::Query(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| json!({"Key": key, "Value": value}));
                json!({"Field": "query-string", "QueryStringConfig": {"Values": pairs.collect::<Vec<_>>()}})
            }
        }
    }
}

fn conditions(list: &[Value]) -> Result<Vec<Condition>, Fault> {
    if list.is_empty() {
        return Err(invalid("A condition must be specified"));
    }
    list.iter().map(condition).collect()
}

fn condition(condition: &Value) -> Result<Condition, Fault> {
    let null = Value::Null;
    let config = |name: &str| condition.get(name).unwrap_or(&null);
    let values = |name: &str| {
        let values = config(name).texts("Values");
        let values = if values.is_empty() {
            condition.texts("Values")
        } else {
            values
        };
        if values.is_empty() || values.len() > 5 {
            return Err(invalid(
                "A condition has one to five values; the ecspipe sandbox has no regular expressions",
            ));
        }
        Ok(values)
    };
    match condition.text("Field").unwrap_or_default() {
        "path-pattern" => Ok(Condition::Path(values("PathPatternConfig")?)),
        "host-header" => Ok(Condition::Host(values("HostHeaderConfig")?)),
        "http-request-method" => Ok(Condition::Method(values("HttpRequestMethodConfig")?)),
        "http-header" => {
            let name = config("HttpHeaderConfig")
                .text("HttpHeaderName")
                .unwrap_or_default()
                .to_owned();
            Ok(Condition::Header(name, values("HttpHeaderConfig")?))
        }
        "query-string" => {
            let pair = |pair: &Value| {
                let key = pair.text("Key").map(ToOwned::to_owned);
                (key, pair.text("Value").unwrap_or_default().to_owned())
            };
            Ok(Condition::Query(
                config("QueryStringConfig")
                    .list("Values")
                    .iter()
                    .map(pair)
                    .collect(),
            ))
        }
        other => Err(invalid(format!(
            "Condition field '{other}' must be one of '[path-pattern,host-header,http-request-method,http-header,query-string]' in the ecspipe sandbox"
        ))),
    }
}

fn priority(given: Option<i64>) -> Result<i64, Fault> {
    given
        .filter(|priority| (1..=50_000).contains(priority))
        .ok_or_else(|| invalid("A rule's priority must be between 1 and 50000"))
}

fn in_use(priority: i64) -> Fault {
    Fault::new(
        "PriorityInUse",
        format!("Priority '{priority}' is currently in use"),
    )
}

fn not_found(arn: &str) -> Fault {
    Fault::new("RuleNotFound", format!("Rules '{arn}' not found"))
}

fn render(arn: &str, rule: &Rule) -> Value {
    json!({
        "RuleArn": arn,
        "Priority": rule.priority.to_string(),
        "Conditions": rule.conditions.iter().map(Condition::render).collect::<Vec<_>>(),
        "Actions": [rule.action.render()],
        "IsDefault": false,
    })
}
