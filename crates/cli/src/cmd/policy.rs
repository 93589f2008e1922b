//! `policy`: the IAM policy of whoever runs ecspipe on an app. Must not decide what is in it, and asks AWS only for what nobody
//! said.

use std::collections::BTreeSet;

use ecspipe_provision::existing::{Depth, Lookup as _};
use ecspipe_provision::permissions::documents;
use ecspipe_provision::{Duty, Existing, Inputs, Statement};
use ecspipe_spec::{Facts, Spec};

use crate::args::{Commands, Global, Policy};
use crate::exit::{Exit, Failure};
use crate::world::World;
use crate::{files, place, report};

pub(crate) async fn exec(global: &Global, args: &Policy, world: &World) -> Result<Exit, Failure> {
    let spec = place::spec(global, world)?;
    let mut facts = place::facts(global, args.account.as_deref(), world, &spec).await?;
    let duties = duties(&args.commands, args.delete_source)?;
    let existing = existing(global, world, &spec, &facts).await?;
    facts.existing = existing.names();
    let statements = statements(&spec, &facts, &existing, &duties)?;
    let policy = report::policy::Policy {
        app: &spec.app,
        facts: &facts,
        duties: &duties,
        documents: documents(&statements),
        statements,
    };
    match &args.out {
        None => report::policy::policy(world, global, &policy),
        Some(folder) => {
            let texts = policy.files();
            let contents: Vec<(&str, &str)> = texts
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .collect();
            files::write(&world.path(folder), &contents)
                .map_err(|error| Failure::file("write to", folder, &error))?;
            let paths = texts.iter().map(|(name, _)| folder.join(name));
            report::policy::written(world, global, &policy, paths.collect());
        }
    }
    Ok(Exit::Done)
}

/// The duties that the arguments name: all but the deletion of the source where they name none.
fn duties(commands: &[Commands], delete_source: bool) -> Result<BTreeSet<Duty>, Failure> {
    let mut duties: BTreeSet<Duty> = match commands {
        [] => Duty::ALL.into(),
        commands => commands.iter().copied().map(duty).collect(),
    };
    duties.remove(&Duty::DownWithSource);
    if delete_source {
        if !duties.contains(&Duty::Down) {
            return Err(
                Failure::new(Exit::Usage, "`--delete-source` belongs to `down`")
                    .hint("name `down` too, or leave `--delete-source` out"),
            );
        }
        duties.remove(&Duty::Down);
        duties.insert(Duty::DownWithSource);
    }
    Ok(duties)
}

pub(super) fn duty(commands: Commands) -> Duty {
    match commands {
        Commands::Plan => Duty::Plan,
        Commands::Up => Duty::Up,
        Commands::Deploy => Duty::Deploy,
        Commands::Operate => Duty::Operate,
        Commands::Down => Duty::Down,
        Commands::Doctor => Duty::Doctor,
    }
}

/// What the app uses and ecspipe doesn't make: its ids are in the policy.
async fn existing(
    global: &Global,
    world: &World,
    spec: &Spec,
    facts: &Facts,
) -> Result<Existing, Failure> {
    if !spec.uses_existing() {
        return Ok(Existing::default());
    }
    let (account, _) = place::reach(global, world, spec).await?;
    let found = account.look_up(spec, facts, Depth::Everything).await?;
    if found.problems.is_empty() {
        Ok(found.existing)
    } else {
        Err(ecspipe_provision::Error::Unfit(found.problems).into())
    }
}

/// What `duties` need in the place of `facts`.
fn statements(
    spec: &Spec,
    facts: &Facts,
    existing: &Existing,
    duties: &BTreeSet<Duty>,
) -> Result<Vec<Statement>, Failure> {
    let buildspec = ecspipe_render::buildspec(spec, facts)?;
    let inputs = Inputs {
        spec,
        facts,
        buildspec: &buildspec,
        existing,
    };
    Ok(ecspipe_provision::permissions(&inputs, duties)?)
}
