//! How each service says that there were too many calls, and that it failed by itself (AWS.md §3.3, the services' common
//! errors). Must not decide when.

use crate::wire::Fault;

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
