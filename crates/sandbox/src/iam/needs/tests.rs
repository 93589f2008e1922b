//! What calls need, and how they are refused, over the wire.
#![allow(clippy::unwrap_used)]

use http::{Method, Request};
use serde_json::{Value, json};

use crate::Sandbox;
use crate::iam::acting::Actor;
use crate::services::operations;
use crate::testing::{self, REGION, protocol, request, rest, sandbox, text};
use crate::wire::Protocol;

const ACCOUNT: &str = "111122223333";

/// `action resource` of each need; context keys in the order of the alphabet.
fn needs(sandbox: &Sandbox, service: &str, operation: &str, input: &Value) -> Vec<String> {
    let request = request(service, REGION, operation, protocol(service), input);
    shown(sandbox, &request)
}

fn shown(sandbox: &Sandbox, request: &Request<bytes::Bytes>) -> Vec<String> {
    let needs = sandbox.needs(request).unwrap();
    needs
        .iter()
        .map(|need| format!("{} {}", need.action, need.resource))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_mapped() {
    let sandbox = sandbox();
    for (service, names) in operations() {
        for operation in names.iter().filter(|_| service != "s3") {
            let request = request(service, REGION, operation, protocol(service), &json!({}));
            assert!(
                sandbox.needs(&request).is_some(),
                "{service}:{operation} needs nothing: say in crates/sandbox/src/iam/needs what it needs"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn creating_with_tags_needs_to_tag() {
    let sandbox = sandbox();
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
    let tag = json!([{"Key": "a", "Value": "b"}]);
    let vpc = json!({"CidrBlock": "10.0.0.0/16", "TagSpecification": [{"ResourceType": "vpc", "Tag": tag}]});
    assert_eq!(
        needs(&sandbox, "ec2", "CreateVpc", &vpc),
        [
            format!("ec2:CreateVpc {}", arn("ec2", "vpc/*")),
            format!("ec2:CreateTags {}", arn("ec2", "vpc/*"))
        ]
    );
    let group = json!({"Name": "web", "Tags": tag});
    assert_eq!(
        needs(
            &sandbox,
            "elasticloadbalancing",
            "CreateTargetGroup",
            &group
        ),
        [
            format!(
                "elasticloadbalancing:CreateTargetGroup {}",
                arn("elasticloadbalancing", "targetgroup/web/*")
            ),
            format!(
                "elasticloadbalancing:AddTags {}",
                arn("elasticloadbalancing", "targetgroup/web/*")
            ),
        ]
    );
    let role = json!({"RoleName": "web", "Path": "/team/", "Tags": tag});
    assert_eq!(
        needs(&sandbox, "iam", "CreateRole", &role),
        [
            "iam:CreateRole arn:aws:iam::111122223333:role/team/web",
            "iam:TagRole arn:aws:iam::111122223333:role/team/web"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn handing_over_a_role_needs_to_pass_it() {
    let sandbox = sandbox();
    let input = json!({"family": "web", "executionRoleArn": "arn:aws:iam::111122223333:role/x", "taskRoleArn": "task"});
    let asked = needs(&sandbox, "ecs", "RegisterTaskDefinition", &input);
    let want = [
        "ecs:RegisterTaskDefinition arn:aws:ecs:eu-central-1:111122223333:task-definition/web:*",
        "iam:PassRole arn:aws:iam::111122223333:role/x",
        "iam:PassRole arn:aws:iam::111122223333:role/task",
    ];
    assert_eq!(asked, want);
    let input = json!({"Rule": "r", "Targets": [{"Id": "1", "Arn": "a", "RoleArn": "arn:aws:iam::111122223333:role/e"}]});
    let request = request("events", REGION, "PutTargets", Protocol::Json, &input);
    let needs = sandbox.needs(&request).unwrap();
    assert_eq!(needs[1].action, "iam:PassRole");
    assert_eq!(
        needs[1].context.get("iam:PassedToService").unwrap(),
        ["events.amazonaws.com"]
    );
}

#[tokio::test(start_paused = true)]
async fn objects_under_a_key_need_the_key() {
    let sandbox = sandbox();
    let answer = testing::call(&sandbox, "kms", "CreateKey", json!({})).await;
    let key = answer.unwrap()["KeyMetadata"]["Arn"]
        .as_str()
        .unwrap()
        .to_owned();
    let constraint = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    let send = |request: Request<bytes::Bytes>| {
        let sandbox = sandbox.clone();
        async move { assert_eq!(sandbox.handle(request).await.status(), 200) }
    };
    send(rest(Method::PUT, REGION, "/box", &[], constraint)).await;
    let put = |headers: &[(&str, &str)]| rest(Method::PUT, REGION, "/box/k", headers, "x");
    assert_eq!(
        shown(&sandbox, &put(&[])),
        ["s3:PutObject arn:aws:s3:::box/k"]
    );
    let kms = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", key.as_str()),
    ];
    assert_eq!(
        shown(&sandbox, &put(&kms)),
        [
            "s3:PutObject arn:aws:s3:::box/k".to_owned(),
            format!("kms:GenerateDataKey {key}")
        ]
    );
    send(put(&kms)).await;
    let get = |uri: &str| rest(Method::GET, REGION, uri, &[], "");
    assert_eq!(
        shown(&sandbox, &get("/box/k")),
        [
            "s3:GetObject arn:aws:s3:::box/k".to_owned(),
            format!("kms:Decrypt {key}")
        ]
    );
    assert_eq!(
        shown(&sandbox, &get("/box/k?versionId=v")),
        ["s3:GetObjectVersion arn:aws:s3:::box/k"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_callers_policy_holds_and_each_protocol_refuses_in_its_words() {
    let sandbox = sandbox();
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["ecs:ListClusters", "ec2:DescribeVpcs"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": "CreateVpc"}}},
        {"Effect": "Deny", "Action": "iam:DeleteRole", "Resource": "*"},
    ]});
    sandbox.caller_policy(Some(vec![policy])).unwrap();
    let call = |service: &'static str, operation: &'static str, input: Value| {
        let sandbox = sandbox.clone();
        async move {
            let request = request(service, REGION, operation, protocol(service), &input);
            let response = sandbox.handle(request).await;
            (
                response.status().as_u16(),
                testing::code(&response),
                text(&response),
            )
        }
    };
    assert_eq!(call("ecs", "ListClusters", json!({})).await.0, 200);
    assert_eq!(call("ec2", "DescribeVpcs", json!({})).await.0, 200);
    assert_eq!(call("sts", "GetCallerIdentity", json!({})).await.0, 200);
    let user = "arn:aws:iam::111122223333:user/sandbox";
    let (status, code, body) = call("ecs", "CreateCluster", json!({"clusterName": "web"})).await;
    assert_eq!((status, code.as_str()), (400, "AccessDeniedException"));
    assert!(body.contains(&format!(
        "User: {user} is not authorized to perform: ecs:CreateCluster on resource: arn:aws:ecs:eu-central-1:111122223333:cluster/web because no identity-based policy allows the ecs:CreateCluster action"
    )), "{body}");
    let vpc = json!({"CidrBlock": "10.0.0.0/16"});
    let (status, code, body) = call("ec2", "CreateVpc", vpc).await;
    assert_eq!((status, code.as_str()), (403, "UnauthorizedOperation"));
    assert!(
        body.contains("You are not authorized to perform this operation. User: "),
        "{body}"
    );
    let (status, code, body) = call("iam", "DeleteRole", json!({"RoleName": "web"})).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(
        body.contains("with an explicit deny in an identity-based policy"),
        "{body}"
    );
    let response = sandbox
        .handle(rest(Method::GET, REGION, "/box/k", &[], ""))
        .await;
    assert_eq!(response.status(), 403);
    assert_eq!(testing::code(&response), "AccessDenied");
    // Nothing was done on the way.
    sandbox.caller_policy(None).unwrap();
    let (_, _, body) = call("ecs", "ListClusters", json!({})).await;
    assert_eq!(body, r#"{"clusterArns":[]}"#);
    let odd = json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:MadeUp": "1"}}}]});
    assert!(
        sandbox
            .caller_policy(Some(vec![odd]))
            .unwrap_err()
            .contains("aws:MadeUp")
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_has_what_its_role_has() {
    let sandbox = sandbox();
    let trust = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}]});
    let role = json!({"RoleName": "reader", "AssumeRolePolicyDocument": trust.to_string()});
    testing::call(&sandbox, "iam", "CreateRole", role)
        .await
        .unwrap();
    let read = json!({"Statement": [{"Effect": "Allow", "Action": "ecs:List*", "Resource": "*"}]});
    let policy =
        json!({"RoleName": "reader", "PolicyName": "read", "PolicyDocument": read.to_string()});
    testing::call(&sandbox, "iam", "PutRolePolicy", policy)
        .await
        .unwrap();
    testing::pass(10).await;
    let assume =
        json!({"RoleArn": "arn:aws:iam::111122223333:role/reader", "RoleSessionName": "me"});
    let answer = testing::call(&sandbox, "sts", "AssumeRole", assume.clone())
        .await
        .unwrap();
    let key = answer["Credentials"]["AccessKeyId"]
        .as_str()
        .unwrap()
        .to_owned();
    let as_session = |operation: &str| {
        let mut request = request("ecs", REGION, operation, Protocol::Json, &json!({}));
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/ecs/aws4_request, SignedHeaders=host, Signature=0"
        );
        request
            .headers_mut()
            .insert("authorization", signed.parse().unwrap());
        request
    };
    assert_eq!(
        sandbox.handle(as_session("ListClusters")).await.status(),
        200
    );
    let refused = sandbox.handle(as_session("CreateCluster")).await;
    assert_eq!(testing::code(&refused), "AccessDeniedException");
    assert!(text(&refused).contains("arn:aws:sts::111122223333:assumed-role/reader/me"));
    // Where the trust leaves it to the account, the caller's own policy must allow it too.
    let nothing = json!({"Statement": [{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}]});
    sandbox.caller_policy(Some(vec![nothing])).unwrap();
    let refused = testing::call(&sandbox, "sts", "AssumeRole", assume).await;
    assert_eq!(refused, Err((403, "AccessDenied".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_boundary_limits_a_role_and_a_denial_in_a_buckets_policy_everybody() {
    let sandbox = sandbox();
    let call = |service: &'static str, operation: &'static str, input: Value| {
        let sandbox = sandbox.clone();
        async move {
            testing::call(&sandbox, service, operation, input)
                .await
                .unwrap()
        }
    };
    let only = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]});
    let policy = json!({"PolicyName": "limit", "PolicyDocument": only.to_string()});
    let answer = call("iam", "CreatePolicy", policy).await;
    let trust = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "codebuild.amazonaws.com"}}]});
    let role = json!({
        "RoleName": "web",
        "AssumeRolePolicyDocument": trust.to_string(),
        "PermissionsBoundary": answer["Policy"]["Arn"],
    });
    call("iam", "CreateRole", role).await;
    testing::allow_all(&sandbox, "web").await;
    testing::pass(10).await;
    let actor = Actor::assume(
        &sandbox.world(),
        REGION,
        "arn:aws:iam::111122223333:role/web",
        "codebuild.amazonaws.com",
        "arn:aws:codebuild:eu-central-1:111122223333:project/web",
        "AWSCodeBuild-1",
    )
    .unwrap();
    {
        let world = sandbox.world();
        let logs = json!({"logGroupName": "g", "logStreamName": "s"});
        assert!(actor.may(&world, "logs", "CreateLogStream", logs).is_ok());
        let denied = actor
            .may(&world, "ecr", "GetAuthorizationToken", json!({}))
            .unwrap_err();
        assert_eq!(
            denied.to_string(),
            "User: arn:aws:sts::111122223333:assumed-role/web/AWSCodeBuild-1 is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no permissions boundary allows the ecr:GetAuthorizationToken action"
        );
    }
    // What nobody has mapped is nothing that a boundary allows.
    assert!(
        actor
            .may(&sandbox.world(), "ecr", "MadeUp", json!({}))
            .is_err()
    );

    let constraint = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    let made = rest(Method::PUT, REGION, "/box", &[], constraint);
    assert_eq!(sandbox.handle(made).await.status(), 200);
    let deny = json!({"Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::box/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }]});
    let put = rest(Method::PUT, REGION, "/box?policy", &[], deny.to_string());
    assert_eq!(sandbox.handle(put).await.status(), 204);
    let put = rest(Method::PUT, REGION, "/box/k", &[], "x");
    let refused = sandbox.handle(put).await;
    assert_eq!(refused.status(), 403);
    assert!(text(&refused).contains("with an explicit deny in a resource-based policy"));
}

#[tokio::test(start_paused = true)]
async fn the_callers_policy_is_a_dial_of_the_control_api() {
    let sandbox = sandbox();
    let send = |method: Method, body: &str| {
        let sandbox = sandbox.clone();
        let request = Request::builder()
            .method(method)
            .uri("/_sandbox/caller-policy");
        let request = request.body(bytes::Bytes::from(body.to_owned())).unwrap();
        async move {
            let response = sandbox.handle(request).await;
            (response.status().as_u16(), text(&response))
        }
    };
    let document =
        r#"{"Statement":[{"Effect":"Allow","Action":"ecs:ListServices","Resource":"*"}]}"#;
    assert_eq!(send(Method::PUT, document).await.0, 200);
    assert!(send(Method::GET, "").await.1.contains("ecs:ListServices"));
    let refused = testing::call(&sandbox, "ecs", "ListClusters", json!({})).await;
    assert_eq!(refused, Err((400, "AccessDeniedException".to_owned())));
    assert_eq!(send(Method::PUT, "{}").await.0, 400);
    assert_eq!(send(Method::DELETE, "").await.0, 200);
    assert!(
        testing::call(&sandbox, "ecs", "ListClusters", json!({}))
            .await
            .is_ok()
    );
}
