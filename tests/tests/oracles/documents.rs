//! What ecspipe writes for AWS to read: task definitions and identity policies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ecspipe_provision::permissions::documents;
use ecspipe_provision::{Duty, Inputs, Kind, permissions};
use serde_json::Value;

use super::oracle::{Oracles, lines};
use super::place::{PRIVATE, Place, SHORTEST, TUTORIAL};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

#[tokio::test(start_paused = true)]
async fn task_definitions_pass_botocores_validator() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = ["httpd", "minimal"]
        .iter()
        .map(|name| Path::new(EXAMPLES).join(name).join("expected/taskdef.json"))
        .collect();
    for text in [TUTORIAL, PRIVATE] {
        let place = Place::new(text).await;
        let path = folder.path().join(format!("{}.json", place.spec.app));
        let artifacts = ecspipe_render::render(&place.spec, &place.facts).unwrap();
        let definition = artifacts
            .iter()
            .find(|artifact| artifact.name == "taskdef.json")
            .unwrap();
        std::fs::write(&path, &definition.contents).unwrap();
        paths.push(path);
    }
    let answer = oracles.ask("validate_taskdef.py", &paths, "");
    assert_eq!(lines(&answer, "problems"), "");
    assert_eq!(answer["checked"], paths.len());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_task_definition_does_not_pass() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let text =
        std::fs::read_to_string(Path::new(EXAMPLES).join("httpd/expected/taskdef.json")).unwrap();
    let mut definition: Value = serde_json::from_str(&text).unwrap();
    definition["networkMode"] = "awsvcp".into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), definition.to_string()).unwrap();
    let answer = oracles.run("validate_taskdef.py", &[file.path()], "");
    assert!(!answer.succeeded);
    assert!(answer.out.contains("awsvcp"), "{}", answer.out);
}

/// A single gateway for both zones, and a rollout in steps.
const LINEAR: &str = "
version: 1
app: shop
network: { nat: single }
service: { port: 3000 }
deploy:
  strategy: { linear: { percent: 10, every: 2m } }
";

/// What `ecspipe policy` prints for this app.
fn operators(place: &Place, policies: &mut BTreeMap<String, Value>) {
    let buildspec = ecspipe_render::buildspec(&place.spec, &place.facts).unwrap();
    let inputs = Inputs {
        spec: &place.spec,
        facts: &place.facts,
        buildspec: &buildspec,
        existing: &ecspipe_provision::Existing::default(),
    };
    for duty in Duty::ALL {
        let statements = permissions(&inputs, &[duty].into()).unwrap();
        for (index, document) in documents(&statements).into_iter().enumerate() {
            policies.insert(
                format!("{}/operator/{duty}/{index}", place.spec.app),
                document,
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn identity_policies_pass_parliament() {
    let Some(oracles) = Oracles::find() else {
        return;
    };
    let mut policies: BTreeMap<String, Value> = BTreeMap::new();
    let mut roles = 0;
    for text in [TUTORIAL, SHORTEST, PRIVATE, LINEAR] {
        let place = Place::new(text).await;
        // As AWS holds them, with ids in place of links: `up` has nothing left to do, so they are the wanted ones.
        place.up().await;
        place.assert_settled().await;
        for (key, role) in place.inventory().await.owned {
            if key.kind != Kind::Role {
                continue;
            }
            roles += 1;
            let properties = role.resource.properties();
            for (name, policy) in properties["policies"].as_object().unwrap() {
                policies.insert(format!("{}/{key}/{name}", place.spec.app), policy.clone());
            }
        }
        operators(&place, &mut policies);
    }
    let answer = oracles.ask(
        "policies.py",
        &[""; 0],
        &serde_json::to_string(&policies).unwrap(),
    );
    println!(
        "{} policies of {roles} roles checked, {} findings known",
        answer["checked"], answer["known"]
    );
    assert_eq!(lines(&answer, "problems"), "");
    assert_eq!(lines(&answer, "unused"), "");
    assert_eq!(answer["checked"], policies.len());
    assert!(policies.len() >= 48, "{:#?}", policies.keys());
}
