//! CodeDeploy applications, configurations and deployment groups. Must not deploy.

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types as cd;
use ecspipe_provision::resource::{
    DeploymentApplication, DeploymentConfig, DeploymentGroup, Ready, Traffic,
};
use ecspipe_provision::{CloudError, Have, Key, Kind, Progress, Scope, Tags};

use super::{Seen, Update, unless_ours};
use crate::classify::{OrMissing as _, Refine as _, Said as _};
use crate::view::View;
use crate::{Account, all};

/// The ARN of an application in CodeDeploy's own form.
pub(crate) fn application_arn(scope: &ecspipe_spec::Facts, name: &str) -> String {
    scope.arn("codedeploy", &format!("application:{name}"))
}

/// The ARN of a deployment group.
pub(crate) fn group_arn(scope: &ecspipe_spec::Facts, application: &str, group: &str) -> String {
    scope.arn(
        "codedeploy",
        &format!("deploymentgroup:{application}/{group}"),
    )
}

async fn tags_of(
    view: &View,
    scope: &Scope,
    arn: &str,
) -> Result<std::collections::BTreeMap<String, String>, CloudError> {
    match view.indexed(scope, arn).await {
        Some(tags) => Ok(tags),
        None => listed_tags(view, arn).await,
    }
}

async fn listed_tags(
    account: &Account,
    arn: &str,
) -> Result<std::collections::BTreeMap<String, String>, CloudError> {
    let call = account
        .codedeploy
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call
        .said("codedeploy", "ListTagsForResource")
        .or_missing()?;
    Ok(crate::tags::map(
        answer
            .iter()
            .flat_map(|answer| answer.tags())
            .map(|tag| (tag.key(), tag.value())),
    ))
}

async fn retag(account: &Account, arn: &str, update: &Update<'_>) -> Result<(), CloudError> {
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let call = account
            .codedeploy
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(crate::tags::list!(cd::Tag, retag.add)))
            .send()
            .await;
        call.said("codedeploy", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .codedeploy
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("codedeploy", "UntagResource")?;
    }
    Ok(())
}

/// What one look at an app's deployment group tells, of the application too.
#[derive(Clone)]
pub(crate) enum Group {
    Found(Box<cd::DeploymentGroupInfo>),
    /// The application may be there all the same.
    Missing,
    /// Nor is there the application.
    NoApplication,
}

/// Group and application both have the app's name.
/// The app's deployment group, asked once in a view.
pub(crate) async fn group_of(view: &View, scope: &Scope) -> Result<Group, CloudError> {
    let Some((_, name)) = scope.wanted_of(Kind::DeploymentGroup).next() else {
        return Ok(Group::Missing);
    };
    let look = || async {
        let call = view
            .codedeploy
            .get_deployment_group()
            .application_name(scope.names.app())
            .deployment_group_name(name)
            .send()
            .await;
        match call.said("codedeploy", "GetDeploymentGroup") {
            Err(error) if error.code == "ApplicationDoesNotExistException" => {
                Ok(Group::NoApplication)
            }
            answer => Ok(answer
                .or_missing()?
                .and_then(|answer| answer.deployment_group_info().cloned())
                .map_or(Group::Missing, |group| Group::Found(Box::new(group)))),
        }
    };
    view.deployment_groups.get(name.to_owned(), look).await
}

/// A group tells its application's platform, and that there is one.
async fn platform_of(
    view: &View,
    scope: &Scope,
    name: &str,
) -> Result<Option<cd::ComputePlatform>, CloudError> {
    match group_of(view, scope).await? {
        Group::NoApplication => return Ok(None),
        Group::Found(group) => {
            if let Some(platform) = group.compute_platform() {
                return Ok(Some(platform.clone()));
            }
        }
        Group::Missing => {}
    }
    let call = view
        .codedeploy
        .get_application()
        .application_name(name)
        .send()
        .await;
    let answer = call.said("codedeploy", "GetApplication").or_missing()?;
    let application = answer.and_then(|answer| answer.application().cloned());
    Ok(application.map(|application| {
        let platform = application.compute_platform().cloned();
        platform.unwrap_or_else(|| cd::ComputePlatform::from(""))
    }))
}

