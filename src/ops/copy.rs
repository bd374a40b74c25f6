//! One value's contents written to a state value.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    pub(super) struct Params { vectors: u32 }
}

/// y in place.
pub static KERNEL: Kernel = kernel!("copy", ["index"], Params, &[("x", Read), ("y", Write)]);

/// Inputs x and y of one shape and any 4-byte values; y is written in place with x. No output.
#[derive(Clone, Copy, Debug)]
pub struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, y] = exactly(self.name(), "inputs", inputs)?;
        y.expect(self.name(), x)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _y] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = x.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors }, vectors)
    }
}
