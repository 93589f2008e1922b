//! What operating an app takes beside rollouts: releases and the way back to one, approvals, scaling, single tasks, sessions.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use super::redact::redact;
use super::stage::{AUTOMATIC, REGION, Stage, TUTORIAL};
use super::wire::json_call;

async fn made(spec: &str) -> Stage {
    let stage = Stage::new(spec);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    stage.transcript.lock().unwrap().clear();
    stage
}

/// Somebody puts a manual approval between source and build.
pub(crate) async fn add_approval(stage: &Stage) {
    let call = async |operation: &str, input: Value| {
        json_call(&stage.sandbox, "codepipeline", operation, &input).await
    };
    let all = call("ListPipelines", json!({})).await;
    let got = call("GetPipeline", json!({"name": all["pipelines"][0]["name"]})).await;
    let mut pipeline = got["pipeline"].clone();
    let approval = json!({
        "name": "Check",
        "actions": [{
            "name": "Legal",
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
            "configuration": {"CustomData": "may it go?"},
            "runOrder": 1, "inputArtifacts": [], "outputArtifacts": [],
        }],
    });
    pipeline["stages"]
        .as_array_mut()
        .unwrap()
        .insert(1, approval);
    call("UpdatePipeline", json!({"pipeline": pipeline})).await;
}

/// Registers the newest task definition as so many more revisions.
pub(crate) async fn register_again(stage: &Stage, times: usize) {
    let newest = json!({"taskDefinition": "web"});
    let newest = json_call(&stage.sandbox, "ecs", "DescribeTaskDefinition", &newest).await;
    let mut definition = newest["taskDefinition"].clone();
    for member in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
    ] {
        definition.as_object_mut().unwrap().remove(member);
    }
    for _ in 0..times {
        json_call(&stage.sandbox, "ecs", "RegisterTaskDefinition", &definition).await;
    }
}

