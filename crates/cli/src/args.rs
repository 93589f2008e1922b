//! The command line: clap types and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Ship one app to Amazon ECS the safe way: one spec, blue/green, no state file.
#[derive(Debug, Parser)]
#[command(name = "ecspipe", version, about, max_term_width = 100)]
#[command(after_help = "Try it without an AWS account: `ecspipe demo`.")]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// Only `plan` works on several specs.
    pub fn choose_file(&mut self) -> Result<(), clap::Error> {
        let files = &self.global.files;
        self.global.file = files.first().cloned().unwrap_or_default();
        if files.len() > 1 && !matches!(self.command, Command::Plan(_)) {
            let message = "only `plan` takes several specs; give the others one at a time\n";
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                message,
            ));
        }
        Ok(())
    }
}

/// What every command takes.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The spec. `plan` takes several, and patterns such as `'apps/*/ecspipe.yaml'`.
    #[arg(
        short,
        long = "file",
        global = true,
        value_name = "FILE",
        default_value = "ecspipe.yaml",
        env = "ECSPIPE_FILE"
    )]
    pub files: Vec<PathBuf>,
    /// The first of `files`: what every command but `plan` works on.
    #[arg(skip)]
    pub file: PathBuf,
    /// The region, where the spec names none.
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// The profile of the AWS configuration files.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Use the running sandbox instead of AWS (a port, or a URL; 4570 by itself).
    #[arg(long, global = true, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "4570", env = "ECSPIPE_SANDBOX", value_parser = sandbox, conflicts_with = "endpoint_url")]
    pub sandbox: Option<String>,
    /// Another endpoint for every AWS service: an emulator. Your own credentials are not sent to it.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Data as one JSON value, or a line an event.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Colour and spinners.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Show what the libraries log; twice for every request.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs; documented and stable.
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write ecspipe.yaml for the app in this folder.
    Init(Init),
    /// Write taskdef.json, appspec.yaml and buildspec.yml, without asking AWS.
    Render(Render),
    /// Print the JSON Schema of ecspipe.yaml, or of what a command prints.
    Schema(Schema),
    /// Show what `up` would change in the account.
    Plan(Plan),
    /// Make the account as the spec says: network, balancer, cluster, service, pipeline.
    Up(Up),
    /// Print URLs and names of what `up` made.
    Outputs,
    /// Push the deployment files to S3, run the pipeline, and follow the rollout to its end.
    Deploy(Deploy),
    /// Show what runs, what serves, and what is in flight.
    Status,
    /// Follow a rollout: the one in flight, or the newest. Ctrl-C leaves; the rollout goes on.
    Watch(Watch),
    /// Let a rollout that waits for you go on: production traffic moves to the new version.
    Reroute(Reroute),
    /// Stop the rollout in flight, and roll it back.
    Stop(Stop),
    /// Go back to the last good version, or to one that is named; put back what a stop has left half way.
    Rollback(Rollback),
    /// Answer whatever waits for a person: a rollout at Ready, or a manual approval of the pipeline.
    Approve(Approve),
    /// List what was rolled out: revision, image, commit, when, by whom, how it ended, and what is live.
    Releases(Releases),
    /// Run a task of what is live once, with its network and a command of your own; exits as its container does.
    Run(Run),
    /// Open a session in a task that runs: ECS Exec, through the AWS CLI.
    Exec(Exec),
    /// Change how many tasks run, until the next `up`.
    Scale(Scale),
    /// Print what the app's tasks log.
    Logs(Logs),
    /// Delete everything that `up` made, but for the source repository.
    Down(Down),
    /// Check, before anything is made, whether it can be: access, permissions, names, quotas.
    Doctor(Doctor),
    /// Print the IAM policy that whoever runs these commands needs on this app, and no more.
    Policy(Policy),
    /// Run an AWS account in a process, on a port of this machine.
    Sandbox(Sandbox),
    /// Play the whole tutorial on a sandbox: no AWS account needed.
    Demo(Demo),
    /// Print the completions for a shell.
    Completions(Completions),
    /// Print a page of the reference as Markdown.
    #[command(hide = true)]
    Docs(Docs),
}

impl Command {
    /// Whether it changes nothing in the account, and follows nothing either: wherever it is stopped, nothing is half done.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Render(_)
                | Self::Plan(_)
                | Self::Outputs
                | Self::Status
                | Self::Releases(_)
                | Self::Doctor(_)
                | Self::Policy(_)
        )
    }
}

