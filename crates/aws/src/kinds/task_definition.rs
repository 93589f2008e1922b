//! Task definition families. A family is seen through its newest active revision. Must not decide which revision runs.

use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionOutput;
use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionFluentBuilder;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, CpuArchitecture, KeyValuePair, LogConfiguration, LogDriver,
    NetworkMode, OsFamily, PortMapping, RuntimePlatform, SortOrder, Tag, TaskDefinition as Found,
    TaskDefinitionField, TaskDefinitionStatus, TransportProtocol,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecspipe_provision::resource::TaskDefinition;
use ecspipe_provision::{CloudError, Have, Kind, Resource, Scope, Tags};
use ecspipe_spec::taskdef;

use super::cluster::{ecs_tags, retag};
use super::{Seen, Update, is_ours, unrepeated, unsaid};
use crate::classify::{Said as _, local};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(account: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::TaskDefinition);
    let found =
        futures::future::try_join_all(names.iter().map(|family| fetch(account, scope, family)))
            .await?;
    Ok(found.into_iter().flatten().collect())
}

pub(crate) async fn describe(
    account: &Account,
    id: &str,
) -> Result<Option<(Found, Vec<Tag>)>, CloudError> {
    let call = account
        .ecs
        .describe_task_definition()
        .task_definition(id)
        .include(TaskDefinitionField::Tags)
        .send()
        .await;
    match call.said("ecs", "DescribeTaskDefinition") {
        Ok(answer) => Ok(answer
            .task_definition()
            .cloned()
            .map(|definition| (definition, answer.tags().to_vec()))),
        Err(error)
            if error.code == "ClientException"
                && error.message.contains("Unable to describe task definition") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn fetch(account: &Account, scope: &Scope, family: &str) -> Result<Option<Have>, CloudError> {
    let Some((newest, tags)) = describe(account, family).await? else {
        return Ok(None);
    };
    let seen = seen(&newest, ecs_tags(&tags));
    if scope.key_of(Kind::TaskDefinition, &seen.tags).is_some() {
        return Ok(Some(seen.into_have(scope, Kind::TaskDefinition)));
    }
    // A revision that the pipeline registered carries no tags: the oldest active one, which `up` made, says whose the family is.
    let oldest = revisions(
        account,
        family,
        TaskDefinitionStatus::Active,
        SortOrder::Asc,
    )
    .await?
    .into_iter()
    .next();
    let Some(oldest) = oldest else {
        return Ok(Some(seen.into_have(scope, Kind::TaskDefinition)));
    };
    let tags = describe(account, &oldest)
        .await?
        .map(|(_, tags)| ecs_tags(&tags))
        .unwrap_or_default();
    Ok(Some(
        Seen { tags, ..seen }.into_have(scope, Kind::TaskDefinition),
    ))
}

/// The ARNs of a family's revisions.
pub(crate) async fn revisions(
    account: &Account,
    family: &str,
    status: TaskDefinitionStatus,
    order: SortOrder,
) -> Result<Vec<String>, CloudError> {
    let items = account
        .ecs
        .list_task_definitions()
        .family_prefix(family)
        .status(status)
        .sort(order)
        .into_paginator()
        .items()
        .send();
    let arns = all(items).await.said("ecs", "ListTaskDefinitions")?;
    // A prefix also finds longer families.
    let own = |arn: &String| {
        arn.rsplit('/')
            .next()
            .and_then(|name| name.split(':').next())
            == Some(family)
    };
    Ok(arns.into_iter().filter(own).collect())
}

fn seen(definition: &Found, tags: std::collections::BTreeMap<String, String>) -> Seen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let platform = definition.runtime_platform();
    let resource = TaskDefinition {
        definition: taskdef::TaskDefinition {
            family: text(definition.family()),
            execution_role_arn: text(definition.execution_role_arn()),
            task_role_arn: text(definition.task_role_arn()),
            network_mode: text(definition.network_mode().map(|mode| mode.as_str())),
            requires_compatibilities: definition
                .requires_compatibilities()
                .iter()
                .map(|kind| kind.as_str().to_owned())
                .collect(),
            cpu: text(definition.cpu()),
            memory: text(definition.memory()),
            runtime_platform: taskdef::RuntimePlatform {
                cpu_architecture: text(
                    platform
                        .and_then(|platform| platform.cpu_architecture())
                        .map(|kind| kind.as_str()),
                ),
                operating_system_family: text(
                    platform
                        .and_then(|platform| platform.operating_system_family())
                        .map(|kind| kind.as_str()),
                ),
            },
            container_definitions: definition
                .container_definitions()
                .iter()
                .map(container)
                .collect(),
        },
    };
    Seen::named(definition.family().unwrap_or_default(), tags, resource)
        .with_id(definition.task_definition_arn().unwrap_or_default())
}

fn container(container: &ContainerDefinition) -> taskdef::ContainerDefinition {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let port = |mapping: &PortMapping| taskdef::PortMapping {
        container_port: mapping
            .container_port()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
        protocol: mapping
            .protocol()
            .map_or("tcp", |protocol| protocol.as_str())
            .to_owned(),
    };
    let mut environment: Vec<taskdef::KeyValue> = container
        .environment()
        .iter()
        .map(|pair| taskdef::KeyValue {
            name: text(pair.name()),
            value: text(pair.value()),
        })
        .collect();
    environment.sort_by(|a, b| a.name.cmp(&b.name));
    let logs = container.log_configuration();
    let options = logs
        .and_then(|logs| logs.options())
        .map(|options| options.clone().into_iter().collect())
        .unwrap_or_default();
    taskdef::ContainerDefinition {
        name: text(container.name()),
        image: text(container.image()),
        essential: container.essential().unwrap_or(true),
        command: container.command().to_vec(),
        port_mappings: container.port_mappings().iter().map(port).collect(),
        environment,
        log_configuration: taskdef::LogConfiguration {
            log_driver: text(logs.map(|logs| logs.log_driver().as_str())),
            options,
        },
    }
}

/// Registers a revision; answers its ARN. Registering the same twice would make two revisions, so where the answer is lost the
/// newest is looked at: there was no such revision before.
pub(crate) async fn create(
    account: &Account,
    want: &TaskDefinition,
    tags: &Tags,
) -> Result<String, CloudError> {
    let make = || async {
        let list = crate::tags::list!(aws_sdk_ecs::types::Tag, tags.all());
        let call = registration(account, &want.definition, list)?;
        arn(unrepeated!(aws_sdk_ecs, call).await)
    };
    let look = || async {
        let newest = describe(account, &want.definition.family).await?;
        let seen = newest.map(|(newest, tags)| seen(&newest, ecs_tags(&tags)));
        let same = |seen: &Seen| {
            seen.resource == Resource::from(want.clone()) && is_ours(&seen.tags, tags)
        };
        Ok(seen.filter(same).map(|seen| seen.id))
    };
    account.pace.once(make, look).await
}

/// Registers a definition with tags; answers its ARN with revision.
pub(crate) async fn register(
    account: &Account,
    want: &taskdef::TaskDefinition,
    tags: Vec<Tag>,
) -> Result<String, CloudError> {
    arn(registration(account, want, tags)?.send().await)
}

fn arn<E>(
    answer: Result<RegisterTaskDefinitionOutput, SdkError<E, HttpResponse>>,
) -> Result<String, CloudError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let answer = answer.said("ecs", "RegisterTaskDefinition")?;
    let arn = answer
        .task_definition()
        .and_then(|definition| definition.task_definition_arn());
    arn.map(ToOwned::to_owned)
        .ok_or_else(|| unsaid("ecs", "RegisterTaskDefinition", "ARN"))
}