pub(crate) async fn list_applications(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let mut found = Vec::new();
    for name in scope.names_of(Kind::DeploymentApplication) {
        let Some(platform) = platform_of(view, scope, name).await? else {
            continue;
        };
        let tags = tags_of(view, scope, &application_arn(&scope.facts, name)).await?;
        let resource = DeploymentApplication {
            name: name.to_owned(),
            compute_platform: platform.as_str().to_owned(),
        };
        found.push(Seen::named(name, tags, resource).into_have(scope, Kind::DeploymentApplication));
    }
    Ok(found)
}

pub(crate) async fn create_application(
    account: &Account,
    want: &DeploymentApplication,
    tags: &Tags,
) -> Result<(), CloudError> {
    let call = account
        .codedeploy
        .create_application()
        .application_name(&want.name)
        .compute_platform(want.compute_platform.as_str().into())
        .set_tags(Some(crate::tags::list!(cd::Tag, tags.all())))
        .send()
        .await;
    match call.said("codedeploy", "CreateApplication") {
        Err(error) if error.code == "ApplicationAlreadyExistsException" => {
            let arn = format!("application:{}", want.name);
            let arn = account.arn("codedeploy", &arn).await?;
            unless_ours(error, &listed_tags(account, &arn).await?, tags)
        }
        done => done.map(|_| ()),
    }
}

pub(crate) async fn update_application(
    account: &Account,
    arn: &str,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    retag(account, arn, update).await
}

pub(crate) async fn delete_application(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .codedeploy
        .delete_application()
        .application_name(&have.name)
        .send()
        .await;
    call.said("codedeploy", "DeleteApplication")
        .or_missing()
        .map(|_| ())
}

/// Configurations carry no tags: those whose names are made of the app's and their parameters are ours.
pub(crate) async fn list_configs(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = view.deployment_configs.get_or_try_init(|| async {
        let pages = view.codedeploy.list_deployment_configs().into_paginator();
        all(pages.items().send())
            .await
            .said("codedeploy", "ListDeploymentConfigs")
    });
    let mut found = Vec::new();
    for name in names.await? {
        let Some(traffic) = Traffic::of_name(scope.app.as_str(), name) else {
            continue;
        };
        let resource = DeploymentConfig {
            name: name.clone(),
            traffic: read_traffic(view, name, traffic).await?,
        };
        let mut have = Seen::named(name, Default::default(), resource)
            .into_have(scope, Kind::DeploymentConfig);
        have.key = Some(Key::new(Kind::DeploymentConfig, traffic.parameters()));
        found.push(have);
    }
    Ok(found)
}

async fn read_traffic(
    account: &Account,
    name: &str,
    expected: Traffic,
) -> Result<Traffic, CloudError> {
    let call = account
        .codedeploy
        .get_deployment_config()
        .deployment_config_name(name)
        .send()
        .await;
    let Some(answer) = call
        .said("codedeploy", "GetDeploymentConfig")
        .or_missing()?
    else {
        return Ok(expected);
    };
    let routing = answer
        .deployment_config_info()
        .and_then(|config| config.traffic_routing_config().cloned());
    let percent = |value: i32| u8::try_from(value).unwrap_or_default();
    let minutes = |value: i32| u32::try_from(value).unwrap_or_default();
    let canary = routing
        .as_ref()
        .and_then(|routing| routing.time_based_canary());
    let linear = routing
        .as_ref()
        .and_then(|routing| routing.time_based_linear());
    Ok(match (canary, linear) {
        (Some(canary), _) => Traffic::Canary {
            percent: percent(canary.canary_percentage()),
            minutes: minutes(canary.canary_interval()),
        },
        (_, Some(linear)) => Traffic::Linear {
            percent: percent(linear.linear_percentage()),
            minutes: minutes(linear.linear_interval()),
        },
        _ => expected,
    })
}

