//! `rollback`: goes back to the last good version, or to one that is named. Must not choose it: the library does.

use ecspipe_deploy::{Id, Intent, Rollback, Rollouts as _};

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
        Some(revision) => Some(to_revision(&place, revision, &app_spec, &shown).await?),
        None => to_last_good(&place, world, &app_spec, &shown).await?,
    };
    let Some(deployment) = begun else {
        return Ok(Exit::Done);
    };
    if args.detach {
        match global.format {
            Format::Json => report::json(world, &serde_json::json!({"id": deployment})),
            Format::Human => world.out(&deployment),
        }
        return Ok(Exit::Done);
    }
    super::follow(world, &place, &Id::Deployment(deployment), &options, &shown).await
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

/// The deployment to follow; none where what was left half way has been put back.
async fn to_last_good(
    place: &Place,
    world: &World,
    app_spec: &(dyn Fn(&str) -> String + Sync),
    shown: &Follow<'_>,
) -> Result<Option<String>, Failure> {
    let begun = ecspipe_deploy::rollback(
        &place.account,
        &place.target(),
        app_spec,
        place.poll(),
        &mut |event| shown.event(&event),
    )
    .await?;
    Ok(match begun {
        Rollback::PutBack(_) => None,
        Rollback::Stopped { deployment } => {
            world.err(format!(
                "{deployment} was in flight: it is stopped, and CodeDeploy takes the traffic back"
            ));
            Some(deployment)
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
            Some(deployment)
        }
    })
}
