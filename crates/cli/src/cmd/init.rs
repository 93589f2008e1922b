//! `init`: the first spec, from what the folder says. Must not guess what only a person can know, nor touch anything but the
//! spec and its schema.

mod dockerfile;
mod git;

use std::path::{Path, PathBuf};

use ecspipe_spec::{AppName, Problem};
use serde_json::json;

use crate::args::{Format, Global, Init};
use crate::exit::{Exit, Failure};
use crate::world::World;
use crate::{files, report};

/// Beside the spec, for editors.
const SCHEMA: &str = "ecspipe.schema.json";

/// Where a Dockerfile says nothing and nobody is asked: what the tutorial's app listens on.
const PORT: u16 = 80;

pub(crate) fn exec(global: &Global, args: &Init, world: &World) -> Result<Exit, Failure> {
    let path = world.path(&global.file);
    let (Some(name), Some(folder)) = (
        path.file_name().and_then(|name| name.to_str()),
        path.parent(),
    ) else {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is not a file's name", global.file.display()),
        ));
    };
    let beside = global.file.with_file_name(SCHEMA);
    refuse_to_overwrite(global, args, &path, &beside, &folder.join(SCHEMA))?;
    let found = look(global, args, world)?;
    let text = text(&found);
    ecspipe_spec::parse(&text).map_err(|problems| impossible(&problems))?;
    let schema = super::schema::text();
    files::write(folder, &[(SCHEMA, &schema), (name, &text)])
        .map_err(|error| Failure::file("write", &global.file, &error))?;
    tell(global, world, &found, &beside);
    if global.format == Format::Json {
        let value = json!({ "spec": global.file, "schema": beside, "app": found.app.value, "port": found.port.value });
        report::json(world, &value);
    }
    Ok(Exit::Done)
}

/// A value and who said it.
struct Said<T> {
    value: T,
    by: String,
}

fn said<T>(value: T, by: impl Into<String>) -> Said<T> {
    Said {
        value,
        by: by.into(),
    }
}

/// What the spec is made of.
struct Found {
    app: Said<AppName>,
    port: Said<u16>,
    region: Option<Said<String>>,
    source: Source,
    /// The folder as seen from the repository's root.
    inner: String,
    dockerfile: bool,
    /// What the user should know of what was found.
    notes: Vec<String>,
}

#[derive(Default)]
struct Source {
    repository: Option<Said<String>>,
    branch: Option<Said<String>>,
}

fn refuse_to_overwrite(
    global: &Global,
    args: &Init,
    path: &Path,
    beside: &Path,
    schema: &Path,
) -> Result<(), Failure> {
    if args.force {
        return Ok(());
    }
    if std::fs::symlink_metadata(path).is_ok() {
        let message = format!(
            "{} is there already; nothing was written",
            global.file.display()
        );
        return Err(
            Failure::new(Exit::Refused, message).hint("`ecspipe init --force` overwrites it")
        );
    }
    // A schema of another version of ecspipe is no loss; a file of somebody else is.
    let own = |text: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(text)
            .is_ok_and(|have| have["title"] == ecspipe_spec::schema()["title"])
    };
    match std::fs::read(schema) {
        Ok(have) if !own(&have) => {
            let message = format!(
                "{} is there and not ecspipe's; nothing was written",
                beside.display()
            );
            Err(Failure::new(Exit::Refused, message)
                .hint("move it away, or overwrite it with `ecspipe init --force`"))
        }
        _ => Ok(()),
    }
}

/// Reads the folder, and asks for what it doesn't say.
fn look(global: &Global, args: &Init, world: &World) -> Result<Found, Failure> {
    let folder = std::fs::canonicalize(&world.folder)
        .map_err(|error| Failure::file("read", &world.folder, &error))?;
    let checkout = git::checkout(&folder);
    let mut notes = Vec::new();
    let (source, remote) = source(checkout.as_ref(), &mut notes);
    let region = region(global, world, remote.as_deref(), &mut notes)?;
    let dockerfile = std::fs::read(folder.join("Dockerfile"))
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let inner = checkout.map(|checkout| checkout.inner).unwrap_or_default();
    let app = app(args, world, &folder)?;
    let port = port(args, world, dockerfile.as_deref(), &mut notes)?;
    Ok(Found {
        app,
        port,
        region,
        source,
        inner,
        dockerfile: dockerfile.is_some(),
        notes,
    })
}

