//! What a pipeline may look like: the typed declaration, and the rules that CreatePipeline and UpdatePipeline enforce
//! (AWS.md §1.2, §2, §7). What the executor lacks is refused here, by name. Must not know executions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::services::iam;
use crate::wire::{Call, Fault, Input as _};
use crate::world::World;

/// A pipeline as declared, as far as the executor reads it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) role_arn: String,
    pub(crate) artifact_store: Option<Store>,
    pub(crate) artifact_stores: BTreeMap<String, Store>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) execution_mode: String,
    pub(crate) pipeline_type: String,
    pub(crate) variables: Vec<Variable>,
}

/// The bucket that holds the artifacts.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Store {
    pub(crate) location: String,
}

/// A variable of the pipeline itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) default_value: Option<String>,
}

/// One stage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) actions: Vec<Action>,
}

/// One action.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) action_type_id: ActionType,
    #[serde(default = "first")]
    pub(crate) run_order: u32,
    #[serde(default)]
    pub(crate) configuration: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) input_artifacts: Vec<Artifact>,
    #[serde(default)]
    pub(crate) output_artifacts: Vec<Artifact>,
    pub(crate) namespace: Option<String>,
    pub(crate) timeout_in_minutes: Option<i64>,
    pub(crate) role_arn: Option<String>,
}

/// The kind of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActionType {
    pub(crate) category: String,
    pub(crate) owner: String,
    pub(crate) provider: String,
    pub(crate) version: String,
}

impl std::fmt::Display for ActionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.category, self.owner, self.provider, self.version
        )
    }
}

/// An artifact's name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) name: String,
}

fn first() -> u32 {
    1
}

/// What an action type takes.
struct Shape {
    kind: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    inputs: std::ops::RangeInclusive<usize>,
    outputs: std::ops::RangeInclusive<usize>,
}

/// The action types that the executor has (action structure reference of CodePipeline).
const SHAPES: [Shape; 6] = [
    Shape {
        kind: "Source/AWS/CodeCommit/1",
        required: &["RepositoryName", "BranchName"],
        optional: &["PollForSourceChanges", "OutputArtifactFormat"],
        inputs: 0..=0,
        outputs: 1..=1,
    },
    Shape {
        kind: "Source/AWS/S3/1",
        required: &["S3Bucket", "S3ObjectKey"],
        optional: &["PollForSourceChanges"],
        inputs: 0..=0,
        outputs: 1..=1,
    },
    Shape {
        kind: "Build/AWS/CodeBuild/1",
        required: &["ProjectName"],
        optional: &[
            "PrimarySource",
            "EnvironmentVariables",
            "BatchEnabled",
            "CombineArtifacts",
        ],
        inputs: 1..=5,
        outputs: 0..=5,
    },
    Shape {
        kind: "Test/AWS/CodeBuild/1",
        required: &["ProjectName"],
        optional: &[
            "PrimarySource",
            "EnvironmentVariables",
            "BatchEnabled",
            "CombineArtifacts",
        ],
        inputs: 1..=5,
        outputs: 0..=5,
    },
    Shape {
        kind: "Deploy/AWS/CodeDeployToECS/1",
        required: &[
            "ApplicationName",
            "DeploymentGroupName",
            "TaskDefinitionTemplateArtifact",
            "AppSpecTemplateArtifact",
        ],
        optional: &[
            "TaskDefinitionTemplatePath",
            "AppSpecTemplatePath",
            "Image1ArtifactName",
            "Image1ContainerName",
            "Image2ArtifactName",
            "Image2ContainerName",
            "Image3ArtifactName",
            "Image3ContainerName",
            "Image4ArtifactName",
            "Image4ContainerName",
        ],
        inputs: 1..=5,
        outputs: 0..=0,
    },
    Shape {
        kind: "Approval/AWS/Manual/1",
        required: &[],
        optional: &["NotificationArn", "CustomData", "ExternalEntityLink"],
        inputs: 0..=0,
        outputs: 0..=0,
    },
];

/// Checks a declaration and fills in AWS's defaults.
pub(crate) fn check(world: &World, call: &Call, declared: &Value) -> Result<Value, Fault> {
    let mut value = declared.clone();
    fill_in(&mut value);
    let declaration: Declaration = serde_json::from_value(value.clone())
        .map_err(|error| Fault::new("ValidationException", error.to_string()))?;
    check_head(&declaration)?;
    check_unsupported(&value)?;
    check_stages(&declaration)?;
    check_artifacts(&declaration)?;
    for stage in &declaration.stages {
        for action in &stage.actions {
            check_action(call, action, &value)?;
        }
    }
    let (role, service) = (&declaration.role_arn, "codepipeline.amazonaws.com");
    let source = world.arn("codepipeline", &call.region, &declaration.name);
    if iam::can_assume(world, role, service, &source).is_err() {
        return Err(structure(format!(
            "CodePipeline is not authorized to perform AssumeRole on role {}",
            declaration.role_arn
        )));
    }
    Ok(value)
}

