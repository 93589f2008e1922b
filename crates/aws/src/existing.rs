//! Finds in an account what an app uses and ecspipe didn't make: one module a kind. Nothing is asked where the spec refers to
//! nothing. Must not judge whether what is found will do: the engine's check does.

mod balancer;
mod guards;
mod identity;
mod network;

use std::collections::BTreeMap;

use ecspipe_provision::CloudError;
use ecspipe_provision::existing::{Candidate, Lookup, only};
use ecspipe_provision::existing::{Cluster, Depth, EncryptionKey, Existing, Found, Problem};
use ecspipe_provision::resource::Rule;
use ecspipe_spec::{Facts, Reference, Spec};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::classify::{OrMissing as _, Said as _};
use crate::kinds::{cluster, encryption_key, filter};
use crate::{Account, all};

/// What was looked for, or the problems with the reference to it.
type Sought<T> = Result<T, Vec<Problem>>;

/// How many clusters AWS describes at once.
const CLUSTERS: usize = 100;

impl Lookup for Account {
    fn look_up<'a>(
        &'a self,
        spec: &'a Spec,
        _facts: &'a Facts,
        depth: Depth,
    ) -> BoxFuture<'a, Result<Found, CloudError>> {
        look_up(self, spec, depth).boxed()
    }
}

async fn look_up(account: &Account, spec: &Spec, depth: Depth) -> Result<Found, CloudError> {
    let mut found = Found::default();
    if !spec.uses_existing() && !spec.deploy.names_existing() {
        return Ok(found);
    }
    let whole = depth == Depth::Everything;
    let network = async {
        match &spec.network.existing {
            Some(existing) if whole => network::find(account, existing).await.map(Some),
            _ => Ok(None),
        }
    };
    let cluster = async {
        match &spec.cluster {
            Some(given) => find_cluster(account, &given.existing, depth)
                .await
                .map(Some),
            None => Ok(None),
        }
    };
    let balancer = async {
        match &spec.load_balancer.existing {
            Some(existing) => balancer::find(account, existing, depth).await.map(Some),
            None => Ok(None),
        }
    };
    let key = async {
        match &spec.kms_key {
            Some(given) if whole => find_key(account, &given.existing).await.map(Some),
            _ => Ok(None),
        }
    };
    let roles = identity::roles(account, spec, depth);
    let boundary = async {
        match &spec.permissions_boundary {
            Some(existing) if whole => identity::policy(account, existing).await.map(Some),
            _ => Ok(None),
        }
    };
    let guards = async {
        match whole {
            true => futures::try_join!(
                guards::alarms(account, spec),
                guards::functions(account, spec)
            ),
            false => Ok(Default::default()),
        }
    };
    let (network, cluster, balancer, key, roles, boundary, (alarms, functions)) =
        futures::try_join!(network, cluster, balancer, key, roles, boundary, guards)?;
    let problems = &mut found.problems;
    found.existing = Existing {
        network: taken(network, problems),
        cluster: taken(cluster, problems),
        load_balancer: taken(balancer, problems),
        key: taken(key, problems),
        roles: roles
            .into_iter()
            .filter_map(|(role, sought)| Some((role, taken(Some(sought), problems)?)))
            .collect(),
        boundary: taken(boundary, problems),
        alarms: alarms
            .into_iter()
            .filter_map(|(name, sought)| Some((name, taken(Some(sought), problems)?)))
            .collect(),
        functions: functions
            .into_iter()
            .filter_map(|(event, sought)| Some((event, taken(Some(sought), problems)?)))
            .collect(),
    };
    Ok(found)
}

/// What was found; what was not becomes problems.
fn taken<T>(sought: Option<Sought<T>>, problems: &mut Vec<Problem>) -> Option<T> {
    match sought? {
        Ok(found) => Some(found),
        Err(more) => {
            problems.extend(more);
            None
        }
    }
}

/// A cluster is known by its name; only tags need a listing.
async fn find_cluster(
    account: &Account,
    reference: &Reference,
    depth: Depth,
) -> Result<Sought<Cluster>, CloudError> {
    const PATH: &str = "cluster.existing";
    let name = match reference {
        Reference::Id(arn) => arn.rsplit('/').next().unwrap_or_default().to_owned(),
        Reference::Name(name) => name.clone(),
        Reference::Tags(tags) => return clusters_with(account, reference, tags).await,
    };
    if depth == Depth::Names {
        let status = String::new();
        return Ok(Ok(Cluster { name, status }));
    }
    let call = account.ecs.describe_clusters().clusters(&name).send().await;
    let answer = call.said("ecs", "DescribeClusters")?;
    // One that was deleted stays for a while, INACTIVE.
    let found = answer.clusters().iter().map(|cluster| {
        let status = cluster.status().unwrap_or_default().to_owned();
        let name = name.clone();
        Candidate::new(name.clone(), Cluster { name, status })
    });
    let found: Vec<_> = found.collect();
    let others = match found.is_empty() {
        true => names_of(&cluster_arns(account).await?),
        false => Vec::new(),
    };
    Ok(only(PATH, "ECS cluster", reference, found, &others).map_err(|problem| vec![problem]))
}

