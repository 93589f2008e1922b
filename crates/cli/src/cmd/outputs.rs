//! `outputs`: URLs and names of what `up` made. Must not change anything.

use ecspipe_provision::Detail;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, world: &World) -> Result<Exit, Failure> {
    let place = Place::open_to_remove(global, world).await?;
    let (_, inventory) = place.look(Detail::Identity).await?;
    if inventory.owned.is_empty() {
        let message = format!("there is nothing of {} {}", place.spec.app, place.title());
        return Err(Failure::new(Exit::Refused, message).hint("make it with `ecspipe up`"));
    }
    let outputs = place
        .usable(ecspipe_provision::outputs(
            &inventory.known(),
            &place.spec,
            &place.existing,
        ))
        .await?;
    report::provision::outputs(world, global, &outputs);
    Ok(Exit::Done)
}
