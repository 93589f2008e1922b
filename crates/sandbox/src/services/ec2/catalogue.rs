//! What AWS has and nobody makes: regions, zones, prefix lists, endpoint services, account attributes.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::listing::Listing;
use super::{Answer, Fault, invalid};
use crate::services::query::only;
use crate::services::quotas;
use crate::wire::{Call, Input as _, Reply};
use crate::world::World;

/// Services with a gateway endpoint, and addresses of theirs (any will do: nothing is routed here).
const GATEWAYS: [(&str, [&str; 2]); 2] = [
    ("s3", ["3.5.136.0/22", "52.219.140.0/24"]),
    ("dynamodb", ["52.94.17.0/24", "52.119.188.0/22"]),
];

/// Services with an interface endpoint, as far as an application on ECS could want them.
const INTERFACES: [&str; 30] = [
    "autoscaling",
    "codebuild",
    "codecommit",
    "codedeploy",
    "codepipeline",
    "dynamodb",
    "ec2",
    "ec2messages",
    "ecr.api",
    "ecr.dkr",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "elasticfilesystem",
    "elasticloadbalancing",
    "events",
    "git-codecommit",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "ssmmessages",
    "states",
    "sts",
    "xray",
];

/// The regions that every account has from the start.
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The zones of a region: three, as most have.
pub(super) fn zones(region: &str) -> Vec<String> {
    ["a", "b", "c"]
        .iter()
        .map(|letter| format!("{region}{letter}"))
        .collect()
}

/// A zone's id, such as `euc1-az1` for `eu-central-1a`.
pub(super) fn zone_id(region: &str, zone: &str) -> String {
    let short = |part: &str| match part {
        "north" | "south" | "east" | "west" | "central" | "gov" => part[..1].to_owned(),
        "northeast" => "ne".to_owned(),
        "northwest" => "nw".to_owned(),
        "southeast" => "se".to_owned(),
        "southwest" => "sw".to_owned(),
        other => other.to_owned(),
    };
    let number = zone
        .strip_prefix(region)
        .and_then(|letter| letter.bytes().next())
        .map_or(0, |letter| letter - b'a' + 1);
    format!(
        "{}-az{number}",
        region.split('-').map(short).collect::<String>()
    )
}

/// The prefix list of a service with a gateway endpoint, by the service's full name.
pub(super) fn prefix_list(service: &str) -> String {
    format!("pl-{}", &hex::encode(Sha256::digest(service))[..8])
}

pub(super) fn is_prefix_list(region: &str, id: &str) -> bool {
    GATEWAYS
        .iter()
        .any(|(service, _)| prefix_list(&service_name(region, service)) == id)
}

/// The short name of an endpoint service (`s3` of `com.amazonaws.eu-central-1.s3`), if AWS has it with such endpoints.
pub(super) fn service<'a>(region: &str, name: &'a str, gateway: bool) -> Option<&'a str> {
    let service = name.strip_prefix(service_name(region, "").as_str())?;
    let known = if gateway {
        GATEWAYS.iter().any(|(have, _)| *have == service)
    } else {
        INTERFACES.contains(&service)
    };
    known.then_some(service)
}

pub(super) fn availability_zones(call: &Call) -> Answer {
    only(
        call,
        &["ZoneName", "ZoneId", "AllAvailabilityZones", "Filter"],
    )?;
    const FILTERS: &[(&str, &str)] = &[
        ("group-name", "groupName"),
        ("opt-in-status", "optInStatus"),
        ("region-name", "regionName"),
        ("state", "zoneState"),
        ("zone-id", "zoneId"),
        ("zone-name", "zoneName"),
        ("zone-type", "zoneType"),
    ];
    let bad = |id: &str| invalid(format!("Invalid availability zone: [{id}]"));
    let by_id = call.input.get("ZoneId").is_some();
    let ids = if by_id {
        ("ZoneId", "zoneId")
    } else {
        ("ZoneName", "zoneName")
    };
    let listing = Listing {
        set: "availabilityZoneInfo",
        ids: Some(ids),
        missing: bad,
        filters: FILTERS,
    };
    let zones = zones(&call.region).into_iter().map(|zone| {
        json!({
            "optInStatus": "opt-in-not-required",
            "messageSet": [],
            "regionName": call.region,
            "zoneName": zone,
            "zoneId": zone_id(&call.region, &zone),
            "groupName": format!("{}-zg-1", call.region),
            "networkBorderGroup": call.region,
            "zoneType": "availability-zone",
            "zoneState": "available",
        })
    });
    listing.answer_with(call, zones.collect(), &["AllAvailabilityZones"])
}

pub(super) fn regions(call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "regionInfo",
        ids: Some(("RegionName", "regionName")),
        missing: |id| invalid(format!("Invalid region '{id}'")),
        filters: &[
            ("endpoint", "regionEndpoint"),
            ("opt-in-status", "optInStatus"),
            ("region-name", "regionName"),
        ],
    };
    let mut names = REGIONS.to_vec();
    if !names.contains(&call.region.as_str()) {
        names.push(&call.region);
    }
    let rows = names.into_iter().map(|name| {
        json!({
            "optInStatus": "opt-in-not-required",
            "regionName": name,
            "regionEndpoint": format!("ec2.{name}.amazonaws.com"),
        })
    });
    LISTING.answer_with(call, rows.collect(), &["AllRegions"])
}

