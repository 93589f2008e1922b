//! Holds the JSON Schema and the parser together, and the resolved form of a spec to the file that it came from.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ecspipe_spec::{ProblemKind, Spec, parse, schema};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

const TUTORIAL: &str = include_str!("../../../examples/httpd/ecspipe.yaml");
const MINIMAL: &str = include_str!("../../../examples/minimal/ecspipe.yaml");

/// The schema, compiled once: it is asked thousands of times.
static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());

/// Documents around the schema: mostly what it accepts, some of it broken.
fn around(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    let sound = sound(schema, root);
    prop_oneof![60 => sound, 1 => junk()].boxed()
}

fn sound(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return sound(
            root.pointer(reference.trim_start_matches('#')).unwrap(),
            root,
        );
    }
    for choices in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choices].as_array() {
            return Union::new(choices.iter().map(|choice| around(choice, root))).boxed();
        }
    }
    if let Some(value) = schema.get("const") {
        return Just(value.clone()).boxed();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        many => many
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect(),
    };
    let mut strategies: Vec<(u32, BoxedStrategy<Value>)> = Vec::new();
    for known in ["enum", "examples"] {
        if let Some(values) = schema[known]
            .as_array()
            .filter(|_| !types.contains(&"object"))
        {
            strategies.push((4, prop::sample::select(values.clone()).boxed()));
        }
    }
    if let Some(value) = schema.get("default") {
        strategies.push((2, Just(value.clone()).boxed()));
    }
    strategies.extend(
        types
            .into_iter()
            .map(|kind| (3, of_type(kind, schema, root))),
    );
    Union::new_weighted(strategies).boxed()
}

fn of_type(kind: &str, schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    match kind {
        "string" => {
            let pattern = match schema["pattern"].as_str() {
                Some("^/") => "/[a-z]{0,4}",
                Some(pattern) => pattern,
                None => "[a-z0-9./:-]{0,12}",
            };
            let regular =
                string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap();
            prop_oneof![4 => regular, 1 => any::<String>()]
                .prop_map(Value::from)
                .boxed()
        }
        "integer" => {
            let least = schema["minimum"].as_i64().unwrap_or(-3);
            let most = schema["maximum"].as_i64().unwrap_or(70_000);
            let whole = (least..=most).prop_map(|number| json!(number as f64));
            prop_oneof![6 => (least..=most).prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from), 1 => whole].boxed()
        }
        "number" => (-1e6..1e6).prop_map(Value::from).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "array" => prop::collection::vec(around(&schema["items"], root), 0..4)
            .prop_map(Value::from)
            .boxed(),
        "object" => object(schema, root),
        other => panic!("the schema has a type that this test doesn't know: {other}"),
    }
}

fn object(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    let Some(properties) = schema["properties"].as_object() else {
        let values = around(&schema["additionalProperties"], root);
        return prop::collection::btree_map("[A-Za-z_0-9]{0,5}", values, 0..4)
            .prop_map(from_map)
            .boxed();
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut all: BoxedStrategy<BTreeMap<String, Value>> = Just(BTreeMap::new()).boxed();
    for (name, property) in properties {
        let often = if required.contains(&name.as_str()) {
            0.97
        } else {
            0.4
        };
        let name = name.clone();
        all = (all, prop::option::weighted(often, around(property, root)))
            .prop_map(move |(mut all, value)| {
                all.extend(value.map(|value| (name.clone(), value)));
                all
            })
            .boxed();
    }
    (all, prop::option::weighted(0.02, "[a-z_]{1,8}"))
        .prop_map(|(mut all, unknown)| {
            all.extend(unknown.map(|name| (name, json!(1))));
            from_map(all)
        })
        .boxed()
}

fn from_map(map: BTreeMap<String, Value>) -> Value {
    Value::Object(map.into_iter().collect::<Map<_, _>>())
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e3..1e3).prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"a": 1}])),
    ]
}

