//! Who may do what: the policies of key and bucket, and the roles, one for each service that acts for the app. AWS.md §6 has
//! the documents and what was checked. Every ARN but the key's follows from names, so that roles need wait for nothing else and
//! have time to spread through IAM. Must not grant what nothing uses yet.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::names::RoleName;
use ecspipe_spec::{Alarm, CodeCommit, Facts, Names, Source};
use serde_json::{Value, json};

use super::Place;
use crate::graph::Graph;
use crate::resource::{Id, Policy, Role};

/// The ARNs of an app's roles: its own, or those that exist.
pub(super) struct Roles {
    pub(super) execution: Id,
    pub(super) task: Id,
    pub(super) codedeploy: Id,
    pub(super) codebuild: Id,
    pub(super) codepipeline: Id,
    pub(super) events: Id,
}

/// The account itself, and through it the roles by their own policies: a policy that named roles would have to wait for them.
pub(super) fn key(place: &Place<'_>) -> Policy {
    policy(vec![json!({
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": { "AWS": place.iam_arn("root") },
        "Action": "kms:*",
        "Resource": "*",
    })])
}

/// Nothing in clear text on the wire, nothing encrypted with another key. Without a header the bucket's default encryption applies.
/// The lease alone is encrypted with S3's own key: it has to be readable when the app's key is not yet there, or gone before it.
pub(super) fn bucket(place: &Place<'_>, name: &str, key: &str) -> Policy {
    let bucket = place.s3_arn(name);
    let objects = format!("{bucket}/*");
    let deny = |sid: &str, action: &str, resource: Value, condition: Value| {
        json!({
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": action,
            "Resource": resource,
            "Condition": condition,
        })
    };
    let insecure = json!({ "Bool": { "aws:SecureTransport": "false" } });
    // Both speak of a header that is there: a missing one would count as a different one.
    let not_kms = json!({
        "StringNotEquals": { "s3:x-amz-server-side-encryption": "aws:kms" },
        "Null": { "s3:x-amz-server-side-encryption": "false" },
    });
    let other_key = json!({
        "StringNotEquals": { "s3:x-amz-server-side-encryption-aws-kms-key-id": key },
        "Null": { "s3:x-amz-server-side-encryption-aws-kms-key-id": "false" },
    });
    let mut kms_only = deny("KmsOnly", "s3:PutObject", json!([]), not_kms);
    if let Some(statement) = kms_only.as_object_mut() {
        statement.remove("Resource");
        let lease = format!("{bucket}/{}", place.names.lease_key());
        statement.insert("NotResource".to_owned(), json!(lease));
    }
    policy(vec![
        deny("TlsOnly", "s3:*", json!([bucket, objects]), insecure),
        kms_only,
        deny("RightKey", "s3:PutObject", json!(objects), other_key),
    ])
}

pub(super) fn roles(graph: &mut Graph, place: &Place<'_>, key: &str) -> Roles {
    let mut role = |name: RoleName, statements: Vec<Value>| {
        if place.spec.roles.contains_key(&name) {
            return place.spec.role_arn(place.facts, name);
        }
        let policies: BTreeMap<_, _> = if statements.is_empty() {
            BTreeMap::new()
        } else {
            [("ecspipe".to_owned(), policy(statements))].into()
        };
        let role = Role {
            name: place.names.role(name),
            path: place.spec.role_path.clone(),
            boundary: place.existing.boundary.clone(),
            trust: trust(place, name),
            policies,
        };
        graph.add(name.suffix(), role).id()
    };
    Roles {
        execution: role(RoleName::Execution, execution(place)),
        task: role(RoleName::Task, task(place)),
        codedeploy: role(RoleName::CodeDeploy, codedeploy(place)),
        codebuild: role(RoleName::CodeBuild, codebuild(place, key)),
        codepipeline: role(RoleName::CodePipeline, codepipeline(place, key)),
        events: role(RoleName::Events, events(place)),
    }
}

