//! Application load balancers, with their interfaces in EC2's subnets. Must not know listeners beyond whose they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answer, Fault, State, attribute_list, check_name, empty, invalid, listed, need, state, tags,
    take_attributes,
};
use crate::clock::{Millis, iso};
use crate::services::ec2;
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// AWS takes two to four minutes to provision one.
const PROVISIONING: Millis = 120_000;
/// One that can't be provisioned shows so after a while.
const FAILING: Millis = 60_000;
/// The interfaces of a deleted one linger for one to five minutes.
const LINGERING: Millis = 90_000;

/// An application load balancer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Balancer {
    pub(crate) name: String,
    pub(crate) internal: bool,
    pub(crate) vpc: String,
    /// Its interface in each subnet.
    pub(crate) subnets: BTreeMap<String, String>,
    pub(crate) groups: Vec<String>,
    pub(crate) created: Millis,
    pub(crate) dns_name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Why it can't be provisioned, if it can't.
    #[serde(default)]
    pub(crate) failure: Option<String>,
}

impl Balancer {
    /// Whether it takes traffic yet.
    pub(crate) fn active(&self, now: Millis) -> bool {
        self.failure.is_none() && now >= self.created + PROVISIONING
    }

    fn state(&self, now: Millis) -> Value {
        match &self.failure {
            Some(reason) if now >= self.created + FAILING => {
                json!({"Code": "failed", "Reason": reason})
            }
            _ if self.active(now) => json!({"Code": "active"}),
            _ => json!({"Code": "provisioning"}),
        }
    }
}

/// What an application load balancer has from the start.
const ATTRIBUTES: [(&str, &str); 21] = [
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.prefix", ""),
    ("client_keep_alive.seconds", "3600"),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.prefix", ""),
    ("deletion_protection.enabled", "false"),
    ("health_check_logs.s3.bucket", ""),
    ("health_check_logs.s3.enabled", "false"),
    ("health_check_logs.s3.prefix", ""),
    ("idle_timeout.timeout_seconds", "60"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    (
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "false",
    ),
    ("routing.http.xff_client_port.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
];

/// The hosted zones of the regions' balancers (AWS General Reference).
const ZONES: [(&str, &str); 17] = [
    ("ap-northeast-1", "Z14GRHDCWA56QT"),
    ("ap-northeast-2", "ZWKZPGTI48KDX"),
    ("ap-northeast-3", "Z5LXEXXYW11ES"),
    ("ap-south-1", "ZP97RAFLXTNZK"),
    ("ap-southeast-1", "Z1LMS91P8CMLE5"),
    ("ap-southeast-2", "Z1GM3OXH4ZPM65"),
    ("ca-central-1", "ZQSVJUPU6J1EY"),
    ("eu-central-1", "Z215JYRZR1TBD5"),
    ("eu-north-1", "Z23TAZ6LKFMNIO"),
    ("eu-west-1", "Z32O12XQLNTSW2"),
    ("eu-west-2", "ZHURV8PSTC4K8"),
    ("eu-west-3", "Z3Q77PNBQS71R4"),
    ("sa-east-1", "Z2P70J7HTTTPLU"),
    ("us-east-1", "Z35SXDOTRQ7X7K"),
    ("us-east-2", "Z3AADJGX6KTTL2"),
    ("us-west-1", "Z368ELLRRE2KJ0"),
    ("us-west-2", "Z1H1FL5HABSF5"),
];

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "Name",
            "Subnets",
            "SubnetMappings",
            "SecurityGroups",
            "Scheme",
            "Tags",
            "Type",
            "IpAddressType",
        ],
    )?;
    let name = need(call, "Name")?;
    check_name("load balancer", name)?;
    if name.starts_with("internal-") {
        return Err(invalid(format!(
            "The load balancer name '{name}' cannot begin with 'internal-'"
        )));
    }
    check_kind(call)?;
    let internal = match call.input.text("Scheme").unwrap_or("internet-facing") {
        "internet-facing" => false,
        "internal" => true,
        other => {
            return Err(Fault::new(
                "InvalidScheme",
                format!("'{other}' is not a valid load balancer scheme"),
            ));
        }
    };
    let given_tags = tags::given(call)?;
    let wanted = subnets(call)?;
    let vpc = check_subnets(world, call, &wanted)?;
    let groups = groups(world, call, &vpc)?;
    if let Some(arn) = existing(world, call, name, internal, &wanted, &groups)? {
        return answer(world, call, &arn);
    }
    check_room(world, call, &wanted)?;
    let have = state(world, call).balancers.len();
    quotas::room(
        world,
        &call.region,
        &quotas::BALANCERS,
        have,
        "TooManyLoadBalancers",
        "The maximum number of load balancers has been reached",
    )?;
    let attached = world
        .at(&call.region)
        .ec2
        .gateways
        .values()
        .any(|gateway| gateway.vpc.as_deref() == Some(vpc.as_str()));
    if !internal && !attached {
        return Err(Fault::new(
            "InvalidSubnet",
            format!("VPC {vpc} has no internet gateway"),
        ));
    }
    let path = format!("app/{name}/{}", world.hex(16));
    let arn = world.arn(
        "elasticloadbalancing",
        &call.region,
        &format!("loadbalancer/{path}"),
    );
    let balancer = Balancer {
        name: name.to_owned(),
        internal,
        vpc,
        subnets: attach(world, call, &path, &wanted, &groups, internal)?,
        groups,
        created: world.now,
        dns_name: dns_name(world, call, name, internal),
        attributes: ATTRIBUTES
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        failure: None,
    };
    let state = state(world, call);
    state.balancers.insert(arn.clone(), balancer);
    state.tags.insert(arn.clone(), given_tags);
    answer(world, call, &arn)
}

