//! Apps that share a network, a cluster and a balancer: made at the same time, deployed, one taken down beside the other.

use std::collections::BTreeSet;

use ecspipe_sandbox::{Options, Sandbox};

use super::platform::{PLATFORM, Platform};
use super::stage::{REGION, Stage};
use super::visitor::Visitor;

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_apps_on_one_platform() {
    let sandbox = sandbox();
    let platform = Platform::open(&sandbox).await;
    let before = (platform.place.things(), platform.place.inventory().await);
    let shop = Stage::of(&platform.guest("shop", 8081), sandbox.clone());
    let blog = Stage::of(&platform.guest("blog", 8082), sandbox.clone());

    let (one, two) = tokio::join!(shop.run("up --yes"), blog.run("up --yes"));
    one.exits(0);
    two.exits(0);
    for stage in [&shop, &blog] {
        stage.run("plan --exit-code").await.exits(0);
        let outputs = stage.run("outputs --format json").await.exits(0).json();
        assert_eq!(outputs["cluster"], "platform");
    }
    let (one, two) = tokio::join!(
        shop.run("deploy --image nginx:1.27"),
        blog.run("deploy --image nginx:1.28")
    );
    one.exits(0).says(&["succeeded"]);
    two.exits(0).says(&["succeeded"]);
    assert!(
        shop.page(8081).starts_with("200 This is nginx:1.27"),
        "{}",
        shop.page(8081)
    );
    assert!(
        blog.page(8082).starts_with("200 This is nginx:1.28"),
        "{}",
        blog.page(8082)
    );

    shop.push("shop", "<h1>shop</h1>\n");
    shop.run("watch").await.exits(0);
    assert_eq!(shop.page(8081), "200 <h1>shop</h1>");
    shop.run("status").await.exits(0);
    shop.run("plan --exit-code").await.exits(0);

    // One goes, in the middle of the other's rollout, and nobody who visits the other notices.
    let visitor = Visitor::of(&sandbox, 8082);
    let (gone, rolled) = tokio::join!(
        shop.run("down --yes --delete-source"),
        blog.run("deploy --image nginx:1.29")
    );
    gone.exits(0);
    rolled.exits(0);
    assert!(
        blog.page(8082).starts_with("200 This is nginx:1.29"),
        "{}",
        blog.page(8082)
    );
    visitor.saw_only(&["200 This is nginx:1.28", "200 This is nginx:1.29"], 300);
    blog.run("plan --exit-code").await.exits(0);
    blog.run("rollback --yes").await.exits(0);
    visitor.saw_only(&["200 This is nginx:1.28", "200 This is nginx:1.29"], 600);
    drop(visitor);
    assert!(
        blog.page(8082).starts_with("200 This is nginx:1.28"),
        "{}",
        blog.page(8082)
    );

    blog.run("down --yes --delete-source").await.exits(0);
    assert_eq!(platform.place.things(), before.0);
    assert_eq!(platform.place.inventory().await, before.1);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_used_is_refused_before_anything_is_made() {
    let sandbox = sandbox();
    let platform = Platform::closed(&sandbox, PLATFORM).await;
    let before = platform.place.things();
    let text = platform
        .guest("shop", 8081)
        .replace("port: 8081", "port: 80")
        + "kms_key: { existing: { name: nobodys } }\n";
    let stage = Stage::of(&text, sandbox.clone());
    for command in ["plan", "up --yes"] {
        stage.run(command).await.exits(3).says(&[
            "error: the spec refers to what can't be used; nothing was done",
            "kms_key.existing: no KMS key is called `nobodys`",
            "  next: check the region",
        ]);
    }
    stage.write(
        "ecspipe.yaml",
        &text.replace("kms_key: { existing: { name: nobodys } }\n", ""),
    );
    stage.run("up --yes").await.exits(3).says(&[
        "load_balancer.production.port: port 80 of load balancer platform is a listener of app platform",
        "load_balancer.test.port: the security groups",
        "let nobody in on port 9081",
    ]);
    assert_eq!(platform.place.things(), before);
    // What others took away is no hindrance to taking the app away.
    stage.write(
        "ecspipe.yaml",
        &text.replace("name: platform }", "name: nobodys }"),
    );
    stage
        .run("down --yes")
        .await
        .exits(0)
        .says(&["there is nothing of shop"]);
}

/// By default every app's network has the same range, so that their tasks have the same addresses.
#[tokio::test(start_paused = true)]
async fn networks_of_the_same_range_do_not_mix() {
    let sandbox = sandbox();
    let apps = [("one", 8081, "2.4.57"), ("two", 8082, "2.4.58")];
    let mut stages = Vec::new();
    for (app, port, version) in apps {
        let spec = format!(
            "version: 1
app: {app}
region: {REGION}
network: {{ nat: single }}
service: {{ image: 'httpd:{version}', port: 80, desired_count: 3 }}
load_balancer: {{ production: {{ port: {port} }}, test: {{ port: {} }} }}
",
            port + 1000
        );
        let stage = Stage::of(&spec, sandbox.clone());
        stage.run("up --yes").await.exits(0);
        stages.push(stage);
    }
    stages[0].minutes(5).await;
    let addresses: Vec<String> = {
        let mut world = sandbox.world();
        let tasks = world.at(REGION).ecs.tasks.values();
        tasks.map(|task| task.address.clone()).collect()
    };
    let different: BTreeSet<&String> = addresses.iter().collect();
    assert!(different.len() < addresses.len(), "{addresses:?}");
    for (stage, (_, port, version)) in stages.iter().zip(apps) {
        for _ in 0..6 {
            let page = stage.page(port);
            assert!(
                page.starts_with(&format!("200 This is httpd:{version}")),
                "{page}"
            );
        }
        let status = stage.run("status").await.exits(0).out;
        assert!(status.contains("3 of 3 healthy"), "{status}");
        stage.run("plan --exit-code").await.exits(0);
    }
}
