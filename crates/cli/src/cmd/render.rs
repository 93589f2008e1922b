//! `render`: the deployment's files for any toolchain, the resolved spec, a user's own template. Must not decide what is in
//! them, and asks AWS only for what nobody said.

use std::path::Path;

use ecspipe_render::{APPSPEC, Artifact, BUILDSPEC, RenderError, TASKDEF};
use ecspipe_spec::{Budget, Spec};
use serde_json::{Map, Value, json};

use crate::args::{Format, Global, Render};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::world::World;
use crate::{files, place, report};

/// The files by name.
const NAMES: [&str; 3] = [TASKDEF, APPSPEC, BUILDSPEC];

pub(crate) async fn exec(global: &Global, args: &Render, world: &World) -> Result<Exit, Failure> {
    if let Some(name) = args
        .stdout
        .as_ref()
        .filter(|name| !NAMES.contains(&name.as_str()))
    {
        let message = format!("`{name}` is not a file of a deployment");
        return Err(
            Failure::new(Exit::Usage, message).hint(format!("there are {}", NAMES.join(", ")))
        );
    }
    let template = args
        .template
        .as_deref()
        .map(|file| read(file, world))
        .transpose()?;
    let spec = place::spec(global, world)?;
    if args.resolved {
        return resolved(global, world, &spec);
    }
    if args.network {
        let artifacts = with_network(global, args, world).await?;
        return deliver(global, args, world, &artifacts);
    }
    let facts = place::facts(global, args.account.as_deref(), world, &spec).await?;
    if let (Some(file), Some(text)) = (&args.template, &template) {
        let rendered = ecspipe_render::template(&spec, &facts, text)
            .map_err(|error| in_template(file, error))?;
        world.out_raw(rendered.as_bytes());
        return Ok(Exit::Done);
    }
    let artifacts = ecspipe_render::render(&spec, &facts).map_err(|error| unfit(global, error))?;
    deliver(global, args, world, &artifacts)
}

/// The files with the ids that only the account knows.
async fn with_network(
    global: &Global,
    args: &Render,
    world: &World,
) -> Result<Vec<Artifact>, Failure> {
    let place = Place::open(global, world).await?;
    if let Some(account) = args
        .account
        .as_ref()
        .filter(|account| **account != place.facts.account)
    {
        let message = format!(
            "`--account` says {account}, but the credentials are for account {}",
            place.facts.account
        );
        return Err(Failure::new(Exit::Access, message)
            .hint("choose the right login with `--profile`, or leave `--network` out"));
    }
    let network = place.network().await?;
    ecspipe_render::render_into(&place.spec, &place.facts, Some(&network))
        .map_err(|error| unfit(global, error))
}

fn deliver(
    global: &Global,
    args: &Render,
    world: &World,
    artifacts: &[Artifact],
) -> Result<Exit, Failure> {
    match (&args.out, &args.stdout) {
        (Some(folder), _) => write(global, world, folder, artifacts)?,
        (None, Some(name)) => {
            for artifact in artifacts.iter().filter(|artifact| artifact.name == *name) {
                world.out_raw(artifact.contents.as_bytes());
            }
        }
        (None, None) => show(global, world, artifacts),
    }
    Ok(Exit::Done)
}

fn resolved(global: &Global, world: &World, spec: &Spec) -> Result<Exit, Failure> {
    match global.format {
        Format::Human => {
            let yaml = ecspipe_render::resolved_yaml(spec)?;
            let time = Budget::new(&spec.deploy);
            world.out_raw(format!("{yaml}# A rollout takes {time}\n").as_bytes());
        }
        Format::Json => report::json(world, spec),
    }
    Ok(Exit::Done)
}

fn show(global: &Global, world: &World, artifacts: &[Artifact]) {
    if global.format == Format::Json {
        let by_name: Map<String, Value> = artifacts
            .iter()
            .map(|artifact| {
                (
                    artifact.name.clone(),
                    Value::from(artifact.contents.clone()),
                )
            })
            .collect();
        return report::json(world, &by_name);
    }
    let parts: Vec<String> = artifacts
        .iter()
        .map(|artifact| format!("# {}\n{}", artifact.name, artifact.contents))
        .collect();
    world.out_raw(parts.join("\n").as_bytes());
}