/// The balancer that `answer` tells of ends `failed`.
pub(crate) fn end_failed(world: &mut World, region: &str, answer: &Value, fault: &Fault) {
    let arn = answer["LoadBalancers"][0]["LoadBalancerArn"].as_str();
    let balancers = &mut world.at(region).elbv2.balancers;
    if let Some(balancer) = arn.and_then(|arn| balancers.get_mut(arn)) {
        balancer.failure = Some(format!("{}: {}", fault.code, fault.message));
    }
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArns", "Names", "Marker", "PageSize"])?;
    let (arns, names) = (
        call.input.texts("LoadBalancerArns"),
        call.input.texts("Names"),
    );
    if !arns.is_empty() && !names.is_empty() {
        return Err(invalid(
            "Load balancer ARNs and names cannot be specified together",
        ));
    }
    let balancers = &state(world, call).balancers;
    if let Some(arn) = arns.iter().find(|arn| !balancers.contains_key(*arn)) {
        return Err(Fault::new(
            "LoadBalancerNotFound",
            format!("Load balancers '[{arn}]' not found"),
        ));
    }
    if let Some(name) = names
        .iter()
        .find(|name| !balancers.values().any(|balancer| balancer.name == **name))
    {
        return Err(Fault::new(
            "LoadBalancerNotFound",
            format!("Load balancers '[{name}]' not found"),
        ));
    }
    let asked = |arn: &String, balancer: &Balancer| {
        (arns.is_empty() || arns.contains(arn))
            && (names.is_empty() || names.contains(&balancer.name))
    };
    let found: Vec<String> = balancers
        .iter()
        .filter(|(arn, balancer)| asked(arn, balancer))
        .map(|(arn, _)| arn.clone())
        .collect();
    let rows = found
        .iter()
        .map(|arn| render(world, &call.region, arn))
        .collect();
    listed(call, "LoadBalancers", rows)
}

pub(super) fn describe_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn"])?;
    let balancer = state(world, call).balancer(need(call, "LoadBalancerArn")?)?;
    Ok(Reply::Value(attribute_list(&balancer.attributes)))
}

