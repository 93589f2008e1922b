//! How a plan is carried out: in order, in parallel, through failures and interruptions.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::memory::{Fault, Memory};
use ecspipe_provision::{
    ApplyOptions, Because, CancellationToken, CloudErrorKind, Error, Event, Existing, Key, Kind,
    Options, Plan, apply, observe, outputs,
};

use crate::account::{
    DOWN, assert_settled, carry_out, down, graph_in, id, inventory, plan_for, run, steps, up,
};
use crate::specs::{facts, tutorial, tutorial_with};

/// Every step begins after what it depends on has ended, and ends once.
fn assert_in_order(plan: &Plan, events: &[Event]) {
    let mut finished = BTreeSet::new();
    for event in events {
        match event {
            Event::StepStarted { step, .. } => {
                assert!(
                    plan.steps[*step].after.is_subset(&finished),
                    "{}",
                    plan.steps[*step].key
                );
            }
            Event::StepFinished { step, .. } => assert!(finished.insert(*step)),
            _ => {}
        }
    }
}

#[test]
fn steps_run_in_order_and_in_parallel() {
    let cloud = Memory::new();
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    let (outcome, events) = carry_out(&cloud, &plan);
    assert!(outcome.is_complete());
    assert!(
        matches!(&events[0], Event::PlanMade { summary } if summary.create == plan.steps.len() && summary.update == 0)
    );
    assert_in_order(&plan, &events);
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::StepProgressed { .. }))
            .count(),
        plan.steps.len()
    );
    assert!(cloud.calls().most_in_flight > 8);
    let plan = plan_for(&cloud, &tutorial(), DOWN);
    let (_, events) = carry_out(&cloud, &plan);
    assert_in_order(&plan, &events);
}

#[test]
fn no_more_than_asked_are_in_flight() {
    for (asked, most) in [(0, 1), (1, 1), (3, 3)] {
        let cloud = Memory::new();
        let plan = plan_for(&cloud, &tutorial(), Options::default());
        let options = ApplyOptions { concurrency: asked };
        let outcome = run(apply(
            &cloud,
            &plan,
            &options,
            |_| (),
            &CancellationToken::new(),
        ))
        .unwrap();
        assert!(outcome.is_complete());
        assert_eq!(cloud.calls().most_in_flight, most);
    }
}

/// A step doesn't wait for what it doesn't need: the address is there long before the last role.
#[test]
fn a_slow_thing_holds_nobody_back_who_does_not_need_it() {
    let cloud = Memory::new();
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    let before = |key: &str| {
        let key: Key = key.parse().unwrap();
        let step = plan.steps.iter().find(|step| step.key == key).unwrap();
        let mut all = step.after.clone();
        let mut open: Vec<usize> = all.iter().copied().collect();
        while let Some(next) = open.pop() {
            open.extend(
                plan.steps[next]
                    .after
                    .iter()
                    .filter(|&&after| all.insert(after)),
            );
        }
        all.into_iter()
            .map(|id| plan.steps[id].key.kind)
            .collect::<BTreeSet<Kind>>()
    };
    assert!(!before("load-balancer/main").contains(&Kind::NatGateway));
    assert!(!before("build-project/main").contains(&Kind::Vpc));
    assert!(before("service/main").contains(&Kind::NatGateway));
    assert!(before("service/main").contains(&Kind::Listener));
}

