//! A picture of a rollout as lines of text that fit a screen. Pure: no clock, no terminal. Must not fold events.

use console::{measure_text_width, truncate_str};
use ecspipe_deploy::{Label, TaskSetStatus, Timestamp, Wait};

use super::picture::{Before, Deployment, Picture, Stage, State, Step, TaskSet, Traffic, Waiting};
use super::{log_title, short_arn, short_id, started_by, targets, waiting};
use crate::report::style::{self, Style};

/// What the lines are to fit into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Characters in a line.
    pub(crate) width: usize,
    /// Lines.
    pub(crate) height: usize,
}

/// The widest that a line gets: on a wider screen the eye loses the way from a name to its time.
const WIDEST: usize = 120;

/// How much is said of what is over. Tried in this order until the lines fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Everything.
    Full,
    /// Lifecycle events that ended well share a line.
    Short,
    /// So do stages, and only the last words of a log are shown.
    Least,
}

/// The lines, `now`.
pub(crate) fn tree(picture: &Picture, size: Size, now: Timestamp, style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    for detail in [Detail::Full, Detail::Short, Detail::Least] {
        let draw = Draw {
            picture,
            width: size.width.min(WIDEST),
            now,
            style,
            detail,
        };
        lines = draw.lines();
        if lines.len() <= size.height {
            return lines;
        }
    }
    // What goes on is below what is over.
    lines.split_off(lines.len() - size.height)
}

struct Draw<'a> {
    picture: &'a Picture,
    width: usize,
    now: Timestamp,
    style: &'a Style,
    detail: Detail,
}

/// A line of the tree with what hangs below it.
struct Node {
    text: String,
    /// At the line's right end.
    right: String,
    below: Vec<Node>,
}

impl Node {
    fn leaf(text: String, right: String) -> Self {
        Self {
            text,
            right,
            below: Vec::new(),
        }
    }
}

