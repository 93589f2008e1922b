//! Target groups with health check and attributes. Must not register targets: ECS does.

use aws_sdk_elasticloadbalancingv2::types::{
    Matcher, TargetGroup as Found, TargetGroupAttribute, TargetHealthDescription,
    TargetHealthReasonEnum, TargetHealthStateEnum,
};
use ecspipe_provision::resource::{HealthCheck, TargetGroup};
use ecspipe_provision::{CloudError, Have, Kind, Progress, Scope, Tags, Targets};

use super::balancing;
use super::load_balancer::{elb_tags, retag};
use super::{Seen, Update, once_released, unsaid};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;

const DELAY: &str = "deregistration_delay.timeout_seconds";

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let balancing = balancing::of_app(view, scope).await?;
    let seen = balancing.groups.iter().map(|group| {
        let arn = group.target_group_arn().unwrap_or_default();
        let delay = balancing.delays.get(arn).copied().unwrap_or_default();
        let name = group.target_group_name().unwrap_or_default();
        Seen::named(name, balancing.tags_of(arn), resource(group, delay)).with_id(arn)
    });
    Ok(seen
        .map(|seen| seen.into_have(scope, Kind::TargetGroup))
        .collect())
}

/// Target groups by their names. One name that doesn't exist fails the whole call, so they are then asked for one by one.
pub(crate) async fn describe(account: &Account, names: &[&str]) -> Result<Vec<Found>, CloudError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(found) = named(account, names).await? {
        return Ok(found);
    }
    if names.len() == 1 {
        return Ok(Vec::new());
    }
    let each = names
        .iter()
        .map(|name| named(account, std::slice::from_ref(name)));
    let found = futures::future::try_join_all(each).await?;
    Ok(found.into_iter().flatten().flatten().collect())
}

/// Target groups by their names; `None` where one of them doesn't exist.
pub(crate) async fn named(
    account: &Account,
    names: &[&str],
) -> Result<Option<Vec<Found>>, CloudError> {
    let list = names.iter().map(|name| (*name).to_owned()).collect();
    let call = account
        .elb
        .describe_target_groups()
        .set_names(Some(list))
        .send()
        .await;
    let answer = call
        .said("elasticloadbalancing", "DescribeTargetGroups")
        .or_missing()?;
    Ok(answer.map(|answer| answer.target_groups().to_vec()))
}

/// The targets of a group; `None` where it is gone.
pub(crate) async fn health(
    account: &Account,
    arn: &str,
) -> Result<Option<Vec<TargetHealthDescription>>, CloudError> {
    let call = account
        .elb
        .describe_target_health()
        .target_group_arn(arn)
        .send()
        .await;
    let answer = call
        .said("elasticloadbalancing", "DescribeTargetHealth")
        .or_missing()?;
    Ok(answer.map(|answer| answer.target_health_descriptions.unwrap_or_default()))
}

/// How the targets of a group stand; there are none where it is gone. Those that drain don't count.
pub(crate) async fn targets(account: &Account, arn: &str) -> Result<Targets, CloudError> {
    let found = health(account, arn).await?.unwrap_or_default();
    let mut targets = Targets::default();
    for health in found.iter().filter_map(|target| target.target_health()) {
        match health.state() {
            Some(TargetHealthStateEnum::Healthy) => targets.healthy += 1,
            Some(TargetHealthStateEnum::Initial) => targets.starting += 1,
            Some(TargetHealthStateEnum::Draining) | None => {}
            Some(TargetHealthStateEnum::Unused)
                if health.reason() == Some(&TargetHealthReasonEnum::NotInUse) =>
            {
                targets.unused += 1;
            }
            Some(_) => targets.unhealthy += 1,
        }
    }
    Ok(targets)
}

/// A target group's deregistration delay in seconds, by its ARN.
pub(crate) async fn delay(account: &Account, arn: &str) -> Result<u32, CloudError> {
    let call = account
        .elb
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send()
        .await;
    let answer = call.said("elasticloadbalancing", "DescribeTargetGroupAttributes")?;
    let attribute = answer
        .attributes()
        .iter()
        .find(|attribute| attribute.key() == Some(DELAY));
    Ok(attribute
        .and_then(|attribute| attribute.value())
        .and_then(|value| value.parse().ok())
        .unwrap_or_default())
}

