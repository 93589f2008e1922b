//! Route tables with their routes and associations. The `local` route and those of gateway endpoints are AWS's own.
//! Must not touch the main route table of a VPC.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Filter, ResourceType, Route as FoundRoute, RouteTable as Found};
use ecspipe_provision::resource::{Route, RouteTable};
use ecspipe_provision::{CloudError, CloudErrorKind, Have, Key, Kind, Progress, Resource, Tags};

use super::{Seen, Update, ec2_tags, once_released, retag_ec2, tag_specification, unsaid};
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    let found = fetch(view, view.of_apps()).await?;
    Ok(found.iter().map(seen).collect())
}

async fn fetch(account: &Account, filters: Vec<Filter>) -> Result<Vec<Found>, CloudError> {
    let items = account
        .ec2
        .describe_route_tables()
        .set_filters(Some(filters))
        .into_paginator()
        .items()
        .send();
    all(items).await.said("ec2", "DescribeRouteTables")
}

fn seen(table: &Found) -> Seen {
    let subnets = table
        .associations()
        .iter()
        .filter_map(|association| association.subnet_id());
    let resource = RouteTable {
        vpc: table.vpc_id().unwrap_or_default().to_owned(),
        routes: table.routes().iter().filter_map(route).collect(),
        subnets: subnets.map(ToOwned::to_owned).collect(),
    };
    let seen = Seen::new(
        table.route_table_id().unwrap_or_default(),
        ec2_tags(table.tags()),
        resource,
    );
    let associations = table.associations().iter().filter_map(|association| {
        let id = association.route_table_association_id()?;
        association.subnet_id().map(|subnet| (subnet, id))
    });
    // Kept for the deletion, which needs their ids.
    associations.fold(seen, |seen, (subnet, id)| {
        seen.with_attribute(&format!("{ASSOCIATION}{subnet}"), id)
    })
}

/// The attributes that hold the ids of a table's associations by subnet begin with this.
const ASSOCIATION: &str = "association:";

fn route(route: &FoundRoute) -> Option<Route> {
    let destination = route
        .destination_cidr_block()
        .or(route.destination_ipv6_cidr_block())?;
    let targets = [
        route.nat_gateway_id(),
        route.gateway_id(),
        route.network_interface_id(),
        route.transit_gateway_id(),
        route.vpc_peering_connection_id(),
    ];
    let target = targets.into_iter().flatten().next()?;
    let ours = target != "local" && !target.starts_with("vpce-");
    ours.then(|| Route {
        destination: destination.to_owned(),
        target: target.to_owned(),
    })
}

pub(crate) async fn create(
    account: &Account,
    key: &Key,
    want: &RouteTable,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let token = Resource::from(want.clone()).request_token(tags.app(), key);
    let make = || async {
        let call = account
            .ec2
            .create_route_table()
            .client_token(&token)
            .vpc_id(&want.vpc)
            .tag_specifications(tag_specification(ResourceType::RouteTable, tags))
            .send()
            .await;
        call.said("ec2", "CreateRouteTable")
    };
    let made = account.pace.settled(progress, make).await?;
    let id = made.route_table().and_then(|table| table.route_table_id());
    let id = id.ok_or_else(|| unsaid("ec2", "CreateRouteTable", "id"))?;
    set_routes(account, id, &BTreeSet::new(), &want.routes, progress).await?;
    for subnet in &want.subnets {
        associate(account, id, subnet, progress).await?;
    }
    Ok(id.to_owned())
}

/// New routes are added and moved ones replaced before old ones go.
async fn set_routes(
    account: &Account,
    id: &str,
    have: &BTreeSet<Route>,
    want: &BTreeSet<Route>,
    progress: &Progress,
) -> Result<(), CloudError> {
    for route in want.difference(have) {
        let known = have
            .iter()
            .any(|other| other.destination == route.destination);
        let call = || async {
            if known {
                replace_route(account, id, route).await
            } else {
                add_route(account, id, route).await
            }
        };
        account.pace.settled(progress, call).await?;
    }
    for route in have.difference(want) {
        if want
            .iter()
            .any(|other| other.destination == route.destination)
        {
            continue;
        }
        let call = account
            .ec2
            .delete_route()
            .route_table_id(id)
            .destination_cidr_block(&route.destination)
            .send()
            .await;
        call.said("ec2", "DeleteRoute").or_missing()?;
    }
    Ok(())
}

