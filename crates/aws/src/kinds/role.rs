//! IAM roles with their trust and inline policies. One listing of the account's roles serves all of an app's: it carries
//! trust, policies and tags, which would be three calls a role otherwise. Must not judge what a policy allows.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{EntityType, PolicyDetail, Role as FoundRole, RoleDetail};
use ecspipe_provision::resource::{Policy, Role};
use ecspipe_provision::{CloudError, Have, Kind, Progress, Resource, Scope, Tags};

use super::{Seen, Update, unless_ours, unsaid};
use crate::classify::{OrMissing as _, Refine as _, Said as _, local};
use crate::view::View;
use crate::{Account, all};

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let wanted = scope.names_of(Kind::Role);
    let all = view.roles.get_or_try_init(|| fetch(view)).await?;
    let found = all.iter().filter(|role| {
        let name = role.role_name().unwrap_or_default();
        let ours = || scope.key_of(Kind::Role, &tags_of(role)).is_some() && in_region(view, name);
        wanted.contains(name) || ours()
    });
    found
        .map(|role| Ok(seen(role)?.into_have(scope, Kind::Role)))
        .collect()
}

/// All roles of the account, some hundreds a page.
pub(crate) async fn fetch(account: &Account) -> Result<Vec<RoleDetail>, CloudError> {
    let mut found = Vec::new();
    let mut marker = None;
    loop {
        let call = account
            .iam
            .get_account_authorization_details()
            .filter(EntityType::Role)
            .max_items(1000)
            .set_marker(marker.take())
            .send()
            .await;
        let page = call.said("iam", "GetAccountAuthorizationDetails")?;
        found.extend_from_slice(page.role_detail_list());
        marker = page.marker().map(ToOwned::to_owned);
        if !page.is_truncated() || marker.is_none() {
            return Ok(found);
        }
    }
}

/// Roles are global to an account; those of the same app in another region carry that region's name.
fn in_region(account: &Account, name: &str) -> bool {
    name.contains(&format!("-{}-", account.region()))
}

fn tags_of(role: &RoleDetail) -> BTreeMap<String, String> {
    crate::tags::map(
        role.tags()
            .iter()
            .map(|tag| (Some(tag.key()), Some(tag.value()))),
    )
}

fn seen(role: &RoleDetail) -> Result<Seen, CloudError> {
    let name = role.role_name().unwrap_or_default();
    let policies = role.role_policy_list().iter().map(|policy: &PolicyDetail| {
        Ok((
            policy.policy_name().unwrap_or_default().to_owned(),
            document(policy.policy_document())?,
        ))
    });
    let resource = Role {
        name: name.to_owned(),
        path: role.path().unwrap_or("/").to_owned(),
        boundary: role
            .permissions_boundary()
            .and_then(|boundary| boundary.permissions_boundary_arn().map(ToOwned::to_owned)),
        trust: document(role.assume_role_policy_document())?,
        policies: policies.collect::<Result<BTreeMap<_, _>, CloudError>>()?,
    };
    Ok(Seen::named(name, tags_of(role), resource).with_id(role.arn().unwrap_or_default()))
}

/// IAM gives documents percent-encoded (RFC 3986).
pub(crate) fn document(encoded: Option<&str>) -> Result<Policy, CloudError> {
    let text = percent_encoding::percent_decode_str(encoded.unwrap_or_default())
        .decode_utf8_lossy()
        .into_owned();
    Policy::parse(&text).map_err(|error| {
        local(
            "InvalidPolicy",
            format!("a role's policy is not JSON: {error}"),
        )
    })
}

pub(crate) async fn create(
    account: &Account,
    want: &Role,
    tags: &Tags,
    progress: &Progress,
) -> Result<String, CloudError> {
    let call = account
        .iam
        .create_role()
        .role_name(&want.name)
        .path(&want.path)
        .set_permissions_boundary(want.boundary.clone())
        .description(format!("ecspipe: {}", want.name))
        .assume_role_policy_document(want.trust.to_string())
        .set_tags(Some(
            crate::tags::list!(try aws_sdk_iam::types::Tag, tags.all()),
        ))
        .send()
        .await;
    let role = match call.said("iam", "CreateRole") {
        Ok(answer) => answer.role().cloned(),
        Err(error) if error.code == "EntityAlreadyExists" => {
            let found = find(account, &want.name).await?;
            let carried = found.iter().flat_map(|role| role.tags());
            let have = crate::tags::map(carried.map(|tag| (Some(tag.key()), Some(tag.value()))));
            unless_ours(error, &have, tags)?;
            set_trust(account, want).await?;
            if want.boundary.is_some() {
                set_boundary(account, want).await?;
            }
            found
        }
        Err(error) => return Err(error),
    };
    for (name, policy) in &want.policies {
        put_policy(account, want, name, policy, progress).await?;
    }
    role.map(|role| role.arn().to_owned())
        .ok_or_else(|| unsaid("iam", "CreateRole", "ARN"))
}

async fn find(account: &Account, name: &str) -> Result<Option<FoundRole>, CloudError> {
    let call = account.iam.get_role().role_name(name).send().await;
    let answer = call.said("iam", "GetRole").or_missing()?;
    Ok(answer.and_then(|answer| answer.role().cloned()))
}

