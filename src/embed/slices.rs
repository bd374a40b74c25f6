//! A program's replays cut into slices that fit into frames.

use crate::Result;
use crate::graph::Program;
use std::time::Duration;

/// How much one call of `record` may add to the frame's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many whole steps; a step that is under way counts as one.
    Steps(u32),
    /// So much GPU time, by the pace that was measured when nothing else ran on the device; at least one
    /// launch. Where a step takes longer, it is spread over several frames.
    Time(Duration),
}

/// Where a program's replays are.
#[derive(Debug)]
pub(super) struct Slices {
    /// GPU time of one replay.
    pace: Duration,
    /// Replays recorded whole.
    done: u32,
    /// The launch of the next replay to go on with.
    launch: usize,
}

impl Slices {
    /// Measures the pace; the program's state is written to by that.
    pub async fn new(program: &Program) -> Result<Self> {
        Ok(Self { pace: program.measure().await?, done: 0, launch: 0 })
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        (self.done, self.launch) = (0, 0);
    }

    /// Appends what the budget allows, up to `total` replays in all. Returns how many are recorded whole.
    pub fn record(
        &mut self,
        program: &Program,
        encoder: &mut wgpu::CommandEncoder,
        budget: Budget,
        total: u32,
    ) -> u32 {
        let mut left = match budget {
            Budget::Steps(steps) => f64::from(steps),
            Budget::Time(time) => time.as_secs_f64() / self.pace.as_secs_f64().max(1e-9),
        };
        // Below a thousandth of a step there is but rounding left.
        while self.done < total && left > 1e-3 {
            let (share, whole) = match budget {
                Budget::Steps(_) => (1.0, true),
                Budget::Time(_) => (left, false),
            };
            let (next, taken) = program.record_part(encoder, self.launch, share);
            self.launch = next;
            if next == 0 {
                self.done += 1;
            }
            left -= if whole { 1.0 } else { taken };
            if next != 0 {
                break;
            }
        }
        self.done
    }

    pub fn done(&self) -> u32 {
        self.done
    }

    pub fn pace(&self) -> Duration {
        self.pace
    }
}