async fn add_route(account: &Account, id: &str, route: &Route) -> Result<(), CloudError> {
    let call = account
        .ec2
        .create_route()
        .route_table_id(id)
        .destination_cidr_block(&route.destination);
    let call = if route.target.starts_with("nat-") {
        call.nat_gateway_id(&route.target)
    } else {
        call.gateway_id(&route.target)
    };
    match call.send().await.said("ec2", "CreateRoute") {
        Err(error) if error.code == "RouteAlreadyExists" => replace_route(account, id, route).await,
        done => done.map(|_| ()),
    }
}

async fn replace_route(account: &Account, id: &str, route: &Route) -> Result<(), CloudError> {
    let call = account
        .ec2
        .replace_route()
        .route_table_id(id)
        .destination_cidr_block(&route.destination);
    let call = if route.target.starts_with("nat-") {
        call.nat_gateway_id(&route.target)
    } else {
        call.gateway_id(&route.target)
    };
    call.send().await.said("ec2", "ReplaceRoute").map(|_| ())
}

/// Associates a subnet; one that hangs on another table is moved over without a gap.
async fn associate(
    account: &Account,
    id: &str,
    subnet: &str,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        match hang(account, id, subnet).await {
            Err(error) if error.code == "Resource.AlreadyAssociated" => {
                match move_over(account, id, subnet).await {
                    // The other table has let it go, or is gone, by now.
                    Err(error) if error.kind == CloudErrorKind::NotFound => {
                        hang(account, id, subnet).await
                    }
                    done => done,
                }
            }
            done => done,
        }
    };
    account.pace.settled(progress, call).await
}

async fn hang(account: &Account, id: &str, subnet: &str) -> Result<(), CloudError> {
    let call = account
        .ec2
        .associate_route_table()
        .route_table_id(id)
        .subnet_id(subnet)
        .send()
        .await;
    call.said("ec2", "AssociateRouteTable").map(|_| ())
}

async fn move_over(account: &Account, id: &str, subnet: &str) -> Result<(), CloudError> {
    for table in fetch(
        account,
        vec![super::filter("association.subnet-id", subnet)],
    )
    .await?
    {
        if table.route_table_id() == Some(id) {
            continue;
        }
        for association in table
            .associations()
            .iter()
            .filter(|association| association.subnet_id() == Some(subnet))
        {
            let association = association.route_table_association_id().unwrap_or_default();
            let call = account
                .ec2
                .replace_route_table_association()
                .association_id(association)
                .route_table_id(id)
                .send()
                .await;
            call.said("ec2", "ReplaceRouteTableAssociation")?;
        }
    }
    Ok(())
}

async fn disassociate(
    account: &Account,
    id: &str,
    keep: &BTreeSet<String>,
) -> Result<(), CloudError> {
    let call = account
        .ec2
        .describe_route_tables()
        .route_table_ids(id)
        .send()
        .await;
    let Some(answer) = call.said("ec2", "DescribeRouteTables").or_missing()? else {
        return Ok(());
    };
    let associations = answer
        .route_tables()
        .iter()
        .flat_map(|table| table.associations());
    for association in associations {
        if association
            .subnet_id()
            .is_some_and(|subnet| !keep.contains(subnet))
        {
            let association = association.route_table_association_id().unwrap_or_default();
            cut(account, association).await?;
        }
    }
    Ok(())
}

async fn cut(account: &Account, association: &str) -> Result<(), CloudError> {
    let call = account
        .ec2
        .disassociate_route_table()
        .association_id(association)
        .send()
        .await;
    call.said("ec2", "DisassociateRouteTable")
        .or_missing()
        .map(|_| ())
}

pub(crate) async fn update(
    account: &Account,
    want: &RouteTable,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Resource::RouteTable(have) = &update.have.resource else {
        return Err(super::wrong_kind(Kind::RouteTable));
    };
    let id = &update.have.id;
    if update.touches(&["routes"]) {
        set_routes(account, id, &have.routes, &want.routes, update.progress).await?;
    }
    if update.touches(&["subnets"]) {
        for subnet in want.subnets.difference(&have.subnets) {
            associate(account, id, subnet, update.progress).await?;
        }
        disassociate(account, id, &want.subnets).await?;
    }
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let known = have.attributes.iter();
    for (_, association) in known.filter(|(name, _)| name.starts_with(ASSOCIATION)) {
        cut(account, association).await?;
    }
    let call = || async {
        let call = account
            .ec2
            .delete_route_table()
            .route_table_id(&have.id)
            .send()
            .await;
        match call.said("ec2", "DeleteRouteTable") {
            // Associated with something since it was listed.
            Err(error) if error.code == "DependencyViolation" => {
                disassociate(account, &have.id, &BTreeSet::new()).await?;
                Err(error)
            }
            done => done.map(|_| ()),
        }
    };
    once_released(
        account.pace,
        progress,
        "AWS to release the route table",
        call,
    )
    .await
}
