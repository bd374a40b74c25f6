//! The simplest ops: sums, products and multiples of values, and copies under the same or another shape.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    pub(super) struct Params { vectors: u32 }
}
uniform! {
    struct ScaleParams { vectors: u32, factor: f32 }
}
uniform! {
    struct FillParams { vectors: u32, bits: u32 }
}

/// Computes y = a + b.
pub static ADD: Kernel = kernel!("add", ["map_two", "index"], Params, [a, b, mut y]);
/// Computes y = a * b.
pub static MUL: Kernel = kernel!("mul", ["map_two", "index"], Params, [a, b, mut y]);
/// The kernel that copies the value x to y.
pub static COPY: Kernel = kernel!("copy", ["index"], Params, [x, mut y]);
/// The kernel of a multiplication by a constant, which computes y = factor * x.
pub static SCALE: Kernel = kernel!("scale", ["index"], ScaleParams, [x, mut y]);
/// The kernel that sets every word of the value x to the same bits.
pub static FILL: Kernel = kernel!("fill", ["index"], FillParams, [mut x]);

/// Returns the number of vec4s of a value; buffers are padded to whole vec4s.
fn vectors(value: Option<&Shape>) -> u32 {
    value.map_or(0, |shape| shape.elements().div_ceil(4))
}

/// Adds two values element by element: inputs a and b of one shape; output a + b.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        ADD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        b.expect(self.name(), a)?;
        Ok(vec![a])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&ADD, Params { vectors }, vectors)
    }

    fn gradient(&self, _: &mut Graph, _: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        Ok(asked.iter().map(|asked| asked.then_some(dy)).collect())
    }
}

/// Multiplies two values element by element: inputs a and b of one shape; output a * b.
#[derive(Clone, Copy, Debug)]
pub struct Mul;

impl Op for Mul {
    fn name(&self) -> &'static str {
        MUL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        b.expect(self.name(), a)?;
        Ok(vec![a])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&MUL, Params { vectors }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [a, b] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_a, for_b] = exactly(self.name(), "flags", asked)?;
        let mut of = |asked: bool, other| asked.then(|| graph.push(Self, &[dy, other])).transpose();
        Ok(vec![of(for_a, b)?, of(for_b, a)?])
    }
}

/// Multiplies a value by a constant. Input x of any shape; output `factor` * x. It makes energies from logits, and weighs the
/// terms of losses.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The constant that the value is multiplied by, the same at every run of the program.
    pub factor: f32,
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        SCALE.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        Ok(exactly::<_, 1>(self.name(), "inputs", inputs)?.to_vec())
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&SCALE, ScaleParams { vectors, factor: self.factor }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, _: &Node, dy: Value, _: &[bool]) -> Derivatives {
        Ok(vec![Some(graph.push(*self, &[dy])?)])
    }
}

/// Gives a value another shape, `torch.reshape`. Input x of any 4-byte values; output the same values in the same order. Err for
/// another number of elements.
#[derive(Clone, Copy, Debug)]
pub struct Reshape {
    /// The shape that the value gets.
    pub shape: Shape,
}

impl Reshape {
    /// Makes the op that flattens \[N, C, H, W\] to the matrix \[N, C H W\], `torch.flatten(x, 1)`.
    pub fn flat(x: Shape) -> Result<Self> {
        Ok(Self { shape: Shape::matrix(x.images(), x.elements() / x.images())? })
    }
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        if x.elements() != self.shape.elements() {
            let wanted = format_args!("as many values as {} has", self.shape);
            return Err(Error::mismatch(self.name(), x, wanted));
        }
        Ok(vec![self.shape])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&COPY, Params { vectors }, vectors)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        let shape = graph.shape(x)?;
        Ok(vec![Some(graph.push(Self { shape }, &[dy])?)])
    }
}

/// Copies a value into another one in place: inputs x and y of one shape and any 4-byte values; y, a state value, becomes
/// equal to x. No output.
#[derive(Clone, Copy, Debug)]
pub struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        COPY.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, y] = exactly(self.name(), "inputs", inputs)?;
        y.expect(self.name(), x)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&COPY, Params { vectors }, vectors)
    }
}

/// Fills a state value with one constant, in place: input x of any shape; no output. For momentum that starts at 0, or the best
/// loss so far.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// The constant that every value is set to, bit for bit.
    pub value: f32,
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        FILL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [_x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = vectors(launch.inputs.first());
        launch.each(&FILL, FillParams { vectors, bits: self.value.to_bits() }, vectors)
    }
}
