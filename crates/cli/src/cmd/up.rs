//! `up`: makes the account as the spec says. Must not plan or carry out by itself.

use ecspipe_deploy::Rollouts as _;
use ecspipe_provision::{Detail, Mode, Options};

use crate::args::{Format, Global, Up};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Up, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Incomplete);
    let place = Place::open_to_change(global, world).await?;
    let (graph, inventory) = place.look(Detail::Properties).await?;
    let rollout_in_flight = place.rollout_in_flight(&inventory).await?;
    let options = Options {
        mode: Mode::Up,
        rollout_in_flight,
        delete_source: false,
    };
    let mut plan = ecspipe_provision::plan(&graph, &inventory, &options);
    plan.notes.extend(place.notes.iter().cloned());
    // The plan is talk here; the data is the outputs at the end.
    report::provision::plan(&world.talking(), &global.human(), &plan, &place.title());
    if !plan.refusals.is_empty() {
        return Err(ecspipe_provision::Error::Refused(plan.refusals).into());
    }
    if !plan.steps.is_empty() && !args.yes && !world.confirm("make these changes?", "--yes")? {
        world.err("nothing was done");
        return Ok(Exit::Refused);
    }
    let known = super::carry_out(global, world, &place, &plan).await?;
    if put_first_bundle(&place).await? {
        world.err(
            "the deployment files are in S3; from now on a push to the source repository deploys",
        );
    }
    let outputs = place
        .usable(ecspipe_provision::outputs(
            &known,
            &place.spec,
            &place.existing,
        ))
        .await?;
    if global.format == Format::Human {
        world.err("");
    }
    report::provision::outputs(world, global, &outputs);
    Ok(Exit::Done)
}

/// Puts the deployment files where there are none yet, so that the first push finds them. Later ones travel with `deploy`: `up`
/// never starts a rollout of an app that runs.
async fn put_first_bundle(place: &Place) -> Result<bool, Failure> {
    let target = place.target();
    if place.account.bundle(&target).await?.is_some() {
        return Ok(false);
    }
    let bundle = place.bundle().await?;
    ecspipe_deploy::put_bundle(&place.account, &target, &bundle, &mut |_| ())
        .await
        .map_err(|error| {
            let mut failure = Failure::from(error);
            if failure.exit == Exit::Failed {
                failure.exit = Exit::Incomplete;
            }
            failure
        })?;
    Ok(true)
}