/// AWS's defaults, as `GetPipeline` shows them.
fn fill_in(value: &mut Value) {
    let Some(pipeline) = value.as_object_mut() else {
        return;
    };
    pipeline.entry("pipelineType").or_insert(json!("V1"));
    pipeline
        .entry("executionMode")
        .or_insert(json!("SUPERSEDED"));
    let stages = pipeline.get_mut("stages").and_then(Value::as_array_mut);
    let actions = stages
        .into_iter()
        .flatten()
        .filter_map(|stage| stage.get_mut("actions")?.as_array_mut());
    for action in actions.flatten().filter_map(Value::as_object_mut) {
        action.entry("runOrder").or_insert(json!(1));
        action.entry("configuration").or_insert(json!({}));
        action.entry("inputArtifacts").or_insert(json!([]));
        action.entry("outputArtifacts").or_insert(json!([]));
    }
}

fn check_head(declaration: &Declaration) -> Result<(), Fault> {
    check_name("pipeline", &declaration.name)?;
    if !declaration.role_arn.starts_with("arn:aws") || !declaration.role_arn.contains(":role/") {
        return Err(Fault::new(
            "ValidationException",
            format!("{} is not the ARN of a role", declaration.role_arn),
        ));
    }
    match (
        &declaration.artifact_store,
        declaration.artifact_stores.is_empty(),
    ) {
        (Some(_), true) => {}
        (None, false) => {
            return Err(structure(
                "the ecspipe sandbox has no artifactStores; use artifactStore",
            ));
        }
        _ => {
            return Err(structure(
                "Exactly one of the following parameters must be specified: artifactStore, artifactStores",
            ));
        }
    }
    match (
        declaration.pipeline_type.as_str(),
        declaration.execution_mode.as_str(),
    ) {
        ("V1" | "V2", "SUPERSEDED") | ("V2", "QUEUED" | "PARALLEL") => Ok(()),
        ("V1", "QUEUED" | "PARALLEL") => {
            let message = format!(
                "The execution mode {} is available for pipelines of type V2 only",
                declaration.execution_mode
            );
            Err(structure(message))
        }
        (kind, mode) => Err(Fault::new(
            "ValidationException",
            format!("{kind} with {mode} is not a pipeline type and execution mode"),
        )),
    }
}

/// What would change the course of an execution and isn't built.
fn check_unsupported(value: &Value) -> Result<(), Fault> {
    let lacks = |what: String| {
        Err(structure(format!(
            "the ecspipe sandbox's pipelines have no {what}"
        )))
    };
    if !value.list("triggers").is_empty() {
        return lacks("triggers".to_owned());
    }
    for stage in value.list("stages") {
        let name = stage.text("name").unwrap_or_default();
        for member in ["beforeEntry", "onSuccess"] {
            if stage.get(member).is_some_and(|value| !value.is_null()) {
                return lacks(format!("{member} (stage {name})"));
            }
        }
        let failure = stage.get("onFailure").filter(|value| !value.is_null());
        if failure.is_some_and(|value| {
            value.text("result") != Some("FAIL") || !value.list("conditions").is_empty()
        }) {
            return lacks(format!("onFailure other than FAIL (stage {name})"));
        }
        if !stage.list("blockers").is_empty() {
            return lacks(format!("blockers (stage {name})"));
        }
    }
    Ok(())
}

fn check_stages(declaration: &Declaration) -> Result<(), Fault> {
    let stages = &declaration.stages;
    if stages.len() < 2 {
        let message = format!(
            "Pipeline has only {} stage(s). There should be a minimum of 2 stages in a pipeline",
            stages.len()
        );
        return Err(structure(message));
    }
    if stages.len() > 50 {
        return Err(Fault::new(
            "LimitExceededException",
            "A pipeline can have at most 50 stages",
        ));
    }
    let mut names = BTreeSet::new();
    for (index, stage) in stages.iter().enumerate() {
        check_name("stage", &stage.name)?;
        if !names.insert(&stage.name) {
            return Err(structure(format!(
                "The stage name {} is used more than once",
                stage.name
            )));
        }
        check_stage(stage, index == 0)?;
    }
    Ok(())
}

