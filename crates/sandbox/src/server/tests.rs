//! The server with real sockets; where time matters, it is virtual.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::Options;
use crate::faults::{Rule, Strike};
use crate::rollout::tests::{Account, Stage};
use crate::testing::{REGION, call, pass, protocol, request, sandbox};

/// One connection, kept alive; a request on it fails if the server ends it.
struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn new(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))
            .await
            .unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    async fn send(&mut self, request: Request<Bytes>) -> Result<(u16, String), hyper::Error> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request.map(Full::new)).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn get(&mut self, path: &str) -> (u16, String) {
        let request = Request::get(path)
            .header("host", "127.0.0.1")
            .body(Bytes::new())
            .unwrap();
        self.send(request).await.unwrap()
    }
}

/// A balancer with a listener on `port` that answers by itself; the listener's ARN.
async fn listener(sandbox: &Sandbox, port: u16) -> String {
    let ok = async |service: &str, operation: &str, input: Value| {
        call(sandbox, service, operation, input).await.unwrap()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let vpc =
        text(&ok("ec2", "CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["vpc"]["vpcId"]);
    let mut subnets = Vec::new();
    for (number, zone) in ["a", "b"].iter().enumerate() {
        let zone = format!("{REGION}{zone}");
        let input = json!({"VpcId": vpc, "CidrBlock": format!("10.0.{number}.0/24"), "AvailabilityZone": zone});
        subnets.push(text(
            &ok("ec2", "CreateSubnet", input).await["subnet"]["subnetId"],
        ));
    }
    let balancer = json!({"Name": "web", "Scheme": "internal", "Subnets": subnets});
    let balancer = ok("elasticloadbalancing", "CreateLoadBalancer", balancer).await;
    let listener = json!({
        "LoadBalancerArn": balancer["LoadBalancers"]["member"]["LoadBalancerArn"], "Protocol": "HTTP", "Port": port,
        "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "here"}}],
    });
    let listener = ok("elasticloadbalancing", "CreateListener", listener).await;
    text(&listener["Listeners"]["member"]["ListenerArn"])
}

#[tokio::test(start_paused = true)]
async fn a_rollout_under_load_loses_no_request() {
    let stage = Stage {
        ready_wait: 0,
        config: "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
        ..Stage::default()
    };
    let account = Account::new(&stage).await;
    let server = account.sandbox.serve(0).unwrap();
    let url = account.sandbox.listener_url(&account.production).unwrap();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::new(&url).await);
    }
    let mut pages: BTreeMap<(u16, bool, bool), u32> = BTreeMap::new();
    let id = account.deploy("2").await;
    let mut sent = 0;
    while account.status(&id).await != "Succeeded" {
        let answers =
            futures::future::join_all(clients.iter_mut().map(|client| client.get("/"))).await;
        for (status, body) in answers {
            *pages
                .entry((status, body.contains("httpd:1"), body.contains("httpd:2")))
                .or_default() += 1;
            sent += 1;
        }
        pass(5).await;
        assert!(
            sent < 4000,
            "the rollout does not end: {}",
            account.deployment(&id).await
        );
    }
    // Every answer was good, and named the old image or the new one.
    let (old, new) = ((200, true, false), (200, false, true));
    assert_eq!(pages.keys().collect::<Vec<_>>(), [&new, &old], "{pages:?}");
    assert!(sent >= 500, "{sent}");
    assert_eq!(
        account.sandbox.traffic(REGION).listeners[&account.production],
        sent
    );
    drop(clients);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn listeners_come_and_go_with_their_ports() {
    let sandbox = sandbox();
    assert_eq!(sandbox.listener_url("arn"), None);
    let server = sandbox.serve(0).unwrap();
    let arn = listener(&sandbox, 80).await;
    pass(120).await;
    let url = sandbox.listener_url(&arn).unwrap();
    let mut client = Client::new(&url).await;
    assert_eq!(client.get("/").await, (200, "here".to_owned()));
    call(
        &sandbox,
        "elasticloadbalancing",
        "DeleteListener",
        json!({"ListenerArn": arn}),
    )
    .await
    .unwrap();
    assert_eq!(sandbox.listener_url(&arn), None);
    tokio::task::yield_now().await;
    assert!(
        TcpStream::connect(url.trim_start_matches("http://"))
            .await
            .is_err()
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn state_and_ports_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        speed: 10_000.0,
        data: Some(folder.path().to_owned()),
    };
    let first = Sandbox::new(&options).unwrap();
    let server = first.serve(0).unwrap();
    let arn = listener(&first, 80).await;
    let url = first.listener_url(&arn).unwrap();
    let before = first.world().now;
    server.stop().await.unwrap();
    assert_eq!(first.listener_url(&arn), None);

    let second = Sandbox::new(&options).unwrap();
    assert!(second.world().now >= before);
    let server = second.serve(0).unwrap();
    assert_eq!(second.listener_url(&arn), Some(url));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_state_is_saved_by_and_by() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        speed: 1.0,
        data: Some(folder.path().to_owned()),
    };
    let sandbox = Sandbox::new(&options).unwrap();
    let _server = sandbox.serve(0).unwrap();
    call(&sandbox, "ec2", "DescribeVpcs", json!({}))
        .await
        .unwrap();
    let file = folder.path().join("account.json");
    let saved = async || {
        for _ in 0..50 {
            pass(1).await;
            // Saving happens on another thread: the paused clock goes on only once that is done.
            let _ = tokio::time::timeout(TICK, std::future::pending::<()>()).await;
            if file.exists() {
                return true;
            }
        }
        false
    };
    assert!(!saved().await, "reading is no change");
    call(
        &sandbox,
        "ec2",
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16"}),
    )
    .await
    .unwrap();
    assert!(saved().await);
}

#[tokio::test]
async fn the_endpoint_answers_signed_requests_and_shows_a_page() {
    let sandbox = sandbox();
    let server = sandbox.serve(0).unwrap();
    let mut client = Client::new(&server.url()).await;
    let (status, body) = client
        .send(request(
            "ec2",
            REGION,
            "DescribeVpcs",
            protocol("ec2"),
            &json!({}),
        ))
        .await
        .unwrap();
    assert_eq!((status, body.contains("<vpcSet>")), (200, true), "{body}");
    let (status, body) = client.get("/").await;
    assert_eq!((status, body.contains("ecspipe sandbox")), (200, true));
    assert_eq!(client.get("/_sandbox/nope").await.0, 404);
    assert_eq!(client.get("/anything").await.0, 403);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_ends_the_connection_after_the_effect() {
    let sandbox = sandbox();
    let server = sandbox.serve(0).unwrap();
    let strike = Strike::LoseAnswer;
    sandbox.faults().add(Rule {
        service: None,
        operation: Some("CreateVpc".to_owned()),
        skip: 0,
        times: 1,
        strike,
    });
    let create = || {
        request(
            "ec2",
            REGION,
            "CreateVpc",
            protocol("ec2"),
            &json!({"CidrBlock": "10.0.0.0/16"}),
        )
    };
    assert!(
        Client::new(&server.url())
            .await
            .send(create())
            .await
            .is_err()
    );
    assert_eq!(sandbox.world().at(REGION).ec2.vpcs.len(), 1);
    assert_eq!(
        Client::new(&server.url())
            .await
            .send(create())
            .await
            .unwrap()
            .0,
        200
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn too_large_a_body_is_refused_before_it_is_sent() {
    let server = sandbox().serve(0).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    let head = format!(
        "PUT /b/k HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        LARGEST_BODY + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = sandbox().serve(0).unwrap();
    let error = sandbox().serve(server.port()).unwrap_err();
    assert!(matches!(error, Error::Port { port, .. } if port == server.port()));
}
