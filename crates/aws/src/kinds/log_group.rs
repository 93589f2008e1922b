//! CloudWatch log groups. Must not read logs.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::LogGroup as Found;
use ecspipe_provision::resource::LogGroup;
use ecspipe_provision::{CloudError, Have, Kind, Scope, Tags};

use super::{Seen, Update, unless_ours};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::LogGroup);
    let all = view.log_groups.get_or_try_init(|| describe(view)).await?;
    let ours = all.iter().filter(|group| {
        let name = group.log_group_name();
        name.is_some_and(|name| names.contains(name))
    });
    let found = ours.map(|group| fetch(view, scope, group));
    let found = futures::future::try_join_all(found).await?;
    Ok(found
        .into_iter()
        .flatten()
        .map(|seen| seen.into_have(scope, Kind::LogGroup))
        .collect())
}

/// The groups of all apps that are looked at, where they exist. AWS takes fifty names at a time.
async fn describe(view: &View) -> Result<Vec<Found>, CloudError> {
    let mut found = Vec::new();
    for names in view.names_of(Kind::LogGroup).chunks(50) {
        let call = view
            .logs
            .describe_log_groups()
            .set_log_group_identifiers(Some(names.to_vec()))
            .send()
            .await;
        let answer = call.said("logs", "DescribeLogGroups").or_missing()?;
        found.extend(
            answer
                .into_iter()
                .flat_map(|answer| answer.log_groups.unwrap_or_default()),
        );
    }
    Ok(found)
}

async fn fetch(view: &View, scope: &Scope, group: &Found) -> Result<Option<Seen>, CloudError> {
    let name = group.log_group_name().unwrap_or_default();
    let arn = group.arn().unwrap_or_default().trim_end_matches(":*");
    let tags = match view.indexed(scope, arn).await {
        Some(tags) => Some(tags),
        None => tags_of(view, arn).await?,
    };
    let retention_days = group
        .retention_in_days()
        .and_then(|days| u32::try_from(days).ok());
    Ok(tags.map(|tags| {
        Seen::named(
            name,
            tags,
            LogGroup {
                name: name.to_owned(),
                retention_days,
            },
        )
    }))
}

async fn tags_of(
    account: &Account,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let call = account
        .logs
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call.said("logs", "ListTagsForResource").or_missing()?;
    Ok(answer.map(|answer| {
        let tags = answer.tags().into_iter().flatten();
        crate::tags::map(tags.map(|(key, value)| (Some(key.as_str()), Some(value.as_str()))))
    }))
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
        Err(error) if error.code == "ResourceAlreadyExistsException" => {
            let arn = format!("log-group:{}", want.name);
            let arn = account.arn("logs", &arn).await?;
            let have = tags_of(account, &arn).await?.unwrap_or_default();
            unless_ours(error, &have, tags)?;
        }
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
