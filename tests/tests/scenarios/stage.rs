//! A folder with a spec and an account, and short ways to run commands and look at pages. Must not hold expectations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ecspipe::{Answers, World};
use ecspipe_sandbox::server::Server;
use ecspipe_sandbox::services::iam::Role;
use ecspipe_sandbox::services::lambda::Function;
use ecspipe_sandbox::{Options, Sandbox};
use tempfile::TempDir;

pub(crate) const REGION: &str = "eu-central-1";

/// The tutorial's app.
pub(crate) const TUTORIAL: &str = include_str!("../../../examples/httpd/ecspipe.yaml");
/// An app whose rollouts go on by themselves.
pub(crate) const AUTOMATIC: &str = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80 }
deploy: { keep_old: 5m }
";

/// What one run printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The same run, if it ended with `code`.
    #[track_caller]
    pub(crate) fn exits(self, code: u8) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    /// The same run, if stderr says all of `texts`.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.err.contains(text),
                "`{text}` is missing in:\n{}",
                self.err
            );
        }
        self
    }

    /// Stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.out, self.err))
    }
}

type Printed = Arc<Mutex<Vec<u8>>>;

/// A run's surroundings and what it prints into.
pub(crate) struct Surroundings {
    pub(crate) world: World,
    out: Printed,
    err: Printed,
}

impl Surroundings {
    pub(crate) fn new(folder: &Path) -> Self {
        let (out, err) = (Printed::default(), Printed::default());
        let world = World::for_test(folder.to_owned(), Arc::clone(&out), Arc::clone(&err));
        Self { world, out, err }
    }

    pub(crate) async fn run(&self, args: &str) -> Ran {
        let words = std::iter::once("ecspipe").chain(args.split_whitespace());
        let code = ecspipe::run(words.map(Into::into), &self.world).await;
        Ran {
            code,
            out: text(&self.out),
            err: text(&self.err),
        }
    }

    /// What stdout shows so far.
    pub(crate) fn data(&self) -> String {
        text(&self.out)
    }

    /// What stderr shows so far.
    pub(crate) fn talk(&self) -> String {
        text(&self.err)
    }
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(bytes.lock().unwrap().clone()).unwrap()
}

/// The URI of an image that the pipeline has built.
pub(crate) fn built(sandbox: &Sandbox, repository: &str) -> String {
    let mut world = sandbox.world();
    let tags = &world.at(REGION).ecr.repositories[repository].image_tags;
    let tag = tags.keys().find(|tag| *tag != "buildcache").unwrap();
    format!("111122223333.dkr.ecr.{REGION}.amazonaws.com/{repository}:{tag}")
}

/// A folder with a spec, and an account.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) sandbox: Sandbox,
    /// Every run so far, as a user would have seen it: stderr, then stdout, then the exit code where it isn't 0.
    pub(crate) transcript: Mutex<String>,
    server: Option<Server>,
}

impl Stage {
    /// An account behind the in-process connector, for tests on the paused clock.
    pub(crate) fn new(spec: &str) -> Self {
        Self::of(spec, Sandbox::new(&Options::default()).unwrap())
    }

    /// An account behind a port of its own, `speed` times as fast as AWS.
    pub(crate) fn served(spec: &str, speed: f64) -> Self {
        let sandbox = Sandbox::new(&Options { speed, data: None }).unwrap();
        let mut stage = Self::of(spec, sandbox);
        stage.server = Some(stage.sandbox.serve(0).unwrap());
        stage
    }

