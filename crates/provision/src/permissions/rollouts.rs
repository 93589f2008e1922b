//! What a rollout needs: the bundle, the start, the look at it, the hand on it. Must not cover what its services do with their
//! own roles.

use ecspipe_spec::FailFast;
use ecspipe_spec::names::RoleName;

use super::delivery::{applications, groups, in_flight, pipelines};
use super::service::{listeners, pass_task_roles, pass_to_tasks, services};
use super::stores::through_s3;
use super::{Duty, Sheet};
use crate::resource::{Kind, Resource};

pub(super) fn allow(sheet: &mut Sheet<'_>) {
    if sheet.does(Duty::Up) || sheet.does(Duty::Deploy) {
        bundle(sheet);
    }
    if sheet.does(Duty::Deploy) {
        start(sheet);
        guard(sheet);
    }
    if sheet.does(Duty::Operate) {
        attend(sheet);
    }
    if sheet.does(Duty::Deploy) || sheet.does(Duty::Operate) {
        preflight(sheet);
        follow(sheet);
        deploy(sheet);
        // The network of the tasks travels in the AppSpec.
        sheet.list(&["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets"]);
    }
    if sheet.does(Duty::Doctor) {
        doctor(sheet);
    }
}

/// Head and put of one object, which the bucket's key encrypts.
fn bundle(sheet: &mut Sheet<'_>) {
    let bucket = sheet.names.bucket("artifacts");
    let object = sheet.s3_arn(&format!("{bucket}/{}", sheet.names.bundle_key()));
    let arn = sheet.s3_arn(&bucket);
    sheet.allow(
        "Bundle",
        "puts the deployment files where they have changed",
        &["s3:GetObject", "s3:PutObject"],
        [object],
    );
    sheet.allow(
        "BundleMissing",
        "lets S3 say that there are no deployment files yet, instead of denying access",
        &["s3:ListBucket"],
        [arn],
    );
    let condition = through_s3(sheet, &[bucket]);
    let keys = sheet.arn("kms", "key/*");
    sheet.allow_if(
        "BundleKey",
        "lets S3 encrypt the deployment files with the app's key, and only for that bucket",
        &["kms:Decrypt", "kms:GenerateDataKey"],
        [keys],
        condition,
    );
}

fn start(sheet: &mut Sheet<'_>) {
    let pipelines = pipelines(sheet);
    sheet.allow(
        "Start",
        "starts the pipeline",
        &["codepipeline:StartPipelineExecution"],
        pipelines,
    );
    let definitions: Vec<String> = sheet
        .names_of(Kind::TaskDefinition)
        .iter()
        .map(|family| sheet.arn("ecs", &format!("task-definition/{family}:*")))
        .collect();
    sheet.allow(
        "DefinitionRegister",
        "registers a task definition for an image that is deployed without the pipeline",
        &["ecs:RegisterTaskDefinition", "ecs:TagResource"],
        definitions,
    );
    pass_to_tasks(sheet);
    sheet.list(&["ecs:ListTaskDefinitions"]);
    sheet.allow(
        "DefinitionRetire",
        "takes old task definitions out of use once a deployment has succeeded; AWS takes no narrower resource for it",
        &["ecs:DeregisterTaskDefinition"],
        ["*".to_owned()],
    );
}

/// What `deploy` does by itself to keep a bad version away; who may `operate` may do that anyway.
fn guard(sheet: &mut Sheet<'_>) {
    let deploy = &sheet.inputs.spec.deploy;
    let mut actions = Vec::new();
    if deploy.fail_fast != FailFast::Off || !deploy.checks.is_empty() {
        actions.push("codedeploy:StopDeployment");
    }
    if !deploy.checks.is_empty() {
        actions.push("codedeploy:ContinueDeployment");
    }
    sheet.allow(
        "Guard",
        "stops a deployment whose tasks keep failing or whose checks fail, and lets one go on whose checks pass; AWS takes no narrower resource for it",
        &actions,
        ["*".to_owned()],
    );
}

