//! `schema`: the JSON Schema of the spec. Must not describe anything by itself.

use crate::exit::{Exit, Failure};
use crate::world::World;

pub(crate) fn exec(world: &World) -> Result<Exit, Failure> {
    world.out_raw(text().as_bytes());
    Ok(Exit::Done)
}

/// The schema as it stands in a file.
pub(crate) fn text() -> String {
    // `{:#}` on a JSON value is its indented form, and can't fail.
    format!("{:#}\n", ecspipe_spec::schema())
}
