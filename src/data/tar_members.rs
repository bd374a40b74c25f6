//! Reads the files of a tar archive one by one. A long name or an extended header of more than 64 KiB is an error, and so is an
//! archive that was cut off between two files.

use std::fs::File;
use std::io::{self, Read};

use tar::{Archive, Entries, Entry, EntryType};

use crate::files;

/// Bytes of a name or an extended header.
const LONGEST: u64 = 1 << 16;
/// The bytes of a header, to whose multiples files are filled up.
const BLOCK: u64 = 512;

type Checked<T> = std::result::Result<T, String>;

/// Calls `each` with the name and content of every file in a tar archive, and skips the bytes that `each` does not read.
///
/// # Errors
/// For what is no regular file, what `each` refuses, and an archive that is damaged or has no end.
pub(super) fn of_file(
    path: &std::path::Path,
    each: impl FnMut(&str, &mut Entry<'_, File>) -> Checked<()>,
) -> Checked<()> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let file = files::open(path).map_err(|error| match error {
        crate::Error::BadFile { reason, .. } => reason,
        other => other.to_string(),
    })?;
    let length = file.metadata().map_err(|error| failed(&error))?.len();
    let mut archive = Archive::new(file);
    let entries = archive.entries_with_seek().map_err(|error| failed(&error))?.raw(true);
    let end = members(entries, each)?;
    if length < end + BLOCK { Err(cut_off(end, length)) } else { Ok(()) }
}

/// Calls `each` with the files of a stream, as [`of_file`] does; the stream is read to its end, so that whoever unpacks
/// it checks its sum.
///
/// # Errors
/// The errors of [`of_file`].
pub(super) fn of_stream<R: Read>(
    stream: R,
    each: impl FnMut(&str, &mut Entry<'_, Counted<R>>) -> Checked<()>,
) -> Checked<()> {
    let mut archive = Archive::new(Counted { inner: stream, count: 0 });
    let entries = archive.entries().map_err(|error| error.to_string())?.raw(true);
    let end = members(entries, each)?;
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| error.to_string())?;
    if rest.count < end + BLOCK { Err(cut_off(end, rest.count)) } else { Ok(()) }
}

fn cut_off(end: u64, length: u64) -> String {
    format!(
        "cut off: the archive has {length} bytes, without an end mark after its last file, which ends at byte {end}"
    )
}

/// A stream that counts the bytes read from it.
pub(super) struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// Returns the position at which the last file ends.
fn members<R: Read>(
    entries: Entries<'_, R>,
    mut each: impl FnMut(&str, &mut Entry<'_, R>) -> Checked<()>,
) -> Checked<u64> {
    let (mut long, mut end) = (None, 0);
    for entry in entries {
        let mut entry = entry.map_err(|error| error.to_string())?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let bytes = bounded(&mut entry)?;
                long = Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned());
            }
            EntryType::XHeader => long = extended_name(&bounded(&mut entry)?)?.or(long),
            EntryType::Regular | EntryType::Continuous => {
                let own = || String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let name = long.take().unwrap_or_else(own);
                each(&name, &mut entry).map_err(|reason| format!("{name}: {reason}"))?;
            }
            _ => long = None,
        }
    }
    Ok(end)
}

fn bounded(entry: &mut Entry<'_, impl Read>) -> Checked<Vec<u8>> {
    let (size, mut bytes) = (entry.size(), Vec::new());
    if size > LONGEST {
        return Err(format!(
            "a file's name or extended header has {size} bytes, but at most {LONGEST} are read"
        ));
    }
    entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// `path` of an extended header, whose records are `LENGTH KEY=VALUE` with a line feed behind.
fn extended_name(mut bytes: &[u8]) -> Checked<Option<String>> {
    let mut name = None;
    while !bytes.is_empty() {
        let wrong = || "an invalid extended header".to_owned();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let space = bytes.iter().position(|&byte| byte == b' ').ok_or_else(wrong)?;
        let length = bytes.get(..space).map(text).and_then(|text| text.parse::<usize>().ok());
        let length = length.filter(|&length| length > space + 1).ok_or_else(wrong)?;
        let record = bytes.get(space + 1..length).ok_or_else(wrong)?;
        if let Some(value) = record.strip_prefix(b"path=") {
            name = Some(text(value).trim_end_matches('\n').to_owned());
        }
        if record.starts_with(b"size=") {
            return Err("a file in the archive has 8 GiB or more".into());
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of two files, one with a long name.
    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("a".to_owned(), &b"first"[..]), ("b".repeat(150), b"second")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn names(bytes: &[u8]) -> Checked<Vec<String>> {
        let mut names = Vec::new();
        of_stream(bytes, |name, _| {
            names.push(name.to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    #[test]
    fn no_truncation_goes_unseen() {
        let whole = archive();
        assert_eq!(names(&whole).unwrap(), ["a".to_owned(), "b".repeat(150)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        // The last block of the two at the end is of no matter.
        for length in (0..=whole.len() - 1024).step_by(64) {
            assert!(names(&whole[..length]).is_err(), "{length}");
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(of_file(&path, |_, _| Ok(())).is_err(), "{length}");
        }
        std::fs::write(&path, &whole).unwrap();
        of_file(&path, |_, _| Ok(())).unwrap();
    }

    #[test]
    fn long_headers_are_bounded() {
        for kind in [EntryType::GNULongName, EntryType::XHeader] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(1 << 32);
            header.set_cksum();
            let bytes = [header.as_bytes().as_slice(), &[b'a'; 4096]].concat();
            assert!(names(&bytes).unwrap_err().contains("4294967296 bytes"), "{kind:?}");
        }
        assert_eq!(extended_name(b"11 path=ab\n").unwrap(), Some("ab".into()));
        assert!(extended_name(b"99 path=ab\n").is_err() && extended_name(b"x").is_err());
    }
}
