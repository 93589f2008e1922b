//! How a rollout is told elsewhere than on a terminal: events as JSON, build services, and the page of `--report`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::failure::until;
use super::stage::{AUTOMATIC, Ran, Stage, TUTORIAL};

const CANARY: &str = "version: 1
app: web
region: eu-central-1
service: { image: 'httpd:2.4.58', port: 80, desired_count: 2 }
deploy: { strategy: { canary: { percent: 20, wait: 5m } }, approve: { within: 60m }, keep_old: 5m }
";

async fn made(spec: &str) -> Stage {
    let stage = Stage::new(spec);
    stage.run("up --yes").await.exits(0);
    stage.minutes(10).await;
    stage
}

/// Every line that a program may read is as the published schema says: of rollouts that end well, wait, are stopped, fail in the
/// build and in the tasks, and are followed through trouble.
#[tokio::test(start_paused = true)]
async fn every_event_is_as_the_schema_says() {
    let schema = Stage::new(TUTORIAL)
        .run("schema events")
        .await
        .exits(0)
        .json();
    let validator = jsonschema::validator_for(&closed(schema)).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    // What is said beside, such as how far back a rollback goes, is talk.
    let mut check = |ran: Ran| {
        let lines: Vec<&str> = ran.out.lines().collect();
        for line in &lines {
            let event: Value = serde_json::from_str(line).unwrap();
            if let Err(error) = validator.validate(&event) {
                panic!("{error} in {event:#}");
            }
            seen.insert(event["event"].as_str().unwrap().to_owned());
        }
        let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        let least = match last["event"].as_str() {
            Some("ended") => 4,
            // What is half way is put back in a few calls.
            Some("put_back") => 2,
            other => panic!("{other:?} comes last"),
        };
        assert!(lines.len() >= least, "{}", ran.out);
    };
    let stage = made(CANARY).await;
    stage.push("web", "<h1>first</h1>\n");
    check(
        stage
            .run("deploy --until ready --format json")
            .await
            .exits(8),
    );
    stage.run("reroute").await.exits(0);
    check(stage.run("watch --format json").await.exits(0));
    check(
        stage
            .run("deploy --image nginx:1.27 --until ready --format json")
            .await
            .exits(8),
    );
    stage.run("stop").await.exits(0);
    check(stage.run("watch --format json").await.exits(6));
    stage
        .run("deploy --image nginx:1.27 --until ready")
        .await
        .exits(8);
    stage.run("reroute").await.exits(0);
    stage.run("stop --no-rollback").await.exits(0);
    check(stage.run("rollback --yes --format json").await.exits(0));
    stage.push_files(
        "web",
        &[("Dockerfile", "FROM httpd:2.4.58\nCOPY ./missing/ /x/\n")],
    );
    check(stage.run("watch --format json").await.exits(6));
    let stage = made(AUTOMATIC).await;
    stage
        .sandbox
        .faults()
        .unhealthy_images
        .push("shop:bad".to_owned());
    check(
        stage
            .run("deploy --image shop:bad --format json")
            .await
            .exits(6),
    );
    stage.run("deploy --image nginx:1.27").await.exits(0);
    stage.run("deploy --image nginx:1.28").await.exits(0);
    check(stage.run("rollback --yes --format json").await.exits(0));
    assert!(seen.len() > 18, "{seen:#?}");
    // A validator that lets anything pass would prove nothing.
    let wrong = serde_json::json!({"at": "2026-01-01T00:00:00Z", "event": "stage_started"});
    assert!(!validator.is_valid(&wrong));
    let wrong = serde_json::json!({"event": "stage_started", "stage": "Source"});
    assert!(!validator.is_valid(&wrong));
    let right = serde_json::json!({"at": "2026-01-01T00:00:00Z", "event": "stage_started", "stage": "Source"});
    assert!(validator.is_valid(&right));
    let mut wrong = right;
    wrong["undescribed"] = 1.into();
    assert!(!validator.is_valid(&wrong));
}

/// The schema lets fields come that a later version has; here each that comes must be described.
fn closed(mut schema: Value) -> Value {
    fn close(schema: &mut Value) {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(close);
        }
        let Value::Object(fields) = schema else {
            return;
        };
        fields.values_mut().for_each(close);
        if fields.get("properties").is_some_and(Value::is_object) {
            fields.insert("additionalProperties".to_owned(), false.into());
        }
    }
    for part in ["$defs", "properties"] {
        close(&mut schema[part]);
    }
    // A line is `at` and what its event has.
    schema["unevaluatedProperties"] = false.into();
    schema
}

