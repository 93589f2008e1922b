//! The AppSpec of an ECS deployment, typed (AWS.md §1.1). Must not hold hooks or network settings that the spec has no keys for:
//! what is absent here stays as the service has it.

use ecspipe_spec::Spec;
use serde::{Deserialize, Serialize};

use crate::{APPSPEC, RenderError};

/// What CodePipeline replaces with the ARN of the task definition that it registers.
pub const TASK_DEFINITION_PLACEHOLDER: &str = "<TASK_DEFINITION>";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// Always `0.0`, a YAML float.
    pub version: f64,
    /// One resource: the service.
    #[serde(rename = "Resources")]
    pub resources: Vec<Resource>,
}

/// A map of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Resource {
    /// The service that is deployed to.
    pub target_service: TargetService,
}

/// The service that is deployed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TargetService {
    /// Always `AWS::ECS::Service`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What the new task set is made of.
    pub properties: Properties,
}

/// What the new task set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Properties {
    /// The ARN with its revision, or CodePipeline's placeholder.
    pub task_definition: String,
    /// Where the load balancer sends its traffic.
    pub load_balancer_info: LoadBalancerInfo,
    /// The version of the Fargate platform.
    pub platform_version: String,
}

/// Where the load balancer sends its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LoadBalancerInfo {
    /// A container of the task definition.
    pub container_name: String,
    /// A port of that container: a number, where every other value is text.
    pub container_port: u16,
}

impl AppSpec {
    /// The AppSpec of `spec` with a task definition: an ARN, or [`TASK_DEFINITION_PLACEHOLDER`].
    pub fn new(spec: &Spec, task_definition: &str) -> Self {
        let properties = Properties {
            task_definition: task_definition.to_owned(),
            load_balancer_info: LoadBalancerInfo {
                container_name: spec.app.to_string(),
                container_port: spec.service.port,
            },
            platform_version: "LATEST".to_owned(),
        };
        let target_service = TargetService {
            kind: "AWS::ECS::Service".to_owned(),
            properties,
        };
        Self {
            version: 0.0,
            resources: vec![Resource { target_service }],
        }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, RenderError> {
        serde_saphyr::to_string(self).map_err(|error| RenderError::Write {
            file: APPSPEC,
            message: error.to_string(),
        })
    }
}

/// The file's text with CodePipeline's placeholder.
pub(crate) fn render(spec: &Spec) -> Result<String, RenderError> {
    AppSpec::new(spec, TASK_DEFINITION_PLACEHOLDER).to_yaml()
}