fn app(args: &Init, world: &World, folder: &Path) -> Result<Said<AppName>, Failure> {
    let legal = |name: &str, by: &str| {
        let wrong = |message| {
            let failure = Failure::new(Exit::Usage, message);
            match ecspipe_spec::app_name_like(name) {
                Some(like) => failure.hint(format!("`{like}` would do")),
                None => failure.hint("choose one with `--app NAME`"),
            }
        };
        AppName::new(name).map(|name| said(name, by)).map_err(wrong)
    };
    if let Some(name) = &args.app {
        return legal(name, "--app");
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    match ecspipe_spec::app_name_like(&name) {
        Some(name) => Ok(said(name, "the folder's name")),
        None if args.yes => {
            let message = format!("the folder's name `{name}` can't be an app's name");
            Err(Failure::new(Exit::Usage, message).hint("choose one with `--app NAME`"))
        }
        None => legal(
            world.ask("what is the app called?", "`--app NAME`")?.trim(),
            "your answer",
        ),
    }
}

fn port(
    args: &Init,
    world: &World,
    dockerfile: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Said<u16>, Failure> {
    match args.port {
        Some(0) => return Err(Failure::new(Exit::Usage, "0 is not a port").hint("from 1 to 65535")),
        Some(port) => return Ok(said(port, "--port")),
        None => {}
    }
    let exposed = dockerfile.map(dockerfile::ports).unwrap_or_default();
    match (exposed.as_slice(), dockerfile) {
        ([port], _) => Ok(said(*port, "EXPOSE in the Dockerfile")),
        ([first, ..], _) => {
            let all: Vec<String> = exposed.iter().map(ToString::to_string).collect();
            if !args.yes {
                let question = format!(
                    "the Dockerfile exposes {}; which port does the app listen on?",
                    all.join(", ")
                );
                return answered(&world.ask(
                    &question,
                    "`--port PORT`, or `--yes` for the first of these",
                )?);
            }
            notes.push(format!(
                "the Dockerfile exposes {}: {first} was taken, `--port` takes another",
                all.join(", ")
            ));
            Ok(said(*first, "the last EXPOSE in the Dockerfile"))
        }
        ([], _) if !args.yes => answered(&world.ask(
            "which port does the app listen on?",
            &format!("`--port PORT`, or `--yes` for {PORT}"),
        )?),
        ([], read) => {
            let why = if read.is_some() {
                "the Dockerfile exposes no port by number"
            } else {
                "there is no Dockerfile to read it from"
            };
            notes.push(format!(
                "port {PORT} is a guess: {why}; correct `service.port` if the app listens elsewhere"
            ));
            Ok(said(PORT, "a guess"))
        }
    }
}

fn answered(answer: &str) -> Result<Said<u16>, Failure> {
    match answer.trim().parse() {
        Ok(port @ 1..) => Ok(said(port, "your answer")),
        _ => Err(
            Failure::new(Exit::Usage, format!("`{}` is not a port", answer.trim()))
                .hint("from 1 to 65535"),
        ),
    }
}

/// The repository in CodeCommit that the checkout belongs to and the branch that is checked out; beside them its region.
fn source(checkout: Option<&git::Checkout>, notes: &mut Vec<String>) -> (Source, Option<String>) {
    let Some(checkout) = checkout else {
        return (Source::default(), None);
    };
    let branch = checkout
        .branch
        .clone()
        .filter(|branch| is_legal(&[], &[("branch", branch)]));
    let branch = branch.map(|branch| said(branch, "the branch that is checked out"));
    let remote = checkout.origin.as_deref().and_then(git::codecommit);
    match remote {
        Some(remote) if is_legal(&[], &[("repository", &remote.repository)]) => {
            let repository = Some(said(remote.repository, "the git remote `origin`"));
            (Source { repository, branch }, remote.region)
        }
        _ => {
            if checkout.origin.is_some() {
                notes.push("the git remote `origin` is not in CodeCommit: `ecspipe up` makes a repository there; push to it to deploy".to_owned());
            }
            (
                Source {
                    repository: None,
                    branch,
                },
                None,
            )
        }
    }
}

/// The flag, else where the source is, else the environment: a pipeline reads its source in its own region.
fn region(
    global: &Global,
    world: &World,
    remote: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<Said<String>>, Failure> {
    if let Some(flag) = &global.region {
        if !ecspipe_spec::is_region(flag) {
            return Err(
                Failure::new(Exit::Usage, format!("`{flag}` is not a region"))
                    .hint("a region is written like `eu-central-1`"),
            );
        }
        return Ok(Some(said(flag.clone(), "--region")));
    }
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let named = variables
        .iter()
        .find_map(|name| world.var(name).map(|value| (*name, value)));
    let named = named.filter(|(_, region)| ecspipe_spec::is_region(region));
    match (
        remote.filter(|region| ecspipe_spec::is_region(region)),
        named,
    ) {
        (Some(remote), named) => {
            if let Some((name, other)) = named.filter(|(_, region)| *region != remote) {
                notes.push(format!(
                    "{name} is {other}, but the source is in {remote}: `region` says {remote}"
                ));
            }
            Ok(Some(said(remote.to_owned(), "the git remote `origin`")))
        }
        (None, Some((name, region))) => Ok(Some(said(region.to_owned(), name))),
        (None, None) => Ok(None),
    }
}

/// Whether the parser takes a spec with these keys at the top and in `source.codecommit`.
fn is_legal(top: &[(&str, &str)], codecommit: &[(&str, &str)]) -> bool {
    let lines = |pairs: &[(&str, &str)], space: &str| -> String {
        pairs
            .iter()
            .map(|(key, value)| format!("{space}{key}: {}\n", scalar(value)))
            .collect()
    };
    let mut text = format!(
        "version: 1\napp: web\nservice: {{ port: 80 }}\n{}",
        lines(top, "")
    );
    if !codecommit.is_empty() {
        text.push_str(&format!(
            "source:\n  codecommit:\n{}",
            lines(codecommit, "    ")
        ));
    }
    ecspipe_spec::parse(&text).is_ok()
}

/// Text as a YAML scalar: plain where nobody could read it as anything but text.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    match plain && !words.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => json!(text).to_string(),
    }
}

/// The spec's text. What follows from the folder is set; everything else is shown with its default, as a comment.
fn text(found: &Found) -> String {
    let mut text = format!("# yaml-language-server: $schema=./{SCHEMA}\n{HEAD}");
    text.push_str(&format!(
        "version: 1\napp: {}\n",
        scalar(found.app.value.as_str())
    ));
    match &found.region {
        Some(region) => text.push_str(&format!("region: {}\n", region.value)),
        None => text.push_str(
            "# region: eu-central-1         # otherwise --region or AWS_REGION says it\n",
        ),
    }
    text.push_str(&format!(
        "\nservice:\n  port: {:<22} # the port that the container listens on\n{SERVICE}",
        found.port.value
    ));
    text.push_str(&source_text(found));
    text.push_str(&build_text(&found.inner));
    text.push_str(REST);
    text
}

fn source_text(found: &Found) -> String {
    let app = found.app.value.as_str();
    let (repository, branch) = (
        found.source.repository.as_ref(),
        found.source.branch.as_ref(),
    );
    let repository = repository
        .map(|said| said.value.as_str())
        .filter(|name| *name != app);
    let branch = branch
        .map(|said| said.value.as_str())
        .filter(|name| *name != "main");
    let line = format!(
        "codecommit: {{ repository: {}, branch: {} }}",
        scalar(repository.unwrap_or(app)),
        scalar(branch.unwrap_or("main"))
    );
    let comment = "  # a push to this branch deploys";
    match found.source.repository.is_some() || branch.is_some() {
        true => format!("\nsource:\n  {line}{comment}\n"),
        false => format!("\n# source:\n#   {line}{comment}\n"),
    }
}

fn build_text(inner: &str) -> String {
    let legal = !inner.is_empty();
    match legal {
        true => format!("\nbuild:                         # from the repository's root\n  dockerfile: {}\n  context: {}\n", scalar(&format!("{inner}/Dockerfile")), scalar(inner)),
        false => "\n# build:                       # from the repository's root\n#   dockerfile: Dockerfile\n#   context: .\n".to_owned(),
    }
}

const HEAD: &str = "\
# One app on Amazon ECS. A line that begins with `#` and a key shows the default of that key; `# e.g.` shows an example.
# `ecspipe render --resolved` prints what this file stands for, `ecspipe schema` describes every key.
";

const SERVICE: &str = "  # image: httpd:2.4.58          # e.g. what runs until the first deployment; a placeholder otherwise
  # cpu: 256                     # 1024 is one vCPU
  # memory: 512                  # MiB
  # desired_count: 1             # how many tasks run
  # environment: { LOG_LEVEL: info }  # e.g.
  # health_check: { path: /, interval: 10s, timeout: 5s }
";

const REST: &str = "
# load_balancer:
#   production: { port: 80, allow: [0.0.0.0/0] }
#   test: { port: 8080 }         # `allow: [RANGE]` opens it to more than the VPC

# network:
#   cidr: 10.0.0.0/16
#   zones: 2                     # a number, or a list of { name, public, private }
#   nat: per_zone                # per_zone | single | none (interface endpoints instead)

deploy:
  approve: { within: 60m }       # a new version waits for `ecspipe reroute`; leave this out, and it goes on by itself
  # strategy: all_at_once        # | canary: { percent: 10, wait: 5m } | linear: { percent: 10, every: 1m }
  # keep_old: 5m                 # how long the old tasks are kept
  # rollback_on: [failure, stop]

# tags: { team: web }            # e.g.
";

/// The text is made of checked parts; if it is wrong all the same, nobody should find it in a file.
fn impossible(problems: &[Problem]) -> Failure {
    let details = problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect();
    let message =
        "no legal spec can be made of what this folder says; nothing was written".to_owned();
    let hint = Some("write ecspipe.yaml by hand: `version: 1`, `app: NAME` and `service: { port: PORT }` are enough".to_owned());
    Failure {
        exit: Exit::Spec,
        message,
        details,
        hint,
    }
}

fn tell(global: &Global, world: &World, found: &Found, beside: &Path) {
    world.err(format!(
        "wrote {} and {}",
        global.file.display(),
        beside.display()
    ));
    let mut lines = vec![
        ("app", Some((found.app.value.to_string(), &found.app.by))),
        ("port", Some((found.port.value.to_string(), &found.port.by))),
    ];
    lines.push((
        "region",
        found
            .region
            .as_ref()
            .map(|said| (said.value.clone(), &said.by)),
    ));
    lines.push((
        "repository",
        found
            .source
            .repository
            .as_ref()
            .map(|said| (said.value.clone(), &said.by)),
    ));
    lines.push((
        "branch",
        found
            .source
            .branch
            .as_ref()
            .map(|said| (said.value.clone(), &said.by)),
    ));
    for (what, said) in lines {
        if let Some((value, by)) = said {
            world.err(format!("  {what:<11} {value}  ({by})"));
        }
    }
    for note in &found.notes {
        world.err(format!("note: {note}"));
    }
    if !found.dockerfile {
        world.err(NO_DOCKERFILE);
    }
    let file: PathBuf = global.file.clone();
    let flag = if file == Path::new("ecspipe.yaml") {
        String::new()
    } else {
        format!(" --file {}", file.display())
    };
    world.err("next:");
    for (command, what) in [
        (
            format!("ecspipe render{flag}"),
            "the deployment files, as they will be",
        ),
        (
            format!("ecspipe up{flag}"),
            "make the account as the spec says; shows the plan and asks first",
        ),
        (
            "ecspipe demo".to_owned(),
            "play the whole way on a sandbox, without an AWS account",
        ),
    ] {
        world.err(format!(
            "  {command:<width$}  {what}",
            width = 14 + flag.len()
        ));
    }
}

const NO_DOCKERFILE: &str = "\
note: there is no Dockerfile here, and the build needs one; for a folder `src` of web pages these three lines are enough:
    FROM public.ecr.aws/docker/library/httpd:2.4.58
    COPY ./src/ /usr/local/apache2/htdocs/
    EXPOSE 80";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::VecDeque;
    use std::fs;
    use std::sync::{Arc, Mutex};

    use snapbox::{assert_data_eq, str};

    use crate::testing::run;
    use crate::world::Answers;

    /// A folder with this name, so that the app's name is known, and with this Dockerfile.
    fn folder(name: &str, dockerfile: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join(name);
        fs::create_dir(&inner).unwrap();
        if let Some(text) = dockerfile {
            fs::write(inner.join("Dockerfile"), text).unwrap();
        }
        (outer, inner)
    }

    #[tokio::test]
    async fn a_folder_with_a_dockerfile() {
        let (_outer, folder) = folder("My Shop", Some("FROM httpd\nEXPOSE 8080\n"));
        let have = run(&folder, &["init"], |_| {}).await;
        assert_eq!((have.code, have.out.as_str()), (0, ""));
        assert_data_eq!(
            have.err,
            str![[r#"
wrote ecspipe.yaml and ecspipe.schema.json
  app         my-shop  (the folder's name)
  port        8080  (EXPOSE in the Dockerfile)
next:
  ecspipe render  the deployment files, as they will be
  ecspipe up      make the account as the spec says; shows the plan and asks first
  ecspipe demo    play the whole way on a sandbox, without an AWS account

"#]]
        );
        assert_data_eq!(
            fs::read_to_string(folder.join("ecspipe.yaml")).unwrap(),
            str![[r#"
# yaml-language-server: $schema=./ecspipe.schema.json
# One app on Amazon ECS. A line that begins with `#` and a key shows the default of that key; `# e.g.` shows an example.
# `ecspipe render --resolved` prints what this file stands for, `ecspipe schema` describes every key.
version: 1
app: my-shop
# region: eu-central-1         # otherwise --region or AWS_REGION says it

service:
  port: 8080                   # the port that the container listens on
  # image: httpd:2.4.58          # e.g. what runs until the first deployment; a placeholder otherwise
  # cpu: 256                     # 1024 is one vCPU
  # memory: 512                  # MiB
  # desired_count: 1             # how many tasks run
  # environment: { LOG_LEVEL: info }  # e.g.
  # health_check: { path: /, interval: 10s, timeout: 5s }

# source:
#   codecommit: { repository: my-shop, branch: main }  # a push to this branch deploys

# build:                       # from the repository's root
#   dockerfile: Dockerfile
#   context: .

# load_balancer:
#   production: { port: 80, allow: [0.0.0.0/0] }
#   test: { port: 8080 }         # `allow: [RANGE]` opens it to more than the VPC

# network:
#   cidr: 10.0.0.0/16
#   zones: 2                     # a number, or a list of { name, public, private }
#   nat: per_zone                # per_zone | single | none (interface endpoints instead)

deploy:
  approve: { within: 60m }       # a new version waits for `ecspipe reroute`; leave this out, and it goes on by itself
  # strategy: all_at_once        # | canary: { percent: 10, wait: 5m } | linear: { percent: 10, every: 1m }
  # keep_old: 5m                 # how long the old tasks are kept
  # rollback_on: [failure, stop]

# tags: { team: web }            # e.g.

"#]]
        );
        assert_eq!(
            fs::read_to_string(folder.join("ecspipe.schema.json")).unwrap(),
            super::super::schema::text()
        );
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["Dockerfile", "ecspipe.schema.json", "ecspipe.yaml"]);
    }

    /// Every line that shows a default says the truth: with the `#` taken away the spec is the same.
    #[tokio::test]
    async fn the_comments_are_the_defaults() {
        let (_outer, folder) = folder("web", Some("FROM httpd\nEXPOSE 80\n"));
        run(&folder, &["init"], |_| {}).await;
        let text = fs::read_to_string(folder.join("ecspipe.yaml")).unwrap();
        let uncommented: Vec<String> = text
            .lines()
            .filter(|line| {
                !line.contains("# e.g.") && !line.contains("$schema") && !line.contains("region")
            })
            .map(|line| {
                let key = line.trim_start().strip_prefix("# ").is_some_and(|rest| {
                    rest.trim_start().split(':').next().is_some_and(|word| {
                        word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                    })
                });
                if key {
                    line.replacen("# ", "", 1)
                } else {
                    line.to_owned()
                }
            })
            .collect();
        let uncommented = uncommented.join("\n") + "\n";
        assert!(uncommented.contains("\n  keep_old: 5m"), "{uncommented}");
        assert_eq!(
            ecspipe_spec::parse(&uncommented).unwrap(),
            ecspipe_spec::parse(&text).unwrap()
        );
        let examples = text
            .lines()
            .filter(|line| line.contains("  # e.g."))
            .count();
        assert_eq!(examples, 3);
    }

    #[tokio::test]
    async fn a_spec_is_not_overwritten() {
        let (_outer, folder) = folder("web", Some("FROM httpd\nEXPOSE 8080\n"));
        fs::write(folder.join("ecspipe.yaml"), "mine\n").unwrap();
        let have = run(&folder, &["init"], |_| {}).await;
        assert_eq!(have.code, 4);
        assert_data_eq!(
            have.err,
            str![[r#"
error: ecspipe.yaml is there already; nothing was written
hint: `ecspipe init --force` overwrites it

"#]]
        );
        assert_eq!(
            fs::read_to_string(folder.join("ecspipe.yaml")).unwrap(),
            "mine\n"
        );
        assert!(!folder.join("ecspipe.schema.json").exists());

        assert_eq!(run(&folder, &["init", "--force"], |_| {}).await.code, 0);
        assert!(
            fs::read_to_string(folder.join("ecspipe.yaml"))
                .unwrap()
                .contains("app: web\n")
        );
    }

    #[tokio::test]
    async fn somebody_elses_schema_is_not_overwritten() {
        let (_outer, folder) = folder("web", Some("FROM httpd\nEXPOSE 8080\n"));
        fs::write(folder.join("ecspipe.schema.json"), "{}\n").unwrap();
        let have = run(&folder, &["init"], |_| {}).await;
        assert_eq!(have.code, 4);
        assert_eq!(
            fs::read_to_string(folder.join("ecspipe.schema.json")).unwrap(),
            "{}\n"
        );
        assert!(!folder.join("ecspipe.yaml").exists());
    }

    #[tokio::test]
    async fn a_service_in_a_checkout_of_codecommit() {
        let (_outer, root) = folder("shop", None);
        fs::create_dir(root.join(".git")).unwrap();
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/trunk\n").unwrap();
        let url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/Shop.v2";
        fs::write(
            root.join(".git/config"),
            format!("[remote \"origin\"]\n\turl = {url}\n"),
        )
        .unwrap();
        fs::create_dir(root.join("api")).unwrap();
        fs::write(root.join("api/Dockerfile"), "FROM httpd\nEXPOSE 80 443\n").unwrap();
        let have = run(&root.join("api"), &["init", "--yes"], |world| {
            world
                .env
                .insert("AWS_REGION".to_owned(), "us-east-1".to_owned());
        })
        .await;
        assert_eq!((have.code, have.out.as_str()), (0, ""));
        assert_data_eq!(
            have.err,
            str![[r#"
wrote ecspipe.yaml and ecspipe.schema.json
  app         api  (the folder's name)
  port        80  (the last EXPOSE in the Dockerfile)
  region      eu-west-1  (the git remote `origin`)
  repository  Shop.v2  (the git remote `origin`)
  branch      trunk  (the branch that is checked out)
note: AWS_REGION is us-east-1, but the source is in eu-west-1: `region` says eu-west-1
note: the Dockerfile exposes 80, 443: 80 was taken, `--port` takes another
next:
  ecspipe render  the deployment files, as they will be
  ecspipe up      make the account as the spec says; shows the plan and asks first
  ecspipe demo    play the whole way on a sandbox, without an AWS account

"#]]
        );
        let text = fs::read_to_string(root.join("api/ecspipe.yaml")).unwrap();
        let set: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
            .collect();
        assert_data_eq!(
            set.join("\n"),
            str![[r#"
version: 1
app: api
region: eu-west-1
service:
  port: 80                     # the port that the container listens on
source:
  codecommit: { repository: Shop.v2, branch: trunk }  # a push to this branch deploys
build:                         # from the repository's root
  dockerfile: api/Dockerfile
  context: api
deploy:
  approve: { within: 60m }       # a new version waits for `ecspipe reroute`; leave this out, and it goes on by itself
"#]]
        );
    }

    #[tokio::test]
    async fn what_nobody_can_know() {
        let (_outer, folder) = folder("web", None);
        let have = run(&folder, &["init"], |_| {}).await;
        assert_eq!(have.code, 2);
        assert_data_eq!(
            have.err,
            str![[r#"
error: there is nobody to ask: which port does the app listen on?
hint: pass `--port PORT`, or `--yes` for 80, or run the command in a terminal

"#]]
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

        let script = |answers: &[&str]| {
            Answers::Script(Arc::new(Mutex::new(
                answers
                    .iter()
                    .map(ToString::to_string)
                    .collect::<VecDeque<_>>(),
            )))
        };
        let wrong = run(&folder, &["init"], |world| {
            world.answers = script(&["http"])
        })
        .await;
        assert_eq!(wrong.code, 2);
        assert_data_eq!(
            wrong.err,
            str![[r#"
? which port does the app listen on? http
error: `http` is not a port
hint: from 1 to 65535

"#]]
        );

        let asked = run(&folder, &["init", "--format", "json"], |world| {
            world.answers = script(&["3000"])
        })
        .await;
        assert_eq!(asked.code, 0);
        assert_data_eq!(
            asked.out,
            str![[r#"
{"spec":"ecspipe.yaml","schema":"ecspipe.schema.json","app":"web","port":3000}

"#]]
        );

        let guessed = run(
            &folder,
            &["init", "--force", "--yes", "--app", "shop"],
            |_| {},
        )
        .await;
        assert_eq!(guessed.code, 0);
        assert_data_eq!(
            guessed.err,
            str![[r#"
wrote ecspipe.yaml and ecspipe.schema.json
  app         shop  (--app)
  port        80  (a guess)
note: port 80 is a guess: there is no Dockerfile to read it from; correct `service.port` if the app listens elsewhere
note: there is no Dockerfile here, and the build needs one; for a folder `src` of web pages these three lines are enough:
    FROM public.ecr.aws/docker/library/httpd:2.4.58
    COPY ./src/ /usr/local/apache2/htdocs/
    EXPOSE 80
next:
  ecspipe render  the deployment files, as they will be
  ecspipe up      make the account as the spec says; shows the plan and asks first
  ecspipe demo    play the whole way on a sandbox, without an AWS account

"#]]
        );
    }

    #[tokio::test]
    async fn flags_that_are_wrong() {
        let (_outer, folder) = folder("123", Some("FROM httpd\nEXPOSE 80\n"));
        for (args, want) in [
            (
                ["init", "--yes"].as_slice(),
                "error: the folder's name `123` can't be an app's name\nhint: choose one with `--app NAME`\n",
            ),
            (
                &["init", "--app", "web", "--port", "0"],
                "error: 0 is not a port\nhint: from 1 to 65535\n",
            ),
            (
                &["init", "--region", "Mars"],
                "error: `Mars` is not a region\nhint: a region is written like `eu-central-1`\n",
            ),
        ] {
            let have = run(&folder, args, |_| {}).await;
            assert_eq!((have.code, have.err.as_str()), (2, want));
        }
        // A name that YAML would read as something else than text.
        assert_eq!(
            run(&folder, &["init", "--app", "yes"], |_| {}).await.code,
            0
        );
        assert!(
            fs::read_to_string(folder.join("ecspipe.yaml"))
                .unwrap()
                .contains("app: \"yes\"\n")
        );
    }
}
