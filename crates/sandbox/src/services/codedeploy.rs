//! AWS CodeDeploy for ECS: applications, deployment configurations, deployment groups, deployments and what is shown of them.
//! How a deployment moves is in [`crate::rollout`]. Other compute platforms are refused.

mod deployment;
mod group;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use deployment::{Deployment, ErrorInformation, Event, Hook, Phase, Rollback, Side};
pub use group::{Alarms, AutoRollback, Group, Settings};

use crate::clock::{Millis, seconds};
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

pub(crate) use deployment::{new_id, plan_hook};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "BatchGetApplications",
    "BatchGetDeploymentGroups",
    "BatchGetDeployments",
    "BatchGetDeploymentTargets",
    "ContinueDeployment",
    "CreateApplication",
    "CreateDeployment",
    "CreateDeploymentConfig",
    "CreateDeploymentGroup",
    "DeleteApplication",
    "DeleteDeploymentConfig",
    "DeleteDeploymentGroup",
    "GetApplication",
    "GetApplicationRevision",
    "GetDeployment",
    "GetDeploymentConfig",
    "GetDeploymentGroup",
    "GetDeploymentTarget",
    "ListApplicationRevisions",
    "ListApplications",
    "ListDeploymentConfigs",
    "ListDeploymentGroups",
    "ListDeployments",
    "ListDeploymentTargets",
    "ListTagsForResource",
    "PutLifecycleEventHookExecutionStatus",
    "RegisterApplicationRevision",
    "StopDeployment",
    "TagResource",
    "UntagResource",
    "UpdateApplication",
    "UpdateDeploymentGroup",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Applications by name.
    pub applications: BTreeMap<String, Application>,
    /// Custom deployment configurations by name.
    pub configs: BTreeMap<String, Config>,
    /// Deployments by id; they outlive their group, as on AWS.
    pub deployments: BTreeMap<String, Deployment>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// A UUID.
    pub id: String,
    /// When it was created.
    pub created: Millis,
    /// Its tags.
    pub tags: Tags,
    /// Its deployment groups by name.
    pub groups: BTreeMap<String, Group>,
    /// What was deployed or registered, oldest first.
    pub revisions: Vec<Revision>,
}

/// A registered revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The `RevisionLocation`.
    pub location: Value,
    /// What was said about it.
    pub description: Option<String>,
    /// When it was registered.
    pub registered: Millis,
    /// When it was first and last deployed.
    pub used: Option<(Millis, Millis)>,
    /// The groups that deployed it.
    pub groups: Vec<String>,
}

/// How production traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// A UUID.
    pub id: String,
    /// When it was created.
    pub created: Millis,
    /// The way.
    pub routing: Routing,
}

/// The way in which production traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routing {
    /// At once.
    AllAtOnce,
    /// Some percent, and the rest after some minutes.
    Canary(i64, i64),
    /// Some percent every so many minutes.
    Linear(i64, i64),
}

/// The configurations that AWS brings along for ECS (AWS.md §4.2).
const PREDEFINED: &[(&str, Routing)] = &[
    ("CodeDeployDefault.ECSAllAtOnce", Routing::AllAtOnce),
    (
        "CodeDeployDefault.ECSCanary10Percent15Minutes",
        Routing::Canary(10, 15),
    ),
    (
        "CodeDeployDefault.ECSCanary10Percent5Minutes",
        Routing::Canary(10, 5),
    ),
    (
        "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
        Routing::Linear(10, 1),
    ),
    (
        "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
        Routing::Linear(10, 3),
    ),
];

