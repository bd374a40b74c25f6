//! Takes consecutive images out of a batch, such as the attacked half of a joint batch, or consecutive channels; and the derivatives.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { words: u32, run: u32, stride: u32, first: u32 }
}

/// The kernel that copies a range of images or channels of x to y.
pub static FORWARD: Kernel = kernel!("range", ["index"], Params, [x, mut y]);

/// The kernel of a range's derivative, which computes dx: dy in the range and 0 outside.
pub static BACKWARD: Kernel = kernel!("range_backward", ["index"], Params, [dy, mut dx]);

/// Where a part of a value lies: `run` words that follow each other of every `stride`, from word `first` on.
fn place(whole: Shape, part: Shape, first: u32, words: u32) -> Params {
    if whole.channels() == part.channels() {
        let stride = whole.elements();
        return Params {
            words,
            run: part.elements(),
            stride,
            first: first * (stride / whole.images()),
        };
    }
    let [run, stride] = [part, whole].map(|shape| shape.elements() / shape.images());
    Params { words, run, stride, first: first * whole.pixels() }
}

fn record(launch: &mut Launch, first: u32) -> Result<()> {
    let [x] = exactly(FORWARD.name, "inputs", launch.inputs)?;
    let [y] = exactly(FORWARD.name, "outputs", launch.outputs)?;
    launch.each(&FORWARD, place(x, y, first, y.elements()), y.elements())
}

fn record_backward(launch: &mut Launch, first: u32) -> Result<()> {
    let [dy] = exactly(BACKWARD.name, "inputs", launch.inputs)?;
    let [dx] = exactly(BACKWARD.name, "outputs", launch.outputs)?;
    launch.each(&BACKWARD, place(dx, dy, first, dx.elements()), dx.elements())
}

/// Err unless there are so many of what a value has `all` of.
fn expect(op: &'static str, x: Shape, [first, count, all]: [u32; 3]) -> Result<()> {
    if count > 0 && first.checked_add(count).is_some_and(|end| end <= all) {
        return Ok(());
    }
    let given = format_args!("{count} {op} from number {first} (counted from 0) on");
    Err(Error::mismatch(op, given, format_args!("at least 1, within the {all} {op} of {x}")))
}

/// Takes consecutive images out of a batch. Input \[N, ...\] of any 4-byte values; output its images `first` to `first + count -
/// 1`, \[`count`, ...\]. The derivative is 0 for all other images.
#[derive(Clone, Copy, Debug)]
pub struct ImageRange {
    /// The index of the first image, from 0.
    pub first: u32,
    /// The number of images, at least 1.
    pub count: u32,
}

impl Op for ImageRange {
    fn name(&self) -> &'static str {
        "images"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        expect(self.name(), x, [self.first, self.count, x.images()])?;
        Ok(vec![x.with_images(self.count)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(launch, self.first)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let backward = ImagesBackward { first: self.first, images: graph.shape(x)?.images() };
        Ok(vec![Some(graph.push(backward, &[dy])?)])
    }
}

/// Input dy; output dx.
#[derive(Clone, Copy, Debug)]
struct ImagesBackward {
    first: u32,
    images: u32,
}

impl Op for ImagesBackward {
    fn name(&self) -> &'static str {
        "images_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![dy.with_images(self.images)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record_backward(launch, self.first)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [first] = exactly(self.name(), "inputs", &node.inputs)?;
        let range = ImageRange { first: self.first, count: graph.shape(first)?.images() };
        Ok(vec![Some(graph.push(range, &[dy])?)])
    }
}

/// Takes consecutive channels out of feature maps. Input \[N, C, H, W\] of any 4-byte values; output its channels `first` to `first + count - 1`,
/// \[N, `count`, H, W\]. The derivative is 0 for all other channels.
#[derive(Clone, Copy, Debug)]
pub struct ChannelRange {
    /// The index of the first channel, from 0.
    pub first: u32,
    /// The number of channels, at least 1.
    pub count: u32,
}

fn with_channels(x: Shape, channels: u32) -> Result<Shape> {
    let [images, _, height, width] = x.sides();
    Shape::new(images, channels, height, width)
}

impl Op for ChannelRange {
    fn name(&self) -> &'static str {
        "channels"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        expect(self.name(), x, [self.first, self.count, x.channels()])?;
        Ok(vec![with_channels(x, self.count)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(launch, self.first)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let backward = ChannelsBackward { first: self.first, channels: graph.shape(x)?.channels() };
        Ok(vec![Some(graph.push(backward, &[dy])?)])
    }
}

/// Input dy; output dx.
#[derive(Clone, Copy, Debug)]
struct ChannelsBackward {
    first: u32,
    channels: u32,
}

impl Op for ChannelsBackward {
    fn name(&self) -> &'static str {
        "channels_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![with_channels(dy, self.channels)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record_backward(launch, self.first)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [first] = exactly(self.name(), "inputs", &node.inputs)?;
        let range = ChannelRange { first: self.first, count: graph.shape(first)?.channels() };
        Ok(vec![Some(graph.push(range, &[dy])?)])
    }
}
