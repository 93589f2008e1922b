//! What the engine asks of a cloud: list, create, update and delete one resource. `ecspipe-aws` implements it with the
//! AWS SDK, `crate::memory` in memory. Must not name an SDK type, decide what to do, or retry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ecspipe_spec::{AppName, Facts, Names};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::applied::{APPLIED_TAG, Applied, applied};
use crate::plan::Change;
use crate::resource::{Key, Kind, Resource};

/// The tag that names the app that a resource belongs to.
pub const APP_TAG: &str = "ecspipe:app";
/// The tag that holds the resource's [`Key`].
pub const RESOURCE_TAG: &str = "ecspipe:resource";
/// EC2's own tag for a name.
pub const NAME_TAG: &str = "Name";

/// A place in which resources exist.
///
/// Contract of an implementation:
/// - *Complete means usable.* `create` and `update` come back when others can build on the result (a NAT gateway is
///   available, a service has been accepted); what only has to spread, like a role, is waited for by whoever uses it. While they wait they say for what through
///   [`Progress`]. `delete` comes back when what the resource itself needed can be deleted.
/// - *Tags in the call that creates*, so that a resource whose creation was interrupted is found again.
/// - *Safe against a lost answer.* `create` may be called for a resource that exists already because nobody heard
///   the answer: a client token ([`Resource::request_token`]) where AWS takes one, else a look for the
///   resource by its tags or its name before a second try. Creating what is there under our tags is a success.
/// - *Half a creation is no loss.* What `create` left out (a bucket without its policy) shows as a difference in the next plan.
///   So `create` sends the call that makes the resource first, and everything else after it; `update` sends the tags last,
///   since they say what was applied.
/// - *Deleting what isn't there is a success.*
/// - Fields named in [`crate::resource::ORDER_ONLY`] are reported empty and ignored.
pub trait Cloud: Send + Sync {
    /// Everything of `kind` that belongs to the app by its tags, and everything that bears one of the scope's names
    /// of that kind without those tags (with [`Have::key`] `None`). A kind without tags is told by its name: see
    /// [`crate::resource::Traffic::of_name`].
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>>;

    /// One look at the resources of `scopes`, in which lookups that several kinds or apps need are made once. What it
    /// answers is as old as the look, so one is made for each observation.
    fn look<'a>(&'a self, scopes: &[Scope]) -> Box<dyn Listing + 'a>;

    /// How the targets of the target group `id` stand. One that is gone has none.
    fn targets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Targets, CloudError>>;

    /// Makes `resource`, whose links are resolved, and puts `tags` on it.
    fn create<'a>(
        &'a self,
        key: &'a Key,
        resource: &'a Resource,
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>>;

    /// Changes what exists into `want`. `changes` are the fields that differ, never one that can't be changed in place; a
    /// field under `tags` means that the tags have to become exactly `tags`.
    fn update<'a>(
        &'a self,
        have: &'a Have,
        want: &'a Resource,
        changes: &'a [Change],
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>>;

    /// Deletes what exists, with what is in it: a bucket's objects, a repository's images, a family's revisions.
    fn delete<'a>(
        &'a self,
        have: &'a Have,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), CloudError>>;
}

/// What lists resources during one look: see [`Cloud::look`].
pub trait Listing: Send + Sync {
    /// The same as [`Cloud::list`], for a scope that the look was made for.
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>>;
}

/// Where the tags of things come from whose service doesn't list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagSource {
    /// Their services, which know at once: for whoever goes on to change something.
    #[default]
    Services,
    /// Where it says exactly what is wanted an index of the account, which saves many calls and may lag behind by some seconds;
    /// else their services. For whoever only looks.
    Index,
}

/// How much of a resource a listing has to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Everything that is compared with what is wanted.
    #[default]
    Properties,
    /// Whose it is, its id and attributes, and what deleting it needs; properties that take calls of their own may be left
    /// empty. Enough to take an app down or to name its addresses, never to compare.
    Identity,
}

/// Whose resources are looked for, and under which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The app: the value of the tag [`APP_TAG`].
    pub app: AppName,
    /// Where.
    pub facts: Facts,
    /// All names derived from the app's.
    pub names: Names,
    /// AWS's names of the wanted resources by their keys; things of EC2 that have none are missing.
    pub wanted: BTreeMap<Key, String>,
    /// The cluster that the service runs in.
    pub cluster: String,
    /// The ARN of the load balancer that the listeners hang on, where it isn't the app's own.
    pub load_balancer: Option<String>,
    /// The wanted resources' tags.
    pub wanted_tags: BTreeMap<Key, Tags>,
    /// How much has to be found out.
    pub detail: Detail,
    /// Where tags may come from.
    pub tag_source: TagSource,
}

impl Scope {
    /// The names of one kind, with the key that each belongs to.
    pub fn wanted_of(&self, kind: Kind) -> impl Iterator<Item = (&Key, &str)> {
        self.wanted
            .iter()
            .filter(move |(key, _)| key.kind == kind)
            .map(|(key, name)| (key, name.as_str()))
    }

