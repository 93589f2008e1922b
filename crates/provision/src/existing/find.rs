//! Which of several candidates a reference means: exactly one, or a problem that names them. Must not ask anybody.

use std::collections::BTreeMap;

use ecspipe_spec::Reference;

use super::Problem;

/// How many candidates are named, where more than one answers.
const NAMED: usize = 5;

/// Something that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// How people know it: its id, ARN or name.
    pub name: String,
    /// The thing.
    pub thing: T,
}

impl<T> Candidate<T> {
    /// `thing`, known by `name`.
    pub fn new(name: impl Into<String>, thing: T) -> Self {
        Self {
            name: name.into(),
            thing,
        }
    }
}

/// The only one of `candidates`, all of which answer to the reference at `path`; `what` is as in `no VPC`. `others` are those
/// that exist and don't answer, for the hint.
pub fn only<T>(
    path: &str,
    what: &str,
    reference: &Reference,
    mut candidates: Vec<Candidate<T>>,
    others: &[String],
) -> Result<T, Problem> {
    match candidates.len() {
        1 => Ok(candidates.remove(0).thing),
        0 => {
            let hint = if others.is_empty() {
                format!("check the region and the account, or leave `{path}` out")
            } else {
                format!("there is {}", listed(others))
            };
            let message = format!("no {what} {}", said(reference));
            Err(Problem::new(path, message, hint))
        }
        _ => {
            let names: Vec<String> = candidates.into_iter().map(|found| found.name).collect();
            let message = format!(
                "more than one {what} {}: {}",
                said(reference),
                listed(&names)
            );
            Err(Problem::new(path, message, "name one of them by its id"))
        }
    }
}

/// The reference as the end of `no VPC …`.
fn said(reference: &Reference) -> String {
    match reference {
        Reference::Id(id) => format!("is {id}"),
        Reference::Name(name) => format!("is called `{name}`"),
        Reference::Tags(tags) => format!("carries {}", pairs(tags)),
    }
}

/// Tags as in a sentence: `team=platform, tier=public`.
pub(super) fn pairs(tags: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(", ")
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn found(names: &[&str]) -> Vec<Candidate<()>> {
        names.iter().map(|name| Candidate::new(*name, ())).collect()
    }

    #[track_caller]
    fn check(reference: &Reference, names: &[&str], others: &[&str], want: [&str; 2]) {
        let others: Vec<String> = others.iter().map(ToString::to_string).collect();
        let problem = only(
            "network.existing.vpc",
            "VPC",
            reference,
            found(names),
            &others,
        )
        .unwrap_err();
        assert_eq!([problem.message.as_str(), problem.hint.as_str()], want);
    }

    #[test]
    fn one_is_taken() {
        let reference = Reference::Name("shared".to_owned());
        assert_eq!(only("a", "VPC", &reference, found(&["x"]), &[]), Ok(()));
    }

    #[test]
    fn none_and_many_are_problems_that_name_what_there_is() {
        let name = Reference::Name("shared".to_owned());
        let id = Reference::Id("vpc-1".to_owned());
        let tags = BTreeMap::from([
            ("team".to_owned(), "web".to_owned()),
            ("tier".to_owned(), "1".to_owned()),
        ]);
        let tags = Reference::Tags(tags);
        let leave = "check the region and the account, or leave `network.existing.vpc` out";
        check(&name, &[], &[], ["no VPC is called `shared`", leave]);
        check(&id, &[], &[], ["no VPC is vpc-1", leave]);
        check(
            &tags,
            &[],
            &["vpc-1 (main)"],
            ["no VPC carries team=web, tier=1", "there is vpc-1 (main)"],
        );
        check(
            &tags,
            &["a", "b", "c", "d", "e", "f", "g"],
            &[],
            [
                "more than one VPC carries team=web, tier=1: a, b, c, d, e and 2 more",
                "name one of them by its id",
            ],
        );
    }
}
