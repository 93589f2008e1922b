//! What can befall a rollout, and what must come of it whatever the product says. Must not run anything.

use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::faults::{Behaviour, Chaos, Course, Rule, Strike, TaskFault, Trouble};

/// The alarm that the spec declares, on the target group that the new tasks get.
pub(super) const ALARM: &str = "web-http-5xx-blue";

/// What happens to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Succeeds,
    TestHookFails,
    LastHookFails,
    AlarmAlready,
    AlarmAt(Moment),
    TasksCrash,
    NeverHealthy,
    CannotPull,
    NotInRepository,
    StoppedAt(Moment),
    LeftAt(Moment),
    NobodyReroutes,
    ConnectionLost,
    Throttled,
}

/// Where a rollout is when somebody or something does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Made, but not begun.
    Queued,
    /// The new tasks are being made.
    Installing,
    /// It waits for `reroute`.
    Ready,
    /// Production is split, or, all at once, has just gone over.
    Shifting,
    /// The new version has production, the old tasks are kept.
    OldTasks,
}

const MOMENTS: [Moment; 5] = [
    Moment::Queued,
    Moment::Installing,
    Moment::Ready,
    Moment::Shifting,
    Moment::OldTasks,
];

/// In what state the account is to be afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The new version alone.
    New,
    /// The old version alone.
    Old,
    /// As it was at that moment.
    Left(Moment),
}

/// All of them.
pub(super) fn fates() -> Vec<Fate> {
    let mut fates = vec![
        Fate::Succeeds,
        Fate::TestHookFails,
        Fate::LastHookFails,
        Fate::AlarmAlready,
    ];
    fates.extend(MOMENTS[1..].iter().map(|moment| Fate::AlarmAt(*moment)));
    fates.extend([
        Fate::TasksCrash,
        Fate::NeverHealthy,
        Fate::CannotPull,
        Fate::NotInRepository,
    ]);
    fates.extend(MOMENTS.map(Fate::StoppedAt));
    fates.extend(MOMENTS.map(Fate::LeftAt));
    fates.extend([Fate::NobodyReroutes, Fate::ConnectionLost, Fate::Throttled]);
    fates
}

impl Fate {
    /// In words.
    pub(super) fn name(self) -> String {
        let text = match self {
            Self::Succeeds => "succeeds",
            Self::TestHookFails => "the hook after the test traffic fails",
            Self::LastHookFails => "the hook after the production traffic fails",
            Self::AlarmAlready => "an alarm fires already",
            Self::TasksCrash => "the tasks crash",
            Self::NeverHealthy => "the tasks never get healthy",
            Self::CannotPull => "the image can't be pulled",
            Self::NotInRepository => "the image isn't in the repository",
            Self::NobodyReroutes => "nobody reroutes in time",
            Self::ConnectionLost => "the operator's connection is lost, and watch resumed",
            Self::Throttled => "AWS throttles",
            Self::AlarmAt(moment) => return format!("an alarm fires {}", moment.name()),
            Self::StoppedAt(moment) => return format!("stopped {}", moment.name()),
            Self::LeftAt(moment) => return format!("stopped {}, without rollback", moment.name()),
        };
        text.to_owned()
    }

    /// Whether it is told in the same words every time: the SDK waits by chance before it asks again.
    pub(super) fn is_told_alike(self) -> bool {
        self != Self::Throttled
    }

    /// The moment at which somebody or something does something.
    pub(super) fn moment(self) -> Option<Moment> {
        match self {
            Self::AlarmAt(moment) | Self::StoppedAt(moment) | Self::LeftAt(moment) => Some(moment),
            Self::ConnectionLost => Some(Moment::Installing),
            _ => None,
        }
    }

    /// Whether somebody lets it go on at Ready.
    pub(super) fn is_rerouted(self) -> bool {
        self != Self::NobodyReroutes
            && (self == Self::ConnectionLost || self.moment() != Some(Moment::Ready))
    }

    pub(super) fn image(self) -> &'static str {
        match self {
            Self::NotInRepository => "111122223333.dkr.ecr.eu-central-1.amazonaws.com/web:2",
            _ => "shop:2",
        }
    }

    /// What is wrong from the beginning on.
    pub(super) fn prepare(self, sandbox: &Sandbox) {
        let mut faults = sandbox.faults();
        let mut functions = |name: &str| {
            let log = vec!["1 of 3 orders was not found".to_owned()];
            let fails = Behaviour(Course::Fail { after: 3, log });
            faults.dials.functions.insert(name.to_owned(), fails);
        };
        match self {
            Self::TestHookFails => functions("web-smoke"),
            Self::LastHookFails => functions("web-accept"),
            _ => {}
        }
        let trouble = match self {
            Self::TasksCrash => Some(Trouble::Crash {
                exit_code: 3,
                after: 5,
                log: vec!["panic: no database".to_owned()],
            }),
            Self::NeverHealthy => Some(Trouble::Unhealthy {
                status: 503,
                log: vec!["still warming up".to_owned()],
            }),
            Self::CannotPull => Some(Trouble::CannotPull {
                why: Default::default(),
            }),
            _ => None,
        };
        let tasks = &mut faults.dials.tasks;
        tasks.extend(trouble.map(|trouble| ("shop:2".to_owned(), TaskFault::new(trouble))));
        if self == Self::AlarmAlready {
            faults.dials.alarms.push(ALARM.to_owned());
        }
        if self == Self::Throttled {
            // What comes before a rollout is asked for once; then it is followed.
            faults.add(Rule {
                service: None,
                operation: None,
                skip: 40,
                times: 60,
                strike: Strike::Throttle,
            });
        }
    }

    /// No call gets through any more.
    pub(super) fn cut_off(sandbox: &Sandbox) {
        let always = Chaos {
            reset: 1000,
            at_most: u32::MAX,
            ..Chaos::calm(0)
        };
        sandbox.faults().set_chaos(Some(always));
    }

    /// The exit codes of `deploy` and of each `watch` after it (DESIGN.md §5).
    pub(super) fn codes(self) -> &'static [u8] {
        match self {
            Self::Succeeds | Self::Throttled => &[0],
            Self::AlarmAlready | Self::NotInRepository => &[4],
            Self::ConnectionLost => &[1, 0],
            _ => &[6],
        }
    }

    pub(super) fn end(self) -> End {
        match self {
            Self::Succeeds | Self::Throttled | Self::ConnectionLost => End::New,
            // Nothing was made yet.
            Self::LeftAt(Moment::Queued) => End::Old,
            Self::LeftAt(moment) => End::Left(moment),
            _ => End::Old,
        }
    }

    /// What the last word must name.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::TestHookFails => "hook AfterAllowTestTraffic failed",
            Self::LastHookFails => "hook AfterAllowTraffic failed",
            Self::AlarmAlready | Self::AlarmAt(_) => "web-http-5xx-blue",
            Self::TasksCrash => "container web ended with exit code 3",
            Self::NeverHealthy => "health checks",
            Self::CannotPull => "CannotPull",
            Self::NotInRepository => "there is no image",
            Self::StoppedAt(_) | Self::LeftAt(_) => "stopped on request",
            Self::NobodyReroutes => "not rerouted within the wait",
            Self::Succeeds | Self::ConnectionLost | Self::Throttled => {
                "succeeded: production serves web:3"
            }
        }
    }
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "before it begins",
            Self::Installing => "while the new tasks are made",
            Self::Ready => "while it is ready",
            Self::Shifting => "while production shifts",
            Self::OldTasks => "while the old tasks are kept",
        }
    }
}
