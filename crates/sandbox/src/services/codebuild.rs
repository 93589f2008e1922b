//! CodeBuild: projects and builds as the API shows them. What a build does is `crate::build`. Must not interpret a
//! buildspec or a Dockerfile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{codecommit, iam, s3};
use crate::clock::{self, Millis};
use crate::runtime::Content;
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Region, Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "BatchGetBuilds",
    "BatchGetProjects",
    "CreateProject",
    "DeleteProject",
    "ListBuilds",
    "ListBuildsForProject",
    "ListProjects",
    "StartBuild",
    "StopBuild",
    "UpdateProject",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) projects: BTreeMap<String, Project>,
    pub(crate) builds: BTreeMap<String, Build>,
    /// Which build an `idempotencyToken` started.
    tokens: BTreeMap<String, String>,
}

/// One project: what was given, with AWS's defaults filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Project {
    settings: Map<String, Value>,
    created: Millis,
    modified: Millis,
    builds: u64,
}

impl Project {
    pub(crate) fn tags(&self) -> Tags {
        let list = self.settings.get("tags").and_then(Value::as_array);
        let pair = |tag: &Value| {
            Some((
                tag.text("key")?.to_owned(),
                tag.text("value").unwrap_or_default().to_owned(),
            ))
        };
        list.into_iter().flatten().filter_map(pair).collect()
    }
}

/// One build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) id: String,
    pub(crate) project: String,
    number: u64,
    pub(crate) started: Millis,
    pub(crate) ended: Option<Millis>,
    pub(crate) status: Status,
    pub(crate) phases: Vec<Phase>,
    /// The source's zip; dropped when the build ends.
    pub(crate) source: Content,
    /// Bucket and key that the source comes from.
    #[serde(default)]
    pub(crate) source_place: Option<(String, String)>,
    /// The CodeCommit repository that it comes from.
    #[serde(default)]
    pub(crate) source_repository: Option<String>,
    source_version: Option<String>,
    /// The commit or object version that the source is; empty where there is no source.
    pub(crate) resolved_version: String,
    /// The environment variables: those of the build before those of the project.
    pub(crate) variables: BTreeMap<String, String>,
    /// Inline text of the buildspec, or the path of one in the source. `None`: `buildspec.yml`.
    pub(crate) buildspec: Option<String>,
    /// Bucket and key of the output artifact.
    pub(crate) output: Option<(String, String)>,
    /// The pipeline to wake at the end.
    pub(crate) pipeline: Option<String>,
    initiator: String,
    /// Log group and stream, unless logs are off.
    pub(crate) log: Option<(String, String)>,
    /// The project's settings when the build began.
    settings: Map<String, Value>,
    /// What the built image is called by digest, once it is pushed.
    pub(crate) image: Option<String>,
    pub(crate) exported: BTreeMap<String, String>,
}

impl Build {
    /// The ARN of the role that the build acts with.
    pub(crate) fn role(&self) -> &str {
        let role = self.settings.get("serviceRole").and_then(Value::as_str);
        role.unwrap_or_default()
    }

    /// How long it may take, or wait in the queue, in minutes.
    pub(crate) fn limit(&self, phase: &str) -> Millis {
        let (member, default) = match phase {
            "QUEUED" => ("queuedTimeoutInMinutes", 480),
            _ => ("timeoutInMinutes", 60),
        };
        let given = self.settings.get(member).and_then(Value::as_i64);
        given.unwrap_or(default) * 60_000
    }

    /// The part of the id after the project.
    pub(crate) fn uuid(&self) -> &str {
        self.id.rsplit(':').next().unwrap_or_default()
    }
}

/// How a build or a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    InProgress,
    Succeeded,
    Failed,
    Fault,
    TimedOut,
    Stopped,
}

impl Status {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

/// One phase of a build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) kind: String,
    pub(crate) start: Millis,
    /// When its work is done.
    pub(crate) due: Millis,
    pub(crate) end: Option<Millis>,
    pub(crate) status: Status,
    /// Code and message of what went wrong.
    pub(crate) context: Option<(String, String)>,
}

/// What a pipeline asks a build for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BuildRequest {
    /// The input artifact's zip.
    pub(crate) source: Content,
    /// Bucket and key of the input artifact.
    pub(crate) source_place: (String, String),
    /// The commit or version that it is.
    pub(crate) source_version: String,
    /// Variables of the pipeline's action; they override the project's.
    pub(crate) variables: BTreeMap<String, String>,
    /// Bucket and key of the output artifact.
    pub(crate) output: Option<(String, String)>,
    /// The pipeline to wake when the build ends.
    pub(crate) pipeline: String,
}

