//! Writes files so that they are there whole or not at all.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a file under a temporary name, waits until it is on disk, and renames it: a process that is killed at any moment leaves
/// the old file or the new one. Only one writer may write a path at a time.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    stream_atomically(path, |file| {
        file.write_all(bytes).map_err(|error| Error::bad_file(path, error))
    })
}

/// Writes a file atomically in pieces, for contents that are never whole in memory: `write` is given the open file.
pub fn stream_atomically(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let wrong = |error: std::io::Error| Error::bad_file(path, error);
    let Some(name) = path.file_name() else {
        return Err(Error::bad_file(path, "this is not the name of a file"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".part");
    let part = path.with_file_name(hidden);
    let written = || -> Result<()> {
        let mut file = File::create(&part).map_err(wrong)?;
        write(&mut file)?;
        file.sync_all().and_then(|()| fs::rename(&part, path)).map_err(wrong)
    };
    if let Err(error) = written() {
        // What could not be written is of no use; that it cannot be removed either adds nothing.
        _ = fs::remove_file(&part);
        return Err(error);
    }
    sync_folder(path);
    Ok(())
}

/// The rename itself reaches the disk with the folder. Not all file systems can do it, and the file is
/// whole either way.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    }
}
