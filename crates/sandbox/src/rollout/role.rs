//! What CodeDeploy does in the name of the deployment group's role, and the words in which a deployment fails for want of it. The
//! calls are those of AWS's managed policy AWSCodeDeployRoleForECS. Must not do the work itself.

use serde_json::{Value, json};

use super::error;
use crate::iam::Denial;
use crate::iam::acting::Actor;
use crate::services::codedeploy::{Deployment, ErrorInformation};
use crate::wire::Input as _;
use crate::world::World;

/// The group's role, assumed for a deployment.
pub(super) struct Role<'a> {
    actor: Actor,
    deployment: &'a Deployment,
}

impl<'a> Role<'a> {
    /// Assumes the group's role, in a session that is called like the deployment.
    pub(super) fn assume(
        world: &World,
        region: &str,
        deployment: &'a Deployment,
    ) -> Result<Self, ErrorInformation> {
        let role = &deployment.settings.role;
        let group = format!(
            "deploymentgroup:{}/{}",
            deployment.application, deployment.group
        );
        let source = world.arn("codedeploy", region, &group);
        let service = "codedeploy.amazonaws.com";
        Actor::assume(world, region, role, service, &source, &deployment.id)
            .map(|actor| Self { actor, deployment })
            .map_err(|reason| {
                let message = format!("CodeDeploy can't assume the service role {role}: {reason}");
                error("IAM_ROLE_PERMISSIONS", message)
            })
    }

    /// Looks at the service and its task sets.
    pub(super) fn look_at_service(&self, world: &World) -> Result<(), ErrorInformation> {
        let settings = &self.deployment.settings;
        let input = json!({ "cluster": settings.cluster, "services": [settings.service] });
        self.ecs(world, "DescribeServices", input)
    }

    /// Looks at the target groups, and at the listeners with their rules.
    pub(super) fn look_at_balancer(&self, world: &World) -> Result<(), ErrorInformation> {
        for operation in ["DescribeTargetGroups", "DescribeListeners", "DescribeRules"] {
            self.balancing(world, operation, json!({}))?;
        }
        Ok(())
    }

    /// Makes the green task set.
    pub(super) fn create_task_set(
        &self,
        world: &World,
        definition: &str,
    ) -> Result<(), ErrorInformation> {
        let settings = &self.deployment.settings;
        let input = json!({
            "cluster": settings.cluster,
            "service": settings.service,
            "taskDefinition": definition,
        });
        self.ecs(world, "CreateTaskSet", input)
    }

    /// Makes a task set the primary one.
    pub(super) fn set_primary(&self, world: &World) -> Result<(), ErrorInformation> {
        let settings = &self.deployment.settings;
        let input = json!({ "cluster": settings.cluster, "service": settings.service });
        self.ecs(world, "UpdateServicePrimaryTaskSet", input)
    }

    /// Takes a task set away, by ARN.
    pub(super) fn delete_task_set(
        &self,
        world: &World,
        task_set: &str,
    ) -> Result<(), ErrorInformation> {
        let settings = &self.deployment.settings;
        let input = json!({
            "cluster": settings.cluster,
            "service": settings.service,
            "taskSet": task_set,
        });
        self.ecs(world, "DeleteTaskSet", input)
    }

    /// Moves a listener's traffic.
    pub(super) fn modify_listener(
        &self,
        world: &World,
        listener: &str,
    ) -> Result<(), ErrorInformation> {
        let input = json!({ "ListenerArn": listener });
        self.balancing(world, "ModifyListener", input)
    }

    /// Looks at the alarms.
    pub(super) fn look_at_alarms(&self, world: &World) -> Result<(), ErrorInformation> {
        let input = json!({ "AlarmNames": self.deployment.settings.alarms.names });
        self.actor
            .may(world, "monitoring", "DescribeAlarms", input)
            .map_err(|denial| self.denied("AmazonCloudWatch", &denial))
    }

    /// Calls the function of a hook.
    pub(super) fn call_function(&self, world: &World, arn: &str) -> Result<(), ErrorInformation> {
        self.actor
            .needs(world, "lambda:InvokeFunction", arn)
            .map_err(|denial| self.denied("AWSLambda", &denial))
    }

    /// Reads the AppSpec, where it is in a bucket.
    pub(super) fn read_revision(&self, world: &World) -> Result<(), ErrorInformation> {
        let Some(location) = self.deployment.revision.get("s3Location") else {
            return Ok(());
        };
        let (bucket, key) = (
            location.text("bucket").unwrap_or_default(),
            location.text("key").unwrap_or_default(),
        );
        self.actor
            .may_s3(world, "GetObject", bucket, key, location.text("version"))
            .map_err(|denial| self.denied("AmazonS3", &denial))
    }

    fn ecs(&self, world: &World, operation: &str, input: Value) -> Result<(), ErrorInformation> {
        self.actor
            .may(world, "ecs", operation, input)
            .map_err(|denial| self.denied("AmazonECS", &denial))
    }

    fn balancing(
        &self,
        world: &World,
        operation: &str,
        input: Value,
    ) -> Result<(), ErrorInformation> {
        self.actor
            .may(world, "elasticloadbalancing", operation, input)
            .map_err(|denial| self.denied("AmazonElasticLoadBalancing", &denial))
    }

    /// CodeDeploy names the service and not the action, which is in the log of whoever runs the sandbox.
    fn denied(&self, service: &str, denial: &Denial) -> ErrorInformation {
        tracing::debug!(deployment = self.deployment.id, %denial, "CodeDeploy was refused");
        let message = format!(
            "The IAM role {} does not give you permission to perform operations in the following AWS service: {service}. Contact your AWS \
             administrator if you need help. If you are an AWS administrator, you can grant permissions to your users or groups by \
             creating IAM policies.",
            self.deployment.settings.role
        );
        error("IAM_ROLE_PERMISSIONS", message)
    }
}
