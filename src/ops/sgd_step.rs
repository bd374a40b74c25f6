//! One step of stochastic gradient descent with momentum, `torch.optim.SGD` with dampening 0.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { vectors: u32, nesterov: u32, momentum: f32, weight_decay: f32 }
}

/// w and buf in place.
pub static KERNEL: Kernel = kernel!(
    "sgd_step",
    ["index"],
    Params,
    &[("w", Write), ("buf", Write), ("grad", Read), ("control", Read)]
);

/// Inputs weights w and momentum buf (both written in place), grad, all of one shape, and control \[2\]:
/// the learning rate, and 1 at the first step or else 0. No output.
///
/// d = grad + `weight_decay` w; buf = d at the first step, else `momentum` buf + d;
/// w = w - lr (d + `momentum` buf) with Nesterov, else w - lr buf.
#[derive(Clone, Copy, Debug)]
pub struct SgdStep {
    /// From 0 to below 1.
    pub momentum: f32,
    /// Times w, added to the gradient.
    pub weight_decay: f32,
    /// Sutskever et al. 2013's form of Nesterov's momentum.
    pub nesterov: bool,
}

impl Op for SgdStep {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [w, buf, grad, control] = exactly(self.name(), "inputs", inputs)?;
        buf.expect(self.name(), w)?;
        grad.expect(self.name(), w)?;
        control.expect(self.name(), Shape::vector(2)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [w, _buf, _grad, _control] = exactly(self.name(), "inputs", launch.inputs)?;
        let Self { momentum, weight_decay, nesterov } = *self;
        let vectors = w.elements().div_ceil(4);
        let params = Params { vectors, nesterov: nesterov.into(), momentum, weight_decay };
        launch.each(&KERNEL, params, vectors)
    }
}
