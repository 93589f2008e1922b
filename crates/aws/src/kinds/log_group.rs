//! CloudWatch log groups. Must not read logs.

use ecspipe_provision::resource::LogGroup;
use ecspipe_provision::{CloudError, Have, Kind, Scope, Tags};

use super::{Seen, Update};
use crate::classify::{OrMissing as _, Said as _};
use crate::{Account, all};

pub(crate) async fn list(account: &Account, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::LogGroup);
    let found =
        futures::future::try_join_all(names.iter().map(|name| fetch(account, name))).await?;
    Ok(found
        .into_iter()
        .flatten()
        .map(|seen| seen.into_have(scope, Kind::LogGroup))
        .collect())
}

async fn fetch(account: &Account, name: &str) -> Result<Option<Seen>, CloudError> {
    let items = account
        .logs
        .describe_log_groups()
        .log_group_name_prefix(name)
        .into_paginator()
        .items()
        .send();
    let groups = all(items).await.said("logs", "DescribeLogGroups")?;
    let Some(group) = groups
        .iter()
        .find(|group| group.log_group_name() == Some(name))
    else {
        return Ok(None);
    };
    let arn = group.arn().unwrap_or_default().trim_end_matches(":*");
    let call = account
        .logs
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let Some(tags) = call.said("logs", "ListTagsForResource").or_missing()? else {
        return Ok(None);
    };
    let tags = tags
        .tags()
        .map(|tags| {
            crate::tags::map(
                tags.iter()
                    .map(|(k, v)| (Some(k.as_str()), Some(v.as_str()))),
            )
        })
        .unwrap_or_default();
    let retention_days = group
        .retention_in_days()
        .and_then(|days| u32::try_from(days).ok());
    Ok(Some(Seen::named(
        name,
        tags,
        LogGroup {
            name: name.to_owned(),
            retention_days,
        },
    )))
}

pub(crate) async fn create(
    account: &Account,
    want: &LogGroup,
    tags: &Tags,
) -> Result<(), CloudError> {
    let call = account
        .logs
        .create_log_group()
        .log_group_name(&want.name)
        .set_tags(Some(tags.all().clone().into_iter().collect()))
        .send()
        .await;
    match call.said("logs", "CreateLogGroup") {
        Err(error) if error.code == "ResourceAlreadyExistsException" => {}
        done => done.map(|_| ())?,
    }
    set_retention(account, want).await
}

async fn set_retention(account: &Account, want: &LogGroup) -> Result<(), CloudError> {
    match want
        .retention_days
        .and_then(|days| i32::try_from(days).ok())
    {
        Some(days) => {
            let call = account
                .logs
                .put_retention_policy()
                .log_group_name(&want.name)
                .retention_in_days(days)
                .send()
                .await;
            call.said("logs", "PutRetentionPolicy").map(|_| ())
        }
        None => {
            let call = account
                .logs
                .delete_retention_policy()
                .log_group_name(&want.name)
                .send()
                .await;
            call.said("logs", "DeleteRetentionPolicy").map(|_| ())
        }
    }
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &LogGroup,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["retention_days"]) {
        set_retention(account, want).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let call = account
            .logs
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(retag.add.into_iter().collect()))
            .send()
            .await;
        call.said("logs", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .logs
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("logs", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .logs
        .delete_log_group()
        .log_group_name(&have.name)
        .send()
        .await;
    call.said("logs", "DeleteLogGroup").or_missing().map(|_| ())
}
