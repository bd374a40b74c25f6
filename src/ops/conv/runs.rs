//! Limits how much of a convolution one launch computes: systems end programs whose work keeps a device busy too long, and CPU
//! drivers silently end loops that are too long. Larger problems are divided into several launches, each for a part of the
//! images or, in gradients that are sums over images, also for a part of the rows.

use super::problem::Params;
use crate::gpu::{Adapter, AdapterKind};
use crate::ops::walk::MOST_TURNS;

/// The most operations of one launch, unless one image, or one line of a sum over images, has more: a tenth of a second
/// on a GPU that computes 100 GFLOP in a second, and less than two, after which desktops take a device away, on one that
/// computes 5.
pub(super) const MOST_WORK: u64 = 1 << 33;

/// The same on a graphics card of its own. The slowest of these compute ten times as much, and a launch with less work is too few
/// workgroups for a fast one, whose units then wait for the last workgroups again and again.
const MOST_WORK_OF_CARDS: u64 = 1 << 36;

/// Returns the largest number of operations that one launch may compute on an adapter, unless a single image has more.
pub fn most_work(adapter: &Adapter) -> u64 {
    if adapter.kind == AdapterKind::Discrete { MOST_WORK_OF_CARDS } else { MOST_WORK }
}

/// The loops of an invocation over the terms of its sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// The number of lines of an image, if the sum is over images; the kernel says what a line is. Else 1.
    pub count: u32,
    /// The number of turns of all loops for one line, including that of the loop over lines.
    pub turns: u64,
}

/// The part of its sum that an invocation computes in one launch: a number of images, and of lines in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub images: u32,
    pub lines: u32,
}

/// Returns how often a launch of at most `most` operations may repeat work of `work` operations.
pub(super) fn times(work: u64, most: u64) -> u32 {
    u32::try_from(most / work.max(1)).unwrap_or(u32::MAX).max(1)
}

/// The number of turns of an image beside those of its lines: the loop over images takes one, and the end of the lines
/// the others.
const LOOP: u64 = 3;

impl Lines {
    /// Returns the largest run of images of `work` operations each that is within both limits, `most` operations and the
    /// turns of loops: whole images, or some lines of one image, at least one.
    pub fn run(&self, work: u64, most: u64) -> Run {
        let image = self.turns(Run { images: 1, lines: self.count });
        let fit = (MOST_TURNS / image).min(most / work.max(1));
        if fit > 0 {
            return Run { images: u32::try_from(fit).unwrap_or(u32::MAX), lines: self.count };
        }
        let work = work / u64::from(self.count.max(1));
        let lines = (MOST_TURNS - LOOP) / self.turns.max(1);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX).min(times(work, most));
        Run { images: 1, lines: lines.clamp(1, self.count) }
    }

    /// Returns the number of turns that an invocation's loops take for such a run of images and lines.
    pub fn turns(&self, run: Run) -> u64 {
        u64::from(run.images) * (LOOP + u64::from(run.lines) * self.turns)
    }
}

/// Returns the launches of sums over images of `work` operations each. Each launch goes on with the sums of the one
/// before, so that the bits are those of one launch.
pub(super) fn one_sum(whole: &Params, lines: Lines, work: u64) -> Vec<Params> {
    let run = lines.run(work, MOST_WORK);
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