/// From the first shift to the last, at most two days (AWS.md §4.2).
const LONGEST_SHIFT: i64 = 2880;
/// How many items a page of a listing has.
const PAGE: usize = 100;

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "CreateApplication" => create_application(world, call),
        "GetApplication" => get_application(world, call),
        "BatchGetApplications" => batch_get_applications(world, call),
        "ListApplications" => list_applications(world, call),
        "UpdateApplication" => update_application(world, call),
        "DeleteApplication" => delete_application(world, call),
        "CreateDeploymentConfig" => create_config(world, call),
        "GetDeploymentConfig" => get_config(world, call),
        "ListDeploymentConfigs" => list_configs(world, call),
        "DeleteDeploymentConfig" => delete_config(world, call),
        "CreateDeploymentGroup" => group::create(world, call),
        "GetDeploymentGroup" => group::get(world, call),
        "BatchGetDeploymentGroups" => group::batch_get(world, call),
        "UpdateDeploymentGroup" => group::update(world, call),
        "ListDeploymentGroups" => group::list(world, call),
        "DeleteDeploymentGroup" => group::delete(world, call),
        "CreateDeployment" => deployment::create(world, call),
        "GetDeployment" => deployment::get(world, call),
        "BatchGetDeployments" => deployment::batch_get(world, call),
        "ListDeployments" => deployment::list(world, call),
        "ListDeploymentTargets" => deployment::list_targets(world, call),
        "GetDeploymentTarget" => deployment::get_target(world, call),
        "BatchGetDeploymentTargets" => deployment::batch_get_targets(world, call),
        "ContinueDeployment" => deployment::resume(world, call),
        "StopDeployment" => deployment::stop(world, call),
        "PutLifecycleEventHookExecutionStatus" => deployment::put_hook(world, call),
        "RegisterApplicationRevision" => register_revision(world, call),
        "GetApplicationRevision" => get_revision(world, call),
        "ListApplicationRevisions" => list_revisions(world, call),
        "TagResource" => tag(world, call),
        "UntagResource" => untag(world, call),
        "ListTagsForResource" => list_tags(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Creates an ECS deployment as a pipeline's role would: `app_spec` is the final AppSpec text. Answers the deployment's id.
/// `crate::pipeline` polls [`status`] by its own timer.
pub(crate) fn create(
    world: &mut World,
    region: &str,
    application: &str,
    group: &str,
    app_spec: &str,
    description: &str,
) -> Result<String, Fault> {
    let revision =
        json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": app_spec}});
    let input = json!({
        "applicationName": application,
        "deploymentGroupName": group,
        "revision": revision,
        "description": description,
    });
    deployment::create_from(world, region, &input)
}

/// A deployment's status and, where it ended badly, (code, message).
pub(crate) fn status(
    world: &World,
    region: &str,
    deployment: &str,
) -> Option<(String, Option<(String, String)>)> {
    let deployment = world
        .regions
        .get(region)?
        .codedeploy
        .deployments
        .get(deployment)?;
    let error = deployment
        .error
        .as_ref()
        .map(|error| (error.code.clone(), error.message.clone()));
    Some((deployment.status().to_owned(), error))
}

/// The way of a configuration, custom or predefined.
pub(crate) fn routing(world: &World, region: &str, name: &str) -> Option<Routing> {
    let custom = world
        .regions
        .get(region)
        .and_then(|region| region.codedeploy.configs.get(name));
    let predefined = || {
        PREDEFINED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, routing)| *routing)
    };
    custom.map(|config| config.routing).or_else(predefined)
}

// Applications.

fn create_application(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = application_name(&call.input, "applicationName")?;
    check_platform(&call.input)?;
    let tags = tags_of(&call.input, "tags")?;
    if world
        .at(&call.region)
        .codedeploy
        .applications
        .contains_key(&name)
    {
        return Err(Fault::new(
            "ApplicationAlreadyExistsException",
            format!("Application already exists: {name}"),
        ));
    }
    let application = Application {
        id: world.uuid(),
        created: world.now,
        tags,
        groups: BTreeMap::new(),
        revisions: Vec::new(),
    };
    let id = application.id.clone();
    world
        .at(&call.region)
        .codedeploy
        .applications
        .insert(name, application);
    Ok(Reply::Value(json!({"applicationId": id})))
}

fn get_application(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = application_name(&call.input, "applicationName")?;
    let application = application(world, &call.region, &name)?;
    Ok(Reply::Value(
        json!({"application": application_shape(&name, application)}),
    ))
}

