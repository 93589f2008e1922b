//! What has to be done so that the account holds what is wanted: the difference between a graph and an inventory, as steps
//! with their order and their reasons. So detailed that carrying it out decides nothing. Must not do I/O.

mod danger;
mod diff;
mod hold;
mod origin;
mod part;
mod planner;
mod replace;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ecspipe_spec::AppName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::danger::{Danger, DangerKind, Remedy, production_target};
pub use self::diff::diff;
pub use self::hold::{HeldBack, Hold};
pub use self::part::{LeftOut, Part};
use self::planner::Planner;
pub(crate) use self::planner::{goes_before, needs};
pub(crate) use self::replace::refusal;
pub(crate) use self::settle::delegated;
pub use self::settle::settle;
use crate::cloud::{Have, Made, Tags};
use crate::graph::Graph;
use crate::inventory::Inventory;
use crate::resource::{Key, Resource};

/// What to plan for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Make the account as wanted, or take everything away.
    pub mode: Mode,
    /// Whether CodeDeploy has a deployment in flight: until it ends, listeners, target groups, service and deployment
    /// group belong to it (AWS.md §4.1). What has to be done with them is held back, and so is what depends on that.
    pub rollout_in_flight: bool,
    /// Whether the source repository goes too, with its history.
    pub delete_source: bool,
}

/// Make the account as wanted, or take everything away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Make the account as wanted.
    #[default]
    Up,
    /// Take everything away; the graph doesn't matter.
    Down,
}

/// What has to be done, and what else there is to know about what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Plan {
    /// The app.
    #[schemars(with = "String")]
    pub app: AppName,
    /// What somebody should look at before anything else, the gravest first.
    pub dangers: Vec<Danger>,
    /// What is done. A step depends on earlier ones only. Empty when there are refusals: then nothing is done.
    pub steps: Vec<Step>,
    /// What would have to be done and can't be now. The steps are done without it; the command is run again later.
    pub held_back: Vec<HeldBack>,
    /// What can't be done, all of it at once.
    pub refusals: Vec<Refusal>,
    /// What somebody changed by hand since it was applied, whatever becomes of it: a step, something held back, or a refusal.
    pub drift: Vec<Drift>,
    /// What only the next deployment brings about, or the `up` after it.
    pub deferred: Vec<Deferred>,
    /// What rollouts have moved, and nobody puts back: the fields that are there otherwise than `up` has made them.
    pub delegated: Vec<Delegated>,
    /// What is as wanted.
    pub unchanged: Vec<Key>,
    /// What a user should know besides.
    pub notes: Vec<String>,
    /// Ids and attributes of what exists and stays.
    #[serde(skip)]
    pub known: BTreeMap<Key, Made>,
    /// What was planned for, which [`crate::check()`] needs.
    #[serde(skip)]
    pub options: Options,
}

/// One thing to do with one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Its place in [`Plan::steps`].
    pub id: usize,
    /// The resource.
    pub key: Key,
    /// What is done with it.
    #[serde(flatten)]
    pub action: Action,
    /// The steps that must be done before.
    pub after: BTreeSet<usize>,
}

/// What is done with a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create {
        /// Its properties; tokens stand for what other steps make.
        #[serde(skip)]
        want: Resource,
        /// Its tags.
        #[serde(skip)]
        tags: Tags,
        /// Why it is missing: the spec is the first to want it, or somebody has deleted it. What can't be told counts as
        /// the spec's.
        origin: Origin,
    },
    /// It is changed in place.
    Update {
        /// What is there.
        #[serde(skip)]
        have: Have,
        /// Its properties to be; tokens stand for what other steps make.
        #[serde(skip)]
        want: Resource,
        /// Its tags to be.
        #[serde(skip)]
        tags: Tags,
        /// The fields that differ.
        changes: Vec<Change>,
    },
    /// It is deleted and made again, since a field differs that can't be changed.
    Replace {
        /// What is there.
        #[serde(skip)]
        have: Have,
        /// Its properties to be; tokens stand for what other steps make.
        #[serde(skip)]
        want: Resource,
        /// Its tags to be.
        #[serde(skip)]
        tags: Tags,
        /// The fields that differ.
        changes: Vec<Change>,
    },
    /// It is deleted.
    Delete {
        /// What is there.
        #[serde(skip)]
        have: Have,
    },
}

/// What is done with a resource, without the details.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is deleted.
    Delete,
}

