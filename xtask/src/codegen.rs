//! `cargo xtask codegen`: files of the repository that the product writes: the JSON Schemas, the CLI reference, and what
//! each example renders to. With `--check` they are compared instead.
//!
//! Must not know what is in them: it runs the built binary and keeps what that prints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::Message;

use crate::{process, workspace::Workspace};

/// The account and region that the goldens are rendered for: AWS's own documentation account.
const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";

/// An example whose spec names a schema beside it gets a copy, so that an editor finds it.
const SCHEMA_BESIDE: &str = "$schema=./ecspipe.schema.json";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a file differs from what would be written.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Generated files by path below the root.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Writes the generated files, or compares them.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<(), String> {
    let want = generate(workspace)?;
    let have = present(workspace.root())?;
    let differences = differences(&have, &want);
    if options.check {
        return if differences.is_empty() {
            Ok(())
        } else {
            for difference in &differences {
                eprintln!("{difference}");
            }
            Err("generated files are not up to date; run `cargo xtask codegen`".to_owned())
        };
    }
    write(workspace.root(), &have, &want)?;
    for difference in &differences {
        eprintln!("{difference}");
    }
    eprintln!(
        "{} generated files, {} changed",
        want.len(),
        differences.len()
    );
    Ok(())
}

fn generate(workspace: &Workspace) -> Result<Files, String> {
    let binary = build(workspace)?;
    let schema = process::read(Command::new(&binary).arg("schema"))?.into_bytes();
    let plan = process::read(Command::new(&binary).args(["schema", "plan"]))?.into_bytes();
    let events = process::read(Command::new(&binary).args(["schema", "events"]))?.into_bytes();
    let reference = process::read(Command::new(&binary).arg("docs"))?.into_bytes();
    let changes = process::read(Command::new(&binary).args(["docs", "changes"]))?.into_bytes();
    let mut files = Files::from([
        (PathBuf::from("docs/ecspipe.schema.json"), schema.clone()),
        (PathBuf::from("docs/plan.schema.json"), plan),
        (PathBuf::from("docs/events.schema.json"), events),
        (PathBuf::from("docs/cli.md"), reference),
        (PathBuf::from("docs/changes.md"), changes),
    ]);
    for example in examples(workspace.root())? {
        let source = workspace.root().join(&example);
        let scratch = workspace.target().join("codegen").join(&example);
        clear(&scratch)?;
        process::read(&mut render(&binary, &source, &scratch))?;
        for (path, bytes) in read_folder(&scratch)? {
            files.insert(example.join("expected").join(path), bytes);
        }
        let spec = source.join("ecspipe.yaml");
        let text = fs::read_to_string(&spec).map_err(|error| failed(&spec, &error))?;
        if text.contains(SCHEMA_BESIDE) {
            files.insert(example.join("ecspipe.schema.json"), schema.clone());
        }
    }
    Ok(files)
}

/// What of the generated kind lies in the repository now.
fn present(root: &Path) -> Result<Files, String> {
    let mut paths = vec![
        PathBuf::from("docs/ecspipe.schema.json"),
        PathBuf::from("docs/plan.schema.json"),
        PathBuf::from("docs/events.schema.json"),
        PathBuf::from("docs/cli.md"),
        PathBuf::from("docs/changes.md"),
    ];
    for example in examples(root)? {
        paths.push(example.join("ecspipe.schema.json"));
        let expected = example.join("expected");
        if root.join(&expected).is_dir() {
            paths.extend(
                read_folder(&root.join(&expected))?
                    .into_keys()
                    .map(|path| expected.join(path)),
            );
        }
    }
    let mut files = Files::new();
    for path in paths {
        let full = root.join(&path);
        if full.is_file() {
            let bytes = fs::read(&full).map_err(|error| failed(&full, &error))?;
            files.insert(path, bytes);
        }
    }
    Ok(files)
}

