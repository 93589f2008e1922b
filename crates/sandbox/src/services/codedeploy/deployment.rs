//! Deployments as the API sees them: created, shown, continued, stopped. Must not move one: [`crate::rollout`] does.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::group::{Alarms, AutoRollback, Settings, find as find_group, group_name, style_shape};
use super::{
    PAGE, application, application_name, bad_token, no_config, note_revision, routing, with_next,
};
use crate::clock::{Millis, seconds};
use crate::rollout;
use crate::services::ecs;
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::World;

/// One deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// `d-` and nine letters or digits.
    pub id: String,
    /// Counts the region's deployments, to list them in order.
    pub number: u64,
    /// The name of the application.
    pub application: String,
    /// The name of the group.
    pub group: String,
    /// The name of the deployment configuration.
    pub config: String,
    /// The group's settings as they were, with what this deployment overrides.
    pub settings: Settings,
    /// The `RevisionLocation`.
    pub revision: Value,
    /// The one that was deployed last with success before it.
    pub previous: Option<Value>,
    /// What was said about it.
    pub description: Option<String>,
    /// `user` or `codeDeployRollback`.
    pub creator: String,
    /// When it was created.
    pub created: Millis,
    /// When it began.
    pub started: Option<Millis>,
    /// When it ended.
    pub completed: Option<Millis>,
    /// When it last changed.
    pub updated: Millis,
    /// Where it is.
    pub phase: Phase,
    /// Its lifecycle events in order; empty until it begins.
    pub events: Vec<Event>,
    /// The task set that was primary when it began.
    pub blue: Option<Side>,
    /// The task set that it made.
    pub green: Option<Side>,
    /// How many percent of production traffic go to green.
    pub shifted: u32,
    /// The shifts that are still to come: when, and how many percent go to green then.
    pub shifts: Vec<(Millis, u32)>,
    /// Whether the wait before the old tasks go has begun.
    pub terminating: bool,
    /// Why it ended badly.
    pub error: Option<ErrorInformation>,
    /// How it hangs together with another deployment.
    pub rollback: Rollback,
}

/// Where a deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Just made.
    Created,
    /// About to begin.
    Queued,
    /// At the lifecycle event with this index.
    Running(usize),
    /// Waits to be continued, or stops.
    Ready {
        /// When it stops.
        until: Millis,
        /// The lifecycle event that comes next.
        next: usize,
    },
    /// Green has all traffic; blue is kept for a while.
    Terminating {
        /// When blue goes.
        until: Millis,
    },
    /// Over, and well.
    Succeeded,
    /// Over, and not well.
    Failed,
    /// Stopped by somebody, by an alarm, or because nobody continued it.
    Stopped,
}

/// One lifecycle event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Such as `AllowTraffic`.
    pub name: String,
    /// `Pending`, `InProgress`, `Succeeded`, `Failed` or `Skipped`.
    pub status: String,
    /// When it began.
    pub start: Option<Millis>,
    /// When it ended.
    pub end: Option<Millis>,
    /// Why it failed.
    pub message: Option<String>,
    /// The function that it waits for.
    #[serde(default)]
    pub hook: Option<Hook>,
}

/// A Lambda function that says whether a deployment goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name or ARN.
    pub function: String,
    /// The id of its execution, once it was called.
    pub execution: Option<String>,
    /// What it is going to tell, and when.
    pub planned: Option<(Millis, String)>,
    /// What it told: `Succeeded` or `Failed`.
    pub told: Option<String>,
}

/// One of the two task sets of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The id of the task set.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The name of its target group.
    pub target_group: String,
    /// The ARN of its target group.
    pub target_group_arn: String,
}

/// Why a deployment ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInformation {
    /// One of CodeDeploy's codes.
    pub code: String,
    /// The words.
    pub message: String,
}

/// How a deployment hangs together with another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The deployment that rolls this one back.
    pub by: Option<String>,
    /// The deployment that this one rolls back.
    pub of: Option<String>,
    /// What is said about it.
    pub message: Option<String>,
}

