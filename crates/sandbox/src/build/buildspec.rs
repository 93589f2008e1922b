//! Reads what the builder needs of a buildspec (AWS.md §1.4): that it parses, which commands it names, and which files are
//! its artifact. Must not run a command.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::Input as _;

/// A buildspec, as far as the builder reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Buildspec {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) exported: Vec<String>,
    /// Commands by the phase's name: `pre_build`, `build`, …
    pub(super) commands: BTreeMap<String, Vec<String>>,
    /// The files of the artifact; empty where there is none.
    pub(super) files: Vec<String>,
}

impl Buildspec {
    /// Whether a command speaks of something.
    pub(super) fn mentions(&self, words: &str) -> bool {
        let mut commands = self.commands.values().flatten();
        commands.any(|command| command.contains(words))
    }
}

const PHASES: [&str; 4] = ["install", "pre_build", "build", "post_build"];

/// Parses the text. The error is in CodeBuild's words where they are known.
pub(super) fn parse(text: &str) -> Result<Buildspec, String> {
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|error| format!("Unable to parse the buildspec: {error}"))?;
    if !value.is_object() {
        return Err("The buildspec is not a mapping".to_owned());
    }
    check_version(&value)?;
    let mut buildspec = Buildspec::default();
    if let Some(env) = value.get("env") {
        read_env(env, &mut buildspec)?;
    }
    let phases = value
        .get("phases")
        .and_then(Value::as_object)
        .ok_or("Missing or invalid phases in the buildspec")?;
    for (name, phase) in phases {
        if !PHASES.contains(&name.as_str()) {
            return Err(format!(
                "Invalid buildspec phase name: {name}. Expecting: {}",
                PHASES.join(",")
            ));
        }
        buildspec
            .commands
            .insert(name.clone(), commands(name, phase)?);
    }
    if let Some(artifacts) = value.get("artifacts") {
        buildspec.files = files(artifacts)?;
    }
    Ok(buildspec)
}

fn check_version(value: &Value) -> Result<(), String> {
    match value.get("version") {
        Some(version) if version.as_f64() == Some(0.2) || version.as_str() == Some("0.2") => Ok(()),
        Some(version) => Err(format!(
            "the sandbox's builder reads buildspec version 0.2, not {version}"
        )),
        None => Err("Missing version in the buildspec".to_owned()),
    }
}

fn read_env(env: &Value, buildspec: &mut Buildspec) -> Result<(), String> {
    for unsupported in ["parameter-store", "secrets-manager"] {
        if env
            .get(unsupported)
            .and_then(Value::as_object)
            .is_some_and(|map| !map.is_empty())
        {
            return Err(format!("the sandbox's builder has no env.{unsupported}"));
        }
    }
    for (name, value) in env
        .get("variables")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned);
        buildspec.variables.insert(name.clone(), text);
    }
    buildspec.exported = env.texts("exported-variables");
    Ok(())
}

fn commands(phase: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = value
        .get("commands")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut commands = Vec::new();
    for (index, command) in list.iter().enumerate() {
        // An unquoted command with a colon becomes a map, which is the buildspec's best known trap.
        let text = command.as_str().ok_or_else(|| {
            format!(
                "Expected Commands[{index}] to be of string type: found {command} in phase {phase}"
            )
        })?;
        commands.push(text.to_owned());
    }
    Ok(commands)
}

fn files(artifacts: &Value) -> Result<Vec<String>, String> {
    for unsupported in [
        "secondary-artifacts",
        "discard-paths",
        "exclude-paths",
        "s3-prefix",
    ] {
        let given = artifacts.get(unsupported).is_some_and(|value| {
            !matches!(value, Value::Null | Value::Bool(false)) && *value != "no"
        });
        if given {
            return Err(format!(
                "the sandbox's builder has no artifacts.{unsupported}"
            ));
        }
    }
    if artifacts
        .text("base-directory")
        .is_some_and(|folder| !matches!(folder, "." | "./"))
    {
        return Err("the sandbox's builder has no artifacts.base-directory".to_owned());
    }
    let files = artifacts.texts("files");
    if files.is_empty() {
        Err("Missing artifacts.files in the buildspec".to_owned())
    } else {
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::parse;

    const GOOD: &str = "version: 0.2\nenv:\n  variables: {A: b, N: 1}\n  exported-variables: [IMAGE_URI]\nphases:\n  build:\n    on-failure: ABORT\n    commands:\n      - 'docker build .'\nartifacts:\n  files: [imageDetail.json]\n";

    #[test]
    fn the_needed_parts_are_read() {
        let have = parse(GOOD).unwrap();
        assert_eq!(have.variables["A"], "b");
        assert_eq!(have.variables["N"], "1");
        assert_eq!(have.exported, ["IMAGE_URI"]);
        assert_eq!(have.commands["build"], ["docker build ."]);
        assert_eq!(have.files, ["imageDetail.json"]);
    }

    #[test]
    fn what_codebuild_refuses_is_refused() {
        let table = [
            ("version: 0.2\nphases: [", "Unable to parse"),
            ("phases: {}", "Missing version"),
            ("version: 0.1\nphases: {}", "0.2"),
            ("version: 0.2", "Missing or invalid phases"),
            (
                "version: 0.2\nphases: {buildd: {commands: []}}",
                "Invalid buildspec phase name: buildd",
            ),
            (
                "version: 0.2\nphases: {build: {commands: [{echo a: b}]}}",
                "Commands[0]",
            ),
            (
                "version: 0.2\nphases: {}\nartifacts: {files: []}",
                "artifacts.files",
            ),
            (
                "version: 0.2\nphases: {}\nartifacts: {files: [a], base-directory: out}",
                "base-directory",
            ),
        ];
        for (text, want) in table {
            let have = parse(text).unwrap_err();
            assert!(have.contains(want), "{text}: {have}");
        }
    }
}
