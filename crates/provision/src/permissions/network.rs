//! The VPC with what is in it. EC2 gives random ids, so that what is the app's is told by its tag: by the request's for what is
//! made, by the resource's for everything else. Must not cover what belongs to nobody's app.

use serde_json::json;

use super::Sheet;
use crate::resource::{Id, Kind, Resource};

/// A kind of EC2's: its name in an ARN, what makes it, and what deletes it.
struct Sort {
    kind: Kind,
    arn: &'static str,
    make: &'static str,
    change: &'static [&'static str],
    delete: &'static [&'static str],
    read: &'static [&'static str],
}

const SORTS: &[Sort] = &[
    Sort {
        kind: Kind::Vpc,
        arn: "vpc",
        make: "CreateVpc",
        change: &["ec2:ModifyVpcAttribute"],
        delete: &["ec2:DeleteVpc"],
        read: &["ec2:DescribeVpcs"],
    },
    Sort {
        kind: Kind::InternetGateway,
        arn: "internet-gateway",
        make: "CreateInternetGateway",
        change: &["ec2:AttachInternetGateway"],
        delete: &["ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"],
        read: &["ec2:DescribeInternetGateways"],
    },
    Sort {
        kind: Kind::Subnet,
        arn: "subnet",
        make: "CreateSubnet",
        change: &["ec2:ModifySubnetAttribute"],
        delete: &["ec2:DeleteSubnet"],
        read: &["ec2:DescribeSubnets"],
    },
    Sort {
        kind: Kind::Address,
        arn: "elastic-ip",
        make: "AllocateAddress",
        change: &[],
        delete: &["ec2:ReleaseAddress"],
        read: &["ec2:DescribeAddresses"],
    },
    Sort {
        kind: Kind::NatGateway,
        arn: "natgateway",
        make: "CreateNatGateway",
        change: &[],
        delete: &["ec2:DeleteNatGateway"],
        read: &["ec2:DescribeNatGateways"],
    },
    Sort {
        kind: Kind::RouteTable,
        arn: "route-table",
        make: "CreateRouteTable",
        change: &[
            "ec2:AssociateRouteTable",
            "ec2:CreateRoute",
            "ec2:DeleteRoute",
            "ec2:DisassociateRouteTable",
            "ec2:ReplaceRoute",
            "ec2:ReplaceRouteTableAssociation",
        ],
        delete: &["ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"],
        read: &["ec2:DescribeRouteTables"],
    },
    Sort {
        kind: Kind::SecurityGroup,
        arn: "security-group",
        make: "CreateSecurityGroup",
        change: &[
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
        ],
        delete: &["ec2:DeleteSecurityGroup"],
        read: &["ec2:DescribeSecurityGroups"],
    },
    Sort {
        kind: Kind::Endpoint,
        arn: "vpc-endpoint",
        make: "CreateVpcEndpoint",
        change: &["ec2:ModifyVpcEndpoint"],
        delete: &["ec2:DeleteVpcEndpoints"],
        read: &["ec2:DescribeVpcEndpoints"],
    },
];

/// What an ordinary change of the spec makes superfluous: zones, gateways and endpoints come and go; a VPC stays.
const REMOVED_BY_UP: &[Kind] = &[
    Kind::Subnet,
    Kind::Address,
    Kind::NatGateway,
    Kind::RouteTable,
    Kind::SecurityGroup,
    Kind::Endpoint,
];

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    if sheet.looks() {
        for sort in SORTS {
            sheet.list(sort.read);
        }
    }
    let vpcs = [sheet.arn("ec2", "vpc/*")];
    if sheet.compares() {
        let condition = sheet.tagged();
        sheet.allow_if(
            "VpcRead",
            "reads the DNS settings of the app's VPC",
            &["ec2:DescribeVpcAttribute"],
            vpcs,
            condition,
        );
    }
    if sheet.makes() {
        make(sheet);
        change(sheet);
    }
    remove(sheet);
}

/// What is made carries the app's tag from its first moment. A type and the types that it is made in are never in one statement,
/// so that nothing can be made in somebody else's VPC or subnet.
fn make(sheet: &mut Sheet<'_>) {
    let steps: [(&str, &[Kind]); 3] = [
        (
            "NetworkNew",
            &[Kind::Vpc, Kind::InternetGateway, Kind::Address],
        ),
        (
            "NetworkNewInVpc",
            &[Kind::Subnet, Kind::RouteTable, Kind::SecurityGroup],
        ),
        ("NetworkNewInSubnet", &[Kind::NatGateway, Kind::Endpoint]),
    ];
    let mut made = Vec::new();
    for (sid, kinds) in steps {
        for sort in wanted(sheet).filter(|sort| kinds.contains(&sort.kind)) {
            made.push(sort);
            let condition = sheet.tagging();
            let arn = sheet.arn("ec2", &format!("{}/*", sort.arn));
            sheet.allow_if(
                sid,
                "makes the network, with the app's tag on everything",
                &[&format!("ec2:{}", sort.make)],
                [arn],
                condition,
            );
        }
    }
    let arns: Vec<String> = made
        .iter()
        .map(|sort| sheet.arn("ec2", &format!("{}/*", sort.arn)))
        .collect();
    let makes: Vec<&str> = made.iter().map(|sort| sort.make).collect();
    let mut condition = sheet.tagging();
    condition["StringEquals"]["ec2:CreateAction"] = json!(makes);
    sheet.allow_if(
        "NetworkTagNew",
        "puts the tags on in the call that makes a thing, and in no other",
        &["ec2:CreateTags"],
        arns,
        condition,
    );
    parents(sheet);
    if sheet.resources(Kind::Endpoint).next().is_some() {
        sheet.allow(
            "EndpointNames",
            "lets an interface endpoint answer under the service's own DNS name in the app's VPC; the hosted zone is AWS's",
            &["route53:AssociateVPCWithHostedZone"],
            ["*".to_owned()],
        );
    }
}

