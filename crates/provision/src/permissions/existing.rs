//! Looking up what the app uses and ecspipe didn't make. Nothing here changes it.

use ecspipe_spec::{Alarm, Reference};

use super::{Duty, Sheet};

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    // `plan`, `up` and `doctor` check what exists; the others only need its names.
    let whole = sheet.compares() || sheet.does(Duty::Doctor);
    let names = whole || !sheet.duties.is_empty();
    if names {
        cluster(sheet, whole);
        balancer(sheet, whole);
        roles(sheet);
    }
    if whole {
        network(sheet);
        key(sheet);
        boundary(sheet);
        guards(sheet);
    }
}

/// Alarms that exist, and functions.
fn guards(sheet: &mut Sheet<'_>) {
    let deploy = &sheet.inputs.spec.deploy;
    let existing = |alarm: &Alarm| matches!(alarm, Alarm::Existing(_));
    if deploy.alarms.iter().any(existing) {
        sheet.list(&["cloudwatch:DescribeAlarms"]);
    }
    let functions: Vec<String> = deploy
        .hooks
        .values()
        .map(|function| function.arn(sheet.inputs.facts))
        .collect();
    sheet.allow(
        "Functions",
        "sees that the functions are there that CodeDeploy calls",
        &["lambda:GetFunctionConfiguration"],
        functions,
    );
}

fn network(sheet: &mut Sheet<'_>) {
    if sheet.inputs.spec.network.is_own() {
        return;
    }
    sheet.list(&[
        "ec2:DescribeRouteTables",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
    ]);
    let arn = sheet.arn("ec2", "vpc/*");
    let network = sheet.inputs.existing.network.as_ref();
    let arn = network.map_or(arn, |network| {
        sheet.arn("ec2", &format!("vpc/{}", network.vpc))
    });
    sheet.allow(
        "ExistingVpc",
        "sees whether names of AWS's services lead to the VPC's endpoints",
        &["ec2:DescribeVpcAttribute"],
        [arn],
    );
}

fn cluster(sheet: &mut Sheet<'_>, whole: bool) {
    let Some(given) = &sheet.inputs.spec.cluster else {
        return;
    };
    let name = match &given.existing {
        // By name or ARN it is known without a question.
        Reference::Id(_) | Reference::Name(_) if !whole => return,
        Reference::Id(arn) => arn.rsplit('/').next().unwrap_or_default().to_owned(),
        Reference::Name(name) => name.clone(),
        Reference::Tags(_) => "*".to_owned(),
    };
    // Where it isn't found the others are named.
    sheet.list(&["ecs:ListClusters"]);
    let arn = sheet.arn("ecs", &format!("cluster/{name}"));
    sheet.allow(
        "ExistingCluster",
        "finds the cluster that others share",
        &["ecs:DescribeClusters"],
        [arn],
    );
}

fn balancer(sheet: &mut Sheet<'_>, whole: bool) {
    let Some(reference) = &sheet.inputs.spec.load_balancer.existing else {
        return;
    };
    sheet.list(&["elasticloadbalancing:DescribeLoadBalancers"]);
    if matches!(reference, Reference::Tags(_)) || whole {
        sheet.list(&["elasticloadbalancing:DescribeTags"]);
    }
    if whole {
        sheet.list(&[
            "ec2:DescribeSecurityGroups",
            "elasticloadbalancing:DescribeListeners",
        ]);
    }
}

fn key(sheet: &mut Sheet<'_>) {
    let Some(given) = &sheet.inputs.spec.kms_key else {
        return;
    };
    let mut read = vec!["kms:DescribeKey"];
    if matches!(given.existing, Reference::Tags(_)) {
        sheet.list(&["kms:ListKeys"]);
        read.push("kms:ListResourceTags");
    }
    let arn = sheet.arn("kms", "key/*");
    sheet.allow("ExistingKey", "finds the key that is given", &read, [arn]);
}

fn roles(sheet: &mut Sheet<'_>) {
    let mut names = Vec::new();
    let mut by_tags = false;
    for given in sheet.inputs.spec.roles.values() {
        match &given.existing {
            Reference::Id(arn) => {
                names.push(arn.rsplit('/').next().unwrap_or_default().to_owned());
            }
            Reference::Name(name) => names.push(name.clone()),
            Reference::Tags(_) => by_tags = true,
        }
    }
    if by_tags {
        sheet.list(&["iam:GetAccountAuthorizationDetails"]);
    }
    let arns: Vec<String> = names
        .iter()
        // A role's path isn't part of its name.
        .map(|name| sheet.iam_arn(&format!("role/*{name}")))
        .collect();
    sheet.allow(
        "ExistingRoles",
        "finds the roles that are given",
        &["iam:GetRole"],
        arns,
    );
}

fn boundary(sheet: &mut Sheet<'_>) {
    let Some(reference) = &sheet.inputs.spec.permissions_boundary else {
        return;
    };
    match reference {
        Reference::Id(arn) => sheet.allow(
            "ExistingBoundary",
            "sees that the boundary is there",
            &["iam:GetPolicy"],
            [arn.clone()],
        ),
        Reference::Name(_) => sheet.list(&["iam:ListPolicies"]),
        Reference::Tags(_) => {
            sheet.list(&["iam:ListPolicies"]);
            let arn = sheet.iam_arn("policy/*");
            sheet.allow(
                "ExistingBoundary",
                "finds the boundary by its tags",
                &["iam:ListPolicyTags"],
                [arn],
            );
        }
    }
}