/// `ListProjects`, `ListBuilds` and `ListBuildsForProject` give at most this many.
const PAGE: usize = 100;

/// The tags of a project.
pub(crate) fn tags(region: &Region, name: &str) -> Option<Tags> {
    Some(region.codebuild.projects.get(name)?.tags())
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "BatchGetBuilds" => batch_get_builds(world, call),
        "BatchGetProjects" => batch_get_projects(world, call),
        "CreateProject" => create_project(world, call),
        "DeleteProject" => delete_project(world, call),
        "ListBuilds" => list_builds(world, call),
        "ListBuildsForProject" => list_builds_for_project(world, call),
        "ListProjects" => list_projects(world, call),
        "StartBuild" => start_build(world, call),
        "StopBuild" => stop_build(world, call),
        "UpdateProject" => update_project(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Starts a build for a pipeline: `source` is the input artifact's zip, `variables` override the project's, `output` is where
/// (bucket, key) the output artifact goes. Answers the build's id; `crate::pipeline` is woken when it ends.
pub(crate) fn start(
    world: &mut World,
    region: &str,
    project: &str,
    request: &BuildRequest,
) -> Result<String, Fault> {
    let begin = Begin {
        source: request.source.clone(),
        source_place: Some(request.source_place.clone()),
        source_repository: None,
        resolved_version: request.source_version.clone(),
        source_version: None,
        variables: request.variables.clone(),
        output: request.output.clone(),
        pipeline: Some(request.pipeline.clone()),
        initiator: format!("codepipeline/{}", request.pipeline),
        buildspec: None,
    };
    begin_build(world, region, project, begin)
}

/// A build's status and, where it failed, the reason: `IN_PROGRESS`, `SUCCEEDED`, `FAILED`, `STOPPED`, `TIMED_OUT`, `FAULT`.
pub(crate) fn status(world: &World, region: &str, build: &str) -> Option<(String, Option<String>)> {
    let build = world.regions.get(region)?.codebuild.builds.get(build)?;
    let reason = build
        .phases
        .iter()
        .find_map(|phase| phase.context.as_ref())
        .map(|(_, message)| message.clone());
    Some((build.status.wire().to_owned(), reason))
}

/// The variables that a build exported.
pub(crate) fn exported(world: &World, region: &str, build: &str) -> BTreeMap<String, String> {
    let build = world
        .regions
        .get(region)
        .and_then(|region| region.codebuild.builds.get(build));
    build
        .map(|build| build.exported.clone())
        .unwrap_or_default()
}

/// What differs between builds of one project.
struct Begin {
    source: Content,
    source_place: Option<(String, String)>,
    source_repository: Option<String>,
    resolved_version: String,
    source_version: Option<String>,
    variables: BTreeMap<String, String>,
    output: Option<(String, String)>,
    pipeline: Option<String>,
    initiator: String,
    buildspec: Option<String>,
}

fn begin_build(world: &mut World, region: &str, name: &str, begin: Begin) -> Result<String, Fault> {
    let (uuid, now) = (world.uuid(), world.now);
    let project = world
        .at(region)
        .codebuild
        .projects
        .get_mut(name)
        .ok_or_else(|| not_found(name))?;
    project.builds += 1;
    let settings = project.settings.clone();
    let mut variables = plain_variables(
        settings
            .get("environment")
            .map(|e| e.list("environmentVariables"))
            .unwrap_or_default(),
    );
    variables.extend(begin.variables);
    let inline = settings
        .get("source")
        .and_then(|source| source.text("buildspec"))
        .map(ToOwned::to_owned);
    let build = Build {
        id: format!("{name}:{uuid}"),
        project: name.to_owned(),
        number: project.builds,
        started: now,
        ended: None,
        status: Status::InProgress,
        phases: Vec::new(),
        source: begin.source,
        source_place: begin.source_place,
        source_repository: begin.source_repository,
        source_version: begin.source_version,
        resolved_version: begin.resolved_version,
        variables,
        buildspec: begin.buildspec.or(inline).filter(|text| !text.is_empty()),
        output: begin.output,
        pipeline: begin.pipeline,
        initiator: begin.initiator,
        log: log_place(&settings, name, &uuid),
        settings,
        image: None,
        exported: BTreeMap::new(),
    };
    let id = build.id.clone();
    world.at(region).codebuild.builds.insert(id.clone(), build);
    crate::build::begin(world, region, &id);
    Ok(id)
}

/// Where the build logs: `/aws/codebuild/<project>` and the build's uuid, unless the project says otherwise.
fn log_place(settings: &Map<String, Value>, project: &str, uuid: &str) -> Option<(String, String)> {
    let logs = settings
        .get("logsConfig")
        .and_then(|logs| logs.get("cloudWatchLogs"));
    if logs.and_then(|logs| logs.text("status")) == Some("DISABLED") {
        return None;
    }
    let group = logs
        .and_then(|logs| logs.text("groupName"))
        .map_or_else(|| format!("/aws/codebuild/{project}"), ToOwned::to_owned);
    let stream = logs
        .and_then(|logs| logs.text("streamName"))
        .map_or_else(|| uuid.to_owned(), |prefix| format!("{prefix}/{uuid}"));
    Some((group, stream))
}

fn plain_variables(list: &[Value]) -> BTreeMap<String, String> {
    let pair = |item: &Value| {
        Some((
            item.text("name")?.to_owned(),
            item.text("value").unwrap_or_default().to_owned(),
        ))
    };
    list.iter().filter_map(pair).collect()
}

fn create_project(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = project_name(call)?.to_owned();
    for member in ["source", "artifacts", "environment", "serviceRole"] {
        if call.input.get(member).is_none() {
            return Err(invalid(format!("{member} is required")));
        }
    }
    let settings = settings(world, call, Map::new())?;
    if world
        .at(&call.region)
        .codebuild
        .projects
        .contains_key(&name)
    {
        let arn = project_arn(world, &call.region, &name);
        return Err(Fault::new(
            "ResourceAlreadyExistsException",
            format!("Project already exists: {arn}"),
        ));
    }
    let now = world.now;
    let project = Project {
        settings,
        created: now,
        modified: now,
        builds: 0,
    };
    world
        .at(&call.region)
        .codebuild
        .projects
        .insert(name.clone(), project);
    project_answer(world, call, &name)
}

fn update_project(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = project_name(call)?.to_owned();
    let arn = project_arn(world, &call.region, &name);
    let have = world
        .at(&call.region)
        .codebuild
        .projects
        .get(&name)
        .map(|project| project.settings.clone());
    let have = have.ok_or_else(|| {
        Fault::new(
            "ResourceNotFoundException",
            format!("Project cannot be found: {arn}"),
        )
    })?;
    let settings = settings(world, call, have)?;
    let now = world.now;
    if let Some(project) = world.at(&call.region).codebuild.projects.get_mut(&name) {
        project.settings = settings;
        project.modified = now;
    }
    project_answer(world, call, &name)
}

/// Builds of a deleted project stay to be read; deleting what isn't there is no error.
fn delete_project(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "name")?;
    world.at(&call.region).codebuild.projects.remove(name);
    Ok(Reply::Value(json!({})))
}

fn batch_get_projects(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("names");
    if names.is_empty() || names.len() > 100 {
        return Err(invalid("names must have between 1 and 100 members"));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        // A project may be named by its ARN.
        let short = name
            .rsplit_once(":project/")
            .map_or(name.as_str(), |(_, short)| short);
        match project_value(world, &call.region, short) {
            Some(project) => found.push(project),
            None => missing.push(name),
        }
    }
    Ok(Reply::Value(
        json!({ "projects": found, "projectsNotFound": missing }),
    ))
}

fn list_projects(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let projects = &world.at(&call.region).codebuild.projects;
    let mut names: Vec<(&String, &Project)> = projects.iter().collect();
    match call.input.text("sortBy") {
        None | Some("NAME") => {}
        Some("CREATED_TIME") => names.sort_by_key(|(_, project)| project.created),
        Some("LAST_MODIFIED_TIME") => names.sort_by_key(|(_, project)| project.modified),
        Some(other) => return Err(invalid(format!("Invalid sortBy: {other}"))),
    }
    let mut names: Vec<String> = names.into_iter().map(|(name, _)| name.clone()).collect();
    if descending(call, false)? {
        names.reverse();
    }
    listing(call, "projects", &names)
}

fn start_build(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    const HONOURED: [&str; 7] = [
        "projectName",
        "sourceVersion",
        "environmentVariablesOverride",
        "buildspecOverride",
        "sourceTypeOverride",
        "sourceLocationOverride",
        "idempotencyToken",
    ];
    refuse_others(call, &HONOURED)?;
    let name = needed(call, "projectName")?.to_owned();
    let token = call.input.text("idempotencyToken").map(ToOwned::to_owned);
    let started = token
        .as_ref()
        .and_then(|token| world.at(&call.region).codebuild.tokens.get(token).cloned());
    if let Some(id) = started {
        return build_answer(world, call, &id);
    }
    let project = world
        .at(&call.region)
        .codebuild
        .projects
        .get(&name)
        .ok_or_else(|| not_found(&name))?;
    let source = project.settings.get("source").cloned().unwrap_or_default();
    let artifacts = project
        .settings
        .get("artifacts")
        .and_then(|artifacts| artifacts.text("type"))
        .unwrap_or_default();
    if artifacts == "CODEPIPELINE" {
        return Err(invalid(
            "a project with artifacts of type CODEPIPELINE is built by a pipeline only; start the pipeline",
        ));
    }
    let output = own_output(&project.settings)?;
    let kind = call
        .input
        .text("sourceTypeOverride")
        .or(source.text("type"))
        .unwrap_or_default();
    let location = call
        .input
        .text("sourceLocationOverride")
        .or(source.text("location"))
        .unwrap_or_default();
    let (zip, resolved) = fetch(world, call, kind, location)?;
    let begin = Begin {
        source: Content(zip),
        source_place: (kind == "S3")
            .then(|| location.split_once('/'))
            .flatten()
            .map(|(bucket, key)| (bucket.to_owned(), key.to_owned())),
        source_repository: (kind == "CODECOMMIT")
            .then(|| location.rsplit('/').next().unwrap_or_default().to_owned()),
        resolved_version: resolved,
        source_version: call.input.text("sourceVersion").map(ToOwned::to_owned),
        variables: plain_variables(call.input.list("environmentVariablesOverride")),
        output,
        pipeline: None,
        initiator: call.access_key.clone(),
        buildspec: call.input.text("buildspecOverride").map(ToOwned::to_owned),
    };
    let id = begin_build(world, &call.region, &name, begin)?;
    if let Some(token) = token {
        world
            .at(&call.region)
            .codebuild
            .tokens
            .insert(token, id.clone());
    }
    build_answer(world, call, &id)
}

/// Where a build that no pipeline started puts its artifact.
fn own_output(settings: &Map<String, Value>) -> Result<Option<(String, String)>, Fault> {
    let empty = Value::Null;
    let artifacts = settings.get("artifacts").unwrap_or(&empty);
    if artifacts.text("type") != Some("S3") {
        return Ok(None);
    }
    if artifacts.text("packaging") != Some("ZIP") {
        return Err(invalid(
            "the ecspipe sandbox writes S3 artifacts with packaging ZIP only",
        ));
    }
    let parts = [artifacts.text("path"), artifacts.text("name")];
    let key: Vec<&str> = parts
        .into_iter()
        .flatten()
        .map(|part| part.trim_matches('/'))
        .filter(|part| !part.is_empty())
        .collect();
    Ok(Some((
        artifacts.text("location").unwrap_or_default().to_owned(),
        key.join("/"),
    )))
}

/// The source of a build that no pipeline started: its zip and version.
fn fetch(
    world: &World,
    call: &Call,
    kind: &str,
    location: &str,
) -> Result<(Vec<u8>, String), Fault> {
    match kind {
        "NO_SOURCE" => Ok((Vec::new(), String::new())),
        "CODECOMMIT" => {
            let repository = location.rsplit('/').next().unwrap_or_default();
            let found = codecommit::find(world, &call.region, repository);
            let branch = found
                .and_then(|repository| repository.default_branch.clone())
                .unwrap_or_default();
            let version = call.input.text("sourceVersion").unwrap_or(&branch);
            let branch = version.strip_prefix("refs/heads/").unwrap_or(version);
            let commit = codecommit::head(world, &call.region, repository, branch)
                .or_else(|| codecommit::pushed(world, &call.region, repository, version));
            let commit = commit.ok_or_else(|| {
                invalid(format!(
                    "no commit {version} in the CodeCommit repository {repository}"
                ))
            })?;
            Ok((commit.zip.0, commit.id))
        }
        "S3" => {
            let (bucket, key) = location.split_once('/').unwrap_or((location, ""));
            let object = s3::get(world, bucket, key)
                .ok_or_else(|| invalid(format!("no object {key} in the bucket {bucket}")))?;
            Ok((object.0, object.1))
        }
        "CODEPIPELINE" => Err(invalid(
            "a project with a source of type CODEPIPELINE is built by a pipeline only; start the pipeline",
        )),
        other => Err(invalid(format!(
            "the ecspipe sandbox has no source of type {other}; it has CODECOMMIT, S3 and NO_SOURCE"
        ))),
    }
}

fn stop_build(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let id = needed(call, "id")?.to_owned();
    if !world.at(&call.region).codebuild.builds.contains_key(&id) {
        return Err(Fault::new(
            "ResourceNotFoundException",
            format!("Build cannot be found: {id}"),
        ));
    }
    crate::build::stop(world, &call.region, &id);
    build_answer(world, call, &id)
}

fn batch_get_builds(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let ids = call.input.texts("ids");
    if ids.is_empty() || ids.len() > 100 {
        return Err(invalid("ids must have between 1 and 100 members"));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        let short = id
            .rsplit_once(":build/")
            .map_or(id.as_str(), |(_, short)| short);
        match build_value(world, &call.region, short) {
            Some(build) => found.push(build),
            None => missing.push(id),
        }
    }
    Ok(Reply::Value(
        json!({ "builds": found, "buildsNotFound": missing }),
    ))
}

fn list_builds(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    list_of_builds(world, call, None)
}

fn list_builds_for_project(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = needed(call, "projectName")?.to_owned();
    if !world
        .at(&call.region)
        .codebuild
        .projects
        .contains_key(&name)
    {
        return Err(not_found(&name));
    }
    list_of_builds(world, call, Some(&name))
}

/// Newest first, unless asked otherwise.
fn list_of_builds(world: &mut World, call: &Call, project: Option<&str>) -> Result<Reply, Fault> {
    let builds = world.at(&call.region).codebuild.builds.values();
    let mut builds: Vec<&Build> = builds
        .filter(|build| project.is_none_or(|project| build.project == project))
        .collect();
    builds.sort_by_key(|build| (build.started, build.number));
    let mut ids: Vec<String> = builds.into_iter().map(|build| build.id.clone()).collect();
    if descending(call, true)? {
        ids.reverse();
    }
    listing(call, "ids", &ids)
}

/// The settings that `have` and the call's input make together, checked.
fn settings(
    world: &World,
    call: &Call,
    mut have: Map<String, Value>,
) -> Result<Map<String, Value>, Fault> {
    /// What the API shows again as it was given.
    const MEMBERS: [&str; 17] = [
        "description",
        "source",
        "secondarySources",
        "sourceVersion",
        "secondarySourceVersions",
        "artifacts",
        "secondaryArtifacts",
        "cache",
        "environment",
        "serviceRole",
        "timeoutInMinutes",
        "queuedTimeoutInMinutes",
        "encryptionKey",
        "tags",
        "vpcConfig",
        "badgeEnabled",
        "logsConfig",
    ];
    refuse_others(call, &[&MEMBERS[..], &["name"]].concat())?;
    for member in MEMBERS {
        if let Some(value) = call.input.get(member).filter(|value| !value.is_null()) {
            have.insert(member.to_owned(), value.clone());
        }
    }
    check_settings(&have)?;
    fill_in(world, call, &mut have);
    let role = have
        .get("serviceRole")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let name = call.input.text("name").unwrap_or_default();
    let source = world.arn("codebuild", &call.region, &format!("project/{name}"));
    if iam::can_assume(world, role, "codebuild.amazonaws.com", &source).is_err() {
        return Err(invalid(format!(
            "CodeBuild is not authorized to perform: sts:AssumeRole on {role}"
        )));
    }
    Ok(have)
}

/// The rules of the API reference that a client can break (enums, ranges, what belongs together).
fn check_settings(settings: &Map<String, Value>) -> Result<(), Fault> {
    const SOURCES: [&str; 9] = [
        "CODECOMMIT",
        "CODEPIPELINE",
        "GITHUB",
        "GITLAB",
        "GITLAB_SELF_MANAGED",
        "S3",
        "BITBUCKET",
        "GITHUB_ENTERPRISE",
        "NO_SOURCE",
    ];
    const ENVIRONMENTS: [&str; 12] = [
        "WINDOWS_CONTAINER",
        "LINUX_CONTAINER",
        "LINUX_GPU_CONTAINER",
        "ARM_CONTAINER",
        "WINDOWS_SERVER_2019_CONTAINER",
        "WINDOWS_SERVER_2022_CONTAINER",
        "LINUX_LAMBDA_CONTAINER",
        "ARM_LAMBDA_CONTAINER",
        "LINUX_EC2",
        "ARM_EC2",
        "WINDOWS_EC2",
        "MAC_ARM",
    ];
    let empty = Value::Null;
    let member = |name: &str| settings.get(name).unwrap_or(&empty);
    let source = one_of(member("source"), "type", "source type", &SOURCES)?;
    let artifacts = one_of(
        member("artifacts"),
        "type",
        "artifacts type",
        &["CODEPIPELINE", "S3", "NO_ARTIFACTS"],
    )?;
    if (source == "CODEPIPELINE") != (artifacts == "CODEPIPELINE") {
        return Err(invalid(
            "Both source and artifact types should be CODEPIPELINE, or neither",
        ));
    }
    if source == "NO_SOURCE" && member("source").text("buildspec").is_none_or(str::is_empty) {
        return Err(invalid("Project source type NO_SOURCE needs a buildspec"));
    }
    if matches!(source, "CODECOMMIT" | "S3")
        && member("source").text("location").is_none_or(str::is_empty)
    {
        return Err(invalid("Project source location is required"));
    }
    if artifacts == "S3"
        && member("artifacts")
            .text("location")
            .is_none_or(str::is_empty)
    {
        return Err(invalid("Project artifacts location is required"));
    }
    one_of(
        member("environment"),
        "type",
        "environment type",
        &ENVIRONMENTS,
    )?;
    for required in ["image", "computeType"] {
        if member("environment")
            .text(required)
            .is_none_or(str::is_empty)
        {
            return Err(invalid(format!(
                "Project environment {required} is required"
            )));
        }
    }
    check_variables(member("environment").list("environmentVariables"))?;
    range(settings, "timeoutInMinutes", 5, 2160)?;
    range(settings, "queuedTimeoutInMinutes", 5, 480)?;
    if member("description")
        .as_str()
        .is_some_and(|text| text.chars().count() > 255)
    {
        return Err(invalid(
            "Project description must be at most 255 characters long",
        ));
    }
    check_tags(
        member("tags")
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default(),
    )?;
    for unsupported in ["secondarySources", "secondaryArtifacts"] {
        if member(unsupported)
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            return Err(invalid(format!("the ecspipe sandbox has no {unsupported}")));
        }
    }
    Ok(())
}

