//! Roles and managed policies. A name costs a call each; tags need a listing of the account's roles, or of its policies one by
//! one. Must not judge.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{Policy as FoundPolicy, PolicyScopeType};
use ecspipe_provision::CloudError;
use ecspipe_provision::existing::{Candidate, Depth, Role, only};
use ecspipe_spec::names::RoleName;
use ecspipe_spec::{Reference, Spec};

use super::{Sought, carries, plain};
use crate::classify::{OrMissing as _, Said as _};
use crate::kinds::role;
use crate::{Account, all};

/// A role of a listing.
struct Listed {
    role: Role,
    tags: BTreeMap<String, String>,
}

pub(super) async fn roles(
    account: &Account,
    spec: &Spec,
    depth: Depth,
) -> Result<BTreeMap<RoleName, Sought<Role>>, CloudError> {
    let mut wanted: BTreeMap<RoleName, &Reference> = BTreeMap::new();
    for (role, given) in &spec.roles {
        let named_in_files = matches!(role, RoleName::Execution | RoleName::Task);
        let open = !matches!(given.existing, Reference::Id(_));
        if depth == Depth::Everything || named_in_files && open {
            wanted.insert(*role, &given.existing);
        }
    }
    let by_tags = |reference: &&Reference| matches!(reference, Reference::Tags(_));
    let listing = match wanted.values().any(by_tags) {
        true => list(account).await?,
        false => Vec::new(),
    };
    let each = wanted.into_iter().map(|(role, reference)| {
        let listing = &listing;
        async move {
            let found = match reference {
                Reference::Tags(tags) => listing
                    .iter()
                    .filter(|listed| carries(&listed.tags, tags))
                    .map(|listed| Candidate::new(listed.role.arn.clone(), listed.role.clone()))
                    .collect(),
                Reference::Name(name) => by_name(account, name).await?,
                Reference::Id(arn) => {
                    let name = arn.rsplit('/').next().unwrap_or_default();
                    let mut found = by_name(account, name).await?;
                    found.retain(|found| found.thing.arn == *arn);
                    found
                }
            };
            let path = format!("roles.{}.existing", role.suffix());
            let sought = only(&path, "IAM role", reference, found, &[]);
            Ok::<_, CloudError>((role, sought.map_err(|problem| vec![problem])))
        }
    });
    Ok(futures::future::try_join_all(each)
        .await?
        .into_iter()
        .collect())
}

async fn by_name(account: &Account, name: &str) -> Result<Vec<Candidate<Role>>, CloudError> {
    let call = account.iam.get_role().role_name(name).send().await;
    let answer = call.said("iam", "GetRole").or_missing()?;
    let found = answer.and_then(|answer| answer.role().cloned());
    found
        .into_iter()
        .map(|found| {
            let role = Role {
                arn: found.arn().to_owned(),
                trust: role::document(found.assume_role_policy_document())?,
            };
            Ok(Candidate::new(role.arn.clone(), role))
        })
        .collect()
}

/// All roles of the account, once for all references.
async fn list(account: &Account) -> Result<Vec<Listed>, CloudError> {
    let found = role::fetch(account).await?;
    let listed = found.iter().map(|detail| {
        let tags = detail.tags().iter();
        Ok(Listed {
            role: Role {
                arn: detail.arn().unwrap_or_default().to_owned(),
                trust: role::document(detail.assume_role_policy_document())?,
            },
            tags: plain(tags.map(|tag| (Some(tag.key()), Some(tag.value())))),
        })
    });
    listed.collect()
}

/// The ARN of a managed policy: the account's own, or AWS's.
pub(super) async fn policy(
    account: &Account,
    reference: &Reference,
) -> Result<Sought<String>, CloudError> {
    let found = match reference {
        Reference::Id(arn) => {
            let call = account.iam.get_policy().policy_arn(arn).send().await;
            let answer = call.said("iam", "GetPolicy").or_missing()?;
            answer
                .and_then(|answer| answer.policy().cloned())
                .into_iter()
                .collect()
        }
        Reference::Name(name) => {
            let mut found = called(account, name, PolicyScopeType::Local).await?;
            if found.is_empty() {
                found = called(account, name, PolicyScopeType::Aws).await?;
            }
            found
        }
        Reference::Tags(tags) => {
            let mut found = Vec::new();
            for policy in policies(account, PolicyScopeType::Local).await? {
                let arn = policy.arn().unwrap_or_default();
                let call = account.iam.list_policy_tags().policy_arn(arn);
                let have = all(call.into_paginator().items().send()).await;
                let have = have.said("iam", "ListPolicyTags").or_missing()?;
                let have = have.unwrap_or_default();
                let have = have.iter().map(|tag| (Some(tag.key()), Some(tag.value())));
                if carries(&plain(have), tags) {
                    found.push(policy);
                }
            }
            found
        }
    };
    let found = found
        .iter()
        .filter_map(|policy| policy.arn())
        .map(|arn| Candidate::new(arn, arn.to_owned()));
    let sought = only(
        "permissions_boundary",
        "managed policy",
        reference,
        found.collect(),
        &[],
    );
    Ok(sought.map_err(|problem| vec![problem]))
}

async fn called(
    account: &Account,
    name: &str,
    scope: PolicyScopeType,
) -> Result<Vec<FoundPolicy>, CloudError> {
    let mut found = policies(account, scope).await?;
    found.retain(|policy| policy.policy_name() == Some(name));
    Ok(found)
}

async fn policies(
    account: &Account,
    scope: PolicyScopeType,
) -> Result<Vec<FoundPolicy>, CloudError> {
    let items = account
        .iam
        .list_policies()
        .scope(scope)
        .max_items(1000)
        .into_paginator()
        .items()
        .send();
    all(items).await.said("iam", "ListPolicies")
}
