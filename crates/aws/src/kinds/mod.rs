//! One module a group of kinds: how AWS lists, makes, changes and deletes each. Must not compare, plan or order.

pub(crate) mod address;
pub(crate) mod alarm;
pub(crate) mod balancing;
pub(crate) mod bucket;
pub(crate) mod build_project;
pub(crate) mod cluster;
pub(crate) mod code_deploy;
pub(crate) mod encryption_key;
pub(crate) mod endpoint;
pub(crate) mod event_rule;
pub(crate) mod image_repository;
pub(crate) mod internet_gateway;
pub(crate) mod listener;
pub(crate) mod load_balancer;
pub(crate) mod log_group;
pub(crate) mod nat_gateway;
pub(crate) mod pipeline;
pub(crate) mod role;
pub(crate) mod route_table;
pub(crate) mod security_group;
pub(crate) mod service;
pub(crate) mod source_repository;
pub(crate) mod subnet;
pub(crate) mod target_group;
pub(crate) mod task_definition;
pub(crate) mod vpc;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use ecspipe_provision::cloud::{APP_TAG, RESOURCE_TAG};
use ecspipe_provision::{
    Change, CloudError, CloudErrorKind, Have, Kind, Progress, Resource, Scope, Tags,
};

use crate::classify::{Refine as _, local};
use crate::pace::{Look, RELEASE};
use crate::{Account, Pace};

/// A resource as a listing finds it, before anybody asks whose it is.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) resource: Resource,
}

impl Seen {
    /// A resource that is known by its id alone, such as those of EC2.
    pub(crate) fn new(
        id: &str,
        tags: BTreeMap<String, String>,
        resource: impl Into<Resource>,
    ) -> Self {
        let name = tags.get("Name").cloned().unwrap_or_else(|| id.to_owned());
        Self {
            id: id.to_owned(),
            name,
            attributes: BTreeMap::new(),
            tags,
            resource: resource.into(),
        }
    }

    /// A resource whose id is its name.
    pub(crate) fn named(
        name: &str,
        tags: BTreeMap<String, String>,
        resource: impl Into<Resource>,
    ) -> Self {
        Self {
            id: name.to_owned(),
            name: name.to_owned(),
            attributes: BTreeMap::new(),
            tags,
            resource: resource.into(),
        }
    }

    /// The same with another id than its name.
    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }

    /// The same with an attribute for outputs.
    pub(crate) fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn into_have(self, scope: &Scope, kind: Kind) -> Have {
        Have {
            key: scope.key_of(kind, &self.tags),
            id: self.id,
            name: self.name,
            attributes: self.attributes,
            tags: self.tags,
            resource: self.resource,
        }
    }
}

/// What an update is told.
pub(crate) struct Update<'a> {
    pub(crate) have: &'a Have,
    pub(crate) changes: &'a [Change],
    pub(crate) tags: &'a Tags,
    pub(crate) progress: &'a Progress,
}

impl Update<'_> {
    /// Whether any of these properties differs.
    pub(crate) fn touches(&self, properties: &[&str]) -> bool {
        self.changes
            .iter()
            .any(|change| properties.contains(&change.property()))
    }

    /// What has to be done to the tags, if anything.
    pub(crate) fn retag(&self) -> Option<crate::tags::Retag> {
        self.touches(&["tags"])
            .then(|| crate::tags::Retag::new(&self.have.tags, self.tags.all()))
    }
}

/// EC2's filters: one resource by the tags that it was made with.
pub(crate) fn of_tags(tags: &Tags) -> Vec<aws_sdk_ec2::types::Filter> {
    let all = tags
        .all()
        .iter()
        .filter(|(key, _)| [APP_TAG, RESOURCE_TAG].contains(&key.as_str()));
    all.map(|(key, value)| filter(&format!("tag:{key}"), value))
        .collect()
}

pub(crate) fn filter(name: &str, value: &str) -> aws_sdk_ec2::types::Filter {
    aws_sdk_ec2::types::Filter::builder()
        .name(name)
        .values(value)
        .build()
}

/// EC2's tags in the call that creates.
pub(crate) fn tag_specification(
    kind: aws_sdk_ec2::types::ResourceType,
    tags: &Tags,
) -> aws_sdk_ec2::types::TagSpecification {
    let tags = crate::tags::list!(aws_sdk_ec2::types::Tag, tags.all());
    aws_sdk_ec2::types::TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(tags))
        .build()
}

