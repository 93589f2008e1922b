//! Runs the buildspec's commands the way CodeBuild does (one shell, stop at the first failure) with stand-ins for docker,
//! aws and jq, and looks at what they were called with and what is left. Skipped, loudly, where there is no bash.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the commands run in a temporary folder"
)]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ecspipe_render::buildspec;
use ecspipe_spec::{Facts, parse};
use serde_json::{Value, json};
use tempfile::TempDir;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OLD_DIGEST: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// Writes down its arguments and what comes in, and leaves the metadata of a build.
const DOCKER: &str = r#"#!/bin/bash
{ printf '[%s]' "$@"; printf '\n'; } >> "$LOG"
if [ "$1" = login ]; then printf 'stdin=%s\n' "$(cat)" >> "$LOG"; [ "$FAKE_LOGIN" != broken ]; exit; fi
if [ "$1 $2" = "buildx build" ]; then
  [ "$FAKE_BUILD" = broken ] && exit 1
  while [ "$#" -gt 0 ]; do [ "$1" = --metadata-file ] && printf '{"containerimage.digest":"%s"}' "$FAKE_DIGEST" > "$2"; shift; done
fi
exit 0
"#;

const AWS: &str = r#"#!/bin/bash
{ printf 'aws '; printf '[%s]' "$@"; printf '\n'; } >> "$LOG"
case "$1 $2" in
  "ecr get-login-password") [ "$FAKE_PASSWORD" = broken ] && { echo "token expired" >&2; exit 255; }; echo secret ;;
  "ecr describe-images") case "$FAKE_IMAGE" in
    there) echo "$OLD_DIGEST" ;;
    absent) echo "An error occurred (ImageNotFoundException) when calling the DescribeImages operation" >&2; exit 254 ;;
    odd) echo None ;;
    *) echo "An error occurred (AccessDeniedException) when calling the DescribeImages operation" >&2; exit 254 ;;
  esac ;;
  *) exit 2 ;;
esac
"#;

/// The three forms that the commands use.
const JQ: &str = r#"#!/bin/bash
case "$*" in
  '-er ."containerimage.digest" '*) sed -n 's/.*"containerimage.digest":"\([^"]*\)".*/\1/p' "$3" | grep . ;;
  '-er .ImageURI '*) sed -n 's/.*"ImageURI": "\([^"]*\)".*/\1/p' "$3" | grep . ;;
  '-n --arg uri '*' {ImageURI: $uri}') printf '{\n  "ImageURI": "%s"\n}\n' "$4" ;;
  *) echo "jq is called in a way that this test doesn't know: $*" >&2; exit 2 ;;
esac
"#;

/// What one build did.
struct Outcome {
    succeeded: bool,
    /// The calls of docker and aws, one a line.
    log: String,
    /// What the commands printed, and the exported variables at the end.
    output: String,
    /// `imageDetail.json`, if it is there.
    image_detail: Option<Value>,
    /// Everything in the source folder.
    files: Vec<String>,
}

fn has_bash() -> bool {
    let found = Command::new("bash")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: there is no bash here");
    }
    found
}

