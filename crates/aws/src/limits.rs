//! AWS's rate limits, kept to: a call waits here until the account may make it, rather than being refused, which costs a call and
//! a longer wait (AWS.md §3.3; EC2's and Elastic Load Balancing's own pages on request throttling). Must not repeat a call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::time::Instant;

use crate::Pace;

/// The same client, whose calls wait for their turn. All clients of one account share the turns.
pub(crate) fn limited(client: SharedHttpClient, pace: Pace) -> SharedHttpClient {
    let turns = Turns {
        pace,
        buckets: Arc::default(),
    };
    http_client_fn(
        move |settings: &HttpConnectorSettings, components: &RuntimeComponents| {
            SharedHttpConnector::new(Limited {
                inner: client.http_connector(settings, components),
                turns: turns.clone(),
            })
        },
    )
}

#[derive(Debug)]
struct Limited {
    inner: SharedHttpConnector,
    turns: Turns,
}

impl HttpConnector for Limited {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wait = limit_of(&request).map(|limit| self.turns.take(&limit));
        let wait = wait.unwrap_or_default();
        if wait.is_zero() {
            return self.inner.call(request);
        }
        let (inner, pace) = (self.inner.clone(), self.turns.pace);
        HttpConnectorFuture::new(async move {
            pace.sleep(wait).await;
            inner.call(request).await
        })
    }
}

/// A bucket of tokens for each group of operations that AWS counts together; it may be in debt, which is the queue.
#[derive(Debug, Clone)]
struct Turns {
    pace: Pace,
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// How many calls at once, and how many a second in the long run.
#[derive(Debug, PartialEq)]
struct Limit {
    bucket: String,
    burst: f64,
    per_second: f64,
}

/// The part of a burst that is used: the rest is for whoever else works in the account, and for calls that overtake each other.
const USED: f64 = 0.8;

impl Turns {
    /// Takes the next turn; answers how long it is until then, in AWS's time.
    fn take(&self, limit: &Limit) -> Duration {
        let now = Instant::now();
        let most = limit.burst * USED;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(limit.bucket.clone()).or_insert(Bucket {
            tokens: most,
            at: now,
        });
        let passed = self.pace.passed(now - bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * limit.per_second).min(most) - 1.0;
        bucket.at = now;
        Duration::from_secs_f64((-bucket.tokens / limit.per_second).max(0.0))
    }
}

/// The limit of a request.
fn limit_of(request: &HttpRequest) -> Option<Limit> {
    let (service, operation) = call_of(request)?;
    limit(&service, &operation)
}

/// What a signed request asks: the signature names the service, the target or the form the operation. Where a path and a method say
/// what is asked, as with S3, the operation is empty.
pub(crate) fn call_of(request: &HttpRequest) -> Option<(String, String)> {
    let headers = request.headers();
    let (_, scope) = headers.get("authorization")?.split_once("Credential=")?;
    let service = scope.split('/').nth(3)?.to_owned();
    if let Some(target) = headers.get("x-amz-target") {
        return Some((service, target.rsplit('.').next()?.to_owned()));
    }
    let body = request.body().bytes().unwrap_or_default();
    let body = if FORMS.contains(&service.as_str()) {
        std::str::from_utf8(body).ok()?
    } else {
        ""
    };
    let mut pairs = body.split('&');
    let action = pairs.find_map(|pair| pair.strip_prefix("Action="));
    Some((service, action.unwrap_or_default().to_owned()))
}

/// The services whose requests are forms.
const FORMS: [&str; 4] = ["ec2", "elasticloadbalancing", "iam", "sts"];

fn limit(service: &str, operation: &str) -> Option<Limit> {
    let of = |bucket: &str, burst: u32, per_second: u32| {
        Some(Limit {
            bucket: bucket.to_owned(),
            burst: f64::from(burst),
            per_second: f64::from(per_second),
        })
    };
    let reads = ["Describe", "Get", "List"]
        .iter()
        .any(|verb| operation.starts_with(verb));
    match (service, operation) {
        ("ecs", "CreateCluster" | "UpdateCluster" | "UpdateClusterSettings" | "DeleteCluster") => {
            of("ecs cluster modify", 20, 1)
        }
        ("ecs", "RegisterTaskDefinition" | "DeregisterTaskDefinition") => {
            of("ecs task definition modify", 20, 1)
        }
        ("ecs", "DeleteTaskDefinitions") => of("ecs task definition delete", 5, 1),
        (
            "ecs",
            "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies",
        ) => of("ecs task definition read", 50, 20),
        ("ecs", "CreateService" | "UpdateService" | "DeleteService") => {
            of("ecs service modify", 50, 5)
        }
        ("ecs", "DescribeServices" | "ListServices") => of("ecs service read", 100, 20),
        ("ecs", "TagResource" | "UntagResource" | "ListTagsForResource") => of("ecs tags", 20, 10),
        ("iam", _) => of("iam", 20, 15),
        ("logs", "DescribeLogGroups") => of("logs DescribeLogGroups", 10, 10),
        ("tagging", "GetResources") => of("tagging GetResources", 15, 15),
        // Each of EC2's actions has a bucket of its own.
        ("ec2", _) if reads => of(&format!("ec2 {operation}"), 100, 20),
        ("ec2", _) => of(&format!("ec2 {operation}"), 50, 5),
        ("elasticloadbalancing", _) if reads => of("elasticloadbalancing read", 40, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn turns() -> Turns {
        Turns {
            pace: Pace::default(),
            buckets: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_one_by_one() {
        let turns = turns();
        let register = limit("ecs", "RegisterTaskDefinition").unwrap();
        let waits: Vec<u64> = (0..20).map(|_| turns.take(&register).as_secs()).collect();
        assert_eq!(waits[..16], [0; 16]);
        assert_eq!(waits[16..], [1, 2, 3, 4]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(turns.take(&register), Duration::ZERO);
    }

    #[test]
    fn what_aws_does_not_count_is_not_held_back() {
        assert_eq!(limit("s3", "GetObject"), None);
        assert_eq!(limit("codepipeline", "GetPipeline"), None);
    }

    #[test]
    fn the_operation_is_read_from_the_request() {
        let mut request = HttpRequest::new("Action=CreateRole&Version=2010-05-08".into());
        request.headers_mut().insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/iam/aws4_request, SignedHeaders=host",
        );
        assert_eq!(limit_of(&request).unwrap().bucket, "iam");
        request.headers_mut().remove("authorization");
        assert_eq!(limit_of(&request), None);
    }
}
