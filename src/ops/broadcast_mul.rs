//! Product with one value a channel, as a layer scale, or one an image; and the sums over channels and images of the
//! product of two maps, which are its derivative.

use super::walk::{Widths, widths};
use crate::gpu::{Access::*, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { images: u32, channels: u32, units: u32, per_image: u32 }
}
uniform! {
    struct DotParams { images: u32, channels: u32, units: u32 }
}

/// y from a and b.
pub static FORWARD: Widths =
    widths!("broadcast_mul", [], Params, &[("a", Read), ("b", Read), ("y", Write)]);

/// Sums of products over images and pixels.
pub static DOT: Widths = widths!(
    "channel_dot",
    ["workgroup_sum_vec2"],
    DotParams,
    &[("a", Read), ("b", Read), ("y", Write)],
);

/// Inputs a \[N, C, H, W\] and b, \[1, C, 1, 1\] or \[N, 1, 1, 1\]; output a * b, of the shape of a.
#[derive(Clone, Copy, Debug)]
pub struct BroadcastMul;

impl Op for BroadcastMul {
    fn name(&self) -> &'static str {
        "broadcast_mul"
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
        let (mut da, mut db) = (None, None);
        if for_a {
            da = Some(graph.push(Self, &[dy, b])?);
        }
        if for_b {
            let per_channel = graph.shape(b)? == Shape::vector(graph.shape(a)?.channels())?;
            db = Some(match per_channel {
                true => graph.push(ChannelDot, &[dy, a])?,
                false => graph.push(ImageDot, &[dy, a])?,
            });
        }
        Ok(vec![da, db])
    }
}

/// Inputs a and b \[N, C, H, W\]; output \[C\]: their product, summed over images and pixels.
#[derive(Clone, Copy, Debug)]
pub struct ChannelDot;

impl Op for ChannelDot {
    fn name(&self) -> &'static str {
        "channel_dot"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        b.expect(self.name(), a)?;
        Ok(vec![Shape::vector(a.channels())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [a, _b] = exactly(self.name(), "inputs", launch.inputs)?;
        record(a, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        backward(graph, node, dy, asked)
    }
}

/// Inputs a and b \[N, C, H, W\]; output \[N, 1, 1, 1\]: their product, summed over channels and pixels.
#[derive(Clone, Copy, Debug)]
pub struct ImageDot;

impl Op for ImageDot {
    fn name(&self) -> &'static str {
        "image_dot"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        b.expect(self.name(), a)?;
        Ok(vec![Shape::per_image(a.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [a, _b] = exactly(self.name(), "inputs", launch.inputs)?;
        // An image's values lie side by side, as a channel's do in a batch of one.
        record(Shape::new(1, a.images(), a.channels(), a.pixels())?, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        backward(graph, node, dy, asked)
    }
}

/// Of either sum: each factor's is the other times dy.
fn backward(
    graph: &mut Graph,
    node: &Node,
    dy: Value,
    asked: &[bool],
) -> Result<Vec<Option<Value>>> {
    let [a, b] = exactly(node.op.name(), "inputs", &node.inputs)?;
    let [for_a, for_b] = exactly(node.op.name(), "flags", asked)?;
    let mut product =
        |wanted: bool, other| wanted.then(|| graph.push(BroadcastMul, &[other, dy])).transpose();
    Ok(vec![product(for_a, b)?, product(for_b, a)?])
}

fn record(a: Shape, launch: &mut Launch) -> Result<()> {
    let walk = DOT.over(a);
    let params = DotParams { images: walk.images, channels: walk.channels, units: walk.units };
    walk.sums(launch.to, &[], params, launch.buffers)
}
