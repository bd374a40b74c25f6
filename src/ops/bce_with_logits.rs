//! Binary cross-entropy from logits,
//! `torch.nn.functional.binary_cross_entropy_with_logits(..., reduction="none")`, and its derivative.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { vectors: u32 }
}

/// The kernel of binary cross-entropy, which computes the loss y from logits and targets.
pub static FORWARD: Kernel =
    kernel!("bce_with_logits", ["map_two", "index"], Params, [a, b, mut y]);

/// The kernel of binary cross-entropy's derivative, which computes dz, for the logits z, from dy, logits and targets.
pub static BACKWARD: Kernel =
    kernel!("bce_with_logits_backward", ["map_three", "index"], Params, [a, b, c, mut y]);

/// Binary cross-entropy of logits: inputs logits z and targets t in \[0, 1\], of one shape; output max(z, 0) - z t +
/// log(1 + exp(-|z|)) of each element, for logits of any size. The targets have no derivative; that for z is sigmoid(z) -
/// t, and -t at z = 0 exactly, as automatic differentiation of the formula has it.
#[derive(Clone, Copy, Debug)]
pub struct BceWithLogits;

impl Op for BceWithLogits {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits, targets] = exactly(self.name(), "inputs", inputs)?;
        targets.expect(self.name(), logits)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits, _targets] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = logits.elements().div_ceil(4);
        launch.each(&FORWARD, Params { vectors }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [logits, targets] = exactly(self.name(), "inputs", &node.inputs)?;
        let [_for_logits, for_targets] = exactly(self.name(), "flags", asked)?;
        if for_targets {
            return Err(Error::NoDerivative {
                op: self.name(),
                why: "none is defined with respect to targets",
            });
        }
        Ok(vec![Some(graph.push(BceBackward, &[dy, logits, targets])?), None])
    }
}

/// Inputs dy, logits and targets; output dlogits.
#[derive(Clone, Copy, Debug)]
struct BceBackward;

impl Op for BceBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, logits, targets] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), logits)?;
        targets.expect(self.name(), logits)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, _logits, _targets] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = dy.elements().div_ceil(4);
        launch.each(&BACKWARD, Params { vectors }, vectors)
    }
}
