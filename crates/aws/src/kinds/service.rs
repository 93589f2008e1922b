//! ECS services whose deployments belong to CodeDeploy. What a rollout keeps in the primary task set is read from there.
//! Must not deploy.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, DeploymentController, DeploymentControllerType,
    LaunchType, LoadBalancer, NetworkConfiguration, PropagateTags, Service as Found, ServiceField,
    TaskSet,
};
use ecspipe_provision::resource::{OtherSets, Service};
use ecspipe_provision::{CloudError, Detail, Have, Key, Kind, Progress, Resource, Scope, Tags};

use super::cluster::{ecs_tags, retag};
use super::code_deploy::{self, Group};
use super::{Seen, Update};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::pace::LATER;
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let mut found = Vec::new();
    for name in scope.names_of(Kind::Service) {
        let app = scope.names.app();
        // The app's own cluster too: whoever moves to one that exists must not leave the service behind unseen.
        let known = BTreeSet::from([scope.cluster.as_str(), app]);
        let mut services = in_clusters(view, known.into_iter(), name).await?;
        if services.is_empty() {
            let others = named_by_group(view, scope).await?;
            services = in_clusters(view, others.iter().map(String::as_str), name).await?;
        }
        found.extend(services);
    }
    // Nothing of one that drains can be changed: to whoever compares it is gone. Whoever takes it away still waits for its end.
    if scope.detail == Detail::Properties {
        found.retain(|service| service.status() != Some("DRAINING"));
    }
    Ok(found
        .iter()
        .map(|service| seen(service).into_have(scope, Kind::Service))
        .collect())
}

async fn in_clusters<'a>(
    account: &Account,
    clusters: impl Iterator<Item = &'a str>,
    name: &str,
) -> Result<Vec<Found>, CloudError> {
    let services = clusters.map(|cluster| describe(account, cluster, name));
    let services = futures::future::try_join_all(services).await?;
    Ok(services.into_iter().flatten().collect())
}

/// The cluster that the app's deployment group names: where a service is that the spec has moved away from.
async fn named_by_group(view: &View, scope: &Scope) -> Result<Vec<String>, CloudError> {
    let Group::Found(group) = code_deploy::group_of(view, scope).await? else {
        return Ok(Vec::new());
    };
    let services = group.ecs_services().iter();
    Ok(services
        .filter_map(|service| service.cluster_name().map(ToOwned::to_owned))
        .collect())
}

/// A service that is not INACTIVE.
pub(crate) async fn describe(
    account: &Account,
    cluster: &str,
    name: &str,
) -> Result<Option<Found>, CloudError> {
    let call = account
        .ecs
        .describe_services()
        .cluster(cluster)
        .services(name)
        .include(ServiceField::Tags)
        .send()
        .await;
    match call.said("ecs", "DescribeServices") {
        Err(error) if error.code == "ClusterNotFoundException" => Ok(None),
        answer => {
            let answer = answer.or_missing()?;
            let service = answer.and_then(|answer| answer.services().first().cloned());
            Ok(service.filter(|service| service.status() != Some("INACTIVE")))
        }
    }
}

fn seen(service: &Found) -> Seen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let primary = service
        .task_sets()
        .iter()
        .find(|set| set.status() == Some("PRIMARY"));
    let balancers = primary
        .map(|set| set.load_balancers())
        .filter(|list| !list.is_empty())
        .unwrap_or(service.load_balancers());
    let balancer = balancers.first();
    let network = primary
        .and_then(|set| set.network_configuration())
        .or(service.network_configuration());
    let network = network.and_then(|network| network.awsvpc_configuration());
    let resource = Service {
        name: text(service.service_name()),
        cluster: text(service.cluster_arn().and_then(|arn| arn.rsplit('/').next())),
        controller: text(
            service
                .deployment_controller()
                .map(|controller| controller.r#type().as_str()),
        ),
        launch_type: text(
            primary
                .and_then(|set| set.launch_type())
                .or(service.launch_type())
                .map(|kind| kind.as_str()),
        ),
        // A task set has LATEST resolved to a number, which is nobody's wish; the service keeps what was asked for.
        platform_version: service.platform_version().unwrap_or("LATEST").to_owned(),
        task_definition: text(
            primary
                .and_then(|set| set.task_definition())
                .or(service.task_definition()),
        ),
        desired_count: u32::try_from(service.desired_count()).unwrap_or_default(),
        health_check_grace_seconds: service
            .health_check_grace_period_seconds()
            .and_then(|s| u32::try_from(s).ok())
            .unwrap_or_default(),
        subnets: network
            .map(|network| network.subnets().iter().cloned().collect())
            .unwrap_or_default(),
        security_groups: network
            .map(|network| network.security_groups().iter().cloned().collect())
            .unwrap_or_default(),
        public_address: network
            .is_some_and(|network| network.assign_public_ip() == Some(&AssignPublicIp::Enabled)),
        target_group: text(balancer.and_then(|balancer| balancer.target_group_arn())),
        container_name: text(balancer.and_then(|balancer| balancer.container_name())),
        container_port: balancer
            .and_then(|balancer| balancer.container_port())
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
        propagate_tags: service
            .propagate_tags()
            .map_or("NONE", |kind| kind.as_str())
            .to_owned(),
        execute_command: service.enable_execute_command(),
        others: others(service.task_sets()),
        pair: Default::default(),
        after: Default::default(),
    };
    Seen::named(
        service.service_name().unwrap_or_default(),
        ecs_tags(service.tags()),
        resource,
    )
    .with_attribute("pending", &pending(service).to_string())
}

