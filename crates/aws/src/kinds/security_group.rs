//! Security groups with their rules, one peer a rule. Must not know who is a member.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroup as Found,
    UserIdGroupPair,
};
use ecspipe_provision::resource::{Rule, SecurityGroup};
use ecspipe_provision::{CloudError, Have, Kind, Progress, Resource, Tags};

use super::{
    Seen, Update, ec2_tags, first_id, of_tags, once_released, retag_ec2, tag_specification,
    unrepeated, unsaid,
};
use crate::classify::Said as _;
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    fetch(view, view.of_apps()).await
}

async fn fetch(account: &Account, filters: Vec<Filter>) -> Result<Vec<Seen>, CloudError> {
    let items = account
        .ec2
        .describe_security_groups()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    Ok(all(items)
        .await
        .said("ec2", "DescribeSecurityGroups")?
        .iter()
        .map(seen)
        .collect())
}

fn seen(group: &Found) -> Seen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let resource = SecurityGroup {
        name: text(group.group_name()),
        description: text(group.description()),
        vpc: text(group.vpc_id()),
        ingress: rules(group.ip_permissions()),
        egress: rules(group.ip_permissions_egress()),
    };
    Seen::new(
        group.group_id().unwrap_or_default(),
        ec2_tags(group.tags()),
        resource,
    )
}

/// AWS groups peers by protocol and ports; here each peer is a rule of its own.
pub(crate) fn rules(permissions: &[IpPermission]) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for permission in permissions {
        let addresses = permission.ip_ranges().iter().filter_map(IpRange::cidr_ip);
        let addresses6 = permission
            .ipv6_ranges()
            .iter()
            .filter_map(Ipv6Range::cidr_ipv6);
        let groups = permission
            .user_id_group_pairs()
            .iter()
            .filter_map(UserIdGroupPair::group_id);
        let lists = permission
            .prefix_list_ids()
            .iter()
            .filter_map(PrefixListId::prefix_list_id);
        let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
        for peer in addresses.chain(addresses6).chain(groups).chain(lists) {
            rules.insert(Rule {
                protocol: permission.ip_protocol().unwrap_or_default().to_owned(),
                from_port: port(permission.from_port()),
                to_port: port(permission.to_port()),
                peer: peer.to_owned(),
            });
        }
    }
    rules
}

fn permission(rule: &Rule) -> IpPermission {
    let permission = IpPermission::builder()
        .ip_protocol(&rule.protocol)
        .set_from_port(rule.from_port.map(i32::from))
        .set_to_port(rule.to_port.map(i32::from));
    let peer = rule.peer.as_str();
    match peer {
        group if group.starts_with("sg-") => {
            permission.user_id_group_pairs(UserIdGroupPair::builder().group_id(group).build())
        }
        list if list.starts_with("pl-") => {
            permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(list).build())
        }
        address if address.contains(':') => {
            permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(address).build())
        }
        address => permission.ip_ranges(IpRange::builder().cidr_ip(address).build()),
    }
    .build()
}

pub(crate) async fn create(
    account: &Account,
    want: &SecurityGroup,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .ec2
            .create_security_group()
            .group_name(&want.name)
            .description(&want.description)
            .vpc_id(&want.vpc)
            .tag_specifications(tag_specification(ResourceType::SecurityGroup, tags));
        let made = unrepeated!(aws_sdk_ec2, call)
            .await
            .said("ec2", "CreateSecurityGroup")?;
        made.group_id()
            .map(ToOwned::to_owned)
            .ok_or_else(|| unsaid("ec2", "CreateSecurityGroup", "id"))
    };
    let look = || async { fetch(account, of_tags(tags)).await.map(first_id) };
    let made = account
        .pace
        .settled(progress, || account.pace.once(make, look))
        .await;
    let id = match made {
        // Our own, made by a call whose answer was lost and that listings didn't show in time; or somebody else's.
        Err(error) if error.code == "InvalidGroup.Duplicate" => look().await?.ok_or(error)?,
        made => made?,
    };
    // AWS gives a new group one rule: everything may go out.
    let given = BTreeSet::from([Rule::everything("0.0.0.0/0")]);
    set_rules(
        account,
        &id,
        Way::In,
        &BTreeSet::new(),
        &want.ingress,
        progress,
    )
    .await?;
    set_rules(account, &id, Way::Out, &given, &want.egress, progress).await?;
    Ok(id)
}

