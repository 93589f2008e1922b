//! CodeBuild projects whose source and artifacts are a pipeline's. Must not start builds.

use std::collections::BTreeMap;

use aws_sdk_codebuild::types as cb;
use ecspipe_provision::resource::BuildProject;
use ecspipe_provision::{CloudError, Have, Kind, Progress, Scope, Tags};

use super::{Seen, Update, unless_ours};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::BuildProject);
    let all = view.projects.get_or_try_init(|| fetch(view)).await?;
    let ours = all.iter().filter(|project| {
        let name = project.name();
        name.is_some_and(|name| names.contains(name))
    });
    Ok(ours
        .map(|project| seen(project).into_have(scope, Kind::BuildProject))
        .collect())
}

/// The projects of all apps that are looked at; AWS takes a hundred names at a time.
async fn fetch(view: &View) -> Result<Vec<cb::Project>, CloudError> {
    let mut found = Vec::new();
    for names in view.names_of(Kind::BuildProject).chunks(100) {
        let call = view
            .codebuild
            .batch_get_projects()
            .set_names(Some(names.to_vec()))
            .send()
            .await;
        let answer = call.said("codebuild", "BatchGetProjects")?;
        found.extend_from_slice(answer.projects());
    }
    Ok(found)
}

fn seen(project: &cb::Project) -> Seen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let minutes = |value: Option<i32>| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or_default()
    };
    let environment = project.environment();
    let variables = environment
        .map(|environment| environment.environment_variables())
        .unwrap_or_default();
    let logs = project
        .logs_config()
        .and_then(|logs| logs.cloud_watch_logs());
    let resource = BuildProject {
        name: text(project.name()),
        description: text(project.description()),
        role: text(project.service_role()),
        environment_type: text(environment.map(|environment| environment.r#type().as_str())),
        image: text(environment.map(|environment| environment.image())),
        compute_type: text(environment.map(|environment| environment.compute_type().as_str())),
        privileged: environment
            .and_then(|environment| environment.privileged_mode())
            .unwrap_or_default(),
        environment: variables
            .iter()
            .map(|variable| (variable.name().to_owned(), variable.value().to_owned()))
            .collect(),
        buildspec: text(project.source().and_then(|source| source.buildspec())),
        log_group: text(logs.and_then(|logs| logs.group_name())),
        timeout_minutes: minutes(project.timeout_in_minutes()),
        queued_timeout_minutes: minutes(project.queued_timeout_in_minutes()),
        encryption_key: text(project.encryption_key()),
    };
    let tags = crate::tags::map(project.tags().iter().map(|tag| (tag.key(), tag.value())));
    Seen::named(project.name().unwrap_or_default(), tags, resource)
}

/// The parts of a project in the SDK's types: creation and change take the same.
struct Parts {
    source: cb::ProjectSource,
    artifacts: cb::ProjectArtifacts,
    environment: cb::ProjectEnvironment,
    logs: cb::LogsConfig,
}

fn parts(want: &BuildProject) -> Result<Parts, CloudError> {
    let wrong = |error: aws_smithy_types::error::operation::BuildError| {
        local("InvalidRequest", error.to_string())
    };
    let variables: Result<Vec<_>, _> = want
        .environment
        .iter()
        .map(|(name, value)| {
            cb::EnvironmentVariable::builder()
                .name(name)
                .value(value)
                .r#type(cb::EnvironmentVariableType::Plaintext)
                .build()
        })
        .collect();
    let environment = cb::ProjectEnvironment::builder()
        .r#type(cb::EnvironmentType::from(want.environment_type.as_str()))
        .image(&want.image)
        .compute_type(cb::ComputeType::from(want.compute_type.as_str()))
        .privileged_mode(want.privileged)
        .set_environment_variables(Some(variables.map_err(wrong)?))
        .build()
        .map_err(wrong)?;
    let logs = cb::CloudWatchLogsConfig::builder()
        .status(cb::LogsConfigStatusType::Enabled)
        .group_name(&want.log_group)
        .build();
    Ok(Parts {
        source: cb::ProjectSource::builder()
            .r#type(cb::SourceType::Codepipeline)
            .buildspec(&want.buildspec)
            .build()
            .map_err(wrong)?,
        artifacts: cb::ProjectArtifacts::builder()
            .r#type(cb::ArtifactsType::Codepipeline)
            .build()
            .map_err(wrong)?,
        environment,
        logs: cb::LogsConfig::builder()
            .cloud_watch_logs(logs.map_err(wrong)?)
            .build(),
    })
}

fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn cb_tags(tags: &Tags) -> Vec<cb::Tag> {
    crate::tags::list!(cb::Tag, tags.all())
}

pub(crate) async fn create(
    account: &Account,
    want: &BuildProject,
    tags: &Tags,
    progress: &Progress,
) -> Result<(), CloudError> {
    let make = || async {
        let parts = parts(want)?;
        let call = account
            .codebuild
            .create_project()
            .name(&want.name)
            .description(&want.description)
            .service_role(&want.role)
            .source(parts.source)
            .artifacts(parts.artifacts)
            .environment(parts.environment)
            .logs_config(parts.logs)
            .timeout_in_minutes(int(want.timeout_minutes))
            .queued_timeout_in_minutes(int(want.queued_timeout_minutes))
            .encryption_key(&want.encryption_key)
            .set_tags(Some(cb_tags(tags)))
            .send()
            .await;
        match call.said("codebuild", "CreateProject") {
            Err(error) if error.code == "ResourceAlreadyExistsException" => {
                unless_ours(error, &tags_of(account, &want.name).await?, tags)
            }
            done => done.map(|_| ()),
        }
    };
    account.pace.settled(progress, make).await
}

async fn tags_of(account: &Account, name: &str) -> Result<BTreeMap<String, String>, CloudError> {
    let call = account.codebuild.batch_get_projects().names(name);
    let answer = call.send().await.said("codebuild", "BatchGetProjects")?;
    let carried = answer.projects().iter().flat_map(|project| project.tags());
    Ok(crate::tags::map(
        carried.map(|tag| (tag.key(), tag.value())),
    ))
}

/// CodeBuild takes tags with everything else, and all of them at once.
pub(crate) async fn update(
    account: &Account,
    want: &BuildProject,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let make = || async {
        let parts = parts(want)?;
        let call = account
            .codebuild
            .update_project()
            .name(&want.name)
            .description(&want.description)
            .service_role(&want.role)
            .source(parts.source)
            .artifacts(parts.artifacts)
            .environment(parts.environment)
            .logs_config(parts.logs)
            .timeout_in_minutes(int(want.timeout_minutes))
            .queued_timeout_in_minutes(int(want.queued_timeout_minutes))
            .encryption_key(&want.encryption_key)
            .set_tags(Some(cb_tags(update.tags)))
            .send()
            .await;
        call.said("codebuild", "UpdateProject").map(|_| ())
    };
    account.pace.settled(update.progress, make).await
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .codebuild
        .delete_project()
        .name(&have.name)
        .send()
        .await;
    call.said("codebuild", "DeleteProject")
        .or_missing()
        .map(|_| ())
}
