//! What no single file shows: whether the files fit each other, the place, and AWS's limits. Reads the text that would be
//! written, not the values it came from. Must not repair anything.

use std::sync::OnceLock;

use ecspipe_spec::taskdef::{IMAGE_PLACEHOLDER, TaskDefinition};
use ecspipe_spec::{Facts, Function, HookEvent, Names, Spec, Zones};
use serde::{Deserialize, Serialize};

use crate::appspec::{AppSpec, TASK_DEFINITION_PLACEHOLDER};
use crate::buildspec;
use crate::{APPSPEC, Artifact, BUILDSPEC, RenderError, TASKDEF};

/// The largest task definition that ECS takes (AWS.md §1.6).
const TASKDEF_BYTES: usize = 64 * 1024;

/// The largest input artifact of the CodeDeployToECS action (AWS.md §1.2). Zipping makes the files smaller, never larger
/// by more than the headers, for which there is room.
const BUNDLE_BYTES: usize = 3_000_000 - 4096;

/// Something that would not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file or the key that it is about.
    pub about: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Checks the files of `spec` for the place of `facts`.
pub(crate) fn check(spec: &Spec, facts: &Facts, artifacts: &[Artifact]) -> Result<(), RenderError> {
    let mut findings = Findings(Vec::new());
    findings.place(spec, facts);
    findings.sizes(artifacts);
    let definition = findings.definition(text(artifacts, TASKDEF));
    let appspec = findings.appspec(text(artifacts, APPSPEC));
    findings.buildspec(text(artifacts, BUILDSPEC));
    if let (Some(definition), Some(appspec)) = (definition, appspec) {
        findings.together(&definition, &appspec);
        findings.names(&Names::new(&spec.app, facts), &definition);
    }
    if findings.0.is_empty() {
        Ok(())
    } else {
        Err(RenderError::Check {
            findings: findings.0,
        })
    }
}

/// All findings in one line.
pub(crate) fn sentence(findings: &[Finding]) -> String {
    let each = |finding: &Finding| match &finding.hint {
        Some(hint) => format!("{}: {} ({hint})", finding.about, finding.message),
        None => format!("{}: {}", finding.about, finding.message),
    };
    findings.iter().map(each).collect::<Vec<_>>().join("; ")
}

fn text<'a>(artifacts: &'a [Artifact], name: &str) -> &'a str {
    artifacts
        .iter()
        .find(|artifact| artifact.name == name)
        .map_or("", |artifact| &artifact.contents)
}

/// The bytes of a JSON text without the spaces between its tokens, which is what ECS counts.
fn without_spaces(text: &str) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        if in_string || !byte.is_ascii_whitespace() {
            count += 1;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    count
}

/// What is looked at in a buildspec. The rest need only be YAML.
#[derive(Deserialize)]
struct Buildspec {
    #[serde(default)]
    artifacts: BuildArtifacts,
}

#[derive(Default, Deserialize)]
struct BuildArtifacts {
    #[serde(default)]
    files: Vec<String>,
}

struct Findings(Vec<Finding>);

impl Findings {
    /// The file says where the app must be; the files are for where the caller is.
    fn place(&mut self, spec: &Spec, facts: &Facts) {
        if let Some(account) = spec
            .account
            .as_ref()
            .filter(|account| **account != facts.account)
        {
            let message = format!(
                "the spec is for account {account}, this is {}",
                facts.account
            );
            self.add(
                "account",
                message,
                Some("use the credentials of that account"),
            );
        }
        if let Some(region) = spec
            .region
            .as_ref()
            .filter(|region| **region != facts.region)
        {
            let message = format!("the spec is for region {region}, this is {}", facts.region);
            self.add(
                "region",
                message,
                Some("leave `--region` out, or change the spec"),
            );
        }
        for key in spec.unknown_roles(facts) {
            self.add(
                &key,
                "only the account knows the ARN of this role".to_owned(),
                Some("name the role by its ARN (`id`), or render with a login to the account"),
            );
        }
        if let Zones::Named(zones) = &spec.network.zones {
            for zone in zones
                .iter()
                .filter(|zone| !zone.name.starts_with(&facts.region))
            {
                let message = format!("zone {} is not in region {}", zone.name, facts.region);
                self.add(
                    "network.zones",
                    message,
                    Some("name the region's own zones, or give a number of zones"),
                );
            }
        }
    }

