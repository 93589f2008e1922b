//! From a push to a deployment: stores, repositories, build, pipeline, CodeDeploy, and the rules that start it (AWS.md §4.1, §7).
//! Must not render a file: the buildspec comes as text.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::budget::{BUILD_MINUTES, QUEUED_MINUTES};
use ecspipe_spec::taskdef::IMAGE_PLACEHOLDER;
use ecspipe_spec::{Architecture, CodeCommit, RollbackOn, Source, Span, Strategy};
use serde_json::json;

use super::Place;
use super::balancer::Balancer;
use super::policies::{self, Roles};
use super::service::{Logs, Running};
use crate::graph::Graph;
use crate::resource::{
    Action, Bucket, BuildProject, DeploymentApplication, DeploymentConfig, DeploymentGroup,
    Document, EncryptionKey, EventRule, Id, ImageRepository, LifecycleRule, Link, Pipeline, Ready,
    RuleTarget, SourceRepository, Stage, Traffic,
};

/// Days after which an artifact of a pipeline run goes: longer than any run can wait for a person.
const ARTIFACT_DAYS: u32 = 90;
/// Days for which an overwritten object can be had back, above all an older bundle: a pipeline run that waits still reads its
/// own version.
const NONCURRENT_DAYS: u32 = 90;
/// Days after which what was a lease goes: the least that S3 takes.
const LEASE_DAYS: u32 = 1;
/// Days for which an expired artifact can be had back.
const EXPIRED_ARTIFACT_DAYS: u32 = 1;
/// Days after which an unfinished upload goes, which nobody sees but everybody pays for.
const ABORT_UPLOAD_DAYS: u32 = 7;
/// Images that are kept: enough to roll back far, and a repository that doesn't grow for ever.
const IMAGES_KEPT: u32 = 100;
/// Days after which an image without a tag goes: what the layer cache left behind.
const UNTAGGED_DAYS: u32 = 14;

/// Where things in transit are kept.
pub(super) struct Stores {
    /// The key's ARN.
    pub(super) key: Id,
    pub(super) bucket: Link,
}

/// The CodeDeploy side, as the pipeline refers to it.
pub(super) struct Deployment {
    application: Link,
    group: Link,
}

/// The pipeline with what starts it.
pub(super) struct Started {
    repository: Link,
    pipeline: Link,
}

pub(super) fn stores(graph: &mut Graph, place: &Place<'_>) -> Stores {
    let key = key(graph, place);
    let name = place.names.bucket("artifacts");
    let bucket = Bucket {
        versioning: true,
        encryption_key: Some(key.clone()),
        bucket_key: true,
        public_access_blocked: true,
        owner_enforced: true,
        lifecycle: lifecycle(place),
        policy: policies::bucket(place, &name, &key),
        event_notifications: true,
        name,
    };
    let bucket = graph.add("artifacts", bucket);
    Stores { key, bucket }
}

/// The ARN of the key: of the app's own, or of one that exists.
fn key(graph: &mut Graph, place: &Place<'_>) -> Id {
    if place.spec.kms_key.is_some() {
        let existing = place.existing.key.as_ref();
        return existing.map(|key| key.arn.clone()).unwrap_or_default();
    }
    let key = EncryptionKey {
        alias: place.names.key_alias(),
        description: format!("encrypts what the pipeline of {} ships", place.names.app()),
        rotation: true,
        policy: policies::key(place),
    };
    graph.add("main", key).id()
}

/// The newest bundle never expires, since the pipeline reads it at every run; what the runs leave behind does.
fn lifecycle(place: &Place<'_>) -> BTreeSet<LifecycleRule> {
    let artifacts = LifecycleRule {
        id: "artifacts".to_owned(),
        prefix: place.names.artifact_prefix(),
        expire_days: Some(ARTIFACT_DAYS),
        expire_noncurrent_days: Some(EXPIRED_ARTIFACT_DAYS),
        abort_upload_days: None,
    };
    let everything = LifecycleRule {
        id: "everything".to_owned(),
        prefix: String::new(),
        expire_days: None,
        expire_noncurrent_days: Some(NONCURRENT_DAYS),
        abort_upload_days: Some(ABORT_UPLOAD_DAYS),
    };
    // Every renewal is a version; the last one stays and says who worked last.
    let lease = LifecycleRule {
        id: "lease".to_owned(),
        prefix: place.names.lease_key().to_owned(),
        expire_days: None,
        expire_noncurrent_days: Some(LEASE_DAYS),
        abort_upload_days: None,
    };
    [artifacts, everything, lease].into()
}

