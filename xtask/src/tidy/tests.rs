//! Each rule against a sample that keeps it and one that breaks it.
//!
//! Must not read the repository: a rule that only ever saw a tidy tree may be blind.

use super::imports::{Dependency, Package};
use super::{Document, changelog, expected, imports, licences, manifest, source};

const MEMBER: &str = r#"
[package]
name = "sample"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
serde.workspace = true
tokio = { workspace = true, features = ["rt"] }

[dev-dependencies]
sample = { path = ".", features = ["fake"] }
"#;

/// What the rules for a source file say, as `line: text`.
fn source_findings(path: &str, text: &str) -> Vec<String> {
    source::check(path, text)
        .into_iter()
        .map(|finding| format!("{}: {}", finding.line, finding.text))
        .collect()
}

fn breaks(path: &str, text: &str, want: &str) {
    let have = source_findings(path, text);
    assert!(
        have.len() == 1 && have[0].contains(want),
        "want one finding with `{want}`, have {have:?}"
    );
}

fn keeps(path: &str, text: &str) {
    assert_eq!(source_findings(path, text), Vec::<String>::new());
}

fn member_breaks(from: &str, to: &str, want: &str) {
    let text = MEMBER.replace(from, to);
    assert_ne!(text, MEMBER);
    let have = manifest::check_member("sample/Cargo.toml", &text);
    assert!(
        have.len() == 1 && have[0].text.contains(want),
        "want one finding with `{want}`, have {have:?}"
    );
}

fn package(name: &str, dependencies: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        dependencies: dependencies
            .iter()
            .map(|name| Dependency {
                name: (*name).to_owned(),
                development: false,
            })
            .collect(),
    }
}

fn crate_with(licence: &str) -> licences::Package {
    licences::Package {
        name: "sample".to_owned(),
        licence: Some(licence.to_owned()),
        source: None,
    }
}

#[test]
fn a_file_opens_with_its_header() {
    keeps("a.rs", "//! What it is for.\nfn a() {}\n");
    breaks("a.rs", "fn a() {}\n", "does not open with");
    breaks("a.rs", "// A comment.\nfn a() {}\n", "does not open with");
    keeps("a.sh", "echo\n");
}

#[test]
fn unfinished_code_is_found_but_not_in_text() {
    breaks("a.rs", "//! A.\nfn a() { todo!() }\n", "2: `todo!`");
    breaks(
        "a.rs",
        "//! A.\nfn a() { unimplemented!() }\n",
        "2: `unimplemented!`",
    );
    keeps("a.rs", "//! A todo!\nconst A: &str = \"todo!\"; // todo!\n");
    keeps(
        "a.rs",
        "//! A.\nconst A: &str = r#\"a \" todo!\"#; /* todo! /* todo! */ todo! */\n",
    );
    breaks(
        "a.rs",
        "//! A.\nconst A: char = '\"'; fn a() { todo!() }\n",
        "2: `todo!`",
    );
    breaks(
        "a.rs",
        "//! A.\nfn a<'a>(_: &'a str) { todo!() }\n",
        "2: `todo!`",
    );
}

#[test]
fn a_test_runs_and_does_not_sleep() {
    breaks("a.rs", "//! A.\n#[ignore]\nfn a() {}\n", "does not run");
    breaks(
        "a.rs",
        "//! A.\n#[ignore = \"slow\"]\nfn a() {}\n",
        "does not run",
    );
    breaks(
        "a.rs",
        "//! A.\nfn a() { std::thread::sleep(b); }\n",
        "thread::sleep",
    );
    breaks(
        "a.rs",
        "//! A.\n#[cfg(test)]\nmod tests {\n    fn a() { tokio::time::sleep(b); }\n}\n",
        "4: a test must not sleep",
    );
    breaks(
        "tests/a.rs",
        "//! A.\nfn a() { tokio::time::sleep(b); }\n",
        "must not sleep",
    );
    breaks(
        "crates/a/src/tests.rs",
        "//! A.\nfn a() { time::sleep(b); }\n",
        "must not sleep",
    );
    keeps(
        "a.rs",
        "//! A.\nfn a() { tokio::time::sleep(b); }\n#[cfg(test)]\nmod tests {}\n",
    );
    keeps(
        "a.rs",
        "//! A.\n#[cfg(test)]\nmod tests;\nfn a() { tokio::time::sleep(b); }\n",
    );
}

#[test]
fn a_waiver_has_a_reason_and_a_library_does_not_print() {
    breaks(
        "crates/spec/src/a.rs",
        "//! A.\n#![allow(clippy::disallowed_methods)]\n",
        "needs `reason",
    );
    keeps(
        "crates/spec/src/a.rs",
        "//! A.\n#![expect(clippy::disallowed_methods, reason = \"goldens are files\")]\n",
    );
    breaks(
        "crates/spec/src/a.rs",
        "//! A.\n#[allow(clippy::print_stdout)]\nfn a() {}\n",
        "only the CLI",
    );
    for path in ["crates/cli/src/a.rs", "crates/spec/benches/a.rs"] {
        keeps(path, "//! A.\n#[allow(clippy::print_stdout)]\nfn a() {}\n");
    }
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    breaks("a.py", "open('/home/me/a')\n", "folder of one machine");
    breaks(
        "a.rs",
        "//! A.\nconst A: &str = \"/tmp/a\";\n",
        "2: names `/tmp/`",
    );
    breaks("a.yaml", &format!("a: /{}/.cache\n", "root"), "1: names");
    keeps("a.md", "see /tmp/a\n");
    keeps("a.sh", "cd \"$HOME/work/a\"; ls a/tmp/b ${A}/tmp/c\n");
}

