//! What calls to EC2 need. Must not know what they do.

use super::Desk;
use crate::wire::Input as _;

/// Operations that change something: for each what it is about, as a parameter that holds ids, or as the type of what is new.
const CHANGES: [(&str, &[&str]); 37] = [
    ("AllocateAddress", &["elastic-ip/*"]),
    ("AssociateRouteTable", &["RouteTableId", "SubnetId"]),
    ("AttachInternetGateway", &["InternetGatewayId", "VpcId"]),
    ("AuthorizeSecurityGroupEgress", &["GroupId"]),
    ("AuthorizeSecurityGroupIngress", &["GroupId"]),
    ("CreateInternetGateway", &["internet-gateway/*"]),
    (
        "CreateNatGateway",
        &["natgateway/*", "SubnetId", "AllocationId"],
    ),
    ("CreateRoute", &["RouteTableId"]),
    ("CreateRouteTable", &["route-table/*", "VpcId"]),
    ("CreateSecurityGroup", &["security-group/*", "VpcId"]),
    ("CreateSubnet", &["subnet/*", "VpcId"]),
    ("CreateTags", &["ResourceId"]),
    ("CreateVpc", &["vpc/*"]),
    (
        "CreateVpcEndpoint",
        &[
            "VpcId",
            "vpc-endpoint/*",
            "SubnetId",
            "SecurityGroupId",
            "RouteTableId",
        ],
    ),
    ("DeleteInternetGateway", &["InternetGatewayId"]),
    ("DeleteNatGateway", &["NatGatewayId"]),
    ("DeleteRoute", &["RouteTableId"]),
    ("DeleteRouteTable", &["RouteTableId"]),
    ("DeleteSecurityGroup", &["GroupId"]),
    ("DeleteSubnet", &["SubnetId"]),
    ("DeleteTags", &["ResourceId"]),
    ("DeleteVpc", &["VpcId"]),
    ("DeleteVpcEndpoints", &["VpcEndpointId"]),
    ("DescribeVpcAttribute", &["VpcId"]),
    ("DetachInternetGateway", &["InternetGatewayId", "VpcId"]),
    ("DisassociateRouteTable", &["AssociationId"]),
    (
        "ModifySecurityGroupRules",
        &["GroupId", "SecurityGroupRuleId"],
    ),
    ("ModifySubnetAttribute", &["SubnetId"]),
    ("ModifyVpcAttribute", &["VpcId"]),
    (
        "ModifyVpcEndpoint",
        &[
            "VpcEndpointId",
            "AddSubnetId",
            "RemoveSubnetId",
            "AddSecurityGroupId",
            "RemoveSecurityGroupId",
            "AddRouteTableId",
            "RemoveRouteTableId",
        ],
    ),
    ("ReleaseAddress", &["AllocationId"]),
    ("ReplaceRoute", &["RouteTableId"]),
    (
        "ReplaceRouteTableAssociation",
        &["RouteTableId", "AssociationId"],
    ),
    ("RevokeSecurityGroupEgress", &["GroupId"]),
    ("RevokeSecurityGroupIngress", &["GroupId"]),
    ("UpdateSecurityGroupRuleDescriptionsEgress", &["GroupId"]),
    ("UpdateSecurityGroupRuleDescriptionsIngress", &["GroupId"]),
];

/// The beginning of an id, and the type of such resources in ARNs.
const TYPES: [(&str, &str); 11] = [
    ("vpc", "vpc"),
    ("subnet", "subnet"),
    ("igw", "internet-gateway"),
    ("eipalloc", "elastic-ip"),
    ("nat", "natgateway"),
    ("rtb", "route-table"),
    ("sg", "security-group"),
    ("sgr", "security-group-rule"),
    ("vpce", "vpc-endpoint"),
    ("eni", "network-interface"),
    ("acl", "network-acl"),
];

pub(super) fn read(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    let Some((_, subjects)) = CHANGES.iter().find(|(name, _)| *name == operation) else {
        // Listings know no resources: that is EC2's rule for everything that describes, but for the above.
        let listing = crate::services::ec2::OPERATIONS.contains(&operation)
            && operation.starts_with("Describe");
        return listing.then(|| {
            desk.own("*");
        });
    };
    let tags = match operation {
        "CreateTags" | "DeleteTags" => desk.call.input.pairs("Tag", "Key", "Value"),
        _ => specified(desk),
    };
    desk.tags(tags);
    for subject in *subjects {
        for resource in named(desk, subject) {
            desk.own(resource);
        }
    }
    for specification in desk.call.input.list("TagSpecification") {
        let kind = specification.text("ResourceType").unwrap_or_default();
        let arn = desk.arn("ec2", &format!("{kind}/*"));
        desk.need("ec2:CreateTags", arn)
            .context
            .set("ec2:CreateAction", operation);
    }
    if operation == "CreateVpcEndpoint" && desk.call.input.flag("PrivateDnsEnabled") == Some(true) {
        // The endpoint's name is answered by a private zone that AWS keeps for it.
        let partition = crate::world::partition(&desk.call.region);
        desk.need(
            "route53:AssociateVPCWithHostedZone",
            format!("arn:{partition}:route53:::hostedzone/*"),
        );
    }
    let region = desk.call.region.clone();
    desk.request.set("ec2:Region", region);
    Some(())
}

fn specified(desk: &Desk<'_>) -> std::collections::BTreeMap<String, String> {
    let specifications = desk.call.input.list("TagSpecification").iter();
    specifications
        .flat_map(|specification| specification.pairs("Tag", "Key", "Value"))
        .collect()
}

/// The ARNs that a subject means.
fn named(desk: &Desk<'_>, subject: &str) -> Vec<String> {
    if subject.contains('/') {
        return vec![desk.arn("ec2", subject)];
    }
    let given = match subject {
        "AssociationId" => association(desk),
        "SecurityGroupRuleId" => rules(desk),
        _ => match desk.call.input.text(subject) {
            Some(one) => vec![one.to_owned()],
            None => desk.call.input.texts(subject),
        },
    };
    let arn = |id: &String| {
        let prefix = id.split('-').next().unwrap_or_default();
        let (_, kind) = TYPES.iter().find(|(known, _)| *known == prefix)?;
        Some(desk.arn("ec2", &format!("{kind}/{id}")))
    };
    given.iter().filter_map(arn).collect()
}

/// The route table and the subnet that an association joins.
fn association(desk: &Desk<'_>) -> Vec<String> {
    let state = desk.world.regions.get(&desk.call.region);
    state
        .map(|region| region.ec2.associated(desk.text("AssociationId")))
        .unwrap_or_default()
}

fn rules(desk: &Desk<'_>) -> Vec<String> {
    let rules = desk.call.input.list("SecurityGroupRule").iter();
    rules
        .filter_map(|rule| rule.text("SecurityGroupRuleId"))
        .map(ToOwned::to_owned)
        .collect()
}
