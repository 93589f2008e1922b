//! What has to wait, and what is done without it.

use ecspipe_provision::memory::Memory;
use ecspipe_provision::resource::{Forward, Resource};
use ecspipe_provision::{Options, Plan, Targets};
use ecspipe_spec::Spec;
use proptest::prelude::*;

use crate::account::{
    IN_FLIGHT, assert_settled, carry_out, edit, held_back, id, keys, plan_for, ports, steps, up,
};
use crate::specs::{compatible, tutorial, tutorial_with};

fn account() -> Memory {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    cloud
}

/// Carries out a plan that must work.
fn carry(cloud: &Memory, plan: &Plan) {
    let (outcome, _) = carry_out(cloud, plan);
    assert_eq!((outcome.failed, outcome.skipped), (vec![], vec![]));
}

#[test]
fn a_rollout_in_flight_owns_what_it_moves() {
    let cloud = account();
    let spec = tutorial_with(|spec| {
        spec.service.desired_count = 3;
        spec.service.health_check.path = "/up".to_owned();
        spec.deploy.approve = None;
        spec.load_balancer.test.port = 9090;
    });
    let plan = plan_for(&cloud, &spec, IN_FLIGHT);
    assert_eq!(plan.refusals, []);
    assert_eq!(
        held_back(&plan),
        [
            "target-group/blue: in flight",
            "target-group/green: in flight",
            "listener/test: in flight",
            "service/main: in flight",
            "deployment-group/main: in flight",
            "security-group/balancer: after listener/test"
        ]
    );
    let held = &plan.held_back[2];
    assert_eq!(held.changes[0].field, "port");
    assert_eq!(
        held.message,
        "a deployment is in flight, and this listener belongs to it until its end"
    );
    // The test port is opened meanwhile, and the old one stays open.
    assert_eq!(steps(&plan), ["update security-group/balancer: ingress"]);
    assert!(plan_for(&cloud, &tutorial(), IN_FLIGHT).is_empty());
    // What the rollout doesn't move can be changed meanwhile.
    let other = tutorial_with(|spec| spec.build.dockerfile = "Other".to_owned());
    let plan = plan_for(&cloud, &other, IN_FLIGHT);
    assert_eq!(
        steps(&plan),
        ["update build-project/main: environment.DOCKERFILE"]
    );
    assert_eq!(held_back(&plan), Vec::<String>::new());
}

/// A former strategy's configuration stays until the group no longer names it, and so does what the pipeline says of a group.
#[test]
fn what_comes_after_waits_too() {
    let cloud = Memory::new();
    let canary = tutorial_with(|spec| {
        spec.deploy.strategy = ecspipe_spec::Strategy::Canary {
            percent: 20,
            wait: ecspipe_spec::Span::from_minutes(7),
        };
    });
    up(&cloud, &canary);
    let plan = plan_for(&cloud, &tutorial(), IN_FLIGHT);
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert_eq!(
        held_back(&plan),
        [
            "deployment-group/main: in flight",
            "deployment-config/canary-20p-7m: after deployment-group/main"
        ]
    );
    let hint = &plan.held_back[1].hint;
    assert_eq!(
        hint,
        "run `ecspipe up` again when deployment-group/main is no longer held back"
    );
    assert!(!plan.is_empty());
    assert_eq!(plan.summary().held_back, 2);
}

