//! One look at an account: what several kinds, or several apps, need to know is asked once in it. A view is made for one
//! observation and thrown away, so nothing in it is ever older than that. Must not decide what a difference means.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::types::Filter;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use ecspipe_provision::cloud::APP_TAG;
use ecspipe_provision::{CloudError, Detail, Have, Key, Kind, Listing, Scope, TagSource};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::classify::Said as _;
use crate::kinds::{self, Seen};
use crate::{Account, all};

/// An account as one observation sees it.
pub(crate) struct View {
    account: Account,
    /// Whose resources are looked for.
    apps: BTreeSet<String>,
    /// AWS's names of everything that is looked for.
    names: BTreeMap<Kind, BTreeSet<String>>,
    /// How much has to be found out: the most that any scope asks for.
    pub(crate) detail: Detail,
    /// EC2's resources of all apps, by kind.
    tagged: Memo<Kind, Arc<Vec<Seen>>>,
    index: OnceCell<Option<TagIndex>>,
    pub(crate) balancing: kinds::balancing::Lookups,
    pub(crate) roles: OnceCell<Vec<aws_sdk_iam::types::RoleDetail>>,
    pub(crate) clusters: OnceCell<Vec<aws_sdk_ecs::types::Cluster>>,
    pub(crate) log_groups: OnceCell<Vec<aws_sdk_cloudwatchlogs::types::LogGroup>>,
    pub(crate) projects: OnceCell<Vec<aws_sdk_codebuild::types::Project>>,
    pub(crate) deployment_configs: OnceCell<Vec<String>>,
    pub(crate) deployment_groups: Memo<String, kinds::code_deploy::Group>,
}

impl Deref for View {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

/// Tags by ARN.
type TagIndex = BTreeMap<String, BTreeMap<String, String>>;

/// EC2's limit of values in a filter.
const FILTER_VALUES: usize = 200;

/// The tag index's limit of values in a filter.
const INDEX_VALUES: usize = 20;

/// What the index is asked for, as it calls services and types: the services whose listings hold no tags, and what an app may have
/// none of, so that its listing can be left out.
const INDEXED: [&str; 11] = [
    "cloudwatch",
    "codecommit",
    "codedeploy",
    "codepipeline",
    "ec2:vpc-endpoint",
    "ecr",
    "elasticloadbalancing",
    "events",
    "kms",
    "logs",
    "s3",
];

impl View {
    /// A view for all of `scopes`.
    pub(crate) fn new(account: &Account, scopes: &[Scope]) -> Self {
        let mut names: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
        for (Key { kind, .. }, name) in scopes.iter().flat_map(|scope| &scope.wanted) {
            names.entry(*kind).or_default().insert(name.clone());
        }
        let every = |scope: &Scope| scope.detail == Detail::Identity;
        Self {
            account: account.clone(),
            apps: scopes.iter().map(|scope| scope.app.to_string()).collect(),
            names,
            detail: if scopes.iter().all(every) {
                Detail::Identity
            } else {
                Detail::Properties
            },
            tagged: Memo::default(),
            index: OnceCell::new(),
            balancing: kinds::balancing::Lookups::default(),
            roles: OnceCell::new(),
            clusters: OnceCell::new(),
            log_groups: OnceCell::new(),
            projects: OnceCell::new(),
            deployment_configs: OnceCell::new(),
            deployment_groups: Memo::default(),
        }
    }