fn batch_get_applications(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("applicationNames");
    if names.len() > 100 {
        return Err(Fault::new(
            "BatchLimitExceededException",
            "The number of applications must be at most 100.",
        ));
    }
    let shapes: Result<Vec<Value>, Fault> = names
        .iter()
        .map(|name| {
            Ok(application_shape(
                name,
                application(world, &call.region, name)?,
            ))
        })
        .collect();
    Ok(Reply::Value(json!({"applicationsInfo": shapes?})))
}

fn list_applications(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = world
        .at(&call.region)
        .codedeploy
        .applications
        .keys()
        .cloned()
        .collect();
    names_page(&call.input, "applications", names)
}

fn update_application(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (old, new) = (
        application_name(&call.input, "applicationName")?,
        application_name(&call.input, "newApplicationName")?,
    );
    application(world, &call.region, &old)?;
    let state = &mut world.at(&call.region).codedeploy;
    if state.applications.contains_key(&new) {
        return Err(Fault::new(
            "ApplicationAlreadyExistsException",
            format!("Application already exists: {new}"),
        ));
    }
    if let Some(application) = state.applications.remove(&old) {
        state.applications.insert(new.clone(), application);
    }
    for deployment in state
        .deployments
        .values_mut()
        .filter(|deployment| deployment.application == old)
    {
        deployment.application.clone_from(&new);
    }
    Ok(Reply::Value(Value::Null))
}

/// Deletes the application with its groups; a missing one is fine, as on AWS.
fn delete_application(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = application_name(&call.input, "applicationName")?;
    world.at(&call.region).codedeploy.applications.remove(&name);
    Ok(Reply::Value(Value::Null))
}

fn application_shape(name: &str, application: &Application) -> Value {
    json!({
        "applicationId": application.id,
        "applicationName": name,
        "createTime": seconds(application.created),
        "linkedToGitHub": false,
        "computePlatform": "ECS",
    })
}

fn application<'a>(world: &'a World, region: &str, name: &str) -> Result<&'a Application, Fault> {
    let found = world
        .regions
        .get(region)
        .and_then(|region| region.codedeploy.applications.get(name));
    found.ok_or_else(|| no_application(name))
}

fn application_mut<'a>(
    world: &'a mut World,
    region: &str,
    name: &str,
) -> Result<&'a mut Application, Fault> {
    world
        .at(region)
        .codedeploy
        .applications
        .get_mut(name)
        .ok_or_else(|| no_application(name))
}

fn no_application(name: &str) -> Fault {
    Fault::new(
        "ApplicationDoesNotExistException",
        format!("No application found for name: {name}"),
    )
}

fn application_name(input: &Value, member: &str) -> Result<String, Fault> {
    let name = input.text(member).unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::new(
            "ApplicationNameRequiredException",
            "Application name is required.",
        ));
    }
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Fault::new(
            "InvalidApplicationNameException",
            format!("Application name {name} is invalid."),
        )),
    }
}

/// 1 to 100 characters of AWS.md §2.
fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._+=,@-".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(legal)
}

/// The sandbox deploys to ECS only; a forgotten platform means Server on AWS, too.
fn check_platform(input: &Value) -> Result<(), Fault> {
    match input.text("computePlatform").unwrap_or("Server") {
        "ECS" => Ok(()),
        known @ ("Server" | "Lambda") => {
            let message = format!(
                "the ecspipe sandbox deploys to the compute platform ECS only, not {known}"
            );
            Err(Fault::new("NotImplemented", message).status(501))
        }
        other => Err(Fault::new(
            "InvalidComputePlatformException",
            format!("Unknown compute platform {other}."),
        )),
    }
}

// Deployment configurations.

