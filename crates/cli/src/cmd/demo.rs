//! `demo`: the whole tutorial on a sandbox in this process, with the same commands that a user types. Must not fake any of it:
//! what it says it has seen, it has fetched.

use std::path::Path;
use std::time::{Duration, Instant};

use ecspipe_deploy::Status;
use ecspipe_provision::{Detail, Outputs};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::local;
use ecspipe_sandbox::server::Server;

use super::sandbox::{failure, open};
use crate::args::{Colour, Demo, Follow, Format, Global, Init, Lease, Reroute, Until, Up, Watch};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::report::style::{Style, span};
use crate::world::{Answers, World};

/// The tutorial's app, from `examples/httpd`.
const APP: [(&str, &[u8]); 4] = [
    (
        "Dockerfile",
        include_bytes!("../../../../examples/httpd/Dockerfile"),
    ),
    (
        "src/index.html",
        include_bytes!("../../../../examples/httpd/src/index.html"),
    ),
    (
        "src/style.css",
        include_bytes!("../../../../examples/httpd/src/style.css"),
    ),
    (
        "src/icon.svg",
        include_bytes!("../../../../examples/httpd/src/icon.svg"),
    ),
];

pub(crate) async fn exec(global: &Global, args: &Demo, world: &World) -> Result<Exit, Failure> {
    world.at_second_interrupt(Exit::Failed);
    let sandbox = open(args.speed, None)?;
    let server = sandbox.serve(0).map_err(failure)?;
    let folder = tempfile::Builder::new()
        .prefix("ecspipe-demo-")
        .tempdir()
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot make a temporary folder: {error}"),
            )
        })?;
    let app = folder.path().join("hello");
    let mut demo = Tour::new(global, args, world, &sandbox, &server, &app);
    let played = demo.play(world, args).await;
    if let Ok(Exit::Done) = played {
        demo.summary(world);
        if !args.exit {
            world
                .err("\nIt stays up for your browser. Ctrl-C ends it, and nothing is left behind.");
            world.cancel().cancelled().await;
        }
    }
    server.stop().await.map_err(failure)?;
    played
}

/// The demo while it runs.
struct Tour<'a> {
    /// The world of the commands that it runs: the app's folder, the sandbox in place of AWS.
    stage: World,
    global: Global,
    style: Style,
    url: String,
    sandbox: &'a Sandbox,
    took: Vec<(&'static str, Duration, Duration)>,
    since: (Instant, i64),
    outputs: Outputs,
}

impl<'a> Tour<'a> {
    fn new(
        global: &Global,
        args: &Demo,
        world: &World,
        sandbox: &'a Sandbox,
        server: &Server,
        app: &Path,
    ) -> Self {
        let mut stage = world.in_folder(app.to_owned());
        stage.sandbox = Some(sandbox.clone());
        stage.sandbox_url = Some(server.url());
        if args.yes {
            stage.answers = Answers::Nobody;
        }
        let global = Global {
            files: vec!["ecspipe.yaml".into()],
            file: "ecspipe.yaml".into(),
            region: Some("eu-central-1".to_owned()),
            profile: None,
            sandbox: None,
            endpoint_url: None,
            format: Format::Human,
            color: global.color,
            verbose: global.verbose,
        };
        let style = Style::of(
            world,
            &Global {
                color: if world.live {
                    global.color
                } else {
                    Colour::Never
                },
                ..global.clone()
            },
        );
        let since = (Instant::now(), sandbox.clock().now());
        Self {
            stage,
            global,
            style,
            url: server.url(),
            sandbox,
            took: Vec::new(),
            since,
            outputs: Outputs::default(),
        }
    }

