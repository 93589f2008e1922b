//! The built-in builder: takes a build through CodeBuild's phases and builds a container image out of a Dockerfile. It runs
//! no command and says so in the log.
//!
//! What it needs to know it gets by environment variables, which is the contract of ecspipe's buildspec: `REPOSITORY_URI`
//! (where the image goes), `DOCKERFILE` and `CONTEXT` (paths in the source; `Dockerfile` and `.`), `PLATFORM`. The tag
//! stands for the source version and these settings; one that the repository has already is reused with its digest. The artifact
//! holds the files that the buildspec's `artifacts` names: `imageDetail.json` and `imagedefinitions.json` are written, others
//! are taken from the source. Must not answer API calls; that is `crate::services::codebuild`.

pub(crate) mod archive;
mod buildspec;
mod dockerfile;
mod glob;
mod role;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::archive::Files;
use self::buildspec::Buildspec;
use crate::clock::{self, Millis};
use crate::faults::{self, BuildEnd};
use crate::runtime::{Content, Image};
use crate::services::codebuild::{Build, Phase, Status};
use crate::services::{ecr, logs, s3};
use crate::wire::{Call, Http, Input as _, Protocol, Reply};
use crate::world::{Wake, World};

/// The phases and how long each takes in milliseconds: a small container build on a small machine, about a minute in all.
const PHASES: [(&str, Millis); 11] = [
    ("SUBMITTED", 0),
    ("QUEUED", 1_000),
    ("PROVISIONING", 8_000),
    ("DOWNLOAD_SOURCE", 3_000),
    ("INSTALL", 1_000),
    ("PRE_BUILD", 6_000),
    ("BUILD", 34_000),
    ("POST_BUILD", 1_000),
    ("UPLOAD_ARTIFACTS", 3_000),
    ("FINALIZING", 3_000),
    ("COMPLETED", 0),
];

/// The tag of the layer cache in ecspipe's buildspec.
const CACHE: &str = "buildcache";

/// How a phase went wrong: CodeBuild's code, and what happened.
#[derive(Debug)]
struct Failure {
    code: &'static str,
    message: String,
}

/// Where an image goes.
struct Target {
    uri: String,
    repository: String,
    tag: String,
}

/// Puts a new build into its first phase.
pub(crate) fn begin(world: &mut World, region: &str, id: &str) {
    let Some(mut build) = take(world, region, id) else {
        return;
    };
    enter(world, region, &mut build, "SUBMITTED");
    keep(world, region, build);
}

/// Takes the build through every phase that is due.
pub(crate) fn wake(world: &mut World, region: &str, id: &str) {
    let Some(mut build) = take(world, region, id) else {
        return;
    };
    while build.ended.is_none()
        && build
            .phases
            .last()
            .is_some_and(|phase| phase.due <= world.now)
    {
        finish_phase(world, region, &mut build);
    }
    keep(world, region, build);
}

/// Stops a build that still runs.
pub(crate) fn stop(world: &mut World, region: &str, id: &str) {
    let Some(mut build) = take(world, region, id) else {
        return;
    };
    if build.ended.is_none() {
        build.status = Status::Stopped;
        close_phase(world, region, &mut build, Status::Stopped, None);
        complete(world, region, &mut build);
    }
    keep(world, region, build);
}

fn take(world: &mut World, region: &str, id: &str) -> Option<Build> {
    world.at(region).codebuild.builds.remove(id)
}

fn keep(world: &mut World, region: &str, build: Build) {
    world
        .at(region)
        .codebuild
        .builds
        .insert(build.id.clone(), build);
}

/// Does the running phase's work, closes it and enters the next one.
fn finish_phase(world: &mut World, region: &str, build: &mut Build) {
    let Some(kind) = build.phases.last().map(|phase| phase.kind.clone()) else {
        return;
    };
    if let Some(end) =
        faults::of_project(&world.dials.builds, &build.project).filter(|end| end.phase() == kind)
    {
        return end_badly(world, region, build, &kind, &end);
    }
    let next = match perform(world, region, build, &kind) {
        Ok(()) => {
            close_phase(world, region, build, Status::Succeeded, None);
            PHASES
                .iter()
                .skip_while(|(name, _)| *name != kind)
                .nth(1)
                .map(|(name, _)| *name)
        }
        Err(failure) => {
            note(world, region, build, &failure.message);
            build.status = Status::Failed;
            close_phase(
                world,
                region,
                build,
                Status::Failed,
                Some((failure.code.to_owned(), failure.message)),
            );
            Some("FINALIZING")
        }
    };
    match next {
        Some("COMPLETED") | None => {
            if build.status == Status::InProgress {
                build.status = Status::Succeeded;
            }
            complete(world, region, build);
        }
        Some(next) => enter(world, region, build, next),
    }
}

