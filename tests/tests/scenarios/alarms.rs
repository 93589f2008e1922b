//! Alarms on real answers: a canary that answers with errors is stopped and rolled back by the alarm that the spec declares.

use std::time::Duration;

use ecspipe_sandbox::faults::{TaskFault, Trouble};

use super::stage::Stage;

/// Health checks are so rare that the balancer goes on sending requests to tasks that answer with errors.
const WATCHED: &str = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80, health_check: { interval: 60s, unhealthy: 10 } }
deploy:
  strategy: { canary: { percent: 20, wait: 10m } }
  keep_old: 5m
  alarms: [{ http_5xx: { above: 1%, for: 2m } }]
";

/// The states of the app's alarms, by name.
fn alarms(stage: &Stage) -> Vec<(String, String)> {
    let world = stage.sandbox.world();
    let alarms = world.regions["eu-central-1"].cloudwatch.alarms.values();
    alarms
        .map(|alarm| (alarm.name.clone(), alarm.state.clone()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_answers_with_errors_is_rolled_back_by_its_alarm() {
    let stage = Stage::new(WATCHED);
    stage.run("up --yes").await.exits(0);
    stage.minutes(5).await;
    let names: Vec<String> = alarms(&stage).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["web-http-5xx-blue", "web-http-5xx-green"]);

    let rollout = stage.run("deploy --image nginx:1.27");
    tokio::pin!(rollout);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut old, mut new, mut errors) = (0, 0, 0);
    let ran = loop {
        tokio::select! {
            ran = &mut rollout => break ran,
            _ = second.tick() => match stage.page(80) {
                page if page.contains("httpd:2.4.58") => old += 1,
                // It was well until real traffic came.
                page if page.contains("nginx:1.27") => {
                    new += 1;
                    let trouble = Trouble::Unhealthy { status: 500, log: Vec::new() };
                    let tasks = &mut stage.sandbox.faults().dials.tasks;
                    tasks.insert("nginx:1.27".to_owned(), TaskFault::new(trouble));
                }
                page => {
                    assert!(page.starts_with("500 "), "{page}");
                    errors += 1;
                }
            },
        }
    };
    ran.exits(6).says(&["web-http-5xx-green"]);
    assert_eq!(new, 1);
    // A fifth of the requests, for two or three minutes: nobody waited for the ten minutes of the canary.
    assert!((10..80).contains(&errors), "{errors} of {old}");
    let (name, state) = &alarms(&stage)[1];
    assert_eq!(
        (name.as_str(), state.as_str()),
        ("web-http-5xx-green", "ALARM")
    );
    // Production is where it was, with nothing left of the other.
    for _ in 0..50 {
        assert!(stage.page(80).contains("httpd:2.4.58"));
    }
    stage.run("plan --exit-code").await.exits(0);
}