/// A listener that may not move yet is still reached on its port, and is never without one when it moves.
#[test]
fn a_port_is_closed_only_when_its_listener_has_left() {
    let cloud = account();
    let other = tutorial_with(|spec| spec.load_balancer.production.port = 8443);
    let open = || ports(&cloud, "security-group/balancer");
    let waiting = plan_for(&cloud, &other, IN_FLIGHT);
    carry(&cloud, &waiting);
    assert_eq!(
        held_back(&waiting),
        [
            "listener/production: in flight",
            "security-group/balancer: after listener/production"
        ]
    );
    assert_eq!(open(), [80, 8080, 8443]);

    let moving = plan_for(&cloud, &other, Options::default());
    let [listener, group] = &moving.steps[..] else {
        panic!("{:?}", steps(&moving));
    };
    assert_eq!(listener.key.to_string(), "listener/production");
    assert!(group.after.contains(&listener.id), "{group:?}");
    carry(&cloud, &moving);
    assert_eq!(open(), [8080, 8443]);
    assert_settled(&cloud, &other);

    // Without a rollout all of it is one run: opened, moved, closed.
    let at_once = plan_for(&cloud, &tutorial(), Options::default());
    let keys: Vec<String> = at_once
        .steps
        .iter()
        .map(|step| step.key.to_string())
        .collect();
    assert_eq!(
        keys,
        [
            "security-group/balancer",
            "listener/production",
            "security-group/balancer"
        ]
    );
    carry(&cloud, &at_once);
    assert_eq!(open(), [80, 8080]);
    assert_settled(&cloud, &tutorial());
}

/// Production is never led to where nothing serves; everything else is put right.
#[test]
fn production_is_not_led_to_nothing() {
    let cloud = account();
    let blue = id(&cloud, "target-group/blue");
    edit(&cloud, "listener/production", |resource| {
        let Resource::Listener(listener) = resource else {
            panic!()
        };
        listener.forward = [Forward {
            target_group: "arn:elsewhere".to_owned(),
            weight: 1,
        }]
        .into();
    });
    edit(&cloud, "service/main", |resource| {
        let Resource::Service(service) = resource else {
            panic!()
        };
        service.desired_count = 0;
    });
    cloud.set_targets(&blue, Targets::default());
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(steps(&plan), ["update service/main: desired_count"]);
    assert_eq!(
        held_back(&plan),
        [format!("listener/production: {blue} is dead")]
    );
    carry(&cloud, &plan);
    let healthy = Targets {
        healthy: 1,
        ..Targets::default()
    };
    cloud.set_targets(&blue, healthy);
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(
        steps(&plan),
        ["update listener/production: forward[0].target_group"]
    );
    carry(&cloud, &plan);
    assert_settled(&cloud, &tutorial());
}

/// No task is wanted, so none can be healthy.
#[test]
fn an_app_without_tasks_is_not_held_back() {
    let spec = tutorial_with(|spec| spec.service.desired_count = 0);
    let cloud = Memory::new();
    up(&cloud, &spec);
    let blue = id(&cloud, "target-group/blue");
    cloud.set_targets(&blue, Targets::default());
    assert_settled(&cloud, &spec);
    edit(&cloud, "listener/production", |resource| {
        let Resource::Listener(listener) = resource else {
            panic!()
        };
        listener.forward.clear();
    });
    up(&cloud, &spec);
    assert_settled(&cloud, &spec);
}

/// What a plan in flight leaves, and the one after it, come to the same as one without a flight.
fn in_two_goes(first: &Spec, second: &Spec) {
    let cloud = Memory::new();
    up(&cloud, first);
    let plan = plan_for(&cloud, second, IN_FLIGHT);
    assert_eq!(plan.refusals, []);
    let before: Vec<_> = cloud.things();
    carry(&cloud, &plan);
    // A security group that has been opened is held back from closing.
    let opened = |key| plan.steps.iter().any(|step| step.key == key);
    for held in plan
        .held_back
        .iter()
        .filter(|held| !opened(held.key.clone()))
    {
        let find = |things: &[ecspipe_provision::Have]| {
            let found = things
                .iter()
                .find(|have| have.key.as_ref() == Some(&held.key));
            found.cloned()
        };
        assert_eq!(find(&before), find(&cloud.things()), "{}", held.key);
    }
    // Nothing of it is done twice, or has been left to nobody.
    let again = plan_for(&cloud, second, IN_FLIGHT);
    assert_eq!(steps(&again), Vec::<String>::new());
    assert_eq!(held_back(&again), held_back(&plan));
    up(&cloud, second);
    assert_settled(&cloud, second);
    let other = Memory::new();
    up(&other, first);
    up(&other, second);
    assert_eq!(keys(&cloud), keys(&other));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_next_up_does_what_was_held_back((first, second) in compatible()) {
        in_two_goes(&first, &second);
    }
}