    fn sizes(&mut self, artifacts: &[Artifact]) {
        let total: usize = artifacts
            .iter()
            .map(|artifact| artifact.contents.len())
            .sum();
        if total > BUNDLE_BYTES {
            let message =
                format!("the files have {total} bytes, CodePipeline takes {BUNDLE_BYTES}");
            self.add(
                "service.environment",
                message,
                Some("move large values out of the environment"),
            );
        }
    }

    fn definition(&mut self, text: &str) -> Option<TaskDefinition> {
        let compact = without_spaces(text);
        if compact > TASKDEF_BYTES {
            let message =
                format!("the task definition has {compact} bytes, ECS takes {TASKDEF_BYTES}");
            self.add(
                "service.environment",
                message,
                Some("move large values out of the environment"),
            );
        }
        let placeholder = format!("<{IMAGE_PLACEHOLDER}>");
        let count = text.matches(&placeholder).count();
        if count != 1 {
            let message = format!(
                "the text {placeholder} is there {count} times, and CodePipeline replaces each"
            );
            self.add(
                TASKDEF,
                message,
                Some("take it out of `service.environment`"),
            );
        }
        self.read(TASKDEF, serde_json::from_str(text))
    }

    fn appspec(&mut self, text: &str) -> Option<AppSpec> {
        let appspec: AppSpec = self.read(APPSPEC, serde_saphyr::from_str(text))?;
        if appspec.resources.len() != 1 {
            self.add(
                APPSPEC,
                format!(
                    "{} resources, CodeDeploy wants one",
                    appspec.resources.len()
                ),
                None,
            );
        }
        self.hooks(&appspec);
        let count = text.matches(TASK_DEFINITION_PLACEHOLDER).count();
        if count != 1 {
            self.add(
                APPSPEC,
                format!("{TASK_DEFINITION_PLACEHOLDER} is there {count} times"),
                None,
            );
        }
        Some(appspec)
    }

    /// Each hook is one event that CodeDeploy knows, once, in the order in which they come, with a function.
    fn hooks(&mut self, appspec: &AppSpec) {
        let mut previous = None;
        for hook in &appspec.hooks {
            let Some((event, function)) = hook.iter().next().filter(|_| hook.len() == 1) else {
                let message = format!(
                    "a hook has {} lifecycle events, CodeDeploy wants one",
                    hook.len()
                );
                self.add(APPSPEC, message, None);
                continue;
            };
            let known = HookEvent::ALL
                .into_iter()
                .find(|known| known.lifecycle_event() == event);
            let Some(known) = known else {
                let message = format!("`{event}` is not a lifecycle event with a hook");
                self.add(APPSPEC, message, None);
                continue;
            };
            if previous.is_some_and(|previous| previous >= known) {
                self.add(APPSPEC, format!("hook `{event}` is out of order"), None);
            }
            previous = Some(known);
            if let Err(message) = Function::new(function.clone()) {
                self.add(APPSPEC, message, None);
            }
        }
    }

    /// What has the template's form is read only once, since its values can't break it.
    fn buildspec(&mut self, text: &str) {
        static IS_SOUND: OnceLock<bool> = OnceLock::new();
        let has_the_form = buildspec::has_the_form(text);
        if has_the_form && IS_SOUND.get() == Some(&true) {
            return;
        }
        let before = self.0.len();
        self.read_buildspec(text);
        if has_the_form {
            IS_SOUND.get_or_init(|| self.0.len() == before);
        }
    }

