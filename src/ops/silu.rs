//! Sigmoid-weighted linear unit, also called swish (Elfwing and others 2017, arXiv 1702.03118),
//! `torch.nn.functional.silu`, and its derivative.

use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// y = x / (1 + exp(-x)).
pub static FORWARD: Kernel = Kernel {
    name: "silu",
    source: &[
        include_str!("../../shaders/silu.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("y", Write)],
    subgroup: 0,
};

/// dx from dy and x.
pub static BACKWARD: Kernel = Kernel {
    name: "silu_backward",
    source: &[
        include_str!("../../shaders/silu_backward.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("x", Read), ("dx", Write)],
    subgroup: 0,
};

/// y from a, b and x: the derivative of the derivative.
pub static SECOND: Kernel = Kernel {
    name: "silu_second",
    source: &[
        include_str!("../../shaders/silu_second.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("a", Read), ("b", Read), ("x", Read), ("y", Write)],
    subgroup: 0,
};

/// Input x of any shape; output x / (1 + exp(-x)).
#[derive(Clone, Copy, Debug)]
pub struct Silu;

impl Op for Silu {
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
        Ok(vec![Some(graph.push(SiluBackward, &[dy, x])?)])
    }
}

/// Inputs dy and x; output dx.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiluBackward;

impl Op for SiluBackward {
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

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [first, x] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_x] = exactly(self.name(), "flags", asked)?;
        let (mut of_first, mut dx) = (None, None);
        if for_first {
            of_first = Some(graph.push(Self, &[dy, x])?);
        }
        if for_x {
            dx = Some(graph.push(SiluSecond, &[dy, first, x])?);
        }
        Ok(vec![of_first, dx])
    }
}

/// Inputs a, b and x; output a * b times the second derivative at x.
#[derive(Clone, Copy, Debug)]
struct SiluSecond;

impl Op for SiluSecond {
    fn name(&self) -> &'static str {
        SECOND.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b, x] = exactly(self.name(), "inputs", inputs)?;
        a.expect(self.name(), x)?;
        b.expect(self.name(), x)?;
        Ok(vec![x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        let vectors = y.elements().div_ceil(4);
        launch.each(&SECOND, Params { vectors }, vectors)
    }
}
