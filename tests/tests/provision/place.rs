//! An app's place in a sandbox account, with short ways to plan, carry out and look. Must not hold expectations of one test.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ecspipe_aws::{Account, Connect, Pace};
use ecspipe_deploy::{FollowOptions, Id, StartOptions, Target, Verdict};
use ecspipe_provision::lease::{Holder, Lease, LeaseStore as _, Process, Seen, Written};
use ecspipe_provision::{
    ApplyOptions, CancellationToken, Detail, Existing, Graph, Inputs, Inventory, Mode, Options,
    Outcome, Plan, Scope, TASK_NETWORK_KINDS, TagSource, apply, check, desired, desired_beside,
    observe, observe_kinds, plan, scope, task_network,
};
use ecspipe_render::direct;
use ecspipe_sandbox::Sandbox;
use ecspipe_spec::{Facts, Names, Spec};
use serde_json::Value;

pub(crate) const REGION: &str = "eu-central-1";

/// The tutorial's app.
pub(crate) const TUTORIAL: &str = include_str!("../../../examples/httpd/ecspipe.yaml");
/// The shortest spec.
pub(crate) const SHORTEST: &str = "version: 1\napp: web\nservice: { port: 80 }\n";
/// No gateway to the internet, so the image is one of ECR, and a rollout in two steps that alarms of each kind may stop.
pub(crate) const PRIVATE: &str = "
version: 1
app: inner
network: { zones: 3, nat: none }
service:
  image: 111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1.2
  port: 8080
  environment: { LOG: debug }
deploy:
  strategy: { canary: { percent: 20, wait: 7m } }
  alarms:
    - http_5xx: { above: 0.5%, for: 2m }
    - latency: { p: 99.9, above: 800ms, for: 3m }
    - unhealthy_targets: { for: 2m }
";

pub(crate) fn spec(text: &str) -> Spec {
    ecspipe_spec::parse(text).unwrap()
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(&ecspipe_sandbox::Options::default()).unwrap()
}

/// A sandbox in which nothing takes any time: what is looked at for the second time is done.
pub(crate) fn without_latency() -> Sandbox {
    let options = ecspipe_sandbox::Options {
        speed: 1_000_000.0,
        ..Default::default()
    };
    Sandbox::new(&options).unwrap()
}

/// An app in an account.
pub(crate) struct Place {
    pub(crate) sandbox: Sandbox,
    pub(crate) account: Account,
    pub(crate) facts: Facts,
    pub(crate) spec: Spec,
    /// What the app uses of others; see [`Self::look_up`].
    pub(crate) existing: Existing,
}

impl Place {
    /// The app of `text` in a new account.
    pub(crate) async fn new(text: &str) -> Self {
        Self::within(&sandbox(), spec(text)).await
    }

    /// `spec` in an account that may hold other things.
    pub(crate) async fn within(sandbox: &Sandbox, spec: Spec) -> Self {
        Self::in_region(sandbox, spec, REGION).await
    }

    /// The same in any region.
    pub(crate) async fn in_region(sandbox: &Sandbox, spec: Spec, region: &str) -> Self {
        Self::through(sandbox, spec, region, sandbox.http_client()).await
    }

    /// The same through another client than the sandbox's own.
    pub(crate) async fn through(
        sandbox: &Sandbox,
        spec: Spec,
        region: &str,
        client: SharedHttpClient,
    ) -> Self {
        let now = jiff::Timestamp::from_millisecond(sandbox.clock().now()).unwrap();
        let account = Account::connect(Connect {
            region: Some(region.to_owned()),
            endpoint: Some("http://sandbox.localhost".to_owned()),
            http_client: Some(client),
            emulator: true,
            pace: Pace::new(sandbox.clock().speed(), now),
            ..Connect::default()
        })
        .await
        .unwrap();
        let facts = account.facts(true).await.unwrap();
        Self {
            sandbox: sandbox.clone(),
            account,
            facts,
            spec,
            existing: Existing::default(),
        }
    }

    /// What is wanted beside what `inventory` holds.
    pub(crate) fn graph_beside(&self, inventory: &Inventory) -> Graph {
        let buildspec = ecspipe_render::buildspec(&self.spec, &self.facts).unwrap();
        let inputs = Inputs {
            spec: &self.spec,
            facts: &self.facts,
            buildspec: &buildspec,
            existing: &self.existing,
        };
        desired_beside(&inputs, inventory).unwrap()
    }

