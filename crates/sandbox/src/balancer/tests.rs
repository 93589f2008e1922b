//! Whose turn it is.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn weights(list: &[(&str, u32)]) -> Vec<(String, u32)> {
    list.iter()
        .map(|(name, weight)| ((*name).to_owned(), *weight))
        .collect()
}

/// How often each group is chosen in `times` requests.
fn split(traffic: &mut Traffic, weights: &[(String, u32)], times: u32) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts
            .entry(traffic.choose("listener", weights).unwrap())
            .or_default() += 1;
    }
    counts
}

#[test]
fn weights_are_kept_to_exactly_and_evenly() {
    let mut traffic = Traffic::default();
    let both = weights(&[("blue", 90), ("green", 10)]);
    for _ in 0..1000 {
        let counts = split(&mut traffic, &both, 10);
        assert_eq!((counts["blue"], counts["green"]), (9, 1));
    }
}

#[test]
fn a_shift_counts_from_the_next_request() {
    let mut traffic = Traffic::default();
    split(&mut traffic, &weights(&[("blue", 100), ("green", 0)]), 37);
    let counts = split(&mut traffic, &weights(&[("blue", 0), ("green", 100)]), 50);
    assert_eq!(counts, BTreeMap::from([("green".to_owned(), 50)]));
}

#[test]
fn no_weight_no_turn() {
    assert_eq!(
        Traffic::default().choose("listener", &weights(&[("blue", 0)])),
        None
    );
    assert_eq!(Traffic::default().choose("listener", &[]), None);
}

#[test]
fn redirects_are_filled_in() {
    let seen = Seen {
        path: "/a/b".to_owned(),
        query: "x=1".to_owned(),
        headers: BTreeMap::from([("host".to_owned(), "example.org:8080".to_owned())]),
        ..Seen::default()
    };
    let parts = ["HTTPS", "#{host}", "443", "/#{path}", "#{query}"].map(ToOwned::to_owned);
    assert_eq!(
        location(&seen, parts.each_ref()),
        "https://example.org:443/a/b?x=1"
    );
}

proptest! {
    #[test]
    fn every_group_gets_its_weight(list in proptest::collection::vec(0_u32..50, 1..5)) {
        let weights: Vec<(String, u32)> = list.iter().enumerate().map(|(index, weight)| (format!("g{index}"), *weight)).collect();
        let total: u32 = list.iter().sum();
        let counts = split(&mut Traffic::default(), &weights, total);
        for (name, weight) in &weights {
            prop_assert_eq!(counts.get(name).copied().unwrap_or_default(), *weight);
        }
    }
}