    /// The names of one kind, of all apps.
    pub(crate) fn names_of(&self, kind: Kind) -> Vec<String> {
        self.names
            .get(&kind)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether so many apps are looked at that one listing of the whole account costs less than one look for each name.
    pub(crate) fn is_wide(&self) -> bool {
        self.apps.len() > 3
    }

    /// EC2's filters: everything of the apps.
    pub(crate) fn of_apps(&self) -> Vec<Filter> {
        if self.apps.len() > FILTER_VALUES {
            return vec![kinds::filter("tag-key", APP_TAG)];
        }
        let values = Some(self.apps.iter().cloned().collect());
        let filter = Filter::builder()
            .name(format!("tag:{APP_TAG}"))
            .set_values(values);
        vec![filter.build()]
    }

    /// The tags of something, if the account's tag index may be asked and lists exactly what is wanted of it. The index lags
    /// behind the services by some seconds, so that anything else it says is no answer: then the service is asked.
    pub(crate) async fn indexed(
        &self,
        scope: &Scope,
        arn: &str,
    ) -> Option<BTreeMap<String, String>> {
        if scope.tag_source != TagSource::Index {
            return None;
        }
        let found = self.index().await?.get(arn)?;
        let wanted = scope.wanted_tags.values().any(|tags| tags.all() == found);
        wanted.then(|| found.clone())
    }

    /// Whether the account's tag index may be asked, and lists nothing of `service` that belongs to the app. What was made or
    /// deleted within the last seconds may be missing or still there, so this is for whoever only looks.
    pub(crate) async fn has_none_of(&self, scope: &Scope, service: &str) -> bool {
        if scope.tag_source != TagSource::Index {
            return false;
        }
        let Some(index) = self.index().await else {
            return false;
        };
        let is_of = |arn: &str| arn.split(':').nth(2) == Some(service);
        let is_ours = |tags: &BTreeMap<String, String>| {
            tags.get(APP_TAG).map(String::as_str) == Some(scope.app.as_str())
        };
        !index.iter().any(|(arn, tags)| is_of(arn) && is_ours(tags))
    }

    /// The index. Whoever may not read it, or has none in this region, asks the services.
    async fn index(&self) -> Option<&TagIndex> {
        let index = self
            .index
            .get_or_init(|| async { self.read_index().await.ok() });
        index.await.as_ref()
    }

    async fn read_index(&self) -> Result<TagIndex, CloudError> {
        let mut of_apps = TagFilter::builder().key(APP_TAG);
        if self.apps.len() <= INDEX_VALUES {
            of_apps = of_apps.set_values(Some(self.apps.iter().cloned().collect()));
        }
        let items = self
            .tagging
            .get_resources()
            .tag_filters(of_apps.build())
            .set_resource_type_filters(Some(INDEXED.map(ToOwned::to_owned).to_vec()))
            .into_paginator()
            .items()
            .send();
        let found = all(items).await.said("tag", "GetResources")?;
        let entry = |mapping: &aws_sdk_resourcegroupstagging::types::ResourceTagMapping| {
            let tags = mapping
                .tags()
                .iter()
                .map(|tag| (Some(tag.key()), Some(tag.value())));
            Some((mapping.resource_arn()?.to_owned(), crate::tags::map(tags)))
        };
        Ok(found.iter().filter_map(entry).collect())
    }

    /// The app's endpoints. One that wants none costs a plan no call where the account's tag index says that it has none.
    async fn endpoints(&self, scope: &Scope) -> Result<Vec<Have>, CloudError> {
        let mut wanted = scope.wanted_tags.keys();
        let wants_some = wanted.any(|key| key.kind == Kind::Endpoint);
        if !wants_some && self.has_none_of(scope, "ec2").await {
            return Ok(Vec::new());
        }
        self.tagged(Kind::Endpoint, scope).await
    }

    /// Everything of an EC2 kind that belongs to the scope's app.
    async fn tagged(&self, kind: Kind, scope: &Scope) -> Result<Vec<Have>, CloudError> {
        let found = self.tagged.get(kind, || self.list_tagged(kind)).await?;
        let ours = found.iter().filter(|seen| {
            let app = seen.tags.get(APP_TAG);
            app.is_some_and(|app| app == scope.app.as_str())
        });
        Ok(ours
            .map(|seen| seen.clone().into_have(scope, kind))
            .collect())
    }

    async fn list_tagged(&self, kind: Kind) -> Result<Arc<Vec<Seen>>, CloudError> {
        let found = match kind {
            Kind::Vpc => kinds::vpc::list(self).await,
            Kind::InternetGateway => kinds::internet_gateway::list(self).await,
            Kind::Subnet => kinds::subnet::list(self).await,
            Kind::Address => kinds::address::list(self).await,
            Kind::NatGateway => kinds::nat_gateway::list(self).await,
            Kind::RouteTable => kinds::route_table::list(self).await,
            Kind::SecurityGroup => kinds::security_group::list(self).await,
            Kind::Endpoint => kinds::endpoint::list(self).await,
            _ => Err(kinds::wrong_kind(kind)),
        };
        found.map(Arc::new)
    }
}

impl Listing for View {
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>> {
        match kind {
            Kind::EncryptionKey => kinds::encryption_key::list(self, scope).boxed(),
            Kind::Bucket => kinds::bucket::list(self, scope).boxed(),
            Kind::LogGroup => kinds::log_group::list(self, scope).boxed(),
            Kind::ImageRepository => kinds::image_repository::list(self, scope).boxed(),
            Kind::Role => kinds::role::list(self, scope).boxed(),
            Kind::Vpc
            | Kind::InternetGateway
            | Kind::Subnet
            | Kind::Address
            | Kind::NatGateway
            | Kind::RouteTable
            | Kind::SecurityGroup => self.tagged(kind, scope).boxed(),
            Kind::Endpoint => self.endpoints(scope).boxed(),
            Kind::LoadBalancer => kinds::load_balancer::list(self, scope).boxed(),
            Kind::TargetGroup => kinds::target_group::list(self, scope).boxed(),
            Kind::Listener => kinds::listener::list(self, scope).boxed(),
            Kind::Alarm => kinds::alarm::list(self, scope).boxed(),
            Kind::Cluster => kinds::cluster::list(self, scope).boxed(),
            Kind::TaskDefinition => kinds::task_definition::list(self, scope).boxed(),
            Kind::Service => kinds::service::list(self, scope).boxed(),
            Kind::DeploymentApplication => {
                kinds::code_deploy::list_applications(self, scope).boxed()
            }
            Kind::DeploymentConfig => kinds::code_deploy::list_configs(self, scope).boxed(),
            Kind::DeploymentGroup => kinds::code_deploy::list_groups(self, scope).boxed(),
            Kind::SourceRepository => kinds::source_repository::list(self, scope).boxed(),
            Kind::BuildProject => kinds::build_project::list(self, scope).boxed(),
            Kind::Pipeline => kinds::pipeline::list(self, scope).boxed(),
            Kind::EventRule => kinds::event_rule::list(self, scope).boxed(),
        }
    }
}

/// Answers by what was asked; each is asked for once, also when several ask at the same time.
pub(crate) struct Memo<K, V>(Mutex<BTreeMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Memo<K, V> {
    /// What `ask` answers for `key`. A failure is kept by nobody: the next one asks again.
    pub(crate) async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, CloudError>
    where
        F: Future<Output = Result<V, CloudError>>,
    {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_try_init(ask).await.cloned()
    }
}
