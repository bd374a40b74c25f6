//! Writes checkpoints of a training run on a thread of its own: training waits only until the previous checkpoint is on disk.

use super::checkpoints::Checkpoints;
use super::state;
use crate::model::Checkpoint;
use crate::{Result, threads};
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

/// A checkpoint on disk: its step and folder.
type Saved = (u64, PathBuf);

/// The thread's work, for error messages.
const DOING: &str = "writing a checkpoint";

/// Writes checkpoints, at most one at a time. Dropping it waits for that one.
#[derive(Debug, Default)]
pub(super) struct Saver {
    thread: Option<JoinHandle<Result<Saved>>>,
}

impl Saver {
    /// Begins to write a checkpoint. No other may be in progress: see [`Saver::wait`].
    pub fn begin(&mut self, to: Checkpoints, step: u64, taken: [Checkpoint; 2]) -> Result<()> {
        let write = move || Ok((step, to.write(step, &state::encode(&taken)?)?));
        let spawned = Builder::new().name("checkpoint".into()).spawn(write);
        self.thread = Some(spawned.map_err(|error| threads::none(DOING, &error))?);
        Ok(())
    }

    /// Whether [`Saver::wait`] would return a finished checkpoint at once.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits until the checkpoint in progress is on disk, and returns it.
    pub fn wait(&mut self) -> Result<Option<Saved>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        thread.join().map_err(|panic| threads::panicked(DOING, &*panic))?.map(Some)
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // An error that nobody waited for has nobody to be told.
        drop(self.wait());
    }
}
