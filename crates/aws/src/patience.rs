//! How long a call is waited for. Must not repeat a call.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// When an attempt that nobody answers is given up, from the moment it is sent. AWS answers each of the calls that are made here within
/// seconds: what takes longer there is asked for again and again, not waited for in one call.
const ANSWER: Duration = Duration::from_secs(20);

/// How long a call may take in all, with every attempt, the waits between them and for its turn.
pub(crate) const CALL: Duration = Duration::from_secs(120);

/// The same client, whose requests are lost when nobody answers them in time.
pub(crate) fn impatient(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(
        move |settings: &HttpConnectorSettings, components: &RuntimeComponents| {
            SharedHttpConnector::new(Impatient(client.http_connector(settings, components)))
        },
    )
}

#[derive(Debug)]
struct Impatient(SharedHttpConnector);

impl HttpConnector for Impatient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = tokio::time::timeout(ANSWER, answer).await;
            answer.unwrap_or_else(|_| {
                let why = format!("no answer came within {} s", ANSWER.as_secs());
                Err(ConnectorError::timeout(why.into()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use tokio::time::Instant;

    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

    use super::*;
    use crate::{Account, Connect};

    /// Answers after a while, or never.
    #[derive(Debug, Clone)]
    struct Slow(Option<Duration>);

    impl HttpConnector for Slow {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let after = self.0;
            HttpConnectorFuture::new(async move {
                let until = after.unwrap_or(Duration::MAX);
                // The virtual clock goes on by itself.
                let _ = tokio::time::timeout(until, std::future::pending::<()>()).await;
                Ok(HttpResponse::new(
                    StatusCode::try_from(200).unwrap(),
                    SdkBody::empty(),
                ))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_nobody_answers_is_lost() {
        let call = |after| {
            let connector = Impatient(SharedHttpConnector::new(Slow(after)));
            async move { connector.call(HttpRequest::empty()).await }
        };
        assert!(call(Some(ANSWER - Duration::from_secs(1))).await.is_ok());
        assert!(call(None).await.unwrap_err().is_timeout());
    }

    /// Whoever waits for a command isn't left alone for eight times a minute.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_ends() {
        let silent = http_client_fn(|_: &HttpConnectorSettings, _: &RuntimeComponents| {
            SharedHttpConnector::new(Slow(None))
        });
        let account = Account::connect(Connect {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some("http://nobody.localhost".to_owned()),
            http_client: Some(silent),
            emulator: true,
            ..Connect::default()
        });
        let account = account.await.unwrap();
        let begun = Instant::now();
        let error = account.caller().await.unwrap_err();
        assert_eq!(error.code, crate::classify::LOST);
        assert!(begun.elapsed() > ANSWER, "{:?}", begun.elapsed());
        assert!(
            begun.elapsed() <= CALL + Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    }
}
