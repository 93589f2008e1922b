//! Plays a rollout under a fate: runs the command, looks at both listeners every second, and does in time what the fate has in
//! store. Must not judge.

use std::collections::BTreeMap;
use std::time::Duration;

use ecspipe_sandbox::services::codedeploy::{Deployment, Phase};

use super::super::redact::redact;
use super::super::stage::{REGION, Ran, Stage};
use super::fates::{ALARM, End, Fate, Moment};

/// What came of it.
pub(super) struct Row {
    pub(super) strategy: &'static str,
    pub(super) fate: Fate,
    /// The exit codes of the commands, one after the other.
    pub(super) codes: Vec<u8>,
    /// From the start of the first to the end of the last.
    pub(super) minutes: u64,
    /// The last word: how it ended, and why.
    pub(super) verdict: String,
    /// What each listener has served, step by step.
    pub(super) production: Vec<String>,
    pub(super) test: Vec<String>,
    pub(super) left: Left,
    /// After a stop that has left things as they were: how the next rollout comes about, by the exit codes of its commands, and what
    /// it has left.
    pub(super) next: Option<(Vec<u8>, Left)>,
    pub(super) transcript: String,
}

/// What is left behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The service's task sets.
    pub(super) sets: String,
    pub(super) in_flight: bool,
    /// The exit code of `plan --exit-code`.
    pub(super) plan: u8,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flight = if self.in_flight { ", in flight" } else { "" };
        write!(f, "{}{flight}, plan {}", self.sets, self.plan)
    }
}

/// A rollout of `shop:2` where `shop:1` serves.
pub(super) async fn play(stage: Stage, strategy: &'static str, fate: Fate) -> Row {
    fate.prepare(&stage.sandbox);
    let mut eyes = Eyes::new(fate);
    let begin = tokio::time::Instant::now();
    let mut ran = watched(
        &stage,
        &format!("deploy --image {}", fate.image()),
        &mut eyes,
    )
    .await;
    let mut codes = vec![ran.code];
    while [1, 9].contains(&ran.code) && codes.len() < 3 {
        stage.sandbox.faults().clear();
        ran = watched(&stage, "watch", &mut eyes).await;
        codes.push(ran.code);
    }
    let minutes = begin.elapsed().as_secs().div_ceil(60);
    stage.sandbox.faults().clear();
    eyes.look(&stage);
    // An alarm is judged again at the end of its minute.
    stage.minutes(2).await;
    let left = left(&stage).await;
    let verdict = verdict(&ran);
    let (production, test) = (eyes.production, eyes.test);
    let mut next = None;
    // What it takes to begin again depends on how far production had moved, not on how it was to.
    let tells = |moment| moment == Moment::Shifting || strategy == "canary";
    if matches!(fate.end(), End::Left(moment) if tells(moment)) {
        let mut codes = Vec::new();
        for command in [
            "deploy --image shop:3",
            "rollback --yes",
            "deploy --image shop:3",
        ] {
            let mut eyes = Eyes::new(Fate::Succeeds);
            codes.push(watched(&stage, command, &mut eyes).await.code);
            if command.starts_with("rollback") {
                assert_eq!((served(&stage, 80, 20), served(&stage, 8080, 1)), old());
            } else if codes.last() == Some(&0) {
                break;
            }
        }
        stage.minutes(2).await;
        next = Some((codes, self::left(&stage).await));
    }
    let transcript = redact(&stage.transcript.lock().unwrap());
    Row {
        strategy,
        fate,
        codes,
        minutes,
        verdict,
        production,
        test,
        left,
        next,
        transcript,
    }
}

/// Both listeners serve the old version.
fn old() -> (String, String) {
    ("old".to_owned(), "old".to_owned())
}

/// Runs a command, and beside it does what the fate has in store.
async fn watched(stage: &Stage, args: &str, eyes: &mut Eyes) -> Ran {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let command = stage.run(args);
    tokio::pin!(command);
    loop {
        tokio::select! {
            ran = &mut command => return ran,
            _ = second.tick() => {
                eyes.look(stage);
                eyes.act(stage).await;
            }
        }
    }
}

/// What both listeners have served so far, and what has been done.
struct Eyes {
    fate: Fate,
    production: Vec<String>,
    test: Vec<String>,
    rerouted: bool,
    done: bool,
}

impl Eyes {
    fn new(fate: Fate) -> Self {
        Self {
            fate,
            production: Vec::new(),
            test: Vec::new(),
            rerouted: false,
            done: false,
        }
    }

