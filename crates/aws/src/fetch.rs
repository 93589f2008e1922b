//! A GET of a URL that is signed already, such as ECR gives for what an image consists of. It goes the way of every other call: the
//! same client, proxy and certificates. Must not sign it: S3 refuses who says twice who asks.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecspipe_provision::CloudError;

use crate::Account;
use crate::classify::{Said as _, local};

/// How long it may take altogether: nobody waits long for what they can do without.
const WITHIN: Duration = Duration::from_secs(15);

/// The content, if that has at most so many bytes.
pub(crate) async fn fetch(
    account: &Account,
    url: &str,
    at_most: usize,
) -> Result<Vec<u8>, CloudError> {
    let content = async { read(get(account, url).await?, at_most).await };
    let late = |_| {
        let seconds = WITHIN.as_secs();
        Err(local("Timeout", format!("no answer within {seconds} s")))
    };
    tokio::time::timeout(WITHIN, content)
        .await
        .unwrap_or_else(late)
}

async fn get(account: &Account, url: &str) -> Result<SdkBody, CloudError> {
    let (host, path) = split(url).ok_or_else(|| local("InvalidUrl", "what was given is no URL"))?;
    let connect = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5));
    let operation = Operation::builder()
        .service_name("s3")
        .operation_name("GetObject")
        .http_client(account.http.clone())
        .endpoint_url(host)
        .no_auth()
        .timeout_config(connect.build())
        .standard_retry(&RetryConfig::standard())
        .retry_classifier(TransientErrorClassifier::<Refused>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .serializer(request)
        .deserializer_impl::<SdkBody, Refused>(Unread)
        .build();
    operation
        .invoke(path.to_owned())
        .await
        .said("s3", "GetObject")
}

/// A URL's scheme and host, and the rest.
fn split(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")? + "://".len();
    let path = url[host..].find('/')? + host;
    Some(url.split_at(path))
}

fn request(path: String) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("GET")?;
    request.set_uri(path)?;
    Ok(request)
}

/// The body, before it is read.
#[derive(Debug)]
struct Unread;

impl DeserializeResponse for Unread {
    fn deserialize_streaming_with_config(
        &self,
        response: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        Some(if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            Ok(Output::erase(body))
        } else {
            let refused = Refused(ErrorMetadata::builder().build());
            Err(OrchestratorError::operation(Error::erase(refused)))
        })
    }
}

/// The answer was none that was asked for; its status says more.
#[derive(Debug)]
struct Refused(ErrorMetadata);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request was refused")
    }
}

impl std::error::Error for Refused {}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

async fn read(body: SdkBody, at_most: usize) -> Result<Vec<u8>, CloudError> {
    let mut body = ByteStream::new(body);
    let mut content = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| local("Connection", error.to_string()))?;
        content.extend_from_slice(&piece);
        if content.len() > at_most {
            let message = format!("the answer has more than {at_most} bytes");
            return Err(local("TooLarge", message));
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_url_is_split_before_its_path() {
        assert_eq!(
            split("https://a.s3.eu-central-1.amazonaws.com/b/c?d=e%2Ff"),
            Some(("https://a.s3.eu-central-1.amazonaws.com", "/b/c?d=e%2Ff"))
        );
        assert_eq!(split("/b/c"), None);
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_wanted() {
        let body = || SdkBody::from(vec![b'a'; 9]);
        assert_eq!(read(body(), 9).await.unwrap(), b"aaaaaaaaa");
        assert_eq!(read(body(), 8).await.unwrap_err().code, "TooLarge");
    }
}
