//! `exec`: a session in a container that runs. What it needs is checked first; the session itself is the AWS CLI's and its plug-in's,
//! which speak a protocol of their own. Must not speak it.

use std::path::PathBuf;

use ecspipe_deploy::{Container, Operations as _, Task};

use crate::args::{Exec, Format, Global};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::world::World;

/// What runs where nothing is named: every image that has a shell at all has this one.
const SHELL: &str = "/bin/sh";

/// The first platform version of Fargate with ECS Exec.
const PLATFORM: [u32; 3] = [1, 4, 0];

pub(crate) async fn exec(global: &Global, args: &Exec, world: &World) -> Result<Exit, Failure> {
    if global.format == Format::Json {
        let failure = Failure::new(Exit::Usage, "a session has no JSON");
        return Err(failure.hint("leave `--format json` out"));
    }
    let place = Place::open(global, world).await?;
    let target = place.target();
    let tasks = place.account.running_tasks(&target).await?;
    let task = choose(tasks, args.task.as_deref(), &target.service)?;
    let container = container(&task, args.container.as_deref())?;
    let mut lacks = lacks(&task, container);
    let tools = ["aws", "session-manager-plugin"].map(|name| (name, find(world, name)));
    lacks.extend(
        tools
            .iter()
            .filter(|(_, path)| path.is_none())
            .map(|(name, _)| missing(name)),
    );
    let [(_, Some(aws)), (_, Some(_))] = tools else {
        return Err(refused(lacks));
    };
    if !lacks.is_empty() {
        return Err(refused(lacks));
    }
    let command = match args.command.as_slice() {
        [] => SHELL.to_owned(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    };
    world.err(format!(
        "{command} in {} of task {}",
        container.name, task.id
    ));
    let mut session = std::process::Command::new(aws);
    session
        .args(["ecs", "execute-command", "--interactive"])
        .args(["--cluster", &target.cluster, "--task", &task.id])
        .args(["--container", &container.name, "--command", &command])
        .args(["--region", &place.facts.region]);
    session.args(
        global
            .profile
            .iter()
            .flat_map(|profile| ["--profile", profile]),
    );
    session.envs(&world.env);
    if let Some(url) = place.sandbox.as_ref().and_then(|link| link.url.as_ref()) {
        // The sandbox takes any credentials; the user's own are none of its business.
        session.env("AWS_ENDPOINT_URL", url);
        session.envs([
            ("AWS_ACCESS_KEY_ID", "sandbox"),
            ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ]);
        session.env_remove("AWS_SESSION_TOKEN");
        session.env_remove("AWS_PROFILE");
    } else if let Some(url) = &global.endpoint_url {
        session.env("AWS_ENDPOINT_URL", url);
    }
    let ended = tokio::task::spawn_blocking(move || session.status()).await;
    let ended = ended.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let ended = ended.map_err(|error| {
        Failure::new(Exit::Failed, format!("the AWS CLI can't be run: {error}"))
    })?;
    match ended.code() {
        Some(0) => Ok(Exit::Done),
        code => {
            let code = code.map_or("by a signal".to_owned(), |code| format!("with {code}"));
            Err(Failure::new(
                Exit::Failed,
                format!("the AWS CLI ended {code}"),
            ))
        }
    }
}

fn choose(tasks: Vec<Task>, id: Option<&str>, service: &str) -> Result<Task, Failure> {
    let known: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
    let fits = |task: &Task| id.is_none_or(|id| task.id.starts_with(id));
    let mut fitting = tasks.into_iter().filter(fits);
    match (fitting.next(), fitting.next(), id) {
        (Some(task), None, _) | (Some(task), Some(_), None) => Ok(task),
        (Some(_), Some(_), Some(id)) => {
            let failure = Failure::new(Exit::Usage, format!("several tasks begin with {id}"));
            Err(failure.hint("give more of the id"))
        }
        (None, _, Some(id)) if !known.is_empty() => {
            let failure =
                Failure::new(Exit::Refused, format!("no task that runs begins with {id}"));
            Err(failure.hint(format!("these run: {}", known.join(", "))))
        }
        (None, ..) => {
            let failure = Failure::new(Exit::Refused, format!("no task of {service} runs"));
            Err(failure.hint("`ecspipe status` shows what is wrong; `ecspipe scale 1` starts one"))
        }
    }
}

fn container<'a>(task: &'a Task, name: Option<&str>) -> Result<&'a Container, Failure> {
    let names: Vec<&str> = task
        .containers
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    let found = match name {
        Some(name) => task.containers.iter().find(|found| found.name == name),
        None => task.containers.first(),
    };
    found.ok_or_else(|| {
        let failure = Failure::new(
            Exit::Usage,
            format!("task {} has no such container", task.id),
        );
        failure.hint(format!("it has {}", names.join(", ")))
    })
}

