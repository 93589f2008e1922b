//! What `ecspipe plan --format json` prints: a contract, whose JSON Schema ([`schema`]) is published with it. Fields may be added;
//! what is there keeps its name and its meaning, or [`VERSION`] grows. Must not decide or compare.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::plan::{Danger, Delegated, Drift, LeftOut, Plan, Summary};
use crate::resource::Area;

/// The version of the format.
pub const VERSION: u32 = 1;

/// All that one run prints.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "ecspipe plan")]
#[serde(untagged)]
pub enum Document<'a> {
    /// For one spec.
    One(One<'a>),
    /// For several specs, or a pattern.
    Many(Many<'a>),
}

/// What is said about one spec.
#[derive(Debug, Serialize, JsonSchema)]
pub struct One<'a> {
    /// The version of the format.
    pub version: u32,
    /// What was found out.
    #[serde(flatten)]
    pub answer: Answer<'a>,
}

/// What is said about several specs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Many<'a> {
    /// The version of the format.
    pub version: u32,
    /// About each spec, in the order of the files.
    pub plans: Vec<Entry<'a>>,
    /// How much all plans do.
    pub summary: Summary,
    /// How many specs have no plan.
    pub failed: usize,
}

/// One spec of several.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry<'a> {
    /// Its file.
    pub file: &'a Path,
    /// What was found out.
    #[serde(flatten)]
    pub answer: Answer<'a>,
}

/// What was found out about one app.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer<'a> {
    /// What has to be done.
    Plan {
        /// How much that is.
        summary: Summary,
        /// What it is.
        plan: &'a Plan,
        /// The area that it is about (`--area`); missing for all.
        #[serde(skip_serializing_if = "Option::is_none")]
        area: Option<Area>,
        /// How much is about other areas.
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<LeftOut>,
    },
    /// What was changed by hand (`--refresh-only`).
    Refresh {
        /// What that is.
        refresh: Refresh<'a>,
        /// The area that it is about (`--area`); missing for all.
        #[serde(skip_serializing_if = "Option::is_none")]
        area: Option<Area>,
        /// How much is about other areas.
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<LeftOut>,
    },
    /// Nothing, of several: the other specs have their plans all the same.
    Error {
        /// Why.
        error: Trouble<'a>,
    },
}

/// What is there against what was applied, whatever the spec says now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refresh<'a> {
    /// The app.
    pub app: &'a str,
    /// What somebody should look at before anything else, the gravest first.
    pub dangers: &'a [Danger],
    /// What was changed by hand.
    pub drift: &'a [Drift],
    /// What rollouts have moved.
    pub delegated: &'a [Delegated],
}

/// Why there is no plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trouble<'a> {
    /// What is wrong, in one line.
    pub message: &'a str,
    /// More, line by line.
    pub details: &'a [String],
    /// The next step.
    pub hint: Option<&'a str>,
    /// The code that a plan for this spec alone would exit with.
    pub exit: u8,
}

impl<'a> Answer<'a> {
    /// A plan, whole.
    pub fn plan(plan: &'a Plan) -> Self {
        Self::Plan {
            summary: plan.summary(),
            plan,
            area: None,
            left_out: None,
        }
    }

    /// The same without what the spec changes.
    #[must_use]
    pub fn refresh_only(self) -> Self {
        match self {
            Self::Plan {
                plan,
                area,
                left_out,
                ..
            } => Self::Refresh {
                refresh: Refresh {
                    app: plan.app.as_str(),
                    dangers: &plan.dangers,
                    drift: &plan.drift,
                    delegated: &plan.delegated,
                },
                area,
                left_out,
            },
            other => other,
        }
    }
}

/// The JSON Schema (draft 2020-12) of a [`Document`].
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Document<'_>>().to_value()
}