fn check_variables(variables: &[Value]) -> Result<(), Fault> {
    for variable in variables {
        let name = variable.text("name").unwrap_or_default();
        if name.is_empty() {
            return Err(invalid("Environment variable name is required"));
        }
        if name.starts_with("CODEBUILD_") {
            return Err(invalid(format!(
                "Environment variable name {name} is reserved: it begins with CODEBUILD_"
            )));
        }
        match variable.text("type") {
            None | Some("PLAINTEXT") => {}
            Some(kind @ ("PARAMETER_STORE" | "SECRETS_MANAGER")) => {
                return Err(invalid(format!(
                    "the ecspipe sandbox has no environment variable of type {kind} ({name})"
                )));
            }
            Some(kind) => {
                return Err(invalid(format!(
                    "Invalid environment variable type: {kind}"
                )));
            }
        }
    }
    Ok(())
}

fn check_tags(tags: &[Value]) -> Result<(), Fault> {
    let legal = |tag: &Value| {
        let (key, value) = (
            tag.text("key").unwrap_or_default(),
            tag.text("value").unwrap_or_default(),
        );
        (1..=127).contains(&key.chars().count())
            && value.chars().count() <= 255
            && !key.starts_with("aws:")
    };
    if tags.len() > 50 || !tags.iter().all(legal) {
        return Err(invalid(
            "Invalid tags: at most 50, keys of 1 to 127 characters not beginning with aws:, values of at most 255",
        ));
    }
    Ok(())
}

