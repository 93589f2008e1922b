//! The file as it is written: every key optional, nothing checked but its type. The JSON Schema is derived from here, so
//! these comments are what an editor shows; `read` fills these structs. Must not hold rules: they are in `validate`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::problem::At;
use crate::{Architecture, Engine, HookEvent, Nat, RollbackOn};

/// A value with its place and its key, so that a rule can say where it was broken.
#[derive(Debug, Clone)]
pub(crate) struct Field<T> {
    pub(crate) value: T,
    pub(crate) at: At,
    pub(crate) path: String,
}

/// Text for which a number may be written too, such as `200` or an account; held as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Digits(pub(crate) String);

/// Text for which a number or a truth value may be written too; held as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Scalar(pub(crate) String);

/// Plain names with plain values.
pub(crate) type Pairs = BTreeMap<String, Field<Scalar>>;

/// One app: where it runs, what runs, how it is built and how a new version replaces the old one.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "ecspipe spec", deny_unknown_fields)]
pub(crate) struct Spec {
    /// The version of this format.
    #[schemars(required, extend("const" = 1))]
    pub(crate) version: Option<Field<i64>>,
    /// The app's name, from which every other name is derived: 2 to 32 characters, lower-case letters, digits and single
    /// hyphens, starting with a letter.
    #[schemars(required, extend("minLength" = 2, "maxLength" = 32, "pattern" = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "examples" = ["web", "ecs-deployment-pipeline"]))]
    pub(crate) app: Option<Field<String>>,
    /// The account that the app must be in, twelve digits; any other is refused. Left out: the account of the credentials.
    #[schemars(extend("examples" = ["111122223333"]))]
    pub(crate) account: Option<Field<Digits>>,
    /// The region. Left out: the flag or the environment says it.
    #[schemars(extend("examples" = ["eu-central-1"]))]
    pub(crate) region: Option<Field<String>>,
    /// Where the app runs.
    pub(crate) network: Option<Field<Network>>,
    /// The ECS cluster. Left out: one of the app's own.
    pub(crate) cluster: Option<Field<Given>>,
    /// What runs.
    #[schemars(required)]
    pub(crate) service: Option<Field<Service>>,
    /// How the world reaches it.
    pub(crate) load_balancer: Option<Field<LoadBalancer>>,
    /// Where its code comes from.
    pub(crate) source: Option<Field<Source>>,
    /// How its image is built.
    pub(crate) build: Option<Field<Build>>,
    /// How a new version replaces the old one.
    pub(crate) deploy: Option<Field<Deploy>>,
    /// The KMS key that encrypts what the pipeline ships. Left out: one of the app's own.
    pub(crate) kms_key: Option<Field<Given>>,
    /// Roles that exist, in the place of the app's own. Each must trust its service and allow what the app's own would.
    pub(crate) roles: Option<Field<Roles>>,
    /// A managed policy that bounds the permissions of every role that ecspipe makes.
    #[schemars(extend("examples" = [{"name": "developer-boundary"}, {"id": "arn:aws:iam::111122223333:policy/developer-boundary"}]))]
    pub(crate) permissions_boundary: Option<Field<Reference>>,
    /// The path of every role that ecspipe makes; it can't be changed once they are made.
    #[schemars(extend("default" = "/", "pattern" = "^/([A-Za-z0-9_+=,.@-]+/)*$", "maxLength" = 512, "examples" = ["/platform/apps/"]))]
    pub(crate) role_path: Option<Field<String>>,
    /// Tags for everything that is made, beside ecspipe's own: at most 40.
    #[schemars(extend("default" = {}, "examples" = [{"team": "web"}]))]
    pub(crate) tags: Option<Field<Pairs>>,
}

/// The app's VPC.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Network", deny_unknown_fields)]
pub(crate) struct Network {
    /// A network that exists, in the place of one of the app's own: then the other keys are left out.
    pub(crate) existing: Option<Field<ExistingNetwork>>,
    /// The VPC's address range, /16 to /28.
    #[schemars(extend("default" = "10.0.0.0/16", "examples" = ["192.168.0.0/16"]))]
    pub(crate) cidr: Option<Field<String>>,
    /// The availability zones: a number of them, or each by name with its subnets.
    #[schemars(extend("default" = 2))]
    pub(crate) zones: Option<Field<Zones>>,
    /// How private subnets reach the world.
    #[schemars(extend("default" = "per_zone"))]
    pub(crate) nat: Option<Field<Nat>>,
}

