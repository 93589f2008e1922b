//! Where a difference comes from: whatever somebody changes by hand is told apart from whatever the spec changes.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::memory::Memory;
use ecspipe_provision::{
    APPLIED_TAG, Action, Change, Kind, Options, Origin, Plan, RefusalReason, Resource,
};
use ecspipe_spec::{Alarm, Condition, Nat, Span, Spec, Strategy as Shift};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::account::{assert_settled, edit, graph_of, plan_for, steps, up};
use crate::specs::{compatible, tutorial, tutorial_with};

/// Every kind of resource is in one of them.
fn everything() -> [Spec; 2] {
    [
        tutorial_with(|spec| {
            spec.deploy.strategy = Shift::Canary {
                percent: 20,
                wait: Span::from_minutes(7),
            };
            spec.deploy.alarms = vec![Alarm::Declared(Condition::UnhealthyTargets {
                above: 0,
                during: Span::from_minutes(1),
            })];
        }),
        tutorial_with(|spec| spec.network.nat = Nat::None),
    ]
}

/// What comes with deployments: whatever is there is right.
fn a_rollouts_own(kind: Kind, property: &str) -> bool {
    let of_service = [
        "task_definition",
        "platform_version",
        "subnets",
        "security_groups",
        "public_address",
        "container_name",
        "container_port",
        "others",
    ];
    // A target group's own port is nobody's: each task is registered with its container's.
    (kind == Kind::TargetGroup && property == "port")
        || kind == Kind::TaskDefinition
        || kind == Kind::Service && of_service.contains(&property)
}

/// All changes that a plan shows, whether it makes or refuses them.
fn changes(plan: &Plan) -> Vec<(String, Change)> {
    let refused = plan.refusals.iter().flat_map(|refusal| {
        let changes = match &refusal.reason {
            RefusalReason::Unchangeable { changes } => changes.as_slice(),
            _ => &[],
        };
        changes
            .iter()
            .map(|change| (refusal.key.to_string(), change.clone()))
    });
    let planned = plan.steps.iter().flat_map(|step| {
        let changes = step.action.changes().iter();
        changes.map(|change| (step.key.to_string(), change.clone()))
    });
    planned.chain(refused).collect()
}

/// The changed fields with their origins: `drift cluster/main container_insights`. Records of what was applied aside.
fn origins(plan: &Plan) -> BTreeSet<String> {
    let shown = |(key, change): (String, Change)| {
        let origin = format!("{:?}", change.origin).to_lowercase();
        (change.origin != Origin::Record).then(|| format!("{origin} {key} {}", change.property()))
    };
    changes(plan).into_iter().filter_map(shown).collect()
}

/// The missing things with the origins of their lack.
fn lacks(plan: &Plan) -> Vec<String> {
    let lack = |step: &ecspipe_provision::Step| match &step.action {
        Action::Create { origin, .. } => Some(format!("{origin:?} {}", step.key).to_lowercase()),
        _ => None,
    };
    plan.steps.iter().filter_map(lack).collect()
}

/// Other values that a property may have, likely ones first.
fn others(value: &Value) -> Vec<Value> {
    let mut others = match value {
        Value::Bool(value) => vec![(!value).into()],
        Value::Number(value) => vec![(value.as_u64().unwrap() + 1).into()],
        Value::String(value) => vec![format!("{value}x").into()],
        Value::Array(values) => {
            let more = values.iter().chain([&json!("x")]).cloned().collect();
            vec![Value::Array(more), json!([])]
        }
        Value::Object(fields) => {
            let nested = fields.iter().flat_map(|(name, value)| {
                others(value).into_iter().map(|other| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), other);
                    Value::Object(fields)
                })
            });
            let mut nested: Vec<Value> = nested.collect();
            nested.push(json!({}));
            nested
        }
        Value::Null => vec![],
    };
    others.extend([Value::Null, json!(3), json!("x"), json!({"a": "b"})]);
    others.extend(["Gateway", "Interface"].map(Value::from));
    others.retain(|other| other != value);
    others
}

