//! Specs to test with: the tutorial's, and random legal ones. Built by hand, so that no test depends on the parser.

use std::collections::BTreeMap;

use ecspipe_spec::{
    Alarm, AppName, Approve, Architecture, Build, CodeCommit, Condition, Deploy, Engine, Facts,
    FailFast, Function, HealthCheck, HookEvent, Listener, LoadBalancer, Millis, Nat, Network,
    Percent, Percentile, RollbackOn, Service, Source, Span, Spec, Strategy as Shift, Zone, Zones,
};
use proptest::prelude::*;

pub(crate) fn facts() -> Facts {
    let mut facts = Facts::new("111122223333", "eu-central-1");
    facts.zones = ["a", "b", "c"]
        .map(|zone| format!("eu-central-1{zone}"))
        .to_vec();
    facts
}

pub(crate) fn zone(letter: &str, public: &str, private: &str) -> Zone {
    Zone {
        name: format!("eu-central-1{letter}"),
        public: public.parse().unwrap(),
        private: private.parse().unwrap(),
    }
}

/// The tutorial's app, as in the design.
pub(crate) fn tutorial() -> Spec {
    let zones = vec![
        zone("a", "192.168.0.0/24", "192.168.2.0/24"),
        zone("b", "192.168.1.0/24", "192.168.3.0/24"),
    ];
    Spec {
        version: 1,
        app: AppName::new("web").unwrap(),
        account: None,
        region: Some("eu-central-1".to_owned()),
        network: Network {
            existing: None,
            cidr: "192.168.0.0/16".parse().unwrap(),
            zones: Zones::Named(zones),
            nat: Nat::PerZone,
        },
        service: Service {
            image: Some("httpd:2.4.58".to_owned()),
            port: 80,
            cpu: 1024,
            memory: 2048,
            architecture: Architecture::X86_64,
            desired_count: 1,
            environment: BTreeMap::new(),
            health_check: HealthCheck {
                path: "/".to_owned(),
                interval: Span::from_secs(15),
                timeout: Span::from_secs(5),
                healthy: 2,
                unhealthy: 3,
                status: "200-399".to_owned(),
                grace: Span::from_secs(60),
            },
            exec: false,
        },
        cluster: None,
        load_balancer: LoadBalancer {
            existing: None,
            production: Listener {
                port: 80,
                allow: Some(vec!["0.0.0.0/0".parse().unwrap()]),
            },
            test: Listener {
                port: 8080,
                allow: Some(vec!["10.0.0.0/8".parse().unwrap()]),
            },
        },
        source: Source::Codecommit(CodeCommit {
            repository: "web".to_owned(),
            branch: "main".to_owned(),
        }),
        build: Build {
            dockerfile: "Dockerfile".to_owned(),
            context: ".".to_owned(),
        },
        deploy: Deploy {
            engine: Engine::Codedeploy,
            strategy: Shift::AllAtOnce,
            approve: Some(Approve {
                within: Span::from_minutes(60),
            }),
            keep_old: Span::from_minutes(5),
            rollback_on: vec![RollbackOn::Failure, RollbackOn::Stop],
            alarms: Vec::new(),
            hooks: BTreeMap::new(),
            checks: Vec::new(),
            fail_fast: FailFast::After(3),
        },
        kms_key: None,
        roles: BTreeMap::new(),
        permissions_boundary: None,
        role_path: "/".to_owned(),
        tags: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
    }
}

/// The tutorial's app with changes.
pub(crate) fn tutorial_with(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = tutorial();
    change(&mut spec);
    spec
}

/// Any legal spec.
pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    (app(), fixed(), variable()).prop_map(|(app, fixed, variable)| make(&app, &fixed, &variable))
}

/// An app's name, some of them the beginning of others.
pub(crate) fn app() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("web".to_owned()),
        Just("web-canary".to_owned()),
        Just("web-main".to_owned()),
        Just("internal-web".to_owned()),
        "[a-z][a-z0-9]{1,7}(-[a-z0-9]{1,7}){0,3}"
            .prop_filter("an app's name", |name| AppName::new(name.clone()).is_ok()),
    ]
}

