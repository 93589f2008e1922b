//! `up`: makes the account as the spec says, under the app's lease. Must not plan or carry out by itself.

use std::collections::BTreeMap;

use ecspipe_deploy::Rollouts as _;
use ecspipe_provision::{ActionKind, Detail, Graph, HeldBack, Key, Kind, Made, Plan};

use crate::args::{Format, Global, Up};
use crate::exit::{Exit, Failure};
use crate::lease::Lease;
use crate::place::Place;
use crate::report;
use crate::report::plan::{Shown, View};
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Up, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Incomplete);
    let place = Place::open_to_change(global, world).await?;
    let mut lease = Lease::take(&place, world, &args.lease, "ecspipe up").await?;
    let ended = make(global, args, world, &place, &mut lease).await;
    lease.end(ended).await
}

async fn make(
    global: &Global,
    args: &Up,
    world: &World,
    place: &Place,
    lease: &mut Lease<'_>,
) -> Result<Exit, Failure> {
    let Some(plan) = agreed(global, args, world, place, lease).await? else {
        world.err("nothing was done");
        return Ok(Exit::Refused);
    };
    let known = super::carry_out(global, world, place, &plan, lease).await?;
    if put_first_bundle(place, &plan, &known).await? {
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
    if plan.held_back.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(held_back(&plan.held_back))
    }
}

/// Everything else is done. What waits for the rollout is refused, so that a script can tell it from an account that is as the spec says.
fn held_back(held_back: &[HeldBack]) -> Failure {
    let details = held_back
        .iter()
        .map(|held| format!("{}: {}", held.key, held.message))
        .collect();
    let message = match held_back.len() {
        1 => "1 change is held back; the others are done".to_owned(),
        count => format!("{count} changes are held back; the others are done"),
    };
    Failure {
        details,
        hint: held_back.first().map(|held| held.hint.clone()),
        ..Failure::new(Exit::Refused, message)
    }
}

/// The plan of what was seen while the lease was held, once the user agrees; `None` where they don't. In an account without the app's
/// bucket nobody can hold the lease. There the plan comes first, then the user's word, then the bucket and the lease in it; and if
/// somebody was there in between, it is all seen anew.
async fn agreed(
    global: &Global,
    args: &Up,
    world: &World,
    place: &Place,
    lease: &mut Lease<'_>,
) -> Result<Option<Plan>, Failure> {
    let mut seen: Option<Plan> = None;
    loop {
        let (graph, mut plan) = world.reading(Box::pin(planned(place))).await?;
        if !plan.refusals.is_empty() && !lease.is_held() {
            // What was seen may be half of what somebody else is making at this moment: then there is a lease by now.
            lease.ask_again().await?;
            if lease.is_held() {
                continue;
            }
        }
        if seen.as_ref() != Some(&plan) {
            // The plan is talk here; the data is the outputs at the end.
            let shown = Shown::new(plan, place.title(), View::default());
            report::plan::plan(&world.talking(), &global.human(), &shown);
            plan = shown.plan;
            if !plan.refusals.is_empty() {
                return Err(ecspipe_provision::Error::Refused(plan.refusals).into());
            }
            lease.open()?;
            if !plan.steps.is_empty()
                && !args.yes
                && !world.confirm("make these changes?", "--yes")?
            {
                return Ok(None);
            }
        }
        lease.assured().await?;
        if lease.is_held() || plan.steps.is_empty() || lease.found(&graph).await? {
            return Ok(Some(plan));
        }
        seen = Some(plan);
    }
}

/// What is wanted, and what that changes.
async fn planned(place: &Place) -> Result<(Graph, Plan), Failure> {
    let (graph, inventory) = place.look(Detail::Properties).await?;
    let plan = super::plan::of(place, &graph, inventory).await?;
    Ok((graph, plan))
}

/// Puts the deployment files where there are none yet, so that the first push finds them. Later ones travel with `deploy`: `up`
/// never starts a rollout of an app that runs. What the plan has come to is `known`, so nothing that it has made is asked for again.
async fn put_first_bundle(
    place: &Place,
    plan: &Plan,
    known: &BTreeMap<Key, Made>,
) -> Result<bool, Failure> {
    let target = place.target();
    let in_new_bucket = plan
        .steps
        .iter()
        .any(|step| step.key.kind == Kind::Bucket && step.action.kind() == ActionKind::Create);
    if !in_new_bucket && place.account.bundle(&target).await?.is_some() {
        return Ok(false);
    }
    let bundle = place.bundle(&place.made_network(known)?)?;
    ecspipe_deploy::put_first_bundle(&place.account, &target, &bundle)
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
