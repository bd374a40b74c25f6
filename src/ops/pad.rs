//! Puts zeros around images, any number on each side, `torch.nn.functional.pad`, and its derivative. Convolutions pad
//! opposite sides alike; this op is for other paddings.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        planes: u32,
        height: u32,
        width: u32,
        out_height: u32,
        out_width: u32,
        top: u32,
        left: u32,
    }
}

/// The kernel that puts zeros around images x, or in its derivative cuts them off.
pub static KERNEL: Kernel = kernel!("pad", ["index"], Params, [x, mut y]);

/// Puts zeros around images. Input x \[N, C, H, W\]; output \[N, C, `top` + H + `bottom`, `left` + W + `right`\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pad {
    /// The number of rows of zeros above.
    pub top: u32,
    /// The number of rows of zeros below.
    pub bottom: u32,
    /// The number of columns of zeros on the left.
    pub left: u32,
    /// The number of columns of zeros on the right.
    pub right: u32,
}

impl Pad {
    fn output(&self, x: Shape) -> Result<Shape> {
        let [images, channels, height, width] = x.sides();
        let side = |first: u32, side: u32, last| first.checked_add(side)?.checked_add(last);
        let Self { top, bottom, left, right } = self;
        let sides = side(*top, height, *bottom).zip(side(*left, width, *right));
        let too_large = || {
            Error::mismatch(
                KERNEL.name,
                format_args!("{top}, {bottom}, {left} and {right} zeros around {x}"),
                "a padded height and width below 2^32",
            )
        };
        let (height, width) = sides.ok_or_else(too_large)?;
        Shape::new(images, channels, height, width)
    }
}

/// The launch from one size to another.
fn record(launch: &mut Launch, top: u32, left: u32) -> Result<()> {
    let [x] = exactly(KERNEL.name, "inputs", launch.inputs)?;
    let [y] = exactly(KERNEL.name, "outputs", launch.outputs)?;
    let params = Params {
        planes: x.images() * x.channels(),
        height: x.height(),
        width: x.width(),
        out_height: y.height(),
        out_width: y.width(),
        top,
        left,
    };
    launch.each(&KERNEL, params, y.elements())
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![self.output(x)?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(launch, self.top, self.left)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let backward = PadBackward { pad: *self, x: graph.shape(x)? };
        Ok(vec![Some(graph.push(backward, &[dy])?)])
    }
}

/// Input dy; output dx of the shape given.
#[derive(Clone, Copy, Debug)]
struct PadBackward {
    pad: Pad,
    x: Shape,
}

impl Op for PadBackward {
    fn name(&self) -> &'static str {
        "pad_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.pad.output(self.x)?)?;
        Ok(vec![self.x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(launch, self.pad.top.wrapping_neg(), self.pad.left.wrapping_neg())
    }
}
