//! `down`: deletes everything that `up` made. Must not plan or carry out by itself.

use ecspipe_provision::{Detail, Mode, Options};

use crate::args::{Down, Global};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::plan::{Shown, View};
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Down, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Incomplete);
    let place = Place::open_to_remove(global, world).await?;
    let (graph, inventory) = place.look(Detail::Identity).await?;
    // A deployment in flight goes with its group: whoever takes an app down doesn't wait for its rollout.
    let options = Options {
        mode: Mode::Down,
        rollout_in_flight: false,
        delete_source: args.delete_source,
    };
    let plan = ecspipe_provision::plan(&graph, &inventory, &options);
    if plan.steps.is_empty() && plan.refusals.is_empty() && plan.notes.is_empty() {
        let (app, title) = (place.spec.app.as_str(), place.title());
        world.err(format!("there is nothing of {app} {title}"));
        return Ok(Exit::Done);
    }
    let shown = Shown::new(plan, place.title(), View::default());
    report::plan::plan(&world.talking(), &global.human(), &shown);
    let plan = shown.plan;
    if !plan.refusals.is_empty() {
        return Err(ecspipe_provision::Error::Refused(plan.refusals).into());
    }
    if plan.steps.is_empty() {
        return Ok(Exit::Done);
    }
    let app = place.spec.app.as_str();
    if !args.yes {
        let answer = world.ask(
            &format!("this can't be undone; type the app's name ({app}) to delete it"),
            "--yes",
        )?;
        if answer.trim() != app {
            world.err("that isn't the app's name; nothing was done");
            return Ok(Exit::Refused);
        }
    }
    super::carry_out(global, world, &place, &plan).await?;
    Ok(Exit::Done)
}