/// AWS's defaults, as `BatchGetProjects` shows them.
fn fill_in(world: &World, call: &Call, settings: &mut Map<String, Value>) {
    let name = call.input.text("name").unwrap_or_default();
    let default_key = world.arn("kms", &call.region, "alias/aws/s3");
    let plain = [
        ("cache", json!({ "type": "NO_CACHE" })),
        ("timeoutInMinutes", json!(60)),
        ("queuedTimeoutInMinutes", json!(480)),
        ("encryptionKey", json!(default_key)),
        ("tags", json!([])),
        ("badgeEnabled", json!(false)),
    ];
    for (member, value) in plain {
        settings.entry(member).or_insert(value);
    }
    if let Some(environment) = settings
        .get_mut("environment")
        .and_then(Value::as_object_mut)
    {
        environment
            .entry("environmentVariables")
            .or_insert_with(|| json!([]));
        environment.entry("privilegedMode").or_insert(json!(false));
        environment
            .entry("imagePullCredentialsType")
            .or_insert(json!("CODEBUILD"));
        let variables = environment
            .get_mut("environmentVariables")
            .and_then(Value::as_array_mut);
        for variable in variables
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            variable.entry("type").or_insert(json!("PLAINTEXT"));
        }
    }
    if let Some(source) = settings.get_mut("source").and_then(Value::as_object_mut) {
        source.entry("insecureSsl").or_insert(json!(false));
    }
    if let Some(artifacts) = settings.get_mut("artifacts").and_then(Value::as_object_mut)
        && artifacts.get("type").and_then(Value::as_str) != Some("NO_ARTIFACTS")
    {
        artifacts.entry("name").or_insert(json!(name));
        artifacts.entry("packaging").or_insert(json!("NONE"));
        artifacts
            .entry("overrideArtifactName")
            .or_insert(json!(false));
        artifacts
            .entry("encryptionDisabled")
            .or_insert(json!(false));
    }
    if let Some(logs) = settings
        .get_mut("logsConfig")
        .and_then(Value::as_object_mut)
    {
        logs.entry("cloudWatchLogs")
            .or_insert_with(|| json!({ "status": "ENABLED" }));
        logs.entry("s3Logs")
            .or_insert_with(|| json!({ "status": "DISABLED", "encryptionDisabled": false }));
    }
}

