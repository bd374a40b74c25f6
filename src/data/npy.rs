//! Reads NumPy's arrays, `.npy`, and archives of them, `.npz`: a zip file with one `.npy` for each array (NumPy
//! enhancement proposal 1).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use zip::ZipArchive;

use super::npy_header::{Header, Kind};
use super::zipped;
use crate::files;
use crate::{Error, Result};

pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The most bytes of all arrays read from one file: 4 GiB.
const MAX_BYTES: u64 = 4 << 30;

/// The numbers of a NumPy array, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// 64-bit floating-point numbers.
    F64(Vec<f64>),
    /// Floating point of 32 or 16 bits, and truth values as 0 and 1.
    F32(Vec<f32>),
    /// Unsigned bytes (uint8).
    U8(Vec<u8>),
    /// Whole numbers of all other types, as 64-bit integers.
    I64(Vec<i64>),
}

/// An array of numbers with its shape, row-major, as NumPy has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The array's shape, as NumPy has it.
    pub shape: Vec<usize>,
    /// The array's values, as many as the dimensions of its shape multiplied.
    pub numbers: Numbers,
}

impl Numbers {
    /// The element type as NumPy's headers write it.
    #[cfg_attr(not(feature = "generation"), expect(dead_code, reason = "for those who write"))]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::F64(_) => "<f8",
            Self::F32(_) => "<f4",
            Self::U8(_) => "|u1",
            Self::I64(_) => "<i8",
        }
    }

    /// Returns floating-point numbers as f64; `None` for integers.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Self::F64(values) => Some(values.clone()),
            Self::F32(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Self::U8(_) | Self::I64(_) => None,
        }
    }
}

/// The content of an array: numbers or texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Contents {
    Numbers(Array),
    /// Texts, and the shape.
    Texts(Vec<usize>, Vec<String>),
}

/// Reads those arrays of an .npz file that `wanted` names and that are there: numbers of any type and byte order, row-major or
/// column-major, compressed or not. Others are not looked into, and nothing in any is executed.
///
/// # Errors
/// `BadFile` for what is no such archive, is damaged, holds texts or objects there, and for more than 4 GiB in all, or than
/// 64 times the file and 256 MiB.
pub fn read_npz(path: impl AsRef<Path>, wanted: &[&str]) -> Result<BTreeMap<String, Array>> {
    let path = path.as_ref();
    let found = read_contents(path, wanted)?;
    let numbers = found.into_iter().map(|(name, contents)| match contents {
        Contents::Numbers(array) => Ok((name, array)),
        Contents::Texts(..) => Err(Error::bad_file(
            path,
            format_args!("array {name} holds texts, but has to hold numbers"),
        )),
    });
    numbers.collect()
}

/// Reads arrays of numbers or texts from an archive.
pub(super) fn read_contents(path: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Contents>> {
    let most = files::room(path)?.min(MAX_BYTES);
    read(zipped::archive(path)?, wanted, most).map_err(|reason| Error::bad_file(path, reason))
}

/// Returns the names of the arrays in an .npz file.
///
/// # Errors
/// `BadFile` for what is no such archive.
pub fn npz_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let archive = zipped::archive(path.as_ref())?;
    let names =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.into()));
    Ok(names.collect())
}

/// Reads one array, as [`read_npz`] does.
///
/// # Errors
/// The errors of [`read_npz`].
pub(super) fn read_npy(path: &Path) -> Result<Contents> {
    let mut most = files::room(path)?.min(MAX_BYTES);
    let length = open(path)?.get_ref().metadata().map_or(0, |about| about.len());
    array(open(path)?, length, &mut most).map_err(|reason| Error::bad_file(path, reason))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    files::open(path).map(BufReader::new)
}

fn read(
    mut archive: ZipArchive<impl Read + Seek>,
    wanted: &[&str],
    mut left: u64,
) -> std::result::Result<BTreeMap<String, Contents>, String> {
    let mut arrays = BTreeMap::new();
    for place in 0..archive.len() {
        let entry = archive.by_index(place).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?;
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        if wanted.contains(&name.as_str()) {
            let length = entry.size();
            let array =
                array(entry, length, &mut left).map_err(|reason| format!("{name}: {reason}"))?;
            arrays.insert(name, array);
        }
    }
    Ok(arrays)
}

