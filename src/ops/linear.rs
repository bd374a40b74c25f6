//! Fully connected layer, `torch.nn.functional.linear`, and its derivatives for x, weights and bias.

use super::Reduce;
use super::walk::{Widths, check_turns, widths};
use crate::Result;
use crate::gpu::{Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { rows: u32, outputs: u32, units: u32, tiles: u32, tile_columns: u32 }
}
uniform! {
    struct BackwardParams {
        rows: u32,
        depth: u32,
        units: u32,
        tiles: u32,
        row_stride: u32,
        depth_stride: u32,
    }
}

/// Rows and columns of an invocation's results: TILE in the shaders.
const TILE: u32 = 4;

/// The kernels of a fully connected layer, which compute y = x w^T; the constant BIAS adds the bias.
pub static FORWARD: Widths = widths!("linear", ["index"], Params, [x, w, bias, mut y]);

/// The kernels of a fully connected layer's derivatives, which compute dx = dy w and dw = dy^T x.
pub static BACKWARD: Widths = widths!("linear_backward", ["index"], BackwardParams, [a, b, mut c]);

/// A fully connected layer. Inputs x \[N, I\], w \[O, I\] and, if `bias`, bias \[O\] (a vector); output y = x w^T + bias, \[N,
/// O\].
///
/// Matrices are [`Shape::matrix`], which pooled maps \[N, I, 1, 1\] are too.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Whether the op has a third input, the bias.
    pub bias: bool,
}

impl Linear {
    /// N, I and O. Err if they do not fit each other.
    fn sizes(&self, inputs: &[Shape]) -> Result<[u32; 3]> {
        let (x, w) = if self.bias {
            let [x, w, bias] = exactly(self.name(), "inputs", inputs)?;
            bias.expect(self.name(), Shape::vector(w.images())?)?;
            (x, w)
        } else {
            let [x, w] = exactly(self.name(), "inputs", inputs)?;
            (x, w)
        };
        let [rows, length, outputs] = [x.images(), x.channels(), w.images()];
        x.expect(self.name(), Shape::matrix(rows, length)?)?;
        w.expect(self.name(), Shape::matrix(outputs, length)?)?;
        Ok([rows, length, outputs])
    }
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [rows, _length, outputs] = self.sizes(inputs)?;
        Ok(vec![Shape::matrix(rows, outputs)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [rows, length, outputs] = self.sizes(launch.inputs)?;
        let buffers = if self.bias {
            exactly(self.name(), "buffers", launch.buffers)?
        } else {
            let [x, w, y] = exactly(self.name(), "buffers", launch.buffers)?;
            [x, w, w, y]
        };
        let (kernel, units) = FORWARD.fit(length);
        check_turns(launch.to, self.name(), units.into())?;
        let tile_columns = outputs.div_ceil(TILE);
        let tiles = rows.div_ceil(TILE) * tile_columns;
        let params = Params { rows, outputs, units, tiles, tile_columns };
        let bias = [("BIAS", f64::from(u8::from(self.bias)))];
        let grid = Recording::grid(tiles, 64);
        launch.to.dispatch(kernel, &bias, params, &buffers, grid).map(drop)
    }

    fn flops(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        let (x, y) = (inputs.first(), outputs.first());
        x.zip(y).map_or(0, |(x, y)| 2 * u64::from(y.elements()) * u64::from(x.channels()))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let asked = |input: usize| asked.get(input) == Some(&true);
        let (x, w) = if self.bias {
            let [x, w, _bias] = exactly(self.name(), "inputs", &node.inputs)?;
            (x, w)
        } else {
            let [x, w] = exactly(self.name(), "inputs", &node.inputs)?;
            (x, w)
        };
        let dx = if asked(0) {
            Some(graph.push(Product { transposed: false }, &[dy, w])?)
        } else {
            None
        };
        let dw =
            if asked(1) { Some(graph.push(Product { transposed: true }, &[dy, x])?) } else { None };
        let db = if asked(2) { Some(graph.push(Reduce::PerChannel, &[dy])?) } else { None };
        let mut derivatives = vec![dx, dw, db];
        derivatives.truncate(node.inputs.len());
        Ok(derivatives)
    }
}

/// Inputs a \[R, K\], or \[K, R\] if `transposed`, and b \[K, U\]; output their product \[R, U\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) transposed: bool,
}

impl Product {
    /// R, K and U. Err if they do not fit each other.
    fn sizes(&self, inputs: &[Shape]) -> Result<[u32; 3]> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        a.expect(self.name(), Shape::matrix(a.images(), a.channels())?)?;
        let (rows, depth) =
            if self.transposed { (a.channels(), a.images()) } else { (a.images(), a.channels()) };
        b.expect(self.name(), Shape::matrix(depth, b.channels())?)?;
        Ok([rows, depth, b.channels()])
    }
}

impl Op for Product {
    fn name(&self) -> &'static str {
        "linear_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [rows, _depth, length] = self.sizes(inputs)?;
        Ok(vec![Shape::matrix(rows, length)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [rows, depth, length] = self.sizes(launch.inputs)?;
        let (kernel, units) = BACKWARD.fit(length);
        check_turns(launch.to, self.name(), depth.into())?;
        let tiles = rows.div_ceil(TILE) * units;
        let (row_stride, depth_stride) = if self.transposed { (1, rows) } else { (depth, 1) };
        let params = BackwardParams { rows, depth, units, tiles, row_stride, depth_stride };
        let grid = Recording::grid(tiles, 64);
        launch.to.dispatch(kernel, &[], params, launch.buffers, grid).map(drop)
    }

    fn flops(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        let depth = self.sizes(inputs).map_or(0, |[_, depth, _]| depth);
        outputs.first().map_or(0, |c| 2 * u64::from(c.elements()) * u64::from(depth))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [a, b] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_a, for_b] = exactly(self.name(), "flags", asked)?;
        let (mut da, mut db) = (None, None);
        if for_a {
            let rows = if self.transposed { [b, dy] } else { [dy, b] };
            da = Some(graph.push(Linear { bias: false }, &rows)?);
        }
        if for_b {
            db = Some(graph.push(Self { transposed: !self.transposed }, &[a, dy])?);
        }
        Ok(vec![da, db])
    }
}
