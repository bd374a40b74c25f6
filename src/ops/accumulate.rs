//! The sum of the parts of a batch that goes through in pieces: gradients of micro-batches.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// sum in place.
pub static KERNEL: Kernel =
    kernel!("accumulate", ["index"], Params, &[("sum", Write), ("x", Read), ("control", Read)]);

/// Inputs sum (written in place) and x, of one shape, and control \[2\]: keep, and the factor of x. No output.
/// sum = keep sum + factor x; where keep is 0 the sum begins anew, whatever it held.
#[derive(Clone, Copy, Debug)]
pub struct Accumulate;

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [sum, x, control] = exactly(self.name(), "inputs", inputs)?;
        x.expect(self.name(), sum)?;
        control.expect(self.name(), Shape::vector(2)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [sum, _x, _control] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = sum.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors }, vectors)
    }
}
