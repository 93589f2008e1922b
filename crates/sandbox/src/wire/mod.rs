//! AWS's wire protocols: which service and operation a request means, and how an answer or an error is written.
//! Must not know any service's state.

pub(crate) mod cbor;
pub mod form;
pub mod input;
pub mod page;
pub mod rest;
pub(crate) mod rest_json;
pub mod xml;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::Value;

pub use input::Input;

/// How a service is spoken to (botocore's service models).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target` and a JSON body.
    Json,
    /// A form with `Action`, an XML answer with `<OperationResult>`; lists are `member.N`.
    Query,
    /// EC2's own dialect of the above; lists are `N` and `<item>`.
    Ec2,
    /// Method and path, XML bodies: S3.
    RestXml,
    /// Method and path, JSON bodies: Lambda.
    RestJson,
    /// Smithy's RPC v2 with CBOR bodies: CloudWatch, which takes JSON too.
    Cbor,
}

/// One decoded request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The protocol of the service.
    pub protocol: Protocol,
    /// The signing name: `ec2`, `elasticloadbalancing`, `ecs`, `ecr`, `s3`, `kms`, `iam`, `logs`, `codecommit`,
    /// `codebuild`, `codedeploy`, `codepipeline`, `events`, `lambda`, `servicequotas`, `sts`, `tagging`.
    pub service: String,
    /// The operation's name as in the API reference.
    pub operation: String,
    /// The region that the request was signed for.
    pub region: String,
    /// The access key id that signed it.
    pub access_key: String,
    /// The input. JSON: the body. Query and EC2: the form, unfolded into objects and lists under the wire's names,
    /// every leaf a string. REST: empty, see `http`.
    pub input: Value,
    /// The request as it came, for REST.
    pub http: Http,
}

/// Method, path, query, headers and (dechunked) body of a REST request.
#[derive(Debug, Clone, Default)]
pub struct Http {
    /// The method.
    pub method: Method,
    /// The decoded path, with its leading slash.
    pub path: String,
    /// The decoded query.
    pub query: BTreeMap<String, String>,
    /// Headers with lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The body without `aws-chunked` framing.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A value under the wire's names, written as the call's protocol writes it. Lists become `<member>` (query),
    /// `<item>` (EC2), or repeated elements (REST). `null` members are left out in XML.
    Value(Value),
    /// Status, headers and body as they are (REST).
    Raw(u16, Vec<(String, String)>, Bytes),
}

/// An error as AWS gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// The code on the wire, such as `TargetGroupNotFound`.
    pub code: String,
    /// The text for people.
    pub message: String,
}

impl Fault {
    /// A client's mistake: status 400.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The same with another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The sandbox lacks this operation. Status 501, which no SDK retries.
    pub fn not_implemented(call: &Call) -> Self {
        let message = format!(
            "the ecspipe sandbox does not implement {}:{}; see `ecspipe sandbox --list` for what it does",
            call.service, call.operation
        );
        Self {
            status: 501,
            code: "NotImplemented".to_owned(),
            message,
        }
    }
}

/// Which service, region and operation a request means. The error is an answer to send back.
#[allow(
    clippy::result_large_err,
    reason = "the refusal is sent back at once, and boxing it would only cost its readers"
)]
pub fn decode(request: &Request<Bytes>) -> Result<Call, Response<Bytes>> {
    let scope = Scope::of(request).ok_or_else(unsigned)?;
    let protocol = match scope.service.as_str() {
        "ec2" => Protocol::Ec2,
        "elasticloadbalancing" | "iam" | "sts" => Protocol::Query,
        "s3" => Protocol::RestXml,
        "lambda" => Protocol::RestJson,
        _ if cbor::is(request) => Protocol::Cbor,
        _ => Protocol::Json,
    };
    let http = rest::http(request).map_err(|fault| {
        let body = format!(
            "<Error><Code>{}</Code><Message>{}</Message></Error>",
            fault.code, fault.message
        );
        respond(
            fault.status,
            &[("content-type", "application/xml")],
            body.into(),
        )
    })?;
    let (operation, input) = match protocol {
        Protocol::Json => json_input(request)?,
        Protocol::Query | Protocol::Ec2 => form::input(&http),
        Protocol::RestXml => (rest::operation(&http), Value::Null),
        Protocol::RestJson => rest_json::operation(&http),
        Protocol::Cbor => cbor::input(request).map_err(|fault| cbor_fault(&fault))?,
    };
    Ok(Call {
        protocol,
        service: scope.service,
        operation,
        region: scope.region,
        access_key: scope.access_key,
        input,
        http,
    })
}

/// Writes a service's answer in the call's protocol.
pub fn encode(call: &Call, answer: Result<Reply, Fault>) -> Response<Bytes> {
    match answer {
        Err(fault) => encode_fault(call, &fault),
        Ok(Reply::Raw(status, headers, body)) => {
            let borrowed: Vec<(&str, &str)> = headers
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            respond(status, &borrowed, body)
        }
        Ok(Reply::Value(value)) => match call.protocol {
            Protocol::Json => {
                let body = if value.is_null() {
                    String::new()
                } else {
                    value.to_string()
                };
                respond(
                    200,
                    &[("content-type", "application/x-amz-json-1.1")],
                    body.into(),
                )
            }
            Protocol::RestJson => respond(
                200,
                &[("content-type", "application/json")],
                value.to_string().into(),
            ),
            Protocol::Cbor => respond(200, &CBOR, cbor::body(&value)),
            _ => respond(
                200,
                &[("content-type", "text/xml;charset=UTF-8")],
                xml::document(call, &value).into(),
            ),
        },
    }
}

