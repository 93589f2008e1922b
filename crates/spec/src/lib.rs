//! The spec of an app: text in, a validated [`Spec`] or every [`Problem`] at once out.
//!
//! Must not do I/O, read a clock or the environment, or know anything of AWS beyond names, limits and formats.

pub mod budget;
mod existing;
pub mod facts;
mod image;
pub mod model;
pub mod names;
pub mod problem;
mod raw;
mod read;
mod rules;
pub mod taskdef;
mod tree;
pub mod types;
mod validate;

pub use budget::Budget;
pub use existing::{ExistingNames, ExistingNetwork, Given, Reference, Subnets};
pub use facts::Facts;
pub use image::ImageAddress;
pub use model::*;
pub use names::Names;
pub use problem::{Problem, ProblemKind};
pub use types::*;

/// The spec that `text` (YAML, the file's whole content) describes, with every default filled in.
///
/// The error holds every problem that could be found, in the order of the file; it is never empty. A file that isn't
/// YAML at all has one problem, since nothing behind it can be read. The text may be hostile: size, depth and number of
/// values are limited, and anchors are refused.
///
/// ```
/// let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 8080 }\n").unwrap();
/// assert_eq!(spec.load_balancer.production.port, 80);
///
/// let problems = ecspipe_spec::parse("version: 1\napp: web\nservice: { prot: 8080 }\n").unwrap_err();
/// assert_eq!(problems[1].to_string(), "3:12: service.prot: `prot` is not a key here (did you mean `port`?)");
/// ```
pub fn parse(text: &str) -> Result<Spec, Vec<Problem>> {
    let mut problems = problem::Problems::default();
    let spec = tree::parse(text, &mut problems)
        .map(|root| read::read(&root, text, &mut problems))
        .map(|raw| validate::validate(raw, &mut problems));
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems.into_sorted()),
    }
}

/// The JSON Schema (draft 2020-12) of the file that [`parse`] reads. It describes the shape; rules that look at more than
/// one value, such as subnets that must not overlap, are beyond it.
pub fn schema() -> serde_json::Value {
    raw::schema()
}

/// Whether `text` is an image that a task definition may name, by tag or by digest; the error says what is wrong with it.
/// The same rule as for `service.image`, for an image that comes from elsewhere.
pub fn check_image(text: &str) -> Result<(), String> {
    rules::image(text)
}

/// Whether `text` is written as a region is, such as `eu-central-1`. The same rule as for `region`, for a region that comes
/// from elsewhere.
pub fn is_region(text: &str) -> bool {
    rules::is_region(text)
}

/// A legal app name near `text`, such as a folder's name; `None` where too little of it could stay.
pub fn app_name_like(text: &str) -> Option<AppName> {
    rules::app_name_like(text).and_then(|name| AppName::new(name).ok())
}
