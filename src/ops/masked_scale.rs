//! The derivative of a rectified affine for x, from the rectifier's mask.

use super::ReluMask;
use super::walk::{Widths, widths};
use crate::Result;
use crate::gpu::{Access::*, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { images: u32, channels: u32, units: u32, row_units: u32 }
}

/// dx from dy.
pub static KERNEL: Widths = widths!(
    "masked_scale",
    [],
    Params,
    &[("dy", Read), ("affine", Read), ("mask", Read), ("dx", Write)],
);

/// Inputs dy \[N, C, H, W\], affine \[2, C\] and the mask that [`ReluMask`] makes of the rectifier's result; output
/// dx = dy * scale, and 0 where the mask's bit is not set. Rewrites make it after derivatives were taken: it has none.
#[derive(Clone, Copy, Debug)]
pub struct MaskedScale;

impl Op for MaskedScale {
    fn name(&self) -> &'static str {
        "masked_scale"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, affine, mask] = exactly(self.name(), "inputs", inputs)?;
        affine.expect(self.name(), Shape::matrix(2, dy.channels())?)?;
        mask.expect(self.name(), ReluMask::of(dy)?)?;
        Ok(vec![dy])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dx] = exactly(self.name(), "outputs", launch.outputs)?;
        let (walk, row_units) = KERNEL.over_rows(dx);
        let (images, channels, units) = (walk.images, walk.channels, walk.units);
        let params = Params { images, channels, units, row_units };
        let bindings = launch.bindings();
        walk.each(launch.to, &[], params, &bindings)
    }
}
