//! Deployment groups: the one legal shape for ECS (AWS.md §4.1), and everything that CodeDeploy refuses. Must not deploy.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Deployment, application, application_mut, application_name, is_name, names_page, no_config,
    routing, tags_of,
};
use crate::clock::seconds;
use crate::services::ecs::{self, Controller};
use crate::services::{elbv2, iam};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// A deployment group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// A UUID.
    pub id: String,
    /// The name of its deployment configuration.
    pub config: String,
    /// What its deployments do.
    pub settings: Settings,
    /// Its tags.
    pub tags: Tags,
    /// The last deployment that was begun.
    pub last_attempt: Option<String>,
    /// The last deployment that succeeded.
    pub last_success: Option<String>,
}

/// What the deployments of a group do; a deployment keeps its own copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The ARN of the role with which CodeDeploy acts.
    pub role: String,
    /// The name of the ECS cluster.
    pub cluster: String,
    /// The name of the ECS service.
    pub service: String,
    /// The names of the two target groups.
    pub target_groups: [String; 2],
    /// The ARN of the production listener.
    pub production: String,
    /// The ARN of the test listener.
    pub test: Option<String>,
    /// How many minutes a deployment waits to be continued before it stops; `None`: it goes on by itself.
    pub ready_wait: Option<i64>,
    /// How many minutes the old tasks stay.
    pub termination_wait: i64,
    /// What is rolled back by itself.
    pub rollback: AutoRollback,
    /// What stops a deployment.
    pub alarms: Alarms,
}

/// What is rolled back by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoRollback {
    /// Whether anything is.
    pub enabled: bool,
    /// `DEPLOYMENT_FAILURE`, `DEPLOYMENT_STOP_ON_ALARM`, `DEPLOYMENT_STOP_ON_REQUEST`.
    pub events: Vec<String>,
}

/// The alarms that stop a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarms {
    /// Whether they do.
    pub enabled: bool,
    /// Whether a deployment goes on where their state can't be read.
    pub ignore_poll_failure: bool,
    /// Their names.
    pub names: Vec<String>,
}

impl AutoRollback {
    /// Whether the event is rolled back.
    pub(crate) fn covers(&self, event: &str) -> bool {
        self.enabled && self.events.iter().any(|known| known == event)
    }

    pub(super) fn of(given: &Value) -> Result<Self, Fault> {
        let wrong =
            |message: String| Err(Fault::new("InvalidAutoRollbackConfigException", message));
        let events = given.texts("events");
        let known = [
            "DEPLOYMENT_FAILURE",
            "DEPLOYMENT_STOP_ON_ALARM",
            "DEPLOYMENT_STOP_ON_REQUEST",
        ];
        if let Some(event) = events.iter().find(|event| !known.contains(&event.as_str())) {
            return wrong(format!("Unknown event {event}."));
        }
        let enabled = given.flag("enabled").unwrap_or(false);
        match enabled && events.is_empty() {
            true => wrong("Automatic rollback is enabled, but no event is given.".to_owned()),
            false => Ok(Self { enabled, events }),
        }
    }

    pub(super) fn shape(&self) -> Value {
        json!({"enabled": self.enabled, "events": self.events})
    }
}

impl Alarms {
    pub(super) fn of(given: &Value) -> Result<Self, Fault> {
        let names: Vec<String> = given
            .list("alarms")
            .iter()
            .filter_map(|a| a.text("name"))
            .map(ToOwned::to_owned)
            .collect();
        if names.len() > 10 {
            return Err(Fault::new(
                "AlarmsLimitExceededException",
                "A deployment group can have at most 10 alarms.",
            ));
        }
        let enabled = given.flag("enabled").unwrap_or(false);
        if enabled && names.is_empty() {
            return Err(Fault::new(
                "InvalidAlarmConfigException",
                "Alarms are enabled, but none is given.",
            ));
        }
        Ok(Self {
            enabled,
            ignore_poll_failure: given.flag("ignorePollAlarmFailure").unwrap_or(false),
            names,
        })
    }

    pub(super) fn shape(&self) -> Value {
        let alarms: Vec<Value> = self
            .names
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        json!({"enabled": self.enabled, "ignorePollAlarmFailure": self.ignore_poll_failure, "alarms": alarms})
    }
}

impl Settings {
    pub(super) fn blue_green_shape(&self) -> Value {
        let action = if self.ready_wait.is_some() {
            "STOP_DEPLOYMENT"
        } else {
            "CONTINUE_DEPLOYMENT"
        };
        json!({
            "terminateBlueInstancesOnDeploymentSuccess": {
                "action": "TERMINATE",
                "terminationWaitTimeInMinutes": self.termination_wait,
            },
            "deploymentReadyOption": {"actionOnTimeout": action, "waitTimeInMinutes": self.ready_wait.unwrap_or(0)},
        })
    }

