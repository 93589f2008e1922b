//! `policy`: the IAM policy of whoever runs ecspipe on an app. Must not decide what is in it, and asks AWS only for what nobody
//! said.

use std::collections::BTreeSet;

use ecspipe_provision::permissions::documents;
use ecspipe_provision::{Duty, Existing, Inputs, Statement};
use ecspipe_spec::{Facts, Spec};

use crate::args::{Commands, Global, Policy};
use crate::exit::{Exit, Failure};
use crate::world::World;
use crate::{files, place, report};

pub(crate) async fn exec(global: &Global, args: &Policy, world: &World) -> Result<Exit, Failure> {
    let spec = place::spec(global, world)?;
    let facts = place::facts(global, args.account.as_deref(), world, &spec).await?;
    let duties = duties(&args.commands, args.delete_source)?;
    let statements = statements(&spec, &facts, &duties)?;
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
    }
}

/// What `duties` need in the place of `facts`. No permission names a zone, so zones that nobody asked for are as good as others.
pub(super) fn statements(
    spec: &Spec,
    facts: &Facts,
    duties: &BTreeSet<Duty>,
) -> Result<Vec<Statement>, Failure> {
    let facts = Facts {
        zones: ('a'..='f')
            .map(|letter| format!("{}{letter}", facts.region))
            .collect(),
        ..facts.clone()
    };
    let buildspec = ecspipe_render::buildspec(spec, &facts)?;
    let inputs = Inputs {
        spec,
        facts: &facts,
        buildspec: &buildspec,
        // No permission is about what exists but by its name, which the spec says.
        existing: &Existing::default(),
    };
    let graph = ecspipe_provision::named(&inputs)?;
    Ok(ecspipe_provision::permissions(&inputs, &graph, duties))
}