impl Action {
    /// What is done, without the details.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Create { .. } => ActionKind::Create,
            Self::Update { .. } => ActionKind::Update,
            Self::Replace { .. } => ActionKind::Replace,
            Self::Delete { .. } => ActionKind::Delete,
        }
    }

    /// The properties to be, unless it is deleted.
    pub fn want(&self) -> Option<&Resource> {
        match self {
            Self::Create { want, .. } | Self::Update { want, .. } | Self::Replace { want, .. } => {
                Some(want)
            }
            Self::Delete { .. } => None,
        }
    }

    /// What is there, unless it is made.
    pub fn have(&self) -> Option<&Have> {
        match self {
            Self::Update { have, .. } | Self::Replace { have, .. } | Self::Delete { have } => {
                Some(have)
            }
            Self::Create { .. } => None,
        }
    }

    /// The fields that differ.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Update { changes, .. } | Self::Replace { changes, .. } => changes,
            Self::Create { .. } | Self::Delete { .. } => &[],
        }
    }
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The path of the field within the properties, such as `health_check.path`, `stages[2].actions[0].version` or `tags.team`.
    pub field: String,
    /// What is there; `None` where the field is missing.
    pub have: Option<Value>,
    /// What is wanted; `None` where the field is to go. A token such as `${subnet/public-eu-central-1a}` stands for an id that
    /// only the run will know.
    pub want: Option<Value>,
    /// Where the difference comes from.
    pub origin: Origin,
}

/// Where a difference comes from, as far as it can be told: see [`crate::applied`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The spec: something else is wanted than was last applied. So is everything of a resource that doesn't say what was applied.
    Spec,
    /// Somebody's hand: what is wanted was applied before, and is no longer there. What an interrupted run has left
    /// undone looks the same.
    Drift,
    /// Another step: it refers to something that this plan makes, or makes again.
    Follows,
    /// Nothing that does anything: the record of what was applied is brought up to date.
    Record,
}

impl Change {
    /// The first part of the path: the property that an adapter has to set.
    pub fn property(&self) -> &str {
        self.field.split(['.', '[']).next().unwrap_or_default()
    }
}

/// Something that the spec asks for and that has to wait for the next deployment: a task definition is never changed behind
/// CodeDeploy's back, and what running tasks stand in goes only when they have moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Deferred {
    /// The resource.
    pub key: Key,
    /// What will be done with it: an update, or its deletion.
    pub action: ActionKind,
    /// Who does it.
    pub by: DeferredTo,
    /// The fields that differ.
    pub changes: Vec<Change>,
}

/// Who brings about what was deferred.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeferredTo {
    /// The next deployment carries it.
    Deployment,
    /// The first `up` after the next deployment: until then running tasks need it as it is.
    NextUp,
}

/// A resource that somebody changed by hand, or deleted. A field that the spec changes too is the spec's: what was there before it
/// can't be told from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drift {
    /// The resource.
    pub key: Key,
    /// Whether it is gone altogether.
    pub gone: bool,
    /// The fields that were changed; none where it is gone.
    pub changes: Vec<Change>,
}

/// A field that a rollout has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delegated {
    /// The resource.
    pub key: Key,
    /// The path of the field: see [`Change::field`].
    pub field: String,
    /// What is there; `None` where the field is missing.
    pub have: Option<Value>,
}

/// Why something can't be done, and what can be done instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refusal {
    /// The resource.
    pub key: Key,
    /// Why.
    pub reason: RefusalReason,
    /// Why, in a sentence.
    pub message: String,
    /// The next step.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Why something can't be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RefusalReason {
    /// Somebody else's resource has the name.
    NameTaken {
        /// Its physical id.
        id: String,
    },
    /// A field differs that can't be changed, and replacing the resource isn't safe or isn't cheap.
    Unchangeable {
        /// The fields.
        changes: Vec<Change>,
    },
    /// A deployment is in flight, and everything is to go: the resource belongs to it until its end.
    RolloutInFlight,
    /// It is to go, but something that stays still uses it.
    StillUsed {
        /// What uses it.
        by: Key,
    },
    /// Another resource that exists stands in the way.
    InTheWay {
        /// Which.
        of: Key,
    },
}

/// How much a plan does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Resources to make.
    pub create: usize,
    /// Resources to change in place.
    pub update: usize,
    /// Resources to delete and make again.
    pub replace: usize,
    /// Resources to delete.
    pub delete: usize,
    /// Resources that are as wanted.
    pub unchanged: usize,
    /// Steps that have to wait.
    pub held_back: usize,
}

impl Plan {
    /// Whether nothing has to be done, nothing is refused and nothing held back.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty() && self.held_back.is_empty()
    }

    /// How much it does.
    pub fn summary(&self) -> Summary {
        let count = |kind| {
            self.steps
                .iter()
                .filter(|step| step.action.kind() == kind)
                .count()
        };
        Summary {
            create: count(ActionKind::Create),
            update: count(ActionKind::Update),
            replace: count(ActionKind::Replace),
            delete: count(ActionKind::Delete),
            unchanged: self.unchanged.len(),
            held_back: self.held_back.len(),
        }
    }
}

/// What has to be done so that what exists becomes what is wanted.
pub fn plan(graph: &Graph, inventory: &Inventory, options: &Options) -> Plan {
    let mut planner = Planner::new(graph, inventory, *options);
    if options.mode == Mode::Up {
        for node in graph.nodes() {
            planner.want(node);
        }
        planner.close();
        planner.refuse_ports();
    }
    planner.delete_the_rest();
    if options.mode == Mode::Down {
        planner.refuse_rollout();
    }
    planner.finish()
}
