//! EventBridge rules on the default bus with their targets. Must not send events.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_eventbridge::types::{Rule, RuleState, Tag, Target};
use ecspipe_provision::resource::{Document, EventRule, RuleTarget};
use ecspipe_provision::{CloudError, Have, Kind, Resource, Scope, Tags};

use super::{Seen, Update};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::EventRule);
    let rules = describe(view, &names).await?;
    let found = rules.iter().map(|rule| fetch(view, scope, rule));
    let found = futures::future::try_join_all(found).await?;
    Ok(found
        .into_iter()
        .flatten()
        .map(|seen| seen.into_have(scope, Kind::EventRule))
        .collect())
}

/// The rules of these names that exist: an app's rules begin alike, so that one listing finds them.
async fn describe(account: &Account, names: &BTreeSet<&str>) -> Result<Vec<Rule>, CloudError> {
    let Some(prefix) = common_prefix(names) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let call = account
            .events
            .list_rules()
            .name_prefix(prefix)
            .set_next_token(token.take())
            .send()
            .await;
        let page = call.said("events", "ListRules")?;
        let wanted = page.rules().iter().filter(|rule| {
            let name = rule.name();
            name.is_some_and(|name| names.contains(name))
        });
        found.extend(wanted.cloned());
        token = page.next_token().map(ToOwned::to_owned);
        if token.is_none() {
            return Ok(found);
        }
    }
}

/// The names are sorted, so that the first and the last share what all of them share.
fn common_prefix<'a>(names: &BTreeSet<&'a str>) -> Option<&'a str> {
    let (first, last) = (names.first()?, names.last()?);
    let same = first.chars().zip(last.chars()).take_while(|(a, b)| a == b);
    Some(&first[..same.map(|(letter, _)| letter.len_utf8()).sum()])
}

async fn fetch(view: &View, scope: &Scope, rule: &Rule) -> Result<Option<Seen>, CloudError> {
    let name = rule.name().unwrap_or_default();
    let arn = rule.arn().unwrap_or_default();
    let tags = async {
        match view.indexed(scope, arn).await {
            Some(tags) => Ok(Some(tags)),
            None => tags_of(view, arn).await,
        }
    };
    let targets = async {
        let call = view.events.list_targets_by_rule().rule(name).send().await;
        call.said("events", "ListTargetsByRule").or_missing()
    };
    // A rule that went away since it was listed has neither.
    let (Some(targets), Some(tags)) = futures::try_join!(targets, tags)? else {
        return Ok(None);
    };
    let target = |target: &Target| RuleTarget {
        id: target.id().to_owned(),
        arn: target.arn().to_owned(),
        role: target.role_arn().map(ToOwned::to_owned),
    };
    let pattern = Document::parse(rule.event_pattern().unwrap_or_default());
    let resource = EventRule {
        name: name.to_owned(),
        description: rule.description().unwrap_or_default().to_owned(),
        pattern: pattern.map_err(|error| {
            local(
                "InvalidPattern",
                format!("the pattern of rule {name} is not JSON: {error}"),
            )
        })?,
        enabled: rule.state() != Some(&RuleState::Disabled),
        targets: targets.targets().iter().map(target).collect(),
    };
    Ok(Some(Seen::named(name, tags, resource)))
}

async fn tags_of(
    account: &Account,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let call = account
        .events
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await;
    let answer = call.said("events", "ListTagsForResource").or_missing()?;
    Ok(answer.map(|answer| {
        let tags = answer.tags().iter();
        crate::tags::map(tags.map(|tag| (Some(tag.key()), Some(tag.value()))))
    }))
}

pub(crate) async fn create(
    account: &Account,
    want: &EventRule,
    tags: &Tags,
) -> Result<(), CloudError> {
    put_rule(account, want, Some(crate::tags::list!(try Tag, tags.all()))).await?;
    put_targets(account, want, &want.targets).await
}

/// Tags are taken only when the rule is new; for one that exists AWS ignores them.
async fn put_rule(
    account: &Account,
    want: &EventRule,
    tags: Option<Vec<Tag>>,
) -> Result<(), CloudError> {
    let state = if want.enabled {
        RuleState::Enabled
    } else {
        RuleState::Disabled
    };
    let call = account
        .events
        .put_rule()
        .name(&want.name)
        .description(&want.description)
        .event_pattern(want.pattern.to_string())
        .state(state)
        .set_tags(tags)
        .send()
        .await;
    call.said("events", "PutRule").map(|_| ())
}

async fn put_targets(
    account: &Account,
    want: &EventRule,
    targets: &BTreeSet<RuleTarget>,
) -> Result<(), CloudError> {
    if targets.is_empty() {
        return Ok(());
    }
    let list: Result<Vec<_>, _> = targets
        .iter()
        .map(|target| {
            Target::builder()
                .id(&target.id)
                .arn(&target.arn)
                .set_role_arn(target.role.clone())
                .build()
        })
        .collect();
    let list = list.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let answer = account
        .events
        .put_targets()
        .rule(&want.name)
        .set_targets(Some(list))
        .send()
        .await
        .said("events", "PutTargets")?;
    // Failures come with status 200, one a target.
    match answer.failed_entries().first() {
        Some(entry) => Err(refused(
            "PutTargets",
            entry.error_code(),
            entry.error_message(),
        )),
        None => Ok(()),
    }
}

fn refused(operation: &str, code: Option<&str>, message: Option<&str>) -> CloudError {
    let mut error = local(
        code.unwrap_or("FailedEntry"),
        message.unwrap_or("AWS gives no reason"),
    );
    error.service = "events".to_owned();
    error.operation = operation.to_owned();
    error
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &EventRule,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Resource::EventRule(have) = &update.have.resource else {
        return Err(super::wrong_kind(Kind::EventRule));
    };
    if update.touches(&["description", "pattern", "enabled"]) {
        put_rule(account, want, None).await?;
    }
    if update.touches(&["targets"]) {
        put_targets(account, want, &want.targets).await?;
        let kept: BTreeSet<&str> = want
            .targets
            .iter()
            .map(|target| target.id.as_str())
            .collect();
        let gone: Vec<String> = have
            .targets
            .iter()
            .map(|target| target.id.clone())
            .filter(|id| !kept.contains(id.as_str()))
            .collect();
        remove_targets(account, &want.name, gone).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(try Tag, retag.add);
        account
            .events
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags))
            .send()
            .await
            .said("events", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .events
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("events", "UntagResource")?;
    }
    Ok(())
}

async fn remove_targets(account: &Account, rule: &str, ids: Vec<String>) -> Result<(), CloudError> {
    if ids.is_empty() {
        return Ok(());
    }
    let call = account
        .events
        .remove_targets()
        .rule(rule)
        .set_ids(Some(ids))
        .send()
        .await;
    let Some(answer) = call.said("events", "RemoveTargets").or_missing()? else {
        return Ok(());
    };
    match answer.failed_entries().first() {
        Some(entry) => Err(refused(
            "RemoveTargets",
            entry.error_code(),
            entry.error_message(),
        )),
        None => Ok(()),
    }
}

/// A rule can't be deleted while it has targets, whoever added them.
pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let Resource::EventRule(rule) = &have.resource else {
        return Err(super::wrong_kind(Kind::EventRule));
    };
    remove_targets(
        account,
        &have.name,
        rule.targets
            .iter()
            .map(|target| target.id.clone())
            .collect(),
    )
    .await?;
    let call = account.events.delete_rule().name(&have.name).send().await;
    call.said("events", "DeleteRule").or_missing().map(|_| ())
}
