//! Zips in memory, both ways. Must not touch files of this machine.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use zip::write::SimpleFileOptions;

/// Files by path, with `/` between folders.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// How much a zip may hold unpacked. A container's context is far below; it keeps a bad zip from taking all memory.
const LIMIT: u64 = 512 * 1024 * 1024;

/// The files of a zip; no bytes at all are an empty one. Folders, and paths that lead out of the archive, are left out.
pub(crate) fn read(bytes: &[u8]) -> Result<Files, String> {
    if bytes.is_empty() {
        return Ok(Files::new());
    }
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut files = Files::new();
    let mut room = LIMIT;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| error.to_string())?;
        let path = file.enclosed_name().filter(|_| file.is_file());
        let Some(path) = path.map(|path| path.to_string_lossy().replace('\\', "/")) else {
            continue;
        };
        let mut content = Vec::new();
        file.take(room + 1)
            .read_to_end(&mut content)
            .map_err(|error| error.to_string())?;
        room = room
            .checked_sub(content.len() as u64)
            .ok_or_else(|| format!("the archive holds more than {LIMIT} bytes"))?;
        files.insert(path, content);
    }
    Ok(files)
}

/// A zip of the files: the same bytes for the same files.
pub(crate) fn write(files: &Files) -> Result<Vec<u8>, String> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    for (path, content) in files {
        writer
            .start_file(path.as_str(), options)
            .map_err(|error| error.to_string())?;
        writer
            .write_all(content)
            .map_err(|error| error.to_string())?;
    }
    writer
        .finish()
        .map(Cursor::into_inner)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Files, read, write};

    #[test]
    fn what_is_written_is_read() {
        let files = Files::from([
            ("a/b.txt".to_owned(), b"one".to_vec()),
            ("c".to_owned(), Vec::new()),
        ]);
        assert_eq!(read(&write(&files).unwrap()).unwrap(), files);
        assert_eq!(read(b"").unwrap(), Files::new());
        assert!(read(b"no zip").is_err());
    }
}
