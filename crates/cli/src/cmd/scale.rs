//! `scale`: changes how many tasks run. Must not change the spec: that is the user's.

use crate::args::{Format, Global, Scale};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Scale, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let question = "production will serve nothing: scale to 0 tasks?";
    if args.tasks == 0 && !args.yes && !world.confirm(question, "--yes")? {
        world.err("nothing was done");
        return Ok(Exit::Refused);
    }
    let target = place.target();
    let account = &place.account;
    let scaled = ecspipe_deploy::scale(account, account, &target, args.tasks).await?;
    if global.format == Format::Json {
        let value = serde_json::json!({"service": target.service, "before": scaled.before, "now": scaled.now});
        report::json(world, &value);
        return Ok(Exit::Done);
    }
    if scaled.before == i64::from(scaled.now) {
        world.err(format!(
            "{} has {} wanted already",
            target.service,
            tasks(scaled.now)
        ));
        return Ok(Exit::Done);
    }
    world.err(format!(
        "{}: {} wanted, {} before; `ecspipe status` shows how many run",
        target.service,
        tasks(scaled.now),
        scaled.before
    ));
    let spec = place.spec.service.desired_count;
    if spec != scaled.now {
        world.err(format!(
            "until the next `ecspipe up`, which wants the spec's {} again: to keep it, write `service.desired_count: {}`",
            tasks(spec),
            scaled.now
        ));
    }
    Ok(Exit::Done)
}

fn tasks(count: u32) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}
