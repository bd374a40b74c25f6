//! Channels of several values as one, `torch.cat(..., dim=1)`.

use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape};
use crate::{Error, Result};

uniform! {
    struct Params { words: u32, run: u32, stride: u32, first: u32 }
}

/// One part of y.
pub static KERNEL: Kernel =
    kernel!("concat_channels", ["index"], Params, &[("x", Read), ("y", Write)]);

/// Inputs \[N, C1, H, W\], \[N, C2, H, W\], ... of any 4-byte values; output \[N, C1 + C2 + ..., H, W\]. One launch an
/// input. No derivative is defined.
#[derive(Clone, Copy, Debug)]
pub struct ConcatChannels;

impl Op for ConcatChannels {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let none = || Error::mismatch(self.name(), "no inputs", "at least one");
        let [images, _, height, width] = inputs.first().ok_or_else(none)?.sides();
        let mut channels: u32 = 0;
        for input in inputs {
            input.expect(self.name(), Shape::new(images, input.channels(), height, width)?)?;
            channels = channels.saturating_add(input.channels());
        }
        Ok(vec![Shape::new(images, channels, height, width)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let missing = || Error::mismatch(self.name(), "no buffer", "one for the output");
        let y = *launch.buffers.last().ok_or_else(missing)?;
        let stride = launch.outputs.iter().map(|y| y.elements() / y.images()).sum();
        let mut first = 0;
        for (x, &buffer) in launch.inputs.iter().zip(launch.buffers) {
            let words = x.elements();
            let run = words / x.images();
            let (params, grid) = (Params { words, run, stride, first }, Recording::grid(words, 64));
            let dispatch = launch.to.dispatch(&KERNEL, &[], params, &[buffer, y], grid)?;
            dispatch.bytes = 8 * u64::from(words); // not all of y
            first += run;
        }
        Ok(())
    }
}
