//! Cross-entropy of integer labels, `torch.nn.functional.cross_entropy(..., reduction="none")`, and its
//! derivative.

use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { classes: u32, smoothing: f32 }
}

/// y from logits and labels.
pub static FORWARD: Kernel = kernel!(
    "cross_entropy",
    ["softmax_row", "workgroup_sum"],
    Params,
    &[("logits", Read), ("labels", Read), ("y", Write)]
);

/// dlogits from dy, logits and labels.
pub static BACKWARD: Kernel = kernel!(
    "cross_entropy_backward",
    ["softmax_row", "workgroup_sum"],
    Params,
    &[("dy", Read), ("logits", Read), ("labels", Read), ("dlogits", Write)]
);

/// Inputs logits \[N, K\] and labels \[N\] (u32); output the loss of each image \[N\], for logits of any
/// size. An image whose label is K or more is left out: loss 0, derivative 0. At most 65,535 images.
///
/// With p = log softmax and s the smoothing: -(1 - s) p\[label\] - s mean(p).
/// [`Sum`](super::Sum) with scale 1 / N makes the mean of it.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// s, from 0 to 1: the part of the target that is spread over all classes.
    pub label_smoothing: f32,
}

impl CrossEntropy {
    fn params(&self, logits: Shape) -> Params {
        Params { classes: logits.channels(), smoothing: self.label_smoothing }
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits, labels] = exactly(self.name(), "inputs", inputs)?;
        let smoothing = self.label_smoothing;
        if !(0.0..=1.0).contains(&smoothing) {
            let given = format_args!("label smoothing {smoothing}");
            return Err(Error::mismatch(self.name(), given, "0 to 1"));
        }
        logits.expect(self.name(), Shape::matrix(logits.images(), logits.channels())?)?;
        labels.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![labels])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits, _labels] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.all(&FORWARD, self.params(logits), [logits.images(), 1, 1])
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [logits, labels] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(Backward(*self), &[dy, logits, labels])?), None])
    }
}

/// Inputs dy, logits and labels; output dlogits.
#[derive(Clone, Copy, Debug)]
struct Backward(CrossEntropy);

impl Op for Backward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, logits, labels] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), labels)?;
        labels.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, logits, _labels] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.all(&BACKWARD, self.0.params(logits), [logits.images(), 1, 1])
    }
}
