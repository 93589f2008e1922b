//! The sandbox's own API (`/_sandbox/…`) and the page that a browser gets. Must not answer for an AWS service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use quick_xml::escape::escape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::balancer::ListenerFacts;
use crate::faults::{ByAction, ByCommand, ByFunction, ByImage, ByProject, Chaos, Dials, Rule};
use crate::wire::{Call, Input as _, Protocol, Reply};
use crate::world::World;
use crate::{Sandbox, clock, services, wire};

/// What faults are in force; also the body of a POST that adds some.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dial {
    rules: Vec<Rule>,
    unhealthy_images: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chaos: Option<Chaos>,
    /// Whether calls that come faster than AWS takes them are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<bool>,
    /// For how many seconds EC2 doesn't know what it has just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<f64>,
    /// For how many seconds no service can assume a new role.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles_spread: Option<f64>,
    /// What goes wrong with tasks, by image.
    #[serde(skip_serializing_if = "ByImage::is_empty")]
    tasks: ByImage,
    /// How Lambda functions behave, by name.
    #[serde(skip_serializing_if = "ByFunction::is_empty")]
    functions: ByFunction,
    /// How the commands of one-off tasks end, by the command.
    #[serde(skip_serializing_if = "ByCommand::is_empty")]
    commands: ByCommand,
    /// How builds end badly, by project.
    #[serde(skip_serializing_if = "ByProject::is_empty")]
    builds: ByProject,
    /// How actions of pipelines end badly, by action.
    #[serde(skip_serializing_if = "ByAction::is_empty")]
    actions: ByAction,
    /// Alarms that are in alarm, whatever was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<String>,
}

impl Dial {
    /// What goes wrong inside the account.
    fn inside(&mut self) -> Dials {
        Dials {
            tasks: std::mem::take(&mut self.tasks),
            functions: std::mem::take(&mut self.functions),
            commands: std::mem::take(&mut self.commands),
            builds: std::mem::take(&mut self.builds),
            actions: std::mem::take(&mut self.actions),
            alarms: std::mem::take(&mut self.alarms),
        }
    }
}

const PATHS: &str = "/_sandbox/info, /_sandbox/listeners, /_sandbox/operations, /_sandbox/counts, /_sandbox/traffic, /_sandbox/faults, /_sandbox/caller-policy";

pub(crate) fn handle(sandbox: &Sandbox, request: &Request<Bytes>) -> Response<Bytes> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/_sandbox/info") => answer(&info(sandbox)),
        (&Method::GET, "/_sandbox/listeners") => answer(&json!(listeners(sandbox))),
        (&Method::GET, "/_sandbox/operations") => answer(&operations()),
        (&Method::GET, "/_sandbox/counts") => answer(&counts(sandbox)),
        (&Method::DELETE, "/_sandbox/counts") => {
            sandbox.reset_counts();
            answer(&counts(sandbox))
        }
        (&Method::GET, "/_sandbox/traffic") => answer(&traffic(sandbox)),
        (&Method::GET, "/_sandbox/faults") => answer(&faults(sandbox)),
        (&Method::POST, "/_sandbox/faults") => add_faults(sandbox, request.body()),
        (&Method::DELETE, "/_sandbox/faults") => {
            sandbox.faults().clear();
            drop(sandbox.world());
            answer(&faults(sandbox))
        }
        (&Method::GET, "/_sandbox/caller-policy") => answer(&caller_policy(sandbox)),
        (&Method::PUT, "/_sandbox/caller-policy") => put_caller_policy(sandbox, request.body()),
        (&Method::DELETE, "/_sandbox/caller-policy") => {
            sandbox.world().caller = None;
            answer(&caller_policy(sandbox))
        }
        (method, path) if PATHS.split(", ").any(|known| known == path) => {
            refuse(405, &format!("{method} is not possible on {path}"))
        }
        (_, path) => refuse(404, &format!("no {path} here; there are {PATHS}")),
    }
}

