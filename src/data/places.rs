//! Where pictures lie, in files of their own, in archives, or in memory: reads each by its number, and describes a damaged one.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::about::About;
use super::decode;
use super::picture::Picture;
use super::tiny_images;
use super::zipped::Entry;
use crate::Error;
use crate::files;

/// All pictures of a folder or archive, of which a list of pictures is a selection.
pub(super) struct All {
    pub origin: PathBuf,
    pub places: Places,
    /// The labels of the pictures; empty for pictures without labels, which count as of class 0.
    pub labels: Vec<u32>,
    pub classes: u32,
    pub about: About,
    pub max_bad: f64,
    /// The reasons why pictures cannot be read, by the pictures' numbers.
    pub damaged: Mutex<BTreeMap<u32, String>>,
}

/// The places of the pictures' bytes.
pub(super) enum Places {
    /// Pictures that are a file each.
    Files(Vec<PathBuf>),
    /// Pictures within files, at (number of the file, first byte, length), each to be put after `head`.
    Ranges { files: Vec<PathBuf>, ranges: Vec<(u32, u64, u32)>, head: Vec<u8> },
    /// Pictures in a zip archive.
    Zipped { file: PathBuf, entries: Vec<Entry> },
    /// Encoded pictures in memory, read from tables, in which they lie packed together: each with the number of its file.
    #[cfg(feature = "parquet")]
    Held { files: Vec<PathBuf>, held: Vec<(u32, Box<[u8]>)> },
    /// A file of raw images in the format of 80 Million Tiny Images.
    TinyImages { file: PathBuf, count: u32 },
}

impl Places {
    pub fn len(&self) -> usize {
        match self {
            Self::Files(files) => files.len(),
            Self::Ranges { ranges, .. } => ranges.len(),
            Self::Zipped { entries, .. } => entries.len(),
            #[cfg(feature = "parquet")]
            Self::Held { held, .. } => held.len(),
            Self::TinyImages { count, .. } => *count as usize,
        }
    }
}

impl All {
    pub fn label(&self, number: u32) -> u32 {
        self.labels.get(number as usize).copied().unwrap_or(0)
    }

    /// Returns the file of a picture, if the file is there no more.
    pub fn gone(&self, number: u32) -> Option<&Path> {
        let file = match &self.places {
            Places::Files(files) => files.get(number as usize),
            Places::Ranges { files, ranges, .. } => {
                ranges.get(number as usize).and_then(|(file, ..)| files.get(*file as usize))
            }
            Places::TinyImages { file, .. } | Places::Zipped { file, .. } => Some(file),
            #[cfg(feature = "parquet")]
            Places::Held { .. } => None,
        };
        file.filter(|file| !file.exists()).map(PathBuf::as_path)
    }

    pub fn read(&self, number: u32) -> std::result::Result<Picture, String> {
        let bytes = self.bytes(number)?;
        if let Places::TinyImages { .. } = self.places {
            return Ok(tiny_images::picture(&bytes));
        }
        decode::decode(&bytes).map_err(|reason| self.described(number, &reason))
    }

    /// Returns the encoded bytes of a picture, or the reason why they cannot be read.
    pub fn bytes(&self, number: u32) -> std::result::Result<Vec<u8>, String> {
        let failed = |error: &dyn fmt::Display| self.described(number, error);
        let at = number as usize;
        let missing = || failed(&format_args!("there is no picture {number}"));
        match &self.places {
            Places::TinyImages { file, .. } => {
                let start = u64::from(number) * tiny_images::BYTES as u64;
                let bytes = range(file, start, tiny_images::BYTES, Vec::new());
                bytes.map_err(|error| failed(&error))
            }
            #[cfg(feature = "parquet")]
            Places::Held { held, .. } => {
                held.get(at).map(|(_, bytes)| bytes.to_vec()).ok_or_else(missing)
            }
            Places::Zipped { file, entries } => {
                let entry = entries.get(at).ok_or_else(missing)?;
                entry.read(file).map_err(|error| failed(&error))
            }
            Places::Files(files) => {
                let path = files.get(at).ok_or_else(missing)?;
                decode::encoded(path).map_err(|error| error.to_string())
            }
            Places::Ranges { files, ranges, head } => {
                let (file, start, length) = ranges.get(at).ok_or_else(missing)?;
                let file = files.get(*file as usize).ok_or_else(missing)?;
                let bytes = range(file, *start, *length as usize, head.clone());
                bytes.map_err(|error| failed(&error))
            }
        }
    }

    /// Describes a damaged picture: the reason and its place.
    pub fn described(&self, number: u32, reason: &dyn fmt::Display) -> String {
        let place = match &self.places {
            Places::Files(files) => files.get(number as usize).map(|path| (path, None)),
            Places::Ranges { files, ranges, .. } => {
                let found = ranges.get(number as usize);
                found.and_then(|&(file, start, _)| Some((files.get(file as usize)?, Some(start))))
            }
            Places::Zipped { file, entries } => {
                entries.get(number as usize).map(|entry| (file, Some(entry.start)))
            }
            #[cfg(feature = "parquet")]
            Places::Held { files, held } => held
                .get(number as usize)
                .and_then(|(file, _)| Some((files.get(*file as usize)?, Some(number.into())))),
            Places::TinyImages { file, .. } => Some((file, None)),
        };
        match place {
            Some((path, Some(start))) => {
                let reason = format!("picture {number} (counted from 0) at byte {start}: {reason}");
                Error::bad_file(path, reason).to_string()
            }
            Some((path, None)) => Error::bad_file(path, reason).to_string(),
            None => reason.to_string(),
        }
    }
}

/// Reads some bytes of a file and appends them to the given ones. The file is opened for this alone, which takes ten
/// microseconds, so that nothing is held open.
fn range(path: &Path, start: u64, length: usize, head: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut file = files::open(path).map_err(std::io::Error::other)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = head;
    let before = bytes.len();
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() - before < length {
        return Err(std::io::Error::other(format!("the file ends within its {length} bytes")));
    }
    Ok(bytes)
}