/// Plain tags of EC2's.
pub(crate) fn ec2_tags(tags: &[aws_sdk_ec2::types::Tag]) -> BTreeMap<String, String> {
    crate::tags::map(tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// Sets and removes the tags of anything of EC2's.
pub(crate) async fn retag_ec2(account: &Account, update: &Update<'_>) -> Result<(), CloudError> {
    use crate::classify::Said as _;
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    let id = &update.have.id;
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(aws_sdk_ec2::types::Tag, retag.add);
        account
            .ec2
            .create_tags()
            .resources(id)
            .set_tags(Some(tags))
            .send()
            .await
            .said("ec2", "CreateTags")?;
    }
    if !retag.remove.is_empty() {
        let tags = retag
            .remove
            .iter()
            .map(|key| aws_sdk_ec2::types::Tag::builder().key(key).build())
            .collect();
        account
            .ec2
            .delete_tags()
            .resources(id)
            .set_tags(Some(tags))
            .send()
            .await
            .said("ec2", "DeleteTags")?;
    }
    Ok(())
}

/// The one resource that a look after a lost answer finds.
pub(crate) fn first_id(seen: Vec<Seen>) -> Option<String> {
    seen.into_iter().next().map(|seen| seen.id)
}

/// Whether what carries the tags `have` is what `tags` are for.
pub(crate) fn is_ours(have: &BTreeMap<String, String>, tags: &Tags) -> bool {
    [APP_TAG, RESOURCE_TAG].iter().all(|name| {
        let carried = have.get(*name);
        carried.is_some() && carried == tags.all().get(*name)
    })
}

/// What exists although it was to be made is our own, made by a call whose answer was lost; or else `refusal` stands: somebody has
/// taken the name since the account was looked at.
pub(crate) fn unless_ours(
    refusal: CloudError,
    have: &BTreeMap<String, String>,
    tags: &Tags,
) -> Result<(), CloudError> {
    if is_ours(have, tags) {
        return Ok(());
    }
    Err(refusal
        .of_kind(CloudErrorKind::Conflict)
        .with_hint(NAME_TAKEN))
}

/// The next step where a name is somebody else's.
pub(crate) const NAME_TAKEN: &str = "somebody else has the name: choose another app name, or delete or rename the other if nobody needs it";

/// Deletes something that AWS holds back until what depends on it is released (AWS.md §3.3).
pub(crate) async fn once_released<F>(
    pace: Pace,
    progress: &Progress,
    what: &str,
    delete: impl FnMut() -> F,
) -> Result<(), CloudError>
where
    F: Future<Output = Result<(), CloudError>>,
{
    let nobody = || std::future::ready(Ok(Vec::new()));
    once_let_go(pace, progress, what, delete, nobody).await
}

/// The same where what others have may stand in the way, which nobody releases: `others` is asked once for their names, and if there
/// are any, it is no use to wait.
pub(crate) async fn once_let_go<F, O>(
    pace: Pace,
    progress: &Progress,
    what: &str,
    mut delete: impl FnMut() -> F,
    others: impl Fn() -> O,
) -> Result<(), CloudError>
where
    F: Future<Output = Result<(), CloudError>>,
    O: Future<Output = Result<Vec<String>, CloudError>>,
{
    let held = [
        "DependencyViolation",
        "InvalidIPAddress.InUse",
        "ResourceInUse",
        "AuthFailure",
        "ClusterContainsServicesException",
        "ClusterContainsTasksException",
    ];
    let asked = AtomicBool::new(false);
    let tried = pace.until(progress, what, RELEASE, || {
        let call = delete();
        let (others, asked) = (&others, &asked);
        async move {
            match call.await {
                Ok(()) => Ok(Look::There(())),
                Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Look::There(())),
                Err(error) if held.contains(&error.code.as_str()) => {
                    if !asked.swap(true, Ordering::Relaxed) {
                        let names = others().await;
                        // Whoever may not ask waits, as if there were nobody.
                        unless_others(error.clone(), &names.unwrap_or_default())?;
                    }
                    Ok(Look::Held(error))
                }
                Err(error) => Err(error),
            }
        }
    });
    tried.await.map_err(|error| match error.kind {
        CloudErrorKind::Timeout => error.with_hint(
            "if something of somebody else's stands in it, delete that or take it elsewhere; then run the command again",
        ),
        _ => error,
    })
}

/// Refuses what is held back by things of others, and names those.
fn unless_others(mut refusal: CloudError, names: &[String]) -> Result<(), CloudError> {
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(", ");
    refusal.message = format!("{}; in it: {names}", refusal.message.trim_end_matches('.'));
    Err(refusal.with_hint(format!(
        "not made by ecspipe for this app: {names}: delete or take elsewhere what nobody needs here, then run the command again"
    )))
}

/// Somebody deleted what is waited for: it won't come any more.
pub(crate) fn deleted_meanwhile(what: &str) -> CloudError {
    local(
        "DeletedMeanwhile",
        format!("{what} was deleted while it was waited for"),
    )
    .with_hint("run the command again: it makes another")
}

/// What AWS should have said and didn't.
pub(crate) fn unsaid(service: &str, operation: &str, what: &str) -> CloudError {
    let mut error = local("InvalidAnswer", format!("the answer holds no {what}"))
        .with_hint("run the command again");
    error.service = service.to_owned();
    error.operation = operation.to_owned();
    error
}

/// A resource of another kind than its key says: the engine never does that.
pub(crate) fn wrong_kind(kind: Kind) -> CloudError {
    local(
        "WrongKind",
        format!("the properties are not those of a {}", kind.label()),
    )
}

/// Switches the SDK's own retry off for one call: a create without a client token must not be repeated blindly.
macro_rules! unrepeated {
    ($sdk:ident, $call:expr) => {
        $call
            .customize()
            .config_override(
                $sdk::config::Config::builder()
                    .retry_config(aws_config::retry::RetryConfig::disabled()),
            )
            .send()
    };
}
pub(crate) use unrepeated;