/// Writes an error in the call's protocol.
pub fn encode_fault(call: &Call, fault: &Fault) -> Response<Bytes> {
    match call.protocol {
        Protocol::Json => {
            let body =
                serde_json::json!({"__type": fault.code, "message": fault.message}).to_string();
            let headers = [
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amzn-errortype", fault.code.as_str()),
            ];
            respond(fault.status, &headers, body.into())
        }
        Protocol::RestJson => {
            let headers = [
                ("content-type", "application/json"),
                ("x-amzn-errortype", fault.code.as_str()),
            ];
            let body = rest_json::fault(fault).to_string();
            respond(fault.status, &headers, body.into())
        }
        Protocol::Cbor => cbor_fault(fault),
        // An answer to HEAD has no body; clients then know the error by its status.
        Protocol::RestXml if call.http.method == Method::HEAD => {
            respond(fault.status, &[], Bytes::new())
        }
        _ => respond(
            fault.status,
            &[("content-type", "text/xml;charset=UTF-8")],
            xml::fault(call, fault).into(),
        ),
    }
}

/// The headers of every answer in CBOR.
const CBOR: [(&str, &str); 2] = [("content-type", cbor::MEDIA), (cbor::HEADER, cbor::NAME)];

/// An error in CBOR. CloudWatch was a query service: clients that knew its codes find them in a header.
fn cbor_fault(fault: &Fault) -> Response<Bytes> {
    let body = serde_json::json!({"__type": fault.code, "message": fault.message});
    let sender = if fault.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    let code = format!("{};{sender}", fault.code);
    let headers = CBOR
        .iter()
        .copied()
        .chain([("x-amzn-query-error", code.as_str())]);
    respond(
        fault.status,
        &headers.collect::<Vec<_>>(),
        cbor::body(&body),
    )
}

/// The sign for a connection that ended without an answer; server and connector turn it into one.
pub fn lost() -> Response<Bytes> {
    respond(599, &[(LOST_HEADER, "true")], Bytes::new())
}

/// The header by which [`lost`] is known.
pub const LOST_HEADER: &str = "x-sandbox-lost";

/// The header of the last answer that a caller in this process gets.
pub(crate) const LAST_HEADER: &str = "x-sandbox-last";

/// A body for people: lossy text; CBOR as the JSON that it stands for.
pub(crate) fn shown(protocol: Protocol, body: &Bytes) -> String {
    let value = (protocol == Protocol::Cbor).then(|| cbor::shown(body));
    match value.flatten() {
        Some(value) => value.to_string(),
        None => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Headers as text, lower-case names.
pub fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// An HTTP answer.
pub fn respond(status: u16, headers: &[(&str, &str)], body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let all = headers
        .iter()
        .copied()
        .chain([("x-amzn-requestid", REQUEST_ID)]);
    for (name, value) in all {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name),
            http::HeaderValue::try_from(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The same in every answer, so that two runs can be compared.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// The credential scope of a signature: `AKID/date/region/service/aws4_request`.
struct Scope {
    access_key: String,
    region: String,
    service: String,
}

impl Scope {
    fn of(request: &Request<Bytes>) -> Option<Self> {
        let header = request
            .headers()
            .get("authorization")
            .and_then(|v| v.to_str().ok());
        let from_header = header
            .and_then(|h| h.split("Credential=").nth(1))
            .and_then(|c| c.split(',').next());
        let from_query = rest::query(request).remove("X-Amz-Credential");
        let credential = from_header.map(ToOwned::to_owned).or(from_query)?;
        let parts: Vec<&str> = credential.trim().split('/').collect();
        match parts.as_slice() {
            [access_key, _date, region, service, _] => Some(Self {
                access_key: (*access_key).to_owned(),
                region: (*region).to_owned(),
                service: (*service).to_owned(),
            }),
            _ => None,
        }
    }
}

fn unsigned() -> Response<Bytes> {
    let body = serde_json::json!({
        "__type": "MissingAuthenticationToken",
        "message": "the request is not signed: configure any access key, for instance AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox"
    });
    respond(
        403,
        &[("content-type", "application/json")],
        body.to_string().into(),
    )
}

#[allow(
    clippy::result_large_err,
    reason = "the refusal is sent back at once, and boxing it would only cost its readers"
)]
fn json_input(request: &Request<Bytes>) -> Result<(String, Value), Response<Bytes>> {
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let body = request.body();
    if body.is_empty() {
        return Ok((operation, Value::Object(serde_json::Map::new())));
    }
    serde_json::from_slice(body).map(|input| (operation, input)).map_err(|error| {
        let body = serde_json::json!({"__type": "SerializationException", "message": error.to_string()});
        respond(400, &[("content-type", "application/x-amz-json-1.1")], body.to_string().into())
    })
}