    pub(crate) fn graph(&self) -> (Graph, Scope) {
        let buildspec = ecspipe_render::buildspec(&self.spec, &self.facts).unwrap();
        let inputs = Inputs {
            spec: &self.spec,
            facts: &self.facts,
            buildspec: &buildspec,
            existing: &self.existing,
        };
        let graph = desired(&inputs).unwrap();
        let scope = scope(&inputs, &graph);
        (graph, scope)
    }

    pub(crate) async fn inventory(&self) -> Inventory {
        observe(&self.account, &self.graph().1).await.unwrap()
    }

    pub(crate) async fn plan(&self, options: Options) -> Plan {
        let (_, mut scope) = self.graph();
        // As the CLI does: what is deleted needn't be compared.
        if options.mode == Mode::Down {
            scope.detail = Detail::Identity;
        }
        let inventory = observe(&self.account, &scope).await.unwrap();
        let plan = plan(&self.graph_beside(&inventory), &inventory, &options);
        assert_eq!(check(&plan), Vec::<String>::new());
        plan
    }

    /// What `plan` of the command line shows: tags may come from the account's index.
    pub(crate) async fn review(&self) -> Plan {
        let (_, scope) = self.graph();
        let scope = Scope {
            tag_source: TagSource::Index,
            ..scope
        };
        let inventory = observe(&self.account, &scope).await.unwrap();
        let plan = plan(
            &self.graph_beside(&inventory),
            &inventory,
            &Options::default(),
        );
        assert_eq!(check(&plan), Vec::<String>::new());
        plan
    }

    pub(crate) async fn try_apply(&self, plan: &Plan) -> Outcome {
        apply(
            &self.account,
            plan,
            &ApplyOptions::default(),
            |_| (),
            &CancellationToken::new(),
        )
        .await
        .unwrap()
    }

    /// Carries out a plan that must work.
    pub(crate) async fn apply(&self, plan: &Plan) -> Outcome {
        assert_eq!(plan.refusals, []);
        let outcome = self.try_apply(plan).await;
        let failed: Vec<String> = outcome
            .failed
            .iter()
            .map(|failure| format!("{}: {}", failure.key, failure.error))
            .collect();
        assert_eq!(failed, Vec::<String>::new());
        assert_eq!(outcome.skipped, []);
        assert_eq!(outcome.done.len(), plan.steps.len());
        outcome
    }

    pub(crate) async fn up(&self) -> Plan {
        let plan = self.plan(Options::default()).await;
        self.apply(&plan).await;
        plan
    }

    pub(crate) async fn down(&self, delete_source: bool) -> Plan {
        let plan = self
            .plan(Options {
                mode: Mode::Down,
                delete_source,
                ..Options::default()
            })
            .await;
        self.apply(&plan).await;
        plan
    }

    /// Nothing is left to do.
    pub(crate) async fn assert_settled(&self) {
        let plan = self.review().await;
        assert!(
            plan.is_empty(),
            "{:#?}\n{:#?}",
            differences(&plan),
            plan.refusals
        );
    }

    /// Deploys an image as `deploy --image` does, to the end of the rollout.
    pub(crate) async fn roll_out(&self, image: &str) {
        let (graph, scope) = self.graph();
        let inventory = observe_kinds(&self.account, &scope, &TASK_NETWORK_KINDS)
            .await
            .unwrap();
        let found = task_network(&graph, &inventory).unwrap();
        let network = ecspipe_render::Network {
            subnets: found.subnets,
            security_groups: found.security_groups,
            public_addresses: found.public_addresses,
        };
        let definition = direct::task_definition(&self.spec, &self.facts, image).unwrap();
        let target = Target::new(&self.spec, &self.facts);
        let app_spec = |arn: &str| direct::appspec(&self.spec, arn, Some(&network)).unwrap();
        let started = ecspipe_deploy::start_image(
            &self.account,
            &target,
            &serde_json::to_value(&definition).unwrap(),
            &app_spec,
            "a test",
            &StartOptions::new("test"),
            &mut |_| (),
        )
        .await
        .unwrap();
        let id = Id::Deployment(started.deployment);
        let options = FollowOptions::default();
        let verdict =
            ecspipe_deploy::follow(&self.account, &target, &id, &options, &mut |_| ()).await;
        let verdict = verdict.unwrap();
        assert!(matches!(verdict, Verdict::Succeeded { .. }), "{verdict:?}");
    }

