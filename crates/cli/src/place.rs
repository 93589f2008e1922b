//! Where a command works: the spec that was read, the account that it is for, the sandbox that stands in for it.
//! Must not make, change or follow anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ecspipe_aws::classify::LOST;
use ecspipe_aws::{Account, Connect, Leases, Pace};
use ecspipe_deploy::{Bundle, FollowOptions, Intent, Point, Poll, Target, Timestamp, WaitUntil};
use ecspipe_provision::existing;
use ecspipe_provision::{
    CloudError, Depth, Detail, Existing, Found, Graph, Inputs, Inventory, Key, Lookup as _, Made,
    Outputs, Scope, TagSource, TaskNetwork,
};
use ecspipe_render::{Network, direct};
use ecspipe_sandbox::Sandbox;
use ecspipe_spec::names::RoleName;
use ecspipe_spec::{Architecture, Facts, FailFast, Names, Source, Spec, Zones};
use serde::Deserialize;

use crate::args::{self, Follow, Global, Until};
use crate::exit::{Exit, Failure};
use crate::probe::Probe;
use crate::report;
use crate::world::World;

/// The spec of a command, read and validated.
pub(crate) fn spec(global: &Global, world: &World) -> Result<Spec, Failure> {
    spec_of(&global.file, global, world)
}

/// The spec in a file, read and validated.
pub(crate) fn spec_of(file: &Path, global: &Global, world: &World) -> Result<Spec, Failure> {
    let path = world.path(file);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let failure = Failure::new(Exit::Usage, format!("there is no {} here", file.display()));
            failure.hint("write one with `ecspipe init`, or name it with `--file`")
        }
        _ => Failure::file("read", file, &error),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::Spec,
            format!("{} is not UTF-8 text (byte {at})", file.display()),
        )
        .hint("save it as UTF-8")
    })?;
    ecspipe_spec::parse(&text)
        .map_err(|problems| report::spec::failure(file, &text, &problems, world, global))
}

/// Where a command works.
pub(crate) struct Place {
    /// The app.
    pub(crate) spec: Spec,
    /// Where it is.
    pub(crate) facts: Facts,
    /// The account.
    pub(crate) account: Account,
    /// What the app uses and ecspipe didn't make.
    pub(crate) existing: Existing,
    /// What has to hold of it and can't be proved.
    pub(crate) notes: Vec<String>,
    /// The sandbox that stands in for AWS.
    pub(crate) sandbox: Option<Link>,
    /// How many times as fast as AWS the other side is.
    speed: f64,
}

impl Place {
    /// Reads the spec and reaches the account. The account that the spec names must be the one that is reached. Of what exists
    /// the names are looked up.
    pub(crate) async fn open(global: &Global, world: &World) -> Result<Self, Failure> {
        world.reading(Box::pin(Self::opened(global, world))).await
    }

    async fn opened(global: &Global, world: &World) -> Result<Self, Failure> {
        let mut place = Self::reached(global, world).await?;
        let found = place.look_up(Depth::Names).await?;
        place.take(found)?;
        Ok(place)
    }

    /// The same for whoever makes or changes: all that exists and is used is looked up and checked.
    pub(crate) async fn open_to_change(global: &Global, world: &World) -> Result<Self, Failure> {
        let checked = async { Self::reached(global, world).await?.checked().await };
        world.reading(Box::pin(checked)).await
    }

    /// The same for a spec and an account that are at hand.
    pub(crate) async fn within(
        spec: Spec,
        account: Account,
        sandbox: Option<Link>,
    ) -> Result<Self, Failure> {
        let place = Self::at(spec, account, sandbox).await?;
        place.checked().await
    }

    async fn checked(mut self) -> Result<Self, Failure> {
        let place = &mut self;
        let found = place.look_up(Depth::Everything).await?;
        place.take(found)?;
        let verdict = existing::check(&place.spec, &place.facts, &place.existing);
        if !verdict.problems.is_empty() {
            return Err(ecspipe_provision::Error::Unfit(verdict.problems).into());
        }
        place.notes = verdict.notes;
        Ok(self)
    }