fn rendered(dockerfile: &str, context: &str) -> Value {
    let document = json!({
        "version": 1, "app": "web", "service": { "port": 80 }, "build": { "dockerfile": dockerfile, "context": context },
        "load_balancer": { "production": { "port": 443 } },
    });
    let spec = parse(&document.to_string()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    serde_saphyr::from_str(&buildspec(&spec, &Facts::new("111122223333", "eu-central-1")).unwrap())
        .unwrap()
}

fn commands(buildspec: &Value) -> Vec<String> {
    ["install", "pre_build", "build", "post_build"]
        .iter()
        .flat_map(|phase| {
            buildspec["phases"][phase]["commands"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .map(|command| command.as_str().unwrap().to_owned())
        .collect()
}

/// Runs the build with `fakes`, pairs of environment variables that tell the stand-ins what to do.
fn build(dockerfile: &str, context: &str, fakes: &[(&str, &str)]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let (bin, source, scratch) = (
        folder.path().join("bin"),
        folder.path().join("src"),
        folder.path().join("tmp"),
    );
    for path in [&bin, &source, &scratch] {
        fs::create_dir(path).unwrap();
    }
    for (name, text) in [("docker", DOCKER), ("aws", AWS), ("jq", JQ)] {
        let path = bin.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let buildspec = rendered(dockerfile, context);
    let mut shell = Command::new("bash");
    // CodeBuild evaluates one command after the other in one shell, and looks at each one's status.
    shell.arg("-c").arg("for command in \"$@\"; do eval \"$command\" || exit 1; done; declare -p IMAGE_URI IMAGE_DIGEST").arg("build");
    shell
        .args(commands(&buildspec))
        .current_dir(&source)
        .env_clear();
    let log = folder.path().join("log");
    shell.env(
        "PATH",
        format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
    );
    shell
        .env("TMPDIR", &scratch)
        .env("LOG", &log)
        .env("AWS_REGION", "eu-central-1");
    shell.env(
        "CODEBUILD_RESOLVED_SOURCE_VERSION",
        "0123456789abcdef0123456789abcdef01234567",
    );
    shell
        .env("FAKE_DIGEST", DIGEST)
        .env("OLD_DIGEST", OLD_DIGEST)
        .env("FAKE_IMAGE", "absent");
    for (name, value) in buildspec["env"]["variables"].as_object().unwrap() {
        shell.env(name, value.as_str().unwrap());
    }
    let result = shell
        .envs(fakes.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        succeeded: result.status.success(),
        log: fs::read_to_string(&log).unwrap_or_default(),
        output: text(&result.stdout) + &text(&result.stderr),
        image_detail: fs::read_to_string(source.join("imageDetail.json"))
            .ok()
            .map(|text| serde_json::from_str(&text).unwrap()),
        files: names_in(&source),
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_build_pushes_and_names_the_digest() {
    if !has_bash() {
        return;
    }
    let outcome = build("Dockerfile", ".", &[]);
    assert!(outcome.succeeded, "{}", outcome.output);
    let uri = format!("111122223333.dkr.ecr.eu-central-1.amazonaws.com/web@{DIGEST}");
    assert_eq!(outcome.image_detail, Some(json!({ "ImageURI": uri })));
    assert!(
        outcome.output.contains(&format!("IMAGE_URI=\"{uri}\"")),
        "{}",
        outcome.output
    );
    assert!(
        outcome
            .output
            .contains(&format!("IMAGE_DIGEST=\"{DIGEST}\"")),
        "{}",
        outcome.output
    );
    assert_eq!(outcome.files, ["imageDetail.json"]);
    let log = &outcome.log;
    assert!(log.contains("[login][--username][AWS][--password-stdin][111122223333.dkr.ecr.eu-central-1.amazonaws.com]\nstdin=secret\n"), "{log}");
    assert!(
        log.contains(
            "[buildx][build][--push][--provenance=false][--sbom=false][--platform][linux/amd64]"
        ),
        "{log}"
    );
    assert!(log.contains("[--cache-from][type=registry,ref=111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:buildcache]"), "{log}");
    assert!(log.contains("[--tag][111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:0123456789abcdef0123456789abcdef01234567-"), "{log}");
    assert!(
        log.trim_end().ends_with("[--file][./Dockerfile][--][./.]"),
        "{log}"
    );
    assert!(!log.contains(":latest"), "{log}");
}

#[test]
fn a_repeated_build_takes_the_image_that_is_there() {
    if !has_bash() {
        return;
    }
    let outcome = build("Dockerfile", ".", &[("FAKE_IMAGE", "there")]);
    assert!(outcome.succeeded, "{}", outcome.output);
    assert!(!outcome.log.contains("[buildx]"), "{}", outcome.log);
    let uri = format!("111122223333.dkr.ecr.eu-central-1.amazonaws.com/web@{OLD_DIGEST}");
    assert_eq!(outcome.image_detail, Some(json!({ "ImageURI": uri })));
}

#[test]
fn another_dockerfile_or_platform_of_the_same_commit_is_another_image() {
    if !has_bash() {
        return;
    }
    let tag = |outcome: Outcome| {
        let tag = outcome
            .log
            .split("[imageTag=")
            .nth(1)
            .unwrap()
            .split(']')
            .next()
            .unwrap()
            .to_owned();
        assert!(tag.len() <= 128, "{tag}");
        tag
    };
    let first = tag(build("Dockerfile", ".", &[]));
    assert_eq!(first, tag(build("Dockerfile", ".", &[])));
    assert_ne!(first, tag(build("Other", ".", &[])));
    assert_ne!(first, tag(build("Dockerfile", "web", &[])));
    assert_ne!(
        first,
        tag(build("Dockerfile", ".", &[("PLATFORM", "linux/arm64")]))
    );
    // The version of an S3 source is no commit.
    let odd = tag(build(
        "Dockerfile",
        ".",
        &[("CODEBUILD_RESOLVED_SOURCE_VERSION", ".a/b:ä+c")],
    ));
    assert!(
        odd.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            && !odd.starts_with('-'),
        "{odd}"
    );
}

#[test]
fn a_failure_anywhere_ends_the_build_without_a_file() {
    if !has_bash() {
        return;
    }
    for (fakes, said) in [
        (&[("FAKE_PASSWORD", "broken")][..], "token expired"),
        (&[("FAKE_LOGIN", "broken")], ""),
        (&[("FAKE_IMAGE", "denied")], "AccessDeniedException"),
        (&[("FAKE_IMAGE", "odd")], "not a digest: None"),
        (&[("FAKE_BUILD", "broken")], ""),
        (&[("FAKE_DIGEST", "sha256:short")], "not a digest"),
        (&[("FAKE_DIGEST", "")], ""),
        (&[("REPOSITORY_URI", "")], "REPOSITORY_URI"),
        (
            &[("CODEBUILD_RESOLVED_SOURCE_VERSION", "")],
            "CODEBUILD_RESOLVED_SOURCE_VERSION",
        ),
    ] {
        let outcome = build("Dockerfile", ".", fakes);
        assert!(!outcome.succeeded, "{fakes:?}");
        assert_eq!(outcome.image_detail, None, "{fakes:?}");
        assert!(
            outcome.output.contains(said),
            "{fakes:?}: {}",
            outcome.output
        );
    }
}

#[test]
fn hostile_paths_are_arguments_and_never_code() {
    if !has_bash() {
        return;
    }
    for path in [
        "a b",
        "it's",
        "$(touch pwned)",
        "`touch pwned`",
        "x; touch pwned #",
        "\" && touch pwned && \"",
        "${LOG}",
        "*",
        "a'$(touch pwned)'b",
        "SCRIPT",
        "{{dockerfile}}",
        "https://example.com/x",
    ] {
        let outcome = build(path, path, &[]);
        assert!(outcome.succeeded, "{path}: {}", outcome.output);
        assert_eq!(outcome.files, ["imageDetail.json"], "{path}");
        assert!(
            outcome
                .log
                .contains(&format!("[--file][./{path}][--][./{path}]\n")),
            "{path}: {}",
            outcome.log
        );
    }
}

#[test]
fn the_commands_and_the_scripts_in_them_are_bash() {
    if !has_bash() {
        return;
    }
    let all = commands(&rendered("Dockerfile", ".")).join("\n");
    syntax(&all);
    // A here-document is text to `bash -n`; its content is looked at by itself.
    let scripts: Vec<&str> = all
        .split("<<'SCRIPT'\n")
        .skip(1)
        .map(|rest| rest.split("\nSCRIPT").next().unwrap())
        .collect();
    assert_eq!(scripts.len(), 2);
    scripts.into_iter().for_each(syntax);
}

fn syntax(text: &str) {
    let result = Command::new("bash")
        .args(["-n", "-c", text])
        .output()
        .unwrap();
    assert!(
        result.status.success(),
        "{}\nin\n{text}",
        String::from_utf8_lossy(&result.stderr)
    );
}