/// Which way traffic goes.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// New rules are added before old ones go, so that nobody is cut off between the two.
async fn set_rules(
    account: &Account,
    id: &str,
    way: Way,
    have: &BTreeSet<Rule>,
    want: &BTreeSet<Rule>,
    progress: &Progress,
) -> Result<(), CloudError> {
    let add: Vec<IpPermission> = want.difference(have).map(permission).collect();
    if !add.is_empty() {
        let call = || authorize(account, id, way, add.clone());
        account.pace.settled(progress, call).await?;
    }
    let remove: Vec<IpPermission> = have.difference(want).map(permission).collect();
    if remove.is_empty() {
        return Ok(());
    }
    let call = || revoke(account, id, way, remove.clone());
    account.pace.settled(progress, call).await
}

async fn authorize(
    account: &Account,
    id: &str,
    way: Way,
    rules: Vec<IpPermission>,
) -> Result<(), CloudError> {
    let ec2 = &account.ec2;
    let rules = Some(rules);
    match way {
        Way::In => {
            let call = ec2.authorize_security_group_ingress().group_id(id);
            let answer = call.set_ip_permissions(rules).send().await;
            unless_there(answer.said("ec2", "AuthorizeSecurityGroupIngress"))
        }
        Way::Out => {
            let call = ec2.authorize_security_group_egress().group_id(id);
            let answer = call.set_ip_permissions(rules).send().await;
            unless_there(answer.said("ec2", "AuthorizeSecurityGroupEgress"))
        }
    }
}

async fn revoke(
    account: &Account,
    id: &str,
    way: Way,
    rules: Vec<IpPermission>,
) -> Result<(), CloudError> {
    let ec2 = &account.ec2;
    let rules = Some(rules);
    let gone = match way {
        Way::In => {
            let call = ec2.revoke_security_group_ingress().group_id(id);
            let answer = call.set_ip_permissions(rules).send().await;
            answer.said("ec2", "RevokeSecurityGroupIngress").map(|_| ())
        }
        Way::Out => {
            let call = ec2.revoke_security_group_egress().group_id(id);
            let answer = call.set_ip_permissions(rules).send().await;
            answer.said("ec2", "RevokeSecurityGroupEgress").map(|_| ())
        }
    };
    match gone {
        Err(error) if error.code == "InvalidPermission.NotFound" => Ok(()),
        done => done,
    }
}

fn unless_there<T>(result: Result<T, CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if error.code == "InvalidPermission.Duplicate" => Ok(()),
        done => done.map(|_| ()),
    }
}

pub(crate) async fn update(
    account: &Account,
    want: &SecurityGroup,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Resource::SecurityGroup(have) = &update.have.resource else {
        return Err(super::wrong_kind(Kind::SecurityGroup));
    };
    let id = &update.have.id;
    if update.touches(&["ingress"]) {
        set_rules(
            account,
            id,
            Way::In,
            &have.ingress,
            &want.ingress,
            update.progress,
        )
        .await?;
    }
    if update.touches(&["egress"]) {
        set_rules(
            account,
            id,
            Way::Out,
            &have.egress,
            &want.egress,
            update.progress,
        )
        .await?;
    }
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        let call = account
            .ec2
            .delete_security_group()
            .group_id(&have.id)
            .send()
            .await;
        call.said("ec2", "DeleteSecurityGroup").map(|_| ())
    };
    once_released(
        account.pace,
        progress,
        "AWS to release the network interfaces of the security group",
        call,
    )
    .await
}