/// A network that exists. ecspipe makes neither routes nor gateways nor endpoints in it, and never changes or deletes it.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Existing network", deny_unknown_fields)]
pub(crate) struct ExistingNetwork {
    /// The VPC; its name is its tag `Name`.
    #[schemars(required, extend("examples" = [{"id": "vpc-0123456789abcdef0"}, {"name": "shared"}]))]
    pub(crate) vpc: Option<Field<Reference>>,
    /// The load balancer's subnets, in two zones at the least, with a route to an internet gateway. Left out with
    /// `load_balancer.existing`.
    #[schemars(extend("examples" = [{"tags": {"tier": "public"}}]))]
    pub(crate) public: Option<Field<Subnets>>,
    /// The tasks' subnets, with a way to the internet or with endpoints for ECR, S3 and CloudWatch Logs.
    #[schemars(required, extend("examples" = [{"tags": {"tier": "private"}}]))]
    pub(crate) private: Option<Field<Subnets>>,
}

/// How something that exists is found: by one of these. Exactly one thing must answer to it.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Reference", rename_all = "snake_case")]
pub(crate) enum Reference {
    /// Its id or its ARN.
    Id(Field<String>),
    /// Its name.
    Name(Field<String>),
    /// Tags that it carries, all of them.
    Tags(Field<Pairs>),
}

/// How subnets that exist are found.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Subnets", rename_all = "snake_case")]
pub(crate) enum Subnets {
    /// Their ids.
    Ids(Field<Vec<Field<String>>>),
    /// All subnets of the VPC that carry these tags.
    Tags(Field<Pairs>),
}

/// Something that exists, in the place of one of the app's own. ecspipe never changes or deletes it.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Something that exists", deny_unknown_fields)]
pub(crate) struct Given {
    /// How it is found.
    #[schemars(required, extend("examples" = [{"name": "shared"}]))]
    pub(crate) existing: Option<Field<Reference>>,
}

/// The roles of an app, by who uses them.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Roles", deny_unknown_fields)]
pub(crate) struct Roles {
    /// What ECS itself uses to start a task: pull the image, write the log. Trusts `ecs-tasks.amazonaws.com`.
    pub(crate) execution: Option<Field<Given>>,
    /// What the app's own code may do. Trusts `ecs-tasks.amazonaws.com`.
    pub(crate) task: Option<Field<Given>>,
    /// What CodeDeploy uses. Trusts `codedeploy.amazonaws.com`.
    pub(crate) codedeploy: Option<Field<Given>>,
    /// What CodeBuild uses. Trusts `codebuild.amazonaws.com`.
    pub(crate) codebuild: Option<Field<Given>>,
    /// What CodePipeline uses. Trusts `codepipeline.amazonaws.com`.
    pub(crate) codepipeline: Option<Field<Given>>,
    /// What EventBridge uses to start the pipeline. Trusts `events.amazonaws.com`.
    pub(crate) events: Option<Field<Given>>,
}