    fn read_buildspec(&mut self, text: &str) {
        let read = serde_saphyr::from_str(text);
        let Some(buildspec) = self.read::<Buildspec, _>(BUILDSPEC, read) else {
            return;
        };
        if buildspec.artifacts.files != ["imageDetail.json"] {
            self.add(
                BUILDSPEC,
                "the artifact is not imageDetail.json alone".to_owned(),
                None,
            );
        }
    }

    /// The load balancer sends its traffic to a container and a port of the task definition.
    fn together(&mut self, definition: &TaskDefinition, appspec: &AppSpec) {
        for resource in &appspec.resources {
            let target = &resource.target_service.properties.load_balancer_info;
            let container = definition
                .container_definitions
                .iter()
                .find(|one| one.name == target.container_name);
            match container {
                None => {
                    let message =
                        format!("container `{}` is not in {TASKDEF}", target.container_name);
                    self.add(APPSPEC, message, None);
                }
                Some(container) => {
                    let port = target.container_port;
                    if !container
                        .port_mappings
                        .iter()
                        .any(|mapping| mapping.container_port == port)
                    {
                        self.add(
                            APPSPEC,
                            format!("container `{}` has no port {port}", container.name),
                            None,
                        );
                    }
                    if container.image != format!("<{IMAGE_PLACEHOLDER}>") {
                        self.add(
                            TASKDEF,
                            format!(
                                "container `{}` is not the one that is built",
                                container.name
                            ),
                            None,
                        );
                    }
                }
            }
        }
    }

    /// What is deployed is what was provisioned.
    fn names(&mut self, names: &Names, definition: &TaskDefinition) {
        if definition.family != names.app() {
            self.add(
                TASKDEF,
                format!("family `{}` is not `{}`", definition.family, names.app()),
                None,
            );
        }
        let groups = definition
            .container_definitions
            .iter()
            .filter_map(|container| container.log_configuration.options.get("awslogs-group"));
        for group in groups.filter(|group| **group != names.service_log_group()) {
            self.0.push(Finding {
                about: TASKDEF.to_owned(),
                message: format!("log group `{group}` is not `{}`", names.service_log_group()),
                hint: None,
            });
        }
    }

