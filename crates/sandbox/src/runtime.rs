//! What a task answers. The built-in runtime serves the files that a Dockerfile copied; an image that the sandbox
//! didn't build gets a plain page that names it. A container engine can be added behind [`Runtime`].
//! Must not know tasks, target groups or weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::faults::TaskFault;

/// An image's content, as far as the built-in runtime needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The image it was built `FROM`.
    pub base: String,
    /// Copied files by absolute path in the image, base64 in the saved state.
    pub files: BTreeMap<String, Content>,
    /// The ports it `EXPOSE`s.
    pub ports: Vec<u16>,
    /// The folder that is served; derived from the base image's convention and what was copied.
    pub root: Option<String>,
    /// The processors that it was built for, as Docker calls them: `amd64`, `arm64`. None: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// What its tasks are to suffer, by a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<TaskFault>,
}

/// A file's bytes, base64 in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = String::deserialize(deserializer)?;
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// What a task answers to one HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// The body.
    pub body: bytes::Bytes,
}

impl Page {
    /// Plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.as_bytes())
    }

    fn new(status: u16, content_type: &str, body: &[u8]) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            body: bytes::Bytes::copy_from_slice(body),
        }
    }
}

/// One HTTP request to a task.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What the image holds; `None` where the sandbox didn't build it.
    pub image: Option<&'a Image>,
    /// The image's URI.
    pub uri: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The path, with or without a query.
    pub path: &'a str,
}

/// What answers for a task. A container engine would be another one.
pub trait Runtime {
    /// The answer to a request.
    fn answer(&self, request: &Request<'_>) -> Page;
}

/// The built-in runtime: the files of an image that the sandbox built, and a plain page for any other image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files;

impl Runtime for Files {
    fn answer(&self, request: &Request<'_>) -> Page {
        let Some(image) = request.image else {
            return foreign(request);
        };
        let path = request.path.split(['?', '#']).next().unwrap_or_default();
        let path = percent_encoding::percent_decode_str(path)
            .decode_utf8_lossy()
            .into_owned();
        image.serve(&path)
    }
}

/// The sandbox didn't build it and runs no containers: a page that says so, good on every path, so that health checks pass.
fn foreign(request: &Request<'_>) -> Page {
    let body = format!(
        "This is {}, in task {}.\nThe sandbox does not run containers: an image that it did not build answers with this page.\n",
        request.uri, request.task
    );
    Page::text(200, &body)
}

/// Where well-known web servers look for files, and the port that they listen on without any configuration.
const SERVERS: &[(&str, &str, u16)] = &[
    ("httpd", "/usr/local/apache2/htdocs", 80),
    ("nginx", "/usr/share/nginx/html", 80),
    ("caddy", "/usr/share/caddy", 80),
];

impl Image {
    /// Whether it runs on a processor.
    pub(crate) fn runs_on(&self, processor: &str) -> bool {
        self.architectures.is_empty() || self.architectures.iter().any(|built| built == processor)
    }

    /// The folder that is served: the given one, the base image's convention, or the one with an `index.html`.
    pub fn served(&self) -> Option<&str> {
        if let Some(root) = &self.root {
            return Some(root.trim_end_matches('/'));
        }
        if let Some((_, folder, _)) = self.server() {
            return Some(folder);
        }
        let indexes = self
            .files
            .keys()
            .filter_map(|path| path.strip_suffix("/index.html"));
        indexes.min_by_key(|folder| folder.matches('/').count())
    }

    /// Whether something listens on the port: one that is exposed, the server's own, or any, where none is known.
    pub fn listens(&self, port: u16) -> bool {
        let own = self.server().map(|(_, _, port)| *port);
        self.ports.contains(&port) || own == Some(port) || (self.ports.is_empty() && own.is_none())
    }

    fn server(&self) -> Option<&'static (&'static str, &'static str, u16)> {
        let name = self.base.split(['@', ':']).next().unwrap_or_default();
        // A registry's port is before the last slash, the repository's name after it.
        let name = if self.base.contains('/') {
            self.base.rsplit('/').next().unwrap_or_default()
        } else {
            name
        };
        let name = name.split(['@', ':']).next().unwrap_or_default();
        SERVERS.iter().find(|(server, ..)| *server == name)
    }

