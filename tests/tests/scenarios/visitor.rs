//! Somebody who asks a listener for its page every second of the test's clock, whatever else goes on. Must not change anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecspipe_sandbox::Sandbox;
use tokio::task::JoinHandle;

/// A visitor; they go when this is dropped.
pub(crate) struct Visitor {
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
    visits: JoinHandle<()>,
}

impl Visitor {
    /// One of the production listener on `port`.
    pub(crate) fn of(sandbox: &Sandbox, port: u16) -> Self {
        let seen = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (sandbox, answers) = (sandbox.clone(), Arc::clone(&seen));
        let visits = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                let answer = ask(&sandbox, port);
                *answers.lock().unwrap().entry(answer).or_default() += 1;
            }
        });
        Self { seen, visits }
    }

    /// How often each answer was seen: `200` with the image or the page, else everything that was said.
    pub(crate) fn seen(&self) -> BTreeMap<String, usize> {
        self.seen.lock().unwrap().clone()
    }

    /// Every one of at least `at_least` visits was answered by one of `pages`, and each of these was seen.
    #[track_caller]
    pub(crate) fn saw_only(&self, pages: &[&str], at_least: usize) {
        let seen = self.seen();
        let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
        assert_eq!(kinds, pages, "{seen:#?}");
        assert!(seen.values().sum::<usize>() >= at_least, "{seen:#?}");
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.visits.abort();
    }
}

fn ask(sandbox: &Sandbox, port: u16) -> String {
    let listeners = sandbox.listeners();
    let Some(listener) = listeners.iter().find(|one| one.port == port) else {
        return "no listener".to_owned();
    };
    let page = sandbox.fetch(&listener.arn, "/");
    let body = String::from_utf8_lossy(&page.body).into_owned();
    let line = body.lines().next().unwrap_or_default();
    let line = line.split(", in task").next().unwrap_or_default();
    format!("{} {line}", page.status)
}
