//! Average pooling, `torch.nn.functional.avg_pool2d` with stride = kernel and `adaptive_avg_pool2d` to one pixel, and their
//! derivatives.

use super::walk::{Widths, check_turns, nested, widths};
use crate::gpu::{Recording, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        outputs: u32,
        out_columns: u32,
        rows: u32,
        units: u32,
        row_units: u32,
        inv_area: f32,
    }
}

/// The kernels of average pooling, which compute y from x.
pub static FORWARD: Widths = widths!("avg_pool", ["index"], Params, [x, mut y]);

/// The kernels of average pooling's derivative, which compute dx from dy.
pub static BACKWARD: Widths = widths!("avg_pool_backward", ["index"], Params, [dy, mut dx]);

/// Average pooling over windows that do not overlap. Input x \[N, C, H, W\]; output \[N, C, H / kernel, W / kernel\]: the mean of
/// each window of kernel by kernel pixels. Err unless kernel divides H and W.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool {
    /// The height, width and stride of a pooling window; at least 1.
    pub kernel: u32,
}

impl Op for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        let [n, c, h, w] = x.sides();
        let k = self.kernel;
        if h.checked_rem(k) != Some(0) || w.checked_rem(k) != Some(0) {
            let wanted = format_args!("height and width divisible by the kernel, {k}");
            return Err(Error::mismatch(self.name(), x, wanted));
        }
        Ok(vec![Shape::new(n, c, h / k, w / k)?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let ([x], [y]) = ends(self.name(), launch)?;
        record(&FORWARD, x, y, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        backward(graph, node, dy)
    }
}

/// Global average pooling. Input x \[N, C, H, W\]; output \[N, C, 1, 1\]: the mean of each channel of each image.
#[derive(Clone, Copy, Debug)]
pub struct GlobalAvgPool;

impl Op for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::new(x.images(), x.channels(), 1, 1)?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let ([x], [y]) = ends(self.name(), launch)?;
        record(&FORWARD, x, y, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        backward(graph, node, dy)
    }
}

/// Input dy, of whichever of the two; output dx.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvgPoolBackward {
    /// The shape of x.
    pub(crate) x: Shape,
}

impl Op for AvgPoolBackward {
    fn name(&self) -> &'static str {
        "avg_pool_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy] = exactly(self.name(), "inputs", inputs)?;
        let [n, c, h, w] = self.x.sides();
        let tiled = h.is_multiple_of(dy.height()) && w.is_multiple_of(dy.width());
        if dy.images() != n || dy.channels() != c || !tiled {
            let wanted = format_args!(
                "dy with x's images and channels, {}, and sides that divide x's sides",
                self.x
            );
            return Err(Error::mismatch(self.name(), dy, wanted));
        }
        Ok(vec![self.x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let ([dy], [dx]) = ends(self.name(), launch)?;
        record(&BACKWARD, dx, dy, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [first] = exactly(self.name(), "inputs", &node.inputs)?;
        let means = graph.shape(first)?;
        Ok(vec![Some(if means.pixels() == 1 {
            graph.push(GlobalAvgPool, &[dy])?
        } else {
            graph.push(AvgPool { kernel: self.x.height() / means.height() }, &[dy])?
        })])
    }
}

/// The op's one input and one output.
fn ends(op: &'static str, launch: &Launch) -> Result<([Shape; 1], [Shape; 1])> {
    Ok((exactly(op, "inputs", launch.inputs)?, exactly(op, "outputs", launch.outputs)?))
}

fn backward(graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Option<Value>>> {
    let [x] = exactly(node.op.name(), "inputs", &node.inputs)?;
    let x = graph.shape(x)?;
    Ok(vec![Some(graph.push(AvgPoolBackward { x }, &[dy])?)])
}

/// Launches one invocation for each window; the two shapes give the window's size.
fn record(kernels: &'static Widths, large: Shape, small: Shape, launch: &mut Launch) -> Result<()> {
    // A plane that is one window is as good as one row.
    let (rows, columns, width) = if small.pixels() == 1 {
        (1, large.pixels(), large.pixels())
    } else {
        (large.height() / small.height(), large.width() / small.width(), large.width())
    };
    // If a window's width is whole vec4s, so is the plane's.
    let (kernel, units) = kernels.fit(columns);
    check_turns(launch.to, kernel.name, u64::from(rows) * nested(units))?;
    let params = Params {
        outputs: small.elements(),
        out_columns: small.width(),
        rows,
        units,
        row_units: width / columns * units,
        inv_area: 1.0 / (rows * columns) as f32,
    };
    let grid = Recording::grid(small.elements(), 64);
    launch.to.dispatch(kernel, &[], params, launch.buffers, grid).map(drop)
}
