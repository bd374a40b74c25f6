//! Reads files in the idx format of MNIST and data sets like it, plain or gzip: <http://yann.lecun.com/exdb/mnist/>. A file
//! has two zero bytes, the element type, the rank, one big-endian u32 a dimension, then the elements, last dimension fastest.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::files;
use crate::{Error, Result};

/// The most elements a file may claim: 85 times Fashion-MNIST's training images.
const MAX_ELEMENTS: u64 = 4 << 30;
/// The most bytes to reserve at once: more is allocated only as data is read, so that a header alone cannot take much
/// memory.
const MAX_RESERVED: u64 = 64 << 20;
const MAX_RANK: u8 = 4;
const TYPE_U8: u8 = 8;

/// An array of bytes with its dimensions, as an idx file (the format of MNIST) holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The sizes of the array's 1 to 4 dimensions, the slowest first.
    pub dims: Vec<u32>,
    /// The elements, as many as `dims` multiplied.
    pub bytes: Vec<u8>,
}

/// Reads an idx file (the format of MNIST) of bytes, plain or gzip, as its first bytes tell.
///
/// # Errors
/// `BadFile` where the file cannot be read, is no idx file of u8, ends early, goes on after its last element, or claims
/// more than 4 GiB or 64 times the file and 256 MiB. Nothing is read beyond what the header claims.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Idx> {
    let path = path.as_ref();
    let (file, most) = (files::open(path)?, files::room(path)?);
    unpack(path, BufReader::new(file), most)
}

/// Reads an idx file from memory, as [`read_idx`] does; `name` is for messages.
///
/// # Errors
/// The errors of [`read_idx`].
pub fn idx_from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Idx> {
    unpack(name.as_ref(), bytes, MAX_ELEMENTS)
}

fn unpack(name: &Path, mut reader: impl BufRead, most: u64) -> Result<Idx> {
    let start = reader
        .fill_buf()
        .map_err(|error| Error::bad_file(name, format!("cannot be read: {error}")))?;
    // An idx file starts with zeros, so there is no mistaking the two.
    if start.starts_with(&[0x1f, 0x8b]) {
        parse(name, MultiGzDecoder::new(reader), most)
    } else {
        parse(name, reader, most)
    }
}

fn parse(name: &Path, mut reader: impl Read, most: u64) -> Result<Idx> {
    let most = most.min(MAX_ELEMENTS);
    let magic = header::<4>(name, &mut reader, 0)?;
    let [0, 0, element, rank] = magic else {
        let found = magic.map(|byte| format!("{byte:02x}")).join(" ");
        return Err(Error::bad_file(
            name,
            format!(
                "it begins with the bytes {found}, but an idx file begins with 00 00 08 and the number of dimensions"
            ),
        ));
    };
    if element != TYPE_U8 {
        return Err(Error::bad_file(
            name,
            format!(
                "it has element type 0x{element:02x} at byte 2, but only 0x08 (u8, bytes) is read"
            ),
        ));
    }
    if rank == 0 || rank > MAX_RANK {
        return Err(Error::bad_file(
            name,
            format!(
                "it has rank {rank} (number of dimensions) at byte 3, but has to have 1 to {MAX_RANK}"
            ),
        ));
    }
    let mut dims = Vec::new();
    for axis in 0..u64::from(rank) {
        dims.push(u32::from_be_bytes(header(name, &mut reader, 4 + 4 * axis)?));
    }
    let claimed = dims
        .iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))
        .filter(|&elements| elements <= most)
        .ok_or_else(|| {
            Error::bad_file(
                name,
                format!("its dimensions {dims:?} at byte 4 make more than the {most} elements that are read at most"),
            )
        })?;
    let start = 4 + 4 * u64::from(rank);
    let bytes = elements(name, reader, &dims, start, claimed)?;
    Ok(Idx { dims, bytes })
}

fn header<const N: usize>(name: &Path, reader: &mut impl Read, offset: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|error| {
        Error::bad_file(
            name,
            format!("it ends or is damaged in the header's {N} bytes from byte {offset}: {error}"),
        )
    })?;
    Ok(bytes)
}

fn elements(
    name: &Path,
    reader: impl Read,
    dims: &[u32],
    start: u64,
    claimed: u64,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(claimed.min(MAX_RESERVED) as usize).map_err(|error| {
        Error::bad_file(name, format!("there is no memory for its {claimed} elements: {error}"))
    })?;
    // One byte more than claimed shows whether the file goes on, and makes gzip check its sum at the end.
    let outcome = reader.take(claimed + 1).read_to_end(&mut bytes);
    let found = bytes.len() as u64;
    let end = start + found;
    if let Err(error) = outcome {
        return Err(Error::bad_file(
            name,
            format!("it is damaged at byte {end}, within its {dims:?} elements: {error}"),
        ));
    }
    if found < claimed {
        return Err(Error::bad_file(
            name,
            format!(
                "it ends at byte {end} with {found} elements, but its header says {dims:?} = {claimed}"
            ),
        ));
    }
    if found > claimed {
        let last = start + claimed;
        return Err(Error::bad_file(
            name,
            format!(
                "it has more bytes after byte {last}, where its {dims:?} = {claimed} elements end"
            ),
        ));
    }
    Ok(bytes)
}
