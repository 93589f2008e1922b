//! Tasks outside services: started once, followed to their end, never replaced. Must not answer API calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Status, TICK, Task, forget, next_end, rouse, schedule, step};
use crate::clock::Millis;
use crate::wire::Input as _;
use crate::world::{Wake, World};

/// What a task outside a service was asked for with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `family:…`, unless the caller said otherwise.
    pub group: String,
    /// Who started it, as the caller said.
    pub started_by: Option<String>,
    /// What differs from the definition, as given.
    pub overrides: Value,
}

impl Run {
    /// What is said about a container.
    pub(crate) fn of_container(&self, name: &str) -> Option<&Value> {
        let overrides = self.overrides.list("containerOverrides");
        overrides.iter().find(|one| one.text("name") == Some(name))
    }
}

/// Sets a new task going.
pub(crate) fn set_out(world: &mut World, region: &str, cluster: &str) {
    rouse(world, region, cluster, "");
}

/// One step for each task outside a service of a cluster.
pub(crate) fn wake(world: &mut World, region: &str, cluster: &str) {
    forget(world, region);
    for id in ids(world, region, cluster, |_| true) {
        step(world, region, None, &id);
    }
    let now = world.now;
    let moving = |task: &Task| !matches!(task.status, Status::Running | Status::Stopped);
    let tick = (!ids(world, region, cluster, moving).is_empty()).then_some(now + TICK);
    let ends = next_end(world, region, &format!("{cluster}/"));
    let next: Option<Millis> = tick.into_iter().chain(ends).min();
    if let Some(at) = next {
        let wake = Wake::Lone(cluster.to_owned());
        schedule(world, at.max(now + 1), region, wake);
    }
}

fn ids(world: &World, region: &str, cluster: &str, wanted: impl Fn(&Task) -> bool) -> Vec<String> {
    let tasks = world.regions.get(region).map(|region| &region.ecs.tasks);
    let of_cluster = |task: &&Task| task.run.is_some() && task.cluster == cluster && wanted(task);
    let tasks = tasks.into_iter().flat_map(|tasks| tasks.values());
    tasks
        .filter(of_cluster)
        .map(|task| task.id.clone())
        .collect()
}
