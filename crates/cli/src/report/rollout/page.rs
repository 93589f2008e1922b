//! A rollout as one page of HTML that needs nothing from outside: timeline, traffic and tasks over time, reason, events, links.
//! Pure. Must not fetch, fold or judge anything.

use std::fmt::Write as _;

use ecspipe_deploy::{Listener, Timestamp};

use super::course::{self, Course, Series, Span, Told};
use super::picture::{Picture, Said, State};
use super::{Tone, Words};
use crate::report::console_links::Link;
use crate::report::style;

/// What a page shows.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The app.
    pub(crate) app: &'a str,
    /// Where it is: region and account.
    pub(crate) place: &'a str,
    /// How it stands, in words.
    pub(crate) words: &'a Words,
    /// What was seen.
    pub(crate) picture: &'a Picture,
    /// Every event.
    pub(crate) told: &'a [Told],
    /// Consoles; empty on a sandbox, which has none.
    pub(crate) links: &'a [Link],
    /// When the page is written, on the account's clock.
    pub(crate) now: Timestamp,
}

/// The drawings' width in their own units; they grow and shrink with the window.
const WIDTH: f64 = 960.0;
/// Where time begins and ends in them.
const LEFT: f64 = 210.0;
const RIGHT: f64 = 940.0;
/// A row of the timeline.
const ROW: f64 = 24.0;

const STYLE: &str = include_str!("page.css");

/// The page.
pub(crate) fn page(page: &Page<'_>) -> String {
    let mut html =
        String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    let title = format!("{}: {}", page.app, page.words.line);
    // Should anything of what AWS or a task says ever get through as markup, it still can load and run nothing.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let _ = write!(
        html,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&title)
    );
    head(&mut html, page);
    if let Some(clock) = Clock::of(page) {
        timeline(&mut html, page, &clock);
        traffic(&mut html, page, &clock);
        tasks(&mut html, page, &clock);
    }
    if let Some(said) = &page.picture.said {
        log(&mut html, said);
    }
    events(&mut html, page.told);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn head(html: &mut String, page: &Page<'_>) {
    let tone = match page.words.tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Waiting => "wait",
    };
    let _ = write!(
        html,
        "<header>\n<h1>{}</h1>\n<p class=\"verdict {tone}\" id=\"verdict\">{}</p>\n",
        escape(page.app),
        escape(&page.words.line)
    );
    if !page.words.details.is_empty() {
        html.push_str("<ul class=\"details\">\n");
        for detail in &page.words.details {
            let _ = writeln!(html, "<li>{}</li>", escape(detail));
        }
        html.push_str("</ul>\n");
    }
    if let Some(next) = &page.words.next {
        let _ = writeln!(html, "<p class=\"next\">{}</p>", escape(next));
    }
    html.push_str("<dl>\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    };
    row("Where", page.place);
    if let Some(execution) = &page.picture.execution {
        row("Pipeline execution", &execution.id);
        for revision in &execution.revisions {
            let summary = revision
                .summary
                .as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty());
            let summary = summary.map(|text| format!(" {text}")).unwrap_or_default();
            row(
                &escape(&revision.action),
                &format!("{}{summary}", revision.id),
            );
        }
    }
    for deployment in &page.picture.deployments {
        let name = match deployment.rolls_back {
            Some(_) => "Rollback",
            None => "Deployment",
        };
        let of = deployment.task_definition.as_deref().map(super::short_arn);
        let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
        row(
            name,
            &format!("{}{of}: {}", deployment.id, deployment.status),
        );
    }
    if let Some(Clock { from, to }) = Clock::of(page) {
        let begun = from.strftime("%Y-%m-%d %H:%M:%S");
        row(
            "Time",
            &format!("{begun} to {} ({})", moment(to), lasted(from, to)),
        );
    }
    html.push_str("</dl>\n");
    if !page.links.is_empty() {
        html.push_str("<nav>Consoles:");
        for link in page.links {
            let (url, name) = (escape(&link.url), escape(&link.name));
            let _ = write!(html, " <a href=\"{url}\" rel=\"noreferrer\">{name}</a>");
        }
        html.push_str("</nav>\n");
    }
    html.push_str("</header>\n");
}

/// From when to when the drawings reach, and where in them a moment is.
struct Clock {
    from: Timestamp,
    to: Timestamp,
}

