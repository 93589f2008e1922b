//! The documents of AWS's managed policies that matter to a deployment pipeline. Must not hold any that AWS doesn't publish.
//! Of other managed policies the sandbox knows the name only, and lets them grant nothing.

use crate::world::World;

/// The document of a managed policy: one of the account's own, or of AWS's (AWS managed policy reference).
pub(super) fn document<'a>(world: &'a World, arn: &str) -> Option<&'a str> {
    let own = world.iam.policies.get(arn);
    own.map(|policy| policy.document.as_str())
        .or_else(|| of_aws(arn))
}

fn of_aws(arn: &str) -> Option<&'static str> {
    let (_, name) = arn.split_once(":iam::aws:policy/")?;
    match name {
        "AdministratorAccess" => Some(ADMINISTRATOR),
        "service-role/AmazonECSTaskExecutionRolePolicy" => Some(EXECUTION),
        "AWSCodeDeployRoleForECS" => Some(DEPLOY),
        "service-role/AmazonEC2ContainerServiceEventsRole" => Some(EVENTS),
        _ => None,
    }
}

const ADMINISTRATOR: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

const EXECUTION: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#;

const DEPLOY: &str = r#"{"Version":"2012-10-17","Statement":[{"Action":["ecs:DescribeServices","ecs:CreateTaskSet","ecs:UpdateServicePrimaryTaskSet","ecs:DeleteTaskSet","elasticloadbalancing:DescribeTargetGroups","elasticloadbalancing:DescribeListeners","elasticloadbalancing:ModifyListener","elasticloadbalancing:DescribeRules","elasticloadbalancing:ModifyRule","lambda:InvokeFunction","cloudwatch:DescribeAlarms","sns:Publish","s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Effect":"Allow"},{"Action":["iam:PassRole"],"Effect":"Allow","Resource":"*","Condition":{"StringLike":{"iam:PassedToService":["ecs-tasks.amazonaws.com"]}}}]}"#;

const EVENTS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecs:RunTask"],"Resource":["*"]},{"Effect":"Allow","Action":"iam:PassRole","Resource":["*"],"Condition":{"StringLike":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}},{"Effect":"Allow","Action":"ecs:TagResource","Resource":"*","Condition":{"StringEquals":{"ecs:CreateAction":["RunTask"]}}}]}"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::iam::document::{Use, check};

    #[test]
    fn every_document_can_be_evaluated() {
        for text in [ADMINISTRATOR, EXECUTION, DEPLOY, EVENTS] {
            check(text, Use::Identity).unwrap();
        }
        assert!(of_aws("arn:aws:iam::aws:policy/AdministratorAccess").is_some());
        assert!(of_aws("arn:aws:iam::aws:policy/ReadOnlyAccess").is_none());
    }
}
