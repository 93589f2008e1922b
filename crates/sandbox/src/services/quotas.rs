//! Service Quotas: how much the account may hold in a region. The one source of these numbers: what other services check when
//! they make something, and what they report, comes from here. Must not count what there is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::World;

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "GetAWSDefaultServiceQuota",
    "GetServiceQuota",
    "ListAWSDefaultServiceQuotas",
    "ListServiceQuotas",
    "ListServices",
];

/// A quota that the sandbox keeps.
#[derive(Debug, PartialEq, Eq)]
pub struct Quota {
    /// The code of its service, such as `vpc`.
    pub service: &'static str,
    /// Its own code, such as `L-F678F1CE`.
    pub code: &'static str,
    /// What AWS calls it.
    pub name: &'static str,
    /// AWS's default.
    pub default: u32,
}

const fn quota(
    service: &'static str,
    code: &'static str,
    name: &'static str,
    default: u32,
) -> Quota {
    Quota {
        service,
        code,
        name,
        default,
    }
}

/// Elastic addresses in a region.
pub const ADDRESSES: Quota = quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5);
/// Application load balancers in a region.
pub const BALANCERS: Quota = quota(
    "elasticloadbalancing",
    "L-53DA6B97",
    "Application Load Balancers per Region",
    50,
);
/// Target groups in a region.
pub const TARGET_GROUPS: Quota = quota(
    "elasticloadbalancing",
    "L-B22855CB",
    "Target Groups per Region",
    3000,
);
/// Virtual processors of all Fargate tasks in a region. AWS begins lower with new accounts.
pub const FARGATE: Quota = quota(
    "fargate",
    "L-3032A538",
    "Fargate On-Demand vCPU resource count",
    4000,
);
/// Interface endpoints in a VPC.
pub const ENDPOINTS: Quota = quota("vpc", "L-29B6F2EB", "Interface VPC endpoints per VPC", 50);
/// Subnets in a VPC.
pub const SUBNETS: Quota = quota("vpc", "L-407747CB", "Subnets per VPC", 200);
/// Route tables in a VPC.
pub const ROUTE_TABLES: Quota = quota("vpc", "L-589F43AA", "Route tables per VPC", 200);
/// Internet gateways in a region.
pub const GATEWAYS: Quota = quota("vpc", "L-A4707A72", "Internet gateways per Region", 5);
/// Security groups in a region.
pub const SECURITY_GROUPS: Quota =
    quota("vpc", "L-E79EC296", "VPC security groups per Region", 2500);
/// VPCs in a region.
pub const VPCS: Quota = quota("vpc", "L-F678F1CE", "VPCs per Region", 5);
/// NAT gateways in a zone.
pub const NAT_GATEWAYS: Quota = quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5);

/// All of them, by service and code.
const ALL: [&Quota; 11] = [
    &ADDRESSES,
    &BALANCERS,
    &TARGET_GROUPS,
    &FARGATE,
    &ENDPOINTS,
    &SUBNETS,
    &ROUTE_TABLES,
    &GATEWAYS,
    &SECURITY_GROUPS,
    &VPCS,
    &NAT_GATEWAYS,
];

const SERVICES: [(&str, &str); 4] = [
    ("ec2", "Amazon Elastic Compute Cloud (Amazon EC2)"),
    ("elasticloadbalancing", "Elastic Load Balancing (ELB)"),
    ("fargate", "AWS Fargate"),
    ("vpc", "Amazon Virtual Private Cloud (Amazon VPC)"),
];

/// The service's state in one region: the values that differ from AWS's default, by code. A dial.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    applied: BTreeMap<String, u32>,
}

impl State {
    /// How much there may be.
    pub fn most(&self, quota: &Quota) -> usize {
        let value = self
            .applied
            .get(quota.code)
            .copied()
            .unwrap_or(quota.default);
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    /// Raises or lowers it.
    pub fn set(&mut self, quota: &Quota, value: u32) {
        self.applied.insert(quota.code.to_owned(), value);
    }
}

/// Refuses one more where there are `have` already.
pub(crate) fn room(
    world: &mut World,
    region: &str,
    quota: &Quota,
    have: usize,
    code: &str,
    message: &str,
) -> Result<(), Fault> {
    if have < world.at(region).quotas.most(quota) {
        Ok(())
    } else {
        Err(Fault::new(code, message))
    }
}

/// Which value of a quota is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// The account's.
    Applied,
    /// AWS's.
    Default,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "GetServiceQuota" => get(world, call, Value::Applied),
        "GetAWSDefaultServiceQuota" => get(world, call, Value::Default),
        "ListServiceQuotas" => list(world, call, Value::Applied),
        "ListAWSDefaultServiceQuotas" => list(world, call, Value::Default),
        "ListServices" => services(call),
        _ => Err(Fault::not_implemented(call)),
    }
}

