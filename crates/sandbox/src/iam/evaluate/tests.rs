//! The decision as a table: the rows of AWS's pages "Policy evaluation logic", "How permissions boundaries are evaluated",
//! "Permissions granted by resource-based policies" and "Key policies in AWS KMS".
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::iam::document::{Use, read_document};

const ACCOUNT: &str = "111122223333";
const ROLE: &str = "arn:aws:iam::111122223333:role/web";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/web/run";
const USER: &str = "arn:aws:iam::111122223333:user/ann";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const OBJECT: &str = "arn:aws:s3:::bucket/key";

fn session() -> Principal {
    Principal::Session {
        role: ROLE.to_owned(),
        session: SESSION.to_owned(),
    }
}

fn user() -> Principal {
    Principal::User(USER.to_owned())
}

fn service() -> Principal {
    Principal::Service("logs.eu-central-1.amazonaws.com".to_owned())
}

/// What has a say in a row; `Null` is no such policy.
#[derive(Default, Clone)]
struct Row {
    identity: Value,
    boundary: Value,
    adds: Value,
    decides: Value,
}

fn decide(principal: &Principal, row: &Row) -> Result<(), Refusal> {
    ask(principal, row, "s3:GetObject", OBJECT, &Context::default())
}

fn ask(
    principal: &Principal,
    row: &Row,
    action: &str,
    resource: &str,
    context: &Context,
) -> Result<(), Refusal> {
    let read = |value: &Value, purpose: Use| match value {
        Value::Null => Vec::new(),
        statements => read_document(
            &json!({"Version": "2012-10-17", "Statement": statements}),
            purpose,
        )
        .unwrap(),
    };
    let identity = read(&row.identity, Use::Identity);
    let boundary = read(&row.boundary, Use::Identity);
    let adds = read(&row.adds, Use::Resource);
    let decides = read(&row.decides, Use::Resource);
    let policies = Policies {
        identity: identity.iter().collect(),
        boundary: (!row.boundary.is_null()).then(|| boundary.iter().collect()),
        resource: match (&row.adds, &row.decides) {
            (Value::Null, Value::Null) => ResourcePolicy::Silent,
            (_, Value::Null) => ResourcePolicy::Adds(adds.iter().collect()),
            _ => ResourcePolicy::Decides(decides.iter().collect()),
        },
    };
    let request = Request {
        principal,
        account: ACCOUNT,
        action,
        resource,
        context,
    };
    evaluate(&request, &policies)
}

fn own(effect: &str) -> Value {
    json!({"Effect": effect, "Action": "s3:*", "Resource": "*"})
}

fn other() -> Value {
    json!({"Effect": "Allow", "Action": "ec2:*", "Resource": "*"})
}

fn of_resource(effect: &str, principal: &str) -> Value {
    let principal = match principal.contains(".amazonaws.com") {
        true => json!({"Service": principal}),
        false => json!({"AWS": principal}),
    };
    json!({"Effect": effect, "Principal": principal, "Action": "s3:*", "Resource": "*"})
}

const EXPLICIT_IDENTITY: Result<(), Refusal> = Err(Refusal::Explicit(Side::Identity));
const EXPLICIT_BOUNDARY: Result<(), Refusal> = Err(Refusal::Explicit(Side::Boundary));
const EXPLICIT_RESOURCE: Result<(), Refusal> = Err(Refusal::Explicit(Side::Resource));
const NO_IDENTITY: Result<(), Refusal> = Err(Refusal::Implicit(Side::Identity));
const NO_BOUNDARY: Result<(), Refusal> = Err(Refusal::Implicit(Side::Boundary));
const NO_RESOURCE: Result<(), Refusal> = Err(Refusal::Implicit(Side::Resource));

#[test]
fn own_policies_and_boundary_intersect() {
    let (nothing, allow, deny) = (json!(null), own("Allow"), own("Deny"));
    for (identity, boundary, want) in [
        (&nothing, &nothing, NO_IDENTITY),
        (&allow, &nothing, Ok(())),
        (&deny, &nothing, EXPLICIT_IDENTITY),
        (&json!([allow, deny]), &nothing, EXPLICIT_IDENTITY),
        (&other(), &nothing, NO_IDENTITY),
        (&nothing, &allow, NO_IDENTITY),
        (&allow, &allow, Ok(())),
        (&allow, &other(), NO_BOUNDARY),
        (&allow, &deny, EXPLICIT_BOUNDARY),
        (&allow, &json!([allow, deny]), EXPLICIT_BOUNDARY),
        (&deny, &allow, EXPLICIT_IDENTITY),
    ] {
        for principal in [session(), user()] {
            let row = Row {
                identity: identity.clone(),
                boundary: boundary.clone(),
                ..Row::default()
            };
            assert_eq!(decide(&principal, &row), want, "{identity} {boundary}");
        }
    }
}