    /// The names of one kind.
    pub fn names_of(&self, kind: Kind) -> BTreeSet<&str> {
        self.wanted_of(kind).map(|(_, name)| name).collect()
    }

    /// The key that `tags` name, if they say that the resource belongs to this app.
    pub fn key_of(&self, kind: Kind, tags: &BTreeMap<String, String>) -> Option<Key> {
        let ours = tags
            .get(APP_TAG)
            .is_some_and(|app| app == self.app.as_str());
        let key: Key = tags.get(RESOURCE_TAG).filter(|_| ours)?.parse().ok()?;
        (key.kind == kind).then_some(key)
    }
}

/// The tags of one resource: the owner's, [`APP_TAG`], [`RESOURCE_TAG`], for EC2 [`NAME_TAG`], and in a graph [`APPLIED_TAG`]. Empty for a
/// kind that can't carry any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The tags of the resource `key` of `app`, with the owner's tags beneath.
    pub fn new(app: &AppName, key: &Key, owner: &BTreeMap<String, String>) -> Self {
        if !key.kind.taggable() {
            return Self::default();
        }
        let mut tags = BTreeMap::new();
        if key.kind.named_by_tag() {
            tags.insert(NAME_TAG.to_owned(), format!("{app}-{}", key.name));
        }
        tags.extend(owner.clone());
        tags.insert(APP_TAG.to_owned(), app.to_string());
        tags.insert(RESOURCE_TAG.to_owned(), key.to_string());
        Self(tags)
    }

    /// The same with what is wanted of `resource`, by which a later plan knows what was applied.
    pub(crate) fn with_applied(mut self, resource: &Resource) -> Self {
        if Applied::is_kept(resource.kind()) {
            let applied = applied(resource, &self.0);
            self.0.insert(APPLIED_TAG.to_owned(), applied);
        }
        self
    }

    /// All of them.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The app's name; empty for a kind that can't carry tags.
    pub fn app(&self) -> &str {
        self.0.get(APP_TAG).map_or("", String::as_str)
    }
}

/// A resource that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Its key by its tags ([`Scope::key_of`]); `None` where it isn't ours.
    pub key: Option<Key>,
    /// Its physical id: see [`Kind`].
    pub id: String,
    /// What people find it by in AWS's console: its name, or its id.
    pub name: String,
    /// What outputs are made of: see [`crate::outputs`].
    pub attributes: BTreeMap<String, String>,
    /// Its tags, without those of AWS (`aws:…`).
    pub tags: BTreeMap<String, String>,
    /// Its properties.
    pub resource: Resource,
}

/// How many targets of a target group are how; those that drain aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Targets {
    /// Get requests.
    pub healthy: u32,
    /// Have been registered a moment ago, and nobody knows yet.
    pub starting: u32,
    /// Don't pass the health check.
    pub unhealthy: u32,
    /// Nobody asks them, since no listener leads to their group: they may be healthy or not.
    pub unused: u32,
}

/// What came of a creation or a change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    /// The physical id: see [`Kind`].
    pub id: String,
    /// The same attributes that a listing gives. LoadBalancer: `dns_name`. SourceRepository: `clone_url_http`,
    /// `clone_url_ssh`. ImageRepository: `uri`. Service: `pending`, how many tasks are about to start. Others: none needed.
    pub attributes: BTreeMap<String, String>,
}

/// How an adapter tells what it is waiting for, while it waits.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(String) + Send + Sync>);

impl Progress {
    /// Tells `listener`.
    pub fn new(listener: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    /// Says what is waited for, as in `waiting for …`: `the gateway to become available`.
    pub fn waiting_for(&self, what: impl Into<String>) {
        (self.0)(what.into());
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// Why a call failed, with everything that a user needs to go on (DESIGN: what a user sees).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudError {
    /// The service, as in IAM actions: `ec2`, `elasticloadbalancing`; empty for an error of our own, such as a wait that took too long.
    pub service: String,
    /// The operation: `CreateNatGateway`; empty like the service.
    pub operation: String,
    /// AWS's code: `AddressLimitExceeded`; for what never reached AWS a word of the adapter's.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// AWS's request id, where there was an answer.
    pub request_id: Option<String>,
    /// What can be done about it.
    pub kind: CloudErrorKind,
    /// The next step.
    pub hint: Option<String>,
}

impl CloudError {
    /// Whether it is an error of our own, that no operation of AWS's was answered with.
    pub fn is_local(&self) -> bool {
        self.service.is_empty()
    }
}

impl std::error::Error for CloudError {}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            return f.write_str(&self.message);
        }
        let Self {
            service, operation, ..
        } = self;
        write!(f, "{service} {operation}: {} ({})", self.message, self.code)
    }
}

/// What can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudErrorKind {
    /// A permission is missing.
    Access,
    /// No credentials, or expired ones.
    Credentials,
    /// Too many calls; AWS would have taken it later.
    Throttled,
    /// Something that was there is gone.
    NotFound,
    /// The name is taken, or something depends on it.
    Conflict,
    /// A quota of the account is used up.
    Quota,
    /// AWS refuses the input.
    Refused,
    /// It took too long.
    Timeout,
    /// Anything else: AWS's own failure, a lost connection.
    Other,
}
