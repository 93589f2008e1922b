//! `docs`: the reference of all commands as Markdown, from the command line's own definition; and the change table. Must not depend on the
//! terminal or the machine: the text is kept in the project and compared.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::args::{Args, Docs, Page};
use crate::exit::{Exit, Failure};
use crate::world::World;

pub(crate) fn exec(args: &Docs, world: &World) -> Result<Exit, Failure> {
    let text = match args.page {
        Page::Commands => text(),
        Page::Changes => ecspipe_provision::change_table::markdown(),
    };
    world.out_raw(text.as_bytes());
    Ok(Exit::Done)
}

const EXITS: [Exit; 11] = [
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Spec,
    Exit::Refused,
    Exit::Incomplete,
    Exit::Rollout,
    Exit::Access,
    Exit::Waiting,
    Exit::Running,
    Exit::Changes,
];

fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "Done.",
        Exit::Failed => "A bug, or an unexpected failure.",
        Exit::Usage => "The arguments are wrong.",
        Exit::Spec => "The spec is wrong.",
        Exit::Refused => {
            "Refused: an unsafe change, a rollout in flight. Of `up` and `plan` also: something is held back, and everything else is done."
        }
        Exit::Incomplete => "Provisioning is incomplete; run again.",
        Exit::Rollout => "The rollout failed, was stopped or rolled back.",
        Exit::Access => "No access: credentials, region, permission.",
        Exit::Waiting => "Waits for a person.",
        Exit::Running => "Still running when the time to follow ended.",
        Exit::Changes => "Changes are pending (`plan --exit-code`).",
    }
}

/// What `--format json` prints, where a sentence says it.
fn json(command: &str) -> Option<&'static str> {
    match command {
        "init" => Some(
            "`{\"spec\": FILE, \"schema\": FILE, \"app\": NAME, \"port\": PORT}`, once the files are written.",
        ),
        "render" => Some(
            "the files as one object, name to text: `{\"taskdef.json\": \"…\", \"appspec.yaml\": \"…\", \"buildspec.yml\": \"…\"}`. \
             With `--out`: `{\"written\": [PATH, …]}`. With `--resolved`: the spec. \
             `--stdout` and `--template` print the bytes as they are, whatever the format.",
        ),
        "plan" => Some(
            "one value, whose JSON Schema `ecspipe schema plan` prints (`docs/plan.schema.json`): \
             `{\"version\": 1, \"summary\": {\"create\", \"update\", \"replace\", \"delete\", \"unchanged\", \"held_back\"}, \
             \"plan\": {\"app\", \"dangers\", \"steps\", \"held_back\", \"refusals\", \"drift\", \"deferred\", \"delegated\", \"unchanged\", \"notes\"}}`; \
             with `--area` also `\"area\"` and `\"left_out\"`; with `--refresh-only` `\"refresh\": {\"app\", \"dangers\", \"drift\", \"delegated\"}` instead of summary and plan. \
             For several specs: `{\"version\": 1, \"plans\": [{\"file\", …the same…} | {\"file\", \"error\": {\"message\", \"details\", \"hint\", \"exit\"}}], \"summary\", \"failed\"}`. \
             Fields may be added; what is there keeps its name and its meaning, or the version grows.",
        ),
        "up" | "down" => Some(
            "a line an event: `{\"event\": \"plan_made\" | \"step_started\" | \"step_progressed\" | \"step_finished\" | \"step_failed\" | \"step_skipped\" | \"cancelled\", …}`; \
             the last line of a complete `up` is what `outputs` prints, also where something is held back.",
        ),
        "outputs" => Some(
            "one object; what doesn't exist is missing: `production_url`, `test_url`, `clone_url_http`, `clone_url_ssh`, `repository`, `cluster`, `service`, \
             `deployment_application`, `deployment_group`, `pipeline`, `bundle_bucket`.",
        ),
        "deploy" | "watch" | "rollback" => Some(
            "a line an event: `{\"at\": TIME, \"event\": NAME, …}`, by the schema that `ecspipe schema events` prints; the last is `{\"event\": \"ended\", \"verdict\": {\"verdict\": \"succeeded\" | \"rolled_back\" | \"failed\" | \"stopped\" | \
             \"superseded\" | \"cancelled\" | \"waiting_for_human\" | \"still_running\", …}}`. A bad end says why: `\"why\": {\"cause\", \"what\", \"details\", \"log\", \"next\"}`; \
             `\"reached\"` names the point of `--wait-until`. With `--detach`: `{\"id\": ID}` at the end. A `rollback` that only puts back what \
             a stop has left half way ends with `{\"event\": \"put_back\", \"target_group\", \"task_sets\": [ID, …]}`.",
        ),
        "status" => Some(
            "`{\"status\": {\"at\", \"service\", \"live\", \"listeners\", \"health\", \"in_flight\", \"executions\", \"deployments\", \"settings\"}, \"outputs\": {\"production_url\", \"test_url\"}}`.",
        ),
        "approve" => Some(
            "`{\"answered\": {\"waiting\": \"deployment\", \"deployment\": ID} | {\"waiting\": \"approval\", \"stage\", \"action\", \"execution\", \"summary\", \"since\"}, \"approved\": BOOL}`.",
        ),
        "releases" => Some(
            "`{\"releases\": [{\"revision\", \"task_definition\", \"live\", \"active\", \"image\", \"commit\", \"message\", \"deployment\", \"execution\", \
             \"purpose\": \"release\" | \"rollback\" | \"automatic_rollback\" | \"first\", \"begun\", \"ended\", \"by\", \"status\"}, …]}`, newest first; what isn't known is null.",
        ),
        "run" => Some(
            "a line an event: `{\"event\": \"task_started\" | \"task_changed\" | \"task_logged\" | \"task_ended\", …}`; the last is \
             `{\"event\": \"task_ended\", \"task\", \"exit_code\", \"reason\"}`. With `--detach`: `{\"task\": ID}`.",
        ),
        "scale" => Some("`{\"service\": NAME, \"before\": COUNT, \"now\": COUNT}`."),
        "reroute" => Some("`{\"deployment\": ID, \"ended\": [\"ready\", \"termination\"]}`."),
        "stop" => Some(
            "`{\"deployment\": ID, \"then\": \"roll_back\" | \"leave\"}`, or `{\"execution\": ID}` before there is a deployment.",
        ),
        "doctor" => Some(
            "`{\"app\", \"region\", \"checks\": [{\"check\", \"state\": \"ok\" | \"not_ok\" | \"skipped\", \"what\", \"details\": [LINE, …], \"next\"}, …]}`; \
             `next` is missing where nothing has to be done. Exit 0 only if none is `not_ok`; else 7 where access is in the way, 4 where the account is.",
        ),
        "policy" => Some(
            "`{\"app\", \"account\", \"region\", \"commands\", \"documents\": [DOCUMENT, …], \"statements\": [{\"sid\", \"reason\", \"actions\", \"resources\", \"condition\"}, …]}`; \
             each document fits into one managed policy. With `--out`: `{\"written\": [PATH, …]}`.",
        ),
        "logs" => Some("a line an event: `{\"id\", \"at\", \"stream\", \"message\"}`."),
        _ => None,
    }
}

