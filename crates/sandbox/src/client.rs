//! The in-process connector: gives the AWS SDK for Rust a sandbox instead of a network.
//! Must not change requests or answers.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::{Sandbox, wire};

impl Sandbox {
    /// An HTTP client for an `SdkConfig` that answers every request from this sandbox.
    pub fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Connector {
            sandbox: self.clone(),
        });
        http_client_fn(move |_: &HttpConnectorSettings, _: &RuntimeComponents| connector.clone())
    }
}

#[derive(Clone)]
struct Connector {
    sandbox: Sandbox,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sandbox = self.sandbox.clone();
        HttpConnectorFuture::new(async move {
            let (parts, body) = request
                .try_into_http1x()
                .map_err(|e| ConnectorError::user(e.into()))?
                .into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let mut request = http::Request::from_parts(parts, body);
            name_host(&mut request);
            let response = sandbox.handle(request).await;
            if response.headers().contains_key(wire::LOST_HEADER) {
                return Err(ConnectorError::io(
                    "the connection ended before the answer".into(),
                ));
            }
            let response = response.map(|body: Bytes| SdkBody::from(body));
            HttpResponse::try_from(response).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// A virtual-hosted bucket is in the URI's host; over a socket it would be in the `Host` header.
fn name_host(request: &mut http::Request<Bytes>) {
    if request.headers().contains_key("host") {
        return;
    }
    let host = request
        .uri()
        .host()
        .and_then(|host| http::HeaderValue::from_str(host).ok());
    if let Some(host) = host {
        request.headers_mut().insert("host", host);
    }
}
