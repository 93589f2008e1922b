//! What a git checkout says about itself, read from its files. Must not run git, or write.

use std::fs;
use std::path::{Path, PathBuf};

/// The checkout that a folder is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Checkout {
    /// The folder as seen from the checkout's root, with `/`; empty at the root.
    pub(super) inner: String,
    /// The branch that is checked out; `None` when no branch is.
    pub(super) branch: Option<String>,
    /// The URL of the remote `origin`.
    pub(super) origin: Option<String>,
}

/// A repository in CodeCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeCommit {
    /// Its region, where the URL says it.
    pub(super) region: Option<String>,
    /// Its name.
    pub(super) repository: String,
}

/// The checkout that holds `folder`; `None` where there is none.
pub(super) fn checkout(folder: &Path) -> Option<Checkout> {
    let root = folder
        .ancestors()
        .find(|folder| folder.join(".git").exists())?;
    let git = folder_of_git(root)?;
    let inner: Vec<&str> = folder
        .strip_prefix(root)
        .ok()?
        .iter()
        .filter_map(|part| part.to_str())
        .collect();
    let head = fs::read_to_string(git.join("HEAD")).unwrap_or_default();
    let config = fs::read_to_string(shared(&git).join("config")).unwrap_or_default();
    Some(Checkout {
        inner: inner.join("/"),
        branch: head
            .trim()
            .strip_prefix("ref: refs/heads/")
            .map(ToOwned::to_owned),
        origin: origin(&config),
    })
}

/// What the URL of a remote says, if it is one of CodeCommit: HTTPS, SSH, or that of git-remote-codecommit.
pub(super) fn codecommit(remote: &str) -> Option<CodeCommit> {
    if let Some(rest) = remote.strip_prefix("codecommit::") {
        let (region, rest) = rest.split_once("://")?;
        return Some(CodeCommit {
            region: Some(region.to_owned()),
            repository: name(rest)?,
        });
    }
    if let Some(rest) = remote.strip_prefix("codecommit://") {
        return Some(CodeCommit {
            region: None,
            repository: name(rest)?,
        });
    }
    let url = url::Url::parse(remote)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "ssh"))?;
    let host = url.host_str()?;
    let host = host
        .strip_prefix("git-codecommit-fips.")
        .or_else(|| host.strip_prefix("git-codecommit."))?;
    let region = host
        .strip_suffix(".cn")
        .unwrap_or(host)
        .strip_suffix(".amazonaws.com")?;
    let repository = url.path().strip_prefix("/v1/repos/")?.trim_end_matches('/');
    (!repository.is_empty()).then(|| CodeCommit {
        region: Some(region.to_owned()),
        repository: repository.to_owned(),
    })
}

/// `[profile@]NAME`.
fn name(text: &str) -> Option<String> {
    let name = text
        .rsplit('@')
        .next()
        .unwrap_or(text)
        .trim_end_matches('/');
    (!name.is_empty()).then(|| name.to_owned())
}

/// `.git`, or, in a worktree or a submodule, the folder that the file `.git` names.
fn folder_of_git(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir:")?.trim()))
}

/// A worktree has its own HEAD, but the configuration of the repository that it belongs to.
fn shared(git: &Path) -> PathBuf {
    match fs::read_to_string(git.join("commondir")) {
        Ok(common) => git.join(common.trim()),
        Err(_) => git.to_path_buf(),
    }
}

/// The `url` of `[remote "origin"]`.
fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line
                .replace(' ', "")
                .to_lowercase()
                .starts_with("[remote\"origin\"]");
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("url")
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn remotes_of_codecommit() {
        for (remote, want) in [
            (
                "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/web",
                Some((Some("eu-central-1"), "web")),
            ),
            (
                "https://user-at-1@git-codecommit.eu-west-1.amazonaws.com/v1/repos/web/",
                Some((Some("eu-west-1"), "web")),
            ),
            (
                "https://git-codecommit-fips.us-east-1.amazonaws.com/v1/repos/web",
                Some((Some("us-east-1"), "web")),
            ),
            (
                "ssh://APKAEXAMPLE@git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/a.b",
                Some((Some("cn-north-1"), "a.b")),
            ),
            (
                "codecommit::eu-central-1://web",
                Some((Some("eu-central-1"), "web")),
            ),
            (
                "codecommit::eu-central-1://team@web",
                Some((Some("eu-central-1"), "web")),
            ),
            ("codecommit://team@web", Some((None, "web"))),
            (
                "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/",
                None,
            ),
            (
                "https://example.com/git-codecommit.eu-central-1.amazonaws.com/v1/repos/web",
                None,
            ),
            ("git@github.com:team/web.git", None),
            ("/srv/git/web", None),
        ] {
            let have = codecommit(remote);
            let have = have
                .as_ref()
                .map(|found| (found.region.as_deref(), found.repository.as_str()));
            assert_eq!(have, want, "{remote}");
        }
    }

    #[test]
    fn a_checkout_and_a_worktree_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("web");
        let worktree = folder.path().join("tree");
        fs::create_dir_all(root.join(".git/worktrees/tree")).unwrap();
        fs::create_dir_all(root.join("services/api")).unwrap();
        fs::create_dir_all(&worktree).unwrap();
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let config = "[core]\n\tbare = false\n[remote \"other\"]\n\turl = x\n[remote \"origin\"]\n\turl = codecommit://web\n";
        fs::write(root.join(".git/config"), config).unwrap();
        fs::write(
            root.join(".git/worktrees/tree/HEAD"),
            "ref: refs/heads/feature/x\n",
        )
        .unwrap();
        fs::write(root.join(".git/worktrees/tree/commondir"), "../..\n").unwrap();
        fs::write(
            worktree.join(".git"),
            format!("gitdir: {}\n", root.join(".git/worktrees/tree").display()),
        )
        .unwrap();

        let origin = Some("codecommit://web".to_owned());
        let main = Checkout {
            inner: String::new(),
            branch: Some("main".to_owned()),
            origin,
        };
        assert_eq!(checkout(&root), Some(main.clone()));
        assert_eq!(
            checkout(&root.join("services/api")),
            Some(Checkout {
                inner: "services/api".to_owned(),
                ..main.clone()
            })
        );
        assert_eq!(
            checkout(&worktree),
            Some(Checkout {
                branch: Some("feature/x".to_owned()),
                ..main
            })
        );

        fs::write(
            root.join(".git/HEAD"),
            "0123456789abcdef0123456789abcdef01234567\n",
        )
        .unwrap();
        assert_eq!(checkout(&root).unwrap().branch, None);
    }
}