/// Does in a phase what is dialled instead of its work.
fn end_badly(world: &mut World, region: &str, build: &mut Build, kind: &str, end: &BuildEnd) {
    let due = build.started + build.limit(kind);
    if matches!(end, BuildEnd::Hang { .. }) && world.now < due {
        if let Some(phase) = build.phases.last_mut() {
            phase.due = due;
        }
        world.wake_at(due, region, Wake::Build(build.id.clone()));
        return say(world, region, build, end.log());
    }
    let (status, code, message) = match end {
        BuildEnd::Fail { message, .. } => {
            (Status::Failed, "COMMAND_EXECUTION_ERROR", message.clone())
        }
        BuildEnd::Fault { .. } => (
            Status::Fault,
            "INTERNAL_SERVICE_ERROR",
            "CodeBuild experienced an internal error".to_owned(),
        ),
        BuildEnd::Hang { .. } => (
            Status::TimedOut,
            "BUILD_TIMED_OUT",
            "Build has timed out.".to_owned(),
        ),
    };
    if !matches!(end, BuildEnd::Hang { .. }) {
        say(world, region, build, end.log());
    }
    build.status = status;
    let context = Some((code.to_owned(), message));
    close_phase(world, region, build, status, context);
    match kind {
        "QUEUED" | "PROVISIONING" | "FINALIZING" => complete(world, region, build),
        _ => enter(world, region, build, "FINALIZING"),
    }
}

/// Lines of the build's own.
fn say(world: &mut World, region: &str, build: &Build, lines: &[String]) {
    for line in lines {
        log(world, region, build, line);
    }
}

fn enter(world: &mut World, region: &str, build: &mut Build, kind: &str) {
    let span = PHASES
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or(0, |(_, span)| *span);
    let now = world.now;
    let phase = Phase {
        kind: kind.to_owned(),
        start: now,
        due: now + span,
        end: None,
        status: Status::InProgress,
        context: None,
    };
    build.phases.push(phase);
    if !matches!(kind, "SUBMITTED" | "QUEUED" | "PROVISIONING") {
        log(
            world,
            region,
            build,
            &format!("[Container] {} Entering phase {kind}", clock::iso(now)),
        );
    }
    world.wake_at(now + span, region, Wake::Build(build.id.clone()));
}

fn close_phase(
    world: &mut World,
    region: &str,
    build: &mut Build,
    status: Status,
    context: Option<(String, String)>,
) {
    let now = world.now;
    let Some(phase) = build.phases.last_mut() else {
        return;
    };
    phase.end = Some(now);
    phase.status = status;
    phase.context = context.clone();
    let kind = phase.kind.clone();
    if matches!(kind.as_str(), "SUBMITTED" | "QUEUED" | "PROVISIONING") {
        return;
    }
    let state = status.wire();
    let (code, message) = context.unwrap_or_default();
    let time = clock::iso(now);
    log(
        world,
        region,
        build,
        &format!("[Container] {time} Phase complete: {kind} State: {state}"),
    );
    log(
        world,
        region,
        build,
        &format!("[Container] {time} Phase context status code: {code} Message: {message}"),
    );
}

/// Ends the build and tells the pipeline.
fn complete(world: &mut World, region: &str, build: &mut Build) {
    let now = world.now;
    build.phases.push(Phase {
        kind: "COMPLETED".to_owned(),
        start: now,
        due: now,
        end: None,
        status: build.status,
        context: None,
    });
    build.ended = Some(now);
    build.source = Content::default();
    if let Some(pipeline) = &build.pipeline {
        world.wake_at(now, region, Wake::Pipeline(pipeline.clone()));
    }
}

