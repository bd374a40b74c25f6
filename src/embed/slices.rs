//! Cuts a program's GPU work into slices short enough to be added to one frame each of the host app.

use crate::Result;
use crate::gpu::Pace;
use crate::lower::Program;
use std::time::Duration;

/// How much GPU work one call of `record` may add to a frame of the host app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// This many whole steps; a step that is under way counts as one.
    Steps(u32),
    /// At most this much GPU time, by the speed that was measured when nothing else ran on the device; at least one kernel
    /// launch, but nothing if the time is zero. A step that takes longer is spread over several frames.
    Time(Duration),
}

/// The share of a frame's time that launches are counted to: some take longer than when they were measured.
const PART: f64 = 0.75;

/// The progress of a program's replays.
#[derive(Debug)]
pub(super) struct Slices {
    /// The GPU times of one replay and its launches.
    pace: Pace,
    /// The number of replays recorded completely.
    done: u32,
    /// The launch of the next replay to go on with.
    launch: usize,
}

impl Slices {
    /// Measures how long the program takes, to divide it among frames; the program's state is written to by that.
    pub async fn new(program: &mut Program) -> Result<Self> {
        Ok(Self { pace: program.measure().await?, done: 0, launch: 0 })
    }

    /// Begins the program's runs anew, from the first.
    pub fn restart(&mut self) {
        (self.done, self.launch) = (0, 0);
    }

    /// Appends as much of the program as the budget allows, up to `total` runs in all. Returns the number of runs that are
    /// recorded whole.
    pub fn record(
        &mut self,
        program: &mut Program,
        encoder: &mut wgpu::CommandEncoder,
        budget: Budget,
        total: u32,
    ) -> u32 {
        let end = match budget {
            Budget::Steps(steps) => total.min(self.done.saturating_add(steps)),
            Budget::Time(_) => total,
        };
        let mut left = match budget {
            Budget::Steps(_) => f64::INFINITY,
            Budget::Time(time) => PART * time.as_secs_f64(),
        };
        let mut some = budget != Budget::Time(Duration::ZERO);
        while self.done < end {
            let part = program.record_part(encoder, &self.pace, self.launch, left, some);
            let Some((next, taken)) = part else { break };
            self.launch = next;
            if next != 0 {
                break;
            }
            self.done += 1;
            left -= taken;
            some = false;
        }
        self.done
    }

    pub fn done(&self) -> u32 {
        self.done
    }

    pub fn pace(&self) -> Duration {
        self.pace.replay
    }
}
