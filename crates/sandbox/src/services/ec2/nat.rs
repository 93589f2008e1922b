//! NAT gateways. Their state follows from when they were created and deleted.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{Answer, Fault, View, interface, invalid, missing, need, state, tag};
use crate::clock::{Millis, iso};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// AWS takes one to three minutes to create one.
const PENDING: Millis = 90_000;
/// A gateway that can't work shows so after a while.
const FAILING: Millis = 20_000;
/// For some seconds CreateRoute doesn't know a new gateway (AWS.md §3.2).
const UNROUTABLE: Millis = 3_000;
/// AWS takes one to five minutes to delete one.
const DELETING: Millis = 60_000;
/// A deleted or failed one is shown for about an hour.
const SHOWN: Millis = 3_600_000;

/// A NAT gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nat {
    pub(crate) subnet: String,
    pub(crate) vpc: String,
    pub(crate) public: bool,
    pub(crate) allocation: Option<String>,
    pub(crate) public_ip: Option<String>,
    pub(crate) association: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) private_ip: Option<String>,
    pub(crate) created: Millis,
    pub(crate) deleted: Option<Millis>,
    /// Code and message, where it can't work.
    pub(crate) failure: Option<(String, String)>,
    pub(crate) token: Option<String>,
}

impl Nat {
    /// `pending`, `available`, `failed`, `deleting` or `deleted`.
    pub(crate) fn state(&self, now: Millis) -> &'static str {
        match (self.deleted, &self.failure) {
            (Some(at), _) if now >= at + DELETING => "deleted",
            (Some(_), _) => "deleting",
            (None, Some(_)) if now >= self.created + FAILING => "failed",
            (None, None) if now >= self.created + PENDING => "available",
            _ => "pending",
        }
    }

    /// Whether it is listed.
    pub(crate) fn visible(&self, now: Millis) -> bool {
        self.deleted.is_none_or(|at| now < at + DELETING + SHOWN)
            && (self.failure.is_none() || now < self.created + SHOWN)
    }

    /// Whether a route may point at it.
    pub(crate) fn routable(&self, now: Millis) -> bool {
        now >= self.created + UNROUTABLE && matches!(self.state(now), "pending" | "available")
    }

    /// Whether it keeps the address `allocation` busy.
    pub(crate) fn holds(&self, allocation: &str, now: Millis) -> bool {
        self.failure.is_none()
            && self.allocation.as_deref() == Some(allocation)
            && self.state(now) != "deleted"
    }
}

pub(super) fn create(world: &mut World, call: &Call) -> Answer {
    only(
        call,
        &[
            "SubnetId",
            "AllocationId",
            "ClientToken",
            "ConnectivityType",
            "AvailabilityMode",
            "TagSpecification",
        ],
    )?;
    let subnet = need(call, "SubnetId")?;
    let allocation = call.input.text("AllocationId");
    let token = call.input.text("ClientToken");
    if let Some(answer) = repeated(world, call, subnet, allocation, token) {
        return answer;
    }
    let public = public(call, allocation)?;
    let tags = tag::given(call, "natgateway")?;
    let now = world.now;
    let state_now = state(world, call);
    state_now.tidy(now);
    let vpc = state_now.vpc_of(subnet)?;
    let public_ip = match allocation {
        Some(id) => Some(
            state_now
                .addresses
                .get(id)
                .ok_or_else(|| missing("eipalloc-", id))?
                .public_ip
                .clone(),
        ),
        None => None,
    };
    let failure = failure(state_now, &vpc, allocation, public, now);
    let have = in_zone(state_now, subnet, now);
    quotas::room(
        world,
        &call.region,
        &quotas::NAT_GATEWAYS,
        have,
        "NatGatewayLimitExceeded",
        "The maximum number of NAT Gateways has been reached.",
    )?;
    let id = world.id("nat");
    let mut nat = Nat {
        subnet: subnet.to_owned(),
        vpc,
        public,
        allocation: allocation.map(ToOwned::to_owned),
        public_ip,
        association: None,
        interface: None,
        private_ip: None,
        created: now,
        deleted: None,
        failure,
        token: token.map(ToOwned::to_owned),
    };
    if nat.failure.is_none() {
        let description = format!("Interface for NAT Gateway {id}");
        let wanted = interface::Wanted {
            kind: "nat_gateway",
            public: nat.public_ip.clone(),
            description: &description,
        };
        let (interface, address) = interface::attach(world, &call.region, subnet, &[], wanted)?;
        nat.interface = Some(interface);
        nat.private_ip = Some(address);
        nat.association = allocation.map(|_| world.id("eipassoc"));
    }
    let state = state(world, call);
    state.nats.insert(id.clone(), nat);
    state.tags.insert(id.clone(), tags);
    answer_created(world, call, &id)
}

/// The gateway that `answer` tells of ends `failed`: it never had an interface, nor the address.
pub(crate) fn end_failed(world: &mut World, region: &str, answer: &Value, fault: &Fault) {
    let id = answer["natGateway"]["natGatewayId"].as_str();
    let now = world.now;
    let Some(nat) = id.and_then(|id| world.at(region).ec2.nats.get_mut(id)) else {
        return;
    };
    nat.failure = Some((fault.code.clone(), fault.message.clone()));
    nat.association = None;
    nat.private_ip = None;
    if let Some(interface) = nat.interface.take() {
        interface::release_interface(world, region, &interface, now);
    }
}

