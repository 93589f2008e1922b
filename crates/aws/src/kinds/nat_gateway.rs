//! NAT gateways. One that failed, or is being deleted, doesn't exist. Must not allocate addresses.

use aws_sdk_ec2::types::{Filter, NatGateway as Found, NatGatewayState, ResourceType};
use ecspipe_provision::resource::NatGateway;
use ecspipe_provision::{CloudError, Have, Key, Progress, Resource, Tags};

use super::{
    Seen, Update, deleted_meanwhile, ec2_tags, of_tags, retag_ec2, tag_specification, unsaid,
};
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::pace::{GATEWAY, MINUTES};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    let mut filters = view.of_apps();
    filters.push(alive());
    let found = fetch(view, filters).await?;
    Ok(found.iter().map(seen).collect())
}

fn alive() -> Filter {
    Filter::builder()
        .name("state")
        .values("pending")
        .values("available")
        .build()
}

async fn fetch(account: &Account, filters: Vec<Filter>) -> Result<Vec<Found>, CloudError> {
    let items = account
        .ec2
        .describe_nat_gateways()
        .set_filter(Some(filters))
        .into_paginator()
        .items()
        .send();
    all(items).await.said("ec2", "DescribeNatGateways")
}

fn seen(gateway: &Found) -> Seen {
    let address = gateway
        .nat_gateway_addresses()
        .iter()
        .find_map(|address| address.allocation_id());
    let resource = NatGateway {
        subnet: gateway.subnet_id().unwrap_or_default().to_owned(),
        address: address.unwrap_or_default().to_owned(),
        after: Default::default(),
    };
    Seen::new(
        gateway.nat_gateway_id().unwrap_or_default(),
        ec2_tags(gateway.tags()),
        resource,
    )
}

pub(crate) async fn create(
    account: &Account,
    key: &Key,
    want: &NatGateway,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let first = Resource::from(want.clone()).request_token(tags.app(), key);
    let mut token = first.clone();
    make_room(account, tags, progress).await?;
    loop {
        let gateway = make(account, &token, want, tags, progress).await?;
        let id = gateway
            .nat_gateway_id()
            .ok_or_else(|| unsaid("ec2", "CreateNatGateway", "id"))?;
        match gateway.state() {
            Some(NatGatewayState::Available) => {}
            // A token brings back the gateway that it was used for, also when that one has failed or was deleted since.
            Some(
                NatGatewayState::Failed | NatGatewayState::Deleting | NatGatewayState::Deleted,
            ) => {
                token = format!("{first:.40}-{id}");
                continue;
            }
            _ => wait_available(account, id, progress).await?,
        }
        return Ok(id.to_owned());
    }
}

async fn make(
    account: &Account,
    token: &str,
    want: &NatGateway,
    tags: &Tags,
    progress: &Progress,
) -> Result<Found, CloudError> {
    let call = || async {
        let call = account
            .ec2
            .create_nat_gateway()
            .client_token(token)
            .subnet_id(&want.subnet)
            .allocation_id(&want.address)
            .tag_specifications(tag_specification(ResourceType::Natgateway, tags))
            .send()
            .await;
        call.said("ec2", "CreateNatGateway")
    };
    let made = account.pace.settled(progress, call).await?;
    made.nat_gateway()
        .cloned()
        .ok_or_else(|| unsaid("ec2", "CreateNatGateway", "gateway"))
}

/// One that ended `failed` is shown with its address, and one that is being deleted since an earlier run still holds it: both go first.
async fn make_room(account: &Account, tags: &Tags, progress: &Progress) -> Result<(), CloudError> {
    let mut filters = of_tags(tags);
    let going = Filter::builder().name("state");
    filters.push(going.values("failed").values("deleting").build());
    for gateway in fetch(account, filters).await? {
        remove(
            account,
            gateway.nat_gateway_id().unwrap_or_default(),
            progress,
        )
        .await?;
    }
    Ok(())
}

async fn state(account: &Account, id: &str) -> Result<Option<Found>, CloudError> {
    let call = account
        .ec2
        .describe_nat_gateways()
        .nat_gateway_ids(id)
        .send()
        .await;
    let answer = call.said("ec2", "DescribeNatGateways").or_missing()?;
    Ok(answer.and_then(|answer| answer.nat_gateways().first().cloned()))
}

async fn wait_available(
    account: &Account,
    id: &str,
    progress: &Progress,
) -> Result<(), CloudError> {
    let poll = || async {
        let gateway = state(account, id).await?;
        match gateway.as_ref().and_then(Found::state) {
            Some(NatGatewayState::Available) => Ok(Some(())),
            Some(NatGatewayState::Failed) => {
                let why = gateway
                    .as_ref()
                    .and_then(Found::failure_message)
                    .unwrap_or("AWS gives no reason");
                Err(local(
                    "NatGatewayFailed",
                    format!("NAT gateway {id} failed: {why}"),
                )
                .with_hint(
                    "run the command again: it removes the failed gateway and makes another",
                ))
            }
            Some(NatGatewayState::Deleting | NatGatewayState::Deleted) | None => {
                Err(deleted_meanwhile(&format!("NAT gateway {id}")))
            }
            _ => Ok(None),
        }
    };
    account
        .pace
        .until(
            progress,
            "the NAT gateway to become available",
            GATEWAY.asked(),
            poll,
        )
        .await
}

pub(crate) async fn update(account: &Account, update: &Update<'_>) -> Result<(), CloudError> {
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    remove(account, &have.id, progress).await
}

async fn remove(account: &Account, id: &str, progress: &Progress) -> Result<(), CloudError> {
    let call = account
        .ec2
        .delete_nat_gateway()
        .nat_gateway_id(id)
        .send()
        .await;
    call.said("ec2", "DeleteNatGateway").or_missing()?;
    let gone = || async {
        let gateway = state(account, id).await?;
        let deleted =
            gateway.is_none_or(|gateway| gateway.state() == Some(&NatGatewayState::Deleted));
        Ok(deleted.then_some(()))
    };
    account
        .pace
        .until(
            progress,
            "the NAT gateway to be gone",
            MINUTES.asked(),
            gone,
        )
        .await
}