    /// The same for whoever only takes the app away, or asks what is there: what others have taken away by now is no hindrance.
    pub(crate) async fn open_to_remove(global: &Global, world: &World) -> Result<Self, Failure> {
        let opened = async {
            let mut place = Self::reached(global, world).await?;
            let found = place.look_up(Depth::Names).await?;
            place.take(Found {
                problems: Vec::new(),
                ..found
            })?;
            Ok(place)
        };
        world.reading(Box::pin(opened)).await
    }

    async fn look_up(&self, depth: Depth) -> Result<Found, Failure> {
        Ok(self.account.look_up(&self.spec, &self.facts, depth).await?)
    }

    fn take(&mut self, found: Found) -> Result<(), Failure> {
        if !found.problems.is_empty() {
            return Err(ecspipe_provision::Error::Unfit(found.problems).into());
        }
        self.facts.existing = found.existing.names();
        self.existing = found.existing;
        Ok(())
    }

    async fn reached(global: &Global, world: &World) -> Result<Self, Failure> {
        let spec = spec(global, world)?;
        let (account, sandbox) = reach(global, world, &spec).await?;
        Self::at(spec, account, sandbox).await
    }

    async fn at(spec: Spec, account: Account, sandbox: Option<Link>) -> Result<Self, Failure> {
        let with_zones = spec.network.is_own() && matches!(spec.network.zones, Zones::Count(_));
        let facts = account.facts(with_zones).await?;
        if let Some(wanted) = spec
            .account
            .as_ref()
            .filter(|wanted| **wanted != facts.account)
        {
            let message = format!(
                "the spec is for account {wanted}, but the credentials are for account {}",
                facts.account
            );
            return Err(Failure::new(Exit::Access, message).hint(
                "choose the right login with `--profile`, or correct `account:` in the spec",
            ));
        }
        let speed = sandbox.as_ref().map_or(1.0, |link| link.speed);
        Ok(Self {
            spec,
            facts,
            account,
            existing: Existing::default(),
            notes: Vec::new(),
            sandbox,
            speed,
        })
    }

    /// The wanted resources, and what the account holds of them, for whoever goes on to change something.
    pub(crate) async fn look(&self, detail: Detail) -> Result<(Graph, Inventory), Failure> {
        let (graph, scope) = self.wanted(detail)?;
        let inventory = ecspipe_provision::observe(&self.account, &scope).await?;
        let graph = match detail {
            Detail::Properties => self.beside(&inventory)?,
            Detail::Identity => graph,
        };
        Ok((graph, inventory))
    }

    /// The same for whoever only compares: with fewer calls, and tags that may be some seconds old.
    pub(crate) async fn review(&self) -> Result<(Graph, Inventory), Failure> {
        let (_, scope) = self.wanted(Detail::Properties)?;
        let scope = Scope {
            tag_source: TagSource::Index,
            ..scope
        };
        let inventory = ecspipe_provision::observe(&self.account, &scope).await?;
        Ok((self.beside(&inventory)?, inventory))
    }

    /// The wanted resources, and where to look for them.
    pub(crate) fn wanted(&self, detail: Detail) -> Result<(Graph, Scope), Failure> {
        let buildspec = ecspipe_render::buildspec(&self.spec, &self.facts)?;
        let inputs = self.inputs(&buildspec, &self.existing);
        let graph = match detail {
            Detail::Properties => ecspipe_provision::desired(&inputs)?,
            Detail::Identity => ecspipe_provision::named(&inputs)?,
        };
        let scope = ecspipe_provision::scope(&inputs, &graph);
        Ok((graph, Scope { detail, ..scope }))
    }

    /// What is wanted beside what the account holds: running tasks need some of that until they have moved.
    pub(crate) fn beside(&self, inventory: &Inventory) -> Result<Graph, Failure> {
        let buildspec = ecspipe_render::buildspec(&self.spec, &self.facts)?;
        let inputs = self.inputs(&buildspec, &self.existing);
        Ok(ecspipe_provision::desired_beside(&inputs, inventory)?)
    }