/// How many tasks are about to start: all of them, where ECS hasn't come to the service yet.
fn pending(service: &Found) -> i32 {
    if service.events().is_empty() {
        service.desired_count() - service.running_count()
    } else {
        service.pending_count()
    }
}

/// Where the task sets beside the primary one stand and listen, those that drain too.
fn others(sets: &[TaskSet]) -> OtherSets {
    let others = || sets.iter().filter(|set| set.status() != Some("PRIMARY"));
    let networks = others().filter_map(|set| set.network_configuration()?.awsvpc_configuration());
    let balancers = others().flat_map(|set| set.load_balancers());
    OtherSets {
        subnets: networks
            .flat_map(|network| network.subnets().iter().cloned())
            .collect(),
        ports: balancers
            .filter_map(|balancer| u16::try_from(balancer.container_port()?).ok())
            .collect(),
    }
}

/// The service is made as soon as ECS has taken it; its tasks start meanwhile. A rollout looks at them, `up` doesn't wait.
pub(crate) async fn create(
    account: &Account,
    key: &Key,
    want: &Service,
    tags: &Tags,
    progress: &Progress,
) -> Result<(), CloudError> {
    let token = Resource::from(want.clone()).request_token(tags.app(), key);
    let make = || async {
        let call = account
            .ecs
            .create_service()
            .client_token(&token)
            .cluster(&want.cluster)
            .service_name(&want.name)
            .deployment_controller(controller(want)?)
            .launch_type(LaunchType::from(want.launch_type.as_str()))
            .platform_version(&want.platform_version)
            .task_definition(&want.task_definition)
            .desired_count(int(want.desired_count))
            .health_check_grace_period_seconds(int(want.health_check_grace_seconds))
            .network_configuration(network(want)?)
            .load_balancers(
                LoadBalancer::builder()
                    .target_group_arn(&want.target_group)
                    .container_name(&want.container_name)
                    .container_port(i32::from(want.container_port))
                    .build(),
            )
            .propagate_tags(PropagateTags::from(want.propagate_tags.as_str()))
            .enable_execute_command(want.execute_command)
            .set_tags(Some(crate::tags::list!(
                aws_sdk_ecs::types::Tag,
                tags.all()
            )))
            .send()
            .await;
        call.said("ecs", "CreateService").map(|_| ())
    };
    account.pace.settled(progress, make).await
}

fn controller(want: &Service) -> Result<DeploymentController, CloudError> {
    let built = DeploymentController::builder()
        .r#type(DeploymentControllerType::from(want.controller.as_str()))
        .build();
    built.map_err(|error| local("InvalidRequest", error.to_string()))
}

fn network(want: &Service) -> Result<NetworkConfiguration, CloudError> {
    let public = if want.public_address {
        AssignPublicIp::Enabled
    } else {
        AssignPublicIp::Disabled
    };
    let network = AwsVpcConfiguration::builder()
        .set_subnets(Some(want.subnets.iter().cloned().collect()))
        .set_security_groups(Some(want.security_groups.iter().cloned().collect()))
        .assign_public_ip(public)
        .build()
        .map_err(|error| local("InvalidRequest", error.to_string()))?;
    Ok(NetworkConfiguration::builder()
        .awsvpc_configuration(network)
        .build())
}

fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Under CODE_DEPLOY only these can be changed (AWS.md §4.5); the rest travels with a deployment.
pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &Service,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&[
        "desired_count",
        "health_check_grace_seconds",
        "propagate_tags",
        "execute_command",
    ]) {
        let call = account
            .ecs
            .update_service()
            .cluster(&want.cluster)
            .service(&want.name);
        let call = if update.touches(&["desired_count"]) {
            call.desired_count(int(want.desired_count))
        } else {
            call
        };
        let call = if update.touches(&["health_check_grace_seconds"]) {
            call.health_check_grace_period_seconds(int(want.health_check_grace_seconds))
        } else {
            call
        };
        let call = if update.touches(&["propagate_tags"]) {
            call.propagate_tags(PropagateTags::from(want.propagate_tags.as_str()))
        } else {
            call
        };
        let call = if update.touches(&["execute_command"]) {
            call.enable_execute_command(want.execute_command)
        } else {
            call
        };
        call.send().await.said("ecs", "UpdateService")?;
    }
    retag(account, arn, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let Resource::Service(service) = &have.resource else {
        return Err(super::wrong_kind(Kind::Service));
    };
    let call = account
        .ecs
        .delete_service()
        .cluster(&service.cluster)
        .service(&service.name)
        .force(true)
        .send()
        .await;
    match call.said("ecs", "DeleteService") {
        Err(error) if error.code == "ClusterNotFoundException" => return Ok(()),
        done => done.or_missing()?,
    };
    let gone = || async {
        Ok(describe(account, &service.cluster, &service.name)
            .await?
            .is_none()
            .then_some(()))
    };
    account
        .pace
        .until(progress, "the service's tasks to drain", LATER, gone)
        .await
}