fn create_config(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let name = config_name(input)?;
    check_platform(input)?;
    if name.starts_with("CodeDeployDefault.") {
        let message = "Deployment configuration names can't start with CodeDeployDefault.";
        return Err(Fault::new("InvalidDeploymentConfigNameException", message));
    }
    let given = |member: &str| input.get(member).is_some_and(|value| !value.is_null());
    if given("minimumHealthyHosts") {
        let message = "Minimum healthy hosts can't be given for the compute platform ECS.";
        return Err(Fault::new(
            "InvalidMinimumHealthyHostValueException",
            message,
        ));
    }
    if given("zonalConfig") {
        let message = "A zonal configuration can't be given for the compute platform ECS.";
        return Err(Fault::new(
            "InvalidZonalDeploymentConfigurationException",
            message,
        ));
    }
    let routing = routing_of(input.get("trafficRoutingConfig"))?;
    if world
        .at(&call.region)
        .codedeploy
        .configs
        .contains_key(&name)
    {
        let message = format!("Deployment configuration already exists: {name}");
        return Err(Fault::new(
            "DeploymentConfigAlreadyExistsException",
            message,
        ));
    }
    let config = Config {
        id: world.uuid(),
        created: world.now,
        routing,
    };
    let id = config.id.clone();
    world
        .at(&call.region)
        .codedeploy
        .configs
        .insert(name, config);
    Ok(Reply::Value(json!({"deploymentConfigId": id})))
}

fn routing_of(given: Option<&Value>) -> Result<Routing, Fault> {
    let wrong = |message: &str| Fault::new("InvalidTrafficRoutingConfigurationException", message);
    let given = given
        .filter(|given| !given.is_null())
        .ok_or_else(|| wrong("A traffic routing configuration is required."))?;
    let read = |block: &str, percentage: &str, interval: &str| {
        let block = given
            .get(block)
            .filter(|block| !block.is_null())
            .ok_or_else(|| wrong("The percentage and interval are missing."))?;
        let percent = block
            .int(percentage)
            .filter(|percent| (1..=99).contains(percent));
        let minutes = block
            .int(interval)
            .filter(|minutes| (1..=LONGEST_SHIFT).contains(minutes));
        match (percent, minutes) {
            (Some(percent), Some(minutes)) => Ok((percent, minutes)),
            _ => Err(wrong(
                "The percentage must be between 1 and 99, and the interval between 1 and 2880 minutes.",
            )),
        }
    };
    match given.text("type").unwrap_or("AllAtOnce") {
        "AllAtOnce" => Ok(Routing::AllAtOnce),
        "TimeBasedCanary" => {
            let (percent, minutes) = read("timeBasedCanary", "canaryPercentage", "canaryInterval")?;
            Ok(Routing::Canary(percent, minutes))
        }
        "TimeBasedLinear" => {
            let (percent, minutes) = read("timeBasedLinear", "linearPercentage", "linearInterval")?;
            let shifts = (100 + percent - 1) / percent;
            match (shifts - 1) * minutes > LONGEST_SHIFT {
                true => Err(wrong(
                    "From the first shift to the last, at most 2880 minutes may pass.",
                )),
                false => Ok(Routing::Linear(percent, minutes)),
            }
        }
        other => Err(wrong(&format!("Unknown traffic routing type {other}."))),
    }
}

fn get_config(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = config_name(&call.input)?;
    let routing = routing(world, &call.region, &name).ok_or_else(|| no_config(&name))?;
    let custom = world
        .at(&call.region)
        .codedeploy
        .configs
        .get(&name)
        .cloned();
    // The predefined ones are older than any account.
    let (id, created) = custom.map_or(
        ("00000000-0000-0000-0000-000000000000".to_owned(), 0),
        |c| (c.id, c.created),
    );
    let routing = match routing {
        Routing::AllAtOnce => json!({"type": "AllAtOnce"}),
        Routing::Canary(percent, minutes) => {
            json!({"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": minutes}})
        }
        Routing::Linear(percent, minutes) => {
            json!({"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": percent, "linearInterval": minutes}})
        }
    };
    Ok(Reply::Value(json!({"deploymentConfigInfo": {
        "deploymentConfigId": id,
        "deploymentConfigName": name,
        "createTime": seconds(created),
        "computePlatform": "ECS",
        "trafficRoutingConfig": routing,
    }})))
}

fn list_configs(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let custom = world.at(&call.region).codedeploy.configs.keys().cloned();
    let mut names: Vec<String> = custom
        .chain(PREDEFINED.iter().map(|(name, _)| (*name).to_owned()))
        .collect();
    names.sort();
    names_page(&call.input, "deploymentConfigsList", names)
}

