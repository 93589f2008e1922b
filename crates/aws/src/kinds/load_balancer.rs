//! Application load balancers with the attributes that are compared. Must not touch listeners.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::operation::describe_load_balancers::builders::DescribeLoadBalancersFluentBuilder;
use aws_sdk_elasticloadbalancingv2::types::{
    LoadBalancer as Found, LoadBalancerAttribute, LoadBalancerSchemeEnum, LoadBalancerStateEnum,
    LoadBalancerTypeEnum, Tag,
};
use ecspipe_provision::resource::LoadBalancer;
use ecspipe_provision::{CloudError, Detail, Have, Kind, Made, Progress, Scope, Tags};

use super::balancing::{self, Balancing};
use super::{Seen, Update, deleted_meanwhile, is_ours, unsaid};
use crate::Account;
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::pace::{BALANCER, LATER, RELEASE};
use crate::view::View;

const DROP_INVALID: &str = "routing.http.drop_invalid_header_fields.enabled";
const PROTECTION: &str = "deletion_protection.enabled";
const IDLE: &str = "idle_timeout.timeout_seconds";

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let balancing = balancing::of_app(view, scope).await?;
    let Some(balancer) = &balancing.balancer else {
        return Ok(Vec::new());
    };
    // One that failed is good for nothing but to be deleted: a new one takes its place.
    if is_failed(balancer) && scope.detail == Detail::Properties {
        return Ok(Vec::new());
    }
    let seen = seen(balancer, &balancing);
    Ok(vec![seen.into_have(scope, Kind::LoadBalancer)])
}

fn is_failed(balancer: &Found) -> bool {
    let code = balancer.state().and_then(|state| state.code());
    code == Some(&LoadBalancerStateEnum::Failed)
}

/// A balancer by its name.
pub(crate) async fn describe(account: &Account, name: &str) -> Result<Option<Found>, CloudError> {
    first(account.elb.describe_load_balancers().names(name)).await
}

/// The same by its ARN.
pub(crate) async fn by_arn(account: &Account, arn: &str) -> Result<Option<Found>, CloudError> {
    first(
        account
            .elb
            .describe_load_balancers()
            .load_balancer_arns(arn),
    )
    .await
}

async fn first(request: DescribeLoadBalancersFluentBuilder) -> Result<Option<Found>, CloudError> {
    let call = request.send().await;
    let answer = call
        .said("elasticloadbalancing", "DescribeLoadBalancers")
        .or_missing()?;
    Ok(answer.and_then(|answer| answer.load_balancers().first().cloned()))
}

fn seen(balancer: &Found, balancing: &Balancing) -> Seen {
    let arn = balancer.load_balancer_arn().unwrap_or_default();
    let name = balancer.load_balancer_name().unwrap_or_default();
    let attribute = |name: &str| balancing.attributes.get(name).cloned().unwrap_or_default();
    let subnets = balancer
        .availability_zones()
        .iter()
        .filter_map(|zone| zone.subnet_id());
    let resource = LoadBalancer {
        name: name.to_owned(),
        scheme: balancer
            .scheme()
            .map(|scheme| scheme.as_str())
            .unwrap_or_default()
            .to_owned(),
        address_type: balancer
            .ip_address_type()
            .map(|kind| kind.as_str())
            .unwrap_or_default()
            .to_owned(),
        subnets: subnets.map(ToOwned::to_owned).collect(),
        security_groups: balancer.security_groups().iter().cloned().collect(),
        drop_invalid_headers: attribute(DROP_INVALID) == "true",
        deletion_protection: attribute(PROTECTION) == "true",
        idle_timeout_seconds: attribute(IDLE).parse().unwrap_or_default(),
        after: Default::default(),
    };
    Seen::named(name, balancing.tags_of(arn), resource)
        .with_id(arn)
        .with_attribute("dns_name", balancer.dns_name().unwrap_or_default())
}

/// A balancer's attributes by its ARN.
pub(crate) async fn attributes(
    account: &Account,
    arn: &str,
) -> Result<BTreeMap<String, String>, CloudError> {
    let call = account
        .elb
        .describe_load_balancer_attributes()
        .load_balancer_arn(arn)
        .send()
        .await;
    let answer = call.said("elasticloadbalancing", "DescribeLoadBalancerAttributes")?;
    let pair = |attribute: &LoadBalancerAttribute| {
        let value = attribute.value().unwrap_or_default();
        Some((attribute.key()?.to_owned(), value.to_owned()))
    };
    Ok(answer.attributes().iter().filter_map(pair).collect())
}

