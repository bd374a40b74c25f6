//! Limits how much memory the reading of a pickle may take (PyTorch's checkpoints and CIFAR's files for Python hold pickles): as
//! much as the file is long, and half a MiB more, which small files need. Even where a growing vector is held twice for a moment,
//! memory stays below twice this limit.

use super::input::Checked;

/// The least budget, for files so small that names weigh more than numbers.
const LEAST: u64 = 1 << 19;

/// The number of bytes that reading a file may still allocate.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    file: u64,
}

impl Budget {
    /// Makes the budget of bytes for reading a file of this many bytes.
    pub fn new(file: u64) -> Self {
        Self { left: file.saturating_add(LEAST), file }
    }

    /// Checks that this many bytes are left in the budget.
    pub fn allows(&self, bytes: usize) -> Checked<()> {
        if bytes as u64 <= self.left {
            return Ok(());
        }
        let file = self.file;
        Err(format!(
            "the pickle describes more data than fits a file of {file} bytes: it is damaged or malicious"
        ))
    }

    /// Subtracts bytes that are to be allocated from those that reading the file may still allocate. Err if fewer are left.
    pub fn charge(&mut self, bytes: usize) -> Checked<()> {
        self.allows(bytes)?;
        self.left -= bytes as u64;
        Ok(())
    }

    /// Makes room in a list for `more` items, or for half as many as there are if that is more, and charges the budget for it.
    pub fn reserve<T>(&mut self, items: &mut Vec<T>, more: usize) -> Checked<()> {
        if items.capacity() - items.len() < more {
            let more = more.max(items.len() / 2).max(4);
            self.charge(more.saturating_mul(size_of::<T>()))?;
            items.reserve_exact(more);
        }
        Ok(())
    }

    pub fn push<T>(&mut self, items: &mut Vec<T>, item: T) -> Checked<()> {
        self.reserve(items, 1)?;
        items.push(item);
        Ok(())
    }
}
