//! What a deployment that was stopped without rollback leaves half way: listeners that lead elsewhere than to the primary tasks, and
//! new tasks that never became primary. [`HalfWay::of`] sees it and is pure; `put_back` ends it, without a deployment.
//! Must not judge whether that is wise: the preflight does.

use crate::act::live;
use crate::error::CloudFailure;
use crate::event::{Event, Listener};
use crate::follow::OnEvent;
use crate::rollouts::{Rollouts, ServiceState, Target};
use crate::snapshot::{Listeners, Route, TaskSet, TaskSetStatus};

/// What is half way although nothing is in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfWay {
    /// The name of the target group of the primary tasks.
    pub target_group: String,
    /// The listeners that lead elsewhere, or not there alone, each with where; production first.
    pub astray: Vec<(Listener, Vec<Route>)>,
    /// The ids of the task sets that were made after the primary one and never took its place.
    pub task_sets: Vec<String>,
}

impl HalfWay {
    /// The service, and what is half way of it.
    pub async fn look(
        rollouts: &dyn Rollouts,
        target: &Target,
    ) -> Result<(ServiceState, Option<Self>), CloudFailure> {
        let service = rollouts.service(target).await?;
        let listeners = rollouts.listeners(target).await?;
        let left = Self::of(&service, &listeners);
        Ok((service, left))
    }

    /// Nothing where production goes to the primary tasks alone and no newer tasks are left. Tasks that are older than the primary
    /// ones are those that a deployment keeps for a while.
    pub fn of(service: &ServiceState, listeners: &Listeners) -> Option<Self> {
        let primary = live(&service.task_sets)?;
        let target_group = primary.target_group.clone()?;
        let is_newer = |set: &&TaskSet| {
            set.status == Some(TaskSetStatus::Active) && set.created > primary.created
        };
        let newer = service.task_sets.iter().filter(is_newer);
        let task_sets: Vec<String> = newer.map(|set| set.id.clone()).collect();
        let is_astray = |routes: &[Route]| {
            let mut served = routes.iter().filter(|route| route.weight > 0);
            served.any(|route| route.target_group != target_group)
        };
        if !is_astray(&listeners.production) && task_sets.is_empty() {
            return None;
        }
        let both = [
            (Listener::Production, &listeners.production),
            (Listener::Test, &listeners.test),
        ];
        let astray = both.into_iter().filter(|(_, routes)| is_astray(routes));
        Some(Self {
            astray: astray
                .map(|(listener, routes)| (listener, routes.clone()))
                .collect(),
            target_group,
            task_sets,
        })
    }

    /// Where production goes, if not to the primary tasks alone.
    pub fn production(&self) -> Option<&[Route]> {
        let (listener, routes) = self.astray.first()?;
        (*listener == Listener::Production).then_some(routes)
    }

    /// Leads the listeners to the primary tasks alone, production first, and lets the newer tasks go. What is done stays done when
    /// a call fails: tried again, it goes on from there.
    pub(crate) async fn put_back(
        &self,
        rollouts: &dyn Rollouts,
        target: &Target,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), CloudFailure> {
        for (listener, _) in &self.astray {
            rollouts
                .forward(target, *listener, &self.target_group)
                .await?;
            let alone = Route {
                target_group: self.target_group.clone(),
                weight: 1,
            };
            on_event(Event::TrafficRouted {
                listener: *listener,
                routes: vec![alone],
                percent: (*listener == Listener::Production).then_some(0),
            });
        }
        for task_set in &self.task_sets {
            rollouts.delete_task_set(target, task_set).await?;
        }
        on_event(Event::PutBack {
            target_group: self.target_group.clone(),
            task_sets: self.task_sets.clone(),
        });
        Ok(())
    }
}