fn registration(
    account: &Account,
    want: &taskdef::TaskDefinition,
    tags: Vec<Tag>,
) -> Result<RegisterTaskDefinitionFluentBuilder, CloudError> {
    let containers: Result<Vec<_>, CloudError> = want
        .container_definitions
        .iter()
        .map(sdk_container)
        .collect();
    let platform = RuntimePlatform::builder()
        .cpu_architecture(CpuArchitecture::from(
            want.runtime_platform.cpu_architecture.as_str(),
        ))
        .operating_system_family(OsFamily::from(
            want.runtime_platform.operating_system_family.as_str(),
        ));
    Ok(account
        .ecs
        .register_task_definition()
        .family(&want.family)
        .execution_role_arn(&want.execution_role_arn)
        .task_role_arn(&want.task_role_arn)
        .network_mode(NetworkMode::from(want.network_mode.as_str()))
        .set_requires_compatibilities(Some(
            want.requires_compatibilities
                .iter()
                .map(|kind| Compatibility::from(kind.as_str()))
                .collect(),
        ))
        .cpu(&want.cpu)
        .memory(&want.memory)
        .runtime_platform(platform.build())
        .set_container_definitions(Some(containers?))
        .set_tags((!tags.is_empty()).then_some(tags)))
}

fn sdk_container(want: &taskdef::ContainerDefinition) -> Result<ContainerDefinition, CloudError> {
    let logs = LogConfiguration::builder()
        .log_driver(LogDriver::from(want.log_configuration.log_driver.as_str()))
        .set_options(Some(
            want.log_configuration.options.clone().into_iter().collect(),
        ))
        .build()
        .map_err(|error| local("InvalidRequest", error.to_string()))?;
    let ports = want.port_mappings.iter().map(|mapping| {
        PortMapping::builder()
            .container_port(i32::from(mapping.container_port))
            .protocol(TransportProtocol::from(mapping.protocol.as_str()))
            .build()
    });
    let environment = want.environment.iter().map(|pair| {
        KeyValuePair::builder()
            .name(&pair.name)
            .value(&pair.value)
            .build()
    });
    let container = ContainerDefinition::builder()
        .name(&want.name)
        .image(&want.image)
        .essential(want.essential)
        .set_command((!want.command.is_empty()).then(|| want.command.clone()))
        .set_port_mappings(Some(ports.collect()))
        .set_environment((!want.environment.is_empty()).then(|| environment.collect()))
        .log_configuration(logs);
    Ok(container.build())
}