/// Tags stand for one image for ever, so that what was tested is what runs; only the layer cache is overwritten.
pub(super) fn images(graph: &mut Graph, place: &Place<'_>) -> Link {
    let expire = |priority: u32, description: String, selection: serde_json::Value| {
        json!({
            "rulePriority": priority,
            "description": description,
            "selection": selection,
            "action": { "type": "expire" },
        })
    };
    let untagged = json!({
        "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": UNTAGGED_DAYS,
    });
    let many = json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": IMAGES_KEPT });
    let rules = json!({ "rules": [
        expire(1, format!("images without a tag go after {UNTAGGED_DAYS} days"), untagged),
        expire(2, format!("the newest {IMAGES_KEPT} images stay"), many),
    ]});
    let repository = ImageRepository {
        name: place.names.app().to_owned(),
        tag_mutability: "IMMUTABLE_WITH_EXCLUSION".to_owned(),
        mutability_exclusions: ["buildcache*".to_owned()].into(),
        scan_on_push: true,
        lifecycle: Document::new(rules),
    };
    graph.add("main", repository)
}

pub(super) fn deployment(
    graph: &mut Graph,
    place: &Place<'_>,
    balancer: &Balancer,
    alarms: BTreeSet<Id>,
    running: &Running,
    roles: &Roles,
) -> Deployment {
    let name = place.names.app().to_owned();
    let application = DeploymentApplication {
        name: name.clone(),
        compute_platform: "ECS".to_owned(),
    };
    let application = graph.add("main", application);
    let config = deployment_config(graph, place);
    let deploy = &place.spec.deploy;
    let group = DeploymentGroup {
        name,
        application: application.id(),
        config,
        role: roles.codedeploy.clone(),
        cluster: running.cluster.clone(),
        service: running.service.id(),
        target_groups: ["blue", "green"]
            .map(|colour| place.names.target_group(colour))
            .into(),
        production_listener: balancer.production.id(),
        test_listener: Some(balancer.test.id()),
        ready: match deploy.approve {
            None => Ready::Continue,
            Some(approve) => Ready::Wait {
                minutes: minutes(approve.within),
            },
        },
        keep_old_minutes: minutes(deploy.keep_old),
        rollback_events: deploy
            .rollback_on
            .iter()
            .map(|on| rollback_event(*on).to_owned())
            .collect(),
        alarms,
    };
    let group = graph.add("main", group);
    Deployment { application, group }
}

/// AWS's own configuration where there is one for the strategy (AWS.md §4.2), else one of ours.
fn deployment_config(graph: &mut Graph, place: &Place<'_>) -> Id {
    let traffic = match place.spec.deploy.strategy {
        Strategy::AllAtOnce => return "CodeDeployDefault.ECSAllAtOnce".to_owned(),
        Strategy::Canary { percent, wait } => Traffic::Canary {
            percent,
            minutes: minutes(wait),
        },
        Strategy::Linear { percent, every } => Traffic::Linear {
            percent,
            minutes: minutes(every),
        },
    };
    let predefined = match traffic {
        Traffic::Canary {
            percent: 10,
            minutes: minutes @ (5 | 15),
        } => Some(format!("ECSCanary10Percent{minutes}Minutes")),
        Traffic::Linear {
            percent: 10,
            minutes: minutes @ (1 | 3),
        } => Some(format!("ECSLinear10PercentEvery{minutes}Minutes")),
        _ => None,
    };
    if let Some(name) = predefined {
        return format!("CodeDeployDefault.{name}");
    }
    let parameters = traffic.parameters();
    let name = place.names.deployment_config(&parameters);
    graph
        .add(parameters, DeploymentConfig { name, traffic })
        .id()
}

