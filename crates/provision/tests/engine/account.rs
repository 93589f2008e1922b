//! Short ways to plan for, and apply to, the in-memory account. Every plan that a test makes is held against the rules for plans.

use std::collections::BTreeSet;

use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::Forward;
use ecspipe_provision::{
    ApplyOptions, CancellationToken, Error, Event, Existing, Graph, Hold, Inputs, Inventory, Key,
    Mode, Options, Origin, Outcome, Plan, Resource, Scope, apply, check, desired, desired_beside,
    observe, observe_production, plan, scope, task_network,
};
use ecspipe_spec::taskdef::{Image, TaskDefinition};
use ecspipe_spec::{Facts, Spec};

use crate::specs::facts;

pub(crate) const BUILDSPEC: &str = "version: 0.2\n";

pub(crate) const DOWN: Options = Options {
    mode: Mode::Down,
    rollout_in_flight: false,
    delete_source: false,
};

/// A deployment is in flight.
pub(crate) const IN_FLIGHT: Options = Options {
    mode: Mode::Up,
    rollout_in_flight: true,
    delete_source: false,
};

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn graph_in(spec: &Spec, facts: &Facts) -> (Graph, Scope) {
    let inputs = Inputs {
        spec,
        facts,
        buildspec: BUILDSPEC,
        existing: &Existing::default(),
    };
    let graph = desired(&inputs).unwrap();
    let scope = scope(&inputs, &graph);
    (graph, scope)
}

pub(crate) fn graph_of(spec: &Spec) -> Graph {
    graph_in(spec, &facts()).0
}

/// What is wanted of an app that may be up.
pub(crate) fn graph_beside(spec: &Spec, inventory: &Inventory) -> Graph {
    let inputs = Inputs {
        spec,
        facts: &facts(),
        buildspec: BUILDSPEC,
        existing: &Existing::default(),
    };
    desired_beside(&inputs, inventory).unwrap()
}

pub(crate) fn inventory(cloud: &Memory, spec: &Spec) -> Inventory {
    let (_, scope) = graph_in(spec, &facts());
    run(observe(cloud, &scope)).unwrap()
}

pub(crate) fn plan_for(cloud: &Memory, spec: &Spec, options: Options) -> Plan {
    let mut inventory = inventory(cloud, spec);
    let graph = if options.mode == Mode::Down {
        Graph::new(spec.app.clone(), spec.tags.clone())
    } else {
        graph_beside(spec, &inventory)
    };
    run(observe_production(cloud, &graph, &mut inventory)).unwrap();
    let plan = plan(&graph, &inventory, &options);
    assert_eq!(check(&plan), Vec::<String>::new());
    plan
}

pub(crate) fn carry_out(cloud: &Memory, plan: &Plan) -> (Outcome, Vec<Event>) {
    let mut events = Vec::new();
    let cancel = CancellationToken::new();
    let outcome = run(apply(
        cloud,
        plan,
        &ApplyOptions::default(),
        |event| events.push(event),
        &cancel,
    ));
    (outcome.unwrap(), events)
}

/// Makes the account as the spec wants it; it must work.
pub(crate) fn up(cloud: &Memory, spec: &Spec) {
    let plan = plan_for(cloud, spec, Options::default());
    assert_eq!(plan.refusals, []);
    let (outcome, _) = carry_out(cloud, &plan);
    assert_eq!((outcome.failed, outcome.skipped), (vec![], vec![]));
}

/// What a deployment of `spec` brings about: new tasks with the spec's definition, network and port behind the idle target group.
pub(crate) fn roll_out(cloud: &Memory, spec: &Spec) {
    let network = task_network(&graph_of(spec), &inventory(cloud, spec)).unwrap();
    let (blue, green) = (
        id(cloud, "target-group/blue"),
        id(cloud, "target-group/green"),
    );
    let mut idle = String::new();
    edit(cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.target_group = if service.target_group == blue {
            green.clone()
        } else {
            blue.clone()
        };
        service.subnets.clone_from(&network.subnets);
        service.security_groups.clone_from(&network.security_groups);
        service.container_port = spec.service.port;
        idle.clone_from(&service.target_group);
    });
    let image = Image::Uri("registry.example.com/web@sha256:0".to_owned());
    edit(cloud, "task-definition/main", |resource| {
        *resource = ecspipe_provision::resource::TaskDefinition {
            definition: TaskDefinition::new(spec, &facts(), &image),
        }
        .into();
    });
    for listener in ["listener/production", "listener/test"] {
        edit(cloud, listener, |resource| {
            let Resource::Listener(listener) = resource else {
                panic!()
            };
            listener.forward = [Forward {
                target_group: idle.clone(),
                weight: 1,
            }]
            .into();
        });
    }
}

