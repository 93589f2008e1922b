//! `ecspipe demo`, from its first line to its last. Must not look into the account: a user sees only what it prints.

use snapbox::{assert_data_eq, file};

use super::redact::redact_polls;
use super::stage::Surroundings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial_in_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Surroundings::new(folder.path())
        .run("demo --exit --yes --speed 240")
        .await
        .exits(0);
    // What a program would read of `up`: where the app is.
    let data: Vec<&str> = ran
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        data,
        [
            "production",
            "test",
            "git",
            "images",
            "cluster",
            "service",
            "pipeline",
            "bundle"
        ]
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let served: Vec<(String, String)> = ran.err.lines().filter_map(page).collect();
    let want = [
        ("production", OLD),
        ("production", OLD),
        ("test", NEW),
        ("production", NEW),
    ];
    assert_eq!(served.len(), want.len(), "{}", ran.err);
    for ((listener, page), (want_listener, want_page)) in served.iter().zip(want) {
        assert_eq!(listener, want_listener);
        assert!(page.starts_with(want_page), "{listener} served {page}");
    }
    let order = [
        "$ ecspipe up",
        "$ git push",
        "serves the old page",
        "$ ecspipe reroute",
        "serves the new page: A new version\n\n── wait",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|text| {
            ran.err
                .find(text)
                .unwrap_or_else(|| panic!("{text} in {}", ran.err))
        })
        .collect();
    assert!(places.is_sorted(), "{places:?}");

    assert_data_eq!(redact_polls(&ran.err), file!["transcripts/demo.txt"].raw());
}

/// What the bootstrap image says, and the tutorial's page.
const OLD: &str = "This is public.ecr.aws/docker/library/";
const NEW: &str = "A new version";

/// A listener and what it served.
fn page(line: &str) -> Option<(String, String)> {
    let listener = line
        .split_whitespace()
        .next()
        .filter(|word| ["production", "test"].contains(word))?;
    let (_, page) = line.split_once(" serves")?;
    let (_, page) = page.split_once(": ")?;
    Some((listener.to_owned(), page.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_speed_that_makes_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Surroundings::new(folder.path())
        .run("demo --exit --speed 0")
        .await
        .exits(2);
    assert_eq!(
        ran.err,
        "error: `--speed 0` is not possible\nhint: name a number from 0.01 to 100000; 1 is AWS's own pace\n"
    );
}
