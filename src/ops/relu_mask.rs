//! Where a rectifier let something through, a bit an element: all that its derivative needs.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { words: u32, channels: u32, height: u32, width: u32 }
}

/// The mask of y.
pub static KERNEL: Kernel =
    kernel!("relu_mask", ["index", "mask_bits"], Params, &[("y", Read), ("mask", Write)]);

/// Input y \[N, C, H, W\], a rectifier's result; output \[N, C / 8, H, W / 4\], both rounded up: words of bits that are
/// set where y is above 0, bit c % 8 * 4 + column % 4 of each for channel c. Rewrites make it after derivatives were
/// taken: it has none.
#[derive(Clone, Copy, Debug)]
pub struct ReluMask;

impl ReluMask {
    /// The shape of the mask of y.
    pub fn of(y: Shape) -> Result<Shape> {
        let [images, channels, height, width] = y.sides();
        Shape::new(images, channels.div_ceil(8), height, width.div_ceil(4))
    }
}

impl Op for ReluMask {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [y] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Self::of(y)?])
    }

    fn anywhere(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(self.name(), "inputs", launch.inputs)?;
        let words = Self::of(y)?.elements();
        let [_, channels, height, width] = y.sides();
        launch.each(&KERNEL, Params { words, channels, height, width }, words)
    }
}