/// What can't be changed once an app is up.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    cidr: u8,
    zones_by_number: bool,
}

pub(crate) fn fixed() -> impl Strategy<Value = Fixed> {
    (0..3_u8, any::<bool>()).prop_map(|(cidr, zones_by_number)| Fixed {
        cidr,
        zones_by_number,
    })
}

/// What can be changed at any time.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    nat: Nat,
    /// Which of the zones a, b and c.
    zones: Vec<usize>,
    port: u16,
    cpu: u32,
    architecture: Architecture,
    desired_count: u32,
    environment: BTreeMap<String, String>,
    path: String,
    interval: u64,
    allow: Vec<String>,
    test_port: u16,
    branch: String,
    dockerfile: String,
    shift: Shift,
    approve: Option<u64>,
    keep_old: u64,
    rollback_on: Vec<RollbackOn>,
    alarms: Vec<Alarm>,
    hooks: BTreeMap<HookEvent, Function>,
    tags: BTreeMap<String, String>,
}

pub(crate) fn variable() -> impl Strategy<Value = Variable> {
    let nat = prop_oneof![Just(Nat::PerZone), Just(Nat::Single), Just(Nat::None)];
    let architecture = prop_oneof![Just(Architecture::X86_64), Just(Architecture::Arm64)];
    let shift = prop_oneof![
        Just(Shift::AllAtOnce),
        (1..=99_u8, 1..=30_u64).prop_map(|(percent, wait)| Shift::Canary {
            percent,
            wait: Span::from_minutes(wait)
        }),
        (1..=99_u8, 1..=30_u64).prop_map(|(percent, every)| Shift::Linear {
            percent,
            every: Span::from_minutes(every)
        }),
        Just(Shift::Canary {
            percent: 10,
            wait: Span::from_minutes(5)
        }),
    ];
    let text = "[a-zA-Z0-9 ${}/_.:-]{0,12}".prop_filter("no text that looks like a link", |text| {
        !text.contains("${")
    });
    let map = || proptest::collection::btree_map("[a-z]{1,4}", text.clone(), 0..3);
    let allow = prop_oneof![
        Just("0.0.0.0/0"),
        Just("10.0.0.0/8"),
        Just("203.0.113.7/32")
    ]
    .prop_map(str::to_owned);
    let rollback =
        proptest::sample::subsequence(vec![RollbackOn::Failure, RollbackOn::Stop], 0..=2);
    let guards = (alarms(), hooks());
    let network = (
        nat,
        proptest::sample::subsequence(vec![0, 1, 2], 2..=3),
        proptest::collection::vec(allow, 0..3),
        8081..8084_u16,
    );
    let service = (
        (
            prop_oneof![Just(256), Just(512)],
            prop_oneof![Just(80), Just(8080), Just(3000)],
        ),
        architecture,
        0..3_u32,
        map(),
        "/[a-z]{0,5}",
        10..20_u64,
    );
    let deploy = (shift, proptest::option::of(1..100_u64), 0..60_u64, rollback);
    (
        network,
        service,
        (deploy, guards),
        "[a-z]{1,6}",
        "[A-Za-z]{1,6}",
        map(),
    )
        .prop_map(
            |(network, service, (deploy, guards), branch, dockerfile, tags)| Variable {
                nat: network.0,
                zones: network.1,
                allow: network.2,
                test_port: network.3,
                cpu: service.0.0,
                port: service.0.1,
                architecture: service.1,
                desired_count: service.2,
                environment: service.3,
                path: service.4,
                interval: service.5,
                shift: deploy.0,
                approve: deploy.1,
                keep_old: deploy.2,
                rollback_on: deploy.3,
                alarms: guards.0,
                hooks: guards.1,
                branch,
                dockerfile,
                tags,
            },
        )
}

