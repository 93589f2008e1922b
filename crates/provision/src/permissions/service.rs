//! Load balancer, cluster, task definition and service. Must not cover their rollouts.

use serde_json::json;

use super::Sheet;
use crate::resource::{Kind, Resource};

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    balancer(sheet);
    cluster(sheet);
    definition(sheet);
    service(sheet);
    if sheet.makes() {
        service_linked_roles(sheet);
    }
}

/// What is done with a load balancer; the first also with one that others share.
const OWN_BALANCER: &[&str] = &[
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:SetIpAddressType",
    "elasticloadbalancing:SetSecurityGroups",
    "elasticloadbalancing:SetSubnets",
];

/// The names of the load balancers that the app's listeners stand on and that it doesn't make.
fn existing_balancers(sheet: &Sheet<'_>) -> Vec<String> {
    let mut names: Vec<String> = sheet
        .resources(Kind::Listener)
        .filter_map(|resource| match resource {
            Resource::Listener(listener) => sheet.known(&listener.load_balancer),
            _ => None,
        })
        // arn:…:loadbalancer/app/NAME/ID
        .map(|arn| arn.rsplit('/').nth(1).unwrap_or("*").to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The names of the load balancers that the app's listeners stand on.
fn balancers_of(sheet: &Sheet<'_>) -> Vec<String> {
    [
        sheet.names_of(Kind::LoadBalancer),
        existing_balancers(sheet),
    ]
    .concat()
}

/// The app's listeners.
pub(super) fn listeners(sheet: &Sheet<'_>) -> Vec<String> {
    let names = balancers_of(sheet).into_iter();
    names
        .map(|name| sheet.arn("elasticloadbalancing", &format!("listener/app/{name}/*/*")))
        .collect()
}

fn balancer(sheet: &mut Sheet<'_>) {
    let names = balancers_of(sheet);
    let own = !sheet.names_of(Kind::LoadBalancer).is_empty();
    let elb = |sheet: &Sheet<'_>, resource: &str| sheet.arn("elasticloadbalancing", resource);
    let balancers: Vec<String> = names
        .iter()
        .map(|name| elb(sheet, &format!("loadbalancer/app/{name}/*")))
        .collect();
    let listeners = listeners(sheet);
    let groups: Vec<String> = sheet
        .names_of(Kind::TargetGroup)
        .iter()
        .map(|name| elb(sheet, &format!("targetgroup/{name}/*")))
        .collect();
    let all = || {
        [&balancers, &listeners, &groups]
            .into_iter()
            .flatten()
            .cloned()
    };
    if sheet.looks() {
        sheet.list(&[
            "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTargetGroups",
        ]);
    }
    if sheet.compares() {
        sheet.list(&[
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTargetHealth",
        ]);
    }
    if sheet.makes() {
        sheet.allow(
            "BalancerChange",
            "makes and changes the load balancer, and puts listeners on it",
            if own {
                OWN_BALANCER
            } else {
                &OWN_BALANCER[..1]
            },
            balancers.clone(),
        );
        sheet.allow(
            "ListenerChange",
            "changes the ports of the app's listeners",
            &["elasticloadbalancing:ModifyListener"],
            listeners.clone(),
        );
        sheet.allow(
            "TargetsChange",
            "makes and changes the two target groups of a rollout",
            &[
                "elasticloadbalancing:CreateTargetGroup",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
            ],
            groups.clone(),
        );
        sheet.allow(
            "BalancerTags",
            "puts the app's tags on, in the call that makes a thing too",
            &[
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:RemoveTags",
            ],
            all(),
        );
    }
    if sheet.removes() {
        sheet.list(&["ec2:DescribeNetworkInterfaces"]);
        sheet.allow(
            "BalancerDelete",
            "deletes load balancer, listeners and target groups",
            &[
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:DeleteTargetGroup",
            ],
            all(),
        );
    }
}

fn cluster(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::Cluster)
        .iter()
        .map(|name| sheet.arn("ecs", &format!("cluster/{name}")))
        .collect();
    if sheet.looks() {
        sheet.allow(
            "ClusterRead",
            "compares the cluster with what is wanted",
            &["ecs:DescribeClusters"],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "ClusterChange",
            "makes the cluster, with its settings and tags",
            &[
                "ecs:CreateCluster",
                "ecs:TagResource",
                "ecs:UntagResource",
                "ecs:UpdateClusterSettings",
            ],
            arns.clone(),
        );
    }
    if sheet.removes() {
        // Who else stands in it, where AWS says that it can't go.
        sheet.list(&["ecs:ListServices"]);
        sheet.allow(
            "ClusterDelete",
            "deletes the cluster",
            &["ecs:DeleteCluster"],
            arns,
        );
    }
}

fn definition(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::TaskDefinition)
        .iter()
        .map(|family| sheet.arn("ecs", &format!("task-definition/{family}:*")))
        .collect();
    if sheet.looks() && !arns.is_empty() {
        sheet.list(&["ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"]);
    }
    if sheet.makes() {
        sheet.allow(
            "DefinitionChange",
            "registers the first task definition, with the app's tags",
            &["ecs:RegisterTaskDefinition", "ecs:TagResource"],
            arns.clone(),
        );
        pass_to_tasks(sheet);
    }
    if sheet.removes() && !arns.is_empty() {
        sheet.allow(
            "DefinitionEnd",
            "takes the app's task definitions out of use; AWS takes no narrower resource for it",
            &["ecs:DeregisterTaskDefinition"],
            ["*".to_owned()],
        );
        sheet.allow(
            "DefinitionDelete",
            "deletes the app's task definitions",
            &["ecs:DeleteTaskDefinitions"],
            arns,
        );
    }
}

