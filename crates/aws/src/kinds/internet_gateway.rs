//! Internet gateways with their attachment. Must not touch routes.

use aws_sdk_ec2::types::{Filter, ResourceType};
use ecspipe_provision::resource::InternetGateway;
use ecspipe_provision::{CloudError, Have, Kind, Progress, Tags};

use super::{
    Seen, Update, ec2_tags, first_id, of_tags, once_released, retag_ec2, tag_specification,
    unrepeated, unsaid,
};
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    fetch(view, view.of_apps()).await
}

async fn fetch(account: &Account, filters: Vec<Filter>) -> Result<Vec<Seen>, CloudError> {
    let items = account
        .ec2
        .describe_internet_gateways()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    let found = all(items).await.said("ec2", "DescribeInternetGateways")?;
    let seen = found.iter().map(|gateway| {
        let vpc = gateway
            .attachments()
            .first()
            .and_then(|attachment| attachment.vpc_id());
        let resource = InternetGateway {
            vpc: vpc.map(ToOwned::to_owned),
        };
        Seen::new(
            gateway.internet_gateway_id().unwrap_or_default(),
            ec2_tags(gateway.tags()),
            resource,
        )
    });
    Ok(seen.collect())
}

pub(crate) async fn create(
    account: &Account,
    want: &InternetGateway,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .ec2
            .create_internet_gateway()
            .tag_specifications(tag_specification(ResourceType::InternetGateway, tags));
        let made = unrepeated!(aws_sdk_ec2, call)
            .await
            .said("ec2", "CreateInternetGateway")?;
        let id = made
            .internet_gateway()
            .and_then(|gateway| gateway.internet_gateway_id());
        id.map(ToOwned::to_owned)
            .ok_or_else(|| unsaid("ec2", "CreateInternetGateway", "id"))
    };
    let look = || async { fetch(account, of_tags(tags)).await.map(first_id) };
    let id = account.pace.once(make, look).await?;
    attach(account, &id, want, progress).await?;
    Ok(id)
}

async fn attach(
    account: &Account,
    id: &str,
    want: &InternetGateway,
    progress: &Progress,
) -> Result<(), CloudError> {
    let Some(vpc) = &want.vpc else { return Ok(()) };
    let call = || async {
        let call = account
            .ec2
            .attach_internet_gateway()
            .internet_gateway_id(id)
            .vpc_id(vpc)
            .send()
            .await;
        match call.said("ec2", "AttachInternetGateway") {
            Err(error) if error.code == "Resource.AlreadyAssociated" => Ok(()),
            done => done.map(|_| ()),
        }
    };
    account.pace.settled(progress, call).await
}

pub(crate) async fn update(
    account: &Account,
    want: &InternetGateway,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["vpc"]) {
        attach(account, &update.have.id, want, update.progress).await?;
    }
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let ecspipe_provision::Resource::InternetGateway(gateway) = &have.resource else {
        return Err(super::wrong_kind(Kind::InternetGateway));
    };
    if let Some(vpc) = &gateway.vpc {
        let detach = || async {
            let call = account
                .ec2
                .detach_internet_gateway()
                .internet_gateway_id(&have.id)
                .vpc_id(vpc)
                .send()
                .await;
            match call.said("ec2", "DetachInternetGateway") {
                Err(error) if error.code == "Gateway.NotAttached" => Ok(()),
                done => done.map(|_| ()),
            }
        };
        once_released(
            account.pace,
            progress,
            "AWS to release the public addresses",
            detach,
        )
        .await?;
    }
    let call = account
        .ec2
        .delete_internet_gateway()
        .internet_gateway_id(&have.id)
        .send()
        .await;
    call.said("ec2", "DeleteInternetGateway")
        .or_missing()
        .map(|_| ())
}
