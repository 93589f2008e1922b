//! The account's state: what it holds, how it is saved and loaded, and how time moves it.
//! Must not know wire formats; must not read a clock: [`World::advance`] is told the time.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::clock::{EPOCH, Millis};
use crate::faults::Dials;
use crate::iam::CallerPolicy;
use crate::services::{
    cloudwatch, codebuild, codecommit, codedeploy, codepipeline, ec2, ecr, ecs, elbv2, events, iam,
    kms, lambda, logs, quotas, s3, tagging,
};

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// The whole account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// The present, as far as the state has been brought.
    pub now: Millis,
    /// Twelve digits.
    pub account: String,
    /// How many ids were given out.
    pub counter: u64,
    /// What wakes up when: in order of time, then of setting.
    pub timers: Vec<Timer>,
    /// IAM, which knows no region.
    pub iam: iam::State,
    /// S3, whose bucket names know no region.
    pub s3: s3::State,
    /// Everything else, by region.
    pub regions: BTreeMap<String, Region>,
    /// What the sandbox's user may do; not kept between runs.
    #[serde(skip)]
    pub caller: Option<CallerPolicy>,
    /// What goes wrong in the account; not kept between runs.
    #[serde(skip)]
    pub dials: Dials,
    /// How many tasks had a fault that only some are to have, by its pattern.
    #[serde(skip)]
    pub struck: BTreeMap<String, u32>,
    /// The local port of each listener, by ARN; kept so that a URL survives a restart.
    pub ports: BTreeMap<String, u16>,
}

/// One region of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Region {
    /// Accounts that were saved before it existed have none.
    #[serde(default)]
    pub cloudwatch: cloudwatch::State,
    pub codebuild: codebuild::State,
    pub codecommit: codecommit::State,
    pub codedeploy: codedeploy::State,
    pub codepipeline: codepipeline::State,
    pub ec2: ec2::State,
    pub ecr: ecr::State,
    pub ecs: ecs::State,
    pub elbv2: elbv2::State,
    pub events: events::State,
    pub kms: kms::State,
    /// Missing in what an earlier version saved.
    #[serde(default)]
    pub lambda: lambda::State,
    pub logs: logs::State,
    /// The same.
    #[serde(default)]
    pub quotas: quotas::State,
    /// The same.
    #[serde(default)]
    pub tagging: tagging::State,
}

/// Something that wakes up at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When.
    pub at: Millis,
    /// Where.
    pub region: String,
    /// What.
    pub wake: Wake,
}

/// What wakes up. The owner looks at its state and acts; a wake-up too many does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wake {
    /// An ECS service: starts and stops tasks, follows their health. (cluster name, service name)
    Service(String, String),
    /// The tasks outside services of an ECS cluster, by its name.
    Lone(String),
    /// A CodeDeploy deployment, by id.
    Deployment(String),
    /// A pipeline with its executions, by name.
    Pipeline(String),
    /// A CodeBuild build, by id.
    Build(String),
    /// CloudWatch's alarms of the region.
    Alarms,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: EPOCH,
            account: "111122223333".to_owned(),
            counter: 0,
            timers: Vec::new(),
            iam: iam::State::default(),
            s3: s3::State::default(),
            regions: BTreeMap::new(),
            caller: None,
            dials: Dials::default(),
            struck: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }
}

impl World {
    /// Brings the state up to `now`: every timer that is due, in order of time.
    pub fn advance(&mut self, now: Millis) {
        while let Some(next) = self.next_due(now) {
            let timer = self.timers.remove(next);
            self.now = self.now.max(timer.at);
            crate::services::wake(self, &timer);
        }
        self.now = self.now.max(now);
    }

    /// Sets what goes wrong in the account. What was there before goes on counting.
    pub(crate) fn dial(&mut self, want: Dials) {
        if self.dials == want {
            return;
        }
        let have = std::mem::replace(&mut self.dials, want);
        let same = |pattern: &String| have.tasks.get(pattern) == self.dials.tasks.get(pattern);
        self.struck.retain(|pattern, _| same(pattern));
        for region in self.regions.keys().cloned().collect::<Vec<_>>() {
            cloudwatch::hold(self, &region);
            crate::tasks::rouse_all(self, &region);
        }
    }

    fn next_due(&self, now: Millis) -> Option<usize> {
        let due = self
            .timers
            .iter()
            .enumerate()
            .filter(|(_, timer)| timer.at <= now);
        due.min_by_key(|(index, timer)| (timer.at, *index))
            .map(|(index, _)| index)
    }

    /// Wakes something up at `at` (not before the present). The same wake-up at the same time is kept once.
    pub fn wake_at(&mut self, at: Millis, region: &str, wake: Wake) {
        let timer = Timer {
            at: at.max(self.now),
            region: region.to_owned(),
            wake,
        };
        if !self.timers.contains(&timer) {
            self.timers.push(timer);
        }
    }

    /// Wakes something up `after` milliseconds from now.
    pub fn wake_in(&mut self, after: Millis, region: &str, wake: Wake) {
        self.wake_at(self.now + after, region, wake);
    }

    /// The region, made when it is first used.
    pub fn at(&mut self, region: &str) -> &mut Region {
        self.regions.entry(region.to_owned()).or_default()
    }

    /// An ARN in this account. `region` and account are left out for S3, the region for IAM.
    pub fn arn(&self, service: &str, region: &str, resource: &str) -> String {
        let partition = partition(region);
        match service {
            "s3" => format!("arn:{partition}:s3:::{resource}"),
            "iam" => format!("arn:{partition}:iam::{}:{resource}", self.account),
            _ => format!(
                "arn:{partition}:{service}:{region}:{}:{resource}",
                self.account
            ),
        }
    }

    /// An EC2-like id: `vpc-0` and sixteen hex digits.
    pub fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", self.hex(16))
    }

    /// A UUID-like id.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }

    /// `length` (at most 64) hex digits that no other call gets.
    pub fn hex(&mut self, length: usize) -> String {
        self.counter += 1;
        let digest = hex::encode(Sha256::digest(format!("ecspipe sandbox {}", self.counter)));
        digest[..length].to_owned()
    }
}

/// The partition of a region.
pub fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

const FILE: &str = "account.json";

/// The state saved in `folder`, or a new account.
pub fn load(folder: &Path) -> Result<World, Error> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(World::default()),
        Err(source) => return Err(Error::Data { path, source }),
    };
    serde_json::from_str(&text).map_err(|error| Error::State {
        path,
        message: error.to_string(),
    })
}

/// Writes the state into `folder`: first beside the old one, then in its place, so that a crash loses neither.
pub fn save(world: &World, folder: &Path) -> Result<(), Error> {
    let path = folder.join(FILE);
    let fail = |source| Error::Data {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let text = serde_json::to_vec(world).map_err(|error| fail(error.into()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    std::io::Write::write_all(&mut file, &text).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(&path).map_err(|error| fail(error.error))?;
    Ok(())
}
