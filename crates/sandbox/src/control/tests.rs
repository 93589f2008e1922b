//! The sandbox's own API.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{call, sandbox, text};

async fn ask(sandbox: &Sandbox, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let response = sandbox.handle(request).await;
    (
        response.status().as_u16(),
        serde_json::from_str(&text(&response)).unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn faults_are_set_shown_and_cleared() {
    let sandbox = sandbox();
    call(
        &sandbox,
        "ec2",
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16"}),
    )
    .await
    .unwrap();
    let body = r#"{"rules": [
        {"service": "ec2", "operation": "DescribeVpcs", "skip": 1, "strike": {"refuse": {"code": "RequestLimitExceeded", "message": "slow down"}}},
        {"times": 2, "strike": {"delay": 2.5}},
        {"service": "s3", "strike": "lose_answer"}
    ], "unhealthy_images": ["bad"]}"#;
    let (status, shown) = ask(&sandbox, Method::POST, "/_sandbox/faults", body).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["rules"][1]["strike"], json!({"delay": 2.5}));
    assert_eq!(shown["rules"][0]["times"], 1);
    assert!(sandbox.world().dials.tasks.contains_key("bad"));
    let vpcs = async || {
        call(&sandbox, "ec2", "DescribeVpcs", json!({}))
            .await
            .map_err(|(_, code)| code)
    };
    vpcs().await.unwrap();
    assert_eq!(vpcs().await.unwrap_err(), "RequestLimitExceeded");
    vpcs().await.unwrap();
    let (_, shown) = ask(&sandbox, Method::DELETE, "/_sandbox/faults", "").await;
    assert_eq!(shown, json!({"rules": [], "unhealthy_images": []}));
    assert!(sandbox.world().dials.tasks.is_empty());
}

/// Every example of the documentation is taken, and shown as it was given.
#[tokio::test(start_paused = true)]
async fn what_the_documentation_says_is_taken() {
    let text = include_str!("../../../../docs/faults.md");
    let examples: Vec<&str> = text.split("```json\n").skip(1).collect();
    assert!(examples.len() >= 6);
    for example in examples {
        let body = example.split("```").next().unwrap();
        let sandbox = sandbox();
        let (status, shown) = ask(&sandbox, Method::POST, "/_sandbox/faults", body).await;
        assert_eq!(status, 200, "{body}: {shown}");
        let given: Value = serde_json::from_str(body).unwrap();
        for (name, value) in given.as_object().unwrap() {
            assert_contains(&shown[name], value);
        }
        let (_, shown) = ask(&sandbox, Method::DELETE, "/_sandbox/faults", "").await;
        assert_eq!(
            shown,
            json!({"rules": [], "unhealthy_images": []}),
            "{body}"
        );
    }
}

/// Every field of `want` is in `have`, which may have more: defaults are shown.
fn assert_contains(have: &Value, want: &Value) {
    match want {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_contains(&have[name], value);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                assert_contains(&have[number], item);
            }
        }
        Value::Number(number) => assert_eq!(have.as_f64(), number.as_f64()),
        want => assert_eq!(have, want),
    }
}

#[tokio::test]
async fn what_was_called_is_counted() {
    let sandbox = sandbox();
    call(&sandbox, "ec2", "DescribeVpcs", json!({}))
        .await
        .unwrap();
    call(&sandbox, "ec2", "DescribeVpcs", json!({}))
        .await
        .unwrap();
    let (_, counts) = ask(&sandbox, Method::GET, "/_sandbox/counts", "").await;
    assert_eq!(
        counts,
        json!([{"service": "ec2", "operation": "DescribeVpcs", "calls": 2}])
    );
    assert_eq!(
        ask(&sandbox, Method::DELETE, "/_sandbox/counts", "")
            .await
            .1,
        json!([])
    );
}

#[tokio::test]
async fn it_tells_what_it_is_and_what_it_does() {
    let sandbox = sandbox();
    let (_, info) = ask(&sandbox, Method::GET, "/_sandbox/info", "").await;
    assert_eq!(
        (&info["account"], &info["speed"]),
        (&json!("111122223333"), &json!(1.0))
    );
    let (_, operations) = ask(&sandbox, Method::GET, "/_sandbox/operations", "").await;
    assert!(
        operations["ec2"]
            .as_array()
            .unwrap()
            .contains(&json!("CreateVpc"))
    );
    assert_eq!(
        ask(&sandbox, Method::GET, "/_sandbox/listeners", "")
            .await
            .1,
        json!([])
    );
}

#[tokio::test]
async fn mistakes_are_named() {
    let sandbox = sandbox();
    let check = async |method: Method, path: &str, body: &str, want: u16| {
        let (status, answer) = ask(&sandbox, method, path, body).await;
        assert_eq!(status, want, "{path}: {answer}");
        assert!(answer["error"].is_string());
    };
    check(Method::GET, "/_sandbox/nope", "", 404).await;
    check(Method::POST, "/_sandbox/info", "", 405).await;
    check(Method::POST, "/_sandbox/faults", "{", 400).await;
    check(Method::POST, "/_sandbox/faults", r#"{"rule": []}"#, 400).await;
    check(
        Method::POST,
        "/_sandbox/faults",
        r#"{"rules": [{"strike": {"delay": -1}}]}"#,
        400,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_what_runs() {
    use crate::rollout::tests::{Account, Stage};
    let account = Account::new(&Stage::default()).await;
    let id = account.deploy("2").await;
    let request = Request::get("/")
        .header("host", "127.0.0.1:4566")
        .body(Bytes::new())
        .unwrap();
    let page = text(&account.sandbox.handle(request).await);
    for part in [
        "<td>web</td>",
        "<td>8080</td>",
        id.as_str(),
        "127.0.0.1:4566 ecs",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_dial_of_the_documentation_can_be_set() {
    let text = include_str!("../../../../docs/sandbox.md");
    let blocks: Vec<&str> = text
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 7, "{}", blocks.len());
    let sandbox = sandbox();
    for block in &blocks {
        let (status, shown) = ask(&sandbox, Method::POST, "/_sandbox/faults", block).await;
        assert_eq!(status, 200, "{block}: {shown}");
        // What is shown can be sent again.
        let (status, again) = ask(
            &sandbox,
            Method::POST,
            "/_sandbox/faults",
            &shown.to_string(),
        )
        .await;
        assert_eq!((status, &again["tasks"]), (200, &shown["tasks"]));
    }
    for (wrong, words) in [
        (r#"{"tasks": {"x": "explode"}}"#, "out_of_memory"),
        (r#"{"task": {}}"#, "unknown field"),
        (
            r#"{"functions": {"x": {"fail": {"before": 1}}}}"#,
            "unknown field",
        ),
        (
            r#"{"builds": {"x": {"fail": {"phase": "TEST"}}}}"#,
            "POST_BUILD",
        ),
        (r#"{"commands": {"x": {"exit_code": 300}}}"#, "u8"),
        (r#"{"actions": {"x": "explode"}}"#, "cancel"),
    ] {
        let (status, shown) = ask(&sandbox, Method::POST, "/_sandbox/faults", wrong).await;
        let error = shown["error"].as_str().unwrap();
        assert!(status == 400 && error.contains(words), "{wrong}: {error}");
    }
}
