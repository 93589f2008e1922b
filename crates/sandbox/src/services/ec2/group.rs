//! Security groups and their rules. Nothing is blocked by them here: they are kept, compared and shown.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, State, View, done, invalid, missing, need, state, tag};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::{Tags, World};

/// The name of the group that every VPC has.
pub(super) const DEFAULT: &str = "default";

/// AWS's default quota of rules, per group and direction.
const MOST: usize = 60;

/// A security group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: String,
}

/// One rule of a group: one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) group: String,
    pub(crate) egress: bool,
    pub(crate) traffic: Traffic,
    pub(crate) peer: Peer,
    pub(crate) description: Option<String>,
}

/// Protocol and ports; `-1` is everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) protocol: String,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// Who a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// An IPv4 block.
    Cidr(Ipv4Net),
    /// An IPv6 block.
    Cidr6(Ipv6Net),
    /// A prefix list.
    PrefixList(String),
    /// Members of a group.
    Group(String),
}

impl Rule {
    fn same(&self, other: &Self) -> bool {
        (&self.group, self.egress, &self.traffic, &self.peer)
            == (&other.group, other.egress, &other.traffic, &other.peer)
    }
}

impl State {
    /// The id of the group that comes with a VPC.
    pub(super) fn default_group(&self, vpc: &str) -> Option<String> {
        let own = |group: &Group| group.vpc == vpc && group.name == DEFAULT;
        let mut groups = self.groups.iter();
        groups
            .find(|(_, group)| own(group))
            .map(|(id, _)| id.clone())
    }
}

/// The group that comes with a VPC: everything out, everything in from itself.
pub(super) fn create_default(world: &mut World, call: &Call, vpc: &str) {
    let id = world.id("sg");
    let all = Traffic {
        protocol: "-1".to_owned(),
        from: None,
        to: None,
    };
    let rule = |egress, peer| Rule {
        group: id.clone(),
        egress,
        traffic: all.clone(),
        peer,
        description: None,
    };
    let rules = [
        rule(false, Peer::Group(id.clone())),
        rule(true, Peer::Cidr(Ipv4Net::default())),
    ];
    for rule in rules {
        let id = world.id("sgr");
        state(world, call).rules.insert(id, rule);
    }
    let description = "default VPC security group".to_owned();
    let group = Group {
        name: DEFAULT.to_owned(),
        description,
        vpc: vpc.to_owned(),
    };
    state(world, call).groups.insert(id, group);
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &["GroupName", "GroupDescription", "VpcId", "TagSpecification"],
    )?;
    let name = need(call, "GroupName")?;
    let description = need(call, "GroupDescription")?;
    check_text("group name", "names", name)?;
    check_text("group description", "descriptions", description)?;
    if name.starts_with("sg-") {
        return Err(invalid(format!(
            "Invalid group name '{name}': it may not start with 'sg-'"
        )));
    }
    let vpc = call
        .input
        .text("VpcId")
        .ok_or_else(|| Fault::new("VPCIdNotSpecified", "No default VPC for this user."))?;
    let tags = tag::given(call, "security-group")?;
    let state_now = state(world, call);
    state_now.vpc(vpc)?;
    if state_now
        .groups
        .values()
        .any(|group| group.vpc == vpc && group.name == name)
    {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Fault::new("InvalidGroup.Duplicate", message));
    }
    let have = state_now.groups.len();
    quotas::room(
        world,
        &call.region,
        &quotas::SECURITY_GROUPS,
        have,
        "SecurityGroupLimitExceeded",
        "The maximum number of security groups has been reached.",
    )?;
    let id = world.id("sg");
    let rule_id = world.id("sgr");
    let everything = Rule {
        group: id.clone(),
        egress: true,
        traffic: Traffic {
            protocol: "-1".to_owned(),
            from: None,
            to: None,
        },
        peer: Peer::Cidr(Ipv4Net::default()),
        description: None,
    };
    let group = Group {
        name: name.to_owned(),
        description: description.to_owned(),
        vpc: vpc.to_owned(),
    };
    let state = state(world, call);
    state.groups.insert(id.clone(), group);
    state.rules.insert(rule_id, everything);
    state.tags.insert(id.clone(), tags);
    let view = View::new(world, &call.region);
    let arn = view.arn(&format!("security-group/{id}"));
    Ok(Reply::Value(
        json!({"groupId": id, "tagSet": tag::set(&view, &id), "securityGroupArn": arn}),
    ))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "securityGroupInfo",
        ids: Some(("GroupId", "groupId")),
        missing: |id| missing("sg-", id),
        filters: &[
            ("description", "groupDescription"),
            (
                "egress.ip-permission.cidr",
                "ipPermissionsEgress.ipRanges.cidrIp",
            ),
            (
                "egress.ip-permission.from-port",
                "ipPermissionsEgress.fromPort",
            ),
            (
                "egress.ip-permission.group-id",
                "ipPermissionsEgress.groups.groupId",
            ),
            (
                "egress.ip-permission.protocol",
                "ipPermissionsEgress.ipProtocol",
            ),
            ("egress.ip-permission.to-port", "ipPermissionsEgress.toPort"),
            ("group-id", "groupId"),
            ("group-name", "groupName"),
            ("ip-permission.cidr", "ipPermissions.ipRanges.cidrIp"),
            ("ip-permission.from-port", "ipPermissions.fromPort"),
            ("ip-permission.group-id", "ipPermissions.groups.groupId"),
            ("ip-permission.protocol", "ipPermissions.ipProtocol"),
            ("ip-permission.to-port", "ipPermissions.toPort"),
            ("owner-id", "ownerId"),
            ("vpc-id", "vpcId"),
        ],
    };
    if !call.input.list("GroupName").is_empty() {
        // Names only serve for groups of a default VPC, and there is none.
        return Err(Fault::new(
            "VPCIdNotSpecified",
            "No default VPC for this user.",
        ));
    }
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .groups
            .keys()
            .map(|id| render(&view, id))
            .collect(),
    )
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["GroupId"])?;
    let id = need(call, "GroupId")?;
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    if state.group(id)?.name == DEFAULT {
        let message =
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Fault::new("CannotDelete", message));
    }
    let by_rule = state
        .rules
        .values()
        .any(|rule| rule.group != id && rule.peer == Peer::Group(id.to_owned()));
    let by_interface = state
        .interfaces
        .values()
        .any(|interface| interface.groups.iter().any(|group| group == id));
    if by_rule || by_interface {
        return Err(Fault::new(
            "DependencyViolation",
            format!("resource {id} has a dependent object"),
        ));
    }
    state.rules.retain(|_, rule| rule.group != id);
    state.groups.remove(id);
    state.tidy(now);
    Ok(Reply::Value(json!({"return": true, "groupId": id})))
}

