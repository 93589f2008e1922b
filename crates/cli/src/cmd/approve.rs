//! `approve`: answers whatever waits for a person. Must not judge whether the new version is good.

use ecspipe_deploy::{Reply, Waiting};

use crate::args::{Approve, Format, Global};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Approve, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let what = if args.reject { "rejected" } else { "approved" };
    let reply = Reply {
        approved: !args.reject,
        why: args
            .message
            .clone()
            .unwrap_or_else(|| format!("{what} with ecspipe")),
    };
    let target = place.target();
    let name = args.what.as_deref();
    let account = &place.account;
    let answered = ecspipe_deploy::approve(account, account, &target, name, &reply).await?;
    if global.format == Format::Json {
        let value = serde_json::json!({"answered": answered, "approved": reply.approved});
        report::json(world, &value);
        return Ok(Exit::Done);
    }
    world.err(match (&answered, reply.approved) {
        (Waiting::Deployment { deployment }, true) => {
            format!("deployment {deployment} was at Ready: production traffic moves to the new version")
        }
        (Waiting::Deployment { deployment }, false) => {
            format!("deployment {deployment} was at Ready: it is stopped, and CodeDeploy takes the traffic back to the old version")
        }
        (Waiting::Approval(_), true) => {
            format!("{} of the pipeline is approved: it goes on", answered.name())
        }
        (Waiting::Approval(_), false) => {
            format!("{} of the pipeline is rejected: its execution ends there", answered.name())
        }
    });
    world.err("follow it with `ecspipe watch`");
    Ok(Exit::Done)
}