    async fn play(&mut self, world: &World, args: &Demo) -> Result<Exit, Failure> {
        world.err(format!("An AWS account in this process listens at {}; its time passes {} times as fast as AWS's.", self.url, self.sandbox.clock().speed()));
        self.step(world, "write the spec");
        self.write_app()?;
        self.command("init --yes");
        super::init::exec(
            &self.global,
            &Init {
                app: None,
                port: None,
                yes: true,
                force: false,
            },
            &self.stage,
        )?;
        self.done("init");

        self.step(
            world,
            "make the account: network, balancer, cluster, service, pipeline",
        );
        self.command("up --yes");
        let up = Up {
            yes: true,
            lease: Lease::default(),
        };
        super::up::exec(&self.global, &up, &self.stage).await?;
        self.outputs = self.fetch_outputs().await?;
        let old = self.settled_production().await?;
        world.err(format!(
            "production serves: {}",
            self.style.strong(&headline(&old))
        ));
        self.done("up");

        self.step(world, "push the app; the push starts the pipeline, which builds it and starts it beside the old one");
        self.push(world).await?;
        self.done("git push");
        self.command("watch --until ready");
        let exit = self.watch(Until::Ready).await?;
        if exit != Exit::Waiting {
            return Ok(exit);
        }
        self.done("build, and start of the new tasks");

        self.step(world, "look at both versions");
        let production = self.page(self.outputs.production_url.as_ref()).await?;
        let test = self.page(self.outputs.test_url.as_ref()).await?;
        self.show(
            world,
            "production",
            self.outputs.production_url.as_ref(),
            &production,
            "the old page",
        );
        self.show(
            world,
            "test",
            self.outputs.test_url.as_ref(),
            &test,
            "the new page",
        );
        self.expect(
            "production serves the old page before the reroute",
            production == old,
        )?;
        self.expect("test serves the new page before the reroute", test != old)?;
        if let (Answers::Terminal | Answers::Script(_), false) = (&world.answers, args.yes)
            && !world.confirm("move production to the new version?", "--yes")?
        {
            world.err("nothing moves; the deployment waits, and would be stopped after an hour");
            return Ok(Exit::Waiting);
        }

        self.step(world, "move production to the new version");
        self.command("reroute");
        super::reroute::exec(
            &self.global,
            &Reroute {
                id: None,
                finish: false,
            },
            &self.stage,
        )
        .await?;
        self.command("watch --until old-tasks");
        let exit = self.watch(Until::OldTasks).await?;
        if exit != Exit::Running {
            return Ok(exit);
        }
        let production = self.page(self.outputs.production_url.as_ref()).await?;
        self.show(
            world,
            "production",
            self.outputs.production_url.as_ref(),
            &production,
            "the new page",
        );
        self.expect(
            "production serves the new page after the reroute",
            production == test,
        )?;
        self.done("reroute");

        self.step(world, "wait out the old tasks");
        self.command("watch");
        let exit = self.watch(Until::Done).await?;
        self.done("wait with the old tasks");
        if exit != Exit::Done {
            return Ok(exit);
        }
        self.command("plan");
        let exit = super::plan::exec(
            &self.global,
            &crate::args::Plan {
                exit_code: true,
                refresh_only: false,
                all: false,
                area: None,
            },
            &self.stage.talking(),
        )
        .await?;
        self.expect(
            "a rollout is no drift: `plan` has no changes",
            exit == Exit::Done,
        )?;
        Ok(Exit::Done)
    }

    fn step(&self, world: &World, text: &str) {
        world.err(format!(
            "\n{} {}",
            self.style.note("──"),
            self.style.strong(text)
        ));
    }

    fn command(&self, text: &str) {
        self.stage
            .err(format!("{} ecspipe {text}", self.style.dim("$")));
    }

    /// Notes how long a part took: on the wall's clock and on the account's.
    fn done(&mut self, name: &'static str) {
        let now = (Instant::now(), self.sandbox.clock().now());
        let account = u64::try_from(now.1 - self.since.1).unwrap_or_default();
        self.took
            .push((name, now.0 - self.since.0, Duration::from_millis(account)));
        self.since = now;
    }

    fn write_app(&self) -> Result<(), Failure> {
        for (name, bytes) in APP {
            let path = self.stage.path(name);
            let parent = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(|error| Failure::file("write", &path, &error))?;
        }
        Ok(())
    }

    async fn fetch_outputs(&self) -> Result<Outputs, Failure> {
        let place = Place::open(&self.global, &self.stage).await?;
        let (_, inventory) = place.look(Detail::Identity).await?;
        place
            .usable(ecspipe_provision::outputs(
                &inventory.known(),
                &place.spec,
                &place.existing,
            ))
            .await
    }

