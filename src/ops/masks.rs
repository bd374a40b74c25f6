//! Masks with one bit for each value of a ReLU's result, which its derivative needs instead of the activation, and the op that
//! reads them: `ReluMask` and `AffineMask` write the bits, `MaskedScale` multiplies by a channel's scale where the bit is set.
//! Lowering makes these ops after derivatives were taken, so they have no derivatives themselves.
//!
//! | op            | kernel                     | when                                                         |
//! |---------------|----------------------------|--------------------------------------------------------------|
//! | `ReluMask`    | `relu_mask`                | no kernel that makes the rectified value writes the bits     |
//! | `AffineMask`  | `affine_mask`              | `Affine` makes the rectified value, and rows are whole vec4s |
//! | `MaskedScale` | `masked_scale_{vec4,f32}`  | always; `vec4` where rows are whole vec4s                    |

use super::walk::{Widths, kernel, widths};
use crate::gpu::{Kernel, uniform};
use crate::graph::{Halves, Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct MaskParams { words: u32, channels: u32, height: u32, width: u32 }
}
uniform! {
    struct AffineParams { words: u32, channels: u32, quads: u32 }
}
uniform! {
    struct ScaleParams { images: u32, channels: u32, units: u32, row_units: u32 }
}

/// The kernel that makes the mask of a rectifier's result y, one bit for each value, set where the value is above 0.
pub static MASK: Kernel = kernel!("relu_mask", ["index", "mask_bits"], MaskParams, [y, mut mask]);
/// The kernel of [`AffineMask`], which scales, shifts and rectifies x to y and makes the mask of y.
pub static AFFINE: Kernel = kernel!(
    "affine_mask",
    ["index", "mask_bits", "overflow", "elem_vec4"],
    AffineParams,
    [x, affine, mut y, mut mask]
);
/// The kernels of [`MaskedScale`], which compute dx from dy, a channel's scale and a rectifier's mask.
pub static SCALE: Widths = widths!("masked_scale", [], ScaleParams, [dy, affine, mask, mut dx]);

/// Makes the mask of bits that a rectifier's derivative reads in place of the rectifier's result y. Input y \[N, C, H, W\];
/// output \[N, C / 8, H, W / 4\], both rounded up: words of bits that are set where y is above 0, bit c % 8 * 4 + column % 4 of
/// each for channel c.
#[derive(Clone, Copy, Debug)]
pub struct ReluMask;

impl ReluMask {
    /// Returns the shape of the mask of a rectifier's result y.
    pub fn of(y: Shape) -> Result<Shape> {
        let [images, channels, height, width] = y.sides();
        Shape::new(images, channels.div_ceil(8), height, width.div_ceil(4))
    }
}

impl Op for ReluMask {
    fn name(&self) -> &'static str {
        MASK.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [y] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Self::of(y)?])
    }

    fn anywhere(&self) -> &[usize] {
        &[0]
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(self.name(), "inputs", launch.inputs)?;
        let words = Self::of(y)?.elements();
        let [_, channels, height, width] = y.sides();
        launch.each(&MASK, MaskParams { words, channels, height, width }, words)
    }
}

/// Scales and shifts each channel as [`Affine`](super::Affine), rectifies the result and makes the rectifier's mask, in one pass.
/// Inputs x \[N, C, H, W\] and affine \[2, C\], scales then shifts; outputs y = max(x * scale + shift, 0) and its mask as
/// [`ReluMask`] makes it. Err unless W is divisible by 4.
#[derive(Clone, Copy, Debug)]
pub struct AffineMask;

impl Op for AffineMask {
    fn name(&self) -> &'static str {
        AFFINE.name
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

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, mask] = exactly(self.name(), "outputs", launch.outputs)?;
        let words = mask.elements();
        let params = AffineParams { words, channels: x.channels(), quads: x.pixels() / 4 };
        launch.each(&AFFINE, params, words)
    }
}

/// The derivative for x of a scale, a shift and a rectifier, from the rectifier's mask. Inputs dy \[N, C, H, W\], affine \[2, C\]
/// and the mask that [`ReluMask`] makes of the rectifier's result; output dx = dy * scale, and 0 where the mask's bit is not set.
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

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dx] = exactly(self.name(), "outputs", launch.outputs)?;
        let (walk, row_units) = SCALE.over_rows(dx);
        let (images, channels, units) = (walk.images, walk.channels, walk.units);
        let params = ScaleParams { images, channels, units, row_units };
        let bindings = launch.bindings();
        walk.each(launch.to, &[], params, &bindings)
    }
}