#[test]
fn a_long_file_is_only_a_warning() {
    let text = "//! A.\n".repeat(1201);
    assert!(source::length("a.rs", &text).is_some());
    assert!(source::length("a.lock", &text).is_none());
    assert!(source::length("a.rs", "//! A.\n").is_none());
    keeps("a.rs", &text);
}

#[test]
fn a_member_inherits_from_the_root() {
    assert!(manifest::check_member("sample/Cargo.toml", MEMBER).is_empty());
    member_breaks(
        "version.workspace = true\nedition",
        "version = \"1.0.0\"\nedition",
        "`version`",
    );
    member_breaks("license.workspace = true\n", "", "`license`");
    member_breaks("[lints]\nworkspace = true", "", "lints are not inherited");
    member_breaks(
        "serde.workspace = true",
        "serde = \"1\"",
        "dependencies.serde",
    );
    member_breaks(
        "{ workspace = true, f",
        "{ version = \"1\", f",
        "dependencies.tokio",
    );
    member_breaks(
        "path = \".\"",
        "path = \"../other\"",
        "dev-dependencies.sample",
    );
}

#[test]
fn the_root_sets_the_lints() {
    let lints = "[workspace.lints.rust]\nunsafe_code = 1\nmissing_docs = 1\nunreachable_pub = 1\n\
                 [workspace.lints.clippy]\nall = 1\nunwrap_used = 1\nprint_stdout = 1\nprint_stderr = 1\n\
                 dbg_macro = 1\ntodo = 1\nexit = 1\n";
    assert!(manifest::check_root(lints).is_empty());
    let have = manifest::check_root(&lints.replace("unwrap_used = 1\n", ""));
    assert_eq!(have.len(), 1);
    assert!(have[0].text.contains("clippy::unwrap_used"));
}

#[test]
fn imports_go_one_way() {
    let keeps = [
        package("ecspipe-spec", &["serde"]),
        package("ecspipe-aws", &["ecspipe-deploy", "aws-sdk-ecs"]),
        package("ecspipe", &["ecspipe-aws", "clap", "clap_complete"]),
    ];
    assert!(imports::check(&keeps).is_empty());
    for (name, dependency) in [
        ("ecspipe-render", "ecspipe-provision"),
        ("ecspipe-provision", "ecspipe-aws"),
        ("ecspipe-spec", "ecspipe-render"),
        ("ecspipe-sandbox", "ecspipe-provision"),
        ("ecspipe-deploy", "aws-sdk-ecs"),
        ("ecspipe-sandbox", "aws-sdk-s3"),
        ("ecspipe-spec", "tokio"),
        ("ecspipe-render", "futures"),
        ("ecspipe-provision", "clap"),
        ("ecspipe-aws", "indicatif"),
        ("ecspipe-deploy", "anyhow"),
        ("xtask", "ecspipe"),
    ] {
        let have = imports::check(&[package(name, &[dependency])]);
        assert_eq!(have.len(), 1, "{name} → {dependency}");
    }
    assert_eq!(imports::check(&[package("ecspipe-new", &[])]).len(), 1);
}

#[test]
fn development_dependencies_do_not_bind_the_product() {
    let mut sample = package("ecspipe-aws", &["ecspipe-sandbox"]);
    assert_eq!(
        imports::check(&[package("ecspipe-aws", &["ecspipe-sandbox"])]).len(),
        1
    );
    sample.dependencies[0].development = true;
    assert!(imports::check(&[sample]).is_empty());
}

#[test]
fn licences_are_read_as_expressions() {
    let deny =
        "[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Apache-2.0 WITH LLVM-exception\"]\n";
    for (licence, want) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND Apache-2.0", true),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", true),
        ("(GPL-3.0 OR MIT) AND ISC", false),
        ("MIT/GPL-3.0", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-3.0 WITH LLVM-exception", false),
        ("", false),
        ("MIT )", false),
    ] {
        let have = licences::check(deny, &[crate_with(licence)]);
        assert_eq!(have.is_empty(), want, "{licence}");
    }
}

#[test]
fn banned_crates_and_other_sources_are_found() {
    let deny =
        "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"sample\", reason = \"a\" }]\n";
    assert_eq!(licences::check(deny, &[crate_with("MIT")]).len(), 1);
    let mut other = crate_with("MIT");
    other.name = "other".to_owned();
    assert!(licences::check(deny, std::slice::from_ref(&other)).is_empty());
    other.source = Some("git+https://example.com/other".to_owned());
    assert_eq!(licences::check(deny, &[other]).len(), 1);
}

#[test]
fn the_documents_are_there() {
    let changelog_text = "# Changelog\n\n## [Unreleased]\n";
    assert!(changelog(changelog_text).is_empty());
    assert_eq!(changelog("# Changelog\n").len(), 1);
    let documents: Vec<Document> = super::EXPECTED
        .iter()
        .map(|path| Document {
            path: (*path).to_owned(),
            text: String::new(),
        })
        .collect();
    assert!(expected(&documents).is_empty());
    assert_eq!(expected(&documents[1..]).len(), 1);
}
