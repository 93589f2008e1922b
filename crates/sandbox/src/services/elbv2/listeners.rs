//! Listeners: a port of a balancer and what happens there by default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::action::{self, Action};
use super::{
    Answer, Fault, State, attribute_list, empty, invalid, listed, need, no_listener, state, tags,
    take_attributes,
};
use crate::services::query::only;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// A listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) balancer: String,
    pub(crate) port: u16,
    pub(crate) action: Action,
    /// The ARN of its default rule.
    pub(crate) default_rule: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What an HTTP listener has from the start.
const ATTRIBUTES: [(&str, &str); 11] = [
    (
        "routing.http.response.access_control_allow_credentials.header_value",
        "",
    ),
    (
        "routing.http.response.access_control_allow_headers.header_value",
        "",
    ),
    (
        "routing.http.response.access_control_allow_methods.header_value",
        "",
    ),
    (
        "routing.http.response.access_control_allow_origin.header_value",
        "",
    ),
    (
        "routing.http.response.access_control_expose_headers.header_value",
        "",
    ),
    (
        "routing.http.response.access_control_max_age.header_value",
        "",
    ),
    (
        "routing.http.response.content_security_policy.header_value",
        "",
    ),
    ("routing.http.response.server.enabled", "true"),
    (
        "routing.http.response.strict_transport_security.header_value",
        "",
    ),
    (
        "routing.http.response.x_content_type_options.header_value",
        "",
    ),
    ("routing.http.response.x_frame_options.header_value", ""),
];

/// What a listener's default action forwards to: target group ARNs with weights. `None`: no such listener.
pub(crate) fn forward(world: &World, region: &str, listener: &str) -> Option<Vec<(String, u32)>> {
    let listener = world.regions.get(region)?.elbv2.listeners.get(listener)?;
    match &listener.action {
        Action::Forward { groups, .. } => Some(groups.clone()),
        _ => Some(Vec::new()),
    }
}

/// Points a listener's default action at target groups, as CodeDeploy does through ModifyListener.
pub(crate) fn set_forward(
    world: &mut World,
    region: &str,
    listener: &str,
    weights: &[(String, u32)],
) -> Result<(), Fault> {
    let state = &mut world.at(region).elbv2;
    let balancer = state.listener(listener)?.balancer.clone();
    action::check_groups(state, &balancer, weights)?;
    state.listener(listener)?.action = Action::Forward {
        groups: weights.to_vec(),
        sticky: None,
    };
    Ok(())
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "LoadBalancerArn",
            "Protocol",
            "Port",
            "DefaultActions",
            "Tags",
        ],
    )?;
    let balancer = need(call, "LoadBalancerArn")?;
    state(world, call).balancer(balancer)?;
    check_protocol(
        call.input
            .text("Protocol")
            .ok_or_else(|| invalid("A listener protocol must be specified"))?,
    )?;
    let port = port(call)?.ok_or_else(|| invalid("A listener port must be specified"))?;
    let action = action::read(
        state(world, call),
        balancer,
        call.input.list("DefaultActions"),
    )?;
    let given_tags = tags::given(call)?;
    let taken = state(world, call)
        .listeners
        .iter()
        .find(|(_, have)| have.balancer == balancer && have.port == port);
    let arn = match taken {
        // The same listener again is no mistake.
        Some((arn, have)) if have.action == action => arn.clone(),
        Some(_) => return Err(duplicate(balancer)),
        None => {
            let path = balancer.split(":loadbalancer/").nth(1).unwrap_or_default();
            let path = format!("{path}/{}", world.hex(16));
            let arn = world.arn(
                "elasticloadbalancing",
                &call.region,
                &format!("listener/{path}"),
            );
            let rule = format!("listener-rule/{path}/{}", world.hex(16));
            let listener = Listener {
                balancer: balancer.to_owned(),
                port,
                action,
                default_rule: world.arn("elasticloadbalancing", &call.region, &rule),
                attributes: ATTRIBUTES
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            };
            let state = state(world, call);
            state.listeners.insert(arn.clone(), listener);
            state.tags.insert(arn.clone(), given_tags);
            arn
        }
    };
    answer(world, call, &arn)
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &["LoadBalancerArn", "ListenerArns", "Marker", "PageSize"],
    )?;
    let arns = call.input.texts("ListenerArns");
    let balancer = call.input.text("LoadBalancerArn");
    let state = state(world, call);
    match (balancer, arns.as_slice()) {
        (Some(balancer), []) => {
            state.balancer(balancer)?;
        }
        (None, [_, ..]) => {}
        _ => {
            return Err(invalid(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
    }
    if let Some(arn) = arns.iter().find(|arn| !state.listeners.contains_key(*arn)) {
        return Err(no_listener(arn));
    }
    let asked = |arn: &String, listener: &Listener| {
        arns.contains(arn) || Some(listener.balancer.as_str()) == balancer
    };
    let mut found: Vec<(&String, &Listener)> = state
        .listeners
        .iter()
        .filter(|(arn, listener)| asked(arn, listener))
        .collect();
    found.sort_by_key(|(arn, listener)| (listener.port, *arn));
    let rows = found
        .into_iter()
        .map(|(arn, listener)| render(arn, listener))
        .collect();
    listed(call, "Listeners", rows)
}

pub(super) fn modify(world: &mut World, call: &Call) -> Answer {
    only(call, &["ListenerArn", "Port", "Protocol", "DefaultActions"])?;
    let arn = need(call, "ListenerArn")?;
    let state_now = state(world, call);
    let mut listener = state_now.listener(arn)?.clone();
    if let Some(protocol) = call.input.text("Protocol") {
        check_protocol(protocol)?;
    }
    if let Some(port) = port(call)? {
        let taken = |(other, have): (&String, &Listener)| {
            other != arn && have.balancer == listener.balancer && have.port == port
        };
        if state_now.listeners.iter().any(taken) {
            return Err(duplicate(&listener.balancer));
        }
        listener.port = port;
    }
    let actions = call.input.list("DefaultActions");
    if !actions.is_empty() {
        listener.action = action::read(state_now, &listener.balancer, actions)?;
    }
    state_now.listeners.insert(arn.to_owned(), listener);
    answer(world, call, arn)
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["ListenerArn"])?;
    let arn = need(call, "ListenerArn")?;
    let state = state(world, call);
    state.listener(arn)?;
    forget(state, arn);
    world.ports.remove(arn);
    empty()
}

pub(super) fn describe_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["ListenerArn"])?;
    let listener = state(world, call).listener(need(call, "ListenerArn")?)?;
    Ok(Reply::Value(attribute_list(&listener.attributes)))
}

