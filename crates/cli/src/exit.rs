//! Exit codes and the error that carries one. Must not print.

use ecspipe_deploy::{CloudFailure, DeployError, FailureKind, Verdict};
use ecspipe_provision::{CloudError, CloudErrorKind};

/// What a command's end means; the numbers are a contract (README).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug, or an unexpected failure.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// The spec is wrong.
    Spec = 3,
    /// Refused: an unsafe change, a rollout in flight. Of `up` and `plan` also: something is held back, and everything else is done.
    Refused = 4,
    /// Provisioning is incomplete; run again.
    Incomplete = 5,
    /// The rollout failed, was stopped or rolled back.
    Rollout = 6,
    /// No access: credentials, region, permission.
    Access = 7,
    /// Waits for a person.
    Waiting = 8,
    /// Still running when the time to follow ended.
    Running = 9,
    /// Changes are pending (`plan --exit-code`).
    Changes = 10,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What the end of a rollout means.
    pub fn of_verdict(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Succeeded { .. } => Self::Done,
            Verdict::StillRunning { .. } => Self::Running,
            Verdict::WaitingForHuman { .. } => Self::Waiting,
            Verdict::RolledBack { .. }
            | Verdict::Failed { .. }
            | Verdict::Stopped { .. }
            | Verdict::Superseded
            | Verdict::Cancelled => Self::Rollout,
        }
    }
}

/// Why a command ended otherwise than done: a message, a next step, the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, in one line.
    pub message: String,
    /// More, line by line, already in its final form: the piece of a spec, a list of refusals.
    pub details: Vec<String>,
    /// The next step.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a next step.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            details: Vec::new(),
            hint: None,
        }
    }

    /// The same with a next step.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file or folder that can't be used.
    pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            Exit::Usage,
            format!("cannot {what} {}: {error}", path.display()),
        )
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        let exit = match error.kind {
            CloudErrorKind::Access | CloudErrorKind::Credentials => Exit::Access,
            _ => Exit::Failed,
        };
        let message = error.to_string();
        let details = error
            .request_id
            .iter()
            .map(|id| format!("request id: {id}"))
            .collect();
        Self {
            exit,
            message,
            details,
            hint: error.hint,
        }
    }
}

impl From<CloudFailure> for Failure {
    fn from(failure: CloudFailure) -> Self {
        let missing = (failure.kind == FailureKind::NotFound)
            .then(|| "make it with `ecspipe up`, if that has not been done".to_owned());
        let exit = match failure.kind {
            FailureKind::Access => Exit::Access,
            FailureKind::NotFound => Exit::Refused,
            _ => Exit::Failed,
        };
        let details = failure
            .request_id
            .iter()
            .map(|id| format!("request id: {id}"))
            .collect();
        Self {
            exit,
            message: failure.to_string(),
            details,
            hint: failure.hint.or(missing),
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let hint = error.hint();
        match error {
            DeployError::Cloud(failure) => failure.into(),
            DeployError::Obstructed(obstacles) => Self {
                exit: Exit::Refused,
                message: "the rollout can't begin; nothing was done".to_owned(),
                details: obstacles
                    .iter()
                    .flat_map(|obstacle| {
                        [obstacle.to_string(), format!("  next: {}", obstacle.next)]
                    })
                    .collect(),
                hint,
            },
            error => Self {
                exit: Exit::Refused,
                message: error.to_string(),
                details: Vec::new(),
                hint,
            },
        }
    }
}

impl From<ecspipe_provision::Error> for Failure {
    fn from(error: ecspipe_provision::Error) -> Self {
        use ecspipe_provision::Error;
        let message = error.to_string();
        match error {
            Error::Impossible { hint, .. } => Self::new(Exit::Spec, message).hint(hint),
            Error::Unfit(problems) => {
                let details = problems
                    .iter()
                    .flat_map(|problem| [problem.to_string(), format!("  next: {}", problem.hint)])
                    .collect();
                Self {
                    exit: Exit::Spec,
                    message: "the spec refers to what can't be used; nothing was done".to_owned(),
                    details,
                    hint: None,
                }
            }
            Error::Unreadable(errors) => {
                let causes = ecspipe_provision::conclusion::distinct(&errors);
                let mut failures = causes.into_iter().cloned().map(Self::from);
                let Some(mut first) = failures.next() else {
                    return Self::new(Exit::Failed, message);
                };
                let others = failures.map(|other| format!("also: {}", other.message));
                first.details.extend(others);
                first
            }
            Error::NotUp(_) => {
                Self::new(Exit::Incomplete, message).hint("run `ecspipe up` first, then deploy")
            }
            Error::Refused(refusals) => {
                let details = refusals
                    .iter()
                    .flat_map(|refusal| [refusal.to_string(), format!("  next: {}", refusal.hint)])
                    .collect();
                Self {
                    exit: Exit::Refused,
                    message: "the plan is refused; nothing was done".to_owned(),
                    details,
                    hint: None,
                }
            }
            Error::Broken(_) => {
                Self::new(Exit::Failed, message).hint("please report it with the spec")
            }
        }
    }
}

impl From<ecspipe_render::RenderError> for Failure {
    fn from(error: ecspipe_render::RenderError) -> Self {
        use ecspipe_render::RenderError;
        match &error {
            RenderError::Write { .. } => {
                Self::new(Exit::Failed, error.to_string()).hint("please report it with the spec")
            }
            _ => Self::new(Exit::Spec, error.to_string()),
        }
    }
}