impl Deployment {
    /// The status on the wire.
    pub(crate) fn status(&self) -> &'static str {
        match self.phase {
            Phase::Created => "Created",
            Phase::Queued => "Queued",
            Phase::Running(_) | Phase::Terminating { .. } => "InProgress",
            Phase::Ready { .. } => "Ready",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Stopped => "Stopped",
        }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.phase,
            Phase::Succeeded | Phase::Failed | Phase::Stopped
        )
    }

    fn target_id(&self) -> String {
        format!("{}:{}", self.settings.cluster, self.settings.service)
    }

    fn target_status(&self) -> &'static str {
        match self.phase {
            Phase::Created | Phase::Queued => "Pending",
            Phase::Running(_) | Phase::Terminating { .. } => "InProgress",
            Phase::Ready { .. } => "Ready",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Stopped => "Skipped",
        }
    }
}

pub(super) fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let id = create_from(world, &call.region, &call.input)?;
    Ok(Reply::Value(json!({"deploymentId": id})))
}

/// Creates a deployment from the input of `CreateDeployment`; answers its id.
pub(crate) fn create_from(world: &mut World, region: &str, input: &Value) -> Result<String, Fault> {
    let application_name = application_name(input, "applicationName")?;
    application(world, region, &application_name)?;
    let group_name = group_name(input, "deploymentGroupName")?;
    let group = find_group(world, region, &application_name, &group_name)?.clone();
    for member in ["targetInstances", "updateOutdatedInstancesOnly"] {
        if input
            .get(member)
            .is_some_and(|value| !value.is_null() && *value != json!(false))
        {
            let code = if member == "targetInstances" {
                "InvalidTargetInstancesException"
            } else {
                "InvalidUpdateOutdatedInstancesOnlyValueException"
            };
            return Err(Fault::new(
                code,
                format!("{member} can't be given for the compute platform ECS."),
            ));
        }
    }
    let description = input
        .text("description")
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned);
    if description
        .as_ref()
        .is_some_and(|text| text.chars().count() > 256)
    {
        return Err(Fault::new(
            "DescriptionTooLongException",
            "The description has more than 256 characters.",
        ));
    }
    let revision = revision_of(input)?;
    let config = input
        .text("deploymentConfigName")
        .unwrap_or(&group.config)
        .to_owned();
    routing(world, region, &config).ok_or_else(|| no_config(&config))?;
    let mut settings = group.settings.clone();
    if let Some(given) = input
        .get("autoRollbackConfiguration")
        .filter(|given| !given.is_null())
    {
        settings.rollback = AutoRollback::of(given)?;
    }
    if let Some(given) = input
        .get("overrideAlarmConfiguration")
        .filter(|given| !given.is_null())
    {
        settings.alarms = Alarms::of(given)?;
    }
    if let Some(active) = in_flight(world, region, &application_name, &group_name) {
        let message = format!(
            "The Deployment Group '{group_name}' already has an active Deployment '{active}'"
        );
        return Err(Fault::new("DeploymentLimitExceededException", message));
    }
    note_revision(
        world,
        region,
        &application_name,
        revision.clone(),
        None,
        Some(&group_name),
    );
    let previous = group
        .last_success
        .as_ref()
        .and_then(|id| world.at(region).codedeploy.deployments.get(id))
        .map(|d| d.revision.clone());
    let deployment = Deployment {
        id: new_id(world),
        number: world.at(region).codedeploy.deployments.len() as u64 + 1,
        application: application_name,
        group: group_name,
        config,
        settings,
        revision,
        previous,
        description,
        creator: "user".to_owned(),
        created: world.now,
        started: None,
        completed: None,
        updated: world.now,
        phase: Phase::Created,
        events: Vec::new(),
        blue: None,
        green: None,
        shifted: 0,
        shifts: Vec::new(),
        terminating: false,
        error: None,
        rollback: Rollback::default(),
    };
    Ok(rollout::launch(world, region, deployment))
}

/// A new deployment id.
pub(crate) fn new_id(world: &mut World) -> String {
    format!("d-{}", world.hex(9).to_uppercase())
}

/// The group's deployment that isn't over.
fn in_flight(world: &World, region: &str, application: &str, group: &str) -> Option<String> {
    let deployments = &world.regions.get(region)?.codedeploy.deployments;
    let active = deployments
        .values()
        .find(|d| d.application == application && d.group == group && !d.is_over());
    active.map(|deployment| deployment.id.clone())
}

