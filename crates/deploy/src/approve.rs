//! Answers whatever waits for a person: CodeDeploy's wait at Ready, or a manual approval of the pipeline. Must not decide whether the
//! new version is good.

use serde::{Deserialize, Serialize};

use crate::act::{reroute, stop};
use crate::error::{DeployError, FailureKind};
use crate::follow::{self, Id};
use crate::operations::{Approval, Operations, Reply};
use crate::rollout::Phase;
use crate::rollouts::{AfterStop, Rollouts, Target};

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "waiting", rename_all = "snake_case")]
pub enum Waiting {
    /// A deployment, at Ready.
    Deployment {
        /// Its id.
        deployment: String,
    },
    /// A manual approval of the pipeline.
    Approval(Approval),
}

impl Waiting {
    /// By what it is chosen among several: the deployment's id, or `STAGE/ACTION`.
    pub fn name(&self) -> String {
        match self {
            Self::Deployment { deployment } => deployment.clone(),
            Self::Approval(approval) => format!("{}/{}", approval.stage, approval.action),
        }
    }

    fn is(&self, name: &str) -> bool {
        let action = match self {
            Self::Deployment { .. } => None,
            Self::Approval(approval) => Some(approval.action.as_str()),
        };
        self.name() == name || action == Some(name)
    }
}

/// Everything that waits for a person now.
pub async fn waiting(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
) -> Result<Vec<Waiting>, DeployError> {
    let approvals = operations.approvals(target).await?;
    let mut waiting: Vec<Waiting> = approvals.into_iter().map(Waiting::Approval).collect();
    let in_flight = follow::deployment(rollouts, target, &Id::InFlight).await?;
    if let Some((deployment, Phase::Ready)) = in_flight {
        waiting.push(Waiting::Deployment {
            deployment: deployment.id,
        });
    }
    Ok(waiting)
}

/// Answers what waits: the only thing that does, or the one that `name` means. Gives what was answered.
pub async fn approve(
    rollouts: &dyn Rollouts,
    operations: &dyn Operations,
    target: &Target,
    name: Option<&str>,
    reply: &Reply,
) -> Result<Waiting, DeployError> {
    let all = waiting(rollouts, operations, target).await?;
    let chosen = choose(all, name)?;
    match &chosen {
        Waiting::Deployment { deployment } => {
            let id = Id::Deployment(deployment.clone());
            match reply.approved {
                true => drop(reroute(rollouts, target, &id, None, &mut |_| {}).await?),
                false => drop(stop(rollouts, target, &id, AfterStop::RollBack).await?),
            }
        }
        Waiting::Approval(approval) => {
            let answered = operations.answer_approval(target, approval, reply).await;
            answered.map_err(|failure| match failure.kind {
                FailureKind::Conflict => DeployError::NobodyWaits {
                    instead: format!("{} was answered meanwhile", chosen.name()),
                },
                _ => failure.into(),
            })?;
        }
    }
    Ok(chosen)
}

fn choose(all: Vec<Waiting>, name: Option<&str>) -> Result<Waiting, DeployError> {
    let names: Vec<String> = all.iter().map(Waiting::name).collect();
    let mut fitting = all
        .into_iter()
        .filter(|one| name.is_none_or(|name| one.is(name)));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(DeployError::SeveralWait { names }),
        (None, _) => Err(DeployError::NobodyWaits {
            instead: match names.as_slice() {
                [] => {
                    "no deployment is at Ready, and no approval of the pipeline is open".to_owned()
                }
                names => format!("what waits is {}", names.join(", ")),
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_named() {
        let approval = |stage: &str, action: &str| {
            Waiting::Approval(Approval {
                stage: stage.to_owned(),
                action: action.to_owned(),
                token: String::new(),
                execution: None,
                summary: None,
                since: None,
            })
        };
        let ready = Waiting::Deployment {
            deployment: "d-1".to_owned(),
        };
        let all = vec![approval("Check", "Legal"), approval("Ship", "Legal"), ready];
        let check = |name: Option<&str>, want: Result<&str, &str>| {
            let have = choose(all.clone(), name);
            let have = have
                .map(|one| one.name())
                .map_err(|error| error.to_string());
            assert_eq!(have.as_deref().map_err(String::as_str), want, "{name:?}");
        };
        check(Some("d-1"), Ok("d-1"));
        check(Some("Ship/Legal"), Ok("Ship/Legal"));
        let several = "several things wait for a person: Check/Legal, Ship/Legal, d-1";
        check(None, Err(several));
        check(Some("Legal"), Err(several));
        let other = "nothing waits for a person: what waits is Check/Legal, Ship/Legal, d-1";
        check(Some("d-2"), Err(other));
        let one = choose(all[..1].to_vec(), None).map(|one| one.name());
        assert_eq!(one.as_deref(), Ok("Check/Legal"));
        assert!(choose(Vec::new(), None).is_err());
    }
}
