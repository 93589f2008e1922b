//! Calls of an account as somebody else's tool makes them: signed requests, written by hand. Each must be answered well. Must not use
//! the adapter.

use bytes::Bytes;
use ecspipe_sandbox::Sandbox;
use hyper::Request;
use hyper::http::request::Builder;
use serde_json::Value;

use super::stage::REGION;

/// A call of a service that speaks JSON; its answer.
pub(crate) async fn json_call(
    sandbox: &Sandbox,
    service: &str,
    operation: &str,
    input: &Value,
) -> Value {
    let request = signed(Request::post("/"), service)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Target.{operation}"))
        .body(Bytes::from(input.to_string()));
    let answer = answer(sandbox, request.unwrap()).await;
    serde_json::from_slice(&answer).unwrap_or_default()
}

/// A call of Elastic Load Balancing; `form` has the operation's input.
pub(crate) async fn elb_call(sandbox: &Sandbox, operation: &str, form: &str) {
    let form = format!("Action={operation}&Version=2015-12-01&{form}");
    let request = signed(Request::post("/"), "elasticloadbalancing")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form));
    answer(sandbox, request.unwrap()).await;
}

/// The request with what every one has.
pub(crate) fn signed(request: Builder, service: &str) -> Builder {
    let scope = format!("Credential=AKID/20260101/{REGION}/{service}/aws4_request");
    request
        .header("host", format!("{service}.{REGION}.amazonaws.com"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
        )
}

/// What a request is answered with.
pub(crate) async fn answer(sandbox: &Sandbox, request: Request<Bytes>) -> Bytes {
    let asked = format!("{} {:?}", request.uri(), request.headers());
    let response = sandbox.handle(request).await;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!(response.status(), 200, "{asked}: {text}");
    response.into_body()
}