fn delete_config(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = config_name(&call.input)?;
    if name.starts_with("CodeDeployDefault.") {
        let message = "The predefined deployment configurations can't be deleted.";
        return Err(Fault::new("InvalidOperationException", message));
    }
    let state = &mut world.at(&call.region).codedeploy;
    let mut groups = state
        .applications
        .values()
        .flat_map(|application| application.groups.values());
    if groups.any(|group| group.config == name) {
        return Err(Fault::new(
            "DeploymentConfigInUseException",
            format!("Deployment configuration is in use: {name}"),
        ));
    }
    state.configs.remove(&name);
    Ok(Reply::Value(Value::Null))
}

fn config_name(input: &Value) -> Result<String, Fault> {
    let name = input.text("deploymentConfigName").unwrap_or_default();
    if name.is_empty() {
        let message = "Deployment configuration name is required.";
        return Err(Fault::new("DeploymentConfigNameRequiredException", message));
    }
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Fault::new(
            "InvalidDeploymentConfigNameException",
            format!("Deployment configuration name {name} is invalid."),
        )),
    }
}

fn no_config(name: &str) -> Fault {
    Fault::new(
        "DeploymentConfigDoesNotExistException",
        format!("No deployment configuration found for name: {name}"),
    )
}

// Revisions.

fn register_revision(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = application_name(&call.input, "applicationName")?;
    let location = deployment::revision_of(&call.input)?;
    let description = call.input.text("description").map(ToOwned::to_owned);
    application(world, &call.region, &name)?;
    note_revision(world, &call.region, &name, location, description, None);
    Ok(Reply::Value(Value::Null))
}

/// Keeps a revision, with the group that deploys it now.
fn note_revision(
    world: &mut World,
    region: &str,
    name: &str,
    location: Value,
    description: Option<String>,
    group: Option<&str>,
) {
    let now = world.now;
    let Ok(application) = application_mut(world, region, name) else {
        return;
    };
    let known = application
        .revisions
        .iter()
        .position(|revision| revision.location == location);
    let index = known.unwrap_or_else(|| {
        application.revisions.push(Revision {
            location,
            description: None,
            registered: now,
            used: None,
            groups: Vec::new(),
        });
        application.revisions.len() - 1
    });
    let revision = &mut application.revisions[index];
    revision.description = description.or(revision.description.take());
    if let Some(group) = group {
        revision.used = Some((revision.used.map_or(now, |(first, _)| first), now));
        if !revision.groups.iter().any(|known| known == group) {
            revision.groups.push(group.to_owned());
        }
    }
}

fn get_revision(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = application_name(&call.input, "applicationName")?;
    let location = deployment::revision_of(&call.input)?;
    let application = application(world, &call.region, &name)?;
    let revision = application
        .revisions
        .iter()
        .find(|revision| revision.location == location);
    let revision = revision.ok_or_else(|| {
        Fault::new(
            "RevisionDoesNotExistException",
            "The revision isn't registered with the application.",
        )
    })?;
    let mut info =
        json!({"deploymentGroups": revision.groups, "registerTime": seconds(revision.registered)});
    if let Some(description) = &revision.description {
        info["description"] = json!(description);
    }
    if let Some((first, last)) = revision.used {
        info["firstUsedTime"] = seconds(first);
        info["lastUsedTime"] = seconds(last);
    }
    Ok(Reply::Value(
        json!({"applicationName": name, "revision": revision.location, "revisionInfo": info}),
    ))
}

