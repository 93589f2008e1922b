//! What calls to Elastic Load Balancing need. Must not know what they do.

use super::Desk;
use crate::services::elbv2::OPERATIONS;
use crate::wire::Input as _;

pub(super) fn read(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    if operation.starts_with("Describe") {
        return OPERATIONS.contains(&operation).then(|| {
            desk.own("*");
        });
    }
    desk.tags(desk.call.input.pairs("Tags", "Key", "Value"));
    desk.tag_keys_of("TagKeys");
    match operation {
        "CreateLoadBalancer" => {
            let arn = desk.arn(
                "elasticloadbalancing",
                &format!("loadbalancer/app/{}/*", desk.text("Name")),
            );
            create(desk, arn.clone(), arn);
            desk.linked_role("elasticloadbalancing");
        }
        "CreateTargetGroup" => {
            let arn = desk.arn(
                "elasticloadbalancing",
                &format!("targetgroup/{}/*", desk.text("Name")),
            );
            create(desk, arn.clone(), arn);
        }
        "CreateListener" => {
            let balancer = desk.text("LoadBalancerArn");
            let new = balancer.replacen(":loadbalancer/", ":listener/", 1) + "/*";
            create(desk, balancer.to_owned(), new);
        }
        "CreateRule" => {
            let listener = desk.text("ListenerArn");
            let new = listener.replacen(":listener/", ":listener-rule/", 1) + "/*";
            create(desk, listener.to_owned(), new);
        }
        "AddTags" | "RemoveTags" => {
            for arn in desk.call.input.texts("ResourceArns") {
                desk.own(arn);
            }
        }
        "DeleteListener" | "ModifyListener" | "ModifyListenerAttributes" => {
            desk.own(desk.text("ListenerArn"));
        }
        "DeleteLoadBalancer"
        | "ModifyLoadBalancerAttributes"
        | "SetIpAddressType"
        | "SetSecurityGroups"
        | "SetSubnets" => {
            desk.own(desk.text("LoadBalancerArn"));
        }
        "DeleteRule" | "ModifyRule" => {
            desk.own(desk.text("RuleArn"));
        }
        "SetRulePriorities" => {
            for item in desk.call.input.list("RulePriorities") {
                desk.own(item.text("RuleArn").unwrap_or_default());
            }
        }
        "DeleteTargetGroup"
        | "DeregisterTargets"
        | "ModifyTargetGroup"
        | "ModifyTargetGroupAttributes"
        | "RegisterTargets" => {
            desk.own(desk.text("TargetGroupArn"));
        }
        _ => return None,
    }
    Some(())
}

/// Something new on `subject`; with tags also the permission to tag it.
fn create(desk: &mut Desk<'_>, subject: String, new: String) {
    desk.own(subject);
    if !desk.call.input.list("Tags").is_empty() {
        let operation = desk.operation();
        desk.need("elasticloadbalancing:AddTags", new)
            .context
            .set("elasticloadbalancing:CreateAction", operation);
    }
}