/// The revision of an input, checked, with the hash filled in.
pub(super) fn revision_of(input: &Value) -> Result<Value, Fault> {
    let wrong = |message: &str| Err(Fault::new("InvalidRevisionException", message));
    let Some(given) = input.get("revision").filter(|revision| !revision.is_null()) else {
        return Err(Fault::new(
            "RevisionRequiredException",
            "A revision is required.",
        ));
    };
    match given.text("revisionType") {
        Some(kind @ ("AppSpecContent" | "String")) => {
            let member = if kind == "String" {
                "string"
            } else {
                "appSpecContent"
            };
            let block = given.get(member).cloned().unwrap_or_default();
            let Some(content) = block
                .text("content")
                .filter(|content| !content.trim().is_empty())
            else {
                return wrong("The content of the AppSpec is missing.");
            };
            let hash = hex::encode(Sha256::digest(content));
            if block
                .text("sha256")
                .is_some_and(|given| !given.eq_ignore_ascii_case(&hash))
            {
                return wrong("The sha256 of the AppSpec doesn't match its content.");
            }
            let mut revision = json!({"revisionType": kind});
            revision[member] = json!({"content": content, "sha256": hash});
            Ok(revision)
        }
        Some("S3") => {
            let location = given.get("s3Location").cloned().unwrap_or_default();
            if location.text("bucket").is_none() || location.text("key").is_none() {
                return wrong("The bucket and key of the AppSpec are missing.");
            }
            match location.text("bundleType") {
                Some("YAML" | "JSON") => Ok(json!({"revisionType": "S3", "s3Location": location})),
                _ => wrong("For the compute platform ECS, the bundle type must be YAML or JSON."),
            }
        }
        Some(kind) => wrong(&format!(
            "The revision type {kind} can't be deployed to ECS."
        )),
        None => wrong("The type of the revision is missing."),
    }
}

pub(super) fn get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let deployment = find(world, &call.region, &call.input)?;
    Ok(Reply::Value(json!({"deploymentInfo": shape(deployment)})))
}

pub(super) fn batch_get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let ids = call.input.texts("deploymentIds");
    if ids.is_empty() {
        return Err(no_id());
    }
    if ids.len() > 25 {
        return Err(Fault::new(
            "BatchLimitExceededException",
            "The number of deployments must be at most 25.",
        ));
    }
    let known = &world.at(&call.region).codedeploy.deployments;
    let shapes: Vec<Value> = ids
        .iter()
        .filter_map(|id| known.get(id))
        .map(shape)
        .collect();
    Ok(Reply::Value(json!({"deploymentsInfo": shapes})))
}

pub(super) fn list(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let (application_name, group) = (
        input.text("applicationName"),
        input.text("deploymentGroupName"),
    );
    match (application_name, group) {
        (Some(name), Some(group)) => {
            find_group(world, &call.region, name, group)?;
        }
        (Some(name), None) => {
            application(world, &call.region, name)?;
        }
        (None, Some(_)) => {
            return Err(Fault::new(
                "ApplicationNameRequiredException",
                "Application name is required.",
            ));
        }
        (None, None) => {}
    }
    let statuses = input.texts("includeOnlyStatuses");
    let known = [
        "Created",
        "Queued",
        "InProgress",
        "Baking",
        "Succeeded",
        "Failed",
        "Stopped",
        "Ready",
    ];
    if let Some(status) = statuses
        .iter()
        .find(|status| !known.contains(&status.as_str()))
    {
        return Err(Fault::new(
            "InvalidDeploymentStatusException",
            format!("Unknown deployment status {status}."),
        ));
    }
    let moment = |member: &str| {
        input
            .get("createTimeRange")
            .and_then(|range| range.get(member))
            .and_then(Value::as_f64)
    };
    let (start, end) = (moment("start"), moment("end"));
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        return Err(Fault::new(
            "InvalidTimeRangeException",
            "The time range ends before it starts.",
        ));
    }
    let deployments = world
        .at(&call.region)
        .codedeploy
        .deployments
        .values()
        .filter(|deployment| {
            let created = deployment.created as f64 / 1000.0;
            application_name.is_none_or(|name| name == deployment.application)
                && group.is_none_or(|group| group == deployment.group)
                && (statuses.is_empty()
                    || statuses.iter().any(|status| status == deployment.status()))
                && start.is_none_or(|start| created >= start)
                && end.is_none_or(|end| created <= end)
                && input.text("externalId").is_none()
        });
    // Newest first: the key counts down.
    let mut keyed: Vec<(String, String)> = deployments
        .map(|d| (format!("{:020}", u64::MAX - d.number), d.id.clone()))
        .collect();
    keyed.sort();
    let page = page(keyed, input.text("nextToken"), PAGE).ok_or_else(bad_token)?;
    Ok(Reply::Value(with_next(
        json!({"deployments": page.items}),
        page.next,
    )))
}