    fn inputs<'a>(&'a self, buildspec: &'a str, existing: &'a Existing) -> Inputs<'a> {
        Inputs {
            spec: &self.spec,
            facts: &self.facts,
            buildspec,
            existing,
        }
    }

    /// Where the next deployment's tasks stand: looked up, as only the account knows the ids. An account that isn't ready for
    /// them is an error: the deployment would wait for healthy tasks in vain.
    pub(crate) async fn network(&self) -> Result<Network, Failure> {
        let buildspec = ecspipe_render::buildspec(&self.spec, &self.facts)?;
        // Whoever only asked for names needs the network itself now.
        let existing = if self.existing.missing(&self.spec).is_empty() {
            self.existing.clone()
        } else {
            let found = self.look_up(Depth::Everything).await?;
            if !found.problems.is_empty() {
                return Err(ecspipe_provision::Error::Unfit(found.problems).into());
            }
            found.existing
        };
        let inputs = self.inputs(&buildspec, &existing);
        let graph = ecspipe_provision::desired(&inputs)?;
        let scope = ecspipe_provision::scope(&inputs, &graph);
        let kinds = ecspipe_provision::TASK_NETWORK_KINDS;
        let inventory = ecspipe_provision::observe_kinds(&self.account, &scope, &kinds).await?;
        Ok(named(ecspipe_provision::task_network(&graph, &inventory)?))
    }

    /// The same after an `up` that has done all it planned, from what is `known` then: nothing is asked.
    pub(crate) fn made_network(&self, known: &BTreeMap<Key, Made>) -> Result<Network, Failure> {
        let (graph, _) = self.wanted(Detail::Properties)?;
        let network = ecspipe_provision::applied_task_network(&graph, known)?;
        Ok(named(network))
    }

    /// The names by which a rollout is started and followed.
    pub(crate) fn target(&self) -> Target {
        Target::new(&self.spec, &self.facts)
    }

    /// The names of the app's resources.
    pub(crate) fn names(&self) -> Names {
        Names::new(&self.spec.app, &self.facts)
    }

    /// Where the lease of the app lies.
    pub(crate) fn leases(&self) -> Leases {
        self.account.leases(&self.facts, &self.names())
    }

    /// The deployment files as they go to S3, for tasks in `network`.
    pub(crate) fn bundle(&self, network: &Network) -> Result<Bundle, Failure> {
        let artifacts = ecspipe_render::render_into(&self.spec, &self.facts, Some(network))?;
        let files: BTreeMap<_, _> = artifacts
            .into_iter()
            .map(|artifact| (artifact.name, artifact.contents.into_bytes()))
            .collect();
        Ok(Bundle::new(&files)?)
    }

    /// Makes the AppSpec of a task definition's ARN, which is only known once it is registered. Whether the spec's AppSpec can
    /// be rendered at all doesn't depend on the ARN, and is found out here, before anything is made.
    pub(crate) async fn app_spec(&self) -> Result<impl Fn(&str) -> String + Sync + '_, Failure> {
        let network = self.network().await?;
        direct::appspec(&self.spec, "arn", Some(&network))?;
        Ok(move |arn: &str| direct::appspec(&self.spec, arn, Some(&network)).unwrap_or_default())
    }

    /// The account and region, as a plan is headed.
    pub(crate) fn title(&self) -> String {
        let place = if self.sandbox.is_some() {
            "sandbox account"
        } else {
            "account"
        };
        format!("in {} ({place} {})", self.facts.region, self.facts.account)
    }

    /// The URLs of both listeners, without looking at anything else.
    pub(crate) async fn urls(&self) -> Result<Outputs, Failure> {
        let balancer = match &self.existing.load_balancer {
            Some(existing) => Some(existing.dns_name.clone()),
            None => {
                let name = self.names().load_balancer();
                self.account.balancer_host(&name).await?
            }
        };
        let url = |port: u16| {
            balancer.as_ref().map(|host| {
                if port == 80 {
                    format!("http://{host}")
                } else {
                    format!("http://{host}:{port}")
                }
            })
        };
        let outputs = Outputs {
            production_url: url(self.spec.load_balancer.production.port),
            test_url: url(self.spec.load_balancer.test.port),
            ..Outputs::default()
        };
        self.usable(outputs).await
    }

    /// Whether CodeDeploy has a deployment in flight. An app without a deployment group has none.
    pub(crate) async fn rollout_in_flight(&self, inventory: &Inventory) -> Result<bool, Failure> {
        use ecspipe_deploy::{FailureKind, Rollouts as _, Which};
        let key = ecspipe_provision::Key::new(ecspipe_provision::Kind::DeploymentGroup, "main");
        if !inventory.owned.contains_key(&key) {
            return Ok(false);
        }
        match self
            .account
            .deployments(&self.target(), Which::InFlight, 1)
            .await
        {
            Ok(running) => Ok(!running.is_empty()),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// A span of AWS's time as it passes here.
    pub(crate) fn real(&self, span: Duration) -> Duration {
        span.div_f64(self.speed)
    }

    /// How often a rollout is looked at. A sandbox is not AWS: it may be asked as often as its speed calls for.
    pub(crate) fn poll(&self) -> Poll {
        let poll = Poll::default();
        let least = Duration::from_millis(20);
        Poll {
            every: self.real(poll.every).max(least),
            at_most: self.real(poll.at_most).max(least),
        }
    }

    /// How a rollout is followed.
    pub(crate) fn follow_options(&self, follow: &Follow) -> FollowOptions {
        FollowOptions {
            poll: self.poll(),
            until: match (follow.wait_until, follow.until) {
                (Some(point), _) => WaitUntil::Point(match point {
                    args::Point::Installed => Point::Installed,
                    args::Point::TestTraffic => Point::TestTraffic,
                    args::Point::Ready => Point::Ready,
                    args::Point::Shifted => Point::Shifted,
                    args::Point::Done => Point::Done,
                }),
                (None, Until::Done) => WaitUntil::Done,
                (None, Until::Ready) => WaitUntil::Ready,
                (None, Until::OldTasks) => WaitUntil::OldTasks,
            },
            timeout: follow.timeout.map(|timeout| self.real(timeout)),
            ..FollowOptions::default()
        }
    }

    /// Who asks the test listener what the spec's checks want to know; `None` where there are none.
    pub(crate) async fn probe(&self) -> Result<Option<Probe>, Failure> {
        if self.spec.deploy.checks.is_empty() {
            return Ok(None);
        }
        if let Some(probe) = self
            .sandbox
            .as_ref()
            .and_then(|link| self.probe_within(link))
        {
            return Ok(Some(probe));
        }
        let url = self.urls().await?.test_url;
        let url = url.ok_or_else(|| {
            Failure::new(Exit::Incomplete, "there is no test listener to check")
                .hint("make it with `ecspipe up`")
        })?;
        Ok(Some(Probe::network(&url)))
    }

    /// A listener of the sandbox in this process needs no port.
    fn probe_within(&self, link: &Link) -> Option<Probe> {
        let sandbox = link.sandbox.as_ref()?;
        let balancer = self.spec.load_balancer_name(&self.facts);
        let port = self.spec.load_balancer.test.port;
        let listener = sandbox.listeners().into_iter().find(|listener| {
            listener.load_balancer == balancer
                && listener.region == self.facts.region
                && listener.port == port
        })?;
        Some(Probe::Within {
            url: format!("http://{}:{port}", listener.dns_name),
            sandbox: sandbox.clone(),
            arn: listener.arn,
        })
    }

    /// After how many failed tasks a rollout is stopped.
    pub(crate) fn fail_fast(&self) -> Option<u32> {
        match self.spec.deploy.fail_fast {
            FailFast::After(count) => Some(count),
            FailFast::Off => None,
        }
    }

    /// The names of the roles that a rollout's tasks, CodeDeploy and, `by_pipeline`, the pipeline take on.
    pub(crate) fn rollout_roles(&self, by_pipeline: bool) -> Vec<String> {
        let direct = [RoleName::Execution, RoleName::Task, RoleName::CodeDeploy];
        let pipeline = [RoleName::CodePipeline, RoleName::CodeBuild];
        let roles = direct
            .into_iter()
            .chain(pipeline.into_iter().filter(|_| by_pipeline));
        let arns = roles.map(|role| self.spec.role_arn(&self.facts, role));
        arns.map(|arn| arn.rsplit('/').next().unwrap_or(&arn).to_owned())
            .collect()
    }

    /// The processor that the tasks ask for, as images name it.
    pub(crate) fn image_architecture(&self) -> &'static str {
        match self.spec.service.architecture {
            Architecture::X86_64 => "amd64",
            Architecture::Arm64 => "arm64",
        }
    }

    /// An error that names everything in the way of a rollout. Says what could not be looked at.
    pub(crate) async fn preflight(
        &self,
        intent: &Intent<'_>,
        world: &World,
    ) -> Result<(), Failure> {
        let target = self.target();
        let looked = async {
            let looked = ecspipe_deploy::preflight(&self.account, &target, intent).await;
            looked.map_err(Failure::from)
        };
        let unseen = world.reading(Box::pin(looked)).await?;
        for line in unseen {
            world.err(format!("note: {line}"));
        }
        Ok(())
    }

    /// The outputs as they can be used: on a sandbox, listeners and repositories are ports of this machine.
    pub(crate) async fn usable(&self, outputs: Outputs) -> Result<Outputs, Failure> {
        let Some(link) = &self.sandbox else {
            return Ok(outputs);
        };
        let listeners = link.listeners().await?;
        let balancer = self.spec.load_balancer_name(&self.facts);
        let url = |port: u16| {
            let ours = |listener: &&ListenerInfo| {
                listener.load_balancer == balancer
                    && listener.region == self.facts.region
                    && listener.port == port
            };
            listeners
                .iter()
                .find(ours)
                .and_then(|listener| listener.url.clone())
        };
        let Source::Codecommit(source) = &self.spec.source;
        Ok(Outputs {
            production_url: outputs
                .production_url
                .and_then(|_| url(self.spec.load_balancer.production.port)),
            test_url: outputs
                .test_url
                .and_then(|_| url(self.spec.load_balancer.test.port)),
            clone_url_http: outputs
                .clone_url_http
                .and(link.url.as_ref())
                .map(|base| format!("{base}/v1/repos/{}", source.repository)),
            clone_url_ssh: None,
            ..outputs
        })
    }
}