/// GitHub folds stages, shows the reason where people look first, and keeps a summary.
#[tokio::test(start_paused = true)]
async fn github_gets_groups_annotations_and_a_summary() {
    let stage = made(AUTOMATIC).await;
    let summary = stage.folder.path().join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let github = async |args: &str| {
        let mut surroundings = stage.surroundings();
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
            ("GITHUB_WORKSPACE", stage.folder.path().to_str().unwrap()),
        ] {
            surroundings
                .world
                .env
                .insert(name.to_owned(), value.to_owned());
        }
        surroundings.run(args).await
    };
    stage.push("web", "<h1>first</h1>\n");
    let ran = github("watch").await.exits(0);
    let marks: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.starts_with("::"))
        .collect();
    let open: Vec<&str> = marks
        .iter()
        .copied()
        .filter(|mark| mark.starts_with("::group::"))
        .collect();
    assert_eq!(
        open,
        ["::group::Source", "::group::Build", "::group::Deploy"],
        "{}",
        ran.err
    );
    // A group ends before the next begins, and the stage's end is seen when it is folded.
    let mut depth = 0;
    for line in ran.err.lines() {
        match line {
            "::endgroup::" => depth -= 1,
            line if line.starts_with("::group::") => depth += 1,
            line if line.contains("✓ Build") || line.contains("succeeded: ") => {
                assert_eq!(depth, 0, "{}", ran.err)
            }
            _ => {}
        }
        assert!((0..=1).contains(&depth), "{}", ran.err);
    }
    assert_eq!(depth, 0);
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n### ✅ web: succeeded"), "{text}");
    for step in [
        "| ✅ | **Source** |",
        "| ✅ | **Build** |",
        "| ✅ | AllowTraffic <sub>d-",
        "| ⏸ | keeps the old tasks",
    ] {
        assert!(text.contains(step), "{step} in {text}");
    }

    stage
        .sandbox
        .faults()
        .unhealthy_images
        .push("shop:bad".to_owned());
    let ran = github("deploy --image shop:bad").await.exits(6);
    let errors: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.starts_with("::error "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", ran.err);
    assert!(
        errors[0].starts_with("::error title=rollout::"),
        "{}",
        errors[0]
    );
    assert!(errors[0].contains("%0Anext: "), "{}", errors[0]);
    assert!(
        std::fs::read_to_string(&summary)
            .unwrap()
            .contains("\n### ❌ web: ")
    );

    stage.write(
        "ecspipe.yaml",
        "version: 1\napp: web\nservice:\n  prot: 80\n",
    );
    let ran = github("plan").await.exits(3);
    let want = "::error file=ecspipe.yaml,line=4,col=3,title=service.prot::`prot` is not a key here%0Ahelp: did you mean `port`?";
    assert!(ran.err.lines().any(|line| line == want), "{}", ran.err);
    // Without GitHub nothing of this is written.
    let plain = stage.run("plan").await.exits(3);
    assert!(!plain.err.contains("::"), "{}", plain.err);
}

