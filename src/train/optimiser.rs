//! The optimisers SGD, Adam and AdamW, and the learning rate over the iterations of a stage.

use crate::graph::{Graph, Shape, Value};
use crate::ops::{AdamStep, SgdStep};
use crate::{Error, Result};
use std::f64::consts::PI;

/// An optimiser (SGD, Adam or AdamW) with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// Stochastic gradient descent with Nesterov's momentum ([`SgdStep`]).
    Sgd {
        /// The momentum, from 0 to below 1.
        momentum: f32,
        /// The weight decay of all trained weights, added to the gradient.
        weight_decay: f32,
    },
    /// Adam, or `AdamW` where the decay is decoupled ([`AdamStep`]), with an eps of 1e-8.
    Adam {
        /// The decay of the mean and of the mean square of gradients, from 0 to below 1.
        betas: [f64; 2],
        /// The weight decay of all trained weights, as Adam or AdamW applies it.
        weight_decay: f32,
        /// Whether weight decay is decoupled from the gradient, as in AdamW.
        decoupled: bool,
    },
}

impl Optimiser {
    /// Whether the optimiser keeps mean squares beside its first moment.
    pub(super) fn keeps_squares(&self) -> bool {
        matches!(self, Self::Adam { .. })
    }

    /// Returns the shape of the numbers that a step is given, such as the learning rate.
    pub(super) fn control_shape(&self) -> Result<Shape> {
        Shape::vector(if self.keeps_squares() { 3 } else { 2 })
    }

    /// The numbers that change from step to step, for the one after `steps` others.
    pub(super) fn control(&self, learning_rate: f64, steps: u64) -> Vec<f32> {
        match self.adam() {
            None => vec![learning_rate as f32, if steps == 0 { 1.0 } else { 0.0 }],
            Some(adam) => adam.control(learning_rate, steps + 1).to_vec(),
        }
    }

    /// Adds a step of one weight, whose moments are `first` and, if the optimiser keeps them, `squares`.
    pub(super) fn push(
        &self,
        graph: &mut Graph,
        [weight, first, gradient, control]: [Value; 4],
        squares: Option<Value>,
    ) -> Result<()> {
        match (*self, self.adam(), squares) {
            (Self::Sgd { momentum, weight_decay }, ..) => {
                let op = SgdStep { momentum, weight_decay, nesterov: true };
                graph.push_all(op, &[weight, first, gradient, control]).map(drop)
            }
            (_, Some(adam), Some(squares)) => {
                graph.push_all(adam, &[weight, first, squares, gradient, control]).map(drop)
            }
            _ => Err(Error::bug("optimiser", "a weight has no second moment, which Adam needs")),
        }
    }

    fn adam(&self) -> Option<AdamStep> {
        match *self {
            Self::Sgd { .. } => None,
            Self::Adam { betas, weight_decay, decoupled } => {
                Some(AdamStep { betas, eps: 1e-8, weight_decay, decoupled })
            }
        }
    }
}

/// Returns the factor of the learning rate at iteration `it` of `total`. It rises linearly over the first `warm_up` iterations,
/// as (it + 1)/`warm_up`, stays at 1, and falls to 0 by a cosine once the share `decay_from` of all iterations is over: from
/// the start if that is 0, never if it is 1.
pub fn schedule(it: u64, total: u64, warm_up: u32, decay_from: f64) -> f64 {
    let warm = ((it + 1) as f64 / f64::from(warm_up.max(1))).min(1.0);
    if decay_from == 0.0 {
        return warm * 0.5 * (1.0 + (PI * it as f64 / total.max(1) as f64).cos());
    }
    let first = decay_from * total as f64;
    let late = (it as f64 - first) / (total as f64 - first).max(1.0);
    warm * 0.5 * (1.0 + (PI * late.clamp(0.0, 1.0)).cos())
}
