//! Dynamic loss scaling for mixed precision (Micikevicius and others 2018, arXiv 1710.03740, section 3.2): the loss is
//! multiplied by a power of two before its derivatives are taken, so that small ones do not vanish in half precision, and the
//! weights' gradients are divided by it. A step whose gradients overflowed is left out and the scale halved; after many good
//! steps it is doubled. Scales are powers of two, so numbers that neither overflow nor vanish keep all their bits.

use crate::gpu::Precision;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first scale.
const FIRST: f32 = 4096.0;
/// The largest and the smallest scale. A loss that overflows below the smallest is not saved by scaling.
const MOST: f32 = 16_777_216.0;
const LEAST: f32 = 1.0 / 1024.0;
/// The number of good steps in a row after which the scale is doubled, as in `torch.amp.GradScaler`.
const PATIENCE: u32 = 2000;

/// The scale of a loss, as a learner's step moves it and its updates read it. In single precision it stays 1.
#[derive(Clone, Debug)]
pub(super) struct LossScale(Arc<Mutex<State>>);

/// The state of a scale, which a checkpoint keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    /// The factor by which the loss is multiplied, so that gradients do not vanish in half precision.
    pub scale: f32,
    /// The number of steps with finite gradients since the factor changed.
    pub good: u32,
    /// The number of steps that were left out since training began, because gradients were not finite.
    pub left_out: u64,
}

impl LossScale {
    /// Makes the loss scale with which training in a precision begins.
    pub fn new(precision: Precision) -> Self {
        let scale = if precision == Precision::Mixed { FIRST } else { 1.0 };
        Self(Arc::new(Mutex::new(State { scale, good: 0, left_out: 0 })))
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the loss scale with its counts, for a checkpoint.
    pub fn state(&self) -> State {
        *self.held()
    }

    /// Sets the loss scale and its counts from a checkpoint.
    #[cfg(feature = "train")]
    pub fn restore(&self, state: State) {
        *self.held() = state;
    }

    /// Counts a step: halves the loss scale after one whose gradients were not all finite, and doubles it after 2,000 steps in
    /// a row with finite gradients.
    pub fn follow(&self, finite: bool) {
        let mut state = self.held();
        let State { scale, good, left_out } = *state;
        *state = match finite {
            false => State { scale: (scale / 2.0).max(LEAST), good: 0, left_out: left_out + 1 },
            true if good + 1 == PATIENCE => {
                State { scale: (scale * 2.0).min(MOST), good: 0, left_out }
            }
            true => State { good: good + 1, ..*state },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_falls_at_once_and_rises_slowly() {
        let scale = LossScale::new(Precision::Mixed);
        let held = |scale: &LossScale| scale.state().scale;
        assert_eq!(held(&scale), 4096.0);
        scale.follow(false);
        assert_eq!((held(&scale), scale.state().left_out), (2048.0, 1));
        (0..PATIENCE - 1).for_each(|_| scale.follow(true));
        assert_eq!(held(&scale), 2048.0);
        scale.follow(true);
        assert_eq!(held(&scale), 4096.0);
        (0..40).for_each(|_| scale.follow(false));
        assert_eq!(held(&scale), LEAST);
        (0..40 * PATIENCE).for_each(|_| scale.follow(true));
        assert_eq!(held(&scale), MOST);
        assert_eq!(held(&LossScale::new(Precision::Single)), 1.0);
    }
}
