//! Production under a steady load while a rollout shifts: nobody may notice but by the version. Real sockets, since
//! connections that are kept alive across a shift are the point.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::stage::{AUTOMATIC, Stage};

/// Connections that are kept alive, each with one request at a time.
const CONNECTIONS: usize = 8;
/// How many requests there are at least.
const REQUESTS: usize = 4_000;

/// What a load saw: answers with 200 by their first line, and everything else.
#[derive(Default)]
struct Seen {
    pages: BTreeMap<String, usize>,
    failures: Vec<String>,
}

/// Asks on one connection until there are enough requests and the rollout is over.
async fn ask(port: u16, over: &AtomicBool, asked: &AtomicUsize) -> Seen {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) || asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
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
                let line = String::from_utf8_lossy(&body)
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let version = line
                    .split(", in task")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                *seen.pages.entry(version).or_default() += 1;
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

/// A rollout of `nginx:1.27` under load; what its production port answered.
async fn roll_out_under_load(strategy: &str) -> (Seen, String) {
    let stage = Stage::served(
        &AUTOMATIC.replace(
            "keep_old: 5m",
            &format!("keep_old: 5m, strategy: {strategy}"),
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
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = futures::future::join_all((0..CONNECTIONS).map(|_| ask(port, &over, &asked)));
    let rollout = async {
        let ran = stage.run("deploy --image nginx:1.27").await;
        over.store(true, Ordering::Relaxed);
        ran
    };
    let (each, ran) = tokio::join!(load, rollout);
    let mut all = Seen::default();
    for seen in each {
        all.failures.extend(seen.failures);
        for (page, count) in seen.pages {
            *all.pages.entry(page).or_default() += count;
        }
    }
    (all, ran.exits(0).err)
}

fn check(seen: &Seen) {
    assert_eq!(seen.failures, Vec::<String>::new());
    let versions: Vec<&str> = seen.pages.keys().map(String::as_str).collect();
    assert_eq!(versions, ["This is httpd:2.4.58", "This is nginx:1.27"]);
    let total: usize = seen.pages.values().sum();
    assert!(total >= REQUESTS, "only {total} requests: {:?}", seen.pages);
    for (version, count) in &seen.pages {
        assert!(
            *count >= 100,
            "{version} was hardly asked: {:?}",
            seen.pages
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_fails_no_request() {
    let (seen, _) = roll_out_under_load("all_at_once").await;
    check(&seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_fails_no_request() {
    let (seen, said) = roll_out_under_load("{ canary: { percent: 20, wait: 4m } }").await;
    check(&seen);
    assert!(said.contains("(20 % new)"), "{said}");
}
