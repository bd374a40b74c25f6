//! What the pages of a Parquet column say they unpack to, read before anything is unpacked: the library that unpacks them
//! makes room for whatever a page says. A page's header is Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>), of which all fields but the first three
//! are gone over.

use std::io::{BufReader, Read, Seek, SeekFrom};

/// How deep structures lie in each other: in a header two deep.
const DEEPEST: u32 = 8;

type Checked<T> = Result<T, String>;

/// Bytes to which the pages in `length` bytes from `start` on unpack. Err beyond `most`, and where they do not fill these bytes.
pub(super) fn unpacked(file: impl Read + Seek, start: u64, length: u64, most: u64) -> Checked<u64> {
    let mut pages = Pages { file: BufReader::new(file), left: length };
    pages.file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
    let mut all = 0_u64;
    while pages.left > 0 {
        let (unpacked, packed) = pages.header()?;
        all += unpacked;
        if all > most {
            return Err(format!("pages that unpack to {all} bytes or more, at most {most} wanted"));
        }
        pages.skip(packed)?;
    }
    Ok(all)
}

struct Pages<R> {
    file: BufReader<R>,
    left: u64,
}

impl<R: Read + Seek> Pages<R> {
    fn byte(&mut self) -> Checked<u8> {
        let mut byte = [0];
        self.left = self.left.checked_sub(1).ok_or("a page that is cut off")?;
        self.file.read_exact(&mut byte).map_err(|_| "a page that is cut off")?;
        let [byte] = byte;
        Ok(byte)
    }

    fn skip(&mut self, count: u64) -> Checked<()> {
        self.left = self.left.checked_sub(count).ok_or("a page that is cut off")?;
        let step = i64::try_from(count).map_err(|_| "a page of 2^63 bytes")?;
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
        Err("a number of more than 64 bits".into())
    }

    /// Of a page: the bytes that it unpacks to, and those that follow its header.
    fn header(&mut self) -> Checked<(u64, u64)> {
        let (mut field, mut sizes) = (0, [None; 2]);
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2 | 3, 5) => {
                    let coded = self.varint()?;
                    // Signed numbers alternate: 0, -1, 1, -2.
                    let size =
                        (coded & 1 == 0).then_some(coded >> 1).filter(|&size| size < 1 << 31);
                    let size = size.ok_or("a page of negative or more than 2 GiB")?;
                    if let Some(known) = sizes.get_mut(field as usize - 2) {
                        *known = Some(size);
                    }
                }
                _ => self.value(kind, 0)?,
            }
        }
        match sizes {
            [Some(unpacked), Some(packed)] => Ok((unpacked, packed)),
            _ => Err("a page without its sizes".into()),
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
            return Err("a header that is too deep".into());
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
            other => Err(format!("a header with a value of kind {other}")),
        }
    }
}