async fn set_trust(account: &Account, want: &Role) -> Result<(), CloudError> {
    let call = account
        .iam
        .update_assume_role_policy()
        .role_name(&want.name)
        .policy_document(want.trust.to_string())
        .send()
        .await;
    call.said("iam", "UpdateAssumeRolePolicy").map(|_| ())
}

/// Bounds the role, or takes its boundary away.
async fn set_boundary(account: &Account, want: &Role) -> Result<(), CloudError> {
    match &want.boundary {
        Some(boundary) => {
            let call = account
                .iam
                .put_role_permissions_boundary()
                .role_name(&want.name)
                .permissions_boundary(boundary)
                .send()
                .await;
            call.said("iam", "PutRolePermissionsBoundary").map(|_| ())
        }
        None => {
            let call = account
                .iam
                .delete_role_permissions_boundary()
                .role_name(&want.name)
                .send()
                .await;
            call.said("iam", "DeleteRolePermissionsBoundary")
                .or_missing()
                .map(|_| ())
        }
    }
}

async fn put_policy(
    account: &Account,
    want: &Role,
    name: &str,
    policy: &Policy,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        let call = account
            .iam
            .put_role_policy()
            .role_name(&want.name)
            .policy_name(name)
            .policy_document(policy.to_string())
            .send()
            .await;
        call.said("iam", "PutRolePolicy").map(|_| ())
    };
    account.pace.settled(progress, call).await
}

pub(crate) async fn update(
    account: &Account,
    want: &Role,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Resource::Role(have) = &update.have.resource else {
        return Err(super::wrong_kind(Kind::Role));
    };
    if update.touches(&["trust"]) {
        set_trust(account, want).await?;
    }
    if update.touches(&["boundary"]) {
        set_boundary(account, want).await?;
    }
    if update.touches(&["policies"]) {
        for (name, policy) in want
            .policies
            .iter()
            .filter(|(name, policy)| have.policies.get(*name) != Some(*policy))
        {
            put_policy(account, want, name, policy, update.progress).await?;
        }
        for name in have
            .policies
            .keys()
            .filter(|name| !want.policies.contains_key(*name))
        {
            let call = account
                .iam
                .delete_role_policy()
                .role_name(&want.name)
                .policy_name(name)
                .send()
                .await;
            call.said("iam", "DeleteRolePolicy").or_missing()?;
        }
    }
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(try aws_sdk_iam::types::Tag, retag.add);
        account
            .iam
            .tag_role()
            .role_name(&want.name)
            .set_tags(Some(tags))
            .send()
            .await
            .said("iam", "TagRole")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .iam
            .untag_role()
            .role_name(&want.name)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("iam", "UntagRole")?;
    }
    Ok(())
}

/// IAM deletes a role only once nothing hangs on it.
pub(crate) async fn delete(account: &Account, have: &Have) -> Result<(), CloudError> {
    let name = &have.name;
    let Resource::Role(role) = &have.resource else {
        return Err(super::wrong_kind(Kind::Role));
    };
    for policy in role.policies.keys() {
        let call = account
            .iam
            .delete_role_policy()
            .role_name(name)
            .policy_name(policy)
            .send()
            .await;
        call.said("iam", "DeleteRolePolicy").or_missing()?;
    }
    match account
        .iam
        .delete_role()
        .role_name(name)
        .send()
        .await
        .said("iam", "DeleteRole")
    {
        Err(error) if error.code == "DeleteConflict" => {
            detach(account, name).await?;
            let call = account
                .iam
                .delete_role()
                .role_name(name)
                .send()
                .await
                .said("iam", "DeleteRole");
            call.or_missing()
                .map_err(|error| {
                    error.with_hint(format!(
                        "something still hangs on role {name}: look at it in the console"
                    ))
                })
                .map(|_| ())
        }
        done => done.or_missing().map(|_| ()),
    }
}

/// What somebody else attached.
async fn detach(account: &Account, name: &str) -> Result<(), CloudError> {
    let items = account
        .iam
        .list_attached_role_policies()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    for policy in all(items).await.said("iam", "ListAttachedRolePolicies")? {
        let arn = policy.policy_arn().unwrap_or_default();
        let call = account
            .iam
            .detach_role_policy()
            .role_name(name)
            .policy_arn(arn)
            .send()
            .await;
        call.said("iam", "DetachRolePolicy").or_missing()?;
    }
    let items = account
        .iam
        .list_role_policies()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    for policy in all(items).await.said("iam", "ListRolePolicies")? {
        let call = account
            .iam
            .delete_role_policy()
            .role_name(name)
            .policy_name(&policy)
            .send()
            .await;
        call.said("iam", "DeleteRolePolicy").or_missing()?;
    }
    let items = account
        .iam
        .list_instance_profiles_for_role()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    for profile in all(items)
        .await
        .said("iam", "ListInstanceProfilesForRole")?
    {
        let call = account
            .iam
            .remove_role_from_instance_profile()
            .role_name(name)
            .instance_profile_name(profile.instance_profile_name())
            .send()
            .await;
        call.said("iam", "RemoveRoleFromInstanceProfile")
            .or_missing()?;
    }
    Ok(())
}
