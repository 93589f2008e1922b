//! Target groups and the targets registered with them. Their health is judged in `health`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::health::{self, Verdict};
use super::{
    Answer, Fault, State, attribute_list, check_name, empty, invalid, listed, need, no_group,
    state, tags, take_attributes,
};
use crate::clock::Millis;
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// A target group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) protocol_version: String,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    pub(crate) target_type: String,
    pub(crate) check: Check,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) targets: Vec<Target>,
}

/// How targets are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) protocol: String,
    /// `traffic-port` or a number.
    pub(crate) port: String,
    pub(crate) path: String,
    /// Seconds.
    pub(crate) interval: i64,
    /// Seconds.
    pub(crate) timeout: i64,
    pub(crate) healthy: i64,
    pub(crate) unhealthy: i64,
    /// Such as `200`, `200,204` or `200-399`.
    pub(crate) matcher: String,
}

/// A registered target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) registered: Millis,
    /// When it is gone, once it was deregistered.
    pub(crate) gone: Option<Millis>,
}

impl Group {
    /// The targets that are registered or still draining.
    pub(crate) fn present(&self, now: Millis) -> impl Iterator<Item = &Target> {
        self.targets
            .iter()
            .filter(move |target| target.gone.is_none_or(|gone| now < gone))
    }

    fn drain(&self) -> Millis {
        let seconds = self
            .attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|text| text.parse().ok());
        seconds.unwrap_or(300) * 1000
    }
}

/// What a target group of an application load balancer has from the start.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
    ),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.app_cookie.cookie_name", ""),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    ("stickiness.enabled", "false"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "1",
    ),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
    ),
];

/// The members by which the health check is set.
const CHECK: [&str; 9] = [
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckPath",
    "HealthCheckPort",
    "HealthCheckProtocol",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "Matcher",
    "UnhealthyThresholdCount",
];

/// Registers a target (address and port) with a target group.
pub(crate) fn register(
    world: &mut World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) -> Result<(), Fault> {
    let now = world.now;
    let group = world.at(region).elbv2.group(target_group)?;
    group
        .targets
        .retain(|target| target.gone.is_none_or(|gone| now < gone));
    let is = |target: &&mut Target| target.address == address && target.port == port;
    match group.targets.iter_mut().find(is) {
        Some(target) if target.gone.is_none() => {}
        Some(target) => (target.registered, target.gone) = (now, None),
        None => group.targets.push(Target {
            address: address.to_owned(),
            port,
            registered: now,
            gone: None,
        }),
    }
    Ok(())
}

/// Deregisters a target; it drains for the group's deregistration delay.
pub(crate) fn deregister(
    world: &mut World,
    region: &str,
    target_group: &str,
    address: &str,
    port: u16,
) {
    let now = world.now;
    let state = &mut world.at(region).elbv2;
    let used = !state.balancers_of(target_group).is_empty();
    let Some(group) = state.groups.get_mut(target_group) else {
        return;
    };
    // A target that gets no traffic has nothing to finish.
    let gone = if used { now + group.drain() } else { now };
    let is = |target: &&mut Target| target.address == address && target.port == port;
    if let Some(target) = group.targets.iter_mut().find(is) {
        target.gone.get_or_insert(gone);
    }
    group
        .targets
        .retain(|target| target.gone.is_none_or(|gone| now < gone));
}

