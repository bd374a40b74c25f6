//! Resizes images, `torch.nn.functional.interpolate(mode="bilinear" or "bicubic", align_corners=False)`, with and without
//! antialiasing, and the derivative. Both filters are separable: each axis is an op of its own.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        outer: u32,
        length: u32,
        inner: u32,
        out_length: u32,
        cubic: u32,
        antialias: u32,
    }
}

/// The kernel that resamples images x to y of another size.
pub static FORWARD: Kernel = kernel!("resample", ["resample_taps", "index"], Params, [x, mut y]);

/// The kernel of resampling's derivative, which computes dx from dy.
pub static BACKWARD: Kernel =
    kernel!("resample_backward", ["resample_taps", "index"], Params, [dy, mut dx]);

/// The interpolation filter of resizing: the weights by which a new value mixes its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Linear interpolation: weights fall linearly to 0 at the next value.
    Bilinear,
    /// Keys' cubic convolution (1981, doi 10.1109/TASSP.1981.1163711), with a = -0.75, or -0.5 if antialiased.
    Bicubic,
}

/// Resamples images from \[N, C, H, W\] to \[N, C, `height`, `width`\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// The number of rows of the resized images.
    pub height: u32,
    /// The number of columns of the resized images.
    pub width: u32,
    /// The interpolation filter by which images are resized.
    pub filter: Filter,
    /// Whether shrinking averages all values that fall into a new value, rather than skipping most of them.
    pub antialias: bool,
}

impl Resize {
    /// Adds the nodes of resizing to the graph and returns the resized images.
    pub fn push(self, graph: &mut Graph, x: Value) -> Result<Value> {
        let Self { height, width, filter, antialias } = self;
        let axis = |rows: bool, length: u32| Resample { rows, length, filter, antialias };
        let y = graph.push(axis(true, height), &[x])?;
        graph.push(axis(false, width), &[y])
    }
}

/// Input x \[N, C, H, W\]; output the same with `length` rows or columns.
#[derive(Clone, Copy, Debug)]
struct Resample {
    /// Resize rows if true, else columns.
    rows: bool,
    length: u32,
    filter: Filter,
    antialias: bool,
}

impl Resample {
    fn output(&self, x: Shape) -> Result<Shape> {
        let [n, c, h, w] = x.sides();
        // The kernels work out centres in u32.
        if self.length > 1 << 14 || h.max(w) > 1 << 14 {
            let given = format_args!("{x} resized to {}", self.length);
            return Err(Error::mismatch(FORWARD.name, given, "sides of at most 16384"));
        }
        if self.rows { Shape::new(n, c, self.length, w) } else { Shape::new(n, c, h, self.length) }
    }

    fn params(&self, x: Shape) -> Params {
        let [n, c, h, w] = x.sides();
        let (outer, length, inner) = if self.rows { (n * c, h, w) } else { (n * c * h, w, 1) };
        Params {
            outer,
            length,
            inner,
            out_length: self.length,
            cubic: u32::from(self.filter == Filter::Bicubic),
            antialias: u32::from(self.antialias),
        }
    }
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![self.output(x)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        launch.each(&FORWARD, self.params(x), y.elements())
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let backward = ResampleBackward { axis: *self, x: graph.shape(x)? };
        Ok(vec![Some(graph.push(backward, &[dy])?)])
    }
}

/// Input dy; output dx.
#[derive(Clone, Copy, Debug)]
struct ResampleBackward {
    axis: Resample,
    x: Shape,
}

impl Op for ResampleBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.axis.output(self.x)?)?;
        Ok(vec![self.x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        launch.each(&BACKWARD, self.axis.params(self.x), self.x.elements())
    }
}
