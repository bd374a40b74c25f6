//! Reads zip archives and pictures in them, each unpacked when it is asked for.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::tree::Tree;
use crate::files;
use crate::{Error, Result};

/// The most bytes of one unpacked file, beyond sixteen times its packed size: pictures are packed already.
const MOST: u64 = 64 << 20;

/// The position of a file's bytes in the archive.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub start: u64,
    packed: u64,
    pub size: u64,
    deflated: bool,
    checksum: u32,
}

/// Opens an archive whose members all have names of their own: which of two a reader would take is its own affair, so that two
/// programs would see two data sets in the file.
///
/// # Errors
/// `BadFile` for what is no archive, and where members share a name.
pub(super) fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
    let archive =
        ZipArchive::new(BufReader::new(files::open(path)?)).map_err(|error| failed(&error))?;
    let listed =
        members(&mut BufReader::new(files::open(path)?), archive.central_directory_start());
    let (listed, names) = (listed.map_err(|error| failed(&error))?, archive.len() as u64);
    if listed != names {
        let reason = format!(
            "two of the archive's {listed} files have the same name: only {names} names differ"
        );
        return Err(failed(&reason));
    }
    Ok(archive)
}

/// Returns the number of members that the archive's directory at `start` lists.
fn members(file: &mut (impl Read + Seek), start: u64) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    let mut count = 0;
    let mut head = [0; 46];
    while file.read_exact(&mut head).is_ok() && head.starts_with(b"PK\x01\x02") {
        // The lengths of the name, of what else is said and of a comment follow each other.
        let [.., a, b, c, d, e, f, _, _, _, _, _, _, _, _, _, _, _, _] = head;
        let lengths = [[a, b], [c, d], [e, f]].map(|bytes| i64::from(u16::from_le_bytes(bytes)));
        file.seek_relative(lengths.iter().sum())?;
        count += 1;
    }
    Ok(count)
}

/// All names of an archive, and where their bytes are.
///
/// # Errors
/// `BadFile` for what is no such archive, and for encrypted files or ones that are packed in another way than `deflate`.
pub(super) fn entries(path: &Path) -> Result<(Tree, Vec<Entry>)> {
    let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
    let mut archive = archive(path)?;
    let (mut tree, mut entries) = (Tree::default(), Vec::new());
    for place in 0..archive.len() {
        let entry = archive.by_index_raw(place).map_err(|error| failed(&error))?;
        // Some programs for Windows part folders by backslashes.
        let name = entry.name().map_err(|error| failed(&error))?.replace('\\', "/");
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                return Err(failed(&format_args!(
                    "{name} is compressed by {other}, but only deflate can be read"
                )));
            }
        };
        if entry.encrypted() {
            return Err(failed(&format_args!("{name} is encrypted")));
        }
        let start = entry.data_start().ok_or_else(|| {
            failed(&format_args!("the zip archive does not say where {name} lies"))
        })?;
        tree.add(&name, entries.len());
        entries.push(Entry {
            start,
            packed: entry.compressed_size(),
            size: entry.size(),
            deflated,
            checksum: entry.crc32(),
        });
    }
    tree.files.sort();
    Ok((tree, entries))
}

impl Entry {
    /// Returns the bytes of a file in a zip archive, or the reason why they cannot be read.
    pub fn read(&self, archive: &Path) -> std::result::Result<Vec<u8>, String> {
        let most = MOST + 16 * self.packed;
        if self.size > most {
            return Err(format!(
                "the archive says that the file has {} bytes unpacked and {} compressed, but at most {most} unpacked are allowed",
                self.size, self.packed
            ));
        }
        let mut file: File = files::open(archive).map_err(|error| error.to_string())?;
        file.seek(SeekFrom::Start(self.start)).map_err(|error| error.to_string())?;
        let packed = file.take(self.packed);
        let mut bytes = Vec::new();
        let read = if self.deflated {
            DeflateDecoder::new(packed).take(self.size + 1).read_to_end(&mut bytes)
        } else {
            packed.take(self.size + 1).read_to_end(&mut bytes)
        };
        read.map_err(|error| error.to_string())?;
        if bytes.len() as u64 != self.size || crc32fast::hash(&bytes) != self.checksum {
            return Err("damaged: the checksum is not the one in the archive".into());
        }
        Ok(bytes)
    }
}
