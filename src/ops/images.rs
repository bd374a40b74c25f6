//! Takes consecutive images out of a batch, such as the attacked half of a joint batch; and its derivative.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { first: u32, words: u32 }
}

uniform! {
    struct BackwardParams { first: u32, words: u32, all: u32 }
}

/// Copies a range of x to y.
pub static FORWARD: Kernel = kernel!("images", ["index"], Params, [x, mut y]);

/// Computes dx, which is dy in the range and 0 outside.
pub static BACKWARD: Kernel = kernel!("images_backward", ["index"], BackwardParams, [dy, mut dx]);

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
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        let Self { first, count } = *self;
        if first.checked_add(count).is_none_or(|end| end > x.images()) {
            let given = format_args!("{count} images from image {first} on");
            return Err(Error::mismatch(
                self.name(),
                given,
                format_args!("a range within the {} images of {x}", x.images()),
            ));
        }
        Ok(vec![x.with_images(count)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        let (first, words) = (self.first * (y.elements() / y.images()), y.elements());
        launch.each(&FORWARD, Params { first, words }, words)
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
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![dy.with_images(self.images)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy] = exactly(self.name(), "inputs", launch.inputs)?;
        let [dx] = exactly(self.name(), "outputs", launch.outputs)?;
        let (first, words) = (self.first * (dy.elements() / dy.images()), dy.elements());
        launch.each(&BACKWARD, BackwardParams { first, words, all: dx.elements() }, dx.elements())
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [first] = exactly(self.name(), "inputs", &node.inputs)?;
        let range = ImageRange { first: self.first, count: graph.shape(first)?.images() };
        Ok(vec![Some(graph.push(range, &[dy])?)])
    }
}
