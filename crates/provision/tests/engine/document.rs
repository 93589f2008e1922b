//! What `plan --format json` prints is what its published schema says, and the schema says all of it.

use std::path::Path;
use std::sync::LazyLock;

use ecspipe_provision::document::{Answer, Document, Entry, Many, One, Trouble, VERSION, schema};
use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::Resource;
use ecspipe_provision::{Area, Options, Plan, Summary, Targets};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::account::{DOWN, IN_FLIGHT, bring, edit, id, plan_for, roll_out, up};
use crate::specs::{any_two, tutorial, tutorial_with};

/// The schema, closed: what it doesn't name is an error here, while whoever reads plans has to bear new fields.
static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let mut schema = schema();
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        definition["unevaluatedProperties"] = json!(false);
    }
    schema["unevaluatedProperties"] = json!(false);
    jsonschema::validator_for(&schema).unwrap()
});

#[track_caller]
fn holds(document: &Document<'_>) -> Value {
    let value = serde_json::to_value(document).unwrap();
    let errors: Vec<String> = VALIDATOR
        .iter_errors(&value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    value
}

fn one(answer: Answer<'_>) -> Document<'_> {
    Document::One(One {
        version: VERSION,
        answer,
    })
}

/// All ways to print a plan.
#[track_caller]
fn all_ways(plan: &Plan) {
    holds(&one(Answer::plan(plan)));
    holds(&one(Answer::plan(plan).refresh_only()));
    for area in [
        Area::Network,
        Area::Balancer,
        Area::Service,
        Area::Delivery,
        Area::Security,
    ] {
        let part = plan.clone().within(area);
        let answer = || Answer::Plan {
            summary: part.plan.summary(),
            plan: &part.plan,
            area: Some(part.area),
            left_out: Some(part.left_out),
        };
        holds(&one(answer()));
        holds(&one(answer().refresh_only()));
    }
}

/// An account in which about everything has happened that a plan can tell.
fn worn() -> (Memory, ecspipe_spec::Spec) {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    roll_out(&cloud, &tutorial());
    let green = id(&cloud, "target-group/green");
    cloud.set_targets(&green, Targets::default());
    edit(&cloud, "bucket/artifacts", |resource| {
        let Resource::Bucket(bucket) = resource else {
            panic!()
        };
        bucket.versioning = false;
    });
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|key| key.to_string() == "listener/test")
    });
    let spec = tutorial_with(|spec| {
        spec.service.cpu = 512;
        spec.network.nat = ecspipe_spec::Nat::None;
        spec.service.desired_count = 3;
        spec.tags.clear();
    });
    (cloud, spec)
}

#[test]
fn plans_of_all_kinds_are_as_the_schema_says() {
    let empty = Memory::new();
    all_ways(&plan_for(&empty, &tutorial(), Options::default()));
    let (cloud, spec) = worn();
    for options in [Options::default(), IN_FLIGHT, DOWN] {
        let plan = plan_for(&cloud, &spec, options);
        all_ways(&plan);
        assert_eq!(plan.held_back.is_empty(), options != IN_FLIGHT);
        assert_eq!(plan.dangers.is_empty(), options == DOWN);
        assert_eq!(plan.drift.is_empty(), options == DOWN);
        assert_eq!(plan.delegated.is_empty(), options == DOWN);
        assert_eq!(plan.deferred.is_empty(), options == DOWN);
    }
    let refused = tutorial_with(|spec| spec.network.cidr = "192.168.0.0/17".parse().unwrap());
    let plan = plan_for(&cloud, &refused, Options::default());
    assert!(!plan.refusals.is_empty());
    all_ways(&plan);
}

#[test]
fn many_plans_are_as_the_schema_says() {
    let (cloud, spec) = worn();
    let plan = plan_for(&cloud, &spec, Options::default());
    let entry = |file: &'static str, answer| Entry {
        file: Path::new(file),
        answer,
    };
    let details = ["a line".to_owned()];
    let trouble = Trouble {
        message: "no access",
        details: &details,
        hint: None,
        exit: 7,
    };
    let value = holds(&Document::Many(Many {
        version: VERSION,
        plans: vec![
            entry("a.yaml", Answer::plan(&plan)),
            entry("b.yaml", Answer::plan(&plan).refresh_only()),
            entry("c.yaml", Answer::Error { error: trouble }),
        ],
        summary: Summary::default(),
        failed: 1,
    }));
    assert_eq!(value["plans"][2]["error"]["exit"], 7);
    assert_eq!(value["plans"][1]["refresh"]["app"], "web");
}

/// What somebody would stumble over who reads what isn't in the schema.
#[test]
fn the_schema_is_closed_where_it_is_held_against_plans() {
    let plan = plan_for(&Memory::new(), &tutorial(), Options::default());
    let one = Document::One(One {
        version: VERSION,
        answer: Answer::plan(&plan),
    });
    let good = holds(&one);
    for (path, name) in [
        ("", "more"),
        ("/plan", "more"),
        ("/plan/steps/0", "more"),
        ("/summary", "more"),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(path).unwrap()[name] = json!(1);
        assert!(!VALIDATOR.is_valid(&bad), "{path}/{name}");
    }
    for (path, value) in [
        ("/plan/steps/0/key", json!("vpc")),
        ("/plan/steps/0/action", json!("make")),
        ("/plan/steps/0/origin", json!("nobody")),
        ("/version", json!("1")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value;
        assert!(!VALIDATOR.is_valid(&bad), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_planned_is_as_the_schema_says((first, second) in any_two(), in_flight in any::<bool>()) {
        let cloud = Memory::new();
        bring(&cloud, &first);
        let options = Options { rollout_in_flight: in_flight, ..Options::default() };
        all_ways(&plan_for(&cloud, &second, options));
    }

    /// Each thing is in its area and in no other, and what is left out is counted.
    #[test]
    fn areas_are_the_plan_in_parts((first, second) in any_two()) {
        let cloud = Memory::new();
        up(&cloud, &first);
        let plan = plan_for(&cloud, &second, Options::default());
        let mut steps = 0;
        for area in [Area::Network, Area::Balancer, Area::Service, Area::Delivery, Area::Security] {
            let part = plan.clone().within(area);
            prop_assert!(part.plan.steps.iter().all(|step| step.key.kind.area() == area));
            prop_assert_eq!(part.plan.steps.len() + part.left_out.steps, plan.steps.len());
            prop_assert_eq!(part.plan.refusals.len() + part.left_out.refusals, plan.refusals.len());
            steps += part.plan.steps.len();
        }
        prop_assert_eq!(steps, plan.steps.len());
    }
}
