//! What the account knows about a resource that matters to a decision: its tags, its policy, the VPC it is in. Must not decide.

use super::document::{self, Statement, Use};
use super::evaluate::Context;
use crate::services::{codebuild, codecommit, codepipeline, kms};
use crate::world::{Region, Tags, World};

/// Services with a key of their own for a resource's tags, beside `aws:ResourceTag`.
const OWN_TAG_KEYS: [&str; 5] = ["ec2", "ecr", "ecs", "elasticloadbalancing", "iam"];

/// What the context of a request about the resource knows.
pub(super) fn about(world: &World, arn: &str) -> Context {
    let mut context = Context::default();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, region, _, rest] = parts.as_slice() else {
        return context;
    };
    context.set("aws:ResourceAccount", world.account.clone());
    for (key, value) in tags(world, service, region, rest, arn) {
        context.set(&format!("aws:ResourceTag/{key}"), value.clone());
        if OWN_TAG_KEYS.contains(service) {
            context.set(&format!("{service}:ResourceTag/{key}"), value);
        }
    }
    match *service {
        "ec2" => {
            let id = rest.rsplit('/').next().unwrap_or_default();
            let state = world.regions.get(*region).map(|region| &region.ec2);
            if let Some(vpc) = state.and_then(|state| state.around(id)) {
                context.set("ec2:Vpc", world.arn("ec2", region, &format!("vpc/{vpc}")));
            }
        }
        "kms" => {
            context.set("kms:CallerAccount", world.account.clone());
            let id = rest.trim_start_matches("key/");
            let aliases = kms::aliases_of(world, region, id);
            if !aliases.is_empty() {
                context.set_all("kms:ResourceAliases", aliases);
            }
        }
        "s3" => context.set("s3:ResourceAccount", world.account.clone()),
        _ => {}
    }
    context
}

/// A resource's own policy, and what it can do.
pub(super) enum Owned {
    /// It has none that counts.
    None,
    /// It grants beside the principal's policies.
    Adds(Vec<Statement>),
    /// Nothing goes without it.
    Decides(Vec<Statement>),
}

/// The policy of the resource. A stored document was checked when it was put, so one that can't be read grants nothing.
pub(super) fn policy(world: &World, arn: &str) -> Owned {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        [_, _, "s3", _, _, path] => {
            let name = path.split('/').next().unwrap_or_default();
            let bucket = world.s3.buckets.get(name);
            match bucket.and_then(|bucket| bucket.policy.as_deref()) {
                Some(text) => Owned::Adds(document::check(text, Use::Resource).unwrap_or_default()),
                None => Owned::None,
            }
        }
        [_, _, "kms", region, _, path] => {
            let id = path.strip_prefix("key/");
            let region = world.regions.get(*region);
            match id.and_then(|id| region?.kms.keys.get(id)) {
                Some(key) => {
                    Owned::Decides(document::check(&key.policy, Use::Resource).unwrap_or_default())
                }
                None => Owned::None,
            }
        }
        _ => Owned::None,
    }
}

fn tags(world: &World, service: &str, region: &str, rest: &str, arn: &str) -> Tags {
    if service == "iam" {
        let name = rest.rsplit('/').next().unwrap_or_default();
        let role = world.iam.roles.get(name).filter(|role| role.arn == arn);
        return role.map(|role| role.tags.clone()).unwrap_or_default();
    }
    let found = world.regions.get(region);
    found
        .and_then(|state| regional_tags(world, state, service, region, rest, arn))
        .unwrap_or_default()
}

fn regional_tags(
    world: &World,
    state: &Region,
    service: &str,
    region: &str,
    rest: &str,
    arn: &str,
) -> Option<Tags> {
    let (kind, name) = rest.split_once(['/', ':']).unwrap_or(("", rest));
    match service {
        "ec2" => state.ec2.tags.get(rest.rsplit('/').next()?).cloned(),
        "elasticloadbalancing" => state.elbv2.tags.get(arn).cloned(),
        "ecs" => match kind {
            "cluster" => Some(state.ecs.clusters.get(name)?.tags.clone()),
            "service" => Some(state.ecs.services.get(name)?.tags.clone()),
            "task" => Some(state.ecs.tasks.get(name.rsplit('/').next()?)?.tags.clone()),
            "task-definition" => Some(
                crate::services::ecs::find_definition(world, region, arn)?
                    .tags
                    .clone(),
            ),
            _ => None,
        },
        "cloudwatch" => Some(state.cloudwatch.alarms.get(name)?.tags.clone()),
        "ecr" => Some(state.ecr.repositories.get(name)?.tags.clone()),
        "kms" => Some(state.kms.keys.get(name)?.tags.clone()),
        "logs" => {
            let group = name.split(':').next()?;
            Some(state.logs.groups.get(group)?.tags.clone())
        }
        "codebuild" => codebuild::tags(state, name),
        "codecommit" => codecommit::tags(state, rest),
        "codedeploy" => match kind {
            "application" => Some(state.codedeploy.applications.get(name)?.tags.clone()),
            "deploymentgroup" => {
                let (application, group) = name.split_once('/')?;
                let application = state.codedeploy.applications.get(application)?;
                Some(application.groups.get(group)?.tags.clone())
            }
            _ => None,
        },
        "codepipeline" => codepipeline::tags(state, rest.split('/').next()?),
        "events" => Some(state.events.rules.get(name)?.tags.clone()),
        _ => None,
    }
}