pub(super) fn modify_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["ListenerArn", "Attributes"])?;
    let listener = state(world, call).listener(need(call, "ListenerArn")?)?;
    take_attributes(call, "Listener", &mut listener.attributes)?;
    Ok(Reply::Value(attribute_list(&listener.attributes)))
}

/// Takes a listener away, with its rules and tags.
pub(super) fn forget(state: &mut State, arn: &str) {
    let rules: Vec<String> = state
        .rules
        .iter()
        .filter(|(_, rule)| rule.listener == arn)
        .map(|(arn, _)| arn.clone())
        .collect();
    let default = state
        .listeners
        .remove(arn)
        .map(|listener| listener.default_rule);
    for gone in rules
        .iter()
        .chain(&default)
        .map(String::as_str)
        .chain([arn])
    {
        state.rules.remove(gone);
        state.tags.remove(gone);
    }
    state.traffic.forget(arn);
}

fn check_protocol(protocol: &str) -> Result<(), Fault> {
    match protocol {
        "HTTP" => Ok(()),
        "HTTPS" => Err(invalid(
            "the ecspipe sandbox has no certificates: listeners can only speak HTTP",
        )),
        _ => Err(Fault::new(
            "UnsupportedProtocol",
            format!("The protocol '{protocol}' is not supported by an application load balancer"),
        )),
    }
}

fn port(call: &Call) -> Result<Option<u16>, Fault> {
    match call.input.int("Port") {
        None => Ok(None),
        Some(port) => match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(invalid(format!(
                "Port '{port}' must be between 1 and 65535"
            ))),
        },
    }
}

fn duplicate(balancer: &str) -> Fault {
    let message =
        format!("A listener already exists on this port for this load balancer '{balancer}'");
    Fault::new("DuplicateListener", message)
}

fn answer(world: &mut World, call: &Call, arn: &str) -> Answer {
    let listener = state(world, call).listener(arn)?;
    let rendered = render(arn, listener);
    Ok(Reply::Value(json!({"Listeners": [rendered]})))
}

fn render(arn: &str, listener: &Listener) -> Value {
    json!({
        "ListenerArn": arn,
        "LoadBalancerArn": listener.balancer,
        "Port": listener.port,
        "Protocol": "HTTP",
        "DefaultActions": [listener.action.render()],
    })
}
