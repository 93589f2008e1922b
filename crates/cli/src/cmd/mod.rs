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

use ecspipe_deploy::{
    FollowOptions, Id, LogEvent, LogQuery, Rollouts as _, StepStatus, Target, Timestamp, Verdict,
};
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

/// Follows a rollout until it ends, waits for somebody (where that was asked for), or the user leaves.
async fn follow(
    world: &World,
    place: &Place,
    id: &Id,
    options: &FollowOptions,
    shown: &Follow<'_>,
) -> Result<Exit, Failure> {
    let target = place.target();
    let mut on_event = |event: ecspipe_deploy::Event| shown.event(&event);
    let followed = ecspipe_deploy::follow(&place.account, &target, id, options, &mut on_event);
    let followed = shown.during(followed);
    tokio::select! {
        verdict = followed => {
            let verdict = verdict.map_err(report::rollout::lost)?;
            if matches!(verdict, Verdict::Failed { .. }) {
                shown.build_log(&failed_build(place, id).await);
            }
            shown.verdict(&verdict);
            Ok(Exit::of_verdict(&verdict))
        }
        () = world.cancel().cancelled() => {
            world.err("left; the rollout goes on. Follow it again with `ecspipe watch`");
            Ok(Exit::Running)
        }
    }
}

/// How many of a failed build's last lines are shown.
const BUILD_LINES: usize = 20;

/// What the build said last, where it is a build that failed: AWS's own words are only that it did. Nothing where that
/// can't be read: the failure itself is told all the same.
async fn failed_build(place: &Place, id: &Id) -> Vec<LogEvent> {
    let Some(build) = failed_build_id(place, id).await else {
        return Vec::new();
    };
    let target = Target {
        log_group: place.names().build_log_group(),
        ..place.target()
    };
    let query = LogQuery {
        since: build.1,
        ..LogQuery::default()
    };
    let mut lines = ecspipe_deploy::logs(&place.account, &target, &query)
        .await
        .unwrap_or_default();
    lines.retain(|line| line.stream.ends_with(&build.0));
    lines.split_off(lines.len().saturating_sub(BUILD_LINES))
}

/// The last part of the build's id, which ends its log stream's name, and when it began.
async fn failed_build_id(place: &Place, id: &Id) -> Option<(String, Option<Timestamp>)> {
    let target = place.target();
    let resolved = ecspipe_deploy::resolve(&place.account, &target, id).await;
    let Ok(Some(Id::Execution(execution))) = resolved else {
        return None;
    };
    let execution = place.account.execution(&target, &execution).await.ok()??;
    let mut actions = execution.stages.into_iter().flat_map(|stage| stage.actions);
    let failed = actions.find(|action| {
        action.status == Some(StepStatus::Failed) && action.provider.as_deref() == Some("CodeBuild")
    })?;
    let build = failed.external_id?.rsplit(':').next()?.to_owned();
    Some((build, failed.started))
}
