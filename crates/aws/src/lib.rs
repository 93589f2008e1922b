//! The AWS adapter: implements the traits of `ecspipe-provision` and `ecspipe-deploy` with the AWS SDK for Rust.
//!
//! The only crate that names an SDK type. It translates and waits; it decides nothing: what to make is a plan's matter, what
//! a rollout's state means is the pure part's.

#![allow(
    clippy::result_large_err,
    reason = "an error carries all that a user is shown, and it is never on a hot path"
)]

pub mod classify;
mod cloud;
mod existing;
mod fetch;
mod kinds;
mod lease;
mod limits;
mod operations;
mod pace;
mod patience;
mod retries;
mod rollouts;
mod survey;
mod tags;
mod view;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ecspipe_provision::CloudError;
use ecspipe_spec::Facts;
use futures::TryStreamExt as _;

use crate::classify::{Refine as _, Said as _, local};
pub use crate::lease::Leases;
pub use crate::pace::Pace;

/// How an account is reached.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// The region; `None` takes the one of the environment or the profile.
    pub region: Option<String>,
    /// The profile of the shared configuration files; `None` takes `AWS_PROFILE`, or the default one.
    pub profile: Option<String>,
    /// Another endpoint for every service: an emulator.
    pub endpoint: Option<String>,
    /// Takes the place of the network: the in-process sandbox.
    pub http_client: Option<SharedHttpClient>,
    /// Fixed credentials that any emulator accepts, instead of the environment's: nobody's real keys go to an emulator.
    pub emulator: bool,
    /// How waits are paced.
    pub pace: Pace,
}

/// An AWS account in one region: one configuration, loaded once, and a client for each service.
#[derive(Clone)]
pub struct Account {
    pub(crate) pace: Pace,
    pub(crate) region: String,
    pub(crate) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(crate) codebuild: aws_sdk_codebuild::Client,
    pub(crate) codecommit: aws_sdk_codecommit::Client,
    pub(crate) codedeploy: aws_sdk_codedeploy::Client,
    pub(crate) codepipeline: aws_sdk_codepipeline::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(crate) events: aws_sdk_eventbridge::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) quotas: aws_sdk_servicequotas::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) tagging: aws_sdk_resourcegroupstagging::Client,
    /// What all of them go through.
    pub(crate) http: SharedHttpClient,
    /// What was done for leases.
    pub(crate) ours: lease::Ours,
    /// Who calls, asked for once.
    pub(crate) identity: Arc<tokio::sync::OnceCell<Caller>>,
    /// What following a rollout asks for once.
    pub(crate) known: Arc<Mutex<rollouts::Known>>,
    /// The region's zones, asked for once.
    region_zones: Arc<tokio::sync::OnceCell<Vec<String>>>,
}

/// Who calls, as STS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account's twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
    /// The partition, from that ARN.
    pub partition: String,
}

