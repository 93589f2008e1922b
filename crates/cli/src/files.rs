//! Writing files so that nobody ever finds half of them. Must not decide what is written, or where.

use std::fs;
use std::io::{Error, ErrorKind, Result, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes `files` (name and content) into `folder`, which is made if it is missing: all of them or none. Each is written
/// beside its place first and moved there whole; what was there is put back where a later one can't be moved.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut waiting = Vec::new();
    for (name, contents) in files {
        let place = folder.join(name);
        if place.is_dir() {
            return Err(Error::new(
                ErrorKind::IsADirectory,
                format!("{name} is a folder there"),
            ));
        }
        waiting.push((place, prepare(folder, contents)?));
    }
    let mut moved = Vec::new();
    for (place, file) in waiting {
        let before = fs::read(&place).ok();
        if let Err(error) = file.persist(&place) {
            put_back(moved);
            return Err(error.error);
        }
        moved.push((place, before));
    }
    Ok(())
}

fn prepare(folder: &Path, contents: &str) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ecspipe-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any new file: the user's umask takes away what it should.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The error on the way here is the one to tell; a second one would only hide it.
fn put_back(moved: Vec<(std::path::PathBuf, Option<Vec<u8>>)>) {
    for (place, before) in moved {
        let _ = match before {
            Some(before) => fs::write(&place, before),
            None => fs::remove_file(&place),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A name that no file system takes is noticed only when the file is moved.
    #[test]
    fn what_was_moved_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("one", "1\n")]).unwrap();
        let long = "x".repeat(300);
        write(
            folder.path(),
            &[("one", "changed\n"), ("new", "\n"), (&long, "")],
        )
        .unwrap_err();
        assert_eq!(
            fs::read_to_string(folder.path().join("one")).unwrap(),
            "1\n"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn all_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        write(&inner, &[("one", "1\n"), ("two", "2\n")]).unwrap();
        assert_eq!(fs::read_to_string(inner.join("two")).unwrap(), "2\n");

        fs::create_dir(inner.join("three")).unwrap();
        let error = write(&inner, &[("one", "changed\n"), ("three", "3\n")]).unwrap_err();
        assert_eq!(error.to_string(), "three is a folder there");
        assert_eq!(fs::read_to_string(inner.join("one")).unwrap(), "1\n");
        let mut names: Vec<_> = fs::read_dir(&inner)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["one", "three", "two"]);
    }
}
