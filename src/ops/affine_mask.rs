//! [`Affine`](super::Affine) with the rectifier and its mask in one pass.

use super::ReluMask;
use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { words: u32, channels: u32, quads: u32 }
}

/// y and its mask from x.
pub static KERNEL: Kernel = kernel!(
    "affine_mask",
    ["index", "mask_bits"],
    Params,
    &[("x", Read), ("affine", Read), ("y", Write), ("mask", Write)]
);

/// Inputs x \[N, C, H, W\] and affine \[2, C\], scales then shifts; outputs y = max(x * scale + shift, 0) and its mask as
/// [`ReluMask`] makes it. Err unless W is divisible by 4. Rewrites make it after derivatives were taken: it has none.
#[derive(Clone, Copy, Debug)]
pub struct AffineMask;

impl Op for AffineMask {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, affine] = exactly(self.name(), "inputs", inputs)?;
        affine.expect(self.name(), Shape::matrix(2, x.channels())?)?;
        if !x.width().is_multiple_of(4) {
            return Err(Error::mismatch(self.name(), x, "a width divisible by 4"));
        }
        Ok(vec![x, ReluMask::of(x)?])
    }

    fn anywhere(&self) -> &[usize] {
        &[1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _affine] = exactly(self.name(), "inputs", launch.inputs)?;
        let words = ReluMask::of(x)?.elements();
        let params = Params { words, channels: x.channels(), quads: x.pixels() / 4 };
        launch.each(&KERNEL, params, words)
    }
}