    /// The page that production serves once the service's first task is healthy.
    async fn settled_production(&self) -> Result<String, Failure> {
        let place = Place::open(&self.global, &self.stage).await?;
        let target = place.target();
        for _ in 0..600 {
            let status: Status = ecspipe_deploy::status(&place.account, &target).await?;
            if status.health.values().any(|health| health.healthy > 0) {
                return self.page(self.outputs.production_url.as_ref()).await;
            }
            tokio::time::sleep(place.poll().every).await;
        }
        Err(Failure::new(
            Exit::Failed,
            "the first task never became healthy",
        ))
    }

    /// Makes a repository of the app's folder and pushes it.
    async fn push(&self, world: &World) -> Result<(), Failure> {
        let url = self.outputs.clone_url_http.clone().unwrap_or_default();
        let commands: [&[&str]; 4] = [
            &["init", "--quiet", "--initial-branch=main"],
            &["add", "."],
            &[
                "commit",
                "--quiet",
                "--message",
                "Hello from the new version",
            ],
            &["push", "--quiet", &url, "main"],
        ];
        for arguments in commands {
            world.err(format!(
                "{} git {}",
                self.style.dim("$"),
                arguments.join(" ")
            ));
            self.git(arguments).await?;
        }
        Ok(())
    }

    async fn git(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = tokio::process::Command::new("git");
        // The user's own configuration (signing, hooks, templates) has no say in a demo.
        let settings = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "ecspipe demo"),
            ("GIT_AUTHOR_EMAIL", "demo@example.com"),
            ("GIT_COMMITTER_NAME", "ecspipe demo"),
            ("GIT_COMMITTER_EMAIL", "demo@example.com"),
        ];
        command
            .args(arguments)
            .current_dir(&self.stage.folder)
            .envs(settings)
            .env_remove("GIT_DIR")
            .kill_on_drop(true);
        let output = command.output().await.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot run git: {error}"))
                .hint("install git: the demo pushes the app with it")
        })?;
        if output.status.success() {
            return Ok(());
        }
        let mut failure = Failure::new(
            Exit::Failed,
            format!("git {} failed", arguments.first().unwrap_or(&"")),
        );
        failure.details = String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        Err(failure)
    }

    async fn watch(&self, until: Until) -> Result<Exit, Failure> {
        let args = Watch {
            id: None,
            follow: Follow {
                until,
                wait_until: None,
                timeout: None,
                report: None,
            },
        };
        super::watch::exec(&self.global, &args, &self.stage).await
    }

    async fn page(&self, url: Option<&String>) -> Result<String, Failure> {
        let url = url.ok_or_else(|| Failure::new(Exit::Failed, "the balancer has no address"))?;
        let lost =
            |why: String| Failure::new(Exit::Failed, format!("{url} does not answer: {why}"));
        let answer = local::get(url).await.map_err(lost)?;
        if answer.status != 200 {
            return Err(lost(format!("status {}", answer.status)));
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    fn show(&self, world: &World, name: &str, url: Option<&String>, page: &str, what: &str) {
        let url = url.map(String::as_str).unwrap_or_default();
        world.err(format!(
            "{name:<10} {url} serves {what}: {}",
            self.style.strong(&headline(page))
        ));
    }

    fn expect(&self, what: &str, holds: bool) -> Result<(), Failure> {
        if holds {
            Ok(())
        } else {
            Err(
                Failure::new(Exit::Failed, format!("the demo does not hold: {what}"))
                    .hint("please report it"),
            )
        }
    }

    fn summary(&self, world: &World) {
        world.err(format!(
            "\n{} {}",
            self.style.note("──"),
            self.style.strong("what happened")
        ));
        for (name, wall, account) in &self.took {
            world.err(format!(
                "  {name:<34} {:>10} here, {:>13} in the account",
                span(*wall),
                span(*account)
            ));
        }
        let url = |url: &Option<String>| url.clone().unwrap_or_default();
        world.err(format!(
            "production   {}",
            url(&self.outputs.production_url)
        ));
        world.err(format!("test         {}", url(&self.outputs.test_url)));
        world.err(format!("AWS account  {}", self.url));
    }
}

/// What a page says first: its heading, its title, or its first line.
fn headline(page: &str) -> String {
    let within = |tag: &str| {
        let (_, rest) = page.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>"))
            .map(|(text, _)| text.trim().to_owned())
    };
    let line = || {
        page.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    within("h1")
        .or_else(|| within("title"))
        .unwrap_or_else(line)
}
