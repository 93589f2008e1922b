//! Where an app's lease lies on AWS: an object in its bucket that is only ever written as somebody expects to find it.
//! Must not decide whose a lease is, or when it ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use ecspipe_provision::lease::{Found, Lease, LeaseStore, Seen, Written};
use ecspipe_provision::{CloudError, CloudErrorKind, Progress, Tags};
use ecspipe_spec::{Facts, Names};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::Account;
use crate::classify::{Refine as _, Said as _, is_ambiguous, local};
use crate::kinds::bucket;

/// What an account has done for leases so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ours {
    /// The tokens of leases that were asked for.
    tokens: Arc<Mutex<BTreeSet<String>>>,
    /// Buckets that were made for a lease to lie in.
    places: Arc<Mutex<BTreeSet<String>>>,
}

impl Ours {
    /// Whether the bucket of this name was made and marked for a lease of ours.
    pub(crate) fn has_marked(&self, bucket: &str) -> bool {
        locked(&self.places).contains(bucket)
    }

    /// Whether any lease was asked for, so that one in a bucket may be somebody else's.
    pub(crate) fn any(&self) -> bool {
        !locked(&self.tokens).is_empty()
    }

    /// Whether `found` is a lease that was asked for here.
    pub(crate) fn hold(&self, found: &Found) -> bool {
        let lease = found.lease.as_ref();
        lease.is_some_and(|lease| locked(&self.tokens).contains(&lease.token))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the lease of one app lies.
#[derive(Clone)]
pub struct Leases {
    account: Account,
    bucket: String,
    key: String,
    /// The account that the bucket must belong to: bucket names are everybody's.
    owner: String,
}

impl Account {
    /// Where the lease of the app of these names lies.
    pub fn leases(&self, facts: &Facts, names: &Names) -> Leases {
        Leases {
            account: self.clone(),
            bucket: names.bucket("artifacts"),
            key: names.lease_key().to_owned(),
            owner: facts.account.clone(),
        }
    }

    /// What lies in a bucket of this account where a lease would.
    pub(crate) async fn lease_in(&self, bucket: &str, key: &str) -> Result<Seen, CloudError> {
        read(self, bucket, key, None).await
    }
}

impl Leases {
    /// Makes the bucket, bare, so that there is a place; what else it needs comes with the plan. Whether it was surely made now, and
    /// not found.
    pub async fn make_place(&self) -> Result<bool, CloudError> {
        bucket::make(&self.account, &self.bucket, &Progress::silent()).await
    }

    /// Whether the place bears no tags, which is the first thing that whoever holds the lease in a new one gives it, and nothing but a
    /// lease lies in it.
    pub async fn is_unmarked(&self) -> Result<bool, CloudError> {
        Ok(!self.has_tags().await? && bucket::holds_nothing(&self.account, &self.bucket).await?)
    }

    async fn has_tags(&self) -> Result<bool, CloudError> {
        let call = self
            .account
            .s3
            .get_bucket_tagging()
            .bucket(&self.bucket)
            .send()
            .await;
        match call.said("s3", "GetBucketTagging") {
            Err(error) if error.code == "NoSuchTagSet" => Ok(false),
            answer => answer.map(|answer| !answer.tag_set().is_empty()),
        }
    }

    /// Gives the new place its tags.
    pub async fn mark(&self, tags: &Tags) -> Result<(), CloudError> {
        bucket::set_tags(&self.account, &self.bucket, tags).await?;
        locked(&self.account.ours.places).insert(self.bucket.clone());
        Ok(())
    }

    async fn try_write(&self, lease: &Lease, over: Option<&str>) -> Result<Written, CloudError> {
        locked(&self.account.ours.tokens).insert(lease.token.clone());
        let text = serde_json::to_vec_pretty(lease)
            .map_err(|error| local("InvalidRequest", error.to_string()))?;
        let call = self
            .account
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .expected_bucket_owner(&self.owner)
            .content_type("application/json")
            // Not with the app's key: it is made after the lease is taken, and deleted before it is given back.
            .server_side_encryption(ServerSideEncryption::Aes256)
            .body(ByteStream::from(text));
        let call = match over {
            Some(revision) => call.if_match(revision),
            None => call.if_none_match("*"),
        };
        match call.send().await.said("s3", "PutObject") {
            Ok(answer) => Ok(Written::Done(answer.e_tag().unwrap_or_default().to_owned())),
            Err(error) if error.code == "NoSuchBucket" => Ok(Written::NoPlace),
            Err(error) if is_changed(&error) => Ok(Written::Differs),
            // The SDK tries again, but not for ever, and not when many calls have failed of late.
            Err(error) if is_ambiguous(&error) => Ok(Written::Unsaid(Box::new(error))),
            Err(error) => Err(error),
        }
    }
}

/// What S3 says where the object isn't as the condition has it: another writing, none, or another writer at the same moment (S3's user
/// guide, "Conditional write behavior").
fn is_changed(error: &CloudError) -> bool {
    error.kind == CloudErrorKind::NotFound
        || ["PreconditionFailed", "ConditionalRequestConflict"].contains(&error.code.as_str())
}

impl LeaseStore for Leases {
    fn read(&self) -> BoxFuture<'_, Result<Seen, CloudError>> {
        read(&self.account, &self.bucket, &self.key, Some(&self.owner)).boxed()
    }

    fn write<'a>(
        &'a self,
        lease: &'a Lease,
        over: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Written, CloudError>> {
        self.try_write(lease, over).boxed()
    }

    fn now(&self) -> Timestamp {
        self.account.pace.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        async move { self.account.pace.sleep(span).await }.boxed()
    }
}

async fn read(
    account: &Account,
    bucket: &str,
    key: &str,
    owner: Option<&str>,
) -> Result<Seen, CloudError> {
    let date = Date::default();
    let call = account
        .s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .set_expected_bucket_owner(owner.map(ToOwned::to_owned))
        .customize()
        .interceptor(date.clone())
        .send()
        .await;
    let answer = match call.said("s3", "GetObject") {
        Ok(answer) => answer,
        Err(error) if error.code == "NoSuchBucket" => return Ok(Seen::NoPlace),
        Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(Seen::Nothing),
        Err(error) => return Err(error),
    };
    let revision = answer.e_tag().unwrap_or_default().to_owned();
    let written = answer.last_modified().and_then(timestamp);
    let body = answer.body.collect().await.map_err(|error| {
        local("Connection", error.to_string())
            .with_hint("check the network, then run the command again")
    })?;
    let now = if account.pace.is_the_systems() {
        date.said()
    } else {
        None
    };
    let now = now.unwrap_or_else(|| account.pace.now());
    Ok(Seen::Lease(Box::new(Found {
        lease: serde_json::from_slice(&body.into_bytes()).ok(),
        revision,
        written: written.unwrap_or(now),
        now,
    })))
}

fn timestamp(date: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(date.secs()).ok()
}

/// What S3's own clock shows. The clocks of two operators may differ by minutes, so how old a lease is only S3 can tell.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<Timestamp>>>);

impl Date {
    fn said(&self) -> Option<Timestamp> {
        *locked(&self.0)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers().get("date");
        *locked(&self.0) = header.and_then(date_of);
        Ok(())
    }
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`.
fn date_of(header: &str) -> Option<Timestamp> {
    DateTime::from_str(header, Format::HttpDate)
        .ok()
        .as_ref()
        .and_then(timestamp)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_date_as_s3_says_it() {
        let date = date_of("Thu, 01 Jan 2026 00:01:02 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-01-01T00:01:02Z");
        assert_eq!(date_of("yesterday"), None);
    }
}