fn rollback_event(on: RollbackOn) -> &'static str {
    match on {
        RollbackOn::Failure => "DEPLOYMENT_FAILURE",
        RollbackOn::Stop => "DEPLOYMENT_STOP_ON_REQUEST",
        RollbackOn::Alarm => "DEPLOYMENT_STOP_ON_ALARM",
    }
}

/// A span as CodeDeploy counts it: validation wants whole minutes; anything else is rounded up, since a wait that is
/// longer is safer than one that is shorter.
pub(super) fn minutes(span: Span) -> u32 {
    u32::try_from(span.seconds().div_ceil(60)).unwrap_or(u32::MAX)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the pipeline is where all parts meet"
)]
pub(super) fn pipeline(
    graph: &mut Graph,
    place: &Place<'_>,
    buildspec: &str,
    stores: &Stores,
    images: &Link,
    logs: &Logs,
    roles: &Roles,
    deployment: &Deployment,
) -> Started {
    let name = place.names.app().to_owned();
    let CodeCommit { repository, branch } = codecommit(place);
    let repository = SourceRepository {
        name: repository.clone(),
        description: format!("source of {name}"),
    };
    let repository = graph.add("main", repository);
    let project = graph.add(
        "main",
        build_project(place, buildspec, stores, images, logs, roles),
    );
    let stages = vec![
        Stage {
            name: "Source".to_owned(),
            actions: sources(place, &repository, branch, stores),
        },
        Stage {
            name: "Build".to_owned(),
            actions: vec![build(&project)],
        },
        Stage {
            name: "Deploy".to_owned(),
            actions: vec![deploy(deployment)],
        },
    ];
    let pipeline = Pipeline {
        name,
        // V2 for the execution mode: QUEUED lets every push through in its order, one at a time.
        pipeline_type: "V2".to_owned(),
        execution_mode: "QUEUED".to_owned(),
        role: roles.codepipeline.clone(),
        artifact_bucket: stores.bucket.id(),
        artifact_key: Some(stores.key.clone()),
        stages,
    };
    let pipeline = graph.add("main", pipeline);
    Started {
        repository,
        pipeline,
    }
}

fn codecommit<'a>(place: &Place<'a>) -> &'a CodeCommit {
    let Source::Codecommit(codecommit) = &place.spec.source;
    codecommit
}

