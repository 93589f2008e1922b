//! Listeners with their default action. Must not judge where a rollout has pointed them.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, Listener as Found, TargetGroupTuple,
};
use ecspipe_provision::resource::{Forward, Listener};
use ecspipe_provision::{CloudError, Have, Kind, Progress, Scope, Tags};

use super::balancing;
use super::load_balancer::{elb_tags, retag};
use super::{Seen, Update, unsaid};
use crate::classify::{OrMissing as _, Said as _};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let balancing = balancing::of_app(view, scope).await?;
    let seen = balancing.listeners.iter().map(|listener| {
        let arn = listener.listener_arn().unwrap_or_default();
        Seen::new(arn, balancing.tags_of(arn), resource(listener))
    });
    Ok(seen
        .map(|seen| seen.into_have(scope, Kind::Listener))
        .collect())
}

/// The listeners of a balancer by its ARN; none where it is gone.
pub(crate) async fn of_balancer(account: &Account, arn: &str) -> Result<Vec<Found>, CloudError> {
    let items = account
        .elb
        .describe_listeners()
        .load_balancer_arn(arn)
        .into_paginator()
        .items()
        .send();
    Ok(all(items)
        .await
        .said("elasticloadbalancing", "DescribeListeners")
        .or_missing()?
        .unwrap_or_default())
}

fn resource(listener: &Found) -> Listener {
    Listener {
        load_balancer: listener.load_balancer_arn().unwrap_or_default().to_owned(),
        port: listener
            .port()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
        protocol: listener
            .protocol()
            .map(|protocol| protocol.as_str())
            .unwrap_or_default()
            .to_owned(),
        forward: forward(listener),
        pair: BTreeSet::new(),
    }
}

/// Where a listener's default action forwards to; one target group alone has weight 1 whatever AWS keeps, and weight 0 gets nothing.
pub(crate) fn forward(listener: &Found) -> BTreeSet<Forward> {
    let Some(action) = listener
        .default_actions()
        .iter()
        .find(|action| action.r#type() == Some(&ActionTypeEnum::Forward))
    else {
        return BTreeSet::new();
    };
    let groups = action
        .forward_config()
        .map(ForwardActionConfig::target_groups)
        .unwrap_or_default();
    let weighted: Vec<(&str, u32)> = groups
        .iter()
        .filter_map(|group| {
            Some((
                group.target_group_arn()?,
                group
                    .weight()
                    .and_then(|weight| u32::try_from(weight).ok())
                    .unwrap_or(1),
            ))
        })
        .filter(|(_, weight)| *weight > 0)
        .collect();
    let alone = |arn: &str| {
        BTreeSet::from([Forward {
            target_group: arn.to_owned(),
            weight: 1,
        }])
    };
    match (weighted.as_slice(), action.target_group_arn()) {
        ([], Some(arn)) => alone(arn),
        ([(arn, _)], _) => alone(arn),
        (several, _) => several
            .iter()
            .map(|(arn, weight)| Forward {
                target_group: (*arn).to_owned(),
                weight: *weight,
            })
            .collect(),
    }
}

fn actions(want: &Listener) -> Vec<Action> {
    let action = Action::builder().r#type(ActionTypeEnum::Forward);
    let mut groups = want.forward.iter();
    let action = match (groups.next(), groups.next()) {
        (Some(alone), None) => action.target_group_arn(&alone.target_group),
        _ => {
            let tuple = |forward: &Forward| {
                let weight = i32::try_from(forward.weight).unwrap_or(999);
                TargetGroupTuple::builder()
                    .target_group_arn(&forward.target_group)
                    .weight(weight)
                    .build()
            };
            action.forward_config(
                ForwardActionConfig::builder()
                    .set_target_groups(Some(want.forward.iter().map(tuple).collect()))
                    .build(),
            )
        }
    };
    vec![action.build()]
}

/// The port makes the creation repeatable: a listener that is there already is looked up.
pub(crate) async fn create(
    account: &Account,
    want: &Listener,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .elb
            .create_listener()
            .load_balancer_arn(&want.load_balancer)
            .port(i32::from(want.port))
            .protocol(want.protocol.as_str().into())
            .set_default_actions(Some(actions(want)))
            .set_tags(Some(elb_tags(tags.all())))
            .send()
            .await;
        match call.said("elasticloadbalancing", "CreateListener") {
            Ok(answer) => Ok(answer
                .listeners()
                .first()
                .and_then(|listener| listener.listener_arn().map(ToOwned::to_owned))),
            Err(error) if error.code == "DuplicateListener" => {
                let listeners = of_balancer(account, &want.load_balancer).await?;
                let same = listeners
                    .iter()
                    .find(|listener| listener.port() == Some(i32::from(want.port)));
                Ok(same.and_then(|listener| listener.listener_arn().map(ToOwned::to_owned)))
            }
            Err(error) => Err(error),
        }
    };
    let arn = account.pace.settled(progress, make).await?;
    arn.ok_or_else(|| unsaid("elasticloadbalancing", "CreateListener", "ARN"))
}

pub(crate) async fn update(
    account: &Account,
    want: &Listener,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["port", "protocol", "forward"]) {
        let call = account
            .elb
            .modify_listener()
            .listener_arn(&update.have.id)
            .port(i32::from(want.port))
            .protocol(want.protocol.as_str().into())
            .set_default_actions(Some(actions(want)));
        call.send()
            .await
            .said("elasticloadbalancing", "ModifyListener")?;
    }
    retag(account, update).await
}

pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let call = account
        .elb
        .delete_listener()
        .listener_arn(&have.id)
        .send()
        .await;
    call.said("elasticloadbalancing", "DeleteListener")
        .or_missing()
        .map(|_| ())
}