/// Reads one array of `length` bytes, and subtracts its size from the bytes that are `left`.
fn array(
    mut entry: impl Read,
    length: u64,
    left: &mut u64,
) -> std::result::Result<Contents, String> {
    let mut take = |length: u64| {
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(length).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 == length => Ok(bytes),
            Ok(read) => Err(format!(
                "the array is cut off: only {read} of its next {length} bytes are there"
            )),
            Err(error) => Err(error.to_string()),
        }
    };
    let start = take(8)?;
    if !start.starts_with(MAGIC) {
        return Err("the first bytes are not those of an .npy file".into());
    }
    let header_length = match start.get(6) {
        Some(1) => take(2)?,
        _ => take(4)?,
    };
    let header_length =
        header_length.iter().rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    if header_length > 1 << 16 {
        return Err(format!("the header has {header_length} bytes, but at most 65536 are read"));
    }
    let text = String::from_utf8(take(header_length)?).map_err(|error| error.to_string())?;
    let header = Header::parse(&text)?;
    let (bytes, held) = header
        .sizes()
        .ok_or_else(|| format!("the header {text:?} describes an array of 2^64 bytes or more"))?;
    if bytes > length {
        return Err(format!(
            "the array is cut off: for the shape {:?} it needs {bytes} bytes, but {length} are there",
            header.shape
        ));
    }
    let most = *left;
    if held > most {
        let (kind, shape) = (&header.descr, &header.shape);
        return Err(format!(
            "an array of {kind} with shape {shape:?} is too large: at most {most} more bytes are read"
        ));
    }
    *left -= held;
    let bytes = take(bytes)?;
    // An archive's sum is checked where its array ends: at the end of reading, which has to be reached.
    if entry.read(&mut [0]).map_err(|error| error.to_string())? != 0 {
        return Err("more bytes follow the array".into());
    }
    Ok(header.contents(&bytes))
}

impl Header {
    /// Decodes the bytes of an array, as many as [`Header::sizes`] says.
    pub(super) fn contents(self, bytes: &[u8]) -> Contents {
        let order = |numbers| {
            let (shape, columns) = (&self.shape, self.columns);
            Array {
                shape: self.shape.clone(),
                numbers: match numbers {
                    Numbers::F64(all) => Numbers::F64(rows(all, shape, columns)),
                    Numbers::F32(all) => Numbers::F32(rows(all, shape, columns)),
                    Numbers::U8(all) => Numbers::U8(rows(all, shape, columns)),
                    Numbers::I64(all) => Numbers::I64(rows(all, shape, columns)),
                },
            }
        };
        match self.kind {
            Kind::Text { width, wide } => {
                let texts = bytes.chunks_exact(width).map(|text| self.text(text, wide)).collect();
                Contents::Texts(self.shape.clone(), rows(texts, &self.shape, self.columns))
            }
            Kind::Number(convert) => Contents::Numbers(order(convert(bytes, self.big_endian))),
        }
    }

    /// Decodes a text without its padding.
    fn text(&self, bytes: &[u8], wide: bool) -> String {
        let text: String = if wide {
            let letter = |four: &[u8; 4]| {
                let number = if self.big_endian {
                    u32::from_be_bytes(*four)
                } else {
                    u32::from_le_bytes(*four)
                };
                char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
            };
            bytes.as_chunks().0.iter().map(letter).collect()
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        };
        text.trim_end_matches('\0').to_owned()
    }
}