fn resource(group: &Found, deregistration_delay_seconds: u32) -> TargetGroup {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let number = |value: Option<i32>| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or_default()
    };
    TargetGroup {
        name: text(group.target_group_name()),
        vpc: text(group.vpc_id()),
        target_type: text(group.target_type().map(|kind| kind.as_str())),
        protocol: text(group.protocol().map(|protocol| protocol.as_str())),
        protocol_version: text(group.protocol_version()),
        port: group
            .port()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
        health_check: HealthCheck {
            protocol: text(
                group
                    .health_check_protocol()
                    .map(|protocol| protocol.as_str()),
            ),
            port: text(group.health_check_port()),
            path: text(group.health_check_path()),
            status: text(group.matcher().and_then(Matcher::http_code)),
            interval_seconds: number(group.health_check_interval_seconds()),
            timeout_seconds: number(group.health_check_timeout_seconds()),
            healthy: number(group.healthy_threshold_count()),
            unhealthy: number(group.unhealthy_threshold_count()),
        },
        deregistration_delay_seconds,
    }
}

fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Its name makes the creation repeatable: AWS gives the existing one back where all settings are the same.
pub(crate) async fn create(
    account: &Account,
    want: &TargetGroup,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let check = &want.health_check;
    let make = || async {
        let call = account
            .elb
            .create_target_group()
            .name(&want.name)
            .vpc_id(&want.vpc)
            .target_type(want.target_type.as_str().into())
            .protocol(want.protocol.as_str().into())
            .protocol_version(&want.protocol_version)
            .port(i32::from(want.port))
            .health_check_protocol(check.protocol.as_str().into())
            .health_check_port(&check.port)
            .health_check_path(&check.path)
            .matcher(Matcher::builder().http_code(&check.status).build())
            .health_check_interval_seconds(int(check.interval_seconds))
            .health_check_timeout_seconds(int(check.timeout_seconds))
            .healthy_threshold_count(int(check.healthy))
            .unhealthy_threshold_count(int(check.unhealthy))
            .set_tags(Some(elb_tags(tags.all())))
            .send()
            .await;
        call.said("elasticloadbalancing", "CreateTargetGroup")
    };
    let made = account.pace.settled(progress, make).await?;
    let arn = made
        .target_groups()
        .first()
        .and_then(|group| group.target_group_arn());
    let arn = arn.ok_or_else(|| unsaid("elasticloadbalancing", "CreateTargetGroup", "ARN"))?;
    set_delay(account, arn, want).await?;
    Ok(arn.to_owned())
}

async fn set_delay(account: &Account, arn: &str, want: &TargetGroup) -> Result<(), CloudError> {
    let attribute = TargetGroupAttribute::builder()
        .key(DELAY)
        .value(want.deregistration_delay_seconds.to_string())
        .build();
    let call = account
        .elb
        .modify_target_group_attributes()
        .target_group_arn(arn)
        .attributes(attribute)
        .send()
        .await;
    call.said("elasticloadbalancing", "ModifyTargetGroupAttributes")
        .map(|_| ())
}

pub(crate) async fn update(
    account: &Account,
    want: &TargetGroup,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let arn = &update.have.id;
    if update.touches(&["health_check"]) {
        let check = &want.health_check;
        let call = account
            .elb
            .modify_target_group()
            .target_group_arn(arn)
            .health_check_protocol(check.protocol.as_str().into())
            .health_check_port(&check.port)
            .health_check_path(&check.path)
            .matcher(Matcher::builder().http_code(&check.status).build())
            .health_check_interval_seconds(int(check.interval_seconds))
            .health_check_timeout_seconds(int(check.timeout_seconds))
            .healthy_threshold_count(int(check.healthy))
            .unhealthy_threshold_count(int(check.unhealthy));
        call.send()
            .await
            .said("elasticloadbalancing", "ModifyTargetGroup")?;
    }
    if update.touches(&["deregistration_delay_seconds"]) {
        set_delay(account, arn, want).await?;
    }
    retag(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        let call = account
            .elb
            .delete_target_group()
            .target_group_arn(&have.id)
            .send()
            .await;
        call.said("elasticloadbalancing", "DeleteTargetGroup")
            .map(|_| ())
    };
    once_released(
        account.pace,
        progress,
        "the listeners to let the target group go",
        call,
    )
    .await
}
