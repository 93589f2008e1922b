//! `plan`: what `up` would change. Must not change anything.

use ecspipe_provision as provision;
use ecspipe_provision::{Graph, Inventory, Mode, Options};

use crate::args::{Global, Plan};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Plan, world: &World) -> Result<Exit, Failure> {
    if let Some(files) = super::plans::several(global, world)? {
        return super::plans::exec(global, args, world, files).await;
    }
    let place = Place::open_to_change(global, world).await?;
    let (graph, inventory) = place.review().await?;
    let plan = of(&place, &graph, &inventory).await?;
    report::provision::plan(world, global, &plan, &place.title());
    Ok(exit(args, &plan))
}

/// The plan of one place.
pub(super) async fn of(
    place: &Place,
    graph: &Graph,
    inventory: &Inventory,
) -> Result<provision::Plan, Failure> {
    let rollout_in_flight = place.rollout_in_flight(inventory).await?;
    let options = Options {
        mode: Mode::Up,
        rollout_in_flight,
        delete_source: false,
    };
    let mut plan = provision::plan(graph, inventory, &options);
    plan.notes.extend(place.notes.iter().cloned());
    Ok(plan)
}

/// How the command ends with this plan.
pub(super) fn exit(args: &Plan, plan: &provision::Plan) -> Exit {
    match () {
        () if !plan.refusals.is_empty() => Exit::Refused,
        () if args.exit_code && !plan.steps.is_empty() => Exit::Changes,
        () => Exit::Done,
    }
}
