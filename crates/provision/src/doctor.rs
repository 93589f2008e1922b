//! Whether an app can be made, found out before anything is: who calls, whether the region is open, what the caller may do,
//! whether the quotas leave room for what the plan creates. Each check says OK, NOT OK or SKIPPED with its reason and the next step.
//! Asks through [`Survey`] and changes nothing. Must not print, and must not name an SDK type.

mod image;
mod permission;
pub mod quota;

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_spec::{Facts, Spec, Zones};
use futures::future::BoxFuture;
use futures::{FutureExt as _, join};
use serde::Serialize;

use crate::Error;
use crate::cloud::{Cloud, CloudError, CloudErrorKind, Detail, Scope};
use crate::desired::{Inputs, desired, scope};
use crate::existing::{self, Depth, Existing, Lookup};
use crate::inventory::observe;
use crate::permissions::{Duty, Statement};
use crate::plan::{Options, Plan, plan};
use quota::Quota;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is in the way.
    Ok,
    /// It would fail: see the next step.
    NotOk,
    /// It could not be found out, or doesn't matter here.
    Skipped,
}

/// What is wrong with a check that is not OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Credentials, region or permission.
    Access,
    /// The account as it is: a quota, a name that is taken, an image that isn't there.
    Account,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub check: String,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub what: String,
    /// More, line by line.
    pub details: Vec<String>,
    /// What to do about it, or to do better next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What sort of trouble it is, where it isn't OK.
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

impl Check {
    fn new(check: &str, state: State, what: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            state,
            what: what.into(),
            details: Vec::new(),
            next: None,
            trouble: None,
        }
    }

    /// Nothing is in the way.
    pub fn ok(check: &str, what: impl Into<String>) -> Self {
        Self::new(check, State::Ok, what)
    }

    /// Something is.
    pub fn not_ok(check: &str, trouble: Trouble, what: impl Into<String>) -> Self {
        Self {
            trouble: Some(trouble),
            ..Self::new(check, State::NotOk, what)
        }
    }

    /// It could not be found out.
    pub fn skipped(check: &str, what: impl Into<String>) -> Self {
        Self::new(check, State::Skipped, what)
    }

    /// Skipped because a call failed.
    fn unknown(check: &str, error: &CloudError) -> Self {
        let check = Self::skipped(check, error.to_string());
        match &error.hint {
            _ if error.kind == CloudErrorKind::Access => {
                check.next("allow what `ecspipe policy doctor` prints")
            }
            Some(hint) => check.next(hint.clone()),
            None => check,
        }
    }

    /// The same with a next step.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

/// Who calls, as STS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The caller's ARN.
    pub arn: String,
    /// The account's twelve digits.
    pub account: String,
    /// The partition.
    pub partition: String,
    /// How far our clock is ahead of AWS's, in seconds; `None` where the answer had no date.
    pub ahead: Option<i64>,
}

/// A region as EC2 tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// The account can use it.
    Open,
    /// The account has to opt in first.
    Closed,
    /// There is no such region in this partition.
    Unknown,
}

/// What IAM says of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The action.
    pub action: String,
    /// Whether some policy denies it outright; else it is just not allowed.
    pub denied: bool,
}

/// What a repository holds under a tag or digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// It is there.
    There,
    /// The repository is, the image isn't.
    Missing,
    /// There is no such repository.
    NoRepository,
}

/// The future of an answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, CloudError>>;

/// What is asked of an account. Each is one question; none changes anything.
pub trait Survey: Cloud + Lookup {
    /// Who calls, and how the clocks differ.
    fn identity(&self) -> Answer<'_, Identity>;

    /// Whether the account can use its region.
    fn region(&self) -> Answer<'_, Region>;

    /// The region's availability zones that are open to the account, sorted.
    fn zones(&self) -> Answer<'_, Vec<String>>;

    /// Which actions of `statement` the caller may not do on its resources, under its condition. `principal` is a user's or a
    /// role's ARN as `principal` gives it.
    fn simulate<'a>(
        &'a self,
        principal: &'a str,
        statement: &'a Statement,
    ) -> Answer<'a, Vec<Verdict>>;

    /// The ARN of a role with its path; `None` where there is no such role.
    fn role<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>>;

    /// How much the account may hold.
    fn quota(&self, quota: Quota) -> Answer<'_, f64>;

    /// How much it holds already: by availability zone for a quota of zones, else under the empty name.
    fn used(&self, quota: Quota) -> Answer<'_, BTreeMap<String, f64>>;

    /// What the account's own image repository holds in its region.
    fn image<'a>(&'a self, repository: &'a str, reference: &'a str) -> Answer<'a, Image>;
}

