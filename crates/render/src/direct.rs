//! A deployment without the pipeline: an image that exists, a task definition that is registered by the caller, and the
//! AppSpec that names it. The same sources as the files of the pipeline. Must not call AWS.

use ecspipe_spec::taskdef::{Image, TaskDefinition};
use ecspipe_spec::{Facts, Spec, check_image};

use crate::RenderError;
use crate::appspec::{AppSpec, Network};

/// The task definition with `image` in the place of the pipeline's placeholder.
pub fn task_definition(
    spec: &Spec,
    facts: &Facts,
    image: &str,
) -> Result<TaskDefinition, RenderError> {
    check_image(image).map_err(|message| RenderError::Image { message })?;
    Ok(TaskDefinition::new(
        spec,
        facts,
        &Image::Uri(image.to_owned()),
    ))
}

/// The content of the AppSpec (YAML) for the registered task definition with `arn`, revision included. Without a network the
/// new tasks stand where the present ones do.
pub fn appspec(spec: &Spec, arn: &str, network: Option<&Network>) -> Result<String, RenderError> {
    AppSpec::new(spec, arn, network).to_yaml()
}
