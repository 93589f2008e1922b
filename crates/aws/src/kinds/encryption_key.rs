//! KMS keys with alias, rotation and policy. `CreateKey` takes no token, so a key is looked for by its tags before one is made;
//! one of ours that waits for its deletion is taken back. Must not delete at once: AWS doesn't either.

use std::collections::BTreeMap;

use aws_sdk_kms::types::{KeyMetadata, KeyState, Tag};
use ecspipe_provision::resource::{EncryptionKey, Policy};
use ecspipe_provision::{CloudError, CloudErrorKind, Detail, Have, Kind, Progress, Scope, Tags};

use super::{Seen, Update, unrepeated, unsaid};
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::view::View;
use crate::{Account, all};

/// AWS's shortest: a key that is missed is missed soon.
const PENDING_DAYS: i32 = 7;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let mut found = Vec::new();
    for (key, alias) in scope.wanted_of(Kind::EncryptionKey) {
        let metadata = match (describe(view, alias).await?, scope.detail) {
            // What is to be deleted must not be overlooked because an interrupted run gave it no alias yet, or took it already.
            (None, Detail::Identity) => match scope.wanted_tags.get(key) {
                Some(tags) => find(view, tags).await?.filter(|key| !is_going(key)),
                None => None,
            },
            // There the alias is left to delete.
            (found, Detail::Identity) => found,
            (found, Detail::Properties) => found.filter(|key| !is_going(key)),
        };
        if let Some(metadata) = metadata {
            found.push(
                seen(view, alias, &metadata, scope)
                    .await?
                    .into_have(scope, Kind::EncryptionKey),
            );
        }
    }
    Ok(found)
}

/// A key by its id, ARN or alias.
pub(crate) async fn describe(
    account: &Account,
    id: &str,
) -> Result<Option<KeyMetadata>, CloudError> {
    let answer = account
        .kms
        .describe_key()
        .key_id(id)
        .send()
        .await
        .said("kms", "DescribeKey")
        .or_missing()?;
    Ok(answer.and_then(|answer| answer.key_metadata().cloned()))
}

fn is_going(key: &KeyMetadata) -> bool {
    matches!(
        key.key_state(),
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)
    )
}

async fn seen(
    view: &View,
    alias: &str,
    key: &KeyMetadata,
    scope: &Scope,
) -> Result<Seen, CloudError> {
    let id = key.key_id();
    let protection = async {
        match scope.detail {
            Detail::Properties => protection(view, id).await,
            Detail::Identity => Ok((Policy::none(), false)),
        }
    };
    let tags = async {
        match view.indexed(scope, key.arn().unwrap_or_default()).await {
            Some(tags) => Ok(tags),
            None => plain_tags(view, id).await,
        }
    };
    let ((policy, rotation), tags) = futures::try_join!(protection, tags)?;
    let resource = EncryptionKey {
        alias: alias.to_owned(),
        description: key.description().unwrap_or_default().to_owned(),
        rotation,
        policy,
    };
    Ok(Seen::named(alias, tags, resource).with_id(key.arn().unwrap_or_default()))
}

async fn plain_tags(account: &Account, id: &str) -> Result<BTreeMap<String, String>, CloudError> {
    let tags = tags_of(account, id).await?;
    let pairs = tags.iter();
    Ok(crate::tags::map(
        pairs.map(|tag| (Some(tag.tag_key()), Some(tag.tag_value()))),
    ))
}

/// The key's policy, and whether its material is rotated.
async fn protection(account: &Account, id: &str) -> Result<(Policy, bool), CloudError> {
    let (policy, rotation) = futures::try_join!(
        async {
            account
                .kms
                .get_key_policy()
                .key_id(id)
                .policy_name("default")
                .send()
                .await
                .said("kms", "GetKeyPolicy")
        },
        async {
            account
                .kms
                .get_key_rotation_status()
                .key_id(id)
                .send()
                .await
                .said("kms", "GetKeyRotationStatus")
        },
    )?;
    let policy = Policy::parse(policy.policy().unwrap_or_default());
    let policy = policy.map_err(|error| unreadable(&error))?;
    Ok((policy, rotation.key_rotation_enabled()))
}

fn unreadable(error: &serde_json::Error) -> CloudError {
    local(
        "InvalidPolicy",
        format!("the key policy is not JSON: {error}"),
    )
}

/// A key's tags.
pub(crate) async fn tags_of(account: &Account, id: &str) -> Result<Vec<Tag>, CloudError> {
    let items = account
        .kms
        .list_resource_tags()
        .key_id(id)
        .into_paginator()
        .items()
        .send();
    all(items).await.said("kms", "ListResourceTags")
}

pub(crate) async fn create(
    account: &Account,
    want: &EncryptionKey,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let id = match find(account, tags).await? {
        Some(key) => take_back(account, &key, want).await?,
        None => make(account, want, tags, progress).await?,
    };
    if want.rotation {
        set_rotation(account, &id, true).await?;
    }
    name(account, &id, want).await?;
    Ok(id)
}

async fn make(
    account: &Account,
    want: &EncryptionKey,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let list = kms_tags(tags.all());
    let create = || async {
        let call = account
            .kms
            .create_key()
            .description(&want.description)
            .policy(want.policy.to_string())
            .set_tags(Some(list.clone()));
        let made = unrepeated!(aws_sdk_kms, call)
            .await
            .said("kms", "CreateKey")?;
        let arn = made.key_metadata().and_then(|key| key.arn());
        arn.map(ToOwned::to_owned)
            .ok_or_else(|| unsaid("kms", "CreateKey", "ARN"))
    };
    let look = || async {
        Ok(find(account, tags)
            .await?
            .and_then(|key| key.arn().map(ToOwned::to_owned)))
    };
    account
        .pace
        .settled(progress, || account.pace.once(create, look))
        .await
}

