//! `run`: a task of what is live, once, with its log streamed and its exit code handed through. Must not interpret what it says.

use ecspipe_deploy::{Rollouts as _, RunEnded, RunEvent};

use crate::args::{Format, Global, Run};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report;
use crate::report::rollout::short_arn;
use crate::world::World;

pub(crate) async fn exec(global: &Global, args: &Run, world: &World) -> Result<u8, Failure> {
    world.at_second_interrupt(Exit::Running);
    let place = Place::open(global, world).await?;
    let (account, target) = (&place.account, place.target());
    let mut tell = |event: RunEvent| match global.format {
        Format::Json if args.detach => {}
        Format::Json => report::json(world, &event),
        Format::Human => say(world, &event),
    };
    // The same command asked for twice at the same moment is one intention.
    let token = format!("ecspipe-run-{}", account.now().as_millisecond());
    let begun =
        ecspipe_deploy::begin_run(account, account, &target, &args.command, &token, &mut tell)
            .await?;
    if args.detach {
        match global.format {
            Format::Json => report::json(world, &serde_json::json!({"task": begun.task})),
            Format::Human => world.out(&begun.task),
        }
        return Ok(Exit::Done.code());
    }
    let attended =
        ecspipe_deploy::attend_run(account, account, &target, &begun, place.poll(), &mut tell);
    tokio::select! {
        ended = attended => code(ended?),
        () = world.cancel().cancelled() => {
            let task = &begun.task;
            world.err(format!("left; the task goes on. Its log: `ecspipe logs --follow --task {task}`"));
            Ok(Exit::Running.code())
        }
    }
}

/// Lines of the task are data; what becomes of it is talk.
fn say(world: &World, event: &RunEvent) {
    match event {
        RunEvent::TaskStarted {
            task,
            task_definition,
        } => world.err(format!(
            "task {task} of {} started",
            short_arn(task_definition)
        )),
        RunEvent::TaskChanged { status, .. } => {
            world.err(format!("task {}", status.to_ascii_lowercase()));
        }
        RunEvent::TaskLogged { line } => world.out(&line.message),
        RunEvent::TaskEnded {
            exit_code, reason, ..
        } => {
            let code = exit_code.map(|code| format!(" with exit code {code}"));
            let reason = reason.as_ref().map(|reason| format!(": {reason}"));
            world.err(format!(
                "task ended{}{}",
                code.unwrap_or_default(),
                reason.unwrap_or_default()
            ));
        }
    }
}

/// A process ends with a byte.
fn code(ended: RunEnded) -> Result<u8, Failure> {
    match ended.exit_code {
        Some(code) => Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        None => {
            let why = ended
                .reason
                .unwrap_or_else(|| "AWS does not say why".to_owned());
            let message = format!("the container never ran: {why}");
            Err(Failure::new(Exit::Failed, message).hint(format!(
                "`ecspipe logs --task {}` shows what it said",
                ended.task
            )))
        }
    }
}
