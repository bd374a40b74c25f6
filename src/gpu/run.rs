//! Runs a program many times in submissions of about 100 ms, by its measured speed, because desktop systems abort a submission
//! after about 2 s, and web pages freeze while one runs.

use super::executor::{Executor, Pace, Step};
use crate::Result;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// Seconds of GPU work that one submission aims at.
const SUBMISSION: f64 = 0.1;

/// Operations and bytes in a second while nothing is known of the device's pace: of the slowest at hand.
const COLD: f64 = 5e9;

/// A measured launch is no more than this many times slower than expected by the pace, and takes no more than this many
/// seconds itself: a longer time includes something else, such as compiling, or other programs on a busy machine.
const SLOWEST: f64 = 20.0;
const LAUNCH: f64 = 2e-3;

/// Replays submitted at once, at most.
const MOST: f64 = 1000.0;

/// The interval of measured loops: one in this many is waited for from beginning to end, because loops in between may be
/// too short to measure, and devices become slower as they grow hot.
const MEASURED: u64 = 64;

/// The durations of launches, learnt from the last submissions that were waited for.
#[derive(Debug, Default)]
pub(super) struct RunPace {
    /// The seconds of each launch; time of launches submitted together is divided by operations and bytes.
    launches: Vec<f64>,
    /// Launches, from the first on, that were measured; the others are guessed by their pace.
    known: usize,
    /// Replays that were measured. Some drivers compile during the first.
    replays: u64,
    /// Loops that were begun.
    loops: u64,
}

impl RunPace {
    /// Guesses how fast a program's launches are, while nothing has run.
    pub fn guessed(steps: &[Step]) -> Self {
        let launches = steps.iter().map(|step| step.cost() / COLD).collect();
        Self { launches, ..Self::default() }
    }

    /// Chooses the next submission, for a replay from launch `from` on with `left` replays to go: launches of one replay,
    /// or whole replays.
    fn next(&self, from: usize, left: u32) -> (Range<usize>, u32) {
        let rest = self.launches.get(from..).unwrap_or_default();
        let seconds: f64 = rest.iter().sum();
        let end = from + rest.len();
        let parts = (seconds / SUBMISSION).round();
        if parts <= 1.0 {
            let known = from == 0 && self.known >= end;
            let count = if known { (SUBMISSION / seconds).round().clamp(1.0, MOST) } else { 1.0 };
            return (from..end, left.min(count as u32));
        }
        let (most, mut taken) = (seconds / parts, 0.0);
        let fits = |&launch: &&f64| {
            taken += launch;
            taken <= most * (1.0 + 1e-9)
        };
        let count = rest.iter().take_while(fits).count().max(1);
        (from..from + count, 1)
    }

    /// Learns from the duration `took` of launches submitted together.
    fn note(&mut self, steps: &[Step], (part, count): (Range<usize>, u32), took: Duration) {
        let each = took.as_secs_f64() / f64::from(count.max(1));
        let warm = self.replays > 1;
        let Some(launches) = self.launches.get_mut(part.clone()) else { return };
        let mut scale = each / launches.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        if warm {
            // The machine's other work makes single ones too long.
            scale = 0.5 + 0.5 * scale;
        }
        for (launch, step) in launches.iter_mut().zip(steps.iter().skip(part.start)) {
            *launch = (*launch * scale).min(most(step));
        }
        if part.end > self.known {
            self.known = part.end;
            let (before, after) = self.launches.split_at_mut(part.end);
            let cost: f64 = steps.iter().take(part.end).map(Step::cost).sum();
            let pace = before.iter().sum::<f64>() / cost;
            for (launch, step) in after.iter_mut().zip(steps.iter().skip(part.end)) {
                *launch = (step.cost() * pace).min(most(step));
            }
        }
        self.replays += u64::from(part.end == steps.len());
    }
}

fn most(step: &Step) -> f64 {
    SLOWEST * step.cost() / COLD + LAUNCH
}

/// A submission, with its launches.
type Running = (wgpu::SubmissionIndex, (Range<usize>, u32));

/// The state of a loop of replays.
struct Loop {
    /// The number of replays submitted completely.
    submitted: u32,
    /// The launch to go on with.
    from: usize,
    /// Whether the whole loop is waited for.
    measured: bool,
    running: Option<Running>,
    /// The time at which the GPU began with the running submission; unknown where it may have had other work before.
    since: Option<Instant>,
}

impl Executor {
    /// Measures how long a run of the program and each of its launches take when nothing else runs. After two warm-up replays,
    /// replays of some 20 ms are submitted and waited for; long launches are also measured singly, and otherwise a replay's time
    /// is divided by operations and bytes. As replays they change what they write in place.
    pub async fn measure(&self) -> Result<Pace> {
        // Some drivers compile at the first.
        self.timed(1).await?;
        let mut replays = 1;
        let mut each = Duration::ZERO;
        for _ in 0..3 {
            each = self.timed(replays).await? / replays;
            replays = (20_000 / each.as_micros().max(1)).clamp(1, 100) as u32;
        }
        let mut launches: Vec<_> = self.steps.iter().map(Step::cost).collect();
        let submission = self.timed_steps(&[]).await?.as_secs_f64();
        if each.as_secs_f64() > 4.0 * submission * self.steps.len() as f64 {
            launches.fill(f64::INFINITY);
            for _ in 0..3 {
                for (step, best) in self.steps.iter().zip(&mut launches) {
                    let took = self.timed_steps(std::slice::from_ref(step)).await?.as_secs_f64();
                    *best = best.min((took - submission).max(1e-6));
                }
            }
        }
        let scale = each.as_secs_f64() / launches.iter().sum::<f64>();
        launches.iter_mut().for_each(|seconds| *seconds *= scale);
        Ok(Pace { replay: each, launches })
    }