/// Legal documents of every shape: each key's values are legal whatever the others are.
fn legal() -> impl Strategy<Value = Value> {
    let network = (
        prop::option::of(prop_oneof![
            Just(json!(2)),
            Just(json!(6)),
            Just(json!([
                {"name": "eu-central-1a", "public": "10.0.0.0/24", "private": "10.0.2.0/24"},
                {"name": "eu-central-1b", "public": "10.0.1.0/24", "private": "10.0.3.0/24"},
            ])),
        ]),
        prop::option::of(prop::sample::select(vec!["per_zone", "single"])),
    )
        .prop_map(|(zones, nat)| keys([("zones", zones), ("nat", nat.map(Value::from))]));
    let size = prop::sample::select(vec![
        (256, 512),
        (256, 2048),
        (1024, 2048),
        (4096, 30_720),
        (16_384, 122_880),
        (32_768, 249_856),
    ]);
    // Text that YAML would read as something else if it were not quoted.
    let nasty = prop_oneof![
        any::<String>().prop_map(|text| text.replace('\0', "")),
        prop::sample::select(vec![
            "true", "null", "~", "1.10", "012", "1_000", "yes", "&a", "*a", "!x", "{", "- a",
            "a: b", "# a", " a ", "a\nb\n", "\ta", "'", "\"", "%", "@", "`", "", "---", "0x10",
            ".nan"
        ])
        .prop_map(str::to_owned),
    ];
    let service = (
        1..=65535_u16,
        prop::option::of(size),
        prop::option::of(prop::sample::select(vec!["x86_64", "arm64"])),
        prop::option::of(0..100_u32),
        prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_.-]{0,9}", nasty, 0..4),
        prop::option::of(prop::sample::select(vec!["httpd:2.4.58", "localhost:5000/a/b", "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:1"])),
        prop::option::of((5..=300_u64, 2..=4_u64, 2..=10_u32, prop::sample::select(vec![json!(200), json!("200,404-499"), json!("200-399")]), 0..4000_u64)),
    )
        .prop_map(|(port, size, architecture, count, environment, image, check)| {
            keys([
                ("port", Some(json!(port))),
                ("cpu", size.map(|(cpu, _)| json!(cpu))),
                ("memory", size.map(|(_, memory)| json!(memory))),
                ("architecture", architecture.map(Value::from)),
                ("desired_count", count.map(Value::from)),
                ("environment", Some(json!(environment))),
                ("image", image.map(Value::from)),
                ("health_check", check.map(|(interval, timeout, healthy, status, grace)| json!({
                    "path": "/health?a=b&c", "interval": format!("{interval}s"), "timeout": format!("{timeout}s"),
                    "healthy": healthy, "unhealthy": healthy, "status": status, "grace": format!("{grace}s"),
                }))),
            ])
        });
    let shift = prop_oneof![
        Just((json!("all_at_once"), 0)),
        (1..=99_u64, 1..=2880_u64).prop_map(|(percent, wait)| {
            (
                json!({"canary": {"percent": percent, "wait": format!("{wait}m")}}),
                wait,
            )
        }),
        (1..=99_u64, 1..=29_u64).prop_map(|(percent, every)| {
            let takes = every * (100_u64.div_ceil(percent) - 1);
            (
                json!({"linear": {"percent": percent, "every": format!("{every}m")}}),
                takes,
            )
        }),
    ];
    let deploy = (
        prop::option::of(shift),
        prop::option::of(1..=7140_u64),
        prop::option::of(0..=2800_u64),
        prop::option::of(prop::sample::subsequence(vec!["failure", "stop"], 0..=2)),
        guards(),
    )
        .prop_filter(
            "what the pipeline waits for",
            |(shift, approve, keep, _, guards)| {
                let hooks = guards["hooks"].as_object().map_or(0, Map::len) as u64;
                let shift = shift.as_ref().map_or(0, |(_, takes)| *takes);
                let before = 60 + approve.unwrap_or(0) + 60 * hooks;
                let all = before + shift + keep.unwrap_or(5);
                // Alarms must have the time to fire, and checks need the wait.
                let watched = approve.unwrap_or(0) + shift + keep.unwrap_or(5);
                let has = |key: &str| guards.get(key).is_some();
                before <= 7200
                    && all <= 7200
                    && (!has("alarms") || watched > 60)
                    && (!has("checks") || approve.is_some_and(|within| within >= 3))
            },
        )
        .prop_map(|(shift, approve, keep, rollback, guards)| {
            let mut deploy = keys([
                ("strategy", shift.map(|(shift, _)| shift)),
                (
                    "approve",
                    approve.map(|minutes| json!({"within": format!("{minutes}m")})),
                ),
                ("keep_old", keep.map(|minutes| json!(format!("{minutes}m")))),
                ("rollback_on", rollback.map(Value::from)),
            ]);
            for (key, value) in guards.as_object().unwrap() {
                deploy[key] = value.clone();
            }
            deploy
        });
    let rest = (
        "[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}".prop_filter("long", |name| name.len() <= 32),
        prop::option::of(prop_oneof![
            Just(json!("012345678901")),
            Just(json!(111_122_223_333_u64))
        ]),
        prop::option::of(prop_oneof![
            Just(json!({"repository": "a.b_c", "branch": "release/1.x"})),
            Just(json!({}))
        ]),
        prop::option::of(Just(
            json!({"dockerfile": "it's a \"file\" $(x)", "context": "a b/c"}),
        )),
        prop::collection::btree_map("[a-z]{1,5}", "[a-zA-Z0-9 ä:/=+@._-]{1,9}", 0..4),
        prop::option::of(Just(
            json!({"production": {"port": 443}, "test": {"port": 8443, "allow": ["10.0.0.0/8", "0.0.0.0/0"]}}),
        )),
    );
    (network, service, deploy, rest, shared()).prop_map(
        |(network, service, deploy, (app, account, source, build, tags, balancer), shared)| {
            let mut document = keys([
                ("version", Some(json!(1))),
                ("app", Some(json!(app))),
                ("account", account),
                ("region", Some(json!("eu-central-1"))),
                ("network", Some(network)),
                ("service", Some(service)),
                ("load_balancer", balancer),
                ("source", source.map(|source| json!({"codecommit": source}))),
                ("build", build),
                ("deploy", Some(deploy)),
                ("tags", Some(json!(tags))),
            ]);
            for (key, value) in shared.as_object().unwrap() {
                document[key] = value.clone();
            }
            // A function that is named by its ARN is the account's own.
            if document["deploy"].to_string().contains("arn:aws:lambda") {
                document["account"] = json!("012345678901");
            }
            document
        },
    )
}