/// Which service assumes a role, and for which things of the app.
pub(crate) struct Trusted {
    service: &'static str,
    operator: &'static str,
    /// The ARNs for which the service acts.
    pub(crate) sources: Vec<String>,
}

impl Trusted {
    /// The service as a policy names it.
    pub(crate) fn principal(&self) -> String {
        format!("{}.amazonaws.com", self.service)
    }
}

/// Whom a role has to trust.
pub(crate) fn trusted(role: RoleName, facts: &Facts, names: &Names) -> Trusted {
    let app = names.app();
    let trusted = |service, operator, sources| Trusted {
        service,
        operator,
        sources,
    };
    let like = |service, source| trusted(service, "ArnLike", vec![source]);
    match role {
        // ECS documents this ARN and no narrower one (AWS.md §6.1).
        RoleName::Execution | RoleName::Task => like("ecs-tasks", facts.arn("ecs", "*")),
        RoleName::CodeDeploy => {
            let group = format!("deploymentgroup:{app}/*");
            like("codedeploy", facts.arn("codedeploy", &group))
        }
        RoleName::CodeBuild => {
            let project = format!("project/{app}");
            like("codebuild", facts.arn("codebuild", &project))
        }
        RoleName::CodePipeline => like("codepipeline", facts.arn("codepipeline", app)),
        RoleName::Events => {
            let rules = ["source", "bundle"]
                .map(|rule| facts.arn("events", &format!("rule/{}", names.rule(rule))));
            trusted("events", "ArnEquals", rules.into())
        }
    }
}

/// A service may assume the role only when it acts for this account and for the thing that the role was made for, so that nobody
/// else's pipeline or project can borrow it (the confused deputy).
fn trust(place: &Place<'_>, role: RoleName) -> Policy {
    let trusted = trusted(role, place.facts, &place.names);
    policy(vec![json!({
        "Effect": "Allow",
        "Principal": { "Service": trusted.principal() },
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": { "aws:SourceAccount": place.facts.account },
            (trusted.operator): { "aws:SourceArn": trusted.sources },
        },
    })])
}

/// Pull the image, write the log.
fn execution(place: &Place<'_>) -> Vec<Value> {
    let pull = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
    ];
    vec![
        allow("EcrAuth", &["ecr:GetAuthorizationToken"], json!("*")),
        allow("EcrPull", &pull, json!(repository(place))),
        allow(
            "Logs",
            &WRITE_LOG,
            json!(log_streams(place, &place.names.service_log_group())),
        ),
    ]
}

/// What the agent of ECS Exec in a task needs; the app's own permissions are somebody else's to give.
fn task(place: &Place<'_>) -> Vec<Value> {
    let channels = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ];
    match place.spec.service.exec {
        true => vec![allow("Exec", &channels, json!("*"))],
        false => Vec::new(),
    }
}

