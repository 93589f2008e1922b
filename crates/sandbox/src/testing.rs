//! Hand-made signed requests for this crate's tests, and their answers taken apart. Must not use the SDK: what the wire
//! says is the subject. Compiled for tests only.
#![allow(dead_code, reason = "not every service's tests need every helper")]

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;

use crate::wire::{Protocol, rest_json, xml};
use crate::{Options, Sandbox};

/// The region of most tests.
pub(crate) const REGION: &str = "eu-central-1";

/// A signed request of a JSON, query or EC2 service. Lists in `input` become `member.N` (query) or `N` (EC2).
pub(crate) fn request(
    service: &str,
    region: &str,
    operation: &str,
    protocol: Protocol,
    input: &Value,
) -> Request<Bytes> {
    if protocol == Protocol::RestJson {
        return rest_json(service, region, operation, input);
    }
    let request = Request::post("/").header("host", format!("{service}.{region}.amazonaws.com"));
    let request = request.header("authorization", authorization(service, region));
    let request = match protocol {
        Protocol::Json => request
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Target.{operation}"))
            .body(Bytes::from(input.to_string())),
        Protocol::Query | Protocol::Ec2 => {
            let mut form = format!("Action={operation}&Version=2000-01-01");
            flatten(&mut form, "", input, protocol);
            request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Bytes::from(form))
        }
        Protocol::RestXml | Protocol::RestJson | Protocol::Cbor => {
            panic!("use `rest` for S3, JSON for CloudWatch")
        }
    };
    request.expect("a request")
}

/// A signed path-style S3 request; `uri` is path and query.
pub(crate) fn rest(
    method: Method,
    region: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", format!("s3.{region}.amazonaws.com"));
    request = request.header("authorization", authorization("s3", region));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

/// A signed request to Lambda: `FunctionName` goes into the path, the rest, or `Payload` alone, into the body.
fn rest_json(service: &str, region: &str, operation: &str, input: &Value) -> Request<Bytes> {
    let name = input["FunctionName"].as_str().unwrap_or("none");
    let (method, path) = rest_json::path(operation, name);
    let body = input.get("Payload").unwrap_or(input);
    let body = match method == Method::GET {
        true => Bytes::new(),
        false => Bytes::from(body.to_string()),
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("{service}.{region}.amazonaws.com"))
        .header("authorization", authorization(service, region))
        .body(body)
        .expect("a request")
}

/// The protocol of a service.
pub(crate) fn protocol(service: &str) -> Protocol {
    match service {
        "ec2" => Protocol::Ec2,
        "elasticloadbalancing" | "iam" | "sts" => Protocol::Query,
        "s3" => Protocol::RestXml,
        "lambda" => Protocol::RestJson,
        _ => Protocol::Json,
    }
}

/// A new account with nothing in it.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).expect("a sandbox")
}

/// Calls an operation in [`REGION`]: its answer (for XML: the content of `…Result`, or of EC2's response) or (status, code).
pub(crate) async fn call(
    sandbox: &Sandbox,
    service: &str,
    operation: &str,
    input: Value,
) -> Result<Value, (u16, String)> {
    call_in(sandbox, REGION, service, operation, input).await
}

/// The same in another region.
pub(crate) async fn call_in(
    sandbox: &Sandbox,
    region: &str,
    service: &str,
    operation: &str,
    input: Value,
) -> Result<Value, (u16, String)> {
    let protocol = protocol(service);
    let response = sandbox
        .handle(request(service, region, operation, protocol, &input))
        .await;
    if !response.status().is_success() {
        return Err((response.status().as_u16(), code(&response)));
    }
    let text = text(&response);
    if matches!(protocol, Protocol::Json | Protocol::RestJson) {
        return Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).expect("JSON")
        });
    }
    let mut tree = xml::parse(&text).expect("XML");
    let content = tree
        .get_mut(format!("{operation}Response"))
        .map(Value::take)
        .expect("a response element");
    match content.get(format!("{operation}Result")) {
        Some(result) => Ok(result.clone()),
        None => Ok(content),
    }
}

/// Lets a role do everything, where its permissions are not the subject.
pub(crate) async fn allow_all(sandbox: &Sandbox, role: &str) {
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let input =
        serde_json::json!({"RoleName": role, "PolicyName": "all", "PolicyDocument": policy});
    call(sandbox, "iam", "PutRolePolicy", input)
        .await
        .expect("the role");
}

/// The error code of an answer in any protocol.
pub(crate) fn code(response: &Response<Bytes>) -> String {
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        return code.to_str().unwrap_or_default().to_owned();
    }
    let text = text(response);
    if let Ok(json) = serde_json::from_str::<Value>(&text) {
        return json["__type"].as_str().unwrap_or_default().to_owned();
    }
    let inner = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    inner.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

/// The body as text.
pub(crate) fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

/// Lets sandbox time pass; the test must run with tokio's clock paused.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
}

pub(crate) fn authorization(service: &str, region: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn flatten(form: &mut String, name: &str, value: &Value, protocol: Protocol) {
    let join = |part: &str| {
        if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}.{part}")
        }
    };
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(key, value)| flatten(form, &join(key), value, protocol)),
        Value::Array(items) => {
            let member = if protocol == Protocol::Query {
                "member."
            } else {
                ""
            };
            for (index, item) in items.iter().enumerate() {
                flatten(
                    form,
                    &join(&format!("{member}{}", index + 1)),
                    item,
                    protocol,
                );
            }
        }
        Value::Null => {}
        other => {
            let text = other
                .as_str()
                .map_or_else(|| other.to_string(), ToOwned::to_owned);
            let encoded =
                percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
            form.push_str(&format!("&{name}={encoded}"));
        }
    }
}
