//! What must hold for any spec: what was applied is not planned again, any failure is finished by a second run, nothing is left behind.

use std::collections::BTreeSet;

use ecspipe_provision::memory::{Fault, Memory};
use ecspipe_provision::{Kind, Options};
use proptest::prelude::*;

use crate::account::{DOWN, assert_settled, bring, carry_out, down, graph_of, keys, plan_for, up};
use crate::specs::{any_two, app, compatible, make, spec};
use crate::specs::{fixed, variable};

fn wanted(spec: &ecspipe_spec::Spec) -> BTreeSet<String> {
    graph_of(spec)
        .nodes()
        .iter()
        .map(|node| node.key.to_string())
        .collect()
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Refused),
        Just(Fault::AnswerLost),
        Just(Fault::Half)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_applied_is_settled(spec in spec()) {
        let cloud = Memory::new();
        up(&cloud, &spec);
        prop_assert_eq!(keys(&cloud), wanted(&spec));
        let first = cloud.calls();
        prop_assert_eq!(first.update + first.delete, 0);
        cloud.reset();
        assert_settled(&cloud, &spec);
        up(&cloud, &spec);
        prop_assert_eq!(cloud.calls().writes(), 0);
        prop_assert_eq!(cloud.calls().list, 2 * Kind::ALL.len());
    }

    #[test]
    fn a_teardown_leaves_the_source_and_nothing_else((first, second) in compatible()) {
        let cloud = Memory::new();
        up(&cloud, &first);
        up(&cloud, &second);
        down(&cloud, &second);
        prop_assert_eq!(keys(&cloud), BTreeSet::from(["source-repository/main".to_owned()]));
        prop_assert!(plan_for(&cloud, &second, DOWN).is_empty());
        up(&cloud, &first);
        assert_settled(&cloud, &first);
        let everything = Options { delete_source: true, ..DOWN };
        carry_out(&cloud, &plan_for(&cloud, &first, everything));
        prop_assert_eq!(cloud.things(), vec![]);
    }

    #[test]
    fn compatible_specs_converge((first, second) in compatible()) {
        let cloud = Memory::new();
        bring(&cloud, &first);
        bring(&cloud, &second);
        prop_assert_eq!(keys(&cloud), wanted(&second));
    }

    #[test]
    fn any_two_specs_converge_or_are_refused_whole((first, second) in any_two()) {
        let cloud = Memory::new();
        up(&cloud, &first);
        let plan = plan_for(&cloud, &second, Options::default());
        if plan.refusals.is_empty() {
            bring(&cloud, &second);
            prop_assert_eq!(keys(&cloud), wanted(&second));
        } else {
            prop_assert_eq!(plan.steps, vec![]);
            for refusal in &plan.refusals {
                prop_assert!(!refusal.message.is_empty() && !refusal.hint.is_empty());
            }
            assert_settled(&cloud, &first);
        }
    }

    #[test]
    fn a_run_that_failed_is_finished_by_the_next(
        (first, second) in compatible(),
        call in 0..80_usize,
        then in 0..40_usize,
        fault in fault(),
        late in fault(),
    ) {
        let cloud = Memory::new();
        for spec in [&first, &second] {
            cloud.reset();
            cloud.fail(call, fault);
            let plan = plan_for(&cloud, spec, Options::default());
            prop_assert_eq!(&plan.refusals, &vec![]);
            let (outcome, _) = carry_out(&cloud, &plan);
            prop_assert_eq!(outcome.failed.len(), usize::from(plan.steps.len() > call));
            prop_assert_eq!(outcome.done.len() + outcome.failed.len() + outcome.skipped.len(), plan.steps.len());
            cloud.reset();
            up(&cloud, spec);
            assert_settled(&cloud, spec);
            bring(&cloud, spec);
            prop_assert_eq!(keys(&cloud), wanted(spec));
        }
        cloud.reset();
        cloud.fail(then, late);
        carry_out(&cloud, &plan_for(&cloud, &second, DOWN));
        cloud.reset();
        down(&cloud, &second);
        prop_assert_eq!(keys(&cloud), BTreeSet::from(["source-repository/main".to_owned()]));
    }

    #[test]
    fn two_apps_know_nothing_of_each_other(
        names in (app(), app()).prop_filter("two apps", |(first, second)| first != second),
        first in (fixed(), variable()),
        second in (fixed(), variable()),
    ) {
        let cloud = Memory::new();
        let first = make(&names.0, &first.0, &first.1);
        let second = make(&names.1, &second.0, &second.1);
        up(&cloud, &first);
        let alone = cloud.things();
        up(&cloud, &second);
        assert_settled(&cloud, &first);
        assert_settled(&cloud, &second);
        down(&cloud, &second);
        assert_settled(&cloud, &first);
        let mut left = cloud.things();
        let kept = left.iter().position(|have| {
            have.resource.kind() == Kind::SourceRepository && have.tags["ecspipe:app"] == names.1
        });
        left.remove(kept.unwrap());
        prop_assert_eq!(left, alone);
    }
}
