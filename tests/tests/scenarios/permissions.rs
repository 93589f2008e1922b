//! Every permission of every role is needed: with any one statement or any one action taken from a role's policies, some step of
//! a full rollout story fails. What it is that fails is a table, `docs/permissions.md`.

mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecspipe_sandbox::Sandbox;
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use self::story::{APP, Story};
use super::stage::{REGION, Stage, TUTORIAL};

/// What can be taken away without the sandbox seeing it, and why AWS needs it all the same: role, statement, action, reason.
/// An entry that the story notices, or that no role has, is wrong and fails the test.
const UNSEEN: &[(&str, &str, &str, &str)] = &[
    (
        "codebuild",
        "Artifacts",
        "s3:GetObjectVersion",
        "CodeBuild's documented service role has it for the input artifact; a build of the sandbox reads the newest version",
    ),
    (
        "codedeploy",
        "ElbRules",
        "elasticloadbalancing:ModifyRule",
        "CodeDeploy moves the rules of a listener that forward to the pair; the app's own listeners have none, but one may be added",
    ),
    (
        "codepipeline",
        "Artifacts",
        "s3:GetObjectVersion",
        "CodePipeline's documented minimum for the artifact bucket; the sandbox reads the newest version of an artifact",
    ),
    (
        "codepipeline",
        "Source",
        "codecommit:CancelUploadArchive",
        "asked for when a run is stopped while its source is being packed; a refusal has no visible effect",
    ),
    (
        "execution",
        "EcrPull",
        "ecr:BatchCheckLayerAvailability",
        "AWS's managed policy and Fargate's documentation list it for a pull; the sandbox pulls by manifest and layers",
    ),
];

/// One thing that is taken from a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mutation {
    role: String,
    statement: String,
    /// `None`: the whole statement.
    action: Option<String>,
}

#[test]
fn with_anything_taken_from_a_role_something_fails() {
    let stage = runtime().block_on(prepared());
    let mutations = mutations(&stage.sandbox);
    let mut seen: BTreeMap<Mutation, String> = BTreeMap::new();
    let mut unseen: BTreeSet<Mutation> = BTreeSet::new();
    for (mutation, told) in tell_all(&stage.sandbox, &mutations) {
        match told {
            Err(why) => drop(seen.insert(mutation, why)),
            Ok(()) => drop(unseen.insert(mutation)),
        }
    }
    let excused: BTreeSet<Mutation> = UNSEEN
        .iter()
        .map(|(role, statement, action, _)| Mutation {
            role: (*role).to_owned(),
            statement: (*statement).to_owned(),
            action: Some((*action).to_owned()),
        })
        .collect();
    // A statement all of whose actions are excused is excused itself.
    let left: BTreeSet<&Mutation> = unseen
        .iter()
        .filter(|mutation| {
            !excused.contains(mutation) && !is_excused(mutation, &mutations, &excused)
        })
        .collect();
    assert!(left.is_empty(), "can be taken away unnoticed: {left:#?}");
    let wrong: BTreeSet<&Mutation> = excused.difference(&unseen).collect();
    assert!(wrong.is_empty(), "is excused, and needn't be: {wrong:#?}");
    assert_data_eq!(table(&seen), file!["../../../docs/permissions.md"].raw());
}

#[tokio::test(start_paused = true)]
async fn the_story_works_with_what_the_roles_have() {
    let stage = prepared().await;
    assert_eq!(Story::new(&stage.sandbox).tell().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_role_cannot_touch_another_apps_things() {
    let stage = prepared().await;
    let other = Stage::of(
        &TUTORIAL.replace(APP, "other").replace("192.168.", "10.0."),
        stage.sandbox.clone(),
    );
    other.run("up --yes").await.exits(0);
    // The first app's build is told to push into the other one's repository.
    let story = Story::new(&stage.sandbox);
    story.push_to("other").await;
    assert_eq!(
        story.tell().await,
        Err("the first rollout: the build fails in BUILD (COMMAND_EXECUTION_ERROR)".to_owned())
    );
}

/// The function that the deployments call.
const FUNCTION: &str = "smoke-test";

/// The tutorial's app with a hook and an alarm, some minutes after `up`.
async fn prepared() -> Stage {
    let stage = Stage::new(&guarded());
    add_function(&stage.sandbox);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    drop(stage.sandbox.world());
    stage
}

fn guarded() -> String {
    let guards = format!(
        "  alarms: [{{ http_5xx: {{ above: 1%, for: 2m }} }}]\n  hooks: {{ after_allow_test_traffic: {FUNCTION} }}\n"
    );
    let text = TUTORIAL.replace("\ndeploy:\n", &format!("\ndeploy:\n{guards}"));
    assert!(text.contains(FUNCTION));
    text
}

/// Somebody's function, which was there before the app. It may do everything: what its own role needs is not ours to show.
fn add_function(sandbox: &Sandbox) {
    let mut world = sandbox.world();
    let (account, created) = (world.account.clone(), world.now - 3_600_000);
    let role = format!("arn:aws:iam::{account}:role/{FUNCTION}");
    let function = json!({
        "name": FUNCTION, "arn": format!("arn:aws:lambda:{REGION}:{account}:function:{FUNCTION}"), "tags": {},
        "role": role, "created": created, "settings": {}, "code": [1, ""],
    });
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ]});
    let role = json!({
        "name": FUNCTION, "path": "/", "id": "AROASMOKETEST", "arn": role, "created": created, "max_session": 3600,
        "trust": trust.to_string(), "trust_since": created, "tags": {}, "inline": {},
        "attached": ["arn:aws:iam::aws:policy/AdministratorAccess"],
    });
    let function = serde_json::from_value(function).unwrap();
    let functions = &mut world.at(REGION).lambda.functions;
    functions.insert(FUNCTION.to_owned(), function);
    let role = serde_json::from_value(role).unwrap();
    world.iam.roles.insert(FUNCTION.to_owned(), role);
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Everything that can be taken from a role: each statement, and each action of one that has several.
fn mutations(sandbox: &Sandbox) -> Vec<Mutation> {
    let world = sandbox.world();
    let mut mutations = Vec::new();
    for role in world.iam.roles.values() {
        for document in role.inline.values() {
            let document: Value = serde_json::from_str(document).unwrap();
            for statement in document["Statement"].as_array().unwrap() {
                let one = |action: Option<&str>| Mutation {
                    role: role.name.rsplit('-').next().unwrap().to_owned(),
                    statement: statement["Sid"].as_str().unwrap().to_owned(),
                    action: action.map(ToOwned::to_owned),
                };
                let actions: Vec<&str> = actions(statement);
                mutations.push(one(None));
                mutations.extend(actions.into_iter().map(|action| one(Some(action))));
            }
        }
    }
    mutations
}