pub(super) fn list_targets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let deployment = begun(world, &call.region, &call.input)?;
    let filters = call.input.get("targetFilters").cloned().unwrap_or_default();
    let statuses = filters.texts("TargetStatus");
    let fits = statuses.is_empty()
        || statuses
            .iter()
            .any(|status| status == deployment.target_status());
    let ids: Vec<String> = fits.then(|| deployment.target_id()).into_iter().collect();
    Ok(Reply::Value(json!({"targetIds": ids})))
}

pub(super) fn get_target(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let id = call.input.text("targetId").unwrap_or_default().to_owned();
    if id.is_empty() {
        return Err(Fault::new(
            "DeploymentTargetIdRequiredException",
            "A target ID is required.",
        ));
    }
    let deployment = begun(world, &call.region, &call.input)?;
    let target = target_shape(world, &call.region, deployment, &id)?;
    Ok(Reply::Value(json!({"deploymentTarget": target})))
}

pub(super) fn batch_get_targets(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let ids = call.input.texts("targetIds");
    if ids.is_empty() {
        return Err(Fault::new(
            "DeploymentTargetIdRequiredException",
            "A target ID is required.",
        ));
    }
    if ids.len() > 25 {
        return Err(Fault::new(
            "DeploymentTargetListSizeExceededException",
            "The number of targets must be at most 25.",
        ));
    }
    let deployment = begun(world, &call.region, &call.input)?;
    let targets: Result<Vec<Value>, Fault> = ids
        .iter()
        .map(|id| target_shape(world, &call.region, deployment, id))
        .collect();
    Ok(Reply::Value(json!({"deploymentTargets": targets?})))
}

pub(super) fn resume(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let deployment = find(world, &call.region, &call.input)?;
    let kind = call
        .input
        .text("deploymentWaitType")
        .unwrap_or("READY_WAIT");
    if !["READY_WAIT", "TERMINATION_WAIT"].contains(&kind) {
        return Err(Fault::new(
            "InvalidDeploymentWaitTypeException",
            format!("Unknown wait type {kind}."),
        ));
    }
    if deployment.is_over() {
        return Err(already_over(deployment));
    }
    let waits = match deployment.phase {
        Phase::Ready { .. } => kind == "READY_WAIT",
        Phase::Terminating { .. } => kind == "TERMINATION_WAIT",
        _ => false,
    };
    if !waits {
        let message = format!(
            "The deployment {} is not in the wait {kind} and can't be continued.",
            deployment.id
        );
        return Err(Fault::new("DeploymentIsNotInReadyStateException", message));
    }
    let id = deployment.id.clone();
    rollout::resume(world, &call.region, &id);
    Ok(Reply::Value(Value::Null))
}

pub(super) fn stop(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let deployment = find(world, &call.region, &call.input)?;
    if deployment.is_over() {
        return Err(already_over(deployment));
    }
    let id = deployment.id.clone();
    let rollback = call.input.flag("autoRollbackEnabled").unwrap_or(
        deployment
            .settings
            .rollback
            .covers("DEPLOYMENT_STOP_ON_REQUEST"),
    );
    rollout::stop(world, &call.region, &id, rollback);
    Ok(Reply::Value(
        json!({"status": "Succeeded", "statusMessage": "The deployment was stopped."}),
    ))
}