/// The tags of balancers, target groups and listeners by ARN; AWS takes twenty at a time.
pub(crate) async fn tags_of(
    account: &Account,
    arns: Vec<String>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CloudError> {
    let mut tags = BTreeMap::new();
    for some in arns.chunks(20) {
        let call = account
            .elb
            .describe_tags()
            .set_resource_arns(Some(some.to_vec()))
            .send()
            .await;
        // One that went away since it was listed fails the whole call: then nothing of it is known, and it shows as nobody's.
        let Some(answer) = call
            .said("elasticloadbalancing", "DescribeTags")
            .or_missing()?
        else {
            continue;
        };
        for description in answer.tag_descriptions() {
            let found = crate::tags::map(
                description
                    .tags()
                    .iter()
                    .map(|tag| (tag.key(), tag.value())),
            );
            tags.insert(
                description.resource_arn().unwrap_or_default().to_owned(),
                found,
            );
        }
    }
    Ok(tags)
}

/// Sets and removes the tags of anything of the balancer's.
pub(crate) async fn retag(account: &Account, update: &Update<'_>) -> Result<(), CloudError> {
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    let arn = &update.have.id;
    if !retag.add.is_empty() {
        let call = account
            .elb
            .add_tags()
            .resource_arns(arn)
            .set_tags(Some(elb_tags(&retag.add)))
            .send()
            .await;
        call.said("elasticloadbalancing", "AddTags")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .elb
            .remove_tags()
            .resource_arns(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("elasticloadbalancing", "RemoveTags")?;
    }
    Ok(())
}

pub(crate) fn elb_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    crate::tags::list!(aws_sdk_elasticloadbalancingv2::types::Tag, tags)
}

/// Its name makes the creation repeatable: AWS gives the existing one back where all settings are the same.
pub(crate) async fn create(
    account: &Account,
    want: &LoadBalancer,
    tags: &Tags,
    progress: &Progress,
) -> Result<Made, CloudError> {
    let make = || async {
        let call = account
            .elb
            .create_load_balancer()
            .name(&want.name)
            .scheme(LoadBalancerSchemeEnum::from(want.scheme.as_str()))
            .r#type(LoadBalancerTypeEnum::Application)
            .ip_address_type(want.address_type.as_str().into())
            .set_subnets(Some(want.subnets.iter().cloned().collect()))
            .set_security_groups(Some(want.security_groups.iter().cloned().collect()))
            .set_tags(Some(elb_tags(tags.all())))
            .send()
            .await;
        call.said("elasticloadbalancing", "CreateLoadBalancer")
    };
    let mut made = account.pace.settled(progress, make).await;
    let in_the_way = match &made {
        Ok(answer) => answer.load_balancers().iter().any(is_failed),
        Err(error) => error.code == "DuplicateLoadBalancerName",
    };
    if in_the_way && remove_failed(account, want, tags, progress).await? {
        made = account.pace.settled(progress, make).await;
    }
    let made = made?;
    let balancer = made
        .load_balancers()
        .first()
        .ok_or_else(|| unsaid("elasticloadbalancing", "CreateLoadBalancer", "balancer"))?;
    let arn = balancer
        .load_balancer_arn()
        .ok_or_else(|| unsaid("elasticloadbalancing", "CreateLoadBalancer", "ARN"))?;
    set_attributes(account, arn, want).await?;
    let state = balancer.state().and_then(|state| state.code());
    if state != Some(&LoadBalancerStateEnum::Active) {
        wait_active(account, arn, progress).await?;
    }
    let dns_name = balancer.dns_name().unwrap_or_default().to_owned();
    Ok(Made {
        id: arn.to_owned(),
        attributes: [("dns_name".to_owned(), dns_name)].into(),
    })
}

/// Removes one of ours that ended `failed` and has the name. Whether there was one.
async fn remove_failed(
    account: &Account,
    want: &LoadBalancer,
    tags: &Tags,
    progress: &Progress,
) -> Result<bool, CloudError> {
    let Some(failed) = describe(account, &want.name).await?.filter(is_failed) else {
        return Ok(false);
    };
    let arn = failed.load_balancer_arn().unwrap_or_default();
    let found = tags_of(account, vec![arn.to_owned()]).await?;
    let ours = found.get(arn).is_some_and(|found| is_ours(found, tags));
    if ours {
        remove(account, arn, progress).await?;
    }
    Ok(ours)
}

async fn wait_active(account: &Account, arn: &str, progress: &Progress) -> Result<(), CloudError> {
    let active = || async {
        let balancer = by_arn(account, arn).await?;
        let Some(balancer) = balancer else {
            return Err(deleted_meanwhile(&format!("load balancer {arn}")));
        };
        let state = balancer.state();
        match state.and_then(|state| state.code()) {
            Some(LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired) => {
                Ok(Some(()))
            }
            Some(LoadBalancerStateEnum::Failed) => {
                let why = state
                    .and_then(|state| state.reason())
                    .unwrap_or("AWS gives no reason");
                Err(local(
                    "LoadBalancerFailed",
                    format!("load balancer {arn} failed: {why}"),
                )
                .with_hint(
                    "run the command again: it removes the failed balancer and makes another",
                ))
            }
            _ => Ok(None),
        }
    };
    account
        .pace
        .until(
            progress,
            "the load balancer to become active",
            BALANCER.asked(),
            active,
        )
        .await
}

async fn set_attributes(
    account: &Account,
    arn: &str,
    want: &LoadBalancer,
) -> Result<(), CloudError> {
    let attribute = |key: &str, value: String| {
        LoadBalancerAttribute::builder()
            .key(key)
            .value(value)
            .build()
    };
    let call = account
        .elb
        .modify_load_balancer_attributes()
        .load_balancer_arn(arn)
        .attributes(attribute(
            DROP_INVALID,
            want.drop_invalid_headers.to_string(),
        ))
        .attributes(attribute(PROTECTION, want.deletion_protection.to_string()))
        .attributes(attribute(IDLE, want.idle_timeout_seconds.to_string()))
        .send()
        .await;
    call.said("elasticloadbalancing", "ModifyLoadBalancerAttributes")
        .map(|_| ())
}

pub(crate) async fn update(
    account: &Account,
    want: &LoadBalancer,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let arn = &update.have.id;
    if update.touches(&[
        "drop_invalid_headers",
        "deletion_protection",
        "idle_timeout_seconds",
    ]) {
        set_attributes(account, arn, want).await?;
    }
    if update.touches(&["subnets"]) {
        let call = account
            .elb
            .set_subnets()
            .load_balancer_arn(arn)
            .set_subnets(Some(want.subnets.iter().cloned().collect()));
        call.send()
            .await
            .said("elasticloadbalancing", "SetSubnets")?;
    }
    if update.touches(&["security_groups"]) {
        let groups = Some(want.security_groups.iter().cloned().collect());
        let call = account
            .elb
            .set_security_groups()
            .load_balancer_arn(arn)
            .set_security_groups(groups);
        call.send()
            .await
            .said("elasticloadbalancing", "SetSecurityGroups")?;
    }
    if update.touches(&["address_type"]) {
        let call = account
            .elb
            .set_ip_address_type()
            .load_balancer_arn(arn)
            .ip_address_type(want.address_type.as_str().into());
        call.send()
            .await
            .said("elasticloadbalancing", "SetIpAddressType")?;
    }
    retag(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    remove(account, &have.id, progress).await
}

async fn remove(account: &Account, arn: &str, progress: &Progress) -> Result<(), CloudError> {
    let delete = || async {
        let call = account
            .elb
            .delete_load_balancer()
            .load_balancer_arn(arn)
            .send()
            .await;
        call.said("elasticloadbalancing", "DeleteLoadBalancer")
            .or_missing()
    };
    match delete().await {
        // Protected against an accident, which this isn't.
        Err(error) if error.code == "OperationNotPermitted" => {
            unprotect(account, arn).await?;
            delete().await?
        }
        done => done?,
    };
    let gone = || async { Ok(by_arn(account, arn).await?.is_none().then_some(())) };
    account
        .pace
        .until(progress, "the load balancer to be gone", LATER, gone)
        .await?;
    released(account, arn, progress).await
}

async fn unprotect(account: &Account, arn: &str) -> Result<(), CloudError> {
    let off = LoadBalancerAttribute::builder()
        .key(PROTECTION)
        .value("false")
        .build();
    let call = account
        .elb
        .modify_load_balancer_attributes()
        .load_balancer_arn(arn)
        .attributes(off)
        .send()
        .await;
    call.said("elasticloadbalancing", "ModifyLoadBalancerAttributes")
        .map(|_| ())
}

/// Subnets, security group and internet gateway are held until the network interfaces of the balancer are gone. Looking
/// for these is one call; trying each of the others again would be many.
async fn released(account: &Account, arn: &str, progress: &Progress) -> Result<(), CloudError> {
    // arn:aws:elasticloadbalancing:…:loadbalancer/app/NAME/ID
    let Some((_, path)) = arn.split_once(":loadbalancer/") else {
        return Ok(());
    };
    let of_balancer = vec![super::filter("description", &format!("ELB {path}"))];
    let none_left = || async {
        let call = account
            .ec2
            .describe_network_interfaces()
            .set_filters(Some(of_balancer.clone()))
            .send()
            .await;
        let answer = call.said("ec2", "DescribeNetworkInterfaces")?;
        Ok(answer.network_interfaces().is_empty().then_some(()))
    };
    account
        .pace
        .until(
            progress,
            "AWS to release the network interfaces of the load balancer",
            RELEASE,
            none_left,
        )
        .await
}