fn project_answer(world: &World, call: &Call, name: &str) -> Result<Reply, Fault> {
    let project = project_value(world, &call.region, name).ok_or_else(|| not_found(name))?;
    Ok(Reply::Value(json!({ "project": project })))
}

fn project_value(world: &World, region: &str, name: &str) -> Option<Value> {
    let project = world.regions.get(region)?.codebuild.projects.get(name)?;
    let mut answer = project.settings.clone();
    let badge = answer.remove("badgeEnabled").unwrap_or(json!(false));
    answer.insert("name".to_owned(), json!(name));
    answer.insert("arn".to_owned(), json!(project_arn(world, region, name)));
    answer.insert("created".to_owned(), clock::seconds(project.created));
    answer.insert("lastModified".to_owned(), clock::seconds(project.modified));
    answer.insert("badge".to_owned(), json!({ "badgeEnabled": badge }));
    answer.insert("projectVisibility".to_owned(), json!("PRIVATE"));
    Some(Value::Object(answer))
}

fn build_answer(world: &World, call: &Call, id: &str) -> Result<Reply, Fault> {
    let build = build_value(world, &call.region, id);
    let build = build.ok_or_else(|| {
        Fault::new(
            "ResourceNotFoundException",
            format!("Build cannot be found: {id}"),
        )
    })?;
    Ok(Reply::Value(json!({ "build": build })))
}

