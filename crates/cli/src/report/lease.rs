//! What is said about leases: who works, who is waited for, whose was broken. Must not decide what becomes of one.

use ecspipe_deploy::Timestamp;
use ecspipe_provision::CloudError;
use ecspipe_provision::lease::{self, Found, LIFE, Lost, NotTaken, Told, Why};

use super::style::span;
use crate::exit::{Exit, Failure};

/// What happens while a lease is wanted.
pub(crate) fn told(told: &Told) -> String {
    match told {
        Told::Waits { held, until } => format!(
            "{}; waiting for them, until {} at the latest",
            at_work(held),
            time(*until)
        ),
        Told::Unsettled => {
            "the app's bucket is about to be made or deleted by somebody else; waiting until it is"
                .to_owned()
        }
        Told::Over { held, why } => {
            let what = match why {
                Why::GivenBack => "was given back",
                Why::RunOut => "has run out, without being given back",
                Why::Ended => "was left by a process of this machine that has ended",
                Why::Broken => {
                    "is broken; waiting for a minute until they must have noticed, and begin nothing new"
                }
            };
            format!("the lease of {} {what}", who(held))
        }
    }
}

/// Why a run can't begin.
pub(crate) fn not_taken(why: &NotTaken, ours: &lease::Lease) -> Failure {
    match why {
        NotTaken::Cloud(error) => error.clone().into(),
        NotTaken::Stopped { held } => Failure::new(
            Exit::Refused,
            format!("nothing was done: you stopped waiting for {}", held.owner()),
        ),
        NotTaken::Held { held, waited } => {
            let in_vain = match waited.is_zero() {
                true => String::new(),
                false => format!("waited {} in vain: ", span(*waited)),
            };
            let mut failure = Failure::new(
                Exit::Refused,
                format!("{in_vain}{}; nothing was done", at_work(held)),
            );
            failure.details = details(held, ours);
            failure.hint(format!(
                "wait for them with `--wait-lease 5m`; or, if that run was killed, run the command again after {}; or take the lease away from them with `--break-lease`",
                time(held.ends())
            ))
        }
    }
}

/// What else is known of whoever holds the lease.
fn details(held: &Found, ours: &lease::Lease) -> Vec<String> {
    let mut details = vec![format!(
        "  their lease runs out at {} unless they renew it, which they do every minute while they work",
        time(held.ends())
    )];
    let Some(lease) = &held.lease else {
        return details;
    };
    if let Some(job) = &lease.holder.job {
        details.push(format!("  their job: {job}"));
    }
    let (theirs, ours) = (&lease.holder.process, &ours.holder.process);
    if !ours.table.is_empty() && theirs.table == ours.table {
        details.push(format!(
            "  it is a process of yours on this machine: `kill {}` ends it in good order",
            theirs.id
        ));
    }
    details
}

/// That the lease was lost in the middle.
pub(crate) fn lost(lost: &Lost, exit: Exit) -> Failure {
    let message = match lost {
        Lost::Taken(by) => format!("the lease was taken away: {}", at_work(by)),
        Lost::Gone => "the lease was taken away: somebody has deleted it".to_owned(),
        Lost::RunOut(why) => format!(
            "the lease has run out: for {} it could not be renewed{}",
            span(LIFE),
            why.as_ref()
                .map_or(String::new(), |error| format!(" ({error})"))
        ),
    };
    let done = match exit {
        Exit::Refused => "nothing was done",
        _ => "nothing new was begun after that",
    };
    Failure::new(exit, format!("{message}; {done}")).hint(match lost {
        Lost::Taken(_) => {
            "ask them; when they are done, run the command again: it goes on from there"
        }
        Lost::Gone => "ask who did that; then run the command again: it goes on from there",
        Lost::RunOut(_) => "run the command again: it goes on from there",
    })
}

/// That the lease could not be given back.
pub(crate) fn not_given_back(error: &CloudError) -> String {
    format!(
        "the lease could not be given back, and runs out by itself within {}: {error}",
        span(LIFE)
    )
}

/// Who works on what, where, since when.
fn at_work(found: &Found) -> String {
    match &found.lease {
        Some(lease) => format!("{} is at work on {}", who(found), lease.holder.app),
        None => format!("{} is at work", who(found)),
    }
}

fn who(found: &Found) -> String {
    let Some(lease) = &found.lease else {
        return found.owner().to_owned();
    };
    let holder = &lease.holder;
    format!(
        "{} (`{}` on {}, process {}, since {})",
        holder.owner,
        holder.command,
        holder.host,
        holder.process.id,
        time(lease.since)
    )
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