/// The policies that hold for the account's user: a list of documents, or null where there are none.
fn caller_policy(sandbox: &Sandbox) -> Value {
    match &sandbox.world().caller {
        Some(policy) => json!({"documents": policy.documents()}),
        None => json!({"documents": null}),
    }
}

/// Takes one document, or a list of them.
fn put_caller_policy(sandbox: &Sandbox, body: &Bytes) -> Response<Bytes> {
    let documents = match serde_json::from_slice(body) {
        Ok(Value::Array(documents)) => documents,
        Ok(document) => vec![document],
        Err(error) => return refuse(400, &format!("this is no JSON: {error}")),
    };
    match sandbox.caller_policy(Some(documents)) {
        Ok(()) => answer(&caller_policy(sandbox)),
        Err(message) => refuse(400, &message),
    }
}

/// Whether a request is a browser's for the start page, not a signed `ListBuckets`.
pub(crate) fn is_page(request: &Request<Bytes>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/"
        && request.uri().query().is_none()
        && !request.headers().contains_key("authorization")
}

/// The page that shows what is running.
pub(crate) fn page(sandbox: &Sandbox, request: &Request<Bytes>) -> Response<Bytes> {
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or("127.0.0.1");
    let mut body = String::from(HEAD);
    let now = sandbox.world().now;
    let _ = write!(
        body,
        "<h1>ecspipe sandbox</h1><p>Account {}, {}, {} sandbox seconds a second. The endpoint of an AWS account that only exists here: nothing costs anything, nothing leaves this machine.</p>",
        sandbox.world().account,
        escape(clock::iso(now)),
        sandbox.clock().speed()
    );
    let rows = listeners(sandbox).into_iter().map(|listener| {
        let url = listener.url.unwrap_or_default();
        let link = format!("<a href=\"{0}\">{0}</a>", escape(&url));
        vec![
            link,
            escape(&listener.load_balancer).into_owned(),
            listener.port.to_string(),
            escape(&listener.region).into_owned(),
        ]
    });
    table(
        &mut body,
        "Listeners",
        ["URL", "Load balancer", "Port", "Region"],
        rows.collect(),
    );
    let running = running(sandbox);
    table(
        &mut body,
        "Apps",
        ["Tag ecspipe:app", "Resources", "", ""],
        running.apps,
    );
    table(
        &mut body,
        "Services",
        ["Service", "Running", "Wanted", "Region"],
        running.services,
    );
    table(
        &mut body,
        "Pipelines",
        ["Pipeline", "Execution", "Status", "Region"],
        running.pipelines,
    );
    table(
        &mut body,
        "Deployments",
        ["Deployment", "Application", "Status", "Region"],
        running.deployments,
    );
    let _ = write!(
        body,
        "<h2>For tools</h2><p>{}</p><p>AWS's own command line works here too: <code>aws --endpoint-url http://{} ecs list-clusters</code></p></main></body></html>",
        PATHS
            .split(", ")
            .map(|path| format!("<a href=\"{path}\">{path}</a>"))
            .collect::<Vec<_>>()
            .join(" · "),
        escape(host)
    );
    wire::respond(
        200,
        &[
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
        ],
        body.into(),
    )
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>ecspipe sandbox</title><style>\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
h2{margin-top:2rem}code{background:#f3f3f3;padding:.1rem .3rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}code{background:#333}a{color:#8bf}}\
</style></head><body><main>";

fn table(body: &mut String, title: &str, heads: [&str; 4], rows: Vec<Vec<String>>) {
    let _ = write!(body, "<h2>{title}</h2>");
    if rows.is_empty() {
        body.push_str("<p>None.</p>");
        return;
    }
    let heads: String = heads
        .iter()
        .map(|head| format!("<th>{head}</th>"))
        .collect();
    let _ = write!(body, "<table><tr>{heads}</tr>");
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = write!(body, "<tr>{cells}</tr>");
    }
    body.push_str("</table>");
}

/// What the page lists besides listeners; cells are HTML.
#[derive(Default)]
struct Running {
    apps: Vec<Vec<String>>,
    services: Vec<Vec<String>>,
    pipelines: Vec<Vec<String>>,
    deployments: Vec<Vec<String>>,
}

fn running(sandbox: &Sandbox) -> Running {
    let mut world = sandbox.world();
    let mut running = Running::default();
    let mut apps: BTreeMap<&str, usize> = BTreeMap::new();
    for region in world.regions.values() {
        for tags in region.ec2.tags.values().chain(region.elbv2.tags.values()) {
            if let Some(app) = tags.get("ecspipe:app") {
                *apps.entry(app).or_default() += 1;
            }
        }
    }
    let app = |(app, count): (&str, usize)| {
        cells([app, &format!("{count} in network and balancer"), "", ""])
    };
    running.apps = apps.into_iter().map(app).collect();
    let regions: Vec<String> = world.regions.keys().cloned().collect();
    for region in &regions {
        let mut desk = Desk {
            world: &mut world,
            region,
        };
        running.services.extend(desk.services());
        running.pipelines.extend(desk.pipelines());
        running.deployments.extend(desk.deployments());
    }
    running
}

/// How many deployments the page shows, per region.
const DEPLOYMENTS: usize = 10;

/// Asks the services of a region as any client would, so that the page depends on nothing but their API.
struct Desk<'a> {
    world: &'a mut World,
    region: &'a str,
}

