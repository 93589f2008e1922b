//! What a listener or a rule does with a request: reads it, checks it, shows it as AWS does. Doesn't do it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Fault, State, invalid, no_group};
use crate::wire::Input as _;

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// To target groups (ARN, weight).
    Forward {
        /// Target group ARNs with their weights, in the order given.
        groups: Vec<(String, u32)>,
        /// How many seconds a client stays with a target group, if it does.
        sticky: Option<i64>,
    },
    /// An answer from the listener itself.
    Fixed {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: Option<String>,
        /// The body.
        body: Option<String>,
    },
    /// A redirect.
    Redirect {
        /// `HTTP_301` or `HTTP_302`.
        code: String,
        /// `#{protocol}` keeps what was asked for; so do the others.
        protocol: String,
        /// Host.
        host: String,
        /// Port.
        port: String,
        /// Path.
        path: String,
        /// Query.
        query: String,
    },
}

impl Action {
    /// The target groups that it sends to.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let groups: &[(String, u32)] = match self {
            Self::Forward { groups, .. } => groups,
            _ => &[],
        };
        groups.iter().map(|(arn, _)| arn.as_str())
    }

    /// The action in the API's form.
    pub(super) fn render(&self) -> Value {
        match self {
            Self::Forward { groups, sticky } => {
                let tuples = groups
                    .iter()
                    .map(|(arn, weight)| json!({"TargetGroupArn": arn, "Weight": weight}));
                let single = if let [(arn, _)] = groups.as_slice() {
                    Some(arn)
                } else {
                    None
                };
                json!({
                    "Type": "forward",
                    "TargetGroupArn": single,
                    "ForwardConfig": {
                        "TargetGroups": tuples.collect::<Vec<_>>(),
                        "TargetGroupStickinessConfig": {"Enabled": sticky.is_some(), "DurationSeconds": sticky},
                    },
                })
            }
            Self::Fixed {
                status,
                content_type,
                body,
            } => json!({
                "Type": "fixed-response",
                "FixedResponseConfig": {"MessageBody": body, "StatusCode": status.to_string(), "ContentType": content_type},
            }),
            Self::Redirect {
                code,
                protocol,
                host,
                port,
                path,
                query,
            } => json!({
                "Type": "redirect",
                "RedirectConfig": {
                    "Protocol": protocol, "Port": port, "Host": host, "Path": path, "Query": query, "StatusCode": code,
                },
            }),
        }
    }
}

/// The one action of a list, checked against the state; `balancer` is whose listener gets it.
pub(super) fn read(state: &State, balancer: &str, actions: &[Value]) -> Result<Action, Fault> {
    let [action] = actions else {
        return Err(invalid(
            "the ecspipe sandbox implements listeners and rules with exactly one action",
        ));
    };
    match action.text("Type").unwrap_or_default() {
        "forward" => forward(state, balancer, action),
        "fixed-response" => fixed(action.get("FixedResponseConfig").unwrap_or(&Value::Null)),
        "redirect" => redirect(action.get("RedirectConfig").unwrap_or(&Value::Null)),
        other => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'actions.1.member.type' failed to satisfy constraint: the ecspipe sandbox has [forward, redirect, fixed-response]"
        ))),
    }
}

/// Whether a balancer may send to these target groups.
pub(super) fn check_groups(
    state: &State,
    balancer: &str,
    groups: &[(String, u32)],
) -> Result<(), Fault> {
    let vpc = state
        .balancers
        .get(balancer)
        .map(|balancer| balancer.vpc.as_str());
    for (arn, weight) in groups {
        let group = state.groups.get(arn).ok_or_else(|| no_group(arn))?;
        if Some(group.vpc.as_str()) != vpc {
            return Err(invalid(format!(
                "Target group '{arn}' is not in the same VPC as the load balancer"
            )));
        }
        if state
            .balancers_of(arn)
            .iter()
            .any(|other| other != balancer)
        {
            let message = format!(
                "The following target groups cannot be associated with more than one load balancer: {arn}"
            );
            return Err(Fault::new("TargetGroupAssociationLimit", message));
        }
        if *weight > 999 {
            return Err(invalid(format!(
                "The target group weight must be between 0 and 999, not {weight}"
            )));
        }
    }
    Ok(())
}