pub(crate) async fn create_config(
    account: &Account,
    want: &DeploymentConfig,
) -> Result<(), CloudError> {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let routing = cd::TrafficRoutingConfig::builder();
    let routing = match want.traffic {
        Traffic::Canary { percent, minutes } => routing
            .r#type(cd::TrafficRoutingType::TimeBasedCanary)
            .time_based_canary(
                cd::TimeBasedCanary::builder()
                    .canary_percentage(i32::from(percent))
                    .canary_interval(int(minutes))
                    .build(),
            ),
        Traffic::Linear { percent, minutes } => routing
            .r#type(cd::TrafficRoutingType::TimeBasedLinear)
            .time_based_linear(
                cd::TimeBasedLinear::builder()
                    .linear_percentage(i32::from(percent))
                    .linear_interval(int(minutes))
                    .build(),
            ),
    };
    let call = account
        .codedeploy
        .create_deployment_config()
        .deployment_config_name(&want.name)
        .compute_platform(cd::ComputePlatform::Ecs)
        .traffic_routing_config(routing.build())
        .send()
        .await;
    match call.said("codedeploy", "CreateDeploymentConfig") {
        Err(error) if error.code == "DeploymentConfigAlreadyExistsException" => Ok(()),
        done => done.map(|_| ()),
    }
}

pub(crate) async fn delete_config(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .codedeploy
        .delete_deployment_config()
        .deployment_config_name(&have.name)
        .send()
        .await;
    call.said("codedeploy", "DeleteDeploymentConfig")
        .or_missing()
        .map(|_| ())
}

pub(crate) async fn list_groups(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let Group::Found(group) = group_of(view, scope).await? else {
        return Ok(Vec::new());
    };
    let name = group.deployment_group_name().unwrap_or_default();
    let arn = group_arn(&scope.facts, scope.names.app(), name);
    let tags = tags_of(view, scope, &arn).await?;
    let seen = Seen::named(name, tags, resource(&group));
    Ok(vec![seen.into_have(scope, Kind::DeploymentGroup)])
}

fn resource(group: &cd::DeploymentGroupInfo) -> DeploymentGroup {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let minutes = |value: i32| u32::try_from(value).unwrap_or_default();
    let service = group.ecs_services().first();
    let pair = group
        .load_balancer_info()
        .and_then(|info| info.target_group_pair_info_list().first());
    let route = |route: Option<&cd::TrafficRoute>| {
        route.and_then(|route| route.listener_arns().first().cloned())
    };
    let blue_green = group.blue_green_deployment_configuration();
    let ready = blue_green.and_then(|configuration| configuration.deployment_ready_option());
    let waits = ready.and_then(|ready| ready.action_on_timeout())
        == Some(&cd::DeploymentReadyAction::StopDeployment);
    let terminate = blue_green
        .and_then(|configuration| configuration.terminate_blue_instances_on_deployment_success());
    let rollback = group
        .auto_rollback_configuration()
        .filter(|rollback| rollback.enabled());
    DeploymentGroup {
        name: text(group.deployment_group_name()),
        application: text(group.application_name()),
        config: text(group.deployment_config_name()),
        role: text(group.service_role_arn()),
        cluster: text(service.and_then(|service| service.cluster_name())),
        service: text(service.and_then(|service| service.service_name())),
        target_groups: pair
            .map(|pair| pair.target_groups())
            .unwrap_or_default()
            .iter()
            .filter_map(|group| group.name().map(ToOwned::to_owned))
            .collect(),
        production_listener: route(pair.and_then(|pair| pair.prod_traffic_route()))
            .unwrap_or_default(),
        test_listener: route(pair.and_then(|pair| pair.test_traffic_route())),
        ready: match ready {
            Some(option) if waits => Ready::Wait {
                minutes: minutes(option.wait_time_in_minutes()),
            },
            _ => Ready::Continue,
        },
        keep_old_minutes: terminate
            .map(|terminate| minutes(terminate.termination_wait_time_in_minutes()))
            .unwrap_or_default(),
        rollback_events: rollback
            .map(|rollback| {
                rollback
                    .events()
                    .iter()
                    .map(|event| event.as_str().to_owned())
                    .collect()
            })
            .unwrap_or_default(),
        alarms: group
            .alarm_configuration()
            .filter(|configuration| configuration.enabled())
            .map(|configuration| configuration.alarms())
            .unwrap_or_default()
            .iter()
            .filter_map(|alarm| alarm.name().map(ToOwned::to_owned))
            .collect(),
    }
}