/// Make and remove task sets, move the listeners, call the hooks, look at the alarms. Listeners and rules are told from others' by the balancer's
/// name.
fn codedeploy(place: &Place<'_>) -> Vec<Value> {
    let app = place.names.app();
    let cluster = place.spec.cluster_name(place.facts);
    let balancer = balancer(place);
    let service = place.arn("ecs", &format!("service/{cluster}/{app}"));
    let task_sets = place.arn("ecs", &format!("task-set/{cluster}/{app}/*"));
    // AWS knows no resource for this action: it is told from others' by a condition.
    let create_task_set = with_condition(
        allow("CreateTaskSet", &["ecs:CreateTaskSet"], json!("*")),
        json!({ "ArnEqualsIfExists": { "ecs:service": service } }),
    );
    let listeners = place.arn(
        "elasticloadbalancing",
        &format!("listener/app/{balancer}/*"),
    );
    let rules = place.arn(
        "elasticloadbalancing",
        &format!("listener-rule/app/{balancer}/*/*"),
    );
    let read = [
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeRules",
    ];
    let functions: BTreeSet<String> = place
        .spec
        .deploy
        .hooks
        .values()
        .map(|function| function.arn(place.facts))
        .collect();
    let hooks = (!functions.is_empty())
        .then(|| allow("Hooks", &["lambda:InvokeFunction"], json!(functions)));
    let alarms: BTreeSet<String> = alarm_names(place)
        .iter()
        .map(|name| place.arn("cloudwatch", &format!("alarm:{name}")))
        .collect();
    let alarms = (!alarms.is_empty())
        .then(|| allow("Alarms", &["cloudwatch:DescribeAlarms"], json!(alarms)));
    let mut statements = vec![
        allow(
            "Service",
            &["ecs:DescribeServices", "ecs:UpdateServicePrimaryTaskSet"],
            json!(service),
        ),
        create_task_set,
        allow("TaskSets", &["ecs:DeleteTaskSet"], json!(task_sets)),
        allow("ElbRead", &read, json!("*")),
        allow(
            "ElbListeners",
            &["elasticloadbalancing:ModifyListener"],
            json!(listeners),
        ),
        allow(
            "ElbRules",
            &["elasticloadbalancing:ModifyRule"],
            json!(rules),
        ),
        pass_task_roles(place),
    ];
    statements.extend(hooks);
    statements.extend(alarms);
    statements
}

/// The names of all alarms that may stop a deployment.
fn alarm_names(place: &Place<'_>) -> BTreeSet<String> {
    let names = |alarm: &Alarm| match alarm {
        Alarm::Existing(name) => vec![name.clone()],
        Alarm::Declared(condition) => ["blue", "green"]
            .map(|colour| place.names.alarm(&condition.subject(), colour))
            .into(),
    };
    place.spec.deploy.alarms.iter().flat_map(names).collect()
}

/// Push the image and its layer cache, read the source, write the artifact and the log.
fn codebuild(place: &Place<'_>, key: &str) -> Vec<Value> {
    let push_and_pull = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ecr:DescribeImages",
    ];
    vec![
        allow("EcrAuth", &["ecr:GetAuthorizationToken"], json!("*")),
        allow("EcrPushPull", &push_and_pull, json!(repository(place))),
        allow(
            "Logs",
            &WRITE_LOG,
            json!(log_streams(place, &place.names.build_log_group())),
        ),
        allow("Artifacts", &READ_AND_WRITE, json!(artifacts(place))),
        allow(
            "ArtifactBucket",
            &["s3:GetBucketLocation", "s3:GetBucketAcl"],
            json!(bucket_arn(place)),
        ),
        allow("ArtifactKey", &USE_KEY, json!(key)),
    ]
}

/// Read the sources, start the build, register the definition and deploy it.
fn codepipeline(place: &Place<'_>, key: &str) -> Vec<Value> {
    let app = place.names.app();
    let Source::Codecommit(CodeCommit {
        repository: source, ..
    }) = &place.spec.source;
    let definitions = place.arn("ecs", &format!("task-definition/{app}:*"));
    let bucket = [
        "s3:GetBucketVersioning",
        "s3:GetBucketLocation",
        "s3:GetBucketAcl",
        "s3:ListBucket",
    ];
    let bundle = [
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectTagging",
        "s3:GetObjectVersionTagging",
    ];
    let read_source = [
        "codecommit:GetBranch",
        "codecommit:GetCommit",
        "codecommit:UploadArchive",
        "codecommit:GetUploadArchiveStatus",
        "codecommit:CancelUploadArchive",
    ];
    let application = [
        "codedeploy:GetApplication",
        "codedeploy:GetApplicationRevision",
        "codedeploy:RegisterApplicationRevision",
    ];
    let group = place.arn("codedeploy", &format!("deploymentgroup:{app}/{app}"));
    vec![
        allow("Artifacts", &READ_AND_WRITE, json!(artifacts(place))),
        allow("Bundle", &bundle, json!(bundle_arn(place))),
        allow("ArtifactBucket", &bucket, json!(bucket_arn(place))),
        allow("ArtifactKey", &USE_KEY, json!(key)),
        allow(
            "Source",
            &read_source,
            json!(place.arn("codecommit", source)),
        ),
        allow(
            "Build",
            &["codebuild:StartBuild", "codebuild:BatchGetBuilds"],
            json!(project(place)),
        ),
        allow(
            "DeployApp",
            &application,
            json!(place.arn("codedeploy", &format!("application:{app}"))),
        ),
        allow(
            "DeployGroup",
            &["codedeploy:CreateDeployment", "codedeploy:GetDeployment"],
            json!(group),
        ),
        allow(
            "DeployConfig",
            &["codedeploy:GetDeploymentConfig"],
            json!(place.arn("codedeploy", "deploymentconfig:*")),
        ),
        allow(
            "RegisterTaskDef",
            &["ecs:RegisterTaskDefinition"],
            json!(definitions),
        ),
        pass_task_roles(place),
    ]
}

