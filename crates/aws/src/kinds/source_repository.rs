//! CodeCommit repositories. Must not touch their content.

use std::collections::BTreeMap;

use ecspipe_provision::resource::SourceRepository;
use ecspipe_provision::{CloudError, Have, Kind, Made, Scope, Tags};

use super::{Seen, Update, unless_ours, unsaid};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;

type Metadata = aws_sdk_codecommit::types::RepositoryMetadata;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let mut found = Vec::new();
    for name in scope.names_of(Kind::SourceRepository) {
        let Some(repository) = describe(view, name).await? else {
            continue;
        };
        let arn = repository.arn().unwrap_or_default();
        let tags = match view.indexed(scope, arn).await {
            Some(tags) => tags,
            None => tags_of(view, arn).await?,
        };
        let resource = SourceRepository {
            name: name.to_owned(),
            description: repository
                .repository_description()
                .unwrap_or_default()
                .to_owned(),
        };
        let mut seen = Seen::named(name, tags, resource);
        seen.attributes = attributes(&repository);
        found.push(seen.into_have(scope, Kind::SourceRepository));
    }
    Ok(found)
}

async fn describe(account: &Account, name: &str) -> Result<Option<Metadata>, CloudError> {
    let call = account
        .codecommit
        .get_repository()
        .repository_name(name)
        .send()
        .await;
    let answer = call.said("codecommit", "GetRepository").or_missing()?;
    Ok(answer.and_then(|answer| answer.repository_metadata().cloned()))
}

async fn tags_of(account: &Account, arn: &str) -> Result<BTreeMap<String, String>, CloudError> {
    let call = account
        .codecommit
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call.said("codecommit", "ListTagsForResource")?;
    let tags = answer.tags().into_iter().flatten();
    Ok(crate::tags::map(tags.map(|(key, value)| {
        (Some(key.as_str()), Some(value.as_str()))
    })))
}

fn attributes(repository: &Metadata) -> BTreeMap<String, String> {
    let urls = [
        ("clone_url_http", repository.clone_url_http()),
        ("clone_url_ssh", repository.clone_url_ssh()),
    ];
    urls.into_iter()
        .filter_map(|(name, url)| Some((name.to_owned(), url?.to_owned())))
        .collect()
}

pub(crate) async fn create(
    account: &Account,
    want: &SourceRepository,
    tags: &Tags,
) -> Result<Made, CloudError> {
    let call = account
        .codecommit
        .create_repository()
        .repository_name(&want.name)
        .repository_description(&want.description)
        .set_tags(Some(tags.all().clone().into_iter().collect()))
        .send()
        .await;
    let repository = match call.said("codecommit", "CreateRepository") {
        Ok(answer) => answer.repository_metadata().cloned(),
        Err(error) if error.code == "RepositoryNameExistsException" => {
            let found = describe(account, &want.name).await?;
            let have = match found.as_ref().and_then(|found| found.arn()) {
                Some(arn) => tags_of(account, arn).await?,
                None => BTreeMap::new(),
            };
            unless_ours(error, &have, tags)?;
            found
        }
        Err(error) => return Err(error),
    };
    let repository =
        repository.ok_or_else(|| unsaid("codecommit", "CreateRepository", "repository"))?;
    Ok(Made {
        id: want.name.clone(),
        attributes: attributes(&repository),
    })
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &SourceRepository,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["description"]) {
        let call = account
            .codecommit
            .update_repository_description()
            .repository_name(&want.name)
            .repository_description(&want.description);
        call.send()
            .await
            .said("codecommit", "UpdateRepositoryDescription")?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let call = account
            .codecommit
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(retag.add.into_iter().collect()))
            .send()
            .await;
        call.said("codecommit", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .codecommit
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("codecommit", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .codecommit
        .delete_repository()
        .repository_name(&have.name)
        .send()
        .await;
    call.said("codecommit", "DeleteRepository")
        .or_missing()
        .map(|_| ())
}