#[test]
fn a_resources_policy_grants_beside_the_own_ones() {
    let allow = own("Allow");
    for (principal, identity, named, want) in [
        (session(), None, ROLE, Ok(())),
        (session(), None, SESSION, Ok(())),
        (session(), None, "*", Ok(())),
        (session(), None, ROOT, NO_IDENTITY),
        (session(), None, ACCOUNT, NO_IDENTITY),
        (session(), None, USER, NO_IDENTITY),
        (session(), Some(&allow), USER, Ok(())),
        (session(), Some(&allow), ROOT, Ok(())),
        (user(), None, USER, Ok(())),
        (user(), None, ROLE, NO_IDENTITY),
        (service(), None, "logs.eu-central-1.amazonaws.com", Ok(())),
        (service(), None, "logs.us-east-1.amazonaws.com", NO_RESOURCE),
        (service(), None, ROOT, NO_RESOURCE),
        (service(), None, "*", Ok(())),
    ] {
        let row = Row {
            identity: identity.cloned().unwrap_or_default(),
            adds: of_resource("Allow", named),
            ..Row::default()
        };
        assert_eq!(decide(&principal, &row), want, "{principal:?} {named}");
    }
}

#[test]
fn a_resources_denial_wins_over_every_allowance() {
    let logs = "logs.eu-central-1.amazonaws.com";
    for (principal, named, want) in [
        (session(), ROLE, EXPLICIT_RESOURCE),
        (session(), SESSION, EXPLICIT_RESOURCE),
        (session(), "*", EXPLICIT_RESOURCE),
        // A denial to the account is one to everybody in it.
        (session(), ROOT, EXPLICIT_RESOURCE),
        (session(), ACCOUNT, EXPLICIT_RESOURCE),
        (session(), USER, Ok(())),
        (session(), logs, Ok(())),
        (user(), USER, EXPLICIT_RESOURCE),
        (user(), ROLE, Ok(())),
        (service(), logs, EXPLICIT_RESOURCE),
        (service(), "*", EXPLICIT_RESOURCE),
        (service(), ROOT, Ok(())),
    ] {
        let row = Row {
            identity: own("Allow"),
            adds: json!([of_resource("Allow", "*"), of_resource("Deny", named)]),
            ..Row::default()
        };
        assert_eq!(decide(&principal, &row), want, "{principal:?} {named}");
    }
}

#[test]
fn a_boundary_limits_what_names_the_role_but_not_what_names_the_session() {
    for (principal, named, want) in [
        (session(), ROLE, NO_BOUNDARY),
        (session(), "*", NO_BOUNDARY),
        (session(), SESSION, Ok(())),
        (user(), USER, Ok(())),
    ] {
        let row = Row {
            boundary: other(),
            adds: of_resource("Allow", named),
            ..Row::default()
        };
        assert_eq!(decide(&principal, &row), want, "{named}");
    }
}

#[test]
fn a_keys_policy_must_allow_it_or_leave_it_to_the_account() {
    let (nothing, allow, deny) = (json!(null), own("Allow"), own("Deny"));
    for (identity, named, want) in [
        (&nothing, ROOT, NO_IDENTITY),
        (&allow, ROOT, Ok(())),
        (&deny, ROOT, EXPLICIT_IDENTITY),
        (&nothing, ROLE, Ok(())),
        (&deny, ROLE, EXPLICIT_IDENTITY),
        (&allow, USER, NO_RESOURCE),
        (&allow, "arn:aws:iam::444455556666:root", NO_RESOURCE),
    ] {
        let row = Row {
            identity: identity.clone(),
            decides: of_resource("Allow", named),
            ..Row::default()
        };
        assert_eq!(decide(&session(), &row), want, "{identity} {named}");
    }
    let denied = Row {
        identity: allow,
        decides: json!([of_resource("Allow", ROOT), of_resource("Deny", ROLE)]),
        ..Row::default()
    };
    assert_eq!(decide(&session(), &denied), EXPLICIT_RESOURCE);
}

