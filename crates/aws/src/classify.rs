//! The only reader of AWS error codes: turns what the SDK says into what a user can act on. Must not wait or retry.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use ecspipe_deploy::{CloudFailure, FailureKind, Refusal};
use ecspipe_provision::{CloudError, CloudErrorKind};

/// Gives an SDK result its service and operation.
pub(crate) trait Said<T> {
    /// The same result with an error that names `service` and `operation`.
    fn said(self, service: &str, operation: &str) -> Result<T, CloudError>;
}

impl<T, E> Said<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn said(self, service: &str, operation: &str) -> Result<T, CloudError> {
        self.map_err(|error| classify(service, operation, &error))
    }
}

/// Turns "there is no such thing" into `None`.
pub(crate) trait OrMissing<T> {
    /// `None` where the error is of kind [`CloudErrorKind::NotFound`].
    fn or_missing(self) -> Result<Option<T>, CloudError>;
}

impl<T> OrMissing<T> for Result<T, CloudError> {
    fn or_missing(self) -> Result<Option<T>, CloudError> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An error of the adapter's own: nothing reached AWS, or what came back makes no sense.
pub(crate) fn local(code: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        service: String::new(),
        operation: String::new(),
        code: code.to_owned(),
        message: message.into(),
        request_id: None,
        kind: kind_of(code, None),
        hint: None,
    }
}

/// Builder-like changes to an error.
pub(crate) trait Refine {
    /// The same error with a next step.
    fn with_hint(self, hint: impl Into<String>) -> Self;
    /// The same error of another kind.
    fn of_kind(self, kind: CloudErrorKind) -> Self;
}

impl Refine for CloudError {
    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn of_kind(mut self, kind: CloudErrorKind) -> Self {
        self.kind = kind;
        self
    }
}

/// The code of what never got an answer.
pub const LOST: &str = "Connection";

fn classify<E>(service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let (code, message) = match error {
        SdkError::ServiceError(context) => {
            let inner = context.err();
            let code = inner.code().map_or_else(
                || format!("HTTP{}", status.unwrap_or_default()),
                ToOwned::to_owned,
            );
            let message = inner
                .message()
                .map_or_else(|| no_message(status), ToOwned::to_owned);
            (code, message)
        }
        SdkError::ConstructionFailure(_) => ("InvalidRequest".to_owned(), chain(error)),
        SdkError::DispatchFailure(failure) if failure.as_connector_error().is_none() => {
            no_credentials(error)
        }
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            dispatch(error)
        }
        _ => (LOST.to_owned(), chain(error)),
    };
    let kind = kind_of(&code, status);
    let hint = hint(service, operation, &code, &message, kind, status);
    CloudError {
        service: service.to_owned(),
        operation: operation.to_owned(),
        code,
        message,
        request_id: error.request_id().map(ToOwned::to_owned),
        kind,
        hint,
    }
}

fn no_message(status: Option<u16>) -> String {
    format!(
        "the service answered with status {} and no message",
        status.unwrap_or_default()
    )
}

fn dispatch<E: Error + 'static>(error: &E) -> (String, String) {
    let text = chain(error);
    let credentials = [
        "credentials",
        "CredentialsNotLoaded",
        "identity",
        "SSO",
        "token has expired",
    ];
    if credentials.iter().any(|word| text.contains(word)) {
        no_credentials(error)
    } else {
        (LOST.to_owned(), text)
    }
}

/// The chain of providers tells a long story; its end says why the last of them had none.
fn no_credentials<E: Error + 'static>(error: &E) -> (String, String) {
    let text = chain(error);
    let why = text.rsplit(": ").next().unwrap_or(&text);
    let message = format!("no credentials could be loaded ({why})");
    ("NoCredentials".to_owned(), message)
}

/// The causes of an error in one line, without their debug output.
fn chain<E: Error>(error: &E) -> String {
    let mut causes = Vec::new();
    let mut next: Option<&dyn Error> = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() {
        DisplayErrorContext(error).to_string()
    } else {
        causes.join(": ")
    }
}

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
];

const CREDENTIALS: &[&str] = &[
    "NoCredentials",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "MissingAuthenticationToken",
    "InvalidSignatureException",
    "NoRegion",
];

const ACCESS: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "OptInRequired",
    "SubscriptionRequiredException",
    "UnauthorizedAccess",
    "Forbidden",
    // An answer to HEAD has no body, and so no code.
    "HTTP403",
];

