//! `logs`: what the app's tasks write. Must not interpret it.

use ecspipe_deploy::{FollowOptions, LogEvent, LogQuery, Rollouts as _};

use crate::args::{Format, Global, Logs};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Logs, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let query = LogQuery {
        since: place.account.now().checked_sub(args.since).ok(),
        filter: args.filter.clone(),
        ..LogQuery::default()
    };
    let mut print = |event: LogEvent| match global.format {
        _ if !is_of(&event, args.task.as_deref()) => {}
        Format::Json => report::json(world, &event),
        Format::Human => {
            let task = task_of(&event);
            world.out(format!(
                "{} {} {}",
                event.at.strftime("%H:%M:%S"),
                task.get(..8).unwrap_or(task),
                event.message
            ));
        }
    };
    let target = place.target();
    if !args.follow {
        let logged = async { Ok(ecspipe_deploy::logs(&place.account, &target, &query).await?) };
        world
            .reading(Box::pin(logged))
            .await?
            .into_iter()
            .for_each(print);
        return Ok(Exit::Done);
    }
    let options = FollowOptions {
        poll: place.poll(),
        ..FollowOptions::default()
    };
    tokio::select! {
        ended = ecspipe_deploy::follow_logs(&place.account, &target, &query, &options, &mut print) => ended?,
        () = world.cancel().cancelled() => {}
    }
    Ok(Exit::Done)
}

/// A stream is named prefix, container, task.
fn task_of(event: &LogEvent) -> &str {
    event.stream.rsplit('/').next().unwrap_or_default()
}

/// Streams can only be asked for by whole names or by how they begin, and the task comes last: it is chosen here.
fn is_of(event: &LogEvent, task: Option<&str>) -> bool {
    task.is_none_or(|task| task_of(event).starts_with(task))
}
