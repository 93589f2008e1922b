//! Bad input and a world that isn't as hoped: each time a message, a next step, the right code, and nothing half-done.

use std::process::Command;

use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::wire::Fault;
use snapbox::{assert_data_eq, str};

use super::stage::{AUTOMATIC, Stage, Surroundings, TUTORIAL};

/// A folder with these files and no account.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[tokio::test(start_paused = true)]
async fn no_spec() {
    let stage = Stage::new(TUTORIAL);
    std::fs::remove_file(stage.folder.path().join("ecspipe.yaml")).unwrap();
    for command in [
        "plan",
        "up --yes",
        "deploy",
        "status",
        "watch",
        "render",
        "down --yes",
        "logs",
        "outputs",
        "reroute",
        "stop",
        "rollback --yes",
    ] {
        let ran = stage.run(command).await.exits(2);
        assert_eq!(
            ran.err,
            "error: there is no ecspipe.yaml here\nhint: write one with `ecspipe init`, or name it with `--file`\n",
            "{command}"
        );
        assert_eq!(ran.out, "");
    }
    stage
        .run("plan --file other/place.yaml")
        .await
        .exits(2)
        .says(&["there is no other/place.yaml here"]);
    let ran = stage.run("plan --file .").await.exits(2);
    assert!(ran.err.starts_with("error: cannot read .: "), "{}", ran.err);
    assert_eq!(stage.sandbox.counts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_spec_is_shown_whole() {
    let stage = Stage::new(
        "version: 1\napp: My App\nservice: { prot: 80, port: 99999 }\nregion: eu-central-1\n",
    );
    let ran = stage.run("up --yes").await.exits(3);
    assert_data_eq!(
        ran.err,
        str![[r#"
error: ecspipe.yaml has 3 problems

  × app: `My App` is not an app name
   ╭─[ecspipe.yaml:2:6]
 1 │ version: 1
 2 │ app: My App
   ·      ──────
 3 │ service: { prot: 80, port: 99999 }
   ╰────
  help: 2 to 32 characters, lower-case letters, digits and single hyphens, starting with a letter
        (and not with `sthree-`); `my-app` would do

  × service.prot: `prot` is not a key here
   ╭─[ecspipe.yaml:3:12]
 2 │ app: My App
 3 │ service: { prot: 80, port: 99999 }
   ·            ────
 4 │ region: eu-central-1
   ╰────
  help: allowed here: image, port, cpu, memory, architecture, desired_count, environment,
        health_check, exec

  × service.port: 99999 is not a port
   ╭─[ecspipe.yaml:3:28]
 2 │ app: My App
 3 │ service: { prot: 80, port: 99999 }
   ·                            ─────
 4 │ region: eu-central-1
   ╰────
  help: from 1 to 65535

"#]]
    );
    assert_eq!(stage.sandbox.counts().len(), 0);
    let json = stage.run("plan --format json").await.exits(3);
    assert!(
        json.out
            .lines()
            .all(|line| line.starts_with('{') || line.starts_with('[')),
        "{}",
        json.out
    );

    stage.write("ecspipe.yaml", "");
    stage.run("plan").await.exits(3).says(&["error: "]);
    std::fs::write(
        stage.folder.path().join("ecspipe.yaml"),
        b"version: 1\napp: \xff\n",
    )
    .unwrap();
    stage.run("plan").await.exits(3).says(&[
        "error: ecspipe.yaml is not UTF-8 text (byte 16)",
        "hint: save it as UTF-8",
    ]);
    assert_eq!(stage.files().len(), 1);
}

#[tokio::test]
async fn wrong_usage() {
    let folder = folder(&[("ecspipe.yaml", TUTORIAL)]);
    let surroundings = || Surroundings::new(folder.path());
    surroundings()
        .run("depoly")
        .await
        .exits(2)
        .says(&["unrecognized subcommand 'depoly'", "'deploy'"]);
    surroundings()
        .run("up --now")
        .await
        .exits(2)
        .says(&["unexpected argument '--now'"]);
    surroundings()
        .run("deploy --until never")
        .await
        .exits(2)
        .says(&["[possible values: done, ready, old-tasks]"]);
    surroundings()
        .run("plan --sandbox=4570 --endpoint-url http://127.0.0.1:1")
        .await
        .exits(2)
        .says(&["cannot be used with"]);
    surroundings()
        .run("plan --region us-east-1")
        .await
        .exits(2)
        .says(&[
            "the spec is for region eu-central-1, `--region` says us-east-1",
            "leave one of them out",
        ]);
    surroundings()
        .run("render --stdout task.json")
        .await
        .exits(2)
        .says(&[
            "`task.json` is not a file of a deployment",
            "taskdef.json, appspec.yaml, buildspec.yml",
        ]);
    surroundings()
        .run("logs --since yesterday")
        .await
        .exits(2)
        .says(&["yesterday"]);
    surroundings().run("sandbox --speed -1").await.exits(2);
    let help = surroundings().run("--help").await.exits(0);
    assert!(help.out.contains("ecspipe demo"), "{}", help.out);
    assert_eq!(help.err, "");
}

#[tokio::test(start_paused = true)]
async fn nobody_to_ask() {
    let stage = Stage::new(TUTORIAL);
    let before = stage.things();
    stage.run("up").await.exits(2).says(&[
        "41 to create",
        "error: there is nobody to ask: make these changes?",
        "hint: pass --yes",
    ]);
    assert_eq!(stage.things(), before);
}

#[tokio::test]
async fn no_sandbox_answers() {
    let folder = folder(&[("ecspipe.yaml", TUTORIAL)]);
    // Held, so that nobody else listens there, but not listened on.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let ran = Surroundings::new(folder.path())
        .run(&format!("plan --sandbox={port}"))
        .await
        .exits(7);
    ran.says(&[
        &format!("error: no sandbox answers at http://127.0.0.1:{port}: Connection refused"),
        &format!("hint: start one in another terminal: `ecspipe sandbox --port {port}`\n"),
    ]);
    let ran = Surroundings::new(folder.path())
        .run(&format!("plan --sandbox=http://127.0.0.1:{port}/"))
        .await
        .exits(7);
    ran.says(&[&format!(
        "hint: start one in another terminal: `ecspipe sandbox --port {port}`\n"
    )]);
    let ran = Surroundings::new(folder.path())
        .run(&format!("plan --endpoint-url http://127.0.0.1:{port}"))
        .await
        .exits(7);
    ran.says(&[
        &format!("error: nobody answers at http://127.0.0.1:{port}: "),
        "hint: start the emulator, or correct `--endpoint-url`",
    ]);
}

#[tokio::test]
async fn no_port_of_a_sandbox() {
    let folder = folder(&[("ecspipe.yaml", TUTORIAL)]);
    for at in [
        "notaport",
        "0",
        "70000",
        "",
        "http://nonsense:x",
        "http://:1",
        "http://",
    ] {
        let ran = Surroundings::new(folder.path())
            .run(&format!("plan --sandbox={at}"))
            .await;
        ran.exits(2).says(&[
            "--sandbox",
            "by its port, 1 to 65535, or its URL, such as http://127.0.0.1:4570",
        ]);
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let folder = folder(&[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = Surroundings::new(folder.path())
        .run(&format!("sandbox --port {port} --data account"))
        .await
        .exits(2);
    ran.says(&[
        &format!("error: cannot listen on 127.0.0.1:{port}: Address already in use"),
        "hint: choose another with `--port`, or stop what listens there\n",
    ]);
}

#[tokio::test]
async fn a_sandbox_that_ends() {
    let folder = folder(&[]);
    let surroundings = Surroundings::new(folder.path());
    let (ran, ()) = tokio::join!(surroundings.run("sandbox --port 0 --data account"), async {
        until(&surroundings, "Ctrl-C ends it").await;
        surroundings.world.cancel().cancel();
    });
    let ran = ran.exits(0).says(&[
        "an AWS account listens at http://127.0.0.1:",
        "ecspipe --sandbox=",
        "ended; state kept in account",
    ]);
    assert!(!ran.err.contains("--sandbox=0 "), "{}", ran.err);
    assert!(folder.path().join("account/account.json").is_file());

    std::fs::write(folder.path().join("account/account.json"), "{").unwrap();
    Surroundings::new(folder.path())
        .run("sandbox --port 0 --data account")
        .await
        .exits(2)
        .says(&[
            "the saved state ",
            "cannot be read: ",
            "hint: name another folder with `--data`",
        ]);
}

/// Lets the other side of a join go on until it has said something.
pub(crate) async fn until(surroundings: &Surroundings, text: &str) {
    while !surroundings.talk().contains(text) {
        tokio::task::yield_now().await;
    }
}

/// What was never made isn't a bug, nor was it changed by hand.
#[tokio::test(start_paused = true)]
async fn nothing_was_made_yet() {
    let stage = Stage::new(TUTORIAL);
    for command in ["status", "releases"] {
        let ran = stage.run(command).await.exits(4);
        ran.says(&["there is no service", "hint: ", "`ecspipe up`"]);
    }
    let ran = stage.run("plan --refresh-only").await.exits(0);
    let told = "What is there wasn't changed by hand since it was applied; 41 resources are missing, which `ecspipe plan` shows.";
    assert!(ran.out.contains(told), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn another_account_than_the_specs() {
    let stage = Stage::new(&format!("{AUTOMATIC}account: '444455556666'\n"));
    let ran = stage.run("up --yes").await.exits(7);
    assert_eq!(
        ran.err,
        "error: the spec is for account 444455556666, but the credentials are for account 111122223333\n\
         hint: choose the right login with `--profile`, or correct `account:` in the spec\n"
    );
}

/// What the environment says is read by the SDK too, so these runs have a process of their own: this test's binary, with
/// an environment that says nothing.
#[test]
fn an_environment_that_says_nothing() {
    const INNER: &str = "ECSPIPE_TEST_EMPTY_ENVIRONMENT";
    if std::env::var_os(INNER).is_some() {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(nothing_is_known());
    }
    let home = folder(&[]);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failure::an_environment_that_says_nothing"])
        .env_clear()
        .envs([(INNER, "1"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .env("HOME", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "{said}");
}

async fn nothing_is_known() {
    let folder = folder(&[(
        "ecspipe.yaml",
        "version: 1\napp: web\nservice: { port: 80 }\n",
    )]);
    let run = async |args: &str| Surroundings::new(folder.path()).run(args).await;
    let no_region = "hint: name one: `region:` in the spec, `--region`, AWS_REGION, or the profile's `region`\n";
    for command in ["plan", "up --yes", "status"] {
        let ran = run(command).await.exits(7);
        assert_eq!(
            ran.err,
            format!("error: no region is known\n{no_region}"),
            "{command}"
        );
    }
    let ran = run("plan --region eu-central-1").await.exits(7);
    assert!(ran.err.contains("credentials"), "{}", ran.err);
    assert!(ran.err.contains("hint: "), "{}", ran.err);
    let ran = run("plan --region eu-central-1 --profile nowhere")
        .await
        .exits(7);
    assert!(ran.err.contains("hint: "), "{}", ran.err);
    run("render --out files").await.exits(7).says(&["hint: "]);
    assert!(!folder.path().join("files").exists());
    run("render --out files --region eu-central-1 --account 111122223333")
        .await
        .exits(0);
    assert_eq!(
        std::fs::read_dir(folder.path().join("files"))
            .unwrap()
            .count(),
        3
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_left_as_it_was() {
    let folder = folder(&[("ecspipe.yaml", AUTOMATIC), ("files", "mine\n")]);
    let ran = Surroundings::new(folder.path())
        .run("render --account 111122223333 --out files")
        .await
        .exits(2);
    assert!(
        ran.err.starts_with("error: cannot write to files: "),
        "{}",
        ran.err
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("files")).unwrap(),
        "mine\n"
    );
    std::fs::create_dir_all(folder.path().join("out/taskdef.json")).unwrap();
    Surroundings::new(folder.path())
        .run("render --account 111122223333 --out out")
        .await
        .exits(2)
        .says(&["taskdef.json is a folder there"]);
    assert_eq!(
        std::fs::read_dir(folder.path().join("out"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_belongs_to_somebody_else() {
    let sandbox = Sandbox::new(&ecspipe_sandbox::Options::default()).unwrap();
    let app = |name: &str| {
        format!(
            "version: 1\napp: {name}\nregion: eu-central-1\nservice: {{ port: 80 }}\nsource: {{ codecommit: {{ repository: shared }} }}\n"
        )
    };
    Stage::of(&app("one"), sandbox.clone())
        .run("up --yes")
        .await
        .exits(0);
    let two = Stage::of(&app("two"), sandbox);
    let before = two.things();
    let ran = two.run("plan").await.exits(4);
    assert!(
        ran.out.contains("refused: source-repository/main") && ran.out.contains("next: "),
        "{}",
        ran.out
    );
    let ran = two.run("up --yes").await.exits(4).says(&[
        "error: the plan is refused; nothing was done",
        "source-repository/main",
        "next: ",
    ]);
    assert_eq!(ran.out, "");
    assert_eq!(two.things(), before);
}

fn refuse(operation: &str, times: u64, fault: Fault) -> Rule {
    Rule {
        service: None,
        operation: Some(operation.to_owned()),
        skip: 0,
        times,
        strike: Strike::Refuse(fault),
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_refused() {
    let stage = Stage::new(TUTORIAL);
    let limit = Fault::new(
        "VpcLimitExceeded",
        "The maximum number of VPCs has been reached.",
    );
    stage.sandbox.faults().add(refuse("CreateVpc", 1, limit));
    stage
        .run("up --yes")
        .await
        .exits(5)
        .says(&["✗ vpc/main: not created: ", "subnet/public-eu-central-1a: skipped, vpc/main failed", "error: not everything is done: 1 step failed, 24 not begun\nvpc/main: ec2 CreateVpc: The maximum number of VPCs has been reached. (VpcLimitExceeded)", "request id: ", "hint: run the command again"]);
    stage.run("plan --exit-code").await.exits(10);
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing() {
    let stage = Stage::new(TUTORIAL);
    let denied = Fault::new("AccessDeniedException", "User: arn:aws:iam::111122223333:user/you is not authorized to perform: codepipeline:CreatePipeline").status(400);
    stage
        .sandbox
        .faults()
        .add(refuse("CreatePipeline", 1, denied));
    stage.run("up --yes").await.exits(7).says(&[
        "pipeline/main",
        "AccessDenied",
        "next: ",
        "codepipeline:CreatePipeline",
    ]);
    stage.run("up --yes").await.exits(0);
    let denied = Fault::new(
        "AccessDeniedException",
        "User is not authorized to perform: ecs:DescribeServices",
    )
    .status(400);
    stage
        .sandbox
        .faults()
        .add(refuse("DescribeServices", 1, denied));
    stage.run("status").await.exits(7).says(&[
        "error: ecs DescribeServices failed: AccessDenied",
        "request id: ",
        "hint: ",
    ]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_throttles_for_ever() {
    let stage = Stage::new(TUTORIAL);
    stage.sandbox.faults().add(refuse(
        "CreateLoadBalancer",
        10_000,
        Fault::new("Throttling", "Rate exceeded"),
    ));
    stage.run("up --yes").await.exits(5).says(&[
        "✗ load-balancer/main",
        "Rate exceeded (Throttling)",
        "hint: run the command again",
    ]);
    stage.sandbox.faults().clear();
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_start_nothing_twice() {
    let stage = Stage::new(TUTORIAL);
    let lose = |operation: &str| Rule {
        service: None,
        operation: Some(operation.to_owned()),
        skip: 0,
        times: 1,
        strike: Strike::LoseAnswer,
    };
    for operation in [
        "CreateVpc",
        "CreateNatGateway",
        "CreateService",
        "CreatePipeline",
        "PutObject",
    ] {
        stage.sandbox.faults().add(lose(operation));
    }
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);

    for operation in [
        "RegisterTaskDefinition",
        "CreateDeployment",
        "GetDeployment",
        "ContinueDeployment",
    ] {
        stage.sandbox.faults().add(lose(operation));
    }
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("reroute").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.sandbox.faults().add(lose("StartPipelineExecution"));
    stage.push("ecs-deployment-pipeline", "<h1>first</h1>\n");
    stage.run("watch --until ready").await.exits(8);
    let status = stage.run("status --format json").await.json();
    assert_eq!(
        status["status"]["deployments"].as_array().unwrap().len(),
        2,
        "{status:#}"
    );
    assert!(
        stage
            .sandbox
            .faults()
            .rules()
            .iter()
            .filter(|rule| rule.times > 0)
            .all(|rule| rule.operation.as_deref() == Some("StartPipelineExecution"))
    );
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("deploy --until ready").await.exits(8);
    let status = stage.run("status --format json").await.json();
    let executions = status["status"]["executions"].as_array().unwrap();
    let requested = executions
        .iter()
        .filter(|execution| execution["trigger"]["kind"] == "StartPipelineExecution");
    assert_eq!(requested.count(), 1, "{status:#}");
    assert!(
        stage
            .sandbox
            .faults()
            .rules()
            .iter()
            .all(|rule| rule.times == 0)
    );
}

/// From some call on every answer is lost, although AWS does what it is told.
#[tokio::test(start_paused = true)]
async fn a_network_that_goes_away_in_the_middle_of_up() {
    let whole = Stage::new(TUTORIAL);
    whole.run("up --yes").await.exits(0);
    whole.minutes(5).await;
    let kinds = |stage: &Stage| {
        let things = stage.things();
        let kind = |thing: &String| thing.split('/').take(3).collect::<Vec<_>>().join("/");
        let mut kinds: Vec<String> = things.iter().map(kind).collect();
        kinds.sort();
        kinds
    };
    for skip in [60, 105] {
        let stage = Stage::new(TUTORIAL);
        stage.sandbox.faults().add(Rule {
            service: None,
            operation: None,
            skip,
            times: u64::MAX,
            strike: Strike::LoseAnswer,
        });
        stage.run("up --yes").await.exits(5).says(&[
            "the connection ended before the answer",
            "next: check the network",
            "hint: run the command again",
        ]);
        stage.sandbox.faults().clear();
        stage.run("up --yes").await.exits(0);
        stage.run("plan --exit-code").await.exits(0);
        // Until the first task runs.
        stage.minutes(5).await;
        assert_eq!(kinds(&stage), kinds(&whole));
    }
}