fn check_stage(stage: &Stage, first: bool) -> Result<(), Fault> {
    if stage.actions.is_empty() || stage.actions.len() > 50 {
        let message = format!("Stage {} must have between 1 and 50 actions", stage.name);
        return Err(Fault::new("InvalidStageDeclarationException", message));
    }
    let mut names = BTreeSet::new();
    for action in &stage.actions {
        check_name("action", &action.name)?;
        if !names.insert(&action.name) {
            return Err(structure(format!(
                "The action name {} is used more than once in stage {}",
                action.name, stage.name
            )));
        }
        if first && action.action_type_id.category != "Source" {
            return Err(structure(
                "Pipeline should start with a stage that only contains source actions",
            ));
        }
        if !first && action.action_type_id.category == "Source" {
            let message = format!(
                "Action {} in stage {} is a source action: these belong in the first stage",
                action.name, stage.name
            );
            return Err(structure(message));
        }
    }
    Ok(())
}

/// Every artifact is made once, before it is used.
fn check_artifacts(declaration: &Declaration) -> Result<(), Fault> {
    let mut made: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
    for (index, stage) in declaration.stages.iter().enumerate() {
        for action in &stage.actions {
            for artifact in &action.output_artifacts {
                check_artifact_name(&artifact.name)?;
                if made
                    .insert(&artifact.name, (index, action.run_order))
                    .is_some()
                {
                    return Err(structure(format!(
                        "Output Artifact Bundle name must be unique within the pipeline. {} has been used more than once",
                        artifact.name
                    )));
                }
            }
        }
    }
    for (index, stage) in declaration.stages.iter().enumerate() {
        for action in &stage.actions {
            for artifact in &action.input_artifacts {
                let before = made
                    .get(artifact.name.as_str())
                    .is_some_and(|at| *at < (index, action.run_order));
                if !before {
                    let message = format!(
                        "Input Artifact Bundle {} in action {} is not declared as Output Artifact Bundle in any of the preceding actions",
                        artifact.name, action.name
                    );
                    return Err(structure(message));
                }
            }
        }
    }
    Ok(())
}

fn check_action(call: &Call, action: &Action, value: &Value) -> Result<(), Fault> {
    let kind = action.action_type_id.to_string();
    let shape = SHAPES
        .iter()
        .find(|shape| shape.kind == kind)
        .ok_or_else(|| {
            let known: Vec<&str> = SHAPES.iter().map(|shape| shape.kind).collect();
            refused(format!(
                "the ecspipe sandbox has no action type {kind} (action {}); it has {}",
                action.name,
                known.join(", ")
            ))
        })?;
    check_configuration(action, shape)?;
    let counts = [
        ("input", &action.input_artifacts, &shape.inputs),
        ("output", &action.output_artifacts, &shape.outputs),
    ];
    for (which, have, want) in counts {
        if !want.contains(&have.len()) {
            let message = format!(
                "Action {} has {} {which} artifact(s); the type {kind} takes between {} and {}",
                action.name,
                have.len(),
                want.start(),
                want.end()
            );
            return Err(refused(message));
        }
    }
    if let Some(timeout) = action.timeout_in_minutes {
        if action.action_type_id.category != "Approval" {
            return Err(refused(format!(
                "Action {}: timeoutInMinutes is available for manual approval actions only",
                action.name
            )));
        }
        if !(5..=86_400).contains(&timeout) {
            return Err(Fault::new(
                "ValidationException",
                "timeoutInMinutes must be between 5 and 86400",
            ));
        }
    }
    check_region(call, action, value)?;
    match action.action_type_id.provider.as_str() {
        "CodeCommit" | "S3" => check_source(action),
        "CodeBuild" => check_build(action),
        "CodeDeployToECS" => check_deploy(action),
        _ => Ok(()),
    }
}

fn check_configuration(action: &Action, shape: &Shape) -> Result<(), Fault> {
    for (key, value) in &action.configuration {
        if !shape.required.contains(&key.as_str()) && !shape.optional.contains(&key.as_str()) {
            let message = format!(
                "Action configuration for action '{}' contains unknown configuration '{key}'",
                action.name
            );
            return Err(refused(message));
        }
        if value.is_empty() || value.chars().count() > 1000 {
            let message = format!(
                "The value of '{key}' in the configuration of action '{}' must have 1 to 1000 characters",
                action.name
            );
            return Err(Fault::new("ValidationException", message));
        }
    }
    match shape
        .required
        .iter()
        .find(|key| !action.configuration.contains_key(**key))
    {
        Some(key) => Err(refused(format!(
            "Action configuration for action '{}' is missing required configuration '{key}'",
            action.name
        ))),
        None => Ok(()),
    }
}