/// The ARN of a target group by its name.
pub(crate) fn target_group_arn(world: &World, region: &str, name: &str) -> Option<String> {
    let groups = &world.regions.get(region)?.elbv2.groups;
    groups
        .iter()
        .find(|(_, group)| group.name == name)
        .map(|(arn, _)| arn.clone())
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    const OWN: [&str; 8] = [
        "Name",
        "Protocol",
        "ProtocolVersion",
        "Port",
        "VpcId",
        "TargetType",
        "Tags",
        "IpAddressType",
    ];
    only(call, &[&OWN[..], &CHECK].concat())?;
    let name = need(call, "Name")?;
    check_name("target group", name)?;
    let group = wanted(world, call, name)?;
    let given_tags = tags::given(call)?;
    let same_name = state(world, call)
        .groups
        .iter()
        .find(|(_, have)| have.name == name);
    let arn = match same_name {
        Some((arn, have)) if same(have, &group) => arn.clone(),
        Some(_) => {
            let message = format!(
                "A target group with the same name '{name}' exists, but with different settings"
            );
            return Err(Fault::new("DuplicateTargetGroupName", message));
        }
        None => {
            let have = state(world, call).groups.len();
            quotas::room(
                world,
                &call.region,
                &quotas::TARGET_GROUPS,
                have,
                "TooManyTargetGroups",
                "The maximum number of target groups has been reached",
            )?;
            let resource = format!("targetgroup/{name}/{}", world.hex(16));
            let arn = world.arn("elasticloadbalancing", &call.region, &resource);
            let state = state(world, call);
            state.groups.insert(arn.clone(), group);
            state.tags.insert(arn.clone(), given_tags);
            arn
        }
    };
    Ok(Reply::Value(
        json!({"TargetGroups": [render(state(world, call), &arn)]}),
    ))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "LoadBalancerArn",
            "TargetGroupArns",
            "Names",
            "Marker",
            "PageSize",
        ],
    )?;
    let (arns, names) = (
        call.input.texts("TargetGroupArns"),
        call.input.texts("Names"),
    );
    let balancer = call.input.text("LoadBalancerArn");
    let state = state(world, call);
    if let Some(arn) = arns.iter().find(|arn| !state.groups.contains_key(*arn)) {
        return Err(no_group(arn));
    }
    if let Some(name) = names
        .iter()
        .find(|name| !state.groups.values().any(|group| group.name == **name))
    {
        return Err(no_group(name));
    }
    if let Some(balancer) = balancer {
        state.balancer(balancer)?;
    }
    let asked = |arn: &String, group: &Group| {
        (arns.is_empty() || arns.contains(arn))
            && (names.is_empty() || names.contains(&group.name))
            && balancer
                .is_none_or(|balancer| state.balancers_of(arn).iter().any(|have| have == balancer))
    };
    let found = state.groups.iter().filter(|(arn, group)| asked(arn, group));
    let rows = found.map(|(arn, _)| render(state, arn)).collect();
    listed(call, "TargetGroups", rows)
}

pub(super) fn modify(world: &mut World, call: &Call) -> Answer {
    only(call, &[&["TargetGroupArn"], &CHECK[..]].concat())?;
    let arn = need(call, "TargetGroupArn")?;
    let state = state(world, call);
    let group = state.group(arn)?;
    group.check = check(call, group.check.clone())?;
    Ok(Reply::Value(json!({"TargetGroups": [render(state, arn)]})))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn"])?;
    let arn = need(call, "TargetGroupArn")?;
    let state = state(world, call);
    if !state.balancers_of(arn).is_empty() {
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(Fault::new("ResourceInUse", message));
    }
    // Deleting what isn't there succeeds.
    state.groups.remove(arn);
    state.tags.remove(arn);
    empty()
}

pub(super) fn describe_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn"])?;
    let group = state(world, call).group(need(call, "TargetGroupArn")?)?;
    Ok(Reply::Value(attribute_list(&group.attributes)))
}

pub(super) fn modify_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn", "Attributes"])?;
    let group = state(world, call).group(need(call, "TargetGroupArn")?)?;
    take_attributes(call, "Target group", &mut group.attributes)?;
    Ok(Reply::Value(attribute_list(&group.attributes)))
}

pub(super) fn register_targets(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn", "Targets"])?;
    let arn = need(call, "TargetGroupArn")?;
    let group = state(world, call).group(arn)?.clone();
    if group.target_type != "ip" {
        let message = "the ecspipe sandbox has no instances: only target groups of the type 'ip' can get targets";
        return Err(Fault::new("InvalidTarget", message));
    }
    let targets = targets(call, &group)?;
    let cidr = world
        .at(&call.region)
        .ec2
        .vpcs
        .get(&group.vpc)
        .map(|vpc| vpc.cidr);
    for (address, _) in &targets {
        let inside = address
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| cidr.is_some_and(|cidr| cidr.contains(&address)));
        if !inside {
            return Err(invalid(format!(
                "The IP address '{address}' is not within the CIDR blocks of the VPC '{}'",
                group.vpc
            )));
        }
    }
    for (address, port) in targets {
        register(world, &call.region, arn, &address, port)?;
    }
    empty()
}