    fn read<T, E: ToString>(&mut self, file: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.add(file, error.to_string(), None))
            .ok()
    }

    fn add(&mut self, about: &str, message: String, hint: Option<&str>) {
        self.0.push(Finding {
            about: about.to_owned(),
            message,
            hint: hint.map(str::to_owned),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::render;

    /// Renders a sound spec, breaks one file, and compares what is found.
    #[track_caller]
    fn broken(file: &str, from: &str, to: &str, want: &[&str]) {
        let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
        let facts = Facts::new("111122223333", "eu-central-1");
        let mut artifacts = render(&spec, &facts).unwrap();
        let artifact = artifacts
            .iter_mut()
            .find(|artifact| artifact.name == file)
            .unwrap();
        assert!(artifact.contents.contains(from), "{}", artifact.contents);
        artifact.contents = artifact.contents.replace(from, to);
        let have = match check(&spec, &facts, &artifacts) {
            Err(RenderError::Check { findings }) => findings,
            other => panic!("{other:?}"),
        };
        let have: Vec<String> = have
            .iter()
            .map(|one| format!("{}: {}", one.about, one.message))
            .collect();
        assert_eq!(have, want);
    }

    #[test]
    fn each_file_is_held_against_the_others() {
        broken(
            APPSPEC,
            "ContainerName: web",
            "ContainerName: app",
            &["appspec.yaml: container `app` is not in taskdef.json"],
        );
        broken(
            APPSPEC,
            "ContainerPort: 80",
            "ContainerPort: 81",
            &["appspec.yaml: container `web` has no port 81"],
        );
        broken(
            APPSPEC,
            "<TASK_DEFINITION>",
            "x",
            &["appspec.yaml: <TASK_DEFINITION> is there 0 times"],
        );
        broken(
            TASKDEF,
            "<IMAGE1_NAME>",
            "web:1",
            &[
                "taskdef.json: the text <IMAGE1_NAME> is there 0 times, and CodePipeline replaces each",
                "taskdef.json: container `web` is not the one that is built",
            ],
        );
        broken(
            TASKDEF,
            "\"family\": \"web\"",
            "\"family\": \"app\"",
            &["taskdef.json: family `app` is not `web`"],
        );
        broken(
            TASKDEF,
            "/ecs/web",
            "/ecs/app",
            &["taskdef.json: log group `/ecs/app` is not `/ecs/web`"],
        );
        broken(
            BUILDSPEC,
            "[imageDetail.json]",
            "['**/*']",
            &["buildspec.yml: the artifact is not imageDetail.json alone"],
        );
    }

    #[test]
    fn hooks_are_those_of_codedeploy() {
        for (hooks, want) in [
            ("[{ BeforeInstall: a }, { AfterInstall: b }]", None),
            (
                "[{ AfterInstall: b }, { BeforeInstall: a }]",
                Some("hook `BeforeInstall` is out of order"),
            ),
            (
                "[{ AfterInstall: b }, { AfterInstall: a }]",
                Some("hook `AfterInstall` is out of order"),
            ),
            (
                "[{ Install: b }]",
                Some("`Install` is not a lifecycle event with a hook"),
            ),
            (
                "[{ AfterInstall: 'b c' }]",
                Some("`b c` is not the name or the ARN of a Lambda function"),
            ),
            (
                "[{ BeforeInstall: a, AfterInstall: b }]",
                Some("a hook has 2 lifecycle events, CodeDeploy wants one"),
            ),
            (
                "[{}]",
                Some("a hook has 0 lifecycle events, CodeDeploy wants one"),
            ),
        ] {
            let spec =
                ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
            let facts = Facts::new("111122223333", "eu-central-1");
            let mut artifacts = render(&spec, &facts).unwrap();
            artifacts[1].contents.push_str(&format!("Hooks: {hooks}\n"));
            let have = check(&spec, &facts, &artifacts)
                .err()
                .map(|error| error.to_string());
            match want {
                None => assert_eq!(have, None),
                Some(want) => assert!(
                    have.as_ref().is_some_and(|have| have.contains(want)),
                    "{hooks}: {have:?}"
                ),
            }
        }
    }

    #[test]
    fn a_definition_is_counted_without_its_spaces() {
        for value in [
            serde_json::json!({ "a b": ["c \" d", 1, { "e\\": "\u{e4} \n" }], "f": {} }),
            serde_json::json!([" \\\" ", "\\", " "]),
        ] {
            let file = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(without_spaces(&file), value.to_string().len(), "{file}");
        }
    }

    #[test]
    fn the_bundle_must_fit_into_a_pipeline_action() {
        let padding = format!("artifacts: # {}", "x".repeat(BUNDLE_BYTES));
        let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
        let facts = Facts::new("111122223333", "eu-central-1");
        let mut artifacts = render(&spec, &facts).unwrap();
        artifacts[2].contents = artifacts[2].contents.replace("artifacts:", &padding);
        let error = check(&spec, &facts, &artifacts).unwrap_err().to_string();
        assert!(error.contains("CodePipeline takes"), "{error}");
    }

    #[test]
    fn a_file_that_can_not_be_read_is_a_finding() {
        let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
        let error = check(&spec, &Facts::new("111122223333", "eu-central-1"), &[]).unwrap_err();
        let RenderError::Check { findings } = error else {
            panic!("{error}")
        };
        assert!(
            findings.iter().any(|one| one.about == TASKDEF)
                && findings.iter().any(|one| one.about == APPSPEC)
        );
    }
}
