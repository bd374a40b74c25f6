//! Sum of two values of one shape: residual connections, and derivatives of a value used twice.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// y = a + b.
pub static KERNEL: Kernel =
    kernel!("add", ["index"], Params, &[("a", Read), ("b", Read), ("y", Write)]);

/// Inputs a and b of one shape; output a + b.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        b.expect(self.name(), a)?;
        Ok(vec![a])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [a, _b] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = a.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors }, vectors)
    }

    fn gradient(&self, _: &mut Graph, _: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        Ok(asked.iter().map(|asked| asked.then_some(dy)).collect())
    }
}