/// The parts of a group in the SDK's types: creation and change take the same.
struct Parts {
    style: cd::DeploymentStyle,
    service: cd::EcsService,
    balancer: cd::LoadBalancerInfo,
    blue_green: cd::BlueGreenDeploymentConfiguration,
    rollback: cd::AutoRollbackConfiguration,
    alarms: cd::AlarmConfiguration,
}

fn parts(want: &DeploymentGroup) -> Parts {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let route = |listener: &str| cd::TrafficRoute::builder().listener_arns(listener).build();
    let groups = want
        .target_groups
        .iter()
        .map(|name| cd::TargetGroupInfo::builder().name(name).build())
        .collect();
    let pair = cd::TargetGroupPairInfo::builder()
        .set_target_groups(Some(groups))
        .prod_traffic_route(route(&want.production_listener))
        .set_test_traffic_route(want.test_listener.as_deref().map(route))
        .build();
    let ready = match want.ready {
        Ready::Continue => cd::DeploymentReadyOption::builder()
            .action_on_timeout(cd::DeploymentReadyAction::ContinueDeployment),
        Ready::Wait { minutes } => cd::DeploymentReadyOption::builder()
            .action_on_timeout(cd::DeploymentReadyAction::StopDeployment)
            .wait_time_in_minutes(int(minutes)),
    };
    let terminate = cd::BlueInstanceTerminationOption::builder()
        .action(cd::InstanceAction::Terminate)
        .termination_wait_time_in_minutes(int(want.keep_old_minutes));
    let events: BTreeSet<&str> = want.rollback_events.iter().map(String::as_str).collect();
    let rollback = cd::AutoRollbackConfiguration::builder()
        .enabled(!events.is_empty())
        .set_events(Some(
            events
                .into_iter()
                .map(cd::AutoRollbackEvent::from)
                .collect(),
        ));
    let alarms = want
        .alarms
        .iter()
        .map(|name| cd::Alarm::builder().name(name).build())
        .collect();
    Parts {
        style: cd::DeploymentStyle::builder()
            .deployment_type(cd::DeploymentType::BlueGreen)
            .deployment_option(cd::DeploymentOption::WithTrafficControl)
            .build(),
        service: cd::EcsService::builder()
            .cluster_name(&want.cluster)
            .service_name(&want.service)
            .build(),
        balancer: cd::LoadBalancerInfo::builder()
            .target_group_pair_info_list(pair)
            .build(),
        blue_green: cd::BlueGreenDeploymentConfiguration::builder()
            .deployment_ready_option(ready.build())
            .terminate_blue_instances_on_deployment_success(terminate.build())
            .build(),
        rollback: rollback.build(),
        // Said in full also when there are none: what a change leaves out stays as it is (AWS.md §4.1).
        alarms: cd::AlarmConfiguration::builder()
            .enabled(!want.alarms.is_empty())
            .ignore_poll_alarm_failure(false)
            .set_alarms(Some(alarms))
            .build(),
    }
}

