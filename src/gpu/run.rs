//! Many replays in submissions of about the same length, by the pace of those before.

use super::executor::{Executor, Step};
use crate::Result;
use std::time::Duration;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// GPU work that one submission aims at: desktops kill long ones, and pages freeze.
const SUBMISSION: Duration = Duration::from_millis(100);

/// Work of one submission while nothing is known of the device's pace: 0.1 s of the slowest at hand.
const COLD_COST: u64 = 500_000_000;

/// Submissions that a replay is cut into, at most.
const MAX_PARTS: u32 = 64;

/// How long a replay takes, from the last submission that was waited for.
#[derive(Debug, Default)]
pub(super) struct RunPace {
    /// The first replay compiles on some drivers and is not measured.
    warm: bool,
    replay: Option<Duration>,
}

impl Executor {
    /// Replays `times` times in submissions of about 100 ms: several replays, or one, or a part of one. The
    /// next is made while one runs, and no further one before that has ended; the last is not waited for.
    /// `between` is called after each with the number of replays submitted whole and may stop the loop with an
    /// error.
    pub async fn run(&self, times: u32, mut between: impl FnMut(u32) -> Result<()>) -> Result<()> {
        let (mut submitted, mut running) = (0, None);
        // Since when, and for how many replays, the pace is being measured.
        let (mut since, mut ended) = (Instant::now(), 0.0);
        while submitted < times {
            let (count, parts) = self.cut(times - submitted);
            let parts = self.parts(parts);
            let share = f64::from(count) / parts.len().max(1) as f64;
            self.refresh().await?;
            for (at, steps) in (1..).zip(&parts) {
                let index = self.submit_steps(steps, count).await?;
                if let Some((before, share)) = running.replace((index, share)) {
                    self.gpu.finish(Some(before)).await?;
                    ended += share;
                    if ended > 0.999 {
                        self.note_pace(since.elapsed().div_f64(ended));
                        (since, ended) = (Instant::now(), 0.0);
                    }
                }
                if at == parts.len() {
                    submitted += count;
                }
                between(submitted)?;
            }
        }
        // Loops of one replay learn their pace too, if it was cut.
        if ended > 0.5 {
            self.note_pace(since.elapsed().div_f64(ended));
        }
        Ok(())
    }

    /// How many replays, of `left`, are submitted next, and in how many submissions: one of the two is 1.
    fn cut(&self, left: u32) -> (u32, u32) {
        match self.pace.lock().ok().and_then(|pace| pace.replay) {
            None => {
                let cost: u64 = self.steps.iter().map(|step| step.cost()).sum();
                (1, cost.div_ceil(COLD_COST).clamp(1, MAX_PARTS.into()) as u32)
            }
            Some(each) => {
                let (aim, each) = (SUBMISSION.as_micros(), each.as_micros().max(1));
                let parts = (each + aim / 2) / aim;
                let count = aim.div_ceil(each).clamp(1, 1000) as u32;
                (count.min(left), parts.clamp(1, MAX_PARTS.into()) as u32)
            }
        }
    }

    /// The launches in so many parts of about the same cost.
    fn parts(&self, count: u32) -> Vec<&[Step]> {
        if count <= 1 {
            return vec![&self.steps];
        }
        let total: u64 = self.steps.iter().map(|step| step.cost()).sum();
        let each = (total / u64::from(count)).max(1);
        let mut sum = 0;
        let mut next = move |step: &Step| {
            let part = sum / each;
            sum += step.cost();
            part
        };
        let numbered: Vec<_> = self.steps.iter().map(&mut next).collect();
        let mut rest = &self.steps[..];
        let mut parts = Vec::new();
        for same in numbered.chunk_by(|a, b| a == b) {
            let (part, after) = rest.split_at(same.len().min(rest.len()));
            parts.push(part);
            rest = after;
        }
        parts
    }

    fn note_pace(&self, replay: Duration) {
        if let Ok(mut pace) = self.pace.lock() {
            if pace.warm {
                pace.replay = Some(replay);
            }
            pace.warm = true;
        }
    }
}
