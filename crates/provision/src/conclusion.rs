//! What a run came to, told by its causes: each cause once, however many steps failed of it, with what was not begun because of it.
//! Must not format, and must not know a service's codes: an adapter has said what kind of error each is.

use serde::{Deserialize, Serialize};

use crate::apply::Outcome;
use crate::cloud::{CloudError, CloudErrorKind};
use crate::event::Because;
use crate::plan::ActionKind;
use crate::resource::Key;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conclusion {
    /// What was done, in the order in which it was finished.
    pub done: Vec<Act>,
    /// Why the rest was not: what holds up most comes first.
    pub causes: Vec<Cause>,
    /// What was not begun because the run was stopped.
    pub stopped: Vec<Act>,
}

/// What was done, or would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// On what.
    pub key: Key,
    /// What.
    pub action: ActionKind,
}

/// One reason why something failed: one remedy helps all that failed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What the first of them failed with.
    pub error: CloudError,
    /// All that failed of it.
    pub failed: Vec<Act>,
    /// What was not begun because it needs something of that.
    pub not_begun: Vec<Act>,
}

impl Conclusion {
    /// Whether the whole plan was done.
    pub fn is_complete(&self) -> bool {
        self.causes.is_empty() && self.stopped.is_empty()
    }

    /// How many steps failed.
    pub fn failed(&self) -> usize {
        self.causes.iter().map(|cause| cause.failed.len()).sum()
    }

    /// How many steps were not begun, whatever the reason.
    pub fn not_begun(&self) -> usize {
        let behind = self.causes.iter().map(|cause| cause.not_begun.len());
        behind.sum::<usize>() + self.stopped.len()
    }

    /// Whether nothing but access is missing: a permission, or credentials.
    pub fn lacks_only_access(&self) -> bool {
        let access = |cause: &Cause| {
            matches!(
                cause.error.kind,
                CloudErrorKind::Access | CloudErrorKind::Credentials
            )
        };
        !self.causes.is_empty() && self.causes.iter().all(access)
    }
}

/// Sorts what a run has left undone by its causes.
pub fn conclusion(outcome: &Outcome) -> Conclusion {
    let done = outcome.done.iter();
    let mut conclusion = Conclusion {
        done: done.map(|(key, action)| act(key, *action)).collect(),
        ..Conclusion::default()
    };
    for failure in &outcome.failed {
        let failed = act(&failure.key, failure.action);
        let known = |cause: &&mut Cause| same_cause(&cause.error, &failure.error);
        match conclusion.causes.iter_mut().find(known) {
            Some(cause) => cause.failed.push(failed),
            None => conclusion.causes.push(Cause {
                error: failure.error.clone(),
                failed: vec![failed],
                not_begun: Vec::new(),
            }),
        }
    }
    for skip in &outcome.skipped {
        let left = act(&skip.key, skip.action);
        let cause = match &skip.because {
            Because::Cancelled => None,
            Because::Failed { key } => {
                let of_it = |cause: &&mut Cause| cause.failed.iter().any(|act| act.key == *key);
                conclusion.causes.iter_mut().find(of_it)
            }
        };
        match cause {
            Some(cause) => cause.not_begun.push(left),
            None => conclusion.stopped.push(left),
        }
    }
    let weight = |cause: &Cause| cause.failed.len() + cause.not_begun.len();
    conclusion
        .causes
        .sort_by_key(|cause| std::cmp::Reverse(weight(cause)));
    conclusion
}

fn act(key: &Key, action: ActionKind) -> Act {
    Act {
        key: key.clone(),
        action,
    }
}

/// Of several errors those with a cause of their own, in their order.
pub fn distinct(errors: &[CloudError]) -> Vec<&CloudError> {
    let mut distinct: Vec<&CloudError> = Vec::new();
    for error in errors {
        if !distinct.iter().any(|known| same_cause(known, error)) {
            distinct.push(error);
        }
    }
    distinct
}