fn get(world: &mut World, call: &Call, value: Value) -> Result<Reply, Fault> {
    only(call, &["ServiceCode", "QuotaCode", "ContextId"])?;
    let (service, code) = (need(call, "ServiceCode")?, need(call, "QuotaCode")?);
    let quota = ALL
        .iter()
        .find(|quota| quota.service == service && quota.code == code)
        .ok_or_else(|| missing("The request failed because the specified quota does not exist."))?;
    Ok(Reply::Value(
        json!({"Quota": render(world, call, quota, value)}),
    ))
}

fn list(world: &mut World, call: &Call, value: Value) -> Result<Reply, Fault> {
    only(
        call,
        &[
            "ServiceCode",
            "QuotaCode",
            "QuotaAppliedAtLevel",
            "MaxResults",
            "NextToken",
        ],
    )?;
    if call
        .input
        .text("QuotaAppliedAtLevel")
        .is_some_and(|level| level == "RESOURCE")
    {
        return Err(illegal(
            "the ecspipe sandbox has no quotas that are applied to a resource",
        ));
    }
    let service = need(call, "ServiceCode")?;
    if !SERVICES.iter().any(|(code, _)| *code == service) {
        return Err(missing(
            "The request failed because the specified service does not exist.",
        ));
    }
    let code = call.input.text("QuotaCode");
    let rows: Vec<(String, Json)> = ALL
        .iter()
        .filter(|quota| quota.service == service && code.is_none_or(|code| code == quota.code))
        .map(|quota| (quota.code.to_owned(), render(world, call, quota, value)))
        .collect();
    listed(call, "Quotas", rows)
}

fn services(call: &Call) -> Result<Reply, Fault> {
    only(call, &["MaxResults", "NextToken"])?;
    let rows = SERVICES.map(|(code, name)| {
        (
            code.to_owned(),
            json!({"ServiceCode": code, "ServiceName": name}),
        )
    });
    listed(call, "Services", rows.into())
}

fn listed(call: &Call, name: &str, mut rows: Vec<(String, Json)>) -> Result<Reply, Fault> {
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    let limit = call.input.int("MaxResults").unwrap_or(100);
    let limit = usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=100).contains(limit))
        .ok_or_else(|| illegal("MaxResults is from 1 to 100"))?;
    let page = page(rows, call.input.text("NextToken"), limit).ok_or_else(|| {
        Fault::new(
            "InvalidPaginationTokenException",
            "An invalid input was provided: NextToken",
        )
    })?;
    let mut answer = json!({ name: page.items });
    if let Some(next) = page.next {
        answer["NextToken"] = next.into();
    }
    Ok(Reply::Value(answer))
}

fn render(world: &mut World, call: &Call, quota: &Quota, value: Value) -> Json {
    let most = match value {
        Value::Default => usize::try_from(quota.default).unwrap_or(usize::MAX),
        Value::Applied => world.at(&call.region).quotas.most(quota),
    };
    let resource = format!("{}/{}", quota.service, quota.code);
    let arn = match value {
        Value::Applied => world.arn("servicequotas", &call.region, &resource),
        // AWS's own have no account.
        Value::Default => format!(
            "arn:{}:servicequotas:{}::{resource}",
            crate::world::partition(&call.region),
            call.region
        ),
    };
    let name = SERVICES
        .iter()
        .find(|(code, _)| *code == quota.service)
        .map(|(_, name)| *name);
    json!({
        "ServiceCode": quota.service,
        "ServiceName": name,
        "QuotaArn": arn,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": most as f64,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
        "QuotaAppliedAtLevel": "ACCOUNT",
    })
}

fn only(call: &Call, known: &[&str]) -> Result<(), Fault> {
    let unknown = call
        .input
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| !known.contains(&name.as_str()));
    match unknown {
        Some((name, _)) => Err(illegal(format!(
            "the ecspipe sandbox does not know the member {name} of {}",
            call.operation
        ))),
        None => Ok(()),
    }
}

fn need<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    let text = call.input.text(name).filter(|text| !text.is_empty());
    text.ok_or_else(|| illegal(format!("Invalid input was provided: {name} is missing")))
}

fn illegal(message: impl Into<String>) -> Fault {
    Fault::new("IllegalArgumentException", message)
}

