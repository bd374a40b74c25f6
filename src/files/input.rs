//! Reads parts of a file; requested lengths are compared with the file's before anything is allocated.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

/// The result of reading a file, whose error is the reason to refuse it; the file's name is added where the error is made.
pub type Checked<T> = Result<T, String>;

/// Bytes held at once while numbers are converted or sums are checked.
const CHUNK: u64 = 1 << 16;

/// A file, and where in it the next byte is read.
#[derive(Debug)]
pub struct Input<R> {
    reader: BufReader<R>,
    length: u64,
    at: u64,
    end: u64,
}

impl<R: Read + Seek> Input<R> {
    /// Opens an input at the first byte of a file.
    pub fn new(mut reader: R) -> Checked<Self> {
        let length = reader.seek(SeekFrom::End(0)).map_err(failed)?;
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        let buffer = length.min(8 << 10) as usize;
        Ok(Self { reader: BufReader::with_capacity(buffer, reader), length, at: 0, end: length })
    }

    /// Returns the number of bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the position of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Goes to `start`, from where no more than `length` bytes are read. Err if the file ends before.
    pub fn section(&mut self, start: u64, length: u64) -> Checked<()> {
        let end = start.checked_add(length).filter(|&end| end <= self.length);
        self.end = end.ok_or_else(|| cut_off(start, length, self.length))?;
        let step = i64::try_from(start).ok().zip(i64::try_from(self.at).ok());
        let step = step
            .map(|(to, from)| to - from)
            .ok_or("it is longer than the 2^63 bytes that can be read")?;
        // Within the buffer nothing is read anew.
        self.reader.seek_relative(step).map_err(failed)?;
        self.at = start;
        Ok(())
    }

    /// Returns the number of bytes up to the end of the section that is read.
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Checks that this many bytes are left.
    fn expect(&self, length: u64) -> Checked<()> {
        if length <= self.left() { Ok(()) } else { Err(cut_off(self.at, length, self.end)) }
    }

    /// Fills `bytes` from the file.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Checked<()> {
        self.expect(bytes.len() as u64)?;
        self.reader.read_exact(bytes).map_err(failed)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Reads the next N bytes of the file.
    pub fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads this number of bytes, which the caller has compared with a limit.
    pub fn bytes(&mut self, length: u64) -> Checked<Vec<u8>> {
        self.expect(length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Appends this many bytes of the file to a list in which the caller has made room for them.
    pub fn append(&mut self, length: u64, to: &mut Vec<u8>) -> Checked<()> {
        self.expect(length)?;
        let from = to.len();
        to.resize(from + length as usize, 0);
        self.fill(to.get_mut(from..).unwrap_or_default())
    }

    /// Reads a line of text up to its line feed, which is left out, and at most `longest` bytes.
    pub fn line(&mut self, longest: u64) -> Checked<String> {
        let mut line = Vec::new();
        let most = longest.min(self.left());
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(failed)?;
        self.at += read as u64;
        if line.pop() != Some(b'\n') {
            return Err(format!("a name in the pickle has no end, at byte {}", self.at));
        }
        String::from_utf8(line)
            .map_err(|_| format!("a name in the pickle is not UTF-8, before byte {}", self.at))
    }

    /// Goes over this many bytes of the file, a part of whole `width`s at a time.
    pub fn chunks(&mut self, length: u64, width: u64, mut each: impl FnMut(&[u8])) -> Checked<()> {
        self.expect(length)?;
        let mut chunk = vec![0; length.min(CHUNK / width * width) as usize];
        let mut left = length;
        while left > 0 {
            let now = left.min(chunk.len() as u64);
            let part = chunk.get_mut(..now as usize).unwrap_or_default();
            self.fill(part)?;
            each(part);
            left -= now;
        }
        Ok(())
    }
}

fn cut_off(start: u64, length: u64, end: u64) -> String {
    format!("cut off: {length} bytes wanted at byte {start}, but {end} is the end")
}

fn failed(error: std::io::Error) -> String {
    error.to_string()
}
