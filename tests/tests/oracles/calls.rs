//! Every call that ecspipe makes, and every answer of the sandbox, against botocore's service models.

use std::collections::BTreeSet;
use std::path::Path;

use ecspipe_provision::{Cloud as _, Key, Kind, Progress, Resource};
use ecspipe_sandbox::Exchange;
use ecspipe_sandbox::faults::{Rule, Strike};

use super::drift;
use super::oracle::{Oracles, lines};
use super::place::{PRIVATE, Place, spec};
use super::platform::{BOUNDARY, Platform};
use super::stage::{Stage, TUTORIAL, built};

const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/aws/src");

/// What the adapter may call, but no run here has a reason to: dual stack, which no spec asks for; the sandbox has no
/// instance profiles; an alias, an upload and an application without its group that somebody's interrupted work left behind; a
/// quota without a value of its own; a hook's function, which no spec here has; a manual approval that somebody added.
const UNTRIED: [&str; 8] = [
    "codedeploy.GetApplication",
    "codepipeline.PutApprovalResult",
    "elasticloadbalancing.SetIpAddressType",
    "iam.RemoveRoleFromInstanceProfile",
    "kms.UpdateAlias",
    "lambda.GetFunctionConfiguration",
    "s3.AbortMultipartUpload",
    "servicequotas.GetAWSDefaultServiceQuota",
];

#[tokio::test(start_paused = true)]
async fn every_call_and_every_answer_agrees_with_the_models() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let mut exchanges = tutorial().await;
    exchanges.extend(private().await);
    exchanges.extend(shared().await);
    let input: String = exchanges
        .iter()
        .map(|exchange| serde_json::to_string(exchange).unwrap() + "\n")
        .collect();
    let answer = oracles.ask("validate_calls.py", &[""; 0], &input);
    let operations = answer["operations"].as_object().unwrap();
    println!(
        "{} calls of {} operations checked, {} findings known",
        answer["checked"],
        operations.len(),
        answer["known"]
    );
    assert_eq!(lines(&answer, "problems"), "");
    assert_eq!(lines(&answer, "unused"), "");
    assert_eq!(answer["checked"], exchanges.len());
    // The tagging API signs as `tagging`, and its actions are those of `tag`; CloudWatch signs as `monitoring`.
    let tried: BTreeSet<String> = operations
        .keys()
        .map(|name| {
            name.replace("tagging.", "tag.")
                .replace("monitoring.", "cloudwatch.")
        })
        .collect();
    let untried: Vec<String> = named(Path::new(ADAPTER))
        .difference(&tried)
        .cloned()
        .collect();
    assert_eq!(untried, UNTRIED);
}