/// What is looked at before a rollout begins; target groups, listeners and the service are looked at on its way too.
fn preflight(sheet: &mut Sheet<'_>) {
    let roles = [
        RoleName::Execution,
        RoleName::Task,
        RoleName::CodeDeploy,
        RoleName::CodePipeline,
        RoleName::CodeBuild,
    ];
    let inputs = sheet.inputs;
    let roles = roles.map(|role| inputs.spec.role_arn(inputs.facts, role));
    sheet.allow(
        "RolloutRoles",
        "sees whether the roles are there that the tasks, CodeDeploy and the pipeline take on",
        &["iam:GetRole"],
        roles,
    );
    if !inputs.spec.deploy.alarms.is_empty() {
        sheet.list(&["cloudwatch:DescribeAlarms"]);
    }
    if sheet.does(Duty::Deploy) {
        let repositories = sheet.arn("ecr", "repository/*");
        sheet.allow(
            "ImageBefore",
            "sees whether an image that is deployed without the pipeline is there, and for which processors; it may be in any repository",
            &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [repositories],
        );
    }
}

fn attend(sheet: &mut Sheet<'_>) {
    sheet.list(&["ecs:DescribeTaskDefinition"]);
    sheet.allow(
        "Attend",
        "lets a deployment go on, and stops it; AWS takes no narrower resource for it",
        &["codedeploy:ContinueDeployment", "codedeploy:StopDeployment"],
        ["*".to_owned()],
    );
    put_back(sheet);
    let pipelines = pipelines(sheet);
    sheet.allow(
        "PipelineStop",
        "stops an execution of the pipeline, and sees whether one waits for an approval",
        &[
            "codepipeline:GetPipelineState",
            "codepipeline:StopPipelineExecution",
        ],
        pipelines.clone(),
    );
    sheet.allow(
        "Approve",
        "answers manual approvals of the pipeline, where somebody has added one",
        &["codepipeline:PutApprovalResult"],
        pipelines.iter().map(|pipeline| format!("{pipeline}/*/*")),
    );
    let services = services(sheet);
    sheet.allow(
        "Scale",
        "changes how many tasks run",
        &["ecs:UpdateService"],
        services,
    );
    tasks(sheet);
    let log = service_log(sheet);
    sheet.allow(
        "Logs",
        "reads what the app's tasks log",
        &["logs:FilterLogEvents"],
        [log],
    );
}

/// What `rollback` does where a stop has left a rollout half way.
fn put_back(sheet: &mut Sheet<'_>) {
    let listeners = listeners(sheet);
    sheet.allow(
        "TrafficBack",
        "leads production and test traffic back to the primary tasks where a stopped rollout has left it half way",
        &["elasticloadbalancing:ModifyListener"],
        listeners,
    );
    let cluster = sheet.inputs.spec.cluster_name(sheet.inputs.facts);
    let task_sets = format!("task-set/{cluster}/{}/*", sheet.names.app());
    let task_sets = sheet.arn("ecs", &task_sets);
    sheet.allow(
        "NewTasksGo",
        "lets the tasks go that were to replace the primary ones",
        &["ecs:DeleteTaskSet"],
        [task_sets],
    );
}

/// A task that is run once, and a session in one that runs; [`last_words`] sees both.
fn tasks(sheet: &mut Sheet<'_>) {
    let cluster = sheet.inputs.spec.cluster_name(sheet.inputs.facts);
    let definitions: Vec<String> = sheet
        .names_of(Kind::TaskDefinition)
        .iter()
        .map(|family| sheet.arn("ecs", &format!("task-definition/{family}:*")))
        .collect();
    sheet.allow(
        "Run",
        "runs a task of the app once",
        &["ecs:RunTask"],
        definitions,
    );
    pass_task_roles(sheet, "RunRoles");
    let sessions = [format!("cluster/{cluster}"), format!("task/{cluster}/*")];
    let sessions = sessions.map(|resource| sheet.arn("ecs", &resource));
    sheet.allow(
        "Exec",
        "lets the AWS CLI open a session in a task",
        &["ecs:ExecuteCommand"],
        sessions,
    );
}

fn service_log(sheet: &Sheet<'_>) -> String {
    let group = sheet.names.service_log_group();
    sheet.arn("logs", &format!("log-group:{group}:*"))
}