pub(super) fn authorize(world: &mut World, call: &Call, egress: bool) -> Answer {
    only(
        call,
        &[
            "GroupId",
            "IpPermissions",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIp",
            "TagSpecification",
        ],
    )?;
    let group = need(call, "GroupId")?;
    let tags = tag::given(call, "security-group-rule")?;
    let rules = wanted(state(world, call), call, group, egress)?;
    let state_now = state(world, call);
    for (index, rule) in rules.iter().enumerate() {
        let twice = rules[..index].iter().any(|other| other.same(rule));
        if twice {
            return Err(invalid(
                "The same permission must not appear multiple times",
            ));
        }
        if state_now.rules.values().any(|have| have.same(rule)) {
            let message = format!("the specified rule \"{}\" already exists", sentence(rule));
            return Err(Fault::new("InvalidPermission.Duplicate", message));
        }
    }
    let have = state_now
        .rules
        .values()
        .filter(|rule| rule.group == group && rule.egress == egress)
        .count();
    if have + rules.len() > MOST {
        let message = "The maximum number of rules per security group has been reached.";
        return Err(Fault::new("RulesPerSecurityGroupLimitExceeded", message));
    }
    let ids = add(world, call, rules, &tags);
    let view = View::new(world, &call.region);
    let set: Vec<Value> = ids.iter().map(|id| render_rule(&view, id)).collect();
    Ok(Reply::Value(
        json!({"return": true, "securityGroupRuleSet": set}),
    ))
}

pub(super) fn revoke(world: &mut World, call: &Call, egress: bool) -> Answer {
    only(
        call,
        &[
            "GroupId",
            "IpPermissions",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIp",
            "SecurityGroupRuleId",
        ],
    )?;
    let group = need(call, "GroupId")?;
    let by_id = call.input.texts("SecurityGroupRuleId");
    let state_now = state(world, call);
    state_now.group(group)?;
    let ids = if by_id.is_empty() {
        let rules = wanted(state_now, call, group, egress)?;
        let find = |rule: &Rule| {
            state_now
                .rules
                .iter()
                .find(|(_, have)| have.same(rule))
                .map(|(id, _)| id.clone())
        };
        let missing = || {
            Fault::new(
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            )
        };
        rules
            .iter()
            .map(|rule| find(rule).ok_or_else(missing))
            .collect::<Result<Vec<String>, Fault>>()?
    } else {
        let known = |id: &String| {
            state_now
                .rules
                .get(id)
                .is_some_and(|rule| rule.group == group && rule.egress == egress)
        };
        if let Some(id) = by_id.iter().find(|id| !known(id)) {
            return Err(missing("sgr-", id));
        }
        by_id
    };
    let view = View::new(world, &call.region);
    let set: Vec<Value> = ids.iter().map(|id| render_revoked(&view, id)).collect();
    let state = state(world, call);
    for id in &ids {
        state.rules.remove(id);
        state.tags.remove(id);
    }
    Ok(Reply::Value(
        json!({"return": true, "revokedSecurityGroupRuleSet": set}),
    ))
}

