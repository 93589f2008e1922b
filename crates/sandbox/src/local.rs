//! A GET to a server on this machine: a running sandbox's own API, a page behind one of its listeners. Must not be used for AWS.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// An answer.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Nothing on this machine takes longer.
const WITHIN: Duration = Duration::from_secs(10);

/// Gets `url`; the error says why there is no answer.
pub async fn get(url: &str) -> Result<Answer, String> {
    let uri: hyper::Uri = url
        .parse()
        .map_err(|error| format!("{url} is not a URL: {error}"))?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answered = async {
        let response = client.get(uri).await.map_err(|error| reason(&error))?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(WITHIN, answered)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The innermost cause: `Connection refused` says more than `client error (Connect)`.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