fn events(place: &Place<'_>) -> Vec<Value> {
    vec![allow(
        "Start",
        &["codepipeline:StartPipelineExecution"],
        json!(pipeline(place)),
    )]
}

/// The balancer as its listeners' ARNs hold it: its name and its id. Only of one that exists the id is known, and others of its
/// name don't matter; of the app's own it is any.
fn balancer(place: &Place<'_>) -> String {
    let existing = place.existing.load_balancer.as_ref();
    let known = existing.and_then(|existing| existing.arn.split_once(":loadbalancer/app/"));
    match known {
        Some((_, balancer)) => balancer.to_owned(),
        None => format!("{}/*", place.spec.load_balancer_name(place.facts)),
    }
}

/// Hand the tasks' roles to ECS's tasks and to nothing else.
fn pass_task_roles(place: &Place<'_>) -> Value {
    let roles =
        [RoleName::Execution, RoleName::Task].map(|role| place.spec.role_arn(place.facts, role));
    with_condition(
        allow("PassTaskRoles", &["iam:PassRole"], json!(roles)),
        json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } }),
    )
}

const WRITE_LOG: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

const READ_AND_WRITE: [&str; 3] = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"];

/// What S3 asks KMS for in the name of who reads and writes objects (S3 user guide, "Using server-side encryption with AWS KMS
/// keys"); nothing of ours uses the key otherwise.
const USE_KEY: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];

fn repository(place: &Place<'_>) -> String {
    place.arn("ecr", &format!("repository/{}", place.names.app()))
}

fn project(place: &Place<'_>) -> String {
    place.arn("codebuild", &format!("project/{}", place.names.app()))
}

fn pipeline(place: &Place<'_>) -> String {
    place.arn("codepipeline", place.names.app())
}

fn log_streams(place: &Place<'_>, group: &str) -> String {
    place.arn("logs", &format!("log-group:{group}:*"))
}

fn bucket_arn(place: &Place<'_>) -> String {
    place.s3_arn(&place.names.bucket("artifacts"))
}

/// What pipeline runs put into the bucket, `<pipeline>/<artifact>/<characters>`, and nothing else that is in it: a build runs
/// what a commit says, and must not write the bundle that is deployed, or the lease.
fn artifacts(place: &Place<'_>) -> String {
    format!("{}/{}*/*", bucket_arn(place), place.names.artifact_prefix())
}

fn bundle_arn(place: &Place<'_>) -> String {
    format!("{}/{}", bucket_arn(place), place.names.bundle_key())
}

fn allow(sid: &str, actions: &[&str], resource: Value) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource })
}

fn with_condition(mut statement: Value, condition: Value) -> Value {
    statement["Condition"] = condition;
    statement
}

fn policy(statements: Vec<Value>) -> Policy {
    Policy::new(json!({ "Version": "2012-10-17", "Statement": statements }))
}