/// Seconds that AWS lets a signature's clock differ.
const SKEW: i64 = 300;
/// Seconds from which a clock is worth a word.
const DRIFT: i64 = 60;

/// What was found out about the way to the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Credentials, clock and region.
    pub checks: Vec<Check>,
    /// Who calls, where nothing stands in the way of asking more.
    pub identity: Option<Identity>,
}

/// Looks at credentials, clock and region. `name` is the region's.
pub async fn access(survey: &dyn Survey, spec: &Spec, name: &str) -> Access {
    let identity = match survey.identity().await {
        Ok(identity) => identity,
        Err(error) => {
            return Access {
                checks: unreached(&error, name),
                identity: None,
            };
        }
    };
    let region = region(survey.region().await, name);
    let right = match &spec.account {
        Some(wanted) if *wanted != identity.account => Check::not_ok(
            "credentials",
            Trouble::Access,
            format!(
                "{} is of account {}, the spec is for account {wanted}",
                identity.arn, identity.account
            ),
        )
        .next("choose the right login with `--profile`, or correct `account:` in the spec"),
        _ => Check::ok(
            "credentials",
            format!("{} in account {}", identity.arn, identity.account),
        ),
    };
    let checks = vec![right, clock(identity.ahead), region];
    let open = checks.iter().all(|check| check.state != State::NotOk);
    Access {
        identity: open.then_some(identity),
        checks,
    }
}

fn unreached(error: &CloudError, name: &str) -> Vec<Check> {
    let mut check = Check::not_ok("credentials", Trouble::Access, error.to_string());
    check.next = error.hint.clone();
    if error.kind == CloudErrorKind::Other {
        check.next = Some(format!(
            "check the network, and that there is a region {name}"
        ));
    }
    let needs = "needs credentials";
    vec![
        check,
        Check::skipped("clock", needs),
        Check::skipped("region", needs),
    ]
}

fn clock(ahead: Option<i64>) -> Check {
    let Some(ahead) = ahead else {
        return Check::skipped("clock", "the answer carried no date");
    };
    let words = |seconds: i64| {
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        format!("this machine's clock is {seconds} s {way} AWS's")
    };
    match ahead.abs() {
        seconds if seconds >= SKEW => Check::not_ok("clock", Trouble::Access, words(seconds)).next(
            format!("set the clock: AWS refuses what is signed {SKEW} s early or late"),
        ),
        seconds if seconds >= DRIFT => Check::ok("clock", words(seconds)),
        _ => Check::ok("clock", "agrees with AWS's"),
    }
}

