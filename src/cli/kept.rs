//! Collects results that all processes of a command compute, batch by batch, and one process writes (a row for each image).
//! Finished rows are kept in a file beside the result, from which the same command resumes, with any number of processes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::terminal::tell;
use crate::world::World;
use crate::{Error, Result};

/// A file that keeps finished results as rows of one length, after a line that identifies the work.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    file: File,
    /// Bytes of a row.
    row: usize,
    /// Rows that were there.
    there: usize,
}

impl Kept {
    /// Opens a file, or makes it, and finds the rows that were finished of the work that the line `identity` describes. A file
    /// of other work is emptied.
    pub fn open(path: PathBuf, identity: &str, row: usize) -> Result<Self> {
        let failed = |error: std::io::Error| Error::bad_file(&path, error);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(failed)?;
        let head = format!("{identity}\n");
        let mut before = String::new();
        // A file that this program did not write may be no text at all, and counts as empty.
        let known = BufReader::new(&file).take(head.len() as u64).read_line(&mut before).is_ok();
        let length = file.metadata().map_err(failed)?.len();
        let same = known && before == head;
        let there = match same {
            true => (length - head.len() as u64) as usize / row.max(1),
            false => 0,
        };
        if length > 0 && !same {
            tell(&format!(
                "{}: what it kept is of other settings, and is made anew",
                path.display()
            ));
        }
        if there == 0 {
            file.set_len(0).map_err(failed)?;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            file.write_all(head.as_bytes()).map_err(failed)?;
        }
        // What a crash cut off is made again.
        let end = (head.len() + there * row) as u64;
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(head.len() as u64)).map_err(failed)?;
        Ok(Self { path, file, row, there })
    }

    /// Reads the next of the rows that were kept.
    fn read(&mut self, rows: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; rows * self.row];
        self.file.read_exact(&mut bytes).map_err(|error| Error::bad_file(&self.path, error))?;
        Ok(bytes)
    }

    fn write(&mut self, rows: &[u8]) -> Result<()> {
        self.file.write_all(rows).map_err(|error| Error::bad_file(&self.path, error))
    }

    /// Removes the file, as all results are where they belong.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| Error::bad_file(&self.path, error))
    }

    /// Returns the path `.NAME.kept` beside NAME.
    pub fn beside(out: &Path) -> PathBuf {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        out.with_file_name(format!(".{name}.kept"))
    }
}

/// The number of items that are made in batches, and how many a batch has.
#[derive(Clone, Copy, Debug)]
pub struct Items {
    /// The number of items in all.
    pub count: usize,
    /// The number of items in a batch of one process.
    pub batch: usize,
}

/// Makes the rows of all items in batches that processes share, and gives them to `take` on rank 0, in order and with the number
/// of the first; kept rows come first. `make` is given the number of a batch and its items. `told` is told on every rank how many
/// are done, and whether it says so to stop; any rank's yes stops all, with [`Error::Stopped`].
pub fn rows(
    world: &World,
    items: Items,
    kept: &mut Option<Kept>,
    mut make: impl FnMut(usize, Range<usize>) -> Result<Vec<u8>>,
    mut take: impl FnMut(usize, &[u8]) -> Result<()>,
    mut told: impl FnMut(usize) -> bool,
) -> Result<()> {
    let Items { count, batch } = items;
    let of = |number: usize| number * batch..count.min((number + 1) * batch);
    let batches = count.div_ceil(batch.max(1));
    let there = kept.as_ref().map_or(0, |kept| kept.there);
    // Whole batches: the others are made again.
    let there = (0..batches).take_while(|&number| of(number).end <= there).count();
    if let Some(kept) = kept {
        for number in 0..there {
            take(of(number).start, &kept.read(of(number).len())?)?;
        }
    }
    let there = world.broadcast((there as u64).to_le_bytes().to_vec())?;
    let mut done = there.try_into().map_or(0, u64::from_le_bytes) as usize;
    while done < batches {
        let round = done..batches.min(done + world.size());
        let mine = round.start + world.rank();
        let made = if round.contains(&mine) { make(mine, of(mine))? } else { Vec::new() };
        for (number, rows) in round.clone().zip(world.collect(made)?) {
            if let Some(kept) = kept {
                kept.write(&rows)?;
            }
            take(of(number).start, &rows)?;
        }
        done = round.end;
        let items = of(done - 1).end;
        world.reached(format!("{items} of {count} images"));
        let stop = world.any(told(items))?;
        if stop && done < batches {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = Kept::beside(&folder.path().join("out.npz"));
        let items = Items { count: 10, batch: 4 };
        let run = |identity: &str, most: usize| {
            let mut kept = Some(Kept::open(path.clone(), identity, 2).unwrap());
            let (mut made, mut taken) = (Vec::new(), Vec::new());
            let make = |number, items: Range<usize>| {
                made.push(number);
                Ok(items.flat_map(|item| [item as u8, 7]).collect())
            };
            let take = |first: usize, rows: &[u8]| {
                assert_eq!(first * 2, taken.len());
                taken.extend_from_slice(rows);
                Ok(())
            };
            let done = rows(&World::one(), items, &mut kept, make, take, |done| done >= most);
            (done.is_ok(), made, taken)
        };
        let all: Vec<u8> = (0..10).flat_map(|item| [item, 7]).collect();
        assert_eq!(run("a", 4), (false, vec![0], all[..8].to_vec()));
        assert_eq!(run("a", 8), (false, vec![1], all[..16].to_vec()));
        assert_eq!(run("a", 100), (true, vec![2], all.clone()));
        assert_eq!(run("a", 100), (true, vec![], all.clone()));
        // A crash in the middle of a row.
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        assert_eq!(run("a", 100), (true, vec![2], all.clone()));
        assert_eq!(run("b", 100), (true, vec![0, 1, 2], all));
    }
}
