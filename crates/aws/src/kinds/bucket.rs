//! S3 buckets with everything that is set on them. Deleting empties them first: versions, delete markers, unfinished uploads.
//! Must not read or write what users keep in them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::types as s3;
use ecspipe_provision::lease::Seen as Lies;
use ecspipe_provision::resource::{Bucket, LifecycleRule, Policy};
use ecspipe_provision::{CloudError, CloudErrorKind, Detail, Have, Kind, Progress, Scope, Tags};
use ecspipe_spec::names::LEASE_KEY;

use super::{NAME_TAKEN, Seen, Update, unless_ours};
use crate::Account;
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names: Vec<_> = scope.wanted_of(Kind::Bucket).collect();
    let looks = names.iter().map(|(key, name)| async move {
        let Some((seen, bare)) = fetch(view, scope, name).await? else {
            return Ok(None);
        };
        let mut have = seen.into_have(scope, Kind::Bucket);
        // Tags come in a call of their own: whoever was interrupted between the two has left a bucket without any.
        if bare {
            have.key = Some((*key).clone());
        }
        Ok(Some(have))
    });
    let found: Vec<Option<Have>> = futures::future::try_join_all(looks).await?;
    Ok(found.into_iter().flatten().collect())
}

/// The bucket, and whether it is as it was made: without tags, and without anything in it. One that belongs to another account
/// shows empty.
async fn fetch(view: &View, scope: &Scope, name: &str) -> Result<Option<(Seen, bool)>, CloudError> {
    let arn = format!("arn:{}:s3:::{name}", scope.facts.partition);
    if let Some(tags) = view.indexed(scope, &arn).await {
        return Ok(settings(view, name)
            .await
            .or_missing()?
            .map(|resource| (Seen::named(name, tags, resource), false)));
    }
    let tags = match tags_of(view, name).await {
        Ok(Some(tags)) => tags,
        Ok(None) => return Ok(None),
        Err(error) if error.kind == CloudErrorKind::Access || error.code == "PermanentRedirect" => {
            return Ok(Some((
                Seen::named(name, Default::default(), unknown(name)),
                false,
            )));
        }
        Err(error) => return Err(error),
    };
    let bare = tags.is_empty() && holds_nothing(view, name).await?;
    let resource = match scope.detail {
        Detail::Properties => settings(view, name).await?,
        Detail::Identity => unknown(name),
    };
    Ok(Some((Seen::named(name, tags, resource), bare)))
}

