//! Recognises files that people take for checkpoints but that are of another kind (compressed files, HDF5, web pages and others),
//! and says what to do with them.

use crate::files::{Checked, Input};
use std::io::{Read, Seek};

/// Beginnings of files, in lower case, and what such a file is.
const KINDS: [(&[u8], &str); 9] = [
    (b"\x1f\x8b", "compressed by gzip: unpack it with gunzip first"),
    (b"bzh", "compressed by bzip2: unpack it with bunzip2 first"),
    (b"\xfd7zxz", "compressed by xz: unpack it with unxz first"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard: unpack it with unzstd first"),
    (
        b"\x89hdf",
        "an HDF5 file, as Keras writes them, which is not read: export the network as ONNX",
    ),
    (b"<!doctype html", WEB),
    (b"<html", WEB),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS in place of the file: git lfs pull brings the file itself",
    ),
    (b"\x93numpy", "a NumPy array, which is not read as weights: save them with safetensors"),
];
const WEB: &str = "a web page in place of the file, as some servers send it before a download: get the file itself";

/// The position of a tar archive's mark.
const TAR: u64 = 257;
const TAR_MAGIC: &[u8] = b"ustar";

/// Says what a file is, if it is empty or of a known kind that cannot be read as a checkpoint.
pub fn kind<R: Read + Seek>(input: &mut Input<R>) -> Checked<Option<&'static str>> {
    if input.length() == 0 {
        return Ok(Some("an empty file"));
    }
    let mut first = [0; 24];
    let known = first.get_mut(..input.length().min(24) as usize).unwrap_or_default();
    input.section(0, input.length())?;
    input.fill(known)?;
    known.make_ascii_lowercase();
    if let Some((_, kind)) = KINDS.iter().find(|(begin, _)| first.starts_with(begin)) {
        return Ok(Some(kind));
    }
    if input.length() > TAR + TAR_MAGIC.len() as u64 {
        input.section(TAR, TAR_MAGIC.len() as u64)?;
        if input.bytes(TAR_MAGIC.len() as u64)? == TAR_MAGIC {
            return Ok(Some("a tar archive: unpack it with tar -xf first"));
        }
    }
    Ok(None)
}