/// What a hook's function, or whoever has the execution's id, tells.
pub(super) fn put_hook(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let deployment = find(world, &call.region, input)?;
    let (id, over) = (deployment.id.clone(), deployment.is_over());
    let status = input.text("status").unwrap_or_default();
    if !["Succeeded", "Failed"].contains(&status) {
        return Err(Fault::new(
            "InvalidLifecycleEventHookExecutionStatusException",
            format!("The status must be Succeeded or Failed, not '{status}'."),
        ));
    }
    let execution = input
        .text("lifecycleEventHookExecutionId")
        .unwrap_or_default();
    let hook = hook_mut(world, &call.region, &id, execution).ok_or_else(|| {
        Fault::new(
            "InvalidLifecycleEventHookExecutionIdException",
            format!("The deployment {id} has no lifecycle event hook execution '{execution}'."),
        )
    })?;
    if over || hook.told.is_some() {
        return Err(Fault::new(
            "LifecycleEventAlreadyCompletedException",
            format!("The lifecycle event of the execution {execution} is already completed."),
        ));
    }
    hook.told = Some(status.to_owned());
    rollout::wake_now(world, &call.region, &id);
    Ok(Reply::Value(
        json!({"lifecycleEventHookExecutionId": execution}),
    ))
}

/// What a function that somebody called with a hook's input is going to tell. Where there is no such execution, nobody listens.
pub(crate) fn plan_hook(world: &mut World, region: &str, hook: &Value, at: Millis, status: &str) {
    let id = hook.text("DeploymentId").unwrap_or_default().to_owned();
    let execution = hook
        .text("LifecycleEventHookExecutionId")
        .unwrap_or_default();
    let Some(hook) = hook_mut(world, region, &id, execution) else {
        return;
    };
    if hook
        .planned
        .as_ref()
        .is_none_or(|(planned, _)| *planned > at)
    {
        hook.planned = Some((at, status.to_owned()));
        rollout::wake_now(world, region, &id);
    }
}

fn hook_mut<'a>(
    world: &'a mut World,
    region: &str,
    id: &str,
    execution: &str,
) -> Option<&'a mut Hook> {
    let deployment = world.at(region).codedeploy.deployments.get_mut(id)?;
    let mut hooks = deployment
        .events
        .iter_mut()
        .filter_map(|event| event.hook.as_mut());
    hooks.find(|hook| hook.execution.as_deref() == Some(execution))
}

fn find<'a>(world: &'a World, region: &str, input: &Value) -> Result<&'a Deployment, Fault> {
    let id = input
        .text("deploymentId")
        .filter(|id| !id.is_empty())
        .ok_or_else(no_id)?;
    if !id.starts_with("d-") {
        return Err(Fault::new(
            "InvalidDeploymentIdException",
            format!("The deployment ID {id} is not valid."),
        ));
    }
    let found = world
        .regions
        .get(region)
        .and_then(|region| region.codedeploy.deployments.get(id));
    found.ok_or_else(|| {
        Fault::new(
            "DeploymentDoesNotExistException",
            format!("The deployment {id} could not be found"),
        )
    })
}

/// The deployment, if it has targets by now.
fn begun<'a>(world: &'a World, region: &str, input: &Value) -> Result<&'a Deployment, Fault> {
    let deployment = find(world, region, input)?;
    match deployment.started {
        Some(_) => Ok(deployment),
        None => Err(Fault::new(
            "DeploymentNotStartedException",
            format!("The deployment {} has not started yet.", deployment.id),
        )),
    }
}

fn no_id() -> Fault {
    Fault::new(
        "DeploymentIdRequiredException",
        "A deployment ID is required.",
    )
}

fn already_over(deployment: &Deployment) -> Fault {
    let message = format!(
        "The deployment {} is already in a terminal state: {}.",
        deployment.id,
        deployment.status()
    );
    Fault::new("DeploymentAlreadyCompletedException", message)
}

fn shape(deployment: &Deployment) -> Value {
    let count = |status: &str| i64::from(deployment.target_status() == status);
    let settings = &deployment.settings;
    let mut shape = json!({
        "applicationName": deployment.application,
        "deploymentGroupName": deployment.group,
        "deploymentConfigName": deployment.config,
        "deploymentId": deployment.id,
        "revision": deployment.revision,
        "status": deployment.status(),
        "createTime": seconds(deployment.created),
        "deploymentOverview": {
            "Pending": count("Pending"),
            "InProgress": count("InProgress"),
            "Succeeded": count("Succeeded"),
            "Failed": count("Failed"),
            "Skipped": count("Skipped"),
            "Ready": count("Ready"),
        },
        "creator": deployment.creator,
        "ignoreApplicationStopFailures": false,
        "autoRollbackConfiguration": settings.rollback.shape(),
        "updateOutdatedInstancesOnly": false,
        "deploymentStyle": style_shape(),
        "instanceTerminationWaitTimeStarted": deployment.terminating,
        "blueGreenDeploymentConfiguration": settings.blue_green_shape(),
        "loadBalancerInfo": settings.balancer_shape(),
        "fileExistsBehavior": "DISALLOW",
        "deploymentStatusMessages": [],
        "computePlatform": "ECS",
        "overrideAlarmConfiguration": settings.alarms.shape(),
    });
    let optional = [
        ("previousRevision", deployment.previous.clone()),
        ("startTime", deployment.started.map(seconds)),
        ("completeTime", deployment.completed.map(seconds)),
        (
            "description",
            deployment.description.as_ref().map(|text| json!(text)),
        ),
        (
            "errorInformation",
            deployment
                .error
                .as_ref()
                .map(|e| json!({"code": e.code, "message": e.message})),
        ),
        ("rollbackInfo", rollback_shape(&deployment.rollback)),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            shape[member] = value;
        }
    }
    shape
}