/// Zones by number or by name.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Zones", untagged)]
pub(crate) enum Zones {
    /// How many zones, 2 to 6, in the order of their names; their subnets are carved from the VPC's range.
    Count(#[schemars(extend("minimum" = 2, "maximum" = 6))] i64),
    /// The zones by name, 2 to 6.
    Named(Vec<Field<Zone>>),
}

/// One availability zone with its two subnets.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Zone", deny_unknown_fields)]
pub(crate) struct Zone {
    /// The zone's name.
    #[schemars(required, extend("examples" = ["eu-central-1a"]))]
    pub(crate) name: Option<Field<String>>,
    /// The public subnet's range: load balancer and NAT gateway.
    #[schemars(required, extend("examples" = ["192.168.0.0/24"]))]
    pub(crate) public: Option<Field<String>>,
    /// The private subnet's range: the tasks.
    #[schemars(required, extend("examples" = ["192.168.2.0/24"]))]
    pub(crate) private: Option<Field<String>>,
}

/// The ECS service and its task.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Service", deny_unknown_fields)]
pub(crate) struct Service {
    /// The image that runs until the first deployment. Left out: a small placeholder that answers the health check.
    #[schemars(extend("examples" = ["httpd:2.4.58"]))]
    pub(crate) image: Option<Field<String>>,
    /// The port that the container listens on.
    #[schemars(required, extend("minimum" = 1, "maximum" = 65535, "examples" = [80]))]
    pub(crate) port: Option<Field<i64>>,
    /// CPU units of the task; 1024 is one vCPU.
    #[schemars(extend("default" = 256, "enum" = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768]))]
    pub(crate) cpu: Option<Field<i64>>,
    /// Memory of the task in MiB: a size that Fargate offers with that cpu. Left out: the smallest of them, 512 with 256.
    #[schemars(extend("default" = 512, "minimum" = 512, "maximum" = 249856))]
    pub(crate) memory: Option<Field<i64>>,
    /// The processor that the image is built for.
    #[schemars(extend("default" = "x86_64"))]
    pub(crate) architecture: Option<Field<Architecture>>,
    /// How many tasks run.
    #[schemars(extend("default" = 1, "minimum" = 0, "maximum" = 5000))]
    pub(crate) desired_count: Option<Field<i64>>,
    /// Plain environment variables of the container. Not for secrets: whoever may read the task definition reads them.
    #[schemars(extend("default" = {}, "examples" = [{"LOG_LEVEL": "info"}]))]
    pub(crate) environment: Option<Field<Pairs>>,
    /// When the load balancer holds a task for healthy.
    pub(crate) health_check: Option<Field<HealthCheck>>,
    /// Let `ecspipe exec` open sessions in tasks: ECS Exec. Whoever may use it may do what the container may.
    #[schemars(extend("default" = false))]
    pub(crate) exec: Option<Field<bool>>,
}

/// The target groups' health check.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Health check", deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// The path that is asked for.
    #[schemars(extend("default" = "/", "pattern" = "^/", "maxLength" = 1024, "examples" = ["/health"]))]
    pub(crate) path: Option<Field<String>>,
    /// Time between two checks: 5s to 300s.
    #[schemars(extend("default" = "10s", "pattern" = "^[0-9]+[smhd]$"))]
    pub(crate) interval: Option<Field<String>>,
    /// Time for an answer: 2s to 120s, less than the interval.
    #[schemars(extend("default" = "5s", "pattern" = "^[0-9]+[smhd]$"))]
    pub(crate) timeout: Option<Field<String>>,
    /// Good answers in a row before a task counts as healthy.
    #[schemars(extend("default" = 2, "minimum" = 2, "maximum" = 10))]
    pub(crate) healthy: Option<Field<i64>>,
    /// Bad answers in a row before a task counts as unhealthy.
    #[schemars(extend("default" = 2, "minimum" = 2, "maximum" = 10))]
    pub(crate) unhealthy: Option<Field<i64>>,
    /// The HTTP status codes that are good answers, from 200 to 499: one, a range, or a list with commas.
    #[schemars(extend("default" = "200-399", "examples" = [200, "200,204"]))]
    pub(crate) status: Option<Field<Digits>>,
    /// How long ECS ignores bad answers after a task has started.
    #[schemars(extend("default" = "1m", "pattern" = "^[0-9]+[smhd]$"))]
    pub(crate) grace: Option<Field<String>>,
}

/// The application load balancer.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Load balancer", deny_unknown_fields)]
pub(crate) struct LoadBalancer {
    /// An application load balancer that exists, in the place of one of the app's own. The app's listeners are added to it,
    /// on ports that must be free.
    pub(crate) existing: Option<Field<Reference>>,
    /// The listener for everyone.
    pub(crate) production: Option<Field<ProductionListener>>,
    /// The listener on which a new version is looked at first.
    pub(crate) test: Option<Field<TestListener>>,
}

/// The listener for everyone.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Production listener", deny_unknown_fields)]
pub(crate) struct ProductionListener {
    /// Its port.
    #[schemars(extend("default" = 80, "minimum" = 1, "maximum" = 65535))]
    pub(crate) port: Option<Field<i64>>,
    /// The address ranges that may reach it. Not with `load_balancer.existing`, whose security groups say it.
    #[schemars(extend("default" = ["0.0.0.0/0"], "minItems" = 1, "maxItems" = 30))]
    pub(crate) allow: Option<Field<Vec<Field<String>>>>,
}

