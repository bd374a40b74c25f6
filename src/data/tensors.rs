//! Reads arrays of images and labels from safetensors files (<https://huggingface.co/docs/safetensors>), as
//! `lapidary attack --out` and other tools write them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::npy::{Array, Contents, Numbers};
use crate::files;
use crate::{Error, Result};

/// Longest header, in bytes: a data set has a few arrays, and each takes a hundred.
const LONGEST: u64 = 1 << 20;

/// The names of a file's arrays.
///
/// # Errors
/// `BadFile` for what is no such file, or is cut off.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let found = header(path).map_err(|reason| Error::bad_file(path, reason))?;
    Ok(found.2.offset_keys())
}

/// Reads the arrays that `wanted` names, as far as they are there. What is allocated is at most four times the file.
///
/// # Errors
/// The errors of [`names`], and for numbers of no usual type.
pub(super) fn read(path: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Contents>> {
    let all = || {
        let (mut file, start, header) = header(path)?;
        let mut arrays = BTreeMap::new();
        for name in wanted {
            let Some(info) = header.info(name) else { continue };
            let wrong = |reason: String| format!("{name}: {reason}");
            let array = array(&mut file, start, info).map_err(wrong)?;
            arrays.insert((*name).to_owned(), Contents::Numbers(array));
        }
        Ok(arrays)
    };
    all().map_err(|reason: String| Error::bad_file(path, reason))
}

/// Returns the open file, the position where its numbers begin, and its header, which was checked against the file.
fn header(path: &Path) -> std::result::Result<(File, u64, Metadata), String> {
    let mut file = files::open(path).map_err(|error| error.to_string())?;
    let failed = |error: std::io::Error| error.to_string();
    let length = file.metadata().map_err(failed)?.len();
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(|_| "cut off, or not a safetensors file")?;
    let header = u64::from_le_bytes(first);
    if header > LONGEST.min(length.saturating_sub(8)) {
        return Err(format!(
            "the header says that it has {header} bytes, but the file has {length} bytes, and headers of at most {LONGEST} bytes are read"
        ));
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes).map_err(failed)?;
    let found: Metadata = serde_json::from_slice(&bytes)
        .map_err(|error| format!("not a safetensors file: {error}"))?;
    let end = found.data_len() as u64;
    if 8 + header + end != length {
        return Err(format!(
            "the file has {length} bytes, but the header describes {}: it is cut off, or something follows it",
            8 + header + end
        ));
    }
    Ok((file, 8 + header, found))
}

fn array(file: &mut File, start: u64, info: &TensorInfo) -> std::result::Result<Array, String> {
    let (first, end) = info.data_offsets;
    let failed = |error: std::io::Error| error.to_string();
    file.seek(SeekFrom::Start(start + first as u64)).map_err(failed)?;
    let mut bytes = vec![0; end.saturating_sub(first)];
    file.read_exact(&mut bytes).map_err(failed)?;
    fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)).collect()
    }
    let numbers = match info.dtype {
        Dtype::U8 => Numbers::U8(bytes),
        Dtype::BOOL => {
            Numbers::F32(bytes.iter().map(|&byte| f32::from(u8::from(byte != 0))).collect())
        }
        Dtype::I8 => Numbers::I64(each(&bytes, |bytes| i8::from_le_bytes(bytes).into())),
        Dtype::I16 => Numbers::I64(each(&bytes, |bytes| i16::from_le_bytes(bytes).into())),
        Dtype::U16 => Numbers::I64(each(&bytes, |bytes| u16::from_le_bytes(bytes).into())),
        Dtype::I32 => Numbers::I64(each(&bytes, |bytes| i32::from_le_bytes(bytes).into())),
        Dtype::U32 => Numbers::I64(each(&bytes, |bytes| u32::from_le_bytes(bytes).into())),
        Dtype::I64 => Numbers::I64(each(&bytes, i64::from_le_bytes)),
        Dtype::F16 => Numbers::F32(each(&bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Numbers::F32(each(&bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        Dtype::F32 => Numbers::F32(each(&bytes, f32::from_le_bytes)),
        Dtype::F64 => Numbers::F64(each(&bytes, f64::from_le_bytes)),
        other => {
            return Err(format!("numbers of type {other:?} cannot be images or labels"));
        }
    };
    Ok(Array { shape: info.shape.clone(), numbers })
}