#[test]
fn what_depends_on_a_failure_is_skipped_and_the_rest_goes_on() {
    let cloud = Memory::new();
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    let vpc: Key = "vpc/main".parse().unwrap();
    // One at a time in a known order, so that the failing call is that of the VPC.
    let one = ApplyOptions { concurrency: 1 };
    let mut order = Vec::new();
    let watch = |event| {
        if let Event::StepStarted { key, .. } = event {
            order.push(key);
        }
    };
    run(apply(
        &Memory::new(),
        &plan,
        &one,
        watch,
        &CancellationToken::new(),
    ))
    .unwrap();
    cloud.fail(
        order.iter().position(|key| *key == vpc).unwrap(),
        Fault::Refused,
    );
    let mut events = Vec::new();
    let outcome = run(apply(
        &cloud,
        &plan,
        &one,
        |event| events.push(event),
        &CancellationToken::new(),
    ))
    .unwrap();
    assert_eq!(outcome.failed.len(), 1);
    assert_eq!(
        (&outcome.failed[0].key, outcome.failed[0].error.kind),
        (&vpc, CloudErrorKind::Other)
    );
    let skipped: BTreeSet<Kind> = outcome.skipped.iter().map(|skip| skip.key.kind).collect();
    let spared = [
        Kind::EncryptionKey,
        Kind::Bucket,
        Kind::Role,
        Kind::Cluster,
        Kind::TaskDefinition,
        Kind::BuildProject,
    ];
    for kind in spared {
        assert!(!skipped.contains(&kind), "{kind}");
    }
    for kind in [
        Kind::Subnet,
        Kind::LoadBalancer,
        Kind::Service,
        Kind::DeploymentGroup,
        Kind::Pipeline,
        Kind::EventRule,
    ] {
        assert!(skipped.contains(&kind), "{kind}");
    }
    assert!(
        outcome
            .skipped
            .iter()
            .all(|skip| skip.because == Because::Failed { key: vpc.clone() })
    );
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::StepFailed { .. }))
            .count(),
        1
    );
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
}

#[test]
fn an_interrupted_run_finishes_what_is_in_flight_and_begins_nothing() {
    let cloud = Memory::new();
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    let cancel = CancellationToken::new();
    let options = ApplyOptions { concurrency: 4 };
    let mut events = Vec::new();
    let watch = |event: Event| {
        if matches!(event, Event::StepFinished { .. }) {
            cancel.cancel();
        }
        events.push(event);
    };
    let outcome = run(apply(&cloud, &plan, &options, watch, &cancel)).unwrap();
    let cancelled = events
        .iter()
        .position(|event| matches!(event, Event::Cancelled { .. }));
    let started = events
        .iter()
        .filter(|event| matches!(event, Event::StepStarted { .. }))
        .count();
    assert_eq!(
        (started, outcome.done.len(), outcome.failed.len()),
        (4, 4, 0)
    );
    assert!(
        events[cancelled.unwrap()..]
            .iter()
            .all(|event| !matches!(event, Event::StepStarted { .. }))
    );
    assert_eq!(outcome.skipped.len(), plan.steps.len() - 4);
    assert!(
        outcome
            .skipped
            .iter()
            .all(|skip| skip.because == Because::Cancelled)
    );
    up(&cloud, &tutorial());
    assert_settled(&cloud, &tutorial());
}

#[test]
fn outputs_are_the_same_after_a_run_and_after_a_look() {
    let cloud = Memory::new();
    let spec = tutorial();
    let plan = plan_for(&cloud, &spec, Options::default());
    assert_eq!(
        outputs(&plan.known, &spec, &Existing::default()),
        outputs(&BTreeMap::new(), &spec, &Existing::default())
    );
    let (outcome, _) = carry_out(&cloud, &plan);
    let after = outputs(&outcome.known, &spec, &Existing::default());
    let observed = inventory(&cloud, &spec).known();
    assert_eq!(after, outputs(&observed, &spec, &Existing::default()));
    insta::assert_json_snapshot!("outputs", after);
}

/// A key whose creation nobody heard of is taken away again; the one in use stays.
#[test]
fn duplicates_go() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let used = id(&cloud, "encryption-key/main");
    let mut second = cloud
        .things()
        .into_iter()
        .find(|have| have.id == used)
        .unwrap();
    second.id = "arn:aaa".to_owned();
    cloud.put(second);
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert_eq!(steps(&plan), ["delete encryption-key/main"]);
    carry_out(&cloud, &plan);
    assert_eq!(id(&cloud, "encryption-key/main"), used);
    assert_settled(&cloud, &tutorial());
}

#[test]
fn what_nobody_wants_any_more_goes() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let single = tutorial_with(|spec| spec.network.nat = ecspipe_spec::Nat::Single);
    assert_eq!(
        steps(&plan_for(&cloud, &single, Options::default())),
        [
            "update route-table/private-eu-central-1b: routes[0].target",
            "delete nat-gateway/eu-central-1b",
            "delete address/eu-central-1b"
        ]
    );
    up(&cloud, &single);
    assert_settled(&cloud, &single);
}