/// The region that the flag, the spec or the environment names.
pub(crate) fn region(
    global: &Global,
    world: &World,
    spec: &Spec,
) -> Result<Option<String>, Failure> {
    if let (Some(flag), Some(fixed)) = (&global.region, &spec.region)
        && flag != fixed
    {
        let message = format!("the spec is for region {fixed}, `--region` says {flag}");
        return Err(Failure::new(Exit::Usage, message).hint("leave one of them out"));
    }
    let region = global.region.clone().or_else(|| spec.region.clone());
    Ok(region.or_else(|| {
        world
            .var("AWS_REGION")
            .or(world.var("AWS_DEFAULT_REGION"))
            .map(ToOwned::to_owned)
    }))
}

/// The place that something is written for without a look at it. AWS is asked only where neither flags, spec nor environment say it.
pub(crate) async fn facts(
    global: &Global,
    account: Option<&str>,
    world: &World,
    spec: &Spec,
) -> Result<Facts, Failure> {
    let account = account
        .or(spec.account.as_deref())
        .or(world.var("ECSPIPE_ACCOUNT"));
    if let Some(account) = account
        .filter(|account| account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()))
    {
        let message = format!("`{account}` is not an account id");
        return Err(Failure::new(Exit::Usage, message)
            .hint("an account id has twelve digits: `--account 111122223333`"));
    }
    let region = region(global, world, spec)?;
    if let Some(region) = region
        .as_ref()
        .filter(|region| !ecspipe_spec::is_region(region))
    {
        let message = format!("`{region}` is not a region");
        return Err(
            Failure::new(Exit::Usage, message).hint("a region is written like `eu-central-1`")
        );
    }
    match (account, region) {
        (Some(account), Some(region)) => {
            let facts = Facts::new(account, region);
            if spec.unknown_roles(&facts).is_empty() {
                return Ok(facts);
            }
            named_roles(global, world, spec, facts).await
        }
        (account, region) => {
            let asked = ask(global, world, spec, account).await;
            asked.map_err(|failure| unknown(failure, account.is_none(), region.is_none()))
        }
    }
}