/// The listener on which a new version is looked at first.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Test listener", deny_unknown_fields)]
pub(crate) struct TestListener {
    /// Its port; another one than production's.
    #[schemars(extend("default" = 8080, "minimum" = 1, "maximum" = 65535))]
    pub(crate) port: Option<Field<i64>>,
    /// The address ranges that may reach it. Left out: the VPC's own range, so that nobody outside sees an unreleased version. Not
    /// with `load_balancer.existing`, whose security groups say it.
    #[schemars(extend("minItems" = 1, "maxItems" = 30, "examples" = [["203.0.113.0/24"]]))]
    pub(crate) allow: Option<Field<Vec<Field<String>>>>,
}

/// Where the code comes from.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Source", deny_unknown_fields)]
pub(crate) struct Source {
    /// A CodeCommit repository that ecspipe makes.
    pub(crate) codecommit: Option<Field<CodeCommit>>,
}

/// A CodeCommit repository and the branch that is deployed.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "CodeCommit", deny_unknown_fields)]
pub(crate) struct CodeCommit {
    /// The repository's name. Left out: the app's name.
    #[schemars(extend("minLength" = 1, "maxLength" = 100, "examples" = ["ecs-deployment-pipeline"]))]
    pub(crate) repository: Option<Field<String>>,
    /// The branch whose pushes start the pipeline.
    #[schemars(extend("default" = "main", "minLength" = 1, "maxLength" = 256))]
    pub(crate) branch: Option<Field<String>>,
}

/// How the image is built.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Build", deny_unknown_fields)]
pub(crate) struct Build {
    /// The Dockerfile, relative to the repository's root.
    #[schemars(extend("default" = "Dockerfile", "examples" = ["docker/web.Dockerfile"]))]
    pub(crate) dockerfile: Option<Field<String>>,
    /// The build context, relative to the repository's root.
    #[schemars(extend("default" = ".", "examples" = ["services/web"]))]
    pub(crate) context: Option<Field<String>>,
}

/// How a new version replaces the old one.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Deploy", deny_unknown_fields)]
pub(crate) struct Deploy {
    /// Who moves the traffic.
    #[schemars(extend("default" = "codedeploy"))]
    pub(crate) engine: Option<Field<Engine>>,
    /// In which steps production traffic moves.
    #[schemars(extend("default" = "all_at_once", "examples" = ["all_at_once", {"canary": {"percent": 10, "wait": "5m"}}]))]
    pub(crate) strategy: Option<Field<Strategy>>,
    /// Wait for `ecspipe reroute` before production traffic moves. Left out: it goes on by itself.
    #[schemars(extend("examples" = [{"within": "60m"}]))]
    pub(crate) approve: Option<Field<Approve>>,
    /// How long the old tasks are kept after the traffic has moved: 0m to 2800m, whole minutes.
    #[schemars(extend("default" = "5m", "pattern" = "^[0-9]+[smhd]$"))]
    pub(crate) keep_old: Option<Field<String>>,
    /// What rolls a deployment back by itself. Left out beside `alarms`: an alarm too.
    #[schemars(extend("default" = ["failure", "stop"]))]
    pub(crate) rollback_on: Option<Field<Vec<Field<RollbackOn>>>>,
    /// What stops a deployment while it runs: names of alarms that exist in CloudWatch, and conditions for which alarms are
    /// made, one for each of the two target groups. At most ten alarms in all.
    #[schemars(extend("default" = [], "examples" = [[{"http_5xx": {"above": "1%", "for": "2m"}}, "orders-backlog"]]))]
    pub(crate) alarms: Option<Field<Vec<Field<Alarm>>>>,
    /// Lambda functions that CodeDeploy calls on its way, by name or ARN. Each must report within an hour that it succeeded, with
    /// PutLifecycleEventHookExecutionStatus; otherwise the deployment fails.
    #[schemars(extend("default" = {}, "examples" = [{"after_allow_test_traffic": "smoke-test"}]))]
    pub(crate) hooks: Option<Field<Hooks>>,
    /// Requests to the test listener that whoever follows the rollout (`ecspipe deploy`, `ecspipe watch`) makes while it waits
    /// for `approve`: it goes on by itself when every check passes, and is stopped and rolled back when one doesn't.
    #[schemars(extend("default" = [], "examples" = [[{"path": "/health", "contains": "ok"}]], "maxItems" = 20))]
    pub(crate) checks: Option<Field<Vec<Field<Check>>>>,
    /// After how many tasks of the new version that stopped by themselves whoever follows the rollout stops it, with a rollback:
    /// 1 to 10, or `off`: then CodeDeploy gives up after an hour.
    #[schemars(extend("default" = 3))]
    pub(crate) fail_fast: Option<Field<FailFast>>,
}