fn follow(sheet: &mut Sheet<'_>) {
    in_flight(sheet);
    let groups = groups(sheet);
    sheet.allow(
        "Rollout",
        "follows a deployment step by step",
        &["codedeploy:GetDeployment", "codedeploy:GetDeploymentGroup"],
        groups,
    );
    sheet.list(&[
        "codedeploy:BatchGetDeploymentTargets",
        "codedeploy:ListDeploymentTargets",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
    ]);
    let pipelines = pipelines(sheet);
    sheet.allow(
        "Executions",
        "follows an execution of the pipeline",
        &[
            "codepipeline:GetPipelineExecution",
            "codepipeline:ListActionExecutions",
            "codepipeline:ListPipelineExecutions",
        ],
        pipelines,
    );
    let services = services(sheet);
    sheet.allow(
        "ServiceWatch",
        "sees the tasks of both versions",
        &["ecs:DescribeServices"],
        services,
    );
    last_words(sheet);
}

/// Why something failed: tasks that stopped, the build, and what they logged last.
fn last_words(sheet: &mut Sheet<'_>) {
    let cluster = sheet.inputs.spec.cluster_name(sheet.inputs.facts);
    let tasks = [
        format!("task/{cluster}/*"),
        format!("container-instance/{cluster}/*"),
    ];
    let tasks = tasks.map(|resource| sheet.arn("ecs", &resource));
    sheet.allow(
        "Tasks",
        "sees single tasks, and why new ones stopped; ECS lists tasks by the instances of the cluster, which Fargate has none of",
        &["ecs:DescribeTasks", "ecs:ListTasks"],
        tasks,
    );
    let projects: Vec<String> = sheet
        .names_of(Kind::BuildProject)
        .iter()
        .map(|name| sheet.arn("codebuild", &format!("project/{name}")))
        .collect();
    sheet.allow(
        "BuildLook",
        "sees in which phase a build failed, and where it logs",
        &["codebuild:BatchGetBuilds"],
        projects,
    );
    let groups = [
        sheet.names.build_log_group(),
        sheet.names.service_log_group(),
    ];
    let streams = groups.map(|group| sheet.arn("logs", &format!("log-group:{group}:log-stream:*")));
    sheet.allow(
        "LastLines",
        "shows what a failed build or task said last",
        &["logs:GetLogEvents"],
        streams,
    );
}

/// A deployment without the pipeline: an image, or the way back.
fn deploy(sheet: &mut Sheet<'_>) {
    let groups = groups(sheet);
    sheet.allow(
        "Deploy",
        "starts a deployment without the pipeline: of an image, or of the last good version",
        &["codedeploy:CreateDeployment"],
        groups,
    );
    let applications = applications(sheet);
    sheet.allow(
        "DeployRevision",
        "lets CodeDeploy keep the AppSpec that the deployment brings along",
        &["codedeploy:RegisterApplicationRevision"],
        applications,
    );
    let configs: Vec<String> = sheet
        .resources(Kind::DeploymentGroup)
        .filter_map(|resource| match resource {
            Resource::DeploymentGroup(group) => sheet.known(&group.config),
            _ => None,
        })
        .map(|config| sheet.arn("codedeploy", &format!("deploymentconfig:{config}")))
        .collect();
    sheet.allow(
        "DeploySteps",
        "reads the steps in which the deployment moves traffic",
        &["codedeploy:GetDeploymentConfig"],
        configs,
    );
}

/// What `doctor` asks; where one is missing the check is skipped and says so.
fn doctor(sheet: &mut Sheet<'_>) {
    sheet.list(&[
        "ec2:DescribeAddresses",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeNatGateways",
        "ec2:DescribeRegions",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ecs:ListClusters",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTargetGroups",
        "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:GetServiceQuota",
    ]);
    let images = sheet.arn("ecr", "repository/*");
    sheet.allow(
        "ImageLook",
        "sees whether the image that runs until the first deployment is there",
        &["ecr:DescribeImages"],
        [images],
    );
    let tasks = ["task/*", "container-instance/*"].map(|resource| sheet.arn("ecs", resource));
    sheet.allow(
        "TasksLook",
        "counts the processors that all tasks of the account take",
        &["ecs:DescribeTasks", "ecs:ListTasks"],
        tasks,
    );
    let arns = ["role/*", "user/*"].map(|resource| sheet.iam_arn(resource));
    sheet.allow(
        "Simulate",
        "asks IAM whether the caller may do what the commands need",
        &["iam:SimulatePrincipalPolicy"],
        arns,
    );
    let roles = sheet.iam_arn("role/*");
    sheet.allow(
        "RolesLook",
        "sees whether the services have their own roles, and the path of the caller's",
        &["iam:GetRole"],
        [roles],
    );
}
