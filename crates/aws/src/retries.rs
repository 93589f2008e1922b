//! Says why a step takes long: whatever repeats a call (the SDK, or this crate), a person sees what is waited for, and because of
//! what. Must not repeat a call by itself, nor change one.

use std::future::Future;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use ecspipe_provision::Progress;

use crate::classify::passing;
use crate::limits::call_of;

tokio::task_local! {
    /// Who is told about the calls of the step that is being polled.
    static LISTENER: Progress;
}

/// Does `work`, whose calls are told to `progress` whenever they have to be made again.
pub(crate) async fn telling<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    LISTENER.scope(progress.clone(), work).await
}

/// The same client, whose failures of a moment are told.
pub(crate) fn told(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(
        move |settings: &HttpConnectorSettings, components: &RuntimeComponents| {
            SharedHttpConnector::new(Told(client.http_connector(settings, components)))
        },
    )
}

#[derive(Debug)]
struct Told(SharedHttpConnector);

impl HttpConnector for Told {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Ok(progress) = LISTENER.try_with(Progress::clone) else {
            return self.0.call(request);
        };
        let (service, operation) = call_of(&request).unwrap_or_default();
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let (answer, reason) = reason_of(answer.await).await;
            if let Some(reason) = reason {
                let what = if operation.is_empty() {
                    "the call"
                } else {
                    &operation
                };
                progress.waiting_for(format!("{service} to take {what}, because {reason}"));
            }
            answer
        })
    }
}

type Answer = Result<HttpResponse, ConnectorError>;

/// The answer as it was, and why the call will be made again, if it will. An error's body is short, so it is read whole.
async fn reason_of(answer: Answer) -> (Answer, Option<String>) {
    let mut response = match answer {
        Ok(response) => response,
        Err(error) if error.is_timeout() => return (Err(error), Some("no answer came".to_owned())),
        Err(error) => return (Err(error), Some("the connection was lost".to_owned())),
    };
    let status = response.status().as_u16();
    if status < 400 {
        return (Ok(response), None);
    }
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    match ByteStream::new(body).collect().await {
        Ok(body) => {
            let body = body.into_bytes();
            let reason = passing(status, &String::from_utf8_lossy(&body));
            *response.body_mut() = SdkBody::from(body);
            (Ok(response), reason)
        }
        Err(error) => (Err(ConnectorError::io(error.into())), None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    /// An answer that is always the same.
    #[derive(Debug, Clone)]
    struct Fixed(Option<(u16, &'static str)>);

    impl HttpConnector for Fixed {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(match self.0 {
                None => Err(ConnectorError::io("gone".into())),
                Some((status, body)) => Ok(HttpResponse::new(
                    StatusCode::try_from(status).unwrap(),
                    SdkBody::from(body),
                )),
            })
        }
    }

    async fn said(answer: Option<(u16, &'static str)>) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let to = said.clone();
        let progress = Progress::new(move |what| to.lock().unwrap().push(what));
        let mut request = HttpRequest::new("Action=CreateVpc&Version=2016-11-15".into());
        request.headers_mut().insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host",
        );
        let connector = Told(SharedHttpConnector::new(Fixed(answer)));
        let got = telling(&progress, async { connector.call(request).await }).await;
        let body = got.ok().map(|got| got.body().bytes().unwrap().to_vec());
        assert_eq!(body, answer.map(|(_, body)| body.as_bytes().to_vec()));
        said.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn what_will_be_repeated_is_told_with_its_reason() {
        let limit = "<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
        assert_eq!(
            said(Some((503, limit))).await,
            ["ec2 to take CreateVpc, because it limits the rate of calls (RequestLimitExceeded)"]
        );
        assert_eq!(
            said(Some((500, "<Code>InternalError</Code>"))).await,
            ["ec2 to take CreateVpc, because it failed by itself (500)"]
        );
        assert_eq!(
            said(None).await,
            ["ec2 to take CreateVpc, because the connection was lost"]
        );
        assert!(said(Some((200, "{}"))).await.is_empty());
        let refusal = Some((400, "<Code>InvalidParameterValue</Code>"));
        assert!(said(refusal).await.is_empty());
    }
}