/// The resource with another value of one property; `None` where no other value can be thought of.
fn with_another(resource: &Resource, property: &str) -> Option<Resource> {
    let tagged = serde_json::to_value(resource).unwrap();
    let candidates = others(&tagged["properties"][property]);
    candidates.into_iter().find_map(|other| {
        let mut tagged = tagged.clone();
        tagged["properties"][property] = other;
        let changed: Resource = serde_json::from_value(tagged).ok()?;
        // A family of another name is another family.
        let same_thing = ["name", "alias"].contains(&property) || changed.name() == resource.name();
        (same_thing && changed.properties() != resource.properties()).then_some(changed)
    })
}

/// Exhaustive: one property of one thing at a time, by hand, while the spec stays the same.
#[test]
fn whatever_is_changed_by_hand_is_drift() {
    let (mut tried, mut untried) = (BTreeSet::new(), BTreeSet::new());
    for spec in everything() {
        let cloud = Memory::new();
        up(&cloud, &spec);
        for thing in cloud.things() {
            let key = thing.key.clone().unwrap();
            for property in thing.resource.properties().as_object().unwrap().keys() {
                let Some(changed) = with_another(&thing.resource, property) else {
                    untried.insert((key.kind, property.clone()));
                    continue;
                };
                let was = thing.resource.clone();
                edit(&cloud, &key.to_string(), |resource| {
                    *resource = changed.clone();
                });
                let plan = plan_for(&cloud, &spec, Options::default());
                let expected = format!("drift {key} {property}");
                if a_rollouts_own(key.kind, property) {
                    // Wherever tasks listen, they are reached until a deployment has moved them.
                    let mut found = origins(&plan);
                    found.retain(|line| {
                        property != "container_port" || !line.starts_with("spec security-group/")
                    });
                    assert_eq!(found, BTreeSet::new(), "{expected}");
                } else if [Kind::DeploymentConfig, Kind::SourceRepository].contains(&key.kind)
                    && property == "name"
                {
                    // Its name is all that it is known by.
                    assert_eq!(lacks(&plan), [format!("drift {key}")]);
                } else {
                    let mut found = origins(&plan);
                    found.retain(|line| !line.starts_with("follows"));
                    assert_eq!(found, BTreeSet::from([expected]), "{changed:?}");
                }
                tried.insert((key.kind, property.clone()));
                cloud.edit(|have| {
                    if have.key.as_ref() == Some(&key) {
                        have.resource = was.clone();
                    }
                });
            }
        }
        assert_settled(&cloud, &spec);
    }
    assert_eq!(
        tried.iter().map(|(kind, _)| kind).collect::<BTreeSet<_>>(),
        Kind::ALL.iter().collect()
    );
    // An empty list of one spec's is a full one of the other's.
    assert_eq!(
        untried.difference(&tried).collect::<Vec<_>>(),
        Vec::<&(Kind, String)>::new()
    );
    assert!(tried.len() > 120, "{}", tried.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_spec_changes_is_the_specs((first, second) in compatible()) {
        let cloud = Memory::new();
        up(&cloud, &first);
        let plan = plan_for(&cloud, &second, Options::default());
        for line in origins(&plan).iter().chain(&lacks(&plan)) {
            prop_assert!(!line.starts_with("drift"), "{}", line);
        }
        for (key, change) in changes(&plan) {
            prop_assert!(change.origin != Origin::Follows || change.want.unwrap().to_string().contains("${"), "{}", key);
        }
    }

    /// Somebody's hand on any property and any tag of any thing, and another spec at the same time.
    #[test]
    fn both_at_once_are_told_apart(
        (first, second) in compatible(),
        which in any::<prop::sample::Index>(),
        property in any::<prop::sample::Index>(),
    ) {
        let cloud = Memory::new();
        up(&cloud, &first);
        let by_spec = origins(&plan_for(&cloud, &second, Options::default()));
        let things = cloud.things();
        let thing = which.get(&things);
        let key = thing.key.clone().unwrap();
        let properties = thing.resource.properties();
        let names: Vec<&String> = properties.as_object().unwrap().keys().collect();
        let property = (*property.get(&names)).clone();
        let Some(changed) = with_another(&thing.resource, &property) else { return Ok(()) };
        let planned = |key: &str, name: &str| {
            by_spec.iter().any(|line| line.ends_with(&format!(" {key} {name}")))
        };
        // Something of another name is another thing, where the name is all that it is known by.
        let renamed = key.kind == Kind::SourceRepository && property == "name";
        let plain = !a_rollouts_own(key.kind, &property) && key.kind != Kind::DeploymentConfig && !renamed;
        // Of a property that both have changed, the hand can't be seen any more; what the spec no longer wants goes as it is.
        prop_assume!(plain && !planned(&key.to_string(), &property) && graph_of(&second).get(&key).is_some());
        edit(&cloud, &key.to_string(), |resource| *resource = changed.clone());
        let plan = plan_for(&cloud, &second, Options::default());
        let found = origins(&plan);
        let drifted = format!("drift {key} {property}");
        prop_assert!(found.contains(&drifted), "{} in {:#?}", drifted, found);
        let others: BTreeSet<String> = found.into_iter().filter(|line| *line != drifted).collect();
        // Whoever refers to what has to be made again follows; everything else is as without the hand.
        prop_assert!(others.iter().all(|line| by_spec.contains(line) || line.starts_with("follows") || !plan.refusals.is_empty()), "{:#?}", others);
    }
}

#[test]
fn a_tag_is_told_apart_from_its_neighbour() {
    let cloud = Memory::new();
    up(
        &cloud,
        &tutorial_with(|spec| {
            spec.tags = ["crew", "stage", "team", "unit"]
                .map(|key| (key.to_owned(), "web".to_owned()))
                .into();
        }),
    );
    cloud.edit(|have| {
        if have.resource.kind() == Kind::Vpc {
            have.tags.insert("by-hand".to_owned(), "x".to_owned());
            have.tags.insert("team".to_owned(), "shop".to_owned());
            have.tags.remove("unit");
            have.tags.insert("Name".to_owned(), "mine".to_owned());
        }
    });
    let spec = tutorial_with(|spec| {
        spec.tags = BTreeMap::from([
            ("new".to_owned(), "web".to_owned()),
            ("stage".to_owned(), "live".to_owned()),
            ("team".to_owned(), "web".to_owned()),
            ("unit".to_owned(), "web".to_owned()),
        ]);
    });
    let plan = plan_for(&cloud, &spec, Options::default());
    let of_vpc: Vec<String> = changes(&plan)
        .into_iter()
        .filter(|(key, _)| key == "vpc/main")
        .map(|(_, change)| format!("{} {:?}", change.field, change.origin))
        .collect();
    assert_eq!(
        of_vpc,
        [
            "tags.Name Drift",
            "tags.by-hand Drift",
            "tags.crew Spec",
            "tags.ecspipe:applied Record",
            "tags.new Spec",
            "tags.stage Spec",
            "tags.team Drift",
            "tags.unit Drift",
        ]
    );
    up(&cloud, &spec);
    assert_settled(&cloud, &spec);
}

#[test]
fn what_was_deleted_by_hand_is_known_by_what_was_applied_with_it() {
    let check = |gone: &str, expected: &[&str]| {
        let cloud = Memory::new();
        up(&cloud, &tutorial());
        cloud.remove(|have| have.key.as_ref().is_some_and(|key| key.to_string() == gone));
        let plan = plan_for(&cloud, &tutorial(), Options::default());
        assert_eq!(lacks(&plan), expected);
        let mine = |line: &String| !line.starts_with("follows");
        assert_eq!(origins(&plan).into_iter().find(mine), None);
    };
    check("listener/test", &["drift listener/test"]);
    check("bucket/artifacts", &["drift bucket/artifacts"]);
    check("role/codepipeline", &["drift role/codepipeline"]);
    // Nothing refers to a rule, so nobody can say that it has been there.
    check("event-rule/source", &["spec event-rule/source"]);
}

/// A gateway that is made again gets another id: the table that leads to it follows, and nobody has touched it.
/// A repository of another name is the spec's doing, and so is what refers to it.
#[test]
fn another_repository_is_nobodys_hand() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let other = tutorial_with(|spec| {
        let ecspipe_spec::Source::Codecommit(source) = &mut spec.source;
        source.repository = "another".to_owned();
    });
    let plan = plan_for(&cloud, &other, Options::default());
    assert_eq!(lacks(&plan), ["spec source-repository/main"]);
    assert_eq!(plan.drift, []);
    let follow = origins(&plan)
        .into_iter()
        .filter(|origin| origin.starts_with("follows"));
    assert_ne!(follow.count(), 0, "{:?}", origins(&plan));
}