/// Something that is missing, and the way out.
struct Lack {
    what: String,
    next: String,
}

fn lacks(task: &Task, container: &Container) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut lack = |what: String, next: &str| {
        lacks.push(Lack {
            what,
            next: next.to_owned(),
        });
    };
    if task.status != "RUNNING" {
        let what = format!("task {} does not run yet: it is {}", task.id, task.status);
        lack(what, "wait until `ecspipe status` shows it as running");
    }
    if let Some(version) = task
        .platform_version
        .as_deref()
        .filter(|version| is_old(version))
    {
        let what = format!(
            "task {} runs on platform version {version}, which has no ECS Exec",
            task.id
        );
        lack(what, "deploy again: new tasks run on the latest version");
    }
    if !task.exec {
        let what = format!("ECS Exec is not switched on for task {}", task.id);
        lack(
            what,
            "write `service.exec: true` into the spec, run `ecspipe up`, then `ecspipe deploy`: tasks that run keep what they were started with",
        );
    } else if task.status == "RUNNING" && container.agent.as_deref() != Some("RUNNING") {
        let agent = container.agent.as_deref().unwrap_or("missing");
        let what = format!("the agent for ECS Exec in {} is {agent}", container.name);
        lack(
            what,
            "the task's role needs ssmmessages:CreateControlChannel, CreateDataChannel, OpenControlChannel and OpenDataChannel (`service.exec: true` grants them to a role of ecspipe's), and its subnets a way to ssmmessages; a container without a writable file system can't have the agent",
        );
    }
    lacks
}

fn is_old(version: &str) -> bool {
    let numbers: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    // A word, such as LATEST, is none that is known to be old.
    numbers.is_ok_and(|numbers| numbers.as_slice() < PLATFORM.as_slice())
}

/// Where a program is, by the caller's PATH.
fn find(world: &World, name: &str) -> Option<PathBuf> {
    let path = world.var("PATH")?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path)
        .map(|folder| world.path(folder).join(&file))
        .find(|file| file.is_file())
}

fn missing(name: &str) -> Lack {
    let next = match name {
        "aws" => {
            "install the AWS CLI, version 2: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
        }
        _ => {
            "install the Session Manager plug-in: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
        }
    };
    Lack {
        what: format!("`{name}` is not on the PATH"),
        next: next.to_owned(),
    }
}

fn refused(lacks: Vec<Lack>) -> Failure {
    let details = lacks
        .into_iter()
        .flat_map(|lack| [lack.what, format!("  next: {}", lack.next)])
        .collect();
    Failure {
        exit: Exit::Refused,
        message: "no session can be opened".to_owned(),
        details,
        hint: None,
    }
}

/// ECS takes one line, which the agent splits into words as a shell does.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, old) in [
            ("1.3.0", true),
            ("1.4.0", false),
            ("1.10", false),
            ("2.0.0", false),
            ("LATEST", false),
        ] {
            assert_eq!(is_old(version), old, "{version}");
        }
    }

    #[test]
    fn words() {
        let words = ["ls", "-l", "a b", "it's", ""];
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        assert_eq!(line.join(" "), r"ls -l 'a b' 'it'\''s' ''");
    }
}
