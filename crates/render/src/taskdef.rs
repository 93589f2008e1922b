//! `taskdef.json`: the task definition with CodePipeline's placeholder for the image. What is in it is decided in
//! `ecspipe_spec::taskdef`, which the bootstrap definition comes from too. Must not decide anything itself.

use ecspipe_spec::taskdef::{Image, TaskDefinition};
use ecspipe_spec::{Facts, Spec};

use crate::{RenderError, TASKDEF};

/// The file's text.
pub(crate) fn render(spec: &Spec, facts: &Facts) -> Result<String, RenderError> {
    let definition = TaskDefinition::new(spec, facts, &Image::Placeholder);
    match serde_json::to_string_pretty(&definition) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(RenderError::Write {
            file: TASKDEF,
            message: error.to_string(),
        }),
    }
}