/// What may watch over a deployment.
fn guards() -> impl Strategy<Value = Value> {
    let alarms = (
        prop::option::of((0..10_000_u32, 1..=60_u64)),
        prop::option::of((10..=999_u32, 1..=4_000_000_u64, 1..=60_u64)),
        prop::option::of((prop::option::of(0..=5000_u32), 1..=60_u64)),
        prop::sample::subsequence(vec!["orders: backlog", "true", "ä", "a/b"], 0..=4),
    )
        .prop_map(|(http, latency, unhealthy, existing)| {
            let part = |hundredths: u32| format!("{}.{:02}%", hundredths / 100, hundredths % 100);
            let minutes = |minutes: u64| format!("{minutes}m");
            let made = [
                http.map(|(above, during)| {
                    json!({"http_5xx": {"above": part(above), "for": minutes(during)}})
                }),
                latency.map(|(p, above, during)| {
                    let p = if p % 10 == 0 { json!(p / 10) } else { json!(f64::from(p) / 10.0) };
                    json!({"latency": {"p": p, "above": format!("{above}ms"), "for": minutes(during)}})
                }),
                unhealthy.map(|(above, during)| {
                    let condition = keys([("above", above.map(Value::from)), ("for", Some(json!(minutes(during))))]);
                    json!({"unhealthy_targets": condition})
                }),
            ];
            let existing = existing.into_iter().map(Value::from);
            Value::from(made.into_iter().flatten().chain(existing).collect::<Vec<_>>())
        });
    let function = prop::option::of(prop::sample::select(vec![
        "smoke-test",
        "arn:aws:lambda:eu-central-1:012345678901:function:Smoke_1",
    ]));
    let events = [
        "before_install",
        "after_install",
        "after_allow_test_traffic",
        "before_allow_traffic",
        "after_allow_traffic",
    ];
    let hooks = prop::array::uniform5(function).prop_map(move |functions| {
        let given = events.into_iter().zip(functions);
        given
            .filter_map(|(event, function)| Some((event.to_owned(), json!(function?))))
            .collect::<Map<_, _>>()
    });
    let check = (
        prop::option::of(prop::sample::select(vec![json!(200), json!("200-299,404")])),
        prop::option::of("[a-z: #ä]{1,9}"),
        prop::option::of(1..=100_u32),
        prop::option::of(1..=60_u64),
    )
        .prop_map(|(status, contains, times, within)| {
            keys([
                ("path", Some(json!("/a?b=c"))),
                ("status", status),
                ("contains", contains.map(Value::from)),
                ("times", times.map(Value::from)),
                ("within", within.map(|seconds| json!(format!("{seconds}s")))),
            ])
        });
    let fail_fast = prop_oneof![Just(json!("off")), (1..=10_u32).prop_map(Value::from)];
    (
        prop::option::of(alarms),
        hooks,
        prop::option::of(prop::collection::vec(check, 1..4)),
        prop::option::of(fail_fast),
    )
        .prop_map(|(alarms, hooks, checks, fail_fast)| {
            keys([
                ("alarms", alarms),
                ("hooks", (!hooks.is_empty()).then_some(Value::Object(hooks))),
                ("checks", checks.map(Value::from)),
                ("fail_fast", fail_fast),
            ])
        })
}

