//! `reroute`: lets a rollout that waits go on. Must not judge whether the new version is good.

use ecspipe_deploy::{DeploymentWait, FollowOptions, Id, Rollouts as _};

use crate::args::{Format, Global, Reroute};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::rollout::Follow;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Reroute, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let id = args.id.as_deref().map_or(Id::InFlight, Id::parse);
    let shown = Follow::new(world, global, || place.account.now());
    let options = FollowOptions {
        poll: place.poll(),
        ..FollowOptions::default()
    };
    let finish = args.finish.then_some(&options);
    let done =
        ecspipe_deploy::reroute(&place.account, &place.target(), &id, finish, &mut |event| {
            shown.event(&event)
        })
        .await?;
    if global.format == Format::Json {
        report::json(
            world,
            &serde_json::json!({"deployment": done.deployment, "ended": done.ended}),
        );
        return Ok(Exit::Done);
    }
    for wait in &done.ended {
        world.err(match wait {
            DeploymentWait::Ready => format!(
                "{}: production traffic moves to the new version",
                done.deployment
            ),
            DeploymentWait::Termination => format!("{}: the old tasks go now", done.deployment),
        });
    }
    world.err("follow it with `ecspipe watch`");
    Ok(Exit::Done)
}
