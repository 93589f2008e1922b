//! `plan` for several specs: one command, shared lookups, grouped output, the gravest exit code.

use crate::stage::Stage;

fn app(name: &str) -> String {
    format!(
        "version: 1\napp: {name}\nregion: eu-central-1\nservice: {{ image: 'httpd:2.4.58', port: 80 }}\n"
    )
}

/// A folder `apps` with a spec for each of `names`, and the first of them made.
async fn apps(names: &[&str]) -> Stage {
    let stage = Stage::new(&app(names[0]));
    for name in names {
        let folder = stage.folder.path().join("apps").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ecspipe.yaml"), app(name)).unwrap();
    }
    stage.run("up --yes").await.exits(0);
    stage
}

#[tokio::test(start_paused = true)]
async fn many_specs_are_planned_in_one_command() {
    let stage = apps(&["one", "two", "three"]).await;
    let ran = stage
        .run("plan --exit-code -f apps/*/ecspipe.yaml")
        .await
        .exits(10);
    assert!(!ran.out.contains("apps/one/"), "{}", ran.out);
    assert!(
        ran.out
            .contains("apps/two/ecspipe.yaml\ntwo in eu-central-1"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("apps/three/ecspipe.yaml\nthree in eu-central-1"),
        "{}",
        ran.out
    );
    assert!(ran.out.trim_end().ends_with("41 unchanged."), "{}", ran.out);
    assert!(
        ran.out.contains("3 specs, 2 with changes: 82 to create"),
        "{}",
        ran.out
    );

    let json = stage
        .run("plan --format json -f apps/one/ecspipe.yaml -f apps/two/ecspipe.yaml")
        .await
        .exits(0)
        .json();
    assert_eq!(json["plans"][0]["file"], "apps/one/ecspipe.yaml");
    assert_eq!(json["plans"][0]["summary"]["unchanged"], 41);
    assert_eq!(json["plans"][1]["summary"]["create"], 41);
    assert_eq!(json["summary"]["create"], 41);
    assert_eq!(json["failed"], 0);
}

/// What several specs share is asked once.
#[tokio::test(start_paused = true)]
async fn shared_lookups_are_made_once() {
    let stage = apps(&["one", "two", "three", "four", "five", "six"]).await;
    stage.sandbox.reset_counts();
    stage.run("plan -f apps/*/ecspipe.yaml").await.exits(0);
    let counts = stage.sandbox.counts();
    for (service, operation) in [
        ("sts", "GetCallerIdentity"),
        ("iam", "GetAccountAuthorizationDetails"),
        ("tagging", "GetResources"),
        ("ec2", "DescribeVpcs"),
        ("ec2", "DescribeSubnets"),
        ("ec2", "DescribeAvailabilityZones"),
        ("ecs", "DescribeClusters"),
        ("logs", "DescribeLogGroups"),
        ("codebuild", "BatchGetProjects"),
        ("codedeploy", "ListDeploymentConfigs"),
        ("elasticloadbalancing", "DescribeLoadBalancers"),
    ] {
        let calls = counts.get(&(service.to_owned(), operation.to_owned()));
        assert_eq!(calls, Some(&1), "{service} {operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_mistakes_of_all_specs_are_told_at_once() {
    let stage = apps(&["one", "two"]).await;
    for name in ["one", "two"] {
        let file = stage
            .folder
            .path()
            .join("apps")
            .join(name)
            .join("ecspipe.yaml");
        std::fs::write(
            file,
            format!("version: 1\napp: {name}\nservice: {{ port: 80000 }}\n"),
        )
        .unwrap();
    }
    stage
        .run("plan -f apps/*/ecspipe.yaml")
        .await
        .exits(3)
        .says(&[
            "2 of 2 specs can't be used",
            "apps/one/ecspipe.yaml has 1 problem",
            "apps/two/ecspipe.yaml has 1 problem",
        ]);
    stage
        .run("plan -f nowhere.yaml -f neither.yaml")
        .await
        .exits(2)
        .says(&[
            "there is no neither.yaml here\nhint: ",
            "there is no nowhere.yaml here\nhint: ",
        ]);
    let both = "-f ecspipe.yaml -f ecspipe.yaml";
    stage.run(&format!("plan {both}")).await.exits(0);
    stage
        .run(&format!("up {both}"))
        .await
        .exits(2)
        .says(&["only `plan` takes several"]);
    stage
        .run("plan -f nowhere/*.yaml")
        .await
        .exits(2)
        .says(&["no file here is called nowhere/*.yaml"]);
    std::fs::copy(
        stage.folder.path().join("ecspipe.yaml"),
        stage.folder.path().join("same.yaml"),
    )
    .unwrap();
    stage
        .run("plan -f *.yaml")
        .await
        .exits(2)
        .says(&["are both for the app one"]);
}

/// A program gets an entry for each spec, whatever is wrong with others.
#[tokio::test(start_paused = true)]
async fn a_broken_spec_hides_no_other_from_a_program() {
    let stage = apps(&["one", "two"]).await;
    let folder = stage.folder.path();
    std::fs::write(folder.join("apps/two/ecspipe.yaml"), "version: 1\n").unwrap();
    std::fs::write(folder.join("apps/same.yaml"), app("one")).unwrap();
    let all = "-f apps/*/ecspipe.yaml -f apps/nowhere.yaml -f apps/same.yaml";
    let ran = stage
        .run(&format!("plan {all} --format json"))
        .await
        .exits(3);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let told: Vec<(&str, i64)> = value["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let exit = entry["error"]["exit"].as_i64();
            let planned = || entry["plan"].is_object().then_some(0);
            (
                entry["file"].as_str().unwrap(),
                exit.or_else(planned).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("apps/nowhere.yaml", 2),
            ("apps/one/ecspipe.yaml", 0),
            ("apps/same.yaml", 2),
            ("apps/two/ecspipe.yaml", 3),
        ]
    );
    assert_eq!(value["failed"], 3);
}

/// What keeps one app from being planned keeps no other.
#[tokio::test(start_paused = true)]
async fn one_that_can_not_be_planned_keeps_no_other() {
    let stage = apps(&["one", "two"]).await;
    let file = stage.folder.path().join("apps/two/ecspipe.yaml");
    let other = format!("{}account: '999999999999'\n", app("two"));
    std::fs::write(file, other).unwrap();
    let ran = stage.run("plan -f apps/*/ecspipe.yaml").await.exits(7);
    assert!(ran.out.contains("1 without a plan"), "{}", ran.out);
    assert!(
        ran.err.contains("the spec is for account 999999999999"),
        "{}",
        ran.err
    );
}
