//! The commands: one module each, a short `exec`. Must not parse arguments or hold what two commands share.

mod approve;
mod completions;
mod demo;
mod deploy;
mod docs;
mod doctor;
mod down;
mod exec;
mod init;
mod logs;
mod outputs;
mod plan;
mod plans;
mod policy;
mod releases;
mod render;
mod reroute;
mod rollback;
mod run;
mod sandbox;
mod scale;
mod schema;
mod status;
mod stop;
mod up;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ecspipe_deploy::{Checks, FollowOptions, Followed, Guard, Id};
use ecspipe_provision::{ApplyOptions, Conclusion, Key, Made, Mode, Plan, conclusion};

use crate::args::{Args, Command, Global};
use crate::exit::{Exit, Failure};
use crate::lease::Lease;
use crate::place::Place;
use crate::report;
use crate::report::rollout::Follow;
use crate::world::World;

/// Runs the command that `args` name; gives the code with which the process exits.
pub(crate) async fn exec(args: &Args, world: &World) -> Result<u8, Failure> {
    match &args.command {
        // It hands through how its task ended.
        Command::Run(run) => run::exec(&args.global, run, world).await,
        _ => exec_own(args, world).await.map(Exit::code),
    }
}

/// The commands that exit with a code of ours.
async fn exec_own(args: &Args, world: &World) -> Result<Exit, Failure> {
    let global = &args.global;
    match &args.command {
        Command::Init(args) => init::exec(global, args, world),
        Command::Render(args) => render::exec(global, args, world).await,
        Command::Schema(args) => schema::exec(args, world),
        Command::Plan(args) => plan::exec(global, args, world).await,
        Command::Up(args) => up::exec(global, args, world).await,
        Command::Outputs => outputs::exec(global, world).await,
        Command::Deploy(args) => deploy::exec(global, args, world).await,
        Command::Status => status::exec(global, world).await,
        Command::Watch(args) => watch::exec(global, args, world).await,
        Command::Reroute(args) => reroute::exec(global, args, world).await,
        Command::Stop(args) => stop::exec(global, args, world).await,
        Command::Rollback(args) => rollback::exec(global, args, world).await,
        Command::Approve(args) => approve::exec(global, args, world).await,
        Command::Releases(args) => releases::exec(global, args, world).await,
        Command::Run(args) => run::exec(global, args, world).await.map(|_| Exit::Done),
        Command::Exec(args) => exec::exec(global, args, world).await,
        Command::Scale(args) => scale::exec(global, args, world).await,
        Command::Logs(args) => logs::exec(global, args, world).await,
        Command::Down(args) => down::exec(global, args, world).await,
        Command::Doctor(args) => doctor::exec(global, args, world).await,
        Command::Policy(args) => policy::exec(global, args, world).await,
        Command::Sandbox(args) => sandbox::exec(args, world).await,
        Command::Demo(args) => demo::exec(global, args, world).await,
        Command::Completions(args) => completions::exec(args, world),
        Command::Docs(args) => docs::exec(args, world),
    }
}

/// Carries out a plan under a lease and shows it; an error when some of it could not be done.
async fn carry_out(
    global: &Global,
    world: &World,
    place: &Place,
    plan: &Plan,
    lease: &Lease<'_>,
) -> Result<BTreeMap<Key, Made>, Failure> {
    let mut run = report::provision::Run::new(world, global);
    let options = ApplyOptions::default();
    let outcome = ecspipe_provision::apply(
        &lease.over(&place.account),
        plan,
        &options,
        |event| run.event(&event),
        lease.cancel(),
    )
    .await?;
    let conclusion = conclusion(&outcome);
    run.close(&conclusion);
    if conclusion.is_complete() {
        return Ok(outcome.known);
    }
    let failure = incomplete(&conclusion, &go_on(global, plan));
    Err(match lease.lost() {
        Some(lost) => {
            let lost = report::lease::lost(&lost, Exit::Incomplete);
            Failure {
                details: [vec![failure.message], failure.details].concat(),
                ..lost
            }
        }
        None => failure,
    })
}

/// The command that goes on where this one has ended.
fn go_on(global: &Global, plan: &Plan) -> String {
    let mut words = vec!["ecspipe".to_owned()];
    words.push(match plan.options.mode {
        Mode::Up => "up".to_owned(),
        Mode::Down => "down".to_owned(),
    });
    if plan.options.delete_source {
        words.push("--delete-source".to_owned());
    }
    if global.file != Path::new("ecspipe.yaml") {
        words.push(format!("--file {}", global.file.display()));
    }
    let flags = [
        ("--region ", &global.region),
        ("--profile ", &global.profile),
        ("--sandbox=", &global.sandbox),
        ("--endpoint-url ", &global.endpoint_url),
    ];
    let given = flags.iter();
    words.extend(given.filter_map(|(flag, value)| Some(format!("{flag}{}", value.as_ref()?))));
    words.join(" ")
}

/// What went wrong, once a cause, with the command that goes on.
fn incomplete(conclusion: &Conclusion, command: &str) -> Failure {
    let exit = if conclusion.lacks_only_access() && conclusion.stopped.is_empty() {
        Exit::Access
    } else {
        Exit::Incomplete
    };
    let message = match (conclusion.failed(), conclusion.not_begun()) {
        (0, left) => format!("stopped before the end: {left} steps were not begun"),
        (1, left) => format!("not everything is done: 1 step failed, {left} not begun"),
        (failed, left) => {
            format!("not everything is done: {failed} steps failed, {left} not begun")
        }
    };
    Failure {
        exit,
        message,
        details: conclusion
            .causes
            .iter()
            .flat_map(report::provision::cause)
            .collect(),
        hint: Some(format!(
            "run the command again, `{command}`: it goes on where this one ended"
        )),
    }
}

/// The time between two requests of a check, on AWS.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Follows a rollout until it ends, waits for somebody (where that was asked for), or the user leaves.
async fn follow(
    world: &World,
    place: &Place,
    id: &Id,
    options: &FollowOptions,
    shown: &Follow<'_>,
) -> Result<Exit, Failure> {
    let followed = follow_to_its_end(world, place, id, options, shown).await?;
    Ok(exit_of(followed.as_ref()))
}

fn exit_of(followed: Option<&Followed>) -> Exit {
    followed.map_or(Exit::Running, |followed| match followed.reached {
        Some(_) => Exit::Done,
        None => Exit::of_verdict(&followed.verdict),
    })
}

/// What it came to; nothing where whoever follows leaves.
async fn follow_to_its_end(
    world: &World,
    place: &Place,
    id: &Id,
    options: &FollowOptions,
    shown: &Follow<'_>,
) -> Result<Option<Followed>, Failure> {
    let target = place.target();
    let probe = place.probe().await?;
    let guard = Guard {
        fail_fast: place.fail_fast(),
        checks: probe.as_ref().map(|probe| Checks {
            checks: &place.spec.deploy.checks,
            prober: probe,
            every: place.real(CHECK_EVERY),
        }),
    };
    let mut on_event = |event: ecspipe_deploy::Event| shown.event(&event);
    let followed =
        ecspipe_deploy::follow_guarded(&place.account, &target, id, options, guard, &mut on_event);
    let followed = shown.during(followed);
    tokio::select! {
        followed = followed => {
            let followed = followed.map_err(report::rollout::lost)?;
            shown.end(&followed, options.until);
            Ok(Some(followed))
        }
        () = world.cancel().cancelled() => {
            world.leave_drawn();
            world.err("left; the rollout goes on. Follow it again with `ecspipe watch`");
            Ok(None)
        }
    }
}
