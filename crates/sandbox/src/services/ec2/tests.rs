//! EC2 over its wire, on virtual time.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::Sandbox;
use crate::testing::{REGION, call, pass, sandbox};
use crate::wire::xml::many;

/// An EC2 operation's answer, or the code of its fault.
async fn ec2(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, String> {
    call(sandbox, "ec2", operation, input)
        .await
        .map_err(|(_, code)| code)
}

/// The items of a set in an answer.
async fn list(sandbox: &Sandbox, operation: &str, set: &str, input: Value) -> Vec<Value> {
    let answer = ec2(sandbox, operation, input).await.unwrap();
    many(&answer[set], "item").into_iter().cloned().collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn refused(sandbox: &Sandbox, operation: &str, input: Value, code: &str) {
    assert_eq!(
        ec2(sandbox, operation, input).await.unwrap_err(),
        code,
        "{operation}"
    );
}

/// A VPC with an attached internet gateway and a subnet; their ids.
async fn network(sandbox: &Sandbox) -> (String, String, String) {
    let vpc = ec2(sandbox, "CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}))
        .await
        .unwrap();
    let vpc = text(&vpc["vpc"]["vpcId"]);
    let gateway = ec2(sandbox, "CreateInternetGateway", json!({}))
        .await
        .unwrap();
    let gateway = text(&gateway["internetGateway"]["internetGatewayId"]);
    let attached = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    ec2(sandbox, "AttachInternetGateway", attached)
        .await
        .unwrap();
    let subnet = ec2(
        sandbox,
        "CreateSubnet",
        json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
    )
    .await
    .unwrap();
    (vpc, gateway, text(&subnet["subnet"]["subnetId"]))
}

async fn address(sandbox: &Sandbox) -> String {
    text(
        &ec2(sandbox, "AllocateAddress", json!({"Domain": "vpc"}))
            .await
            .unwrap()["allocationId"],
    )
}

async fn nat_state(sandbox: &Sandbox, nat: &str) -> String {
    let nats = list(
        sandbox,
        "DescribeNatGateways",
        "natGatewaySet",
        json!({"NatGatewayId": [nat]}),
    )
    .await;
    text(&nats[0]["state"])
}

#[tokio::test]
async fn every_listed_operation_is_there() {
    let sandbox = sandbox();
    for operation in super::OPERATIONS {
        let answer = call(&sandbox, "ec2", operation, json!({})).await;
        assert_ne!(
            answer.err().map(|(status, _)| status),
            Some(501),
            "{operation}"
        );
    }
    assert_eq!(
        call(&sandbox, "ec2", "RunInstances", json!({}))
            .await
            .unwrap_err()
            .0,
        501
    );
}

#[tokio::test]
async fn a_vpc_comes_with_group_table_and_acl_and_takes_them_along() {
    let sandbox = sandbox();
    let vpc = ec2(&sandbox, "CreateVpc", json!({"CidrBlock": "10.1.2.3/16"}))
        .await
        .unwrap();
    assert_eq!(vpc["vpc"]["cidrBlock"], "10.1.0.0/16");
    let of = json!({"Filter": [{"Name": "vpc-id", "Value": [vpc["vpc"]["vpcId"]]}]});
    let groups = list(
        &sandbox,
        "DescribeSecurityGroups",
        "securityGroupInfo",
        of.clone(),
    )
    .await;
    assert_eq!(groups[0]["groupName"], "default");
    assert_eq!(
        groups[0]["ipPermissions"]["item"]["groups"]["item"]["groupId"],
        groups[0]["groupId"]
    );
    let tables = list(&sandbox, "DescribeRouteTables", "routeTableSet", of.clone()).await;
    assert_eq!(tables[0]["associationSet"]["item"]["main"], "true");
    assert_eq!(tables[0]["routeSet"]["item"]["gatewayId"], "local");
    assert_eq!(
        list(&sandbox, "DescribeNetworkAcls", "networkAclSet", of)
            .await
            .len(),
        1
    );
    ec2(&sandbox, "DeleteVpc", json!({"VpcId": vpc["vpc"]["vpcId"]}))
        .await
        .unwrap();
    assert_eq!(
        sandbox.world().at(REGION).ec2.alive(i64::MAX),
        Vec::<String>::new()
    );
    assert!(sandbox.world().at(REGION).ec2.rules.is_empty());
}

#[tokio::test]
async fn networks_are_checked() {
    let sandbox = sandbox();
    let (vpc, _, _) = network(&sandbox).await;
    refused(
        &sandbox,
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/8"}),
        "InvalidVpc.Range",
    )
    .await;
    refused(
        &sandbox,
        "CreateVpc",
        json!({"CidrBlock": "ten"}),
        "InvalidParameterValue",
    )
    .await;
    refused(&sandbox, "CreateVpc", json!({}), "MissingParameter").await;
    let subnet = |cidr: &str| json!({"VpcId": vpc, "CidrBlock": cidr});
    refused(
        &sandbox,
        "CreateSubnet",
        subnet("10.0.0.128/25"),
        "InvalidSubnet.Conflict",
    )
    .await;
    refused(
        &sandbox,
        "CreateSubnet",
        subnet("10.0.0.0/20"),
        "InvalidSubnet.Conflict",
    )
    .await;
    refused(
        &sandbox,
        "CreateSubnet",
        subnet("10.1.0.0/24"),
        "InvalidSubnet.Range",
    )
    .await;
    let elsewhere =
        json!({"VpcId": vpc, "CidrBlock": "10.0.9.0/24", "AvailabilityZone": "eu-west-1a"});
    refused(&sandbox, "CreateSubnet", elsewhere, "InvalidParameterValue").await;
    refused(
        &sandbox,
        "DeleteVpc",
        json!({"VpcId": vpc}),
        "DependencyViolation",
    )
    .await;
    refused(
        &sandbox,
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16", "Ipv6Pool": "x"}),
        "NotImplemented",
    )
    .await;
    refused(
        &sandbox,
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16", "DryRun": true}),
        "DryRunOperation",
    )
    .await;
    refused(
        &sandbox,
        "CreateVpc",
        json!({"CidrBlock": "ten", "DryRun": true}),
        "InvalidParameterValue",
    )
    .await;
    assert_eq!(
        list(&sandbox, "DescribeVpcs", "vpcSet", json!({}))
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn listings_filter_and_page() {
    let sandbox = sandbox();
    let (vpc, _, _) = network(&sandbox).await;
    for number in 1..=6 {
        let tags = json!([{"ResourceType": "subnet", "Tag": [{"Key": "n", "Value": format!("v{number}")}]}]);
        let subnet = json!({"VpcId": vpc, "CidrBlock": format!("10.0.{number}.0/24"), "TagSpecification": tags});
        ec2(&sandbox, "CreateSubnet", subnet).await.unwrap();
    }
    let subnets = async |filter: &str, values: Value| {
        let input = json!({"Filter": [{"Name": filter, "Value": values}]});
        list(&sandbox, "DescribeSubnets", "subnetSet", input)
            .await
            .len()
    };
    assert_eq!(subnets("tag:n", json!(["v1", "v2"])).await, 2);
    assert_eq!(subnets("tag:n", json!(["v*"])).await, 6);
    assert_eq!(subnets("tag-key", json!(["n"])).await, 6);
    assert_eq!(subnets("cidr-block", json!(["10.0.3.0/24"])).await, 1);
    assert_eq!(subnets("vpc-id", json!(["vpc-0"])).await, 0);
    let unknown = json!({"Filter": [{"Name": "colour", "Value": ["red"]}]});
    refused(
        &sandbox,
        "DescribeSubnets",
        unknown,
        "InvalidParameterValue",
    )
    .await;
    refused(
        &sandbox,
        "DescribeSubnets",
        json!({"SubnetId": ["subnet-1"]}),
        "InvalidSubnetID.NotFound",
    )
    .await;
    let first = ec2(&sandbox, "DescribeSubnets", json!({"MaxResults": 5}))
        .await
        .unwrap();
    assert_eq!(many(&first["subnetSet"], "item").len(), 5);
    let rest = json!({"MaxResults": 5, "NextToken": first["nextToken"]});
    let rest = ec2(&sandbox, "DescribeSubnets", rest).await.unwrap();
    assert_eq!(many(&rest["subnetSet"], "item").len(), 2);
    assert_eq!(rest.get("nextToken"), None);
}

#[tokio::test(start_paused = true)]
async fn a_nat_gateway_takes_its_time_and_keeps_its_address() {
    let sandbox = sandbox();
    let (vpc, gateway, subnet) = network(&sandbox).await;
    let allocation = address(&sandbox).await;
    let wanted = json!({"SubnetId": subnet, "AllocationId": allocation, "ClientToken": "t"});
    let nat = ec2(&sandbox, "CreateNatGateway", wanted.clone())
        .await
        .unwrap();
    let nat = text(&nat["natGateway"]["natGatewayId"]);
    let again = ec2(&sandbox, "CreateNatGateway", wanted).await.unwrap();
    assert_eq!(again["natGateway"]["natGatewayId"], nat.as_str());
    let other = json!({"SubnetId": subnet, "ConnectivityType": "private", "ClientToken": "t"});
    refused(
        &sandbox,
        "CreateNatGateway",
        other,
        "IdempotentParameterMismatch",
    )
    .await;

    let table = ec2(&sandbox, "CreateRouteTable", json!({"VpcId": vpc}))
        .await
        .unwrap();
    let table = text(&table["routeTable"]["routeTableId"]);
    let route =
        json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat});
    refused(
        &sandbox,
        "CreateRoute",
        route.clone(),
        "InvalidNatGatewayID.NotFound",
    )
    .await;
    pass(89).await;
    assert_eq!(nat_state(&sandbox, &nat).await, "pending");
    pass(1).await;
    assert_eq!(nat_state(&sandbox, &nat).await, "available");
    ec2(&sandbox, "CreateRoute", route).await.unwrap();

    ec2(&sandbox, "DeleteNatGateway", json!({"NatGatewayId": nat}))
        .await
        .unwrap();
    assert_eq!(nat_state(&sandbox, &nat).await, "deleting");
    let tables = list(
        &sandbox,
        "DescribeRouteTables",
        "routeTableSet",
        json!({"RouteTableId": [table]}),
    )
    .await;
    assert_eq!(tables[0]["routeSet"]["item"][1]["state"], "blackhole");
    let release = json!({"AllocationId": allocation});
    refused(
        &sandbox,
        "ReleaseAddress",
        release.clone(),
        "InvalidIPAddress.InUse",
    )
    .await;
    refused(
        &sandbox,
        "DeleteSubnet",
        json!({"SubnetId": subnet}),
        "DependencyViolation",
    )
    .await;
    let detach = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    refused(
        &sandbox,
        "DetachInternetGateway",
        detach.clone(),
        "DependencyViolation",
    )
    .await;
    pass(60).await;
    assert_eq!(nat_state(&sandbox, &nat).await, "deleted");
    ec2(&sandbox, "ReleaseAddress", release).await.unwrap();
    ec2(&sandbox, "DeleteSubnet", json!({"SubnetId": subnet}))
        .await
        .unwrap();
    ec2(&sandbox, "DetachInternetGateway", detach)
        .await
        .unwrap();
    pass(3600).await;
    refused(
        &sandbox,
        "DescribeNatGateways",
        json!({"NatGatewayId": [nat]}),
        "NatGatewayNotFound",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_nat_gateway_that_cannot_work_fails_later() {
    let sandbox = sandbox();
    let (_, _, subnet) = network(&sandbox).await;
    let allocation = address(&sandbox).await;
    let wanted = json!({"SubnetId": subnet, "AllocationId": allocation});
    ec2(&sandbox, "CreateNatGateway", wanted.clone())
        .await
        .unwrap();
    let second = ec2(&sandbox, "CreateNatGateway", wanted).await.unwrap();
    assert_eq!(second["natGateway"]["state"], "pending");
    pass(20).await;
    let id = json!({"NatGatewayId": [second["natGateway"]["natGatewayId"]]});
    let failed = list(&sandbox, "DescribeNatGateways", "natGatewaySet", id).await;
    assert_eq!(
        (&failed[0]["state"], &failed[0]["failureCode"]),
        (&json!("failed"), &json!("Resource.AlreadyAssociated"))
    );
}

#[tokio::test]
async fn addresses_are_few() {
    let sandbox = sandbox();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        seen.insert(address(&sandbox).await);
    }
    assert_eq!(seen.len(), 5);
    refused(
        &sandbox,
        "AllocateAddress",
        json!({}),
        "AddressLimitExceeded",
    )
    .await;
    sandbox
        .world()
        .at(REGION)
        .quotas
        .set(&crate::services::quotas::ADDRESSES, 6);
    address(&sandbox).await;
}

#[tokio::test]
async fn tables_and_routes_are_checked() {
    let sandbox = sandbox();
    let (vpc, gateway, subnet) = network(&sandbox).await;
    let table = ec2(
        &sandbox,
        "CreateRouteTable",
        json!({"VpcId": vpc, "ClientToken": "x"}),
    )
    .await
    .unwrap();
    let same = ec2(
        &sandbox,
        "CreateRouteTable",
        json!({"VpcId": vpc, "ClientToken": "x"}),
    )
    .await
    .unwrap();
    let table = text(&table["routeTable"]["routeTableId"]);
    assert_eq!(same["routeTable"]["routeTableId"], table.as_str());
    let route =
        json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    ec2(&sandbox, "CreateRoute", route.clone()).await.unwrap();
    ec2(&sandbox, "CreateRoute", route).await.unwrap();
    let local =
        json!({"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/16", "GatewayId": gateway});
    refused(&sandbox, "CreateRoute", local, "RouteAlreadyExists").await;
    let none = json!({"RouteTableId": table, "DestinationCidrBlock": "1.0.0.0/8"});
    refused(&sandbox, "DeleteRoute", none, "InvalidRoute.NotFound").await;
    let association = json!({"RouteTableId": table, "SubnetId": subnet});
    let made = ec2(&sandbox, "AssociateRouteTable", association.clone())
        .await
        .unwrap();
    refused(
        &sandbox,
        "AssociateRouteTable",
        association,
        "Resource.AlreadyAssociated",
    )
    .await;
    refused(
        &sandbox,
        "DeleteRouteTable",
        json!({"RouteTableId": table}),
        "DependencyViolation",
    )
    .await;
    let association = json!({"AssociationId": made["associationId"]});
    ec2(&sandbox, "DisassociateRouteTable", association.clone())
        .await
        .unwrap();
    refused(
        &sandbox,
        "DisassociateRouteTable",
        association,
        "InvalidAssociationID.NotFound",
    )
    .await;
    ec2(&sandbox, "DeleteRouteTable", json!({"RouteTableId": table}))
        .await
        .unwrap();
}

#[tokio::test]
async fn groups_refer_to_each_other_and_are_held_by_it() {
    let sandbox = sandbox();
    let (vpc, _, subnet) = network(&sandbox).await;
    let group = async |name: &str| {
        let input = json!({"GroupName": name, "GroupDescription": name, "VpcId": vpc});
        ec2(&sandbox, "CreateSecurityGroup", input)
            .await
            .map(|answer| text(&answer["groupId"]))
    };
    let (front, back) = (group("front").await.unwrap(), group("back").await.unwrap());
    assert_eq!(group("front").await.unwrap_err(), "InvalidGroup.Duplicate");
    assert_eq!(
        group("sg-front").await.unwrap_err(),
        "InvalidParameterValue"
    );
    assert_eq!(
        group("fröhlich").await.unwrap_err(),
        "InvalidParameterValue"
    );
    let from_front = json!({"GroupId": back, "IpPermissions": [
        {"IpProtocol": "6", "FromPort": 80, "ToPort": 80, "Groups": [{"GroupId": front}], "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    ]});
    let made = ec2(
        &sandbox,
        "AuthorizeSecurityGroupIngress",
        from_front.clone(),
    )
    .await
    .unwrap();
    assert_eq!(many(&made["securityGroupRuleSet"], "item").len(), 2);
    refused(
        &sandbox,
        "AuthorizeSecurityGroupIngress",
        from_front.clone(),
        "InvalidPermission.Duplicate",
    )
    .await;
    let groups = list(
        &sandbox,
        "DescribeSecurityGroups",
        "securityGroupInfo",
        json!({"GroupId": [back]}),
    )
    .await;
    let permission = &groups[0]["ipPermissions"]["item"];
    assert_eq!(
        (
            &permission["ipProtocol"],
            &permission["groups"]["item"]["groupId"]
        ),
        (&json!("tcp"), &json!(front))
    );
    refused(
        &sandbox,
        "DeleteSecurityGroup",
        json!({"GroupId": front}),
        "DependencyViolation",
    )
    .await;
    ec2(&sandbox, "RevokeSecurityGroupIngress", from_front.clone())
        .await
        .unwrap();
    refused(
        &sandbox,
        "RevokeSecurityGroupIngress",
        from_front,
        "InvalidPermission.NotFound",
    )
    .await;

    let (interface, _) = super::attach_interface(
        &mut sandbox.world(),
        REGION,
        &subnet,
        std::slice::from_ref(&front),
        "a task",
    )
    .unwrap();
    refused(
        &sandbox,
        "DeleteSecurityGroup",
        json!({"GroupId": front}),
        "DependencyViolation",
    )
    .await;
    let now = sandbox.world().now;
    super::release_interface(&mut sandbox.world(), REGION, &interface, now);
    ec2(&sandbox, "DeleteSecurityGroup", json!({"GroupId": front}))
        .await
        .unwrap();
    let rules = list(
        &sandbox,
        "DescribeSecurityGroupRules",
        "securityGroupRuleSet",
        json!({}),
    )
    .await;
    assert!(rules.iter().all(|rule| rule["groupId"] != front.as_str()));
}

#[tokio::test(start_paused = true)]
async fn endpoints_have_interfaces_or_routes() {
    let sandbox = sandbox();
    let (vpc, _, subnet) = network(&sandbox).await;
    let interface = json!({
        "VpcId": vpc, "ServiceName": "com.amazonaws.eu-central-1.ecr.api", "VpcEndpointType": "Interface",
        "SubnetId": [subnet], "PrivateDnsEnabled": true,
    });
    refused(
        &sandbox,
        "CreateVpcEndpoint",
        interface.clone(),
        "InvalidParameter",
    )
    .await;
    ec2(
        &sandbox,
        "ModifyVpcAttribute",
        json!({"VpcId": vpc, "EnableDnsHostnames": {"Value": true}}),
    )
    .await
    .unwrap();
    let made = ec2(&sandbox, "CreateVpcEndpoint", interface).await.unwrap();
    assert_eq!(made["vpcEndpoint"]["state"], "pending");
    pass(60).await;
    let listed = list(
        &sandbox,
        "DescribeVpcEndpoints",
        "vpcEndpointSet",
        json!({}),
    )
    .await;
    assert_eq!(listed[0]["state"], "available");
    let table = ec2(&sandbox, "CreateRouteTable", json!({"VpcId": vpc}))
        .await
        .unwrap();
    let table = table["routeTable"]["routeTableId"].clone();
    let gateway = json!({"VpcId": vpc, "ServiceName": "com.amazonaws.eu-central-1.s3", "RouteTableId": [table]});
    let gateway = ec2(&sandbox, "CreateVpcEndpoint", gateway).await.unwrap();
    let tables = list(
        &sandbox,
        "DescribeRouteTables",
        "routeTableSet",
        json!({"RouteTableId": [table]}),
    )
    .await;
    assert_eq!(
        tables[0]["routeSet"]["item"][1]["gatewayId"],
        gateway["vpcEndpoint"]["vpcEndpointId"]
    );
    refused(
        &sandbox,
        "DeleteSubnet",
        json!({"SubnetId": subnet}),
        "DependencyViolation",
    )
    .await;
    let both = json!({"VpcEndpointId": [made["vpcEndpoint"]["vpcEndpointId"], gateway["vpcEndpoint"]["vpcEndpointId"]]});
    ec2(&sandbox, "DeleteVpcEndpoints", both).await.unwrap();
    pass(60).await;
    ec2(&sandbox, "DeleteSubnet", json!({"SubnetId": subnet}))
        .await
        .unwrap();
    assert!(
        list(
            &sandbox,
            "DescribeVpcEndpoints",
            "vpcEndpointSet",
            json!({})
        )
        .await
        .is_empty()
    );
}

#[tokio::test]
async fn tags_are_kept_with_what_they_tag() {
    let sandbox = sandbox();
    let (vpc, _, _) = network(&sandbox).await;
    let tag = |key: &str, value: &str| json!({"ResourceId": [vpc], "Tag": [{"Key": key, "Value": value}]});
    ec2(&sandbox, "CreateTags", tag("a", "1")).await.unwrap();
    ec2(&sandbox, "CreateTags", tag("b", "2")).await.unwrap();
    ec2(&sandbox, "DeleteTags", tag("a", "other"))
        .await
        .unwrap();
    ec2(&sandbox, "DeleteTags", tag("b", "2")).await.unwrap();
    let tags = list(
        &sandbox,
        "DescribeTags",
        "tagSet",
        json!({"Filter": [{"Name": "resource-id", "Value": [vpc]}]}),
    )
    .await;
    assert_eq!(
        tags,
        [json!({"key": "a", "resourceId": vpc, "resourceType": "vpc", "value": "1"})]
    );
    refused(
        &sandbox,
        "CreateTags",
        tag("aws:x", "1"),
        "InvalidParameterValue",
    )
    .await;
    let unknown = json!({"ResourceId": ["vpc-1"], "Tag": [{"Key": "k", "Value": "v"}]});
    refused(&sandbox, "CreateTags", unknown, "InvalidVpcID.NotFound").await;
    let wrong = json!([{"ResourceType": "subnet", "Tag": [{"Key": "k", "Value": "v"}]}]);
    let wrong = json!({"CidrBlock": "10.0.0.0/16", "TagSpecification": wrong});
    refused(&sandbox, "CreateVpc", wrong, "InvalidParameterValue").await;
}