fn build_value(world: &World, region: &str, id: &str) -> Option<Value> {
    let build = world.regions.get(region)?.codebuild.builds.get(id)?;
    let phase = build.phases.last();
    let exported = build
        .exported
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }));
    let mut answer = json!({
        "id": build.id,
        "arn": world.arn("codebuild", region, &format!("build/{}", build.id)),
        "buildNumber": build.number,
        "startTime": clock::seconds(build.started),
        "currentPhase": phase.map(|phase| phase.kind.as_str()).unwrap_or("SUBMITTED"),
        "buildStatus": build.status.wire(),
        "projectName": build.project,
        "phases": build.phases.iter().map(phase_value).collect::<Vec<_>>(),
        "buildComplete": build.ended.is_some(),
        "initiator": build.initiator,
        "exportedEnvironmentVariables": exported.collect::<Vec<_>>(),
        "logs": logs_value(world, region, build),
    });
    for member in [
        "source",
        "cache",
        "environment",
        "serviceRole",
        "timeoutInMinutes",
        "queuedTimeoutInMinutes",
        "encryptionKey",
        "vpcConfig",
    ] {
        if let Some(value) = build.settings.get(member) {
            answer[member] = value.clone();
        }
    }
    let location = build
        .output
        .as_ref()
        .map(|(bucket, key)| world.arn("s3", region, &format!("{bucket}/{key}")));
    answer["artifacts"] = location.map_or_else(
        || json!({ "location": "" }),
        |location| json!({ "location": location }),
    );
    if let Some(ended) = build.ended {
        answer["endTime"] = clock::seconds(ended);
    }
    if let Some(version) = &build.source_version {
        answer["sourceVersion"] = json!(version);
    }
    if !build.resolved_version.is_empty() {
        answer["resolvedSourceVersion"] = json!(build.resolved_version);
    }
    Some(answer)
}

