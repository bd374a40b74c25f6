//! Random numbers made on the GPU with Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel
//! random numbers: as easy as 1, 2, 3"): no state, so a resumed run draws what an unbroken one draws.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { images: u32, span: u32, draw: u32 }
}

/// The kernel that computes random numbers y from the control words (seed, step and first image).
pub static KERNEL: Kernel =
    kernel!("random", ["index", "philox", "random_values"], Params, [control, mut y]);

/// The distribution of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Random bits: u32 words.
    Bits,
    /// Uniform numbers in \[0, 1), multiples of 2^-24: the same on every device.
    Uniform,
    /// Standard normal numbers with magnitude below 5.8 (Box and Muller 1958): the same on every device up to the errors
    /// of its log, sin and cos.
    Normal,
}

/// Fills its output with random numbers. Input control \[5\] of u32 words: the low and the high word of the seed, those of the
/// step, and the number of the first image in the whole batch; output `shape`.
///
/// Element e of image i is word e mod 4 of Philox with counter (e / 4, first + i, step) and key seed, so a
/// smaller batch draws the same for the images it has, and a part of one draws what it would in the whole, which is `first` images
/// after its beginning.
#[derive(Clone, Copy, Debug)]
pub struct RandomFill {
    /// The shape of the random output.
    pub shape: Shape,
    /// The distribution of the random numbers.
    pub draw: Draw,
}

impl Op for RandomFill {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [control] = exactly(self.name(), "inputs", inputs)?;
        control.expect(self.name(), Shape::vector(5)?)?;
        Ok(vec![self.shape])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let images = self.shape.images();
        let span = self.shape.elements() / images;
        let draw = match self.draw {
            Draw::Bits => 0,
            Draw::Uniform => 1,
            Draw::Normal => 2,
        };
        launch.each(&KERNEL, Params { images, span, draw }, images * span.div_ceil(4))
    }
}
