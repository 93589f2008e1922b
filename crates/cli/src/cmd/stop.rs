//! `stop`: ends the rollout in flight. Must not follow it.

use ecspipe_deploy::{AfterStop, Id, Stopped};

use crate::args::{Format, Global, Stop};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Stop, world: &World) -> Result<Exit, Failure> {
    let place = Place::open(global, world).await?;
    let id = args.id.as_deref().map_or(Id::InFlight, Id::parse);
    let then = if args.no_rollback {
        AfterStop::Leave
    } else {
        AfterStop::RollBack
    };
    let stopped = ecspipe_deploy::stop(&place.account, &place.target(), &id, then).await?;
    if global.format == Format::Json {
        let value = match &stopped {
            Stopped::Deployment {
                deployment, then, ..
            } => {
                serde_json::json!({"deployment": deployment, "then": then})
            }
            Stopped::Execution { execution } => serde_json::json!({"execution": execution}),
        };
        report::json(world, &value);
        return Ok(Exit::Done);
    }
    match stopped {
        Stopped::Deployment {
            deployment,
            then: AfterStop::RollBack,
            ..
        } => {
            world.err(format!(
                "{deployment} is stopped, and CodeDeploy takes the traffic back to the old version"
            ));
            world.err("follow it with `ecspipe watch`");
        }
        Stopped::Deployment {
            deployment,
            then: AfterStop::Leave,
            left,
        } => {
            world.err(format!(
                "{deployment} is stopped where it was: traffic and tasks stay as they are"
            ));
            world.err(match left {
                Some(_) => {
                    "`ecspipe status` shows what serves production; `ecspipe rollback` leads it back to the old version alone"
                }
                // Here `rollback` would go back to a version before the one that serves.
                None => "`ecspipe status` shows what serves production",
            });
        }
        Stopped::Execution { execution } => world.err(format!(
            "pipeline execution {execution} is stopped before its deployment"
        )),
    }
    Ok(Exit::Done)
}
