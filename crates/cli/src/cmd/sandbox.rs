//! `sandbox`: an AWS account on a port of this machine, until Ctrl-C. Must not hold what the account does.

use ecspipe_sandbox::{Options, services};

use crate::args::Sandbox;
use crate::exit::{Exit, Failure};
use crate::world::World;

pub(crate) async fn exec(args: &Sandbox, world: &World) -> Result<Exit, Failure> {
    if args.list {
        for (service, operations) in services::operations() {
            for operation in operations {
                world.out(format!("{service}:{operation}"));
            }
        }
        return Ok(Exit::Done);
    }
    let sandbox = open(args.speed, args.data.as_ref().map(|data| world.path(data)))?;
    let server = sandbox.serve(args.port).map_err(failure)?;
    let url = server.url();
    world.err(format!(
        "an AWS account listens at {url} (speed {}, {})",
        args.speed,
        kept(args)
    ));
    world.err(format!(
        "  ecspipe --sandbox{} up",
        if args.port == 4570 {
            String::new()
        } else {
            format!("={}", server.port())
        }
    ));
    world.err(format!("  aws --endpoint-url {url} ecs list-clusters      (any AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY will do)"));
    world.err("Ctrl-C ends it");
    world.cancel().cancelled().await;
    server.stop().await.map_err(failure)?;
    world.err(format!("ended; {}", kept(args)));
    Ok(Exit::Done)
}

fn kept(args: &Sandbox) -> String {
    match &args.data {
        Some(folder) => format!("state kept in {}", folder.display()),
        None => "state is gone with the process: `--data DIR` keeps it".to_owned(),
    }
}

/// A sandbox at a speed that makes sense.
pub(super) fn open(
    speed: f64,
    data: Option<std::path::PathBuf>,
) -> Result<ecspipe_sandbox::Sandbox, Failure> {
    if !(0.01..=100_000.0).contains(&speed) {
        return Err(
            Failure::new(Exit::Usage, format!("`--speed {speed}` is not possible"))
                .hint("name a number from 0.01 to 100000; 1 is AWS's own pace"),
        );
    }
    ecspipe_sandbox::Sandbox::new(&Options { speed, data }).map_err(failure)
}

pub(super) fn failure(error: ecspipe_sandbox::Error) -> Failure {
    let hint = match &error {
        ecspipe_sandbox::Error::Port { .. } => {
            Some("choose another with `--port`, or stop what listens there".to_owned())
        }
        ecspipe_sandbox::Error::State { .. } => Some(
            "name another folder with `--data`, or remove this one to begin with an empty account"
                .to_owned(),
        ),
        ecspipe_sandbox::Error::Data { .. } => {
            Some("name a folder that you may write with `--data`".to_owned())
        }
        ecspipe_sandbox::Error::Git { .. } => None,
    };
    let exit = match &error {
        ecspipe_sandbox::Error::Git { .. } => Exit::Failed,
        _ => Exit::Usage,
    };
    let mut failure = Failure::new(exit, error.to_string());
    failure.hint = hint;
    failure
}