fn phase_value(phase: &Phase) -> Value {
    let mut answer = json!({ "phaseType": phase.kind, "startTime": clock::seconds(phase.start) });
    if let Some(end) = phase.end {
        answer["endTime"] = clock::seconds(end);
        answer["durationInSeconds"] = json!((end - phase.start) / 1000);
        answer["phaseStatus"] = json!(phase.status.wire());
        let (code, message) = phase.context.clone().unwrap_or_default();
        answer["contexts"] = json!([{ "statusCode": code, "message": message }]);
    }
    answer
}

fn logs_value(world: &World, region: &str, build: &Build) -> Value {
    let Some((group, stream)) = &build.log else {
        return json!({ "cloudWatchLogs": { "status": "DISABLED" } });
    };
    let arn = world.arn(
        "logs",
        region,
        &format!("log-group:{group}:log-stream:{stream}"),
    );
    let link = format!(
        "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"
    );
    json!({
        "groupName": group,
        "streamName": stream,
        "deepLink": link,
        "cloudWatchLogsArn": arn,
        "cloudWatchLogs": { "status": "ENABLED", "groupName": group },
    })
}

fn project_arn(world: &World, region: &str, name: &str) -> String {
    world.arn("codebuild", region, &format!("project/{name}"))
}

fn project_name(call: &Call) -> Result<&str, Fault> {
    let name = needed(call, "name")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (2..=150).contains(&name.len())
        && name.chars().all(legal)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Ok(name);
    }
    Err(invalid(format!(
        "Project name {name} must match [A-Za-z0-9][A-Za-z0-9\\-_]{{1,149}}"
    )))
}

