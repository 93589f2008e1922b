//! `plan` for several specs in one command: what they share is asked of the account once. Must not change anything, and must not
//! plan otherwise than for one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ecspipe_aws::Account;
use ecspipe_provision::{Detail, Inventory, Scope, TagSource};
use ecspipe_spec::Spec;
use futures::StreamExt as _;
use futures::stream;

use crate::args::{self, Format, Global};
use crate::exit::{Exit, Failure};
use crate::place::{self, Link, Place};
use crate::report;
use crate::report::plan::{Planned, Shown, View};
use crate::world::World;

/// How many apps are looked up at the same time, beyond what one look shares.
const CONCURRENT: usize = 8;

/// The specs that the command names, where it is not just one: several flags, or a pattern. Sorted, each once.
pub(crate) fn several(global: &Global, world: &World) -> Result<Option<Vec<PathBuf>>, Failure> {
    let is_pattern = |file: &Path| {
        let text = file.to_string_lossy();
        text.contains(['*', '?', '[']) && !world.path(file).exists()
    };
    if global.files.len() < 2 && !is_pattern(&global.file) {
        return Ok(None);
    }
    let mut found = Vec::new();
    for file in &global.files {
        if is_pattern(file) {
            found.extend(expand(file, world)?);
        } else {
            found.push(file.clone());
        }
    }
    found.sort();
    found.dedup();
    Ok(Some(found))
}

/// The files that a pattern means: `*` within a folder's name, `**` for folders within folders.
fn expand(pattern: &Path, world: &World) -> Result<Vec<PathBuf>, Failure> {
    let here = world.path(Path::new(""));
    let text = if pattern.is_absolute() {
        pattern.to_string_lossy().into_owned()
    } else {
        let folder = glob::Pattern::escape(&here.to_string_lossy());
        format!("{}/{}", folder.trim_end_matches('/'), pattern.display())
    };
    let wrong = |why: String| {
        Failure::new(
            Exit::Usage,
            format!("{} is not a pattern: {why}", pattern.display()),
        )
    };
    let paths = glob::glob(&text).map_err(|error| wrong(error.to_string()))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| Failure::file("read", error.path(), error.error()))?;
        if path.is_file() {
            let relative = path.strip_prefix(&here).unwrap_or(&path);
            files.push(relative.to_path_buf());
        }
    }
    if files.is_empty() {
        let message = format!("no file here is called {}", pattern.display());
        return Err(Failure::new(Exit::Usage, message)
            .hint("quote the pattern, so that the shell leaves it alone, and look at the folder"));
    }
    Ok(files)
}

/// One spec of many, and how far it got.
struct App {
    file: PathBuf,
    place: Result<Place, Failure>,
}

pub(crate) async fn exec(
    global: &Global,
    args: &args::Plan,
    world: &World,
    files: Vec<PathBuf>,
) -> Result<Exit, Failure> {
    let (specs, wrong) = read(&files, global, world);
    if !wrong.is_empty() && global.format == Format::Human {
        return Err(together(wrong, files.len()));
    }
    let mut apps = open(specs, global, world).await?;
    // A program gets an entry for each spec; a person mends the specs first.
    apps.extend(wrong);
    let planned = plan(apps, View::of(args)).await;
    report::plan::plans(world, global, &planned);
    Ok(planned
        .iter()
        .map(|planned| exit(args, planned))
        .max_by_key(|exit| (gravity(*exit), exit.code()))
        .unwrap_or(Exit::Done))
}

fn exit(args: &args::Plan, planned: &Planned) -> Exit {
    match &planned.plan {
        Err(failure) => failure.exit,
        Ok(shown) => super::plan::exit(args, &shown.plan),
    }
}

/// What outweighs what where several end differently: nothing was found out, it is refused, it changes something.
fn gravity(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Changes => 1,
        Exit::Refused => 2,
        Exit::Access => 4,
        Exit::Failed => 5,
        _ => 3,
    }
}

/// The specs, and those that can't be used.
fn read(files: &[PathBuf], global: &Global, world: &World) -> (Vec<(PathBuf, Spec)>, Vec<App>) {
    let mut specs = Vec::new();
    let mut wrong = Vec::new();
    for file in files {
        let spec = place::spec_of(file, global, world);
        match spec.and_then(|spec| alone(spec, file, &specs)) {
            Ok(spec) => specs.push((file.clone(), spec)),
            Err(failure) => wrong.push(App {
                file: file.clone(),
                place: Err(failure),
            }),
        }
    }
    (specs, wrong)
}

