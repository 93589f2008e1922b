//! What `ecspipe policy` prints is enough for each command, and no more: an account whose user may do exactly that lets every
//! command finish, and with any one action taken from any one statement something fails.

mod phases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecspipe_sandbox::Sandbox;
use serde_json::{Value, json};

use self::phases::Phase;
use super::stage::Stage;

/// What can be taken away without the sandbox seeing it, and why AWS needs it all the same: statement, action, reason. An entry
/// that a command notices, or that no policy has, is wrong and fails the test.
const UNSEEN: &[(&str, &str, &str)] = &[
    (
        "BalancerChange",
        "elasticloadbalancing:SetIpAddressType",
        "takes back dual stack that somebody switched on; the sandbox has no IPv6 to switch on",
    ),
    (
        "List",
        "servicequotas:GetAWSDefaultServiceQuota",
        "AWS keeps no applied value for some quotas, and then only the default can be asked for; the sandbox has one for each",
    ),
    (
        "BundleMissing",
        "s3:ListBucket",
        "without it S3 answers 403 instead of 404 for a bundle that isn't there (HeadObject, Permissions); the sandbox answers 404",
    ),
    (
        "LeaseMissing",
        "s3:ListBucket",
        "without it S3 answers 403 instead of 404 for a lease that nobody has ever taken (GetObject, Permissions); the sandbox answers 404",
    ),
    (
        "Exec",
        "ecs:ExecuteCommand",
        "opens a session (ecspipe exec); it is the AWS CLI that asks, not ecspipe",
    ),
    (
        "KeyName",
        "kms:UpdateAlias",
        "moves an alias that was left on a key that is pending deletion; the sandbox deletes it with the app",
    ),
    (
        "RoleProfiles",
        "iam:RemoveRoleFromInstanceProfile",
        "takes a role out of an instance profile that somebody put it in; the sandbox has none",
    ),
];

/// One action that is taken from one statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mutation {
    duties: &'static str,
    sid: String,
    action: String,
}