/// What new things are made in or of: the app's own by their tag, existing ones by their id.
fn parents(sheet: &mut Sheet<'_>) {
    let mut uses: Vec<(&str, &str, Vec<Id>)> = Vec::new();
    for kind in [
        Kind::Subnet,
        Kind::RouteTable,
        Kind::SecurityGroup,
        Kind::NatGateway,
        Kind::Endpoint,
    ] {
        for resource in sheet.resources(kind) {
            match resource {
                Resource::Subnet(subnet) => {
                    uses.push(("ec2:CreateSubnet", "vpc", vec![subnet.vpc.clone()]));
                }
                Resource::RouteTable(table) => {
                    uses.push(("ec2:CreateRouteTable", "vpc", vec![table.vpc.clone()]));
                }
                Resource::SecurityGroup(group) => {
                    uses.push(("ec2:CreateSecurityGroup", "vpc", vec![group.vpc.clone()]));
                }
                Resource::NatGateway(nat) => {
                    uses.push(("ec2:CreateNatGateway", "subnet", vec![nat.subnet.clone()]));
                    uses.push((
                        "ec2:CreateNatGateway",
                        "elastic-ip",
                        vec![nat.address.clone()],
                    ));
                }
                Resource::Endpoint(endpoint) => {
                    let list = |ids: &std::collections::BTreeSet<Id>| ids.iter().cloned().collect();
                    let action = "ec2:CreateVpcEndpoint";
                    uses.push((action, "vpc", vec![endpoint.vpc.clone()]));
                    uses.push((action, "subnet", list(&endpoint.subnets)));
                    uses.push((action, "security-group", list(&endpoint.security_groups)));
                    uses.push((action, "route-table", list(&endpoint.route_tables)));
                }
                _ => {}
            }
        }
    }
    for (action, sort, ids) in uses {
        for id in ids {
            if let Some(literal) = sheet.known(&id) {
                let arn = sheet.arn("ec2", &format!("{sort}/{literal}"));
                sheet.allow(
                    "NetworkInExisting",
                    "makes the app's things in the network that is there already",
                    &[action],
                    [arn],
                );
            } else {
                let condition = sheet.tagged();
                let arn = sheet.arn("ec2", &format!("{sort}/*"));
                sheet.allow_if(
                    "NetworkInOwn",
                    "makes the app's things in its own network",
                    &[action],
                    [arn],
                    condition,
                );
            }
        }
    }
}

fn change(sheet: &mut Sheet<'_>) {
    let sorts: Vec<&Sort> = wanted(sheet).collect();
    let mut actions: Vec<&str> = vec!["ec2:CreateTags", "ec2:DeleteTags"];
    actions.extend(sorts.iter().flat_map(|sort| sort.change));
    let arns: Vec<String> = sorts
        .iter()
        .map(|sort| sheet.arn("ec2", &format!("{}/*", sort.arn)))
        .collect();
    let condition = sheet.tagged();
    sheet.allow_if(
        "NetworkChange",
        "changes the network's settings, routes, rules and tags, where the app's tag is on",
        &actions,
        arns,
        condition,
    );
}

fn remove(sheet: &mut Sheet<'_>) {
    let sorts: Vec<&Sort> = SORTS
        .iter()
        .filter(|sort| sheet.removes() || sheet.makes() && REMOVED_BY_UP.contains(&sort.kind))
        .collect();
    let actions: Vec<&str> = sorts
        .iter()
        .flat_map(|sort| sort.delete.iter().copied())
        // Whoever changes route tables may do that already.
        .filter(|action| !sheet.makes() || *action != "ec2:DisassociateRouteTable")
        .collect();
    let mut arns: Vec<String> = sorts
        .iter()
        .map(|sort| sheet.arn("ec2", &format!("{}/*", sort.arn)))
        .collect();
    if sorts.iter().any(|sort| sort.kind == Kind::InternetGateway) {
        // A gateway is detached from a VPC: both are asked for.
        arns.push(sheet.arn("ec2", "vpc/*"));
    }
    let condition = sheet.tagged();
    sheet.allow_if(
        "NetworkDelete",
        "removes what is superfluous in the network, where the app's tag is on",
        &actions,
        arns,
        condition,
    );
}

/// The sorts that the graph wants.
fn wanted(sheet: &Sheet<'_>) -> impl Iterator<Item = &'static Sort> + use<> {
    let kinds: Vec<Kind> = sheet
        .graph
        .nodes()
        .iter()
        .map(|node| node.key.kind)
        .collect();
    SORTS.iter().filter(move |sort| kinds.contains(&sort.kind))
}
