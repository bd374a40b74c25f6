//! A constant in every word of a state value: momentum 0, best loss so far.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { vectors: u32, bits: u32 }
}

/// x in place.
pub static KERNEL: Kernel = kernel!("fill", ["index"], Params, &[("x", Write)]);

/// Input x of any shape, written in place; no output.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// Written bit for bit.
    pub value: f32,
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [_x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = x.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors, bits: self.value.to_bits() }, vectors)
    }
}
