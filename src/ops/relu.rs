//! Rectifier, `torch.nn.functional.relu`, and its derivative.

use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// y = max(x, 0).
pub static FORWARD: Kernel = Kernel {
    name: "relu",
    source: &[
        include_str!("../../shaders/relu.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("y", Write)],
    subgroup: 0,
};

/// dx from dy and y.
pub static BACKWARD: Kernel = Kernel {
    name: "relu_backward",
    source: &[
        include_str!("../../shaders/relu_backward.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("y", Read), ("dx", Write)],
    subgroup: 0,
};

/// Input x of any shape; output max(x, 0).
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Op for Relu {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = x.elements().div_ceil(4);
        launch.each(&FORWARD, Params { vectors }, vectors)
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        _asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [y] = exactly(self.name(), "outputs", &node.outputs)?;
        Ok(vec![Some(graph.push(ReluBackward, &[dy, y])?)])
    }
}

/// Inputs dy and y; output dx.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReluBackward;

impl Op for ReluBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, y] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), y)?;
        Ok(vec![dy])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, _y] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = dy.elements().div_ceil(4);
        launch.each(&BACKWARD, Params { vectors }, vectors)
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        _asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [_dy, y] = exactly(self.name(), "inputs", &node.inputs)?;
        // The rectifier is straight on both sides of its corner: y has no derivative.
        Ok(vec![Some(graph.push(Self, &[dy, y])?), None])
    }
}