/// The tutorial and what may follow it: a whole rollout, a changed spec, an image without the pipeline, a stop, the way back.
async fn tutorial() -> Vec<Exchange> {
    let stage = Stage::new(TUTORIAL);
    stage.sandbox.record(true);
    let repository = "ecs-deployment-pipeline";
    stage.run("doctor").await.exits(0);
    stage.run("plan").await.exits(0);
    stage.run("up --yes").await.exits(0);
    stage.run("outputs").await.exits(0);
    // Somebody else is at work.
    let place = Place::within(&stage.sandbox, spec(TUTORIAL)).await;
    place.leave_lease(1).await;
    stage.run("up --yes").await.exits(4);
    stage.run("up --yes --break-lease").await.exits(0);
    stage.minutes(5).await;
    stage.run("doctor").await.exits(0);
    stage.push(repository, "<h1>first</h1>\n");
    stage.run("deploy --until ready").await.exits(8);
    stage.run("status").await.exits(0);
    stage.run("reroute").await.exits(0);
    stage.run("watch --until old-tasks").await.exits(9);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("logs").await.exits(0);
    stage.run("releases").await.exits(0);
    stage.run("scale 2").await.exits(0);
    stage.run("exec").await.exits(4);
    stage.run("run -- true").await.exits(0);
    stage.run("approve").await.exits(4);

    let changed = TUTORIAL
        .replace("tags: { team: web }", "tags: { team: shop }")
        .replace("cpu: 1024", "cpu: 512")
        .replace("keep_old: 5m", "keep_old: 10m")
        .replace("within: 60m", "within: 30m")
        .replace("nat: per_zone", "nat: single")
        .replace("allow: [0.0.0.0/0]", "allow: [10.0.0.0/8]");
    assert_ne!(changed, TUTORIAL);
    stage.write("ecspipe.yaml", &changed);
    stage.run("up --yes").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    drift::and_back(&Place::within(&stage.sandbox, spec(&changed)).await).await;

    stage.run("deploy --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    // Nothing is new: the pipeline has to be started.
    stage.run("deploy --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.push(repository, "<h1>second</h1>\n");
    stage.run("stop").await.exits(0);
    let built = built(&stage.sandbox, repository);
    stage
        .run(&format!("deploy --image {built} --until ready"))
        .await
        .exits(8);
    stage.run("stop").await.exits(0);
    stage.run("watch").await.exits(6);
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("stop --no-rollback").await.exits(0);
    stage.run("rollback --yes").await.exits(0);
    stage
        .run("deploy --image nginx:1.28 --until ready")
        .await
        .exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.run("rollback --yes --until ready").await.exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    let nothing = "deploy --image 111122223333.dkr.ecr.eu-central-1.amazonaws.com/nothing:1";
    stage.run(nothing).await.exits(4);
    stage.push_files(
        repository,
        &[("Dockerfile", "FROM httpd:2.4.58\nCOPY ./nothing/ /there/\n")],
    );
    stage.run("watch").await.exits(6);
    stage.run("plan --exit-code").await.exits(0);
    down_beside_a_stranger(&stage).await;
    stage.run("down --yes --delete-source").await.exits(0);
    stage.run("plan").await.exits(0);
    stage.sandbox.take_exchanges()
}

/// Somebody has a service in the app's cluster, until it is in the way.
async fn down_beside_a_stranger(stage: &Stage) {
    let place = Place::within(&stage.sandbox, spec(TUTORIAL)).await;
    let (graph, _) = place.graph();
    let mut have = place.inventory().await.owned[&Key::new(Kind::Service, "main")].clone();
    let Resource::Service(service) = &mut have.resource else {
        panic!("{have:?}");
    };
    service.name = "legacy".to_owned();
    let key = Key::new(Kind::Service, "main");
    let tags = &graph.get(&key).unwrap().tags;
    let progress = Progress::silent();
    let made = place.account.create(&key, &have.resource, tags, &progress);
    made.await.unwrap();
    stage.run("down --yes").await.exits(5);
    place.account.delete(&have, &progress).await.unwrap();
}

/// What the tutorial lacks: endpoints, a deployment configuration of the app's own.
async fn private() -> Vec<Exchange> {
    let stage = Stage::new(PRIVATE);
    stage.sandbox.record(true);
    stage.sandbox.faults().add(Rule {
        service: Some("iam".to_owned()),
        operation: Some("CreateRole".to_owned()),
        skip: 0,
        times: 1,
        strike: Strike::LoseAnswer,
    });
    stage.run("--region eu-central-1 up --yes").await.exits(0);
    stage.run("--region eu-central-1 doctor").await.exits(4);
    let dockerfile = "FROM httpd:2.4.58\nCOPY ./src/ /usr/local/apache2/htdocs/\nEXPOSE 8080\n";
    stage.push_files(
        "inner",
        &[
            ("Dockerfile", dockerfile),
            ("src/index.html", "<h1>inner</h1>\n"),
        ],
    );
    stage.run("--region eu-central-1 deploy").await.exits(0);
    stage
        .run("--region eu-central-1 plan --exit-code")
        .await
        .exits(0);
    drift::and_back(&Place::within(&stage.sandbox, spec(PRIVATE)).await).await;
    for role in stage.sandbox.world().iam.roles.values_mut() {
        role.attached
            .insert("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    }
    stage.run("--region eu-central-1 down --yes").await.exits(0);
    // The key waits for its deletion, and comes back.
    stage.run("--region eu-central-1 up --yes").await.exits(0);
    stage.run("--region eu-central-1 down --yes").await.exits(0);
    stage.sandbox.take_exchanges()
}

/// An app on what others look after, by each way to name it; its roles are bounded, and are no more.
async fn shared() -> Vec<Exchange> {
    let sandbox = ecspipe_sandbox::Sandbox::new(&ecspipe_sandbox::Options::default()).unwrap();
    let platform = Platform::open(&sandbox).await;
    platform.add_boundary();
    let stage = Stage::of(&platform.guest("shop", 8081), sandbox.clone());
    let plain = platform.guest("shop", 8081);
    sandbox.record(true);
    let tags =
        |key: &str| format!("{{ tags: {{ 'ecspipe:app': platform, 'ecspipe:resource': {key} }} }}");
    let tagged = plain
        .replace(
            "vpc: { name: platform-main }",
            &format!("vpc: {}", tags("vpc/main")),
        )
        .replace(
            "cluster: { existing: { name: platform } }",
            &format!("cluster: {{ existing: {} }}", tags("cluster/main")),
        )
        .replace(
            "  existing: { name: platform }",
            &format!("  existing: {}", tags("load-balancer/main")),
        )
        + &format!(
            "kms_key: {{ existing: {} }}\nroles: {{ task: {{ existing: {} }} }}\npermissions_boundary: {{ tags: {{ team: platform }} }}\n",
            tags("encryption-key/main"),
            tags("role/task")
        );
    stage.write("ecspipe.yaml", &tagged);
    stage.run("plan").await.exits(0);
    let named = "kms_key: { existing: { name: platform } }
roles: { task: { existing: { name: platform-eu-central-1-task } } }
";
    stage.write("ecspipe.yaml", &format!("{plain}{named}"));
    stage.run("up --yes").await.exits(0);
    for bound in [
        format!("permissions_boundary: {{ id: '{BOUNDARY}' }}\n"),
        "permissions_boundary: { name: boundary }\n".to_owned(),
        String::new(),
    ] {
        stage.write("ecspipe.yaml", &format!("{plain}{named}{bound}"));
        stage.run("up --yes").await.exits(0);
    }
    stage.write(
        "ecspipe.yaml",
        &plain.replace("name: platform }", "name: nobodys }"),
    );
    stage.run("plan").await.exits(3);
    stage.write("ecspipe.yaml", &plain);
    stage.run("down --yes --delete-source").await.exits(0);
    sandbox.take_exchanges()
}

/// The operations that the adapter's sources name: `.said("ecs", "CreateCluster")`.
fn named(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(named(&path));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for call in source.split(".said(").skip(1) {
            let quoted: Vec<&str> = call.split(')').next().unwrap().split('"').collect();
            if let [_, service, _, operation, ..] = quoted[..] {
                found.insert(format!("{service}.{operation}"));
            }
        }
    }
    found
}