    /// Seconds of so many replays, from the first submission to the end of the last.
    pub(crate) async fn seconds(&self, times: u32) -> Result<f64> {
        Ok(self.timed(times).await?.as_secs_f64())
    }

    async fn timed(&self, times: u32) -> Result<Duration> {
        self.refresh().await?;
        let since = Instant::now();
        self.run(times, |_| Ok(())).await?;
        self.gpu.wait().await?;
        Ok(since.elapsed())
    }

    async fn timed_steps(&self, steps: &[Step]) -> Result<Duration> {
        let since = Instant::now();
        self.submit_steps(steps, 1).await?;
        self.gpu.wait().await?;
        Ok(since.elapsed())
    }

    /// Submits one run of the program as [`Executor::run`] does; its last submission is not waited for.
    pub async fn submit(&self) -> Result<()> {
        self.run(1, |_| Ok(())).await
    }

    /// Runs the program `times` times in submissions of about 100 ms: several replays, or one, or a part of one, which changes no
    /// bit of the results. The next is made while one runs, and no further one before that has ended; the last is not
    /// waited for, but of the first two replays and then of one loop in 64, by which the pace is learned. `between` is
    /// called after each with the number of replays submitted whole and may stop the loop with an error.
    pub async fn run(&self, times: u32, mut between: impl FnMut(u32) -> Result<()>) -> Result<()> {
        let mut state = self.begin();
        while state.submitted < times {
            if state.from == 0 {
                self.refresh().await?;
            }
            self.advance(&mut state, times).await?;
            between(state.submitted)?;
        }
        Ok(())
    }

    /// Submits one replay without the executor before it.
    pub(super) async fn submit_alone(&self) -> Result<()> {
        let mut state = self.begin();
        while state.submitted < 1 {
            self.advance(&mut state, 1).await?;
        }
        Ok(())
    }

    fn begin(&self) -> Loop {
        let mut pace = self.pace();
        pace.loops += 1;
        let measured = pace.loops.is_multiple_of(MEASURED);
        Loop { submitted: 0, from: 0, measured, running: None, since: None }
    }

    /// Submits the next part.
    async fn advance(&self, state: &mut Loop, times: u32) -> Result<()> {
        let ((part, count), cold) = {
            let pace = self.pace();
            let next = pace.next(state.from, times - state.submitted);
            (next, pace.replays < 2 || state.measured)
        };
        if cold && state.running.is_none() && state.since.is_none() {
            self.gpu.wait().await?;
            state.since = Some(Instant::now());
        }
        let steps = self.steps.get(part.clone()).unwrap_or_default();
        let index = self.submit_steps(steps, count).await?;
        state.from = if part.end < self.steps.len() { part.end } else { 0 };
        state.submitted += if state.from == 0 { count } else { 0 };
        if let Some(before) = state.running.replace((index, (part, count))) {
            self.ended(before, &mut state.since).await?;
        }
        if cold && let Some(this) = state.running.take() {
            self.ended(this, &mut state.since).await?;
        }
        Ok(())
    }

    /// Waits for a submission and learns its pace.
    async fn ended(&self, (index, what): Running, since: &mut Option<Instant>) -> Result<()> {
        self.gpu.finish(Some(index)).await?;
        let now = Instant::now();
        if let Some(began) = since.replace(now) {
            self.pace().note(&self.steps, what, now - began);
        }
        Ok(())
    }

    /// Returns the launches of one replay, divided as they would be submitted.
    pub(super) fn parts(&self) -> Vec<&[Step]> {
        let (pace, mut from, mut parts) = (self.pace(), 0, Vec::new());
        while from < self.steps.len() {
            let (part, _) = pace.next(from, 1);
            from = part.end;
            parts.extend(self.steps.get(part));
        }
        parts
    }

    fn pace(&self) -> MutexGuard<'_, RunPace> {
        // Whatever happened to another thread, these are numbers that the next submission corrects.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(launches: &[f64]) -> RunPace {
        RunPace { launches: launches.to_vec(), known: launches.len(), replays: 2, loops: 0 }
    }

    #[test]
    fn submissions_are_of_about_100_ms() {
        assert_eq!(pace(&[0.01; 4]).next(0, 100), (0..4, 3));
        assert_eq!(pace(&[0.01; 4]).next(0, 2), (0..4, 2));
        assert_eq!(pace(&[0.03; 10]).next(0, 5), (0..3, 1));
        assert_eq!(pace(&[0.03; 10]).next(9, 5), (9..10, 1));
        assert_eq!(pace(&[0.5, 0.01, 0.01]).next(0, 5), (0..1, 1));
        assert_eq!(pace(&[1e-9; 2]).next(0, u32::MAX), (0..2, 1000));
        // Minutes of it: as many as it takes.
        let long = pace(&[0.05; 4000]);
        let (mut from, mut parts) = (0, 0);
        while from < 4000 {
            let (part, count) = long.next(from, 1);
            assert!(part.len() <= 2 && count == 1);
            (from, parts) = (part.end, parts + 1);
        }
        assert!(parts >= 2000);
        // Nothing is known: one replay at a time.
        assert_eq!(RunPace { known: 0, ..pace(&[0.01; 4]) }.next(0, 100), (0..4, 1));
    }
}