pub(crate) async fn update(
    account: &Account,
    want: &TaskDefinition,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["definition"]) {
        create(account, want, update.tags).await?;
        return Ok(());
    }
    let oldest = revisions(
        account,
        &want.definition.family,
        TaskDefinitionStatus::Active,
        SortOrder::Asc,
    )
    .await?
    .into_iter()
    .next();
    retag(
        account,
        oldest.as_deref().unwrap_or(&update.have.id),
        update,
    )
    .await
}

/// Takes a revision out of use: tasks that run it go on.
pub(crate) async fn deregister(account: &Account, arn: &str) -> Result<(), CloudError> {
    let call = account
        .ecs
        .deregister_task_definition()
        .task_definition(arn)
        .send()
        .await;
    call.said("ecs", "DeregisterTaskDefinition").map(|_| ())
}

/// Every revision of the family: active ones are deregistered, then all are deleted, ten at a time.
pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let order = SortOrder::Asc;
    let active = TaskDefinitionStatus::Active;
    for arn in revisions(account, &have.name, active, order.clone()).await? {
        deregister(account, &arn).await?;
    }
    let inactive = TaskDefinitionStatus::Inactive;
    let inactive = revisions(account, &have.name, inactive, order).await?;
    for some in inactive.chunks(10) {
        let call = account
            .ecs
            .delete_task_definitions()
            .set_task_definitions(Some(some.to_vec()))
            .send()
            .await;
        call.said("ecs", "DeleteTaskDefinitions")?;
    }
    Ok(())
}
