//! Checkpoints written by a thread of their own: training waits only where the one before is not on disk yet.

use super::run_folder::Checkpoints;
use super::state;
use crate::model::Checkpoint;
use crate::{Error, Result};
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

/// A checkpoint on disk: its step and folder.
type Saved = (u64, PathBuf);

/// At most one checkpoint on its way. Dropping it waits for that one.
#[derive(Debug, Default)]
pub(super) struct Saver {
    thread: Option<JoinHandle<Result<Saved>>>,
}

impl Saver {
    /// Begins to write. Nothing may be on its way: see [`Saver::wait`].
    pub fn begin(&mut self, to: Checkpoints, step: u64, taken: [Checkpoint; 2]) -> Result<()> {
        let write = move || Ok((step, to.write(step, &state::encode(&taken)?)?));
        let none = |error| Error::mismatch("checkpoint", format!("no thread ({error})"), "one");
        self.thread = Some(Builder::new().name("checkpoint".into()).spawn(write).map_err(none)?);
        Ok(())
    }

    /// Whether [`Saver::wait`] would return at once with what was saved.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// What was on its way, once it is on disk.
    pub fn wait(&mut self) -> Result<Option<Saved>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let panicked = |_| Error::mismatch("checkpoint", "a thread that panicked", "a file");
        thread.join().map_err(panicked)?.map(Some)
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // An error that nobody waited for has nobody to be told.
        drop(self.wait());
    }
}
