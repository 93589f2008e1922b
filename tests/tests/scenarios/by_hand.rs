//! What somebody changes by hand, over the wire as another tool would, and what rollouts move: `plan` tells them apart, `up` puts
//! the one right and leaves the other. While a rollout is in flight the rest is done, and what waits is named. Time is virtual.

use ecspipe_sandbox::services::ecs::Controller;
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use super::place::{Place, spec};
use super::redact::redact;
use super::stage::{REGION, Stage, TUTORIAL};
use super::wire::{elb_call, json_call};

const NAME: &str = "ecs-deployment-pipeline";
const ELB: &str = "arn:aws:elasticloadbalancing:eu-central-1:111122223333";

/// The tutorial's app, up and healthy.
async fn made(spec: &str) -> Stage {
    let stage = Stage::new(spec);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    stage
}

/// Somebody changes the default action of a listener.
async fn point(stage: &Stage, port: u16, action: &[(&str, &str)]) {
    let arn = listener(stage, port);
    let mut form = format!("ListenerArn={arn}");
    for (name, value) in action {
        form.push_str(&format!("&DefaultActions.member.1.{name}={value}"));
    }
    elb_call(&stage.sandbox, "ModifyListener", &form).await;
}

fn listener(stage: &Stage, port: u16) -> String {
    let listeners = stage.sandbox.listeners();
    let found = listeners.into_iter().find(|it| it.port == port);
    found.unwrap().arn
}

/// The ARN of a target group of the app.
async fn group(stage: &Stage, colour: &str) -> String {
    let place = Place::within(&stage.sandbox, spec(TUTORIAL)).await;
    let key = format!("target-group/{colour}").parse().unwrap();
    place.inventory().await.owned[&key].id.clone()
}

/// A target group of somebody else's, which no task is registered with.
async fn elsewhere(stage: &Stage) -> String {
    let place = Place::within(&stage.sandbox, spec(TUTORIAL)).await;
    let vpc = place.inventory().await.owned[&"vpc/main".parse().unwrap()]
        .id
        .clone();
    let form = format!("Name=elsewhere&Protocol=HTTP&Port=80&TargetType=ip&VpcId={vpc}");
    elb_call(&stage.sandbox, "CreateTargetGroup", &form).await;
    let world = stage.sandbox.world();
    let regions = serde_json::to_value(&*world).unwrap();
    let groups = regions["regions"][REGION]["elbv2"]["groups"]
        .as_object()
        .unwrap();
    let found = groups.keys().find(|arn| arn.contains("/elsewhere/"));
    found.unwrap().clone()
}

/// What is dangerous, as `plan --format json` says: `outside_pair up`.
async fn dangers(stage: &Stage, code: u8) -> Vec<String> {
    let plan = stage.run("plan --format json").await.exits(code).json();
    let dangers = plan["plan"]["dangers"].as_array().unwrap();
    let show = |danger: &Value| {
        let text = |name: &str| danger[name].as_str().unwrap().to_owned();
        format!("{} {}", text("kind"), text("remedy"))
    };
    dangers.iter().map(show).collect()
}

