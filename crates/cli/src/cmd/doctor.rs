//! `doctor`: whether the app can be made, before anything is. Must not change anything, or judge by itself.

use std::collections::BTreeSet;

use ecspipe_provision::Duty;
use ecspipe_provision::doctor::{self, Check, State, Subject, Trouble};
use ecspipe_spec::Facts;

use crate::args::{Doctor, Global};
use crate::exit::{Exit, Failure};
use crate::world::World;
use crate::{place, report};

pub(crate) async fn exec(global: &Global, args: &Doctor, world: &World) -> Result<Exit, Failure> {
    let spec = place::spec(global, world)?;
    let (account, _) = place::reach(global, world, &spec).await?;
    let duties: BTreeSet<Duty> = match args.commands.as_slice() {
        [] => [Duty::Plan, Duty::Up, Duty::Deploy, Duty::Operate].into(),
        commands => commands.iter().copied().map(super::policy::duty).collect(),
    };
    let mut checks = vec![Check::ok(
        "spec",
        format!("{} holds no mistake", global.file.display()),
    )];
    let access = doctor::access(&account, &spec, account.region()).await;
    checks.extend(access.checks);
    match access.identity {
        Some(identity) => {
            let facts = Facts {
                partition: identity.partition.clone(),
                account: identity.account.clone(),
                region: account.region().to_owned(),
                zones: Vec::new(),
                existing: Default::default(),
            };
            let buildspec = ecspipe_render::buildspec(&spec, &facts)?;
            let subject = Subject {
                spec: &spec,
                facts: &facts,
                buildspec: &buildspec,
                duties: &duties,
            };
            checks.extend(doctor::account(&account, &subject, &identity).await);
        }
        None => checks.push(Check::skipped(
            "account",
            "permissions, image, plan and quotas are looked at once the rest is in order",
        )),
    }
    report::doctor::checks(world, global, &spec.app, account.region(), &checks);
    Ok(exit(&checks))
}

/// What stands in the way of access weighs more: the rest may look otherwise once it is mended.
fn exit(checks: &[Check]) -> Exit {
    let troubles: BTreeSet<Trouble> = checks
        .iter()
        .filter(|check| check.state == State::NotOk)
        .filter_map(|check| check.trouble)
        .collect();
    match troubles.first() {
        None => Exit::Done,
        Some(Trouble::Access) => Exit::Access,
        Some(Trouble::Account) => Exit::Refused,
    }
}