pub(super) fn describe(world: &mut World, call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "natGatewaySet",
        ids: Some(("NatGatewayId", "natGatewayId")),
        missing: not_found,
        filters: &[
            ("connectivity-type", "connectivityType"),
            ("nat-gateway-id", "natGatewayId"),
            ("state", "state"),
            ("subnet-id", "subnetId"),
            ("vpc-id", "vpcId"),
        ],
    };
    let view = View::new(world, &call.region);
    let shown = view
        .state
        .nats
        .iter()
        .filter(|(_, nat)| nat.visible(view.now));
    LISTING.answer(call, shown.map(|(id, _)| render(&view, id)).collect())
}

pub(super) fn delete(world: &mut World, call: &Call) -> Answer {
    only(call, &["NatGatewayId"])?;
    let id = need(call, "NatGatewayId")?;
    let now = world.now;
    let nats = &mut state(world, call).nats;
    let nat = nats
        .get_mut(id)
        .filter(|nat| nat.visible(now))
        .ok_or_else(|| not_found(id))?;
    if nat.deleted.is_none() {
        nat.deleted = Some(now);
        if let Some(interface) = nat.interface.clone() {
            interface::release_interface(world, &call.region, &interface, now + DELETING);
        }
    }
    Ok(Reply::Value(json!({"natGatewayId": id})))
}

/// The answer to a client token that was used before.
fn repeated(
    world: &mut World,
    call: &Call,
    subnet: &str,
    allocation: Option<&str>,
    token: Option<&str>,
) -> Option<Answer> {
    let token = token?;
    let nats = &state(world, call).nats;
    let (id, nat) = nats
        .iter()
        .find(|(_, nat)| nat.token.as_deref() == Some(token))?;
    if nat.subnet != subnet || nat.allocation.as_deref() != allocation {
        let message = format!("Client token {token} was used before with other parameters.");
        return Some(Err(Fault::new("IdempotentParameterMismatch", message)));
    }
    let id = id.clone();
    Some(answer_created(world, call, &id))
}

fn answer_created(world: &mut World, call: &Call, id: &str) -> Answer {
    let gateway = render(&View::new(world, &call.region), id);
    Ok(Reply::Value(
        json!({"clientToken": call.input.text("ClientToken"), "natGateway": gateway}),
    ))
}

fn public(call: &Call, allocation: Option<&str>) -> Result<bool, Fault> {
    if call
        .input
        .text("AvailabilityMode")
        .is_some_and(|mode| mode != "zonal")
    {
        return Err(invalid(
            "the ecspipe sandbox only has NAT gateways of the availability mode 'zonal'",
        ));
    }
    match (
        call.input.text("ConnectivityType").unwrap_or("public"),
        allocation,
    ) {
        ("public", Some(_)) => Ok(true),
        ("public", None) => need(call, "AllocationId").map(|_| true),
        ("private", None) => Ok(false),
        ("private", Some(_)) => Err(Fault::new(
            "InvalidParameterCombination",
            "AllocationId cannot be used with a private NAT gateway",
        )),
        (other, _) => Err(invalid(format!(
            "Value ({other}) for parameter connectivityType is invalid."
        ))),
    }
}

/// What AWS only finds out after it has answered: it shows in the gateway's state.
fn failure(
    state: &super::State,
    vpc: &str,
    allocation: Option<&str>,
    public: bool,
    now: Millis,
) -> Option<(String, String)> {
    let held = |id: &str| state.nats.values().any(|nat| nat.holds(id, now));
    if let Some(id) = allocation.filter(|id| held(id)) {
        let message = format!("Elastic IP address [{id}] is already associated");
        return Some(("Resource.AlreadyAssociated".to_owned(), message));
    }
    let attached = state
        .gateways
        .values()
        .any(|gateway| gateway.vpc.as_deref() == Some(vpc));
    (public && !attached).then(|| {
        (
            "Gateway.NotAttached".to_owned(),
            format!("Network {vpc} has no Internet gateway attached"),
        )
    })
}

/// The gateways in the zone of `subnet` that count: pending, available and deleting ones.
fn in_zone(state: &super::State, subnet: &str, now: Millis) -> usize {
    let zone = |id: &str| state.subnets.get(id).map(|subnet| subnet.zone.as_str());
    state
        .nats
        .values()
        .filter(|nat| !matches!(nat.state(now), "failed" | "deleted"))
        .filter(|nat| zone(&nat.subnet) == zone(subnet))
        .count()
}

fn not_found(id: &str) -> Fault {
    Fault::new(
        "NatGatewayNotFound",
        format!("The Nat Gateway {id} was not found"),
    )
}

fn render(view: &View<'_>, id: &str) -> Value {
    let nat = &view.state.nats[id];
    let state = nat.state(view.now);
    let settled = !matches!(state, "pending");
    let address = json!({
        "allocationId": nat.allocation,
        "networkInterfaceId": nat.interface,
        "privateIp": nat.private_ip,
        "publicIp": nat.public_ip,
        "associationId": nat.association,
        "isPrimary": true,
        "status": if settled { "succeeded" } else { "associating" },
    });
    let addresses = if nat.failure.is_some() {
        json!([{"allocationId": nat.allocation, "isPrimary": true, "status": "failed"}])
    } else {
        json!([address])
    };
    let failure = nat.failure.as_ref().filter(|_| state == "failed");
    json!({
        "createTime": iso(nat.created),
        "deleteTime": nat.deleted.map(iso),
        "failureCode": failure.map(|failure| &failure.0),
        "failureMessage": failure.map(|failure| &failure.1),
        "natGatewayAddressSet": addresses,
        "natGatewayId": id,
        "state": state,
        "subnetId": nat.subnet,
        "vpcId": nat.vpc,
        "tagSet": tag::set(view, id),
        "connectivityType": if nat.public { "public" } else { "private" },
    })
}