/// The whole story on one page: a rollout, a hand, a changed spec, and what `plan` and `up` make of each.
#[tokio::test(start_paused = true)]
async fn what_is_told_apart() {
    let stage = made(TUTORIAL).await;
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("reroute --finish").await.exits(0);
    stage.run("watch").await.exits(0);
    stage.transcript.lock().unwrap().clear();
    stage.run("plan --all --exit-code").await.exits(0);

    let cluster =
        json!({"cluster": NAME, "settings": [{"name": "containerInsights", "value": "enhanced"}]});
    json_call(&stage.sandbox, "ecs", "UpdateClusterSettings", &cluster).await;
    let retention = json!({"logGroupName": format!("/ecs/{NAME}"), "retentionInDays": 3});
    json_call(&stage.sandbox, "logs", "PutRetentionPolicy", &retention).await;
    let (blue, green) = (group(&stage, "blue").await, group(&stage, "green").await);
    let split = [
        ("Type", "forward"),
        ("ForwardConfig.TargetGroups.member.1.TargetGroupArn", &blue),
        ("ForwardConfig.TargetGroups.member.1.Weight", "50"),
        ("ForwardConfig.TargetGroups.member.2.TargetGroupArn", &green),
        ("ForwardConfig.TargetGroups.member.2.Weight", "50"),
    ];
    point(&stage, 80, &split).await;
    stage.write(
        "ecspipe.yaml",
        &TUTORIAL
            .replace("cpu: 1024", "cpu: 512")
            .replace("dockerfile: Dockerfile", "dockerfile: build/Dockerfile"),
    );
    stage.run("plan --exit-code").await.exits(10);
    stage.run("plan --refresh-only --exit-code").await.exits(10);
    stage
        .run("plan --area balancer --exit-code")
        .await
        .exits(10);
    stage.run("plan --area network --exit-code").await.exits(0);
    stage.run("up --yes").await.exits(0);
    stage.run("plan --refresh-only --exit-code").await.exits(0);
    stage.run("plan --exit-code").await.exits(0);
    let refresh = "plan --refresh-only --area network --format json";
    let json = stage.run(refresh).await.exits(0).json();
    assert_eq!(json["refresh"]["drift"], json!([]));
    // The JSON forms are documented; the screens are what is read here.
    let screens = stage.transcript.lock().unwrap().clone();
    let screens: Vec<&str> = screens
        .lines()
        .filter(|line| !line.starts_with('{'))
        .collect();
    let transcript = redact(&screens.join("\n"));
    assert_data_eq!(transcript, file!["transcripts/by_hand.txt"].raw());
    assert!(
        stage.page(80).starts_with("200 This is nginx:1.27"),
        "{}",
        stage.page(80)
    );
}

/// What production is led to by hand is seen for what it is, and `up` leads it back to what is deployed.
#[tokio::test(start_paused = true)]
async fn production_is_led_back() {
    let stage = made(TUTORIAL).await;
    let served = |stage: &Stage| stage.page(80).starts_with("200 This is httpd");
    let back = async |kind: &str| {
        assert!(!served(&stage), "{kind}");
        assert_eq!(dangers(&stage, 0).await, [format!("{kind} up")]);
        let ran = stage.run("plan").await.exits(0);
        assert!(
            ran.out.contains("danger: listener/production: "),
            "{}",
            ran.out
        );
        stage.run("up --yes").await.exits(0).says(&["danger: "]);
        assert!(served(&stage), "{kind}");
        assert_eq!(dangers(&stage, 0).await, Vec::<String>::new());
        stage.run("plan --exit-code").await.exits(0);
    };
    let fixed = [
        ("Type", "fixed-response"),
        ("FixedResponseConfig.StatusCode", "503"),
        ("FixedResponseConfig.MessageBody", "closed"),
    ];
    point(&stage, 80, &fixed).await;
    back("no_forward").await;

    let group = elsewhere(&stage).await;
    point(
        &stage,
        80,
        &[("Type", "forward"), ("TargetGroupArn", &group)],
    )
    .await;
    back("outside_pair").await;

    let arn = listener(&stage, 80);
    assert!(arn.starts_with(ELB), "{arn}");
    elb_call(
        &stage.sandbox,
        "DeleteListener",
        &format!("ListenerArn={arn}"),
    )
    .await;
    assert_eq!(dangers(&stage, 0).await, ["listener_gone up"]);
    stage.run("up --yes").await.exits(0);
    assert!(served(&stage));
    stage.run("plan --exit-code").await.exits(0);
}

/// Production stays where it is, while nothing behind the target group is healthy where it belongs; the rest is done.
#[tokio::test(start_paused = true)]
async fn production_is_not_led_to_nothing() {
    let stage = made(TUTORIAL).await;
    let group = elsewhere(&stage).await;
    point(
        &stage,
        80,
        &[("Type", "forward"), ("TargetGroupArn", &group)],
    )
    .await;
    let none = json!({"cluster": NAME, "service": NAME, "desiredCount": 0});
    json_call(&stage.sandbox, "ecs", "UpdateService", &none).await;
    stage.minutes(10).await;
    assert_eq!(
        dangers(&stage, 4).await,
        ["outside_pair held_back", "no_healthy_target hand"]
    );
    stage.run("up --yes").await.exits(4).says(&[
        "1 change is held back; the others are done",
        "listener/production: production would move to a target group without a healthy target",
        "hint: see why its tasks don't get healthy",
    ]);
    stage.minutes(10).await;
    stage.run("up --yes").await.exits(0);
    assert!(
        stage.page(80).starts_with("200 This is httpd"),
        "{}",
        stage.page(80)
    );
    stage.run("plan --exit-code").await.exits(0);
}

