//! Turns images into pixels for a screen: four bytes each, side by side in rows.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        words: u32,
        stride: u32,
        columns: u32,
        images: u32,
        channels: u32,
        height: u32,
        width: u32,
    }
}

/// The kernel that turns images x into RGBA pixels y.
pub static KERNEL: Kernel = kernel!("rgba8", ["index"], Params, [x, mut y]);

/// Words that rows of pixels are padded to: copies to a texture want multiples of 256 bytes.
const ROW_WORDS: u32 = 64;

/// Lays images out as RGBA pixels for a screen. Input \[N, C, H, W\] in \[0, 1\] with 1 to 4 channels; output \[1, 1, rows H,
/// stride\], u32 words, one for each pixel, in lines of `stride`, with red in the lowest byte, then green, blue and alpha, as
/// the texture format rgba8unorm has them.
///
/// The images lie in rows of `columns`; the stride is `columns` W, rounded up to whole 256 bytes. One channel is
/// grey; of more, the first three are red, green and blue. Alpha is 1, and 0 where there is no image. Values
/// outside \[0, 1\] are clamped. No derivative.
#[derive(Clone, Copy, Debug)]
pub struct Rgba8 {
    /// The number of images side by side in a row, at least 1.
    pub columns: u32,
}

impl Op for Rgba8 {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        let [images, channels, height, width] = x.sides();
        let stride = self
            .columns
            .checked_mul(width)
            .and_then(|wide| wide.checked_next_multiple_of(ROW_WORDS));
        let (Some(stride), 1..=4, 1..) = (stride, channels, self.columns) else {
            let given = format_args!("images {x} in {} columns", self.columns);
            return Err(Error::mismatch(
                self.name(),
                given,
                "1 to 4 channels in 1 or more columns, less than 2^32 pixels wide together",
            ));
        };
        Ok(vec![Shape::new(1, 1, images.div_ceil(self.columns) * height, stride)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        let [images, channels, height, width] = x.sides();
        let (words, stride, columns) = (y.elements(), y.width(), self.columns);
        let params = Params { words, stride, columns, images, channels, height, width };
        launch.each(&KERNEL, params, words)
    }
}
