//! Sum or mean of all elements of a value, in a fixed order, and its derivative.

use super::walk::{kernel, lanes};
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { elements: u32, scale: f32 }
}

uniform! {
    struct BackwardParams { vectors: u32, scale: f32 }
}

/// The kernel that sums all elements of a value x, which computes y = scale * sum(x).
pub static FORWARD: Kernel = kernel!("sum", ["workgroup_sum"], Params, [x, mut y]);

/// The kernel of a sum's derivative, which computes dx = scale * dy for each element.
pub static BACKWARD: Kernel = kernel!("sum_backward", ["index"], BackwardParams, [dy, mut dx]);

/// Sums all elements of a value. Input x of any shape; output `scale` * sum(x), one number. A single workgroup computes it, so it
/// is meant for one number per image, not for large values.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// The factor that the sum is multiplied by: 1 for the sum, 1 / number of elements for the mean.
    pub scale: f32,
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [_x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::SCALAR])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { elements: x.elements(), scale: self.scale };
        let lanes = lanes(launch.to, self.name(), params.elements)?;
        launch.rows(&FORWARD, &lanes, params, 1)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let backward = SumBackward { shape: graph.shape(x)?, scale: self.scale };
        Ok(vec![Some(graph.push(backward, &[dy])?)])
    }
}

/// Input dy; output dx.
#[derive(Clone, Copy, Debug)]
struct SumBackward {
    shape: Shape,
    scale: f32,
}

impl Op for SumBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), Shape::SCALAR)?;
        Ok(vec![self.shape])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = self.shape.elements().div_ceil(4);
        launch.each(&BACKWARD, BackwardParams { vectors, scale: self.scale }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, _: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        Ok(vec![Some(graph.push(Sum { scale: self.scale }, &[dy])?)])
    }
}
