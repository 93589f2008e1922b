//! Key, buckets, log groups, image repository and roles. Must not cover what is kept in them, but for emptying.

use serde_json::{Value, json};

use super::Sheet;
use crate::resource::{Kind, Resource};

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    keys(sheet);
    buckets(sheet);
    lease(sheet);
    log_groups(sheet);
    images(sheet);
    roles(sheet);
}

fn keys(sheet: &mut Sheet<'_>) {
    let aliases: Vec<String> = sheet
        .names_of(Kind::EncryptionKey)
        .iter()
        .map(|alias| sheet.arn("kms", alias))
        .collect();
    if aliases.is_empty() {
        return;
    }
    let any_key = [sheet.arn("kms", "key/*")];
    let named = || aliases.iter().cloned().chain(any_key.iter().cloned());
    if sheet.looks() {
        let mut read = vec!["kms:DescribeKey", "kms:ListResourceTags"];
        if sheet.compares() {
            read.extend(["kms:GetKeyPolicy", "kms:GetKeyRotationStatus"]);
        }
        sheet.allow(
            "KeyRead",
            "finds the app's key by its alias and tags; a key's tags count for permissions only minutes after it is made",
            &read,
            any_key.clone(),
        );
    }
    if sheet.makes() || sheet.removes() {
        sheet.list(&["kms:ListKeys"]);
    }
    if sheet.makes() {
        let condition = sheet.tagging();
        sheet.allow_if(
            "KeyNew",
            "makes the key that encrypts what the pipeline ships, with the app's tags and policy from its first moment",
            &["kms:CreateKey"],
            ["*".to_owned()],
            condition.clone(),
        );
        sheet.allow_if(
            "KeyTag",
            "gives the key the app's tags and its policy, in the call that makes it",
            &["kms:PutKeyPolicy", "kms:TagResource"],
            any_key.clone(),
            condition,
        );
        sheet.allow(
            "KeyName",
            "gives the key its alias and rotation; of a key just made the tags don't count yet",
            &["kms:CreateAlias", "kms:UpdateAlias"],
            named(),
        );
        sheet.allow(
            "KeyRotation",
            "switches the rotation on; of a key just made the tags don't count yet",
            &["kms:EnableKeyRotation"],
            any_key.clone(),
        );
        let condition = sheet.tagged();
        sheet.allow_if(
            "KeyChange",
            "puts right what differs on the app's key, and takes back one that waits for its deletion",
            &[
                "kms:CancelKeyDeletion",
                "kms:EnableKey",
                "kms:PutKeyPolicy",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:UpdateKeyDescription",
            ],
            any_key.clone(),
            condition,
        );
    }
    if sheet.removes() {
        sheet.allow(
            "KeyUnname",
            "takes the alias away",
            &["kms:DeleteAlias"],
            named(),
        );
        let condition = sheet.tagged();
        sheet.allow_if(
            "KeyDelete",
            "schedules the deletion of the app's key",
            &["kms:ScheduleKeyDeletion"],
            any_key,
            condition,
        );
    }
}

/// With bucket keys the encryption context is the bucket, so the key's use can be tied to it without its id.
pub(super) fn through_s3(sheet: &Sheet<'_>, buckets: &[String]) -> Value {
    let facts = sheet.inputs.facts;
    let via = format!("s3.{}.{}", facts.region, facts.dns_suffix());
    let arns: Vec<String> = buckets.iter().map(|bucket| sheet.s3_arn(bucket)).collect();
    json!({ "StringEquals": { "kms:ViaService": via, "kms:EncryptionContext:aws:s3:arn": arns } })
}