/// The lease lies in the bucket: until that goes, nobody else may begin.
#[test]
fn in_a_teardown_the_bucket_goes_last() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let mut plan = plan_for(&cloud, &tutorial(), DOWN);
    let last = plan.steps.last_mut().unwrap();
    assert_eq!(last.key.to_string(), "bucket/artifacts");
    assert_eq!(last.after, (0..last.id).collect());
    // What it waits for through nothing else: the key that encrypts what is in it.
    let key = plan
        .steps
        .iter()
        .find(|step| step.key.kind == Kind::EncryptionKey);
    let key = key.unwrap().id;
    plan.steps.last_mut().unwrap().after.remove(&key);
    assert_eq!(
        ecspipe_provision::check(&plan),
        [
            "bucket/artifacts (39): something that may need it, or the lease that lies in it, isn't done before"
        ]
    );
}

#[test]
fn a_source_repository_goes_only_when_asked() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let plan = plan_for(&cloud, &tutorial(), DOWN);
    assert_eq!(
        plan.notes,
        ["the source repository web stays, with its history"]
    );
    down(&cloud, &tutorial());
    let everything = Options {
        delete_source: true,
        ..DOWN
    };
    assert_eq!(
        steps(&plan_for(&cloud, &tutorial(), everything)),
        ["delete source-repository/main"]
    );
}

#[test]
fn an_account_that_can_not_be_read_is_said_wholly() {
    let cloud = Memory::new();
    cloud.fail_listing(Kind::Vpc);
    cloud.fail_listing(Kind::Role);
    let (_, scope) = graph_in(&tutorial(), &facts());
    match run(observe(&cloud, &scope)) {
        Err(Error::Unreadable(errors)) => assert_eq!(errors.len(), 2),
        other => panic!("{other:?}"),
    }
}

/// A plan that somebody else made wrongly is not carried out.
#[test]
fn a_broken_plan_is_not_begun() {
    let check = |break_it: fn(&mut Plan)| {
        let cloud = Memory::new();
        let mut plan = plan_for(&cloud, &tutorial(), Options::default());
        break_it(&mut plan);
        let result = run(apply(
            &cloud,
            &plan,
            &ApplyOptions::default(),
            |_| (),
            &CancellationToken::new(),
        ));
        assert!(matches!(result, Err(Error::Broken(_))));
        assert_eq!(cloud.calls().writes(), 0);
    };
    check(|plan| drop(plan.steps.remove(0)));
    check(|plan| plan.steps.iter_mut().for_each(|step| step.after.clear()));
    check(|plan| plan.steps[0].after.extend([1]));
    check(|plan| plan.options.rollout_in_flight = true);
    check(|plan| plan.options.mode = ecspipe_provision::Mode::Down);
    check(|plan| {
        let again = plan.steps[0].clone();
        plan.steps.push(ecspipe_provision::Step {
            id: plan.steps.len(),
            ..again
        });
    });
}

#[test]
fn a_broken_teardown_is_not_begun() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let mut plan = plan_for(&cloud, &tutorial(), DOWN);
    plan.steps.iter_mut().for_each(|step| step.after.clear());
    assert!(!ecspipe_provision::check(&plan).is_empty());
    let mut plan = plan_for(
        &cloud,
        &tutorial(),
        Options {
            delete_source: true,
            ..DOWN
        },
    );
    plan.options.delete_source = false;
    assert_eq!(ecspipe_provision::check(&plan).len(), 1);
}

/// What has to be made again is waited for also by what needs it only through something that is as wanted.
#[test]
fn dependencies_reach_through_what_is_unchanged() {
    let cloud = Memory::new();
    up(&cloud, &tutorial());
    let lost = ["internet-gateway/main", "listener/test"];
    cloud.remove(|have| {
        have.key
            .as_ref()
            .is_some_and(|key| lost.contains(&key.to_string().as_str()))
    });
    let plan = plan_for(&cloud, &tutorial(), Options::default());
    assert!(
        plan.unchanged
            .contains(&"load-balancer/main".parse().unwrap())
    );
    let step = |key: &str| {
        let key: Key = key.parse().unwrap();
        plan.steps.iter().find(|step| step.key == key).unwrap()
    };
    assert!(
        step("listener/test")
            .after
            .contains(&step("internet-gateway/main").id)
    );
}
