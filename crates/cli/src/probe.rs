//! Asks the app's test listener, as its checks do. Must not judge an answer.

use std::time::Duration;

use bytes::Bytes;
use ecspipe_deploy::{Page, Prober};
use ecspipe_sandbox::Sandbox;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long an answer may take: as long as a balancer waits for an app that is well.
const WITHIN: Duration = Duration::from_secs(10);

/// How much of a body is read: a check looks for a text in a page, not in a download.
const MOST: usize = 1 << 20;

/// Whoever asks.
pub(crate) enum Probe {
    /// By HTTP.
    Network {
        /// The listener's URL, without a slash at its end.
        url: String,
        /// Keeps its connections.
        client: Box<Client<HttpConnector, Empty<Bytes>>>,
    },
    /// A listener of the sandbox in this process.
    Within {
        /// What is shown as its URL.
        url: String,
        /// The sandbox.
        sandbox: Sandbox,
        /// The listener.
        arn: String,
    },
}

impl Probe {
    /// One that asks by HTTP.
    pub(crate) fn network(url: &str) -> Self {
        Self::Network {
            url: url.trim_end_matches('/').to_owned(),
            client: Box::new(Client::builder(TokioExecutor::new()).build_http()),
        }
    }
}

impl Prober for Probe {
    fn url(&self) -> &str {
        match self {
            Self::Network { url, .. } | Self::Within { url, .. } => url,
        }
    }

    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Page, String>> {
        match self {
            Self::Network { url, client } => async move {
                tokio::time::timeout(WITHIN, get(client, &format!("{url}{path}")))
                    .await
                    .unwrap_or_else(|_| Err(format!("none within {} s", WITHIN.as_secs())))
            }
            .boxed(),
            Self::Within { sandbox, arn, .. } => async move {
                let page = sandbox.fetch(arn, path);
                Ok(Page {
                    status: page.status,
                    body: String::from_utf8_lossy(&page.body).into_owned(),
                })
            }
            .boxed(),
        }
    }
}

async fn get(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> Result<Page, String> {
    let uri: hyper::Uri = url
        .parse()
        .map_err(|error| format!("{url} is not a URL: {error}"))?;
    let response = client.get(uri).await.map_err(|error| innermost(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|error| innermost(error.as_ref()))?.to_bytes();
    Ok(Page {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// `Connection refused` says more than `client error (Connect)`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
