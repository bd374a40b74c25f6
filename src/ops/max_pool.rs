//! Max pooling, the largest value of each window, `torch.nn.functional.max_pool2d`, and its derivative.

use super::walk::{check_turns, kernel};
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
        kernel: u32,
        stride: u32,
        padding: u32,
    }
}

/// The kernel of max pooling, which computes y and the place of each window's largest value from x.
pub static FORWARD: Kernel = kernel!(
    "max_pool",
    ["max_pool_params", "index", "overflow", "elem_f32"],
    Params,
    [x, mut y, mut place]
);

/// The kernel of max pooling's derivative, which computes dx from dy and the places of the largest values.
pub static BACKWARD: Kernel =
    kernel!("max_pool_backward", ["max_pool_params", "index"], Params, [dy, place, mut dx]);

/// Max pooling. Input x \[N, C, H, W\]; outputs y \[N, C, V, U\] with V = (H + 2 padding − kernel) / stride + 1, rounded down, U
/// likewise, and the position of each maximum in its channel (u32, of the same shape). Of equal values the first counts, row by
/// row; padding is never the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// The height and width of a pooling window; at least 1.
    pub kernel: u32,
    /// The number of rows and of columns from one window to the next; at least 1.
    pub stride: u32,
    /// The padding on every side; at most half of the window's side, so that every window holds a value.
    pub padding: u32,
}

impl MaxPool {
    /// Adds a node of max pooling to the graph and returns its output y.
    pub fn push(self, graph: &mut Graph, x: Value) -> Result<Value> {
        let [y, _place] = exactly(FORWARD.name, "outputs", &graph.push_all(self, &[x])?)?;
        Ok(y)
    }

    fn params(&self, x: Shape) -> Result<Params> {
        let [images, channels, height, width] = x.sides();
        let Self { kernel, stride, padding } = *self;
        let side = |side: u32| {
            let padded = padding.checked_mul(2)?.checked_add(side)?;
            Some(padded.checked_sub(kernel)?.checked_div(stride)? + 1)
        };
        let (out_height, out_width) = (side(height), side(width));
        let (Some(out_height), Some(out_width), true) =
            (out_height, out_width, kernel > 0 && padding <= kernel / 2)
        else {
            let wanted = "a stride and a kernel of 1 or more, the kernel at least twice the padding and within the padded x";
            let given = format_args!("kernel {kernel}, stride {stride}, padding {padding}, x {x}");
            return Err(Error::mismatch(FORWARD.name, given, wanted));
        };
        let planes = images * channels;
        Ok(Params { planes, height, width, out_height, out_width, kernel, stride, padding })
    }
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        let p = self.params(x)?;
        Ok(vec![Shape::new(x.images(), x.channels(), p.out_height, p.out_width)?; 2])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let [y, _place] = exactly(self.name(), "outputs", launch.outputs)?;
        let kernel = u64::from(self.kernel);
        check_turns(launch.to, self.name(), kernel * (2 + kernel))?;
        launch.each(&FORWARD, self.params(x)?, y.elements())
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let [_y, place] = exactly(self.name(), "outputs", &node.outputs)?;
        let backward = MaxPoolBackward { pool: *self, x: graph.shape(x)? };
        Ok(vec![Some(graph.push(backward, &[dy, place])?)])
    }
}

/// Inputs dy and the places of the largest; output dx.
#[derive(Clone, Copy, Debug)]
struct MaxPoolBackward {
    pool: MaxPool,
    x: Shape,
}

impl Op for MaxPoolBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, place] = exactly(self.name(), "inputs", inputs)?;
        place.expect(self.name(), dy)?;
        Ok(vec![self.x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        launch.each(&BACKWARD, self.pool.params(self.x)?, self.x.elements())
    }
}
