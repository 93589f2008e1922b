//! The services: one file each, with its state, its operations and its wake-ups. Must not know wire formats
//! beyond the names of members.

pub mod cloudwatch;
pub mod codebuild;
pub mod codecommit;
pub mod codedeploy;
pub mod codepipeline;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod elbv2;
pub mod events;
pub mod iam;
pub mod kms;
pub mod lambda;
pub mod logs;

pub(crate) mod query;
pub mod quotas;
pub mod s3;
pub mod sts;
pub mod tagging;

use crate::wire::{Call, Fault, Reply};
use crate::world::{Timer, Wake, World};

/// Answers a call. The state is at the present already.
pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.service.as_str() {
        "codebuild" => codebuild::call(world, call),
        "codecommit" => codecommit::call(world, call),
        "codedeploy" => codedeploy::call(world, call),
        "codepipeline" => codepipeline::call(world, call),
        "ec2" => ec2::call(world, call),
        "ecr" => ecr::call(world, call),
        "ecs" => ecs::call(world, call),
        "elasticloadbalancing" => elbv2::call(world, call),
        "events" => events::call(world, call),
        "iam" => iam::call(world, call),
        "kms" => kms::call(world, call),
        "lambda" => lambda::call(world, call),
        "logs" => logs::call(world, call),
        "monitoring" => cloudwatch::call(world, call),
        "s3" => s3::call(world, call),
        "servicequotas" => quotas::call(world, call),
        "sts" => sts::call(world, call),
        "tagging" => tagging::call(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Every operation that the sandbox has: (service's signing name, operations).
pub fn operations() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("codebuild", codebuild::OPERATIONS),
        ("codecommit", codecommit::OPERATIONS),
        ("codedeploy", codedeploy::OPERATIONS),
        ("codepipeline", codepipeline::OPERATIONS),
        ("ec2", ec2::OPERATIONS),
        ("ecr", ecr::OPERATIONS),
        ("ecs", ecs::OPERATIONS),
        ("elasticloadbalancing", elbv2::OPERATIONS),
        ("events", events::OPERATIONS),
        ("iam", iam::OPERATIONS),
        ("kms", kms::OPERATIONS),
        ("lambda", lambda::OPERATIONS),
        ("logs", logs::OPERATIONS),
        ("monitoring", cloudwatch::OPERATIONS),
        ("s3", s3::OPERATIONS),
        ("servicequotas", quotas::OPERATIONS),
        ("sts", sts::OPERATIONS),
        ("tagging", tagging::OPERATIONS),
    ]
}

/// Hands a timer to its owner.
pub(crate) fn wake(world: &mut World, timer: &Timer) {
    match &timer.wake {
        Wake::Service(cluster, service) => {
            crate::tasks::wake(world, &timer.region, cluster, service)
        }
        Wake::Lone(cluster) => crate::tasks::lone::wake(world, &timer.region, cluster),
        Wake::Deployment(id) => crate::rollout::wake(world, &timer.region, id),
        Wake::Pipeline(name) => crate::pipeline::wake(world, &timer.region, name),
        Wake::Build(id) => crate::build::wake(world, &timer.region, id),
        Wake::Alarms => cloudwatch::wake(world, &timer.region),
    }
}
