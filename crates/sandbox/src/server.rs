//! The loopback server: the AWS endpoint on one port, and every balancer listener on a port of its own.
//! Must not listen on anything but 127.0.0.1, nor decide what is answered.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balancer::{self, Inquiry, ListenerFacts, Served};
use crate::{Error, Sandbox, lock, wire, world};

/// Larger bodies are refused: nothing that goes to these services is larger (S3's single PUT is limited likewise here).
const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// How often timers are looked at, in real time.
const TICK: Duration = Duration::from_millis(100);
/// How often a changed state is saved at most.
const SAVE: Duration = Duration::from_secs(1);
/// How long open connections may take to finish at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running server. Dropped without [`Server::stop`], it stops at once and doesn't save.
#[derive(Debug)]
pub struct Server {
    sandbox: Sandbox,
    port: u16,
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// The listeners' sockets of a running server.
#[derive(Debug)]
pub(crate) struct Sockets {
    open: BTreeMap<String, Socket>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

#[derive(Debug)]
struct Socket {
    port: u16,
    stop: CancellationToken,
}

impl Sandbox {
    /// Listens on `127.0.0.1:port` (0: any free port), lets time pass, opens a port for each balancer listener, and
    /// saves the state as it changes. Must be called within a tokio runtime.
    pub fn serve(&self, port: u16) -> Result<Server, Error> {
        let listener = bind(port).map_err(|source| Error::Port { port, source })?;
        let port = listener
            .local_addr()
            .map_err(|source| Error::Port { port, source })?
            .port();
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let sandbox = self.clone();
        let answer = move |request| endpoint(sandbox.clone(), request);
        tracker.spawn(accept(listener, stop.clone(), tracker.clone(), answer));
        let sockets = Sockets {
            open: BTreeMap::new(),
            stop: stop.clone(),
            tracker: tracker.clone(),
        };
        *lock(&self.inner.sockets) = Some(sockets);
        self.reconcile();
        let saved = self.inner.changes.load(Ordering::Relaxed);
        tracker.spawn(tick(self.clone(), saved, stop.clone()));
        Ok(Server {
            sandbox: self.clone(),
            port,
            stop,
            tracker,
        })
    }

    /// The URL on this machine of a balancer's listener, while a server runs.
    pub fn listener_url(&self, arn: &str) -> Option<String> {
        let sockets = lock(&self.inner.sockets);
        let socket = sockets.as_ref()?.open.get(arn)?;
        Some(format!("http://127.0.0.1:{}", socket.port))
    }

    /// Opens a socket for each new listener and closes those of listeners that are gone. Without a server: nothing.
    pub(crate) fn reconcile(&self) {
        let mut sockets = lock(&self.inner.sockets);
        let Some(sockets) = sockets.as_mut() else {
            return;
        };
        let facts = balancer::facts(&self.world());
        sockets.open.retain(|arn, socket| {
            let wanted = facts.iter().any(|listener| listener.arn == *arn);
            if !wanted {
                socket.stop.cancel();
            }
            wanted
        });
        for listener in facts {
            if !sockets.open.contains_key(&listener.arn) {
                self.open(sockets, &listener);
            }
        }
    }

    fn open(&self, sockets: &mut Sockets, listener: &ListenerFacts) {
        let remembered = self.world().ports.get(&listener.arn).copied();
        // Ports below 1024 need rights that a sandbox shouldn't have.
        let own = Some(listener.port).filter(|port| *port >= 1024);
        let candidates = [remembered, own, Some(0)].into_iter().flatten();
        let Some(socket) = candidates.into_iter().find_map(|port| bind(port).ok()) else {
            tracing::warn!(
                listener = listener.arn,
                "no local port is free for a listener; trying again"
            );
            return;
        };
        let Ok(port) = socket.local_addr().map(|address| address.port()) else {
            return;
        };
        self.world().ports.insert(listener.arn.clone(), port);
        self.inner.changes.fetch_add(1, Ordering::Relaxed);
        let stop = sockets.stop.child_token();
        let (sandbox, arn) = (self.clone(), listener.arn.clone());
        let answer = move |request| traffic(sandbox.clone(), arn.clone(), request);
        sockets.tracker.spawn(accept(
            socket,
            stop.clone(),
            sockets.tracker.clone(),
            answer,
        ));
        sockets
            .open
            .insert(listener.arn.clone(), Socket { port, stop });
    }
}

impl Server {
    /// The port of the AWS endpoint.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the AWS endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops listening, lets open requests finish, and saves the state.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(FAREWELL, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("some connections did not end in time");
        }
        self.sandbox.save()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        *lock(&self.sandbox.inner.sockets) = None;
    }
}