/// What stops a deployment while it runs.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Alarm", untagged)]
pub(crate) enum Alarm {
    /// The name of an alarm that exists. ecspipe never changes or deletes it.
    Existing(#[schemars(extend("examples" = ["orders-backlog"]))] String),
    /// What alarms of the app's own watch.
    Declared(Box<Condition>),
}

/// What must not be for some time.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Condition", rename_all = "snake_case")]
pub(crate) enum Condition {
    /// Answers of the tasks with a status from 500 to 599.
    #[schemars(rename = "http_5xx")]
    Http5xx(Field<Http5xx>),
    /// How long tasks take to answer.
    Latency(Field<Latency>),
    /// Tasks that the load balancer holds for unhealthy.
    UnhealthyTargets(Field<UnhealthyTargets>),
}

/// Answers of the tasks with a status from 500 to 599.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "HTTP 5xx", deny_unknown_fields)]
pub(crate) struct Http5xx {
    /// The part of all answers that must not be exceeded, with two decimals at the most.
    #[schemars(required, extend("pattern" = "^[0-9]{1,3}(\\.[0-9]{1,2})?%$", "examples" = ["1%", "0.5%"]))]
    pub(crate) above: Option<Field<String>>,
    /// For how long it has to be exceeded, in every minute: 1m to 60m.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["2m"]))]
    pub(crate) r#for: Option<Field<String>>,
}

/// How long tasks take to answer.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Latency", deny_unknown_fields)]
pub(crate) struct Latency {
    /// The percentile: 99 looks at the slowest request in a hundred.
    #[schemars(required, extend("minimum" = 1, "maximum" = 99.9, "examples" = [99, 99.9]))]
    pub(crate) p: Option<Field<f64>>,
    /// The time that must not be exceeded: 1ms to 4000s.
    #[schemars(required, extend("pattern" = "^[0-9]+m?s$", "examples" = ["800ms"]))]
    pub(crate) above: Option<Field<String>>,
    /// For how long it has to be exceeded, in every minute: 1m to 60m.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["3m"]))]
    pub(crate) r#for: Option<Field<String>>,
}

/// Tasks that the load balancer holds for unhealthy.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Unhealthy targets", deny_unknown_fields)]
pub(crate) struct UnhealthyTargets {
    /// The number of them that must not be exceeded. Left out: 0, so that one is too many.
    #[schemars(extend("minimum" = 0, "maximum" = 5000, "examples" = [0]))]
    pub(crate) above: Option<Field<i64>>,
    /// For how long it has to be exceeded, in every minute: 1m to 60m.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["2m"]))]
    pub(crate) r#for: Option<Field<String>>,
}

/// Lambda functions, by the lifecycle event at which CodeDeploy calls them.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Hooks", deny_unknown_fields)]
pub(crate) struct Hooks {
    /// Before the new tasks are made. A failure here has nothing to roll back.
    #[schemars(extend("examples" = ["announce"]))]
    pub(crate) before_install: Option<Field<String>>,
    /// When the new tasks are healthy.
    #[schemars(extend("examples" = ["warm-up"]))]
    pub(crate) after_install: Option<Field<String>>,
    /// When the test listener leads to the new tasks.
    #[schemars(extend("examples" = ["smoke-test", "arn:aws:lambda:eu-central-1:111122223333:function:smoke-test"]))]
    pub(crate) after_allow_test_traffic: Option<Field<String>>,
    /// Before production traffic moves.
    #[schemars(extend("examples" = ["freeze"]))]
    pub(crate) before_allow_traffic: Option<Field<String>>,
    /// When all production traffic has moved.
    #[schemars(extend("examples" = ["acceptance-test"]))]
    pub(crate) after_allow_traffic: Option<Field<String>>,
}

impl Hooks {
    /// Every key with what it holds.
    pub(crate) fn all(&self) -> [(HookEvent, &Option<Field<String>>); 5] {
        [
            (HookEvent::BeforeInstall, &self.before_install),
            (HookEvent::AfterInstall, &self.after_install),
            (
                HookEvent::AfterAllowTestTraffic,
                &self.after_allow_test_traffic,
            ),
            (HookEvent::BeforeAllowTraffic, &self.before_allow_traffic),
            (HookEvent::AfterAllowTraffic, &self.after_allow_traffic),
        ]
    }
}

/// A request to the test listener and the answer that it must get.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Check", deny_unknown_fields)]
pub(crate) struct Check {
    /// The path that is asked for, with GET; redirects are not followed.
    #[schemars(required, extend("pattern" = "^/", "maxLength" = 1024, "examples" = ["/health"]))]
    pub(crate) path: Option<Field<String>>,
    /// The HTTP status codes that are right, from 200 to 499: one, a range, or a list with commas. Left out: 200.
    #[schemars(extend("examples" = [200, "200-299"]))]
    pub(crate) status: Option<Field<Digits>>,
    /// Text that the body must hold, at most 1024 characters.
    #[schemars(extend("examples" = ["ok"]))]
    pub(crate) contains: Option<Field<String>>,
    /// How many right answers in a row are enough. Left out: 1.
    #[schemars(extend("minimum" = 1, "maximum" = 100, "examples" = [3]))]
    pub(crate) times: Option<Field<i64>>,
    /// The time for it: a wrong answer begins the row anew until then. 1s to 3600s. Left out: 1m.
    #[schemars(extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["1m"]))]
    pub(crate) within: Option<Field<String>>,
}

/// A number of tasks, or the word `off`.
#[derive(Debug)]
pub(crate) enum FailFast {
    After(i64),
    Off,
}

/// In which steps production traffic moves.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Strategy", rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// All of it in one step.
    AllAtOnce,
    /// A first part, a wait, then the rest.
    Canary(Field<Canary>),
    /// Equal parts at equal intervals.
    Linear(Field<Linear>),
}

