//! `policy`: the documents on stdout, the reasons beside them, and nothing asked of AWS where the place is known.

use std::collections::BTreeSet;

use serde_json::Value;

use super::stage::{AUTOMATIC, Stage, TUTORIAL};

const PLACE: &str = "--account 111122223333 --region eu-central-1";

#[tokio::test(start_paused = true)]
async fn one_document_is_the_data_and_its_reasons_are_the_talk() {
    let stage = Stage::new(AUTOMATIC);
    let ran = stage
        .run("policy operate --account 111122223333")
        .await
        .exits(0)
        .says(&[
            "web for operate, in eu-central-1 (account 111122223333)\n",
            "\nAttend\n  lets a deployment go on, and stops it; AWS takes no narrower resource for it\n  may codedeploy:ContinueDeployment, codedeploy:StopDeployment\n  on  *\n",
            " statements in one document\n",
        ]);
    let document = ran.json();
    assert_eq!(document["Version"], "2012-10-17");
    assert_eq!(stage.sandbox.counts().len(), 0);
    let talk: Vec<&str> = ran.err.lines().collect();
    for statement in document["Statement"].as_array().unwrap() {
        let sid = statement["Sid"].as_str().unwrap();
        assert!(talk.contains(&sid), "{sid}");
        assert_eq!(statement["Effect"], "Allow");
    }
    for line in talk.iter().filter(|line| !line.contains("arn:")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn json_holds_documents_and_reasons() {
    let stage = Stage::new(TUTORIAL);
    let ran = stage.run("policy --format json").await.exits(0);
    assert_eq!(ran.err, "");
    let policy = ran.json();
    assert_eq!(policy["account"], "111122223333");
    assert_eq!(
        policy["commands"],
        serde_json::json!(["plan", "up", "deploy", "operate", "down", "doctor"])
    );
    let sids = |list: &Value, name: &str| -> BTreeSet<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|statement| statement[name].as_str().unwrap().to_owned())
            .collect()
    };
    let documents = policy["documents"].as_array().unwrap();
    assert!(documents.len() > 1);
    let held: BTreeSet<String> = documents
        .iter()
        .flat_map(|document| sids(&document["Statement"], "Sid"))
        .collect();
    assert_eq!(held, sids(&policy["statements"], "sid"));
    // A profile says the account: STS needs no permission.
    assert_eq!(
        stage.sandbox.counts().into_keys().collect::<Vec<_>>(),
        [("sts".to_owned(), "GetCallerIdentity".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn documents_can_be_files() {
    let stage = Stage::new(AUTOMATIC);
    let ran = stage
        .run(&format!(
            "policy up down --delete-source --out policies {PLACE}"
        ))
        .await
        .exits(0);
    assert_eq!(ran.out, "");
    let folder = stage.folder.path().join("policies");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 1, "{names:?}");
    let mut deletes = false;
    for (index, name) in names.iter().enumerate() {
        assert_eq!(*name, format!("web-up-down-with-source-{}.json", index + 1));
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let characters = text.chars().filter(|c| !c.is_whitespace()).count();
        assert!(characters <= 6_144, "{name}: {characters}");
        deletes |= text.contains("codecommit:DeleteRepository");
    }
    assert!(deletes);
    assert!(
        ran.err
            .contains("because IAM takes at most 6144 characters"),
        "{}",
        ran.err
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be() {
    let stage = Stage::new(AUTOMATIC);
    stage
        .run(&format!("policy up --delete-source {PLACE}"))
        .await
        .exits(2)
        .says(&["error: `--delete-source` belongs to `down`\nhint: name `down` too"]);
    stage.run("policy init").await.exits(2).says(&["init"]);
    stage
        .run("policy up --account 12")
        .await
        .exits(2)
        .says(&["`12` is not an account id"]);
    let other = Stage::new(&format!("{AUTOMATIC}account: '444455556666'\n"));
    let ran = other.run("policy plan").await.exits(0);
    assert!(ran.out.contains(":444455556666:"), "{}", ran.out);
}