/// `docs`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Docs {
    /// Which page.
    #[arg(value_enum, default_value_t)]
    pub page: Page,
}

/// A page of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Page {
    /// All commands.
    #[default]
    Commands,
    /// What a change of each key of the spec does.
    Changes,
}

/// `init`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Init {
    /// The app's name; the folder's otherwise.
    #[arg(long)]
    pub app: Option<String>,
    /// The container's port; the Dockerfile's EXPOSE otherwise.
    #[arg(long)]
    pub port: Option<u16>,
    /// Ask nothing: take what the folder says.
    #[arg(short, long)]
    pub yes: bool,
    /// Overwrite a spec that is there.
    #[arg(long)]
    pub force: bool,
}

/// `render`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Render {
    /// The folder to write into; made if it is missing.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stdout", "resolved", "template"])]
    pub out: Option<PathBuf>,
    /// Print one file: taskdef.json, appspec.yaml or buildspec.yml.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["resolved", "template"])]
    pub stdout: Option<String>,
    /// Print the spec with every default filled in.
    #[arg(long, conflicts_with = "template")]
    pub resolved: bool,
    /// Render your own handlebars template with the resolved spec, and print it.
    #[arg(long, value_name = "FILE.hbs")]
    pub template: Option<PathBuf>,
    /// Look up the tasks' subnets and security groups, and name them in the AppSpec; left out, new tasks stand where the present ones do.
    #[arg(long, conflicts_with_all = ["resolved", "template"])]
    pub network: bool,
    /// The account's twelve digits; AWS is asked where neither this, the spec nor ECSPIPE_ACCOUNT says.
    #[arg(long, value_name = "ID", env = "ECSPIPE_ACCOUNT")]
    pub account: Option<String>,
}

/// `schema`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Schema {
    /// Of what.
    #[arg(value_enum, default_value_t)]
    pub of: SchemaOf,
}

/// What has a published JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SchemaOf {
    /// The file ecspipe.yaml.
    #[default]
    Spec,
    /// What `plan --format json` prints.
    Plan,
    /// A line of what `deploy`, `watch` and `rollback` print with `--format json`.
    Events,
}

/// `plan`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Plan {
    /// Exit with 10 when changes are pending; with `--refresh-only` when something was changed by hand.
    #[arg(long)]
    pub exit_code: bool,
    /// Show what was changed by hand since it was applied, and nothing that the spec changes.
    #[arg(long)]
    pub refresh_only: bool,
    /// Show also what rollouts have moved, which nobody puts back.
    #[arg(long)]
    pub all: bool,
    /// Show one area alone; the exit code is about that area too.
    #[arg(long, value_enum, value_name = "AREA")]
    pub area: Option<Area>,
}

/// A part of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Area {
    /// The VPC and what is in it.
    Network,
    /// Load balancer, listeners, target groups.
    Balancer,
    /// Cluster, task definition, service and their logs.
    Service,
    /// From source to deployment: repositories, bucket, build, pipeline, CodeDeploy.
    Delivery,
    /// Key and roles.
    Security,
}

/// `up`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Up {
    /// Don't ask.
    #[arg(short, long)]
    pub yes: bool,
    /// What if somebody else is at work.
    #[command(flatten)]
    pub lease: Lease,
}

/// What if somebody else is at work on the app.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Lease {
    /// If somebody else is at work on the app, wait for them for this long (90s, 5m).
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub wait_lease: Option<Duration>,
    /// If somebody else is at work on the app, take their lease away: they begin nothing new once they notice, within a minute.
    #[arg(long, conflicts_with = "wait_lease")]
    pub break_lease: bool,
}

/// `deploy`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Deploy {
    /// Deploy this image without the pipeline.
    #[arg(long, value_name = "URI", conflicts_with = "push")]
    pub image: Option<String>,
    /// Don't start the pipeline: wait for a push that does.
    #[arg(long)]
    pub push: bool,
    /// Where a deployment is in flight, wait for its end instead of refusing.
    #[arg(long)]
    pub queue: bool,
    /// Begin although production has no healthy target, or an alarm fires.
    #[arg(long)]
    pub force: bool,
    /// Start, print the id, and don't follow.
    #[arg(long, conflicts_with_all = ["until", "wait_until"])]
    pub detach: bool,
    /// How the rollout is followed.
    #[command(flatten)]
    pub follow: Follow,
}