#[tokio::test(start_paused = true)]
async fn releases_are_listed_and_gone_back_to() {
    let stage = made(AUTOMATIC).await;
    stage.run("releases").await.exits(0);
    stage.push("web", "<h1>first</h1>\n");
    stage.run("watch").await.exits(0);
    stage.run("deploy --image nginx:1.27").await.exits(0);
    stage
        .sandbox
        .faults()
        .unhealthy_images
        .push("shop:bad".to_owned());
    stage.run("deploy --image shop:bad").await.exits(6);
    stage.transcript.lock().unwrap().clear();

    stage.run("releases").await.exits(0);
    let have = stage
        .run("releases --format json --limit 1")
        .await
        .exits(0)
        .json();
    let releases = have["releases"].as_array().unwrap();
    // What is live is shown however short the list.
    let live: Vec<&Value> = releases
        .iter()
        .filter(|release| release["live"] == true)
        .collect();
    assert_eq!(live.len(), 1, "{have:#}");
    assert_eq!(live[0]["revision"], 3, "{have:#}");
    assert_eq!(live[0]["image"], "nginx:1.27");

    stage
        .run("rollback --to 4 --yes")
        .await
        .exits(4)
        .says(&["never succeeded"]);
    stage
        .run("rollback --to web:3 --yes")
        .await
        .exits(4)
        .says(&["is what runs now"]);
    stage
        .run("rollback --to 99 --yes")
        .await
        .exits(4)
        .says(&["`ecspipe releases`"]);
    stage.run("rollback --to first").await.exits(2);
    stage
        .run("rollback --to 2")
        .await
        .exits(2)
        .says(&["go back to revision 2?", "--yes"]);
    stage.run("rollback --to 2 --yes").await.exits(0);
    assert_eq!(stage.page(80), "200 <h1>first</h1>");
    let have = stage.run("releases --format json").await.exits(0).json();
    let newest = &have["releases"][0];
    assert_eq!(newest["purpose"], "rollback", "{newest:#}");
    assert_eq!(
        (&newest["live"], &newest["revision"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(newest["status"], "Succeeded");
    let first = have["releases"].as_array().unwrap().last().unwrap();
    assert_eq!(first["message"], "a new page", "{first:#}");
    assert!(first["commit"].as_str().unwrap().len() == 40, "{first:#}");
    assert!(
        first["image"].as_str().unwrap().contains("@sha256:"),
        "{first:#}"
    );
    stage.run("releases").await.exits(0);

    let transcript = stage.transcript.lock().unwrap().clone();
    let lines = transcript
        .lines()
        .filter(|line| !line.starts_with(['{', '[']));
    let lines: Vec<&str> = lines.collect();
    let shown = redact(&lines.join("\n"));
    assert_data_eq!(shown, file!["transcripts/releases.txt"].raw());
}

/// A retired revision is none to go back to: no task could be started from it.
#[tokio::test(start_paused = true)]
async fn a_retired_revision_is_not_gone_back_to() {
    let stage = made(AUTOMATIC).await;
    stage.run("deploy --image nginx:1.26").await.exits(0);
    stage.run("deploy --image nginx:1.27").await.exits(0);
    let old = json!({"taskDefinition": "web:2"});
    json_call(&stage.sandbox, "ecs", "DeregisterTaskDefinition", &old).await;
    stage
        .run("rollback --to 2 --yes")
        .await
        .exits(4)
        .says(&["is retired"]);
    stage.run("releases").await.exits(0);
    assert!(stage.transcript.lock().unwrap().contains("2 (retired)"));
}

/// Beyond the newest twenty only what is in use or may be wanted again stays; the rollout ends well all the same.
#[tokio::test(start_paused = true)]
async fn old_task_definitions_are_retired() {
    let stage = made(AUTOMATIC).await;
    stage.run("deploy --image nginx:1.26").await.exits(0);
    // Revisions 3 to 22: of pipelines that failed, say.
    register_again(&stage, 20).await;
    stage.minutes(5).await;
    // 23 is rolled out: 4 to 23 are the newest; 1 has the family's tags, 2 succeeded, 3 goes.
    stage
        .run("deploy --image nginx:1.27")
        .await
        .exits(0)
        .says(&["retired web:3"]);
    let active = json!({"familyPrefix": "web", "status": "ACTIVE"});
    let active = json_call(&stage.sandbox, "ecs", "ListTaskDefinitions", &active).await;
    let active = active["taskDefinitionArns"].as_array().unwrap();
    assert_eq!(active.len(), 22, "{active:#?}");
    // One comes, one goes.
    stage
        .run("deploy --image nginx:1.28")
        .await
        .exits(0)
        .says(&["retired web:4"]);
    stage.run("rollback --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn whatever_waits_is_answered() {
    let stage = made(TUTORIAL).await;
    let name = "ecs-deployment-pipeline";
    stage
        .run("approve")
        .await
        .exits(4)
        .says(&["nothing waits for a person", "`ecspipe status`"]);
    stage
        .run("deploy --image nginx:1.26 --until ready")
        .await
        .exits(8);
    stage
        .run("approve d-AAAAAAAAA")
        .await
        .exits(4)
        .says(&["what waits is d-"]);
    stage
        .run("approve")
        .await
        .exits(0)
        .says(&["was at Ready", "production traffic moves"]);
    stage.run("watch --wait-until shifted").await.exits(0);
    assert!(stage.page(80).starts_with("200 This is nginx:1.26"));
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);

    add_approval(&stage).await;
    stage.push(name, "<h1>first</h1>\n");
    stage
        .run("watch --until ready")
        .await
        .exits(8)
        .says(&["somebody to approve Legal"]);
    // Both wait: it has to be said which is meant.
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("approve").await.exits(4).says(&[
        "several things wait",
        "Check/Legal, d-",
        "`ecspipe approve Check/Legal`",
    ]);
    stage.run("stop").await.exits(0);
    stage.minutes(10).await;
    let answered = stage.run("approve --format json").await.exits(0).json();
    assert_eq!(answered["answered"]["action"], "Legal", "{answered:#}");
    assert_eq!(answered["answered"]["summary"], Value::Null);
    stage.run("watch --until ready").await.exits(8);
    assert_eq!(stage.page(8080), "200 <h1>first</h1>");
    stage
        .run("approve --reject")
        .await
        .exits(0)
        .says(&["stopped, and CodeDeploy takes the traffic back"]);
    stage.run("watch").await.exits(6);

    stage.push(name, "<h1>second</h1>\n");
    stage.run("watch --until ready").await.exits(8);
    stage
        .run("approve Legal --reject --message no")
        .await
        .exits(0)
        .says(&["Check/Legal of the pipeline is rejected"]);
    stage.run("watch").await.exits(6).says(&["Rejected"]);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_tasks_is_changed_until_the_next_up() {
    let stage = made(AUTOMATIC).await;
    stage
        .run("scale 1")
        .await
        .exits(0)
        .says(&["has 1 task wanted already"]);
    let ran = stage.run("scale 3").await.exits(0);
    ran.says(&["3 tasks wanted, 1 before", "`service.desired_count: 3`"]);
    stage.minutes(5).await;
    let status = stage.run("status --format json").await.exits(0).json();
    assert_eq!(status["status"]["service"]["running"], 3, "{status:#}");
    stage.run("plan --exit-code").await.exits(10);
    stage
        .run("scale 0")
        .await
        .exits(2)
        .says(&["there is nobody to ask", "--yes"]);
    stage.run("scale 9999").await.exits(2);
    let zero = stage
        .run("scale 0 --yes --format json")
        .await
        .exits(0)
        .json();
    assert_eq!(zero, json!({"service": "web", "before": 3, "now": 0}));
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    stage.minutes(5).await;

    stage
        .run("deploy --image nginx:1.27 --detach")
        .await
        .exits(0);
    stage
        .run("scale 2")
        .await
        .exits(4)
        .says(&["is in flight", "`ecspipe watch d-"]);
}

#[tokio::test(start_paused = true)]
async fn the_log_of_one_task() {
    let stage = made(&AUTOMATIC.replace("port: 80", "port: 80, desired_count: 2")).await;
    stage.minutes(5).await;
    let all = stage.run("logs --format json").await.exits(0).out;
    let streams: std::collections::BTreeSet<String> = all
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["stream"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(streams.len() > 1, "{all}");
    let task = streams.first().unwrap().rsplit('/').next().unwrap();
    for id in [task, &task[..8]] {
        let one = stage
            .run(&format!("logs --task {id} --format json"))
            .await
            .exits(0)
            .out;
        let ours = all.lines().filter(|line| line.contains(task));
        assert_eq!(one.lines().collect::<Vec<_>>(), ours.collect::<Vec<_>>());
        assert!(!one.is_empty());
    }
    stage
        .run("logs --task web")
        .await
        .exits(2)
        .says(&["a task's id has letters a to f"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_needs_a_few_things() {
    let stage = made(AUTOMATIC).await;
    // All that is missing is said at once.
    stage.run("exec").await.exits(4).says(&[
        "no session can be opened",
        "ECS Exec is not switched on for task",
        "`service.exec: true`",
        "`aws` is not on the PATH",
        "`session-manager-plugin` is not on the PATH",
        "next: install the AWS CLI",
    ]);
    stage
        .run("exec --task ffff")
        .await
        .exits(4)
        .says(&["no task that runs begins with ffff"]);
    stage
        .run("exec --container db")
        .await
        .exits(2)
        .says(&["it has web"]);
    stage.run("exec --format json").await.exits(2);
}

/// A single task runs what is live where that runs; its log is data, and its exit code is the command's.
#[tokio::test(start_paused = true)]
async fn a_task_is_run_once() {
    let stage = made(AUTOMATIC).await;
    stage.run("deploy --image nginx:1.27").await.exits(0);
    let end = ecspipe_sandbox::faults::RunEnd {
        exit_code: 3,
        after: 20,
        log: vec!["3 rows to go".to_owned(), "no such table".to_owned()],
    };
    stage
        .sandbox
        .faults()
        .dials
        .commands
        .insert("migrate".to_owned(), end);
    let ran = stage.run("run -- bin/migrate --all").await.exits(3);
    let banner = "the sandbox started this container: nginx:1.27";
    assert_eq!(ran.out, format!("{banner}\n3 rows to go\nno such table\n"));
    let ran = ran.says(&[
        "of web:2 started",
        "task running",
        "task ended with exit code 3",
    ]);
    assert!(!ran.err.contains("error"), "{}", ran.err);
    let ran = stage.run("run --format json -- true").await.exits(0);
    let last: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"]),
        (&json!("task_ended"), &json!(0))
    );
    let task = stage.run("run --detach -- true").await.exits(0).out;
    assert_eq!(task.trim().len(), 32, "{task}");
    // The service has no part in it.
    let status = stage.run("status --format json").await.exits(0).json();
    assert_eq!(status["status"]["service"]["running"], 1, "{status:#}");

    let surroundings = stage.surroundings();
    let (left, ()) = tokio::join!(surroundings.run("run -- true"), async {
        super::failure::until(&surroundings, " started").await;
        surroundings.world.cancel().cancel();
    });
    left.exits(9)
        .says(&["left; the task goes on", "`ecspipe logs --follow --task "]);
}

/// What the AWS CLI is asked for, where nothing is missing.
#[tokio::test(start_paused = true)]
async fn a_session_is_the_aws_clis() {
    use std::os::unix::fs::PermissionsExt as _;
    let spec = AUTOMATIC.replace("port: 80", "port: 80, exec: true");
    let stage = made(&spec).await;
    stage.minutes(5).await;
    let tools = stage.folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for (name, script) in [
        (
            "aws",
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$SAID\"\nexit ${CODE:-0}\n",
        ),
        ("session-manager-plugin", "#!/bin/sh\n"),
    ] {
        std::fs::write(tools.join(name), script).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.join(name), mode).unwrap();
    }
    let said = stage.folder.path().join("said");
    let session = async |args: &str, code: &str| {
        let mut surroundings = stage.surroundings();
        for (name, value) in [
            ("PATH", tools.to_str().unwrap()),
            ("SAID", said.to_str().unwrap()),
            ("CODE", code),
        ] {
            surroundings
                .world
                .env
                .insert(name.to_owned(), value.to_owned());
        }
        surroundings.run(args).await
    };
    let ran = session("exec -- ls -l", "0").await.exits(0);
    ran.says(&["ls -l in web of task "]);
    let words = std::fs::read_to_string(&said).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let start = [
        "ecs",
        "execute-command",
        "--interactive",
        "--cluster",
        "web",
        "--task",
    ];
    assert_eq!(words[..6], start, "{words:?}");
    let end = [
        "--container",
        "web",
        "--command",
        "ls -l",
        "--region",
        REGION,
    ];
    assert_eq!(words[7..], end, "{words:?}");
    session("exec", "7")
        .await
        .exits(1)
        .says(&["the AWS CLI ended with 7"]);
    assert!(
        std::fs::read_to_string(&said)
            .unwrap()
            .contains("\n/bin/sh\n")
    );
}