fn actions(statement: &Value) -> Vec<&str> {
    match &statement["Action"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => panic!("{other}"),
    }
}

/// Tells the story with each mutation on a fork of the account, on as many threads as there are cores.
fn tell_all(sandbox: &Sandbox, mutations: &[Mutation]) -> Vec<(Mutation, Result<(), String>)> {
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutation) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = runtime().block_on(async {
                        let fork = sandbox.fork().unwrap();
                        take_away(&fork, mutation);
                        Story::new(&fork).tell().await
                    });
                    told.lock().unwrap().push((mutation.clone(), result));
                }
            });
        }
    });
    told.into_inner().unwrap()
}

fn take_away(sandbox: &Sandbox, mutation: &Mutation) {
    let mut world = sandbox.world();
    let suffix = format!("-{}", mutation.role);
    let role = world
        .iam
        .roles
        .values_mut()
        .find(|role| role.name.ends_with(&suffix))
        .unwrap();
    let mut taken = 0;
    for text in role.inline.values_mut() {
        let mut document: Value = serde_json::from_str(text).unwrap();
        let statements = document["Statement"].as_array_mut().unwrap();
        statements.retain_mut(|statement| {
            if statement["Sid"] != *mutation.statement {
                return true;
            }
            taken += 1;
            let left: Vec<String> = actions(statement)
                .into_iter()
                .filter(|action| {
                    mutation
                        .action
                        .as_deref()
                        .is_some_and(|gone| gone != *action)
                })
                .map(ToOwned::to_owned)
                .collect();
            let keeps = !left.is_empty();
            statement["Action"] = left.into();
            keeps
        });
        if statements.is_empty() {
            // IAM takes no empty document; one that is about nothing is as good.
            statements.push(json!({"Effect": "Deny", "Action": "none:None", "Resource": "*"}));
        }
        *text = document.to_string();
    }
    assert_eq!(taken, 1, "{mutation:?}");
}

/// Whether a whole statement holds nothing but what is excused.
fn is_excused(mutation: &Mutation, all: &[Mutation], excused: &BTreeSet<Mutation>) -> bool {
    let mut of_statement = all.iter().filter(|other| {
        other.role == mutation.role
            && other.statement == mutation.statement
            && other.action.is_some()
    });
    mutation.action.is_none() && of_statement.all(|other| excused.contains(other))
}

fn table(seen: &BTreeMap<Mutation, String>) -> String {
    let mut text = String::from(
        "# What each permission is for

Generated by the test `permissions`, which takes every statement and every action from the roles of the tutorial's app, one at a
time, and tells a full rollout story on the sandbox: a push, a build, a function that tests, a shift that waits for a human, an
alarm that watches, a canary that is stopped and rolled back, the first version again, new deployment files. The function and the
alarm are the only things that the tutorial's own spec hasn't. `SNAPSHOTS=overwrite cargo test --workspace --test
scenarios permissions` writes it.

| role | statement | without | what fails first |
|---|---|---|---|
",
    );
    for (mutation, why) in seen {
        let action = mutation
            .action
            .as_deref()
            .map(|action| format!("`{action}`"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {why} |",
            mutation.role,
            mutation.statement,
            action.unwrap_or_else(|| "all of it".to_owned()),
        );
    }
    text += "
## What the sandbox can't see

These can be taken away without the story failing, and stay in the roles.

| role | statement | action | why AWS needs it |
|---|---|---|---|
";
    for (role, statement, action, reason) in UNSEEN {
        let _ = writeln!(text, "| {role} | {statement} | `{action}` | {reason} |");
    }
    text
}
