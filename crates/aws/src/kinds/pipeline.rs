//! Pipelines. Must not start executions; deleting stops those that run.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::types as cp;
use ecspipe_provision::resource::{Action, Pipeline, Stage};
use ecspipe_provision::{CloudError, Have, Kind, Progress, Scope, Tags};

use super::{Seen, Update, unless_ours};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let mut found = Vec::new();
    for name in scope.names_of(Kind::Pipeline) {
        let call = view.codepipeline.get_pipeline().name(name).send().await;
        let Some(answer) = call.said("codepipeline", "GetPipeline").or_missing()? else {
            continue;
        };
        let Some(pipeline) = answer.pipeline() else {
            continue;
        };
        let arn = answer
            .metadata()
            .and_then(|metadata| metadata.pipeline_arn())
            .map_or_else(|| scope.facts.arn("codepipeline", name), ToOwned::to_owned);
        let tags = match view.indexed(scope, &arn).await {
            Some(tags) => tags,
            None => tags_of(view, &arn).await?,
        };
        found.push(Seen::named(name, tags, resource(pipeline)).into_have(scope, Kind::Pipeline));
    }
    Ok(found)
}

async fn tags_of(account: &Account, arn: &str) -> Result<BTreeMap<String, String>, CloudError> {
    let call = account
        .codepipeline
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call
        .said("codepipeline", "ListTagsForResource")
        .or_missing()?;
    let tags = answer.iter().flat_map(|answer| answer.tags());
    Ok(crate::tags::map(
        tags.map(|tag| (Some(tag.key()), Some(tag.value()))),
    ))
}

fn resource(pipeline: &cp::PipelineDeclaration) -> Pipeline {
    let store = pipeline.artifact_store();
    Pipeline {
        name: pipeline.name().to_owned(),
        pipeline_type: pipeline
            .pipeline_type()
            .map_or("V1", |kind| kind.as_str())
            .to_owned(),
        execution_mode: pipeline
            .execution_mode()
            .map_or("SUPERSEDED", |mode| mode.as_str())
            .to_owned(),
        role: pipeline.role_arn().to_owned(),
        artifact_bucket: store
            .map(|store| store.location())
            .unwrap_or_default()
            .to_owned(),
        artifact_key: store
            .and_then(|store| store.encryption_key())
            .map(|key| key.id().to_owned()),
        stages: pipeline.stages().iter().map(stage).collect(),
    }
}

fn stage(stage: &cp::StageDeclaration) -> Stage {
    let mut actions: Vec<Action> = stage.actions().iter().map(action).collect();
    actions.sort_by(|a, b| (a.run_order, &a.name).cmp(&(b.run_order, &b.name)));
    Stage {
        name: stage.name().to_owned(),
        actions,
    }
}

fn action(action: &cp::ActionDeclaration) -> Action {
    let id = action.action_type_id();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Action {
        name: action.name().to_owned(),
        category: text(id.map(|id| id.category().as_str())),
        owner: text(id.map(|id| id.owner().as_str())),
        provider: text(id.map(|id| id.provider())),
        version: text(id.map(|id| id.version())),
        run_order: action
            .run_order()
            .and_then(|order| u32::try_from(order).ok())
            .unwrap_or(1),
        configuration: action
            .configuration()
            .map(|configuration| configuration.clone().into_iter().collect())
            .unwrap_or_default(),
        inputs: action
            .input_artifacts()
            .iter()
            .map(|artifact| artifact.name().to_owned())
            .collect(),
        outputs: action
            .output_artifacts()
            .iter()
            .map(|artifact| artifact.name().to_owned())
            .collect(),
        namespace: action.namespace().map(ToOwned::to_owned),
    }
}

fn declaration(want: &Pipeline) -> Result<cp::PipelineDeclaration, CloudError> {
    let key = want.artifact_key.as_ref().map(|key| {
        cp::EncryptionKey::builder()
            .id(key)
            .r#type(cp::EncryptionKeyType::Kms)
            .build()
    });
    let store = cp::ArtifactStore::builder()
        .r#type(cp::ArtifactStoreType::S3)
        .location(&want.artifact_bucket)
        .set_encryption_key(key.transpose().map_err(wrong)?)
        .build()
        .map_err(wrong)?;
    let stages: Result<Vec<_>, CloudError> = want.stages.iter().map(sdk_stage).collect();
    cp::PipelineDeclaration::builder()
        .name(&want.name)
        .role_arn(&want.role)
        .artifact_store(store)
        .set_stages(Some(stages?))
        .pipeline_type(cp::PipelineType::from(want.pipeline_type.as_str()))
        .execution_mode(cp::ExecutionMode::from(want.execution_mode.as_str()))
        .build()
        .map_err(wrong)
}

