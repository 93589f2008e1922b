//! A zone and a port come and go: `up` opens what the next deployment needs, the deployment moves the tasks, and the `up` after it
//! takes away what they have left. Nobody who visits the app notices anything but the version.

use std::collections::BTreeSet;

use super::stage::{REGION, Stage};
use super::visitor::Visitor;

const SMALL: &str = "version: 1
app: web
region: eu-central-1
network: { cidr: 10.4.0.0/16, zones: 2, nat: per_zone }
service: { image: 'httpd:2.4.58', port: 80, desired_count: 3 }
deploy: { keep_old: 5m }
";

/// The same with a third zone, and on another port.
fn large() -> String {
    SMALL
        .replace("zones: 2", "zones: 3")
        .replace("port: 80,", "port: 3000,")
}

/// Where running tasks stand and which port they are asked on, the number of subnets, and the ports that tasks' security groups
/// let in.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    zones: BTreeSet<String>,
    ports: BTreeSet<u64>,
    subnets: usize,
    open: BTreeSet<u64>,
}

fn standing(stage: &Stage) -> Standing {
    let world = serde_json::to_value(&*stage.sandbox.world()).unwrap();
    let region = &world["regions"][REGION];
    let tasks = region["ecs"]["tasks"].as_object().unwrap().values();
    let running: Vec<_> = tasks.filter(|task| task["status"] == "Running").collect();
    let targets = running
        .iter()
        .flat_map(|task| task["targets"].as_array().unwrap());
    let ec2 = &region["ec2"];
    let groups = ec2["groups"].as_object().unwrap();
    let of_tasks = groups
        .iter()
        .find(|(_, group)| group["name"] == "web-service")
        .unwrap()
        .0;
    let rules = ec2["rules"].as_object().unwrap().values();
    let inward = rules.filter(|rule| rule["group"] == of_tasks.as_str() && rule["egress"] == false);
    Standing {
        zones: running
            .iter()
            .map(|task| task["zone"].as_str().unwrap().to_owned())
            .collect(),
        ports: targets.map(|target| target[1].as_u64().unwrap()).collect(),
        subnets: ec2["subnets"].as_object().unwrap().len(),
        open: inward
            .map(|rule| rule["traffic"]["from"].as_u64().unwrap())
            .collect(),
    }
}

fn want(zones: &[&str], port: u64, subnets: usize, open: &[u64]) -> Standing {
    Standing {
        zones: zones.iter().map(|zone| format!("{REGION}{zone}")).collect(),
        ports: BTreeSet::from([port]),
        subnets,
        open: open.iter().copied().collect(),
    }
}

/// Changes the spec and makes it so, with the deployment that it takes.
async fn move_to(stage: &Stage, spec: &str, image: &str, between: Standing) {
    stage.write("ecspipe.yaml", spec);
    stage.run("up --yes").await.exits(0);
    // Nothing is left for `up`: the rest waits for the deployment, and the running tasks keep what they need until then.
    let planned = stage.run("plan --exit-code").await.exits(0);
    assert!(
        planned.out.contains("with the next deployment:"),
        "{}",
        planned.out
    );
    assert_eq!(standing(stage), between);
    stage
        .run(&format!("deploy --image {image}"))
        .await
        .exits(0)
        .says(&["succeeded"]);
    stage.minutes(3).await;
    stage.run("up --yes").await.exits(0);
    let planned = stage.run("plan --exit-code").await.exits(0);
    assert!(!planned.out.contains("deployment"), "{}", planned.out);
}

#[tokio::test(start_paused = true)]
async fn a_zone_and_a_port_come_and_go() {
    let stage = Stage::new(SMALL);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let at_first = want(&["a", "b"], 80, 4, &[80]);
    assert_eq!(standing(&stage), at_first);
    let visitor = Visitor::of(&stage.sandbox, 80);

    let between = want(&["a", "b"], 80, 6, &[80, 3000]);
    move_to(&stage, &large(), "nginx:1.27", between).await;
    let moved = want(&["a", "b", "c"], 3000, 6, &[3000]);
    assert_eq!(standing(&stage), moved);

    let between = want(&["a", "b", "c"], 3000, 6, &[80, 3000]);
    move_to(&stage, SMALL, "nginx:1.28", between).await;
    assert_eq!(standing(&stage), at_first);

    visitor.saw_only(
        &[
            "200 This is httpd:2.4.58",
            "200 This is nginx:1.27",
            "200 This is nginx:1.28",
        ],
        900,
    );
}
