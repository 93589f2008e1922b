//! What is refused before anything is written, users' templates, and deployments without the pipeline.
#![allow(clippy::unwrap_used)]

use ecspipe_render::{RenderError, direct, render, template};
use ecspipe_spec::{Facts, Spec, parse};

fn spec(extra: &str) -> Spec {
    let text = format!("version: 1\napp: web\nservice:\n  port: 80\n{extra}");
    parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn facts() -> Facts {
    Facts::new("111122223333", "eu-central-1")
}

#[track_caller]
fn refused(spec: &Spec, want: &[&str]) {
    match render(spec, &facts()) {
        Err(RenderError::Check { findings }) => {
            let have: Vec<String> = findings
                .iter()
                .map(|one| format!("{}: {}", one.about, one.message))
                .collect();
            assert_eq!(have, want);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_account_and_region_are_refused_together() {
    let extra = "account: 444455556666\nregion: us-east-1\nnetwork:\n  zones:\n    - { name: us-east-1a, public: 10.0.0.0/24, private: 10.0.1.0/24 }\n    - { name: us-east-1b, public: 10.0.2.0/24, private: 10.0.3.0/24 }\n";
    refused(
        &spec(extra),
        &[
            "account: the spec is for account 444455556666, this is 111122223333",
            "region: the spec is for region us-east-1, this is eu-central-1",
            "network.zones: zone us-east-1a is not in region eu-central-1",
            "network.zones: zone us-east-1b is not in region eu-central-1",
        ],
    );
}

#[test]
fn a_value_that_holds_the_placeholder_is_refused() {
    refused(
        &spec("  environment: { A: 'see <IMAGE1_NAME>' }\n"),
        &["taskdef.json: the text <IMAGE1_NAME> is there 2 times, and CodePipeline replaces each"],
    );
}

#[test]
fn a_task_definition_that_is_too_large_is_refused() {
    let pairs = |size: usize| format!("  environment: {{ A: '{}' }}\n", "x".repeat(size));
    assert!(render(&spec(&pairs(64_000)), &facts()).is_ok());
    let found = render(&spec(&pairs(65_000)), &facts())
        .unwrap_err()
        .to_string();
    assert!(found.contains("ECS takes 65536"), "{found}");
    assert!(found.contains("service.environment"), "{found}");
}

#[test]
fn a_template_sees_spec_facts_and_names() {
    let text = "{{spec.app}} {{spec.service.cpu}} {{facts.partition}} {{names.roles.task}} {{names.target_groups.green}}\n\
                {{#each spec.tags}}{{@key}}={{this}};{{/each}}{{#if spec.deploy.approve}}waits{{else}}goes on{{/if}} {{json spec.deploy.strategy}} <&>\"\n";
    let have = template(
        &spec("tags: { a: b, c: d }\ndeploy: { strategy: { canary: { percent: 5, wait: 1m } } }\n"),
        &facts(),
        text,
    )
    .unwrap();
    let want = "web 256 aws web-eu-central-1-task web-green\na=b;c=d;goes on {\"canary\":{\"percent\":5,\"wait\":\"1m\"}} <&>\"\n";
    assert_eq!(have, want);
}

#[test]
fn a_template_escapes_nothing_and_json_escapes_what_yaml_would_trip_over() {
    let spec = spec("build: { dockerfile: \"d/<&>\\u2028ä\" }\n");
    let have = template(
        &spec,
        &facts(),
        "{{spec.build.dockerfile}} {{json spec.build.dockerfile}}",
    )
    .unwrap();
    assert_eq!(have, "d/<&>\u{2028}ä \"d/<&>\\u2028ä\"");
}

#[test]
fn mistakes_in_a_template_say_where() {
    for (text, want) in [
        (
            "a\n  {{spec.nope}}",
            "line 2, column 3: `spec.nope` is not a variable; there are `spec`, `facts` and `names`",
        ),
        (
            "{{json nope}}",
            "line 1, column 1: `nope` is not a variable; there are `spec`, `facts` and `names`",
        ),
        ("a\n\n{{nope x}}", "line 3, column 1: Helper not found nope"),
        ("{{> nope}}", "line 1, column 1: Partial not found nope"),
    ] {
        assert_eq!(
            template(&spec(""), &facts(), text).unwrap_err().to_string(),
            want
        );
    }
    let open = template(&spec(""), &facts(), "a\n{{#if spec.app}}").unwrap_err();
    assert!(
        matches!(open, RenderError::Template { line: Some(_), .. }),
        "{open}"
    );
}

#[test]
fn absent_keys_can_be_asked_for() {
    let text = "{{#if spec.region}}r{{/if}}{{#if spec.account}}a{{/if}}{{spec.service.image}}|";
    assert_eq!(template(&spec(""), &facts(), text).unwrap(), "|");
}

#[test]
fn a_direct_deployment_differs_in_the_image_and_the_arn_only() {
    let spec = spec("");
    let image = format!(
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web@sha256:{}",
        "a".repeat(64)
    );
    let definition = direct::task_definition(&spec, &facts(), &image).unwrap();
    let arn = facts().arn("ecs", "task-definition/web:7");
    let artifacts = render(&spec, &facts()).unwrap();
    let piped = &artifacts[0].contents;
    assert_eq!(
        piped.replace("<IMAGE1_NAME>", &image),
        serde_json::to_string_pretty(&definition).unwrap() + "\n"
    );
    assert_eq!(
        artifacts[1].contents.replace("<TASK_DEFINITION>", &arn),
        direct::appspec(&spec, &arn, None).unwrap()
    );
}

#[test]
fn a_direct_deployment_of_no_image_is_refused() {
    let error = direct::task_definition(&spec(""), &facts(), "Not An Image").unwrap_err();
    assert_eq!(error.to_string(), "`Not An Image` is not an image");
}