pub(super) fn deregister_targets(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn", "Targets"])?;
    let arn = need(call, "TargetGroupArn")?;
    let group = state(world, call).group(arn)?.clone();
    for (address, port) in targets(call, &group)? {
        deregister(world, &call.region, arn, &address, port);
    }
    empty()
}

pub(super) fn describe_health(world: &mut World, call: &Call) -> Answer {
    only(call, &["TargetGroupArn", "Targets"])?;
    let arn = need(call, "TargetGroupArn")?;
    let now = world.now;
    let group = state(world, call).group(arn)?.clone();
    let wanted = if call.input.list("Targets").is_empty() {
        group
            .present(now)
            .map(|target| (target.address.clone(), target.port))
            .collect()
    } else {
        targets(call, &group)?
    };
    let rows = wanted.iter().map(|(address, port)| {
        let Verdict { health, reason, description } = health::verdict(world, &call.region, arn, address, *port);
        let check_port = if group.check.port == "traffic-port" { port.to_string() } else { group.check.port.clone() };
        json!({
            "Target": {"Id": address, "Port": port, "AvailabilityZone": zone(world, &call.region, address, &group.vpc)},
            "HealthCheckPort": check_port,
            "TargetHealth": {"State": health.name(), "Reason": reason, "Description": description},
        })
    });
    let rows: Vec<Value> = rows.collect();
    Ok(Reply::Value(json!({"TargetHealthDescriptions": rows})))
}

/// The zone of the subnet that an address lies in.
fn zone(world: &World, region: &str, address: &str, vpc: &str) -> Option<String> {
    let address: Ipv4Addr = address.parse().ok()?;
    let subnets = world.regions.get(region)?.ec2.subnets.values();
    subnets
        .filter(|subnet| subnet.vpc == vpc)
        .find(|subnet| subnet.cidr.contains(&address))
        .map(|subnet| subnet.zone.clone())
}

fn targets(call: &Call, group: &Group) -> Result<Vec<(String, u16)>, Fault> {
    let list = call.input.list("Targets");
    if list.is_empty() {
        return Err(invalid("At least one target must be specified"));
    }
    let read = |target: &Value| {
        let port = target.int("Port").unwrap_or_else(|| i64::from(group.port));
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| invalid("A target's port must be between 1 and 65535"))?;
        Ok((target.text("Id").unwrap_or_default().to_owned(), port))
    };
    list.iter().map(read).collect()
}

fn wanted(world: &mut World, call: &Call, name: &str) -> Result<Group, Fault> {
    let target_type = call.input.text("TargetType").unwrap_or("instance");
    if !["ip", "instance"].contains(&target_type) {
        return Err(invalid(format!(
            "the ecspipe sandbox has no target groups of the type '{target_type}'"
        )));
    }
    if call
        .input
        .text("IpAddressType")
        .is_some_and(|kind| kind != "ipv4")
    {
        return Err(invalid(
            "the ecspipe sandbox only has target groups of the address type 'ipv4'",
        ));
    }
    let protocol = call
        .input
        .text("Protocol")
        .ok_or_else(|| invalid("A protocol must be specified"))?;
    if !["HTTP", "HTTPS"].contains(&protocol) {
        return Err(invalid(format!(
            "the ecspipe sandbox has no target groups of the protocol '{protocol}'"
        )));
    }
    let version = call.input.text("ProtocolVersion").unwrap_or("HTTP1");
    if version != "HTTP1" {
        return Err(invalid(format!(
            "the ecspipe sandbox has no target groups of the protocol version '{version}'"
        )));
    }
    let port = call
        .input
        .int("Port")
        .ok_or_else(|| invalid("A port must be specified"))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| invalid("The port must be between 1 and 65535"))?;
    let vpc = call
        .input
        .text("VpcId")
        .ok_or_else(|| invalid("A VPC ID must be specified"))?;
    if !world.at(&call.region).ec2.vpcs.contains_key(vpc) {
        return Err(invalid(format!("The VPC ID '{vpc}' is not found")));
    }
    let default = Check {
        // Checks of a new group use HTTP, whatever the group itself speaks.
        protocol: "HTTP".to_owned(),
        port: "traffic-port".to_owned(),
        path: "/".to_owned(),
        interval: 30,
        timeout: 5,
        healthy: 5,
        unhealthy: 2,
        matcher: "200".to_owned(),
    };
    Ok(Group {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        protocol_version: version.to_owned(),
        port,
        vpc: vpc.to_owned(),
        target_type: target_type.to_owned(),
        check: check(call, default)?,
        attributes: ATTRIBUTES
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        targets: Vec::new(),
    })
}

