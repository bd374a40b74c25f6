//! Runs the launches whose results stay from replay to replay (packed weights), and runs them again when their inputs were
//! written.

use super::Executor;
use crate::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stands in the place of a number of writes where the results are to be made again whatever was written.
const NEVER: u64 = u64::MAX;

/// An executor that is ahead of another one's replays.
#[derive(Debug)]
pub(super) struct Once {
    executor: Box<Executor>,
    /// How often what it reads had been written when it ran.
    seen: Arc<AtomicU64>,
}

impl Once {
    pub fn new(executor: Executor) -> Self {
        Self { executor: Box::new(executor), seen: Arc::new(AtomicU64::new(NEVER)) }
    }

    /// How often what it reads was written, if its results are not those of that.
    fn owed(&self) -> Option<u64> {
        let written = self.executor.times_written();
        (self.seen.load(Relaxed) != written).then_some(written)
    }

    /// Submits it if what it reads was written.
    pub async fn refresh(&self) -> Result<()> {
        let Some(written) = self.owed() else { return Ok(()) };
        self.executor.submit_alone().await?;
        self.seen.store(written, Relaxed);
        Ok(())
    }

    /// Whether what it reads was written.
    pub fn is_due(&self) -> bool {
        self.owed().is_some()
    }

    /// Appends it to an encoder if it is due. It is taken to have run then, unless the encoder is dropped instead of
    /// submitted.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let Some(written) = self.owed() else { return };
        self.executor.record_alone(encoder);
        self.seen.store(written, Relaxed);
        let recorded = Recorded { seen: self.seen.clone(), submitted: false };
        encoder.on_submitted_work_done(move || recorded.was_submitted());
    }
}

/// What was appended to an encoder.
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
