//! What a call needs: which actions on which resources, and what is known about the request. The operations are mapped as the
//! service authorization reference has them, one file for each service or family of services. Must not decide.
//!
//! Where a service asks IAM about more than its own operation, that is a need of its own: `iam:PassRole` for a role that is
//! handed over, the tagging action of a call that tags what it creates, KMS for what S3 encrypts.

mod code;
mod ec2;
mod ecs;
mod elbv2;
mod others;
mod s3;
#[cfg(test)]
mod tests;

use super::evaluate::Context;
use crate::services::{ecr, iam};
use crate::wire::{Call, Input as _};
use crate::world::World;

/// One thing that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Such as `ecs:CreateService`.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
    /// What is known besides what every request has.
    pub context: Context,
}

/// What a call needs; `None` for an operation that nobody has mapped.
pub(crate) fn needs(world: &World, call: &Call) -> Option<Vec<Need>> {
    // ECR has signed it for whoever has the URL.
    if ecr::is_download(call) {
        return Some(Vec::new());
    }
    let mut desk = Desk {
        world,
        call,
        request: Context::default(),
        needs: Vec::new(),
    };
    let known = match call.service.as_str() {
        "codebuild" => code::build(&mut desk),
        "codecommit" => code::commit(&mut desk),
        "codedeploy" => code::deploy(&mut desk),
        "codepipeline" => code::pipeline(&mut desk),
        "ec2" => ec2::read(&mut desk),
        "ecr" => others::ecr(&mut desk),
        "ecs" => ecs::read(&mut desk),
        "elasticloadbalancing" => elbv2::read(&mut desk),
        "events" => others::events(&mut desk),
        "iam" => others::iam(&mut desk),
        "kms" => others::kms(&mut desk),
        "lambda" => others::lambda(&mut desk),
        "logs" => others::logs(&mut desk),
        "monitoring" => others::cloudwatch(&mut desk),
        "s3" => s3::read(&mut desk),
        "servicequotas" => others::quotas(&mut desk),
        "sts" => others::sts(&mut desk),
        "tagging" => others::tagging(&mut desk),
        _ => None,
    };
    known.map(|()| desk.finish())
}

/// Where the needs of one call are gathered.
struct Desk<'a> {
    world: &'a World,
    call: &'a Call,
    /// What all of the call's needs know: the tags that it gives.
    request: Context,
    needs: Vec<Need>,
}

impl<'a> Desk<'a> {
    fn operation(&self) -> &'a str {
        &self.call.operation
    }

    fn text(&self, name: &str) -> &'a str {
        self.call.input.text(name).unwrap_or_default()
    }

    /// An ARN of the call's region in the account.
    fn arn(&self, service: &str, resource: &str) -> String {
        self.world.arn(service, &self.call.region, resource)
    }

    /// The call's own action.
    fn own_action(&self) -> String {
        // Some services sign by another name than policies know them by.
        let prefix = match self.call.service.as_str() {
            "monitoring" => "cloudwatch",
            "tagging" => "tag",
            service => service,
        };
        format!("{prefix}:{}", self.call.operation)
    }

    /// Needs the call's own action on a resource.
    fn own(&mut self, resource: impl Into<String>) -> &mut Need {
        let action = self.own_action();
        self.need(&action, resource)
    }

    fn need(&mut self, action: &str, resource: impl Into<String>) -> &mut Need {
        let at = self.needs.len();
        self.needs.push(Need {
            action: action.to_owned(),
            resource: resource.into(),
            context: Context::default(),
        });
        &mut self.needs[at]
    }

    /// The tags that the call gives.
    fn tags(&mut self, tags: impl IntoIterator<Item = (String, String)>) -> bool {
        let mut keys = Vec::new();
        for (key, value) in tags {
            self.request.set(&format!("aws:RequestTag/{key}"), value);
            keys.push(key);
        }
        self.tag_keys(keys)
    }

    /// The keys of the tags that the call gives or takes away.
    fn tag_keys(&mut self, keys: Vec<String>) -> bool {
        let any = !keys.is_empty();
        if any {
            self.request.set_all("aws:TagKeys", keys);
        }
        any
    }

    /// The keys that a member lists.
    fn tag_keys_of(&mut self, member: &str) {
        self.tag_keys(self.call.input.texts(member));
    }

    /// A role that is handed to a service. A name alone is one without a path.
    fn pass_role(&mut self, role: &str, service: &str) {
        if role.is_empty() {
            return;
        }
        let arn = match role.starts_with("arn:") {
            true => role.to_owned(),
            false => self.arn("iam", &format!("role/{role}")),
        };
        let need = self.need("iam:PassRole", arn);
        need.context
            .set("iam:PassedToService", format!("{service}.amazonaws.com"));
    }

    /// The service-linked role that a service makes for the caller where the account lacks it. The sandbox keeps none that
    /// nobody asked for, so the caller needs this each time until somebody calls `CreateServiceLinkedRole`.
    fn linked_role(&mut self, service: &str) {
        let principal = format!("{service}.amazonaws.com");
        let name = iam::linked_role_name(&principal).unwrap_or_default();
        if iam::role_named(self.world, name).is_some() {
            return;
        }
        let arn = self.arn("iam", &format!("role/aws-service-role/{principal}/{name}"));
        let need = self.need("iam:CreateServiceLinkedRole", arn);
        need.context.set("iam:AWSServiceName", principal);
    }

    fn finish(mut self) -> Vec<Need> {
        for need in &mut self.needs {
            let mut context = self.request.clone();
            context.extend(std::mem::take(&mut need.context));
            need.context = context;
        }
        self.needs
    }
}