fn text() -> String {
    let mut root = Args::command();
    root.build();
    let mut text = String::from(
        "# ecspipe, command by command\n\nWritten by `ecspipe docs`; don't edit it by hand.\n",
    );
    let _ = write!(text, "\n{}\n", sentence(&root));
    let _ = write!(text, "\n| Command | |\n|---|---|\n");
    for command in shown(&root) {
        let name = command.get_name();
        let _ = writeln!(
            text,
            "| [`{name}`](#ecspipe-{name}) | {} |",
            cell(&sentence(command))
        );
    }
    let own: Vec<&Arg> = root
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    let _ = write!(text, "\n## Options of every command\n");
    options(&mut text, &own);
    for command in shown(&root) {
        section(&mut text, command);
    }
    exits(&mut text);
    text
}

fn shown(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn section(text: &mut String, command: &Command) {
    let name = command.get_name();
    let _ = write!(text, "\n## `ecspipe {name}`\n\n{}\n", sentence(command));
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && arg.get_id() != "help" && !arg.is_hide_set())
        .collect();
    let _ = write!(text, "\n```text\n{}\n```\n", usage(name, &own));
    let (positional, named): (Vec<&Arg>, Vec<&Arg>) =
        own.into_iter().partition(|arg| arg.is_positional());
    if !positional.is_empty() {
        let _ = write!(text, "\n| Argument | |\n|---|---|\n");
        for arg in positional {
            let _ = writeln!(text, "| `{}` | {} |", value_name(arg), cell(&help(arg)));
        }
    }
    options(text, &named);
    if let Some(json) = json(name) {
        let _ = write!(text, "\nWith `--format json`: {json}\n");
    }
}

