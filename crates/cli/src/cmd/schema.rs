//! `schema`: the JSON Schema of what ecspipe reads or prints. Must not describe anything by itself.

use serde_json::Value;

use crate::args::{Schema, SchemaOf};
use crate::exit::{Exit, Failure};
use crate::report;
use crate::world::World;

pub(crate) fn exec(args: &Schema, world: &World) -> Result<Exit, Failure> {
    let text = match args.of {
        SchemaOf::Spec => text(),
        SchemaOf::Plan => written(&ecspipe_provision::document::schema()),
        SchemaOf::Events => written(&report::rollout::schema()),
    };
    world.out_raw(text.as_bytes());
    Ok(Exit::Done)
}

/// The spec's schema as it stands in a file.
pub(crate) fn text() -> String {
    written(&ecspipe_spec::schema())
}

fn written(schema: &Value) -> String {
    // `{:#}` on a JSON value is its indented form, and can't fail.
    format!("{schema:#}\n")
}
