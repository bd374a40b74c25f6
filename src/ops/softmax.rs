//! Softmax over the classes and its logarithm, `torch.softmax(x, dim=1)` and `torch.log_softmax(x, dim=1)`, and their
//! derivatives.

use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { classes: u32 }
}

/// y from the logits; the constant LOG takes the logarithm.
pub static FORWARD: Kernel = Kernel {
    name: "softmax",
    source: &[
        include_str!("../../shaders/softmax.wgsl"),
        include_str!("../../shaders/shared/softmax_row.wgsl"),
        include_str!("../../shaders/shared/workgroup_sum.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("logits", Read), ("y", Write)],
    subgroup: 0,
};

/// dlogits from dy and y.
pub static BACKWARD: Kernel = Kernel {
    name: "softmax_backward",
    source: &[
        include_str!("../../shaders/softmax_backward.wgsl"),
        include_str!("../../shaders/shared/workgroup_sum.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("y", Read), ("dx", Write)],
    subgroup: 0,
};

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

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        _asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
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
