//! The bundle: the deployment files as one zip, the same bytes for the same content wherever and whenever it is made.
//! Must not read files or know what is in them.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::error::DeployError;

/// The most that CodePipeline's CodeDeployToECS action reads of an input artifact (AWS.md §1.2).
pub const MAX_BYTES: usize = 3 * 1024 * 1024;

/// The deployment files, zipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The zip.
    pub bytes: Vec<u8>,
    /// The zip's SHA-256 in hex.
    pub sha256: String,
}

impl Bundle {
    /// Zips `files`, name to content, in the order of their names.
    ///
    /// Nothing but name and content goes in: the time is the zip format's first (1980-01-01), the permissions are `rw-r--r--` of Unix,
    /// and nothing is compressed, because a compressor's next version may write other bytes and start a rollout for nothing.
    pub fn new(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, DeployError> {
        for name in files.keys() {
            check_name(name)?;
        }
        let bytes = zip(files).map_err(|error| DeployError::Bundle(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(DeployError::Bundle(format!(
                "it has {} bytes, a pipeline reads at most {MAX_BYTES}",
                bytes.len()
            )));
        }
        let sha256 = sha256(&bytes);
        Ok(Self { bytes, sha256 })
    }
}

/// The SHA-256 of `bytes` in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A name must stay within the folder in which the zip is opened.
fn check_name(name: &str) -> Result<(), DeployError> {
    let inside = name
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if inside && !name.contains('\\') {
        return Ok(());
    }
    Err(DeployError::Bundle(format!(
        "`{name}` is not a relative path of plain names"
    )))
}

fn zip(files: &BTreeMap<String, Vec<u8>>) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(content)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
            .collect()
    }

    /// The hash is written down: another machine, day or version of a dependency must make the same bytes, or every app
    /// would be rolled out again for nothing.
    #[test]
    fn the_same_content_is_the_same_bytes() {
        let one = Bundle::new(&files(&[
            ("taskdef.json", "{}"),
            ("appspec.yaml", "version: 0.0\n"),
        ]))
        .unwrap();
        let two = Bundle::new(&files(&[
            ("appspec.yaml", "version: 0.0\n"),
            ("taskdef.json", "{}"),
        ]))
        .unwrap();
        assert_eq!(one, two);
        assert_eq!(one.bytes.len(), 237);
        assert_eq!(
            one.sha256,
            "5e7818a948da1f2e22d1271e62683c075df4dc6a108a9ea8f0bdb1a1278546c5"
        );
    }

    #[test]
    fn other_content_is_another_hash() {
        let one = Bundle::new(&files(&[("taskdef.json", "{}")])).unwrap();
        let two = Bundle::new(&files(&[("taskdef.json", "{ }")])).unwrap();
        let three = Bundle::new(&files(&[("taskdef.jsn", "{}")])).unwrap();
        assert_ne!(one.sha256, two.sha256);
        assert_ne!(one.sha256, three.sha256);
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_readable() {
        let have = Bundle::new(&files(&[("b/two", "2"), ("a", "1")])).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(have.bytes)).unwrap();
        let mut seen = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            seen.push((file.name().unwrap().into_owned(), content, file.unix_mode()));
        }
        let mode = Some(0o100_644);
        assert_eq!(
            seen,
            [
                ("a".to_owned(), "1".to_owned(), mode),
                ("b/two".to_owned(), "2".to_owned(), mode)
            ]
        );
    }

    #[test]
    fn names_stay_inside_and_sizes_below_the_limit() {
        for name in ["", "/etc/passwd", "../up", "a//b", "a/./b", "a\\b"] {
            assert!(
                Bundle::new(&files(&[(name, "")])).is_err(),
                "{name:?} was taken"
            );
        }
        let big = BTreeMap::from([("big".to_owned(), vec![0; MAX_BYTES])]);
        let error = Bundle::new(&big).unwrap_err();
        assert!(error.to_string().contains("3145728"), "{error}");
    }
}