fn build_project(
    place: &Place<'_>,
    buildspec: &str,
    stores: &Stores,
    images: &Link,
    logs: &Logs,
    roles: &Roles,
) -> BuildProject {
    let (environment_type, image) = match place.spec.service.architecture {
        Architecture::X86_64 => (
            "LINUX_CONTAINER",
            "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        ),
        Architecture::Arm64 => (
            "ARM_CONTAINER",
            "aws/codebuild/amazonlinux-aarch64-standard:3.0",
        ),
    };
    let facts = place.facts;
    let environment = [
        ("AWS_ACCOUNT_ID", facts.account.clone()),
        ("CONTEXT", place.spec.build.context.clone()),
        ("DOCKERFILE", place.spec.build.dockerfile.clone()),
        ("REPOSITORY_URI", format!("{}/{images}", facts.registry())),
    ];
    BuildProject {
        name: place.names.app().to_owned(),
        description: format!("builds the image of {}", place.names.app()),
        role: roles.codebuild.clone(),
        environment_type: environment_type.to_owned(),
        image: image.to_owned(),
        compute_type: "BUILD_GENERAL1_SMALL".to_owned(),
        // Docker runs within the build.
        privileged: true,
        environment: environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        buildspec: buildspec.to_owned(),
        log_group: logs.build.id(),
        timeout_minutes: BUILD_MINUTES,
        queued_timeout_minutes: QUEUED_MINUTES,
        encryption_key: stores.key.clone(),
    }
}

/// The code and the deployment files. Both are watched by event rules: polling is slow, limited, and AWS's default.
fn sources(place: &Place<'_>, repository: &Link, branch: &str, stores: &Stores) -> Vec<Action> {
    let bundle = [
        ("S3Bucket", stores.bucket.id()),
        ("S3ObjectKey", place.names.bundle_key().to_owned()),
        ("PollForSourceChanges", "false".to_owned()),
    ];
    let code = [
        ("RepositoryName", repository.id()),
        ("BranchName", branch.to_owned()),
        ("OutputArtifactFormat", "CODE_ZIP".to_owned()),
        ("PollForSourceChanges", "false".to_owned()),
    ];
    vec![
        action(
            "Bundle",
            "Source",
            "S3",
            bundle,
            &[],
            &["BundleOutput"],
            None,
        ),
        action(
            "Source",
            "Source",
            "CodeCommit",
            code,
            &[],
            &["SourceOutput"],
            Some("SourceVariables"),
        ),
    ]
}

fn build(project: &Link) -> Action {
    let configuration = [("ProjectName", project.id())];
    action(
        "Build",
        "Build",
        "CodeBuild",
        configuration,
        &["SourceOutput"],
        &["BuildOutput"],
        Some("BuildVariables"),
    )
}

/// The inputs are exactly the artifacts that the configuration names: one more, and AWS refuses the run (AWS.md §1.2).
fn deploy(deployment: &Deployment) -> Action {
    let configuration = [
        ("ApplicationName", deployment.application.id()),
        ("DeploymentGroupName", deployment.group.id()),
        ("TaskDefinitionTemplateArtifact", "BundleOutput".to_owned()),
        ("TaskDefinitionTemplatePath", "taskdef.json".to_owned()),
        ("AppSpecTemplateArtifact", "BundleOutput".to_owned()),
        ("AppSpecTemplatePath", "appspec.yaml".to_owned()),
        ("Image1ArtifactName", "BuildOutput".to_owned()),
        ("Image1ContainerName", IMAGE_PLACEHOLDER.to_owned()),
    ];
    action(
        "Deploy",
        "Deploy",
        "CodeDeployToECS",
        configuration,
        &["BuildOutput", "BundleOutput"],
        &[],
        None,
    )
}

fn action<const N: usize>(
    name: &str,
    category: &str,
    provider: &str,
    configuration: [(&str, String); N],
    inputs: &[&str],
    outputs: &[&str],
    namespace: Option<&str>,
) -> Action {
    let configuration: BTreeMap<_, _> = configuration
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Action {
        name: name.to_owned(),
        category: category.to_owned(),
        owner: "AWS".to_owned(),
        provider: provider.to_owned(),
        version: "1".to_owned(),
        run_order: 1,
        configuration,
        inputs: inputs.iter().map(|&artifact| artifact.to_owned()).collect(),
        outputs: outputs
            .iter()
            .map(|&artifact| artifact.to_owned())
            .collect(),
        namespace: namespace.map(str::to_owned),
    }
}

/// What starts the pipeline: a push to the branch, and a new bundle.
pub(super) fn rules(
    graph: &mut Graph,
    place: &Place<'_>,
    stores: &Stores,
    roles: &Roles,
    started: &Started,
) {
    let push = json!({
        "source": ["aws.codecommit"],
        "detail-type": ["CodeCommit Repository State Change"],
        "resources": [place.arn("codecommit", &started.repository.id())],
        "detail": {
            "event": ["referenceCreated", "referenceUpdated"],
            "referenceType": ["branch"],
            "referenceName": [codecommit(place).branch],
        },
    });
    let bundle = json!({
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": { "name": [stores.bucket.id()] },
            // The whole key: the pipeline writes its artifacts into the same bucket, and must not start itself.
            "object": { "key": [place.names.bundle_key()] },
        },
    });
    let app = place.names.app();
    let rules = [
        (
            "source",
            format!(
                "a push to {} starts the pipeline of {app}",
                codecommit(place).branch
            ),
            push,
        ),
        (
            "bundle",
            format!("a new bundle starts the pipeline of {app}"),
            bundle,
        ),
    ];
    for (name, description, pattern) in rules {
        let target = RuleTarget {
            id: "pipeline".to_owned(),
            arn: place.arn("codepipeline", &started.pipeline.id()),
            role: Some(roles.events.clone()),
        };
        let rule = EventRule {
            name: place.names.rule(name),
            description,
            pattern: Document::new(pattern),
            enabled: true,
            targets: [target].into(),
        };
        graph.add(name, rule);
    }
}
