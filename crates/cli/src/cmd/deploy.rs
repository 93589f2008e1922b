//! `deploy`: renders, puts the bundle, starts the pipeline (or, with an image, CodeDeploy alone), follows. Must not poll.

use std::time::Duration;

use ecspipe_deploy::{Id, Intent, Rollouts as _, Start, StartOptions};
use ecspipe_render::direct;

use crate::args::{Deploy, Format, Global};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::rollout::{Follow, short_arn};
use crate::world::World;

/// How long `--push` waits for one.
const PUSH: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn exec(global: &Global, args: &Deploy, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Running);
    let place = Place::open(global, world).await?;
    let options = place.follow_options(&args.follow);
    let shown = Follow::new(world, global, || place.account.now())
        .recording(&place, args.follow.report.as_deref())?;
    if args.queue {
        let (target, poll) = (place.target(), place.poll());
        let mut on_event = |event| shown.event(&event);
        let queued = ecspipe_deploy::queue(&place.account, &target, poll, &mut on_event);
        shown.during(queued).await?;
    }
    let id = match &args.image {
        Some(image) => {
            let started = by_image(&place, args, image, &shown, world);
            shown.during(started).await?
        }
        None => {
            let started = by_pipeline(&place, args, &shown, world);
            shown.during(started).await?
        }
    };
    if args.detach {
        let (Id::Execution(text) | Id::Deployment(text)) = &id else {
            return Ok(Exit::Done);
        };
        match global.format {
            Format::Json => report::json(world, &serde_json::json!({"id": text})),
            Format::Human => world.out(text),
        }
        return Ok(Exit::Done);
    }
    let exit = super::follow(world, &place, &id, &options, &shown).await?;
    if exit == Exit::Done {
        retire(&place, world).await;
    }
    Ok(exit)
}

/// What a rollout leaves behind is tidied up where one has succeeded. The rollout is done all the same where that fails.
async fn retire(place: &Place, world: &World) {
    let account = &place.account;
    match ecspipe_deploy::retire(account, account, &place.target()).await {
        Ok(retired) => match retired.as_slice() {
            [] => {}
            [one] => world.err(format!("retired {}", short_arn(one))),
            [first, .., last] => world.err(format!(
                "retired {} old task definitions, {} to {}",
                retired.len(),
                short_arn(first),
                short_arn(last)
            )),
        },
        Err(error) => world.err(format!(
            "old task definitions could not be retired: {error}"
        )),
    }
}

async fn by_pipeline(
    place: &Place,
    args: &Deploy,
    shown: &Follow<'_>,
    world: &World,
) -> Result<Id, Failure> {
    let bundle = place.bundle(&world.reading(Box::pin(place.network())).await?)?;
    place
        .preflight(
            &Intent {
                architecture: place.image_architecture(),
                roles: &place.rollout_roles(true),
                bundle: Some(&bundle.sha256),
                force: args.force,
                ..Intent::default()
            },
            world,
        )
        .await?;
    // The same bundle asked for twice in a second is one intention.
    let token = format!(
        "{}-{}",
        &bundle.sha256[..32],
        place.account.now().as_second()
    );
    let mut options = StartOptions::new(token);
    options.push_wait = place
        .real(options.push_wait)
        .max(Duration::from_millis(500));
    options.poll = place.poll();
    if args.push {
        options.start = Start::Push {
            within: place.real(PUSH),
        };
    }
    let started = ecspipe_deploy::start(
        &place.account,
        &place.target(),
        &bundle,
        &options,
        &mut |event| shown.event(&event),
    )
    .await?;
    Ok(Id::Execution(started.execution))
}

async fn by_image(
    place: &Place,
    args: &Deploy,
    image: &str,
    shown: &Follow<'_>,
    world: &World,
) -> Result<Id, Failure> {
    // Says first of all whether the app is made.
    let app_spec = place.app_spec().await?;
    place
        .preflight(
            &Intent {
                image: Some(image),
                architecture: place.image_architecture(),
                roles: &place.rollout_roles(false),
                force: args.force,
                ..Intent::default()
            },
            world,
        )
        .await?;
    let definition = direct::task_definition(&place.spec, &place.facts, image)?;
    let definition = serde_json::to_value(&definition)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let mut options = StartOptions::new(format!("image-{}", place.account.now().as_millisecond()));
    options.poll = place.poll();
    let description = format!("ecspipe deploy --image {image}");
    let started = ecspipe_deploy::start_image(
        &place.account,
        &place.target(),
        &definition,
        &app_spec,
        &description,
        &options,
        &mut |event| shown.event(&event),
    )
    .await?;
    Ok(Id::Deployment(started.deployment))
}