    pub(super) fn balancer_shape(&self) -> Value {
        let groups: Vec<Value> = self
            .target_groups
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        let mut pair = json!({"targetGroups": groups, "prodTrafficRoute": {"listenerArns": [self.production]}});
        if let Some(test) = &self.test {
            pair["testTrafficRoute"] = json!({"listenerArns": [test]});
        }
        json!({"targetGroupPairInfoList": [pair]})
    }
}

/// The only style that ECS has.
pub(super) fn style_shape() -> Value {
    json!({"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"})
}

/// What is for other compute platforms.
const NOT_FOR_ECS: &[&str] = &[
    "ec2TagFilters",
    "onPremisesInstanceTagFilters",
    "autoScalingGroups",
    "ec2TagSet",
    "onPremisesTagSet",
];
/// The ready wait may last 120 hours (AWS.md §4.1).
const LONGEST_READY_WAIT: i64 = 7200;
/// The old tasks may stay two days.
const LONGEST_TERMINATION_WAIT: i64 = 2880;

pub(super) fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let application_name = application_name(input, "applicationName")?;
    let name = group_name(input, "deploymentGroupName")?;
    if application(world, region, &application_name)?
        .groups
        .contains_key(&name)
    {
        let message =
            format!("Deployment group {name} already exists in application {application_name}");
        return Err(Fault::new("DeploymentGroupAlreadyExistsException", message));
    }
    if input.text("serviceRoleArn").is_none_or(str::is_empty) {
        return Err(Fault::new(
            "RoleRequiredException",
            "A service role is required.",
        ));
    }
    let config = config_of(world, region, input)?
        .unwrap_or_else(|| "CodeDeployDefault.ECSAllAtOnce".to_owned());
    let settings = checked(world, region, input, (&application_name, &name))?;
    let tags = tags_of(input, "tags")?;
    let group = Group {
        id: world.uuid(),
        config,
        settings,
        tags,
        last_attempt: None,
        last_success: None,
    };
    let id = group.id.clone();
    application_mut(world, region, &application_name)?
        .groups
        .insert(name, group);
    Ok(Reply::Value(json!({"deploymentGroupId": id})))
}

pub(super) fn get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (application_name, name) = names(&call.input, "deploymentGroupName")?;
    let group = find(world, &call.region, &application_name, &name)?;
    let shape = shape(world, &call.region, (&application_name, &name), group);
    Ok(Reply::Value(json!({"deploymentGroupInfo": shape})))
}

pub(super) fn batch_get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let application_name = application_name(&call.input, "applicationName")?;
    let names = call.input.texts("deploymentGroupNames");
    if names.len() > 100 {
        return Err(Fault::new(
            "BatchLimitExceededException",
            "The number of deployment groups must be at most 100.",
        ));
    }
    let groups = &application(world, &call.region, &application_name)?.groups;
    let (found, missing): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| groups.contains_key(*name));
    let shapes: Vec<Value> = found
        .into_iter()
        .filter_map(|name| {
            Some(shape(
                world,
                &call.region,
                (&application_name, name),
                groups.get(name)?,
            ))
        })
        .collect();
    let mut answer = json!({"deploymentGroupsInfo": shapes});
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
        answer["errorMessage"] = json!(format!(
            "The following deployment groups do not exist: {}",
            missing.join(", ")
        ));
    }
    Ok(Reply::Value(answer))
}

pub(super) fn update(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (input, region) = (&call.input, call.region.as_str());
    let (application_name, name) = names(input, "currentDeploymentGroupName")?;
    let old = find(world, region, &application_name, &name)?.clone();
    let new_name = match input.text("newDeploymentGroupName") {
        Some(_) => group_name(input, "newDeploymentGroupName")?,
        None => name.clone(),
    };
    if new_name != name && find(world, region, &application_name, &new_name).is_ok() {
        let message =
            format!("Deployment group {new_name} already exists in application {application_name}");
        return Err(Fault::new("DeploymentGroupAlreadyExistsException", message));
    }
    let config = config_of(world, region, input)?.unwrap_or(old.config.clone());
    // What is absent stays; blocks that are given replace the old ones whole.
    let mut whole = as_input(&old.settings);
    if let (Some(whole), Some(input)) = (whole.as_object_mut(), input.as_object()) {
        for (member, value) in input.iter().filter(|(_, value)| !value.is_null()) {
            whole.insert(member.clone(), value.clone());
        }
    }
    let settings = checked(world, region, &whole, (&application_name, &name))?;
    let groups = &mut application_mut(world, region, &application_name)?.groups;
    groups.remove(&name);
    groups.insert(
        new_name.clone(),
        Group {
            config,
            settings,
            ..old
        },
    );
    for deployment in world.at(region).codedeploy.deployments.values_mut() {
        if deployment.application == application_name && deployment.group == name {
            deployment.group.clone_from(&new_name);
        }
    }
    Ok(Reply::Value(json!({"hooksNotCleanedUp": []})))
}