fn buckets(sheet: &mut Sheet<'_>) {
    let names = sheet.names_of(Kind::Bucket);
    let arns: Vec<String> = names.iter().map(|name| sheet.s3_arn(name)).collect();
    if sheet.looks() {
        // A bucket without tags is the app's only if nothing lies in it.
        let mut read = vec!["s3:GetBucketTagging", "s3:ListBucketVersions"];
        if sheet.compares() {
            read.extend([
                "s3:GetBucketNotification",
                "s3:GetBucketOwnershipControls",
                "s3:GetBucketPolicy",
                "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketVersioning",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
            ]);
        }
        sheet.allow(
            "BucketRead",
            "compares the app's buckets with what is wanted",
            &read,
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "BucketChange",
            "makes the app's buckets with everything that is set on them",
            &[
                "s3:CreateBucket",
                "s3:PutBucketNotification",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            arns.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "BucketDelete",
            "finds what is in the app's buckets, and deletes them",
            &["s3:DeleteBucket", "s3:ListBucketMultipartUploads"],
            arns,
        );
        let objects: Vec<String> = names
            .iter()
            .map(|name| sheet.s3_arn(&format!("{name}/*")))
            .collect();
        sheet.allow(
            "BucketEmpty",
            "empties the app's buckets, which AWS wants before it deletes them",
            &["s3:AbortMultipartUpload", "s3:DeleteObjectVersion"],
            objects,
        );
    }
}

/// The lease, under which one operator at a time works. Its key is S3's own, so that KMS has no say in it.
fn lease(sheet: &mut Sheet<'_>) {
    if !sheet.makes() && !sheet.removes() {
        return;
    }
    let bucket = sheet.names.bucket("artifacts");
    let object = sheet.s3_arn(&format!("{bucket}/{}", sheet.names.lease_key()));
    sheet.allow(
        "Lease",
        "takes, renews and gives back the lease under which one operator at a time works, and sees who holds it",
        &["s3:GetObject", "s3:PutObject"],
        [object],
    );
    let arn = sheet.s3_arn(&bucket);
    sheet.allow(
        "LeaseMissing",
        "lets S3 say that there is no lease yet, instead of denying access",
        &["s3:ListBucket"],
        [arn],
    );
}

fn log_groups(sheet: &mut Sheet<'_>) {
    let names = sheet.names_of(Kind::LogGroup);
    let arn = |sheet: &Sheet<'_>, end: &str| -> Vec<String> {
        names
            .iter()
            .map(|name| sheet.arn("logs", &format!("log-group:{name}{end}")))
            .collect()
    };
    // Tags are asked for with the group's ARN as it is, everything else with `:*` behind it.
    let (groups, with_streams) = (arn(sheet, ""), arn(sheet, ":*"));
    if sheet.looks() && !names.is_empty() {
        sheet.list(&["logs:DescribeLogGroups"]);
        sheet.allow(
            "LogTagsRead",
            "finds out whose the log groups are",
            &["logs:ListTagsForResource"],
            groups.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "LogTags",
            "puts the app's tags on its log groups, in the call that makes them too",
            &["logs:TagResource", "logs:UntagResource"],
            groups,
        );
        let mut actions = vec!["logs:CreateLogGroup", "logs:PutRetentionPolicy"];
        let for_ever = sheet.resources(Kind::LogGroup).any(
            |resource| matches!(resource, Resource::LogGroup(group) if group.retention_days.is_none()),
        );
        if for_ever {
            actions.push("logs:DeleteRetentionPolicy");
        }
        sheet.allow(
            "LogGroups",
            "makes the log groups of tasks and builds, and says how long they keep",
            &actions,
            with_streams.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "LogDelete",
            "deletes the app's log groups with what was logged",
            &["logs:DeleteLogGroup"],
            with_streams,
        );
    }
}

fn images(sheet: &mut Sheet<'_>) {
    let arns: Vec<String> = sheet
        .names_of(Kind::ImageRepository)
        .iter()
        .map(|name| sheet.arn("ecr", &format!("repository/{name}")))
        .collect();
    if sheet.looks() {
        let mut read = vec!["ecr:DescribeRepositories", "ecr:ListTagsForResource"];
        if sheet.compares() {
            read.push("ecr:GetLifecyclePolicy");
        }
        sheet.allow(
            "ImagesRead",
            "compares the image repository with what is wanted",
            &read,
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "ImagesChange",
            "makes the image repository with what is set on it",
            &[
                "ecr:CreateRepository",
                "ecr:PutImageScanningConfiguration",
                "ecr:PutImageTagMutability",
                "ecr:PutLifecyclePolicy",
                "ecr:TagResource",
                "ecr:UntagResource",
            ],
            arns.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "ImagesDelete",
            "deletes the image repository with its images",
            &["ecr:DeleteRepository"],
            arns,
        );
    }
}

fn roles(sheet: &mut Sheet<'_>) {
    if sheet.looks() {
        sheet.list(&["iam:GetAccountAuthorizationDetails"]);
    }
    let arns: Vec<String> = sheet
        .resources(Kind::Role)
        .filter_map(|resource| match resource {
            Resource::Role(role) => Some(sheet.iam_arn(&format!("role{}{}", role.path, role.name))),
            _ => None,
        })
        .collect();
    if sheet.makes() && sheet.inputs.spec.permissions_boundary.is_some() {
        sheet.allow(
            "RoleBound",
            "bounds the permissions of the roles that the app's services act with",
            &[
                "iam:DeleteRolePermissionsBoundary",
                "iam:PutRolePermissionsBoundary",
            ],
            arns.clone(),
        );
    }
    if sheet.makes() {
        sheet.allow(
            "RoleChange",
            "makes the roles that the app's services act with, each with its trust and its one inline policy",
            &[
                "iam:CreateRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
            ],
            arns.clone(),
        );
    }
    if sheet.removes() {
        sheet.allow(
            "RoleDelete",
            "takes from the app's roles what hangs on them, and deletes them",
            &[
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
            ],
            arns,
        );
        let profiles = sheet.iam_arn("instance-profile/*");
        sheet.allow(
            "RoleProfiles",
            "takes the app's roles out of instance profiles that somebody put them in",
            &["iam:RemoveRoleFromInstanceProfile"],
            [profiles],
        );
    }
}
