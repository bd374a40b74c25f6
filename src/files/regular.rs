//! Opens and reads regular files only, and no more bytes than asked for.

use std::fs::File;
#[cfg(feature = "data")]
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Opens a regular file, and refuses pipes, devices and links to them, which would block for ever or never end.
///
/// # Errors
/// `BadFile` for what is not there, cannot be opened, or is no regular file.
pub fn open(path: &Path) -> Result<File> {
    let failed =
        |error: std::io::Error| Error::bad_file(path, format_args!("cannot be opened: {error}"));
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        let found = if about.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
        return Err(Error::bad_file(path, format_args!("it is {found}, not a file")));
    }
    File::open(path).map_err(failed)
}

/// Reads a whole file that has at most `most` bytes.
///
/// # Errors
/// The errors of [`open`], and for a longer file, of which nothing is read.
#[cfg(feature = "data")]
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::bad_file(path, error);
    let file = open(path)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > most {
        return Err(Error::bad_file(
            path,
            format_args!("it has {length} bytes, but at most {most} are read"),
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Reads the text of a file: a configuration, a list, the state of an evaluation.
///
/// # Errors
/// The errors of [`open`], for more bytes than [`room`] allows, and for bytes that are not UTF-8.
#[cfg(feature = "data")]
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read(path, room(path)?)?;
    String::from_utf8(bytes).map_err(|error| Error::bad_file(path, error))
}

/// The number of bytes that reading any file may take, however small it is.
#[cfg(feature = "data")]
pub const SMALL: u64 = 256 << 20;
/// The number of bytes, beyond [`SMALL`], that reading a file may take for each byte of the file.
#[cfg(feature = "data")]
pub const GROWTH: u64 = 64;

/// Returns the number of bytes that reading a file may take. Packed images are some ten times smaller than their pixels; a
/// file that grows a thousandfold was made to fill memory. Holes of a file count as nothing.
///
/// # Errors
/// The errors of [`open`].
#[cfg(feature = "data")]
pub fn room(path: &Path) -> Result<u64> {
    let about = open(path)?.metadata().map_err(|error| Error::bad_file(path, error))?;
    Ok(SMALL + GROWTH * occupied(&about).min(about.len()))
}

/// Bytes that a file takes on the disk.
#[cfg(all(feature = "data", unix))]
fn occupied(about: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(about).saturating_mul(512)
}

#[cfg(all(feature = "data", not(unix)))]
fn occupied(about: &std::fs::Metadata) -> u64 {
    about.len()
}