/// A phase's work.
fn perform(world: &mut World, region: &str, build: &mut Build, kind: &str) -> Result<(), Failure> {
    match kind {
        "PROVISIONING" => role::open_log(world, region, build),
        "DOWNLOAD_SOURCE" => {
            role::download(world, region, build)?;
            note(
                world,
                region,
                build,
                "this is the ecspipe sandbox's builder: it reads the buildspec and the Dockerfile, and runs no command",
            );
            read_source(build).map(|_| ())
        }
        "INSTALL" => list_commands(world, region, build, kind),
        "PRE_BUILD" => {
            list_commands(world, region, build, kind)?;
            log_in(world, region, build)
        }
        "BUILD" => {
            list_commands(world, region, build, kind)?;
            build_image(world, region, build)
        }
        "POST_BUILD" => {
            list_commands(world, region, build, kind)?;
            export(build)
        }
        "UPLOAD_ARTIFACTS" => upload(world, region, build),
        _ => Ok(()),
    }
}

/// The source's files and the buildspec.
fn read_source(build: &Build) -> Result<(Files, Buildspec), Failure> {
    let unreadable = |why: String| Failure {
        code: "CLIENT_ERROR",
        message: format!("cannot unpack the source: {why}"),
    };
    let files = archive::read(&build.source.0).map_err(unreadable)?;
    let missing = || Failure {
        code: "YAML_FILE_ERROR",
        message: "YAML file does not exist".to_owned(),
    };
    let inline = build
        .buildspec
        .as_deref()
        .filter(|text| text.contains('\n'));
    let text = match inline {
        Some(text) => text.to_owned(),
        None => {
            let path = dockerfile::normal(build.buildspec.as_deref().unwrap_or("buildspec.yml"));
            String::from_utf8_lossy(files.get(&path).ok_or_else(missing)?).into_owned()
        }
    };
    let buildspec = buildspec::parse(&text).map_err(|message| Failure {
        code: "YAML_FILE_ERROR",
        message,
    })?;
    Ok((files, buildspec))
}

/// Every command of the phase goes to the log as what it is: not run.
fn list_commands(
    world: &mut World,
    region: &str,
    build: &Build,
    kind: &str,
) -> Result<(), Failure> {
    let (_, buildspec) = read_source(build)?;
    for command in buildspec
        .commands
        .get(&kind.to_lowercase())
        .into_iter()
        .flatten()
    {
        let first = command.trim().lines().next().unwrap_or_default().to_owned();
        note(world, region, build, &format!("not run: {first}"));
    }
    Ok(())
}

/// A build that pushes an image logs in to its registry first.
fn log_in(world: &World, region: &str, build: &Build) -> Result<(), Failure> {
    let (_, buildspec) = read_source(build)?;
    match variables(build, &buildspec).contains_key("REPOSITORY_URI") {
        true => role::log_in(world, region, build),
        false => Ok(()),
    }
}

/// Builds and pushes the image, or takes the one that the tag names already.
fn build_image(world: &mut World, region: &str, build: &mut Build) -> Result<(), Failure> {
    let (files, buildspec) = read_source(build)?;
    let variables = variables(build, &buildspec);
    let target = target(world, region, build, &variables)?;
    role::look_up(world, region, build, &target.repository)?;
    if let Some(digest) = pushed_digest(world, region, &target) {
        note(
            world,
            region,
            build,
            &format!(
                "{}:{} is there already: its digest {digest} is used again",
                target.uri, target.tag
            ),
        );
        build.image = Some(format!("{}@{digest}", target.uri));
        return Ok(());
    }
    let caches = buildspec.mentions("--cache-to");
    if caches {
        import_cache(world, region, build, &target);
    }
    let image = interpret(world, region, build, &files, &variables)?;
    let digest = push(world, region, build, &target, &target.tag, image.clone())?;
    if caches {
        // The cache is an image of its own, which holds the layers of every stage.
        let cache = Image {
            base: CACHE.to_owned(),
            root: None,
            ports: Vec::new(),
            ..image
        };
        push(world, region, build, &target, CACHE, cache)?;
    }
    note(
        world,
        region,
        build,
        &format!("pushed {}:{} digest: {digest}", target.uri, target.tag),
    );
    build.image = Some(format!("{}@{digest}", target.uri));
    Ok(())
}

/// Asks for the permissions of a push, and pushes; answers the digest.
fn push(
    world: &mut World,
    region: &str,
    build: &Build,
    target: &Target,
    tag: &str,
    image: Image,
) -> Result<String, Failure> {
    let place = format!("{}:{tag}", target.uri);
    role::push(world, region, build, &target.repository, &place)?;
    ecr::push(world, region, &target.repository, tag, image).map_err(|fault| {
        command(&format!(
            "failed to push {place}: {}: {}",
            fault.code, fault.message
        ))
    })
}