/// Two specs for one app would undo each other.
fn alone(spec: Spec, file: &Path, others: &[(PathBuf, Spec)]) -> Result<Spec, Failure> {
    let same = |(_, other): &&(PathBuf, Spec)| other.app == spec.app && other.region == spec.region;
    let Some((other, _)) = others.iter().find(same) else {
        return Ok(spec);
    };
    let message = format!(
        "{} and {} are both for the app {}",
        other.display(),
        file.display(),
        spec.app
    );
    Err(Failure::new(Exit::Usage, message))
}

/// Everything that is wrong with any of `specs` specs.
fn together(wrong: Vec<App>, specs: usize) -> Failure {
    let mut wrong: Vec<Failure> = wrong
        .into_iter()
        .filter_map(|app| app.place.err())
        .collect();
    if wrong.len() == 1 {
        return wrong.remove(0);
    }
    let exits = wrong.iter().map(|failure| failure.exit);
    let mut all = Failure::new(
        exits.max_by_key(|exit| exit.code()).unwrap_or(Exit::Spec),
        format!("{} of {specs} specs can't be used", wrong.len()),
    );
    for failure in wrong {
        let colon = if failure.details.is_empty() { "" } else { ":" };
        all.details.push(format!("{}{colon}", failure.message));
        all.details.extend(failure.details);
        all.details
            .extend(failure.hint.map(|hint| format!("hint: {hint}")));
    }
    all
}

/// The place of each spec. The account is reached once a region.
async fn open(
    specs: Vec<(PathBuf, Spec)>,
    global: &Global,
    world: &World,
) -> Result<Vec<App>, Failure> {
    let mut regions: BTreeMap<Option<String>, (Account, Option<Link>)> = BTreeMap::new();
    let mut reached = Vec::new();
    for (file, spec) in specs {
        let region = place::region(global, world, &spec)?;
        if !regions.contains_key(&region) {
            let there = place::reach(global, world, &spec).await?;
            // Who calls is the same everywhere: found out before several ask at once.
            there.0.caller().await?;
            regions.insert(region.clone(), there);
        }
        reached.push((file, spec, region));
    }
    let opened = reached.into_iter().map(|(file, spec, region)| {
        let there = regions.get(&region).cloned();
        async move {
            let place = match there {
                Some((account, link)) => Place::within(spec, account, link).await,
                None => Err(Failure::new(Exit::Failed, "the region was not reached")),
            };
            App { file, place }
        }
    });
    Ok(stream::iter(opened).buffered(CONCURRENT).collect().await)
}

/// An app and where it is looked for.
struct Wanted {
    file: PathBuf,
    place: Place,
}

async fn plan(apps: Vec<App>, view: View) -> Vec<Planned> {
    let mut failed = Vec::new();
    let mut regions: BTreeMap<String, Vec<(Wanted, Scope)>> = BTreeMap::new();
    for App { file, place } in apps {
        let wanted = place.and_then(|place| {
            let (_, scope) = place.wanted(Detail::Properties)?;
            let region = place.facts.region.clone();
            Ok((region, place, scope))
        });
        match wanted {
            Ok((region, place, scope)) => {
                let scope = Scope {
                    tag_source: TagSource::Index,
                    ..scope
                };
                let wanted = Wanted { file, place };
                regions.entry(region).or_default().push((wanted, scope));
            }
            Err(failure) => failed.push(Planned {
                file,
                plan: Err(failure),
            }),
        }
    }
    let mut all = failed;
    for wanted in regions.into_values() {
        all.extend(plan_region(wanted, view).await);
    }
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

async fn plan_region(wanted: Vec<(Wanted, Scope)>, view: View) -> Vec<Planned> {
    let (wanted, scopes): (Vec<Wanted>, Vec<Scope>) = wanted.into_iter().unzip();
    let Some(account) = wanted.first().map(|wanted| wanted.place.account.clone()) else {
        return Vec::new();
    };
    let inventories = ecspipe_provision::observe_all(&account, &scopes).await;
    let planned = wanted
        .into_iter()
        .zip(inventories)
        .map(|(wanted, inventory)| async move {
            let Wanted { file, place } = wanted;
            let plan = match inventory {
                Ok(inventory) => shown(&place, inventory, view).await,
                Err(error) => Err(error.into()),
            };
            Planned { file, plan }
        });
    stream::iter(planned).buffered(CONCURRENT).collect().await
}

async fn shown(place: &Place, inventory: Inventory, view: View) -> Result<Shown, Failure> {
    let graph = place.beside(&inventory)?;
    let plan = super::plan::of(place, &graph, inventory).await?;
    Ok(Shown::new(plan, place.title(), view))
}
