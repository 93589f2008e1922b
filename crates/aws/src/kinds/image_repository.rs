//! ECR repositories with their lifecycle policy. Deleting takes the images with it. Must not push or pull.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecr::types as ecr;
use ecspipe_provision::resource::{Document, ImageRepository};
use ecspipe_provision::{CloudError, Detail, Have, Kind, Made, Scope, Tags};

use super::{Seen, Update, unless_ours, unsaid};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::ImageRepository);
    let found =
        futures::future::try_join_all(names.iter().map(|name| fetch(view, scope, name))).await?;
    Ok(found
        .into_iter()
        .flatten()
        .map(|seen| seen.into_have(scope, Kind::ImageRepository))
        .collect())
}

async fn describe(account: &Account, name: &str) -> Result<Option<ecr::Repository>, CloudError> {
    let call = account
        .ecr
        .describe_repositories()
        .repository_names(name)
        .send()
        .await;
    let answer = call.said("ecr", "DescribeRepositories").or_missing()?;
    Ok(answer.and_then(|answer| answer.repositories().first().cloned()))
}

async fn fetch(view: &View, scope: &Scope, name: &str) -> Result<Option<Seen>, CloudError> {
    let Some(repository) = describe(view, name).await? else {
        return Ok(None);
    };
    let arn = repository.repository_arn().unwrap_or_default();
    let (lifecycle, tags) = futures::try_join!(
        async {
            match scope.detail {
                Detail::Properties => lifecycle(view, name).await,
                Detail::Identity => Ok(String::new()),
            }
        },
        async {
            match view.indexed(scope, arn).await {
                Some(tags) => Ok(tags),
                None => tags_of(view, arn).await,
            }
        },
    )?;
    let exclusions = repository
        .image_tag_mutability_exclusion_filters()
        .iter()
        .map(|filter| filter.filter().to_owned());
    let resource = ImageRepository {
        name: name.to_owned(),
        tag_mutability: repository
            .image_tag_mutability()
            .map_or("MUTABLE", |mutability| mutability.as_str())
            .to_owned(),
        mutability_exclusions: exclusions.collect(),
        scan_on_push: repository
            .image_scanning_configuration()
            .is_some_and(|scanning| scanning.scan_on_push()),
        lifecycle: Document::parse(&lifecycle).map_err(|error| {
            local(
                "InvalidPolicy",
                format!("the lifecycle policy of {name} is not JSON: {error}"),
            )
        })?,
    };
    Ok(Some(Seen::named(name, tags, resource).with_attribute(
        "uri",
        repository.repository_uri().unwrap_or_default(),
    )))
}

/// The lifecycle policy's text; empty where there is none.
async fn lifecycle(account: &Account, name: &str) -> Result<String, CloudError> {
    let call = account
        .ecr
        .get_lifecycle_policy()
        .repository_name(name)
        .send()
        .await;
    let answer = call.said("ecr", "GetLifecyclePolicy").or_missing()?;
    let text = answer.and_then(|answer| answer.lifecycle_policy_text().map(ToOwned::to_owned));
    Ok(text.unwrap_or_default())
}

async fn tags_of(account: &Account, arn: &str) -> Result<BTreeMap<String, String>, CloudError> {
    let call = account
        .ecr
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call.said("ecr", "ListTagsForResource")?;
    let tags = answer.tags().iter();
    Ok(crate::tags::map(
        tags.map(|tag| (Some(tag.key()), Some(tag.value()))),
    ))
}

fn exclusions(want: &BTreeSet<String>) -> Vec<ecr::ImageTagMutabilityExclusionFilter> {
    let filter = |filter: &String| {
        ecr::ImageTagMutabilityExclusionFilter::builder()
            .filter_type(ecr::ImageTagMutabilityExclusionFilterType::Wildcard)
            .filter(filter)
            .build()
            .ok()
    };
    want.iter().filter_map(filter).collect()
}

pub(crate) async fn create(
    account: &Account,
    want: &ImageRepository,
    tags: &Tags,
) -> Result<Made, CloudError> {
    let filters = exclusions(&want.mutability_exclusions);
    let call = account
        .ecr
        .create_repository()
        .repository_name(&want.name)
        .image_tag_mutability(want.tag_mutability.as_str().into())
        .set_image_tag_mutability_exclusion_filters((!filters.is_empty()).then_some(filters))
        .image_scanning_configuration(
            ecr::ImageScanningConfiguration::builder()
                .scan_on_push(want.scan_on_push)
                .build(),
        )
        .set_tags(Some(crate::tags::list!(try ecr::Tag, tags.all())))
        .send()
        .await;
    let repository = match call.said("ecr", "CreateRepository") {
        Ok(answer) => answer.repository().cloned(),
        Err(error) if error.code == "RepositoryAlreadyExistsException" => {
            let found = describe(account, &want.name).await?;
            let arn = found.as_ref().and_then(|found| found.repository_arn());
            let have = match arn {
                Some(arn) => tags_of(account, arn).await?,
                None => BTreeMap::new(),
            };
            unless_ours(error, &have, tags)?;
            found
        }
        Err(error) => return Err(error),
    };
    set_lifecycle(account, want).await?;
    let uri = repository
        .as_ref()
        .and_then(|repository| repository.repository_uri());
    let uri = uri.ok_or_else(|| unsaid("ecr", "CreateRepository", "URI"))?;
    Ok(Made {
        id: want.name.clone(),
        attributes: [("uri".to_owned(), uri.to_owned())].into(),
    })
}

async fn set_lifecycle(account: &Account, want: &ImageRepository) -> Result<(), CloudError> {
    if want.lifecycle.is_none() {
        let call = account
            .ecr
            .delete_lifecycle_policy()
            .repository_name(&want.name)
            .send()
            .await;
        return call
            .said("ecr", "DeleteLifecyclePolicy")
            .or_missing()
            .map(|_| ());
    }
    let call = account
        .ecr
        .put_lifecycle_policy()
        .repository_name(&want.name)
        .lifecycle_policy_text(want.lifecycle.to_string())
        .send()
        .await;
    call.said("ecr", "PutLifecyclePolicy").map(|_| ())
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &ImageRepository,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["tag_mutability", "mutability_exclusions"]) {
        let filters = exclusions(&want.mutability_exclusions);
        let call = account
            .ecr
            .put_image_tag_mutability()
            .repository_name(&want.name)
            .image_tag_mutability(want.tag_mutability.as_str().into())
            .set_image_tag_mutability_exclusion_filters((!filters.is_empty()).then_some(filters));
        call.send().await.said("ecr", "PutImageTagMutability")?;
    }
    if update.touches(&["scan_on_push"]) {
        let scanning = ecr::ImageScanningConfiguration::builder()
            .scan_on_push(want.scan_on_push)
            .build();
        let call = account
            .ecr
            .put_image_scanning_configuration()
            .repository_name(&want.name)
            .image_scanning_configuration(scanning);
        call.send()
            .await
            .said("ecr", "PutImageScanningConfiguration")?;
    }
    if update.touches(&["lifecycle"]) {
        set_lifecycle(account, want).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(try ecr::Tag, retag.add);
        account
            .ecr
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags))
            .send()
            .await
            .said("ecr", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .ecr
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("ecr", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .ecr
        .delete_repository()
        .repository_name(&have.name)
        .force(true)
        .send()
        .await;
    call.said("ecr", "DeleteRepository")
        .or_missing()
        .map(|_| ())
}
