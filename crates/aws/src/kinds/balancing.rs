//! What one look finds out about an app's balancer, listeners and target groups together: they refer to each other, and their
//! tags come in one call for all of them. Must not say what of it is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_elasticloadbalancingv2::types::{Listener, LoadBalancer, TargetGroup};
use ecspipe_provision::{CloudError, Detail, Kind, Scope};
use tokio::sync::OnceCell;

use super::{listener, load_balancer, target_group};
use crate::all;
use crate::classify::Said as _;
use crate::view::{Memo, View};

/// What is asked once in a view.
#[derive(Default)]
pub(crate) struct Lookups {
    apps: Memo<String, Arc<Balancing>>,
    balancers: OnceCell<Vec<LoadBalancer>>,
    groups: OnceCell<Vec<TargetGroup>>,
}

/// What an app has of Elastic Load Balancing.
pub(crate) struct Balancing {
    pub(crate) balancer: Option<LoadBalancer>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) groups: Vec<TargetGroup>,
    /// The balancer's attributes; empty where only identities are looked for.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The target groups' deregistration delays by ARN; empty likewise.
    pub(crate) delays: BTreeMap<String, u32>,
    /// By ARN.
    pub(crate) tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl Balancing {
    pub(crate) fn tags_of(&self, arn: &str) -> BTreeMap<String, String> {
        self.tags.get(arn).cloned().unwrap_or_default()
    }
}

/// What the scope's app has, asked once in a view.
pub(crate) async fn of_app(view: &View, scope: &Scope) -> Result<Arc<Balancing>, CloudError> {
    let lookups = &view.balancing;
    lookups
        .apps
        .get(scope.app.to_string(), || look(view, scope))
        .await
}

async fn look(view: &View, scope: &Scope) -> Result<Arc<Balancing>, CloudError> {
    let front = async {
        let balancer = balancer(view, scope).await?;
        let (listeners, attributes) = futures::try_join!(
            in_front(view, scope, balancer.as_ref()),
            attributes(view, scope, balancer.as_ref()),
        )?;
        Ok::<_, CloudError>((balancer, listeners, attributes))
    };
    let back = async {
        let groups = groups(view, scope).await?;
        let delays = delays(view, scope, &groups).await?;
        Ok((groups, delays))
    };
    let ((balancer, mut listeners, attributes), (groups, delays)) =
        futures::try_join!(front, back)?;
    listeners.extend(left_behind(view, scope, balancer.as_ref(), &groups).await?);
    let arns = balancer
        .iter()
        .filter_map(LoadBalancer::load_balancer_arn)
        .chain(listeners.iter().filter_map(Listener::listener_arn))
        .chain(groups.iter().filter_map(TargetGroup::target_group_arn));
    let mut tags = BTreeMap::new();
    let mut unknown = Vec::new();
    for arn in arns {
        match view.indexed(scope, arn).await {
            Some(found) => {
                tags.insert(arn.to_owned(), found);
            }
            None => unknown.push(arn.to_owned()),
        }
    }
    tags.extend(load_balancer::tags_of(view, unknown).await?);
    Ok(Arc::new(Balancing {
        balancer,
        listeners,
        groups,
        attributes,
        delays,
        tags,
    }))
}

/// The listeners on the app's own balancer, and on the one that it shares.
async fn in_front(
    view: &View,
    scope: &Scope,
    balancer: Option<&LoadBalancer>,
) -> Result<Vec<Listener>, CloudError> {
    let own = balancer.and_then(LoadBalancer::load_balancer_arn);
    let shared = scope.load_balancer.as_deref();
    // One that exists may have the name that the app's own would have.
    let own = own.filter(|own| shared != Some(*own));
    let mut listeners = Vec::new();
    for arn in own.into_iter().chain(shared) {
        listeners.extend(listener::of_balancer(view, arn).await?);
    }
    Ok(listeners)
}

async fn attributes(
    view: &View,
    scope: &Scope,
    balancer: Option<&LoadBalancer>,
) -> Result<BTreeMap<String, String>, CloudError> {
    match balancer.and_then(LoadBalancer::load_balancer_arn) {
        Some(arn) if scope.detail == Detail::Properties => {
            load_balancer::attributes(view, arn).await
        }
        _ => Ok(BTreeMap::new()),
    }
}

async fn delays(
    view: &View,
    scope: &Scope,
    groups: &[TargetGroup],
) -> Result<BTreeMap<String, u32>, CloudError> {
    if scope.detail == Detail::Identity {
        return Ok(BTreeMap::new());
    }
    let arns = groups.iter().filter_map(TargetGroup::target_group_arn);
    let delays = arns.map(|arn| async move {
        let delay = target_group::delay(view, arn).await?;
        Ok((arn.to_owned(), delay))
    });
    let delays: Vec<_> = futures::future::try_join_all(delays).await?;
    Ok(delays.into_iter().collect())
}

/// The listeners on a balancer that the spec has moved away from. The app's target groups still know it.
async fn left_behind(
    view: &View,
    scope: &Scope,
    balancer: Option<&LoadBalancer>,
    groups: &[TargetGroup],
) -> Result<Vec<Listener>, CloudError> {
    let own = balancer.and_then(LoadBalancer::load_balancer_arn);
    let known = [own, scope.load_balancer.as_deref()];
    let others: BTreeSet<&String> = groups
        .iter()
        .flat_map(TargetGroup::load_balancer_arns)
        .filter(|arn| !known.contains(&Some(arn.as_str())))
        .collect();
    let mut listeners = Vec::new();
    for arn in others {
        listeners.extend(listener::of_balancer(view, arn).await?);
    }
    Ok(listeners)
}

async fn balancer(view: &View, scope: &Scope) -> Result<Option<LoadBalancer>, CloudError> {
    let Some((_, name)) = scope.wanted_of(Kind::LoadBalancer).next() else {
        return Ok(None);
    };
    if !view.is_wide() {
        return load_balancer::describe(view, name).await;
    }
    let all = view.balancing.balancers.get_or_try_init(|| async {
        let pages = view.elb.describe_load_balancers().into_paginator();
        all(pages.items().send())
            .await
            .said("elasticloadbalancing", "DescribeLoadBalancers")
    });
    let is_it = |found: &&LoadBalancer| found.load_balancer_name() == Some(name);
    Ok(all.await?.iter().find(is_it).cloned())
}

/// One name that doesn't exist fails a call for several; the whole account's groups are then one call, or a page each 400.
async fn groups(view: &View, scope: &Scope) -> Result<Vec<TargetGroup>, CloudError> {
    let names = scope.names_of(Kind::TargetGroup);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if !view.is_wide() {
        let list: Vec<&str> = names.iter().copied().collect();
        if let Some(found) = target_group::named(view, &list).await? {
            return Ok(found);
        }
    }
    let all = view.balancing.groups.get_or_try_init(|| async {
        let pages = view.elb.describe_target_groups().into_paginator();
        all(pages.items().send())
            .await
            .said("elasticloadbalancing", "DescribeTargetGroups")
    });
    let is_one = |found: &&TargetGroup| {
        let name = found.target_group_name();
        name.is_some_and(|name| names.contains(name))
    };
    Ok(all.await?.iter().filter(is_one).cloned().collect())
}