pub(super) fn list(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let application_name = application_name(&call.input, "applicationName")?;
    let names = application(world, &call.region, &application_name)?
        .groups
        .keys()
        .cloned()
        .collect();
    let mut reply = names_page(&call.input, "deploymentGroups", names)?;
    if let Reply::Value(answer) = &mut reply {
        answer["applicationName"] = json!(application_name);
    }
    Ok(reply)
}

/// A missing group is fine, as on AWS.
pub(super) fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (application_name, name) = names(&call.input, "deploymentGroupName")?;
    if let Ok(application) = application_mut(world, &call.region, &application_name) {
        application.groups.remove(&name);
    }
    Ok(Reply::Value(json!({"hooksNotCleanedUp": []})))
}

pub(super) fn find<'a>(
    world: &'a World,
    region: &str,
    application_name: &str,
    name: &str,
) -> Result<&'a Group, Fault> {
    application(world, region, application_name)?
        .groups
        .get(name)
        .ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> Fault {
    Fault::new(
        "DeploymentGroupDoesNotExistException",
        format!("No Deployment Group found for name: {name}"),
    )
}

pub(super) fn group_name(input: &Value, member: &str) -> Result<String, Fault> {
    let name = input.text(member).unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::new(
            "DeploymentGroupNameRequiredException",
            "Deployment group name is required.",
        ));
    }
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Fault::new(
            "InvalidDeploymentGroupNameException",
            format!("Deployment group name {name} is invalid."),
        )),
    }
}

fn names(input: &Value, member: &str) -> Result<(String, String), Fault> {
    Ok((
        application_name(input, "applicationName")?,
        group_name(input, member)?,
    ))
}

fn config_of(world: &World, region: &str, input: &Value) -> Result<Option<String>, Fault> {
    match input.text("deploymentConfigName") {
        None => Ok(None),
        Some(name) if routing(world, region, name).is_some() => Ok(Some(name.to_owned())),
        Some(name) => Err(no_config(name)),
    }
}

/// The ARN of a group, by application and name.
fn arn(world: &World, region: &str, (application, name): (&str, &str)) -> String {
    let group = format!("deploymentgroup:{application}/{name}");
    world.arn("codedeploy", region, &group)
}

/// The settings of an input, checked against the account.
fn checked(
    world: &mut World,
    region: &str,
    input: &Value,
    own: (&str, &str),
) -> Result<Settings, Fault> {
    for member in NOT_FOR_ECS {
        if input
            .get(*member)
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|list| !list.is_empty()))
        {
            return Err(Fault::new(
                "InvalidInputException",
                format!("{member} can't be given for the compute platform ECS."),
            ));
        }
    }
    if !input.list("triggerConfigurations").is_empty() {
        let message = "the ecspipe sandbox has no SNS: leave triggerConfigurations out";
        return Err(Fault::new("NotImplemented", message).status(501));
    }
    let style = input.get("deploymentStyle").cloned().unwrap_or_default();
    if style != style_shape() {
        let message = "For the compute platform ECS, the deployment style must be BLUE_GREEN WITH_TRAFFIC_CONTROL.";
        return Err(Fault::new("InvalidDeploymentStyleException", message));
    }
    let (cluster, service) = check_service(world, region, input, own)?;
    let (target_groups, production, test) = check_balancer(world, region, input)?;
    let (ready_wait, termination_wait) = check_blue_green(input)?;
    let block = |member: &str| input.get(member).cloned().unwrap_or_default();
    let rollback = AutoRollback::of(&block("autoRollbackConfiguration"))?;
    let alarms = Alarms::of(&block("alarmConfiguration"))?;
    let role = input.text("serviceRoleArn").unwrap_or_default().to_owned();
    let source = arn(world, region, own);
    if iam::can_assume(world, &role, "codedeploy.amazonaws.com", &source).is_err() {
        let message = format!(
            "AWS CodeDeploy does not have the permissions required to assume the role {role}."
        );
        return Err(Fault::new("InvalidRoleException", message));
    }
    Ok(Settings {
        role,
        cluster,
        service,
        target_groups,
        production,
        test,
        ready_wait,
        termination_wait,
        rollback,
        alarms,
    })
}

