//! Checks the paths that a command will write to before its work begins: a name that cannot be written is an error at once, and
//! not when the work is done.

use std::fs::{File, remove_file};
use std::path::Path;

use crate::{Error, Result};

/// Checks that a file can be written at a path; an existing one is replaced.
///
/// # Errors
/// `BadFile` where the folder is not there or nothing can be written in it, or where a folder has the name.
pub fn check(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::bad_file(path, "it is a folder, but a file is to be written"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let reason = format_args!("its folder {} does not exist", folder.display());
        return Err(Error::bad_file(path, reason));
    }
    let tried = folder.join(format!(".lapidary-{}.part", std::process::id()));
    let made = File::create_new(&tried).map(drop).and_then(|()| remove_file(&tried));
    made.map_err(|error| Error::bad_file(path, error))
}

#[cfg(test)]
#[test]
fn what_cannot_be_written_is_told_and_nothing_is_left() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| Error::bad_file("temporary", error))?;
    check(&folder.path().join("new.npz"))?;
    assert!(check(folder.path()).is_err());
    let lost = check(&folder.path().join("none/new.npz"));
    assert!(lost.is_err_and(|error| error.to_string().contains("does not exist")));
    assert!(std::fs::read_dir(folder.path()).is_ok_and(|mut all| all.next().is_none()));
    Ok(())
}
