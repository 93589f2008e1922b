//! What an account holds of an app. Each kind is listed once, all at the same time, so that a plan costs about one call a
//! kind, and whatever nobody wants any more shows up by itself. Must not compare or decide.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream;

use crate::Error;
use crate::cloud::{Cloud, CloudError, Have, Listing, Made, Scope, Targets};
use crate::graph::{Graph, each_text};
use crate::plan::production_target;
use crate::resource::{Id, Key, Kind};

/// How many kinds are listed at the same time: all of them, so that a look takes as long as its longest listing. AWS's limits
/// are per service, and most kinds have a service for themselves.
const CONCURRENT_LISTINGS: usize = Kind::ALL.len();

/// How many apps are looked at at the same time: enough to hide the way to AWS, few enough for its limits.
const CONCURRENT_APPS: usize = 8;

/// The resources of an app in an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What carries the app's tags, by key.
    pub owned: BTreeMap<Key, Have>,
    /// What carries the tags of a resource that exists already: left behind by a creation whose answer was lost.
    pub duplicates: Vec<Have>,
    /// What bears a name that the app wants without the app's tags, by the key that wants it.
    pub foreign: BTreeMap<Key, Have>,
    /// How the targets stand of target groups that were asked for: see [`observe_production`].
    pub targets: BTreeMap<Id, Targets>,
}

/// Lists everything of the app. The error holds what every failed listing said.
pub async fn observe(cloud: &dyn Cloud, scope: &Scope) -> Result<Inventory, Error> {
    let look = cloud.look(std::slice::from_ref(scope));
    list(look.as_ref(), scope, &Kind::ALL).await
}

/// Lists everything of the app of some kinds alone: what a question needs that isn't a plan.
pub async fn observe_kinds(
    cloud: &dyn Cloud,
    scope: &Scope,
    kinds: &[Kind],
) -> Result<Inventory, Error> {
    let look = cloud.look(std::slice::from_ref(scope));
    list(look.as_ref(), scope, kinds).await
}

/// Finds out, for a plan, how the targets stand that production traffic goes to, or that [`crate::plan()`] would lead it to: one call,
/// and none for an app that isn't up.
pub async fn observe_production(
    cloud: &dyn Cloud,
    graph: &Graph,
    inventory: &mut Inventory,
) -> Result<(), Error> {
    let Some(id) = production_target(graph, inventory) else {
        return Ok(());
    };
    let targets = cloud.targets(&id).await;
    let targets = targets.map_err(|error| Error::Unreadable(vec![error]))?;
    inventory.targets.insert(id, targets);
    Ok(())
}

/// Lists everything of several apps in one look, in which what they share is asked for once; answers in the order of `scopes`.
pub async fn observe_all(cloud: &dyn Cloud, scopes: &[Scope]) -> Vec<Result<Inventory, Error>> {
    let look = cloud.look(scopes);
    stream::iter(scopes)
        .map(|scope| list(look.as_ref(), scope, &Kind::ALL))
        .buffered(CONCURRENT_APPS)
        .collect()
        .await
}

async fn list(look: &dyn Listing, scope: &Scope, kinds: &[Kind]) -> Result<Inventory, Error> {
    let listings: Vec<Result<Vec<Have>, CloudError>> = stream::iter(kinds.iter().copied())
        .map(|kind| look.list(kind, scope))
        .buffered(CONCURRENT_LISTINGS)
        .collect()
        .await;
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for listing in listings {
        match listing {
            Ok(haves) => found.extend(haves),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Inventory::new(found, scope))
    } else {
        Err(Error::Unreadable(errors))
    }
}

impl Inventory {
    /// Sorts what was found into what is the app's, what is so twice, and what only has a name that the app wants.
    pub fn new(found: Vec<Have>, scope: &Scope) -> Self {
        let mut inventory = Self::default();
        let (owned, others): (Vec<Have>, Vec<Have>) =
            found.into_iter().partition(|have| have.key.is_some());
        for have in owned_in_order_of_use(owned) {
            match &have.key {
                Some(key) if !inventory.owned.contains_key(key) => {
                    inventory.owned.insert(key.clone(), have);
                }
                _ => inventory.duplicates.push(have),
            }
        }
        for have in others {
            let wanted = scope
                .wanted_of(have.resource.kind())
                .find(|(_, name)| have.resource.name() == Some(*name));
            // A name that belongs to a resource of ours isn't taken by another one: AWS keeps names apart by something else too.
            if let Some((key, _)) = wanted.filter(|(key, _)| !inventory.owned.contains_key(key)) {
                inventory.foreign.insert(key.clone(), have);
            }
        }
        inventory
    }

    /// Ids and attributes of what is the app's: what [`crate::outputs()`] reads.
    pub fn known(&self) -> BTreeMap<Key, Made> {
        let made = |have: &Have| Made {
            id: have.id.clone(),
            attributes: have.attributes.clone(),
        };
        self.owned
            .iter()
            .map(|(key, have)| (key.clone(), made(have)))
            .collect()
    }
}

/// What others refer to first, so that of two resources with the same key the one in use stays; then by id.
fn owned_in_order_of_use(mut owned: Vec<Have>) -> Vec<Have> {
    let mut keys = BTreeSet::new();
    if owned
        .iter()
        .filter_map(|have| have.key.as_ref())
        .all(|key| keys.insert(key))
    {
        return owned;
    }
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for have in &owned {
        each_text(&have.resource.properties(), &mut |text| {
            *uses.entry(text.to_owned()).or_default() += 1
        });
    }
    let uses_of = |have: &Have| uses.get(&have.id).copied().unwrap_or_default();
    owned.sort_by(|left, right| {
        uses_of(right)
            .cmp(&uses_of(left))
            .then_with(|| left.id.cmp(&right.id))
    });
    owned
}
