//! Production under a steady load while a rollout shifts, is rolled back or stopped: nobody may notice but by the version, and
//! the split is what it is said to be. Real sockets, since connections that are kept alive across a shift are the point.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::stage::{REGION, Ran, Stage};

/// Connections that are kept alive, each with one request at a time.
const CONNECTIONS: usize = 8;
/// How many requests there are at least.
const REQUESTS: usize = 4_000;
/// How many of them there are before the rollout begins.
const BEFORE: usize = 500;
/// How many of them somebody waits for while production is split.
const SPLIT: usize = 1_000;
const OLD: &str = "This is httpd:2.4.58";
const NEW: &str = "This is nginx:1.27";

/// What a load saw: answers with 200 by the share that the new version was to have meanwhile and by their first line, and
/// everything else.
#[derive(Default)]
struct Seen {
    pages: BTreeMap<(u32, String), usize>,
    failures: Vec<String>,
}

impl Seen {
    /// How many answers there were of a version.
    fn count(&self, version: &str) -> usize {
        let pages = self.pages.iter();
        let of = pages.filter(|((_, have), _)| have == version);
        of.map(|(_, count)| count).sum()
    }

    /// How many answers came at a share, and how many percent of them were the new version's.
    fn share(&self, share: u32) -> (usize, f64) {
        let pages = self.pages.iter();
        let at: BTreeMap<&str, usize> = pages
            .filter(|((at, _), _)| *at == share)
            .map(|((_, version), count)| (version.as_str(), *count))
            .collect();
        let total: usize = at.values().sum();
        let new = at.get(NEW).copied().unwrap_or_default();
        (total, new as f64 * 100.0 / total.max(1) as f64)
    }
}

/// What is shared by those who ask.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    asked: AtomicUsize,
    answered: AtomicUsize,
    /// There have been [`BEFORE`] of those.
    begun: Notify,
    /// Answers while production was split.
    split: AtomicUsize,
    /// There have been [`SPLIT`] of those.
    enough: Notify,
}

/// The percentage of production that the newest rollout gives to its new version.
fn shifted(stage: &Stage) -> u32 {
    let mut world = stage.sandbox.world();
    let deployments = world.at(REGION).codedeploy.deployments.values();
    let newest = deployments
        .filter(|deployment| deployment.rollback.of.is_none())
        .max_by_key(|deployment| deployment.number);
    newest.map_or(0, |deployment| deployment.shifted)
}

/// Asks on one connection until there are enough requests and the rollout is over.
async fn ask(stage: &Stage, port: u16, load: &Load) -> Seen {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut seen = Seen::default();
    while !load.over.load(Ordering::Relaxed)
        || load.asked.fetch_add(1, Ordering::Relaxed) < REQUESTS
    {
        let before = shifted(stage);
        let answered = async {
            sender.ready().await?;
            let request = Request::get("/")
                .header("host", "web.example")
                .body(Empty::<Bytes>::new())
                .unwrap();
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        match answered.await {
            Ok((200, body)) => {
                let page = String::from_utf8_lossy(&body);
                let line = page.lines().next().unwrap_or_default();
                let version = line.split(", in task").next().unwrap_or_default();
                let after = shifted(stage);
                // What came while it moved belongs to neither share.
                let share = if before == after { after } else { u32::MAX };
                *seen.pages.entry((share, version.to_owned())).or_default() += 1;
                if load.answered.fetch_add(1, Ordering::Relaxed) == BEFORE {
                    load.begun.notify_one();
                }
                if (1..100).contains(&share) && load.split.fetch_add(1, Ordering::Relaxed) == SPLIT
                {
                    load.enough.notify_one();
                }
            }
            Ok((status, body)) => seen
                .failures
                .push(format!("{status} {}", String::from_utf8_lossy(&body))),
            Err(error) => {
                seen.failures.push(error.to_string());
                break;
            }
        }
    }
    seen
}

/// What is done to a rollout once production has been split for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Nothing,
    RollBack,
    Leave,
}

