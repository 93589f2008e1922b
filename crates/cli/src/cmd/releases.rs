//! `releases`: what was rolled out, and what is live. Must not change anything.

use crate::args::{Format, Global, Releases};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Releases, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let (account, target) = (&place.account, place.target());
    let limit = usize::from(args.limit);
    let releases = ecspipe_deploy::releases(account, account, &target, limit).await?;
    match global.format {
        Format::Json => report::json(world, &serde_json::json!({"releases": releases})),
        Format::Human => report::releases::releases(world, global, &releases),
    }
    Ok(Exit::Done)
}