fn check_region(call: &Call, action: &Action, value: &Value) -> Result<(), Fault> {
    let all = value
        .list("stages")
        .iter()
        .flat_map(|stage| stage.list("actions"));
    let other = all
        .filter(|other| other.text("name") == Some(&action.name))
        .filter_map(|other| other.text("region"));
    match other.into_iter().find(|region| *region != call.region) {
        Some(region) => Err(refused(format!(
            "the ecspipe sandbox has no actions in another region ({}: {region})",
            action.name
        ))),
        None => Ok(()),
    }
}

/// The sandbox starts pipelines by events. A pipeline that polls would never start there, so it says so.
fn check_source(action: &Action) -> Result<(), Fault> {
    if action
        .configuration
        .get("PollForSourceChanges")
        .map(String::as_str)
        != Some("false")
    {
        let message = format!(
            "the ecspipe sandbox does not poll: set PollForSourceChanges to false in action '{}' (AWS takes it as true where it is left out) and start the pipeline by an EventBridge rule",
            action.name
        );
        return Err(refused(message));
    }
    match action
        .configuration
        .get("OutputArtifactFormat")
        .map(String::as_str)
    {
        None | Some("CODE_ZIP") => Ok(()),
        Some(other) => Err(refused(format!(
            "the ecspipe sandbox has no OutputArtifactFormat {other} (action '{}')",
            action.name
        ))),
    }
}

fn check_build(action: &Action) -> Result<(), Fault> {
    if action
        .configuration
        .get("BatchEnabled")
        .is_some_and(|value| value == "true")
    {
        return Err(refused(format!(
            "the ecspipe sandbox has no batch builds (action '{}')",
            action.name
        )));
    }
    if action.output_artifacts.len() > 1 {
        return Err(refused(format!(
            "the ecspipe sandbox's builder makes one output artifact (action '{}')",
            action.name
        )));
    }
    if action.input_artifacts.len() > 1 {
        let primary = action.configuration.get("PrimarySource");
        if !action
            .input_artifacts
            .iter()
            .any(|artifact| Some(&artifact.name) == primary)
        {
            let message = format!(
                "Action '{}' has several input artifacts and needs one of them as PrimarySource",
                action.name
            );
            return Err(refused(message));
        }
    }
    Ok(())
}

/// Every input is a template's artifact or an image's, and every image has both its keys (AWS.md §1.2).
fn check_deploy(action: &Action) -> Result<(), Fault> {
    let configured = |key: &str| action.configuration.get(key);
    let mut named: Vec<&String> = ["TaskDefinitionTemplateArtifact", "AppSpecTemplateArtifact"]
        .into_iter()
        .filter_map(configured)
        .collect();
    for number in 1..=4 {
        let (artifact, container) = (
            format!("Image{number}ArtifactName"),
            format!("Image{number}ContainerName"),
        );
        match (configured(&artifact), configured(&container)) {
            (Some(name), Some(_)) => named.push(name),
            (None, None) => {}
            (Some(_), None) => {
                return Err(refused(format!(
                    "Action configuration is missing '{container}' configuration"
                )));
            }
            (None, Some(_)) => {
                return Err(refused(format!(
                    "Action configuration is missing '{artifact}' configuration"
                )));
            }
        }
    }
    let inputs: Vec<&String> = action
        .input_artifacts
        .iter()
        .map(|artifact| &artifact.name)
        .collect();
    if let Some(name) = named.iter().find(|name| !inputs.contains(name)) {
        return Err(refused(format!(
            "Action configuration names the artifact '{name}', which is not an input artifact"
        )));
    }
    if inputs.iter().any(|input| !named.contains(input)) {
        return Err(refused(
            "Action configuration is missing 'ImageNContainerName' configuration",
        ));
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-' | '_');
    if (1..=100).contains(&name.len()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(Fault::new(
        "ValidationException",
        format!("The {what} name '{name}' must match [A-Za-z0-9.@\\-_]+ with 1 to 100 characters"),
    ))
}

fn check_artifact_name(name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=100).contains(&name.len()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(Fault::new(
        "ValidationException",
        format!("The artifact name '{name}' must match [a-zA-Z0-9_\\-]+ with 1 to 100 characters"),
    ))
}

fn structure(message: impl Into<String>) -> Fault {
    Fault::new("InvalidStructureException", message)
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::new("InvalidActionDeclarationException", message)
}
