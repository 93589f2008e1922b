//! `plan`: what `up` would change. Must not change anything.

use ecspipe_provision::{self as provision, Graph, Inventory, Kind, Mode, Options};
use ecspipe_spec::{Budget, Spec};

use crate::args::{Global, Plan};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::plan::{Shown, View};
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Plan, world: &World) -> Result<Exit, Failure> {
    if let Some(files) = super::plans::several(global, world)? {
        return super::plans::exec(global, args, world, files).await;
    }
    let place = Place::open_to_change(global, world).await?;
    let (graph, inventory) = place.review().await?;
    let mut plan = of(&place, &graph, inventory).await?;
    plan.notes.extend(time(&place.spec, &plan));
    let shown = Shown::new(plan, place.title(), View::of(args));
    report::plan::plan(world, global, &shown);
    Ok(exit(args, &shown.plan))
}

/// The plan of one place, for whoever looks and for whoever goes on to carry it out.
pub(super) async fn of(
    place: &Place,
    graph: &Graph,
    mut inventory: Inventory,
) -> Result<provision::Plan, Failure> {
    let rollout_in_flight = place.rollout_in_flight(&inventory).await?;
    provision::observe_production(&place.account, graph, &mut inventory).await?;
    let options = Options {
        mode: Mode::Up,
        rollout_in_flight,
        delete_source: false,
    };
    let mut plan = provision::plan(graph, &inventory, &options);
    plan.notes.extend(place.notes.iter().cloned());
    Ok(plan)
}

/// How long a rollout may take, where the plan changes that.
fn time(spec: &Spec, plan: &provision::Plan) -> Option<String> {
    let mut steps = plan.steps.iter();
    let changes = steps.any(|step| step.key.kind == Kind::DeploymentGroup);
    changes.then(|| format!("a rollout takes {}", Budget::new(&spec.deploy)))
}

/// How the command ends with what it shows of a plan.
pub(super) fn exit(args: &Plan, plan: &provision::Plan) -> Exit {
    let pending = if args.refresh_only {
        !plan.drift.is_empty()
    } else if !plan.refusals.is_empty() || !plan.held_back.is_empty() {
        return Exit::Refused;
    } else {
        !plan.steps.is_empty()
    };
    if args.exit_code && pending {
        Exit::Changes
    } else {
        Exit::Done
    }
}