impl Desk<'_> {
    fn services(&mut self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for cluster in self
            .ask("ecs", "ListClusters", json!({}))
            .texts("clusterArns")
        {
            let arns = self
                .ask(
                    "ecs",
                    "ListServices",
                    json!({"cluster": cluster, "maxResults": 10}),
                )
                .texts("serviceArns");
            if arns.is_empty() {
                continue;
            }
            let found = self.ask(
                "ecs",
                "DescribeServices",
                json!({"cluster": cluster, "services": arns}),
            );
            for service in found.list("services") {
                let count = |name: &str| service.int(name).unwrap_or_default().to_string();
                let name = service.text("serviceName").unwrap_or_default();
                rows.push(cells([
                    name,
                    &count("runningCount"),
                    &count("desiredCount"),
                    self.region,
                ]));
            }
        }
        rows
    }

    fn pipelines(&mut self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for pipeline in self
            .ask("codepipeline", "ListPipelines", json!({}))
            .list("pipelines")
        {
            let name = pipeline.text("name").unwrap_or_default();
            let input = json!({"pipelineName": name, "maxResults": 1});
            let executions = self.ask("codepipeline", "ListPipelineExecutions", input);
            let last = executions
                .list("pipelineExecutionSummaries")
                .first()
                .cloned()
                .unwrap_or_default();
            let (id, status) = (last.text("pipelineExecutionId"), last.text("status"));
            rows.push(cells([
                name,
                id.unwrap_or("-"),
                status.unwrap_or("-"),
                self.region,
            ]));
        }
        rows
    }

    fn deployments(&mut self) -> Vec<Vec<String>> {
        let mut ids = self
            .ask("codedeploy", "ListDeployments", json!({}))
            .texts("deployments");
        ids.truncate(DEPLOYMENTS);
        let mut rows = Vec::new();
        for id in ids {
            let found = self.ask("codedeploy", "GetDeployment", json!({"deploymentId": id}));
            let info = found.get("deploymentInfo").cloned().unwrap_or_default();
            let text = |name: &str| info.text(name).unwrap_or("-").to_owned();
            rows.push(cells([
                &id,
                &text("applicationName"),
                &text("status"),
                self.region,
            ]));
        }
        rows
    }

    /// An answer, or null where there is none.
    fn ask(&mut self, service: &str, operation: &str, input: Value) -> Value {
        let call = Call {
            protocol: Protocol::Json,
            service: service.to_owned(),
            operation: operation.to_owned(),
            region: self.region.to_owned(),
            access_key: String::new(),
            input,
            http: wire::Http::default(),
        };
        match services::call(self.world, &call) {
            Ok(Reply::Value(value)) => value,
            _ => Value::Null,
        }
    }
}

