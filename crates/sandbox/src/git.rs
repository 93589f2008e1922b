//! The git side of CodeCommit: bare repositories on disk, served over smart HTTP by git's own `http-backend`, and what a push
//! changed handed to `crate::services::codecommit`. Must not answer API calls, and must not read the user's git configuration.
//!
//! A repository is `http://127.0.0.1:PORT/v1/repos/NAME`; where two regions have one of that name, `NAME@REGION` tells them
//! apart. On disk it bears its CodeCommit id, so that one deleted and made anew starts empty; what no state names any more is
//! removed when git is next used.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::iam;
use crate::runtime::Content;
use crate::services::codecommit::{self, Change, Commit, CommitFacts, Person, Push};
use crate::wire::{Call, Http, Protocol};
use crate::{Error, Sandbox, clock};

/// Where the bare repositories lie.
#[derive(Debug)]
pub struct Repositories {
    /// Held so that the folder goes with the sandbox, where no data folder was asked for.
    _temporary: Option<tempfile::TempDir>,
    root: PathBuf,
    /// One at a time looks at what a push changed, so that the second sees what the first recorded.
    turn: Mutex<()>,
}

impl Repositories {
    /// Repositories below `data`, or in a temporary folder.
    pub fn new(data: Option<&Path>) -> Result<Self, Error> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Data { path, source }
        };
        let (temporary, root) = match data {
            Some(data) => (None, data.join("git")),
            None => {
                let folder = tempfile::TempDir::new().map_err(fail(&std::env::temp_dir()))?;
                let root = folder.path().to_owned();
                (Some(folder), root)
            }
        };
        std::fs::create_dir_all(&root).map_err(fail(&root))?;
        // git is run from elsewhere, so a relative data folder won't do.
        let root = std::path::absolute(&root).map_err(fail(&root))?;
        Ok(Self {
            _temporary: temporary,
            root,
            turn: Mutex::new(()),
        })
    }

    /// The folder that holds the bare repositories.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A repository's place in the account and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    region: String,
    name: String,
    id: String,
    default_branch: Option<String>,
}

impl Place {
    /// The folder below the root.
    fn folder(&self) -> String {
        format!("{}/{}.git", self.region, self.id)
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::Git {
            repository: self.name.clone(),
            message: message.into(),
        }
    }
}

/// How many commits of one push `GetCommit` knows afterwards. A first push may bring a long history, which nobody looks up
/// commit by commit.
const KEPT_COMMITS: &str = "1000";

/// When [`Sandbox::push`] says that a commit was made: the sandbox's first second, so that two runs get the same commit.
const COMMITTED: i64 = clock::EPOCH / 1000;

impl Sandbox {
    /// The folder of a repository's git objects, made when it is first asked for.
    pub fn bare_repository(&self, region: &str, repository: &str) -> Result<PathBuf, Error> {
        let place = self.place(region, repository)?;
        let _turn = self.repositories().turn();
        self.prepare(&place)
    }

    /// Commits `files` as the whole content of a branch, on top of what it has, as a `git push` would; answers the commit's id.
    /// For tests and for callers without a git client at hand.
    pub fn push(
        &self,
        region: &str,
        repository: &str,
        branch: &str,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
    ) -> Result<String, Error> {
        let place = self.place(region, repository)?;
        let id = {
            let _turn = self.repositories().turn();
            let folder = self.prepare(&place)?;
            self.commit(&place, &folder, branch, files, message)?
        };
        self.received(region, repository)?;
        Ok(id)
    }