pub(super) fn prefix_lists(call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "prefixListSet",
        ids: Some(("PrefixListId", "prefixListId")),
        missing: no_prefix_list,
        filters: &[
            ("prefix-list-id", "prefixListId"),
            ("prefix-list-name", "prefixListName"),
        ],
    };
    let rows = GATEWAYS.iter().map(|(service, cidrs)| {
        let name = service_name(&call.region, service);
        json!({"cidrSet": cidrs, "prefixListId": prefix_list(&name), "prefixListName": name})
    });
    LISTING.answer(call, rows.collect())
}

pub(super) fn managed_prefix_lists(call: &Call) -> Answer {
    const LISTING: Listing = Listing {
        set: "prefixListSet",
        ids: Some(("PrefixListId", "prefixListId")),
        missing: no_prefix_list,
        filters: &[
            ("owner-id", "ownerId"),
            ("prefix-list-id", "prefixListId"),
            ("prefix-list-name", "prefixListName"),
        ],
    };
    let partition = crate::world::partition(&call.region);
    let rows = GATEWAYS.iter().map(|(service, _)| {
        let name = service_name(&call.region, service);
        let id = prefix_list(&name);
        json!({
            "prefixListId": id,
            "addressFamily": "IPv4",
            "state": "create-complete",
            "prefixListArn": format!("arn:{partition}:ec2:{}:aws:prefix-list/{id}", call.region),
            "prefixListName": name,
            "tagSet": [],
            "ownerId": "AWS",
        })
    });
    LISTING.answer(call, rows.collect())
}

pub(super) fn endpoint_services(call: &Call) -> Answer {
    only(call, &["ServiceName", "Filter", "MaxResults", "NextToken"])?;
    const LISTING: Listing = Listing {
        set: "serviceDetailSet",
        ids: Some(("ServiceName", "serviceName")),
        missing: no_service,
        filters: &[
            ("owner", "owner"),
            ("service-name", "serviceName"),
            ("service-type", "serviceType.serviceType"),
        ],
    };
    let gateways = GATEWAYS.iter().map(|(service, _)| (*service, "Gateway"));
    let all = gateways.chain(INTERFACES.iter().map(|service| (*service, "Interface")));
    let rows = all.map(|(service, kind)| {
        let name = service_name(&call.region, service);
        let digits = &hex::encode(Sha256::digest(format!("{name} {kind}")))[..17];
        json!({
            "serviceName": name,
            "serviceId": format!("vpce-svc-{digits}"),
            "serviceType": [{"serviceType": kind}],
            "serviceRegion": call.region,
            "availabilityZoneSet": zones(&call.region),
            "owner": "amazon",
            "baseEndpointDnsNameSet": [format!("{service}.{}.vpce.amazonaws.com", call.region)],
            "vpcEndpointPolicySupported": true,
            "acceptanceRequired": false,
            "managesVpcEndpoints": false,
            "tagSet": [],
            "supportedIpAddressTypeSet": ["ipv4"],
        })
    });
    let Reply::Value(mut answer) = LISTING.answer(call, rows.collect())? else {
        return Err(Fault::not_implemented(call));
    };
    let mut names: Vec<Value> = answer
        .list("serviceDetailSet")
        .iter()
        .filter_map(|row| row.get("serviceName").cloned())
        .collect();
    names.dedup();
    answer["serviceNameSet"] = names.into();
    Ok(Reply::Value(answer))
}

pub(super) fn account_attributes(world: &mut World, call: &Call) -> Answer {
    only(call, &["AttributeName"])?;
    let addresses = &quotas::ADDRESSES;
    let quota = world.at(&call.region).quotas.most(addresses).to_string();
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", quota.clone()),
        ("max-instances", "20".to_owned()),
        ("vpc-max-elastic-ips", quota),
        ("default-vpc", "none".to_owned()),
    ];
    let wanted = call.input.texts("AttributeName");
    if let Some(name) = wanted
        .iter()
        .find(|name| !all.iter().any(|(have, _)| have == name))
    {
        return Err(invalid(format!("Invalid account attribute name: {name}")));
    }
    let rows = all
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|want| want == name));
    let rows = rows.map(|(name, value)| json!({"attributeName": name, "attributeValueSet": [{"attributeValue": value}]}));
    Ok(Reply::Value(
        json!({"accountAttributeSet": rows.collect::<Vec<_>>()}),
    ))
}

/// The fault for an endpoint service that AWS doesn't have.
pub(super) fn no_service(name: &str) -> Fault {
    Fault::new(
        "InvalidServiceName",
        format!("The Vpc Endpoint Service '{name}' does not exist"),
    )
}

fn no_prefix_list(id: &str) -> Fault {
    Fault::new(
        "InvalidPrefixListId.NotFound",
        format!("The prefix list ID '{id}' does not exist"),
    )
}

fn service_name(region: &str, service: &str) -> String {
    let prefix = if region.starts_with("cn-") {
        "cn.com.amazonaws"
    } else {
        "com.amazonaws"
    };
    format!("{prefix}.{region}.{service}")
}