#[test]
fn not_principal_is_about_all_others() {
    let statement = |effect: &str| json!({"Effect": effect, "NotPrincipal": {"AWS": [ROLE, ROOT]}, "Action": "*", "Resource": "*"});
    let row = |effect: &str| Row {
        identity: own("Allow"),
        adds: statement(effect),
        ..Row::default()
    };
    assert_eq!(decide(&session(), &row("Deny")), Ok(()));
    assert_eq!(decide(&service(), &row("Deny")), EXPLICIT_RESOURCE);
    assert_eq!(decide(&service(), &row("Allow")), Ok(()));
}

#[test]
fn actions_and_resources_are_patterns_or_their_opposite() {
    let allows = |statement: Value, action: &str, resource: &str| {
        let mut statement = statement;
        statement["Effect"] = json!("Allow");
        let row = Row {
            identity: statement,
            ..Row::default()
        };
        ask(&session(), &row, action, resource, &Context::default()).is_ok()
    };
    let all = json!("*");
    for (statement, action, resource, want) in [
        (
            json!({"Action": "*", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": "S3:getobject", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": "s3:Get*", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": "s3:Get????", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            false,
        ),
        (
            json!({"Action": "s3:Get??????", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": ["ec2:*", "s3:Put*"], "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            false,
        ),
        (
            json!({"NotAction": "s3:*", "Resource": "*"}),
            "s3:GetObject",
            OBJECT,
            false,
        ),
        (
            json!({"NotAction": "s3:*", "Resource": "*"}),
            "ec2:CreateVpc",
            "*",
            true,
        ),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::bucket"}),
            "s3:GetObject",
            OBJECT,
            false,
        ),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::bucket*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        (
            json!({"Action": "s3:*", "NotResource": "arn:aws:s3:::bucket/*"}),
            "s3:GetObject",
            OBJECT,
            false,
        ),
        (
            json!({"Action": "s3:*", "NotResource": "arn:aws:s3:::other/*"}),
            "s3:GetObject",
            OBJECT,
            true,
        ),
        // What is about no resource needs the asterisk.
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::*"}),
            "s3:ListAllMyBuckets",
            "*",
            false,
        ),
        (
            json!({"Action": "s3:*", "Resource": all}),
            "s3:ListAllMyBuckets",
            "*",
            true,
        ),
    ] {
        assert_eq!(
            allows(statement.clone(), action, resource),
            want,
            "{statement} {action}"
        );
    }
}

#[test]
fn every_condition_of_a_statement_must_hold() {
    let context = Context::from([("aws:SourceAccount", ACCOUNT), ("aws:SourceArn", ROLE)]);
    for (condition, want) in [
        (
            json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:SourceAccount": ["1", ACCOUNT]}}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": "arn:aws:iam::*:role/*"}}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": "arn:aws:iam::*:user/*"}}),
            false,
        ),
        (
            json!({"StringEquals": {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": "no"}}),
            false,
        ),
        (json!({"StringEquals": {"aws:PrincipalArn": ROLE}}), false),
    ] {
        let row = Row {
            identity: json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}),
            ..Row::default()
        };
        let got = ask(&session(), &row, "s3:GetObject", OBJECT, &context).is_ok();
        assert_eq!(got, want, "{condition}");
    }
}

#[test]
fn variables_stand_for_the_request_in_resources_and_conditions() {
    let context = Context::from([("aws:PrincipalTag/app", "bucket")]);
    let row = Row {
        identity: json!({
            "Effect": "Allow",
            "Action": "*",
            "Resource": "arn:aws:s3:::${aws:PrincipalTag/app}/*",
            "Condition": {"StringEquals": {"aws:PrincipalTag/app": "${aws:PrincipalTag/app}"}},
        }),
        ..Row::default()
    };
    let asked = |resource: &str| ask(&session(), &row, "s3:GetObject", resource, &context);
    assert_eq!(asked(OBJECT), Ok(()));
    assert_eq!(asked("arn:aws:s3:::other/key"), NO_IDENTITY);
}

#[test]
fn refusals_have_the_words_of_aws() {
    for (refusal, want) in [
        (
            Refusal::Explicit(Side::Identity),
            "with an explicit deny in an identity-based policy",
        ),
        (
            Refusal::Explicit(Side::Boundary),
            "with an explicit deny in a permissions boundary",
        ),
        (
            Refusal::Implicit(Side::Resource),
            "because no resource-based policy allows the s3:GetObject action",
        ),
        (
            Refusal::Implicit(Side::Identity),
            "because no identity-based policy allows the s3:GetObject action",
        ),
    ] {
        assert_eq!(refusal.words("s3:GetObject"), want);
    }
}
