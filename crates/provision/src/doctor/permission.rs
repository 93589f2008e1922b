//! What the caller may do, by IAM's own simulator, with exactly the statements that `ecspipe policy` prints. Must not try anything
//! out.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};

use super::{Check, Identity, Survey, Trouble, Verdict};
use crate::cloud::CloudError;
use crate::desired::Inputs;
use crate::permissions::{Duty, Statement, permissions};

/// How many statements are asked about at the same time: IAM's rate is low.
const CONCURRENT: usize = 4;

/// How many missing actions are named.
const SHOWN: usize = 20;

/// Whose policies IAM would look at for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    /// A user, by ARN.
    User(String),
    /// A role, by name: a session's ARN leaves out the path.
    Role(String),
    /// The account itself, which no policy holds back.
    Root,
    /// Somebody whom IAM's simulator doesn't know.
    Other,
}

/// Whose policies count for the caller `arn`.
pub(super) fn principal(arn: &str) -> Principal {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, _, _, resource] = parts[..] else {
        return Principal::Other;
    };
    let (sort, name) = resource.split_once('/').unwrap_or((resource, ""));
    match (service, sort) {
        ("iam", "root") => Principal::Root,
        ("iam", "user") => Principal::User(arn.to_owned()),
        ("sts", "assumed-role") => {
            Principal::Role(name.split('/').next().unwrap_or_default().to_owned())
        }
        _ => Principal::Other,
    }
}

/// Whether the caller may do what `duties` need.
pub(super) async fn check(
    survey: &dyn Survey,
    inputs: &Inputs<'_>,
    identity: &Identity,
    duties: &BTreeSet<Duty>,
) -> Check {
    const CHECK: &str = "permissions";
    let words: Vec<&str> = duties.iter().map(|duty| duty.as_str()).collect();
    let words = words.join(", ");
    let statements = match permissions(inputs, duties) {
        Ok(statements) => statements,
        Err(error) => return Check::skipped(CHECK, error.to_string()),
    };
    let arn = match resolve(survey, identity).await {
        Ok(Some(arn)) => arn,
        Ok(None) if principal(&identity.arn) == Principal::Root => {
            return Check::ok(CHECK, "the account's root user may do everything")
                .next("better use a role: nothing holds the root user back");
        }
        Ok(None) => {
            return Check::skipped(
                CHECK,
                "IAM can only be asked about users and roles of the account",
            )
            .next(format!("compare with what `ecspipe policy {words}` prints"));
        }
        Err(error) => return unasked(CHECK, &error, &words),
    };
    let asked: Vec<(&Statement, Result<Vec<Verdict>, CloudError>)> = stream::iter(&statements)
        .map(|statement| {
            let arn = &arn;
            async move { (statement, survey.simulate(arn, statement).await) }
        })
        .buffered(CONCURRENT)
        .collect()
        .await;
    let mut missing: BTreeMap<String, String> = BTreeMap::new();
    for (statement, answer) in asked {
        match answer {
            Ok(verdicts) => missing.extend(verdicts.into_iter().map(|verdict| {
                let how = if verdict.denied {
                    " (denied outright)"
                } else {
                    ""
                };
                (verdict.action, format!("{}{how}", statement.reason))
            })),
            Err(error) => return unasked(CHECK, &error, &words),
        }
    }
    if missing.is_empty() {
        let actions: BTreeSet<&String> = statements
            .iter()
            .flat_map(|statement| &statement.actions)
            .collect();
        return Check::ok(CHECK, format!("all {} that {words} need", actions.len()));
    }
    let count = missing.len();
    let mut details: Vec<String> = missing
        .into_iter()
        .take(SHOWN)
        .map(|(action, why)| format!("{action}: {why}"))
        .collect();
    if count > SHOWN {
        details.push(format!("and {} more", count - SHOWN));
    }
    Check::not_ok(
        CHECK,
        Trouble::Access,
        format!("{count} of what {words} need are missing"),
    )
    .details(details)
    .next(format!(
        "attach what `ecspipe policy {words}` prints",
        words = words.replace(',', "")
    ))
}

