//! VPCs. Deleting waits for what AWS releases by itself. Must not touch what is in a VPC.

use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, ResourceType, Tag, VpcAttributeName};
use ecspipe_provision::cloud::APP_TAG;
use ecspipe_provision::resource::Vpc;
use ecspipe_provision::{CloudError, Detail, Have, Progress, Tags};

use super::{
    Seen, Update, ec2_tags, first_id, of_tags, once_let_go, retag_ec2, tag_specification,
    unrepeated, unsaid,
};
use crate::classify::{OrMissing as _, Said as _};
use crate::pace::SOON;
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    fetch(view, view.of_apps(), view.detail).await
}

async fn fetch(
    account: &Account,
    filters: Vec<Filter>,
    detail: Detail,
) -> Result<Vec<Seen>, CloudError> {
    let items = account
        .ec2
        .describe_vpcs()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    let mut seen = Vec::new();
    for vpc in all(items).await.said("ec2", "DescribeVpcs")? {
        let id = vpc.vpc_id().unwrap_or_default();
        let (support, hostnames) = match detail {
            Detail::Properties => futures::try_join!(
                attribute(account, id, VpcAttributeName::EnableDnsSupport),
                attribute(account, id, VpcAttributeName::EnableDnsHostnames),
            )?,
            Detail::Identity => (false, false),
        };
        let resource = Vpc {
            cidr: vpc.cidr_block().unwrap_or_default().to_owned(),
            dns_support: support,
            dns_hostnames: hostnames,
        };
        seen.push(Seen::new(id, ec2_tags(vpc.tags()), resource));
    }
    Ok(seen)
}

/// One of the VPC's DNS flags; off where the VPC is gone.
pub(crate) async fn attribute(
    account: &Account,
    id: &str,
    name: VpcAttributeName,
) -> Result<bool, CloudError> {
    let call = account
        .ec2
        .describe_vpc_attribute()
        .vpc_id(id)
        .attribute(name)
        .send()
        .await;
    let Some(answer) = call.said("ec2", "DescribeVpcAttribute").or_missing()? else {
        return Ok(false);
    };
    let value = answer
        .enable_dns_support()
        .or(answer.enable_dns_hostnames());
    Ok(value
        .and_then(AttributeBooleanValue::value)
        .unwrap_or_default())
}

pub(crate) async fn create(
    account: &Account,
    want: &Vpc,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .ec2
            .create_vpc()
            .cidr_block(&want.cidr)
            .tag_specifications(tag_specification(ResourceType::Vpc, tags));
        let made = unrepeated!(aws_sdk_ec2, call)
            .await
            .said("ec2", "CreateVpc")?;
        let id = made
            .vpc()
            .and_then(|vpc| vpc.vpc_id())
            .ok_or_else(|| unsaid("ec2", "CreateVpc", "id"))?;
        Ok(id.to_owned())
    };
    let look = || async {
        fetch(account, of_tags(tags), Detail::Identity)
            .await
            .map(first_id)
    };
    let id = account.pace.once(make, look).await?;
    let available = || async {
        let answer = account
            .ec2
            .describe_vpcs()
            .vpc_ids(&id)
            .send()
            .await
            .said("ec2", "DescribeVpcs")
            .or_missing()?;
        let state = answer
            .as_ref()
            .and_then(|answer| answer.vpcs().first())
            .and_then(|vpc| vpc.state());
        Ok((state == Some(&aws_sdk_ec2::types::VpcState::Available)).then_some(()))
    };
    account
        .pace
        .until(progress, "the VPC to become available", SOON, available)
        .await?;
    // A new VPC has DNS support and no host names.
    if !want.dns_support {
        let call = || set_support(account, &id, false);
        account.pace.settled(progress, call).await?;
    }
    if want.dns_hostnames {
        let call = || set_hostnames(account, &id, true);
        account.pace.settled(progress, call).await?;
    }
    Ok(id)
}

pub(crate) async fn update(
    account: &Account,
    want: &Vpc,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["dns_support"]) {
        set_support(account, &update.have.id, want.dns_support).await?;
    }
    if update.touches(&["dns_hostnames"]) {
        set_hostnames(account, &update.have.id, want.dns_hostnames).await?;
    }
    retag_ec2(account, update).await
}

async fn set_support(account: &Account, id: &str, on: bool) -> Result<(), CloudError> {
    let value = AttributeBooleanValue::builder().value(on).build();
    let call = account
        .ec2
        .modify_vpc_attribute()
        .vpc_id(id)
        .enable_dns_support(value)
        .send()
        .await;
    call.said("ec2", "ModifyVpcAttribute").map(|_| ())
}

async fn set_hostnames(account: &Account, id: &str, on: bool) -> Result<(), CloudError> {
    let value = AttributeBooleanValue::builder().value(on).build();
    let call = account
        .ec2
        .modify_vpc_attribute()
        .vpc_id(id)
        .enable_dns_hostnames(value)
        .send()
        .await;
    call.said("ec2", "ModifyVpcAttribute").map(|_| ())
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        account
            .ec2
            .delete_vpc()
            .vpc_id(&have.id)
            .send()
            .await
            .said("ec2", "DeleteVpc")
            .map(|_| ())
    };
    let others = || strangers(account, have);
    once_let_go(
        account.pace,
        progress,
        "AWS to release what is in the VPC",
        call,
        others,
    )
    .await
}

/// The security groups and subnets in the VPC that aren't the app's, which go before it: nobody but their owners takes them away.
async fn strangers(account: &Account, vpc: &Have) -> Result<Vec<String>, CloudError> {
    let of_vpc = || vec![super::filter("vpc-id", &vpc.id)];
    let groups = account.ec2.describe_security_groups();
    let groups = groups.set_filters(Some(of_vpc())).into_paginator();
    let subnets = account.ec2.describe_subnets();
    let subnets = subnets.set_filters(Some(of_vpc())).into_paginator();
    let groups = all(groups.items().send())
        .await
        .said("ec2", "DescribeSecurityGroups")?;
    let subnets = all(subnets.items().send())
        .await
        .said("ec2", "DescribeSubnets")?;
    let of_app = |tags: &[Tag]| ec2_tags(tags).get(APP_TAG) == vpc.tags.get(APP_TAG);
    // Every VPC has a group of this name, which goes with it.
    let groups = groups
        .iter()
        .filter(|group| group.group_name() != Some("default") && !of_app(group.tags()))
        .map(|group| format!("security group {}", group.group_id().unwrap_or_default()));
    let subnets = subnets
        .iter()
        .filter(|subnet| !of_app(subnet.tags()))
        .map(|subnet| format!("subnet {}", subnet.subnet_id().unwrap_or_default()));
    Ok(groups.chain(subnets).collect())
}
