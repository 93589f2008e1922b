//! What is refused, with its reason, all at once, and without a step.

use std::collections::BTreeMap;

use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::{Cluster, Resource};
use ecspipe_provision::{
    ApplyOptions, CancellationToken, Have, Mode, Options, RefusalReason, apply,
};
use ecspipe_spec::{Spec, Zones};

use crate::account::{DOWN, IN_FLIGHT, edit, plan_for, refused, run, steps, up};
use crate::specs::{tutorial, tutorial_with, zone};

fn account() -> Memory {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud
}

fn refusals(cloud: &Memory, spec: &Spec, options: Options) -> Vec<String> {
    let plan = plan_for(cloud, spec, options);
    assert_eq!(steps(&plan), Vec::<String>::new());
    plan.refusals.iter().map(ToString::to_string).collect()
}

#[test]
fn what_can_not_be_changed_is_refused_all_at_once() {
    let spec = tutorial_with(|spec| {
        spec.network.cidr = "192.168.0.0/17".parse().unwrap();
        spec.network.zones = Zones::Named(vec![
            zone("a", "192.168.0.0/25", "192.168.2.0/25"),
            zone("b", "192.168.1.0/24", "192.168.3.0/24"),
        ]);
    });
    assert_eq!(
        refusals(&account(), &spec, Options::default()),
        [
            "vpc/main: cidr of this VPC can't be changed: everything in the network would have to move",
            "subnet/public-eu-central-1a: cidr of this subnet can't be changed: running tasks and the balancer stand in it",
            "subnet/private-eu-central-1a: cidr of this subnet can't be changed: running tasks and the balancer stand in it",
        ]
    );
}

#[test]
fn nothing_of_a_refused_plan_is_done() {
    let cloud = account();
    cloud.reset();
    let plan = plan_for(
        &cloud,
        &tutorial_with(|spec| {
            spec.network.zones = Zones::Named(vec![
                zone("a", "192.168.0.0/25", "192.168.2.0/25"),
                zone("b", "192.168.1.0/24", "192.168.3.0/25"),
            ]);
        }),
        Options::default(),
    );
    let result = run(apply(
        &cloud,
        &plan,
        &ApplyOptions::default(),
        |_| panic!(),
        &CancellationToken::new(),
    ));
    assert_eq!(refused(result.unwrap_err()), 3);
    assert_eq!(cloud.calls().writes(), 0);
}

/// A field that was changed by hand, and that can't be changed back.
#[test]
fn drift_that_can_not_be_put_right_is_refused() {
    let check = |key: &str, change: fn(&mut Resource), expected: &str| {
        let cloud = account();
        edit(&cloud, key, change);
        assert_eq!(
            refusals(&cloud, &tutorial(), Options::default()),
            [expected]
        );
    };
    check(
        "service/main",
        |resource| {
            let Resource::Service(service) = resource else {
                panic!()
            };
            service.controller = "ECS".to_owned();
            service.target_group = "arn:elsewhere".to_owned();
        },
        "service/main: controller, target_group of this ECS service can't be changed: its deployments belong to somebody else than CodeDeploy",
    );
    check(
        "load-balancer/main",
        |resource| {
            let Resource::LoadBalancer(balancer) = resource else {
                panic!()
            };
            balancer.scheme = "internal".to_owned();
        },
        "load-balancer/main: scheme of this load balancer can't be changed: its address would change and production traffic would be lost",
    );
    check(
        "subnet/public-eu-central-1a",
        |resource| {
            let Resource::Subnet(subnet) = resource else {
                panic!()
            };
            subnet.zone = "eu-central-1c".to_owned();
        },
        "subnet/public-eu-central-1a: zone of this subnet can't be changed: running tasks and the balancer stand in it",
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let cloud = Memory::new();
    let cluster = Cluster {
        name: "web".to_owned(),
        container_insights: "disabled".to_owned(),
    };
    cloud.put(Have {
        key: None,
        id: "web".to_owned(),
        name: "web".to_owned(),
        attributes: BTreeMap::new(),
        tags: BTreeMap::from([("ecspipe:app".to_owned(), "other".to_owned())]),
        resource: cluster.into(),
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(plan.refusals.len(), 1);
    assert_eq!(
        plan.refusals[0].reason,
        RefusalReason::NameTaken {
            id: "web".to_owned()
        }
    );
    assert_eq!(plan.refusals[0].key.to_string(), "cluster/main");
    // What isn't ours doesn't go with us.
    assert!(plan_for(&cloud, &tutorial(), DOWN).is_empty());
}

/// Nothing of an app goes that is being deployed.
#[test]
fn a_rollout_in_flight_owns_what_would_go() {
    let down = Options {
        mode: Mode::Down,
        ..IN_FLIGHT
    };
    assert_eq!(refusals(&account(), &tutorial(), down).len(), 6);
}

#[test]
fn ranges_and_ports_that_are_still_held_are_refused() {
    let moved = tutorial_with(|spec| {
        spec.network.zones = Zones::Named(vec![
            zone("a", "192.168.0.0/24", "192.168.2.0/24"),
            zone("c", "192.168.1.0/24", "192.168.5.0/24"),
        ]);
    });
    assert!(refusals(&account(), &moved, Options::default()).contains(
        &"subnet/public-eu-central-1c: its range 192.168.1.0/24 overlaps that of subnet/public-eu-central-1b, \
          which has to be there until everything has moved out of it"
            .to_owned()
    ));
    let swapped = tutorial_with(|spec| {
        spec.load_balancer.production.port = 8080;
        spec.load_balancer.test.port = 9090;
    });
    assert_eq!(
        refusals(&account(), &swapped, Options::default()),
        ["listener/production: port 8080 is still that of listener/test"]
    );
}
