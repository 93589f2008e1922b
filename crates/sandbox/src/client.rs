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
use tokio_util::sync::CancellationToken;

use crate::{Sandbox, wire};

impl Sandbox {
    /// An HTTP client for an `SdkConfig` that answers every request from this sandbox.
    pub fn http_client(&self) -> SharedHttpClient {
        self.caller().http_client()
    }

    /// A caller of its own, which [`crate::faults::Strike::KillCaller`] can kill without harm to others in this process.
    pub fn caller(&self) -> Caller {
        Caller {
            sandbox: self.clone(),
            life: Life::default(),
        }
    }
}

/// Somebody who calls the account from this process. Clones are the same caller.
#[derive(Debug, Clone)]
pub struct Caller {
    sandbox: Sandbox,
    life: Life,
}

/// Whether a caller was killed; travels with its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life(CancellationToken);

impl Caller {
    /// The HTTP client of this caller. Once it was killed, no request is answered.
    pub fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Connector {
            sandbox: self.sandbox.clone(),
            life: self.life.clone(),
        });
        http_client_fn(move |_: &HttpConnectorSettings, _: &RuntimeComponents| connector.clone())
    }

    /// Comes back when this caller was killed. A dead caller's futures never end: whoever runs them drops them now.
    pub async fn killed(&self) {
        self.life.0.cancelled().await;
    }
}

impl Life {
    pub(crate) fn end(&self) {
        self.0.cancel();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[derive(Clone)]
struct Connector {
    sandbox: Sandbox,
    life: Life,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (sandbox, life) = (self.sandbox.clone(), self.life.clone());
        HttpConnectorFuture::new(async move {
            if life.has_ended() {
                return std::future::pending().await;
            }
            let (parts, body) = request
                .try_into_http1x()
                .map_err(|e| ConnectorError::user(e.into()))?
                .into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let mut request = http::Request::from_parts(parts, body);
            name_host(&mut request);
            request.extensions_mut().insert(life.clone());
            let mut response = sandbox.handle(request).await;
            // The answer that was its last still arrives; those to what was on its way beside it don't.
            let last = response.headers_mut().remove(wire::LAST_HEADER).is_some();
            if life.has_ended() && !last {
                return std::future::pending().await;
            }
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
