//! The examples' files, byte for byte (`cargo xtask codegen` rewrites them), and every rendered file under the formats' schemas.
#![allow(clippy::unwrap_used)]

use ecspipe_render::{render, resolved_yaml};
use ecspipe_spec::{Facts, Spec, parse};
use proptest::prelude::*;
use serde_json::Value;

const APPSPEC_SCHEMA: &str = include_str!("fixtures/appspec.schema.json");
const BUILDSPEC_SCHEMA: &str = include_str!("fixtures/buildspec.schema.json");

fn spec(text: &str) -> Spec {
    parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn facts(spec: &Spec) -> Facts {
    Facts::new(
        "111122223333",
        spec.region.as_deref().unwrap_or("eu-central-1"),
    )
}

macro_rules! example {
    ($name:literal) => {{
        let spec = spec(include_str!(concat!(
            "../../../examples/",
            $name,
            "/ecspipe.yaml"
        )));
        let want = [
            (
                "taskdef.json",
                include_str!(concat!(
                    "../../../examples/",
                    $name,
                    "/expected/taskdef.json"
                )),
            ),
            (
                "appspec.yaml",
                include_str!(concat!(
                    "../../../examples/",
                    $name,
                    "/expected/appspec.yaml"
                )),
            ),
            (
                "buildspec.yml",
                include_str!(concat!(
                    "../../../examples/",
                    $name,
                    "/expected/buildspec.yml"
                )),
            ),
        ];
        check(&spec, &want);
    }};
}

#[track_caller]
fn check(spec: &Spec, want: &[(&str, &str)]) {
    let have = render(spec, &facts(spec)).unwrap();
    assert_eq!(have.len(), want.len());
    for (have, (name, contents)) in have.iter().zip(want) {
        assert_eq!(have.name, *name);
        assert_eq!(
            have.contents, *contents,
            "{name}: run `cargo xtask codegen` if this is what you meant"
        );
    }
}

#[test]
fn the_tutorials_example() {
    example!("httpd");
}

#[test]
fn the_shortest_example() {
    example!("minimal");
}

#[test]
fn the_guarded_example() {
    example!("guarded");
}

#[test]
fn hooks_come_in_the_order_of_the_events() {
    let spec = spec(
        "version: 1\napp: web\nservice: { port: 80 }\ndeploy:\n  hooks:\n    after_allow_traffic: e\n    before_allow_traffic: d\n    after_allow_test_traffic: arn:aws:lambda:eu-central-1:111122223333:function:c\n    after_install: b\n    before_install: a\n",
    );
    let text = &render(&spec, &facts(&spec)).unwrap()[1].contents;
    let appspec: Value = serde_saphyr::from_str(text).unwrap();
    valid(APPSPEC_SCHEMA, &appspec);
    let want = serde_json::json!([
        { "BeforeInstall": "a" },
        { "AfterInstall": "b" },
        { "AfterAllowTestTraffic": "arn:aws:lambda:eu-central-1:111122223333:function:c" },
        { "BeforeAllowTraffic": "d" },
        { "AfterAllowTraffic": "e" },
    ]);
    assert_eq!(appspec["Hooks"], want, "{text}");
}

#[test]
fn every_file_ends_its_last_line() {
    let spec = spec("version: 1\napp: web\nservice: { port: 80 }\n");
    for artifact in render(&spec, &facts(&spec)).unwrap() {
        assert!(
            artifact.contents.ends_with('\n') && !artifact.contents.ends_with("\n\n"),
            "{}",
            artifact.name
        );
    }
}

#[test]
fn the_version_of_the_appspec_is_a_float_and_its_port_a_number() {
    let spec = spec("version: 1\napp: web\nservice: { port: 80 }\n");
    let text = &render(&spec, &facts(&spec)).unwrap()[1].contents;
    assert!(text.starts_with("version: 0.0\n"), "{text}");
    assert!(text.contains("ContainerPort: 80\n"), "{text}");
}

#[test]
fn the_place_is_in_every_name() {
    let spec = spec("version: 1\napp: web\nservice: { port: 80, architecture: arm64 }\n");
    let artifacts = render(&spec, &Facts::new("444455556666", "cn-north-1")).unwrap();
    let taskdef: Value = serde_json::from_str(&artifacts[0].contents).unwrap();
    assert_eq!(
        taskdef["taskRoleArn"],
        "arn:aws-cn:iam::444455556666:role/web-cn-north-1-task"
    );
    assert_eq!(taskdef["runtimePlatform"]["cpuArchitecture"], "ARM64");
    let buildspec: Value = serde_saphyr::from_str(&artifacts[2].contents).unwrap();
    let variables = &buildspec["env"]["variables"];
    assert_eq!(
        variables["REPOSITORY_URI"],
        "444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/web"
    );
    assert_eq!(variables["PLATFORM"], "linux/arm64");
}

/// Text that a careless template would let out of its place.
fn paths() -> impl Strategy<Value = String> {
    const PIECES: [&str; 21] = [
        "a", " ", "'", "\"", "$(id)", "`id`", "${X}", "{{x}}", ": ", " #", "&a", "*a", "ä",
        "\u{85}", "\u{2028}", "%", "!", "|", ";", "&&", ">x",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 1..8)
        .prop_map(|parts| format!("d/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_spec_says_the_files_keep_their_form(
        dockerfile in paths(),
        context in paths(),
        port in 1..=65535_u16,
        value in any::<String>(),
        arm in any::<bool>(),
    ) {
        let document = serde_json::json!({
            "version": 1, "app": "web",
            "service": { "port": port, "environment": { "A": value.replace('\0', "") }, "architecture": if arm { "arm64" } else { "x86_64" } },
            "load_balancer": { "production": { "port": 443 } },
            "build": { "dockerfile": dockerfile, "context": context },
        });
        // Control characters are refused by the spec.
        prop_assume!(parse(&document.to_string()).is_ok());
        let spec = spec(&document.to_string());
        let artifacts = render(&spec, &facts(&spec)).unwrap();
        prop_assert_eq!(&artifacts, &render(&spec, &facts(&spec)).unwrap());

        let taskdef: Value = serde_json::from_str(&artifacts[0].contents).unwrap();
        prop_assert_eq!(&taskdef["containerDefinitions"][0]["environment"][0]["value"], &value.replace('\0', ""));
        let appspec: Value = serde_saphyr::from_str(&artifacts[1].contents).unwrap();
        valid(APPSPEC_SCHEMA, &appspec);
        let buildspec: Value = serde_saphyr::from_str(&artifacts[2].contents).unwrap();
        valid(BUILDSPEC_SCHEMA, &buildspec);
        prop_assert_eq!(&buildspec["env"]["variables"]["DOCKERFILE"], &dockerfile);
        prop_assert_eq!(&buildspec["env"]["variables"]["CONTEXT"], &context);
        prop_assert_eq!(&buildspec["phases"], &plain_buildspec()["phases"], "the commands depend on the spec");

        let resolved = resolved_yaml(&spec).unwrap();
        prop_assert_eq!(parse(&resolved).unwrap(), spec, "{}", resolved);
    }
}

fn plain_buildspec() -> Value {
    let spec = spec("version: 1\napp: web\nservice: { port: 80 }\n");
    serde_saphyr::from_str(&render(&spec, &facts(&spec)).unwrap()[2].contents).unwrap()
}

#[track_caller]
fn valid(schema: &str, document: &Value) {
    let schema = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\nin {document:#}");
}
