//! Ctrl-C and SIGTERM: the first ends a command in good order, the second at once.

use super::account::Account;

/// A load balancer takes two minutes, which is a second or two here: more than a signal needs.
const SPEED: &str = "60";

/// `up` gets one signal when the network has begun: what is in flight is finished, nothing new is begun, and `up` goes on.
fn stops_in_good_order(signal: &str) {
    let account = Account::new(SPEED);
    let mut up = account.run(&["up", "--yes"]);
    up.says("✓ vpc/main");
    up.signal(signal);
    let stopping = up.says("stopping: ");
    let told = up.said.len();
    assert_eq!(up.ends(), Some(5), "{}", up.told());
    let in_flight = stopping.split_whitespace().nth(1).unwrap();
    let in_flight: usize = in_flight.parse().unwrap();
    let finished = up.said[told..].iter().filter(|line| line.contains('✓'));
    assert_eq!(finished.count(), in_flight, "{}", up.told());
    assert!(!up.told().contains('✗'), "{}", up.told());
    for text in [
        "skipped, the run was stopped",
        "error: stopped before the end: ",
        &format!(
            "hint: run the command again, `ecspipe up --sandbox={}`",
            account.port
        ),
    ] {
        assert!(up.told().contains(text), "{text}: {}", up.told());
    }

    let mut again = account.run(&["up", "--yes"]);
    assert_eq!(again.ends(), Some(0), "{}", again.told());
    let mut plan = account.run(&["plan", "--exit-code"]);
    assert_eq!(plan.ends(), Some(0), "{}", plan.told());
}

#[test]
fn ctrl_c_once_ends_in_good_order() {
    stops_in_good_order("INT");
}

#[test]
fn sigterm_is_ctrl_c_once() {
    stops_in_good_order("TERM");
}

/// The balancer is never answered for, so that without a second signal nothing would end for minutes.
fn stops_at_once(first: &str, second: &str) {
    let account = Account::new(SPEED);
    account.faults(
        r#"{"rules": [{"operation": "CreateLoadBalancer", "times": 1000, "strike": "no_answer"}]}"#,
    );
    let mut up = account.run(&["up", "--yes"]);
    up.says("✓ subnet/public-eu-central-1a");
    up.says("✓ security-group/balancer");
    up.signal(first);
    up.says("stopping: ");
    up.signal(second);
    assert_eq!(up.ends(), Some(5), "{}", up.told());
    let told = up.told();
    assert!(told.contains("stopped at once; "), "{told}");
    assert!(!told.contains("error: "), "{told}");
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    stops_at_once("INT", "INT");
}

#[test]
fn sigterm_after_ctrl_c_ends_at_once() {
    stops_at_once("INT", "TERM");
}