/// Takes the layers of earlier builds, if there are any. buildx goes on without them.
fn import_cache(world: &mut World, region: &str, build: &Build, target: &Target) {
    let place = format!("{}:{CACHE}", target.uri);
    let line = match role::pull(world, region, build, &target.repository) {
        Err(why) => format!("ERROR importing cache manifest from {place}: {why}"),
        Ok(()) => match ecr::pull(world, &place) {
            Some(Ok(_)) => format!("importing cache manifest from {place}"),
            _ => format!("ERROR importing cache manifest from {place}: not found"),
        },
    };
    note(world, region, build, &line);
}

fn interpret(
    world: &mut World,
    region: &str,
    build: &Build,
    files: &Files,
    variables: &BTreeMap<String, String>,
) -> Result<Image, Failure> {
    let path = dockerfile::normal(
        variables
            .get("DOCKERFILE")
            .map_or("Dockerfile", String::as_str),
    );
    let folder = dockerfile::normal(variables.get("CONTEXT").map_or(".", String::as_str));
    let text = files.get(&path).ok_or_else(|| {
        docker(&format!(
            "failed to solve: failed to read dockerfile: open {path}: no such file or directory"
        ))
    })?;
    let context: Files = match folder.as_str() {
        "" => files.clone(),
        folder => {
            let prefix = format!("{folder}/");
            files
                .iter()
                .filter_map(|(path, content)| {
                    Some((path.strip_prefix(&prefix)?.to_owned(), content.clone()))
                })
                .collect()
        }
    };
    if context.is_empty() {
        return Err(docker(&format!(
            "unable to prepare context: path \"{folder}\" not found"
        )));
    }
    let pull = |uri: &str| {
        let found = ecr::pull(world, uri)?;
        let repository = ecr::repository_of(uri);
        let asked = role::pull(world, region, build, repository);
        Some(asked.map_err(|why| format!("{uri}: {why}")).and(found))
    };
    let built = dockerfile::build(&String::from_utf8_lossy(text), &context, &pull)
        .map_err(|message| docker(&message))?;
    for line in &built.notes {
        note(world, region, build, line);
    }
    // `linux/arm64`, `linux/arm64/v8`, or several of these with commas.
    let platforms = variables.get("PLATFORM").map(String::as_str);
    let processor = |platform: &str| platform.split('/').nth(1).map(ToOwned::to_owned);
    Ok(Image {
        architectures: platforms
            .into_iter()
            .flat_map(|platforms| platforms.split(','))
            .filter_map(processor)
            .collect(),
        ..built.image
    })
}

/// Where the image goes, by `REPOSITORY_URI`, and its tag, by the source's version.
fn target(
    world: &World,
    region: &str,
    build: &Build,
    variables: &BTreeMap<String, String>,
) -> Result<Target, Failure> {
    let uri = variables.get("REPOSITORY_URI").cloned().ok_or_else(|| {
        command("the sandbox's builder builds container images only, and REPOSITORY_URI, the ECR repository to push to, is not set")
    })?;
    let host = format!("{}.dkr.ecr.{region}.", world.account);
    let repository = uri
        .split_once('/')
        .filter(|(registry, _)| registry.starts_with(&host))
        .map(|(_, name)| name.to_owned());
    let repository = repository.ok_or_else(|| {
        command(&format!(
            "REPOSITORY_URI {uri} is not a repository of this account's registry in {region}"
        ))
    })?;
    let tag = tag(&build.resolved_version, variables);
    if build.resolved_version.is_empty() {
        return Err(command(
            "CODEBUILD_RESOLVED_SOURCE_VERSION is not set: the build has no source that has a version",
        ));
    }
    Ok(Target {
        uri,
        repository,
        tag,
    })
}

/// One tag for a commit and what it is built with, as ecspipe's buildspec makes it: 64 characters of the version, and eight of
/// the SHA-256 of platform, Dockerfile and context, each with a line end.
fn tag(version: &str, variables: &BTreeMap<String, String>) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    };
    let version: String = version.chars().take(64).map(legal).collect();
    let get = |name: &str, default: &str| {
        variables
            .get(name)
            .map_or_else(|| default.to_owned(), Clone::clone)
    };
    let settings = format!(
        "{}\n{}\n{}\n",
        get("PLATFORM", ""),
        get("DOCKERFILE", "Dockerfile"),
        get("CONTEXT", ".")
    );
    format!("{version}-{}", &hex::encode(Sha256::digest(settings))[..8])
}