pub(crate) async fn create_group(
    account: &Account,
    want: &DeploymentGroup,
    tags: &Tags,
    progress: &Progress,
) -> Result<(), CloudError> {
    let make = || async {
        let parts = parts(want);
        let call = account
            .codedeploy
            .create_deployment_group()
            .application_name(&want.application)
            .deployment_group_name(&want.name)
            .deployment_config_name(&want.config)
            .service_role_arn(&want.role)
            .deployment_style(parts.style)
            .ecs_services(parts.service)
            .load_balancer_info(parts.balancer)
            .blue_green_deployment_configuration(parts.blue_green)
            .auto_rollback_configuration(parts.rollback)
            .alarm_configuration(parts.alarms)
            .set_tags(Some(crate::tags::list!(cd::Tag, tags.all())))
            .send()
            .await;
        match call.said("codedeploy", "CreateDeploymentGroup") {
            Err(error) if error.code == "DeploymentGroupAlreadyExistsException" => {
                let arn = format!("deploymentgroup:{}/{}", want.application, want.name);
                let arn = account.arn("codedeploy", &arn).await?;
                unless_ours(error, &listed_tags(account, &arn).await?, tags)
            }
            done => done.map(|_| ()),
        }
    };
    account.pace.settled(progress, make).await
}

pub(crate) async fn update_group(
    account: &Account,
    arn: &str,
    want: &DeploymentGroup,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update
        .changes
        .iter()
        .any(|change| change.property() != "tags")
    {
        let make = || async {
            let parts = parts(want);
            let call = account
                .codedeploy
                .update_deployment_group()
                .application_name(&want.application)
                .current_deployment_group_name(&want.name)
                .deployment_config_name(&want.config)
                .service_role_arn(&want.role)
                .deployment_style(parts.style)
                .ecs_services(parts.service)
                .load_balancer_info(parts.balancer)
                .blue_green_deployment_configuration(parts.blue_green)
                .auto_rollback_configuration(parts.rollback)
                .alarm_configuration(parts.alarms)
                .send()
                .await;
            call.said("codedeploy", "UpdateDeploymentGroup").map(|_| ())
        };
        account.pace.settled(update.progress, make).await?;
    }
    retag(account, arn, update).await
}

/// A deployment in flight is stopped with its group: nothing would be left for it to move.
pub(crate) async fn delete_group(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let ecspipe_provision::Resource::DeploymentGroup(group) = &have.resource else {
        return Err(super::wrong_kind(Kind::DeploymentGroup));
    };
    stop_deployments(account, group, progress).await?;
    let call = account
        .codedeploy
        .delete_deployment_group()
        .application_name(&group.application)
        .deployment_group_name(&group.name)
        .send()
        .await;
    call.said("codedeploy", "DeleteDeploymentGroup")
        .or_missing()
        .map(|_| ())
}

async fn stop_deployments(
    account: &Account,
    group: &DeploymentGroup,
    progress: &Progress,
) -> Result<(), CloudError> {
    let none_left = || async {
        let items = account
            .codedeploy
            .list_deployments()
            .application_name(&group.application)
            .deployment_group_name(&group.name)
            .include_only_statuses(cd::DeploymentStatus::Created)
            .include_only_statuses(cd::DeploymentStatus::Queued)
            .include_only_statuses(cd::DeploymentStatus::InProgress)
            .include_only_statuses(cd::DeploymentStatus::Ready)
            .into_paginator()
            .items()
            .send();
        let running = all(items)
            .await
            .said("codedeploy", "ListDeployments")
            .or_missing()?
            .unwrap_or_default();
        for id in &running {
            let call = account
                .codedeploy
                .stop_deployment()
                .deployment_id(id)
                .auto_rollback_enabled(false)
                .send()
                .await;
            match call.said("codedeploy", "StopDeployment") {
                Err(error) if error.code == "DeploymentAlreadyCompletedException" => {}
                done => done.map(|_| ())?,
            }
        }
        Ok(running.is_empty().then_some(()))
    };
    let stopped = account
        .pace
        .until(
            progress,
            "the deployment in flight to stop",
            crate::pace::LATER,
            none_left,
        )
        .await;
    stopped
        .map_err(|error| error.with_hint("stop it with `ecspipe stop`, then run the command again"))
}
