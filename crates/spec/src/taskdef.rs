//! The task definition, typed: the input of `RegisterTaskDefinition` as far as ecspipe uses it.
//! One function makes both the bootstrap definition that the service starts with and the one that a deployment
//! registers, so that family, roles, ports and log group can't differ. Must not know where the result goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::RoleName;
use crate::{Architecture, Facts, Names, Spec};

/// The placeholder that CodePipeline's CodeDeployToECS action replaces with the image of `imageDetail.json`.
pub const IMAGE_PLACEHOLDER: &str = "IMAGE1_NAME";

/// What runs until the first deployment where the spec names no image: it answers on any port and path.
pub const BOOTSTRAP_IMAGE: &str = "public.ecr.aws/docker/library/busybox:1.37";

/// The input of `RegisterTaskDefinition` (camelCase JSON; API reference of Amazon ECS, and AWS.md §1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDefinition {
    /// The family; revisions count up within it.
    pub family: String,
    /// The ARN of the role with which ECS starts the task.
    pub execution_role_arn: String,
    /// The ARN of the role that the app's code has.
    pub task_role_arn: String,
    /// Always `awsvpc`, which Fargate demands.
    pub network_mode: String,
    /// Always `[FARGATE]`.
    pub requires_compatibilities: Vec<String>,
    /// CPU units, as a string of digits.
    pub cpu: String,
    /// MiB, as a string of digits.
    pub memory: String,
    /// The processor and operating system.
    pub runtime_platform: RuntimePlatform,
    /// The containers: one.
    pub container_definitions: Vec<ContainerDefinition>,
}

/// The processor and operating system of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePlatform {
    /// `X86_64` or `ARM64`.
    pub cpu_architecture: String,
    /// Always `LINUX`.
    pub operating_system_family: String,
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDefinition {
    /// Its name, which AppSpec and service refer to.
    pub name: String,
    /// The image, or `<IMAGE1_NAME>`.
    pub image: String,
    /// The task ends when it ends.
    pub essential: bool,
    /// The command, where it isn't the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The port that it listens on.
    pub port_mappings: Vec<PortMapping>,
    /// Plain environment variables, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<KeyValue>,
    /// Where its output goes.
    pub log_configuration: LogConfiguration,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// 1 to 65535.
    pub container_port: u16,
    /// Always `tcp`.
    pub protocol: String,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The log driver with its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogConfiguration {
    /// Always `awslogs`.
    pub log_driver: String,
    /// `awslogs-group`, `awslogs-region`, `awslogs-stream-prefix`.
    pub options: BTreeMap<String, String>,
}

/// Which image a definition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// What the service starts with: the spec's `service.image`, or a placeholder that answers the health check.
    Bootstrap,
    /// CodePipeline's placeholder, replaced when a run registers the definition.
    Placeholder,
    /// A given image.
    Uri(String),
}

impl TaskDefinition {
    /// The task definition of `spec` in the account of `facts`.
    pub fn new(spec: &Spec, facts: &Facts, image: &Image) -> Self {
        let names = Names::new(&spec.app, facts);
        let role = |role| spec.role_arn(facts, role);
        Self {
            family: names.app().to_owned(),
            execution_role_arn: role(RoleName::Execution),
            task_role_arn: role(RoleName::Task),
            network_mode: "awsvpc".to_owned(),
            requires_compatibilities: vec!["FARGATE".to_owned()],
            cpu: spec.service.cpu.to_string(),
            memory: spec.service.memory.to_string(),
            runtime_platform: RuntimePlatform {
                cpu_architecture: match spec.service.architecture {
                    Architecture::X86_64 => "X86_64".to_owned(),
                    Architecture::Arm64 => "ARM64".to_owned(),
                },
                operating_system_family: "LINUX".to_owned(),
            },
            container_definitions: vec![container(spec, facts, &names, image)],
        }
    }
}

