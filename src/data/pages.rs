//! Checks the sizes that the pages of a Parquet column declare before anything is unpacked, because the library that
//! unpacks them allocates whatever a page declares. Pages that zstd packed are unpacked here, as that library's zstd is
//! written in C. A page's header is in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>); all its fields but those that
//! [`Header`] has are skipped.

use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The deepest nesting of structures to accept: a header has two levels.
const DEEPEST: u32 = 8;

/// The window that zstd may look back over, in bytes: RFC 8878 recommends at least this much to every decoder.
const WINDOW: u64 = 8 << 20;

type Checked<T> = Result<T, String>;

/// Bytes to which the pages in `length` bytes from `start` on unpack. Err beyond `most`, and where they do not fill these bytes.
pub(super) fn unpacked(file: impl Read + Seek, start: u64, length: u64, most: u64) -> Checked<u64> {
    let mut pages = Pages { file: BufReader::new(file), left: length };
    pages.file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
    let mut all = 0_u64;
    while pages.left > 0 {
        let header = pages.header()?;
        all += header.unpacked;
        if all > most {
            return Err(format!(
                "a column's pages unpack to {all} bytes or more, but memory for at most {most} is allowed"
            ));
        }
        pages.skip(header.packed)?;
    }
    Ok(all)
}

/// The pages of a column, which zstd packed, as pages that nothing packed. Their unpacked size was [compared with a bound](unpacked).
pub(super) fn from_zstd(column: &[u8]) -> Checked<Vec<u8>> {
    let mut pages = Pages { file: BufReader::new(Cursor::new(column)), left: column.len() as u64 };
    let mut all = Vec::new();
    while pages.left > 0 {
        let start = pages.at(column);
        let header = pages.header()?;
        let body = pages.at(column);
        pages.skip(header.packed)?;
        let part = |range: Range<usize>| column.get(range).ok_or("a page of the table is cut off");
        all.extend(part(start..start + header.size_at.start)?);
        varint(&mut all, header.unpacked << 1);
        all.extend(part(start + header.size_at.end..body)?);
        // Levels are not packed, where they lie apart.
        let values = body
            + usize::try_from(header.levels)
                .map_err(|_| "a page's definition and repetition levels go beyond its end")?;
        all.extend(part(body..values)?);
        let values = part(values..pages.at(column))?;
        let left = header
            .unpacked
            .checked_sub(header.levels)
            .ok_or("a page's definition and repetition levels go beyond its end")?;
        if header.is_packed && left > 0 {
            unpack(values, left, &mut all)?;
        } else {
            all.extend(values);
        }
    }
    Ok(all)
}

/// Adds the bytes that a frame of zstd unpacks to. Err unless they are `wanted` bytes.
fn unpack(frame: &[u8], wanted: u64, to: &mut Vec<u8>) -> Checked<()> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW.max(wanted));
    let decoder = StreamingDecoder::new_with_decoder(frame, decoder);
    let decoder = decoder
        .map_err(|error| format!("a page should be compressed by zstd, but is not: {error}"))?;
    let before = to.len();
    decoder
        .take(wanted + 1)
        .read_to_end(to)
        .map_err(|error| format!("a page cannot be unpacked by zstd: {error}"))?;
    let found = (to.len() - before) as u64;
    if found == wanted {
        return Ok(());
    }
    Err(format!("a page unpacks to {found} bytes or more, but declares {wanted}"))
}

/// Seven bits a byte, the lowest first.
fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A page's header.
struct Header {
    /// Bytes that it unpacks to.
    unpacked: u64,
    /// Bytes that follow the header.
    packed: u64,
    /// The byte range of the field `packed` in the header.
    size_at: Range<usize>,
    /// The bytes at the beginning of a page of version 2 that are never packed: they say how often values are missing or
    /// repeated.
    levels: u64,
    /// Whether the others are packed, if the column's are.
    is_packed: bool,
}

struct Pages<R> {
    file: BufReader<R>,
    left: u64,
}

impl<R: Read + Seek> Pages<R> {
    fn byte(&mut self) -> Checked<u8> {
        let mut byte = [0];
        self.left = self.left.checked_sub(1).ok_or("a page of the table is cut off")?;
        self.file.read_exact(&mut byte).map_err(|_| "a page of the table is cut off")?;
        let [byte] = byte;
        Ok(byte)
    }

    fn skip(&mut self, count: u64) -> Checked<()> {
        self.left = self.left.checked_sub(count).ok_or("a page of the table is cut off")?;
        let step =
            i64::try_from(count).map_err(|_| "a page of the table claims an impossible length")?;
        self.file.seek_relative(step).map_err(|error| error.to_string())
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Checked<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a page's header has a number of more than 64 bits".into())
    }

    /// Returns the reader's position in the column's bytes.
    fn at(&self, column: &[u8]) -> usize {
        column.len() - (self.left as usize).min(column.len())
    }

    /// A number that is neither negative nor 2^31 or more.
    fn size(&mut self) -> Checked<u64> {
        let coded = self.varint()?;
        // Signed numbers alternate: 0, -1, 1, -2.
        let size = (coded & 1 == 0).then_some(coded >> 1).filter(|&size| size < 1 << 31);
        size.ok_or_else(|| "a page's size is negative or more than 2 GiB".into())
    }

    fn header(&mut self) -> Checked<Header> {
        let began = self.left;
        let (mut field, mut unpacked, mut packed) = (0, None, None);
        let (mut levels, mut is_packed) = (0, true);
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2, 5) => unpacked = Some(self.size()?),
                (3, 5) => {
                    let start = (began - self.left) as usize;
                    packed = Some((self.size()?, start..(began - self.left) as usize));
                }
                // A data page of the second version.
                (8, 12) => {
                    let mut field = 0;
                    while let Some(kind) = self.field(&mut field)? {
                        match (field, kind) {
                            (5 | 6, 5) => levels += self.size()?,
                            (7, 1 | 2) => is_packed = kind == 1,
                            _ => self.value(kind, 1)?,
                        }
                    }
                }
                _ => self.value(kind, 0)?,
            }
        }
        match (unpacked, packed) {
            (Some(unpacked), Some((packed, size_at))) => {
                Ok(Header { unpacked, packed, size_at, levels, is_packed })
            }
            _ => Err("a page's header lacks the page's size, packed or unpacked".into()),
        }
    }

    /// The next field's kind, and its number; None at a structure's end.
    fn field(&mut self, number: &mut i64) -> Checked<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *number = match head >> 4 {
            0 => {
                let coded = self.varint()?;
                (coded >> 1) as i64 ^ -((coded & 1) as i64)
            }
            step => number.saturating_add(i64::from(step)),
        };
        Ok(Some(head & 15))
    }

    /// Goes over a value of some kind.
    fn value(&mut self, kind: u8, depth: u32) -> Checked<()> {
        if depth > DEEPEST {
            return Err("a page's header is nested too deeply".into());
        }
        match kind {
            // Truth values, which are in the field's kind.
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                // In a list a truth value is a byte.
                let kind = if head & 15 < 3 { 3 } else { head & 15 };
                for _ in 0..count {
                    self.value(kind, depth + 1)?;
                }
                Ok(())
            }
            12 => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.value(kind, depth + 1)?;
                }
                Ok(())
            }
            other => Err(format!("a page's header has a value of unknown type {other}")),
        }
    }
}
