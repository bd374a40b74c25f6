//! Joins several values into one, along the images or the channels: `torch.cat` with dim 0 or 1.

use super::ChannelRange;
use super::walk::kernel;
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value};
use crate::{Error, Result};

uniform! {
    struct Params { words: u32, run: u32, stride: u32, first: u32 }
}

/// The kernel that joins values, which copies one input x to its part of the result y.
pub static KERNEL: Kernel = kernel!("concat", ["index"], Params, [x, mut y]);

/// The first of the inputs.
fn first(op: &'static str, inputs: &[Shape]) -> Result<Shape> {
    inputs.first().copied().ok_or_else(|| Error::mismatch(op, "no inputs", "at least one input"))
}

/// A launch for each input, `run` words of which follow each other in y, whose images have `stride` words.
fn record(launch: &mut Launch, run: impl Fn(Shape) -> u32, stride: u32) -> Result<()> {
    let missing = || Error::mismatch(KERNEL.name, "no buffer", "a buffer for the output");
    let y = *launch.buffers.last().ok_or_else(missing)?;
    let mut first = 0;
    for (&x, &buffer) in launch.inputs.iter().zip(launch.buffers) {
        let (words, run) = (x.elements(), run(x));
        let (params, grid) = (Params { words, run, stride, first }, Recording::grid(words, 64));
        let dispatch = launch.to.dispatch(&KERNEL, &[], params, &[buffer, y], grid)?;
        dispatch.bytes = 8 * u64::from(words); // not all of y
        first += run;
    }
    Ok(())
}

/// Joins batches into one, along the dimension of images. Inputs \[N1, ...\], \[N2, ...\], ... of any 4-byte values, whose
/// shapes differ only in the first dimension; output \[N1 + N2 + ..., ...\]. No derivative is defined.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let first = first(self.name(), inputs)?;
        let mut images: u32 = 0;
        for input in inputs {
            input.expect(self.name(), first.with_images(input.images())?)?;
            images = images.saturating_add(input.images());
        }
        Ok(vec![first.with_images(images)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(launch, Shape::elements, 0) // all of an input is one run
    }
}

/// Joins feature maps along the channels. Inputs \[N, C1, H, W\], \[N, C2, H, W\], ... of any 4-byte values; output \[N, C1 +
/// C2 + ..., H, W\]. The derivative for an input is the output's derivative at that input's channels.
#[derive(Clone, Copy, Debug)]
pub struct ConcatChannels;

impl Op for ConcatChannels {
    fn name(&self) -> &'static str {
        "concat_channels"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [images, _, height, width] = first(self.name(), inputs)?.sides();
        let mut channels: u32 = 0;
        for input in inputs {
            input.expect(self.name(), Shape::new(images, input.channels(), height, width)?)?;
            channels = channels.saturating_add(input.channels());
        }
        Ok(vec![Shape::new(images, channels, height, width)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let stride = launch.outputs.iter().map(|y| y.elements() / y.images()).sum();
        record(launch, |x| x.elements() / x.images(), stride)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let (mut first, mut all) = (0, Vec::new());
        for (&input, &asked) in node.inputs.iter().zip(asked) {
            let count = graph.shape(input)?.channels();
            let range = ChannelRange { first, count };
            all.push(if asked { Some(graph.push(range, &[dy])?) } else { None });
            first += count;
        }
        Ok(all)
    }
}