fn needed<'a>(call: &'a Call, member: &str) -> Result<&'a str, Fault> {
    call.input
        .text(member)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| invalid(format!("{member} is required")))
}

/// A member that would change what happens, and that the sandbox doesn't honour, is refused by name.
fn refuse_others(call: &Call, honoured: &[&str]) -> Result<(), Fault> {
    let given = call
        .input
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    match given
        .map(|(name, _)| name)
        .find(|name| !honoured.contains(&name.as_str()))
    {
        Some(name) => Err(invalid(format!(
            "the ecspipe sandbox does not honour {name} of {}",
            call.operation
        ))),
        None => Ok(()),
    }
}

fn one_of<'a>(
    value: &'a Value,
    member: &str,
    what: &str,
    legal: &[&str],
) -> Result<&'a str, Fault> {
    let text = value.text(member).unwrap_or_default();
    if legal.contains(&text) {
        Ok(text)
    } else {
        Err(invalid(format!("Invalid project {what}: {text}")))
    }
}

fn range(settings: &Map<String, Value>, member: &str, least: i64, most: i64) -> Result<(), Fault> {
    match settings
        .get(member)
        .map(|value| value.as_i64().unwrap_or(-1))
    {
        Some(number) if !(least..=most).contains(&number) => Err(invalid(format!(
            "Invalid {member}: {number} is not between {least} and {most}"
        ))),
        _ => Ok(()),
    }
}

fn descending(call: &Call, default: bool) -> Result<bool, Fault> {
    match call.input.text("sortOrder") {
        None => Ok(default),
        Some("ASCENDING") => Ok(false),
        Some("DESCENDING") => Ok(true),
        Some(other) => Err(invalid(format!("Invalid sortOrder: {other}"))),
    }
}

fn listing(call: &Call, member: &str, items: &[String]) -> Result<Reply, Fault> {
    // The order is the caller's, so the key is the position.
    let keyed = items
        .iter()
        .cloned()
        .enumerate()
        .map(|(index, item)| (format!("{index:08}"), item));
    let cut = page(keyed, call.input.text("nextToken"), PAGE)
        .ok_or_else(|| invalid("Invalid nextToken"))?;
    let mut answer = json!({ member: cut.items });
    if let Some(next) = cut.next {
        answer["nextToken"] = json!(next);
    }
    Ok(Reply::Value(answer))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidInputException", message)
}

fn not_found(project: &str) -> Fault {
    Fault::new(
        "ResourceNotFoundException",
        format!("Project cannot be found: {project}"),
    )
}