fn write(
    global: &Global,
    world: &World,
    folder: &Path,
    artifacts: &[Artifact],
) -> Result<(), Failure> {
    let contents: Vec<(&str, &str)> = artifacts
        .iter()
        .map(|artifact| (artifact.name.as_str(), artifact.contents.as_str()))
        .collect();
    files::write(&world.path(folder), &contents)
        .map_err(|error| Failure::file("write to", folder, &error))?;
    let paths: Vec<String> = artifacts
        .iter()
        .map(|artifact| folder.join(&artifact.name).display().to_string())
        .collect();
    match global.format {
        Format::Human => world.err(format!("wrote {}", paths.join(", "))),
        Format::Json => report::json(world, &json!({ "written": paths })),
    }
    Ok(())
}

/// Findings one by one: they are several things to do.
fn unfit(global: &Global, error: RenderError) -> Failure {
    let RenderError::Check { findings } = error else {
        return error.into();
    };
    let mut failure = Failure::new(Exit::Spec, "the files would not work; nothing was written");
    for finding in &findings {
        match (global.format, &finding.hint) {
            (Format::Json, _) => failure.details.extend(serde_json::to_string(finding).ok()),
            (Format::Human, Some(hint)) => failure
                .details
                .push(format!("  {}: {} ({hint})", finding.about, finding.message)),
            (Format::Human, None) => failure
                .details
                .push(format!("  {}: {}", finding.about, finding.message)),
        }
    }
    failure
}

fn read(file: &Path, world: &World) -> Result<String, Failure> {
    let bytes =
        std::fs::read(world.path(file)).map_err(|error| Failure::file("read", file, &error))?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Exit::Usage, format!("{} is not UTF-8 text", file.display()))
            .hint("save it as UTF-8")
    })
}