fn differences(have: &Files, want: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, bytes) in want {
        match have.get(path) {
            None => lines.push(format!("missing: {}", path.display())),
            Some(present) if present != bytes => {
                lines.push(format!("differs: {}", path.display()));
            }
            Some(_) => {}
        }
    }
    for path in have.keys().filter(|path| !want.contains_key(*path)) {
        lines.push(format!("left over: {}", path.display()));
    }
    lines
}

fn write(root: &Path, have: &Files, want: &Files) -> Result<(), String> {
    for path in have.keys().filter(|path| !want.contains_key(*path)) {
        let full = root.join(path);
        fs::remove_file(&full).map_err(|error| failed(&full, &error))?;
    }
    for (path, bytes) in want {
        if have.get(path) == Some(bytes) {
            continue;
        }
        let full = root.join(path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        }
        fs::write(&full, bytes).map_err(|error| failed(&full, &error))?;
    }
    Ok(())
}

/// Builds the CLI and returns where cargo put it, which depends on the caller's configuration.
fn build(workspace: &Workspace) -> Result<PathBuf, String> {
    let output = process::read(workspace.cargo().args([
        "build",
        "--quiet",
        // Of the whole workspace, or else its features would be others and all of it compiled a second time.
        "--workspace",
        "--bin",
        "ecspipe",
        "--message-format",
        "json-render-diagnostics",
    ]))?;
    Message::parse_stream(output.as_bytes())
        .filter_map(Result::ok)
        .find_map(|message| match message {
            Message::CompilerArtifact(artifact) if artifact.target.name == "ecspipe" => {
                artifact.executable
            }
            _ => None,
        })
        .map(PathBuf::from)
        .ok_or_else(|| "cargo build named no executable `ecspipe`".to_owned())
}

/// Folders of `examples/` that hold a spec.
fn examples(root: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = root.join("examples");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
        let entry = entry.map_err(|error| failed(&folder, &error))?;
        if entry.path().join("ecspipe.yaml").is_file() {
            found.push(Path::new("examples").join(entry.file_name()));
        }
    }
    found.sort();
    Ok(found)
}

fn render(binary: &Path, example: &Path, output: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .current_dir(example)
        .args(["render", "--account", ACCOUNT, "--region", REGION, "--out"])
        .arg(output);
    // The goldens must not depend on who writes them.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || text.starts_with("ECSPIPE_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Files below a folder, by their path inside it.
fn read_folder(folder: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inside) = open.pop() {
        let current = folder.join(&inside);
        for entry in fs::read_dir(&current).map_err(|error| failed(&current, &error))? {
            let entry = entry.map_err(|error| failed(&current, &error))?;
            let path = inside.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else {
                let bytes =
                    fs::read(entry.path()).map_err(|error| failed(&entry.path(), &error))?;
                files.insert(path, bytes);
            }
        }
    }
    Ok(files)
}

fn clear(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        entries
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn missing_changed_and_left_over_files_are_named() {
        let want = files(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let have = files(&[("a", "1"), ("b", "old"), ("d", "4")]);
        assert_eq!(
            differences(&have, &want),
            ["differs: b", "missing: c", "left over: d"]
        );
        assert!(differences(&want, &want).is_empty());
    }

    #[test]
    fn writing_makes_the_folder_equal() {
        let folder = tempfile::tempdir().unwrap();
        let have = files(&[("docs/old", "x"), ("docs/same", "y")]);
        write(folder.path(), &Files::new(), &have).unwrap();
        let want = files(&[("docs/same", "y"), ("docs/new/file", "z")]);
        write(folder.path(), &have, &want).unwrap();
        assert_eq!(read_folder(folder.path()).unwrap(), want);
    }

    #[test]
    fn only_folders_with_a_spec_are_examples() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &Files::new(),
            &files(&[("examples/a/ecspipe.yaml", ""), ("examples/b.rs", "")]),
        )
        .unwrap();
        assert_eq!(examples(root.path()).unwrap(), [Path::new("examples/a")]);
    }
}