/// Nobody could make a service that a group may name without another app; so the account is changed behind the wire.
#[tokio::test(start_paused = true)]
async fn deployments_that_would_go_elsewhere() {
    let stage = made(TUTORIAL).await;
    {
        let mut world = stage.sandbox.world();
        let applications = &mut world.at(REGION).codedeploy.applications;
        let group = applications
            .values_mut()
            .next()
            .unwrap()
            .groups
            .values_mut()
            .next();
        group.unwrap().settings.service = "other".to_owned();
    }
    assert_eq!(dangers(&stage, 0).await, ["group_elsewhere up"]);
    stage.run("up --yes").await.exits(0);
    assert_eq!(dangers(&stage, 0).await, Vec::<String>::new());

    let control = |controller| {
        let mut world = stage.sandbox.world();
        let service = world.at(REGION).ecs.services.values_mut().next().unwrap();
        service.controller = controller;
    };
    control(Controller::External);
    let ran = stage.run("plan").await.exits(4);
    assert!(
        ran.out.contains("deployments belong to EXTERNAL"),
        "{}",
        ran.out
    );
    assert_eq!(dangers(&stage, 4).await, ["controller_changed refused"]);
    stage
        .run("up --yes")
        .await
        .exits(4)
        .says(&["the plan is refused; nothing was done"]);
    control(Controller::CodeDeploy);
    stage.run("plan --exit-code").await.exits(0);
}

/// A rollout in steps, with a wait for a person and one for the old tasks.
const CANARY: &str = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80 }
deploy: { strategy: { canary: { percent: 20, wait: 7m } }, approve: { within: 60m }, keep_old: 30m }
";

/// The same with changes of what a rollout owns, and of what it doesn't.
fn changed() -> String {
    CANARY
        .replace(
            "port: 80 }",
            "port: 80, desired_count: 2, health_check: { path: /up } }",
        )
        .replace("keep_old: 30m", "keep_old: 40m")
        + "build: { dockerfile: build/Dockerfile }\n"
}

/// In each phase of a rollout `up` does what the rollout doesn't own, and the rollout goes on as if nothing had been.
#[tokio::test(start_paused = true)]
async fn a_rollout_in_flight_holds_back_what_it_owns() {
    for phase in ["ready", "shifting", "old-tasks"] {
        let stage = made(CANARY).await;
        stage
            .run("deploy --image nginx:1.27 --until ready")
            .await
            .exits(8);
        if phase != "ready" {
            stage.run("reroute").await.exits(0);
        }
        if phase == "shifting" {
            stage.minutes(2).await;
            let status = stage.run("status --format json").await.exits(0).json();
            assert_eq!(status["status"]["in_flight"]["percent"], 20, "{status:#}");
        }
        if phase == "old-tasks" {
            stage.run("watch --until old-tasks").await.exits(9);
        }
        assert_eq!(dangers(&stage, 0).await, Vec::<String>::new(), "{phase}");
        stage.run("plan --exit-code").await.exits(0);

        stage.write("ecspipe.yaml", &changed());
        let plan = stage.run("plan --format json").await.exits(4).json();
        let keys = |list: &str| -> Vec<String> {
            let items = plan["plan"][list].as_array().unwrap().iter();
            items
                .map(|item| item["key"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(keys("steps"), ["build-project/main"], "{phase}");
        assert_eq!(
            keys("held_back"),
            [
                "target-group/blue",
                "target-group/green",
                "service/main",
                "deployment-group/main"
            ],
            "{phase}"
        );
        stage.run("up --yes").await.exits(4).says(&[
            "held back",
            "4 changes are held back; the others are done",
            "deployment-group/main: a deployment is in flight, and this CodeDeploy deployment group belongs to it until its end",
            "hint: wait for the deployment to end (`ecspipe watch`)",
        ]);
        let again = stage
            .run("plan --format json --area delivery")
            .await
            .exits(4)
            .json();
        assert_eq!(again["left_out"]["held_back"], 3, "{phase}");
        assert_eq!(again["plan"]["steps"], json!([]), "{phase}");

        if phase == "ready" {
            stage.run("reroute").await.exits(0);
        }
        stage.run("watch").await.exits(0);
        assert!(
            stage.page(80).starts_with("200 This is nginx:1.27"),
            "{}",
            stage.page(80)
        );
        stage.run("up --yes").await.exits(0);
        stage.run("plan --exit-code").await.exits(0);
    }
}
