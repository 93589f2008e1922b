//! `buildspec.yml`: builds the image, pushes it, and leaves `imageDetail.json` with its digest (AWS.md §1.4).
//! Must not write text of the spec into a command: it goes in as environment variables, which the shell doesn't read as code.

use std::sync::LazyLock;

use ecspipe_spec::{Architecture, Facts, Names, Spec};
use serde_json::json;

use crate::RenderError;
use crate::templates::Template;

/// Read once: that takes longer than to render it.
static TEMPLATE: LazyLock<Result<Template, RenderError>> =
    LazyLock::new(|| Template::read(include_str!("buildspec.yml.hbs")));

/// The file's text.
pub(crate) fn render(spec: &Spec, facts: &Facts) -> Result<String, RenderError> {
    let names = Names::new(&spec.app, facts);
    let platform = match spec.service.architecture {
        Architecture::X86_64 => "linux/amd64",
        Architecture::Arm64 => "linux/arm64",
    };
    let context = json!({
        "repository_uri": format!("{}/{}", facts.registry(), names.app()),
        "dockerfile": spec.build.dockerfile,
        "context": spec.build.context,
        "platform": platform,
    });
    match &*TEMPLATE {
        Ok(template) => template.render(&context),
        Err(error) => Err(error.clone()),
    }
}