/// A network as files name it.
fn named(network: TaskNetwork) -> Network {
    Network {
        subnets: network.subnets,
        security_groups: network.security_groups,
        public_addresses: network.public_addresses,
    }
}

/// The deployment's files name the ARNs of roles: where the spec has no more than a name or tags, the account is asked.
async fn named_roles(
    global: &Global,
    world: &World,
    spec: &Spec,
    facts: Facts,
) -> Result<Facts, Failure> {
    let (reached, _) = reach(global, world, spec).await?;
    let found = reached.look_up(spec, &facts, Depth::Names).await?;
    if !found.problems.is_empty() {
        return Err(ecspipe_provision::Error::Unfit(found.problems).into());
    }
    Ok(Facts {
        existing: found.existing.names(),
        ..facts
    })
}

/// A profile or the environment may know the region without a call; the account only AWS knows.
async fn ask(
    global: &Global,
    world: &World,
    spec: &Spec,
    account: Option<&str>,
) -> Result<Facts, Failure> {
    let (reached, _) = reach(global, world, spec).await?;
    let facts = match account {
        Some(account) => Facts::new(account, reached.region()),
        None => reached.facts(false).await?,
    };
    if spec.unknown_roles(&facts).is_empty() {
        return Ok(facts);
    }
    named_roles(global, world, spec, facts).await
}