    fn serve(&self, path: &str) -> Page {
        let Some(root) = self.served() else {
            return Page::text(
                404,
                "the image holds no folder that could be served: copy an index.html into it\n",
            );
        };
        let Some(path) = normal(path) else {
            return Page::text(400, "bad path\n");
        };
        let file = format!("{root}{path}");
        let candidates = [
            file.clone(),
            format!("{}/index.html", file.trim_end_matches('/')),
        ];
        let found = candidates
            .iter()
            .find_map(|name| Some((name, self.files.get(name)?)));
        match found {
            Some((name, Content(bytes))) => Page::new(200, content_type(name), bytes),
            None => match self.files.get(&format!("{root}/404.html")) {
                Some(Content(bytes)) => Page::new(404, "text/html", bytes),
                None => Page::new(
                    404,
                    "text/html",
                    b"<!DOCTYPE html><title>404 Not Found</title><h1>Not Found</h1>\n",
                ),
            },
        }
    }
}

/// The path with its dots resolved; `None` where it leaves the root.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

fn content_type(name: &str) -> &'static str {
    match name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "txt" | "md" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image(base: &str, files: &[(&str, &str)]) -> Image {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Content(text.as_bytes().to_vec())));
        Image {
            base: base.to_owned(),
            files: files.collect(),
            ..Image::default()
        }
    }

    fn get(image: Option<&Image>, path: &str) -> (u16, String, String) {
        let page = Files.answer(&Request {
            image,
            uri: "repo/web:1",
            task: "t",
            path,
        });
        (
            page.status,
            page.content_type,
            String::from_utf8(page.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn files_are_served_from_the_folder_of_the_base_image() {
        for (base, root) in [
            ("httpd:2.4.58", "/usr/local/apache2/htdocs"),
            (
                "public.ecr.aws/docker/library/httpd:2.4",
                "/usr/local/apache2/htdocs",
            ),
            ("registry:5000/nginx@sha256:00", "/usr/share/nginx/html"),
            ("alpine", "/app"),
        ] {
            let image = image(
                base,
                &[
                    (&format!("{root}/index.html"), "home"),
                    (&format!("{root}/a b/index.html"), "folder"),
                    (&format!("{root}/style.css"), "css"),
                    ("/etc/passwd", "secret"),
                ],
            );
            assert_eq!(
                get(Some(&image), "/"),
                (200, "text/html".into(), "home".into()),
                "{base}"
            );
            assert_eq!(get(Some(&image), "/a%20b/?x=1").2, "folder");
            assert_eq!(get(Some(&image), "/a%20b").2, "folder");
            assert_eq!(get(Some(&image), "/style.css").1, "text/css");
            assert_eq!(get(Some(&image), "/none").0, 404);
            assert_eq!(get(Some(&image), "/../../../../etc/passwd").0, 400);
        }
    }

    #[test]
    fn a_given_root_and_a_page_for_what_is_missing_win() {
        let mut image = image(
            "alpine",
            &[
                ("/site/index.html", "home"),
                ("/site/404.html", "lost"),
                ("/index.html", "other"),
            ],
        );
        image.root = Some("/site/".to_owned());
        assert_eq!(get(Some(&image), "/").2, "home");
        assert_eq!(
            get(Some(&image), "/none"),
            (404, "text/html".into(), "lost".into())
        );
    }

    #[test]
    fn a_foreign_image_names_itself_on_every_path() {
        let (status, kind, body) = get(None, "/any");
        assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
        assert!(body.contains("repo/web:1") && body.contains("task t"));
    }

    #[test]
    fn an_image_listens_where_it_says() {
        let mut image = image("httpd", &[]);
        assert!(image.listens(80) && !image.listens(8080));
        image.ports.push(8080);
        assert!(image.listens(80) && image.listens(8080) && !image.listens(81));
        image.base = "alpine".to_owned();
        assert!(!image.listens(80));
        image.ports.clear();
        assert!(image.listens(80));
    }
}
