//! Subnets. Must not touch their routes.

use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, ResourceType};
use ecspipe_provision::resource::Subnet;
use ecspipe_provision::{CloudError, Have, Progress, Tags};

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
        .describe_subnets()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    let found = all(items).await.said("ec2", "DescribeSubnets")?;
    let seen = found.iter().map(|subnet| {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let resource = Subnet {
            vpc: text(subnet.vpc_id()),
            zone: text(subnet.availability_zone()),
            cidr: text(subnet.cidr_block()),
            public_addresses: subnet.map_public_ip_on_launch().unwrap_or_default(),
        };
        Seen::new(
            subnet.subnet_id().unwrap_or_default(),
            ec2_tags(subnet.tags()),
            resource,
        )
    });
    Ok(seen.collect())
}

pub(crate) async fn create(
    account: &Account,
    want: &Subnet,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .ec2
            .create_subnet()
            .vpc_id(&want.vpc)
            .availability_zone(&want.zone)
            .cidr_block(&want.cidr)
            .tag_specifications(tag_specification(ResourceType::Subnet, tags));
        let made = unrepeated!(aws_sdk_ec2, call)
            .await
            .said("ec2", "CreateSubnet")?;
        let id = made.subnet().and_then(|subnet| subnet.subnet_id());
        id.map(ToOwned::to_owned)
            .ok_or_else(|| unsaid("ec2", "CreateSubnet", "id"))
    };
    let look = || async { fetch(account, of_tags(tags)).await.map(first_id) };
    let id = account
        .pace
        .settled(progress, || account.pace.once(make, look))
        .await?;
    if want.public_addresses {
        let call = || set_public(account, &id, true);
        account.pace.settled(progress, call).await?;
    }
    Ok(id)
}

async fn set_public(account: &Account, id: &str, on: bool) -> Result<(), CloudError> {
    let value = AttributeBooleanValue::builder().value(on).build();
    let call = account
        .ec2
        .modify_subnet_attribute()
        .subnet_id(id)
        .map_public_ip_on_launch(value)
        .send()
        .await;
    call.said("ec2", "ModifySubnetAttribute").map(|_| ())
}

pub(crate) async fn update(
    account: &Account,
    want: &Subnet,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["public_addresses"]) {
        set_public(account, &update.have.id, want.public_addresses).await?;
    }
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        account
            .ec2
            .delete_subnet()
            .subnet_id(&have.id)
            .send()
            .await
            .said("ec2", "DeleteSubnet")
            .map(|_| ())
    };
    once_released(
        account.pace,
        progress,
        "AWS to release the network interfaces in the subnet",
        call,
    )
    .await
}