    /// Takes over what was pushed into a repository's folder since the last look, and emits CodeCommit's events for it.
    pub fn received(&self, region: &str, repository: &str) -> Result<(), Error> {
        let place = self.place(region, repository)?;
        let _turn = self.repositories().turn();
        let folder = self.prepare(&place)?;
        let have = self.references(&place, &folder)?;
        let known = codecommit::find(&self.world(), region, repository)
            .map(|known| known.references.clone())
            .unwrap_or_default();
        let push = self.compare(&place, &folder, &known, &have)?;
        if push.changes.is_empty() {
            return Ok(());
        }
        let mut world = self.world();
        // It may have been deleted meanwhile, and even made anew.
        if codecommit::find(&world, region, repository).is_some_and(|found| found.id == place.id) {
            codecommit::record(&mut world, region, repository, push);
        }
        Ok(())
    }

    fn place(&self, region: &str, name: &str) -> Result<Place, Error> {
        let world = self.world();
        let found = codecommit::find(&world, region, name);
        let missing = || Error::Git {
            repository: name.to_owned(),
            message: format!("CodeCommit has no such repository in {region}"),
        };
        let found = found.ok_or_else(missing)?;
        Ok(Place {
            region: region.to_owned(),
            name: name.to_owned(),
            id: found.id.clone(),
            default_branch: found.default_branch.clone(),
        })
    }

    /// Makes the bare repository if need be, points its HEAD at the default branch, and clears away deleted repositories.
    fn prepare(&self, place: &Place) -> Result<PathBuf, Error> {
        let root = self.repositories().root();
        let folder = root.join(place.folder());
        if !folder.join("HEAD").exists() {
            // No template: the machine's own could bring hooks.
            let arguments = [
                "init",
                "--quiet",
                "--bare",
                "--template=",
                "--initial-branch=main",
            ];
            self.run(
                place,
                root,
                &[&arguments[..], &[&folder.to_string_lossy()]].concat(),
                None,
            )?;
        }
        if let Some(branch) = &place.default_branch {
            let (head, want) = (folder.join("HEAD"), format!("ref: refs/heads/{branch}\n"));
            let fail = |error: std::io::Error| place.error(error.to_string());
            if std::fs::read_to_string(&head).map_err(fail)? != want {
                std::fs::write(&head, want).map_err(fail)?;
            }
        }
        self.prune(&place.region);
        Ok(folder)
    }