impl Draw<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for root in self.roots() {
            lines.push(self.fit(&root.text, &root.right));
            self.branches(&root.below, "", &mut lines);
        }
        lines.extend(self.traffic());
        lines.extend(self.said());
        lines
    }

    /// The pipeline, or what stands in its place.
    fn roots(&self) -> Vec<Node> {
        let picture = self.picture;
        let (own, rollbacks): (Vec<_>, Vec<_>) = picture
            .deployments
            .iter()
            .partition(|deployment| deployment.rolls_back.is_none());
        let mut own: Vec<Node> = own
            .into_iter()
            .map(|deployment| self.deployment(deployment))
            .collect();
        let mut roots = match &picture.execution {
            Some(_) => vec![self.pipeline(own)],
            None => std::mem::take(&mut own),
        };
        roots.extend(
            rollbacks
                .into_iter()
                .map(|deployment| self.deployment(deployment)),
        );
        if roots.is_empty() {
            roots.extend(self.before());
        }
        roots
    }

    fn before(&self) -> Option<Node> {
        let text = match self.picture.before? {
            Before::Files => "deployment files are in S3".to_owned(),
            Before::Push(until) => {
                format!(
                    "waiting for the pipeline to start by itself{}",
                    self.until(Some(until))
                )
            }
            Before::Definition => "task definition registered".to_owned(),
        };
        Some(Node::leaf(
            format!("{} {text}", self.style.change("…")),
            self.lasted(self.picture.begun, None),
        ))
    }

    fn pipeline(&self, deployments: Vec<Node>) -> Node {
        let Some(execution) = &self.picture.execution else {
            return Node::leaf(String::new(), String::new());
        };
        let by = execution
            .trigger
            .as_ref()
            .map(|trigger| format!("  {}", started_by(trigger)))
            .unwrap_or_default();
        let status = execution
            .status
            .as_ref()
            .filter(|status| status.as_str() != "InProgress")
            .map(|status| format!("  {status}"))
            .unwrap_or_default();
        let id = self.style.strong(&execution.id);
        let mut below: Vec<Node> = Vec::new();
        let mut over = Vec::new();
        for stage in &execution.stages {
            if self.detail == Detail::Least && stage.step.state == State::Done {
                over.push(stage.step.name.as_str());
                continue;
            }
            below.extend(self.over(&mut over));
            below.push(self.stage(stage));
        }
        below.extend(self.over(&mut over));
        // The deployment belongs to the stage that made it: the one reached last.
        match below.last_mut() {
            Some(stage) => stage.below.extend(deployments),
            None => below.extend(deployments),
        }
        if let Some(wait) = self.pipeline_wait() {
            below.push(wait);
        }
        Node {
            text: format!("pipeline {id}{by}{status}"),
            right: self.lasted(self.picture.begun, self.over_at()),
            below,
        }
    }

    /// Steps that ended well, in one line.
    fn over(&self, names: &mut Vec<&str>) -> Option<Node> {
        let names = std::mem::take(names);
        if names.is_empty() {
            return None;
        }
        let text = format!("{} {}", self.style.good("✓"), names.join(", "));
        Some(Node::leaf(text, String::new()))
    }

    fn stage(&self, stage: &Stage) -> Node {
        let revisions = match stage.step.name.as_str() {
            "Source" => self.revisions(),
            _ => String::new(),
        };
        let told = |action: &&Step| {
            let alone = action.name == stage.step.name || stage.step.name == "Source";
            !(alone && action.why.is_none())
        };
        let below = stage
            .actions
            .iter()
            .filter(|action| self.detail < Detail::Least || action.state != State::Done)
            .filter(told)
            .map(|action| self.step(action, ""))
            .collect();
        Node {
            below,
            ..self.step(&stage.step, &revisions)
        }
    }

    fn revisions(&self) -> String {
        let revisions = self
            .picture
            .execution
            .iter()
            .flat_map(|execution| &execution.revisions);
        let each = revisions.map(|revision| {
            let summary = revision
                .summary
                .as_deref()
                .filter(|text| !text.contains(&revision.id))
                .and_then(|text| text.trim().lines().next())
                .map(|text| format!(" {text:?}"))
                .unwrap_or_default();
            format!("{} {}{summary}", revision.action, short_id(&revision.id))
        });
        each.collect::<Vec<_>>().join(", ")
    }

    fn step(&self, step: &Step, more: &str) -> Node {
        let style = self.style;
        let word = match &step.state {
            State::Other(word) => format!(" {word}"),
            State::Failed => format!(" {}", style.bad("failed")),
            State::Open | State::Done => String::new(),
        };
        let why = step
            .why
            .as_deref()
            .map(|why| format!(": {}", one_line(why)))
            .unwrap_or_default();
        let name = match step.state {
            State::Open => style.strong(&step.name),
            State::Other(_) => style.dim(&step.name),
            _ => step.name.clone(),
        };
        let gap = if more.is_empty() { "" } else { "  " };
        Node::leaf(
            format!("{} {name}{word}{why}{gap}{more}", self.mark(&step.state)),
            self.lasted(step.begun, step.ended),
        )
    }

    fn mark(&self, state: &State) -> String {
        match state {
            State::Open => self.style.note("▸"),
            State::Done => self.style.good("✓"),
            State::Failed => self.style.bad("✗"),
            State::Other(_) => self.style.dim("·"),
        }
    }

    fn deployment(&self, deployment: &Deployment) -> Node {
        let definition = deployment
            .task_definition
            .as_deref()
            .map(|arn| format!(" of {}", short_arn(arn)))
            .unwrap_or_default();
        let what = match deployment.rolls_back {
            Some(_) => format!("{} rollback", self.style.bad("↩")),
            None => format!("{} deployment", self.mark(&deployment.state())),
        };
        let state = match deployment.state() {
            State::Open => String::new(),
            _ => format!("  {}", deployment.status),
        };
        let why = deployment
            .why
            .as_deref()
            .map(|why| format!(": {}", one_line(why)))
            .unwrap_or_default();
        let id = self.style.strong(&deployment.id);
        let mut below = self.lifecycle(deployment);
        below.extend(self.deployment_wait(deployment));
        // A rollback shows what has become of them.
        let mut rollbacks = self.picture.deployments.iter();
        let is_superseded = rollbacks.any(|rollback| {
            rollback.rolls_back.as_ref() == Some(&deployment.id) && !rollback.task_sets.is_empty()
        });
        below.extend(
            deployment
                .task_sets
                .iter()
                .filter(|_| !is_superseded)
                .filter(|set| self.detail == Detail::Full || !set.gone)
                .map(|set| self.task_set(set, deployment.failures)),
        );
        Node {
            text: format!("{what} {id}{definition}{state}{why}"),
            right: self.lasted(Some(deployment.begun), deployment.ended),
            below,
        }
    }

    fn lifecycle(&self, deployment: &Deployment) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut over = Vec::new();
        for event in &deployment.events {
            match &event.state {
                State::Done if self.detail > Detail::Full => {
                    over.push(event.name.as_str());
                    continue;
                }
                // A hook that isn't there.
                State::Other(word) if word == "Skipped" && event.why.is_none() => continue,
                _ => {}
            }
            nodes.extend(self.over(&mut over));
            nodes.push(self.step(event, ""));
        }
        nodes.extend(self.over(&mut over));
        nodes
    }

    /// What the deployment waits for, where no step says it.
    fn deployment_wait(&self, deployment: &Deployment) -> Option<Node> {
        let wait = self.waiting()?;
        let of = match &wait.wait {
            Wait::Reroute { deployment }
            | Wait::Checks { deployment }
            | Wait::Traffic { deployment }
            | Wait::OldTasks { deployment }
            | Wait::RollbackStart { deployment } => deployment,
            _ => return None,
        };
        (*of == deployment.id).then(|| self.wait(wait)).flatten()
    }

    fn pipeline_wait(&self) -> Option<Node> {
        let wait = self.waiting()?;
        matches!(
            wait.wait,
            Wait::Pipeline | Wait::PipelineApproval { .. } | Wait::Status { .. }
        )
        .then(|| self.wait(wait))
        .flatten()
    }

    /// What is waited for, unless it is over.
    fn waiting(&self) -> Option<&Waiting> {
        let is_over = self.over_at().is_some();
        self.picture.wait.as_ref().filter(|_| !is_over)
    }

    fn wait(&self, wait: &Waiting) -> Option<Node> {
        // What stands around it says the rest.
        let words = match &wait.wait {
            Wait::Reroute { .. } => "waiting for `ecspipe reroute`".to_owned(),
            Wait::Checks { .. } => "waiting for the checks".to_owned(),
            Wait::Traffic { .. } => "shifting production traffic".to_owned(),
            wait => waiting(wait)?,
        };
        let text = format!(
            "{} {}{}",
            self.style.change("…"),
            self.style.change(&words),
            self.until(wait.until)
        );
        Some(Node::leaf(text, self.lasted(Some(wait.since), None)))
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        let Some(until) = until else {
            return String::new();
        };
        let time = until.strftime("%H:%M:%S");
        match std::time::Duration::try_from(until.duration_since(self.now)) {
            Ok(left) => format!(" until {time} ({} left)", about(left)),
            Err(_) => format!(" until {time}"),
        }
    }

    fn task_set(&self, set: &TaskSet, failures: u32) -> Node {
        let side = match &set.label {
            Some(Label::Blue) => "old tasks",
            Some(Label::Green) => "new tasks",
            _ => "tasks",
        };
        if set.gone || (set.desired == 0 && set.running == 0) {
            return Node::leaf(self.style.dim(&format!("{side}  gone")), String::new());
        }
        let health = set.target_group.as_deref();
        let health = health.and_then(|group| self.picture.health.get(group));
        let health = match health {
            // A group that no listener forwards to isn't checked.
            Some(health) if health.total > 0 => match health.total - health.healthy {
                0 => ", healthy".to_owned(),
                _ => self.style.change(&format!(", {} healthy", health.healthy)),
            },
            _ => String::new(),
        };
        let failed = match (&set.label, failures) {
            (Some(Label::Green), 1..) => self.style.bad(&format!(", {failures} failed")),
            _ => String::new(),
        };
        let live = match set.status {
            Some(TaskSetStatus::Primary) => self.style.good("  live"),
            _ => String::new(),
        };
        let definition = set.task_definition.as_deref().map(short_arn);
        let what: Vec<&str> = definition
            .into_iter()
            .chain(set.target_group.as_deref())
            .collect();
        let bar = bar(set.running, set.desired, 10);
        let bar = match set.running >= set.desired {
            true => self.style.good(&bar),
            false => self.style.change(&bar),
        };
        Node::leaf(
            format!(
                "{side}  {bar} {} of {} running{health}{failed}{live}  {}",
                set.running,
                set.desired,
                self.style.dim(&what.join(" in "))
            ),
            String::new(),
        )
    }

    /// A line a listener.
    fn traffic(&self) -> Vec<String> {
        let listeners = [
            ("production", &self.picture.production),
            ("test", &self.picture.test),
        ];
        listeners
            .into_iter()
            .filter(|(_, traffic)| !traffic.routes.is_empty())
            .map(|(name, traffic)| self.listener(name, traffic))
            .collect()
    }

    fn listener(&self, name: &str, traffic: &Traffic) -> String {
        let name = self.style.strong(&format!("{name:<10}"));
        let Some(percent) = self.picture.share(traffic) else {
            return self.fit(&format!("{name}  → {}", targets(&traffic.routes)), "");
        };
        // The words are as long in every line, so that the bars are.
        let words = "old 100 %  new 100 %".len();
        let width = self.width.saturating_sub(10 + 2 + 2 + words).clamp(10, 50);
        let new = usize::from(percent.min(100)) * width / 100;
        let new = if percent > 0 { new.max(1) } else { 0 };
        let new = if percent < 100 {
            new.min(width - 1)
        } else {
            new
        };
        let style = self.style;
        let bar = format!(
            "{}{}",
            style.note(&"█".repeat(new)),
            style.dim(&"░".repeat(width - new))
        );
        let old = 100 - percent.min(100);
        self.fit(
            &format!("{name}  {bar}  new {percent:>3} %  old {old:>3} %"),
            "",
        )
    }

    fn said(&self) -> Vec<String> {
        let Some(said) = &self.picture.said else {
            return Vec::new();
        };
        let most = if self.detail == Detail::Least { 3 } else { 10 };
        let last = &said.lines[said.lines.len().saturating_sub(most)..];
        let lines = last
            .iter()
            .map(|line| format!("{} {}", self.style.dim("│"), one_line(line)));
        std::iter::once(log_title(&said.source))
            .chain(lines)
            .map(|line| self.fit(&line, ""))
            .collect()
    }

    fn branches(&self, nodes: &[Node], indent: &str, lines: &mut Vec<String>) {
        for (at, node) in nodes.iter().enumerate() {
            let is_last = at + 1 == nodes.len();
            let (branch, deeper) = if is_last {
                ("└─", "  ")
            } else {
                ("├─", "│ ")
            };
            let start = self.style.dim(&format!("{indent}{branch}"));
            lines.push(self.fit(&format!("{start} {}", node.text), &node.right));
            self.branches(&node.below, &format!("{indent}{deeper} "), lines);
        }
    }

    /// A line of at most the width, with `right` at its end where it has room.
    fn fit(&self, text: &str, right: &str) -> String {
        let wide = measure_text_width(right);
        let room = match wide {
            0 => self.width,
            wide => self.width.saturating_sub(wide + 2),
        };
        let text = truncate_str(text, room, "…");
        if wide == 0 {
            return text.trim_end().to_owned();
        }
        let gap = self.width.saturating_sub(measure_text_width(&text) + wide);
        format!("{text}{}{}", " ".repeat(gap), self.style.dim(right))
    }

    /// When the whole was over.
    fn over_at(&self) -> Option<Timestamp> {
        let is_over = self
            .picture
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.is_final());
        self.picture.last.filter(|_| is_over)
    }

    fn lasted(&self, begun: Option<Timestamp>, ended: Option<Timestamp>) -> String {
        let Some(begun) = begun else {
            return String::new();
        };
        let span = ended.unwrap_or(self.now).duration_since(begun);
        std::time::Duration::try_from(span)
            .map(whole)
            .unwrap_or_default()
    }
}