fn cells(texts: [&str; 4]) -> Vec<String> {
    texts
        .iter()
        .map(|text| escape(*text).into_owned())
        .collect()
}

fn info(sandbox: &Sandbox) -> Value {
    let (account, now) = {
        let world = sandbox.world();
        (world.account.clone(), world.now)
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "account": account,
        "speed": sandbox.clock().speed(),
        "now": clock::iso(now),
        "data": sandbox.data(),
    })
}

/// The listeners, with their URLs where a server runs.
fn listeners(sandbox: &Sandbox) -> Vec<ListenerFacts> {
    let mut listeners = sandbox.listeners();
    for listener in &mut listeners {
        listener.url = sandbox.listener_url(&listener.arn);
    }
    listeners
}

fn operations() -> Value {
    let all: BTreeMap<&str, &[&str]> = services::operations().into_iter().collect();
    json!(all)
}

fn counts(sandbox: &Sandbox) -> Value {
    let rows = sandbox.counts().into_iter();
    rows.map(|((service, operation), calls)| json!({"service": service, "operation": operation, "calls": calls})).collect()
}

fn traffic(sandbox: &Sandbox) -> Value {
    let world = sandbox.world();
    let rows = world.regions.iter().map(|(region, have)| {
        let traffic = &have.elbv2.traffic;
        let row = json!({"listeners": traffic.listeners, "target_groups": traffic.groups, "statuses": traffic.statuses});
        (region.clone(), row)
    });
    Value::Object(rows.collect())
}

fn faults(sandbox: &Sandbox) -> Value {
    let faults = sandbox.faults();
    json!(Dial {
        rules: faults.rules().to_vec(),
        unhealthy_images: faults.unhealthy_images.clone(),
        chaos: faults.chaos().cloned(),
        rates: faults.refused_by_rate().map(|_| true),
        tasks: faults.dials.tasks.clone(),
        functions: faults.dials.functions.clone(),
        commands: faults.dials.commands.clone(),
        builds: faults.dials.builds.clone(),
        actions: faults.dials.actions.clone(),
        alarms: faults.dials.alarms.clone(),
        lag: faults.lag().map(|span| span.as_secs_f64()),
        roles_spread: faults.roles_spread.map(|span| span.as_secs_f64()),
    })
}

fn add_faults(sandbox: &Sandbox, body: &Bytes) -> Response<Bytes> {
    let mut dial: Dial = match serde_json::from_slice(body) {
        Ok(dial) => dial,
        Err(error) => return refuse(400, &format!("not a list of faults: {error}")),
    };
    let spans = [dial.lag, dial.roles_spread]
        .map(|seconds| seconds.map(Duration::try_from_secs_f64).transpose());
    let [Ok(lag), Ok(roles_spread)] = spans else {
        return refuse(
            400,
            "lag and roles_spread are numbers of seconds, 0 or more",
        );
    };
    if lag.is_some() {
        sandbox.lag(lag);
    }
    {
        let mut faults = sandbox.faults();
        faults.dials.extend(dial.inside());
        faults.roles_spread = roles_spread.or(faults.roles_spread);
        dial.rules.into_iter().for_each(|rule| faults.add(rule));
        faults.unhealthy_images.extend(dial.unhealthy_images);
        if dial.chaos.is_some() {
            faults.set_chaos(dial.chaos);
        }
        if let Some(on) = dial.rates {
            faults.set_rates(on);
        }
    }
    drop(sandbox.world());
    answer(&faults(sandbox))
}

fn answer(value: &Value) -> Response<Bytes> {
    wire::respond(
        200,
        &[("content-type", "application/json")],
        format!("{value:#}\n").into(),
    )
}

fn refuse(status: u16, text: &str) -> Response<Bytes> {
    wire::respond(
        status,
        &[("content-type", "application/json")],
        format!("{}\n", json!({"error": text})).into(),
    )
}

#[cfg(test)]
mod tests;