    fn look(&mut self, stage: &Stage) {
        let newest = newest(stage);
        let split = newest.is_some_and(|deployment| (1..100).contains(&deployment.shifted));
        // Twenty requests see a share of five percent, and are spread evenly.
        let times = if split { 20 } else { 1 };
        for (port, times, seen) in [(80, times, &mut self.production), (8080, 1, &mut self.test)] {
            let now = served(stage, port, times);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    }

    async fn act(&mut self, stage: &Stage) {
        let Some(newest) = newest(stage) else {
            return;
        };
        // Nobody gets through while the connection is lost.
        let reached = stage.sandbox.faults().chaos().is_none();
        if self.fate.is_rerouted() && !self.rerouted && reached && is_at(&newest, Moment::Ready) {
            // Whoever is throttled tries again.
            self.rerouted = meanwhile(stage, "reroute").await;
        }
        let due = self
            .fate
            .moment()
            .filter(|moment| !self.done && is_at(&newest, *moment));
        if due.is_none() {
            return;
        }
        self.done = match self.fate {
            Fate::StoppedAt(_) => meanwhile(stage, "stop").await,
            Fate::LeftAt(_) => meanwhile(stage, "stop --no-rollback").await,
            Fate::ConnectionLost => {
                Fate::cut_off(&stage.sandbox);
                true
            }
            _ => {
                stage.sandbox.faults().dials.alarms.push(ALARM.to_owned());
                true
            }
        };
    }
}

/// Runs a command in another terminal; whether it has done it.
async fn meanwhile(stage: &Stage, args: &str) -> bool {
    let ran = stage.surroundings().run(args).await;
    if ran.code == 0 {
        let mut transcript = stage.transcript.lock().unwrap();
        *transcript += &format!("(meanwhile) $ ecspipe {args}\n{}{}\n", ran.err, ran.out);
    }
    ran.code == 0
}

/// The deployment that somebody has made last.
fn newest(stage: &Stage) -> Option<Deployment> {
    let mut world = stage.sandbox.world();
    let deployments = world.at(REGION).codedeploy.deployments.values();
    let made = deployments.filter(|deployment| deployment.rollback.of.is_none());
    made.max_by_key(|deployment| deployment.number).cloned()
}

fn is_at(deployment: &Deployment, moment: Moment) -> bool {
    let runs = |name: &str| {
        let mut events = deployment.events.iter();
        events.any(|event| event.name == name && event.status == "InProgress")
    };
    match moment {
        Moment::Queued => matches!(deployment.phase, Phase::Created | Phase::Queued),
        Moment::Installing => runs("Install"),
        Moment::Ready => matches!(deployment.phase, Phase::Ready { .. }),
        Moment::Shifting => runs("AllowTraffic"),
        Moment::OldTasks => matches!(deployment.phase, Phase::Terminating { .. }),
    }
}

/// Which versions a listener serves: `80 old + 20 new`, in percent, where it is split.
fn served(stage: &Stage, port: u16, times: u32) -> String {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..times {
        let page = stage.page(port);
        let version = match page {
            page if page.starts_with("200 This is shop:1") => "old".to_owned(),
            page if page.starts_with("200 This is shop:2") => "new".to_owned(),
            page if page.starts_with("200 This is shop:3") => "next".to_owned(),
            page => page,
        };
        *seen.entry(version).or_default() += 1;
    }
    if let (1, Some(only)) = (seen.len(), seen.keys().next()) {
        return only.clone();
    }
    // "old" sorts behind "new".
    let each = seen.iter().rev();
    let each = each.map(|(version, count)| format!("{} {version}", count * 100 / times));
    each.collect::<Vec<_>>().join(" + ")
}

/// The line in which the command says how it ended, without what is before it.
fn verdict(ran: &Ran) -> String {
    let line = ran.err.lines().find(|line| {
        let ends = ["succeeded", "rolled back", "failed:", "stopped:", "error: "];
        ends.iter().any(|end| line.starts_with(end))
    });
    let refused = ran
        .err
        .lines()
        .skip_while(|line| !line.starts_with("error: "));
    let text = match ran.code {
        4 => refused.take(2).collect::<Vec<_>>().join(": "),
        _ => line.unwrap_or("none").to_owned(),
    };
    redact(&text).trim().to_owned()
}

async fn left(stage: &Stage) -> Left {
    let (sets, in_flight) = {
        let mut world = stage.sandbox.world();
        let region = world.at(REGION);
        let services = region.ecs.services.values();
        let sets = services.flat_map(|service| &service.sets);
        let mut sets: Vec<String> = sets.map(|set| set.status.clone()).collect();
        sets.sort_unstable();
        let over =
            |phase: &Phase| matches!(phase, Phase::Succeeded | Phase::Failed | Phase::Stopped);
        let mut deployments = region.codedeploy.deployments.values();
        let in_flight = deployments.any(|deployment| !over(&deployment.phase));
        (sets.join(" + "), in_flight)
    };
    Left {
        sets,
        in_flight,
        plan: stage.surroundings().run("plan --exit-code").await.code,
    }
}
