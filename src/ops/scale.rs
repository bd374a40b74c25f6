//! A multiple of a value: energies from logits, weights of losses.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32, factor: f32 }
}

/// y = factor * x.
pub static KERNEL: Kernel = kernel!("scale", ["index"], Params, &[("x", Read), ("y", Write)]);

/// Input x of any shape; output `factor` * x.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The same at every replay.
    pub factor: f32,
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = x.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors, factor: self.factor }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, _: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        Ok(vec![Some(graph.push(*self, &[dy])?)])
    }
}
