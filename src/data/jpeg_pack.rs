//! Reads small JPEG pictures that are packed into a few files: `train.jpgs` and `test.jpgs` hold records of a label (a byte), a
//! length (u16, little endian) and the picture without the JPEG tables that all of them share. `head.bin` holds the shared
//! tables: followed by a picture's bytes they make a JPEG file.

use std::path::Path;

use super::about::About;
use super::dataset::Part;
use super::pictures::Pictures;
use super::places::Places;
use crate::files;
use crate::{Error, Result};

/// Bytes of a file.
const MOST: u64 = 4 << 30;
const HEAD: &str = "head.bin";
/// The bytes of a record's label and length.
const RECORD_HEAD: usize = 3;

/// Whether a folder is a pack of JPEG files.
pub(super) fn is_jpeg_pack(folder: &Path) -> bool {
    folder.join(HEAD).is_file()
}

/// The pictures of a part, nothing decoded. `classes` is the highest training label plus one for both parts.
///
/// # Errors
/// `BadFile` where a file is missing, ends within a record, or a test label is one that training does not know.
pub(super) fn jpeg_pack(folder: &Path, part: Part) -> Result<Pictures> {
    let read = |name: &str| {
        let path = folder.join(name);
        files::read(&path, MOST)
    };
    let file = folder.join(format!("{part}.jpgs"));
    let (labels, ranges) = records(&file, &read(&format!("{part}.jpgs"))?)?;
    let known = match part {
        Part::Train => None,
        Part::Test => Some(records(&folder.join("train.jpgs"), &read("train.jpgs")?)?.0),
    };
    let highest = known.as_ref().unwrap_or(&labels).iter().max();
    let classes = highest.map_or(0, |&label| label + 1);
    let places = Places::Ranges { files: vec![file.clone()], ranges, head: read(HEAD)? };
    Pictures::new(&file, places, labels, About::numbered(), classes)
}

/// Labels and places of a file's records.
type Records = (Vec<u32>, Vec<(u32, u64, u32)>);

fn records(path: &Path, bytes: &[u8]) -> Result<Records> {
    let (mut labels, mut ranges, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some([label, low, high, ..]) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (start, length) = (at + RECORD_HEAD, u16::from_le_bytes([*low, *high]));
        at = start + usize::from(length);
        labels.push(u32::from(*label));
        ranges.push((0, start as u64, u32::from(length)));
    }
    if at != bytes.len() {
        let reason = format!(
            "it ends at byte {}, in the middle of record {} (counted from 1)",
            bytes.len(),
            labels.len()
        );
        return Err(Error::bad_file(path, reason));
    }
    Ok((labels, ranges))
}
