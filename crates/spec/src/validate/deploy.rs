//! Rules for how a new version replaces the old one. Sources of the limits: AWS.md §1.1, §4.1, §4.2. Must not read YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Rules;
use super::existing::Home;
use crate::problem::At;
use crate::raw::{self, Field};
use crate::{
    Alarm, Approve, Budget, Check, Condition, Deploy, Engine, FailFast, Function, HookEvent,
    Millis, Percent, Percentile, RollbackOn, Span, Strategy, rules, tree,
};

/// How a new version replaces the old one.
impl Rules<'_> {
    /// `at` is the section's own place.
    pub(super) fn deploy(&mut self, raw: raw::Deploy, at: At, home: &Home<'_>) -> Deploy {
        let strategy = raw
            .strategy
            .map_or(Strategy::AllAtOnce, |field| self.strategy(field));
        let approve = raw.approve.map(|field| Approve {
            within: self.minutes(
                field.value.within.as_ref(),
                1..=7200,
                Span::from_minutes(60),
            ),
        });
        let keep_old = self.minutes(raw.keep_old.as_ref(), 0..=2800, Span::from_minutes(5));
        let watched = Watched {
            approve: approve.map_or(0, |approve| approve.within.seconds()),
            shift: strategy.takes().seconds(),
            keep_old: keep_old.seconds(),
        };
        let alarms = self.alarms(raw.alarms.as_ref(), &watched);
        let deploy = Deploy {
            engine: raw.engine.map_or(Engine::Codedeploy, |field| field.value),
            strategy,
            approve,
            keep_old,
            rollback_on: self.rollback_on(raw.rollback_on.as_ref(), !alarms.is_empty()),
            alarms,
            hooks: self.hooks(raw.hooks.as_ref(), home),
            checks: self.checks(raw.checks.as_ref(), approve.as_ref()),
            fail_fast: self.fail_fast(raw.fail_fast.as_ref()),
        };
        if let Some(overrun) = Budget::new(&deploy).overrun() {
            self.problems
                .rule("deploy", at, overrun.message, Some(overrun.hint));
        }
        deploy
    }

    fn strategy(&mut self, field: Field<raw::Strategy>) -> Strategy {
        match field.value {
            raw::Strategy::AllAtOnce => Strategy::AllAtOnce,
            raw::Strategy::Canary(Field { value, .. }) => Strategy::Canary {
                percent: self.percent(value.percent.as_ref()),
                wait: self.minutes(
                    value.wait.as_ref(),
                    1..=rules::SHIFT_MINUTES,
                    Span::from_minutes(5),
                ),
            },
            raw::Strategy::Linear(Field { value, .. }) => {
                let percent = self.percent(value.percent.as_ref());
                let every = self.minutes(
                    value.every.as_ref(),
                    1..=rules::SHIFT_MINUTES,
                    Span::from_minutes(1),
                );
                self.linear_total(value.every.as_ref(), percent, every);
                Strategy::Linear { percent, every }
            }
        }
    }

    fn percent(&mut self, field: Option<&Field<i64>>) -> u8 {
        u8::try_from(self.number(field, 1..=99, 10, "a part in percent")).unwrap_or(10)
    }

    /// From the first shift to the last: 2880 minutes at the most.
    fn linear_total(&mut self, field: Option<&Field<String>>, percent: u8, every: Span) {
        let shifts = 100_u64.div_ceil(u64::from(percent.max(1)));
        let total = Strategy::Linear { percent, every }.takes().seconds() / 60;
        if let Some(field) = field.filter(|_| total > rules::SHIFT_MINUTES) {
            let message =
                format!("{shifts} shifts of {percent} percent every {every} take {total} minutes");
            let hint = format!(
                "at most {} minutes from the first shift to the last",
                rules::SHIFT_MINUTES
            );
            self.broken(field, message, Some(hint));
        }
    }

    /// Left out it is everything that there is: with alarms an alarm too.
    fn rollback_on(
        &mut self,
        field: Option<&Field<Vec<Field<RollbackOn>>>>,
        alarms: bool,
    ) -> Vec<RollbackOn> {
        let Some(field) = field else {
            let mut all = vec![RollbackOn::Failure, RollbackOn::Stop];
            all.extend(alarms.then_some(RollbackOn::Alarm));
            return all;
        };
        let mut causes = BTreeSet::new();
        for item in &field.value {
            if !causes.insert(item.value) {
                self.broken(
                    item,
                    "the same cause is here twice",
                    Some("keep one of them".to_owned()),
                );
            }
            if item.value == RollbackOn::Alarm && !alarms {
                let hint = "name or declare one: `alarms: [{ http_5xx: { above: 1%, for: 2m } }]`";
                self.broken(
                    item,
                    "no alarm can roll back: `deploy.alarms` is empty",
                    Some(hint.to_owned()),
                );
            }
        }
        causes.into_iter().collect()
    }
}

