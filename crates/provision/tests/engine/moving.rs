//! Changes that running tasks have to make first: what they need stays until a deployment has moved them, and goes then.

use std::collections::BTreeSet;

use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::{OtherSets, Resource};
use ecspipe_provision::{
    ActionKind, Deferred, DeferredTo, Error, Options, Plan, applied_task_network, task_network,
};
use ecspipe_spec::{Nat, Spec, Zones};

use crate::account::{
    assert_settled, edit, graph_of, id, inventory, keys, plan_for, ports, roll_out, steps, up,
};
use crate::specs::{tutorial, tutorial_with, zone};

fn three_zones() -> Spec {
    tutorial_with(|spec| {
        let Zones::Named(zones) = &mut spec.network.zones else {
            panic!()
        };
        zones.push(zone("c", "192.168.4.0/24", "192.168.5.0/24"));
    })
}

/// What waits, one a line: `deployment update service/main: subnets`.
fn deferred(plan: &Plan) -> Vec<String> {
    let show = |deferred: &Deferred| {
        let by = match deferred.by {
            DeferredTo::Deployment => "deployment",
            DeferredTo::NextUp => "up",
        };
        let fields: Vec<&str> = deferred
            .changes
            .iter()
            .map(|change| change.field.as_str())
            .collect();
        let action = format!("{:?}", deferred.action).to_lowercase();
        match deferred.action {
            ActionKind::Delete => format!("{by} {action} {}", deferred.key),
            _ => format!("{by} {action} {}: {}", deferred.key, fields.join(", ")),
        }
    };
    plan.deferred.iter().map(show).collect()
}

fn plan(cloud: &Memory, spec: &Spec) -> Plan {
    plan_for(cloud, spec, Options::default())
}

#[test]
fn a_zone_goes_when_its_tasks_have_moved() {
    let cloud = Memory::new();
    up(&cloud, &three_zones());
    let before = keys(&cloud);
    let first = plan(&cloud, &tutorial());
    assert_eq!(steps(&first), Vec::<String>::new());
    assert_eq!(
        deferred(&first),
        [
            "up delete subnet/public-eu-central-1c",
            "up delete subnet/private-eu-central-1c",
            "up delete address/eu-central-1c",
            "up delete nat-gateway/eu-central-1c",
            "up update route-table/public: subnets",
            "up delete route-table/private-eu-central-1c",
            "up update load-balancer/main: subnets",
            "deployment update service/main: subnets",
        ]
    );
    assert_eq!(keys(&cloud), before);

    roll_out(&cloud, &tutorial());
    assert_eq!(
        steps(&plan(&cloud, &tutorial())),
        [
            "update route-table/public: subnets",
            "update load-balancer/main: subnets",
            "delete route-table/private-eu-central-1c",
            "delete nat-gateway/eu-central-1c",
            "delete address/eu-central-1c",
            "delete subnet/private-eu-central-1c",
            "delete subnet/public-eu-central-1c",
        ]
    );
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
    assert_eq!(deferred(&plan(&cloud, &tutorial())), Vec::<String>::new());
}

/// The old tasks of a rollout that was stopped half-way need their zone as well.
#[test]
fn a_zone_stays_for_other_task_sets_too() {
    let cloud = Memory::new();
    up(&cloud, &three_zones());
    roll_out(&cloud, &tutorial());
    let left = BTreeSet::from([id(&cloud, "subnet/private-eu-central-1c")]);
    edit(&cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.others = OtherSets {
            subnets: left.clone(),
            ports: [80].into(),
        };
    });
    let waiting = plan(&cloud, &tutorial());
    assert_eq!(steps(&waiting), Vec::<String>::new());
    assert!(deferred(&waiting).contains(&"up delete subnet/private-eu-central-1c".to_owned()));
    assert!(
        waiting
            .deferred
            .iter()
            .all(|one| one.by == DeferredTo::NextUp)
    );
}

#[test]
fn a_zone_is_there_before_tasks_stand_in_it() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    match task_network(
        &graph_of(&three_zones()),
        &inventory(&cloud, &three_zones()),
    ) {
        Err(Error::NotUp(missing)) => {
            assert_eq!(missing, ["subnet/private-eu-central-1c doesn't exist"]);
        }
        other => panic!("{other:?}"),
    }
    up(&cloud, &three_zones());
    // What was made is known without a look; what isn't known isn't there.
    let (graph, inventory) = (graph_of(&three_zones()), inventory(&cloud, &three_zones()));
    let looked = task_network(&graph, &inventory).unwrap();
    assert_eq!(looked.subnets.len(), 3);
    let mut known = inventory.known();
    assert_eq!(applied_task_network(&graph, &known).unwrap(), looked);
    known.remove(&"subnet/private-eu-central-1c".parse().unwrap());
    let error = applied_task_network(&graph, &known).unwrap_err();
    assert!(
        error.to_string().contains("subnet/private-eu-central-1c"),
        "{error}"
    );
    assert_eq!(
        deferred(&plan(&cloud, &three_zones())),
        ["deployment update service/main: subnets"]
    );
    roll_out(&cloud, &three_zones());
    assert_eq!(
        deferred(&plan(&cloud, &three_zones())),
        Vec::<String>::new()
    );
}

