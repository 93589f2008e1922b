//! IAM's policy simulator: the decision on requests that nobody makes, by the policies of a user or a role and the context that
//! the question brings along. Like AWS's, it leaves resources' own policies out. Must not change the account.

use serde_json::{Value, json};

use super::authorize::Held;
use super::evaluate::{Context, Principal, Refusal};
use crate::services::query::only;
use crate::services::{iam, sts};
use crate::wire::{Call, Fault, Input as _};
use crate::world::World;

/// `SimulatePrincipalPolicy`: one result an action, by action.
pub(crate) fn results(world: &World, call: &Call) -> Result<Vec<(String, Value)>, Fault> {
    only(
        call,
        &[
            "PolicySourceArn",
            "ActionNames",
            "ResourceArns",
            "ContextEntries",
            "MaxItems",
            "Marker",
        ],
    )?;
    let source = call.input.text("PolicySourceArn").unwrap_or_default();
    let principal = principal(world, call, source)?;
    let mut actions = call.input.texts("ActionNames");
    actions.sort();
    actions.dedup();
    if let Some(action) = actions.iter().find(|action| !action.contains(':')) {
        return Err(invalid(format!("Invalid Action: {action}")));
    }
    if actions.is_empty() {
        return Err(invalid("ActionNames must not be empty"));
    }
    let mut resources = call.input.texts("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let mut context = Context::default();
    for entry in call.input.list("ContextEntries") {
        let key = entry.text("ContextKeyName").unwrap_or_default();
        context.set_all(key, entry.texts("ContextKeyValues"));
    }
    let held = Held::of(world, &principal);
    let rows = actions.into_iter().map(|action| {
        let decisions: Vec<&str> = resources
            .iter()
            .map(|resource| word(held.simulate(world, &principal, &action, resource, &context)))
            .collect();
        let each = resources
            .iter()
            .zip(&decisions)
            .map(|(resource, decision)| {
                json!({
                    "EvalResourceName": resource,
                    "EvalResourceDecision": decision,
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                })
            });
        // The whole is refused where any part of it is.
        let whole = ["explicitDeny", "implicitDeny"]
            .into_iter()
            .find(|word| decisions.contains(word))
            .unwrap_or("allowed");
        let result = json!({
            "EvalActionName": action,
            "EvalResourceName": resources[0],
            "EvalDecision": whole,
            "MatchedStatements": [],
            "MissingContextValues": [],
            "ResourceSpecificResults": each.collect::<Vec<_>>(),
        });
        (action, result)
    });
    Ok(rows.collect())
}

fn word(decision: Result<(), Refusal>) -> &'static str {
    match decision {
        Ok(()) => "allowed",
        Err(Refusal::Explicit(_)) => "explicitDeny",
        Err(Refusal::Implicit(_)) => "implicitDeny",
    }
}

/// The sandbox's one user, or a role.
fn principal(world: &World, call: &Call, arn: &str) -> Result<Principal, Fault> {
    if arn == sts::user(world, &call.region) {
        return Ok(Principal::User(arn.to_owned()));
    }
    if iam::role_by_arn(world, arn).is_some() {
        return Ok(Principal::Session {
            role: arn.to_owned(),
            session: arn.to_owned(),
        });
    }
    if ["user", "role", "group"]
        .iter()
        .any(|kind| arn.contains(&format!(":{kind}/")))
    {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let message = format!("The entity with name {name} cannot be found.");
        return Err(Fault::new("NoSuchEntity", message).status(404));
    }
    Err(Fault::new(
        "InvalidInput",
        format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."),
    ))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidInput", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::{call, sandbox};
    use crate::wire::xml;
    use serde_json::{Value, json};

    const USER: &str = "arn:aws:iam::111122223333:user/sandbox";

    fn decisions(answer: &Value) -> Vec<(String, String)> {
        xml::many(&answer["EvaluationResults"], "member")
            .iter()
            .map(|result| {
                let text = |name: &str| result[name].as_str().unwrap().to_owned();
                (text("EvalActionName"), text("EvalDecision"))
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_users_policy_decides_by_resource_and_context() {
        let sandbox = sandbox();
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "ecs:*", "Resource": "arn:aws:ecs:*:*:cluster/web"},
            {"Effect": "Allow", "Action": "ec2:CreateVpc", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/app": "web"}}},
            {"Effect": "Deny", "Action": "ecs:DeleteCluster", "Resource": "*"},
        ]});
        sandbox.caller_policy(Some(vec![policy])).unwrap();
        let allow = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": USER}]});
        let mut all = sandbox.world().caller.clone().unwrap().documents().to_vec();
        all.push(allow);
        sandbox.caller_policy(Some(all)).unwrap();
        let ask = |resource: &str, tag: &str| {
            json!({
                "PolicySourceArn": USER,
                "ActionNames": ["ec2:CreateVpc", "ecs:CreateCluster", "ecs:DeleteCluster"],
                "ResourceArns": [resource],
                "ContextEntries": [{"ContextKeyName": "aws:RequestTag/app", "ContextKeyValues": [tag], "ContextKeyType": "string"}],
            })
        };
        let said = async |resource: &str, tag: &str| {
            let input = ask(resource, tag);
            let answer = call(&sandbox, "iam", "SimulatePrincipalPolicy", input).await;
            let answer = decisions(&answer.unwrap());
            answer
                .into_iter()
                .map(|(_, decision)| decision)
                .collect::<Vec<_>>()
        };
        let cluster = "arn:aws:ecs:eu-central-1:111122223333:cluster/web";
        assert_eq!(
            said(cluster, "web").await,
            ["allowed", "allowed", "explicitDeny"]
        );
        assert_eq!(
            said("arn:aws:ecs:eu-central-1:111122223333:cluster/shop", "shop").await,
            ["implicitDeny", "implicitDeny", "explicitDeny"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_there_is_not_can_not_be_asked_about() {
        let sandbox = sandbox();
        for (arn, status, code) in [
            ("arn:aws:iam::111122223333:role/nobody", 404, "NoSuchEntity"),
            ("arn:aws:iam::111122223333:root", 400, "InvalidInput"),
        ] {
            let input = json!({"PolicySourceArn": arn, "ActionNames": ["ecs:CreateCluster"]});
            let answer = call(&sandbox, "iam", "SimulatePrincipalPolicy", input).await;
            assert_eq!(answer, Err((status, code.to_owned())), "{arn}");
        }
    }
}
