//! `status`: one screen. Must not change anything.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let status = ecspipe_deploy::status(&place.account, &place.target()).await?;
    let outputs = place.urls().await?;
    report::status::status(world, global, &status, &outputs);
    Ok(Exit::Done)
}