pub(super) fn describe_rules(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "securityGroupRuleSet",
        ids: Some(("SecurityGroupRuleId", "securityGroupRuleId")),
        missing: |id| missing("sgr-", id),
        filters: &[
            ("group-id", "groupId"),
            ("security-group-rule-id", "securityGroupRuleId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .rules
            .keys()
            .map(|id| render_rule(&view, id))
            .collect(),
    )
}

pub(super) fn modify_rules(world: &mut World, call: &Call) -> Answer {
    only(call, &["GroupId", "SecurityGroupRule"])?;
    let group = need(call, "GroupId")?;
    state(world, call).group(group)?;
    let mut changed = state(world, call).rules.clone();
    for update in call.input.list("SecurityGroupRule") {
        let id = update.text("SecurityGroupRuleId").unwrap_or_default();
        let rule = changed
            .get_mut(id)
            .filter(|rule| rule.group == group)
            .ok_or_else(|| missing("sgr-", id))?;
        let want = update.get("SecurityGroupRule").cloned().unwrap_or_default();
        rule.traffic = traffic(&want)?;
        rule.description = want.text("Description").map(ToOwned::to_owned);
        rule.peer = match (
            want.text("CidrIpv4"),
            want.text("CidrIpv6"),
            want.text("PrefixListId"),
            want.text("ReferencedGroupId"),
        ) {
            (Some(cidr), None, None, None) => Peer::Cidr(ipv4(cidr)?),
            (None, Some(cidr), None, None) => Peer::Cidr6(ipv6(cidr)?),
            (None, None, Some(list), None) => Peer::PrefixList(list.to_owned()),
            (None, None, None, Some(peer)) => {
                state(world, call).group(peer)?;
                Peer::Group(peer.to_owned())
            }
            _ => {
                return Err(invalid(
                    "Exactly one of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupId must be given",
                ));
            }
        };
    }
    state(world, call).rules = changed;
    done()
}

/// UpdateSecurityGroupRuleDescriptions: the rules stay, what is said about them changes.
pub(super) fn describe_anew(world: &mut World, call: &Call, egress: bool) -> Answer {
    only(
        call,
        &["GroupId", "IpPermissions", "SecurityGroupRuleDescription"],
    )?;
    let group = need(call, "GroupId")?;
    let state = state(world, call);
    state.group(group)?;
    for update in call.input.list("SecurityGroupRuleDescription") {
        let id = update.text("SecurityGroupRuleId").unwrap_or_default();
        let rule = state
            .rules
            .get_mut(id)
            .filter(|rule| rule.group == group && rule.egress == egress);
        rule.ok_or_else(|| missing("sgr-", id))?.description =
            update.text("Description").map(ToOwned::to_owned);
    }
    if call.input.get("IpPermissions").is_some() {
        for rule in wanted(state, call, group, egress)? {
            let have = state.rules.values_mut().find(|have| have.same(&rule));
            let have = have.ok_or_else(|| {
                Fault::new(
                    "InvalidPermission.NotFound",
                    "The specified rule does not exist in this security group.",
                )
            })?;
            have.description = rule.description;
        }
    }
    done()
}

fn add(world: &mut World, call: &Call, rules: Vec<Rule>, tags: &Tags) -> Vec<String> {
    let mut ids = Vec::new();
    for rule in rules {
        let id = world.id("sgr");
        let state = state(world, call);
        state.rules.insert(id.clone(), rule);
        state.tags.insert(id.clone(), tags.clone());
        ids.push(id);
    }
    ids
}

/// The rules that the call names, one per peer.
fn wanted(state: &State, call: &Call, group: &str, egress: bool) -> Result<Vec<Rule>, Fault> {
    let vpc = &state.group(group)?.vpc;
    let mut rules = Vec::new();
    let flat = [flat_permission(call)];
    let listed = call.input.list("IpPermissions");
    for permission in if listed.is_empty() { &flat[..] } else { listed } {
        let traffic = traffic(permission)?;
        let mut add = |peer: Peer, description: Option<&str>| {
            let description = description.map(ToOwned::to_owned);
            rules.push(Rule {
                group: group.to_owned(),
                egress,
                traffic: traffic.clone(),
                peer,
                description,
            });
        };
        for range in permission.list("IpRanges") {
            add(
                Peer::Cidr(ipv4(range.text("CidrIp").unwrap_or_default())?),
                range.text("Description"),
            );
        }
        for range in permission.list("Ipv6Ranges") {
            add(
                Peer::Cidr6(ipv6(range.text("CidrIpv6").unwrap_or_default())?),
                range.text("Description"),
            );
        }
        for list in permission.list("PrefixListIds") {
            let id = list.text("PrefixListId").unwrap_or_default();
            if !super::catalogue::is_prefix_list(&call.region, id) {
                return Err(Fault::new(
                    "InvalidPrefixListID.NotFound",
                    format!("The prefix list ID '{id}' does not exist"),
                ));
            }
            add(Peer::PrefixList(id.to_owned()), list.text("Description"));
        }
        for peer in permission.list("Groups") {
            let id = peer.text("GroupId").unwrap_or_default();
            if state.group(id)?.vpc != *vpc {
                let message = format!(
                    "You have specified two resources that belong to different networks: {group}, {id}"
                );
                return Err(Fault::new("InvalidGroup.NotFound", message));
            }
            add(Peer::Group(id.to_owned()), peer.text("Description"));
        }
    }
    if rules.is_empty() {
        return Err(Fault::new(
            "MissingParameter",
            "Either 'ipPermissions' with a peer or 'cidrIp' must be given",
        ));
    }
    for rule in &rules {
        check_text(
            "rule description",
            "descriptions",
            rule.description.as_deref().unwrap_or_default(),
        )?;
    }
    Ok(rules)
}

/// The older form: one protocol, one range of ports, one block as parameters of the call itself.
fn flat_permission(call: &Call) -> Value {
    let ranges: Vec<Value> = call
        .input
        .text("CidrIp")
        .map(|cidr| json!({"CidrIp": cidr}))
        .into_iter()
        .collect();
    json!({
        "IpProtocol": call.input.get("IpProtocol"),
        "FromPort": call.input.get("FromPort"),
        "ToPort": call.input.get("ToPort"),
        "IpRanges": ranges,
    })
}

fn traffic(permission: &Value) -> Result<Traffic, Fault> {
    let protocol = match permission.text("IpProtocol").unwrap_or_default() {
        "" => {
            return Err(Fault::new(
                "MissingParameter",
                "The request must contain the parameter ipProtocol",
            ));
        }
        "all" => "-1",
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        other => other,
    };
    let known = ["-1", "tcp", "udp", "icmp", "icmpv6"].contains(&protocol)
        || protocol.parse::<u8>().is_ok();
    if !known {
        return Err(invalid(format!(
            "Invalid value '{protocol}' for IP protocol. Unknown protocol."
        )));
    }
    let (from, to) = (permission.int("FromPort"), permission.int("ToPort"));
    let ranged = ["tcp", "udp", "icmp", "icmpv6"].contains(&protocol);
    if !ranged {
        return Ok(Traffic {
            protocol: protocol.to_owned(),
            from: None,
            to: None,
        });
    }
    let (Some(from), Some(to)) = (from, to) else {
        let name = protocol.to_uppercase();
        return Err(invalid(format!(
            "Invalid value 'Must specify both from and to ports with {name}' for portRange."
        )));
    };
    let ports = ["tcp", "udp"].contains(&protocol);
    if ports && !(0 <= from && from <= to && to <= 65_535) {
        return Err(invalid(format!(
            "Invalid {} port range ({from}:{to})",
            protocol.to_uppercase()
        )));
    }
    Ok(Traffic {
        protocol: protocol.to_owned(),
        from: Some(from),
        to: Some(to),
    })
}

fn ipv4(text: &str) -> Result<Ipv4Net, Fault> {
    Ipv4Net::from_str(text)
        .map(|net| net.trunc())
        .map_err(|_| invalid(format!("CIDR block {text} is malformed")))
}

fn ipv6(text: &str) -> Result<Ipv6Net, Fault> {
    Ipv6Net::from_str(text)
        .map(|net| net.trunc())
        .map_err(|_| invalid(format!("CIDR block {text} is malformed")))
}

fn check_text(what: &str, plural: &str, text: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() <= 255 && text.chars().all(legal) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid security {what}. Valid {plural} are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
    )))
}

