//! Where the listeners lead, and the hand that leads them back. Must not judge where they should.

use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, Listener as Found};
use ecspipe_deploy::{Listener, Listeners, Route, Target};
use ecspipe_provision::CloudError;

use super::{groups, known, name_in};
use crate::Account;
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::kinds::{listener, load_balancer};

pub(super) async fn listeners(account: &Account, target: &Target) -> Result<Listeners, CloudError> {
    let found = of_app(account, target).await?;
    let routes = |which| {
        let forwards = pick(&found, target, which).map(listener::forward);
        forwards
            .unwrap_or_default()
            .into_iter()
            .map(|forward| Route {
                target_group: name_in(&forward.target_group).to_owned(),
                weight: i64::from(forward.weight),
            })
            .collect()
    };
    Ok(Listeners {
        production: routes(Listener::Production),
        test: routes(Listener::Test),
    })
}

/// Lets a listener forward to one target group alone.
pub(super) async fn forward(
    account: &Account,
    target: &Target,
    which: Listener,
    target_group: &str,
) -> Result<(), CloudError> {
    let found = of_app(account, target).await?;
    let listener = pick(&found, target, which).and_then(Found::listener_arn);
    let groups = groups(account, target).await?;
    let (Some(listener), Some(group)) = (listener, groups.get(target_group)) else {
        let balancer = &target.load_balancer;
        return Err(local(
            "NotFound",
            format!("{balancer} has no such listener, or there is no target group {target_group}"),
        )
        .with_hint("make what is missing again with `ecspipe up`"));
    };
    let action = Action::builder()
        .r#type(ActionTypeEnum::Forward)
        .target_group_arn(group)
        .build();
    let call = account
        .elb
        .modify_listener()
        .listener_arn(listener)
        .default_actions(action)
        .send()
        .await;
    call.said("elasticloadbalancing", "ModifyListener")
        .map(|_| ())
}

/// Deletes a task set with its tasks; one that is gone already is as wanted.
pub(super) async fn delete_task_set(
    account: &Account,
    target: &Target,
    id: &str,
) -> Result<(), CloudError> {
    let call = account
        .ecs
        .delete_task_set()
        .cluster(&target.cluster)
        .service(&target.service)
        .task_set(id)
        .force(true)
        .send()
        .await;
    call.said("ecs", "DeleteTaskSet").or_missing().map(|_| ())
}

/// The listeners of the app's load balancer.
async fn of_app(account: &Account, target: &Target) -> Result<Vec<Found>, CloudError> {
    let name = &target.load_balancer;
    let before = known(account).balancers.get(name).cloned();
    let arn = match before {
        Some(arn) => arn,
        None => {
            let Some(balancer) = load_balancer::describe(account, name).await? else {
                return Ok(Vec::new());
            };
            balancer.load_balancer_arn().unwrap_or_default().to_owned()
        }
    };
    let found = listener::of_balancer(account, &arn).await?;
    // One that has none may have been deleted, and made anew with another ARN.
    if found.is_empty() {
        known(account).balancers.remove(name);
    } else {
        known(account).balancers.insert(name.clone(), arn);
    }
    Ok(found)
}

/// By its ARN where that is known, else by its port; else it is the only one of the app's on neither port, which has not moved to
/// the spec's yet: a rollout keeps listeners where they are.
fn pick<'a>(found: &'a [Found], target: &Target, which: Listener) -> Option<&'a Found> {
    let (arn, port) = match which {
        Listener::Production => (&target.production_listener, target.production_port),
        Listener::Test => (&target.test_listener, target.test_port),
    };
    if let Some(arn) = arn {
        return found
            .iter()
            .find(|listener| listener.listener_arn() == Some(arn));
    }
    let is_on = |listener: &Found, port: u16| listener.port() == Some(i32::from(port));
    let there = found.iter().find(|listener| is_on(listener, port));
    let ports = [target.production_port, target.test_port];
    let is_apps = |listener: &Found| {
        let mut forwards = listener::forward(listener).into_iter();
        forwards.any(|to| {
            target
                .target_groups
                .iter()
                .any(|name| name == name_in(&to.target_group))
        })
    };
    let mut others = found
        .iter()
        .filter(|listener| !ports.iter().any(|port| is_on(listener, *port)) && is_apps(listener));
    there.or_else(|| others.next().filter(|_| others.next().is_none()))
}