fn in_template(file: &Path, error: RenderError) -> Failure {
    let RenderError::Template {
        line,
        column,
        message,
    } = &error
    else {
        return error.into();
    };
    let mut place = file.display().to_string();
    for number in [line, column].into_iter().map_while(|number| *number) {
        place.push_str(&format!(":{number}"));
    }
    Failure::new(Exit::Spec, format!("{place}: {message}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use snapbox::{assert_data_eq, str};

    use crate::testing::{Transcript, run};

    const SPEC: &str = "version: 1\napp: web\naccount: \"111122223333\"\nregion: eu-central-1\nservice: { port: 8080 }\n";

    fn folder(spec: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ecspipe.yaml"), spec).unwrap();
        folder
    }

    async fn render(folder: &tempfile::TempDir, args: &[&str]) -> Transcript {
        let args: Vec<&str> = std::iter::once("render")
            .chain(args.iter().copied())
            .collect();
        run(folder.path(), &args, |_| {}).await
    }

    /// The files as the library gives them.
    fn want() -> Vec<ecspipe_render::Artifact> {
        let spec = ecspipe_spec::parse(SPEC).unwrap();
        ecspipe_render::render(
            &spec,
            &ecspipe_spec::Facts::new("111122223333", "eu-central-1"),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn the_files_in_each_form() {
        let folder = folder(SPEC);
        let want = want();
        let all = render(&folder, &[]).await;
        let parts: Vec<String> = want
            .iter()
            .map(|file| format!("# {}\n{}", file.name, file.contents))
            .collect();
        assert_eq!(
            all,
            Transcript {
                code: 0,
                out: parts.join("\n"),
                err: String::new()
            }
        );

        for file in &want {
            let one = render(&folder, &["--stdout", &file.name]).await;
            assert_eq!(
                one,
                Transcript {
                    code: 0,
                    out: file.contents.clone(),
                    err: String::new()
                }
            );
        }

        let json = render(&folder, &["--format", "json"]).await;
        let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["taskdef.json", "appspec.yaml", "buildspec.yml"]);
        assert_eq!(value["appspec.yaml"], want[1].contents);
        assert_eq!(json.out.lines().count(), 1);
    }

    #[tokio::test]
    async fn into_a_folder() {
        let folder = folder(SPEC);
        let have = render(&folder, &["--out", "build/deploy"]).await;
        let err = "wrote build/deploy/taskdef.json, build/deploy/appspec.yaml, build/deploy/buildspec.yml\n".to_owned();
        assert_eq!(
            have,
            Transcript {
                code: 0,
                out: String::new(),
                err
            }
        );
        for file in want() {
            assert_eq!(
                fs::read_to_string(folder.path().join("build/deploy").join(&file.name)).unwrap(),
                file.contents
            );
        }
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(render(&folder, &["--out", "file"]).await.code, 2);
    }

    #[tokio::test]
    async fn the_place_by_flag_and_environment() {
        let folder = folder("version: 1\napp: web\nservice: { port: 8080 }\n");
        let flags = render(
            &folder,
            &["--account", "111122223333", "--region", "eu-central-1"],
        )
        .await;
        let parts: Vec<String> = want()
            .iter()
            .map(|file| format!("# {}\n{}", file.name, file.contents))
            .collect();
        assert_eq!(flags.out, parts.join("\n"));
        let environment = run(folder.path(), &["render"], |world| {
            world
                .env
                .insert("ECSPIPE_ACCOUNT".to_owned(), "111122223333".to_owned());
            world
                .env
                .insert("AWS_REGION".to_owned(), "eu-central-1".to_owned());
        })
        .await;
        assert_eq!(environment, flags);
    }

    #[tokio::test]
    async fn the_resolved_spec() {
        let folder = folder("version: 1\napp: web\nservice: { port: 8080 }\n");
        let yaml = render(&folder, &["--resolved"]).await;
        assert_eq!((yaml.code, yaml.err.as_str()), (0, ""));
        let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 8080 }\n").unwrap();
        assert_eq!(ecspipe_spec::parse(&yaml.out).unwrap(), spec);
        let last = "# A rollout takes 10h 5m at the most: a build's turn 8h + the build 1h + new tasks 1h + keep_old 5m\n";
        assert!(yaml.out.ends_with(last), "{}", yaml.out);
        let json = render(&folder, &["--resolved", "--format", "json"]).await;
        assert_eq!(
            json.out,
            format!("{}\n", serde_json::to_string(&spec).unwrap())
        );
    }

    #[tokio::test]
    async fn a_template() {
        let folder = folder(SPEC);
        let put = |text: &str| fs::write(folder.path().join("mine.hbs"), text).unwrap();
        put("{{spec.app}} in {{facts.region}} on {{spec.load_balancer.test.port}}\n");
        let have = render(&folder, &["--template", "mine.hbs"]).await;
        assert_eq!(
            have,
            Transcript {
                code: 0,
                out: "web in eu-central-1 on 8080\n".to_owned(),
                err: String::new()
            }
        );
        put("one\n{{spec.ap}}\n");
        let unknown = render(&folder, &["--template", "mine.hbs"]).await;
        put("one\n\n{{#if spec}}\n");
        let open = render(&folder, &["--template", "mine.hbs"]).await;
        let missing = render(&folder, &["--template", "none.hbs"]).await;
        assert_eq!((unknown.code, open.code, missing.code), (3, 3, 2));
        assert_data_eq!(
            format!("{}{}{}", unknown.err, open.err, missing.err),
            str![[r#"
error: mine.hbs:2:1: `spec.ap` is not a variable; there are `spec`, `facts` and `names`
error: mine.hbs:4:1: invalid handlebars syntax: expected escape, expression, html_expression, decorator_expression, partial_expression, invert_tag, invert_chain_tag, helper_block_start, helper_block_end, decorator_block_start, partial_block_start, raw_block_start, hbs_comment, or hbs_comment_compact
error: cannot read none.hbs: No such file or directory (os error 2)

"#]]
        );
    }

    #[tokio::test]
    async fn wrong_arguments() {
        let folder = folder(SPEC);
        for (args, code, want) in [
            (
                ["--stdout", "taskdef.yaml"],
                2,
                "error: `taskdef.yaml` is not a file of a deployment\nhint: there are taskdef.json, appspec.yaml, buildspec.yml\n",
            ),
            (
                ["--account", "1111"],
                2,
                "error: `1111` is not an account id\nhint: an account id has twelve digits: `--account 111122223333`\n",
            ),
            (
                ["--region", "eu-west-1"],
                2,
                "error: the spec is for region eu-central-1, `--region` says eu-west-1\nhint: leave one of them out\n",
            ),
            (
                ["--account", "999999999999"],
                3,
                "error: the files would not work; nothing was written\n  account: the spec is for account 111122223333, this is 999999999999 (use the credentials of that account)\n",
            ),
        ] {
            assert_eq!(
                render(&folder, &args).await,
                Transcript {
                    code,
                    out: String::new(),
                    err: want.to_owned()
                }
            );
        }
    }
}
