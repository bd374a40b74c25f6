//! How much of a convolution one launch computes at most: systems end programs whose work keeps a device too long, and CPU
//! drivers end loops that are too long and say nothing. Larger problems are launched in runs of images, and sums over images in
//! runs of their lines too.

use super::problem::Params;
use crate::ops::walk::MOST_TURNS;

/// Operations of one launch, where one image, or one line of a sum over images, is not more: a tenth of a second of a GPU that
/// computes 100 GFLOP in a second, and less than two, after which desktops take a device away, of one that computes 5.
pub(super) const MOST_WORK: u64 = 1 << 33;

/// How an invocation goes through what it sums up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// Of an image, if the sum is over images: what a line is says the kernel. Else 1.
    pub count: u32,
    /// Turns of all loops for one line, that of the loop over lines included.
    pub turns: u64,
}

/// What an invocation sums over in one launch: images, and of each of these lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub images: u32,
    pub lines: u32,
}

/// How many times a launch may do what takes so many operations.
pub(super) fn times(work: u64) -> u32 {
    u32::try_from(MOST_WORK / work.max(1)).unwrap_or(u32::MAX).max(1)
}

/// Turns of an image beside those of its lines: that of the loop over images, and what it takes to find that lines are over.
const LOOP: u64 = 3;

impl Lines {
    /// The largest run of images of so many operations that is within both bounds: whole images, or of one image so many lines,
    /// one at least.
    pub fn run(&self, work: u64) -> Run {
        let image = self.turns(Run { images: 1, lines: self.count });
        let fit = (MOST_TURNS / image).min(MOST_WORK / work.max(1));
        if fit > 0 {
            return Run { images: u32::try_from(fit).unwrap_or(u32::MAX), lines: self.count };
        }
        let work = work / u64::from(self.count.max(1));
        let lines = (MOST_TURNS - LOOP) / self.turns.max(1);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX).min(times(work));
        Run { images: 1, lines: lines.clamp(1, self.count) }
    }

    /// Turns of an invocation's loops in such a run.
    pub fn turns(&self, run: Run) -> u64 {
        u64::from(run.images) * (LOOP + u64::from(run.lines) * self.turns)
    }
}

/// The launches of sums over images of so many operations, which go on from launch to launch: the bits are those of one launch.
pub(super) fn one_sum(whole: &Params, lines: Lines, work: u64) -> Vec<Params> {
    let run = lines.run(work);
    let mut launches = Vec::new();
    for first_image in (0..whole.images).step_by(run.images as usize) {
        let images = run.images.min(whole.images - first_image);
        for first_line in (0..lines.count).step_by(run.lines as usize) {
            let epilogue = u32::from(!launches.is_empty());
            let lines = run.lines.min(lines.count - first_line);
            launches.push(Params { first_image, images, first_line, lines, epilogue, ..*whole });
        }
    }
    launches
}
