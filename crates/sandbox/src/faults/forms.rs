//! How each service says that there were too many calls, that it failed by itself, that a name is taken and that a quota is reached
//! (AWS.md §3.3, the services' common errors and those of each operation). Must not decide when.

use crate::wire::{Call, Fault, Input as _};

/// Too many calls, as `service` (its signing name) says it.
pub fn throttled(service: &str) -> Fault {
    match service {
        "ec2" => Fault::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        "elasticloadbalancing" | "iam" | "sts" => Fault::new("Throttling", "Rate exceeded"),
        "tagging" => Fault::new("ThrottledException", "Rate exceeded"),
        "s3" => Fault::new("SlowDown", "Please reduce your request rate.").status(503),
        _ => Fault::new("ThrottlingException", "Rate exceeded"),
    }
}

/// A failure of the service's own with a status, as `service` (its signing name) says it: 500 is a failure inside, anything
/// else is no room.
pub fn failed(service: &str, status: u16) -> Fault {
    let inside = status == 500;
    let (code, message) = match (service, inside) {
        ("ec2", true) => ("InternalError", "An internal error has occurred"),
        ("ec2", false) => (
            "Unavailable",
            "The server is overloaded and can't handle the request.",
        ),
        ("s3", true) => (
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
        ("iam", true) => (
            "ServiceFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
        ),
        ("ecs" | "ecr", true) => (
            "ServerException",
            "Service Unavailable. Please try again later.",
        ),
        ("kms", true) => (
            "KMSInternalException",
            "The request was rejected because an internal exception occurred. The request can be retried.",
        ),
        ("logs", true) => (
            "ServiceUnavailableException",
            "The service cannot complete the request.",
        ),
        ("events", true) => (
            "InternalException",
            "This exception occurs due to unexpected causes.",
        ),
        (_, true) => (
            "InternalFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
        ),
        (_, false) => (
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
    };
    Fault::new(code, message).status(status)
}

/// Somebody else has the name that `call` wants to give, as its service says it; `None` where it gives none that can be taken.
pub(super) fn taken(call: &Call) -> Option<Fault> {
    let name = |member: &str| call.input.text(member).unwrap_or_default().to_owned();
    let (code, message) = match (call.service.as_str(), call.operation.as_str()) {
        ("codebuild", "CreateProject") => (
            "ResourceAlreadyExistsException",
            format!("Project already exists: {}", name("name")),
        ),
        ("codecommit", "CreateRepository") => (
            "RepositoryNameExistsException",
            format!("Repository named {} already exists", name("repositoryName")),
        ),
        ("codedeploy", "CreateApplication") => (
            "ApplicationAlreadyExistsException",
            format!("Application already exists with the supplied name: {}", name("applicationName")),
        ),
        ("codedeploy", "CreateDeploymentGroup") => (
            "DeploymentGroupAlreadyExistsException",
            format!("Deployment group already exists: {}", name("deploymentGroupName")),
        ),
        ("codepipeline", "CreatePipeline") => (
            "PipelineNameInUseException",
            "A pipeline with this name already exists".to_owned(),
        ),
        ("ec2", "CreateSecurityGroup") => (
            "InvalidGroup.Duplicate",
            format!("The security group '{}' already exists", name("GroupName")),
        ),
        ("ecr", "CreateRepository") => (
            "RepositoryAlreadyExistsException",
            format!("The repository with name '{}' already exists", name("repositoryName")),
        ),
        ("ecs", "CreateService") => (
            "InvalidParameterException",
            "Creation of service was not idempotent.".to_owned(),
        ),
        ("elasticloadbalancing", "CreateLoadBalancer") => (
            "DuplicateLoadBalancerName",
            format!("A load balancer with the same name '{}' exists, but with different settings", name("Name")),
        ),
        ("elasticloadbalancing", "CreateTargetGroup") => (
            "DuplicateTargetGroupName",
            format!("A target group with the same name '{}' exists, but with different settings", name("Name")),
        ),
        ("iam", "CreateRole") => (
            "EntityAlreadyExists",
            format!("Role with name {} already exists.", name("RoleName")),
        ),
        ("kms", "CreateAlias") => (
            "AlreadyExistsException",
            format!("An alias with the name {} already exists", name("AliasName")),
        ),
        ("logs", "CreateLogGroup") => (
            "ResourceAlreadyExistsException",
            "The specified log group already exists".to_owned(),
        ),
        ("s3", "CreateBucket") => (
            "BucketAlreadyExists",
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.".to_owned(),
        ),
        _ => return None,
    };
    let status = match call.service.as_str() {
        "iam" | "s3" => 409,
        _ => 400,
    };
    Some(Fault::new(code, message).status(status))
}

/// There are as many as there may be of what `call` makes, as its service says it; `None` where no quota counts that.
pub(super) fn over_quota(call: &Call) -> Option<Fault> {
    let (code, message) = match (call.service.as_str(), call.operation.as_str()) {
        ("ec2", "CreateVpc") => (
            "VpcLimitExceeded",
            "The maximum number of VPCs has been reached.",
        ),
        ("ec2", "AllocateAddress") => (
            "AddressLimitExceeded",
            "The maximum number of addresses has been reached.",
        ),
        ("ec2", "CreateInternetGateway") => (
            "InternetGatewayLimitExceeded",
            "The maximum number of internet gateways has been reached.",
        ),
        ("ec2", "CreateNatGateway") => (
            "NatGatewayLimitExceeded",
            "The maximum number of NAT Gateways has been reached.",
        ),
        ("ec2", "CreateRouteTable") => (
            "RouteTableLimitExceeded",
            "The maximum number of route tables has been reached.",
        ),
        ("ec2", "CreateSecurityGroup") => (
            "SecurityGroupLimitExceeded",
            "The maximum number of security groups has been reached.",
        ),
        ("ec2", "CreateSubnet") => (
            "SubnetLimitExceeded",
            "The maximum number of subnets has been reached.",
        ),
        ("ec2", "CreateVpcEndpoint") => (
            "VpcEndpointLimitExceeded",
            "The maximum number of VPC endpoints has been reached.",
        ),
        ("elasticloadbalancing", "CreateLoadBalancer") => (
            "TooManyLoadBalancers",
            "The maximum number of load balancers has been reached",
        ),
        ("elasticloadbalancing", "CreateTargetGroup") => (
            "TooManyTargetGroups",
            "The maximum number of target groups has been reached",
        ),
        ("iam", "CreateRole") => (
            "LimitExceeded",
            "Cannot exceed quota for RolesPerAccount: 1000",
        ),
        ("s3", "CreateBucket") => (
            "TooManyBuckets",
            "You have attempted to create more buckets than allowed",
        ),
        ("codebuild", "CreateProject") => (
            "AccountLimitExceededException",
            "Cannot have more than 5000 projects in this account",
        ),
        ("codedeploy", "CreateApplication") => (
            "ApplicationLimitExceededException",
            "The maximum number of applications has been reached",
        ),
        ("codepipeline", "CreatePipeline")
        | (
            "ecr" | "events" | "kms" | "logs",
            "CreateRepository" | "PutRule" | "CreateKey" | "CreateLogGroup",
        ) => ("LimitExceededException", "Resource limit exceeded."),
        _ => return None,
    };
    let status = if call.service == "iam" { 409 } else { 400 };
    Some(Fault::new(code, message).status(status))
}
