//! Somebody who looks at an app before and after every single call that is made: production must answer, and tasks must have a way
//! to their image. Must not change anything.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use ecspipe_sandbox::Sandbox;
use serde_json::Value;

use super::place::REGION;

/// What a look sees.
#[derive(Clone)]
pub(crate) struct Watch {
    sandbox: Sandbox,
    /// The listener that is asked.
    listener: String,
    /// Whether ways out are looked at too, which takes longer.
    ways_out: bool,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    looks: AtomicUsize,
    failures: Mutex<BTreeSet<String>>,
}

impl Watch {
    pub(crate) fn new(sandbox: &Sandbox, listener: &str, ways_out: bool) -> Self {
        Self {
            sandbox: sandbox.clone(),
            listener: listener.to_owned(),
            ways_out,
            seen: Arc::default(),
        }
    }

    /// The sandbox's client, with a look before and after each call.
    pub(crate) fn client(&self) -> SharedHttpClient {
        let (watch, inner) = (self.clone(), self.sandbox.http_client());
        http_client_fn(
            move |settings: &HttpConnectorSettings, components: &RuntimeComponents| {
                SharedHttpConnector::new(Watched {
                    watch: watch.clone(),
                    inner: inner.http_connector(settings, components),
                })
            },
        )
    }

    /// How often was looked, and what was wrong.
    pub(crate) fn seen(&self) -> (usize, BTreeSet<String>) {
        let failures = self.seen.failures.lock().unwrap().clone();
        (self.seen.looks.load(Ordering::Relaxed), failures)
    }

    pub(crate) fn look(&self) {
        self.seen.looks.fetch_add(1, Ordering::Relaxed);
        let page = self.sandbox.fetch(&self.listener, "/");
        let mut failures = self.seen.failures.lock().unwrap();
        if page.status != 200 {
            let body = String::from_utf8_lossy(&page.body).into_owned();
            failures.insert(format!("production answers {}: {body}", page.status));
        }
        if self.ways_out {
            let world = serde_json::to_value(&*self.sandbox.world()).unwrap();
            failures.extend(without_a_way_out(&world));
        }
    }
}

/// The running tasks that could reach neither a gateway nor all the endpoints that stand in for one.
fn without_a_way_out(world: &Value) -> BTreeSet<String> {
    let region = &world["regions"][REGION];
    let (ec2, now) = (&region["ec2"], world["now"].as_i64().unwrap());
    let tasks = region["ecs"]["tasks"].as_object().unwrap().values();
    let stand = tasks
        .filter(|task| task["status"] == "Running")
        .map(|task| task["subnet"].as_str().unwrap());
    stand
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|subnet| !has_gateway(ec2, subnet, now) && !has_endpoints(ec2, subnet, now))
        .map(|subnet| format!("tasks in {subnet} have no way out"))
        .collect()
}

/// The id of the table that a subnet is associated with, and the table.
fn table<'a>(ec2: &'a Value, subnet: &str) -> Option<(&'a String, &'a Value)> {
    let of_subnet = |table: &Value| {
        let associations = table["associations"].as_array().unwrap();
        associations.iter().any(|one| one["subnet"] == subnet)
    };
    let mut tables = ec2["tables"].as_object().unwrap().iter();
    tables.find(|(_, table)| of_subnet(table))
}

fn has_gateway(ec2: &Value, subnet: &str, now: i64) -> bool {
    let Some((_, table)) = table(ec2, subnet) else {
        return false;
    };
    let available = |route: &Value| {
        let nat = route["target"]["Nat"].as_str().map(|id| &ec2["nats"][id]);
        // A gateway takes a while to become available, and may be routed to before: then there is no way yet.
        nat.is_some_and(|nat| {
            nat["deleted"].is_null() && nat["created"].as_i64().unwrap() + GATEWAY <= now
        })
    };
    table["routes"].as_array().unwrap().iter().any(available)
}

fn has_endpoints(ec2: &Value, subnet: &str, now: i64) -> bool {
    let Some((table, _)) = table(ec2, subnet) else {
        return false;
    };
    let there = |service: &str| {
        ec2["endpoints"]
            .as_object()
            .unwrap()
            .values()
            .any(|endpoint| {
                let reaches = endpoint["gateway"] == false
                    && endpoint["created"].as_i64().unwrap() + ENDPOINT <= now
                    || endpoint["tables"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|one| one == table);
                endpoint["service"].as_str().unwrap().ends_with(service)
                    && endpoint["deleted"].is_null()
                    && reaches
            })
    };
    ["s3", "ecr.api", "ecr.dkr", "logs"].into_iter().all(there)
}

/// The least time after which a gateway or an endpoint can be used in the sandbox, in milliseconds.
const GATEWAY: i64 = 90_000;
const ENDPOINT: i64 = 60_000;

struct Watched {
    watch: Watch,
    inner: SharedHttpConnector,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (watch, inner) = (self.watch.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            watch.look();
            let answer = inner.call(request).await;
            watch.look();
            answer
        })
    }
}
