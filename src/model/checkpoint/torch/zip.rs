//! Zip archives as `torch.save` writes them (PKWARE's APPNOTE 6.3.10): entries stored as they are, in one file.
//! Compressed, encrypted and split ones are refused, so what is read is never larger than the file.

use crate::files::{Checked, Input};
use crate::model::checkpoint::stored::Summed;
use std::io::{Read, Seek};

/// The bytes with which a local header of a zip archive begins.
pub const MAGIC: [u8; 4] = *b"PK\x03\x04";

const LOCAL: u64 = 30;
const CENTRAL: u64 = 46;
const END: u64 = 22;
const LOCATOR_64: u64 = 20;
const END_64: u64 = 56;

/// An entry of a zip archive's directory.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    header: u64,
    length: u64,
    crc: u32,
    /// Whether the entry is compressed, as the source code beside a scripted network is, which is not read.
    compressed: bool,
}

/// Returns all entries of a zip archive, sorted by name.
pub fn entries<R: Read + Seek>(input: &mut Input<R>) -> Checked<Vec<Entry>> {
    let Some(end) = input.length().checked_sub(END) else {
        return Err("the file is cut off: it is too short for a zip archive".into());
    };
    input.section(end, END)?;
    let bytes: [u8; END as usize] = input.array()?;
    let mut fields = Fields(&bytes);
    let (magic, disks, _) = (fields.u32(), fields.u32(), fields.u16());
    let mut directory = Directory {
        count: fields.u16().into(),
        length: fields.u32().into(),
        start: fields.u32().into(),
        end,
    };
    if magic != 0x0605_4b50 || fields.u16() != 0 {
        return Err(
            "the file is cut off, or has a comment or other bytes behind its zip directory".into(),
        );
    }
    if let Some(wide) = wide_directory(input, end)? {
        directory = wide;
    } else if disks != 0 {
        return Err("a zip archive in several parts is not read".into());
    }
    let Directory { count, length, start, end } = directory;
    let unfitting = || {
        format!(
            "the zip directory ({count} entries, {length} bytes at {start}) does not fit the file"
        )
    };
    if start.checked_add(length) != Some(end) || length / CENTRAL < count {
        return Err(unfitting());
    }
    input.section(start, length)?;
    let mut entries = Vec::with_capacity(count as usize);
    for _ in 0..count {
        entries.push(central(input)?);
    }
    if input.left() > 0 {
        return Err(unfitting());
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let twice = entries.windows(2).find_map(|pair| match pair {
        [a, b] if a.name == b.name => Some(&a.name),
        _ => None,
    });
    twice.map_or(Ok(()), |name| Err(format!("{name} is in the zip archive twice")))?;
    Ok(entries)
}

struct Directory {
    count: u64,
    length: u64,
    start: u64,
    /// The first byte behind it.
    end: u64,
}

/// Reads the ZIP64 end record, which stands before the end of an archive whose sizes do not fit 32 bits; PyTorch always
/// writes it.
fn wide_directory<R: Read + Seek>(input: &mut Input<R>, end: u64) -> Checked<Option<Directory>> {
    let Some(at) = end.checked_sub(LOCATOR_64) else { return Ok(None) };
    input.section(at, LOCATOR_64)?;
    let bytes: [u8; LOCATOR_64 as usize] = input.array()?;
    let mut fields = Fields(&bytes);
    if fields.u32() != 0x0706_4b50 {
        return Ok(None);
    }
    let (_, end) = (fields.u32(), fields.u64());
    if end.checked_add(END_64).is_none_or(|behind| behind > at) {
        return Err(format!("the zip directory's end at byte {end} is not in the file"));
    }
    input.section(end, END_64)?;
    let bytes: [u8; END_64 as usize] = input.array()?;
    let mut fields = Fields(&bytes);
    let (magic, _, _, disks, here) =
        (fields.u32(), fields.u64(), fields.u32(), fields.u64(), fields.u64());
    let count = fields.u64();
    if magic != 0x0606_4b50 || disks != 0 || here != count {
        return Err("the zip directory's end is damaged".into());
    }
    Ok(Some(Directory { count, length: fields.u64(), start: fields.u64(), end }))
}

/// The next record of the directory.
fn central<R: Read + Seek>(input: &mut Input<R>) -> Checked<Entry> {
    let bytes: [u8; CENTRAL as usize] = input.array()?;
    let mut fields = Fields(&bytes);
    let (magic, _, flags, method) = (fields.u32(), fields.u32(), fields.u16(), fields.u16());
    let (_, crc, packed, length) = (fields.u32(), fields.u32(), fields.u32(), fields.u32());
    let [name, extra, comment] = [fields.u16(), fields.u16(), fields.u16()].map(u64::from);
    let (_, _, header) = (fields.u32(), fields.u32(), fields.u32());
    if magic != 0x0201_4b50 {
        return Err(format!("the zip directory is damaged at byte {}", input.at() - CENTRAL));
    }
    let name = String::from_utf8(input.bytes(name)?)
        .map_err(|_| "the zip archive has a name that is not UTF-8")?;
    if flags & 1 != 0 {
        return Err(format!("{name} in the zip archive is encrypted"));
    }
    let compressed = method != 0;
    let [mut packed, mut length, mut header] = [packed, length, header].map(u64::from);
    let behind = input.at() + extra + comment;
    // Of the extra fields, the one that holds what does not fit 32 bits, in this order.
    let mut left = extra;
    while left >= 4 {
        let bytes: [u8; 4] = input.array()?;
        let mut fields = Fields(&bytes);
        let (tag, size) = (fields.u16(), u64::from(fields.u16()));
        let next = input.at() + size;
        if next > behind - comment {
            return Err(format!("{name} has a damaged zip record"));
        }
        for value in [&mut length, &mut packed, &mut header] {
            if tag == 1 && *value == u64::from(u32::MAX) && next - input.at() >= 8 {
                *value = u64::from_le_bytes(input.array()?);
            }
        }
        skip(input, next)?;
        left -= 4 + size;
    }
    skip(input, behind)?;
    if packed != length && !compressed {
        return Err(format!(
            "{name} has {packed} bytes, but {length} unpacked, though it is not compressed"
        ));
    }
    Ok(Entry { name, header, length, crc, compressed })
}

/// Goes on within the section.
fn skip<R: Read + Seek>(input: &mut Input<R>, to: u64) -> Checked<()> {
    input.chunks(to - input.at(), 1, |_| ())
}

impl Entry {
    /// Returns the place of the entry's bytes in the archive. Err if the entry's own header contradicts the directory.
    pub fn place<R: Read + Seek>(&self, input: &mut Input<R>) -> Checked<Summed> {
        if self.compressed {
            return Err(format!(
                "{} is compressed, but entries have to be stored uncompressed, as torch.save writes them",
                self.name
            ));
        }
        let damaged = |_| format!("{}: its header is not where the zip directory says", self.name);
        input.section(self.header, LOCAL + self.name.len() as u64).map_err(damaged)?;
        let bytes: [u8; LOCAL as usize] = input.array()?;
        let mut fields = Fields(&bytes);
        let (magic, _, _, method) = (fields.u32(), fields.u16(), fields.u16(), fields.u16());
        let (_, _, _, _) = (fields.u32(), fields.u32(), fields.u32(), fields.u32());
        let (name, extra) = (fields.u16(), u64::from(fields.u16()));
        let same = usize::from(name) == self.name.len()
            && input.bytes(name.into())? == self.name.as_bytes();
        if magic != u32::from_le_bytes(MAGIC) || method != 0 || !same {
            return Err(damaged(String::new()));
        }
        let start = input.at() + extra;
        input.section(start, self.length).map_err(|error| format!("{}: {error}", self.name))?;
        Ok(Summed { start, length: self.length, crc: self.crc })
    }
}

/// Little-endian numbers one after the other; 0 behind the end, which no caller reaches.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *bytes
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.next())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }
}
