//! `rollback`: goes back to the last good version, or to one that is named. Must not choose it: the library does.

use ecspipe_deploy::{DeployError, HalfWay, Id, Intent, Rollback, Rollouts as _, Verdict};

use crate::args::{Format, Global, Rollback as Args};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::rollout::{Follow, short_arn};
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Args, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Running);
    let place = Place::open(global, world).await?;
    let options = place.follow_options(&args.follow);
    let question = match args.to {
        Some(revision) => format!("go back to revision {revision}?"),
        None => "go back to the last good version?".to_owned(),
    };
    if !args.yes && !world.confirm(&question, "--yes")? {
        world.err("nothing was done");
        return Ok(Exit::Refused);
    }
    let shown = Follow::new(world, global, || place.account.now())
        .recording(&place, args.follow.report.as_deref())?;
    // Says first of all whether the app is made.
    let app_spec = place.app_spec().await?;
    place
        .preflight(
            &Intent {
                architecture: place.image_architecture(),
                roles: &place.rollout_roles(false),
                force: args.force,
                goes_back: args.to.is_none(),
                ..Intent::default()
            },
            world,
        )
        .await?;
    let begun = match args.to {
        Some(revision) => {
            Begun::Deployment(to_revision(&place, revision, &app_spec, &shown).await?)
        }
        None => to_last_good(&place, world, &app_spec, &shown).await?,
    };
    let (deployment, is_stopped) = match begun {
        Begun::Nothing => return Ok(Exit::Done),
        Begun::Deployment(id) => (id, false),
        Begun::Stop(id) => (id, true),
    };
    if args.detach {
        match global.format {
            Format::Json => report::json(world, &serde_json::json!({"id": deployment})),
            Format::Human => world.out(&deployment),
        }
        return Ok(Exit::Done);
    }
    let id = Id::Deployment(deployment);
    let followed = super::follow_to_its_end(world, &place, &id, &options, &shown).await?;
    match followed.as_ref().map(|followed| &followed.verdict) {
        // As it was asked to. Where no deployment has succeeded before, CodeDeploy takes back what it did without another one.
        Some(Verdict::RolledBack { .. }) if is_stopped => Ok(Exit::Done),
        Some(Verdict::Stopped { .. }) if is_stopped && is_in_order(&place).await? => Ok(Exit::Done),
        _ => Ok(super::exit_of(followed.as_ref())),
    }
}

async fn is_in_order(place: &Place) -> Result<bool, Failure> {
    let (_, left) = HalfWay::look(&place.account, &place.target())
        .await
        .map_err(DeployError::from)?;
    Ok(left.is_none())
}

/// What is to be followed.
enum Begun {
    /// What was left half way has been put back: nothing.
    Nothing,
    /// A deployment that goes back.
    Deployment(String),
    /// A deployment that was stopped, and is to be rolled back.
    Stop(String),
}

async fn to_revision(
    place: &Place,
    revision: u32,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    shown: &Follow<'_>,
) -> Result<String, Failure> {
    let (deployment, _) = ecspipe_deploy::rollback_to(
        &place.account,
        &place.account,
        &place.target(),
        revision,
        app_spec,
        place.poll(),
        &mut |event| shown.event(&event),
    )
    .await?;
    Ok(deployment)
}

async fn to_last_good(
    place: &Place,
    world: &World,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    shown: &Follow<'_>,
) -> Result<Begun, Failure> {
    let begun = ecspipe_deploy::rollback(
        &place.account,
        &place.target(),
        app_spec,
        place.poll(),
        &mut |event| shown.event(&event),
    )
    .await?;
    Ok(match begun {
        Rollback::PutBack(_) => Begun::Nothing,
        Rollback::Stopped { deployment } => {
            world.err(format!(
                "{deployment} was in flight: it is stopped, and CodeDeploy takes the traffic back to the old version"
            ));
            Begun::Stop(deployment)
        }
        Rollback::Created {
            deployment,
            task_definition,
            good,
        } => {
            world.err(format!(
                "{deployment} goes back to {} (of {good})",
                short_arn(&task_definition)
            ));
            Begun::Deployment(deployment)
        }
    })
}