#[test]
fn with_any_action_taken_away_a_command_fails() {
    let phases = runtime().block_on(phases::prepare());
    let mut needed: BTreeMap<&str, Needed> = BTreeMap::new();
    let mut failed = Vec::new();
    for phase in &phases {
        let (told, needs) = runtime().block_on(whole(phase));
        failed.extend(told.err().map(|why| format!("{}: {why}", phase.name)));
        needed.insert(phase.name, needs);
    }
    assert!(
        failed.is_empty(),
        "with what is printed {}",
        failed.join("\n")
    );
    let mutations = mutations(&phases);
    assert!(mutations.len() > 200, "{}", mutations.len());
    let unseen: BTreeSet<Mutation> = try_all(&phases, &needed, &mutations);
    let is_excused = |mutation: &&Mutation| {
        UNSEEN
            .iter()
            .any(|(sid, action, _)| *sid == mutation.sid && *action == mutation.action)
    };
    let left: Vec<&Mutation> = unseen.iter().filter(|one| !is_excused(one)).collect();
    assert!(left.is_empty(), "can be taken away unnoticed: {left:#?}");
    let is_it = |one: &&Mutation, sid: &str, action: &str| one.sid == sid && one.action == action;
    let wrong: Vec<_> = UNSEEN
        .iter()
        .filter(|(sid, action, _)| {
            let mut tried = mutations.iter().filter(|one| is_it(one, sid, action));
            let absent = tried.clone().next().is_none();
            absent || tried.any(|one| !unseen.contains(one))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "no policy has it, or its lack is noticed: {wrong:#?}"
    );
}

/// Without a policy that lets it, nothing works: the dial is on.
#[tokio::test(start_paused = true)]
async fn with_nothing_allowed_nothing_works() {
    let stage = Stage::new(phases::CANARY);
    let nothing = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    stage.sandbox.caller_policy(Some(vec![nothing])).unwrap();
    for command in ["plan", "up --yes", "status", "down --yes"] {
        let ran = stage.run(command).await.exits(7);
        assert!(ran.err.contains("`ecspipe policy`"), "{}", ran.err);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Every statement of a phase's policy, as the command prints it.
fn statements(phase: &Phase) -> Vec<Value> {
    let print = async || {
        let stage = Stage::of(&phase.spec, phase.account.fork().unwrap());
        stage
            .run(&format!("policy {} --format json", phase.duties))
            .await
            .exits(0)
            .json()
    };
    // On a thread of its own, since some callers are within a runtime.
    let printed =
        std::thread::scope(|scope| scope.spawn(|| runtime().block_on(print())).join().unwrap());
    printed["documents"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|document| document["Statement"].as_array().unwrap().clone())
        .collect()
}

fn policy(statements: Vec<Value>) -> Vec<Value> {
    vec![json!({"Version": "2012-10-17", "Statement": statements})]
}

/// What a phase's calls needed, and how many they were.
struct Needed {
    actions: BTreeSet<String>,
    calls: usize,
}

/// Tells a phase with the whole policy.
async fn whole(phase: &Phase) -> (Result<(), String>, Needed) {
    let fork = phase.account.fork().unwrap();
    fork.record(true);
    let told = phase.tell(&fork, policy(statements(phase))).await;
    let mut actions = BTreeSet::new();
    let exchanges = fork.take_exchanges();
    let calls = exchanges.len();
    for exchange in exchanges {
        actions.extend(exchange.needs.into_iter().map(|need| need.action));
    }
    (told, Needed { actions, calls })
}

/// What can be taken away. What a later spec's policy shares with an earlier one's is tried once.
fn mutations(phases: &[Phase]) -> Vec<Mutation> {
    let mut seen = BTreeSet::new();
    let mut mutations = BTreeSet::new();
    for phase in phases {
        for statement in statements(phase) {
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            for action in actions(&statement) {
                let one = Mutation {
                    duties: phase.duties,
                    sid: sid.clone(),
                    action,
                };
                // What goes together with other duties is tried with those alone.
                let alone = phases.iter().any(|other| {
                    other.duties != phase.duties
                        && phase.duties.split(' ').any(|word| word == other.duties)
                        && mutations.contains(&Mutation {
                            duties: other.duties,
                            ..one.clone()
                        })
                });
                if alone {
                    continue;
                }
                let first = seen.insert((one.clone(), phase.spec.clone()));
                let elsewhere = seen
                    .iter()
                    .any(|(other, spec)| *other == one && *spec != phase.spec);
                if first && !elsewhere {
                    mutations.insert(one);
                }
            }
        }
    }
    mutations.into_iter().collect()
}

fn actions(statement: &Value) -> Vec<String> {
    match &statement["Action"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several
            .iter()
            .map(|action| action.as_str().unwrap().to_owned())
            .collect(),
        other => panic!("{other}"),
    }
}

/// The mutations that no phase notices. On as many threads as there are cores.
fn try_all(
    phases: &[Phase],
    needed: &BTreeMap<&str, Needed>,
    mutations: &[Mutation],
) -> BTreeSet<Mutation> {
    let printed: Vec<Vec<Value>> = phases.iter().map(statements).collect();
    let next = AtomicUsize::new(0);
    let unseen = Mutex::new(BTreeSet::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutation) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let candidates = phases.iter().zip(&printed);
                    let mut candidates: Vec<_> = candidates
                        .filter(|(phase, statements)| {
                            phase.duties == mutation.duties
                                // A phase that never needs the action can't notice.
                                && needed[phase.name].actions.contains(&mutation.action)
                                && statements.iter().any(|one| one["Sid"] == *mutation.sid)
                        })
                        .collect();
                    // The short ones first.
                    candidates.sort_by_key(|(phase, _)| needed[phase.name].calls);
                    let noticed = candidates.into_iter().any(|(phase, statements)| {
                        let left = without(statements, mutation);
                        runtime()
                            .block_on(phase.tell(&phase.account.fork().unwrap(), policy(left)))
                            .is_err()
                    });
                    if !noticed {
                        unseen.lock().unwrap().insert(mutation.clone());
                    }
                }
            });
        }
    });
    unseen.into_inner().unwrap()
}

fn without(statements: &[Value], mutation: &Mutation) -> Vec<Value> {
    let mut left = Vec::new();
    for statement in statements {
        let mut statement = statement.clone();
        if statement["Sid"] == *mutation.sid {
            let mut kept = actions(&statement);
            kept.retain(|action| *action != mutation.action);
            if kept.is_empty() {
                continue;
            }
            statement["Action"] = kept.into();
        }
        left.push(statement);
    }
    left
}

/// The same account for another spec.
fn stage(spec: &str, account: &Sandbox) -> Stage {
    Stage::of(spec, account.clone())
}