fn check_service(
    world: &World,
    region: &str,
    input: &Value,
    own: (&str, &str),
) -> Result<(String, String), Fault> {
    let wrong = |message: String| Err(Fault::new("InvalidECSServiceException", message));
    let [given] = input.list("ecsServices") else {
        return wrong(
            "Exactly one ECS service must be given for the compute platform ECS.".to_owned(),
        );
    };
    let (cluster, name) = (
        given.text("clusterName").unwrap_or_default(),
        given.text("serviceName").unwrap_or_default(),
    );
    if cluster.is_empty() || name.is_empty() || cluster.contains('/') || name.contains('/') {
        return wrong(
            "The ECS service must be given by the names of its cluster and service.".to_owned(),
        );
    }
    let service = ecs::find_service(world, region, cluster, name)
        .filter(|service| service.status == "ACTIVE");
    let Some(service) = service else {
        return wrong(format!(
            "The ECS service identified by {cluster}:{name} can't be found."
        ));
    };
    if service.controller != Controller::CodeDeploy {
        return wrong("Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.".to_owned());
    }
    let applications = world
        .regions
        .get(region)
        .into_iter()
        .flat_map(|region| &region.codedeploy.applications);
    for (application, known) in applications {
        let mapped = known
            .groups
            .iter()
            .find(|(_, group)| group.settings.cluster == cluster && group.settings.service == name);
        if let Some((group, _)) =
            mapped.filter(|(group, _)| (application.as_str(), group.as_str()) != own)
        {
            return Err(Fault::new(
                "ECSServiceMappingLimitExceededException",
                format!(
                    "The ECS service {cluster}:{name} is already mapped to the deployment group {group} of application {application}."
                ),
            ));
        }
    }
    Ok((cluster.to_owned(), name.to_owned()))
}

type Routes = ([String; 2], String, Option<String>);

fn check_balancer(world: &mut World, region: &str, input: &Value) -> Result<Routes, Fault> {
    let wrong = |message: String| Fault::new("InvalidLoadBalancerInfoException", message);
    let bad_pair = |message: String| Fault::new("InvalidTargetGroupPairException", message);
    let info = input.get("loadBalancerInfo").cloned().unwrap_or_default();
    if !info.list("elbInfoList").is_empty() || !info.list("targetGroupInfoList").is_empty() {
        return Err(wrong(
            "For the compute platform ECS, only targetGroupPairInfoList can be given.".to_owned(),
        ));
    }
    let [pair] = info.list("targetGroupPairInfoList") else {
        return Err(wrong(
            "Exactly one target group pair must be given for the compute platform ECS.".to_owned(),
        ));
    };
    let names: Vec<&str> = pair
        .list("targetGroups")
        .iter()
        .filter_map(|group| group.text("name"))
        .collect();
    let [first, second] = names.as_slice() else {
        return Err(bad_pair(
            "A target group pair has exactly two target groups.".to_owned(),
        ));
    };
    if first == second {
        return Err(bad_pair(
            "The two target groups of a pair must differ.".to_owned(),
        ));
    }
    for name in [first, second] {
        if elbv2::target_group_arn(world, region, name).is_none() {
            return Err(bad_pair(format!("The target group {name} can't be found.")));
        }
    }
    let route = |member: &str| {
        pair.get(member)
            .map(|route| route.texts("listenerArns"))
            .unwrap_or_default()
    };
    let production = match route("prodTrafficRoute").as_slice() {
        [one] => one.clone(),
        _ => {
            return Err(bad_pair(
                "The production traffic route has exactly one listener.".to_owned(),
            ));
        }
    };
    let test = match route("testTrafficRoute").as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        _ => {
            return Err(bad_pair(
                "The test traffic route has at most one listener.".to_owned(),
            ));
        }
    };
    if test.as_ref() == Some(&production) {
        return Err(bad_pair(
            "Production and test traffic need different listeners.".to_owned(),
        ));
    }
    let mut balancers = Vec::new();
    for listener in std::iter::once(&production).chain(&test) {
        let found = ecs::ask(
            world,
            region,
            "elasticloadbalancing",
            "DescribeListeners",
            json!({"ListenerArns": [listener]}),
        );
        let found = found
            .ok()
            .and_then(|answer| answer.list("Listeners").first().cloned());
        let found =
            found.ok_or_else(|| bad_pair(format!("The listener {listener} can't be found.")))?;
        balancers.push(found.text("LoadBalancerArn").unwrap_or_default().to_owned());
    }
    balancers.dedup();
    match balancers.len() > 1 {
        true => Err(bad_pair(
            "Production and test listener must be of the same load balancer.".to_owned(),
        )),
        false => Ok((
            [(*first).to_owned(), (*second).to_owned()],
            production,
            test,
        )),
    }
}