/// Any of each kind; two percentiles are two alarms.
fn alarms() -> impl Strategy<Value = Vec<Alarm>> {
    let during = || (1..=60_u64).prop_map(Span::from_minutes);
    let p = prop_oneof![Just(99.0), Just(99.9), Just(50.0)]
        .prop_map(|p| Percentile::from_number(p).unwrap());
    let http = (0..10_000_u32, during()).prop_map(|(above, during)| Condition::Http5xx {
        above: Percent::from_hundredths(above).unwrap(),
        during,
    });
    let latency = (p, 1..5000_u64, during()).prop_map(|(p, above, during)| Condition::Latency {
        p,
        above: Millis::new(above),
        during,
    });
    let unhealthy = (0..3_u32, during())
        .prop_map(|(above, during)| Condition::UnhealthyTargets { above, during });
    let option = proptest::option::weighted::<BoxedStrategy<Condition>>;
    let made = (
        option(0.3, http.boxed()),
        option(0.3, latency.boxed()),
        option(0.3, unhealthy.boxed()),
    );
    let existing = proptest::sample::subsequence(vec!["backlog", "age of orders"], 0..=2);
    (made, existing).prop_map(|((http, latency, unhealthy), existing)| {
        let made = [http, latency, unhealthy].into_iter().flatten();
        let existing = existing
            .into_iter()
            .map(|name| Alarm::Existing(name.to_owned()));
        made.map(Alarm::Declared).chain(existing).collect()
    })
}

fn hooks() -> impl Strategy<Value = BTreeMap<HookEvent, Function>> {
    let function = prop_oneof![Just("smoke-test"), Just("acceptance_test")];
    let events = proptest::sample::subsequence(HookEvent::ALL.to_vec(), 0..=2);
    (events, function).prop_map(|(events, function)| {
        let function = Function::new(function).unwrap();
        let each = events.into_iter().map(|event| (event, function.clone()));
        each.collect()
    })
}

pub(crate) fn make(app: &str, fixed: &Fixed, variable: &Variable) -> Spec {
    let mut spec = tutorial();
    spec.app = AppName::new(app).unwrap();
    spec.network.cidr = format!("10.{}.0.0/16", fixed.cidr).parse().unwrap();
    let named = variable.zones.iter().map(|&index| {
        let range = |part: usize| format!("10.{}.{part}.0/24", fixed.cidr);
        zone(["a", "b", "c"][index], &range(index), &range(index + 10))
    });
    spec.network.zones = if fixed.zones_by_number {
        Zones::Count(u8::try_from(variable.zones.len()).unwrap())
    } else {
        Zones::Named(named.collect())
    };
    spec.network.nat = variable.nat;
    let service = &mut spec.service;
    service.port = variable.port;
    service.cpu = variable.cpu;
    service.architecture = variable.architecture;
    service.desired_count = variable.desired_count;
    service.environment = variable.environment.clone();
    service.health_check.path = variable.path.clone();
    service.health_check.interval = Span::from_secs(variable.interval);
    let allow = variable.allow.iter().map(|range| range.parse().unwrap());
    spec.load_balancer.production.allow = Some(allow.collect());
    spec.load_balancer.test.port = variable.test_port;
    spec.source = Source::Codecommit(CodeCommit {
        repository: app.to_owned(),
        branch: variable.branch.clone(),
    });
    spec.build.dockerfile = variable.dockerfile.clone();
    spec.deploy.strategy = variable.shift;
    spec.deploy.approve = variable.approve.map(|minutes| Approve {
        within: Span::from_minutes(minutes),
    });
    spec.deploy.keep_old = Span::from_minutes(variable.keep_old);
    spec.deploy.rollback_on = variable.rollback_on.clone();
    spec.deploy.alarms = variable.alarms.clone();
    spec.deploy.hooks = variable.hooks.clone();
    spec.tags = variable.tags.clone();
    spec
}

/// Two specs of one app, each of which can be had after the other: only the VPC's range and the way of naming zones stay.
pub(crate) fn compatible() -> impl Strategy<Value = (Spec, Spec)> {
    (app(), fixed(), variable(), variable()).prop_map(|(app, fixed, first, second)| {
        (make(&app, &fixed, &first), make(&app, &fixed, &second))
    })
}

/// Two specs of one app that need not get on.
pub(crate) fn any_two() -> impl Strategy<Value = (Spec, Spec)> {
    let one = || (fixed(), variable());
    (app(), one(), one()).prop_map(|(app, first, second)| {
        (
            make(&app, &first.0, &first.1),
            make(&app, &second.0, &second.1),
        )
    })
}