/// A first part, a wait, then the rest.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Canary", deny_unknown_fields)]
pub(crate) struct Canary {
    /// The first part in percent.
    #[schemars(required, extend("minimum" = 1, "maximum" = 99, "examples" = [10]))]
    pub(crate) percent: Option<Field<i64>>,
    /// The wait before the rest: whole minutes.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["5m"]))]
    pub(crate) wait: Option<Field<String>>,
}

/// Equal parts at equal intervals.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Linear", deny_unknown_fields)]
pub(crate) struct Linear {
    /// Each part in percent.
    #[schemars(required, extend("minimum" = 1, "maximum" = 99, "examples" = [10]))]
    pub(crate) percent: Option<Field<i64>>,
    /// The interval: whole minutes.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["1m"]))]
    pub(crate) every: Option<Field<String>>,
}

/// The wait for a person before production traffic moves.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Approve", deny_unknown_fields)]
pub(crate) struct Approve {
    /// After this time without `ecspipe reroute` the deployment is stopped: 1m to 7200m, whole minutes.
    #[schemars(required, extend("pattern" = "^[0-9]+[smhd]$", "examples" = ["60m"]))]
    pub(crate) within: Option<Field<String>>,
}

/// The JSON Schema of the file, draft 2020-12.
pub(crate) fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Spec>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Takes out what the derive says about Rust and not about the file: `null` for an optional key (the file leaves a key
/// out), integer widths, and where a comment breaks its lines. Gives each key a title.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    keys["type"] = only.clone();
                }
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({"type": "null"}));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    keys.remove("anyOf");
                    keys.extend(only);
                }
            }
            if keys.get("format").is_some_and(Value::is_string) {
                keys.remove("format");
            }
            if let Some(Value::String(text)) = keys.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if let Some(Value::Object(properties)) = keys.get_mut("properties") {
                for (name, property) in properties {
                    if let Value::Object(property) = property {
                        property
                            .entry("title")
                            .or_insert_with(|| json!(title(name)));
                    }
                }
            }
            keys.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// `desired_count` as `Desired count`.
fn title(key: &str) -> String {
    let words = key.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Digits {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Digits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for FailFast {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Fail fast".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "FailFast".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 10 },
            { "type": "string", "const": "off" },
        ] })
    }
}