/// A rollout of the new version under load: what its production port answered, and what the command said.
async fn roll_out_under_load(strategy: &str, deed: Deed) -> (Stage, Seen, Ran) {
    let stage = Stage::served(
        &format!(
            "version: 1
app: web
region: eu-central-1
service: {{ image: 'httpd:2.4.58', port: 80, desired_count: 2 }}
deploy: {{ keep_old: 2m, strategy: {strategy} }}
"
        ),
        120.0,
    );
    stage.run("up --yes").await.exits(0);
    let outputs = stage.run("outputs --format json").await.exits(0).json();
    let url = outputs["production_url"].as_str().unwrap();
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    while !stage.page(80).starts_with("200") {
        tokio::task::yield_now().await;
    }
    let load = Load::default();
    let all = futures::future::join_all((0..CONNECTIONS).map(|_| ask(&stage, port, &load)));
    let rollout = async {
        load.begun.notified().await;
        let ran = stage.run("deploy --image nginx:1.27").await;
        load.over.store(true, Ordering::Relaxed);
        ran
    };
    let deed = async {
        if deed == Deed::Nothing {
            return;
        }
        load.enough.notified().await;
        let stop = match deed {
            Deed::Leave => "stop --no-rollback",
            _ => "stop",
        };
        stage.surroundings().run(stop).await.exits(0);
    };
    let (each, ran, ()) = tokio::join!(all, rollout, deed);
    let mut all = Seen::default();
    for seen in each {
        all.failures.extend(seen.failures);
        for (page, count) in seen.pages {
            *all.pages.entry(page).or_default() += count;
        }
    }
    (stage, all, ran)
}

fn check(seen: &Seen) {
    assert_eq!(seen.failures, Vec::<String>::new());
    let (old, new) = (seen.count(OLD), seen.count(NEW));
    let total: usize = seen.pages.values().sum();
    assert_eq!(
        old + new,
        total,
        "something else was served: {:?}",
        seen.pages
    );
    assert!(total >= REQUESTS, "only {total} requests: {:?}", seen.pages);
    for count in [old, new] {
        assert!(count >= 100, "a version was hardly asked: {:?}", seen.pages);
    }
    assert_eq!(seen.share(0).1, 0.0, "{:?}", seen.pages);
}

/// Whether the new version got so many percent, while it was to get them.
fn check_split(seen: &Seen, share: u32) {
    let (requests, measured) = seen.share(share);
    assert!(requests >= 50, "{requests} requests at {share} %");
    // On a busy machine a share of a short time is one of few requests, some of them on their way when it begins and ends.
    let few = 200.0 / requests as f64;
    assert!(
        (measured - f64::from(share)).abs() <= 2.0 + few,
        "{measured} % of {requests} requests at {share} %"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_fails_no_request() {
    let (_, seen, ran) = roll_out_under_load("all_at_once", Deed::Nothing).await;
    ran.exits(0);
    check(&seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_fails_no_request_and_gets_its_share() {
    let strategy = "{ canary: { percent: 20, wait: 4m } }";
    let (_, seen, ran) = roll_out_under_load(strategy, Deed::Nothing).await;
    ran.exits(0).says(&["(20 % new)"]);
    check(&seen);
    check_split(&seen, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linear_shift_fails_no_request_and_gets_its_shares() {
    let strategy = "{ linear: { percent: 40, every: 4m } }";
    let (_, seen, ran) = roll_out_under_load(strategy, Deed::Nothing).await;
    ran.exits(0).says(&["(40 % new)", "(80 % new)"]);
    check(&seen);
    check_split(&seen, 40);
    check_split(&seen, 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_in_the_middle_of_a_canary_fails_no_request() {
    let strategy = "{ canary: { percent: 20, wait: 5h } }";
    let (stage, seen, ran) = roll_out_under_load(strategy, Deed::RollBack).await;
    ran.exits(6);
    check(&seen);
    check_split(&seen, 20);
    for _ in 0..50 {
        assert!(stage.page(80).contains(OLD), "{}", stage.page(80));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_canary_fails_no_request() {
    let strategy = "{ canary: { percent: 20, wait: 5h } }";
    let (stage, seen, ran) = roll_out_under_load(strategy, Deed::Leave).await;
    ran.exits(6);
    check(&seen);
    check_split(&seen, 20);
    // As it was left: twenty of a hundred.
    let new = (0..100).filter(|_| stage.page(80).contains(NEW)).count();
    assert_eq!(new, 20);
}