/// `7 s`, `2 min 05 s`, `1 h 02 min`: what changes at each look need not be more exact than the looks.
fn whole(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds @ 0..10 => format!("{seconds} s"),
        seconds @ 3600.. => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => style::span(span),
    }
}

/// The same in minutes where that is near enough.
fn about(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds @ 600..3600 => format!("{} min", seconds / 60),
        _ => whole(span),
    }
}

fn bar(part: i64, whole: i64, width: usize) -> String {
    let (part, whole) = (part.max(0).unsigned_abs(), whole.max(1).unsigned_abs());
    let full = usize::try_from(part.min(whole) * width as u64 / whole).unwrap_or(width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// What AWS says may have several lines, and what a task says may try to move the cursor.
fn one_line(text: &str) -> String {
    let text = console::strip_ansi_codes(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    text.chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ecspipe_deploy::Event;
    use snapbox::{IntoData as _, assert_data_eq, str};

    use super::*;
    use crate::args::Args;

    /// A rollout as `--format json` has told it.
    const CANARY: &str = include_str!("testdata/canary.jsonl");
    const CRASH: &str = include_str!("testdata/crash.jsonl");

    /// The tree of a told rollout after so many seconds.
    fn at(told: &str, seconds: i64, width: usize, height: usize) -> String {
        use clap::Parser as _;
        let mut picture = Picture::default();
        let mut now = None;
        for line in told.lines() {
            let event: Event = serde_json::from_str(line).unwrap();
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let at: Timestamp = line["at"].as_str().unwrap().parse().unwrap();
            let begun = *now.get_or_insert(at);
            if at.duration_since(begun).as_secs() > seconds {
                break;
            }
            picture.take(at, &event);
        }
        let after = std::time::Duration::from_secs(seconds.unsigned_abs());
        let now = now.unwrap().saturating_add(after).unwrap();
        let world =
            crate::world::World::for_test("/".into(), Default::default(), Default::default());
        let args = Args::try_parse_from(["ecspipe", "status"]).unwrap();
        let style = Style::of(&world, &args.global);
        let lines = tree(&picture, Size { width, height }, now, &style);
        assert!(lines.len() <= height);
        for line in &lines {
            assert!(measure_text_width(line) <= width, "{line}");
        }
        lines.join("\n") + "\n"
    }

    #[test]
    fn before_there_is_anything_to_follow() {
        assert_data_eq!(
            at(CANARY, 2, 80, 40),
            str![[r#"
… waiting for the pipeline to start by itself until 12:00:30 (28 s left)     2 s

"#]]
            .raw()
        );
    }

    #[test]
    fn a_build_in_eighty_columns() {
        assert_data_eq!(
            at(CANARY, 50, 80, 40),
            str![[r#"
pipeline 0f4c2a51-6f0e-4c1b-9a53-1d5c7e0b9a42  started by event rule web-…  50 s
├─ ✓ Source  Source 3f1c09ab "a new page, with a long line that says why …  10 s
└─ ▸ Build                                                                  30 s
production  → web-blue
test        → web-blue

"#]]
            .raw()
        );
    }

    #[test]
    fn ready_in_eighty_columns() {
        assert_data_eq!(
            at(CANARY, 200, 80, 40),
            str![[r#"
pipeline 0f4c2a51-6f0e-4c1b-9a53-1d5c7e0b9a42  started by event rul…  3 min 20 s
├─ ✓ Source  Source 3f1c09ab "a new page, with a long line that says why …  10 s
├─ ✓ Build                                                                  55 s
└─ ▸ Deploy                                                           2 min 00 s
   └─ ▸ deployment d-A1B2C3D4E of web:12                                   115 s
      ├─ ✓ Install                                                          40 s
      ├─ ✓ AllowTestTraffic                                                  5 s
      ├─ … waiting for `ecspipe reroute` until 13:02:30 (59 min left)       50 s
      ├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:11 in web-blue
      └─ new tasks  ██████████ 2 of 2 running, healthy  web:12 in web-green
production  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
test        ██████████████████████████████████████████████  new 100 %  old   0 %

"#]]
            .raw()
        );
    }

    #[test]
    fn a_shift_in_a_hundred_and_sixty_columns() {
        assert_data_eq!(at(CANARY, 400, 160, 40), str![[r#"
pipeline 0f4c2a51-6f0e-4c1b-9a53-1d5c7e0b9a42  started by event rule web-source                               6 min 40 s
├─ ✓ Source  Source 3f1c09ab "a new page, with a long line that says why it is better than the old one ever was",…  10 s
├─ ✓ Build                                                                                                          55 s
└─ ▸ Deploy                                                                                                   5 min 20 s
   └─ ▸ deployment d-A1B2C3D4E of web:12                                                                      5 min 15 s
      ├─ ✓ Install                                                                                                  40 s
      ├─ ✓ AllowTestTraffic                                                                                          5 s
      ├─ ▸ AllowTraffic                                                                                             95 s
      ├─ … shifting production traffic until 12:10:05 (3 min 25 s left)                                             95 s
      ├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:11 in web-blue
      └─ new tasks  ██████████ 2 of 2 running, healthy  web:12 in web-green
production  ██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new  20 %  old  80 %
test        ██████████████████████████████████████████████████  new 100 %  old   0 %

"#]].raw());
    }

    /// What is over is said more shortly, so that what goes on has room.
    #[test]
    fn a_shift_on_a_low_screen() {
        assert_data_eq!(
            at(CANARY, 400, 80, 12),
            str![[r#"
pipeline 0f4c2a51-6f0e-4c1b-9a53-1d5c7e0b9a42  started by event rul…  6 min 40 s
├─ ✓ Source  Source 3f1c09ab "a new page, with a long line that says why …  10 s
├─ ✓ Build                                                                  55 s
└─ ▸ Deploy                                                           5 min 20 s
   └─ ▸ deployment d-A1B2C3D4E of web:12                              5 min 15 s
      ├─ ✓ Install, AllowTestTraffic
      ├─ ▸ AllowTraffic                                                     95 s
      ├─ … shifting production traffic until 12:10:05 (3 min 25 s left)     95 s
      ├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:11 in web-blue
      └─ new tasks  ██████████ 2 of 2 running, healthy  web:12 in web-green
production  █████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new  20 %  old  80 %
test        ██████████████████████████████████████████████  new 100 %  old   0 %

"#]]
            .raw()
        );
        assert_data_eq!(
            at(CANARY, 400, 80, 6),
            str![[r#"
      ├─ ▸ AllowTraffic                                                     95 s
      ├─ … shifting production traffic until 12:10:05 (3 min 25 s left)     95 s
      ├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:11 in web-blue
      └─ new tasks  ██████████ 2 of 2 running, healthy  web:12 in web-green
production  █████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new  20 %  old  80 %
test        ██████████████████████████████████████████████  new 100 %  old   0 %

"#]]
            .raw()
        );
    }

    #[test]
    fn an_end() {
        assert_data_eq!(
            at(CANARY, 2000, 80, 40),
            str![[r#"
pipeline 0f4c2a51-6f0e-4c1b-9a53-1d5c7e0b9a42  started by event ru…  15 min 50 s
├─ ✓ Source  Source 3f1c09ab "a new page, with a long line that says why …  10 s
├─ ✓ Build                                                                  55 s
└─ ✓ Deploy                                                          14 min 30 s
   └─ ✓ deployment d-A1B2C3D4E of web:12  Succeeded                  14 min 20 s
      ├─ ✓ Install                                                          40 s
      ├─ ✓ AllowTestTraffic                                                  5 s
      ├─ ✓ AllowTraffic                                               5 min 10 s
      ├─ old tasks  gone
      └─ new tasks  ██████████ 2 of 2 running, healthy  live  web:12 in web-gre…
production  ██████████████████████████████████████████████  new 100 %  old   0 %
test        ██████████████████████████████████████████████  new 100 %  old   0 %

"#]]
            .raw()
        );
    }

    #[test]
    fn tasks_that_crash_in_eighty_columns() {
        assert_data_eq!(
            at(CRASH, 80, 80, 40),
            str![[r#"
▸ deployment d-F6G7H8J9K of web:13                                          78 s
├─ ▸ Install                                                                75 s
├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:12 in web-green
└─ new tasks  █████░░░░░ 1 of 2 running, 2 failed  web:13 in web-blue
production  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
test        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
web in task 7c1d0a52 said last:
│ INFO web 4.2.0 starts
│ INFO listening on 0.0.0.0:80
│ ERROR can't reach the database at db.internal.example.com:5432 (connection re…
│ ERROR shutting down

"#]]
            .raw()
        );
        assert_data_eq!(
            at(CRASH, 130, 80, 40),
            str![[r#"
· deployment d-F6G7H8J9K of web:13  Stopped: The deployment was stopped …  113 s
├─ ✗ Install failed: The deployment was stopped. Its replacement task se…  110 s
├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:12 in web-green
└─ new tasks  █████░░░░░ 1 of 2 running, 3 failed  web:13 in web-blue
↩ rollback d-L0M1N2P3Q of web:12                                             5 s
production  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
test        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
web in task 7c1d0a52 said last:
│ INFO web 4.2.0 starts
│ INFO listening on 0.0.0.0:80
│ ERROR can't reach the database at db.internal.example.com:5432 (connection re…
│ ERROR shutting down

"#]]
            .raw()
        );
        assert_data_eq!(
            at(CRASH, 130, 80, 9),
            str![[r#"
├─ old tasks  ██████████ 2 of 2 running, healthy  live  web:12 in web-green
└─ new tasks  █████░░░░░ 1 of 2 running, 3 failed  web:13 in web-blue
↩ rollback d-L0M1N2P3Q of web:12                                             5 s
production  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
test        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
web in task 7c1d0a52 said last:
│ INFO listening on 0.0.0.0:80
│ ERROR can't reach the database at db.internal.example.com:5432 (connection re…
│ ERROR shutting down

"#]]
            .raw()
        );
        assert_data_eq!(
            at(CRASH, 200, 80, 40),
            str![[r#"
· deployment d-F6G7H8J9K of web:13  Stopped: The deployment was stopped …  113 s
└─ ✗ Install failed: The deployment was stopped. Its replacement task se…  110 s
↩ rollback d-L0M1N2P3Q of web:12  Succeeded                                 30 s
├─ ✓ AllowTraffic
└─ old tasks  ██████████ 2 of 2 running, healthy  live  web:12 in web-green
production  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
test        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  new   0 %  old 100 %
web in task 7c1d0a52 said last:
│ INFO web 4.2.0 starts
│ INFO listening on 0.0.0.0:80
│ ERROR can't reach the database at db.internal.example.com:5432 (connection re…
│ ERROR shutting down

"#]]
            .raw()
        );
    }
}