/// For how many seconds new tasks are looked at before a deployment is over, at the most.
struct Watched {
    approve: u64,
    shift: u64,
    keep_old: u64,
}

/// What stops a deployment.
impl Rules<'_> {
    fn alarms(
        &mut self,
        field: Option<&Field<Vec<Field<raw::Alarm>>>>,
        watched: &Watched,
    ) -> Vec<Alarm> {
        let Some(field) = field else {
            return Vec::new();
        };
        let mut alarms = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for item in &field.value {
            let Some(alarm) = self.alarm(item) else {
                continue;
            };
            let what = match &alarm {
                Alarm::Existing(name) => format!("the alarm `{name}`"),
                Alarm::Declared(Condition::Latency { p, .. }) => format!("`latency` of {p}"),
                Alarm::Declared(Condition::Http5xx { .. }) => "`http_5xx`".to_owned(),
                Alarm::Declared(Condition::UnhealthyTargets { .. }) => {
                    "`unhealthy_targets`".to_owned()
                }
            };
            if let Some(line) = lines.get(&what) {
                let message = format!("{what} is here twice: line {line} has it already");
                self.broken(item, message, Some("keep one of them".to_owned()));
                continue;
            }
            lines.insert(what, item.at.line);
            if let Alarm::Declared(condition) = &alarm {
                self.in_time(item, condition, watched);
            }
            alarms.push(alarm);
        }
        let count: usize = alarms.iter().map(Alarm::count).sum();
        if count > Deploy::MOST_ALARMS {
            let message = format!(
                "{count} alarms, at most {} are allowed in a deployment group",
                Deploy::MOST_ALARMS
            );
            let hint =
                "a name counts once, a declared one twice: there is one for each target group";
            self.broken(field, message, Some(hint.to_owned()));
        }
        alarms
    }

    fn alarm(&mut self, item: &Field<raw::Alarm>) -> Option<Alarm> {
        match &item.value {
            raw::Alarm::Existing(name) => self
                .alarm_name(item, name)
                .then(|| Alarm::Existing(name.clone())),
            raw::Alarm::Declared(condition) => self.condition(condition).map(Alarm::Declared),
        }
    }

    /// CloudWatch takes nearly every name (AWS.md §2); a word of ours alone was meant to be a condition.
    fn alarm_name(&mut self, item: &Field<raw::Alarm>, name: &str) -> bool {
        let shown = tree::shorten(name);
        let condition = CONDITIONS.iter().find(|(word, _)| *word == name);
        let (message, hint) = if let Some((_, example)) = condition {
            (
                format!("`{name}` needs its parts"),
                format!("write `{example}`"),
            )
        } else if !(1..=255).contains(&name.chars().count())
            || name.chars().any(char::is_control)
            || name.trim() != name
        {
            (
                format!("`{shown}` is not the name of an alarm"),
                "1 to 255 characters, none of them a control character".to_owned(),
            )
        } else {
            return true;
        };
        self.broken(item, message, Some(hint));
        false
    }

    fn condition(&mut self, condition: &raw::Condition) -> Option<Condition> {
        match condition {
            raw::Condition::Http5xx(Field { value, .. }) => {
                let above = self.parsed(value.above.as_ref(), Percent::parse);
                let during = self.during(value.r#for.as_ref());
                if let Some(field) = value
                    .above
                    .as_ref()
                    .filter(|_| above.is_some_and(|above| above.hundredths() == 10_000))
                {
                    let hint = "99% is the most that can be exceeded";
                    self.broken(field, "no part is more than 100%", Some(hint.to_owned()));
                }
                Some(Condition::Http5xx {
                    above: above?,
                    during,
                })
            }
            raw::Condition::Latency(Field { value, .. }) => {
                let p = value.p.as_ref().and_then(|field| self.percentile(field));
                let above = self.parsed(value.above.as_ref(), Millis::parse);
                let during = self.during(value.r#for.as_ref());
                if let Some(field) = value
                    .above
                    .as_ref()
                    .filter(|_| above.is_some_and(|above| !LATENCY.contains(&above.milliseconds())))
                {
                    let hint = "from 1ms to 4000s, the longest that a load balancer waits";
                    self.broken(
                        field,
                        format!("{} is out of range", field.value),
                        Some(hint.to_owned()),
                    );
                }
                Some(Condition::Latency {
                    p: p?,
                    above: above?,
                    during,
                })
            }
            raw::Condition::UnhealthyTargets(Field { value, .. }) => {
                Some(Condition::UnhealthyTargets {
                    above: self.number(value.above.as_ref(), 0..=5000, 0, "a number of targets"),
                    during: self.during(value.r#for.as_ref()),
                })
            }
        }
    }

    /// An alarm that needs longer than there is can't stop anything.
    fn in_time(&mut self, item: &Field<raw::Alarm>, condition: &Condition, watched: &Watched) {
        let total = watched.approve + watched.shift + watched.keep_old;
        if condition.during().seconds() < total {
            return;
        }
        let message = format!(
            "what takes {} can't fire in time: a deployment is over {} after new tasks get their first request",
            condition.during(),
            Span::from_secs(total)
        );
        let hint = "shorten `for`, or raise `keep_old`";
        self.broken(item, message, Some(hint.to_owned()));
    }

    /// A load balancer's metrics come by the minute.
    fn during(&mut self, field: Option<&Field<String>>) -> Span {
        let Some(field) = field else {
            return Span::from_minutes(1);
        };
        let Some(span) = self.span(field) else {
            return Span::from_minutes(1);
        };
        let hint = match span.minutes() {
            Some(minutes) if ALARM_MINUTES.contains(&minutes) => return span,
            Some(_) => format!(
                "from {}m to {}m",
                ALARM_MINUTES.start(),
                ALARM_MINUTES.end()
            ),
            None => format!(
                "a load balancer counts by the minute: write `{}m`",
                span.seconds().div_ceil(60)
            ),
        };
        let message = match span.minutes() {
            Some(_) => format!("{} is out of range", field.value),
            None => format!("{} is not a whole number of minutes", field.value),
        };
        self.broken(field, message, Some(hint));
        Span::from_minutes(1)
    }

    fn percentile(&mut self, field: &Field<f64>) -> Option<Percentile> {
        let found = Percentile::from_number(field.value);
        if found.is_none() {
            let hint = "from 1 to 99.9, with one decimal at the most";
            self.broken(
                field,
                format!("{} is not a percentile", field.value),
                Some(hint.to_owned()),
            );
        }
        found
    }

    fn parsed<T>(
        &mut self,
        field: Option<&Field<String>>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = field?;
        match parse(&field.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.broken(field, message, None);
                None
            }
        }
    }
}

/// What looks at the new version.
impl Rules<'_> {
    fn hooks(
        &mut self,
        field: Option<&Field<raw::Hooks>>,
        home: &Home<'_>,
    ) -> BTreeMap<HookEvent, Function> {
        let Some(field) = field else {
            return BTreeMap::new();
        };
        let mut hooks = BTreeMap::new();
        for (event, function) in field.value.all() {
            let Some(field) = function else { continue };
            match Function::new(field.value.clone()) {
                Ok(function) => {
                    self.function_home(field, &function, home);
                    hooks.insert(event, function);
                }
                Err(message) => {
                    let hint = "1 to 64 letters, digits, `-` and `_`, or `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, without version or alias";
                    self.broken(field, message, Some(hint.to_owned()));
                }
            }
        }
        hooks
    }

    /// CodeDeploy calls functions of its own account and region.
    fn function_home(&mut self, field: &Field<String>, function: &Function, home: &Home<'_>) {
        let Some((account, region)) = function.place() else {
            return;
        };
        if let Some(want) = home.region.filter(|want| *want != region) {
            self.broken(
                field,
                format!("it is in region {region}, the app in {want}"),
                Some(format!("name one of {want}")),
            );
        }
        if let Some(want) = home.account.filter(|want| *want != account) {
            self.broken(
                field,
                format!("it is in account {account}, the app in {want}"),
                Some(format!("name one of account {want}")),
            );
        }
    }

    fn checks(
        &mut self,
        field: Option<&Field<Vec<Field<raw::Check>>>>,
        approve: Option<&Approve>,
    ) -> Vec<Check> {
        let Some(field) = field else {
            return Vec::new();
        };
        if field.value.len() > MOST_CHECKS {
            let message = format!(
                "{} checks, at most {MOST_CHECKS} are allowed",
                field.value.len()
            );
            let hint = "let the app check itself, and check that: `{ path: /health/deep }`";
            self.broken(field, message, Some(hint.to_owned()));
        }
        let checks: Vec<Check> = field
            .value
            .iter()
            .map(|item| self.check(&item.value))
            .collect();
        let total: u64 = checks.iter().map(|check| check.within.seconds()).sum();
        match approve {
            _ if checks.is_empty() => {}
            None => {
                let message =
                    "`approve` is missing: checks are made while a deployment waits for it";
                let hint = "say how long it may wait: `approve: { within: 60m }`".to_owned();
                self.problems
                    .rule("deploy.approve", field.at, message, Some(hint));
            }
            Some(approve) if total > approve.within.seconds() => {
                let message = format!(
                    "the checks may take {} together, the deployment waits {} for them",
                    Span::from_secs(total),
                    approve.within
                );
                let hint = "raise `approve.within`, or lower `within` of the checks";
                self.broken(field, message, Some(hint.to_owned()));
            }
            Some(_) => {}
        }
        checks
    }

    fn check(&mut self, raw: &raw::Check) -> Check {
        if let Some(field) = &raw.contains
            && !(1..=1024).contains(&field.value.chars().count())
        {
            self.broken(
                field,
                "the text is too long or empty",
                Some("1 to 1024 characters".to_owned()),
            );
        }
        Check {
            path: raw
                .path
                .as_ref()
                .map_or_else(|| "/".to_owned(), |field| self.path(field)),
            status: raw
                .status
                .as_ref()
                .map_or_else(|| "200".to_owned(), |field| self.status(field)),
            contains: raw.contains.as_ref().map(|field| field.value.clone()),
            times: self.number(raw.times.as_ref(), 1..=100, 1, "a number of answers"),
            within: self.seconds(raw.within.as_ref(), 1..=3600, Span::from_minutes(1)),
        }
    }

    fn fail_fast(&mut self, field: Option<&Field<raw::FailFast>>) -> FailFast {
        let Some(field) = field else {
            return FailFast::After(DEFAULT_FAIL_FAST);
        };
        match field.value {
            raw::FailFast::Off => FailFast::Off,
            raw::FailFast::After(count) => {
                let number = Field {
                    value: count,
                    at: field.at,
                    path: field.path.clone(),
                };
                FailFast::After(self.number(
                    Some(&number),
                    1..=10,
                    DEFAULT_FAIL_FAST,
                    "a number of tasks to give up after",
                ))
            }
        }
    }
}

/// Words for conditions, each with an example.
const CONDITIONS: [(&str, &str); 3] = [
    ("http_5xx", "http_5xx: { above: 1%, for: 2m }"),
    ("latency", "latency: { p: 99, above: 800ms, for: 3m }"),
    ("unhealthy_targets", "unhealthy_targets: { for: 2m }"),
];

/// Minutes for which a condition has to hold: an hour is far longer than a rollout that somebody watches.
const ALARM_MINUTES: RangeInclusive<u64> = 1..=60;

/// Milliseconds that an answer may be late: a load balancer waits 4000 seconds at the most for one.
const LATENCY: RangeInclusive<u64> = 1..=4_000_000;

/// Checks are looked at by a person who waits for them.
const MOST_CHECKS: usize = 20;

/// Once is an accident, and twice may still be one.
const DEFAULT_FAIL_FAST: u32 = 3;