#[test]
fn who_refers_to_what_is_made_again_follows() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|key| key.to_string() == "address/eu-central-1a")
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(lacks(&plan), ["drift address/eu-central-1a"]);
    assert_eq!(
        origins(&plan),
        BTreeSet::from([
            "follows nat-gateway/eu-central-1a address".to_owned(),
            "follows route-table/private-eu-central-1a routes".to_owned(),
        ])
    );
}

/// What was made before there was such a tag is recorded, changed in nothing, and known from then on.
#[test]
fn without_the_tag_everything_is_the_specs() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud.edit(|have| {
        have.tags.remove(APPLIED_TAG);
    });
    edit(&cloud, "cluster/main", |resource| {
        let Resource::Cluster(cluster) = resource else {
            panic!()
        };
        cluster.container_insights = "enabled".to_owned();
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        origins(&plan),
        BTreeSet::from(["spec cluster/main container_insights".to_owned()])
    );
    // All but the task definition, which travels with deployments.
    assert_eq!(steps(&plan).len(), cloud.things().len() - 1);
    let before: Vec<Resource> = cloud
        .things()
        .into_iter()
        .map(|have| have.resource)
        .collect();
    up(&cloud, &tutorial());
    let differing = cloud
        .things()
        .into_iter()
        .zip(before)
        .filter(|(have, before)| have.resource != *before);
    assert_eq!(differing.count(), 1);
    assert_settled(&cloud, &tutorial());
    edit(&cloud, "cluster/main", |resource| {
        let Resource::Cluster(cluster) = resource else {
            panic!()
        };
        cluster.container_insights = "enabled".to_owned();
    });
    assert_eq!(
        origins(&plan_for(&cloud, &tutorial(), Options::default())),
        BTreeSet::from(["drift cluster/main container_insights".to_owned()])
    );
}