/// What a legal document may use of others: nothing, or something in each form.
fn shared() -> impl Strategy<Value = Value> {
    let reference = |id: &'static str, name: &'static str| {
        prop_oneof![
            Just(json!({"id": id})),
            Just(json!({"name": name})),
            Just(json!({"tags": {"team": "platform", "tier": 1}})),
        ]
    };
    let given = |id: &'static str, name: &'static str| {
        prop::option::of(reference(id, name).prop_map(|reference| json!({"existing": reference})))
    };
    let subnets = prop_oneof![
        Just(json!({"ids": ["subnet-0123456789abcdef0", "subnet-12345678"]})),
        Just(json!({"tags": {"tier": "private"}})),
    ];
    let vpc = reference("vpc-0123456789abcdef0", "the shared one");
    let balancer = reference(
        "arn:aws:elasticloadbalancing:eu-central-1:012345678901:loadbalancer/app/shared/50dc6c495c0c9188",
        "shared",
    );
    // Alone, or with its balancer.
    let network = (vpc, subnets.clone(), subnets, prop::option::of(balancer)).prop_map(
        |(vpc, public, private, balancer)| match balancer {
            None => json!({"network": {"existing": {"vpc": vpc, "public": public, "private": private}}}),
            Some(balancer) => json!({
                "network": {"existing": {"vpc": vpc, "private": private}},
                "load_balancer": {"existing": balancer, "production": {"port": 8081}, "test": {"port": 9081}},
            }),
        },
    );
    let role = || given("arn:aws:iam::012345678901:role/a/mine", "mine");
    let roles = (role(), role(), role()).prop_map(|(execution, task, events)| {
        keys([("execution", execution), ("task", task), ("events", events)])
    });
    let rest = (
        given(
            "arn:aws:ecs:eu-central-1:012345678901:cluster/shared",
            "shared",
        ),
        given("mrk-0123456789abcdef0123456789abcdef", "alias/shared"),
        prop::option::of(roles),
        prop::option::of(reference(
            "arn:aws:iam::aws:policy/PowerUserAccess",
            "boundary",
        )),
        prop::option::of(prop::sample::select(vec!["/", "/a/", "/platform/apps/"])),
    );
    (prop::option::of(network), rest).prop_map(
        |(network, (cluster, key, roles, boundary, path))| {
            let mut shared = keys([
                ("cluster", cluster),
                ("kms_key", key),
                ("roles", roles),
                ("permissions_boundary", boundary),
                ("role_path", path.map(Value::from)),
            ]);
            for (key, value) in network
                .iter()
                .flat_map(|network| network.as_object().unwrap())
            {
                shared[key] = value.clone();
            }
            if shared != json!({}) {
                shared["account"] = json!("012345678901");
            }
            shared
        },
    )
}

fn keys<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Value {
    Value::Object(
        pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect(),
    )
}

