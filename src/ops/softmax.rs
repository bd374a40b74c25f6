//! Softmax over the classes and its logarithm, `torch.softmax(x, dim=1)` and `torch.log_softmax(x, dim=1)`, and their
//! derivatives.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { classes: u32 }
}

/// y from the logits; the constant LOG takes the logarithm.
pub static FORWARD: Kernel =
    kernel!("softmax", ["softmax_row", "workgroup_sum"], Params, &[("logits", Read), ("y", Write)]);

/// dlogits from dy and y.
pub static BACKWARD: Kernel = kernel!(
    "softmax_backward",
    ["workgroup_sum"],
    Params,
    &[("dy", Read), ("y", Read), ("dx", Write)]
);

/// Input logits \[N, K\] of any size; output exp(logits) over its row's sum, or the logarithm of that, \[N, K\]. At most
/// 65,535 images.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// Whether the logarithm is taken; it keeps digits that the quotient loses.
    pub log: bool,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { FORWARD.name }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits] = exactly(self.name(), "inputs", inputs)?;
        logits.expect(self.name(), Shape::matrix(logits.images(), logits.channels())?)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(&FORWARD, self.log, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [y] = exactly(self.name(), "outputs", &node.outputs)?;
        Ok(vec![Some(graph.push(SoftmaxBackward { log: self.log }, &[dy, y])?)])
    }
}

/// Inputs dy and y; output dlogits.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoftmaxBackward {
    pub log: bool,
}

impl Op for SoftmaxBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, y] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), y)?;
        Ok(vec![y])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(&BACKWARD, self.log, launch)
    }
}

/// One workgroup a row.
fn record(kernel: &'static Kernel, log: bool, launch: &mut Launch) -> Result<()> {
    let [rows] = exactly(kernel.name, "outputs", launch.outputs)?;
    let (log, params) = (("LOG", f64::from(log)), Params { classes: rows.channels() });
    launch.to.dispatch(kernel, &[log], params, launch.buffers, [rows.images(), 1, 1]).map(drop)
}