/// The digest that the tag has already.
fn pushed_digest(world: &mut World, region: &str, target: &Target) -> Option<String> {
    let call = Call {
        protocol: Protocol::Json,
        service: "ecr".to_owned(),
        operation: "DescribeImages".to_owned(),
        region: region.to_owned(),
        access_key: "codebuild".to_owned(),
        input: json!({ "repositoryName": target.repository, "imageIds": [{ "imageTag": target.tag }] }),
        http: Http::default(),
    };
    match ecr::call(world, &call) {
        Ok(Reply::Value(answer)) => answer
            .list("imageDetails")
            .first()?
            .text("imageDigest")
            .map(ToOwned::to_owned),
        _ => None,
    }
}

/// Sets the variables that the buildspec exports.
fn export(build: &mut Build) -> Result<(), Failure> {
    let (_, buildspec) = read_source(build)?;
    let image = build.image.clone().unwrap_or_default();
    let mut variables = variables(build, &buildspec);
    variables.insert(
        "IMAGE_DIGEST".to_owned(),
        image.rsplit('@').next().unwrap_or_default().to_owned(),
    );
    variables.insert("IMAGE_URI".to_owned(), image);
    variables.retain(|name, _| buildspec.exported.contains(name));
    build.exported = variables;
    Ok(())
}

/// Zips the files that the buildspec names and puts them where the build's artifact goes.
fn upload(world: &mut World, region: &str, build: &Build) -> Result<(), Failure> {
    let Some((bucket, key)) = build.output.clone() else {
        return Ok(());
    };
    let (mut files, buildspec) = read_source(build)?;
    files.extend(made(build, &buildspec));
    let mut artifact = Files::new();
    for pattern in &buildspec.files {
        let pattern = dockerfile::normal(pattern);
        let matching: Vec<(String, Vec<u8>)> = files
            .iter()
            .filter(|(path, _)| glob::matches(&pattern, path))
            .map(|(path, content)| (path.clone(), content.clone()))
            .collect();
        if matching.is_empty() {
            let message = format!(
                "no matching artifact paths found: {pattern} is neither in the source nor a file that the sandbox's builder makes"
            );
            return Err(Failure {
                code: "CLIENT_ERROR",
                message,
            });
        }
        artifact.extend(matching);
    }
    let zip = archive::write(&artifact).map_err(|message| Failure {
        code: "CLIENT_ERROR",
        message,
    })?;
    note(
        world,
        region,
        build,
        &format!(
            "artifact: {}",
            artifact.keys().cloned().collect::<Vec<_>>().join(", ")
        ),
    );
    role::upload(world, region, build, &bucket, &key)?;
    s3::put(world, &bucket, &key, zip)
        .map(|_| ())
        .map_err(|fault| Failure {
            code: "CLIENT_ERROR",
            message: format!(
                "Error in UPLOAD_ARTIFACTS phase: {}: {}",
                fault.code, fault.message
            ),
        })
}

/// The files that a container build's buildspec writes.
fn made(build: &Build, buildspec: &Buildspec) -> Files {
    let Some(image) = &build.image else {
        return Files::new();
    };
    let mut files = Files::from([(
        "imageDetail.json".to_owned(),
        json!({ "ImageURI": image }).to_string().into_bytes(),
    )]);
    if let Some(container) = variables(build, buildspec).get("CONTAINER_NAME") {
        let definitions = json!([{ "name": container, "imageUri": image }]);
        files.insert(
            "imagedefinitions.json".to_owned(),
            definitions.to_string().into_bytes(),
        );
    }
    files
}

/// The buildspec's variables, overridden by those of the project and the build.
fn variables(build: &Build, buildspec: &Buildspec) -> BTreeMap<String, String> {
    let mut variables = buildspec.variables.clone();
    variables.extend(build.variables.clone());
    variables
}

/// A command that would have failed.
fn command(message: &str) -> Failure {
    Failure {
        code: "COMMAND_EXECUTION_ERROR",
        message: message.to_owned(),
    }
}

fn docker(message: &str) -> Failure {
    command(&format!(
        "Error while executing command: docker buildx build. ERROR: {message}. Reason: exit status 1"
    ))
}

fn note(world: &mut World, region: &str, build: &Build, message: &str) {
    log(world, region, build, &format!("[Sandbox] {message}"));
}

fn log(world: &mut World, region: &str, build: &Build, message: &str) {
    if let Some((group, stream)) = &build.log
        && role::may_log(world, region, build)
    {
        logs::append(world, region, group, stream, message);
    }
}