fn sentence(rule: &Rule) -> String {
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::Cidr6(cidr) => cidr.to_string(),
        Peer::PrefixList(id) | Peer::Group(id) => id.clone(),
    };
    match (&rule.traffic.from, &rule.traffic.to) {
        (Some(from), Some(to)) => {
            let protocol = rule.traffic.protocol.to_uppercase();
            format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
        }
        _ => format!("peer: {peer}, ALL, ALLOW"),
    }
}

fn render(view: &View<'_>, id: &str) -> Value {
    let group = &view.state.groups[id];
    json!({
        "groupId": id,
        "ipPermissionsEgress": permissions(view, id, true),
        "tagSet": tag::set(view, id),
        "vpcId": group.vpc,
        "securityGroupArn": view.arn(&format!("security-group/{id}")),
        "ownerId": view.account,
        "groupName": group.name,
        "groupDescription": group.description,
        "ipPermissions": permissions(view, id, false),
    })
}

/// Rules as DescribeSecurityGroups shows them: one entry per protocol and ports, with all its peers.
fn permissions(view: &View<'_>, group: &str, egress: bool) -> Vec<Value> {
    let mut by_traffic: BTreeMap<&Traffic, Vec<&Rule>> = BTreeMap::new();
    for rule in view
        .state
        .rules
        .values()
        .filter(|rule| rule.group == group && rule.egress == egress)
    {
        by_traffic.entry(&rule.traffic).or_default().push(rule);
    }
    let entry = |(traffic, mut rules): (&Traffic, Vec<&Rule>)| {
        rules.sort_by_key(|rule| &rule.peer);
        let peers = |pick: fn(&Rule, &str) -> Option<Value>| -> Vec<Value> {
            rules
                .iter()
                .filter_map(|rule| pick(rule, view.account))
                .collect()
        };
        json!({
            "ipProtocol": traffic.protocol,
            "fromPort": traffic.from,
            "toPort": traffic.to,
            "groups": peers(|rule, account| match &rule.peer {
                Peer::Group(id) => Some(json!({"description": rule.description, "userId": account, "groupId": id})),
                _ => None,
            }),
            "ipRanges": peers(|rule, _| match &rule.peer {
                Peer::Cidr(cidr) => Some(json!({"description": rule.description, "cidrIp": cidr.to_string()})),
                _ => None,
            }),
            "ipv6Ranges": peers(|rule, _| match &rule.peer {
                Peer::Cidr6(cidr) => Some(json!({"description": rule.description, "cidrIpv6": cidr.to_string()})),
                _ => None,
            }),
            "prefixListIds": peers(|rule, _| match &rule.peer {
                Peer::PrefixList(id) => Some(json!({"description": rule.description, "prefixListId": id})),
                _ => None,
            }),
        })
    };
    by_traffic.into_iter().map(entry).collect()
}