/// The roles of the tasks, for whoever registers a definition that names them.
pub(super) fn pass_to_tasks(sheet: &mut Sheet<'_>) {
    pass_task_roles(sheet, "PassToTasks");
}

/// The same for whoever starts a task, under a name of its own.
pub(super) fn pass_task_roles(sheet: &mut Sheet<'_>, sid: &str) {
    let roles: Vec<_> = sheet
        .resources(Kind::TaskDefinition)
        .filter_map(|resource| match resource {
            Resource::TaskDefinition(definition) => Some([
                definition.definition.execution_role_arn.clone(),
                definition.definition.task_role_arn.clone(),
            ]),
            _ => None,
        })
        .flatten()
        .collect();
    sheet.pass(sid, "ecs-tasks", roles);
}

fn service(sheet: &mut Sheet<'_>) {
    let arns = services(sheet);
    if sheet.looks() {
        sheet.allow(
            "ServiceRead",
            "compares the service with what is wanted",
            &["ecs:DescribeServices"],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "ServiceChange",
            "makes the service, and changes what no rollout carries",
            &[
                "ecs:CreateService",
                "ecs:TagResource",
                "ecs:UntagResource",
                "ecs:UpdateService",
            ],
            arns.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "ServiceDelete",
            "deletes the service and ends its tasks",
            &["ecs:DeleteService"],
            arns,
        );
    }
}

/// The ARNs of the wanted services.
pub(super) fn services(sheet: &Sheet<'_>) -> Vec<String> {
    sheet
        .resources(Kind::Service)
        .filter_map(|resource| match resource {
            Resource::Service(service) => {
                let cluster = sheet.known(&service.cluster)?;
                // An existing cluster may be named by its ARN.
                let cluster = cluster.rsplit('/').next().unwrap_or_default();
                Some(sheet.arn("ecs", &format!("service/{cluster}/{}", service.name)))
            }
            _ => None,
        })
        .collect()
}

/// In an account that never had a cluster or a load balancer, the first one makes the service's own role.
fn service_linked_roles(sheet: &mut Sheet<'_>) {
    let linked = [
        (Kind::Service, "ecs", "AWSServiceRoleForECS"),
        (
            Kind::LoadBalancer,
            "elasticloadbalancing",
            "AWSServiceRoleForElasticLoadBalancing",
        ),
    ];
    for (kind, service, role) in linked {
        if sheet.resources(kind).next().is_none() {
            continue;
        }
        let principal = format!("{service}.amazonaws.com");
        let arn = sheet.iam_arn(&format!("role/aws-service-role/{principal}/{role}"));
        sheet.allow_if(
            &format!(
                "LinkedRole{}",
                if kind == Kind::Service { "Ecs" } else { "Elb" }
            ),
            "lets the service make its own role in an account that never used it",
            &["iam:CreateServiceLinkedRole"],
            [arn],
            json!({ "StringEquals": { "iam:AWSServiceName": principal } }),
        );
    }
}
