//! Logistic function, `torch.sigmoid`, and its derivative.

use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// y from x.
pub static FORWARD: Kernel = Kernel {
    name: "sigmoid",
    source: &[
        include_str!("../../shaders/sigmoid.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("y", Write)],
    subgroup: 0,
};

/// dx from dy and x.
pub static BACKWARD: Kernel = Kernel {
    name: "sigmoid_backward",
    source: &[
        include_str!("../../shaders/sigmoid_backward.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("x", Read), ("dx", Write)],
    subgroup: 0,
};

/// Input x of any shape; output 1 / (1 + exp(-x)).
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid;

impl Op for Sigmoid {
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
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(SigmoidBackward, &[dy, x])?)])
    }
}

/// Inputs dy and x; output dx.
#[derive(Clone, Copy, Debug)]
struct SigmoidBackward;

impl Op for SigmoidBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        Ok(vec![dy])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, _x] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = dy.elements().div_ceil(4);
        launch.each(&BACKWARD, Params { vectors }, vectors)
    }
}