fn render_rule(view: &View<'_>, id: &str) -> Value {
    let mut value = render_common(view, id);
    let rule = &view.state.rules[id];
    value["groupOwnerId"] = view.account.into();
    if let Peer::Group(peer) = &rule.peer {
        value["referencedGroupInfo"] = json!({"groupId": peer, "userId": view.account, "vpcId": view.state.groups.get(peer).map(|group| &group.vpc)});
    }
    value["tagSet"] = tag::set(view, id);
    value["securityGroupRuleArn"] = view.arn(&format!("security-group-rule/{id}")).into();
    value
}

fn render_revoked(view: &View<'_>, id: &str) -> Value {
    let mut value = render_common(view, id);
    if let Peer::Group(peer) = &view.state.rules[id].peer {
        value["referencedGroupId"] = peer.clone().into();
    }
    value
}

fn render_common(view: &View<'_>, id: &str) -> Value {
    let rule = &view.state.rules[id];
    let mut value = json!({
        "securityGroupRuleId": id,
        "groupId": rule.group,
        "isEgress": rule.egress,
        "ipProtocol": rule.traffic.protocol,
        "fromPort": rule.traffic.from.unwrap_or(-1),
        "toPort": rule.traffic.to.unwrap_or(-1),
        "description": rule.description,
    });
    match &rule.peer {
        Peer::Cidr(cidr) => value["cidrIpv4"] = cidr.to_string().into(),
        Peer::Cidr6(cidr) => value["cidrIpv6"] = cidr.to_string().into(),
        Peer::PrefixList(list) => value["prefixListId"] = list.clone().into(),
        Peer::Group(_) => {}
    }
    value
}
