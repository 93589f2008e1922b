//! A sandbox as a process of its own: reached over its port, pushed to by git, and started anew from its data folder.

use std::path::Path;
use std::process::Command;

use ecspipe_sandbox::{Options, Sandbox};

use super::stage::{AUTOMATIC, Ran, Surroundings, TUTORIAL, built};

/// Runs a command against the sandbox on a port, as `--sandbox=PORT` does; nothing is shared with it in the process.
async fn run(folder: &Path, port: u16, args: &str) -> Ran {
    Surroundings::new(folder)
        .run(&format!("{args} --sandbox={port}"))
        .await
}

fn git(folder: &Path, args: &[&str]) {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ])
        .envs([
            ("GIT_AUTHOR_NAME", "you"),
            ("GIT_AUTHOR_EMAIL", "you@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "you"),
            ("GIT_COMMITTER_EMAIL", "you@example.com"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn page(url: &str) -> String {
    let client: hyper_util::client::legacy::Client<_, http_body_util::Empty<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let response = client.get(url.parse().unwrap()).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_survives_a_restart_of_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    // Its clock goes on while a busy machine takes its time.
    let patient = TUTORIAL.replace("within: 60m", "within: 24h");
    std::fs::write(folder.path().join("ecspipe.yaml"), patient).unwrap();
    let options = Options {
        speed: 120.0,
        data: Some(folder.path().join("account")),
    };

    let sandbox = Sandbox::new(&options).unwrap();
    let server = sandbox.serve(0).unwrap();
    let port = server.port();
    run(folder.path(), port, "up --yes").await.exits(0);
    run(
        folder.path(),
        port,
        "deploy --image nginx:1.27 --until ready",
    )
    .await
    .exits(8);
    let urls = run(folder.path(), port, "outputs --format json")
        .await
        .exits(0)
        .json();
    let production = urls["production_url"].as_str().unwrap().to_owned();
    let test = urls["test_url"].as_str().unwrap().to_owned();
    server.stop().await.unwrap();
    drop(sandbox);
    run(folder.path(), port, "status")
        .await
        .exits(7)
        .says(&["no sandbox answers"]);

    let sandbox = Sandbox::new(&options).unwrap();
    let server = sandbox.serve(port).unwrap();
    run(folder.path(), port, "plan --exit-code").await.exits(0);
    let again = run(folder.path(), port, "outputs --format json")
        .await
        .exits(0)
        .json();
    assert_eq!(again, urls);
    assert!(page(&production).await.starts_with("This is httpd:2.4.58"));
    assert!(page(&test).await.starts_with("This is nginx:1.27"));
    run(folder.path(), port, "watch --until ready")
        .await
        .exits(8);
    run(folder.path(), port, "reroute").await.exits(0);
    run(folder.path(), port, "watch")
        .await
        .exits(0)
        .says(&["succeeded"]);
    assert!(page(&production).await.starts_with("This is nginx:1.27"));
    run(folder.path(), port, "down --yes --delete-source")
        .await
        .exits(0);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_by_git_starts_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ecspipe.yaml"), AUTOMATIC).unwrap();
    let sandbox = Sandbox::new(&Options {
        speed: 240.0,
        data: None,
    })
    .unwrap();
    let server = sandbox.serve(0).unwrap();
    let port = server.port();
    run(folder.path(), port, "up --yes").await.exits(0);
    let outputs = run(folder.path(), port, "outputs --format json")
        .await
        .exits(0)
        .json();
    let url = outputs["clone_url_http"].as_str().unwrap();

    git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(folder.path().join("index.html"), "<h1>pushed</h1>\n").unwrap();
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM httpd:2.4.58\nCOPY index.html /usr/local/apache2/htdocs/\n",
    )
    .unwrap();
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "a page"]);
    git(folder.path(), &["push", "--quiet", url, "main"]);
    run(folder.path(), port, "watch").await.exits(0).says(&[
        "started by event rule web-source",
        "\"a page\"",
        "succeeded",
    ]);
    assert_eq!(
        page(outputs["production_url"].as_str().unwrap()).await,
        "<h1>pushed</h1>\n"
    );

    // `deploy --push` waits for the next one.
    std::fs::write(folder.path().join("index.html"), "<h1>again</h1>\n").unwrap();
    let surroundings = Surroundings::new(folder.path());
    let command = format!("deploy --push --sandbox={port}");
    let (ran, ()) = tokio::join!(surroundings.run(&command), async {
        super::failure::until(&surroundings, "waiting for the pipeline to start by itself").await;
        git(
            folder.path(),
            &["commit", "--quiet", "--all", "--message", "another page"],
        );
        git(folder.path(), &["push", "--quiet", url, "main"]);
    });
    ran.exits(0).says(&["another page", "succeeded"]);
    assert_eq!(
        page(outputs["production_url"].as_str().unwrap()).await,
        "<h1>again</h1>\n"
    );

    // What the image consists of is fetched over the same port.
    let arm = AUTOMATIC.replace("port: 80", "port: 80, architecture: arm64");
    std::fs::write(folder.path().join("ecspipe.yaml"), arm).unwrap();
    let command = format!("deploy --image {}", built(&sandbox, "web"));
    run(folder.path(), port, &command)
        .await
        .exits(4)
        .says(&["is for amd64, the tasks ask for arm64"]);
    server.stop().await.unwrap();
}