/// Lets time pass and saves what has changed.
async fn tick(sandbox: Sandbox, mut saved: u64, stop: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut next_save = tokio::time::Instant::now() + SAVE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        sandbox.reconcile();
        let changes = sandbox.inner.changes.load(Ordering::Relaxed);
        if changes != saved && tokio::time::Instant::now() >= next_save {
            save(&sandbox).await;
            saved = changes;
            next_save = tokio::time::Instant::now() + SAVE;
        }
    }
}

/// Saves a copy, so that nobody waits for the disk.
async fn save(sandbox: &Sandbox) {
    let Some(folder) = sandbox.inner.data.clone() else {
        return;
    };
    let copy = sandbox.world().clone();
    match tokio::task::spawn_blocking(move || world::save(&copy, &folder)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the sandbox's state could not be saved"),
        Err(error) => tracing::warn!(%error, "the sandbox's state could not be saved"),
    }
}

fn bind(port: u16) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Takes connections until told to stop. `answer` gets each request.
async fn accept<A, F>(
    listener: TcpListener,
    stop: CancellationToken,
    tracker: TaskTracker,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Response<Bytes>>> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tracker.spawn(converse(stream, stop.clone(), answer.clone()));
            }
            Err(error) => {
                // Such as too many open files: others may free some.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

/// Serves one connection for as long as it is kept alive.
async fn converse<A, F>(stream: TcpStream, stop: CancellationToken, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Option<Response<Bytes>>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move {
            // An error makes hyper end the connection without an answer, which is what is meant.
            answered
                .await
                .map(|response| response.map(Full::new))
                .ok_or(Unanswered)
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct Unanswered;

/// A request to the AWS endpoint.
async fn endpoint(sandbox: Sandbox, request: Request<Incoming>) -> Option<Response<Bytes>> {
    let request = match collect(request).await {
        Ok(request) => request,
        Err(refusal) => return Some(refusal),
    };
    let response = sandbox.handle(request).await;
    (!response.headers().contains_key(wire::LOST_HEADER)).then_some(response)
}

/// A request to a balancer's listener.
async fn traffic(
    sandbox: Sandbox,
    listener: String,
    request: Request<Incoming>,
) -> Option<Response<Bytes>> {
    let request = match collect(request).await {
        Ok(request) => request,
        Err(refusal) => return Some(refusal),
    };
    let inquiry = Inquiry {
        method: request.method().to_string(),
        path_and_query: request
            .uri()
            .path_and_query()
            .map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: wire::headers(request.headers()),
    };
    let Served { page, location } = balancer::serve(&mut sandbox.world(), &listener, &inquiry);
    let builder = Response::builder()
        .status(page.status)
        .header("content-type", page.content_type);
    let builder = location.into_iter().fold(builder, |builder, location| {
        builder.header("location", location)
    });
    Some(builder.body(page.body).unwrap_or_else(|_| {
        let mut failed = Response::new(Bytes::from_static(b"the task's answer is no HTTP\n"));
        *failed.status_mut() = http::StatusCode::BAD_GATEWAY;
        failed
    }))
}

/// The request with its whole body, or the answer to one that is too large or broken.
async fn collect(request: Request<Incoming>) -> Result<Request<Bytes>, Response<Bytes>> {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            let text = format!("the request's body could not be read: {error}\n");
            Err(wire::respond(
                400,
                &[("content-type", "text/plain")],
                text.into(),
            ))
        }
    }
}

fn too_large() -> Response<Bytes> {
    let text = format!("the ecspipe sandbox takes bodies of at most {LARGEST_BODY} bytes\n");
    wire::respond(
        413,
        &[("content-type", "text/plain"), ("connection", "close")],
        text.into(),
    )
}

#[cfg(test)]
mod tests;