impl Clock {
    /// `None` before anything has happened.
    fn of(page: &Page<'_>) -> Option<Self> {
        let from = page.picture.begun?;
        let is_over = page
            .picture
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.is_final());
        let to = if is_over {
            page.picture.last.unwrap_or(page.now)
        } else {
            page.now
        };
        let least = from
            .saturating_add(std::time::Duration::from_secs(1))
            .unwrap_or(from);
        Some(Self {
            from,
            to: to.max(least),
        })
    }

    fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64().max(0.001)
    }

    fn x(&self, at: Timestamp) -> f64 {
        let part = at.duration_since(self.from).as_secs_f64() / self.seconds();
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Lines for round times since the beginning, with what they say below.
    fn grid(&self, top: f64, bottom: f64) -> String {
        const STEPS: [u32; 16] = [
            1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 604_800,
        ];
        let fits = |step: &&u32| self.seconds() / f64::from(**step) <= 8.0;
        let step = f64::from(*STEPS.iter().find(fits).unwrap_or(&604_800));
        let mut svg = String::new();
        let mut at = 0.0;
        while at <= self.seconds() {
            let x = LEFT + at / self.seconds() * (RIGHT - LEFT);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                short(at)
            );
            at += step;
        }
        svg
    }
}

fn timeline(html: &mut String, page: &Page<'_>, clock: &Clock) {
    let spans = course::spans(page.picture, page.told);
    if spans.is_empty() {
        return;
    }
    let bottom = 8.0 + ROW * spans.len() as f64;
    let mut svg = clock.grid(4.0, bottom);
    for (row, span) in spans.iter().enumerate() {
        svg.push_str(&bar(span, 8.0 + ROW * row as f64, clock));
    }
    section(html, "timeline", "Timeline", "", &svg, bottom + 24.0);
}

fn bar(span: &Span, top: f64, clock: &Clock) -> String {
    let class = match &span.course {
        Course::Wait => "wait",
        Course::Step(State::Done) => "good",
        Course::Step(State::Failed) => "bad",
        Course::Step(State::Open) => "open",
        Course::Step(State::Other(_)) => "other",
    };
    let word = match (&span.course, span.to) {
        (Course::Step(State::Failed), _) => " failed".to_owned(),
        (Course::Step(State::Other(word)), _) => format!(" {word}"),
        (_, None) => " so far".to_owned(),
        _ => String::new(),
    };
    let to = span.to.unwrap_or(clock.to);
    let (from_x, to_x) = (clock.x(span.from), clock.x(to));
    let wide = (to_x - from_x).max(3.0);
    let took = format!("{}{word}", lasted(span.from, to));
    // Where the bar ends too far right, its time stands before it.
    let (text_x, anchor) = match from_x + wide + 90.0 < RIGHT {
        true => (from_x + wide + 6.0, "start"),
        false => (from_x - 6.0, "end"),
    };
    let indent = if span.of.is_empty() { 0.0 } else { 12.0 };
    let whole = format!(
        "{} {}: {} to {}, {took}",
        span.of,
        span.name,
        moment(span.from),
        moment(to)
    );
    format!(
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <rect class=\"bar {class}\" x=\"{from_x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"3\"><title>{}</title></rect>\
         <text class=\"took\" x=\"{text_x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        4.0 + indent,
        top + ROW * 0.66,
        escape(&span.name),
        top + 4.0,
        ROW - 8.0,
        escape(whole.trim()),
        top + ROW * 0.66,
        escape(&took)
    )
}

fn traffic(html: &mut String, page: &Page<'_>, clock: &Clock) {
    let production = course::share(page.told, Listener::Production);
    let test = course::share(page.told, Listener::Test);
    if production.is_empty() {
        return;
    }
    let scale = Scale {
        top: 10.0,
        bottom: 150.0,
        most: 100,
    };
    let mut svg = clock.grid(scale.top, scale.bottom);
    svg.push_str(&scale.grid(&[0, 25, 50, 75, 100], " %"));
    svg.push_str(&area(&production, clock, &scale));
    svg.push_str(&line(&production, "new", clock, &scale));
    svg.push_str(&line(&test, "test", clock, &scale));
    let key = "<span class=\"key new\"></span>production <span class=\"key test\"></span>test";
    section(
        html,
        "traffic",
        "Requests that the new tasks get",
        key,
        &svg,
        scale.bottom + 24.0,
    );
}