    pub(crate) fn of(spec: &str, sandbox: Sandbox) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ecspipe.yaml"), spec).unwrap();
        Self {
            folder,
            sandbox,
            transcript: Mutex::default(),
            server: None,
        }
    }

    /// Where the account listens.
    #[allow(dead_code, reason = "the oracles' tests use it")]
    pub(crate) fn url(&self) -> String {
        self.server.as_ref().unwrap().url()
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        let mut surroundings = Surroundings::new(self.folder.path());
        surroundings.world.sandbox = Some(self.sandbox.clone());
        surroundings.world.sandbox_url = self.server.as_ref().map(Server::url);
        surroundings
    }

    pub(crate) async fn run(&self, args: &str) -> Ran {
        self.keep(args, self.surroundings().run(args).await)
    }

    /// Runs a command that asks.
    pub(crate) async fn answer(&self, args: &str, answers: &[&str]) -> Ran {
        let mut surroundings = self.surroundings();
        let answers: VecDeque<String> = answers.iter().map(ToString::to_string).collect();
        surroundings.world.answers = Answers::Script(Arc::new(Mutex::new(answers)));
        self.keep(args, surroundings.run(args).await)
    }

    fn keep(&self, args: &str, ran: Ran) -> Ran {
        let mut transcript = self.transcript.lock().unwrap();
        *transcript += &format!("$ ecspipe {args}\n{}{}", ran.err, ran.out);
        if ran.code != 0 {
            *transcript += &format!("[exit {}]\n", ran.code);
        }
        transcript.push('\n');
        ran
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The names in the folder.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Pushes an app whose page is `page`.
    pub(crate) fn push(&self, repository: &str, page: &str) {
        let dockerfile = "FROM httpd:2.4.58\nCOPY ./src/ /usr/local/apache2/htdocs/\nEXPOSE 80\n";
        self.push_files(
            repository,
            &[("Dockerfile", dockerfile), ("src/index.html", page)],
        );
    }

    pub(crate) fn push_files(&self, repository: &str, files: &[(&str, &str)]) {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect();
        self.sandbox
            .push(REGION, repository, "main", &files, "a new page")
            .unwrap();
    }

    /// A person takes a while. Virtual time: nothing waits for it.
    pub(crate) async fn minutes(&self, minutes: u64) {
        for _ in 0..minutes {
            tokio::time::advance(std::time::Duration::from_secs(60)).await;
        }
    }

    /// A Lambda function that hooks can call: it succeeds unless something else is dialled, and may say so.
    pub(crate) fn add_function(&self, name: &str) {
        let mut world = self.sandbox.world();
        let arn = |service: &str, resource: &str| match service {
            "iam" => format!("arn:aws:iam::111122223333:{resource}"),
            _ => format!("arn:aws:{service}:{REGION}:111122223333:{resource}"),
        };
        let allow = |members: serde_json::Value| {
            let mut statement = members;
            statement["Effect"] = "Allow".into();
            serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
        };
        let role = Role {
            name: format!("function-{name}"),
            path: "/".to_owned(),
            id: "AROA0123456789ABCDEFG".to_owned(),
            arn: arn("iam", &format!("role/function-{name}")),
            created: 0,
            description: None,
            max_session: 3600,
            trust: allow(
                serde_json::json!({"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}),
            ),
            trust_since: 0,
            former_trust: None,
            boundary: None,
            tags: BTreeMap::new(),
            inline: BTreeMap::from([(
                "work".to_owned(),
                allow(
                    serde_json::json!({"Action": ["codedeploy:PutLifecycleEventHookExecutionStatus", "logs:*"], "Resource": "*"}),
                ),
            )]),
            attached: BTreeSet::new(),
        };
        let function = Function {
            arn: arn("lambda", &format!("function:{name}")),
            name: name.to_owned(),
            role: role.arn.clone(),
            created: 0,
            settings: serde_json::json!({"FunctionName": name, "Runtime": "python3.13", "Handler": "index.handler", "Role": role.arn}),
            code: (4, String::new()),
            tags: BTreeMap::new(),
        };
        world.iam.roles.insert(role.name.clone(), role);
        let functions = &mut world.at(REGION).lambda.functions;
        functions.insert(name.to_owned(), function);
    }

    /// What the listener on AWS's port serves; the first line.
    pub(crate) fn page(&self, port: u16) -> String {
        let listener = self
            .sandbox
            .listeners()
            .into_iter()
            .find(|listener| listener.port == port)
            .unwrap();
        let page = self.sandbox.fetch(&listener.arn, "/");
        let body = String::from_utf8(page.body.to_vec()).unwrap();
        format!(
            "{} {}",
            page.status,
            body.lines().next().unwrap_or_default()
        )
    }

    /// What the account holds, one thing a line; history aside.
    pub(crate) fn things(&self) -> BTreeSet<String> {
        super::place::things(&self.sandbox)
    }
}