/// A bucket's tags; `None` where there is no bucket.
async fn tags_of(
    account: &Account,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let call = account.s3.get_bucket_tagging().bucket(name).send().await;
    match call.said("s3", "GetBucketTagging") {
        Ok(answer) => {
            let tags = answer.tag_set().iter();
            Ok(Some(crate::tags::map(
                tags.map(|tag| (Some(tag.key()), Some(tag.value()))),
            )))
        }
        Err(error) if error.code == "NoSuchTagSet" => Ok(Some(BTreeMap::new())),
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether no object, version or delete marker lies in a bucket, but for those of leases. A bucket without tags that holds more is
/// somebody's who keeps data under a name like ours: no run has ever put anything into one before it gave it its tags.
pub(crate) async fn holds_nothing(account: &Account, name: &str) -> Result<bool, CloudError> {
    let call = account
        .s3
        .list_object_versions()
        .bucket(name)
        .max_keys(MOST_LEASES)
        .send()
        .await;
    let Some(page) = call.said("s3", "ListObjectVersions").or_missing()? else {
        return Ok(true);
    };
    let versions = page.versions().iter().map(|version| version.key());
    let markers = page.delete_markers().iter().map(|marker| marker.key());
    let only_leases = versions.chain(markers).all(|key| key == Some(LEASE_KEY));
    Ok(only_leases && !page.is_truncated().unwrap_or_default())
}

/// A lease is written once a minute, and leaves versions where somebody has switched them on: those of an hour and more.
const MOST_LEASES: i32 = 100;

fn unknown(name: &str) -> Bucket {
    Bucket {
        name: name.to_owned(),
        versioning: false,
        encryption_key: None,
        bucket_key: false,
        public_access_blocked: false,
        owner_enforced: false,
        lifecycle: BTreeSet::new(),
        policy: Policy::none(),
        event_notifications: false,
    }
}

async fn settings(account: &Account, name: &str) -> Result<Bucket, CloudError> {
    let client = &account.s3;
    let (versioning, encryption, block, ownership, lifecycle, policy, notification) = futures::try_join!(
        async {
            client
                .get_bucket_versioning()
                .bucket(name)
                .send()
                .await
                .said("s3", "GetBucketVersioning")
        },
        async {
            client
                .get_bucket_encryption()
                .bucket(name)
                .send()
                .await
                .said("s3", "GetBucketEncryption")
                .or_missing()
        },
        async {
            client
                .get_public_access_block()
                .bucket(name)
                .send()
                .await
                .said("s3", "GetPublicAccessBlock")
                .or_missing()
        },
        async {
            client
                .get_bucket_ownership_controls()
                .bucket(name)
                .send()
                .await
                .said("s3", "GetBucketOwnershipControls")
                .or_missing()
        },
        async {
            let call = client
                .get_bucket_lifecycle_configuration()
                .bucket(name)
                .send()
                .await;
            call.said("s3", "GetBucketLifecycleConfiguration")
                .or_missing()
        },
        async {
            client
                .get_bucket_policy()
                .bucket(name)
                .send()
                .await
                .said("s3", "GetBucketPolicy")
                .or_missing()
        },
        async {
            let call = client
                .get_bucket_notification_configuration()
                .bucket(name)
                .send()
                .await;
            call.said("s3", "GetBucketNotificationConfiguration")
        },
    )?;
    let rule = encryption
        .as_ref()
        .and_then(|answer| answer.server_side_encryption_configuration());
    let rule = rule.and_then(|configuration| configuration.rules().first());
    let key = rule.and_then(|rule| rule.apply_server_side_encryption_by_default());
    let block = block
        .as_ref()
        .and_then(|answer| answer.public_access_block_configuration());
    let ownership = ownership
        .as_ref()
        .and_then(|answer| answer.ownership_controls());
    let policy = policy
        .as_ref()
        .and_then(|answer| answer.policy())
        .unwrap_or_default();
    Ok(Bucket {
        name: name.to_owned(),
        versioning: versioning.status() == Some(&s3::BucketVersioningStatus::Enabled),
        encryption_key: key
            .filter(|key| *key.sse_algorithm() == s3::ServerSideEncryption::AwsKms)
            .and_then(|key| key.kms_master_key_id().map(ToOwned::to_owned)),
        bucket_key: rule
            .and_then(|rule| rule.bucket_key_enabled())
            .unwrap_or_default(),
        public_access_blocked: block.is_some_and(all_blocked),
        owner_enforced: ownership.is_some_and(|controls| {
            controls
                .rules()
                .iter()
                .any(|rule| *rule.object_ownership() == s3::ObjectOwnership::BucketOwnerEnforced)
        }),
        lifecycle: lifecycle
            .iter()
            .flat_map(|answer| answer.rules())
            .map(lifecycle_rule)
            .collect(),
        policy: Policy::parse(policy).map_err(|error| {
            local(
                "InvalidPolicy",
                format!("the policy of {name} is not JSON: {error}"),
            )
        })?,
        event_notifications: notification.event_bridge_configuration().is_some(),
    })
}

fn all_blocked(block: &s3::PublicAccessBlockConfiguration) -> bool {
    [
        block.block_public_acls(),
        block.ignore_public_acls(),
        block.block_public_policy(),
        block.restrict_public_buckets(),
    ]
    .iter()
    .all(|on| on.unwrap_or_default())
}

fn lifecycle_rule(rule: &s3::LifecycleRule) -> LifecycleRule {
    let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
    LifecycleRule {
        id: rule.id().unwrap_or_default().to_owned(),
        prefix: rule
            .filter()
            .and_then(|filter| filter.prefix())
            .unwrap_or_default()
            .to_owned(),
        expire_days: days(rule.expiration().and_then(|expiration| expiration.days())),
        expire_noncurrent_days: days(
            rule.noncurrent_version_expiration()
                .and_then(|expiration| expiration.noncurrent_days()),
        ),
        abort_upload_days: days(
            rule.abort_incomplete_multipart_upload()
                .and_then(|abort| abort.days_after_initiation()),
        ),
    }
}

pub(crate) async fn create(
    account: &Account,
    want: &Bucket,
    tags: &Tags,
    progress: &Progress,
) -> Result<(), CloudError> {
    let age = if account.ours.has_marked(&want.name) {
        Age::New
    } else {
        let age = match make(account, &want.name, progress).await? {
            true => Age::New,
            false => {
                refuse_others(account, &want.name, tags).await?;
                Age::Old
            }
        };
        set_tags(account, &want.name, tags).await?;
        age
    };
    futures::try_join!(
        set_public_access_block(account, want),
        set_versioning(account, want),
        set_encryption(account, want),
        set_lifecycle(account, want),
        notify(account, want, age),
    )?;
    set_policy(account, want, progress).await
}

/// Refuses a bucket of the account's that was there already and isn't the app's. Without any tags and empty it is: a run was
/// interrupted before it gave it some.
async fn refuse_others(account: &Account, name: &str, tags: &Tags) -> Result<(), CloudError> {
    let have = tags_of(account, name).await?.unwrap_or_default();
    if have.is_empty() && holds_nothing(account, name).await? {
        return Ok(());
    }
    let mut refusal = local(
        "BucketAlreadyOwnedByYou",
        format!("there is a bucket {name} already"),
    );
    refusal.service = "s3".to_owned();
    refusal.operation = "CreateBucket".to_owned();
    unless_ours(refusal, &have, tags)
}

/// Makes the bucket and nothing more. Whether it was surely made now, and not there before.
pub(crate) async fn make(
    account: &Account,
    name: &str,
    progress: &Progress,
) -> Result<bool, CloudError> {
    let call = || async {
        let mut call = account
            .s3
            .create_bucket()
            .bucket(name)
            .object_ownership(s3::ObjectOwnership::BucketOwnerEnforced);
        // us-east-1 is the one region that may not be named.
        if account.region() != "us-east-1" {
            let place = s3::BucketLocationConstraint::from(account.region());
            call = call.create_bucket_configuration(
                s3::CreateBucketConfiguration::builder()
                    .location_constraint(place)
                    .build(),
            );
        }
        match call.send().await.said("s3", "CreateBucket") {
            Err(error) if error.code == "BucketAlreadyOwnedByYou" => Ok(false),
            Err(error) if error.code == "BucketAlreadyExists" => Err(error.with_hint(NAME_TAKEN)),
            // There AWS answers the same for a bucket that was there.
            done => done.map(|_| account.region() != "us-east-1"),
        }
    };
    account.pace.settled(progress, call).await
}

pub(crate) async fn update(
    account: &Account,
    want: &Bucket,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["public_access_blocked"]) {
        set_public_access_block(account, want).await?;
    }
    if update.touches(&["owner_enforced"]) {
        set_ownership(account, want).await?;
    }
    if update.touches(&["versioning"]) {
        set_versioning(account, want).await?;
    }
    if update.touches(&["encryption_key", "bucket_key"]) {
        set_encryption(account, want).await?;
    }
    if update.touches(&["lifecycle"]) {
        set_lifecycle(account, want).await?;
    }
    if update.touches(&["event_notifications"]) {
        set_notifications(account, want).await?;
    }
    if update.touches(&["policy"]) {
        set_policy(account, want, update.progress).await?;
    }
    // Last, as everywhere: they say what was applied.
    if update.touches(&["tags"]) {
        set_tags(account, &want.name, update.tags).await?;
    }
    Ok(())
}

pub(crate) async fn set_tags(account: &Account, name: &str, tags: &Tags) -> Result<(), CloudError> {
    let tagging = s3::Tagging::builder()
        .set_tag_set(Some(crate::tags::list!(try s3::Tag, tags.all())))
        .build();
    let tagging = tagging.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let call = account
        .s3
        .put_bucket_tagging()
        .bucket(name)
        .tagging(tagging)
        .send()
        .await;
    call.said("s3", "PutBucketTagging").map(|_| ())
}

async fn set_public_access_block(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    let on = want.public_access_blocked;
    let block = s3::PublicAccessBlockConfiguration::builder()
        .block_public_acls(on)
        .ignore_public_acls(on)
        .block_public_policy(on)
        .restrict_public_buckets(on)
        .build();
    let call = account
        .s3
        .put_public_access_block()
        .bucket(&want.name)
        .public_access_block_configuration(block)
        .send()
        .await;
    call.said("s3", "PutPublicAccessBlock").map(|_| ())
}

async fn set_ownership(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    let kind = if want.owner_enforced {
        s3::ObjectOwnership::BucketOwnerEnforced
    } else {
        s3::ObjectOwnership::BucketOwnerPreferred
    };
    let rule = s3::OwnershipControlsRule::builder()
        .object_ownership(kind)
        .build();
    let controls = rule.and_then(|rule| s3::OwnershipControls::builder().rules(rule).build());
    let controls = controls.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let call = account
        .s3
        .put_bucket_ownership_controls()
        .bucket(&want.name)
        .ownership_controls(controls)
        .send()
        .await;
    call.said("s3", "PutBucketOwnershipControls").map(|_| ())
}

async fn set_versioning(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    let status = if want.versioning {
        s3::BucketVersioningStatus::Enabled
    } else {
        s3::BucketVersioningStatus::Suspended
    };
    let configuration = s3::VersioningConfiguration::builder()
        .status(status)
        .build();
    let call = account
        .s3
        .put_bucket_versioning()
        .bucket(&want.name)
        .versioning_configuration(configuration)
        .send()
        .await;
    call.said("s3", "PutBucketVersioning").map(|_| ())
}

async fn set_encryption(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    let algorithm = if want.encryption_key.is_some() {
        s3::ServerSideEncryption::AwsKms
    } else {
        s3::ServerSideEncryption::Aes256
    };
    let default = s3::ServerSideEncryptionByDefault::builder()
        .sse_algorithm(algorithm)
        .set_kms_master_key_id(want.encryption_key.clone())
        .build();
    let configuration = default.and_then(|default| {
        let rule = s3::ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(default)
            .bucket_key_enabled(want.bucket_key)
            .build();
        s3::ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
    });
    let configuration =
        configuration.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let call = account
        .s3
        .put_bucket_encryption()
        .bucket(&want.name)
        .server_side_encryption_configuration(configuration)
        .send()
        .await;
    call.said("s3", "PutBucketEncryption").map(|_| ())
}

async fn set_lifecycle(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    if want.lifecycle.is_empty() {
        let call = account
            .s3
            .delete_bucket_lifecycle()
            .bucket(&want.name)
            .send()
            .await;
        return call.said("s3", "DeleteBucketLifecycle").map(|_| ());
    }
    let rules: Result<Vec<_>, _> = want.lifecycle.iter().map(sdk_rule).collect();
    let configuration = rules.and_then(|rules| {
        s3::BucketLifecycleConfiguration::builder()
            .set_rules(Some(rules))
            .build()
    });
    let configuration =
        configuration.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let call = account
        .s3
        .put_bucket_lifecycle_configuration()
        .bucket(&want.name)
        .lifecycle_configuration(configuration)
        .send()
        .await;
    call.said("s3", "PutBucketLifecycleConfiguration")
        .map(|_| ())
}

fn sdk_rule(
    rule: &LifecycleRule,
) -> Result<s3::LifecycleRule, aws_smithy_types::error::operation::BuildError> {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let expiration = rule.expire_days.map(|_| {
        s3::LifecycleExpiration::builder()
            .set_days(days(rule.expire_days))
            .build()
    });
    let noncurrent = rule.expire_noncurrent_days.map(|_| {
        s3::NoncurrentVersionExpiration::builder()
            .set_noncurrent_days(days(rule.expire_noncurrent_days))
            .build()
    });
    let abort = rule.abort_upload_days.map(|_| {
        s3::AbortIncompleteMultipartUpload::builder()
            .set_days_after_initiation(days(rule.abort_upload_days))
            .build()
    });
    s3::LifecycleRule::builder()
        .id(&rule.id)
        .status(s3::ExpirationStatus::Enabled)
        .filter(
            s3::LifecycleRuleFilter::builder()
                .prefix(&rule.prefix)
                .build(),
        )
        .set_expiration(expiration)
        .set_noncurrent_version_expiration(noncurrent)
        .set_abort_incomplete_multipart_upload(abort)
        .build()
}

/// A new bucket notifies nobody yet.
async fn notify(account: &Account, want: &Bucket, age: Age) -> Result<(), CloudError> {
    match age {
        _ if !want.event_notifications => Ok(()),
        Age::Old => set_notifications(account, want).await,
        Age::New => {
            let only = s3::EventBridgeConfiguration::builder().build();
            let configuration = s3::NotificationConfiguration::builder()
                .event_bridge_configuration(only)
                .build();
            put_notifications(account, want, configuration).await
        }
    }
}

/// Whether a bucket may have been there before the call that makes it.
#[derive(Clone, Copy)]
enum Age {
    New,
    Old,
}

/// Only EventBridge is switched; other notifications that somebody set stay.
async fn set_notifications(account: &Account, want: &Bucket) -> Result<(), CloudError> {
    let call = account
        .s3
        .get_bucket_notification_configuration()
        .bucket(&want.name)
        .send()
        .await;
    let have = call.said("s3", "GetBucketNotificationConfiguration")?;
    if have.event_bridge_configuration().is_some() == want.event_notifications {
        return Ok(());
    }
    let list = |is_empty: bool| !is_empty;
    let configuration = s3::NotificationConfiguration::builder()
        .set_topic_configurations(
            list(have.topic_configurations().is_empty())
                .then(|| have.topic_configurations().to_vec()),
        )
        .set_queue_configurations(
            list(have.queue_configurations().is_empty())
                .then(|| have.queue_configurations().to_vec()),
        )
        .set_lambda_function_configurations(
            list(have.lambda_function_configurations().is_empty())
                .then(|| have.lambda_function_configurations().to_vec()),
        )
        .set_event_bridge_configuration(
            want.event_notifications
                .then(|| s3::EventBridgeConfiguration::builder().build()),
        )
        .build();
    put_notifications(account, want, configuration).await
}

async fn put_notifications(
    account: &Account,
    want: &Bucket,
    configuration: s3::NotificationConfiguration,
) -> Result<(), CloudError> {
    let call = account
        .s3
        .put_bucket_notification_configuration()
        .bucket(&want.name)
        .notification_configuration(configuration)
        .send()
        .await;
    call.said("s3", "PutBucketNotificationConfiguration")
        .map(|_| ())
}

async fn set_policy(
    account: &Account,
    want: &Bucket,
    progress: &Progress,
) -> Result<(), CloudError> {
    if want.policy.is_none() {
        let call = account
            .s3
            .delete_bucket_policy()
            .bucket(&want.name)
            .send()
            .await;
        return call.said("s3", "DeleteBucketPolicy").map(|_| ());
    }
    let call = || async {
        let call = account
            .s3
            .put_bucket_policy()
            .bucket(&want.name)
            .policy(want.policy.to_string())
            .send()
            .await;
        call.said("s3", "PutBucketPolicy").map(|_| ())
    };
    account.pace.settled(progress, call).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let name = &have.name;
    // It is emptied only where AWS says that it isn't, or where a lease of ours lies in it. A build or a push may still write
    // meanwhile.
    let mut emptied = account.ours.any();
    if emptied {
        empty(account, name, progress).await?;
    }
    for _ in 0..5 {
        match account
            .s3
            .delete_bucket()
            .bucket(name)
            .send()
            .await
            .said("s3", "DeleteBucket")
        {
            Err(error) if error.code == "BucketNotEmpty" => {
                if emptied {
                    refuse_taken(account, name).await?;
                }
                empty(account, name, progress).await?;
                emptied = true;
            }
            done => return done.or_missing().map(|_| ()),
        }
    }
    Err(local(
        "BucketNotEmpty",
        format!("bucket {name} keeps filling up while it is emptied"),
    ))
}

/// Between the last deletion in it and its own, somebody else may have taken the lease that lies in the bucket: it is theirs now.
async fn refuse_taken(account: &Account, name: &str) -> Result<(), CloudError> {
    if !account.ours.any() {
        return Ok(());
    }
    match account.lease_in(name, LEASE_KEY).await? {
        Lies::Lease(found) if !account.ours.hold(&found) => {
            let message = format!("{} has begun to work with bucket {name}", found.owner());
            Err(local("LeaseTaken", message).of_kind(CloudErrorKind::Conflict))
        }
        _ => Ok(()),
    }
}

/// Deletes what is in the bucket, the lease last: nobody else may begin to work before that.
async fn empty(account: &Account, name: &str, progress: &Progress) -> Result<(), CloudError> {
    let mut lease = Vec::new();
    let mut key_marker = None;
    let mut version_marker = None;
    loop {
        let call = account
            .s3
            .list_object_versions()
            .bucket(name)
            .set_key_marker(key_marker.take())
            .set_version_id_marker(version_marker.take())
            .send()
            .await;
        let Some(page) = call.said("s3", "ListObjectVersions").or_missing()? else {
            return Ok(());
        };
        let versions = page
            .versions()
            .iter()
            .map(|version| (version.key(), version.version_id()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|marker| (marker.key(), marker.version_id()));
        let (of_lease, objects): (Vec<_>, Vec<_>) = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                s3::ObjectIdentifier::builder()
                    .key(key?)
                    .set_version_id(version.map(ToOwned::to_owned))
                    .build()
                    .ok()
            })
            .partition(|object: &s3::ObjectIdentifier| object.key() == LEASE_KEY);
        lease.extend(of_lease);
        if !objects.is_empty() {
            progress.waiting_for(format!("{} object versions to be deleted", objects.len()));
            remove(account, name, objects).await?;
        }
        if !page.is_truncated().unwrap_or_default() {
            break;
        }
        key_marker = page.next_key_marker().map(ToOwned::to_owned);
        version_marker = page.next_version_id_marker().map(ToOwned::to_owned);
    }
    let uploads = account
        .s3
        .list_multipart_uploads()
        .bucket(name)
        .send()
        .await
        .said("s3", "ListMultipartUploads")
        .or_missing()?;
    for upload in uploads.iter().flat_map(|answer| answer.uploads()) {
        let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
            continue;
        };
        let call = account
            .s3
            .abort_multipart_upload()
            .bucket(name)
            .key(key)
            .upload_id(id)
            .send()
            .await;
        call.said("s3", "AbortMultipartUpload").or_missing()?;
    }
    while !lease.is_empty() {
        let rest = lease.split_off(lease.len().min(MOST_AT_ONCE));
        remove(account, name, std::mem::replace(&mut lease, rest)).await?;
    }
    Ok(())
}

/// As many objects as S3 deletes in one call.
const MOST_AT_ONCE: usize = 1000;

async fn remove(
    account: &Account,
    name: &str,
    objects: Vec<s3::ObjectIdentifier>,
) -> Result<(), CloudError> {
    let delete = s3::Delete::builder()
        .set_objects(Some(objects))
        .quiet(true)
        .build();
    let delete = delete.map_err(|error| local("InvalidRequest", error.to_string()))?;
    let answer = account
        .s3
        .delete_objects()
        .bucket(name)
        .delete(delete)
        .send()
        .await
        .said("s3", "DeleteObjects")?;
    match answer.errors().first() {
        // Failures come with status 200, one an object.
        Some(error) => {
            let mut refusal = local(
                error.code().unwrap_or("DeleteFailed"),
                error.message().unwrap_or_default(),
            );
            refusal.service = "s3".to_owned();
            refusal.operation = "DeleteObjects".to_owned();
            Err(refusal)
        }
        None => Ok(()),
    }
}
