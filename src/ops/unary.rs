//! Functions of one value: rectifiers, the logistic function and the smooth units made of it, with their derivatives.
//! All formulas stand in one shader, which the constant KIND chooses from.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// y from x.
pub static FORWARD: Kernel = kernel!("unary", ["map_one", "normal", "index"], Params, [a, mut y]);

/// dx from dy and x, or from dy and the result.
pub static BACKWARD: Kernel =
    kernel!("unary_backward", "unary", ["map_two", "normal", "index"], Params, [a, b, mut y]);

/// The derivative of the derivative, from two factors and x.
pub static SECOND: Kernel =
    kernel!("unary_second", "unary", ["map_three", "normal", "index"], Params, [a, b, c, mut y]);

/// Input x of any shape; output f(x) of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// max(x, 0), `torch.nn.functional.relu`.
    Relu,
    /// min(max(x, 0), 6), `torch.nn.functional.relu6`.
    Relu6,
    /// x * P(X <= x) for a standard normal X (Hendrycks and Gimpel 2016, arXiv 1606.08415), `torch.nn.functional.gelu`
    /// in its exact form.
    Gelu,
    /// 1 / (1 + exp(-x)), `torch.sigmoid`.
    Sigmoid,
    /// x / (1 + exp(-x)), also called swish (Elfwing and others 2017, arXiv 1702.03118), `torch.nn.functional.silu`.
    Silu,
}

impl Unary {
    /// All of them, in the order of their numbers in the shader.
    pub const ALL: [Self; 5] = [Self::Relu, Self::Relu6, Self::Gelu, Self::Sigmoid, Self::Silu];

    /// The names of the function and of its derivatives.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Relu => ["relu", "relu_backward", "relu_second"],
            Self::Relu6 => ["relu6", "relu6_backward", "relu6_second"],
            Self::Gelu => ["gelu", "gelu_backward", "gelu_second"],
            Self::Sigmoid => ["sigmoid", "sigmoid_backward", "sigmoid_second"],
            Self::Silu => ["silu", "silu_backward", "silu_second"],
        }
    }

    /// Whether it is made of straight pieces: its derivative is told by the result and has itself none.
    fn is_straight(self) -> bool {
        matches!(self, Self::Relu | Self::Relu6)
    }

    fn record(self, kernel: &'static Kernel, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(kernel.name, "outputs", launch.outputs)?;
        let vectors = y.elements().div_ceil(4);
        let kind = [("KIND", f64::from(self as u32))];
        launch.with(kernel, &kind, Params { vectors }, Recording::grid(vectors, 64))
    }
}

/// N inputs of one shape, which is the output's.
fn alike<const N: usize>(op: &'static str, inputs: &[Shape]) -> Result<Vec<Shape>> {
    let inputs = exactly::<_, N>(op, "inputs", inputs)?;
    let first = inputs.first().copied().unwrap_or(Shape::SCALAR);
    inputs.iter().try_for_each(|input| input.expect(op, first))?;
    Ok(vec![first])
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        let [name, _, _] = self.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        alike::<1>(self.name(), inputs)
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        Self::record(*self, &FORWARD, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let seen = if self.is_straight() { &node.outputs } else { &node.inputs };
        let [seen] = exactly(self.name(), "values", seen)?;
        Ok(vec![Some(graph.push(UnaryBackward(*self), &[dy, seen])?)])
    }
}

/// Inputs dy and x, or the result of what is [straight](Unary::is_straight); output dx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnaryBackward(pub(crate) Unary);

impl Op for UnaryBackward {
    fn name(&self) -> &'static str {
        let [_, name, _] = self.0.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        alike::<2>(self.name(), inputs)
    }

    fn flat(&self) -> &[usize] {
        if self.0.is_straight() { &[1] } else { &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        self.0.record(&BACKWARD, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [first, seen] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_seen] = exactly(self.name(), "flags", asked)?;
        let (mut of_first, mut of_seen) = (None, None);
        if for_first {
            of_first = Some(graph.push(*self, &[dy, seen])?);
        }
        if for_seen {
            of_seen = Some(graph.push(UnarySecond(self.0), &[dy, first, seen])?);
        }
        Ok(vec![of_first, of_seen])
    }
}

/// Inputs a, b and x; output a * b times the second derivative at x.
#[derive(Clone, Copy, Debug)]
struct UnarySecond(Unary);

impl Op for UnarySecond {
    fn name(&self) -> &'static str {
        let [_, _, name] = self.0.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        alike::<3>(self.name(), inputs)
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        self.0.record(&SECOND, launch)
    }
}
