//! STS: who calls, and roles assumed by people. Must not hand out anything that works outside the sandbox.

use serde_json::json;

use crate::clock;
use crate::iam as access;
use crate::services::iam::{self, Session};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::World;

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &["AssumeRole", "GetCallerIdentity"];

/// How long an assumed role's credentials last unless the caller says otherwise; AWS's default.
const SESSION_SECONDS: i64 = 3600;

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "AssumeRole" => assume_role(world, call),
        "GetCallerIdentity" => get_caller_identity(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// The ARN of whoever signed the call: an assumed role, or the sandbox's one user, whatever the access key.
pub(crate) fn caller(world: &World, call: &Call) -> String {
    match world.iam.sessions.get(&call.access_key) {
        Some(session) => session.arn.clone(),
        None => user(world, &call.region),
    }
}

/// The ARN of the sandbox's one user.
pub(crate) fn user(world: &World, region: &str) -> String {
    world.arn("iam", region, "user/sandbox")
}

fn get_caller_identity(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let id = match world.iam.sessions.get(&call.access_key) {
        Some(session) if session.expires <= world.now => {
            return Err(Fault::new(
                "ExpiredToken",
                "The security token included in the request is expired",
            )
            .status(403));
        }
        Some(session) => session.id.clone(),
        None => "AIDASANDBOXSANDBOX000".to_owned(),
    };
    Ok(Reply::Value(
        json!({"UserId": id, "Account": world.account, "Arn": caller(world, call)}),
    ))
}

fn assume_role(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let required = |name: &str| {
        let text = call.input.text(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            Fault::new(
                "ValidationError",
                format!("The request must contain the parameter {name}"),
            )
        })
    };
    let role = required("RoleArn")?.to_owned();
    let name = required("RoleSessionName")?.to_owned();
    let seconds = call.input.int("DurationSeconds").unwrap_or(SESSION_SECONDS);
    let caller = caller(world, call);
    let denied = || {
        let message = format!(
            "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}"
        );
        Fault::new("AccessDenied", message).status(403)
    };
    access::may_assume(world, call, &role).map_err(|_| denied())?;
    let found = iam::role_by_arn(world, &role).ok_or_else(denied)?;
    let (id, longest) = (found.id.clone(), found.max_session);
    if !(900..=longest).contains(&seconds) {
        let message =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Fault::new("ValidationError", message));
    }
    let role_name = role.rsplit('/').next().unwrap_or_default();
    let partition = crate::world::partition(&call.region);
    let arn = format!(
        "arn:{partition}:sts::{}:assumed-role/{role_name}/{name}",
        world.account
    );
    let access_key = format!("ASIA{}", world.hex(16).to_uppercase());
    let expires = world.now + seconds * 1000;
    let session = Session {
        id: format!("{id}:{name}"),
        arn: arn.clone(),
        role: role.clone(),
        expires,
    };
    world.iam.sessions.insert(access_key.clone(), session);
    Ok(Reply::Value(json!({
        "Credentials": {
            "AccessKeyId": access_key,
            "SecretAccessKey": world.hex(40),
            "SessionToken": world.hex(64),
            "Expiration": clock::iso(expires),
        },
        "AssumedRoleUser": {"AssumedRoleId": format!("{id}:{name}"), "Arn": arn},
    })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{self, pass, sandbox};

    #[tokio::test(start_paused = true)]
    async fn the_caller_is_the_sandbox_user() {
        let answer = testing::call(&sandbox(), "sts", "GetCallerIdentity", json!({}))
            .await
            .unwrap();
        assert_eq!(answer["Account"], "111122223333");
        assert_eq!(answer["Arn"], "arn:aws:iam::111122223333:user/sandbox");
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_assumed_when_its_trust_has_spread_and_names_the_account() {
        let sandbox = sandbox();
        let trust = |principal: &str| {
            json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}]}).to_string()
        };
        for (name, principal) in [
            ("mine", "arn:aws:iam::111122223333:root"),
            ("others", "arn:aws:iam::444455556666:root"),
        ] {
            let input = json!({"RoleName": name, "AssumeRolePolicyDocument": trust(principal)});
            testing::call(&sandbox, "iam", "CreateRole", input)
                .await
                .unwrap();
        }
        let assume = |name: &str| json!({"RoleArn": format!("arn:aws:iam::111122223333:role/{name}"), "RoleSessionName": "me"});
        let denied = Err((403, "AccessDenied".to_owned()));
        assert_eq!(
            testing::call(&sandbox, "sts", "AssumeRole", assume("mine")).await,
            denied
        );
        pass(10).await;
        assert_eq!(
            testing::call(&sandbox, "sts", "AssumeRole", assume("others")).await,
            denied
        );
        let answer = testing::call(&sandbox, "sts", "AssumeRole", assume("mine"))
            .await
            .unwrap();
        assert_eq!(
            answer["AssumedRoleUser"]["Arn"],
            "arn:aws:sts::111122223333:assumed-role/mine/me"
        );
    }
}