fn wrong(error: aws_smithy_types::error::operation::BuildError) -> CloudError {
    local("InvalidRequest", error.to_string())
}

fn sdk_stage(want: &Stage) -> Result<cp::StageDeclaration, CloudError> {
    let actions: Result<Vec<_>, CloudError> = want.actions.iter().map(sdk_action).collect();
    cp::StageDeclaration::builder()
        .name(&want.name)
        .set_actions(Some(actions?))
        .build()
        .map_err(wrong)
}

fn sdk_action(want: &Action) -> Result<cp::ActionDeclaration, CloudError> {
    let id = cp::ActionTypeId::builder()
        .category(cp::ActionCategory::from(want.category.as_str()))
        .owner(cp::ActionOwner::from(want.owner.as_str()))
        .provider(&want.provider)
        .version(&want.version)
        .build()
        .map_err(wrong)?;
    let inputs: Result<Vec<_>, _> = want
        .inputs
        .iter()
        .map(|name| cp::InputArtifact::builder().name(name).build())
        .collect();
    let outputs: Result<Vec<_>, _> = want
        .outputs
        .iter()
        .map(|name| cp::OutputArtifact::builder().name(name).build())
        .collect();
    cp::ActionDeclaration::builder()
        .name(&want.name)
        .action_type_id(id)
        .run_order(i32::try_from(want.run_order).unwrap_or(1))
        .set_configuration(Some(want.configuration.clone().into_iter().collect()))
        .set_input_artifacts(Some(inputs.map_err(wrong)?))
        .set_output_artifacts(Some(outputs.map_err(wrong)?))
        .set_namespace(want.namespace.clone())
        .build()
        .map_err(wrong)
}

pub(crate) async fn create(
    account: &Account,
    want: &Pipeline,
    tags: &Tags,
    progress: &Progress,
) -> Result<(), CloudError> {
    let make = || async {
        let list = crate::tags::list!(try cp::Tag, tags.all());
        let call = account
            .codepipeline
            .create_pipeline()
            .pipeline(declaration(want)?)
            .set_tags(Some(list))
            .send()
            .await;
        match call.said("codepipeline", "CreatePipeline") {
            Err(error) if error.code == "PipelineNameInUseException" => {
                let arn = account.arn("codepipeline", &want.name).await?;
                unless_ours(error, &tags_of(account, &arn).await?, tags)
            }
            done => done.map(|_| ()),
        }
    };
    account.pace.settled(progress, make).await
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &Pipeline,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update
        .changes
        .iter()
        .any(|change| change.property() != "tags")
    {
        let make = || async {
            let call = account
                .codepipeline
                .update_pipeline()
                .pipeline(declaration(want)?)
                .send()
                .await;
            call.said("codepipeline", "UpdatePipeline").map(|_| ())
        };
        account.pace.settled(update.progress, make).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(try cp::Tag, retag.add);
        account
            .codepipeline
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags))
            .send()
            .await
            .said("codepipeline", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .codepipeline
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("codepipeline", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    stop_executions(account, &have.name).await?;
    let call = account
        .codepipeline
        .delete_pipeline()
        .name(&have.name)
        .send()
        .await;
    call.said("codepipeline", "DeletePipeline")
        .or_missing()
        .map(|_| ())
}

/// What runs is abandoned: what it works on goes too.
async fn stop_executions(account: &Account, name: &str) -> Result<(), CloudError> {
    let call = account
        .codepipeline
        .list_pipeline_executions()
        .pipeline_name(name)
        .max_results(20)
        .send()
        .await;
    let Some(answer) = call
        .said("codepipeline", "ListPipelineExecutions")
        .or_missing()?
    else {
        return Ok(());
    };
    for execution in answer.pipeline_execution_summaries() {
        if execution.status() != Some(&cp::PipelineExecutionStatus::InProgress) {
            continue;
        }
        let id = execution.pipeline_execution_id().unwrap_or_default();
        let call = account
            .codepipeline
            .stop_pipeline_execution()
            .pipeline_name(name)
            .pipeline_execution_id(id)
            .abandon(true)
            .reason("the pipeline is being deleted by ecspipe down")
            .send()
            .await;
        match call.said("codepipeline", "StopPipelineExecution") {
            // It ended, or is being stopped already.
            Err(error)
                if error.code == "PipelineExecutionNotStoppableException"
                    || error.code == "DuplicatedStopRequestException" => {}
            done => done.map(|_| ())?,
        }
    }
    Ok(())
}