fn list_revisions(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let name = application_name(input, "applicationName")?;
    let application = application(world, &call.region, &name)?;
    let mut revisions: Vec<&Revision> = application.revisions.iter().collect();
    let prefix = input.text("s3KeyPrefix").unwrap_or_default();
    revisions.retain(|revision| {
        let s3 = revision.location.get("s3Location");
        let bucket = s3.and_then(|s3| s3.text("bucket"));
        let key = s3.and_then(|s3| s3.text("key")).unwrap_or_default();
        input
            .text("s3Bucket")
            .is_none_or(|wanted| bucket == Some(wanted))
            && key.starts_with(prefix)
    });
    match input.text("deployed").unwrap_or("ignore") {
        "include" => revisions.retain(|revision| revision.used.is_some()),
        "exclude" => revisions.retain(|revision| revision.used.is_none()),
        "ignore" => {}
        other => {
            return Err(Fault::new(
                "InvalidDeployedStateFilterException",
                format!("Unknown state {other}."),
            ));
        }
    }
    let first = |revision: &&Revision| revision.used.map_or(0, |(first, _)| first);
    let last = |revision: &&Revision| revision.used.map_or(0, |(_, last)| last);
    match input.text("sortBy").unwrap_or("registerTime") {
        "registerTime" => revisions.sort_by_key(|revision| revision.registered),
        "firstUsedTime" => revisions.sort_by_key(first),
        "lastUsedTime" => revisions.sort_by_key(last),
        other => {
            return Err(Fault::new(
                "InvalidSortByException",
                format!("Can't sort by {other}."),
            ));
        }
    }
    match input.text("sortOrder").unwrap_or("ascending") {
        "ascending" => {}
        "descending" => revisions.reverse(),
        other => {
            return Err(Fault::new(
                "InvalidSortOrderException",
                format!("Unknown order {other}."),
            ));
        }
    }
    let keyed = revisions
        .iter()
        .enumerate()
        .map(|(index, revision)| (format!("{index:08}"), revision.location.clone()));
    let page = page(keyed, input.text("nextToken"), PAGE).ok_or_else(bad_token)?;
    Ok(Reply::Value(with_next(
        json!({"revisions": page.items}),
        page.next,
    )))
}

// Tags.

fn tag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let new = tags_of(&call.input, "Tags")?;
    tags_at(world, call)?.extend(new);
    Ok(Reply::Value(json!({})))
}

fn untag(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("TagKeys");
    tags_at(world, call)?.retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = tags_at(world, call)?;
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(Reply::Value(json!({"Tags": tags})))
}

/// `arn:aws:codedeploy:<region>:<account>:application:<name>` or `…:deploymentgroup:<application>/<group>`.
fn tags_at<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Tags, Fault> {
    let arn = call.input.text("ResourceArn").unwrap_or_default();
    if arn.is_empty() {
        return Err(Fault::new(
            "ResourceArnRequiredException",
            "The ARN of a resource is required.",
        ));
    }
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", _, "codedeploy", _, _, "application", name] => {
            application_mut(world, &call.region, name).map(|application| &mut application.tags)
        }
        ["arn", _, "codedeploy", _, _, "deploymentgroup", path] => {
            let (name, group) = path.split_once('/').unwrap_or((path, ""));
            let application = application_mut(world, &call.region, name)?;
            application
                .groups
                .get_mut(group)
                .map(|group| &mut group.tags)
                .ok_or_else(|| group::missing(group))
        }
        ["arn", _, "codedeploy", ..] => Err(Fault::new(
            "ArnNotSupportedException",
            format!("{arn} can't have tags."),
        )),
        _ => Err(Fault::new(
            "InvalidArnException",
            format!("{arn} is no ARN of CodeDeploy."),
        )),
    }
}

fn tags_of(input: &Value, member: &str) -> Result<Tags, Fault> {
    let tags = input.pairs(member, "Key", "Value");
    let bad = |(key, value): (&String, &String)| {
        key.is_empty()
            || key.len() > 128
            || value.len() > 256
            || key.to_ascii_lowercase().starts_with("aws:")
    };
    match tags.len() > 50 || tags.iter().any(bad) {
        true => Err(Fault::new(
            "InvalidTagsToAddException",
            "The tags are not valid: at most 50, keys of 1 to 128 characters.",
        )),
        false => Ok(tags),
    }
}

// What the operations share.

fn names_page(input: &Value, member: &str, names: Vec<String>) -> Result<Reply, Fault> {
    let keyed = names.into_iter().map(|name| (name.clone(), name));
    let page = page(keyed, input.text("nextToken"), PAGE).ok_or_else(bad_token)?;
    let mut answer = json!({});
    answer[member] = json!(page.items);
    Ok(Reply::Value(with_next(answer, page.next)))
}

fn with_next(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    answer
}

fn bad_token() -> Fault {
    Fault::new("InvalidNextTokenException", "The next token is not valid.")
}

#[cfg(test)]
mod tests;