#[test]
fn both_ports_are_open_until_the_old_tasks_are_gone() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let moved = tutorial_with(|spec| spec.service.port = 3000);
    match task_network(&graph_of(&moved), &inventory(&cloud, &moved)) {
        Err(Error::NotUp(missing)) => assert_eq!(
            missing,
            [
                "security-group/balancer doesn't let port 3000 through",
                "security-group/service doesn't let port 3000 through"
            ]
        ),
        other => panic!("{other:?}"),
    }
    let first = plan(&cloud, &moved);
    assert_eq!(
        steps(&first),
        [
            "update security-group/balancer: egress",
            "update security-group/service: ingress"
        ]
    );
    assert_eq!(
        deferred(&first),
        [
            "up update security-group/balancer: egress",
            "up update security-group/service: ingress",
            "deployment update task-definition/main: definition.containerDefinitions[0].portMappings[0].containerPort",
            "deployment update service/main: container_port",
        ]
    );
    up(&cloud, &moved);
    assert_settled(&cloud, &moved);
    assert_eq!(ports(&cloud, "security-group/service"), [80, 3000]);
    // A change of mind before the deployment costs nothing.
    assert_eq!(steps(&plan(&cloud, &tutorial())).len(), 2);

    roll_out(&cloud, &moved);
    up(&cloud, &moved);
    assert_settled(&cloud, &moved);
    assert_eq!(ports(&cloud, "security-group/service"), [3000]);
    assert_eq!(deferred(&plan(&cloud, &moved)), Vec::<String>::new());
}

/// The step of `plan` on `key`.
fn place_of(plan: &Plan, key: &str) -> usize {
    let found = plan.steps.iter().find(|step| step.key.to_string() == key);
    found
        .unwrap_or_else(|| panic!("no {key} in {:#?}", steps(plan)))
        .id
}

fn everything_before(plan: &Plan, step: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = vec![step];
    while let Some(next) = open.pop() {
        open.extend(
            plan.steps[next]
                .after
                .iter()
                .filter(|&&after| all.insert(after)),
        );
    }
    all
}

/// Tasks are never without a way to their image and their log.
#[test]
fn there_is_always_a_way_out() {
    const ENDPOINTS: [&str; 4] = ["s3", "ecr-api", "ecr-dkr", "logs"];
    let with = |nat| tutorial_with(|spec| spec.network.nat = nat);
    let cloud = Memory::new();
    up(&cloud, &with(Nat::PerZone));
    let closing = plan(&cloud, &with(Nat::None));
    for zone in ["a", "b"] {
        let table = place_of(&closing, &format!("route-table/private-eu-central-1{zone}"));
        let gateway = place_of(&closing, &format!("nat-gateway/eu-central-1{zone}"));
        let before = everything_before(&closing, table);
        for endpoint in ENDPOINTS {
            let endpoint = place_of(&closing, &format!("endpoint/{endpoint}"));
            assert!(before.contains(&endpoint), "{:#?}", steps(&closing));
        }
        assert!(everything_before(&closing, gateway).contains(&table));
    }
    up(&cloud, &with(Nat::None));
    assert_settled(&cloud, &with(Nat::None));

    let opening = plan(&cloud, &with(Nat::Single));
    for endpoint in ENDPOINTS {
        let endpoint = place_of(&opening, &format!("endpoint/{endpoint}"));
        let before = everything_before(&opening, endpoint);
        for zone in ["a", "b"] {
            let table = place_of(&opening, &format!("route-table/private-eu-central-1{zone}"));
            assert!(before.contains(&table), "{:#?}", steps(&opening));
        }
        assert!(before.contains(&place_of(&opening, "nat-gateway/eu-central-1a")));
    }
    up(&cloud, &with(Nat::Single));
    assert_settled(&cloud, &with(Nat::Single));

    let fewer = plan(&cloud, &with(Nat::PerZone));
    let table = place_of(&fewer, "route-table/private-eu-central-1b");
    let gateway = place_of(&fewer, "nat-gateway/eu-central-1b");
    assert!(everything_before(&fewer, table).contains(&gateway));
}