/// Makes the account as the spec wants it, with a deployment where something waits for one.
pub(crate) fn bring(cloud: &Memory, spec: &Spec) {
    up(cloud, spec);
    assert_settled(cloud, spec);
    if !plan_for(cloud, spec, Options::default())
        .deferred
        .is_empty()
    {
        roll_out(cloud, spec);
        up(cloud, spec);
        assert_settled(cloud, spec);
    }
    assert_eq!(plan_for(cloud, spec, Options::default()).deferred, []);
}

/// Takes the app away; it must work.
pub(crate) fn down(cloud: &Memory, spec: &Spec) {
    let plan = plan_for(cloud, spec, DOWN);
    let (outcome, _) = carry_out(cloud, &plan);
    assert_eq!((outcome.failed, outcome.skipped), (vec![], vec![]));
}

pub(crate) fn assert_settled(cloud: &Memory, spec: &Spec) {
    let plan = plan_for(cloud, spec, Options::default());
    assert!(
        plan.is_empty() && plan.dangers.is_empty() && plan.drift.is_empty(),
        "{}",
        serde_json::to_string_pretty(&plan).unwrap()
    );
}

pub(crate) fn refused(error: Error) -> usize {
    match error {
        Error::Refused(refusals) => refusals.len(),
        other => panic!("{other}"),
    }
}

/// The keys of everything in the account.
pub(crate) fn keys(cloud: &Memory) -> BTreeSet<String> {
    cloud
        .things()
        .iter()
        .map(|have| have.key.as_ref().unwrap().to_string())
        .collect()
}

pub(crate) fn id(cloud: &Memory, key: &str) -> String {
    let key: Key = key.parse().unwrap();
    cloud
        .things()
        .into_iter()
        .find(|have| have.key.as_ref() == Some(&key))
        .unwrap()
        .id
}

/// Changes one thing by hand.
pub(crate) fn edit(cloud: &Memory, key: &str, mut change: impl FnMut(&mut Resource)) {
    let key: Key = key.parse().unwrap();
    let mut edited = 0;
    cloud.edit(|have| {
        if have.key.as_ref() == Some(&key) {
            change(&mut have.resource);
            edited += 1;
        }
    });
    assert_eq!(edited, 1, "{key}");
}

/// The ports that a security group lets in.
pub(crate) fn ports(cloud: &Memory, key: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    edit(cloud, key, |resource| {
        let Resource::SecurityGroup(group) = resource else {
            panic!("{key} is no security group")
        };
        let rules = group.ingress.iter();
        ports = rules.filter_map(|rule| rule.from_port).collect();
    });
    ports
}

/// What is held back, with what it waits for: `listener/test: in flight`, `event-rule/source: after pipeline/main`.
pub(crate) fn held_back(plan: &Plan) -> Vec<String> {
    let show = |held: &ecspipe_provision::HeldBack| match &held.reason {
        Hold::RolloutInFlight => format!("{}: in flight", held.key),
        Hold::NoHealthyTarget { target_group } => format!("{}: {target_group} is dead", held.key),
        Hold::Follows { of } => format!("{}: after {of}", held.key),
    };
    plan.held_back.iter().map(show).collect()
}

/// The steps of a plan, one a line: `update listener/test: port`. The record of what was applied goes with every change of
/// the spec, and is left out.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let show = |step: &ecspipe_provision::Step| {
        let action = format!("{:?}", step.action.kind()).to_lowercase();
        let fields: Vec<&str> = step
            .action
            .changes()
            .iter()
            .filter(|change| change.origin != Origin::Record)
            .map(|change| change.field.as_str())
            .collect();
        if fields.is_empty() {
            format!("{action} {}", step.key)
        } else {
            format!("{action} {}: {}", step.key, fields.join(", "))
        }
    };
    plan.steps.iter().map(show).collect()
}