fn unknown(mut failure: Failure, account: bool, region: bool) -> Failure {
    let (what, how) = match (account, region) {
        (true, true) => (
            "account and region are",
            "`--account ID` and `--region REGION`",
        ),
        (true, false) => (
            "the account is",
            "`--account ID` (or `account:` in the spec, or ECSPIPE_ACCOUNT)",
        ),
        _ => (
            "the region is",
            "`--region REGION` (or `region:` in the spec, or AWS_REGION)",
        ),
    };
    failure.details.extend(failure.hint.take());
    failure.message = format!(
        "{what} not known, and asking AWS failed: {}",
        failure.message
    );
    failure.hint(format!("with {how} nothing is asked of AWS"))
}

/// Reaches the account: AWS, the sandbox in this process, the running one, or another emulator.
pub(crate) async fn reach(
    global: &Global,
    world: &World,
    spec: &Spec,
) -> Result<(Account, Option<Link>), Failure> {
    let region = region(global, world, spec)?;
    let link = match (&world.sandbox, &global.sandbox) {
        (Some(sandbox), _) => Some(Link::within(sandbox, world.sandbox_url.clone())),
        (None, Some(at)) => Some(Link::running(at).await?),
        (None, None) => None,
    };
    let connect = match &link {
        Some(link) => Connect {
            // A sandbox has every region; one that nobody names is as good as another.
            region: region.or_else(|| Some("eu-central-1".to_owned())),
            endpoint: Some(
                link.url
                    .clone()
                    .unwrap_or_else(|| "http://sandbox.localhost".to_owned()),
            ),
            http_client: link.sandbox.as_ref().map(Sandbox::http_client),
            emulator: true,
            pace: Pace::new(link.speed, link.now),
            ..Connect::default()
        },
        None => Connect {
            region,
            profile: global.profile.clone(),
            endpoint: global.endpoint_url.clone(),
            emulator: global.endpoint_url.is_some(),
            ..Connect::default()
        },
    };
    let account = Account::connect(connect).await?;
    if let Some(url) = &global.endpoint_url {
        // Who calls is asked in any case, and once: nobody there is found out here.
        let asked = account.caller().await;
        asked.map_err(|error| nobody_at(url, error))?;
    }
    Ok((account, link))
}