pub(super) fn modify_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn", "Attributes"])?;
    let balancer = state(world, call).balancer(need(call, "LoadBalancerArn")?)?;
    take_attributes(call, "Load balancer", &mut balancer.attributes)?;
    Ok(Reply::Value(attribute_list(&balancer.attributes)))
}

pub(super) fn describe_capacity(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn"])?;
    state(world, call).balancer(need(call, "LoadBalancerArn")?)?;
    // Nothing is reserved, and nothing can be.
    Ok(Reply::Value(
        json!({"DecreaseRequestsRemaining": 2, "CapacityReservationState": []}),
    ))
}

pub(super) fn set_address_type(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn", "IpAddressType"])?;
    state(world, call).balancer(need(call, "LoadBalancerArn")?)?;
    match need(call, "IpAddressType")? {
        "ipv4" => Ok(Reply::Value(json!({"IpAddressType": "ipv4"}))),
        _ => Err(invalid(
            "the ecspipe sandbox only has load balancers of the address type 'ipv4'",
        )),
    }
}

pub(super) fn set_groups(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn", "SecurityGroups"])?;
    let arn = need(call, "LoadBalancerArn")?;
    let vpc = state(world, call).balancer(arn)?.vpc.clone();
    if call.input.list("SecurityGroups").is_empty() {
        return Err(invalid("At least one security group must be specified"));
    }
    let groups = groups(world, call, &vpc)?;
    let balancer = state(world, call).balancer(arn)?;
    balancer.groups.clone_from(&groups);
    let interfaces: Vec<String> = balancer.subnets.values().cloned().collect();
    for id in interfaces {
        if let Some(interface) = world.at(&call.region).ec2.interfaces.get_mut(&id) {
            interface.groups.clone_from(&groups);
        }
    }
    Ok(Reply::Value(json!({"SecurityGroupIds": groups})))
}

pub(super) fn set_subnets(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "LoadBalancerArn",
            "Subnets",
            "SubnetMappings",
            "IpAddressType",
        ],
    )?;
    let arn = need(call, "LoadBalancerArn")?;
    let balancer = state(world, call).balancer(arn)?.clone();
    let wanted = subnets(call)?;
    if check_subnets(world, call, &wanted)? != balancer.vpc {
        return Err(Fault::new(
            "InvalidSubnet",
            "The subnets must be in the load balancer's VPC",
        ));
    }
    let new: Vec<String> = wanted
        .iter()
        .filter(|subnet| !balancer.subnets.contains_key(*subnet))
        .cloned()
        .collect();
    check_room(world, call, &new)?;
    let path = arn.split(":loadbalancer/").nth(1).unwrap_or_default();
    let mut attached = attach(world, call, path, &new, &balancer.groups, balancer.internal)?;
    for (subnet, interface) in balancer.subnets {
        if wanted.contains(&subnet) {
            attached.insert(subnet, interface);
        } else {
            let at = world.now + LINGERING;
            ec2::release_interface(world, &call.region, &interface, at);
        }
    }
    state(world, call).balancer(arn)?.subnets = attached;
    let rendered = render(world, &call.region, arn);
    Ok(Reply::Value(
        json!({"AvailabilityZones": rendered["AvailabilityZones"], "IpAddressType": "ipv4"}),
    ))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["LoadBalancerArn"])?;
    let arn = need(call, "LoadBalancerArn")?;
    if !arn.contains(":loadbalancer/") {
        return Err(invalid(format!("'{arn}' is not a valid load balancer ARN")));
    }
    let at = world.now + LINGERING;
    let state = state(world, call);
    // Deleting what isn't there succeeds.
    let Some(balancer) = state.balancers.get(arn).cloned() else {
        return empty();
    };
    if balancer
        .attributes
        .get("deletion_protection.enabled")
        .is_some_and(|value| value == "true")
    {
        let message = format!(
            "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        );
        return Err(Fault::new("OperationNotPermitted", message));
    }
    let listeners: Vec<String> = state
        .listeners
        .iter()
        .filter(|(_, listener)| listener.balancer == arn)
        .map(|(arn, _)| arn.clone())
        .collect();
    for listener in &listeners {
        super::listeners::forget(state, listener);
    }
    state.balancers.remove(arn);
    state.tags.remove(arn);
    for listener in &listeners {
        world.ports.remove(listener);
    }
    for interface in balancer.subnets.values() {
        ec2::release_interface(world, &call.region, interface, at);
    }
    empty()
}