#[tokio::test(start_paused = true)]
async fn other_build_services_get_plain_text() {
    let stage = made(AUTOMATIC).await;
    let under = async |name: &str, args: &str| {
        let mut surroundings = stage.surroundings();
        surroundings
            .world
            .env
            .insert(name.to_owned(), "true".to_owned());
        surroundings.run(args).await
    };
    let gitlab = under("GITLAB_CI", "deploy --image nginx:1.27")
        .await
        .exits(0)
        .err;
    let starts: Vec<&str> = gitlab
        .lines()
        .filter(|line| line.contains("section_start:"))
        .collect();
    assert_eq!(starts.len(), 1, "{gitlab}");
    let name = starts[0]
        .split(':')
        .nth(2)
        .unwrap()
        .split('[')
        .next()
        .unwrap();
    assert!(name.starts_with("deployment_d-"), "{name}");
    assert!(
        gitlab.contains(&format!(":{name}\r\u{1b}[0K\n")),
        "{gitlab}"
    );
    let codebuild = under("CODEBUILD_BUILD_ID", "deploy --image nginx:1.28")
        .await
        .exits(0)
        .err;
    assert!(
        !codebuild.contains(['\u{1b}', '\r']) && !codebuild.contains("::"),
        "{codebuild}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_the_rollout_and_needs_nothing_else() {
    let stage = made(CANARY).await;
    stage
        .run("deploy --image nginx:1.26 --until ready --report reports/one.html")
        .await
        .exits(8);
    let file = stage.folder.path().join("reports/one.html");
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("waiting for you")
    );
    stage.run("reroute").await.exits(0);
    stage.run("watch --report reports/one.html").await.exits(0);
    let page = std::fs::read_to_string(&file).unwrap();
    well_formed(&page);
    for text in [
        "succeeded: production serves web:2",
        "id=\"timeline\"",
        "id=\"traffic\"",
        "id=\"tasks\"",
        "keeps the old tasks",
        "AllowTraffic",
        "(20 % new)",
    ] {
        assert!(page.contains(text), "{text} is missing in\n{page}");
    }
    let dom = rendered(&file);
    if let Some(dom) = &dom {
        assert!(
            dom.contains("<svg") && dom.contains("id=\"verdict\""),
            "{dom}"
        );
    }

    // What a person or a task says is text, wherever it comes from.
    stage.push_files(
        "web",
        &[(
            "Dockerfile",
            "FROM httpd:2.4.58\nCOPY <script>alert(1)</script>& /x/\n",
        )],
    );
    stage.run("watch --report failed.html").await.exits(6);
    let page = std::fs::read_to_string(stage.folder.path().join("failed.html")).unwrap();
    well_formed(&page);
    assert!(
        page.contains("failed: ") && page.contains("✗ Build"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");

    // What can't be written is said before anything is begun.
    let ran = stage
        .run("deploy --image nginx:1.27 --report reports")
        .await
        .exits(2);
    assert!(ran.err.contains("cannot write reports"), "{}", ran.err);
    stage.run("status").await.exits(0);
    assert!(stage.transcript.lock().unwrap().contains("none in flight"));
}

/// A user who leaves has a page of what was seen, and knows that it isn't the end.
#[tokio::test(start_paused = true)]
async fn the_page_is_written_when_the_user_leaves() {
    let stage = made(TUTORIAL).await;
    let surroundings = stage.surroundings();
    let deploy = surroundings.run("deploy --image nginx:1.27 --report left.html");
    let (ran, ()) = tokio::join!(deploy, async {
        until(&surroundings, "deployment d-").await;
        surroundings.world.cancel().cancel();
    });
    ran.exits(9);
    let page = std::fs::read_to_string(stage.folder.path().join("left.html")).unwrap();
    well_formed(&page);
    assert!(
        page.contains("not followed to its end") && page.contains("created deployment d-"),
        "{page}"
    );
}

/// Parses as XML, which is stricter than any browser, and asks for nothing from outside: addresses stand in links alone.
#[track_caller]
fn well_formed(page: &str) {
    let mut reader = quick_xml::Reader::from_str(page);
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(tag) => {
                names.push(tag.name().as_ref().to_owned());
                harmless(&tag);
            }
            quick_xml::events::Event::Empty(tag) => harmless(&tag),
            quick_xml::events::Event::End(tag) => {
                assert_eq!(names.pop().as_deref(), Some(tag.name().as_ref()));
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert!(names.is_empty());
    assert!(!page.contains("@import") && !page.contains("url("));
}

#[track_caller]
fn harmless(tag: &quick_xml::events::BytesStart<'_>) {
    let name = tag.name();
    let name: &str = name.as_ref();
    assert!(
        !["script", "link", "img", "iframe", "object", "image", "use"].contains(&name),
        "{name}"
    );
    for attribute in tag.attributes() {
        let attribute = attribute.unwrap();
        let key: &str = attribute.key.as_ref();
        let value: &str = &attribute.value;
        let is_address = value.contains("://");
        let may = name == "a" && key == "href";
        assert!(may || !is_address, "{name} {key}={value}");
        assert!(key != "src" && !key.starts_with("on"), "{name} {key}");
    }
}

/// What Chromium makes of the page; `None`, said, where there is none.
fn rendered(file: &Path) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let run = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &format!("file://{}", file.display())])
        .stderr(Stdio::null())
        .output();
    match run {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "skipped: the page in Chromium: {error}");
            None
        }
    }
}
