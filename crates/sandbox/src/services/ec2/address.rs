//! Elastic addresses. Which NAT gateway holds one is derived from the NAT gateways.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, View, done, invalid, missing, need, state, tag};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// An elastic address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) public_ip: String,
}

pub(super) fn allocate(world: &mut World, call: &Call) -> Answer {
    only(call, &["Domain", "TagSpecification", "NetworkBorderGroup"])?;
    if call
        .input
        .text("Domain")
        .is_some_and(|domain| domain != "vpc")
    {
        return Err(invalid(
            "the ecspipe sandbox only has addresses of the domain 'vpc'",
        ));
    }
    if call
        .input
        .text("NetworkBorderGroup")
        .is_some_and(|group| group != call.region)
    {
        return Err(invalid(
            "the ecspipe sandbox only has the region itself as a network border group",
        ));
    }
    let tags = tag::given(call, "elastic-ip")?;
    let have = state(world, call).addresses.len();
    quotas::room(
        world,
        &call.region,
        &quotas::ADDRESSES,
        have,
        "AddressLimitExceeded",
        "The maximum number of addresses has been reached.",
    )?;
    let public_ip = public_ip(world);
    let id = world.id("eipalloc");
    let state_now = state(world, call);
    state_now.addresses.insert(
        id.clone(),
        Address {
            public_ip: public_ip.clone(),
        },
    );
    state_now.tags.insert(id.clone(), tags);
    Ok(Reply::Value(json!({
        "allocationId": id,
        "publicIpv4Pool": "amazon",
        "networkBorderGroup": call.region,
        "domain": "vpc",
        "publicIp": public_ip,
    })))
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "addressesSet",
        ids: Some(("AllocationId", "allocationId")),
        missing: |id| missing("eipalloc-", id),
        filters: &[
            ("allocation-id", "allocationId"),
            ("association-id", "associationId"),
            ("domain", "domain"),
            ("instance-id", "instanceId"),
            ("network-border-group", "networkBorderGroup"),
            ("network-interface-id", "networkInterfaceId"),
            ("network-interface-owner-id", "networkInterfaceOwnerId"),
            ("private-ip-address", "privateIpAddress"),
            ("public-ip", "publicIp"),
        ],
    };
    let view = View::new(world, &call.region);
    let mut rows: Vec<Value> = view
        .state
        .addresses
        .keys()
        .map(|id| render(&view, id))
        .collect();
    let addresses = call.input.texts("PublicIp");
    if let Some(ip) = addresses
        .iter()
        .find(|ip| !rows.iter().any(|row| row.text("publicIp") == Some(ip)))
    {
        return Err(Fault::new(
            "InvalidAddress.NotFound",
            format!("Address '{ip}' not found."),
        ));
    }
    if !addresses.is_empty() {
        rows.retain(|row| addresses.iter().any(|ip| row.text("publicIp") == Some(ip)));
    }
    LISTING.answer_with(call, rows, &["PublicIp"])
}

pub(super) fn describe_attribute(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "addressSet",
        ids: Some(("AllocationId", "allocationId")),
        missing: |id| missing("eipalloc-", id),
        filters: &[],
    };
    // The one attribute is a reverse DNS name, which nobody can have set here.
    let view = View::new(world, &call.region);
    let rows = view.state.addresses.iter();
    let rows = rows.map(|(id, address)| json!({"publicIp": address.public_ip, "allocationId": id}));
    LISTING.answer_with(call, rows.collect(), &["Attribute"])
}

pub(super) fn release(world: &mut World, call: &Call) -> Answer {
    only(call, &["AllocationId", "NetworkBorderGroup"])?;
    let id = need(call, "AllocationId")?;
    let now = world.now;
    let state = state(world, call);
    let address = state
        .addresses
        .get(id)
        .ok_or_else(|| missing("eipalloc-", id))?;
    if state.nats.values().any(|nat| nat.holds(id, now)) {
        let message = format!("Address {} is in use.", address.public_ip);
        return Err(Fault::new("InvalidIPAddress.InUse", message));
    }
    state.addresses.remove(id);
    state.tags.remove(id);
    done()
}

/// A public address that no other has; from a block that AWS owns, so that it looks like one.
pub(crate) fn public_ip(world: &mut World) -> String {
    let digits = world.hex(6);
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_default();
    format!("52.{}.{}.{}", byte(0), byte(2), byte(4))
}

fn render(view: &View<'_>, id: &str) -> Value {
    let address = &view.state.addresses[id];
    let mut value = json!({
        "allocationId": id,
        "domain": "vpc",
        "publicIpv4Pool": "amazon",
        "networkBorderGroup": view.region,
        "publicIp": address.public_ip,
        "tagSet": tag::set(view, id),
    });
    if let Some((_, nat)) = view
        .state
        .nats
        .iter()
        .find(|(_, nat)| nat.holds(id, view.now))
    {
        value["associationId"] = nat.association.clone().into();
        value["networkInterfaceId"] = nat.interface.clone().into();
        value["networkInterfaceOwnerId"] = view.account.into();
        value["privateIpAddress"] = nat.private_ip.clone().into();
    }
    value
}
