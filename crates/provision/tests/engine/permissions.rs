//! What somebody needs to be allowed to do: complete and narrow by its form. What AWS asks for at each call is held against
//! real runs elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use ecspipe_provision::permissions::{MANAGED_POLICY_LIMIT, documents, size};
use ecspipe_provision::{Duty, Inputs, Statement, permissions};
use ecspipe_spec::{Nat, Spec, Strategy, Zones};
use proptest::prelude::*;

use crate::specs::{facts, spec, tutorial, tutorial_with};

fn statements(spec: &Spec, duties: &[Duty]) -> Vec<Statement> {
    let facts = facts();
    let inputs = Inputs {
        spec,
        facts: &facts,
        buildspec: "version: 0.2",
        existing: &ecspipe_provision::Existing::default(),
    };
    permissions(&inputs, &duties.iter().copied().collect()).unwrap()
}

fn actions(spec: &Spec, duties: &[Duty]) -> BTreeSet<String> {
    statements(spec, duties)
        .into_iter()
        .flat_map(|statement| statement.actions)
        .collect()
}

#[test]
fn the_tutorials_policies() {
    for duty in Duty::ALL {
        let statements = statements(&tutorial(), &[duty]);
        insta::assert_json_snapshot!(format!("policy-{duty}"), statements);
    }
}

#[test]
fn nothing_is_needed_for_nothing() {
    assert_eq!(statements(&tutorial(), &[]), []);
}

#[test]
fn whoever_only_looks_can_change_nothing() {
    for duty in [Duty::Plan, Duty::Doctor] {
        for action in actions(&tutorial(), &[duty]) {
            let verb = action.split(':').nth(1).unwrap();
            let reads = ["Get", "List", "Describe", "BatchGet", "Simulate"];
            assert!(
                reads.iter().any(|read| verb.starts_with(read)),
                "{duty} may {action}"
            );
        }
    }
}

#[test]
fn the_source_is_deleted_only_by_who_asks_for_it() {
    let delete = "codecommit:DeleteRepository".to_owned();
    let all: Vec<Duty> = Duty::ALL
        .into_iter()
        .filter(|duty| *duty != Duty::DownWithSource)
        .collect();
    assert!(!actions(&tutorial(), &all).contains(&delete));
    assert!(actions(&tutorial(), &[Duty::DownWithSource]).contains(&delete));
}

#[test]
fn what_the_spec_leaves_out_needs_no_permission() {
    let up = |spec: &Spec| actions(spec, &[Duty::Up]);
    let single = up(&tutorial());
    assert!(single.contains("ec2:CreateNatGateway") && !single.contains("ec2:CreateVpcEndpoint"));
    assert!(!single.contains("codedeploy:CreateDeploymentConfig"));
    assert!(!single.contains("ec2:DescribeAvailabilityZones"));
    let none = up(&tutorial_with(|spec| {
        spec.network.nat = Nat::None;
        spec.network.zones = Zones::Count(2);
        spec.deploy.strategy = Strategy::Canary {
            percent: 20,
            wait: ecspipe_spec::Span::from_secs(600),
        };
    }));
    assert!(!none.contains("ec2:CreateNatGateway") && none.contains("ec2:CreateVpcEndpoint"));
    assert!(none.contains("codedeploy:CreateDeploymentConfig"));
    assert!(none.contains("ec2:DescribeAvailabilityZones"));
}

/// Actions for which AWS takes no resource, or that no resource can tie down (each statement says why).
const WIDE: &[&str] = &[
    "kms:CreateKey",
    "ecs:DeregisterTaskDefinition",
    "codedeploy:ContinueDeployment",
    "codedeploy:StopDeployment",
    "route53:AssociateVPCWithHostedZone",
];

fn check(spec: &Spec, duties: &[Duty]) {
    let statements = statements(spec, duties);
    let app = spec.app.as_str();
    let mut sids = BTreeSet::new();
    for statement in &statements {
        let sid = &statement.sid;
        assert!(sids.insert(sid.clone()), "{sid} twice");
        assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()), "{sid}");
        assert!(!statement.reason.is_empty(), "{sid} has no reason");
        assert!(!statement.resources.is_empty(), "{sid}");
        assert!(
            !statement.resources.iter().any(|arn| arn.contains("${")),
            "{statement:?}"
        );
        for action in &statement.actions {
            let (service, name) = action.split_once(':').unwrap();
            assert!(!service.is_empty() && !name.contains('*'), "{action}");
            if statement.resources.contains("*") {
                let reads = ["Get", "List", "Describe", "BatchGet"];
                assert!(
                    WIDE.contains(&action.as_str())
                        || sid == "List" && reads.iter().any(|read| name.starts_with(read)),
                    "{action} on everything"
                );
            }
        }
        let looks = statement.actions.iter().all(|action| {
            let verbs = ["Get", "List", "Describe", "BatchGet", "Simulate"];
            let name = action.split(':').nth(1).unwrap();
            verbs.iter().any(|verb| name.starts_with(verb))
        });
        // What `doctor` looks at is the account, not the app.
        for arn in statement
            .resources
            .iter()
            .filter(|arn| *arn != "*" && !looks)
        {
            let ours = arn.contains(app)
                || arn.contains("aws-service-role/")
                || spec.app.as_str().len() > 20
                || arn.contains(":codecommit:")
                || arn.contains(":deploymentconfig:CodeDeployDefault.")
                // Things of EC2 and keys have random ids: conditions tie them down.
                || arn.contains(":ec2:")
                || arn.contains(":kms:")
                || arn.ends_with(":instance-profile/*");
            assert!(ours, "{sid} reaches {arn}");
            if arn.contains(":ec2:") {
                let condition = serde_json::to_string(&statement.condition).unwrap();
                assert!(condition.contains("Tag/ecspipe:app"), "{sid} reaches {arn}");
            }
        }
    }
    let documents = documents(&statements);
    let mut held: Vec<String> = Vec::new();
    for document in &documents {
        assert!(size(document) <= MANAGED_POLICY_LIMIT);
        let list = document["Statement"].as_array().unwrap().iter();
        held.extend(list.map(|statement| statement["Sid"].as_str().unwrap().to_owned()));
    }
    assert_eq!(held.len(), statements.len());
    assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), sids);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_policy_is_narrow_and_fits(spec in spec(), duties in prop::sample::subsequence(Vec::from(Duty::ALL), 0..=7)) {
        check(&spec, duties.as_slice());
    }
}

#[test]
fn duties_add_up() {
    let each: BTreeMap<Duty, BTreeSet<String>> = Duty::ALL
        .map(|duty| (duty, actions(&tutorial(), &[duty])))
        .into();
    let all = actions(&tutorial(), &Duty::ALL);
    let sum: BTreeSet<String> = each.into_values().flatten().collect();
    assert_eq!(all, sum);
}

#[test]
fn documents_are_filled_before_another_is_begun() {
    let all = documents(&statements(&tutorial(), &Duty::ALL));
    let total: usize = all.iter().map(size).sum();
    assert!(
        all.len() <= total / MANAGED_POLICY_LIMIT + 2,
        "{}",
        all.len()
    );
    assert!(all.len() > 1);
}