fn tasks(html: &mut String, page: &Page<'_>, clock: &Clock) {
    let [old, new] = course::running(page.told);
    let most = old
        .iter()
        .chain(&new)
        .map(|(_, tasks)| *tasks)
        .max()
        .unwrap_or(0);
    if most == 0 {
        return;
    }
    let step = (most + 3) / 4;
    let scale = Scale {
        top: 10.0,
        bottom: 130.0,
        most: most.div_euclid(step) * step + if most % step == 0 { 0 } else { step },
    };
    let steps: Vec<i64> = (0..=scale.most / step).map(|at| at * step).collect();
    let mut svg = clock.grid(scale.top, scale.bottom);
    svg.push_str(&scale.grid(&steps, ""));
    // Dashes over a line: where both are the same, both are seen.
    svg.push_str(&line(&new, "new", clock, &scale));
    svg.push_str(&line(&old, "old", clock, &scale));
    let key = "<span class=\"key old\"></span>old <span class=\"key new\"></span>new";
    section(
        html,
        "tasks",
        "Tasks that run",
        key,
        &svg,
        scale.bottom + 24.0,
    );
}

/// Where in a drawing a number is.
struct Scale {
    top: f64,
    bottom: f64,
    most: i64,
}

impl Scale {
    fn y(&self, value: i64) -> f64 {
        let part = value.clamp(0, self.most) as f64 / self.most.max(1) as f64;
        self.bottom - part * (self.bottom - self.top)
    }

    fn grid(&self, values: &[i64], unit: &str) -> String {
        let each = values.iter().map(|value| {
            let y = self.y(*value);
            format!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}{unit}</text>",
                LEFT - 8.0,
                y + 4.0
            )
        });
        each.collect()
    }
}

/// A value stays until the next one comes: a line in steps.
fn line(series: &Series, class: &str, clock: &Clock, scale: &Scale) -> String {
    match steps(series, clock, scale) {
        Some(path) => format!("<path class=\"line {class}\" d=\"{path}\"/>"),
        None => String::new(),
    }
}

fn area(series: &Series, clock: &Clock, scale: &Scale) -> String {
    let (Some(path), Some((first, _))) = (steps(series, clock, scale), series.first()) else {
        return String::new();
    };
    let (bottom, from, to) = (scale.bottom, clock.x(*first), clock.x(clock.to));
    format!("<path class=\"area\" d=\"{path} L{to:.1} {bottom:.1} L{from:.1} {bottom:.1} Z\"/>")
}

fn steps(series: &Series, clock: &Clock, scale: &Scale) -> Option<String> {
    let (first, value) = series.first()?;
    let mut path = format!("M{:.1} {:.1}", clock.x(*first), scale.y(*value));
    for (at, value) in &series[1..] {
        let _ = write!(path, " H{:.1} V{:.1}", clock.x(*at), scale.y(*value));
    }
    let _ = write!(path, " H{:.1}", clock.x(clock.to));
    Some(path)
}

fn section(html: &mut String, id: &str, title: &str, key: &str, svg: &str, height: f64) {
    let key = match key {
        "" => String::new(),
        key => format!("<p class=\"keys\">{key}</p>\n"),
    };
    let _ = write!(
        html,
        "<section id=\"{id}\">\n<h2>{title}</h2>\n{key}<div class=\"drawing\">\
         <svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>\
         </div>\n</section>\n"
    );
}

fn log(html: &mut String, said: &Said) {
    let lines = said.lines.iter().map(|line| escape(line.trim_end()));
    let _ = write!(
        html,
        "<section id=\"log\">\n<h2>{}</h2>\n<pre>{}</pre>\n</section>\n",
        escape(super::log_title(&said.source).trim_end_matches(':')),
        lines.collect::<Vec<_>>().join("\n")
    );
}

fn events(html: &mut String, told: &[Told]) {
    html.push_str("<section id=\"events\">\n<h2>Events</h2>\n<table>\n<tbody>\n");
    for one in told {
        let Some(text) = &one.text else { continue };
        let time = one.at.strftime("%H:%M:%S");
        let _ = writeln!(
            html,
            "<tr><td><time datetime=\"{}\">{time}</time></td><td>{}</td></tr>",
            one.at,
            escape(text.trim())
        );
    }
    html.push_str("</tbody>\n</table>\n</section>\n");
}

/// Text as markup holds it; what isn't text at all (a task may write anything) is a dot.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in console::strip_ansi_codes(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('·'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn lasted(from: Timestamp, to: Timestamp) -> String {
    std::time::Duration::try_from(to.duration_since(from))
        .map(style::span)
        .unwrap_or_default()
}

fn short(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0 => "0".to_owned(),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