/// Codes for a missing thing that no suffix tells.
const MISSING: &[&str] = &[
    "NoSuchEntity",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchResourceException",
    "NoSuchVersion",
    "NotFound",
    "NotFoundException",
    "ResourceNotFound",
    "LoadBalancerNotFound",
    "TargetGroupNotFound",
    "ListenerNotFound",
    "RuleNotFound",
    "RepositoryDoesNotExistException",
    "BranchDoesNotExistException",
    "ApplicationDoesNotExistException",
    "DeploymentGroupDoesNotExistException",
    "DeploymentConfigDoesNotExistException",
    "DeploymentDoesNotExistException",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
    "OwnershipControlsNotFoundError",
    "NoSuchTagSet",
    "NoSuchTagSetError",
    "PipelineExecutionNotFoundException",
    "PipelineNotFoundException",
    "ServiceNotActiveException",
    "HTTP404",
];

fn kind_of(code: &str, status: Option<u16>) -> CloudErrorKind {
    let listed = |list: &[&str]| list.contains(&code);
    if listed(THROTTLED) {
        CloudErrorKind::Throttled
    } else if listed(CREDENTIALS) {
        CloudErrorKind::Credentials
    } else if listed(ACCESS) {
        CloudErrorKind::Access
    } else if listed(MISSING)
        || code.ends_with("NotFoundException")
        || code.ends_with(".NotFound")
        || code == "NatGatewayNotFound"
    {
        CloudErrorKind::NotFound
    } else if code.contains("LimitExceeded") || code.contains("QuotaExceeded") || listed(TOO_MANY) {
        // DeploymentLimitExceededException isn't a quota: a deployment is in flight.
        if code.starts_with("DeploymentLimit") {
            CloudErrorKind::Conflict
        } else {
            CloudErrorKind::Quota
        }
    } else if listed(CONFLICT)
        || code.contains("AlreadyExists")
        || code.contains("InUse")
        || code.starts_with("Duplicate")
    {
        CloudErrorKind::Conflict
    } else if code == LOST || status.is_some_and(|status| status >= 500 && status != 501) {
        CloudErrorKind::Other
    } else {
        CloudErrorKind::Refused
    }
}

/// Codes for a quota that no suffix tells.
const TOO_MANY: &[&str] = &[
    "TooManyBuckets",
    "TooManyListeners",
    "TooManyLoadBalancers",
    "TooManyRules",
    "TooManyTargetGroups",
    "TooManyTargets",
];

const CONFLICT: &[&str] = &[
    "DependencyViolation",
    "DeleteConflict",
    "ResourceInUse",
    "BucketNotEmpty",
    "BucketAlreadyOwnedByYou",
    "OperationAborted",
    "RepositoryNotEmptyException",
    "RepositoryNameExistsException",
    "PipelineNameInUseException",
    "ConcurrentModificationException",
    "DeploymentIsNotInReadyStateException",
    "DeploymentAlreadyCompletedException",
    "DeploymentAlreadyStartedException",
    "ApprovalAlreadyCompletedException",
    "InvalidApprovalTokenException",
    "ECSServiceMappingLimitExceededException",
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "ConflictException",
    "InvalidPermission.Duplicate",
    "InvalidGroup.Duplicate",
    "Resource.AlreadyAssociated",
    "RouteAlreadyExists",
    "UpdateInProgressException",
];

fn hint(
    service: &str,
    operation: &str,
    code: &str,
    message: &str,
    kind: CloudErrorKind,
    status: Option<u16>,
) -> Option<String> {
    Some(match kind {
        CloudErrorKind::Access => {
            // The message knows better than the operation: HeadObject needs `s3:GetObject`.
            let refused = Refusal::find(message);
            let on = refused.as_ref().and_then(|refused| refused.resource.as_ref());
            let on = on.map(|resource| format!(" on {resource}")).unwrap_or_default();
            let action = refused.map_or_else(|| format!("{service}:{operation}"), |refused| refused.action);
            format!("the caller lacks the permission {action}{on}, or a policy of the organisation denies it; `ecspipe policy` prints what is needed")
        }
        CloudErrorKind::Credentials if code.contains("Expired") => {
            "the login has expired: log in again, for instance with `aws sso login` or `aws login`".to_owned()
        }
        CloudErrorKind::Credentials => {
            "no valid credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws login`; to try without an account, run `ecspipe demo`".to_owned()
        }
        CloudErrorKind::Throttled => "AWS limits the rate of calls: run the command again in a moment".to_owned(),
        CloudErrorKind::Quota => {
            "a quota of the account is used up: raise it in Service Quotas, or delete what isn't needed".to_owned()
        }
        CloudErrorKind::Other if code == LOST => "check the network and the endpoint, then run the command again".to_owned(),
        CloudErrorKind::Other => "AWS failed by itself: run the command again; it goes on where it stopped".to_owned(),
        _ if status == Some(501) => "the sandbox lacks this operation".to_owned(),
        _ => return None,
    })
}

