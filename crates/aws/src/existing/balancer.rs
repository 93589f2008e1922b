//! A load balancer with its listeners and the rules of its security groups. Must not judge.

use aws_sdk_elasticloadbalancingv2::types::LoadBalancer as FoundBalancer;
use ecspipe_provision::CloudError;
use ecspipe_provision::cloud::APP_TAG;
use ecspipe_provision::existing::{Candidate, Depth, Listener, LoadBalancer, SecurityGroup, only};
use ecspipe_spec::Reference;

use super::{Sought, carries, security_groups};
use crate::classify::Said as _;
use crate::kinds::{listener, load_balancer};
use crate::{Account, all};

pub(super) async fn find(
    account: &Account,
    reference: &Reference,
    depth: Depth,
) -> Result<Sought<LoadBalancer>, CloudError> {
    let found = candidates(account, reference).await?;
    let others = match found.is_empty() {
        true => every(account).await?.iter().map(name_of).collect(),
        false => Vec::new(),
    };
    const PATH: &str = "load_balancer.existing";
    let found = only(PATH, "load balancer", reference, found, &others);
    let mut balancer = match found {
        Ok(found) => balancer(&found),
        Err(problem) => return Ok(Err(vec![problem])),
    };
    if depth == Depth::Everything {
        let ids = balancer
            .security_groups
            .iter()
            .map(|group| group.id.clone());
        let ids = ids.collect();
        let (groups, listeners) = futures::try_join!(
            security_groups(account, &ids),
            listeners(account, &balancer.arn)
        )?;
        balancer.listeners = listeners;
        for group in &mut balancer.security_groups {
            if let Some(rules) = groups.get(&group.id) {
                group.ingress.clone_from(&rules.ingress);
                group.egress.clone_from(&rules.egress);
            }
        }
    }
    Ok(Ok(balancer))
}

async fn candidates(
    account: &Account,
    reference: &Reference,
) -> Result<Vec<Candidate<FoundBalancer>>, CloudError> {
    let found: Vec<FoundBalancer> = match reference {
        Reference::Name(name) => load_balancer::describe(account, name)
            .await?
            .into_iter()
            .collect(),
        Reference::Id(arn) => load_balancer::by_arn(account, arn)
            .await?
            .into_iter()
            .collect(),
        Reference::Tags(want) => {
            let every = every(account).await?;
            let arns = every.iter().map(arn_of).collect();
            let tags = load_balancer::tags_of(account, arns).await?;
            let carrying = |balancer: &FoundBalancer| {
                tags.get(&arn_of(balancer))
                    .is_some_and(|have| carries(have, want))
            };
            every.into_iter().filter(carrying).collect()
        }
    };
    Ok(found
        .into_iter()
        .map(|balancer| Candidate::new(name_of(&balancer), balancer))
        .collect())
}

async fn every(account: &Account) -> Result<Vec<FoundBalancer>, CloudError> {
    let items = account
        .elb
        .describe_load_balancers()
        .into_paginator()
        .items()
        .send();
    all(items)
        .await
        .said("elasticloadbalancing", "DescribeLoadBalancers")
}

fn arn_of(balancer: &FoundBalancer) -> String {
    balancer.load_balancer_arn().unwrap_or_default().to_owned()
}

fn name_of(balancer: &FoundBalancer) -> String {
    balancer.load_balancer_name().unwrap_or_default().to_owned()
}

fn balancer(found: &FoundBalancer) -> LoadBalancer {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let zones = found.availability_zones().iter();
    let groups = found.security_groups().iter();
    LoadBalancer {
        arn: arn_of(found),
        name: name_of(found),
        dns_name: text(found.dns_name()),
        vpc: text(found.vpc_id()),
        kind: text(found.r#type().map(|kind| kind.as_str())),
        state: text(
            found
                .state()
                .and_then(|state| state.code())
                .map(|code| code.as_str()),
        ),
        zones: zones
            .filter_map(|zone| zone.zone_name().map(ToOwned::to_owned))
            .collect(),
        security_groups: groups
            .map(|id| SecurityGroup {
                id: id.clone(),
                ..SecurityGroup::default()
            })
            .collect(),
        listeners: Vec::new(),
    }
}

/// Everybody's listeners, with whose they are.
async fn listeners(account: &Account, arn: &str) -> Result<Vec<Listener>, CloudError> {
    let found = listener::of_balancer(account, arn).await?;
    let arns = found
        .iter()
        .filter_map(|listener| listener.listener_arn().map(ToOwned::to_owned));
    let mut tags = load_balancer::tags_of(account, arns.collect()).await?;
    Ok(found
        .iter()
        .filter_map(|listener| {
            let tags = listener.listener_arn().and_then(|arn| tags.remove(arn));
            Some(Listener {
                port: u16::try_from(listener.port()?).ok()?,
                app: tags.and_then(|mut tags| tags.remove(APP_TAG)),
            })
        })
        .collect())
}