/// How a rollout is followed.
#[derive(Debug, Clone, ClapArgs)]
pub struct Follow {
    /// Where to stop following.
    #[arg(long, value_enum, default_value_t = Until::Done)]
    pub until: Until,
    /// Wait for a point of the rollout: exit 0 once it is reached, 8 at once where a pause before it waits for a person, and as
    /// the rollout ends where it ends before.
    #[arg(long, value_enum, value_name = "POINT", conflicts_with = "until")]
    pub wait_until: Option<Point>,
    /// After this time stop following (90s, 60m, 2h); the rollout goes on.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub timeout: Option<Duration>,
    /// Also write the rollout as a page: timeline, traffic, tasks, events, reason. Its folder is made if it is missing.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

/// Where following ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// At the rollout's end.
    Done,
    /// Where it waits for a person.
    Ready,
    /// Where production has moved and the old tasks are kept.
    OldTasks,
}

/// A point on the way of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Point {
    /// The new tasks run and are healthy.
    Installed,
    /// The test listener leads to them.
    #[value(alias = "test_traffic")]
    TestTraffic,
    /// It waits for a person, or has gone on from there.
    Ready,
    /// All of production goes to the new tasks.
    Shifted,
    /// It has succeeded.
    Done,
}

/// `watch`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Watch {
    /// A deployment (d-…), an execution of the pipeline, or a commit (7 digits or more); the one in flight, else the newest, otherwise.
    pub id: Option<String>,
    /// How the rollout is followed.
    #[command(flatten)]
    pub follow: Follow,
}

/// `reroute`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Reroute {
    /// The deployment; the one in flight otherwise.
    pub id: Option<String>,
    /// Also skip the wait before the old tasks go.
    #[arg(long)]
    pub finish: bool,
}

/// `stop`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Stop {
    /// The deployment or the execution; the one in flight otherwise.
    pub id: Option<String>,
    /// Leave traffic and tasks as they are, maybe half way.
    #[arg(long)]
    pub no_rollback: bool,
}

/// `approve`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Approve {
    /// What is answered, where several things wait: a deployment (d-…), or STAGE/ACTION of the pipeline.
    pub what: Option<String>,
    /// Say no: the deployment is stopped and rolled back, or the pipeline's execution ends.
    #[arg(long)]
    pub reject: bool,
    /// Why: an approval of the pipeline keeps it.
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
}

/// `releases`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Releases {
    /// How many; what is live is always among them.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub limit: u16,
}

/// `run`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Run {
    /// Start it, print its id, and don't wait.
    #[arg(long)]
    pub detach: bool,
    /// What the container runs, after `--`; the image's own command otherwise.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `exec`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Exec {
    /// Which task: its id, or how that begins; the newest of what is live otherwise.
    #[arg(long, value_name = "ID", value_parser = task)]
    pub task: Option<String>,
    /// Which container, where the task has several.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// What runs in it, after `--`; a shell otherwise.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `scale`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Scale {
    /// How many.
    #[arg(value_parser = clap::value_parser!(u32).range(0..=5000))]
    pub tasks: u32,
    /// Don't ask before the last task goes.
    #[arg(short, long)]
    pub yes: bool,
}

/// `rollback`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Rollback {
    /// To this revision of the task definition (12, or web:12), as `releases` lists it; refused if it never succeeded.
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    pub to: Option<u32>,
    /// Don't ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Begin although production has no healthy target, or an alarm fires.
    #[arg(long)]
    pub force: bool,
    /// Start, print the id, and don't follow.
    #[arg(long, conflicts_with_all = ["until", "wait_until"])]
    pub detach: bool,
    /// How the rollout is followed.
    #[command(flatten)]
    pub follow: Follow,
}

/// `logs`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Logs {
    /// Go on with new lines as they come.
    #[arg(long)]
    pub follow: bool,
    /// How far back (10m, 2h).
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span)]
    pub since: Duration,
    /// CloudWatch's filter pattern.
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Of this task alone: its id, or how that begins.
    #[arg(long, value_name = "ID", value_parser = task)]
    pub task: Option<String>,
}

/// `down`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Down {
    /// Don't ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Delete the source repository too, with its history.
    #[arg(long)]
    pub delete_source: bool,
    /// What if somebody else is at work.
    #[command(flatten)]
    pub lease: Lease,
}

