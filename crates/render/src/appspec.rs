//! The AppSpec of an ECS deployment, typed (AWS.md §1.1). Must not look up a network: what is absent here stays as the service
//! has it.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::{HookEvent, Spec};
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
    /// The Lambda functions that CodeDeploy calls, in the order of the events: maps of one lifecycle event to a function's name
    /// or ARN.
    #[serde(default, rename = "Hooks", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<BTreeMap<String, String>>,
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
    /// The network of the new tasks; without it they stand where the service's present ones do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
}

/// The network of the new tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct NetworkConfiguration {
    /// Subnets, security groups and public address: all three, as CodeDeploy wants them.
    pub awsvpc_configuration: AwsvpcConfiguration,
}

/// Subnets, security groups and public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AwsvpcConfiguration {
    /// The ids of the subnets, sorted.
    pub subnets: Vec<String>,
    /// The ids of the security groups, sorted.
    pub security_groups: Vec<String>,
    /// `ENABLED` or `DISABLED`.
    pub assign_public_ip: String,
}

/// Where new tasks are to stand, by ids that only the account knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The ids of the subnets.
    pub subnets: BTreeSet<String>,
    /// The ids of the security groups.
    pub security_groups: BTreeSet<String>,
    /// Whether the tasks get public addresses.
    pub public_addresses: bool,
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
    /// The AppSpec of `spec` with a task definition: an ARN, or [`TASK_DEFINITION_PLACEHOLDER`]. Without a network the new tasks
    /// stand where the present ones do.
    pub fn new(spec: &Spec, task_definition: &str, network: Option<&Network>) -> Self {
        let properties = Properties {
            task_definition: task_definition.to_owned(),
            load_balancer_info: LoadBalancerInfo {
                container_name: spec.app.to_string(),
                container_port: spec.service.port,
            },
            platform_version: "LATEST".to_owned(),
            network_configuration: network.map(configuration),
        };
        let target_service = TargetService {
            kind: "AWS::ECS::Service".to_owned(),
            properties,
        };
        Self {
            version: 0.0,
            resources: vec![Resource { target_service }],
            hooks: hooks(spec),
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

fn hooks(spec: &Spec) -> Vec<BTreeMap<String, String>> {
    let in_order = HookEvent::ALL
        .into_iter()
        .filter_map(|event| Some((event, spec.deploy.hooks.get(&event)?)));
    in_order
        .map(|(event, function)| {
            let event = event.lifecycle_event().to_owned();
            BTreeMap::from([(event, function.to_string())])
        })
        .collect()
}

fn configuration(network: &Network) -> NetworkConfiguration {
    let public = if network.public_addresses {
        "ENABLED"
    } else {
        "DISABLED"
    };
    NetworkConfiguration {
        awsvpc_configuration: AwsvpcConfiguration {
            subnets: network.subnets.iter().cloned().collect(),
            security_groups: network.security_groups.iter().cloned().collect(),
            assign_public_ip: public.to_owned(),
        },
    }
}

/// The file's text with CodePipeline's placeholder.
pub(crate) fn render(spec: &Spec, network: Option<&Network>) -> Result<String, RenderError> {
    AppSpec::new(spec, TASK_DEFINITION_PLACEHOLDER, network).to_yaml()
}