fn parses(text: &str) -> Spec {
    parse(text).unwrap_or_else(|problems| panic!("{problems:#?}\nin\n{text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What the schema accepts has no problem of structure; what parses is valid under the schema.
    #[test]
    fn the_schema_and_the_parser_agree(document in around(&schema(), &schema())) {
        let text = document.to_string();
        match (VALIDATOR.validate(&document), parse(&text)) {
            (Ok(()), Err(problems)) => {
                let structure: Vec<_> = problems.iter().filter(|problem| problem.kind == ProblemKind::Structure).collect();
                prop_assert!(structure.is_empty(), "the schema accepts {text}, the parser says {structure:#?}");
            }
            (Err(error), Ok(_)) => prop_assert!(false, "the parser accepts {text}, the schema says {error}"),
            (Ok(()), Ok(_)) | (Err(_), Err(_)) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The resolved spec, as YAML and as JSON, is a legal file of the same spec.
    #[test]
    fn a_resolved_spec_reads_back(document in legal()) {
        let spec = parses(&document.to_string());
        let resolved = serde_json::to_value(&spec).unwrap();
        prop_assert!(VALIDATOR.is_valid(&resolved), "{:?}", VALIDATOR.validate(&resolved));
        prop_assert_eq!(&parses(&resolved.to_string()), &spec);
        let yaml = serde_saphyr::to_string(&spec).unwrap();
        prop_assert_eq!(&parses(&yaml), &spec, "{}", yaml);
    }

    /// Subnets are legal in size, inside the VPC's range, and apart.
    #[test]
    fn zones_of_any_count_are_carved_without_overlap(count in 2..=6_usize, prefix in 16..=24_u8) {
        let text = format!("version: 1\napp: web\nservice: {{ port: 80 }}\nnetwork: {{ cidr: 10.0.0.0/{prefix}, zones: {count} }}\n");
        let network = parses(&text).network;
        let zones: Vec<String> = "abcdef".chars().map(|letter| format!("eu-central-1{letter}")).collect();
        let subnets = network.subnets(&zones).unwrap();
        prop_assert_eq!(subnets.len(), count);
        let ranges: Vec<_> = subnets.iter().flat_map(|zone| [zone.public, zone.private]).collect();
        for (index, range) in ranges.iter().enumerate() {
            prop_assert!(network.cidr.contains(range) && range.prefix_len() <= 28, "{range}");
            for other in &ranges[..index] {
                prop_assert!(!range.contains(other) && !other.contains(range), "{range} {other}");
            }
        }
        prop_assert!(network.subnets(&zones[..count - 1]).is_err());
    }

    /// In a range with room, one more zone leaves the others where they are.
    #[test]
    fn zones_of_a_large_range_stay_where_they_are(count in 2..6_usize, prefix in 16..=20_u8) {
        let carved = |count: usize| {
            let text = format!("version: 1\napp: web\nservice: {{ port: 80 }}\nnetwork: {{ cidr: 10.0.0.0/{prefix}, zones: {count} }}\n");
            let zones: Vec<String> = "abcdef".chars().map(|letter| format!("eu-central-1{letter}")).collect();
            parses(&text).network.subnets(&zones).unwrap()
        };
        let (fewer, more) = (carved(count), carved(count + 1));
        prop_assert_eq!(&fewer[..], &more[..count]);
        prop_assert!(fewer[0].public.prefix_len() <= 24);
    }
}

#[test]
fn the_schema_is_a_schema_of_draft_2020_12_with_words_for_every_key() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let mut seen = 0;
    each_key(&schema, "", &schema, &mut |path, key| {
        assert!(
            key["title"].is_string() && key["description"].is_string(),
            "{path} lacks words: {key}"
        );
        seen += 1;
    });
    assert!(seen >= 40, "{seen} keys");
    let text = schema.to_string();
    assert!(
        !text.contains("\"null\"") && !text.contains("int64"),
        "{text}"
    );
}

#[test]
fn the_schemas_defaults_are_the_parsers() {
    let schema = schema();
    let resolved =
        serde_json::to_value(parses("version: 1\napp: web\nservice: { port: 80 }\n")).unwrap();
    let mut seen = 0;
    each_key(&schema, "", &schema, &mut |path, key| {
        if let Some(default) = key.get("default") {
            assert_eq!(resolved.pointer(path), Some(default), "{path}");
            seen += 1;
        }
    });
    assert!(seen >= 20, "{seen} defaults");
}

/// Calls `visit` for each key of the schema with its place as a JSON pointer into a document.
fn each_key(schema: &Value, path: &str, root: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    if let Some(reference) = schema["$ref"].as_str() {
        return each_key(
            root.pointer(reference.trim_start_matches('#')).unwrap(),
            path,
            root,
            visit,
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        visit(&path, property);
        each_key(property, &path, root, visit);
    }
}

#[test]
fn the_schemas_examples_are_legal() {
    let schema = schema();
    each_key(&schema, "", &schema, &mut |path, key| {
        for example in key["examples"].as_array().into_iter().flatten() {
            let mut document = json!({"version": 1, "app": "web", "service": {"port": 80}});
            let mut place = &mut document;
            for name in path.trim_start_matches('/').split('/') {
                place = &mut place[name];
            }
            *place = example.clone();
            // A part alone may lack its neighbours; the value itself must not be what is wrong.
            let at = path.trim_start_matches('/').replace('/', ".");
            for problem in parse(&document.to_string()).err().unwrap_or_default() {
                assert_ne!(problem.path, at, "{problem}");
            }
            for error in VALIDATOR.iter_errors(&document) {
                assert_ne!(error.instance_path().to_string(), path, "{error}");
            }
        }
    });
}

#[test]
fn the_shortest_file_and_the_tutorials_parse() {
    let minimal = parses(MINIMAL);
    assert_eq!((minimal.version, minimal.app.as_str()), (1, "web"));
    assert_eq!(
        minimal.load_balancer.test.allow,
        Some(vec![minimal.network.cidr]),
        "test traffic is not for the world"
    );
    let tutorial = parses(TUTORIAL);
    assert_eq!(tutorial.app.as_str(), "ecs-deployment-pipeline");
    assert_eq!(
        (tutorial.service.cpu, tutorial.service.memory),
        (1024, 2048)
    );
    assert_eq!(tutorial.deploy.approve.unwrap().within.minutes(), Some(60));
    assert_eq!(
        tutorial.network.subnets(&[]).unwrap()[1]
            .private
            .to_string(),
        "192.168.3.0/24"
    );
}

#[test]
fn a_key_left_out_is_its_default() {
    let short = parses("version: 1\napp: web\nservice: { port: 80 }\n");
    let resolved = serde_saphyr::to_string(&short).unwrap();
    assert_eq!(parses(&resolved), short);
    let empty = parses(
        "version: 1\napp: web\nservice: { port: 80, health_check: {} }\nnetwork: {}\nload_balancer: { production: {}, test: {} }\nsource: { codecommit: {} }\nbuild: {}\ndeploy: {}\ntags: {}\n",
    );
    assert_eq!(empty, short);
}

#[test]
fn numbers_keep_their_letters_where_text_is_wanted() {
    let spec = parses(
        "version: 1\napp: web\naccount: 111122223333\nservice:\n  port: 80\n  environment: { A: 1.10, B: 0x10, C: true, D: 1e3, E: '1.10', F: 007 }\n  health_check: { status: 200 }\ntags: { cost: 0815 }\n",
    );
    assert_eq!(spec.account.as_deref(), Some("111122223333"));
    assert_eq!(spec.service.health_check.status, "200");
    let values: Vec<&str> = spec
        .service
        .environment
        .values()
        .map(String::as_str)
        .collect();
    assert_eq!(values, ["1.10", "0x10", "true", "1e3", "1.10", "007"]);
    assert_eq!(spec.tags["cost"], "0815");
}

#[test]
fn memory_left_out_is_the_least_for_its_cpu() {
    for (cpu, memory) in [
        (256, 512),
        (512, 1024),
        (1024, 2048),
        (8192, 16_384),
        (32_768, 61_440),
    ] {
        assert_eq!(
            parses(&format!(
                "version: 1\napp: web\nservice: {{ port: 80, cpu: {cpu} }}\n"
            ))
            .service
            .memory,
            memory
        );
    }
}

#[test]
fn images_of_every_form_are_accepted() {
    let digest = "a".repeat(64);
    for image in [
        "httpd".to_owned(),
        "httpd:2.4.58".to_owned(),
        "library/httpd:2.4".to_owned(),
        "public.ecr.aws/docker/library/httpd:2.4".to_owned(),
        "localhost:5000/a/b-c__d.e:V1_x.y-z".to_owned(),
        format!("111122223333.dkr.ecr.eu-central-1.amazonaws.com/web@sha256:{digest}"),
        format!("web:1@sha256:{digest}"),
    ] {
        let text = format!("version: 1\napp: web\nservice: {{ port: 80, image: \"{image}\" }}\n");
        assert_eq!(parses(&text).service.image, Some(image));
    }
}

#[test]
fn no_nat_with_a_private_image_is_legal() {
    let text = "version: 1\napp: web\nregion: eu-central-1\nnetwork: { nat: none }\nservice: { port: 80, image: 111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:1 }\n";
    parses(text);
}
