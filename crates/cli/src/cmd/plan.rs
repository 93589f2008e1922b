//! `plan`: what `up` would change. Must not change anything.

use ecspipe_provision::{Mode, Options};

use crate::args::{Global, Plan};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Plan, world: &World) -> Result<Exit, Failure> {
    let place = Place::open_to_change(global, world).await?;
    let (graph, inventory) = place.review().await?;
    let rollout_in_flight = place.rollout_in_flight(&inventory).await?;
    let options = Options {
        mode: Mode::Up,
        rollout_in_flight,
        delete_source: false,
    };
    let mut plan = ecspipe_provision::plan(&graph, &inventory, &options);
    plan.notes.extend(place.notes.iter().cloned());
    report::provision::plan(world, global, &plan, &place.title());
    Ok(match () {
        () if !plan.refusals.is_empty() => Exit::Refused,
        () if args.exit_code && !plan.steps.is_empty() => Exit::Changes,
        () => Exit::Done,
    })
}