fn check_kind(call: &Call) -> Result<(), Fault> {
    if call
        .input
        .text("Type")
        .is_some_and(|kind| kind != "application")
    {
        return Err(invalid(
            "the ecspipe sandbox only has load balancers of the type 'application'",
        ));
    }
    if call
        .input
        .text("IpAddressType")
        .is_some_and(|kind| kind != "ipv4")
    {
        return Err(invalid(
            "the ecspipe sandbox only has load balancers of the address type 'ipv4'",
        ));
    }
    Ok(())
}

fn subnets(call: &Call) -> Result<Vec<String>, Fault> {
    let mappings = call.input.list("SubnetMappings");
    let plain = |mapping: &Value| {
        mapping
            .as_object()
            .is_some_and(|mapping| mapping.keys().all(|key| key == "SubnetId"))
    };
    if !mappings.iter().all(plain) {
        return Err(invalid(
            "Subnet mappings of an application load balancer can only name a subnet",
        ));
    }
    let mut subnets = call.input.texts("Subnets");
    if !subnets.is_empty() && !mappings.is_empty() {
        return Err(invalid(
            "Subnets and subnet mappings cannot be specified together",
        ));
    }
    subnets.extend(
        mappings
            .iter()
            .filter_map(|mapping| mapping.text("SubnetId"))
            .map(ToOwned::to_owned),
    );
    subnets.sort();
    subnets.dedup();
    Ok(subnets)
}