fn region(answer: Result<Region, CloudError>, name: &str) -> Check {
    match answer {
        Ok(Region::Open) => Check::ok("region", format!("{name} is open to the account")),
        Ok(Region::Closed) => Check::not_ok(
            "region",
            Trouble::Access,
            format!("{name} is not enabled for the account"),
        )
        .next("enable it in the console under Account, AWS Regions (it takes some minutes)"),
        Ok(Region::Unknown) => Check::not_ok(
            "region",
            Trouble::Access,
            format!("there is no region {name}"),
        )
        .next("correct `region:` in the spec, or `--region`"),
        Err(error) => Check::unknown("region", &error),
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The app.
    pub spec: &'a Spec,
    /// Where; no zones are needed.
    pub facts: &'a Facts,
    /// The rendered buildspec.
    pub buildspec: &'a str,
    /// Whose permissions count.
    pub duties: &'a BTreeSet<Duty>,
}

/// Looks at the account: what the app uses of it, permissions, roles, image, plan and quotas, in that order.
pub async fn account(
    survey: &dyn Survey,
    subject: &Subject<'_>,
    identity: &Identity,
) -> Vec<Check> {
    let Subject {
        spec,
        facts,
        buildspec,
        duties,
    } = *subject;
    let (uses, existing) = uses(survey, spec, facts).await;
    let inputs = &Inputs {
        spec,
        facts,
        buildspec,
        existing: &existing,
    };
    let (permission, linked, image, planned) = join!(
        permission::check(survey, inputs, identity, duties),
        permission::linked_roles(survey, inputs, identity),
        image::check(survey, inputs),
        planned(survey, inputs).boxed(),
    );
    let mut checks: Vec<Check> = uses.into_iter().collect();
    checks.extend([permission, linked, image]);
    match planned {
        Ok(plan) => {
            checks.push(refusals(&plan));
            checks.extend(quota::checks(survey, inputs.spec, &plan).await);
        }
        Err(check) => {
            checks.push(check);
            checks.push(Check::skipped(
                "quotas",
                "what would be made is not known without a plan",
            ));
        }
    }
    checks
}

/// What the app uses and ecspipe doesn't make; no check where that is nothing.
async fn uses(survey: &dyn Survey, spec: &Spec, facts: &Facts) -> (Option<Check>, Existing) {
    const CHECK: &str = "existing";
    if Existing::default().missing(spec).is_empty() {
        return (None, Existing::default());
    }
    let found = match survey.look_up(spec, facts, Depth::Everything).await {
        Ok(found) => found,
        Err(error) => return (Some(Check::unknown(CHECK, &error)), Existing::default()),
    };
    let mut problems = found.problems;
    if problems.is_empty() {
        problems = existing::check(spec, facts, &found.existing).problems;
    }
    if problems.is_empty() {
        let check = Check::ok(CHECK, "what the spec refers to is there and fits");
        return (Some(check), found.existing);
    }
    let details = problems
        .iter()
        .flat_map(|problem| [problem.to_string(), format!("  next: {}", problem.hint)]);
    let check = Check::not_ok(
        CHECK,
        Trouble::Account,
        "what the spec refers to doesn't fit",
    )
    .details(details.collect::<Vec<_>>());
    (Some(check), found.existing)
}

/// What `up` would do.
async fn planned(survey: &dyn Survey, inputs: &Inputs<'_>) -> Result<Plan, Check> {
    let mut facts: Facts = inputs.facts.clone();
    let counted = matches!(inputs.spec.network.zones, Zones::Count(_));
    if counted && inputs.spec.network.is_own() && facts.zones.is_empty() {
        facts.zones = survey
            .zones()
            .await
            .map_err(|error| Check::unknown("plan", &error))?;
    }
    let inputs = Inputs {
        facts: &facts,
        ..*inputs
    };
    let graph = desired(&inputs).map_err(impossible)?;
    let scope = Scope {
        detail: Detail::Properties,
        ..scope(&inputs, &graph)
    };
    let inventory = observe(survey, &scope).await.map_err(unreadable)?;
    // Whether a rollout is in flight matters for the moment only, and `up` says it.
    Ok(plan(&graph, &inventory, &Options::default()))
}

fn impossible(error: Error) -> Check {
    let next = match &error {
        Error::Impossible { hint, .. } => Some(hint.clone()),
        _ => None,
    };
    Check {
        next,
        ..Check::not_ok("plan", Trouble::Account, error.to_string())
    }
}

fn unreadable(error: Error) -> Check {
    match &error {
        Error::Unreadable(errors) => match errors.first() {
            Some(first) => Check::unknown("plan", first),
            None => Check::skipped("plan", error.to_string()),
        },
        _ => Check::skipped("plan", error.to_string()),
    }
}

fn refusals(plan: &Plan) -> Check {
    if plan.refusals.is_empty() {
        let summary = plan.summary();
        let changed = summary.update + summary.replace;
        return Check::ok(
            "plan",
            format!(
                "{} to create, {changed} to change, {} to delete",
                summary.create, summary.delete
            ),
        );
    }
    let details = plan
        .refusals
        .iter()
        .flat_map(|refusal| [refusal.to_string(), format!("  next: {}", refusal.hint)]);
    Check::not_ok(
        "plan",
        Trouble::Account,
        match plan.refusals.len() {
            1 => "`up` would refuse: 1 thing can't be done".to_owned(),
            several => format!("`up` would refuse: {several} things can't be done"),
        },
    )
    .details(details)
    .next("`ecspipe plan` shows the whole of it")
}