/// Whether one remedy helps against both: one login, one permission, one raised quota, a moment's patience with one service.
fn same_cause(one: &CloudError, other: &CloudError) -> bool {
    if one.kind != other.kind {
        return false;
    }
    let service = one.service == other.service;
    match one.kind {
        CloudErrorKind::Credentials => true,
        CloudErrorKind::Access => service && one.operation == other.operation,
        CloudErrorKind::Throttled => service,
        CloudErrorKind::Quota => service && one.code == other.code,
        // Without a request id nobody has answered: that is the network's fault, not a service's.
        CloudErrorKind::Other => {
            let answered = one.request_id.is_some();
            answered == other.request_id.is_some() && (service || !answered)
        }
        CloudErrorKind::Timeout => one.message == other.message,
        CloudErrorKind::NotFound | CloudErrorKind::Conflict | CloudErrorKind::Refused => {
            service && one.code == other.code && one.message == other.message
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{Failure, Skip};
    use crate::resource::Kind;

    fn error(kind: CloudErrorKind, operation: &str, code: &str, message: &str) -> CloudError {
        CloudError {
            service: "iam".to_owned(),
            operation: operation.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: Some("r".to_owned()),
            kind,
            hint: None,
        }
    }

    fn failure(name: &str, error: CloudError) -> Failure {
        Failure {
            key: Key::new(Kind::Role, name),
            action: ActionKind::Create,
            error,
        }
    }

    fn skip(name: &str, because: Because) -> Skip {
        Skip {
            key: Key::new(Kind::BuildProject, name),
            action: ActionKind::Create,
            because,
        }
    }

    fn behind(name: &str) -> Because {
        Because::Failed {
            key: Key::new(Kind::Role, name),
        }
    }

    #[test]
    fn a_cause_is_told_once_with_all_that_hangs_on_it() {
        use CloudErrorKind::{Access, Quota};
        let denied = |role: &str| error(Access, "CreateRole", "AccessDenied", role);
        let outcome = Outcome {
            done: vec![(Key::new(Kind::Vpc, "main"), ActionKind::Create)],
            failed: vec![
                failure("quota", error(Quota, "CreateRole", "LimitExceeded", "many")),
                failure("build", denied("not authorized on role build")),
                failure("pipeline", denied("not authorized on role pipeline")),
            ],
            skipped: vec![
                skip("one", behind("pipeline")),
                skip("two", behind("build")),
                skip("three", Because::Cancelled),
            ],
            ..Outcome::default()
        };
        let conclusion = conclusion(&outcome);
        let told: Vec<(&str, usize, usize)> = conclusion
            .causes
            .iter()
            .map(|cause| {
                (
                    cause.error.code.as_str(),
                    cause.failed.len(),
                    cause.not_begun.len(),
                )
            })
            .collect();
        assert_eq!(told, [("AccessDenied", 2, 2), ("LimitExceeded", 1, 0)]);
        assert_eq!(
            conclusion.causes[0].error.message,
            "not authorized on role build"
        );
        assert_eq!((conclusion.failed(), conclusion.not_begun()), (3, 3));
        assert_eq!(conclusion.stopped.len(), 1);
        assert!(!conclusion.is_complete() && !conclusion.lacks_only_access());
    }

    #[test]
    fn what_one_remedy_helps_is_one_cause() {
        use CloudErrorKind::{Access, Conflict, Credentials, Other, Quota, Throttled, Timeout};
        let other_service = |mut error: CloudError| {
            error.service = "ec2".to_owned();
            error
        };
        let unanswered = |mut error: CloudError| {
            error.request_id = None;
            error
        };
        let check = |one: CloudError, other: CloudError, same: bool| {
            assert_eq!(same_cause(&one, &other), same, "{one} / {other}");
        };
        let of = |kind| error(kind, "CreateRole", "Code", "message");
        check(of(Credentials), other_service(of(Credentials)), true);
        check(of(Access), error(Access, "CreateRole", "C", "m"), true);
        check(
            of(Access),
            error(Access, "PutRolePolicy", "Code", "message"),
            false,
        );
        check(of(Access), other_service(of(Access)), false);
        check(of(Access), of(Credentials), false);
        check(of(Quota), error(Quota, "CreatePolicy", "Code", "m"), true);
        check(of(Quota), error(Quota, "CreateRole", "Another", "m"), false);
        check(of(Throttled), error(Throttled, "X", "Y", "Z"), true);
        check(of(Throttled), other_service(of(Throttled)), false);
        check(of(Other), other_service(of(Other)), false);
        check(
            unanswered(of(Other)),
            unanswered(other_service(of(Other))),
            true,
        );
        check(unanswered(of(Other)), of(Other), false);
        check(
            of(Timeout),
            error(Timeout, "CreateRole", "Code", "m"),
            false,
        );
        check(
            of(Conflict),
            error(Conflict, "Other", "Code", "message"),
            true,
        );
        check(
            of(Conflict),
            error(Conflict, "CreateRole", "Code", "m"),
            false,
        );
    }
}
