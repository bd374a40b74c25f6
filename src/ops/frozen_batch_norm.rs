//! Batch normalisation with frozen statistics, `torch.nn.functional.batch_norm(training=False)`.

use super::Scale;
use super::batch_norm::{BatchNormWeights, FORWARD, check_eps, check_vectors};
use super::walk::{EpsParams, Widths, widths};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

/// The kernels of frozen batch normalisation's derivative for x: all that attacking and sampling need.
pub static BACKWARD: Widths =
    widths!("frozen_batch_norm_backward", [], EpsParams, [dy, gamma, variance, mut dx]);

/// Batch normalisation by given (running) statistics. Inputs x \[N, C, H, W\] and gamma, beta, mean and variance, each \[C\];
/// output y, of the shape of x:
///
/// y = (x - mean) / sqrt(variance + eps) * gamma + beta
///
/// Mean and variance are constants: Err if their derivatives are asked for.
#[derive(Clone, Copy, Debug)]
pub struct FrozenBatchNorm {
    /// The number added to the variance before its root is taken; finite and above 0. PyTorch's default is 1e-5.
    pub eps: f32,
}

impl Op for FrozenBatchNorm {
    fn name(&self) -> &'static str {
        "frozen_batch_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, vectors @ ..] = exactly::<_, 5>(self.name(), "inputs", inputs)?;
        check_eps(self.name(), self.eps)?;
        check_vectors(self.name(), x, &vectors)?;
        Ok(vec![x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, ..] = exactly::<_, 5>(self.name(), "inputs", launch.inputs)?;
        let walk = FORWARD.over(x);
        walk.each(launch.to, &[], walk.with_eps(self.eps), launch.buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [x, gamma, _beta, mean, variance] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_x, for_gamma, for_beta, statistics @ ..] =
            exactly::<_, 5>(self.name(), "flags", asked)?;
        if statistics.contains(&true) {
            let why = "none is defined with respect to the frozen mean and variance";
            return Err(Error::NoDerivative { op: self.name(), why });
        }
        let eps = self.eps;
        let (mut dx, mut dgamma, mut dbeta) = (None, None, None);
        if for_x {
            dx = Some(graph.push(FrozenBatchNormBackward { eps }, &[dy, gamma, variance])?);
        }
        if for_gamma || for_beta {
            let sums =
                graph.push_all(BatchNormWeights { eps, mask: false }, &[dy, x, mean, variance])?;
            let [of_gamma, of_beta] = exactly(self.name(), "sums", &sums)?;
            (dgamma, dbeta) = (for_gamma.then_some(of_gamma), for_beta.then_some(of_beta));
        }
        Ok(vec![dx, dgamma, dbeta, None, None])
    }
}

/// Inputs dy, gamma, variance; output dx = dy * gamma / sqrt(variance + eps).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrozenBatchNormBackward {
    pub(crate) eps: f32,
}

impl Op for FrozenBatchNormBackward {
    fn name(&self) -> &'static str {
        "frozen_batch_norm_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, vectors @ ..] = exactly::<_, 3>(self.name(), "inputs", inputs)?;
        check_vectors(self.name(), dy, &vectors)?;
        Ok(vec![dy])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, ..] = exactly::<_, 3>(self.name(), "inputs", launch.inputs)?;
        let walk = BACKWARD.over(dy);
        walk.each(launch.to, &[], walk.with_eps(self.eps), launch.buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [first, gamma, variance] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_gamma, for_variance] = exactly(self.name(), "flags", asked)?;
        if for_variance {
            return Err(Error::NoDerivative {
                op: self.name(),
                why: "none is defined with respect to the frozen variance",
            });
        }
        let (mut of_first, mut dgamma) = (None, None);
        if for_first {
            of_first = Some(graph.push(*self, &[dy, gamma, variance])?);
        }
        if for_gamma {
            // The sum over dy * first / sqrt(variance + eps), which is gamma's derivative at a mean of 0.
            let zero = graph.push(Scale { factor: 0.0 }, &[variance])?;
            let op = BatchNormWeights { eps: self.eps, mask: false };
            dgamma = graph.push_all(op, &[dy, first, zero, variance])?.first().copied();
        }
        Ok(vec![of_first, dgamma, None])
    }
}
