//! VPC endpoints. One that is being deleted doesn't exist. Must not touch routes: a gateway endpoint sets its own.

use aws_sdk_ec2::types::{Filter, ResourceType, VpcEndpoint as Found, VpcEndpointType};
use ecspipe_provision::resource::{Endpoint, EndpointType};
use ecspipe_provision::{CloudError, Have, Key, Kind, Progress, Resource, Tags};

use super::{Seen, Update, ec2_tags, retag_ec2, tag_specification, unsaid};
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::pace::MINUTES;
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    let mut filters = view.of_apps();
    filters.push(
        Filter::builder()
            .name("vpc-endpoint-state")
            .values("pending")
            .values("available")
            .values("pendingAcceptance")
            .build(),
    );
    let items = view
        .ec2
        .describe_vpc_endpoints()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    let found = all(items).await.said("ec2", "DescribeVpcEndpoints")?;
    Ok(found.iter().map(seen).collect())
}

fn seen(endpoint: &Found) -> Seen {
    let interface = endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Interface);
    let set = |ids: &[String]| ids.iter().cloned().collect();
    let groups = endpoint
        .groups()
        .iter()
        .filter_map(|group| group.group_id());
    let resource = Endpoint {
        vpc: endpoint.vpc_id().unwrap_or_default().to_owned(),
        service: endpoint.service_name().unwrap_or_default().to_owned(),
        endpoint_type: if interface {
            EndpointType::Interface
        } else {
            EndpointType::Gateway
        },
        subnets: set(endpoint.subnet_ids()),
        security_groups: groups.map(ToOwned::to_owned).collect(),
        route_tables: set(endpoint.route_table_ids()),
        private_dns: interface && endpoint.private_dns_enabled().unwrap_or_default(),
    };
    Seen::new(
        endpoint.vpc_endpoint_id().unwrap_or_default(),
        ec2_tags(endpoint.tags()),
        resource,
    )
}

pub(crate) async fn create(
    account: &Account,
    key: &Key,
    want: &Endpoint,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let token = Resource::from(want.clone()).request_token(tags.app(), key);
    let list = |ids: &std::collections::BTreeSet<String>| {
        (!ids.is_empty()).then(|| ids.iter().cloned().collect::<Vec<_>>())
    };
    let make = || async {
        let call = account
            .ec2
            .create_vpc_endpoint()
            .client_token(&token)
            .vpc_id(&want.vpc)
            .service_name(&want.service)
            .set_subnet_ids(list(&want.subnets))
            .set_security_group_ids(list(&want.security_groups))
            .set_route_table_ids(list(&want.route_tables))
            .tag_specifications(tag_specification(ResourceType::VpcEndpoint, tags));
        let call = match want.endpoint_type {
            EndpointType::Interface => call
                .vpc_endpoint_type(VpcEndpointType::Interface)
                .private_dns_enabled(want.private_dns),
            EndpointType::Gateway => call.vpc_endpoint_type(VpcEndpointType::Gateway),
        };
        call.send().await.said("ec2", "CreateVpcEndpoint")
    };
    let made = account.pace.settled(progress, make).await?;
    let id = made
        .vpc_endpoint()
        .and_then(|endpoint| endpoint.vpc_endpoint_id());
    let id = id
        .ok_or_else(|| unsaid("ec2", "CreateVpcEndpoint", "id"))?
        .to_owned();
    let available = || async {
        let endpoint = state(account, &id).await?;
        match endpoint.as_ref().map(state_of).as_deref() {
            Some("available") => Ok(Some(())),
            Some("failed" | "rejected" | "expired") => Err(local(
                "EndpointFailed",
                format!("VPC endpoint {id} for {} failed", want.service),
            )
            .with_hint("delete it in the console, then run the command again")),
            _ => Ok(None),
        }
    };
    let what = format!("the endpoint of {} to become available", want.service);
    account
        .pace
        .until(progress, &what, MINUTES, available)
        .await?;
    Ok(id)
}

async fn state(account: &Account, id: &str) -> Result<Option<Found>, CloudError> {
    let call = account
        .ec2
        .describe_vpc_endpoints()
        .vpc_endpoint_ids(id)
        .send()
        .await;
    let answer = call.said("ec2", "DescribeVpcEndpoints").or_missing()?;
    Ok(answer.and_then(|answer| answer.vpc_endpoints().first().cloned()))
}

/// The model says `Available`, AWS answers `available`.
fn state_of(endpoint: &Found) -> String {
    let state = endpoint.state().map(|state| state.as_str());
    state.unwrap_or_default().to_ascii_lowercase()
}

pub(crate) async fn update(
    account: &Account,
    want: &Endpoint,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Resource::Endpoint(have) = &update.have.resource else {
        return Err(super::wrong_kind(Kind::Endpoint));
    };
    if update.touches(&["subnets", "security_groups", "route_tables", "private_dns"]) {
        let more = |have: &std::collections::BTreeSet<String>,
                    want: &std::collections::BTreeSet<String>| {
            let ids: Vec<String> = want.difference(have).cloned().collect();
            (!ids.is_empty()).then_some(ids)
        };
        let call = account
            .ec2
            .modify_vpc_endpoint()
            .vpc_endpoint_id(&update.have.id)
            .set_add_subnet_ids(more(&have.subnets, &want.subnets))
            .set_remove_subnet_ids(more(&want.subnets, &have.subnets))
            .set_add_security_group_ids(more(&have.security_groups, &want.security_groups))
            .set_remove_security_group_ids(more(&want.security_groups, &have.security_groups))
            .set_add_route_table_ids(more(&have.route_tables, &want.route_tables))
            .set_remove_route_table_ids(more(&want.route_tables, &have.route_tables))
            .set_private_dns_enabled(
                (have.private_dns != want.private_dns).then_some(want.private_dns),
            );
        call.send().await.said("ec2", "ModifyVpcEndpoint")?;
    }
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = account
        .ec2
        .delete_vpc_endpoints()
        .vpc_endpoint_ids(&have.id)
        .send()
        .await;
    let answer = call.said("ec2", "DeleteVpcEndpoints").or_missing()?;
    // Failures come with status 200, one an endpoint.
    let refused = answer
        .as_ref()
        .and_then(|answer| answer.unsuccessful().first())
        .and_then(|item| item.error());
    if let Some(error) =
        refused.filter(|error| error.code().is_none_or(|code| !code.ends_with(".NotFound")))
    {
        let mut refusal = local(
            error.code().unwrap_or("Unsuccessful"),
            error.message().unwrap_or_default(),
        );
        refusal.service = "ec2".to_owned();
        refusal.operation = "DeleteVpcEndpoints".to_owned();
        return Err(refusal);
    }
    let gone = || async {
        let endpoint = state(account, &have.id).await?;
        Ok(endpoint
            .is_none_or(|endpoint| state_of(&endpoint) == "deleted")
            .then_some(()))
    };
    account
        .pace
        .until(progress, "the VPC endpoint to be gone", MINUTES, gone)
        .await
}