async fn clusters_with(
    account: &Account,
    reference: &Reference,
    tags: &BTreeMap<String, String>,
) -> Result<Sought<Cluster>, CloudError> {
    let arns = cluster_arns(account).await?;
    let mut found = Vec::new();
    for some in arns.chunks(CLUSTERS) {
        let call = account
            .ecs
            .describe_clusters()
            .set_clusters(Some(some.to_vec()))
            .include(aws_sdk_ecs::types::ClusterField::Tags)
            .send()
            .await;
        let answer = call.said("ecs", "DescribeClusters")?;
        for cluster in answer.clusters() {
            if carries(&cluster::ecs_tags(cluster.tags()), tags) {
                let name = cluster.cluster_name().unwrap_or_default().to_owned();
                let status = cluster.status().unwrap_or_default().to_owned();
                found.push(Candidate::new(name.clone(), Cluster { name, status }));
            }
        }
    }
    let others = names_of(&arns);
    Ok(
        only("cluster.existing", "ECS cluster", reference, found, &others)
            .map_err(|problem| vec![problem]),
    )
}

async fn cluster_arns(account: &Account) -> Result<Vec<String>, CloudError> {
    let items = account.ecs.list_clusters().into_paginator().items().send();
    all(items).await.said("ecs", "ListClusters")
}

/// The names at the end of ARNs.
fn names_of(arns: &[String]) -> Vec<String> {
    arns.iter()
        .filter_map(|arn| arn.rsplit('/').next().map(ToOwned::to_owned))
        .collect()
}

/// A key by its id, its alias or its tags. KMS filters by nothing, so tags cost a call for each key of the account.
async fn find_key(
    account: &Account,
    reference: &Reference,
) -> Result<Sought<EncryptionKey>, CloudError> {
    let ids = match reference {
        Reference::Id(id) => vec![id.clone()],
        Reference::Name(name) if name.starts_with("alias/") => vec![name.clone()],
        Reference::Name(name) => vec![format!("alias/{name}")],
        Reference::Tags(tags) => keys_with(account, tags).await?,
    };
    let mut found = Vec::new();
    for id in ids {
        if let Some(key) = encryption_key::describe(account, &id).await? {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let key = EncryptionKey {
                arn: text(key.arn()),
                state: text(key.key_state().map(|state| state.as_str())),
                usage: text(key.key_usage().map(|usage| usage.as_str())),
                spec: text(key.key_spec().map(|spec| spec.as_str())),
            };
            found.push(Candidate::new(key.arn.clone(), key));
        }
    }
    Ok(only("kms_key.existing", "KMS key", reference, found, &[]).map_err(|problem| vec![problem]))
}

async fn keys_with(
    account: &Account,
    tags: &BTreeMap<String, String>,
) -> Result<Vec<String>, CloudError> {
    let items = account.kms.list_keys().into_paginator().items().send();
    let mut found = Vec::new();
    for key in all(items).await.said("kms", "ListKeys")? {
        let id = key.key_id().unwrap_or_default();
        // A key that this caller may not look at isn't one that he can name.
        let have = match encryption_key::tags_of(account, id).await {
            Err(error) if error.kind == ecspipe_provision::CloudErrorKind::Access => continue,
            have => have.or_missing()?.unwrap_or_default(),
        };
        let have = have
            .iter()
            .map(|tag| (Some(tag.tag_key()), Some(tag.tag_value())));
        if carries(&plain(have), tags) {
            found.push(id.to_owned());
        }
    }
    Ok(found)
}

/// Plain tags, AWS's own among them: a stack's name is a good tag to find something by.
fn plain<'a>(
    tags: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> BTreeMap<String, String> {
    tags.filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned())))
        .collect()
}

/// Whether all of `want` is among the tags.
fn carries(have: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> bool {
    want.iter().all(|(key, value)| have.get(key) == Some(value))
}

/// EC2's filters for tags, all of which must be carried.
fn with_tags(tags: &BTreeMap<String, String>) -> Vec<aws_sdk_ec2::types::Filter> {
    tags.iter()
        .map(|(key, value)| filter(&format!("tag:{key}"), value))
        .collect()
}

/// The rules of security groups by their ids.
struct Rules {
    ingress: std::collections::BTreeSet<Rule>,
    egress: std::collections::BTreeSet<Rule>,
}

/// Security groups by their ids, in one call.
async fn security_groups(
    account: &Account,
    ids: &std::collections::BTreeSet<String>,
) -> Result<BTreeMap<String, Rules>, CloudError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let which = aws_sdk_ec2::types::Filter::builder()
        .name("group-id")
        .set_values(Some(ids.iter().cloned().collect()))
        .build();
    let items = account
        .ec2
        .describe_security_groups()
        .filters(which)
        .into_paginator()
        .items()
        .send();
    let groups = all(items).await.said("ec2", "DescribeSecurityGroups")?;
    let rules = crate::kinds::security_group::rules;
    Ok(groups
        .iter()
        .map(|group| {
            let found = Rules {
                ingress: rules(group.ip_permissions()),
                egress: rules(group.ip_permissions_egress()),
            };
            (group.group_id().unwrap_or_default().to_owned(), found)
        })
        .collect())
}
