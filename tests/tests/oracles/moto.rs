//! The engine on moto, an emulator that others wrote: everything of an app is made there too, and boto3 describes it as it does on
//! the sandbox. What moto can't do is listed here and in `known_findings.json`, and held exactly: once moto learns it, this fails.
//! The command line's own `up` ends there with its last call, the deployment files: moto ignores the condition of a bucket's
//! TLS-only policy and refuses every object. So it is the engine that runs here.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use ecspipe_aws::{Account, Connect, Pace};
use ecspipe_provision::{Mode, Options, Outcome};
use tempfile::{NamedTempFile, TempDir};

use super::oracle::{Oracles, lines};
use super::place::{PRIVATE, Place, differences, spec};
use super::stage::{REGION, Stage, TUTORIAL};

/// The account of a new sandbox, so that both sides' ARNs are equal.
const ACCOUNT: &str = "111122223333";

/// Endpoints in place of gateways, in a rollout that needs no deployment configuration of its own: moto has none.
const CLOSED: &str = "
version: 1
app: closed
region: eu-central-1
network: { zones: 3, nat: none }
service:
  image: 111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1.2
  port: 8080
  environment: { LOG: debug }
";

/// moto on a port of this machine; it ends with this.
struct Moto {
    process: Child,
    port: u16,
    complaints: NamedTempFile,
}

impl Moto {
    fn start(oracles: &Oracles) -> Self {
        let complaints = NamedTempFile::new().unwrap();
        let mut process = oracles
            .command("moto_server.py")
            .arg(ACCOUNT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().unwrap_or_else(|error| {
            panic!(
                "moto did not start: {error}\n{}",
                std::fs::read_to_string(complaints.path()).unwrap_or_default()
            )
        });
        Self {
            process,
            port,
            complaints,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The app of `text` on moto.
    async fn place(&self, text: &str) -> Place {
        let account = Account::connect(Connect {
            region: Some(REGION.to_owned()),
            endpoint: Some(self.url()),
            emulator: true,
            pace: Pace::new(10_000.0, jiff::Timestamp::now()),
            ..Connect::default()
        })
        .await
        .unwrap();
        let facts = account.facts(true).await.unwrap();
        // The sandbox stands idle: this place's account is moto's.
        Place {
            sandbox: super::place::sandbox(),
            account,
            facts,
            spec: spec(text),
            existing: Default::default(),
        }
    }

    /// The operations that were called and that moto lacks, as the shim notes them.
    fn lacking(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.complaints.path()).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("moto lacks "));
        lines
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It ends by itself once its standard input is closed; nobody waits for a test's moto to say goodbye.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_on_moto_is_what_is_made_on_the_sandbox() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let (sandbox, moto) = (
        folder.path().join("sandbox.json"),
        folder.path().join("moto.json"),
    );
    let tutorial = both(&oracles, TUTORIAL).await;
    let closed = both(&oracles, CLOSED).await;
    // One comparison, so that an entry of known_findings.json that neither app needs any more shows.
    for (path, side) in [(&sandbox, 0), (&moto, 1)] {
        let mut merged = serde_json::Map::new();
        for (app, sides) in [("tutorial", &tutorial), ("closed", &closed)] {
            for (key, value) in sides[side].as_object().unwrap() {
                merged.insert(format!("{app} {key}"), value.clone());
            }
        }
        std::fs::write(path, serde_json::to_string(&merged).unwrap()).unwrap();
    }
    let answer = oracles.ask("compare.py", &[&sandbox, &moto], "");
    println!(
        "{} values compared, {} differences known",
        answer["compared"], answer["known"]
    );
    assert_eq!(lines(&answer, "differences"), "");
    assert_eq!(lines(&answer, "unused"), "");
    assert!(answer["compared"].as_u64().unwrap() > 1000, "{answer:#}");
}

/// What boto3 says of the app of `text` on the sandbox, and on moto.
async fn both(oracles: &Oracles, text: &str) -> [serde_json::Value; 2] {
    let stage = Stage::served(text, 1000.0);
    stage.run("up --yes").await.exits(0);
    let moto = Moto::start(oracles);
    let place = moto.place(text).await;
    place.up().await;
    assert_eq!(moto.lacking(), BTreeSet::new());
    let app = place.spec.app.to_string();
    let describe = |url: &str| oracles.ask("describe.py", &[url, &app, REGION], "");
    let found = [describe(&stage.url()), describe(&moto.url())];
    for side in &found {
        let have: BTreeSet<&str> = side
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let graph = place.graph().0;
        let want: BTreeSet<String> = graph
            .nodes()
            .iter()
            .map(|node| node.key.to_string())
            .collect();
        assert_eq!(have, want.iter().map(String::as_str).collect());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_goes_as_far_as_it_can() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let moto = Moto::start(&oracles);
    let place = moto.place(TUTORIAL).await;
    place.up().await;
    // moto keeps neither a service's grace period nor a build project's key.
    let again = place.plan(Options::default()).await;
    let fields: Vec<String> = again
        .steps
        .iter()
        .flat_map(|step| {
            step.action
                .changes()
                .iter()
                .map(|change| format!("{} {}", step.key, change.field))
        })
        .collect();
    assert_eq!(
        fields,
        [
            "service/main health_check_grace_seconds",
            "build-project/main encryption_key"
        ],
        "{:#?}",
        differences(&again)
    );

    let plan = place
        .plan(Options {
            mode: Mode::Down,
            delete_source: true,
            ..Options::default()
        })
        .await;
    let outcome = place.try_apply(&plan).await;
    // moto looks a key up by its ARN under its bare id, and fails.
    assert_eq!(
        failed(&outcome),
        ["encryption-key/main kms ScheduleKeyDeletion"]
    );
    // The bucket goes last, as the lease lies in it.
    let skipped: Vec<String> = outcome
        .skipped
        .iter()
        .map(|skip| skip.key.to_string())
        .collect();
    assert_eq!(skipped, ["bucket/artifacts"]);
    // CodeDeploy's deletions are the shim's; the key's alias is gone, and with it what it is found by.
    let left: Vec<String> = place
        .inventory()
        .await
        .owned
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        left,
        [
            "bucket/artifacts",
            "deployment-application/main",
            "deployment-group/main"
        ]
    );

    let mut place = moto.place(PRIVATE).await;
    // moto has no CloudWatch in the protocol that the SDK speaks with it.
    place.spec.deploy.alarms.clear();
    let plan = place.plan(Options::default()).await;
    let outcome = place.try_apply(&plan).await;
    assert_eq!(
        failed(&outcome),
        ["deployment-config/canary-20p-7m codedeploy CreateDeploymentConfig"]
    );
    let skipped: BTreeSet<String> = outcome
        .skipped
        .iter()
        .map(|skip| skip.key.to_string())
        .collect();
    let behind = [
        "deployment-group/main",
        "event-rule/bundle",
        "event-rule/source",
        "pipeline/main",
    ];
    assert_eq!(skipped, behind.map(str::to_owned).into());
    let lacking = ["CodeDeploy_20141006 CreateDeploymentConfig"];
    assert_eq!(moto.lacking(), lacking.map(str::to_owned).into());
}

fn failed(outcome: &Outcome) -> Vec<String> {
    let failures = outcome.failed.iter();
    failures
        .map(|failure| {
            format!(
                "{} {} {}",
                failure.key, failure.error.service, failure.error.operation
            )
        })
        .collect()
}