impl Account {
    /// Loads the configuration. Nothing is asked of AWS yet. The error says that no region is known.
    pub async fn connect(options: Connect) -> Result<Self, CloudError> {
        let http = http(&options);
        let config = load(&options, http.clone()).await;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            local("NoRegion", "no region is known")
                .with_hint("name one: `region:` in the spec, `--region`, AWS_REGION, or the profile's `region`")
        })?;
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(options.endpoint.is_some())
            .build();
        Ok(Self {
            pace: options.pace,
            region,
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            codebuild: aws_sdk_codebuild::Client::new(&config),
            codecommit: aws_sdk_codecommit::Client::new(&config),
            codedeploy: aws_sdk_codedeploy::Client::new(&config),
            codepipeline: aws_sdk_codepipeline::Client::new(&config),
            ec2: aws_sdk_ec2::Client::new(&config),
            ecr: aws_sdk_ecr::Client::new(&config),
            ecs: aws_sdk_ecs::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            quotas: aws_sdk_servicequotas::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sts: aws_sdk_sts::Client::new(&config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
            http,
            ours: lease::Ours::default(),
            identity: Arc::default(),
            known: Arc::default(),
            region_zones: Arc::default(),
        })
    }

    /// The region's code.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// STS `GetCallerIdentity`, asked once.
    pub async fn caller(&self) -> Result<Caller, CloudError> {
        self.identity
            .get_or_try_init(|| self.ask_identity())
            .await
            .cloned()
    }

    /// An ARN in this account and region.
    pub(crate) async fn arn(&self, service: &str, resource: &str) -> Result<String, CloudError> {
        let caller = self.caller().await?;
        Ok(format!(
            "arn:{}:{service}:{}:{}:{resource}",
            caller.partition, self.region, caller.account
        ))
    }

    async fn ask_identity(&self) -> Result<Caller, CloudError> {
        let identity = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .said("sts", "GetCallerIdentity")?;
        let arn = identity.arn().unwrap_or_default().to_owned();
        let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(Caller {
            account: identity.account().unwrap_or_default().to_owned(),
            arn,
            partition,
        })
    }

    /// Where the account is. The region's availability zones are asked for only `with_zones`.
    pub async fn facts(&self, with_zones: bool) -> Result<Facts, CloudError> {
        let caller = self.caller().await?;
        let zones = if with_zones {
            self.zones().await?
        } else {
            Vec::new()
        };
        Ok(Facts {
            partition: caller.partition,
            account: caller.account,
            region: self.region.clone(),
            zones,
            existing: Default::default(),
        })
    }

    /// The region's zones, asked for once.
    pub(crate) async fn zones(&self) -> Result<Vec<String>, CloudError> {
        self.region_zones
            .get_or_try_init(|| self.ask_zones())
            .await
            .cloned()
    }

    /// EC2 `DescribeAvailabilityZones`: those open to the account, sorted; no local or wavelength zones.
    async fn ask_zones(&self) -> Result<Vec<String>, CloudError> {
        let answer = self
            .ec2
            .describe_availability_zones()
            .send()
            .await
            .said("ec2", "DescribeAvailabilityZones")?;
        let mut zones: Vec<String> = answer
            .availability_zones()
            .iter()
            .filter(|zone| {
                zone.zone_type()
                    .is_none_or(|kind| kind == "availability-zone")
            })
            .filter(|zone| {
                zone.state()
                    .is_none_or(|state| state.as_str() == "available")
            })
            .filter_map(|zone| zone.zone_name().map(ToOwned::to_owned))
            .collect();
        zones.sort();
        Ok(zones)
    }

    /// The DNS name of a load balancer by its name; `None` where there is none.
    pub async fn balancer_host(&self, name: &str) -> Result<Option<String>, CloudError> {
        let balancer = kinds::load_balancer::describe(self, name).await?;
        Ok(balancer.and_then(|balancer| balancer.dns_name().map(ToOwned::to_owned)))
    }
}

/// How long one attempt of a call may take, the wait for its turn included.
const ATTEMPT: Duration = Duration::from_secs(60);

/// The client of every call: told, and kept to AWS's rate limits.
fn http(options: &Connect) -> SharedHttpClient {
    let client = options.http_client.clone().unwrap_or_else(https_client);
    limits::limited(retries::told(patience::impatient(client)), options.pace)
}

async fn load(options: &Connect, http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(8)
                .with_initial_backoff(Duration::from_millis(200)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(patience::CALL)
                .build(),
        )
        // A call that waits for its turn looks like one that has stalled.
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .grace_period(ATTEMPT)
                .build(),
        );
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if options.emulator {
        let credentials = Credentials::new("sandbox", "sandbox", None, None, "ecspipe emulator");
        loader = loader
            .credentials_provider(credentials)
            .time_source(options.pace.clock());
    }
    loader.load().await
}

/// The SDK's own default, made here because it can't be had to be wrapped: rustls, and the environment's proxy.
fn https_client() -> SharedHttpClient {
    use aws_smithy_http_client::{Builder, ConnectorBuilder, proxy::ProxyConfig, tls};
    Builder::new().build_with_connector_fn(|settings, components| {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(provider);
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// All items of a paginated listing.
pub(crate) async fn all<T, E>(
    stream: aws_smithy_async::future::pagination_stream::PaginationStream<Result<T, E>>,
) -> Result<Vec<T>, E> {
    Box::pin(futures::stream::unfold(stream, |mut stream| async move {
        stream.next().await.map(|item| (item, stream))
    }))
    .try_collect()
    .await
}
