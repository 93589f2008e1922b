//! `down`: deletes everything that `up` made, under the app's lease. Must not plan or carry out by itself.

use ecspipe_provision::{Detail, Mode, Options, Plan};

use crate::args::{Down, Global};
use crate::exit::{Exit, Failure};
use crate::lease::Lease;
use crate::place::Place;
use crate::report;
use crate::report::plan::{Shown, View};
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Down, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Incomplete);
    let place = Place::open_to_remove(global, world).await?;
    let mut lease = Lease::take(&place, world, &args.lease, "ecspipe down").await?;
    let ended = remove(global, args, world, &place, &mut lease).await;
    lease.end(ended).await
}

async fn remove(
    global: &Global,
    args: &Down,
    world: &World,
    place: &Place,
    lease: &mut Lease<'_>,
) -> Result<Exit, Failure> {
    match agreed(global, args, world, place, lease).await? {
        Agreed::Done(exit) => Ok(exit),
        Agreed::Plan(plan) => {
            super::carry_out(global, world, place, &plan, lease).await?;
            Ok(Exit::Done)
        }
    }
}

/// What there is to do after the user was asked.
enum Agreed {
    /// Nothing, or not with the user's consent.
    Done(Exit),
    /// This.
    Plan(Box<Plan>),
}

/// The plan of what was seen while the lease was held, once the user agrees. Where there is no bucket to hold it in, little can be left,
/// and none is made only to be deleted: whoever has made one meanwhile is at work.
async fn agreed(
    global: &Global,
    args: &Down,
    world: &World,
    place: &Place,
    lease: &mut Lease<'_>,
) -> Result<Agreed, Failure> {
    let app = place.spec.app.as_str();
    let mut seen: Option<Plan> = None;
    loop {
        let (graph, inventory) = world
            .reading(Box::pin(place.look(Detail::Identity)))
            .await?;
        // A deployment in flight goes with its group: whoever takes an app down doesn't wait for its rollout.
        let options = Options {
            mode: Mode::Down,
            rollout_in_flight: false,
            delete_source: args.delete_source,
        };
        let mut plan = ecspipe_provision::plan(&graph, &inventory, &options);
        if seen.as_ref() != Some(&plan) {
            if plan.steps.is_empty() && plan.refusals.is_empty() && plan.notes.is_empty() {
                let title = place.title();
                world.err(format!("there is nothing of {app} {title}"));
                return Ok(Agreed::Done(Exit::Done));
            }
            let shown = Shown::new(plan, place.title(), View::default());
            report::plan::plan(&world.talking(), &global.human(), &shown);
            plan = shown.plan;
            if !plan.refusals.is_empty() {
                return Err(ecspipe_provision::Error::Refused(plan.refusals).into());
            }
            if plan.steps.is_empty() {
                return Ok(Agreed::Done(Exit::Done));
            }
            lease.open()?;
            if !args.yes && !is_confirmed(app, world)? {
                world.err("that isn't the app's name; nothing was done");
                return Ok(Agreed::Done(Exit::Refused));
            }
        }
        lease.assured().await?;
        if !lease.is_held() {
            lease.ask_again().await?;
            if lease.is_held() {
                seen = Some(plan);
                continue;
            }
        }
        return Ok(Agreed::Plan(Box::new(plan)));
    }
}

fn is_confirmed(app: &str, world: &World) -> Result<bool, Failure> {
    let answer = world.ask(
        &format!("this can't be undone; type the app's name ({app}) to delete it"),
        "--yes",
    )?;
    Ok(answer.trim() == app)
}
