//! Several batches as one, `torch.cat(..., dim=0)`.

use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape};
use crate::{Error, Result};

uniform! {
    struct Params { first: u32, words: u32 }
}

/// One part of y.
pub static KERNEL: Kernel = kernel!("concat", ["index"], Params, &[("x", Read), ("y", Write)]);

/// Inputs \[N1, ...\], \[N2, ...\], ... of any 4-byte values and equal sides but the first; output
/// \[N1 + N2 + ..., ...\]. One launch an input. No derivative is defined.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let none = || Error::mismatch(self.name(), "no inputs", "at least one");
        let first = *inputs.first().ok_or_else(none)?;
        let mut images: u32 = 0;
        for input in inputs {
            input.expect(self.name(), first.with_images(input.images())?)?;
            images = images.saturating_add(input.images());
        }
        Ok(vec![first.with_images(images)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let missing = || Error::mismatch(self.name(), "no buffer", "one for the output");
        let y = *launch.buffers.last().ok_or_else(missing)?;
        let mut first = 0;
        for (x, &buffer) in launch.inputs.iter().zip(launch.buffers) {
            let words = x.elements();
            let (params, grid) = (Params { first, words }, Recording::grid(words, 64));
            let dispatch = launch.to.dispatch(&KERNEL, &[], params, &[buffer, y], grid)?;
            dispatch.bytes = 8 * u64::from(words); // not all of y
            first += words;
        }
        Ok(())
    }
}