fn rollback_shape(rollback: &Rollback) -> Option<Value> {
    let members = [
        ("rollbackDeploymentId", &rollback.by),
        ("rollbackTriggeringDeploymentId", &rollback.of),
        ("rollbackMessage", &rollback.message),
    ];
    let given: serde_json::Map<String, Value> = members
        .into_iter()
        .filter_map(|(member, value)| Some((member.to_owned(), json!(value.as_ref()?))))
        .collect();
    (!given.is_empty()).then_some(Value::Object(given))
}

fn target_shape(
    world: &World,
    region: &str,
    deployment: &Deployment,
    id: &str,
) -> Result<Value, Fault> {
    if id != deployment.target_id() {
        let message = format!(
            "The target {id} is not one of the deployment {}.",
            deployment.id
        );
        return Err(Fault::new("DeploymentTargetDoesNotExistException", message));
    }
    let service = format!(
        "service/{}/{}",
        deployment.settings.cluster, deployment.settings.service
    );
    let sides = [
        (&deployment.blue, "Blue", 100 - deployment.shifted),
        (&deployment.green, "Green", deployment.shifted),
    ];
    let sets: Vec<Value> = sides
        .into_iter()
        .filter_map(|(side, label, weight)| {
            Some(side_shape(
                world,
                region,
                deployment,
                side.as_ref()?,
                label,
                weight,
            ))
        })
        .collect();
    Ok(json!({
        "deploymentTargetType": "ECSTarget",
        "ecsTarget": {
            "deploymentId": deployment.id,
            "targetId": id,
            "targetArn": world.arn("ecs", region, &service),
            "lastUpdatedAt": seconds(deployment.updated),
            "lifecycleEvents": deployment.events.iter().map(event_shape).collect::<Vec<_>>(),
            "status": deployment.target_status(),
            "taskSetsInfo": sets,
        },
    }))
}

fn event_shape(event: &Event) -> Value {
    let mut shape = json!({"lifecycleEventName": event.name, "status": event.status});
    if let Some(start) = event.start {
        shape["startTime"] = seconds(start);
    }
    if let Some(end) = event.end {
        shape["endTime"] = seconds(end);
    }
    if let Some(message) = &event.message {
        let script = event
            .hook
            .as_ref()
            .map_or("", |hook| hook.function.as_str());
        shape["diagnostics"] = json!({"errorCode": "UnknownError", "scriptName": script, "message": message, "logTail": ""});
    }
    shape
}

/// A task set as it is; one that is gone has no tasks.
fn side_shape(
    world: &World,
    region: &str,
    deployment: &Deployment,
    side: &Side,
    label: &str,
    weight: u32,
) -> Value {
    let settings = &deployment.settings;
    let service = ecs::find_service(world, region, &settings.cluster, &settings.service);
    let set = service.and_then(|service| Some((service, service.set(&side.arn)?)));
    let (desired, running, pending, status) = match set {
        Some((service, set)) => {
            let (running, pending) = ecs::counts(world, region, service, Some(&set.id));
            (service.wanted(set), running, pending, set.status.as_str())
        }
        None => (0, 0, 0, "DRAINING"),
    };
    json!({
        "identifer": side.id,
        "desiredCount": desired,
        "pendingCount": pending,
        "runningCount": running,
        "status": status,
        "trafficWeight": f64::from(weight),
        "targetGroup": {"name": side.target_group},
        "taskSetLabel": label,
    })
}