fn kms_tags(tags: &std::collections::BTreeMap<String, String>) -> Vec<Tag> {
    let pairs = tags.iter();
    pairs
        .filter_map(|(key, value)| Tag::builder().tag_key(key).tag_value(value).build().ok())
        .collect()
}

/// The key that carries all of `tags` that say whose it is. KMS can't filter, so every key of the account is asked for its tags;
/// those that we may not read aren't ours.
async fn find(account: &Account, tags: &Tags) -> Result<Option<KeyMetadata>, CloudError> {
    let keys = all(account.kms.list_keys().into_paginator().items().send())
        .await
        .said("kms", "ListKeys")?;
    let mut going = None;
    for key in keys {
        let id = key.key_id().unwrap_or_default();
        let found = match tags_of(account, id).await {
            Ok(found) => found,
            Err(error)
                if matches!(
                    error.kind,
                    CloudErrorKind::Access | CloudErrorKind::NotFound
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let carries = |name: &str| {
            found.iter().any(|tag| {
                tag.tag_key() == name
                    && Some(tag.tag_value()) == tags.all().get(name).map(String::as_str)
            })
        };
        if carries(ecspipe_provision::cloud::APP_TAG)
            && carries(ecspipe_provision::cloud::RESOURCE_TAG)
        {
            match describe(account, id).await? {
                // Of an earlier life of the app there may be several that wait for their deletion.
                Some(key) if is_going(&key) => going = Some(key),
                Some(key) => return Ok(Some(key)),
                None => {}
            }
        }
    }
    Ok(going)
}

/// A key that waits for its deletion comes back disabled.
async fn take_back(
    account: &Account,
    key: &KeyMetadata,
    want: &EncryptionKey,
) -> Result<String, CloudError> {
    let id = key.key_id();
    if is_going(key) {
        account
            .kms
            .cancel_key_deletion()
            .key_id(id)
            .send()
            .await
            .said("kms", "CancelKeyDeletion")?;
    }
    if is_going(key) || key.key_state() == Some(&KeyState::Disabled) {
        account
            .kms
            .enable_key()
            .key_id(id)
            .send()
            .await
            .said("kms", "EnableKey")?;
    }
    set_policy(account, id, want).await?;
    key.arn()
        .map(ToOwned::to_owned)
        .ok_or_else(|| unsaid("kms", "DescribeKey", "ARN"))
}

async fn name(account: &Account, id: &str, want: &EncryptionKey) -> Result<(), CloudError> {
    let call = account
        .kms
        .create_alias()
        .alias_name(&want.alias)
        .target_key_id(id)
        .send()
        .await;
    match call.said("kms", "CreateAlias") {
        Err(error) if error.code == "AlreadyExistsException" => {
            let held = describe(account, &want.alias).await?;
            match held {
                Some(key) if key.arn() == Some(id) => Ok(()),
                Some(key) if !is_going(&key) => Err(error.with_hint(format!(
                    "{} names another key: give that alias another name, or this app",
                    want.alias
                ))),
                _ => {
                    let call = account
                        .kms
                        .update_alias()
                        .alias_name(&want.alias)
                        .target_key_id(id)
                        .send()
                        .await;
                    call.said("kms", "UpdateAlias").map(|_| ())
                }
            }
        }
        done => done.map(|_| ()),
    }
}

async fn set_policy(account: &Account, id: &str, want: &EncryptionKey) -> Result<(), CloudError> {
    let call = account
        .kms
        .put_key_policy()
        .key_id(id)
        .policy_name("default")
        .policy(want.policy.to_string())
        .send()
        .await;
    call.said("kms", "PutKeyPolicy").map(|_| ())
}

async fn set_rotation(account: &Account, id: &str, on: bool) -> Result<(), CloudError> {
    if on {
        account
            .kms
            .enable_key_rotation()
            .key_id(id)
            .send()
            .await
            .said("kms", "EnableKeyRotation")
            .map(|_| ())
    } else {
        account
            .kms
            .disable_key_rotation()
            .key_id(id)
            .send()
            .await
            .said("kms", "DisableKeyRotation")
            .map(|_| ())
    }
}

pub(crate) async fn update(
    account: &Account,
    want: &EncryptionKey,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let id = &update.have.id;
    if update.touches(&["policy"]) {
        set_policy(account, id, want).await?;
    }
    if update.touches(&["rotation"]) {
        set_rotation(account, id, want.rotation).await?;
    }
    if update.touches(&["description"]) {
        let call = account
            .kms
            .update_key_description()
            .key_id(id)
            .description(&want.description)
            .send()
            .await;
        call.said("kms", "UpdateKeyDescription")?;
    }
    if update.touches(&["alias"]) {
        name(account, id, want).await?;
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let call = account
            .kms
            .tag_resource()
            .key_id(id)
            .set_tags(Some(kms_tags(&retag.add)))
            .send()
            .await;
        call.said("kms", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .kms
            .untag_resource()
            .key_id(id)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("kms", "UntagResource")?;
    }
    Ok(())
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .kms
        .delete_alias()
        .alias_name(&have.name)
        .send()
        .await;
    call.said("kms", "DeleteAlias").or_missing()?;
    let call = account
        .kms
        .schedule_key_deletion()
        .key_id(&have.id)
        .pending_window_in_days(PENDING_DAYS)
        .send()
        .await;
    match call.said("kms", "ScheduleKeyDeletion") {
        Err(error) if error.code == "KMSInvalidStateException" => Ok(()),
        done => done.or_missing().map(|_| ()),
    }
}
