//! `watch`: follows a rollout. Must not change anything.

use ecspipe_deploy::{Id, Rollouts as _};

use crate::args::{Global, Watch};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report::rollout::Follow;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Watch, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Running);
    let place = Place::open(global, world).await?;
    let options = place.follow_options(&args.follow);
    let id = args.id.as_deref().map_or(Id::Latest, Id::parse);
    let shown = Follow::new(world, global, || place.account.now())
        .recording(&place, args.follow.report.as_deref())?;
    super::follow(world, &place, &id, &options, &shown).await
}
