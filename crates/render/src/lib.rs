//! Spec → files: the task definition, the AppSpec and the buildspec of a deployment, checked against each other.
//!
//! Pure: the same spec and facts give the same bytes. Must not touch files, network, clock or environment, and must not
//! import `provision` or `deploy`.

pub mod appspec;
mod buildspec;
pub mod direct;
mod lint;
mod taskdef;
mod templates;

use ecspipe_spec::{Facts, Spec};
use serde::Serialize;

pub use appspec::Network;
pub use lint::Finding;

/// The task definition's file name: CodePipeline's default (AWS.md §1.2).
pub const TASKDEF: &str = "taskdef.json";

/// The AppSpec's file name: CodePipeline's default.
pub const APPSPEC: &str = "appspec.yaml";

/// The buildspec's file name: CodeBuild's default.
pub const BUILDSPEC: &str = "buildspec.yml";

/// A file of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// Its name, such as `taskdef.json`.
    pub name: String,
    /// Its text, with a line end at the end.
    pub contents: String,
}

/// Why nothing could be rendered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The files would not work: change the spec, or the place it is rendered for.
    #[error("{}", lint::sentence(.findings))]
    Check {
        /// Everything that is wrong.
        findings: Vec<Finding>,
    },
    /// The template has a mistake: correct it.
    #[error("{}: {message}", templates::place(*.line, *.column))]
    Template {
        /// The line in the template, from 1, where it is known.
        line: Option<usize>,
        /// The column, from 1.
        column: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// The image can't be deployed: name another.
    #[error("{message}")]
    Image {
        /// What is wrong with it.
        message: String,
    },
    /// A file could not be written out as JSON or YAML: a bug.
    #[error("{file} can't be written: {message}")]
    Write {
        /// The file.
        file: &'static str,
        /// What the writer said.
        message: String,
    },
}

/// The files of a deployment of `spec` in the place of `facts`: `taskdef.json`, `appspec.yaml`, `buildspec.yml`.
/// They are checked against each other and against AWS's limits first; the error lists all that is wrong.
///
/// ```
/// use ecspipe_spec::Facts;
///
/// let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 8080 }\n").unwrap();
/// let artifacts = ecspipe_render::render(&spec, &Facts::new("111122223333", "eu-central-1")).unwrap();
/// let names: Vec<&str> = artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
/// assert_eq!(names, ["taskdef.json", "appspec.yaml", "buildspec.yml"]);
/// ```
pub fn render(spec: &Spec, facts: &Facts) -> Result<Vec<Artifact>, RenderError> {
    render_into(spec, facts, None)
}

/// The same files with the network of the new tasks in the AppSpec: its ids are known only in the account. Without it the
/// new tasks stand where the service's present ones do.
pub fn render_into(
    spec: &Spec,
    facts: &Facts,
    network: Option<&Network>,
) -> Result<Vec<Artifact>, RenderError> {
    let artifacts = vec![
        Artifact {
            name: TASKDEF.to_owned(),
            contents: taskdef::render(spec, facts)?,
        },
        Artifact {
            name: APPSPEC.to_owned(),
            contents: appspec::render(spec, network)?,
        },
        Artifact {
            name: BUILDSPEC.to_owned(),
            contents: buildspec(spec, facts)?,
        },
    ];
    lint::check(spec, facts, &artifacts)?;
    Ok(artifacts)
}

/// The buildspec alone: it goes into the CodeBuild project too.
pub fn buildspec(spec: &Spec, facts: &Facts) -> Result<String, RenderError> {
    buildspec::render(spec, facts)
}

/// The spec as a file with every default written out. It reads back to an equal spec.
pub fn resolved_yaml(spec: &Spec) -> Result<String, RenderError> {
    serde_saphyr::to_string(spec).map_err(|error| RenderError::Write {
        file: "the resolved spec",
        message: error.to_string(),
    })
}

/// A user's own handlebars template, rendered with `spec` (resolved; an optional key that is absent is null), `facts` and
/// `names` (as AWS sees them). An unknown variable is an error, nothing is escaped, and `{{json x}}` writes JSON.
pub fn template(spec: &Spec, facts: &Facts, text: &str) -> Result<String, RenderError> {
    templates::Template::read(text)?.render(&templates::context(spec, facts)?)
}