/// Why a call that was answered with `status` and `body` is made again; `None` where it isn't.
pub(crate) fn passing(status: u16, body: &str) -> Option<String> {
    let code = THROTTLED.iter().find(|code| {
        // As `<Code>Throttling</Code>`, `"__type":"ThrottlingException"` or `…#ThrottlingException"`.
        let before = ['>', '"', '#'];
        let after = ['<', '"', ':'];
        body.match_indices(*code).any(|(at, _)| {
            body[..at].ends_with(before) && body[at + code.len()..].starts_with(after)
        })
    });
    match code {
        Some(code) => Some(format!("it limits the rate of calls ({code})")),
        None if status == 429 => Some("it limits the rate of calls".to_owned()),
        None if status >= 500 && status != 501 => Some(format!("it failed by itself ({status})")),
        None => None,
    }
}

/// Whether a call may have had its effect although it failed.
pub(crate) fn is_ambiguous(error: &CloudError) -> bool {
    error.kind == CloudErrorKind::Other
}

/// The errors of AWS.md §3.3 that pass by themselves: (code, part of the message, seconds, what is waited for).
const SETTLES: &[(&str, &str, u64, &str)] = &[
    (
        "InvalidInputException",
        "is not authorized to perform: sts:AssumeRole",
        300,
        "the role to be known to CodeBuild",
    ),
    (
        "InvalidStructureException",
        "is not authorized to perform AssumeRole",
        300,
        "the role to be known to CodePipeline",
    ),
    (
        "InvalidRoleException",
        "",
        300,
        "the role to be known to CodeDeploy",
    ),
    (
        "InvalidParameterException",
        "Unable to assume the service linked role",
        300,
        "ECS's service-linked role",
    ),
    (
        "InvalidParameterException",
        "verify that the ECS service role being passed has the proper permissions",
        120,
        "ECS's service-linked role",
    ),
    (
        "InvalidParameterException",
        "does not have an associated load balancer",
        120,
        "the listeners to be known to ECS",
    ),
    (
        "InvalidParameterException",
        "Creation of service was not idempotent",
        600,
        "the old service of that name to be gone",
    ),
    (
        "InvalidParameterException",
        "Unable to Start a service that is still Draining",
        20 * 60,
        "the old service of that name to drain",
    ),
    (
        "ClusterNotFoundException",
        "",
        60,
        "the cluster to be known to ECS",
    ),
    (
        "MalformedPolicyDocumentException",
        "invalid principals",
        120,
        "the principal to be known",
    ),
    (
        "MalformedPolicy",
        "Invalid principal in policy",
        120,
        "the principal to be known",
    ),
    (
        "ResourceInUse",
        "in use by a listener or a rule",
        120,
        "the listener to let the target group go",
    ),
    ("InvalidVpcID.NotFound", "", 60, "the VPC to be known"),
    ("InvalidSubnetID.NotFound", "", 60, "the subnet to be known"),
    (
        "InvalidGroup.NotFound",
        "",
        60,
        "the security group to be known",
    ),
    (
        "InvalidInternetGatewayID.NotFound",
        "",
        60,
        "the internet gateway to be known",
    ),
    (
        "InvalidRouteTableID.NotFound",
        "",
        60,
        "the route table to be known",
    ),
    (
        "InvalidNatGatewayID.NotFound",
        "",
        60,
        "the NAT gateway to be known",
    ),
    (
        "InvalidAllocationID.NotFound",
        "",
        60,
        "the address to be known",
    ),
    (
        "OperationAborted",
        "",
        120,
        "an earlier operation on the bucket's name to end",
    ),
];

/// Whether an error passes by itself: how long to wait at the most, and for what.
pub(crate) fn settles_within(error: &CloudError) -> Option<(Duration, &'static str)> {
    let matching = SETTLES
        .iter()
        .find(|(code, part, ..)| *code == error.code && error.message.contains(part));
    matching.map(|(_, _, seconds, what)| (Duration::from_secs(*seconds), *what))
}

/// The same error for `ecspipe-deploy`, which sorts failures by what they mean for a rollout.
pub(crate) fn failure(error: CloudError) -> CloudFailure {
    let kind = match error.kind {
        CloudErrorKind::Access | CloudErrorKind::Credentials => FailureKind::Access,
        CloudErrorKind::Throttled => FailureKind::Throttled,
        CloudErrorKind::NotFound => FailureKind::NotFound,
        CloudErrorKind::Conflict => FailureKind::Conflict,
        CloudErrorKind::Quota | CloudErrorKind::Refused => FailureKind::Rejected,
        CloudErrorKind::Timeout => FailureKind::Lost,
        CloudErrorKind::Other if error.code == LOST => FailureKind::Lost,
        CloudErrorKind::Other => FailureKind::Fault,
    };
    // There the two are part of a sentence: "ecspipe itself failed".
    let (service, operation) = if error.is_local() {
        ("ecspipe".to_owned(), "itself".to_owned())
    } else {
        (error.service, error.operation)
    };
    CloudFailure {
        service,
        operation,
        code: error.code,
        message: error.message,
        request_id: error.request_id,
        kind,
        hint: error.hint,
    }
}