fn unasked(check: &str, error: &CloudError, words: &str) -> Check {
    Check::skipped(check, format!("can't be asked: {error}")).next(format!(
        "allow what `ecspipe policy doctor` prints, or compare with `ecspipe policy {}`",
        words.replace(',', "")
    ))
}

/// The ARN that the simulator takes.
async fn resolve(survey: &dyn Survey, identity: &Identity) -> Result<Option<String>, CloudError> {
    match principal(&identity.arn) {
        Principal::User(arn) => Ok(Some(arn)),
        Principal::Role(name) => {
            let plain = format!(
                "arn:{}:iam::{}:role/{name}",
                identity.partition, identity.account
            );
            // Most roles have no path, so that whoever may not ask for it is still helped.
            Ok(Some(
                survey.role(&name).await.ok().flatten().unwrap_or(plain),
            ))
        }
        Principal::Root | Principal::Other => Ok(None),
    }
}

/// Whether ECS and Elastic Load Balancing have their own roles, or the caller may let them make them.
pub(super) async fn linked_roles(
    survey: &dyn Survey,
    inputs: &Inputs<'_>,
    identity: &Identity,
) -> Check {
    const CHECK: &str = "service roles";
    let statements = match permissions(inputs, &[Duty::Up].into()) {
        Ok(statements) => statements,
        Err(error) => return Check::skipped(CHECK, error.to_string()),
    };
    let linking = statements
        .iter()
        .filter(|statement| statement.actions.contains("iam:CreateServiceLinkedRole"));
    let mut absent = Vec::new();
    for statement in linking {
        // Each is for one role, whose name ends the ARN.
        let names = statement.resources.iter();
        for name in names.filter_map(|arn| arn.rsplit('/').next()) {
            match survey.role(name).await {
                Ok(Some(_)) => {}
                Ok(None) => absent.push((name, statement)),
                Err(error) => return Check::unknown(CHECK, &error),
            }
        }
    }
    if absent.is_empty() {
        return Check::ok(CHECK, "the services have theirs");
    }
    let names: Vec<&str> = absent.iter().map(|(name, _)| *name).collect();
    let (them, their) = if names.len() == 1 {
        ("it", "its")
    } else {
        ("them", "their")
    };
    let names = names.join(" and ");
    match may_make(survey, identity, absent.iter().map(|(_, statement)| *statement)).await {
        Ok(true) => Check::ok(
            CHECK,
            format!("{names}: missing yet; AWS makes {them} with {their} first use, and the caller may let it"),
        ),
        Ok(false) => Check::not_ok(
            CHECK,
            Trouble::Access,
            format!("{names}: missing, and the caller may not let AWS make {them}"),
        )
        .next(format!("allow iam:CreateServiceLinkedRole (`ecspipe policy up`), or have an administrator make {them}: `aws iam create-service-linked-role`")),
        Err(why) => Check::skipped(
            CHECK,
            format!("{names}: missing yet; whether the caller may let AWS make {them} can't be asked: {why}"),
        ),
    }
}

async fn may_make<'a>(
    survey: &dyn Survey,
    identity: &Identity,
    statements: impl Iterator<Item = &'a Statement>,
) -> Result<bool, String> {
    if principal(&identity.arn) == Principal::Root {
        return Ok(true);
    }
    let arn = resolve(survey, identity)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("IAM only knows users and roles of the account")?;
    for statement in statements {
        let verdicts = survey
            .simulate(&arn, statement)
            .await
            .map_err(|error| error.to_string())?;
        if !verdicts.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_policies_count() {
        let user = "arn:aws:iam::111122223333:user/people/ann";
        for (arn, want) in [
            (user, Principal::User(user.to_owned())),
            (
                "arn:aws:sts::111122223333:assumed-role/deployer/session",
                Principal::Role("deployer".to_owned()),
            ),
            ("arn:aws-cn:iam::111122223333:root", Principal::Root),
            (
                "arn:aws:sts::111122223333:federated-user/ann",
                Principal::Other,
            ),
            ("nonsense", Principal::Other),
        ] {
            assert_eq!(principal(arn), want, "{arn}");
        }
    }
}