/// The error of an emulator that can't be asked who calls.
fn nobody_at(url: &str, error: CloudError) -> Failure {
    if error.code != LOST {
        return error.into();
    }
    let message = format!("nobody answers at {url}: {}", error.message);
    Failure::new(Exit::Access, message)
        .hint("start the emulator, or correct `--endpoint-url`; `ecspipe sandbox` is one, reached with `--sandbox`")
}

/// A sandbox: in this process, or running on a port of this machine.
#[derive(Clone)]
pub(crate) struct Link {
    /// Where it listens; `None` where it doesn't.
    pub(crate) url: Option<String>,
    /// The one in this process.
    sandbox: Option<Sandbox>,
    speed: f64,
    now: Timestamp,
}

#[derive(Deserialize)]
struct Info {
    speed: f64,
    /// Sandbox time.
    now: Timestamp,
}

#[derive(Deserialize)]
struct ListenerInfo {
    load_balancer: String,
    region: String,
    port: u16,
    url: Option<String>,
}

impl Link {
    fn within(sandbox: &Sandbox, url: Option<String>) -> Self {
        let clock = sandbox.clock();
        let now = Timestamp::from_millisecond(clock.now()).unwrap_or_default();
        Self {
            url,
            sandbox: Some(sandbox.clone()),
            speed: clock.speed(),
            now,
        }
    }

    async fn running(at: &str) -> Result<Self, Failure> {
        let url = if at.starts_with("http") {
            at.trim_end_matches('/').to_owned()
        } else {
            format!("http://127.0.0.1:{at}")
        };
        let missing = |why: String| {
            let port = match url.rsplit(':').next() {
                Some(port) if port != "4570" && port.parse::<u16>().is_ok() => {
                    format!(" --port {port}")
                }
                _ => String::new(),
            };
            Failure::new(Exit::Access, format!("no sandbox answers at {url}: {why}")).hint(format!(
                "start one in another terminal: `ecspipe sandbox{port}`"
            ))
        };
        let body = ecspipe_sandbox::local::get(&format!("{url}/_sandbox/info"))
            .await
            .map_err(missing)?;
        let info: Info = serde_json::from_slice(&body.body)
            .map_err(|error| missing(format!("it isn't a sandbox of this version ({error})")))?;
        Ok(Self {
            url: Some(url),
            sandbox: None,
            speed: info.speed,
            now: info.now,
        })
    }

    async fn listeners(&self) -> Result<Vec<ListenerInfo>, Failure> {
        let Some(url) = &self.url else {
            return Ok(Vec::new());
        };
        let lost = |why: String| {
            Failure::new(
                Exit::Failed,
                format!("the sandbox at {url} does not say its listeners: {why}"),
            )
        };
        let body = ecspipe_sandbox::local::get(&format!("{url}/_sandbox/listeners"))
            .await
            .map_err(lost)?;
        serde_json::from_slice(&body.body).map_err(|error| lost(error.to_string()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    /// The next step is the flag; what AWS or the SDK said is kept.
    #[test]
    fn a_place_that_nobody_says() {
        let said =
            crate::Failure::new(crate::Exit::Access, "no credentials are known").hint("log in");
        let have = super::unknown(said, true, false);
        assert_eq!(have.exit, crate::Exit::Access);
        assert_eq!(
            have.message,
            "the account is not known, and asking AWS failed: no credentials are known"
        );
        assert_eq!(have.details, ["log in"]);
        assert_eq!(
            have.hint.unwrap(),
            "with `--account ID` (or `account:` in the spec, or ECSPIPE_ACCOUNT) nothing is asked of AWS"
        );
    }
}