fn missing(message: &str) -> Fault {
    Fault::new("NoSuchResourceException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{REGION, call, sandbox};

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_what_the_account_has_and_its_default_stays() {
        let sandbox = sandbox();
        sandbox.world().at(REGION).quotas.set(&VPCS, 9);
        let input = json!({"ServiceCode": "vpc", "QuotaCode": "L-F678F1CE"});
        let answer = call(&sandbox, "servicequotas", "GetServiceQuota", input.clone())
            .await
            .unwrap();
        assert_eq!(answer["Quota"]["Value"], 9.0);
        assert_eq!(
            answer["Quota"]["QuotaArn"],
            "arn:aws:servicequotas:eu-central-1:111122223333:vpc/L-F678F1CE"
        );
        let answer = call(
            &sandbox,
            "servicequotas",
            "GetAWSDefaultServiceQuota",
            input,
        )
        .await
        .unwrap();
        assert_eq!(answer["Quota"]["Value"], 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn listings_page() {
        let sandbox = sandbox();
        let mut codes = Vec::new();
        let mut token = Json::Null;
        loop {
            let mut input = json!({"ServiceCode": "vpc", "MaxResults": 3});
            if !token.is_null() {
                input["NextToken"] = token;
            }
            let answer = call(&sandbox, "servicequotas", "ListServiceQuotas", input)
                .await
                .unwrap();
            let page = answer["Quotas"].as_array().unwrap();
            assert!(page.len() <= 3);
            codes.extend(page.iter().map(|quota| quota["QuotaCode"].clone()));
            token = answer["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(codes.len(), 7, "{codes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_not() {
        let sandbox = sandbox();
        for (operation, input, code) in [
            (
                "GetServiceQuota",
                json!({"ServiceCode": "vpc", "QuotaCode": "L-0"}),
                "NoSuchResourceException",
            ),
            (
                "ListServiceQuotas",
                json!({"ServiceCode": "vpcs"}),
                "NoSuchResourceException",
            ),
            ("ListServiceQuotas", json!({}), "IllegalArgumentException"),
            (
                "ListServiceQuotas",
                json!({"ServiceCode": "vpc", "NextToken": "!"}),
                "InvalidPaginationTokenException",
            ),
        ] {
            let answer = call(&sandbox, "servicequotas", operation, input).await;
            assert_eq!(answer, Err((400, code.to_owned())), "{operation}");
        }
    }

    /// Every service that makes something asks here, so a dial turned down is felt at once.
    #[tokio::test(start_paused = true)]
    async fn what_is_made_keeps_to_the_quota() {
        for (quota, service, operation, input, code) in [
            (
                &VPCS,
                "ec2",
                "CreateVpc",
                json!({"CidrBlock": "10.0.0.0/16"}),
                "VpcLimitExceeded",
            ),
            (
                &GATEWAYS,
                "ec2",
                "CreateInternetGateway",
                json!({}),
                "InternetGatewayLimitExceeded",
            ),
            (
                &ADDRESSES,
                "ec2",
                "AllocateAddress",
                json!({}),
                "AddressLimitExceeded",
            ),
        ] {
            let sandbox = sandbox();
            sandbox.world().at(REGION).quotas.set(quota, 1);
            call(&sandbox, service, operation, input.clone())
                .await
                .unwrap();
            let refused = call(&sandbox, service, operation, input).await;
            assert_eq!(refused, Err((400, code.to_owned())), "{operation}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_made_in_a_vpc_keeps_to_the_quota() {
        let sandbox = sandbox();
        let made = call(
            &sandbox,
            "ec2",
            "CreateVpc",
            json!({"CidrBlock": "10.0.0.0/16"}),
        )
        .await
        .unwrap();
        let vpc = made["vpc"]["vpcId"].clone();
        let quotas = [&SUBNETS, &ROUTE_TABLES, &SECURITY_GROUPS, &ENDPOINTS];
        for quota in quotas {
            sandbox.world().at(REGION).quotas.set(quota, 0);
        }
        for (operation, input, code) in [
            (
                "CreateSubnet",
                json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
                "SubnetLimitExceeded",
            ),
            (
                "CreateRouteTable",
                json!({"VpcId": vpc}),
                "RouteTableLimitExceeded",
            ),
            (
                "CreateSecurityGroup",
                json!({"VpcId": vpc, "GroupName": "one", "GroupDescription": "one"}),
                "SecurityGroupLimitExceeded",
            ),
            (
                "CreateVpcEndpoint",
                json!({"VpcId": vpc, "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.eu-central-1.logs"}),
                "VpcEndpointLimitExceeded",
            ),
        ] {
            let refused = call(&sandbox, "ec2", operation, input).await;
            assert_eq!(refused, Err((400, code.to_owned())), "{operation}");
        }
    }
}
