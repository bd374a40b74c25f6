//! NumPy's arrays, `.npy`, and archives of them, `.npz`: a zip file with one `.npy` an array (NumPy enhancement proposal 1).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use zip::ZipArchive;

use crate::{Error, Result};

pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Of all arrays that are read of a file: 4 GiB.
const MAX_BYTES: u64 = 4 << 30;

/// Numbers of one array.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `<f8`
    F64(Vec<f64>),
    /// `<f4`
    F32(Vec<f32>),
    /// `|u1`
    U8(Vec<u8>),
    /// `<i8`
    I64(Vec<i64>),
}

/// Row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// As NumPy has it.
    pub shape: Vec<usize>,
    /// As many as the sides multiplied.
    pub numbers: Numbers,
}

impl Numbers {
    /// As NumPy's headers have it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::F64(_) => "<f8",
            Self::F32(_) => "<f4",
            Self::U8(_) => "|u1",
            Self::I64(_) => "<i8",
        }
    }

    fn from_bytes(kind: &str, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            "<f8" => {
                Self::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
            }
            "<f4" => {
                Self::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            "<i8" => {
                Self::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            "|u1" => Self::U8(bytes.to_vec()),
            _ => return None,
        })
    }

    /// Floating-point numbers of either width; none for others.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Self::F64(values) => Some(values.clone()),
            Self::F32(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Self::U8(_) | Self::I64(_) => None,
        }
    }
}

/// Reads the arrays that `wanted` names, as far as they are there: floating-point numbers, bytes and 64-bit integers,
/// compressed or not, row-major. Others are not looked into, and nothing in any is executed.
///
/// # Errors
/// `BadFile` for what is no such archive, other kinds of numbers, and more than 4 GiB in all.
pub fn read_npz(path: impl AsRef<Path>, wanted: &[&str]) -> Result<BTreeMap<String, Array>> {
    let path = path.as_ref();
    let read = |file| read(file, wanted, MAX_BYTES);
    read(open(path)?).map_err(|reason| Error::bad_file(path, reason))
}

/// The names of an archive's arrays.
///
/// # Errors
/// `BadFile` for what is no such archive.
pub fn npz_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let archive = ZipArchive::new(open(path)?).map_err(|error| Error::bad_file(path, error))?;
    let names =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.into()));
    Ok(names.collect())
}

/// Reads one array, as [`read_npz`] does.
///
/// # Errors
/// As [`read_npz`].
pub(super) fn read_npy(path: &Path) -> Result<Array> {
    array(open(path)?, &mut { MAX_BYTES }).map_err(|reason| Error::bad_file(path, reason))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| Error::bad_file(path, error))
}

fn read(
    file: impl Read + Seek,
    wanted: &[&str],
    mut left: u64,
) -> std::result::Result<BTreeMap<String, Array>, String> {
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut arrays = BTreeMap::new();
    for place in 0..archive.len() {
        let entry = archive.by_index(place).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?;
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        if wanted.contains(&name.as_str()) {
            let array = array(entry, &mut left).map_err(|reason| format!("{name}: {reason}"))?;
            arrays.insert(name, array);
        }
    }
    Ok(arrays)
}

/// Reads one and takes its bytes off those that are `left`.
fn array(mut entry: impl Read, left: &mut u64) -> std::result::Result<Array, String> {
    let mut take = |length: u64| {
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(length).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 == length => Ok(bytes),
            Ok(read) => Err(format!("cut off: {read} of {length} bytes")),
            Err(error) => Err(error.to_string()),
        }
    };
    let start = take(8)?;
    if !start.starts_with(MAGIC) {
        return Err("no .npy header".into());
    }
    let length = match start.get(6) {
        Some(1) => take(2)?,
        _ => take(4)?,
    };
    let length = length.iter().rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    if length > 1 << 16 {
        return Err(format!("a header of {length} bytes, at most 65536 wanted"));
    }
    let text = String::from_utf8(take(length)?).map_err(|error| error.to_string())?;
    let after = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
    let kind = after("descr").and_then(|rest| rest.strip_prefix('\'')?.split('\'').next());
    let ordered = after("fortran_order").is_some_and(|rest| rest.starts_with("False"));
    let sides = after("shape").and_then(|rest| rest.strip_prefix('(')?.split(')').next());
    let (Some(kind), Some(sides)) = (kind, sides) else {
        return Err(format!("a header that tells no type and shape: {text:?}"));
    };
    let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> = sides
        .map(|side| side.parse().map_err(|_| format!("a side of {side:?}")))
        .collect::<std::result::Result<_, _>>()?;
    let width = match kind {
        "<f8" | "<i8" => 8,
        "<f4" => 4,
        "|u1" => 1,
        other => return Err(format!("numbers of type {other}, <f8, <f4, <i8 or |u1 wanted")),
    };
    if !ordered && shape.len() > 1 {
        return Err("in Fortran's order, row-major wanted".into());
    }
    let bytes =
        shape.iter().try_fold(width, |product: u64, &side| product.checked_mul(side as u64));
    let most = *left;
    let bytes = bytes.filter(|&bytes| bytes <= most);
    let bytes =
        bytes.ok_or_else(|| format!("{kind} of {shape:?}, at most {most} bytes more wanted"))?;
    *left -= bytes;
    let numbers = Numbers::from_bytes(kind, &take(bytes)?);
    Ok(Array { shape, numbers: numbers.ok_or("numbers of an unknown type")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    /// An archive of arrays of so many bytes each, all zero, and one that is no array.
    fn archive(arrays: &[(&str, usize)]) -> Cursor<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut put = |name: &str, bytes: &[u8]| {
            archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        };
        for (name, length) in arrays {
            let header =
                format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({length},), }}\n");
            let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..]].concat();
            put(name, &[&start, header.as_bytes(), &vec![0; *length]].concat());
        }
        put("pickled", b"no array");
        archive.finish().unwrap()
    }

    #[test]
    fn the_bound_is_on_all_that_are_wanted() {
        let file = archive(&[("a", 600), ("b", 300), ("c", 200)]);
        let names = |wanted: &[&str]| {
            let read = read(file.clone(), wanted, 1000);
            read.map(|arrays| arrays.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(names(&["b", "a", "d"]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["c", "b"]).unwrap(), ["b", "c"]);
        let error = names(&["a", "b", "c"]).unwrap_err();
        assert_eq!(error, "c: |u1 of [200], at most 100 bytes more wanted");
        assert!(names(&["pickled"]).unwrap_err().contains("pickled: "));
    }
}