fn container(spec: &Spec, facts: &Facts, names: &Names, image: &Image) -> ContainerDefinition {
    let (image, command) = match image {
        Image::Uri(uri) => (uri.clone(), Vec::new()),
        Image::Placeholder => (format!("<{IMAGE_PLACEHOLDER}>"), Vec::new()),
        Image::Bootstrap => match &spec.service.image {
            Some(image) => (image.clone(), Vec::new()),
            None => (BOOTSTRAP_IMAGE.to_owned(), bootstrap_command(spec)),
        },
    };
    let options = [
        ("awslogs-group", names.service_log_group()),
        ("awslogs-region", facts.region.clone()),
        ("awslogs-stream-prefix", names.app().to_owned()),
    ];
    ContainerDefinition {
        name: names.app().to_owned(),
        image,
        essential: true,
        command,
        port_mappings: vec![PortMapping {
            container_port: spec.service.port,
            protocol: "tcp".to_owned(),
        }],
        environment: spec
            .service
            .environment
            .iter()
            .map(|(name, value)| KeyValue {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        log_configuration: LogConfiguration {
            log_driver: "awslogs".to_owned(),
            options: options
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        },
    }
}

/// BusyBox's web server on the app's port, with a page where the health check looks. The path goes in through
/// `$0`, the port through `$1`: nothing of the spec is ever read as shell.
fn bootstrap_command(spec: &Spec) -> Vec<String> {
    let script = "p=\"/www/${0#/}\"; case \"$p\" in */) p=\"${p}index.html\";; esac; \
                  mkdir -p \"$(dirname \"$p\")\" && echo 'Waiting for the first deployment.' | tee /www/index.html > \"$p\" && \
                  exec httpd -f -p \"$1\" -h /www";
    let path = spec
        .service
        .health_check
        .path
        .split('?')
        .next()
        .unwrap_or("/")
        .to_owned();
    vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        path,
        spec.service.port.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn definition(extra: &str, image: &Image) -> TaskDefinition {
        let spec = crate::parse(&format!(
            "version: 1\napp: web\nservice:\n  port: 8080\n{extra}"
        ))
        .unwrap();
        TaskDefinition::new(&spec, &Facts::new("111122223333", "eu-central-1"), image)
    }

    #[test]
    fn bootstrap_and_deployed_definition_differ_in_image_and_command_only() {
        let mut bootstrap = definition("", &Image::Bootstrap);
        assert_eq!(bootstrap.container_definitions[0].image, BOOTSTRAP_IMAGE);
        let mut deployed = definition("", &Image::Placeholder);
        assert_eq!(deployed.container_definitions[0].image, "<IMAGE1_NAME>");
        for definition in [&mut bootstrap, &mut deployed] {
            definition.container_definitions[0].image.clear();
            definition.container_definitions[0].command.clear();
        }
        assert_eq!(bootstrap, deployed);
    }

    #[test]
    fn a_named_image_runs_its_own_command() {
        let container = definition("  image: httpd:2.4.58\n", &Image::Bootstrap)
            .container_definitions
            .remove(0);
        assert_eq!(
            (container.image.as_str(), container.command.len()),
            ("httpd:2.4.58", 0)
        );
    }

    #[test]
    fn path_and_port_are_arguments_of_the_bootstrap_script() {
        let extra = "  health_check: { path: \"/a/$(id)';x?q=1\" }\n";
        let command = definition(extra, &Image::Bootstrap)
            .container_definitions
            .remove(0)
            .command;
        assert_eq!(command[..2], ["sh", "-c"]);
        assert!(
            !command[2].contains("$(id)") && !command[2].contains("8080"),
            "{}",
            command[2]
        );
        assert_eq!(command[3..], ["/a/$(id)';x", "8080"]);
    }

    #[test]
    fn optional_parts_are_left_out_and_a_definition_reads_back() {
        let definition = definition(
            "  environment: { B: '2', A: '1' }\n",
            &Image::Uri("web:1".to_owned()),
        );
        let text = serde_json::to_string(&definition).unwrap();
        assert!(
            !text.contains("command")
                && text.contains(r#"[{"name":"A","value":"1"},{"name":"B","value":"2"}]"#),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<TaskDefinition>(&text).unwrap(),
            definition
        );
    }
}