fn same(have: &Group, want: &Group) -> bool {
    have.protocol == want.protocol
        && have.port == want.port
        && have.vpc == want.vpc
        && have.target_type == want.target_type
        && have.check == want.check
}

/// The check that the call's members make of `check`.
fn check(call: &Call, mut check: Check) -> Result<Check, Fault> {
    if call.input.flag("HealthCheckEnabled") == Some(false) {
        return Err(invalid(
            "Health checks cannot be disabled for this target group",
        ));
    }
    if let Some(protocol) = call.input.text("HealthCheckProtocol") {
        if !["HTTP", "HTTPS"].contains(&protocol) {
            return Err(invalid(format!(
                "Health check protocol '{protocol}' is not supported for this target group"
            )));
        }
        check.protocol = protocol.to_owned();
    }
    if let Some(port) = call.input.text("HealthCheckPort") {
        if port != "traffic-port" && port.parse::<u16>().is_err() {
            return Err(invalid(format!(
                "Health check port '{port}' must be 'traffic-port' or in between 1 and 65535"
            )));
        }
        check.port = port.to_owned();
    }
    if let Some(path) = call.input.text("HealthCheckPath") {
        if !path.starts_with('/') || path.len() > 1024 {
            return Err(invalid(format!(
                "Health check path '{path}' must begin with '/' and have at most 1024 characters"
            )));
        }
        check.path = path.to_owned();
    }
    let ranged =
        |name: &str, what: &str, have: i64, least: i64, most: i64| match call.input.int(name) {
            None => Ok(have),
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(_) => Err(invalid(format!(
                "Health check {what} must be in between '{least}' and '{most}'"
            ))),
        };
    check.interval = ranged(
        "HealthCheckIntervalSeconds",
        "interval",
        check.interval,
        5,
        300,
    )?;
    check.timeout = ranged(
        "HealthCheckTimeoutSeconds",
        "timeout",
        check.timeout,
        2,
        120,
    )?;
    check.healthy = ranged(
        "HealthyThresholdCount",
        "healthy threshold count",
        check.healthy,
        2,
        10,
    )?;
    check.unhealthy = ranged(
        "UnhealthyThresholdCount",
        "unhealthy threshold count",
        check.unhealthy,
        2,
        10,
    )?;
    if check.timeout >= check.interval {
        return Err(invalid(
            "Health check interval must be greater than the timeout.",
        ));
    }
    if let Some(codes) = call
        .input
        .get("Matcher")
        .and_then(|matcher| matcher.text("HttpCode"))
    {
        if health::codes(codes).is_none() {
            return Err(invalid(format!(
                "Health check matcher HTTP code '{codes}' must be within '200-499' inclusive"
            )));
        }
        check.matcher = codes.to_owned();
    }
    Ok(check)
}

fn render(state: &State, arn: &str) -> Value {
    let group = &state.groups[arn];
    json!({
        "TargetGroupArn": arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc,
        "HealthCheckProtocol": group.check.protocol,
        "HealthCheckPort": group.check.port,
        "HealthCheckEnabled": true,
        "HealthCheckIntervalSeconds": group.check.interval,
        "HealthCheckTimeoutSeconds": group.check.timeout,
        "HealthyThresholdCount": group.check.healthy,
        "UnhealthyThresholdCount": group.check.unhealthy,
        "HealthCheckPath": group.check.path,
        "Matcher": {"HttpCode": group.check.matcher},
        "LoadBalancerArns": state.balancers_of(arn),
        "TargetType": group.target_type,
        "ProtocolVersion": group.protocol_version,
        "IpAddressType": "ipv4",
    })
}