    /// Leaves a lease of a process `id` on another machine, which nobody renews.
    #[allow(dead_code, reason = "not every test target has a use for it")]
    pub(crate) async fn leave_lease(&self, id: u32) {
        let names = Names::new(&self.spec.app, &self.facts);
        let leases = self.account.leases(&self.facts, &names);
        let holder = Holder {
            owner: "arn:aws:iam::111122223333:user/anna".to_owned(),
            host: format!("machine-{id}"),
            command: "ecspipe up".to_owned(),
            job: None,
            app: self.spec.app.to_string(),
            process: Process {
                id,
                table: String::new(),
                started: String::new(),
            },
        };
        let lease = Lease::new(holder, 0, leases.now());
        let Seen::Lease(last) = leases.read().await.unwrap() else {
            panic!("nobody ever had a lease");
        };
        let written = leases.write(&lease, Some(&last.revision)).await.unwrap();
        assert!(matches!(written, Written::Done(_)), "{written:?}");
    }

    /// What `work` calls that may change something, by operation.
    pub(crate) fn writes(&self) -> BTreeMap<(String, String), u64> {
        let reads = ["Get", "List", "Describe", "Batch", "Head"];
        let mut counts = self.sandbox.counts();
        counts.retain(|(_, operation), _| !reads.iter().any(|verb| operation.starts_with(verb)));
        counts
    }

    /// What the account holds, one thing a line: `eu-central-1/ec2/vpcs/vpc-0…`.
    pub(crate) fn things(&self) -> BTreeSet<String> {
        things(&self.sandbox)
    }
}

/// The steps of a plan with what differs, one a line.
pub(crate) fn differences(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{:?} {}", step.action.kind(), step.key));
        for change in step.action.changes() {
            let text = |value: &Option<Value>| {
                value
                    .as_ref()
                    .map_or("nothing".to_owned(), ToString::to_string)
            };
            lines.push(format!(
                "  {}: {} -> {}",
                change.field,
                text(&change.have),
                text(&change.want)
            ));
        }
    }
    lines
}

/// Everything in the account that somebody would pay for or stumble over. History that AWS keeps too is left out: inactive
/// clusters, services and revisions, stopped tasks, ended deployments and builds, keys that wait for their deletion.
pub(crate) fn things(sandbox: &Sandbox) -> BTreeSet<String> {
    let world = serde_json::to_value(&*sandbox.world()).unwrap();
    let mut found = BTreeSet::new();
    collect("iam", &world["iam"], &mut found);
    collect("s3", &world["s3"], &mut found);
    for (region, services) in world["regions"].as_object().unwrap() {
        for (service, state) in services.as_object().unwrap() {
            collect(&format!("{region}/{service}"), state, &mut found);
        }
    }
    found
}

fn collect(path: &str, state: &Value, found: &mut BTreeSet<String>) {
    for (collection, entries) in state.as_object().unwrap() {
        // What is no collection is a dial or a counter.
        let Some(entries) = entries.as_object() else {
            continue;
        };
        let live = entries
            .iter()
            .filter(|(_, entry)| !is_history(path, collection, entry));
        found.extend(live.map(|(name, _)| format!("{path}/{collection}/{name}")));
    }
}

pub(crate) fn is_history(path: &str, collection: &str, entry: &Value) -> bool {
    let service = path.rsplit('/').next().unwrap();
    match (service, collection) {
        // What remembers other things, or is remembered: tags by id, revisions that were rolled out, answers by token, measurements.
        (_, "tags" | "tokens" | "traffic" | "metrics") => true,
        ("codebuild", "builds") | ("codedeploy", "deployments") | ("ecs", "images") => true,
        ("ecs", "services") => entry["status"] == "INACTIVE",
        ("ecs", "tasks") => entry["status"] == "Stopped",
        ("ecs", "families") => entry["revisions"]
            .as_object()
            .unwrap()
            .values()
            .all(|revision| !revision["deregistered"].is_null()),
        ("ec2", "interfaces") => entry["until"].is_number(),
        ("kms", "keys") => entry["state"] != "Enabled",
        _ => entry["deleted"].is_number(),
    }
}