fn usage(name: &str, own: &[&Arg]) -> String {
    let mut usage = format!("ecspipe {name}");
    if own.iter().any(|arg| !arg.is_positional()) {
        usage.push_str(" [OPTIONS]");
    }
    for arg in own.iter().filter(|arg| arg.is_positional()) {
        let value = value_name(arg);
        usage.push_str(&if arg.is_required_set() {
            format!(" <{value}>")
        } else if arg.is_last_set() {
            format!(" [-- {value}...]")
        } else {
            format!(" [{value}]")
        });
    }
    usage
}

fn options(text: &mut String, options: &[&Arg]) {
    if options.is_empty() {
        return;
    }
    let _ = write!(text, "\n| Option | Default | |\n|---|---|---|\n");
    for arg in options {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            names(arg),
            default(arg),
            cell(&help(arg))
        );
    }
}

fn names(arg: &Arg) -> String {
    let mut names: Vec<String> = arg
        .get_short()
        .map(|short| format!("`-{short}`"))
        .into_iter()
        .collect();
    if let Some(long) = arg.get_long() {
        let optional = arg
            .get_num_args()
            .is_some_and(|count| count.min_values() == 0);
        names.push(match takes_value(arg) {
            true if optional => format!("`--{long}[={}]`", value_name(arg)),
            true => format!("`--{long} {}`", value_name(arg)),
            false => format!("`--{long}`"),
        });
    }
    names.join(", ")
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

fn default(arg: &Arg) -> String {
    if !takes_value(arg) {
        return String::new();
    }
    let values: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    values.join(", ")
}

/// What an option does, the values that it takes, the variable that gives it too.
fn help(arg: &Arg) -> String {
    let mut help = ended(arg.get_help().map(ToString::to_string).unwrap_or_default());
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if takes_value(arg) && !values.is_empty() {
        let _ = write!(help, " One of {}.", values.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(help, " Also: `{}`.", variable.to_string_lossy());
    }
    help
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn sentence(command: &Command) -> String {
    ended(about(command))
}

/// clap takes the full stop away.
fn ended(text: String) -> String {
    if text.ends_with(['.', '!', '?']) {
        text
    } else {
        format!("{text}.")
    }
}

/// Text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn exits(text: &mut String) {
    let _ = write!(text, "\n## Exit codes\n\n| Code | |\n|---|---|\n");
    for exit in EXITS {
        let _ = writeln!(text, "| {} | {} |", exit.code(), meaning(exit));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The same words as beside the codes, and every code.
    #[test]
    fn the_exit_codes_are_those_of_the_source() {
        let source = include_str!("../exit.rs");
        let body = source
            .split("pub enum Exit {")
            .nth(1)
            .unwrap()
            .split('}')
            .next()
            .unwrap();
        let mut want = String::new();
        let mut words = "";
        for line in body.lines().map(str::trim) {
            match (line.strip_prefix("/// "), line.split_once(" = ")) {
                (Some(text), _) => words = text,
                (None, Some((_, code))) => {
                    want.push_str(&format!("| {} | {words} |\n", code.trim_end_matches(',')))
                }
                _ => {}
            }
        }
        let mut have = String::new();
        exits(&mut have);
        assert_eq!(have.split("|---|---|\n").nth(1).unwrap(), want);
    }

    #[test]
    fn every_command_and_option_is_described() {
        let text = text();
        for command in shown(&Args::command()) {
            assert!(
                text.contains(&format!("\n## `ecspipe {}`\n", command.get_name())),
                "{}",
                command.get_name()
            );
        }
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert!(!line.ends_with("|  |"), "nothing is said about {line}");
        }
        assert!(!text.contains("## `ecspipe docs`"), "{text}");
    }

    #[test]
    fn a_section() {
        let text = text();
        let init = text
            .split("\n## ")
            .find(|part| part.starts_with("`ecspipe init`"))
            .unwrap();
        assert_eq!(
            init,
            "`ecspipe init`\n\nWrite ecspipe.yaml for the app in this folder.\n\n```text\necspipe init [OPTIONS]\n```\n\n\
             | Option | Default | |\n|---|---|---|\n\
             | `--app APP` |  | The app's name; the folder's otherwise. |\n\
             | `--port PORT` |  | The container's port; the Dockerfile's EXPOSE otherwise. |\n\
             | `-y`, `--yes` |  | Ask nothing: take what the folder says. |\n\
             | `--force` |  | Overwrite a spec that is there. |\n\n\
             With `--format json`: `{\"spec\": FILE, \"schema\": FILE, \"app\": NAME, \"port\": PORT}`, once the files are written.\n"
        );
    }
}
