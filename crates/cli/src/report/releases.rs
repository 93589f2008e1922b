//! Releases as a table. Must not decide which one is live.

use ecspipe_deploy::{DeploymentStatus, Purpose, Release};

use crate::args::Global;
use crate::report::rollout::short_id;
use crate::report::style::Style;
use crate::world::World;

/// How much of an image's digest tells it from others.
const DIGEST: usize = 12;

/// Prints releases: the newest first, the live one marked.
pub(crate) fn releases(world: &World, global: &Global, releases: &[Release]) {
    let style = Style::of(world, global);
    if releases.is_empty() {
        return world.out("nothing was rolled out yet");
    }
    let head = [
        "",
        "revision",
        "ended",
        "when",
        "deployment",
        "image",
        "commit",
        "by",
    ];
    let rows: Vec<[String; 8]> = std::iter::once(head.map(ToOwned::to_owned))
        .chain(releases.iter().map(row))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        world.out(match at.checked_sub(1).map(|at| &releases[at]) {
            None => style.dim(line),
            Some(release) if release.live => style.good(line),
            Some(release) if is_bad(release) => style.bad(line),
            Some(_) => line.to_owned(),
        });
    }
}

fn row(release: &Release) -> [String; 8] {
    let text = |text: Option<&str>| text.unwrap_or("–").to_owned();
    let retired = if release.active { "" } else { " (retired)" };
    let revision = release
        .revision
        .map(|revision| format!("{revision}{retired}"));
    [
        if release.live { "→" } else { "" }.to_owned(),
        text(revision.as_deref()),
        ended(release),
        text(
            release
                .begun
                .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
                .as_deref(),
        ),
        text(release.deployment.as_deref()),
        text(release.image.as_deref().map(image).as_deref()),
        commit(release),
        text(release.by.as_deref().map(by)),
    ]
}

fn ended(release: &Release) -> String {
    let status = release.status.as_ref().map(|status| status.as_str());
    match (release.purpose, status) {
        (Purpose::First, _) => "with the service".to_owned(),
        (Purpose::Release, status) => status.unwrap_or("–").to_owned(),
        (Purpose::Rollback, status) => format!("{} (rollback)", status.unwrap_or("–")),
        (Purpose::AutomaticRollback, status) => {
            format!("{} (automatic rollback)", status.unwrap_or("–"))
        }
    }
}

fn is_bad(release: &Release) -> bool {
    matches!(
        release.status,
        Some(DeploymentStatus::Failed | DeploymentStatus::Stopped)
    )
}

/// The repository's last part with the tag, or with the beginning of the digest.
fn image(image: &str) -> String {
    let short = image.rsplit('/').next().unwrap_or(image);
    match short.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..DIGEST).unwrap_or(digest)),
        None => short.to_owned(),
    }
}

fn commit(release: &Release) -> String {
    let Some(commit) = &release.commit else {
        return "–".to_owned();
    };
    let message = release.message.as_deref().unwrap_or_default();
    let first = message.trim().lines().next().unwrap_or_default();
    format!("{} {first}", short_id(commit))
        .trim_end()
        .to_owned()
}

/// The name at the end of a caller's ARN: of an assumed role it is the session's.
fn by(by: &str) -> &str {
    by.rsplit(['/', ':']).next().unwrap_or(by)
}
