//! Internet gateways. Must not know routes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, View, done, invalid, missing, need, state, tag};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Reply};
use crate::world::World;

/// An internet gateway and the VPC that it is attached to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) vpc: Option<String>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(call, &["TagSpecification"])?;
    let tags = tag::given(call, "internet-gateway")?;
    let have = state(world, call).gateways.len();
    quotas::room(
        world,
        &call.region,
        &quotas::GATEWAYS,
        have,
        "InternetGatewayLimitExceeded",
        "The maximum number of internet gateways has been reached.",
    )?;
    let id = world.id("igw");
    let state = state(world, call);
    state.gateways.insert(id.clone(), Gateway::default());
    state.tags.insert(id.clone(), tags);
    Ok(Reply::Value(
        json!({"internetGateway": render(&View::new(world, &call.region), &id)}),
    ))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "internetGatewaySet",
        ids: Some(("InternetGatewayId", "internetGatewayId")),
        missing: |id| missing("igw-", id),
        filters: &[
            ("attachment.state", "attachmentSet.state"),
            ("attachment.vpc-id", "attachmentSet.vpcId"),
            ("internet-gateway-id", "internetGatewayId"),
            ("owner-id", "ownerId"),
        ],
    };
    let view = View::new(world, &call.region);
    LISTING.answer(
        call,
        view.state
            .gateways
            .keys()
            .map(|id| render(&view, id))
            .collect(),
    )
}

pub(super) fn attach(world: &mut World, call: &Call) -> Answer {
    only(call, &["InternetGatewayId", "VpcId"])?;
    let (id, vpc) = (need(call, "InternetGatewayId")?, need(call, "VpcId")?);
    let state = state(world, call);
    let attached = state
        .gateways
        .get(id)
        .ok_or_else(|| missing("igw-", id))?
        .vpc
        .clone();
    state.vpc(vpc)?;
    if let Some(attached) = attached {
        let message = format!("resource {id} is already attached to network {attached}");
        return Err(Fault::new("Resource.AlreadyAssociated", message));
    }
    if state
        .gateways
        .values()
        .any(|gateway| gateway.vpc.as_deref() == Some(vpc))
    {
        return Err(invalid(format!(
            "Network {vpc} already has an internet gateway attached"
        )));
    }
    state.gateways.insert(
        id.to_owned(),
        Gateway {
            vpc: Some(vpc.to_owned()),
        },
    );
    done()
}

pub(super) fn detach(world: &mut World, call: &Call) -> Answer {
    only(call, &["InternetGatewayId", "VpcId"])?;
    let (id, vpc) = (need(call, "InternetGatewayId")?, need(call, "VpcId")?);
    let now = world.now;
    let state = state(world, call);
    state.tidy(now);
    let attached = state
        .gateways
        .get(id)
        .ok_or_else(|| missing("igw-", id))?
        .vpc
        .clone();
    state.vpc(vpc)?;
    if attached.as_deref() != Some(vpc) {
        return Err(Fault::new(
            "Gateway.NotAttached",
            format!("resource {id} is not attached to network {vpc}"),
        ));
    }
    let in_vpc = |subnet: &str| {
        state
            .subnets
            .get(subnet)
            .is_some_and(|subnet| subnet.vpc == vpc)
    };
    if state
        .interfaces
        .values()
        .any(|interface| interface.public.is_some() && in_vpc(&interface.subnet))
    {
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
        );
        return Err(Fault::new("DependencyViolation", message));
    }
    state.gateways.insert(id.to_owned(), Gateway::default());
    done()
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["InternetGatewayId"])?;
    let id = need(call, "InternetGatewayId")?;
    let state = state(world, call);
    let gateway = state.gateways.get(id).ok_or_else(|| missing("igw-", id))?;
    if gateway.vpc.is_some() {
        let message = format!("The internetGateway '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::new("DependencyViolation", message));
    }
    state.gateways.remove(id);
    state.tags.remove(id);
    done()
}

fn render(view: &View<'_>, id: &str) -> Value {
    let attachments: Vec<Value> = view.state.gateways[id]
        .vpc
        .iter()
        .map(|vpc| json!({"state": "available", "vpcId": vpc}))
        .collect();
    json!({
        "attachmentSet": attachments,
        "internetGatewayId": id,
        "ownerId": view.account,
        "tagSet": tag::set(view, id),
    })
}