fn forward(state: &State, balancer: &str, action: &Value) -> Result<Action, Fault> {
    let config = action.get("ForwardConfig");
    let tuples = config
        .map(|config| config.list("TargetGroups"))
        .unwrap_or_default();
    let weigh = |tuple: &Value| {
        let weight = tuple.int("Weight").unwrap_or(1);
        (
            tuple.text("TargetGroupArn").unwrap_or_default().to_owned(),
            u32::try_from(weight).unwrap_or(u32::MAX),
        )
    };
    let mut groups: Vec<(String, u32)> = tuples.iter().map(weigh).collect();
    match (action.text("TargetGroupArn"), groups.as_slice()) {
        (Some(arn), []) => groups.push((arn.to_owned(), 1)),
        (Some(arn), [(only, _)]) if only == arn => {}
        (Some(_), _) => {
            return Err(invalid(
                "TargetGroupArn must be the only target group of ForwardConfig, if both are given",
            ));
        }
        (None, []) => return Err(invalid("A target group ARN must be specified")),
        (None, _) => {}
    }
    if groups.len() > 5 {
        let message = "A forward action can have at most 5 target groups";
        return Err(Fault::new("TooManyTargetGroups", message));
    }
    check_groups(state, balancer, &groups)?;
    let stickiness = config.and_then(|config| config.get("TargetGroupStickinessConfig"));
    let sticky = stickiness.filter(|have| have.flag("Enabled") == Some(true));
    let sticky = sticky.map(|have| have.int("DurationSeconds").unwrap_or_default());
    if sticky.is_some_and(|seconds| !(1..=604_800).contains(&seconds)) {
        return Err(invalid(
            "Target group stickiness duration must be between 1 and 604800 seconds",
        ));
    }
    Ok(Action::Forward { groups, sticky })
}

fn fixed(config: &Value) -> Result<Action, Fault> {
    let status = config
        .text("StatusCode")
        .and_then(|code| code.parse::<u16>().ok());
    let status = status.filter(|status| matches!(status / 100, 2 | 4 | 5));
    let status = status
        .ok_or_else(|| invalid("The status code of a fixed response must be 2XX, 4XX or 5XX"))?;
    let content_type = config.text("ContentType").map(ToOwned::to_owned);
    const TYPES: [&str; 5] = [
        "text/plain",
        "text/css",
        "text/html",
        "application/javascript",
        "application/json",
    ];
    if content_type
        .as_deref()
        .is_some_and(|kind| !TYPES.contains(&kind))
    {
        return Err(invalid(format!(
            "The content type of a fixed response must be one of {TYPES:?}"
        )));
    }
    let body = config.text("MessageBody").map(ToOwned::to_owned);
    if body.as_ref().is_some_and(|body| body.len() > 1024) {
        return Err(invalid(
            "The message body of a fixed response has at most 1024 characters",
        ));
    }
    Ok(Action::Fixed {
        status,
        content_type,
        body,
    })
}

fn redirect(config: &Value) -> Result<Action, Fault> {
    let code = config.text("StatusCode").unwrap_or_default();
    if !["HTTP_301", "HTTP_302"].contains(&code) {
        return Err(invalid(
            "The status code of a redirect must be HTTP_301 or HTTP_302",
        ));
    }
    let part = |name: &str, default: &str| config.text(name).unwrap_or(default).to_owned();
    Ok(Action::Redirect {
        code: code.to_owned(),
        protocol: part("Protocol", "#{protocol}"),
        host: part("Host", "#{host}"),
        port: part("Port", "#{port}"),
        path: part("Path", "/#{path}"),
        query: part("Query", "#{query}"),
    })
}