/// Somebody has made by hand the very change that the spec makes now: nothing is left to do but to note it.
#[test]
fn a_change_that_is_there_already_is_only_recorded() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    edit(&cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.desired_count = 3;
    });
    let spec = tutorial_with(|spec| spec.service.desired_count = 3);
    let plan = plan_for(&cloud, &spec, Options::default());
    let found: Vec<String> = changes(&plan)
        .into_iter()
        .map(|(key, change)| format!("{key} {} {:?}", change.field, change.origin))
        .collect();
    assert_eq!(found, ["service/main tags.ecspipe:applied Record"]);
    up(&cloud, &spec);
    assert_settled(&cloud, &spec);
}

/// What travels with a deployment isn't applied by `up`, so there is nothing to record either.
#[test]
fn what_only_a_deployment_brings_is_not_recorded() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let spec = tutorial_with(|spec| spec.service.cpu = 512);
    let plan = plan_for(&cloud, &spec, Options::default());
    assert_eq!((steps(&plan), plan.deferred.len()), (vec![], 1));
}

#[test]
fn every_digest_fits_beside_the_most_tags_that_a_spec_may_set() {
    for mut spec in everything() {
        spec.tags = (0..40)
            .map(|at| (format!("tag-{at}"), "x".to_owned()))
            .collect();
        for node in graph_of(&spec).nodes() {
            let tags = node.tags.all();
            let Some(applied) = tags.get(APPLIED_TAG) else {
                assert!(matches!(
                    node.key.kind,
                    Kind::TaskDefinition | Kind::DeploymentConfig
                ));
                continue;
            };
            assert!(
                applied.len() < 250,
                "{} leaves no room: {}",
                node.key,
                applied.len()
            );
            assert_eq!(applied.len() % 4, 2);
        }
    }
}
