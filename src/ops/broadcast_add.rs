//! Sum with one value a channel, as the bias of a convolution, or one an image.

use super::walk::{Widths, widths};
use crate::gpu::{Access::*, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { images: u32, channels: u32, units: u32, per_image: u32 }
}
uniform! {
    struct SumParams { images: u32, channels: u32, units: u32 }
}

/// y from a and b.
pub static FORWARD: Widths =
    widths!("broadcast_add", [], Params, &[("a", Read), ("b", Read), ("y", Write)]);

/// Sums over images and pixels.
pub static SUM: Widths =
    widths!("channel_sum", ["workgroup_sum_vec2"], SumParams, &[("x", Read), ("y", Write)]);

/// Inputs a \[N, C, H, W\] and b, \[1, C, 1, 1\] or \[N, 1, 1, 1\]; output a + b, of the shape of a.
#[derive(Clone, Copy, Debug)]
pub struct BroadcastAdd;

impl Op for BroadcastAdd {
    fn name(&self) -> &'static str {
        "broadcast_add"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        let (channel, image) = (Shape::vector(a.channels())?, Shape::per_image(a.images())?);
        if b != channel && b != image {
            let wanted = format_args!("{channel} or {image}");
            return Err(Error::mismatch(self.name(), b, wanted));
        }
        Ok(vec![a])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [a, b] = exactly(self.name(), "inputs", launch.inputs)?;
        let walk = FORWARD.over(a);
        let per_image = u32::from(b != Shape::vector(a.channels())?);
        let params =
            Params { images: walk.images, channels: walk.channels, units: walk.units, per_image };
        walk.each(launch.to, &[], params, launch.buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [a, b] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_a, for_b] = exactly(self.name(), "flags", asked)?;
        let mut db = None;
        if for_b {
            let per_channel = graph.shape(b)? == Shape::vector(graph.shape(a)?.channels())?;
            db = Some(match per_channel {
                true => graph.push(ChannelSum, &[dy])?,
                false => graph.push(ImageSum, &[dy])?,
            });
        }
        Ok(vec![for_a.then_some(dy), db])
    }
}

/// Input x \[N, C, H, W\]; output \[C\]: sums over images and pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelSum;

impl Op for ChannelSum {
    fn name(&self) -> &'static str {
        "channel_sum"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::vector(x.channels())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        record(x, launch)
    }
}

/// Input x \[N, C, H, W\]; output \[N, 1, 1, 1\]: sums over channels and pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageSum;

impl Op for ImageSum {
    fn name(&self) -> &'static str {
        "image_sum"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::per_image(x.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        // An image's values lie side by side, as a channel's do in a batch of one.
        record(Shape::new(1, x.images(), x.channels(), x.pixels())?, launch)
    }
}

fn record(x: Shape, launch: &mut Launch) -> Result<()> {
    let walk = SUM.over(x);
    let params = SumParams { images: walk.images, channels: walk.channels, units: walk.units };
    walk.sums(launch.to, &[], params, launch.buffers)
}