fn check_blue_green(input: &Value) -> Result<(Option<i64>, i64), Fault> {
    let wrong =
        |message: &str| Fault::new("InvalidBlueGreenDeploymentConfigurationException", message);
    let given = input
        .get("blueGreenDeploymentConfiguration")
        .filter(|given| !given.is_null());
    let given = given.ok_or_else(|| {
        wrong("A blue/green deployment configuration is required for the compute platform ECS.")
    })?;
    if given
        .get("greenFleetProvisioningOption")
        .is_some_and(|option| !option.is_null())
    {
        return Err(wrong(
            "greenFleetProvisioningOption can't be given for the compute platform ECS.",
        ));
    }
    let ready = given
        .get("deploymentReadyOption")
        .cloned()
        .unwrap_or_default();
    let wait = ready.int("waitTimeInMinutes").unwrap_or(0);
    let ready_wait = match ready
        .text("actionOnTimeout")
        .unwrap_or("CONTINUE_DEPLOYMENT")
    {
        "CONTINUE_DEPLOYMENT" if wait == 0 => None,
        "CONTINUE_DEPLOYMENT" => {
            return Err(wrong(
                "waitTimeInMinutes can be given only with STOP_DEPLOYMENT.",
            ));
        }
        "STOP_DEPLOYMENT" if (1..=LONGEST_READY_WAIT).contains(&wait) => Some(wait),
        "STOP_DEPLOYMENT" => {
            return Err(wrong(
                "With STOP_DEPLOYMENT, waitTimeInMinutes must be between 1 and 7200.",
            ));
        }
        _ => {
            return Err(wrong(
                "actionOnTimeout must be CONTINUE_DEPLOYMENT or STOP_DEPLOYMENT.",
            ));
        }
    };
    let terminate = given
        .get("terminateBlueInstancesOnDeploymentSuccess")
        .cloned()
        .unwrap_or_default();
    if terminate.text("action").unwrap_or("TERMINATE") != "TERMINATE" {
        return Err(wrong(
            "For the compute platform ECS, the old tasks can only be terminated.",
        ));
    }
    let termination = terminate.int("terminationWaitTimeInMinutes").unwrap_or(0);
    match (0..=LONGEST_TERMINATION_WAIT).contains(&termination) {
        true => Ok((ready_wait, termination)),
        false => Err(wrong(
            "terminationWaitTimeInMinutes must be between 0 and 2880.",
        )),
    }
}

/// The settings in the form of the input that made them.
fn as_input(settings: &Settings) -> Value {
    json!({
        "serviceRoleArn": settings.role,
        "deploymentStyle": style_shape(),
        "ecsServices": [{"clusterName": settings.cluster, "serviceName": settings.service}],
        "loadBalancerInfo": settings.balancer_shape(),
        "blueGreenDeploymentConfiguration": settings.blue_green_shape(),
        "autoRollbackConfiguration": settings.rollback.shape(),
        "alarmConfiguration": settings.alarms.shape(),
    })
}

fn shape(world: &World, region: &str, (application, name): (&str, &str), group: &Group) -> Value {
    let deployments = world
        .regions
        .get(region)
        .map(|region| &region.codedeploy.deployments);
    let find = |id: &Option<String>| id.as_ref().and_then(|id| deployments?.get(id));
    let mut shape = as_input(&group.settings);
    shape["applicationName"] = json!(application);
    shape["deploymentGroupId"] = json!(group.id);
    shape["deploymentGroupName"] = json!(name);
    shape["deploymentConfigName"] = json!(group.config);
    shape["triggerConfigurations"] = json!([]);
    shape["outdatedInstancesStrategy"] = json!("UPDATE");
    shape["computePlatform"] = json!("ECS");
    shape["terminationHookEnabled"] = json!(false);
    if let Some(deployment) = find(&group.last_success) {
        shape["lastSuccessfulDeployment"] = last_shape(deployment);
        shape["targetRevision"] = deployment.revision.clone();
    }
    if let Some(deployment) = find(&group.last_attempt) {
        shape["lastAttemptedDeployment"] = last_shape(deployment);
    }
    shape
}

fn last_shape(deployment: &Deployment) -> Value {
    let mut shape = json!({
        "deploymentId": deployment.id,
        "status": deployment.status(),
        "createTime": seconds(deployment.created),
    });
    if let Some(ended) = deployment.completed {
        shape["endTime"] = seconds(ended);
    }
    shape
}