/// `policy`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Policy {
    /// What is run with it; everything but `down --delete-source` otherwise.
    #[arg(value_enum, value_name = "COMMANDS")]
    pub commands: Vec<Commands>,
    /// With `down`: also what `down --delete-source` needs.
    #[arg(long)]
    pub delete_source: bool,
    /// Write the documents into this folder, which is made if it is missing, instead of printing them.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The account's twelve digits; AWS is asked where neither this, the spec nor ECSPIPE_ACCOUNT says.
    #[arg(long, value_name = "ID", env = "ECSPIPE_ACCOUNT")]
    pub account: Option<String>,
}

/// Commands that one person or one pipeline runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Commands {
    /// `plan`, `outputs`.
    Plan,
    /// `up`.
    Up,
    /// `deploy`.
    Deploy,
    /// `status`, `watch`, `reroute`, `stop`, `rollback`, `approve`, `releases`, `run`, `exec`, `scale`, `logs`.
    Operate,
    /// `down`.
    Down,
    /// `doctor`.
    Doctor,
}

/// `doctor`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Doctor {
    /// Whose permissions are looked at; `plan`, `up`, `deploy` and `operate` otherwise.
    #[arg(value_enum, value_name = "COMMANDS")]
    pub commands: Vec<Commands>,
}

/// How something is made to go wrong in the sandbox.
const FAULTS: &str = "\
What can go wrong goes wrong on request, by JSON at /_sandbox/faults (docs/sandbox.md):
  curl -X POST http://127.0.0.1:4570/_sandbox/faults -d '{\"tasks\": {\"*\": \"crash\"}}'
  tasks      by image: crash, out_of_memory, hang, not_listening, unhealthy, fail_check, cannot_pull
  functions  by Lambda function, as hooks call it: succeed, fail, silent, throw
  commands   by the command of a one-off task: its exit code and log
  alarms     those that are in alarm
  builds     by project: fail, fault, hang
  actions    by action of a pipeline: fail, hang, cancel
  rules, chaos, rates   calls that are refused, lost or late";

/// `sandbox`.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = FAULTS)]
pub struct Sandbox {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 4570)]
    pub port: u16,
    /// How many times as fast as AWS time passes.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub speed: f64,
    /// Keep the account in this folder between runs.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// List the operations that it has, and exit.
    #[arg(long)]
    pub list: bool,
}

/// `demo`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Demo {
    /// Leave at the end instead of staying up for the browser.
    #[arg(long)]
    pub exit: bool,
    /// Don't ask before production is rerouted.
    #[arg(short, long)]
    pub yes: bool,
    /// How many times as fast as AWS time passes.
    #[arg(long, value_name = "X", default_value_t = 120.0)]
    pub speed: f64,
}

/// `completions`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

impl Global {
    /// The same for talk, which is never JSON.
    pub(crate) fn human(&self) -> Self {
        Self {
            format: Format::Human,
            ..self.clone()
        }
    }
}

/// A time span of the command line: `90s`, `60m`.
fn span(text: &str) -> Result<Duration, String> {
    ecspipe_spec::Span::parse(text).map(|span| Duration::from_secs(span.seconds()))
}

/// A revision as people name it: `12`, `web:12`, or the task definition's ARN.
fn revision(text: &str) -> Result<u32, String> {
    ecspipe_deploy::revision_of(text)
        .ok_or_else(|| "a revision is a number, as `ecspipe releases` lists it".to_owned())
}

/// A task's id, or how it begins, or its ARN.
fn task(text: &str) -> Result<String, String> {
    let id = text.rsplit('/').next().unwrap_or(text);
    let is_id = (4..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_hexdigit());
    match is_id {
        true => Ok(id.to_ascii_lowercase()),
        false => Err("a task's id has letters a to f and digits, at least 4 of them".to_owned()),
    }
}

/// Where a sandbox is said to listen.
fn sandbox(text: &str) -> Result<String, String> {
    let is_port = text.parse::<u16>().is_ok_and(|port| port > 0);
    if is_port || is_url(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "a sandbox is named by its port, 1 to 65535, or its URL, such as http://127.0.0.1:4570"
                .to_owned(),
        )
    }
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'));
    let Some(rest) = rest else {
        return false;
    };
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "80"));
    !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
}
