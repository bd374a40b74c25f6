//! Runs the kernel launches whose results stay valid from run to run of a program, such as packed weights, and runs them again
//! only when their inputs were written.

use super::Executor;
use crate::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stands in the place of a number of writes where the results are to be made again whatever was written.
const NEVER: u64 = u64::MAX;

/// An executor that runs before another one's replays, and only when its inputs have changed.
#[derive(Debug)]
pub(super) struct Once {
    executor: Box<Executor>,
    /// The number of writes to its inputs at the time it last ran.
    seen: Arc<AtomicU64>,
}

impl Once {
    pub fn new(executor: Executor) -> Self {
        Self { executor: Box::new(executor), seen: Arc::new(AtomicU64::new(NEVER)) }
    }

    /// Returns the number of writes to its inputs, if it has not run since the last one.
    fn owed(&self) -> Option<u64> {
        let written = self.executor.times_written();
        (self.seen.load(Relaxed) != written).then_some(written)
    }

    /// Submits the executor's launches if their inputs were written since they last ran.
    pub async fn refresh(&self) -> Result<()> {
        let Some(written) = self.owed() else { return Ok(()) };
        self.executor.submit_alone().await?;
        self.seen.store(written, Relaxed);
        Ok(())
    }

    /// Returns whether the inputs of the executor's launches were written since these last ran.
    pub fn is_due(&self) -> bool {
        self.owed().is_some()
    }

    /// Appends the executor's launches to an encoder if their inputs were written since they last ran. They are taken to have run
    /// then, unless the encoder is dropped instead of submitted.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let Some(written) = self.owed() else { return };
        self.executor.record_alone(encoder);
        self.seen.store(written, Relaxed);
        let recorded = Recorded { seen: self.seen.clone(), submitted: false };
        encoder.on_submitted_work_done(move || recorded.was_submitted());
    }
}

/// The state after the executor was appended to a host's encoder.
struct Recorded {
    seen: Arc<AtomicU64>,
    submitted: bool,
}

impl Recorded {
    fn was_submitted(mut self) {
        self.submitted = true;
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.submitted {
            self.seen.store(NEVER, Relaxed);
        }
    }
}
