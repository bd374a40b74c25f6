//! The same values under another shape, `torch.reshape`; flattening is one.

use super::copy::{KERNEL, Params};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

/// Input x of any 4-byte values; output the same values in the same order, of the shape given. Err for another number.
#[derive(Clone, Copy, Debug)]
pub struct Reshape {
    /// Of the output.
    pub shape: Shape,
}

impl Reshape {
    /// \[N, C, H, W\] to the matrix \[N, C H W\], `torch.flatten(x, 1)`.
    pub fn flat(x: Shape) -> Result<Self> {
        Ok(Self { shape: Shape::matrix(x.images(), x.elements() / x.images())? })
    }
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        if x.elements() != self.shape.elements() {
            let wanted = format_args!("as many values as {} has", self.shape);
            return Err(Error::mismatch(self.name(), x, wanted));
        }
        Ok(vec![self.shape])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = self.shape.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let shape = graph.shape(x)?;
        Ok(vec![Some(graph.push(Self { shape }, &[dy])?)])
    }
}