    /// What can't be removed is left for the next time; it does no harm but take room.
    fn prune(&self, region: &str) {
        let world = self.world();
        let named: BTreeSet<String> = world
            .regions
            .get(region)
            .map(|region| {
                region
                    .codecommit
                    .repositories
                    .values()
                    .map(|repository| format!("{}.git", repository.id))
                    .collect()
            })
            .unwrap_or_default();
        drop(world);
        let folders = std::fs::read_dir(self.repositories().root().join(region));
        for entry in folders.into_iter().flatten().flatten() {
            if !named.contains(&entry.file_name().to_string_lossy().into_owned())
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(%error, "cannot remove a deleted repository");
            }
        }
    }

    fn commit(
        &self,
        place: &Place,
        folder: &Path,
        branch: &str,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
    ) -> Result<String, Error> {
        let reference = format!("refs/heads/{branch}");
        let parent = self.references(place, folder)?.contains_key(&reference);
        let person = format!("ecspipe sandbox <sandbox@example.com> {COMMITTED} +0000");
        // As `git commit` ends it.
        let message = format!("{}\n", message.trim_end());
        let mut stream = format!(
            "commit {reference}\nauthor {person}\ncommitter {person}\ndata {}\n{message}\n",
            message.len()
        )
        .into_bytes();
        if parent {
            stream.extend(format!("from {reference}^0\n").into_bytes());
        }
        stream.extend(b"deleteall\n");
        for (path, content) in files {
            let quoted = path
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            stream.extend(
                format!("M 100644 inline \"{quoted}\"\ndata {}\n", content.len()).into_bytes(),
            );
            stream.extend(content);
            stream.push(b'\n');
        }
        stream.extend(b"done\n");
        self.run(
            place,
            folder,
            &["fast-import", "--quiet", "--done"],
            Some(&stream),
        )?;
        let id = self.run(place, folder, &["rev-parse", "--verify", &reference], None)?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// Branches and tags with the commits that they point at.
    fn references(&self, place: &Place, folder: &Path) -> Result<BTreeMap<String, String>, Error> {
        let format = "--format=%(refname) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)";
        let text = self.run(
            place,
            folder,
            &["for-each-ref", format, "refs/heads", "refs/tags"],
            None,
        )?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let pair = |line: &str| {
            line.rsplit_once(' ')
                .map(|(name, id)| (name.to_owned(), id.to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }

    /// What makes `have` out of `known`, with the new commits and the trees of the new heads.
    fn compare(
        &self,
        place: &Place,
        folder: &Path,
        known: &BTreeMap<String, String>,
        have: &BTreeMap<String, String>,
    ) -> Result<Push, Error> {
        let mut push = Push::default();
        let names: BTreeSet<&String> = known.keys().chain(have.keys()).collect();
        for name in names {
            let (old, new) = (known.get(name).cloned(), have.get(name).cloned());
            if old == new {
                continue;
            }
            if let Some(new) = &new {
                push.commits
                    .extend(self.new_commits(place, folder, new, known)?);
                if name.starts_with("refs/heads/") {
                    push.heads.push(self.head(place, folder, new)?);
                }
            }
            push.changes.push(Change {
                reference: name.clone(),
                old,
                new,
            });
        }
        Ok(push)
    }

    fn new_commits(
        &self,
        place: &Place,
        folder: &Path,
        new: &str,
        known: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, CommitFacts>, Error> {
        let format = "--format=tformat:%H%n%T%n%P%n%an%n%ae%n%ad%n%cn%n%ce%n%cd%n%B";
        let mut arguments = vec![
            "log",
            "-z",
            "--date=raw",
            "--ignore-missing",
            "-n",
            KEPT_COMMITS,
            format,
            new,
            "--not",
        ];
        arguments.extend(known.values().map(String::as_str));
        let text = self.run(place, folder, &arguments, None)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.split('\0').filter_map(commit_facts).collect())
    }

    fn head(&self, place: &Place, folder: &Path, id: &str) -> Result<Commit, Error> {
        let zip = self.run(place, folder, &["archive", "--format=zip", id], None)?;
        let text = self.run(
            place,
            folder,
            &[
                "show",
                "--no-patch",
                "--date=raw",
                "--format=%an%n%ae%n%ad%n%s",
                id,
            ],
            None,
        )?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.lines().map(ToOwned::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        let author = Person {
            name: next(),
            email: next(),
            date: next(),
        };
        Ok(Commit {
            id: id.to_owned(),
            message: next(),
            author,
            zip: Content(zip),
        })
    }

    /// Runs git in a folder; answers its output.
    fn run(
        &self,
        place: &Place,
        folder: &Path,
        arguments: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, Error> {
        let what = arguments.first().copied().unwrap_or_default();
        let mut command = git(self.repositories().root());
        command.current_dir(folder).args(arguments);
        command
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| place.error(spawn_error(&error)))?;
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            // A broken pipe means that git gave up; what it says about that comes out below.
            if let Err(error) = pipe.write_all(input) {
                tracing::debug!(%error, "git {what} did not take all of its input");
            }
        }
        let output = child
            .wait_with_output()
            .map_err(|error| place.error(error.to_string()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(place.error(format!(
            "git {what} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

fn commit_facts(text: &str) -> Option<(String, CommitFacts)> {
    let mut lines = text.splitn(10, '\n').map(ToOwned::to_owned);
    let id = lines.next().filter(|id| !id.is_empty())?;
    let mut next = || lines.next().unwrap_or_default();
    let (tree, parents) = (next(), next());
    let author = Person {
        name: next(),
        email: next(),
        date: next(),
    };
    let committer = Person {
        name: next(),
        email: next(),
        date: next(),
    };
    let parents = parents.split_whitespace().map(ToOwned::to_owned).collect();
    Some((
        id,
        CommitFacts {
            tree,
            parents,
            author,
            committer,
            message: next(),
        },
    ))
}

/// Serves one request of a git client. A push is looked at before it is answered, so that the pipeline has started by
/// the time the client is told that it is done.
pub(crate) async fn handle(sandbox: &Sandbox, request: &Request<Bytes>) -> Response<Bytes> {
    let Some((name, rest)) = split_path(request.uri().path()) else {
        return say(
            404,
            "this is a CodeCommit repository's address for git: git clone http://127.0.0.1:PORT/v1/repos/NAME",
        );
    };
    let place = match find(sandbox, &name) {
        Ok(place) => place,
        Err((status, message)) => return say(status, &message),
    };
    if let Err(message) = authorize(sandbox, &place, request) {
        return say(403, &message);
    }
    let prepared = {
        let (sandbox, place) = (sandbox.clone(), place.clone());
        blocking(move || {
            let _turn = sandbox.repositories().turn();
            sandbox.prepare(&place)
        })
        .await
    };
    if let Err(error) = prepared {
        return say(500, &error.to_string());
    }
    let response = match backend(sandbox, request, &place, &rest).await {
        Ok(response) => response,
        Err(message) => return say(500, &message),
    };
    if rest == "/git-receive-pack" && response.status() == StatusCode::OK {
        let (sandbox, place) = (sandbox.clone(), place.clone());
        if let Err(error) = blocking(move || sandbox.received(&place.region, &place.name)).await {
            return say(500, &error.to_string());
        }
    }
    response
}

/// Whether the account's user, who is all that git clients are, may pull from the repository or push to it.
fn authorize(sandbox: &Sandbox, place: &Place, request: &Request<Bytes>) -> Result<(), String> {
    let pushes = request.uri().path().ends_with("/git-receive-pack")
        || request.uri().query() == Some("service=git-receive-pack");
    let call = Call {
        protocol: Protocol::Json,
        service: "codecommit".to_owned(),
        operation: if pushes { "GitPush" } else { "GitPull" }.to_owned(),
        region: place.region.clone(),
        access_key: String::new(),
        input: json!({ "repositoryName": place.name }),
        http: Http::default(),
    };
    let world = sandbox.world();
    let user = iam::principal_of(&world, &call);
    iam::authorize(&world, &user, &call).map_err(|denial| denial.to_string())
}

/// Runs what waits for git beside the other requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Git {
            repository: String::new(),
            message: error.to_string(),
        }),
    }
}

/// `/v1/repos/NAME/info/refs` → (`NAME`, `/info/refs`).
fn split_path(path: &str) -> Option<(String, String)> {
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    let (name, rest) = path.strip_prefix("/v1/repos/")?.split_once('/')?;
    (!name.is_empty() && !rest.contains("..")).then(|| (name.to_owned(), format!("/{rest}")))
}

/// The one repository of that name.
fn find(sandbox: &Sandbox, name: &str) -> Result<Place, (u16, String)> {
    let (name, wanted) = name
        .split_once('@')
        .map_or((name, None), |(name, region)| (name, Some(region)));
    let regions: Vec<String> = {
        let world = sandbox.world();
        let all = world
            .regions
            .keys()
            .filter(|region| wanted.is_none_or(|wanted| wanted == region.as_str()));
        all.filter(|region| codecommit::exists(&world, region, name))
            .cloned()
            .collect()
    };
    match regions.as_slice() {
        [region] => sandbox
            .place(region, name)
            .map_err(|error| (404, error.to_string())),
        [] => Err((
            404,
            format!("CodeCommit has no repository {name}: create it first"),
        )),
        several => Err((
            409,
            format!(
                "CodeCommit has a repository {name} in {}: use {name}@REGION",
                several.join(" and ")
            ),
        )),
    }
}

/// Has `git http-backend` answer, by the rules of CGI.
async fn backend(
    sandbox: &Sandbox,
    request: &Request<Bytes>,
    place: &Place,
    rest: &str,
) -> Result<Response<Bytes>, String> {
    let root = sandbox.repositories().root();
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut command = tokio::process::Command::from(git(root));
    command
        .arg("http-backend")
        .current_dir(root)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}{rest}", place.folder()))
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body().len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        // Whoever reaches the loopback port may push; http-backend wants a name for it.
        .env("REMOTE_USER", "sandbox")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| spawn_error(&error))?;
    let (pipe, body) = (child.stdin.take(), request.body().clone());
    let feed = async move {
        if let Some(mut pipe) = pipe
            && let Err(error) = pipe.write_all(&body).await
        {
            tracing::debug!(%error, "git http-backend did not take all of its input");
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    let output = output.map_err(|error| error.to_string())?;
    if !output.stderr.is_empty() {
        tracing::debug!(message = %String::from_utf8_lossy(&output.stderr).trim(), "git http-backend");
    }
    cgi_response(&output.stdout).ok_or_else(|| {
        format!(
            "git http-backend gave no answer: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

/// Headers, an empty line, the body. `Status` is the status line; without it all is well.
fn cgi_response(output: &[u8]) -> Option<Response<Bytes>> {
    let (end, gap) = [&b"\r\n\r\n"[..], &b"\n\n"[..]]
        .into_iter()
        .filter_map(|gap| {
            output
                .windows(gap.len())
                .position(|window| window == gap)
                .map(|at| (at, gap.len()))
        })
        .min()?;
    let head = std::str::from_utf8(&output[..end]).ok()?;
    let mut response = Response::new(Bytes::copy_from_slice(&output[end + gap..]));
    for line in head.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = StatusCode::from_bytes(value.get(..3)?.as_bytes()).ok()?;
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

fn say(status: u16, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{message}\n")));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// What git itself counts as belonging to one repository (`git rev-parse --local-env-vars`), and what changes how it stores or
/// serves one. A hook or a rebase that starts the sandbox leaves some of them set.
const INHERITED: [&str; 22] = [
    "GIT_ALLOW_PROTOCOL",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROTOCOL",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
];

/// git, cut off from the caller's own settings: an environment left by a hook, hooks, signing and defaults of the user.
fn git(root: &Path) -> std::process::Command {
    let settings = [
        ("http.receivepack", "true"),
        ("safe.directory", "*"),
        // Nothing is to run on after an answer: the folder may be removed at any time.
        ("gc.auto", "0"),
        ("receive.autogc", "false"),
        ("maintenance.auto", "false"),
        ("core.hooksPath", "/dev/null"),
    ];
    let mut command = std::process::Command::new("git");
    for name in INHERITED {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("HOME", root)
        .env("XDG_CONFIG_HOME", root)
        .env("LC_ALL", "C")
        // A zip holds local times; the same tree is to be the same zip everywhere.
        .env("TZ", "UTC")
        .env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (index, (key, value)) in settings.iter().enumerate() {
        command
            .env(format!("GIT_CONFIG_KEY_{index}"), key)
            .env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    command
}

fn spawn_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "git was not found: install git, and see that it is on the path".to_owned()
        }
        _ => format!("git cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use serde_json::json;

    use super::*;
    use crate::Options;
    use crate::testing::{REGION, call, call_in, sandbox};

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    async fn with_repository() -> Sandbox {
        let sandbox = sandbox();
        call(
            &sandbox,
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        sandbox
    }

    /// The sandbox behind a loopback port, as its server has it.
    async fn listen(sandbox: &Sandbox) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sandbox = sandbox.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let sandbox = sandbox.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let response = sandbox.handle(Request::from_parts(parts, body)).await;
                        Ok::<_, Infallible>(response.map(Full::new))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        address
    }

    /// A git client in `folder` with a user of its own.
    async fn client(folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::from(git(folder));
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Ada")
                .env(format!("GIT_{who}_EMAIL"), "ada@example.com");
        }
        let output = command
            .current_dir(folder)
            .args(arguments)
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_moves_the_branch_and_keeps_its_tree() {
        let sandbox = with_repository().await;
        let first = sandbox
            .push(
                REGION,
                "web",
                "main",
                &files(&[("a", "1"), ("src/ä \"b\"", "2")]),
                "one\n\nmore",
            )
            .unwrap();
        let second = sandbox
            .push(REGION, "web", "main", &files(&[("a", "3")]), "two")
            .unwrap();
        let branch = json!({ "repositoryName": "web", "branchName": "main" });
        let have = call(&sandbox, "codecommit", "GetBranch", branch)
            .await
            .unwrap();
        assert_eq!(have["branch"]["commitId"], json!(second));
        let have = call(
            &sandbox,
            "codecommit",
            "GetCommit",
            json!({ "repositoryName": "web", "commitId": second }),
        )
        .await
        .unwrap();
        assert_eq!(have["commit"]["parents"], json!([first]));
        assert_eq!(have["commit"]["message"], "two\n");
        let have = call(
            &sandbox,
            "codecommit",
            "GetRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        assert_eq!(have["repositoryMetadata"]["defaultBranch"], "main");
        let world = sandbox.world();
        let zip = |commit: &Commit| crate::build::archive::read(&commit.zip.0).unwrap();
        let head = codecommit::head(&world, REGION, "web", "main").unwrap();
        assert_eq!(
            (head.message.as_str(), zip(&head)),
            ("two", files(&[("a", "3")]))
        );
        let older = codecommit::pushed(&world, REGION, "web", &first).unwrap();
        assert_eq!(zip(&older), files(&[("a", "1"), ("src/ä \"b\"", "2")]));
    }

    #[tokio::test(start_paused = true)]
    async fn two_sandboxes_get_the_same_commits() {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let sandbox = with_repository().await;
            let id = sandbox
                .push(REGION, "web", "main", &files(&[("a", "1")]), "one")
                .unwrap();
            ids.push((
                id.clone(),
                codecommit::head(&sandbox.world(), REGION, "web", "main")
                    .unwrap()
                    .zip,
            ));
        }
        assert_eq!(ids[0], ids[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repository_made_anew_is_empty_and_the_old_folder_goes() {
        let sandbox = with_repository().await;
        sandbox
            .push(REGION, "web", "main", &files(&[("a", "1")]), "one")
            .unwrap();
        let old = sandbox.bare_repository(REGION, "web").unwrap();
        call(
            &sandbox,
            "codecommit",
            "DeleteRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        assert!(sandbox.bare_repository(REGION, "web").is_err());
        call(
            &sandbox,
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        let new = sandbox.bare_repository(REGION, "web").unwrap();
        assert_ne!(old, new);
        assert!(!old.exists());
        sandbox.received(REGION, "web").unwrap();
        let have = call(
            &sandbox,
            "codecommit",
            "ListBranches",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        assert_eq!(have["branches"], json!([]));
    }

    #[tokio::test]
    async fn a_real_client_pushes_clones_and_deletes() {
        let sandbox = with_repository().await;
        let address = listen(&sandbox).await;
        let url = format!("http://{address}/v1/repos/web");
        let folder = tempfile::TempDir::new().unwrap();
        let work = folder.path().join("work");
        client(
            folder.path(),
            &["init", "--quiet", "--initial-branch=trunk", "work"],
        )
        .await
        .unwrap();
        // Enough that the client sends its pack in chunks.
        let big: String = (0..400_000u64)
            .map(|n| char::from(b'a' + (n.wrapping_mul(n) % 23) as u8))
            .collect();
        std::fs::write(work.join("big"), &big).unwrap();
        client(&work, &["add", "."]).await.unwrap();
        client(&work, &["commit", "--quiet", "-m", "one"])
            .await
            .unwrap();
        client(&work, &["tag", "-a", "v1", "-m", "first"])
            .await
            .unwrap();
        client(&work, &["push", &url, "trunk", "v1"]).await.unwrap();
        let id = client(&work, &["rev-parse", "HEAD"])
            .await
            .unwrap()
            .trim()
            .to_owned();
        let branch = json!({ "repositoryName": "web", "branchName": "trunk" });
        let have = call(&sandbox, "codecommit", "GetBranch", branch.clone())
            .await
            .unwrap();
        assert_eq!(have["branch"]["commitId"], json!(id));
        let known = codecommit::find(&sandbox.world(), REGION, "web")
            .unwrap()
            .references
            .clone();
        assert_eq!(
            known["refs/tags/v1"], id,
            "an annotated tag stands for its commit"
        );

        client(folder.path(), &["clone", "--quiet", &url, "copy"])
            .await
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("copy/big")).unwrap(),
            big,
            "the default branch is checked out"
        );
        client(&work, &["push", &url, ":trunk"]).await.unwrap_err();
        client(&work, &["push", &url, "trunk:other"]).await.unwrap();
        client(&work, &["push", &url, ":other"]).await.unwrap();
        let have = call(
            &sandbox,
            "codecommit",
            "ListBranches",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        assert_eq!(have["branches"], json!(["trunk"]));
    }

    #[tokio::test]
    async fn a_compressed_request_is_understood() {
        let sandbox = with_repository().await;
        let id = sandbox
            .push(REGION, "web", "main", &files(&[("a", "1")]), "one")
            .unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"0014command=ls-refs\n0000").unwrap();
        let request = Request::post("/v1/repos/web/git-upload-pack")
            .header("content-type", "application/x-git-upload-pack-request")
            .header("content-encoding", "gzip")
            .header("git-protocol", "version=2")
            .body(Bytes::from(packed.finish().unwrap()))
            .unwrap();
        let response = sandbox.handle(request).await;
        assert_eq!(response.status(), 200);
        let have = String::from_utf8_lossy(response.body()).into_owned();
        assert!(have.contains(&format!("{id} refs/heads/main")), "{have}");
    }

    #[tokio::test]
    async fn a_repository_that_is_not_there_or_not_alone_is_refused() {
        let sandbox = with_repository().await;
        let address = listen(&sandbox).await;
        let folder = tempfile::TempDir::new().unwrap();
        let missing = client(
            folder.path(),
            &["ls-remote", &format!("http://{address}/v1/repos/none")],
        )
        .await
        .unwrap_err();
        assert!(missing.contains("not found"), "{missing}");
        call_in(
            &sandbox,
            "eu-west-1",
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        let twice = client(
            folder.path(),
            &["ls-remote", &format!("http://{address}/v1/repos/web")],
        )
        .await
        .unwrap_err();
        assert!(twice.contains("409"), "{twice}");
        client(
            folder.path(),
            &[
                "ls-remote",
                &format!("http://{address}/v1/repos/web@eu-west-1"),
            ],
        )
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn what_was_pushed_survives_a_restart() {
        let folder = tempfile::TempDir::new().unwrap();
        let options = Options {
            speed: 1.0,
            data: Some(folder.path().to_owned()),
        };
        let sandbox = Sandbox::new(&options).unwrap();
        call(
            &sandbox,
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        let first = sandbox
            .push(REGION, "web", "main", &files(&[("a", "1")]), "one")
            .unwrap();
        sandbox.save().unwrap();
        drop(sandbox);
        let sandbox = Sandbox::new(&options).unwrap();
        assert_eq!(
            codecommit::head(&sandbox.world(), REGION, "web", "main")
                .unwrap()
                .id,
            first
        );
        let second = sandbox
            .push(REGION, "web", "main", &files(&[("a", "2")]), "two")
            .unwrap();
        let have = call(
            &sandbox,
            "codecommit",
            "GetCommit",
            json!({ "repositoryName": "web", "commitId": second }),
        )
        .await
        .unwrap();
        assert_eq!(have["commit"]["parents"], json!([first]));
    }
}