/// The VPC of the subnets, if they are legal for a balancer: one VPC, at least two zones, one subnet in each.
fn check_subnets(world: &World, call: &Call, subnets: &[String]) -> Result<String, Fault> {
    let facts = subnets.iter().map(|id| {
        ec2::subnet(world, &call.region, id).ok_or_else(|| {
            Fault::new(
                "SubnetNotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        })
    });
    let facts = facts.collect::<Result<Vec<_>, Fault>>()?;
    if facts.len() < 2 {
        return Err(invalid(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    }
    for (index, fact) in facts.iter().enumerate() {
        if facts[..index].iter().any(|other| other.zone == fact.zone) {
            let message = "A load balancer cannot be attached to multiple subnets in the same Availability Zone";
            return Err(Fault::new("InvalidConfigurationRequest", message));
        }
        if fact.vpc != facts[0].vpc {
            return Err(Fault::new(
                "InvalidSubnet",
                "All subnets must belong to the same VPC",
            ));
        }
    }
    Ok(facts[0].vpc.clone())
}

/// AWS wants eight free addresses in each subnet, so that a balancer can grow.
fn check_room(world: &World, call: &Call, subnets: &[String]) -> Result<(), Fault> {
    for id in subnets {
        if ec2::free_addresses(world, &call.region, id) < 8 {
            let message = format!(
                "Not enough IP space available in {id}. ELB requires at least 8 free IP addresses in each subnet."
            );
            return Err(Fault::new("InvalidSubnet", message));
        }
    }
    Ok(())
}

/// The security groups of the call, or the VPC's own.
fn groups(world: &mut World, call: &Call, vpc: &str) -> Result<Vec<String>, Fault> {
    let mut groups = call.input.texts("SecurityGroups");
    let have = &world.at(&call.region).ec2.groups;
    for id in &groups {
        let fault = |message: String| Fault::new("InvalidSecurityGroup", message);
        let group = have
            .get(id)
            .ok_or_else(|| fault(format!("The security group '{id}' does not exist")))?;
        if group.vpc != vpc {
            return Err(fault(format!(
                "The security group '{id}' is not in the VPC '{vpc}'"
            )));
        }
    }
    if groups.is_empty() {
        groups.extend(
            have.iter()
                .find(|(_, group)| group.vpc == vpc && group.name == "default")
                .map(|(id, _)| id.clone()),
        );
    }
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// The balancer of that name, if it has the same settings.
fn existing(
    world: &mut World,
    call: &Call,
    name: &str,
    internal: bool,
    subnets: &[String],
    groups: &[String],
) -> Result<Option<String>, Fault> {
    let found = state(world, call)
        .balancers
        .iter()
        .find(|(_, balancer)| balancer.name == name);
    let Some((arn, balancer)) = found else {
        return Ok(None);
    };
    let same = balancer.internal == internal
        && balancer.groups == groups
        && balancer.subnets.keys().eq(subnets.iter());
    if same {
        return Ok(Some(arn.clone()));
    }
    let message =
        format!("A load balancer with the same name '{name}' exists, but with different settings");
    Err(Fault::new("DuplicateLoadBalancerName", message))
}

fn attach(
    world: &mut World,
    call: &Call,
    path: &str,
    subnets: &[String],
    groups: &[String],
    internal: bool,
) -> Result<BTreeMap<String, String>, Fault> {
    let description = format!("ELB {path}");
    let mut interfaces = BTreeMap::new();
    for subnet in subnets {
        let public = (!internal).then(|| ec2::public_ip(world));
        let wanted = ec2::Wanted {
            kind: "interface",
            public,
            description: &description,
        };
        let (interface, _) = ec2::attach(world, &call.region, subnet, groups, wanted)?;
        interfaces.insert(subnet.clone(), interface);
    }
    Ok(interfaces)
}

/// As AWS names them: name, a number, region. The scheme shows in front.
fn dns_name(world: &mut World, call: &Call, name: &str, internal: bool) -> String {
    let number = u64::from_str_radix(&world.hex(12), 16).unwrap_or_default() % 10_000_000_000;
    let front = if internal { "internal-" } else { "" };
    let end = if call.region.starts_with("cn-") {
        "com.cn"
    } else {
        "com"
    };
    format!(
        "{front}{name}-{number:010}.{}.elb.amazonaws.{end}",
        call.region
    )
}

fn answer(world: &mut World, call: &Call, arn: &str) -> Answer {
    Ok(Reply::Value(
        json!({"LoadBalancers": [render(world, &call.region, arn)]}),
    ))
}

fn render(world: &World, region: &str, arn: &str) -> Value {
    let state: &State = &world.regions[region].elbv2;
    let balancer = &state.balancers[arn];
    let zone = |subnet: &String| ec2::subnet(world, region, subnet).map(|facts| facts.zone);
    let mut zones: Vec<Value> = balancer
        .subnets
        .keys()
        .map(|subnet| json!({"ZoneName": zone(subnet), "SubnetId": subnet, "LoadBalancerAddresses": []}))
        .collect();
    zones.sort_by_key(|zone| zone["ZoneName"].as_str().unwrap_or_default().to_owned());
    let hosted = ZONES
        .iter()
        .find(|(name, _)| *name == region)
        .map_or("Z215JYRZR1TBD5", |(_, zone)| zone);
    json!({
        "LoadBalancerArn": arn,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": hosted,
        "CreatedTime": iso(balancer.created),
        "LoadBalancerName": balancer.name,
        "Scheme": if balancer.internal { "internal" } else { "internet-facing" },
        "VpcId": balancer.vpc,
        "State": balancer.state(world.now),
        "Type": "application",
        "AvailabilityZones": zones,
        "SecurityGroups": balancer.groups,
        "IpAddressType": "ipv4",
    })
}