/// Reorders an array from Fortran's order, in which the first index runs fastest, to rows.
fn rows<T: Clone>(all: Vec<T>, shape: &[usize], columns: bool) -> Vec<T> {
    if !columns || shape.len() < 2 {
        return all;
    }
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for side in shape {
        strides.push(stride);
        stride *= side;
    }
    let mut index = vec![0_usize; shape.len()];
    let mut made = Vec::with_capacity(all.len());
    for _ in 0..all.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        made.extend(all.get(at).cloned());
        for (i, side) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    /// A `.npy` file's bytes.
    fn npy(kind: &str, columns: bool, shape: &str, bytes: &[u8]) -> Vec<u8> {
        let order = if columns { "True" } else { "False" };
        let header =
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..]].concat();
        [&start, header.as_bytes(), bytes].concat()
    }

    /// Makes an archive of zero-filled arrays of the given sizes, and one entry that is no array.
    fn archive(arrays: &[(&str, usize)]) -> Cursor<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut put = |name: &str, bytes: &[u8]| {
            archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        };
        for (name, length) in arrays {
            put(name, &npy("|u1", false, &format!("({length},)"), &vec![0; *length]));
        }
        put("pickled", b"no array");
        archive.finish().unwrap()
    }

    #[test]
    fn the_bound_is_on_all_that_are_wanted() {
        let file = archive(&[("a", 600), ("b", 300), ("c", 200)]);
        let names = |wanted: &[&str]| {
            let read = read(ZipArchive::new(file.clone()).unwrap(), wanted, 1000);
            read.map(|arrays| arrays.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(names(&["b", "a", "d"]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["c", "b"]).unwrap(), ["b", "c"]);
        let error = names(&["a", "b", "c"]).unwrap_err();
        assert_eq!(
            error,
            "c: an array of |u1 with shape [200] is too large: at most 100 more bytes are read"
        );
        assert!(names(&["pickled"]).unwrap_err().contains("pickled: "));
    }

    #[test]
    fn every_flip_in_an_archive_is_seen_or_changes_nothing() {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("x.npy", SimpleFileOptions::default()).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        archive.write_all(&npy("|u1", false, "(256,)", &bytes)).unwrap();
        let whole = archive.finish().unwrap().into_inner();
        let read = |bytes: Vec<u8>| {
            let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
            read(archive, &["x"], 1 << 20)
        };
        let wanted = read(whole.clone()).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            if let Ok(found) = read(flipped) {
                assert!(found.is_empty() || found == wanted, "byte {at}");
            }
        }
    }

    #[test]
    fn types_orders_and_texts() {
        let read = |kind, columns, shape, bytes: &[u8]| {
            let file = npy(kind, columns, shape, bytes);
            array(&file[..], file.len() as u64, &mut 1000)
        };
        let numbers = |kind, bytes: &[u8]| match read(kind, false, "(2,)", bytes).unwrap() {
            Contents::Numbers(array) => array.numbers,
            texts @ Contents::Texts(..) => panic!("{texts:?}"),
        };
        assert_eq!(numbers(">u2", &[1, 0, 0, 7]), Numbers::I64(vec![256, 7]));
        assert_eq!(numbers("<i2", &[0xff, 0xff, 7, 0]), Numbers::I64(vec![-1, 7]));
        assert_eq!(numbers("|i1", &[0xfe, 7]), Numbers::I64(vec![-2, 7]));
        assert_eq!(numbers("|b1", &[1, 0]), Numbers::F32(vec![1.0, 0.0]));
        assert_eq!(numbers(">f2", &[0x3c, 0, 0xc0, 0]), Numbers::F32(vec![1.0, -2.0]));
        assert_eq!(
            numbers(
                ">f8",
                &[[0x3f, 0xf0], [0; 2], [0; 2], [0; 2], [0x40, 0], [0; 2], [0; 2], [0; 2]].concat()
            ),
            Numbers::F64(vec![1.0, 2.0])
        );
        let texts =
            read("<U2", false, "(2,)", &[97, 0, 0, 0, 0, 0, 0, 0, 0xe9, 0, 0, 0, 98, 0, 0, 0]);
        assert_eq!(texts.unwrap(), Contents::Texts(vec![2], vec!["a".into(), "éb".into()]));
        // Two rows of three, by columns.
        let columns = read("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6]).unwrap();
        let wanted = Array { shape: vec![2, 3], numbers: Numbers::U8(vec![1, 2, 3, 4, 5, 6]) };
        assert_eq!(columns, Contents::Numbers(wanted));
        for (kind, shape, bytes, reason) in [
            ("|O", "(1,)", 8, "objects"),
            ("<c8", "(1,)", 8, "<c8"),
            ("|u1", "(3,)", 2, "cut off"),
            ("|u1", "(3,)", 4, "more bytes follow"),
            ("<f8", "(4294967296, 4294967296)", 8, "2^64 bytes or more"),
        ] {
            let error = read(kind, false, shape, &vec![0; bytes]).unwrap_err();
            assert!(error.contains(reason), "{kind}: {error}");
        }
    }
}
